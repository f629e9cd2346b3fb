/* What taking away old runs costs those who go on: fills a store with ended flows of three calls, then makes
 * tombstones of them all, and measures what one small commit waits for, with and without starts beside it.
 * Usage: purge_bench [FLOWS [STARTERS [DIR]]]. A flow is four rows (its run and three entries) and its
 * indexes.
 */
#include "base/log.h"
#include "base/sync.h"
#include "base/text.h"
#include "engine/retention.h"
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROBES 1000000

static struct mt_engine *engine;
static struct mt_store *store;
static atomic_bool stop;
static atomic_long flows, wanted;
static int64_t *waits; /* ns */
static size_t wait_count;

static int perform(struct mt_transport *self, const struct mt_http_request *req,
                   struct mt_http_response *resp, struct mt_error *e) {
    static const char body[] = "{\"id\":\"pay_01h2xcejqtf2nbrexx3vqjhp41\",\"status\":\"succeeded\"}";
    (void)self, (void)req, (void)e;
    mt_http_response_init(resp);
    resp->status = 200;
    mt_headers_add(&resp->headers, "Content-Type", "application/json");
    mt_buf_add(&resp->body, body, sizeof body - 1);
    return 0;
}

static void execute(struct mt_script *self, struct mt_exec *x, const char *generation, const char *flow,
                    const char *input, struct mt_script_result *out) {
    struct mt_answer a;
    char params[256];
    (void)self, (void)generation, (void)flow, (void)input;
    for (int i = 0; i < 3; i++) {
        snprintf(params, sizeof params,
                 "{\"idempotency_key\":\"%s-%d\",\"json\":{\"amount\":8000,\"reference\":\"order-%d\"},"
                 "\"url\":\"http://127.0.0.1:9/payments\"}",
                 mt_exec_run_id(x), i, i);
        mt_effect_call(x, "http.post", params, strlen(params), "bench.lua:7", &a);
        if (a.step == MT_STEP_ANSWER) continue;
        out->end = a.step == MT_STEP_LEAVE ? MT_END_LEFT : MT_END_BUG;
        out->error = a.error;
        return;
    }
    out->end = MT_END_RETURNED;
    mt_buf_adds(&out->value, "{\"payment_id\":\"pay_01h2xcejqtf2nbrexx3vqjhp41\",\"status\":\"succeeded\"}");
}

static void current(struct mt_script *self, char out[80]) {
    (void)self;
    mt_copy(out, 80, "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08");
}

static int check_input(struct mt_script *self, const char *generation, const char *flow, const char *input,
                       struct mt_buf *normal, struct mt_error *e) {
    (void)self, (void)generation, (void)flow, (void)e;
    mt_buf_adds(normal, input);
    return 0;
}

static void *starter(void *arg) {
    (void)arg;
    while (!atomic_load(&stop) && atomic_fetch_sub(&wanted, 1) > 0) {
        char key[40];
        struct mt_run run;
        bool existing;
        struct mt_error e;
        mt_format(key, sizeof key, "order-%ld", atomic_fetch_add(&flows, 1));
        struct mt_start s = {.flow = "bench",
                             .input = "{\"order\":\"1001\",\"email\":\"a@b.example\"}",
                             .key = key,
                             .waited = true};
        if (mt_engine_start_wait(engine, &s, 30000, &run, &existing, &e) == 0) mt_run_clear(&run);
    }
    return NULL;
}

static void *prober(void *arg) {
    (void)arg;
    while (!atomic_load(&stop) && wait_count < PROBES) {
        struct mt_op op = {.type = MT_OP_META, .meta = {"probe", "x"}};
        struct mt_batch batch = {.ops = &op, .count = 1};
        int64_t since = mt_mono_ns();
        mt_writer_submit(mt_engine_writer(engine), &batch);
        waits[wait_count++] = mt_mono_ns() - since;
        usleep(2000);
    }
    return NULL;
}

static int by_size(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Runs starters and a prober for a while, or until the purge is over. */
static void phase(const char *name, int starters, double seconds, bool purges) {
    pthread_t probe, *threads = mt_calloc((size_t)starters + 1, sizeof *threads);
    struct mt_purge_ask ask = {.before = INT64_MAX / 2, .limit = SIZE_MAX / 4};
    struct mt_purged done = {0};
    struct mt_error e;
    long began = atomic_load(&flows);
    int64_t since = mt_mono_ns();
    atomic_store(&stop, false);
    atomic_store(&wanted, 1L << 40);
    wait_count = 0;
    pthread_create(&probe, NULL, prober, NULL);
    for (int i = 0; i < starters; i++) pthread_create(&threads[i], NULL, starter, NULL);
    ask.limit = (size_t)began; /* those that are there now */
    if (purges && mt_engine_purge(engine, &ask, &done, &e) != 0) fprintf(stderr, "%s\n", e.message);
    if (!purges) usleep((useconds_t)(seconds * 1e6));
    double took = (double)(mt_mono_ns() - since) / 1e9;
    long n = atomic_load(&flows) - began;
    atomic_store(&stop, true);
    pthread_join(probe, NULL);
    for (int i = 0; i < starters; i++) pthread_join(threads[i], NULL);
    qsort(waits, wait_count, sizeof *waits, by_size);
    printf("%-26s %6.1f s  commit p50 %6.2f ms  p99 %6.2f ms  max %6.2f ms  %6.0f flows/s", name, took,
           (double)waits[wait_count / 2] / 1e6, (double)waits[wait_count * 99 / 100] / 1e6,
           (double)waits[wait_count - 1] / 1e6, (double)n / took);
    if (purges) printf("  %lld runs, %.0f/s", (long long)done.runs, (double)done.runs / took);
    putchar('\n');
    fflush(stdout);
    free(threads);
}

static void fill(long n, int starters) {
    pthread_t *threads = mt_calloc((size_t)starters, sizeof *threads);
    atomic_store(&stop, false);
    atomic_store(&wanted, n);
    for (int i = 0; i < starters; i++) pthread_create(&threads[i], NULL, starter, NULL);
    for (int i = 0; i < starters; i++) pthread_join(threads[i], NULL);
    free(threads);
}

static void say_size(const char *when) {
    struct mt_kept k;
    struct mt_error e;
    if (store->kept(store, &k, &e) == 0)
        printf("%s: %.1f MB, of which %.1f MB are free; %lld tombstones\n", when, (double)k.bytes / 1e6,
               (double)k.free_bytes / 1e6, (long long)k.tombstones);
    fflush(stdout);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

int main(int argc, char **argv) {
    long n = argc > 1 ? atol(argv[1]) : 250000;
    int starters = argc > 2 ? atoi(argv[2]) : 8;
    char dir[4096];
    struct mt_error e = {0};
    mt_format(dir, sizeof dir, "%s/mintage-bench-XXXXXX", argc > 3 ? argv[3] : "/tmp");
    if (!mkdtemp(dir)) {
        perror(dir);
        return 1;
    }
    waits = mt_calloc(PROBES, sizeof *waits);
    mt_log_setup(MT_LOG_WARN, MT_LOG_AUTO);
    struct mt_script script = {.execute = execute, .current = current, .check_input = check_input};
    struct mt_transport transport = {.perform = perform};
    struct mt_clock *clock = mt_clock_system();
    struct mt_seal_key key = {{1, 2, 3}};
    store = mt_store_sqlite_open(dir, &e);
    struct mt_engine_options o = {.store = store,
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
    fill(n / 2, 64);
    say_size("half");
    phase("nothing else", 0, 5, false);
    phase("purging", 0, 0, true);
    say_size("after purging");
    fill(n - n / 2, 64);
    say_size("the other half");
    phase("starts", starters, 5, false);
    phase("starts while purging", starters, 0, true);
    usleep(3000000); /* the keeper gives pages back */
    say_size("at the end");
    mt_engine_free(engine);
    mt_providers_free(o.providers);
    store->close(store);
    clock->free(clock);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return 0;
}
