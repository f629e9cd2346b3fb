/* Time behind a vtable, so that tests and the simulated world bring their own.
 * Wall time is milliseconds since 1970-01-01T00:00:00Z (int64_t); monotonic time is nanoseconds from
 * anywhere, and moves with the wall when a clock is advanced. mt_clock_system() may carry an offset kept in a
 * file that several processes share (see mt_clock_open_shared): that is how the sandbox's clock moves the
 * runtime's. Any thread. */
#pragma once
#include "base/error.h"
#include <stdint.h>

struct mt_clock {
    int64_t (*wall_ms)(struct mt_clock *self);
    int64_t (*mono_ns)(struct mt_clock *self);
    /* Blocks until the wall clock reads at least `until_ms`, or mt_clock_wake is called on it, or
     * `max_wait_ms` of real time has passed (whatever comes first; spurious returns allowed). One waiter per
     * clock. */
    void (*wait_until)(struct mt_clock *self, int64_t until_ms, int64_t max_wait_ms);
    void (*wake)(struct mt_clock *self);
    /* Moves the wall clock forward by `by_ms` (>= 0), waking waiters in every process that shares it. NULL
     * when fixed. */
    int (*advance)(struct mt_clock *self, int64_t by_ms, struct mt_error *e);
    void (*free)(struct mt_clock *self);
};

/* Real time, offset 0, cannot be advanced. Caller frees with clock->free(clock). */
struct mt_clock *mt_clock_system(void);
/* Real time plus an offset that lives in `path` (created, mode 0600, when missing; mmap'ed and shared between
 * processes; survives restarts). The offset only grows. */
struct mt_clock *mt_clock_open_shared(const char *path, struct mt_error *e);
/* A clock that stands still at start_ms until advanced (tests). */
struct mt_clock *mt_clock_fixed(int64_t start_ms);

/* "2026-11-20T09:30:00.123Z" (24 characters and a NUL; out holds at least 25). */
void mt_time_format(int64_t ms, char out[25]);
/* Parses RFC 3339 ("Z" or an offset, any number of fraction digits, truncated to ms). False when malformed.
 */
bool mt_time_parse(const char *s, int64_t *ms);
