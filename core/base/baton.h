/* The scheduler of a simulated world: its tasks are threads of which one at a time runs, the one that holds
 * the baton. A task gives it away where it waits (base/sync.h); the seed chooses who is next; when nobody can
 * go on, the clock jumps to the next deadline. So a seed is a schedule, and a year passes as fast as its
 * events. Tasks belong to groups: a group is what dies at once when a process dies. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct mt_baton;

enum { MT_BATON_GROUPS = 8 };

/* `start_ms` is the wall clock's time at the beginning, in Unix milliseconds. */
struct mt_baton *mt_baton_new(uint64_t seed, int64_t start_ms);
/* The calling thread becomes the first task, of group 0, and holds the baton. */
void mt_baton_enter(struct mt_baton *b);
/* The thread that has entered several of them goes on in this one: holds its baton, as it holds each of the
 * others'. */
void mt_baton_use(struct mt_baton *b);
/* Ends the world: all other tasks die where they stand, and their threads are joined. The caller, who must
 * hold the baton and have entered, is a plain thread again. Memory that the dead held is not freed. */
void mt_baton_leave(struct mt_baton *b);
void mt_baton_free(struct mt_baton *b);

/* The baton of the calling task; NULL: a plain thread. */
struct mt_baton *mt_baton_mine(void);
int64_t mt_baton_wall_ms(const struct mt_baton *b);
/* So many numbers of the seed's stream: 0 to n - 1. The holder's. */
uint64_t mt_baton_choose(struct mt_baton *b, uint64_t n);
/* The calling task's group. */
int mt_baton_group(const struct mt_baton *b);

/* Starts a task of another group. 0, or an error number. Not to be joined: it ends for itself. */
int mt_baton_spawn(struct mt_baton *b, int group, void *(*main)(void *arg), void *arg);
/* Another may go on first. */
void mt_baton_yield(struct mt_baton *b);

/* Waits until nobody else can go on before the clock moves. */
void mt_baton_settle(struct mt_baton *b);
/* The next deadline anybody waits for, in the nanoseconds of mt_mono_ns(); MT_NO_DEADLINE: none. */
int64_t mt_baton_next(const struct mt_baton *b);
/* Moves the clock to then, not past the next deadline. */
void mt_baton_jump(struct mt_baton *b, int64_t to_ns);

/* A group dies: none of its tasks goes on; their threads end without unwinding, and what they held is never
 * given back. From a task of the group itself it does not return. New tasks may be spawned in it afterwards.
 */
void mt_baton_kill(struct mt_baton *b, int group);
/* How often the baton has changed hands. */
uint64_t mt_baton_turns(const struct mt_baton *b);
