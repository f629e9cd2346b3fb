/* The crew: as many worker threads as there is work for. Invariant: at most CREW_CORE of them compute while
 * runs are queued; one that waits for the world outside (an answer, a nap) makes room for another, up to
 * `workers`. ready_lock guards who lives and rests; crew_lock is held while a thread is made, and is taken
 * first. */
#include "base/sync.h"
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

enum { WORKER_STACK = 1024 * 1024 };

static _Thread_local struct mt_engine *works_for; /* NULL: no worker's thread */

static void *worker_main(void *arg) {
    struct worker *w = arg;
    struct mt_run run;
    struct mt_exec *x = exec_new(w->g);
    works_for = w->g;
    pthread_setname_np(pthread_self(), "mt-worker"); /* else that of whoever hired it */
    while (ready_pop(w, &run)) {
        exec_execute(x, &run);
        ready_done(w->g);
    }
    exec_free(x);
    return NULL;
}

bool crew_wanted(const struct mt_engine *g) {
    return g->crew_open && !atomic_load(&g->stopping) && g->ready_count > g->coming && g->live < g->workers &&
           g->live - atomic_load(&g->away) < g->core;
}

/* A place in the crew, or NULL. */
static struct worker *enlist(struct mt_engine *g, bool always) {
    struct worker *w = NULL;
    mt_lock(&g->ready_lock);
    if (always || crew_wanted(g)) {
        w = g->gone;
        if (w)
            g->gone = w->idle;
        else
            w = &g->crew[g->crew_used++];
        g->live++;
        g->coming++;
        w->coming = true;
    }
    mt_unlock(&g->ready_lock);
    return w;
}

static int hire(struct mt_engine *g, struct worker *w) {
    if (w->joinable) mt_thread_join(w->thread); /* whoever had the place has given it up */
    w->g = g;
    w->given = 0;
    w->run = NULL;
    int rc = mt_thread_start(&w->thread, WORKER_STACK, worker_main, w);
    w->joinable = rc == 0;
    if (rc == 0) return 0;
    mt_lock(&g->ready_lock);
    crew_came(w);
    g->live--;
    w->idle = g->gone;
    g->gone = w;
    mt_unlock(&g->ready_lock);
    return rc;
}

bool crew_grow(struct mt_engine *g) {
    int rc = 0, live = 0;
    mt_lock(&g->crew_lock);
    struct worker *w = enlist(g, false);
    if (w) rc = hire(g, w);
    live = g->crew_used;
    mt_unlock(&g->crew_lock);
    if (rc == 0) return w != NULL;
    if (!atomic_exchange(&g->crew_failed, true)) {
        char n[16];
        mt_format(n, sizeof n, "%d", live);
        mt_warn("another worker's thread cannot be started: runs wait for the others", "error", strerror(rc),
                "workers", n);
    }
    return false;
}

int crew_start(struct mt_engine *g) {
    if (g->workers == 0) return 0;
    mt_lock(&g->crew_lock);
    int rc = hire(g, enlist(g, true)); /* one at least, whatever comes */
    mt_unlock(&g->crew_lock);
    if (rc != 0) return rc;
    mt_lock(&g->ready_lock);
    g->crew_open = true;
    mt_unlock(&g->ready_lock);
    while (crew_grow(g)) continue;
    return 0;
}

void crew_join(struct mt_engine *g) {
    mt_lock(&g->crew_lock); /* who was being hired is; nobody is from now on */
    mt_unlock(&g->crew_lock);
    for (int i = 0; i < g->crew_used; i++)
        if (g->crew[i].joinable) mt_thread_join(g->crew[i].thread);
    g->crew_used = 0;
}

/* ---- coming and going (under ready_lock) ---- */

void crew_came(struct worker *w) {
    if (!w->coming) return;
    w->coming = false;
    w->g->coming--;
}

bool crew_may_go(struct worker *w) {
    struct mt_engine *g = w->g;
    struct worker **p = &g->idle;
    mt_lock(&g->ready_lock);
    while (*p && *p != w) p = &(*p)->idle;
    bool goes = *p && g->live > g->core; /* one that rests no more has just been given something */
    if (goes) {
        *p = w->idle;
        w->idle = g->gone;
        g->gone = w;
        g->live--;
    }
    mt_unlock(&g->ready_lock);
    return goes;
}

/* ---- waiting for the world outside ---- */

void crew_away(struct mt_engine *g) {
    if (works_for != g) return;
    atomic_fetch_add(&g->away, 1); /* before the look at the queue, as a push looks after it has queued */
    if (atomic_load(&g->ready_count) > 0) crew_grow(g);
}

void crew_back(struct mt_engine *g) {
    if (works_for == g) atomic_fetch_sub(&g->away, 1);
}
