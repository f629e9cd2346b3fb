/* The course of one call: intent, send, outcome, and what may be done when the outcome is not known.
 * Invariant: bytes that may move money leave only when their intent is durable, and leave again only where
 * the operation's row allows it; an unknown outcome never reaches a script, except of a read. One thread a
 * call. */
#include "engine/call.h"
#include <stdlib.h>
#include <string.h>

#define REFUSED_TRIES 8   /* sends that never left, or came back "later": then the script hears of it */
#define READ_TRIES 8      /* of a read without a clear answer: some four minutes, a provider's bad moment */
#define UNKNOWN_SENDS 40  /* sends of one request without a clear answer: then a person */
#define DOUBT_MS 60000    /* "it did not happen" of an unsafe call is not believed sooner after its send */
#define BUSY_WAIT_MS 1000 /* a run lets go of its worker this long when others wait for one */

static const int64_t resolver_ms[] = {5000, 60000, 300000, 3600000, 86400000}; /* then a person */
#define RESOLVER_ASKS ((int64_t)(sizeof resolver_ms / sizeof *resolver_ms))

/* ---- outcomes ---- */

/* Whether others could notice if this result were lost: then it is written before the script goes on. */
static bool write_now(const struct call *c) {
    return c->repeat == MT_REPEAT_UNSAFE || c->repeat == MT_REPEAT_NATURAL;
}

/* A compensation that was refused stays open, for a person to settle; its meta says why. */
static enum going leave_open(struct call *c) {
    if (!c->meta.rest) c->meta.rest = json_object();
    json_object_set_new(c->meta.rest, "failed", mt_error_json(&c->error));
    call_write(c);
    return GO_DONE;
}

enum going call_decide(struct call *c, enum mt_outcome outcome) {
    char *result;
    c->meta.next = NEXT_NONE;
    if (c->then) {
        enum going going = c->then(c, &outcome);
        if (going != GO_DONE) return going;
    }
    if (outcome == MT_DONE) {
        size_t len;
        result = mt_json_dump(c->value ? c->value : json_null(), &len);
        if (len > MT_VALUE_MAX) {
            free(result);
            mt_fail(&c->error, MT_LIMIT,
                    "the answer of %s has %zu bytes, more than a journal entry may have (%d)", c->full_name,
                    len, MT_VALUE_MAX);
            call_write(c);
            exec_park(c->x, c->a, &c->error, c->entry->site, json_pack("{s:i}", "seq", c->entry->seq));
            return GO_LEFT;
        }
        if (c->op->sealed_result) {
            char *sealed = seal_text(c->x->g, c->x->run.id, c->entry->segment, c->entry->seq, result, len);
            free(result);
            result = sealed;
            c->entry->sealed = true;
        }
    } else if (c->x->compensating) {
        return leave_open(c);
    } else {
        result = error_text(&c->error);
    }
    exec_set_answer(c->x, c->entry, outcome, result);
    call_write(c);
    if (write_now(c) && !exec_flush(c->x)) {
        if (c->a) c->a->step = MT_STEP_LEAVE;
        return GO_LEFT;
    }
    return GO_DONE;
}

/* Parks with the unknown outcome: the entry stays open until a person resolves it or retries. */
static enum going park_unknown(struct call *c, enum call_next next) {
    struct mt_error e;
    c->meta.next = next;
    c->meta.asked = c->meta.sends = 0; /* a retry begins anew */
    call_write(c);
    mt_fail(&e, c->error.kind ? c->error.kind : MT_TIMEOUT,
            "effect %d, %s, may or may not have happened, and nothing more can be found out by asking%s%s. "
            "Look at the "
            "provider, then settle it: mintage runs resolve %s %d --outcome done|rejected|not_sent",
            c->entry->seq, c->full_name, c->error.message[0] ? ": " : "", c->error.message, c->x->run.id,
            c->entry->seq);
    e.outcome = MT_UNKNOWN;
    call_finish_error(&e, c->op, c->account);
    exec_park(c->x, c->a, &e, c->entry->site, json_pack("{s:i}", "seq", c->entry->seq));
    return GO_LEFT;
}

/* ---- waiting ---- */

enum going call_suspend(struct call *c, int64_t ms, const char *why) {
    char until[25];
    int64_t due = exec_wall(c->x) + ms;
    mt_time_format(due, until);
    call_write(c);
    exec_suspend(c->x, MT_RUN_WAITING, due, NULL, NULL, 0,
                 json_pack("{s:s, s:s, s:s, s:i}", "what", c->full_name, "why", why, "until", until, "seq",
                           c->entry->seq),
                 c->a);
    return GO_LEFT;
}

/* Waits before what meta.next says: in the worker when short, else as a timer row. */
static enum going wait_ms(struct call *c, int64_t ms, const char *why) {
    struct mt_engine *g = c->x->g;
    if (ms > g->o.nap_max_ms) return call_suspend(c, ms, why);
    engine_nap(g, ms);
    return atomic_load(&g->stopping) ? call_suspend(c, ms, why) : GO_ON;
}

/* Waits for a place at the provider; a worker that others could use is not held for it. */
static enum going wait_turn(struct call *c, int64_t ms) {
    c->meta.next = NEXT_SEND;
    if (!ready_idle(c->x->g) && ms < BUSY_WAIT_MS)
        return call_suspend(c, BUSY_WAIT_MS / 2 + call_backoff(c->x->g, 2, 0),
                            "waiting for its turn at the provider");
    return wait_ms(c, ms, "waiting for its turn at the provider");
}

/* ---- finding out ---- */

/* A key that the provider has forgotten protects nothing: the call counts as unsafe. */
static bool key_expired(const struct call *c) {
    return c->repeat == MT_REPEAT_KEYED && c->op->key_ttl_s && c->meta.key_at &&
           exec_wall(c->x) - c->meta.key_at > c->op->key_ttl_s * INT64_C(1000);
}

static bool counts_as_unsafe(const struct call *c) {
    return c->repeat == MT_REPEAT_UNSAFE || key_expired(c);
}

/* The read that tells what became of the call: its verdict. False: there is none. */
static bool ask(struct call *c, enum mt_outcome *verdict) {
    const char *name = NULL;
    json_t *params = NULL, *found = NULL;
    const struct mt_account *same;
    char full[96];
    struct mt_error e, judged = c->error;
    *verdict = MT_UNKNOWN;
    if (!c->op->reconcile || c->op->reconcile(c->op, c->params, &name, &params) != 0) return false;
    mt_format(full, sizeof full, "%s.%s", c->account->provider->name, name);
    const struct mt_operation *read_op = exec_operation(c->x, full, &same, &e);
    if (read_op) {
        int rc = call_read(c->x, read_op, c->account, params, &found, &e);
        if (rc == 0 || e.outcome == MT_REJECTED) {
            json_decref(c->value);
            c->value = NULL;
            *verdict = c->op->reconciled(c->op, c->params, rc == 0 ? found : NULL, rc == 0 ? NULL : &e,
                                         &c->value, &judged);
        }
        if (*verdict == MT_REJECTED) {
            c->error = judged;
            c->error.outcome = MT_REJECTED;
            call_finish_error(&c->error, c->op, c->account);
        }
    }
    json_decref(params);
    json_decref(found);
    return read_op != NULL;
}

/* After an unknown outcome that may not be answered by sending again: asks. GO_ON: it did not happen, it may
 * be sent. */
static enum going reconcile(struct call *c) {
    enum mt_outcome verdict;
    int64_t now = exec_wall(c->x);
    if (!c->meta.sent_at) c->meta.sent_at = now; /* at the latest */
    c->meta.next = NEXT_RECONCILE;
    if (!ask(c, &verdict)) return park_unknown(c, NEXT_RECONCILE);
    /* A request that is still under way there is not found either. */
    if (verdict == MT_NOT_SENT && counts_as_unsafe(c) && now - c->meta.sent_at < DOUBT_MS)
        verdict = MT_UNKNOWN;
    switch (verdict) {
    case MT_DONE:
    case MT_REJECTED:
        return call_decide(c, verdict);
    case MT_NOT_SENT:
        c->meta.asked = 0;
        if (key_expired(c)) call_new_attempt(c);
        return GO_ON;
    default:
        break;
    }
    if (c->meta.asked >= RESOLVER_ASKS) return park_unknown(c, NEXT_RECONCILE);
    return call_suspend(c, resolver_ms[c->meta.asked++], "its outcome is not known; asking again");
}

/* Whether what was found out has ended this call, and it is the next one of its release already. */
static bool next_begun(const struct call *c) {
    return c->then && c->meta.next == NEXT_SEND;
}

/* ---- after a send ---- */

/* A no that leaves a doubt: an earlier send of the same request may have had its effect all the same. */
static enum going doubt(struct call *c, enum mt_outcome outcome) {
    struct mt_error e = c->error;
    enum going going = reconcile(c);
    if (going != GO_ON || next_begun(c)) return going;
    c->error = e;
    return call_decide(c, outcome);
}

static bool may_resend(const struct call *c) {
    return c->repeat == MT_REPEAT_READ || (c->repeat == MT_REPEAT_KEYED && !key_expired(c)) ||
           (c->repeat == MT_REPEAT_NATURAL && !c->op->reconcile);
}

static void note_unknown(struct call *c) {
    if (c->repeat != MT_REPEAT_READ) {
        c->meta.unsure = true;
        c->meta.sent_at = exec_wall(c->x);
    }
    c->meta.next = may_resend(c) ? NEXT_SEND : NEXT_RECONCILE;
}

/* It did not happen, and may later: it never left, or the provider is busy. */
static enum going take_not_now(struct call *c, enum mt_outcome outcome, struct pause *pause) {
    c->meta.refused++;
    if (c->error.hard || !c->error.retryable || c->meta.refused >= REFUSED_TRIES)
        return c->meta.unsure ? doubt(c, outcome) : call_decide(c, outcome);
    if (outcome == MT_REJECTED && !c->meta.unsure) call_new_attempt(c);
    c->meta.next = NEXT_SEND;
    pause->ms = call_backoff(c->x->g, c->meta.refused, c->error.retry_after_s);
    pause->why =
        outcome == MT_NOT_SENT ? "it could not be sent; trying again" : "the provider asked to try later";
    return GO_ON;
}

static enum going take_unknown(struct call *c, struct pause *pause) {
    note_unknown(c);
    if (c->repeat == MT_REPEAT_READ && c->meta.sends >= READ_TRIES) return call_decide(c, MT_UNKNOWN);
    if (c->meta.sends > UNKNOWN_SENDS) return park_unknown(c, c->meta.next);
    if (c->meta.next == NEXT_RECONCILE) return GO_ON;
    pause->ms = call_backoff(c->x->g, c->meta.sends, c->error.retry_after_s);
    pause->why = c->repeat == MT_REPEAT_READ ? "no clear answer; reading again"
                                             : "no clear answer; sending the same again";
    return GO_ON;
}

enum going call_take(struct call *c, enum mt_outcome outcome, struct pause *pause) {
    *pause = (struct pause){0};
    switch (outcome) {
    case MT_DONE:
        return call_decide(c, MT_DONE);
    case MT_REJECTED:
        if (call_later(&c->error)) return take_not_now(c, outcome, pause);
        return c->meta.unsure && c->op->reconcile ? doubt(c, outcome) : call_decide(c, outcome);
    case MT_NOT_SENT:
        return take_not_now(c, outcome, pause);
    default:
        return take_unknown(c, pause);
    }
}

enum going call_pause(struct call *c, const struct pause *pause) {
    return pause->ms ? wait_ms(c, pause->ms, pause->why) : GO_ON;
}

/* ---- the course ---- */

/* The request in hand: the kept one, or a new one with its key. */
static int have_request(struct call *c) {
    if (c->has_request) return 0;
    if (c->entry->request) return call_unseal(c);
    if (call_build(c) != 0) return -1;
    if (c->repeat == MT_REPEAT_READ) return 0;
    if (c->repeat == MT_REPEAT_KEYED) c->meta.key_at = exec_wall(c->x);
    return call_seal(c);
}

/* Makes the intent durable: the exact request, before any byte of it leaves. */
static enum going write_intent(struct call *c) {
    enum call_next before = c->meta.next;
    if (have_request(c) != 0) {
        c->meta.next = before;
        call_write(c);
        exec_park(c->x, c->a, &c->error, c->entry->site, json_pack("{s:i}", "seq", c->entry->seq));
        return GO_LEFT;
    }
    c->meta.next = NEXT_NONE;
    if (c->repeat == MT_REPEAT_READ || c->intent_kept) return GO_ON;
    call_write(c);
    if (!exec_flush(c->x)) {
        if (c->a) c->a->step = MT_STEP_LEAVE;
        return GO_LEFT;
    }
    c->intent_kept = true;
    if (c->x->run.cancel_requested && !c->x->compensating && !c->half &&
        !c->meta.unsure) { /* in time: nothing has left */
        exec_leave(c->x, LEAVE_CANCELLED, c->a);
        return GO_LEFT;
    }
    return GO_ON;
}

static enum going send(struct call *c) {
    struct mt_engine *g = c->x->g;
    struct pause pause;
    int64_t wait = call_admit(g, c->account->provider);
    if (wait) return wait_turn(c, wait);
    enum going going = write_intent(c);
    if (going != GO_ON) {
        mt_provider_report(g->o.providers, c->account->provider, false);
        call_leave(g, c->account->provider);
        return going;
    }
    c->meta.sends++;
    c->has_request = false;
    enum mt_outcome outcome = call_send(g, c->op, c->account, c->params, &c->request, &c->value, &c->error);
    call_leave(g, c->account->provider);
    going = call_take(c, outcome, &pause);
    return going == GO_ON ? call_pause(c, &pause) : going;
}

enum going call_step(struct call *c) {
    if (c->meta.next == NEXT_RECONCILE) {
        enum going going = reconcile(c);
        if (going != GO_ON || next_begun(c)) return going;
        c->meta.next = NEXT_SEND;
        return wait_ms(c, call_backoff(c->x->g, c->meta.sends, 0), "it did not happen; sending it again");
    }
    if (key_expired(c)) {
        if (c->meta.unsure) {
            c->meta.next = NEXT_RECONCILE;
            return GO_ON;
        }
        call_new_attempt(c);
    }
    return send(c);
}

/* What an earlier execution left: its process may have died with the request on its way. */
static void resume(struct call *c) {
    c->intent_kept = c->entry->request && c->meta.next == NEXT_NONE;
    if (!c->intent_kept) return;
    mt_fail(&c->error, MT_TIMEOUT, "the process ended while this call was under way");
    c->error.outcome = MT_UNKNOWN;
    note_unknown(c);
}

enum going call_run(struct call *c) {
    enum going going = GO_LEFT;
    if (!call_same_account(c)) return going;
    if (c->written) resume(c);
    do going = call_step(c);
    while (going == GO_ON);
    return going;
}

bool call_settle(struct mt_exec *x, struct mt_entry *entry, const struct mt_operation *op,
                 const char *full_name, const struct mt_account *account, json_t *params, bool written,
                 struct mt_answer *a) {
    struct call c;
    enum going going;
    call_begin(&c, x, entry, op, account, full_name, params, written, a);
    going = call_run(&c);
    call_end(&c);
    return going == GO_DONE;
}
