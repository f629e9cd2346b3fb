/* The engine's life: its threads, its writer, tokens, and webhooks coming in. */
#include "base/sync.h"
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

/* The timer is woken for what comes before it would have looked. */
static void due(void *ctx, int64_t earliest) {
    struct mt_engine *g = ctx;
    if (earliest < atomic_load(&g->looks_at)) g->o.clock->wake(g->o.clock);
}

static void tell_event(struct mt_engine *g, const struct mt_op *op) {
    struct mt_event event = {.n = op->event.n, .payload = (char *)op->event.payload, .at = op->event.at};
    struct mt_buf b;
    mt_copy(event.topic, sizeof event.topic, op->event.topic);
    mt_copy(event.key, sizeof event.key, op->event.key);
    mt_buf_init(&b, 4 * MT_VALUE_MAX);
    mt_event_to_json(&event, &b);
    if (mt_buf_ok(&b)) g->o.changed(g->o.ctx, "event", b.data);
    mt_buf_clear(&b);
}

static void tell_start(struct mt_engine *g, const struct mt_op *op) {
    struct mt_run run = {.state = op->start.claim ? MT_RUN_RUNNING : MT_RUN_QUEUED,
                         .key = (char *)op->start.key,
                         .input = (char *)op->start.input,
                         .due_at = op->start.claim ? MT_NEVER : op->start.at,
                         .created_at = op->start.at,
                         .updated_at = op->start.at};
    mt_copy(run.id, sizeof run.id, op->start.id);
    mt_copy(run.flow, sizeof run.flow, op->start.flow);
    mt_copy(run.generation, sizeof run.generation, op->start.generation);
    if (op->start.parent) mt_copy(run.parent, sizeof run.parent, op->start.parent);
    runs_changed(g, &run);
}

/* On the writer's thread, before those who wait for the commit go on: so what begins is told before what
 * comes of it. */
static void committed(void *ctx, const struct mt_batch *batch) {
    struct mt_engine *g = ctx;
    bool heard = engine_heard(g);
    for (size_t i = 0; i < batch->count; i++) {
        const struct mt_op *op = &batch->ops[i];
        retention_note(g, op);
        if (op->result != MT_RES_OK || (op->type != MT_OP_START && op->type != MT_OP_EVENT)) continue;
        if (op->type == MT_OP_START) atomic_fetch_add_explicit(&g->runs_started, 1, memory_order_relaxed);
        if (!heard) continue;
        if (op->type == MT_OP_START)
            tell_start(g, op);
        else
            tell_event(g, op);
    }
}

static void init_locks(struct mt_engine *g) {
    pthread_mutex_init(&g->ready_lock, NULL);
    pthread_mutex_init(&g->crew_lock, NULL);
    pthread_mutex_init(&g->dated_lock, NULL);
    pthread_mutex_init(&g->date_lock, NULL);
    mt_cond_init(&g->date_cond);
    mt_cond_init(&g->keep_cond);
    pthread_mutex_init(&g->nap_lock, NULL);
    mt_cond_init(&g->nap_cond);
    for (int i = 0; i < WAIT_BUCKETS; i++) pthread_mutex_init(&g->waits[i].lock, NULL);
}

static void destroy_locks(struct mt_engine *g) {
    pthread_mutex_destroy(&g->ready_lock);
    pthread_mutex_destroy(&g->crew_lock);
    pthread_mutex_destroy(&g->dated_lock);
    pthread_mutex_destroy(&g->date_lock);
    pthread_cond_destroy(&g->date_cond);
    pthread_cond_destroy(&g->keep_cond);
    pthread_mutex_destroy(&g->nap_lock);
    pthread_cond_destroy(&g->nap_cond);
    for (int i = 0; i < WAIT_BUCKETS; i++) pthread_mutex_destroy(&g->waits[i].lock);
}

struct mt_engine *mt_engine_new(const struct mt_engine_options *o, struct mt_error *e) {
    struct mt_engine *g = mt_calloc(1, sizeof *g);
    g->o = *o;
    g->workers = o->workers < 0 ? 0 : o->workers ? o->workers : MT_WORKERS_DEFAULT;
    g->core = g->workers < CREW_CORE ? g->workers : CREW_CORE;
    if (!g->o.worker_idle_ms) g->o.worker_idle_ms = 10000;
    g->crew = mt_calloc((size_t)g->workers + 1, sizeof *g->crew);
    if (!g->o.entries_warn) g->o.entries_warn = 2000;
    if (!g->o.entries_max) g->o.entries_max = 50000;
    g->o.nap_max_ms = o->nap_max_ms < 0 ? 0 : o->nap_max_ms ? o->nap_max_ms : 1000;
    mt_derive_key(o->key, "mintage request sealing", &g->seal_key);
    mt_derive_key(o->key, "mintage derivation", &g->derive_key);
    mt_derive_key(o->key, "mintage digests", &g->digest_key);
    mt_derive_key(o->key, "mintage script sealing", &g->script_key);
    mt_derive_key(o->key, "mintage script macs", &g->script_mac_key);
    int64_t *spans[] = {&g->o.retention.runs_ms, &g->o.retention.unread_ms, &g->o.retention.tombstones_ms};
    for (size_t i = 0; i < 3; i++)
        if (*spans[i] <= 0) *spans[i] = MT_NEVER;
    atomic_init(&g->looks_at, MT_NEVER);
    init_locks(g);
    g->generations = generations_new();
    g->schedules = schedules_new();
    struct mt_writer_options w = {.store = o->store, .due = due, .committed = committed, .ctx = g};
    g->writer = mt_writer_start(&w, e);
    if (!g->writer) {
        generations_free(g->generations);
        schedules_free(g->schedules);
        destroy_locks(g);
        free(g->crew);
        free(g);
        return NULL;
    }
    return g;
}

struct mt_writer *mt_engine_writer(struct mt_engine *g) {
    return g->writer;
}

int mt_engine_start(struct mt_engine *g, struct mt_error *e) {
    int rc = crew_start(g);
    if (rc == 0) rc = mt_thread_start(&g->timer, 0, timer_main, g);
    g->timer_running = rc == 0;
    if (rc == 0) rc = mt_thread_start(&g->dater, 0, dater_main, g);
    g->dater_running = g->timer_running && rc == 0;
    if (rc == 0) rc = mt_thread_start(&g->keeper, 0, keeper_main, g);
    g->keeper_running = g->dater_running && rc == 0;
    if (rc != 0) return mt_fail(e, MT_LIMIT, "threads cannot be started: %s", strerror(rc));
    return 0;
}

static void wake_everybody(struct mt_engine *g) {
    ready_stop(g);
    mt_lock(&g->date_lock);
    mt_cond_broadcast(&g->date_cond);
    mt_cond_broadcast(&g->keep_cond);
    mt_unlock(&g->date_lock);
    mt_lock(&g->nap_lock);
    mt_cond_broadcast(&g->nap_cond);
    mt_unlock(&g->nap_lock);
    waits_stop(g);
    g->o.clock->wake(g->o.clock);
}

void mt_engine_stop(struct mt_engine *g) {
    if (atomic_exchange(&g->stopping, true)) return;
    wake_everybody(g);
    crew_join(g);
    if (g->timer_running) mt_thread_join(g->timer);
    if (g->dater_running) mt_thread_join(g->dater);
    if (g->keeper_running) mt_thread_join(g->keeper);
    g->timer_running = g->dater_running = g->keeper_running = false;
    while (g->ready_first) { /* claimed, never begun: the next opening of the store makes them due */
        struct ready *r = g->ready_first;
        g->ready_first = r->next;
        mt_run_clear(&r->run);
        free(r);
    }
    g->ready_last = NULL;
    g->ready_count = 0;
    while (g->stranded) {
        struct stranded *next = g->stranded->next;
        free(g->stranded);
        g->stranded = next;
    }
}

void mt_engine_free(struct mt_engine *g) {
    if (!g) return;
    mt_engine_stop(g);
    mt_writer_stop(g->writer);
    generations_free(g->generations);
    schedules_free(g->schedules);
    free(g->crew);
    destroy_locks(g);
    mt_wipe(&g->seal_key, sizeof g->seal_key);
    mt_wipe(&g->derive_key, sizeof g->derive_key);
    mt_wipe(&g->digest_key, sizeof g->digest_key);
    mt_wipe(&g->script_key, sizeof g->script_key);
    mt_wipe(&g->script_mac_key, sizeof g->script_mac_key);
    free(g);
}

/* ---- tokens ---- */

/* RUNID~MAC: nobody can make one up, and none has to be kept. */
void mt_engine_token(struct mt_engine *g, const char *run_id, char out[96]) {
    uint8_t mac[32];
    char text[64], hex[33];
    int n = snprintf(text, sizeof text, "checkout|%s", run_id);
    mt_hmac_sha256(g->derive_key.bytes, sizeof g->derive_key.bytes, text, (size_t)n, mac);
    mt_hex_encode(mac, 16, hex);
    mt_format(out, 96, "%s~%s", strncmp(run_id, "run_", 4) == 0 ? run_id + 4 : run_id, hex);
}

bool mt_engine_token_run(struct mt_engine *g, const char *token, char run_id[MT_ID_SIZE]) {
    char expected[96];
    const char *mac = strchr(token, '~');
    if (!mac || mac - token > MT_ID_SIZE - 6 || strlen(token) >= sizeof expected) return false;
    mt_format(run_id, MT_ID_SIZE, "run_%.*s", (int)(mac - token), token);
    mt_engine_token(g, run_id, expected);
    return mt_equal_str(expected, token);
}

/* ---- webhooks ---- */

/* Stores the hints of one webhook, all or none. */
static int keep_hints(struct mt_engine *g, const struct mt_provider *provider, struct mt_hint *hints,
                      size_t count, const struct mt_request *req, struct mt_error *e) {
    struct mt_op ops[4] = {0};
    char *payloads[4] = {0};
    for (size_t i = 0; i < count; i++) {
        payloads[i] = mt_json_dump(hints[i].payload, NULL);
        ops[i].type = MT_OP_EVENT;
        ops[i].event.topic = hints[i].topic;
        ops[i].event.key = hints[i].key;
        ops[i].event.source = hints[i].source[0] ? hints[i].source : NULL;
        ops[i].event.payload = payloads[i];
        if (i == 0 && !provider->secret_webhooks) {
            ops[i].event.raw = req->body;
            ops[i].event.raw_len = req->body_len;
        }
        ops[i].event.at = g->o.clock->wall_ms(g->o.clock);
    }
    struct mt_batch batch = {.ops = ops, .count = count};
    int rc = count ? mt_writer_submit(g->writer, &batch) : 0;
    if (rc != 0) *e = batch.error;
    for (size_t i = 0; i < count; i++) {
        if (rc == 0 && ops[i].result == MT_RES_DUPLICATE)
            atomic_fetch_add_explicit(&g->webhook_duplicates, 1, memory_order_relaxed);
        free(payloads[i]);
    }
    return rc;
}

static void take_webhook(struct mt_engine *g, const struct mt_provider_set *set, const char *name,
                         bool secret_url, const struct mt_request *req, struct mt_response *resp) {
    struct mt_hint hints[4] = {0};
    size_t count = 0;
    struct mt_error e = {0};
    const struct mt_provider *provider = mt_provider_named(set, name);
    const struct mt_account *account = provider ? mt_provider_account(g->o.providers, set, name) : NULL;
    if (!provider || !provider->webhook) {
        mt_respond_problem(resp, 404, "not_found", "no provider named '%.40s' sends webhooks here", name);
        return;
    }
    if (!account) {
        mt_respond_problem(resp, 503, "unavailable", "%s is not configured", name);
        return;
    }
    atomic_fetch_add_explicit(&g->webhooks, 1, memory_order_relaxed);
    if (provider->webhook(account, req, secret_url, hints, &count, &e) != 0) {
        mt_warn("a webhook was refused", "provider", name, "error", e.message);
        mt_respond_error(resp, e.kind == MT_AUTHENTICATION ? 401 : 400, &e);
    } else if (keep_hints(g, provider, hints, count, req, &e) != 0) {
        mt_respond_error(resp, 503, &e); /* it is sent again later */
    } else {
        resp->status = 200;
        if (provider->webhook_answer && provider->webhook_answer[0])
            mt_respond_json(resp, 200, provider->webhook_answer, strlen(provider->webhook_answer));
        else
            mt_respond_json(resp, 200, "{\"received\":true}", 17);
    }
    for (size_t i = 0; i < 4; i++) json_decref(hints[i].payload);
}

void mt_engine_webhook(struct mt_engine *g, const char *name, bool secret_url, const struct mt_request *req,
                       struct mt_response *resp) {
    struct mt_provider_set *set = mt_providers_current(g->o.providers);
    take_webhook(g, set, name, secret_url, req, resp);
    mt_provider_set_release(set);
}

/* ---- sandbox ---- */

static int wipe(struct mt_store *store, void *ctx, struct mt_error *e) {
    (void)ctx;
    return store->wipe(store, e);
}

int mt_engine_wipe(struct mt_engine *g, struct mt_error *e) {
    mt_lock(&g->dated_lock);
    int rc = mt_writer_exclusive(g->writer, wipe, NULL, e);
    mt_unlock(&g->dated_lock);
    return rc;
}
