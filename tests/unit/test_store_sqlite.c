/* links: mt_store mt_base */
/* What only a store on a disk can get wrong: durability, recovery, locking, schemas, a full disk, a failed
 * fsync. */
#include "base/log.h"
#include "store/sqlite_test.h"
#include "store_support.h"
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int make(void **state) {
    *state = make_dir();
    return 0;
}

static int clean(void **state) {
    remove_tree(*state);
    free(*state);
    return 0;
}

static void must(struct mt_store *s, const char *run, struct mt_op *ops, size_t count) {
    struct mt_batch b = {.run = run, .epoch = s->epoch, .ops = ops, .count = count};
    if (commit_batch(s, &b)) fail_msg("refused: %s", b.error.message);
}

static struct mt_run get(struct mt_store *s, const char *id) {
    struct mt_run r;
    struct mt_error e;
    if (s->get_run(s, id, &r, &e)) fail_msg("%s", e.message);
    return r;
}

/* Runs fn in a child; answers how it ended. */
static int in_child(void (*fn)(const char *dir), const char *dir) {
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        mt_log_setup(MT_LOG_OFF, MT_LOG_TEXT);
        fn(dir);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* ---- durability and recovery ---- */

static void write_and_vanish(const char *dir) {
    struct mt_error e;
    struct mt_store *s = mt_store_sqlite_open(dir, &e);
    if (!s) _exit(2);
    struct mt_entry entry = entry_at(0, 1, "call");
    struct mt_op first[] = {start_op("run_1", "k", true, 100),
                            start_op("run_2", NULL, true, 100),
                            start_op("run_3", NULL, true, 100),
                            {.type = MT_OP_META, .meta = {"a", "1"}}};
    struct mt_op intent = {.type = MT_OP_ENTRY, .entry = &entry};
    struct mt_op compensating = {.type = MT_OP_RUN, .run = {.state = MT_RUN_COMPENSATING, .at = 200}};
    struct mt_op sleeping = {
        .type = MT_OP_SUSPEND,
        .suspend = {.state = MT_RUN_SLEEPING, .due_at = 900, .cls = MT_CLASS_TIMER, .at = 200}};
    struct mt_batch batches[] = {{.epoch = s->epoch, .ops = first, .count = 4},
                                 {.run = "run_1", .epoch = s->epoch, .ops = &intent, .count = 1},
                                 {.run = "run_2", .epoch = s->epoch, .ops = &compensating, .count = 1},
                                 {.run = "run_3", .epoch = s->epoch, .ops = &sleeping, .count = 1}};
    for (int i = 0; i < 4; i++) {
        struct mt_batch *one = &batches[i];
        if (s->commit(s, &one, 1, &e) || one->status) _exit(3);
    }
}

static void test_what_was_committed_is_there(void **state) {
    const char *dir = *state;
    assert_int_equal(in_child(write_and_vanish, dir), 0);
    struct mt_store *s = open_or_fail(dir);
    assert_int_equal(s->epoch, 2);
    struct mt_run r = get(s, "run_1");
    assert_int_equal(r.state, MT_RUN_QUEUED); /* its owner is gone: due at once */
    assert_int_equal(r.owner, 0);
    assert_int_equal(r.due_at, 0);
    assert_int_equal(r.entries, 1);
    mt_run_clear(&r);
    r = get(s, "run_2");
    assert_int_equal(r.state, MT_RUN_COMPENSATING);
    assert_int_equal(r.due_at, 0);
    mt_run_clear(&r);
    r = get(s, "run_3");
    assert_int_equal(r.state, MT_RUN_SLEEPING);
    assert_int_equal(r.due_at, 900);
    mt_run_clear(&r);
    int64_t counts[MT_RUN_STATE_COUNT], due;
    struct mt_error e;
    assert_int_equal(s->count_runs(s, counts, &e), 0);
    assert_int_equal(counts[MT_RUN_QUEUED], 1);
    assert_int_equal(counts[MT_RUN_RUNNING], 0);
    assert_int_equal(counts[MT_RUN_COMPENSATING], 1);
    assert_int_equal(s->next_due(s, &due, NULL, &e), 0);
    assert_int_equal(due, 0);
    /* The earlier epoch writes no more, even before anybody has claimed the run. */
    struct mt_op end = {.type = MT_OP_RUN, .run = {.state = MT_RUN_COMPLETED, .release = true, .at = 300}};
    struct mt_batch late = {.run = "run_1", .epoch = 1, .ops = &end, .count = 1};
    assert_int_equal(commit_batch(s, &late), -1);
    assert_int_equal(end.result, MT_RES_NOT_OWNER);
    /* Numbers go on, and the journal of a run claimed again continues where it ended. */
    struct mt_op claim = {.type = MT_OP_CLAIM, .claim = {.epoch = s->epoch, .now = 1, .limit = 9}};
    must(s, NULL, &claim, 1);
    assert_int_equal(claim.claim.count, 2);
    for (size_t i = 0; i < claim.claim.count; i++) mt_run_clear(&claim.claim.runs[i]);
    free(claim.claim.runs);
    struct mt_entry again = entry_at(0, 1, "call"), next = entry_at(0, 2, "call");
    struct mt_op entry = {.type = MT_OP_ENTRY, .entry = &again};
    struct mt_batch b = {.run = "run_1", .epoch = s->epoch, .ops = &entry, .count = 1};
    assert_int_equal(commit_batch(s, &b), -1);
    assert_int_equal(entry.result, MT_RES_DUPLICATE);
    entry.entry = &next;
    must(s, "run_1", &entry, 1);
    s->close(s);
    s = open_or_fail(dir);
    assert_int_equal(s->epoch, 3);
    r = get(s, "run_1");
    assert_int_equal(r.entries, 2);
    mt_run_clear(&r);
    s->close(s);
}

static void test_segments_survive(void **state) {
    struct mt_store *s = open_or_fail(*state);
    struct mt_op op = start_op("run_1", NULL, true, 100);
    must(s, NULL, &op, 1);
    struct mt_entry first = entry_at(0, 1, "call"), second = entry_at(1, 1, "call");
    struct mt_op ops[] = {{.type = MT_OP_ENTRY, .entry = &first},
                          {.type = MT_OP_CONTINUE, .cont = {.input = "{}", .at = 200}}};
    must(s, "run_1", ops, 2);
    s->close(s);
    s = open_or_fail(*state);
    struct mt_op others[] = {start_op("run_2", NULL, true, 100), start_op("run_3", NULL, true, 100)};
    must(s, NULL, others, 2); /* must not get the strand of run_1's second segment */
    struct mt_op claim = {.type = MT_OP_CLAIM, .claim = {.epoch = s->epoch, .now = 300, .limit = 1}};
    must(s, NULL, &claim, 1);
    mt_run_clear(&claim.claim.runs[0]);
    free(claim.claim.runs);
    struct mt_op entry = {.type = MT_OP_ENTRY, .entry = &second};
    must(s, "run_1", &entry, 1);
    for (int i = 1; i <= 3; i++) {
        char id[MT_ID_SIZE];
        struct mt_entry *entries;
        size_t count;
        struct mt_error e;
        snprintf(id, sizeof id, "run_%d", i);
        assert_int_equal(s->read_journal(s, id, -1, &entries, &count, &e), 0);
        assert_int_equal(count, i == 1 ? 2 : 0);
        for (size_t k = 0; k < count; k++) mt_entry_clear(&entries[k]);
        free(entries);
    }
    s->close(s);
}

/* ---- the directory ---- */

static void test_private_files(void **state) {
    char dir[256], path[300];
    struct stat st;
    mt_format(dir, sizeof dir, "%s/data", (char *)*state);
    struct mt_store *s = open_or_fail(dir);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    static const char *const files[] = {"mintage.db", "mintage.db-wal", "lock"};
    for (int i = 0; i < 3; i++) {
        mt_format(path, sizeof path, "%s/%s", dir, files[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0077, 0);
    }
    s->close(s);
}

static void test_one_process_only(void **state) {
    struct mt_store *s = open_or_fail(*state);
    struct mt_error e;
    char pid[32];
    mt_format(pid, sizeof pid, "process %d", (int)getpid());
    assert_null(mt_store_sqlite_open(*state, &e));
    assert_int_equal(e.kind, MT_CONFLICT);
    assert_non_null(strstr(e.message, pid));
    assert_non_null(strstr(e.message, "/lock"));
    s->close(s);
    s = open_or_fail(*state);
    s->close(s);
}

static void test_newer_schema(void **state) {
    char path[256], wanted[400];
    struct mt_store *s = open_or_fail(*state);
    s->close(s);
    mt_format(path, sizeof path, "%s/mintage.db", (char *)*state);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 7", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    struct mt_error e;
    assert_null(mt_store_sqlite_open(*state, &e));
    mt_format(wanted, sizeof wanted, "%s has schema 7, this mintage knows 5: use the newer mintage", path);
    assert_string_equal(e.message, wanted);
}

/* The store as the schema before left it. */
static void make_previous(const char *dir) {
    static const char back[] =
        "DROP INDEX runs_ended; DROP INDEX runs_gone; DROP INDEX segments_over; DROP INDEX documents_at;"
        "ALTER TABLE runs DROP COLUMN dropped; ALTER TABLE runs DROP COLUMN gone_at;"
        "ALTER TABLE segments DROP COLUMN at; ALTER TABLE segments DROP COLUMN prior;"
        "ALTER TABLE asked DROP COLUMN segment; ALTER TABLE collections DROP COLUMN keep;"
        "ALTER TABLE documents DROP COLUMN at; ALTER TABLE generations DROP COLUMN used_at;"
        "DROP TABLE trash; DROP TABLE sources; DROP TABLE audit; PRAGMA user_version = 3;"
        "PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM;";
    char path[256];
    sqlite3 *db;
    char *why = NULL;
    mt_format(path, sizeof path, "%s/mintage.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, back, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s", why);
    sqlite3_close(db);
}

static size_t entries_of(struct mt_store *s, const char *run, int segment) {
    struct mt_entry *entries = NULL;
    size_t count = 0;
    struct mt_error e;
    assert_int_equal(s->read_journal(s, run, segment, &entries, &count, &e), 0);
    for (size_t k = 0; k < count; k++) mt_entry_clear(&entries[k]);
    free(entries);
    return count;
}

/* What an older mintage has written is there, and what it has kept for long enough can go. */
static void test_previous_schema(void **state) {
    struct mt_store *s = open_or_fail(*state);
    struct mt_op op = start_op("run_1", "order-1", true, 100);
    must(s, NULL, &op, 1);
    struct mt_entry first = entry_at(0, 1, "call"), second = entry_at(1, 1, "call");
    struct mt_op ops[] = {{.type = MT_OP_ENTRY, .entry = &first},
                          {.type = MT_OP_SEEN, .seen = {.topic = "order", .key = "x", .upto = 0}},
                          {.type = MT_OP_CONTINUE, .cont = {.input = "{}", .at = 200}}};
    must(s, "run_1", ops, 3);
    struct mt_op claim = {.type = MT_OP_CLAIM, .claim = {.epoch = s->epoch, .now = 300, .limit = 1}};
    must(s, NULL, &claim, 1);
    mt_run_clear(&claim.claim.runs[0]);
    free(claim.claim.runs);
    struct mt_op entry = {.type = MT_OP_ENTRY, .entry = &second};
    must(s, "run_1", &entry, 1);
    struct mt_op others[] = {
        start_op("run_2", NULL, true, 100),
        {.type = MT_OP_DOC_PUT,
         .doc = {.collection = "messages", .id = "a", .body = "{}", .expect = -1, .at = 100, .keep = 50}}};
    must(s, NULL, others, 2);
    struct mt_op end = {.type = MT_OP_RUN, .run = {.state = MT_RUN_COMPLETED, .at = 900}};
    must(s, "run_2", &end, 1);
    s->close(s);
    make_previous(*state);

    s = open_or_fail(*state);
    struct mt_error e;
    struct mt_kept k;
    assert_int_equal(s->kept(s, &k, &e), 0);
    assert_int_equal(k.ended, 900);
    assert_int_equal(k.segment, second.at); /* its first entry */
    assert_true(k.document == MT_NEVER);    /* until it is written again */
    assert_int_equal(entries_of(s, "run_1", -1), 2);
    struct mt_op purge = {.type = MT_OP_PURGE,
                          .purge = {.what = MT_PURGE_SEGMENTS, .before = 5000, .limit = 10}};
    must(s, NULL, &purge, 1);
    assert_int_equal(purge.purge.count, 1);
    assert_int_equal(entries_of(s, "run_1", 0), 0);
    assert_int_equal(entries_of(s, "run_1", 1), 1);
    struct mt_op forget = {.type = MT_OP_FORGET, .forget = {.run = "run_2", .at = 5000}};
    must(s, NULL, &forget, 1);
    s->close(s);
    s = open_or_fail(*state); /* and once more, as the schema that it has now */
    assert_int_equal(s->kept(s, &k, &e), 0);
    assert_int_equal(k.tombstones, 1);
    assert_true(k.free_bytes >= 0 && k.bytes > 0);
    s->close(s);
}

/* What is erased is not in any file of the store any more. */
static void test_erased_for_good(void **state) {
    static const char secret[] = "the-name-of-a-person-4711";
    char input[20000], path[300];
    static const char *const files[] = {"mintage.db", "mintage.db-wal"};
    struct mt_store *s = open_or_fail(*state);
    int n = snprintf(input, sizeof input, "{\"x\":\"");
    while ((size_t)n + sizeof secret + 8 < sizeof input)
        n += snprintf(input + n, sizeof input - (size_t)n, "%s ", secret); /* more than a page */
    snprintf(input + n, sizeof input - (size_t)n, "\"}");
    for (int i = 0; i < 20; i++) {
        char id[MT_ID_SIZE];
        mt_format(id, sizeof id, "run_%d", i);
        struct mt_op op = start_op(id, id, true, 100);
        op.start.input = input;
        must(s, NULL, &op, 1);
        struct mt_entry first = entry_at(0, 1, "call");
        first.result = input;
        struct mt_op ops[] = {
            {.type = MT_OP_ENTRY, .entry = &first},
            {.type = MT_OP_RUN, .run = {.state = MT_RUN_COMPLETED, .output = input, .at = 900}}};
        must(s, id, ops, 2);
    }
    for (int i = 0; i < 20; i++) {
        char id[MT_ID_SIZE];
        mt_format(id, sizeof id, "run_%d", i);
        struct mt_op op = {.type = MT_OP_FORGET, .forget = {.run = id, .erase = true, .at = 5000}};
        must(s, NULL, &op, 1);
    }
    struct mt_op purge = {.type = MT_OP_PURGE, .purge = {.what = MT_PURGE_ENTRIES, .limit = 1000}};
    must(s, NULL, &purge, 1);
    assert_int_equal(purge.purge.count, 20);
    struct mt_error e;
    assert_int_equal(s->scrub(s, &e), 0);
    for (int i = 0; i < 2; i++) {
        mt_format(path, sizeof path, "%s/%s", (char *)*state, files[i]);
        FILE *f = fopen(path, "rb");
        if (!f) continue;
        fseek(f, 0, SEEK_END);
        size_t size = (size_t)ftell(f);
        char *bytes = malloc(size + 1);
        rewind(f);
        assert_int_equal(fread(bytes, 1, size, f), size);
        fclose(f);
        assert_null(memmem(bytes, size, secret, sizeof secret - 1));
        free(bytes);
    }
    s->close(s);
}

static void test_not_a_database(void **state) {
    char path[256];
    struct mt_error e;
    mt_format(path, sizeof path, "%s/mintage.db", (char *)*state);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 1000; i++) fputs("this is not a database\n", f);
    fclose(f);
    assert_null(mt_store_sqlite_open(*state, &e));
    assert_int_equal(e.kind, MT_STORE);
    assert_non_null(strstr(e.message, path));
    assert_null(mt_store_sqlite_open("/proc/no/such/place", &e));
    assert_non_null(strstr(e.message, "/proc/no/such/place"));
}

/* ---- a full disk, a failed fsync ---- */

static void test_full_disk(void **state) {
    struct mt_store *s = open_or_fail(*state);
    size_t size = 300000;
    char *big = mt_calloc(1, size + 1);
    memset(big, '1', size);
    struct mt_op first = start_op("run_1", NULL, true, 100);
    must(s, NULL, &first, 1);
    mt_store_sqlite_limit_pages(s, 4);
    struct mt_op small = start_op("run_2", NULL, true, 100);
    struct mt_op progress = {.type = MT_OP_RUN,
                             .run = {.state = MT_RUN_COMPLETED, .progress = big, .at = 200}};
    struct mt_batch batches[] = {{.epoch = s->epoch, .ops = &small, .count = 1},
                                 {.run = "run_1", .epoch = s->epoch, .ops = &progress, .count = 1}};
    struct mt_batch *list[] = {&batches[0], &batches[1]};
    struct mt_error e;
    struct mt_run r;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(s->commit(s, list, 2, &e), -1);
        assert_int_equal(e.kind, MT_FULL);
        assert_int_equal(s->get_run(s, "run_2", &r, &e), -1); /* nothing of any batch */
    }
    r = get(s, "run_1");
    assert_int_equal(r.state, MT_RUN_RUNNING);
    mt_run_clear(&r);
    int64_t counts[MT_RUN_STATE_COUNT];
    assert_int_equal(s->count_runs(s, counts, &e), 0);
    assert_int_equal(counts[MT_RUN_RUNNING], 1);
    mt_store_sqlite_limit_pages(s, -1);
    assert_int_equal(s->commit(s, list, 2, &e), 0);
    assert_int_equal(batches[0].status, 0);
    assert_int_equal(batches[1].status, 0); /* it still owned the run */
    r = get(s, "run_1");
    assert_int_equal(r.state, MT_RUN_COMPLETED);
    assert_int_equal(strlen(r.progress), size);
    mt_run_clear(&r);
    assert_int_equal(s->count_runs(s, counts, &e), 0);
    assert_int_equal(counts[MT_RUN_COMPLETED], 1);
    assert_int_equal(counts[MT_RUN_RUNNING], 1);
    free(big);
    s->close(s);
}

/* A VFS that is the default one, except that fsync fails once `broken` is set. */
static sqlite3_vfs *real_vfs;
static sqlite3_io_methods methods[16]; /* one a file: those of a database and of a WAL differ */
static size_t opened;
static int (*real_open)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);
static bool broken;

static int fail_sync(sqlite3_file *f, int flags) {
    (void)f;
    (void)flags;
    return broken ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out) {
    int rc = real_open(vfs, name, f, flags, out);
    if (rc != SQLITE_OK || !f->pMethods || opened == sizeof methods / sizeof *methods) return rc;
    methods[opened] = *f->pMethods;
    methods[opened].xSync = fail_sync;
    f->pMethods = &methods[opened++];
    return rc;
}

static struct mt_store *open_on_breaking_disk(const char *dir) {
    static sqlite3_vfs vfs;
    struct mt_error e;
    real_vfs = sqlite3_vfs_find(NULL);
    real_open = real_vfs->xOpen;
    vfs = *real_vfs;
    vfs.zName = "breaking";
    vfs.xOpen = open_file;
    sqlite3_vfs_register(&vfs, 1);
    struct mt_store *s = mt_store_sqlite_open(dir, &e);
    if (!s) _exit(2);
    return s;
}

static void commit_without_fsync(const char *dir) {
    struct mt_store *s = open_on_breaking_disk(dir);
    struct mt_error e;
    struct mt_op op = start_op("run_1", NULL, true, 100);
    struct mt_batch b = {.epoch = s->epoch, .ops = &op, .count = 1}, *list[] = {&b};
    if (s->commit(s, list, 1, &e)) _exit(3);
    broken = true;
    op = start_op("run_2", NULL, true, 100);
    s->commit(s, list, 1, &e);
}

static void test_failed_fsync_ends_the_process(void **state) {
    int status = in_child(commit_without_fsync, *state);
    if (!WIFSIGNALED(status)) fail_msg("the child ended with %d", WEXITSTATUS(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    struct mt_store *s = open_or_fail(*state);
    s->close(s);
}

/* ---- readers ---- */

struct watch {
    struct mt_store *s;
    bool stop; /* atomic */
    int64_t odd, reads;
};

static void *watch(void *arg) {
    struct watch *w = arg;
    struct mt_error e;
    while (!__atomic_load_n(&w->stop, __ATOMIC_ACQUIRE)) {
        int64_t counts[MT_RUN_STATE_COUNT];
        if (w->s->count_runs(w->s, counts, &e)) continue;
        w->odd += counts[MT_RUN_RUNNING] % 2;
        w->reads++;
    }
    return NULL;
}

static void test_readers_see_whole_commits(void **state) {
    struct mt_store *s = open_or_fail(*state);
    struct watch watches[12]; /* more than there are connections: some wait their turn */
    pthread_t threads[12];
    for (int i = 0; i < 12; i++) {
        watches[i] = (struct watch){.s = s};
        assert_int_equal(pthread_create(&threads[i], NULL, watch, &watches[i]), 0);
    }
    for (int i = 0; i < 100; i++) {
        char a[MT_ID_SIZE], b[MT_ID_SIZE];
        snprintf(a, sizeof a, "run_%d_a", i);
        snprintf(b, sizeof b, "run_%d_b", i);
        struct mt_op first = start_op(a, NULL, true, 100), second = start_op(b, NULL, true, 100);
        struct mt_batch batches[] = {{.epoch = s->epoch, .ops = &first, .count = 1},
                                     {.epoch = s->epoch, .ops = &second, .count = 1}};
        struct mt_batch *list[] = {&batches[0], &batches[1]};
        struct mt_error e;
        assert_int_equal(s->commit(s, list, 2, &e), 0);
    }
    for (int i = 0; i < 12; i++) {
        __atomic_store_n(&watches[i].stop, true, __ATOMIC_RELEASE);
        pthread_join(threads[i], NULL);
        assert_int_equal(watches[i].odd, 0);
    }
    s->close(s);
}

/* ---- what waits costs disk ---- */

static void test_sleeping_runs_cost_no_memory(void **state) {
    enum { BATCH = 500, RUNS = 10000 };
    struct mt_store *s = open_or_fail(*state);
    static struct mt_op starts[BATCH], suspends[BATCH];
    static struct mt_batch batches[2 * BATCH], *list[2 * BATCH];
    static char ids[BATCH][MT_ID_SIZE];
    struct mt_error e;
    for (int done = 0; done < RUNS; done += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            snprintf(ids[i], sizeof ids[i], "run_%08d", done + i);
            starts[i] = start_op(ids[i], NULL, true, 100);
            suspends[i] = (struct mt_op){.type = MT_OP_SUSPEND,
                                         .suspend = {.state = MT_RUN_SLEEPING, .due_at = 99999, .at = 200}};
            batches[2 * i] = (struct mt_batch){.epoch = s->epoch, .ops = &starts[i], .count = 1};
            batches[2 * i + 1] =
                (struct mt_batch){.run = ids[i], .epoch = s->epoch, .ops = &suspends[i], .count = 1};
            list[2 * i] = &batches[2 * i];
            list[2 * i + 1] = &batches[2 * i + 1];
        }
        assert_int_equal(s->commit(s, list, 2 * BATCH, &e), 0);
        for (int i = 0; i < 2 * BATCH; i++) assert_int_equal(batches[i].status, 0);
    }
    assert_true(sqlite3_memory_used() < 8 * 1024 * 1024);
    s->close(s);
}

int main(void) {
#define T(test) cmocka_unit_test_setup_teardown(test, make, clean)
    const struct CMUnitTest tests[] = {T(test_what_was_committed_is_there),
                                       T(test_segments_survive),
                                       T(test_private_files),
                                       T(test_one_process_only),
                                       T(test_newer_schema),
                                       T(test_previous_schema),
                                       T(test_erased_for_good),
                                       T(test_not_a_database),
                                       T(test_full_disk),
                                       T(test_failed_fsync_ends_the_process),
                                       T(test_readers_see_whole_commits),
                                       T(test_sleeping_runs_cost_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
