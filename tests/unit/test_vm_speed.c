/* links: mt_vm mt_crypto mt_money mt_base */
/* What an execution costs: restoring the image of a generation of about 700 lines and running a trivial
 * entry. Prints; fails only when it is out of all proportion, because machines differ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "bindings/vm/testing.h"

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* 35 functions of 20 lines, as flows are written. */
static void write_script(struct mt_buf *b) {
    mt_buf_adds(b, "local t = require 'mintage.test'\nlocal M = {}\n");
    for (int i = 0; i < 35; i++) {
        mt_buf_addf(
            b,
            "\nfunction M.step_%d(order, options)\n"
            "  local total = 0\n"
            "  if not order.items then return nil, 'order %d has no items' end\n"
            "  for index, item in ipairs(order.items) do\n"
            "    if item.quantity > 0 then\n"
            "      total = total + item.quantity * item.price\n"
            "    else\n"
            "      error('item ' .. index .. ' of step %d has no quantity')\n"
            "    end\n"
            "  end\n"
            "  local payment = { amount = total, description = order.description, kind = 'step_%d' }\n"
            "  if options and options.capture == 'manual' then\n"
            "    payment.capture_method = options.capture\n"
            "  elseif order.late then\n"
            "    payment.due = order.due or 'tomorrow'\n"
            "  end\n"
            "  payment.reference = string.format('%%s-%%d', order.id, %d)\n"
            "  return payment\n"
            "end\n",
            i, i, i, i, i);
    }
    mt_buf_adds(b, "t.entry('e', function() return 1 end)\nreturn M\n");
}

static void executing_is_cheap(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_vm_options o = {.modules = testing_modules()};
    struct mt_vm *vm = mt_vm_new(&o, &e);
    assert_non_null(vm);
    struct mt_buf b;
    mt_buf_init(&b, 1 << 20);
    write_script(&b);
    struct mt_source file = {"script.lua", b.data, b.len};
    double from = now_us();
    struct mt_generation *g = mt_generation_load(vm, &file, 1, NULL, &e);
    if (g == NULL) fail_msg("%s", e.message);
    printf("loading: %.0f us\n", now_us() - from);
    struct mt_vm_call call = {.entry = "test:e"};
    struct mt_vm_result r;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    enum { ROUNDS = 2000 }; /* what a sanitizer costs is not of interest */
#else
    enum { ROUNDS = 20000 };
#endif
    double best = 1e9;
    for (int pass = 0; pass < 10; pass++) {
        from = now_us();
        for (int i = 0; i < ROUNDS; i++) {
            mt_vm_execute(vm, g, &call, &r);
            if (r.exit != MT_EXIT_RETURNED) fail_msg("%s", r.message);
            mt_vm_result_clear(&r);
        }
        double each = (now_us() - from) / ROUNDS;
        if (each < best) best = each;
    }
    printf("executing a trivial entry: %.2f us\n", best);
    assert_true(best < 500);
    mt_generation_release(g);
    mt_vm_free(vm);
    mt_buf_clear(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(executing_is_cheap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
