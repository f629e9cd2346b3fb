/* Waiting on a word, for the few places where a condition variable costs too much. Linux; words of this
 * process only. */
#pragma once
#include <errno.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Sleeps while *word is `expected`, until `until` (CLOCK_MONOTONIC; NULL: for ever). False when the time is
 * over. May return for no reason. */
static inline bool mt_futex_wait(uint32_t *word, uint32_t expected, const struct timespec *until) {
    long rc =
        syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, until, NULL, FUTEX_BITSET_MATCH_ANY);
    return rc == 0 || errno != ETIMEDOUT;
}

/* Wakes one that sleeps on it. The word may be gone by then: nothing is read or written there. */
static inline void mt_futex_wake(uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
