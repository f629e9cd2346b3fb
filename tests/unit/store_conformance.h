/* What the conformance tests share: a fixture for each implementation, and short words for batches. */
#pragma once
#include "store/disk.h"
#include "store_support.h"

struct fixture {
    struct mt_store *s;
    char *dir;            /* NULL: none */
    struct mt_disk *disk; /* NULL: none */
};

static inline int open_sqlite(void **state) {
    struct fixture *f = mt_calloc(1, sizeof *f);
    f->dir = make_dir();
    f->s = open_or_fail(f->dir);
    *state = f;
    return 0;
}

static inline int open_disk(void **state) {
    struct fixture *f = mt_calloc(1, sizeof *f);
    struct mt_error e = {0};
    f->disk = mt_disk_new(1);
    f->s = mt_store_sqlite_open_on(f->disk, "mintage.db", &e);
    if (!f->s) fail_msg("open: %s", e.message);
    *state = f;
    return 0;
}

static inline int open_memory(void **state) {
    struct fixture *f = mt_calloc(1, sizeof *f);
    f->s = mt_store_memory_open();
    *state = f;
    return 0;
}

static inline int close_store(void **state) {
    struct fixture *f = *state;
    f->s->close(f->s);
    if (f->dir) remove_tree(f->dir);
    mt_disk_free(f->disk);
    free(f->dir);
    free(f);
    return 0;
}

static inline struct mt_store *store_of(void **state) {
    return ((struct fixture *)*state)->s;
}

/* ---- short words ---- */

static inline struct mt_batch run_batch(struct mt_store *s, const char *run, int64_t epoch, struct mt_op *ops,
                                        size_t count) {
    struct mt_batch b = {.run = run, .epoch = epoch, .ops = ops, .count = count};
    commit_batch(s, &b);
    return b;
}

static inline struct mt_batch one(struct mt_store *s, const char *run, struct mt_op *op) {
    return run_batch(s, run, s->epoch, op, 1);
}

static inline void must(struct mt_store *s, const char *run, struct mt_op op) {
    struct mt_batch b = one(s, run, &op);
    if (b.status) fail_msg("refused: %s", b.error.message);
}

static inline void start(struct mt_store *s, const char *id, bool claim) {
    must(s, NULL, start_op(id, NULL, claim, 100));
}

static inline struct mt_run get(struct mt_store *s, const char *id) {
    struct mt_run r;
    struct mt_error e;
    if (s->get_run(s, id, &r, &e)) fail_msg("%s", e.message);
    return r;
}

static inline int state_of(struct mt_store *s, const char *id) {
    struct mt_run r = get(s, id);
    int state = (int)r.state;
    mt_run_clear(&r);
    return state;
}

static inline int64_t due_of(struct mt_store *s, const char *id) {
    struct mt_run r = get(s, id);
    int64_t due = r.due_at;
    mt_run_clear(&r);
    return due;
}

/* Claims up to `limit` and writes the ids one after another into a static text: "a b c". */
static inline const char *claimed(struct mt_store *s, int64_t now, size_t limit) {
    static char text[4096];
    struct mt_op op = {.type = MT_OP_CLAIM, .claim = {.epoch = s->epoch, .now = now, .limit = limit}};
    struct mt_batch b = one(s, NULL, &op);
    assert_int_equal(b.status, 0);
    text[0] = 0;
    for (size_t i = 0; i < op.claim.count; i++) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "", op.claim.runs[i].id);
        mt_run_clear(&op.claim.runs[i]);
    }
    free(op.claim.runs);
    return text;
}

static inline void event(struct mt_store *s, const char *topic, const char *key, const char *payload) {
    must(s, NULL,
         (struct mt_op){.type = MT_OP_EVENT,
                        .event = {.topic = topic, .key = key, .payload = payload, .at = 500}});
}

static inline struct mt_op suspend_op(enum mt_run_state state, int64_t due_at, const char *topic,
                                      const char *key) {
    return (struct mt_op){.type = MT_OP_SUSPEND,
                          .suspend = {.state = state,
                                      .due_at = due_at,
                                      .topic = topic,
                                      .key = key,
                                      .waiting_for = "{\"until\":1}",
                                      .cls = MT_CLASS_TIMER,
                                      .at = 200}};
}

static inline void park(struct mt_store *s, const char *id) {
    struct mt_op op = suspend_op(MT_RUN_NEEDS_ATTENTION, MT_NEVER, NULL, NULL);
    op.suspend.error = "{\"kind\":\"script\"}";
    must(s, id, op);
}

static inline struct mt_op end_op(enum mt_run_state state) {
    return (struct mt_op){
        .type = MT_OP_RUN,
        .run = {.state = (int)state, .output = "{\"ok\":true}", .release = true, .at = 900}};
}

static inline void assert_refused(struct mt_batch b, struct mt_op *ops, size_t at, enum mt_op_result result) {
    assert_int_equal(b.status, -1);
    assert_int_equal(b.failed, at);
    assert_int_equal(ops[at].result, result);
    assert_true(b.error.message[0]);
}

static inline struct mt_op cancel_op(const char *run) {
    return (struct mt_op){.type = MT_OP_CANCEL,
                          .cancel = {.run = run, .reason = "changed my mind", .at = 600}};
}

#define ON_SQLITE(test) cmocka_unit_test_setup_teardown(test, open_sqlite, close_store)
#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, open_disk, close_store)
#define ON_MEMORY(test) cmocka_unit_test_setup_teardown(test, open_memory, close_store)

/* Runs the tests that TESTS(X) names on every implementation; answers how many failed. */
#define RUN_ON_ALL(TESTS)                                                                                    \
    (cmocka_run_group_tests_name("sqlite", ((const struct CMUnitTest[]){TESTS(ON_SQLITE)}), NULL, NULL) +    \
     cmocka_run_group_tests_name("simulated disk", ((const struct CMUnitTest[]){TESTS(ON_DISK)}), NULL,      \
                                 NULL) +                                                                     \
     cmocka_run_group_tests_name("memory", ((const struct CMUnitTest[]){TESTS(ON_MEMORY)}), NULL, NULL))
