/* Clocks: real time, real time with an offset that processes share, and a clock that stands still.
 * Invariant: a wake that comes between two waits is not lost: the next wait returns at once. Any thread may
 * read, wake and advance; one waits. */
#include "base/clock.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* No clock is moved past the year 9999, the last that RFC 3339 can write. */
static const int64_t last_ms = INT64_C(253402300799999);
static const int64_t mono_last_ms = INT64_C(9000000000000); /* 285 years of being moved */

/* What processes share: a file of this size, in this machine's byte order. */
struct shared {
    uint64_t magic;
    _Atomic int64_t offset_ms;
    _Atomic uint32_t word; /* changes with every wake and every move */
    uint8_t spare[44];
};
_Static_assert(sizeof(struct shared) == 64, "the clock file is 64 bytes");
static const uint64_t shared_magic = UINT64_C(0x31304B434C43544D); /* "MTCLCK01" */

struct real_clock {
    struct mt_clock base;
    struct shared *shared; /* mmap'ed, or &own */
    struct shared own;
    _Atomic uint32_t seen; /* the word at the end of the last wait */
};

static int64_t read_ms(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t real_wall(struct mt_clock *self) {
    struct real_clock *c = (struct real_clock *)self;
    return read_ms(CLOCK_REALTIME) + atomic_load(&c->shared->offset_ms);
}

/* Moves with the wall clock: an open circuit waits by the clock that was moved. Nanoseconds last for 292
 * years. */
static int64_t real_mono(struct mt_clock *self) {
    struct real_clock *c = (struct real_clock *)self;
    int64_t offset_ms = atomic_load(&c->shared->offset_ms);
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (offset_ms > mono_last_ms) offset_ms = mono_last_ms;
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec + offset_ms * 1000000;
}

/* How long to wait: until - now within [0, max_wait]. */
static int64_t wait_ms(int64_t until_ms, int64_t now, int64_t max_wait_ms) {
    int64_t ms;
    if (__builtin_sub_overflow(until_ms, now, &ms)) ms = until_ms > now ? INT64_MAX : 0;
    if (ms > max_wait_ms) ms = max_wait_ms;
    return ms < 0 ? 0 : ms;
}

static void real_wait(struct mt_clock *self, int64_t until_ms, int64_t max_wait_ms) {
    struct real_clock *c = (struct real_clock *)self;
    uint32_t seen = atomic_load(&c->seen);
    /* The word first, the time after: a move between the two changes the word and the futex call returns at
     * once. */
    if (atomic_load(&c->shared->word) == seen) {
        int64_t ms = wait_ms(until_ms, real_wall(self), max_wait_ms);
        struct timespec timeout = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
        if (ms > 0) syscall(SYS_futex, &c->shared->word, FUTEX_WAIT, seen, &timeout, NULL, 0);
    }
    atomic_store(&c->seen, atomic_load(&c->shared->word));
}

static void real_wake(struct mt_clock *self) {
    struct real_clock *c = (struct real_clock *)self;
    atomic_fetch_add(&c->shared->word, 1);
    syscall(SYS_futex, &c->shared->word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static int check_advance(int64_t now, int64_t by_ms, struct mt_error *e) {
    if (by_ms < 0)
        return mt_fail(e, MT_INVALID_REQUEST, "a clock only moves forward: found %lld ms", (long long)by_ms);
    if (now > last_ms || by_ms > last_ms - now)
        return mt_fail(e, MT_LIMIT, "the clock cannot be moved past the year 9999");
    return 0;
}

static int shared_advance(struct mt_clock *self, int64_t by_ms, struct mt_error *e) {
    struct real_clock *c = (struct real_clock *)self;
    int64_t offset = atomic_load(&c->shared->offset_ms);
    do {
        if (check_advance(read_ms(CLOCK_REALTIME) + offset, by_ms, e) != 0) return -1;
    } while (!atomic_compare_exchange_weak(&c->shared->offset_ms, &offset, offset + by_ms));
    real_wake(self);
    if (msync(c->shared, sizeof(*c->shared), MS_SYNC) != 0)
        return mt_fail(e, MT_STORE, "the clock's file could not be written: %s", strerror(errno));
    return 0;
}

static void real_free(struct mt_clock *self) {
    struct real_clock *c = (struct real_clock *)self;
    if (c == NULL) return;
    if (c->shared != &c->own) munmap(c->shared, sizeof(*c->shared));
    free(c);
}

struct mt_clock *mt_clock_system(void) {
    struct real_clock *c = mt_calloc(1, sizeof(*c));
    c->base = (struct mt_clock){real_wall, real_mono, real_wait, real_wake, NULL, real_free};
    c->shared = &c->own;
    return &c->base;
}

/* Under an exclusive lock, so that two processes that start together make one file. */
static int prepare_file(int fd, const char *path, struct mt_error *e) {
    struct stat st;
    struct shared head = {.magic = shared_magic};
    if (flock(fd, LOCK_EX) != 0 || fstat(fd, &st) != 0)
        return mt_fail(e, MT_STORE, "clock file %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode)) return mt_fail(e, MT_STORE, "clock file %s: not a regular file", path);
    if (st.st_size == 0) {
        if (pwrite(fd, &head, sizeof(head), 0) != sizeof(head) || fsync(fd) != 0)
            return mt_fail(e, errno == ENOSPC ? MT_FULL : MT_STORE, "clock file %s: %s", path,
                           strerror(errno));
        return 0;
    }
    if (st.st_size != sizeof(head) || pread(fd, &head, sizeof(head), 0) != sizeof(head) ||
        head.magic != shared_magic || head.offset_ms < 0 || head.offset_ms > last_ms)
        return mt_fail(
            e, MT_STORE,
            "clock file %s: this is not a clock file of Mintage; move it away to start at real time", path);
    return 0;
}

struct mt_clock *mt_clock_open_shared(const char *path, struct mt_error *e) {
    struct real_clock *c = NULL;
    void *map = MAP_FAILED;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) return mt_fail_null(e, MT_STORE, "clock file %s: %s", path, strerror(errno));
    if (prepare_file(fd, path, e) != 0) goto done;
    map = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        mt_fail(e, MT_STORE, "clock file %s: %s", path, strerror(errno));
        goto done;
    }
    c = mt_calloc(1, sizeof(*c));
    c->base = (struct mt_clock){real_wall, real_mono, real_wait, real_wake, shared_advance, real_free};
    c->shared = map;
    atomic_init(&c->seen, atomic_load(&c->shared->word));
done:
    flock(fd, LOCK_UN); /* the mapping keeps the open file, and would keep its lock */
    close(fd);
    return c == NULL ? NULL : &c->base;
}

struct fixed_clock {
    struct mt_clock base;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int64_t start_ms, now_ms;
    bool woken; /* since the last wait */
};

static int64_t fixed_wall(struct mt_clock *self) {
    struct fixed_clock *c = (struct fixed_clock *)self;
    pthread_mutex_lock(&c->lock);
    int64_t now = c->now_ms;
    pthread_mutex_unlock(&c->lock);
    return now;
}

static int64_t fixed_mono(struct mt_clock *self) {
    struct fixed_clock *c = (struct fixed_clock *)self;
    return (fixed_wall(self) - c->start_ms) * 1000000;
}

static void fixed_wait(struct mt_clock *self, int64_t until_ms, int64_t max_wait_ms) {
    struct fixed_clock *c = (struct fixed_clock *)self;
    int64_t end = read_ms(CLOCK_MONOTONIC);
    if (max_wait_ms > 0 && __builtin_add_overflow(end, max_wait_ms, &end)) end = INT64_MAX;
    struct timespec t = {.tv_sec = (time_t)(end / 1000), .tv_nsec = (long)(end % 1000) * 1000000};
    pthread_mutex_lock(&c->lock);
    while (c->now_ms < until_ms && !c->woken)
        if (pthread_cond_timedwait(&c->changed, &c->lock, &t) == ETIMEDOUT) break;
    c->woken = false;
    pthread_mutex_unlock(&c->lock);
}

static void fixed_wake(struct mt_clock *self) {
    struct fixed_clock *c = (struct fixed_clock *)self;
    pthread_mutex_lock(&c->lock);
    c->woken = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

static int fixed_advance(struct mt_clock *self, int64_t by_ms, struct mt_error *e) {
    struct fixed_clock *c = (struct fixed_clock *)self;
    pthread_mutex_lock(&c->lock);
    int r = check_advance(c->now_ms, by_ms, e);
    if (r == 0) {
        c->now_ms += by_ms;
        c->woken = true;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return r;
}

static void fixed_free(struct mt_clock *self) {
    struct fixed_clock *c = (struct fixed_clock *)self;
    if (c == NULL) return;
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

struct mt_clock *mt_clock_fixed(int64_t start_ms) {
    struct fixed_clock *c = mt_calloc(1, sizeof(*c));
    c->base = (struct mt_clock){fixed_wall, fixed_mono, fixed_wait, fixed_wake, fixed_advance, fixed_free};
    c->start_ms = c->now_ms = start_ms;
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->changed, &attr);
    pthread_condattr_destroy(&attr);
    return &c->base;
}
