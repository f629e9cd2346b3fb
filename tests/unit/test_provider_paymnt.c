/* links: mt_providers */
/* Paymnt: exact request bytes for the quickstart's steps, both dialects of every error, answers that make no
 * sense, and mistakes. */
#include "provider_fake.h"

#define SANDBOX "http://127.0.0.1:8090"
#define KEY "0123456789abcdef0123456789abcdef01234567"

static const char paid[] =
    "{\"payment_id\":\"pay_123\",\"merchant_id\":\"m\",\"status\":\"succeeded\",\"amount\":1000,"
    "\"net_amount\":1000,\"amount_capturable\":0,\"amount_received\":1000,\"currency\":\"USD\","
    "\"client_secret\":\"pay_123_secret_x\",\"refunds\":[{\"refund_id\":\"ref_1\",\"payment_id\":\"pay_123\","
    "\"amount\":250,\"currency\":\"USD\",\"status\":\"succeeded\"}],\"metadata\":{\"$odd\":1}}";

/* The call as the engine makes it: with the id that the script left out. */
static json_t *identified(struct world *w, const char *name, const char *params) {
    const struct mt_operation *op = row_of(name);
    json_t *p = from_text(params), *whole = op->identify(op, p, KEY);
    json_t *value = call_json(w, name, whole, "3b8f2c34-0a7a-4a2f-9a62-5d0f2a33e6f1");
    json_decref(whole);
    json_decref(p);
    return value;
}

static void assert_sent(const struct world *w, const char *method, const char *url, const char *body) {
    assert_string_equal(w->net.last.method, method);
    assert_string_equal(w->net.last.url, url);
    if (body == NULL)
        assert_int_equal(w->net.last.body_len, 0);
    else
        assert_string_equal(w->net.last.body, body);
}

static void create_sends_the_quickstart_with_an_id_of_ours(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    w.net.body = "{\"payment_id\":\"pay_0123456789abcdef0123456789\",\"status\":\"requires_payment_method\","
                 "\"amount\":1000,\"currency\":\"USD\",\"client_secret\":\"s\"}";
    json_t *v = identified(&w, "paymnt.payments.create",
                           "{\"amount\":{\"$money\":\"10.00 USD\"},\"description\":\"Order #1001\"}");
    assert_json(v,
                "{\"payment_id\":\"pay_0123456789abcdef0123456789\",\"status\":\"requires_payment_method\","
                "\"amount\":{\"$money\":\"10.00 USD\"},\"currency\":\"USD\",\"client_secret\":\"s\"}");
    json_decref(v);
    assert_sent(&w, "POST", SANDBOX "/payments",
                "{\"payment_id\":\"pay_0123456789abcdef0123456789\",\"amount\":1000,\"currency\":\"USD\","
                "\"description\":\"Order #1001\"}");
    const struct mt_headers *h = &w.net.last.headers;
    assert_string_equal(mt_headers_get(h, "api-key"), "sk_sandbox_mintage");
    assert_string_equal(mt_headers_get(h, "x-profile-id"), "pro_sandbox");
    assert_string_equal(mt_headers_get(h, "Idempotency-Key"), "3b8f2c34-0a7a-4a2f-9a62-5d0f2a33e6f1");
    assert_string_equal(mt_headers_get(h, "Content-Type"), "application/json");
    world_end(&w);
}

static void an_id_of_the_script_is_kept(void **state) {
    (void)state;
    const struct mt_operation *create = row_of("paymnt.payments.create");
    json_t *p = from_text("{\"payment_id\":\"order-7\"}"), *whole = create->identify(create, p, KEY);
    assert_json(whole, "{\"payment_id\":\"order-7\"}");
    json_decref(whole);
    json_decref(p);
    p = json_array(); /* an empty table of a script */
    const struct mt_operation *refund = row_of("paymnt.refunds.create");
    whole = refund->identify(refund, p, KEY);
    assert_json(whole, "{\"refund_id\":\"ref_0123456789abcdef0123456789\"}");
    json_decref(whole);
    json_decref(p);
}

static void amounts_are_minor_units(void **state) {
    (void)state;
    static const struct {
        const char *money, *sent;
    } rows[] = {
        {"10.00 USD", "{\"amount\":1000,\"currency\":\"USD\"}"},
        {"10000 KRW", "{\"amount\":10000,\"currency\":\"KRW\"}"},
        {"1.234 KWD", "{\"amount\":1234,\"currency\":\"KWD\"}"},
        {"90071992547409.93 USD", "{\"amount\":9007199254740993,\"currency\":\"USD\"}"}, /* beyond a double */
    };
    struct world w = world_with(NULL, SANDBOX);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char body[200];
        json_t *p = json_pack("{s:{s:s}}", "amount", "$money", rows[i].money);
        json_t *sent = from_text(rows[i].sent);
        mt_format(body, sizeof(body),
                  "{\"payment_id\":\"p\",\"status\":\"s\",\"amount\":%lld,\"currency\":\"%s\"}",
                  (long long)mt_json_int(sent, "amount", 0), mt_json_str(sent, "currency", ""));
        w.net.body = body;
        json_t *v = call_json(&w, "paymnt.payments.create", p, "k");
        assert_string_equal(w.net.last.body, rows[i].sent);
        assert_string_equal(mt_json_str(json_object_get(v, "amount"), "$money", ""), rows[i].money);
        json_decref(sent);
        json_decref(v);
        json_decref(p);
    }
    world_end(&w);
}

static void every_step_has_its_bytes(void **state) {
    (void)state;
    static const struct {
        const char *name, *params, *method, *url, *body;
        bool keyed;
    } rows[] = {
        {"paymnt.payments.create",
         "{\"payment_id\":\"p-1\",\"amount\":{\"$money\":\"10.00 USD\"},\"currency\":\"USD\","
         "\"capture_method\":\"manual\",\"confirm\":true,\"payment_link\":false,\"payment_token\":\"t\","
         "\"customer\":{\"id\":\"c\"},\"billing\":[],\"session_expiry\":60,\"metadata\":{\"$$a\":1}}",
         "POST", SANDBOX "/payments",
         "{\"payment_id\":\"p-1\",\"amount\":1000,\"currency\":\"USD\",\"capture_method\":\"manual\","
         "\"confirm\":true,\"payment_link\":false,\"customer\":{\"id\":\"c\"},\"payment_token\":\"t\","
         "\"session_expiry\":60,\"metadata\":{\"$a\":1}}",
         true},
        {"paymnt.payments.retrieve", "{\"payment_id\":\"pay_123\"}", "GET", SANDBOX "/payments/pay_123", NULL,
         false},
        {"paymnt.payments.retrieve", "{\"id\":\"pay_123\",\"force_sync\":true}", "GET",
         SANDBOX "/payments/pay_123?force_sync=true", NULL, false},
        {"paymnt.payments.confirm", "{\"payment_id\":\"pay_123\"}", "POST",
         SANDBOX "/payments/pay_123/confirm", NULL, true},
        {"paymnt.payments.confirm", "{\"payment_id\":\"pay_123\",\"payment_token\":\"token_1\"}", "POST",
         SANDBOX "/payments/pay_123/confirm", "{\"payment_token\":\"token_1\"}", true},
        {"paymnt.payments.capture",
         "{\"payment_id\":\"pay_123\",\"amount_to_capture\":{\"$money\":\"10.00 USD\"}}", "POST",
         SANDBOX "/payments/pay_123/capture", "{\"amount_to_capture\":1000}", true},
        {"paymnt.payments.capture", "{\"payment_id\":\"pay_123\"}", "POST",
         SANDBOX "/payments/pay_123/capture", "{}", true},
        {"paymnt.payments.cancel", "{\"payment_id\":\"pay_123\",\"cancellation_reason\":\"r\"}", "POST",
         SANDBOX "/payments/pay_123/cancel", "{\"cancellation_reason\":\"r\"}", true},
    };
    struct world w = world_with(NULL, SANDBOX);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        w.net.body = strstr(rows[i].params, "p-1") != NULL
                         ? "{\"payment_id\":\"p-1\",\"status\":\"failed\",\"amount\":1}"
                         : paid;
        json_t *v = call(&w, rows[i].name, rows[i].params, "key-1");
        if (v == NULL) fail_msg("%s: %s", rows[i].name, w.e.message);
        json_decref(v);
        assert_sent(&w, rows[i].method, rows[i].url, rows[i].body);
        const char *key = mt_headers_get(&w.net.last.headers, "Idempotency-Key");
        if (rows[i].keyed)
            assert_string_equal(key, "key-1");
        else
            assert_null(key);
    }
    w.net.body = "{\"refund_id\":\"ref_9\",\"payment_id\":\"pay_123\",\"amount\":1000,\"currency\":\"usd\","
                 "\"status\":\"pending\"}";
    json_t *v =
        call(&w, "paymnt.refunds.create",
             "{\"payment_id\":\"pay_123\",\"refund_id\":\"ref_9\",\"amount\":{\"$money\":\"10.00 USD\"},"
             "\"reason\":\"requested_by_customer\"}",
             "key-2");
    assert_json(v,
                "{\"refund_id\":\"ref_9\",\"payment_id\":\"pay_123\",\"amount\":{\"$money\":\"10.00 USD\"},"
                "\"currency\":\"USD\",\"status\":\"pending\"}");
    json_decref(v);
    assert_sent(&w, "POST", SANDBOX "/refunds",
                "{\"payment_id\":\"pay_123\",\"refund_id\":\"ref_9\",\"amount\":1000,"
                "\"reason\":\"requested_by_customer\"}");
    v = call(&w, "paymnt.refunds.retrieve", "{\"id\":\"ref_9\"}", "");
    assert_non_null(v);
    json_decref(v);
    assert_sent(&w, "GET", SANDBOX "/refunds/ref_9", NULL);
    world_end(&w);
}

static void lists_send_queries_and_bodies(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    w.net.body = "{\"size\":1,\"data\":[{\"payment_id\":\"p\",\"status\":\"succeeded\",\"amount\":1,"
                 "\"currency\":\"EUR\",\"client_secret\":\"s\"}]}";
    json_t *v = call(&w, "paymnt.payments.list",
                     "{\"customer_id\":\"a b\",\"limit\":5,\"created_gte\":\"2026-11-20T00:00:00Z\"}", "");
    assert_json(v, "{\"size\":1,\"data\":[{\"payment_id\":\"p\",\"status\":\"succeeded\","
                   "\"amount\":{\"$money\":\"0.01 EUR\"},\"currency\":\"EUR\"}]}");
    json_decref(v);
    assert_sent(&w, "GET",
                SANDBOX "/payments/list?customer_id=a%20b&limit=5&created.gte=2026-11-20T00%3A00%3A00Z",
                NULL);
    w.net.body = "[]"; /* as the published description has it */
    v = call(&w, "paymnt.payments.list", "{}", "");
    assert_json(v, "{\"data\":[]}");
    json_decref(v);
    assert_sent(&w, "GET", SANDBOX "/payments/list", NULL);
    w.net.body = "{\"count\":1,\"total_count\":7,\"data\":[{\"refund_id\":\"r\",\"status\":\"failed\","
                 "\"amount\":100,\"currency\":\"JPY\"}]}";
    v = call(&w, "paymnt.refunds.list", "{\"payment_id\":\"pay_123\",\"limit\":1,\"offset\":2}", "k");
    assert_json(v, "{\"count\":1,\"total_count\":7,\"data\":[{\"refund_id\":\"r\",\"status\":\"failed\","
                   "\"amount\":{\"$money\":\"100 JPY\"},\"currency\":\"JPY\"}]}");
    json_decref(v);
    assert_sent(&w, "POST", SANDBOX "/refunds/list", "{\"payment_id\":\"pay_123\",\"limit\":1,\"offset\":2}");
    assert_null(mt_headers_get(&w.net.last.headers, "Idempotency-Key"));
    world_end(&w);
}

static void answers_have_money_and_no_secret(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    w.net.body = paid;
    json_t *v = call(&w, "paymnt.payments.retrieve", "{\"payment_id\":\"pay_123\"}", "");
    assert_json(v, "{\"payment_id\":\"pay_123\",\"merchant_id\":\"m\",\"status\":\"succeeded\","
                   "\"amount\":{\"$money\":\"10.00 USD\"},\"net_amount\":{\"$money\":\"10.00 USD\"},"
                   "\"amount_capturable\":{\"$money\":\"0.00 USD\"},"
                   "\"amount_received\":{\"$money\":\"10.00 USD\"},\"currency\":\"USD\","
                   "\"refunds\":[{\"refund_id\":\"ref_1\",\"payment_id\":\"pay_123\","
                   "\"amount\":{\"$money\":\"2.50 USD\"},\"currency\":\"USD\",\"status\":\"succeeded\"}],"
                   "\"metadata\":{\"$$odd\":1}}");
    json_decref(v);
    /* A decline is a value, not an error. */
    w.net.body = "{\"payment_id\":\"pay_123\",\"status\":\"failed\",\"error_code\":\"DC_08\",\"amount\":null,"
                 "\"error_message\":\"Payment declined: Card declined\",\"currency\":\"USD\"}";
    v = call(&w, "paymnt.payments.confirm", "{\"payment_id\":\"pay_123\"}", "k");
    assert_json(v,
                "{\"payment_id\":\"pay_123\",\"status\":\"failed\",\"error_code\":\"DC_08\",\"amount\":null,"
                "\"error_message\":\"Payment declined: Card declined\",\"currency\":\"USD\"}");
    json_decref(v);
    assert_true(row_of("paymnt.payments.create")->sealed_result); /* the one answer that keeps the secret */
    world_end(&w);
}

/* ---- errors ---- */

static const struct mt_error_row *errors_of_paymnt(void) {
    for (const struct mt_provider *const *p = mt_providers_all(); *p != NULL; p++)
        if (strcmp((*p)->name, "paymnt") == 0) return (*p)->errors;
    return NULL;
}

static bool is_number(const char *s) {
    return strspn(s, "0123456789") == strlen(s);
}

/* The status under which a code arrives; only its class matters here. */
static int status_of(const struct mt_error_row *row) {
    if (is_number(row->code)) return atoi(row->code);
    if (strcmp(row->code, "blocked") == 0) return 200;
    if (row->kind == MT_UNAVAILABLE) return 500;
    return strcmp(row->code, "IR_00") == 0 ? 501 : 400;
}

static bool is_type(const char *code) {
    return strncmp(code, "IR_", 3) != 0 && strncmp(code, "HE_", 3) != 0 && strncmp(code, "CE_", 3) != 0 &&
           strncmp(code, "WE_", 3) != 0 && !is_number(code);
}

static void every_error_row_is_read_in_both_dialects(void **state) {
    (void)state;
    static const char *const shapes[] = {
        "{\"error\":{\"type\":\"%s\",\"code\":\"%s\",\"message\":\"It says so\"}}",
        "{\"error\":{\"error_type\":\"%s\",\"code\":\"%s\",\"message\":\"It says so\"}}",
        "{\"error\":{\"type\":\"%s\",\"code\":\"%s\",\"message\":\"It says so\",\"request_id\":\"req_1\","
        "\"status\":400,\"details\":{\"field\":\"amount\"}}}",
    };
    struct world w = world_with(NULL, SANDBOX);
    int rows = 0;
    for (const struct mt_error_row *row = errors_of_paymnt(); row->code != NULL; row++, rows++) {
        for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
            char body[300];
            bool type = is_type(row->code);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(body, sizeof(body), shapes[i], type ? row->code : "unheard_of",
                     type || is_number(row->code) ? "XX_99" : row->code);
#pragma GCC diagnostic pop
            w.net.status = status_of(row);
            w.net.body = body;
            assert_null(call(&w, "paymnt.payments.capture", "{\"payment_id\":\"pay_123\"}", "k"));
            if (w.e.kind != row->kind) fail_msg("%s: %s", row->code, w.e.message);
            assert_int_equal(w.e.retryable, row->retryable);
            assert_int_equal(w.e.hard, row->hard);
            assert_int_equal(w.e.http_status, w.net.status);
            assert_string_equal(w.e.code, type || is_number(row->code) ? "XX_99" : row->code);
            assert_string_equal(w.e.provider, "paymnt");
            assert_string_equal(w.e.operation, "payments.capture");
            assert_non_null(strstr(w.e.message, "It says so"));
            bool unknown = w.net.status >= 500 && strcmp(row->code, "IR_00") != 0;
            assert_int_equal(w.e.outcome, unknown ? MT_UNKNOWN : MT_REJECTED);
        }
    }
    assert_true(rows > 60);
    world_end(&w);
}

static void errors_name_field_and_request(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    w.net.status = 400;
    w.net.body =
        "{\"error\":{\"type\":\"validation_error\",\"code\":\"CE_AMOUNT_INVALID\",\"message\":\"amount "
        "must be a positive integer\",\"request_id\":\"req_01H9K6N9ZQ7D2\",\"status\":400,"
        "\"details\":{\"field\":\"amount\"}}}";
    assert_null(call(&w, "paymnt.payments.retrieve", "{\"id\":\"p\"}", ""));
    assert_string_equal(w.e.message,
                        "paymnt.payments.retrieve: 400 Bad Request: amount must be a positive integer "
                        "(field amount) [req_01H9K6N9ZQ7D2]");
    /* Neither type nor an error object, and a card number that is echoed. */
    w.net.body = "{\"message\":\"4242424242424242 is no card\",\"code\":\"IR_07\"}";
    assert_null(call(&w, "paymnt.payments.retrieve", "{\"id\":\"p\"}", ""));
    assert_string_equal(w.e.code, "IR_07");
    assert_null(strstr(w.e.message, "4242424242"));
    w.net.body = "{\"error\":\"no\"}";
    assert_null(call(&w, "paymnt.payments.retrieve", "{\"id\":\"p\"}", ""));
    assert_non_null(strstr(w.e.message, "400 Bad Request: no"));
    assert_string_equal(w.e.code, "400");
    /* A processor's own code: hard or not. */
    w.net.body = "{\"error\":{\"type\":\"connector\",\"code\":\"expired_card\",\"message\":\"m\"}}";
    assert_null(call(&w, "paymnt.payments.confirm", "{\"payment_id\":\"p\"}", "k"));
    assert_int_equal(w.e.kind, MT_DECLINED);
    assert_true(w.e.hard);
    w.net.body = "{\"error\":{\"type\":\"connector\",\"code\":\"insufficient_funds\",\"message\":\"m\"}}";
    assert_null(call(&w, "paymnt.payments.confirm", "{\"payment_id\":\"p\"}", "k"));
    assert_int_equal(w.e.kind, MT_DECLINED);
    assert_false(w.e.hard);
    /* Blocked: HTTP 200 with an error. */
    w.net.status = 200;
    w.net.body =
        "{\"error\":{\"type\":\"blocked\",\"code\":\"HE_03\",\"message\":\"The payment is blocked\"}}";
    assert_null(call(&w, "paymnt.payments.confirm", "{\"payment_id\":\"p\"}", "k"));
    assert_int_equal(w.e.outcome, MT_REJECTED);
    assert_string_equal(w.e.message, "paymnt.payments.confirm: refused: The payment is blocked");
    world_end(&w);
}

static void busy_and_under_way(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    w.net.status = 429;
    w.net.body = "{\"error\":{\"type\":\"rate_limit\",\"code\":\"CE_RL_429\",\"message\":\"m\"}}";
    w.net.header = "Retry-After";
    w.net.header_value = "7";
    assert_null(call(&w, "paymnt.payments.create", "{\"amount\":{\"$money\":\"1.00 USD\"}}", "k"));
    assert_int_equal(w.e.kind, MT_RATE_LIMITED);
    assert_int_equal(w.e.retry_after_s, 7);
    assert_int_equal(w.e.outcome, MT_REJECTED);
    /* The first request of this key is under way: neither done nor refused. */
    w.net.status = 409;
    w.net.body = "{\"error\":{\"type\":\"conflict\",\"code\":\"X\",\"message\":\"m\"}}";
    assert_null(call(&w, "paymnt.payments.create", "{\"amount\":{\"$money\":\"1.00 USD\"}}", "k"));
    assert_int_equal(w.e.outcome, MT_UNKNOWN);
    w.net.header = NULL;
    w.net.body = "{\"error\":{\"type\":\"conflict\",\"code\":\"CE_IDEMPOTENCY\",\"message\":\"m\"}}";
    assert_null(call(&w, "paymnt.payments.create", "{\"amount\":{\"$money\":\"1.00 USD\"}}", "k"));
    assert_int_equal(w.e.outcome, MT_UNKNOWN);
    /* Another conflict is a refusal. */
    w.net.body = "{\"error\":{\"type\":\"conflict\",\"code\":\"IR_16\",\"message\":\"m\"}}";
    assert_null(call(&w, "paymnt.payments.cancel", "{\"payment_id\":\"p\"}", "k"));
    assert_int_equal(w.e.outcome, MT_REJECTED);
    assert_int_equal(w.e.kind, MT_CONFLICT);
    world_end(&w);
}

static void nonsense_leaves_a_write_unknown(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    static const char *const bodies[] = {
        "",
        "<html>Bad gateway</html>",
        "{\"payment_id\":\"pay_123\",\"stat",
        "\"ok\"",
        "{}",
        "{\"payment_id\":\"pay_123\"}",
        "{\"payment_id\":7,\"status\":\"succeeded\"}",
        "{\"payment_id\":\"pay_other\",\"status\":\"succeeded\"}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        w.net.body = bodies[i];
        assert_null(call(&w, "paymnt.payments.capture", "{\"payment_id\":\"pay_123\"}", "k"));
        assert_int_equal(w.e.kind, MT_PROTOCOL);
        assert_int_equal(w.e.outcome, MT_UNKNOWN);
    }
    w.net.body = "{\"data\":7}";
    assert_null(call(&w, "paymnt.refunds.list", "{}", ""));
    assert_int_equal(w.e.kind, MT_PROTOCOL);
    /* A 404 that is not Paymnt's says nothing about the payment; nor does an unknown URL. */
    w.net.status = 404;
    w.net.body = "<html>no such site</html>";
    assert_null(call(&w, "paymnt.payments.retrieve", "{\"id\":\"p\"}", ""));
    assert_int_equal(w.e.outcome, MT_UNKNOWN);
    w.net.body = "{\"error\":{\"type\":\"invalid_request\",\"code\":\"IR_02\",\"message\":\"m\"}}";
    assert_null(call(&w, "paymnt.payments.retrieve", "{\"id\":\"p\"}", ""));
    assert_int_equal(w.e.kind, MT_UNSUPPORTED);
    w.net.body = "{\"error\":{\"type\":\"not_found\",\"code\":\"CE_X\",\"message\":\"m\"}}";
    assert_null(call(&w, "paymnt.payments.retrieve", "{\"id\":\"p\"}", ""));
    assert_int_equal(w.e.kind, MT_NOT_FOUND);
    world_end(&w);
}

/* ---- mistakes ---- */

static void mistakes_are_named(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
#define CREATE_NAME "paymnt.payments.create"
#define AMOUNT "\"amount\":{\"$money\":\"1.00 USD\"}"
    assert_refused(&w, CREATE_NAME, "{}",
                   CREATE_NAME
                   ": field \"amount\" is missing; wanted money, as in money \"80.00 USD\": what is "
                   "to be paid, with its currency");
    assert_refused(&w, CREATE_NAME, "{\"amount\":1000}",
                   CREATE_NAME ": field \"amount\" is an integer, wanted money, as in money \"80.00 USD\"");
    assert_refused(&w, CREATE_NAME, "{\"amount\":{\"$money\":\"0.00 USD\"}}",
                   CREATE_NAME ": field \"amount\": wanted money of more than zero");
    assert_refused(&w, CREATE_NAME, "{" AMOUNT ",\"currency\":\"EUR\"}",
                   CREATE_NAME
                   ": field \"currency\" is \"EUR\" but \"amount\" is in USD; leave \"currency\" out");
    assert_refused(&w, CREATE_NAME, "{" AMOUNT ",\"capture_method\":\"manul\"}",
                   CREATE_NAME
                   ": field \"capture_method\" is \"manul\", wanted one of \"automatic\", \"manual\", "
                   "\"manual_multiple\" (did you mean \"manual\"?)");
    assert_refused(&w, CREATE_NAME, "{" AMOUNT ",\"payment_id\":\"a/b\"}",
                   CREATE_NAME ": field \"payment_id\" is \"a/b\", wanted 1 to 64 letters, digits, - and _");
    assert_refused(&w, CREATE_NAME, "{" AMOUNT ",\"return_url\":\"javascript:alert(1)\"}",
                   CREATE_NAME ": field \"return_url\" is no URL; wanted http:// or https:// with a host");
    assert_refused(&w, "paymnt.payments.capture", "{}",
                   "paymnt.payments.capture: field \"payment_id\" is missing; wanted a string");
    assert_refused(&w, "paymnt.payments.retrieve", "{\"id\":\"a\",\"payment_id\":\"b\"}",
                   "paymnt.payments.retrieve: fields \"id\" and \"payment_id\" name different objects");
    assert_refused(
        &w, "paymnt.payments.list", "{\"starting_after\":\"a\",\"ending_before\":\"b\"}",
        "paymnt.payments.list: fields \"starting_after\" and \"ending_before\" exclude each other");
    assert_refused(&w, "paymnt.payments.list", "{\"limit\":101}",
                   "paymnt.payments.list: field \"limit\" is 101, wanted 1 to 100");
    /* A card never passes through a flow, however it is dressed. */
    static const char *const cards[] = {
        "\"payment_method_data\":{\"card\":{\"card_number\":\"4242424242424242\"}}",
        "\"payment_method_data\":{\"wallet\":{\"x\":[{\"number\":\"4242 4242-4242 4242\"}]}}",
        "\"metadata\":{\"deep\":{\"card_number\":\"1\"}}",
        "\"billing\":{\"cvc\":\"123\"}",
    };
    for (size_t i = 0; i < sizeof(cards) / sizeof(cards[0]); i++) {
        char params[200];
        mt_format(params, sizeof(params), "{" AMOUNT ",%s}", cards[i]);
        int before = w.net.calls;
        assert_null(call(&w, CREATE_NAME, params, "k"));
        assert_int_equal(w.net.calls, before);
        assert_int_equal(w.e.kind, MT_INVALID_REQUEST);
        assert_non_null(strstr(w.e.message, "card data never passes through a flow"));
        assert_null(strstr(w.e.message, "4242"));
    }
    /* Other long numbers, and a "card" that is none, are fine. */
    w.net.body = "{\"payment_id\":\"p\",\"status\":\"s\"}";
    json_t *v = call(&w, CREATE_NAME,
                     "{" AMOUNT ",\"metadata\":{\"order\":\"4242424242424242\",\"card\":\"gold\"}}", "k");
    assert_non_null(v);
    json_decref(v);
    world_end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_sends_the_quickstart_with_an_id_of_ours),
        cmocka_unit_test(an_id_of_the_script_is_kept),
        cmocka_unit_test(amounts_are_minor_units),
        cmocka_unit_test(every_step_has_its_bytes),
        cmocka_unit_test(lists_send_queries_and_bodies),
        cmocka_unit_test(answers_have_money_and_no_secret),
        cmocka_unit_test(every_error_row_is_read_in_both_dialects),
        cmocka_unit_test(errors_name_field_and_request),
        cmocka_unit_test(busy_and_under_way),
        cmocka_unit_test(nonsense_leaves_a_write_unknown),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
