/* links: mt_store mt_base */
/* The writer: group commit, waking, order, limits, a full disk waited out, work of its own between commits.
 */
#include "base/log.h"
#include "store/sqlite_test.h"
#include "store/writer.h"
#include "store_support.h"
#include <pthread.h>

struct fixture {
    struct mt_store *s;
    struct mt_writer *w;
    char *dir;
    /* written on the writer's thread, read after a submit */
    int64_t due;
    int dues, commits;
    char order[4096];
};

static void note_due(void *ctx, int64_t at) {
    struct fixture *f = ctx;
    f->due = at;
    f->dues++;
}

static void note_commit(void *ctx, const struct mt_batch *b) {
    struct fixture *f = ctx;
    size_t len = strlen(f->order);
    f->commits++;
    if (b->count && b->ops[0].type == MT_OP_META && len < sizeof f->order - 8)
        snprintf(f->order + len, sizeof f->order - len, "%s ", b->ops[0].meta.value);
}

static int begin(void **state, bool sqlite, size_t limit) {
    struct fixture *f = mt_calloc(1, sizeof *f);
    struct mt_error e;
    mt_log_setup(MT_LOG_OFF, MT_LOG_TEXT);
    if (sqlite) f->dir = make_dir();
    f->s = sqlite ? open_or_fail(f->dir) : mt_store_memory_open();
    struct mt_writer_options o = {
        .store = f->s, .queue_limit = limit, .due = note_due, .committed = note_commit, .ctx = f};
    f->w = mt_writer_start(&o, &e);
    *state = f;
    return f->w ? 0 : -1;
}

static int on_sqlite(void **state) {
    return begin(state, true, 0);
}
static int on_memory(void **state) {
    return begin(state, false, 4);
}

static int end(void **state) {
    struct fixture *f = *state;
    mt_writer_stop(f->w);
    f->s->close(f->s);
    if (f->dir) remove_tree(f->dir);
    free(f->dir);
    free(f);
    return 0;
}

static struct mt_batch batch_of(struct fixture *f, struct mt_op *op) {
    return (struct mt_batch){.epoch = f->s->epoch, .ops = op, .count = 1};
}

/* ---- group commit ---- */

enum { THREADS = 16, EACH = 40 };
struct submitter {
    struct fixture *f;
    int number, failed;
};

static void *submit_many(void *arg) {
    struct submitter *me = arg;
    for (int i = 0; i < EACH; i++) {
        char id[MT_ID_SIZE];
        snprintf(id, sizeof id, "run_%d_%d", me->number, i);
        struct mt_op start = start_op(id, NULL, true, 100);
        struct mt_op finish = {.type = MT_OP_RUN,
                               .run = {.state = MT_RUN_COMPLETED, .release = true, .at = 200}};
        struct mt_batch b = batch_of(me->f, &start);
        me->failed += mt_writer_submit(me->f->w, &b) != 0;
        b = batch_of(me->f, &finish);
        b.run = id;
        me->failed += mt_writer_submit(me->f->w, &b) != 0;
        struct mt_run r;
        struct mt_error e;
        if (me->f->s->get_run(me->f->s, id, &r, &e)) { /* durable, so visible */
            me->failed++;
            continue;
        }
        me->failed += r.state != MT_RUN_COMPLETED;
        mt_run_clear(&r);
    }
    return NULL;
}

static void test_group_commit(void **state) {
    struct fixture *f = *state;
    struct submitter submitters[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        submitters[i] = (struct submitter){.f = f, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, &submitters[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(submitters[i].failed, 0);
    }
    struct mt_writer_stats stats;
    uint64_t sum = 0;
    mt_writer_stats(f->w, &stats);
    assert_int_equal(stats.batches, 2 * THREADS * EACH);
    assert_true(stats.commits < stats.batches);
    assert_int_equal(stats.refused, 0);
    for (int i = 0; i < 12; i++) sum += stats.size_histogram[i];
    assert_int_equal(sum, stats.commits);
    assert_int_equal(f->commits, 2 * THREADS * EACH);
    int64_t counts[MT_RUN_STATE_COUNT];
    struct mt_error e;
    assert_int_equal(f->s->count_runs(f->s, counts, &e), 0);
    assert_int_equal(counts[MT_RUN_COMPLETED], THREADS * EACH);
}

/* ---- one batch after another ---- */

static void test_refusals_reach_their_submitter(void **state) {
    struct fixture *f = *state;
    struct mt_op op = {.type = MT_OP_RETRY, .retry = {.run = "run_9", .at = 1}};
    struct mt_batch b = batch_of(f, &op);
    assert_int_equal(mt_writer_submit(f->w, &b), -1);
    assert_int_equal(op.result, MT_RES_MISSING);
    assert_int_equal(b.error.kind, MT_NOT_FOUND);
    assert_int_equal(f->commits, 0); /* only what was applied is told */
    struct mt_writer_stats stats;
    mt_writer_stats(f->w, &stats);
    assert_int_equal(stats.refused, 1);
}

static void test_due_is_told(void **state) {
    struct fixture *f = *state;
    struct mt_op op = start_op("run_1", NULL, false, 700);
    struct mt_batch b = batch_of(f, &op);
    assert_int_equal(mt_writer_submit(f->w, &b), 0);
    assert_int_equal(f->due, 700);
    assert_int_equal(f->dues, 1);
    op = start_op("run_2", NULL, true, 700); /* claimed: nothing is due */
    b = batch_of(f, &op);
    assert_int_equal(mt_writer_submit(f->w, &b), 0);
    assert_int_equal(f->dues, 1);
}

/* Holds the writer's thread until told to go on. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool reached, open;
};

static int hold(struct mt_store *s, void *ctx, struct mt_error *e) {
    struct gate *g = ctx;
    (void)s;
    (void)e;
    pthread_mutex_lock(&g->lock);
    g->reached = true;
    pthread_cond_broadcast(&g->changed);
    while (!g->open) pthread_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
    return 0;
}

struct held {
    struct fixture *f;
    struct gate gate;
    pthread_t thread;
};

static void *hold_writer(void *arg) {
    struct held *h = arg;
    struct mt_error e;
    mt_writer_exclusive(h->f->w, hold, &h->gate, &e);
    return NULL;
}

static void hold_it(struct held *h, struct fixture *f) {
    *h = (struct held){.f = f,
                       .gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}};
    assert_int_equal(pthread_create(&h->thread, NULL, hold_writer, h), 0);
    pthread_mutex_lock(&h->gate.lock);
    while (!h->gate.reached) pthread_cond_wait(&h->gate.changed, &h->gate.lock);
    pthread_mutex_unlock(&h->gate.lock);
}

static void let_go(struct held *h) {
    pthread_mutex_lock(&h->gate.lock);
    h->gate.open = true;
    pthread_cond_broadcast(&h->gate.changed);
    pthread_mutex_unlock(&h->gate.lock);
    pthread_join(h->thread, NULL);
}

static void test_order_and_limit(void **state) {
    struct fixture *f = *state;
    static const char *const values[] = {"1", "2", "3", "4", "5"};
    struct held h;
    struct mt_op ops[6];
    struct mt_batch batches[6];
    hold_it(&h, f); /* counts as one of the four that may wait */
    for (int i = 0; i < 5; i++) {
        ops[i] = (struct mt_op){.type = MT_OP_META, .meta = {"k", values[i]}};
        batches[i] = batch_of(f, &ops[i]);
        mt_writer_post(f->w, &batches[i]); /* not optional: never turned away */
    }
    assert_true(mt_writer_busy(f->w));
    ops[5] = start_op("run_1", NULL, true, 100);
    batches[5] = batch_of(f, &ops[5]);
    batches[5].optional = true;
    assert_int_equal(mt_writer_submit(f->w, &batches[5]), -1);
    assert_int_equal(batches[5].error.kind, MT_UNAVAILABLE);
    assert_true(batches[5].error.retryable);
    let_go(&h);
    for (int i = 0; i < 5; i++) assert_int_equal(mt_writer_wait(f->w, &batches[i]), 0);
    assert_string_equal(f->order, "1 2 3 4 5 ");
    struct mt_writer_stats stats;
    mt_writer_stats(f->w, &stats);
    assert_int_equal(stats.commits, 1); /* what had queued shared one commit */
    assert_int_equal(stats.size_histogram[3], 1);
    assert_false(mt_writer_busy(f->w));
    assert_int_equal(mt_writer_submit(f->w, &batches[5]), 0);
}

static int wipe(struct mt_store *s, void *ctx, struct mt_error *e) {
    (void)ctx;
    return s->wipe(s, e);
}

static int refuse(struct mt_store *s, void *ctx, struct mt_error *e) {
    (void)s;
    (void)ctx;
    return mt_fail(e, MT_UNSUPPORTED, "not today");
}

static void test_exclusive(void **state) {
    struct fixture *f = *state;
    struct mt_op op = start_op("run_1", NULL, true, 100);
    struct mt_batch b = batch_of(f, &op);
    struct mt_error e;
    struct mt_run r;
    assert_int_equal(mt_writer_submit(f->w, &b), 0);
    assert_int_equal(mt_writer_exclusive(f->w, wipe, NULL, &e), 0);
    assert_int_equal(f->s->get_run(f->s, "run_1", &r, &e), -1);
    assert_int_equal(mt_writer_exclusive(f->w, refuse, NULL, &e), -1);
    assert_string_equal(e.message, "not today");
}

static void test_stop_commits_what_is_queued(void **state) {
    struct fixture *f = *state;
    struct mt_op ops[50];
    struct mt_batch batches[50];
    for (int i = 0; i < 50; i++) {
        ops[i] = (struct mt_op){.type = MT_OP_TASK_PUT, .task = {.due_at = i, .name = "t", .payload = "1"}};
        batches[i] = batch_of(f, &ops[i]);
        mt_writer_post(f->w, &batches[i]);
    }
    mt_writer_stop(f->w);
    for (int i = 0; i < 50; i++) assert_int_equal(batches[i].done ? batches[i].status : -1, 0);
    f->w = NULL;
}

/* ---- a full disk ---- */

static int limit_pages(struct mt_store *s, void *ctx, struct mt_error *e) {
    (void)e;
    mt_store_sqlite_limit_pages(s, *(int64_t *)ctx);
    return 0;
}

struct full {
    struct mt_op start, progress, document;
    struct mt_batch of_run, of_nobody;
    char *big;
};

/* A run's batch that does not fit waits; one that is nobody's is refused, and when it has been, the other has
 * been tried. */
static void fill_disk(struct fixture *f, struct full *x) {
    int64_t none = 0;
    struct mt_error e;
    x->big = mt_calloc(1, 300001);
    memset(x->big, '1', 300000);
    x->start = start_op("run_1", NULL, true, 100);
    struct mt_batch b = batch_of(f, &x->start);
    assert_int_equal(mt_writer_submit(f->w, &b), 0);
    assert_int_equal(mt_writer_exclusive(f->w, limit_pages, &none, &e), 0);
    x->progress = (struct mt_op){.type = MT_OP_RUN, .run = {.state = -1, .progress = x->big, .at = 200}};
    x->of_run = batch_of(f, &x->progress);
    x->of_run.run = "run_1";
    mt_writer_post(f->w, &x->of_run);
    x->document = (struct mt_op){.type = MT_OP_DOC_PUT,
                                 .doc = {.collection = "c", .id = "1", .body = x->big, .expect = -1}};
    x->of_nobody = batch_of(f, &x->document);
    assert_int_equal(mt_writer_submit(f->w, &x->of_nobody), -1);
    assert_int_equal(x->of_nobody.error.kind, MT_FULL);
}

static void test_full_disk_is_waited_out(void **state) {
    struct fixture *f = *state;
    struct full x;
    struct mt_error e;
    int64_t unlimited = -1;
    struct mt_run r;
    fill_disk(f, &x);
    assert_true(mt_writer_busy(f->w));
    assert_int_not_equal(__atomic_load_n(&x.of_run.done, __ATOMIC_ACQUIRE), 2);
    assert_int_equal(mt_writer_submit(f->w, &x.of_nobody), -1); /* still, and at once */
    assert_int_equal(x.of_nobody.error.kind, MT_FULL);
    assert_int_equal(mt_writer_exclusive(f->w, limit_pages, &unlimited, &e), 0);
    assert_int_equal(mt_writer_wait(f->w, &x.of_run), 0);
    assert_false(mt_writer_busy(f->w));
    assert_int_equal(mt_writer_submit(f->w, &x.of_nobody), 0);
    assert_int_equal(f->s->get_run(f->s, "run_1", &r, &e), 0);
    assert_int_equal(strlen(r.progress), 300000);
    mt_run_clear(&r);
    struct mt_writer_stats stats;
    mt_writer_stats(f->w, &stats);
    assert_true(stats.full >= 1);
    free(x.big);
}

static void test_stop_while_full(void **state) {
    struct fixture *f = *state;
    struct full x;
    fill_disk(f, &x);
    mt_writer_stop(f->w);
    f->w = NULL;
    assert_int_equal(x.of_run.status, -1);
    assert_int_equal(x.of_run.error.kind, MT_FULL);
    free(x.big);
}

int main(void) {
#define S(test) cmocka_unit_test_setup_teardown(test, on_sqlite, end)
#define M(test) cmocka_unit_test_setup_teardown(test, on_memory, end)
    const struct CMUnitTest tests[] = {S(test_group_commit),
                                       M(test_refusals_reach_their_submitter),
                                       M(test_due_is_told),
                                       M(test_order_and_limit),
                                       M(test_exclusive),
                                       S(test_stop_commits_what_is_queued),
                                       S(test_full_disk_is_waited_out),
                                       S(test_stop_while_full)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
