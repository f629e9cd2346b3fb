/* Collections in runs: each action is an effect with an entry of its own; a write is judged in commit order, in the same batch as
 * its entry, so that it happens exactly once. (Handlers: handler.c.) */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

json_t *document_json(const struct mt_document *d)
{
    struct mt_error e;
    json_t *body = mt_json_parse(d->body, strlen(d->body), &e);
    return json_pack("{s:s, s:I, s:o}", "id", d->id, "version", (json_int_t)d->version, "doc", body ? body : json_object());
}

char *document_key_text(const json_t *value)
{
    if (json_is_string(value)) return mt_strdup(json_string_value(value));
    return mt_json_dump(value, NULL);
}

size_t document_keys(struct mt_exec *x, const json_t *body, const json_t *unique, const json_t *index,
                     struct mt_doc_key **keys)
{
    size_t n = 0, i, most = json_array_size(unique) + json_array_size(index);
    const json_t *field;
    *keys = mt_calloc(most ? most : 1, sizeof **keys);
    for (int pass = 0; pass < 2; pass++)
        json_array_foreach(pass ? index : unique, i, field)
        {
            const json_t *value = json_object_get(body, json_string_value(field));
            if (!value || json_is_null(value)) continue;
            (*keys)[n].field = exec_keep(x, mt_strdup(json_string_value(field)));
            (*keys)[n].value = exec_keep(x, document_key_text(value));
            (*keys)[n++].unique = pass == 0;
        }
    return n;
}

struct doc_action {
    struct mt_exec *x;
    const char *collection, *action;
    json_t *params, *unique, *index;
    struct mt_document had; /* version 0: none */
    json_t *body;           /* to be written; NULL: deleted */
    struct mt_error error;  /* kind set: refused */
};

static void refuse(struct doc_action *d, enum mt_kind kind, const char *code, const char *format, const char *what)
{
    mt_fail(&d->error, kind, format, d->collection, what);
    mt_copy(d->error.code, sizeof d->error.code, code);
    d->error.outcome = MT_REJECTED;
}

/* Works out what is to be written from what is there. */
static void decide_write(struct doc_action *d)
{
    const char *id = mt_json_str(d->params, "id", "");
    json_t *version = json_object_get(d->params, "version");
    memset(&d->error, 0, sizeof d->error);
    json_decref(d->body);
    d->body = NULL;
    bool missing = d->had.version == 0;
    if (strcmp(d->action, "insert") == 0 && !missing) {
        refuse(d, MT_CONFLICT, "version", "%s: there is a document '%s' already", id);
    } else if (strcmp(d->action, "update") == 0 && missing) {
        refuse(d, MT_NOT_FOUND, "missing", "%s: there is no document '%s' to update", id);
    } else if (version && json_integer_value(version) != d->had.version) {
        refuse(d, MT_CONFLICT, "version", "%s: document '%s' has another version by now", id);
    } else if (strcmp(d->action, "update") == 0) {
        const char *key;
        json_t *value;
        d->body = mt_json_parse(d->had.body, strlen(d->had.body), &d->error);
        json_object_foreach(json_object_get(d->params, "set"), key, value)
        {
            if (json_is_null(value))
                json_object_del(d->body, key);
            else
                json_object_set(d->body, key, value);
        }
    } else if (strcmp(d->action, "delete") != 0) {
        d->body = json_incref(json_object_get(d->params, "doc"));
    }
}

static int read_document(struct doc_action *d)
{
    struct mt_store *s = d->x->g->o.store;
    struct mt_error e;
    mt_document_clear(&d->had);
    memset(&d->had, 0, sizeof d->had);
    if (s->get_document(s, d->collection, mt_json_str(d->params, "id", ""), &d->had, &e) == 0) return 0;
    memset(&d->had, 0, sizeof d->had);
    if (e.kind == MT_NOT_FOUND) return 0;
    d->error = e;
    return -1;
}

static char *written_json(const struct doc_action *d)
{
    json_t *obj = d->body ? json_pack("{s:s, s:I}", "id", mt_json_str(d->params, "id", ""), "version",
                                      (json_int_t)d->had.version + 1)
                          : json_pack("{s:s}", "id", mt_json_str(d->params, "id", ""));
    char *text = mt_json_dump(obj, NULL);
    json_decref(obj);
    return text;
}

static bool is_write(const char *action)
{
    return strcmp(action, "get") != 0 && strcmp(action, "by") != 0 && strcmp(action, "list") != 0;
}

static char *error_text(const struct mt_error *e)
{
    json_t *obj = mt_error_json(e);
    char *text = mt_json_dump(obj, NULL);
    json_decref(obj);
    return text;
}

/* Writes until no other has written in between. False: the execution is lost. */
static bool write_document(struct doc_action *d, struct mt_entry *entry, struct mt_answer *a)
{
    struct mt_exec *x = d->x;
    for (int tries = 0;; tries++) {
        struct mt_doc_key *keys = NULL;
        enum mt_op_result refused;
        if (read_document(d) != 0) break;
        decide_write(d);
        bool nothing = !d->error.kind && strcmp(d->action, "delete") == 0 && d->had.version == 0;
        if (d->error.kind || nothing) {
            exec_set_answer(x, entry, nothing ? MT_DONE : MT_REJECTED, nothing ? mt_strdup("null") : error_text(&d->error));
            exec_op_entry(x, entry);
            return true;
        }
        exec_set_answer(x, entry, MT_DONE, written_json(d));
        if (!exec_flush(x)) break; /* what came before has its own commit, so that a refusal refuses this write alone */
        exec_op_entry(x, entry);
        struct mt_op *op = exec_op(x, d->body ? MT_OP_DOC_PUT : MT_OP_DOC_DELETE);
        op->doc.collection = d->collection;
        op->doc.id = mt_json_str(d->params, "id", "");
        op->doc.expect = d->had.version;
        op->doc.body = d->body ? exec_keep(x, mt_json_dump(d->body, NULL)) : NULL;
        op->doc.key_count = d->body ? document_keys(x, d->body, d->unique, d->index, &keys) : 0;
        op->doc.keys = keys;
        bool ok = exec_flush_keep(x, &refused);
        free(keys);
        exec_drop_ops(x);
        if (ok) return true;
        if (refused == MT_RES_DUPLICATE) {
            struct mt_error e = x->error;
            refuse(d, MT_CONFLICT, "unique", "%s: %s", e.message);
            exec_set_answer(x, entry, MT_REJECTED, error_text(&d->error));
            exec_op_entry(x, entry);
            return true;
        }
        if (refused != MT_RES_STALE || tries > 100) break;
    }
    exec_leave(x, LEAVE_LOST, a);
    return false;
}

static char *read_json(struct doc_action *d, struct mt_error *e)
{
    struct mt_store *s = d->x->g->o.store;
    json_t *out = NULL;
    if (strcmp(d->action, "get") == 0) {
        if (read_document(d) != 0) {
            *e = d->error;
            return NULL;
        }
        out = d->had.version ? document_json(&d->had) : json_null();
    } else {
        struct mt_document *docs = NULL;
        size_t count = 0;
        bool by = strcmp(d->action, "by") == 0;
        json_t *value = json_object_get(d->params, "value");
        char *text = value ? document_key_text(value) : NULL;
        int64_t limit = by ? 1 : mt_json_int(d->params, "limit", 100);
        int rc = s->query_documents(s, d->collection, mt_json_str(d->params, "field", NULL), text,
                                    mt_json_str(d->params, "after", NULL), mt_json_bool(d->params, "newest", false),
                                    (size_t)(limit < 1 ? 1 : limit > 1000 ? 1000 : limit), &docs, &count, NULL, e);
        free(text);
        if (rc != 0) return NULL;
        if (by) {
            out = count ? document_json(&docs[0]) : json_null();
        } else {
            out = json_array();
            for (size_t i = 0; i < count; i++) json_array_append_new(out, document_json(&docs[i]));
        }
        for (size_t i = 0; i < count; i++) mt_document_clear(&docs[i]);
        free(docs);
    }
    char *text = mt_json_dump(out, NULL);
    json_decref(out);
    return text;
}

void mt_effect_collection(struct mt_exec *x, const char *collection, const char *unique, const char *index,
                          const char *action, const char *params_text, const char *site, struct mt_answer *a)
{
    struct mt_error e;
    struct mt_entry *entry;
    char name[96], digest[33];
    json_t *params = mt_json_parse(params_text, strlen(params_text), &e);
    const char *id = params ? mt_json_str(params, "id", NULL) : NULL;
    if (!params) {
        exec_bug(a, "%s", e.message);
        return;
    }
    if (strlen(collection) >= MT_NAME_MAX || (id && (!id[0] || strlen(id) >= MT_KEY_MAX))) {
        exec_bug(a, "%s: a document's id has 1 to %d bytes", collection, MT_KEY_MAX - 1);
        json_decref(params);
        return;
    }
    if (x->handler) {
        handler_collection(x, collection, unique, index, action, params, a);
        json_decref(params);
        return;
    }
    mt_format(name, sizeof name, "%s:%s", collection, action);
    exec_digest(params_text, strlen(params_text), digest);
    switch (exec_next(x, "collection", name, digest, site, &entry, a)) {
    case FOUND_ANSWERED: exec_give(x, entry, a); /* fallthrough */
    case FOUND_LEAVE: json_decref(params); return;
    default: break;
    }
    struct doc_action d = {.x = x, .collection = collection, .action = action, .params = params};
    d.unique = mt_json_parse(unique ? unique : "[]", strlen(unique ? unique : "[]"), &e);
    d.index = mt_json_parse(index ? index : "[]", strlen(index ? index : "[]"), &e);
    entry = exec_append(x, "collection", name, digest, site);
    json_t *shown = mt_json_redact(params);
    entry->params = mt_json_dump(shown, NULL);
    json_decref(shown);
    bool ok = true;
    if (is_write(action)) {
        ok = write_document(&d, entry, a);
    } else {
        if (!exec_flush(x)) { /* what this run has written before must be seen by its own reads */
            exec_leave(x, LEAVE_LOST, a);
            ok = false;
        }
        char *text = ok ? read_json(&d, &e) : NULL;
        if (ok && text) {
            exec_set_answer(x, entry, MT_DONE, text);
            exec_op_entry(x, entry);
        } else if (ok) {
            exec_park(x, a, &e, site, NULL);
            ok = false;
        }
    }
    if (ok) exec_give(x, entry, a);
    mt_document_clear(&d.had);
    json_decref(d.body);
    json_decref(d.unique);
    json_decref(d.index);
    json_decref(params);
}
