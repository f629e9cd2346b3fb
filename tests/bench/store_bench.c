/* How fast the store takes what an ordinary flow writes: five batches, each awaited, from many threads at
 * once. store_bench [threads] [flows] [dir] Prints flows/s, CPU per flow, commits per flow and the size of
 * commits. store_bench disk [commits] does it on a simulated disk with no thread but its own, and says what a
 * commit, a crash with the opening after it, and a copy of the disk cost. */
#include "base/text.h"
#include "store/disk.h"
#include "store/writer.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct bench {
    struct mt_store *store;
    struct mt_writer *writer;
    int64_t flows;
    int64_t next; /* atomic */
};

static char request[400], result[300];

static void submit(struct bench *b, const char *run, struct mt_op *ops, size_t count) {
    struct mt_batch batch = {.run = run, .epoch = b->store->epoch, .ops = ops, .count = count};
    struct mt_batch *list[] = {&batch};
    if (!b->writer && b->store->commit(b->store, list, 1, &batch.error) == 0 && batch.status == 0) return;
    if (b->writer && mt_writer_submit(b->writer, &batch) == 0) return;
    fprintf(stderr, "refused: %s\n", batch.error.message);
    exit(1);
}

static struct mt_entry intent(int seq) {
    struct mt_entry e = {.seq = seq, .at = 1700000000000, .request = request, .request_len = sizeof request};
    mt_copy(e.kind, sizeof e.kind, "call");
    mt_copy(e.name, sizeof e.name, "mintro.intents.create");
    mt_copy(e.digest, sizeof e.digest, "0123456789abcdef0123456789abcdef");
    mt_copy(e.site, sizeof e.site, "checkout.lua:31");
    e.params = (char *)"{\"amount\":\"80.00 "
                       "USD\",\"email\":\"customer@example.com\",\"reference_id\":\"ORDER-123456\"}";
    return e;
}

static void one_flow(struct bench *b) {
    char id[MT_ID_SIZE];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    mt_id_new("run_", (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, mt_random_system(), id);
    struct mt_op start = {
        .type = MT_OP_START,
        .start = {.id = id,
                  .flow = "checkout",
                  .key = id,
                  .input =
                      "{\"amount\":\"80.00 USD\",\"reference\":\"ORDER-123456\",\"email\":\"a@b.example\"}",
                  .input_digest = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                  .generation = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                  .claim = true,
                  .cls = MT_CLASS_WAITED,
                  .at = 1700000000000}};
    submit(b, NULL, &start, 1);
    for (int seq = 1; seq <= 4; seq++) {
        struct mt_entry answer = {
            .seq = seq - 1, .outcome = MT_DONE, .result = result, .done_at = 1700000000100};
        struct mt_entry next = intent(seq);
        struct mt_op ops[2];
        size_t n = 0;
        if (seq > 1) ops[n++] = (struct mt_op){.type = MT_OP_ANSWER, .entry = &answer};
        if (seq < 4)
            ops[n++] = (struct mt_op){.type = MT_OP_ENTRY, .entry = &next};
        else
            ops[n++] = (struct mt_op){.type = MT_OP_RUN,
                                      .run = {.state = MT_RUN_COMPLETED,
                                              .output = "{\"status\":\"succeeded\"}",
                                              .release = true,
                                              .at = 1700000000200}};
        submit(b, id, ops, n);
    }
}

static void *worker(void *arg) {
    struct bench *b = arg;
    while (__atomic_fetch_add(&b->next, 1, __ATOMIC_RELAXED) < b->flows) one_flow(b);
    return NULL;
}

static double seconds(const struct timeval *t) {
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void reopen(struct bench *b, struct mt_disk *disk) {
    struct mt_error e;
    if (b->store) b->store->close(b->store);
    b->store = mt_store_sqlite_open_on(disk, "mintage.db", &e);
    if (b->store) return;
    fprintf(stderr, "cannot open a store on a simulated disk: %s\n", e.message);
    exit(1);
}

static int on_a_disk(int64_t commits) {
    enum { TIMES = 200 };
    struct mt_disk *disk = mt_disk_new(1);
    struct mt_disk_stats stats;
    struct bench b = {.flows = (commits + 4) / 5};
    double t0 = now_us();
    reopen(&b, disk);
    double opened = now_us() - t0;
    t0 = now_us();
    for (int64_t i = 0; i < b.flows; i++) one_flow(&b);
    double committed = (now_us() - t0) / (double)(5 * b.flows);
    mt_disk_stats(disk, &stats);
    t0 = now_us();
    for (int i = 0; i < TIMES; i++) mt_disk_free(mt_disk_copy(disk, 1));
    double copied = (now_us() - t0) / TIMES;
    t0 = now_us();
    for (int i = 0; i < TIMES; i++) {
        mt_disk_crash(disk, MT_DISK_TEARS);
        reopen(&b, disk);
    }
    double crashed = (now_us() - t0) / TIMES;
    printf("simulated disk: first opening %.0f us  commit %.1f us (%" PRId64 " commits)  then, of %.1f MB: "
           "copy %.0f us  crash and opening %.0f us\n",
           opened, committed, 5 * b.flows, (double)stats.bytes / 1e6, copied, crashed);
    b.store->close(b.store);
    mt_disk_free(disk);
    return 0;
}

int main(int argc, char **argv) {
    memset(request, 'r', sizeof request);
    memset(result, 'x', sizeof result - 1);
    result[0] = result[sizeof result - 2] = '"';
    if (argc > 1 && strcmp(argv[1], "disk") == 0) return on_a_disk(argc > 2 ? atoll(argv[2]) : 100);
    int threads = argc > 1 ? atoi(argv[1]) : 64;
    struct bench b = {.flows = argc > 2 ? atoll(argv[2]) : 20000};
    char temporary[] = "/tmp/mintage-bench-XXXXXX";
    const char *dir = argc > 3 ? argv[3] : mkdtemp(temporary);
    struct mt_error e;
    if (threads < 1 || threads > 1024 || !dir || !(b.store = mt_store_sqlite_open(dir, &e))) {
        fprintf(stderr, "cannot open a store in %s\n", dir ? dir : "/tmp");
        return 1;
    }
    struct mt_writer_options options = {.store = b.store};
    b.writer = mt_writer_start(&options, &e);
    pthread_t ids[1024];
    struct timespec t0, t1;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, worker, &b);
    for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    clock_gettime(CLOCK_MONOTONIC, &t1);
    getrusage(RUSAGE_SELF, &after);
    struct mt_writer_stats stats;
    mt_writer_stats(b.writer, &stats);
    double wall = (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
    double user = seconds(&after.ru_utime) - seconds(&before.ru_utime);
    double kernel = seconds(&after.ru_stime) - seconds(&before.ru_stime);
    double flows = (double)b.flows;
    printf("threads %d  flows %" PRId64
           "  flows/s %.0f  CPU us/flow %.1f (user %.1f, system %.1f)  commits/flow %.3f  "
           "batches/commit %.1f  RSS %ld MB\n",
           threads, b.flows, flows / wall, (user + kernel) * 1e6 / flows, user * 1e6 / flows,
           kernel * 1e6 / flows, (double)stats.commits / flows, (double)stats.batches / (double)stats.commits,
           after.ru_maxrss / 1024);
    printf("commits by size (1, 2, 3-4, 5-8, ...):");
    for (int i = 0; i < 12; i++) printf(" %" PRIu64, stats.size_histogram[i]);
    printf("\n");
    mt_writer_stop(b.writer);
    b.store->close(b.store);
    if (argc <= 3) {
        char command[128];
        mt_format(command, sizeof command, "rm -r %s", dir);
        return system(command) != 0;
    }
    return 0;
}
