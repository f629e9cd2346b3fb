/* The globals of scripts: the allowed names of the standard library, each harmless or replaced by one that
 * is. Invariant: no way from here to the clock, the system, bytecode, addresses or hash order; an undeclared
 * global is an error. Everything is made once, in the image. */
#include "base/text.h"
#include "bindings/vm/internal.h"
#include <stdlib.h>
#include <string.h>

static const char *const allowed[] = {
    "assert",   "error", "getmetatable", "ipairs", "rawequal", "rawget", "rawlen", "rawset", "select",
    "tonumber", "type",  "_VERSION",     "_G",     "string",   "table",  "math",   "utf8",   "coroutine"};

/* What Lua has and scripts have not, and what to use instead. */
struct removed {
    const char *name, *instead;
};
static const struct removed removed_globals[] = {
    {"os",
     "use flow.now() and flow.date for time, flow.log for output; settings come from the configuration"},
    {"io", "a flow reads and writes through effects only: providers, mintage.http and mintage.collection"},
    {"debug", "errors carry their traceback, and mintage repl --run replays a run with its locals"},
    {"print", "use flow.log"},
    {"warn", "use flow.log"},
    {"collectgarbage", "an execution never collects; its memory is forgotten when it ends"},
    {"dofile", "use require"},
    {"loadfile", "use require"},
    {"package", "require finds mintage.* and the files beside the script; there is no search path"},
    {"unpack", "it is table.unpack"},
    {"setfenv", "it was removed from Lua 5.2"},
    {"getfenv", "it was removed from Lua 5.2"},
    {"loadstring", "it is load"},
    {NULL, NULL}};
static const struct removed removed_math[] = {
    {"random", "use flow.random, which is the same on every replay"},
    {"randomseed", "flow.random needs no seed: it derives from the run"},
    {NULL, NULL}};
static const struct removed removed_string[] = {{"dump", "scripts are text, never bytecode"}, {NULL, NULL}};

static const char *instead_of(const struct removed *list, const char *name) {
    for (; list->name != NULL; list++)
        if (strcmp(list->name, name) == 0) return list->instead;
    return NULL;
}

/* ---- did you mean ---- */

const char *mt_push_nearest(lua_State *L, int index, const char *name) {
    index = lua_absindex(L, index);
    size_t n = 0, most = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) most++;
    const char **names = mt_vm_alloc(L, (most + 1) * sizeof(*names));
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING) names[n++] = lua_tostring(L, -2);
    for (size_t i = 1; i < n; i++) /* sorted, because of two that are equally near the first is taken */
        for (size_t j = i; j > 0 && strcmp(names[j - 1], names[j]) > 0; j--) {
            const char *swap = names[j];
            names[j] = names[j - 1];
            names[j - 1] = swap;
        }
    const char *near = mt_nearest(name, names, n);
    return near != NULL ? lua_pushfstring(L, " (did you mean '%s'?)", near) : lua_pushliteral(L, "");
}

/* ---- strict globals ---- */

static bool is_module(lua_State *L, const char *name) {
    char full[80];
    if (!mt_format(full, sizeof(full), "mintage.%s", name)) return false;
    struct mt_arena *a = mt_arena_of(L);
    for (const struct mt_vm_module *m = a->vm->o.modules; m != NULL && m->name != NULL; m++)
        if (strcmp(m->name, full) == 0) return true;
    for (size_t i = 0; i < a->generation->library_count; i++)
        if (strcmp(a->generation->files[i].name, full) == 0) return true;
    return false;
}

static int global_index(lua_State *L) {
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "a global's name is a string, found a %s", luaL_typename(L, 2));
    const char *name = lua_tostring(L, 2), *instead = instead_of(removed_globals, name);
    if (instead != NULL) return luaL_error(L, "there is no %s in a flow: %s", name, instead);
    if (is_module(L, name))
        return luaL_error(L, "undeclared global '%s': write local %s = require \"mintage.%s\" first", name,
                          name, name);
    return luaL_error(L, "undeclared global '%s'%s", name, mt_push_nearest(L, 1, name));
}

static int global_newindex(lua_State *L) {
    mt_tolstring(L, 2, NULL);
    return luaL_error(L, "assignment to undeclared global '%s': write local %s = ...", lua_tostring(L, -1),
                      lua_tostring(L, -1));
}

/* __index of math and string: helpful for what was removed, nil for what never was. */
static int math_index(lua_State *L) {
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "",
               *instead = instead_of(removed_math, name);
    return instead == NULL ? 0 : luaL_error(L, "there is no math.%s in a flow: %s", name, instead);
}

static int string_index(lua_State *L) {
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "",
               *instead = instead_of(removed_string, name);
    return instead == NULL ? 0 : luaL_error(L, "there is no string.%s in a flow: %s", name, instead);
}

/* Gives the table on top a metatable that scripts cannot reach. */
static void protect(lua_State *L, lua_CFunction index, lua_CFunction newindex) {
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, index);
    lua_setfield(L, -2, "__index");
    if (newindex != NULL) {
        lua_pushcfunction(L, newindex);
        lua_setfield(L, -2, "__newindex");
    }
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

static void forget(lua_State *L, const char *table, const struct removed *list, lua_CFunction index) {
    lua_getglobal(L, table);
    for (; list->name != NULL; list++) {
        lua_pushnil(L);
        lua_setfield(L, -2, list->name);
    }
    protect(L, index, NULL);
    lua_pop(L, 1);
}

/* ---- single functions ---- */

/* upvalue: the library's. A finalizer would never run, which is worse than being told. */
static int set_metatable(lua_State *L) {
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L,
                              "__gc would never run in a flow: an execution does not collect; use __close");
        lua_pop(L, 1);
    }
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* upvalue: the library's. Text only; its globals are the script's. A stack overflow in the parser leaves, as
 * any other. */
static int load_text(lua_State *L) {
    if (lua_gettop(L) < 3) lua_settop(L, 3);
    lua_pushliteral(L, "t");
    lua_replace(L, 3);
    int n = lua_tocfunction(L, lua_upvalueindex(1))(L);
    if (n == 2 && mt_trace_overflow(L, -1)) mt_leave(mt_arena_of(L), LEAVE_DEPTH);
    return n;
}

static void wrap_global(lua_State *L, const char *name, lua_CFunction f) {
    lua_getglobal(L, name);
    lua_pushcclosure(L, f, 1);
    lua_setglobal(L, name);
}

/* ---- opening ---- */

/* Empties _G of everything but the allowed names and those the parts have replaced. */
static void keep_allowed(lua_State *L) {
    static const char *const replaced[] = {"setmetatable", "load", "tostring"};
    enum {
        ALLOWED = sizeof(allowed) / sizeof(allowed[0]),
        REPLACED = sizeof(replaced) / sizeof(replaced[0])
    };
    lua_pushglobaltable(L);
    lua_newtable(L);
    for (size_t i = 0; i < ALLOWED + REPLACED; i++) {
        const char *name = i < ALLOWED ? allowed[i] : replaced[i - ALLOWED];
        lua_getfield(L, -2, name);
        lua_setfield(L, -2, name);
    }
    /* The table itself stays: it is what the registry calls the globals. */
    for (lua_pushnil(L); lua_next(L, -3);) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        if (lua_gettable(L, -3) == LUA_TNIL) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_settable(L, -5);
        } else {
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 2);
}

void mt_sandbox_open(lua_State *L) {
    static const luaL_Reg libraries[] = {{"_G", luaopen_base},     {"string", luaopen_string},
                                         {"table", luaopen_table}, {"math", luaopen_math},
                                         {"utf8", luaopen_utf8},   {"coroutine", luaopen_coroutine}};
    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        luaL_requiref(L, libraries[i].name, libraries[i].func, 1);
        lua_pop(L, 1);
    }
    keep_allowed(L);
    wrap_global(L, "setmetatable", set_metatable);
    wrap_global(L, "load", load_text);
    forget(L, "math", removed_math, math_index);
    forget(L, "string", removed_string, string_index);
    mt_guard_open(L);
    mt_order_open(L);
    mt_text_open(L);
    mt_table_open(L);
    mt_error_open(L);
    mt_money_open(L);
    mt_array_open(L);
    mt_require_open(L);
    lua_pushliteral(L, ""); /* the metatable of strings is everybody's */
    lua_getmetatable(L, -1);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
    lua_pushglobaltable(L);
    protect(L, global_index, global_newindex);
    lua_pop(L, 1);
}
