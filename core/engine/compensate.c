/* Compensation is data: the undos that a run has journaled, carried out newest first, without Lua. One that fails for good does
 * not stop the rest; the run then needs attention, naming it. Each is an entry of kind "compensate" in the journal. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

bool has_undo(const struct mt_exec *x)
{
    for (size_t i = 0; i < x->count; i++)
        if (strcmp(x->entries[i]->kind, "undo") == 0) return true;
    return false;
}

/* The compensation of undo number `seq`, when it has begun. */
static struct mt_entry *compensation_of(struct mt_exec *x, int seq)
{
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

static bool failed_for_good(const struct mt_entry *entry)
{
    json_t *meta = entry_meta(entry);
    bool failed = json_object_get(meta, "failed") != NULL;
    json_decref(meta);
    return failed;
}

/* A definite no leaves the entry open for a person, with the reason in its meta. */
static void leave_open(struct mt_exec *x, struct mt_entry *entry)
{
    json_t *meta = entry_meta(entry);
    struct mt_error e;
    json_t *why = entry->result ? mt_json_parse(entry->result, strlen(entry->result), &e) : NULL;
    json_object_set_new(meta, "failed", why ? why : json_string("unknown"));
    entry_set_meta(entry, meta);
    json_decref(meta);
    free(entry->result);
    entry->result = NULL;
    entry->outcome = MT_OUTCOME_NONE;
    entry->done_at = 0;
    exec_op_answer(x, entry);
}

/* True: this undo has been dealt with (or failed for good); false: the run was let go. */
static bool carry_out(struct mt_exec *x, const struct mt_entry *undo)
{
    struct mt_answer a = {0};
    struct mt_error e;
    const struct mt_account *account = NULL;
    struct mt_entry *entry = compensation_of(x, undo->seq);
    bool written = entry != NULL, answered;
    if (entry && (entry->outcome != MT_OUTCOME_NONE || failed_for_good(entry))) return true;
    json_t *params = mt_json_parse(undo->params ? undo->params : "{}", strlen(undo->params ? undo->params : "{}"), &e);
    const struct mt_operation *op = params ? mt_operation_find(x->g->o.providers, undo->name, &account, &e) : NULL;
    if (!entry) {
        entry = exec_append(x, "compensate", undo->name, undo->digest, undo->site);
        json_t *meta = json_pack("{s:i}", "undo", undo->seq);
        entry_set_meta(entry, meta);
        json_decref(meta);
        entry->params = mt_strdup(undo->params);
    }
    if (!op || !account) {
        if (op) mt_fail(&e, MT_AUTHENTICATION, "%s is not configured any more", undo->name);
        exec_park(x, &a, &e, undo->site, json_pack("{s:i}", "seq", entry->seq));
        json_decref(params);
        return false;
    }
    answered = op->kind == MT_OPERATION_RELEASE ? release_settle(x, entry, op, account, params, written, &a)
                                                : call_settle(x, entry, op, undo->name, account, params, written, &a);
    json_decref(params);
    if (answered && entry->outcome != MT_DONE) leave_open(x, entry);
    return answered;
}

static void cancel_children(struct mt_exec *x, const char *reason)
{
    for (size_t i = 0; i < x->count; i++) {
        struct mt_entry *entry = x->entries[i];
        if (strcmp(entry->kind, "start") != 0 || entry->outcome != MT_DONE) continue;
        json_t *meta = entry_meta(entry);
        const char *child = mt_json_str(meta, "child", NULL);
        if (child && !json_is_true(json_object_get(meta, "detached"))) {
            struct mt_op op = {.type = MT_OP_CANCEL, .cancel = {.run = child, .reason = reason, .at = exec_wall(x)}};
            struct mt_batch batch = {.ops = &op, .count = 1};
            mt_writer_submit(x->g->writer, &batch); /* one that has ended already is not cancelled */
        }
        json_decref(meta);
    }
}

/* The first compensation that a person has to settle. */
static const struct mt_entry *open_one(struct mt_exec *x)
{
    for (size_t i = 0; i < x->count; i++)
        if (strcmp(x->entries[i]->kind, "compensate") == 0 && x->entries[i]->outcome == MT_OUTCOME_NONE)
            return x->entries[i];
    return NULL;
}

void compensate(struct mt_exec *x)
{
    const struct mt_entry *end = NULL;
    for (size_t i = 0; i < x->count && !end; i++)
        if (strcmp(x->entries[i]->kind, "fail") == 0 || strcmp(x->entries[i]->kind, "cancel") == 0) end = x->entries[i];
    bool cancelled = end && strcmp(end->kind, "cancel") == 0;
    size_t last = end ? (size_t)end->seq - 1 : x->count;
    x->leave = LEAVE_NONE;
    x->run.state = MT_RUN_COMPENSATING;
    if (cancelled) cancel_children(x, "the parent was cancelled");
    if (has_undo(x)) {
        struct mt_op *op = exec_op(x, MT_OP_RUN);
        op->run.state = MT_RUN_COMPENSATING;
        op->run.at = exec_wall(x);
    }
    for (size_t i = last; i-- > 0;) {
        if (strcmp(x->entries[i]->kind, "undo") != 0) continue;
        if (carry_out(x, x->entries[i])) continue;
        if (x->leave == LEAVE_PARK) exec_park_now(x);
        return;
    }
    const struct mt_entry *open = open_one(x);
    if (open) {
        struct mt_error e;
        mt_fail(&e, MT_CONFLICT,
                "compensation %s (effect %d) was refused for good; all others are done. Put it right at the provider, then: "
                "mintage runs resolve %s %d --outcome done",
                open->name, open->seq, x->run.id, open->seq);
        exec_park(x, NULL, &e, open->site, json_pack("{s:i}", "seq", open->seq));
        exec_park_now(x);
        return;
    }
    if (cancelled)
        exec_finish(x, MT_RUN_CANCELLED, NULL,
                    x->run.cancel_reason && x->run.cancel_reason[0] ? NULL : "{\"kind\":\"cancelled\"}");
    else
        exec_finish(x, MT_RUN_FAILED, NULL, end && end->result ? end->result : "{\"kind\":\"internal\"}");
}
