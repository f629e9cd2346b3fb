/* The shadowed store (shadow.h). A commit is done to the oracle first, which can take its last one back; a
 * number that is written with each commit says after a crash whether the last one is there. Invariant:
 * outside of a commit the oracle has what the store has. */
#include "base/text.h"
#include "store/say.h"
#include "store/shadow_private.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define META_COMMIT "shadow.commit" /* how many commits there have been */

enum { SAID_MAX = 64 * 1024 * 1024, TOLD = 600, ALL = 100000 };

/* ---- comparing ---- */

static void differ(struct mt_shadow *s, const char *what, const char *found, const char *wanted) {
    if (s->difference) return;
    struct mt_buf b;
    mt_buf_init(&b, 4 * TOLD);
    mt_buf_addf(&b,
                "the store is not what it should be after %" PRId64
                " commits: %s\n  found:  %.*s\n  wanted: %.*s",
                s->commits, what, (int)strnlen(found, TOLD), found, (int)strnlen(wanted, TOLD), wanted);
    s->difference = mt_buf_take(&b, NULL);
    mt_buf_clear(&b);
}

void mt_shadow_judge(struct mt_shadow *s, const char *what) {
    const char *found = s->found.data, *wanted = s->wanted.data;
    if (strcmp(found, wanted) != 0) {
        while (*found && *found == *wanted) found++, wanted++;
        while (found > s->found.data && found[-1] != '\n') found--, wanted--;
        differ(s, what, found, wanted);
    }
    mt_buf_reset(&s->found);
    mt_buf_reset(&s->wanted);
}

const char *mt_shadow_difference(const struct mt_shadow *s) {
    return s->difference;
}

void mt_shadow_stats(const struct mt_shadow *s, struct mt_shadow_stats *out) {
    *out = s->stats;
}

static void compare_runs(struct mt_store *store) {
    struct mt_run *runs = NULL;
    struct mt_entry *entries;
    size_t count = 0, n;
    struct mt_error e;
    struct mt_run_filter all = {.state = -1, .limit = ALL};
    if (store->list_runs(store, &all, &runs, &count, &e) != 0) return;
    for (size_t i = 0; i < count; i++) {
        if (store->read_journal(store, runs[i].id, -1, &entries, &n, &e) == 0) {
            for (size_t k = 0; k < n; k++) mt_entry_clear(&entries[k]);
            free(entries);
        }
        mt_run_clear(&runs[i]);
    }
    free(runs);
}

static void compare_documents(struct mt_store *store, const char *collection) {
    struct mt_document *documents;
    size_t n;
    struct mt_error e;
    if (store->query_documents(store, collection, NULL, NULL, NULL, false, ALL, &documents, &n, NULL, &e) !=
        0)
        return;
    for (size_t i = 0; i < n; i++) mt_document_clear(&documents[i]);
    free(documents);
}

static void compare_lists(struct mt_store *store) {
    struct mt_event *events;
    struct mt_delivery *deliveries;
    struct mt_task *tasks;
    size_t n;
    struct mt_error e;
    if (store->list_events(store, NULL, NULL, 0, false, MT_EVENTS_ALL, ALL, &events, &n, &e) == 0) {
        for (size_t i = 0; i < n; i++) mt_event_clear(&events[i]);
        free(events);
    }
    if (store->list_deliveries(store, NULL, MT_NEVER, ALL, &deliveries, &n, &e) == 0) {
        for (size_t i = 0; i < n; i++) mt_delivery_clear(&deliveries[i]);
        free(deliveries);
    }
    if (store->list_tasks(store, MT_NEVER, ALL, &tasks, &n, &e) == 0) {
        for (size_t i = 0; i < n; i++) mt_task_clear(&tasks[i]);
        free(tasks);
    }
}

void mt_shadow_compare(struct mt_shadow *s) {
    int64_t counts[MT_RUN_STATE_COUNT], runs, rest;
    struct mt_kept kept;
    struct mt_error e;
    char *text = NULL;
    if (!s->open || s->committing) return;
    struct mt_store *store = &s->open->store;
    compare_runs(store);
    compare_lists(store);
    for (size_t i = 0; i < s->collection_count; i++) compare_documents(store, s->collections[i]);
    store->count_runs(store, counts, &e);
    store->next_due(store, &runs, &rest, &e);
    store->kept(store, &kept, &e);
    if (store->list_generations(store, &text, &e) == 0) free(text);
}

/* ---- commits ---- */

static void free_copies(struct mt_shadow_copies *c) {
    free(c->batches);
    free(c->list);
    free(c->ops);
    free(c->entries);
    free(c->deliveries);
    free(c->audits);
    *c = (struct mt_shadow_copies){0};
}

static void copy_op(struct mt_shadow_copies *c, size_t i, const struct mt_op *from) {
    struct mt_op *op = &c->ops[i];
    *op = *from;
    if (op->type == MT_OP_ENTRY || op->type == MT_OP_ANSWER) {
        c->entries[i] = *from->entry;
        op->entry = &c->entries[i];
    } else if (op->type == MT_OP_AWAIT) {
        c->entries[i] = *from->await.entry;
        op->await.entry = &c->entries[i];
    } else if (op->type == MT_OP_DELIVERY_PUT || op->type == MT_OP_DELIVERY_UPDATE) {
        c->deliveries[i] = *from->delivery;
        op->delivery = &c->deliveries[i];
    } else if (op->type == MT_OP_AUDIT) {
        c->audits[i] = *from->audit;
        op->audit = &c->audits[i];
    }
}

static void make_copies(struct mt_shadow_copies *c, struct mt_batch *const *batches, size_t count) {
    size_t ops = 0, n = 0;
    for (size_t i = 0; i < count; i++) ops += batches[i]->count;
    c->batches = mt_calloc(count + 1, sizeof *c->batches);
    c->list = mt_calloc(count + 1, sizeof *c->list);
    c->ops = mt_calloc(ops + 1, sizeof *c->ops);
    c->entries = mt_calloc(ops + 1, sizeof *c->entries);
    c->deliveries = mt_calloc(ops + 1, sizeof *c->deliveries);
    c->audits = mt_calloc(ops + 1, sizeof *c->audits);
    c->count = count;
    for (size_t i = 0; i < count; i++) {
        c->batches[i] = *batches[i];
        c->batches[i].ops = &c->ops[n];
        c->list[i] = &c->batches[i];
        for (size_t k = 0; k < batches[i]->count; k++) copy_op(c, n++, &batches[i]->ops[k]);
    }
}

static void note_collection(struct mt_shadow *s, const char *name) {
    for (size_t i = 0; i < s->collection_count; i++)
        if (strcmp(s->collections[i], name) == 0) return;
    if (s->collection_count < MT_SHADOW_COLLECTIONS)
        mt_copy(s->collections[s->collection_count++], MT_NAME_MAX, name);
}

static void compare_batches(struct mt_shadow *s, struct mt_batch *const *batches, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct mt_batch *b = batches[i];
        mt_say_batch(&s->found, b);
        mt_say_batch(&s->wanted, s->copies.list[i]);
        s->stats.operations += (int64_t)b->count;
        for (size_t k = 0; k < b->count; k++)
            if (b->ops[k].type == MT_OP_DOC_PUT) note_collection(s, b->ops[k].doc.collection);
    }
    mt_shadow_judge(s, "answers to a commit");
    s->stats.commits++;
}

static int commit(struct mt_store *self, struct mt_batch **batches, size_t count, struct mt_error *e) {
    struct mt_shadowed *x = (struct mt_shadowed *)self;
    struct mt_shadow *s = x->shadow;
    char number[24];
    struct mt_op note = {.type = MT_OP_META, .meta = {META_COMMIT, number}};
    struct mt_batch noted = {.ops = &note, .count = 1};
    struct mt_batch **all = mt_calloc(count + 1, sizeof *all);
    memcpy(all, batches, count * sizeof *all);
    all[count] = &noted;
    mt_format(number, sizeof number, "%" PRId64, ++s->commits);
    s->committing = true; /* until it returns, if it ever does */
    make_copies(&s->copies, all, count + 1);
    s->oracle->commit(s->oracle, s->copies.list, count + 1, e);
    int rc = x->real->commit(x->real, all, count + 1, e);
    if (rc == 0) compare_batches(s, batches, count);
    for (size_t i = 0; i <= count; i++) mt_batch_clear(s->copies.list[i]);
    free_copies(&s->copies);
    free(all);
    if (rc != 0 && e->kind != MT_FULL) return rc; /* it has died, and what is there will be seen */
    s->committing = false;
    if (rc == 0) return rc;
    mt_store_memory_take_back(s->oracle);
    s->commits--;
    return rc;
}

static int wipe(struct mt_store *self, struct mt_error *e) {
    struct mt_shadowed *x = (struct mt_shadowed *)self;
    int rc = x->real->wipe(x->real, e);
    if (rc == 0) x->shadow->oracle->wipe(x->shadow->oracle, e);
    return rc;
}

static int scrub(struct mt_store *self, struct mt_error *e) {
    struct mt_shadowed *x = (struct mt_shadowed *)self;
    return x->real->scrub(x->real, e);
}

/* ---- the whole ---- */

static void close_store(struct mt_store *self) {
    struct mt_shadowed *x = (struct mt_shadowed *)self;
    x->real->close(x->real);
    if (x->shadow->open == x) x->shadow->open = NULL;
    free(x);
}

/* What a crash has left: all commits that were answered, and the last one if it is there. */
static void resume(struct mt_shadow *s, struct mt_store *real) {
    char *number = NULL, wanted[24];
    struct mt_error e;
    real->get_meta(real, META_COMMIT, &number, &e);
    int64_t there = number ? strtoll(number, NULL, 10) : 0;
    if (s->committing && there == s->commits - 1) {
        mt_store_memory_take_back(s->oracle);
        s->commits--;
    } else if (there != s->commits) {
        mt_format(wanted, sizeof wanted, "%" PRId64, s->commits);
        differ(s, "commits that were answered are gone", number ? number : "none", wanted);
    }
    free(number);
    s->committing = false;
    free_copies(&s->copies);
    mt_store_memory_restart(s->oracle);
    s->oracle->epoch = real->epoch;
    s->stats.restarts++;
}

struct mt_store *mt_shadow_over(struct mt_shadow *s, struct mt_store *store) {
    struct mt_shadowed *x = mt_calloc(1, sizeof *x);
    resume(s, store);
    x->real = store;
    x->shadow = s;
    x->store.commit = commit;
    x->store.wipe = wipe;
    x->store.scrub = scrub;
    x->store.close = close_store;
    x->store.epoch = store->epoch;
    mt_shadow_set_reads(&x->store);
    s->open = x;
    mt_shadow_compare(s);
    return &x->store;
}

struct mt_shadow *mt_shadow_new(void) {
    struct mt_shadow *s = mt_calloc(1, sizeof *s);
    s->oracle = mt_store_memory_open();
    mt_buf_init(&s->found, SAID_MAX);
    mt_buf_init(&s->wanted, SAID_MAX);
    return s;
}

void mt_shadow_free(struct mt_shadow *s) {
    if (!s) return;
    s->oracle->close(s->oracle);
    free_copies(&s->copies);
    mt_buf_clear(&s->found);
    mt_buf_clear(&s->wanted);
    free(s->difference);
    free(s);
}
