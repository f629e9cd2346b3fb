/* settled: waits for an object at rest. Events are hints; reading decides, and only the answer is journaled.
 * One thread an execution. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define WITHIN_MS 3600000 /* when the script does not say */

static const int64_t settled_reads_ms[] = {5000, 60000, 300000, 3600000};

const struct mt_operation *settle_read_of(struct mt_exec *x, const struct mt_operation *op,
                                          const struct mt_account *account, struct mt_error *e) {
    char full[96];
    const struct mt_account *same;
    mt_format(full, sizeof full, "%s.%s", account->provider->name, op->read_operation);
    return exec_operation(x, full, &same, e);
}

/* The read's own name for the object's id. */
json_t *settle_read_params(const struct mt_operation *op, const struct mt_operation *read_op,
                           const json_t *params) {
    const char *id = mt_operation_object_id(op, params);
    const char *name = read_op->params && read_op->params[0].name ? read_op->params[0].name : "id";
    return json_pack("{s:s}", name, id ? id : "");
}

void settle_write_entry(struct mt_exec *x, struct mt_entry *entry, const json_t *meta, bool written) {
    entry_set_meta(entry, meta);
    if (written)
        exec_op_answer(x, entry);
    else
        exec_op_entry(x, entry);
}

/* ---- settled ---- */

struct settling {
    const struct mt_operation *op, *read_op;
    const struct mt_account *account;
    json_t *params, *read_params, *meta;
    const char *key;
    bool read; /* the last read has answered */
};

/* True: *object is at rest, or *refused and *e is a definite no. Events up to the cursor are older than the
 * read. */
static bool look(struct mt_exec *x, struct settling *s, json_t **object, struct mt_error *e, bool *refused) {
    int64_t cursor = 0;
    struct mt_error ignored;
    *refused = false;
    if (x->g->o.store->last_event(x->g->o.store, s->op->topic, s->key, &cursor, &ignored) == 0)
        json_object_set_new(s->meta, "cursor", json_integer(cursor));
    s->read = call_read(x, s->read_op, s->account, s->read_params, object, e) == 0;
    if (!s->read) {
        *object = NULL;
        *refused = e->outcome == MT_REJECTED && !e->retryable;
        return *refused;
    }
    if (s->op->at_rest(s->op, *object)) return true;
    json_decref(*object);
    *object = NULL;
    return false;
}

static void wait_for_rest(struct mt_exec *x, struct settling *s, struct mt_entry *entry, int64_t now,
                          int64_t deadline, bool written, struct mt_answer *a) {
    char until[25];
    int64_t reads = mt_json_int(s->meta, "reads", 0);
    size_t last = sizeof settled_reads_ms / sizeof *settled_reads_ms - 1;
    int64_t next = now + settled_reads_ms[(size_t)reads < last ? (size_t)reads : last];
    if (next > deadline) next = deadline;
    json_object_set_new(s->meta, "reads", json_integer(reads + 1));
    settle_write_entry(x, entry, s->meta, written);
    mt_time_format(deadline, until);
    exec_suspend(x, MT_RUN_WAITING, next, s->op->topic, s->key, mt_json_int(s->meta, "cursor", 0),
                 json_pack("{s:s, s:s, s:s, s:s, s:i}", "what", entry->name, "topic", s->op->topic, "key",
                           s->key, "until", until, "seq", entry->seq),
                 a);
}

/* Whatever hints there were up to the last read, what they hint at has been read; later ones are this run's.
 */
static void take_notice(struct mt_exec *x, const struct settling *s) {
    struct mt_op *op = exec_op(x, MT_OP_SEEN);
    op->seen.topic = s->op->topic;
    op->seen.key = exec_keep(x, mt_strdup(s->key));
    op->seen.upto = s->read ? mt_json_int(s->meta, "cursor", 0) : 0;
}

static void settle(struct mt_exec *x, struct settling *s, struct mt_entry *entry, bool written,
                   struct mt_answer *a) {
    json_t *object = NULL;
    struct mt_error e;
    bool refused;
    int64_t now = exec_wall(x), within = mt_json_int(s->params, "within", WITHIN_MS), deadline;
    if (within < 0) within = 0;
    if (!json_object_get(s->meta, "deadline"))
        json_object_set_new(s->meta, "deadline",
                            json_integer(within < MT_NEVER - entry->at ? entry->at + within : MT_NEVER));
    deadline = mt_json_int(s->meta, "deadline", 0);
    if (!look(x, s, &object, &e, &refused) && now < deadline) {
        wait_for_rest(x, s, entry, now, deadline, written, a);
        return;
    }
    take_notice(x, s);
    if (refused) {
        exec_answer_error(x, entry, &e, written, a);
    } else {
        exec_answer(x, entry, MT_DONE, object ? mt_json_dump(object, NULL) : mt_strdup("null"), written, a);
    }
    json_decref(object);
}

void settled_settle(struct mt_exec *x, struct mt_entry *entry, const struct mt_operation *op,
                    const struct mt_account *account, json_t *params, bool written, struct mt_answer *a) {
    struct settling s = {.op = op, .account = account, .params = params, .meta = entry_meta(entry)};
    struct mt_error e;
    s.read_op = settle_read_of(x, op, account, &e);
    if (!s.read_op) {
        exec_park(x, a, &e, entry->site, NULL);
    } else {
        s.read_params = settle_read_params(op, s.read_op, params);
        s.key = json_string_value(json_object_iter_value(json_object_iter(s.read_params)));
        settle(x, &s, entry, written, a);
    }
    json_decref(s.read_params);
    json_decref(s.meta);
}
