/* Reads of everything that is not a run: events, documents, deliveries, tasks, generations, meta. Any thread.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "store/sqlite_private.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int64_t bounded(size_t limit) {
    return limit > INT32_MAX ? INT32_MAX : (int64_t)limit;
}

/* ---- events ---- */

static void event_columns(sqlite3_stmt *st, struct mt_event *e) {
    memset(e, 0, sizeof *e);
    e->n = sqlite3_column_int64(st, 0);
    mt_sqlite_copy(st, 1, e->topic, sizeof e->topic);
    mt_sqlite_copy(st, 2, e->key, sizeof e->key);
    e->payload = mt_sqlite_take(st, 3);
    e->source = mt_sqlite_take(st, 4);
    e->at = sqlite3_column_int64(st, 5);
    e->readers = sqlite3_column_int(st, 6);
    e->raw_len = (size_t)sqlite3_column_int64(st, 7); /* NULL: 0 */
    e->late = (enum mt_late)sqlite3_column_int(st, 8);
    mt_sqlite_copy(st, 9, e->late_run, sizeof e->late_run);
}

static int list_events(struct mt_store *self, const char *topic, const char *key, int64_t after, bool newest,
                       enum mt_event_filter which, size_t limit, struct mt_event **out, size_t *count,
                       struct mt_error *e) {
    static const char *const filters[] = {[MT_EVENTS_ALL] = "",
                                          [MT_EVENTS_UNREAD] = " AND readers = 0",
                                          [MT_EVENTS_LATE] = " AND late > 0",
                                          [MT_EVENTS_PENDING] = " AND late = 1"};
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_event *events = NULL;
    size_t n = 0;
    int rc = -1;
    char sql[512];
    const char *range = !newest ? " AND n > ?3" : after ? " AND n < ?3" : "";
    mt_format(sql, sizeof sql,
              "SELECT n, topic, key, payload, source, at, readers, length(raw), late,"
              " (SELECT r.id FROM runs r WHERE r.n = late_run) FROM events WHERE 1%s%s%s%s "
              "ORDER BY n %s LIMIT ?4",
              topic ? " AND topic = ?1" : "", key ? " AND key = ?2" : "", range, filters[which],
              newest ? "DESC" : "ASC");
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    sqlite3_stmt *st = mt_sqlite_list(c, sql, e);
    if (st) {
        if (topic) mt_sqlite_text(st, 1, topic);
        if (key) mt_sqlite_text(st, 2, key);
        if (*range) sqlite3_bind_int64(st, 3, after);
        sqlite3_bind_int64(st, 4, bounded(limit));
    }
    while (st && (rc = mt_sqlite_step(c, st, e)) == 1) {
        events = mt_sqlite_grow(events, n, sizeof *events);
        event_columns(st, &events[n++]);
    }
    mt_sqlite_list_done(st);
    mt_sqlite_reader_done(s, c);
    if (rc < 0) {
        for (size_t i = 0; i < n; i++) mt_event_clear(&events[i]);
        free(events);
        return -1;
    }
    *out = events;
    *count = n;
    return 0;
}

static int last_event(struct mt_store *self, const char *topic, const char *key, int64_t *n,
                      struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    int rc = -1;
    sqlite3_stmt *st = mt_sqlite_statement(c, ST_EVENT_LAST, e);
    if (st) {
        mt_sqlite_text(st, 1, topic);
        mt_sqlite_text(st, 2, key);
        if (mt_sqlite_step(c, st, e) == 1) {
            *n = sqlite3_column_int64(st, 0);
            sqlite3_reset(st);
            rc = 0;
        }
    }
    mt_sqlite_reader_done(s, c);
    return rc;
}

/* ---- documents ---- */

static void document_columns(sqlite3_stmt *st, struct mt_document *d) {
    memset(d, 0, sizeof *d);
    mt_sqlite_copy(st, 0, d->id, sizeof d->id);
    d->version = sqlite3_column_int64(st, 1);
    d->body = mt_sqlite_take(st, 2);
}

static int get_document(struct mt_store *self, const char *collection, const char *id,
                        struct mt_document *out, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    int rc = -1;
    sqlite3_stmt *st = mt_sqlite_statement(c, ST_DOC_GET, e);
    if (st) {
        mt_sqlite_text(st, 1, collection);
        mt_sqlite_text(st, 2, id);
        rc = mt_sqlite_step(c, st, e);
        if (rc == 1) {
            document_columns(st, out);
            sqlite3_reset(st);
        }
    }
    mt_sqlite_reader_done(s, c);
    if (rc == 0) return mt_fail(e, MT_NOT_FOUND, "%.64s has no document %.256s", collection, id);
    return rc < 0 ? -1 : 0;
}

static int read_counter(struct mt_sqlite_conn *c, const char *collection, int64_t *counter,
                        struct mt_error *e) {
    sqlite3_stmt *st = mt_sqlite_statement(c, ST_COLLECTION_COUNTER, e);
    if (!st) return -1;
    *counter = 0;
    mt_sqlite_text(st, 1, collection);
    int rc = mt_sqlite_step(c, st, e);
    if (rc <= 0) return rc;
    *counter = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return 0;
}

static sqlite3_stmt *prepare_query(struct mt_sqlite_conn *c, const char *collection, const char *field,
                                   const char *value, const char *after_id, bool newest, size_t limit,
                                   struct mt_error *e) {
    char sql[512];
    const char *after = !after_id ? "" : newest ? " AND d.id < ?4" : " AND d.id > ?4";
    mt_format(sql, sizeof sql, "SELECT d.id, d.version, d.body FROM %sWHERE %s%s ORDER BY d.id %s LIMIT ?5",
              field ? "document_keys k CROSS JOIN documents d ON d.collection = k.collection AND d.id = k.id "
                    : "documents d ",
              field ? "k.collection = ?1 AND k.field = ?2 AND k.value = ?3" : "d.collection = ?1", after,
              newest ? "DESC" : "ASC");
    sqlite3_stmt *st = mt_sqlite_list(c, sql, e);
    if (!st) return NULL;
    mt_sqlite_text(st, 1, collection);
    if (field) mt_sqlite_text(st, 2, field);
    if (field) mt_sqlite_text(st, 3, value);
    if (after_id) mt_sqlite_text(st, 4, after_id);
    sqlite3_bind_int64(st, 5, bounded(limit));
    return st;
}

static int query_documents(struct mt_store *self, const char *collection, const char *field,
                           const char *value, const char *after_id, bool newest, size_t limit,
                           struct mt_document **out, size_t *count, int64_t *counter, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_document *documents = NULL;
    size_t n = 0;
    int rc = -1;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    sqlite3_stmt *st = prepare_query(c, collection, field, value, after_id, newest, limit, e);
    if (!st || mt_sqlite_simple(c, ST_READ_BEGIN, e)) goto out; /* documents and counter from one snapshot */
    rc = counter ? read_counter(c, collection, counter, e) : 0;
    while (rc == 0 && (rc = mt_sqlite_step(c, st, e)) == 1) {
        documents = mt_sqlite_grow(documents, n, sizeof *documents);
        document_columns(st, &documents[n++]);
        rc = 0;
    }
    sqlite3_reset(st);
    if (mt_sqlite_simple(c, ST_COMMIT, e)) rc = -1;
out:
    mt_sqlite_list_done(st);
    mt_sqlite_reader_done(s, c);
    if (rc < 0) {
        for (size_t i = 0; i < n; i++) mt_document_clear(&documents[i]);
        free(documents);
        return -1;
    }
    *out = documents;
    *count = n;
    return 0;
}

/* ---- deliveries and tasks ---- */

static void delivery_columns(sqlite3_stmt *st, struct mt_delivery *d) {
    memset(d, 0, sizeof *d);
    d->n = sqlite3_column_int64(st, 0);
    mt_sqlite_copy(st, 1, d->id, sizeof d->id);
    mt_sqlite_copy(st, 2, d->group, sizeof d->group);
    mt_sqlite_copy(st, 3, d->event, sizeof d->event);
    d->url = mt_sqlite_take(st, 4);
    d->headers = mt_sqlite_take(st, 5);
    if (sqlite3_column_type(st, 6) != SQLITE_NULL) {
        const void *body = sqlite3_column_blob(st, 6);
        d->body_len = (size_t)sqlite3_column_bytes(st, 6);
        d->body = mt_memdup(body ? body : "", d->body_len);
    }
    d->schedule = mt_sqlite_take(st, 7);
    d->accept = mt_sqlite_take(st, 8);
    mt_sqlite_copy(st, 9, d->state, sizeof d->state);
    d->attempts = sqlite3_column_int(st, 10);
    d->next_at = sqlite3_column_int64(st, 11);
    d->created_at = sqlite3_column_int64(st, 12);
    d->log = mt_sqlite_take(st, 13);
}

static int get_delivery(struct mt_store *self, const char *id, struct mt_delivery *out, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    int rc = -1;
    sqlite3_stmt *st = mt_sqlite_statement(c, ST_DELIVERY_GET, e);
    if (st) {
        mt_sqlite_text(st, 1, id);
        rc = mt_sqlite_step(c, st, e);
        if (rc == 1) {
            delivery_columns(st, out);
            sqlite3_reset(st);
        }
    }
    mt_sqlite_reader_done(s, c);
    if (rc == 0) return mt_fail(e, MT_NOT_FOUND, "there is no delivery %.40s", id);
    return rc < 0 ? -1 : 0;
}

static int list_deliveries(struct mt_store *self, const char *group, int64_t due_by, size_t limit,
                           struct mt_delivery **out, size_t *count, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_delivery *deliveries = NULL;
    size_t n = 0;
    int rc = -1;
    char sql[512];
    bool due = due_by != MT_NEVER;
    mt_format(sql, sizeof sql,
              "SELECT n, id, grp, event, url, headers, body, schedule, accept, state, attempts, next_at, "
              "created_at, log"
              " FROM deliveries WHERE 1%s%s ORDER BY %s LIMIT ?3",
              group ? " AND grp = ?1" : "", due ? " AND state = 'pending' AND next_at <= ?2" : "",
              due ? "next_at, n" : "n");
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    sqlite3_stmt *st = mt_sqlite_list(c, sql, e);
    if (st) {
        if (group) mt_sqlite_text(st, 1, group);
        if (due) sqlite3_bind_int64(st, 2, due_by);
        sqlite3_bind_int64(st, 3, bounded(limit));
    }
    while (st && (rc = mt_sqlite_step(c, st, e)) == 1) {
        deliveries = mt_sqlite_grow(deliveries, n, sizeof *deliveries);
        delivery_columns(st, &deliveries[n++]);
    }
    mt_sqlite_list_done(st);
    mt_sqlite_reader_done(s, c);
    if (rc < 0) {
        for (size_t i = 0; i < n; i++) mt_delivery_clear(&deliveries[i]);
        free(deliveries);
        return -1;
    }
    *out = deliveries;
    *count = n;
    return 0;
}

static int list_tasks(struct mt_store *self, int64_t due_by, size_t limit, struct mt_task **out,
                      size_t *count, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_task *tasks = NULL;
    size_t n = 0;
    int rc = -1;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    sqlite3_stmt *st = mt_sqlite_statement(c, ST_TASKS, e);
    if (st) {
        sqlite3_bind_int64(st, 1, due_by);
        sqlite3_bind_int64(st, 2, bounded(limit));
    }
    while (st && (rc = mt_sqlite_step(c, st, e)) == 1) {
        tasks = mt_sqlite_grow(tasks, n, sizeof *tasks);
        struct mt_task *t = &tasks[n++];
        memset(t, 0, sizeof *t);
        t->n = sqlite3_column_int64(st, 0);
        t->due_at = sqlite3_column_int64(st, 1);
        mt_sqlite_copy(st, 2, t->name, sizeof t->name);
        t->payload = mt_sqlite_take(st, 3);
    }
    mt_sqlite_reader_done(s, c);
    if (rc < 0) {
        for (size_t i = 0; i < n; i++) mt_task_clear(&tasks[i]);
        free(tasks);
        return -1;
    }
    *out = tasks;
    *count = n;
    return 0;
}

/* ---- generations and meta ---- */

/* The first column of the row that `name` finds: a malloc'ed copy, or NULL and `e`. */
static char *take_named(struct mt_store *self, enum mt_statement which, const char *name, const char *what,
                        size_t *len, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return NULL;
    char *text = NULL;
    int rc = -1;
    sqlite3_stmt *st = mt_sqlite_statement(c, which, e);
    if (st) {
        mt_sqlite_text(st, 1, name);
        rc = mt_sqlite_step(c, st, e);
    }
    if (rc == 1) {
        const void *bytes = sqlite3_column_blob(st, 0);
        size_t n = (size_t)sqlite3_column_bytes(st, 0);
        text = mt_memdup(bytes ? bytes : "", n);
        if (len) *len = n;
        sqlite3_reset(st);
    }
    mt_sqlite_reader_done(s, c);
    if (rc == 0) mt_fail(e, MT_NOT_FOUND, "there is no %s %.256s", what, name);
    return text;
}

static int get_generation(struct mt_store *self, const char *id, char **manifest, struct mt_error *e) {
    char *text = take_named(self, ST_GENERATION_GET, id, "generation", NULL, e);
    if (!text) return -1;
    *manifest = text;
    return 0;
}

static int get_blob(struct mt_store *self, const char *sha, char **text, size_t *len, struct mt_error *e) {
    char *found = take_named(self, ST_BLOB_GET, sha, "file", len, e);
    if (!found) return -1;
    *text = found;
    return 0;
}

static int get_meta(struct mt_store *self, const char *key, char **value, struct mt_error *e) {
    char *text = take_named(self, ST_META_GET, key, "setting", NULL, e);
    if (!text) return -1;
    *value = text;
    return 0;
}

static int list_generations(struct mt_store *self, char **json, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_sqlite_conn *c = mt_sqlite_reader(s, e);
    if (!c) return -1;
    struct mt_buf b;
    mt_buf_init(&b, 64 * 1024 * 1024);
    mt_buf_addc(&b, '[');
    int rc = -1;
    sqlite3_stmt *st = mt_sqlite_statement(c, ST_GENERATIONS, e);
    while (st && (rc = mt_sqlite_step(c, st, e)) == 1) {
        char at[25];
        const char *id = (const char *)sqlite3_column_text(st, 0);
        mt_time_format(sqlite3_column_int64(st, 1), at);
        if (b.len > 1) mt_buf_addc(&b, ',');
        mt_buf_adds(&b, "{\"id\":");
        mt_buf_add_json_string(&b, id, strlen(id));
        mt_buf_addf(&b, ",\"created_at\":\"%s\",\"runs\":%" PRId64 "}", at,
                    (int64_t)sqlite3_column_int64(st, 2));
    }
    mt_sqlite_reader_done(s, c);
    mt_buf_addc(&b, ']');
    if (rc == 0 && !mt_buf_ok(&b)) rc = mt_fail(e, MT_LIMIT, "the list of generations is too long");
    if (rc == 0) *json = mt_buf_take(&b, NULL);
    mt_buf_clear(&b);
    return rc;
}

void mt_sqlite_set_lists(struct mt_store *store) {
    store->list_events = list_events;
    store->last_event = last_event;
    store->get_document = get_document;
    store->query_documents = query_documents;
    store->get_delivery = get_delivery;
    store->list_deliveries = list_deliveries;
    store->list_tasks = list_tasks;
    store->get_generation = get_generation;
    store->get_blob = get_blob;
    store->list_generations = list_generations;
    store->get_meta = get_meta;
    mt_sqlite_set_audit(store);
}
