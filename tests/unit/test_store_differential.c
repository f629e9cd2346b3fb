/* links: mt_store mt_base */
/* The same random batches on the SQLite store and on the in-memory oracle: every answer and every read must
 * be the same. STORE_SEED and STORE_OPS choose the sequence and its length; the seed is printed, and printed
 * again on a difference. */
#include "base/buf.h"
#include "store_random.h"
#include <inttypes.h>
#include <time.h>

/* ---- saying what a store answers, as text ---- */

static const char *or_null(const char *s) {
    return s ? s : "-";
}

static void say_run(struct mt_buf *b, struct mt_run *r) {
    mt_buf_addf(b,
                "run %s %s %s %d %s seg %d owner %" PRId64 " due %" PRId64
                " in %s prog %s out %s err %s wait %s cur %s par %s/%d %d cancel %d %s entries %d moves %s "
                "at %" PRId64 " %" PRId64 "\n",
                r->id, r->flow, or_null(r->key), (int)r->state, r->generation, r->segment, r->owner,
                r->due_at, or_null(r->input), or_null(r->progress), or_null(r->output), or_null(r->error),
                or_null(r->waiting_for), or_null(r->cursors), r->parent, r->parent_seq, r->detached,
                r->cancel_requested, or_null(r->cancel_reason), r->entries, or_null(r->moves), r->created_at,
                r->updated_at);
    mt_run_clear(r);
}

static void say_event(struct mt_buf *b, struct mt_event *e) {
    mt_buf_addf(b, "event %" PRId64 " %s %s %s %s %" PRId64 " %d raw %zu late %d %s\n", e->n, e->topic,
                e->key, or_null(e->payload), or_null(e->source), e->at, e->readers, e->raw_len, (int)e->late,
                e->late_run);
    mt_event_clear(e);
}

static void say_op(struct mt_buf *b, struct mt_op *op) {
    mt_buf_addf(b, "op %d result %d\n", (int)op->type, (int)op->result);
    switch (op->type) {
    case MT_OP_START:
        if (op->start.existing.id[0]) say_run(b, &op->start.existing);
        break;
    case MT_OP_CLAIM:
        for (size_t i = 0; i < op->claim.count; i++) say_run(b, &op->claim.runs[i]);
        free(op->claim.runs);
        break;
    case MT_OP_AWAIT:
        say_event(b, &op->await.event);
        break;
    case MT_OP_EVENT:
        mt_buf_addf(b, "n %" PRId64 " woken %d\n", op->event.n, op->event.woken);
        break;
    case MT_OP_DOC_PUT:
    case MT_OP_DOC_DELETE:
    case MT_OP_DOC_CHECK:
        mt_buf_addf(b, "version %" PRId64 "\n", op->doc.version);
        break;
    case MT_OP_TASK_PUT:
        mt_buf_addf(b, "n %" PRId64 "\n", op->task.n);
        break;
    default:
        break;
    }
}

static void say_batch(struct mt_buf *b, struct made *m) {
    mt_buf_addf(b, "batch %s %d failed %zu %s due %" PRId64 " cancel %d\n", or_null(m->batch.run),
                m->batch.status, m->batch.failed, mt_kind_name(m->batch.error.kind), m->batch.due,
                m->batch.cancel_requested);
    for (size_t i = 0; i < m->batch.count; i++) say_op(b, &m->ops[i]);
}

static void say_runs(struct mt_buf *b, struct mt_store *s, const struct mt_run_filter *f) {
    struct mt_run *runs = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->list_runs(s, f, &runs, &count, &e)) fail_msg("list_runs: %s", e.message);
    for (size_t i = 0; i < count; i++) say_run(b, &runs[i]);
    free(runs);
}

static void say_journal(struct mt_buf *b, struct mt_store *s, const char *run, int segment) {
    struct mt_entry *entries = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->read_journal(s, run, segment, &entries, &count, &e)) fail_msg("read_journal: %s", e.message);
    for (size_t i = 0; i < count; i++) {
        struct mt_entry *x = &entries[i];
        mt_buf_addf(
            b, "entry %s %d/%d %s %s %s %d %s req %zu %s result %s %d meta %s %s %" PRId64 " %" PRId64 "\n",
            run, x->segment, x->seq, x->kind, x->name, x->digest, (int)x->outcome, or_null(x->params),
            x->request_len, x->request ? "yes" : "-", or_null(x->result), x->sealed, or_null(x->meta),
            x->site, x->at, x->done_at);
        if (x->request) mt_buf_add_json_string(b, x->request, x->request_len);
        mt_entry_clear(x);
    }
    free(entries);
}

static void say_events(struct mt_buf *b, struct mt_store *s, const char *topic, const char *key,
                       int64_t after, bool newest, enum mt_event_filter which, size_t limit) {
    struct mt_event *events = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->list_events(s, topic, key, after, newest, which, limit, &events, &count, &e))
        fail_msg("list_events: %s", e.message);
    for (size_t i = 0; i < count; i++) say_event(b, &events[i]);
    free(events);
}

static void say_documents(struct mt_buf *b, struct mt_store *s, const char *collection, const char *field,
                          const char *value, const char *after, bool newest, size_t limit) {
    struct mt_document *docs = NULL;
    size_t count = 0;
    int64_t counter;
    struct mt_error e;
    if (s->query_documents(s, collection, field, value, after, newest, limit, &docs, &count, &counter, &e))
        fail_msg("query_documents: %s", e.message);
    mt_buf_addf(b, "counter %" PRId64 "\n", counter);
    for (size_t i = 0; i < count; i++) {
        mt_buf_addf(b, "doc %s %" PRId64 " %s\n", docs[i].id, docs[i].version, docs[i].body);
        mt_document_clear(&docs[i]);
    }
    free(docs);
}

static void say_deliveries(struct mt_buf *b, struct mt_store *s, const char *group, int64_t due_by,
                           size_t limit) {
    struct mt_delivery *list = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->list_deliveries(s, group, due_by, limit, &list, &count, &e))
        fail_msg("list_deliveries: %s", e.message);
    for (size_t i = 0; i < count; i++) {
        struct mt_delivery *d = &list[i];
        mt_buf_addf(b, "delivery %s %" PRId64 " %s %s %s %s %.*s %s %s %s %d %" PRId64 " %" PRId64 " %s\n",
                    d->id, d->n, d->group, d->event, or_null(d->url), or_null(d->headers), (int)d->body_len,
                    d->body, or_null(d->schedule), or_null(d->accept), d->state, d->attempts, d->next_at,
                    d->created_at, or_null(d->log));
        mt_delivery_clear(d);
    }
    free(list);
}

static void say_tasks(struct mt_buf *b, struct mt_store *s, int64_t due_by, size_t limit) {
    struct mt_task *tasks = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->list_tasks(s, due_by, limit, &tasks, &count, &e)) fail_msg("list_tasks: %s", e.message);
    for (size_t i = 0; i < count; i++) {
        mt_buf_addf(b, "task %" PRId64 " %" PRId64 " %s %s\n", tasks[i].n, tasks[i].due_at, tasks[i].name,
                    tasks[i].payload);
        mt_task_clear(&tasks[i]);
    }
    free(tasks);
}

static void say_numbers(struct mt_buf *b, struct mt_store *s) {
    int64_t counts[MT_RUN_STATE_COUNT], runs, rest;
    char *text = NULL;
    struct mt_error e;
    if (s->count_runs(s, counts, &e) || s->next_due(s, &runs, &rest, &e) || s->list_generations(s, &text, &e))
        fail_msg("%s", e.message);
    mt_buf_addf(b, "due %" PRId64 " %" PRId64 " generations %s counts", runs, rest, text);
    for (int i = 0; i < MT_RUN_STATE_COUNT; i++) mt_buf_addf(b, " %" PRId64, counts[i]);
    free(text);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        text = NULL;
        mt_buf_addf(b, " %s", s->get_meta(s, keys[i], &text, &e) ? "-" : text);
        free(text);
    }
    mt_buf_addc(b, '\n');
}

/* Everything there is. */
static void say_all(struct mt_buf *b, struct mt_store *s) {
    say_runs(b, s, &(struct mt_run_filter){.state = -1, .limit = 1000});
    for (int i = 0; i < RUNS; i++) say_journal(b, s, run_ids[i], -1);
    say_events(b, s, NULL, NULL, 0, false, MT_EVENTS_ALL, 10000);
    for (size_t i = 0; i < 2; i++) say_documents(b, s, collections[i], NULL, NULL, NULL, false, 1000);
    say_deliveries(b, s, NULL, MT_NEVER, 1000);
    say_tasks(b, s, MT_NEVER, 1000);
    say_numbers(b, s);
}

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
    switch (any(r, 9)) {
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

/* False as soon as the stores differ. */
static bool compare(struct comparison *c, int64_t ops) {
    struct mt_error e;
    for (int64_t i = 1; c->ops < ops; i++) {
        if (!step(c)) return false;
        if (i % 25 == 0 && !same_all(c)) return false;
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

static void test_same_answers(void **state) {
    (void)state;
    uint64_t seed = number_from("STORE_SEED", (uint64_t)time(NULL));
    int64_t ops = (int64_t)number_from("STORE_OPS", 20000);
    print_message("STORE_SEED=%" PRIu64 "\n", seed);
    char *dir = make_dir();
    struct comparison c;
    begin(&c, open_or_fail(dir), mt_store_memory_open(), seed);
    bool equal = compare(&c, ops);
    if (!equal) report(&c, seed);
    if (ops >= 20000) { /* a sequence that tries little would compare little */
        for (int i = 0; i < OP_TYPES; i++)
            if (!c.applied[i]) fail_msg("operation %d was never applied (STORE_SEED=%" PRIu64 ")", i, seed);
        for (int i = 0; i < RESULTS; i++)
            if (!c.answered[i]) fail_msg("nothing answered result %d (STORE_SEED=%" PRIu64 ")", i, seed);
    }
    end(&c);
    remove_tree(dir);
    free(dir);
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
                                       cmocka_unit_test(test_a_difference_is_noticed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
