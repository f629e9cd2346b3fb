/* links: mt_engine mt_providers mt_store mt_http mt_crypto mt_money mt_base */
/* Every flow here is lived through once, and then once more for every commit and every send at which its
 * process could have died, before and after it. The end must be the same, the journal complete, and money
 * moved once. Exhaustive, not sampled. */
#include "engine_world.h"

/* ---- the flows ---- */

static void flow_three(struct flow *f) {
    charge(f, "a");
    charge(f, "b");
    charge(f, "c");
    finish(f, "{\"paid\":3}");
}

static void flow_mixed(struct flow *f) {
    charge(f, "a");
    progress(f, "{\"step\":\"paid\"}");
    nap(f, 86400000);
    const char *event = await_event(f, "order", "o1", 86400000);
    store_put(f, "b");
    read_url(f, "/object/1");
    charge(f, "c");
    finish(f, event);
}

static void flow_timeout(struct flow *f) {
    const char *event = await_event(f, "order", "never", 3600000);
    charge(f, "late");
    finish(f, event);
}

static void flow_failing(struct flow *f) {
    charge(f, "a");
    undo_charge(f, "a");
    charge(f, "b");
    undo_charge(f, "b");
    store_put(f, "c");
    fail_flow(f, "out_of_stock");
}

static void flow_child(struct flow *f) {
    charge(f, mt_json_str(f->in, "name", ""));
    finish(f, "{\"ok\":true}");
}

static void wait_for_child(struct flow *f, const char *started) {
    struct mt_error e;
    json_t *child = mt_json_parse(started, strlen(started), &e);
    char id[MT_ID_SIZE];
    mt_copy(id, sizeof id, mt_json_str(child, "id", ""));
    json_decref(child);
    await_event(f, "run", id, -1);
}

static void flow_parent(struct flow *f) {
    const char *one = start_child(f, "child", "{\"name\":\"one\"}", NULL, false);
    const char *two = start_child(f, "child", "{\"name\":\"two\"}", "the-two", false);
    const char *again = start_child(f, "child", "{\"name\":\"two\"}", "the-two", false);
    charge(f, "parent");
    wait_for_child(f, one);
    wait_for_child(f, two);
    finish(f, strstr(again, "\"existing\":true") ? "\"existing\"" : "\"new\"");
}

static void flow_all(struct flow *f) {
    char a[256], d[256];
    const char *id = mt_exec_run_id(f->x);
    mt_format(a, sizeof a, "{\"idempotency_key\":\"%s-a\",\"url\":\"" WORLD_BASE "/charge/a\"}", id);
    mt_format(d, sizeof d, "{\"idempotency_key\":\"%s-d\",\"url\":\"" WORLD_BASE "/charge/d\"}", id);
    const char *operations[] = {"http.post", "http.put", "http.get", "http.post"};
    const char *params[] = {a, "{\"body\":\"x\",\"url\":\"" WORLD_BASE "/put/b\"}",
                            "{\"url\":\"" WORLD_BASE "/object/1\"}", d};
    charge(f, "before");
    mt_effect_all(f->x, 4, operations, params, "flow.lua:10", &f->a);
    const char *answers = flow_take(f);
    charge(f, "after");
    finish(f, answers);
}

static void flow_cycles(struct flow *f) {
    char name[32], next[64];
    int64_t n = mt_json_int(f->in, "n", 0);
    const char *event = await_event(f, "tick", "t", 1000);
    mt_format(name, sizeof name, "cycle-%d", (int)n);
    charge(f, name);
    progress(f, n == 0 ? "{\"cycles\":0}" : n == 1 ? "{\"cycles\":1}" : "{\"cycles\":2}");
    mt_format(next, sizeof next, "{\"n\":%d}", (int)n + 1);
    if (n < 2) go_on(f, next);
    finish(f, event);
}

static const char create_params[] =
    "{\"amount\":{\"$money\":\"80.00 USD\"},\"email\":\"a@example.com\",\"integration_type\":\"iframe\","
    "\"name\":\"A\",\"order_items\":[],\"reference_id\":\"ORDER-1\"}";

static void flow_checkout(struct flow *f) {
    call(f, "mintro.intents.create", create_params);
    mt_effect_undo(f->x, "mintro.intents.release", "{\"id\":\"pi_ORDER-1\"}",
                   strlen("{\"id\":\"pi_ORDER-1\"}"), "flow.lua:11", &f->a);
    flow_take(f);
    const char *object = call(f, "mintro.intents.settled", "{\"id\":\"pi_ORDER-1\",\"within\":7200000}");
    if (strcmp(object, "null") == 0) fail_flow(f, "expired");
    charge(f, "shipping");
    finish(f, object);
}

/* Waits for the payment unless orders come first: each order is followed by a charge of its own, and the wait
 * goes on. */
static void flow_page(struct flow *f) {
    static const char params[] = "{\"id\":\"pi_ORDER-1\",\"within\":7200000}";
    char name[16];
    call(f, "mintro.intents.create", create_params);
    for (int orders = 0; orders < 3; orders++) {
        bool came = mt_effect_unless(f->x, "page", "p", "mintro.intents.settled", params, strlen(params),
                                     "flow.lua:14", &f->a);
        const char *answer = flow_take(f);
        if (!came) {
            finish(f, answer);
            return;
        }
        mt_format(name, sizeof name, "order-%d", orders);
        charge(f, name);
    }
    fail_flow(f, "too_many");
}

static void flow_documents(struct flow *f) {
    documents(f, "insert", "{\"doc\":{\"number\":\"1\",\"state\":\"new\"},\"id\":\"o1\"}");
    charge(f, "a");
    documents(f, "update", "{\"id\":\"o1\",\"set\":{\"state\":\"paid\"}}");
    const char *seen = documents(f, "get", "{\"id\":\"o1\"}");
    mt_effect_collection(f->x, &(struct mt_collection){"orders", "[\"number\"]", "[]", 0}, "insert",
                         "{\"doc\":{\"number\":\"1\"},\"id\":\"o2\"}", "flow.lua:12", &f->a);
    const char *error = NULL;
    flow_take_try(f, &error);
    charge(f, "b");
    give_signal(f, "done", "d", "{\"n\":1}");
    finish(f, seen);
}

static void flow_unsafe(struct flow *f) {
    const char *error = NULL;
    charge(f, "a");
    mt_effect_call(f->x, "http.post", "{\"body\":\"80\",\"url\":\"" WORLD_BASE "/unsafe/u\"}",
                   strlen("{\"body\":\"80\",\"url\":\"" WORLD_BASE "/unsafe/u\"}"), "flow.lua:13", &f->a);
    const char *value = flow_take_try(f, &error);
    charge(f, "b");
    finish(f, value ? "\"done\"" : "\"not sent\"");
}

static const struct flow_row flows[] = {
    {"three", flow_three},
    {"mixed", flow_mixed},
    {"timeout", flow_timeout},
    {"failing", flow_failing},
    {"child", flow_child},
    {"parent", flow_parent},
    {"all", flow_all},
    {"cycles", flow_cycles},
    {"checkout", flow_checkout},
    {"page", flow_page},
    {"documents", flow_documents},
    {"unsafe", flow_unsafe},
    {0},
};

#include "engine_lives.h"

/* ---- the tests ---- */

static void check_three(struct world *w, const char *id) {
    (void)id;
    assert_int_equal(w->net.done_count, 3);
}

static void test_three_calls(void **state) {
    (void)state;
    exhaust((struct scenario){.flow = "three", .check = check_three, .end = MT_RUN_COMPLETED, .pairs = true});
}

static void test_three_calls_without_a_key(void **state) {
    (void)state;
    exhaust((struct scenario){
        .flow = "three", .check = check_three, .end = MT_RUN_COMPLETED, .pairs = true, .unkeyed = true});
}

static void lost_answers(struct world *w) {
    net_rule(w, "/charge/a", FAULT_DROP_AFTER, 1);
    net_rule(w, "/charge/b", FAULT_BUSY, 1);
    net_rule(w, "/charge/c", FAULT_NOT_SENT, 2);
}

static void test_three_calls_with_faults(void **state) {
    (void)state;
    exhaust((struct scenario){
        .flow = "three", .faults = lost_answers, .check = check_three, .end = MT_RUN_COMPLETED});
}

static void order_event(struct world *w, const char *id) {
    struct mt_error e;
    (void)id;
    int rc = mt_engine_signal(w->engine, "order", "o1", "{\"paid\":true}", "bank-1", NULL, NULL, &e);
    assert_true(rc == 0 || atomic_load(&w->dead));
}

static void check_mixed(struct world *w, const char *id) {
    struct mt_run run = run_of(w, id);
    assert_int_equal(done_times(w, "/charge/"), 2);
    assert_int_equal(done_times(w, "/put/"), 1);
    assert_non_null(strstr(run.output, "\"payload\":{\"paid\":true}"));
    mt_run_clear(&run);
}

static void test_sleep_and_await(void **state) {
    (void)state;
    exhaust((struct scenario){.flow = "mixed",
                              .act_at = 90000000,
                              .act = order_event,
                              .check = check_mixed,
                              .end = MT_RUN_COMPLETED});
}

static void test_event_before_await(void **state) {
    (void)state;
    exhaust((struct scenario){
        .flow = "mixed", .act_at = 1, .act = order_event, .check = check_mixed, .end = MT_RUN_COMPLETED});
}

static void check_timeout(struct world *w, const char *id) {
    struct mt_run run = run_of(w, id);
    assert_string_equal(run.output, "null");
    assert_true(now_of(w) == WORLD_START + 3600000);
    assert_int_equal(done_times(w, "/charge/late"), 1);
    mt_run_clear(&run);
}

static void test_timeout(void **state) {
    (void)state;
    exhaust((struct scenario){.flow = "timeout", .check = check_timeout, .end = MT_RUN_COMPLETED});
}

static void check_failing(struct world *w, const char *id) {
    (void)id;
    assert_int_equal(done_times(w, "/charge/"), 2);
    assert_int_equal(done_times(w, "/refund/"), 2);
    for (size_t i = 0; i < w->net.done_count; i++)
        if (strstr(w->net.done[i], "/refund/")) {
            assert_non_null(strstr(w->net.done[i], "/refund/b")); /* newest first */
            break;
        }
}

static void test_undo_and_fail(void **state) {
    (void)state;
    exhaust(
        (struct scenario){.flow = "failing", .check = check_failing, .end = MT_RUN_FAILED, .pairs = true});
}

static void check_nothing(struct world *w, const char *id) {
    (void)w;
    (void)id;
}

static void test_cancel_asleep(void **state) {
    (void)state;
    exhaust((struct scenario){.flow = "mixed",
                              .act_at = 3600000,
                              .act = cancel_it,
                              .check = check_nothing,
                              .end = MT_RUN_CANCELLED});
}

static void check_parent(struct world *w, const char *id) {
    struct mt_run run = run_of(w, id);
    assert_string_equal(run.output, "\"existing\"");
    assert_int_equal(w->net.done_count, 3);
    mt_run_clear(&run);
}

static void test_children(void **state) {
    (void)state;
    exhaust((struct scenario){.flow = "parent", .check = check_parent, .end = MT_RUN_COMPLETED});
}

static void check_all(struct world *w, const char *id) {
    (void)id;
    assert_int_equal(done_times(w, "/charge/"), 4);
    assert_int_equal(done_times(w, "/put/"), 1);
}

static void test_all(void **state) {
    (void)state;
    exhaust((struct scenario){.flow = "all", .check = check_all, .end = MT_RUN_COMPLETED});
}

static void all_faults(struct world *w) {
    net_rule(w, "/charge/a", FAULT_DROP_AFTER, 1);
    net_rule(w, "/charge/d", FAULT_BUSY_LATER, 1);
    net_rule(w, "/put/b", FAULT_DROP_BEFORE, 1);
    net_rule(w, "/object/1", FAULT_BROKEN, 1);
}

static void test_all_with_faults(void **state) {
    (void)state;
    exhaust(
        (struct scenario){.flow = "all", .faults = all_faults, .check = check_all, .end = MT_RUN_COMPLETED});
}

static void check_cycles(struct world *w, const char *id) {
    struct mt_run run = run_of(w, id);
    assert_int_equal(w->net.done_count, 3);
    assert_int_equal(run.segment, 2);
    assert_string_equal(run.progress, "{\"cycles\":2}");
    mt_run_clear(&run);
}

static void test_continue(void **state) {
    (void)state;
    exhaust((struct scenario){.flow = "cycles", .check = check_cycles, .end = MT_RUN_COMPLETED});
}

static void customer_pays(struct world *w, const char *id) {
    struct mt_error e;
    (void)id;
    pthread_mutex_lock(&w->net.lock);
    json_object_set_new(json_object_get(w->net.intents, "ORDER-1"), "status", json_string("succeeded"));
    pthread_mutex_unlock(&w->net.lock);
    int rc = mt_engine_signal(w->engine, "mintro.intent", "pi_ORDER-1", "{\"event\":\"payment.succeeded\"}",
                              "evt-1", NULL, NULL, &e);
    assert_true(rc == 0 || atomic_load(&w->dead));
}

static void check_paid(struct world *w, const char *id) {
    struct mt_run run = run_of(w, id);
    assert_non_null(strstr(run.output, "\"status\":\"succeeded\""));
    assert_int_equal(done_times(w, "POST /api/platform/intents "), 1);
    assert_int_equal(done_times(w, "/charge/shipping"), 1);
    assert_int_equal(done_times(w, "/cancel"), 0);
    mt_run_clear(&run);
}

static void test_settled(void **state) {
    (void)state;
    exhaust((struct scenario){.flow = "checkout",
                              .act_at = 600000,
                              .act = customer_pays,
                              .check = check_paid,
                              .end = MT_RUN_COMPLETED});
}

static void customer_orders(struct world *w, const char *id) {
    struct mt_error e;
    int rc = mt_engine_signal(w->engine, "page", "p", "{\"way\":\"card\"}", "order-1", NULL, NULL, &e);
    assert_true(rc == 0 || atomic_load(&w->dead));
    if (rc == 0) rc = mt_engine_signal(w->engine, "page", "p", "null", "order-2", NULL, NULL, &e);
    assert_true(rc == 0 || atomic_load(&w->dead));
    if (rc == 0 && world_drive_until(w, now_of(w) + 60000)) customer_pays(w, id);
}

static void check_orders(struct world *w, const char *id) {
    struct mt_run run = run_of(w, id);
    struct mt_event *unread = NULL;
    size_t count = 0;
    struct mt_error e;
    assert_non_null(strstr(run.output, "\"status\":\"succeeded\""));
    assert_int_equal(done_times(w, "/charge/"), 2);
    assert_int_equal(done_times(w, "POST /api/platform/intents "), 1);
    mt_run_clear(&run);
    assert_int_equal(
        w->store->list_events(w->store, "page", "p", 0, false, MT_EVENTS_UNREAD, 10, &unread, &count, &e), 0);
    assert_int_equal(count, 0);
    free(unread);
}

static void test_unless(void **state) {
    (void)state;
    exhaust((struct scenario){.flow = "page",
                              .act_at = 600000,
                              .act = customer_orders,
                              .check = check_orders,
                              .end = MT_RUN_COMPLETED});
}

static void check_nobody(struct world *w, const char *id) {
    struct mt_run run = run_of(w, id);
    assert_string_equal(run.output, "null");
    assert_true(now_of(w) >= WORLD_START + 7200000);
    mt_run_clear(&run);
}

static void test_unless_never(void **state) {
    (void)state;
    exhaust((struct scenario){.flow = "page", .check = check_nobody, .end = MT_RUN_COMPLETED});
}

static void check_released(struct world *w, const char *id) {
    (void)id;
    const char *status = mt_json_str(json_object_get(w->net.intents, "ORDER-1"), "status", "");
    assert_string_equal(status, "cancelled");
    assert_int_equal(done_times(w, "POST /api/platform/intents "), 1);
    assert_int_equal(done_times(w, "/charge/"), 0);
}

static void test_settled_never(void **state) {
    (void)state;
    exhaust((struct scenario){.flow = "checkout", .check = check_released, .end = MT_RUN_FAILED});
}

static void check_documents(struct world *w, const char *id) {
    struct mt_document d;
    struct mt_error e;
    (void)id;
    assert_int_equal(w->store->get_document(w->store, "orders", "o1", &d, &e), 0);
    assert_int_equal(d.version, 2);
    assert_string_equal(d.body, "{\"number\":\"1\",\"state\":\"paid\"}");
    mt_document_clear(&d);
    assert_int_equal(w->store->get_document(w->store, "orders", "o2", &d, &e), -1);
    struct mt_event *events = NULL;
    size_t count = 0;
    assert_int_equal(w->store->list_events(w->store, "done", "d", 0, false, false, 10, &events, &count, &e),
                     0);
    assert_int_equal(count, 1);
    for (size_t i = 0; i < count; i++) mt_event_clear(&events[i]);
    free(events);
}

static void test_documents(void **state) {
    (void)state;
    exhaust((struct scenario){.flow = "documents", .check = check_documents, .end = MT_RUN_COMPLETED});
}

static void check_unsafe(struct world *w, const char *id) {
    (void)id;
    assert_true(sent_times(w, "/unsafe/u") <= 1);
    assert_int_equal(done_times(w, "/charge/"), 2);
}

static void test_unsafe(void **state) {
    (void)state;
    exhaust((struct scenario){.flow = "unsafe", .check = check_unsafe, .end = MT_RUN_COMPLETED});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_calls),
        cmocka_unit_test(test_three_calls_without_a_key),
        cmocka_unit_test(test_three_calls_with_faults),
        cmocka_unit_test(test_sleep_and_await),
        cmocka_unit_test(test_event_before_await),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_undo_and_fail),
        cmocka_unit_test(test_cancel_asleep),
        cmocka_unit_test(test_children),
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_all_with_faults),
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_settled),
        cmocka_unit_test(test_settled_never),
        cmocka_unit_test(test_unless),
        cmocka_unit_test(test_unless_never),
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_unsafe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
