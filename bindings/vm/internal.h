/* What the files of bindings/vm share, and nobody else sees: the arena, which is both the memory of an
 * execution and the record of what it is doing. Invariant: an arena is used by one thread at a time; its Lua
 * states find it in their extra space. The watchdog reads only the atomic fields, and only under the list
 * lock. */
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include "bindings/vm/value.h"
#include "bindings/vm/vm.h"
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

#if defined(__SANITIZE_THREAD__)
#define MT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MT_TSAN 1
#endif
#endif
#ifndef MT_TSAN
#define MT_TSAN 0
#endif

enum {
    SMALL_CLASSES = 64,               /* 16, 32, ... 1024 bytes */
    CLASSES = SMALL_CLASSES + 4 * 32, /* then four sizes a doubling */
    SCRATCHES = 4,                    /* C buffers that outlive a leave */
    SNAPSHOTS = 8,                    /* tables being iterated at once, before one has to be sorted anew */
    SLACK = 4 * 1024 * 1024           /* what encoding may use beyond the limit, because it must not leave */
};

/* Why an execution was left. */
enum leave { LEAVE_NOT, LEAVE_CODE, LEAVE_MEMORY, LEAVE_CPU, LEAVE_DEPTH, LEAVE_STOP, LEAVE_ERROR };

/* One key of a table, in the order in which scripts see keys. Strings point into the arena, where nothing is
 * collected. */
struct key {
    enum { KEY_INT, KEY_FLOAT, KEY_STRING, KEY_BOOLEAN } type;
    union {
        lua_Integer i;
        lua_Number f;
        const char *s;
    } u;
    size_t len;
};

/* The sorted keys of a table that is being iterated. */
struct snapshot {
    const void *table; /* NULL: unused */
    struct key *keys;
    size_t n, pos; /* keys[pos] was the last to be answered */
    bool fresh;    /* made by pairs() for the iteration that is about to start */
    uint64_t used;
};

struct mt_arena {
    /* memory */
    char *base, *end;         /* what is mapped */
    char *top, *peak, *limit; /* the next free byte, the highest it was, where an execution is left */
    char *image_top;          /* end of the image */
    char *image;              /* its copy; NULL while it is being built */
    void *lists[CLASSES], *image_lists[CLASSES];
    bool soft; /* the limit does not apply: what runs must not leave */

    /* the state */
    struct mt_vm *vm;
    struct mt_generation *generation;
    lua_State *L;
    bool loading;
    const char *compiling; /* the file that is being compiled: nothing of it is on the stack */

    /* the execution */
    sigjmp_buf env;
    enum leave left;
    int code;
    const struct mt_vm_call *call;
    struct mt_vm_result *out;
    lua_State *running;              /* the coroutine that runs now: what the watchdog's hook goes to */
    volatile sig_atomic_t in_c;      /* in a C function that can be left at any instruction */
    const void *volatile in_c_frame; /* its frame: newer ones may be half made when it is left */
    const void *left_frame;          /* the same, for whom it has been left; NULL: all frames are whole */
    volatile sig_atomic_t expired;   /* the watchdog has spoken */
    volatile sig_atomic_t leaving;   /* too late for the watchdog */
    atomic_uint epoch;               /* odd while a script runs; a new number is a new CPU budget */
    atomic_uint expired_epoch;       /* the budget that is used up */
    bool session;                    /* it goes on from one execution to the next */
    atomic_bool stop;                /* a session's: the execution is to end */
    _Atomic int64_t deadline_ns;     /* a session's, CLOCK_MONOTONIC; 0: none */
    _Atomic pid_t tid;               /* of the thread that executes */
    _Atomic clockid_t clock;         /* its CPU clock */
    int closing;                     /* coroutine.close within coroutine.close */
    struct snapshot snapshots[SNAPSHOTS];
    uint64_t snapshot_clock;
    struct mt_buf scratch[SCRATCHES];
    bool scratch_ready;

    /* the watchdog's own */
    unsigned seen_epoch;
    int64_t seen_cpu_ns;

    /* lists: of all arenas; of the idle ones, newest first */
    struct mt_arena *all_prev, *all_next, *idle_prev, *idle_next;
};

struct mt_vm {
    struct mt_vm_options o;
    size_t memory_limit;
    int cpu_limit_ms, depth_limit;
    pthread_mutex_t pool_lock; /* idle, idle_count */
    struct mt_arena *idle, *idle_last;
    size_t idle_count;
    pthread_mutex_t list_lock; /* all, stop */
    pthread_cond_t wake;
    struct mt_arena *all;
    bool stop;
    pthread_t watchdog;
    atomic_int generations;
};

struct mt_generation {
    struct mt_vm *vm;
    atomic_int refs;
    char id[80];
    struct mt_source *files; /* library first, then scripts, each sorted by name */
    size_t count, library_count;
    char *settings;
    char *registry;
};

/* ---- arena.c ---- */

/* Maps memory for a state; aborts when the kernel has none. */
struct mt_arena *mt_arena_new(struct mt_vm *vm);
void mt_arena_free(struct mt_arena *a);
void *mt_arena_alloc(struct mt_arena *a, size_t size);
void mt_arena_release(struct mt_arena *a, void *p, size_t size);
/* The lua_Alloc; ud is the arena. */
void *mt_arena_lua_alloc(void *ud, void *p, size_t old_size, size_t size);
/* Makes what is there now the image. */
void mt_arena_save(struct mt_arena *a);
void mt_arena_restore(struct mt_arena *a);
/* Gives dirtied memory back to the kernel when it is much. */
void mt_arena_trim(struct mt_arena *a);
size_t mt_arena_used(const struct mt_arena *a);

static inline struct mt_arena *mt_arena_of(lua_State *L) {
    return *(struct mt_arena **)lua_getextraspace(L);
}
/* The arena whose execution this thread is in. */
extern _Thread_local struct mt_arena *mt_arena_current;

/* ---- execute.c ---- */

/* Runs f protected, with limits, as an execution of `a` on this thread; fills out (but for its error buffer's
 * init). */
void mt_arena_run(struct mt_arena *a, lua_CFunction f, struct mt_vm_result *out);
_Noreturn void mt_leave(struct mt_arena *a, enum leave why);

/* ---- kept.c ---- */

/* The end of an arena that no list has any more: frees it, or keeps it for another vm. Its vm and generation
 * must still be there. */
void mt_arena_retire(struct mt_arena *a);
/* One that was kept with the image that g would have, now g's; fills in g's registry. NULL: none. */
struct mt_arena *mt_arena_revive(struct mt_vm *vm, struct mt_generation *g);

/* ---- generation.c: arenas of generations ---- */

/* An arena holding g's image: an idle one, or a new one. NULL and e when loading failed. */
struct mt_arena *mt_pool_take(struct mt_vm *vm, struct mt_generation *g, struct mt_error *e);
void mt_pool_put(struct mt_vm *vm, struct mt_arena *a);
/* Frees idle arenas: those of g, or all. */
void mt_pool_drain(struct mt_vm *vm, const struct mt_generation *g);
extern const char mt_key_entries[]; /* registry: entry name -> function */

/* ---- limits.c ---- */

int mt_limits_start(struct mt_vm *vm, struct mt_error *e);
void mt_limits_stop(struct mt_vm *vm);
/* Begins and ends what the watchdog watches; called by the executing thread. */
void mt_limits_begin(struct mt_arena *a);
void mt_limits_end(struct mt_arena *a);
int64_t mt_limits_cpu_ns(void);
/* Whether somebody has stopped the execution, or its time is over. */
bool mt_limits_stopped(struct mt_arena *a);
/* Around a C function that may be left at any instruction; L is in the frame of its caller's wrapper. */
static inline void mt_limits_enter_c(lua_State *L, struct mt_arena *a) {
    lua_Debug ar;
    lua_getstack(L, 0, &ar);
    a->in_c_frame = ar.i_ci;
    a->in_c = 1;
}
/* For C loops whose length a script decides: leaves when the CPU budget is used up. */
static inline void mt_limits_poll(struct mt_arena *a) {
    if (a->expired && !a->leaving) mt_leave(a, LEAVE_CPU);
}

/* ---- trace.c ---- */

/* As mt_vm_site, but the search begins at the frame `from` (a lua_Debug's i_ci) unless that is NULL. */
void mt_trace_site(lua_State *L, const void *from, char *out, size_t size);
void mt_trace_frames(lua_State *L, char *out, size_t size);
/* Whether the value at index is the text of a stack overflow as Lua raises it. */
bool mt_trace_overflow(lua_State *L, int index);

/* ---- sandbox.c and its parts ---- */

/* Makes the globals of scripts in a fresh state. */
void mt_sandbox_open(lua_State *L);
void mt_guard_open(lua_State *L); /* guard.c: pcall, xpcall, coroutine */
void mt_order_open(lua_State *L); /* order.c: next, pairs, table.sort */
void mt_text_open(
    lua_State *L); /* text.c: tostring, string.* that must be interruptible or show no address */
void mt_table_open(lua_State *L);   /* table.c: table.insert, remove, move */
void mt_require_open(lua_State *L); /* require.c */
/* Pushes the "did you mean" for `name` among the string keys of the table at index, or "". */
const char *mt_push_nearest(lua_State *L, int index, const char *name);

/* Fills keys (n of them, malloc'ed; caller frees) without raising, leaving or allocating in the arena: NULL
 * when a key is of a type that has no order; its type name goes to *bad. */
struct key *mt_ordered_keys(lua_State *L, int index, size_t *n, const char **bad);
void mt_push_key(lua_State *L, const struct key *k);

/* tostring() as scripts have it; pushes and answers the text. */
const char *mt_tolstring(lua_State *L, int index, size_t *len);

/* error_value.c, money_value.c, value.c: the metatables of values */
void mt_error_open(lua_State *L);
void mt_money_open(lua_State *L);
void mt_array_open(lua_State *L);
