/* What the files of the engine share: the engine's struct, the execution's struct, and the steps of an
 * execution. Not for other folders. An mt_exec is touched by its own thread only; what threads share in
 * mt_engine says its lock. */
#pragma once
#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/engine.h"
#include <pthread.h>
#include <stdatomic.h>

#define WAIT_BUCKETS 256
#define CREW_CORE 64 /* workers that compute at once, and that stay when there is nothing to do */

struct waiter {
    char run_id[MT_ID_SIZE];
    uint32_t news;     /* futex: changes with what follows, which the bucket's lock guards */
    struct mt_run run; /* filled by the notifier */
    bool answered;
    bool lost; /* an execution of the run has ended without being able to say how the run stands */
    struct waiter *next;
};

struct wait_bucket {
    pthread_mutex_t lock;
    struct waiter *first;
};

/* Runs that are claimed and wait for a worker. */
struct ready {
    struct mt_run run;
    struct ready *next;
};

struct worker {
    struct mt_engine *g;
    pthread_t thread;
    bool joinable;       /* under crew_lock: the thread was made, and nobody has joined it */
    bool coming;         /* it has not looked at the queue yet */
    uint32_t given;      /* futex: 1 when there is something for it, or it has to stop */
    struct ready *run;   /* handed to it while it was idle */
    struct worker *idle; /* the next one that rests (the last to fall idle is the first to be woken, its
                            caches are warm), or whose place is free */
};

/* Runs whose execution ended because the store failed: still owned, to be executed again. */
struct stranded {
    char run_id[MT_ID_SIZE];
    struct stranded *next;
};

struct mt_engine {
    struct mt_engine_options o;
    struct mt_writer *writer;
    struct mt_seal_key seal_key, derive_key, digest_key, script_key, script_mac_key;
    struct generations *generations; /* those used last */
    int workers, core;               /* most threads; those that stay */
    struct worker *crew;
    pthread_mutex_t crew_lock; /* crew_used, joinable */
    int crew_used;             /* places of the crew that were ever filled */
    atomic_bool crew_failed;   /* a thread could not be made, and this has been said */
    atomic_int away;           /* workers that wait for the world outside */
    pthread_t timer, dater, keeper;
    bool timer_running, dater_running, keeper_running;
    _Atomic int64_t
        looks_at; /* when the timer looks next; MT_NEVER while it is looking: then all that is due is news */

    pthread_mutex_t ready_lock; /* ready_*, idle, gone, live, coming, executing, claim_wanted, stranded */
    struct worker *idle, *gone;
    bool crew_open; /* more may be hired */
    int live;
    size_t coming; /* of them, those who have not looked at the queue yet */
    struct ready *ready_first, *ready_last;
    _Atomic size_t ready_count; /* read without the lock by those who go away */
    size_t executing;
    bool claim_wanted; /* runs are due, but there was no room for them */
    struct stranded *stranded;
    atomic_bool stopping;

    pthread_mutex_t dated_lock; /* deliveries and tasks are carried out by one thread at a time */
    pthread_mutex_t date_lock;  /* date_wanted, keep_wanted */
    pthread_cond_t date_cond, keep_cond;
    bool date_wanted, keep_wanted;
    pthread_mutex_t nap_lock; /* those who nap */
    pthread_cond_t nap_cond;

    struct wait_bucket waits[WAIT_BUCKETS];
    atomic_int travels; /* journals that are replayed for somebody to look at */

    struct schedules *schedules;
    _Atomic int64_t schedules_due; /* when the dater is to look at them; 0: now, they may have changed */

    _Atomic int64_t retention_due;        /* when the keeper is to look; 0: now */
    int64_t events_seen, events_whole_at; /* the keeper's: how far it has looked, and when it begins anew */
    atomic_uint_fast64_t purged[MT_PURGE_COUNT], purged_runs, purged_unread, sweeps;

    atomic_uint_fast64_t effects, runs_started, runs_ended, replays, timer_lag_ms, webhooks,
        webhook_duplicates, deliveries_ok, deliveries_failed, handler_conflicts, late_handled, late_unhandled;
};

/* Why an execution was left. */
enum leave {
    LEAVE_NONE,
    LEAVE_SUSPENDED, /* let go in the store already */
    LEAVE_CANCELLED, /* to be compensated */
    LEAVE_PARK,      /* error says why; to be parked */
    LEAVE_JUDGED,    /* only judged: its journal is at its end, and nothing has been done */
    LEAVE_LOST,      /* another owns the run, or the store failed: nothing more may be written */
};

/* What a travel wants of its execution, and what it has met (travel.c). */
struct travel {
    int at;           /* stop at this effect; 0: as far as the journal goes */
    int64_t until_ns; /* the end of its time, by the monotonic clock */
    bool stopped;     /* at an effect: kind, name, site and params are what the script asked for */
    bool late;        /* its time is up */
    bool strange;     /* the code is not the runtime's: it is given stand-ins for secrets */
    bool stands_in;   /* one of them is in what the effect that begins is given */
    char kind[16], name[96], site[96];
    char *params;      /* JSON as people may see it; NULL: none */
    json_t *secrets;   /* an object, whose keys nobody is shown */
    json_t *stand_ins; /* the same: what strange code was given instead */
};

struct handler_doc { /* what a handler has read or written */
    char collection[MT_NAME_MAX];
    char id[MT_KEY_MAX];
    int64_t version; /* as it was read; 0: missing */
    json_t *body;    /* as it is now for this handler; NULL: none */
    bool written;
    json_t *unique, *index;
    int64_t keep; /* in ms; 0: for ever */
};

struct mt_exec {
    struct mt_engine *g;
    bool handler;
    bool judging;          /* replays only, to compare: nothing is written, nothing leaves (exec_judge) */
    struct travel *travel; /* judging, it stops somewhere and is looked at; NULL: it does not */
    struct mt_run run;
    struct mt_provider_set *providers; /* of its generation; NULL: not looked for, or none */
    struct mt_entry **entries;         /* entries[seq - 1] */
    size_t count, room;
    size_t stored; /* how many of them were loaded: the replay's length */
    size_t seq;    /* the position reached */
    int64_t now;
    uint64_t random_counter;
    json_t *cursors;            /* NULL: none yet */
    struct mt_buf answer, flat; /* flat: a request on its way to be sealed */
    enum leave leave;
    bool compensating;     /* the script is over: what is called now cannot be cancelled, and a no leaves its
                              entry open */
    bool stranded;         /* LOST to a failure of the store: to be executed again */
    bool progress_written; /* since the last flush */
    bool warned_length;
    struct mt_error error; /* PARK: why */
    char error_site[96];
    json_t *park_details;
    struct mt_op *ops; /* for the next flush */
    size_t op_count, op_room;
    char **scratch; /* strings that pending operations borrow */
    size_t scratch_count, scratch_room;
    /* handlers */
    struct handler_doc *docs;
    size_t doc_count;
    json_t *absent; /* unique values that it has looked for and not found: an object's keys; NULL: none */
    struct mt_delivery *deliveries;
    size_t delivery_count;
    int64_t task;                       /* the dated work it carries out; 0: none */
    const struct mt_operator *operator; /* whose console it is; NULL: nobody's */
    char changing[32];                  /* the effect that the operator was asked for, until it is settled */
};

/* ---- journal.c: entries, what is about to be written, and the replay ---- */

enum found { FOUND_NEW, FOUND_PENDING, FOUND_ANSWERED, FOUND_LEAVE };

/* At an effect's boundary: takes the next position. ANSWERED: *entry has its answer (already moved past).
 * PENDING: *entry is an intent of an earlier execution. NEW: nothing there; *entry is NULL. LEAVE: the answer
 * `a` has been set (cancelled, parked). */
enum found exec_next(struct mt_exec *x, const char *kind, const char *name, const char *digest,
                     const char *site, struct mt_entry **entry, struct mt_answer *a);
/* Whether the journal has this effect at the next position, or so many ahead of it. */
bool exec_has(const struct mt_exec *x, size_t ahead, const char *kind, const char *name, const char *digest);
/* As exec_next, and an answer of the journal is given: whether the effect is over. */
bool exec_over(struct mt_exec *x, const char *kind, const char *name, const char *digest, const char *site,
               struct mt_entry **entry, struct mt_answer *a);
/* The script stops at an effect that has no answer yet, but the journal has more. */
void exec_stopped_early(struct mt_exec *x);
/* Parks a run whose script has ended ("return", "an error") while its journal goes on. */
void exec_ended_early(struct mt_exec *x, const char *how, const char *site);
/* Appends an entry in memory at the next position (nothing is written yet). */
struct mt_entry *exec_append(struct mt_exec *x, const char *kind, const char *name, const char *digest,
                             const char *site);
/* Pushes an operation for the next flush; the pointer is good until the next push. */
struct mt_op *exec_op(struct mt_exec *x, enum mt_op_type type);
void exec_op_entry(struct mt_exec *x, struct mt_entry *entry);  /* insert */
void exec_op_answer(struct mt_exec *x, struct mt_entry *entry); /* update */
/* Keeps a string until the next flush has been made. Takes ownership; returns it. */
char *exec_keep(struct mt_exec *x, char *s);
/* Writes everything pending, durably. False: the execution is lost. */
bool exec_flush(struct mt_exec *x);
/* The same, but a refused batch is the caller's to mend: what is pending stays, *refused says which
 * operation's result it was (MT_RES_OK: the store itself failed). Followed by exec_drop_ops, another flush,
 * or exec_lose. */
bool exec_flush_keep(struct mt_exec *x, enum mt_op_result *refused);
void exec_drop_ops(struct mt_exec *x);
/* A flush that cannot be mended: the run is left to its other owner, executed again later, or parked. */
void exec_lose(struct mt_exec *x, enum mt_op_result refused, struct mt_answer *a);
/* Sets an entry's answer (takes ownership of result, JSON) and moves x->now. */
void exec_set_answer(struct mt_exec *x, struct mt_entry *entry, enum mt_outcome outcome, char *result);
/* Answers an entry in the next flush and gives the answer to the script. */
void exec_answer(struct mt_exec *x, struct mt_entry *entry, enum mt_outcome outcome, char *json, bool written,
                 struct mt_answer *a);
void exec_answer_error(struct mt_exec *x, struct mt_entry *entry, const struct mt_error *e, bool written,
                       struct mt_answer *a); /* REJECTED */
/* Gives the entry's answer to the script. */
void exec_give(struct mt_exec *x, const struct mt_entry *entry, struct mt_answer *a);
void exec_give_json(struct mt_exec *x, const char *json, size_t len, struct mt_answer *a);
void exec_give_error(struct mt_exec *x, const struct mt_error *e, struct mt_answer *a); /* RAISE */
void exec_bug(struct mt_answer *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *error_text(const struct mt_error *e);       /* JSON; caller frees */
json_t *entry_meta(const struct mt_entry *entry); /* new reference; {} when none */
void entry_set_meta(struct mt_entry *entry, const json_t *meta);
bool exec_live(const struct mt_exec *x); /* past what was stored */
int64_t exec_wall(struct mt_exec *x);
/* What parameters and inputs are compared by: keyed, since a short secret could be guessed from a plain
 * digest. */
void engine_digest(const struct mt_engine *g, const char *params, size_t len, char out[33]);
/* HMAC over the run's place: idempotency keys, child ids. */
void exec_derive(struct mt_exec *x, const char *purpose, int seq, int attempt, uint8_t out[32]);
/* Sealing at an entry's place ("request", "params", "result"). */
int exec_seal(struct mt_exec *x, const char *what, const struct mt_entry *entry, const void *plain,
              size_t len, struct mt_buf *out, struct mt_error *e);
int exec_unseal(struct mt_exec *x, const char *what, const struct mt_entry *entry, const void *sealed,
                size_t len, struct mt_buf *out, struct mt_error *e);
char *seal_text(struct mt_engine *g, const char *run_id, int segment, int seq, const char *json, size_t len);
int64_t exec_cursor(const struct mt_exec *x, const char *cursor_key);
void exec_set_cursor(struct mt_exec *x, const char *cursor_key, int64_t n);

/* ---- secrets.c: secrets among inputs ---- */
/* Seals {"$secret"} of an input's normal form for a run's segment, in place. -1: MT_LIMIT. */
int secrets_seal(struct mt_engine *g, const char *run_id, int segment, struct mt_buf *normal,
                 struct mt_error *e);
bool secrets_in(const struct mt_run *run); /* there may be sealed ones in its input */
/* The run's input with its secrets opened: bare, as the script is given them, or with their marks, as they
 * were digested. -1: MT_STORE. */
int secrets_open(struct mt_engine *g, const struct mt_run *run, bool marks, struct mt_buf *out,
                 struct mt_error *e);

/* ---- exec.c: the life of an execution ---- */

void exec_leave(struct mt_exec *x, enum leave why, struct mt_answer *a);
/* Parks the run after the execution has been left. Takes ownership of details. */
void exec_park(struct mt_exec *x, struct mt_answer *a, const struct mt_error *e, const char *site,
               json_t *details);
/* Lets go of the run now: flushes what is pending together with a SUSPEND. Takes ownership of waiting_for. */
void exec_suspend(struct mt_exec *x, enum mt_run_state state, int64_t due_at, const char *topic,
                  const char *key, int64_t cursor, json_t *waiting_for, struct mt_answer *a);
struct exec_wait {
    const char *topic, *key; /* NULL: no event wakes it */
    int64_t cursor;
};
/* The same, and until an event of another topic as well (NULL: none). */
void exec_suspend_also(struct mt_exec *x, enum mt_run_state state, int64_t due_at,
                       const struct exec_wait *wait, const struct exec_wait *also, json_t *waiting_for,
                       struct mt_answer *a);
/* The engine is stopping: lets go of the run so that the next one carries on here. */
void exec_let_go(struct mt_exec *x, struct mt_answer *a);
/* Refuses an effect that a handler may not have. True when it did. */
bool exec_refuse_handler(struct mt_exec *x, const char *what, struct mt_answer *a);
/* Refuses a topic or key that is too short or too long. True when it did. */
bool exec_refuse_topic(const char *topic, const char *key, struct mt_answer *a);
/* Ends the run with what it has to show, in one batch. */
void exec_finish(struct mt_exec *x, enum mt_run_state state, const char *output, const char *error);
/* Writes what exec_park has said: the run needs attention. */
void exec_park_now(struct mt_exec *x);
/* A worker keeps one execution's memory for all that it executes. */
struct mt_exec *exec_new(struct mt_engine *g);
void exec_execute(struct mt_exec *x, struct mt_run *run); /* takes ownership of *run */
/* Replays the run's journal through another generation's script, without touching the world or the store. */
enum judged {
    JUDGED_AGREES, /* it asks for the same, as far as the journal goes */
    JUDGED_PARTS,  /* x->error says how it does not; x->park_details has more, x->seq is how far it agreed */
    JUDGED_OVER,   /* the run's script is over: only compensation is left */
    JUDGED_FAILED, /* the journal could not be read */
};
/* The steps of it. A segment's journal: false when it could not be read. */
void exec_take_run(struct mt_exec *x, struct mt_run *run);
bool exec_load_journal(struct mt_exec *x);
void exec_judge_end(struct mt_exec *x, struct mt_script_result *r);
/* Takes ownership of *run. Followed by exec_reset. */
enum judged exec_judge(struct mt_exec *x, struct mt_run *run, const char *generation);
void exec_reset(struct mt_exec *x); /* forgets everything but the memory */
void exec_free(struct mt_exec *x);

/* ---- call.c, parallel.c, send.c ---- */

/* Carries out the call of an entry until it has an outcome or the run is let go. `entry` may be new (not
 * written). True: it is decided: it has an answer, or, when compensating, it failed for good. False: left (a
 * is set). */
bool call_settle(struct mt_exec *x, struct mt_entry *entry, const struct mt_operation *op,
                 const char *full_name, const struct mt_account *account, json_t *params, bool written,
                 struct mt_answer *a);
/* Carries out several calls: the new ones are sent together, each is journaled as it ends. False: left. */
struct all_call {
    struct mt_entry *entry;
    const struct mt_operation *op;
    const struct mt_account *account;
    char full_name[96], digest[33];
    json_t *params;
    bool written;
};
bool call_all(struct mt_exec *x, struct all_call *list, size_t n, struct mt_answer *a);
/* Reads with an operation, with a few quick repeats: 0 and *value, or -1 and *e. Journals nothing. */
int call_read(struct mt_exec *x, const struct mt_operation *op, const struct mt_account *account,
              const json_t *params, json_t **value, struct mt_error *e);
/* Whether a request of this unanswered entry may be on its way, or have had its effect. */
bool call_in_flight(const struct mt_entry *entry);
void engine_nap(struct mt_engine *g, int64_t ms);

/* ---- settle.c, release.c ---- */
/* The read of an operation that reads before it answers, and that read's own name for the object's id. */
const struct mt_operation *settle_read_of(struct mt_exec *x, const struct mt_operation *op,
                                          const struct mt_account *account, struct mt_error *e);
json_t *settle_read_params(const struct mt_operation *op, const struct mt_operation *read_op,
                           const json_t *params);
void settle_write_entry(struct mt_exec *x, struct mt_entry *entry, const json_t *meta, bool written);
/* A release: reads, decides, and settles the call it has chosen. As call_settle. */
bool release_settle(struct mt_exec *x, struct mt_entry *entry, const struct mt_operation *op,
                    const struct mt_account *account, json_t *params, bool written, struct mt_answer *a);
/* What may end a wait for an object: an event of (topic, key) that the run has not read. */
struct unless {
    const char *topic, *key;
    bool came; /* out: it has; the answer is the event's, as of an await */
};
/* Waits for an object at rest. The answer is in `a`. unless NULL: for nothing else. */
void settled_settle(struct mt_exec *x, struct mt_entry *entry, const struct mt_operation *op,
                    const struct mt_account *account, json_t *params, struct unless *unless, bool written,
                    struct mt_answer *a);

/* ---- compensate.c ---- */
/* Carries out the undos that are left, newest first, and ends the run. */
void compensate(struct mt_exec *x);
bool has_undo(const struct mt_exec *x);
/* The parameters of an undo as the script gave them; NULL and *e when they cannot be read. */
json_t *undo_params(struct mt_exec *x, const struct mt_entry *undo, struct mt_error *e);

/* ---- travel.c, travel_secrets.c: all of it does nothing without a travel ---- */
/* At an effect's boundary, where the journal has this effect, or nothing more. True: it stops here. */
bool travel_stops(struct mt_exec *x, const char *kind, const char *name, const char *site);
/* What the effect that begins is given, when the journal does not have it. */
void travel_asks(struct mt_exec *x, const char *params);
void travel_asks_call(struct mt_exec *x, const struct mt_operation *op, const json_t *params);
/* An input: only its normal form says what is secret in it. */
void travel_asks_input(struct mt_exec *x, const char *flow, const char *input);
/* What nobody is shown from now on: a text, and what looks like a secret in an answer that was sealed. */
void travel_hides(struct mt_exec *x, const char *text, size_t len);
void travel_hides_answer(struct mt_exec *x, struct mt_buf *json);
/* The input as the script is given it, from its form with marks. New reference. */
json_t *travel_input(struct mt_exec *x, const json_t *marked);
/* Takes `out` and gives it without secrets. */
json_t *travel_hidden(const struct travel *t, json_t *out);
/* Strange code may seal and sign, but not under the keys of scripts, and what was sealed is not opened for
 * it. */
bool travel_strange(const struct mt_exec *x);
void travel_stands_in(struct mt_exec *x, char *text, size_t len);

/* ---- generations.c ---- */
struct generations *generations_new(void);
void generations_free(struct generations *s);
/* The providers that a generation's scripts define ("": the current one's), with a reference for the caller;
 * NULL: none. -1: the store failed, or what it has cannot be used. */
int engine_providers(struct mt_engine *g, const char *generation, struct mt_provider_set **set,
                     struct mt_error *e);
/* mt_operation_find, among the providers of the run's generation as well. */
const struct mt_operation *exec_operation(struct mt_exec *x, const char *name,
                                          const struct mt_account **account, struct mt_error *e);

/* ---- runs.c, queue.c ---- */
void runs_notify(struct mt_engine *g, const struct mt_run *run);
void runs_lost(struct mt_engine *g, const char *run_id);
void waits_stop(struct mt_engine *g);         /* wakes all who wait for runs */
bool engine_heard(const struct mt_engine *g); /* somebody listens to what changes */
void runs_changed(struct mt_engine *g, const struct mt_run *run);
void run_copy(struct mt_run *to, const struct mt_run *from);
void ready_push(struct mt_engine *g, struct mt_run *run); /* takes ownership */
bool ready_pop(struct worker *w, struct mt_run *run);     /* waits; false when stopping */
void ready_done(struct mt_engine *g);                     /* the one popped has been executed */
void ready_stop(struct mt_engine *g);                     /* wakes the idle, to stop */
bool ready_room(struct mt_engine *g); /* whether a start may be claimed at once, past the store's queue */
bool ready_idle(struct mt_engine *g); /* nobody waits for a worker */
void strand(struct mt_engine *g, const char *run_id);
void *timer_main(void *engine);

/* ---- crew.c ---- */
int crew_start(struct mt_engine *g);         /* the first worker; 0, or an errno */
bool crew_wanted(const struct mt_engine *g); /* under ready_lock: another worker would find work */
bool crew_grow(struct mt_engine *g);         /* hires one if wanted; true when it did */
void crew_join(struct mt_engine *g);         /* when stopping, and all have been woken */
void crew_came(struct worker *w);            /* under ready_lock: it looks at the queue */
bool crew_may_go(struct worker *w);          /* it has rested for long; true: it must end */
/* Around what a worker's thread waits for outside: others may execute meanwhile. Other threads: nothing. */
void crew_away(struct mt_engine *g);
void crew_back(struct mt_engine *g);

/* ---- dated.c ---- */
void *dater_main(void *engine);
void dater_call(struct mt_engine *g); /* dated work is due */

/* ---- schedules.c ---- */
struct schedules *schedules_new(void);
void schedules_free(struct schedules *s);
/* The earliest instant at which a schedule of the newest generation is due; MT_NEVER. -1: the store failed.
 * The dater's thread (dated_lock), as the next. */
int schedules_next(struct mt_engine *g, int64_t *due);
/* Starts what is due then. -1: try again later. */
int schedules_carry_out(struct mt_engine *g);
void schedules_metrics(struct mt_engine *g, struct mt_buf *out);

/* ---- retention.c ---- */
void *keeper_main(void *engine);
void keeper_call(struct mt_engine *g); /* something may have been kept long enough */
/* On the writer's thread: what was committed will have been kept long enough one day. */
void retention_note(struct mt_engine *g, const struct mt_op *op);
void retention_metrics(struct mt_engine *g, struct mt_buf *out);

/* ---- late.c ---- */
/* Looks after a few of the events that came too late: how many, or -1 (try again later). */
int late_carry_out(struct mt_engine *g);

/* ---- handler.c, documents.c ---- */
void handler_collection(struct mt_exec *x, const struct mt_collection *c, const char *action, json_t *params,
                        struct mt_answer *a);
/* Seals the secrets of `normal`. */
void handler_start(struct mt_exec *x, const char *flow, struct mt_buf *normal, const char *digest,
                   const char *key, struct mt_answer *a);
/* Whether a handler may have another operation; else `a` is set. */
bool handler_room(struct mt_exec *x, struct mt_answer *a);
/* What it has read, and what it was going to write. */
void handler_forget(struct mt_exec *x);
void handler_give(struct mt_exec *x, json_t *value, struct mt_answer *a); /* takes the reference */

/* ---- operator.c ---- */
/* Whether an effect may be carried out: always, unless an operator is asked and says no (a is set). */
bool operator_allows(struct mt_exec *x, const char *what, const char *name, const char *json,
                     struct mt_answer *a);
void operator_call(struct mt_exec *x, const struct mt_operation_asked *asked, struct mt_answer *a);

/* ---- collection.c ---- */
json_t *document_json(const struct mt_document *d);
char *document_key_text(const json_t *value);
/* The keys of a document by its declared fields; *keys malloc'ed, values kept in x's scratch. */
size_t document_keys(struct mt_exec *x, const json_t *body, const json_t *unique, const json_t *index,
                     struct mt_doc_key **keys);
/* The document that an update makes of `body`: members of params' "set" merged, null removes. New reference.
 */
json_t *document_merged(const json_t *body, const json_t *params);

/* ---- render.c ---- */
/* Appends JSON text with tagged values made plain; copies when there is nothing to change. */
void render_plain(struct mt_buf *out, const char *json);
json_t *plain(const json_t *value);
