/* Calls of provider operations: intent, send, outcome, and what may be done when the outcome is not known.
 * Invariant: bytes that may move money leave only when the intent is durable, and leave again only where the operation's
 * row allows it; an unknown outcome never reaches a script, except of a read. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define QUICK_MS 1000               /* a wait up to this is slept in the worker; a longer one is a timer */
#define REFUSED_TRIES 8             /* sends that never left, or came back "later": then the script hears of it */
#define READ_TRIES 5

static const int64_t resolver_ms[] = {5000, 60000, 300000, 3600000, 86400000}; /* then a person */

struct call {
    struct mt_exec *x;
    struct mt_entry *entry;
    const struct mt_operation *op;
    const struct mt_account *account;
    const char *full_name;
    json_t *params;
    enum mt_repeat repeat;
    json_t *meta; /* attempt, sends, key_at, next, asked, account, chosen */
    struct mt_http_request request;
    bool has_request, written;
    struct mt_answer *a;
    json_t *value;
    struct mt_error error;
};

json_t *entry_meta(const struct mt_entry *entry)
{
    struct mt_error e;
    json_t *meta = entry->meta ? mt_json_parse(entry->meta, strlen(entry->meta), &e) : NULL;
    return meta ? meta : json_object();
}

void entry_set_meta(struct mt_entry *entry, const json_t *meta)
{
    free(entry->meta);
    entry->meta = mt_json_dump(meta, NULL);
}

/* ---- requests: built once, sealed into the intent, sent as they are ---- */

static void seal_place(struct call *c, char out[96])
{
    mt_format(out, 96, "request|%s|%d|%d", c->x->run.id, c->entry->segment, c->entry->seq);
}

static int seal_request(struct call *c)
{
    struct mt_buf plain_text, sealed;
    char place[96];
    int rc = -1;
    mt_buf_init(&plain_text, 4 * MT_VALUE_MAX);
    mt_buf_init(&sealed, 4 * MT_VALUE_MAX);
    mt_buf_add(&plain_text, c->request.method, strlen(c->request.method) + 1);
    mt_buf_add(&plain_text, c->request.url, strlen(c->request.url) + 1);
    mt_buf_addf(&plain_text, "%d %zu ", c->request.timeout_ms, c->request.headers.count);
    for (size_t i = 0; i < c->request.headers.count; i++) {
        mt_buf_add(&plain_text, c->request.headers.items[i].name, strlen(c->request.headers.items[i].name) + 1);
        mt_buf_add(&plain_text, c->request.headers.items[i].value, strlen(c->request.headers.items[i].value) + 1);
    }
    if (c->request.body) mt_buf_add(&plain_text, c->request.body, c->request.body_len);
    seal_place(c, place);
    if (!mt_buf_ok(&plain_text))
        mt_fail(&c->error, MT_LIMIT, "the request of %s is too large", c->full_name);
    else
        rc = mt_seal(&c->x->g->seal_key, place, strlen(place), plain_text.data, plain_text.len, &sealed, &c->error);
    if (rc == 0) {
        free(c->entry->request);
        c->entry->request = mt_buf_take(&sealed, &c->entry->request_len);
    }
    mt_buf_clear(&plain_text);
    mt_buf_clear(&sealed);
    return rc;
}

static const char *take_string(const char **at, const char *end)
{
    const char *s = *at, *nul = s < end ? memchr(s, 0, (size_t)(end - s)) : NULL;
    if (!nul) return NULL;
    *at = nul + 1;
    return s;
}

/* The exact request of an earlier execution. */
static int unseal_request(struct call *c)
{
    struct mt_buf b;
    char place[96];
    int rc = -1;
    mt_buf_init(&b, 4 * MT_VALUE_MAX);
    seal_place(c, place);
    if (mt_unseal(&c->x->g->seal_key, place, strlen(place), c->entry->request, c->entry->request_len, &b, &c->error) != 0)
        goto done;
    const char *at = b.data, *end = b.data + b.len;
    const char *method = take_string(&at, end), *url = take_string(&at, end);
    int timeout_ms = 0, used = 0;
    size_t headers = 0;
    if (!method || !url || sscanf(at, "%d %zu %n", &timeout_ms, &headers, &used) < 2) goto damaged;
    at += used;
    mt_http_request_clear(&c->request);
    memset(&c->request, 0, sizeof c->request);
    c->request.method = mt_strdup(method);
    c->request.url = mt_strdup(url);
    c->request.timeout_ms = timeout_ms;
    while (headers--) {
        const char *name = take_string(&at, end), *value = take_string(&at, end);
        if (!name || !value) goto damaged;
        mt_headers_add(&c->request.headers, name, value);
    }
    c->request.body_len = (size_t)(end - at);
    c->request.body = c->request.body_len ? mt_memdup(at, c->request.body_len) : NULL;
    c->has_request = true;
    rc = 0;
    goto done;
damaged:
    mt_fail(&c->error, MT_STORE, "the kept request of effect %d (%s) is damaged", c->entry->seq, c->full_name);
done:
    mt_buf_clear(&b);
    return rc;
}

static int build_request(struct call *c)
{
    char key[65] = "";
    if (c->repeat == MT_REPEAT_KEYED) {
        uint8_t mac[32];
        exec_derive(c->x, "key", c->entry->seq, (int)mt_json_int(c->meta, "attempt", 1), mac);
        mt_hex_encode(mac, 20, key);
    }
    mt_http_request_clear(&c->request);
    memset(&c->request, 0, sizeof c->request);
    if (c->op->build(c->op, c->account, c->params, key, &c->request, &c->error) != 0) return -1;
    c->has_request = true;
    return 0;
}

/* ---- sending ---- */

static int provider_slot(const struct mt_provider *provider)
{
    const struct mt_provider *const *all = mt_providers_all();
    for (int i = 0; all[i] && i < 15; i++)
        if (all[i] == provider) return i;
    return 15;
}

/* One provider holds at most half the workers; the breaker and the limiter may ask for time as well. 0: go. */
static int64_t admit(struct mt_engine *g, const struct mt_provider *provider)
{
    int slot = provider_slot(provider), most = g->workers > 1 ? (g->workers + 1) / 2 : 1;
    if (strcmp(provider->name, "http") == 0) most = g->workers > 1 ? g->workers : 1;
    if (atomic_fetch_add(&g->in_flight[slot], 1) >= most) {
        atomic_fetch_sub(&g->in_flight[slot], 1);
        return 100;
    }
    int64_t wait = mt_provider_admit(g->o.providers, provider);
    if (wait) atomic_fetch_sub(&g->in_flight[slot], 1);
    return wait;
}

static void leave_provider(struct mt_engine *g, const struct mt_provider *provider)
{
    atomic_fetch_sub(&g->in_flight[provider_slot(provider)], 1);
}

static void finish_error(struct mt_error *e, const struct mt_operation *op, const struct mt_account *account)
{
    if (!e->provider[0]) mt_copy(e->provider, sizeof e->provider, account->provider->name);
    if (!e->operation[0]) mt_copy(e->operation, sizeof e->operation, op->name);
}

/* Judges one exchange: fills *value or *e with its outcome. */
static enum mt_outcome judge(struct mt_engine *g, const struct mt_operation *op, const struct mt_account *account,
                             const json_t *params, int rc, const struct mt_http_response *resp, json_t **value,
                             struct mt_error *e)
{
    bool infrastructure = rc != 0;
    enum mt_outcome outcome = MT_DONE;
    if (rc != 0) {
        outcome = e->outcome == MT_NOT_SENT ? MT_NOT_SENT : MT_UNKNOWN;
    } else if (op->read(op, params, resp, value, e) != 0) {
        outcome = e->outcome == MT_REJECTED ? MT_REJECTED : MT_UNKNOWN;
        infrastructure = resp->status >= 500;
    }
    if (outcome != MT_DONE) {
        e->outcome = outcome;
        finish_error(e, op, account);
    }
    mt_provider_report(g->o.providers, account->provider, infrastructure);
    mt_provider_count(g->o.providers, account->provider, op, outcome, rc == 0 ? resp->duration_us : 0);
    return outcome;
}

static void copy_request(struct mt_http_request *to, const struct mt_http_request *from)
{
    *to = *from;
    memset(&to->headers, 0, sizeof to->headers);
    to->method = mt_strdup(from->method);
    to->url = mt_strdup(from->url);
    to->body = from->body ? mt_memdup(from->body, from->body_len) : NULL;
    for (size_t i = 0; i < from->headers.count; i++)
        mt_headers_add(&to->headers, from->headers.items[i].name, from->headers.items[i].value);
}

static enum mt_outcome send_request(struct mt_engine *g, const struct mt_operation *op,
                                    const struct mt_account *account, const json_t *params,
                                    const struct mt_http_request *request, json_t **value, struct mt_error *e)
{
    struct mt_http_request req = {0};
    struct mt_http_response resp;
    enum mt_outcome outcome = MT_OUTCOME_NONE;
    const struct mt_http_request *sent = request;
    mt_http_response_init(&resp);
    memset(e, 0, sizeof *e);
    if (account->provider->authorize) { /* credentials go on a copy: what is kept has none */
        copy_request(&req, request);
        sent = &req;
        if (account->provider->authorize(account, op, &req, e) != 0) {
            e->outcome = outcome = MT_NOT_SENT;
            e->hard = true;
            finish_error(e, op, account);
        }
    }
    if (outcome == MT_OUTCOME_NONE) {
        int rc = g->o.transport->perform(g->o.transport, sent, &resp, e);
        outcome = judge(g, op, account, params, rc, &resp, value, e);
    }
    mt_http_request_clear(&req);
    mt_http_response_clear(&resp);
    return outcome;
}

/* ---- waiting ---- */

static int64_t jitter(struct mt_engine *g, int64_t ms)
{
    uint32_t r;
    g->o.random->bytes(g->o.random, &r, sizeof r);
    return ms - ms / 4 + (int64_t)(r % (uint64_t)(ms / 2 + 1));
}

static int64_t backoff(struct mt_engine *g, int64_t tries, int asked_s)
{
    int64_t ms = 200;
    while (--tries > 0 && ms < 3600000) ms *= 3;
    if (ms > 3600000) ms = 3600000;
    ms = jitter(g, ms);
    return asked_s * INT64_C(1000) > ms ? asked_s * INT64_C(1000) : ms;
}

static void nap(struct mt_engine *g, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    pthread_mutex_lock(&g->date_lock);
    while (!atomic_load(&g->stopping))
        if (pthread_cond_timedwait(&g->nap_cond, &g->date_lock, &until) != 0) break;
    pthread_mutex_unlock(&g->date_lock);
}

static void write_entry(struct call *c)
{
    entry_set_meta(c->entry, c->meta);
    if (c->written)
        exec_op_answer(c->x, c->entry);
    else
        exec_op_entry(c->x, c->entry);
    c->written = true;
}

/* Waits: in the worker when short, else as a timer row. True: go on; false: the run was let go. */
static bool wait_ms(struct call *c, int64_t ms, const char *why)
{
    struct mt_exec *x = c->x;
    if (ms <= QUICK_MS && !atomic_load(&x->g->stopping)) {
        nap(x->g, ms);
        if (!atomic_load(&x->g->stopping)) return true;
    }
    int64_t due = exec_wall(x) + ms;
    char until[25];
    mt_time_format(due, until);
    write_entry(c);
    exec_suspend(x, MT_RUN_WAITING, due, NULL, NULL, 0,
                 json_pack("{s:s, s:s, s:s, s:i}", "what", c->full_name, "why", why, "until", until, "seq", c->entry->seq),
                 c->a);
    return false;
}

/* ---- outcomes ---- */

/* Whether others could notice if this result were lost: then it is written before the script goes on. */
static bool write_now(const struct call *c)
{
    return c->repeat == MT_REPEAT_UNSAFE || c->repeat == MT_REPEAT_NATURAL;
}

static char *dump_error(const struct mt_error *e)
{
    json_t *obj = mt_error_json(e);
    char *text = mt_json_dump(obj, NULL);
    json_decref(obj);
    return text;
}

static char *seal_result(struct call *c, const char *json, size_t len)
{
    struct mt_buf sealed, text;
    struct mt_error e;
    char place[96], *out = NULL;
    mt_format(place, sizeof place, "result|%s|%d|%d", c->x->run.id, c->entry->segment, c->entry->seq);
    mt_buf_init(&sealed, 2 * MT_VALUE_MAX);
    mt_buf_init(&text, 4 * MT_VALUE_MAX);
    if (mt_seal(&c->x->g->seal_key, place, strlen(place), json, len, &sealed, &e) == 0) {
        mt_base64_encode(sealed.data, sealed.len, &text);
        out = mt_buf_take(&text, NULL);
    }
    mt_buf_clear(&sealed);
    mt_buf_clear(&text);
    return out;
}

/* Decides the entry. True unless the store was lost. */
static bool decide(struct call *c, enum mt_outcome outcome)
{
    char *result;
    if (outcome == MT_DONE) {
        size_t len;
        result = mt_json_dump(c->value ? c->value : json_null(), &len);
        if (len > MT_VALUE_MAX) {
            free(result);
            mt_fail(&c->error, MT_LIMIT, "the answer of %s has %zu bytes, more than a journal entry may have (%d)",
                    c->full_name, len, MT_VALUE_MAX);
            exec_park(c->x, c->a, &c->error, c->entry->site, NULL);
            return false;
        }
        if (c->op->sealed_result) {
            char *sealed = seal_result(c, result, len);
            free(result);
            result = sealed;
            c->entry->sealed = true;
        }
    } else {
        result = dump_error(&c->error);
    }
    json_object_del(c->meta, "next");
    exec_set_answer(c->x, c->entry, outcome, result);
    write_entry(c);
    if (write_now(c) && !exec_flush(c->x)) {
        exec_leave(c->x, LEAVE_LOST, c->a);
        return false;
    }
    return true;
}

/* Parks with the unknown outcome: the entry stays open until a person resolves it or retries. */
static bool park_unknown(struct call *c, const char *next)
{
    struct mt_error e = c->error;
    json_object_set_new(c->meta, "next", json_string(next));
    json_object_set_new(c->meta, "asked", json_integer(0));
    write_entry(c);
    mt_fail(&e, c->error.kind ? c->error.kind : MT_TIMEOUT,
            "effect %d, %s, may or may not have happened, and nothing more can be found out by asking%s%s. Look at the "
            "provider, then settle it: mintage runs resolve %s %d --outcome done|rejected|not_sent",
            c->entry->seq, c->full_name, c->error.message[0] ? ": " : "", c->error.message, c->x->run.id, c->entry->seq);
    e.outcome = MT_UNKNOWN;
    mt_copy(e.provider, sizeof e.provider, c->account->provider->name);
    mt_copy(e.operation, sizeof e.operation, c->op->name);
    exec_park(c->x, c->a, &e, c->entry->site, json_pack("{s:i}", "seq", c->entry->seq));
    return false;
}

int call_read(struct mt_exec *x, const struct mt_operation *op, const struct mt_account *account, const json_t *params,
              json_t **value, struct mt_error *e)
{
    for (int tries = 1;; tries++) {
        int64_t wait = admit(x->g, account->provider);
        if (wait == 0) {
            struct mt_http_request req = {0};
            enum mt_outcome outcome = MT_REJECTED;
            *value = NULL;
            if (op->build(op, account, params, "", &req, e) == 0)
                outcome = send_request(x->g, op, account, params, &req, value, e);
            mt_http_request_clear(&req);
            leave_provider(x->g, account->provider);
            if (outcome == MT_DONE) return 0;
            if (outcome == MT_REJECTED && !e->retryable) return -1;
            wait = backoff(x->g, tries, e->retry_after_s);
        } else {
            mt_fail(e, MT_UNAVAILABLE, "%s is not answering at present (circuit open or rate limit)", account->provider->name);
            e->outcome = MT_NOT_SENT;
            e->retryable = true;
        }
        if (tries >= 3 || wait > QUICK_MS || atomic_load(&x->g->stopping)) return -1;
        nap(x->g, wait);
    }
}

/* After an unknown outcome of a call that cannot just be sent again: ask. True: decided or `again` says to send; false: let go. */
static bool reconcile(struct call *c, bool *again)
{
    const char *read_name = NULL;
    json_t *read_params = NULL, *found = NULL;
    const struct mt_account *account;
    char full[96];
    struct mt_error e, read_error;
    *again = false;
    if (!c->op->reconcile || c->op->reconcile(c->op, c->params, &read_name, &read_params) != 0)
        return park_unknown(c, "reconcile");
    mt_format(full, sizeof full, "%s.%s", c->account->provider->name, read_name);
    const struct mt_operation *read_op = mt_operation_find(c->x->g->o.providers, full, &account, &e);
    if (!read_op) {
        json_decref(read_params);
        return park_unknown(c, "reconcile");
    }
    json_object_set_new(c->meta, "next", json_string("reconcile"));
    int rc = call_read(c->x, read_op, c->account, read_params, &found, &read_error);
    json_decref(read_params);
    enum mt_outcome outcome = MT_UNKNOWN;
    if (rc == 0 || read_error.outcome == MT_REJECTED) {
        struct mt_error judged = c->error;
        outcome = c->op->reconciled(c->op, c->params, rc == 0 ? found : NULL, rc == 0 ? NULL : &read_error, &c->value,
                                    &judged);
        c->error = judged;
        finish_error(&c->error, c->op, c->account);
    }
    json_decref(found);
    int64_t asked = mt_json_int(c->meta, "asked", 0);
    switch (outcome) {
    case MT_DONE: return decide(c, MT_DONE);
    case MT_REJECTED: c->error.outcome = MT_REJECTED; return decide(c, MT_REJECTED);
    case MT_NOT_SENT: *again = true; return true;
    default: break;
    }
    if ((size_t)asked >= sizeof resolver_ms / sizeof *resolver_ms) return park_unknown(c, "reconcile");
    json_object_set_new(c->meta, "asked", json_integer(asked + 1));
    return wait_ms(c, resolver_ms[asked], "its outcome is not known; asking again");
}

/* ---- the call's own course ---- */

/* What an earlier execution left: whether to send, to ask, or to resend. */
enum course { COURSE_SEND, COURSE_ASK };

static enum course resume_course(struct call *c)
{
    const char *next = mt_json_str(c->meta, "next", "");
    if (strcmp(next, "send") == 0) return COURSE_SEND;
    if (strcmp(next, "reconcile") == 0) return COURSE_ASK;
    if (!c->entry->request) return COURSE_SEND; /* never written as an intent: a read, or a call that waited for its turn */
    /* The process died with this call in flight. */
    mt_fail(&c->error, MT_TIMEOUT, "the process ended while this call was under way");
    c->error.outcome = MT_UNKNOWN;
    if (c->repeat == MT_REPEAT_KEYED || c->repeat == MT_REPEAT_READ) return COURSE_SEND;
    return c->repeat == MT_REPEAT_NATURAL && !c->op->reconcile ? COURSE_SEND : COURSE_ASK;
}

static bool key_expired(struct call *c)
{
    int64_t since = mt_json_int(c->meta, "key_at", 0);
    return c->repeat == MT_REPEAT_KEYED && c->op->key_ttl_s && since &&
           exec_wall(c->x) - since > c->op->key_ttl_s * INT64_C(1000);
}

/* Makes the intent durable: the exact request, before any byte of it leaves. */
static bool write_intent(struct call *c)
{
    bool first = !c->has_request && !c->entry->request;
    if (c->repeat == MT_REPEAT_READ) return c->has_request || build_request(c) == 0;
    bool clears = json_object_get(c->meta, "next") != NULL;
    if (first) {
        if (build_request(c) != 0 || seal_request(c) != 0) return false;
        json_object_set_new(c->meta, "key_at", json_integer(exec_wall(c->x)));
    } else if (!c->has_request && unseal_request(c) != 0) {
        return false;
    }
    if (first || clears || !c->written) {
        json_object_del(c->meta, "next");
        write_entry(c);
        if (!exec_flush(c->x)) {
            exec_leave(c->x, LEAVE_LOST, c->a);
            return false;
        }
    }
    return true;
}

/* A definite "not now": another attempt has another key. */
static void next_attempt(struct call *c)
{
    json_object_set_new(c->meta, "attempt", json_integer(mt_json_int(c->meta, "attempt", 1) + 1));
    free(c->entry->request);
    c->entry->request = NULL;
    c->entry->request_len = 0;
    c->has_request = false;
}

static bool after_not_now(struct call *c, enum mt_outcome outcome)
{
    int64_t tries = mt_json_int(c->meta, "refused", 0) + 1;
    json_object_set_new(c->meta, "refused", json_integer(tries));
    bool unsure = json_is_true(json_object_get(c->meta, "unsure"));
    if (c->error.hard || tries >= REFUSED_TRIES) {
        if (!unsure) return decide(c, outcome);
        bool again;
        return reconcile(c, &again) && !again;
    }
    if (outcome == MT_REJECTED && !unsure) next_attempt(c);
    json_object_set_new(c->meta, "next", json_string("send"));
    return wait_ms(c, backoff(c->x->g, tries, c->error.retry_after_s),
                   outcome == MT_NOT_SENT ? "it could not be sent; trying again" : "the provider asked to try later");
}

static bool after_unknown(struct call *c, bool *again)
{
    int64_t sends = mt_json_int(c->meta, "sends", 0);
    *again = true;
    if (c->repeat == MT_REPEAT_READ) {
        if (sends >= READ_TRIES) {
            *again = false;
            return decide(c, MT_UNKNOWN);
        }
        return wait_ms(c, backoff(c->x->g, sends, c->error.retry_after_s), "no clear answer; reading again");
    }
    json_object_set_new(c->meta, "unsure", json_true());
    bool resend = (c->repeat == MT_REPEAT_KEYED && !key_expired(c)) || (c->repeat == MT_REPEAT_NATURAL && !c->op->reconcile);
    if (!resend) return reconcile(c, again);
    if (sends > 40) return park_unknown(c, "send");
    json_object_set_new(c->meta, "next", json_string("send"));
    return wait_ms(c, backoff(c->x->g, sends, c->error.retry_after_s), "no clear answer; sending the same again");
}

/* One step: true to go round again, false when `*finished` says how it stands. */
static bool call_step(struct call *c, enum course *course, bool *answered)
{
    bool again = false;
    *answered = false;
    if (*course == COURSE_ASK || key_expired(c)) {
        if (!reconcile(c, &again)) return false;
        if (!again) return *answered = true, false;
        if (key_expired(c)) json_object_del(c->meta, "key_at"), next_attempt(c);
        json_object_set_new(c->meta, "next", json_string("send"));
        *course = COURSE_SEND;
        return true;
    }
    int64_t wait = admit(c->x->g, c->account->provider);
    if (wait) {
        json_object_set_new(c->meta, "next", json_string("send"));
        return wait_ms(c, wait, "waiting for its turn at the provider");
    }
    if (!write_intent(c)) {
        leave_provider(c->x->g, c->account->provider);
        if (c->x->leave == LEAVE_NONE) exec_park(c->x, c->a, &c->error, c->entry->site, NULL);
        return false;
    }
    json_object_set_new(c->meta, "sends", json_integer(mt_json_int(c->meta, "sends", 0) + 1));
    json_decref(c->value);
    c->value = NULL;
    enum mt_outcome outcome =
        send_request(c->x->g, c->op, c->account, c->params, &c->request, &c->value, &c->error);
    leave_provider(c->x->g, c->account->provider);
    switch (outcome) {
    case MT_DONE: *answered = decide(c, MT_DONE); return false;
    case MT_REJECTED:
        if (!c->error.retryable) {
            *answered = decide(c, MT_REJECTED);
            return false;
        } /* fallthrough */
    case MT_NOT_SENT:
        if (!after_not_now(c, outcome)) return false;
        if (c->entry->outcome != MT_OUTCOME_NONE) return *answered = true, false;
        return true;
    default:
        if (!after_unknown(c, &again)) return false;
        if (!again || c->entry->outcome != MT_OUTCOME_NONE) return *answered = true, false;
        return true;
    }
}

/* The account an intent was made for must still be the same place. */
static bool same_account(struct call *c)
{
    json_t *had = json_object_get(c->meta, "account");
    if (!had) {
        json_object_set_new(c->meta, "account",
                            json_pack("{s:s, s:s}", "label", c->account->label, "url", c->account->base_url));
        return true;
    }
    if (strcmp(mt_json_str(had, "url", ""), c->account->base_url) == 0 &&
        strcmp(mt_json_str(had, "label", ""), c->account->label) == 0)
        return true;
    struct mt_error e;
    mt_fail(&e, MT_CONFLICT,
            "effect %d, %s, began on account '%s' at %s; the configuration now says '%s' at %s. Put the account back, or resolve "
            "the effect by hand.",
            c->entry->seq, c->full_name, mt_json_str(had, "label", ""), mt_json_str(had, "url", ""), c->account->label,
            c->account->base_url);
    exec_park(c->x, c->a, &e, c->entry->site, NULL);
    return false;
}

bool call_settle(struct mt_exec *x, struct mt_entry *entry, const struct mt_operation *op, const char *full_name,
                 const struct mt_account *account, json_t *params, bool written, struct mt_answer *a)
{
    struct call c = {.x = x, .entry = entry, .op = op, .account = account, .full_name = full_name, .params = params,
                     .repeat = mt_operation_repeat(op, params), .meta = entry_meta(entry), .written = written, .a = a};
    bool answered = false;
    if (!entry->params) {
        json_t *masked = mt_operation_mask_params(op, params);
        entry->params = mt_json_dump(masked, NULL);
        json_decref(masked);
    }
    if (same_account(&c)) {
        enum course course = written ? resume_course(&c) : COURSE_SEND;
        if (written && !json_object_get(c.meta, "next") && entry->request)
            json_object_set_new(c.meta, "unsure", json_true());
        while (call_step(&c, &course, &answered)) {}
    }
    mt_http_request_clear(&c.request);
    json_decref(c.meta);
    json_decref(c.value);
    return answered;
}

/* ---- many at once: the transport sends in parallel, the journal hears of each as it ends ---- */

struct parallel {
    struct call *calls;
    size_t *which; /* index into calls of the i-th request */
    struct mt_http_response *resps;
    struct mt_error *errors;
};

static void parallel_done(void *ctx, size_t i, bool failed)
{
    struct parallel *p = ctx;
    struct call *c = &p->calls[p->which[i]];
    c->error = p->errors[i];
    enum mt_outcome outcome =
        judge(c->x->g, c->op, c->account, c->params, failed ? -1 : 0, &p->resps[i], &c->value, &c->error);
    leave_provider(c->x->g, c->account->provider);
    if (outcome == MT_DONE || (outcome == MT_REJECTED && !c->error.retryable)) {
        decide(c, outcome);
        return;
    }
    if (outcome == MT_UNKNOWN && c->repeat != MT_REPEAT_READ) json_object_set_new(c->meta, "unsure", json_true());
    bool resend = outcome != MT_UNKNOWN || c->repeat == MT_REPEAT_READ || c->repeat == MT_REPEAT_KEYED;
    json_object_set_new(c->meta, "next", json_string(resend ? "send" : "reconcile"));
    write_entry(c);
}

/* Sends the new ones of `calls` together. Those that end without an answer are left as intents for call_settle. */
static void send_together(struct mt_exec *x, struct call *calls, size_t n)
{
    struct mt_http_request *reqs = mt_calloc(n, sizeof *reqs);
    struct parallel p = {.calls = calls, .which = mt_calloc(n, sizeof(size_t)),
                         .resps = mt_calloc(n, sizeof(struct mt_http_response)),
                         .errors = mt_calloc(n, sizeof(struct mt_error))};
    size_t m = 0;
    bool ok = true;
    for (size_t i = 0; i < n && ok; i++) {
        struct call *c = &calls[i];
        if (c->written || admit(x->g, c->account->provider) != 0) continue;
        ok = build_request(c) == 0 && (c->repeat == MT_REPEAT_READ || seal_request(c) == 0);
        if (!ok) {
            leave_provider(x->g, c->account->provider);
            exec_park(x, c->a, &c->error, c->entry->site, NULL);
            break;
        }
        json_object_set_new(c->meta, "key_at", json_integer(exec_wall(x)));
        json_object_set_new(c->meta, "sends", json_integer(1));
        write_entry(c);
        p.which[m++] = i;
    }
    if (ok && m && exec_flush(x)) {
        for (size_t i = 0; i < m; i++) {
            struct call *c = &calls[p.which[i]];
            reqs[i] = c->request;
            memset(&c->request, 0, sizeof c->request);
            c->has_request = false;
            mt_http_response_init(&p.resps[i]);
            if (c->account->provider->authorize)
                c->account->provider->authorize(c->account, c->op, &reqs[i], &c->error);
        }
        x->g->o.transport->perform_all(x->g->o.transport, m, reqs, p.resps, p.errors, parallel_done, &p);
        for (size_t i = 0; i < m; i++) {
            mt_http_request_clear(&reqs[i]);
            mt_http_response_clear(&p.resps[i]);
        }
    }
    free(reqs);
    free(p.which);
    free(p.resps);
    free(p.errors);
}

bool call_all(struct mt_exec *x, struct all_call *list, size_t n, struct mt_answer *a)
{
    struct call *calls = mt_calloc(n, sizeof *calls);
    bool ok = true;
    size_t fresh = 0;
    for (size_t i = 0; i < n; i++) {
        struct call *c = &calls[i];
        *c = (struct call){.x = x, .entry = list[i].entry, .op = list[i].op, .account = list[i].account,
                           .full_name = list[i].full_name, .params = list[i].params,
                           .repeat = mt_operation_repeat(list[i].op, list[i].params), .written = list[i].written, .a = a};
        c->meta = entry_meta(c->entry);
        if (!c->entry->params) {
            json_t *masked = mt_operation_mask_params(c->op, c->params);
            c->entry->params = mt_json_dump(masked, NULL);
            json_decref(masked);
        }
        if (c->entry->outcome == MT_OUTCOME_NONE && !c->written) fresh++;
        ok = ok && same_account(c);
    }
    if (ok && fresh) send_together(x, calls, n);
    for (size_t i = 0; i < n; i++) {
        list[i].written = calls[i].written;
        mt_http_request_clear(&calls[i].request);
        json_decref(calls[i].meta);
        json_decref(calls[i].value);
    }
    free(calls);
    for (size_t i = 0; ok && i < n && x->leave == LEAVE_NONE; i++)
        if (list[i].entry->outcome == MT_OUTCOME_NONE)
            ok = call_settle(x, list[i].entry, list[i].op, list[i].full_name, list[i].account, list[i].params,
                             list[i].written, a);
    if (x->leave != LEAVE_NONE) a->step = MT_STEP_LEAVE;
    return ok && x->leave == LEAVE_NONE;
}
