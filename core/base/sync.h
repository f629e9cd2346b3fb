/* Threads, locks and waits. A plain thread has pthreads and futexes here and pays one look at a thread-local
 * pointer. A task of a simulated world (base/baton.h) has the baton's instead: it waits in virtual time, and
 * who goes on is the seed's choice. What may be held or waited for while the world goes on uses these; a lock
 * that is only ever held for a few lines may stay a plain mutex. */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MT_NO_DEADLINE INT64_MAX

/* CLOCK_MONOTONIC in nanoseconds; a task's is the world's. */
int64_t mt_mono_ns(void);

/* Starts a thread with a stack of so many bytes (0: the system's) in which all signals are blocked. A task's
 * thread is a task of the same group. 0, or an error number. Join each once. */
int mt_thread_start(pthread_t *thread, size_t stack, void *(*main)(void *arg), void *arg);
void mt_thread_join(pthread_t thread);

void mt_lock(pthread_mutex_t *mutex);
void mt_unlock(pthread_mutex_t *mutex);

/* A condition variable whose deadlines are mt_mono_ns(). */
void mt_cond_init(pthread_cond_t *cond);
/* May return for no reason. False: the deadline has passed. */
bool mt_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ns);
void mt_cond_signal(pthread_cond_t *cond);
void mt_cond_broadcast(pthread_cond_t *cond);

/* Waiting on a word of this process, for the few places where a condition variable costs too much. Sleeps
 * while *word is `expected`; may return for no reason. False: the deadline has passed. */
bool mt_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns);
/* Wakes one that sleeps on it. The word may be gone by then: nothing is read or written there. */
void mt_futex_wake(uint32_t *word);

void mt_nap(int64_t ns);
