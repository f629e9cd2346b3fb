/* links: mt_engine mt_providers mt_store mt_http mt_crypto mt_money mt_base */
/* What a run may be told, and when: cancelling in every state, retrying, resolving, parking, children,
 * continuing, limits. */
#include "engine_runs.h"

static int boundaries, cancel_at; /* cancel before so many-th effect */

/* ---- cancelling ---- */

static int waits_for_event(struct flow *f) {
    charge(f, "a");
    undo_charge(f, "a");
    await_event(f, "order", "o", -1);
    return 0;
}

static void test_cancel_waiting(void **state) {
    struct world *w = *state;
    struct mt_error e;
    const char *id = begin(w, waits_for_event);
    assert_state(w, id, MT_RUN_WAITING);
    assert_int_equal(cancel(w, id, &e), 0);
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_CANCELLED);
    assert_error(w, id, "changed my mind");
    assert_int_equal(done_times(w, "/refund/a"), 1);
    assert_int_equal(atomic_load(&w->executions), 1); /* no replay is needed to cancel */
    struct mt_entry *entries;
    size_t n = journal_of(w, id, 0, &entries);
    assert_int_equal(n, 5);
    assert_int_equal(entries[2].outcome, MT_NOT_SENT); /* the wait ended */
    assert_string_equal(entries[3].kind, "cancel");
    assert_string_equal(entries[3].result, "\"changed my mind\"");
    assert_string_equal(entries[4].kind, "compensate");
    journal_free(entries, n);
    assert_int_equal(cancel(w, id, &e), -1); /* it has ended */
    assert_int_equal(e.kind, MT_CONFLICT);
}

static int sleeps(struct flow *f) {
    nap(f, 1000 * 86400);
    charge(f, "late");
    return 0;
}

static void test_cancel_sleeping(void **state) {
    struct world *w = *state;
    struct mt_error e;
    const char *id = begin(w, sleeps);
    assert_state(w, id, MT_RUN_SLEEPING);
    assert_int_equal(cancel(w, id, &e), 0);
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_CANCELLED);
    assert_true(now_of(w) == WORLD_START);
    assert_int_equal(w->net.count, 0);
}

static void test_cancel_before_it_began(void **state) {
    struct world *w = *state;
    struct mt_error e;
    struct mt_run run;
    script = sleeps;
    w->options.workers = -1; /* nobody executes */
    world_open(w);
    char id[MT_ID_SIZE];
    mt_copy(id, sizeof id, start_run(w, "script", "{}", NULL));
    assert_state(w, id, MT_RUN_QUEUED);
    assert_int_equal(cancel(w, id, &e), 0);
    world_stop(w);
    w->options.workers = 2;
    world_open(w);
    assert_true(world_settle(w));
    run = run_of(w, id);
    assert_int_equal(run.state, MT_RUN_CANCELLED);
    mt_run_clear(&run);
    assert_int_equal(atomic_load(&w->executions), 0);
}

static void boundary(struct flow *f) {
    struct mt_error e;
    if (++boundaries == cancel_at) assert_int_equal(cancel(f->w, mt_exec_run_id(f->x), &e), 0);
}

/* Everything that has a boundary, with something to undo from the start. */
static int many_effects(struct flow *f) {
    boundary(f);
    charge(f, "a");
    boundary(f);
    undo_charge(f, "a");
    boundary(f);
    read_url(f, "/object/1");
    boundary(f);
    progress(f, "{\"step\":1}");
    boundary(f);
    store_put(f, "b");
    boundary(f);
    documents(f, "put", "{\"doc\":{\"number\":\"9\"},\"id\":\"o9\"}");
    boundary(f);
    start_child(f, "child", "{\"name\":\"c\"}", NULL, false);
    boundary(f);
    start_child(f, "child", "{\"name\":\"d\"}", NULL, true);
    boundary(f);
    charge(f, "z");
    boundary(f);
    finish(f, "1");
    return 0;
}

static void test_cancel_at_every_boundary(void **state) {
    (void)state;
    world_free(*state);
    for (int at = 1; at <= 10; at++) {
        struct world *w = world_new(flows, false);
        *state = w;
        boundaries = 0;
        cancel_at = at;
        const char *id = begin(w, many_effects);
        if (at == 10) { /* nothing comes after it: it has ended first */
            assert_state(w, id, MT_RUN_COMPLETED);
        } else {
            assert_state(w, id, MT_RUN_CANCELLED);
            assert_error(w, id, "changed my mind");
        }
        assert_int_equal(done_times(w, "/charge/a"), at > 1);
        /* an execution hears of it with its next batch: what only waits to be written (an undo) still takes
         * its place */
        assert_int_equal(done_times(w, "/refund/a"), at > 1 && at < 10 ? 1 : 0);
        assert_int_equal(done_times(w, "/put/b"), at > 5);
        assert_int_equal(done_times(w, "/charge/z"), at == 10);
        struct mt_run *runs;
        size_t count;
        struct mt_error e;
        struct mt_run_filter children = {.flow = "child", .state = -1, .limit = 10};
        assert_int_equal(w->store->list_runs(w->store, &children, &runs, &count, &e), 0);
        assert_int_equal(count, at > 6 ? 2 : 0);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(runs[i].state, runs[i].detached || at == 10 ? MT_RUN_WAITING : MT_RUN_CANCELLED);
            mt_run_clear(&runs[i]);
        }
        free(runs);
        assert_safe(w);
        if (at < 10) world_free(w);
    }
}

static int charges(struct flow *f) {
    charge(f, "a");
    finish(f, "1");
    return 0;
}

static void test_cancel_while_backing_off(void **state) {
    struct world *w = *state;
    struct mt_error e;
    net_rule(w, "/charge/a", FAULT_BUSY_LATER, 3);
    const char *id = begin(w, charges);
    assert_state(w, id, MT_RUN_WAITING); /* nothing is in flight: the provider said no */
    assert_int_equal(cancel(w, id, &e), 0);
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_CANCELLED);
    assert_int_equal(sent_times(w, "/charge/a"), 1);
}

static int in_doubt(struct flow *f) {
    undo_charge(f, "a");
    charge(f, "a");
    charge(f, "b");
    return 0;
}

static void test_cancel_with_a_call_in_flight(void **state) {
    struct world *w = *state;
    struct mt_error e;
    net_rule(w, "/charge/a", FAULT_DROP_AFTER, 1);
    net_rule(w, "/charge/a", FAULT_BUSY_LATER, 1);
    const char *id = begin(w, in_doubt);
    assert_state(w, id, MT_RUN_WAITING);
    assert_int_equal(cancel(w, id, &e), 0);
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_CANCELLED);
    assert_int_equal(done_times(w, "/charge/a"), 1); /* it settled first */
    assert_int_equal(done_times(w, "/refund/a"), 1);
    assert_int_equal(sent_times(w, "/charge/b"), 0);
    struct mt_entry *entries;
    size_t n = journal_of(w, id, 0, &entries);
    assert_int_equal(entries[1].outcome, MT_DONE);
    journal_free(entries, n);
    assert_safe(w);
}

static int undone_right_after(struct flow *f) {
    charge(f, "a");
    undo_charge(f, "a");
    charge(f, "b");
    return 0;
}

/* The cancellation is there when the charge settles, and the script has not come to its undo. */
static void test_cancel_before_the_undo(void **state) {
    struct world *w = *state;
    struct mt_error e;
    net_rule(w, "/charge/a", FAULT_DROP_AFTER, 1);
    net_rule(w, "/charge/a", FAULT_BUSY_LATER, 1);
    const char *id = begin(w, undone_right_after);
    assert_state(w, id, MT_RUN_WAITING);
    assert_int_equal(cancel(w, id, &e), 0);
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_CANCELLED);
    assert_int_equal(done_times(w, "/charge/a"), 1);
    assert_int_equal(done_times(w, "/refund/a"), 1);
    assert_int_equal(sent_times(w, "/charge/b"), 0);
    assert_safe(w);
}

/* ---- parking: bugs, mismatches, limits ---- */

static int buggy(struct flow *f) {
    charge(f, "a");
    mt_effect_call(f->x, "http.pots", "{}", 2, "flow.lua:20", &f->a);
    flow_take(f);
    return 0;
}

static int repaired(struct flow *f) {
    charge(f, "a");
    charge(f, "b");
    finish(f, "\"repaired\"");
    return 0;
}

static void test_bug_parks_and_retry_repairs(void **state) {
    struct world *w = *state;
    struct mt_error e;
    const char *id = begin(w, buggy);
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    assert_error(w, id, "http.post"); /* did you mean */
    script = repaired;
    assert_int_equal(retry(w, id, &e), 0);
    assert_true(world_settle(w));
    assert_output(w, id, "\"repaired\"");
    assert_int_equal(sent_times(w, "/charge/a"), 1); /* journaled: never again */
    assert_int_equal(retry(w, id, &e), -1);
    assert_int_equal(e.kind, MT_CONFLICT);
}

static int undo_then_bug(struct flow *f) {
    charge(f, "a");
    undo_charge(f, "a");
    return buggy(f);
}

static void test_parked_by_a_bug_can_be_cancelled(void **state) {
    struct world *w = *state;
    struct mt_error e;
    const char *id = begin(w, undo_then_bug);
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    assert_int_equal(done_times(w, "/refund/"), 0); /* a bug is not an event in the world */
    assert_int_equal(cancel(w, id, &e), 0);
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_CANCELLED);
    assert_int_equal(done_times(w, "/refund/a"), 1);
}

static int first_shape(struct flow *f) {
    charge(f, "a");
    await_event(f, "order", "o", -1);
    return 0;
}

static int second_shape(struct flow *f) {
    charge(f, "other");
    return 0;
}

static void test_mismatch_names_everything(void **state) {
    struct world *w = *state;
    struct mt_error e;
    const char *id = begin(w, first_shape);
    script = second_shape;
    world_publish(w, "sha256:two");
    assert_int_equal(mt_engine_signal(w->engine, "order", "o", "{}", NULL, NULL, NULL, &e), 0);
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    static const char *const parts[] = {"\"kind\":\"mismatch\"",
                                        "\"seq\":1",
                                        "effect 1",
                                        "http.post",
                                        "with other parameters",
                                        "flow.lua:1",
                                        "\"expected\"",
                                        "\"found\"",
                                        "sha256:one",
                                        "sha256:two"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) assert_error(w, id, parts[i]);
    assert_int_equal(sent_times(w, "/charge/other"), 0);
    script = first_shape;
    assert_int_equal(retry(w, id, &e), 0);
    assert_true(world_settle(w));
    assert_output(w, id, "null");
}

static int ends_early(struct flow *f) {
    finish(f, "1");
    return 0;
}

static void test_ending_before_the_journal_does(void **state) {
    struct world *w = *state;
    struct mt_error e;
    const char *id = begin(w, first_shape);
    script = ends_early;
    assert_int_equal(mt_engine_signal(w->engine, "order", "o", "{}", NULL, NULL, NULL, &e), 0);
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    assert_error(w, id, "asked for return");
}

static int
caught(struct flow *f) { /* a pcall around a mistake leaves no trace: a replay must take the same way */
    mt_effect_call(f->x, "http.post", "{\"url\":7}", 9, "flow.lua:30", &f->a);
    assert_int_equal(f->a.step, MT_STEP_BUG);
    const char *operations[] = {"http.get", "http.get"};
    const char *params[] = {"{\"url\":\"" WORLD_BASE "/object/1\"}", "{\"uri\":\"x\"}"};
    mt_effect_all(f->x, 2, operations, params, "flow.lua:31", &f->a);
    assert_int_equal(f->a.step, MT_STEP_BUG);
    mt_effect_progress(f->x, "7", "flow.lua:32", &f->a);
    assert_int_equal(f->a.step, MT_STEP_BUG);
    charge(f, "a");
    await_event(f, "order", "o", -1);
    charge(f, "b");
    finish(f, "2");
    return 0;
}

static void test_caught_mistakes_replay(void **state) {
    struct world *w = *state;
    struct mt_error e;
    const char *id = begin(w, caught);
    assert_int_equal(mt_engine_signal(w->engine, "order", "o", "{}", NULL, NULL, NULL, &e), 0);
    assert_true(world_settle(w));
    assert_output(w, id, "2");
}

static int endless(struct flow *f) {
    for (int i = 0; i < 100; i++) progress(f, "{\"step\":1}");
    return 0;
}

static void test_journal_limit(void **state) {
    struct world *w = *state;
    w->options.entries_max = 60;
    const char *id = begin(w, endless);
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    assert_error(w, id, "flow.continue");
    assert_error(w, id, "\"kind\":\"limit\"");
    struct mt_entry *entries;
    size_t n = journal_of(w, id, 0, &entries);
    assert_int_equal(n, 60);
    journal_free(entries, n);
}

/* ---- compensation ---- */

static int two_undos(struct flow *f) {
    charge(f, "a");
    undo_charge(f, "a");
    charge(f, "b");
    undo_charge(f, "b");
    charge(f, "c");
    undo_charge(f, "c");
    fail_flow(f, "sold_out");
    return 0;
}

static void test_failed_compensation_leaves_the_rest_done(void **state) {
    struct world *w = *state;
    struct mt_error e;
    net_rule(w, "/refund/b", FAULT_DECLINE, 1);
    const char *id = begin(w, two_undos);
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    assert_int_equal(done_times(w, "/refund/a"), 1);
    assert_int_equal(done_times(w, "/refund/b"), 0);
    assert_int_equal(done_times(w, "/refund/c"), 1);
    assert_error(w, id, "http.post (effect 9)");
    assert_error(w, id, "402");
    assert_int_equal(retry(w, id, &e), -1); /* the script must not go on after giving back */
    assert_int_equal(e.kind, MT_CONFLICT);
    assert_int_equal(resolve(w, id, 9, MT_DONE, "{}", &e), 0);
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_FAILED);
    assert_error(w, id, "sold_out");
    assert_int_equal(done_times(w, "/refund/b"), 0);
}

static void test_failed_compensation_is_tried_again_when_told(void **state) {
    struct world *w = *state;
    struct mt_error e;
    net_rule(w, "/refund/b", FAULT_DECLINE, 1);
    const char *id = begin(w, two_undos);
    assert_int_equal(resolve(w, id, 9, MT_NOT_SENT, NULL, &e), 0);
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_FAILED);
    assert_int_equal(done_times(w, "/refund/b"), 1);
    struct mt_entry *entries;
    size_t n = journal_of(w, id, 0, &entries);
    assert_int_equal(n, 11);
    assert_int_equal(entries[8].outcome, MT_NOT_SENT);
    assert_int_equal(entries[10].outcome, MT_DONE);
    journal_free(entries, n);
}

static void test_compensation_cannot_be_cancelled(void **state) {
    struct world *w = *state;
    struct mt_error e;
    net_rule(w, "/refund/b", FAULT_BUSY_LATER, 1);
    const char *id = begin(w, two_undos);
    assert_state(w, id, MT_RUN_COMPENSATING); /* also while it waits */
    assert_int_equal(cancel(w, id, &e), -1);
    assert_int_equal(e.kind, MT_CONFLICT);
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_FAILED);
    assert_int_equal(done_times(w, "/refund/"), 3);
}

/* ---- starting ---- */

static void test_start_keys(void **state) {
    struct world *w = *state;
    struct mt_run run;
    struct mt_error e;
    bool existing;
    script = ends_early;
    world_open(w);
    char id[MT_ID_SIZE];
    mt_copy(id, sizeof id, start_run(w, "script", "{\"n\":1}", "k"));
    struct mt_start again = {.flow = "script", .input = "{ \"n\" : 1 }", .key = "k"};
    assert_int_equal(mt_engine_start_run(w->engine, &again, &run, &existing, &e), 0);
    assert_true(existing);
    assert_string_equal(run.id, id);
    mt_run_clear(&run);
    assert_true(world_settle(w));
    assert_int_equal(mt_engine_start_wait(w->engine, &again, 10000, &run, &existing, &e), 0);
    assert_true(existing);
    assert_int_equal(run.state, MT_RUN_COMPLETED);
    mt_run_clear(&run);
    again.input = "{\"n\":2}";
    assert_int_equal(mt_engine_start_run(w->engine, &again, &run, &existing, &e), -1);
    assert_int_equal(e.kind, MT_CONFLICT);
    assert_string_equal(e.code, "key_reused");
    again.key = "";
    assert_int_equal(mt_engine_start_run(w->engine, &again, &run, &existing, &e), -1);
    assert_int_equal(e.kind, MT_INVALID_REQUEST);
    again = (struct mt_start){.flow = "scrip", .input = "{}"};
    assert_int_equal(mt_engine_start_run(w->engine, &again, &run, &existing, &e), -1);
    assert_int_equal(e.kind, MT_NOT_FOUND);
    again = (struct mt_start){.flow = "script", .input = "{\"bad\":1}"};
    assert_int_equal(mt_engine_start_run(w->engine, &again, &run, &existing, &e), -1);
    assert_int_equal(e.kind, MT_INVALID_REQUEST);
    assert_int_equal(atomic_load(&w->executions), 1);
}

static int starts_keyed(struct flow *f) {
    const char *error = NULL;
    start_child(f, "child", "{\"name\":\"a\"}", "k", false);
    const char *again = start_child(f, "child", "{\"name\":\"a\"}", "k", false);
    assert_non_null(strstr(again, "\"existing\":true"));
    mt_effect_start(f->x, "child", "{\"name\":\"b\"}", "k", false, "flow.lua:50", &f->a);
    assert_null(flow_take_try(f, &error));
    assert_non_null(strstr(error, "key_reused"));
    mt_effect_start(f->x, "child", "{\"bad\":1}", NULL, false, "flow.lua:51", &f->a);
    assert_null(flow_take_try(f, &error));
    assert_non_null(strstr(error, "invalid_request"));
    await_event(f, "order", "o", -1);
    finish(f, "1");
    return 0;
}

static void test_children_with_keys_replay(void **state) {
    struct world *w = *state;
    struct mt_error e;
    const char *id = begin(w, starts_keyed);
    assert_state(w, id, MT_RUN_WAITING);
    assert_int_equal(mt_engine_signal(w->engine, "order", "o", "{}", NULL, NULL, NULL, &e), 0);
    assert_true(world_settle(w));
    assert_output(w, id, "1");
}

/* ---- the store in trouble ---- */

static void test_a_run_survives_the_stores_hiccups(void **state) {
    struct world *w = *state;
    script = repaired;
    world_open(w);
    struct mt_run run;
    struct mt_error e;
    bool existing;
    struct mt_start s = {.flow = "script", .input = "{}"};
    net_rule(w, "/charge/a", FAULT_DROP_BEFORE, 1);
    assert_int_equal(mt_engine_start_run(w->engine, &s, &run, &existing, &e), 0);
    atomic_store(&w->fail_commits, 2);
    struct mt_run ended;
    assert_int_equal(mt_engine_wait(w->engine, run.id, 100, &ended, &e), 0);
    for (int i = 0; i < 500 && !mt_run_ended(ended.state); i++) { /* backing off is a timer here */
        world_drive(w);
        mt_run_clear(&ended);
        assert_int_equal(mt_engine_wait(w->engine, run.id, 100, &ended, &e), 0);
    }
    assert_int_equal(ended.state, MT_RUN_COMPLETED);
    mt_run_clear(&ended);
    mt_run_clear(&run);
    assert_int_equal(done_times(w, "/charge/"), 2);
    assert_safe(w);
}

/* A run without a key begins before its row is durable; if that never comes to be, nothing has left. */
static void test_a_start_that_fails_does_nothing(void **state) {
    struct world *w = *state;
    struct mt_run run;
    struct mt_error e;
    bool existing;
    struct mt_start s = {.flow = "script", .input = "{}"};
    script = repaired;
    world_open(w);
    atomic_store(&w->fail_starts, true);
    for (int i = 0; i < 20; i++) {
        int rc = i % 2 ? mt_engine_start_run(w->engine, &s, &run, &existing, &e)
                       : mt_engine_start_wait(w->engine, &s, 60000, &run, &existing, &e);
        assert_int_equal(rc, -1);
        assert_int_equal(e.kind, MT_STORE);
    }
    assert_true(world_settle(w));
    assert_int_equal(w->net.count, 0);
    struct mt_run *runs;
    size_t count;
    struct mt_run_filter all = {.state = -1, .limit = 10};
    assert_int_equal(w->store->list_runs(w->store, &all, &runs, &count, &e), 0);
    assert_int_equal(count, 0);
    free(runs);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_cancel_waiting),
        TEST(test_cancel_sleeping),
        TEST(test_cancel_before_it_began),
        TEST(test_cancel_at_every_boundary),
        TEST(test_cancel_while_backing_off),
        TEST(test_cancel_with_a_call_in_flight),
        TEST(test_cancel_before_the_undo),
        TEST(test_bug_parks_and_retry_repairs),
        TEST(test_parked_by_a_bug_can_be_cancelled),
        TEST(test_mismatch_names_everything),
        TEST(test_ending_before_the_journal_does),
        TEST(test_caught_mistakes_replay),
        TEST(test_journal_limit),
        TEST(test_failed_compensation_leaves_the_rest_done),
        TEST(test_failed_compensation_is_tried_again_when_told),
        TEST(test_compensation_cannot_be_cancelled),
        TEST(test_start_keys),
        TEST(test_children_with_keys_replay),
        TEST(test_a_run_survives_the_stores_hiccups),
        TEST(test_a_start_that_fails_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
