/* links: mt_store mt_base */
/* The store through crashes on a simulated disk: a random workload is killed before and after each of its
 * syncs, in every way a machine can die, and what is there afterwards must be what was answered, with the
 * commit under way either whole or absent. A disk that lies about its syncs must be found out by the same
 * checks. DISK_SEED and DISK_COMMITS choose the workload. */
#include "store/disk.h"
#include "store_random.h"
#include "store_say.h"
#include <sqlite3.h>
#include <time.h>

#define NAME "mintage.db"
#define TEXT_MAX (16 * 1024 * 1024)

/* ---- the workload, as a log that can be replayed ---- */

struct commit { /* of nothing: a restart */
    struct made made[GROUP];
    size_t count;
};

struct workload {
    struct mt_disk *disk;
    struct mt_store *store, *oracle;
    struct random random;
    int64_t now;
    struct commit *log;
    size_t logged, cap;
    char *before, *after; /* what may be found after a crash; after NULL: nothing is under way */

    int crash_in; /* syncs until the hook kills the machine; negative: it only looks at copies */
    bool dead;
    enum mt_disk_crash how;
    jmp_buf *jump; /* where the killed goes; NULL: it returns */
    uint64_t copies;
    int checks, wrong;
    char why[1024]; /* of the first that was wrong */
};

static void apply(struct mt_store *s, const struct commit *c, struct mt_buf *said) {
    struct made copies[GROUP];
    struct mt_batch *list[GROUP];
    struct mt_error e;
    if (!c->count) {
        mt_store_memory_restart(s);
        return;
    }
    for (size_t i = 0; i < c->count; i++) {
        copy_made(&c->made[i], &copies[i]);
        list[i] = &copies[i].batch;
    }
    assert_int_equal(s->commit(s, list, c->count, &e), 0);
    for (size_t i = 0; i < c->count; i++) say_batch(said, &copies[i]);
}

static struct mt_store *replay(const struct workload *w) {
    struct mt_store *s = mt_store_memory_open();
    struct mt_buf unheard;
    mt_buf_init(&unheard, TEXT_MAX);
    for (size_t i = 0; i < w->logged; i++) apply(s, &w->log[i], &unheard);
    mt_buf_clear(&unheard);
    return s;
}

static char *text_of(struct mt_store *s) {
    struct mt_buf b;
    mt_buf_init(&b, TEXT_MAX);
    say_all(&b, s);
    assert_true(mt_buf_ok(&b));
    char *text = mt_strdup(b.data);
    mt_buf_clear(&b);
    return text;
}

/* Everything, as a store says it that was opened after all that is logged. */
static char *expected(const struct workload *w) {
    struct mt_store *s = replay(w);
    mt_store_memory_restart(s);
    char *text = text_of(s);
    s->close(s);
    return text;
}

static struct commit *log_one(struct workload *w) {
    if (w->logged == w->cap) {
        w->cap = w->cap ? 2 * w->cap : 16;
        w->log = mt_realloc(w->log, w->cap * sizeof *w->log);
    }
    struct commit *c = &w->log[w->logged++];
    memset(c, 0, sizeof *c);
    return c;
}

/* ---- looking at what a crash has left ---- */

static bool intact(struct mt_disk *disk, char *why, size_t size) {
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    bool ok = false;
    sqlite3_open_v2(NAME, &db, SQLITE_OPEN_READWRITE, mt_disk_vfs(disk));
    if (sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW) {
        ok = strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;
        if (!ok) mt_format(why, size, "integrity: %.400s", (const char *)sqlite3_column_text(st, 0));
    } else {
        mt_format(why, size, "integrity: %s", sqlite3_errmsg(db));
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return ok;
}

static void say_difference(const char *found, const char *wanted, char *why, size_t size) {
    const char *at = found;
    while (*at && *at == *wanted) at++, wanted++;
    while (at > found && at[-1] != '\n') at--, wanted--;
    mt_format(why, size, "found: %.400s\nwanted: %.400s", at, wanted);
}

/* The text of the store that is on the disk; NULL: it cannot be opened, or is broken. */
static char *look(struct mt_disk *disk, char *why, size_t size) {
    struct mt_error e;
    struct mt_store *s = mt_store_sqlite_open_on(disk, NAME, &e);
    if (!s) {
        mt_format(why, size, "opening: %s", e.message);
        return NULL;
    }
    char *text = intact(disk, why, size) ? text_of(s) : NULL;
    s->close(s);
    return text;
}

static void check_copy(struct workload *w, enum mt_disk_crash how, const char *what) {
    char why[900] = "";
    struct mt_disk *copy = mt_disk_copy(w->disk, ++w->copies);
    mt_disk_crash(copy, how);
    char *text = look(copy, why, sizeof why);
    bool right = text && (strcmp(text, w->before) == 0 || (w->after && strcmp(text, w->after) == 0));
    if (text && !right) say_difference(text, w->before, why, sizeof why);
    if (!right && !w->wrong++)
        mt_format(w->why, sizeof w->why, "%s, crash %d, after %zu commits: %s", what, (int)how, w->logged,
                  why);
    w->checks++;
    free(text);
    mt_disk_free(copy);
}

static void check(struct workload *w, const char *what) {
    for (int how = 0; how <= MT_DISK_TEARS; how++) check_copy(w, (enum mt_disk_crash)how, what);
}

static void at_sync(void *ctx, const char *what) {
    struct workload *w = ctx;
    if (w->crash_in < 0) {
        check(w, what);
    } else if (--w->crash_in < 0) {
        mt_disk_crash(w->disk, w->how);
        w->crash_in = INT32_MAX;
        w->dead = true;
        if (w->jump) longjmp(*w->jump, 1);
    }
}

/* ---- living ---- */

/* False: it died. */
static bool commit_some(struct workload *w) {
    struct commit *c = log_one(w);
    struct made copies[GROUP];
    struct mt_batch *list[GROUP];
    struct mt_buf heard;
    struct mt_error e;
    w->now += any(&w->random, 5);
    c->count = 1 + any(&w->random, GROUP);
    for (size_t i = 0; i < c->count; i++) {
        make_batch(&w->random, w->oracle, &c->made[i], w->now);
        copy_made(&c->made[i], &copies[i]);
        list[i] = &copies[i].batch;
    }
    w->after = expected(w);
    if (w->store->commit(w->store, list, c->count, &e)) return false;
    free(w->before);
    w->before = w->after;
    w->after = NULL;
    mt_buf_init(&heard, TEXT_MAX);
    for (size_t i = 0; i < c->count; i++) say_batch(&heard, &copies[i]);
    char *answers = mt_strdup(heard.data);
    mt_buf_reset(&heard);
    apply(w->oracle, c, &heard);
    assert_string_equal(answers, heard.data);
    free(answers);
    mt_buf_clear(&heard);
    return true;
}

static bool open_store(struct workload *w) {
    struct mt_error e;
    w->store = mt_store_sqlite_open_on(w->disk, NAME, &e);
    return w->store != NULL;
}

static void begin(struct workload *w, uint64_t seed) {
    *w = (struct workload){.disk = mt_disk_new(seed),
                           .oracle = mt_store_memory_open(),
                           .random = {mt_random_seeded(seed)},
                           .now = 1000,
                           .crash_in = -1};
    w->before = expected(w);
    mt_disk_set_hooks(w->disk, &(struct mt_disk_hooks){.ctx = w, .at = at_sync});
}

static void end(struct workload *w) {
    mt_disk_set_hooks(w->disk, NULL);
    if (w->store) w->store->close(w->store);
    w->oracle->close(w->oracle);
    mt_disk_free(w->disk);
    free(w->random.source);
    free(w->log);
    free(w->before);
    free(w->after);
}

static void reopen(struct workload *w) {
    w->store->close(w->store);
    assert_true(open_store(w));
    log_one(w);
    mt_store_memory_restart(w->oracle);
}

/* The WAL moves into the database, and the next commit begins it anew. */
static void checkpoint(struct workload *w) {
    sqlite3 *db;
    assert_int_equal(sqlite3_open_v2(NAME, &db, SQLITE_OPEN_READWRITE, mt_disk_vfs(w->disk)), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA wal_checkpoint(RESTART)", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static uint64_t number_from(const char *name, uint64_t fallback) {
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : fallback;
}

static void live(struct workload *w, int commits) {
    assert_true(open_store(w));
    for (int i = 1; i <= commits; i++) {
        assert_true(commit_some(w));
        check(w, "answered");
        if (i % 16 == 0) checkpoint(w);
        if (i % 23 == 0) reopen(w);
    }
}

/* ---- tests ---- */

static void test_a_crash_at_every_sync(void **state) {
    struct workload w;
    uint64_t seed = number_from("DISK_SEED", (uint64_t)time(NULL));
    (void)state;
    print_message("DISK_SEED=%" PRIu64 "\n", seed);
    begin(&w, seed);
    live(&w, (int)number_from("DISK_COMMITS", 60));
    print_message("%d crashes were lived through\n", w.checks);
    if (w.wrong) fail_msg("%d of %d (DISK_SEED=%" PRIu64 "): %s", w.wrong, w.checks, seed, w.why);
    end(&w);
}

/* What the test above would find if a sync did nothing: each of them, or one in four. */
static void test_a_lying_disk_is_noticed(void **state) {
    static const unsigned lies[] = {1, 4};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct workload w;
        begin(&w, 7);
        mt_disk_lie(w.disk, lies[i]);
        live(&w, 40);
        print_message("every %u-th sync a lie: %d of %d crashes lost something\n", lies[i], w.wrong,
                      w.checks);
        assert_true(w.wrong > 0);
        end(&w);
    }
}

/* What is there decides how the log ends: with the commit that was under way, or without it. */
static void stand_up(struct workload *w, uint64_t seed) {
    struct mt_error e;
    w->dead = false;
    w->store = mt_store_sqlite_open_on(w->disk, NAME, &e);
    if (!w->store) fail_msg("opening after a crash: %s (DISK_SEED=%" PRIu64 ")", e.message, seed);
    char *text = text_of(w->store), why[1000];
    if (strcmp(text, w->before) != 0) {
        say_difference(text, w->before, why, sizeof why);
        if (w->after && strcmp(text, w->after) != 0) say_difference(text, w->after, why, sizeof why);
        if (!w->after || strcmp(text, w->after) != 0)
            fail_msg("after %zu commits, crash %d, %s under way: %s (DISK_SEED=%" PRIu64 ")", w->logged,
                     (int)w->how, w->after ? "one" : "none", why, seed);
        free(w->before);
        w->before = w->after;
    } else {
        if (w->after) w->logged--;
        free(w->after);
    }
    w->after = NULL;
    free(text);
    log_one(w);
    w->oracle->close(w->oracle);
    w->oracle = replay(w);
}

/* Lives until the hook kills it: in a commit, a checkpoint, a close or an opening. */
static void live_until_killed(struct workload *w) {
    if (!w->store && !open_store(w)) return;
    for (int i = 1;; i++) {
        if (!commit_some(w)) return;
        if (i % 3) continue;
        struct mt_store *s = w->store;
        w->store = NULL;
        s->close(s);
        if (w->dead || !open_store(w)) return;
        log_one(w);
        mt_store_memory_restart(w->oracle);
    }
}

static void test_killed_and_opened_again(void **state) {
    struct workload w;
    uint64_t seed = number_from("DISK_SEED", (uint64_t)time(NULL));
    (void)state;
    print_message("DISK_SEED=%" PRIu64 "\n", seed);
    begin(&w, seed);
    for (int i = 0; i < 60; i++) {
        w.how = (enum mt_disk_crash)any(&w.random, MT_DISK_TEARS + 1);
        w.crash_in = (int)any(&w.random, 24);
        live_until_killed(&w);
        if (w.store) w.store->close(w.store); /* dead: it touches nothing */
        stand_up(&w, seed);
    }
    end(&w);
}

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#else
static void __lsan_disable(void) {}
static void __lsan_enable(void) {}
#endif

/* The same when the killed never comes back: what it was about is left standing as it was, and what it held
 * is lost. Closing a store whose commit was left in the middle is more than SQLite promises to allow, but
 * gives nearly all of its memory back. */
static void test_killed_where_it_stands(void **state) {
    struct mt_store *left[20];
    struct workload w;
    jmp_buf jump;
    (void)state;
    __lsan_disable();
    begin(&w, 11);
    w.jump = &jump;
    for (volatile int i = 0; i < 20; i++) {
        w.how = (enum mt_disk_crash)any(&w.random, MT_DISK_TEARS + 1);
        w.crash_in = (int)any(&w.random, 12);
        if (setjmp(jump) == 0) live_until_killed(&w);
        left[i] = w.store;
        stand_up(&w, 11);
    }
    w.jump = NULL;
    for (int i = 0; i < 20; i++)
        if (left[i]) left[i]->close(left[i]);
    end(&w);
    __lsan_enable();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crash_at_every_sync), cmocka_unit_test(test_a_lying_disk_is_noticed),
        cmocka_unit_test(test_killed_and_opened_again), cmocka_unit_test(test_killed_where_it_stands)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
