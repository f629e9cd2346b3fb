/* Handlers: everything a handler writes is one batch, committed when it has returned, on condition that the
 * documents it read are still as it read them; otherwise it is run again from the start. Lists are read as
 * committed and are not part of that condition; unique fields are. Documents are in documents.c. One thread a
 * handler. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define MAX_OPS 250
#define MAX_DELIVERIES 64

struct mt_exec *mt_handler_begin(struct mt_engine *g, const char *name) {
    struct mt_exec *x = exec_new(g);
    x->handler = true;
    x->now = g->o.clock->wall_ms(g->o.clock);
    mt_copy(x->run.flow, sizeof x->run.flow, name);
    return x;
}

void mt_handler_generation(struct mt_exec *x, const char *id) {
    mt_copy(x->run.generation, sizeof x->run.generation, id);
}

void mt_handler_task(struct mt_exec *x, int64_t n) {
    x->task = n;
}

void handler_forget(struct mt_exec *x) {
    for (size_t i = 0; i < x->doc_count; i++) {
        json_decref(x->docs[i].body);
        json_decref(x->docs[i].unique);
        json_decref(x->docs[i].index);
    }
    free(x->docs);
    json_decref(x->absent);
    free(x->deliveries); /* their strings are scratch */
    x->docs = NULL;
    x->absent = NULL;
    x->deliveries = NULL;
    x->doc_count = x->delivery_count = 0;
    exec_drop_ops(x);
}

void mt_handler_end(struct mt_exec *x) {
    handler_forget(x);
    exec_free(x);
}

void handler_give(struct mt_exec *x, json_t *value, struct mt_answer *a) {
    size_t len;
    char *text = mt_json_dump(value, &len);
    exec_give_json(x, text, len, a);
    free(text);
    json_decref(value);
}

bool handler_room(struct mt_exec *x, struct mt_answer *a) {
    if (x->op_count < MAX_OPS) return true;
    exec_bug(a, "a handler may start, signal, deliver and schedule at most %d times", MAX_OPS);
    return false;
}

/* ---- starts ---- */

static void give_start(struct mt_exec *x, const char *id, const char *flow, const char *key, bool existing,
                       struct mt_answer *a) {
    char url[256];
    mt_exec_checkout_url(x, id, url, sizeof url);
    handler_give(x,
                 json_pack("{s:s, s:s, s:s?, s:b, s:s}", "id", id, "flow", flow, "key", key, "existing",
                           (int)existing, "checkout_url", url),
                 a);
}

/* The run with this key is there already, or will be with this transaction. */
static void give_existing(struct mt_exec *x, const char *id, const char *flow, const char *key,
                          bool same_input, struct mt_answer *a) {
    struct mt_error e;
    if (same_input) {
        give_start(x, id, flow, key, true, a);
        return;
    }
    mt_fail(&e, MT_CONFLICT, "a run of %s with the key '%s' exists already with another input", flow, key);
    mt_copy(e.code, sizeof e.code, "key_reused");
    e.outcome = MT_REJECTED;
    exec_give_error(x, &e, a);
}

/* Whether the key was given before: in this transaction, or to a run that is stored. */
static bool key_known(struct mt_exec *x, const char *flow, const char *key, const char *digest,
                      struct mt_answer *a) {
    struct mt_run had;
    struct mt_error e;
    if (!key) return false;
    for (size_t i = 0; i < x->op_count; i++) {
        const struct mt_op *op = &x->ops[i];
        if (op->type != MT_OP_START || !op->start.key || strcmp(op->start.key, key) != 0 ||
            strcmp(op->start.flow, flow) != 0)
            continue;
        give_existing(x, op->start.id, flow, key, strcmp(op->start.input_digest, digest) == 0, a);
        return true;
    }
    if (x->g->o.store->find_run(x->g->o.store, flow, key, &had, &e) != 0) return false;
    give_existing(x, had.id, flow, key, strcmp(had.input_digest, digest) == 0, a);
    mt_run_clear(&had);
    return true;
}

void handler_start(struct mt_exec *x, const char *flow, struct mt_buf *normal, const char *digest,
                   const char *key, struct mt_answer *a) {
    char id[MT_ID_SIZE], generation[80];
    struct mt_error e;
    if (key_known(x, flow, key, digest, a) || !handler_room(x, a)) return;
    mt_id_new("run_", x->now, x->g->o.random, id);
    if (secrets_seal(x->g, id, 0, normal, &e) != 0) {
        e.outcome = MT_REJECTED;
        exec_give_error(x, &e, a);
        return;
    }
    x->g->o.script->current(x->g->o.script, generation);
    struct mt_op *op = exec_op(x, MT_OP_START);
    op->start.id = exec_keep(x, mt_strdup(id));
    op->start.flow = exec_keep(x, mt_strdup(flow));
    op->start.key = exec_keep(x, mt_strdup(key));
    op->start.input = exec_keep(x, mt_memdup(normal->data, normal->len));
    op->start.input_digest = exec_keep(x, mt_strdup(digest));
    op->start.generation = exec_keep(x, mt_strdup(generation));
    op->start.fresh = true; /* the handler was told that it is new */
    op->start.cls = MT_CLASS_START;
    op->start.at = x->now;
    give_start(x, id, flow, key, false, a);
}

/* ---- deliveries, dated work ---- */

static char *member_text(const json_t *obj, const char *name) {
    json_t *value = json_object_get(obj, name);
    if (!value || json_is_null(value)) return NULL;
    return json_is_string(value) ? mt_strdup(json_string_value(value)) : mt_json_dump(value, NULL);
}

static void push_delivery(struct mt_exec *x, const json_t *obj, struct mt_delivery *d) {
    mt_id_new("whd_", x->now, x->g->o.random, d->id);
    mt_copy(d->group, sizeof d->group, mt_json_str(obj, "group", ""));
    mt_copy(d->event, sizeof d->event, mt_json_str(obj, "event", ""));
    d->url = exec_keep(x, member_text(obj, "url"));
    d->headers = exec_keep(x, member_text(obj, "headers"));
    d->body = exec_keep(x, member_text(obj, "body"));
    d->body_len = strlen(d->body);
    d->schedule = exec_keep(x, member_text(obj, "schedule_ms"));
    d->accept = exec_keep(x, member_text(obj, "accept"));
    mt_copy(d->state, sizeof d->state, d->url ? "pending" : "no_endpoint");
    d->next_at = d->url ? x->now + mt_json_int(obj, "delay_ms", 0) : MT_NEVER;
    d->created_at = x->now;
    d->log = exec_keep(x, mt_strdup("[]"));
    exec_op(x, MT_OP_DELIVERY_PUT)->delivery = d;
}

void mt_effect_deliver(struct mt_exec *x, const char *delivery, const char *site, struct mt_answer *a) {
    struct mt_error e;
    (void)site;
    if (!x->handler) {
        exec_bug(a, "deliveries are for handlers");
        return;
    }
    if (!handler_room(x, a)) return;
    if (x->delivery_count >= MAX_DELIVERIES) {
        exec_bug(a, "a handler may enqueue at most %d deliveries", MAX_DELIVERIES);
        return;
    }
    json_t *obj = mt_json_parse(delivery, strlen(delivery), &e);
    if (!json_is_object(obj) || !mt_json_str(obj, "body", NULL) || !mt_json_str(obj, "event", NULL)) {
        exec_bug(a, "a delivery has members event and body (strings), url, group, headers, schedule_ms, "
                    "delay_ms, accept");
    } else {
        if (!operator_allows(x, "deliver", mt_json_str(obj, "event", ""), delivery, a)) {
            json_decref(obj);
            return;
        }
        if (!x->deliveries) x->deliveries = mt_calloc(MAX_DELIVERIES, sizeof *x->deliveries);
        struct mt_delivery *d = &x->deliveries[x->delivery_count++];
        push_delivery(x, obj, d);
        handler_give(x, json_pack("{s:s}", "id", d->id), a);
    }
    json_decref(obj);
}

void mt_effect_schedule(struct mt_exec *x, int64_t at_ms, const char *name, const char *payload,
                        const char *site, struct mt_answer *a) {
    (void)site;
    if (!x->handler) {
        exec_bug(a, "dated work is for handlers; a run sleeps (flow.sleep)");
        return;
    }
    if (!name[0] || strlen(name) >= MT_NAME_MAX) {
        exec_bug(a, "a task's name has 1 to %d bytes, found %zu", MT_NAME_MAX - 1, strlen(name));
        return;
    }
    if (!handler_room(x, a) || !operator_allows(x, "task", name, payload, a)) return;
    struct mt_op *op = exec_op(x, MT_OP_TASK_PUT);
    op->task.due_at = at_ms;
    op->task.name = exec_keep(x, mt_strdup(name));
    op->task.payload = exec_keep(x, mt_strdup(payload));
    exec_give_json(x, "null", 4, a);
}

/* ---- commit ---- */

static void doc_op(struct mt_exec *x, const struct handler_doc *doc, struct mt_op *op,
                   struct mt_doc_key **keys) {
    memset(op, 0, sizeof *op);
    op->type = !doc->written ? MT_OP_DOC_CHECK : doc->body ? MT_OP_DOC_PUT : MT_OP_DOC_DELETE;
    if (op->type == MT_OP_DOC_DELETE && doc->version == 0) op->type = MT_OP_DOC_CHECK;
    op->doc.collection = doc->collection;
    op->doc.id = doc->id;
    op->doc.expect = doc->version;
    if (op->type != MT_OP_DOC_PUT) return;
    op->doc.body = exec_keep(x, mt_json_dump(doc->body, NULL));
    op->doc.at = x->now;
    op->doc.keep = doc->keep;
    op->doc.key_count = document_keys(x, doc->body, doc->unique, doc->index, keys);
    op->doc.keys = *keys;
}

/* Whether the refused operation says that others have been quicker. */
static bool overtaken(const struct mt_op *op) {
    switch (op->result) {
    case MT_RES_STALE:
    case MT_RES_DUPLICATE:
    case MT_RES_EXISTS:
        return true;
    case MT_RES_KEY_REUSED:
        return true; /* run again, it is told so */
    case MT_RES_MISSING:
        return op->type != MT_OP_TASK_DELETE;
    default:
        return false;
    }
}

bool mt_handler_overtaken(struct mt_exec *x) {
    bool changed = false;
    for (size_t i = 0; i < x->doc_count && !changed; i++) {
        struct mt_document d = {0};
        struct mt_error e = {0};
        int rc = x->g->o.store->get_document(x->g->o.store, x->docs[i].collection, x->docs[i].id, &d, &e);
        if (rc != 0 && e.kind != MT_NOT_FOUND) return false; /* the store fails: what was raised stands */
        changed = (rc == 0 ? d.version : 0) != x->docs[i].version;
        mt_document_clear(&d);
    }
    if (changed) atomic_fetch_add_explicit(&x->g->handler_conflicts, 1, memory_order_relaxed);
    return changed;
}

static int commit_ops(struct mt_exec *x, struct mt_op *ops, size_t n, struct mt_error *e) {
    struct mt_batch batch = {.ops = ops, .count = n};
    if (mt_writer_submit(x->g->writer, &batch) == 0) return 0;
    *e = batch.error;
    if (batch.failed >= n || !overtaken(&ops[batch.failed])) return -1;
    atomic_fetch_add_explicit(&x->g->handler_conflicts, 1, memory_order_relaxed);
    return 1;
}

int mt_handler_commit(struct mt_exec *x, struct mt_error *e) {
    bool writes = x->op_count > 0 || x->task != 0;
    for (size_t i = 0; i < x->doc_count; i++) writes = writes || x->docs[i].written;
    if (!writes) return 0;
    if (x->task) exec_op(x, MT_OP_TASK_DELETE)->task.n = x->task;
    size_t n = x->doc_count + x->op_count;
    struct mt_op *ops = mt_calloc(n, sizeof *ops);
    struct mt_doc_key **keys = mt_calloc(x->doc_count ? x->doc_count : 1, sizeof *keys);
    for (size_t i = 0; i < x->doc_count; i++) doc_op(x, &x->docs[i], &ops[i], &keys[i]);
    if (x->op_count) memcpy(ops + x->doc_count, x->ops, x->op_count * sizeof *ops);
    int rc = commit_ops(x, ops, n, e);
    for (size_t i = x->doc_count; i < n; i++)
        if (ops[i].type == MT_OP_START) mt_run_clear(&ops[i].start.existing);
    for (size_t i = 0; i < x->doc_count; i++) free(keys[i]);
    free(keys);
    free(ops);
    return rc;
}
