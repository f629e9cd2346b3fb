/* The baton (baton.h). Invariant: whoever runs holds the baton, so nothing here needs a lock; a thread's `go`
 * is the only word that two touch at once. A dead task that is given the baton leaves for its thread's first
 * frame and hands it on. */
#include "base/baton_private.h"
#include "base/sync.h"
#include "base/text.h"
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum state { RUNNABLE, WAITING, SETTLING, ENDED };

struct mt_task {
    struct mt_baton *baton;
    struct mt_task *next;
    pthread_t thread;
    int group;
    enum state state;
    bool timed_out, dead, detached, retired;
    const void *address; /* WAITING: for whom; NULL: for the time only */
    int64_t deadline;
    uint32_t go; /* atomic futex: 1 when the baton is its */
    void *(*main)(void *arg);
    void *arg;
    size_t stack;
    jmp_buf first; /* the thread's first frame */
};

struct mt_baton {
    struct mt_task *tasks, *reaper; /* the reaper is given the baton when a dead one has ended */
    struct mt_task *idle;           /* threads whose tasks have ended, for the next ones */
    struct mt_task first;
    int64_t start_ms, now_ns;
    uint64_t seed, turns;
};

_Thread_local struct mt_task *mt_task_self;

/* ---- the seed ---- */

static uint64_t next_random(struct mt_baton *b) { /* splitmix64 */
    uint64_t z = b->seed += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

uint64_t mt_baton_choose(struct mt_baton *b, uint64_t n) {
    return n ? next_random(b) % n : 0;
}

/* ---- handing on ---- */

static void give(struct mt_task *t) {
    t->baton->turns++;
    __atomic_store_n(&t->go, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &t->go, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void await_go(struct mt_task *t) {
    while (__atomic_load_n(&t->go, __ATOMIC_ACQUIRE) == 0)
        syscall(SYS_futex, &t->go, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    __atomic_store_n(&t->go, 0, __ATOMIC_RELAXED);
}

static size_t count_in(const struct mt_baton *b, enum state state) {
    size_t n = 0;
    for (struct mt_task *t = b->tasks; t; t = t->next) n += t->state == state;
    return n;
}

static struct mt_task *pick(struct mt_baton *b, enum state state, size_t n) {
    uint64_t k = n > 1 ? mt_baton_choose(b, n) : 0;
    for (struct mt_task *t = b->tasks; t; t = t->next)
        if (t->state == state && k-- == 0) return t;
    return NULL;
}

int64_t mt_baton_next(const struct mt_baton *b) {
    int64_t next = MT_NO_DEADLINE;
    for (struct mt_task *t = b->tasks; t; t = t->next)
        if (t->state == WAITING && t->deadline < next) next = t->deadline;
    return next;
}

/* Those whose time has come can go on. */
static void let_go(struct mt_baton *b) {
    for (struct mt_task *t = b->tasks; t; t = t->next) {
        if (t->state != WAITING || t->deadline > b->now_ns) continue;
        t->state = RUNNABLE;
        t->timed_out = true;
    }
}

/* Who is next: one that can go on, else one that waited for all others to rest, else the clock jumps. */
static struct mt_task *choose(struct mt_baton *b) {
    for (;;) {
        size_t n = count_in(b, RUNNABLE);
        if (n) return pick(b, RUNNABLE, n);
        if ((n = count_in(b, SETTLING))) return pick(b, SETTLING, n);
        int64_t next = mt_baton_next(b);
        if (next == MT_NO_DEADLINE) {
            fputs("the simulated world is stuck: every task waits, and for no time\n", stderr);
            abort();
        }
        if (next > b->now_ns) b->now_ns = next;
        let_go(b);
    }
}

static _Noreturn void die(struct mt_task *self) {
    longjmp(self->first, 1);
}

/* Gives the baton to whoever is next, and comes back when it is this task's again. */
static void hand_on(struct mt_task *self) {
    struct mt_task *next = choose(self->baton);
    if (next != self) {
        give(next);
        await_go(self);
    }
    if (self->dead) die(self);
    self->state = RUNNABLE;
}

/* ---- waiting ---- */

int64_t mt_task_now(void) {
    return mt_task_self->baton->now_ns;
}

bool mt_task_wait(const void *address, int64_t deadline_ns) {
    struct mt_task *self = mt_task_self;
    if (deadline_ns <= self->baton->now_ns) return false;
    self->state = WAITING;
    self->address = address;
    self->deadline = deadline_ns;
    self->timed_out = false;
    hand_on(self);
    return !self->timed_out;
}

void mt_task_wake(const void *address, bool all) {
    struct mt_baton *b = mt_task_self->baton;
    for (;;) {
        size_t n = 0;
        for (struct mt_task *t = b->tasks; t; t = t->next) n += t->state == WAITING && t->address == address;
        if (n == 0) return;
        uint64_t k = n > 1 ? mt_baton_choose(b, n) : 0;
        for (struct mt_task *t = b->tasks; t; t = t->next) {
            if (t->state != WAITING || t->address != address) continue;
            if (k-- == 0) t->state = RUNNABLE;
        }
        if (!all) return;
    }
}

void mt_baton_yield(struct mt_baton *b) {
    (void)b;
    hand_on(mt_task_self);
}

void mt_baton_settle(struct mt_baton *b) {
    (void)b;
    mt_task_self->state = SETTLING;
    hand_on(mt_task_self);
}

void mt_baton_jump(struct mt_baton *b, int64_t to_ns) {
    int64_t next = mt_baton_next(b);
    if (to_ns > next) to_ns = next;
    if (to_ns > b->now_ns) b->now_ns = to_ns;
    let_go(b);
}

/* ---- tasks ---- */

static void forget(struct mt_baton *b, struct mt_task *gone) {
    for (struct mt_task **t = &b->tasks; *t; t = &(*t)->next) {
        if (*t != gone) continue;
        *t = gone->next;
        return;
    }
}

/* No task any more, but its thread may become another's. */
static void rest(struct mt_baton *b, struct mt_task *t) {
    forget(b, t);
    t->next = b->idle;
    b->idle = t;
}

/* A thread that has no task, or whose task has ended, is over. */
static void retire(struct mt_task *t) {
    pthread_t thread = t->thread;
    t->retired = true;
    __atomic_store_n(&t->go, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &t->go, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    pthread_join(thread, NULL);
    free(t);
}

/* One task. True: its thread may have another. */
static bool run_task(struct mt_task *self) {
    mt_task_self = self;
    if (setjmp(self->first) == 0 && !self->dead) {
        self->state = RUNNABLE;
        self->main(self->arg);
    }
    struct mt_baton *b = self->baton;
    bool dead = self->dead;
    self->state = ENDED;
    mt_task_self = NULL; /* what the thread's end cleans up is no part of the world */
    for (struct mt_task *t = b->tasks; t; t = t->next) /* who joins it, see below */
        if (t->state == WAITING && t->address == self) t->state = RUNNABLE;
    struct mt_task *next = b->reaper ? b->reaper : choose(b);
    if (self->detached && !dead) rest(b, self);
    if (self->detached && dead && !b->reaper) {
        forget(b, self);
        pthread_detach(self->thread);
        free(self);
    }
    give(next);
    return !dead;
}

static void *task_main(void *arg) {
    struct mt_task *self = arg;
    do await_go(self);
    while (!self->retired && run_task(self));
    return NULL;
}

static int new_thread(struct mt_task *t) {
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, t->stack);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&t->thread, &attr, task_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

/* An idle thread, or a new one, and in *rc why not. */
static struct mt_task *thread_with(struct mt_baton *b, size_t stack, int *rc) {
    for (struct mt_task **at = &b->idle, *t; (t = *at); at = &t->next) {
        if (t->stack != stack) continue;
        *at = t->next;
        return t;
    }
    struct mt_task *t = mt_calloc(1, sizeof *t);
    t->stack = stack;
    if ((*rc = new_thread(t)) == 0) return t;
    free(t);
    return NULL;
}

static int start(struct mt_baton *b, int group, size_t stack, void *(*main)(void *arg), void *arg,
                 struct mt_task **made) {
    int rc = 0;
    struct mt_task *t = thread_with(b, stack ? stack : 1024 * 1024, &rc), **last = &b->tasks;
    if (!t) return rc;
    t->baton = b;
    t->next = NULL;
    t->group = group;
    t->state = RUNNABLE;
    t->timed_out = t->dead = t->detached = false;
    t->address = NULL;
    t->main = main;
    t->arg = arg;
    while (*last) last = &(*last)->next;
    *last = t;
    *made = t;
    return 0;
}

int mt_task_start(pthread_t *thread, size_t stack, void *(*main)(void *arg), void *arg) {
    struct mt_task *t;
    int rc = start(mt_task_self->baton, mt_task_self->group, stack, main, arg, &t);
    if (rc == 0) *thread = t->thread;
    return rc;
}

int mt_baton_spawn(struct mt_baton *b, int group, void *(*main)(void *arg), void *arg) {
    struct mt_task *t;
    int rc = start(b, group, 0, main, arg, &t);
    if (rc == 0) t->detached = true;
    return rc;
}

static struct mt_task *task_of(struct mt_baton *b, pthread_t thread) {
    for (struct mt_task *t = b->tasks; t; t = t->next)
        if (t != &b->first && pthread_equal(t->thread, thread)) return t;
    return NULL;
}

void mt_task_join(pthread_t thread) {
    struct mt_baton *b = mt_task_self->baton;
    struct mt_task *t = task_of(b, thread);
    while (t && t->state != ENDED) mt_task_wait(t, MT_NO_DEADLINE);
    if (t) rest(b, t);
}

/* ---- death ---- */

/* The dead one is given the baton, ends, and gives it back. */
static void reap(struct mt_task *self, struct mt_task *t) {
    struct mt_baton *b = self->baton;
    if (t->state == ENDED) {
        forget(b, t);
        retire(t);
        return;
    }
    t->dead = true;
    b->reaper = self;
    give(t);
    await_go(self);
    b->reaper = NULL;
    forget(b, t);
    pthread_join(t->thread, NULL);
    free(t);
}

static struct mt_task *another_of(struct mt_baton *b, int group) {
    for (struct mt_task *t = b->tasks; t; t = t->next)
        if (t != mt_task_self && t != &b->first && (group < 0 || t->group == group)) return t;
    return NULL;
}

void mt_baton_kill(struct mt_baton *b, int group) {
    struct mt_task *self = mt_task_self, *t;
    while ((t = another_of(b, group))) reap(self, t);
    if (self->group != group || self == &b->first) return;
    self->dead = self->detached = true;
    die(self);
}

/* ---- the world's beginning and end ---- */

struct mt_baton *mt_baton_new(uint64_t seed, int64_t start_ms) {
    struct mt_baton *b = mt_calloc(1, sizeof *b);
    b->seed = seed;
    b->now_ns = 1000000000; /* zero would be "no time" to somebody */
    b->start_ms = start_ms - 1000;
    return b;
}

void mt_baton_enter(struct mt_baton *b) {
    b->first = (struct mt_task){.baton = b, .thread = pthread_self(), .state = RUNNABLE};
    b->tasks = mt_task_self = &b->first;
}

void mt_baton_use(struct mt_baton *b) {
    mt_task_self = &b->first;
}

void mt_baton_leave(struct mt_baton *b) {
    struct mt_task *t;
    while ((t = another_of(b, -1))) reap(&b->first, t);
    while ((t = b->idle)) {
        b->idle = t->next;
        retire(t);
    }
    b->tasks = mt_task_self = NULL;
}

void mt_baton_free(struct mt_baton *b) {
    free(b);
}

struct mt_baton *mt_baton_mine(void) {
    return mt_task_self ? mt_task_self->baton : NULL;
}

int64_t mt_baton_wall_ms(const struct mt_baton *b) {
    return b->start_ms + b->now_ns / 1000000;
}

int mt_baton_group(const struct mt_baton *b) {
    (void)b;
    return mt_task_self->group;
}

uint64_t mt_baton_turns(const struct mt_baton *b) {
    return b->turns;
}
