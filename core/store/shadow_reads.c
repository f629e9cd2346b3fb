/* The reads of a shadowed store (shadow.h): each asks the store, whose answer is the caller's, then the
 * oracle, and compares what both said. The thread that uses the shadow. */
#include "store/say.h"
#include "store/shadow_private.h"
#include <inttypes.h>
#include <stdlib.h>

/* How a read has ended. */
static void say_end(struct mt_buf *b, int rc, const struct mt_error *e) {
    mt_buf_addf(b, "%s\n", rc == 0 ? "ok" : mt_kind_name(e->kind));
}

struct reading {
    struct mt_store *real, *oracle;
    struct mt_shadow *s;
    int64_t commits;
    bool calm;
};

static struct reading begin_read(struct mt_store *self) {
    struct mt_shadowed *x = (struct mt_shadowed *)self;
    struct mt_shadow *s = x->shadow;
    return (struct reading){x->real, s->oracle, s, s->commits, !s->committing && s->open == x};
}

/* Whether the oracle is to be asked too: nothing was committed meanwhile. */
static bool can_compare(const struct reading *r) {
    bool can = r->calm && !r->s->committing && r->commits == r->s->commits;
    if (can)
        r->s->stats.reads++;
    else
        r->s->stats.missed++;
    return can;
}

#define UNPACK(...) __VA_ARGS__

#define READ_ONE(NAME, TYPE, PARAMETERS, ...)                                                                \
    static int NAME(struct mt_store *self, UNPACK PARAMETERS, struct mt_##TYPE *out, struct mt_error *e) {   \
        struct reading r = begin_read(self);                                                                 \
        struct mt_##TYPE other;                                                                              \
        struct mt_error ignored;                                                                             \
        int rc = r.real->NAME(r.real, __VA_ARGS__, out, e);                                                  \
        if (!can_compare(&r)) return rc;                                                                     \
        int wanted = r.oracle->NAME(r.oracle, __VA_ARGS__, &other, &ignored);                                \
        say_end(&r.s->found, rc, e);                                                                         \
        say_end(&r.s->wanted, wanted, &ignored);                                                             \
        if (rc == 0) mt_say_##TYPE(&r.s->found, out);                                                        \
        if (wanted == 0) mt_say_##TYPE(&r.s->wanted, &other);                                                \
        if (wanted == 0) mt_##TYPE##_clear(&other);                                                          \
        mt_shadow_judge(r.s, #NAME);                                                                         \
        return rc;                                                                                           \
    }

#define READ_LIST(NAME, TYPE, PARAMETERS, ...)                                                               \
    static int NAME(struct mt_store *self, UNPACK PARAMETERS, struct mt_##TYPE **out, size_t *count,         \
                    struct mt_error *e) {                                                                    \
        struct reading r = begin_read(self);                                                                 \
        struct mt_##TYPE *others = NULL;                                                                     \
        size_t n = 0;                                                                                        \
        struct mt_error ignored;                                                                             \
        int rc = r.real->NAME(r.real, __VA_ARGS__, out, count, e);                                           \
        if (!can_compare(&r)) return rc;                                                                     \
        int wanted = r.oracle->NAME(r.oracle, __VA_ARGS__, &others, &n, &ignored);                           \
        say_end(&r.s->found, rc, e);                                                                         \
        say_end(&r.s->wanted, wanted, &ignored);                                                             \
        for (size_t i = 0; rc == 0 && i < *count; i++) mt_say_##TYPE(&r.s->found, &(*out)[i]);               \
        for (size_t i = 0; i < n; i++) mt_say_##TYPE(&r.s->wanted, &others[i]);                              \
        for (size_t i = 0; i < n; i++) mt_##TYPE##_clear(&others[i]);                                        \
        free(others);                                                                                        \
        mt_shadow_judge(r.s, #NAME);                                                                         \
        return rc;                                                                                           \
    }

#define READ_TEXT(NAME, PARAMETERS, ...)                                                                     \
    static int NAME(struct mt_store *self, UNPACK PARAMETERS, char **out, struct mt_error *e) {              \
        struct reading r = begin_read(self);                                                                 \
        struct mt_error ignored;                                                                             \
        char *other = NULL;                                                                                  \
        int rc = r.real->NAME(r.real, __VA_ARGS__, out, e);                                                  \
        if (!can_compare(&r)) return rc;                                                                     \
        int wanted = r.oracle->NAME(r.oracle, __VA_ARGS__, &other, &ignored);                                \
        say_end(&r.s->found, rc, e);                                                                         \
        say_end(&r.s->wanted, wanted, &ignored);                                                             \
        if (rc == 0) mt_buf_adds(&r.s->found, *out);                                                         \
        if (wanted == 0) mt_buf_adds(&r.s->wanted, other);                                                   \
        free(other);                                                                                         \
        mt_shadow_judge(r.s, #NAME);                                                                         \
        return rc;                                                                                           \
    }

READ_ONE(get_run, run, (const char *id), id)
READ_ONE(find_run, run, (const char *flow, const char *key), flow, key)
READ_ONE(get_document, document, (const char *collection, const char *id), collection, id)
READ_ONE(get_delivery, delivery, (const char *id), id)
READ_LIST(list_runs, run, (const struct mt_run_filter *f), f)
READ_LIST(read_journal, entry, (const char *run, int segment), run, segment)
READ_LIST(list_events, event,
          (const char *topic, const char *key, int64_t after, bool newest, enum mt_event_filter which,
           size_t limit),
          topic, key, after, newest, which, limit)
READ_LIST(list_deliveries, delivery, (const char *group, int64_t due_by, size_t limit), group, due_by, limit)
READ_LIST(list_tasks, task, (int64_t due_by, size_t limit), due_by, limit)
READ_LIST(list_ended, run, (const char *flow, int64_t from, int64_t before, size_t limit), flow, from, before,
          limit)
READ_LIST(list_audit, audit, (const char *who, int64_t since, int64_t before, size_t limit), who, since,
          before, limit)
READ_TEXT(get_generation, (const char *id), id)
READ_TEXT(get_meta, (const char *key), key)

static int list_generations(struct mt_store *self, char **json, struct mt_error *e) {
    struct reading r = begin_read(self);
    char *other = NULL;
    int rc = r.real->list_generations(r.real, json, e);
    if (rc != 0 || !can_compare(&r)) return rc;
    struct mt_error ignored;
    if (r.oracle->list_generations(r.oracle, &other, &ignored) == 0) mt_buf_adds(&r.s->wanted, other);
    mt_buf_adds(&r.s->found, *json);
    free(other);
    mt_shadow_judge(r.s, "list_generations");
    return rc;
}

static int query_documents(struct mt_store *self, const char *collection, const char *field,
                           const char *value, const char *after, bool newest, size_t limit,
                           struct mt_document **out, size_t *count, int64_t *counter, struct mt_error *e) {
    struct reading r = begin_read(self);
    struct mt_document *others = NULL;
    struct mt_error ignored;
    size_t n = 0;
    int64_t counted = 0, wanted = 0;
    int rc = r.real->query_documents(r.real, collection, field, value, after, newest, limit, out, count,
                                     &counted, e);
    if (counter) *counter = counted;
    if (rc != 0 || !can_compare(&r)) return rc;
    r.oracle->query_documents(r.oracle, collection, field, value, after, newest, limit, &others, &n, &wanted,
                              &ignored);
    mt_buf_addf(&r.s->found, "counter %" PRId64 "\n", counted);
    mt_buf_addf(&r.s->wanted, "counter %" PRId64 "\n", wanted);
    for (size_t i = 0; i < *count; i++) mt_say_document(&r.s->found, &(*out)[i]);
    for (size_t i = 0; i < n; i++) mt_say_document(&r.s->wanted, &others[i]);
    for (size_t i = 0; i < n; i++) mt_document_clear(&others[i]);
    free(others);
    mt_shadow_judge(r.s, "query_documents");
    return rc;
}

static int get_blob(struct mt_store *self, const char *sha, char **text, size_t *len, struct mt_error *e) {
    struct reading r = begin_read(self);
    char *other = NULL;
    size_t n = 0;
    struct mt_error ignored;
    int rc = r.real->get_blob(r.real, sha, text, len, e);
    if (!can_compare(&r)) return rc;
    int wanted = r.oracle->get_blob(r.oracle, sha, &other, &n, &ignored);
    say_end(&r.s->found, rc, e);
    say_end(&r.s->wanted, wanted, &ignored);
    if (rc == 0) mt_buf_add(&r.s->found, *text, *len);
    if (wanted == 0) mt_buf_add(&r.s->wanted, other, n);
    free(other);
    mt_shadow_judge(r.s, "get_blob");
    return rc;
}

/* Numbers: as many as there are. */
static void compare_numbers(const struct reading *r, const char *what, const int64_t *found,
                            const int64_t *wanted, size_t n) {
    for (size_t i = 0; i < n; i++) {
        mt_buf_addf(&r->s->found, "%" PRId64 " ", found[i]);
        mt_buf_addf(&r->s->wanted, "%" PRId64 " ", wanted[i]);
    }
    mt_shadow_judge(r->s, what);
}

static int count_runs(struct mt_store *self, int64_t by_state[MT_RUN_STATE_COUNT], struct mt_error *e) {
    struct reading r = begin_read(self);
    int64_t wanted[MT_RUN_STATE_COUNT];
    struct mt_error ignored;
    int rc = r.real->count_runs(r.real, by_state, e);
    if (rc != 0 || !can_compare(&r)) return rc;
    r.oracle->count_runs(r.oracle, wanted, &ignored);
    compare_numbers(&r, "count_runs", by_state, wanted, MT_RUN_STATE_COUNT);
    return rc;
}

static int next_due(struct mt_store *self, int64_t *runs, int64_t *rest, struct mt_error *e) {
    struct reading r = begin_read(self);
    int64_t found[2] = {0}, wanted[2] = {0};
    struct mt_error ignored;
    int rc = r.real->next_due(r.real, runs ? &found[0] : NULL, rest ? &found[1] : NULL, e);
    if (runs) *runs = found[0];
    if (rest) *rest = found[1];
    if (rc != 0 || !can_compare(&r)) return rc;
    r.oracle->next_due(r.oracle, runs ? &wanted[0] : NULL, rest ? &wanted[1] : NULL, &ignored);
    compare_numbers(&r, "next_due", found, wanted, 2);
    return rc;
}

static int last_event(struct mt_store *self, const char *topic, const char *key, int64_t *n,
                      struct mt_error *e) {
    struct reading r = begin_read(self);
    int64_t wanted = 0;
    struct mt_error ignored;
    int rc = r.real->last_event(r.real, topic, key, n, e);
    if (rc != 0 || !can_compare(&r)) return rc;
    r.oracle->last_event(r.oracle, topic, key, &wanted, &ignored);
    compare_numbers(&r, "last_event", n, &wanted, 1);
    return rc;
}

static int kept(struct mt_store *self, struct mt_kept *out, struct mt_error *e) {
    struct reading r = begin_read(self);
    struct mt_kept wanted;
    struct mt_error ignored;
    int rc = r.real->kept(r.real, out, e);
    if (rc != 0 || !can_compare(&r)) return rc;
    r.oracle->kept(r.oracle, &wanted, &ignored);
    mt_say_kept(&r.s->found, out);
    mt_say_kept(&r.s->wanted, &wanted);
    mt_shadow_judge(r.s, "kept");
    return rc;
}

/* How many bytes they take is no part of the contract. */
static int weigh_ended(struct mt_store *self, const char *flow, int64_t before, int64_t *count,
                       int64_t *bytes, struct mt_error *e) {
    struct reading r = begin_read(self);
    int64_t wanted = 0, ignored_bytes = 0;
    struct mt_error ignored;
    int rc = r.real->weigh_ended(r.real, flow, before, count, bytes, e);
    if (rc != 0 || !can_compare(&r)) return rc;
    r.oracle->weigh_ended(r.oracle, flow, before, &wanted, &ignored_bytes, &ignored);
    compare_numbers(&r, "weigh_ended", count, &wanted, 1);
    return rc;
}

void mt_shadow_set_reads(struct mt_store *store) {
    store->get_run = get_run;
    store->find_run = find_run;
    store->list_runs = list_runs;
    store->read_journal = read_journal;
    store->count_runs = count_runs;
    store->next_due = next_due;
    store->list_events = list_events;
    store->last_event = last_event;
    store->get_document = get_document;
    store->query_documents = query_documents;
    store->get_delivery = get_delivery;
    store->list_deliveries = list_deliveries;
    store->list_tasks = list_tasks;
    store->get_generation = get_generation;
    store->get_blob = get_blob;
    store->list_generations = list_generations;
    store->get_meta = get_meta;
    store->kept = kept;
    store->list_ended = list_ended;
    store->weigh_ended = weigh_ended;
    store->list_audit = list_audit;
}
