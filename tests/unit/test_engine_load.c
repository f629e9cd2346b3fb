/* links: mt_engine mt_providers mt_store mt_http mt_crypto mt_money mt_base */
/* The engine under load, with many threads: no start, no wait and no run is lost, nobody starves, and
 * stopping in the middle costs nothing. Made for the thread sanitizer as well. */
#include "engine_world.h"
#include <sched.h>

static void flow_three(struct flow *f) {
    charge(f, "a");
    charge(f, "b");
    charge(f, "c");
    finish(f, "3");
}

static void flow_waits(struct flow *f) {
    await_event(f, "go", mt_json_str(f->in, "name", "all"), -1);
    finish(f, "1");
}

static void flow_sleeps(struct flow *f) {
    nap(f, 1000);
    charge(f, "a");
    finish(f, "1");
}

static void flow_nothing(struct flow *f) {
    finish(f, "1");
}

static void flow_undoes(struct flow *f) {
    charge(f, "a");
    undo_charge(f, "a");
    nap(f, 10);
    charge(f, "b");
    finish(f, "1");
}

static void flow_creates(struct flow *f) {
    char params[400];
    mt_format(params, sizeof params,
              "{\"amount\":{\"$money\":\"80.00 "
              "USD\"},\"email\":\"a@example.com\",\"integration_type\":\"iframe\",\"name\":\"A\","
              "\"order_items\":[],\"reference_id\":\"%s\"}",
              mt_exec_run_id(f->x));
    call(f, "mintro.intents.create", params);
    finish(f, "1");
}

static const struct flow_row flows[] = {{"creates", flow_creates},
                                        {"three", flow_three},
                                        {"waits", flow_waits},
                                        {"sleeps", flow_sleeps},
                                        {"nothing", flow_nothing},
                                        {"undoes", flow_undoes},
                                        {0}};

static int setup(void **state) {
    struct world *w = world_new(flows, true);
    w->net.counting = true;
    w->options.workers = 8;
    *state = w;
    return 0;
}

static int teardown(void **state) {
    world_free(*state);
    return 0;
}

/* What a thread answers when something went wrong. */
static void *trouble(const char *what) {
    print_error("%s\n", what);
    return the_world;
}

static void in_threads(struct world *w, int n, void *(*fn)(void *world)) {
    pthread_t threads[64];
    for (int i = 0; i < n; i++) assert_int_equal(pthread_create(&threads[i], NULL, fn, w), 0);
    for (int i = 0; i < n; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
}

static void wait_for_all(struct world *w, enum mt_run_state state, int64_t n) {
    for (int i = 0; i < 20000; i++) {
        int64_t by_state[MT_RUN_STATE_COUNT];
        struct mt_error e;
        uint64_t seen = world_seen(w);
        assert_int_equal(w->store->count_runs(w->store, by_state, &e), 0);
        if (by_state[state] >= n) return;
        world_wait(w, seen);
    }
    fail_msg("not all became %s", mt_run_state_name(state));
}

/* ---- starting and waiting ---- */

static void *start_and_wait(void *arg) {
    struct world *w = arg;
    for (int i = 0; i < 60; i++) {
        struct mt_start s = {.flow = "three", .input = "{}", .waited = true};
        struct mt_run run;
        bool existing;
        struct mt_error e;
        if (mt_engine_start_wait(w->engine, &s, 60000, &run, &existing, &e) != 0) return trouble("failed");
        bool ok = run.state == MT_RUN_COMPLETED && strcmp(run.output, "3") == 0;
        mt_run_clear(&run);
        if (!ok) return trouble("not completed");
    }
    return NULL;
}

static void test_start_and_wait(void **state) {
    struct world *w = *state;
    world_open(w);
    in_threads(w, 24, start_and_wait);
    assert_int_equal(atomic_load(&w->net.carried_out), 24 * 60 * 3);
}

static char waited[MT_ID_SIZE];

static void *wait_for_it(void *arg) {
    struct world *w = arg;
    struct mt_run run;
    struct mt_error e;
    if (mt_engine_wait(w->engine, waited, 60000, &run, &e) != 0) return trouble("failed");
    bool ok = run.state == MT_RUN_COMPLETED;
    mt_run_clear(&run);
    return ok ? NULL : trouble("it has not ended");
}

static void *signal_it(void *arg) {
    struct world *w = arg;
    struct mt_error e;
    return mt_engine_signal(w->engine, "go", "all", "1", NULL, NULL, NULL, &e) == 0 ? NULL
                                                                                    : trouble("failed");
}

/* Those who wait and the end come at the same time. */
static void test_no_wakeup_is_lost(void **state) {
    struct world *w = *state;
    world_open(w);
    for (int round = 0; round < 40; round++) {
        pthread_t waiters[8], signaller;
        mt_copy(waited, sizeof waited, start_run(w, "waits", "{}", NULL));
        for (int i = 0; i < 8; i++) assert_int_equal(pthread_create(&waiters[i], NULL, wait_for_it, w), 0);
        assert_int_equal(pthread_create(&signaller, NULL, signal_it, w), 0);
        void *failed;
        pthread_join(signaller, &failed);
        assert_null(failed);
        for (int i = 0; i < 8; i++) {
            pthread_join(waiters[i], &failed);
            assert_null(failed);
        }
    }
}

static void test_a_wait_has_an_end(void **state) {
    struct world *w = *state;
    struct mt_run run;
    struct mt_error e;
    world_open(w);
    mt_copy(waited, sizeof waited, start_run(w, "waits", "{}", NULL));
    assert_int_equal(mt_engine_wait(w->engine, waited, 5, &run, &e), 0);
    assert_false(mt_run_ended(run.state));
    mt_run_clear(&run);
    assert_int_equal(mt_engine_wait(w->engine, "run_none", 5, &run, &e), -1);
    assert_int_equal(e.kind, MT_NOT_FOUND);
}

/* ---- a storm of due runs ---- */

static void *start_many(void *arg) {
    struct world *w = arg;
    for (int i = 0; i < 1250; i++) {
        struct mt_start s = {.flow = "nothing", .input = "{}"};
        struct mt_run run;
        bool existing;
        struct mt_error e;
        if (mt_engine_start_run(w->engine, &s, &run, &existing, &e) != 0) return trouble("failed");
        mt_run_clear(&run);
    }
    return NULL;
}

static void test_ten_thousand_due_runs(void **state) {
    struct world *w = *state;
    w->options.workers = -1;
    world_open(w);
    in_threads(w, 8, start_many);
    world_stop(w);
    world_advance(w, 5000);
    w->options.workers = 8;
    world_open(w);
    wait_for_all(w, MT_RUN_COMPLETED, 10000);
    assert_int_equal(atomic_load(&w->executions), 10000); /* each once */
    struct mt_buf metrics;
    mt_buf_init(&metrics, 100000);
    mt_engine_metrics(w->engine, &metrics);
    assert_non_null(strstr(metrics.data, "\nmintage_timer_lag_milliseconds 5000\n"));
    mt_buf_clear(&metrics);
}

/* ---- nobody starves ---- */

static atomic_bool enough;

static void *hammer(void *arg) {
    struct world *w = arg;
    for (int i = 0; i < 100000 && !atomic_load(&enough); i++) {
        struct mt_start s = {.flow = "three", .input = "{}"};
        struct mt_run run;
        bool existing;
        struct mt_error e;
        if (mt_engine_start_run(w->engine, &s, &run, &existing, &e) == 0) mt_run_clear(&run);
    }
    return NULL;
}

static void test_starts_do_not_starve_timers(void **state) {
    struct world *w = *state;
    pthread_t threads[4];
    char ids[10][MT_ID_SIZE];
    w->options.workers = 2;
    world_open(w);
    for (int i = 0; i < 10; i++) mt_copy(ids[i], sizeof ids[i], start_run(w, "sleeps", "{}", NULL));
    wait_for_all(w, MT_RUN_SLEEPING, 10);
    atomic_store(&enough, false);
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, hammer, w), 0);
    world_advance(w, 2000);
    for (int i = 0; i < 10; i++) {
        struct mt_run run;
        struct mt_error e;
        assert_int_equal(mt_engine_wait(w->engine, ids[i], 60000, &run, &e), 0);
        assert_int_equal(run.state, MT_RUN_COMPLETED);
        mt_run_clear(&run);
    }
    atomic_store(&enough, true);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

/* ---- one slow provider ---- */

/* It holds at most half the workers, and those who wait for a place there do not hold the others. */
static void test_a_slow_provider_leaves_room(void **state) {
    struct world *w = *state;
    struct mt_run run;
    struct mt_error e;
    bool existing;
    w->net.counting = false;
    w->options.workers = 4;
    atomic_store(&w->net.closed, true);
    world_open(w);
    for (int i = 0; i < 12; i++) start_run(w, "creates", "{}", NULL);
    while (atomic_load(&w->net.before_gate) < 2) world_wait(w, world_seen(w));
    for (int i = 0; i < 5; i++) { /* others go on meanwhile */
        struct mt_start s = {.flow = "three", .input = "{}"};
        assert_int_equal(mt_engine_start_wait(w->engine, &s, 60000, &run, &existing, &e), 0);
        assert_int_equal(run.state, MT_RUN_COMPLETED);
        mt_run_clear(&run);
    }
    assert_int_equal(atomic_load(&w->net.most_before_gate), 2);
    atomic_store(&w->net.closed, false);
    world_news(w);
    assert_true(world_drive(w));
    wait_for_all(w, MT_RUN_COMPLETED, 17);
}

/* ---- the crew ---- */

static long workers_now(struct world *w) {
    static const char name[] = "\nmintage_workers ";
    struct mt_buf metrics;
    mt_buf_init(&metrics, 100000);
    mt_engine_metrics(w->engine, &metrics);
    const char *at = strstr(metrics.data, name);
    assert_non_null(at);
    long n = strtol(at + sizeof name - 1, NULL, 10);
    mt_buf_clear(&metrics);
    return n;
}

/* Who waits for an answer makes room for another; who has nothing to do for long goes, and may come again. */
static void test_the_crew_comes_and_goes(void **state) {
    struct world *w = *state;
    w->net.counting = false;
    w->options.workers = 400; /* half of them at one provider */
    w->options.worker_idle_ms = 20;
    for (int round = 1; round <= 2; round++) {
        atomic_store(&w->net.closed, true);
        if (round == 1) world_open(w);
        for (int i = 0; i < 150; i++) start_run(w, "creates", "{}", NULL);
        while (atomic_load(&w->net.before_gate) < 150) world_wait(w, world_seen(w));
        assert_in_range(workers_now(w), 150, 150 + 64);
        atomic_store(&w->net.closed, false);
        world_news(w);
        wait_for_all(w, MT_RUN_COMPLETED, 150 * round);
        while (workers_now(w) > 64) sched_yield();
        assert_int_equal(workers_now(w), 64); /* these stay */
    }
    w->options.worker_idle_ms = 0;
}

/* ---- stopping ---- */

static void *start_some(void *arg) {
    struct world *w = arg;
    for (int i = 0; i < 100; i++) {
        struct mt_start s = {.flow = "three", .input = "{}"};
        struct mt_run run;
        bool existing;
        struct mt_error e;
        if (mt_engine_start_run(w->engine, &s, &run, &existing, &e) != 0) break; /* it is stopping */
        mt_run_clear(&run);
    }
    return NULL;
}

static void test_stopping_loses_nothing(void **state) {
    struct world *w = *state;
    pthread_t threads[6];
    world_open(w);
    for (int i = 0; i < 6; i++) assert_int_equal(pthread_create(&threads[i], NULL, start_some, w), 0);
    while (atomic_load(&w->net.carried_out) < 200) world_wait(w, world_seen(w));
    mt_engine_stop(w->engine);
    for (int i = 0; i < 6; i++) pthread_join(threads[i], NULL);
    world_stop(w);
    world_open(w);
    int64_t by_state[MT_RUN_STATE_COUNT], all = 0;
    struct mt_error e;
    assert_int_equal(w->store->count_runs(w->store, by_state, &e), 0);
    for (int i = 0; i < MT_RUN_STATE_COUNT; i++) all += by_state[i];
    wait_for_all(w, MT_RUN_COMPLETED, all);
    assert_int_equal(atomic_load(&w->net.carried_out), 3 * all); /* an orderly end repeats nothing */
}

/* ---- cancelling in the middle ---- */

static void *start_and_cancel(void *arg) {
    struct world *w = arg;
    for (int i = 0; i < 50; i++) {
        struct mt_start s = {.flow = "undoes", .input = "{}"};
        struct mt_run run, cancelled;
        bool existing;
        struct mt_error e;
        if (mt_engine_start_run(w->engine, &s, &run, &existing, &e) != 0) return trouble("failed");
        if (mt_engine_cancel(w->engine, run.id, "no", &cancelled, &e) == 0) mt_run_clear(&cancelled);
        if (mt_engine_wait(w->engine, run.id, 60000, &cancelled, &e) != 0) return trouble("failed");
        bool ended = cancelled.state == MT_RUN_CANCELLED;
        mt_run_clear(&cancelled);
        mt_run_clear(&run);
        if (!ended) return trouble("neither ended nor cancelled");
    }
    return NULL;
}

/* The clock stands still, so none can end but by being cancelled: a cancellation that came while the run was
 * going to sleep must not be slept through. */
static void test_no_cancellation_is_lost(void **state) {
    struct world *w = *state;
    world_open(w);
    in_threads(w, 8, start_and_cancel);
    assert_int_equal(atomic_load(&w->net.carried_out) % 2, 0); /* each charge was given back */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_start_and_wait),
        TEST(test_no_wakeup_is_lost),
        TEST(test_a_wait_has_an_end),
        TEST(test_ten_thousand_due_runs),
        TEST(test_starts_do_not_starve_timers),
        TEST(test_a_slow_provider_leaves_room),
        TEST(test_the_crew_comes_and_goes),
        TEST(test_stopping_loses_nothing),
        TEST(test_no_cancellation_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
