/* Effects: the only way out of a script. Each function answers from the journal while the run replays, and
 * does the work and journals it afterwards. Parameters are the JSON text of values; `site` is the script line
 * ("checkout.lua:31"). One mt_exec belongs to one execution on one thread. It serves two kinds of executions:
 *   a run      every effect;
 *   a handler  reads, collections, start, signal, deliveries and tasks, all in one transaction that is
 * committed when the handler returns (and the handler is run again when another changed what it read); other
 * effects are refused with MT_SCRIPT, naming flow.start. */
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <stdint.h>

struct mt_exec;

enum mt_step {
    MT_STEP_ANSWER, /* json is the effect's value */
    MT_STEP_RAISE,  /* error_json is to be raised as an error table ("mintage.error") */
    MT_STEP_BUG,    /* error.message is to be raised as a plain error at the caller: the script's mistake */
    MT_STEP_LEAVE   /* leave the execution at once (mt_vm_leave): suspended, parked, cancelled, continued */
};

struct mt_answer {
    enum mt_step step;
    const char *json; /* ANSWER: the value; RAISE: the error. Borrowed from the exec until its next effect */
    size_t len;
    struct mt_error error; /* BUG */
};

bool mt_exec_is_handler(const struct mt_exec *x);
/* flow.now(): the last journal entry's time (a handler's: its arrival). Never goes backwards. */
int64_t mt_exec_now(struct mt_exec *x);
/* Deterministic bytes derived from run, segment and a counter; the counter advances. In a handler: truly
 * random. */
void mt_exec_random(struct mt_exec *x, void *out, size_t len);
/* Sealing and MACs for scripts, under keys of the program's own that no script sees. The same text at the
 * same place seals to the same bytes, so a run may do it again. mt_exec_unseal: MT_STORE when it does not
 * open. */
int mt_exec_seal(struct mt_exec *x, const char *place, size_t place_len, const void *text, size_t len,
                 struct mt_buf *out, struct mt_error *e);
int mt_exec_unseal(struct mt_exec *x, const char *place, size_t place_len, const void *sealed, size_t len,
                   struct mt_buf *out, struct mt_error *e);
void mt_exec_mac(struct mt_exec *x, const void *text, size_t len, uint8_t out[32]);
const char *mt_exec_run_id(const struct mt_exec *x);  /* "" in a handler */
const char *mt_exec_run_key(const struct mt_exec *x); /* "" when it has none */
const char *mt_exec_flow(const struct mt_exec *x);
/* The URL of the run's own checkout page: PUBLIC_URL/checkout/{token}. Deterministic. Also for a run just
 * started by id. */
void mt_exec_checkout_url(struct mt_exec *x, const char *run_id, char *out, size_t size);
/* The run whose page a token names; false: it is none of ours. */
bool mt_exec_token_run(struct mt_exec *x, const char *token, char *run_id, size_t size);

/* Calls an operation by its full name ("mintro.intents.create", "http.post"). Unknown fields and wrong types
 * are BUGs with a suggestion. A definite no is RAISE with the error of DESIGN.md (outcome not_sent,
 * rejected). `settled` operations take
 * {"id":...,"within":ms} and answer the object at rest or null. */
void mt_effect_call(struct mt_exec *x, const char *operation, const char *params, size_t len,
                    const char *site, struct mt_answer *a);
/* The same for a settled operation, until an event of (topic, key) comes that this run has not read. True:
 * it has, and is the answer, as mt_effect_await gives it. */
bool mt_effect_unless(struct mt_exec *x, const char *topic, const char *key, const char *operation,
                      const char *params, size_t len, const char *site, struct mt_answer *a);
/* Whether the operations' providers have the credentials that each needs. Journaled: a run is not told
 * otherwise later. Answers a list of true and false. */
void mt_effect_configured(struct mt_exec *x, size_t n, const char *const *operations, const char *site,
                          struct mt_answer *a);
/* n calls at once; answers a JSON array of {"value":...} or {"err":...} in order. */
void mt_effect_all(struct mt_exec *x, size_t n, const char *const *operations, const char *const *params,
                   const char *site, struct mt_answer *a);
/* Registers a compensation. Nothing is sent. */
void mt_effect_undo(struct mt_exec *x, const char *operation, const char *params, size_t len,
                    const char *site, struct mt_answer *a);
/* Sleeps until now() + ms, or until an instant. Answers null. */
void mt_effect_sleep(struct mt_exec *x, int64_t ms, const char *site, struct mt_answer *a);
void mt_effect_sleep_until(struct mt_exec *x, int64_t instant_ms, const char *site, struct mt_answer *a);
/* The next event of (topic, key) this run has not read. Answers {"event":n,"at":ms,"payload":...}, or null
 * after within_ms
 * (-1: no limit). */
void mt_effect_await(struct mt_exec *x, const char *topic, const char *key, int64_t within_ms,
                     const char *site, struct mt_answer *a);
/* Starts a run. key NULL: none. Answers {"id","flow","key","existing":bool,"checkout_url"}. An input the
 * schema refuses is RAISE invalid_request; a reused key with other input RAISE conflict. In a run it is a
 * child (cancelled with its parent unless detached); its end is the event ("run", id) with
 * {"id","state","output","error"}. */
void mt_effect_start(struct mt_exec *x, const char *flow, const char *input, const char *key, bool detached,
                     const char *site, struct mt_answer *a);
/* Appends to the event log, in the batch of what follows. Answers null. */
void mt_effect_signal(struct mt_exec *x, const char *topic, const char *key, const char *payload,
                      const char *site, struct mt_answer *a);
/* Other runs: the one with this id ("run_..."), or those that were started with this key, the newest first.
 * Answers
 * [{"id","flow","key","state","progress","output","error"}], at most 20; a member that there is not is left
 * out. */
void mt_effect_find(struct mt_exec *x, const char *what, const char *site, struct mt_answer *a);
/* The same by a filter, JSON {"flow"?,"state"?,"before"? (an id),"limit"? (100),"input"? (true: with it,
 * unless there are secrets in it)}: the newest first, with created_at (ms). */
void mt_effect_find_all(struct mt_exec *x, const char *filter, const char *site, struct mt_answer *a);
/* What others may see of the run while it goes on: members are merged into the progress object, null takes
 * one away. */
void mt_effect_progress(struct mt_exec *x, const char *object, const char *site, struct mt_answer *a);
/* A line in the run's story (and the log): level info warn error. */
void mt_effect_log(struct mt_exec *x, const char *level, const char *message, const char *details,
                   const char *site, struct mt_answer *a);
/* A new segment with this input on the newest generation that takes it. Always LEAVE, RAISE (none does) or
 * BUG: undos are pending and `keep` does not say that what they would take back is to stay. */
void mt_effect_continue(struct mt_exec *x, const char *input, bool keep, const char *site,
                        struct mt_answer *a);
/* Journals the answer of a pure function whose result may differ one day (time zones): compute is called only
 * when the journal has no answer yet. */
void mt_effect_pure(struct mt_exec *x, const char *name, const char *params,
                    int (*compute)(void *arg, struct mt_buf *json, struct mt_error *e), void *arg,
                    const char *site, struct mt_answer *a);

/* Collections. action: insert put update delete get by list. params is a JSON object:
 *   insert {id, doc}  put {id, doc, version?}  update {id, set, version?} (merges members; null removes)
 * delete {id, version?} get {id}  by {field, value}  list {field?, value?, after?, limit?, newest?} unique,
 * index: JSON arrays of field names declared by collection.define. Answers: the document as
 * {"id","version","doc"} or null (get, by), an array of those (list), {"id","version"} (writes). RAISE
 * conflict when a condition fails or a unique value is taken (code "version" or "unique", field named),
 * not_found for update of a missing one. In a run each is journaled, reads too. */
struct mt_collection {
    const char *name, *unique, *index;
    int64_t keep_ms; /* its documents go when they have not been written for so long; 0: never */
};
void mt_effect_collection(struct mt_exec *x, const struct mt_collection *c, const char *action,
                          const char *params, const char *site, struct mt_answer *a);

/* Handlers only: enqueue an outgoing webhook (JSON:
 * {"group","event","url","headers","body","schedule_ms":[...],"accept"}), recorded with the transaction;
 * answers {"id"}. And dated work; answers null. */
void mt_effect_deliver(struct mt_exec *x, const char *delivery, const char *site, struct mt_answer *a);
void mt_effect_schedule(struct mt_exec *x, int64_t at_ms, const char *name, const char *payload,
                        const char *site, struct mt_answer *a);
