/* The writer (writer.h). Submitters push batches onto a lock-free stack; the writer takes the whole stack at
 * once, turns it round, and commits what it holds: whoever comes while the disk syncs shares the next sync.
 * A batch's `done` is its submitter's futex: 0 on its way, 1 on its way with somebody asleep on it, 2
 * answered. Once it is 2 the batch belongs to the submitter again and the writer must not look at it. */
#include "store/writer.h"
#include "base/log.h"
#include "base/sync.h"
#include "base/text.h"
#include "store/rules.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define GROUP_MAX 512 /* batches a commit */
#define QUEUE_LIMIT 10000
#define CROWD 8          /* from groups of this size on, the next one is waited for a little */
#define GATHER_NS 100000 /* a look at what has come meanwhile */
#define GATHER_LOOKS 5
#define FULL_WAIT_MIN_MS 50 /* between tries while the disk is full */
#define FULL_WAIT_MAX_MS 1000

enum { WAITED_ON = 1, ANSWERED = 2 };

/* What mt_writer_exclusive queues: a batch whose operations are this mark. */
static struct mt_op exclusive_mark;
struct exclusive {
    struct mt_batch batch; /* first */
    int (*fn)(struct mt_store *store, void *ctx, struct mt_error *e);
    void *ctx;
};

struct mt_writer {
    struct mt_writer_options options;
    pthread_t thread;
    struct mt_batch *head; /* atomic: the stack of what was submitted */
    uint32_t wake;         /* atomic futex: 1 when there is something to look at */
    uint64_t depth;        /* atomic: batches submitted and not answered */
    bool stopping;         /* atomic */
    bool full;             /* atomic: the last commit found the disk full */

    /* the writer's thread */
    struct mt_batch *first, *last; /* taken from the stack, in order, linked by `next` */
    struct mt_batch *group[GROUP_MAX];
    uint64_t crowd; /* how large groups have been of late */

    uint64_t commits, batches, refused, full_commits, size_histogram[12]; /* atomic */
};

static void count(uint64_t *counter, uint64_t by) {
    __atomic_fetch_add(counter, by, __ATOMIC_RELAXED);
}
static uint64_t counted(const uint64_t *counter) {
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* ---- submitting ---- */

static void push(struct mt_writer *w, struct mt_batch *b) {
    __atomic_store_n(&b->done, 0, __ATOMIC_RELAXED);
    count(&w->depth, 1);
    struct mt_batch *head = __atomic_load_n(&w->head, __ATOMIC_RELAXED);
    do {
        b->next = head;
    } while (!__atomic_compare_exchange_n(&w->head, &head, b, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
    if (__atomic_exchange_n(&w->wake, 1, __ATOMIC_SEQ_CST) == 0) mt_futex_wake(&w->wake);
}

static uint64_t limit_of(const struct mt_writer *w) {
    return w->options.queue_limit ? w->options.queue_limit : QUEUE_LIMIT;
}

bool mt_writer_post(struct mt_writer *w, struct mt_batch *batch) {
    if (batch->optional && counted(&w->depth) >= limit_of(w)) {
        mt_rules_begin(batch);
        batch->status =
            mt_fail(&batch->error, MT_UNAVAILABLE, "too much is waiting to be written; try again shortly");
        batch->error.retryable = true;
        count(&w->refused, 1);
        __atomic_store_n(&batch->done, ANSWERED, __ATOMIC_RELEASE);
        return false;
    }
    push(w, batch);
    return true;
}

int mt_writer_wait(struct mt_writer *w, struct mt_batch *batch) {
    (void)w;
    for (;;) {
        uint32_t seen = __atomic_load_n(&batch->done, __ATOMIC_ACQUIRE);
        if (seen == ANSWERED) return batch->status;
        if (seen == 0 && !__atomic_compare_exchange_n(&batch->done, &seen, WAITED_ON, false, __ATOMIC_ACQUIRE,
                                                      __ATOMIC_ACQUIRE))
            continue;
        mt_futex_wait(&batch->done, WAITED_ON, MT_NO_DEADLINE);
    }
}

int mt_writer_submit(struct mt_writer *w, struct mt_batch *batch) {
    mt_writer_post(w, batch);
    return mt_writer_wait(w, batch);
}

bool mt_writer_busy(const struct mt_writer *w) {
    return __atomic_load_n(&w->full, __ATOMIC_RELAXED) || counted(&w->depth) >= limit_of(w);
}

int mt_writer_exclusive(struct mt_writer *w, int (*fn)(struct mt_store *store, void *ctx, struct mt_error *e),
                        void *ctx, struct mt_error *e) {
    struct exclusive x = {.batch = {.ops = &exclusive_mark}, .fn = fn, .ctx = ctx};
    push(w, &x.batch);
    if (mt_writer_wait(w, &x.batch) == 0) return 0;
    *e = x.batch.error;
    return -1;
}

/* ---- the writer's thread ---- */

static void answer(struct mt_writer *w, struct mt_batch *b) {
    __atomic_fetch_sub(&w->depth, 1, __ATOMIC_RELAXED);
    if (__atomic_exchange_n(&b->done, ANSWERED, __ATOMIC_ACQ_REL) == WAITED_ON) mt_futex_wake(&b->done);
}

static void answer_failed(struct mt_writer *w, struct mt_batch *b, const struct mt_error *e) {
    mt_rules_begin(b); /* it may not have been tried at all; outputs of a try are gone already */
    b->status = -1;
    b->error = *e;
    count(&w->refused, 1);
    answer(w, b);
}

/* Moves what was submitted to the end of the writer's own list, oldest first. */
static void take(struct mt_writer *w) {
    struct mt_batch *stack = __atomic_exchange_n(&w->head, NULL, __ATOMIC_ACQUIRE), *list = NULL,
                    *last = stack;
    if (!stack) return;
    while (stack) {
        struct mt_batch *next = stack->next;
        stack->next = list;
        list = stack;
        stack = next;
    }
    if (w->first)
        w->last->next = list;
    else
        w->first = list;
    w->last = last;
}

static struct mt_batch *next_batch(struct mt_writer *w) {
    struct mt_batch *b = w->first;
    w->first = b->next;
    return b;
}

/* A commit costs the same whether it carries one batch or fifty. Where groups have been large of late, the
 * others who are on their way are waited for: while more come, and no longer than half a millisecond. Whoever
 * is alone never waits. */
static void gather(struct mt_writer *w) {
    uint64_t depth = counted(&w->depth);
    for (int looks = 0; w->crowd >= CROWD && depth < w->crowd && looks < GATHER_LOOKS; looks++) {
        uint64_t before = depth;
        mt_nap(GATHER_NS);
        depth = counted(&w->depth);
        if (depth == before) break;
    }
    take(w);
}

static void note_crowd(struct mt_writer *w, uint64_t n) {
    w->crowd = n > w->crowd ? n : w->crowd - (w->crowd - n + 7) / 8;
}

/* The front of the list, up to a full group or something exclusive. */
static size_t form_group(struct mt_writer *w) {
    size_t n = 0;
    while (n < GROUP_MAX && w->first && w->first->ops != &exclusive_mark) w->group[n++] = next_batch(w);
    return n;
}

static void run_exclusive(struct mt_writer *w, struct mt_batch *b) {
    struct exclusive *x = (struct exclusive *)b;
    b->status = x->fn(w->options.store, x->ctx, &b->error) ? -1 : 0;
    answer(w, b);
}

static void note_group(struct mt_writer *w, size_t n) {
    size_t bucket = 0;
    while (bucket < 11 && ((size_t)1 << bucket) < n) bucket++;
    count(&w->commits, 1);
    count(&w->size_histogram[bucket], 1);
}

/* Tells the world about a commit, then each submitter. */
static void announce(struct mt_writer *w, size_t n) {
    int64_t due = MT_NEVER;
    uint64_t applied = 0;
    for (size_t i = 0; i < n; i++) {
        struct mt_batch *b = w->group[i];
        if (b->status) continue;
        applied++;
        if (b->due < due) due = b->due;
        if (w->options.committed) w->options.committed(w->options.ctx, b);
    }
    if (due < MT_NEVER && w->options.due) w->options.due(w->options.ctx, due);
    note_group(w, n);
    count(&w->batches, applied);
    count(&w->refused, n - applied);
    for (size_t i = 0; i < n; i++) answer(w, w->group[i]);
}

/* What to do with a group that found the disk full: what belongs to a run goes back to the front of the list,
 * to be tried again; the rest is answered. */
static void put_back(struct mt_writer *w, size_t n, const struct mt_error *e) {
    while (n-- > 0) {
        struct mt_batch *b = w->group[n];
        if (!b->run) {
            answer_failed(w, b, e);
            continue;
        }
        b->next = w->first;
        if (!w->first) w->last = b;
        w->first = b;
    }
}

static void commit_group(struct mt_writer *w, size_t n) {
    struct mt_error e = {0};
    if (w->options.store->commit(w->options.store, w->group, n, &e) == 0) {
        if (__atomic_exchange_n(&w->full, false, __ATOMIC_RELAXED)) mt_info("the disk has room again");
        announce(w, n);
        return;
    }
    if (e.kind == MT_FULL) {
        count(&w->full_commits, 1);
        if (!__atomic_exchange_n(&w->full, true, __ATOMIC_RELAXED))
            mt_err("the disk is full: runs wait until there is room, starts are refused", "cause", e.message);
        put_back(w, n, &e);
        return;
    }
    mt_err("a commit failed", "cause", e.message);
    for (size_t i = 0; i < n; i++) answer_failed(w, w->group[i], &e);
}

/* While the disk is full: answers what does not belong to a run, runs what is exclusive (it may make room).
 */
static void sift(struct mt_writer *w) {
    static const char message[] = "the disk that holds the store is full";
    struct mt_batch *list = w->first, *next;
    struct mt_error e;
    mt_fail(&e, MT_FULL, "%s", message);
    w->first = w->last = NULL;
    for (; list; list = next) {
        next = list->next;
        if (list->ops == &exclusive_mark) {
            run_exclusive(w, list);
        } else if (!list->run) {
            answer_failed(w, list, &e);
        } else {
            list->next = NULL;
            if (w->first)
                w->last->next = list;
            else
                w->first = list;
            w->last = list;
        }
    }
}

/* Sleeps until something was submitted or the time has passed. */
static void sleep_until_woken(struct mt_writer *w, int64_t deadline_ns) {
    if (__atomic_exchange_n(&w->wake, 0, __ATOMIC_SEQ_CST)) return;
    if (__atomic_load_n(&w->head, __ATOMIC_ACQUIRE)) return;
    mt_futex_wait(&w->wake, 0, deadline_ns);
}

/* Waits out a full disk for a while; then the caller tries again. When no run is waiting, the next start is
 * the try. */
static void wait_for_room(struct mt_writer *w, int64_t *pause) {
    int64_t until = mt_mono_ns() + *pause * 1000000;
    *pause = *pause * 2 < FULL_WAIT_MAX_MS ? *pause * 2 : FULL_WAIT_MAX_MS;
    do {
        take(w);
        sift(w);
        if (__atomic_load_n(&w->stopping, __ATOMIC_ACQUIRE)) break;
        sleep_until_woken(w, until);
    } while (mt_mono_ns() < until);
    take(w);
    if (!w->first) __atomic_store_n(&w->full, false, __ATOMIC_RELAXED);
}

/* The last words to those who still wait for room when the program stops: their runs are taken up at the next
 * start. */
static void give_up(struct mt_writer *w) {
    struct mt_error e;
    mt_fail(&e, MT_FULL, "the disk that holds the store is full, and the program is stopping");
    while (w->first) answer_failed(w, next_batch(w), &e);
}

static void *writer_main(void *arg) {
    struct mt_writer *w = arg;
    int64_t pause = FULL_WAIT_MIN_MS;
    pthread_setname_np(pthread_self(), "mt-writer");
    prctl(PR_SET_TIMERSLACK, 10000UL); /* gather's naps are short */
    for (;;) {
        bool stopping = __atomic_load_n(&w->stopping, __ATOMIC_ACQUIRE);
        take(w);
        if (!w->first) {
            if (stopping) return NULL;
            sleep_until_woken(w, MT_NO_DEADLINE);
            continue;
        }
        if (w->first->ops == &exclusive_mark) {
            run_exclusive(w, next_batch(w));
            continue;
        }
        gather(w);
        size_t n = form_group(w);
        note_crowd(w, n);
        commit_group(w, n);
        if (!__atomic_load_n(&w->full, __ATOMIC_RELAXED))
            pause = FULL_WAIT_MIN_MS;
        else if (stopping)
            give_up(w);
        else
            wait_for_room(w, &pause);
    }
}

/* ---- starting and stopping ---- */

struct mt_writer *mt_writer_start(const struct mt_writer_options *options, struct mt_error *e) {
    struct mt_writer *w = mt_calloc(1, sizeof *w);
    w->options = *options;
    int rc = mt_thread_start(&w->thread, 0, writer_main, w);
    if (rc) {
        free(w);
        return mt_fail_null(e, MT_INTERNAL, "cannot start the writer's thread: %s", strerror(rc));
    }
    return w;
}

void mt_writer_stats(const struct mt_writer *w, struct mt_writer_stats *out) {
    out->commits = counted(&w->commits);
    out->batches = counted(&w->batches);
    out->refused = counted(&w->refused);
    out->full = counted(&w->full_commits);
    for (int i = 0; i < 12; i++) out->size_histogram[i] = counted(&w->size_histogram[i]);
}

void mt_writer_stop(struct mt_writer *w) {
    if (!w) return;
    __atomic_store_n(&w->stopping, true, __ATOMIC_RELEASE);
    __atomic_store_n(&w->wake, 1, __ATOMIC_SEQ_CST);
    mt_futex_wake(&w->wake);
    mt_thread_join(w->thread);
    free(w);
}
