/* Error tables: what effects raise, an ordinary table with the metatable "mintage.error". Invariant: made
 * only here, so that an uncaught one can be told from a bug. Raises like Lua; the thread of the execution. */
#include "base/json.h"
#include "bindings/vm/internal.h"
#include <string.h>

static const char meta[] = "mintage.error";

/* "kind: message" */
static int error_tostring(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *parts[2] = {"error", ""};
    static const char *const names[2] = {"kind", "message"};
    for (int i = 0; i < 2; i++) {
        lua_pushstring(L, names[i]);
        if (lua_rawget(L, 1) == LUA_TSTRING) parts[i] = lua_tostring(L, -1);
    }
    lua_pushfstring(L, parts[1][0] != '\0' ? "%s: %s" : "%s", parts[0], parts[1]);
    return 1;
}

void mt_error_open(lua_State *L) {
    luaL_newmetatable(L, meta);
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

bool mt_error_test(lua_State *L, int index) {
    if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index)) return false;
    luaL_getmetatable(L, meta);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

void mt_error_make(lua_State *L, int index) {
    index = lua_absindex(L, index);
    luaL_getmetatable(L, meta);
    lua_setmetatable(L, index);
}

static void set_string(lua_State *L, const char *name, const char *value) {
    if (value[0] == '\0') return;
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

void mt_error_push(lua_State *L, const struct mt_error *e) {
    luaL_checkstack(L, 4, NULL);
    lua_createtable(L, 0, 9);
    set_string(L, "kind", mt_kind_name(e->kind));
    set_string(L, "message", e->message);
    set_string(L, "provider", e->provider);
    set_string(L, "operation", e->operation);
    set_string(L, "code", e->code);
    set_string(L, "outcome", mt_outcome_name(e->outcome));
    if (e->http_status != 0) {
        lua_pushinteger(L, e->http_status);
        lua_setfield(L, -2, "http_status");
    }
    lua_pushboolean(L, e->retryable);
    lua_setfield(L, -2, "retryable");
    lua_pushboolean(L, e->hard);
    lua_setfield(L, -2, "hard");
    luaL_setmetatable(L, meta);
}

/* The record may come bare or marked as a value, {"$error":{...}}. */
void mt_error_push_json(lua_State *L, const char *json, size_t len) {
    mt_value_push(L, json, len);
    if (!lua_istable(L, -1)) luaL_error(L, "an error must be a JSON object");
    luaL_setmetatable(L, meta);
}
