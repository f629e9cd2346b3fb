/* The documents of a handler: read once and remembered with their versions, written in memory, and seen by
 * its own later reads; handler.c commits them on the versions it read. One thread a handler. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

#define MAX_DOCS 1000
#define LIST_MAX 1000

/* ---- what the handler knows ---- */

static struct handler_doc *find_doc(struct mt_exec *x, const char *collection, const char *id) {
    for (size_t i = x->doc_count; i-- > 0;)
        if (strcmp(x->docs[i].id, id) == 0 && strcmp(x->docs[i].collection, collection) == 0)
            return &x->docs[i];
    return NULL;
}

static struct handler_doc *note_doc(struct mt_exec *x, const char *collection, const struct mt_document *d,
                                    const char *id) {
    struct mt_error e;
    if (x->doc_count % 16 == 0) x->docs = mt_realloc(x->docs, (x->doc_count + 16) * sizeof *x->docs);
    struct handler_doc *doc = &x->docs[x->doc_count++];
    memset(doc, 0, sizeof *doc);
    mt_copy(doc->collection, sizeof doc->collection, collection);
    mt_copy(doc->id, sizeof doc->id, id);
    doc->version = d->version;
    doc->body = d->version ? mt_json_parse(d->body, strlen(d->body), &e) : NULL;
    return doc;
}

static bool room_for_doc(struct mt_exec *x, struct mt_answer *a) {
    if (x->doc_count < MAX_DOCS) return true;
    exec_bug(a, "a handler may touch at most %d documents", MAX_DOCS);
    return false;
}

/* The document as this handler sees it, read once. NULL: the store failed or there are too many (a is set).
 */
static struct handler_doc *see_doc(struct mt_exec *x, const char *collection, const char *id,
                                   struct mt_answer *a) {
    struct handler_doc *doc = find_doc(x, collection, id);
    struct mt_document d = {0};
    struct mt_error e = {0};
    if (doc || !room_for_doc(x, a)) return doc;
    if (x->g->o.store->get_document(x->g->o.store, collection, id, &d, &e) != 0) {
        memset(&d, 0, sizeof d);
        if (e.kind != MT_NOT_FOUND) {
            exec_give_error(x, &e, a);
            return NULL;
        }
    }
    doc = note_doc(x, collection, &d, id);
    mt_document_clear(&d);
    return doc;
}

static int64_t version_of(const struct handler_doc *doc) {
    return doc->body ? doc->version + (doc->written ? 1 : 0) : 0;
}

static json_t *doc_json(const struct handler_doc *doc) {
    if (!doc->body) return json_null();
    return json_pack("{s:s, s:I, s:O}", "id", doc->id, "version", (json_int_t)version_of(doc), "doc",
                     doc->body);
}

static bool has_value(const struct handler_doc *doc, const char *field, const json_t *value) {
    return doc->body && json_equal(json_object_get(doc->body, field), value);
}

static size_t written_in(const struct mt_exec *x, const char *collection) {
    size_t n = 0;
    for (size_t i = 0; i < x->doc_count; i++)
        n += x->docs[i].written && strcmp(x->docs[i].collection, collection) == 0;
    return n;
}

/* ---- lists: what is stored, with what this handler has written in its place ---- */

struct query {
    const char *collection, *field; /* field NULL: all */
    const json_t *value;
    const char *after; /* or NULL */
    bool newest;
    size_t limit;
};

struct item {
    const char *id;
    const struct handler_doc *mine; /* or */
    const struct mt_document *stored;
};

static int compare_ids(const void *a, const void *b) {
    return strcmp(((const struct item *)a)->id, ((const struct item *)b)->id);
}

static bool asked_for(const struct query *q, const struct handler_doc *doc) {
    if (!doc->written || !doc->body || strcmp(doc->collection, q->collection) != 0) return false;
    if (q->field && !has_value(doc, q->field, q->value)) return false;
    int order = q->after ? strcmp(doc->id, q->after) : 1;
    return !q->after || (q->newest ? order < 0 : order > 0);
}

/* Reads at most q->limit items in order. *docs is the caller's to free, and what *items point into. -1: the
 * store failed. */
static int query(struct mt_exec *x, const struct query *q, struct mt_document **docs, size_t *doc_count,
                 struct item **items, size_t *count, struct mt_error *e) {
    size_t mine = written_in(x, q->collection), n = 0;
    char *text = q->value ? document_key_text(q->value) : NULL;
    /* as many more as this handler's own writes may take away */
    int rc = x->g->o.store->query_documents(x->g->o.store, q->collection, q->field, text, q->after, q->newest,
                                            q->limit + mine, docs, doc_count, NULL, e);
    free(text);
    if (rc != 0) return -1;
    *items = mt_calloc(*doc_count + mine + 1, sizeof **items);
    for (size_t i = 0; i < *doc_count; i++) {
        const struct handler_doc *doc = find_doc(x, q->collection, (*docs)[i].id);
        if (!doc || !doc->written) (*items)[n++] = (struct item){.id = (*docs)[i].id, .stored = &(*docs)[i]};
    }
    for (size_t i = 0; i < x->doc_count; i++)
        if (asked_for(q, &x->docs[i]))
            (*items)[n++] = (struct item){.id = x->docs[i].id, .mine = &x->docs[i]};
    qsort(*items, n, sizeof **items, compare_ids);
    for (size_t i = 0; q->newest && i < n / 2; i++) {
        struct item swap = (*items)[i];
        (*items)[i] = (*items)[n - 1 - i];
        (*items)[n - 1 - i] = swap;
    }
    /* Beyond the last that was read from the store there may be others, before our own. */
    if (*doc_count == q->limit + mine && *doc_count) {
        const char *last = (*docs)[*doc_count - 1].id;
        while (n && (q->newest ? strcmp((*items)[n - 1].id, last) < 0 : strcmp((*items)[n - 1].id, last) > 0))
            n--;
    }
    *count = n < q->limit ? n : q->limit;
    return 0;
}

static void free_documents(struct mt_document *docs, size_t count) {
    for (size_t i = 0; i < count; i++) mt_document_clear(&docs[i]);
    free(docs);
}

static void read_list(struct mt_exec *x, const char *collection, json_t *params, struct mt_answer *a) {
    struct mt_document *docs = NULL;
    struct item *items = NULL;
    size_t doc_count = 0, count = 0;
    struct mt_error e;
    int64_t limit = mt_json_int(params, "limit", 100);
    struct query q = {.collection = collection,
                      .field = mt_json_str(params, "field", NULL),
                      .value = json_object_get(params, "value"),
                      .after = mt_json_str(params, "after", NULL),
                      .newest = mt_json_bool(params, "newest", false),
                      .limit = (size_t)(limit < 1          ? 1
                                        : limit > LIST_MAX ? LIST_MAX
                                                           : limit)};
    if (query(x, &q, &docs, &doc_count, &items, &count, &e) != 0) {
        exec_give_error(x, &e, a);
        return;
    }
    json_t *out = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(out, items[i].mine ? doc_json(items[i].mine) : document_json(items[i].stored));
    handler_give(x, out, a);
    free(items);
    free_documents(docs, doc_count);
}

/* A value that the handler was told nobody has. Should somebody have it a moment later, then the handler was
 * overtaken, which the commit finds and runs it again; it is not told of a conflict with what was not there.
 */
static void absent_key(struct mt_buf *key, const char *collection, const char *field, const json_t *value) {
    char *text = document_key_text(value);
    mt_buf_init(key, 2 * MT_VALUE_MAX);
    mt_buf_addf(key, "%s\x1f%s\x1f", collection, field);
    mt_buf_adds(key, text ? text : "");
    free(text);
}

static void note_absent(struct mt_exec *x, const char *collection, const char *field, const json_t *value) {
    struct mt_buf key;
    absent_key(&key, collection, field, value);
    if (!x->absent) x->absent = json_object();
    if (mt_buf_ok(&key)) json_object_set_new(x->absent, key.data, json_true());
    mt_buf_clear(&key);
}

static bool was_absent(struct mt_exec *x, const char *collection, const char *field, const json_t *value) {
    struct mt_buf key;
    if (!x->absent) return false;
    absent_key(&key, collection, field, value);
    bool was = mt_buf_ok(&key) && json_object_get(x->absent, key.data);
    mt_buf_clear(&key);
    return was;
}

/* The first document with this value; what is found counts as read. */
static void read_by(struct mt_exec *x, const char *collection, json_t *params, struct mt_answer *a) {
    struct mt_document *docs = NULL;
    struct item *items = NULL;
    size_t doc_count = 0, count = 0;
    struct mt_error e;
    const json_t *value = json_object_get(params, "value");
    struct query q = {.collection = collection,
                      .field = mt_json_str(params, "field", ""),
                      .value = value ? value : json_null(),
                      .limit = 1};
    if (query(x, &q, &docs, &doc_count, &items, &count, &e) != 0) {
        exec_give_error(x, &e, a);
        return;
    }
    const struct handler_doc *doc = count ? items[0].mine : NULL;
    if (count && !doc) {
        doc = find_doc(x, collection, items[0].id);
        if (!doc && room_for_doc(x, a)) doc = note_doc(x, collection, items[0].stored, items[0].id);
    }
    if (!count) note_absent(x, collection, q.field, q.value);
    if (doc || !count) handler_give(x, doc ? doc_json(doc) : json_null(), a);
    free(items);
    free_documents(docs, doc_count);
}

/* ---- writing ---- */

static void refuse(struct mt_exec *x, enum mt_kind kind, const char *code, struct mt_answer *a,
                   const char *collection, const char *text, const char *id) {
    struct mt_error e;
    mt_fail(&e, kind, "%s: %s '%s'", collection, text, id);
    mt_copy(e.code, sizeof e.code, code);
    e.outcome = MT_REJECTED;
    exec_give_error(x, &e, a);
}

/* Whether another document, here or in the store, has this value. */
static bool taken(struct mt_exec *x, const char *collection, const char *id, const char *field,
                  const json_t *value) {
    struct mt_document *docs = NULL;
    size_t count = 0;
    struct mt_error e;
    for (size_t i = 0; i < x->doc_count; i++)
        if (strcmp(x->docs[i].collection, collection) == 0 && strcmp(x->docs[i].id, id) != 0 &&
            has_value(&x->docs[i], field, value))
            return true;
    if (was_absent(x, collection, field, value)) return false; /* the commit judges */
    char *text = document_key_text(value);
    int rc = x->g->o.store->query_documents(x->g->o.store, collection, field, text, NULL, false, 1, &docs,
                                            &count, NULL, &e);
    free(text);
    if (rc != 0) return false; /* the commit judges */
    const struct handler_doc *mine = count ? find_doc(x, collection, docs[0].id) : NULL;
    bool other = count && strcmp(docs[0].id, id) != 0 && !(mine && mine->written);
    free_documents(docs, count);
    return other;
}

/* A unique value must not be taken by another document. The field that is; NULL: none. */
static const char *unique_taken(struct mt_exec *x, const char *collection, const char *id, const json_t *body,
                                const json_t *unique) {
    size_t i;
    const json_t *field;
    json_array_foreach(unique, i, field) {
        const json_t *value = json_object_get(body, json_string_value(field));
        if (value && !json_is_null(value) && taken(x, collection, id, json_string_value(field), value))
            return json_string_value(field);
    }
    return NULL;
}

/* Whether the action may be done to the document as it is; else `a` is set. */
static bool may_write(struct mt_exec *x, const struct handler_doc *doc, const char *action, json_t *params,
                      struct mt_answer *a) {
    json_t *version = json_object_get(params, "version");
    if (strcmp(action, "insert") == 0 && doc->body)
        refuse(x, MT_CONFLICT, "version", a, doc->collection, "there is already a document", doc->id);
    else if (strcmp(action, "update") == 0 && !doc->body)
        refuse(x, MT_NOT_FOUND, "missing", a, doc->collection, "there is no document", doc->id);
    else if (version && !json_is_null(version) && json_integer_value(version) != version_of(doc))
        refuse(x, MT_CONFLICT, "version", a, doc->collection, "another version by now of document", doc->id);
    else
        return true;
    return false;
}

static json_t *field_list(const char *text) {
    struct mt_error e;
    json_t *list = text ? mt_json_parse(text, strlen(text), &e) : NULL;
    return list ? list : json_array();
}

static void write_doc(struct mt_exec *x, const struct mt_collection *c, const char *action, json_t *params,
                      struct mt_answer *a) {
    const char *collection = c->name;
    const char *id = mt_json_str(params, "id", ""), *field;
    struct handler_doc *doc = see_doc(x, collection, id, a);
    if (!doc || !may_write(x, doc, action, params, a)) return;
    if (strcmp(action, "delete") == 0 && !doc->body) {
        exec_give_json(x, "null", 4, a);
        return;
    }
    json_t *body = strcmp(action, "delete") == 0   ? NULL
                   : strcmp(action, "update") == 0 ? document_merged(doc->body, params)
                                                   : json_incref(json_object_get(params, "doc"));
    json_t *uniques = field_list(c->unique);
    if (body && (field = unique_taken(x, collection, id, body, uniques))) {
        refuse(x, MT_CONFLICT, "unique", a, collection, "another document has the same", field);
        json_decref(body);
        json_decref(uniques);
        return;
    }
    json_decref(doc->body);
    json_decref(doc->unique);
    json_decref(doc->index);
    doc->body = body;
    doc->unique = uniques;
    doc->index = field_list(c->index);
    doc->keep = c->keep_ms;
    doc->written = true;
    handler_give(x,
                 body ? json_pack("{s:s, s:I}", "id", id, "version", (json_int_t)version_of(doc))
                      : json_pack("{s:s}", "id", id),
                 a);
}

void handler_collection(struct mt_exec *x, const struct mt_collection *c, const char *action, json_t *params,
                        struct mt_answer *a) {
    const char *collection = c->name;
    if (strcmp(action, "get") == 0) {
        struct handler_doc *doc = see_doc(x, collection, mt_json_str(params, "id", ""), a);
        if (doc) handler_give(x, doc_json(doc), a);
    } else if (strcmp(action, "by") == 0) {
        read_by(x, collection, params, a);
    } else if (strcmp(action, "list") == 0) {
        read_list(x, collection, params, a);
    } else {
        write_doc(x, c, action, params, a);
    }
}
