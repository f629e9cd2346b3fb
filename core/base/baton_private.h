/* What sync.c asks of the baton. Not for others. */
#pragma once
#include "base/baton.h"
#include <pthread.h>
#include <stddef.h>

struct mt_task;
extern _Thread_local struct mt_task *mt_task_self; /* NULL: a plain thread */

int64_t mt_task_now(void);
int mt_task_start(pthread_t *thread, size_t stack, void *(*main)(void *arg), void *arg);
void mt_task_join(pthread_t thread);
/* Sleeps until somebody wakes this address. False: the deadline has passed. */
bool mt_task_wait(const void *address, int64_t deadline_ns);
/* Wakes one of those who sleep on the address, or all. */
void mt_task_wake(const void *address, bool all);
