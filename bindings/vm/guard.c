/* pcall, xpcall and the coroutine functions that run a coroutine. Like Lua's own, but a stack overflow passes
 * through them (it leaves the execution: a limit is no error to catch), and the running coroutine is always
 * known to the watchdog. The thread of the execution. */
#include "bindings/vm/internal.h"
#include <string.h>

enum { CLOSING_MAX = 100 };

/* The configured depth is looked for where C calls Lua; Lua's own limits (200 levels of C, a million slots)
 * always hold. */
static void check_depth(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    lua_Debug ar;
    if (a->vm->depth_limit > 0 && lua_getstack(L, a->vm->depth_limit, &ar)) mt_leave(a, LEAVE_DEPTH);
}

/* ---- pcall ---- */

/* Runs where the error is raised: an interrupted C function is no longer running. */
static int on_error(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    a->in_c = 0;
    if (mt_trace_overflow(L, 1)) mt_leave(a, LEAVE_DEPTH);
    lua_settop(L, 1);
    return 1;
}

/* The same, and then the script's own handler. */
static int on_error_call(lua_State *L) {
    on_error(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

/* skip: stack slots below the results, the last of which holds true. */
static int finish_pcall(lua_State *L, int status, lua_KContext skip) {
    if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - (int)skip + 1;
    struct mt_arena *a = mt_arena_of(L);
    a->in_c = 0;
    if (status != LUA_ERRRUN) mt_leave(a, LEAVE_DEPTH);
    lua_pushboolean(L, 0);
    lua_pushvalue(L, -2);
    return 2;
}

static int guard_pcall(lua_State *L) {
    luaL_checkany(L, 1);
    check_depth(L);
    lua_pushcfunction(L, on_error);
    lua_pushboolean(L, 1);
    lua_rotate(L, 1, 2); /* [handler, true, f, ...] */
    int status = lua_pcallk(L, lua_gettop(L) - 3, LUA_MULTRET, 1, 2, finish_pcall);
    return finish_pcall(L, status, 2);
}

static int guard_xpcall(lua_State *L) {
    int n = lua_gettop(L);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    check_depth(L);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, on_error_call, 1);
    lua_replace(L, 2);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2); /* [f, handler, true, f, ...] */
    int status = lua_pcallk(L, n - 2, LUA_MULTRET, 2, 3, finish_pcall);
    return finish_pcall(L, status, 3);
}

/* ---- coroutines ---- */

static lua_State *check_coroutine(lua_State *L) {
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    return co;
}

/* What the coroutine does while L runs. */
enum state { RUNNING, NORMAL, SUSPENDED, DEAD };
static enum state state_of(lua_State *L, lua_State *co) {
    lua_Debug ar;
    if (L == co) return RUNNING;
    switch (lua_status(co)) {
    case LUA_YIELD:
        return SUSPENDED;
    case LUA_OK:
        if (lua_getstack(co, 0, &ar)) return NORMAL;
        return lua_gettop(co) == 0 ? DEAD : SUSPENDED;
    default:
        return DEAD;
    }
}

/* Resumes co with the top n values of L. Pushes the results and answers their number; -1 after an error,
 * which is pushed. */
static int resume(lua_State *L, lua_State *co, int n) {
    struct mt_arena *a = mt_arena_of(L);
    check_depth(L);
    if (!lua_checkstack(co, n)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, co, n);
    int results;
    a->running = co;
    int status = lua_resume(co, L, n, &results);
    a->running = L;
    mt_limits_poll(a); /* a hook that was set on co does not stop L */
    if (status == LUA_OK || status == LUA_YIELD) {
        if (lua_checkstack(L, results + 1)) {
            lua_xmove(co, L, results);
            return results;
        }
        lua_pop(co, results);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    a->in_c = 0;
    if (status != LUA_ERRRUN || mt_trace_overflow(co, -1)) {
        a->running = co; /* where it happened */
        mt_leave(a, LEAVE_DEPTH);
    }
    lua_xmove(co, L, 1);
    return -1;
}

static int guard_resume(lua_State *L) {
    lua_State *co = check_coroutine(L);
    int n = resume(L, co, lua_gettop(L) - 1);
    lua_pushboolean(L, n >= 0);
    lua_insert(L, n >= 0 ? -(n + 1) : -2);
    return n >= 0 ? n + 1 : 2;
}

/* Runs the pending __close of co. Each such call is a new run on the C stack, which Lua 5.4.4 counts from
 * where co was last resumed, not from here; so they are counted here. */
static int reset(lua_State *L, lua_State *co) {
    struct mt_arena *a = mt_arena_of(L);
    if (++a->closing > CLOSING_MAX) mt_leave(a, LEAVE_DEPTH);
    a->running = co;
    int status = lua_resetthread(co);
    a->running = L;
    a->closing--;
    a->in_c = 0;
    mt_limits_poll(a);
    if (status != LUA_OK && (status != LUA_ERRRUN || mt_trace_overflow(co, -1))) mt_leave(a, LEAVE_DEPTH);
    return status;
}

static int guard_close(lua_State *L) {
    lua_State *co = check_coroutine(L);
    enum state state = state_of(L, co);
    if (state == RUNNING || state == NORMAL)
        return luaL_error(L, "cannot close a %s coroutine", state == RUNNING ? "running" : "normal");
    int status = reset(L, co);
    lua_pushboolean(L, status == LUA_OK);
    if (status == LUA_OK) return 1;
    lua_xmove(co, L, 1);
    return 2;
}

static int resume_wrapped(lua_State *L) {
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int n = resume(L, co, lua_gettop(L));
    if (n >= 0) return n;
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) { /* it failed, rather than could not be resumed */
        lua_xmove(L, co, 1);
        reset(L, co);
        lua_xmove(co, L, 1);
    }
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

/* upvalue: coroutine.create */
static int guard_wrap(lua_State *L) {
    lua_tocfunction(L, lua_upvalueindex(1))(L);
    lua_pushcclosure(L, resume_wrapped, 1);
    return 1;
}

void mt_guard_open(lua_State *L) {
    lua_pushcfunction(L, guard_pcall);
    lua_setglobal(L, "pcall");
    lua_pushcfunction(L, guard_xpcall);
    lua_setglobal(L, "xpcall");
    lua_getglobal(L, "coroutine");
    lua_pushcfunction(L, guard_resume);
    lua_setfield(L, -2, "resume");
    lua_pushcfunction(L, guard_close);
    lua_setfield(L, -2, "close");
    lua_getfield(L, -1, "create");
    lua_pushcclosure(L, guard_wrap, 1);
    lua_setfield(L, -2, "wrap");
    lua_pop(L, 1);
}
