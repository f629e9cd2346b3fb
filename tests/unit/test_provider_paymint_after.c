/* links: mt_providers */
/* Paymint afterwards: what is found out after an unknown outcome, settled and release, callbacks. */
#include "provider_fake.h"

#include "crypto/crypto.h"
#include "providers/private.h"

#define SANDBOX "http://127.0.0.1:8090"
#define KEY "0123456789abcdef0123456789abcdef01234567"
#define OK "\"code\":\"0000\",\"msg\":\"성공하였습니다.\""

static const struct mt_operation *row_named(const char *name) {
    char full[64];
    mt_format(full, sizeof(full), "paymint.%s", name);
    return row_of(full);
}

static void bill_ids_are_made_once(void **state) {
    (void)state;
    static const char *const names[] = {"bills.request", "autopay.request"};
    for (size_t i = 0; i < 2; i++) {
        const struct mt_operation *op = row_named(names[i]);
        json_t *given = from_text("{\"bill_id\":\"MINE\"}"), *none = from_text("{\"bill_id\":null}");
        json_t *kept = op->identify(op, given, KEY), *made = op->identify(op, none, KEY);
        assert_json(kept, "{\"bill_id\":\"MINE\"}");
        assert_json(made, "{\"bill_id\":\"0123456789abcdef0123\"}");
        assert_json(none, "{\"bill_id\":null}"); /* the script's own stays as it is */
        const char *read_operation;
        json_t *read_params;
        assert_int_equal(op->reconcile(op, made, &read_operation, &read_params), 0);
        assert_string_equal(read_operation, "bills.read");
        assert_json(read_params, "{\"bill_id\":\"0123456789abcdef0123\"}");
        json_decref(read_params);
        json_decref(given);
        json_decref(none);
        json_decref(kept);
        json_decref(made);
    }
    assert_int_equal(row_named("bills.resend")->repeat, MT_REPEAT_UNSAFE);
    assert_null(row_named("bills.resend")->reconcile);
}

static void reading_finds_out(void **state) {
    (void)state;
#define FOUND(s, more) "{\"bill_id\":\"A1\",\"appr_state\":\"" s "\"" more "," OK "}"
#define WON ",\"appr_price\":{\"$money\":\"50000 KRW\"}"
#define RP ",\"appr_pay_type\":\"CARD_RP\""
    static const struct {
        const char *operation, *found, *code; /* found NULL: the read was refused with this code */
        enum mt_outcome outcome;
        const char *value;
    } judged[] = {
        {"bills.request", FOUND("W", WON), NULL, MT_DONE, "{\"bill_id\":\"A1\"," OK "}"},
        {"bills.request", FOUND("F", WON), NULL, MT_DONE, "{\"bill_id\":\"A1\"," OK "}"},
        {"bills.request", FOUND("W", ",\"appr_price\":\"\""), NULL, MT_DONE, "{\"bill_id\":\"A1\"," OK "}"},
        {"bills.request", FOUND("W", ",\"appr_price\":{\"$money\":\"1 KRW\"}"), NULL, MT_REJECTED, NULL},
        {"bills.request", FOUND("F", WON RP), NULL, MT_REJECTED, NULL},
        {"bills.request", FOUND("X", ""), NULL, MT_UNKNOWN, NULL},
        {"bills.request", NULL, "9980", MT_NOT_SENT, NULL},
        {"bills.request", NULL, "BILL_003", MT_NOT_SENT, NULL},
        {"bills.request", NULL, "404", MT_UNKNOWN, NULL},
        {"autopay.request", FOUND("F", WON RP), NULL, MT_DONE,
         "{\"bill_id\":\"A1\",\"appr_state\":\"F\",\"appr_price\":{\"$money\":\"50000 KRW\"},"
         "\"appr_pay_type\":\"CARD_RP\"," OK "}"},
        {"autopay.request", FOUND("F", WON ",\"appr_pay_type\":\"KEYIN\""), NULL, MT_REJECTED, NULL},
        {"autopay.request", FOUND("F", ",\"appr_price\":{\"$money\":\"9 KRW\"}" RP), NULL, MT_REJECTED, NULL},
        {"autopay.request", FOUND("W", WON), NULL, MT_UNKNOWN, NULL},
        {"autopay.request", NULL, "9980", MT_NOT_SENT, NULL},
        {"autopay.request", NULL, "5000", MT_UNKNOWN, NULL},
        {"bills.cancel", FOUND("C", ",\"appr_num\":\"2\",\"appr_origin_num\":\"1\""), NULL, MT_DONE,
         "{\"bill_id\":\"A1\",\"appr_num\":\"2\",\"appr_origin_num\":\"1\"," OK "}"},
        {"bills.cancel", FOUND("F", WON), NULL, MT_NOT_SENT, NULL},
        {"bills.cancel", FOUND("W", WON), NULL, MT_REJECTED, NULL},
        {"bills.cancel", FOUND("D", WON), NULL, MT_REJECTED, NULL},
        {"bills.cancel", NULL, "9980", MT_REJECTED, NULL},
        {"bills.cancel", NULL, "500", MT_UNKNOWN, NULL},
        {"bills.destroy", FOUND("D", WON), NULL, MT_DONE, "{\"bill_id\":\"A1\"," OK "}"},
        {"bills.destroy", FOUND("W", WON), NULL, MT_NOT_SENT, NULL},
        {"bills.destroy", FOUND("F", WON), NULL, MT_REJECTED, NULL},
        {"bills.destroy", FOUND("C", WON), NULL, MT_REJECTED, NULL},
        {"bills.destroy", NULL, "404", MT_UNKNOWN, NULL},
        {"autopay.delete", "{\"methods\":[{\"method_id\":\"pm_1\",\"status\":\"active\"}]," OK "}", NULL,
         MT_NOT_SENT, NULL},
        {"autopay.delete", "{\"methods\":[{\"method_id\":\"pm_2\"}]," OK "}", NULL, MT_DONE,
         "{\"customer_id\":\"m\"," OK "}"},
        {"autopay.delete", NULL, "401", MT_UNKNOWN, NULL},
    };
    for (size_t i = 0; i < sizeof(judged) / sizeof(judged[0]); i++) {
        const struct mt_operation *op = row_named(judged[i].operation);
        json_t *params = from_text("{\"bill_id\":\"A1\",\"customer_id\":\"m\",\"method_id\":\"pm_1\","
                                   "\"price\":{\"$money\":\"50000 KRW\"}}");
        json_t *found = judged[i].found != NULL ? from_text(judged[i].found) : NULL, *value = NULL;
        struct mt_error e = {0}, read_error = {.outcome = MT_REJECTED};
        if (judged[i].code != NULL) mt_copy(read_error.code, sizeof(read_error.code), judged[i].code);
        enum mt_outcome outcome =
            op->reconciled(op, params, found, found == NULL ? &read_error : NULL, &value, &e);
        if (outcome != judged[i].outcome) fail_msg("row %zu, %s: %s", i, op->name, mt_outcome_name(outcome));
        assert_int_equal(value != NULL, outcome == MT_DONE);
        if (value != NULL) assert_json(value, judged[i].value);
        if (outcome == MT_REJECTED) assert_int_equal(e.kind, MT_CONFLICT);
        json_decref(value);
        json_decref(found);
        json_decref(params);
    }
}

static void settled_and_release_go_by_state(void **state) {
    (void)state;
    static const struct {
        const char *object;
        bool rest;
        int decided;
        const char *operation, *params;
    } cases[] = {
        {FOUND("W", WON), false, 0, "bills.destroy",
         "{\"bill_id\":\"A1\",\"price\":{\"$money\":\"50000 KRW\"}}"},
        {FOUND("W", WON ",\"expired\":true"), true, 0, "bills.destroy",
         "{\"bill_id\":\"A1\",\"price\":{\"$money\":\"50000 KRW\"}}"},
        {FOUND("F", WON), true, 0, "bills.cancel",
         "{\"bill_id\":\"A1\",\"price\":{\"$money\":\"50000 KRW\"}}"},
        {FOUND("C", WON), true, 0, NULL, NULL},
        {FOUND("D", WON), true, 0, NULL, NULL},
        {FOUND("W", ""), false, -1, NULL, NULL}, /* what is its price? */
        {FOUND("X", WON), false, -1, NULL, NULL},
    };
    const struct mt_operation *settled = row_named("bills.settled"), *release = row_named("bills.release");
    struct mt_error e;
    json_t *params = from_text("{\"bill_id\":\"A1\"}");
    json_t *priced = from_text("{\"bill_id\":\"A1\",\"price\":{\"$money\":\"7 KRW\"}}");
    assert_int_equal(mt_operation_check(settled, "paymint.bills.settled", params, &e), 0);
    assert_string_equal(mt_operation_object_id(settled, params), "A1");
    assert_string_equal(settled->topic, "paymint.bill");
    assert_string_equal(row_named(settled->read_operation)->params[0].name, "bill_id");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *object = from_text(cases[i].object), *next = NULL;
        const char *operation = "unset";
        assert_int_equal(settled->at_rest(settled, object), cases[i].rest);
        assert_int_equal(release->decide(release, params, object, &operation, &next, &e), cases[i].decided);
        if (cases[i].operation == NULL) assert_null(operation);
        if (cases[i].operation != NULL) {
            assert_string_equal(operation, cases[i].operation);
            assert_json(next, cases[i].params);
        }
        json_decref(next);
        json_decref(object);
    }
    /* A gateway that does not tell the price of unpaid bills: the script's is taken. */
    json_t *object = from_text(FOUND("W", ",\"appr_price\":\"\"")), *next = NULL;
    const char *operation;
    assert_int_equal(release->decide(release, priced, object, &operation, &next, &e), 0);
    assert_json(next, "{\"bill_id\":\"A1\",\"price\":{\"$money\":\"7 KRW\"}}");
    json_decref(next);
    json_decref(object);
    json_decref(params);
    json_decref(priced);
}

/* ---- callbacks ---- */

static int receive(struct world *w, const char *body, struct mt_hint *hints, size_t *count) {
    const struct mt_account *a = mt_providers_account(w->providers, "paymint");
    struct mt_request req = {
        .method = "POST", .path = "/webhooks/paymint", .body = body, .body_len = strlen(body)};
    memset(&w->e, 0, sizeof(w->e));
    return a->provider->webhook(a, &req, false, hints, count, &w->e);
}

static void callbacks_become_hints(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    static const struct {
        const char *state, *event;
    } states[] = {{"F", "bill.paid"}, {"W", "bill.unpaid"}, {"C", "bill.cancelled"}, {"D", "bill.destroyed"}};
    for (size_t i = 0; i < 4; i++) {
        struct mt_hint hints[4] = {0};
        size_t count;
        char body[200], payload[200], source[100];
        mt_format(
            body, sizeof(body),
            "{\"apikey\":\"SECRET\",\"bill_id\":\"A1\",\"appr_state\":\"%s\",\"appr_num\":\"77\",\"$x\":1}",
            states[i].state);
        mt_format(payload, sizeof(payload),
                  "{\"event\":\"%s\",\"bill_id\":\"A1\",\"appr_state\":\"%s\",\"appr_num\":\"77\",\"$$x\":1}",
                  states[i].event, states[i].state);
        mt_format(source, sizeof(source), "paymint:A1:%s:77", states[i].state);
        assert_int_equal(receive(&w, body, hints, &count), 0);
        assert_int_equal(count, 1);
        assert_string_equal(hints[0].topic, "paymint.bill");
        assert_string_equal(hints[0].key, "A1");
        assert_string_equal(hints[0].source, source);
        assert_json(hints[0].payload, payload);
        json_decref(hints[0].payload);
    }
    struct mt_hint hints[4] = {0};
    size_t count;
    assert_int_equal(
        receive(&w,
                "{\"bill_id\":\"A1\",\"appr_state\":\"F\",\"appr_num\":\"\",\"appr_dt\":\"20261120183000\"}",
                hints, &count),
        0);
    assert_string_equal(hints[0].source, "paymint:A1:F:20261120183000");
    json_decref(hints[0].payload);
    static const char *const wrong[] = {"",
                                        "{",
                                        "[]",
                                        "null",
                                        "bill_id=A1&appr_state=F",
                                        "{\"bill_id\":\"A1\"}",
                                        "{\"appr_state\":\"F\"}",
                                        "{\"bill_id\":\"A1\",\"appr_state\":\"Z\"}",
                                        "{\"bill_id\":\"../A\",\"appr_state\":\"F\"}",
                                        "{\"bill_id\":\"A12345678901234567890\",\"appr_state\":\"F\"}",
                                        "{\"bill_id\":7,\"appr_state\":\"F\"}",
                                        "{\"bill_id\":\"A1\",\"appr_state\":[\"F\"]}"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(receive(&w, wrong[i], hints, &count), -1);
        assert_int_equal(w.e.kind, MT_INVALID_REQUEST);
        assert_int_equal(count, 0);
    }
    char *large = mt_calloc(1, 70 * 1024);
    memset(large, ' ', 70 * 1024 - 1);
    assert_int_equal(receive(&w, large, hints, &count), -1);
    free(large);
    assert_string_equal(mt_provider_paymint.webhook_answer,
                        "{\"code\":\"0000\",\"msg\":\"성공하였습니다.\"}");
    world_end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bill_ids_are_made_once),
        cmocka_unit_test(reading_finds_out),
        cmocka_unit_test(settled_and_release_go_by_state),
        cmocka_unit_test(callbacks_become_hints),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
