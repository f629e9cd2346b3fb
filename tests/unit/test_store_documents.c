/* links: mt_store mt_base */
/* The store's contract on every implementation: documents, deliveries, tasks, generations, meta, lists. */
#include "base/buf.h"
#include "store_conformance.h"

/* ---- documents ---- */

static struct mt_op put_op(const char *id, const char *body, int64_t expect, const struct mt_doc_key *keys,
                           size_t n) {
    return (struct mt_op){
        .type = MT_OP_DOC_PUT,
        .doc = {
            .collection = "orders", .id = id, .body = body, .expect = expect, .keys = keys, .key_count = n}};
}

static void test_documents(void **state) {
    struct mt_store *s = store_of(state);
    struct mt_doc_key email[] = {{"email", "a@x", true}, {"state", "paid", false}};
    struct mt_op op = put_op("1", "{\"v\":1}", 0, email, 2);
    assert_int_equal(one(s, NULL, &op).status, 0);
    assert_int_equal(op.doc.version, 1);
    op = put_op("1", "{\"v\":2}", 0, email, 2);
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_STALE);
    op = put_op("1", "{\"v\":2}", 1, email, 2);
    one(s, NULL, &op);
    assert_int_equal(op.doc.version, 2);
    op = put_op("2", "{}", -1, email, 2);
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_DUPLICATE);
    must(s, NULL, put_op("2", "{}", -1, email + 1, 1));
    struct mt_document d;
    struct mt_error e;
    assert_int_equal(s->get_document(s, "orders", "1", &d, &e), 0);
    assert_int_equal(d.version, 2);
    assert_string_equal(d.body, "{\"v\":2}");
    mt_document_clear(&d);
    op = (struct mt_op){.type = MT_OP_DOC_CHECK, .doc = {.collection = "orders", .id = "1", .expect = 1}};
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_STALE);
    op.doc.expect = 2;
    assert_int_equal(one(s, NULL, &op).status, 0);
    op = (struct mt_op){.type = MT_OP_DOC_DELETE, .doc = {.collection = "orders", .id = "1", .expect = 1}};
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_STALE);
    op.doc.expect = -1;
    assert_int_equal(one(s, NULL, &op).status, 0);
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_MISSING);
    assert_int_equal(s->get_document(s, "orders", "1", &d, &e), -1);
    assert_int_equal(e.kind, MT_NOT_FOUND);
    must(s, NULL, put_op("3", "{}", 0, email, 1)); /* the value is free again */
}

static void test_document_queries(void **state) {
    struct mt_store *s = store_of(state);
    struct mt_doc_key paid = {"state", "paid", false}, open = {"state", "open", false};
    must(s, NULL, put_op("b", "1", -1, &paid, 1));
    must(s, NULL, put_op("a", "2", -1, &open, 1));
    must(s, NULL, put_op("d", "3", -1, &paid, 1));
    must(s, NULL, put_op("c", "4", -1, &paid, 1));
    must(s, NULL, put_op("d", "5", -1, &open, 1));
    struct {
        const char *field, *value, *after;
        bool newest;
        size_t limit;
        const char *ids;
    } rows[] = {{NULL, NULL, NULL, false, 10, "abcd"},    {NULL, NULL, NULL, true, 3, "dcb"},
                {NULL, NULL, "b", false, 10, "cd"},       {NULL, NULL, "b", true, 10, "a"},
                {"state", "paid", NULL, false, 10, "bc"}, {"state", "open", NULL, true, 10, "da"},
                {"state", "paid", "b", false, 10, "c"},   {"state", "gone", NULL, false, 10, ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mt_document *docs;
        size_t count;
        int64_t counter;
        struct mt_error e;
        char ids[16] = "";
        assert_int_equal(s->query_documents(s, "orders", rows[i].field, rows[i].value, rows[i].after,
                                            rows[i].newest, rows[i].limit, &docs, &count, &counter, &e),
                         0);
        assert_int_equal(counter, 5);
        for (size_t k = 0; k < count; k++) {
            strcat(ids, docs[k].id);
            mt_document_clear(&docs[k]);
        }
        free(docs);
        assert_string_equal(ids, rows[i].ids);
    }
    struct mt_op op = {.type = MT_OP_COLLECTION_CHECK, .collection_check = {"orders", 4}};
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_STALE);
    op.collection_check.counter = 5;
    assert_int_equal(one(s, NULL, &op).status, 0);
    op = (struct mt_op){.type = MT_OP_COLLECTION_CHECK, .collection_check = {"empty", 0}};
    assert_int_equal(one(s, NULL, &op).status, 0);
}

/* ---- deliveries, tasks, generations, meta ---- */

static void test_deliveries(void **state) {
    struct mt_store *s = store_of(state);
    struct mt_delivery d = {.url = (char *)"http://x",
                            .headers = (char *)"{}",
                            .body = (char *)"b\0dy",
                            .body_len = 4,
                            .schedule = (char *)"[1]",
                            .next_at = 50,
                            .created_at = 40};
    mt_copy(d.id, sizeof d.id, "dlv_1");
    mt_copy(d.group, sizeof d.group, "mintro");
    mt_copy(d.event, sizeof d.event, "payment.succeeded");
    mt_copy(d.state, sizeof d.state, "pending");
    struct mt_op op = {.type = MT_OP_DELIVERY_PUT, .delivery = &d};
    assert_int_equal(one(s, NULL, &op).due, 50);
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_DUPLICATE);
    struct mt_delivery sooner = d, none = d;
    mt_copy(sooner.id, sizeof sooner.id, "dlv_2");
    mt_copy(sooner.group, sizeof sooner.group, "paymnt");
    sooner.next_at = 45;
    must(s, NULL, (struct mt_op){.type = MT_OP_DELIVERY_PUT, .delivery = &sooner});
    mt_copy(none.id, sizeof none.id, "dlv_3");
    mt_copy(none.state, sizeof none.state, "no_endpoint");
    none.url = NULL;
    must(s, NULL, (struct mt_op){.type = MT_OP_DELIVERY_PUT, .delivery = &none});
    struct {
        const char *group;
        int64_t due_by;
        const char *ids;
    } rows[] = {{NULL, MT_NEVER, "123"},
                {"mintro", MT_NEVER, "13"},
                {NULL, 50, "21"},
                {NULL, 49, "2"},
                {"mintro", 49, ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mt_delivery *list;
        size_t count;
        struct mt_error e;
        char ids[16] = "";
        assert_int_equal(s->list_deliveries(s, rows[i].group, rows[i].due_by, 10, &list, &count, &e), 0);
        for (size_t k = 0; k < count; k++) {
            strcat(ids, list[k].id + 4);
            mt_delivery_clear(&list[k]);
        }
        free(list);
        assert_string_equal(ids, rows[i].ids);
    }
    struct mt_delivery after = {.url = (char *)"http://y",
                                .attempts = 1,
                                .next_at = 99,
                                .log = (char *)"[{}]"},
                       got;
    mt_copy(after.id, sizeof after.id, "dlv_1");
    mt_copy(after.state, sizeof after.state, "delivered");
    op = (struct mt_op){.type = MT_OP_DELIVERY_UPDATE, .delivery = &after};
    assert_true(one(s, NULL, &op).due == MT_NEVER);
    struct mt_error e;
    assert_int_equal(s->get_delivery(s, "dlv_1", &got, &e), 0);
    assert_string_equal(got.state, "delivered");
    assert_string_equal(got.url, "http://y");
    assert_string_equal(got.log, "[{}]");
    assert_int_equal(got.attempts, 1);
    assert_int_equal(got.n, 1);
    assert_memory_equal(got.body, "b\0dy", 4);
    mt_delivery_clear(&got);
    mt_copy(after.id, sizeof after.id, "dlv_9");
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_MISSING);
    assert_int_equal(s->get_delivery(s, "dlv_9", &got, &e), -1);
}

static void test_tasks(void **state) {
    struct mt_store *s = store_of(state);
    struct mt_op later = {.type = MT_OP_TASK_PUT, .task = {.due_at = 90, .name = "b", .payload = "{}"}};
    struct mt_op sooner = {.type = MT_OP_TASK_PUT, .task = {.due_at = 80, .name = "a", .payload = "[]"}};
    assert_int_equal(one(s, NULL, &later).due, 90);
    one(s, NULL, &sooner);
    struct mt_task *tasks;
    size_t count;
    struct mt_error e;
    assert_int_equal(s->list_tasks(s, 90, 10, &tasks, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_string_equal(tasks[0].name, "a");
    assert_string_equal(tasks[0].payload, "[]");
    assert_int_equal(tasks[0].n, sooner.task.n);
    for (size_t i = 0; i < count; i++) mt_task_clear(&tasks[i]);
    free(tasks);
    struct mt_op gone = {.type = MT_OP_TASK_DELETE, .task = {.n = sooner.task.n}};
    assert_int_equal(one(s, NULL, &gone).status, 0);
    assert_refused(one(s, NULL, &gone), &gone, 0, MT_RES_MISSING);
    assert_int_equal(s->list_tasks(s, 89, 10, &tasks, &count, &e), 0);
    assert_int_equal(count, 0);
    free(tasks);
}

static void test_generations(void **state) {
    struct mt_store *s = store_of(state);
    const char *shas[] = {"s1", "s2"}, *texts[] = {"return 1", "a\0b"};
    size_t lens[] = {8, 3}, len;
    struct mt_error e;
    char *text;
    start(s, "run_1", true);
    assert_int_equal(s->get_generation(s, GENERATION, &text, &e), -1);
    struct mt_op op = {.type = MT_OP_GENERATION,
                       .generation = {.id = GENERATION,
                                      .manifest = "{\"files\":{}}",
                                      .shas = shas,
                                      .texts = texts,
                                      .lens = lens,
                                      .count = 2,
                                      .at = 1000}};
    must(s, NULL, op);
    op.generation.manifest = "{}"; /* keeping it again changes nothing */
    must(s, NULL, op);
    op.generation.id = "sha256:b";
    op.generation.at = 2000;
    must(s, NULL, op);
    assert_int_equal(s->get_generation(s, GENERATION, &text, &e), 0);
    assert_string_equal(text, "{\"files\":{}}");
    free(text);
    assert_int_equal(s->get_blob(s, "s2", &text, &len, &e), 0);
    assert_int_equal(len, 3);
    assert_memory_equal(text, "a\0b", 3);
    free(text);
    assert_int_equal(s->get_blob(s, "s3", &text, &len, &e), -1);
    assert_int_equal(s->list_generations(s, &text, &e), 0);
    assert_string_equal(text,
                        "[{\"id\":\"sha256:b\",\"created_at\":\"1970-01-01T00:00:02.000Z\",\"runs\":0},"
                        "{\"id\":\"sha256:aaaa\",\"created_at\":\"1970-01-01T00:00:01.000Z\",\"runs\":1}]");
    free(text);
    must(s, "run_1", end_op(MT_RUN_COMPLETED));
    assert_int_equal(s->list_generations(s, &text, &e), 0);
    assert_null(strstr(text, "\"runs\":1"));
    free(text);
}

static void test_meta_and_wipe(void **state) {
    struct mt_store *s = store_of(state);
    char *value;
    struct mt_error e;
    struct mt_run r;
    int64_t counts[MT_RUN_STATE_COUNT];
    must(s, NULL, (struct mt_op){.type = MT_OP_META, .meta = {"secret-id", "1"}});
    must(s, NULL, (struct mt_op){.type = MT_OP_META, .meta = {"secret-id", "2"}});
    start(s, "run_1", true);
    assert_int_equal(s->wipe(s, &e), 0);
    assert_int_equal(s->get_meta(s, "secret-id", &value, &e), 0);
    assert_string_equal(value, "2");
    free(value);
    assert_int_equal(s->get_run(s, "run_1", &r, &e), -1);
    assert_int_equal(s->count_runs(s, counts, &e), 0);
    for (int i = 0; i < MT_RUN_STATE_COUNT; i++) assert_int_equal(counts[i], 0);
    struct mt_op op = end_op(MT_RUN_COMPLETED);
    assert_refused(one(s, "run_1", &op), &op, 0, MT_RES_MISSING);
    start(s, "run_1", true);
}

static int64_t audit(struct mt_store *s, int64_t of, int64_t at, const char *who, const char *text) {
    struct mt_audit a = {.of = of, .at = at, .ms = of ? 7 : 0};
    a.who = mt_strdup(who);
    a.via = mt_strdup("socket uid 0");
    a.what = mt_strdup("command");
    a.detail = of ? NULL : mt_strdup(text);
    a.outcome = of ? mt_strdup(text) : NULL;
    must(s, NULL, (struct mt_op){.type = MT_OP_AUDIT, .audit = &a});
    int64_t n = a.n;
    mt_audit_clear(&a);
    return n;
}

static void expect_audit(struct mt_store *s, const char *who, int64_t since, int64_t before, size_t limit,
                         const char *wanted) {
    struct mt_audit *rows;
    size_t count;
    struct mt_error e;
    struct mt_buf b;
    mt_buf_init(&b, 4096);
    assert_int_equal(s->list_audit(s, who, since, before, limit, &rows, &count, &e), 0);
    for (size_t i = 0; i < count; i++) {
        mt_buf_addf(&b, "%s:%s=%s ", rows[i].who, rows[i].detail, rows[i].outcome ? rows[i].outcome : "?");
        assert_int_equal(rows[i].ms, rows[i].of ? 7 : 0);
        mt_audit_clear(&rows[i]);
    }
    free(rows);
    assert_string_equal(b.data, wanted);
    mt_buf_clear(&b);
}

/* Appended to only; a deed is shown with its end, which it has once. */
static void test_audit(void **state) {
    struct mt_store *s = store_of(state);
    int64_t a = audit(s, 0, 100, "ann", "a"), b = audit(s, 0, 200, "bob", "b");
    assert_true(b > a);
    expect_audit(s, NULL, 0, 0, 10, "bob:b=? ann:a=? ");
    assert_true(audit(s, a, 250, "ann", "done") > b);
    int64_t c = audit(s, 0, 300, "ann", "c");
    expect_audit(s, NULL, 0, 0, 10, "ann:c=? bob:b=? ann:a=done ");
    expect_audit(s, "ann", 0, 0, 10, "ann:c=? ann:a=done ");
    expect_audit(s, NULL, 200, 0, 10, "ann:c=? bob:b=? ");
    expect_audit(s, NULL, 0, c, 1, "bob:b=? ");
    expect_audit(s, "nobody", 0, 0, 10, "");
    struct mt_audit twice = {
        .of = a, .at = 400, .who = (char[]){"ann"}, .via = (char[]){"x"}, .what = (char[]){"x"}};
    struct mt_op op = {.type = MT_OP_AUDIT, .audit = &twice};
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_MISSING);
    twice.of = 999;
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_MISSING);
    twice.of = 0;
    twice.who = NULL;
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_INVALID);
}

static void test_lists_and_counts(void **state) {
    struct mt_store *s = store_of(state);
    for (int i = 1; i <= 5; i++) {
        char id[MT_ID_SIZE];
        snprintf(id, sizeof id, "run_%d", i);
        struct mt_op op = start_op(id, i == 2 ? "k" : NULL, true, 100);
        if (i == 4) op.start.flow = "refund";
        must(s, NULL, op);
    }
    must(s, "run_5", end_op(MT_RUN_COMPLETED));
    must(s, "run_3", suspend_op(MT_RUN_SLEEPING, 900, NULL, NULL));
    struct {
        struct mt_run_filter f;
        const char *ids;
    } rows[] = {{{.state = -1, .limit = 10}, "54321"},
                {{.state = -1, .limit = 2}, "54"},
                {{.state = -1, .limit = 10, .before = "run_3"}, "21"},
                {{.state = MT_RUN_RUNNING, .limit = 10}, "421"},
                {{.state = MT_RUN_COMPLETED, .limit = 10}, "5"},
                {{.state = MT_RUN_SLEEPING, .limit = 10}, "3"},
                {{.state = -1, .flow = "refund", .limit = 10}, "4"},
                {{.state = -1, .key = "k", .limit = 10}, "2"},
                {{.state = MT_RUN_RUNNING, .flow = "checkout", .limit = 10, .before = "run_2"}, "1"}};
    struct mt_error e;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mt_run *runs;
        size_t count;
        char ids[16] = "";
        assert_int_equal(s->list_runs(s, &rows[i].f, &runs, &count, &e), 0);
        for (size_t k = 0; k < count; k++) {
            strcat(ids, runs[k].id + 4);
            mt_run_clear(&runs[k]);
        }
        free(runs);
        assert_string_equal(ids, rows[i].ids);
    }
    int64_t counts[MT_RUN_STATE_COUNT];
    assert_int_equal(s->count_runs(s, counts, &e), 0);
    assert_int_equal(counts[MT_RUN_RUNNING], 3);
    assert_int_equal(counts[MT_RUN_COMPLETED], 1);
    assert_int_equal(counts[MT_RUN_SLEEPING], 1);
    assert_int_equal(counts[MT_RUN_QUEUED], 0);
}

static void test_batches_share_a_commit(void **state) {
    struct mt_store *s = store_of(state);
    struct mt_op a = start_op("run_1", "k", true, 100), b = start_op("run_2", "k", true, 100);
    struct mt_op c = end_op(MT_RUN_COMPLETED),
                 bad[] = {{.type = MT_OP_META, .meta = {"x", "1"}}, cancel_op("run_9")};
    struct mt_batch batches[] = {{.epoch = s->epoch, .ops = &a, .count = 1},
                                 {.ops = bad, .count = 2},
                                 {.epoch = s->epoch, .ops = &b, .count = 1},
                                 {.run = "run_1", .epoch = s->epoch, .ops = &c, .count = 1}};
    struct mt_batch *list[] = {&batches[0], &batches[1], &batches[2], &batches[3]};
    struct mt_error e;
    char *value;
    assert_int_equal(s->commit(s, list, 4, &e), 0);
    assert_int_equal(batches[0].status, 0);
    assert_refused(batches[1], bad, 1, MT_RES_MISSING);
    assert_int_equal(b.result, MT_RES_EXISTS);
    mt_run_clear(&b.start.existing);
    assert_int_equal(batches[3].status, 0);
    assert_int_equal(s->get_meta(s, "x", &value, &e), -1);
    assert_int_equal(state_of(s, "run_1"), MT_RUN_COMPLETED);
}

static void test_names(void **state) {
    (void)state;
    enum mt_run_state s;
    for (int i = 0; i < MT_RUN_STATE_COUNT; i++) {
        assert_true(mt_run_state_from_name(mt_run_state_name((enum mt_run_state)i), &s));
        assert_int_equal(s, i);
    }
    assert_false(mt_run_state_from_name("asleep", &s));
}

#define TESTS(X)                                                                                             \
    X(test_documents), X(test_document_queries), X(test_deliveries), X(test_tasks), X(test_generations),     \
        X(test_meta_and_wipe), X(test_audit), X(test_lists_and_counts), X(test_batches_share_a_commit),      \
        X(test_names)

int main(void) {
    return RUN_ON_ALL(TESTS);
}
