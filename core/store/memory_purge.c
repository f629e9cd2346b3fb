/* The oracle's part of forgetting: tombstones, and what has been kept long enough. What goes is marked as
 * gone; the order in which a bounded piece is chosen is the contract's. Under the store's lock. */
#include "base/text.h"
#include "store/memory_private.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EACH MT_MEM_EACH

static bool is_live(struct mt_memory *m, const char *run) {
    const struct mt_mem_run *r = mt_memory_find_run(m, run);
    return r && !mt_run_ended(r->run.state);
}

/* ---- FORGET ---- */

static void throw_away(struct mt_memory *m, int64_t strand) {
    EACH(m, MEM_ENTRIES, struct mt_mem_entry, x) {
        if (x->gone || x->strand != strand) continue;
        mt_memory_touch(m, MEM_ENTRIES, x);
        x->hidden = true;
    }
    struct mt_mem_strand *t = mt_memory_add(m, MEM_TRASH);
    t->strand = strand;
}

static void asked_by(struct mt_memory *m, const char *topic, const char *key, int64_t *all, int64_t *live) {
    *all = *live = 0;
    EACH(m, MEM_ASKED, struct mt_mem_asked, x) {
        if (x->gone || strcmp(x->topic, topic) != 0 || strcmp(x->key, key) != 0) continue;
        ++*all;
        *live += is_live(m, x->run);
    }
}

static void blank(struct mt_memory *m, const char *topic, const char *key) {
    int64_t all, live;
    asked_by(m, topic, key, &all, &live);
    if (live) return;
    EACH(m, MEM_EVENTS, struct mt_event, x) {
        if (!x->n || x->late == MT_LATE_PENDING || strcmp(x->topic, topic) != 0 || strcmp(x->key, key) != 0)
            continue;
        mt_memory_touch(m, MEM_EVENTS, x);
        x->payload = mt_memory_keep(m, "null");
        x->raw_len = 0;
    }
}

static void blank_events(struct mt_memory *m, const struct mt_op *op) {
    EACH(m, MEM_ASKED, struct mt_mem_asked, a) {
        if (!a->gone && strcmp(a->run, op->forget.run) == 0) blank(m, a->topic, a->key);
    }
    if (op->forget.about) blank(m, op->forget.about, op->forget.run);
}

enum mt_applied mt_memory_forget(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    struct mt_mem_run *r = mt_memory_find_run(m, op->forget.run);
    if (!r) return mt_rules_refuse(b, op, MT_RES_MISSING, "there is no such run");
    if (!mt_run_ended(r->run.state)) return mt_rules_refuse(b, op, MT_RES_FORBIDDEN, "it has not ended");
    if (!r->run.dropped) throw_away(m, r->n);
    EACH(m, MEM_SEGMENTS, struct mt_mem_segment, x) {
        if (x->gone || strcmp(x->run, r->run.id) != 0) continue;
        throw_away(m, x->strand);
        mt_memory_touch(m, MEM_SEGMENTS, x);
        x->gone = true;
    }
    mt_memory_touch(m, MEM_RUNS, r);
    r->run.generation[0] = 0;
    r->run.input = mt_memory_keep(m, "{}");
    r->run.progress = mt_memory_keep(m, op->forget.progress);
    r->run.output = mt_memory_keep(m, op->forget.output);
    r->run.error = mt_memory_keep(m, op->forget.error);
    r->run.waiting_for = r->run.cursors = r->run.cancel_reason = r->run.moves = NULL;
    r->run.dropped = r->run.segment + 1;
    if (!r->run.gone_at) r->run.gone_at = op->forget.at;
    if (op->forget.erase) blank_events(m, op);
    return MT_APPLIED;
}

/* ---- journals ---- */

/* As many entries of a strand as there are, up to `limit`, those first that came first. */
static int64_t drop_entries(struct mt_memory *m, int64_t strand, int64_t limit) {
    int64_t count = 0;
    EACH(m, MEM_ENTRIES, struct mt_mem_entry, x) {
        if (x->gone || x->strand != strand || count == limit) continue;
        mt_memory_touch(m, MEM_ENTRIES, x);
        x->gone = true;
        count++;
    }
    return count;
}

static void purge_entries(struct mt_memory *m, struct mt_op *op) {
    int64_t left = (int64_t)op->purge.limit;
    while (left > 0) {
        struct mt_mem_strand *first = NULL;
        EACH(m, MEM_TRASH, struct mt_mem_strand, t)
        if (!t->gone && (!first || t->strand < first->strand)) first = t;
        if (!first) return;
        int64_t changed = drop_entries(m, first->strand, left);
        op->purge.count += changed;
        if (changed < left) {
            mt_memory_touch(m, MEM_TRASH, first);
            first->gone = true;
        }
        left -= changed > 0 ? changed : 1;
    }
    op->purge.more = true;
}

static void drop_segments(struct mt_memory *m, struct mt_op *op, struct mt_mem_run *r) {
    int top = 0;
    EACH(m, MEM_SEGMENTS, struct mt_mem_segment, x)
    if (!x->gone && strcmp(x->run, r->run.id) == 0 && x->at <= op->purge.before && x->segment > top)
        top = x->segment;
    EACH(m, MEM_SEGMENTS, struct mt_mem_segment, x) {
        if (x->gone || strcmp(x->run, r->run.id) != 0 || x->segment > top) continue;
        int64_t prior = x->prior;
        mt_memory_touch(m, MEM_SEGMENTS, x);
        x->gone = x->segment < top;
        x->prior = 0;
        if (prior) throw_away(m, prior);
    }
    op->purge.count += top - r->run.dropped;
    mt_memory_touch(m, MEM_RUNS, r);
    r->run.dropped = top;
    EACH(m, MEM_ASKED, struct mt_mem_asked, a) {
        if (a->gone || mt_run_ended(r->run.state) || a->segment >= top || strcmp(a->run, r->run.id) != 0)
            continue;
        mt_memory_touch(m, MEM_ASKED, a);
        a->gone = true;
    }
}

static int by_begin(const void *a, const void *b) {
    const struct mt_mem_segment *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return x->strand < y->strand ? -1 : x->strand > y->strand;
}

static void purge_segments(struct mt_memory *m, struct mt_op *op) {
    struct mt_mem_segment *list = NULL;
    size_t count = 0;
    EACH(m, MEM_SEGMENTS, struct mt_mem_segment, x) {
        const struct mt_mem_run *r = mt_memory_find_run(m, x->run);
        if (x->gone || !x->prior || x->at > op->purge.before || !r || r->run.state == MT_RUN_NEEDS_ATTENTION)
            continue;
        list = mt_realloc(list, (count + 1) * sizeof *list);
        list[count++] = *x;
    }
    if (count) qsort(list, count, sizeof *list, by_begin);
    op->purge.more = count >= op->purge.limit;
    for (size_t i = 0; i < count && i < op->purge.limit; i++) {
        struct mt_mem_run *r = mt_memory_find_run(m, list[i].run);
        if (list[i].segment > r->run.dropped) drop_segments(m, op, r);
    }
    free(list);
}

/* ---- events and deliveries ---- */

/* Whether it was for a parent that has ended. */
static bool nobodys(struct mt_memory *m, const struct mt_op *op, const struct mt_event *x) {
    if (!op->purge.own || strcmp(x->topic, op->purge.own) != 0) return false;
    const struct mt_mem_run *child = mt_memory_find_run(m, x->key);
    return !child || !is_live(m, child->run.parent);
}

static bool event_may_go(struct mt_memory *m, const struct mt_op *op, const struct mt_event *x) {
    int64_t all, live;
    if (x->late == MT_LATE_PENDING) return false;
    if (nobodys(m, op, x)) return true;
    if (x->at <= op->purge.unread) return true;
    asked_by(m, x->topic, x->key, &all, &live);
    return x->readers && (!live || x->readers >= all);
}

static void purge_events(struct mt_memory *m, struct mt_op *op) {
    int64_t largest = 0;
    size_t looked = 0;
    op->purge.seen = op->purge.after;
    EACH(m, MEM_EVENTS, struct mt_event, x) if (x->n > largest) largest = x->n;
    EACH(m, MEM_EVENTS, struct mt_event, x) {
        if (!x->n || x->n <= op->purge.after) continue;
        if (looked == op->purge.limit || x->n == largest || x->at > op->purge.before) break;
        looked++;
        op->purge.seen = x->n;
        if (!event_may_go(m, op, x)) continue;
        if (x->source) {
            struct mt_mem_source *s = mt_memory_add(m, MEM_SOURCES);
            *s = (struct mt_mem_source){.n = x->n, .at = x->at, .source = x->source};
        }
        op->purge.count++;
        op->purge.count_unread += x->readers == 0 && !nobodys(m, op, x);
        mt_memory_touch(m, MEM_EVENTS, x);
        x->n = 0;
        x->source = NULL;
        x->topic[0] = x->key[0] = 0;
        x->late = MT_LATE_NO;
    }
    op->purge.more = looked == op->purge.limit;
}

static void purge_deliveries(struct mt_memory *m, struct mt_op *op) {
    int64_t largest = 0;
    size_t looked = 0;
    op->purge.seen = op->purge.after;
    EACH(m, MEM_DELIVERIES, struct mt_delivery, d) if (d->n > largest) largest = d->n;
    EACH(m, MEM_DELIVERIES, struct mt_delivery, d) {
        if (!d->n || d->n <= op->purge.after) continue;
        if (looked == op->purge.limit || d->n == largest || d->created_at > op->purge.before) break;
        looked++;
        op->purge.seen = d->n;
        if (strcmp(d->state, "pending") == 0) continue;
        op->purge.count++;
        mt_memory_touch(m, MEM_DELIVERIES, d);
        d->n = 0;
    }
    op->purge.more = looked == op->purge.limit;
}

static void purge_sources(struct mt_memory *m, struct mt_op *op) {
    for (size_t looked = 0; looked < op->purge.limit; looked++) {
        struct mt_mem_source *first = NULL;
        EACH(m, MEM_SOURCES, struct mt_mem_source, s)
        if (!s->gone && (!first || s->n < first->n)) first = s;
        if (!first || first->at > op->purge.before) return;
        mt_memory_touch(m, MEM_SOURCES, first);
        first->gone = true;
        op->purge.count++;
    }
    op->purge.more = true;
}

/* ---- documents ---- */

static struct mt_mem_document *oldest_document(struct mt_memory *m, const char *collection, int64_t until) {
    struct mt_mem_document *oldest = NULL;
    EACH(m, MEM_DOCUMENTS, struct mt_mem_document, d) {
        if (d->gone || !d->dated || d->at > until || strcmp(d->collection, collection) != 0) continue;
        if (!oldest || d->at < oldest->at) oldest = d;
    }
    return oldest;
}

static void purge_collection(struct mt_memory *m, struct mt_op *op, struct mt_mem_collection *c) {
    struct mt_mem_document *d;
    bool any = false;
    while (op->purge.count < (int64_t)op->purge.limit &&
           (d = oldest_document(m, c->name, op->purge.before - c->keep))) {
        mt_memory_touch(m, MEM_DOCUMENTS, d);
        d->gone = any = true;
        op->purge.count++;
        EACH(m, MEM_KEYS, struct mt_mem_key, k) {
            if (k->gone || strcmp(k->collection, c->name) != 0 || strcmp(k->id, d->document.id) != 0)
                continue;
            mt_memory_touch(m, MEM_KEYS, k);
            k->gone = true;
        }
    }
    if (!any) return;
    mt_memory_touch(m, MEM_COLLECTIONS, c);
    c->counter++;
}

static void purge_documents(struct mt_memory *m, struct mt_op *op) {
    const char *after = "";
    for (;;) { /* by name */
        struct mt_mem_collection *next = NULL;
        EACH(m, MEM_COLLECTIONS, struct mt_mem_collection, c)
        if (c->keep > 0 && strcmp(c->name, after) > 0 && (!next || strcmp(c->name, next->name) < 0)) next = c;
        if (!next) break;
        after = next->name;
        purge_collection(m, op, next);
    }
    op->purge.more = op->purge.count == (int64_t)op->purge.limit;
}

/* ---- generations, tombstones ---- */

static bool generation_used(struct mt_memory *m, const char *id) {
    EACH(m, MEM_RUNS, struct mt_mem_run, r)
    if (!r->gone && strcmp(r->run.generation, id) == 0) return true;
    return false;
}

static bool has_blob(struct mt_memory *m, const char *sha) {
    char quoted[160];
    snprintf(quoted, sizeof quoted, "\"%s\"", sha);
    EACH(m, MEM_GENERATIONS, struct mt_mem_generation, g)
    if (g->manifest && strstr(g->manifest, quoted)) return true;
    return false;
}

/* How many were used later than this one. */
static size_t used_after(struct mt_memory *m, const struct mt_mem_generation *than) {
    size_t n = 0;
    EACH(m, MEM_GENERATIONS, struct mt_mem_generation, g) {
        if (!g->manifest || g == than) continue;
        n += g->used_at > than->used_at || (g->used_at == than->used_at && strcmp(g->id, than->id) > 0);
    }
    return n;
}

static void purge_generations(struct mt_memory *m, struct mt_op *op) {
    size_t total = 0, place;
    EACH(m, MEM_GENERATIONS, struct mt_mem_generation, g) total += g->manifest != NULL;
    const struct mt_mem_generation **order = mt_calloc(total + 1, sizeof *order);
    EACH(m, MEM_GENERATIONS, struct mt_mem_generation, g) {
        if (g->manifest) order[used_after(m, g)] = g;
    }
    for (place = op->purge.keep; place < total && op->purge.count < (int64_t)op->purge.limit; place++) {
        struct mt_mem_generation *g = (struct mt_mem_generation *)order[place];
        if (g->used_at > op->purge.before || (op->purge.except && strcmp(g->id, op->purge.except) == 0) ||
            generation_used(m, g->id))
            continue;
        mt_memory_touch(m, MEM_GENERATIONS, g);
        g->manifest = NULL;
        op->purge.count++;
    }
    free(order);
    op->purge.more = op->purge.count == (int64_t)op->purge.limit;
    if (!op->purge.count) return;
    EACH(m, MEM_BLOBS, struct mt_mem_blob, x) {
        if (x->gone || has_blob(m, x->sha)) continue;
        mt_memory_touch(m, MEM_BLOBS, x);
        x->gone = true;
    }
}

static struct mt_mem_run *oldest_tombstone(struct mt_memory *m, int64_t before) {
    struct mt_mem_run *oldest = NULL;
    int64_t largest = 0;
    EACH(m, MEM_RUNS, struct mt_mem_run, r) if (!r->gone && r->n > largest) largest = r->n;
    EACH(m, MEM_RUNS, struct mt_mem_run, r) {
        if (r->gone || !r->run.gone_at || r->run.updated_at > before || r->n == largest) continue;
        if (!oldest || r->run.updated_at < oldest->run.updated_at) oldest = r;
    }
    return oldest;
}

static void purge_tombstones(struct mt_memory *m, struct mt_op *op) {
    struct mt_mem_run *r;
    while (op->purge.count < (int64_t)op->purge.limit && (r = oldest_tombstone(m, op->purge.before))) {
        mt_memory_touch(m, MEM_RUNS, r);
        r->gone = true;
        op->purge.count++;
        EACH(m, MEM_ASKED, struct mt_mem_asked, a) {
            if (a->gone || strcmp(a->run, r->run.id) != 0) continue;
            mt_memory_touch(m, MEM_ASKED, a);
            a->gone = true;
        }
        EACH(m, MEM_EVENTS, struct mt_event, x) { /* a number that nobody has any more */
            if (!x->n || strcmp(x->late_run, r->run.id) != 0) continue;
            mt_memory_touch(m, MEM_EVENTS, x);
            x->late_run[0] = 0;
        }
    }
    op->purge.more = op->purge.count == (int64_t)op->purge.limit;
}

static void purge_pages(struct mt_memory *m, struct mt_op *op) {
    (void)m;
    (void)op;
}

enum mt_applied mt_memory_purge(struct mt_memory *m, struct mt_op *op) {
    static void (*const purges[MT_PURGE_COUNT])(struct mt_memory *, struct mt_op *) = {
        [MT_PURGE_ENTRIES] = purge_entries,       [MT_PURGE_SEGMENTS] = purge_segments,
        [MT_PURGE_EVENTS] = purge_events,         [MT_PURGE_DELIVERIES] = purge_deliveries,
        [MT_PURGE_DOCUMENTS] = purge_documents,   [MT_PURGE_GENERATIONS] = purge_generations,
        [MT_PURGE_TOMBSTONES] = purge_tombstones, [MT_PURGE_SOURCES] = purge_sources,
        [MT_PURGE_PAGES] = purge_pages,
    };
    purges[op->purge.what](m, op);
    return MT_APPLIED;
}

/* ---- reads ---- */

static void sooner(int64_t *at, int64_t other) {
    if (other < *at) *at = other;
}

static int kept(struct mt_store *self, struct mt_kept *out, struct mt_error *e) {
    struct mt_memory *m = (struct mt_memory *)self;
    (void)e;
    pthread_rwlock_rdlock(&m->lock);
    *out = (struct mt_kept){MT_NEVER, MT_NEVER, MT_NEVER, MT_NEVER, MT_NEVER, MT_NEVER, false, 0, 0, 0, 0};
    EACH(m, MEM_RUNS, struct mt_mem_run, r) {
        if (r->gone || !mt_run_ended(r->run.state)) continue;
        sooner(r->run.gone_at ? &out->tombstone : &out->ended, r->run.updated_at);
        out->tombstones += r->run.gone_at != 0;
    }
    EACH(m, MEM_SEGMENTS, struct mt_mem_segment, x) {
        const struct mt_mem_run *r = mt_memory_find_run(m, x->run);
        if (!x->gone && x->prior && r && r->run.state != MT_RUN_NEEDS_ATTENTION) sooner(&out->segment, x->at);
    }
    EACH(m, MEM_EVENTS, struct mt_event, x) {
        if (!x->n) continue;
        if (out->event == MT_NEVER) out->event = x->at;
        out->unread_events += x->readers == 0;
    }
    EACH(m, MEM_DELIVERIES, struct mt_delivery, d)
    if (d->n && out->delivery == MT_NEVER) out->delivery = d->created_at;
    EACH(m, MEM_DOCUMENTS, struct mt_mem_document, d) {
        if (d->gone || !d->dated) continue;
        EACH(m, MEM_COLLECTIONS, struct mt_mem_collection, c)
        if (c->keep > 0 && strcmp(c->name, d->collection) == 0) sooner(&out->document, d->at + c->keep);
    }
    EACH(m, MEM_TRASH, struct mt_mem_strand, t) out->entries |= !t->gone;
    pthread_rwlock_unlock(&m->lock);
    return 0;
}

static int by_end(const void *a, const void *b) {
    const struct mt_mem_run *x = *(void *const *)a, *y = *(void *const *)b;
    if (x->run.updated_at != y->run.updated_at) return x->run.updated_at < y->run.updated_at ? -1 : 1;
    return x->n < y->n ? -1 : x->n > y->n;
}

static size_t pick_ended(struct mt_memory *m, const char *flow, int64_t from, int64_t before,
                         const struct mt_mem_run ***out) {
    size_t n = 0;
    *out = mt_calloc(m->tables[MEM_RUNS].count + 1, sizeof **out);
    EACH(m, MEM_RUNS, struct mt_mem_run, r) {
        if (r->gone || r->run.gone_at || !mt_run_ended(r->run.state) || r->run.updated_at < from ||
            r->run.updated_at > before || (flow && strcmp(r->run.flow, flow) != 0))
            continue;
        (*out)[n++] = r;
    }
    if (n) qsort(*out, n, sizeof **out, by_end);
    return n;
}

static int list_ended(struct mt_store *self, const char *flow, int64_t from, int64_t before, size_t limit,
                      struct mt_run **out, size_t *count, struct mt_error *e) {
    struct mt_memory *m = (struct mt_memory *)self;
    const struct mt_mem_run **rows;
    (void)e;
    pthread_rwlock_rdlock(&m->lock);
    size_t n = pick_ended(m, flow, from, before, &rows);
    *count = n < limit ? n : limit;
    *out = *count ? mt_calloc(*count, sizeof **out) : NULL;
    for (size_t i = 0; i < *count; i++) mt_memory_copy_run(rows[i], &(*out)[i]);
    free(rows);
    pthread_rwlock_unlock(&m->lock);
    return 0;
}

static int weigh_ended(struct mt_store *self, const char *flow, int64_t before, int64_t *count,
                       int64_t *bytes, struct mt_error *e) {
    struct mt_memory *m = (struct mt_memory *)self;
    const struct mt_mem_run **rows;
    (void)e;
    pthread_rwlock_rdlock(&m->lock);
    *count = (int64_t)pick_ended(m, flow, INT64_MIN, before, &rows);
    *bytes = 0;
    for (int64_t i = 0; i < *count; i++) *bytes += (int64_t)strlen(rows[i]->run.input);
    free(rows);
    pthread_rwlock_unlock(&m->lock);
    return 0;
}

static int scrub(struct mt_store *self, struct mt_error *e) {
    (void)self;
    (void)e;
    return 0;
}

void mt_memory_set_kept(struct mt_store *store) {
    store->kept = kept;
    store->list_ended = list_ended;
    store->weigh_ended = weigh_ended;
    store->scrub = scrub;
}
