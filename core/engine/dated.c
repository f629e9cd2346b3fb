/* Dated work: outgoing webhooks, handlers' tasks and schedules, carried out in order of their time by one
 * thread at a time (the dater, or whoever moves the clock). A task leaves the store in the batch of what its
 * handler writes, so it is carried out once; a delivery whose attempt could not be noted is attempted again:
 * its receiver may see it twice. */
#include "base/sync.h"
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define TOGETHER 16
#define DELIVERY_TIMEOUT_MS 10000
#define TROUBLE_MS 1000 /* before dated work is tried again when the store would not have it */

/* ---- deliveries ---- */

static bool accepted(const struct mt_delivery *d, const struct mt_http_response *resp) {
    if (resp->status < 200 || resp->status > 299) return false;
    return !d->accept ||
           (resp->body.len == strlen(d->accept) && memcmp(resp->body.data, d->accept, resp->body.len) == 0);
}

static void build_delivery(const struct mt_delivery *d, struct mt_http_request *req) {
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
    json_object_foreach(headers, name, value) if (json_is_string(value))
        mt_headers_set(&req->headers, name, json_string_value(value));
    json_decref(headers);
}

/* Notes an attempt and says when the next one is. False: the store would not have it. */
static bool note_attempt(struct mt_engine *g, struct mt_delivery *d, const struct mt_http_response *resp,
                         const struct mt_error *failed) {
    struct mt_error e;
    int64_t now = g->o.clock->wall_ms(g->o.clock);
    char at[25];
    json_t *log = d->log ? mt_json_parse(d->log, strlen(d->log), &e) : NULL;
    json_t *schedule = d->schedule ? mt_json_parse(d->schedule, strlen(d->schedule), &e) : NULL;
    if (!log) log = json_array();
    mt_time_format(now, at);
    bool ok = !failed && accepted(d, resp);
    json_array_append_new(log, json_pack("{s:s, s:i, s:s?}", "at", at, "status", failed ? 0 : resp->status,
                                         "error",
                                         failed ? failed->message
                                         : ok   ? NULL
                                                : "not accepted"));
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
    if (mt_writer_submit(g->writer, &batch) != 0) {
        mt_warn("a delivery's attempt could not be noted", "delivery", d->id, "error", batch.error.message);
        return false;
    }
    if (engine_heard(g)) {
        struct mt_buf b;
        mt_buf_init(&b, 4 * MT_VALUE_MAX);
        mt_delivery_to_json(d, &b);
        if (mt_buf_ok(&b)) g->o.changed(g->o.ctx, "delivery", b.data);
        mt_buf_clear(&b);
    }
    return true;
}

struct sending {
    struct mt_engine *g;
    struct mt_delivery *deliveries;
    struct mt_http_response *resps;
    struct mt_error *errors;
    bool trouble;
};

static void sent(void *ctx, size_t i, bool failed) {
    struct sending *s = ctx;
    if (!note_attempt(s->g, &s->deliveries[i], &s->resps[i], failed ? &s->errors[i] : NULL))
        s->trouble = true;
}

/* False: an attempt could not be noted. */
static bool send_deliveries(struct mt_engine *g, struct mt_delivery *deliveries, size_t n) {
    struct mt_http_request *reqs = mt_calloc(n, sizeof *reqs);
    struct sending s = {.g = g,
                        .deliveries = deliveries,
                        .resps = mt_calloc(n, sizeof *s.resps),
                        .errors = mt_calloc(n, sizeof *s.errors)};
    for (size_t i = 0; i < n; i++) build_delivery(&deliveries[i], &reqs[i]);
    g->o.transport->perform_all(g->o.transport, n, reqs, s.resps, s.errors, sent, &s);
    for (size_t i = 0; i < n; i++) {
        mt_http_request_clear(&reqs[i]);
        mt_http_response_clear(&s.resps[i]);
    }
    free(reqs);
    free(s.resps);
    free(s.errors);
    return !s.trouble;
}

int mt_engine_redeliver(struct mt_engine *g, const char *delivery_id, struct mt_error *e) {
    struct mt_delivery d;
    if (g->o.store->get_delivery(g->o.store, delivery_id, &d, e) != 0) return -1;
    int rc = 0;
    mt_lock(&g->dated_lock);
    if (d.url && !send_deliveries(g, &d, 1))
        rc = mt_fail(e, MT_STORE, "the attempt to deliver %s could not be noted", delivery_id);
    mt_unlock(&g->dated_lock);
    if (!d.url)
        rc = mt_fail(e, MT_CONFLICT, "delivery %s has nowhere to go: no endpoint was set when it happened",
                     delivery_id);
    mt_delivery_clear(&d);
    return rc;
}

/* ---- tasks ---- */

/* Whether it was no fault of the task's that it could not be carried out. */
static bool passing(const struct mt_error *e) {
    return e->kind == MT_UNAVAILABLE || e->kind == MT_FULL || e->kind == MT_STORE;
}

/* Its handler takes the task out of the store with what it writes. One that fails by its own fault goes too:
 * it would fail again, and what comes after it must not wait. False: try again later. */
static bool run_task(struct mt_engine *g, const struct mt_task *t) {
    struct mt_error e = {0};
    if (g->o.script->task(g->o.script, t->n, t->name, t->payload ? t->payload : "null", &e) == 0) return true;
    mt_err(passing(&e) ? "dated work has to wait" : "dated work failed and is dropped", "task", t->name,
           "error", e.message);
    if (passing(&e)) return false;
    struct mt_op op = {.type = MT_OP_TASK_DELETE, .task = {.n = t->n}};
    struct mt_batch batch = {.ops = &op, .count = 1};
    return mt_writer_submit(g->writer, &batch) == 0 || op.result == MT_RES_MISSING;
}

/* ---- in order of time ---- */

enum dated { DATED_NONE, DATED_DONE, DATED_TROUBLE };

static void move_clock(struct mt_engine *g, int64_t to) {
    struct mt_error e;
    int64_t now = g->o.clock->wall_ms(g->o.clock);
    if (to > now && g->o.clock->advance) g->o.clock->advance(g->o.clock, to - now, &e);
}

/* Deliveries of the same instant, or overdue, go together, up to the next task. */
static bool deliver(struct mt_engine *g, struct mt_delivery *deliveries, size_t n,
                    const struct mt_task *next) {
    int64_t now = g->o.clock->wall_ms(g->o.clock), at = deliveries[0].next_at;
    size_t together = 1;
    while (together < n && deliveries[together].next_at <= (at > now ? at : now) &&
           !(next && next->due_at < deliveries[together].next_at))
        together++;
    return send_deliveries(g, deliveries, together);
}

/* Carries out what is due at the earliest instant not after `by`. */
static enum dated carry_out_next(struct mt_engine *g, int64_t by) {
    struct mt_delivery *deliveries = NULL;
    struct mt_task *tasks = NULL;
    size_t n = 0, m = 0;
    struct mt_error e;
    enum dated result = DATED_NONE;
    int64_t scheduled;
    int late = late_carry_out(g); /* overdue already */
    if (late != 0) return late > 0 ? DATED_DONE : DATED_TROUBLE;
    if (schedules_next(g, &scheduled) != 0) return DATED_TROUBLE;
    if (g->o.store->list_deliveries(g->o.store, NULL, by, TOGETHER, &deliveries, &n, &e) != 0 ||
        g->o.store->list_tasks(g->o.store, by, 1, &tasks, &m, &e) != 0) {
        mt_err("dated work could not be read", "error", e.message);
        result = DATED_TROUBLE;
    } else if (scheduled <= by && (!m || scheduled <= tasks[0].due_at) &&
               (!n || scheduled <= deliveries[0].next_at)) {
        move_clock(g, scheduled);
        result = schedules_carry_out(g) == 0 ? DATED_DONE : DATED_TROUBLE;
    } else if (m && (!n || tasks[0].due_at < deliveries[0].next_at)) {
        move_clock(g, tasks[0].due_at);
        result = run_task(g, &tasks[0]) ? DATED_DONE : DATED_TROUBLE;
    } else if (n) {
        move_clock(g, deliveries[0].next_at);
        result = deliver(g, deliveries, n, m ? &tasks[0] : NULL) ? DATED_DONE : DATED_TROUBLE;
    }
    for (size_t i = 0; i < n; i++) mt_delivery_clear(&deliveries[i]);
    for (size_t i = 0; i < m; i++) mt_task_clear(&tasks[i]);
    free(deliveries);
    free(tasks);
    return result;
}

int mt_engine_advance(struct mt_engine *g, int64_t until_ms, struct mt_error *e) {
    enum dated dated = DATED_DONE;
    if (!g->o.clock->advance) return mt_fail(e, MT_UNSUPPORTED, "this clock cannot be moved");
    mt_lock(&g->dated_lock);
    while (!atomic_load(&g->stopping) && dated == DATED_DONE) dated = carry_out_next(g, until_ms);
    int64_t now = g->o.clock->wall_ms(g->o.clock);
    int rc = 0;
    if (dated != DATED_NONE)
        rc = mt_fail(e, MT_UNAVAILABLE,
                     "dated work could not be carried out; the clock stands where it came to");
    else if (until_ms > now)
        rc = g->o.clock->advance(g->o.clock, until_ms - now, e);
    mt_unlock(&g->dated_lock);
    return rc;
}

void dater_call(struct mt_engine *g) {
    mt_lock(&g->date_lock);
    g->date_wanted = true;
    mt_cond_signal(&g->date_cond);
    mt_unlock(&g->date_lock);
}

void *dater_main(void *engine) {
    struct mt_engine *g = engine;
    for (;;) {
        mt_lock(&g->date_lock);
        while (!g->date_wanted && !atomic_load(&g->stopping))
            mt_cond_wait(&g->date_cond, &g->date_lock, MT_NO_DEADLINE);
        g->date_wanted = false;
        mt_unlock(&g->date_lock);
        if (atomic_load(&g->stopping)) return NULL;
        mt_lock(&g->dated_lock);
        enum dated dated = DATED_DONE;
        while (!atomic_load(&g->stopping) && dated == DATED_DONE)
            dated = carry_out_next(g, g->o.clock->wall_ms(g->o.clock));
        mt_unlock(&g->dated_lock);
        if (dated == DATED_TROUBLE) engine_nap(g, TROUBLE_MS);
        g->o.clock->wake(g->o.clock); /* the timer looks again */
    }
}
