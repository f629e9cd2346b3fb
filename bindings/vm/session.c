/* Sessions: an arena whose state goes on from one execution to the next, for a person's console. Invariant:
 * before each execution there is a copy of the arena at rest, and whatever leaves the execution otherwise
 * than by returning or raising puts that back, because the state may be half changed then. One thread at a
 * time, except for stopping. */
#include "base/json.h"
#include "base/text.h"
#include "bindings/vm/internal.h"
#include <stdlib.h>
#include <string.h>

struct mt_vm_session {
    struct mt_vm *vm;
    struct mt_generation *g;
    struct mt_arena *a;
    char *kept; /* the arena at rest, from its base */
    size_t kept_size, kept_room;
    void *kept_lists[CLASSES];
};

struct mt_vm_session *mt_vm_session_new(struct mt_vm *vm, struct mt_generation *g, struct mt_error *e) {
    struct mt_arena *a = mt_pool_take(vm, g, e);
    if (a == NULL) return NULL;
    struct mt_vm_session *s = mt_calloc(1, sizeof(*s));
    mt_arena_restore(a);
    a->session = true;
    atomic_store(&a->stop, false);
    s->vm = vm;
    s->g = mt_generation_retain(g);
    s->a = a;
    return s;
}

void mt_vm_session_free(struct mt_vm_session *s) {
    if (s == NULL) return;
    s->a->session = false;
    mt_pool_put(s->vm, s->a);
    mt_generation_release(s->g);
    free(s->kept);
    free(s);
}

void mt_vm_session_stop(struct mt_vm_session *s) {
    atomic_store(&s->a->stop, true);
}

void mt_vm_session_go_on(struct mt_vm_session *s) {
    atomic_store(&s->a->stop, false);
}

bool mt_vm_stopped(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    return a->session && mt_limits_stopped(a);
}

bool mt_vm_session_stopped(struct mt_vm_session *s) {
    return mt_limits_stopped(s->a);
}

void mt_vm_session_extend(struct mt_vm_session *s, int64_t ms) {
    if (atomic_load(&s->a->deadline_ns) != 0) atomic_fetch_add(&s->a->deadline_ns, ms * 1000000);
}

size_t mt_vm_session_memory(const struct mt_vm_session *s) {
    return (size_t)(s->a->top - s->a->image_top);
}

/* ---- at rest ---- */

/* What nobody refers to any more is free again. Snapshots hold keys by address, and are made anew. */
static void collect(struct mt_arena *a) {
    struct mt_arena *outer = mt_arena_current;
    mt_arena_current = a;
    a->soft = true;
    lua_settop(a->L, 0);
    for (int i = 0; i < SNAPSHOTS; i++) a->snapshots[i].table = NULL;
    lua_gc(a->L, LUA_GCCOLLECT);
    a->soft = false;
    mt_arena_current = outer;
}

static void keep(struct mt_vm_session *s) {
    struct mt_arena *a = s->a;
    size_t size = (size_t)(a->top - a->base);
    if (size > s->kept_room || s->kept_room > 4 * size + (1 << 20)) {
        free(s->kept);
        s->kept_room = size + size / 4;
        s->kept = mt_realloc(NULL, s->kept_room);
    }
    memcpy(s->kept, a->base, size);
    memcpy(s->kept_lists, a->lists, sizeof(a->lists));
    s->kept_size = size;
}

static void put_back(struct mt_vm_session *s) {
    struct mt_arena *a = s->a;
    if (a->top > a->peak) a->peak = a->top;
    memcpy(a->base, s->kept, s->kept_size);
    memcpy(a->lists, s->kept_lists, sizeof(a->lists));
    a->top = a->base + s->kept_size;
    a->soft = false;
    for (int i = 0; i < SNAPSHOTS; i++) a->snapshots[i].table = NULL;
}

/* ---- running ---- */

static int run_call(lua_State *L) {
    const struct mt_vm_call *call = mt_arena_of(L)->call;
    lua_settop(L, 0);
    int n = call->push(L, call->arg);
    lua_call(L, n, LUA_MULTRET);
    if (call->take != NULL) call->take(L, call->arg);
    return 0;
}

void mt_vm_session_run(struct mt_vm_session *s, const struct mt_vm_call *call, int64_t timeout_ms,
                       struct mt_vm_result *out) {
    struct mt_arena *a = s->a;
    struct timespec now;
    mt_buf_init(&out->error, MT_VALUE_MAX);
    collect(a);
    keep(s);
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    atomic_store(&a->deadline_ns, timeout_ms > 0 ? now_ns + timeout_ms * 1000000 : 0);
    a->call = call;
    mt_arena_run(a, run_call, out);
    a->call = NULL;
    atomic_store(&a->deadline_ns, 0);
    atomic_store(&a->stop, false);
    if (out->exit == MT_EXIT_LIMIT || out->exit == MT_EXIT_LEFT)
        put_back(s);
    else
        collect(a);
}
