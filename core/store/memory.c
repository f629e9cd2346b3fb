/* The oracle: the store's contract written as plainly as possible, to compare the others with. Nothing is
 * durable. Invariant: a refused batch leaves every table as it was, by an undo log of whole rows, which is
 * kept until the next commit. commit: one thread at a time. */
#include "base/text.h"
#include "store/memory_private.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define EACH MT_MEM_EACH

/* ---- tables, strings and the undo log ---- */

void *mt_memory_row(const struct mt_memory *m, enum mt_mem_table table, size_t i) {
    const struct mt_table *t = &m->tables[table];
    return (char *)t->rows + i * t->row_size;
}

static void log_undo(struct mt_memory *m, enum mt_mem_table table, size_t row, void *before) {
    if (m->undo_count == m->undo_cap) {
        m->undo_cap = m->undo_cap ? 2 * m->undo_cap : 16;
        m->undo = mt_realloc(m->undo, m->undo_cap * sizeof *m->undo);
    }
    m->undo[m->undo_count++] = (struct mt_mem_undo){.table = table, .row = row, .before = before};
}

void mt_memory_touch(struct mt_memory *m, enum mt_mem_table table, const void *row) {
    const struct mt_table *t = &m->tables[table];
    size_t i = (size_t)((const char *)row - (const char *)t->rows) / t->row_size;
    log_undo(m, table, i, mt_memdup(row, t->row_size));
}

void *mt_memory_add(struct mt_memory *m, enum mt_mem_table table) {
    struct mt_table *t = &m->tables[table];
    if (t->count == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 16;
        t->rows = mt_realloc(t->rows, t->cap * t->row_size);
    }
    log_undo(m, table, t->count, NULL);
    void *row = mt_memory_row(m, table, t->count++);
    return memset(row, 0, t->row_size);
}

static void forget_undo(struct mt_memory *m) {
    for (size_t i = 0; i < m->undo_count; i++) free(m->undo[i].before);
    m->undo_count = 0;
}

/* What was changed since the undo log was that long. */
static void roll_back(struct mt_memory *m, size_t from, const struct mt_mem_numbers *numbers) {
    while (m->undo_count > from) {
        struct mt_mem_undo *u = &m->undo[--m->undo_count];
        if (u->before)
            memcpy(mt_memory_row(m, u->table, u->row), u->before, m->tables[u->table].row_size);
        else
            m->tables[u->table].count--;
        free(u->before);
    }
    m->last = *numbers;
}

void *mt_memory_keep_bytes(struct mt_memory *m, const void *bytes, size_t len) {
    if (!bytes) return NULL;
    if (m->string_count == m->string_cap) {
        m->string_cap = m->string_cap ? 2 * m->string_cap : 64;
        m->strings = mt_realloc(m->strings, m->string_cap * sizeof *m->strings);
    }
    return m->strings[m->string_count++] = mt_memdup(bytes, len);
}

char *mt_memory_keep(struct mt_memory *m, const char *s) {
    return s ? mt_memory_keep_bytes(m, s, strlen(s)) : NULL;
}

/* ---- finding ---- */

static struct mt_mem_run *find_run(struct mt_memory *m, const char *id) {
    EACH(m, MEM_RUNS, struct mt_mem_run, r) if (!r->gone && strcmp(r->run.id, id) == 0) return r;
    return NULL;
}

struct mt_mem_run *mt_memory_find_run(struct mt_memory *m, const char *id) {
    return find_run(m, id);
}

/* The strand of a segment that has a journal; 0. */
static int64_t strand_of(struct mt_memory *m, const struct mt_mem_run *r, int segment) {
    if (segment == 0) return r->run.dropped ? 0 : r->n;
    EACH(m, MEM_SEGMENTS, struct mt_mem_segment, x)
    if (!x->gone && x->segment == segment && strcmp(x->run, r->run.id) == 0) return x->strand;
    return 0;
}

static struct mt_mem_entry *find_entry(struct mt_memory *m, const char *run, int segment, int seq) {
    EACH(m, MEM_ENTRIES, struct mt_mem_entry, x)
    if (!x->hidden && x->entry.segment == segment && x->entry.seq == seq && strcmp(x->run, run) == 0)
        return x;
    return NULL;
}

static struct mt_event *find_event(struct mt_memory *m, const char *topic, const char *key, int64_t cursor) {
    EACH(m, MEM_EVENTS, struct mt_event, x)
    if (x->n > cursor && strcmp(x->topic, topic) == 0 && strcmp(x->key, key) == 0) return x;
    return NULL;
}

/* ---- starting and claiming ---- */

static enum mt_applied start(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    struct mt_mem_run *existing = NULL;
    if (op->start.key) {
        EACH(m, MEM_RUNS, struct mt_mem_run, r)
        if (!r->gone && r->run.key && strcmp(r->run.flow, op->start.flow) == 0 &&
            strcmp(r->run.key, op->start.key) == 0)
            existing = r;
    }
    if (!existing) existing = find_run(m, op->start.id);
    if (existing) {
        op->result = MT_RES_EXISTS;
        mt_memory_copy_run(existing, &op->start.existing);
        if (strcmp(existing->digest, op->start.input_digest) != 0)
            return mt_rules_refuse(b, op, MT_RES_KEY_REUSED, "the key was used with another input");
        return op->start.fresh ? mt_rules_refuse(b, op, MT_RES_EXISTS, "the run exists already") : MT_APPLIED;
    }
    struct mt_mem_run *r = mt_memory_add(m, MEM_RUNS);
    r->n = ++m->last.strand;
    mt_copy(r->run.id, sizeof r->run.id, op->start.id);
    mt_copy(r->run.flow, sizeof r->run.flow, op->start.flow);
    mt_copy(r->run.generation, sizeof r->run.generation, op->start.generation);
    if (op->start.parent) mt_copy(r->run.parent, sizeof r->run.parent, op->start.parent);
    r->run.parent_seq = op->start.parent_seq;
    r->run.detached = op->start.detached;
    r->run.key = mt_memory_keep(m, op->start.key);
    r->run.input = mt_memory_keep(m, op->start.input);
    r->digest = mt_memory_keep(m, op->start.input_digest);
    mt_copy(r->run.input_digest, sizeof r->run.input_digest, op->start.input_digest);
    r->run.created_at = r->run.updated_at = op->start.at;
    r->cls = op->start.cls;
    if (op->start.claim) {
        r->run.state = MT_RUN_RUNNING;
        r->run.owner = b->epoch;
        r->run.due_at = MT_NEVER;
    } else {
        r->run.state = MT_RUN_QUEUED;
        r->run.due_at = op->start.at;
        mt_rules_due(b, op->start.at);
    }
    return MT_APPLIED;
}

/* The oldest due run of a class. */
static struct mt_mem_run *oldest_due(struct mt_memory *m, int cls, int64_t now) {
    struct mt_mem_run *best = NULL;
    EACH(m, MEM_RUNS, struct mt_mem_run, r) {
        if (r->gone || r->run.owner || r->run.due_at == MT_NEVER || r->run.due_at > now || (int)r->cls != cls)
            continue;
        if (!best || r->run.due_at < best->run.due_at) best = r;
    }
    return best;
}

static enum mt_applied claim(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    (void)b;
    while (op->claim.count < op->claim.limit && op->claim.count < 10000) {
        struct mt_mem_run *due[MT_CLASS_COUNT];
        bool has[MT_CLASS_COUNT];
        for (int cls = 0; cls < MT_CLASS_COUNT; cls++) {
            due[cls] = oldest_due(m, cls, op->claim.now);
            has[cls] = due[cls] != NULL;
        }
        int cls = mt_rules_next_class(&m->last.rotor, has);
        if (cls < 0) break;
        struct mt_mem_run *r = due[cls];
        mt_memory_touch(m, MEM_RUNS, r);
        if (r->run.state != MT_RUN_COMPENSATING) r->run.state = MT_RUN_RUNNING;
        r->run.owner = op->claim.epoch;
        r->run.due_at = MT_NEVER;
        r->run.waiting_for = NULL;
        r->topic = r->key = NULL;
        r->run.updated_at = op->claim.now;
        r->cancel_seen = r->run.cancel_requested;
        op->claim.runs = mt_realloc(op->claim.runs, (op->claim.count + 1) * sizeof *op->claim.runs);
        mt_memory_copy_run(r, &op->claim.runs[op->claim.count++]);
    }
    return MT_APPLIED;
}

/* ---- the journal ---- */

static enum mt_applied no_entry(struct mt_batch *b, struct mt_op *op) {
    return mt_rules_refuse(b, op, MT_RES_MISSING, "there is no such entry");
}

static enum mt_applied insert_entry(struct mt_memory *m, struct mt_batch *b, struct mt_op *op,
                                    struct mt_mem_run *r, struct mt_entry entry) {
    int64_t strand = strand_of(m, r, entry.segment);
    if (!strand) return no_entry(b, op);
    if (find_entry(m, r->run.id, entry.segment, entry.seq))
        return mt_rules_refuse(b, op, MT_RES_DUPLICATE, "the place is taken");
    mt_memory_touch(m, MEM_RUNS, r);
    if (entry.segment == r->run.segment) r->run.entries++;
    struct mt_mem_entry *x = mt_memory_add(m, MEM_ENTRIES);
    mt_copy(x->run, sizeof x->run, r->run.id);
    x->strand = strand;
    x->entry = entry;
    x->entry.params = mt_memory_keep(m, entry.params);
    x->entry.request = mt_memory_keep_bytes(m, entry.request, entry.request_len);
    x->entry.request_len = entry.request ? entry.request_len : 0;
    x->entry.result = mt_memory_keep(m, entry.result);
    x->entry.meta = mt_memory_keep(m, entry.meta);
    return MT_APPLIED;
}

static enum mt_applied answer_entry(struct mt_memory *m, struct mt_batch *b, struct mt_op *op,
                                    struct mt_mem_run *r, struct mt_entry answer) {
    struct mt_mem_entry *x = find_entry(m, r->run.id, answer.segment, answer.seq);
    if (!x) return no_entry(b, op);
    mt_memory_touch(m, MEM_ENTRIES, x);
    if (answer.meta) x->entry.meta = mt_memory_keep(m, answer.meta);
    if (answer.outcome == MT_OUTCOME_NONE) {
        if (!answer.request) return MT_APPLIED;
        x->entry.request = mt_memory_keep_bytes(m, answer.request, answer.request_len);
        x->entry.request_len = answer.request_len;
        return MT_APPLIED;
    }
    x->entry.outcome = answer.outcome;
    x->entry.result = mt_memory_keep(m, answer.result);
    x->entry.sealed = answer.sealed;
    x->entry.done_at = answer.done_at;
    return MT_APPLIED;
}

/* ---- whom events are for ---- */

static struct mt_mem_asked *find_asked(struct mt_memory *m, const char *run, const char *topic,
                                       const char *key) {
    EACH(m, MEM_ASKED, struct mt_mem_asked, x)
    if (!x->gone && strcmp(x->run, run) == 0 && strcmp(x->topic, topic) == 0 && strcmp(x->key, key) == 0)
        return x;
    return NULL;
}

static void ask(struct mt_memory *m, const struct mt_mem_run *r, const char *topic, const char *key) {
    struct mt_mem_asked *had = find_asked(m, r->run.id, topic, key);
    if (had) {
        mt_memory_touch(m, MEM_ASKED, had);
        had->segment = r->run.segment;
        return;
    }
    struct mt_mem_asked *x = mt_memory_add(m, MEM_ASKED);
    mt_copy(x->run, sizeof x->run, r->run.id);
    x->segment = r->run.segment;
    mt_copy(x->topic, sizeof x->topic, topic);
    mt_copy(x->key, sizeof x->key, key);
}

/* One that waits for several, which is kept as "", is woken by whatever it has asked for. */
static bool waits_for(struct mt_memory *m, const struct mt_mem_run *r, const char *topic, const char *key) {
    if (!r->topic[0] && find_asked(m, r->run.id, topic, key)) return true;
    return strcmp(r->topic, topic) == 0 && strcmp(r->key, key) == 0;
}

/* The youngest run that has asked for (topic, key), if all who did have ended. */
static const char *last_asker(struct mt_memory *m, const char *topic, const char *key) {
    const char *last = NULL;
    EACH(m, MEM_RUNS, struct mt_mem_run, r) { /* in the order of their starts */
        if (r->gone) continue;
        EACH(m, MEM_ASKED, struct mt_mem_asked, x) {
            if (x->gone || strcmp(x->run, r->run.id) != 0 || strcmp(x->topic, topic) != 0 ||
                strcmp(x->key, key) != 0)
                continue;
            if (!mt_run_ended(r->run.state)) return NULL;
            last = r->run.id;
        }
    }
    return last;
}

static void mark_late(struct mt_memory *m, struct mt_batch *b, struct mt_event *x, const char *run) {
    mt_memory_touch(m, MEM_EVENTS, x);
    x->late = MT_LATE_PENDING;
    mt_copy(x->late_run, sizeof x->late_run, run);
    mt_rules_due(b, x->at);
}

/* What a run that ends had asked for and nobody has read. */
static void leave_behind(struct mt_memory *m, struct mt_batch *b, const char *run) {
    EACH(m, MEM_ASKED, struct mt_mem_asked, a) {
        if (a->gone || strcmp(a->run, run) != 0 || !last_asker(m, a->topic, a->key)) continue;
        EACH(m, MEM_EVENTS, struct mt_event, x)
        if (!x->readers && !x->late && strcmp(x->topic, a->topic) == 0 && strcmp(x->key, a->key) == 0)
            mark_late(m, b, x, run);
    }
}

static enum mt_applied seen(struct mt_memory *m, struct mt_op *op, struct mt_mem_run *r) {
    ask(m, r, op->seen.topic, op->seen.key);
    EACH(m, MEM_EVENTS, struct mt_event, x) {
        if (x->readers || x->n > op->seen.upto || strcmp(x->topic, op->seen.topic) != 0 ||
            strcmp(x->key, op->seen.key) != 0)
            continue;
        mt_memory_touch(m, MEM_EVENTS, x);
        x->readers = 1;
    }
    return MT_APPLIED;
}

static enum mt_applied looked_after(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    EACH(m, MEM_EVENTS, struct mt_event, x) {
        if (x->n != op->late.n || x->late != MT_LATE_PENDING) continue;
        mt_memory_touch(m, MEM_EVENTS, x);
        x->late = op->late.late;
        if (x->late == MT_LATE_HANDLED) x->readers++;
        if (x->late == MT_LATE_NO) x->late_run[0] = 0;
        return MT_APPLIED;
    }
    return mt_rules_refuse(b, op, MT_RES_MISSING, "it is not pending");
}

/* ---- changing a run, and letting go of it ---- */

static void change_text(struct mt_memory *m, char **at, const char *text) {
    if (text) *at = *text ? mt_memory_keep(m, text) : NULL;
}

static enum mt_applied change(struct mt_memory *m, struct mt_batch *b, struct mt_op *op,
                              struct mt_mem_run *r) {
    mt_memory_touch(m, MEM_RUNS, r);
    change_text(m, &r->run.progress, op->run.progress);
    change_text(m, &r->run.output, op->run.output);
    change_text(m, &r->run.error, op->run.error);
    change_text(m, &r->run.waiting_for, op->run.waiting_for);
    if (op->run.state >= 0) r->run.state = (enum mt_run_state)op->run.state;
    r->run.updated_at = op->run.at;
    if (op->run.release || mt_run_ended(r->run.state)) r->run.owner = 0;
    if (mt_run_ended(r->run.state)) leave_behind(m, b, r->run.id);
    return MT_APPLIED;
}

static void wake(struct mt_mem_run *r, int64_t at) {
    if (r->run.state != MT_RUN_COMPENSATING) r->run.state = MT_RUN_QUEUED;
    if (at < r->run.due_at) r->run.due_at = at;
    r->topic = r->key = NULL;
    r->run.waiting_for = NULL;
    r->run.updated_at = at;
}

static void let_go(struct mt_memory *m, struct mt_batch *b, struct mt_mem_run *r, enum mt_run_state state,
                   enum mt_run_class cls, int64_t due_at, const char *topic, const char *key,
                   const char *waiting_for, bool now, int64_t at) {
    if (r->run.cancel_requested && !r->cancel_seen && state != MT_RUN_COMPENSATING &&
        state != MT_RUN_NEEDS_ATTENTION)
        now = true;
    r->run.owner = 0;
    r->run.state = state;
    r->cls = cls;
    r->run.due_at = due_at;
    r->topic = mt_memory_keep(m, topic);
    r->key = topic ? mt_memory_keep(m, key) : NULL;
    r->run.waiting_for = mt_memory_keep(m, waiting_for);
    r->run.updated_at = at;
    if (now) wake(r, at);
    mt_rules_due(b, r->run.due_at);
}

static enum mt_applied suspend(struct mt_memory *m, struct mt_batch *b, struct mt_op *op,
                               struct mt_mem_run *r) {
    mt_memory_touch(m, MEM_RUNS, r);
    const char *topic = op->suspend.topic, *also = op->suspend.also_topic;
    bool now = (topic && find_event(m, topic, op->suspend.key, op->suspend.cursor)) ||
               (also && find_event(m, also, op->suspend.also_key, op->suspend.also_cursor));
    if (topic) ask(m, r, topic, op->suspend.key);
    if (also) ask(m, r, also, op->suspend.also_key);
    if (op->suspend.error) r->run.error = mt_memory_keep(m, op->suspend.error);
    let_go(m, b, r, op->suspend.state, op->suspend.cls, op->suspend.due_at, also ? "" : topic,
           also ? "" : op->suspend.key, op->suspend.waiting_for, now, op->suspend.at);
    return MT_APPLIED;
}

static enum mt_applied await(struct mt_memory *m, struct mt_batch *b, struct mt_op *op,
                             struct mt_mem_run *r) {
    struct mt_event *event = find_event(m, op->await.topic, op->await.key, op->await.cursor);
    struct mt_entry entry = *op->await.entry;
    entry.outcome = MT_DONE;
    entry.done_at = op->await.at;
    ask(m, r, op->await.topic, op->await.key);
    if (!event && op->await.deadline > op->await.at) {
        op->result = MT_RES_SUSPENDED;
        mt_memory_touch(m, MEM_RUNS, r);
        let_go(m, b, r, MT_RUN_WAITING, MT_CLASS_TIMER, op->await.deadline, op->await.topic, op->await.key,
               op->await.waiting_for, false, op->await.at);
        return MT_APPLIED;
    }
    char *result = event ? mt_rules_await_result(event->n, event->at, event->payload) : mt_strdup("null");
    entry.result = result;
    if (event) mt_memory_copy_event(event, &op->await.event);
    enum mt_applied rc =
        op->await.inserted ? answer_entry(m, b, op, r, entry) : insert_entry(m, b, op, r, entry);
    free(result);
    if (rc) return rc;
    op->result = event ? MT_RES_FOUND : MT_RES_TIMED_OUT;
    if (!event) return MT_APPLIED;
    mt_memory_touch(m, MEM_EVENTS, event);
    op->await.event.readers = ++event->readers;
    op->await.event.late = MT_LATE_NO; /* lists tell */
    op->await.event.late_run[0] = 0;
    return MT_APPLIED;
}

static enum mt_applied go_on(struct mt_memory *m, struct mt_batch *b, struct mt_op *op,
                             struct mt_mem_run *r) {
    int64_t prior = strand_of(m, r, r->run.segment);
    struct mt_mem_segment *x = mt_memory_add(m, MEM_SEGMENTS);
    *x = (struct mt_mem_segment){
        .segment = r->run.segment + 1, .at = op->cont.at, .strand = ++m->last.strand, .prior = prior};
    mt_copy(x->run, sizeof x->run, r->run.id);
    mt_memory_touch(m, MEM_RUNS, r);
    r->run.segment++;
    r->run.entries = 0;
    r->run.input = mt_memory_keep(m, op->cont.input);
    if (op->cont.generation) mt_copy(r->run.generation, sizeof r->run.generation, op->cont.generation);
    r->run.cursors = mt_memory_keep(m, op->cont.cursors);
    r->run.state = MT_RUN_QUEUED;
    r->run.waiting_for = NULL;
    r->run.owner = 0;
    r->cls = MT_CLASS_TIMER;
    r->run.due_at = r->run.updated_at = op->cont.at;
    mt_rules_due(b, op->cont.at);
    return MT_APPLIED;
}

/* ---- events, and what people do ---- */

static enum mt_applied event(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    if (op->event.source) {
        EACH(m, MEM_EVENTS, struct mt_event, x) {
            if (!x->source || strcmp(x->source, op->event.source) != 0) continue;
            op->event.n = x->n;
            op->result = MT_RES_DUPLICATE;
            return MT_APPLIED;
        }
        EACH(m, MEM_SOURCES, struct mt_mem_source, x) {
            if (x->gone || strcmp(x->source, op->event.source) != 0) continue;
            op->event.n = x->n;
            op->result = MT_RES_DUPLICATE;
            return MT_APPLIED;
        }
    }
    struct mt_event *x = mt_memory_add(m, MEM_EVENTS);
    op->event.n = x->n = ++m->last.event;
    mt_copy(x->topic, sizeof x->topic, op->event.topic);
    mt_copy(x->key, sizeof x->key, op->event.key);
    x->payload = mt_memory_keep(m, op->event.payload);
    x->source = mt_memory_keep(m, op->event.source);
    x->at = op->event.at;
    x->raw_len = op->event.raw ? op->event.raw_len : 0;
    EACH(m, MEM_RUNS, struct mt_mem_run, r) {
        if (r->gone || !r->topic || !waits_for(m, r, op->event.topic, op->event.key)) continue;
        mt_memory_touch(m, MEM_RUNS, r);
        wake(r, op->event.at);
        op->event.woken++;
        mt_rules_due(b, op->event.at);
    }
    const char *asker = op->event.woken ? NULL : last_asker(m, op->event.topic, op->event.key);
    if (asker) mark_late(m, b, x, asker);
    return MT_APPLIED;
}

static enum mt_applied cancel(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    struct mt_mem_run *r = find_run(m, op->cancel.run);
    if (!r) return mt_rules_refuse(b, op, MT_RES_MISSING, "there is no such run");
    if (r->run.state == MT_RUN_COMPENSATING || mt_run_ended(r->run.state))
        return mt_rules_refuse(b, op, MT_RES_FORBIDDEN, "too late to cancel");
    mt_memory_touch(m, MEM_RUNS, r);
    r->run.cancel_requested = true;
    if (!r->run.cancel_reason) r->run.cancel_reason = mt_memory_keep(m, op->cancel.reason);
    r->run.updated_at = op->cancel.at;
    if (r->run.owner) return MT_APPLIED;
    wake(r, op->cancel.at);
    r->cls = MT_CLASS_WAITED;
    mt_rules_due(b, op->cancel.at);
    return MT_APPLIED;
}

/* A run that needs attention and is nobody's, or the refusal. */
static enum mt_applied parked(struct mt_memory *m, struct mt_batch *b, struct mt_op *op, const char *id,
                              struct mt_mem_run **out) {
    *out = find_run(m, id);
    if (!*out) return mt_rules_refuse(b, op, MT_RES_MISSING, "there is no such run");
    if ((*out)->run.state != MT_RUN_NEEDS_ATTENTION || (*out)->run.owner)
        return mt_rules_refuse(b, op, MT_RES_FORBIDDEN, "it does not need attention");
    return MT_APPLIED;
}

static enum mt_applied take_up_again(struct mt_memory *m, struct mt_batch *b, struct mt_mem_run *r,
                                     int64_t at) {
    mt_memory_touch(m, MEM_RUNS, r);
    wake(r, at);
    r->run.due_at = at;
    r->run.error = NULL;
    r->cls = MT_CLASS_WAITED;
    mt_rules_due(b, at);
    return MT_APPLIED;
}

static enum mt_applied retry(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    struct mt_mem_run *r;
    if (parked(m, b, op, op->retry.run, &r)) return MT_REFUSED;
    return take_up_again(m, b, r, op->retry.at);
}

static enum mt_applied resolve(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    struct mt_mem_run *r;
    if (parked(m, b, op, op->resolve.run, &r)) return MT_REFUSED;
    struct mt_mem_entry *x = find_entry(m, op->resolve.run, op->resolve.segment, op->resolve.seq);
    if (!x) return no_entry(b, op);
    if (x->entry.outcome != MT_OUTCOME_NONE && x->entry.outcome != MT_UNKNOWN)
        return mt_rules_refuse(b, op, MT_RES_FORBIDDEN, "it is answered already");
    mt_memory_touch(m, MEM_ENTRIES, x);
    x->entry.outcome = op->resolve.outcome;
    x->entry.result = mt_memory_keep(m, op->resolve.result);
    x->entry.sealed = op->resolve.sealed;
    x->entry.done_at = op->resolve.at;
    return take_up_again(m, b, r, op->resolve.at);
}

static enum mt_applied migrate(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    struct mt_mem_run *r = find_run(m, op->migrate.run);
    if (!r) return mt_rules_refuse(b, op, MT_RES_MISSING, "there is no such run");
    if (mt_run_ended(r->run.state) || r->run.state == MT_RUN_COMPENSATING)
        return mt_rules_refuse(b, op, MT_RES_FORBIDDEN, "its script is over");
    if (r->run.owner || r->run.segment != op->migrate.segment || r->run.entries != op->migrate.entries ||
        strcmp(r->run.generation, op->migrate.from) != 0)
        return mt_rules_refuse(b, op, MT_RES_STALE, "it is another now");
    mt_memory_touch(m, MEM_RUNS, r);
    mt_copy(r->run.generation, sizeof r->run.generation, op->migrate.to);
    r->run.moves = mt_memory_keep(m, op->migrate.moves);
    r->run.updated_at = op->migrate.at;
    return MT_APPLIED;
}

/* ---- batches ---- */

static enum mt_applied apply_run_op(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    struct mt_mem_run *r = b->run ? find_run(m, b->run) : NULL; /* found anew: rows move */
    if (!r || r->run.owner != b->epoch)
        return mt_rules_refuse(b, op, MT_RES_NOT_OWNER, "the batch has no run");
    switch (op->type) {
    case MT_OP_ENTRY:
        return insert_entry(m, b, op, r, *op->entry);
    case MT_OP_ANSWER:
        return answer_entry(m, b, op, r, *op->entry);
    case MT_OP_RUN:
        return change(m, b, op, r);
    case MT_OP_SUSPEND:
        return suspend(m, b, op, r);
    case MT_OP_AWAIT:
        return await(m, b, op, r);
    case MT_OP_SEEN:
        return seen(m, op, r);
    default:
        return go_on(m, b, op, r);
    }
}

static enum mt_applied apply_op(struct mt_memory *m, struct mt_batch *b, struct mt_op *op) {
    switch (op->type) {
    case MT_OP_START:
        return start(m, b, op);
    case MT_OP_CLAIM:
        return claim(m, b, op);
    case MT_OP_ENTRY:
    case MT_OP_ANSWER:
    case MT_OP_RUN:
    case MT_OP_SUSPEND:
    case MT_OP_AWAIT:
    case MT_OP_CONTINUE:
    case MT_OP_SEEN:
        return apply_run_op(m, b, op);
    case MT_OP_EVENT:
        return event(m, b, op);
    case MT_OP_LATE:
        return looked_after(m, b, op);
    case MT_OP_CANCEL:
        return cancel(m, b, op);
    case MT_OP_RETRY:
        return retry(m, b, op);
    case MT_OP_RESOLVE:
        return resolve(m, b, op);
    case MT_OP_MIGRATE:
        return migrate(m, b, op);
    case MT_OP_FORGET:
        return mt_memory_forget(m, b, op);
    case MT_OP_PURGE:
        return mt_memory_purge(m, op);
    case MT_OP_DOC_PUT:
    case MT_OP_DOC_DELETE:
    case MT_OP_DOC_CHECK:
        return mt_memory_document(m, b, op);
    case MT_OP_COLLECTION_CHECK:
        return mt_memory_collection_check(m, b, op);
    case MT_OP_DELIVERY_PUT:
        return mt_memory_delivery_put(m, b, op);
    case MT_OP_DELIVERY_UPDATE:
        return mt_memory_delivery_update(m, b, op);
    case MT_OP_TASK_PUT:
        return mt_memory_task_put(m, b, op);
    case MT_OP_TASK_DELETE:
        return mt_memory_task_delete(m, b, op);
    case MT_OP_GENERATION:
        return mt_memory_generation(m, op);
    case MT_OP_META:
        return mt_memory_meta(m, op);
    case MT_OP_AUDIT:
        return mt_memory_audit(m, b, op);
    }
    return MT_BROKEN;
}

static enum mt_applied find_owner(struct mt_memory *m, struct mt_batch *b) {
    struct mt_op *first = b->count ? &b->ops[0] : NULL;
    if (!b->run) return MT_APPLIED;
    struct mt_mem_run *r = find_run(m, b->run);
    if (!r) return mt_rules_refuse(b, first, MT_RES_MISSING, "there is no run %s", b->run);
    if (r->run.owner && r->run.owner == b->epoch) return MT_APPLIED;
    return mt_rules_refuse(b, first, MT_RES_NOT_OWNER, "the run belongs to epoch %" PRId64, r->run.owner);
}

static void apply_batch(struct mt_memory *m, struct mt_batch *b) {
    struct mt_mem_numbers before = m->last;
    size_t from = m->undo_count;
    enum mt_applied rc = MT_APPLIED;
    mt_rules_begin(b);
    for (size_t i = 0; i < b->count && !rc; i++) rc = mt_rules_check(b, &b->ops[i]);
    if (rc || find_owner(m, b)) return;
    for (size_t i = 0; i < b->count && !rc; i++) rc = apply_op(m, b, &b->ops[i]);
    if (rc) {
        roll_back(m, from, &before);
        mt_rules_undo(b, true);
    }
    struct mt_mem_run *r = b->run ? find_run(m, b->run) : NULL;
    if (!r) return;
    b->cancel_requested = r->run.cancel_requested;
    if (!b->cancel_requested || r->run.owner != b->epoch) return;
    mt_memory_touch(m, MEM_RUNS, r);
    r->cancel_seen = true;
}

static int commit(struct mt_store *self, struct mt_batch **batches, size_t count, struct mt_error *e) {
    struct mt_memory *m = (struct mt_memory *)self;
    (void)e;
    pthread_rwlock_wrlock(&m->lock);
    forget_undo(m);
    m->before = m->last;
    for (size_t i = 0; i < count; i++) apply_batch(m, batches[i]);
    pthread_rwlock_unlock(&m->lock);
    return 0;
}

void mt_store_memory_take_back(struct mt_store *store) {
    struct mt_memory *m = (struct mt_memory *)store;
    pthread_rwlock_wrlock(&m->lock);
    roll_back(m, 0, &m->before);
    pthread_rwlock_unlock(&m->lock);
}

/* ---- the whole ---- */

static int wipe(struct mt_store *self, struct mt_error *e) {
    struct mt_memory *m = (struct mt_memory *)self;
    (void)e;
    pthread_rwlock_wrlock(&m->lock);
    for (int t = 0; t < MEM_TABLE_COUNT; t++)
        if (t != MEM_META) m->tables[t].count = 0;
    forget_undo(m);
    pthread_rwlock_unlock(&m->lock);
    return 0;
}

static void close_store(struct mt_store *self) {
    struct mt_memory *m = (struct mt_memory *)self;
    for (int t = 0; t < MEM_TABLE_COUNT; t++) free(m->tables[t].rows);
    for (size_t i = 0; i < m->string_count; i++) free(m->strings[i]);
    forget_undo(m);
    free(m->strings);
    free(m->undo);
    pthread_rwlock_destroy(&m->lock);
    free(m);
}

struct mt_store *mt_store_memory_open(void) {
    static const size_t sizes[MEM_TABLE_COUNT] = {
        [MEM_RUNS] = sizeof(struct mt_mem_run),
        [MEM_ENTRIES] = sizeof(struct mt_mem_entry),
        [MEM_EVENTS] = sizeof(struct mt_event),
        [MEM_ASKED] = sizeof(struct mt_mem_asked),
        [MEM_DOCUMENTS] = sizeof(struct mt_mem_document),
        [MEM_KEYS] = sizeof(struct mt_mem_key),
        [MEM_COLLECTIONS] = sizeof(struct mt_mem_collection),
        [MEM_DELIVERIES] = sizeof(struct mt_delivery),
        [MEM_TASKS] = sizeof(struct mt_mem_task),
        [MEM_GENERATIONS] = sizeof(struct mt_mem_generation),
        [MEM_BLOBS] = sizeof(struct mt_mem_blob),
        [MEM_META] = sizeof(struct mt_mem_meta),
        [MEM_SEGMENTS] = sizeof(struct mt_mem_segment),
        [MEM_TRASH] = sizeof(struct mt_mem_strand),
        [MEM_SOURCES] = sizeof(struct mt_mem_source),
        [MEM_AUDIT] = sizeof(struct mt_audit),
    };
    struct mt_memory *m = mt_calloc(1, sizeof *m);
    for (int t = 0; t < MEM_TABLE_COUNT; t++) m->tables[t].row_size = sizes[t];
    pthread_rwlock_init(&m->lock, NULL);
    m->store.commit = commit;
    m->store.wipe = wipe;
    m->store.close = close_store;
    m->store.epoch = 1;
    mt_memory_set_reads(&m->store);
    mt_memory_set_kept(&m->store);
    return &m->store;
}
