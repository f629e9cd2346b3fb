/* One execution: an arena is restored, the entry runs to its end on this thread, and the way it ended is
 * told. Invariant: every way out passes through mt_arena_run, and none runs __close or __gc of what was given
 * up. The thread that calls. */
#include "base/json.h"
#include "base/text.h"
#include "bindings/vm/internal.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the vm ---- */

struct mt_vm *mt_vm_new(const struct mt_vm_options *options, struct mt_error *e) {
    if (options->memory_limit > (size_t)1 << 34)
        return mt_fail_null(e, MT_USAGE, "memory limit: found %zu bytes, wanted at most 16 GiB",
                            options->memory_limit);
    if (options->cpu_limit_ms < 0 || options->depth_limit < 0)
        return mt_fail_null(e, MT_USAGE, "limits of scripts must not be negative");
    struct mt_vm *vm = mt_calloc(1, sizeof(*vm));
    vm->o = *options;
    vm->memory_limit = options->memory_limit > 0 ? options->memory_limit : 32 * 1024 * 1024;
    if (vm->memory_limit < 256 * 1024) vm->memory_limit = 256 * 1024; /* an empty state has to fit */
    vm->cpu_limit_ms = options->cpu_limit_ms > 0 ? options->cpu_limit_ms : 1000;
    vm->depth_limit = options->depth_limit;
    pthread_mutex_init(&vm->pool_lock, NULL);
    pthread_mutex_init(&vm->list_lock, NULL);
    if (mt_limits_start(vm, e) == 0) return vm;
    pthread_mutex_destroy(&vm->list_lock);
    pthread_mutex_destroy(&vm->pool_lock);
    free(vm);
    return NULL;
}

void mt_vm_free(struct mt_vm *vm) {
    if (vm == NULL) return;
    assert(atomic_load(&vm->generations) == 0);
    mt_limits_stop(vm);
    mt_pool_drain(vm, NULL);
    pthread_mutex_destroy(&vm->list_lock);
    pthread_mutex_destroy(&vm->pool_lock);
    free(vm);
}

void mt_vm_abandon(struct mt_vm *vm) {
    mt_limits_stop(vm);
    for (struct mt_arena *a = vm->all, *next; a != NULL; a = next) {
        next = a->all_next;
        mt_arena_retire(a);
    }
    pthread_mutex_destroy(&vm->list_lock);
    pthread_mutex_destroy(&vm->pool_lock);
    free(vm);
}

/* ---- leaving ---- */

void mt_leave(struct mt_arena *a, enum leave why) {
    a->leaving = 1; /* the watchdog has nothing more to say */
    if (why == LEAVE_CPU && mt_limits_stopped(a)) why = LEAVE_STOP;
    a->left_frame = a->in_c ? a->in_c_frame : NULL;
    a->in_c = 0;
    a->left = why;
    siglongjmp(a->env, 1);
}

void mt_vm_leave(lua_State *L, int code) {
    struct mt_arena *a = mt_arena_of(L);
    a->code = code;
    mt_leave(a, LEAVE_CODE);
}

void *mt_vm_context(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    return a->call != NULL ? a->call->context : NULL;
}

/* ---- running ---- */

/* The message of an uncaught error that is no error table; never runs what the script could have made of it
 * unprotected. */
static void describe(lua_State *L, struct mt_vm_result *out) {
    const char *text = NULL;
    int type = lua_type(L, 1);
    if (type == LUA_TSTRING) {
        text = lua_tostring(L, 1);
    } else if (luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL) {
        lua_pushvalue(L, 1);
        if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_type(L, -1) == LUA_TSTRING) text = lua_tostring(L, -1);
    } else if (type == LUA_TNUMBER) {
        lua_pushvalue(L, 1);
        text = lua_tostring(L, -1);
    }
    if (text != NULL)
        mt_copy(out->message, sizeof(out->message), text);
    else
        snprintf(out->message, sizeof(out->message), "(error object is a %s value)", luaL_typename(L, 1));
}

/* Tells an uncaught error: the value is on top of the stack. */
static void raised(struct mt_arena *a, struct mt_vm_result *out) {
    out->exit = MT_EXIT_BUG;
    if (!mt_error_test(a->L, -1)) return;
    struct mt_error e;
    struct mt_buf json;
    mt_buf_init(&json, MT_VALUE_MAX);
    if (mt_value_encode(a->L, lua_gettop(a->L), &json, &e) == 0) {
        /* The record itself, without the {"$error":...} that marks it within values. */
        static const char tag[] = "{\"$error\":";
        out->exit = MT_EXIT_RAISED;
        mt_buf_add(&out->error, json.data + sizeof(tag) - 1, json.len - sizeof(tag));
        if (!mt_buf_ok(&out->error)) out->exit = MT_EXIT_BUG;
    } else {
        snprintf(out->message, sizeof(out->message), "an error was raised that cannot be kept: %s",
                 e.message);
    }
    mt_buf_clear(&json);
}

/* Runs where the error was raised, before anything is unwound. */
static int on_error(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    a->in_c = 0;
    if (mt_trace_overflow(L, 1)) mt_leave(a, LEAVE_DEPTH);
    lua_settop(L, 1);
    struct mt_vm_result *out = a->out;
    mt_trace_site(L, NULL, out->site, sizeof(out->site));
    if (!mt_error_test(L, 1)) {
        out->traceback[0] = '\0';
        mt_trace_frames(L, out->traceback, sizeof(out->traceback));
        describe(L, out);
        lua_settop(L, 1);
    }
    if (a->call != NULL && a->call->look != NULL) { /* nothing is unwound: the stack is looked at */
        raised(a, out);
        mt_leave(a, LEAVE_ERROR);
    }
    return 1;
}

static void left(struct mt_arena *a, struct mt_vm_result *out) {
    if (a->left == LEAVE_ERROR) return; /* it has been told where it was raised */
    mt_trace_site(a->running, a->left_frame, out->site, sizeof(out->site));
    if (out->site[0] == '\0' && a->running != a->L) mt_trace_site(a->L, NULL, out->site, sizeof(out->site));
    if (out->site[0] == '\0' && a->compiling != NULL) mt_copy(out->site, sizeof(out->site), a->compiling);
    const char *at = out->site, *colon = at[0] != '\0' ? ": " : "";
    size_t mib = a->vm->memory_limit / (1024 * 1024);
    switch (a->left) {
    case LEAVE_NOT:
    case LEAVE_ERROR:
    case LEAVE_CODE:
        out->exit = MT_EXIT_LEFT;
        out->code = a->code;
        out->message[0] = '\0';
        return;
    case LEAVE_STOP:
        out->exit = MT_EXIT_LEFT;
        out->code = atomic_load(&a->stop) ? MT_VM_STOPPED : MT_VM_DEADLINE;
        out->message[0] = '\0';
        return;
    case LEAVE_MEMORY:
        if (mib > 0)
            snprintf(out->message, sizeof(out->message), "%s%sthe script used more than %zu MiB of memory",
                     at, colon, mib);
        else
            snprintf(out->message, sizeof(out->message), "%s%sthe script used more than %zu KiB of memory",
                     at, colon, a->vm->memory_limit / 1024);
        break;
    case LEAVE_CPU:
        snprintf(out->message, sizeof(out->message),
                 "%s%sthe script computed for more than %d ms without an effect", at, colon,
                 a->vm->cpu_limit_ms);
        break;
    case LEAVE_DEPTH:
        snprintf(out->message, sizeof(out->message), "%s%scalls are nested too deeply (stack overflow)", at,
                 colon);
        break;
    }
    out->exit = MT_EXIT_LIMIT;
}

void mt_arena_run(struct mt_arena *a, lua_CFunction f, struct mt_vm_result *out) {
    struct mt_arena *outer = mt_arena_current;
    lua_State *L = a->L;
    out->code = 0;
    out->message[0] = out->traceback[0] = out->site[0] = '\0';
    out->memory_used = 0;
    a->out = out;
    int64_t from = mt_limits_cpu_ns();
    mt_arena_current = a;
    /* Our handler blocks nothing (SA_NODEFER), so no mask needs saving; the one TSan puts around it blocks
     * everything. */
    if (sigsetjmp(a->env, MT_TSAN) == 0) {
        mt_limits_begin(a);
        lua_pushcfunction(L, on_error);
        lua_pushcfunction(L, f);
        int status = lua_pcall(L, 0, 0, 1);
        mt_limits_end(a);
        if (status == LUA_OK) {
            out->exit = MT_EXIT_RETURNED;
        } else if (status == LUA_ERRRUN) {
            raised(a, out);
        } else { /* an error in error handling: the C stack is used up */
            a->left = LEAVE_DEPTH;
            left(a, out);
        }
    } else {
        mt_limits_end(a);
        left(a, out);
    }
    mt_arena_current = outer;
    out->memory_used = mt_arena_used(a);
    out->cpu_us = (mt_limits_cpu_ns() - from) / 1000;
    a->out = NULL;
}

/* Stack: the entry and its arguments only, so that the results are 1..top when take() runs. */
static int run_entry(lua_State *L) {
    const struct mt_vm_call *call = mt_arena_of(L)->call;
    lua_getfield(L, LUA_REGISTRYINDEX, mt_key_entries);
    if (lua_getfield(L, -1, call->entry) != LUA_TFUNCTION)
        return luaL_error(L, "this generation has no entry '%s'", call->entry);
    lua_replace(L, 1);
    lua_settop(L, 1);
    int n = call->push != NULL ? call->push(L, call->arg) : 0;
    lua_call(L, n, LUA_MULTRET);
    if (call->take != NULL) call->take(L, call->arg);
    return 0;
}

/* What looks may push, so the arena is soft: it is never left for that. */
static void look(struct mt_arena *a) {
    struct mt_arena *outer = mt_arena_current;
    mt_arena_current = a;
    a->soft = true;
    a->call->look(a->running != NULL ? a->running : a->L, a->call->arg);
    a->soft = false;
    mt_arena_current = outer;
}

void mt_vm_execute(struct mt_vm *vm, struct mt_generation *g, const struct mt_vm_call *call,
                   struct mt_vm_result *out) {
    mt_buf_init(&out->error, MT_VALUE_MAX);
    struct mt_error e;
    struct mt_arena *a = mt_pool_take(vm, g, &e);
    if (a == NULL) {
        out->exit = MT_EXIT_BUG;
        out->code = 0;
        out->traceback[0] = out->site[0] = '\0';
        out->memory_used = 0;
        out->cpu_us = 0;
        mt_copy(out->message, sizeof(out->message), e.message);
        return;
    }
    mt_arena_restore(a);
    a->call = call;
    mt_arena_run(a, run_entry, out);
    if (call->look != NULL && (a->left == LEAVE_CODE || a->left == LEAVE_ERROR)) look(a);
    a->call = NULL;
    mt_pool_put(vm, a);
}

void mt_vm_result_clear(struct mt_vm_result *r) {
    mt_buf_clear(&r->error);
}
