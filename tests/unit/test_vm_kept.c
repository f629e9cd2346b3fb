/* links: mt_vm mt_crypto mt_money mt_base */
/* Images that outlive their vm: taken over where all that they were made from is the same, and nowhere else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "bindings/vm/testing.h"

static int loads; /* how often scripts were run to be loaded */

static int open_counting(lua_State *L) {
    loads++;
    return testing_open(L);
}

static int open_other(lua_State *L) {
    return open_counting(L);
}

static const char script[] = "local n = 0 t.entry('e', function() n = n + 1 return n end)";

struct made {
    struct mt_vm *vm;
    struct mt_generation *g;
};

static struct made make(struct mt_vm_module *modules, size_t memory_limit, const char *settings) {
    static const char head[] = "local t = require 'mintage.test' ";
    char text[256];
    struct mt_error e;
    struct mt_vm_options o = {.modules = modules, .memory_limit = memory_limit};
    struct made m = {.vm = mt_vm_new(&o, &e)};
    snprintf(text, sizeof text, "%s%s", head, script);
    struct mt_source file = {"script.lua", text, strlen(text)};
    m.g = mt_generation_load(m.vm, &file, 1, settings, &e);
    if (m.g == NULL) fail_msg("%s", e.message);
    return m;
}

static void run(const struct made *m) {
    struct testing_call c = {0};
    struct mt_vm_result r;
    testing_run(m->vm, m->g, "e", &c, &r);
    assert_int_equal(r.exit, MT_EXIT_RETURNED);
    assert_string_equal(c.answer, "1"); /* an execution sees nothing of others */
    mt_vm_result_clear(&r);
}

static void unmake(struct made *m) {
    mt_generation_release(m->g);
    mt_vm_free(m->vm);
}

/* How many loads it takes. */
static int loads_of(struct mt_vm_module *modules, size_t memory_limit, const char *settings) {
    int before = loads;
    struct made m = make(modules, memory_limit, settings);
    run(&m);
    assert_string_equal(mt_generation_registry(m.g),
                        "[{\"doc\":\"a test\",\"file\":\"script.lua\",\"kind\":\"test\",\"line\":1,"
                        "\"name\":\"e\"}]");
    unmake(&m);
    return loads - before;
}

static struct mt_vm_module counting[] = {{"mintage.test", open_counting}, {NULL, NULL}};

static void the_same_is_taken_over(void **state) {
    (void)state;
    struct mt_vm_module copied[] = {{"mintage.test", open_counting}, {NULL, NULL}};
    mt_vm_keep_images(4);
    assert_int_equal(loads_of(counting, 0, NULL), 1);
    assert_int_equal(loads_of(copied, 0, NULL), 0);
    assert_int_equal(loads_of(counting, 0, NULL), 0);
    mt_vm_keep_images(0);
    assert_int_equal(loads_of(counting, 0, NULL), 1);
    assert_int_equal(loads_of(counting, 0, NULL), 1);
}

static void anything_else_is_loaded(void **state) {
    (void)state;
    struct mt_vm_module other[] = {{"mintage.test", open_other}, {NULL, NULL}};
    struct mt_vm_module more[] = {
        {"mintage.test", open_counting}, {"mintage.more", testing_open}, {NULL, NULL}};
    mt_vm_keep_images(4);
    assert_int_equal(loads_of(counting, 0, NULL), 1);
    assert_int_equal(loads_of(counting, 0, "{\"a\":1}"), 1);
    assert_int_equal(loads_of(counting, 1 << 20, NULL), 1);
    assert_int_equal(loads_of(other, 0, NULL), 1);
    assert_int_equal(loads_of(more, 0, NULL), 1); /* the oldest goes */
    assert_int_equal(loads_of(counting, 0, "{\"a\":1}"), 0);
    assert_int_equal(loads_of(counting, 0, NULL), 1);
    mt_vm_keep_images(0);
}

/* As after a death in a simulated world. */
static void what_was_abandoned_is_taken_over(void **state) {
    (void)state;
    mt_vm_keep_images(4);
    int before = loads;
    struct made dead = make(counting, 0, NULL);
    static struct mt_generation *lost; /* its memory is not given back */
    lost = dead.g;
    run(&dead);
    mt_vm_abandon(dead.vm);
    struct made next = make(counting, 0, NULL);
    run(&next);
    assert_string_equal(mt_generation_id(next.g), mt_generation_id(lost));
    assert_int_equal(loads - before, 1);
    unmake(&next);
    mt_vm_keep_images(0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_is_taken_over),
        cmocka_unit_test(anything_else_is_loaded),
        cmocka_unit_test(what_was_abandoned_is_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
