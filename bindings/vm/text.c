/* tostring and string.format without addresses ("table #3": the third one shown), and the string functions
 * whose time a script decides, made interruptible: while one of them runs the watchdog may leave at any
 * instruction, so nothing else may run within it; callbacks of gsub end that for their length. The thread of
 * the execution. */
#include "bindings/vm/internal.h"
#include <stdio.h>
#include <string.h>

/* ---- tostring ---- */

static const char key_ordinals[] =
    "mintage.ordinals"; /* value -> its number; type (as an integer) -> how many */

static lua_Integer ordinal_of(lua_State *L, int index) {
    int type = lua_type(L, index);
    lua_getfield(L, LUA_REGISTRYINDEX, key_ordinals);
    lua_pushvalue(L, index);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_rawgeti(L, -1, type);
        lua_Integer n = lua_tointeger(L, -1) + 1;
        lua_pop(L, 1);
        lua_pushinteger(L, n);
        lua_rawseti(L, -2, type);
        lua_pushvalue(L, index);
        lua_pushinteger(L, n);
        lua_rawset(L, -3);
        lua_pushinteger(L, n);
    }
    lua_Integer n = lua_tointeger(L, -1);
    lua_pop(L, 2);
    return n;
}

/* "table #3"; with_name: by the metatable's __name, as tostring does. */
static void push_ordinal(lua_State *L, int index, bool with_name) {
    lua_Integer n = ordinal_of(L, index);
    if (!with_name || luaL_getmetafield(L, index, "__name") == LUA_TNIL)
        lua_pushstring(L, luaL_typename(L, index));
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, index);
    lua_pushfstring(L, "%s #%I", name, (LUAI_UACINT)n);
    lua_remove(L, -2);
}

const char *mt_tolstring(lua_State *L, int index, size_t *len) {
    index = lua_absindex(L, index);
    luaL_checkstack(L, 6, NULL);
    if (luaL_callmeta(L, index, "__tostring")) {
        if (!lua_isstring(L, -1)) luaL_error(L, "'__tostring' must return a string");
        return lua_tolstring(L, -1, len);
    }
    switch (lua_type(L, index)) {
    case LUA_TNIL:
    case LUA_TBOOLEAN:
    case LUA_TNUMBER:
    case LUA_TSTRING:
        return luaL_tolstring(L, index, len);
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, index) == NULL) { /* json.null */
            lua_pushliteral(L, "null");
            break;
        }
        /* fall through */
    default:
        push_ordinal(L, index, true);
    }
    return lua_tolstring(L, -1, len);
}

static int text_tostring(lua_State *L) {
    luaL_checkany(L, 1);
    mt_tolstring(L, 1, NULL);
    return 1;
}

/* ---- string.format ---- */

/* Makes the argument of a %p the text that the %s in its place shows. */
static void replace_pointer(lua_State *L, int arg) {
    luaL_checkany(L, arg);
    switch (lua_type(L, arg)) {
    case LUA_TNIL:
    case LUA_TBOOLEAN:
    case LUA_TNUMBER:
        lua_pushliteral(L, "(null)");
        break;
    default:
        push_ordinal(L, arg, false);
    }
    lua_replace(L, arg);
}

/* upvalue: the library's. %s and %p get text before it sees them. */
static int text_format(lua_State *L) {
    int top = lua_gettop(L), arg = 1;
    size_t len;
    const char *format = luaL_checklstring(L, 1, &len);
    char *copy = NULL;
    for (const char *p = format; p < format + len; p++) {
        if (*p != '%') continue;
        if (*++p == '%') continue;
        p += strspn(p, "-+ #0123456789.");
        if (++arg > top) break; /* the library complains */
        if (*p == 's' && lua_type(L, arg) != LUA_TSTRING) {
            mt_tolstring(L, arg, NULL);
            lua_replace(L, arg);
        } else if (*p == 'p') {
            if (copy == NULL) {
                copy = mt_vm_alloc(L, len + 1);
                memcpy(copy, format, len + 1);
            }
            copy[p - format] = 's';
            replace_pointer(L, arg);
        }
    }
    if (copy != NULL) {
        lua_pushlstring(L, copy, len);
        lua_replace(L, 1);
    }
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* ---- interruptible functions ---- */

/* upvalue: the library's, which must call nothing back and hold nothing. */
static int interruptible(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    mt_limits_enter_c(L, a);
    int n = lua_tocfunction(L, lua_upvalueindex(1))(L);
    a->in_c = 0;
    mt_limits_poll(a);
    return n;
}

/* upvalue: the iterator that gmatch made. */
static int gmatch_next(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    mt_limits_enter_c(L, a);
    lua_call(L, 0, LUA_MULTRET);
    a->in_c = 0;
    mt_limits_poll(a);
    return lua_gettop(L);
}

static int text_gmatch(lua_State *L) {
    lua_tocfunction(L, lua_upvalueindex(1))(L);
    lua_pushcclosure(L, gmatch_next, 1);
    return 1;
}

/* upvalue: the function or table that the script gave to gsub. */
static int gsub_callback(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    const void *frame = a->in_c_frame; /* gsub's, which what runs here may replace */
    a->in_c = 0;
    mt_limits_poll(a);
    if (lua_type(L, lua_upvalueindex(1)) == LUA_TTABLE) {
        lua_settop(L, 1);
        lua_gettable(L, lua_upvalueindex(1));
    } else {
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_insert(L, 1);
        lua_call(L, lua_gettop(L) - 1, 1);
    }
    a->in_c_frame = frame;
    a->in_c = 1;
    return 1;
}

static int text_gsub(lua_State *L) {
    int type = lua_type(L, 3);
    if (type == LUA_TFUNCTION || type == LUA_TTABLE) {
        lua_pushvalue(L, 3);
        lua_pushcclosure(L, gsub_callback, 1);
        lua_replace(L, 3);
    }
    return interruptible(L);
}

void mt_text_open(lua_State *L) {
    static const luaL_Reg wrapped[] = {{"find", interruptible}, {"match", interruptible},
                                       {"rep", interruptible},  {"gmatch", text_gmatch},
                                       {"gsub", text_gsub},     {"format", text_format}};
    lua_newtable(L);
    lua_setfield(L, LUA_REGISTRYINDEX, key_ordinals);
    lua_pushcfunction(L, text_tostring);
    lua_setglobal(L, "tostring");
    lua_getglobal(L, "string");
    for (size_t i = 0; i < sizeof(wrapped) / sizeof(wrapped[0]); i++) {
        lua_getfield(L, -1, wrapped[i].name);
        lua_pushcclosure(L, wrapped[i].func, 1);
        lua_setfield(L, -2, wrapped[i].name);
    }
    lua_pop(L, 1);
}
