/* The store: the whole contract between the engine and what is durable. One writer applies batches; each
 * batch is atomic (all of its operations or none) and many share one commit (group commit, writer.h). Reads
 * go to any thread and see committed data only. Batches borrow every pointer from their submitter, who waits
 * until they are answered.
 *
 * An operation sees what those before it in its batch have done. A run that was let go of in a batch takes no
 * more of that batch's operations (MT_RES_NOT_OWNER), and a run that ends is let go of.
 *
 * A run that waits is a row. `owner` is the epoch of the engine that executes it now (0: nobody); a batch
 * that names a run is refused (MT_CONFLICT) when its owner is not the batch's epoch, so an engine that lost a
 * run cannot write to it. Who is due: owner = 0 and due_at <= now. An event, a signal, a cancellation and a
 * timer all wake a run by setting due_at.
 *
 * Whom an event is for: SUSPEND with a topic, AWAIT and SEEN note that their run has asked for (topic, key).
 * An event that wakes nobody, all of whose askers have ended, is late: it is the youngest asker's. So are,
 * when a run ends, the events it asked for that nobody has read, unless another asker goes on. */
#pragma once
#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MT_NEVER INT64_MAX /* a due_at that never comes */
#define MT_NAME_MAX 64     /* flows, kinds, collections, fields: bytes with NUL */
#define MT_KEY_MAX 256     /* start keys, event keys, document ids: bytes with NUL */

enum mt_run_state {
    MT_RUN_QUEUED,
    MT_RUN_RUNNING,
    MT_RUN_SLEEPING,
    MT_RUN_WAITING,
    MT_RUN_COMPENSATING,
    MT_RUN_COMPLETED,
    MT_RUN_FAILED,
    MT_RUN_CANCELLED,
    MT_RUN_NEEDS_ATTENTION,
    MT_RUN_STATE_COUNT
};
const char *mt_run_state_name(enum mt_run_state s);
bool mt_run_state_from_name(const char *name, enum mt_run_state *out);
bool mt_run_ended(enum mt_run_state s); /* completed, failed, cancelled */

/* Which queue a due run stands in; claims are shared between them by weight. */
enum mt_run_class { MT_CLASS_WAITED, MT_CLASS_START, MT_CLASS_TIMER };

struct mt_run {
    char id[MT_ID_SIZE];
    char flow[MT_NAME_MAX];
    char *key; /* NULL when started without one */
    enum mt_run_state state;
    char generation[80];                                   /* "sha256:..." */
    int segment;                                           /* 0, then one more at each flow.continue */
    int64_t owner;                                         /* epoch of the engine executing it; 0: nobody */
    int64_t due_at;                                        /* ms; MT_NEVER */
    char *input, *progress, *output, *error, *waiting_for; /* JSON text; NULL when absent */
    char *cursors;           /* JSON: {"topic\u001fkey": event number}, carried over flow.continue; NULL */
    char parent[MT_ID_SIZE]; /* "" for none */
    int parent_seq;
    bool detached;
    bool cancel_requested;
    char *cancel_reason;
    int entries; /* journal entries of this segment */
    int64_t created_at, updated_at;
    char input_digest[130]; /* of the input that it was started with; hex */
    char *moves;     /* JSON the engine keeps about moves to other generations; NULL: it was never moved */
    int dropped;     /* segments before this one have no journal any more */
    int64_t gone_at; /* a tombstone since then (MT_OP_FORGET); 0: it is whole */
};
void mt_run_clear(struct mt_run *r); /* frees what its pointers own */

struct mt_entry {
    int segment, seq; /* seq counts from 1 within a segment */
    char kind[16];    /* call read sleep await start signal progress undo compensate collection all log ... */
    char name[96];    /* "mintro.intents.create", "30d", "order/1001" */
    char digest[33];  /* 32 hex digits of the script's own parameters; what a replay compares */
    enum mt_outcome outcome; /* MT_OUTCOME_NONE while it is an intent */
    char *params;            /* JSON, secrets masked: for people */
    void *request;           /* the intent: sealed exact request; NULL */
    size_t request_len;
    char
        *result; /* JSON value, or the error's JSON when rejected/not_sent; NULL. May be sealed: see sealed */
    bool sealed; /* result holds base64 of a sealed value */
    char *meta;  /* JSON the engine keeps with the entry: attempts, reads, cursor, account, event; NULL */
    char site[96];   /* "checkout.lua:31" */
    int64_t at;      /* when the intent was journaled */
    int64_t done_at; /* when it was answered; 0 */
};
void mt_entry_clear(struct mt_entry *e);

/* An event is late when everyone who had asked for its topic and key has ended without reading it. */
enum mt_late {
    MT_LATE_NO,
    MT_LATE_PENDING,   /* nobody has looked after it yet */
    MT_LATE_HANDLED,   /* a run was started for it, which counts as its reader */
    MT_LATE_UNHANDLED, /* there was nothing to start: a person has to look */
};

struct mt_event {
    int64_t n; /* its place in the log */
    char topic[MT_NAME_MAX];
    char key[MT_KEY_MAX];
    char *payload; /* JSON */
    char *source;  /* what it was deduplicated by; NULL */
    int64_t at;
    int readers;    /* runs that have read it */
    size_t raw_len; /* of the bytes it came in, when they are kept; only lists fill it, and what follows */
    enum mt_late late;
    char late_run[MT_ID_SIZE]; /* who had asked for it and has ended; "" */
};
void mt_event_clear(struct mt_event *e);

struct mt_document {
    char id[MT_KEY_MAX];
    int64_t version; /* 1 at first; 0: no such document */
    char *body;      /* JSON */
};
void mt_document_clear(struct mt_document *d);

struct mt_delivery { /* an outgoing webhook */
    char id[MT_ID_SIZE];
    int64_t n;
    char group[MT_NAME_MAX]; /* the sandbox: the provider's name */
    char event[96];          /* "payment.succeeded" */
    char *url;               /* NULL: recorded, nowhere to send ("no_endpoint") */
    char *headers;           /* JSON object */
    char *body;
    size_t body_len;
    char *schedule; /* JSON array of delays in ms after each failed attempt */
    char *accept;   /* the body a receiver must answer with; NULL: any 2xx */
    char state[16]; /* pending delivered failed no_endpoint lost */
    int attempts;
    int64_t next_at, created_at;
    char *log; /* JSON array: {"at","status","error"} of each attempt */
};
void mt_delivery_clear(struct mt_delivery *d);

struct mt_task { /* dated work for a handler: durable, carried out once, in order of due_at */
    int64_t n;
    int64_t due_at;
    char name[MT_NAME_MAX];
    char *payload; /* JSON */
};
void mt_task_clear(struct mt_task *t);

/* What a person did. The record is appended to only: a deed is a row when it begins and another when it has
 * ended, and lists show both as one. */
struct mt_audit {
    int64_t n;     /* its place; lists: of the row it began with */
    int64_t of;    /* the row that this one ends; 0: it begins */
    int64_t at;    /* ms */
    char *who;     /* "ann", "uid 1000" */
    char *via;     /* "socket uid 1000", "http 127.0.0.1", "api 127.0.0.1" */
    char *session; /* of the console; NULL */
    char *what;    /* "command", "operation", "cancel", ... */
    char *object;  /* a run's id, an operation's or a flow's name; NULL */
    char *detail;  /* text, secrets masked; NULL */
    char *outcome; /* ended: "done", "failed", "refused", ...; NULL */
    char *result;  /* ended: text, secrets masked; NULL */
    int64_t ms;    /* ended: how long it took */
};
void mt_audit_clear(struct mt_audit *a);

/* ---- writing ---- */

enum mt_op_type {
    MT_OP_START,    /* insert a run, or find the one with this flow and key */
    MT_OP_CLAIM,    /* take due runs for an engine */
    MT_OP_ENTRY,    /* insert a journal entry (an intent, or complete when outcome is set) */
    MT_OP_ANSWER,   /* set outcome, result, done_at (and meta when given) of an entry */
    MT_OP_RUN,      /* change the batch's run */
    MT_OP_SUSPEND,  /* let go of the batch's run until due_at or an event after a cursor */
    MT_OP_AWAIT,    /* answer a wait from the event log, or its timeout, or suspend */
    MT_OP_CONTINUE, /* begin the batch's run's next segment */
    MT_OP_SEEN,     /* the batch's run has taken notice of events without awaiting them one by one */
    MT_OP_EVENT,    /* append to the log, waking who waits */
    MT_OP_LATE,     /* a late event has been looked after */
    MT_OP_CANCEL,
    MT_OP_RETRY,
    MT_OP_RESOLVE, /* what a person does to a run (no owner needed). A cancelled run that is
owned is only marked: its owner hears of it with its next answer, and a SUSPEND or AWAIT that
was on its way before makes it due at once (unless compensating or needs_attention) */
    MT_OP_MIGRATE, /* move a run that nobody owns to another generation */
    MT_OP_FORGET,  /* make a tombstone of an ended run */
    MT_OP_DOC_PUT,
    MT_OP_DOC_DELETE,
    MT_OP_DOC_CHECK,
    MT_OP_COLLECTION_CHECK,
    MT_OP_DELIVERY_PUT,
    MT_OP_DELIVERY_UPDATE,
    MT_OP_TASK_PUT,
    MT_OP_TASK_DELETE,
    MT_OP_GENERATION, /* keep a generation and its files */
    MT_OP_PURGE,      /* take away a piece of what has been kept long enough */
    MT_OP_META,       /* set a key of the store's own table */
    MT_OP_AUDIT,      /* append to the record of what people did */
};

/* What an operation answers, besides success. Those marked * refuse the whole batch. */
enum mt_op_result {
    MT_RES_OK = 0,
    MT_RES_EXISTS,     /* START: the same key and input; `existing` says which */
    MT_RES_KEY_REUSED, /* START *: the same key, other input */
    MT_RES_DUPLICATE,  /* EVENT: this source was stored before. DOC_PUT *: a unique field's value is taken.
                          ENTRY, AWAIT, DELIVERY_PUT *: its place or id is taken */
    MT_RES_FOUND,      /* AWAIT: an event answered it */
    MT_RES_TIMED_OUT,  /* AWAIT: its deadline did */
    MT_RES_SUSPENDED,  /* AWAIT: nothing yet; the run has been let go */
    MT_RES_STALE,      /* DOC_PUT/DELETE/CHECK, COLLECTION_CHECK *: the version is another. MIGRATE *: the run
                          is executed now, or has gone on or been moved since */
    MT_RES_FORBIDDEN,  /* CANCEL RETRY RESOLVE MIGRATE FORGET *: the run's state does not allow it */
    MT_RES_MISSING,    /* *: no such run, entry or document. LATE *: the event is not pending */
    MT_RES_NOT_OWNER,  /* *: the batch's epoch does not own its run, or an earlier operation has let it go */
    MT_RES_INVALID,    /* *: a name is too long or a value is missing; the error says which */
};

/* What MT_OP_PURGE takes away. A number that is the newest of its kind stays, so that none is given twice. */
enum mt_purge {
    MT_PURGE_ENTRIES,    /* journals of tombstones and dropped segments: nobody sees them any more */
    MT_PURGE_SEGMENTS,   /* journals of segments that were over by `before`, unless the run needs attention */
    MT_PURGE_EVENTS,     /* read ones from before `before`, and all from before `unread`. What a run that goes
                            on has asked for counts as read when it was read as often as it was asked for; a
                            late one that nobody has looked after stays. Their sources are still known */
    MT_PURGE_DELIVERIES, /* those that are over, from before `before` */
    MT_PURGE_DOCUMENTS,  /* those that their collection keeps no longer at `before` */
    MT_PURGE_GENERATIONS, /* the files of those that no run names but tombstones, that were last used before
                             `before`, and are neither `except` nor among the `keep` used last */
    MT_PURGE_TOMBSTONES,  /* of runs that ended before `before`, with what they had asked for */
    MT_PURGE_SOURCES,     /* of events that are gone, from before `before` */
    MT_PURGE_PAGES,       /* gives free pages of the file back, beyond what is about to be used again */
    MT_PURGE_COUNT
};

struct mt_doc_key {
    const char *field;
    const char *value; /* strings as they are; numbers and booleans as JSON text */
    bool unique;
};

struct mt_op {
    enum mt_op_type type;
    enum mt_op_result result; /* filled by the commit */
    union {
        struct {
            const char *id, *flow, *key /* or NULL */, *input, *input_digest /* hex */, *generation;
            const char *parent; /* or NULL */
            int parent_seq;
            bool detached;
            bool fresh; /* EXISTS refuses the batch as well: nothing may be built on a run that is another */
            bool claim; /* insert it already owned by the batch's epoch, state running */
            enum mt_run_class cls;
            int64_t at;
            struct mt_run existing; /* out, for EXISTS and KEY_REUSED: submitter clears with mt_run_clear */
        } start;
        struct {
            int64_t epoch, now;
            size_t limit;
            /* out: malloc'ed array, submitter clears each and frees */
            struct mt_run *runs;
            size_t count;
        } claim;
        struct mt_entry
            *entry; /* ENTRY: borrowed. ANSWER: segment, seq, outcome, result, sealed, meta, done_at are used;
                       meta NULL leaves it; outcome NONE updates meta (and request when given) only */
        struct {
            int state;                                           /* enum mt_run_state, or -1 to leave */
            const char *progress, *output, *error, *waiting_for; /* NULL leaves; "" clears */
            bool release;                                        /* owner = 0 (and due_at MT_NEVER) */
            int64_t at;
        } run;
        struct {
            enum mt_run_state state; /* sleeping waiting compensating queued needs_attention */
            int64_t due_at;
            const char *topic, *key; /* NULL: no event wakes it */
            int64_t cursor;          /* an event with n > cursor that is already there makes it due at once */
            /* A second topic that wakes it just so; NULL: none. Such a run is woken by whatever it has ever
             * asked for, so that its waking is no proof of anything. */
            const char *also_topic, *also_key;
            int64_t also_cursor;
            const char *waiting_for; /* JSON for people; NULL */
            const char *error;       /* JSON (needs_attention); NULL leaves */
            enum mt_run_class cls;
            int64_t at;
        } suspend;
        struct {
            struct mt_entry
                *entry;    /* kind await: segment, seq, name, digest, params, site, at. Written when answered,
                              with    result {"at":ms,"event":n,"payload":...} or null, outcome done */
            bool inserted; /* the entry is already there as an intent: update it */
            const char *topic, *key;
            int64_t cursor,
                deadline; /* deadline MT_NEVER: none. Timed out only when deadline <= at and no event */
            const char *waiting_for;
            int64_t at;
            struct mt_event event; /* out for FOUND: submitter clears */
        } await;
        struct {
            const char *input, *generation /* NULL: the same */, *cursors /* NULL: none */;
            int64_t at;
        } cont; /* queued, nobody's, due at `at` */
        struct {
            const char *topic, *key;
            int64_t upto; /* events up to this one that nobody has read count as read */
        } seen;
        struct {
            int64_t n;
            enum mt_late late; /* HANDLED, UNHANDLED, or NO: it was nothing to look after */
        } late;
        struct {
            const char *topic, *key, *payload;
            const char *source; /* deduplicated by it, for ever; NULL: not deduplicated */
            const char *raw;    /* the bytes as received, or NULL */
            size_t raw_len;
            int64_t at;
            int64_t n; /* out */
            int woken; /* out: runs made due */
        } event;
        struct {
            const char *run, *reason;
            int64_t at;
        } cancel;
        struct {
            const char *run;
            int64_t at;
        } retry; /* needs_attention -> queued; its error is cleared. FORBIDDEN in any other state */
        struct {
            const char *run;
            int segment, seq;
            enum mt_outcome outcome;
            const char *result; /* JSON value or error */
            bool sealed;        /* result holds base64 of a sealed value */
            int64_t at;
        } resolve; /* settles an unanswered entry of a run in needs_attention and queues the run */
        struct {
            const char *run, *from, *to; /* generations; STALE unless the run is of `from` */
            int segment, entries;        /* the journal as it was judged; STALE when it is another now */
            const char *moves;           /* JSON: takes the place of the run's */
            int64_t at;
        } migrate; /* all else stays: state, error, what it waits for. FORBIDDEN once its script is over */
        struct {
            const char *collection, *id, *body;
            int64_t expect; /* -1: whatever it is; 0: must not exist; n: must be version n */
            const struct mt_doc_key *keys;
            size_t key_count;
            int64_t at, keep; /* PUT: it is kept for so long, in ms (0: for ever); so are all of its
                                 collection that were written with one */
            int64_t version;  /* out */
        } doc;
        struct {
            const char *collection;
            int64_t counter; /* as read with the documents */
        } collection_check;
        struct mt_delivery
            *delivery; /* PUT: borrowed. UPDATE: id, state, attempts, next_at, log, url are used */
        struct {
            int64_t due_at;
            const char *name, *payload;
            int64_t n; /* out for PUT, in for DELETE (MISSING when it is gone) */
        } task;
        struct {
            const char *id, *manifest; /* JSON: {"files":{"checkout.lua":"<sha256>"},"settings":...} */
            const char *const *shas;   /* files, by content */
            const char *const *texts;
            const size_t *lens;
            size_t count;
            int64_t at;
        } generation;
        struct {
            const char *run;
            const char *progress, *output, *error; /* what stays of them; NULL: nothing */
            const char *about; /* with erase: events of this topic whose key is its id are its own; NULL */
            bool erase; /* the events that it asked for lose their contents too, unless others need them */
            int64_t at;
        } forget; /* id, flow, key, digest of the input, state, times, parent and what it asked for stay. Of a
                     tombstone it changes the texts. FORBIDDEN unless it has ended */
        struct {
            enum mt_purge what;
            int64_t before, unread;
            int64_t after; /* EVENTS, DELIVERIES: only numbers after this one */
            size_t limit;  /* rows to look at, or to take away */
            size_t keep;
            const char *except; /* NULL: none */
            const char *own;    /* EVENTS: those of this topic tell the parent of the run that is their key of
                                   its    end, and count as read when that parent has ended; NULL */
            int64_t seen;       /* out: how far it has looked, for `after` */
            int64_t count, count_unread; /* out: how many went; of events, how many nobody had read */
            bool more;                   /* out: there may be more at once */
        } purge;
        struct {
            const char *key, *value;
        } meta;
        struct mt_audit
            *audit; /* borrowed; n is filled. An end of a row that is not there, or has ended: MISSING */
    };
};

struct mt_batch {
    const char *run; /* the run it belongs to, or NULL */
    int64_t epoch;   /* must own `run` */
    struct mt_op *ops;
    size_t count;
    bool optional; /* the writer answers MT_UNAVAILABLE rather than queue it past its limit (starts) */
    /* out */
    int status; /* 0 applied; -1 refused: error says why, the op at `failed` has its result */
    size_t failed;
    struct mt_error error;
    bool cancel_requested; /* of `run`, as of this commit */
    int64_t due;           /* the earliest instant at which it made something due; MT_NEVER */
    /* the writer's own */
    struct mt_batch *next;
    uint32_t done;
};

/* ---- the vtable ---- */

struct mt_run_filter {
    const char *flow, *key;  /* NULL: any */
    int state;               /* -1: any */
    bool live;               /* only those that have not ended */
    const char *except;      /* NULL, or: only those of other generations than this one */
    char before[MT_ID_SIZE]; /* "" or: ids smaller than this (newest first) */
    size_t limit;
};

enum mt_event_filter {
    MT_EVENTS_ALL,
    MT_EVENTS_UNREAD,  /* readers = 0 */
    MT_EVENTS_LATE,    /* late, whatever became of them */
    MT_EVENTS_PENDING, /* late, and nobody has looked after them */
};

/* How much there is, and since when: what says when something has been kept long enough. Times are the
 * oldest; MT_NEVER: there is none. */
struct mt_kept {
    int64_t ended;   /* of a run that has ended and is whole: its end */
    int64_t segment; /* of a segment with a journal that is over: its end */
    int64_t event, delivery, tombstone;
    int64_t document;                  /* when the first one is not kept any longer */
    bool entries;                      /* some are to be taken away */
    int64_t tombstones, unread_events; /* how many */
    int64_t bytes, free_bytes;         /* of the file; 0: unknown */
};

struct mt_store {
    /* Applies the batches in order in one transaction, durable on return: 0, each batch with its own status.
     * -1: nothing of any batch was applied (MT_FULL: try again later; a failed fsync ends the process). The
     * writer's thread only. */
    int (*commit)(struct mt_store *self, struct mt_batch **batches, size_t count, struct mt_error *e);

    /* Reads. Lists answer malloc'ed arrays (caller clears each, frees the array); 0 with count 0 when empty.
     * A single object that is missing: -1 and MT_NOT_FOUND. Any thread. */
    int (*get_run)(struct mt_store *self, const char *id, struct mt_run *out, struct mt_error *e);
    int (*find_run)(struct mt_store *self, const char *flow, const char *key, struct mt_run *out,
                    struct mt_error *e);
    int (*list_runs)(struct mt_store *self, const struct mt_run_filter *f, struct mt_run **out, size_t *count,
                     struct mt_error *e);
    /* segment -1: all */
    int (*read_journal)(struct mt_store *self, const char *run, int segment, struct mt_entry **out,
                        size_t *count, struct mt_error *e);
    int (*count_runs)(struct mt_store *self, int64_t by_state[MT_RUN_STATE_COUNT], struct mt_error *e);
    /* The smallest due_at of unowned runs; of deliveries, tasks and pending late events; MT_NEVER. `runs`,
     * `rest` may be NULL. */
    int (*next_due)(struct mt_store *self, int64_t *runs, int64_t *rest, struct mt_error *e);
    /* topic/key NULL: any. Newest first when `newest` (n < after, unless 0), else n > after, oldest first. */
    int (*list_events)(struct mt_store *self, const char *topic, const char *key, int64_t after, bool newest,
                       enum mt_event_filter which, size_t limit, struct mt_event **out, size_t *count,
                       struct mt_error *e);
    /* The n of the newest event of (topic, key); 0 when there is none. */
    int (*last_event)(struct mt_store *self, const char *topic, const char *key, int64_t *n,
                      struct mt_error *e);
    int (*get_document)(struct mt_store *self, const char *collection, const char *id,
                        struct mt_document *out, struct mt_error *e);
    /* field NULL: all, by id. Otherwise where the declared field has this value. After `after_id`. *counter
     * (NULL allowed) gets the collection's change counter, read in the same snapshot. newest: ids descending.
     */
    int (*query_documents)(struct mt_store *self, const char *collection, const char *field,
                           const char *value, const char *after_id, bool newest, size_t limit,
                           struct mt_document **out, size_t *count, int64_t *counter, struct mt_error *e);
    int (*get_delivery)(struct mt_store *self, const char *id, struct mt_delivery *out, struct mt_error *e);
    /* due_by MT_NEVER: all, oldest first; else pending ones with next_at <= due_by in order of next_at. group
     * NULL: any. */
    int (*list_deliveries)(struct mt_store *self, const char *group, int64_t due_by, size_t limit,
                           struct mt_delivery **out, size_t *count, struct mt_error *e);
    int (*list_tasks)(struct mt_store *self, int64_t due_by, size_t limit, struct mt_task **out,
                      size_t *count, struct mt_error *e);
    /* Manifest JSON of a generation, caller frees; and one file's text by hash. */
    int (*get_generation)(struct mt_store *self, const char *id, char **manifest, struct mt_error *e);
    int (*get_blob)(struct mt_store *self, const char *sha, char **text, size_t *len, struct mt_error *e);
    /* JSON array: {"id","created_at","runs"(not ended)}, newest first; caller frees. */
    int (*list_generations)(struct mt_store *self, char **json, struct mt_error *e);
    int (*get_meta)(struct mt_store *self, const char *key, char **value,
                    struct mt_error *e); /* caller frees */
    int (*kept)(struct mt_store *self, struct mt_kept *out, struct mt_error *e);
    /* Runs that are whole and ended from `from` to `before`, those that ended first first. flow NULL: any. */
    int (*list_ended)(struct mt_store *self, const char *flow, int64_t from, int64_t before, size_t limit,
                      struct mt_run **out, size_t *count, struct mt_error *e);
    /* How many such runs there are, and about how many bytes they take, with their journals. */
    int (*weigh_ended)(struct mt_store *self, const char *flow, int64_t before, int64_t *count,
                       int64_t *bytes, struct mt_error *e);
    /* What was taken away is nowhere in its files any more. The writer's thread only. */
    int (*scrub)(struct mt_store *self, struct mt_error *e);
    /* Deeds, newest first, each with its end: of = 0 and outcome NULL when it has none. who NULL: any; since:
     * not before; before: n < before, unless 0. */
    int (*list_audit)(struct mt_store *self, const char *who, int64_t since, int64_t before, size_t limit,
                      struct mt_audit **out, size_t *count, struct mt_error *e);
    /* Empties everything but meta (the sandbox's DELETE /_sandbox/state). The writer's thread only: see
     * mt_writer_exclusive. */
    int (*wipe)(struct mt_store *self, struct mt_error *e);

    int64_t epoch; /* this opening's own; every opening gets a larger one */
    void (*close)(struct mt_store *self);
};

/* Opens (creating when missing) DIR/mintage.db, holding DIR/lock so that one process only has it; migrates
 * older schemas; refuses a newer one. Runs owned by earlier epochs become due now. DIR is created with mode
 * 0700. */
struct mt_store *mt_store_sqlite_open(const char *dir, struct mt_error *e);
/* The oracle: a plain in-memory store of the same contract, for tests. Nothing is durable. */
struct mt_store *mt_store_memory_open(void);
/* Undoes its last commit, as when the machine died before that was durable; once, and before any restart. */
void mt_store_memory_take_back(struct mt_store *store);
/* Leaves it as closing and opening leaves the other: a new epoch, and what was owned is due now. */
void mt_store_memory_restart(struct mt_store *store);
