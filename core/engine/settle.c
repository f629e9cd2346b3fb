/* Operations that read before they answer: settled waits for an object at rest, release gives back what was
 * taken. Events are hints; reading decides. Only the answer, and what a release has chosen to do, is
 * journaled. One thread an execution. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define WITHIN_MS 3600000 /* when the script does not say */

static const int64_t settled_reads_ms[] = {5000, 60000, 300000, 3600000};
static const int64_t release_reads_ms[] = {5000, 60000, 300000, 3600000, 86400000}; /* then a person */

static const struct mt_operation *read_of(struct mt_exec *x, const struct mt_operation *op,
                                          const struct mt_account *account, struct mt_error *e) {
    char full[96];
    const struct mt_account *same;
    mt_format(full, sizeof full, "%s.%s", account->provider->name, op->read_operation);
    return exec_operation(x, full, &same, e);
}

/* The read's own name for the object's id. */
static json_t *read_params(const struct mt_operation *op, const struct mt_operation *read_op,
                           const json_t *params) {
    const char *id = mt_operation_object_id(op, params);
    const char *name = read_op->params && read_op->params[0].name ? read_op->params[0].name : "id";
    return json_pack("{s:s}", name, id ? id : "");
}

static void write_entry(struct mt_exec *x, struct mt_entry *entry, const json_t *meta, bool written) {
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
    write_entry(x, entry, s->meta, written);
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
    s.read_op = read_of(x, op, account, &e);
    if (!s.read_op) {
        exec_park(x, a, &e, entry->site, NULL);
    } else {
        s.read_params = read_params(op, s.read_op, params);
        s.key = json_string_value(json_object_iter_value(json_object_iter(s.read_params)));
        settle(x, &s, entry, written, a);
    }
    json_decref(s.read_params);
    json_decref(s.meta);
}

/* ---- release ---- */

struct releasing {
    const struct mt_operation *op;
    const struct mt_account *account;
    json_t *params, *meta, *chosen_params;
    char chosen[96]; /* the full name of the call to make; "": nothing is left to do */
};

enum release_step { RELEASE_CALL, RELEASE_NOTHING, RELEASE_REFUSED, RELEASE_LATER, RELEASE_BROKEN };

/* Reads the object and decides. NOTHING: *object is the answer. REFUSED, LATER, BROKEN: *e says why. */
static enum release_step choose(struct mt_exec *x, struct releasing *r, json_t **object, struct mt_error *e) {
    const char *name = NULL;
    const struct mt_operation *read_op = read_of(x, r->op, r->account, e);
    if (!read_op) return RELEASE_BROKEN;
    json_t *of = read_params(r->op, read_op, r->params);
    int rc = call_read(x, read_op, r->account, of, object, e);
    json_decref(of);
    if (rc != 0) return e->outcome == MT_REJECTED && !e->retryable ? RELEASE_REFUSED : RELEASE_LATER;
    memset(e, 0, sizeof *e);
    if (r->op->decide(r->op, r->params, *object, &name, &r->chosen_params, e) != 0) {
        e->outcome = MT_REJECTED;
        return e->retryable ? RELEASE_LATER : RELEASE_REFUSED; /* it may be settled by then */
    }
    if (!name) return RELEASE_NOTHING;
    mt_format(r->chosen, sizeof r->chosen, "%s.%s", r->account->provider->name, name);
    json_object_set_new(r->meta, "chosen", json_string(r->chosen));
    json_object_set(r->meta, "chosen_params", r->chosen_params);
    return RELEASE_CALL;
}

/* A definite no. Compensating, the entry stays open for a person. */
static bool refuse(struct mt_exec *x, struct releasing *r, struct mt_entry *entry, const struct mt_error *e,
                   bool written, struct mt_answer *a) {
    if (!x->compensating) {
        exec_answer_error(x, entry, e, written, a);
        return x->leave == LEAVE_NONE;
    }
    json_object_set_new(r->meta, "failed", mt_error_json(e));
    write_entry(x, entry, r->meta, written);
    return true;
}

static void read_later(struct mt_exec *x, struct releasing *r, struct mt_entry *entry, struct mt_error *e,
                       bool written, struct mt_answer *a) {
    int64_t reads = mt_json_int(r->meta, "reads", 0);
    bool enough = reads >= (int64_t)(sizeof release_reads_ms / sizeof *release_reads_ms);
    json_object_set_new(r->meta, "reads", json_integer(enough ? 0 : reads + 1));
    write_entry(x, entry, r->meta, written);
    if (enough) {
        mt_error_wrap(e, "effect %d, %s, has to read before it can give back, and cannot", entry->seq,
                      entry->name);
        exec_park(x, a, e, entry->site, json_pack("{s:i}", "seq", entry->seq));
        return;
    }
    exec_suspend(x, MT_RUN_WAITING, exec_wall(x) + release_reads_ms[reads], NULL, NULL, 0,
                 json_pack("{s:s, s:s, s:i}", "what", entry->name, "why", e->message, "seq", entry->seq), a);
}

static bool call_chosen(struct mt_exec *x, struct releasing *r, struct mt_entry *entry, bool written,
                        struct mt_answer *a) {
    struct mt_error e;
    const struct mt_account *same;
    const struct mt_operation *op = exec_operation(x, r->chosen, &same, &e);
    if (op) return call_settle(x, entry, op, r->chosen, r->account, r->chosen_params, written, a);
    if (!written) exec_op_entry(x, entry);
    exec_park(x, a, &e, entry->site, json_pack("{s:i}", "seq", entry->seq));
    return false;
}

bool release_settle(struct mt_exec *x, struct mt_entry *entry, const struct mt_operation *op,
                    const struct mt_account *account, json_t *params, bool written, struct mt_answer *a) {
    struct releasing r = {.op = op, .account = account, .params = params, .meta = entry_meta(entry)};
    struct mt_error e = {0};
    json_t *object = NULL;
    enum release_step next = RELEASE_CALL;
    bool answered = false;
    mt_copy(r.chosen, sizeof r.chosen, mt_json_str(r.meta, "chosen", ""));
    if (r.chosen[0]) {
        r.chosen_params = json_incref(json_object_get(r.meta, "chosen_params"));
    } else {
        next = choose(x, &r, &object, &e);
        entry_set_meta(entry, r.meta);
    }
    switch (next) {
    case RELEASE_CALL:
        answered = call_chosen(x, &r, entry, written, a);
        break;
    case RELEASE_NOTHING:
        exec_answer(x, entry, MT_DONE, mt_json_dump(object, NULL), written, a);
        answered = x->leave == LEAVE_NONE;
        break;
    case RELEASE_REFUSED:
        answered = refuse(x, &r, entry, &e, written, a);
        break;
    case RELEASE_LATER:
        read_later(x, &r, entry, &e, written, a);
        break;
    case RELEASE_BROKEN:
        if (!written) exec_op_entry(x, entry);
        exec_park(x, a, &e, entry->site, json_pack("{s:i}", "seq", entry->seq));
        break;
    }
    json_decref(object);
    json_decref(r.chosen_params);
    json_decref(r.meta);
    return answered;
}
