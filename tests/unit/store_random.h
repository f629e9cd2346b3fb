/* Random batches for the differential test: words, an eye for what could succeed, and enough chance that much
 * does not. */
#pragma once
#include "base/id.h"
#include "store_support.h"

#define RUNS 16
#define GROUP 3
#define OPS 4
#define OP_TYPES (MT_OP_AUDIT + 1)
#define RESULTS (MT_RES_INVALID + 1)

struct random {
    struct mt_random *source;
};

static inline uint32_t any(struct random *r, uint32_t n) {
    uint32_t v;
    r->source->bytes(r->source, &v, sizeof v);
    return v % n;
}
static inline bool chance(struct random *r, uint32_t percent) {
    return any(r, 100) < percent;
}

/* ---- words to make operations of ---- */

static const char *const run_ids[RUNS] = {"run_00", "run_01", "run_02", "run_03", "run_04", "run_05",
                                          "run_06", "run_07", "run_08", "run_09", "run_10", "run_11",
                                          "run_12", "run_13", "run_14", "run_15"};
static const char *const flows[] = {"checkout", "refund"}, *const generations[] = {"sha256:a", "sha256:b",
                                                                                   "sha256:c"};
static const char *const topics[] = {"order", "autopay"}, *const keys[] = {"x", "y", "z"};
static const char *const jsons[] = {"null", "{\"a\":1}", "[1,2]", "\"text\"", "{\"b\":{\"c\":true}}"};
static const char *const sources[] = {"s1", "s2", "s3", "s4", "s5", "s6"};
static const char *const collections[] = {"orders", "cards"}, *const ids[] = {"a", "b", "c", "d"};
static const char *const deliveries[] = {"dlv_1", "dlv_2", "dlv_3", "dlv_4"}, *const states[] = {"pending",
                                                                                                 "delivered",
                                                                                                 "failed"};
static const char *const texts[] = {"return 1", "return 2"};
static const size_t lens[] = {8, 8};
#define PICK(r, list) (list)[any((r), sizeof(list) / sizeof *(list))]
#define MAYBE(r, list) (chance((r), 50) ? PICK(r, list) : NULL)

/* A batch with everything it points to, so that each store gets a copy of its own. */
struct made {
    struct mt_batch batch;
    struct mt_op ops[OPS];
    struct mt_entry entries[OPS];
    struct mt_delivery deliveries[OPS];
    struct mt_audit audits[OPS];
    struct mt_doc_key keys[OPS][2];
};

/* What the generator knows of the run it writes for. */
struct subject {
    const char *id, *parked; /* `parked`: one that needs attention, if it is easily found */
    int64_t owner;
    int segment, next_seq;
    int open_segment, open_seq; /* an entry of `parked` that has no answer */
    const char *resting;        /* one that nobody owns, if it is easily found; and how it is */
    const char *generation;
    int rest_segment, rest_entries;
    const char *collection;
    int64_t counter, task, late; /* as they are */
};

static inline void find_open_entry(struct mt_store *s, struct subject *about) {
    struct mt_entry *entries = NULL;
    size_t count = 0;
    struct mt_error e;
    about->open_seq = 1;
    assert_int_equal(s->read_journal(s, about->parked, -1, &entries, &count, &e), 0);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].outcome == MT_OUTCOME_NONE || entries[i].outcome == MT_UNKNOWN) {
            about->open_segment = entries[i].segment;
            about->open_seq = entries[i].seq;
        }
        mt_entry_clear(&entries[i]);
    }
    free(entries);
}

static inline void find_rest(struct mt_store *s, struct random *r, struct subject *about) {
    struct mt_document *none = NULL;
    struct mt_task *tasks = NULL;
    struct mt_event *late = NULL;
    size_t count = 0;
    struct mt_error e;
    about->collection = PICK(r, collections);
    assert_int_equal(s->query_documents(s, about->collection, NULL, NULL, NULL, false, 0, &none, &count,
                                        &about->counter, &e),
                     0);
    free(none);
    assert_int_equal(s->list_tasks(s, MT_NEVER, 5, &tasks, &count, &e), 0);
    for (size_t i = 0; i < count; i++) {
        about->task = tasks[i].n;
        mt_task_clear(&tasks[i]);
    }
    free(tasks);
    assert_int_equal(s->list_events(s, NULL, NULL, 0, false, MT_EVENTS_PENDING, 3, &late, &count, &e), 0);
    for (size_t i = 0; i < count; i++) {
        about->late = late[i].n;
        mt_event_clear(&late[i]);
    }
    free(late);
}

static inline struct subject subject_of(struct mt_store *s, struct random *r) {
    struct subject out = {.id = PICK(r, run_ids), .parked = PICK(r, run_ids), .owner = 1, .next_seq = 1};
    out.resting = out.id;
    out.generation = generations[0];
    struct mt_run run;
    struct mt_error e;
    for (int tries = 0; tries < RUNS / 2; tries++) {
        const char *id = PICK(r, run_ids);
        if (s->get_run(s, id, &run, &e)) continue;
        if (run.state == MT_RUN_NEEDS_ATTENTION) out.parked = id;
        if (!run.owner) {
            out.resting = id;
            out.rest_segment = run.segment;
            out.rest_entries = run.entries;
            for (size_t i = 0; i < sizeof generations / sizeof *generations; i++)
                if (strcmp(run.generation, generations[i]) == 0) out.generation = generations[i];
        }
        mt_run_clear(&run);
    }
    find_open_entry(s, &out);
    find_rest(s, r, &out);
    for (int tries = 0; tries < 4; tries++) { /* prefer one that is owned: more can happen to it */
        if (s->get_run(s, out.id, &run, &e) == 0) {
            out.owner = run.owner;
            out.segment = run.segment;
            out.next_seq = run.entries + 1;
            mt_run_clear(&run);
            if (out.owner) break;
        }
        out.id = PICK(r, run_ids);
    }
    return out;
}

static inline struct mt_entry *make_entry(struct random *r, struct mt_entry *e, struct subject *about,
                                          bool fresh, int64_t now) {
    *e = entry_at(about->segment, about->next_seq, "call");
    e->at = now;
    if (!fresh || chance(r, 10)) e->seq = 1 + (int)any(r, 6);
    if (chance(r, 5)) e->segment = (int)any(r, 3);
    if (fresh && e->seq == about->next_seq) about->next_seq++;
    if (chance(r, 20)) mt_copy(e->digest, sizeof e->digest, chance(r, 50) ? "" : "not hex");
    e->params = (char *)MAYBE(r, jsons);
    e->result = (char *)MAYBE(r, jsons);
    e->meta = (char *)MAYBE(r, jsons);
    e->outcome = chance(r, 50) ? MT_OUTCOME_NONE : (enum mt_outcome)any(r, MT_OUTCOME_COUNT);
    e->sealed = chance(r, 20);
    e->done_at = now + 1;
    if (chance(r, 40)) {
        e->request = (char *)"\0\1sealed";
        e->request_len = any(r, 9);
    }
    return e;
}

static inline void make_start(struct random *r, struct mt_op *op, int64_t now) {
    *op = start_op(PICK(r, run_ids), MAYBE(r, keys), chance(r, 60), now + any(r, 20));
    op->start.flow = PICK(r, flows);
    op->start.generation = PICK(r, generations);
    op->start.input_digest = chance(r, 70) ? DIGEST_A : DIGEST_B;
    op->start.input = PICK(r, jsons);
    op->start.parent = MAYBE(r, run_ids);
    op->start.parent_seq = (int)any(r, 9);
    op->start.detached = chance(r, 30);
    op->start.cls = (enum mt_run_class)any(r, 3);
}

static inline void make_suspend(struct random *r, struct mt_op *op, int64_t now) {
    static const enum mt_run_state allowed[] = {MT_RUN_SLEEPING,     MT_RUN_WAITING,         MT_RUN_WAITING,
                                                MT_RUN_COMPENSATING, MT_RUN_NEEDS_ATTENTION, MT_RUN_QUEUED,
                                                MT_RUN_RUNNING /* refused */};
    op->suspend.state = PICK(r, allowed);
    op->suspend.due_at = chance(r, 30) ? MT_NEVER : now + any(r, 50);
    op->suspend.topic = MAYBE(r, topics);
    op->suspend.key = PICK(r, keys);
    op->suspend.cursor = any(r, 40);
    op->suspend.also_topic = chance(r, 30) ? PICK(r, topics) : NULL;
    op->suspend.also_key = PICK(r, keys);
    op->suspend.also_cursor = any(r, 40);
    op->suspend.waiting_for = MAYBE(r, jsons);
    op->suspend.error = MAYBE(r, jsons);
    op->suspend.cls = (enum mt_run_class)any(r, 3);
    op->suspend.at = now;
}

static const char *change_of(struct random *r) {
    return chance(r, 50) ? NULL : chance(r, 30) ? "" : PICK(r, jsons);
}

static inline void make_change(struct random *r, struct mt_op *op, int64_t now) {
    op->run.state = chance(r, 50) ? -1 : (int)any(r, MT_RUN_STATE_COUNT);
    op->run.progress = change_of(r);
    op->run.output = change_of(r);
    op->run.error = change_of(r);
    op->run.waiting_for = change_of(r);
    op->run.release = chance(r, 20);
    op->run.at = now;
}

static inline void make_document(struct random *r, struct mt_op *op, struct mt_doc_key *doc_keys,
                                 int64_t now) {
    op->doc.collection = PICK(r, collections);
    op->doc.id = PICK(r, ids);
    op->doc.body = PICK(r, jsons);
    op->doc.expect = chance(r, 60) ? -1 : (int64_t)any(r, 4);
    op->doc.keys = doc_keys;
    op->doc.key_count = any(r, 3);
    op->doc.at = now;
    op->doc.keep = chance(r, 30) ? 10 + any(r, 40) : 0;
    doc_keys[0] = (struct mt_doc_key){"email", PICK(r, keys), chance(r, 50)};
    doc_keys[1] = (struct mt_doc_key){"state", PICK(r, keys), false};
}

static inline struct mt_delivery *make_delivery(struct random *r, struct mt_delivery *d, int64_t now) {
    *d = (struct mt_delivery){.url = (char *)MAYBE(r, jsons),
                              .headers = (char *)MAYBE(r, jsons),
                              .body = (char *)PICK(r, jsons),
                              .body_len = 4,
                              .schedule = (char *)MAYBE(r, jsons),
                              .accept = (char *)MAYBE(r, jsons),
                              .log = (char *)MAYBE(r, jsons),
                              .attempts = (int)any(r, 5),
                              .next_at = now + any(r, 30),
                              .created_at = now};
    mt_copy(d->id, sizeof d->id, PICK(r, deliveries));
    mt_copy(d->group, sizeof d->group, PICK(r, flows));
    mt_copy(d->event, sizeof d->event, "payment.succeeded");
    mt_copy(d->state, sizeof d->state, PICK(r, states));
    return d;
}

static inline void make_op(struct random *r, struct made *m, size_t i, enum mt_op_type type,
                           struct subject *about, int64_t now) {
    struct mt_op *op = &m->ops[i];
    memset(op, 0, sizeof *op);
    op->type = type;
    switch (type) {
    case MT_OP_START:
        make_start(r, op, now);
        break;
    case MT_OP_CLAIM:
        op->claim.epoch = chance(r, 80) ? 1 : 2;
        op->claim.now = now + any(r, 20);
        op->claim.limit = any(r, 5);
        break;
    case MT_OP_ENTRY:
    case MT_OP_ANSWER:
        op->entry = make_entry(r, &m->entries[i], about, type == MT_OP_ENTRY, now);
        break;
    case MT_OP_RUN:
        make_change(r, op, now);
        break;
    case MT_OP_SUSPEND:
        make_suspend(r, op, now);
        break;
    case MT_OP_AWAIT:
        op->await.inserted = chance(r, 30);
        op->await.entry = make_entry(r, &m->entries[i], about, !op->await.inserted, now);
        op->await.topic = PICK(r, topics);
        op->await.key = PICK(r, keys);
        op->await.cursor = any(r, 40);
        op->await.deadline = chance(r, 20) ? MT_NEVER : now - 10 + any(r, 40);
        op->await.waiting_for = MAYBE(r, jsons);
        op->await.at = now;
        break;
    case MT_OP_CONTINUE:
        op->cont.input = PICK(r, jsons);
        op->cont.generation = MAYBE(r, generations);
        op->cont.cursors = MAYBE(r, jsons);
        op->cont.at = now;
        break;
    case MT_OP_EVENT:
        op->event.topic = chance(r, 85) ? PICK(r, topics) : "run";
        op->event.key = op->event.topic[0] == 'r' ? PICK(r, run_ids) : PICK(r, keys);
        op->event.payload = PICK(r, jsons);
        op->event.source = MAYBE(r, sources);
        op->event.at = now;
        break;
    case MT_OP_SEEN:
        op->seen.topic = PICK(r, topics);
        op->seen.key = PICK(r, keys);
        op->seen.upto = any(r, 40);
        break;
    case MT_OP_LATE:
        op->late.n = about->late + (chance(r, 20) ? 1 : 0);
        op->late.late = chance(r, 90) ? MT_LATE_HANDLED : (enum mt_late)any(r, 4);
        break;
    case MT_OP_CANCEL:
        op->cancel.run = PICK(r, run_ids);
        op->cancel.reason = MAYBE(r, jsons);
        op->cancel.at = now;
        break;
    case MT_OP_RETRY:
        op->retry.run = about->parked;
        op->retry.at = now;
        break;
    case MT_OP_RESOLVE:
        op->resolve.run = about->parked;
        op->resolve.segment = about->open_segment;
        op->resolve.seq = chance(r, 80) ? about->open_seq : 1 + (int)any(r, 4);
        op->resolve.outcome = (enum mt_outcome)(1 + any(r, 4));
        op->resolve.result = MAYBE(r, jsons);
        op->resolve.at = now;
        break;
    case MT_OP_MIGRATE:
        op->migrate.run = chance(r, 85) ? about->resting : PICK(r, run_ids);
        op->migrate.from = chance(r, 80) ? about->generation : PICK(r, generations);
        op->migrate.to = PICK(r, generations);
        op->migrate.segment = about->rest_segment;
        op->migrate.entries = about->rest_entries + (chance(r, 15) ? 1 : 0);
        op->migrate.moves = PICK(r, jsons);
        op->migrate.at = now;
        break;
    case MT_OP_FORGET:
        op->forget.run = PICK(r, run_ids);
        op->forget.progress = MAYBE(r, jsons);
        op->forget.output = MAYBE(r, jsons);
        op->forget.error = MAYBE(r, jsons);
        op->forget.erase = chance(r, 30);
        op->forget.about = MAYBE(r, topics);
        op->forget.at = now;
        break;
    case MT_OP_DOC_PUT:
    case MT_OP_DOC_DELETE:
    case MT_OP_DOC_CHECK:
        make_document(r, op, m->keys[i], now);
        break;
    case MT_OP_COLLECTION_CHECK:
        op->collection_check.collection = about->collection;
        op->collection_check.counter = about->counter + (chance(r, 30) ? 1 : 0);
        break;
    case MT_OP_DELIVERY_PUT:
    case MT_OP_DELIVERY_UPDATE:
        op->delivery = make_delivery(r, &m->deliveries[i], now);
        break;
    case MT_OP_TASK_PUT:
        op->task.due_at = now + any(r, 30);
        op->task.name = PICK(r, flows);
        op->task.payload = PICK(r, jsons);
        break;
    case MT_OP_TASK_DELETE:
        op->task.n = about->task + (chance(r, 30) ? 1 : 0);
        break;
    case MT_OP_GENERATION:
        op->generation.id = PICK(r, generations);
        op->generation.manifest = PICK(r, jsons);
        op->generation.shas = sources;
        op->generation.texts = texts;
        op->generation.lens = lens;
        op->generation.count = any(r, 3);
        op->generation.at = now;
        break;
    case MT_OP_PURGE:
        op->purge.what = (enum mt_purge)any(r, MT_PURGE_PAGES + (chance(r, 5) ? 1 : 0));
        op->purge.before = now - (int64_t)any(r, 40) + (op->purge.what == MT_PURGE_DOCUMENTS ? 40 : 0);
        op->purge.unread = op->purge.before - (int64_t)any(r, 30);
        op->purge.after = chance(r, 70) ? 0 : any(r, 40);
        op->purge.limit = any(r, 9);
        op->purge.keep = any(r, 3);
        op->purge.except = MAYBE(r, generations);
        op->purge.own = chance(r, 30) ? "run" : NULL;
        break;
    case MT_OP_META:
        op->meta.key = PICK(r, keys);
        op->meta.value = PICK(r, jsons);
        break;
    case MT_OP_AUDIT:
        op->audit = &m->audits[i];
        *op->audit = (struct mt_audit){.of = chance(r, 40) ? any(r, 20) : 0,
                                       .at = now,
                                       .who = (char *)(uintptr_t)PICK(r, keys),
                                       .via = (char *)(uintptr_t)PICK(r, flows),
                                       .what = (char *)(uintptr_t)PICK(r, flows),
                                       .detail = (char *)(uintptr_t)PICK(r, jsons),
                                       .outcome = (char *)(uintptr_t)PICK(r, flows),
                                       .ms = any(r, 9)};
        break;
    }
}

static inline enum mt_op_type type_for(struct random *r, bool of_run) {
    static const enum mt_op_type ours[] = {
        MT_OP_ENTRY,   MT_OP_ENTRY,   MT_OP_ENTRY, MT_OP_ANSWER, MT_OP_ANSWER,   MT_OP_RUN, MT_OP_RUN,
        MT_OP_SUSPEND, MT_OP_SUSPEND, MT_OP_AWAIT, MT_OP_AWAIT,  MT_OP_CONTINUE, MT_OP_SEEN};
    static const enum mt_op_type common[] = {
        MT_OP_START,  MT_OP_START,  MT_OP_START,  MT_OP_CLAIM,   MT_OP_CLAIM,   MT_OP_EVENT,   MT_OP_EVENT,
        MT_OP_CANCEL, MT_OP_RETRY,  MT_OP_RETRY,  MT_OP_RESOLVE, MT_OP_RESOLVE, MT_OP_MIGRATE, MT_OP_LATE,
        MT_OP_LATE,   MT_OP_FORGET, MT_OP_FORGET, MT_OP_PURGE,   MT_OP_PURGE,   MT_OP_PURGE};
    if (of_run && chance(r, 75)) return PICK(r, ours);
    return chance(r, 50) ? PICK(r, common) : (enum mt_op_type)any(r, OP_TYPES);
}

static inline void make_batch(struct random *r, struct mt_store *s, struct made *m, int64_t now) {
    struct subject about = subject_of(s, r);
    bool of_run = chance(r, 60);
    memset(m, 0, sizeof *m);
    m->batch.run = of_run ? about.id : NULL;
    m->batch.epoch = chance(r, 93) && about.owner ? about.owner : 1 + any(r, 2);
    m->batch.count = 1 + (chance(r, 60) ? any(r, OPS) : 0);
    for (size_t i = 0; i < m->batch.count; i++) make_op(r, m, i, type_for(r, of_run), &about, now);
}

/* A copy whose pointers into itself point into the copy. */
static inline void copy_made(const struct made *from, struct made *to) {
    *to = *from;
    to->batch.ops = to->ops;
    for (size_t i = 0; i < to->batch.count; i++) {
        struct mt_op *op = &to->ops[i];
        if (op->type == MT_OP_ENTRY || op->type == MT_OP_ANSWER) op->entry = &to->entries[i];
        if (op->type == MT_OP_AWAIT) op->await.entry = &to->entries[i];
        if (op->type == MT_OP_DELIVERY_PUT || op->type == MT_OP_DELIVERY_UPDATE)
            op->delivery = &to->deliveries[i];
        if (op->type == MT_OP_AUDIT) op->audit = &to->audits[i];
        if (op->type == MT_OP_DOC_PUT) op->doc.keys = to->keys[i];
    }
}
