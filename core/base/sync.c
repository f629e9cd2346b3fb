/* The plain half of sync.h, and the choice between the two. */
#include "base/sync.h"
#include "base/baton_private.h"
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct timespec at(int64_t ns) {
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

int64_t mt_mono_ns(void) {
    if (mt_task_self) return mt_task_now();
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int mt_thread_start(pthread_t *thread, size_t stack, void *(*main)(void *arg), void *arg) {
    if (mt_task_self) return mt_task_start(thread, stack, main, arg);
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_attr_init(&attr);
    if (stack) pthread_attr_setstacksize(&attr, stack);
    sigfillset(&all); /* signals are for the threads that expect them */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(thread, &attr, main, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return rc;
}

void mt_thread_join(pthread_t thread) {
    if (mt_task_self)
        mt_task_join(thread);
    else
        pthread_join(thread, NULL);
}

/* ---- locks ---- */

void mt_lock(pthread_mutex_t *mutex) {
    if (!mt_task_self) {
        pthread_mutex_lock(mutex);
        return;
    }
    while (pthread_mutex_trylock(mutex) != 0) mt_task_wait(mutex, MT_NO_DEADLINE);
}

void mt_unlock(pthread_mutex_t *mutex) {
    pthread_mutex_unlock(mutex);
    if (mt_task_self) mt_task_wake(mutex, true);
}

/* ---- conditions ---- */

void mt_cond_init(pthread_cond_t *cond) {
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

bool mt_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t deadline_ns) {
    if (mt_task_self) {
        mt_unlock(mutex);
        bool in_time = mt_task_wait(cond, deadline_ns);
        mt_lock(mutex);
        return in_time;
    }
    if (deadline_ns == MT_NO_DEADLINE) return pthread_cond_wait(cond, mutex) == 0;
    struct timespec until = at(deadline_ns);
    return pthread_cond_timedwait(cond, mutex, &until) != ETIMEDOUT;
}

void mt_cond_signal(pthread_cond_t *cond) {
    if (mt_task_self)
        mt_task_wake(cond, false);
    else
        pthread_cond_signal(cond);
}

void mt_cond_broadcast(pthread_cond_t *cond) {
    if (mt_task_self)
        mt_task_wake(cond, true);
    else
        pthread_cond_broadcast(cond);
}

/* ---- words ---- */

bool mt_futex_wait(uint32_t *word, uint32_t expected, int64_t deadline_ns) {
    if (mt_task_self)
        return __atomic_load_n(word, __ATOMIC_ACQUIRE) != expected || mt_task_wait(word, deadline_ns);
    struct timespec until = at(deadline_ns);
    long rc = syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected,
                      deadline_ns == MT_NO_DEADLINE ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY);
    return rc == 0 || errno != ETIMEDOUT;
}

void mt_futex_wake(uint32_t *word) {
    if (mt_task_self)
        mt_task_wake(word, false);
    else
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void mt_nap(int64_t ns) {
    if (mt_task_self) {
        mt_task_wait(NULL, mt_task_now() + ns);
        return;
    }
    struct timespec t = at(ns);
    while (nanosleep(&t, &t) != 0 && errno == EINTR) continue;
}
