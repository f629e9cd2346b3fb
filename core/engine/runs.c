/* Runs from outside: starting, waiting for an end, and what a person may do to one. Waiters stand in buckets
 * by run id; one who is there before the run's row is read cannot miss its end. Any thread. */
#include "base/sync.h"
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

void run_copy(struct mt_run *to, const struct mt_run *from) {
    *to = *from;
    to->key = mt_strdup(from->key);
    to->input = mt_strdup(from->input);
    to->progress = mt_strdup(from->progress);
    to->output = mt_strdup(from->output);
    to->error = mt_strdup(from->error);
    to->waiting_for = mt_strdup(from->waiting_for);
    to->cursors = mt_strdup(from->cursors);
    to->cancel_reason = mt_strdup(from->cancel_reason);
    to->moves = mt_strdup(from->moves);
}

/* ---- waiting for an end ---- */

static struct wait_bucket *bucket_of(struct mt_engine *g, const char *run_id) {
    uint32_t h = 2166136261u;
    for (const char *p = run_id; *p; p++) h = (h ^ (unsigned char)*p) * 16777619u;
    return &g->waits[h % WAIT_BUCKETS];
}

static void waiter_add(struct mt_engine *g, struct waiter *w, const char *run_id) {
    struct wait_bucket *b = bucket_of(g, run_id);
    memset(w, 0, sizeof *w);
    mt_copy(w->run_id, sizeof w->run_id, run_id);
    pthread_mutex_lock(&b->lock);
    w->next = b->first;
    b->first = w;
    pthread_mutex_unlock(&b->lock);
}

static void waiter_remove(struct mt_engine *g, struct waiter *w) {
    struct wait_bucket *b = bucket_of(g, w->run_id);
    pthread_mutex_lock(&b->lock);
    for (struct waiter **p = &b->first; *p; p = &(*p)->next)
        if (*p == w) {
            *p = w->next;
            break;
        }
    pthread_mutex_unlock(&b->lock);
    if (w->answered) mt_run_clear(&w->run);
}

/* Under the bucket's lock, which keeps the waiter there. */
static void wake(struct waiter *w) {
    __atomic_fetch_add(&w->news, 1, __ATOMIC_RELEASE);
    mt_futex_wake(&w->news);
}

void runs_notify(struct mt_engine *g, const struct mt_run *run) {
    struct wait_bucket *b = bucket_of(g, run->id);
    pthread_mutex_lock(&b->lock);
    for (struct waiter *w = b->first; w; w = w->next) {
        if (w->answered || strcmp(w->run_id, run->id) != 0) continue;
        run_copy(&w->run, run);
        w->answered = true;
        wake(w);
    }
    pthread_mutex_unlock(&b->lock);
}

void runs_lost(struct mt_engine *g, const char *run_id) {
    struct wait_bucket *b = bucket_of(g, run_id);
    pthread_mutex_lock(&b->lock);
    for (struct waiter *w = b->first; w; w = w->next) {
        if (strcmp(w->run_id, run_id) != 0) continue;
        w->lost = true;
        wake(w);
    }
    pthread_mutex_unlock(&b->lock);
}

void waits_stop(struct mt_engine *g) {
    for (int i = 0; i < WAIT_BUCKETS; i++) {
        pthread_mutex_lock(&g->waits[i].lock);
        for (struct waiter *w = g->waits[i].first; w; w = w->next) wake(w);
        pthread_mutex_unlock(&g->waits[i].lock);
    }
}

bool engine_heard(const struct mt_engine *g) {
    return g->o.changed && (!g->o.listening || g->o.listening(g->o.ctx));
}

void runs_changed(struct mt_engine *g, const struct mt_run *run) {
    if (!engine_heard(g)) return;
    struct mt_buf b;
    mt_buf_init(&b, 8 * MT_VALUE_MAX);
    mt_run_to_json(g, run, &b);
    if (mt_buf_ok(&b)) g->o.changed(g->o.ctx, "run", b.data);
    mt_buf_clear(&b);
}

static int64_t real_time_in(int64_t ms) {
    return mt_mono_ns() + (ms < 0 ? 0 : ms) * 1000000;
}

/* True: *run is the run at its end (or in need of attention). False: the time is over, the engine stops, or
 * (told only when asked for) an execution was lost. */
static bool waiter_wait(struct mt_engine *g, struct waiter *w, int64_t until, bool *lost,
                        struct mt_run *run) {
    struct wait_bucket *b = bucket_of(g, w->run_id);
    bool answered, in_time = true;
    for (;;) {
        uint32_t news = __atomic_load_n(&w->news, __ATOMIC_ACQUIRE);
        pthread_mutex_lock(&b->lock);
        answered = w->answered;
        if (lost) *lost = w->lost;
        if (answered) {
            *run = w->run;
            memset(&w->run, 0, sizeof w->run);
            w->answered = false;
        }
        pthread_mutex_unlock(&b->lock);
        if (answered || (lost && *lost) || !in_time || atomic_load(&g->stopping)) return answered;
        in_time = mt_futex_wait(&w->news, news, until);
    }
}

int mt_engine_wait(struct mt_engine *g, const char *run_id, int64_t timeout_ms, struct mt_run *run,
                   struct mt_error *e) {
    struct waiter w;
    int rc;
    waiter_add(g, &w, run_id);
    rc = g->o.store->get_run(g->o.store, run_id, run, e);
    if (rc == 0 && !mt_run_ended(run->state) && run->state != MT_RUN_NEEDS_ATTENTION) {
        struct mt_run ended;
        int64_t until = real_time_in(timeout_ms);
        if (waiter_wait(g, &w, until, NULL, &ended)) {
            mt_run_clear(run);
            *run = ended;
        } else {
            mt_run_clear(run);
            rc = g->o.store->get_run(g->o.store, run_id, run, e);
        }
    }
    waiter_remove(g, &w);
    return rc;
}

/* ---- starting ---- */

struct starting {
    char id[MT_ID_SIZE], generation[80], digest[33];
    int64_t at;
    struct mt_buf normal; /* the input's normal form, sealed */
    struct mt_op op;
    struct mt_batch batch;
    bool early;            /* handed to a worker before its row is durable */
    struct waiter *waiter; /* or NULL */
};

static int check_start(struct mt_engine *g, const struct mt_start *s, struct starting *t,
                       struct mt_error *e) {
    struct mt_script *script = g->o.script;
    if (s->key && (!s->key[0] || strlen(s->key) >= MT_KEY_MAX))
        return mt_fail(e, MT_INVALID_REQUEST, "key: found %zu bytes, wanted 1 to %d", strlen(s->key),
                       MT_KEY_MAX - 1);
    if (atomic_load(&g->stopping) || mt_writer_busy(g->writer)) {
        mt_fail(e, MT_UNAVAILABLE, "the runtime is busy or stopping: try again in a moment");
        e->retryable = true;
        return -1;
    }
    script->current(script, t->generation);
    if (script->check_input(script, t->generation, s->flow, s->input, &t->normal, e) != 0) return -1;
    engine_digest(g, t->normal.data, t->normal.len, t->digest);
    t->at = g->o.clock->wall_ms(g->o.clock);
    mt_id_new("run_", t->at, g->o.random, t->id);
    return secrets_seal(g, t->id, 0, &t->normal, e);
}

/* The run as its row will be. */
static void describe(struct mt_engine *g, const struct mt_start *s, const struct starting *t,
                     struct mt_run *run) {
    bool claimed = t->op.start.claim;
    memset(run, 0, sizeof *run);
    mt_copy(run->id, sizeof run->id, t->id);
    mt_copy(run->flow, sizeof run->flow, s->flow);
    mt_copy(run->generation, sizeof run->generation, t->generation);
    run->key = mt_strdup(s->key);
    run->state = claimed ? MT_RUN_RUNNING : MT_RUN_QUEUED;
    run->owner = claimed ? g->o.store->epoch : 0;
    run->due_at = claimed ? MT_NEVER : t->op.start.at;
    run->input = mt_memdup(t->normal.data, t->normal.len);
    run->created_at = run->updated_at = t->op.start.at;
}

static void hand_over(struct mt_engine *g, const struct mt_start *s, const struct starting *t) {
    struct mt_run run;
    describe(g, s, t, &run);
    ready_push(g, &run);
}

/* Posts the start. A run without a key has nobody to stand in its way, so it may begin before its row is
 * durable: what it does is written in batches after this one, and nothing of it leaves before they are. */
static void post_start(struct mt_engine *g, const struct mt_start *s, struct starting *t) {
    t->op = (struct mt_op){.type = MT_OP_START,
                           .start = {.id = t->id,
                                     .flow = s->flow,
                                     .key = s->key,
                                     .input = t->normal.data,
                                     .input_digest = t->digest,
                                     .generation = t->generation,
                                     .claim = ready_room(g),
                                     .cls = s->waited ? MT_CLASS_WAITED : MT_CLASS_START,
                                     .at = t->at}};
    t->batch = (struct mt_batch){.epoch = g->o.store->epoch, .ops = &t->op, .count = 1, .optional = true};
    if (t->waiter) waiter_add(g, t->waiter, t->id);
    t->early = mt_writer_post(g->writer, &t->batch) && t->op.start.claim && !s->key;
    if (t->early) hand_over(g, s, t);
}

/* Whether the run is new, now that its start is decided; else *run is the one with its key, or *e says why
 * there is none. */
static bool start_decided(struct mt_engine *g, const struct mt_start *s, struct starting *t,
                          struct mt_run *run, bool *existing, int *rc, struct mt_error *e) {
    *rc = mt_writer_wait(g->writer, &t->batch);
    *existing = *rc == 0 && t->op.result == MT_RES_EXISTS;
    if (*rc == 0 && !*existing) return true;
    if (t->waiter) waiter_remove(g, t->waiter);
    if (*existing) {
        *run = t->op.start.existing;
        return false;
    }
    *e = t->batch.error;
    if (t->op.result == MT_RES_KEY_REUSED) {
        mt_run_clear(&t->op.start.existing);
        mt_fail(e, MT_CONFLICT, "the key '%s' was used for a run of %s with another input", s->key, s->flow);
        mt_copy(e->code, sizeof e->code, "key_reused");
    }
    return false;
}

int mt_engine_start_run(struct mt_engine *g, const struct mt_start *s, struct mt_run *run, bool *existing,
                        struct mt_error *e) {
    struct starting t = {.waiter = NULL};
    int rc = -1;
    mt_buf_init(&t.normal, MT_VALUE_MAX);
    *existing = false;
    if (check_start(g, s, &t, e) == 0) {
        post_start(g, s, &t);
        if (start_decided(g, s, &t, run, existing, &rc, e)) {
            describe(g, s, &t, run);
            if (t.op.start.claim && !t.early) hand_over(g, s, &t);
        }
    }
    mt_buf_clear(&t.normal);
    return rc;
}

/* One that began early is waited for at once; should its start fail after all, its execution is lost. */
static bool wait_for_early(struct mt_engine *g, struct waiter *w, struct starting *t, int64_t until,
                           struct mt_run *ended) {
    bool lost = false;
    if (waiter_wait(g, w, until, &lost, ended)) return true;
    if (lost && mt_writer_wait(g->writer, &t->batch) == 0) return waiter_wait(g, w, until, NULL, ended);
    return false;
}

int mt_engine_start_wait(struct mt_engine *g, const struct mt_start *s, int64_t timeout_ms,
                         struct mt_run *run, bool *existing, struct mt_error *e) {
    struct waiter w;
    struct starting t = {.waiter = &w};
    int64_t until = real_time_in(timeout_ms);
    bool answered = false;
    int rc = -1;
    mt_buf_init(&t.normal, MT_VALUE_MAX);
    *existing = false;
    if (check_start(g, s, &t, e) != 0) goto done;
    post_start(g, s, &t);
    if (t.early) answered = wait_for_early(g, &w, &t, until, run);
    if (!start_decided(g, s, &t, run, existing, &rc, e)) {
        if (*existing && !mt_run_ended(run->state)) {
            mt_run_clear(run);
            rc = mt_engine_wait(g, t.op.start.existing.id, timeout_ms, run, e);
        }
        goto done;
    }
    if (t.op.start.claim && !t.early) hand_over(g, s, &t);
    if (!answered) answered = waiter_wait(g, &w, until, NULL, run);
    if (!answered) rc = g->o.store->get_run(g->o.store, t.id, run, e);
    waiter_remove(g, &w);
done:
    mt_buf_clear(&t.normal);
    return rc;
}

/* ---- what a person does ---- */

static int by_hand(struct mt_engine *g, struct mt_op *op, const char *run_id, const char *verb,
                   struct mt_run *run, struct mt_error *e) {
    struct mt_batch batch = {.ops = op, .count = 1};
    if (mt_writer_submit(g->writer, &batch) != 0) {
        *e = batch.error;
        if (op->result == MT_RES_MISSING && op->type != MT_OP_RESOLVE) {
            mt_fail(e, MT_NOT_FOUND, "there is no run %s", run_id);
        } else if (op->result == MT_RES_FORBIDDEN && g->o.store->get_run(g->o.store, run_id, run, e) == 0) {
            bool answered = run->state == MT_RUN_NEEDS_ATTENTION && op->type == MT_OP_RESOLVE;
            if (answered)
                *e = batch.error;
            else
                mt_fail(e, MT_CONFLICT, "run %s is %s: it cannot be %s", run_id,
                        mt_run_state_name(run->state), verb);
            mt_run_clear(run);
        }
        return -1;
    }
    if (g->o.store->get_run(g->o.store, run_id, run, e) != 0) return -1;
    runs_changed(g, run);
    return 0;
}

int mt_engine_cancel(struct mt_engine *g, const char *run_id, const char *reason, struct mt_run *run,
                     struct mt_error *e) {
    struct mt_op op = {
        .type = MT_OP_CANCEL,
        .cancel = {.run = run_id, .reason = reason ? reason : "", .at = g->o.clock->wall_ms(g->o.clock)}};
    return by_hand(g, &op, run_id, "cancelled", run, e);
}

/* Once a compensation has begun, going back to the script would pay for what was given back. */
static int compensation_begun(struct mt_engine *g, const char *run_id, struct mt_error *e) {
    struct mt_run run;
    struct mt_entry *entries = NULL;
    size_t count = 0;
    bool begun = false;
    if (g->o.store->get_run(g->o.store, run_id, &run, e) != 0) return -1;
    int rc = g->o.store->read_journal(g->o.store, run_id, run.segment, &entries, &count, e);
    for (size_t i = 0; i < count; i++) {
        begun = begun || strcmp(entries[i].kind, "compensate") == 0;
        mt_entry_clear(&entries[i]);
    }
    free(entries);
    mt_run_clear(&run);
    if (rc != 0) return -1;
    return begun
               ? mt_fail(e, MT_CONFLICT,
                         "run %s has begun to compensate: it cannot be retried; resolve what is open", run_id)
               : 0;
}

int mt_engine_retry(struct mt_engine *g, const char *run_id, struct mt_run *run, struct mt_error *e) {
    struct mt_op op = {.type = MT_OP_RETRY, .retry = {.run = run_id, .at = g->o.clock->wall_ms(g->o.clock)}};
    if (compensation_begun(g, run_id, e) != 0) return -1;
    return by_hand(g, &op, run_id, "retried (only one that needs attention can)", run, e);
}

/* What a person says became of an effect, as a script will hear it. NULL: malformed. */
static char *resolution(enum mt_outcome outcome, const char *value, const char *error, size_t *len,
                        struct mt_error *e) {
    const char *text = outcome == MT_DONE ? (value ? value : "null") : (error ? error : "{}");
    json_t *result = mt_json_parse(text, strlen(text), e);
    if (!result || (outcome != MT_DONE && !json_is_object(result))) {
        json_decref(result);
        return mt_fail_null(e, MT_INVALID_REQUEST, "%s: wanted %s", outcome == MT_DONE ? "value" : "error",
                            outcome == MT_DONE ? "JSON" : "a JSON object");
    }
    if (outcome != MT_DONE) {
        if (!json_object_get(result, "kind")) json_object_set_new(result, "kind", json_string("conflict"));
        if (!json_object_get(result, "message"))
            json_object_set_new(result, "message", json_string("settled by hand as not done"));
        json_object_set_new(result, "outcome", json_string(mt_outcome_name(outcome)));
    }
    char *dump = mt_json_dump(result, len);
    json_decref(result);
    return dump;
}

/* Whether the effect's answers are sealed: then what a person gives for one is too. */
static bool seals(struct mt_engine *g, const struct mt_run *run, int seq) {
    struct mt_entry *entries = NULL;
    struct mt_error e;
    size_t count = 0;
    bool sealed = false;
    struct mt_provider_set *set;
    if (g->o.store->read_journal(g->o.store, run->id, run->segment, &entries, &count, &e) != 0) return false;
    if (engine_providers(g, run->generation, &set, &e) != 0) set = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct mt_account *account;
        bool here = entries[i].seq == seq && g->o.providers;
        const struct mt_operation *op =
            here ? mt_operation_find_in(g->o.providers, set, entries[i].name, &account, &e) : NULL;
        sealed = sealed || (op && op->sealed_result);
        mt_entry_clear(&entries[i]);
    }
    mt_provider_set_release(set);
    free(entries);
    return sealed;
}

int mt_engine_resolve(struct mt_engine *g, const char *run_id, int segment, int seq, enum mt_outcome outcome,
                      const char *value, const char *error, struct mt_run *run, struct mt_error *e) {
    struct mt_run now;
    size_t len;
    if (outcome != MT_DONE && outcome != MT_REJECTED && outcome != MT_NOT_SENT)
        return mt_fail(e, MT_INVALID_REQUEST, "outcome: wanted done, rejected or not_sent");
    if (g->o.store->get_run(g->o.store, run_id, &now, e) != 0) return -1;
    if (segment >= 0 && segment != now.segment) {
        mt_fail(e, MT_CONFLICT, "run %s is in segment %d by now; effect %d of segment %d is over", run_id,
                now.segment, seq, segment);
        mt_run_clear(&now);
        return -1;
    }
    char *text = resolution(outcome, value, error, &len, e);
    if (!text) {
        mt_run_clear(&now);
        return -1;
    }
    bool sealed = outcome == MT_DONE && seals(g, &now, seq);
    if (sealed) {
        char *opened = text;
        text = seal_text(g, run_id, now.segment, seq, opened, len);
        free(opened);
    }
    struct mt_op op = {.type = MT_OP_RESOLVE,
                       .resolve = {.run = run_id,
                                   .segment = now.segment,
                                   .seq = seq,
                                   .outcome = outcome,
                                   .result = text,
                                   .sealed = sealed,
                                   .at = g->o.clock->wall_ms(g->o.clock)}};
    int rc = by_hand(g, &op, run_id, "resolved (only one that needs attention can)", run, e);
    if (rc != 0 && op.result == MT_RES_MISSING)
        mt_fail(e, MT_CONFLICT, "run %s has no open effect number %d", run_id, seq);
    free(text);
    mt_run_clear(&now);
    return rc;
}

int mt_engine_signal(struct mt_engine *g, const char *topic, const char *key, const char *payload,
                     const char *source, int64_t *n, bool *duplicate, struct mt_error *e) {
    json_t *value = mt_json_parse(payload, strlen(payload), e);
    if (!value) return mt_error_wrap(e, "payload");
    json_decref(value);
    if (!topic[0] || strlen(topic) >= MT_NAME_MAX || !key[0] || strlen(key) >= MT_KEY_MAX)
        return mt_fail(e, MT_INVALID_REQUEST, "topic: wanted 1 to %d bytes; key: wanted 1 to %d bytes",
                       MT_NAME_MAX - 1, MT_KEY_MAX - 1);
    struct mt_op op = {.type = MT_OP_EVENT,
                       .event = {.topic = topic,
                                 .key = key,
                                 .payload = payload,
                                 .source = source,
                                 .at = g->o.clock->wall_ms(g->o.clock)}};
    struct mt_batch batch = {.ops = &op, .count = 1};
    if (mt_writer_submit(g->writer, &batch) != 0) {
        *e = batch.error;
        return -1;
    }
    if (n) *n = op.event.n;
    if (duplicate) *duplicate = op.result == MT_RES_DUPLICATE;
    return 0;
}
