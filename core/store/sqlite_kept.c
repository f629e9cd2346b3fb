/* Reads about how long things have been kept: what is the oldest of each kind, and which runs ended by when.
 * Any thread. */
#include "store/sqlite_private.h"
#include <stdlib.h>

static int64_t time_at(sqlite3_stmt *st, int i) {
    return sqlite3_column_type(st, i) == SQLITE_NULL ? MT_NEVER : sqlite3_column_int64(st, i);
}

static int one(struct mt_sqlite_conn *c, const char *sql, int64_t *out, struct mt_error *e) {
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) *out = sqlite3_column_int64(st, 0);
    if (rc != SQLITE_ROW) mt_sqlite_error(c->db, e);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : -1;
}

static int read_kept(struct mt_sqlite_conn *c, struct mt_kept *out, struct mt_error *e) {
    int64_t size, pages, free_pages;
    sqlite3_stmt *st = mt_sqlite_statement(c, ST_KEPT, e);
    if (!st || mt_sqlite_step(c, st, e) != 1) return -1;
    *out = (struct mt_kept){
        .ended = time_at(st, 0),
        .segment = time_at(st, 1),
        .event = time_at(st, 2),
        .delivery = time_at(st, 3),
        .tombstone = time_at(st, 4),
        .document = time_at(st, 5),
        .entries = sqlite3_column_int(st, 6),
        .tombstones = sqlite3_column_int64(st, 7),
        .unread_events = sqlite3_column_int64(st, 8),
    };
    sqlite3_reset(st);
    if (one(c, "PRAGMA page_size", &size, e) || one(c, "PRAGMA page_count", &pages, e) ||
        one(c, "PRAGMA freelist_count", &free_pages, e))
        return -1;
    out->bytes = size * pages;
    out->free_bytes = size * free_pages;
    return 0;
}

static int kept(struct mt_store *self, struct mt_kept *out, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    int rc = read_kept(c, out, e);
    mt_sqlite_reader_done(s, c);
    return rc;
}

static int list_ended(struct mt_store *self, const char *flow, int64_t from, int64_t before, size_t limit,
                      struct mt_run **out, size_t *count, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_run *runs = NULL;
    size_t n = 0;
    int rc = -1;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    sqlite3_stmt *st = mt_sqlite_statement(c, flow ? ST_ENDED_OF_FLOW : ST_ENDED, e);
    if (st) {
        sqlite3_bind_int64(st, 1, from);
        sqlite3_bind_int64(st, 2, before);
        sqlite3_bind_int64(st, 3, limit > INT32_MAX ? INT32_MAX : (int64_t)limit);
        if (flow) mt_sqlite_text(st, 4, flow);
    }
    while (st && (rc = mt_sqlite_step(c, st, e)) == 1) {
        runs = mt_sqlite_grow(runs, n, sizeof *runs);
        mt_sqlite_run_columns(st, &runs[n++]);
    }
    mt_sqlite_reader_done(s, c);
    if (rc < 0) {
        for (size_t i = 0; i < n; i++) mt_run_clear(&runs[i]);
        free(runs);
        return -1;
    }
    *out = runs;
    *count = n;
    return 0;
}

#define ENDED                                                                                                \
    "FROM runs r INDEXED BY runs_ended WHERE r.state IN (5, 6, 7) AND r.gone_at = 0 AND r.updated_at <= ?1"
#define LENGTH(column) "coalesce(length(" column "), 0)"
#define OF_ENTRY                                                                                             \
    "60 + " LENGTH("e.name") " + " LENGTH("e.params") " + " LENGTH("e.request") " + " LENGTH(                \
        "e.result") " + " LENGTH("e.meta") " + " LENGTH("e.site")

static int weigh(struct mt_sqlite_conn *c, const char *sql, const char *flow, int64_t before, int64_t *count,
                 int64_t *bytes, struct mt_error *e) {
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(c->db, sql, -1, &st, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_int64(st, 1, before);
        if (flow) mt_sqlite_text(st, 2, flow);
        rc = sqlite3_step(st);
    }
    if (rc == SQLITE_ROW) *count = sqlite3_column_int64(st, 0);
    if (rc == SQLITE_ROW && bytes) *bytes = sqlite3_column_int64(st, 1);
    if (rc != SQLITE_ROW) mt_sqlite_error(c->db, e);
    sqlite3_finalize(st);
    return rc == SQLITE_ROW ? 0 : -1;
}

/* Two thousand are weighed; the others weigh as much on average. */
static int weigh_ended(struct mt_store *self, const char *flow, int64_t before, int64_t *count,
                       int64_t *bytes, struct mt_error *e) {
    static const char *const sql[2][2] = {
        {"SELECT count(*) " ENDED, "SELECT count(*) " ENDED " AND r.flow = ?2"},
        {"WITH some AS (SELECT * " ENDED " ORDER BY r.updated_at, r.n LIMIT 2000)",
         "WITH some AS (SELECT * " ENDED " AND r.flow = ?2 ORDER BY r.updated_at, r.n LIMIT 2000)"}};
    static const char sum[] =
        " SELECT count(*), sum(" LENGTH("input") " + " LENGTH("progress") " + " LENGTH("output") " + " LENGTH(
            "error") " + " LENGTH("cursors") " + coalesce((SELECT sum(" OF_ENTRY ") FROM entries e WHERE"
                                             " e.k BETWEEN (some.n << 17) AND (some.n << 17 | 131071)), 0) + "
                                             "coalesce((SELECT sum(" OF_ENTRY ")"
                                             " FROM segments s JOIN entries e ON e.k BETWEEN (s.strand << "
                                             "17) AND (s.strand << 17 | 131071)"
                                             " WHERE s.run = some.n), 0)) FROM some";
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    char *text = sqlite3_mprintf("%s%s", sql[1][flow != NULL], sum);
    int64_t weighed = 0;
    int rc = -1;
    *bytes = 0;
    if (c && text)
        rc = weigh(c, sql[0][flow != NULL], flow, before, count, NULL, e) ||
             weigh(c, text, flow, before, &weighed, bytes, e);
    if (rc == 0 && weighed && *count > weighed)
        *bytes = (int64_t)((double)*bytes / (double)weighed * (double)*count);
    sqlite3_free(text);
    if (c) mt_sqlite_reader_done(s, c);
    return rc ? -1 : 0;
}

void mt_sqlite_set_kept(struct mt_store *store) {
    store->kept = kept;
    store->list_ended = list_ended;
    store->weigh_ended = weigh_ended;
}
