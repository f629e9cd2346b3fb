/* links: mt_providers */
/* Paymint: exact request bytes of every operation in both modes, every documented code, the vendor's vectors
 * of phones and hashes, and answers that make no sense. */
#include "provider_fake.h"

#include "crypto/crypto.h"
#include "providers/private.h"

#define SANDBOX "http://127.0.0.1:8090"
#define API SANDBOX "/api/v1/paymint"
#define KEY "0123456789abcdef0123456789abcdef01234567"
#define OK "\"code\":\"0000\",\"msg\":\"성공하였습니다.\""

static const char traditional[] = "{\"paymint\":{\"base_url\":\"https://magic-meal-kits-1.run.app/api/"
                                  "v1\",\"api_key\":\"mmk\",\"mode\":\"traditional\","
                                  "\"member_id\":\"mem\",\"merchant_id\":\"mer\",\"host\":\"https://"
                                  "erp-api.payssam.kr\",\"paymint_api_key\":\"pk\","
                                  "\"business_number\":\"305-12-34547\"}}";

static const char request_params[] =
    "{\"product_nm\":\"Coaching session\",\"message\":\"결제를 진행해 주세요.\",\"member_nm\":\"홍길동\","
    "\"phone\":\"+82-10-1234-5678\",\"price\":{\"$money\":\"50000 KRW\"},\"expire_dt\":\"2026-12-15\"}";

static const struct {
    const char *operation, *params, *method, *path, *sent, *answer, *value;
} rows[] = {
    {"licenses.list", "{}", "GET", "/licenses", NULL, "{\"licenses\":[{\"member_id\":\"m\"}]}",
     "{\"licenses\":[{\"member_id\":\"m\"}]}"},
    {"phone.format", "{\"phone\":\"+82-10-1234-5678\"}", "POST", "/format-phone-number",
     "{\"phone\":\"+82-10-1234-5678\"}", "{\"phone\":\"01012345678\",\"valid\":true}",
     "{\"phone\":\"01012345678\",\"valid\":true}"},
    {"bills.request", request_params, "POST", "/request",
     "{\"product_nm\":\"Coaching session\",\"message\":\"결제를 진행해 주세요.\",\"member_nm\":\"홍길동\","
     "\"phone\":\"01012345678\",\"price\":50000,\"expire_dt\":\"2026-12-15\",\"bill_id\":"
     "\"0123456789abcdef0123\"}",
     "{\"bill_id\":\"0123456789abcdef0123\",\"shortURL\":\"https://s/1\"," OK "}",
     "{\"bill_id\":\"0123456789abcdef0123\",\"shortURL\":\"https://s/1\"," OK "}"},
    {"bills.request",
     "{\"product_nm\":\"A \\\"B\\\"\",\"message\":\"m\",\"member_nm\":\"n\",\"phone\":\"1012345678\","
     "\"price\":{\"$money\":\"9999999999 KRW\"},\"expire_dt\":\"2028-02-29\",\"bill_id\":\"A1\","
     "\"callbackURL\":\"https://me.example/webhooks/paymint\"}",
     "POST", "/request",
     "{\"product_nm\":\"A \\\"B\\\"\",\"message\":\"m\",\"member_nm\":\"n\",\"phone\":\"01012345678\","
     "\"price\":9999999999,\"expire_dt\":\"2028-02-29\",\"bill_id\":\"A1\","
     "\"callbackURL\":\"https://me.example/webhooks/paymint\"}",
     "{\"shortURL\":\"u\"," OK "}", "{\"bill_id\":\"A1\",\"shortURL\":\"u\"," OK "}"},
    {"bills.read", "{\"bill_id\":\"A1\"}", "POST", "/read", "{\"bill_id\":\"A1\"}",
     "{\"bill_id\":\"A1\",\"appr_state\":\"F\",\"appr_price\":\"50000\"," OK "}",
     "{\"bill_id\":\"A1\",\"appr_state\":\"F\",\"appr_price\":{\"$money\":\"50000 KRW\"}," OK "}"},
    {"bills.read", "{\"bill_id\":\"A1\"}", "POST", "/read", "{\"bill_id\":\"A1\"}",
     "{\"code\":\"0000\",\"message\":\"m\",\"data\":{\"appr_state\":\"W\",\"appr_price\":\"\",\"$money\":"
     "\"x\"}}",
     "{\"bill_id\":\"A1\",\"appr_state\":\"W\",\"appr_price\":\"\",\"code\":\"0000\",\"message\":\"m\",\"$$"
     "money\":\"x\","
     "\"data\":{\"appr_state\":\"W\",\"appr_price\":\"\",\"$$money\":\"x\"}}"},
    {"bills.cancel", "{\"bill_id\":\"A1\",\"price\":{\"$money\":\"50000 KRW\"}}", "POST", "/cancel",
     "{\"bill_id\":\"A1\",\"price\":50000}",
     "{\"appr_num\":\"2\",\"appr_origin_num\":\"1\",\"appr_cancel_dt\":\"20261120183000\"," OK "}",
     "{\"bill_id\":\"A1\",\"appr_num\":\"2\",\"appr_origin_num\":\"1\",\"appr_cancel_dt\":"
     "\"20261120183000\"," OK "}"},
    {"bills.destroy", "{\"bill_id\":\"A1\",\"price\":{\"$money\":\"50000 KRW\"}}", "POST", "/destroy",
     "{\"bill_id\":\"A1\",\"price\":50000}", "{\"bill_id\":\"A1\"," OK "}", "{\"bill_id\":\"A1\"," OK "}"},
    {"bills.resend", "{\"bill_id\":\"A1\"}", "POST", "/resend", "{\"bill_id\":\"A1\"}", "{" OK "}",
     "{\"bill_id\":\"A1\"," OK "}"},
    {"autopay.register", "{\"customer_id\":\"member-1\",\"member_nm\":\"n\",\"phone\":\"010 1234 5678\"}",
     "POST", "/autopay/register",
     "{\"customer_id\":\"member-1\",\"member_nm\":\"n\",\"phone\":\"01012345678\"}",
     "{\"shortURL\":\"u\"," OK "}", "{\"customer_id\":\"member-1\",\"shortURL\":\"u\"," OK "}"},
    {"autopay.manage", "{\"customer_id\":\"member-1\"}", "POST", "/autopay/manage",
     "{\"customer_id\":\"member-1\"}", "{\"customer_id\":\"member-1\",\"shortURL\":\"u\"," OK "}",
     "{\"customer_id\":\"member-1\",\"shortURL\":\"u\"," OK "}"},
    {"autopay.methods", "{\"customer_id\":\"a@b.c:1\"}", "GET", "/autopay/methods?customer_id=a%40b.c%3A1",
     NULL, "{\"methods\":[]," OK "}", "{\"customer_id\":\"a@b.c:1\",\"methods\":[]," OK "}"},
    {"autopay.request",
     "{\"customer_id\":\"member-1\",\"method_id\":\"pm_1\",\"product_nm\":\"p\",\"price\":{\"$money\":\"9900 "
     "KRW\"}}",
     "POST", "/autopay/request",
     "{\"customer_id\":\"member-1\",\"method_id\":\"pm_1\",\"bill_id\":\"0123456789abcdef0123\",\"product_"
     "nm\":\"p\","
     "\"price\":9900}",
     "{\"appr_state\":\"F\",\"appr_pay_type\":\"CARD_RP\",\"appr_price\":9900," OK "}",
     "{\"bill_id\":\"0123456789abcdef0123\",\"appr_state\":\"F\",\"appr_pay_type\":\"CARD_RP\","
     "\"appr_price\":{\"$money\":\"9900 KRW\"}," OK "}"},
    {"autopay.delete", "{\"customer_id\":\"member-1\",\"method_id\":\"pm_1\"}", "DELETE", "/autopay/delete",
     "{\"customer_id\":\"member-1\",\"method_id\":\"pm_1\"}", "{" OK "}",
     "{\"customer_id\":\"member-1\"," OK "}"},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static json_t *call_row(struct world *w, size_t i) {
    char name[64];
    mt_format(name, sizeof(name), "paymint.%s", rows[i].operation);
    return call(w, name, rows[i].params, KEY);
}

static bool is_read(size_t i) {
    char name[64];
    struct mt_error e;
    const struct mt_account *account;
    mt_format(name, sizeof(name), "paymint.%s", rows[i].operation);
    return mt_operation_find(NULL, name, &account, &e)->repeat == MT_REPEAT_READ;
}

static void assert_header(const struct world *w, const char *name, const char *value) {
    const char *sent = mt_headers_get(&w->net.last.headers, name);
    if (value == NULL) {
        assert_null(sent);
    } else {
        assert_non_null(sent);
        assert_string_equal(sent, value);
    }
}

static void every_operation_sends_its_bytes_in_mmk_mode(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    for (size_t i = 0; i < ROWS; i++) {
        char url[200];
        w.net.body = rows[i].answer;
        json_t *v = call_row(&w, i);
        if (v == NULL) fail_msg("%s: %s", rows[i].operation, w.e.message);
        assert_json(v, rows[i].value);
        json_decref(v);
        mt_format(url, sizeof(url), API "%s", rows[i].path);
        assert_string_equal(w.net.last.method, rows[i].method);
        assert_string_equal(w.net.last.url, url);
        assert_header(&w, "X-API-KEY", "mmk_test_key");
        assert_header(&w, "X-Paymint-MMK-Mode", "true");
        assert_header(&w, "X-Paymint-Member-ID", "test_member");
        assert_header(&w, "X-Paymint-Merchant-ID", "test_merchant");
        assert_header(&w, "X-Paymint-Api-Key", NULL);
        assert_header(&w, "X-Paymint-Host", NULL);
        assert_header(&w, "X-Paymint-Business-Number", NULL);
        assert_header(&w, "Content-Type", rows[i].sent != NULL ? "application/json" : NULL);
        if (rows[i].sent == NULL) {
            assert_int_equal(w.net.last.body_len, 0);
        } else {
            assert_int_equal(w.net.last.body_len, strlen(rows[i].sent));
            assert_memory_equal(w.net.last.body, rows[i].sent, strlen(rows[i].sent));
        }
    }
    world_end(&w);
}

static void traditional_mode_sends_five_headers(void **state) {
    (void)state;
    struct world w = world_with(traditional, NULL);
    for (size_t i = 0; i < ROWS; i++) {
        char url[200];
        w.net.body = rows[i].answer;
        json_decref(call_row(&w, i));
        mt_format(url, sizeof(url), "https://magic-meal-kits-1.run.app/api/v1/paymint%s", rows[i].path);
        assert_string_equal(w.net.last.url, url);
        assert_header(&w, "X-API-KEY", "mmk");
        assert_header(&w, "X-Paymint-MMK-Mode", NULL);
        assert_header(&w, "X-Paymint-Host", "https://erp-api.payssam.kr");
        assert_header(&w, "X-Paymint-Api-Key", "pk");
        assert_header(&w, "X-Paymint-Member-ID", "mem");
        assert_header(&w, "X-Paymint-Merchant-ID", "mer");
        assert_header(&w, "X-Paymint-Business-Number", "305-12-34547");
    }
    world_end(&w);
    /* MMK mode without a chosen licence */
    w = world_with("{\"paymint\":{\"base_url\":\"https://mmk.example\",\"api_key\":\"k\"}}", NULL);
    w.net.body = "{\"licenses\":[]}";
    json_decref(call(&w, "paymint.licenses.list", "{}", NULL));
    assert_string_equal(w.net.last.url, "https://mmk.example/api/v1/paymint/licenses");
    assert_header(&w, "X-Paymint-Member-ID", NULL);
    world_end(&w);
}

static void accounts_are_whole(void **state) {
    (void)state;
    static const struct {
        const char *config, *message;
    } wrong[] = {
        {"{\"api_key\":\"k\"}",
         "providers.paymint.base_url is no usable URL; wanted https://HOST with an optional path, "
         "without a user name or query, under 512 bytes"},
        {"{\"base_url\":\"https://a\"}",
         "providers.paymint: \"api_key\" is missing (the X-API-KEY of your Magic Meal Kits deployment)"},
        {"{\"base_url\":\"https://a\",\"api_key\":\"k\",\"mode\":\"tradtional\"}",
         "providers.paymint.mode is \"tradtional\", wanted \"mmk\" or \"traditional\""},
        {"{\"base_url\":\"https://a\",\"api_key\":\"k\",\"mode\":\"traditional\",\"host\":\"h\"}",
         "providers.paymint: \"paymint_api_key\" is missing; mode \"traditional\" needs it"},
        {"{\"base_url\":\"https://a\",\"api_key\":\"mmk_test_key\"}",
         "providers.paymint.api_key is the sandbox's test credential, which is for a sandbox on this machine "
         "only; "
         "https://a is not one"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char config[400];
        mt_format(config, sizeof(config), "{\"paymint\":%s}", wrong[i].config);
        struct world w = world_with(config, NULL);
        assert_null(w.providers);
        assert_string_equal(w.e.message, wrong[i].message);
        world_end(&w);
    }
}

/* ---- errors ---- */

static bool is_status(const char *code) {
    return strlen(code) == 3;
}

static void every_upstream_code_is_read(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    static const char *const official[] = {
        "9999",        "9800",        "9970",        "9971",        "9980",           "9870",
        "5000",        "1003",        "ERROR",       "PARTNER_001", "PARTNER_002",    "PARTNER_003",
        "PARTNER_004", "PARTNER_005", "PARTNER_006", "PARTNER_007", "VALIDATION_001", "VALIDATION_002",
        "BILL_001",    "BILL_003",    "BILL_006",    "POINT_001",   "PAYMENT_001",    "PAYMENT_002",
        "1010",        "1700",
    };
    size_t known = 0;
    for (const struct mt_error_row *row = mt_provider_paymint.errors; row->code != NULL; row++) {
        if (is_status(row->code)) continue;
        for (size_t i = 0; i < sizeof(official) / sizeof(official[0]); i++)
            known += strcmp(official[i], row->code) == 0;
        for (int form = 0; form < 3; form++) {
            char body[200];
            static const char *const texts[] = {"msg", "message", "other"};
            mt_format(body, sizeof(body), "{\"code\":\"%s\",\"%s\":\"그 이유\",\"data\":null}", row->code,
                      texts[form]);
            w.net.body = body;
            w.net.status = 200;
            assert_null(call(&w, "paymint.bills.destroy",
                             "{\"bill_id\":\"A1\",\"price\":{\"$money\":\"1 KRW\"}}", KEY));
            assert_int_equal(w.e.kind, row->kind);
            assert_int_equal(w.e.retryable, row->retryable);
            assert_int_equal(w.e.hard, row->hard);
            assert_int_equal(w.e.http_status, 200);
            assert_string_equal(w.e.code, row->code);
            assert_non_null(strstr(w.e.message, form < 2 ? "그 이유" : row->meaning));
            /* "System error" says nothing about what a write has done. */
            assert_int_equal(w.e.outcome, strcmp(row->code, "5000") == 0 ? MT_UNKNOWN : MT_REJECTED);
            assert_null(call(&w, "paymint.bills.read", "{\"bill_id\":\"A1\"}", KEY));
            assert_int_equal(w.e.outcome, MT_REJECTED);
            w.net.status = 400; /* a gateway that passes the code on with a status of its own */
            assert_null(call(&w, "paymint.bills.read", "{\"bill_id\":\"A1\"}", KEY));
            assert_string_equal(w.e.code, row->code);
        }
    }
    assert_int_equal(known, sizeof(official) / sizeof(official[0]));
    /* A code that no document knows is a no all the same. */
    w.net.status = 200;
    w.net.body = "{\"code\":\"7777\",\"msg\":\"4242424242424242\"}";
    assert_null(call(&w, "paymint.bills.resend", "{\"bill_id\":\"A1\"}", KEY));
    assert_int_equal(w.e.outcome, MT_REJECTED);
    assert_int_equal(w.e.kind, MT_INVALID_REQUEST);
    assert_null(strstr(w.e.message, "424242424242"));
    w.net.body = "{\"error\":\"phone is required\"}";
    assert_null(call(&w, "paymint.bills.resend", "{\"bill_id\":\"A1\"}", KEY));
    assert_int_equal(w.e.outcome, MT_REJECTED);
    assert_string_equal(w.e.message, "paymint.bills.resend: refused: phone is required");
    world_end(&w);
}

static void a_charge_that_fails_is_a_decline(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    static const char charge[] =
        "{\"customer_id\":\"m\",\"product_nm\":\"p\",\"price\":{\"$money\":\"9900 KRW\"}}";
    static const char *const codes[] = {"9999", "ERROR", "PAYMENT_001", "PAYMENT_002"};
    for (size_t i = 0; i < 4; i++) {
        char body[100];
        mt_format(body, sizeof(body), "{\"code\":\"%s\",\"msg\":\"한도 초과\"}", codes[i]);
        w.net.body = body;
        assert_null(call(&w, "paymint.autopay.request", charge, KEY));
        assert_int_equal(w.e.kind, MT_DECLINED);
        assert_int_equal(w.e.outcome, MT_REJECTED);
        assert_true(w.e.retryable);
        assert_false(w.e.hard);
    }
    w.net.body = "{\"appr_state\":\"W\"," OK "}";
    assert_null(call(&w, "paymint.autopay.request", charge, KEY));
    assert_int_equal(w.e.outcome, MT_UNKNOWN);
    world_end(&w);
}

static void a_card_that_is_gone_is_a_hard_decline(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    static const char charge[] =
        "{\"customer_id\":\"m\",\"product_nm\":\"p\",\"price\":{\"$money\":\"9900 KRW\"}}";
    static const struct {
        const char *said;
        bool hard;
    } said[] = {{"분실 신고된 카드입니다. (lost_card)", true},
                {"도난 신고된 카드입니다.", true},
                {"유효기간이 지난 카드입니다.", true},
                {"거래정지 카드", true},
                {"잔액이 부족합니다. (insufficient_funds)", false},
                {"카드사에서 승인을 거절했습니다. (card_declined)", false},
                {"한도초과", false}};
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        char body[160];
        mt_format(body, sizeof(body), "{\"code\":\"9999\",\"msg\":\"%s\"}", said[i].said);
        w.net.body = body;
        assert_null(call(&w, "paymint.autopay.request", charge, KEY));
        assert_int_equal(w.e.kind, MT_DECLINED);
        assert_int_equal(w.e.hard, said[i].hard);
        assert_int_equal(w.e.retryable, !said[i].hard);
    }
    world_end(&w);
}

static void every_status_is_read(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    int statuses = 0;
    w.net.body = "{\"error\":\"no\"}";
    for (const struct mt_error_row *row = mt_provider_paymint.errors; row->code != NULL; row++) {
        if (!is_status(row->code)) continue;
        statuses++;
        w.net.status = atoi(row->code);
        assert_null(call(&w, "paymint.bills.request", request_params, KEY));
        assert_int_equal(w.e.kind, row->kind);
        assert_int_equal(w.e.retryable, row->retryable);
        assert_int_equal(w.e.hard, row->hard);
        assert_int_equal(w.e.http_status, w.net.status);
        assert_string_equal(w.e.code, row->code);
        assert_string_equal(w.e.provider, "paymint");
        assert_string_equal(w.e.operation, "bills.request");
        assert_int_equal(w.e.outcome, w.net.status >= 500 ? MT_UNKNOWN : MT_REJECTED);
    }
    assert_true(statuses >= 8);
    world_end(&w);
}

static void payment_required_is_two_things(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    static const struct {
        const char *text;
        enum mt_kind kind;
        bool hard;
    } said[] = {
        {"upgrade required: this endpoint needs a Pro license", MT_PERMISSION, true},
        {"insufficient paymint balance", MT_INSUFFICIENT_FUNDS, false},
        {"Balance too low", MT_INSUFFICIENT_FUNDS, false},
        {"포인트가 부족합니다", MT_INSUFFICIENT_FUNDS, false},
        {"", MT_PERMISSION, true},
    };
    w.net.status = 402;
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        char body[200];
        mt_format(body, sizeof(body), "{\"error\":\"%s\"}", said[i].text);
        w.net.body = body;
        assert_null(call(&w, "paymint.bills.request", request_params, KEY));
        assert_int_equal(w.e.kind, said[i].kind);
        assert_int_equal(w.e.hard, said[i].hard);
        assert_false(w.e.retryable);
        assert_int_equal(w.e.outcome, MT_REJECTED);
        assert_non_null(strstr(w.e.message, said[i].text));
    }
    world_end(&w);
}

static void nonsense_leaves_a_write_unknown(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
    static const char *const bodies[] = {"",     "<html>", "{\"code\":\"0000\",\"ms", "[]", "\"ok\"",
                                         "null", "{}"};
    for (size_t b = 0; b < sizeof(bodies) / sizeof(bodies[0]); b++) {
        for (size_t i = 0; i < ROWS; i++) {
            w.net.body = bodies[b];
            assert_null(call_row(&w, i));
            assert_int_equal(w.e.kind, MT_PROTOCOL);
            assert_int_equal(w.e.outcome, MT_UNKNOWN);
            assert_true(w.e.retryable);
        }
    }
    w.net.body = "{" OK "}"; /* success, but of what? */
    for (size_t i = 0; i < ROWS; i++) {
        static const char *const enough[] = {"bills.request", "bills.cancel",    "bills.destroy",
                                             "bills.resend",  "autopay.request", "autopay.delete"};
        bool fine = false;
        for (size_t n = 0; n < sizeof(enough) / sizeof(enough[0]); n++)
            fine = fine || strcmp(enough[n], rows[i].operation) == 0;
        json_t *v = call_row(&w, i);
        assert_int_equal(v != NULL, fine);
        if (!fine) assert_int_equal(w.e.outcome, MT_UNKNOWN);
        json_decref(v);
    }
    w.net.status = 302;
    w.net.body = "";
    for (size_t i = 0; i < ROWS; i++) {
        assert_null(call_row(&w, i));
        if (!is_read(i)) assert_int_equal(w.e.outcome, MT_UNKNOWN);
    }
    world_end(&w);
}

/* ---- the vendor's rules ---- */

static void phones_have_one_form(void **state) {
    (void)state;
    static const struct {
        const char *text, *phone; /* NULL: no Korean mobile number */
    } phones[] = {
        {"010-1234-5678", "01012345678"},
        {"1012345678", "01012345678"},
        {"+82-10-1234-5678", "01012345678"},
        {"8201012345678", "01012345678"},
        {"01012345678", "01012345678"},
        {"821012345678", "01012345678"},
        {"+82 (0)10 1234 5678", "01012345678"},
        {" 010.1234.5678 ", "01012345678"},
        {"021234567", NULL},
        {"0101234", NULL},
        {"", NULL},
        {"abc", NULL},
        {"01112345678", NULL},
        {"0161234567", NULL},
        {"010123456789", NULL},
        {"0212345678", NULL},
        {"82212345678", NULL},
        {"82101234567", NULL},
        {"82010123456789", NULL},
        {"+1-010-1234-5678", NULL},
        {"99999999999999999999999999", NULL},
        {"20101234567", NULL},
    };
    for (size_t i = 0; i < sizeof(phones) / sizeof(phones[0]); i++) {
        char out[PAYMINT_PHONE_SIZE];
        bool ok = paymint_phone(phones[i].text, out);
        if (ok != (phones[i].phone != NULL)) fail_msg("%s: %s", phones[i].text, ok ? out : "refused");
        if (ok) assert_string_equal(out, phones[i].phone);
    }
}

static void the_hash_is_the_vendors(void **state) {
    (void)state;
    char hex[2 * MT_SHA256_SIZE + 1];
    paymint_hash("A1B2C3D4E5F6G7H8I9J0", "01012345678", "50000", hex);
    assert_string_equal(hex, "a5e3be3227d81f6bb0b278ad9ad0729152df55a354d146efce8f7171af9a785a");
    paymint_hash("A1B2C3D4E5F6G7H8I9J0", NULL, "50000", hex); /* cancel and destroy have no phone */
    assert_string_equal(hex, "03d6a82a541c9aa627c6c30d8f3d95fcecf8efb723e07f4eb80f8c4c6cf70352");
}

static void with_change(struct world *w, const char *change, const char *message) {
    json_t *p = from_text(request_params), *c = from_text(change);
    json_object_update(p, c);
    int before = w->net.calls;
    assert_null(call_json(w, "paymint.bills.request", p, KEY));
    assert_int_equal(w->net.calls, before);
    assert_int_equal(w->e.kind, MT_INVALID_REQUEST);
    if (strcmp(w->e.message, message) != 0) fail_msg("got:  %s\nwant: %s", w->e.message, message);
    json_decref(p);
    json_decref(c);
}

static void mistakes_are_named(void **state) {
    (void)state;
    struct world w = world_with(NULL, SANDBOX);
#define REQUEST "paymint.bills.request: "
    with_change(&w, "{\"product_name\":\"x\"}",
                REQUEST "unknown field \"product_name\" (did you mean \"product_nm\"?)");
    with_change(&w, "{\"phone\":\"02-123-4567\"}",
                REQUEST
                "field \"phone\" is \"02-123-4567\", wanted a Korean mobile number, as in 010-1234-5678");
    with_change(&w, "{\"price\":50000}",
                REQUEST "field \"price\" is an integer, wanted money, as in money \"80.00 USD\"");
    with_change(&w, "{\"price\":{\"$money\":\"5.00 USD\"}}",
                REQUEST "field \"price\" is in USD; Paymint takes KRW only");
    with_change(&w, "{\"price\":{\"$money\":\"0 KRW\"}}",
                REQUEST "field \"price\" is 0 KRW, wanted 1 to 9999999999");
    with_change(&w, "{\"price\":{\"$money\":\"10000000000 KRW\"}}",
                REQUEST "field \"price\" is 10000000000 KRW, wanted 1 to 9999999999");
    static const char *const dates[] = {"2026-02-29", "2026-13-01", "2026-00-10", "20261215",  "2026-1-001",
                                        "tomorrow",   "2100-02-29", "2026-12-00", "2026-04-31"};
    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        char change[64], message[200];
        mt_format(change, sizeof(change), "{\"expire_dt\":\"%s\"}", dates[i]);
        mt_format(message, sizeof(message),
                  REQUEST "field \"expire_dt\" is \"%s\", wanted a day as YYYY-MM-DD, as in 2026-12-31",
                  dates[i]);
        with_change(&w, change, message);
    }
    with_change(&w, "{\"bill_id\":\"A-1\"}",
                REQUEST "field \"bill_id\" is \"A-1\", wanted 1 to 20 letters and digits");
    with_change(&w, "{\"bill_id\":\"A12345678901234567890\"}",
                REQUEST "field \"bill_id\" is 21 bytes long, wanted 1 to 20");
    with_change(&w, "{\"callbackURL\":\"me\"}",
                REQUEST "field \"callbackURL\" is no URL; wanted http:// or https:// with a host");
    assert_refused(&w, "paymint.autopay.methods", "{\"customer_id\":\"a b\"}",
                   "paymint.autopay.methods: field \"customer_id\" is \"a b\", wanted 1 to 100 letters, "
                   "digits and _ - . "
                   "@ :");
    assert_refused(&w, "paymint.bills.cancel", "{\"bill_id\":\"A1\"}",
                   "paymint.bills.cancel: field \"price\" is missing; wanted money, as in money \"80.00 "
                   "USD\": the whole "
                   "price of the bill, in won");
    world_end(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_sends_its_bytes_in_mmk_mode),
        cmocka_unit_test(traditional_mode_sends_five_headers),
        cmocka_unit_test(accounts_are_whole),
        cmocka_unit_test(every_upstream_code_is_read),
        cmocka_unit_test(a_charge_that_fails_is_a_decline),
        cmocka_unit_test(a_card_that_is_gone_is_a_hard_decline),
        cmocka_unit_test(every_status_is_read),
        cmocka_unit_test(payment_required_is_two_things),
        cmocka_unit_test(nonsense_leaves_a_write_unknown),
        cmocka_unit_test(phones_have_one_form),
        cmocka_unit_test(the_hash_is_the_vendors),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
