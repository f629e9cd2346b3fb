/* What a store answers, as text, so that two stores can be compared by comparing texts. What an answer holds
 * is freed on the way. */
#pragma once
#include "base/buf.h"
#include "store_random.h"
#include <inttypes.h>

static inline const char *or_null(const char *s) {
    return s ? s : "-";
}

static inline void say_run(struct mt_buf *b, struct mt_run *r) {
    mt_buf_addf(b,
                "run %s %s %s %d %s seg %d owner %" PRId64 " due %" PRId64
                " in %s prog %s out %s err %s wait %s cur %s par %s/%d %d cancel %d %s entries %d moves %s "
                "dropped %d gone %" PRId64 " digest %s "
                "at %" PRId64 " %" PRId64 "\n",
                r->id, r->flow, or_null(r->key), (int)r->state, r->generation, r->segment, r->owner,
                r->due_at, or_null(r->input), or_null(r->progress), or_null(r->output), or_null(r->error),
                or_null(r->waiting_for), or_null(r->cursors), r->parent, r->parent_seq, r->detached,
                r->cancel_requested, or_null(r->cancel_reason), r->entries, or_null(r->moves), r->dropped,
                r->gone_at, r->input_digest, r->created_at, r->updated_at);
    mt_run_clear(r);
}

static inline void say_event(struct mt_buf *b, struct mt_event *e) {
    mt_buf_addf(b, "event %" PRId64 " %s %s %s %s %" PRId64 " %d raw %zu late %d %s\n", e->n, e->topic,
                e->key, or_null(e->payload), or_null(e->source), e->at, e->readers, e->raw_len, (int)e->late,
                e->late_run);
    mt_event_clear(e);
}

static inline void say_op(struct mt_buf *b, struct mt_op *op) {
    mt_buf_addf(b, "op %d result %d\n", (int)op->type, (int)op->result);
    switch (op->type) {
    case MT_OP_START:
        if (op->start.existing.id[0]) say_run(b, &op->start.existing);
        break;
    case MT_OP_CLAIM:
        for (size_t i = 0; i < op->claim.count; i++) say_run(b, &op->claim.runs[i]);
        free(op->claim.runs);
        break;
    case MT_OP_AWAIT:
        say_event(b, &op->await.event);
        break;
    case MT_OP_EVENT:
        mt_buf_addf(b, "n %" PRId64 " woken %d\n", op->event.n, op->event.woken);
        break;
    case MT_OP_DOC_PUT:
    case MT_OP_DOC_DELETE:
    case MT_OP_DOC_CHECK:
        mt_buf_addf(b, "version %" PRId64 "\n", op->doc.version);
        break;
    case MT_OP_TASK_PUT:
        mt_buf_addf(b, "n %" PRId64 "\n", op->task.n);
        break;
    case MT_OP_PURGE:
        mt_buf_addf(b, "purge %d seen %" PRId64 " count %" PRId64 " %" PRId64 " more %d\n",
                    (int)op->purge.what, op->purge.seen, op->purge.count, op->purge.count_unread,
                    op->purge.more);
        break;
    default:
        break;
    }
}

static inline void say_batch(struct mt_buf *b, struct made *m) {
    mt_buf_addf(b, "batch %s %d failed %zu %s due %" PRId64 " cancel %d\n", or_null(m->batch.run),
                m->batch.status, m->batch.failed, mt_kind_name(m->batch.error.kind), m->batch.due,
                m->batch.cancel_requested);
    for (size_t i = 0; i < m->batch.count; i++) say_op(b, &m->ops[i]);
}

static inline void say_runs(struct mt_buf *b, struct mt_store *s, const struct mt_run_filter *f) {
    struct mt_run *runs = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->list_runs(s, f, &runs, &count, &e)) fail_msg("list_runs: %s", e.message);
    for (size_t i = 0; i < count; i++) say_run(b, &runs[i]);
    free(runs);
}

static inline void say_journal(struct mt_buf *b, struct mt_store *s, const char *run, int segment) {
    struct mt_entry *entries = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->read_journal(s, run, segment, &entries, &count, &e)) fail_msg("read_journal: %s", e.message);
    for (size_t i = 0; i < count; i++) {
        struct mt_entry *x = &entries[i];
        mt_buf_addf(
            b, "entry %s %d/%d %s %s %s %d %s req %zu %s result %s %d meta %s %s %" PRId64 " %" PRId64 "\n",
            run, x->segment, x->seq, x->kind, x->name, x->digest, (int)x->outcome, or_null(x->params),
            x->request_len, x->request ? "yes" : "-", or_null(x->result), x->sealed, or_null(x->meta),
            x->site, x->at, x->done_at);
        if (x->request) mt_buf_add_json_string(b, x->request, x->request_len);
        mt_entry_clear(x);
    }
    free(entries);
}

static inline void say_events(struct mt_buf *b, struct mt_store *s, const char *topic, const char *key,
                              int64_t after, bool newest, enum mt_event_filter which, size_t limit) {
    struct mt_event *events = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->list_events(s, topic, key, after, newest, which, limit, &events, &count, &e))
        fail_msg("list_events: %s", e.message);
    for (size_t i = 0; i < count; i++) say_event(b, &events[i]);
    free(events);
}

static inline void say_documents(struct mt_buf *b, struct mt_store *s, const char *collection,
                                 const char *field, const char *value, const char *after, bool newest,
                                 size_t limit) {
    struct mt_document *docs = NULL;
    size_t count = 0;
    int64_t counter;
    struct mt_error e;
    if (s->query_documents(s, collection, field, value, after, newest, limit, &docs, &count, &counter, &e))
        fail_msg("query_documents: %s", e.message);
    mt_buf_addf(b, "counter %" PRId64 "\n", counter);
    for (size_t i = 0; i < count; i++) {
        mt_buf_addf(b, "doc %s %" PRId64 " %s\n", docs[i].id, docs[i].version, docs[i].body);
        mt_document_clear(&docs[i]);
    }
    free(docs);
}

static inline void say_deliveries(struct mt_buf *b, struct mt_store *s, const char *group, int64_t due_by,
                                  size_t limit) {
    struct mt_delivery *list = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->list_deliveries(s, group, due_by, limit, &list, &count, &e))
        fail_msg("list_deliveries: %s", e.message);
    for (size_t i = 0; i < count; i++) {
        struct mt_delivery *d = &list[i];
        mt_buf_addf(b, "delivery %s %" PRId64 " %s %s %s %s %.*s %s %s %s %d %" PRId64 " %" PRId64 " %s\n",
                    d->id, d->n, d->group, d->event, or_null(d->url), or_null(d->headers), (int)d->body_len,
                    d->body, or_null(d->schedule), or_null(d->accept), d->state, d->attempts, d->next_at,
                    d->created_at, or_null(d->log));
        mt_delivery_clear(d);
    }
    free(list);
}

static inline void say_tasks(struct mt_buf *b, struct mt_store *s, int64_t due_by, size_t limit) {
    struct mt_task *tasks = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->list_tasks(s, due_by, limit, &tasks, &count, &e)) fail_msg("list_tasks: %s", e.message);
    for (size_t i = 0; i < count; i++) {
        mt_buf_addf(b, "task %" PRId64 " %" PRId64 " %s %s\n", tasks[i].n, tasks[i].due_at, tasks[i].name,
                    tasks[i].payload);
        mt_task_clear(&tasks[i]);
    }
    free(tasks);
}

static inline void say_audit(struct mt_buf *b, struct mt_store *s) {
    struct mt_audit *rows = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->list_audit(s, NULL, 0, 0, 1000, &rows, &count, &e)) fail_msg("list_audit: %s", e.message);
    for (size_t i = 0; i < count; i++) {
        mt_buf_addf(b, "audit %" PRId64 " %" PRId64 " %" PRId64 " %s %s %s %s %s %" PRId64 "\n", rows[i].n,
                    rows[i].of, rows[i].at, rows[i].who, rows[i].via, rows[i].what,
                    rows[i].detail ? rows[i].detail : "-", rows[i].outcome ? rows[i].outcome : "-",
                    rows[i].ms);
        mt_audit_clear(&rows[i]);
    }
    free(rows);
}

static inline void say_numbers(struct mt_buf *b, struct mt_store *s) {
    int64_t counts[MT_RUN_STATE_COUNT], runs, rest;
    char *text = NULL;
    struct mt_error e;
    if (s->count_runs(s, counts, &e) || s->next_due(s, &runs, &rest, &e) || s->list_generations(s, &text, &e))
        fail_msg("%s", e.message);
    mt_buf_addf(b, "due %" PRId64 " %" PRId64 " generations %s counts", runs, rest, text);
    for (int i = 0; i < MT_RUN_STATE_COUNT; i++) mt_buf_addf(b, " %" PRId64, counts[i]);
    free(text);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        text = NULL;
        mt_buf_addf(b, " %s", s->get_meta(s, keys[i], &text, &e) ? "-" : text);
        free(text);
    }
    struct mt_kept k;
    if (s->kept(s, &k, &e)) fail_msg("%s", e.message);
    mt_buf_addf(b,
                " kept %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
                " entries %d tombstones %" PRId64 " unread %" PRId64 "\n",
                k.ended, k.segment, k.event, k.delivery, k.tombstone, k.document, k.entries, k.tombstones,
                k.unread_events);
}

static inline void say_ended(struct mt_buf *b, struct mt_store *s, const char *flow, int64_t from,
                             int64_t before, size_t limit) {
    struct mt_run *runs = NULL;
    size_t count = 0;
    int64_t n, bytes;
    struct mt_error e;
    if (s->list_ended(s, flow, from, before, limit, &runs, &count, &e) ||
        s->weigh_ended(s, flow, before, &n, &bytes, &e))
        fail_msg("list_ended: %s", e.message);
    mt_buf_addf(b, "ended %" PRId64 "\n", n);
    for (size_t i = 0; i < count; i++) say_run(b, &runs[i]);
    free(runs);
}

/* Everything there is. */
static inline void say_all(struct mt_buf *b, struct mt_store *s) {
    say_runs(b, s, &(struct mt_run_filter){.state = -1, .limit = 1000});
    for (int i = 0; i < RUNS; i++) say_journal(b, s, run_ids[i], -1);
    say_events(b, s, NULL, NULL, 0, false, MT_EVENTS_ALL, 10000);
    for (size_t i = 0; i < 2; i++) say_documents(b, s, collections[i], NULL, NULL, NULL, false, 1000);
    say_deliveries(b, s, NULL, MT_NEVER, 1000);
    say_tasks(b, s, MT_NEVER, 1000);
    say_audit(b, s);
    say_numbers(b, s);
}
