/* The engine: runs, their journals, timers, events, deliveries and dated work, on a store. It knows nothing
 * of Lua (script.h) and little of providers (provider.h). One struct holds all its state; several may live in
 * one process (tests). */
#pragma once
#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "crypto/crypto.h"
#include "engine/effect.h"
#include "engine/script.h"
#include "http/client.h"
#include "providers/provider.h"
#include "store/store.h"
#include "store/writer.h"

struct mt_engine;

#define MT_WORKERS_DEFAULT 2048

/* How long what is over is kept, in ms; MT_NEVER, or 0: for ever. */
struct mt_retention {
    int64_t runs_ms;       /* ended runs, earlier segments of those that go on, read events, deliveries */
    int64_t unread_ms;     /* events that nobody has read; not shorter */
    int64_t tombstones_ms; /* of ended runs, since their end, and sources of events */
};

struct mt_engine_options {
    struct mt_store *store; /* borrowed; all of these outlive the engine */
    struct mt_clock *clock;
    struct mt_random *random;
    struct mt_transport *transport;
    struct mt_providers *providers; /* NULL: the sandbox, which has none */
    struct mt_script *script;
    const struct mt_seal_key
        *key; /* seals requests and secrets, derives idempotency keys and tokens, keys digests */
    const char *public_url; /* "http://127.0.0.1:8080" */
    int workers;            /* most flow workers; 0: MT_WORKERS_DEFAULT. The sandbox passes -1: none */
    int64_t worker_idle_ms; /* a worker beyond the first 64 that has nothing to do so long ends; 0: 10,000 */
    size_t entries_warn, entries_max; /* journal entries of a segment; 0: 2,000 and 50,000 */
    struct mt_retention retention;
    int64_t nap_max_ms; /* a wait inside an effect up to this long is slept by its worker, a longer one is a
                           timer; 0: 1,000; -1: none */
    /* Called after each commit that changed something others may see: name ("run", "event", "generation",
     * "delivery") and JSON. Any thread; must be quick. NULL: nobody listens. */
    void (*changed)(void *ctx, const char *name, const char *json);
    /* Whether anybody listens to `changed` at present: what nobody hears is not written out. NULL: always. */
    bool (*listening)(void *ctx);
    void *ctx;
};

struct mt_engine *mt_engine_new(const struct mt_engine_options *o, struct mt_error *e);
/* Workers and timer begin. Runs that were under way when the last process died are queued already (the store
 * saw to it). */
int mt_engine_start(struct mt_engine *g, struct mt_error *e);
/* Takes no more runs, lets executions reach their next durable point, stops threads. */
void mt_engine_stop(struct mt_engine *g);
void mt_engine_free(struct mt_engine *g);
struct mt_writer *mt_engine_writer(struct mt_engine *g);

/* ---- runs ---- */

struct mt_start {
    const char *flow;
    const char *input; /* JSON object text as the caller gave it */
    const char *key;   /* or NULL */
    bool waited;       /* somebody waits for its end: it goes first */
};
/* Validates and starts. 0: *run filled (caller clears), *existing tells whether it was there. -1:
 * MT_NOT_FOUND, MT_INVALID_REQUEST, MT_CONFLICT (key reused with other input), MT_UNAVAILABLE (queue full),
 * MT_FULL. */
int mt_engine_start_run(struct mt_engine *g, const struct mt_start *s, struct mt_run *run, bool *existing,
                        struct mt_error *e);
/* Both in one, without a way for the end to come unseen between them. */
int mt_engine_start_wait(struct mt_engine *g, const struct mt_start *s, int64_t timeout_ms,
                         struct mt_run *run, bool *existing, struct mt_error *e);
/* Blocks until the run has ended or needs attention, or the real time has passed; *run is the run as it is
 * then. */
int mt_engine_wait(struct mt_engine *g, const char *run_id, int64_t timeout_ms, struct mt_run *run,
                   struct mt_error *e);
int mt_engine_cancel(struct mt_engine *g, const char *run_id, const char *reason, struct mt_run *run,
                     struct mt_error *e);
int mt_engine_retry(struct mt_engine *g, const char *run_id, struct mt_run *run, struct mt_error *e);
/* outcome done (value: JSON) | rejected | not_sent (error: JSON object or NULL). `segment`: of the effect;
 * when the run is in another by now, MT_CONFLICT: positions begin anew in each, and a resolution that is sent
 * again must not settle another effect. Negative: whatever the run is in. */
int mt_engine_resolve(struct mt_engine *g, const char *run_id, int segment, int seq, enum mt_outcome outcome,
                      const char *value, const char *error, struct mt_run *run, struct mt_error *e);
/* source NULL: not deduplicated. *n: the event's number; *duplicate (may be NULL). */
int mt_engine_signal(struct mt_engine *g, const char *topic, const char *key, const char *payload,
                     const char *source, int64_t *n, bool *duplicate, struct mt_error *e);
/* A run in the JSON of DESIGN.md section 8; a journal entry as one; money plain, secrets masked. Appended. */
void mt_run_to_json(struct mt_engine *g, const struct mt_run *run, struct mt_buf *out);
void mt_entry_to_json(struct mt_engine *g, const struct mt_entry *entry, struct mt_buf *out);
void mt_event_to_json(const struct mt_event *event, struct mt_buf *out);
void mt_delivery_to_json(const struct mt_delivery *delivery, struct mt_buf *out);

/* Checkout tokens: the run's id and a MAC. */
void mt_engine_token(struct mt_engine *g, const char *run_id, char out[96]);
bool mt_engine_token_run(struct mt_engine *g, const char *token, char run_id[MT_ID_SIZE]);

/* Keeps a generation's files in the store, with the definitions of providers that its scripts gave (a list;
 * NULL: none), so that its runs go on by them with no script loaded. Idempotent. */
int mt_engine_keep_generation(struct mt_engine *g, const char *id, const char *settings,
                              const char *const *names, const char *const *texts, const size_t *lens,
                              size_t count, const json_t *providers, struct mt_error *e);
/* From now on this one's providers take webhooks and are listed. It has been kept. */
int mt_engine_publish_generation(struct mt_engine *g, const char *id, struct mt_error *e);

/* ---- schedules ---- */

/* What runs by the clock: {"data":[{"name","flow","when",...,"next_at","last_at","last_run"}],...}. Appended.
 */
void mt_engine_schedules(struct mt_engine *g, struct mt_buf *out);

/* ---- webhooks ---- */

/* POST /webhooks/{provider}: verifies, stores the hints durably, answers. secret_url: ?s= matched. */
void mt_engine_webhook(struct mt_engine *g, const char *provider, bool secret_url,
                       const struct mt_request *req, struct mt_response *resp);

/* ---- handlers ---- */

/* A handler's transaction. Begin, execute the handler with the exec as its context, then commit: 0 done; 1
 * another changed what it read: begin anew and run it again (at most 16 times, then MT_CONFLICT); -1 failed.
 * End always. */
struct mt_exec *mt_handler_begin(struct mt_engine *g, const char *name);
int mt_handler_commit(struct mt_exec *x, struct mt_error *e);
/* For a handler that raised: whether another has changed a document since it was read. What it complains of
 * may then have come of seeing some documents before that change and others after it: run it again. */
bool mt_handler_overtaken(struct mt_exec *x);
/* Whose scripts the handler's are: its reads go to the providers that they define. */
void mt_handler_generation(struct mt_exec *x, const char *id);
/* The handler carries out dated work number `n`: its commit takes the task out of the store, or fails when it
 * is gone. */
void mt_handler_task(struct mt_exec *x, int64_t n);
void mt_handler_end(struct mt_exec *x);

/* ---- operators ---- */

/* A handler's execution that a person drives, at a console: each of its effects is committed by itself, at
 * once, and what changes something is asked for first. */
struct mt_operation_asked {
    const char *name; /* "mintro.refunds.create" */
    const struct mt_operation *row;
    const struct mt_account *account;
    const json_t *values; /* the parameters */
    const char *params;   /* the same as the JSON of values, exact */
    size_t len;
    const char *shown; /* for people: secrets masked */
};
struct mt_operator {
    void *ctx;
    /* Before an effect that changes something: what ("flow.start"), of whom ("checkout"), with what (JSON of
     * values). 0; -1 and *e: it is refused. */
    int (*allow)(void *ctx, const char *what, const char *name, const char *json, struct mt_error *e);
    /* After it, when it was allowed: what it answered (JSON of values), or why it failed. */
    void (*done)(void *ctx, const char *what, const char *json, const struct mt_error *e);
    /* An operation that is no read. 0: *answer is its value, 1: *answer is the error to raise, -1: *e is. */
    int (*operate)(void *ctx, const struct mt_operation_asked *asked, struct mt_buf *answer,
                   struct mt_error *e);
};
void mt_handler_operator(struct mt_exec *x, const struct mt_operator *o);
bool mt_exec_operated(const struct mt_exec *x);
/* After each effect of an operator's: commits what it has written, now. A refusal takes the answer's place.
 */
void mt_handler_settle(struct mt_exec *x, struct mt_answer *a);
/* The answer of an ended run's effect as its script had it, opened where it is sealed: 0 value, 1 error (both
 * JSON of values), -1 and *e. MT_NOT_FOUND: there is none yet. */
int mt_engine_effect_answer(struct mt_engine *g, const char *run_id, int segment, int seq, struct mt_buf *out,
                            struct mt_error *e);

/* Deliveries and dated work due by `until_ms`, in order of their time, on this thread, moving the clock along
 * with each (sandbox: POST /_sandbox/clock). Returns when all are done and the clock reads until_ms. */
int mt_engine_advance(struct mt_engine *g, int64_t until_ms, struct mt_error *e);
/* Attempts one delivery again now, whatever its state. */
int mt_engine_redeliver(struct mt_engine *g, const char *delivery_id, struct mt_error *e);
/* Empties the store but for its own settings (sandbox: DELETE /_sandbox/state). */
int mt_engine_wipe(struct mt_engine *g, struct mt_error *e);

/* Appends Prometheus text: runs by state, effects, commits and their sizes, timer lag, queue lengths. */
void mt_engine_metrics(struct mt_engine *g, struct mt_buf *out);
