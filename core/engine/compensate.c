/* Compensation is data: the undos that a run has journaled, carried out newest first, without Lua. One that
 * fails for good does not stop the rest; the run then needs attention, naming it. Each is an entry of kind
 * "compensate" in the journal, open until it is done or a person has settled it: done and rejected end it,
 * not_sent has it tried again in an entry of its own. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

bool has_undo(const struct mt_exec *x) {
    for (size_t i = 0; i < x->seq && i < x->count; i++)
        if (strcmp(x->entries[i]->kind, "undo") == 0) return true;
    return false;
}

json_t *undo_params(struct mt_exec *x, const struct mt_entry *undo, struct mt_error *e) {
    if (!undo->request)
        return mt_json_parse(undo->params ? undo->params : "{}", undo->params ? strlen(undo->params) : 2, e);
    struct mt_buf text;
    json_t *params = NULL;
    mt_buf_init(&text, 2 * MT_VALUE_MAX);
    if (exec_unseal(x, "params", undo, undo->request, undo->request_len, &text, e) == 0)
        params = mt_json_parse(text.data, text.len, e);
    mt_buf_clear(&text);
    return params;
}

/* The newest compensation of undo number `seq`, when it has begun. */
static struct mt_entry *compensation_of(struct mt_exec *x, int seq) {
    for (size_t i = x->count; i-- > 0;) {
        struct mt_entry *entry = x->entries[i];
        if (strcmp(entry->kind, "compensate") != 0) continue;
        json_t *meta = entry_meta(entry);
        bool same = mt_json_int(meta, "undo", 0) == seq;
        json_decref(meta);
        if (same) return entry;
    }
    return NULL;
}

static bool failed_for_good(const struct mt_entry *entry) {
    json_t *meta = entry_meta(entry);
    bool failed = json_object_get(meta, "failed") != NULL;
    json_decref(meta);
    return failed;
}

static struct mt_entry *begin_compensation(struct mt_exec *x, const struct mt_entry *undo) {
    struct mt_entry *entry = exec_append(x, "compensate", undo->name, undo->digest, undo->site);
    json_t *meta = json_pack("{s:i}", "undo", undo->seq);
    entry_set_meta(entry, meta);
    json_decref(meta);
    entry->params = mt_strdup(undo->params);
    return entry;
}

/* True: this undo has been dealt with (or failed for good); false: the run was let go. */
static bool carry_out(struct mt_exec *x, const struct mt_entry *undo) {
    struct mt_answer a = {0};
    struct mt_error e;
    const struct mt_account *account = NULL;
    struct mt_entry *entry = compensation_of(x, undo->seq);
    if (entry && entry->outcome == MT_NOT_SENT)
        entry = NULL; /* settled by hand: it is to be sent after all */
    if (entry && (entry->outcome != MT_OUTCOME_NONE || failed_for_good(entry))) return true;
    if (atomic_load(&x->g->stopping)) {
        exec_let_go(x, &a);
        return false;
    }
    bool written = entry != NULL, answered = false;
    if (!entry) entry = begin_compensation(x, undo);
    json_t *params = undo_params(x, undo, &e);
    const struct mt_operation *op = params ? exec_operation(x, undo->name, &account, &e) : NULL;
    if (op && account) {
        answered = op->kind == MT_OPERATION_RELEASE
                       ? release_settle(x, entry, op, account, params, written, &a)
                       : call_settle(x, entry, op, undo->name, account, params, written, &a);
    } else {
        if (op) mt_fail(&e, MT_AUTHENTICATION, "%s is not configured any more", undo->name);
        if (!written) exec_op_entry(x, entry); /* so that a person can settle it */
        exec_park(x, &a, &e, undo->site, json_pack("{s:i}", "seq", entry->seq));
    }
    json_decref(params);
    return answered;
}

/* Children are cancelled with their parent, each by itself: one that has ended already refuses. */
static void cancel_children(struct mt_exec *x, const char *reason) {
    for (size_t i = 0; i < x->count; i++) {
        struct mt_entry *entry = x->entries[i];
        if (strcmp(entry->kind, "start") != 0 || entry->outcome != MT_DONE || !entry->meta) continue;
        json_t *meta = entry_meta(entry);
        const char *child = mt_json_str(meta, "child", NULL);
        if (child && !json_is_true(json_object_get(meta, "detached"))) {
            struct mt_op op = {.type = MT_OP_CANCEL,
                               .cancel = {.run = child, .reason = reason, .at = exec_wall(x)}};
            struct mt_batch batch = {.ops = &op, .count = 1};
            mt_writer_submit(x->g->writer, &batch);
        }
        json_decref(meta);
    }
}

/* A compensation that a person has to settle. */
static const struct mt_entry *open_one(struct mt_exec *x) {
    for (size_t i = 0; i < x->count; i++)
        if (strcmp(x->entries[i]->kind, "compensate") == 0 && x->entries[i]->outcome == MT_OUTCOME_NONE)
            return x->entries[i];
    return NULL;
}

static void park_open(struct mt_exec *x, const struct mt_entry *open) {
    struct mt_error e;
    json_t *meta = entry_meta(open), *failed = json_object_get(meta, "failed");
    mt_fail(&e, MT_CONFLICT,
            "compensation %s (effect %d) was refused for good: %s; all others are done. Put it right at the "
            "provider, then: "
            "mintage runs resolve %s %d --outcome done --value null (or not_sent to have it tried again)",
            open->name, open->seq, mt_json_str(failed, "message", "without a word"), x->run.id, open->seq);
    json_decref(meta);
    exec_park(x, NULL, &e, open->site, json_pack("{s:i, s:s}", "seq", open->seq, "compensation", open->name));
}

static void end_cancelled(struct mt_exec *x) {
    struct mt_error e;
    const char *reason =
        x->run.cancel_reason && x->run.cancel_reason[0] ? x->run.cancel_reason : "the run was cancelled";
    mt_fail(&e, MT_CANCELLED, "%s", reason);
    char *text = error_text(&e);
    exec_finish(x, MT_RUN_CANCELLED, NULL, text);
    free(text);
}

/* Tells the store that the run compensates. False: lost. */
static bool begin_compensating(struct mt_exec *x, bool cancelled) {
    x->leave = LEAVE_NONE;
    x->compensating = true;
    if (has_undo(x)) {
        x->run.state = MT_RUN_COMPENSATING;
        struct mt_op *op = exec_op(x, MT_OP_RUN);
        op->run.state = MT_RUN_COMPENSATING;
        op->run.at = exec_wall(x);
    }
    if (!cancelled) return true;
    if (!exec_flush(x)) return false; /* children that were just started are there to be cancelled */
    cancel_children(x, "the parent was cancelled");
    return true;
}

void compensate(struct mt_exec *x) {
    const struct mt_entry *end = NULL, *open;
    for (size_t i = 0; i < x->count && !end; i++)
        if (strcmp(x->entries[i]->kind, "fail") == 0 || strcmp(x->entries[i]->kind, "cancel") == 0)
            end = x->entries[i];
    bool cancelled = end && strcmp(end->kind, "cancel") == 0;
    if (!begin_compensating(x, cancelled)) return;
    for (size_t i = end ? (size_t)end->seq - 1 : x->count; i-- > 0;)
        if (strcmp(x->entries[i]->kind, "undo") == 0 && !carry_out(x, x->entries[i])) return;
    if ((open = open_one(x)))
        park_open(x, open);
    else if (cancelled)
        end_cancelled(x);
    else
        exec_finish(x, MT_RUN_FAILED, NULL, end && end->result ? end->result : "{\"kind\":\"internal\"}");
}
