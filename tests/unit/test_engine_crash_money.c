/* links: mt_engine mt_providers mt_store mt_http mt_crypto mt_money mt_base */
/* Money that goes back, lived through with a death at every commit and every send: releases in one call or
 * two, and what was paid too late. */
#include "engine_world.h"

/* ---- the flows ---- */

static void flow_release(struct flow *f) {
    const char *value = call(f, "paymnt.payments.release", "{\"payment_id\":\"pay_1\"}");
    finish(f, value);
}

static void flow_undone(struct flow *f) {
    mt_effect_undo(f->x, "paymnt.payments.release", "{\"payment_id\":\"pay_1\"}",
                   strlen("{\"payment_id\":\"pay_1\"}"), "flow.lua:14", &f->a);
    flow_take(f);
    fail_flow(f, "regretted");
}

/* Gives up, and pays back what comes after that. */
static void flow_patient(struct flow *f) {
    await_event(f, "order", "p", 3600000);
    nap(f, 60000);
    charge(f, "a");
    fail_flow(f, "expired");
}

static void flow_patient_late(struct flow *f) {
    charge(f, "back");
    finish(f, "\"paid back\"");
}

static const struct flow_row flows[] = {
    {"release", flow_release},
    {"undone", flow_undone},
    {"patient", flow_patient},
    {"patient.late", flow_patient_late},
    {0},
};

#include "engine_lives.h"

/* ---- the tests ---- */

static void hold(struct world *w, const char *status, int received, int capturable) {
    w->net.payment = (struct payment){.status = status,
                                      .received = received,
                                      .capturable = capturable,
                                      .refunds = json_array(),
                                      .by_key = json_object()};
}

static void half_captured(struct world *w) {
    hold(w, "partially_captured_and_capturable", 3000, 2000);
}

/* Somebody captures it between the release's read and its call. */
static void held_and_captured(struct world *w) {
    hold(w, "requires_capture", 0, 5000);
    w->net.payment.captured_after_read = true;
}

static void drops_everything_once(struct world *w) {
    half_captured(w);
    net_rule(w, "/payments/pay_1/cancel", FAULT_DROP_AFTER, 1);
    net_rule(w, "POST /refunds", FAULT_DROP_AFTER, 1);
}

static void check_given_back(struct world *w, const char *id) {
    (void)id;
    struct payment *p = &w->net.payment;
    assert_int_equal(p->capturable, 0);
    assert_int_equal(json_array_size(p->refunds), 1); /* never two */
    assert_int_equal(mt_json_int(json_array_get(p->refunds, 0), "amount", 0), p->received);
    assert_true(done_times(w, "POST /refunds") == 1 && done_times(w, "/cancel") <= 1);
}

static void test_release_in_two_calls(void **state) {
    (void)state;
    static const char *const as[] = {"release", "undone"};
    for (int i = 0; i < 2; i++)
        exhaust((struct scenario){.flow = as[i],
                                  .faults = half_captured,
                                  .check = check_given_back,
                                  .end = i ? MT_RUN_FAILED : MT_RUN_COMPLETED,
                                  .pairs = true});
}

static void test_release_whose_state_moves(void **state) {
    (void)state;
    static const char *const as[] = {"release", "undone"};
    for (int i = 0; i < 2; i++)
        exhaust((struct scenario){.flow = as[i],
                                  .faults = held_and_captured,
                                  .check = check_given_back,
                                  .end = i ? MT_RUN_FAILED : MT_RUN_COMPLETED,
                                  .pairs = true});
}

static void busy_between(struct world *w) {
    half_captured(w);
    net_rule(w, "POST /refunds", FAULT_BUSY_LATER, 1);
}

/* The rest is voided, the refund has to wait, and the run is cancelled meanwhile: the refund is made all the
 * same, whether the process dies of it or not. */
static void test_release_is_not_cancelled_half_way(void **state) {
    (void)state;
    for (int commit = 0; commit < 12; commit++) {
        struct scenario s = {.flow = "release", .act_at = 10000, .act = cancel_it};
        struct world *w = world_new(flows, true);
        busy_between(w);
        w->die_at_commit = commit;
        world_open(w);
        while (!live(w, &s)) {
            world_stop(w);
            w->die_at_commit = 0;
            world_open(w);
        }
        assert_safe(w);
        assert_true(mt_run_ended(state_of(w, s.id)));
        check_given_back(w, s.id);
        world_free(w);
    }
}

static void test_release_with_lost_answers(void **state) {
    (void)state;
    exhaust((struct scenario){.flow = "release",
                              .faults = drops_everything_once,
                              .check = check_given_back,
                              .end = MT_RUN_COMPLETED});
}

static void pays_late(struct world *w, const char *id) {
    struct mt_error e;
    (void)id;
    int rc = mt_engine_signal(w->engine, "order", "p", "{\"paid\":true}", "evt-late", NULL, NULL, &e);
    assert_true(rc == 0 || atomic_load(&w->dead));
}

static void check_paid_back(struct world *w, const char *id) {
    struct mt_run *runs = NULL;
    size_t count = 0;
    struct mt_error e;
    struct mt_run_filter late = {.flow = "patient.late", .state = -1, .limit = 10};
    assert_int_equal(w->store->list_runs(w->store, &late, &runs, &count, &e), 0);
    assert_int_equal(count, 1);
    assert_int_equal(runs[0].state, MT_RUN_COMPLETED);
    assert_non_null(strstr(runs[0].input, id));
    mt_run_clear(&runs[0]);
    free(runs);
    assert_int_equal(done_times(w, "/charge/back"), 1);
}

/* When the run has given up but not ended, and when it has ended. */
static void test_late_event(void **state) {
    (void)state;
    static const int64_t at[] = {3610000, 7200000};
    for (int i = 0; i < 2; i++)
        exhaust((struct scenario){.flow = "patient",
                                  .act_at = at[i],
                                  .act = pays_late,
                                  .check = check_paid_back,
                                  .end = MT_RUN_FAILED,
                                  .pairs = i == 1});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_release_in_two_calls),
        cmocka_unit_test(test_release_whose_state_moves),
        cmocka_unit_test(test_release_is_not_cancelled_half_way),
        cmocka_unit_test(test_release_with_lost_answers),
        cmocka_unit_test(test_late_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
