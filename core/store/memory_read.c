/* Reads of the in-memory store: walk the rows, copy what fits, sort. Any thread, under the store's lock. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/text.h"
#include "store/memory_private.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define EACH MT_MEM_EACH
#define FILTERED(wanted, actual) ((wanted) && strcmp((wanted), (actual)) != 0)

static struct mt_memory *lock(struct mt_store *self) {
    struct mt_memory *m = (struct mt_memory *)self;
    pthread_rwlock_rdlock(&m->lock);
    return m;
}

static void unlock(struct mt_memory *m) {
    pthread_rwlock_unlock(&m->lock);
}

/* ---- copies ---- */

void mt_memory_copy_run(const struct mt_mem_run *row, struct mt_run *out) {
    *out = row->run;
    out->key = mt_strdup(row->run.key);
    out->input = mt_strdup(row->run.input);
    out->progress = mt_strdup(row->run.progress);
    out->output = mt_strdup(row->run.output);
    out->error = mt_strdup(row->run.error);
    out->waiting_for = mt_strdup(row->run.waiting_for);
    out->cursors = mt_strdup(row->run.cursors);
    out->cancel_reason = mt_strdup(row->run.cancel_reason);
    out->moves = mt_strdup(row->run.moves);
}

void mt_memory_copy_event(const struct mt_event *row, struct mt_event *out) {
    *out = *row;
    out->payload = mt_strdup(row->payload);
    out->source = mt_strdup(row->source);
}

static void copy_entry(const struct mt_entry *row, struct mt_entry *out) {
    *out = *row;
    out->params = mt_strdup(row->params);
    out->request = row->request ? mt_memdup(row->request, row->request_len) : NULL;
    out->result = mt_strdup(row->result);
    out->meta = mt_strdup(row->meta);
}

static void copy_document(const struct mt_document *row, struct mt_document *out) {
    *out = *row;
    out->body = mt_strdup(row->body);
}

static void copy_delivery(const struct mt_delivery *row, struct mt_delivery *out) {
    *out = *row;
    out->url = mt_strdup(row->url);
    out->headers = mt_strdup(row->headers);
    out->body = row->body ? mt_memdup(row->body, row->body_len) : NULL;
    out->schedule = mt_strdup(row->schedule);
    out->accept = mt_strdup(row->accept);
    out->log = mt_strdup(row->log);
}

/* ---- lists: collect pointers to rows, sort them, copy the first few ---- */

struct picked {
    const void **rows;
    size_t count;
};

static void pick(struct picked *p, const void *row) {
    p->rows = mt_realloc(p->rows, (p->count + 1) * sizeof *p->rows);
    p->rows[p->count++] = row;
}

static int newest_run(const void *a, const void *b) {
    const struct mt_mem_run *x = *(void *const *)a, *y = *(void *const *)b;
    return strcmp(y->run.id, x->run.id);
}

static int by_place(const void *a, const void *b) {
    const struct mt_mem_entry *x = *(void *const *)a, *y = *(void *const *)b;
    if (x->entry.segment != y->entry.segment) return x->entry.segment < y->entry.segment ? -1 : 1;
    return x->entry.seq < y->entry.seq ? -1 : x->entry.seq > y->entry.seq;
}

static int newest_event(const void *a, const void *b) {
    const struct mt_event *x = *(void *const *)a, *y = *(void *const *)b;
    return x->n > y->n ? -1 : x->n < y->n;
}

static int document_up(const void *a, const void *b) {
    const struct mt_mem_document *x = *(void *const *)a, *y = *(void *const *)b;
    return strcmp(x->document.id, y->document.id);
}

static int document_down(const void *a, const void *b) {
    return document_up(b, a);
}

static int by_next_at(const void *a, const void *b) {
    const struct mt_delivery *x = *(void *const *)a, *y = *(void *const *)b;
    if (x->next_at != y->next_at) return x->next_at < y->next_at ? -1 : 1;
    return x->n < y->n ? -1 : x->n > y->n;
}

static int by_due_at(const void *a, const void *b) {
    const struct mt_mem_task *x = *(void *const *)a, *y = *(void *const *)b;
    if (x->task.due_at != y->task.due_at) return x->task.due_at < y->task.due_at ? -1 : 1;
    return x->task.n < y->task.n ? -1 : x->task.n > y->task.n;
}

static int newest_generation(const void *a, const void *b) {
    const struct mt_mem_generation *x = *(void *const *)a, *y = *(void *const *)b;
    if (x->at != y->at) return x->at > y->at ? -1 : 1;
    return strcmp(y->id, x->id);
}

/* Sorts (order NULL: as they were added), cuts to `limit`, and allocates the answer. */
static void *ordered(struct picked *p, int (*order)(const void *, const void *), size_t limit, size_t size) {
    if (order && p->count) qsort(p->rows, p->count, sizeof *p->rows, order);
    if (p->count > limit) p->count = limit;
    return p->count ? mt_calloc(p->count, size) : NULL;
}

/* ---- runs ---- */

static int get_run(struct mt_store *self, const char *id, struct mt_run *out, struct mt_error *e) {
    struct mt_memory *m = lock(self);
    int rc = -1;
    EACH(m, MEM_RUNS, struct mt_mem_run, r) {
        if (r->gone || strcmp(r->run.id, id) != 0) continue;
        mt_memory_copy_run(r, out);
        rc = 0;
    }
    unlock(m);
    return rc ? mt_fail(e, MT_NOT_FOUND, "there is no run %.40s", id) : 0;
}

static int find_run(struct mt_store *self, const char *flow, const char *key, struct mt_run *out,
                    struct mt_error *e) {
    struct mt_memory *m = lock(self);
    int rc = -1;
    EACH(m, MEM_RUNS, struct mt_mem_run, r) {
        if (r->gone || !r->run.key || strcmp(r->run.flow, flow) != 0 || strcmp(r->run.key, key) != 0)
            continue;
        mt_memory_copy_run(r, out);
        rc = 0;
    }
    unlock(m);
    return rc ? mt_fail(e, MT_NOT_FOUND, "flow %.64s has no run with the key %.256s", flow, key) : 0;
}

static int list_runs(struct mt_store *self, const struct mt_run_filter *f, struct mt_run **out, size_t *count,
                     struct mt_error *e) {
    struct mt_memory *m = lock(self);
    struct picked p = {0};
    (void)e;
    EACH(m, MEM_RUNS, struct mt_mem_run, r) {
        if (r->gone || FILTERED(f->flow, r->run.flow) || (f->key && !r->run.key) ||
            FILTERED(f->key, r->run.key))
            continue;
        if (f->state >= 0 && (int)r->run.state != f->state) continue;
        if (f->live && mt_run_ended(r->run.state)) continue;
        if (f->except && strcmp(r->run.generation, f->except) == 0) continue;
        if (f->before[0] && strcmp(r->run.id, f->before) >= 0) continue;
        pick(&p, r);
    }
    *out = ordered(&p, newest_run, f->limit, sizeof **out);
    for (size_t i = 0; i < p.count; i++) mt_memory_copy_run(p.rows[i], &(*out)[i]);
    *count = p.count;
    free(p.rows);
    unlock(m);
    return 0;
}

static int read_journal(struct mt_store *self, const char *run, int segment, struct mt_entry **out,
                        size_t *count, struct mt_error *e) {
    struct mt_memory *m = lock(self);
    struct picked p = {0};
    (void)e;
    EACH(m, MEM_ENTRIES, struct mt_mem_entry, x)
    if (!x->hidden && strcmp(x->run, run) == 0 && (segment < 0 || x->entry.segment == segment)) pick(&p, x);
    *out = ordered(&p, by_place, SIZE_MAX, sizeof **out);
    for (size_t i = 0; i < p.count; i++)
        copy_entry(&((const struct mt_mem_entry *)p.rows[i])->entry, &(*out)[i]);
    *count = p.count;
    free(p.rows);
    unlock(m);
    return 0;
}

static int count_runs(struct mt_store *self, int64_t by_state[MT_RUN_STATE_COUNT], struct mt_error *e) {
    struct mt_memory *m = lock(self);
    (void)e;
    for (int i = 0; i < MT_RUN_STATE_COUNT; i++) by_state[i] = 0;
    EACH(m, MEM_RUNS, struct mt_mem_run, r) by_state[r->run.state] += !r->gone;
    unlock(m);
    return 0;
}

static int next_due(struct mt_store *self, int64_t *runs, int64_t *rest, struct mt_error *e) {
    struct mt_memory *m = lock(self);
    (void)e;
    if (runs) {
        *runs = MT_NEVER;
        EACH(m, MEM_RUNS, struct mt_mem_run, r)
        if (!r->gone && !r->run.owner && r->run.due_at < *runs) *runs = r->run.due_at;
    }
    if (rest) {
        *rest = MT_NEVER;
        EACH(m, MEM_DELIVERIES, struct mt_delivery, d)
        if (d->n && strcmp(d->state, "pending") == 0 && d->next_at < *rest) *rest = d->next_at;
        EACH(m, MEM_TASKS, struct mt_mem_task, t)
        if (!t->gone && t->task.due_at < *rest) *rest = t->task.due_at;
        EACH(m, MEM_EVENTS, struct mt_event, x)
        if (x->late == MT_LATE_PENDING && x->at < *rest) *rest = x->at;
    }
    unlock(m);
    return 0;
}

/* ---- events ---- */

static bool passes(const struct mt_event *x, enum mt_event_filter which) {
    switch (which) {
    case MT_EVENTS_UNREAD:
        return x->readers == 0;
    case MT_EVENTS_LATE:
        return x->late != MT_LATE_NO;
    case MT_EVENTS_PENDING:
        return x->late == MT_LATE_PENDING;
    default:
        return true;
    }
}

static int list_events(struct mt_store *self, const char *topic, const char *key, int64_t after, bool newest,
                       enum mt_event_filter which, size_t limit, struct mt_event **out, size_t *count,
                       struct mt_error *e) {
    struct mt_memory *m = lock(self);
    struct picked p = {0};
    (void)e;
    EACH(m, MEM_EVENTS, struct mt_event, x) {
        if (!x->n || FILTERED(topic, x->topic) || FILTERED(key, x->key) || !passes(x, which)) continue;
        if (newest ? after && x->n >= after : x->n <= after) continue;
        pick(&p, x);
    }
    *out = ordered(&p, newest ? newest_event : NULL, limit, sizeof **out);
    for (size_t i = 0; i < p.count; i++) mt_memory_copy_event(p.rows[i], &(*out)[i]);
    *count = p.count;
    free(p.rows);
    unlock(m);
    return 0;
}

static int last_event(struct mt_store *self, const char *topic, const char *key, int64_t *n,
                      struct mt_error *e) {
    struct mt_memory *m = lock(self);
    (void)e;
    *n = 0;
    EACH(m, MEM_EVENTS, struct mt_event, x)
    if (x->n && !FILTERED(topic, x->topic) && !FILTERED(key, x->key)) *n = x->n;
    unlock(m);
    return 0;
}

/* ---- documents ---- */

static int get_document(struct mt_store *self, const char *collection, const char *id,
                        struct mt_document *out, struct mt_error *e) {
    struct mt_memory *m = lock(self);
    int rc = -1;
    EACH(m, MEM_DOCUMENTS, struct mt_mem_document, d) {
        if (d->gone || strcmp(d->collection, collection) != 0 || strcmp(d->document.id, id) != 0) continue;
        copy_document(&d->document, out);
        rc = 0;
    }
    unlock(m);
    return rc ? mt_fail(e, MT_NOT_FOUND, "%.64s has no document %.256s", collection, id) : 0;
}

static bool has_key(const struct mt_memory *m, const struct mt_mem_document *d, const char *field,
                    const char *value) {
    EACH(m, MEM_KEYS, struct mt_mem_key, k) {
        if (!k->gone && strcmp(k->collection, d->collection) == 0 && strcmp(k->id, d->document.id) == 0 &&
            strcmp(k->field, field) == 0 && strcmp(k->value, value) == 0)
            return true;
    }
    return false;
}

static int query_documents(struct mt_store *self, const char *collection, const char *field,
                           const char *value, const char *after_id, bool newest, size_t limit,
                           struct mt_document **out, size_t *count, int64_t *counter, struct mt_error *e) {
    struct mt_memory *m = lock(self);
    struct picked p = {0};
    (void)e;
    if (counter) {
        *counter = 0;
        EACH(m, MEM_COLLECTIONS, struct mt_mem_collection, c)
        if (!FILTERED(collection, c->name)) *counter = c->counter;
    }
    EACH(m, MEM_DOCUMENTS, struct mt_mem_document, d) {
        if (d->gone || strcmp(d->collection, collection) != 0 || (field && !has_key(m, d, field, value)))
            continue;
        int order = after_id ? strcmp(d->document.id, after_id) : 0;
        if (after_id && (newest ? order >= 0 : order <= 0)) continue;
        pick(&p, d);
    }
    *out = ordered(&p, newest ? document_down : document_up, limit, sizeof **out);
    for (size_t i = 0; i < p.count; i++)
        copy_document(&((const struct mt_mem_document *)p.rows[i])->document, &(*out)[i]);
    *count = p.count;
    free(p.rows);
    unlock(m);
    return 0;
}

/* ---- deliveries and tasks ---- */

static int get_delivery(struct mt_store *self, const char *id, struct mt_delivery *out, struct mt_error *e) {
    struct mt_memory *m = lock(self);
    int rc = -1;
    EACH(m, MEM_DELIVERIES, struct mt_delivery, d) {
        if (!d->n || strcmp(d->id, id) != 0) continue;
        copy_delivery(d, out);
        rc = 0;
    }
    unlock(m);
    return rc ? mt_fail(e, MT_NOT_FOUND, "there is no delivery %.40s", id) : 0;
}

static int list_deliveries(struct mt_store *self, const char *group, int64_t due_by, size_t limit,
                           struct mt_delivery **out, size_t *count, struct mt_error *e) {
    struct mt_memory *m = lock(self);
    struct picked p = {0};
    bool due = due_by != MT_NEVER;
    (void)e;
    EACH(m, MEM_DELIVERIES, struct mt_delivery, d) {
        if (!d->n || FILTERED(group, d->group)) continue;
        if (due && (strcmp(d->state, "pending") != 0 || d->next_at > due_by)) continue;
        pick(&p, d);
    }
    *out = ordered(&p, due ? by_next_at : NULL, limit, sizeof **out);
    for (size_t i = 0; i < p.count; i++) copy_delivery(p.rows[i], &(*out)[i]);
    *count = p.count;
    free(p.rows);
    unlock(m);
    return 0;
}

static int list_tasks(struct mt_store *self, int64_t due_by, size_t limit, struct mt_task **out,
                      size_t *count, struct mt_error *e) {
    struct mt_memory *m = lock(self);
    struct picked p = {0};
    (void)e;
    EACH(m, MEM_TASKS, struct mt_mem_task, t) if (!t->gone && t->task.due_at <= due_by) pick(&p, t);
    *out = ordered(&p, by_due_at, limit, sizeof **out);
    for (size_t i = 0; i < p.count; i++) {
        (*out)[i] = ((const struct mt_mem_task *)p.rows[i])->task;
        (*out)[i].payload = mt_strdup((*out)[i].payload);
    }
    *count = p.count;
    free(p.rows);
    unlock(m);
    return 0;
}

/* ---- generations and meta ---- */

static int found(char *text, struct mt_error *e, const char *what, const char *name) {
    return text ? 0 : mt_fail(e, MT_NOT_FOUND, "there is no %s %.256s", what, name);
}

static int get_generation(struct mt_store *self, const char *id, char **manifest, struct mt_error *e) {
    struct mt_memory *m = lock(self);
    char *text = NULL;
    EACH(m, MEM_GENERATIONS, struct mt_mem_generation, g)
    if (strcmp(g->id, id) == 0) text = mt_strdup(g->manifest);
    unlock(m);
    if (text) *manifest = text;
    return found(text, e, "generation", id);
}

static int get_blob(struct mt_store *self, const char *sha, char **text, size_t *len, struct mt_error *e) {
    struct mt_memory *m = lock(self);
    char *copy = NULL;
    EACH(m, MEM_BLOBS, struct mt_mem_blob, x) {
        if (x->gone || strcmp(x->sha, sha) != 0) continue;
        copy = mt_memdup(x->text, x->len);
        if (len) *len = x->len;
    }
    unlock(m);
    if (copy) *text = copy;
    return found(copy, e, "file", sha);
}

static int get_meta(struct mt_store *self, const char *key, char **value, struct mt_error *e) {
    struct mt_memory *m = lock(self);
    char *text = NULL;
    EACH(m, MEM_META, struct mt_mem_meta, x) if (strcmp(x->key, key) == 0) text = mt_strdup(x->value);
    unlock(m);
    if (text) *value = text;
    return found(text, e, "setting", key);
}

static int64_t live_runs(const struct mt_memory *m, const char *generation) {
    int64_t n = 0;
    EACH(m, MEM_RUNS, struct mt_mem_run, r)
    if (!r->gone && !mt_run_ended(r->run.state) && strcmp(r->run.generation, generation) == 0) n++;
    return n;
}

static int list_generations(struct mt_store *self, char **json, struct mt_error *e) {
    struct mt_memory *m = lock(self);
    struct picked p = {0};
    struct mt_buf b;
    EACH(m, MEM_GENERATIONS, struct mt_mem_generation, g) if (g->manifest) pick(&p, g);
    if (p.count) qsort(p.rows, p.count, sizeof *p.rows, newest_generation);
    mt_buf_init(&b, 64 * 1024 * 1024);
    mt_buf_addc(&b, '[');
    for (size_t i = 0; i < p.count; i++) {
        const struct mt_mem_generation *g = p.rows[i];
        char at[25];
        mt_time_format(g->at, at);
        mt_buf_adds(&b, i ? ",{\"id\":" : "{\"id\":");
        mt_buf_add_json_string(&b, g->id, strlen(g->id));
        mt_buf_addf(&b, ",\"created_at\":\"%s\",\"runs\":%" PRId64 "}", at, live_runs(m, g->id));
    }
    mt_buf_addc(&b, ']');
    free(p.rows);
    unlock(m);
    *json = mt_buf_take(&b, NULL);
    mt_buf_clear(&b);
    return *json ? 0 : mt_fail(e, MT_LIMIT, "the list of generations is too long");
}

void mt_memory_set_reads(struct mt_store *store) {
    store->get_run = get_run;
    store->find_run = find_run;
    store->list_runs = list_runs;
    store->read_journal = read_journal;
    store->count_runs = count_runs;
    store->next_due = next_due;
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
    mt_memory_set_audit(store);
}
