/* Which runs are executed when: the queue of those that are claimed, the workers who take from it, and the
 * timer thread, which takes due runs from the store while there is room. Invariant: a run that is due is in
 * the store's queue, in ours, or on a worker; a start goes past the store's queue only while nobody waits in
 * it. Any thread, under ready_lock. */
#include "base/sync.h"
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STRANDED_MS 1000 /* between looks at runs that the store would not have */
#define LOOK_AGAIN_MS 1000
#define NOTHING_MS 50 /* something was due and could not be claimed */

static void wake(struct worker *w) {
    __atomic_store_n(&w->given, 1, __ATOMIC_RELEASE);
    mt_futex_wake(&w->given);
}

/* To an idle worker, else to the end of the queue. */
void ready_push(struct mt_engine *g, struct mt_run *run) {
    struct ready *r = mt_calloc(1, sizeof *r);
    r->run = *run;
    mt_lock(&g->ready_lock);
    struct worker *w = g->idle;
    if (w) {
        g->idle = w->idle;
        w->run = r;
        g->executing++;
    } else if (g->ready_last) {
        g->ready_last->next = r;
    } else {
        g->ready_first = r;
    }
    if (!w) {
        g->ready_last = r;
        g->ready_count++;
    }
    bool grow = !w && crew_wanted(g);
    mt_unlock(&g->ready_lock);
    if (w) wake(w);
    if (grow) crew_grow(g);
}

/* The first of the queue, or NULL, and then the worker is idle. */
static struct ready *take_or_rest(struct worker *w, bool *stays) {
    struct mt_engine *g = w->g;
    bool room = false;
    mt_lock(&g->ready_lock);
    struct ready *r = g->ready_first;
    crew_came(w);
    if (r) {
        g->ready_first = r->next;
        if (!g->ready_first) g->ready_last = NULL;
        g->ready_count--;
        g->executing++;
        room = g->claim_wanted && g->ready_count < (size_t)g->core;
        if (room) g->claim_wanted = false;
    } else {
        bool stop = atomic_load(&g->stopping);
        __atomic_store_n(&w->given, stop, __ATOMIC_RELAXED);
        if (!stop) {
            w->idle = g->idle;
            g->idle = w;
            *stays = g->live <= g->core;
        }
    }
    mt_unlock(&g->ready_lock);
    if (room) g->o.clock->wake(g->o.clock);
    return r;
}

/* Waits to be given something. False: it has waited for so long that it ends. */
static bool rest(struct worker *w, bool stays) {
    int64_t until = stays ? MT_NO_DEADLINE : mt_mono_ns() + w->g->o.worker_idle_ms * INT64_C(1000000);
    while (!__atomic_load_n(&w->given, __ATOMIC_ACQUIRE)) {
        if (mt_futex_wait(&w->given, 0, until)) continue;
        if (crew_may_go(w)) return false;
        until = MT_NO_DEADLINE;
    }
    return true;
}

bool ready_pop(struct worker *w, struct mt_run *run) {
    bool stays = true;
    struct ready *r = take_or_rest(w, &stays);
    if (!r) {
        if (!rest(w, stays)) return false;
        r = w->run;
        w->run = NULL;
    }
    if (!r) return false;
    *run = r->run;
    free(r);
    return true;
}

void ready_done(struct mt_engine *g) {
    mt_lock(&g->ready_lock);
    g->executing--;
    mt_unlock(&g->ready_lock);
}

void ready_stop(struct mt_engine *g) {
    mt_lock(&g->ready_lock);
    while (g->idle) {
        struct worker *w = g->idle;
        g->idle = w->idle;
        wake(w);
    }
    mt_unlock(&g->ready_lock);
}

bool ready_room(struct mt_engine *g) {
    mt_lock(&g->ready_lock);
    bool room = g->workers > 0 && !g->claim_wanted && g->ready_count < 2 * (size_t)g->core;
    mt_unlock(&g->ready_lock);
    return room;
}

bool ready_idle(struct mt_engine *g) {
    mt_lock(&g->ready_lock);
    bool idle = g->ready_count == 0 && !g->claim_wanted;
    mt_unlock(&g->ready_lock);
    return idle;
}

/* ---- runs that the store would not have ---- */

void strand(struct mt_engine *g, const char *run_id) {
    struct stranded *s = mt_calloc(1, sizeof *s);
    mt_copy(s->run_id, sizeof s->run_id, run_id);
    mt_lock(&g->ready_lock);
    s->next = g->stranded;
    g->stranded = s;
    mt_unlock(&g->ready_lock);
    g->o.clock->wake(g->o.clock);
}

/* Takes them up again from their journals, as far as they are still ours. False: some have to wait. */
static bool take_up_stranded(struct mt_engine *g, int64_t *last_ns) {
    int64_t now = mt_mono_ns();
    bool soon = now - *last_ns < STRANDED_MS * INT64_C(1000000);
    mt_lock(&g->ready_lock);
    struct stranded *list = g->stranded, *next;
    if (!soon) g->stranded = NULL;
    mt_unlock(&g->ready_lock);
    if (soon) return !list;
    *last_ns = now;
    for (; list; list = next) {
        struct mt_run run;
        struct mt_error e;
        next = list->next;
        if (g->o.store->get_run(g->o.store, list->run_id, &run, &e) != 0) {
            if (e.kind != MT_NOT_FOUND) strand(g, list->run_id);
        } else if (run.owner != g->o.store->epoch) {
            mt_run_clear(&run);
        } else {
            run.entries = run.entries ? run.entries : 1; /* of an owned run it may lag: its journal tells */
            ready_push(g, &run);
        }
        free(list);
    }
    return true;
}

/* ---- the timer ---- */

/* Takes what is due, as much as there is room for. Returns how many. */
static size_t claim(struct mt_engine *g, size_t limit) {
    struct mt_op op = {
        .type = MT_OP_CLAIM,
        .claim = {.epoch = g->o.store->epoch, .now = g->o.clock->wall_ms(g->o.clock), .limit = limit}};
    struct mt_batch batch = {.ops = &op, .count = 1};
    if (mt_writer_submit(g->writer, &batch) != 0) return 0;
    for (size_t i = 0; i < op.claim.count; i++) ready_push(g, &op.claim.runs[i]);
    free(op.claim.runs);
    return op.claim.count;
}

/* Takes due runs while there is room. Answers when to look again. */
static int64_t serve_runs(struct mt_engine *g, int64_t due, int64_t now) {
    if (g->workers == 0) return MT_NEVER;
    mt_lock(&g->ready_lock);
    size_t waiting = g->ready_count;
    g->claim_wanted =
        due <= now && waiting >= (size_t)g->core; /* then a worker says when there is room again */
    mt_unlock(&g->ready_lock);
    if (due > now) return due;
    if (due > 0)
        atomic_store(&g->timer_lag_ms, (uint64_t)(now - due)); /* 0: taken over from a dead process */
    if (waiting >= (size_t)g->core) return MT_NEVER;
    return claim(g, 2 * (size_t)g->core - waiting) > 0 ? now : now + NOTHING_MS;
}

/* The one thread that waits on the clock: due runs go to the workers, dated work to the dater. */
void *timer_main(void *engine) {
    struct mt_engine *g = engine;
    int64_t stranded_at = 0;
    while (!atomic_load(&g->stopping)) {
        struct mt_error e;
        int64_t runs = MT_NEVER, rest = MT_NEVER, now = g->o.clock->wall_ms(g->o.clock);
        atomic_store(&g->looks_at, MT_NEVER); /* before the store is asked */
        bool all = take_up_stranded(g, &stranded_at);
        if (g->o.store->next_due(g->o.store, &runs, &rest, &e) != 0) runs = rest = now + LOOK_AGAIN_MS;
        runs = serve_runs(g, runs, now);
        int64_t schedules = atomic_load(&g->schedules_due);
        if (schedules < rest) rest = schedules;
        if (rest <= now) {
            dater_call(g);
            rest = MT_NEVER; /* it wakes this thread when it is done */
        }
        int64_t retention = atomic_load(&g->retention_due);
        if (retention <= now) {
            atomic_store(&g->retention_due, MT_NEVER); /* the keeper says when again */
            keeper_call(g);
        } else if (retention < rest) {
            rest = retention;
        }
        int64_t next = runs < rest ? runs : rest;
        if (!all && next > now + STRANDED_MS) next = now + STRANDED_MS;
        atomic_store(&g->looks_at, next);
        if (next > now) g->o.clock->wait_until(g->o.clock, next, LOOK_AGAIN_MS);
    }
    return NULL;
}
