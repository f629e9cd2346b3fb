/* Processes for specs: start one, wait until it says that it is ready, signal it, wait for its end. Whatever
 * a spec leaves running is killed when the process is collected, closed, or when the tests die. */
#include "base/text.h"
#include "testing.h"
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCESS "mintage.testing.process"
enum { ARGS_MAX = 64, ENV_MAX = 128 };

struct process {
    pid_t pid; /* 0: it has been waited for */
    int pidfd, ready;
    int status;
};

extern char **environ;

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct process *check(lua_State *L) {
    return luaL_checkudata(L, 1, PROCESS);
}

/* ---- starting ---- */

struct plan {
    const char *args[ARGS_MAX];
    const char *env[ENV_MAX];
    const char *out, *err, *in, *dir; /* files; NULL: /dev/null and the current folder */
    char ready_arg[32];
    bool wants_ready;
};

/* Borrows strings from the table at `index`, which must stay on the stack. */
static int read_strings(lua_State *L, int index, const char **out, int max) {
    int n = (int)lua_rawlen(L, index);
    if (n >= max - 2) return luaL_error(L, "too many arguments");
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, index, i + 1);
        out[i] = luaL_checkstring(L, -1);
        lua_pop(L, 1); /* still held by the table */
    }
    return n;
}

static const char *option(lua_State *L, const char *name) {
    if (!lua_istable(L, 2)) return NULL;
    lua_getfield(L, 2, name);
    const char *s = lua_isstring(L, -1) ? lua_tostring(L, -1) : NULL;
    lua_pop(L, 1);
    return s;
}

static void become(const struct plan *p, int ready, pid_t parent) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    int in = open(p->in ? p->in : "/dev/null", O_RDONLY);
    int out = open(p->out ? p->out : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0600);
    int err = open(p->err ? p->err : "/dev/null", O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (in < 0 || out < 0 || err < 0 || (p->dir && chdir(p->dir) != 0)) _exit(127);
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    if (ready >= 0) fcntl(ready, F_SETFD, 0);
    execve(p->args[0], (char *const *)p->args, (char *const *)p->env);
    _exit(127);
}

/* spawn(args, {out=, err=, input=, dir=, ready=bool, env={"NAME=value"}}): our environment without MINTAGE_*,
 * then env. */
static int spawn(lua_State *L) {
    struct plan p = {0};
    int ready[2] = {-1, -1}, n, env = 0;
    luaL_checktype(L, 1, LUA_TTABLE);
    n = read_strings(L, 1, p.args, ARGS_MAX);
    luaL_argcheck(L, n > 0, 1, "wanted a program and its arguments");
    p.out = option(L, "out");
    p.err = option(L, "err");
    p.in = option(L, "input");
    p.dir = option(L, "dir");
    if (lua_istable(L, 2)) {
        lua_getfield(L, 2, "ready");
        p.wants_ready = lua_toboolean(L, -1);
        if (lua_getfield(L, 2, "env") == LUA_TTABLE) env = read_strings(L, lua_gettop(L), p.env, ENV_MAX / 2);
    }
    for (char **v = environ; *v && env < ENV_MAX - 1; v++) {
        if (strncmp(*v, "MINTAGE_", 8) != 0) p.env[env++] = *v;
    }
    struct process *process = lua_newuserdatauv(L, sizeof *process, 0);
    *process = (struct process){.pidfd = -1, .ready = -1};
    luaL_setmetatable(L, PROCESS);
    if (p.wants_ready) {
        if (pipe2(ready, O_CLOEXEC) != 0) return luaL_error(L, "pipe: %s", strerror(errno));
        mt_format(p.ready_arg, sizeof p.ready_arg, "--ready-fd=%d", ready[1]);
        p.args[n] = p.ready_arg;
        process->ready = ready[0];
    }
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) become(&p, ready[1], parent);
    if (ready[1] >= 0) close(ready[1]);
    if (pid < 0) return luaL_error(L, "fork: %s", strerror(errno));
    process->pid = pid;
    process->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    return 1;
}

/* ---- waiting ---- */

/* Whether fd became readable within the time. */
static bool wait_readable(int fd, int64_t timeout_ms) {
    int64_t until = now_ms() + timeout_ms;
    for (;;) {
        int64_t left = until - now_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int n = poll(&p, 1, left > 0 ? (int)left : 0);
        if (n > 0) return true;
        if (n == 0 || errno != EINTR) return false;
    }
}

/* process:wait(timeout_ms): exit code, or nil and the signal; nil alone while it runs. */
static int process_wait(lua_State *L) {
    struct process *p = check(L);
    if (p->pid > 0) {
        if (!wait_readable(p->pidfd, luaL_optinteger(L, 2, 10000)) ||
            waitpid(p->pid, &p->status, 0) != p->pid)
            return 0;
        p->pid = 0;
    }
    if (WIFEXITED(p->status)) {
        lua_pushinteger(L, WEXITSTATUS(p->status));
        return 1;
    }
    lua_pushnil(L);
    lua_pushinteger(L, WTERMSIG(p->status));
    return 2;
}

/* process:ready(timeout_ms): the port it listens on; nil when it ended or the time is over. */
static int process_ready(lua_State *L) {
    struct process *p = check(L);
    char text[64];
    int port = 0;
    if (p->ready < 0 || !wait_readable(p->ready, luaL_optinteger(L, 2, 10000))) return 0;
    ssize_t n = read(p->ready, text, sizeof text - 1);
    close(p->ready);
    p->ready = -1;
    if (n <= 0) return 0;
    text[n] = '\0';
    if (sscanf(text, "ready %d", &port) != 1) return 0;
    lua_pushinteger(L, port);
    return 1;
}

static int process_signal(lua_State *L) {
    struct process *p = check(L);
    lua_pushboolean(L, p->pid > 0 && kill(p->pid, (int)luaL_checkinteger(L, 2)) == 0);
    return 1;
}

struct later {
    int pidfd, ms, signal;
};

static void *signal_later(void *arg) {
    struct later l = *(struct later *)arg;
    free(arg);
    if (!wait_readable(l.pidfd, l.ms)) syscall(SYS_pidfd_send_signal, l.pidfd, l.signal, NULL, 0);
    close(l.pidfd);
    return NULL;
}

/* process:signal_after(ms, signal): while the spec itself is busy with a request. Nothing, if it ends before.
 */
static int process_signal_after(lua_State *L) {
    struct process *p = check(L);
    pthread_t thread;
    luaL_argcheck(L, p->pid > 0, 1, "this process has ended");
    int ms = (int)luaL_checkinteger(L, 2), sig = (int)luaL_checkinteger(L, 3);
    struct later *l = mt_calloc(1, sizeof *l);
    *l = (struct later){dup(p->pidfd), ms, sig};
    if (pthread_create(&thread, NULL, signal_later, l) != 0) {
        close(l->pidfd);
        free(l);
        return luaL_error(L, "cannot start a thread");
    }
    pthread_detach(thread);
    return 0;
}

static int process_pid(lua_State *L) {
    lua_pushinteger(L, check(L)->pid);
    return 1;
}

static int process_end(lua_State *L) {
    struct process *p = check(L);
    if (p->pid > 0) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, &p->status, 0);
        p->pid = 0;
    }
    if (p->pidfd >= 0) close(p->pidfd);
    if (p->ready >= 0) close(p->ready);
    p->pidfd = p->ready = -1;
    return 0;
}

/* ---- time ---- */

static int clock_now(lua_State *L) {
    lua_pushinteger(L, now_ms());
    return 1;
}

/* Lets others work for a moment, between two looks at a condition. */
static int breathe(lua_State *L) {
    poll(NULL, 0, (int)luaL_checkinteger(L, 1));
    return 0;
}

static int kill_pid(lua_State *L) {
    lua_pushboolean(L, kill((pid_t)luaL_checkinteger(L, 1), (int)luaL_checkinteger(L, 2)) == 0);
    return 1;
}

void mt_testing_add_processes(lua_State *L) {
    static const luaL_Reg methods[] = {{"wait", process_wait},
                                       {"ready", process_ready},
                                       {"signal", process_signal},
                                       {"pid", process_pid},
                                       {"close", process_end},
                                       {"signal_after", process_signal_after},
                                       {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__gc", process_end}, {"__close", process_end}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"spawn", spawn}, {"now_ms", clock_now}, {"breathe", breathe}, {"kill", kill_pid}, {NULL, NULL}};
    luaL_newmetatable(L, PROCESS);
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_setfuncs(L, functions, 0);
}
