/* A person's console: a handler's execution whose effects are committed one by one, after he has been asked
 * for what changes something; operations that are no reads are runs of their own, which the program starts.
 * Invariant: what was refused has written nothing. The execution's thread. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

void mt_handler_operator(struct mt_exec *x, const struct mt_operator *o) {
    x->operator= o;
}

bool mt_exec_operated(const struct mt_exec *x) {
    return x->operator!= NULL;
}

bool operator_allows(struct mt_exec *x, const char *what, const char *name, const char *json,
                     struct mt_answer *a) {
    struct mt_error e;
    if (!x->operator) return true;
    if (x->operator->allow(x->operator->ctx, what, name, json, &e) == 0) {
        mt_copy(x->changing, sizeof x->changing, what);
        return true;
    }
    exec_give_error(x, &e, a);
    return false;
}

void operator_call(struct mt_exec *x, const struct mt_operation_asked *asked, struct mt_answer *a) {
    struct mt_buf answer;
    struct mt_error e;
    mt_buf_init(&answer, 4 * MT_VALUE_MAX);
    int rc = x->operator->operate(x->operator->ctx, asked, &answer, &e);
    if (rc >= 0)
        exec_give_json(x, answer.data, answer.len, a);
    else
        exec_give_error(x, &e, a);
    if (rc == 1) a->step = MT_STEP_RAISE;
    if (answer.len) mt_wipe(answer.data, answer.len);
    mt_buf_clear(&answer);
}

void mt_handler_settle(struct mt_exec *x, struct mt_answer *a) {
    struct mt_error e;
    int rc = 0;
    if (!x->operator) return;
    if (x->changing[0]) {
        bool gone = a->step != MT_STEP_ANSWER; /* it was refused after it had been allowed */
        if (!gone) rc = mt_handler_commit(x, &e);
        if (rc > 0)
            mt_fail(&e, MT_CONFLICT, "somebody else has changed this at the same time; nothing was written");
        if (rc > 0) e.outcome = MT_REJECTED;
        if (gone) mt_fail(&e, MT_INVALID_REQUEST, "refused");
        x->operator->done(x->operator->ctx, x->changing, rc == 0 && !gone ? a->json : NULL, &e);
    }
    x->changing[0] = '\0';
    handler_forget(x);
    x->now = exec_wall(x);
    if (rc != 0) exec_give_error(x, &e, a);
}

/* ---- what a run's effect has answered ---- */

static int answer_of(struct mt_engine *g, const char *run_id, const struct mt_entry *entry,
                     struct mt_buf *out, struct mt_error *e) {
    if (entry->outcome == MT_OUTCOME_NONE)
        return mt_fail(e, MT_NOT_FOUND, "effect %d of %s has no answer yet", entry->seq, run_id);
    struct mt_answer a = {.step = MT_STEP_LEAVE};
    struct mt_exec *x = exec_new(g);
    mt_copy(x->run.id, sizeof x->run.id, run_id);
    x->run.segment = entry->segment;
    exec_give(x, entry, &a);
    int rc = a.step == MT_STEP_ANSWER ? 0 : a.step == MT_STEP_RAISE ? 1 : -1;
    if (rc >= 0) mt_buf_add(out, a.json, a.len);
    if (rc < 0) *e = x->error;
    exec_free(x);
    return rc;
}

int mt_engine_effect_answer(struct mt_engine *g, const char *run_id, int segment, int seq, struct mt_buf *out,
                            struct mt_error *e) {
    struct mt_entry *entries;
    size_t count;
    if (g->o.store->read_journal(g->o.store, run_id, segment, &entries, &count, e) != 0) return -1;
    int rc = 2;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].seq == seq && rc == 2) rc = answer_of(g, run_id, &entries[i], out, e);
        mt_entry_clear(&entries[i]);
    }
    free(entries);
    return rc < 2 ? rc : mt_fail(e, MT_NOT_FOUND, "%s has no effect %d", run_id, seq);
}
