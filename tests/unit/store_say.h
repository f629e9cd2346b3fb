/* What a store answers, as text, so that two stores can be compared by comparing texts. What an answer holds
 * is freed on the way. */
#pragma once
#include "base/buf.h"
#include "store/say.h"
#include "store_random.h"
#include <inttypes.h>

static inline void say_run(struct mt_buf *b, struct mt_run *r) {
    mt_say_run(b, r);
    mt_run_clear(r);
}

static inline void say_batch(struct mt_buf *b, struct made *m) {
    mt_say_batch(b, &m->batch);
    mt_batch_clear(&m->batch);
}

static inline void say_runs(struct mt_buf *b, struct mt_store *s, const struct mt_run_filter *f) {
    struct mt_run *runs = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->list_runs(s, f, &runs, &count, &e)) fail_msg("list_runs: %s", e.message);
    for (size_t i = 0; i < count; i++) say_run(b, &runs[i]);
    free(runs);
}

static inline void say_journal(struct mt_buf *b, struct mt_store *s, const char *run, int segment) {
    struct mt_entry *entries = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->read_journal(s, run, segment, &entries, &count, &e)) fail_msg("read_journal: %s", e.message);
    for (size_t i = 0; i < count; i++) {
        mt_buf_addf(b, "%s ", run);
        mt_say_entry(b, &entries[i]);
        mt_entry_clear(&entries[i]);
    }
    free(entries);
}

static inline void say_events(struct mt_buf *b, struct mt_store *s, const char *topic, const char *key,
                              int64_t after, bool newest, enum mt_event_filter which, size_t limit) {
    struct mt_event *events = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->list_events(s, topic, key, after, newest, which, limit, &events, &count, &e))
        fail_msg("list_events: %s", e.message);
    for (size_t i = 0; i < count; i++) {
        mt_say_event(b, &events[i]);
        mt_event_clear(&events[i]);
    }
    free(events);
}

static inline void say_documents(struct mt_buf *b, struct mt_store *s, const char *collection,
                                 const char *field, const char *value, const char *after, bool newest,
                                 size_t limit) {
    struct mt_document *docs = NULL;
    size_t count = 0;
    int64_t counter;
    struct mt_error e;
    if (s->query_documents(s, collection, field, value, after, newest, limit, &docs, &count, &counter, &e))
        fail_msg("query_documents: %s", e.message);
    mt_buf_addf(b, "counter %" PRId64 "\n", counter);
    for (size_t i = 0; i < count; i++) {
        mt_say_document(b, &docs[i]);
        mt_document_clear(&docs[i]);
    }
    free(docs);
}

static inline void say_deliveries(struct mt_buf *b, struct mt_store *s, const char *group, int64_t due_by,
                                  size_t limit) {
    struct mt_delivery *list = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->list_deliveries(s, group, due_by, limit, &list, &count, &e))
        fail_msg("list_deliveries: %s", e.message);
    for (size_t i = 0; i < count; i++) {
        mt_say_delivery(b, &list[i]);
        mt_delivery_clear(&list[i]);
    }
    free(list);
}

static inline void say_tasks(struct mt_buf *b, struct mt_store *s, int64_t due_by, size_t limit) {
    struct mt_task *tasks = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->list_tasks(s, due_by, limit, &tasks, &count, &e)) fail_msg("list_tasks: %s", e.message);
    for (size_t i = 0; i < count; i++) {
        mt_say_task(b, &tasks[i]);
        mt_task_clear(&tasks[i]);
    }
    free(tasks);
}

static inline void say_audit(struct mt_buf *b, struct mt_store *s) {
    struct mt_audit *rows = NULL;
    size_t count = 0;
    struct mt_error e;
    if (s->list_audit(s, NULL, 0, 0, 1000, &rows, &count, &e)) fail_msg("list_audit: %s", e.message);
    for (size_t i = 0; i < count; i++) {
        mt_say_audit(b, &rows[i]);
        mt_audit_clear(&rows[i]);
    }
    free(rows);
}

static inline void say_numbers(struct mt_buf *b, struct mt_store *s) {
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
    struct mt_kept k;
    if (s->kept(s, &k, &e)) fail_msg("%s", e.message);
    mt_buf_addc(b, '\n');
    mt_say_kept(b, &k);
}

static inline void say_ended(struct mt_buf *b, struct mt_store *s, const char *flow, int64_t from,
                             int64_t before, size_t limit) {
    struct mt_run *runs = NULL;
    size_t count = 0;
    int64_t n, bytes;
    struct mt_error e;
    if (s->list_ended(s, flow, from, before, limit, &runs, &count, &e) ||
        s->weigh_ended(s, flow, before, &n, &bytes, &e))
        fail_msg("list_ended: %s", e.message);
    mt_buf_addf(b, "ended %" PRId64 "\n", n);
    for (size_t i = 0; i < count; i++) say_run(b, &runs[i]);
    free(runs);
}

/* Everything there is. */
static inline void say_all(struct mt_buf *b, struct mt_store *s) {
    say_runs(b, s, &(struct mt_run_filter){.state = -1, .limit = 1000});
    for (int i = 0; i < RUNS; i++) say_journal(b, s, run_ids[i], -1);
    say_events(b, s, NULL, NULL, 0, false, MT_EVENTS_ALL, 10000);
    for (size_t i = 0; i < 2; i++) say_documents(b, s, collections[i], NULL, NULL, NULL, false, 1000);
    say_deliveries(b, s, NULL, MT_NEVER, 1000);
    say_tasks(b, s, MT_NEVER, 1000);
    say_audit(b, s);
    say_numbers(b, s);
}
