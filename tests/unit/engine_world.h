/* A world for the engine's tests: scripts that are C functions, a provider that keeps a ledger and answers as
 * it was told, a clock that is moved by hand, and a death that can come at any commit or any send. What dies
 * is the engine: nothing more is written or sent; the store's rows and the provider live on, and world_open
 * begins a new process on them. One world at a time; included by test programs. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/engine.h"
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORLD_START INT64_C(1795166400000) /* 2026-11-20T09:20:00Z */
#define WORLD_BASE "http://127.0.0.1:1"

struct world;

/* ---- the provider ---- */

enum fault {
    FAULT_NONE,
    FAULT_DECLINE,     /* 402: a definite no */
    FAULT_NOT_SENT,    /* the connection was refused */
    FAULT_DROP_BEFORE, /* the request is lost on its way; the caller does not know */
    FAULT_DROP_AFTER,  /* it is carried out, the answer is lost */
    FAULT_BUSY,        /* 429 */
    FAULT_BUSY_LATER,  /* 429 with Retry-After: 30 */
    FAULT_BROKEN,      /* 500, nothing carried out */
};

struct rule {
    const char *path; /* a part of the URL */
    enum fault fault;
    int times;
};

struct sent {
    char *line;  /* "POST /charge/a" */
    char *key;   /* Idempotency-Key; "" */
    char *bytes; /* everything but credentials */
    bool carried_out;
};

struct net {
    struct mt_transport base;
    pthread_mutex_t lock;
    struct sent *sent;
    size_t count, room;
    char *done[512]; /* the ledger: what was carried out, once each: "POST /charge/a key" */
    size_t done_count;
    struct rule rules[16];
    size_t rule_count;
    json_t *intents;  /* of the mintro model, by reference */
    json_t *statuses; /* of objects at /object/ID */
};

/* ---- scripts ---- */

struct flow {
    struct world *w;
    struct mt_exec *x;
    const char *input;
    json_t *in;
    struct mt_answer a;
    jmp_buf out;
    char *kept[256];
    size_t kept_count;
    struct mt_script_result *result;
};

struct flow_row {
    const char *name;
    void (*run)(struct flow *f);
};

enum { OUT_RAISED = 1, OUT_BUG, OUT_LEFT };

struct world {
    struct mt_script script;
    char dir[64];
    bool durable;
    struct mt_store *store;
    int (*commit)(struct mt_store *self, struct mt_batch **batches, size_t count, struct mt_error *e);
    struct mt_clock *clock;
    struct mt_random *random;
    struct net net;
    struct mt_providers *providers;
    struct mt_seal_key key;
    struct mt_engine *engine;
    struct mt_engine_options options; /* what tests change before world_open */
    const struct flow_row *flows;
    char generation[80], strict_generation[80]; /* the strict one takes no input with "old" */
    int (*task)(struct world *w, int64_t n, const char *name, const char *payload, struct mt_error *e);
    atomic_int executions;
    /* death */
    atomic_bool dead;
    atomic_int commits, sends;
    int die_at_commit, die_at_send; /* counted from the opening; 0: never */
    bool die_after;
    /* news */
    pthread_mutex_t lock;
    pthread_cond_t news;
    uint64_t news_count;
    const char *mintro_url;
};

static struct world *the_world;

static inline void world_news(struct world *w) {
    pthread_mutex_lock(&w->lock);
    w->news_count++;
    pthread_cond_broadcast(&w->news);
    pthread_mutex_unlock(&w->lock);
}

/* ---- what flows do ---- */

static inline const char *flow_keep(struct flow *f, const char *s, size_t len) {
    assert_true(f->kept_count < 256);
    return f->kept[f->kept_count++] = mt_memdup(s, len);
}

/* The answer, or out of the flow as the bindings would. */
static inline const char *flow_take(struct flow *f) {
    switch (f->a.step) {
    case MT_STEP_ANSWER:
        return flow_keep(f, f->a.json, f->a.len);
    case MT_STEP_RAISE:
        mt_buf_reset(&f->result->value);
        mt_buf_add(&f->result->value, f->a.json, f->a.len);
        longjmp(f->out, OUT_RAISED);
    case MT_STEP_BUG:
        f->result->error = f->a.error;
        longjmp(f->out, OUT_BUG);
    case MT_STEP_LEAVE:
        longjmp(f->out, OUT_LEFT);
    }
    return NULL;
}

/* flow.try: NULL and *error (JSON) for a definite no. */
static inline const char *flow_take_try(struct flow *f, const char **error) {
    if (f->a.step != MT_STEP_RAISE) return flow_take(f);
    *error = flow_keep(f, f->a.json, f->a.len);
    return NULL;
}

static inline const char *call(struct flow *f, const char *op, const char *params) {
    mt_effect_call(f->x, op, params, strlen(params), "flow.lua:1", &f->a);
    return flow_take(f);
}

static inline const char *try_call(struct flow *f, const char *op, const char *params, const char **error) {
    mt_effect_call(f->x, op, params, strlen(params), "flow.lua:1", &f->a);
    return flow_take_try(f, error);
}

/* A charge at /charge/NAME with NAME as its idempotency key. */
static inline const char *charge(struct flow *f, const char *name) {
    char params[256];
    mt_format(params, sizeof params,
              "{\"idempotency_key\":\"%s-%s\",\"json\":{\"amount\":{\"$money\":\"80.00 "
              "USD\"}},\"url\":\"" WORLD_BASE "/charge/%s\"}",
              mt_exec_run_id(f->x), name, name);
    return call(f, "http.post", params);
}

/* The same without a key: never to be sent twice. */
static inline const char *unsafe_charge(struct flow *f, const char *name) {
    char params[256];
    mt_format(params, sizeof params, "{\"body\":\"80\",\"url\":\"" WORLD_BASE "/unsafe/%s\"}", name);
    return call(f, "http.post", params);
}

static inline const char *store_put(struct flow *f, const char *name) {
    char params[256];
    mt_format(params, sizeof params, "{\"body\":\"x\",\"url\":\"" WORLD_BASE "/put/%s\"}", name);
    return call(f, "http.put", params);
}

static inline const char *read_url(struct flow *f, const char *path) {
    char params[256];
    mt_format(params, sizeof params, "{\"url\":\"" WORLD_BASE "%s\"}", path);
    return call(f, "http.get", params);
}

static inline void undo_charge(struct flow *f, const char *name) {
    char params[256];
    mt_format(params, sizeof params,
              "{\"idempotency_key\":\"%s-undo-%s\",\"url\":\"" WORLD_BASE "/refund/%s\"}",
              mt_exec_run_id(f->x), name, name);
    mt_effect_undo(f->x, "http.post", params, strlen(params), "flow.lua:2", &f->a);
    flow_take(f);
}

static inline void nap(struct flow *f, int64_t ms) {
    mt_effect_sleep(f->x, ms, "flow.lua:3", &f->a);
    flow_take(f);
}

static inline const char *await_event(struct flow *f, const char *topic, const char *key, int64_t within) {
    mt_effect_await(f->x, topic, key, within, "flow.lua:4", &f->a);
    return flow_take(f);
}

static inline const char *start_child(struct flow *f, const char *flow, const char *input, const char *key,
                                      bool detached) {
    mt_effect_start(f->x, flow, input, key, detached, "flow.lua:5", &f->a);
    return flow_take(f);
}

static inline void give_signal(struct flow *f, const char *topic, const char *key, const char *payload) {
    mt_effect_signal(f->x, topic, key, payload, "flow.lua:6", &f->a);
    flow_take(f);
}

static inline void progress(struct flow *f, const char *object) {
    mt_effect_progress(f->x, object, "flow.lua:7", &f->a);
    flow_take(f);
}

static inline void go_on(struct flow *f, const char *input) {
    mt_effect_continue(f->x, input, "flow.lua:8", &f->a);
    flow_take(f);
}

static inline const char *documents(struct flow *f, const char *action, const char *params) {
    mt_effect_collection(f->x, "orders", "[\"number\"]", "[\"state\"]", action, params, "flow.lua:9", &f->a);
    return flow_take(f);
}

/* flow.fail */
static inline void fail_flow(struct flow *f, const char *kind) {
    mt_buf_reset(&f->result->value);
    mt_buf_addf(&f->result->value, "{\"kind\":\"%s\"}", kind);
    longjmp(f->out, OUT_RAISED);
}

static inline void finish(struct flow *f, const char *json) {
    mt_buf_adds(&f->result->value, json);
}

static inline void world_execute(struct mt_script *self, struct mt_exec *x, const char *generation,
                                 const char *flow, const char *input, struct mt_script_result *out) {
    struct world *w = (struct world *)self;
    struct mt_error e;
    struct flow f = {.w = w, .x = x, .input = input, .result = out};
    void (*volatile run)(struct flow * f) = NULL;
    (void)generation;
    atomic_fetch_add(&w->executions, 1);
    for (const struct flow_row *row = w->flows; row->name; row++)
        if (strcmp(row->name, flow) == 0) run = row->run;
    f.in = mt_json_parse(input, strlen(input), &e);
    int how = setjmp(f.out);
    if (how == 0) {
        run(&f);
        out->end = MT_END_RETURNED;
        if (!out->value.len) mt_buf_adds(&out->value, "null");
    } else {
        out->end = how == OUT_RAISED ? MT_END_RAISED : how == OUT_BUG ? MT_END_BUG : MT_END_LEFT;
        mt_copy(out->site, sizeof out->site, "flow.lua:99");
    }
    for (size_t i = 0; i < f.kept_count; i++) free(f.kept[i]);
    json_decref(f.in);
}

static inline void world_current(struct mt_script *self, char out[80]) {
    mt_copy(out, 80, ((struct world *)self)->generation);
}

static inline int world_check_input(struct mt_script *self, const char *generation, const char *flow,
                                    const char *input, struct mt_buf *normal, struct mt_error *e) {
    struct world *w = (struct world *)self;
    const struct flow_row *row = w->flows;
    while (row->name && strcmp(row->name, flow) != 0) row++;
    if (!row->name) return mt_fail(e, MT_NOT_FOUND, "there is no flow \"%s\"", flow);
    json_t *value = mt_json_parse(input, strlen(input), e);
    if (!value) return -1;
    bool bad = json_object_get(value, "bad") ||
               (strcmp(generation, w->strict_generation) == 0 && json_object_get(value, "old"));
    char *text = mt_json_dump(value, NULL);
    mt_buf_adds(normal, text);
    free(text);
    json_decref(value);
    return bad ? mt_fail(e, MT_INVALID_REQUEST, "field \"bad\" is not wanted") : 0;
}

static inline int world_task(struct mt_script *self, int64_t n, const char *name, const char *payload,
                             struct mt_error *e) {
    struct world *w = (struct world *)self;
    return w->task(w, n, name, payload, e);
}

/* ---- the provider's side ---- */

static inline enum fault net_fault(struct net *n, const char *line) {
    for (size_t i = 0; i < n->rule_count; i++)
        if (n->rules[i].times > 0 && strstr(line, n->rules[i].path)) {
            n->rules[i].times--;
            return n->rules[i].fault;
        }
    return FAULT_NONE;
}

static inline void net_rule(struct world *w, const char *path, enum fault fault, int times) {
    pthread_mutex_lock(&w->net.lock);
    assert_true(w->net.rule_count < 16);
    w->net.rules[w->net.rule_count++] = (struct rule){path, fault, times};
    pthread_mutex_unlock(&w->net.lock);
}

static inline struct sent *net_note(struct net *n, const struct mt_http_request *req, const char *path) {
    struct mt_buf b;
    if (n->count == n->room)
        n->sent = mt_realloc(n->sent, (n->room = n->room ? 2 * n->room : 64) * sizeof *n->sent);
    struct sent *s = &n->sent[n->count++];
    const char *key = mt_headers_get(&req->headers, "Idempotency-Key");
    mt_buf_init(&b, SIZE_MAX);
    mt_buf_addf(&b, "%s %s", req->method, path);
    s->line = mt_buf_take(&b, NULL);
    s->key = mt_strdup(key ? key : "");
    s->carried_out = false;
    mt_buf_addf(&b, "%s %s\n", req->method, req->url);
    for (size_t i = 0; i < req->headers.count; i++)
        if (strncmp(req->headers.items[i].name, "X-Client", 8) != 0)
            mt_buf_addf(&b, "%s: %s\n", req->headers.items[i].name, req->headers.items[i].value);
    mt_buf_add(&b, req->body, req->body_len);
    s->bytes = mt_buf_take(&b, NULL);
    mt_buf_clear(&b);
    return s;
}

/* Whether this piece of work is new to the ledger. */
static inline bool net_carry_out(struct net *n, const struct sent *s) {
    char work[400];
    bool keyed = s->key[0] != 0, natural = strncmp(s->line, "PUT", 3) == 0;
    mt_format(work, sizeof work, "%s %s", s->line, s->key);
    for (size_t i = 0; (keyed || natural) && i < n->done_count; i++)
        if (strcmp(n->done[i], work) == 0) return false;
    assert_true(n->done_count < 512);
    n->done[n->done_count++] = mt_strdup(work);
    return true;
}

static inline json_t *intent_json(json_t *intent) {
    return json_pack("{s:b, s:O}", "success", 1, "data", intent);
}

/* The model of Mintro's intents: by reference, forward states only. */
static inline json_t *net_mintro(struct net *n, const struct mt_http_request *req, const char *path,
                                 int *status) {
    struct mt_error e;
    const char *reference = strstr(path, "/intents/reference/"), *one = strstr(path, "/intents/pi_");
    if (strcmp(req->method, "POST") == 0 && strcmp(path, "/api/platform/intents") == 0) {
        json_t *body = mt_json_parse(req->body, req->body_len, &e);
        const char *ref = mt_json_str(body, "reference_id", "");
        json_t *had = json_object_get(n->intents, ref);
        if (!had) {
            char id[128];
            mt_format(id, sizeof id, "pi_%s", ref);
            had = json_pack("{s:s, s:s, s:s, s:O, s:s, s:s}", "intent_id", id, "reference_id", ref, "status",
                            "requires_payment", "amount", json_object_get(body, "amount"), "currency", "USD",
                            "payment_url", "https://pay.example/x");
            json_object_set_new(n->intents, ref, had);
        }
        json_decref(body);
        *status = 201;
        return intent_json(had);
    }
    char ref[128] = "";
    if (reference) mt_copy(ref, sizeof ref, reference + 19);
    if (one) mt_format(ref, sizeof ref, "%.*s", (int)strcspn(one + 12, "/"), one + 12);
    json_t *had = json_object_get(n->intents, ref);
    if (!had) {
        *status = 404;
        return json_pack("{s:s}", "error", "No such intent");
    }
    if (strcmp(req->method, "POST") == 0) {
        if (strcmp(mt_json_str(had, "status", ""), "requires_payment") != 0) {
            *status = 400;
            return json_pack("{s:s}", "error", "Its state forbids it");
        }
        json_object_set_new(had, "status", json_string("cancelled"));
    }
    return intent_json(had);
}

static inline json_t *net_answer(struct net *n, const struct mt_http_request *req, struct sent *s,
                                 const char *path, int *status) {
    *status = 200;
    if (strncmp(path, "/api/platform/", 14) == 0) {
        if (strcmp(req->method, "GET") != 0) net_carry_out(n, s);
        s->carried_out = true;
        return net_mintro(n, req, path, status);
    }
    s->carried_out = true;
    if (strcmp(req->method, "GET") == 0) return json_pack("{s:s}", "read", path);
    net_carry_out(n, s);
    return json_pack("{s:s}", "done", path);
}

static inline int net_exchange(struct world *w, const struct mt_http_request *req,
                               struct mt_http_response *resp, struct mt_error *e) {
    struct net *n = &w->net;
    const char *path = strstr(req->url, "127.0.0.1:1") + 11;
    int at = atomic_fetch_add(&w->sends, 1) + 1, status = 200;
    memset(resp, 0, sizeof *resp);
    if (atomic_load(&w->dead) || (at == w->die_at_send && !w->die_after)) {
        atomic_store(&w->dead, true);
        mt_fail(e, MT_UNAVAILABLE, "dead");
        e->outcome = MT_UNKNOWN;
        return -1;
    }
    pthread_mutex_lock(&n->lock);
    struct sent *s = net_note(n, req, path);
    enum fault fault = net_fault(n, s->line);
    json_t *answer = NULL;
    switch (fault) {
    case FAULT_NOT_SENT: {
        struct sent *last = &n->sent[--n->count]; /* the other side never saw it */
        free(last->line);
        free(last->key);
        free(last->bytes);
        mt_fail(e, MT_UNAVAILABLE, "connection refused");
        e->outcome = MT_NOT_SENT;
        e->retryable = true;
        break;
    }
    case FAULT_DROP_AFTER:
        answer = net_answer(n, req, s, path, &status);
        json_decref(answer);
        answer = NULL; /* fallthrough */
    case FAULT_DROP_BEFORE:
        mt_fail(e, MT_TIMEOUT, "no answer");
        e->outcome = MT_UNKNOWN;
        e->retryable = true;
        break;
    case FAULT_DECLINE:
        status = 402;
        answer = json_pack("{s:s}", "error", "declined");
        break;
    case FAULT_BUSY:
    case FAULT_BUSY_LATER:
        status = 429;
        answer = json_object();
        break;
    case FAULT_BROKEN:
        status = 500;
        answer = json_object();
        break;
    case FAULT_NONE:
        answer = net_answer(n, req, s, path, &status);
        break;
    }
    pthread_mutex_unlock(&n->lock);
    if (at == w->die_at_send) {
        atomic_store(&w->dead, true);
        json_decref(answer);
        answer = NULL;
        mt_fail(e, MT_UNAVAILABLE, "dead");
        e->outcome = MT_UNKNOWN;
    }
    if (!answer) return -1;
    size_t len;
    char *text = mt_json_dump(answer, &len);
    json_decref(answer);
    mt_http_response_init(resp);
    resp->status = status;
    mt_headers_add(&resp->headers, "Content-Type", "application/json");
    if (fault == FAULT_BUSY_LATER) mt_headers_add(&resp->headers, "Retry-After", "30");
    mt_buf_add(&resp->body, text, len);
    free(text);
    return 0;
}

static inline int net_perform(struct mt_transport *self, const struct mt_http_request *req,
                              struct mt_http_response *resp, struct mt_error *e) {
    (void)self;
    int rc = net_exchange(the_world, req, resp, e);
    world_news(the_world);
    return rc;
}

/* The last one ends first. */
static inline void net_perform_all(struct mt_transport *self, size_t n, const struct mt_http_request *reqs,
                                   struct mt_http_response *resps, struct mt_error *errors,
                                   void (*done)(void *ctx, size_t i, bool failed), void *ctx) {
    for (size_t i = n; i-- > 0;) done(ctx, i, net_perform(self, &reqs[i], &resps[i], &errors[i]) != 0);
}

/* ---- life and death ---- */

/* What a commit that succeeds without anybody hearing of it would have handed out. */
static inline void world_drop_outputs(struct mt_batch *b) {
    for (size_t i = 0; i < b->count; i++) {
        struct mt_op *op = &b->ops[i];
        if (op->type == MT_OP_START) mt_run_clear(&op->start.existing);
        if (op->type == MT_OP_AWAIT) mt_event_clear(&op->await.event);
        if (op->type != MT_OP_CLAIM) continue;
        for (size_t k = 0; k < op->claim.count; k++) mt_run_clear(&op->claim.runs[k]);
        free(op->claim.runs);
        op->claim.runs = NULL;
        op->claim.count = 0;
    }
}

static inline int world_commit(struct mt_store *self, struct mt_batch **batches, size_t count,
                               struct mt_error *e) {
    struct world *w = the_world;
    int at = atomic_fetch_add(&w->commits, 1) + 1;
    if (at == w->die_at_commit && !w->die_after) atomic_store(&w->dead, true);
    if (atomic_load(&w->dead)) {
        world_news(w);
        return mt_fail(e, MT_STORE, "dead");
    }
    int rc = w->commit(self, batches, count, e);
    if (rc == 0 && at == w->die_at_commit) {
        atomic_store(&w->dead, true);
        for (size_t i = 0; i < count; i++) world_drop_outputs(batches[i]);
        rc = mt_fail(e, MT_STORE, "dead");
    }
    world_news(w);
    return rc;
}

static inline void world_changed(void *ctx, const char *name, const char *json) {
    (void)name;
    (void)json;
    world_news(ctx);
}

static inline void no_line(void *ctx, const char *line, size_t len) {
    (void)ctx;
    (void)line;
    (void)len;
}

static inline struct world *world_new(const struct flow_row *flows, bool durable) {
    struct world *w = mt_calloc(1, sizeof *w);
    the_world = w;
    if (!getenv("MT_TEST_LOG")) mt_log_sink(no_line, NULL);
    w->script = (struct mt_script){world_execute, world_current, world_check_input, world_task};
    w->flows = flows;
    w->durable = durable;
    mt_copy(w->generation, sizeof w->generation, "sha256:one");
    mt_copy(w->strict_generation, sizeof w->strict_generation, "sha256:strict");
    w->clock = mt_clock_fixed(WORLD_START);
    w->random = mt_random_seeded(7);
    memset(w->key.bytes, 42, sizeof w->key.bytes);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->news, NULL);
    pthread_mutex_init(&w->net.lock, NULL);
    w->net.base.perform = net_perform;
    w->net.base.perform_all = net_perform_all;
    w->net.intents = json_object();
    w->net.statuses = json_object();
    w->mintro_url = WORLD_BASE;
    w->options.workers = 4;
    w->options.nap_max_ms = -1;
    const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    mt_format(w->dir, sizeof w->dir, "%s/mintage-engine-XXXXXX", tmp);
    if (durable) assert_non_null(mkdtemp(w->dir));
    return w;
}

/* A new process on what is durable. */
static inline void world_open(struct world *w) {
    struct mt_error e = {0};
    if (!w->store) {
        w->store = w->durable ? mt_store_sqlite_open(w->dir, &e) : mt_store_memory_open();
        if (!w->store) fail_msg("%s", e.message);
        w->commit = w->store->commit;
        w->store->commit = world_commit;
    }
    atomic_store(&w->dead, false);
    atomic_store(&w->commits, 0);
    atomic_store(&w->sends, 0);
    if (!w->providers) w->providers = mt_providers_new(NULL, w->mintro_url, w->clock, &e);
    if (!w->providers) fail_msg("%s", e.message);
    struct mt_engine_options o = w->options;
    o.store = w->store;
    o.clock = w->clock;
    o.random = w->random;
    o.transport = &w->net.base;
    o.providers = w->providers;
    o.script = &w->script;
    o.key = &w->key;
    o.public_url = "http://127.0.0.1:8080";
    o.changed = world_changed;
    o.ctx = w;
    w->engine = mt_engine_new(&o, &e);
    if (!w->engine || mt_engine_start(w->engine, &e) != 0) fail_msg("%s", e.message);
}

/* The process ends. With the memory store its rows stay (and its epoch: only for orderly ends). */
static inline void world_stop(struct world *w) {
    mt_engine_stop(w->engine);
    mt_engine_free(w->engine);
    w->engine = NULL;
    mt_providers_free(w->providers);
    w->providers = NULL;
    if (!w->durable) return;
    w->store->close(w->store);
    w->store = NULL;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void world_free(struct world *w) {
    if (w->engine) world_stop(w);
    if (w->store) w->store->close(w->store);
    for (size_t i = 0; i < w->net.count; i++) {
        free(w->net.sent[i].line);
        free(w->net.sent[i].key);
        free(w->net.sent[i].bytes);
    }
    free(w->net.sent);
    for (size_t i = 0; i < w->net.done_count; i++) free(w->net.done[i]);
    json_decref(w->net.intents);
    json_decref(w->net.statuses);
    w->clock->free(w->clock);
    free(w->random);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->news);
    pthread_mutex_destroy(&w->net.lock);
    if (w->durable) nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    mt_log_sink(NULL, NULL);
    free(w);
    the_world = NULL;
}

/* ---- driving ---- */

static inline int64_t now_of(struct world *w) {
    return w->clock->wall_ms(w->clock);
}

static inline void world_advance(struct world *w, int64_t ms) {
    struct mt_error e;
    assert_int_equal(w->clock->advance(w->clock, ms, &e), 0);
}

/* Waits until something has happened since `seen`, or a moment. */
static inline void world_wait(struct world *w, uint64_t seen) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 20000000;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    pthread_mutex_lock(&w->lock);
    while (w->news_count == seen)
        if (pthread_cond_timedwait(&w->news, &w->lock, &t) != 0) break;
    pthread_mutex_unlock(&w->lock);
}

static inline uint64_t world_seen(struct world *w) {
    pthread_mutex_lock(&w->lock);
    uint64_t seen = w->news_count;
    pthread_mutex_unlock(&w->lock);
    return seen;
}

/* Whether nothing is under way; *due is when something will be. */
static inline bool world_quiet(struct world *w, int64_t *due) {
    struct mt_run *runs = NULL;
    size_t count = 0;
    struct mt_error e = {0};
    struct mt_run_filter all = {.state = -1, .limit = 1000};
    bool quiet = true;
    *due = MT_NEVER;
    if (w->store->list_runs(w->store, &all, &runs, &count, &e) != 0) fail_msg("%s", e.message);
    for (size_t i = 0; i < count; i++) {
        if (!mt_run_ended(runs[i].state)) {
            if (runs[i].owner || runs[i].due_at <= now_of(w)) quiet = false;
            if (runs[i].due_at < *due) *due = runs[i].due_at;
        }
        mt_run_clear(&runs[i]);
    }
    free(runs);
    return quiet;
}

/* Lets things happen until `until` at most, moving the clock; false when the process has died. */
static inline bool world_drive_until(struct world *w, int64_t until) {
    for (int turns = 0; turns < 100000; turns++) {
        uint64_t seen = world_seen(w);
        int64_t due;
        if (atomic_load(&w->dead)) return false;
        if (!world_quiet(w, &due)) {
            world_wait(w, seen);
            continue;
        }
        if (due > until) return !atomic_load(&w->dead);
        world_advance(w, due - now_of(w));
    }
    fail_msg("nothing comes to an end");
    return false;
}

/* Until nothing is due any more within ten years. */
static inline bool world_drive(struct world *w) {
    return world_drive_until(w, WORLD_START + INT64_C(315360000000));
}

/* Until nothing is under way at this instant. */
static inline bool world_settle(struct world *w) {
    return world_drive_until(w, now_of(w));
}

/* ---- asking ---- */

static inline struct mt_run run_of(struct world *w, const char *id) {
    struct mt_run run;
    struct mt_error e;
    if (w->store->get_run(w->store, id, &run, &e) != 0) fail_msg("%s", e.message);
    return run;
}

static inline enum mt_run_state state_of(struct world *w, const char *id) {
    struct mt_run run = run_of(w, id);
    enum mt_run_state state = run.state;
    mt_run_clear(&run);
    return state;
}

#define assert_state(w, id, wanted)                                                                          \
    do {                                                                                                     \
        struct mt_run run_ = run_of(w, id);                                                                  \
        if (run_.state != (wanted))                                                                          \
            fail_msg("run is %s, wanted %s; error %s", mt_run_state_name(run_.state),                        \
                     mt_run_state_name(wanted), run_.error ? run_.error : "none");                           \
        mt_run_clear(&run_);                                                                                 \
    } while (0)

/* Starts and answers the id (static). */
static inline const char *start_run(struct world *w, const char *flow, const char *input, const char *key) {
    static char id[MT_ID_SIZE];
    struct mt_start s = {.flow = flow, .input = input, .key = key};
    struct mt_run run;
    bool existing;
    struct mt_error e;
    if (mt_engine_start_run(w->engine, &s, &run, &existing, &e) != 0) fail_msg("start: %s", e.message);
    mt_copy(id, sizeof id, run.id);
    mt_run_clear(&run);
    return id;
}

static inline size_t journal_of(struct world *w, const char *id, int segment, struct mt_entry **entries) {
    size_t count = 0;
    struct mt_error e;
    if (w->store->read_journal(w->store, id, segment, entries, &count, &e) != 0) fail_msg("%s", e.message);
    return count;
}

static inline void journal_free(struct mt_entry *entries, size_t count) {
    for (size_t i = 0; i < count; i++) mt_entry_clear(&entries[i]);
    free(entries);
}

/* Replaces what follows each `mark`, up to a quote, by one letter: what differs from life to life. */
static inline void mask_after(char *text, const char *mark, const char *stop, char letter) {
    for (char *at = text; (at = strstr(at, mark)) != NULL;) {
        at += strlen(mark);
        while (*at && !strchr(stop, *at)) *at++ = letter;
    }
}

static inline int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline char *run_story(struct world *w, const struct mt_run *run) {
    struct mt_buf b;
    struct mt_entry *entries = NULL;
    mt_buf_init(&b, SIZE_MAX);
    mt_buf_addf(&b, "run %s: %s output %s error %s progress %s\n", run->flow, mt_run_state_name(run->state),
                run->output ? run->output : "-", run->error ? run->error : "-",
                run->progress ? run->progress : "-");
    size_t n = journal_of(w, run->id, -1, &entries);
    for (size_t k = 0; k < n; k++)
        mt_buf_addf(&b, "  %d/%d %s %s %s %s\n", entries[k].segment, entries[k].seq, entries[k].kind,
                    entries[k].name, mt_outcome_name(entries[k].outcome),
                    /* reading back what became of a compensation answers in other words */
                    !entries[k].result || strcmp(entries[k].kind, "compensate") == 0 ? "-"
                                                                                     : entries[k].result);
    journal_free(entries, n);
    mask_after(b.data, "/checkout/", "\"", 'T');
    mask_after(b.data, "run_", "\" \n", 'R');
    mask_after(b.data, "\"at\":", ",", '0');
    mask_after(b.data, "\"event\":", ",", '0');
    return mt_buf_take(&b, NULL);
}

/* What must be the same however often the process died: states, results, the journals without their times. */
static inline char *world_story(struct world *w) {
    struct mt_buf b;
    struct mt_run *runs = NULL;
    size_t count = 0;
    struct mt_error e;
    struct mt_run_filter all = {.state = -1, .limit = 1000};
    mt_buf_init(&b, SIZE_MAX);
    if (w->store->list_runs(w->store, &all, &runs, &count, &e) != 0) fail_msg("%s", e.message);
    char **texts = mt_calloc(count + 1, sizeof *texts);
    for (size_t i = 0; i < count; i++) {
        texts[i] = run_story(w, &runs[i]);
        mt_run_clear(&runs[i]);
    }
    qsort(texts, count, sizeof *texts, compare_texts);
    for (size_t i = 0; i < count; i++) {
        mt_buf_adds(&b, texts[i]);
        free(texts[i]);
    }
    free(texts);
    free(runs);
    return mt_buf_take(&b, NULL);
}

static inline int done_times(struct world *w, const char *part) {
    int n = 0;
    for (size_t i = 0; i < w->net.done_count; i++) n += strstr(w->net.done[i], part) != NULL;
    return n;
}

static inline int sent_times(struct world *w, const char *part) {
    int n = 0;
    for (size_t i = 0; i < w->net.count; i++) n += strstr(w->net.sent[i].line, part) != NULL;
    return n;
}

/* Money safety, whatever the test asserts besides: the same key is always the same bytes; a piece of work is
 * carried out at most once; what may not be repeated left at most once. */
static inline void assert_safe(struct world *w) {
    struct net *n = &w->net;
    for (size_t i = 0; i < n->count; i++)
        for (size_t k = 0; k < i; k++) {
            bool same_line = strcmp(n->sent[i].line, n->sent[k].line) == 0;
            bool same_key = n->sent[i].key[0] && strcmp(n->sent[i].key, n->sent[k].key) == 0;
            if (same_key && strcmp(n->sent[i].bytes, n->sent[k].bytes) != 0)
                fail_msg("one key, two requests:\n%s\n---\n%s", n->sent[k].bytes, n->sent[i].bytes);
            if (same_line && strstr(n->sent[i].line, "/unsafe/")) fail_msg("sent twice: %s", n->sent[i].line);
        }
    for (size_t i = 0; i < n->done_count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(n->done[i], n->done[k]) == 0 && strncmp(n->done[i], "POST /api", 9) != 0)
                fail_msg("carried out twice: %s", n->done[i]);
}
