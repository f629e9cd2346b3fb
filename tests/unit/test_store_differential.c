/* links: mt_store mt_base */
/* The same random batches on the SQLite store and on the in-memory oracle: every answer and every read must
 * be the same. STORE_SEED and STORE_OPS choose the sequence and its length; the seed is printed, and printed
 * again on a difference. */
#include "store/disk.h"
#include "store_random.h"
#include "store_say.h"
#include <inttypes.h>
#include <time.h>

/* One read with arguments that `r` chooses; the two stores are asked with the same seed. */
static void say_some(struct mt_buf *b, struct mt_store *s, struct random *r, int64_t now) {
    struct mt_run run;
    struct mt_error e;
    struct mt_run_filter f = {
        .flow = MAYBE(r, flows), .key = chance(r, 20) ? PICK(r, keys) : NULL, .limit = any(r, 20)};
    f.state = chance(r, 50) ? -1 : (int)any(r, MT_RUN_STATE_COUNT);
    if (chance(r, 50)) mt_copy(f.before, sizeof f.before, PICK(r, run_ids));
    f.live = chance(r, 30);
    if (chance(r, 30)) f.except = PICK(r, generations);
    switch (any(r, 10)) {
    case 0:
        if (s->get_run(s, PICK(r, run_ids), &run, &e) == 0) say_run(b, &run);
        break;
    case 1:
        if (s->find_run(s, PICK(r, flows), PICK(r, keys), &run, &e) == 0) say_run(b, &run);
        break;
    case 2:
        say_runs(b, s, &f);
        break;
    case 3:
        say_journal(b, s, PICK(r, run_ids), (int)any(r, 4) - 1);
        break;
    case 4: {
        const char *topic = MAYBE(r, topics), *key = MAYBE(r, keys);
        bool newest = chance(r, 50);
        enum mt_event_filter which = (enum mt_event_filter)any(r, 4);
        int64_t after = any(r, 40);
        say_events(b, s, topic, key, after, newest, which, any(r, 20));
        break;
    }
    case 5: {
        const char *collection = PICK(r, collections), *field = chance(r, 50) ? "state" : NULL,
                   *value = PICK(r, keys);
        const char *after = MAYBE(r, ids);
        bool newest = chance(r, 50);
        say_documents(b, s, collection, field, value, after, newest, any(r, 5));
        break;
    }
    case 6: {
        const char *group = MAYBE(r, flows);
        int64_t due_by = chance(r, 50) ? MT_NEVER : now + any(r, 20);
        say_deliveries(b, s, group, due_by, any(r, 5));
        break;
    }
    case 7:
        say_tasks(b, s, now + any(r, 20), any(r, 5));
        break;
    case 8:
        say_ended(b, s, f.flow, now - 100, now - (int64_t)any(r, 20), f.limit);
        break;
    default:
        say_numbers(b, s);
    }
}

/* ---- comparing ---- */

struct comparison {
    struct mt_store *a, *b;
    struct mt_buf said_a, said_b;
    struct random random;
    int64_t now;
    int64_t ops, applied[OP_TYPES], answered[RESULTS];
    int64_t spoil_at; /* after so many operations b alone gets one more, quietly: the comparison must notice;
                         -1: never */
    enum mt_op_type spoil_with;
    struct mt_disk *disk; /* that a lives on; NULL: a directory */
};

static bool same(struct comparison *c) {
    assert_true(mt_buf_ok(&c->said_a) && mt_buf_ok(&c->said_b));
    bool equal = strcmp(c->said_a.data, c->said_b.data) == 0;
    if (equal) {
        mt_buf_reset(&c->said_a);
        mt_buf_reset(&c->said_b);
    }
    return equal;
}

static void commit_made(struct mt_store *s, struct made *made, size_t count) {
    struct mt_batch *list[GROUP];
    struct mt_error e;
    for (size_t i = 0; i < count; i++) list[i] = &made[i].batch;
    if (s->commit(s, list, count, &e)) fail_msg("commit: %s", e.message);
}

static void spoil(struct comparison *c) {
    struct made m;
    struct subject about = {
        .id = run_ids[0], .parked = run_ids[0], .collection = collections[0], .next_seq = 1};
    c->spoil_at = -1;
    do { /* until it is one that is not refused */
        memset(&m, 0, sizeof m);
        m.batch.ops = m.ops;
        m.batch.count = 1;
        make_op(&c->random, &m, 0, c->spoil_with, &about, c->now);
        commit_made(c->b, &m, 1);
        struct mt_buf unheard;
        mt_buf_init(&unheard, 1024 * 1024);
        say_batch(&unheard, &m);
        mt_buf_clear(&unheard);
    } while (m.batch.status || m.ops[0].result != MT_RES_OK);
}

/* One commit of a few batches on both, then what they answer to it and to a read. */
static bool step(struct comparison *c) {
    struct made made[GROUP], for_a[GROUP], for_b[GROUP];
    size_t count = 1 + any(&c->random, GROUP);
    c->now += any(&c->random, 5);
    for (size_t i = 0; i < count; i++) {
        make_batch(&c->random, c->a, &made[i], c->now);
        copy_made(&made[i], &for_a[i]);
        copy_made(&made[i], &for_b[i]);
        c->ops += (int64_t)made[i].batch.count;
    }
    commit_made(c->a, for_a, count);
    commit_made(c->b, for_b, count);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < for_a[i].batch.count; k++) {
            const struct mt_op *op = &for_a[i].ops[k];
            if (for_a[i].batch.status == 0) c->applied[op->type]++;
            c->answered[op->result]++;
        }
        say_batch(&c->said_a, &for_a[i]);
        say_batch(&c->said_b, &for_b[i]);
    }
    if (c->spoil_at >= 0 && c->ops >= c->spoil_at) spoil(c);
    uint32_t seed = any(&c->random, UINT32_MAX);
    struct random read_a = {mt_random_seeded(seed)}, read_b = {mt_random_seeded(seed)};
    say_some(&c->said_a, c->a, &read_a, c->now);
    say_some(&c->said_b, c->b, &read_b, c->now);
    free(read_a.source);
    free(read_b.source);
    return same(c);
}

static bool same_all(struct comparison *c) {
    say_all(&c->said_a, c->a);
    say_all(&c->said_b, c->b);
    return same(c);
}

/* The machine dies in one way or another; everything has been answered, so all of it must be there. */
static void live_through_a_crash(struct comparison *c) {
    struct mt_error e;
    mt_disk_crash(c->disk, (enum mt_disk_crash)any(&c->random, MT_DISK_TEARS + 1));
    c->a->close(c->a);
    c->a = mt_store_sqlite_open_on(c->disk, "mintage.db", &e);
    if (!c->a) fail_msg("opening after a crash: %s", e.message);
    mt_store_memory_restart(c->b);
}

/* False as soon as the stores differ. */
static bool compare(struct comparison *c, int64_t ops) {
    struct mt_error e;
    for (int64_t i = 1; c->ops < ops; i++) {
        if (!step(c)) return false;
        if (i % 25 == 0 && !same_all(c)) return false;
        if (c->disk && i % 40 == 0) live_through_a_crash(c);
        if (i % 250 == 0 && (c->a->wipe(c->a, &e) || c->b->wipe(c->b, &e))) fail_msg("wipe: %s", e.message);
    }
    return same_all(c);
}

static void begin(struct comparison *c, struct mt_store *a, struct mt_store *b, uint64_t seed) {
    *c = (struct comparison){.a = a, .b = b, .random = {mt_random_seeded(seed)}, .now = 1000, .spoil_at = -1};
    mt_buf_init(&c->said_a, 64 * 1024 * 1024);
    mt_buf_init(&c->said_b, 64 * 1024 * 1024);
}

static void end(struct comparison *c) {
    c->a->close(c->a);
    c->b->close(c->b);
    mt_buf_clear(&c->said_a);
    mt_buf_clear(&c->said_b);
    free(c->random.source);
}

/* ---- tests ---- */

static void report(const struct comparison *c, uint64_t seed) {
    const char *a = c->said_a.data, *b = c->said_b.data;
    while (*a && *a == *b) a++, b++;
    while (a > c->said_a.data && a[-1] != '\n') a--, b--;
    fail_msg("the stores differ after %" PRId64 " operations (STORE_SEED=%" PRIu64
             ")\nsqlite: %.400s\nmemory: %.400s",
             c->ops, seed, a, b);
}

static uint64_t number_from(const char *name, uint64_t fallback) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : fallback;
}

/* A sequence that tries little would compare little. */
static bool has_tried_all(const struct comparison *c, bool loud) {
    bool all = true;
    for (int i = 0; i < OP_TYPES; i++) {
        all = all && c->applied[i];
        if (loud && !c->applied[i]) print_error("operation %d was never applied\n", i);
    }
    for (int i = 0; i < RESULTS; i++) {
        all = all && c->answered[i];
        if (loud && !c->answered[i]) print_error("nothing answered result %d\n", i);
    }
    return all;
}

static void test_same_answers(void **state) {
    (void)state;
    uint64_t seed = number_from("STORE_SEED", (uint64_t)time(NULL));
    print_message("STORE_SEED=%" PRIu64 "\n", seed);
    char *dir = make_dir();
    struct comparison c;
    begin(&c, open_or_fail(dir), mt_store_memory_open(), seed);
    int64_t ops = (int64_t)number_from("STORE_OPS", 20000);
    if (!compare(&c, ops)) report(&c, seed);
    for (int i = 1; ops >= 20000 && i < 20 && !has_tried_all(&c, false); i++) /* some are rare */
        if (!compare(&c, c.ops + ops / 4)) report(&c, seed);
    if (ops >= 20000) assert_true(has_tried_all(&c, true));
    end(&c);
    remove_tree(dir);
    free(dir);
}

/* The same on a simulated disk, through crashes. */
static void test_same_answers_through_crashes(void **state) {
    (void)state;
    uint64_t seed = number_from("STORE_SEED", (uint64_t)time(NULL));
    print_message("STORE_SEED=%" PRIu64 "\n", seed);
    struct mt_disk *disk = mt_disk_new(seed);
    struct mt_error e = {0};
    struct mt_store *a = mt_store_sqlite_open_on(disk, "mintage.db", &e);
    if (!a) fail_msg("open: %s", e.message);
    struct comparison c;
    begin(&c, a, mt_store_memory_open(), seed);
    c.disk = disk;
    if (!compare(&c, (int64_t)number_from("STORE_OPS", 20000))) report(&c, seed);
    end(&c);
    mt_disk_free(disk);
}

static void test_a_difference_is_noticed(void **state) {
    static const enum mt_op_type quietly[] = {MT_OP_EVENT, MT_OP_DOC_PUT, MT_OP_TASK_PUT};
    (void)state;
    for (size_t i = 0; i < sizeof quietly / sizeof *quietly; i++) {
        struct comparison c;
        begin(&c, mt_store_memory_open(), mt_store_memory_open(), 7);
        c.spoil_at = 300;
        c.spoil_with = quietly[i];
        assert_false(compare(&c, 1500));
        end(&c);
    }
    struct comparison c;
    begin(&c, mt_store_memory_open(), mt_store_memory_open(), 7);
    assert_true(compare(&c, 1500));
    end(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_same_answers),
                                       cmocka_unit_test(test_same_answers_through_crashes),
                                       cmocka_unit_test(test_a_difference_is_noticed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
