/* The oracle's part for everything that is not a run: documents with their declared keys, deliveries, tasks,
 * generations, meta. Under the store's lock, by the thread that commits. */
#include "base/text.h"
#include "store/memory_private.h"
#include <stdlib.h>
#include <string.h>

#define EACH MT_MEM_EACH

static struct mt_mem_document *find_document(struct mt_memory *m, const char *collection, const char *id) {
    EACH(m, MEM_DOCUMENTS, struct mt_mem_document, d)
    if (!d->gone && strcmp(d->collection, collection) == 0 && strcmp(d->document.id, id) == 0) return d;
    return NULL;
}

static struct mt_mem_collection *find_collection(struct mt_memory *m, const char *name) {
    EACH(m, MEM_COLLECTIONS, struct mt_mem_collection, c) if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

static struct mt_delivery *find_delivery(struct mt_memory *m, const char *id) {
    EACH(m, MEM_DELIVERIES, struct mt_delivery, d) if (d->n && strcmp(d->id, id) == 0) return d;
    return NULL;
}

/* ---- documents ---- */

static enum mt_applied stale(struct mt_batch *b, struct mt_op *op) {
    return mt_rules_refuse(b, op, MT_RES_STALE, "the version is another");
}

/* keep negative: as before. */
static void bump(struct mt_memory *m, const char *name, int64_t keep) {
    struct mt_mem_collection *c = find_collection(m, name);
    if (c)
        mt_memory_touch(m, MEM_COLLECTIONS, c);
    else
        mt_copy((c = mt_memory_add(m, MEM_COLLECTIONS))->name, sizeof c->name, name);
    c->counter++;
    if (keep >= 0) c->keep = keep;
}

static void drop_keys(struct mt_memory *m, const char *collection, const char *id) {
    EACH(m, MEM_KEYS, struct mt_mem_key, k) {
        if (k->gone || strcmp(k->collection, collection) != 0 || strcmp(k->id, id) != 0) continue;
        mt_memory_touch(m, MEM_KEYS, k);
        k->gone = true;
    }
}

static bool key_taken(struct mt_memory *m, const struct mt_op *op, const struct mt_doc_key *key) {
    EACH(m, MEM_KEYS, struct mt_mem_key, k) {
        if (!k->gone && strcmp(k->collection, op->doc.collection) == 0 && strcmp(k->field, key->field) == 0 &&
            strcmp(k->value, key->value) == 0 && strcmp(k->id, op->doc.id) != 0)
            return true;
    }
    return false;
}

enum mt_applied mt_memory_document(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    struct mt_mem_document *d = find_document(m, op->doc.collection, op->doc.id);
    op->doc.version = d ? d->document.version : 0;
    if (op->doc.expect >= 0 && op->doc.expect != op->doc.version) return stale(b, op);
    if (op->type == MT_OP_DOC_CHECK) return MT_APPLIED;
    if (op->type == MT_OP_DOC_DELETE) {
        if (!d) return mt_rules_refuse(b, op, MT_RES_MISSING, "there is no such document");
        mt_memory_touch(m, MEM_DOCUMENTS, d);
        d->gone = true;
        op->doc.version = 0;
        drop_keys(m, op->doc.collection, op->doc.id);
        bump(m, op->doc.collection, -1);
        return MT_APPLIED;
    }
    for (size_t i = 0; i < op->doc.key_count; i++)
        if (op->doc.keys[i].unique && key_taken(m, op, &op->doc.keys[i]))
            return mt_rules_refuse(b, op, MT_RES_DUPLICATE, "a unique value is taken");
    if (d) {
        mt_memory_touch(m, MEM_DOCUMENTS, d);
    } else {
        d = mt_memory_add(m, MEM_DOCUMENTS);
        mt_copy(d->collection, sizeof d->collection, op->doc.collection);
        mt_copy(d->document.id, sizeof d->document.id, op->doc.id);
    }
    d->document.body = mt_memory_keep(m, op->doc.body);
    d->dated = op->doc.keep > 0;
    d->at = op->doc.at;
    op->doc.version = ++d->document.version;
    drop_keys(m, op->doc.collection, op->doc.id);
    for (size_t i = 0; i < op->doc.key_count; i++) {
        struct mt_mem_key *k = mt_memory_add(m, MEM_KEYS);
        mt_copy(k->collection, sizeof k->collection, op->doc.collection);
        mt_copy(k->id, sizeof k->id, op->doc.id);
        mt_copy(k->field, sizeof k->field, op->doc.keys[i].field);
        k->value = mt_memory_keep(m, op->doc.keys[i].value);
    }
    bump(m, op->doc.collection, op->doc.keep);
    return MT_APPLIED;
}

enum mt_applied mt_memory_collection_check(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    struct mt_mem_collection *c = find_collection(m, op->collection_check.collection);
    return (c ? c->counter : 0) == op->collection_check.counter ? MT_APPLIED : stale(b, op);
}

/* ---- deliveries, tasks, generations, meta ---- */

static void note_delivery(struct mt_batch *b, const struct mt_delivery *d) {
    if (strcmp(d->state, "pending") == 0) mt_rules_due(b, d->next_at);
}

enum mt_applied mt_memory_delivery_put(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    const struct mt_delivery *from = op->delivery;
    if (find_delivery(m, from->id))
        return mt_rules_refuse(b, op, MT_RES_DUPLICATE, "there is such a delivery");
    struct mt_delivery *d = mt_memory_add(m, MEM_DELIVERIES);
    *d = *from;
    d->n = ++m->last.delivery;
    d->url = mt_memory_keep(m, from->url);
    d->headers = mt_memory_keep(m, from->headers);
    d->body = mt_memory_keep_bytes(m, from->body, from->body_len);
    d->body_len = from->body ? from->body_len : 0;
    d->schedule = mt_memory_keep(m, from->schedule);
    d->accept = mt_memory_keep(m, from->accept);
    d->log = mt_memory_keep(m, from->log);
    note_delivery(b, d);
    return MT_APPLIED;
}

enum mt_applied mt_memory_delivery_update(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    const struct mt_delivery *from = op->delivery;
    struct mt_delivery *d = find_delivery(m, from->id);
    if (!d) return mt_rules_refuse(b, op, MT_RES_MISSING, "there is no such delivery");
    mt_memory_touch(m, MEM_DELIVERIES, d);
    mt_copy(d->state, sizeof d->state, from->state);
    d->attempts = from->attempts;
    d->next_at = from->next_at;
    d->log = mt_memory_keep(m, from->log);
    d->url = mt_memory_keep(m, from->url);
    note_delivery(b, d);
    return MT_APPLIED;
}

enum mt_applied mt_memory_task_put(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    struct mt_mem_task *t = mt_memory_add(m, MEM_TASKS);
    op->task.n = t->task.n = ++m->last.task;
    t->task.due_at = op->task.due_at;
    mt_copy(t->task.name, sizeof t->task.name, op->task.name);
    t->task.payload = mt_memory_keep(m, op->task.payload);
    mt_rules_due(b, op->task.due_at);
    return MT_APPLIED;
}

enum mt_applied mt_memory_task_delete(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    EACH(m, MEM_TASKS, struct mt_mem_task, t) {
        if (t->gone || t->task.n != op->task.n) continue;
        mt_memory_touch(m, MEM_TASKS, t);
        t->gone = true;
        return MT_APPLIED;
    }
    return mt_rules_refuse(b, op, MT_RES_MISSING, "there is no such task");
}

static void keep_blob(struct mt_memory *m, const char *sha, const char *text, size_t len) {
    EACH(m, MEM_BLOBS, struct mt_mem_blob, x) if (!x->gone && strcmp(x->sha, sha) == 0) return;
    struct mt_mem_blob *x = mt_memory_add(m, MEM_BLOBS);
    x->sha = mt_memory_keep(m, sha);
    x->text = mt_memory_keep_bytes(m, text, len);
    x->len = len;
}

enum mt_applied mt_memory_generation(struct mt_memory *m, struct mt_op *op) {
    struct mt_mem_generation *known = NULL;
    EACH(m, MEM_GENERATIONS, struct mt_mem_generation, g) {
        if (strcmp(g->id, op->generation.id) == 0) known = g;
    }
    if (known)
        mt_memory_touch(m, MEM_GENERATIONS, known);
    else
        known = mt_memory_add(m, MEM_GENERATIONS);
    if (!known->manifest) {
        mt_copy(known->id, sizeof known->id, op->generation.id);
        known->manifest = mt_memory_keep(m, op->generation.manifest);
        known->at = op->generation.at;
    }
    if (op->generation.at > known->used_at) known->used_at = op->generation.at;
    for (size_t i = 0; i < op->generation.count; i++)
        keep_blob(m, op->generation.shas[i], op->generation.texts[i], op->generation.lens[i]);
    return MT_APPLIED;
}

enum mt_applied mt_memory_meta(struct mt_memory *m, struct mt_op *op) {
    EACH(m, MEM_META, struct mt_mem_meta, x) {
        if (strcmp(x->key, op->meta.key) != 0) continue;
        mt_memory_touch(m, MEM_META, x);
        x->value = mt_memory_keep(m, op->meta.value);
        return MT_APPLIED;
    }
    struct mt_mem_meta *x = mt_memory_add(m, MEM_META);
    x->key = mt_memory_keep(m, op->meta.key);
    x->value = mt_memory_keep(m, op->meta.value);
    return MT_APPLIED;
}
