/* links: mt_store mt_base */
/* What the store forgets, on every implementation: tombstones, and each kind of what has been kept long
 * enough.
 */
#include "store_conformance.h"

/* ---- short words ---- */

static struct mt_op forget_op(const char *run) {
    return (struct mt_op){.type = MT_OP_FORGET,
                          .forget = {.run = run, .output = "{\"intent_id\":\"pi_1\"}", .at = 5000}};
}

/* How many rows a purge takes away; it is asked once. */
static int64_t purged(struct mt_store *s, enum mt_purge what, int64_t before, size_t limit) {
    struct mt_op op = {.type = MT_OP_PURGE,
                       .purge = {.what = what, .before = before, .unread = before - 1000, .limit = limit}};
    struct mt_batch b = one(s, NULL, &op);
    assert_int_equal(b.status, 0);
    return op.purge.count;
}

static void journal_one(struct mt_store *s, const char *run, int segment, int seq) {
    struct mt_entry e = entry_at(segment, seq, "call");
    e.request = (void *)"sealed";
    e.request_len = 6;
    must(s, run, (struct mt_op){.type = MT_OP_ENTRY, .entry = &e});
}

static void go_on(struct mt_store *s, const char *run, int64_t at) {
    must(s, run, (struct mt_op){.type = MT_OP_CONTINUE, .cont = {.input = "{\"cycle\":2}", .at = at}});
    assert_string_equal(claimed(s, at, 1), run);
}

static size_t journal_of(struct mt_store *s, const char *run, int segment) {
    struct mt_entry *entries = NULL;
    size_t count = 0;
    struct mt_error e;
    assert_int_equal(s->read_journal(s, run, segment, &entries, &count, &e), 0);
    for (size_t i = 0; i < count; i++) mt_entry_clear(&entries[i]);
    free(entries);
    return count;
}

static void end_run(struct mt_store *s, const char *run) {
    must(s, run, end_op(MT_RUN_COMPLETED)); /* at 900 */
}

static void read_event(struct mt_store *s, const char *run, const char *key, int64_t upto) {
    must(s, run, (struct mt_op){.type = MT_OP_SEEN, .seen = {.topic = "order", .key = key, .upto = upto}});
}

static struct mt_kept kept(struct mt_store *s) {
    struct mt_kept k;
    struct mt_error e;
    assert_int_equal(s->kept(s, &k, &e), 0);
    return k;
}

static size_t events(struct mt_store *s) {
    struct mt_event *list = NULL;
    size_t count = 0;
    struct mt_error e;
    assert_int_equal(s->list_events(s, NULL, NULL, 0, false, MT_EVENTS_ALL, 1000, &list, &count, &e), 0);
    for (size_t i = 0; i < count; i++) mt_event_clear(&list[i]);
    free(list);
    return count;
}

/* ---- tombstones ---- */

static void test_tombstone(void **state) {
    struct mt_store *s = store_of(state);
    must(s, NULL, start_op("run_1", "order-1", true, 100));
    journal_one(s, "run_1", 0, 1);
    end_run(s, "run_1");
    assert_int_equal(kept(s).ended, 900);
    must(s, NULL, forget_op("run_1"));
    struct mt_run r = get(s, "run_1");
    assert_int_equal(r.state, MT_RUN_COMPLETED);
    assert_string_equal(r.key, "order-1");
    assert_string_equal(r.flow, "checkout");
    assert_string_equal(r.input, "{}");
    assert_string_equal(r.output, "{\"intent_id\":\"pi_1\"}");
    assert_null(r.progress);
    assert_string_equal(r.generation, "");
    assert_int_equal(r.gone_at, 5000);
    assert_int_equal(r.created_at, 100);
    assert_int_equal(r.updated_at, 900);
    mt_run_clear(&r);
    assert_int_equal(journal_of(s, "run_1", -1), 0);
    assert_int_equal(journal_of(s, "run_1", 0), 0);
    struct mt_kept k = kept(s);
    assert_true(k.ended == MT_NEVER);
    assert_int_equal(k.tombstone, 900);
    assert_int_equal(k.tombstones, 1);
    assert_true(k.entries);
    assert_int_equal(purged(s, MT_PURGE_ENTRIES, 0, 10), 1);
    assert_false(kept(s).entries);
}

/* The same start still answers the run it met; another input is still refused. */
static void test_tombstone_keeps_its_key(void **state) {
    struct mt_store *s = store_of(state);
    must(s, NULL, start_op("run_1", "order-1", true, 100));
    end_run(s, "run_1");
    must(s, NULL, forget_op("run_1"));
    struct mt_op again = start_op("run_2", "order-1", true, 6000);
    assert_int_equal(one(s, NULL, &again).status, 0);
    assert_int_equal(again.result, MT_RES_EXISTS);
    assert_string_equal(again.start.existing.id, "run_1");
    assert_int_equal(again.start.existing.gone_at, 5000);
    mt_run_clear(&again.start.existing);
    struct mt_op other = start_op("run_2", "order-1", true, 6000);
    other.start.input_digest = DIGEST_B;
    assert_refused(one(s, NULL, &other), &other, 0, MT_RES_KEY_REUSED);
    mt_run_clear(&other.start.existing);
}

static void test_only_what_has_ended(void **state) {
    struct mt_store *s = store_of(state);
    struct mt_op op = forget_op("run_1");
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_MISSING);
    start(s, "run_1", true);
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_FORBIDDEN);
    park(s, "run_1");
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_FORBIDDEN);
}

/* What the run had asked for is known of its tombstone: an event that comes then is late, and its. */
static void test_late_for_a_tombstone(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    read_event(s, "run_1", "x", 0);
    end_run(s, "run_1");
    must(s, NULL, forget_op("run_1"));
    event(s, "order", "x", "{\"paid\":true}");
    struct mt_event *list = NULL;
    size_t count = 0;
    struct mt_error e;
    assert_int_equal(s->list_events(s, NULL, NULL, 0, false, MT_EVENTS_PENDING, 10, &list, &count, &e), 0);
    assert_int_equal(count, 1);
    assert_string_equal(list[0].late_run, "run_1");
    mt_event_clear(&list[0]);
    free(list);
    event(s, "order", "x", "{}"); /* so that it is not the newest */
    assert_int_equal(purged(s, MT_PURGE_EVENTS, 100000, 10), 0);
}

static void test_tombstones_go(void **state) {
    struct mt_store *s = store_of(state);
    must(s, NULL, start_op("run_1", "order-1", true, 100));
    read_event(s, "run_1", "x", 0);
    end_run(s, "run_1");
    must(s, NULL, forget_op("run_1"));
    assert_int_equal(purged(s, MT_PURGE_TOMBSTONES, 1000, 10), 0); /* the newest start stays */
    start(s, "run_2", true);
    assert_int_equal(purged(s, MT_PURGE_TOMBSTONES, 899, 10), 0);
    assert_int_equal(purged(s, MT_PURGE_TOMBSTONES, 900, 10), 1);
    struct mt_run r;
    struct mt_error e;
    assert_int_equal(s->get_run(s, "run_1", &r, &e), -1);
    assert_int_equal(s->find_run(s, "checkout", "order-1", &r, &e), -1);
    assert_int_equal(kept(s).tombstones, 0);
    int64_t counts[MT_RUN_STATE_COUNT];
    assert_int_equal(s->count_runs(s, counts, &e), 0);
    assert_int_equal(counts[MT_RUN_COMPLETED], 0);
    event(s, "order", "x", "{}"); /* nobody's */
    assert_int_equal(kept(s).unread_events, 1);
}

static void test_erasing_blanks_events(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    start(s, "run_2", true);
    event(s, "order", "x", "{\"email\":\"a@b.example\"}");
    event(s, "order", "y", "{\"email\":\"a@b.example\"}");
    read_event(s, "run_1", "x", 2);
    read_event(s, "run_1", "y", 2);
    read_event(s, "run_2", "y", 2); /* which goes on */
    end_run(s, "run_1");
    struct mt_op op = forget_op("run_1");
    op.forget.erase = true;
    must(s, NULL, op);
    struct mt_event *list = NULL;
    size_t count = 0;
    struct mt_error e;
    assert_int_equal(s->list_events(s, NULL, NULL, 0, false, MT_EVENTS_ALL, 10, &list, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_string_equal(list[0].payload, "null");
    assert_string_equal(list[1].payload, "{\"email\":\"a@b.example\"}");
    for (size_t i = 0; i < count; i++) mt_event_clear(&list[i]);
    free(list);
}

/* ---- journals ---- */

static void test_segments(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    journal_one(s, "run_1", 0, 1);
    go_on(s, "run_1", 1000);
    journal_one(s, "run_1", 1, 1);
    go_on(s, "run_1", 2000);
    journal_one(s, "run_1", 2, 1);
    journal_one(s, "run_1", 2, 2);
    assert_int_equal(kept(s).segment, 1000);
    assert_int_equal(purged(s, MT_PURGE_SEGMENTS, 999, 10), 0);
    assert_int_equal(purged(s, MT_PURGE_SEGMENTS, 1000, 10), 1);
    assert_int_equal(journal_of(s, "run_1", -1), 3);
    struct mt_run r = get(s, "run_1");
    assert_int_equal(r.dropped, 1);
    mt_run_clear(&r);
    assert_int_equal(kept(s).segment, 2000);
    assert_int_equal(purged(s, MT_PURGE_SEGMENTS, 5000, 10), 1);
    assert_int_equal(journal_of(s, "run_1", -1), 2);
    assert_int_equal(journal_of(s, "run_1", 0), 0);
    assert_true(kept(s).segment == MT_NEVER);
    journal_one(s, "run_1", 2, 3); /* it goes on, and its own journal is there */
    assert_int_equal(purged(s, MT_PURGE_ENTRIES, 0, 1), 1);
    assert_int_equal(purged(s, MT_PURGE_ENTRIES, 0, 10), 1);
    assert_int_equal(journal_of(s, "run_1", 2), 3);
    struct mt_entry old = entry_at(0, 9, "call");
    struct mt_op op = {.type = MT_OP_ENTRY, .entry = &old};
    assert_refused(one(s, "run_1", &op), &op, 0, MT_RES_MISSING);
}

static void test_who_needs_attention_keeps_all(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    journal_one(s, "run_1", 0, 1);
    go_on(s, "run_1", 1000);
    park(s, "run_1");
    assert_int_equal(purged(s, MT_PURGE_SEGMENTS, 5000, 10), 0);
    assert_int_equal(journal_of(s, "run_1", 0), 1);
    must(s, NULL, (struct mt_op){.type = MT_OP_RETRY, .retry = {.run = "run_1", .at = 6000}});
    assert_int_equal(purged(s, MT_PURGE_SEGMENTS, 7000, 10), 1);
    assert_int_equal(journal_of(s, "run_1", 0), 0);
}

/* A strand that waits to be taken away is not given again. */
static void test_strands_are_not_mixed(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    go_on(s, "run_1", 1000);
    journal_one(s, "run_1", 1, 1);
    end_run(s, "run_1");
    must(s, NULL, forget_op("run_1"));
    start(s, "run_2", true);
    journal_one(s, "run_2", 0, 1);
    assert_int_equal(purged(s, MT_PURGE_ENTRIES, 0, 100), 1);
    assert_int_equal(journal_of(s, "run_2", 0), 1);
}

/* ---- events ---- */

static void test_events(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    for (int i = 0; i < 3; i++) event(s, "order", i == 2 ? "y" : "x", "{}"); /* at 500 */
    read_event(s, "run_1", "x", 1);
    assert_int_equal(purged(s, MT_PURGE_EVENTS, 499, 10), 0);
    assert_int_equal(purged(s, MT_PURGE_EVENTS, 500, 10), 1); /* read by all who asked */
    assert_int_equal(events(s), 2);
    assert_int_equal(purged(s, MT_PURGE_EVENTS, 1500, 10), 1); /* unread for too long; y is the newest */
    assert_int_equal(events(s), 1);
}

static void test_events_that_another_has_not_read(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    start(s, "run_2", true);
    event(s, "order", "x", "{}");
    event(s, "order", "y", "{}");
    read_event(s, "run_1", "x", 1);
    read_event(s, "run_2", "x", 0); /* it waits, and has not read it: nobody has counted it */
    assert_int_equal(purged(s, MT_PURGE_EVENTS, 600, 10), 0);
    end_run(s, "run_1");
    assert_int_equal(purged(s, MT_PURGE_EVENTS, 600, 10), 0);
    end_run(s, "run_2");
    assert_int_equal(purged(s, MT_PURGE_EVENTS, 600, 10), 1);
}

/* What a parent was told of its child's end is nobody's any more when that parent has ended. */
static void test_ends_of_children(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_op op = start_op("run_2", NULL, true, 100);
    op.start.parent = "run_1";
    must(s, NULL, op);
    end_run(s, "run_2");
    event(s, "run", "run_2", "{\"output\":1}");
    event(s, "order", "x", "{}");
    op = (struct mt_op){
        .type = MT_OP_PURGE,
        .purge = {.what = MT_PURGE_EVENTS, .before = 600, .unread = 0, .own = "run", .limit = 10}};
    one(s, NULL, &op);
    assert_int_equal(op.purge.count, 0);
    end_run(s, "run_1");
    one(s, NULL, &op);
    assert_int_equal(op.purge.count, 1);
    assert_int_equal(op.purge.count_unread, 0);
}

static void test_sources_are_remembered(void **state) {
    struct mt_store *s = store_of(state);
    struct mt_op op = {
        .type = MT_OP_EVENT,
        .event = {.topic = "order", .key = "x", .payload = "{}", .source = "evt_1", .at = 500}};
    must(s, NULL, op);
    event(s, "order", "y", "{}");
    assert_int_equal(purged(s, MT_PURGE_EVENTS, 5000, 10), 1);
    one(s, NULL, &op);
    assert_int_equal(op.result, MT_RES_DUPLICATE);
    assert_int_equal(op.event.n, 1);
    assert_int_equal(purged(s, MT_PURGE_SOURCES, 499, 10), 0);
    assert_int_equal(purged(s, MT_PURGE_SOURCES, 500, 10), 1);
    one(s, NULL, &op);
    assert_int_equal(op.result, MT_RES_OK);
    assert_int_equal(op.event.n, 3);
}

static void test_events_piece_by_piece(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    for (int i = 0; i < 6; i++) event(s, "order", i % 2 ? "x" : "y", "{}");
    read_event(s, "run_1", "x", 6);
    struct mt_op op = {.type = MT_OP_PURGE,
                       .purge = {.what = MT_PURGE_EVENTS, .before = 600, .unread = 0, .limit = 3}};
    one(s, NULL, &op);
    assert_int_equal(op.purge.count, 1); /* of 1, 2 and 3 */
    assert_int_equal(op.purge.seen, 3);
    assert_true(op.purge.more);
    op.purge.after = op.purge.seen;
    one(s, NULL, &op);
    assert_int_equal(op.purge.count, 1); /* 4; 6 is the newest */
    assert_int_equal(op.purge.seen, 5);
    assert_false(op.purge.more);
}

/* ---- the rest ---- */

static void put(struct mt_store *s, const char *collection, const char *id, int64_t at, int64_t keep) {
    static const struct mt_doc_key key = {"state", "sent", false};
    must(s, NULL,
         (struct mt_op){.type = MT_OP_DOC_PUT,
                        .doc = {.collection = collection,
                                .id = id,
                                .body = "{}",
                                .expect = -1,
                                .keys = &key,
                                .key_count = 1,
                                .at = at,
                                .keep = keep}});
}

static size_t documents(struct mt_store *s, const char *collection, int64_t *counter) {
    struct mt_document *docs = NULL;
    size_t count = 0;
    struct mt_error e;
    assert_int_equal(
        s->query_documents(s, collection, "state", "sent", NULL, false, 100, &docs, &count, counter, &e), 0);
    for (size_t i = 0; i < count; i++) mt_document_clear(&docs[i]);
    free(docs);
    return count;
}

static void test_documents(void **state) {
    struct mt_store *s = store_of(state);
    int64_t before, after;
    put(s, "messages", "a", 100, 50);
    put(s, "messages", "b", 120, 50);
    put(s, "cards", "a", 100, 0);
    assert_int_equal(kept(s).document, 150);
    assert_int_equal(documents(s, "messages", &before), 2);
    assert_int_equal(purged(s, MT_PURGE_DOCUMENTS, 149, 10), 0);
    assert_int_equal(purged(s, MT_PURGE_DOCUMENTS, 150, 10), 1);
    assert_int_equal(documents(s, "messages", &after), 1);
    assert_int_equal(after, before + 1); /* who has listed them is told */
    put(s, "messages", "b", 200, 1000);  /* the last word counts, for all of them */
    assert_int_equal(purged(s, MT_PURGE_DOCUMENTS, 1199, 10), 0);
    assert_int_equal(purged(s, MT_PURGE_DOCUMENTS, 1200, 10), 1);
    assert_int_equal(documents(s, "cards", &after), 1);
}

static void test_deliveries(void **state) {
    struct mt_store *s = store_of(state);
    static const char *const states[] = {"delivered", "pending", "failed", "delivered"};
    for (int i = 0; i < 4; i++) {
        struct mt_delivery d = {.created_at = 100, .next_at = MT_NEVER, .body = (char *)"{}", .body_len = 2};
        mt_format(d.id, sizeof d.id, "dlv_%d", i);
        mt_copy(d.state, sizeof d.state, states[i]);
        must(s, NULL, (struct mt_op){.type = MT_OP_DELIVERY_PUT, .delivery = &d});
    }
    assert_int_equal(purged(s, MT_PURGE_DELIVERIES, 99, 10), 0);
    assert_int_equal(purged(s, MT_PURGE_DELIVERIES, 100, 10), 2); /* the last number stays */
}

static void keep_generation(struct mt_store *s, const char *id, const char *manifest, const char *sha,
                            int64_t at) {
    static const size_t len = 8;
    static const char *const text = "return 1";
    must(s, NULL,
         (struct mt_op){.type = MT_OP_GENERATION,
                        .generation = {.id = id,
                                       .manifest = manifest,
                                       .shas = &sha,
                                       .texts = &text,
                                       .lens = &len,
                                       .count = 1,
                                       .at = at}});
}

static void test_generations(void **state) {
    struct mt_store *s = store_of(state);
    char *text = NULL;
    struct mt_error e;
    keep_generation(s, GENERATION, "{\"files\":{\"a.lua\":\"aa\"}}", "aa", 100);
    keep_generation(s, "sha256:b", "{\"files\":{\"a.lua\":\"bb\"}}", "bb", 200);
    keep_generation(s, "sha256:c", "{\"files\":{\"a.lua\":\"cc\"}}", "cc", 300);
    start(s, "run_1", true);
    struct mt_op op = {
        .type = MT_OP_PURGE,
        .purge = {
            .what = MT_PURGE_GENERATIONS, .before = 1000, .limit = 10, .keep = 1, .except = "sha256:b"}};
    one(s, NULL, &op);
    assert_int_equal(op.purge.count, 0);
    op.purge.except = NULL;
    one(s, NULL, &op);
    assert_int_equal(op.purge.count, 1); /* b: a has a run, and c is the newest */
    assert_int_equal(s->get_generation(s, "sha256:b", &text, &e), -1);
    size_t len;
    assert_int_equal(s->get_blob(s, "bb", &text, &len, &e), -1);
    assert_int_equal(s->get_blob(s, "aa", &text, &len, &e), 0);
    free(text);
    end_run(s, "run_1");
    one(s, NULL, &op);
    assert_int_equal(op.purge.count, 0); /* its journal can still be read, and replayed */
    must(s, NULL, forget_op("run_1"));
    one(s, NULL, &op);
    assert_int_equal(op.purge.count, 1);
    keep_generation(s, GENERATION, "{\"files\":{\"a.lua\":\"aa\"}}", "aa", 400); /* it comes back */
    assert_int_equal(s->get_blob(s, "aa", &text, &len, &e), 0);
    free(text);
    assert_int_equal(s->get_generation(s, GENERATION, &text, &e), 0);
    free(text);
}

static void test_ended_runs(void **state) {
    struct mt_store *s = store_of(state);
    struct mt_run *runs = NULL;
    size_t count = 0;
    int64_t n, bytes;
    struct mt_error e;
    for (int i = 1; i <= 3; i++) {
        char id[MT_ID_SIZE];
        mt_format(id, sizeof id, "run_%d", i);
        start(s, id, true);
        if (i < 3) end_run(s, id);
    }
    assert_int_equal(s->list_ended(s, NULL, 0, 899, 10, &runs, &count, &e), 0);
    assert_int_equal(count, 0);
    assert_int_equal(s->list_ended(s, "checkout", 0, 900, 1, &runs, &count, &e), 0);
    assert_int_equal(count, 1);
    assert_string_equal(runs[0].id, "run_1");
    mt_run_clear(&runs[0]);
    free(runs);
    assert_int_equal(s->weigh_ended(s, NULL, 900, &n, &bytes, &e), 0);
    assert_int_equal(n, 2);
    assert_true(bytes > 40);
    assert_int_equal(s->weigh_ended(s, "refund", 900, &n, &bytes, &e), 0);
    assert_int_equal(n, 0);
    assert_int_equal(bytes, 0);
}

static void test_malformed(void **state) {
    struct mt_store *s = store_of(state);
    struct mt_op op = {.type = MT_OP_PURGE, .purge = {.what = MT_PURGE_EVENTS}};
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_INVALID);
    op.purge.limit = 1;
    op.purge.what = MT_PURGE_COUNT;
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_INVALID);
    op = (struct mt_op){.type = MT_OP_FORGET};
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_INVALID);
}

#define TESTS(X)                                                                                             \
    X(test_tombstone), X(test_tombstone_keeps_its_key), X(test_only_what_has_ended),                         \
        X(test_late_for_a_tombstone), X(test_tombstones_go), X(test_erasing_blanks_events),                  \
        X(test_segments), X(test_who_needs_attention_keeps_all), X(test_strands_are_not_mixed),              \
        X(test_events), X(test_events_that_another_has_not_read), X(test_ends_of_children),                  \
        X(test_sources_are_remembered), X(test_events_piece_by_piece), X(test_documents),                    \
        X(test_deliveries), X(test_generations), X(test_ended_runs), X(test_malformed)

int main(void) {
    return RUN_ON_ALL(TESTS);
}
