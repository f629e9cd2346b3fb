/* What every store has in common with its callers: the names of run states, and freeing what records own.
 * No state. Any thread. */
#include "store/store.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {
    [MT_RUN_QUEUED] = "queued",
    [MT_RUN_RUNNING] = "running",
    [MT_RUN_SLEEPING] = "sleeping",
    [MT_RUN_WAITING] = "waiting",
    [MT_RUN_COMPENSATING] = "compensating",
    [MT_RUN_COMPLETED] = "completed",
    [MT_RUN_FAILED] = "failed",
    [MT_RUN_CANCELLED] = "cancelled",
    [MT_RUN_NEEDS_ATTENTION] = "needs_attention",
};
static_assert(sizeof state_names / sizeof *state_names == MT_RUN_STATE_COUNT, "every state has a name");

const char *mt_run_state_name(enum mt_run_state s) {
    return (unsigned)s < MT_RUN_STATE_COUNT ? state_names[s] : "";
}

bool mt_run_state_from_name(const char *name, enum mt_run_state *out) {
    for (int i = 0; i < MT_RUN_STATE_COUNT; i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *out = (enum mt_run_state)i;
            return true;
        }
    }
    return false;
}

bool mt_run_ended(enum mt_run_state s) {
    return s == MT_RUN_COMPLETED || s == MT_RUN_FAILED || s == MT_RUN_CANCELLED;
}

void mt_run_clear(struct mt_run *r) {
    free(r->key);
    free(r->input);
    free(r->progress);
    free(r->output);
    free(r->error);
    free(r->waiting_for);
    free(r->cursors);
    free(r->cancel_reason);
    free(r->moves);
    memset(r, 0, sizeof *r);
}

void mt_entry_clear(struct mt_entry *e) {
    free(e->params);
    free(e->request);
    free(e->result);
    free(e->meta);
    memset(e, 0, sizeof *e);
}

void mt_event_clear(struct mt_event *e) {
    free(e->payload);
    free(e->source);
    memset(e, 0, sizeof *e);
}

void mt_document_clear(struct mt_document *d) {
    free(d->body);
    memset(d, 0, sizeof *d);
}

void mt_delivery_clear(struct mt_delivery *d) {
    free(d->url);
    free(d->headers);
    free(d->body);
    free(d->schedule);
    free(d->accept);
    free(d->log);
    memset(d, 0, sizeof *d);
}

void mt_audit_clear(struct mt_audit *a) {
    free(a->who);
    free(a->via);
    free(a->session);
    free(a->what);
    free(a->object);
    free(a->detail);
    free(a->outcome);
    free(a->result);
    memset(a, 0, sizeof *a);
}

void mt_task_clear(struct mt_task *t) {
    free(t->payload);
    memset(t, 0, sizeof *t);
}
