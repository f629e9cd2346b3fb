/* Dated work: outgoing webhooks and handlers' tasks, carried out in order of their time by one thread at a time (the dater, or
 * whoever moves the clock). A task is taken out of the store before it is carried out only together with what it writes:
 * its handler's transaction is idempotent by the task's own deletion. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define TOGETHER 16
#define DELIVERY_TIMEOUT_MS 10000

/* ---- deliveries ---- */

static bool accepted(const struct mt_delivery *d, const struct mt_http_response *resp)
{
    if (resp->status < 200 || resp->status > 299) return false;
    return !d->accept || (resp->body.len == strlen(d->accept) && memcmp(resp->body.data, d->accept, resp->body.len) == 0);
}

static void build_delivery(const struct mt_delivery *d, struct mt_http_request *req)
{
    struct mt_error e;
    const char *name;
    json_t *value, *headers = d->headers ? mt_json_parse(d->headers, strlen(d->headers), &e) : NULL;
    memset(req, 0, sizeof *req);
    req->method = mt_strdup("POST");
    req->url = mt_strdup(d->url);
    req->body = mt_memdup(d->body, d->body_len);
    req->body_len = d->body_len;
    req->timeout_ms = DELIVERY_TIMEOUT_MS;
    req->max_response = 65536;
    mt_headers_set(&req->headers, "Content-Type", "application/json");
    json_object_foreach(headers, name, value)
        if (json_is_string(value)) mt_headers_set(&req->headers, name, json_string_value(value));
    json_decref(headers);
}

/* Notes an attempt and says when the next one is. */
static void note_attempt(struct mt_engine *g, struct mt_delivery *d, const struct mt_http_response *resp,
                         const struct mt_error *failed)
{
    struct mt_error e;
    int64_t now = g->o.clock->wall_ms(g->o.clock);
    char at[25];
    json_t *log = d->log ? mt_json_parse(d->log, strlen(d->log), &e) : NULL;
    json_t *schedule = d->schedule ? mt_json_parse(d->schedule, strlen(d->schedule), &e) : NULL;
    if (!log) log = json_array();
    mt_time_format(now, at);
    bool ok = !failed && accepted(d, resp);
    json_array_append_new(log, json_pack("{s:s, s:i, s:s?}", "at", at, "status", failed ? 0 : resp->status, "error",
                                         failed ? failed->message : ok ? NULL : "not accepted"));
    if (json_array_size(log) > 50) json_array_remove(log, 0);
    d->attempts++;
    size_t tries = (size_t)d->attempts;
    if (ok) {
        mt_copy(d->state, sizeof d->state, "delivered");
        d->next_at = MT_NEVER;
        atomic_fetch_add_explicit(&g->deliveries_ok, 1, memory_order_relaxed);
    } else if (tries <= json_array_size(schedule)) {
        mt_copy(d->state, sizeof d->state, "pending");
        d->next_at = now + json_integer_value(json_array_get(schedule, tries - 1));
    } else {
        mt_copy(d->state, sizeof d->state, "failed");
        d->next_at = MT_NEVER;
        atomic_fetch_add_explicit(&g->deliveries_failed, 1, memory_order_relaxed);
    }
    free(d->log);
    d->log = mt_json_dump(log, NULL);
    json_decref(log);
    json_decref(schedule);
    struct mt_op op = {.type = MT_OP_DELIVERY_UPDATE, .delivery = d};
    struct mt_batch batch = {.ops = &op, .count = 1};
    if (mt_writer_submit(g->writer, &batch) != 0)
        mt_warn("a delivery's attempt could not be noted", "delivery", d->id, "error", batch.error.message);
    if (g->o.changed) {
        struct mt_buf b;
        mt_buf_init(&b, 4 * MT_VALUE_MAX);
        mt_delivery_to_json(d, &b);
        if (mt_buf_ok(&b)) g->o.changed(g->o.ctx, "delivery", b.data);
        mt_buf_clear(&b);
    }
}

struct sending {
    struct mt_engine *g;
    struct mt_delivery *deliveries;
    struct mt_http_response *resps;
    struct mt_error *errors;
};

static void sent(void *ctx, size_t i, bool failed)
{
    struct sending *s = ctx;
    note_attempt(s->g, &s->deliveries[i], &s->resps[i], failed ? &s->errors[i] : NULL);
}

static void send_deliveries(struct mt_engine *g, struct mt_delivery *deliveries, size_t n)
{
    struct mt_http_request *reqs = mt_calloc(n, sizeof *reqs);
    struct sending s = {g, deliveries, mt_calloc(n, sizeof(struct mt_http_response)), mt_calloc(n, sizeof(struct mt_error))};
    for (size_t i = 0; i < n; i++) {
        build_delivery(&deliveries[i], &reqs[i]);
        mt_http_response_init(&s.resps[i]);
    }
    g->o.transport->perform_all(g->o.transport, n, reqs, s.resps, s.errors, sent, &s);
    for (size_t i = 0; i < n; i++) {
        mt_http_request_clear(&reqs[i]);
        mt_http_response_clear(&s.resps[i]);
    }
    free(reqs);
    free(s.resps);
    free(s.errors);
}

int mt_engine_redeliver(struct mt_engine *g, const char *delivery_id, struct mt_error *e)
{
    struct mt_delivery d;
    if (g->o.store->get_delivery(g->o.store, delivery_id, &d, e) != 0) return -1;
    int rc = 0;
    if (d.url)
        send_deliveries(g, &d, 1);
    else
        rc = mt_fail(e, MT_CONFLICT, "delivery %s has nowhere to go: no endpoint was set when it happened", delivery_id);
    mt_delivery_clear(&d);
    return rc;
}

/* ---- tasks ---- */

/* Its handler takes the task out of the store with what it writes. One that fails by its own fault goes too: it would fail
 * again, and what comes after it must not wait. */
static void run_task(struct mt_engine *g, const struct mt_task *t)
{
    struct mt_error e = {0};
    int rc = g->o.script->task(g->o.script, t->n, t->name, t->payload ? t->payload : "null", &e);
    if (rc == 0) return;
    mt_err("dated work failed", "task", t->name, "error", e.message);
    struct mt_op op = {.type = MT_OP_TASK_DELETE, .task = {.n = t->n}};
    struct mt_batch batch = {.ops = &op, .count = 1};
    mt_writer_submit(g->writer, &batch);
}

/* ---- in order of time ---- */

/* Carries out what is due at the earliest instant not after `by`. False: nothing is. */
static bool carry_out_next(struct mt_engine *g, int64_t by)
{
    struct mt_delivery *deliveries = NULL;
    struct mt_task *tasks = NULL;
    size_t n = 0, m = 0;
    struct mt_error e;
    if (g->o.store->list_deliveries(g->o.store, NULL, by, TOGETHER, &deliveries, &n, &e) != 0) n = 0;
    if (g->o.store->list_tasks(g->o.store, by, 1, &tasks, &m, &e) != 0) m = 0;
    bool task_first = m && (!n || tasks[0].due_at < deliveries[0].next_at);
    int64_t at = task_first ? tasks[0].due_at : n ? deliveries[0].next_at : 0;
    if (n || m) {
        int64_t now = g->o.clock->wall_ms(g->o.clock);
        if (at > now && g->o.clock->advance) g->o.clock->advance(g->o.clock, at - now, &e);
        if (task_first) {
            run_task(g, &tasks[0]);
        } else {
            size_t together = 1; /* those of the same instant, or overdue, go together */
            now = g->o.clock->wall_ms(g->o.clock);
            while (together < n && deliveries[together].next_at <= (at > now ? at : now) &&
                   !(m && tasks[0].due_at < deliveries[together].next_at))
                together++;
            send_deliveries(g, deliveries, together);
        }
    }
    for (size_t i = 0; i < n; i++) mt_delivery_clear(&deliveries[i]);
    for (size_t i = 0; i < m; i++) mt_task_clear(&tasks[i]);
    free(deliveries);
    free(tasks);
    return n || m;
}

int mt_engine_advance(struct mt_engine *g, int64_t until_ms, struct mt_error *e)
{
    if (!g->o.clock->advance) return mt_fail(e, MT_UNSUPPORTED, "this clock cannot be moved");
    pthread_mutex_lock(&g->dated_lock);
    while (!atomic_load(&g->stopping) && carry_out_next(g, until_ms)) {}
    int64_t now = g->o.clock->wall_ms(g->o.clock);
    int rc = until_ms > now ? g->o.clock->advance(g->o.clock, until_ms - now, e) : 0;
    pthread_mutex_unlock(&g->dated_lock);
    return rc;
}

void dater_call(struct mt_engine *g)
{
    pthread_mutex_lock(&g->date_lock);
    g->date_wanted = true;
    pthread_cond_signal(&g->date_cond);
    pthread_mutex_unlock(&g->date_lock);
}

void *dater_main(void *engine)
{
    struct mt_engine *g = engine;
    for (;;) {
        pthread_mutex_lock(&g->date_lock);
        while (!g->date_wanted && !atomic_load(&g->stopping)) pthread_cond_wait(&g->date_cond, &g->date_lock);
        g->date_wanted = false;
        pthread_mutex_unlock(&g->date_lock);
        if (atomic_load(&g->stopping)) return NULL;
        pthread_mutex_lock(&g->dated_lock);
        while (!atomic_load(&g->stopping) && carry_out_next(g, g->o.clock->wall_ms(g->o.clock))) {}
        pthread_mutex_unlock(&g->dated_lock);
        g->o.clock->wake(g->o.clock); /* the timer looks again */
    }
}
