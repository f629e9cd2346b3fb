/* links: mt_providers */
/* Accounts from configuration, operations by name, the breaker and the rate limit on a clock that stands
 * still, metrics. */
#include "provider_fake.h"

static void accounts_come_from_configuration(void **state) {
    (void)state;
    struct world w = world_with("{\"mintro\":{\"client_id\":\"id\",\"client_secret\":\"s3cret\"}}", NULL);
    const struct mt_account *a = mt_providers_account(w.providers, "mintro");
    assert_string_equal(a->base_url, "https://mintro.paywithwallet.net");
    assert_string_equal(a->label, "default");
    assert_string_equal(mt_account_credential(a, "client_secret"), "s3cret");
    assert_string_equal(mt_account_credential(a, "other"), "");
    assert_non_null(mt_providers_account(w.providers, "http"));
    assert_null(mt_providers_account(w.providers, "nobody"));
    world_end(&w);
    w = world_with("{\"mintro\":{\"base_url\":\"https://comatrix.paywithwallet.net/x//"
                   "\",\"label\":\"eu\",\"client_id\":\"id\","
                   "\"client_secret\":\"s\"}}",
                   NULL);
    a = mt_providers_account(w.providers, "mintro");
    assert_string_equal(a->base_url, "https://comatrix.paywithwallet.net/x");
    assert_string_equal(a->label, "eu");
    world_end(&w);
    /* Nothing configured: known, without an account. */
    w = world_with("{\"mintro\":{}}", NULL);
    const struct mt_operation *op = mt_operation_find(w.providers, "mintro.intents.get", &a, &w.e);
    assert_non_null(op);
    assert_null(a);
    assert_non_null(mt_operation_find(w.providers, "http.get", &a, &w.e));
    assert_non_null(a);
    world_end(&w);
}

static void a_sandbox_replaces_every_account(void **state) {
    (void)state;
    static const char *const urls[] = {"http://127.0.0.1:8090/", "http://localhost:1", "http://[::1]:8090"};
    for (size_t i = 0; i < 3; i++) {
        struct world w =
            world_with("{\"mintro\":{\"client_id\":\"real\",\"client_secret\":\"real\"}}", urls[i]);
        const struct mt_account *a = mt_providers_account(w.providers, "mintro");
        assert_non_null(a);
        assert_memory_equal(a->base_url, urls[i], strlen(a->base_url));
        assert_string_equal(mt_account_credential(a, "client_id"), "mintro_test_client");
        assert_string_equal(mt_account_credential(a, "client_secret"), "mintro_test_secret");
        world_end(&w);
    }
}

static void wrong_configuration_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *config, *sandbox, *message;
    } rows[] = {
        {"{\"mintroo\":{}}", NULL, "providers: there is no provider \"mintroo\" (did you mean \"mintro\"?)"},
        {"[]", NULL, "providers is an array, wanted an object"},
        {"{\"mintro\":7}", NULL, "providers.mintro is an integer, wanted an object"},
        {"{\"mintro\":{\"client_idd\":\"x\"}}", NULL,
         "providers.mintro: unknown setting \"client_idd\" (did you mean \"client_id\"?)"},
        {"{\"mintro\":{\"client_id\":\"x\"}}", NULL,
         "providers.mintro: \"client_secret\" is missing (the X-Client-Secret that belongs to it)"},
        {"{\"mintro\":{\"client_id\":7}}", NULL, "providers.mintro.client_id is an integer, wanted a string"},
        {"{\"mintro\":{\"client_id\":\"a\\r\\nX: b\",\"client_secret\":\"s\"}}", NULL,
         "providers.mintro.client_id: wanted 1 to 1024 bytes without control characters"},
        {"{\"mintro\":{\"base_url\":\"http://example.com\",\"client_id\":\"a\",\"client_secret\":\"s\"}}",
         NULL,
         "providers.mintro.base_url: credentials would travel to example.com in the clear; wanted https:// "
         "(http:// is for "
         "this machine only)"},
        {"{\"mintro\":{\"base_url\":\"https://"
         "127.0.0.1.example.com\",\"client_id\":\"mintro_test_client\",\"client_secret\":\"s\"}}",
         NULL,
         "providers.mintro.client_id is the sandbox's test credential, which is for a sandbox on this "
         "machine only; "
         "https://127.0.0.1.example.com is not one"},
        {"{\"mintro\":{\"client_id\":\"a\",\"client_secret\":\"mintro_test_secret\"}}", NULL,
         "providers.mintro.client_secret is the sandbox's test credential, which is for a sandbox on this "
         "machine only; "
         "https://mintro.paywithwallet.net is not one"},
        {"{\"mintro\":{\"max_per_second\":-1}}", NULL,
         "providers.mintro.max_per_second: wanted an integer from 0 (no limit) to 1000000"},
        {"{\"http\":{\"base_url\":\"https://a\"}}", NULL, "providers.http: unknown setting \"base_url\""},
        {NULL, "http://10.0.0.1:8090",
         "sandbox: 10.0.0.1 is not this machine; a sandbox is on 127.0.0.1, ::1 or localhost"},
        {NULL, "127.0.0.1:8090", "sandbox: \"127.0.0.1:8090\" is no URL; wanted http://HOST:PORT"},
        {NULL, "http://127.0.0.1@evil.example/",
         "sandbox: \"http://127.0.0.1@evil.example/\" is no URL; wanted http://HOST:PORT"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world w = world_with(rows[i].config, rows[i].sandbox);
        assert_null(w.providers);
        assert_int_equal(w.e.kind, MT_USAGE);
        if (strcmp(w.e.message, rows[i].message) != 0)
            fail_msg("got:  %s\nwant: %s", w.e.message, rows[i].message);
        world_end(&w);
    }
    /* A base URL with a user name is not even repeated. */
    struct world w = world_with(
        "{\"mintro\":{\"base_url\":\"https://u:hunter2@a\",\"client_id\":\"a\",\"client_secret\":\"s\"}}",
        NULL);
    assert_null(w.providers);
    assert_null(strstr(w.e.message, "hunter2"));
    world_end(&w);
}

static void unknown_names_get_a_suggestion(void **state) {
    (void)state;
    static const struct {
        const char *name, *message;
    } rows[] = {
        {"mintro.intents.creat",
         "mintro has no operation \"intents.creat\" (did you mean \"mintro.intents.create\"?)"},
        {"mintro.create", "mintro has no operation \"create\" (did you mean \"mintro.intents.create\"?)"},
        {"mintro", "mintro has no operation \"\"; it has intents.create, intents.get, "
                   "intents.get_by_reference, intents.cancel, "
                   "subscriptions.cancel, intents.settled, intents.release"},
        {"mintor.intents.get", "there is no provider \"mintor\" (did you mean \"mintro\"?)"},
        {"http.psot", "http has no operation \"psot\" (did you mean \"http.post\"?)"},
    };
    struct mt_error e;
    const struct mt_account *account;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_null(mt_operation_find(NULL, rows[i].name, &account, &e));
        assert_int_equal(e.kind, MT_INVALID_REQUEST);
        if (strcmp(e.message, rows[i].message) != 0)
            fail_msg("got:  %s\nwant: %s", e.message, rows[i].message);
    }
    /* Nothing near: all are named. */
    assert_null(mt_operation_find(NULL, "stripe.charge", &account, &e));
    assert_non_null(strstr(e.message, "there is no provider \"stripe\"; there are mintro, "));
    for (const struct mt_provider *const *p = mt_providers_all(); *p != NULL; p++)
        assert_non_null(strstr(e.message, (*p)->name));
    assert_null(mt_operation_find(NULL, "", &account, &e));
    assert_non_null(strstr(e.message, "there is no provider \"\"; there are mintro, "));
}

static void every_row_of_every_table_is_whole(void **state) {
    (void)state;
    for (const struct mt_provider *const *p = mt_providers_all(); *p != NULL; p++) {
        assert_true(strlen((*p)->name) < sizeof(((struct mt_error *)0)->provider));
        assert_non_null((*p)->title);
        assert_non_null((*p)->authorize);
        for (const struct mt_operation *op = (*p)->operations; op->name != NULL; op++) {
            assert_true(strlen(op->name) < sizeof(((struct mt_error *)0)->operation));
            assert_non_null(op->doc);
            assert_non_null(op->returns);
            assert_non_null(op->params);
            if (op->kind == MT_OPERATION_CALL) assert_true(op->build != NULL && op->read != NULL);
            if (op->kind == MT_OPERATION_SETTLED) assert_true(op->at_rest != NULL && op->topic != NULL);
            if (op->kind == MT_OPERATION_RELEASE) assert_non_null(op->decide);
            if (op->repeat == MT_REPEAT_KEYED) assert_true(op->key_ttl_s > 0);
            assert_int_equal(op->reconcile != NULL, op->reconciled != NULL);
            if (op->read_operation != NULL) {
                char name[100];
                struct mt_error e;
                const struct mt_account *account;
                mt_format(name, sizeof(name), "%s.%s", (*p)->name, op->read_operation);
                assert_int_equal(mt_operation_find(NULL, name, &account, &e)->repeat, MT_REPEAT_READ);
            }
            for (const struct mt_param *row = op->params; row->name != NULL; row++) assert_non_null(row->doc);
        }
        for (const struct mt_error_row *row = (*p)->errors; row->code != NULL; row++) {
            assert_true(row->kind != MT_KIND_NONE);
            assert_non_null(row->meaning);
        }
    }
    struct mt_provider_key keys[128];
    size_t n = mt_providers_config_keys(keys, 128);
    assert_int_equal(n, mt_providers_config_keys(NULL, 0));
    bool secret = false;
    for (size_t i = 0; i < n; i++)
        secret = secret || (strcmp(keys[i].key, "client_secret") == 0 && keys[i].type == MT_SET_SECRET);
    assert_true(secret);
}

/* ---- breaker, on a clock that stands still ---- */

static const struct mt_provider *mintro(void) {
    return mt_providers_all()[0];
}

static const struct mt_provider *http_row(void) {
    const struct mt_provider *const *p = mt_providers_all();
    while (!(*p)->many_hosts) p++;
    return *p;
}

static void call_once(struct world *w, bool failure) {
    assert_int_equal(mt_provider_admit(w->providers, mintro()), 0);
    mt_provider_report(w->providers, mintro(), failure);
}

static void pass(struct world *w, int64_t ms) {
    assert_int_equal(w->clock->advance(w->clock, ms, &w->e), 0);
}

static void the_breaker_opens_probes_and_closes(void **state) {
    (void)state;
    struct world w = world_with(NULL, "http://127.0.0.1:1");
    for (int i = 0; i < 4; i++) call_once(&w, true);
    assert_int_equal(mt_provider_breaker(w.providers, mintro()), MT_BREAKER_CLOSED);
    call_once(&w, true);
    assert_int_equal(mt_provider_breaker(w.providers, mintro()), MT_BREAKER_OPEN);
    assert_int_equal(mt_provider_admit(w.providers, mintro()), 5000);
    pass(&w, 4999);
    assert_int_equal(mt_provider_admit(w.providers, mintro()), 1);
    pass(&w, 1);
    assert_int_equal(mt_provider_admit(w.providers, mintro()), 0); /* the probe */
    assert_int_equal(mt_provider_breaker(w.providers, mintro()), MT_BREAKER_HALF_OPEN);
    assert_true(mt_provider_admit(w.providers, mintro()) > 0); /* one at a time */
    mt_provider_report(w.providers, mintro(), true);
    assert_int_equal(mt_provider_admit(w.providers, mintro()), 10000); /* twice as long */
    pass(&w, 10000);
    assert_int_equal(mt_provider_admit(w.providers, mintro()), 0);
    mt_provider_report(w.providers, mintro(), false);
    assert_int_equal(mt_provider_breaker(w.providers, mintro()), MT_BREAKER_CLOSED);
    for (int i = 0; i < 5; i++) call_once(&w, true);
    assert_int_equal(mt_provider_admit(w.providers, mintro()), 5000); /* and short again */
    /* Never longer than a minute; a probe that was lost does not block for ever. */
    for (int i = 0; i < 8; i++) {
        pass(&w, 60000);
        assert_int_equal(mt_provider_admit(w.providers, mintro()), 0);
        mt_provider_report(w.providers, mintro(), true);
    }
    assert_int_equal(mt_provider_admit(w.providers, mintro()), 60000);
    pass(&w, 60000);
    assert_int_equal(mt_provider_admit(w.providers, mintro()), 0);
    pass(&w, 119999);
    assert_true(mt_provider_admit(w.providers, mintro()) > 0);
    pass(&w, 1);
    assert_int_equal(mt_provider_admit(w.providers, mintro()), 0);
    world_end(&w);
}

static void the_breaker_needs_half_of_recent_calls(void **state) {
    (void)state;
    struct world w = world_with(NULL, "http://127.0.0.1:1");
    /* Under load, a burst of lost connections is not an outage; refusals and declines never count. */
    for (int i = 0; i < 100; i++) call_once(&w, false);
    for (int i = 0; i < 64; i++) call_once(&w, true);
    assert_int_equal(mt_provider_breaker(w.providers, mintro()), MT_BREAKER_CLOSED);
    pass(&w, 30000); /* forgotten */
    for (int i = 0; i < 4; i++) call_once(&w, true);
    assert_int_equal(mt_provider_breaker(w.providers, mintro()), MT_BREAKER_CLOSED);
    pass(&w, 16000); /* still remembered */
    call_once(&w, true);
    assert_int_equal(mt_provider_breaker(w.providers, mintro()), MT_BREAKER_OPEN);
    /* One host down says nothing of the others: "http" has no breaker. */
    const struct mt_provider *http = http_row();
    for (int i = 0; i < 50; i++) mt_provider_report(w.providers, http, true);
    assert_int_equal(mt_provider_admit(w.providers, http), 0);
    world_end(&w);
}

static void the_rate_limit_is_a_token_bucket(void **state) {
    (void)state;
    struct world w = world_with(
        "{\"mintro\":{\"client_id\":\"a\",\"client_secret\":\"s\",\"max_per_second\":10,\"burst\":3},"
        "\"http\":{\"max_per_second\":1}}",
        NULL);
    for (int i = 0; i < 3; i++) call_once(&w, false);
    assert_int_equal(mt_provider_admit(w.providers, mintro()), 100);
    pass(&w, 99);
    assert_int_equal(mt_provider_admit(w.providers, mintro()), 1);
    pass(&w, 1);
    call_once(&w, false);
    assert_int_equal(mt_provider_admit(w.providers, mintro()), 100);
    pass(&w, 3600000); /* full, and no fuller */
    for (int i = 0; i < 3; i++) call_once(&w, false);
    assert_true(mt_provider_admit(w.providers, mintro()) > 0);
    pass(&w, INT64_C(86400000) * 365 * 50);
    call_once(&w, false);
    const struct mt_provider *http = http_row();
    assert_int_equal(mt_provider_admit(w.providers, http), 0);
    assert_int_equal(mt_provider_admit(w.providers, http), 1000);
    world_end(&w);
}

static void calls_are_counted(void **state) {
    (void)state;
    struct world w = world_with("{\"mintro\":{\"client_id\":\"abc\",\"client_secret\":\"s3cret\"}}", NULL);
    const struct mt_account *account;
    const struct mt_operation *op = mt_operation_find(w.providers, "mintro.intents.get", &account, &w.e);
    mt_provider_count(w.providers, account->provider, op, MT_DONE, 3000);
    mt_provider_count(w.providers, account->provider, op, MT_DONE, 1500000);
    mt_provider_count(w.providers, account->provider, op, MT_UNKNOWN, 30000000);
    struct mt_buf out;
    mt_buf_init(&out, 1 << 20);
    mt_providers_metrics(w.providers, &out);
    static const char *const lines[] = {
        "mintage_provider_calls_total{provider=\"mintro\",operation=\"intents.get\",outcome=\"done\"} 2\n",
        "mintage_provider_calls_total{provider=\"mintro\",operation=\"intents.get\",outcome=\"unknown\"} 1\n",
        "operation=\"intents.get\",le=\"0.0025\"} 0\n",
        "operation=\"intents.get\",le=\"0.005\"} 1\n",
        "operation=\"intents.get\",le=\"10\"} 2\n",
        "operation=\"intents.get\",le=\"+Inf\"} 3\n",
        "mintage_provider_call_seconds_sum{provider=\"mintro\",operation=\"intents.get\"} 31.503000\n",
        "mintage_provider_call_seconds_count{provider=\"mintro\",operation=\"intents.get\"} 3\n",
        "mintage_provider_breaker_state{provider=\"mintro\"} 0\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (strstr(out.data, lines[i]) == NULL) fail_msg("no line: %s in\n%s", lines[i], out.data);
    mt_buf_clear(&out);
    char *text = mt_providers_json(w.providers);
    assert_null(strstr(text, "s3cret"));
    json_t *list = from_text(text);
    size_t providers = 0;
    while (mt_providers_all()[providers] != NULL) providers++;
    assert_int_equal(json_array_size(list), providers);
    const json_t *first = json_array_get(list, 0);
    assert_string_equal(mt_json_str(first, "name", ""), "mintro");
    assert_true(mt_json_bool(first, "configured", false));
    assert_string_equal(mt_json_str(first, "breaker", ""), "closed");
    assert_int_equal(json_array_size(json_object_get(first, "operations")), 7);
    json_decref(list);
    free(text);
    world_end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accounts_come_from_configuration),
        cmocka_unit_test(a_sandbox_replaces_every_account),
        cmocka_unit_test(wrong_configuration_is_refused),
        cmocka_unit_test(unknown_names_get_a_suggestion),
        cmocka_unit_test(every_row_of_every_table_is_whole),
        cmocka_unit_test(the_breaker_opens_probes_and_closes),
        cmocka_unit_test(the_breaker_needs_half_of_recent_calls),
        cmocka_unit_test(the_rate_limit_is_a_token_bucket),
        cmocka_unit_test(calls_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
