/* Retention (retention.h). Invariant: each step is one commit that leaves a whole store behind, and looks for
 * what is left to do anew; so a death anywhere costs nothing but time. What stays of a run is decided here,
 * what it takes to be found again (keys, digests, times, what it had asked for) by the store. The keeper's
 * thread, or whoever asks; the steps of several may mix. */
#include "engine/retention.h"
#include "base/sync.h"
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

enum {
    TOGETHER = 20,        /* runs that become tombstones in one commit */
    ENTRIES = 200,        /* journal entries that go in one commit */
    ROWS = 100,           /* of anything else */
    PAGES = 64,           /* of the file, given back in one commit */
    GENERATIONS_KEPT = 5, /* used last, whoever needs them */
    ERASED_MOST = 1000,
    ID_MOST = 100, /* bytes of an id that a tombstone keeps */
};
#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define HOUR_MS (INT64_C(3600) * 1000)
#define TROUBLE_MS 60000
#define SHORT_NS 200000 /* a step that took longer is followed by a pause */
#define LONG_NS 40000000

static int64_t wall(struct mt_engine *g) {
    return g->o.clock->wall_ms(g->o.clock);
}

/* ---- what stays of a run ---- */

static bool is_id(const char *name, const json_t *value) {
    static const char *const persons[] = {"customer", "user", "member", "person", "payer", "phone"};
    size_t len = strlen(name);
    if (strcmp(name, "id") != 0 && (len < 4 || strcmp(name + len - 3, "_id") != 0)) return false;
    for (size_t i = 0; i < sizeof persons / sizeof *persons; i++)
        if (strstr(name, persons[i])) return false;
    if (json_is_integer(value)) return true;
    const char *s = json_string_value(value);
    return s && *s && strlen(s) <= ID_MOST &&
           s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:")] == '\0';
}

static bool is_word(const char *name, const json_t *value) {
    const char *s = json_string_value(value);
    if (strcmp(name, "status") != 0 && strcmp(name, "state") != 0) return false;
    return s && *s && strlen(s) <= 40 &&
           s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")] == '\0';
}

/* Of an object: ids that are no person's, and states, by which a refund, a late event or a reconciliation
 * finds the payment at its provider. NULL: nothing. Caller frees. */
static char *what_stays(const char *text) {
    struct mt_error ignored;
    const char *name;
    json_t *value, *all = text ? mt_json_parse(text, strlen(text), &ignored) : NULL, *kept = json_object();
    json_object_foreach(all, name, value) {
        if (is_id(name, value) || is_word(name, value)) json_object_set(kept, name, value);
    }
    char *out = json_object_size(kept) ? mt_json_dump(kept, NULL) : NULL;
    json_decref(kept);
    json_decref(all);
    return out;
}

/* Of an error: what kind it was, without its words. */
static char *error_that_stays(const char *text) {
    static const char *const members[] = {"kind", "code", "provider", "operation", "outcome"};
    struct mt_error ignored;
    json_t *all = text ? mt_json_parse(text, strlen(text), &ignored) : NULL, *kept = json_object();
    const json_t *inner = json_object_get(all, "$error") ? json_object_get(all, "$error") : all;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        json_t *value = json_object_get(inner, members[i]);
        if (json_is_string(value) && json_string_length(value) <= ID_MOST)
            json_object_set(kept, members[i], value);
    }
    char *out = json_object_size(kept) ? mt_json_dump(kept, NULL) : NULL;
    json_decref(kept);
    json_decref(all);
    return out;
}

static struct mt_op forget_op(const struct mt_run *run, bool erase, int64_t at) {
    return (struct mt_op){.type = MT_OP_FORGET,
                          .forget = {.run = run->id,
                                     .progress = what_stays(run->progress),
                                     .output = what_stays(run->output),
                                     .error = error_that_stays(run->error),
                                     .about = erase ? "run" : NULL, /* what its parent was told of it */
                                     .erase = erase,
                                     .at = at}};
}

static void clear_forget(struct mt_op *op) {
    free((char *)(uintptr_t)op->forget.progress);
    free((char *)(uintptr_t)op->forget.output);
    free((char *)(uintptr_t)op->forget.error);
}

/* ---- steps ---- */

static int submit(struct mt_engine *g, struct mt_op *ops, size_t count, struct mt_error *e) {
    struct mt_batch batch = {.ops = ops, .count = count};
    if (mt_writer_submit(g->writer, &batch) == 0) return 0;
    *e = batch.error;
    return -1;
}

/* Leaves the writer to others for a while, so that a start never waits for more than one step, and most of
 * the time for none. What a step took is mostly the disk's time, which it shares with all that commit with
 * it. */
static void rest(struct mt_engine *g, int64_t since_ns) {
    int64_t took = mt_mono_ns() - since_ns;
    if (took > SHORT_NS) mt_nap(3 * took < LONG_NS ? 3 * took : LONG_NS);
    while (mt_writer_busy(g->writer) && !atomic_load(&g->stopping)) mt_nap(10000000);
}

static void count(struct mt_engine *g, enum mt_purge what, const struct mt_op *op) {
    int64_t unread = what == MT_PURGE_EVENTS ? op->purge.count_unread : 0;
    atomic_fetch_add_explicit(&g->purged[what], (uint64_t)(op->purge.count - unread), memory_order_relaxed);
    atomic_fetch_add_explicit(&g->purged_unread, (uint64_t)unread, memory_order_relaxed);
}

/* One kind, until no more of it is to go: 0, or -1. op->purge.after is then how far it has looked. */
static int purge_on(struct mt_engine *g, struct mt_op *op, struct mt_error *e) {
    do {
        int64_t since = mt_mono_ns();
        if (atomic_load(&g->stopping)) return mt_fail(e, MT_UNAVAILABLE, "the runtime is stopping");
        if (submit(g, op, 1, e) != 0) return -1;
        count(g, op->purge.what, op);
        if (op->purge.seen) op->purge.after = op->purge.seen;
        if (op->purge.count || op->purge.more) rest(g, since);
    } while (op->purge.more);
    return 0;
}

static int purge(struct mt_engine *g, struct mt_op op, struct mt_error *e) {
    return purge_on(g, &op, e);
}

static struct mt_op purge_op(enum mt_purge what, int64_t before, size_t limit) {
    return (struct mt_op){.type = MT_OP_PURGE,
                          .purge = {.what = what, .before = before, .unread = before, .limit = limit}};
}

static int purge_entries(struct mt_engine *g, struct mt_error *e) {
    return purge(g, purge_op(MT_PURGE_ENTRIES, 0, ENTRIES), e);
}

/* Makes tombstones of these, and takes a first piece of their journals along. Ends them. */
static int forget(struct mt_engine *g, struct mt_run *runs, size_t n, bool *more, struct mt_error *e) {
    struct mt_op ops[TOGETHER + 1];
    int64_t now = wall(g), since = mt_mono_ns();
    for (size_t i = 0; i < n; i++) ops[i] = forget_op(&runs[i], false, now);
    ops[n] = purge_op(MT_PURGE_ENTRIES, 0, ENTRIES);
    int rc = submit(g, ops, n + 1, e);
    for (size_t i = 0; i < n; i++) {
        clear_forget(&ops[i]);
        mt_run_clear(&runs[i]);
    }
    if (rc != 0) return -1;
    *more = ops[n].purge.more;
    count(g, MT_PURGE_ENTRIES, &ops[n]);
    atomic_fetch_add_explicit(&g->purged_runs, n, memory_order_relaxed);
    rest(g, since);
    return 0;
}

/* Of runs that ended by `before`, at most `limit`: how many went; -1. */
static int64_t forget_ended(struct mt_engine *g, const char *flow, int64_t before, int64_t limit,
                            struct mt_error *e) {
    int64_t gone = 0, from = INT64_MIN;
    while (gone < limit && !atomic_load(&g->stopping)) {
        struct mt_run *runs = NULL;
        size_t n = 0, wanted = limit - gone < TOGETHER ? (size_t)(limit - gone) : TOGETHER;
        if (g->o.store->list_ended(g->o.store, flow, from, before, wanted, &runs, &n, e) != 0) return -1;
        if (n) from = runs[n - 1].updated_at; /* others of that instant are found once more */
        bool more = false;
        int rc = n ? forget(g, runs, n, &more, e) : 0;
        free(runs);
        if (rc != 0 || (more && purge_entries(g, e) != 0)) return -1;
        gone += (int64_t)n;
        if (n < wanted) break;
    }
    return gone;
}

/* ---- the keeper ---- */

static int64_t less(int64_t time, int64_t span) {
    return span == MT_NEVER ? INT64_MIN : time - span;
}

static int64_t plus(int64_t time, int64_t span) {
    return time == MT_NEVER || span == MT_NEVER ? MT_NEVER : time + span;
}

static int64_t sooner(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Everything that is due by now. Of events, once a day those too that could not go the last time. */
static int sweep(struct mt_engine *g, bool whole, struct mt_error *e) {
    const struct mt_retention *r = &g->o.retention;
    char current[80] = "";
    int64_t now = wall(g), before = less(now, r->runs_ms);
    struct mt_op events = purge_op(MT_PURGE_EVENTS, before, ROWS);
    if (before != INT64_MIN) {
        if (forget_ended(g, NULL, before, INT64_MAX, e) < 0) return -1;
        events.purge.unread = sooner(less(now, r->unread_ms), before);
        events.purge.after = whole ? 0 : g->events_seen;
        events.purge.own = "run";
        if (purge(g, purge_op(MT_PURGE_SEGMENTS, before, TOGETHER), e) != 0 || purge_on(g, &events, e) != 0 ||
            purge(g, purge_op(MT_PURGE_DELIVERIES, before, ROWS), e) != 0)
            return -1;
        g->events_seen = events.purge.after;
    }
    if (purge(g, purge_op(MT_PURGE_DOCUMENTS, now, ROWS), e) != 0) return -1;
    if (r->tombstones_ms != MT_NEVER &&
        (purge(g, purge_op(MT_PURGE_TOMBSTONES, less(now, r->tombstones_ms), TOGETHER), e) != 0 ||
         purge(g, purge_op(MT_PURGE_SOURCES, less(now, r->tombstones_ms), ROWS), e) != 0))
        return -1;
    if (purge_entries(g, e) != 0) return -1;
    g->o.script->current(g->o.script, current);
    struct mt_op generations = purge_op(MT_PURGE_GENERATIONS, now - DAY_MS, GENERATIONS_KEPT);
    generations.purge.keep = GENERATIONS_KEPT;
    generations.purge.except = current;
    if (before != INT64_MIN && purge(g, generations, e) != 0) return -1;
    return purge(g, purge_op(MT_PURGE_PAGES, 0, PAGES), e);
}

/* When there is something to do again. What could not go yet though its time has come (an event that nobody
 * has read, the newest of its kind) is looked at once a day. */
static int next_sweep(struct mt_engine *g, int64_t *at, struct mt_error *e) {
    const struct mt_retention *r = &g->o.retention;
    struct mt_kept k;
    int64_t now = wall(g), soonest = now + (r->runs_ms < 100 * HOUR_MS ? 1000 : HOUR_MS);
    if (g->o.store->kept(g->o.store, &k, e) != 0) return -1;
    int64_t due = sooner(plus(k.ended, r->runs_ms), plus(k.segment, r->runs_ms));
    due = sooner(due, plus(k.tombstone, r->tombstones_ms));
    due = sooner(due, k.document);
    if (k.entries) due = now;
    if (due < soonest) due = soonest;
    int64_t rest = sooner(plus(k.event, r->runs_ms), plus(k.delivery, r->runs_ms));
    *at = sooner(due, rest <= now ? now + DAY_MS : rest < soonest ? soonest : rest);
    return 0;
}

void retention_note(struct mt_engine *g, const struct mt_op *op) {
    const struct mt_retention *r = &g->o.retention;
    int64_t at = MT_NEVER, due;
    switch (op->type) {
    case MT_OP_RUN:
        if (op->run.state >= 0 && mt_run_ended((enum mt_run_state)op->run.state))
            at = plus(op->run.at, r->runs_ms);
        break;
    case MT_OP_CONTINUE:
        at = plus(op->cont.at, r->runs_ms);
        break;
    case MT_OP_EVENT:
        at = plus(op->event.at, r->runs_ms);
        break;
    case MT_OP_DELIVERY_PUT:
        at = plus(op->delivery->created_at, r->runs_ms);
        break;
    case MT_OP_DOC_PUT:
        if (op->doc.keep) at = op->doc.at + op->doc.keep;
        break;
    default:
        return;
    }
    if (at == MT_NEVER) return;
    due = atomic_load(&g->retention_due);
    while (at < due)
        if (atomic_compare_exchange_weak(&g->retention_due, &due, at)) {
            if (at < atomic_load(&g->looks_at)) g->o.clock->wake(g->o.clock);
            return;
        }
}

void keeper_call(struct mt_engine *g) {
    mt_lock(&g->date_lock);
    g->keep_wanted = true;
    mt_cond_signal(&g->keep_cond);
    mt_unlock(&g->date_lock);
}

/* What others commit meanwhile may be due sooner than what is found: they say so, after the time was set. */
static void keep(struct mt_engine *g) {
    struct mt_error e;
    int64_t next, never = MT_NEVER, now = wall(g);
    bool whole = now >= g->events_whole_at;
    atomic_store(&g->retention_due, MT_NEVER);
    if (sweep(g, whole, &e) != 0 || next_sweep(g, &next, &e) != 0) {
        if (atomic_load(&g->stopping)) return;
        mt_warn("what has been kept long enough has to stay for now", "error", e.message);
        next = now + TROUBLE_MS;
    } else if (whole) {
        g->events_whole_at = now + DAY_MS;
    }
    atomic_fetch_add_explicit(&g->sweeps, 1, memory_order_relaxed);
    if (!atomic_compare_exchange_strong(&g->retention_due, &never, next))
        while (next < never && !atomic_compare_exchange_weak(&g->retention_due, &never, next)) continue;
    g->o.clock->wake(g->o.clock); /* the timer looks again */
}

void *keeper_main(void *engine) {
    struct mt_engine *g = engine;
    for (;;) {
        mt_lock(&g->date_lock);
        while (!g->keep_wanted && !atomic_load(&g->stopping))
            mt_cond_wait(&g->keep_cond, &g->date_lock, MT_NO_DEADLINE);
        g->keep_wanted = false;
        mt_unlock(&g->date_lock);
        if (atomic_load(&g->stopping)) return NULL;
        keep(g);
    }
}

/* ---- because somebody asks ---- */

int mt_engine_purge(struct mt_engine *g, const struct mt_purge_ask *ask, struct mt_purged *out,
                    struct mt_error *e) {
    *out = (struct mt_purged){0};
    if (ask->dry)
        return g->o.store->weigh_ended(g->o.store, ask->flow, ask->before, &out->runs, &out->bytes, e);
    out->runs = forget_ended(g, ask->flow, ask->before, (int64_t)ask->limit, e);
    out->more = out->runs == (int64_t)ask->limit;
    if (out->runs < 0) return -1;
    atomic_store(&g->retention_due, 0); /* files of generations, and pages, may be free now */
    g->o.clock->wake(g->o.clock);
    return 0;
}

void mt_erased_clear(struct mt_erased *x) {
    free(x->runs);
    free(x->left);
    *x = (struct mt_erased){0};
}

static void add_id(char (**ids)[MT_ID_SIZE], size_t *count, const char *id) {
    *ids = mt_realloc(*ids, (*count + 1) * sizeof **ids);
    mt_copy((*ids)[(*count)++], MT_ID_SIZE, id);
}

/* The runs that this one has started, as its journal says. */
static int find_children(struct mt_engine *g, const char *id, char (**ids)[MT_ID_SIZE], size_t *n,
                         struct mt_error *e) {
    struct mt_entry *entries = NULL;
    size_t count = 0;
    if (g->o.store->read_journal(g->o.store, id, -1, &entries, &count, e) != 0) return -1;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(entries[i].kind, "start") == 0 && entries[i].meta && *n < ERASED_MOST) {
            json_t *meta = entry_meta(&entries[i]);
            const char *child = mt_json_str(meta, "child", NULL);
            if (child) add_id(ids, n, child);
            json_decref(meta);
        }
        mt_entry_clear(&entries[i]);
    }
    free(entries);
    return 0;
}

/* The run's row becomes a tombstone, after those that it has started were found. */
static int erase_one(struct mt_engine *g, const char *id, bool asked, char (**ids)[MT_ID_SIZE], size_t *n,
                     struct mt_erased *out, struct mt_error *e) {
    struct mt_run run;
    if (g->o.store->get_run(g->o.store, id, &run, e) != 0) return asked || e->kind != MT_NOT_FOUND ? -1 : 0;
    int rc = 0;
    if (!mt_run_ended(run.state) && asked) {
        rc = mt_fail(e, MT_CONFLICT, "run %s is %s: only one that has ended can be erased", id,
                     mt_run_state_name(run.state));
    } else if (!mt_run_ended(run.state)) {
        add_id(&out->left, &out->left_count, id);
    } else if ((rc = find_children(g, id, ids, n, e)) == 0) {
        struct mt_op op = forget_op(&run, true, wall(g));
        rc = submit(g, &op, 1, e);
        clear_forget(&op);
        if (rc == 0) add_id(&out->runs, &out->count, id);
    }
    mt_run_clear(&run);
    return rc;
}

static int scrub(struct mt_store *store, void *ctx, struct mt_error *e) {
    (void)ctx;
    return store->scrub(store, e);
}

int mt_engine_erase(struct mt_engine *g, const char *run_id, struct mt_erased *out, struct mt_error *e) {
    char(*ids)[MT_ID_SIZE] = NULL;
    size_t n = 0;
    int rc = 0;
    *out = (struct mt_erased){0};
    add_id(&ids, &n, run_id);
    for (size_t i = 0; i < n && rc == 0; i++) { /* ids moves as it grows */
        char id[MT_ID_SIZE];
        mt_copy(id, sizeof id, ids[i]);
        rc = erase_one(g, id, i == 0, &ids, &n, out, e);
    }
    free(ids);
    if (rc == 0) rc = purge_entries(g, e);
    if (rc == 0) rc = mt_writer_exclusive(g->writer, scrub, NULL, e);
    if (rc != 0) mt_erased_clear(out);
    return rc;
}

/* ---- telling ---- */

static void metric(struct mt_buf *out, const char *name, const char *type, const char *help, int64_t value) {
    mt_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n%s %lld\n", name, help, name, type, name, (long long)value);
}

void retention_metrics(struct mt_engine *g, struct mt_buf *out) {
    static const char *const kinds[MT_PURGE_COUNT] = {
        [MT_PURGE_ENTRIES] = "journal_entries",
        [MT_PURGE_SEGMENTS] = "segments",
        [MT_PURGE_EVENTS] = "events",
        [MT_PURGE_DELIVERIES] = "deliveries",
        [MT_PURGE_DOCUMENTS] = "documents",
        [MT_PURGE_GENERATIONS] = "generations",
        [MT_PURGE_TOMBSTONES] = "tombstones",
        [MT_PURGE_SOURCES] = "event_sources",
        [MT_PURGE_PAGES] = "pages",
    };
    struct mt_error ignored;
    struct mt_kept k;
    const char *name = "mintage_retention_removed_total";
    mt_buf_addf(out, "# HELP %s What had been kept long enough and went.\n# TYPE %s counter\n", name, name);
    mt_buf_addf(out, "%s{kind=\"runs\"} %llu\n", name, (unsigned long long)atomic_load(&g->purged_runs));
    mt_buf_addf(out, "%s{kind=\"unread_events\"} %llu\n", name,
                (unsigned long long)atomic_load(&g->purged_unread));
    for (int i = 0; i < MT_PURGE_COUNT; i++)
        mt_buf_addf(out, "%s{kind=\"%s\"} %llu\n", name, kinds[i],
                    (unsigned long long)atomic_load(&g->purged[i]));
    metric(out, "mintage_retention_sweeps_total", "counter", "Times it was looked for what may go.",
           (int64_t)atomic_load(&g->sweeps));
    if (g->o.store->kept(g->o.store, &k, &ignored) != 0) return;
    metric(out, "mintage_tombstones", "gauge", "Ended runs of which only a tombstone is left.", k.tombstones);
    metric(out, "mintage_events_unread", "gauge", "Events in the store that no run has read.",
           k.unread_events);
    metric(out, "mintage_store_bytes", "gauge", "The size of the store's file.", k.bytes);
    metric(out, "mintage_store_free_bytes", "gauge", "How much of it is free to be used again.",
           k.free_bytes);
}
