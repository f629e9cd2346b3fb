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

/* ---- lives ---- */

struct scenario {
    const char *flow;
    int64_t act_at; /* ms after the start; 0: nobody acts */
    void (*act)(struct world *w, const char *id);
    void (*faults)(struct world *w);
    void (*check)(struct world *w, const char *id);
    enum mt_run_state end;
    bool pairs;   /* also die again in the recovery */
    bool unkeyed; /* it begins before its row is durable */
    char id[MT_ID_SIZE];
};

/* A start without a key is made again only when nothing is there of the first. */
static bool there_already(struct world *w, struct scenario *s) {
    struct mt_run *runs = NULL;
    size_t count = 0;
    struct mt_error e;
    struct mt_run_filter ours = {.flow = s->flow, .state = -1, .limit = 10};
    assert_int_equal(w->store->list_runs(w->store, &ours, &runs, &count, &e), 0);
    assert_true(count <= 1);
    for (size_t i = 0; i < count; i++) {
        mt_copy(s->id, sizeof s->id, runs[i].id);
        mt_run_clear(&runs[i]);
    }
    free(runs);
    return count > 0;
}

static bool begin(struct world *w, struct scenario *s) {
    struct mt_start start = {.flow = s->flow, .input = "{}", .key = s->unkeyed ? NULL : "the-order"};
    struct mt_run run;
    bool existing;
    struct mt_error e;
    if (s->unkeyed && there_already(w, s)) return true;
    if (mt_engine_start_run(w->engine, &start, &run, &existing, &e) != 0) {
        if (!atomic_load(&w->dead)) fail_msg("start: %s", e.message);
        return false;
    }
    mt_copy(s->id, sizeof s->id, run.id);
    mt_run_clear(&run);
    return true;
}

/* From the start to the end; what was done before is done again and must not count twice. False: died. */
static bool live(struct world *w, struct scenario *s) {
    if (!begin(w, s)) return false;
    if (s->act) {
        if (!world_drive_until(w, WORLD_START + s->act_at)) return false;
        s->act(w, s->id);
    }
    return world_drive(w) && !atomic_load(&w->dead);
}

static void settle_unsafe(struct world *w, struct scenario *s) {
    struct mt_run run;
    struct mt_error e;
    if (state_of(w, s->id) != MT_RUN_NEEDS_ATTENTION) return;
    bool done = done_times(w, "/unsafe/u") > 0;
    if (mt_engine_resolve(w->engine, s->id, 0, 2, done ? MT_DONE : MT_NOT_SENT,
                          done ? "{\"status\":200}" : NULL, NULL, &run, &e) != 0)
        fail_msg("%s", e.message);
    mt_run_clear(&run);
    assert_true(world_drive(w));
}

static void check_end(struct world *w, struct scenario *s, const char *story) {
    assert_safe(w);
    if (strcmp(s->flow, "unsafe") == 0) settle_unsafe(w, s);
    assert_state(w, s->id, s->end);
    s->check(w, s->id);
    if (!story || strcmp(s->flow, "unsafe") == 0) return;
    char *now = world_story(w);
    if (strcmp(now, story) != 0) {
        printf("another story:\n%s\nwanted:\n%s\n", now, story);
        fail();
    }
    free(now);
}

static int deaths;

struct death {
    int commit, send; /* which one; 0: none */
    bool after;
    int commit_again; /* in the recovery */
};

static void live_and_die(struct scenario *s, struct death d, const char *story) {
    struct world *w = world_new(flows, true);
    if (s->faults) s->faults(w);
    w->die_at_commit = d.commit;
    w->die_at_send = d.send;
    w->die_after = d.after;
    world_open(w);
    while (!live(w, s)) {
        deaths++;
        world_stop(w);
        w->die_at_commit = d.commit_again;
        w->die_at_send = 0;
        d.commit_again = 0;
        world_open(w);
    }
    check_end(w, s, story);
    world_free(w);
}

/* Sanitizers look for races and bad memory, and are ten times as slow: they see every single death, and of
 * the pairs a quarter, another one for each first death. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { PAIR_STEP = 4 };
#else
enum { PAIR_STEP = 1 };
#endif

static void die_again(struct scenario *s, struct death d, int first, int commits, const char *story) {
    for (int k = 1 + first % PAIR_STEP; s->pairs && k <= commits; k += PAIR_STEP) {
        d.commit_again = k;
        live_and_die(s, d, story);
    }
}

static void exhaust(struct scenario s) {
    struct world *w = world_new(flows, true);
    if (s.faults) s.faults(w);
    world_open(w);
    assert_true(live(w, &s));
    int commits = atomic_load(&w->commits), sends = atomic_load(&w->sends);
    check_end(w, &s, NULL);
    char *story = world_story(w);
    world_free(w);
    deaths = 0;
    for (int after = 0; after < 2; after++) {
        for (int k = 1; k <= commits + 1; k++) {
            live_and_die(&s, (struct death){.commit = k, .after = after}, story);
            die_again(&s, (struct death){.commit = k, .after = after}, k, commits, story);
        }
        for (int k = 1; k <= sends; k++) {
            live_and_die(&s, (struct death){.send = k, .after = after}, story);
            die_again(&s, (struct death){.send = k, .after = after}, k, commits, story);
        }
    }
    /* half of the tries at least: the commits of several threads may go together */
    assert_true(deaths >= commits + sends);
    free(story);
}

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

static void cancel_it(struct world *w, const char *id) {
    struct mt_run run;
    struct mt_error e;
    if (mt_engine_cancel(w->engine, id, "changed my mind", &run, &e) == 0) mt_run_clear(&run);
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
        cmocka_unit_test(test_late_event),
        cmocka_unit_test(test_release_in_two_calls),
        cmocka_unit_test(test_release_whose_state_moves),
        cmocka_unit_test(test_release_with_lost_answers),
        cmocka_unit_test(test_release_is_not_cancelled_half_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
