/* What a run's life does to its row: starting, claiming, journaling, changing, beginning a new segment, and
 * what a person does to it. Each function checks before it writes. The writer's thread, inside its
 * transaction. */
#include "base/text.h"
#include "store/sqlite_private.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- looking ---- */

void mt_sqlite_run_columns(sqlite3_stmt *st, struct mt_run *out) {
    memset(out, 0, sizeof *out);
    mt_sqlite_copy(st, 0, out->id, sizeof out->id);
    mt_sqlite_copy(st, 1, out->flow, sizeof out->flow);
    out->key = mt_sqlite_take(st, 2);
    out->state = (enum mt_run_state)sqlite3_column_int(st, 3);
    mt_sqlite_copy(st, 4, out->generation, sizeof out->generation);
    out->segment = sqlite3_column_int(st, 5);
    out->owner = sqlite3_column_int64(st, 6);
    out->due_at = sqlite3_column_int64(st, 7);
    out->input = mt_sqlite_take(st, 8);
    out->progress = mt_sqlite_take(st, 9);
    out->output = mt_sqlite_take(st, 10);
    out->error = mt_sqlite_take(st, 11);
    out->waiting_for = mt_sqlite_take(st, 12);
    out->cursors = mt_sqlite_take(st, 13);
    mt_sqlite_copy(st, 14, out->parent, sizeof out->parent);
    out->parent_seq = sqlite3_column_int(st, 15);
    out->detached = sqlite3_column_int(st, 16);
    out->cancel_requested = sqlite3_column_int(st, 17);
    out->cancel_reason = mt_sqlite_take(st, 18);
    out->entries = sqlite3_column_int(st, 19);
    out->created_at = sqlite3_column_int64(st, 20);
    out->updated_at = sqlite3_column_int64(st, 21);
    out->moves = mt_sqlite_take(st, 22);
    out->dropped = sqlite3_column_int(st, 23);
    out->gone_at = sqlite3_column_int64(st, 24);
    mt_sqlite_read_digest(st, 25, out->input_digest, sizeof out->input_digest);
}

int mt_sqlite_head(struct mt_sqlite *s, const char *id, struct mt_head *out, struct mt_error *e) {
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_RUN_HEAD, e);
    if (!st) return -1;
    mt_sqlite_text(st, 1, id);
    int rc = mt_sqlite_step(&s->writer, st, e);
    if (rc <= 0) return rc;
    *out = (struct mt_head){
        .n = sqlite3_column_int64(st, 0),
        .owner = sqlite3_column_int64(st, 1),
        .due_at = sqlite3_column_int64(st, 2),
        .generation = sqlite3_column_int64(st, 3),
        .strand = sqlite3_column_int64(st, 4),
        .state = sqlite3_column_int(st, 5),
        .segment = sqlite3_column_int(st, 6),
    };
    sqlite3_reset(st);
    return 1;
}

static void remember_generation(struct mt_sqlite *s, const char *id, int64_t g) {
    unsigned slot = s->generations_next++ % (sizeof s->generations / sizeof *s->generations);
    mt_copy(s->generations[slot].id, sizeof s->generations[slot].id, id);
    s->generations[slot].g = g;
}

/* The number that stands for a generation in a run's row: 1, 0 (it has none yet), -1. */
static int find_generation(struct mt_sqlite *s, const char *id, int64_t *g, struct mt_error *e) {
    for (unsigned i = 0; i < sizeof s->generations / sizeof *s->generations; i++) {
        if (!s->generations[i].g || strcmp(s->generations[i].id, id) != 0) continue;
        *g = s->generations[i].g;
        return 1;
    }
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_GENERATION_FIND, e);
    if (!st) return -1;
    mt_sqlite_text(st, 1, id);
    int rc = mt_sqlite_step(&s->writer, st, e);
    if (rc <= 0) return rc;
    *g = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    remember_generation(s, id, *g);
    return 1;
}

static int number_generation(struct mt_sqlite *s, const char *id, int64_t *g, struct mt_error *e) {
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_GENERATION_NAME, e);
    if (!st) return -1;
    mt_sqlite_text(st, 1, id);
    if (mt_sqlite_run(&s->writer, st, NULL, e)) return -1;
    *g = sqlite3_last_insert_rowid(s->writer.db);
    remember_generation(s, id, *g);
    return 0;
}

int mt_sqlite_strand(struct mt_sqlite *s, int64_t n, int segment, int64_t *strand, struct mt_error *e) {
    *strand = 0;
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, segment ? ST_SEGMENT_STRAND : ST_RUN_FIRST, e);
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, n);
    if (segment) sqlite3_bind_int(st, 2, segment);
    int rc = mt_sqlite_step(&s->writer, st, e);
    if (rc <= 0) return rc;
    *strand = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);
    return 0;
}

/* ---- START ---- */

static int insert_run(struct mt_apply *a, const struct mt_op *op, int64_t n, int64_t g) {
    struct mt_sqlite *s = a->s;
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_RUN_INSERT, a->e);
    if (!st) return -1;
    bool claim = op->start.claim;
    sqlite3_bind_int64(st, 1, n);
    mt_sqlite_text(st, 2, op->start.id);
    mt_sqlite_text(st, 3, op->start.flow);
    mt_sqlite_text(st, 4, op->start.key);
    sqlite3_bind_int(st, 5, claim ? MT_RUN_RUNNING : MT_RUN_QUEUED);
    sqlite3_bind_int64(st, 6, g);
    sqlite3_bind_int64(st, 7, claim ? a->b->epoch : 0);
    sqlite3_bind_int(st, 8, (int)op->start.cls);
    sqlite3_bind_int64(st, 9, claim ? MT_NEVER : op->start.at);
    mt_sqlite_text(st, 10, op->start.input);
    mt_sqlite_digest(st, 11, op->start.input_digest);
    mt_sqlite_text(st, 12, op->start.parent);
    sqlite3_bind_int(st, 13, op->start.parent_seq);
    sqlite3_bind_int(st, 14, op->start.detached);
    sqlite3_bind_int64(st, 15, op->start.at);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_CONSTRAINT_UNIQUE) { /* the id or the key is there: not an error yet */
        sqlite3_reset(st);
        return 1;
    }
    if (rc != SQLITE_DONE) mt_sqlite_error(s->writer.db, a->e);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? 0 : -1;
}

/* The run that stands in the way of a start: the one with the key, else the one with the id. 1, 0 or -1. */
static int find_existing(struct mt_apply *a, struct mt_op *op, int64_t *n) {
    struct mt_sqlite_conn *c = &a->s->writer;
    for (int by_id = op->start.key ? 0 : 1; by_id < 2; by_id++) {
        sqlite3_stmt *st = mt_sqlite_statement(c, by_id ? ST_RUN_BY_ID : ST_RUN_BY_KEY, a->e);
        if (!st) return -1;
        mt_sqlite_text(st, 1, by_id ? op->start.id : op->start.flow);
        if (!by_id) mt_sqlite_text(st, 2, op->start.key);
        int rc = mt_sqlite_step(c, st, a->e);
        if (rc < 0) return -1;
        if (!rc) continue;
        mt_sqlite_run_columns(st, &op->start.existing);
        *n = sqlite3_column_int64(st, MT_RUN_COLUMN_COUNT - 1);
        sqlite3_reset(st);
        return 1;
    }
    return 0;
}

static enum mt_applied answer_existing(struct mt_apply *a, struct mt_op *op, int64_t n) {
    struct mt_sqlite_conn *c = &a->s->writer;
    sqlite3_stmt *st = mt_sqlite_statement(c, ST_RUN_DIGEST, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, n);
    if (mt_sqlite_step(c, st, a->e) != 1) return MT_BROKEN;
    char digest[130];
    mt_sqlite_read_digest(st, 0, digest, sizeof digest);
    sqlite3_reset(st);
    op->result = MT_RES_EXISTS;
    if (strcmp(digest, op->start.input_digest) == 0) {
        if (!op->start.fresh) return MT_APPLIED;
        return mt_rules_refuse(a->b, op, MT_RES_EXISTS, "run %s of flow %s was started with this key already",
                               op->start.existing.id, op->start.flow);
    }
    return mt_rules_refuse(
        a->b, op, MT_RES_KEY_REUSED,
        "run %s of flow %s was started with this key and another input: use another key, or the "
        "same input",
        op->start.existing.id, op->start.flow);
}

enum mt_applied mt_sqlite_start(struct mt_apply *a, struct mt_op *op) {
    struct mt_sqlite *s = a->s;
    int64_t g = 0, n = s->numbers.strand + 1, existing = 0;
    int known = find_generation(s, op->start.generation, &g, a->e), met = 0;
    if (known < 0) return MT_BROKEN;
    if (!known) { /* naming it writes, so look for what could refuse first */
        met = find_existing(a, op, &existing);
        if (met < 0 || (!met && number_generation(s, op->start.generation, &g, a->e))) return MT_BROKEN;
    }
    if (!met) { /* nearly always the insert succeeds; only if not is it worth asking why */
        met = insert_run(a, op, n, g);
        if (met < 0) return MT_BROKEN;
        if (met && find_existing(a, op, &existing) != 1) return MT_BROKEN;
    }
    if (met) return answer_existing(a, op, existing);
    s->numbers.strand = n;
    mt_owned_count(s, g, op->start.claim ? MT_RUN_RUNNING : MT_RUN_QUEUED, 1);
    if (!op->start.claim) {
        mt_rules_due(a->b, op->start.at);
        return MT_APPLIED;
    }
    struct mt_owned o = {.n = n, .owner = a->b->epoch, .strand = n, .generation = g, .state = MT_RUN_RUNNING};
    mt_copy(o.id, sizeof o.id, op->start.id);
    mt_owned_add(s, &o);
    return MT_APPLIED;
}

/* ---- CLAIM ---- */

/* The place of the last entry of a strand; 0 when it has none. */
static int last_seq(struct mt_sqlite *s, int64_t strand, int *seq, struct mt_error *e) {
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_ENTRY_LAST, e);
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, strand << MT_SEQ_BITS);
    sqlite3_bind_int64(st, 2, strand << MT_SEQ_BITS | MT_SEQ_MAX);
    if (mt_sqlite_step(&s->writer, st, e) != 1) return -1;
    *seq = (int)(sqlite3_column_int64(st, 0) & MT_SEQ_MAX);
    sqlite3_reset(st);
    return 0;
}

static int read_by_n(struct mt_sqlite *s, int64_t n, struct mt_run *run, struct mt_owned *o,
                     struct mt_error *e) {
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_RUN_BY_N, e);
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, n);
    if (mt_sqlite_step(&s->writer, st, e) != 1) return -1;
    mt_sqlite_run_columns(st, run);
    *o = (struct mt_owned){.n = n,
                           .strand = sqlite3_column_int64(st, MT_RUN_COLUMN_COUNT),
                           .generation = sqlite3_column_int64(st, MT_RUN_COLUMN_COUNT + 1),
                           .segment = run->segment,
                           .entries = run->entries,
                           .state = run->state,
                           .cancel_requested = run->cancel_requested,
                           .cancel_seen = run->cancel_requested,
                           .asked = true};
    mt_copy(o->id, sizeof o->id, run->id);
    sqlite3_reset(st);
    return 0;
}

static int claim_one(struct mt_apply *a, struct mt_op *op, int64_t n, struct mt_run *run) {
    struct mt_sqlite *s = a->s;
    struct mt_owned o;
    if (read_by_n(s, n, run, &o, a->e)) return -1; /* while it is not owned, so `entries` is its column */
    if (last_seq(s, o.strand, &o.last_seq, a->e)) return -1;
    enum mt_run_state state = run->state == MT_RUN_COMPENSATING ? MT_RUN_COMPENSATING : MT_RUN_RUNNING;
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_RUN_CLAIM, a->e);
    if (!st) return -1;
    sqlite3_bind_int64(st, 1, n);
    sqlite3_bind_int64(st, 2, op->claim.epoch);
    sqlite3_bind_int(st, 3, (int)state);
    sqlite3_bind_int64(st, 4, op->claim.now);
    if (mt_sqlite_run(&s->writer, st, NULL, a->e)) return -1;
    if (state != run->state) {
        mt_owned_count(s, o.generation, (int)run->state, -1);
        mt_owned_count(s, o.generation, (int)state, 1);
    }
    run->state = o.state = state;
    run->owner = o.owner = op->claim.epoch;
    run->due_at = MT_NEVER;
    run->updated_at = op->claim.now;
    free(run->waiting_for);
    run->waiting_for = NULL;
    mt_owned_add(s, &o);
    return 0;
}

/* Up to `limit` due runs of one class, oldest first. */
static int due_of_class(struct mt_apply *a, int cls, int64_t now, size_t limit, int64_t **out,
                        size_t *count) {
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_DUE, a->e);
    if (!st) return -1;
    sqlite3_bind_int(st, 1, cls);
    sqlite3_bind_int64(st, 2, now);
    sqlite3_bind_int64(st, 3, (int64_t)limit);
    int rc;
    while ((rc = mt_sqlite_step(&a->s->writer, st, a->e)) == 1) {
        *out = mt_sqlite_grow(*out, *count, sizeof **out);
        (*out)[(*count)++] = sqlite3_column_int64(st, 0);
    }
    return rc;
}

enum mt_applied mt_sqlite_claim(struct mt_apply *a, struct mt_op *op) {
    int64_t *due[MT_CLASS_COUNT] = {NULL};
    size_t count[MT_CLASS_COUNT] = {0}, taken[MT_CLASS_COUNT] = {0};
    enum mt_applied result = MT_BROKEN;
    size_t limit = op->claim.limit < 10000 ? op->claim.limit : 10000;
    for (int cls = 0; cls < MT_CLASS_COUNT; cls++)
        if (due_of_class(a, cls, op->claim.now, limit, &due[cls], &count[cls])) goto out;
    while (op->claim.count < limit) {
        bool has[MT_CLASS_COUNT];
        for (int cls = 0; cls < MT_CLASS_COUNT; cls++) has[cls] = taken[cls] < count[cls];
        int cls = mt_rules_next_class(&a->s->numbers.rotor, has);
        if (cls < 0) break;
        struct mt_run run = {0};
        if (claim_one(a, op, due[cls][taken[cls]++], &run)) {
            mt_run_clear(&run);
            goto out;
        }
        op->claim.runs = mt_sqlite_grow(op->claim.runs, op->claim.count, sizeof run);
        op->claim.runs[op->claim.count++] = run;
    }
    result = MT_APPLIED;
out:
    for (int cls = 0; cls < MT_CLASS_COUNT; cls++) free(due[cls]);
    return result;
}

/* ---- the journal ---- */

static enum mt_applied place_missing(struct mt_apply *a, struct mt_op *op, const struct mt_entry *entry) {
    return mt_rules_refuse(a->b, op, MT_RES_MISSING, "run %s has no entry %d/%d", a->b->run, entry->segment,
                           entry->seq);
}

static int entry_key(struct mt_apply *a, const struct mt_entry *entry, int64_t *k) {
    int64_t strand = a->own->strand;
    if (entry->segment != a->own->segment && mt_sqlite_strand(a->s, a->own->n, entry->segment, &strand, a->e))
        return -1;
    *k = strand ? strand << MT_SEQ_BITS | entry->seq : 0;
    return 0;
}

enum mt_applied mt_sqlite_insert_entry(struct mt_apply *a, struct mt_op *op, const struct mt_entry *entry,
                                       enum mt_outcome outcome, const char *result, int64_t done_at) {
    int64_t k;
    if (entry_key(a, entry, &k)) return MT_BROKEN;
    if (!k) return place_missing(a, op, entry);
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, ST_ENTRY_INSERT, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, k);
    mt_sqlite_text(st, 2, entry->kind);
    mt_sqlite_text(st, 3, entry->name);
    mt_sqlite_digest(st, 4, entry->digest);
    sqlite3_bind_int(st, 5, (int)outcome);
    mt_sqlite_text(st, 6, entry->params);
    if (entry->request)
        sqlite3_bind_blob64(st, 7, entry->request, entry->request_len, SQLITE_STATIC);
    else
        sqlite3_bind_null(st, 7);
    mt_sqlite_text(st, 8, result);
    sqlite3_bind_int(st, 9, entry->sealed);
    mt_sqlite_text(st, 10, entry->meta);
    mt_sqlite_text(st, 11, entry->site);
    sqlite3_bind_int64(st, 12, entry->at);
    sqlite3_bind_int64(st, 13, done_at);
    int rc = sqlite3_step(st);
    if (rc != SQLITE_DONE && rc != SQLITE_CONSTRAINT_PRIMARYKEY) mt_sqlite_error(a->s->writer.db, a->e);
    sqlite3_reset(st);
    if (rc == SQLITE_CONSTRAINT_PRIMARYKEY)
        return mt_rules_refuse(a->b, op, MT_RES_DUPLICATE, "run %s has an entry %d/%d already", a->b->run,
                               entry->segment, entry->seq);
    if (rc != SQLITE_DONE) return MT_BROKEN;
    if (entry->segment == a->own->segment) {
        mt_owned_touch(a->s, a->own);
        a->own->entries++;
        if (entry->seq > a->own->last_seq) a->own->last_seq = entry->seq;
    }
    return MT_APPLIED;
}

enum mt_applied mt_sqlite_update_entry(struct mt_apply *a, struct mt_op *op, const struct mt_entry *entry,
                                       enum mt_outcome outcome, const char *result, int64_t done_at) {
    int64_t k;
    int changed;
    if (entry_key(a, entry, &k)) return MT_BROKEN;
    if (!k) return place_missing(a, op, entry);
    bool meta_only = outcome == MT_OUTCOME_NONE;
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, meta_only ? ST_ENTRY_META : ST_ENTRY_ANSWER, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, k);
    if (meta_only) {
        mt_sqlite_text(st, 2, entry->meta);
        if (entry->request)
            sqlite3_bind_blob64(st, 3, entry->request, entry->request_len, SQLITE_STATIC);
        else
            sqlite3_bind_null(st, 3);
    } else {
        sqlite3_bind_int(st, 2, (int)outcome);
        mt_sqlite_text(st, 3, result);
        sqlite3_bind_int(st, 4, entry->sealed);
        mt_sqlite_text(st, 5, entry->meta);
        sqlite3_bind_int64(st, 6, done_at);
    }
    if (mt_sqlite_run(&a->s->writer, st, &changed, a->e)) return MT_BROKEN;
    return changed ? MT_APPLIED : place_missing(a, op, entry);
}

enum mt_applied mt_sqlite_entry(struct mt_apply *a, struct mt_op *op) {
    const struct mt_entry *entry = op->entry;
    return mt_sqlite_insert_entry(a, op, entry, entry->outcome, entry->result, entry->done_at);
}

enum mt_applied mt_sqlite_answer(struct mt_apply *a, struct mt_op *op) {
    const struct mt_entry *entry = op->entry;
    return mt_sqlite_update_entry(a, op, entry, entry->outcome, entry->result, entry->done_at);
}

/* ---- RUN, CONTINUE ---- */

void mt_sqlite_let_go(struct mt_apply *a, enum mt_run_state state) {
    if (state != a->own->state) {
        mt_owned_count(a->s, a->own->generation, (int)a->own->state, -1);
        mt_owned_count(a->s, a->own->generation, (int)state, 1);
    }
    a->b->cancel_requested = a->own->cancel_requested;
    mt_owned_remove(a->s, a->own);
    a->own = NULL;
}

/* NULL leaves a column, "" clears it. */
static void bind_change(sqlite3_stmt *st, int i, const char *text) {
    sqlite3_bind_int(st, i, text != NULL);
    mt_sqlite_text(st, i + 1, text && *text ? text : NULL);
}

enum mt_applied mt_sqlite_change(struct mt_apply *a, struct mt_op *op) {
    struct mt_owned *o = a->own;
    enum mt_run_state state = op->run.state < 0 ? o->state : (enum mt_run_state)op->run.state;
    bool release = op->run.release || mt_run_ended(state); /* what has ended has no owner */
    bool texts_only = state == o->state && !release;       /* touches no index */
    sqlite3_stmt *st = mt_sqlite_statement(&a->s->writer, texts_only ? ST_RUN_TEXTS : ST_RUN_STATE, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, o->n);
    bind_change(st, 2, op->run.progress);
    bind_change(st, 4, op->run.output);
    bind_change(st, 6, op->run.error);
    bind_change(st, 8, op->run.waiting_for);
    sqlite3_bind_int64(st, 10, op->run.at);
    if (!texts_only) {
        sqlite3_bind_int(st, 11, (int)state);
        sqlite3_bind_int64(st, 12, release ? 0 : o->owner);
        sqlite3_bind_int(st, 13, o->entries);
    }
    if (mt_sqlite_run(&a->s->writer, st, NULL, a->e)) return MT_BROKEN;
    if (release) {
        int64_t left = o->asked && mt_run_ended(state) ? o->n : 0;
        mt_sqlite_let_go(a, state);
        if (left && mt_sqlite_leave_behind(a, left)) return MT_BROKEN;
    } else if (state != o->state) {
        mt_owned_count(a->s, o->generation, (int)o->state, -1);
        mt_owned_count(a->s, o->generation, (int)state, 1);
        mt_owned_touch(a->s, o);
        o->state = state;
    }
    return MT_APPLIED;
}

enum mt_applied mt_sqlite_continue(struct mt_apply *a, struct mt_op *op) {
    struct mt_sqlite *s = a->s;
    struct mt_owned *o = a->own;
    int64_t strand = s->numbers.strand + 1, g = o->generation;
    if (op->cont.generation) {
        int known = find_generation(s, op->cont.generation, &g, a->e);
        if (known < 0 || (!known && number_generation(s, op->cont.generation, &g, a->e))) return MT_BROKEN;
    }
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_SEGMENT_INSERT, a->e);
    if (!st) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, strand);
    sqlite3_bind_int64(st, 2, o->n);
    sqlite3_bind_int(st, 3, o->segment + 1);
    sqlite3_bind_int64(st, 4, op->cont.at);
    sqlite3_bind_int64(st, 5, o->strand);
    if (mt_sqlite_run(&s->writer, st, NULL, a->e)) return MT_BROKEN;
    if (!(st = mt_sqlite_statement(&s->writer, ST_RUN_CONTINUE, a->e))) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, o->n);
    sqlite3_bind_int64(st, 2, op->cont.at);
    sqlite3_bind_int(st, 3, o->segment + 1);
    sqlite3_bind_int64(st, 4, strand);
    mt_sqlite_text(st, 5, op->cont.input);
    sqlite3_bind_int64(st, 6, g);
    mt_sqlite_text(st, 7, op->cont.cursors);
    if (mt_sqlite_run(&s->writer, st, NULL, a->e)) return MT_BROKEN;
    s->numbers.strand = strand;
    mt_owned_count(s, o->generation, (int)o->state, -1);
    mt_owned_count(s, g, MT_RUN_QUEUED, 1);
    a->b->cancel_requested = o->cancel_requested;
    mt_owned_remove(s, o);
    a->own = NULL;
    mt_rules_due(a->b, op->cont.at);
    return MT_APPLIED;
}

/* ---- MIGRATE ---- */

/* Whether the run is as it was judged; else the refusal. */
static enum mt_applied still_so(struct mt_apply *a, struct mt_op *op, sqlite3_stmt *st) {
    enum mt_run_state state = (enum mt_run_state)sqlite3_column_int(st, 2);
    const char *generation = (const char *)sqlite3_column_text(st, 6);
    if (mt_run_ended(state) || state == MT_RUN_COMPENSATING)
        return mt_rules_refuse(a->b, op, MT_RES_FORBIDDEN, "run %s is %s: its script is over",
                               op->migrate.run, mt_run_state_name(state));
    if (sqlite3_column_int64(st, 1))
        return mt_rules_refuse(a->b, op, MT_RES_STALE, "run %s is executed now", op->migrate.run);
    if (sqlite3_column_int(st, 4) != op->migrate.segment ||
        sqlite3_column_int(st, 5) != op->migrate.entries || !generation ||
        strcmp(generation, op->migrate.from) != 0)
        return mt_rules_refuse(a->b, op, MT_RES_STALE, "run %s has gone on, or was moved already",
                               op->migrate.run);
    return MT_APPLIED;
}

enum mt_applied mt_sqlite_migrate_run(struct mt_apply *a, struct mt_op *op) {
    struct mt_sqlite *s = a->s;
    sqlite3_stmt *st = mt_sqlite_statement(&s->writer, ST_RUN_PLACE, a->e);
    if (!st) return MT_BROKEN;
    mt_sqlite_text(st, 1, op->migrate.run);
    int rc = mt_sqlite_step(&s->writer, st, a->e);
    if (rc < 0) return MT_BROKEN;
    if (!rc) return mt_rules_refuse(a->b, op, MT_RES_MISSING, "there is no run %s", op->migrate.run);
    enum mt_applied judged = still_so(a, op, st);
    int64_t n = sqlite3_column_int64(st, 0), from = sqlite3_column_int64(st, 3), to;
    int state = sqlite3_column_int(st, 2);
    sqlite3_reset(st);
    if (judged) return judged;
    int known = find_generation(s, op->migrate.to, &to, a->e);
    if (known < 0 || (!known && number_generation(s, op->migrate.to, &to, a->e))) return MT_BROKEN;
    if (!(st = mt_sqlite_statement(&s->writer, ST_RUN_MIGRATE, a->e))) return MT_BROKEN;
    sqlite3_bind_int64(st, 1, n);
    sqlite3_bind_int64(st, 2, to);
    mt_sqlite_text(st, 3, op->migrate.moves);
    sqlite3_bind_int64(st, 4, op->migrate.at);
    if (mt_sqlite_run(&s->writer, st, NULL, a->e)) return MT_BROKEN;
    mt_owned_count(s, from, state, -1);
    mt_owned_count(s, to, state, 1);
    return MT_APPLIED;
}
