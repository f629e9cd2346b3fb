/* What the sqlite_*.c files share: connections with their prepared statements, the runs this process owns,
 * and the undo log that keeps memory in step with rolled back rows. Inside core/store only. The writer's part
 * of struct mt_sqlite belongs to the writer's thread; the pool has its own mutex. */
#pragma once
#include "store/rules.h"
#include <pthread.h>
#include <sqlite3.h>

#define MT_SQLITE_READERS 8
#define MT_SQLITE_LISTS 8 /* statements of lists that a connection keeps */

/* Every statement that is kept prepared; its SQL is in the table of sqlite_statements.c. */
enum mt_statement {
    ST_BEGIN,
    ST_COMMIT,
    ST_ROLLBACK,
    ST_SAVEPOINT,
    ST_RELEASE,
    ST_ROLLBACK_TO,
    ST_READ_BEGIN,
    /* runs */
    ST_RUN_INSERT,
    ST_RUN_BY_ID,
    ST_RUN_BY_KEY,
    ST_RUN_BY_N,
    ST_RUN_DIGEST,
    ST_RUN_HEAD,
    ST_RUN_CLAIM,
    ST_RUN_TEXTS,
    ST_RUN_STATE,
    ST_RUN_SUSPEND,
    ST_RUN_CONTINUE,
    ST_RUN_CANCEL_FLAG,
    ST_RUN_PLACE,
    ST_RUN_MIGRATE,
    ST_RUN_FORGET,
    ST_RUN_DROPPED,
    ST_RUN_DROP,
    ST_RUN_FIRST,
    ST_RUNS_GONE,
    ST_RUN_DELETE,
    ST_ENDED,
    ST_ENDED_OF_FLOW,
    ST_RUN_WAKE,
    ST_DUE,
    ST_WAITERS,
    ST_COUNT_ADD,
    ST_SEGMENT_INSERT,
    ST_SEGMENT_STRAND,
    ST_STRANDS,
    ST_SEGMENTS_OVER,
    ST_SEGMENT_TOP,
    ST_SEGMENTS_TRASH,
    ST_SEGMENTS_DELETE,
    ST_SEGMENT_KEPT,
    ST_STRANDS_TRASH,
    ST_TRASH_FIRST,
    ST_TRASH_DELETE,
    ST_GENERATION_FIND,
    ST_GENERATION_NAME,
    /* journal */
    ST_ENTRY_INSERT,
    ST_ENTRY_ANSWER,
    ST_ENTRY_META,
    ST_ENTRY_OUTCOME,
    ST_ENTRY_LAST,
    ST_ENTRIES,
    ST_ENTRIES_DELETE,
    /* events */
    ST_EVENT_SOURCE,
    ST_EVENT_INSERT,
    ST_EVENT_NEXT,
    ST_EVENT_READ,
    ST_EVENT_LAST,
    ST_EVENT_SEEN,
    ST_EVENT_LATE,
    ST_EVENTS_LEFT,
    ST_EVENT_LOOKED_AFTER,
    ST_ASKED,
    ST_ASKERS,
    ST_ASKED_OF,
    ST_ASKED_COUNT,
    ST_PARENT_LIVES,
    ST_ASKED_DELETE,
    ST_EVENTS_OLD,
    ST_EVENT_LARGEST,
    ST_EVENT_DELETE,
    ST_EVENT_BLANK,
    ST_SOURCE_ADD,
    ST_SOURCE_FIND,
    ST_SOURCES_DELETE,
    /* documents */
    ST_DOC_FIND,
    ST_DOC_INSERT,
    ST_DOC_UPDATE,
    ST_DOC_DELETE,
    ST_DOC_KEYS_DELETE,
    ST_DOC_KEY_INSERT,
    ST_DOC_KEY_TAKEN,
    ST_COLLECTION_BUMP,
    ST_COLLECTION_COUNTER,
    ST_DOC_GET,
    ST_COLLECTIONS_KEPT,
    ST_DOCS_OLD,
    /* deliveries, tasks, generations, meta */
    ST_DELIVERY_INSERT,
    ST_DELIVERY_UPDATE,
    ST_DELIVERY_GET,
    ST_DELIVERIES_OLD,
    ST_DELIVERY_LARGEST,
    ST_DELIVERY_DELETE,
    ST_TASK_INSERT,
    ST_TASK_DELETE,
    ST_TASKS,
    ST_GENERATION_KEEP,
    ST_BLOB_KEEP,
    ST_GENERATION_GET,
    ST_GENERATIONS,
    ST_GENERATIONS_USED,
    ST_GENERATION_RUNS,
    ST_GENERATION_EMPTY,
    ST_COUNTS_DELETE,
    ST_BLOBS_DELETE,
    ST_BLOB_GET,
    ST_META_SET,
    ST_META_GET,
    ST_AUDIT_INSERT,
    ST_AUDIT_OPEN,
    ST_RUN_COUNTS,
    ST_DUE_RUNS,
    ST_DUE_REST,
    ST_KEPT,
    ST_STATEMENT_COUNT
};
extern const char *const mt_sqlite_sql[ST_STATEMENT_COUNT];

/* The columns of a run, in the order that mt_sqlite_run_columns reads them. */
#define MT_RUN_COLUMNS                                                                                       \
    "id, flow, key, state, (SELECT g.id FROM generations g WHERE g.g = generation), segment, owner, "        \
    "due_at, "                                                                                               \
    "input, progress, output, error, waiting_for, cursors, parent, parent_seq, detached, cancel_requested, " \
    "cancel_reason, CASE WHEN owner = 0 THEN entries ELSE (SELECT count(*) FROM entries e WHERE e.k "        \
    "BETWEEN "                                                                                               \
    "(strand << 17) AND (strand << 17 | 131071)) END, created_at, updated_at, moves, dropped, gone_at, "     \
    "input_digest, n"
#define MT_RUN_COLUMN_COUNT 27

struct mt_sqlite_conn {
    sqlite3 *db;
    sqlite3_stmt *statements[ST_STATEMENT_COUNT];
    /* Lists, whose text depends on what is asked for: those used last, the newest first. */
    struct {
        char *sql;
        sqlite3_stmt *st;
    } lists[MT_SQLITE_LISTS];
    bool busy;
};

/* A run that some epoch owns, as the rows say with everything applied so far. */
struct mt_owned {
    char id[MT_ID_SIZE];
    int64_t n, owner, strand, generation;
    int segment, entries, last_seq;
    enum mt_run_state state;
    bool cancel_requested;
    bool cancel_seen; /* an answer has told the owner */
    bool asked;       /* it may have asked for events */
    struct mt_owned *next;
};

enum mt_undo_kind { UNDO_CHANGED, UNDO_ADDED, UNDO_REMOVED, UNDO_COUNT };
struct mt_undo {
    enum mt_undo_kind kind;
    struct mt_owned *owned;
    struct mt_owned before;
    int64_t generation; /* COUNT */
    int state, delta;
};

/* Numbers given out, restored when a batch is refused. */
struct mt_numbers {
    int64_t strand, event, delivery, task; /* the last one given */
    unsigned rotor;
};

struct mt_run_count {
    int64_t generation;
    int delta[MT_RUN_STATE_COUNT];
};

struct mt_sqlite {
    struct mt_store store; /* first: the vtable's self */
    char *dir, *path;
    int lock;
    struct mt_disk *disk; /* a simulated one, instead of dir and lock; NULL */
    const char *vfs;      /* its; NULL */
    uint64_t hold;        /* on its name */

    /* the writer's thread */
    struct mt_sqlite_conn writer;
    struct mt_numbers numbers;
    struct mt_owned **buckets;
    size_t bucket_count, owned_count;
    struct mt_undo *undo;
    size_t undo_count, undo_cap;
    struct mt_run_count *counts; /* changes of this commit, by generation */
    size_t counts_count, counts_cap;
    struct {
        char id[MT_GENERATION_MAX];
        int64_t g;
    } generations[16]; /* the last few named, so that a start does not look its generation up */
    unsigned generations_next;
    int wal_pages; /* after the last commit */
    int checkpoint_at;

    pthread_mutex_t pool_lock;
    pthread_cond_t pool_free;
    struct mt_sqlite_conn readers[MT_SQLITE_READERS];
};

/* The batch being applied. */
struct mt_apply {
    struct mt_sqlite *s;
    struct mt_batch *b;
    struct mt_owned *own; /* the batch's run while it is owned; NULL without one or once it was let go */
    struct mt_error *e;   /* of the store itself */
};

/* ---- sqlite_statements.c: statements ---- */

/* The prepared statement, reset; NULL (and `e`) when it cannot be prepared. */
/* The statement of a list; one at a time of a connection. Done with mt_sqlite_list_done (NULL allowed). */
sqlite3_stmt *mt_sqlite_list(struct mt_sqlite_conn *c, const char *sql, struct mt_error *e);
void mt_sqlite_list_done(sqlite3_stmt *st);
sqlite3_stmt *mt_sqlite_statement(struct mt_sqlite_conn *c, enum mt_statement which, struct mt_error *e);
/* Turns a failed call into an error; ends the process when it was a failed fsync. Returns -1. */
int mt_sqlite_error(sqlite3 *db, struct mt_error *e);
/* Runs a statement that answers no rows. 0 or -1; *changed (or NULL) gets the number of rows it changed. */
int mt_sqlite_run(struct mt_sqlite_conn *c, sqlite3_stmt *st, int *changed, struct mt_error *e);
/* One row: 1 (row), 0 (no more, statement reset) or -1. */
int mt_sqlite_step(struct mt_sqlite_conn *c, sqlite3_stmt *st, struct mt_error *e);
int mt_sqlite_simple(struct mt_sqlite_conn *c, enum mt_statement which, struct mt_error *e);
int mt_sqlite_exec(sqlite3 *db, const char *sql, struct mt_error *e);
void mt_sqlite_text(sqlite3_stmt *st, int i, const char *s);
/* Hex digests are kept as bytes; anything else as it is. */
void mt_sqlite_digest(sqlite3_stmt *st, int i, const char *hex);
void mt_sqlite_read_digest(sqlite3_stmt *st, int i, char *out, size_t size);
char *mt_sqlite_take(sqlite3_stmt *st, int i); /* a copy; NULL for NULL */
void mt_sqlite_copy(sqlite3_stmt *st, int i, char *out, size_t size);
void mt_sqlite_conn_close(struct mt_sqlite_conn *c);

/* ---- sqlite_schema.c ---- */
/* vfs NULL: the operating system's files. */
int mt_sqlite_conn_open(struct mt_sqlite_conn *c, const char *vfs, const char *path, bool writer,
                        struct mt_error *e);
int mt_sqlite_migrate(struct mt_sqlite_conn *c, const char *path, struct mt_error *e);
/* Empties every table but meta and the epoch. */
int mt_sqlite_empty(struct mt_sqlite_conn *c, struct mt_error *e);

/* ---- sqlite_owned.c: the runs that are owned, and the undo log ---- */
struct mt_owned *mt_owned_find(struct mt_sqlite *s, const char *id);
struct mt_owned *mt_owned_add(struct mt_sqlite *s, const struct mt_owned *value);
void mt_owned_touch(struct mt_sqlite *s, struct mt_owned *o); /* before changing a field */
void mt_owned_remove(struct mt_sqlite *s, struct mt_owned *o);
void mt_owned_count(struct mt_sqlite *s, int64_t generation, int state, int delta);
void mt_owned_rollback(struct mt_sqlite *s, size_t mark);
void mt_owned_settle(struct mt_sqlite *s); /* after a commit: forgets how to undo */
void mt_owned_forget(struct mt_sqlite *s); /* everything (wipe, close) */

/* ---- operations: sqlite_runs.c, sqlite_waits.c, sqlite_docs.c, sqlite_purge.c ---- */
enum mt_applied mt_sqlite_start(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_claim(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_entry(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_answer(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_change(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_suspend(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_await(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_continue(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_seen(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_event(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_late(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_cancel(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_retry(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_resolve(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_migrate_run(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_doc_put(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_doc_delete(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_doc_check(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_collection_check(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_delivery_put(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_delivery_update(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_task_put(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_task_delete(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_generation(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_meta(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_forget(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_purge(struct mt_apply *a, struct mt_op *op);
enum mt_applied mt_sqlite_audit(struct mt_apply *a, struct mt_op *op); /* sqlite_audit.c */

/* Shared between them. */
/* Notes that the batch's run has asked for the events of (topic, key). */
int mt_sqlite_ask(struct mt_apply *a, const char *topic, const char *key);
/* A new event that woke nobody: late when all who had asked for it have ended. */
int mt_sqlite_late_for(struct mt_apply *a, int64_t n, const char *topic, const char *key, int64_t at);
/* What the run numbered `run`, which ends, had asked for and nobody has read. */
int mt_sqlite_leave_behind(struct mt_apply *a, int64_t run);
/* The journal key of the first place of a segment of a run; 0 when it has no such segment. */
int mt_sqlite_strand(struct mt_sqlite *s, int64_t n, int segment, int64_t *strand, struct mt_error *e);
enum mt_applied mt_sqlite_insert_entry(struct mt_apply *a, struct mt_op *op, const struct mt_entry *entry,
                                       enum mt_outcome outcome, const char *result, int64_t done_at);
enum mt_applied mt_sqlite_update_entry(struct mt_apply *a, struct mt_op *op, const struct mt_entry *entry,
                                       enum mt_outcome outcome, const char *result, int64_t done_at);
/* The run's row, counted over to `state` and let go of, unless it is still owned. */
void mt_sqlite_let_go(struct mt_apply *a, enum mt_run_state state);
/* Who a run is, whether owned or not. */
struct mt_head {
    int64_t n, owner, due_at, generation, strand;
    int state, segment;
};
int mt_sqlite_head(struct mt_sqlite *s, const char *id, struct mt_head *out,
                   struct mt_error *e); /* 1, 0, -1 */
/* Queues a run that is not owned: due at `at` (or sooner, when it was), waiting for nothing. */
int mt_sqlite_wake(struct mt_sqlite *s, const struct mt_head *h, enum mt_run_state state, int64_t due_at,
                   int cls, bool clear_error, int64_t at, struct mt_error *e);
void mt_sqlite_run_columns(sqlite3_stmt *st, struct mt_run *out);

/* ---- sqlite_read.c, sqlite_lists.c, sqlite_kept.c: the vtable's reads ---- */
struct mt_sqlite_conn *mt_sqlite_reader(struct mt_sqlite *s, struct mt_error *e);
void mt_sqlite_reader_done(struct mt_sqlite *s, struct mt_sqlite_conn *c);
/* Makes room for one more element in a malloc'ed array whose count is a power of two when it is full. */
void *mt_sqlite_grow(void *items, size_t count, size_t size);
void mt_sqlite_set_reads(struct mt_store *store);
void mt_sqlite_set_lists(struct mt_store *store);
void mt_sqlite_set_kept(struct mt_store *store);  /* sqlite_kept.c */
void mt_sqlite_set_audit(struct mt_store *store); /* sqlite_audit.c */
