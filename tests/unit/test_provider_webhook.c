/* links: mt_providers */
/* Mintro's webhooks: every documented event in both envelopes and both spellings, what each becomes, what is
 * refused. */
#include "provider_fake.h"

struct hook {
    struct world w;
    struct mt_hint hints[4];
    size_t count;
};

static int receive(struct hook *h, const char *body, bool secret) {
    const struct mt_account *a = mt_providers_account(h->w.providers, "mintro");
    struct mt_request req = {
        .method = "POST", .path = "/webhooks/mintro", .body = body, .body_len = strlen(body)};
    return a->provider->webhook(a, &req, secret, h->hints, &h->count, &h->w.e);
}

static void drop(struct hook *h) {
    for (size_t i = 0; i < h->count; i++) json_decref(h->hints[i].payload);
    h->count = 0;
}

static const struct {
    const char *event, *spelled, *data, *topic, *key, *source;
    bool subscription;
} rows[] = {
    {"payment.succeeded", "payment.success", "\"intent_id\":\"pi_1\",\"charge_id\":105,\"metadata\":{}",
     "mintro.intent", "pi_1", "mintro:payment.succeeded:pi_1:105", false},
    {"payment.failed", "payment.failed", "\"intent_id\":\"pi_1\",\"charge_id\":\"106\"", "mintro.intent",
     "pi_1", "mintro:payment.failed:pi_1:106", false},
    {"payment.failed", "payment.failed", "\"intent_id\":\"pi_1\"", "mintro.intent", "pi_1", "", false},
    {"payment.canceled", "payment.cancelled", "\"intent_id\":\"pi_1\",\"message\":\"m\"", "mintro.intent",
     "pi_1", "mintro:payment.canceled:pi_1", false},
    {"subscription.created", "subscription.created", "\"subscription_id\":\"sub_1\",\"intent_id\":\"pi_1\"",
     "mintro.subscription", "sub_1", "mintro:subscription.created:sub_1", true},
    {"subscription.renewed", "subscription.renewed", "\"subscription_id\":\"sub_1\",\"intent_id\":\"pi_1\"",
     "mintro.subscription", "sub_1", "mintro:subscription.renewed:sub_1:2026-11-20", true},
    {"subscription.renewed", "subscription.renewed", "\"subscription_id\":\"sub_1\",\"charge_id\":107",
     "mintro.subscription", "sub_1", "mintro:subscription.renewed:sub_1:107", true},
    {"subscription.failed", "subscription.failed", "\"subscription_id\":\"sub_1\",\"period\":\"2026-12\"",
     "mintro.subscription", "sub_1", "mintro:subscription.failed:sub_1:2026-12", true},
    {"subscription.canceled", "subscription.cancelled", "\"subscription_id\":\"sub_1\",\"message\":\"m\"",
     "mintro.subscription", "sub_1", "mintro:subscription.canceled:sub_1", true},
};

static void every_event_becomes_a_hint(void **state) {
    (void)state;
    struct hook h = {.w = world_with(NULL, "http://127.0.0.1:8090")};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int form = 0; form < 4; form++) {
            char body[400], payload[400];
            const char *event = form & 1 ? rows[i].spelled : rows[i].event;
            mt_format(body, sizeof(body),
                      form & 2 ? "{\"event\":\"%s\",%s}" : "{\"event\":\"%s\",\"data\":{%s}}", event,
                      rows[i].data);
            mt_format(payload, sizeof(payload), "{\"event\":\"%s\",%s}", rows[i].event, rows[i].data);
            assert_int_equal(receive(&h, body, true), 0);
            bool created = strcmp(rows[i].event, "subscription.created") == 0;
            assert_int_equal(h.count, created ? 2 : 1);
            assert_string_equal(h.hints[0].topic, rows[i].topic);
            assert_string_equal(h.hints[0].key, rows[i].key);
            assert_string_equal(h.hints[0].source, rows[i].source);
            assert_json(h.hints[0].payload, payload);
            if (created) {
                assert_string_equal(h.hints[1].topic, "mintro.intent");
                assert_string_equal(h.hints[1].key, "pi_1");
                assert_string_equal(h.hints[1].source, "mintro:subscription.created:pi_1");
                assert_json(h.hints[1].payload, payload);
            }
            drop(&h);
            /* Without the secret, payments are still hints; what cannot be read back is not believed. */
            assert_int_equal(receive(&h, body, false), rows[i].subscription ? -1 : 0);
            if (rows[i].subscription) assert_int_equal(h.w.e.kind, MT_AUTHENTICATION);
            assert_int_equal(h.count, rows[i].subscription ? 0 : 1);
            drop(&h);
        }
    }
    world_end(&h.w);
}

static void a_renewal_is_dated_by_its_day(void **state) {
    (void)state;
    struct hook h = {.w = world_with(NULL, "http://127.0.0.1:8090")};
    static const char body[] =
        "{\"event\":\"subscription.renewed\",\"data\":{\"subscription_id\":\"sub_1\"}}";
    h.w.clock->advance(h.w.clock, INT64_C(30) * 86400000, &h.w.e);
    assert_int_equal(receive(&h, body, true), 0);
    assert_string_equal(h.hints[0].source, "mintro:subscription.renewed:sub_1:2026-12-20");
    drop(&h);
    world_end(&h.w);
}

static void renewals_are_told_apart_by_what_there_is(void **state) {
    (void)state;
    static const struct {
        const char *body, *header, *value, *which;
    } told[] = {
        {"{\"event\":\"subscription.renewed\",\"event_id\":\"e1\",\"data\":{\"subscription_id\":\"s\"}}",
         NULL, NULL, "e1"},
        {"{\"event\":\"subscription.renewed\",\"id\":7,\"data\":{\"subscription_id\":\"s\"}}", NULL, NULL,
         "7"},
        {"{\"event\":\"subscription.renewed\",\"id\":7,\"subscription_id\":\"s\"}", NULL, NULL, "2026-11-20"},
        {"{\"event\":\"subscription.renewed\",\"data\":{\"subscription_id\":\"s\",\"created_at\":17}}", NULL,
         NULL, "17"},
        {"{\"event\":\"subscription.renewed\",\"data\":{\"subscription_id\":\"s\"}}", "x-webhook-id", "d-1",
         "d-1"},
        {"{\"event\":\"subscription.renewed\",\"data\":{\"subscription_id\":\"s\"}}", "X-Sandbox-Delivery",
         "d-2", "d-2"},
        {"{\"event\":\"subscription.renewed\",\"data\":{\"subscription_id\":\"s\"}}", "Webhook-Id", "no word",
         "2026-11-20"},
        {"{\"event\":\"subscription.renewed\",\"data\":{\"subscription_id\":\"s\",\"charge_id\":5}}",
         "Webhook-Id", "d-3", "5"},
    };
    struct hook h = {.w = world_with(NULL, "http://127.0.0.1:8090")};
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        char source[96];
        const struct mt_account *a = mt_providers_account(h.w.providers, "mintro");
        struct mt_request req = {.method = "POST",
                                 .path = "/webhooks/mintro",
                                 .body = told[i].body,
                                 .body_len = strlen(told[i].body)};
        if (told[i].header) mt_headers_add(&req.headers, told[i].header, told[i].value);
        assert_int_equal(a->provider->webhook(a, &req, true, h.hints, &h.count, &h.w.e), 0);
        mt_format(source, sizeof(source), "mintro:subscription.renewed:s:%s", told[i].which);
        assert_string_equal(h.hints[0].source, source);
        mt_headers_clear(&req.headers);
        drop(&h);
    }
    world_end(&h.w);
}

static void unknown_events_are_kept_apart(void **state) {
    (void)state;
    struct hook h = {.w = world_with(NULL, "http://127.0.0.1:8090")};
    assert_int_equal(
        receive(&h, "{\"event\":\"payment.disputed\",\"data\":{\"intent_id\":\"pi_1\",\"$x\":1}}", false), 0);
    assert_int_equal(h.count, 1);
    assert_string_equal(h.hints[0].topic, "mintro.other");
    assert_string_equal(h.hints[0].key, "pi_1");
    assert_string_equal(h.hints[0].source, "");
    assert_json(h.hints[0].payload, "{\"event\":\"payment.disputed\",\"intent_id\":\"pi_1\",\"$$x\":1}");
    drop(&h);
    assert_int_equal(receive(&h, "{\"event\":\"ping\"}", false), 0);
    assert_string_equal(h.hints[0].key, "ping");
    drop(&h);
    world_end(&h.w);
}

static void nonsense_is_a_bad_request(void **state) {
    (void)state;
    struct hook h = {.w = world_with(NULL, "http://127.0.0.1:8090")};
    static const char *const bodies[] = {
        "",
        "{",
        "[]",
        "null",
        "intent_id=pi_1",
        "{\"data\":{\"intent_id\":\"pi_1\"}}",
        "{\"event\":7}",
        "{\"event\":\"payment.succeeded\"}",
        "{\"event\":\"payment.succeeded\",\"data\":{\"intent_id\":7}}",
        "{\"event\":\"payment.succeeded\",\"data\":{\"intent_id\":\"../etc\"}}",
        "{\"event\":\"subscription.renewed\",\"data\":{\"intent_id\":\"pi_1\"}}",
        "{\"event\":\"subscription.created\",\"data\":{\"subscription_id\":\"sub_1\"}}",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        assert_int_equal(receive(&h, bodies[i], true), -1);
        assert_int_equal(h.w.e.kind, MT_INVALID_REQUEST);
        assert_int_equal(h.count, 0);
    }
    char *large = mt_calloc(1, 70 * 1024);
    memset(large, ' ', 70 * 1024 - 1);
    assert_int_equal(receive(&h, large, true), -1);
    assert_int_equal(h.w.e.kind, MT_INVALID_REQUEST);
    free(large);
    world_end(&h.w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_becomes_a_hint),
        cmocka_unit_test(a_renewal_is_dated_by_its_day),
        cmocka_unit_test(renewals_are_told_apart_by_what_there_is),
        cmocka_unit_test(unknown_events_are_kept_apart),
        cmocka_unit_test(nonsense_is_a_bad_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
