/* The engine alone: flows of three keyed calls through a transport that answers at once, on the SQLite store,
 * with scripts in C. What is left out is Lua and HTTP. Usage: engine_bench [SECONDS [STARTERS [DIR]]]. Prints
 * flows/s, CPU a flow, commits a flow. DIR is on the disk to be measured; a directory of its own is made in
 * it. */
#include "base/log.h"
#include "base/text.h"
#include "engine/engine.h"
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CALLS 3

static struct mt_engine *engine;
static atomic_bool stop;
static atomic_long flows, failed;

static int perform(struct mt_transport *self, const struct mt_http_request *req,
                   struct mt_http_response *resp, struct mt_error *e) {
    static const char body[] =
        "{\"id\":\"pay_01h2xcejqtf2nbrexx3vqjhp41\",\"status\":\"succeeded\",\"amount\":8000}";
    (void)self;
    (void)req;
    (void)e;
    mt_http_response_init(resp);
    resp->status = 200;
    resp->duration_us = 1;
    mt_headers_add(&resp->headers, "Content-Type", "application/json");
    mt_buf_add(&resp->body, body, sizeof body - 1);
    return 0;
}

static void execute(struct mt_script *self, struct mt_exec *x, const char *generation, const char *flow,
                    const char *input, struct mt_script_result *out) {
    struct mt_answer a;
    char params[256];
    (void)self;
    (void)generation;
    (void)flow;
    (void)input;
    for (int i = 0; i < CALLS; i++) {
        snprintf(params, sizeof params,
                 "{\"idempotency_key\":\"%s-%d\",\"json\":{\"amount\":8000,\"currency\":\"USD\","
                 "\"reference\":\"order-%d\"},"
                 "\"url\":\"http://127.0.0.1:9/payments\"}",
                 mt_exec_run_id(x), i, i);
        mt_effect_call(x, "http.post", params, strlen(params), "bench.lua:7", &a);
        if (a.step == MT_STEP_LEAVE) {
            out->end = MT_END_LEFT;
            return;
        }
        if (a.step != MT_STEP_ANSWER) {
            out->end = MT_END_BUG;
            out->error = a.error;
            return;
        }
    }
    out->end = MT_END_RETURNED;
    mt_buf_adds(&out->value, "{\"ok\":true}");
}

static void current(struct mt_script *self, char out[80]) {
    (void)self;
    mt_copy(out, 80, "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
}

static int check_input(struct mt_script *self, const char *generation, const char *flow, const char *input,
                       struct mt_buf *normal, struct mt_error *e) {
    (void)self;
    (void)generation;
    (void)flow;
    (void)e;
    mt_buf_adds(normal, input);
    return 0;
}

static void *starter(void *arg) {
    (void)arg;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        struct mt_start s = {.flow = "bench", .input = "{\"order\":\"1001\"}", .waited = true};
        struct mt_run run;
        bool existing;
        struct mt_error e;
        if (mt_engine_start_wait(engine, &s, 30000, &run, &existing, &e) != 0) {
            atomic_fetch_add(&failed, 1);
            continue;
        }
        if (run.state != MT_RUN_COMPLETED) atomic_fetch_add(&failed, 1);
        mt_run_clear(&run);
        atomic_fetch_add_explicit(&flows, 1, memory_order_relaxed);
    }
    return NULL;
}

static double seconds(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct cpu {
    double user, system;
};

static struct cpu cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (struct cpu){(double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6,
                        (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6};
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void measure(double length, int starters) {
    pthread_t *threads = mt_calloc((size_t)starters, sizeof *threads);
    struct mt_writer_stats before, after;
    for (int i = 0; i < starters; i++) pthread_create(&threads[i], NULL, starter, NULL);
    usleep(500000); /* until it runs evenly */
    long n = atomic_load(&flows);
    double t = seconds(CLOCK_MONOTONIC);
    struct cpu cpu = cpu_seconds(), cpu_after;
    mt_writer_stats(mt_engine_writer(engine), &before);
    usleep((useconds_t)(length * 1e6));
    n = atomic_load(&flows) - n;
    t = seconds(CLOCK_MONOTONIC) - t;
    cpu_after = cpu_seconds();
    double user = (cpu_after.user - cpu.user) / (double)n * 1e6,
           sys = (cpu_after.system - cpu.system) / (double)n * 1e6;
    mt_writer_stats(mt_engine_writer(engine), &after);
    atomic_store(&stop, true);
    for (int i = 0; i < starters; i++) pthread_join(threads[i], NULL);
    free(threads);
    printf("starters %d: %.0f flows/s, %.1f us of CPU a flow (user %.1f, system %.1f), %.2f commits a flow, "
           "%.1f batches a commit, %ld failed\n",
           starters, (double)n / t, user + sys, user, sys,
           (double)(after.commits - before.commits) / (double)n,
           (double)(after.batches - before.batches) / (double)(after.commits - before.commits),
           atomic_load(&failed));
}

int main(int argc, char **argv) {
    double length = argc > 1 ? atof(argv[1]) : 5;
    int starters = argc > 2 ? atoi(argv[2]) : 64;
    char dir[4096];
    struct mt_error e = {0};
    mt_format(dir, sizeof dir, "%s/mintage-bench-XXXXXX", argc > 3 ? argv[3] : "/tmp");
    if (!mkdtemp(dir)) {
        perror(dir);
        return 1;
    }
    mt_log_setup(MT_LOG_WARN, MT_LOG_AUTO);
    struct mt_script script = {.execute = execute, .current = current, .check_input = check_input};
    struct mt_transport transport = {.perform = perform};
    struct mt_clock *clock = mt_clock_system();
    struct mt_seal_key key = {{1, 2, 3}};
    struct mt_engine_options o = {.store = mt_store_sqlite_open(dir, &e),
                                  .clock = clock,
                                  .random = mt_random_system(),
                                  .transport = &transport,
                                  .providers = mt_providers_new(NULL, NULL, clock, &e),
                                  .script = &script,
                                  .key = &key,
                                  .public_url = "http://127.0.0.1:8080"};
    if (!o.store || !o.providers || !(engine = mt_engine_new(&o, &e)) || mt_engine_start(engine, &e) != 0) {
        fprintf(stderr, "%s\n", e.message);
        return 1;
    }
    measure(length, starters);
    mt_engine_free(engine);
    mt_providers_free(o.providers);
    o.store->close(o.store);
    clock->free(clock);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return atomic_load(&failed) ? 1 : 0;
}
