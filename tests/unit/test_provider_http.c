/* links: mt_providers */
/* Provider "http": exact requests, answers as values, every error row, what may be repeated, what is refused.
 */
#include "provider_fake.h"

static const char *header(struct world *w, const char *name) {
    return mt_headers_get(&w->net.last.headers, name);
}

static void requests_are_built_as_asked(void **state) {
    (void)state;
    struct world w = world_with(NULL, NULL);
    static const struct {
        const char *name, *params, *method, *body, *type;
    } rows[] = {
        {"http.get", "{\"url\":\"https://a.example/x?y=1\"}", "GET", NULL, NULL},
        {"http.head", "{\"url\":\"http://127.0.0.1:1/x\"}", "HEAD", NULL, NULL},
        {"http.put", "{\"url\":\"https://a.example/x\",\"body\":\"text\"}", "PUT", "text",
         "text/plain; charset=utf-8"},
        {"http.delete", "{\"url\":\"https://a.example/x\"}", "DELETE", NULL, NULL},
        {"http.post",
         "{\"url\":\"https://a.example/x\",\"json\":{\"b\":[1,2.5,null],\"a\":{\"$money\":\"80.00 "
         "USD\"},\"$$k\":true}}",
         "POST", "{\"$k\":true,\"a\":\"80.00 USD\",\"b\":[1,2.5,null]}", "application/json"},
        {"http.patch",
         "{\"url\":\"https://a.example/x\",\"json\":[],\"headers\":{\"content-type\":\"application/"
         "merge-patch+json\"}}",
         "PATCH", "[]", "application/merge-patch+json"},
        {"http.post", "{\"url\":\"https://a.example/x\",\"body\":{\"$bytes\":\"/wA=\"}}", "POST", "\xFF",
         "application/octet-stream"},
    };
    w.net.body = "";
    w.net.status = 204;
    w.net.type = NULL;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *v = call(&w, rows[i].name, rows[i].params, NULL);
        assert_json(v, "{\"status\":204,\"headers\":{},\"body\":\"\"}");
        json_decref(v);
        assert_string_equal(w.net.last.method, rows[i].method);
        if (rows[i].body == NULL) assert_null(w.net.last.body);
        if (rows[i].body != NULL) assert_string_equal(w.net.last.body, rows[i].body);
        if (rows[i].type == NULL) assert_null(header(&w, "Content-Type"));
        if (rows[i].type != NULL) assert_string_equal(header(&w, "Content-Type"), rows[i].type);
    }
    assert_int_equal(w.net.last.body_len, 2);
    json_t *v =
        call(&w, "http.post",
             "{\"url\":\"https://a.example/x\",\"body\":\"\",\"headers\":{\"X-One\":\"1\",\"$$odd\":\"2\"},"
             "\"idempotency_key\":\"order-1\",\"timeout_ms\":250}",
             "the-runtimes-own");
    assert_non_null(v);
    json_decref(v);
    assert_string_equal(header(&w, "Idempotency-Key"), "order-1");
    assert_string_equal(header(&w, "x-one"), "1");
    assert_string_equal(header(&w, "$odd"), "2");
    assert_int_equal(w.net.last.timeout_ms, 250);
    world_end(&w);
}

static void answers_are_values(void **state) {
    (void)state;
    struct world w = world_with(NULL, NULL);
    static const struct {
        int status;
        const char *type, *body, *value;
    } rows[] = {
        {200, "application/json; charset=utf-8", "{\"ok\":1}",
         "{\"status\":200,\"headers\":{\"content-type\":\"application/json; "
         "charset=utf-8\",\"x-more\":\"a\"},"
         "\"body\":\"{\\\"ok\\\":1}\",\"json\":{\"ok\":1}}"},
        {201, "application/problem+json",
         "{\"$money\":\"1.00 USD\"}", /* a stranger cannot forge a tagged value */
         "{\"status\":201,\"headers\":{\"content-type\":\"application/problem+json\",\"x-more\":\"a\"},"
         "\"body\":\"{\\\"$money\\\":\\\"1.00 USD\\\"}\",\"json\":{\"$$money\":\"1.00 USD\"}}"},
        {200, "application/json", "{\"\\u0024money\":\"1.00 USD\"}",
         "{\"status\":200,\"headers\":{\"content-type\":\"application/json\",\"x-more\":\"a\"},"
         "\"body\":\"{\\\"\\\\u0024money\\\":\\\"1.00 USD\\\"}\",\"json\":{\"$$money\":\"1.00 USD\"}}"},
        {200, "application/json", "{broken",
         "{\"status\":200,\"headers\":{\"content-type\":\"application/"
         "json\",\"x-more\":\"a\"},\"body\":\"{broken\"}"},
        {302, "text/html", "moved",
         "{\"status\":302,\"headers\":{\"content-type\":\"text/html\",\"x-more\":\"a\"},\"body\":\"moved\"}"},
        {200, "image/png", "\xFF\x01",
         "{\"status\":200,\"headers\":{\"content-type\":\"image/"
         "png\",\"x-more\":\"a\"},\"body\":{\"$bytes\":\"/wE=\"}}"},
    };
    w.net.header = "X-More";
    w.net.header_value = "a";
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        w.net.status = rows[i].status;
        w.net.type = rows[i].type;
        w.net.body = rows[i].body;
        json_t *v = call(&w, "http.post", "{\"url\":\"https://a.example/x\"}", NULL);
        assert_json(v, rows[i].value);
        json_decref(v);
    }
    /* Repeated headers are joined. */
    w.net.header = "Content-type";
    w.net.header_value = "second";
    w.net.type = "first";
    json_t *v = call(&w, "http.get", "{\"url\":\"https://a.example/x\"}", NULL);
    assert_string_equal(mt_json_str(json_object_get(v, "headers"), "content-type", ""), "first, second");
    json_decref(v);
    world_end(&w);
}

static void every_error_row_is_read(void **state) {
    (void)state;
    struct world w = world_with(NULL, NULL);
    const struct mt_account *account;
    const struct mt_operation *op = mt_operation_find(w.providers, "http.post", &account, &w.e);
    assert_non_null(op);
    w.net.body = "{\"message\":\"no such thing\"}";
    for (const struct mt_error_row *row = account->provider->errors; row->code != NULL; row++) {
        w.net.status = atoi(row->code);
        assert_null(call(&w, "http.post", "{\"url\":\"https://a.example/x?token=hidden\"}", NULL));
        assert_int_equal(w.e.kind, row->kind);
        assert_int_equal(w.e.retryable, row->retryable);
        assert_string_equal(w.e.code, row->code);
        assert_int_equal(w.e.http_status, w.net.status);
        assert_int_equal(w.e.outcome, w.net.status >= 500 ? MT_UNKNOWN : MT_REJECTED);
        assert_non_null(strstr(w.e.message, "a.example says: no such thing"));
        assert_null(strstr(w.e.message, "hidden"));
    }
    w.net.status = 409;
    w.net.header = "Retry-After";
    w.net.header_value = "1";
    assert_null(call(&w, "http.post", "{\"url\":\"https://a.example/x\"}", NULL));
    assert_int_equal(w.e.outcome, MT_REJECTED);
    assert_null(call(&w, "http.post", "{\"url\":\"https://a.example/x\",\"idempotency_key\":\"k\"}", NULL));
    assert_int_equal(w.e.outcome, MT_UNKNOWN); /* the first of this key is still under way */
    assert_true(w.e.retryable);
    w.net.status = 400;
    w.net.type = "text/plain";
    w.net.body = "card 4242424242424242\nis wrong";
    assert_null(call(&w, "http.get", "{\"url\":\"https://a.example/x\"}", NULL));
    assert_string_equal(w.e.message,
                        "http.get: 400 Bad Request: a.example says: card ************4242 is wrong");
    w.net.type = "text/html";
    assert_null(call(&w, "http.get", "{\"url\":\"https://a.example/x\"}", NULL));
    assert_string_equal(w.e.message, "http.get: 400 Bad Request: a.example");
    world_end(&w);
}

static void repetition_follows_the_method_and_the_key(void **state) {
    (void)state;
    static const struct {
        const char *name, *params;
        enum mt_repeat repeat;
    } rows[] = {
        {"http.get", "{}", MT_REPEAT_READ},
        {"http.head", "{}", MT_REPEAT_READ},
        {"http.put", "{}", MT_REPEAT_NATURAL},
        {"http.delete", "{}", MT_REPEAT_NATURAL},
        {"http.post", "{}", MT_REPEAT_UNSAFE},
        {"http.patch", "{\"idempotency_key\":null}", MT_REPEAT_UNSAFE},
        {"http.post", "{\"idempotency_key\":\"k\"}", MT_REPEAT_KEYED},
        {"http.patch", "{\"idempotency_key\":\"k\"}", MT_REPEAT_KEYED},
        {"mintro.intents.create", "{}", MT_REPEAT_KEYED},
        {"mintro.intents.cancel", "{}", MT_REPEAT_NATURAL},
    };
    struct mt_error e;
    const struct mt_account *account;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *params = from_text(rows[i].params);
        const struct mt_operation *op = mt_operation_find(NULL, rows[i].name, &account, &e);
        assert_int_equal(mt_operation_repeat(op, params), rows[i].repeat);
        json_decref(params);
    }
}

static void mistakes_are_named(void **state) {
    (void)state;
    struct world w = world_with(NULL, NULL);
    static const char url[] =
        "http.post: field \"url\" is no usable URL; wanted http:// or https:// with a host, "
        "percent-encoded, without a user name";
    assert_refused(
        &w, "http.post", "{}",
        "http.post: field \"url\" is missing; wanted a string: http:// or https://, percent-encoded");
    assert_refused(&w, "http.post", "{\"url\":\"ftp://a/b\"}", url);
    assert_refused(&w, "http.post", "{\"url\":\"file:///etc/passwd\"}", url);
    assert_refused(&w, "http.post", "{\"url\":\"http://user:pw@a/b\"}", url);
    assert_refused(&w, "http.post", "{\"url\":\"http://a/b c\"}", url);
    assert_refused(&w, "http.post", "{\"url\":\"http://a/b\\r\\nX: 1\"}", url);
    assert_refused(&w, "http.post", "{\"url\":\"http:///b\"}", url);
    assert_refused(&w, "http.post", "{\"url\":\"http://a\",\"body\":\"x\",\"json\":1}",
                   "http.post: fields \"body\" and \"json\" exclude each other");
    assert_refused(&w, "http.post", "{\"url\":\"http://a\",\"body\":{\"x\":1}}",
                   "http.post: field \"body\" is an object, wanted a string (or use \"json\")");
    assert_refused(&w, "http.post", "{\"url\":\"http://a\",\"headers\":{\"X-A\":1}}",
                   "http.post: the header \"X-A\" is an integer, wanted a string");
    assert_refused(&w, "http.post", "{\"url\":\"http://a\",\"headers\":{\"X A\":\"1\"}}",
                   "http.post: field \"headers\" has \"X A\", which is no header name");
    assert_refused(&w, "http.post", "{\"url\":\"http://a\",\"headers\":{\"X-A\":\"1\\r\\nX-B: 2\"}}",
                   "http.post: the header \"X-A\" has control characters or is over 8192 bytes long");
    assert_refused(&w, "http.post", "{\"url\":\"http://a\",\"headers\":{\"Host\":\"b\"}}",
                   "http.post: the header \"Host\" cannot be set: it follows from the url");
    assert_refused(&w, "http.post", "{\"url\":\"http://a\",\"headers\":{\"idempotency-key\":\"b\"}}",
                   "http.post: the header \"idempotency-key\" cannot be set: the field idempotency_key sends "
                   "it, and makes the "
                   "call safe to repeat");
    assert_refused(&w, "http.post", "{\"url\":\"http://a\",\"timeout_ms\":0}",
                   "http.post: field \"timeout_ms\" is 0, wanted 1 to 300000");
    assert_refused(&w, "http.post", "{\"url\":\"http://a\",\"json\":{\"x\":{\"$float\":\"nan\"}}}",
                   "field \"json\": JSON has no such number as nan");
    assert_refused(&w, "http.get", "{\"url\":\"http://a\",\"body\":\"x\"}",
                   "http.get: unknown field \"body\"; it takes url, headers, timeout_ms");
    world_end(&w);
}

static void masks_hide_what_headers_say(void **state) {
    (void)state;
    struct mt_error e;
    const struct mt_account *account;
    const struct mt_operation *op = mt_operation_find(NULL, "http.post", &account, &e);
    json_t *params = from_text(
        "{\"url\":\"https://a.example\",\"headers\":{\"Authorization\":\"Bearer abc\",\"X-A\":\"1\"},"
        "\"json\":{\"card_number\":\"4242424242424242\",\"note\":\"4242 4242 4242 4242\",\"n\":1},"
        "\"idempotency_key\":\"k\"}");
    json_t *masked = mt_operation_mask_params(op, params);
    assert_json(masked, "{\"url\":\"https://"
                        "a.example\",\"headers\":{\"Authorization\":\"[redacted]\",\"X-A\":\"[redacted]\"},"
                        "\"json\":{\"card_number\":\"[redacted]\",\"note\":\"**** **** **** 4242\",\"n\":1},"
                        "\"idempotency_key\":\"k\"}");
    json_decref(masked);
    json_decref(params);
    json_t *value = from_text("{\"status\":200,\"json\":{\"token\":\"t\",\"ok\":true}}");
    masked = mt_operation_mask_result(op, value);
    assert_json(masked, "{\"status\":200,\"json\":{\"token\":\"[redacted]\",\"ok\":true}}");
    json_decref(masked);
    json_decref(value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_built_as_asked),
        cmocka_unit_test(answers_are_values),
        cmocka_unit_test(every_error_row_is_read),
        cmocka_unit_test(repetition_follows_the_method_and_the_key),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(masks_hide_what_headers_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
