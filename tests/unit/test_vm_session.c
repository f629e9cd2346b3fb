/* links: mt_vm mt_crypto mt_money mt_base */
/* Sessions: what one execution leaves behind the next one finds, and what is left is undone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>

#include "bindings/vm/testing.h"

static struct mt_vm *vm;
static struct mt_generation *generation;
static sem_t begun; /* a chunk is being carried out */

static int setup(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_vm_options o = {.modules = testing_modules(), .memory_limit = 8 << 20, .cpu_limit_ms = 100};
    sem_init(&begun, 0, 0);
    vm = mt_vm_new(&o, &e);
    if (!vm) return -1;
    generation = testing_load(vm, "t.entry('e', function() end)", &e);
    return generation == NULL;
}

static int teardown(void **state) {
    (void)state;
    mt_generation_release(generation);
    mt_vm_free(vm);
    return 0;
}

static struct mt_vm_session *open_session(void) {
    struct mt_error e;
    struct mt_vm_session *s = mt_vm_session_new(vm, generation, &e);
    if (!s) fail_msg("%s", e.message);
    return s;
}

struct chunk {
    const char *text;
    char answer[256];
};

/* The chunk's globals are a table that the registry keeps. */
static int push(lua_State *L, void *arg) {
    const struct chunk *c = arg;
    if (luaL_loadbufferx(L, c->text, strlen(c->text), "@chunk", "t") != LUA_OK) return lua_error(L);
    if (lua_getfield(L, LUA_REGISTRYINDEX, "chunk.env") != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, LUA_REGISTRYINDEX, "chunk.env");
        static const char *const names[] = {"pcall", "string", "setmetatable", "require", "pairs",
                                            "next",  NULL};
        for (int i = 0; names[i]; i++) {
            lua_getglobal(L, names[i]);
            lua_setfield(L, -2, names[i]);
        }
    }
    lua_setupvalue(L, -2, 1);
    sem_post(&begun);
    return 0;
}

static int take(lua_State *L, void *arg) {
    struct chunk *c = arg;
    snprintf(c->answer, sizeof c->answer, "%s", lua_gettop(L) ? luaL_tolstring(L, 1, NULL) : "");
    return 0;
}

static struct mt_vm_result run_in(struct mt_vm_session *s, const char *text, int64_t timeout_ms,
                                  char *answer) {
    struct chunk c = {.text = text};
    struct mt_vm_result r;
    struct mt_vm_call call = {.push = push, .take = take, .arg = &c};
    mt_vm_session_run(s, &call, timeout_ms, &r);
    if (answer) strcpy(answer, c.answer);
    mt_vm_result_clear(&r);
    return r;
}

static void expect(struct mt_vm_session *s, const char *text, const char *wanted) {
    char answer[256];
    struct mt_vm_result r = run_in(s, text, 0, answer);
    if (r.exit != MT_EXIT_RETURNED) fail_msg("%s: exit %d: %s", text, r.exit, r.message);
    assert_string_equal(answer, wanted);
}

static void globals_stay(void **state) {
    (void)state;
    struct mt_vm_session *s = open_session(), *other = open_session();
    expect(s, "x = 1 y = { z = 'a' }", "");
    expect(s, "return x .. y.z", "1a");
    expect(other, "return x", "nil");
    expect(s, "return next(y)", "z");
    mt_vm_session_free(s);
    s = open_session(); /* its arena is another's by now */
    expect(s, "return x", "nil");
    mt_vm_session_free(s);
    mt_vm_session_free(other);
}

/* An error keeps what was done until then; a limit does not, nor what it has broken. */
static void errors_keep_and_limits_undo(void **state) {
    (void)state;
    struct mt_vm_session *s = open_session();
    expect(s, "n = 0 t = {}", "");
    struct mt_vm_result r = run_in(s, "n = 1 local x = nil + 1", 0, NULL);
    assert_int_equal(r.exit, MT_EXIT_BUG);
    assert_string_equal(r.site, "chunk:1");
    expect(s, "return n", "1");
    static const char *const limits[] = {
        "n = 2 while true do end",
        "n = 2 while true do pcall(function() while true do end end) end",
        "n = 2 for i = 1, 1e9 do t[i] = i end",
        "n = 2 local a = {} for i = 1, 1e9 do a[i] = ('x'):rep(i) end",
        "n = 2 return ('x'):rep(1e9)",
        "n = 2 local function f() return pcall(f) end f()",
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        r = run_in(s, limits[i], 0, NULL);
        assert_int_equal(r.exit, MT_EXIT_LIMIT);
        expect(s, "return n .. #t", "10");
    }
    mt_vm_session_free(s);
}

/* Garbage of one execution does not stand in the way of the next. */
static void garbage_goes(void **state) {
    (void)state;
    struct mt_vm_session *s = open_session();
    for (int i = 0; i < 50; i++) {
        expect(s, "local a = {} for i = 1, 2000 do a[i] = ('x'):rep(1000) .. i end kept = #a return kept",
               "2000");
        assert_true(mt_vm_session_memory(s) < 8 << 20);
    }
    expect(s, "return kept", "2000");
    mt_vm_session_free(s);
}

static void time_is_over(void **state) {
    (void)state;
    struct mt_vm_session *s = open_session();
    expect(s, "n = 0", "");
    struct mt_vm_result r =
        run_in(s, "local t = require 'mintage.test' while true do n = n + 1 t.effect(1) end", 50, NULL);
    assert_int_equal(r.exit, MT_EXIT_LEFT);
    assert_int_equal(r.code, MT_VM_DEADLINE);
    expect(s, "return n", "0");
    mt_vm_session_free(s);
}

static void *stopper(void *arg) {
    while (sem_wait(&begun) != 0) continue;
    mt_vm_session_stop(arg);
    return NULL;
}

/* From another thread, in a loop that computes and in one of effects. */
static void somebody_stops_it(void **state) {
    (void)state;
    static const char *const loops[] = {
        "while true do end",
        "local t = require 'mintage.test' while true do pcall(t.effect, 1) end",
        "return ('a'):rep(20000):find(('a*'):rep(20) .. 'b')",
    };
    struct mt_vm_session *s = open_session();
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        pthread_t thread;
        while (sem_trywait(&begun) == 0) continue; /* those before */
        pthread_create(&thread, NULL, stopper, s);
        struct mt_vm_result r = run_in(s, loops[i], 0, NULL);
        pthread_join(thread, NULL);
        if (r.exit == MT_EXIT_LEFT) assert_int_equal(r.code, MT_VM_STOPPED);
        assert_true(r.exit == MT_EXIT_LEFT || r.exit == MT_EXIT_LIMIT); /* whoever was first */
        mt_vm_session_go_on(s);
        expect(s, "return 1", "1");
    }
    mt_vm_session_stop(s); /* too late for anything */
    mt_vm_session_go_on(s);
    expect(s, "return 2", "2");
    mt_vm_session_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(globals_stay),      cmocka_unit_test(errors_keep_and_limits_undo),
        cmocka_unit_test(garbage_goes),      cmocka_unit_test(time_is_over),
        cmocka_unit_test(somebody_stops_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
