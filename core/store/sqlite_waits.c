/* Waiting and waking: how a run is let go of until something happens, how events, timeouts and people wake
 * it. A wait is answered here, by the one writer, and only once. The writer's thread, inside its transaction.
 */
#include "base/text.h"
#include "store/sqlite_private.h"
#include <stdlib.h>
#include <string.h>

int mt_sqlite_wake(struct mt_sqlite *s, const struct mt_head *h, enum mt_run_state state, int64_t due_at,
                   int cls, bool clear_error, int64_t at, struct mt_error *e) {
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_RUN_WAKE, e);
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, h->n);
    sqlite3_bind_int(st, 2, (int)state);
    sqlite3_bind_int64(st, 3, due_at);
    sqlite3_bind_int(st, 4, cls);
    sqlite3_bind_int(st, 5, clear_error);
    sqlite3_bind_int64(st, 6, at);
    if (mt_sqlite_run(&s->writer, st, NULL, e)) return -1;
    if ((int)state != h->state) {
        mt_owned_count(s, h->generation, h->state, -1);
        mt_owned_count(s, h->generation, (int)state, 1);
    }
    return 0;
}

/* A run that compensates goes on compensating, whatever wakes it. */
static enum mt_run_state woken_state(int state) {
    return state == MT_RUN_COMPENSATING ? MT_RUN_COMPENSATING : MT_RUN_QUEUED;
}

static int64_t sooner(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* ---- letting go ---- */

struct wait {
    enum mt_run_state state;
    enum mt_run_class cls;
    int64_t due_at, at;
    const char *topic, *key, *waiting_for, *error;
};

static enum mt_applied let_go(struct mt_apply *a, struct wait w, bool now) {
    struct mt_owned *o = a->own;
    if (now) {
        w.state = woken_state((int)w.state);
        w.due_at = sooner(w.due_at, w.at);
        w.topic = w.key = w.waiting_for = NULL;
    }
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_RUN_SUSPEND, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, o->n);
    sqlite3_bind_int(st, 2, (int)w.state);
    sqlite3_bind_int(st, 3, (int)w.cls);
    sqlite3_bind_int64(st, 4, w.due_at);
    mt_sqlite_text(st, 5, w.topic);
    mt_sqlite_text(st, 6, w.key);
    mt_sqlite_text(st, 7, w.waiting_for);
    mt_sqlite_text(st, 8, w.error);
    sqlite3_bind_int(st, 9, o->entries);
    sqlite3_bind_int64(st, 10, w.at);
    if (mt_sqlite_run(&a->s->writer, st, NULL, a->e)) return MT_BROKEN;
    mt_sqlite_let_go(a, w.state);
    mt_rules_due(a->b, w.due_at);
    return MT_APPLIED;
}

/* A cancellation that came while the owner was preparing to wait, and that no answer has told it of yet, must
 * not be slept through. One that it knew of is its own business: it may be waiting for a call in flight to
 * settle. */
static bool cancelled_meanwhile(const struct mt_owned *o, enum mt_run_state state) {
    return o->cancel_requested && !o->cancel_seen && state != MT_RUN_COMPENSATING &&
           state != MT_RUN_NEEDS_ATTENTION;
}

/* The first event of (topic, key) after the cursor: 1, 0 or -1. */
static int next_event(struct mt_apply *a, const char *topic, const char *key, int64_t cursor,
                      struct mt_event *out) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_EVENT_NEXT, a->e);
    if (!st) return -1;
    mt_sqlite_text(st, 1, topic);
    mt_sqlite_text(st, 2, key);
    sqlite3_bind_int64(st, 3, cursor);
    int rc = mt_sqlite_step(&a->s->writer, st, a->e);
    if (rc <= 0) return rc;
    if (out) {
        out->n = sqlite3_column_int64(st, 0);
        mt_sqlite_copy(st, 1, out->topic, sizeof out->topic);
        mt_sqlite_copy(st, 2, out->key, sizeof out->key);
        out->payload = mt_sqlite_take(st, 3);
        out->source = mt_sqlite_take(st, 4);
        out->at = sqlite3_column_int64(st, 5);
        out->readers = sqlite3_column_int(st, 6);
    }
    sqlite3_reset(st);
    return 1;
}

/* Takes down that the run waits for (topic, key). 1: such an event is there already. */
static int begin_wait(struct mt_apply *a, const char *topic, const char *key, int64_t cursor) {
    if (!topic) return 0;
    int there = next_event(a, topic, key, cursor, NULL);
    return there < 0 || mt_sqlite_ask(a, topic, key) ? -1 : there;
}

enum mt_applied mt_sqlite_suspend(struct mt_apply *a, struct mt_op *op) {
    const char *also = op->suspend.also_topic;
    int there = begin_wait(a, op->suspend.topic, op->suspend.key, op->suspend.cursor);
    int also_there = begin_wait(a, also, op->suspend.also_key, op->suspend.also_cursor);
    if (there < 0 || also_there < 0) return MT_BROKEN;
    struct wait w = {.state = op->suspend.state,
                     .cls = op->suspend.cls,
                     .due_at = op->suspend.due_at,
                     .at = op->suspend.at,
                     .topic = also ? "" : op->suspend.topic, /* whatever it has asked for wakes it */
                     .key = also                ? ""
                            : op->suspend.topic ? op->suspend.key
                                                : NULL,
                     .waiting_for = op->suspend.waiting_for,
                     .error = op->suspend.error};
    return let_go(a, w, there || also_there || cancelled_meanwhile(a->own, w.state));
}

/* ---- AWAIT ---- */

static enum mt_applied answer_wait(struct mt_apply *a, struct mt_op *op, const char *result) {
    if (op->await.inserted)
        return mt_sqlite_update_entry(a, op, op->await.entry, MT_DONE, result, op->await.at);
    return mt_sqlite_insert_entry(a, op, op->await.entry, MT_DONE, result, op->await.at);
}

static enum mt_applied answer_with_event(struct mt_apply *a, struct mt_op *op) {
    struct mt_event *event = &op->await.event;
    char *result = mt_rules_await_result(event->n, event->at, event->payload);
    enum mt_applied applied = answer_wait(a, op, result);
    free(result);
    if (applied != MT_APPLIED) return applied;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_EVENT_READ, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, event->n);
    if (mt_sqlite_run(&a->s->writer, st, NULL, a->e)) return MT_BROKEN;
    event->readers++;
    op->result = MT_RES_FOUND;
    return MT_APPLIED;
}

static enum mt_applied time_out(struct mt_apply *a, struct mt_op *op) {
    enum mt_applied applied = answer_wait(a, op, "null");
    if (applied == MT_APPLIED) op->result = MT_RES_TIMED_OUT;
    return applied;
}

enum mt_applied mt_sqlite_await(struct mt_apply *a, struct mt_op *op) {
    int found = next_event(a, op->await.topic, op->await.key, op->await.cursor, &op->await.event);
    if (found < 0) return MT_BROKEN;
    if (found || op->await.deadline <= op->await.at) {
        enum mt_applied applied = found ? answer_with_event(a, op) : time_out(a, op);
        if (applied == MT_APPLIED && mt_sqlite_ask(a, op->await.topic, op->await.key)) return MT_BROKEN;
        return applied;
    }
    if (mt_sqlite_ask(a, op->await.topic, op->await.key)) return MT_BROKEN;
    struct wait w = {.state = MT_RUN_WAITING,
                     .cls = MT_CLASS_TIMER,
                     .due_at = op->await.deadline,
                     .at = op->await.at,
                     .topic = op->await.topic,
                     .key = op->await.key,
                     .waiting_for = op->await.waiting_for};
    op->result = MT_RES_SUSPENDED;
    return let_go(a, w, cancelled_meanwhile(a->own, w.state));
}

/* ---- EVENT ---- */

static int wake_waiters(struct mt_apply *a, struct mt_op *op) {
    struct mt_sqlite *s = a->s;
    struct mt_head *heads = NULL;
    size_t count = 0;
    int rc = -1;
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_WAITERS, a->e);
    if (!st) return -1;
    mt_sqlite_text(st, 1, op->event.topic);
    mt_sqlite_text(st, 2, op->event.key);
    while ((rc = mt_sqlite_step(&s->writer, st, a->e)) ==
           1) { /* first all, then change: the index moves under us */
        heads = mt_sqlite_grow(heads, count, sizeof *heads);
        heads[count++] = (struct mt_head){.n = sqlite3_column_int64(st, 0),
                                          .due_at = sqlite3_column_int64(st, 2),
                                          .generation = sqlite3_column_int64(st, 3),
                                          .state = sqlite3_column_int(st, 5)};
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = mt_sqlite_wake(s, &heads[i], woken_state(heads[i].state), sooner(heads[i].due_at, op->event.at),
                            -1, false, op->event.at, a->e);
        op->event.woken++;
    }
    if (count) mt_rules_due(a->b, op->event.at);
    free(heads);
    return rc;
}

/* The number of the event stored from this source, which may be gone; 0 when there was none. */
static int stored_before(struct mt_apply *a, const char *source, int64_t *n) {
    static const enum mt_statement looks[] = {ST_EVENT_SOURCE, ST_SOURCE_FIND};
    *n = 0;
    for (int i = 0; source && i < 2; i++) {
        sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, looks[i], a->e);
        if (!st) return -1;
        mt_sqlite_text(st, 1, source);
        int rc = mt_sqlite_step(&a->s->writer, st, a->e);
        if (rc < 0) return -1;
        if (!rc) continue;
        *n = sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
        return 0;
    }
    return 0;
}

enum mt_applied mt_sqlite_event(struct mt_apply *a, struct mt_op *op) {
    struct mt_sqlite *s = a->s;
    int64_t before, n = s->numbers.event + 1;
    if (stored_before(a, op->event.source, &before)) return MT_BROKEN;
    if (before) {
        op->event.n = before;
        op->result = MT_RES_DUPLICATE;
        return MT_APPLIED;
    }
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_EVENT_INSERT, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, n);
    mt_sqlite_text(st, 2, op->event.topic);
    mt_sqlite_text(st, 3, op->event.key);
    mt_sqlite_text(st, 4, op->event.payload);
    mt_sqlite_text(st, 5, op->event.source);
    if (op->event.raw)
        sqlite3_bind_blob64(st, 6, op->event.raw, op->event.raw_len, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, 6);
    sqlite3_bind_int64(st, 7, op->event.at);
    if (mt_sqlite_run(&s->writer, st, NULL, a->e)) return MT_BROKEN;
    s->numbers.event = n;
    op->event.n = n;
    if (wake_waiters(a, op)) return MT_BROKEN;
    if (op->event.woken) return MT_APPLIED;
    return mt_sqlite_late_for(a, n, op->event.topic, op->event.key, op->event.at) ? MT_BROKEN : MT_APPLIED;
}

/* ---- what a person does ---- */

static enum mt_applied run_missing(struct mt_apply *a, struct mt_op *op, const char *id) {
    return mt_rules_refuse(a->b, op, MT_RES_MISSING, "there is no run %s", id);
}

static enum mt_applied forbidden(struct mt_apply *a, struct mt_op *op, const char *id, int state,
                                 const char *wanted) {
    return mt_rules_refuse(a->b, op, MT_RES_FORBIDDEN, "run %s is %s: %s", id,
                           mt_run_state_name((enum mt_run_state)state), wanted);
}

enum mt_applied mt_sqlite_cancel(struct mt_apply *a, struct mt_op *op) {
    struct mt_sqlite *s = a->s;
    struct mt_head h;
    int rc = mt_sqlite_head(s, op->cancel.run, &h, a->e);
    if (rc < 0) return MT_BROKEN;
    if (!rc) return run_missing(a, op, op->cancel.run);
    if (h.state == MT_RUN_COMPENSATING || mt_run_ended((enum mt_run_state)h.state))
        return forbidden(a, op, op->cancel.run, h.state, "it cannot be cancelled any more");
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_RUN_CANCEL_FLAG, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, h.n);
    mt_sqlite_text(st, 2, op->cancel.reason);
    sqlite3_bind_int64(st, 3, op->cancel.at);
    if (mt_sqlite_run(&s->writer, st, NULL, a->e)) return MT_BROKEN;
    if (a->b->run && strcmp(a->b->run, op->cancel.run) == 0) a->b->cancel_requested = true;
    struct mt_owned *o = mt_owned_find(s, op->cancel.run);
    if (o) {
        mt_owned_touch(s, o);
        o->cancel_requested = true;
        return MT_APPLIED;
    }
    mt_rules_due(a->b, op->cancel.at);
    rc = mt_sqlite_wake(s, &h, MT_RUN_QUEUED, sooner(h.due_at, op->cancel.at), MT_CLASS_WAITED, false,
                        op->cancel.at, a->e);
    return rc ? MT_BROKEN : MT_APPLIED;
}

static enum mt_applied take_up_again(struct mt_apply *a, const struct mt_head *h, int64_t at) {
    mt_rules_due(a->b, at);
    return mt_sqlite_wake(a->s, h, MT_RUN_QUEUED, at, MT_CLASS_WAITED, true, at, a->e) ? MT_BROKEN
                                                                                       : MT_APPLIED;
}

enum mt_applied mt_sqlite_retry(struct mt_apply *a, struct mt_op *op) {
    struct mt_head h;
    int rc = mt_sqlite_head(a->s, op->retry.run, &h, a->e);
    if (rc < 0) return MT_BROKEN;
    if (!rc) return run_missing(a, op, op->retry.run);
    if (h.state != MT_RUN_NEEDS_ATTENTION || h.owner)
        return forbidden(a, op, op->retry.run, h.state, "only one that needs attention can be retried");
    return take_up_again(a, &h, op->retry.at);
}

enum mt_applied mt_sqlite_resolve(struct mt_apply *a, struct mt_op *op) {
    struct mt_sqlite *s = a->s;
    struct mt_head h;
    int64_t strand;
    int rc = mt_sqlite_head(s, op->resolve.run, &h, a->e);
    if (rc < 0) return MT_BROKEN;
    if (!rc) return run_missing(a, op, op->resolve.run);
    if (h.state != MT_RUN_NEEDS_ATTENTION || h.owner)
        return forbidden(a, op, op->resolve.run, h.state, "only one that needs attention can be resolved");
    if (mt_sqlite_strand(s, h.n, op->resolve.segment, &strand, a->e)) return MT_BROKEN;
    int64_t k = strand << MT_SEQ_BITS | op->resolve.seq;
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_ENTRY_OUTCOME, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, k);
    rc = mt_sqlite_step(&s->writer, st, a->e);
    if (rc < 0) return MT_BROKEN;
    if (!rc)
        return mt_rules_refuse(a->b, op, MT_RES_MISSING, "run %s has no entry %d/%d", op->resolve.run,
                               op->resolve.segment, op->resolve.seq);
    int outcome = sqlite3_column_int(st, 0);
    sqlite3_reset(st);
    if (outcome != MT_OUTCOME_NONE && outcome != MT_UNKNOWN)
        return mt_rules_refuse(a->b, op, MT_RES_FORBIDDEN, "entry %d/%d of run %s is answered already: %s",
                               op->resolve.segment, op->resolve.seq, op->resolve.run,
                               mt_outcome_name((enum mt_outcome)outcome));
    if (!(st = mt_sqlite_statement(&s->writer, ST_ENTRY_ANSWER, a->e))) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, k);
    sqlite3_bind_int(st, 2, (int)op->resolve.outcome);
    mt_sqlite_text(st, 3, op->resolve.result);
    sqlite3_bind_int(st, 4, op->resolve.sealed);
    sqlite3_bind_null(st, 5);
    sqlite3_bind_int64(st, 6, op->resolve.at);
    if (mt_sqlite_run(&s->writer, st, NULL, a->e)) return MT_BROKEN;
    return take_up_again(a, &h, op->resolve.at);
}
