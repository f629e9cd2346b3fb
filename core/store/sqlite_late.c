/* Whom events are for, and those that come too late. Who has asked for a (topic, key) is kept as long as its
 * run. Invariant: an event is marked late in the transaction that made it so, the event's own or its run's
 * end, and looked after once. The writer's thread, inside its transaction. */
#include "store/sqlite_private.h"
#include <stdlib.h>

int mt_sqlite_ask(struct mt_apply *a, const char *topic, const char *key) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_ASKED, a->e);
    if (!st) return -1;
    mt_sqlite_text(st, 1, topic);
    mt_sqlite_text(st, 2, key);
    sqlite3_bind_int64(st, 3, a->own->n);
    sqlite3_bind_int(st, 4, a->own->segment);
    if (mt_sqlite_run(&a->s->writer, st, NULL, a->e)) return -1;
    if (a->own->asked) return 0;
    mt_owned_touch(a->s, a->own);
    a->own->asked = true;
    return 0;
}

/* The youngest run that has asked for (topic, key), if all who did have ended; else 0. */
static int last_asker(struct mt_apply *a, const char *topic, const char *key, int64_t *run) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_ASKERS, a->e);
    if (!st) return -1;
    mt_sqlite_text(st, 1, topic);
    mt_sqlite_text(st, 2, key);
    if (mt_sqlite_step(&a->s->writer, st, a->e) != 1) return -1;
    *run = sqlite3_column_double(st, 1) > 0 ? 0 : sqlite3_column_int64(st, 0); /* NULL: 0 */
    sqlite3_reset(st);
    return 0;
}

static int mark(struct mt_apply *a, int64_t n, int64_t run, int64_t at) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_EVENT_LATE, a->e);
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, n);
    sqlite3_bind_int64(st, 2, run);
    mt_rules_due(a->b, at);
    return mt_sqlite_run(&a->s->writer, st, NULL, a->e);
}

int mt_sqlite_late_for(struct mt_apply *a, int64_t n, const char *topic, const char *key, int64_t at) {
    int64_t run;
    if (last_asker(a, topic, key, &run)) return -1;
    return run ? mark(a, n, run, at) : 0;
}

struct topic_key {
    char *topic, *key;
};

struct left {
    int64_t n, at;
};

static int left_of(struct mt_apply *a, const struct topic_key *of, int64_t run) {
    struct mt_sqlite_conn *c = &a->s->writer;
    struct left *events = NULL;
    size_t count = 0;
    int64_t last;
    int rc;
    if (last_asker(a, of->topic, of->key, &last)) return -1;
    if (!last) return 0;
    sqlite3_stmt *st = mt_sqlite_statement(c, ST_EVENTS_LEFT, a->e);
    if (!st) return -1;
    mt_sqlite_text(st, 1, of->topic);
    mt_sqlite_text(st, 2, of->key);
    while ((rc = mt_sqlite_step(c, st, a->e)) == 1) {
        events = mt_sqlite_grow(events, count, sizeof *events);
        events[count++] = (struct left){sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1)};
    }
    for (size_t i = 0; i < count && rc == 0; i++) rc = mark(a, events[i].n, run, events[i].at);
    free(events);
    return rc;
}

int mt_sqlite_leave_behind(struct mt_apply *a, int64_t run) {
    struct mt_sqlite_conn *c = &a->s->writer;
    struct topic_key *list = NULL;
    size_t count = 0;
    int rc;
    sqlite3_stmt *st = mt_sqlite_statement(c, ST_ASKED_OF, a->e);
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, run);
    while ((rc = mt_sqlite_step(c, st, a->e)) == 1) {
        list = mt_sqlite_grow(list, count, sizeof *list);
        list[count++] = (struct topic_key){mt_sqlite_take(st, 0), mt_sqlite_take(st, 1)};
    }
    for (size_t i = 0; i < count; i++) {
        if (rc == 0) rc = left_of(a, &list[i], run);
        free(list[i].topic);
        free(list[i].key);
    }
    free(list);
    return rc;
}

enum mt_applied mt_sqlite_seen(struct mt_apply *a, struct mt_op *op) {
    if (mt_sqlite_ask(a, op->seen.topic, op->seen.key)) return MT_BROKEN;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_EVENT_SEEN, a->e);
    if (!st) return MT_BROKEN;
    mt_sqlite_text(st, 1, op->seen.topic);
    mt_sqlite_text(st, 2, op->seen.key);
    sqlite3_bind_int64(st, 3, op->seen.upto);
    return mt_sqlite_run(&a->s->writer, st, NULL, a->e) ? MT_BROKEN : MT_APPLIED;
}

enum mt_applied mt_sqlite_late(struct mt_apply *a, struct mt_op *op) {
    int changed = 0;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_EVENT_LOOKED_AFTER, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, op->late.n);
    sqlite3_bind_int(st, 2, (int)op->late.late);
    if (mt_sqlite_run(&a->s->writer, st, &changed, a->e)) return MT_BROKEN;
    if (changed) return MT_APPLIED;
    return mt_rules_refuse(a->b, op, MT_RES_MISSING, "event %lld is not a late one that waits",
                           (long long)op->late.n);
}
