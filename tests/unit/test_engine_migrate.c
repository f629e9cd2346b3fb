/* links: mt_engine mt_store mt_providers mt_http mt_crypto mt_money mt_base */
/* Moving runs to newer code: what agrees is moved and carries on, what does not is told at which effect, and
 * judging touches neither the world nor the store. */
#include "engine_world.h"

#include "engine/migrate.h"

static atomic_int edition; /* which code the flows are */

/* A sleep between two charges; editions change what comes before or after it. */
static void subscription(struct flow *f) {
    int n = atomic_load(&edition);
    if (n == 2) progress(f, "{\"step\":1}"); /* another effect before what was journaled */
    if (n != 4) charge(f, "first");
    if (n == 5) {
        mt_fail(&f->result->error, MT_SCRIPT, "attempt to index a nil value");
        longjmp(f->out, OUT_BUG);
    }
    if (n == 6) fail_flow(f, "gone");
    nap(f, n == 3 ? 5000 : 60000);
    charge(f, n == 1 ? "newer" : "second");
}

/* Its first call waits before the gate. */
static void slow(struct flow *f) {
    charge(f, "api/slow");
    nap(f, 60000);
}

static void broken(struct flow *f) {
    charge(f, "first");
    if (atomic_load(&edition) == 0) {
        mt_fail(&f->result->error, MT_SCRIPT, "attempt to call a nil value");
        longjmp(f->out, OUT_BUG);
    }
    charge(f, "second");
}

static void undoes(struct flow *f) {
    undo_charge(f, "first");
    unsafe_charge(f, "first");
    nap(f, 60000);
    fail_flow(f, "declined");
}

/* Two at once, the second of which is not answered. */
static void together(struct flow *f) {
    static const char *const ops[] = {"http.post", "http.post", "http.post"};
    static const char *const params[] = {
        "{\"body\":\"1\",\"idempotency_key\":\"a\",\"url\":\"" WORLD_BASE "/charge/a\"}",
        "{\"body\":\"1\",\"idempotency_key\":\"b\",\"url\":\"" WORLD_BASE "/charge/b\"}",
        "{\"body\":\"1\",\"idempotency_key\":\"c\",\"url\":\"" WORLD_BASE "/charge/c\"}",
    };
    mt_effect_all(f->x, atomic_load(&edition) == 1 ? 2 : 3, ops, params, "flow.lua:11", &f->a);
    flow_take(f);
}

static void segments(struct flow *f) {
    int64_t n = mt_json_int(f->in, "n", 0);
    nap(f, 60000);
    if (n == 0) go_on(f, "{\"n\":1}");
    if (atomic_load(&edition) == 1) charge(f, "late");
}

static void acme(struct flow *f) {
    call(f, "acme.charges.create", "{\"note\":\"one\"}");
}

static const struct flow_row flows[] = {
    {"subscription", subscription}, {"broken", broken}, {"undoes", undoes}, {"together", together},
    {"segments", segments},         {"slow", slow},     {"acme", acme},     {NULL, NULL},
};

static struct world *begin(void) {
    struct world *w = world_new(flows, true);
    atomic_store(&edition, 0);
    world_open(w);
    return w;
}

static void begin_run(struct world *w, const char *flow, char id[MT_ID_SIZE]) {
    struct mt_start s = {.flow = flow, .input = "{}"};
    struct mt_run run;
    struct mt_error e;
    bool existing;
    if (mt_engine_start_run(w->engine, &s, &run, &existing, &e) != 0) fail_msg("%s", e.message);
    mt_copy(id, MT_ID_SIZE, run.id);
    mt_run_clear(&run);
}

static void publish(struct world *w, int number) {
    char generation[80];
    atomic_store(&edition, number);
    mt_format(generation, sizeof generation, "sha256:edition-%d", number);
    world_publish(w, generation);
}

static struct mt_migration migrate(struct world *w, const char *run, bool dry) {
    struct mt_migrate o = {.run = run, .dry = dry, .limit = 1};
    struct mt_migration *list, one;
    size_t count;
    char next[MT_ID_SIZE];
    struct mt_error e = {0};
    if (mt_engine_migrate(w->engine, &o, &list, &count, next, &e) != 0) fail_msg("%s", e.message);
    assert_int_equal(count, 1);
    one = list[0];
    free(list);
    return one;
}

static void assert_outcome(struct world *w, const char *run, bool dry, enum mt_moved wanted) {
    struct mt_migration m = migrate(w, run, dry);
    if (m.outcome != wanted)
        fail_msg("%s, wanted %s: %s", mt_moved_name(m.outcome), mt_moved_name(wanted), m.message);
    mt_migration_clear(&m);
}

static void test_moves_and_carries_on(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct world *w = begin();
    begin_run(w, "subscription", id);
    world_settle(w);
    assert_outcome(w, id, false, MT_SAME);
    publish(w, 1);
    size_t sent = w->net.count;
    int commits = atomic_load(&w->commits);
    assert_outcome(w, id, true, MT_WOULD_MOVE);
    assert_int_equal(w->net.count, sent);
    assert_int_equal(atomic_load(&w->commits), commits); /* judging writes nothing */
    struct mt_run before = run_of(w, id);
    assert_outcome(w, id, false, MT_MOVED);
    assert_int_equal(w->net.count, sent);
    struct mt_run after = run_of(w, id);
    assert_string_equal(after.generation, "sha256:edition-1");
    assert_int_equal(after.state, MT_RUN_SLEEPING);
    assert_true(after.due_at == before.due_at);
    assert_int_equal(after.entries, before.entries);
    assert_non_null(strstr(after.moves, "\"from\":\"sha256:one\""));
    mt_run_clear(&before);
    mt_run_clear(&after);
    assert_outcome(w, id, false, MT_SAME);
    world_drive(w);
    after = run_of(w, id);
    assert_int_equal(after.state, MT_RUN_COMPLETED);
    mt_run_clear(&after);
    assert_int_equal(w->net.done_count, 2);
    assert_non_null(strstr(w->net.done[1], "newer"));
    assert_outcome(w, id, false, MT_OVER);
    world_free(w);
}

static void assert_parts(struct world *w, const char *id, int seq, const char *expected, const char *found,
                         const char *words) {
    struct mt_run before = run_of(w, id), after;
    struct mt_migration m = migrate(w, id, false);
    if (m.outcome != MT_PARTS_WAYS) fail_msg("%s", mt_moved_name(m.outcome));
    assert_int_equal(m.seq, seq);
    if (expected) assert_non_null(strstr(m.expected, expected));
    if (!expected) assert_null(m.expected);
    assert_non_null(strstr(m.found, found));
    assert_string_equal(m.file, "flow.lua");
    assert_true(m.line > 0);
    if (!strstr(m.message, words)) fail_msg("%s", m.message);
    mt_migration_clear(&m);
    after = run_of(w, id);
    assert_string_equal(after.generation, before.generation);
    assert_int_equal(after.state, before.state);
    assert_null(after.moves);
    mt_run_clear(&before);
    mt_run_clear(&after);
}

static void test_parts_ways(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct world *w = begin();
    begin_run(w, "subscription", id);
    world_settle(w);
    publish(w, 2);
    assert_parts(w, id, 1, "http.post", "progress", "effect 1 is call http.post");
    publish(w, 3);
    assert_parts(w, id, 2, "1 minute", "5 seconds", "effect 2 is sleep");
    publish(w, 4);
    assert_parts(w, id, 1, "http.post", "sleep", "asks for sleep");
    publish(w, 5);
    assert_parts(w, id, 2, "sleep", "error", "index a nil value");
    publish(w, 6);
    assert_parts(w, id, 2, "sleep", "an error", "asks for an error");
    atomic_store(&edition, 0); /* the run keeps the code it began with, and ends on it */
    world_drive(w);
    struct mt_run run = run_of(w, id);
    assert_int_equal(run.state, MT_RUN_COMPLETED);
    mt_run_clear(&run);
    world_free(w);
}

static void test_repairs_a_parked_run(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct mt_run run;
    struct mt_error e;
    struct world *w = begin();
    begin_run(w, "broken", id);
    world_drive(w);
    run = run_of(w, id);
    assert_int_equal(run.state, MT_RUN_NEEDS_ATTENTION);
    mt_run_clear(&run);
    publish(w, 1);
    assert_outcome(w, id, false, MT_MOVED);
    run = run_of(w, id);
    assert_int_equal(run.state, MT_RUN_NEEDS_ATTENTION);
    assert_non_null(run.error);
    mt_run_clear(&run);
    assert_int_equal(mt_engine_retry(w->engine, id, &run, &e), 0);
    mt_run_clear(&run);
    world_drive(w);
    run = run_of(w, id);
    assert_int_equal(run.state, MT_RUN_COMPLETED);
    mt_run_clear(&run);
    assert_int_equal(w->net.done_count, 2);
    world_free(w);
}

static void test_compensating_is_over(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct world *w = begin();
    begin_run(w, "undoes", id);
    world_settle(w);
    w->net.rules[0] = (struct rule){"/refund/", FAULT_BUSY_LATER, 1};
    w->net.rule_count = 1;
    world_advance(w, 60000);
    world_settle(w);
    struct mt_run run = run_of(w, id);
    assert_int_equal(run.state, MT_RUN_COMPENSATING);
    mt_run_clear(&run);
    publish(w, 1);
    assert_outcome(w, id, true, MT_OVER);
    assert_outcome(w, id, false, MT_OVER);
    world_drive(w);
    run = run_of(w, id);
    assert_int_equal(run.state, MT_RUN_FAILED);
    mt_run_clear(&run);
    world_free(w);
}

/* Calls made at once are compared whole, although only some are answered. */
static void test_calls_at_once(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct world *w = begin();
    w->net.rules[0] = (struct rule){"/charge/b", FAULT_BUSY_LATER, 1};
    w->net.rule_count = 1;
    begin_run(w, "together", id);
    world_settle(w);
    size_t sent = w->net.count;
    publish(w, 1);
    struct mt_migration m = migrate(w, id, false);
    assert_int_equal(m.outcome, MT_PARTS_WAYS);
    assert_int_equal(m.seq, 3);
    mt_migration_clear(&m);
    publish(w, 2);
    assert_outcome(w, id, false, MT_MOVED);
    assert_int_equal(w->net.count, sent);
    world_drive(w);
    assert_int_equal(w->net.done_count, 3);
    world_free(w);
}

static void test_segments(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct world *w = begin();
    begin_run(w, "segments", id);
    world_settle(w);
    world_advance(w, 60000);
    world_settle(w);
    struct mt_run run = run_of(w, id);
    assert_int_equal(run.segment, 1);
    mt_run_clear(&run);
    publish(w, 1);
    assert_outcome(w, id, false, MT_MOVED);
    run = run_of(w, id);
    assert_non_null(strstr(run.moves, "\"segment\":1"));
    mt_run_clear(&run);
    world_drive(w);
    run = run_of(w, id);
    assert_int_equal(run.state, MT_RUN_COMPLETED);
    mt_run_clear(&run);
    assert_int_equal(w->net.done_count, 1);
    world_free(w);
}

/* While a call is out the run is somebody's; it is moved as soon as it is not. */
static void test_busy(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct world *w = begin();
    atomic_store(&w->net.closed, true);
    begin_run(w, "slow", id);
    while (atomic_load(&w->net.before_gate) == 0) world_wait(w, world_seen(w));
    publish(w, 1);
    assert_outcome(w, id, true, MT_WOULD_MOVE);
    assert_outcome(w, id, false, MT_BUSY);
    atomic_store(&w->net.closed, false);
    world_settle(w);
    assert_outcome(w, id, false, MT_MOVED);
    world_drive(w);
    assert_int_equal(w->net.done_count, 1);
    world_free(w);
}

static void test_pages(void **state) {
    (void)state;
    char id[MT_ID_SIZE], next[MT_ID_SIZE] = "", before[MT_ID_SIZE];
    struct mt_migration *list;
    struct mt_error e;
    size_t count, seen = 0;
    struct world *w = begin();
    for (int i = 0; i < 7; i++) begin_run(w, "subscription", id);
    begin_run(w, "segments", id);
    world_settle(w);
    publish(w, 1);
    do {
        mt_copy(before, sizeof before, next);
        struct mt_migrate o = {.flow = "subscription", .before = before[0] ? before : NULL, .limit = 3};
        assert_int_equal(mt_engine_migrate(w->engine, &o, &list, &count, next, &e), 0);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(list[i].outcome, MT_MOVED);
            mt_migration_clear(&list[i]);
        }
        free(list);
        seen += count;
    } while (next[0]);
    assert_int_equal(seen, 7);
    struct mt_migrate rest = {.dry = true, .limit = 100};
    assert_int_equal(mt_engine_migrate(w->engine, &rest, &list, &count, next, &e), 0);
    assert_int_equal(count, 1); /* of the other flow */
    assert_string_equal(list[0].flow, "segments");
    mt_migration_clear(&list[0]);
    free(list);
    struct mt_migrate none = {.run = "run_nobody", .limit = 1};
    assert_int_equal(mt_engine_migrate(w->engine, &none, &list, &count, next, &e), -1);
    assert_int_equal(e.kind, MT_NOT_FOUND);
    struct mt_migrate other = {.run = id, .flow = "subscription", .limit = 1};
    assert_int_equal(mt_engine_migrate(w->engine, &other, &list, &count, next, &e), -1);
    world_free(w);
}

static void keep(struct world *w, const char *generation, const char *path) {
    struct mt_error e;
    char text[512];
    mt_format(text, sizeof text,
              "[{\"name\":\"acme\",\"base_url\":\"%s\",\"operations\":{\"charges.create\":{\"method\":"
              "\"POST\",\"path\":\"%s\",\"repeats\":\"unsafe\",\"params\":{\"note\":\"string\"}}}}]",
              WORLD_BASE, path);
    json_t *providers = mt_json_parse(text, strlen(text), &e);
    if (mt_engine_keep_generation(w->engine, generation, NULL, NULL, NULL, NULL, 0, providers, &e) != 0)
        fail_msg("%s", e.message);
    json_decref(providers);
}

/* What is under way by one definition of a provider is not left to another. */
static void test_definitions(void **state) {
    (void)state;
    char id[MT_ID_SIZE];
    struct world *w = begin();
    keep(w, "sha256:one", "/charge/acme");
    keep(w, "sha256:edition-1", "/charge/other");
    keep(w, "sha256:edition-2", "/charge/acme");
    w->net.rules[0] = (struct rule){"/charge/acme", FAULT_BUSY_LATER, 1};
    w->net.rule_count = 1;
    begin_run(w, "acme", id);
    world_settle(w);
    publish(w, 1);
    struct mt_migration m = migrate(w, id, false);
    assert_int_equal(m.outcome, MT_PARTS_WAYS);
    assert_int_equal(m.seq, 1);
    assert_non_null(strstr(m.message, "under way"));
    mt_migration_clear(&m);
    publish(w, 2);
    assert_outcome(w, id, false, MT_MOVED);
    world_drive(w);
    assert_int_equal(w->net.done_count, 1);
    world_free(w);
}

/* The process dies at the commit of the move, before or after: the run is of one generation or the other, and
 * ends all the same, each charge once. */
static void test_death(void **state) {
    (void)state;
    for (int after = 0; after < 2; after++) {
        char id[MT_ID_SIZE], next[MT_ID_SIZE];
        struct mt_migration *list = NULL;
        size_t count;
        struct mt_error e;
        struct world *w = begin();
        begin_run(w, "subscription", id);
        world_settle(w);
        publish(w, 1);
        w->die_at_commit = atomic_load(&w->commits) + 1;
        w->die_after = after;
        struct mt_migrate o = {.run = id, .limit = 1};
        assert_int_equal(mt_engine_migrate(w->engine, &o, &list, &count, next, &e), -1);
        world_stop(w);
        w->die_at_commit = 0;
        world_open(w);
        struct mt_run run = run_of(w, id);
        bool moved = strcmp(run.generation, "sha256:edition-1") == 0;
        assert_int_equal(moved, after);
        assert_int_equal(run.moves != NULL, after);
        mt_run_clear(&run);
        world_drive(w);
        run = run_of(w, id);
        assert_int_equal(run.state, MT_RUN_COMPLETED);
        mt_run_clear(&run);
        assert_int_equal(w->net.done_count, 2);
        world_free(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves_and_carries_on),
        cmocka_unit_test(test_parts_ways),
        cmocka_unit_test(test_repairs_a_parked_run),
        cmocka_unit_test(test_compensating_is_over),
        cmocka_unit_test(test_calls_at_once),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
