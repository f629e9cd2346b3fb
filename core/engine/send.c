/* The exchange with a provider: admission, credentials, sending, judging the answer, and how long to wait
 * before another try. Journals nothing. Any thread. */
#include "base/sync.h"
#include "engine/call.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUSY_MS 100 /* before asking again for a place at a provider */
#define LONGEST_MS 3600000
#define READ_TRIES 3

int64_t call_admit(struct mt_engine *g, const struct mt_provider *provider) {
    int most = provider->many_hosts || g->workers < 2 ? INT32_MAX : (g->workers + 1) / 2;
    if (!mt_provider_enter(g->o.providers, provider, most)) return BUSY_MS;
    int64_t wait = mt_provider_admit(g->o.providers, provider);
    if (wait) call_leave(g, provider);
    return wait;
}

void call_leave(struct mt_engine *g, const struct mt_provider *provider) {
    mt_provider_leave(g->o.providers, provider);
}

void call_finish_error(struct mt_error *e, const struct mt_operation *op, const struct mt_account *account) {
    if (!e->provider[0]) mt_copy(e->provider, sizeof e->provider, account->provider->name);
    if (!e->operation[0]) mt_copy(e->operation, sizeof e->operation, op->name);
}

int call_authorize(const struct mt_operation *op, const struct mt_account *account,
                   struct mt_http_request *req, struct mt_error *e) {
    if (!account->provider->authorize || account->provider->authorize(account, op, req, e) == 0) return 0;
    e->outcome = MT_NOT_SENT;
    e->hard = true; /* it would fail again */
    call_finish_error(e, op, account);
    return -1;
}

enum mt_outcome call_judge(struct mt_engine *g, const struct mt_operation *op,
                           const struct mt_account *account, const json_t *params, int rc,
                           const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    bool infrastructure = rc != 0;
    enum mt_outcome outcome = MT_DONE;
    if (rc != 0 && op->unanswered) {
        *value = op->unanswered(op, params, e);
    } else if (rc != 0) {
        outcome = e->outcome == MT_NOT_SENT ? MT_NOT_SENT : MT_UNKNOWN;
    } else if (op->read(op, params, resp, value, e) != 0) {
        outcome = e->outcome == MT_REJECTED ? MT_REJECTED : MT_UNKNOWN;
        infrastructure = resp->status >= 500;
    }
    if (outcome != MT_DONE) {
        e->outcome = outcome;
        call_finish_error(e, op, account);
    }
    mt_provider_report(g->o.providers, account->provider, infrastructure);
    mt_provider_count(g->o.providers, account->provider, op, outcome, rc == 0 ? resp->duration_us : 0);
    return outcome;
}

enum mt_outcome call_send(struct mt_engine *g, const struct mt_operation *op,
                          const struct mt_account *account, const json_t *params,
                          struct mt_http_request *request, json_t **value, struct mt_error *e) {
    struct mt_http_response resp = {0}; /* the transport readies it */
    enum mt_outcome outcome = MT_NOT_SENT;
    json_decref(*value);
    *value = NULL;
    memset(e, 0, sizeof *e);
    if (call_authorize(op, account, request, e) == 0) {
        crew_away(g);
        int rc = g->o.transport->perform(g->o.transport, request, &resp, e);
        crew_back(g);
        outcome = call_judge(g, op, account, params, rc, &resp, value, e);
        mt_http_response_clear(&resp);
    } else {
        mt_provider_report(g->o.providers, account->provider, false);
    }
    mt_http_request_clear(request);
    return outcome;
}

/* ---- trying again ---- */

bool call_later(const struct mt_error *e) {
    if (!e->retryable || e->hard) return false;
    /* A decline that may pass another day is the script's to retry: each try is an attempt on somebody's
     * card. */
    return e->kind == MT_RATE_LIMITED || e->kind == MT_UNAVAILABLE || e->kind == MT_TIMEOUT;
}

int64_t call_backoff(struct mt_engine *g, int64_t tries, int asked_s) {
    int64_t ms = 200, asked = asked_s * INT64_C(1000);
    uint32_t r;
    while (--tries > 0 && ms < LONGEST_MS) ms *= 3;
    if (ms > LONGEST_MS) ms = LONGEST_MS;
    g->o.random->bytes(g->o.random, &r, sizeof r);
    ms = ms - ms / 4 + (int64_t)(r % (uint64_t)(ms / 2 + 1));
    return asked > ms ? asked : ms;
}

void engine_nap(struct mt_engine *g, int64_t ms) {
    int64_t until = mt_mono_ns() + ms * 1000000;
    crew_away(g);
    mt_lock(&g->nap_lock);
    while (!atomic_load(&g->stopping))
        if (!mt_cond_wait(&g->nap_cond, &g->nap_lock, until)) break;
    mt_unlock(&g->nap_lock);
    crew_back(g);
}

int call_read(struct mt_exec *x, const struct mt_operation *op, const struct mt_account *account,
              const json_t *params, json_t **value, struct mt_error *e) {
    struct mt_engine *g = x->g;
    *value = NULL;
    for (int tries = 1;; tries++) {
        int64_t wait = call_admit(g, account->provider);
        if (wait == 0) {
            struct mt_http_request req = {0};
            memset(e, 0, sizeof *e);
            if (op->build(op, account, params, "", &req, e) != 0) { /* it cannot be asked at all */
                mt_http_request_clear(&req);
                mt_provider_report(g->o.providers, account->provider, false);
                call_leave(g, account->provider);
                e->outcome = MT_REJECTED;
                return -1;
            }
            enum mt_outcome outcome = call_send(g, op, account, params, &req, value, e);
            call_leave(g, account->provider);
            if (outcome == MT_DONE) return 0;
            if (outcome == MT_REJECTED && !e->retryable) return -1;
            wait = call_backoff(g, tries, e->retry_after_s);
        } else {
            mt_fail(e, MT_UNAVAILABLE, "%s is not answering at present (circuit open or rate limit)",
                    account->provider->name);
            e->outcome = MT_NOT_SENT;
            e->retryable = true;
        }
        if (tries >= READ_TRIES || wait > g->o.nap_max_ms || atomic_load(&g->stopping)) return -1;
        engine_nap(g, wait);
    }
}
