/* JSON for specs: tables to text and back. An empty table is an object unless made by array(); null is a
 * value of its own. */
#include "base/json.h"
#include "base/text.h"
#include "testing.h"
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY "mintage.testing.array"
enum { DEPTH_MAX = 64 };

static void push_value(lua_State *L, const json_t *v) {
    const char *key;
    json_t *member;
    size_t i;
    luaL_checkstack(L, 4, "JSON is too deep");
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        lua_newtable(L);
        json_object_foreach((json_t *)v, key, member) {
            push_value(L, member);
            lua_setfield(L, -2, key);
        }
        return;
    case JSON_ARRAY:
        lua_newtable(L);
        luaL_setmetatable(L, ARRAY);
        json_array_foreach(v, i, member) {
            push_value(L, member);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        return;
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(v), json_string_length(v));
        return;
    case JSON_INTEGER:
        lua_pushinteger(L, json_integer_value(v));
        return;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(v));
        return;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(L, json_is_true(v));
        return;
    case JSON_NULL:
        lua_pushlightuserdata(L, NULL);
        return;
    }
}

static json_t *value_at(lua_State *L, int index, int depth, const char **problem);

static json_t *table_at(lua_State *L, int index, int depth, const char **problem) {
    bool array = lua_rawlen(L, index) > 0;
    if (luaL_getmetafield(L, index, "__name") != LUA_TNIL) {
        array = array || strcmp(lua_tostring(L, -1), ARRAY) == 0;
        lua_pop(L, 1);
    }
    json_t *out = array ? json_array() : json_object();
    if (array) {
        for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, index) && !*problem; i++) {
            lua_rawgeti(L, index, i);
            json_array_append_new(out, value_at(L, lua_gettop(L), depth + 1, problem));
            lua_pop(L, 1);
        }
        return out;
    }
    for (lua_pushnil(L); !*problem && lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            *problem = "an object needs string keys";
        else
            json_object_set_new(out, lua_tostring(L, -2), value_at(L, lua_gettop(L), depth + 1, problem));
    }
    if (*problem) lua_settop(L, index);
    return out;
}

/* A new reference, json null where there is a problem. */
static json_t *value_at(lua_State *L, int index, int depth, const char **problem) {
    if (depth > DEPTH_MAX || !lua_checkstack(L, 4)) {
        *problem = "the value is too deep";
        return json_null();
    }
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        return json_null();
    case LUA_TBOOLEAN:
        return json_boolean(lua_toboolean(L, index));
    case LUA_TNUMBER:
        return lua_isinteger(L, index) ? json_integer(lua_tointeger(L, index))
                                       : json_real(lua_tonumber(L, index));
    case LUA_TSTRING: {
        size_t len;
        const char *s = lua_tolstring(L, index, &len);
        json_t *v = json_stringn(s, len);
        if (!v) *problem = "a string is not UTF-8";
        return v ? v : json_null();
    }
    case LUA_TTABLE:
        return table_at(L, index, depth, problem);
    case LUA_TLIGHTUSERDATA:
        return json_null();
    default:
        *problem = "functions and userdata have no JSON";
        return json_null();
    }
}

static int encode(lua_State *L) {
    const char *problem = NULL;
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    json_t *v = value_at(L, 1, 0, &problem);
    if (problem) {
        json_decref(v);
        return luaL_error(L, "%s", problem);
    }
    size_t len;
    char *text = mt_json_dump(v, &len);
    json_decref(v);
    lua_pushlstring(L, text, len);
    free(text);
    return 1;
}

/* value, or nil and what is wrong. */
static int decode(lua_State *L) {
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    struct mt_error e;
    json_t *v = mt_json_parse(text, len, &e);
    if (!v) {
        lua_pushnil(L);
        lua_pushstring(L, e.message);
        return 2;
    }
    push_value(L, v);
    json_decref(v);
    return 1;
}

static int array(lua_State *L) {
    if (lua_isnoneornil(L, 1)) lua_newtable(L);
    luaL_checktype(L, -1, LUA_TTABLE);
    luaL_setmetatable(L, ARRAY);
    return 1;
}

void mt_testing_add_json(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"encode", encode}, {"decode", decode}, {"array", array}, {NULL, NULL}};
    luaL_newmetatable(L, ARRAY);
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
}
