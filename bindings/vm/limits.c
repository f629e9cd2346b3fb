/* The CPU limit. A watchdog thread looks at every arena in which a script runs; when one has used up its
 * budget it signals that thread, and the handler, on the thread itself, either leaves at once (a C function
 * that may be left anywhere is running) or sets a hook that leaves at the next VM instruction. Invariant: a
 * script that stays within its budget pays nothing but two stores; effects are never interrupted. */
#include "bindings/vm/internal.h"
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* SIGURG is ignored by default, so a late one harms nobody. TSan delivers asynchronous signals only inside
 * calls that it intercepts, which a loop in the VM never makes; those that it takes for faults it delivers at
 * once. */
#if MT_TSAN
enum { WATCHDOG_SIGNAL = SIGTRAP };
#else
enum { WATCHDOG_SIGNAL = SIGURG };
#endif

#if MT_TSAN
/* The code of liblua. TSan's runtime takes locks in whatever is instrumented or intercepted, our own
 * functions included, and a jump out of it would keep them for ever; it never calls Lua, so a thread that is
 * interrupted in Lua's own code holds none. */
static uintptr_t lua_code, lua_code_end;

static int find_lua(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size, (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + segment->p_vaddr, known = (uintptr_t)lua_newstate;
        if (segment->p_type != PT_LOAD || known < from || known >= from + segment->p_memsz) continue;
        lua_code = from;
        lua_code_end = from + segment->p_memsz;
        return 1;
    }
    return 0;
}

static bool may_jump(const void *context) {
#if defined(__x86_64__)
    uintptr_t at = (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    uintptr_t at = (uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
#else
#error "TSan builds need to know the interrupted instruction"
#endif
    return at >= lua_code && at < lua_code_end;
}
#else
static bool may_jump(const void *context) {
    (void)context;
    return true;
}
#endif

static int64_t clock_ns(clockid_t clock) {
    struct timespec t;
    if (clock_gettime(clock, &t) != 0) return -1; /* the thread has gone */
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t mt_limits_cpu_ns(void) {
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

bool mt_limits_stopped(struct mt_arena *a) {
    if (atomic_load_explicit(&a->stop, memory_order_relaxed)) return true;
    int64_t deadline = atomic_load_explicit(&a->deadline_ns, memory_order_relaxed);
    return deadline != 0 && clock_ns(CLOCK_MONOTONIC) >= deadline;
}

/* Leaves, unless the budget it was set for has ended meanwhile. */
static void leave_hook(lua_State *L, lua_Debug *ar) {
    (void)ar;
    struct mt_arena *a = mt_arena_of(L);
    if (a->expired && !a->leaving) mt_leave(a, LEAVE_CPU);
    lua_sethook(L, NULL, 0, 0);
}

static void on_signal(int signal_number, siginfo_t *info, void *context) {
    (void)signal_number, (void)info;
    struct mt_arena *a = mt_arena_current;
    if (a == NULL || a->leaving) return;
    unsigned epoch = atomic_load_explicit(&a->epoch, memory_order_relaxed);
    if ((epoch & 1) == 0 || epoch != atomic_load_explicit(&a->expired_epoch, memory_order_relaxed)) return;
    a->expired = 1;
    if (a->in_c) {
        if (may_jump(context)) mt_leave(a, LEAVE_CPU);
        return; /* the watchdog comes again */
    }
    if (a->running != NULL) lua_sethook(a->running, leave_hook, LUA_MASKCOUNT, 1);
}

/* Looks at one arena; only the watchdog's thread does. */
static void look(struct mt_arena *a, int64_t limit_ns) {
    unsigned epoch = atomic_load_explicit(&a->epoch, memory_order_acquire);
    if ((epoch & 1) == 0) return;
    clockid_t clock = atomic_load_explicit(&a->clock, memory_order_relaxed);
    int64_t cpu = clock_ns(clock);
    bool stopped = mt_limits_stopped(a);
    if (!stopped && (epoch != a->seen_epoch || cpu < 0)) {
        a->seen_epoch = epoch;
        a->seen_cpu_ns = cpu;
        return;
    }
    if (!stopped && cpu - a->seen_cpu_ns < limit_ns) return;
    atomic_store_explicit(&a->expired_epoch, epoch, memory_order_relaxed);
    /* By number, not by pthread_t: should the thread be gone, this fails or meets one that ignores it. */
    pid_t tid = atomic_load_explicit(&a->tid, memory_order_relaxed);
    syscall(SYS_tgkill, getpid(), tid, WATCHDOG_SIGNAL);
}

static void *watch(void *arg) {
    struct mt_vm *vm = arg;
    int64_t limit_ns = (int64_t)vm->cpu_limit_ms * 1000000;
    int64_t tick_ns = limit_ns / 16;
    if (tick_ns < 1000000) tick_ns = 1000000;
    if (tick_ns > 50000000) tick_ns = 50000000;
    pthread_mutex_lock(&vm->list_lock);
    while (!vm->stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        int64_t ns = until.tv_nsec + tick_ns;
        until.tv_sec += ns / 1000000000;
        until.tv_nsec = ns % 1000000000;
        pthread_cond_timedwait(&vm->wake, &vm->list_lock, &until);
        for (struct mt_arena *a = vm->all; a != NULL && !vm->stop; a = a->all_next) look(a, limit_ns);
    }
    pthread_mutex_unlock(&vm->list_lock);
    return NULL;
}

static pthread_once_t handler_once = PTHREAD_ONCE_INIT;

/* SA_NODEFER, because the handler may not return: the signal must not stay blocked. */
static void set_handler(void) {
#if MT_TSAN
    dl_iterate_phdr(find_lua, NULL);
#endif
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    sigaction(WATCHDOG_SIGNAL, &action, NULL);
}

int mt_limits_start(struct mt_vm *vm, struct mt_error *e) {
    pthread_once(&handler_once, set_handler);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&vm->wake, &attr);
    pthread_condattr_destroy(&attr);
    int failed = pthread_create(&vm->watchdog, NULL, watch, vm);
    if (failed == 0) return 0;
    pthread_cond_destroy(&vm->wake);
    return mt_fail(e, MT_INTERNAL, "cannot start the watchdog thread: %s", strerror(failed));
}

void mt_limits_stop(struct mt_vm *vm) {
    pthread_mutex_lock(&vm->list_lock);
    vm->stop = true;
    pthread_cond_signal(&vm->wake);
    pthread_mutex_unlock(&vm->list_lock);
    pthread_join(vm->watchdog, NULL);
    pthread_cond_destroy(&vm->wake);
}

/* What the watchdog needs to know of this thread, looked up once. */
static _Thread_local pid_t own_tid;
static _Thread_local clockid_t own_clock;

void mt_limits_begin(struct mt_arena *a) {
    if (own_tid == 0) {
        own_tid = (pid_t)syscall(SYS_gettid);
        pthread_getcpuclockid(pthread_self(), &own_clock);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, WATCHDOG_SIGNAL);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    }
    a->in_c = 0;
    a->expired = 0;
    a->leaving = 0;
    a->running = a->L;
    a->closing = 0;
    a->left = LEAVE_NOT;
    a->left_frame = NULL;
    atomic_store_explicit(&a->tid, own_tid, memory_order_relaxed);
    atomic_store_explicit(&a->clock, own_clock, memory_order_relaxed);
    unsigned epoch = atomic_load_explicit(&a->epoch, memory_order_relaxed);
    atomic_store_explicit(&a->epoch, (epoch | 1) + 2, memory_order_release);
}

void mt_limits_end(struct mt_arena *a) {
    unsigned epoch = atomic_load_explicit(&a->epoch, memory_order_relaxed);
    atomic_store_explicit(&a->epoch, (epoch | 1) + 1, memory_order_release);
    a->leaving = 1;
}

void mt_vm_leave_stopped(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    if (a->session && !a->leaving && mt_limits_stopped(a)) mt_leave(a, LEAVE_STOP);
}

void mt_vm_effect_begin(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    mt_limits_poll(a);
    mt_vm_leave_stopped(L);
    unsigned epoch = atomic_load_explicit(&a->epoch, memory_order_relaxed);
    if (epoch & 1) atomic_store_explicit(&a->epoch, epoch + 1, memory_order_release);
    mt_limits_poll(a); /* the signal may have come in between */
}

void mt_vm_effect_end(lua_State *L) {
    struct mt_arena *a = mt_arena_of(L);
    unsigned epoch = atomic_load_explicit(&a->epoch, memory_order_relaxed);
    if ((epoch & 1) == 0) atomic_store_explicit(&a->epoch, epoch + 1, memory_order_release);
}
