/* Several calls at once (flow.all): their intents are one batch, the transport sends them together on this
 * thread, and each is journaled as it ends. What is left open then takes its course one after another, as
 * single calls do. */
#include "engine/call.h"
#include <stdlib.h>
#include <string.h>

struct parallel {
    struct call *calls;
    size_t *which;             /* index into calls of the i-th request */
    enum mt_outcome *outcomes; /* of each call; NONE: not sent by us */
    struct mt_http_request *reqs;
    struct mt_http_response *resps;
    struct mt_error *errors;
};

static void parallel_done(void *ctx, size_t i, bool failed) {
    struct parallel *p = ctx;
    struct call *c = &p->calls[p->which[i]];
    c->error = p->errors[i];
    enum mt_outcome outcome = call_judge(c->x->g, c->op, c->account, c->params, failed ? -1 : 0, &p->resps[i],
                                         &c->value, &c->error);
    call_leave(c->x->g, c->account->provider);
    if (outcome == MT_DONE || (outcome == MT_REJECTED && !call_later(&c->error)))
        call_decide(c, outcome);
    else
        p->outcomes[p->which[i]] = outcome;
}

/* Readies a new call's intent. False: the run is parked. */
static bool prepare(struct parallel *p, size_t i, size_t *m) {
    struct call *c = &p->calls[i];
    struct mt_engine *g = c->x->g;
    if (call_admit(g, c->account->provider) != 0) { /* its place in the journal is kept */
        c->meta.next = NEXT_SEND;
        call_write(c);
        return true;
    }
    if (call_build(c) != 0 || (c->repeat != MT_REPEAT_READ && call_seal(c) != 0)) {
        mt_provider_report(g->o.providers, c->account->provider, false);
        call_leave(g, c->account->provider);
        exec_park(c->x, c->a, &c->error, c->entry->site, NULL);
        return false;
    }
    if (c->repeat == MT_REPEAT_KEYED) c->meta.key_at = exec_wall(c->x);
    call_write(c);
    p->which[(*m)++] = i;
    return true;
}

static void withdraw(struct parallel *p, size_t m) {
    for (size_t i = 0; i < m; i++) {
        struct call *c = &p->calls[p->which[i]];
        mt_provider_report(c->x->g->o.providers, c->account->provider, false);
        call_leave(c->x->g, c->account->provider);
    }
}

/* Moves the requests out, with their credentials; one that cannot have them is not sent. */
static size_t load(struct parallel *p, size_t m) {
    size_t n = 0;
    for (size_t i = 0; i < m; i++) {
        struct call *c = &p->calls[p->which[i]];
        c->intent_kept = c->repeat != MT_REPEAT_READ;
        c->meta.sends = 1;
        c->has_request = false;
        if (call_authorize(c->op, c->account, &c->request, &c->error) != 0) {
            mt_provider_report(c->x->g->o.providers, c->account->provider, false);
            call_leave(c->x->g, c->account->provider);
            p->outcomes[p->which[i]] = MT_NOT_SENT;
            mt_http_request_clear(&c->request);
            continue;
        }
        p->reqs[n] = c->request;
        memset(&c->request, 0, sizeof c->request);
        p->which[n++] = p->which[i];
    }
    return n;
}

/* Sends the new ones of `calls` together. False: left. */
static bool send_together(struct mt_exec *x, struct call *calls, enum mt_outcome *outcomes, size_t n) {
    struct parallel p = {.calls = calls,
                         .which = mt_calloc(n, sizeof *p.which),
                         .outcomes = outcomes,
                         .reqs = mt_calloc(n, sizeof *p.reqs),
                         .resps = mt_calloc(n, sizeof *p.resps),
                         .errors = mt_calloc(n, sizeof *p.errors)};
    size_t m = 0;
    bool ok = true;
    for (size_t i = 0; i < n && ok; i++)
        if (!calls[i].written) ok = prepare(&p, i, &m);
    if (ok) ok = exec_flush(x);
    if (!ok) withdraw(&p, m);
    if (ok && m) {
        m = load(&p, m);
        crew_away(x->g);
        if (m)
            x->g->o.transport->perform_all(x->g->o.transport, m, p.reqs, p.resps, p.errors, parallel_done,
                                           &p);
        crew_back(x->g);
        for (size_t i = 0; i < m; i++) {
            mt_http_request_clear(&p.reqs[i]);
            mt_http_response_clear(&p.resps[i]);
        }
    }
    free(p.reqs);
    free(p.which);
    free(p.resps);
    free(p.errors);
    return ok && x->leave == LEAVE_NONE;
}

/* What a first send came to, for each before any is waited for: so one batch has it all. */
static enum going take_all(struct call *calls, enum mt_outcome *outcomes, struct pause *pauses, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (outcomes[i] == MT_OUTCOME_NONE) continue;
        enum going going = call_take(&calls[i], outcomes[i], &pauses[i]);
        if (going == GO_LEFT) return GO_LEFT;
        if (going == GO_ON) call_write(&calls[i]);
    }
    return GO_ON;
}

bool call_all(struct mt_exec *x, struct all_call *list, size_t n, struct mt_answer *a) {
    struct call *calls = mt_calloc(n, sizeof *calls);
    enum mt_outcome *outcomes = mt_calloc(n, sizeof *outcomes);
    struct pause *pauses = mt_calloc(n, sizeof *pauses);
    bool ok = true, fresh = false;
    for (size_t i = 0; i < n; i++) {
        call_begin(&calls[i], x, list[i].entry, list[i].op, list[i].account, list[i].full_name,
                   list[i].params, list[i].written, a);
        fresh = fresh || !list[i].written;
    }
    if (fresh) ok = send_together(x, calls, outcomes, n) && take_all(calls, outcomes, pauses, n) != GO_LEFT;
    for (size_t i = 0; ok && i < n; i++) {
        struct call *c = &calls[i];
        if (c->entry->outcome != MT_OUTCOME_NONE) continue;
        if (list[i].written) {
            ok = call_settle(x, c->entry, c->op, c->full_name, c->account, c->params, true, a);
            continue;
        }
        enum going going = call_pause(c, &pauses[i]);
        while (going == GO_ON) going = call_step(c);
        ok = going == GO_DONE;
    }
    for (size_t i = 0; i < n; i++) call_end(&calls[i]);
    free(calls);
    free(outcomes);
    free(pauses);
    if (x->leave != LEAVE_NONE) a->step = MT_STEP_LEAVE;
    return ok && x->leave == LEAVE_NONE;
}
