/* links: mt_providers */
/* Paymnt: exact request bytes for the quickstart's steps, both dialects of every error, signatures, answers
 * that make no sense, and what is found out after an unknown outcome. */
#include "provider_fake.h"

#include "crypto/crypto.h"

#define SANDBOX "http://127.0.0.1:8090"
#define KEY "0123456789abcdef0123456789abcdef01234567"

static const char paid[] =
    "{\"payment_id\":\"pay_123\",\"merchant_id\":\"m\",\"status\":\"succeeded\",\"amount\":1000,"
    "\"net_amount\":1000,\"amount_capturable\":0,\"amount_received\":1000,\"currency\":\"USD\","
    "\"client_secret\":\"pay_123_secret_x\",\"refunds\":[{\"refund_id\":\"ref_1\",\"payment_id\":\"pay_123\","
    "\"amount\":250,\"currency\":\"USD\",\"status\":\"succeeded\"}],\"metadata\":{\"$odd\":1}}";

static const struct mt_operation *row_of(const char *name) {
    const struct mt_account *account;
    struct mt_error e;
    const struct mt_operation *op = mt_operation_find(NULL, name, &account, &e);
    if (op == NULL) fail_msg("%s", e.message);
    return op;
}

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

/* ---- afterwards ---- */

static enum mt_outcome judge(const char *name, const char *params, const char *found,
                             const struct mt_error *read_error, struct mt_error *e) {
    const struct mt_operation *op = row_of(name);
    json_t *p = from_text(params), *f = found != NULL ? from_text(found) : NULL, *value = NULL;
    enum mt_outcome o = op->reconciled(op, p, f, read_error, &value, e);
    assert_int_equal(o == MT_DONE, value != NULL);
    if (value != NULL) assert_ptr_equal(value, f);
    json_decref(value);
    json_decref(p);
    json_decref(f);
    return o;
}

static void writes_are_reconciled_by_reading(void **state) {
    (void)state;
    static const struct {
        const char *name, *params, *found;
        enum mt_outcome outcome;
    } rows[] = {
#define CREATE "payments.create", "{\"payment_id\":\"p\",\"amount\":{\"$money\":\"10.00 USD\"}}"
        {CREATE, "{\"payment_id\":\"p\",\"status\":\"failed\",\"amount\":{\"$money\":\"10.00 USD\"}}",
         MT_DONE},
        {CREATE, "{\"payment_id\":\"p\",\"status\":\"x\",\"amount\":{\"$money\":\"9.00 USD\"}}", MT_REJECTED},
        {CREATE, "{\"payment_id\":\"p\",\"status\":\"x\",\"amount\":1000}", MT_UNKNOWN},
#define CONFIRM "payments.confirm", "{\"payment_id\":\"p\"}"
        {CONFIRM, "{\"status\":\"requires_payment_method\"}", MT_NOT_SENT},
        {CONFIRM, "{\"status\":\"requires_confirmation\"}", MT_NOT_SENT},
        {CONFIRM, "{\"status\":\"requires_customer_action\"}", MT_DONE},
        {CONFIRM, "{\"status\":\"failed\"}", MT_DONE},
        {CONFIRM, "{\"status\":\"requires_capture\"}", MT_DONE},
        {CONFIRM, "{\"status\":\"expired\"}", MT_REJECTED},
        {CONFIRM, "{}", MT_UNKNOWN},
#define CAPTURE "payments.capture", "{\"payment_id\":\"p\",\"amount_to_capture\":{\"$money\":\"5.00 USD\"}}"
#define RECEIVED(AMOUNT) "\"amount_received\":{\"$money\":\"" AMOUNT " USD\"}}"
        {CAPTURE, "{\"status\":\"requires_capture\"," RECEIVED("0.00"), MT_NOT_SENT},
        {CAPTURE, "{\"status\":\"partially_captured\"," RECEIVED("5.00"), MT_DONE},
        {CAPTURE, "{\"status\":\"succeeded\"," RECEIVED("10.00"), MT_DONE},
        {CAPTURE, "{\"status\":\"partially_captured\"," RECEIVED("4.00"), MT_REJECTED},
        {CAPTURE, "{\"status\":\"partially_captured_and_capturable\"," RECEIVED("4.00"), MT_NOT_SENT},
        {CAPTURE, "{\"status\":\"partially_captured_and_capturable\"," RECEIVED("5.00"), MT_UNKNOWN},
        {CAPTURE, "{\"status\":\"cancelled\"," RECEIVED("0.00"), MT_REJECTED},
        {CAPTURE, "{\"status\":\"processing\"," RECEIVED("0.00"), MT_UNKNOWN},
        {CAPTURE, "{\"status\":\"partially_captured\"}", MT_UNKNOWN},
        {"payments.capture", "{\"payment_id\":\"p\"}", "{\"status\":\"succeeded\"," RECEIVED("1.00"),
         MT_DONE},
        {"payments.capture", "{\"payment_id\":\"p\"}",
         "{\"status\":\"succeeded\",\"amount\":{\"$money\":\"1.00 USD\"}}", MT_DONE},
#define CANCEL "payments.cancel", "{\"payment_id\":\"p\"}"
        {CANCEL, "{\"status\":\"cancelled\"}", MT_DONE},
        {CANCEL, "{\"status\":\"partially_captured\"}", MT_DONE},
        {CANCEL, "{\"status\":\"requires_capture\"}", MT_NOT_SENT},
        {CANCEL, "{\"status\":\"succeeded\"}", MT_REJECTED},
        {CANCEL, "{\"status\":\"processing\"}", MT_UNKNOWN},
#define REFUND                                                                                               \
    "refunds.create", "{\"payment_id\":\"p\",\"refund_id\":\"r\",\"amount\":{\"$money\":\"5.00 USD\"}}"
        {REFUND, "{\"refund_id\":\"r\",\"payment_id\":\"p\",\"amount\":{\"$money\":\"5.00 USD\"}}", MT_DONE},
        {REFUND, "{\"refund_id\":\"r\",\"payment_id\":\"q\",\"amount\":{\"$money\":\"5.00 USD\"}}",
         MT_REJECTED},
        {REFUND, "{\"refund_id\":\"r\",\"payment_id\":\"p\",\"amount\":{\"$money\":\"6.00 USD\"}}",
         MT_REJECTED},
        {REFUND, "{\"refund_id\":\"r\",\"payment_id\":\"p\"}", MT_UNKNOWN},
    };
    struct mt_error e;
    char name[64];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        mt_format(name, sizeof(name), "paymnt.%s", rows[i].name);
        enum mt_outcome o = judge(name, rows[i].params, rows[i].found, NULL, &e);
        if (o != rows[i].outcome) fail_msg("%s, %s: %s", name, rows[i].found, mt_outcome_name(o));
        if (o == MT_REJECTED) assert_int_equal(e.kind, MT_CONFLICT);
    }
    /* Only "no such payment" allows it to be sent again; "no such profile" has the same code. */
    struct mt_error none = {.kind = MT_NOT_FOUND, .message = "Payment does not exist in our records"};
    struct mt_error profile = {.kind = MT_NOT_FOUND,
                               .message = "Business profile with the given id x does not"};
    struct mt_error down = {.kind = MT_TIMEOUT};
    const char *create = "paymnt.payments.create", *params = "{\"payment_id\":\"p\"}";
    assert_int_equal(judge(create, params, NULL, &none, &e), MT_NOT_SENT);
    assert_int_equal(judge(create, params, NULL, &profile, &e), MT_UNKNOWN);
    assert_int_equal(judge(create, params, NULL, &down, &e), MT_UNKNOWN);
    assert_int_equal(judge("paymnt.refunds.create", params, NULL, &none, &e), MT_NOT_SENT);
    assert_int_equal(judge("paymnt.payments.capture", params, NULL, &none, &e), MT_UNKNOWN);
}

static void reads_that_find_out_are_named(void **state) {
    (void)state;
    static const struct {
        const char *name, *params, *read, *read_params;
    } rows[] = {
        {"paymnt.payments.create", "{\"payment_id\":\"p\"}", "payments.retrieve", "{\"payment_id\":\"p\"}"},
        {"paymnt.payments.cancel", "{\"id\":\"p\"}", "payments.retrieve", "{\"payment_id\":\"p\"}"},
        {"paymnt.refunds.create", "{\"payment_id\":\"p\",\"refund_id\":\"r\"}", "refunds.retrieve",
         "{\"refund_id\":\"r\"}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct mt_operation *op = row_of(rows[i].name);
        const char *read = NULL;
        json_t *p = from_text(rows[i].params), *params = NULL;
        assert_int_equal(op->reconcile(op, p, &read, &params), 0);
        assert_string_equal(read, rows[i].read);
        assert_json(params, rows[i].read_params);
        json_decref(params);
        json_decref(p);
    }
}

static void release_and_settled_go_by_state(void **state) {
    (void)state;
    static const struct {
        const char *status;
        bool rest;
        int decided;
        const char *operation, *params;
    } rows[] = {
        {"requires_payment_method", false, 0, "payments.cancel",
         "{\"payment_id\":\"p\",\"cancellation_reason\":\"why\"}"},
        {"requires_confirmation", false, 0, "payments.cancel",
         "{\"payment_id\":\"p\",\"cancellation_reason\":\"why\"}"},
        {"requires_customer_action", false, 0, "payments.cancel",
         "{\"payment_id\":\"p\",\"cancellation_reason\":\"why\"}"},
        {"requires_capture", true, 0, "payments.cancel",
         "{\"payment_id\":\"p\",\"cancellation_reason\":\"why\"}"},
        {"succeeded", true, 0, "refunds.create",
         "{\"payment_id\":\"p\",\"amount\":{\"$money\":\"7.50 USD\"},\"reason\":\"why\"}"},
        {"partially_captured", true, 0, "refunds.create",
         "{\"payment_id\":\"p\",\"amount\":{\"$money\":\"7.50 USD\"},\"reason\":\"why\"}"},
        {"partially_captured_and_capturable", true, 0, "payments.cancel",
         "{\"payment_id\":\"p\",\"cancellation_reason\":\"why\"}"},
        {"cancelled", true, 0, NULL, NULL},
        {"cancelled_post_capture", true, 0, NULL, NULL},
        {"failed", true, 0, NULL, NULL},
        {"expired", true, 0, NULL, NULL},
        {"processing", false, -1, NULL, NULL},
    };
    const struct mt_operation *settled = row_of("paymnt.payments.settled");
    const struct mt_operation *release = row_of("paymnt.payments.release");
    struct mt_error e;
    json_t *params = from_text("{\"id\":\"p\",\"reason\":\"why\"}");
    assert_string_equal(settled->topic, "paymnt.payment");
    assert_string_equal(release->again_after,
                        "payments.cancel"); /* its answer is a payment: more may be left */
    assert_string_equal(mt_operation_object_id(release, params), "p");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *object =
            from_text("{\"payment_id\":\"p\",\"amount_received\":{\"$money\":\"10.00 USD\"},\"refunds\":["
                      "{\"status\":\"pending\",\"amount\":{\"$money\":\"2.50 USD\"}},"
                      "{\"status\":\"failed\",\"amount\":{\"$money\":\"5.00 USD\"}}]}");
        const char *operation = NULL;
        json_t *next = NULL;
        json_object_set_new(object, "status", json_string(rows[i].status));
        assert_int_equal(settled->at_rest(settled, object), rows[i].rest);
        assert_int_equal(release->decide(release, params, object, &operation, &next, &e), rows[i].decided);
        if (rows[i].decided != 0) assert_int_equal(e.kind, MT_CONFLICT);
        if (rows[i].operation == NULL) {
            assert_null(operation);
        } else {
            assert_string_equal(operation, rows[i].operation);
            assert_json(next, rows[i].params);
        }
        json_decref(next);
        json_decref(object);
    }
    /* All of it is given back already. */
    json_t *object =
        from_text("{\"status\":\"succeeded\",\"amount_received\":{\"$money\":\"1.00 USD\"},"
                  "\"refunds\":[{\"status\":\"succeeded\",\"amount\":{\"$money\":\"1.00 USD\"}}]}");
    const char *operation = "unset";
    json_t *next = NULL;
    assert_int_equal(release->decide(release, params, object, &operation, &next, &e), 0);
    assert_null(operation);
    json_decref(object);
    json_decref(params);
    const struct mt_operation *refund = row_of("paymnt.refunds.settled");
    static const char *const at_rest[] = {"succeeded", "failed"}, *const not_yet[] = {"pending", "review"};
    for (size_t i = 0; i < 2; i++) {
        json_t *rest = json_pack("{s:s}", "status", at_rest[i]),
               *busy = json_pack("{s:s}", "status", not_yet[i]);
        assert_true(refund->at_rest(refund, rest));
        assert_false(refund->at_rest(refund, busy));
        json_decref(rest);
        json_decref(busy);
    }
}

/* ---- webhooks ---- */

static int receive(struct world *w, const char *body, const char *signature, struct mt_hint *hint,
                   size_t *count) {
    const struct mt_account *a = mt_providers_account(w->providers, "paymnt");
    struct mt_hint hints[4];
    struct mt_request req = {
        .method = "POST", .path = "/webhooks/paymnt", .body = body, .body_len = strlen(body)};
    if (signature != NULL) mt_headers_add(&req.headers, "X-Webhook-Signature-512", signature);
    memset(hints, 0, sizeof(hints));
    int r = a->provider->webhook(a, &req, false, hints, count, &w->e);
    *hint = hints[0];
    mt_headers_clear(&req.headers);
    return r;
}

static int receive_signed(struct world *w, const char *body, struct mt_hint *hint, size_t *count) {
    char signature[2 * MT_SHA512_SIZE + 1];
    const char *secret = "whsec_sandbox_mintage";
    mt_hmac_sha512_hex(secret, strlen(secret), body, strlen(body), signature);
    return receive(w, body, signature, hint, count);
}

static void published_signatures_fit(void **state) {
    (void)state;
    static const struct {
        const char *secret, *body, *signature;
    } rows[] = {
        {"hmac_secret_1234", "{\"type\":\"payment_intent\"}",
         "38b0bc1ea66b14793e39cd58e93d37b799a507442d0dd8d37443fa95dec58e57da6db4742636fea31201c48e57a66e73a30"
         "8a2"
         "e5a5c6bb831e4e39fe2227c00f"},
        {"whsec_test_secret", "{\"event_id\":\"evt_1\",\"event_type\":\"payment_succeeded\"}",
         "4164249b34b911a90df9f410b36a08297e2f0b636e03ed556d2f22a675caf41d2c9add218670558ac7409053589c8ac25e1"
         "ae3"
         "e100e8ed4b79eac44ba4b33895"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char config[200], wrong[129];
        struct mt_hint hint;
        size_t count;
        mt_format(config, sizeof(config),
                  "{\"paymnt\":{\"api_key\":\"sk_live_1\",\"webhook_secret\":\"%s\"}}", rows[i].secret);
        struct world w = world_with(config, NULL);
        /* The signature holds; what the body lacks is told after it. */
        assert_int_equal(receive(&w, rows[i].body, rows[i].signature, &hint, &count), -1);
        assert_int_equal(w.e.kind, MT_INVALID_REQUEST);
        mt_copy(wrong, sizeof(wrong), rows[i].signature);
        wrong[127] = wrong[127] == '0' ? '1' : '0';
        assert_int_equal(receive(&w, rows[i].body, wrong, &hint, &count), -1);
        assert_int_equal(w.e.kind, MT_AUTHENTICATION);
        assert_int_equal(receive(&w, rows[i].body, NULL, &hint, &count), -1);
        assert_int_equal(w.e.kind, MT_AUTHENTICATION);
        wrong[64] = '\0';
        assert_int_equal(receive(&w, rows[i].body, wrong, &hint, &count), -1);
        assert_int_equal(w.e.kind, MT_AUTHENTICATION);
        assert_int_equal(receive(&w, rows[i].body, "", &hint, &count), -1);
        assert_int_equal(w.e.kind, MT_AUTHENTICATION);
        assert_int_equal(count, 0);
        world_end(&w);
    }
    /* Without a secret nothing is believed, not even what is signed with the empty key. */
    struct world w = world_with("{\"paymnt\":{\"api_key\":\"sk_live_1\"}}", NULL);
    char signature[2 * MT_SHA512_SIZE + 1];
    struct mt_hint hint;
    size_t count;
    mt_hmac_sha512_hex("", 0, "{}", 2, signature);
    assert_int_equal(receive(&w, "{}", signature, &hint, &count), -1);
    assert_int_equal(w.e.kind, MT_AUTHENTICATION);
    world_end(&w);
}

static void events_become_hints(void **state) {
    (void)state;
    static const struct {
        const char *type, *content, *object, *topic, *key;
    } rows[] = {
        {"payment_succeeded", "payment_details",
         "{\"payment_id\":\"pay_1\",\"status\":\"succeeded\",\"amount\":1000,\"currency\":\"USD\","
         "\"client_secret\":\"s\"}",
         "paymnt.payment", "pay_1"},
        {"refund_succeeded", "refund_details",
         "{\"refund_id\":\"ref_1\",\"payment_id\":\"pay_1\",\"amount\":1000,\"currency\":\"USD\"}",
         "paymnt.refund", "ref_1"},
        {"dispute_opened", "dispute_details", "{\"dispute_id\":\"d\",\"amount\":1000,\"currency\":\"USD\"}",
         "paymnt.other", "dispute_opened"},
    };
    struct world w = world_with(NULL, SANDBOX);
    struct mt_hint hint;
    size_t count;
    char body[600];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        mt_format(
            body, sizeof(body),
            "{\"merchant_id\":\"m\",\"event_id\":\"evt_%zu\",\"event_type\":\"%s\",\"content\":{\"type\":"
            "\"%s\",\"object\":%s},\"timestamp\":\"2024-03-16T19:55:45.335Z\"}",
            i, rows[i].type, rows[i].content, rows[i].object);
        if (receive_signed(&w, body, &hint, &count) != 0) fail_msg("%s", w.e.message);
        assert_int_equal(count, 1);
        assert_string_equal(hint.topic, rows[i].topic);
        assert_string_equal(hint.key, rows[i].key);
        mt_format(body, sizeof(body), "paymnt:evt_%zu", i);
        assert_string_equal(hint.source, body);
        assert_string_equal(mt_json_str(hint.payload, "event", ""), rows[i].type);
        assert_string_equal(mt_json_str(hint.payload, "timestamp", ""), "2024-03-16T19:55:45.335Z");
        assert_null(json_object_get(hint.payload, "client_secret"));
        if (i < 2)
            assert_string_equal(mt_json_str(json_object_get(hint.payload, "amount"), "$money", ""),
                                "10.00 USD");
        json_decref(hint.payload);
    }
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"event_id\":\"e\",\"event_type\":\"payment_succeeded\"}",
        "{\"event_type\":\"payment_succeeded\",\"content\":{\"object\":{}}}",
        "{\"event_id\":\"e\",\"event_type\":\"payment_succeeded\",\"content\":{\"type\":\"payment_details\","
        "\"object\":{}}}",
        "{\"event_id\":\"e\",\"event_type\":\"payment_succeeded\",\"content\":{\"type\":\"payment_details\","
        "\"object\":{\"payment_id\":\"../x\"}}}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(receive_signed(&w, bad[i], &hint, &count), -1);
        assert_int_equal(w.e.kind, MT_INVALID_REQUEST);
        assert_int_equal(count, 0);
    }
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
        cmocka_unit_test(writes_are_reconciled_by_reading),
        cmocka_unit_test(reads_that_find_out_are_named),
        cmocka_unit_test(release_and_settled_go_by_state),
        cmocka_unit_test(published_signatures_fit),
        cmocka_unit_test(events_become_hints),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
