/* Handlers: everything a handler writes is one batch, committed when it has returned, on condition that the documents it read
 * are still as it read them; otherwise it is run again from the start. Lists are read as committed and are not part of that
 * condition; unique fields are. One thread a handler. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define MAX_DOCS 1000
#define MAX_DELIVERIES 64

struct mt_exec *mt_handler_begin(struct mt_engine *g, const char *name)
{
    struct mt_exec *x = mt_calloc(1, sizeof *x);
    x->g = g;
    x->handler = true;
    x->now = g->o.clock->wall_ms(g->o.clock);
    mt_copy(x->run.flow, sizeof x->run.flow, name);
    mt_buf_init(&x->answer, 16 * MT_VALUE_MAX);
    return x;
}

void mt_handler_end(struct mt_exec *x)
{
    for (size_t i = 0; i < x->doc_count; i++) {
        json_decref(x->docs[i].body);
        json_decref(x->docs[i].unique);
        json_decref(x->docs[i].index);
    }
    free(x->docs);
    free(x->deliveries); /* their strings are scratch */
    exec_drop_ops(x);
    free(x->scratch);
    mt_buf_clear(&x->answer);
    free(x);
}

/* ---- documents ---- */

static struct handler_doc *find_doc(struct mt_exec *x, const char *collection, const char *id)
{
    for (size_t i = x->doc_count; i-- > 0;)
        if (strcmp(x->docs[i].id, id) == 0 && strcmp(x->docs[i].collection, collection) == 0) return &x->docs[i];
    return NULL;
}

static struct handler_doc *note_doc(struct mt_exec *x, const char *collection, const struct mt_document *d,
                                    const char *id)
{
    struct mt_error e;
    if (x->doc_count % 16 == 0) x->docs = mt_realloc(x->docs, (x->doc_count + 16) * sizeof *x->docs);
    struct handler_doc *doc = &x->docs[x->doc_count++];
    memset(doc, 0, sizeof *doc);
    mt_copy(doc->collection, sizeof doc->collection, collection);
    mt_copy(doc->id, sizeof doc->id, id);
    doc->version = d ? d->version : 0;
    doc->body = d && d->version ? mt_json_parse(d->body, strlen(d->body), &e) : NULL;
    return doc;
}

/* The document as this handler sees it, read once. NULL: the store failed (a is set) or too many. */
static struct handler_doc *see_doc(struct mt_exec *x, const char *collection, const char *id, struct mt_answer *a)
{
    struct handler_doc *doc = find_doc(x, collection, id);
    struct mt_document d = {0};
    struct mt_error e = {0};
    if (doc) return doc;
    if (x->doc_count >= MAX_DOCS) {
        exec_bug(a, "a handler may touch at most %d documents", MAX_DOCS);
        return NULL;
    }
    if (x->g->o.store->get_document(x->g->o.store, collection, id, &d, &e) != 0 && e.kind != MT_NOT_FOUND) {
        exec_give_error(x, &e, a);
        return NULL;
    }
    if (e.kind == MT_NOT_FOUND) memset(&d, 0, sizeof d);
    doc = note_doc(x, collection, &d, id);
    mt_document_clear(&d);
    return doc;
}

static json_t *doc_json(const struct handler_doc *doc)
{
    if (!doc->body) return json_null();
    return json_pack("{s:s, s:I, s:O}", "id", doc->id, "version",
                     (json_int_t)(doc->version + (doc->written ? 1 : 0)), "doc", doc->body);
}

static void give(struct mt_exec *x, json_t *value, struct mt_answer *a)
{
    size_t len;
    char *text = mt_json_dump(value, &len);
    exec_give_json(x, text, len, a);
    free(text);
    json_decref(value);
}

static void refuse(struct mt_exec *x, enum mt_kind kind, const char *code, struct mt_answer *a, const char *collection,
                   const char *text, const char *id)
{
    struct mt_error e;
    mt_fail(&e, kind, "%s: %s '%s'", collection, text, id);
    mt_copy(e.code, sizeof e.code, code);
    e.outcome = MT_REJECTED;
    exec_give_error(x, &e, a);
}

static bool has_value(const struct handler_doc *doc, const char *field, const json_t *value)
{
    return doc->body && json_equal(json_object_get(doc->body, field), value);
}

/* A unique value must not be taken by another document, here or in the store. */
static bool unique_taken(struct mt_exec *x, const char *collection, const char *id, const json_t *body,
                         const json_t *unique, struct mt_answer *a)
{
    size_t i;
    const json_t *field;
    json_array_foreach(unique, i, field)
    {
        const char *name = json_string_value(field);
        const json_t *value = json_object_get(body, name);
        if (!value || json_is_null(value)) continue;
        bool taken = false;
        for (size_t d = 0; d < x->doc_count && !taken; d++)
            taken = strcmp(x->docs[d].collection, collection) == 0 && strcmp(x->docs[d].id, id) != 0 &&
                    has_value(&x->docs[d], name, value);
        if (!taken) {
            struct mt_document *docs = NULL;
            size_t count = 0;
            struct mt_error e;
            char *text = document_key_text(value);
            if (x->g->o.store->query_documents(x->g->o.store, collection, name, text, NULL, false, 1, &docs, &count,
                                               NULL, &e) == 0 &&
                count) {
                struct handler_doc *seen = find_doc(x, collection, docs[0].id);
                taken = strcmp(docs[0].id, id) != 0 && !(seen && seen->written && !has_value(seen, name, value));
                mt_document_clear(&docs[0]);
            }
            free(docs);
            free(text);
        }
        if (taken) {
            refuse(x, MT_CONFLICT, "unique", a, collection, "another document has the same", name);
            return true;
        }
    }
    return false;
}

static void write_doc(struct mt_exec *x, const char *collection, const char *unique, const char *index,
                      const char *action, json_t *params, struct mt_answer *a)
{
    struct mt_error e;
    const char *id = mt_json_str(params, "id", "");
    struct handler_doc *doc = see_doc(x, collection, id, a);
    if (!doc) return;
    json_t *version = json_object_get(params, "version"), *body = NULL;
    int64_t is = doc->body ? doc->version + (doc->written ? 1 : 0) : 0;
    if (version && json_integer_value(version) != is) {
        refuse(x, MT_CONFLICT, "version", a, collection, "another version by now of document", id);
        return;
    }
    if (strcmp(action, "insert") == 0 && doc->body) {
        refuse(x, MT_CONFLICT, "version", a, collection, "there is already a document", id);
        return;
    }
    if (strcmp(action, "update") == 0) {
        const char *key;
        json_t *value;
        if (!doc->body) {
            refuse(x, MT_NOT_FOUND, "missing", a, collection, "there is no document", id);
            return;
        }
        body = json_deep_copy(doc->body);
        json_object_foreach(json_object_get(params, "set"), key, value)
        {
            if (json_is_null(value))
                json_object_del(body, key);
            else
                json_object_set(body, key, value);
        }
    } else if (strcmp(action, "delete") != 0) {
        body = json_incref(json_object_get(params, "doc"));
    }
    json_t *uniques = mt_json_parse(unique ? unique : "[]", strlen(unique ? unique : "[]"), &e);
    if (body && unique_taken(x, collection, id, body, uniques, a)) {
        json_decref(body);
        json_decref(uniques);
        return;
    }
    json_decref(doc->body);
    json_decref(doc->unique);
    json_decref(doc->index);
    doc->body = body;
    doc->unique = uniques;
    doc->index = mt_json_parse(index ? index : "[]", strlen(index ? index : "[]"), &e);
    doc->written = true;
    give(x, body ? json_pack("{s:s, s:I}", "id", id, "version", (json_int_t)doc->version + 1) : json_null(), a);
}

/* by: what this handler has written wins over what is stored. */
static void read_by(struct mt_exec *x, const char *collection, json_t *params, struct mt_answer *a)
{
    const char *field = mt_json_str(params, "field", "");
    json_t *value = json_object_get(params, "value");
    for (size_t i = 0; i < x->doc_count; i++)
        if (x->docs[i].written && strcmp(x->docs[i].collection, collection) == 0 && has_value(&x->docs[i], field, value)) {
            give(x, doc_json(&x->docs[i]), a);
            return;
        }
    struct mt_document *docs = NULL;
    size_t count = 0;
    struct mt_error e;
    char *text = document_key_text(value ? value : json_null());
    int rc = x->g->o.store->query_documents(x->g->o.store, collection, field, text, NULL, false, 1, &docs, &count, NULL, &e);
    free(text);
    if (rc != 0) {
        exec_give_error(x, &e, a);
        return;
    }
    json_t *out = json_null();
    if (count) {
        struct handler_doc *doc = find_doc(x, collection, docs[0].id);
        if (!doc) doc = note_doc(x, collection, &docs[0], docs[0].id);
        if (!doc->written) out = doc_json(doc);
        mt_document_clear(&docs[0]);
    }
    free(docs);
    give(x, out, a);
}

static void read_list(struct mt_exec *x, const char *collection, json_t *params, struct mt_answer *a)
{
    struct mt_document *docs = NULL;
    size_t count = 0;
    struct mt_error e;
    json_t *value = json_object_get(params, "value");
    const char *field = mt_json_str(params, "field", NULL);
    char *text = value ? document_key_text(value) : NULL;
    int64_t limit = mt_json_int(params, "limit", 100);
    int rc = x->g->o.store->query_documents(x->g->o.store, collection, field, text, mt_json_str(params, "after", NULL),
                                            mt_json_bool(params, "newest", false),
                                            (size_t)(limit < 1 ? 1 : limit > 1000 ? 1000 : limit), &docs, &count, NULL, &e);
    free(text);
    if (rc != 0) {
        exec_give_error(x, &e, a);
        return;
    }
    json_t *out = json_array();
    for (size_t i = 0; i < count; i++) {
        struct handler_doc *doc = find_doc(x, collection, docs[i].id);
        if (!doc || !doc->written)
            json_array_append_new(out, document_json(&docs[i]));
        else if (doc->body && (!field || has_value(doc, field, value)))
            json_array_append_new(out, doc_json(doc));
        mt_document_clear(&docs[i]);
    }
    free(docs);
    for (size_t i = 0; i < x->doc_count; i++) /* those that are new here */
        if (x->docs[i].written && x->docs[i].version == 0 && x->docs[i].body &&
            strcmp(x->docs[i].collection, collection) == 0 && (!field || has_value(&x->docs[i], field, value)))
            json_array_append_new(out, doc_json(&x->docs[i]));
    give(x, out, a);
}

void handler_collection(struct mt_exec *x, const char *collection, const char *unique, const char *index,
                        const char *action, json_t *params, struct mt_answer *a)
{
    if (strcmp(action, "get") == 0) {
        struct handler_doc *doc = see_doc(x, collection, mt_json_str(params, "id", ""), a);
        if (doc) give(x, doc_json(doc), a);
    } else if (strcmp(action, "by") == 0) {
        read_by(x, collection, params, a);
    } else if (strcmp(action, "list") == 0) {
        read_list(x, collection, params, a);
    } else {
        write_doc(x, collection, unique, index, action, params, a);
    }
}

/* ---- starts, deliveries, dated work ---- */

static bool room_for_op(struct mt_exec *x, struct mt_answer *a)
{
    if (x->op_count + 4 <= MAX_PENDING_OPS) return true;
    exec_bug(a, "a handler may start, signal, deliver and schedule at most %d times", MAX_PENDING_OPS - 4);
    return false;
}

static void give_start(struct mt_exec *x, const char *id, const char *flow, const char *key, bool existing,
                       struct mt_answer *a)
{
    char url[256];
    mt_exec_checkout_url(x, id, url, sizeof url);
    give(x, json_pack("{s:s, s:s, s:s?, s:b, s:s}", "id", id, "flow", flow, "key", key, "existing", (int)existing,
                      "checkout_url", url), a);
}

void handler_start(struct mt_exec *x, const char *flow, const char *normal, const char *digest, const char *key,
                   struct mt_answer *a)
{
    struct mt_run had;
    struct mt_error e;
    char id[MT_ID_SIZE], generation[80];
    if (key && x->g->o.store->find_run(x->g->o.store, flow, key, &had, &e) == 0) {
        char had_digest[33];
        exec_digest(had.input ? had.input : "{}", strlen(had.input ? had.input : "{}"), had_digest);
        if (had.segment > 0 || strcmp(had_digest, digest) == 0)
            give_start(x, had.id, flow, key, true, a);
        else {
            mt_fail(&e, MT_CONFLICT, "a run of %s with the key '%s' exists already with another input", flow, key);
            e.outcome = MT_REJECTED;
            exec_give_error(x, &e, a);
        }
        mt_run_clear(&had);
        return;
    }
    if (!room_for_op(x, a)) return;
    mt_id_new("run_", x->now, x->g->o.random, id);
    x->g->o.script->current(x->g->o.script, generation);
    struct mt_op *op = exec_op(x, MT_OP_START);
    op->start.id = exec_keep(x, mt_strdup(id));
    op->start.flow = exec_keep(x, mt_strdup(flow));
    op->start.key = key ? exec_keep(x, mt_strdup(key)) : NULL;
    op->start.input = exec_keep(x, mt_strdup(normal));
    op->start.input_digest = exec_keep(x, mt_strdup(digest));
    op->start.generation = exec_keep(x, mt_strdup(generation));
    op->start.fresh = true;
    op->start.cls = MT_CLASS_START;
    op->start.at = x->now;
    give_start(x, id, flow, key, false, a);
}

static char *member_text(const json_t *obj, const char *name)
{
    json_t *value = json_object_get(obj, name);
    if (!value || json_is_null(value)) return NULL;
    return json_is_string(value) ? mt_strdup(json_string_value(value)) : mt_json_dump(value, NULL);
}

void mt_effect_deliver(struct mt_exec *x, const char *delivery, const char *site, struct mt_answer *a)
{
    struct mt_error e;
    (void)site;
    if (!x->handler) {
        exec_bug(a, "deliveries are for handlers");
        return;
    }
    if (!room_for_op(x, a)) return;
    if (x->delivery_count >= MAX_DELIVERIES) {
        exec_bug(a, "a handler may enqueue at most %d deliveries", MAX_DELIVERIES);
        return;
    }
    json_t *obj = mt_json_parse(delivery, strlen(delivery), &e);
    if (!json_is_object(obj) || !mt_json_str(obj, "body", NULL) || !mt_json_str(obj, "event", NULL)) {
        json_decref(obj);
        exec_bug(a, "a delivery has members event and body (strings), url, group, headers, schedule_ms, accept");
        return;
    }
    if (!x->deliveries) x->deliveries = mt_calloc(MAX_DELIVERIES, sizeof *x->deliveries);
    struct mt_delivery *d = &x->deliveries[x->delivery_count++];
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
    give(x, json_pack("{s:s}", "id", d->id), a);
    json_decref(obj);
}

void mt_effect_schedule(struct mt_exec *x, int64_t at_ms, const char *name, const char *payload, const char *site,
                        struct mt_answer *a)
{
    (void)site;
    if (!x->handler) {
        exec_bug(a, "dated work is for handlers; a run sleeps (flow.sleep)");
        return;
    }
    if (!room_for_op(x, a)) return;
    struct mt_op *op = exec_op(x, MT_OP_TASK_PUT);
    op->task.due_at = at_ms;
    op->task.name = exec_keep(x, mt_strdup(name));
    op->task.payload = exec_keep(x, mt_strdup(payload));
    give(x, json_pack("{s:b}", "scheduled", 1), a);
}

/* ---- commit ---- */

static void doc_op(struct mt_exec *x, const struct handler_doc *doc, struct mt_op *op, struct mt_doc_key **keys)
{
    memset(op, 0, sizeof *op);
    op->type = !doc->written ? MT_OP_DOC_CHECK : doc->body ? MT_OP_DOC_PUT : MT_OP_DOC_DELETE;
    if (op->type == MT_OP_DOC_DELETE && doc->version == 0) op->type = MT_OP_DOC_CHECK;
    op->doc.collection = doc->collection;
    op->doc.id = doc->id;
    op->doc.expect = doc->version;
    if (op->type != MT_OP_DOC_PUT) return;
    op->doc.body = exec_keep(x, mt_json_dump(doc->body, NULL));
    op->doc.key_count = document_keys(x, doc->body, doc->unique, doc->index, keys);
    op->doc.keys = *keys;
}

void mt_handler_task(struct mt_exec *x, int64_t n) { x->task = n; }

int mt_handler_commit(struct mt_exec *x, struct mt_error *e)
{
    bool writes = x->op_count > 0 || x->task != 0;
    for (size_t i = 0; i < x->doc_count; i++) writes = writes || x->docs[i].written;
    if (!writes) return 0;
    if (x->task) exec_op(x, MT_OP_TASK_DELETE)->task.n = x->task;
    size_t n = x->doc_count + x->op_count;
    struct mt_op *ops = mt_calloc(n, sizeof *ops);
    struct mt_doc_key **keys = mt_calloc(x->doc_count ? x->doc_count : 1, sizeof *keys);
    for (size_t i = 0; i < x->doc_count; i++) doc_op(x, &x->docs[i], &ops[i], &keys[i]);
    if (x->op_count) memcpy(ops + x->doc_count, x->ops, x->op_count * sizeof *ops);
    struct mt_batch batch = {.ops = ops, .count = n};
    int rc = mt_writer_submit(x->g->writer, &batch);
    if (rc != 0) {
        enum mt_op_result why = batch.failed < n ? ops[batch.failed].result : MT_RES_OK;
        *e = batch.error;
        bool task_gone = batch.failed < n && ops[batch.failed].type == MT_OP_TASK_DELETE;
        if (why == MT_RES_STALE || why == MT_RES_DUPLICATE || why == MT_RES_EXISTS ||
            (why == MT_RES_MISSING && !task_gone)) {
            rc = 1;
            atomic_fetch_add_explicit(&x->g->handler_conflicts, 1, memory_order_relaxed);
        }
    }
    for (size_t i = x->doc_count; i < n; i++)
        if (ops[i].type == MT_OP_START) {
            if (rc == 0) atomic_fetch_add_explicit(&x->g->runs_started, 1, memory_order_relaxed);
            mt_run_clear(&ops[i].start.existing);
        }
    for (size_t i = 0; i < x->doc_count; i++) free(keys[i]);
    free(keys);
    free(ops);
    return rc;
}
