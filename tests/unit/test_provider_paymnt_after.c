/* links: mt_providers */
/* Paymnt afterwards: what is found out after an unknown outcome, settled and release, signed webhooks. */
#include "provider_fake.h"

#include "crypto/crypto.h"

#define SANDBOX "http://127.0.0.1:8090"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_are_reconciled_by_reading),
        cmocka_unit_test(reads_that_find_out_are_named),
        cmocka_unit_test(release_and_settled_go_by_state),
        cmocka_unit_test(published_signatures_fit),
        cmocka_unit_test(events_become_hints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
