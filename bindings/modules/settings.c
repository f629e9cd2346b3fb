/* mintage.settings: the part of the configuration that scripts can see. It belongs to the generation, so a
 * replay sees what the first execution saw. Invariant: nothing a script does changes it; a table of it is
 * given as a copy of its own. */
#include "base/json.h"
#include "bindings/modules/module.h"
#include "bindings/modules/modules.h"
#include <stdlib.h>
#include <string.h>

static void push_text(lua_State *L, int index) {
    size_t len;
    const char *text = lua_tolstring(L, index, &len);
    mt_value_push(L, text, len);
}

/* The upvalue has each setting's JSON by its name. */
static int get(lua_State *L) {
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TNIL) return 1;
    push_text(L, -1);
    return 1;
}

static int refuse(lua_State *L) {
    return luaL_error(L, "mintage.settings is read-only: it changes with the configuration file");
}

static int next_setting(lua_State *L) {
    lua_settop(L, 2);
    if (lua_next(L, 1) == 0) return 0;
    push_text(L, -1);
    lua_remove(L, -2);
    return 2;
}

static int pairs_of(lua_State *L) {
    lua_pushcfunction(L, next_setting);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushnil(L);
    return 3;
}

/* settings(): all of it, as a table of the script's own. */
static int all(lua_State *L) {
    const char *text = mt_generation_settings(mt_vm_generation(L));
    mt_value_push(L, text, strlen(text));
    return 1;
}

/* Puts each member's JSON into the table on top; a C function of its own, so that nothing is lost by an
 * error. */
static void keep_texts(lua_State *L, const json_t *settings) {
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)settings, name, value) {
        size_t len;
        char *text = mt_json_dump(value, &len);
        lua_pushlstring(L, text, len);
        free(text);
        lua_setfield(L, -2, name);
    }
}

int mt_open_settings(lua_State *L) {
    static const struct {
        const char *name;
        lua_CFunction call;
    } methods[] = {{"__index", get}, {"__newindex", refuse}, {"__pairs", pairs_of}, {"__call", all}};
    const char *text = mt_generation_settings(mt_vm_generation(L));
    struct mt_error ignored;
    json_t *settings = mt_json_parse(text, strlen(text), &ignored);
    lua_newtable(L); /* the module: empty, so that every name goes through its metatable */
    lua_newtable(L);
    lua_newtable(L);
    keep_texts(L, settings);
    json_decref(settings);
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        lua_pushvalue(L, -1);
        lua_pushcclosure(L, methods[i].call, 1);
        lua_setfield(L, -3, methods[i].name);
    }
    lua_pop(L, 1);
    lua_pushliteral(L, "mintage.settings");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    return 1;
}
