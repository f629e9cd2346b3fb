/* links: mt_engine mt_providers mt_store mt_http mt_crypto mt_money mt_base */
/* Handlers: their transactions, what they start and signal, the webhooks they send out, and their dated work,
 * which is carried out in order of time and once, wherever the process dies. */
#include "engine_world.h"

static void flow_child(struct flow *f) {
    finish(f, "1");
}
static const struct flow_row flows[] = {{"child", flow_child}, {0}};

static int setup(void **state) {
    struct world *w = world_new(flows, false);
    w->options.workers = -1;
    *state = w;
    return 0;
}

static int teardown(void **state) {
    world_free(*state);
    return 0;
}

/* ---- a handler, as the bindings run one ---- */

typedef int handler_fn(struct world *w, struct mt_exec *x, const void *arg); /* 0, or -1: it raised */

static int transact(struct world *w, handler_fn *fn, const void *arg, int64_t task, struct mt_error *e) {
    for (int attempt = 0; attempt < 1000; attempt++) {
        struct mt_exec *x = mt_handler_begin(w->engine, "test");
        if (task) mt_handler_task(x, task);
        int rc = fn(w, x, arg);
        if (rc == 0)
            rc = mt_handler_commit(x, e);
        else
            mt_fail(e, MT_SCRIPT, "the handler raised");
        mt_handler_end(x);
        if (rc <= 0) return rc;
    }
    return mt_fail(e, MT_CONFLICT, "others were always quicker");
}

static void must(struct world *w, handler_fn *fn, const void *arg) {
    struct mt_error e;
    if (transact(w, fn, arg, 0, &e) != 0) fail_msg("%s", e.message);
}

static const char *act(struct mt_exec *x, const char *action, const char *params, struct mt_answer *a) {
    mt_effect_collection(x, &(struct mt_collection){"orders", "[\"number\"]", "[\"state\"]", 0}, action,
                         params, "h.lua:1", a);
    return a->step == MT_STEP_BUG ? a->error.message : a->json;
}

#define assert_act(x, action, params, step_, wanted)                                                         \
    do {                                                                                                     \
        struct mt_answer a_;                                                                                 \
        const char *got_ = act(x, action, params, &a_);                                                      \
        assert_int_equal(a_.step, step_);                                                                    \
        if (!strstr(got_, wanted)) fail_msg("%s %s: %s, wanted %s", action, params, got_, wanted);           \
    } while (0)

/* ---- documents ---- */

static int writes(struct world *w, struct mt_exec *x, const void *arg) {
    (void)w;
    (void)arg;
    assert_act(x, "get", "{\"id\":\"a\"}", MT_STEP_ANSWER, "null");
    assert_act(x, "insert", "{\"doc\":{\"number\":\"1\",\"state\":\"new\"},\"id\":\"a\"}", MT_STEP_ANSWER,
               "\"version\":1");
    assert_act(x, "get", "{\"id\":\"a\"}", MT_STEP_ANSWER, "\"state\":\"new\"");
    assert_act(x, "insert", "{\"doc\":{},\"id\":\"a\"}", MT_STEP_RAISE, "\"code\":\"version\"");
    assert_act(x, "insert", "{\"doc\":{\"number\":\"1\"},\"id\":\"b\"}", MT_STEP_RAISE,
               "\"code\":\"unique\"");
    assert_act(x, "update", "{\"id\":\"a\",\"set\":{\"note\":\"x\",\"state\":\"paid\"},\"version\":1}",
               MT_STEP_ANSWER, "\"version\":1");
    assert_act(x, "update", "{\"id\":\"a\",\"set\":{\"note\":null},\"version\":7}", MT_STEP_RAISE,
               "\"code\":\"version\"");
    assert_act(x, "update", "{\"id\":\"a\",\"set\":{\"note\":null}}", MT_STEP_ANSWER, "\"id\":\"a\"");
    assert_act(x, "update", "{\"id\":\"nobody\",\"set\":{}}", MT_STEP_RAISE, "not_found");
    assert_act(x, "by", "{\"field\":\"number\",\"value\":\"1\"}", MT_STEP_ANSWER, "\"state\":\"paid\"");
    assert_act(x, "by", "{\"field\":\"state\",\"value\":\"new\"}", MT_STEP_ANSWER, "null");
    assert_act(x, "list", "{\"field\":\"state\",\"value\":\"paid\"}", MT_STEP_ANSWER, "\"id\":\"a\"");
    assert_act(x, "delete", "{\"id\":\"gone\"}", MT_STEP_ANSWER, "null");
    assert_act(x, "get", "{}", MT_STEP_BUG, "id");
    return 0;
}

static int frees_number(struct world *w, struct mt_exec *x, const void *arg) {
    (void)w;
    (void)arg;
    assert_act(x, "get", "{\"id\":\"a\"}", MT_STEP_ANSWER,
               "{\"doc\":{\"number\":\"1\",\"state\":\"paid\"},\"id\":\"a\",\"version\":1}");
    assert_act(x, "insert", "{\"doc\":{\"number\":\"1\"},\"id\":\"b\"}", MT_STEP_RAISE,
               "\"code\":\"unique\"");
    assert_act(x, "delete", "{\"id\":\"a\"}", MT_STEP_ANSWER, "\"id\":\"a\"");
    assert_act(x, "get", "{\"id\":\"a\"}", MT_STEP_ANSWER, "null");
    assert_act(x, "by", "{\"field\":\"number\",\"value\":\"1\"}", MT_STEP_ANSWER, "null");
    assert_act(x, "insert", "{\"doc\":{\"number\":\"1\"},\"id\":\"b\"}", MT_STEP_ANSWER, "\"version\":1");
    return 0;
}

static void test_reads_what_it_wrote(void **state) {
    struct world *w = *state;
    world_open(w);
    must(w, writes, NULL);
    must(w, frees_number, NULL);
    struct mt_document d;
    struct mt_error e;
    assert_int_equal(w->store->get_document(w->store, "orders", "a", &d, &e), -1);
    assert_int_equal(w->store->get_document(w->store, "orders", "b", &d, &e), 0);
    mt_document_clear(&d);
}

static int five_documents(struct world *w, struct mt_exec *x, const void *arg) {
    (void)w;
    (void)arg;
    for (int i = 1; i <= 5; i++) {
        char params[100];
        struct mt_answer a;
        mt_format(params, sizeof params, "{\"doc\":{\"state\":\"new\"},\"id\":\"d%d\"}", i);
        act(x, "insert", params, &a);
    }
    return 0;
}

static void assert_list(struct mt_exec *x, const char *params, const char *ids) {
    struct mt_answer a;
    struct mt_error e;
    char got[100] = "";
    act(x, "list", params, &a);
    json_t *list = mt_json_parse(a.json, a.len, &e), *item;
    size_t i;
    json_array_foreach(list, i, item) {
        size_t n = strlen(got);
        mt_format(got + n, sizeof got - n, "%s%s", n ? " " : "", mt_json_str(item, "id", ""));
    }
    json_decref(list);
    assert_string_equal(got, ids);
}

static int lists(struct world *w, struct mt_exec *x, const void *arg) {
    struct mt_answer a;
    (void)w;
    (void)arg;
    act(x, "insert", "{\"doc\":{\"state\":\"new\"},\"id\":\"d25\"}", &a);
    act(x, "insert", "{\"doc\":{\"state\":\"new\"},\"id\":\"d9\"}", &a);
    act(x, "delete", "{\"id\":\"d1\"}", &a);
    act(x, "update", "{\"id\":\"d4\",\"set\":{\"state\":\"paid\"}}", &a);
    assert_list(x, "{}", "d2 d25 d3 d4 d5 d9");
    assert_list(x, "{\"limit\":2}", "d2 d25");
    assert_list(x, "{\"after\":\"d25\",\"limit\":2}", "d3 d4");
    assert_list(x, "{\"newest\":true,\"limit\":3}", "d9 d5 d4");
    assert_list(x, "{\"after\":\"d4\",\"newest\":true}", "d3 d25 d2");
    assert_list(x, "{\"field\":\"state\",\"value\":\"new\"}", "d2 d25 d3 d5 d9");
    assert_list(x, "{\"field\":\"state\",\"limit\":1,\"value\":\"new\"}", "d2");
    assert_list(x, "{\"field\":\"state\",\"value\":\"paid\"}", "d4"); /* its own update is found */
    return 0;
}

static void test_lists_with_its_own_writes(void **state) {
    struct world *w = *state;
    world_open(w);
    must(w, five_documents, NULL);
    must(w, lists, NULL);
}

/* ---- conflicts ---- */

static int increments(struct world *w, struct mt_exec *x, const void *arg) {
    struct mt_answer a;
    struct mt_error e;
    char params[100];
    (void)w;
    (void)arg;
    act(x, "get", "{\"id\":\"counter\"}", &a);
    json_t *doc = mt_json_parse(a.json, a.len, &e);
    mt_format(params, sizeof params, "{\"doc\":{\"n\":%lld},\"id\":\"counter\"}",
              (long long)mt_json_int(json_object_get(doc, "doc"), "n", 0) + 1);
    json_decref(doc);
    act(x, "put", params, &a);
    return a.step == MT_STEP_ANSWER ? 0 : -1;
}

static void *increment_often(void *arg) {
    struct mt_error e;
    size_t failed = 0;
    for (int i = 0; i < 50; i++) failed += transact(arg, increments, NULL, 0, &e) != 0;
    return (void *)failed;
}

static void test_counter_is_exact(void **state) {
    struct world *w = *state;
    pthread_t threads[16];
    struct mt_document d;
    struct mt_error e;
    world_free(w);
    *state = w = world_new(flows, true);
    w->options.workers = -1;
    world_open(w);
    for (int i = 0; i < 16; i++) assert_int_equal(pthread_create(&threads[i], NULL, increment_often, w), 0);
    for (int i = 0; i < 16; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(w->store->get_document(w->store, "orders", "counter", &d, &e), 0);
    assert_string_equal(d.body, "{\"n\":800}");
    assert_int_equal(d.version, 800);
    mt_document_clear(&d);
    struct mt_buf metrics;
    mt_buf_init(&metrics, 100000);
    mt_engine_metrics(w->engine, &metrics);
    assert_non_null(strstr(metrics.data, "mintage_handler_conflicts_total"));
    mt_buf_clear(&metrics);
}

static void test_conflict_is_told(void **state) {
    struct world *w = *state;
    struct mt_error e;
    struct mt_answer a;
    world_open(w);
    must(w, five_documents, NULL);
    struct mt_exec *one = mt_handler_begin(w->engine, "one"), *two = mt_handler_begin(w->engine, "two");
    act(one, "get", "{\"id\":\"d1\"}", &a); /* only read */
    act(one, "put", "{\"doc\":{\"x\":1},\"id\":\"other\"}", &a);
    act(two, "update", "{\"id\":\"d1\",\"set\":{\"state\":\"paid\"}}", &a);
    assert_int_equal(mt_handler_commit(two, &e), 0);
    assert_int_equal(mt_handler_commit(one, &e), 1);
    mt_handler_end(one);
    mt_handler_end(two);
    one = mt_handler_begin(w->engine, "one"), two = mt_handler_begin(w->engine, "two");
    act(one, "insert", "{\"doc\":{\"number\":\"77\"},\"id\":\"n1\"}", &a);
    act(two, "insert", "{\"doc\":{\"number\":\"77\"},\"id\":\"n2\"}", &a);
    assert_int_equal(mt_handler_commit(one, &e), 0);
    assert_int_equal(mt_handler_commit(two, &e), 1); /* run again, it is told of the unique value */
    mt_handler_end(one);
    mt_handler_end(two);
}

/* One numbers by a counter that another has moved on meanwhile: what it collides with is no conflict of its
 * own, and it runs again. */
static void test_overtaken_is_no_conflict(void **state) {
    struct world *w = *state;
    struct mt_error e;
    struct mt_answer a;
    world_open(w);
    struct mt_exec *one = mt_handler_begin(w->engine, "one"), *two = mt_handler_begin(w->engine, "two");
    act(one, "get", "{\"id\":\"count\"}", &a);
    act(two, "put", "{\"doc\":{\"n\":1},\"id\":\"count\"}", &a);
    act(two, "insert", "{\"doc\":{\"by\":\"two\"},\"id\":\"r1\"}", &a);
    assert_int_equal(mt_handler_commit(two, &e), 0);
    assert_act(one, "insert", "{\"doc\":{\"by\":\"one\"},\"id\":\"r1\"}", MT_STEP_RAISE, "conflict");
    assert_true(mt_handler_overtaken(one));
    mt_handler_end(one);
    mt_handler_end(two);
    one = mt_handler_begin(w->engine, "one");
    act(one, "get", "{\"id\":\"count\"}", &a);
    assert_act(one, "insert", "{\"doc\":{},\"id\":\"r1\"}", MT_STEP_RAISE, "conflict");
    assert_false(mt_handler_overtaken(one)); /* this one is its own */
    mt_handler_end(one);
}

/* ---- starts and signals ---- */

static const char *start_from(struct mt_exec *x, const char *input, const char *key, struct mt_answer *a) {
    mt_effect_start(x, "child", input, key, false, "h.lua:2", a);
    return a->step == MT_STEP_BUG ? a->error.message : a->json;
}

static int starts(struct world *w, struct mt_exec *x, const void *arg) {
    struct mt_answer a;
    (void)w;
    const char *again = arg ? "\"existing\":true" : "\"existing\":false";
    assert_non_null(strstr(start_from(x, "{\"n\":1}", "k", &a), again));
    assert_non_null(strstr(start_from(x, "{\"n\":1}", "k", &a), "\"existing\":true"));
    assert_non_null(strstr(start_from(x, "{\"n\":2}", "k", &a), "key_reused"));
    assert_int_equal(a.step, MT_STEP_RAISE);
    assert_non_null(strstr(start_from(x, "{\"bad\":2}", NULL, &a), "invalid_request"));
    mt_effect_signal(x, "order", "o", "{\"n\":1}", "h.lua:3", &a);
    assert_int_equal(a.step, MT_STEP_ANSWER);
    return 0;
}

static void test_starts_and_signals(void **state) {
    struct world *w = *state;
    struct mt_run *runs;
    size_t count;
    struct mt_error e;
    int64_t n = 0;
    world_open(w);
    must(w, starts, NULL);
    must(w, starts, w);
    struct mt_run_filter all = {.state = -1, .limit = 10};
    assert_int_equal(w->store->list_runs(w->store, &all, &runs, &count, &e), 0);
    assert_int_equal(count, 1);
    for (size_t i = 0; i < count; i++) mt_run_clear(&runs[i]);
    free(runs);
    assert_int_equal(w->store->last_event(w->store, "order", "o", &n, &e), 0);
    assert_int_equal(n, 2);
}

static int starts_secret(struct world *w, struct mt_exec *x, const void *arg) {
    struct mt_answer a;
    (void)w;
    const char *again = arg ? "\"existing\":true" : "\"existing\":false";
    assert_non_null(strstr(start_from(x, "{\"pin\":{\"$secret\":\"hush\"}}", "k", &a), again));
    assert_non_null(strstr(start_from(x, "{\"pin\":{\"$secret\":\"hush\"}}", "k", &a), "\"existing\":true"));
    assert_non_null(strstr(start_from(x, "{\"pin\":{\"$secret\":\"hash\"}}", "k", &a), "key_reused"));
    return 0;
}

static void test_secrets_are_compared(void **state) {
    struct world *w = *state;
    struct mt_run run;
    struct mt_error e;
    world_open(w);
    must(w, starts_secret, NULL);
    must(w, starts_secret, w);
    assert_int_equal(w->store->find_run(w->store, "child", "k", &run, &e), 0);
    assert_non_null(strstr(run.input, "\"$sealed\""));
    assert_null(strstr(run.input, "hush"));
    mt_run_clear(&run);
}

static void test_two_start_the_same_key(void **state) {
    struct world *w = *state;
    struct mt_error e;
    struct mt_answer a;
    world_open(w);
    struct mt_exec *one = mt_handler_begin(w->engine, "one"), *two = mt_handler_begin(w->engine, "two");
    start_from(one, "{}", "k", &a);
    start_from(two, "{}", "k", &a); /* both were told that it is new */
    assert_int_equal(mt_handler_commit(one, &e), 0);
    assert_int_equal(mt_handler_commit(two, &e), 1);
    mt_handler_end(one);
    mt_handler_end(two);
}

static void test_refusals(void **state) {
    struct world *w = *state;
    struct mt_answer a;
    world_open(w);
    struct mt_exec *x = mt_handler_begin(w->engine, "h");
    const char *post = "{\"url\":\"" WORLD_BASE "/charge/a\"}";
    mt_effect_call(x, "http.post", post, strlen(post), "h.lua:4", &a);
    assert_int_equal(a.step, MT_STEP_BUG);
    assert_non_null(strstr(a.error.message, "flow.start"));
    mt_effect_sleep(x, 5, "h.lua:5", &a);
    assert_int_equal(a.step, MT_STEP_BUG);
    mt_effect_await(x, "t", "k", 5, "h.lua:6", &a);
    assert_int_equal(a.step, MT_STEP_BUG);
    mt_effect_undo(x, "http.post", post, strlen(post), "h.lua:7", &a);
    assert_int_equal(a.step, MT_STEP_BUG);
    mt_effect_progress(x, "{}", "h.lua:8", &a);
    assert_int_equal(a.step, MT_STEP_BUG);
    mt_effect_continue(x, "{}", false, "h.lua:9", &a);
    assert_int_equal(a.step, MT_STEP_BUG);
    mt_effect_call(x, "http.get", "{\"url\":\"" WORLD_BASE "/object/1\"}",
                   strlen("{\"url\":\"" WORLD_BASE "/object/1\"}"), "h.lua:10", &a);
    assert_int_equal(a.step, MT_STEP_ANSWER); /* reads it may */
    for (int i = 0; i < 250; i++) mt_effect_signal(x, "t", "k", "1", "h.lua:11", &a);
    assert_int_equal(a.step, MT_STEP_ANSWER);
    mt_effect_signal(x, "t", "k", "1", "h.lua:11", &a);
    assert_int_equal(a.step, MT_STEP_BUG);
    mt_handler_end(x); /* never committed */
    assert_int_equal(w->net.count, 1);
    struct mt_error e;
    int64_t n = 0;
    assert_int_equal(w->store->last_event(w->store, "t", "k", &n, &e), 0);
    assert_int_equal(n, 0);
}

/* ---- deliveries ---- */

static char delivery_id[MT_ID_SIZE];

static int delivers(struct world *w, struct mt_exec *x, const void *arg) {
    struct mt_answer a;
    struct mt_error e;
    (void)w;
    mt_effect_deliver(x, arg, "h.lua:12", &a);
    if (a.step != MT_STEP_ANSWER) return -1;
    json_t *answer = mt_json_parse(a.json, a.len, &e);
    mt_copy(delivery_id, sizeof delivery_id, mt_json_str(answer, "id", ""));
    json_decref(answer);
    return 0;
}

static void assert_delivery(struct world *w, const char *id, const char *state_, int attempts) {
    struct mt_delivery d;
    struct mt_error e;
    assert_int_equal(w->store->get_delivery(w->store, id, &d, &e), 0);
    assert_string_equal(d.state, state_);
    assert_int_equal(d.attempts, attempts);
    mt_delivery_clear(&d);
}

static void advance(struct world *w, int64_t ms) {
    struct mt_error e;
    int64_t until = now_of(w) + ms;
    if (mt_engine_advance(w->engine, until, &e) != 0) fail_msg("%s", e.message);
    assert_true(now_of(w) == until);
}

static void test_deliveries_keep_their_schedule(void **state) {
    struct world *w = *state;
    struct mt_error e;
    net_rule(w, "/hook", FAULT_BROKEN, 2);
    net_rule(w, "/other", FAULT_BROKEN, 100);
    world_open(w);
    must(w, delivers,
         "{\"body\":\"{}\",\"delay_ms\":1000,\"event\":\"paid\",\"group\":\"mintro\",\"headers\":{\"X-Sig\":"
         "\"s\"},"
         "\"schedule_ms\":[60000,3600000],\"url\":\"" WORLD_BASE "/hook\"}");
    char id[MT_ID_SIZE], other[MT_ID_SIZE], nowhere[MT_ID_SIZE], picky[MT_ID_SIZE];
    mt_copy(id, sizeof id, delivery_id);
    must(w, delivers,
         "{\"body\":\"{}\",\"delay_ms\":2000,\"event\":\"paid\",\"schedule_ms\":[1000],\"url\":\"" WORLD_BASE
         "/other\"}");
    mt_copy(other, sizeof other, delivery_id);
    must(w, delivers, "{\"body\":\"{}\",\"event\":\"paid\"}");
    mt_copy(nowhere, sizeof nowhere, delivery_id);
    must(w, delivers,
         "{\"accept\":\"OK\",\"body\":\"{}\",\"delay_ms\":3000,\"event\":\"paid\",\"url\":\"" WORLD_BASE
         "/picky\"}");
    mt_copy(picky, sizeof picky, delivery_id);
    assert_delivery(w, id, "pending", 0);
    advance(w, 999);
    assert_delivery(w, id, "pending", 0);
    advance(w, 1);
    assert_delivery(w, id, "pending", 1);
    advance(w, 59999);
    assert_delivery(w, id, "pending", 1);
    assert_delivery(w, other, "failed", 2);
    assert_delivery(w, picky, "failed", 1); /* another body than it accepts */
    assert_delivery(w, nowhere, "no_endpoint", 0);
    advance(w, 1);
    assert_delivery(w, id, "pending", 2);
    advance(w, 3600000);
    assert_delivery(w, id, "delivered", 3);
    assert_int_equal(sent_times(w, "/hook"), 3);
    assert_non_null(strstr(w->net.sent[0].bytes, "X-Sig: s"));
    assert_int_equal(mt_engine_redeliver(w->engine, id, &e), 0);
    assert_delivery(w, id, "delivered", 4);
    assert_int_equal(mt_engine_redeliver(w->engine, nowhere, &e), -1);
    assert_int_equal(e.kind, MT_CONFLICT);
    assert_int_equal(mt_engine_redeliver(w->engine, "whd_none", &e), -1);
    assert_int_equal(e.kind, MT_NOT_FOUND);
}

/* Those that are due when nobody moves the clock are the dater's. */
static void test_the_dater_delivers(void **state) {
    struct world *w = *state;
    world_open(w);
    must(w, delivers, "{\"body\":\"{}\",\"event\":\"paid\",\"url\":\"" WORLD_BASE "/hook\"}");
    for (int i = 0; i < 500 && sent_times(w, "/hook") == 0; i++) world_wait(w, world_seen(w));
    for (int i = 0; i < 500; i++) {
        struct mt_delivery d;
        struct mt_error e;
        uint64_t seen = world_seen(w);
        assert_int_equal(w->store->get_delivery(w->store, delivery_id, &d, &e), 0);
        bool done = strcmp(d.state, "delivered") == 0;
        mt_delivery_clear(&d);
        if (done) return;
        world_wait(w, seen);
    }
    fail_msg("it was not delivered");
}

/* ---- dated work ---- */

static int schedules(struct world *w, struct mt_exec *x, const void *arg) {
    struct mt_answer a;
    const char *names[] = {"c", "a", "b", "fails"};
    const int64_t after[] = {3000, 1000, 2000, 2500};
    (void)w;
    (void)arg;
    for (int i = 0; i < 4; i++) mt_effect_schedule(x, WORLD_START + after[i], names[i], "{}", "h.lua:13", &a);
    return a.step == MT_STEP_ANSWER ? 0 : -1;
}

/* Appends its name and time to the story document, and schedules one more. */
static int writes_story(struct world *w, struct mt_exec *x, const void *arg) {
    struct mt_answer a;
    struct mt_error e;
    const char *name = arg;
    if (strcmp(name, "fails") == 0) return -1;
    act(x, "get", "{\"id\":\"story\"}", &a);
    json_t *doc = mt_json_parse(a.json, a.len, &e);
    struct mt_buf b;
    mt_buf_init(&b, 1000);
    mt_buf_addf(&b, "{\"doc\":{\"text\":\"%s%s@%lld \"},\"id\":\"story\"}",
                mt_json_str(json_object_get(doc, "doc"), "text", ""), name,
                (long long)(now_of(w) - WORLD_START));
    json_decref(doc);
    act(x, "put", b.data, &a);
    mt_buf_clear(&b);
    if (strcmp(name, "a") == 0) mt_effect_schedule(x, mt_exec_now(x) + 500, "d", "{}", "h.lua:14", &a);
    return a.step == MT_STEP_ANSWER ? 0 : -1;
}

static int task_story(struct world *w, int64_t n, const char *name, const char *payload, struct mt_error *e) {
    (void)payload;
    return transact(w, writes_story, name, n, e);
}

static void assert_story(struct world *w) {
    struct mt_document d;
    struct mt_error e;
    assert_int_equal(w->store->get_document(w->store, "orders", "story", &d, &e), 0);
    assert_string_equal(d.body, "{\"text\":\"a@1000 d@1500 b@2000 c@3000 \"}");
    mt_document_clear(&d);
    struct mt_task *tasks;
    size_t count;
    assert_int_equal(w->store->list_tasks(w->store, MT_NEVER, 10, &tasks, &count, &e), 0);
    assert_int_equal(count, 0);
    free(tasks);
}

static void test_tasks_in_order_of_time(void **state) {
    struct world *w = *state;
    w->task = task_story;
    world_open(w);
    must(w, schedules, NULL);
    advance(w, 10000);
    assert_story(w);
}

static void test_tasks_once_wherever_it_dies(void **state) {
    world_free(*state);
    *state = NULL;
    for (int after = 0; after < 2; after++)
        for (int k = 1; k <= 7; k++) {
            struct world *w = world_new(flows, true);
            struct mt_error e;
            w->task = task_story;
            w->options.workers = -1;
            world_open(w);
            must(w, schedules, NULL);
            atomic_store(&w->commits, 0);
            w->die_at_commit = k;
            w->die_after = after;
            while (mt_engine_advance(w->engine, WORLD_START + 10000, &e) != 0) {
                assert_true(atomic_load(&w->dead));
                world_stop(w);
                w->die_at_commit = 0;
                world_open(w);
            }
            assert_story(w);
            world_free(w);
        }
    *state = world_new(flows, false);
}

static atomic_int away;

static int task_away(struct world *w, int64_t n, const char *name, const char *payload, struct mt_error *e) {
    if (atomic_fetch_sub(&away, 1) > 0) return mt_fail(e, MT_UNAVAILABLE, "no scripts are loaded");
    return task_story(w, n, name, payload, e);
}

static void test_a_task_that_cannot_be_carried_out_waits(void **state) {
    struct world *w = *state;
    struct mt_error e;
    w->task = task_away;
    world_open(w);
    must(w, schedules, NULL);
    atomic_store(&away, 1);
    assert_int_equal(mt_engine_advance(w->engine, WORLD_START + 10000, &e), -1);
    assert_true(now_of(w) == WORLD_START + 1000);
    assert_int_equal(mt_engine_advance(w->engine, WORLD_START + 10000, &e), 0);
    assert_story(w);
}

static void test_wipe(void **state) {
    struct world *w = *state;
    struct mt_error e;
    struct mt_document d;
    w->task = task_story;
    world_open(w);
    must(w, five_documents, NULL);
    must(w, schedules, NULL);
    assert_int_equal(mt_engine_wipe(w->engine, &e), 0);
    assert_int_equal(w->store->get_document(w->store, "orders", "d1", &d, &e), -1);
    advance(w, 10000);
    assert_int_equal(w->store->get_document(w->store, "orders", "story", &d, &e), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_reads_what_it_wrote),
        TEST(test_lists_with_its_own_writes),
        TEST(test_counter_is_exact),
        TEST(test_conflict_is_told),
        TEST(test_overtaken_is_no_conflict),
        TEST(test_starts_and_signals),
        TEST(test_secrets_are_compared),
        TEST(test_two_start_the_same_key),
        TEST(test_refusals),
        TEST(test_deliveries_keep_their_schedule),
        TEST(test_the_dater_delivers),
        TEST(test_tasks_in_order_of_time),
        TEST(test_tasks_once_wherever_it_dies),
        TEST(test_a_task_that_cannot_be_carried_out_waits),
        TEST(test_wipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
