/* Everything in the store that is not a run: documents with their declared keys, deliveries, tasks,
 * generations, meta. Each function checks before it writes. The writer's thread, inside its transaction. */
#include "store/sqlite_private.h"
#include <inttypes.h>
#include <string.h>

static enum mt_applied done(struct mt_apply *a, sqlite3_stmt *st) {
    return mt_sqlite_run(&a->s->writer, st, NULL, a->e) ? MT_BROKEN : MT_APPLIED;
}

/* ---- documents ---- */

struct found {
    int64_t rowid, version; /* 0: no such document */
};

static int find_document(struct mt_apply *a, const struct mt_op *op, struct found *out) {
    *out = (struct found){0};
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_DOC_FIND, a->e);
    if (!st) return -1;
    mt_sqlite_text(st, 1, op->doc.collection);
    mt_sqlite_text(st, 2, op->doc.id);
    int rc = mt_sqlite_step(&a->s->writer, st, a->e);
    if (rc <= 0) return rc;
    out->rowid = sqlite3_column_int64(st, 0);
    out->version = sqlite3_column_int64(st, 1);
    sqlite3_reset(st);
    return 0;
}

/* Finds the document and compares its version with what the operation expects. */
static enum mt_applied expected(struct mt_apply *a, struct mt_op *op, struct found *f) {
    if (find_document(a, op, f)) return MT_BROKEN;
    op->doc.version = f->version;
    if (op->doc.expect < 0 || op->doc.expect == f->version) return MT_APPLIED;
    return mt_rules_refuse(a->b, op, MT_RES_STALE,
                           "document %s of %s is at version %" PRId64 ", not %" PRId64, op->doc.id,
                           op->doc.collection, f->version, op->doc.expect);
}

static enum mt_applied bump(struct mt_apply *a, const struct mt_op *op) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_COLLECTION_BUMP, a->e);
    if (!st) return MT_BROKEN;
    mt_sqlite_text(st, 1, op->doc.collection);
    sqlite3_bind_int64(st, 2, op->type == MT_OP_DOC_PUT ? op->doc.keep : -1);
    return done(a, st);
}

/* When it was written, if it is not kept for ever. */
static void bind_written(sqlite3_stmt *st, int i, const struct mt_op *op) {
    if (op->doc.keep)
        sqlite3_bind_int64(st, i, op->doc.at);
    else
        sqlite3_bind_null(st, i);
}

static enum mt_applied keys_free(struct mt_apply *a, struct mt_op *op) {
    for (size_t i = 0; i < op->doc.key_count; i++) {
        const struct mt_doc_key *key = &op->doc.keys[i];
        if (!key->unique) continue;
        sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_DOC_KEY_TAKEN, a->e);
        if (!st) return MT_BROKEN;
        mt_sqlite_text(st, 1, op->doc.collection);
        mt_sqlite_text(st, 2, key->field);
        mt_sqlite_text(st, 3, key->value);
        mt_sqlite_text(st, 4, op->doc.id);
        int rc = mt_sqlite_step(&a->s->writer, st, a->e);
        if (rc < 0) return MT_BROKEN;
        if (!rc) continue;
        sqlite3_reset(st);
        return mt_rules_refuse(a->b, op, MT_RES_DUPLICATE,
                               "another document of %s has this %s, which is unique", op->doc.collection,
                               key->field);
    }
    return MT_APPLIED;
}

static enum mt_applied drop_keys(struct mt_apply *a, const struct mt_op *op) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_DOC_KEYS_DELETE, a->e);
    if (!st) return MT_BROKEN;
    mt_sqlite_text(st, 1, op->doc.collection);
    mt_sqlite_text(st, 2, op->doc.id);
    return done(a, st);
}

static enum mt_applied put_keys(struct mt_apply *a, const struct mt_op *op) {
    for (size_t i = 0; i < op->doc.key_count; i++) {
        sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_DOC_KEY_INSERT, a->e);
        if (!st) return MT_BROKEN;
        mt_sqlite_text(st, 1, op->doc.collection);
        mt_sqlite_text(st, 2, op->doc.keys[i].field);
        mt_sqlite_text(st, 3, op->doc.keys[i].value);
        mt_sqlite_text(st, 4, op->doc.id);
        if (done(a, st)) return MT_BROKEN;
    }
    return MT_APPLIED;
}

enum mt_applied mt_sqlite_doc_put(struct mt_apply *a, struct mt_op *op) {
    struct found f;
    enum mt_applied rc = expected(a, op, &f);
    if (rc || (rc = keys_free(a, op))) return rc;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, f.version ? ST_DOC_UPDATE : ST_DOC_INSERT, a->e);
    if (!st) return MT_BROKEN;
    if (f.version) {
        sqlite3_bind_int64(st, 1, f.rowid);
        mt_sqlite_text(st, 2, op->doc.body);
        bind_written(st, 3, op);
    } else {
        mt_sqlite_text(st, 1, op->doc.collection);
        mt_sqlite_text(st, 2, op->doc.id);
        mt_sqlite_text(st, 3, op->doc.body);
        bind_written(st, 4, op);
    }
    if (done(a, st) || (f.version && drop_keys(a, op)) || put_keys(a, op) || bump(a, op)) return MT_BROKEN;
    op->doc.version = f.version + 1;
    return MT_APPLIED;
}

enum mt_applied mt_sqlite_doc_delete(struct mt_apply *a, struct mt_op *op) {
    struct found f;
    enum mt_applied rc = expected(a, op, &f);
    if (rc) return rc;
    if (!f.version)
        return mt_rules_refuse(a->b, op, MT_RES_MISSING, "%s has no document %s", op->doc.collection,
                               op->doc.id);
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_DOC_DELETE, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, f.rowid);
    if (done(a, st) || drop_keys(a, op) || bump(a, op)) return MT_BROKEN;
    op->doc.version = 0;
    return MT_APPLIED;
}

enum mt_applied mt_sqlite_doc_check(struct mt_apply *a, struct mt_op *op) {
    struct found f;
    return expected(a, op, &f);
}

enum mt_applied mt_sqlite_collection_check(struct mt_apply *a, struct mt_op *op) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_COLLECTION_COUNTER, a->e);
    if (!st) return MT_BROKEN;
    mt_sqlite_text(st, 1, op->collection_check.collection);
    int rc = mt_sqlite_step(&a->s->writer, st, a->e);
    if (rc < 0) return MT_BROKEN;
    int64_t counter = rc ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_reset(st);
    if (counter == op->collection_check.counter) return MT_APPLIED;
    return mt_rules_refuse(a->b, op, MT_RES_STALE,
                           "%s has changed since it was read (%" PRId64 ", not %" PRId64 ")",
                           op->collection_check.collection, counter, op->collection_check.counter);
}

/* ---- deliveries ---- */

enum mt_applied mt_sqlite_delivery_put(struct mt_apply *a, struct mt_op *op) {
    const struct mt_delivery *d = op->delivery;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_DELIVERY_INSERT, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, a->s->numbers.delivery + 1);
    mt_sqlite_text(st, 2, d->id);
    mt_sqlite_text(st, 3, d->group);
    mt_sqlite_text(st, 4, d->event);
    mt_sqlite_text(st, 5, d->url);
    mt_sqlite_text(st, 6, d->headers);
    if (d->body)
        sqlite3_bind_blob64(st, 7, d->body, d->body_len, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, 7);
    mt_sqlite_text(st, 8, d->schedule);
    mt_sqlite_text(st, 9, d->accept);
    mt_sqlite_text(st, 10, d->state);
    sqlite3_bind_int(st, 11, d->attempts);
    sqlite3_bind_int64(st, 12, d->next_at);
    sqlite3_bind_int64(st, 13, d->created_at);
    mt_sqlite_text(st, 14, d->log);
    int rc = sqlite3_step(st);
    if (rc != SQLITE_DONE && rc != SQLITE_CONSTRAINT_UNIQUE) mt_sqlite_error(a->s->writer.db, a->e);
    sqlite3_reset(st);
    if (rc == SQLITE_CONSTRAINT_UNIQUE)
        return mt_rules_refuse(a->b, op, MT_RES_DUPLICATE, "there is a delivery %s already", d->id);
    if (rc != SQLITE_DONE) return MT_BROKEN;
    a->s->numbers.delivery++;
    if (strcmp(d->state, "pending") == 0) mt_rules_due(a->b, d->next_at);
    return MT_APPLIED;
}

enum mt_applied mt_sqlite_delivery_update(struct mt_apply *a, struct mt_op *op) {
    const struct mt_delivery *d = op->delivery;
    int changed;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_DELIVERY_UPDATE, a->e);
    if (!st) return MT_BROKEN;
    mt_sqlite_text(st, 1, d->id);
    mt_sqlite_text(st, 2, d->state);
    sqlite3_bind_int(st, 3, d->attempts);
    sqlite3_bind_int64(st, 4, d->next_at);
    mt_sqlite_text(st, 5, d->log);
    mt_sqlite_text(st, 6, d->url);
    if (mt_sqlite_run(&a->s->writer, st, &changed, a->e)) return MT_BROKEN;
    if (!changed) return mt_rules_refuse(a->b, op, MT_RES_MISSING, "there is no delivery %s", d->id);
    if (strcmp(d->state, "pending") == 0) mt_rules_due(a->b, d->next_at);
    return MT_APPLIED;
}

/* ---- tasks ---- */

enum mt_applied mt_sqlite_task_put(struct mt_apply *a, struct mt_op *op) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_TASK_INSERT, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, a->s->numbers.task + 1);
    sqlite3_bind_int64(st, 2, op->task.due_at);
    mt_sqlite_text(st, 3, op->task.name);
    mt_sqlite_text(st, 4, op->task.payload);
    if (done(a, st)) return MT_BROKEN;
    op->task.n = ++a->s->numbers.task;
    mt_rules_due(a->b, op->task.due_at);
    return MT_APPLIED;
}

enum mt_applied mt_sqlite_task_delete(struct mt_apply *a, struct mt_op *op) {
    int changed;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_TASK_DELETE, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, op->task.n);
    if (mt_sqlite_run(&a->s->writer, st, &changed, a->e)) return MT_BROKEN;
    if (changed) return MT_APPLIED;
    return mt_rules_refuse(a->b, op, MT_RES_MISSING, "there is no task %" PRId64, op->task.n);
}

/* ---- generations, meta ---- */

enum mt_applied mt_sqlite_generation(struct mt_apply *a, struct mt_op *op) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_GENERATION_KEEP, a->e);
    if (!st) return MT_BROKEN;
    mt_sqlite_text(st, 1, op->generation.id);
    mt_sqlite_text(st, 2, op->generation.manifest);
    sqlite3_bind_int64(st, 3, op->generation.at);
    if (done(a, st)) return MT_BROKEN;
    for (size_t i = 0; i < op->generation.count; i++) {
        if (!(st = mt_sqlite_statement(&a->s->writer, ST_BLOB_KEEP, a->e))) return MT_BROKEN;
        mt_sqlite_text(st, 1, op->generation.shas[i]);
        sqlite3_bind_blob64(st, 2, op->generation.texts[i], op->generation.lens[i], SQLITE_STATIC);
        if (done(a, st)) return MT_BROKEN;
    }
    return MT_APPLIED;
}

enum mt_applied mt_sqlite_meta(struct mt_apply *a, struct mt_op *op) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_META_SET, a->e);
    if (!st) return MT_BROKEN;
    mt_sqlite_text(st, 1, op->meta.key);
    mt_sqlite_text(st, 2, op->meta.value);
    return done(a, st);
}
