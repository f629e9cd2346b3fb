/* links: mt_store mt_base */
/* The store's contract on every implementation: starting, claiming, owning, journaling. What store.h says,
 * said as assertions; test_store_waits.c and test_store_documents.c are the rest of it. */
#include "store_conformance.h"

/* ---- starting ---- */

static void test_start(void **state) {
    struct mt_store *s = store_of(state);
    struct mt_op op = start_op("run_1", "order-1", false, 100);
    op.start.parent = "run_0";
    op.start.parent_seq = 7;
    op.start.detached = true;
    struct mt_batch b = one(s, NULL, &op);
    assert_int_equal(b.status, 0);
    assert_int_equal(op.result, MT_RES_OK);
    assert_int_equal(b.due, 100);
    struct mt_run r = get(s, "run_1");
    assert_string_equal(r.flow, "checkout");
    assert_string_equal(r.key, "order-1");
    assert_string_equal(r.generation, GENERATION);
    assert_string_equal(r.input, "{\"amount\":\"80.00 USD\"}");
    assert_string_equal(r.parent, "run_0");
    assert_int_equal(r.parent_seq, 7);
    assert_true(r.detached);
    assert_int_equal(r.state, MT_RUN_QUEUED);
    assert_int_equal(r.owner, 0);
    assert_int_equal(r.due_at, 100);
    assert_int_equal(r.created_at, 100);
    assert_null(r.output);
    mt_run_clear(&r);
    struct mt_error e;
    assert_int_equal(s->find_run(s, "checkout", "order-1", &r, &e), 0);
    assert_string_equal(r.id, "run_1");
    mt_run_clear(&r);
    assert_int_equal(s->find_run(s, "checkout", "order-2", &r, &e), -1);
    assert_int_equal(e.kind, MT_NOT_FOUND);
    assert_int_equal(s->get_run(s, "run_2", &r, &e), -1);
    assert_int_equal(e.kind, MT_NOT_FOUND);
}

static void test_start_claimed(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_run r = get(s, "run_1");
    assert_int_equal(r.state, MT_RUN_RUNNING);
    assert_int_equal(r.owner, s->epoch);
    assert_true(r.due_at == MT_NEVER);
    mt_run_clear(&r);
    assert_string_equal(claimed(s, 1000, 10), "");
}

static void test_start_same_key(void **state) {
    struct mt_store *s = store_of(state);
    must(s, NULL, start_op("run_1", "k", false, 100));
    struct mt_op again = start_op("run_2", "k", true, 200);
    assert_int_equal(one(s, NULL, &again).status, 0);
    assert_int_equal(again.result, MT_RES_EXISTS);
    assert_string_equal(again.start.existing.id, "run_1");
    mt_run_clear(&again.start.existing);

    struct mt_op other[] = {{.type = MT_OP_META, .meta = {"a", "1"}}, start_op("run_3", "k", false, 300)};
    other[1].start.input_digest = DIGEST_B;
    other[1].start.generation = "sha256:new";
    assert_refused(run_batch(s, NULL, 0, other, 2), other, 1, MT_RES_KEY_REUSED);
    assert_string_equal(other[1].start.existing.id, "run_1");
    mt_run_clear(&other[1].start.existing);
    struct mt_op alone = start_op("run_3", "k", false, 300);
    alone.start.input_digest = DIGEST_B;
    alone.start.generation = "sha256:new";
    assert_refused(one(s, NULL, &alone), &alone, 0, MT_RES_KEY_REUSED);
    mt_run_clear(&alone.start.existing);
    struct mt_op same_id = start_op("run_1", NULL, false, 300);
    assert_int_equal(one(s, NULL, &same_id).status, 0);
    assert_int_equal(same_id.result, MT_RES_EXISTS);
    mt_run_clear(&same_id.start.existing);
    struct mt_op fresh[] = {{.type = MT_OP_META, .meta = {"b", "1"}}, start_op("run_5", "k", false, 300)};
    fresh[1].start.fresh = true;
    assert_refused(run_batch(s, NULL, 0, fresh, 2), fresh, 1, MT_RES_EXISTS);
    assert_string_equal(fresh[1].start.existing.id, "run_1");
    mt_run_clear(&fresh[1].start.existing);
    char *meta = NULL;
    struct mt_error e;
    assert_int_equal(s->get_meta(s, "b", &meta, &e), -1); /* nothing of the batch was applied */
    struct mt_op other_flow = start_op("run_4", "k", false, 300);
    other_flow.start.flow = "refund";
    other_flow.start.input_digest = DIGEST_B;
    assert_int_equal(one(s, NULL, &other_flow).status, 0);
    assert_int_equal(other_flow.result, MT_RES_OK);
}

static void test_malformed(void **state) {
    struct mt_store *s = store_of(state);
    char name[MT_NAME_MAX + 1], key[MT_KEY_MAX + 1];
    memset(name, 'x', sizeof name);
    memset(key, 'x', sizeof key);
    name[sizeof name - 1] = key[sizeof key - 1] = 0;
    struct mt_op op = start_op("run_1", key, false, 100);
    struct mt_batch b = one(s, NULL, &op);
    assert_refused(b, &op, 0, MT_RES_INVALID);
    assert_int_equal(b.error.kind, MT_INVALID_REQUEST);
    assert_non_null(strstr(b.error.message, "key"));
    op = start_op("run_1", NULL, false, 100);
    op.start.flow = name;
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_INVALID);
    op = start_op("run_1", NULL, false, 100);
    op.start.input = NULL;
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_INVALID);
    start(s, "run_1", true);
    struct mt_entry bad = entry_at(0, 0, "call");
    op = (struct mt_op){.type = MT_OP_ENTRY, .entry = &bad};
    assert_refused(one(s, "run_1", &op), &op, 0, MT_RES_INVALID);
    op = suspend_op(MT_RUN_COMPLETED, 0, NULL, NULL);
    assert_refused(one(s, "run_1", &op), &op, 0, MT_RES_INVALID);
    op = (struct mt_op){.type = MT_OP_RESOLVE, .resolve = {.run = "run_1", .seq = 1, .outcome = MT_UNKNOWN}};
    assert_refused(one(s, NULL, &op), &op, 0, MT_RES_INVALID);
}

/* ---- claiming ---- */

static void test_claim_weights(void **state) {
    struct mt_store *s = store_of(state);
    for (int i = 0; i < 8; i++) {
        for (int cls = 0; cls < 3; cls++) {
            char id[MT_ID_SIZE];
            snprintf(id, sizeof id, "%c%d", "wst"[cls], i);
            struct mt_op op = start_op(id, NULL, false, 100 - i); /* the later started, the longer due */
            op.start.cls = (enum mt_run_class)cls;
            must(s, NULL, op);
        }
    }
    assert_string_equal(claimed(s, 50, 10), "");
    assert_string_equal(claimed(s, 100, 7), "w7 s7 w6 t7 w5 s6 w4"); /* 4:2:1 */
    assert_string_equal(claimed(s, 100, 1), "w3");                   /* and it goes on from there */
    assert_string_equal(claimed(s, 100, 1), "s5");
    assert_string_equal(claimed(s, 100, 100), "w2 t6 w1 s4 w0 s3 t5 s2 s1 t4 s0 t3 t2 t1 t0");
    assert_string_equal(claimed(s, 100, 100), "");
}

static void test_claim_answers_the_run(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", false);
    struct mt_op op = {.type = MT_OP_CLAIM, .claim = {.epoch = s->epoch, .now = 150, .limit = 5}};
    one(s, NULL, &op);
    assert_int_equal(op.claim.count, 1);
    struct mt_run *r = &op.claim.runs[0];
    assert_string_equal(r->id, "run_1");
    assert_int_equal(r->owner, s->epoch);
    assert_int_equal(r->state, MT_RUN_RUNNING);
    assert_true(r->due_at == MT_NEVER);
    assert_int_equal(r->updated_at, 150);
    mt_run_clear(r);
    free(op.claim.runs);
}

static void test_next_due(void **state) {
    struct mt_store *s = store_of(state);
    int64_t runs, rest;
    struct mt_error e;
    assert_int_equal(s->next_due(s, &runs, &rest, &e), 0);
    assert_true(runs == MT_NEVER && rest == MT_NEVER);
    start(s, "run_1", false);
    start(s, "run_2", true);
    must(s, NULL,
         (struct mt_op){.type = MT_OP_TASK_PUT, .task = {.due_at = 70, .name = "settle", .payload = "{}"}});
    assert_int_equal(s->next_due(s, &runs, &rest, &e), 0);
    assert_int_equal(runs, 100);
    assert_int_equal(rest, 70);
    assert_string_equal(claimed(s, 100, 5), "run_1");
    assert_int_equal(s->next_due(s, &runs, NULL, &e), 0);
    assert_true(runs == MT_NEVER);
}

/* ---- owning ---- */

static void test_fencing(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_entry entry = entry_at(0, 1, "call");
    struct mt_op op = {.type = MT_OP_ENTRY, .entry = &entry};
    assert_refused(run_batch(s, "run_1", s->epoch + 1, &op, 1), &op, 0, MT_RES_NOT_OWNER);
    struct mt_batch b = run_batch(s, "run_1", s->epoch + 1, &op, 1);
    assert_int_equal(b.error.kind, MT_CONFLICT);
    assert_refused(run_batch(s, "run_1", 0, &op, 1), &op, 0, MT_RES_NOT_OWNER);
    assert_refused(run_batch(s, "run_9", s->epoch, &op, 1), &op, 0, MT_RES_MISSING);
    assert_refused(run_batch(s, NULL, s->epoch, &op, 1), &op, 0, MT_RES_NOT_OWNER);
    must(s, "run_1", op);
    must(s, "run_1", end_op(MT_RUN_COMPLETED));
    op = end_op(MT_RUN_FAILED);
    assert_refused(run_batch(s, "run_1", s->epoch, &op, 1), &op, 0, MT_RES_NOT_OWNER);
    assert_refused(run_batch(s, "run_1", 0, &op, 1), &op, 0, MT_RES_NOT_OWNER); /* nobody is no owner */
}

static void test_let_go_within_a_batch(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_entry entry = entry_at(0, 1, "sleep");
    struct mt_op ops[] = {suspend_op(MT_RUN_SLEEPING, 700, NULL, NULL),
                          {.type = MT_OP_ENTRY, .entry = &entry}};
    assert_refused(run_batch(s, "run_1", s->epoch, ops, 2), ops, 1, MT_RES_NOT_OWNER);
    assert_int_equal(state_of(s, "run_1"), MT_RUN_RUNNING); /* all or nothing */
    must(s, "run_1", (struct mt_op){.type = MT_OP_ENTRY, .entry = &entry});
}

static void test_a_run_lost_and_found(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    must(s, "run_1", suspend_op(MT_RUN_SLEEPING, 300, NULL, NULL));
    struct mt_op op = {.type = MT_OP_CLAIM, .claim = {.epoch = s->epoch + 1, .now = 300, .limit = 1}};
    one(s, NULL, &op);
    mt_run_clear(&op.claim.runs[0]);
    free(op.claim.runs);
    struct mt_op end = end_op(MT_RUN_COMPLETED);
    assert_refused(run_batch(s, "run_1", s->epoch, &end, 1), &end, 0, MT_RES_NOT_OWNER);
    assert_int_equal(run_batch(s, "run_1", s->epoch + 1, &end, 1).status, 0);
}

/* ---- the journal ---- */

static void test_journal(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_entry intent = entry_at(0, 1, "call");
    intent.request = (char *)"\0sealed";
    intent.request_len = 7;
    must(s, "run_1", (struct mt_op){.type = MT_OP_ENTRY, .entry = &intent});
    struct mt_entry answer = {
        .seq = 1, .outcome = MT_DONE, .result = (char *)"{\"id\":1}", .sealed = true, .done_at = 77};
    struct mt_entry next = entry_at(0, 2, "read");
    next.meta = (char *)"{\"attempts\":1}";
    struct mt_op ops[] = {{.type = MT_OP_ANSWER, .entry = &answer}, {.type = MT_OP_ENTRY, .entry = &next}};
    assert_int_equal(run_batch(s, "run_1", s->epoch, ops, 2).status, 0);
    struct mt_entry meta = {
        .seq = 2, .meta = (char *)"{\"attempts\":2}", .request = (char *)"again", .request_len = 5};
    must(s, "run_1", (struct mt_op){.type = MT_OP_ANSWER, .entry = &meta});

    struct mt_entry *entries;
    size_t count;
    struct mt_error e;
    assert_int_equal(s->read_journal(s, "run_1", 0, &entries, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_string_equal(entries[0].kind, "call");
    assert_string_equal(entries[0].name, "mintro.intents.create");
    assert_string_equal(entries[0].digest, "0123456789abcdef0123456789abcdef");
    assert_string_equal(entries[0].params, "{\"amount\":80}");
    assert_string_equal(entries[0].site, "checkout.lua:31");
    assert_int_equal(entries[0].request_len, 7);
    assert_memory_equal(entries[0].request, "\0sealed", 7);
    assert_int_equal(entries[0].outcome, MT_DONE);
    assert_string_equal(entries[0].result, "{\"id\":1}");
    assert_true(entries[0].sealed);
    assert_int_equal(entries[0].at, 1001);
    assert_int_equal(entries[0].done_at, 77);
    assert_int_equal(entries[1].outcome, MT_OUTCOME_NONE);
    assert_string_equal(entries[1].meta, "{\"attempts\":2}");
    assert_memory_equal(entries[1].request, "again", 5);
    assert_null(entries[1].result);
    for (size_t i = 0; i < count; i++) mt_entry_clear(&entries[i]);
    free(entries);
    struct mt_run r = get(s, "run_1");
    assert_int_equal(r.entries, 2);
    mt_run_clear(&r);
    assert_int_equal(s->read_journal(s, "run_9", -1, &entries, &count, &e), 0);
    assert_int_equal(count, 0);
    free(entries);
}

static void test_journal_refusals(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_entry first = entry_at(0, 1, "call"), second = entry_at(0, 2, "call"),
                    ahead = entry_at(1, 1, "call");
    struct mt_op entry = {.type = MT_OP_ENTRY, .entry = &first};
    must(s, "run_1", entry);
    assert_refused(one(s, "run_1", &entry), &entry, 0, MT_RES_DUPLICATE);
    struct mt_op ops[] = {{.type = MT_OP_ENTRY, .entry = &second},
                          {.type = MT_OP_META, .meta = {"undone", "1"}},
                          {.type = MT_OP_ENTRY, .entry = &first}};
    assert_refused(run_batch(s, "run_1", s->epoch, ops, 3), ops, 2, MT_RES_DUPLICATE);
    char *value;
    struct mt_error e;
    assert_int_equal(s->get_meta(s, "undone", &value, &e), -1);
    must(s, "run_1", (struct mt_op){.type = MT_OP_ENTRY, .entry = &second}); /* its place is free again */
    struct mt_op op = {.type = MT_OP_ENTRY, .entry = &ahead};
    assert_refused(one(s, "run_1", &op), &op, 0, MT_RES_MISSING);
    struct mt_entry nowhere = {.seq = 9, .outcome = MT_DONE};
    op = (struct mt_op){.type = MT_OP_ANSWER, .entry = &nowhere};
    assert_refused(one(s, "run_1", &op), &op, 0, MT_RES_MISSING);
}

static void test_run_changes(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    must(s, "run_1",
         (struct mt_op){.type = MT_OP_RUN, .run = {.state = -1, .progress = "{\"p\":1}", .at = 300}});
    must(s, "run_1",
         (struct mt_op){.type = MT_OP_RUN,
                        .run = {.state = -1, .error = "{}", .waiting_for = "{}", .at = 301}});
    must(s, "run_1",
         (struct mt_op){.type = MT_OP_RUN, .run = {.state = MT_RUN_COMPENSATING, .error = "", .at = 302}});
    struct mt_run r = get(s, "run_1");
    assert_string_equal(r.progress, "{\"p\":1}");
    assert_null(r.error);
    assert_string_equal(r.waiting_for, "{}");
    assert_int_equal(r.state, MT_RUN_COMPENSATING);
    assert_int_equal(r.owner, s->epoch);
    assert_int_equal(r.updated_at, 302);
    mt_run_clear(&r);
    struct mt_op end = end_op(MT_RUN_FAILED);
    end.run.release = false; /* what has ended is let go of all the same */
    must(s, "run_1", end);
    r = get(s, "run_1");
    assert_int_equal(r.owner, 0);
    assert_true(r.due_at == MT_NEVER);
    assert_string_equal(r.output, "{\"ok\":true}");
    mt_run_clear(&r);
}

static void test_continue(void **state) {
    struct mt_store *s = store_of(state);
    start(s, "run_1", true);
    struct mt_entry first = entry_at(0, 1, "call"), later = entry_at(1, 1, "call");
    must(s, "run_1", (struct mt_op){.type = MT_OP_ENTRY, .entry = &first});
    struct mt_op op = {
        .type = MT_OP_CONTINUE,
        .cont = {.input = "{\"cycle\":2}", .generation = "sha256:b", .cursors = "{}", .at = 400}};
    struct mt_batch b = one(s, "run_1", &op);
    assert_int_equal(b.status, 0);
    assert_int_equal(b.due, 400);
    struct mt_run r = get(s, "run_1");
    assert_int_equal(r.segment, 1);
    assert_int_equal(r.entries, 0);
    assert_int_equal(r.owner, 0);
    assert_int_equal(r.state, MT_RUN_QUEUED);
    assert_int_equal(r.due_at, 400);
    assert_string_equal(r.input, "{\"cycle\":2}");
    assert_string_equal(r.generation, "sha256:b");
    assert_string_equal(r.cursors, "{}");
    mt_run_clear(&r);
    assert_string_equal(claimed(s, 400, 1), "run_1");
    must(s, "run_1", (struct mt_op){.type = MT_OP_ENTRY, .entry = &later});
    struct mt_entry *entries;
    size_t count;
    struct mt_error e;
    assert_int_equal(s->read_journal(s, "run_1", -1, &entries, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_int_equal(entries[1].segment, 1);
    assert_int_equal(entries[1].seq, 1);
    for (size_t i = 0; i < count; i++) mt_entry_clear(&entries[i]);
    free(entries);
}

#define TESTS(X)                                                                                             \
    X(test_start), X(test_start_claimed), X(test_start_same_key), X(test_malformed), X(test_claim_weights),  \
        X(test_claim_answers_the_run), X(test_next_due), X(test_fencing), X(test_let_go_within_a_batch),     \
        X(test_a_run_lost_and_found), X(test_journal), X(test_journal_refusals), X(test_run_changes),        \
        X(test_continue)

int main(void) {
    return RUN_ON_ALL(TESTS);
}
