/* links: mt_providers */
/* Admission, breaker, limit, counters and what is told of them, from many threads at once: nothing is lost
 * and nothing is told that cannot be. Under ThreadSanitizer this finds races. */
#include "provider_fake.h"
#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 8, ROUNDS = 2000, BURST = 500 };

static struct world shared;
static const struct mt_provider *mintro_row, *paymnt_row;
static const struct mt_operation *read_op;
static atomic_int admitted, waits, probes_out, ready;

static void together(void *(*work)(void *arg)) {
    pthread_t threads[THREADS];
    atomic_store(&ready, 0);
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

/* All begin in the same moment. */
static void line_up(void) {
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < THREADS) sched_yield();
}

static int begin(void **state) {
    static const char config[] = "{\"mintro\":{\"client_id\":\"a\",\"client_secret\":\"s3cret\"},"
                                 "\"paymnt\":{\"api_key\":\"k\",\"max_per_second\":1,\"burst\":500}}";
    const struct mt_account *account;
    (void)state;
    shared = world_with(config, NULL);
    if (shared.providers == NULL) fail_msg("%s", shared.e.message);
    read_op = mt_operation_find(shared.providers, "mintro.intents.get", &account, &shared.e);
    mintro_row = account->provider;
    assert_non_null(mt_operation_find(shared.providers, "paymnt.payments.retrieve", &account, &shared.e));
    paymnt_row = account->provider;
    atomic_store(&admitted, 0);
    atomic_store(&waits, 0);
    atomic_store(&probes_out, 0);
    return 0;
}

static int end(void **state) {
    (void)state;
    world_end(&shared);
    return 0;
}

/* ---- counters ---- */

static void *count(void *arg) {
    intptr_t self = (intptr_t)arg;
    line_up();
    for (int i = 0; i < ROUNDS; i++) {
        enum mt_outcome outcome = i % 4 == 0 ? MT_UNKNOWN : i % 4 == 1 ? MT_REJECTED : MT_DONE;
        mt_provider_count(shared.providers, mintro_row, read_op, outcome, 1000 * (self + 1));
        if (i % 200 != 0) continue;
        struct mt_buf out;
        mt_buf_init(&out, 1 << 20);
        mt_providers_metrics(shared.providers, &out);
        if (strstr(out.data, "mintage_provider_breaker_state{provider=\"mintro\"}") == NULL) abort();
        mt_buf_clear(&out);
        char *text = mt_providers_json(shared.providers);
        if (strstr(text, "s3cret") != NULL) abort();
        free(text);
    }
    return NULL;
}

static void no_call_is_lost(void **state) {
    (void)state;
    together(count);
    char lines[3][160];
    const char *const outcomes[] = {"unknown", "rejected", "done"};
    struct mt_buf out;
    mt_buf_init(&out, 1 << 20);
    mt_providers_metrics(shared.providers, &out);
    for (int i = 0; i < 3; i++) {
        mt_format(lines[i], sizeof(lines[i]),
                  "{provider=\"mintro\",operation=\"intents.get\",outcome=\"%s\"} %d\n", outcomes[i],
                  THREADS * ROUNDS / (i == 2 ? 2 : 4));
        if (strstr(out.data, lines[i]) == NULL) fail_msg("no line: %s in\n%s", lines[i], out.data);
    }
    mt_format(lines[0], sizeof(lines[0]), "operation=\"intents.get\",le=\"+Inf\"} %d\n", THREADS * ROUNDS);
    assert_non_null(strstr(out.data, lines[0]));
    mt_buf_clear(&out);
}

/* ---- the limit ---- */

static void *take(void *arg) {
    (void)arg;
    line_up();
    for (int i = 0; i < ROUNDS; i++) {
        if (mt_provider_admit(shared.providers, paymnt_row) == 0) {
            atomic_fetch_add(&admitted, 1);
            mt_provider_report(shared.providers, paymnt_row, false);
        } else {
            atomic_fetch_add(&waits, 1);
        }
    }
    return NULL;
}

/* The clock stands still: as many as the bucket holds go, and no more. */
static void the_bucket_gives_what_it_holds(void **state) {
    (void)state;
    together(take);
    assert_int_equal(atomic_load(&admitted), BURST);
    assert_int_equal(atomic_load(&waits), THREADS * ROUNDS - BURST);
    assert_int_equal(shared.clock->advance(shared.clock, 7000, &shared.e), 0);
    together(take);
    assert_int_equal(atomic_load(&admitted), BURST + 7);
}

/* ---- the breaker ---- */

static void *fail_all(void *arg) {
    (void)arg;
    line_up();
    for (int i = 0; i < ROUNDS; i++) {
        if (mt_provider_admit(shared.providers, mintro_row) != 0) continue;
        atomic_fetch_add(&admitted, 1);
        mt_provider_report(shared.providers, mintro_row, true);
    }
    return NULL;
}

/* One call at a time finds out; who is not admitted waits. */
static void *probe(void *arg) {
    (void)arg;
    line_up();
    for (int i = 0; i < ROUNDS; i++) {
        if (mt_provider_admit(shared.providers, mintro_row) != 0) continue;
        if (atomic_fetch_add(&probes_out, 1) != 0) abort();
        atomic_fetch_add(&admitted, 1);
        sched_yield();
        atomic_fetch_sub(&probes_out, 1);
        mt_provider_report(shared.providers, mintro_row, true);
    }
    return NULL;
}

static void an_open_circuit_lets_one_find_out(void **state) {
    (void)state;
    together(fail_all);
    assert_int_equal(mt_provider_breaker(shared.providers, mintro_row), MT_BREAKER_OPEN);
    assert_in_range(atomic_load(&admitted), 5, 5 + THREADS); /* those on their way when it opened */
    for (int i = 0; i < 10; i++) {
        atomic_store(&admitted, 0);
        assert_int_equal(shared.clock->advance(shared.clock, 60000, &shared.e), 0);
        together(probe);
        assert_int_equal(atomic_load(&admitted), 1); /* it failed: open again, and the clock stands still */
        assert_int_equal(mt_provider_breaker(shared.providers, mintro_row), MT_BREAKER_OPEN);
    }
    assert_int_equal(shared.clock->advance(shared.clock, 60000, &shared.e), 0);
    assert_int_equal(mt_provider_admit(shared.providers, mintro_row), 0);
    mt_provider_report(shared.providers, mintro_row, false);
    assert_int_equal(mt_provider_breaker(shared.providers, mintro_row), MT_BREAKER_CLOSED);
}

/* ---- all of it, while time passes ---- */

static void *anything(void *arg) {
    intptr_t self = (intptr_t)arg;
    struct mt_error e;
    line_up();
    for (int i = 0; i < ROUNDS; i++) {
        const struct mt_provider *row = (i + self) % 3 == 0 ? paymnt_row : mintro_row;
        int64_t wait = mt_provider_admit(shared.providers, row);
        if (wait < 0 || wait > 3600000) abort();
        if (wait == 0) {
            mt_provider_count(shared.providers, mintro_row, read_op, MT_DONE, i);
            mt_provider_report(shared.providers, row, (i / 50) % 2 == 0);
        }
        if (i % 20 == 0) shared.clock->advance(shared.clock, 1000, &e);
        if (i % 500 == 0) {
            struct mt_buf out;
            mt_buf_init(&out, 1 << 20);
            mt_providers_metrics(shared.providers, &out);
            mt_buf_clear(&out);
            free(mt_providers_json(shared.providers));
        }
        mt_provider_breaker(shared.providers, row);
    }
    return NULL;
}

static void all_at_once(void **state) {
    (void)state;
    together(anything);
    /* Whatever it came to, a provider that is well again is used again. */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(shared.clock->advance(shared.clock, 120000, &shared.e), 0);
        assert_int_equal(mt_provider_admit(shared.providers, mintro_row), 0);
        mt_provider_report(shared.providers, mintro_row, false);
    }
    assert_int_equal(mt_provider_breaker(shared.providers, mintro_row), MT_BREAKER_CLOSED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_call_is_lost, begin, end),
        cmocka_unit_test_setup_teardown(the_bucket_gives_what_it_holds, begin, end),
        cmocka_unit_test_setup_teardown(an_open_circuit_lets_one_find_out, begin, end),
        cmocka_unit_test_setup_teardown(all_at_once, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
