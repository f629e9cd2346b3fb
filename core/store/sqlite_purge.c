/* Forgetting: tombstones of ended runs, and taking away what has been kept long enough, a bounded piece at a
 * time. Invariant: what is taken away is out of sight in the transaction that decides it; only journals,
 * which are large, are deleted later, strand by strand (the table trash). The writer's thread, inside its
 * transaction. */
#include "store/sqlite_private.h"
#include <stdlib.h>
#include <string.h>

#define FREE_PAGES_MIN 256 /* so many are about to be used again, or an eighth of the file */

struct row { /* of what may go */
    int64_t n, at;
    char *topic, *key, *source;
    int readers, late, state, segment;
};

static void free_rows(struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(rows[i].topic);
        free(rows[i].key);
        free(rows[i].source);
    }
    free(rows);
}

/* Runs a statement with integers as its parameters. */
static int run_numbers(struct mt_apply *a, enum mt_statement which, int64_t one, int64_t two, int *changed) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, which, a->e);
    if (!st) return -1;
    int params = sqlite3_bind_parameter_count(st);
    if (params > 0) sqlite3_bind_int64(st, 1, one);
    if (params > 1) sqlite3_bind_int64(st, 2, two);
    return mt_sqlite_run(&a->s->writer, st, changed, a->e);
}

/* The first column of the one row that a statement answers; 0 for NULL. */
static int read_number(struct mt_apply *a, enum mt_statement which, int64_t one, int64_t two, int64_t *out) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, which, a->e);
    if (!st) return -1;
    int params = sqlite3_bind_parameter_count(st);
    if (params > 0) sqlite3_bind_int64(st, 1, one);
    if (params > 1) sqlite3_bind_int64(st, 2, two);
    int rc = mt_sqlite_step(&a->s->writer, st, a->e);
    *out = rc == 1 ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_reset(st);
    return rc < 0 ? -1 : 0;
}

/* ---- FORGET ---- */

/* How many have asked for (topic, key), and how many of them go on. */
static int asked_by(struct mt_apply *a, const char *topic, const char *key, int64_t *all, int64_t *live) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_ASKED_COUNT, a->e);
    if (!st) return -1;
    mt_sqlite_text(st, 1, topic);
    mt_sqlite_text(st, 2, key);
    if (mt_sqlite_step(&a->s->writer, st, a->e) != 1) return -1;
    *all = sqlite3_column_int64(st, 0);
    *live = sqlite3_column_int64(st, 1);
    sqlite3_reset(st);
    return 0;
}

static int blank(struct mt_apply *a, const char *topic, const char *key) {
    int64_t all, live;
    if (asked_by(a, topic, key, &all, &live)) return -1;
    if (live) return 0;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_EVENT_BLANK, a->e);
    if (!st) return -1;
    mt_sqlite_text(st, 1, topic);
    mt_sqlite_text(st, 2, key);
    return mt_sqlite_run(&a->s->writer, st, NULL, a->e);
}

static int blank_events(struct mt_apply *a, const struct mt_op *op, int64_t run) {
    struct row *rows = NULL;
    size_t count = 0;
    int rc = -1;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_ASKED_OF, a->e);
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, run);
    while ((rc = mt_sqlite_step(&a->s->writer, st, a->e)) == 1) {
        rows = mt_sqlite_grow(rows, count, sizeof *rows);
        rows[count++] = (struct row){.topic = mt_sqlite_take(st, 0), .key = mt_sqlite_take(st, 1)};
    }
    for (size_t i = 0; i < count && rc == 0; i++) rc = blank(a, rows[i].topic, rows[i].key);
    free_rows(rows, count);
    return rc == 0 && op->forget.about ? blank(a, op->forget.about, op->forget.run) : rc;
}

enum mt_applied mt_sqlite_forget(struct mt_apply *a, struct mt_op *op) {
    struct mt_sqlite *s = a->s;
    struct mt_head h;
    int rc = mt_sqlite_head(s, op->forget.run, &h, a->e);
    if (rc < 0) return MT_BROKEN;
    if (!rc) return mt_rules_refuse(a->b, op, MT_RES_MISSING, "there is no run %s", op->forget.run);
    if (!mt_run_ended((enum mt_run_state)h.state))
        return mt_rules_refuse(a->b, op, MT_RES_FORBIDDEN,
                               "run %s is %s: only one that has ended is forgotten", op->forget.run,
                               mt_run_state_name((enum mt_run_state)h.state));
    if (run_numbers(a, ST_STRANDS_TRASH, h.n, 0, NULL) ||
        run_numbers(a, ST_SEGMENTS_DELETE, h.n, INT32_MAX, NULL))
        return MT_BROKEN;
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_RUN_FORGET, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, h.n);
    mt_sqlite_text(st, 2, op->forget.progress);
    mt_sqlite_text(st, 3, op->forget.output);
    mt_sqlite_text(st, 4, op->forget.error);
    sqlite3_bind_int64(st, 5, op->forget.at);
    if (mt_sqlite_run(&s->writer, st, NULL, a->e)) return MT_BROKEN;
    if (h.generation) { /* tombstones are counted apart, as of no generation */
        mt_owned_count(s, h.generation, h.state, -1);
        mt_owned_count(s, 0, h.state, 1);
    }
    return op->forget.erase && blank_events(a, op, h.n) ? MT_BROKEN : MT_APPLIED;
}

/* ---- journals ---- */

static int purge_entries(struct mt_apply *a, struct mt_op *op) {
    int64_t left = (int64_t)op->purge.limit, strand;
    while (left > 0) {
        int changed;
        if (read_number(a, ST_TRASH_FIRST, 0, 0, &strand)) return -1;
        if (!strand) return 0;
        sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_ENTRIES_DELETE, a->e);
        if (!st) return -1;
        sqlite3_bind_int64(st, 1, strand << MT_SEQ_BITS);
        sqlite3_bind_int64(st, 2, strand << MT_SEQ_BITS | MT_SEQ_MAX);
        sqlite3_bind_int64(st, 3, left);
        if (mt_sqlite_run(&a->s->writer, st, &changed, a->e)) return -1;
        op->purge.count += changed;
        if (changed < left && run_numbers(a, ST_TRASH_DELETE, strand, 0, NULL)) return -1;
        left -= changed > 0 ? changed : 1; /* an empty one is work too */
    }
    op->purge.more = true;
    return 0;
}

/* The journals of a run before the last segment that began by `before`. */
static int drop_segments(struct mt_apply *a, struct mt_op *op, int64_t run, int segment) {
    int64_t top;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_RUN_DROPPED, a->e);
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, run);
    if (mt_sqlite_step(&a->s->writer, st, a->e) != 1) return -1;
    int dropped = sqlite3_column_int(st, 0);
    bool ended = sqlite3_column_int(st, 1);
    sqlite3_reset(st);
    if (segment <= dropped) return 0; /* with another one of this run */
    if (read_number(a, ST_SEGMENT_TOP, run, op->purge.before, &top) ||
        run_numbers(a, ST_SEGMENTS_TRASH, run, top, NULL) ||
        run_numbers(a, ST_SEGMENTS_DELETE, run, top, NULL) ||
        run_numbers(a, ST_SEGMENT_KEPT, run, top, NULL) || run_numbers(a, ST_RUN_DROP, run, top, NULL))
        return -1;
    op->purge.count += top - dropped;
    return ended ? 0 : run_numbers(a, ST_ASKED_DELETE, run, top, NULL);
}

static int purge_segments(struct mt_apply *a, struct mt_op *op) {
    struct row *rows = NULL;
    size_t count = 0;
    int rc = -1;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_SEGMENTS_OVER, a->e);
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, op->purge.before);
    sqlite3_bind_int64(st, 2, (int64_t)op->purge.limit);
    while ((rc = mt_sqlite_step(&a->s->writer, st, a->e)) == 1) {
        rows = mt_sqlite_grow(rows, count, sizeof *rows);
        rows[count++] = (struct row){.n = sqlite3_column_int64(st, 0), .segment = sqlite3_column_int(st, 1)};
    }
    for (size_t i = 0; i < count && rc == 0; i++) rc = drop_segments(a, op, rows[i].n, rows[i].segment);
    op->purge.more = count == op->purge.limit;
    free_rows(rows, count);
    return rc;
}

/* ---- events and deliveries: by number, which is about by time ---- */

/* A few rows after op->purge.after, up to the first that is younger than all that goes. */
static int rows_after(struct mt_apply *a, struct mt_op *op, enum mt_statement which, enum mt_statement last,
                      struct row **rows, size_t *count) {
    bool events = which == ST_EVENTS_OLD;
    int64_t largest;
    int rc = -1;
    op->purge.seen = op->purge.after;
    if (read_number(a, last, 0, 0, &largest)) return -1;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, which, a->e);
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, op->purge.after);
    sqlite3_bind_int64(st, 2, (int64_t)op->purge.limit);
    while ((rc = mt_sqlite_step(&a->s->writer, st, a->e)) == 1) {
        struct row row = {.n = sqlite3_column_int64(st, 0), .at = sqlite3_column_int64(st, events ? 4 : 2)};
        if (row.n == largest || row.at > op->purge.before) break;
        if (events) {
            row.topic = mt_sqlite_take(st, 1);
            row.key = mt_sqlite_take(st, 2);
            row.source = mt_sqlite_take(st, 3);
            row.readers = sqlite3_column_int(st, 5);
            row.late = sqlite3_column_int(st, 6);
        } else {
            row.state = strcmp((const char *)sqlite3_column_text(st, 1), "pending") != 0;
        }
        *rows = mt_sqlite_grow(*rows, *count, sizeof row);
        (*rows)[(*count)++] = row;
    }
    sqlite3_reset(st);
    if (*count) op->purge.seen = (*rows)[*count - 1].n;
    op->purge.more = *count == op->purge.limit;
    return rc < 0 ? -1 : 0;
}

/* Whether it was for a parent that has ended: 1, 0, -1. */
static int nobodys(struct mt_apply *a, const struct mt_op *op, const struct row *row) {
    if (!op->purge.own || strcmp(row->topic, op->purge.own) != 0) return 0;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_PARENT_LIVES, a->e);
    if (!st) return -1;
    mt_sqlite_text(st, 1, row->key);
    int rc = mt_sqlite_step(&a->s->writer, st, a->e);
    bool lives = rc == 1 && sqlite3_column_int(st, 0);
    sqlite3_reset(st);
    return rc < 0 ? -1 : !lives;
}

/* 1: it may go; 0; -1. */
static int event_may_go(struct mt_apply *a, const struct mt_op *op, struct row *row) {
    int64_t all = 0, live = 0;
    if (row->late == MT_LATE_PENDING) return 0;
    int free_to_go = nobodys(a, op, row);
    if (free_to_go) {
        row->readers += row->readers == 0; /* as good as read */
        return free_to_go;
    }
    if (row->at <= op->purge.unread) return 1;
    if (!row->readers) return 0;
    if (asked_by(a, row->topic, row->key, &all, &live)) return -1;
    return !live || row->readers >= all;
}

static int drop_event(struct mt_apply *a, struct mt_op *op, const struct row *row) {
    sqlite3_stmt *st = row->source ? mt_sqlite_statement(&a->s->writer, ST_SOURCE_ADD, a->e) : NULL;
    if (row->source) {
        if (!st) return -1;
        sqlite3_bind_int64(st, 1, row->n);
        mt_sqlite_text(st, 2, row->source);
        sqlite3_bind_int64(st, 3, row->at);
        if (mt_sqlite_run(&a->s->writer, st, NULL, a->e)) return -1;
    }
    op->purge.count++;
    op->purge.count_unread += row->readers == 0;
    return run_numbers(a, ST_EVENT_DELETE, row->n, 0, NULL);
}

static int purge_events(struct mt_apply *a, struct mt_op *op) {
    struct row *rows = NULL;
    size_t count = 0;
    int rc = rows_after(a, op, ST_EVENTS_OLD, ST_EVENT_LARGEST, &rows, &count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        int may = event_may_go(a, op, &rows[i]);
        rc = may < 0 ? -1 : may ? drop_event(a, op, &rows[i]) : 0;
    }
    free_rows(rows, count);
    return rc;
}

static int purge_deliveries(struct mt_apply *a, struct mt_op *op) {
    struct row *rows = NULL;
    size_t count = 0;
    int rc = rows_after(a, op, ST_DELIVERIES_OLD, ST_DELIVERY_LARGEST, &rows, &count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        if (!rows[i].state) continue;
        op->purge.count++;
        rc = run_numbers(a, ST_DELIVERY_DELETE, rows[i].n, 0, NULL);
    }
    free_rows(rows, count);
    return rc;
}

static int purge_sources(struct mt_apply *a, struct mt_op *op) {
    int changed;
    if (run_numbers(a, ST_SOURCES_DELETE, op->purge.before, (int64_t)op->purge.limit, &changed)) return -1;
    op->purge.count = changed;
    op->purge.more = changed > 0 && (size_t)changed == op->purge.limit;
    return 0;
}

/* ---- documents ---- */

static int drop_document(struct mt_apply *a, const char *collection, const struct row *row) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_DOC_KEYS_DELETE, a->e);
    if (!st) return -1;
    mt_sqlite_text(st, 1, collection);
    mt_sqlite_text(st, 2, row->key);
    return mt_sqlite_run(&a->s->writer, st, NULL, a->e) || run_numbers(a, ST_DOC_DELETE, row->n, 0, NULL);
}

static int purge_collection(struct mt_apply *a, struct mt_op *op, const char *collection, int64_t keep) {
    struct row *rows = NULL;
    size_t count = 0;
    int rc = -1;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_DOCS_OLD, a->e);
    if (!st) return -1;
    mt_sqlite_text(st, 1, collection);
    sqlite3_bind_int64(st, 2, op->purge.before - keep);
    sqlite3_bind_int64(st, 3, (int64_t)op->purge.limit - op->purge.count);
    while ((rc = mt_sqlite_step(&a->s->writer, st, a->e)) == 1) {
        rows = mt_sqlite_grow(rows, count, sizeof *rows);
        rows[count++] = (struct row){.n = sqlite3_column_int64(st, 0), .key = mt_sqlite_take(st, 1)};
    }
    for (size_t i = 0; i < count && rc == 0; i++) rc = drop_document(a, collection, &rows[i]);
    op->purge.count += (int64_t)count;
    if (count && rc == 0) {
        if (!(st = mt_sqlite_statement(&a->s->writer, ST_COLLECTION_BUMP, a->e))) rc = -1;
        if (rc == 0) {
            mt_sqlite_text(st, 1, collection);
            sqlite3_bind_int64(st, 2, -1);
            rc = mt_sqlite_run(&a->s->writer, st, NULL, a->e);
        }
    }
    free_rows(rows, count);
    return rc;
}

static int purge_documents(struct mt_apply *a, struct mt_op *op) {
    struct row *rows = NULL;
    size_t count = 0;
    int rc = -1;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_COLLECTIONS_KEPT, a->e);
    if (!st) return -1;
    while ((rc = mt_sqlite_step(&a->s->writer, st, a->e)) == 1) {
        rows = mt_sqlite_grow(rows, count, sizeof *rows);
        rows[count++] = (struct row){.topic = mt_sqlite_take(st, 0), .at = sqlite3_column_int64(st, 1)};
    }
    for (size_t i = 0; i < count && rc == 0 && op->purge.count < (int64_t)op->purge.limit; i++)
        rc = purge_collection(a, op, rows[i].topic, rows[i].at);
    op->purge.more = op->purge.count == (int64_t)op->purge.limit;
    free_rows(rows, count);
    return rc;
}

/* ---- generations ---- */

/* Whether a run that is whole names it, or one of this very commit does. */
static int generation_used(struct mt_apply *a, int64_t g, bool *used) {
    int64_t runs;
    if (read_number(a, ST_GENERATION_RUNS, g, 0, &runs)) return -1;
    for (size_t i = 0; i < a->s->counts_count; i++) {
        if (a->s->counts[i].generation != g) continue;
        for (int state = 0; state < MT_RUN_STATE_COUNT; state++) runs += a->s->counts[i].delta[state];
    }
    *used = runs > 0;
    return 0;
}

static int purge_generations(struct mt_apply *a, struct mt_op *op) {
    struct row *rows = NULL;
    size_t count = 0;
    int rc = -1;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_GENERATIONS_USED, a->e);
    if (!st) return -1;
    for (size_t i = 0; (rc = mt_sqlite_step(&a->s->writer, st, a->e)) == 1; i++) {
        const char *id = (const char *)sqlite3_column_text(st, 1);
        if (i < op->purge.keep || sqlite3_column_int64(st, 2) > op->purge.before ||
            (op->purge.except && strcmp(id, op->purge.except) == 0))
            continue;
        rows = mt_sqlite_grow(rows, count, sizeof *rows);
        rows[count++] = (struct row){.n = sqlite3_column_int64(st, 0)};
    }
    for (size_t i = 0; i < count && rc == 0 && op->purge.count < (int64_t)op->purge.limit; i++) {
        bool used;
        if ((rc = generation_used(a, rows[i].n, &used)) || used) continue;
        op->purge.count++;
        rc = run_numbers(a, ST_GENERATION_EMPTY, rows[i].n, 0, NULL) ||
             run_numbers(a, ST_COUNTS_DELETE, rows[i].n, 0, NULL);
    }
    if (rc == 0 && op->purge.count) rc = run_numbers(a, ST_BLOBS_DELETE, 0, 0, NULL);
    op->purge.more = op->purge.count == (int64_t)op->purge.limit;
    free_rows(rows, count);
    return rc;
}

/* ---- tombstones, pages ---- */

static int purge_tombstones(struct mt_apply *a, struct mt_op *op) {
    struct row *rows = NULL;
    size_t count = 0;
    int rc = -1;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_RUNS_GONE, a->e);
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, op->purge.before);
    sqlite3_bind_int64(st, 2, (int64_t)op->purge.limit);
    while ((rc = mt_sqlite_step(&a->s->writer, st, a->e)) == 1) {
        rows = mt_sqlite_grow(rows, count, sizeof *rows);
        rows[count++] = (struct row){.n = sqlite3_column_int64(st, 0), .state = sqlite3_column_int(st, 1)};
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        mt_owned_count(a->s, 0, rows[i].state, -1);
        rc = run_numbers(a, ST_ASKED_DELETE, rows[i].n, INT32_MAX, NULL) ||
             run_numbers(a, ST_RUN_DELETE, rows[i].n, 0, NULL);
    }
    op->purge.count = (int64_t)count;
    op->purge.more = count == op->purge.limit;
    free_rows(rows, count);
    return rc;
}

static int pragma(struct mt_apply *a, const char *sql, int64_t *out) {
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(a->s->writer.db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(st);
    *out = rc == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    if (rc != SQLITE_ROW) mt_sqlite_error(a->s->writer.db, a->e);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : -1;
}

static int purge_pages(struct mt_apply *a, struct mt_op *op) {
    int64_t mode, pages, before, after;
    char sql[64];
    if (pragma(a, "PRAGMA auto_vacuum", &mode) || pragma(a, "PRAGMA page_count", &pages) ||
        pragma(a, "PRAGMA freelist_count", &before))
        return -1;
    int64_t spare = pages / 8 > FREE_PAGES_MIN ? pages / 8 : FREE_PAGES_MIN;
    if (mode != 2 || before <= spare) return 0;
    int64_t wanted = before - spare < (int64_t)op->purge.limit ? before - spare : (int64_t)op->purge.limit;
    sqlite3_snprintf(sizeof sql, sql, "PRAGMA incremental_vacuum(%lld)", (long long)wanted);
    if (mt_sqlite_exec(a->s->writer.db, sql, a->e) || pragma(a, "PRAGMA freelist_count", &after)) return -1;
    op->purge.count = before - after;
    op->purge.more = after > spare && after < before;
    return 0;
}

enum mt_applied mt_sqlite_purge(struct mt_apply *a, struct mt_op *op) {
    static int (*const purges[MT_PURGE_COUNT])(struct mt_apply *, struct mt_op *) = {
        [MT_PURGE_ENTRIES] = purge_entries,       [MT_PURGE_SEGMENTS] = purge_segments,
        [MT_PURGE_EVENTS] = purge_events,         [MT_PURGE_DELIVERIES] = purge_deliveries,
        [MT_PURGE_DOCUMENTS] = purge_documents,   [MT_PURGE_GENERATIONS] = purge_generations,
        [MT_PURGE_TOMBSTONES] = purge_tombstones, [MT_PURGE_SOURCES] = purge_sources,
        [MT_PURGE_PAGES] = purge_pages,
    };
    return purges[op->purge.what](a, op) ? MT_BROKEN : MT_APPLIED;
}
