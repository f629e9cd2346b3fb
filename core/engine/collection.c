/* Collections in runs: each action is an effect with an entry of its own; a write is judged in commit order,
 * in the same batch as its entry, so that it happens exactly once. (Handlers: handler.c.) */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

json_t *document_json(const struct mt_document *d) {
    struct mt_error e;
    json_t *body = mt_json_parse(d->body, strlen(d->body), &e);
    return json_pack("{s:s, s:I, s:o}", "id", d->id, "version", (json_int_t)d->version, "doc",
                     body ? body : json_object());
}

char *document_key_text(const json_t *value) {
    if (json_is_string(value)) return mt_strdup(json_string_value(value));
    return mt_json_dump(value, NULL);
}

size_t document_keys(struct mt_exec *x, const json_t *body, const json_t *unique, const json_t *index,
                     struct mt_doc_key **keys) {
    size_t n = 0, i, most = json_array_size(unique) + json_array_size(index);
    const json_t *field;
    *keys = mt_calloc(most ? most : 1, sizeof **keys);
    for (int pass = 0; pass < 2; pass++) json_array_foreach(pass ? index : unique, i, field) {
            const json_t *value = json_object_get(body, json_string_value(field));
            if (!value || json_is_null(value)) continue;
            (*keys)[n].field = exec_keep(x, mt_strdup(json_string_value(field)));
            (*keys)[n].value = exec_keep(x, document_key_text(value));
            (*keys)[n++].unique = pass == 0;
        }
    return n;
}

json_t *document_merged(const json_t *body, const json_t *params) {
    const char *key;
    json_t *value, *merged = json_deep_copy(body);
    json_object_foreach(json_object_get(params, "set"), key, value) {
        if (json_is_null(value))
            json_object_del(merged, key);
        else
            json_object_set(merged, key, value);
    }
    return merged;
}

struct doc_action {
    struct mt_exec *x;
    const char *collection, *action;
    int64_t keep_ms;
    json_t *params, *unique, *index;
    struct mt_document had; /* version 0: none */
    json_t *body;           /* to be written; NULL: deleted */
    struct mt_error error;  /* kind set: refused */
};

static void refuse(struct doc_action *d, enum mt_kind kind, const char *code, const char *format,
                   const char *what) {
    mt_fail(&d->error, kind, format, d->collection, what);
    mt_copy(d->error.code, sizeof d->error.code, code);
    d->error.outcome = MT_REJECTED;
}

/* Works out what is to be written from what is there. */
static void decide_write(struct doc_action *d) {
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
    } else if (version && !json_is_null(version) && json_integer_value(version) != d->had.version) {
        refuse(d, MT_CONFLICT, "version", "%s: document '%s' has another version by now", id);
    } else if (strcmp(d->action, "update") == 0) {
        json_t *had = mt_json_parse(d->had.body, strlen(d->had.body), &d->error);
        d->body = document_merged(had, d->params);
        json_decref(had);
    } else if (strcmp(d->action, "delete") != 0) {
        d->body = json_incref(json_object_get(d->params, "doc"));
    }
}

static int read_document(struct doc_action *d) {
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

static char *written_json(const struct doc_action *d) {
    json_t *obj = d->body ? json_pack("{s:s, s:I}", "id", mt_json_str(d->params, "id", ""), "version",
                                      (json_int_t)d->had.version + 1)
                          : json_pack("{s:s}", "id", mt_json_str(d->params, "id", ""));
    char *text = mt_json_dump(obj, NULL);
    json_decref(obj);
    return text;
}

static bool is_write(const char *action) {
    return strcmp(action, "get") != 0 && strcmp(action, "by") != 0 && strcmp(action, "list") != 0;
}

/* The entry and the write in one batch. */
static bool try_write(struct doc_action *d, struct mt_entry *entry, char *body, enum mt_op_result *refused) {
    struct mt_exec *x = d->x;
    struct mt_doc_key *keys = NULL;
    exec_set_answer(x, entry, MT_DONE, written_json(d));
    exec_op_entry(x, entry);
    size_t key_count = body ? document_keys(x, d->body, d->unique, d->index, &keys) : 0;
    struct mt_op *op = exec_op(x, body ? MT_OP_DOC_PUT : MT_OP_DOC_DELETE);
    op->doc.collection = d->collection;
    op->doc.id = mt_json_str(d->params, "id", "");
    op->doc.expect = d->had.version;
    op->doc.body = body;
    op->doc.at = entry->at;
    op->doc.keep = d->keep_ms;
    op->doc.key_count = key_count;
    op->doc.keys = keys;
    bool ok = exec_flush_keep(x, refused);
    exec_drop_ops(x);
    free(keys);
    return ok;
}

static void answer_refused(struct doc_action *d, struct mt_entry *entry, struct mt_answer *a) {
    exec_answer(d->x, entry, MT_REJECTED, error_text(&d->error), false, a);
}

/* Writes until no other has written in between. */
static void write_document(struct doc_action *d, struct mt_entry *entry, struct mt_answer *a) {
    struct mt_exec *x = d->x;
    enum mt_op_result refused = MT_RES_OK;
    if (!exec_flush(x)) { /* what came before has its own batch, so that a refusal refuses this write alone */
        a->step = MT_STEP_LEAVE;
        return;
    }
    for (int tries = 0; tries < 100; tries++) {
        size_t len = 0;
        if (read_document(d) != 0) {
            exec_park(x, a, &d->error, entry->site, NULL);
            return;
        }
        decide_write(d);
        if (d->error.kind) {
            answer_refused(d, entry, a);
            return;
        }
        if (!d->body && d->had.version == 0) { /* nothing to delete */
            exec_answer(x, entry, MT_DONE, mt_strdup("null"), false, a);
            return;
        }
        char *body = d->body ? mt_json_dump(d->body, &len) : NULL;
        if (len > MT_VALUE_MAX) {
            refuse(d, MT_LIMIT, "size", "%s: document '%s' would be larger than a megabyte",
                   mt_json_str(d->params, "id", ""));
            free(body);
            answer_refused(d, entry, a);
            return;
        }
        bool ok = try_write(d, entry, body, &refused);
        free(body);
        if (ok) {
            exec_give(x, entry, a);
            return;
        }
        if (refused == MT_RES_DUPLICATE) {
            struct mt_error e = x->error;
            refuse(d, MT_CONFLICT, "unique", "%s: %s", e.message);
            answer_refused(d, entry, a);
            return;
        }
        if (refused != MT_RES_STALE && refused != MT_RES_MISSING) break;
    }
    exec_lose(x, refused, a);
}

static char *read_json(struct doc_action *d, struct mt_error *e) {
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
                                    mt_json_str(d->params, "after", NULL),
                                    mt_json_bool(d->params, "newest", false),
                                    (size_t)(limit < 1      ? 1
                                             : limit > 1000 ? 1000
                                                            : limit),
                                    &docs, &count, NULL, e);
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

/* A read of a run sees what the run has written before. */
static void read_for_run(struct doc_action *d, struct mt_entry *entry, struct mt_answer *a) {
    struct mt_exec *x = d->x;
    struct mt_error e;
    if (!exec_flush(x)) {
        a->step = MT_STEP_LEAVE;
        return;
    }
    char *text = read_json(d, &e);
    if (!text) {
        exec_park(x, a, &e, entry->site, NULL);
    } else if (strlen(text) > MT_VALUE_MAX) {
        free(text);
        refuse(d, MT_LIMIT, "size", "%s: what was asked for is larger than a megabyte; ask for fewer%s", "");
        answer_refused(d, entry, a);
    } else {
        exec_answer(x, entry, MT_DONE, text, false, a);
    }
}

static void run_action(struct doc_action *d, const char *params_text, const char *site, struct mt_answer *a) {
    char name[96], digest[33];
    struct mt_entry *entry;
    struct mt_exec *x = d->x;
    mt_format(name, sizeof name, "%s:%s", d->collection, d->action);
    engine_digest(x->g, params_text, strlen(params_text), digest);
    travel_asks(x, params_text);
    if (exec_over(x, "collection", name, digest, site, &entry, a)) return;
    entry = exec_append(x, "collection", name, digest, site);
    json_t *shown = mt_json_redact(d->params);
    entry->params = mt_json_dump(shown, NULL);
    json_decref(shown);
    if (is_write(d->action))
        write_document(d, entry, a);
    else
        read_for_run(d, entry, a);
}

static json_t *field_list(const char *text) {
    struct mt_error e;
    json_t *list = text ? mt_json_parse(text, strlen(text), &e) : NULL;
    return list ? list : json_array();
}

/* Names and ids that no document can have. */
static bool check_names(const char *collection, const char *action, const json_t *params,
                        struct mt_answer *a) {
    const char *id = mt_json_str(params, "id", NULL);
    bool needs_id = is_write(action) || strcmp(action, "get") == 0;
    if (!collection[0] || strlen(collection) >= MT_NAME_MAX)
        exec_bug(a, "a collection's name has 1 to %d bytes, found %zu", MT_NAME_MAX - 1, strlen(collection));
    else if (needs_id && (!id || !id[0] || strlen(id) >= MT_KEY_MAX))
        exec_bug(a, "%s:%s: a document's id is a string of 1 to %d bytes", collection, action,
                 MT_KEY_MAX - 1);
    else if ((strcmp(action, "insert") == 0 || strcmp(action, "put") == 0) &&
             !json_is_object(json_object_get(params, "doc")))
        exec_bug(a, "%s:%s: a document is a table with named members", collection, action);
    else
        return true;
    return false;
}

/* "orders:put" */
static const char *collection_deed(const char *collection, const char *action, char out[MT_NAME_MAX + 16]) {
    mt_format(out, MT_NAME_MAX + 16, "%s:%s", collection, action);
    return out;
}

void mt_effect_collection(struct mt_exec *x, const struct mt_collection *c, const char *action,
                          const char *params_text, const char *site, struct mt_answer *a) {
    struct mt_error e;
    struct doc_action d = {.x = x, .collection = c->name, .action = action, .keep_ms = c->keep_ms};
    char deed[MT_NAME_MAX + 16];
    d.params = mt_json_parse(params_text, strlen(params_text), &e);
    if (!d.params) {
        exec_bug(a, "%s", e.message);
    } else if (!check_names(c->name, action, d.params, a)) {
        /* a is set */
    } else if (x->handler && is_write(action) &&
               !operator_allows(x, "collection", collection_deed(c->name, action, deed), params_text, a)) {
        /* a is set */
    } else if (x->handler) {
        handler_collection(x, c, action, d.params, a);
    } else {
        d.unique = field_list(c->unique);
        d.index = field_list(c->index);
        run_action(&d, params_text, site, a);
    }
    mt_document_clear(&d.had);
    json_decref(d.body);
    json_decref(d.unique);
    json_decref(d.index);
    json_decref(d.params);
}
