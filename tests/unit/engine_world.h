/* A world for the engine's tests: scripts that are C functions, a provider that keeps a ledger and answers as
 * it was told, a clock that is moved by hand, and a death that can come at any commit or any send. What dies
 * is the engine: nothing more is written or sent; the store's rows and the provider live on, and world_open
 * begins a new process on them. One world at a time; included by test programs. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/engine.h"
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WORLD_START INT64_C(1795166400000) /* 2026-11-20T09:20:00Z */
#define WORLD_BASE "http://127.0.0.1:1"

struct world;

/* ---- the provider ---- */

enum fault {
    FAULT_NONE,
    FAULT_DECLINE,     /* 402: a definite no */
    FAULT_NOT_SENT,    /* the connection was refused */
    FAULT_DROP_BEFORE, /* the request is lost on its way; the caller does not know */
    FAULT_DROP_AFTER,  /* it is carried out, the answer is lost */
    FAULT_BUSY,        /* 429 */
    FAULT_BUSY_LATER,  /* 429 with Retry-After: 30 */
    FAULT_BROKEN,      /* 500, nothing carried out */
};

struct rule {
    const char *path; /* a part of the URL */
    enum fault fault;
    int times;
};

struct sent {
    char *line;  /* "POST /charge/a" */
    char *key;   /* Idempotency-Key; "" */
    char *bytes; /* everything but credentials */
    bool carried_out;
};

/* The one payment of the Paymnt model, "pay_1", in cents. */
struct payment {
    const char *status; /* NULL: there is none */
    int capturable, received;
    json_t *refunds, *by_key;
    bool captured_after_read; /* by somebody else, as soon as it has been read once */
};

struct net {
    struct mt_transport base;
    bool counting; /* under load: only counts what it carries out */
    atomic_int carried_out;
    atomic_bool closed; /* a gate before everything at /api/ */
    atomic_int before_gate, most_before_gate;
    pthread_mutex_t lock;
    struct sent *sent;
    size_t count, room;
    char *done[512]; /* the ledger: what was carried out, once each: "POST /charge/a key" */
    size_t done_count;
    struct rule rules[16];
    size_t rule_count;
    json_t *intents;  /* of the mintro model, by reference */
    json_t *statuses; /* of objects at /object/ID */
    struct payment payment;
};

/* ---- scripts ---- */

struct flow {
    struct world *w;
    struct mt_exec *x;
    const char *input;
    json_t *in;
    struct mt_answer a;
    jmp_buf out;
    char *kept[256];
    size_t kept_count;
    struct mt_script_result *result;
};

struct flow_row {
    const char *name;
    void (*run)(struct flow *f);
};

enum { OUT_RAISED = 1, OUT_BUG, OUT_LEFT };

struct world {
    struct mt_script script;
    char dir[64];
    bool durable;
    struct mt_store *store;
    int (*commit)(struct mt_store *self, struct mt_batch **batches, size_t count, struct mt_error *e);
    struct mt_clock *clock;
    struct mt_random *random;
    struct net net;
    struct mt_providers *providers;
    struct mt_seal_key key;
    struct mt_engine *engine;
    struct mt_engine_options options; /* what tests change before world_open */
    const struct flow_row *flows;
    char generation[80], strict_generation[80]; /* the strict one takes no input with "old" */
    int (*task)(struct world *w, int64_t n, const char *name, const char *payload, struct mt_error *e);
    atomic_int executions;
    /* death */
    atomic_bool dead;
    atomic_int commits, sends;
    _Atomic int die_at_commit, die_at_send; /* counted from the opening; 0: never */
    _Atomic bool die_after;
    atomic_int fail_commits; /* so many commits fail, and nobody dies of it */
    atomic_bool fail_starts; /* so do those that start a run */
    /* news */
    pthread_mutex_t lock;
    pthread_cond_t news;
    uint64_t news_count;
    const char *mintro_url;
};

static struct world *the_world;

static inline void world_news(struct world *w) {
    pthread_mutex_lock(&w->lock);
    w->news_count++;
    pthread_cond_broadcast(&w->news);
    pthread_mutex_unlock(&w->lock);
}

/* Waits until something has happened since `seen`, or a moment. */
static inline void world_wait(struct world *w, uint64_t seen) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 20000000;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    pthread_mutex_lock(&w->lock);
    while (w->news_count == seen)
        if (pthread_cond_timedwait(&w->news, &w->lock, &t) != 0) break;
    pthread_mutex_unlock(&w->lock);
}

static inline uint64_t world_seen(struct world *w) {
    pthread_mutex_lock(&w->lock);
    uint64_t seen = w->news_count;
    pthread_mutex_unlock(&w->lock);
    return seen;
}

#include "engine_flow.h"
#include "engine_net.h"

/* ---- the script vtable ---- */

static inline void world_execute(struct mt_script *self, struct mt_exec *x, const char *generation,
                                 const char *flow, const char *input, struct mt_script_result *out) {
    struct world *w = (struct world *)self;
    struct mt_error e;
    struct flow f = {.w = w, .x = x, .input = input, .result = out};
    void (*volatile run)(struct flow * f) = NULL;
    (void)generation;
    atomic_fetch_add(&w->executions, 1);
    for (const struct flow_row *row = w->flows; row->name; row++)
        if (strcmp(row->name, flow) == 0) run = row->run;
    f.in = mt_json_parse(input, strlen(input), &e);
    int how = setjmp(f.out);
    if (how == 0) {
        run(&f);
        out->end = MT_END_RETURNED;
        if (!out->value.len) mt_buf_adds(&out->value, "null");
    } else {
        out->end = how == OUT_RAISED ? MT_END_RAISED : how == OUT_BUG ? MT_END_BUG : MT_END_LEFT;
        mt_copy(out->site, sizeof out->site, "flow.lua:99");
    }
    for (size_t i = 0; i < f.kept_count; i++) free(f.kept[i]);
    json_decref(f.in);
}

static inline void world_current(struct mt_script *self, char out[80]) {
    struct world *w = (struct world *)self;
    pthread_mutex_lock(&w->lock);
    mt_copy(out, 80, w->generation);
    pthread_mutex_unlock(&w->lock);
}

/* What new runs begin with from now on. */
static inline void world_publish(struct world *w, const char *generation) {
    pthread_mutex_lock(&w->lock);
    mt_copy(w->generation, sizeof w->generation, generation);
    pthread_mutex_unlock(&w->lock);
}

static inline int world_check_input(struct mt_script *self, const char *generation, const char *flow,
                                    const char *input, struct mt_buf *normal, struct mt_error *e) {
    struct world *w = (struct world *)self;
    const struct flow_row *row = w->flows;
    while (row->name && strcmp(row->name, flow) != 0) row++;
    if (!row->name) return mt_fail(e, MT_NOT_FOUND, "there is no flow \"%s\"", flow);
    json_t *value = mt_json_parse(input, strlen(input), e);
    if (!value) return -1;
    bool bad = json_object_get(value, "bad") ||
               (strcmp(generation, w->strict_generation) == 0 && json_object_get(value, "old"));
    char *text = mt_json_dump(value, NULL);
    mt_buf_adds(normal, text);
    free(text);
    json_decref(value);
    return bad ? mt_fail(e, MT_INVALID_REQUEST, "field \"bad\" is not wanted") : 0;
}

static inline int world_task(struct mt_script *self, int64_t n, const char *name, const char *payload,
                             struct mt_error *e) {
    struct world *w = (struct world *)self;
    return w->task(w, n, name, payload, e);
}

/* ---- life and death ---- */

/* What a commit that succeeds without anybody hearing of it would have handed out. */
static inline void world_drop_outputs(struct mt_batch *b) {
    for (size_t i = 0; i < b->count; i++) {
        struct mt_op *op = &b->ops[i];
        if (op->type == MT_OP_START) mt_run_clear(&op->start.existing);
        if (op->type == MT_OP_AWAIT) mt_event_clear(&op->await.event);
        if (op->type != MT_OP_CLAIM) continue;
        for (size_t k = 0; k < op->claim.count; k++) mt_run_clear(&op->claim.runs[k]);
        free(op->claim.runs);
        op->claim.runs = NULL;
        op->claim.count = 0;
    }
}

static inline int world_commit(struct mt_store *self, struct mt_batch **batches, size_t count,
                               struct mt_error *e) {
    struct world *w = the_world;
    int at = atomic_fetch_add(&w->commits, 1) + 1;
    if (at == w->die_at_commit && !w->die_after) atomic_store(&w->dead, true);
    if (atomic_load(&w->dead)) {
        world_news(w);
        return mt_fail(e, MT_STORE, "dead");
    }
    for (size_t i = 0; atomic_load(&w->fail_starts) && i < count; i++)
        if (batches[i]->count && batches[i]->ops[0].type == MT_OP_START)
            return mt_fail(e, MT_STORE, "no starts today");
    if (atomic_load(&w->fail_commits) > 0) {
        atomic_fetch_sub(&w->fail_commits, 1);
        return mt_fail(e, MT_STORE, "the disk has hiccups");
    }
    int rc = w->commit(self, batches, count, e);
    if (rc == 0 && at == w->die_at_commit) {
        atomic_store(&w->dead, true);
        for (size_t i = 0; i < count; i++) world_drop_outputs(batches[i]);
        rc = mt_fail(e, MT_STORE, "dead");
    }
    world_news(w);
    return rc;
}

static inline void world_changed(void *ctx, const char *name, const char *json) {
    (void)name;
    (void)json;
    world_news(ctx);
}

static inline void no_line(void *ctx, const char *line, size_t len) {
    (void)ctx;
    (void)line;
    (void)len;
}

/* An empty store in the world's folder: the first world makes one, the others get a copy of its file. */
static inline void world_format(struct world *w) {
    static char *bytes;
    static size_t len;
    char path[128];
    struct mt_error e;
    assert_non_null(mkdtemp(w->dir));
    mt_format(path, sizeof path, "%s/mintage.db", w->dir);
    if (!bytes) {
        struct mt_store *store = mt_store_sqlite_open(w->dir, &e);
        if (!store) fail_msg("%s", e.message);
        store->close(store);
    }
    FILE *f = fopen(path, bytes ? "wb" : "rb");
    assert_non_null(f);
    if (!bytes) {
        assert_int_equal(fseek(f, 0, SEEK_END), 0);
        len = (size_t)ftell(f);
        rewind(f);
        bytes = mt_calloc(1, len);
        assert_int_equal(fread(bytes, 1, len, f), len);
    } else {
        assert_int_equal(fwrite(bytes, 1, len, f), len);
    }
    fclose(f);
}

static inline struct world *world_new(const struct flow_row *flows, bool durable) {
    struct world *w = mt_calloc(1, sizeof *w);
    the_world = w;
    if (!getenv("MT_TEST_LOG")) mt_log_sink(no_line, NULL);
    w->script = (struct mt_script){.execute = world_execute,
                                   .current = world_current,
                                   .check_input = world_check_input,
                                   .task = world_task};
    w->flows = flows;
    w->durable = durable;
    mt_copy(w->generation, sizeof w->generation, "sha256:one");
    mt_copy(w->strict_generation, sizeof w->strict_generation, "sha256:strict");
    w->clock = mt_clock_fixed(WORLD_START);
    w->random = mt_random_seeded(7);
    memset(w->key.bytes, 42, sizeof w->key.bytes);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->news, NULL);
    pthread_mutex_init(&w->net.lock, NULL);
    w->net.base.perform = net_perform;
    w->net.base.perform_all = net_perform_all;
    w->net.intents = json_object();
    w->net.statuses = json_object();
    w->mintro_url = WORLD_BASE;
    w->options.workers = 4;
    w->options.nap_max_ms = -1;
    const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    mt_format(w->dir, sizeof w->dir, "%s/mintage-engine-XXXXXX", tmp);
    if (durable) world_format(w);
    return w;
}

/* A new process on what is durable. */
static inline void world_open(struct world *w) {
    struct mt_error e = {0};
    if (!w->store) {
        w->store = w->durable ? mt_store_sqlite_open(w->dir, &e) : mt_store_memory_open();
        if (!w->store) fail_msg("%s", e.message);
        w->commit = w->store->commit;
        w->store->commit = world_commit;
    }
    atomic_store(&w->dead, false);
    atomic_store(&w->commits, 0);
    atomic_store(&w->sends, 0);
    if (!w->providers) w->providers = mt_providers_new(NULL, w->mintro_url, w->clock, &e);
    if (!w->providers) fail_msg("%s", e.message);
    struct mt_engine_options o = w->options;
    o.store = w->store;
    o.clock = w->clock;
    o.random = w->random;
    o.transport = &w->net.base;
    o.providers = w->providers;
    o.script = &w->script;
    o.key = &w->key;
    o.public_url = "http://127.0.0.1:8080";
    o.changed = world_changed;
    o.ctx = w;
    w->engine = mt_engine_new(&o, &e);
    if (!w->engine || mt_engine_start(w->engine, &e) != 0) fail_msg("%s", e.message);
}

/* The process ends. With the memory store its rows stay (and its epoch: only for orderly ends). */
static inline void world_stop(struct world *w) {
    mt_engine_stop(w->engine);
    mt_engine_free(w->engine);
    w->engine = NULL;
    mt_providers_free(w->providers);
    w->providers = NULL;
    if (!w->durable) return;
    w->store->close(w->store);
    w->store = NULL;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void world_free(struct world *w) {
    if (w->engine) world_stop(w);
    if (w->store) w->store->close(w->store);
    for (size_t i = 0; i < w->net.count; i++) {
        free(w->net.sent[i].line);
        free(w->net.sent[i].key);
        free(w->net.sent[i].bytes);
    }
    free(w->net.sent);
    for (size_t i = 0; i < w->net.done_count; i++) free(w->net.done[i]);
    json_decref(w->net.intents);
    json_decref(w->net.statuses);
    json_decref(w->net.payment.refunds);
    json_decref(w->net.payment.by_key);
    w->clock->free(w->clock);
    free(w->random);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->news);
    pthread_mutex_destroy(&w->net.lock);
    if (w->durable) nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    mt_log_sink(NULL, NULL);
    free(w);
    the_world = NULL;
}

/* ---- driving ---- */

static inline int64_t now_of(struct world *w) {
    return w->clock->wall_ms(w->clock);
}

static inline void world_advance(struct world *w, int64_t ms) {
    struct mt_error e;
    assert_int_equal(w->clock->advance(w->clock, ms, &e), 0);
}

/* Whether no run is under way; *due is when one will be. */
static inline bool runs_quiet(struct world *w, int64_t *due) {
    struct mt_run *runs = NULL;
    size_t count = 0;
    struct mt_error e = {0};
    struct mt_run_filter all = {.state = -1, .limit = 1000};
    bool quiet = true;
    *due = MT_NEVER;
    if (w->store->list_runs(w->store, &all, &runs, &count, &e) != 0) fail_msg("%s", e.message);
    for (size_t i = 0; i < count; i++) {
        if (!mt_run_ended(runs[i].state)) {
            if (runs[i].owner || runs[i].due_at <= now_of(w)) quiet = false;
            if (runs[i].due_at < *due) *due = runs[i].due_at;
        }
        mt_run_clear(&runs[i]);
    }
    free(runs);
    return quiet;
}

static inline bool late_pending(struct world *w) {
    struct mt_event *late = NULL;
    struct mt_error e;
    size_t count = 0;
    if (w->store->list_events(w->store, NULL, NULL, 0, false, MT_EVENTS_PENDING, 1, &late, &count, &e) != 0)
        fail_msg("%s", e.message);
    for (size_t i = 0; i < count; i++) mt_event_clear(&late[i]);
    free(late);
    return count > 0;
}

/* Whether nothing is under way: runs that end leave late events behind, and these become runs. */
static inline bool world_quiet(struct world *w, int64_t *due) {
    return runs_quiet(w, due) && !late_pending(w) && runs_quiet(w, due);
}

/* Lets things happen until `until` at most, moving the clock; false when the process has died. */
static inline bool world_drive_until(struct world *w, int64_t until) {
    for (int turns = 0; turns < 100000; turns++) {
        uint64_t seen = world_seen(w);
        int64_t due;
        if (atomic_load(&w->dead)) return false;
        if (!world_quiet(w, &due)) {
            world_wait(w, seen);
            continue;
        }
        if (due > until) return !atomic_load(&w->dead);
        world_advance(w, due - now_of(w));
    }
    fail_msg("nothing comes to an end");
    return false;
}

/* Until nothing is due any more within ten years. */
static inline bool world_drive(struct world *w) {
    return world_drive_until(w, WORLD_START + INT64_C(315360000000));
}

/* Until nothing is under way at this instant. */
static inline bool world_settle(struct world *w) {
    return world_drive_until(w, now_of(w));
}

/* ---- asking ---- */

static inline struct mt_run run_of(struct world *w, const char *id) {
    struct mt_run run;
    struct mt_error e;
    if (w->store->get_run(w->store, id, &run, &e) != 0) fail_msg("%s", e.message);
    return run;
}

static inline enum mt_run_state state_of(struct world *w, const char *id) {
    struct mt_run run = run_of(w, id);
    enum mt_run_state state = run.state;
    mt_run_clear(&run);
    return state;
}

#define assert_state(w, id, wanted)                                                                          \
    do {                                                                                                     \
        struct mt_run run_ = run_of(w, id);                                                                  \
        if (run_.state != (wanted))                                                                          \
            fail_msg("run is %s, wanted %s; error %s", mt_run_state_name(run_.state),                        \
                     mt_run_state_name(wanted), run_.error ? run_.error : "none");                           \
        mt_run_clear(&run_);                                                                                 \
    } while (0)

/* Starts and answers the id (static). */
static inline const char *start_run(struct world *w, const char *flow, const char *input, const char *key) {
    static char id[MT_ID_SIZE];
    struct mt_start s = {.flow = flow, .input = input, .key = key};
    struct mt_run run;
    bool existing;
    struct mt_error e;
    if (mt_engine_start_run(w->engine, &s, &run, &existing, &e) != 0) fail_msg("start: %s", e.message);
    mt_copy(id, sizeof id, run.id);
    mt_run_clear(&run);
    return id;
}

static inline size_t journal_of(struct world *w, const char *id, int segment, struct mt_entry **entries) {
    size_t count = 0;
    struct mt_error e;
    if (w->store->read_journal(w->store, id, segment, entries, &count, &e) != 0) fail_msg("%s", e.message);
    return count;
}

static inline void journal_free(struct mt_entry *entries, size_t count) {
    for (size_t i = 0; i < count; i++) mt_entry_clear(&entries[i]);
    free(entries);
}

/* Replaces what follows each `mark`, up to a quote, by one letter: what differs from life to life. */
static inline void mask_after(char *text, const char *mark, const char *stop, char letter) {
    for (char *at = text; (at = strstr(at, mark)) != NULL;) {
        at += strlen(mark);
        while (*at && !strchr(stop, *at)) *at++ = letter;
    }
}

static inline int compare_texts(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline char *run_story(struct world *w, const struct mt_run *run) {
    struct mt_buf b;
    struct mt_entry *entries = NULL;
    mt_buf_init(&b, SIZE_MAX);
    mt_buf_addf(&b, "run %s: %s output %s error %s progress %s\n", run->flow, mt_run_state_name(run->state),
                run->output ? run->output : "-", run->error ? run->error : "-",
                run->progress ? run->progress : "-");
    size_t n = journal_of(w, run->id, -1, &entries);
    for (size_t k = 0; k < n; k++)
        mt_buf_addf(&b, "  %d/%d %s %s %s %s\n", entries[k].segment, entries[k].seq, entries[k].kind,
                    entries[k].name, mt_outcome_name(entries[k].outcome),
                    /* reading back what became of a compensation answers in other words */
                    !entries[k].result || strcmp(entries[k].kind, "compensate") == 0 ? "-"
                                                                                     : entries[k].result);
    journal_free(entries, n);
    mask_after(b.data, "/checkout/", "\"", 'T');
    mask_after(b.data, "run_", "\" \n", 'R');
    mask_after(b.data, "\"at\":", ",", '0');
    mask_after(b.data, "\"event\":", ",", '0');
    mask_after(b.data, "\"refund_id\":\"", "\"", 'I');
    return mt_buf_take(&b, NULL);
}

/* What must be the same however often the process died: states, results, the journals without their times. */
static inline char *world_story(struct world *w) {
    struct mt_buf b;
    struct mt_run *runs = NULL;
    size_t count = 0;
    struct mt_error e;
    struct mt_run_filter all = {.state = -1, .limit = 1000};
    mt_buf_init(&b, SIZE_MAX);
    if (w->store->list_runs(w->store, &all, &runs, &count, &e) != 0) fail_msg("%s", e.message);
    char **texts = mt_calloc(count + 1, sizeof *texts);
    for (size_t i = 0; i < count; i++) {
        texts[i] = run_story(w, &runs[i]);
        mt_run_clear(&runs[i]);
    }
    qsort(texts, count, sizeof *texts, compare_texts);
    for (size_t i = 0; i < count; i++) {
        mt_buf_adds(&b, texts[i]);
        free(texts[i]);
    }
    free(texts);
    free(runs);
    return mt_buf_take(&b, NULL);
}

static inline int done_times(struct world *w, const char *part) {
    int n = 0;
    pthread_mutex_lock(&w->net.lock);
    for (size_t i = 0; i < w->net.done_count; i++) n += strstr(w->net.done[i], part) != NULL;
    pthread_mutex_unlock(&w->net.lock);
    return n;
}

static inline int sent_times(struct world *w, const char *part) {
    int n = 0;
    pthread_mutex_lock(&w->net.lock);
    for (size_t i = 0; i < w->net.count; i++) n += strstr(w->net.sent[i].line, part) != NULL;
    pthread_mutex_unlock(&w->net.lock);
    return n;
}

/* Money safety, whatever the test asserts besides: the same key is always the same bytes; a piece of work is
 * carried out at most once; what may not be repeated left at most once. */
static inline void assert_safe(struct world *w) {
    struct net *n = &w->net;
    for (size_t i = 0; i < n->count; i++)
        for (size_t k = 0; k < i; k++) {
            bool same_line = strcmp(n->sent[i].line, n->sent[k].line) == 0;
            bool same_key = n->sent[i].key[0] && strcmp(n->sent[i].key, n->sent[k].key) == 0;
            if (same_key && strcmp(n->sent[i].bytes, n->sent[k].bytes) != 0)
                fail_msg("one key, two requests:\n%s\n---\n%s", n->sent[k].bytes, n->sent[i].bytes);
            if (same_line && strstr(n->sent[i].line, "/unsafe/")) fail_msg("sent twice: %s", n->sent[i].line);
        }
    for (size_t i = 0; i < n->done_count; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(n->done[i], n->done[k]) == 0 && strncmp(n->done[i], "POST /api", 9) != 0)
                fail_msg("carried out twice: %s", n->done[i]);
}
