/* links: mt_vm mt_crypto mt_money mt_base */
/* Leaving, 100,000 times on two threads, from wherever a script can be: no corruption, memory flat. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "bindings/vm/testing.h"

enum { THREADS = 2, ROUNDS = 100000 };

static const char script[] =
    "local places = {"
    " function() t.leave() end,"
    " function() pcall(t.leave) end,"
    " function() local x <close> = setmetatable({}, { __close = function() error 'never' end }) t.leave() "
    "end,"
    " function() ('abc'):gsub('.', function() t.leave() end) end,"
    " function() table.sort({ 3, 1, 2 }, function() t.leave() end) end,"
    " function() return tostring(setmetatable({}, { __tostring = function() t.leave() end })) end,"
    " function() coroutine.wrap(function() coroutine.wrap(function() pcall(t.leave) end)() end)() end,"
    " function() xpcall(error, function() t.leave() end) end,"
    " function() load(function() t.leave() end) end,"
    " function() for k in pairs { a = 1, b = 2 } do local s = ('x'):rep(5000) t.leave() end end,"
    "} "
    "t.entry('e', function(n) local keep = {} for i = 1, n % 50 do keep[i] = { i, tostring(i) } end places[n "
    "% #places + 1]() end)";

static struct mt_vm *vm;
static struct mt_generation *g;
static atomic_int wrong;

static long resident_kib(void) {
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f != NULL) {
        if (fscanf(f, "%ld %ld", &pages, &resident) != 2) resident = 0;
        fclose(f);
    }
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void rounds(int n) {
    for (int i = 0; i < n; i++) {
        char number[16];
        snprintf(number, sizeof(number), "%d", i);
        struct testing_call c = {.argument = number};
        struct mt_vm_result r;
        testing_run(vm, g, "e", &c, &r);
        if (r.exit != MT_EXIT_LEFT || r.code != TESTING_LEFT) atomic_fetch_add(&wrong, 1);
        mt_vm_result_clear(&r);
    }
}

static void *work(void *arg) {
    (void)arg;
    rounds(ROUNDS / THREADS);
    return NULL;
}

static void leaving_loses_nothing(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_vm_options o = {.modules = testing_modules()};
    vm = mt_vm_new(&o, &e);
    assert_non_null(vm);
    g = testing_load(vm, script, &e);
    if (g == NULL) fail_msg("%s", e.message);
    rounds(2000);
    long before = resident_kib();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    long after = resident_kib();
    assert_int_equal(atomic_load(&wrong), 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    if (after - before > 4096) fail_msg("resident memory grew from %ld to %ld KiB", before, after);
#else
    (void)before, (void)after; /* a sanitizer keeps what is freed for a while */
#endif
    mt_generation_release(g);
    mt_vm_free(vm);
}

/* Every thread with a runaway of its own, and one that is well: nobody waits for them, and nobody is confused
 * with another. */
static void *runaway(void *arg) {
    struct testing_call c = {0};
    struct mt_vm_result r;
    for (int i = 0; i < 5; i++) {
        testing_run(vm, g, arg, &c, &r);
        enum mt_exit wanted = strcmp(arg, "well") == 0 ? MT_EXIT_RETURNED : MT_EXIT_LIMIT;
        if (r.exit != wanted) atomic_fetch_add(&wrong, 1);
        mt_vm_result_clear(&r);
    }
    return NULL;
}

static void runaways_stall_nobody(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_vm_options o = {.modules = testing_modules(), .cpu_limit_ms = 30};
    vm = mt_vm_new(&o, &e);
    assert_non_null(vm);
    g = testing_load(
        vm,
        "t.entry('loop', function() while true do pcall(error) end end) "
        "t.entry('match', function() return (('a'):rep(400)):find(('.-'):rep(30) .. 'b') end) "
        "t.entry('nested', function() coroutine.wrap(function() while true do coroutine.wrap(function() "
        "for i = 1, 1e7 do end end)() end end)() end) "
        "t.entry('well', function() for i = 1, 1000 do t.effect() end return 1 end)",
        &e);
    if (g == NULL) fail_msg("%s", e.message);
    char names[][8] = {"loop", "match", "nested", "well", "loop", "match"};
    pthread_t threads[6];
    for (int i = 0; i < 6; i++) assert_int_equal(pthread_create(&threads[i], NULL, runaway, names[i]), 0);
    for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    mt_generation_release(g);
    mt_vm_free(vm);
}

/* The signal at any instant: the budget is as small as it can be, and the scripts are mostly inside what may
 * be left anywhere, with stacks and buffers that grow meanwhile. What matters is that every execution ends at
 * its limit, and the next is sound. */
static void *interrupted(void *arg) {
    (void)arg;
    static const char *const entries[] = {"find",   "captures",  "replace", "callback",
                                          "repeat", "coroutine", "format",  "keys"};
    for (int i = 0; i < 400; i++) {
        struct testing_call c = {0};
        struct mt_vm_result r;
        testing_run(vm, g, entries[i % 8], &c, &r);
        if (r.exit != MT_EXIT_LIMIT || strncmp(r.site, "script.lua:", 11) != 0) atomic_fetch_add(&wrong, 1);
        mt_vm_result_clear(&r);
        testing_run(vm, g, "sound", &c, &r);
        if (r.exit != MT_EXIT_RETURNED || strcmp(c.answer, "\"cba\"") != 0) atomic_fetch_add(&wrong, 1);
        mt_vm_result_clear(&r);
    }
    return NULL;
}

static void the_signal_may_come_at_any_instant(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_vm_options o = {
        .modules = testing_modules(), .cpu_limit_ms = 1, .memory_limit = (size_t)1 << 30};
    vm = mt_vm_new(&o, &e);
    assert_non_null(vm);
    g = testing_load(
        vm,
        "t.entry('find', function() local s = ('a'):rep(60) while true do s:find('.-.-.-b') end end) "
        "t.entry('captures', function() local function deep(n) if n == 0 then return 0 end "
        "return select('#', ('abcdefgh'):find('(.)(.)(.)(.)(.)(.)(.)(.)')) + deep(n - 1) end while true do "
        "coroutine.wrap(deep)(150) end end) "
        "t.entry('replace', function() while true do ('abc'):rep(200):gsub('b', '%0%0') end end) "
        "t.entry('callback', function() while true do ('abc'):rep(50):gsub('.', function(c) return c:rep(3) "
        "end) end end) "
        "t.entry('repeat', function() while true do ('x'):rep(3000, ',') end end) "
        "t.entry('coroutine', function() while true do for w in ('a b c d'):gmatch('%a') do "
        "coroutine.wrap(function() "
        "coroutine.yield(w:match('(.)')) end)() end end end) "
        "t.entry('format', function() while true do string.format('%s %p %5.3f', {}, {}, 1.5):find('t', 1, "
        "true) end end) "
        "t.entry('keys', function() local m = {} for i = 1, 40 do m['k' .. i] = i end while true do for k in "
        "pairs(m) do "
        "k:match('%d+') end end end) "
        "t.entry('sound', function() return ('abc'):reverse() end)",
        &e);
    if (g == NULL) fail_msg("%s", e.message);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, interrupted, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    mt_generation_release(g);
    mt_vm_free(vm);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaving_loses_nothing),
        cmocka_unit_test(runaways_stall_nobody),
        cmocka_unit_test(the_signal_may_come_at_any_instant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
