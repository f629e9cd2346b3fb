/* links: mt_store mt_base */
/* The simulated disk itself: what is dead after a crash, locks, faults, a full disk, directories,
 * determinism, and threads. What a store makes of it is in test_store_disk.c. */
#include "store/disk.h"
#include "store_support.h"
#include <pthread.h>
#include <sqlite3.h>

#define NAME "mintage.db"

static struct mt_store *open_on(struct mt_disk *disk) {
    struct mt_error e;
    struct mt_store *s = mt_store_sqlite_open_on(disk, NAME, &e);
    if (!s) fail_msg("open: %s", e.message);
    return s;
}

static int start_run(struct mt_store *s, const char *id, struct mt_error *e) {
    struct mt_op op = start_op(id, NULL, true, 100);
    struct mt_batch b = {.epoch = s->epoch, .ops = &op, .count = 1}, *list[] = {&b};
    return s->commit(s, list, 1, e);
}

static void must_start(struct mt_store *s, const char *id) {
    struct mt_error e;
    if (start_run(s, id, &e)) fail_msg("commit: %s", e.message);
}

static bool has_run(struct mt_store *s, const char *id) {
    struct mt_run r;
    struct mt_error e;
    if (s->get_run(s, id, &r, &e)) return false;
    mt_run_clear(&r);
    return true;
}

/* ---- lives ---- */

static void test_the_dead_touch_nothing(void **state) {
    struct mt_disk *disk = mt_disk_new(1);
    struct mt_error e;
    struct mt_run r;
    (void)state;
    struct mt_store *dead = open_on(disk);
    must_start(dead, "run_1");
    mt_disk_crash(disk, MT_DISK_PROCESS_DIES);
    struct mt_store *s = open_on(disk);
    must_start(s, "run_2");
    uint64_t before = mt_disk_digest(disk, false);
    assert_int_equal(start_run(dead, "run_3", &e), -1);
    assert_int_equal(e.kind, MT_STORE);
    assert_int_equal(dead->get_run(dead, "run_1", &r, &e), -1); /* a reader that was never opened */
    assert_int_equal(e.kind, MT_STORE);
    dead->close(dead);
    assert_true(mt_disk_digest(disk, false) == before);
    assert_null(mt_store_sqlite_open_on(disk, NAME, &e)); /* the dead one's close let go of nothing */
    must_start(s, "run_4");
    assert_true(has_run(s, "run_1") && has_run(s, "run_2") && !has_run(s, "run_3") && has_run(s, "run_4"));
    s->close(s);
    mt_disk_free(disk);
}

static void test_one_store_a_name(void **state) {
    struct mt_disk *disk = mt_disk_new(1);
    struct mt_error e;
    (void)state;
    struct mt_store *s = open_on(disk);
    assert_null(mt_store_sqlite_open_on(disk, NAME, &e));
    assert_int_equal(e.kind, MT_CONFLICT);
    assert_string_equal(e.message, NAME " is in use by another store of this disk: close that one first");
    struct mt_store *other = mt_store_sqlite_open_on(disk, "other.db", &e);
    assert_non_null(other);
    must_start(other, "run_1");
    assert_false(has_run(s, "run_1"));
    other->close(other);
    s->close(s);
    s = open_on(disk);
    s->close(s);
    assert_null(mt_store_sqlite_open_on(disk, "", &e));
    assert_int_equal(e.kind, MT_USAGE);
    mt_disk_free(disk);
}

static void test_a_copy_lives_for_itself(void **state) {
    struct mt_disk *disk = mt_disk_new(1);
    (void)state;
    struct mt_store *s = open_on(disk);
    must_start(s, "run_1");
    struct mt_disk *copy = mt_disk_copy(disk, 2);
    assert_true(mt_disk_digest(disk, false) == mt_disk_digest(copy, false));
    assert_true(mt_disk_digest(disk, true) == mt_disk_digest(copy, true));
    struct mt_store *t = open_on(copy);
    must_start(t, "run_2");
    assert_true(has_run(t, "run_1") && has_run(t, "run_2") && !has_run(s, "run_2"));
    t->close(t);
    s->close(s);
    mt_disk_free(copy);
    mt_disk_free(disk);
}

/* ---- faults ---- */

static void test_a_full_disk(void **state) {
    struct mt_disk *disk = mt_disk_new(1);
    struct mt_disk_stats stats;
    struct mt_error e;
    char id[MT_ID_SIZE];
    int i = 0;
    (void)state;
    struct mt_store *s = open_on(disk);
    mt_disk_stats(disk, &stats);
    mt_disk_limit(disk, stats.bytes + 100000);
    do mt_format(id, sizeof id, "run_%d", i++);
    while (i < 1000 && start_run(s, id, &e) == 0);
    assert_true(i > 1 && i < 1000);
    assert_int_equal(e.kind, MT_FULL);
    assert_false(has_run(s, id));
    mt_disk_stats(disk, &stats);
    mt_disk_limit(disk, stats.bytes + 100000);
    must_start(s, id);
    mt_disk_limit(disk, -1);
    mt_disk_crash(disk, MT_DISK_LOSES_UNSYNCED);
    s->close(s);
    s = open_on(disk);
    for (int k = 0; k < i; k++) {
        mt_format(id, sizeof id, "run_%d", k);
        assert_true(has_run(s, id));
    }
    s->close(s);
    mt_disk_free(disk);
}

/* Each write of a commit fails in turn, until there are no more. */
static void test_errors_of_writes(void **state) {
    struct mt_disk *disk = mt_disk_new(1);
    struct mt_error e;
    char id[MT_ID_SIZE];
    int failed = 0;
    (void)state;
    struct mt_store *s = open_on(disk);
    for (;; failed++) {
        mt_format(id, sizeof id, "run_%d", failed);
        mt_disk_fail(disk, MT_DISK_WRITE, failed);
        if (start_run(s, id, &e) == 0) break;
        assert_int_equal(e.kind, MT_STORE);
        assert_false(has_run(s, id));
        must_start(s, id); /* it was for once */
        assert_true(has_run(s, id));
        assert_true(failed < 1000);
    }
    assert_true(failed > 1);
    s->close(s);
    mt_disk_free(disk);
}

static void test_errors_of_reads(void **state) {
    struct mt_disk *disk = mt_disk_new(1);
    struct mt_error e;
    struct mt_run r;
    (void)state;
    struct mt_store *s = open_on(disk);
    must_start(s, "run_1");
    mt_disk_fail(disk, MT_DISK_READ, 0);
    assert_int_equal(s->get_run(s, "run_1", &r, &e), -1);
    assert_int_equal(e.kind, MT_STORE);
    assert_true(has_run(s, "run_1"));
    mt_disk_fail(disk, MT_DISK_READ, 0);
    mt_disk_fail(disk, MT_DISK_READ, -1);
    assert_true(has_run(s, "run_1"));
    s->close(s);
    mt_disk_free(disk);
}

/* ---- raw SQLite: locks and the directory ---- */

static sqlite3 *connect(struct mt_disk *disk, const char *pragmas) {
    sqlite3 *db;
    assert_int_equal(
        sqlite3_open_v2(NAME, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, mt_disk_vfs(disk)), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, pragmas, NULL, NULL, NULL), SQLITE_OK);
    return db;
}

/* -1: it cannot be had. */
static int64_t number(sqlite3 *db, const char *sql) {
    sqlite3_stmt *st;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK) return -1;
    int64_t n = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;
    sqlite3_finalize(st);
    return n;
}

static void exclude(const char *mode) {
    struct mt_disk *disk = mt_disk_new(1);
    sqlite3 *a = connect(disk, mode), *b = connect(disk, mode);
    assert_int_equal(
        sqlite3_exec(a, "CREATE TABLE t (n); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)", NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_busy_timeout(b, 3600 * 1000); /* an hour that takes no time */
    assert_int_equal(sqlite3_exec(b, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_BUSY);
    assert_int_equal(number(b, "SELECT count(*) FROM t"), 0);
    assert_int_equal(sqlite3_exec(a, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(b, "BEGIN; SELECT * FROM t", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_exec(a, "INSERT INTO t VALUES (2)", NULL, NULL, NULL),
                     strstr(mode, "wal") ? SQLITE_OK : SQLITE_BUSY);
    assert_int_equal(number(b, "SELECT count(*) FROM t"), 1);
    sqlite3_close(a);
    sqlite3_close(b);
    mt_disk_free(disk);
}

static void test_locks_exclude(void **state) {
    (void)state;
    exclude("PRAGMA journal_mode = wal");
    exclude("PRAGMA journal_mode = delete");
}

struct look {
    struct mt_disk *disk;
    int64_t committed;
    int lost, torn, seed;
};

static void look(void *ctx, const char *what) {
    struct look *l = ctx;
    (void)what;
    for (int how = 0; how <= MT_DISK_TEARS; how++) {
        struct mt_disk *copy = mt_disk_copy(l->disk, (uint64_t)++l->seed);
        mt_disk_crash(copy, (enum mt_disk_crash)how);
        sqlite3 *db = connect(copy, "");
        if (number(db, "SELECT min(n) <> max(n) FROM t") != 0) l->torn++;
        if (number(db, "SELECT max(n) FROM t") < l->committed) l->lost++;
        sqlite3_close(db);
        mt_disk_free(copy);
    }
}

/* A rollback journal's transaction ends with the journal's deletion. At synchronous = FULL SQLite leaves that
 * deletion unsynced, so a loss of power may take the last transaction back; at EXTRA it does not. */
static struct look with_journal(const char *synchronous) {
    struct look l = {.disk = mt_disk_new(5)};
    sqlite3 *db = connect(l.disk, "PRAGMA journal_mode = delete; PRAGMA synchronous = EXTRA");
    assert_int_equal(sqlite3_exec(db,
                                  "CREATE TABLE t (n, filler); INSERT INTO t SELECT 0, zeroblob(900) FROM"
                                  " (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10))",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, synchronous, NULL, NULL, NULL), SQLITE_OK);
    mt_disk_set_hooks(l.disk, &(struct mt_disk_hooks){.ctx = &l, .at = look});
    for (int i = 1; i <= 10; i++) {
        assert_int_equal(sqlite3_exec(db, "UPDATE t SET n = n + 1", NULL, NULL, NULL), SQLITE_OK);
        l.committed = i;
        look(&l, "answered");
    }
    mt_disk_set_hooks(l.disk, NULL);
    sqlite3_close(db);
    mt_disk_free(l.disk);
    return l;
}

static void test_deleting_a_journal(void **state) {
    (void)state;
    struct look l = with_journal("PRAGMA synchronous = EXTRA");
    assert_int_equal(l.torn, 0);
    assert_int_equal(l.lost, 0);
    l = with_journal("PRAGMA synchronous = FULL");
    assert_int_equal(l.torn, 0);
    assert_true(l.lost > 0);
    l = with_journal("PRAGMA synchronous = OFF");
    assert_true(l.torn > 0);
}

/* ---- determinism ---- */

static void live(uint64_t seed, uint64_t digests[2]) {
    struct mt_disk *disk = mt_disk_new(seed);
    char id[MT_ID_SIZE];
    for (int life = 0; life < 4; life++) {
        struct mt_store *s = open_on(disk);
        for (int i = 0; i < 20; i++) {
            mt_format(id, sizeof id, "run_%d_%d", life, i);
            must_start(s, id);
        }
        if (life % 2) mt_disk_crash(disk, MT_DISK_TEARS);
        if (life < 3) s->close(s);
        if (life == 3) {
            digests[0] = mt_disk_digest(disk, false);
            digests[1] = mt_disk_digest(disk, true);
            s->close(s);
        }
    }
    mt_disk_free(disk);
}

static void test_same_seed_same_bytes(void **state) {
    uint64_t first[2], again[2], other[2];
    (void)state;
    live(3, first);
    live(4, other);
    live(3, again);
    assert_memory_equal(first, again, sizeof first);
    assert_true(first[0] != other[0]); /* the salts of its WAL */
}

/* ---- threads ---- */

struct watch {
    struct mt_store *s;
    bool stop; /* atomic */
    int64_t odd, reads, failed;
};

static void *watch(void *arg) {
    struct watch *w = arg;
    struct mt_error e;
    while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
        int64_t counts[MT_RUN_STATE_COUNT];
        if (w->s->count_runs(w->s, counts, &e)) {
            w->failed++;
            continue;
        }
        w->odd += counts[MT_RUN_RUNNING] % 2;
        w->reads++;
    }
    return NULL;
}

static void test_readers_and_a_crash(void **state) {
    struct mt_disk *disk = mt_disk_new(1);
    struct mt_store *s = open_on(disk);
    struct watch watches[4];
    pthread_t threads[4];
    (void)state;
    for (int i = 0; i < 4; i++) {
        watches[i] = (struct watch){.s = s};
        assert_int_equal(pthread_create(&threads[i], NULL, watch, &watches[i]), 0);
    }
    for (int i = 0; i < 100; i++) {
        char a[MT_ID_SIZE], b[MT_ID_SIZE];
        mt_format(a, sizeof a, "run_%d_a", i);
        mt_format(b, sizeof b, "run_%d_b", i);
        struct mt_op ops[] = {start_op(a, NULL, true, 100), start_op(b, NULL, true, 100)};
        struct mt_batch batch = {.epoch = s->epoch, .ops = ops, .count = 2};
        assert_int_equal(commit_batch(s, &batch), 0);
    }
    mt_disk_crash(disk, MT_DISK_LOSES_UNSYNCED); /* in the middle of their reads */
    struct mt_store *next = open_on(disk);
    must_start(next, "run_next");
    for (int i = 0; i < 4; i++) {
        __atomic_store_n(&watches[i].stop, true, __ATOMIC_RELEASE);
        pthread_join(threads[i], NULL);
        assert_int_equal(watches[i].odd, 0);
    }
    s->close(s);
    assert_true(has_run(next, "run_99_b") && has_run(next, "run_next"));
    next->close(next);
    mt_disk_free(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_dead_touch_nothing),  cmocka_unit_test(test_one_store_a_name),
        cmocka_unit_test(test_a_copy_lives_for_itself), cmocka_unit_test(test_a_full_disk),
        cmocka_unit_test(test_errors_of_writes),        cmocka_unit_test(test_errors_of_reads),
        cmocka_unit_test(test_locks_exclude),           cmocka_unit_test(test_deleting_a_journal),
        cmocka_unit_test(test_same_seed_same_bytes),    cmocka_unit_test(test_readers_and_a_crash)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
