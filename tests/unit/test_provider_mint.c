/* links: mt_providers */
/* MINT: the signature's vectors, exact request bytes, every shape of an answer, every documented code,
 * answers that make no sense, and that neither generating nor redeeming is ever one that may be repeated. */
#include "provider_fake.h"
#include "providers/private.h"

#define SANDBOX "http://127.0.0.1:8090"
#define GENERATE "mint.epins.generate"
#define REDEEM "mint.epins.redeem"
/* The fake world's clock stands at 1795166400. */
#define AUTH "auth%5Bkey%5D=mint_test_public&auth%5Btimestamp%5D=1795166400&auth%5Bsign%5D="

static const char generate_params[] = "{\"amount\":{\"$money\":\"5.00 USD\"}}";
static const char redeem_params[] =
    "{\"amount\":{\"$money\":\"10.00 USD\"},\"epin\":\"1111 1111 1111 1111\",\"user_id\":\"12345\"}";
static const char generated[] =
    "{\"success\":true,\"data\":[{\"pin_id\":52775,\"pin_code\":\"5311 8601 2711 2955\",\"pin_time_expired\":"
    "1521796425,\"pin_generated_time\":1490260425,\"pin_nominal_value\":\"5.0000\",\"cu_code\":\"USD\","
    "\"cu_id\":1,\"pin_tr_amount\":\"5.0000\"}],\"reference\":\"186177\"}";

static const struct mt_provider *mint(void) {
    return &mt_provider_mint;
}

/* ---- signatures ---- */

static void the_signature_is_that_of_the_sample(void **state) {
    (void)state;
    char sign[33];
    struct mint_value values[] = {
        {"test", "1"},         {"serviceId", "0"},        {"ePinsCount", "1"},        {"currencyCode", "USD"},
        {"countryCode", "US"}, {"ePinNominalValue", "5"}, {"activationRequired", "1"}};
    mint_sign("pubkey", 1490260425, values, 7, "privkey", sign);
    assert_string_equal(sign, "c5c084e0ca5ba54d262b6baf475a08f6");
    assert_string_equal(values[0].name, "activationRequired"); /* ksort */
    assert_string_equal(values[3].name, "ePinNominalValue");   /* N before s: bytes, not letters */
    assert_string_equal(values[4].name, "ePinsCount");
    mint_sign("pubkey", 1490260425, values, 0, "privkey", sign);
    assert_string_equal(sign, "faf9f719571c09ae9d98a11c9e9a908d");
}

static void requests_are_signed_when_they_are_sent(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    w.net.body = "{\"success\":true,\"data\":[]}";
    json_decref(call(&w, "mint.balances.list", "{}", NULL));
    /* md5sum of "mint_test_public1795166400mint_test_private" */
    assert_string_equal(w.net.last.url,
                        SANDBOX "/pwapi/mint-balances?" AUTH "450b904a90725e9a0af4f677666ae8b5");
    assert_null(w.net.last.body);
    char first[33];
    mt_copy(first, sizeof(first), strstr(w.net.last.url, "sign%5D=") + 8);
    struct mt_error e;
    assert_int_equal(w.clock->advance(w.clock, 1000, &e), 0);
    json_decref(call(&w, "mint.balances.list", "{}", NULL));
    assert_non_null(strstr(w.net.last.url, "timestamp%5D=1795166401&"));
    assert_null(strstr(w.net.last.url, first));
    world_end(&w);
}

/* What authorize adds does not depend on how often it is asked: each time the kept request is signed anew. */
static void a_resend_is_signed_anew(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    struct mt_http_request kept = {0};
    const struct mt_account *account;
    const struct mt_operation *op = mt_operation_find(w.providers, GENERATE, &account, &w.e);
    json_t *params = from_text(generate_params);
    assert_int_equal(op->build(op, account, params, NULL, &kept, &w.e), 0);
    assert_null(strstr(kept.body, "auth"));
    assert_null(strstr(kept.body, "mint_test"));
    for (int i = 0; i < 2; i++) {
        char expected[64];
        struct mt_http_request req = {.method = mt_strdup(kept.method),
                                      .url = mt_strdup(kept.url),
                                      .body = mt_memdup(kept.body, kept.body_len),
                                      .body_len = kept.body_len};
        assert_int_equal(mint()->authorize(account, op, &req, &w.e), 0);
        mt_format(expected, sizeof(expected), "timestamp%%5D=%d&", 1795166400 + 600 * i);
        assert_non_null(strstr(req.body, expected));
        assert_int_equal(req.body_len, strlen(req.body));
        mt_http_request_clear(&req);
        assert_int_equal(w.clock->advance(w.clock, 600000, &w.e), 0);
    }
    mt_http_request_clear(&kept);
    json_decref(params);
    world_end(&w);
}

/* ---- requests ---- */

static void generate_sends_the_documents_fields(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    static const struct {
        const char *params, *path, *fields;
    } rows[] = {
        {generate_params, "/pwapi/mint",
         "&params%5BcurrencyCode%5D=USD&params%5BePinNominalValue%5D=5&params%5BePinsCount%5D=1"},
        {"{\"amount\":{\"$money\":\"5.00 USD\"},\"count\":1,\"country\":\"US\",\"service_id\":0,"
         "\"activation_required\":true,\"test\":true,\"account_type\":\"app\"}",
         "/pwapi/partners-mint",
         "&params%5BactivationRequired%5D=1&params%5BcountryCode%5D=US&params%5BcurrencyCode%5D=USD"
         "&params%5BePinNominalValue%5D=5&params%5BePinsCount%5D=1&params%5BserviceId%5D=0&params%5Btest%5D="
         "1"},
        {"{\"amount\":{\"$money\":\"5000 KRW\"},\"count\":100,\"activation_required\":false,\"test\":false,"
         "\"account_type\":\"reseller\"}",
         "/pwapi/mint",
         "&params%5BcurrencyCode%5D=KRW&params%5BePinNominalValue%5D=5000&params%5BePinsCount%5D=100"},
    };
    w.net.body = generated;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char url[128];
        json_t *v = call(&w, GENERATE, rows[i].params, NULL);
        assert_non_null(v);
        json_decref(v);
        mt_format(url, sizeof(url), SANDBOX "%s", rows[i].path);
        assert_string_equal(w.net.last.method, "POST");
        assert_string_equal(w.net.last.url, url);
        assert_string_equal(mt_headers_get(&w.net.last.headers, "Content-Type"),
                            "application/x-www-form-urlencoded");
        assert_memory_equal(w.net.last.body, AUTH, strlen(AUTH));
        assert_string_equal(w.net.last.body + strlen(AUTH) + 32, rows[i].fields);
        assert_null(mt_headers_get(&w.net.last.headers, "Idempotency-Key"));
    }
    world_end(&w);
}

static void the_account_says_which_url(void **state) {
    (void)state;
    struct world w =
        world_with("{\"mint\":{\"public_key\":\"k\",\"private_key\":\"p\",\"account_type\":\"app\"}}", NULL);
    w.net.body = generated;
    json_decref(call(&w, GENERATE, generate_params, NULL));
    assert_string_equal(w.net.last.url, "https://api.paymentwall.com/pwapi/partners-mint");
    json_decref(
        call(&w, GENERATE, "{\"amount\":{\"$money\":\"5.00 USD\"},\"account_type\":\"reseller\"}", NULL));
    assert_string_equal(w.net.last.url, "https://api.paymentwall.com/pwapi/mint");
    world_end(&w);
    w = world_with("{\"mint\":{\"public_key\":\"k\",\"private_key\":\"p\",\"account_type\":\"shop\"}}", NULL);
    assert_null(call(&w, GENERATE, generate_params, NULL));
    assert_string_equal(w.e.message,
                        "providers.mint.account_type is \"shop\", wanted \"reseller\" or \"app\"");
    assert_int_equal(w.net.calls, 0);
    world_end(&w);
}

static void redeem_sends_bare_digits_and_exact_money(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    static const struct {
        const char *amount, *epin, *sent;
    } rows[] = {
        {"10.00 USD", "1111 1111 1111 1111", "amount=10.00&currency=USD&epin%5B0%5D=1111111111111111&"},
        {"0.12 USD", "8661217792834101", "amount=0.12&currency=USD&epin%5B0%5D=8661217792834101&"},
        {"90071992547409.93 USD", "8661-2177-9283-4101",
         "amount=90071992547409.93&currency=USD&epin%5B0%5D=8661217792834101&"},
        {"5000 KRW", "8661217792834101", "amount=5000&currency=KRW&epin%5B0%5D=8661217792834101&"},
    };
    w.net.body = "{\"change_amount\":0.12,\"change_currency\":\"USD\",\"success\":1}";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char body[256];
        json_t *p = json_pack("{s:{s:s}, s:s, s:s}", "amount", "$money", rows[i].amount, "epin", rows[i].epin,
                              "user_id", "a b&c=d");
        json_t *v = call_json(&w, REDEEM, p, NULL);
        assert_json(v, "{\"change_amount\":{\"$money\":\"0.12 USD\"},\"change_currency\":\"USD\"}");
        json_decref(v);
        json_decref(p);
        mt_format(body, sizeof(body), "%suser_id=a%%20b%%26c%%3Dd&app_key=32a13829f2635187", rows[i].sent);
        assert_string_equal(w.net.last.url, SANDBOX "/api/pure-mint/payment");
        assert_string_equal(w.net.last.body, body);
    }
    world_end(&w);
}

static void credentials_that_are_missing_are_named(void **state) {
    (void)state;
    struct world w = world_with("{\"mint\":{\"app_key\":\"k\"}}", NULL);
    assert_null(call(&w, GENERATE, generate_params, NULL));
    assert_int_equal(w.e.kind, MT_AUTHENTICATION);
    assert_string_equal(w.e.message,
                        "mint.epins.generate needs providers.mint.public_key, which is not set (or "
                        "MINTAGE_MINT_PUBLIC_KEY)");
    world_end(&w);
    w = world_with("{\"mint\":{\"public_key\":\"k\",\"private_key\":\"p\"}}", NULL);
    assert_null(call(&w, REDEEM, redeem_params, NULL));
    assert_string_equal(w.e.message, "mint.epins.redeem needs providers.mint.app_key, which is not set (or "
                                     "MINTAGE_MINT_APP_KEY)");
    assert_int_equal(w.net.calls, 0);
    world_end(&w);
}

/* ---- answers ---- */

static void epins_are_read(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    w.net.body = generated;
    json_t *v = call(&w, GENERATE, generate_params, NULL);
    assert_json(
        v, "{\"epins\":[{\"pin_id\":52775,\"pin_code\":\"5311 8601 2711 2955\",\"pin_time_expired\":"
           "1521796425,\"pin_generated_time\":1490260425,\"pin_nominal_value\":{\"$money\":\"5.00 USD\"},"
           "\"cu_code\":\"USD\",\"cu_id\":1,\"pin_tr_amount\":{\"$money\":\"5.00 USD\"}}],"
           "\"reference\":\"186177\"}");
    json_decref(v);
    /* numbers as text and text as numbers, a fee that money cannot hold, no reference, no currency */
    w.net.body = "{\"success\":\"1\",\"data\":[{\"pin_code\":\"a\",\"pin_time_expired\":\"1521796425\","
                 "\"pin_nominal_value\":5,\"pin_tr_amount\":\"4.8755\"}]}";
    v = call(&w, GENERATE, generate_params, NULL);
    assert_json(v, "{\"epins\":[{\"pin_code\":\"a\",\"pin_time_expired\":1521796425,"
                   "\"pin_nominal_value\":{\"$money\":\"5.00 USD\"},\"pin_tr_amount\":\"4.8755\"}]}");
    json_decref(v);
    /* a single one that is no list */
    w.net.body = "{\"success\":1,\"data\":{\"pin_code\":\"a\"}}";
    v = call(&w, GENERATE, generate_params, NULL);
    assert_json(v, "{\"epins\":[{\"pin_code\":\"a\"}]}");
    json_decref(v);
    world_end(&w);
}

static void balances_keep_every_digit(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    w.net.body = "{\"success\":true,\"data\":[{\"cu_code\":\"USD\",\"balance_amount\":\"9944.0655\"},"
                 "{\"cu_code\":\"UAH\",\"balance_amount\":\"0.0000\"}],\"reference\":\"186178\"}";
    json_t *v = call(&w, "mint.balances.list", "{}", NULL);
    assert_json(
        v, "{\"balances\":[{\"cu_code\":\"USD\",\"balance_amount\":\"9944.0655\"},{\"cu_code\":\"UAH\","
           "\"balance_amount\":\"0.0000\",\"balance\":{\"$money\":\"0.00 UAH\"}}],\"reference\":\"186178\"}");
    json_decref(v);
    /* One URL, two documented shapes: each operation reads both. */
    v = call(&w, "mint.balances.get", "{\"currency\":\"USD\"}", NULL);
    assert_json(v, "{\"cu_code\":\"USD\",\"balance_amount\":\"9944.0655\",\"reference\":\"186178\"}");
    json_decref(v);
    assert_non_null(strstr(w.net.last.url, "&params%5BcurrencyCode%5D=USD"));
    assert_null(call(&w, "mint.balances.get", "{\"currency\":\"EUR\"}", NULL));
    assert_int_equal(w.e.kind, MT_PROTOCOL);
    w.net.body = "{\"success\":true,\"data\":{\"cu_code\":\"USD\",\"balance_amount\":\"9944.0600\"}}";
    v = call(&w, "mint.balances.get", "{\"currency\":\"USD\"}", NULL);
    assert_json(
        v, "{\"cu_code\":\"USD\",\"balance_amount\":\"9944.0600\",\"balance\":{\"$money\":\"9944.06 USD\"}}");
    json_decref(v);
    v = call(&w, "mint.balances.list", "{}", NULL);
    assert_int_equal(json_array_size(json_object_get(v, "balances")), 1);
    json_decref(v);
    world_end(&w);
}

static void change_is_exact_money(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    static const struct {
        const char *body, *value;
    } rows[] = {
        {"{\"success\":1,\"change_amount\":0.1,\"change_currency\":\"USD\"}",
         "{\"change_amount\":{\"$money\":\"0.10 USD\"},\"change_currency\":\"USD\"}"},
        {"{\"success\":true,\"change_amount\":\"1234.5600\",\"change_currency\":\"USD\",\"reference\":\"7\"}",
         "{\"change_amount\":{\"$money\":\"1234.56 USD\"},\"change_currency\":\"USD\",\"reference\":\"7\"}"},
        {"{\"success\":\"1\",\"change_amount\":0}", "{\"change_amount\":{\"$money\":\"0.00 USD\"}}"},
        {"{\"success\":1,\"change_amount\":500,\"change_currency\":\"KRW\"}",
         "{\"change_amount\":{\"$money\":\"500 KRW\"},\"change_currency\":\"KRW\"}"},
        /* paid all the same */
        {"{\"success\":1}", "{}"},
        {"{\"success\":1,\"change_amount\":\"0.1234\"}", "{\"change_amount\":\"0.1234\"}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        w.net.body = rows[i].body;
        json_t *v = call(&w, REDEEM, redeem_params, NULL);
        assert_json(v, rows[i].value);
        json_decref(v);
    }
    world_end(&w);
}

/* ---- refusals ---- */

static const char *const envelopes[] = {
    "{\"success\":false,\"error\":{\"code\":%s,\"message\":\"Their words\"},\"reference\":\"1\"}",
    "{\"success\":0,\"error_code\":%s,\"error_message\":\"Their words\"}",
    "{\"error_code\":\"%s\",\"error_message\":\"Their words\"}",
    "{\"code\":%s,\"error\":\"Their words\",\"type\":\"Error\"}",
    "{\"success\":\"0\",\"code\":\"%s\",\"error\":\"Their words\"}",
};

static void every_code_is_read_from_every_envelope(void **state) {
    (void)state;
    static const int statuses[] = {200, 401, 402, 403, 404, 422, 429};
    static const char *const operations[][2] = {{GENERATE, generate_params}, {REDEEM, redeem_params}};
    struct world w = world_with(NULL, SANDBOX);
    int rows = 0;
    for (const struct mt_error_row *row = mint()->errors; row->code != NULL; row++, rows++) {
        for (size_t i = 0; i < sizeof(envelopes) / sizeof(envelopes[0]); i++) {
            for (size_t k = 0; k < sizeof(statuses) / sizeof(statuses[0]); k++) {
                char body[256];
                const char *const *operation = operations[(i + k) % 2];
                mt_format(body, sizeof(body), envelopes[i], row->code);
                w.net.body = body;
                w.net.status = statuses[k];
                assert_null(call(&w, operation[0], operation[1], NULL));
                assert_int_equal(w.e.kind, row->kind);
                assert_int_equal(w.e.hard, row->hard);
                assert_string_equal(w.e.code, row->code);
                assert_int_equal(w.e.outcome, MT_REJECTED);
                assert_false(w.e.retryable); /* neither is sent again, whatever was said */
                assert_int_equal(w.e.http_status, statuses[k]);
                assert_string_equal(w.e.provider, "mint");
                assert_non_null(strstr(w.e.message, row->meaning));
                assert_non_null(strstr(w.e.message, "Their words"));
            }
        }
    }
    assert_int_equal(rows, 13 + 10 + 19 + 1 + 12);
    world_end(&w);
}

static void codes_mean_what_the_document_says(void **state) {
    (void)state;
    static const struct {
        const char *code;
        enum mt_kind kind;
    } rows[] = {
        {"-32012", MT_AUTHENTICATION}, {"-32011", MT_AUTHENTICATION}, {"-32002", MT_RATE_LIMITED},
        {"3", MT_INSUFFICIENT_FUNDS},  {"9", MT_PERMISSION},          {"3002", MT_EXPIRED},
        {"3004", MT_CONFLICT},         {"3006", MT_NOT_FOUND},        {"3009", MT_INSUFFICIENT_FUNDS},
        {"4001", MT_RATE_LIMITED},     {"4007", MT_AUTHENTICATION},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mt_error_row *row = mint()->errors;
        while (row->code != NULL && strcmp(row->code, rows[i].code) != 0) row++;
        assert_non_null(row->code);
        assert_int_equal(row->kind, rows[i].kind);
    }
}

static void a_wrong_time_names_the_clock(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    w.net.status = 401;
    w.net.header = "Date";
    w.net.header_value = "Fri, 20 Nov 2026 09:30:00 GMT";
    w.net.body =
        "{\"success\":false,\"error\":{\"code\":-32011,\"message\":\"Please, provide correct timestamp.\"}}";
    assert_null(call(&w, "mint.balances.list", "{}", NULL));
    assert_int_equal(w.e.kind, MT_AUTHENTICATION);
    assert_string_equal(w.e.message,
                        "mint.balances.list: -32011 Please, provide correct timestamp. (set this "
                        "machine's clock: the signature's time was not MINT's, which was Fri, 20 Nov "
                        "2026 09:30:00 GMT)");
    world_end(&w);
}

static void refusals_without_a_documented_code(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    /* The seed's own sample. */
    w.net.body = "{\"success\":0,\"error_code\":5000,\"error_message\":\"Error description\"}";
    assert_null(call(&w, REDEEM, redeem_params, NULL));
    assert_int_equal(w.e.kind, MT_DECLINED);
    assert_int_equal(w.e.outcome, MT_REJECTED);
    assert_string_equal(w.e.code, "5000");
    assert_string_equal(w.e.message, "mint.epins.redeem: refused: 5000 Error description");
    w.net.body = "{\"success\":false}";
    assert_null(call(&w, REDEEM, redeem_params, NULL));
    assert_int_equal(w.e.outcome, MT_REJECTED);
    w.net.status = 402;
    w.net.body = "{\"success\":false,\"error\":{\"code\":77,\"message\":\"No.\"}}";
    assert_null(call(&w, GENERATE, generate_params, NULL));
    assert_string_equal(w.e.code, "77");
    assert_string_equal(w.e.message, "mint.epins.generate: 402 Payment Required: No.");
    w.net.status = 401;
    w.net.body = "Unauthorized";
    w.net.type = "text/plain";
    assert_null(call(&w, GENERATE, generate_params, NULL));
    assert_int_equal(w.e.kind, MT_AUTHENTICATION);
    assert_int_equal(w.e.outcome, MT_REJECTED);
    /* 429: a read may be repeated, generating not */
    w.net.status = 429;
    assert_null(call(&w, GENERATE, generate_params, NULL));
    assert_false(w.e.retryable);
    assert_null(call(&w, "mint.balances.list", "{}", NULL));
    assert_int_equal(w.e.kind, MT_RATE_LIMITED);
    assert_true(w.e.retryable);
    /* an echoed code is not shown */
    w.net.status = 200;
    w.net.type = "application/json";
    w.net.body =
        "{\"success\":0,\"error_code\":3006,\"error_message\":\"1111222233334444 and 1111 2222 3333 4444\"}";
    assert_null(call(&w, REDEEM, redeem_params, NULL));
    assert_null(strstr(w.e.message, "1111222233"));
    assert_null(strstr(w.e.message, "1111 2222"));
    world_end(&w);
}

static void nonsense_and_server_errors_are_unknown(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *body;
    } rows[] = {
        {200, ""},
        {200, "<html>"},
        {200, "[]"},
        {200, "\"ok\""},
        {200, "{}"},
        {200, "{\"success\":true,\"data\":[{\"pin_code\":\"1\""},
        {200, "{\"data\":[{\"pin_code\":\"1\"}]}"},
        {302, ""},
        {500, "{\"success\":false,\"error\":{\"code\":-32004,\"message\":\"Method unsuccessful\"}}"},
        {503, "<html>"},
        {599, ""},
    };
    struct world w = world_with(NULL, SANDBOX);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        w.net.status = rows[i].status;
        w.net.body = rows[i].body;
        assert_null(call(&w, GENERATE, generate_params, NULL));
        assert_int_equal(w.e.outcome, MT_UNKNOWN);
        assert_null(call(&w, REDEEM, redeem_params, NULL));
        assert_int_equal(w.e.outcome, MT_UNKNOWN);
    }
    /* "It worked", and no ePINs: they may have been issued. */
    static const char *const without[] = {
        "{\"success\":true}", "{\"success\":true,\"data\":[]}", "{\"success\":true,\"data\":\"x\"}",
        "{\"success\":true,\"data\":[7]}", "{\"success\":true,\"data\":{}}"};
    w.net.status = 200;
    for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
        w.net.body = without[i];
        assert_null(call(&w, GENERATE, generate_params, NULL));
        assert_int_equal(w.e.kind, MT_PROTOCOL);
        assert_int_equal(w.e.outcome, MT_UNKNOWN);
    }
    static const char *const no_balance[] = {"{\"success\":true}", "{\"success\":true,\"data\":[7]}",
                                             "{\"success\":true,\"data\":[{\"cu_code\":\"USD\"}]}"};
    for (size_t i = 0; i < sizeof(no_balance) / sizeof(no_balance[0]); i++) {
        w.net.body = no_balance[i];
        assert_null(call(&w, "mint.balances.list", "{}", NULL));
        assert_int_equal(w.e.kind, MT_PROTOCOL);
    }
    world_end(&w);
}

/* ---- repeating, secrets, mistakes ---- */

static enum mt_repeat repeat(const char *name, const char *params) {
    struct mt_error e;
    const struct mt_account *account;
    json_t *p = from_text(params);
    enum mt_repeat r = mt_operation_repeat(mt_operation_find(NULL, name, &account, &e), p);
    json_decref(p);
    return r;
}

static void only_tests_may_be_repeated(void **state) {
    (void)state;
    assert_int_equal(repeat(GENERATE, generate_params), MT_REPEAT_UNSAFE);
    assert_int_equal(repeat(GENERATE, "{\"test\":false}"), MT_REPEAT_UNSAFE);
    assert_int_equal(repeat(GENERATE, "{\"test\":true}"), MT_REPEAT_READ);
    assert_int_equal(repeat(REDEEM, redeem_params), MT_REPEAT_UNSAFE);
    for (const struct mt_operation *op = mint()->operations; op->name != NULL; op++) {
        assert_null(op->reconcile); /* a balance proves nothing: others draw on it too */
        assert_int_equal(op->moves_money, op->repeat == MT_REPEAT_UNSAFE || op->kind == MT_OPERATION_RELEASE);
    }
}

static void codes_are_masked(void **state) {
    (void)state;
    struct mt_error e;
    const struct mt_account *account;
    const struct mt_operation *op = mt_operation_find(NULL, REDEEM, &account, &e);
    json_t *params = from_text(redeem_params), *masked = mt_operation_mask_params(op, params);
    assert_string_equal(mt_json_str(masked, "epin", ""), "[redacted]");
    json_decref(masked);
    json_decref(params);
    op = mt_operation_find(NULL, GENERATE, &account, &e);
    assert_true(op->sealed_result);
    json_t *answer = from_text(generated);
    masked = mt_operation_mask_result(op, answer);
    char *text = mt_json_dump(masked, NULL);
    assert_null(strstr(text, "5311"));
    free(text);
    json_decref(masked);
    json_decref(answer);
}

static void mistakes_are_named(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    assert_refused(&w, GENERATE, "{}",
                   GENERATE
                   ": field \"amount\" is missing; wanted money, as in money \"80.00 USD\": value of each "
                   "ePIN, whole: ePinNominalValue and currencyCode");
    assert_refused(&w, GENERATE, "{\"amount\":{\"$money\":\"5.50 USD\"}}",
                   GENERATE
                   ": field \"amount\" is 5.50 USD, wanted a whole amount: the value of an ePIN has no "
                   "fraction");
    assert_refused(&w, GENERATE, "{\"amount\":{\"$money\":\"0.00 USD\"}}",
                   GENERATE ": field \"amount\": wanted money of more than zero");
    assert_refused(&w, GENERATE, "{\"amount\":{\"$money\":\"5.00 USD\"},\"count\":0}",
                   GENERATE ": field \"count\" is 0, wanted 1 to 1000");
    assert_refused(&w, GENERATE, "{\"amount\":{\"$money\":\"5.00 USD\"},\"country\":\"us\"}",
                   GENERATE
                   ": field \"country\" is \"us\", wanted two capital letters (ISO 3166-1), as in \"US\"");
    assert_refused(&w, GENERATE, "{\"amount\":{\"$money\":\"5.00 USD\"},\"account_type\":\"ap\"}",
                   GENERATE
                   ": field \"account_type\" is \"ap\", wanted one of \"reseller\", \"app\" (did you mean "
                   "\"app\"?)");
    assert_refused(
        &w, REDEEM, "{\"amount\":{\"$money\":\"5.00 USD\"},\"user_id\":\"1\",\"epin\":\"1111 1111\"}",
        REDEEM ": field \"epin\" is no ePIN; wanted its 16 digits, with or without spaces between the "
               "groups");
    assert_refused(
        &w, REDEEM, "{\"amount\":{\"$money\":\"5.00 USD\"},\"user_id\":\"1\",\"epin\":\"11111111111111112\"}",
        REDEEM ": field \"epin\" is no ePIN; wanted its 16 digits, with or without spaces between the "
               "groups");
    assert_refused(&w, "mint.balances.get", "{}",
                   "mint.balances.get: field \"currency\" is missing; wanted a string: ISO 4217 code");
    assert_refused(
        &w, "mint.balances.get", "{\"currency\":\"usd\"}",
        "mint.balances.get: field \"currency\" is \"usd\", wanted an ISO 4217 code: capital letters wanted");
    world_end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_signature_is_that_of_the_sample),
        cmocka_unit_test(requests_are_signed_when_they_are_sent),
        cmocka_unit_test(a_resend_is_signed_anew),
        cmocka_unit_test(generate_sends_the_documents_fields),
        cmocka_unit_test(the_account_says_which_url),
        cmocka_unit_test(redeem_sends_bare_digits_and_exact_money),
        cmocka_unit_test(credentials_that_are_missing_are_named),
        cmocka_unit_test(epins_are_read),
        cmocka_unit_test(balances_keep_every_digit),
        cmocka_unit_test(change_is_exact_money),
        cmocka_unit_test(every_code_is_read_from_every_envelope),
        cmocka_unit_test(codes_mean_what_the_document_says),
        cmocka_unit_test(a_wrong_time_names_the_clock),
        cmocka_unit_test(refusals_without_a_documented_code),
        cmocka_unit_test(nonsense_and_server_errors_are_unknown),
        cmocka_unit_test(only_tests_may_be_repeated),
        cmocka_unit_test(codes_are_masked),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
