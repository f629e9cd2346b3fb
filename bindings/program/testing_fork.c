/* Running a part of the specs again in a child of this process: as it stands, with all that was loaded, on a
 * core of its own, and with nothing that it breaks left behind. Invariant: a process that has a world open
 * has threads and is not forked. One thread calls it. */
#include "base/buf.h"
#include "testing.h"
#include "world.h"
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOB "mintage.testing.job"
#define SHARED_LOG "mintage.testing.log"
enum { JOBS_MAX = 256, RESULT_MAX = 16 * 1024 * 1024, ERRORS_KEPT = 8192 };

struct job {
    pid_t pid; /* 0: it has been waited for */
    int fd, errors;
    int64_t deadline;
    struct mt_buf result;
};

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- logs that outlive the child that writes them ---- */

struct shared_log {
    void *memory;
};

void *mt_testing_shared_log(lua_State *L, int index) {
    struct shared_log *log = luaL_testudata(L, index, SHARED_LOG);
    return log ? log->memory : NULL;
}

static int shared_log(lua_State *L) {
    struct shared_log *log = lua_newuserdatauv(L, sizeof *log, 0);
    log->memory = NULL;
    luaL_setmetatable(L, SHARED_LOG);
    void *p = mmap(NULL, MT_WORLD_LOG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return luaL_error(L, "mmap: %s", strerror(errno));
    log->memory = p;
    return 1;
}

static int log_text(lua_State *L) {
    struct shared_log *log = luaL_checkudata(L, 1, SHARED_LOG);
    char *text = mt_world_read_log(log->memory);
    lua_pushstring(L, text);
    free(text);
    return 1;
}

static int log_gc(lua_State *L) {
    struct shared_log *log = luaL_checkudata(L, 1, SHARED_LOG);
    if (log->memory) munmap(log->memory, MT_WORLD_LOG_SIZE);
    log->memory = NULL;
    return 0;
}

/* ---- the child ---- */

static void stay_on(int cpu) {
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all) != 0 || CPU_COUNT(&all) == 0) return;
    int nth = cpu % CPU_COUNT(&all);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &all) || nth-- > 0) continue;
        CPU_ZERO(&one);
        CPU_SET(i, &one);
        sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

static _Noreturn void child(lua_State *L, int fd, int errors, pid_t parent, int cpu) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    dup2(errors, 2);
    stay_on(cpu);
    lua_pushvalue(L, 1);
    int rc = lua_pcall(L, 0, 1, 0);
    size_t len = 0;
    const char *text = luaL_tolstring(L, -1, &len);
    for (size_t sent = 0; sent < len;) {
        ssize_t n = write(fd, text + sent, len - sent);
        if (n < 0 && errno != EINTR) break;
        if (n > 0) sent += (size_t)n;
    }
    _exit(rc == LUA_OK ? 0 : 1);
}

/* fork(f, {cpu=, deadline_ms=}): a job that calls f in a child process; its result is a text. */
static int fork_job(lua_State *L) {
    int fds[2];
    luaL_checktype(L, 1, LUA_TFUNCTION);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "cpu");
    int cpu = (int)luaL_optinteger(L, -1, 0);
    lua_getfield(L, 2, "deadline_ms");
    lua_Integer deadline = luaL_optinteger(L, -1, 60000);
    if (mt_worlds_open()) return luaL_error(L, "a world is open, so this process cannot be copied");
    struct job *job = lua_newuserdatauv(L, sizeof *job, 0);
    *job = (struct job){.fd = -1, .errors = -1, .deadline = now_ms() + deadline};
    mt_buf_init(&job->result, RESULT_MAX);
    luaL_setmetatable(L, JOB);
    job->errors = memfd_create("errors", MFD_CLOEXEC);
    if (job->errors < 0 || pipe2(fds, O_CLOEXEC) != 0) return luaL_error(L, "pipe: %s", strerror(errno));
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) child(L, fds[1], job->errors, parent, cpu < 0 ? 0 : cpu);
    close(fds[1]);
    job->fd = fds[0];
    if (pid < 0) return luaL_error(L, "fork: %s", strerror(errno));
    job->pid = pid;
    return 1;
}

/* ---- its end ---- */

/* What is there of its result. True: that was all. */
static bool drain(struct job *job) {
    char chunk[65536];
    ssize_t n = read(job->fd, chunk, sizeof chunk);
    if (n > 0) mt_buf_add(&job->result, chunk, (size_t)n);
    return n == 0 || (n < 0 && errno != EINTR);
}

static void let_go(struct job *job) {
    if (job->pid > 0) {
        kill(job->pid, SIGKILL);
        waitpid(job->pid, NULL, 0);
    }
    if (job->fd >= 0) close(job->fd);
    if (job->errors >= 0) close(job->errors);
    job->pid = 0;
    job->fd = job->errors = -1;
    mt_buf_clear(&job->result);
}

/* [..., index, result | nil, why, errors] */
static int push_end(lua_State *L, struct job *job, int index, bool overdue) {
    char errors[ERRORS_KEPT];
    int status = 0;
    if (overdue) kill(job->pid, SIGKILL);
    while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR) continue;
    job->pid = 0;
    lua_pushinteger(L, index);
    if (!overdue && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        lua_pushlstring(L, job->result.data, job->result.len);
        lua_pushnil(L);
    } else {
        lua_pushnil(L);
        if (overdue)
            lua_pushstring(L, "it did not end in time");
        else if (WIFSIGNALED(status))
            lua_pushfstring(L, "it died of signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
        else
            lua_pushlstring(L, job->result.data, job->result.len);
    }
    ssize_t n = pread(job->errors, errors, sizeof errors, 0);
    lua_pushlstring(L, errors, n > 0 ? (size_t)n : 0);
    let_go(job);
    return 4;
}

/* collect(jobs): waits until one has ended; its index, its result (nil: and why), what it wrote to standard
 * error. */
static int collect(lua_State *L) {
    struct job *jobs[JOBS_MAX];
    struct pollfd polls[JOBS_MAX];
    luaL_checktype(L, 1, LUA_TTABLE);
    int n = (int)lua_rawlen(L, 1);
    luaL_argcheck(L, n > 0 && n <= JOBS_MAX, 1, "wanted 1 to 256 jobs");
    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, 1, i + 1);
        jobs[i] = luaL_checkudata(L, -1, JOB);
        luaL_argcheck(L, jobs[i]->pid > 0, 1, "a job has ended already");
        lua_pop(L, 1);
    }
    for (;;) {
        int64_t next = INT64_MAX, now = now_ms();
        for (int i = 0; i < n; i++) {
            if (jobs[i]->deadline <= now) return push_end(L, jobs[i], i + 1, true);
            if (jobs[i]->deadline < next) next = jobs[i]->deadline;
            polls[i] = (struct pollfd){.fd = jobs[i]->fd, .events = POLLIN};
        }
        if (poll(polls, (nfds_t)n, (int)(next - now)) <= 0) continue;
        for (int i = 0; i < n; i++)
            if (polls[i].revents && drain(jobs[i])) return push_end(L, jobs[i], i + 1, false);
    }
}

static int job_gc(lua_State *L) {
    let_go(luaL_checkudata(L, 1, JOB));
    return 0;
}

static int cores(lua_State *L) {
    cpu_set_t all;
    lua_pushinteger(L, sched_getaffinity(0, sizeof all, &all) == 0 ? CPU_COUNT(&all) : 1);
    return 1;
}

static int is_terminal(lua_State *L) {
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

void mt_testing_add_forks(lua_State *L) {
    luaL_newmetatable(L, JOB);
    lua_pushcfunction(L, job_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    luaL_newmetatable(L, SHARED_LOG);
    lua_pushcfunction(L, log_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, log_text);
    lua_setfield(L, -2, "text");
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    lua_pushcfunction(L, fork_job);
    lua_setfield(L, -2, "fork");
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "collect");
    lua_pushcfunction(L, shared_log);
    lua_setfield(L, -2, "shared_log");
    lua_pushcfunction(L, cores);
    lua_setfield(L, -2, "cores");
    lua_pushcfunction(L, is_terminal);
    lua_setfield(L, -2, "is_terminal");
}
