/* One Lua value as plain JSON for people. See inspect.h. Invariant: raw reads only, bounded by depth, by
 * members and by a budget of bytes for all that one look shows; the stack is left as it was. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "bindings/vm/inspect_private.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 20000 }; /* of a table whose keys are sorted for the look */

static json_t *bare(const char *format, ...) __attribute__((format(printf, 1, 2)));
static json_t *bare(const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return json_pack("{s:s}", "$", mt_utf8_valid(text, strlen(text)) ? text : "?");
}

static json_t *show_string(struct inspecting *p, lua_State *L, int index) {
    size_t len, shown;
    const char *s = lua_tolstring(L, index, &len);
    if (!mt_utf8_valid(s, len)) return bare("%zu bytes", len);
    shown = len < p->text_max ? len : p->text_max;
    while (shown > 0 && shown < len && ((unsigned char)s[shown] & 0xC0) == 0x80) shown--;
    p->budget -= (long)shown;
    if (shown == len) return json_stringn(s, len);
    struct mt_buf b;
    mt_buf_init(&b, p->text_max + 64);
    mt_buf_add(&b, s, shown);
    mt_buf_addf(&b, "... (%zu bytes)", len);
    json_t *text = json_stringn(b.data, b.len);
    mt_buf_clear(&b);
    return text;
}

/* The metatable's own name, "" when it has none. The string is the metatable's. */
static const char *meta_name(lua_State *L, int index) {
    const char *name = "";
    if (!lua_getmetatable(L, index)) return name;
    lua_pushliteral(L, "__name");
    if (lua_rawget(L, -2) == LUA_TSTRING) name = lua_tostring(L, -1);
    lua_pop(L, 2);
    return name;
}

/* An operation says its name by a C function of ours. */
static json_t *show_userdata(lua_State *L, int index) {
    char text[MT_MONEY_TEXT];
    const struct mt_money *money = mt_money_test(L, index);
    if (money != NULL) {
        mt_money_format(money, text);
        return json_string(text);
    }
    const char *name = meta_name(L, index);
    if (strcmp(name, "mintage.operation") != 0) return bare("%.60s", name[0] ? name : "userdata");
    luaL_getmetafield(L, index, "__tostring");
    lua_pushvalue(L, index);
    bool ok = lua_pcall(L, 1, 1, 0) == LUA_OK && lua_type(L, -1) == LUA_TSTRING;
    json_t *shown = bare("operation %.80s", ok ? lua_tostring(L, -1) : "");
    lua_pop(L, 1);
    return shown;
}

static json_t *show_function(lua_State *L, int index) {
    lua_Debug ar;
    lua_pushvalue(L, index);
    lua_getinfo(L, ">S", &ar);
    if (ar.what[0] == 'C') return bare("function");
    return bare("function %.60s:%d", ar.short_src, ar.linedefined);
}

/* ---- tables ---- */

/* A time is its text. */
static json_t *show_time(lua_State *L, int index) {
    char text[25];
    lua_pushliteral(L, "ms");
    bool ok = lua_rawget(L, index) == LUA_TNUMBER && lua_isinteger(L, -1);
    if (ok) mt_time_format(lua_tointeger(L, -1), text);
    lua_pop(L, 1);
    return ok ? json_string(text) : bare("time");
}

/* "flow deposit" */
static json_t *show_named(lua_State *L, int index, const char *what) {
    lua_pushliteral(L, "name");
    bool ok = lua_rawget(L, index) == LUA_TSTRING;
    json_t *shown = bare("%.40s %.80s", what, ok ? lua_tostring(L, -1) : "");
    lua_pop(L, 1);
    return shown;
}

static bool is_list(lua_State *L, int index, size_t count) {
    if (mt_array_test(L, index)) return true;
    return count > 0 && lua_rawlen(L, index) == count;
}

/* How many members, at most `max` + 1. */
static size_t count_members(lua_State *L, int index, size_t max) {
    size_t n = 0;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        lua_pop(L, 1);
        if (++n <= max) continue;
        lua_pop(L, 1);
        break;
    }
    return n;
}

static json_t *more(size_t n) {
    return json_pack("{s:I}", "$more", (json_int_t)n);
}

static json_t *show_list(struct inspecting *p, lua_State *L, int index, size_t count, int depth) {
    json_t *list = json_array();
    size_t n = lua_rawlen(L, index), i = 0;
    for (; i < n && i < p->members_max && p->budget > 0; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        json_array_append_new(list, inspect_value(p, L, lua_gettop(L), depth + 1));
        lua_pop(L, 1);
    }
    if (count > i) json_array_append_new(list, more(count - i));
    return list;
}

static void key_text(const struct key *k, char *out, size_t size) {
    switch (k->type) {
    case KEY_INT:
        snprintf(out, size, "%lld", (long long)k->u.i);
        break;
    case KEY_FLOAT:
        snprintf(out, size, "%.14g", k->u.f);
        break;
    case KEY_STRING:
        if (!mt_utf8_valid(k->u.s, k->len) || strlen(k->u.s) != k->len || !mt_copy(out, size, k->u.s))
            mt_copy(out, size, "(a name that is too long, or no text)");
        break;
    case KEY_BOOLEAN:
        mt_copy(out, size, k->u.i ? "true" : "false");
        break;
    }
}

static json_t *show_object(struct inspecting *p, lua_State *L, int index, int depth) {
    size_t n, i = 0;
    const char *bad;
    struct key *keys = mt_ordered_keys(L, index, &n, &bad);
    if (keys == NULL) return bare("table with %s keys", bad);
    json_t *object = json_object();
    for (; i < n && i < p->members_max && p->budget > 0; i++) {
        char name[120];
        key_text(&keys[i], name, sizeof name);
        p->budget -= (long)strlen(name) + 4;
        mt_push_key(L, &keys[i]);
        lua_rawget(L, index);
        json_object_set_new(object, name,
                            mt_secret_name(name) && lua_type(L, -1) != LUA_TTABLE
                                ? json_string("[redacted]")
                                : inspect_value(p, L, lua_gettop(L), depth + 1));
        lua_pop(L, 1);
    }
    free(keys);
    if (n > i) json_object_set_new(object, "$more", json_integer((json_int_t)(n - i)));
    return object;
}

static json_t *show_table(struct inspecting *p, lua_State *L, int index, int depth) {
    const void *table = lua_topointer(L, index);
    const char *name = meta_name(L, index);
    if (inspect_is_module(L, index)) return bare("module %.60s", name);
    if (strcmp(name, "mintage.time") == 0) return show_time(L, index);
    if (strcmp(name, "mintage.flow") == 0 || strcmp(name, "mintage.collection") == 0)
        return show_named(L, index, name + strlen("mintage."));
    for (int i = 0; i < depth; i++)
        if (p->above[i] == table) return bare("table that this one is in");
    size_t count = count_members(L, index, KEYS_MAX);
    if (count == 0) return mt_array_test(L, index) ? json_array() : json_object();
    if (depth >= p->depth_max) return is_list(L, index, count) ? bare("list of %zu", count) : bare("table");
    p->above[depth] = table;
    if (count > KEYS_MAX || is_list(L, index, count)) return show_list(p, L, index, count, depth);
    return show_object(p, L, index, depth);
}

json_t *inspect_value(struct inspecting *p, lua_State *L, int index, int depth) {
    p->budget -= 8;
    if (!lua_checkstack(L, 12)) return bare("...");
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        return json_null();
    case LUA_TBOOLEAN:
        return json_boolean(lua_toboolean(L, index));
    case LUA_TNUMBER:
        if (lua_isinteger(L, index)) return json_integer(lua_tointeger(L, index));
        return isfinite(lua_tonumber(L, index)) ? json_real(lua_tonumber(L, index)) : bare("not finite");
    case LUA_TSTRING:
        return show_string(p, L, index);
    case LUA_TTABLE:
        return show_table(p, L, index, depth);
    case LUA_TFUNCTION:
        return show_function(L, index);
    case LUA_TLIGHTUSERDATA:
        return lua_touserdata(L, index) == NULL ? json_null() : bare("userdata");
    case LUA_TUSERDATA:
        return show_userdata(L, index);
    default:
        return bare("coroutine");
    }
}

const char *inspect_type(lua_State *L, int index) {
    if (mt_money_test(L, index) != NULL) return "money";
    if (mt_error_test(L, index)) return "error";
    const char *name = meta_name(L, index);
    if (strcmp(name, "mintage.operation") == 0) return "operation";
    return luaL_typename(L, index);
}

/* A module and a value that it makes may share their metatable's name: a value has a field that no module
 * has.
 */
bool inspect_is_module(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TTABLE || strncmp(meta_name(L, index), "mintage.", 8) != 0) return false;
    if (mt_array_test(L, index) || mt_error_test(L, index)) return false;
    lua_pushliteral(L, "ms");
    bool value = lua_rawget(L, index) != LUA_TNIL;
    lua_pushliteral(L, "name");
    value = lua_rawget(L, index) == LUA_TSTRING || value;
    lua_pop(L, 2);
    return !value;
}
