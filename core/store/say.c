/* Records and answers as text (say.h). No state. Any thread. */
#include "store/say.h"
#include <inttypes.h>
#include <stdlib.h>

static const char *or_null(const char *s) {
    return s ? s : "-";
}

void mt_say_run(struct mt_buf *b, const struct mt_run *r) {
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
}

void mt_say_entry(struct mt_buf *b, const struct mt_entry *x) {
    mt_buf_addf(b, "entry %d/%d %s %s %s %d %s req %zu %s result %s %d meta %s %s %" PRId64 " %" PRId64 "\n",
                x->segment, x->seq, x->kind, x->name, x->digest, (int)x->outcome, or_null(x->params),
                x->request_len, x->request ? "yes" : "-", or_null(x->result), x->sealed, or_null(x->meta),
                x->site, x->at, x->done_at);
    if (x->request) mt_buf_add_json_string(b, x->request, x->request_len);
}

void mt_say_event(struct mt_buf *b, const struct mt_event *e) {
    mt_buf_addf(b, "event %" PRId64 " %s %s %s %s %" PRId64 " %d raw %zu late %d %s\n", e->n, e->topic,
                e->key, or_null(e->payload), or_null(e->source), e->at, e->readers, e->raw_len, (int)e->late,
                e->late_run);
}

void mt_say_document(struct mt_buf *b, const struct mt_document *d) {
    mt_buf_addf(b, "doc %s %" PRId64 " %s\n", d->id, d->version, d->body);
}

void mt_say_delivery(struct mt_buf *b, const struct mt_delivery *d) {
    mt_buf_addf(b, "delivery %s %" PRId64 " %s %s %s %s %.*s %s %s %s %d %" PRId64 " %" PRId64 " %s\n", d->id,
                d->n, d->group, d->event, or_null(d->url), or_null(d->headers), (int)d->body_len, d->body,
                or_null(d->schedule), or_null(d->accept), d->state, d->attempts, d->next_at, d->created_at,
                or_null(d->log));
}

void mt_say_task(struct mt_buf *b, const struct mt_task *t) {
    mt_buf_addf(b, "task %" PRId64 " %" PRId64 " %s %s\n", t->n, t->due_at, t->name, t->payload);
}

void mt_say_audit(struct mt_buf *b, const struct mt_audit *a) {
    mt_buf_addf(b, "audit %" PRId64 " %" PRId64 " %" PRId64 " %s %s %s %s %s %" PRId64 "\n", a->n, a->of,
                a->at, a->who, a->via, a->what, or_null(a->detail), or_null(a->outcome), a->ms);
}

void mt_say_kept(struct mt_buf *b, const struct mt_kept *k) {
    mt_buf_addf(b,
                "kept %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64
                " entries %d tombstones %" PRId64 " unread %" PRId64 "\n",
                k->ended, k->segment, k->event, k->delivery, k->tombstone, k->document, k->entries,
                k->tombstones, k->unread_events);
}

static void say_op(struct mt_buf *b, const struct mt_op *op) {
    mt_buf_addf(b, "op %d result %d\n", (int)op->type, (int)op->result);
    switch (op->type) {
    case MT_OP_START:
        if (op->start.existing.id[0]) mt_say_run(b, &op->start.existing);
        break;
    case MT_OP_CLAIM:
        for (size_t i = 0; i < op->claim.count; i++) mt_say_run(b, &op->claim.runs[i]);
        break;
    case MT_OP_AWAIT:
        mt_say_event(b, &op->await.event);
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

void mt_say_batch(struct mt_buf *b, const struct mt_batch *batch) {
    mt_buf_addf(b, "batch %s %d failed %zu %s due %" PRId64 " cancel %d\n", or_null(batch->run),
                batch->status, batch->failed, mt_kind_name(batch->error.kind), batch->due,
                batch->cancel_requested);
    for (size_t i = 0; i < batch->count; i++) say_op(b, &batch->ops[i]);
}

void mt_batch_clear(struct mt_batch *batch) {
    for (size_t i = 0; i < batch->count; i++) {
        struct mt_op *op = &batch->ops[i];
        if (op->type == MT_OP_START) mt_run_clear(&op->start.existing);
        if (op->type == MT_OP_AWAIT) mt_event_clear(&op->await.event);
        if (op->type != MT_OP_CLAIM) continue;
        for (size_t k = 0; k < op->claim.count; k++) mt_run_clear(&op->claim.runs[k]);
        free(op->claim.runs);
        op->claim.runs = NULL;
        op->claim.count = 0;
    }
}
