/* release: gives back what was taken. It reads, decides, and makes the call that it has chosen; it decides
 * anew when that call was refused (the state has moved since the read), or was only a part of what is to be
 * given back. Invariant: its calls are one after the other in one entry, each with an intent and a key of its
 * own, and a new one begins only when the last one is known to be done or refused. One thread an execution.
 */
#include "engine/call.h"
#include <stdlib.h>
#include <string.h>

#define CALLS_MAX 4 /* of one release */

static const int64_t reads_ms[] = {5000, 60000, 300000, 3600000, 86400000}; /* then a person */
#define READS ((int64_t)(sizeof reads_ms / sizeof *reads_ms))

struct releasing {
    const struct mt_operation *op;
    const struct mt_account *account;
    json_t *params, *meta, *chosen_params;
    char chosen[96]; /* the full name of the call to make */
};

enum release_step { RELEASE_CALL, RELEASE_NOTHING, RELEASE_REFUSED, RELEASE_LATER, RELEASE_BROKEN };

/* Reads the object and decides. NOTHING: *object is the answer. REFUSED, LATER, BROKEN: *e says why. */
static enum release_step choose(struct mt_exec *x, struct releasing *r, json_t *meta, json_t **object,
                                struct mt_error *e) {
    const char *name = NULL;
    json_t *params = NULL;
    if (r->op->read_operation) { /* else there is nothing to read, and it decides by its parameters */
        const struct mt_operation *read_op = settle_read_of(x, r->op, r->account, e);
        if (!read_op) return RELEASE_BROKEN;
        json_t *of = settle_read_params(r->op, read_op, r->params);
        int rc = call_read(x, read_op, r->account, of, object, e);
        json_decref(of);
        if (rc != 0) return e->outcome == MT_REJECTED && !e->retryable ? RELEASE_REFUSED : RELEASE_LATER;
    }
    memset(e, 0, sizeof *e);
    if (r->op->decide(r->op, r->params, *object, &name, &params, e) != 0) {
        e->outcome = MT_REJECTED;
        return e->retryable ? RELEASE_LATER : RELEASE_REFUSED; /* it may be settled by then */
    }
    if (!name) return RELEASE_NOTHING;
    mt_format(r->chosen, sizeof r->chosen, "%s.%s", r->account->provider->name, name);
    json_decref(r->chosen_params);
    r->chosen_params = params;
    json_object_set_new(meta, "chosen", json_string(r->chosen));
    json_object_set(meta, "chosen_params", params);
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
    settle_write_entry(x, entry, r->meta, written);
    return true;
}

/* When to read again: ms from now, or -1: it has been tried enough. */
static int64_t next_read(json_t *meta) {
    int64_t reads = mt_json_int(meta, "reads", 0);
    json_object_set_new(meta, "reads", json_integer(reads < READS ? reads + 1 : 0));
    return reads < READS ? reads_ms[reads] : -1;
}

static void park_unread(struct mt_exec *x, const struct mt_entry *entry, struct mt_error *e,
                        struct mt_answer *a) {
    mt_error_wrap(e, "effect %d, %s, has to read before it can give back, and cannot", entry->seq,
                  entry->name);
    exec_park(x, a, e, entry->site, json_pack("{s:i}", "seq", entry->seq));
}

static void read_later(struct mt_exec *x, struct releasing *r, struct mt_entry *entry, struct mt_error *e,
                       bool written, struct mt_answer *a) {
    int64_t ms = next_read(r->meta);
    settle_write_entry(x, entry, r->meta, written);
    if (ms < 0) {
        park_unread(x, entry, e, a);
        return;
    }
    exec_suspend(x, MT_RUN_WAITING, exec_wall(x) + ms, NULL, NULL, 0,
                 json_pack("{s:s, s:s, s:i}", "what", entry->name, "why", e->message, "seq", entry->seq), a);
}

/* ---- one call after the other ---- */

/* What the last call came to is kept for people, and counted. */
static size_t note_call(struct call *c, enum mt_outcome outcome) {
    json_t *calls = json_object_get(c->meta.rest, "calls");
    if (!calls) json_object_set_new(c->meta.rest, "calls", calls = json_array());
    json_array_append_new(
        calls, json_pack("{s:s, s:s}", "operation", c->full_name, "outcome", mt_outcome_name(outcome)));
    if (outcome == MT_DONE) {
        c->half = true;
        json_object_set_new(c->meta.rest, "half", json_true());
    }
    return json_array_size(calls);
}

/* Whether the answer of the call itself says that nothing is left to do. */
static bool says_all(const struct call *c, const struct releasing *r) {
    const char *name = NULL;
    json_t *params = NULL;
    struct mt_error ignored = {0};
    bool all = r->op->decide(r->op, r->params, c->value, &name, &params, &ignored) == 0 && !name;
    json_decref(params);
    return all;
}

static enum going wait_to_read(struct call *c, struct mt_error *e) {
    int64_t ms = next_read(c->meta.rest);
    json_object_del(c->meta.rest, "chosen");
    json_object_del(c->meta.rest, "chosen_params");
    call_new_attempt(c);
    c->meta.sends = c->meta.refused = c->meta.asked = 0;
    if (ms >= 0) return call_suspend(c, ms, e->message);
    call_write(c);
    park_unread(c->x, c->entry, e, c->a);
    return GO_LEFT;
}

static bool is_same(const struct releasing *r, const json_t *before, const char *before_name) {
    return strcmp(before_name, r->chosen) == 0 && json_equal(before, r->chosen_params);
}

static void not_shown_yet(const struct releasing *r, struct mt_error *e) {
    mt_fail(e, MT_CONFLICT, "%s was carried out, and what is read does not show it yet", r->chosen);
    e->retryable = true;
}

/* Whether what was read is still from before the last call: it would be made a second time. */
static bool is_behind(struct releasing *r) {
    const json_t *behind = json_object_get(r->meta, "behind");
    bool same = behind && is_same(r, json_object_get(behind, "params"), mt_json_str(behind, "call", ""));
    if (same) {
        json_object_del(r->meta, "chosen");
        json_object_del(r->meta, "chosen_params");
    } else {
        json_object_del(r->meta, "behind");
    }
    return same;
}

/* The call that was chosen anew. One that was refused just so stays refused. */
static enum going begin_next(struct call *c, struct releasing *r, const json_t *before,
                             const char *before_name) {
    struct mt_error e;
    const struct mt_account *same;
    if (is_same(r, before, before_name)) return GO_DONE;
    const struct mt_operation *op = exec_operation(c->x, r->chosen, &same, &e);
    if (!op) {
        call_write(c);
        exec_park(c->x, c->a, &e, c->entry->site, json_pack("{s:i}", "seq", c->entry->seq));
        return GO_LEFT;
    }
    call_change(c, op, r->chosen, r->chosen_params);
    call_write(c);
    return GO_ON;
}

static enum going decide_anew(struct call *c, struct releasing *r, enum mt_outcome *outcome) {
    struct mt_error e = {0};
    json_t *object = NULL, *before = json_incref(r->chosen_params);
    char before_name[sizeof r->chosen];
    enum going going = GO_DONE;
    mt_copy(before_name, sizeof before_name, r->chosen);
    enum release_step step = choose(c->x, r, c->meta.rest, &object, &e);
    switch (step) {
    case RELEASE_CALL:
        /* What was done does not show yet: taken for the whole, the rest would never be given back. */
        if (*outcome == MT_DONE && is_same(r, before, before_name)) {
            json_object_set_new(c->meta.rest, "behind",
                                json_pack("{s:s, s:O}", "call", r->chosen, "params", r->chosen_params));
            not_shown_yet(r, &e);
            going = wait_to_read(c, &e);
        } else {
            going = begin_next(c, r, before, before_name);
        }
        break;
    case RELEASE_NOTHING:
        json_decref(c->value);
        c->value = json_incref(object);
        *outcome = MT_DONE;
        break;
    case RELEASE_LATER:
        going = wait_to_read(c, &e);
        break;
    case RELEASE_REFUSED:
    case RELEASE_BROKEN:
        c->error = e;
        c->error.outcome = *outcome = MT_REJECTED;
        call_finish_error(&c->error, c->op, c->account);
        if (c->half) mt_error_wrap(&c->error, "a part was given back (%s), but not the rest", c->full_name);
        break;
    }
    json_decref(before);
    json_decref(object);
    return going;
}

static enum going after_call(struct call *c, enum mt_outcome *outcome) {
    struct releasing *r = c->release;
    bool part = *outcome == MT_DONE && r->op->again_after && strcmp(c->op->name, r->op->again_after) == 0;
    if (!part && *outcome != MT_REJECTED) return GO_DONE;
    if (part && says_all(c, r)) return GO_DONE;
    if (!c->meta.rest) c->meta.rest = json_object();
    return note_call(c, *outcome) < CALLS_MAX ? decide_anew(c, r, outcome) : GO_DONE;
}

/* ---- the whole ---- */

static bool call_chosen(struct mt_exec *x, struct releasing *r, struct mt_entry *entry, bool written,
                        struct mt_answer *a) {
    struct mt_error e;
    struct call c;
    const struct mt_account *same;
    const struct mt_operation *op = exec_operation(x, r->chosen, &same, &e);
    if (!op) {
        if (!written) exec_op_entry(x, entry);
        exec_park(x, a, &e, entry->site, json_pack("{s:i}", "seq", entry->seq));
        return false;
    }
    call_begin(&c, x, entry, op, r->account, r->chosen, r->chosen_params, written, a);
    c.then = after_call;
    c.release = r;
    c.half = json_is_true(json_object_get(c.meta.rest, "half"));
    enum going going = call_run(&c);
    call_end(&c);
    return going == GO_DONE;
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
        next = choose(x, &r, r.meta, &object, &e);
        if (next == RELEASE_CALL && is_behind(&r)) {
            not_shown_yet(&r, &e);
            next = RELEASE_LATER;
        }
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
