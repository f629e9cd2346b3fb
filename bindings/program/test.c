/* mintage test: hosts busted in a plain Lua 5.4 state of our own (specs are trusted: they have the whole
 * standard library), with mintage.testing to hand. busted decides the exit code. */
#include "base/text.h"
#include "embedded.h"
#include "program.h"
#include "testing.h"
#include <lauxlib.h>
#include <lualib.h>
#include <sched.h>
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
    mt_testing_add_sockets(L);
    mt_testing_add_json(L);
    mt_testing_add_world(L);
    mt_testing_add_forks(L);
    lua_pushlstring(L, program, n > 0 ? (size_t)n : 0);
    lua_setfield(L, -2, "program");
    return 1;
}

const char *mt_specs_folder(void) {
    static const char *const folders[] = {"specs", "tests/spec", "spec"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        if (access(folders[i], F_OK) == 0) return folders[i];
    }
    return folders[0];
}

/* busted reads the global `arg`: what was given, its paths first. */
static void set_arguments(lua_State *L, const struct mt_config *config, int argc, const char **argv) {
    const char *filter = mt_config_str(config, "filter"), *junit = mt_config_str(config, "junit");
    bool has_path = false;
    int n = 0;
    lua_newtable(L);
    lua_pushstring(L, "mintage test");
    lua_rawseti(L, -2, 0);
    for (int i = 0; i < argc; i++) has_path = has_path || argv[i][0] != '-';
    if (!has_path) {
        lua_pushstring(L, mt_specs_folder());
        lua_rawseti(L, -2, ++n);
    }
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, ++n);
    }
    if (filter) {
        lua_pushfstring(L, "--filter=%s", filter);
        lua_rawseti(L, -2, ++n);
    }
    if (junit || mt_config_bool(config, "json")) {
        lua_pushstring(L, junit ? "--output=junit" : "--output=mintage_json");
        lua_rawseti(L, -2, ++n);
    }
    if (junit) {
        lua_pushfstring(L, "-Xoutput=%s", junit);
        lua_rawseti(L, -2, ++n);
    }
    lua_setglobal(L, "arg");
}

/* The module mintage.testing.options: what the command line says. Its table is the upvalue. */
static int open_options(lua_State *L) {
    lua_pushvalue(L, lua_upvalueindex(1));
    return 1;
}

static void push_options(lua_State *L, const struct mt_config *config) {
    static const char *const flags[] = {"crash", "crash-pairs", "json"};
    static const char *const texts[] = {"loss", "replay", "junit"};
    static const char *const names[] = {"crash", "crash_pairs", "json"};
    int64_t seed = mt_config_int(config, "seed"), jobs = mt_config_int(config, "jobs");
    lua_newtable(L);
    for (size_t i = 0; i < 3; i++) {
        lua_pushboolean(L, mt_config_bool(config, flags[i]));
        lua_setfield(L, -2, names[i]);
        lua_pushstring(L, mt_config_str(config, texts[i]));
        lua_setfield(L, -2, texts[i]);
    }
    lua_pushinteger(L, mt_config_int(config, "faults"));
    lua_setfield(L, -2, "faults");
    lua_pushinteger(L, seed ? seed : 1);
    lua_setfield(L, -2, "seed");
    lua_pushboolean(L, seed != 0);
    lua_setfield(L, -2, "own_seed");
    cpu_set_t cores;
    if (!jobs) jobs = sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 1;
    lua_pushinteger(L, jobs);
    lua_setfield(L, -2, "jobs");
    lua_pushinteger(L, mt_config_int(config, "deadline"));
    lua_setfield(L, -2, "deadline_ms");
}

/* Loads an embedded module; its asset is the upvalue. */
static int open_embedded(lua_State *L) {
    const struct mt_asset *a = lua_touserdata(L, lua_upvalueindex(1));
    lua_pushfstring(L, "@mintage/%s", a->path);
    if (luaL_loadbuffer(L, (const char *)a->data, a->len, lua_tostring(L, -1)) != LUA_OK) return lua_error(L);
    lua_call(L, 0, 1);
    return 1;
}

/* [preload] */
static void preload(lua_State *L, const struct mt_asset *a, const char *name) {
    lua_pushlightuserdata(L, (void *)(uintptr_t)a);
    lua_pushcclosure(L, open_embedded, 1);
    lua_setfield(L, -2, name);
}

static void preload_modules(lua_State *L, const struct mt_config *config) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, mt_open_testing);
    lua_setfield(L, -2, NATIVE);
    push_options(L, config);
    lua_pushcclosure(L, open_options, 1);
    lua_setfield(L, -2, "mintage.testing.options");
    preload(L, mt_embedded_testing, "mintage.testing");
    for (const struct mt_asset *a = mt_embedded_worlds; a->path; a++) {
        char name[64];
        int stem = (int)strcspn(a->path, ".");
        if (strcmp(a->path, "world.lua") == 0)
            mt_copy(name, sizeof name, "mintage.world");
        else if (strcmp(a->path, "json_output.lua") == 0) /* where busted looks for --output=mintage_json */
            mt_copy(name, sizeof name, "busted.outputHandlers.mintage_json");
        else
            mt_format(name, sizeof name, "mintage.testing.%.*s", stem, a->path);
        preload(L, a, name);
    }
    lua_pop(L, 1);
}

static int traceback(lua_State *L) {
    const char *message = luaL_tolstring(L, 1, NULL);
    luaL_traceback(L, L, message, 1);
    return 1;
}

int mt_test_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv) {
    (void)self;
    lua_State *L = luaL_newstate();
    if (!L) {
        fprintf(stderr, "mintage test: no memory for a Lua state\n");
        return MT_EXIT_FAILED;
    }
    luaL_openlibs(L);
    preload_modules(L, config);
    set_arguments(L, config, argc, argv);

    lua_pushcfunction(L, traceback);
    int code = MT_EXIT_FAILED;
    if (luaL_loadstring(L, "return pcall(require, 'busted.core')") != LUA_OK ||
        lua_pcall(L, 0, 2, 1) != LUA_OK || !lua_toboolean(L, -2)) {
        fprintf(stderr, "mintage test: busted for Lua 5.4 is not installed (on Debian: apt install "
                        "lua-busted, or ./setup.sh test)\n");
    } else if (luaL_loadstring(L, "require 'mintage.testing.command'") != LUA_OK ||
               lua_pcall(L, 0, 0, 1) != LUA_OK) { /* it ends the process itself when all went as it should */
        fprintf(stderr, "mintage test: %s\n", lua_tostring(L, -1));
    } else {
        code = MT_EXIT_DONE;
    }
    lua_close(L);
    return code;
}
