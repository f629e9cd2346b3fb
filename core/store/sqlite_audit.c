/* The record of what people did, in SQLite: rows are appended and never changed. The operation on the
 * writer's thread, the list on any. */
#include "base/text.h"
#include "store/sqlite_private.h"
#include <stdlib.h>
#include <string.h>

static int is_open(struct mt_apply *a, int64_t n) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_AUDIT_OPEN, a->e);
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, n);
    int rc = mt_sqlite_step(&a->s->writer, st, a->e);
    if (rc == 1) sqlite3_reset(st);
    return rc;
}

enum mt_applied mt_sqlite_audit(struct mt_apply *a, struct mt_op *op) {
    struct mt_audit *x = op->audit;
    const char *texts[] = {x->who, x->via, x->session, x->what, x->object, x->detail, x->outcome, x->result};
    int known = x->of ? is_open(a, x->of) : 1;
    if (known < 0) return MT_BROKEN;
    if (!known)
        return mt_rules_refuse(a->b, op, MT_RES_MISSING, "audit: nothing has begun at %lld, or it has ended",
                               (long long)x->of);
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_AUDIT_INSERT, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, x->of);
    sqlite3_bind_int64(st, 2, x->at);
    for (int i = 0; i < 8; i++) mt_sqlite_text(st, 3 + i, texts[i]); /* NULL as well: it is kept prepared */
    sqlite3_bind_int64(st, 11, x->ms);
    if (mt_sqlite_step(&a->s->writer, st, a->e) < 0) return MT_BROKEN;
    x->n = sqlite3_last_insert_rowid(a->s->writer.db);
    return MT_APPLIED;
}

static void take_row(sqlite3_stmt *st, struct mt_audit *x) {
    *x = (struct mt_audit){.n = sqlite3_column_int64(st, 0), .at = sqlite3_column_int64(st, 1)};
    x->who = mt_sqlite_take(st, 2);
    x->via = mt_sqlite_take(st, 3);
    x->session = mt_sqlite_take(st, 4);
    x->what = mt_sqlite_take(st, 5);
    x->object = mt_sqlite_take(st, 6);
    x->detail = mt_sqlite_take(st, 7);
    x->of = sqlite3_column_int64(st, 8);
    x->outcome = mt_sqlite_take(st, 9);
    x->result = mt_sqlite_take(st, 10);
    x->ms = sqlite3_column_int64(st, 11);
}

static sqlite3_stmt *query(struct mt_sqlite_conn *c, const char *who, int64_t since, int64_t before,
                           size_t limit, struct mt_error *e) {
    char sql[400];
    sqlite3_stmt *st = NULL;
    mt_format(
        sql, sizeof sql,
        "SELECT a.n, a.at, a.who, a.via, a.session, a.what, a.object, a.detail, coalesce(e.of, 0),"
        " e.outcome, e.result, coalesce(e.ms, 0) FROM audit a LEFT JOIN audit e ON e.of = a.n AND e.of > 0"
        " WHERE a.of = 0 AND a.at >= ?1%s%s ORDER BY a.n DESC LIMIT ?4",
        before ? " AND a.n < ?2" : "", who ? " AND a.who = ?3" : "");
    if (sqlite3_prepare_v2(c->db, sql, -1, &st, NULL) != SQLITE_OK) {
        mt_sqlite_error(c->db, e);
        return NULL;
    }
    sqlite3_bind_int64(st, 1, since);
    if (before) sqlite3_bind_int64(st, 2, before);
    if (who) mt_sqlite_text(st, 3, who);
    sqlite3_bind_int64(st, 4, limit > INT32_MAX ? INT32_MAX : (int64_t)limit);
    return st;
}

static int list_audit(struct mt_store *self, const char *who, int64_t since, int64_t before, size_t limit,
                      struct mt_audit **out, size_t *count, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_audit *rows = NULL;
    size_t n = 0;
    int rc = -1;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    sqlite3_stmt *st = query(c, who, since, before, limit, e);
    while (st && (rc = mt_sqlite_step(c, st, e)) == 1) {
        rows = mt_sqlite_grow(rows, n, sizeof *rows);
        take_row(st, &rows[n++]);
    }
    sqlite3_finalize(st);
    mt_sqlite_reader_done(s, c);
    if (rc < 0) {
        for (size_t i = 0; i < n; i++) mt_audit_clear(&rows[i]);
        free(rows);
        return -1;
    }
    *out = rows;
    *count = n;
    return 0;
}

void mt_sqlite_set_audit(struct mt_store *store) {
    store->list_audit = list_audit;
}
