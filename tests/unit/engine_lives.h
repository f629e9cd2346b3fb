/* Lives of a flow: once through, and then once more for every commit and every send at which its process
 * could have died, before and after it. The end must be the same, the journal complete. Included by a test
 * behind its table of flows, which is called `flows`. */
#pragma once
#include "engine_world.h"

struct scenario {
    const char *flow;
    int64_t act_at; /* ms after the start; 0: nobody acts */
    void (*act)(struct world *w, const char *id);
    void (*faults)(struct world *w);
    void (*check)(struct world *w, const char *id);
    enum mt_run_state end;
    bool pairs;   /* also die again in the recovery */
    bool unkeyed; /* it begins before its row is durable */
    char id[MT_ID_SIZE];
};

/* A start without a key is made again only when nothing is there of the first. */
static inline bool there_already(struct world *w, struct scenario *s) {
    struct mt_run *runs = NULL;
    size_t count = 0;
    struct mt_error e;
    struct mt_run_filter ours = {.flow = s->flow, .state = -1, .limit = 10};
    assert_int_equal(w->store->list_runs(w->store, &ours, &runs, &count, &e), 0);
    assert_true(count <= 1);
    for (size_t i = 0; i < count; i++) {
        mt_copy(s->id, sizeof s->id, runs[i].id);
        mt_run_clear(&runs[i]);
    }
    free(runs);
    return count > 0;
}

static inline bool begin(struct world *w, struct scenario *s) {
    struct mt_start start = {.flow = s->flow, .input = "{}", .key = s->unkeyed ? NULL : "the-order"};
    struct mt_run run;
    bool existing;
    struct mt_error e;
    if (s->unkeyed && there_already(w, s)) return true;
    if (mt_engine_start_run(w->engine, &start, &run, &existing, &e) != 0) {
        if (!atomic_load(&w->dead)) fail_msg("start: %s", e.message);
        return false;
    }
    mt_copy(s->id, sizeof s->id, run.id);
    mt_run_clear(&run);
    return true;
}

/* From the start to the end; what was done before is done again and must not count twice. False: died. */
static inline bool live(struct world *w, struct scenario *s) {
    if (!begin(w, s)) return false;
    if (s->act) {
        if (!world_drive_until(w, WORLD_START + s->act_at)) return false;
        s->act(w, s->id);
    }
    return world_drive(w) && !atomic_load(&w->dead);
}

static inline void settle_unsafe(struct world *w, struct scenario *s) {
    struct mt_run run;
    struct mt_error e;
    if (state_of(w, s->id) != MT_RUN_NEEDS_ATTENTION) return;
    bool done = done_times(w, "/unsafe/u") > 0;
    if (mt_engine_resolve(w->engine, s->id, 0, 2, done ? MT_DONE : MT_NOT_SENT,
                          done ? "{\"status\":200}" : NULL, NULL, &run, &e) != 0)
        fail_msg("%s", e.message);
    mt_run_clear(&run);
    assert_true(world_drive(w));
}

static inline void check_end(struct world *w, struct scenario *s, const char *story) {
    assert_safe(w);
    if (strcmp(s->flow, "unsafe") == 0) settle_unsafe(w, s);
    assert_state(w, s->id, s->end);
    s->check(w, s->id);
    if (!story || strcmp(s->flow, "unsafe") == 0) return;
    char *now = world_story(w);
    if (strcmp(now, story) != 0) {
        printf("another story:\n%s\nwanted:\n%s\n", now, story);
        fail();
    }
    free(now);
}

static int deaths;

struct death {
    int commit, send; /* which one; 0: none */
    bool after;
    int commit_again; /* in the recovery */
};

static inline void live_and_die(struct scenario *s, struct death d, const char *story) {
    struct world *w = world_new(flows, true);
    if (s->faults) s->faults(w);
    w->die_at_commit = d.commit;
    w->die_at_send = d.send;
    w->die_after = d.after;
    world_open(w);
    while (!live(w, s)) {
        deaths++;
        world_stop(w);
        w->die_at_commit = d.commit_again;
        w->die_at_send = 0;
        d.commit_again = 0;
        world_open(w);
    }
    check_end(w, s, story);
    world_free(w);
}

/* Sanitizers look for races and bad memory, and are ten times as slow: they see every single death, and of
 * the pairs a quarter, another one for each first death. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { PAIR_STEP = 4 };
#else
enum { PAIR_STEP = 1 };
#endif

static inline void die_again(struct scenario *s, struct death d, int first, int commits, const char *story) {
    for (int k = 1 + first % PAIR_STEP; s->pairs && k <= commits; k += PAIR_STEP) {
        d.commit_again = k;
        live_and_die(s, d, story);
    }
}

static inline void exhaust(struct scenario s) {
    struct world *w = world_new(flows, true);
    if (s.faults) s.faults(w);
    world_open(w);
    assert_true(live(w, &s));
    int commits = atomic_load(&w->commits), sends = atomic_load(&w->sends);
    check_end(w, &s, NULL);
    char *story = world_story(w);
    world_free(w);
    deaths = 0;
    for (int after = 0; after < 2; after++) {
        for (int k = 1; k <= commits + 1; k++) {
            live_and_die(&s, (struct death){.commit = k, .after = after}, story);
            die_again(&s, (struct death){.commit = k, .after = after}, k, commits, story);
        }
        for (int k = 1; k <= sends; k++) {
            live_and_die(&s, (struct death){.send = k, .after = after}, story);
            die_again(&s, (struct death){.send = k, .after = after}, k, commits, story);
        }
    }
    /* half of the tries at least: the commits of several threads may go together */
    assert_true(deaths >= commits + sends);
    free(story);
}

/* For scenarios whose act it is. */
static inline void cancel_it(struct world *w, const char *id) {
    struct mt_run run;
    struct mt_error e;
    if (mt_engine_cancel(w->engine, id, "changed my mind", &run, &e) == 0) mt_run_clear(&run);
}
