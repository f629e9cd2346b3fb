/* Reads of runs and their journals, and the pool of connections that all reads borrow from. A reader is held
 * for one call only, so that no snapshot keeps the WAL from shrinking. Any thread. */
#include "base/sync.h"
#include "base/text.h"
#include "store/sqlite_private.h"
#include <stdlib.h>
#include <string.h>

/* ---- the pool ---- */

struct mt_sqlite_conn *mt_sqlite_reader(struct mt_sqlite *s, struct mt_error *e) {
    struct mt_sqlite_conn *c = NULL;
    mt_lock(&s->pool_lock);
    while (!c) {
        for (int i = 0; i < MT_SQLITE_READERS && !c;
             i++) /* the first that is free, so the later ones stay closed */
            if (!s->readers[i].busy) c = &s->readers[i];
        if (!c) mt_cond_wait(&s->pool_free, &s->pool_lock, MT_NO_DEADLINE);
    }
    c->busy = true;
    mt_unlock(&s->pool_lock);
    if (c->db) return c;
    struct mt_sqlite_conn opened;
    if (mt_sqlite_conn_open(&opened, s->vfs, s->path, false, e)) {
        mt_sqlite_reader_done(s, c);
        return NULL;
    }
    c->db = opened.db;
    return c;
}

void mt_sqlite_reader_done(struct mt_sqlite *s, struct mt_sqlite_conn *c) {
    mt_lock(&s->pool_lock);
    c->busy = false;
    mt_cond_signal(&s->pool_free);
    mt_unlock(&s->pool_lock);
}

void *mt_sqlite_grow(void *items, size_t count, size_t size) {
    if (count & (count - 1)) return items;
    return mt_realloc(items, (count ? 2 * count : 1) * size);
}

/* ---- runs ---- */

static int read_one_run(struct mt_sqlite *s, enum mt_statement which, const char *a, const char *b,
                        struct mt_run *out, struct mt_error *e) {
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    int rc = -1;
    sqlite3_stmt *st = mt_sqlite_statement(c, which, e);
    if (st) {
        mt_sqlite_text(st, 1, a);
        if (b) mt_sqlite_text(st, 2, b);
        rc = mt_sqlite_step(c, st, e);
        if (rc == 1) {
            mt_sqlite_run_columns(st, out);
            sqlite3_reset(st);
        }
    }
    mt_sqlite_reader_done(s, c);
    return rc;
}

static int get_run(struct mt_store *self, const char *id, struct mt_run *out, struct mt_error *e) {
    int rc = read_one_run((struct mt_sqlite *)self, ST_RUN_BY_ID, id, NULL, out, e);
    if (rc == 0) return mt_fail(e, MT_NOT_FOUND, "there is no run %.40s", id);
    return rc < 0 ? -1 : 0;
}

static int find_run(struct mt_store *self, const char *flow, const char *key, struct mt_run *out,
                    struct mt_error *e) {
    int rc = read_one_run((struct mt_sqlite *)self, ST_RUN_BY_KEY, flow, key, out, e);
    if (rc == 0) return mt_fail(e, MT_NOT_FOUND, "flow %.64s has no run with the key %.256s", flow, key);
    return rc < 0 ? -1 : 0;
}

/* Keys are indexed by flow. Asked for in all flows, one is looked up in each: of a million runs that takes a
 * fraction of a millisecond, where reading their index takes a tenth of a second. */
#define EACH_FLOW                                                                                            \
    " AND flow IN (WITH RECURSIVE f(flow) AS (SELECT min(flow) FROM runs UNION ALL"                          \
    " SELECT (SELECT min(r.flow) FROM runs r WHERE r.flow > f.flow) FROM f WHERE f.flow IS NOT NULL)"        \
    " SELECT flow FROM f WHERE flow IS NOT NULL)"

/* The state is written into the SQL, because only then may SQLite use the index of runs that have not
 * completed. */
static sqlite3_stmt *prepare_list(struct mt_sqlite_conn *c, const struct mt_run_filter *f,
                                  struct mt_error *e) {
    char sql[2048], state[32] = "";
    static const char live[] = " INDEXED BY runs_state WHERE state <> 5 AND state IN (0, 1, 2, 3, 4, 8)";
    static const char other[] = " AND generation NOT IN (SELECT g.g FROM generations g WHERE g.id = ?5)";
    if (f->state >= 0) mt_format(state, sizeof state, " AND state = %d", f->state);
    mt_format(sql, sizeof sql, "SELECT " MT_RUN_COLUMNS " FROM runs%s%s%s%s%s%s%s ORDER BY id DESC LIMIT ?4",
              f->live ? live : " WHERE 1", f->flow ? " AND flow = ?1" : "", f->key ? " AND key = ?2" : "",
              f->key && !f->flow && !f->live ? EACH_FLOW : "", state, f->before[0] ? " AND id < ?3" : "",
              f->except ? other : "");
    sqlite3_stmt *st = mt_sqlite_list(c, sql, e);
    if (!st) return NULL;
    if (f->flow) mt_sqlite_text(st, 1, f->flow);
    if (f->key) mt_sqlite_text(st, 2, f->key);
    if (f->before[0]) mt_sqlite_text(st, 3, f->before);
    if (f->except) mt_sqlite_text(st, 5, f->except);
    sqlite3_bind_int64(st, 4, f->limit > INT32_MAX ? INT32_MAX : (int64_t)f->limit);
    return st;
}

static int list_runs(struct mt_store *self, const struct mt_run_filter *f, struct mt_run **out, size_t *count,
                     struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_run *runs = NULL;
    size_t n = 0;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    sqlite3_stmt *st = prepare_list(c, f, e);
    int rc = -1;
    while (st && (rc = mt_sqlite_step(c, st, e)) == 1) {
        runs = mt_sqlite_grow(runs, n, sizeof *runs);
        mt_sqlite_run_columns(st, &runs[n++]);
    }
    mt_sqlite_list_done(st);
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

/* ---- the journal ---- */

static void entry_columns(sqlite3_stmt *st, int segment, struct mt_entry *e) {
    memset(e, 0, sizeof *e);
    e->segment = segment;
    e->seq = (int)(sqlite3_column_int64(st, 0) & MT_SEQ_MAX);
    mt_sqlite_copy(st, 1, e->kind, sizeof e->kind);
    mt_sqlite_copy(st, 2, e->name, sizeof e->name);
    mt_sqlite_read_digest(st, 3, e->digest, sizeof e->digest);
    e->outcome = (enum mt_outcome)sqlite3_column_int(st, 4);
    e->params = mt_sqlite_take(st, 5);
    if (sqlite3_column_type(st, 6) != SQLITE_NULL) {
        const void *request = sqlite3_column_blob(st, 6);
        e->request_len = (size_t)sqlite3_column_bytes(st, 6);
        e->request = mt_memdup(request ? request : "", e->request_len);
    }
    e->result = mt_sqlite_take(st, 7);
    e->sealed = sqlite3_column_int(st, 8);
    e->meta = mt_sqlite_take(st, 9);
    mt_sqlite_copy(st, 10, e->site, sizeof e->site);
    e->at = sqlite3_column_int64(st, 11);
    e->done_at = sqlite3_column_int64(st, 12);
}

struct strand {
    int segment;
    int64_t strand;
};

static int strands_of(struct mt_sqlite_conn *c, const char *run, int segment, struct strand **out,
                      size_t *count, struct mt_error *e) {
    sqlite3_stmt *st = mt_sqlite_statement(c, ST_STRANDS, e);
    int rc = -1;
    if (!st) return -1;
    mt_sqlite_text(st, 1, run);
    while ((rc = mt_sqlite_step(c, st, e)) == 1) {
        if (segment >= 0 && sqlite3_column_int(st, 0) != segment) continue;
        *out = mt_sqlite_grow(*out, *count, sizeof **out);
        (*out)[(*count)++] =
            (struct strand){.segment = sqlite3_column_int(st, 0), .strand = sqlite3_column_int64(st, 1)};
    }
    return rc;
}

static int entries_of(struct mt_sqlite_conn *c, const struct strand *strand, struct mt_entry **out,
                      size_t *count, struct mt_error *e) {
    sqlite3_stmt *st = mt_sqlite_statement(c, ST_ENTRIES, e);
    int rc = -1;
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, strand->strand << MT_SEQ_BITS);
    sqlite3_bind_int64(st, 2, strand->strand << MT_SEQ_BITS | MT_SEQ_MAX);
    while ((rc = mt_sqlite_step(c, st, e)) == 1) {
        *out = mt_sqlite_grow(*out, *count, sizeof **out);
        entry_columns(st, strand->segment, &(*out)[(*count)++]);
    }
    return rc;
}

static int read_journal(struct mt_store *self, const char *run, int segment, struct mt_entry **out,
                        size_t *count, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct strand *strands = NULL;
    struct mt_entry *entries = NULL;
    size_t strand_count = 0, n = 0;
    int rc = -1;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    if (mt_sqlite_simple(c, ST_READ_BEGIN, e)) goto out; /* all of it from one snapshot */
    rc = strands_of(c, run, segment, &strands, &strand_count, e);
    for (size_t i = 0; i < strand_count && rc == 0; i++) rc = entries_of(c, &strands[i], &entries, &n, e);
    if (rc == 0)
        rc = mt_sqlite_simple(c, ST_COMMIT, e);
    else
        sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
out:
    mt_sqlite_reader_done(s, c);
    free(strands);
    if (rc) {
        for (size_t i = 0; i < n; i++) mt_entry_clear(&entries[i]);
        free(entries);
        return -1;
    }
    *out = entries;
    *count = n;
    return 0;
}

/* ---- counts and what is due ---- */

static int count_runs(struct mt_store *self, int64_t by_state[MT_RUN_STATE_COUNT], struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    for (int i = 0; i < MT_RUN_STATE_COUNT; i++) by_state[i] = 0;
    int rc = -1;
    sqlite3_stmt *st = mt_sqlite_statement(c, ST_RUN_COUNTS, e);
    while (st && (rc = mt_sqlite_step(c, st, e)) == 1) {
        int state = sqlite3_column_int(st, 0);
        if (state >= 0 && state < MT_RUN_STATE_COUNT) by_state[state] = sqlite3_column_int64(st, 1);
    }
    mt_sqlite_reader_done(s, c);
    return rc;
}

static int earliest(struct mt_sqlite_conn *c, enum mt_statement which, int cls, int64_t *at,
                    struct mt_error *e) {
    sqlite3_stmt *st = mt_sqlite_statement(c, which, e);
    if (!st) return -1;
    if (cls >= 0) sqlite3_bind_int(st, 1, cls);
    if (mt_sqlite_step(c, st, e) != 1) return -1;
    if (sqlite3_column_type(st, 0) != SQLITE_NULL && sqlite3_column_int64(st, 0) < *at)
        *at = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return 0;
}

static int next_due(struct mt_store *self, int64_t *runs, int64_t *rest, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    int rc = 0;
    if (runs) {
        *runs = MT_NEVER;
        for (int cls = 0; cls < MT_CLASS_COUNT && !rc; cls++) rc = earliest(c, ST_DUE_RUNS, cls, runs, e);
    }
    if (rest && !rc) {
        *rest = MT_NEVER;
        rc = earliest(c, ST_DUE_REST, -1, rest, e);
    }
    mt_sqlite_reader_done(s, c);
    return rc;
}

void mt_sqlite_set_reads(struct mt_store *store) {
    store->get_run = get_run;
    store->find_run = find_run;
    store->list_runs = list_runs;
    store->read_journal = read_journal;
    store->count_runs = count_runs;
    store->next_due = next_due;
}
