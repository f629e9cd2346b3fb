/* links: mt_store mt_base */
/* The store's contract on every implementation: waiting, events, and what people do to runs. */
#include "store_conformance.h"

/* ---- waiting and events ---- */

static void test_suspend(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_op op = suspend_op(MT_RUN_SLEEPING, 700, NULL, NULL);
    assert_int_equal(one(s, "run_1", &op).due, 700);
    struct mt_run r = get(s, "run_1");
    assert_int_equal(r.state, MT_RUN_SLEEPING);
    assert_int_equal(r.due_at, 700);
    assert_int_equal(r.owner, 0);
    assert_string_equal(r.waiting_for, "{\"until\":1}");
    mt_run_clear(&r);
    assert_string_equal(claimed(s, 699, 1), "");
    assert_string_equal(claimed(s, 700, 1), "run_1");
    r = get(s, "run_1");
    assert_null(r.waiting_for);
    mt_run_clear(&r);
}

static void test_event_wakes(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    start(s, "run_2", true);
    start(s, "run_3", true);
    must(s, "run_1", suspend_op(MT_RUN_WAITING, MT_NEVER, "order", "1"));
    must(s, "run_2", suspend_op(MT_RUN_WAITING, 300, "order", "2"));
    must(s, "run_3", suspend_op(MT_RUN_COMPENSATING, 9000, "order", "1"));
    struct mt_op op = {.type = MT_OP_EVENT,
                       .event = {.topic = "order", .key = "1", .payload = "1", .source = "s1", .at = 500}};
    struct mt_batch b = one(s, NULL, &op);
    assert_int_equal(op.event.woken, 2);
    assert_int_equal(b.due, 500);
    assert_int_equal(state_of(s, "run_1"), MT_RUN_QUEUED);
    assert_int_equal(due_of(s, "run_1"), 500);
    assert_int_equal(state_of(s, "run_2"), MT_RUN_WAITING);
    assert_int_equal(state_of(s, "run_3"), MT_RUN_COMPENSATING);
    int64_t n = op.event.n;
    b = one(s, NULL, &op);
    assert_int_equal(op.result, MT_RES_DUPLICATE);
    assert_int_equal(op.event.n, n);
    assert_int_equal(op.event.woken, 0);
    assert_true(b.due == MT_NEVER);
    op.event.source = "s2"; /* nobody waits for it any more */
    one(s, NULL, &op);
    assert_int_equal(op.event.woken, 0);
    assert_int_equal(op.event.n, n + 1);
}

static void test_suspend_sees_what_came_before(void **state) {
    struct mt_store *s = store_of(state);
    event(s, "order", "1", "{}");
    start(s, "run_1", true);
    struct mt_op op = suspend_op(MT_RUN_WAITING, 9000, "order", "1");
    op.suspend.cursor = 0;
    assert_int_equal(one(s, "run_1", &op).due, 200);
    assert_int_equal(state_of(s, "run_1"), MT_RUN_QUEUED);
    assert_int_equal(due_of(s, "run_1"), 200);
    start(s, "run_2", true);
    op.suspend.cursor = 1;
    one(s, "run_2", &op);
    assert_int_equal(state_of(s, "run_2"), MT_RUN_WAITING);
}

static void test_suspend_for_either(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_op op = suspend_op(MT_RUN_WAITING, MT_NEVER, "order", "1");
    op.suspend.also_topic = "payment";
    op.suspend.also_key = "p";
    one(s, "run_1", &op);
    assert_int_equal(state_of(s, "run_1"), MT_RUN_WAITING);
    event(s, "order", "2", "{}");
    event(s, "payment", "q", "{}");
    assert_int_equal(state_of(s, "run_1"), MT_RUN_WAITING);
    event(s, "payment", "p", "{}");
    assert_int_equal(state_of(s, "run_1"), MT_RUN_QUEUED);
    assert_string_equal(claimed(s, 500, 1), "run_1");
    one(s, "run_1", &op); /* what came before is seen by its cursor */
    assert_int_equal(state_of(s, "run_1"), MT_RUN_QUEUED);
    assert_string_equal(claimed(s, 500, 1), "run_1");
    op.suspend.also_cursor = 3;
    one(s, "run_1", &op);
    assert_int_equal(state_of(s, "run_1"), MT_RUN_WAITING);
    event(s, "order", "1", "{}");
    assert_int_equal(state_of(s, "run_1"), MT_RUN_QUEUED);
    assert_string_equal(claimed(s, 500, 1), "run_1");
    must(s, "run_1", suspend_op(MT_RUN_WAITING, MT_NEVER, "other", "1")); /* only this, from now on */
    event(s, "payment", "p", "{}");
    assert_int_equal(state_of(s, "run_1"), MT_RUN_WAITING);
    op.suspend.topic = NULL;
    event(s, "other", "1", "{}");
    assert_string_equal(claimed(s, 500, 1), "run_1");
    assert_refused(one(s, "run_1", &op), &op, 0, MT_RES_INVALID);
}

static struct mt_op await_op(struct mt_entry *entry, int64_t cursor, int64_t deadline, int64_t at) {
    return (struct mt_op){.type = MT_OP_AWAIT,
                          .await = {.entry = entry,
                                    .topic = "order",
                                    .key = "1",
                                    .cursor = cursor,
                                    .deadline = deadline,
                                    .waiting_for = "{\"event\":\"order/1\"}",
                                    .at = at}};
}

static char *result_of(struct mt_store *s, const char *run, int seq) {
    struct mt_entry *entries;
    size_t count;
    struct mt_error e;
    char *text = NULL;
    assert_int_equal(s->read_journal(s, run, -1, &entries, &count, &e), 0);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].seq == seq) {
            assert_int_equal(entries[i].outcome, MT_DONE);
            text = mt_strdup(entries[i].result);
        }
        mt_entry_clear(&entries[i]);
    }
    free(entries);
    return text;
}

static void test_await_found(void **state) {
    struct mt_store *s = store_of(state);
    event(s, "order", "1", "{\"a\":1}");
    event(s, "order", "2", "{\"a\":2}");
    event(s, "order", "1", "{\"a\":3}");
    start(s, "run_1", true);
    struct mt_entry entry = entry_at(0, 1, "await");
    struct mt_op op = await_op(&entry, 1, 50, 100); /* past its deadline, but a stored event wins */
    assert_int_equal(one(s, "run_1", &op).status, 0);
    assert_int_equal(op.result, MT_RES_FOUND);
    assert_int_equal(op.await.event.n, 3);
    assert_string_equal(op.await.event.payload, "{\"a\":3}");
    assert_int_equal(op.await.event.readers, 1);
    mt_event_clear(&op.await.event);
    char *result = result_of(s, "run_1", 1);
    assert_string_equal(result, "{\"at\":500,\"event\":3,\"payload\":{\"a\":3}}");
    free(result);
    assert_int_equal(state_of(s, "run_1"), MT_RUN_RUNNING);
    struct mt_event *events;
    size_t count;
    struct mt_error e;
    assert_int_equal(s->list_events(s, NULL, NULL, 0, false, true, 10, &events, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_int_equal(events[0].n, 1);
    assert_int_equal(events[1].n, 2);
    for (size_t i = 0; i < count; i++) mt_event_clear(&events[i]);
    free(events);
    op = await_op(&entry, 0, 50, 100);
    assert_refused(one(s, "run_1", &op), &op, 0, MT_RES_DUPLICATE); /* its place in the journal is taken */
}

/* ---- late events ---- */

static int late_of(struct mt_store *s, int64_t n, int *readers, char run[MT_ID_SIZE]) {
    struct mt_event *events;
    size_t count;
    struct mt_error e;
    assert_int_equal(s->list_events(s, NULL, NULL, n - 1, false, MT_EVENTS_ALL, 1, &events, &count, &e), 0);
    assert_int_equal(count, 1);
    int late = (int)events[0].late;
    if (readers) *readers = events[0].readers;
    if (run) mt_copy(run, MT_ID_SIZE, events[0].late_run);
    mt_event_clear(&events[0]);
    free(events);
    return late;
}

static void test_late_events(void **state) {
    struct mt_store *s = store_of(state);
    char whose[MT_ID_SIZE];
    int readers;
    int64_t rest;
    struct mt_error e;
    struct mt_op seen = {.type = MT_OP_SEEN, .seen = {.topic = "order", .key = "1", .upto = 1}};
    struct mt_op late = {.type = MT_OP_LATE, .late = {.n = 1, .late = MT_LATE_HANDLED}};
    event(s, "order", "1", "{}");
    start(s, "run_1", true);
    start(s, "run_2", true);
    assert_refused(one(s, NULL, &late), &late, 0, MT_RES_MISSING); /* nobody asked, so it is not late */
    must(s, "run_1", seen);
    assert_int_equal(late_of(s, 1, &readers, NULL), MT_LATE_NO);
    assert_int_equal(readers, 1);
    seen.seen.upto = 0;
    must(s, "run_2", seen);
    event(s, "order", "1", "{}"); /* 2: both may read it yet */
    must(s, "run_1", end_op(MT_RUN_COMPLETED));
    assert_int_equal(late_of(s, 2, NULL, NULL), MT_LATE_NO);
    assert_int_equal(s->next_due(s, NULL, &rest, &e), 0);
    assert_true(rest == MT_NEVER);
    struct mt_op end = end_op(MT_RUN_FAILED);
    assert_int_equal(one(s, "run_2", &end).due, 500); /* the event's own time */
    assert_int_equal(late_of(s, 2, &readers, whose), MT_LATE_PENDING);
    assert_int_equal(readers, 0);
    assert_string_equal(whose, "run_2");
    assert_int_equal(s->next_due(s, NULL, &rest, &e), 0);
    assert_int_equal(rest, 500);
    event(s, "order", "1", "{}"); /* 3: all who asked have ended */
    assert_int_equal(late_of(s, 3, NULL, whose), MT_LATE_PENDING);
    assert_string_equal(whose, "run_2");
    late.late.n = 2;
    must(s, NULL, late);
    assert_int_equal(late_of(s, 2, &readers, NULL), MT_LATE_HANDLED);
    assert_int_equal(readers, 1);
    assert_refused(one(s, NULL, &late), &late, 0, MT_RES_MISSING); /* once */
    late = (struct mt_op){.type = MT_OP_LATE, .late = {.n = 3, .late = MT_LATE_PENDING}};
    assert_refused(one(s, NULL, &late), &late, 0, MT_RES_INVALID);
    late.late.late = MT_LATE_NO;
    must(s, NULL, late);
    assert_int_equal(late_of(s, 3, &readers, whose), MT_LATE_NO);
    assert_int_equal(readers, 0);
    assert_string_equal(whose, "");
}

static void test_await_timed_out(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_entry entry = entry_at(0, 1, "await");
    must(s, "run_1", (struct mt_op){.type = MT_OP_ENTRY, .entry = &entry});
    struct mt_op op = await_op(&entry, 0, 100, 100);
    op.await.inserted = true;
    assert_int_equal(one(s, "run_1", &op).status, 0);
    assert_int_equal(op.result, MT_RES_TIMED_OUT);
    char *result = result_of(s, "run_1", 1);
    assert_string_equal(result, "null");
    free(result);
    entry.seq = 2;
    assert_refused(one(s, "run_1", &op), &op, 0, MT_RES_MISSING);
}

static void test_await_suspended(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_entry entry = entry_at(0, 1, "await");
    struct mt_op op = await_op(&entry, 0, 1000, 100);
    assert_int_equal(one(s, "run_1", &op).due, 1000);
    assert_int_equal(op.result, MT_RES_SUSPENDED);
    struct mt_run r = get(s, "run_1");
    assert_int_equal(r.state, MT_RUN_WAITING);
    assert_int_equal(r.owner, 0);
    assert_int_equal(r.due_at, 1000);
    assert_int_equal(r.entries, 0);
    assert_string_equal(r.waiting_for, "{\"event\":\"order/1\"}");
    mt_run_clear(&r);
    event(s, "order", "1", "true");
    assert_string_equal(claimed(s, 500, 5), "run_1");
    one(s, "run_1", &op);
    assert_int_equal(op.result, MT_RES_FOUND);
    mt_event_clear(&op.await.event);
}

static void test_event_lists(void **state) {
    struct mt_store *s = store_of(state);
    struct mt_event *events;
    size_t count;
    struct mt_error e;
    int64_t n;
    event(s, "a", "1", "1");
    event(s, "b", "1", "2");
    event(s, "a", "2", "3");
    event(s, "a", "1", "4");
    struct {
        const char *topic, *key;
        int64_t after;
        bool newest;
        size_t limit, count;
        int64_t first;
    } rows[] = {{NULL, NULL, 0, false, 10, 4, 1}, {NULL, NULL, 0, true, 2, 2, 4},
                {NULL, NULL, 3, true, 10, 2, 2},  {"a", NULL, 1, false, 10, 2, 3},
                {"a", "1", 0, false, 1, 1, 1},    {"c", NULL, 0, false, 10, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(s->list_events(s, rows[i].topic, rows[i].key, rows[i].after, rows[i].newest, false,
                                        rows[i].limit, &events, &count, &e),
                         0);
        assert_int_equal(count, rows[i].count);
        if (count) assert_int_equal(events[0].n, rows[i].first);
        for (size_t k = 0; k < count; k++) mt_event_clear(&events[k]);
        free(events);
    }
    assert_int_equal(s->last_event(s, "a", "1", &n, &e), 0);
    assert_int_equal(n, 4);
    assert_int_equal(s->last_event(s, "a", "9", &n, &e), 0);
    assert_int_equal(n, 0);
}

/* ---- people ---- */

static void test_cancel_unowned(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    must(s, "run_1", suspend_op(MT_RUN_WAITING, MT_NEVER, "order", "1"));
    struct mt_op op = cancel_op("run_1");
    assert_int_equal(one(s, NULL, &op).due, 600);
    struct mt_run r = get(s, "run_1");
    assert_true(r.cancel_requested);
    assert_string_equal(r.cancel_reason, "changed my mind");
    assert_int_equal(r.state, MT_RUN_QUEUED);
    assert_int_equal(r.due_at, 600);
    mt_run_clear(&r);
    struct mt_op claim = {.type = MT_OP_CLAIM, .claim = {.epoch = s->epoch, .now = 600, .limit = 1}};
    one(s, NULL, &claim);
    assert_true(claim.claim.runs[0].cancel_requested);
    mt_run_clear(&claim.claim.runs[0]);
    free(claim.claim.runs);
    /* Its owner knows: it may wait for something to settle. */
    must(s, "run_1", suspend_op(MT_RUN_WAITING, 9000, NULL, NULL));
    assert_int_equal(due_of(s, "run_1"), 9000);
}

static void test_cancel_owned(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_op op = cancel_op("run_1");
    assert_true(one(s, NULL, &op).due == MT_NEVER);
    assert_int_equal(state_of(s, "run_1"), MT_RUN_RUNNING);
    op = suspend_op(MT_RUN_SLEEPING, 9000, NULL, NULL); /* its owner did not know yet */
    struct mt_batch b = one(s, "run_1", &op);
    assert_true(b.cancel_requested);
    assert_int_equal(due_of(s, "run_1"), 200);
    assert_int_equal(state_of(s, "run_1"), MT_RUN_QUEUED);

    start(s, "run_2", true);
    must(s, NULL, cancel_op("run_2"));
    op = (struct mt_op){.type = MT_OP_RUN, .run = {.state = -1, .progress = "1", .at = 300}};
    assert_true(one(s, "run_2", &op).cancel_requested);
    must(s, "run_2", suspend_op(MT_RUN_WAITING, 9000, NULL, NULL)); /* now it did */
    assert_int_equal(due_of(s, "run_2"), 9000);
}

static void test_cancel_refused(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    must(s, "run_1", end_op(MT_RUN_COMPLETED));
    struct mt_op op = cancel_op("run_1");
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_FORBIDDEN);
    start(s, "run_2", true);
    must(s, "run_2", suspend_op(MT_RUN_COMPENSATING, 9000, NULL, NULL));
    op = cancel_op("run_2");
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_FORBIDDEN);
    op = cancel_op("run_3");
    struct mt_batch b = one(s, NULL, &op);
    assert_refused(b, &op, 0, MT_RES_MISSING);
    assert_int_equal(b.error.kind, MT_NOT_FOUND);
}

static void test_retry(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_op op = {.type = MT_OP_RETRY, .retry = {.run = "run_1", .at = 800}};
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_FORBIDDEN);
    park(s, "run_1");
    struct mt_run r = get(s, "run_1");
    assert_string_equal(r.error, "{\"kind\":\"script\"}");
    mt_run_clear(&r);
    assert_int_equal(one(s, NULL, &op).due, 800);
    r = get(s, "run_1");
    assert_int_equal(r.state, MT_RUN_QUEUED);
    assert_int_equal(r.due_at, 800);
    assert_null(r.error);
    mt_run_clear(&r);
    op.retry.run = "run_9";
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_MISSING);
}

static void test_resolve(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_entry intent = entry_at(0, 1, "call");
    must(s, "run_1", (struct mt_op){.type = MT_OP_ENTRY, .entry = &intent});
    struct mt_op op = {
        .type = MT_OP_RESOLVE,
        .resolve = {.run = "run_1", .seq = 1, .outcome = MT_DONE, .result = "{\"id\":9}", .at = 800}};
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_FORBIDDEN);
    park(s, "run_1");
    op.resolve.seq = 2;
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_MISSING);
    op.resolve.seq = 1;
    op.resolve.segment = 3;
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_MISSING);
    op.resolve.segment = 0;
    assert_int_equal(one(s, NULL, &op).due, 800);
    assert_int_equal(state_of(s, "run_1"), MT_RUN_QUEUED);
    char *result = result_of(s, "run_1", 1);
    assert_string_equal(result, "{\"id\":9}");
    free(result);
    claimed(s, 800, 1);
    park(s, "run_1");
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_FORBIDDEN); /* answered already */
}

static void test_migrate(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_entry entry = entry_at(0, 1, "sleep");
    must(s, "run_1", (struct mt_op){.type = MT_OP_ENTRY, .entry = &entry});
    struct mt_run r = get(s, "run_1");
    char from[80];
    mt_copy(from, sizeof from, r.generation);
    mt_run_clear(&r);
    struct mt_op op = {.type = MT_OP_MIGRATE,
                       .migrate = {.run = "run_1",
                                   .from = from,
                                   .to = "sha256:new",
                                   .entries = 1,
                                   .moves = "[{\"at\":800}]",
                                   .at = 800}};
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_STALE); /* it is executed now */
    must(s, "run_1", suspend_op(MT_RUN_SLEEPING, 9000, NULL, NULL));
    op.migrate.entries = 0;
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_STALE); /* it has gone on since it was judged */
    op.migrate.entries = 1;
    op.migrate.segment = 1;
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_STALE);
    op.migrate.segment = 0;
    op.migrate.from = "sha256:other";
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_STALE);
    op.migrate.from = from;
    op.migrate.run = "run_9";
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_MISSING);
    op.migrate.run = "run_1";
    op.migrate.moves = NULL;
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_INVALID);
    op.migrate.moves = "[{\"at\":800}]";
    assert_int_equal(one(s, NULL, &op).status, 0);
    r = get(s, "run_1");
    assert_string_equal(r.generation, "sha256:new");
    assert_string_equal(r.moves, "[{\"at\":800}]");
    assert_int_equal(r.state, MT_RUN_SLEEPING);
    assert_int_equal(r.due_at, 9000); /* what it waits for stays */
    assert_int_equal(r.updated_at, 800);
    mt_run_clear(&r);
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_STALE); /* moved already */
    claimed(s, 9000, 1);
    must(s, "run_1", suspend_op(MT_RUN_COMPENSATING, 9900, NULL, NULL));
    op.migrate.from = "sha256:new";
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_FORBIDDEN);
}

static void test_migrate_parked(void **state) {
    struct mt_store *s = store_of(state);
    struct mt_run *runs = NULL;
    size_t count = 0;
    struct mt_error e;
    start(s, "run_1", true);
    start(s, "run_2", true);
    park(s, "run_1");
    must(s, "run_2", end_op(MT_RUN_COMPLETED));
    struct mt_run r = get(s, "run_1");
    struct mt_run_filter f = {.state = -1, .live = true, .except = "sha256:new", .limit = 10};
    assert_int_equal(s->list_runs(s, &f, &runs, &count, &e), 0);
    assert_int_equal(count, 1);
    assert_string_equal(runs[0].id, "run_1");
    mt_run_clear(&runs[0]);
    free(runs);
    struct mt_op op = {
        .type = MT_OP_MIGRATE,
        .migrate = {.run = "run_1", .from = r.generation, .to = "sha256:new", .moves = "[]", .at = 800}};
    assert_int_equal(one(s, NULL, &op).status, 0);
    mt_run_clear(&r);
    r = get(s, "run_1");
    assert_int_equal(r.state, MT_RUN_NEEDS_ATTENTION); /* until it is retried */
    assert_string_equal(r.error, "{\"kind\":\"script\"}");
    mt_run_clear(&r);
    assert_int_equal(s->list_runs(s, &f, &runs, &count, &e), 0);
    assert_int_equal(count, 0);
    free(runs);
    struct mt_op done = {.type = MT_OP_MIGRATE,
                         .migrate = {.run = "run_2", .from = "x", .to = "y", .moves = "[]"}};
    assert_refused(one(s, NULL, &done), &done, 0, MT_RES_FORBIDDEN);
}

#define TESTS(X)                                                                                             \
    X(test_suspend), X(test_event_wakes), X(test_suspend_sees_what_came_before), X(test_suspend_for_either), \
        X(test_await_found), X(test_await_timed_out), X(test_await_suspended), X(test_event_lists),          \
        X(test_cancel_unowned), X(test_cancel_owned), X(test_cancel_refused), X(test_retry),                 \
        X(test_resolve), X(test_migrate), X(test_migrate_parked), X(test_late_events)

int main(void) {
    return RUN_ON_ALL(TESTS);
}
