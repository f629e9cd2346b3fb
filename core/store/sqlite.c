/* The SQLite store: opening and closing it, and applying a group of batches in one transaction.
 * Invariant: after commit() memory (numbers, owned runs, counts) says what the rows say, whether it succeeded
 * or not. commit and wipe: the writer's thread. Reads (sqlite_read.c, sqlite_lists.c): any thread. */
#include "base/log.h"
#include "base/text.h"
#include "store/disk.h"
#include "store/sqlite_private.h"
#include "store/sqlite_test.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECKPOINT_PAGES 4000 /* 16 MB of WAL */
#define CHECKPOINT_STEP 1000
#define WAL_PAGES_MAX 64000 /* from here on, wait for readers so that the WAL can begin anew */

typedef enum mt_applied apply_fn(struct mt_apply *a, struct mt_op *op);

static apply_fn *const appliers[] = {
    [MT_OP_START] = mt_sqlite_start,
    [MT_OP_CLAIM] = mt_sqlite_claim,
    [MT_OP_ENTRY] = mt_sqlite_entry,
    [MT_OP_ANSWER] = mt_sqlite_answer,
    [MT_OP_RUN] = mt_sqlite_change,
    [MT_OP_SUSPEND] = mt_sqlite_suspend,
    [MT_OP_AWAIT] = mt_sqlite_await,
    [MT_OP_CONTINUE] = mt_sqlite_continue,
    [MT_OP_SEEN] = mt_sqlite_seen,
    [MT_OP_EVENT] = mt_sqlite_event,
    [MT_OP_LATE] = mt_sqlite_late,
    [MT_OP_CANCEL] = mt_sqlite_cancel,
    [MT_OP_RETRY] = mt_sqlite_retry,
    [MT_OP_RESOLVE] = mt_sqlite_resolve,
    [MT_OP_MIGRATE] = mt_sqlite_migrate_run,
    [MT_OP_FORGET] = mt_sqlite_forget,
    [MT_OP_DOC_PUT] = mt_sqlite_doc_put,
    [MT_OP_DOC_DELETE] = mt_sqlite_doc_delete,
    [MT_OP_DOC_CHECK] = mt_sqlite_doc_check,
    [MT_OP_COLLECTION_CHECK] = mt_sqlite_collection_check,
    [MT_OP_DELIVERY_PUT] = mt_sqlite_delivery_put,
    [MT_OP_DELIVERY_UPDATE] = mt_sqlite_delivery_update,
    [MT_OP_TASK_PUT] = mt_sqlite_task_put,
    [MT_OP_TASK_DELETE] = mt_sqlite_task_delete,
    [MT_OP_GENERATION] = mt_sqlite_generation,
    [MT_OP_PURGE] = mt_sqlite_purge,
    [MT_OP_META] = mt_sqlite_meta,
    [MT_OP_AUDIT] = mt_sqlite_audit,
};

/* ---- one batch ---- */

/* Whether an operation could refuse the batch (as opposed to answering something, or failing the whole
 * commit). An entry right of the last one cannot meet another. */
static bool may_refuse(const struct mt_batch *b, size_t i, const struct mt_owned *own, int last_seq) {
    const struct mt_op *op = &b->ops[i];
    switch (op->type) {
    case MT_OP_ENTRY:
        return !own || op->entry->segment != own->segment || op->entry->seq <= last_seq;
    case MT_OP_RUN:
    case MT_OP_SUSPEND:
    case MT_OP_SEEN:
        return !own;
    case MT_OP_START:
        return true;
    case MT_OP_CLAIM:
    case MT_OP_EVENT:
    case MT_OP_TASK_PUT:
    case MT_OP_GENERATION:
    case MT_OP_PURGE:
    case MT_OP_META:
        return false;
    default:
        return true;
    }
}

/* Each operation checks before it writes, so only one that may refuse after another has written needs a
 * savepoint to go back to. The batches of a flow's ordinary life (an answer and the next intent, an answer
 * and the end) do not. */
static bool needs_savepoint(const struct mt_batch *b, const struct mt_owned *own) {
    int last_seq = own ? own->last_seq : 0;
    bool let_go = false;
    for (size_t i = 0; i < b->count; i++) {
        const struct mt_op *op = &b->ops[i];
        if (i > 0 && may_refuse(b, i, let_go ? NULL : own, last_seq)) return true;
        if (op->type == MT_OP_ENTRY && op->entry->seq > last_seq) last_seq = op->entry->seq;
        let_go |= op->type == MT_OP_SUSPEND || op->type == MT_OP_AWAIT || op->type == MT_OP_CONTINUE ||
                  op->type == MT_OP_RUN;
    }
    return false;
}

/* The batch's run must be owned by the batch's epoch. */
static enum mt_applied find_owner(struct mt_apply *a) {
    struct mt_batch *b = a->b;
    struct mt_op *first = b->count ? &b->ops[0] : NULL;
    if (!b->run) return MT_APPLIED;
    a->own = mt_owned_find(a->s, b->run);
    if (a->own && a->own->owner == b->epoch) return MT_APPLIED;
    int64_t owner = a->own ? a->own->owner : 0;
    if (!a->own) {
        struct mt_head h;
        int rc = mt_sqlite_head(a->s, b->run, &h, a->e);
        if (rc < 0) return MT_BROKEN;
        if (!rc) return mt_rules_refuse(b, first, MT_RES_MISSING, "there is no run %s", b->run);
    }
    a->own = NULL;
    return mt_rules_refuse(b, first, MT_RES_NOT_OWNER, "run %s belongs to epoch %" PRId64 ", not %" PRId64,
                           b->run, owner, b->epoch);
}

static enum mt_applied check_all(struct mt_batch *b) {
    for (size_t i = 0; i < b->count; i++)
        if (mt_rules_check(b, &b->ops[i])) return MT_REFUSED;
    return MT_APPLIED;
}

static enum mt_applied apply_ops(struct mt_apply *a) {
    struct mt_batch *b = a->b;
    for (size_t i = 0; i < b->count; i++) {
        struct mt_op *op = &b->ops[i];
        if (!a->own && b->run && (a->own = mt_owned_find(a->s, b->run)) && a->own->owner != b->epoch)
            a->own = NULL;
        if (mt_rules_on_run(op->type) && !a->own)
            return mt_rules_refuse(b, op, MT_RES_NOT_OWNER, "%s",
                                   b->run ? "the batch has let go of its run already"
                                          : "the batch names no run");
        enum mt_applied rc = appliers[op->type](a, op);
        if (rc) return rc;
    }
    return MT_APPLIED;
}

static enum mt_applied roll_back_batch(struct mt_apply *a, size_t mark, const struct mt_numbers *numbers,
                                       bool nested, int64_t changes) {
    struct mt_sqlite *s = a->s;
    mt_owned_rollback(s, mark);
    s->numbers = *numbers;
    if (!nested) {
        if (sqlite3_total_changes64(s->writer.db) == changes) return MT_REFUSED;
        mt_fail(a->e, MT_INTERNAL, "a batch was refused after it had written: %s", a->b->error.message);
        return MT_BROKEN;
    }
    memset(s->generations, 0, sizeof s->generations); /* may name one that is gone again */
    if (mt_sqlite_simple(&s->writer, ST_ROLLBACK_TO, a->e) || mt_sqlite_simple(&s->writer, ST_RELEASE, a->e))
        return MT_BROKEN;
    return MT_REFUSED;
}

static void tell_of_cancellation(struct mt_apply *a) {
    struct mt_owned *o = a->b->run ? mt_owned_find(a->s, a->b->run) : NULL;
    if (!o || o->owner != a->b->epoch || !o->cancel_requested) return;
    a->b->cancel_requested = true;
    if (o->cancel_seen) return;
    mt_owned_touch(a->s, o);
    o->cancel_seen = true;
}

/* 0: the batch has its answer; -1: the commit has failed. */
static int apply_batch(struct mt_sqlite *s, struct mt_batch *b, struct mt_error *e) {
    struct mt_apply a = {.s = s, .b = b, .e = e};
    enum mt_applied rc = check_all(b);
    if (rc == MT_APPLIED) rc = find_owner(&a);
    if (rc != MT_APPLIED) return rc == MT_BROKEN ? -1 : 0;

    struct mt_numbers numbers = s->numbers;
    size_t mark = s->undo_count;
    int64_t changes = sqlite3_total_changes64(s->writer.db);
    bool nested = needs_savepoint(b, a.own);
    if (nested && mt_sqlite_simple(&s->writer, ST_SAVEPOINT, e)) return -1;
    rc = apply_ops(&a);
    if (rc == MT_BROKEN) return -1;
    if (rc == MT_REFUSED) {
        if (roll_back_batch(&a, mark, &numbers, nested, changes) == MT_BROKEN) return -1;
        mt_rules_undo(b, true);
        b->cancel_requested = false; /* whatever it was told meanwhile is undone too */
    } else if (nested && mt_sqlite_simple(&s->writer, ST_RELEASE, e)) {
        return -1;
    }
    tell_of_cancellation(&a);
    return 0;
}

/* ---- the transaction ---- */

static int write_counts(struct mt_sqlite *s, struct mt_error *e) {
    for (size_t i = 0; i < s->counts_count; i++) {
        for (int state = 0; state < MT_RUN_STATE_COUNT; state++) {
            if (!s->counts[i].delta[state]) continue;
            sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_COUNT_ADD, e);
            if (!st) return -1;
            sqlite3_bind_int64(st, 1, s->counts[i].generation);
            sqlite3_bind_int(st, 2, state);
            sqlite3_bind_int(st, 3, s->counts[i].delta[state]);
            if (mt_sqlite_run(&s->writer, st, NULL, e)) return -1;
        }
    }
    return 0;
}

static int note_wal(void *ctx, sqlite3 *db, const char *name, int pages) {
    struct mt_sqlite *s = ctx;
    (void)db;
    (void)name;
    if (pages < s->wal_pages) s->checkpoint_at = CHECKPOINT_PAGES; /* it has begun anew */
    s->wal_pages = pages;
    return SQLITE_OK;
}

/* Moves the WAL into the database now and then: at the start of a commit, when those who waited for the last
 * one have been answered. What readers or a full disk hinder is done some pages later; a failed fsync ends
 * the process. */
static void checkpoint(struct mt_sqlite *s) {
    struct mt_error ignored;
    if (s->wal_pages < s->checkpoint_at) return;
    s->checkpoint_at = s->wal_pages + CHECKPOINT_STEP;
    int mode = s->wal_pages < WAL_PAGES_MAX ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_RESTART;
    int rc = sqlite3_wal_checkpoint_v2(s->writer.db, NULL, mode, NULL, NULL);
    if (rc != SQLITE_OK) mt_sqlite_error(s->writer.db, &ignored);
}

static void roll_back(struct mt_sqlite *s, struct mt_batch **batches, size_t count,
                      const struct mt_numbers *numbers) {
    /* After some errors SQLite has rolled back by itself. */
    if (!sqlite3_get_autocommit(s->writer.db)) sqlite3_exec(s->writer.db, "ROLLBACK", NULL, NULL, NULL);
    mt_owned_rollback(s, 0);
    mt_owned_settle(s);
    s->numbers = *numbers;
    memset(s->generations, 0, sizeof s->generations);
    for (size_t i = 0; i < count; i++) mt_rules_undo(batches[i], false);
}

static int commit(struct mt_store *self, struct mt_batch **batches, size_t count, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    struct mt_numbers numbers = s->numbers;
    checkpoint(s);
    for (size_t i = 0; i < count; i++) mt_rules_begin(batches[i]);
    if (mt_sqlite_simple(&s->writer, ST_BEGIN, e)) goto fail;
    for (size_t i = 0; i < count; i++)
        if (apply_batch(s, batches[i], e)) goto fail;
    if (write_counts(s, e) || mt_sqlite_simple(&s->writer, ST_COMMIT, e)) goto fail;
    mt_owned_settle(s);
    return 0;
fail:
    roll_back(s, batches, count, &numbers);
    return -1;
}

static int wipe(struct mt_store *self, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    if (mt_sqlite_empty(&s->writer, e)) return -1;
    mt_owned_forget(s); /* the numbers go on: nobody meets an old one again */
    memset(s->generations, 0, sizeof s->generations);
    return 0;
}

/* What was deleted is zeros in the database (secure_delete), but the WAL still has pages from before. */
static int scrub(struct mt_store *self, struct mt_error *e) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    if (sqlite3_wal_checkpoint_v2(s->writer.db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK) {
        s->wal_pages = 0;
        s->checkpoint_at = CHECKPOINT_PAGES;
        return 0;
    }
    return mt_sqlite_error(s->writer.db, e);
}

/* ---- opening and closing ---- */

static int take_lock(struct mt_sqlite *s, struct mt_error *e) {
    char path[4096], holder[32] = "";
    if (!mt_format(path, sizeof path, "%s/lock", s->dir))
        return mt_fail(e, MT_USAGE, "%s: the path is too long", s->dir);
    s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock < 0) return mt_fail(e, MT_STORE, "%s: %s", path, strerror(errno));
    if (flock(s->lock, LOCK_EX | LOCK_NB)) {
        int64_t pid;
        int why = errno;
        ssize_t n = pread(s->lock, holder, sizeof holder - 1, 0);
        holder[n > 0 ? n : 0] = 0;
        holder[strcspn(holder, "\n")] = 0;
        if (why != EWOULDBLOCK) return mt_fail(e, MT_STORE, "%s: %s", path, strerror(why));
        if (!mt_parse_int(holder, 1, INT32_MAX, &pid)) mt_copy(holder, sizeof holder, "(unknown)");
        return mt_fail(e, MT_CONFLICT,
                       "%s is in use by process %s, which holds %s: stop it, or use another directory",
                       s->dir, holder, path);
    }
    mt_format(holder, sizeof holder, "%d\n", (int)getpid());
    if (ftruncate(s->lock, 0) || pwrite(s->lock, holder, strlen(holder), 0) < 0)
        return mt_fail(e, errno == ENOSPC ? MT_FULL : MT_STORE, "%s: %s", path, strerror(errno));
    return 0;
}

static int make_place(struct mt_sqlite *s, const char *dir, struct mt_error *e) {
    char path[4096];
    if (mkdir(dir, 0700) && errno != EEXIST) return mt_fail(e, MT_STORE, "%s: %s", dir, strerror(errno));
    s->dir = mt_strdup(dir);
    if (!mt_format(path, sizeof path, "%s/mintage.db", dir))
        return mt_fail(e, MT_USAGE, "%s: the path is too long", dir);
    s->path = mt_strdup(path);
    if (take_lock(s, e)) return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC,
                  0600); /* SQLite gives its other files the mode of this one */
    if (fd < 0) return mt_fail(e, MT_STORE, "%s: %s", path, strerror(errno));
    close(fd);
    return 0;
}

static int one_number(struct mt_sqlite *s, const char *sql, int64_t *out, struct mt_error *e) {
    sqlite3_stmt *st = NULL;
    int rc = -1;
    if (sqlite3_prepare_v2(s->writer.db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        *out = sqlite3_column_int64(st, 0);
        rc = 0;
    } else {
        mt_sqlite_error(s->writer.db, e);
    }
    sqlite3_finalize(st);
    return rc;
}

/* A new epoch; what earlier ones owned is due at once (due_at 0: before anything else of its class). */
static int take_over(struct mt_sqlite *s, struct mt_error *e) {
    static const char recover[] =
        "BEGIN IMMEDIATE;"
        "UPDATE opening SET epoch = epoch + 1;"
        "INSERT INTO run_counts SELECT generation, state, -count(*) FROM runs WHERE owner <> 0 GROUP BY 1, 2"
        " ON CONFLICT DO UPDATE SET runs = runs + excluded.runs;"
        "UPDATE runs SET state = iif(state = 4, 4, 0), due_at = 0, entries = (SELECT count(*) FROM entries e"
        " WHERE e.k BETWEEN (strand << 17) AND (strand << 17 | 131071)) WHERE owner <> 0;"
        "INSERT INTO run_counts SELECT generation, state, count(*) FROM runs WHERE owner <> 0 GROUP BY 1, 2"
        " ON CONFLICT DO UPDATE SET runs = runs + excluded.runs;"
        "UPDATE runs SET owner = 0 WHERE owner <> 0;"
        "COMMIT";
    if (mt_sqlite_exec(s->writer.db, recover, e)) return -1;
    if (one_number(s, "SELECT epoch FROM opening", &s->store.epoch, e)) return -1;
    if (one_number(s,
                   "SELECT max(coalesce((SELECT max(n) FROM runs), 0), coalesce((SELECT max(strand) FROM "
                   "segments), 0), coalesce((SELECT max(strand) FROM trash), 0))",
                   &s->numbers.strand, e))
        return -1;
    if (one_number(s, "SELECT max(n) FROM events", &s->numbers.event, e)) return -1;
    if (one_number(s, "SELECT max(n) FROM deliveries", &s->numbers.delivery, e)) return -1;
    return one_number(s, "SELECT max(n) FROM tasks", &s->numbers.task, e);
}

static void close_store(struct mt_store *self) {
    struct mt_sqlite *s = (struct mt_sqlite *)self;
    for (int i = 0; i < MT_SQLITE_READERS; i++) mt_sqlite_conn_close(&s->readers[i]);
    mt_sqlite_conn_close(&s->writer); /* the last one out moves the WAL into the database */
    mt_owned_forget(s);
    if (s->lock >= 0) close(s->lock);
    if (s->disk) mt_disk_release(s->disk, s->hold);
    pthread_cond_destroy(&s->pool_free);
    pthread_mutex_destroy(&s->pool_lock);
    free(s->dir);
    free(s->path);
    free(s);
}

static int make_place_on(struct mt_sqlite *s, struct mt_disk *disk, const char *name, struct mt_error *e) {
    if (!*name || strlen(name) > MT_KEY_MAX)
        return mt_fail(e, MT_USAGE, "the name of a store on a disk has 1 to %d bytes, this one %zu",
                       MT_KEY_MAX, strlen(name));
    s->vfs = mt_disk_vfs(disk);
    s->hold = mt_disk_hold(disk, name);
    if (!s->hold)
        return mt_fail(e, MT_CONFLICT, "%s is in use by another store of this disk: close that one first",
                       name);
    s->disk = disk;
    s->path = mt_strdup(name);
    return 0;
}

static struct mt_sqlite *new_store(void) {
    struct mt_sqlite *s = mt_calloc(1, sizeof *s);
    s->lock = -1;
    pthread_mutex_init(&s->pool_lock, NULL);
    pthread_cond_init(&s->pool_free, NULL);
    s->store.commit = commit;
    s->store.wipe = wipe;
    s->store.close = close_store;
    mt_sqlite_set_reads(&s->store);
    mt_sqlite_set_lists(&s->store);
    mt_sqlite_set_kept(&s->store);
    s->store.scrub = scrub;
    return s;
}

/* Its place has been made, or not (-1). NULL: it is freed. */
static struct mt_store *open_store(struct mt_sqlite *s, int place, struct mt_error *e) {
    if (place || mt_sqlite_conn_open(&s->writer, s->vfs, s->path, true, e) ||
        mt_sqlite_migrate(&s->writer, s->path, e) || take_over(s, e)) {
        close_store(&s->store);
        return NULL;
    }
    s->checkpoint_at = CHECKPOINT_PAGES;
    sqlite3_wal_hook(s->writer.db, note_wal, s);
    return &s->store;
}

struct mt_store *mt_store_sqlite_open(const char *dir, struct mt_error *e) {
    struct mt_sqlite *s = new_store();
    return open_store(s, make_place(s, dir, e), e);
}

struct mt_store *mt_store_sqlite_open_on(struct mt_disk *disk, const char *name, struct mt_error *e) {
    struct mt_sqlite *s = new_store();
    return open_store(s, make_place_on(s, disk, name, e), e);
}

void mt_store_sqlite_limit_pages(struct mt_store *store, int64_t more) {
    struct mt_sqlite *s = (struct mt_sqlite *)store;
    struct mt_error e;
    int64_t pages = 0;
    char sql[64];
    if (more >= 0 && one_number(s, "PRAGMA page_count", &pages, &e)) return;
    mt_format(sql, sizeof sql, "PRAGMA max_page_count = %" PRId64,
              more < 0 ? INT64_C(4294967294) : pages + more);
    if (mt_sqlite_exec(s->writer.db, sql, &e)) mt_err("cannot set the page limit", "cause", e.message);
}
