/* links: mt_engine mt_providers mt_store mt_http mt_crypto mt_money mt_base */
/* What a run waits for and how it goes on: events and cursors, ends of waits, segments and generations, and
 * that time and chance are the same when it is replayed. */
#include "engine_runs.h"

static int ends_early(struct flow *f) {
    finish(f, "1");
    return 0;
}

/* ---- events ---- */

static int reads_cursor(struct flow *f) {
    const char *event = await_event(f, "order", "o", 1000);
    int64_t n = mt_json_int(f->in, "n", 0);
    char next[200];
    if (n == 0) await_event(f, "order", "o", 1000);
    mt_format(next, sizeof next, "{\"n\":%d}", (int)n + 1);
    if (n < 1) go_on(f, next);
    finish(f, event);
    return 0;
}

static void test_cursors_go_over_continue(void **state) {
    struct world *w = *state;
    struct mt_error e;
    world_open(w);
    for (int i = 1; i <= 3; i++) {
        char payload[16];
        mt_format(payload, sizeof payload, "%d", i);
        assert_int_equal(mt_engine_signal(w->engine, "order", "o", payload, NULL, NULL, NULL, &e), 0);
    }
    const char *id = begin(w, reads_cursor); /* two events in the first segment, the third in the second */
    struct mt_run run = run_of(w, id);
    assert_int_equal(run.state, MT_RUN_COMPLETED);
    assert_non_null(strstr(run.output, "\"payload\":3"));
    assert_non_null(strstr(run.output, "\"at\":1795166400000"));
    mt_run_clear(&run);
}

static void test_signal_to_an_ended_run_is_kept(void **state) {
    struct world *w = *state;
    struct mt_error e;
    struct mt_event *events;
    size_t count;
    int64_t n;
    bool duplicate;
    const char *id = begin(w, ends_early);
    assert_state(w, id, MT_RUN_COMPLETED);
    assert_int_equal(mt_engine_signal(w->engine, "order", "late", "{\"x\":1}", "src", &n, &duplicate, &e), 0);
    assert_false(duplicate);
    assert_int_equal(mt_engine_signal(w->engine, "order", "late", "{\"x\":1}", "src", &n, &duplicate, &e), 0);
    assert_true(duplicate);
    assert_int_equal(
        w->store->list_events(w->store, "order", "late", 0, false, true, 10, &events, &count, &e), 0);
    assert_int_equal(count, 1); /* once, and nobody has read it */
    for (size_t i = 0; i < count; i++) mt_event_clear(&events[i]);
    free(events);
    assert_int_equal(mt_engine_signal(w->engine, "", "late", "1", NULL, NULL, NULL, &e), -1);
    assert_int_equal(mt_engine_signal(w->engine, "order", "late", "{", NULL, NULL, NULL, &e), -1);
}

static int waits_an_hour(struct flow *f) {
    const char *event = await_event(f, "order", "o", 3600000);
    finish(f, event);
    return 0;
}

static void test_a_wait_ends_when_it_was_to(void **state) {
    struct world *w = *state;
    struct mt_error e;
    const char *id = begin(w, waits_an_hour);
    world_advance(w, 1800000);
    world_stop(w); /* another process, half an hour later: the end stays where it was */
    world_open(w);
    assert_int_equal(mt_engine_signal(w->engine, "order", "other", "1", NULL, NULL, NULL, &e), 0);
    assert_true(world_drive(w));
    assert_output(w, id, "null");
    assert_true(now_of(w) == WORLD_START + 3600000);
}

static void test_a_stored_event_wins_over_the_timeout(void **state) {
    struct world *w = *state;
    struct mt_error e;
    const char *id = begin(w, waits_an_hour);
    world_stop(w);
    world_advance(w, 7200000); /* long past it, before anybody looks */
    w->options.workers = -1;
    world_open(w);
    assert_int_equal(mt_engine_signal(w->engine, "order", "o", "\"just in time\"", NULL, NULL, NULL, &e), 0);
    world_stop(w);
    w->options.workers = 2;
    world_open(w);
    assert_true(world_drive(w));
    struct mt_run run = run_of(w, id);
    assert_non_null(strstr(run.output, "just in time"));
    mt_run_clear(&run);
}

/* ---- continue ---- */

static int continues_old(struct flow *f) {
    if (mt_json_int(f->in, "n", 0) == 0) go_on(f, "{\"n\":1,\"old\":true}");
    finish(f, "1");
    return 0;
}

static void test_continue_stays_on_the_old_generation(void **state) {
    struct world *w = *state;
    script = continues_old;
    w->options.workers = -1;
    world_open(w);
    char id[MT_ID_SIZE];
    mt_copy(id, sizeof id, start_run(w, "script", "{}", NULL));
    world_stop(w);
    world_publish(w, "sha256:strict");
    w->options.workers = 2;
    world_open(w);
    assert_true(world_settle(w));
    struct mt_run run = run_of(w, id);
    assert_int_equal(run.state, MT_RUN_COMPLETED);
    assert_int_equal(run.segment, 1);
    assert_string_equal(run.generation, "sha256:one");
    mt_run_clear(&run);
}

static int continues_badly(struct flow *f) {
    const char *error = NULL;
    mt_effect_continue(f->x, "{\"bad\":1}", false, "flow.lua:60", &f->a);
    assert_null(flow_take_try(f, &error));
    undo_charge(f, "a");
    await_event(f, "order", "o", 10);
    mt_effect_continue(f->x, "{\"n\":2}", false, "flow.lua:61", &f->a);
    assert_int_equal(f->a.step, MT_STEP_BUG); /* with undos pending */
    finish(f, "3");
    return 0;
}

static void test_refused_continue_replays(void **state) {
    struct world *w = *state;
    const char *id = begin(w, continues_badly);
    assert_true(world_drive(w));
    assert_output(w, id, "3");
}

static void keep_and_go_on(struct flow *f, const char *input) {
    mt_effect_continue(f->x, input, true, "flow.lua:62", &f->a);
    flow_take(f);
}

static bool stumbles; /* over its first step */

static int continues_and_keeps(struct flow *f) {
    if (mt_json_int(f->in, "n", 0) == 0) {
        charge(f, "a");
        undo_charge(f, "a");
        keep_and_go_on(f, "{\"n\":1}");
    }
    if (stumbles) await_event(f, "", "a bug", 1);
    undo_charge(f, "b");
    nap(f, 1000);
    charge(f, "c");
    finish(f, "3");
    return 0;
}

/* What an earlier segment keeps is not taken back. What the new one begins with is, even when the run is
 * cancelled before it has come to anything. */
static void test_kept_is_not_undone(void **state) {
    struct world *w = *state;
    struct mt_error e;
    stumbles = true;
    const char *id = begin(w, continues_and_keeps);
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    stumbles = false;
    assert_int_equal(cancel(w, id, &e), 0);
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_CANCELLED);
    assert_int_equal(done_times(w, "/refund/a"), 0);
    assert_int_equal(done_times(w, "/refund/b"), 1);
    assert_int_equal(sent_times(w, "/charge/c"), 0);
}

/* ---- determinism ---- */

static char first_random[80], first_now[32];

static int random_and_now(struct flow *f) {
    uint8_t bytes[32];
    char hex[80], now[32];
    mt_exec_random(f->x, bytes, 20);
    mt_exec_random(f->x, bytes + 10, 20);
    mt_hex_encode(bytes, 30, hex);
    charge(f, "a");
    mt_format(now, sizeof now, "%lld", (long long)mt_exec_now(f->x));
    if (!first_random[0]) {
        mt_copy(first_random, sizeof first_random, hex);
        mt_copy(first_now, sizeof first_now, now);
    }
    assert_string_equal(hex, first_random);
    assert_string_equal(now, first_now);
    nap(f, 1000);
    assert_true(mt_exec_now(f->x) >= WORLD_START + 1000);
    nap(f, 1000);
    finish(f, "1");
    return 0;
}

static void test_random_and_now_replay(void **state) {
    struct world *w = *state;
    const char *id = begin(w, random_and_now);
    assert_true(world_drive(w));
    assert_output(w, id, "1");
    assert_int_equal(atomic_load(&w->executions), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_cursors_go_over_continue),
        TEST(test_signal_to_an_ended_run_is_kept),
        TEST(test_a_wait_ends_when_it_was_to),
        TEST(test_a_stored_event_wins_over_the_timeout),
        TEST(test_continue_stays_on_the_old_generation),
        TEST(test_refused_continue_replays),
        TEST(test_kept_is_not_undone),
        TEST(test_random_and_now_replay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
