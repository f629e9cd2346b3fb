/* The SQL that is kept prepared, one row a statement, and the few calls through which all of it runs.
 * Every failure of SQLite passes mt_sqlite_error, so a failed fsync cannot be overlooked. A connection has
 * one user. */
#include "base/log.h"
#include "base/text.h"
#include "store/sqlite_private.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NEVER "9223372036854775807"

const char *const mt_sqlite_sql[ST_STATEMENT_COUNT] = {
    [ST_BEGIN] = "BEGIN IMMEDIATE",
    [ST_COMMIT] = "COMMIT",
    [ST_ROLLBACK] = "ROLLBACK",
    [ST_SAVEPOINT] = "SAVEPOINT batch",
    [ST_RELEASE] = "RELEASE batch",
    [ST_ROLLBACK_TO] = "ROLLBACK TO batch",
    [ST_READ_BEGIN] = "BEGIN",

    [ST_RUN_INSERT] =
        "INSERT INTO runs (n, id, flow, key, state, generation, segment, strand, entries, owner, class,"
        " due_at, input, input_digest, parent, parent_seq, detached, cancel_requested, created_at,"
        " updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?1, 0, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 0,"
        " ?15, ?15)",
    [ST_RUN_BY_ID] = "SELECT " MT_RUN_COLUMNS " FROM runs WHERE id = ?1",
    [ST_RUN_BY_KEY] = "SELECT " MT_RUN_COLUMNS " FROM runs WHERE flow = ?1 AND key = ?2",
    [ST_RUN_BY_N] = "SELECT " MT_RUN_COLUMNS ", strand, generation FROM runs WHERE n = ?1",
    [ST_RUN_DIGEST] = "SELECT input_digest FROM runs WHERE n = ?1",
    [ST_RUN_HEAD] = "SELECT n, owner, due_at, generation, strand, state, segment FROM runs WHERE id = ?1",
    [ST_RUN_CLAIM] =
        "UPDATE runs SET owner = ?2, state = ?3, due_at = " NEVER ", wait_topic = NULL, wait_key = NULL,"
        " waiting_for = NULL, updated_at = ?4 WHERE n = ?1",
    [ST_RUN_TEXTS] =
        "UPDATE runs SET progress = iif(?2, ?3, progress), output = iif(?4, ?5, output),"
        " error = iif(?6, ?7, error), waiting_for = iif(?8, ?9, waiting_for), updated_at = ?10 WHERE n = ?1",
    [ST_RUN_STATE] = "UPDATE runs SET progress = iif(?2, ?3, progress), output = iif(?4, ?5, output),"
                     " error = iif(?6, ?7, error), waiting_for = iif(?8, ?9, waiting_for), updated_at = ?10,"
                     " state = ?11, owner = ?12, due_at = " NEVER ", entries = ?13 WHERE n = ?1",
    [ST_RUN_SUSPEND] =
        "UPDATE runs SET state = ?2, owner = 0, class = ?3, due_at = ?4, wait_topic = ?5, wait_key = ?6,"
        " waiting_for = ?7, error = coalesce(?8, error), entries = ?9, updated_at = ?10 WHERE n = ?1",
    [ST_RUN_CONTINUE] =
        "UPDATE runs SET state = 0, owner = 0, class = 2, due_at = ?2, segment = ?3, strand = ?4,"
        " entries = 0, input = ?5, generation = ?6, cursors = ?7, wait_topic = NULL, wait_key = NULL,"
        " waiting_for = NULL, updated_at = ?2 WHERE n = ?1",
    [ST_RUN_CANCEL_FLAG] =
        "UPDATE runs SET cancel_requested = 1, cancel_reason = coalesce(cancel_reason, ?2),"
        " updated_at = ?3 WHERE n = ?1",
    [ST_RUN_PLACE] = "SELECT n, owner, state, generation, segment, entries,"
                     " (SELECT g.id FROM generations g WHERE g.g = generation) FROM runs WHERE id = ?1",
    [ST_RUN_MIGRATE] = "UPDATE runs SET generation = ?2, moves = ?3, updated_at = ?4 WHERE n = ?1",
    [ST_RUN_FORGET] =
        "UPDATE runs SET generation = 0, input = '{}', progress = ?2, output = ?3, error = ?4, waiting_for ="
        " NULL, cursors = NULL, cancel_reason = NULL, moves = NULL, dropped = segment + 1,"
        " gone_at = iif(gone_at > 0, gone_at, ?5) WHERE n = ?1",
    [ST_RUN_DROPPED] = "SELECT dropped, state IN (5, 6, 7) FROM runs WHERE n = ?1",
    [ST_RUN_DROP] = "UPDATE runs SET dropped = ?2 WHERE n = ?1",
    [ST_RUN_FIRST] = "SELECT n FROM runs WHERE n = ?1 AND dropped = 0",
    [ST_RUNS_GONE] = "SELECT n, state FROM runs INDEXED BY runs_gone WHERE gone_at > 0 AND updated_at <= ?1"
                     " AND n < (SELECT max(n) FROM runs) ORDER BY updated_at, n LIMIT ?2",
    [ST_RUN_DELETE] = "DELETE FROM runs WHERE n = ?1",
    [ST_ENDED] = "SELECT " MT_RUN_COLUMNS " FROM runs INDEXED BY runs_ended WHERE state IN (5, 6, 7) AND"
                 " gone_at = 0 AND updated_at BETWEEN ?1 AND ?2 ORDER BY updated_at, n LIMIT ?3",
    [ST_ENDED_OF_FLOW] = "SELECT " MT_RUN_COLUMNS " FROM runs INDEXED BY runs_ended WHERE state IN (5, 6, 7)"
                         " AND gone_at = 0 AND updated_at BETWEEN ?1 AND ?2 AND flow = ?4"
                         " ORDER BY updated_at, n LIMIT ?3",
    [ST_RUN_WAKE] = "UPDATE runs SET state = ?2, due_at = ?3, class = iif(?4 < 0, class, ?4),"
                    " error = iif(?5, NULL, error), updated_at = ?6, wait_topic = NULL, wait_key = NULL,"
                    " waiting_for = NULL WHERE n = ?1",
    [ST_DUE] = "SELECT n FROM runs INDEXED BY runs_due WHERE owner = 0 AND due_at < " NEVER " AND class = ?1"
               " AND due_at <= ?2 ORDER BY due_at, n LIMIT ?3",
    [ST_WAITERS] =
        "SELECT n, owner, due_at, generation, strand, state, segment FROM runs INDEXED BY runs_wait"
        " WHERE wait_topic IS NOT NULL AND wait_topic = ?1 AND wait_key = ?2"
        " UNION ALL SELECT r.n, r.owner, r.due_at, r.generation, r.strand, r.state, r.segment FROM asked a"
        " JOIN runs r ON r.n = a.run AND r.wait_topic = '' WHERE a.topic = ?1 AND a.key = ?2",
    [ST_COUNT_ADD] = "INSERT INTO run_counts VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET runs = runs + ?3",
    [ST_SEGMENT_INSERT] =
        "INSERT INTO segments (strand, run, segment, at, prior) VALUES (?1, ?2, ?3, ?4, ?5)",
    [ST_SEGMENT_STRAND] = "SELECT strand FROM segments WHERE run = ?1 AND segment = ?2",
    [ST_STRANDS] = "SELECT 0, n FROM runs WHERE id = ?1 AND dropped = 0 UNION ALL SELECT s.segment, s.strand "
                   "FROM segments s"
                   " JOIN runs r ON r.n = s.run WHERE r.id = ?1 ORDER BY 1",
    [ST_SEGMENTS_OVER] =
        "SELECT s.run, s.segment FROM segments s INDEXED BY segments_over JOIN runs r ON r.n = s.run"
        " WHERE s.prior <> 0 AND s.at <= ?1 AND r.state <> 8 ORDER BY s.at, s.strand LIMIT ?2",
    [ST_SEGMENT_TOP] = "SELECT max(segment) FROM segments WHERE run = ?1 AND at <= ?2",
    [ST_SEGMENTS_TRASH] =
        "INSERT OR IGNORE INTO trash SELECT prior FROM segments WHERE run = ?1 AND segment <= ?2"
        " AND prior <> 0",
    [ST_SEGMENTS_DELETE] = "DELETE FROM segments WHERE run = ?1 AND segment < ?2",
    [ST_SEGMENT_KEPT] = "UPDATE segments SET prior = 0 WHERE run = ?1 AND segment = ?2",
    [ST_STRANDS_TRASH] = "INSERT OR IGNORE INTO trash SELECT n FROM runs WHERE n = ?1 AND dropped = 0"
                         " UNION ALL SELECT strand FROM segments WHERE run = ?1",
    [ST_TRASH_FIRST] = "SELECT min(strand) FROM trash",
    [ST_TRASH_DELETE] = "DELETE FROM trash WHERE strand = ?1",
    [ST_GENERATION_FIND] = "SELECT g FROM generations WHERE id = ?1",
    [ST_GENERATION_NAME] = "INSERT INTO generations (id, created_at) VALUES (?1, 0)",

    [ST_ENTRY_INSERT] =
        "INSERT INTO entries (k, kind, name, digest, outcome, params, request, result, sealed, meta,"
        " site, at, done_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    [ST_ENTRY_ANSWER] =
        "UPDATE entries SET outcome = ?2, result = ?3, sealed = ?4, meta = coalesce(?5, meta),"
        " done_at = ?6 WHERE k = ?1",
    [ST_ENTRY_META] =
        "UPDATE entries SET meta = coalesce(?2, meta), request = coalesce(?3, request) WHERE k = ?1",
    [ST_ENTRY_OUTCOME] = "SELECT outcome FROM entries WHERE k = ?1",
    [ST_ENTRY_LAST] = "SELECT max(k) FROM entries WHERE k BETWEEN ?1 AND ?2",
    [ST_ENTRIES] =
        "SELECT k, kind, name, digest, outcome, params, request, result, sealed, meta, site, at, done_at"
        " FROM entries WHERE k BETWEEN ?1 AND ?2 ORDER BY k",

    [ST_ENTRIES_DELETE] = "DELETE FROM entries WHERE k IN (SELECT k FROM entries WHERE k BETWEEN ?1 AND ?2"
                          " ORDER BY k LIMIT ?3)",

    [ST_EVENT_SOURCE] = "SELECT n FROM events WHERE source = ?1",
    [ST_EVENT_INSERT] = "INSERT INTO events (n, topic, key, payload, source, raw, at, readers)"
                        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)",
    [ST_EVENT_NEXT] =
        "SELECT n, topic, key, payload, source, at, readers FROM events WHERE topic = ?1 AND key = ?2"
        " AND n > ?3 ORDER BY n LIMIT 1",
    [ST_EVENT_READ] = "UPDATE events SET readers = readers + 1 WHERE n = ?1",
    [ST_EVENT_LAST] = "SELECT max(n) FROM events WHERE topic = ?1 AND key = ?2",
    [ST_EVENT_SEEN] =
        "UPDATE events SET readers = 1 WHERE topic = ?1 AND key = ?2 AND n <= ?3 AND readers = 0",
    [ST_EVENT_LATE] = "UPDATE events SET late = 1, late_run = ?2 WHERE n = ?1",
    [ST_EVENTS_LEFT] = "SELECT n, at FROM events WHERE topic = ?1 AND key = ?2 AND readers = 0 AND late = 0",
    [ST_EVENT_LOOKED_AFTER] = "UPDATE events SET late = ?2, late_run = iif(?2 = 0, NULL, late_run),"
                              " readers = readers + iif(?2 = 2, 1, 0) WHERE n = ?1 AND late = 1",
    [ST_ASKED] = "INSERT INTO asked VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET segment = ?4"
                 " WHERE segment <> ?4",
    [ST_ASKERS] = "SELECT max(a.run), total(r.state NOT IN (5, 6, 7)) FROM asked a JOIN runs r ON r.n = a.run"
                  " WHERE a.topic = ?1 AND a.key = ?2",
    [ST_ASKED_OF] = "SELECT topic, key FROM asked INDEXED BY asked_run WHERE run = ?1",

    [ST_ASKED_COUNT] = "SELECT count(*), total(r.state NOT IN (5, 6, 7)) FROM asked a JOIN runs r ON"
                       " r.n = a.run WHERE a.topic = ?1 AND a.key = ?2",
    [ST_PARENT_LIVES] = "SELECT p.state NOT IN (5, 6, 7) FROM runs c JOIN runs p ON p.id = c.parent"
                        " WHERE c.id = ?1",
    [ST_ASKED_DELETE] = "DELETE FROM asked WHERE run = ?1 AND segment < ?2",
    [ST_EVENTS_OLD] = "SELECT n, topic, key, source, at, readers, late FROM events WHERE n > ?1"
                      " ORDER BY n LIMIT ?2",
    [ST_EVENT_LARGEST] = "SELECT max(n) FROM events",
    [ST_EVENT_DELETE] = "DELETE FROM events WHERE n = ?1",
    [ST_EVENT_BLANK] = "UPDATE events SET payload = 'null', raw = NULL WHERE topic = ?1 AND key = ?2"
                       " AND late <> 1",
    [ST_SOURCE_ADD] = "INSERT OR IGNORE INTO sources VALUES (?1, ?2, ?3)",
    [ST_SOURCE_FIND] = "SELECT n FROM sources WHERE source = ?1",
    [ST_SOURCES_DELETE] = "DELETE FROM sources WHERE n IN (SELECT n FROM sources ORDER BY n LIMIT ?2)"
                          " AND at <= ?1",

    [ST_DOC_FIND] = "SELECT rowid, version FROM documents WHERE collection = ?1 AND id = ?2",
    [ST_DOC_INSERT] = "INSERT INTO documents (collection, id, version, body, at) VALUES (?1, ?2, 1, ?3, ?4)",
    [ST_DOC_UPDATE] = "UPDATE documents SET version = version + 1, body = ?2, at = ?3 WHERE rowid = ?1",
    [ST_DOC_DELETE] = "DELETE FROM documents WHERE rowid = ?1",
    [ST_DOC_KEYS_DELETE] = "DELETE FROM document_keys WHERE collection = ?1 AND id = ?2",
    [ST_DOC_KEY_INSERT] = "INSERT INTO document_keys (collection, field, value, id) VALUES (?1, ?2, ?3, ?4)",
    [ST_DOC_KEY_TAKEN] = "SELECT 1 FROM document_keys WHERE collection = ?1 AND field = ?2 AND value = ?3"
                         " AND id <> ?4 LIMIT 1",
    [ST_COLLECTION_BUMP] =
        "INSERT INTO collections VALUES (?1, 1, max(?2, 0)) ON CONFLICT DO UPDATE SET counter = counter + 1,"
        " keep = iif(?2 < 0, keep, ?2)",
    [ST_COLLECTION_COUNTER] = "SELECT counter FROM collections WHERE name = ?1",
    [ST_DOC_GET] = "SELECT id, version, body FROM documents WHERE collection = ?1 AND id = ?2",

    [ST_COLLECTIONS_KEPT] = "SELECT name, keep FROM collections WHERE keep > 0 ORDER BY name",
    [ST_DOCS_OLD] = "SELECT rowid, id FROM documents INDEXED BY documents_at WHERE collection = ?1"
                    " AND at IS NOT NULL AND at <= ?2 ORDER BY at, rowid LIMIT ?3",

    [ST_DELIVERY_INSERT] =
        "INSERT INTO deliveries (n, id, grp, event, url, headers, body, schedule, accept, state,"
        " attempts, next_at, created_at, log)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [ST_DELIVERY_UPDATE] = "UPDATE deliveries SET state = ?2, attempts = ?3, next_at = ?4, log = ?5, url = ?6"
                           " WHERE id = ?1",
    [ST_DELIVERY_GET] =
        "SELECT n, id, grp, event, url, headers, body, schedule, accept, state, attempts, next_at,"
        " created_at, log FROM deliveries WHERE id = ?1",
    [ST_DELIVERIES_OLD] = "SELECT n, state, created_at FROM deliveries WHERE n > ?1 ORDER BY n LIMIT ?2",
    [ST_DELIVERY_LARGEST] = "SELECT max(n) FROM deliveries",
    [ST_DELIVERY_DELETE] = "DELETE FROM deliveries WHERE n = ?1",
    [ST_TASK_INSERT] = "INSERT INTO tasks (n, due_at, name, payload) VALUES (?1, ?2, ?3, ?4)",
    [ST_TASK_DELETE] = "DELETE FROM tasks WHERE n = ?1",
    [ST_TASKS] = "SELECT n, due_at, name, payload FROM tasks WHERE due_at <= ?1 ORDER BY due_at, n LIMIT ?2",
    [ST_GENERATION_KEEP] =
        "INSERT INTO generations (id, manifest, created_at, used_at) VALUES (?1, ?2, ?3, ?3) ON CONFLICT (id)"
        " DO UPDATE SET created_at = iif(manifest IS NULL, ?3, created_at),"
        " manifest = coalesce(manifest, ?2), used_at = max(used_at, ?3)",
    [ST_BLOB_KEEP] = "INSERT INTO blobs (sha, text) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
    [ST_GENERATION_GET] = "SELECT manifest FROM generations WHERE id = ?1 AND manifest IS NOT NULL",
    [ST_GENERATIONS] = "SELECT g.id, g.created_at, (SELECT coalesce(sum(c.runs), 0) FROM run_counts c"
                       " WHERE c.generation = g.g AND c.state NOT IN (5, 6, 7)) FROM generations g"
                       " WHERE g.manifest IS NOT NULL ORDER BY g.created_at DESC, g.id DESC",
    [ST_GENERATIONS_USED] = "SELECT g, id, used_at FROM generations WHERE manifest IS NOT NULL"
                            " ORDER BY used_at DESC, id DESC",
    [ST_GENERATION_RUNS] = "SELECT total(runs) FROM run_counts WHERE generation = ?1",
    [ST_GENERATION_EMPTY] = "UPDATE generations SET manifest = NULL WHERE g = ?1",
    [ST_COUNTS_DELETE] = "DELETE FROM run_counts WHERE generation = ?1 AND runs = 0",
    [ST_BLOBS_DELETE] = "DELETE FROM blobs WHERE NOT EXISTS (SELECT 1 FROM generations g WHERE"
                        " instr(g.manifest, '\"' || blobs.sha || '\"') > 0)",
    [ST_BLOB_GET] = "SELECT text FROM blobs WHERE sha = ?1",
    [ST_META_SET] = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2",
    [ST_AUDIT_INSERT] =
        "INSERT INTO audit (of, at, who, via, session, what, object, detail, outcome, result, ms)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [ST_AUDIT_OPEN] = "SELECT 1 FROM audit WHERE n = ?1 AND of = 0"
                      " AND NOT EXISTS (SELECT 1 FROM audit WHERE of = ?1)",
    [ST_META_GET] = "SELECT value FROM meta WHERE key = ?1",
    [ST_RUN_COUNTS] = "SELECT state, sum(runs) FROM run_counts GROUP BY state",
    [ST_DUE_RUNS] = "SELECT min(due_at) FROM runs INDEXED BY runs_due WHERE owner = 0 AND due_at < " NEVER
                    " AND class = ?1",
    [ST_DUE_REST] =
        "SELECT min(coalesce((SELECT min(next_at) FROM deliveries WHERE state = 'pending'), " NEVER "),"
        " coalesce((SELECT min(due_at) FROM tasks), " NEVER "),"
        " coalesce((SELECT min(at) FROM events WHERE late = 1), " NEVER "))",
    [ST_KEPT] =
        "SELECT (SELECT min(updated_at) FROM runs INDEXED BY runs_ended WHERE state IN (5, 6, 7) AND gone_at"
        " = 0),"
        " (SELECT min(s.at) FROM segments s INDEXED BY segments_over WHERE s.prior <> 0 AND (SELECT r.state"
        " FROM runs r WHERE r.n = s.run) <> 8),"
        " (SELECT at FROM events ORDER BY n LIMIT 1), (SELECT created_at FROM deliveries ORDER BY n LIMIT 1),"
        " (SELECT min(updated_at) FROM runs INDEXED BY runs_gone WHERE gone_at > 0),"
        " (SELECT min((SELECT min(d.at) FROM documents d INDEXED BY documents_at WHERE d.collection = c.name"
        " AND d.at IS NOT NULL) + c.keep) FROM collections c WHERE c.keep > 0),"
        " EXISTS (SELECT 1 FROM trash), (SELECT total(runs) FROM run_counts WHERE generation = 0),"
        " (SELECT count(*) FROM events INDEXED BY events_unread WHERE readers = 0)",
};

int mt_sqlite_error(sqlite3 *db, struct mt_error *e) {
    int code = sqlite3_extended_errcode(db);
    const char *text = sqlite3_errmsg(db);
    if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC) {
        /* After a failed fsync the kernel may call the lost pages clean, and the next fsync a success. Only a
         * restart, which reads what is really there, is honest. */
        mt_err("the disk refused to make data durable (fsync failed); stopping at once", "cause", text);
        abort();
    }
    if ((code & 0xff) == SQLITE_FULL ||
        ((code & 0xff) == SQLITE_IOERR &&
         (sqlite3_system_errno(db) == ENOSPC || sqlite3_system_errno(db) == EDQUOT)))
        return mt_fail(e, MT_FULL, "the disk that holds the store is full");
    return mt_fail(e, MT_STORE, "the store failed: %s (SQLite code %d)", text, code);
}

sqlite3_stmt *mt_sqlite_statement(struct mt_sqlite_conn *c, enum mt_statement which, struct mt_error *e) {
    sqlite3_stmt **st = &c->statements[which];
    if (!*st && sqlite3_prepare_v3(c->db, mt_sqlite_sql[which], -1, SQLITE_PREPARE_PERSISTENT, st, NULL) !=
                    SQLITE_OK) {
        mt_sqlite_error(c->db, e);
        return NULL;
    }
    return *st;
}

sqlite3_stmt *mt_sqlite_list(struct mt_sqlite_conn *c, const char *sql, struct mt_error *e) {
    size_t i = 0;
    while (i < MT_SQLITE_LISTS - 1 && c->lists[i].sql && strcmp(c->lists[i].sql, sql) != 0) i++;
    char *text = c->lists[i].sql;
    sqlite3_stmt *st = c->lists[i].st;
    if (!text || strcmp(text, sql) != 0) { /* a place that is free, or the oldest */
        sqlite3_finalize(st);
        free(text);
        c->lists[i].sql = NULL;
        c->lists[i].st = st = NULL;
        if (sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) != SQLITE_OK) {
            mt_sqlite_error(c->db, e);
            return NULL;
        }
        text = mt_strdup(sql);
    }
    memmove(&c->lists[1], &c->lists[0], i * sizeof c->lists[0]);
    c->lists[0].sql = text;
    c->lists[0].st = st;
    return st;
}

void mt_sqlite_list_done(sqlite3_stmt *st) {
    sqlite3_reset(st);
    if (st) sqlite3_clear_bindings(st);
}

int mt_sqlite_run(struct mt_sqlite_conn *c, sqlite3_stmt *st, int *changed, struct mt_error *e) {
    int rc = sqlite3_step(st);
    if (rc != SQLITE_DONE) {
        mt_sqlite_error(c->db, e);
        sqlite3_reset(st);
        return -1;
    }
    if (changed) *changed = sqlite3_changes(c->db);
    sqlite3_reset(st);
    return 0;
}

int mt_sqlite_step(struct mt_sqlite_conn *c, sqlite3_stmt *st, struct mt_error *e) {
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) return 1;
    if (rc != SQLITE_DONE) mt_sqlite_error(c->db, e);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

int mt_sqlite_simple(struct mt_sqlite_conn *c, enum mt_statement which, struct mt_error *e) {
    sqlite3_stmt *st = mt_sqlite_statement(c, which, e);
    return st ? mt_sqlite_run(c, st, NULL, e) : -1;
}

int mt_sqlite_exec(sqlite3 *db, const char *sql, struct mt_error *e) {
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK) return 0;
    return mt_sqlite_error(db, e);
}

void mt_sqlite_text(sqlite3_stmt *st, int i, const char *s) {
    if (s)
        sqlite3_bind_text(st, i, s, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, i);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

void mt_sqlite_digest(sqlite3_stmt *st, int i, const char *hex) {
    unsigned char bytes[64];
    size_t len = strlen(hex);
    bool packs = len % 2 == 0 && len <= 2 * sizeof bytes;
    for (size_t k = 0; packs && k < len; k += 2) {
        int high = hex_digit(hex[k]), low = hex_digit(hex[k + 1]);
        packs = high >= 0 && low >= 0;
        if (packs) bytes[k / 2] = (unsigned char)(high << 4 | low);
    }
    if (packs)
        sqlite3_bind_blob(st, i, bytes, (int)len / 2, SQLITE_TRANSIENT);
    else
        mt_sqlite_text(st, i, hex);
}

void mt_sqlite_read_digest(sqlite3_stmt *st, int i, char *out, size_t size) {
    static const char digits[] = "0123456789abcdef";
    if (sqlite3_column_type(st, i) != SQLITE_BLOB) {
        mt_sqlite_copy(st, i, out, size);
        return;
    }
    const unsigned char *bytes = sqlite3_column_blob(st, i);
    size_t len = (size_t)sqlite3_column_bytes(st, i), k = 0;
    for (; k < len && 2 * k + 2 < size; k++) {
        out[2 * k] = digits[bytes[k] >> 4];
        out[2 * k + 1] = digits[bytes[k] & 15];
    }
    out[2 * k] = 0;
}

char *mt_sqlite_take(sqlite3_stmt *st, int i) {
    const void *text = sqlite3_column_text(st, i);
    return text ? mt_memdup(text, (size_t)sqlite3_column_bytes(st, i)) : NULL;
}

void mt_sqlite_copy(sqlite3_stmt *st, int i, char *out, size_t size) {
    const char *text = (const char *)sqlite3_column_text(st, i);
    mt_copy(out, size, text ? text : "");
}

void mt_sqlite_conn_close(struct mt_sqlite_conn *c) {
    for (int i = 0; i < ST_STATEMENT_COUNT; i++) sqlite3_finalize(c->statements[i]);
    for (int i = 0; i < MT_SQLITE_LISTS; i++) {
        sqlite3_finalize(c->lists[i].st);
        free(c->lists[i].sql);
    }
    sqlite3_close(c->db);
    memset(c, 0, sizeof *c);
}
