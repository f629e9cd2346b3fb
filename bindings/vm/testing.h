/* For tests of bindings/vm only: a VM with small test modules, loading from string literals, and calling an
 * entry with JSON both ways. Header-only; every function asserts through cmocka, which the test has included.
 */
#pragma once
#include "base/buf.h"
#include "bindings/vm/value.h"
#include "bindings/vm/vm.h"
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

enum { TESTING_LEFT = 7 };

/* t.leave() leaves; t.effect(ms) computes in C as an effect; t.entry(name, f) registers "test:<name>". */
static int testing_leave(lua_State *L) {
    mt_vm_leave(L, TESTING_LEFT);
}

static int testing_entry(lua_State *L) {
    const char *name = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    mt_vm_register(L, "test", name, 2, "{\"doc\":\"a test\"}");
    return 0;
}

static int testing_effect(lua_State *L) {
    mt_vm_effect_begin(L);
    mt_vm_effect_end(L);
    return 0;
}

static int testing_raise(lua_State *L) {
    struct mt_error e;
    mt_fail(&e, mt_kind_from_name(luaL_checkstring(L, 1)), "%s", luaL_checkstring(L, 2));
    mt_error_push(L, &e);
    return lua_error(L);
}

static int testing_site(lua_State *L) {
    char site[96];
    mt_vm_site(L, site);
    lua_pushstring(L, site);
    return 1;
}

static int testing_open(lua_State *L) {
    static const luaL_Reg functions[] = {{"leave", testing_leave},   {"entry", testing_entry},
                                         {"effect", testing_effect}, {"raise", testing_raise},
                                         {"site", testing_site},     {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}

static inline const struct mt_vm_module *testing_modules(void) {
    static const struct mt_vm_module modules[] = {{"mintage.test", testing_open}, {NULL, NULL}};
    return modules;
}

/* One file, in which `t` is the test module. NULL and e when it does not load. */
static inline struct mt_generation *testing_load(struct mt_vm *vm, const char *text, struct mt_error *e) {
    struct mt_buf b;
    mt_buf_init(&b, 1 << 20);
    mt_buf_addf(&b, "local t = require 'mintage.test' %s", text);
    struct mt_source file = {"script.lua", b.data, b.len};
    struct mt_generation *g = mt_generation_load(vm, &file, 1, NULL, e);
    mt_buf_clear(&b);
    return g;
}

struct testing_call {
    const char *argument; /* JSON, or NULL */
    char answer[4096];    /* JSON of the first result */
};

static inline int testing_push(lua_State *L, void *arg) {
    struct testing_call *c = arg;
    if (c->argument == NULL) return 0;
    mt_value_push(L, c->argument, strlen(c->argument));
    return 1;
}

static inline int testing_take(lua_State *L, void *arg) {
    struct testing_call *c = arg;
    struct mt_error e;
    struct mt_buf *b = mt_vm_scratch(L, 2);
    lua_settop(L, 1);
    if (mt_value_encode(L, 1, b, &e) != 0) return luaL_error(L, "%s", e.message);
    snprintf(c->answer, sizeof(c->answer), "%s", b->data);
    return 0;
}

/* Runs "test:<name>". The caller clears out. */
static inline void testing_run(struct mt_vm *vm, struct mt_generation *g, const char *name,
                               struct testing_call *c, struct mt_vm_result *out) {
    char entry[128];
    snprintf(entry, sizeof(entry), "test:%s", name);
    struct mt_vm_call call = {.entry = entry, .push = testing_push, .take = testing_take, .arg = c};
    c->answer[0] = '\0';
    mt_vm_execute(vm, g, &call, out);
}
