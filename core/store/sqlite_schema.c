/* The tables of the SQLite store, how older ones become newer, and how a connection is set up.
 * The schema's version is PRAGMA user_version; a change of schema is one more row of `migrations`. */
#include "base/log.h"
#include "base/text.h"
#include "store/sqlite_private.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NEVER "9223372036854775807" /* MT_NEVER; indexes need it as a literal */

/* A segment of a run has a strand: one integer that its entries' keys begin with (strand << 17 | seq), so
 * that the journal is one b-tree of integers and the entries of a segment lie side by side. The first
 * segment's strand is the run's own n. */
static const char version_1[] =
    "CREATE TABLE opening (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL);"
    "INSERT INTO opening VALUES (1, 0);"
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE generations (g INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, manifest TEXT,"
    " created_at INTEGER NOT NULL);"
    "CREATE TABLE blobs (sha TEXT NOT NULL UNIQUE, text BLOB NOT NULL);"
    "CREATE TABLE runs (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, flow TEXT NOT NULL, key TEXT,"
    " state INTEGER NOT NULL, generation INTEGER NOT NULL, segment INTEGER NOT NULL, strand INTEGER NOT NULL,"
    " entries INTEGER NOT NULL, owner INTEGER NOT NULL, class INTEGER NOT NULL, due_at INTEGER NOT NULL,"
    " wait_topic TEXT, wait_key TEXT, input TEXT NOT NULL, input_digest BLOB NOT NULL, progress TEXT, output "
    "TEXT,"
    " error TEXT, waiting_for TEXT, cursors TEXT, parent TEXT, parent_seq INTEGER NOT NULL, detached INTEGER "
    "NOT NULL,"
    " cancel_requested INTEGER NOT NULL, cancel_reason TEXT, created_at INTEGER NOT NULL, updated_at INTEGER "
    "NOT NULL);"
    "CREATE UNIQUE INDEX runs_key ON runs (flow, key) WHERE key IS NOT NULL;"
    "CREATE INDEX runs_flow ON runs (flow, id);"
    "CREATE INDEX runs_state ON runs (state, id) WHERE state <> 5;" /* completed: nearly all of them, one day
                                                                     */
    "CREATE INDEX runs_due ON runs (class, due_at) WHERE owner = 0 AND due_at < " NEVER ";"
    "CREATE INDEX runs_owned ON runs (owner) WHERE owner <> 0;"
    "CREATE INDEX runs_wait ON runs (wait_topic, wait_key) WHERE wait_topic IS NOT NULL;"
    "CREATE TABLE run_counts (generation INTEGER NOT NULL, state INTEGER NOT NULL, runs INTEGER NOT NULL,"
    " PRIMARY KEY (generation, state)) WITHOUT ROWID;"
    "CREATE TABLE segments (strand INTEGER PRIMARY KEY, run INTEGER NOT NULL, segment INTEGER NOT NULL,"
    " UNIQUE (run, segment));"
    "CREATE TABLE entries (k INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, digest BLOB,"
    " outcome INTEGER NOT NULL, params TEXT, request BLOB, result TEXT, sealed INTEGER NOT NULL, meta TEXT,"
    " site TEXT NOT NULL, at INTEGER NOT NULL, done_at INTEGER NOT NULL);"
    "CREATE TABLE events (n INTEGER PRIMARY KEY, topic TEXT NOT NULL, key TEXT NOT NULL, payload TEXT NOT "
    "NULL,"
    " source TEXT, raw BLOB, at INTEGER NOT NULL, readers INTEGER NOT NULL);"
    "CREATE INDEX events_key ON events (topic, key);"
    "CREATE UNIQUE INDEX events_source ON events (source) WHERE source IS NOT NULL;"
    "CREATE INDEX events_unread ON events (readers) WHERE readers = 0;"
    "CREATE TABLE collections (name TEXT PRIMARY KEY, counter INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE documents (collection TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, body TEXT "
    "NOT NULL,"
    " UNIQUE (collection, id));"
    "CREATE TABLE document_keys (collection TEXT NOT NULL, field TEXT NOT NULL, value TEXT NOT NULL, id TEXT "
    "NOT NULL,"
    " PRIMARY KEY (collection, field, value, id)) WITHOUT ROWID;"
    "CREATE INDEX document_keys_id ON document_keys (collection, id);"
    "CREATE TABLE deliveries (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, grp TEXT NOT NULL, event TEXT "
    "NOT NULL,"
    " url TEXT, headers TEXT, body BLOB, schedule TEXT, accept TEXT, state TEXT NOT NULL, attempts INTEGER "
    "NOT NULL,"
    " next_at INTEGER NOT NULL, created_at INTEGER NOT NULL, log TEXT);"
    "CREATE INDEX deliveries_due ON deliveries (next_at) WHERE state = 'pending';"
    "CREATE TABLE tasks (n INTEGER PRIMARY KEY, due_at INTEGER NOT NULL, name TEXT NOT NULL, payload TEXT "
    "NOT NULL);"
    "CREATE INDEX tasks_due ON tasks (due_at);"
    /* for people with sqlite3 at hand */
    "CREATE VIEW journal AS SELECT r.id AS run, coalesce(s.segment, 0) AS segment, e.k & 131071 AS seq, "
    "e.kind, e.name,"
    " e.outcome, e.params, e.result, e.meta, e.site, e.at, e.done_at FROM entries e"
    " LEFT JOIN segments s ON s.strand = e.k >> 17 JOIN runs r ON r.n = coalesce(s.run, e.k >> 17);";

/* What is known of a run's moves to other generations. */
static const char version_2[] = "ALTER TABLE runs ADD COLUMN moves TEXT;";

/* Who has asked for which events, kept as long as the run, so that one that comes after its end finds it. */
static const char version_3[] =
    "CREATE TABLE asked (topic TEXT NOT NULL, key TEXT NOT NULL, run INTEGER NOT NULL,"
    " PRIMARY KEY (topic, key, run)) WITHOUT ROWID;"
    "CREATE INDEX asked_run ON asked (run);"
    "INSERT INTO asked SELECT wait_topic, wait_key, n FROM runs WHERE wait_topic IS NOT NULL;"
    "ALTER TABLE events ADD COLUMN late INTEGER NOT NULL DEFAULT 0;" /* enum mt_late */
    "ALTER TABLE events ADD COLUMN late_run INTEGER;"
    "CREATE INDEX events_late ON events (n) WHERE late > 0;"
    "CREATE INDEX events_pending ON events (at) WHERE late = 1;";

/* What has been kept long enough is found by its time and goes; what has to be known of it stays: a run's
 * tombstone, an event's source. Journals go strand by strand, later than what led to them (trash). */
static const char version_4[] =
    "ALTER TABLE runs ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE runs ADD COLUMN gone_at INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX runs_ended ON runs (updated_at) WHERE state IN (5, 6, 7) AND gone_at = 0;"
    "CREATE INDEX runs_gone ON runs (updated_at) WHERE gone_at > 0;"
    /* when a segment began is when the one before it was over; prior: the strand of that one, while it has a
       journal */
    "ALTER TABLE segments ADD COLUMN at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE segments ADD COLUMN prior INTEGER NOT NULL DEFAULT 0;"
    "UPDATE segments SET prior = iif(segment = 1, run, coalesce((SELECT p.strand FROM segments p"
    " WHERE p.run = segments.run AND p.segment = segments.segment - 1), 0)),"
    " at = coalesce((SELECT e.at FROM entries e WHERE e.k BETWEEN strand << 17 AND strand << 17 | 131071"
    " ORDER BY e.k LIMIT 1), (SELECT r.updated_at FROM runs r WHERE r.n = run), 0);"
    "CREATE INDEX segments_over ON segments (at) WHERE prior <> 0;"
    "ALTER TABLE asked ADD COLUMN segment INTEGER NOT NULL DEFAULT 0;" /* the last one that asked */
    "CREATE TABLE trash (strand INTEGER PRIMARY KEY);"
    "CREATE TABLE sources (n INTEGER PRIMARY KEY, source TEXT NOT NULL UNIQUE, at INTEGER NOT NULL);"
    "ALTER TABLE collections ADD COLUMN keep INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE documents ADD COLUMN at INTEGER;" /* of those that are not kept for ever */
    "UPDATE documents SET at = CAST(strftime('%s', 'now') AS INTEGER) * 1000;"
    "CREATE INDEX documents_at ON documents (collection, at) WHERE at IS NOT NULL;"
    "ALTER TABLE generations ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;"
    "UPDATE generations SET used_at = created_at;";

/* What people did: a row when a deed begins, another (of: its number) when it has ended. */
static const char version_5[] =
    "CREATE TABLE audit (n INTEGER PRIMARY KEY, of INTEGER NOT NULL, at INTEGER NOT NULL, who TEXT NOT NULL,"
    " via TEXT NOT NULL, session TEXT, what TEXT NOT NULL, object TEXT, detail TEXT, outcome TEXT, result "
    "TEXT,"
    " ms INTEGER NOT NULL);"
    "CREATE UNIQUE INDEX audit_end ON audit (of) WHERE of > 0;"
    "CREATE INDEX audit_who ON audit (who, n) WHERE of = 0;"
    "CREATE INDEX audit_at ON audit (at);";

/* migrations[i] takes a store of version i to i + 1. */
static const char *const migrations[] = {version_1, version_2, version_3, version_4, version_5};
#define SCHEMA ((int)(sizeof migrations / sizeof *migrations))
#define SHRINKS 4           /* from this one on, files give pages back */
#define REWRITE_PAGES 65536 /* 256 MB: a larger file is not written anew while it is opened */

static const char *const wiped[] = {"runs",       "run_counts",  "segments",    "entries",
                                    "events",     "collections", "documents",   "document_keys",
                                    "deliveries", "tasks",       "generations", "blobs",
                                    "asked",      "trash",       "sources",     "audit"};

static int one_number(sqlite3 *db, const char *sql, int64_t *out, struct mt_error *e) {
    sqlite3_stmt *st = NULL;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK || sqlite3_step(st) != SQLITE_ROW) {
        mt_sqlite_error(db, e);
        sqlite3_finalize(st);
        return -1;
    }
    *out = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return 0;
}

static int migrate_one(sqlite3 *db, int from, struct mt_error *e) {
    char version[48];
    mt_format(version, sizeof version, "PRAGMA user_version = %d", from + 1);
    if (mt_sqlite_exec(db, "BEGIN IMMEDIATE", e)) return -1;
    if (mt_sqlite_exec(db, migrations[from], e) || mt_sqlite_exec(db, version, e) ||
        mt_sqlite_exec(db, "COMMIT", e)) {
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return -1;
    }
    return 0;
}

/* A file that can give pages back is made so at the beginning, or by writing all of it anew. Without, its
 * free pages are used again, but stay. */
static int make_shrinkable(sqlite3 *db, const char *path, struct mt_error *e) {
    int64_t pages;
    if (one_number(db, "PRAGMA page_count", &pages, e)) return -1;
    if (pages > REWRITE_PAGES) {
        mt_info("the store's file is large: what it frees is used again, but the file stays as large", "file",
                path);
        return 0;
    }
    if (mt_sqlite_exec(db, "PRAGMA auto_vacuum = INCREMENTAL; VACUUM", e))
        return mt_error_wrap(e, "%s: writing it anew", path);
    return 0;
}

int mt_sqlite_migrate(struct mt_sqlite_conn *c, const char *path, struct mt_error *e) {
    int64_t found;
    int version;
    if (one_number(c->db, "PRAGMA user_version", &found, e)) return mt_error_wrap(e, "%s", path);
    version = (int)found;
    if (version > SCHEMA)
        return mt_fail(e, MT_STORE, "%s has schema %d, this mintage knows %d: use the newer mintage", path,
                       version, SCHEMA);
    int was = version;
    for (; version < SCHEMA; version++)
        if (migrate_one(c->db, version, e))
            return mt_error_wrap(e, "%s: going from schema %d to %d", path, version, version + 1);
    return was >= 1 && was < SHRINKS ? make_shrinkable(c->db, path, e) : 0;
}

int mt_sqlite_conn_open(struct mt_sqlite_conn *c, const char *vfs, const char *path, bool writer,
                        struct mt_error *e) {
    /* No mutexes: the writer's connection has one thread, a reader is lent to one at a time. The writer
     * checkpoints by itself (sqlite.c), because an automatic checkpoint would swallow a failed fsync. Caches
     * are small on purpose: the kernel's page cache holds the file once for all nine connections. */
    static const char writer_pragmas[] =
        "PRAGMA auto_vacuum = INCREMENTAL;" /* of a new file */
        "PRAGMA secure_delete = ON;"
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"
        "PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;"
        "PRAGMA foreign_keys = OFF;";
    static const char reader_pragmas[] =
        "PRAGMA query_only = 1; PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY;";
    memset(c, 0, sizeof *c);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (writer ? SQLITE_OPEN_CREATE : 0);
    if (sqlite3_open_v2(path, &c->db, flags, vfs) != SQLITE_OK) {
        if (c->db)
            mt_sqlite_error(c->db, e);
        else
            mt_fail(e, MT_STORE, "no memory to open the store");
        goto fail;
    }
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, 5000); /* a person with sqlite3 at the file */
    if (mt_sqlite_exec(c->db, writer ? writer_pragmas : reader_pragmas, e)) goto fail;
    return 0;
fail:
    mt_sqlite_conn_close(c);
    return mt_error_wrap(e, "%s", path);
}

int mt_sqlite_empty(struct mt_sqlite_conn *c, struct mt_error *e) {
    if (mt_sqlite_simple(c, ST_BEGIN, e)) return -1;
    for (size_t i = 0; i < sizeof wiped / sizeof *wiped; i++) {
        char sql[64];
        mt_format(sql, sizeof sql, "DELETE FROM %s", wiped[i]);
        if (mt_sqlite_exec(c->db, sql, e)) goto fail;
    }
    if (mt_sqlite_simple(c, ST_COMMIT, e)) goto fail;
    return 0;
fail:
    sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    return -1;
}
