/* links: mt_engine mt_providers mt_store mt_http mt_crypto mt_money mt_base */
/* What becomes of a call: outcomes that are not known, keys, what may be sent again, accounts that changed,
 * secrets. */
#include "engine_runs.h"

/* ---- unknown outcomes ---- */

static int charges(struct flow *f) {
    charge(f, "a");
    finish(f, "1");
    return 0;
}

static int unsafe_one(struct flow *f) {
    const char *error = NULL;
    const char *params = "{\"body\":\"80\",\"url\":\"" WORLD_BASE "/unsafe/u\"}";
    mt_effect_call(f->x, "http.post", params, strlen(params), "flow.lua:40", &f->a);
    const char *value = flow_take_try(f, &error);
    finish(f, value ? value : error);
    return 0;
}

static void test_unknown_unsafe_waits_for_a_person(void **state) {
    struct world *w = *state;
    struct mt_error e;
    net_rule(w, "/unsafe/u", FAULT_DROP_AFTER, 1);
    const char *id = begin(w, unsafe_one);
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    assert_error(w, id, "may or may not have happened");
    assert_error(w, id, "\"outcome\":\"unknown\"");
    assert_int_equal(retry(w, id, &e), 0); /* a retry only asks again: nothing can be asked */
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    assert_int_equal(sent_times(w, "/unsafe/u"), 1);
    assert_int_equal(cancel(w, id, &e), 0); /* nor is it cancelled on a guess */
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    assert_int_equal(resolve(w, id, 2, MT_DONE, "{}", &e), -1); /* no such effect */
    assert_int_equal(e.kind, MT_CONFLICT);
    assert_int_equal(resolve(w, id, 1, MT_DONE, "{", &e), -1);
    assert_int_equal(e.kind, MT_INVALID_REQUEST);
    assert_int_equal(resolve(w, id, 1, MT_UNKNOWN, "{}", &e), -1);
    assert_int_equal(resolve(w, id, 1, MT_DONE, "{\"status\":201}", &e), 0);
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_CANCELLED);
    assert_int_equal(sent_times(w, "/unsafe/u"), 1);
}

static int unsafe_in_two_segments(struct flow *f) {
    bool second = mt_json_int(f->in, "n", 0) == 1;
    unsafe_charge(f, second ? "v" : "u");
    if (!second) go_on(f, "{\"n\":1}");
    finish(f, "1");
    return 0;
}

/* Positions begin anew in a segment: what is sent again for an effect of the last one settles none of this.
 */
static void test_a_resolution_is_for_its_segment(void **state) {
    struct world *w = *state;
    struct mt_error e;
    struct mt_run run;
    net_rule(w, "/unsafe/u", FAULT_DROP_AFTER, 1);
    net_rule(w, "/unsafe/v", FAULT_DROP_BEFORE, 1);
    const char *id = begin(w, unsafe_in_two_segments);
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    for (int segment = 0; segment < 2; segment++) {
        assert_int_equal(mt_engine_resolve(w->engine, id, segment, 1, MT_DONE, "{}", NULL, &run, &e), 0);
        mt_run_clear(&run);
        assert_true(world_settle(w));
        if (segment == 1) break;
        assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
        assert_int_equal(mt_engine_resolve(w->engine, id, 0, 1, MT_DONE, "{}", NULL, &run, &e), -1);
        assert_int_equal(e.kind, MT_CONFLICT);
        assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    }
    assert_state(w, id, MT_RUN_COMPLETED);
}

static void test_resolved_as_rejected(void **state) {
    struct world *w = *state;
    struct mt_error e;
    net_rule(w, "/unsafe/u", FAULT_DROP_BEFORE, 1);
    const char *id = begin(w, unsafe_one);
    assert_int_equal(resolve(w, id, 1, MT_REJECTED, NULL, &e), 0);
    assert_true(world_settle(w));
    assert_output(
        w, id,
        "{\"kind\":\"conflict\",\"message\":\"settled by hand as not done\",\"outcome\":\"rejected\"}");
}

static void test_unsafe_may_be_sent_again_when_it_never_left(void **state) {
    struct world *w = *state;
    net_rule(w, "/unsafe/u", FAULT_NOT_SENT, 2);
    net_rule(w, "/unsafe/u", FAULT_BUSY, 1);
    const char *id = begin(w, unsafe_one);
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_COMPLETED);
    assert_int_equal(done_times(w, "/unsafe/u"), 1);
}

/* The entry as it is in the store while the script goes on. */
static enum mt_outcome stored_outcome(struct flow *f, int seq) {
    struct mt_entry *entries;
    enum mt_outcome outcome = MT_OUTCOME_NONE;
    size_t n = journal_of(f->w, mt_exec_run_id(f->x), 0, &entries);
    for (size_t i = 0; i < n; i++)
        if (entries[i].seq == seq) outcome = entries[i].outcome;
    journal_free(entries, n);
    return outcome;
}

static int looks_at_its_journal(struct flow *f) {
    unsafe_charge(f, "u");
    bool unsafe_kept = stored_outcome(f, 1) == MT_DONE;
    store_put(f, "p");
    bool natural_kept = stored_outcome(f, 2) == MT_DONE;
    charge(f, "a"); /* may be had again: it waits for the next batch */
    bool keyed_waits = stored_outcome(f, 3) == MT_OUTCOME_NONE;
    finish(f, unsafe_kept && natural_kept && keyed_waits ? "true" : "false");
    return 0;
}

static void test_what_cannot_be_had_again_is_written_at_once(void **state) {
    struct world *w = *state;
    assert_output(w, begin(w, looks_at_its_journal), "true");
}

static int reads(struct flow *f) {
    const char *error = NULL;
    try_call(f, "http.get", "{\"url\":\"" WORLD_BASE "/object/1\"}", &error);
    finish(f, error ? error : "\"read\"");
    return 0;
}

static void test_unknown_read_reaches_the_script(void **state) {
    struct world *w = *state;
    net_rule(w, "/object/1", FAULT_BROKEN, 100);
    const char *id = begin(w, reads);
    assert_true(world_drive(w));
    struct mt_run run = run_of(w, id);
    assert_int_equal(run.state, MT_RUN_COMPLETED);
    assert_non_null(strstr(run.output, "\"outcome\":\"unknown\""));
    mt_run_clear(&run);
    assert_int_equal(sent_times(w, "/object/1"), 8);
}

static int creates(struct flow *f) {
    const char *error = NULL;
    const char *value = try_call(
        f, "mintro.intents.create",
        "{\"amount\":{\"$money\":\"80.00 USD\"},\"email\":\"a@example.com\",\"integration_type\":\"iframe\","
        "\"name\":\"A\",\"order_items\":[],\"reference_id\":\"ORDER-1\"}",
        &error);
    finish(f, value ? value : error);
    return 0;
}

static void test_same_key_after_an_unknown_outcome(void **state) {
    struct world *w = *state;
    net_rule(w, "/intents", FAULT_DROP_AFTER, 2);
    net_rule(w, "/intents", FAULT_BROKEN, 2);
    const char *id = begin(w, creates);
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_COMPLETED);
    assert_int_equal(w->net.count, 5);
    for (size_t i = 1; i < w->net.count; i++) assert_string_equal(w->net.sent[i].key, w->net.sent[0].key);
    assert_int_equal(w->net.done_count, 1);
    assert_safe(w);
}

static void test_another_key_after_a_definite_no(void **state) {
    struct world *w = *state;
    net_rule(w, "/intents", FAULT_BUSY_LATER, 3); /* each wait is a timer: the request is built anew */
    const char *id = begin(w, creates);
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_COMPLETED);
    assert_int_equal(w->net.count, 4);
    for (size_t i = 0; i < w->net.count; i++)
        for (size_t k = 0; k < i; k++) assert_string_not_equal(w->net.sent[i].key, w->net.sent[k].key);
    assert_true(now_of(w) >= WORLD_START + 90000); /* it waited as long as it was asked to */
}

static void test_an_old_key_protects_nothing(void **state) {
    struct world *w = *state;
    net_rule(w, "/intents", FAULT_DROP_AFTER, 1);
    net_rule(w, "POST /api/platform/intents", FAULT_BROKEN, 1000);
    const char *id = begin(w, creates);
    assert_true(world_drive(w)); /* after a day the key is forgotten, and reading finds the intent */
    assert_state(w, id, MT_RUN_COMPLETED);
    assert_true(now_of(w) > WORLD_START + 86400000);
    assert_true(sent_times(w, "/intents/reference/ORDER-1") >= 1);
    assert_int_equal(w->net.done_count, 1);
    struct mt_run run = run_of(w, id);
    assert_non_null(strstr(run.output, "\"intent_id\":\"pi_ORDER-1\""));
    mt_run_clear(&run);
}

static int cancels_intent(struct flow *f) {
    const char *error = NULL;
    creates(f);
    mt_buf_reset(&f->result->value);
    const char *value = try_call(f, "mintro.intents.cancel", "{\"intent_id\":\"pi_ORDER-1\"}", &error);
    finish(f, value ? value : error);
    return 0;
}

static void test_natural_is_read_back(void **state) {
    struct world *w = *state;
    net_rule(w, "/cancel", FAULT_DROP_AFTER, 1);
    const char *id = begin(w, cancels_intent);
    assert_true(world_drive(w));
    assert_output(w, id, "{\"intent_id\":\"pi_ORDER-1\",\"status\":\"cancelled\"}");
    assert_int_equal(sent_times(w, "/cancel"), 1);
}

static void test_natural_is_sent_again_when_it_did_not_happen(void **state) {
    struct world *w = *state;
    net_rule(w, "/cancel", FAULT_DROP_BEFORE, 1);
    const char *id = begin(w, cancels_intent);
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_COMPLETED);
    assert_int_equal(sent_times(w, "/cancel"), 2);
    assert_string_equal(mt_json_str(json_object_get(w->net.intents, "ORDER-1"), "status", ""), "cancelled");
}

static void test_declined_is_the_scripts(void **state) {
    struct world *w = *state;
    net_rule(w, "/charge/a", FAULT_DECLINE, 1);
    const char *id = begin(w, charges);
    assert_state(w, id, MT_RUN_FAILED); /* an uncaught error of the world */
    assert_error(w, id, "\"outcome\":\"rejected\"");
    assert_int_equal(sent_times(w, "/charge/a"), 1);
}

/* ---- accounts ---- */

static void test_another_account_parks(void **state) {
    struct world *w = *state;
    struct mt_error e;
    net_rule(w, "/intents", FAULT_DROP_AFTER, 1);
    net_rule(w, "/intents", FAULT_BUSY_LATER, 1);
    const char *id = begin(w, creates);
    assert_state(w, id, MT_RUN_WAITING);
    world_stop(w);
    w->mintro_url = "http://127.0.0.1:17";
    world_open(w);
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    assert_error(w, id, "http://127.0.0.1:17");
    world_stop(w);
    w->mintro_url = WORLD_BASE;
    world_open(w);
    assert_int_equal(retry(w, id, &e), 0);
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_COMPLETED);
    assert_int_equal(w->net.done_count, 1);
    assert_safe(w);
}

static void test_an_account_that_is_gone_parks(void **state) {
    struct world *w = *state;
    net_rule(w, "/intents", FAULT_DROP_AFTER, 1);
    net_rule(w, "/intents", FAULT_BUSY_LATER, 1);
    const char *id = begin(w, creates);
    world_stop(w);
    w->mintro_url = NULL;
    world_open(w);
    assert_true(world_drive(w));
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION); /* the script does not hear "not sent" of what was sent */
    assert_error(w, id, "not configured");
}

static void test_unconfigured_is_not_sent(void **state) {
    struct world *w = *state;
    w->mintro_url = NULL;
    const char *id = begin(w, creates);
    struct mt_run run = run_of(w, id);
    assert_int_equal(run.state, MT_RUN_COMPLETED);
    assert_non_null(strstr(run.output, "\"outcome\":\"not_sent\""));
    mt_run_clear(&run);
}

/* ---- secrets ---- */

static int ends_early(struct flow *f) {
    finish(f, "1");
    return 0;
}

static int secret_undo(struct flow *f) {
    const char *params =
        "{\"headers\":{\"X-Api-Key\":\"hush-hush\"},\"idempotency_key\":\"k\",\"url\":\"" WORLD_BASE
        "/refund/x\"}";
    mt_effect_undo(f->x, "http.post", params, strlen(params), "flow.lua:70", &f->a);
    flow_take(f);
    const char *call_params =
        "{\"headers\":{\"X-Api-Key\":\"hush-hush\"},\"idempotency_key\":\"k2\",\"url\":\"" WORLD_BASE
        "/charge/x\"}";
    call(f, "http.post", call_params);
    fail_flow(f, "sold_out");
    return 0;
}

static void test_secrets_are_sealed(void **state) {
    struct world *w = *state;
    const char *id = begin(w, secret_undo);
    assert_state(w, id, MT_RUN_FAILED);
    int with_header = 0;
    for (size_t i = 0; i < w->net.count; i++)
        with_header += strstr(w->net.sent[i].bytes, "X-Api-Key: hush-hush") != NULL;
    assert_int_equal(with_header, 2);
    struct mt_entry *entries;
    size_t n = journal_of(w, id, 0, &entries);
    for (size_t i = 0; i < n; i++) {
        assert_true(!entries[i].params || !strstr(entries[i].params, "hush"));
        assert_true(!entries[i].result || !strstr(entries[i].result, "hush"));
        assert_true(!entries[i].meta || !strstr(entries[i].meta, "hush"));
        if (entries[i].request) assert_null(memmem(entries[i].request, entries[i].request_len, "hush", 4));
    }
    journal_free(entries, n);
}

#define SECRET_INPUT "{\"list\":[{\"$secret\":\"hush-b\"}],\"pin\":{\"$secret\":\"hush-a\"},\"plain\":1}"

/* The script has them bare; what it passes on has their marks, which its schema gives them. */
static int secret_input(struct flow *f) {
    assert_string_equal(f->input, "{\"list\":[\"hush-b\"],\"pin\":\"hush-a\",\"plain\":1}");
    start_child(f, "child", "{\"name\":{\"$secret\":\"hush-c\"}}", "k", true);
    const char *again = start_child(f, "child", "{\"name\":{\"$secret\":\"hush-c\"}}", "k", true);
    assert_non_null(strstr(again, "\"existing\":true"));
    await_event(f, "order", "o", -1);
    go_on(f, SECRET_INPUT);
    return 0;
}

static void no_hush(struct world *w, const char *id) {
    struct mt_run run = run_of(w, id);
    struct mt_entry *entries;
    struct mt_buf shown;
    mt_buf_init(&shown, MT_VALUE_MAX);
    assert_null(strstr(run.input, "hush"));
    mt_run_to_json(w->engine, &run, &shown);
    size_t n = journal_of(w, id, -1, &entries);
    for (size_t i = 0; i < n; i++) {
        mt_entry_to_json(w->engine, &entries[i], &shown);
        assert_true(!entries[i].params || !strstr(entries[i].params, "hush"));
    }
    assert_null(strstr(shown.data, "hush"));
    assert_null(strstr(shown.data, "$s"));
    assert_non_null(strstr(shown.data, "\"[sealed]\""));
    journal_free(entries, n);
    mt_buf_clear(&shown);
    mt_run_clear(&run);
}

static void test_secret_inputs_are_sealed(void **state) {
    struct world *w = *state;
    struct mt_error e;
    script = secret_input;
    world_open(w);
    char id[MT_ID_SIZE];
    mt_copy(id, sizeof id, start_run(w, "script", SECRET_INPUT, NULL));
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_WAITING);
    no_hush(w, id);
    struct mt_run first = run_of(w, id), second;
    assert_int_equal(mt_engine_signal(w->engine, "order", "o", "{}", NULL, NULL, NULL, &e), 0);
    assert_true(world_settle(w));
    second = run_of(w, id);
    assert_int_equal(second.segment, 1); /* sealed anew, and opened where it belongs */
    assert_string_not_equal(first.input, second.input);
    assert_state(w, id, MT_RUN_WAITING);
    no_hush(w, id);
    mt_run_clear(&first);
    mt_run_clear(&second);
}

static void test_secret_inputs_are_compared(void **state) {
    struct world *w = *state;
    struct mt_run run;
    struct mt_error e;
    bool existing;
    script = ends_early;
    world_open(w);
    start_run(w, "script", SECRET_INPUT, "k");
    struct mt_start again = {.flow = "script", .input = SECRET_INPUT, .key = "k"};
    assert_int_equal(mt_engine_start_run(w->engine, &again, &run, &existing, &e), 0);
    assert_true(existing);
    mt_run_clear(&run);
    again.input = "{\"list\":[{\"$secret\":\"hush-b\"}],\"pin\":{\"$secret\":\"hush-x\"},\"plain\":1}";
    assert_int_equal(mt_engine_start_run(w->engine, &again, &run, &existing, &e), -1);
    assert_string_equal(e.code, "key_reused");
    assert_null(strstr(e.message, "hush"));
}

/* Another key on the next start: what was sealed with the old one is a person's to repair. */
static void test_a_lost_key_parks(void **state) {
    struct world *w = *state;
    struct mt_error e;
    script = secret_input;
    world_open(w);
    char id[MT_ID_SIZE];
    mt_copy(id, sizeof id, start_run(w, "script", SECRET_INPUT, NULL));
    assert_true(world_settle(w));
    world_stop(w);
    w->key.bytes[0] ^= 1;
    world_open(w);
    assert_int_equal(mt_engine_signal(w->engine, "order", "o", "{}", NULL, NULL, NULL, &e), 0);
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    assert_error(w, id, "secret key file");
    world_stop(w);
    w->key.bytes[0] ^= 1;
    world_open(w);
    assert_int_equal(retry(w, id, &e), 0);
    assert_true(world_settle(w));
    assert_state(w, id, MT_RUN_WAITING); /* in its next segment */
}

static int sleeps_once(struct flow *f) {
    nap(f, 60000);
    return 0;
}

/* Who has the store alone cannot guess what was digested. */
static void test_digests_are_keyed(void **state) {
    struct world *w = *state;
    struct mt_entry *entries;
    char plain[65];
    const char *id = begin(w, sleeps_once);
    mt_sha256_hex("60000", 5, plain);
    size_t n = journal_of(w, id, 0, &entries);
    assert_int_equal(n, 1);
    assert_int_equal(strlen(entries[0].digest), 32);
    assert_int_not_equal(strncmp(entries[0].digest, plain, 32), 0);
    journal_free(entries, n);
}

static int buys_epin(struct flow *f) {
    const char *value = call(f, "mint.epins.generate", "{\"amount\":{\"$money\":\"5.00 USD\"}}");
    bool has_it = strstr(value, "5311 8601 2711 2955") != NULL;
    nap(f, 1000); /* from here on it comes out of the journal */
    finish(f, has_it ? "true" : "false");
    return 0;
}

static void assert_no_pin(struct world *w, const char *id) {
    struct mt_entry *entries;
    size_t n = journal_of(w, id, 0, &entries);
    assert_true(n >= 1);
    assert_true(entries[0].sealed);
    for (size_t i = 0; i < n; i++) assert_true(!entries[i].result || !strstr(entries[i].result, "5311"));
    journal_free(entries, n);
}

static void test_answers_with_secrets_are_sealed(void **state) {
    struct world *w = *state;
    const char *id = begin(w, buys_epin);
    assert_true(world_drive(w));
    assert_output(w, id, "true");
    assert_int_equal(atomic_load(&w->executions), 2);
    assert_no_pin(w, id);
}

static void test_what_a_person_gives_for_one_is_sealed_too(void **state) {
    struct world *w = *state;
    struct mt_error e;
    net_rule(w, "/pwapi/mint", FAULT_DROP_AFTER, 1);
    const char *id = begin(w, buys_epin);
    assert_state(w, id, MT_RUN_NEEDS_ATTENTION);
    assert_int_equal(resolve(w, id, 1, MT_DONE, "{\"epins\":[{\"pin_code\":\"5311 8601 2711 2955\"}]}", &e),
                     0);
    assert_true(world_drive(w));
    assert_output(w, id, "true");
    assert_no_pin(w, id);
    assert_int_equal(sent_times(w, "/pwapi/mint"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_unknown_unsafe_waits_for_a_person),
        TEST(test_a_resolution_is_for_its_segment),
        TEST(test_resolved_as_rejected),
        TEST(test_unsafe_may_be_sent_again_when_it_never_left),
        TEST(test_what_cannot_be_had_again_is_written_at_once),
        TEST(test_unknown_read_reaches_the_script),
        TEST(test_same_key_after_an_unknown_outcome),
        TEST(test_another_key_after_a_definite_no),
        TEST(test_an_old_key_protects_nothing),
        TEST(test_natural_is_read_back),
        TEST(test_natural_is_sent_again_when_it_did_not_happen),
        TEST(test_declined_is_the_scripts),
        TEST(test_another_account_parks),
        TEST(test_an_account_that_is_gone_parks),
        TEST(test_unconfigured_is_not_sent),
        TEST(test_secrets_are_sealed),
        TEST(test_secret_inputs_are_sealed),
        TEST(test_secret_inputs_are_compared),
        TEST(test_a_lost_key_parks),
        TEST(test_digests_are_keyed),
        TEST(test_answers_with_secrets_are_sealed),
        TEST(test_what_a_person_gives_for_one_is_sealed_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
