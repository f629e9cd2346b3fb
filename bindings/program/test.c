/* mintage test: hosts busted in a plain Lua 5.4 state of our own (specs are trusted: they have the whole
 * standard library), with mintage.testing to hand. busted decides the exit code. */
#include "base/text.h"
#include "embedded.h"
#include "program.h"
#include "testing.h"
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NATIVE "mintage.testing.native"

int mt_open_testing(lua_State *L) {
    char program[4096];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    lua_newtable(L);
    mt_testing_add_processes(L);
    mt_testing_add_http(L);
    mt_testing_add_json(L);
    mt_testing_add_world(L);
    lua_pushlstring(L, program, n > 0 ? (size_t)n : 0);
    lua_setfield(L, -2, "program");
    return 1;
}

static int open_testing(lua_State *L) {
    const struct mt_asset *a = mt_embedded_testing;
    if (luaL_loadbuffer(L, (const char *)a->data, a->len, "@mintage/testing.lua") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    return 1;
}

/* The name of the folder of specs, when none was given. */
static const char *default_path(void) {
    return access("tests/spec", F_OK) == 0 ? "tests/spec" : "spec";
}

/* busted reads the global `arg`: what was given, its paths first. */
static void set_arguments(lua_State *L, int argc, const char **argv) {
    bool has_path = false;
    int n = 0;
    lua_newtable(L);
    lua_pushstring(L, "mintage test");
    lua_rawseti(L, -2, 0);
    for (int i = 0; i < argc; i++) has_path = has_path || argv[i][0] != '-';
    if (!has_path) {
        lua_pushstring(L, default_path());
        lua_rawseti(L, -2, ++n);
    }
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, ++n);
    }
    lua_setglobal(L, "arg");
}

static int traceback(lua_State *L) {
    const char *message = luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, message, 1);
    return 1;
}

int mt_test_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv) {
    (void)self, (void)config;
    lua_State *L = luaL_newstate();
    if (!L) {
        fprintf(stderr, "mintage test: no memory for a Lua state\n");
        return MT_EXIT_FAILED;
    }
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, mt_open_testing);
    lua_setfield(L, -2, NATIVE);
    lua_pushcfunction(L, open_testing);
    lua_setfield(L, -2, "mintage.testing");
    lua_pop(L, 1);
    set_arguments(L, argc, argv);

    lua_pushcfunction(L, traceback);
    int code = MT_EXIT_FAILED;
    if (luaL_loadstring(L, "return pcall(require, 'busted.runner')") != LUA_OK ||
        lua_pcall(L, 0, 2, 1) != LUA_OK || !lua_toboolean(L, -2)) {
        fprintf(stderr, "mintage test: busted for Lua 5.4 is not installed (on Debian: apt install "
                        "lua-busted, or ./setup.sh test)\n");
    } else if (luaL_loadstring(L, "require 'busted.runner' { standalone = false }") != LUA_OK ||
               lua_pcall(L, 0, 0, 1) != LUA_OK) { /* it ends the process itself when all went as it should */
        fprintf(stderr, "mintage test: %s\n", lua_tostring(L, -1));
    } else {
        code = MT_EXIT_DONE;
    }
    lua_close(L);
    return code;
}
