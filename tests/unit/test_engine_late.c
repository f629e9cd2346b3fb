/* links: mt_engine mt_providers mt_store mt_http mt_crypto mt_money mt_base */
/* Events that come when those who asked for them have ended: whose they are, what is started for them and
 * with what, and what people are told when nothing is. */
#include "engine_world.h"

static void flow_order(struct flow *f) {
    const char *event = await_event(f, "order", "o", 3600000);
    if (strcmp(event, "null") != 0) {
        finish(f, event);
        return;
    }
    progress(f, "{\"step\":\"gave up\"}");
    nap(f, 60000);
    fail_flow(f, "expired");
}

static void flow_late(struct flow *f) {
    finish(f, f->input);
}

static void flow_deaf(struct flow *f) {
    const char *event = await_event(f, "order", "o", 3600000);
    if (strcmp(event, "null") == 0) fail_flow(f, "expired");
    finish(f, event);
}

static void flow_child(struct flow *f) {
    nap(f, 7200000);
    finish(f, "1");
}

static void flow_parent(struct flow *f) {
    struct mt_error e;
    const char *started = start_child(f, "child", "{}", NULL, true);
    json_t *child = mt_json_parse(started, strlen(started), &e);
    char id[MT_ID_SIZE];
    mt_copy(id, sizeof id, mt_json_str(child, "id", ""));
    json_decref(child);
    await_event(f, "run", id, 1000);
    finish(f, "1");
}

static void flow_pays(struct flow *f) {
    call(f, "mintro.intents.create",
         "{\"amount\":{\"$money\":\"80.00 USD\"},\"email\":\"a@example.com\",\"integration_type\":\"iframe\","
         "\"name\":\"A\",\"order_items\":[],\"reference_id\":\"ORDER-1\"}");
    const char *object = call(f, "mintro.intents.settled", "{\"id\":\"pi_ORDER-1\",\"within\":7200000}");
    if (strcmp(object, "null") == 0) fail_flow(f, "expired");
    finish(f, object);
}

static const struct flow_row flows[] = {{"order", flow_order},
                                        {"order.late", flow_late},
                                        {"deaf", flow_deaf},
                                        {"child", flow_child},
                                        {"parent", flow_parent},
                                        {"pays", flow_pays},
                                        {0}};

static int setup(void **state) {
    *state = world_new(flows, false);
    world_open(*state);
    return 0;
}

static int teardown(void **state) {
    world_free(*state);
    return 0;
}

static int64_t tell(struct world *w, const char *topic, const char *key, const char *payload) {
    struct mt_error e;
    int64_t n = 0;
    if (mt_engine_signal(w->engine, topic, key, payload, NULL, &n, NULL, &e) != 0) fail_msg("%s", e.message);
    return n;
}

static struct mt_event event_of(struct world *w, int64_t n) {
    struct mt_event *events = NULL;
    struct mt_error e;
    size_t count;
    assert_int_equal(
        w->store->list_events(w->store, NULL, NULL, n - 1, false, MT_EVENTS_ALL, 1, &events, &count, &e), 0);
    assert_int_equal(count, 1);
    struct mt_event event = events[0];
    free(events);
    return event;
}

#define assert_event(w, number, wanted_late, wanted_readers)                                                 \
    do {                                                                                                     \
        struct mt_event event_ = event_of(w, number);                                                        \
        assert_int_equal(event_.late, wanted_late);                                                          \
        assert_int_equal(event_.readers, wanted_readers);                                                    \
        mt_event_clear(&event_);                                                                             \
    } while (0)

/* The runs of a flow; the input of one of them, if asked for. */
static size_t runs_of(struct world *w, const char *flow, char **input) {
    struct mt_run *runs = NULL;
    size_t count = 0;
    struct mt_error e;
    struct mt_run_filter filter = {.flow = flow, .state = -1, .limit = 100};
    assert_int_equal(w->store->list_runs(w->store, &filter, &runs, &count, &e), 0);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(runs[i].state, MT_RUN_COMPLETED);
        if (input && i == 0) *input = mt_strdup(runs[i].input);
        mt_run_clear(&runs[i]);
    }
    free(runs);
    return count;
}

static uint64_t metric_now(struct world *w, const char *name) {
    struct mt_buf b;
    char line[96];
    mt_buf_init(&b, 1024 * 1024);
    mt_engine_metrics(w->engine, &b);
    mt_format(line, sizeof line, "\n%s ", name);
    const char *at = strstr(b.data, line);
    assert_non_null(at);
    uint64_t value = strtoull(at + strlen(line), NULL, 10);
    mt_buf_clear(&b);
    return value;
}

/* It is counted after the commit that others see already. */
static void assert_metric(struct world *w, const char *name, uint64_t wanted) {
    while (metric_now(w, name) < wanted) world_wait(w, world_seen(w));
    assert_int_equal(metric_now(w, name), wanted);
}

static void test_starts_the_handler_with_the_story(void **state) {
    struct world *w = *state;
    struct mt_error e;
    char id[MT_ID_SIZE], *input = NULL;
    mt_copy(id, sizeof id, start_run(w, "order", "{\"n\":1}", "the-order"));
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_FAILED);
    assert_int_equal(runs_of(w, "order.late", NULL), 0);
    int64_t n = tell(w, "order", "o", "{\"paid\":{\"$money\":\"80.00 USD\"}}");
    assert_true(world_settle(w));
    assert_event(w, n, MT_LATE_HANDLED, 1);
    assert_int_equal(runs_of(w, "order.late", &input), 1);
    json_t *in = mt_json_parse(input, strlen(input), &e), *run = json_object_get(in, "run");
    assert_int_equal(mt_json_int(in, "event", 0), n);
    assert_string_equal(mt_json_str(in, "topic", ""), "order");
    assert_string_equal(mt_json_str(in, "key", ""), "o");
    assert_non_null(json_object_get(json_object_get(json_object_get(in, "payload"), "paid"), "$money"));
    assert_string_equal(mt_json_str(run, "id", ""), id);
    assert_string_equal(mt_json_str(run, "flow", ""), "order");
    assert_string_equal(mt_json_str(run, "key", ""), "the-order");
    assert_string_equal(mt_json_str(run, "state", ""), "failed");
    assert_string_equal(mt_json_str(json_object_get(run, "error"), "kind", ""), "expired");
    assert_string_equal(mt_json_str(json_object_get(run, "progress"), "step", ""), "gave up");
    assert_int_equal(mt_json_int(json_object_get(run, "input"), "n", 0), 1);
    json_decref(in);
    free(input);
    n = tell(w, "order", "o", "2"); /* another event is another run */
    assert_true(world_settle(w));
    assert_event(w, n, MT_LATE_HANDLED, 1);
    assert_int_equal(runs_of(w, "order.late", NULL), 2);
    assert_metric(w, "mintage_late_events_total", 2);
    assert_metric(w, "mintage_late_events_unhandled_total", 0);
}

static void test_what_came_before_the_end_and_was_not_read(void **state) {
    struct world *w = *state;
    char id[MT_ID_SIZE];
    mt_copy(id, sizeof id, start_run(w, "order", "{}", NULL));
    assert_true(world_drive_until(w, WORLD_START + 3600000)); /* given up, not ended */
    int64_t n = tell(w, "order", "o", "1");
    assert_true(world_settle(w));
    assert_event(w, n, MT_LATE_NO, 0); /* it may read it yet */
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_FAILED);
    assert_event(w, n, MT_LATE_HANDLED, 1);
    assert_int_equal(runs_of(w, "order.late", NULL), 1);
}

static void test_what_was_read_is_not_late(void **state) {
    struct world *w = *state;
    char id[MT_ID_SIZE];
    mt_copy(id, sizeof id, start_run(w, "order", "{}", NULL));
    assert_true(world_settle(w));
    int64_t n = tell(w, "order", "o", "1"), other = tell(w, "order", "elsewhere", "1");
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_COMPLETED);
    assert_event(w, n, MT_LATE_NO, 1);
    assert_event(w, other, MT_LATE_NO, 0); /* nobody has ever asked for it */
    assert_int_equal(runs_of(w, "order.late", NULL), 0);
}

static void test_another_that_asked_may_read_it(void **state) {
    struct world *w = *state;
    char first[MT_ID_SIZE], second[MT_ID_SIZE];
    mt_copy(first, sizeof first, start_run(w, "order", "{}", NULL));
    assert_true(world_drive_until(w, WORLD_START + 3600000));
    mt_copy(second, sizeof second, start_run(w, "deaf", "{}", NULL));
    assert_true(world_drive_until(w, WORLD_START + 3660000));
    assert_state(w, first, MT_RUN_FAILED);
    int64_t n = tell(w, "order", "o", "1");
    assert_true(world_settle(w));
    assert_state(w, second, MT_RUN_COMPLETED);
    assert_event(w, n, MT_LATE_NO, 1);
    assert_int_equal(runs_of(w, "order.late", NULL), 0);
}

static void test_without_a_handler_people_are_told(void **state) {
    struct world *w = *state;
    char id[MT_ID_SIZE];
    struct mt_event *events = NULL;
    struct mt_error e;
    struct mt_buf b;
    size_t count;
    mt_copy(id, sizeof id, start_run(w, "deaf", "{}", NULL));
    assert_true(world_drive(w));
    int64_t n = tell(w, "order", "o", "1");
    assert_true(world_settle(w));
    assert_event(w, n, MT_LATE_UNHANDLED, 0);
    assert_metric(w, "mintage_late_events_unhandled_total", 1);
    assert_int_equal(
        w->store->list_events(w->store, NULL, NULL, 0, true, MT_EVENTS_LATE, 10, &events, &count, &e), 0);
    assert_int_equal(count, 1);
    assert_string_equal(events[0].late_run, id);
    mt_buf_init(&b, 4096);
    mt_event_to_json(&events[0], &b);
    assert_non_null(strstr(b.data, "\"late\":{\"run\":\"run_"));
    assert_non_null(strstr(b.data, "\"state\":\"unhandled\"}"));
    mt_buf_clear(&b);
    mt_event_clear(&events[0]);
    free(events);
}

static void test_the_end_of_a_child_is_never_late(void **state) {
    struct world *w = *state;
    char id[MT_ID_SIZE];
    mt_copy(id, sizeof id, start_run(w, "parent", "{}", NULL));
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_COMPLETED);
    assert_event(w, 1, MT_LATE_NO, 0);
    assert_metric(w, "mintage_late_events_unhandled_total", 0);
}

static void set_status(struct world *w, const char *status) {
    pthread_mutex_lock(&w->net.lock);
    json_object_set_new(json_object_get(w->net.intents, "ORDER-1"), "status", json_string(status));
    pthread_mutex_unlock(&w->net.lock);
}

static void test_hints_that_were_followed_are_read(void **state) {
    struct world *w = *state;
    char id[MT_ID_SIZE];
    mt_copy(id, sizeof id, start_run(w, "pays", "{}", NULL));
    assert_true(world_settle(w));
    set_status(w, "succeeded");
    int64_t first = tell(w, "mintro.intent", "pi_ORDER-1", "{\"event\":\"payment.succeeded\"}");
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_COMPLETED);
    assert_event(w, first, MT_LATE_NO, 1);
    int64_t again = tell(w, "mintro.intent", "pi_ORDER-1", "{\"event\":\"payment.succeeded\"}");
    assert_true(world_settle(w)); /* nothing that the run has not read by itself */
    assert_event(w, again, MT_LATE_NO, 0);
    assert_metric(w, "mintage_late_events_unhandled_total", 0);
}

static void test_a_hint_after_giving_up_is_late(void **state) {
    struct world *w = *state;
    char id[MT_ID_SIZE];
    mt_copy(id, sizeof id, start_run(w, "pays", "{}", NULL));
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_FAILED);
    int64_t n = tell(w, "mintro.intent", "pi_ORDER-1", "{\"event\":\"payment.succeeded\"}");
    assert_true(world_settle(w));
    assert_event(w, n, MT_LATE_UNHANDLED, 0);
}

static void test_waits_for_a_store_that_fails(void **state) {
    struct world *w = *state;
    start_run(w, "order", "{}", NULL);
    assert_true(world_drive(w));
    atomic_store(&w->fail_starts, true);
    int64_t n = tell(w, "order", "o", "1");
    for (int tried = atomic_load(&w->commits); atomic_load(&w->commits) == tried;)
        world_wait(w, world_seen(w));
    assert_event(w, n, MT_LATE_PENDING, 0);
    atomic_store(&w->fail_starts, false);
    assert_true(world_settle(w));
    assert_event(w, n, MT_LATE_HANDLED, 1);
    assert_int_equal(runs_of(w, "order.late", NULL), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_starts_the_handler_with_the_story), TEST(test_what_came_before_the_end_and_was_not_read),
        TEST(test_what_was_read_is_not_late),         TEST(test_another_that_asked_may_read_it),
        TEST(test_without_a_handler_people_are_told), TEST(test_the_end_of_a_child_is_never_late),
        TEST(test_hints_that_were_followed_are_read), TEST(test_a_hint_after_giving_up_is_late),
        TEST(test_waits_for_a_store_that_fails)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
