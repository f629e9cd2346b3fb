/* links: mt_store mt_base */
/* The store's contract, operation by operation, on every implementation: what store.h says, said as
 * assertions. */
#include "store_support.h"

struct fixture {
    struct mt_store *s;
    char *dir; /* NULL: in memory */
};

static int open_sqlite(void **state) {
    struct fixture *f = mt_calloc(1, sizeof *f);
    f->dir = make_dir();
    f->s = open_or_fail(f->dir);
    *state = f;
    return 0;
}

static int open_memory(void **state) {
    struct fixture *f = mt_calloc(1, sizeof *f);
    f->s = mt_store_memory_open();
    *state = f;
    return 0;
}

static int close_store(void **state) {
    struct fixture *f = *state;
    f->s->close(f->s);
    if (f->dir) remove_tree(f->dir);
    free(f->dir);
    free(f);
    return 0;
}

static struct mt_store *store_of(void **state) {
    return ((struct fixture *)*state)->s;
}

/* ---- short words ---- */

static struct mt_batch run_batch(struct mt_store *s, const char *run, int64_t epoch, struct mt_op *ops,
                                 size_t count) {
    struct mt_batch b = {.run = run, .epoch = epoch, .ops = ops, .count = count};
    commit_batch(s, &b);
    return b;
}

static struct mt_batch one(struct mt_store *s, const char *run, struct mt_op *op) {
    return run_batch(s, run, s->epoch, op, 1);
}

static void must(struct mt_store *s, const char *run, struct mt_op op) {
    struct mt_batch b = one(s, run, &op);
    if (b.status) fail_msg("refused: %s", b.error.message);
}

static void start(struct mt_store *s, const char *id, bool claim) {
    must(s, NULL, start_op(id, NULL, claim, 100));
}

static struct mt_run get(struct mt_store *s, const char *id) {
    struct mt_run r;
    struct mt_error e;
    if (s->get_run(s, id, &r, &e)) fail_msg("%s", e.message);
    return r;
}

static int state_of(struct mt_store *s, const char *id) {
    struct mt_run r = get(s, id);
    int state = (int)r.state;
    mt_run_clear(&r);
    return state;
}

static int64_t due_of(struct mt_store *s, const char *id) {
    struct mt_run r = get(s, id);
    int64_t due = r.due_at;
    mt_run_clear(&r);
    return due;
}

/* Claims up to `limit` and writes the ids one after another into a static text: "a b c". */
static const char *claimed(struct mt_store *s, int64_t now, size_t limit) {
    static char text[4096];
    struct mt_op op = {.type = MT_OP_CLAIM, .claim = {.epoch = s->epoch, .now = now, .limit = limit}};
    struct mt_batch b = one(s, NULL, &op);
    assert_int_equal(b.status, 0);
    text[0] = 0;
    for (size_t i = 0; i < op.claim.count; i++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "", op.claim.runs[i].id);
        mt_run_clear(&op.claim.runs[i]);
    }
    free(op.claim.runs);
    return text;
}

static void event(struct mt_store *s, const char *topic, const char *key, const char *payload) {
    must(s, NULL,
         (struct mt_op){.type = MT_OP_EVENT,
                        .event = {.topic = topic, .key = key, .payload = payload, .at = 500}});
}

static struct mt_op suspend_op(enum mt_run_state state, int64_t due_at, const char *topic, const char *key) {
    return (struct mt_op){.type = MT_OP_SUSPEND,
                          .suspend = {.state = state,
                                      .due_at = due_at,
                                      .topic = topic,
                                      .key = key,
                                      .waiting_for = "{\"until\":1}",
                                      .cls = MT_CLASS_TIMER,
                                      .at = 200}};
}

static void park(struct mt_store *s, const char *id) {
    struct mt_op op = suspend_op(MT_RUN_NEEDS_ATTENTION, MT_NEVER, NULL, NULL);
    op.suspend.error = "{\"kind\":\"script\"}";
    must(s, id, op);
}

static struct mt_op end_op(enum mt_run_state state) {
    return (struct mt_op){
        .type = MT_OP_RUN,
        .run = {.state = (int)state, .output = "{\"ok\":true}", .release = true, .at = 900}};
}

static void assert_refused(struct mt_batch b, struct mt_op *ops, size_t at, enum mt_op_result result) {
    assert_int_equal(b.status, -1);
    assert_int_equal(b.failed, at);
    assert_int_equal(ops[at].result, result);
    assert_true(b.error.message[0]);
}

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

static struct mt_op cancel_op(const char *run) {
    return (struct mt_op){.type = MT_OP_CANCEL,
                          .cancel = {.run = run, .reason = "changed my mind", .at = 600}};
}

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
    X(test_start), X(test_start_claimed), X(test_start_same_key), X(test_malformed), X(test_claim_weights),  \
        X(test_claim_answers_the_run), X(test_next_due), X(test_fencing), X(test_let_go_within_a_batch),     \
        X(test_a_run_lost_and_found), X(test_journal), X(test_journal_refusals), X(test_run_changes),        \
        X(test_continue), X(test_suspend), X(test_event_wakes), X(test_suspend_sees_what_came_before),       \
        X(test_await_found), X(test_await_timed_out), X(test_await_suspended), X(test_event_lists),          \
        X(test_cancel_unowned), X(test_cancel_owned), X(test_cancel_refused), X(test_retry),                 \
        X(test_resolve), X(test_documents), X(test_document_queries), X(test_deliveries), X(test_tasks),     \
        X(test_generations), X(test_meta_and_wipe), X(test_lists_and_counts), X(test_batches_share_a_commit)
#define ON_SQLITE(test) cmocka_unit_test_setup_teardown(test, open_sqlite, close_store)
#define ON_MEMORY(test) cmocka_unit_test_setup_teardown(test, open_memory, close_store)

int main(void) {
    const struct CMUnitTest sqlite[] = {TESTS(ON_SQLITE), cmocka_unit_test(test_names)};
    const struct CMUnitTest memory[] = {TESTS(ON_MEMORY)};
    int failed = cmocka_run_group_tests_name("sqlite", sqlite, NULL, NULL);
    return failed + cmocka_run_group_tests_name("memory", memory, NULL, NULL);
}
