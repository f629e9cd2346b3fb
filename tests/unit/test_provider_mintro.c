/* links: mt_providers */
/* Mintro: exact request bytes for the document's examples, every example of an answer, every row of the error
 * table, answers that make no sense, and what is found out after an unknown outcome. */
#include "provider_fake.h"

#define SANDBOX "http://127.0.0.1:8090"
#define UUID "96e6c1e3-0c5e-4f0a-9a53-2f1f1c9c0a11"

static const char create_params[] =
    "{\"amount\":{\"$money\":\"80.00 USD\"},\"intent_type\":\"recurring\",\"interval_days\":30,"
    "\"email\":\"customer@example.com\",\"name\":\"John Doe\",\"reference_id\":\"ORDER-123456\","
    "\"customer_ref_id\":\"CUST-001\",\"integration_type\":\"iframe\",\"success_url\":\"https://example.com/"
    "success\","
    "\"cancel_url\":\"https://example.com/cancel\",\"metadata\":{\"internal_id\":\"999\"},"
    "\"order_items\":[{\"name\":\"Product 1\",\"quantity\":1,\"price\":{\"$money\":\"50.00 USD\"}}]}";

static const char created[] = "{\"success\":true,\"data\":{\"intent_id\":\"pi_" UUID
                              "\",\"status\":\"requires_payment\",\"amount\":\"80.00\","
                              "\"payment_url\":\"https://mintro.paywithwallet.net/pay/xyz123\"}}";

static const char got[] =
    "{\"success\":true,\"data\":{\"intent_id\":\"pi_" UUID
    "\",\"reference_id\":\"ORDER-123456\",\"amount\":\"80.00\","
    "\"currency\":\"USD\",\"status\":\"succeeded\",\"payment_url\":\"https://mintro.paywithwallet.net/pay/"
    "xyz123\","
    "\"type\":\"recurring\",\"interval_days\":30,\"expires_at\":\"2024-12-31T23:59:59.000000Z\",\"tax\":\"10."
    "00\","
    "\"discount\":\"5.00\",\"order_items\":[{\"name\":\"Product 1\",\"quantity\":1,\"price\":\"50.00\"}]}}";

static void create_sends_the_documents_example(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    w.net.body = created;
    json_t *v = call(&w, "mintro.intents.create", create_params, "2b244b3a-897f-4f3e-ad70-69ea39635b9e");
    assert_json(v, "{\"intent_id\":\"pi_" UUID
                   "\",\"status\":\"requires_payment\",\"amount\":{\"$money\":\"80.00 USD\"},"
                   "\"payment_url\":\"https://mintro.paywithwallet.net/pay/xyz123\"}");
    json_decref(v);
    assert_string_equal(w.net.last.method, "POST");
    assert_string_equal(w.net.last.url, SANDBOX "/api/platform/intents");
    const struct mt_headers *h = &w.net.last.headers;
    assert_string_equal(mt_headers_get(h, "X-Client-ID"), "mintro_test_client");
    assert_string_equal(mt_headers_get(h, "X-Client-Secret"), "mintro_test_secret");
    assert_string_equal(mt_headers_get(h, "Idempotency-Key"), "2b244b3a-897f-4f3e-ad70-69ea39635b9e");
    assert_string_equal(mt_headers_get(h, "Content-Type"), "application/json");
    assert_string_equal(
        w.net.last.body,
        "{\"amount\":80.00,\"currency\":\"USD\",\"intent_type\":\"recurring\",\"interval_days\":30,"
        "\"email\":\"customer@example.com\",\"name\":\"John Doe\",\"reference_id\":\"ORDER-123456\","
        "\"customer_ref_id\":\"CUST-001\",\"integration_type\":\"iframe\",\"success_url\":\"https://"
        "example.com/success\","
        "\"cancel_url\":\"https://example.com/cancel\",\"metadata\":{\"internal_id\":\"999\"},"
        "\"order_items\":[{\"name\":\"Product 1\",\"quantity\":1,\"price\":50.00}]}");
    assert_int_equal(w.net.last.body_len, strlen(w.net.last.body));
    world_end(&w);
}

static void amounts_keep_every_digit(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    w.net.body =
        "{\"success\":true,\"data\":{\"intent_id\":\"pi_1\",\"status\":\"requires_payment\",\"amount\":80}}";
    static const struct {
        const char *money, *sent;
    } rows[] = {
        {"90071992547409.93 USD", "\"amount\":90071992547409.93,\"currency\":\"USD\""}, /* beyond a double */
        {"0.10 USD", "\"amount\":0.10,\"currency\":\"USD\""},
        {"10000 KRW", "\"amount\":10000,\"currency\":\"KRW\""},
        {"1.234 KWD", "\"amount\":1.234,\"currency\":\"KWD\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *p = from_text(create_params);
        json_object_set_new(p, "amount", json_pack("{s:s}", "$money", rows[i].money));
        json_object_set_new(p, "order_items", json_array());
        json_object_set_new(p, "metadata", json_object());
        json_t *v = call_json(&w, "mintro.intents.create", p, "k");
        assert_non_null(v);
        assert_non_null(strstr(w.net.last.body, rows[i].sent));
        assert_null(strstr(w.net.last.body, "metadata"));
        assert_non_null(strstr(w.net.last.body, "\"order_items\":[]"));
        json_decref(v);
        json_decref(p);
    }
    world_end(&w);
}

static void create_defaults_to_one_time_and_writes_parts(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    w.net.body = created;
    json_t *v =
        call(&w, "mintro.intents.create",
             "{\"amount\":{\"$money\":\"80.00 USD\"},\"currency\":\"USD\",\"tax\":{\"$money\":\"10.00 USD\"},"
             "\"discount\":{\"$money\":\"5.50 USD\"},\"email\":\"a@b.c\",\"name\":\"J "
             "\\\"D\\\"\",\"reference_id\":\"R_1\","
             "\"integration_type\":\"url\",\"success_url\":\"http://localhost/s\",\"cancel_url\":\"http://"
             "localhost/c\","
             "\"metadata\":{\"$$odd\":1,\"paid\":{\"$money\":\"1.00 USD\"}},\"order_items\":{}}",
             NULL);
    assert_non_null(v);
    json_decref(v);
    assert_string_equal(
        w.net.last.body,
        "{\"amount\":80.00,\"currency\":\"USD\",\"intent_type\":\"one_time\",\"email\":\"a@b.c\","
        "\"name\":\"J \\\"D\\\"\",\"reference_id\":\"R_1\",\"integration_type\":\"url\","
        "\"success_url\":\"http://localhost/s\",\"cancel_url\":\"http://localhost/c\",\"tax\":10.00,"
        "\"discount\":5.50,\"metadata\":{\"$odd\":1,\"paid\":\"1.00 USD\"},\"order_items\":[]}");
    assert_null(mt_headers_get(&w.net.last.headers, "Idempotency-Key"));
    world_end(&w);
}

static void reads_answer_money(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    static const char expected[] =
        "{\"intent_id\":\"pi_" UUID
        "\",\"reference_id\":\"ORDER-123456\",\"amount\":{\"$money\":\"80.00 USD\"},"
        "\"currency\":\"USD\",\"status\":\"succeeded\",\"payment_url\":\"https://mintro.paywithwallet.net/"
        "pay/xyz123\","
        "\"type\":\"recurring\",\"interval_days\":30,\"expires_at\":\"2024-12-31T23:59:59.000000Z\","
        "\"tax\":{\"$money\":\"10.00 USD\"},\"discount\":{\"$money\":\"5.00 USD\"},"
        "\"order_items\":[{\"name\":\"Product 1\",\"quantity\":1,\"price\":{\"$money\":\"50.00 USD\"}}]}";
    static const struct {
        const char *operation, *params, *method, *path;
    } rows[] = {
        {"mintro.intents.get", "{\"intent_id\":\"pi_" UUID "\"}", "GET",
         SANDBOX "/api/platform/intents/pi_" UUID},
        {"mintro.intents.get", "{\"id\":\"" UUID "\"}", "GET", SANDBOX "/api/platform/intents/" UUID},
        {"mintro.intents.get_by_reference", "{\"reference_id\":\"ORDER-123456\"}", "GET",
         SANDBOX "/api/platform/intents/reference/ORDER-123456"},
    };
    w.net.body = got;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *v = call(&w, rows[i].operation, rows[i].params, NULL);
        assert_json(v, expected);
        json_decref(v);
        assert_string_equal(w.net.last.method, rows[i].method);
        assert_string_equal(w.net.last.url, rows[i].path);
        assert_null(w.net.last.body);
    }
    world_end(&w);
}

static void cancels_answer_one_spelling(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    static const char *const spelled[] = {"cancelled", "canceled"};
    char body[256];
    for (size_t i = 0; i < 2; i++) {
        mt_format(body, sizeof(body),
                  "{\"success\":true,\"data\":{\"intent_id\":\"pi_1\",\"status\":\"%s\"}}", spelled[i]);
        w.net.body = body;
        json_t *v = call(&w, "mintro.intents.cancel", "{\"intent_id\":\"pi_1\"}", NULL);
        assert_json(v, "{\"intent_id\":\"pi_1\",\"status\":\"cancelled\"}");
        json_decref(v);
        assert_string_equal(w.net.last.method, "POST");
        assert_string_equal(w.net.last.url, SANDBOX "/api/platform/intents/pi_1/cancel");
        mt_format(body, sizeof(body),
                  "{\"success\":true,\"data\":{\"subscription_id\":\"sub_7f8g9h0\",\"status\":\"%s\"}}",
                  spelled[i]);
        v = call(&w, "mintro.subscriptions.cancel", "{\"subscription_id\":\"sub_7f8g9h0\"}", NULL);
        assert_json(v, "{\"subscription_id\":\"sub_7f8g9h0\",\"status\":\"cancelled\"}");
        json_decref(v);
        assert_string_equal(w.net.last.url, SANDBOX "/api/platform/subscriptions/sub_7f8g9h0/cancel");
    }
    world_end(&w);
}

static void answers_are_read_tolerantly(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    static const struct {
        const char *body, *value;
    } rows[] = {
        /* a number for an amount; no currency: left as it came; flat; members that look like tags */
        {"{\"data\":{\"intent_id\":\"pi_1\",\"status\":\"expired\",\"amount\":80.5,\"currency\":\"USD\"}}",
         "{\"intent_id\":\"pi_1\",\"status\":\"expired\",\"amount\":{\"$money\":\"80.50 "
         "USD\"},\"currency\":\"USD\"}"},
        {"{\"data\":{\"intent_id\":\"pi_1\",\"status\":\"expired\",\"amount\":\"80.00\"}}",
         "{\"intent_id\":\"pi_1\",\"status\":\"expired\",\"amount\":\"80.00\"}"},
        {"{\"intent_id\":\"pi_1\",\"status\":\"CANCELED\",\"amount\":80,\"currency\":\"JPY\"}",
         "{\"intent_id\":\"pi_1\",\"status\":\"cancelled\",\"amount\":{\"$money\":\"80 "
         "JPY\"},\"currency\":\"JPY\"}"},
        {"{\"data\":{\"intent_id\":\"pi_1\",\"status\":\"new\",\"amount\":null,\"currency\":\"USD\","
         "\"metadata\":{\"$money\":\"1.00 USD\"}}}",
         "{\"intent_id\":\"pi_1\",\"status\":\"new\",\"amount\":null,\"currency\":\"USD\","
         "\"metadata\":{\"$$money\":\"1.00 USD\"}}"},
        {"{\"data\":{\"intent_id\":\"pi_1\",\"status\":\"new\",\"amount\":\"1.234\",\"currency\":\"USD\"}}",
         "{\"intent_id\":\"pi_1\",\"status\":\"new\",\"amount\":\"1.234\",\"currency\":\"USD\"}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        w.net.body = rows[i].body;
        json_t *v = call(&w, "mintro.intents.get", "{\"id\":\"pi_1\"}", NULL);
        assert_json(v, rows[i].value);
        json_decref(v);
    }
    world_end(&w);
}

static void every_error_row_is_read(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    const struct mt_provider *mintro = mt_providers_all()[0];
    int rows = 0;
    w.net.body = "{\"success\":false,\"message\":\"Invalid API Key provided.\",\"data\":[]}";
    for (const struct mt_error_row *row = mintro->errors; row->code != NULL; row++, rows++) {
        w.net.status = atoi(row->code);
        assert_null(call(&w, "mintro.intents.create", create_params, "k"));
        assert_int_equal(w.e.kind, row->kind);
        assert_int_equal(w.e.retryable, row->retryable);
        assert_int_equal(w.e.hard, row->hard);
        assert_int_equal(w.e.http_status, w.net.status);
        assert_string_equal(w.e.code, row->code);
        assert_string_equal(w.e.provider, "mintro");
        assert_string_equal(w.e.operation, "intents.create");
        assert_non_null(strstr(w.e.message, "Invalid API Key provided."));
        bool unknown = w.net.status >= 500 || w.net.status == 409;
        assert_int_equal(w.e.outcome, unknown ? MT_UNKNOWN : MT_REJECTED);
    }
    assert_true(rows >= 6);
    w.net.status = 401;
    assert_null(call(&w, "mintro.intents.get", "{\"id\":\"pi_1\"}", NULL));
    assert_string_equal(w.e.message, "mintro.intents.get: 401 Unauthorized: Invalid API Key provided.");
    /* Statuses that no row knows go by their class. */
    w.net.status = 418;
    assert_null(call(&w, "mintro.intents.create", create_params, "k"));
    assert_int_equal(w.e.kind, MT_INVALID_REQUEST);
    assert_int_equal(w.e.outcome, MT_REJECTED);
    w.net.status = 599;
    assert_null(call(&w, "mintro.intents.create", create_params, "k"));
    assert_int_equal(w.e.kind, MT_UNAVAILABLE);
    assert_int_equal(w.e.outcome, MT_UNKNOWN);
    w.net.status = 302;
    assert_null(call(&w, "mintro.intents.create", create_params, "k"));
    assert_int_equal(w.e.kind, MT_PROTOCOL);
    assert_int_equal(w.e.outcome, MT_UNKNOWN);
    world_end(&w);
}

static void validation_errors_name_their_fields(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    w.net.status = 422;
    w.net.body = "{\"message\":\"The given data was invalid.\",\"errors\":{\"email\":[\"The email field is "
                 "required.\"],"
                 "\"amount\":[\"The amount must be at least 1.\"]}}";
    assert_null(call(&w, "mintro.intents.create", create_params, "k"));
    assert_int_equal(w.e.kind, MT_INVALID_REQUEST);
    assert_int_equal(w.e.outcome, MT_REJECTED);
    assert_string_equal(w.e.code, "422");
    assert_string_equal(w.e.message, "mintro.intents.create: 422 Unprocessable Content: The given data was "
                                     "invalid. email: The email field "
                                     "is required. amount: The amount must be at least 1.");
    /* The same map at another status, texts that are no lists, and a card number that is echoed. */
    w.net.status = 400;
    w.net.body = "{\"errors\":{\"name\":\"4242424242424242 is no name\"}}";
    assert_null(call(&w, "mintro.intents.create", create_params, "k"));
    assert_string_equal(w.e.code, "400");
    assert_null(strstr(w.e.message, "4242424242"));
    /* success false under 200 */
    w.net.status = 200;
    w.net.body = "{\"success\":false,\"message\":\"Currency not enabled.\",\"data\":[]}";
    assert_null(call(&w, "mintro.intents.create", create_params, "k"));
    assert_int_equal(w.e.outcome, MT_REJECTED);
    assert_non_null(strstr(w.e.message, "Currency not enabled."));
    world_end(&w);
}

static void retry_after_is_kept(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    w.net.status = 429;
    w.net.body = "{\"message\":\"Too Many Attempts.\"}";
    w.net.header = "Retry-After";
    w.net.header_value = "7";
    assert_null(call(&w, "mintro.intents.create", create_params, "k"));
    assert_int_equal(w.e.kind, MT_RATE_LIMITED);
    assert_int_equal(w.e.retry_after_s, 7);
    w.net.header_value = "999999999999";
    assert_null(call(&w, "mintro.intents.create", create_params, "k"));
    assert_int_equal(w.e.retry_after_s, 86400);
    w.net.header_value = "soon";
    assert_null(call(&w, "mintro.intents.create", create_params, "k"));
    assert_int_equal(w.e.retry_after_s, 0);
    world_end(&w);
}

static void nonsense_leaves_a_write_unknown(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    static const char *const bodies[] = {
        "",
        "<html>Bad gateway</html>",
        "{\"success\":true,\"data\":{\"intent_id\":\"pi_1\",\"stat",
        "[]",
        "\"ok\"",
        "{\"success\":true,\"data\":[]}",
        "{\"success\":true,\"data\":{\"status\":\"requires_payment\"}}",
        "{\"success\":true,\"data\":{\"intent_id\":7,\"status\":\"requires_payment\"}}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        w.net.body = bodies[i];
        w.net.type = i == 1 ? "text/html" : "application/json";
        assert_null(call(&w, "mintro.intents.create", create_params, "k"));
        assert_int_equal(w.e.kind, MT_PROTOCOL);
        assert_int_equal(w.e.outcome, MT_UNKNOWN);
        assert_null(call(&w, "mintro.intents.cancel", "{\"id\":\"pi_1\"}", "k"));
        assert_int_equal(w.e.kind, MT_PROTOCOL);
        assert_int_equal(w.e.outcome, MT_UNKNOWN);
    }
    /* A 404 that is not Mintro's says nothing about the intent; one of Mintro's does. */
    w.net.status = 404;
    w.net.body = "<html>no such site</html>";
    assert_null(call(&w, "mintro.intents.get_by_reference", "{\"reference_id\":\"R\"}", NULL));
    assert_int_equal(w.e.kind, MT_PROTOCOL);
    assert_int_equal(w.e.outcome, MT_UNKNOWN);
    w.net.body = "{\"success\":false,\"message\":\"Intent not found.\",\"data\":[]}";
    assert_null(call(&w, "mintro.intents.get_by_reference", "{\"reference_id\":\"R\"}", NULL));
    assert_int_equal(w.e.kind, MT_NOT_FOUND);
    assert_int_equal(w.e.outcome, MT_REJECTED);
    world_end(&w);
}

/* What create's reconciled says about a found intent or a read error. */
static enum mt_outcome judge(const char *name, const char *params, const char *found, enum mt_kind read_kind,
                             json_t **value, struct mt_error *e) {
    const struct mt_account *account;
    const struct mt_operation *op = mt_operation_find(NULL, name, &account, e);
    json_t *p = from_text(params), *f = found != NULL ? from_text(found) : NULL;
    struct mt_error read_error = {.kind = read_kind};
    *value = NULL;
    enum mt_outcome o = op->reconciled(op, p, f, found == NULL ? &read_error : NULL, value, e);
    assert_int_equal(o == MT_DONE, *value != NULL);
    json_decref(p);
    json_decref(f);
    return o;
}

static void create_is_reconciled_by_reference(void **state) {
    (void)state;
    struct mt_error e;
    const struct mt_account *account;
    const struct mt_operation *op = mt_operation_find(NULL, "mintro.intents.create", &account, &e);
    json_t *p = from_text(create_params), *read_params, *value;
    const char *read_operation;
    assert_int_equal(op->reconcile(op, p, &read_operation, &read_params), 0);
    assert_string_equal(read_operation, "intents.get_by_reference");
    assert_json(read_params, "{\"reference_id\":\"ORDER-123456\"}");
    json_decref(read_params);
    json_decref(p);

    assert_int_equal(
        judge(
            "mintro.intents.create", create_params,
            "{\"intent_id\":\"pi_1\",\"reference_id\":\"ORDER-123456\",\"amount\":{\"$money\":\"80.00 USD\"},"
            "\"currency\":\"USD\",\"status\":\"requires_payment\",\"type\":\"recurring\",\"payment_url\":"
            "\"u\"}",
            0, &value, &e),
        MT_DONE);
    assert_json(
        value,
        "{\"intent_id\":\"pi_1\",\"status\":\"requires_payment\",\"amount\":{\"$money\":\"80.00 USD\"},"
        "\"payment_url\":\"u\"}");
    json_decref(value);
    /* Without a currency the amount came as text. */
    assert_int_equal(judge("mintro.intents.create", create_params,
                           "{\"intent_id\":\"pi_1\",\"amount\":\"80.00\",\"status\":\"succeeded\"}", 0,
                           &value, &e),
                     MT_DONE);
    assert_json(value,
                "{\"intent_id\":\"pi_1\",\"status\":\"succeeded\",\"amount\":{\"$money\":\"80.00 USD\"}}");
    json_decref(value);
    /* Somebody else's */
    assert_int_equal(
        judge("mintro.intents.create", create_params,
              "{\"intent_id\":\"pi_1\",\"amount\":{\"$money\":\"81.00 USD\"},\"status\":\"succeeded\"}", 0,
              &value, &e),
        MT_REJECTED);
    assert_int_equal(e.kind, MT_CONFLICT);
    assert_int_equal(
        judge("mintro.intents.create", create_params,
              "{\"intent_id\":\"pi_1\",\"amount\":\"80\",\"type\":\"one_time\",\"status\":\"succeeded\"}", 0,
              &value, &e),
        MT_REJECTED);
    assert_int_equal(judge("mintro.intents.create", create_params,
                           "{\"intent_id\":\"pi_1\",\"reference_id\":\"OTHER\",\"amount\":\"80\"}", 0, &value,
                           &e),
                     MT_UNKNOWN);
    assert_int_equal(judge("mintro.intents.create", create_params, NULL, MT_NOT_FOUND, &value, &e),
                     MT_NOT_SENT);
    assert_int_equal(judge("mintro.intents.create", create_params, NULL, MT_TIMEOUT, &value, &e), MT_UNKNOWN);
    assert_int_equal(judge("mintro.intents.create", create_params, NULL, MT_AUTHENTICATION, &value, &e),
                     MT_UNKNOWN);
}

static void cancel_is_reconciled_by_reading(void **state) {
    (void)state;
    static const struct {
        const char *status;
        enum mt_outcome outcome;
    } rows[] = {
        {"cancelled", MT_DONE},   {"requires_payment", MT_NOT_SENT}, {"succeeded", MT_REJECTED},
        {"expired", MT_REJECTED}, {"dreaming", MT_UNKNOWN},
    };
    struct mt_error e;
    json_t *value;
    char found[128];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        mt_format(found, sizeof(found), "{\"intent_id\":\"pi_1\",\"status\":\"%s\"}", rows[i].status);
        assert_int_equal(judge("mintro.intents.cancel", "{\"intent_id\":\"pi_1\"}", found, 0, &value, &e),
                         rows[i].outcome);
        if (value != NULL) assert_json(value, found);
        json_decref(value);
    }
    assert_int_equal(judge("mintro.intents.cancel", "{\"id\":\"pi_1\"}", NULL, MT_TIMEOUT, &value, &e),
                     MT_UNKNOWN);
    /* Refused: its state forbids it. */
    struct world w = world_with(NULL, SANDBOX);
    w.net.status = 400;
    w.net.body = "{\"success\":false,\"message\":\"Only pending intents can be cancelled.\",\"data\":[]}";
    assert_null(call(&w, "mintro.intents.cancel", "{\"id\":\"pi_1\"}", NULL));
    assert_int_equal(w.e.kind, MT_CONFLICT);
    assert_int_equal(w.e.outcome, MT_REJECTED);
    /* A subscription that is cancelled already is what was asked for. */
    static const char *const said[] = {
        "Subscription is already cancelled.", "It has been canceled.",
        "Only an active subscription can be cancelled; this one is cancelled."};
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        char body[200];
        mt_format(body, sizeof(body), "{\"success\":false,\"message\":\"%s\",\"data\":[]}", said[i]);
        w.net.body = body;
        value = call(&w, "mintro.subscriptions.cancel", "{\"subscription_id\":\"sub_1\"}", NULL);
        assert_json(value, "{\"subscription_id\":\"sub_1\",\"status\":\"cancelled\"}");
        json_decref(value);
    }
    w.net.body = "{\"success\":false,\"message\":\"Only an active subscription can be cancelled; this one is "
                 "ended.\",\"data\":[]}";
    assert_null(call(&w, "mintro.subscriptions.cancel", "{\"subscription_id\":\"sub_1\"}", NULL));
    assert_int_equal(w.e.kind, MT_CONFLICT);
    world_end(&w);
}

static void release_and_settled_go_by_status(void **state) {
    (void)state;
    static const struct {
        const char *status;
        bool rest;
        int decided;
        const char *operation;
        enum mt_kind kind;
    } rows[] = {
        {"requires_payment", false, 0, "intents.cancel", 0},
        {"cancelled", true, 0, NULL, 0},
        {"expired", true, 0, NULL, 0},
        {"succeeded", true, -1, NULL, MT_UNSUPPORTED},
        {"dreaming", false, -1, NULL, MT_CONFLICT},
    };
    struct mt_error e;
    const struct mt_account *account;
    const struct mt_operation *settled = mt_operation_find(NULL, "mintro.intents.settled", &account, &e);
    const struct mt_operation *release = mt_operation_find(NULL, "mintro.intents.release", &account, &e);
    json_t *params = from_text("{\"intent_id\":\"pi_1\"}");
    assert_int_equal(mt_operation_check(settled, "mintro.intents.settled", params, &e), 0);
    assert_string_equal(mt_operation_object_id(settled, params), "pi_1");
    assert_string_equal(settled->topic, "mintro.intent");
    assert_string_equal(settled->read_operation, "intents.get");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *object = json_pack("{s:s, s:s}", "intent_id", "pi_1", "status", rows[i].status), *next = NULL;
        const char *operation = "unset";
        assert_int_equal(settled->at_rest(settled, object), rows[i].rest);
        assert_int_equal(release->decide(release, params, object, &operation, &next, &e), rows[i].decided);
        if (rows[i].decided != 0) assert_int_equal(e.kind, rows[i].kind);
        if (rows[i].operation == NULL) assert_null(operation);
        if (rows[i].operation != NULL) {
            assert_string_equal(operation, rows[i].operation);
            assert_json(next, "{\"intent_id\":\"pi_1\"}");
        }
        json_decref(next);
        json_decref(object);
    }
    json_decref(params);
}

static void with_change(struct world *w, const char *change, const char *message) {
    json_t *p = from_text(create_params), *c = from_text(change);
    const char *key;
    json_t *v;
    json_object_foreach(c, key, v) {
        if (json_is_string(v) && strcmp(json_string_value(v), "(none)") == 0)
            json_object_del(p, key);
        else
            json_object_set(p, key, v);
    }
    int before = w->net.calls;
    assert_null(call_json(w, "mintro.intents.create", p, "k"));
    assert_int_equal(w->net.calls, before);
    assert_int_equal(w->e.kind, MT_INVALID_REQUEST);
    if (strcmp(w->e.message, message) != 0) fail_msg("got:  %s\nwant: %s", w->e.message, message);
    json_decref(p);
    json_decref(c);
}

static void mistakes_are_named(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
#define CREATE "mintro.intents.create: "
    with_change(&w, "{\"refrence_id\":\"x\"}",
                CREATE "unknown field \"refrence_id\" (did you mean \"reference_id\"?)");
    with_change(
        &w, "{\"items\":[]}",
        CREATE "unknown field \"items\"; it takes amount, currency, intent_type, interval_days, email, name, "
               "reference_id, customer_ref_id, order_items, integration_type, success_url, cancel_url, tax, "
               "discount, "
               "metadata");
    with_change(&w, "{\"email\":\"(none)\"}",
                CREATE "field \"email\" is missing; wanted a string: the customer's email address");
    with_change(&w, "{\"email\":null}",
                CREATE "field \"email\" is missing; wanted a string: the customer's email address");
    with_change(&w, "{\"amount\":80}",
                CREATE "field \"amount\" is an integer, wanted money, as in money \"80.00 USD\"");
    with_change(&w, "{\"amount\":\"80.00 USD\"}",
                CREATE "field \"amount\" is a string, wanted money, as in money \"80.00 USD\"");
    with_change(&w, "{\"amount\":{\"$money\":\"0.00 USD\"}}",
                CREATE "field \"amount\": wanted money of more than zero");
    with_change(&w, "{\"currency\":\"EUR\"}",
                CREATE "field \"currency\" is \"EUR\" but \"amount\" is in USD; leave \"currency\" out");
    with_change(&w, "{\"tax\":{\"$money\":\"1.00 EUR\"}}",
                CREATE "field \"tax\" is in EUR, wanted USD as in \"amount\"");
    with_change(&w, "{\"discount\":{\"$money\":\"-1.00 USD\"}}", CREATE "field \"discount\" is negative");
    with_change(
        &w, "{\"intent_type\":\"recuring\"}",
        CREATE
        "field \"intent_type\" is \"recuring\", wanted one of \"one_time\", \"recurring\" (did you mean "
        "\"recurring\"?)");
    with_change(&w, "{\"interval_days\":\"(none)\"}",
                CREATE "field \"interval_days\" is missing; intent_type \"recurring\" needs it");
    with_change(&w, "{\"intent_type\":\"one_time\"}",
                CREATE
                "field \"interval_days\" is for intent_type \"recurring\", which is not what was asked for");
    with_change(&w, "{\"interval_days\":0}", CREATE "field \"interval_days\" is 0, wanted 1 to 36500");
    with_change(&w, "{\"interval_days\":30.5}",
                CREATE "field \"interval_days\" is a number with a fraction, wanted an integer");
    with_change(&w, "{\"reference_id\":\"ORDER 1\"}",
                CREATE "field \"reference_id\" is \"ORDER 1\", wanted 1 to 100 letters, digits, - and _");
    with_change(&w, "{\"reference_id\":\"\"}",
                CREATE "field \"reference_id\" is 0 bytes long, wanted 1 to 100");
    with_change(&w, "{\"integration_type\":\"url\",\"cancel_url\":\"(none)\"}",
                CREATE "field \"cancel_url\" is missing; integration_type \"url\" needs it");
    with_change(&w, "{\"success_url\":\"javascript:alert(1)\"}",
                CREATE "field \"success_url\" is no URL; wanted http:// or https:// with a host");
    with_change(&w, "{\"order_items\":[{\"name\":\"a\",\"quantity\":1,\"cost\":1}]}",
                CREATE "unknown field \"order_items[1].cost\"; it takes name, quantity, price");
    with_change(&w, "{\"order_items\":[{\"name\":\"a\",\"quantty\":1}]}",
                CREATE "unknown field \"order_items[1].quantty\" (did you mean \"quantity\"?)");
    with_change(&w, "{\"order_items\":[{\"name\":\"a\",\"quantity\":1,\"price\":1}]}",
                CREATE
                "field \"order_items[1].price\" is an integer, wanted money, as in money \"50.00 USD\"");
    with_change(&w, "{\"order_items\":[{\"name\":\"a\",\"quantity\":0,\"price\":{\"$money\":\"1.00 USD\"}}]}",
                CREATE "field \"order_items[1].quantity\" is 0, wanted 1 to 1000000");
    with_change(&w, "{\"order_items\":[{\"name\":\"a\",\"quantity\":1,\"price\":{\"$money\":\"1.00 EUR\"}}]}",
                CREATE "field \"order_items[1]\" is in EUR, wanted USD as in \"amount\"");
    with_change(&w, "{\"metadata\":{\"$money\":\"1.00 USD\"}}",
                CREATE "field \"metadata\" is money, wanted an object");
    assert_refused(&w, "mintro.intents.get", "{}",
                   "mintro.intents.get: field \"intent_id\" is missing; wanted a string");
    assert_refused(&w, "mintro.intents.get", "{\"id\":\"a\",\"intent_id\":\"b\"}",
                   "mintro.intents.get: fields \"id\" and \"intent_id\" name different intents");
    assert_refused(
        &w, "mintro.intents.get", "{\"id\":\"../admin\"}",
        "mintro.intents.get: field \"id\" is \"../admin\", wanted 1 to 100 letters, digits, - and _ (as in "
        "pi_96e6c1e3-0c5e-4f0a-9a53-2f1f1c9c0a11, or the UUID alone)");
    assert_refused(&w, "mintro.intents.get", "[1]",
                   "mintro.intents.get takes one table of named fields, found an array");
    world_end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_sends_the_documents_example),
        cmocka_unit_test(amounts_keep_every_digit),
        cmocka_unit_test(create_defaults_to_one_time_and_writes_parts),
        cmocka_unit_test(reads_answer_money),
        cmocka_unit_test(cancels_answer_one_spelling),
        cmocka_unit_test(answers_are_read_tolerantly),
        cmocka_unit_test(every_error_row_is_read),
        cmocka_unit_test(validation_errors_name_their_fields),
        cmocka_unit_test(retry_after_is_kept),
        cmocka_unit_test(nonsense_leaves_a_write_unknown),
        cmocka_unit_test(create_is_reconciled_by_reference),
        cmocka_unit_test(cancel_is_reconciled_by_reading),
        cmocka_unit_test(release_and_settled_go_by_status),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
