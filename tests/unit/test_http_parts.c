/* links: mt_http */
/* The parts of core/http that need no socket: headers, forms, the router, addresses, assets, problems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "http/address.h"
#include "http/assets.h"
#include "http/server.h"

/* ---- headers and forms ---- */

static void headers_compare_without_case(void **state) {
    (void)state;
    struct mt_headers h = {0};
    for (int i = 0; i < 40; i++) {
        char name[16];
        mt_format(name, sizeof(name), "X-%d", i);
        mt_headers_add(&h, name, name);
    }
    assert_int_equal(h.count, 40);
    assert_string_equal(mt_headers_get(&h, "x-39"), "X-39");
    mt_headers_set(&h, "x-0", "new");
    assert_string_equal(mt_headers_get(&h, "X-0"), "new");
    assert_int_equal(h.count, 40);
    mt_headers_set(&h, "x-0", mt_headers_get(&h, "X-1")); /* from the list itself */
    assert_string_equal(mt_headers_get(&h, "X-0"), "X-1");
    mt_headers_add(&h, "x-0", "again");
    mt_headers_remove(&h, "X-0");
    assert_null(mt_headers_get(&h, "X-0"));
    assert_int_equal(h.count, 39);
    mt_headers_clear(&h);
    assert_null(mt_headers_get(&h, "X-1"));
    mt_headers_remove(&h, "X-1");
}

static void expect_field(const char *form, const char *name, const char *value) {
    char *got = mt_form_get(form, strlen(form), name);
    if (value == NULL)
        assert_null(got);
    else
        assert_string_equal(got, value);
    free(got);
}

static void forms_are_decoded(void **state) {
    (void)state;
    const char *form = "a=1&b=two+words&c=%EA%B0%80%26&d&=x&e=1=2&a=3&a%5Bb%5D=4";
    expect_field(form, "a", "1");
    expect_field(form, "b", "two words");
    expect_field(form, "c", "\xea\xb0\x80&");
    expect_field(form, "d", "");
    expect_field(form, "e", "1=2");
    expect_field(form, "a[b]", "4");
    expect_field(form, "f", NULL);
    expect_field("a=%zz", "a", NULL);
    expect_field("a=%0", "a", NULL);
    expect_field("a=x%00y", "a", NULL);
    expect_field("", "a", NULL);
    expect_field("&&&", "a", NULL);
}

/* ---- the router ---- */

static void nothing(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    (void)ctx, (void)req, (void)resp;
}

static struct mt_router *router_of(const char *const routes[][2], size_t n) {
    struct mt_router *r = mt_router_new();
    struct mt_error e;
    for (size_t i = 0; i < n; i++)
        if (mt_router_add(r, routes[i][0], routes[i][1], nothing, (void *)(uintptr_t)routes[i][1], &e) != 0)
            fail_msg("%s", e.message);
    return r;
}

static const char *find(struct mt_router *r, struct mt_request *req, const char *method, const char *path,
                        char allowed[128]) {
    void *ctx = NULL;
    *req = (struct mt_request){.method = method, .path = path};
    return mt_router_find(r, req, &ctx, allowed) == NULL ? NULL : ctx;
}

static void the_most_specific_route_wins(void **state) {
    (void)state;
    static const char *const routes[][2] = {
        {"GET", "/*"},
        {"GET", "/"},
        {"GET", "/v1/{what}"},
        {"GET", "/v1/runs"},
        {"GET", "/v1/runs/{id}"},
        {"GET", "/v1/runs/latest"},
        {"GET", "/v1/{what}/{id}/journal"},
        {"POST", "/v1/runs/{run}/cancel"},
        {"*", "/any"},
        {"GET", "/webhooks/*"},
        {"HEAD", "/own"},
        {"GET", "/own"},
    };
    static const char *const wanted[][3] = {
        {"GET", "/", "/"},
        {"GET", "/v1/runs", "/v1/runs"},
        {"GET", "/v1/flows", "/v1/{what}"},
        {"GET", "/v1/runs/latest", "/v1/runs/latest"},
        {"GET", "/v1/runs/run_1", "/v1/runs/{id}"},
        {"GET", "/v1/runs/latest/journal", "/v1/{what}/{id}/journal"}, /* back out of a dead end */
        {"GET", "/v1/runs/", "/*"},
        {"GET", "/v1/runs/run_1/", "/*"},
        {"GET", "/v1", "/*"},
        {"GET", "/elsewhere/at/all", "/*"},
        {"HEAD", "/v1/runs", "/v1/runs"},
        {"DELETE", "/any", "/any"},
        {"GET", "/webhooks/mintro/x", "/webhooks/*"},
        {"GET", "/webhooks/", "/webhooks/*"},
        {"GET", "/webhooks", "/*"},
        {"POST", "/v1/runs/latest", NULL},
        {"POST", "/nowhere", NULL},
    };
    struct mt_router *r = router_of(routes, sizeof(routes) / sizeof(routes[0]));
    struct mt_request req;
    char allowed[128];
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        const char *got = find(r, &req, wanted[i][0], wanted[i][1], allowed);
        if ((got == NULL) != (wanted[i][2] == NULL) || (got != NULL && strcmp(got, wanted[i][2]) != 0))
            fail_msg("%s %s: wanted %s, got %s", wanted[i][0], wanted[i][1], wanted[i][2], got);
    }
    assert_null(find(r, &req, "DELETE", "/v1/runs/run_1/cancel", allowed));
    assert_string_equal(allowed, "POST");
    assert_null(find(r, &req, "DELETE", "/own", allowed));
    assert_string_equal(allowed, "HEAD, GET");
    mt_router_free(r);
}

static void parameters_are_named_and_cut_out(void **state) {
    (void)state;
    static const char *const routes[][2] = {{"GET", "/a/{x}/b/{y}/*"}, {"GET", "/a/{other}"}};
    struct mt_router *r = router_of(routes, 2);
    struct mt_request req;
    char allowed[128], *path = calloc(1, 3000);
    assert_non_null(find(r, &req, "GET", "/a/one/b/two/the/rest", allowed));
    assert_string_equal(mt_request_param(&req, "x"), "one");
    assert_string_equal(mt_request_param(&req, "y"), "two");
    assert_string_equal(mt_request_param(&req, "*"), "the/rest");
    assert_null(mt_request_param(&req, "other"));
    assert_non_null(find(r, &req, "GET", "/a/last", allowed));
    assert_string_equal(mt_request_param(&req, "other"), "last");
    strcpy(path, "/a/");
    memset(path + 3, 'x', 2000);
    strcpy(path + 2003, "/b/two/");
    assert_null(find(r, &req, "GET", path, allowed)); /* longer than what is kept of all values together */
    free(path);
    mt_router_free(r);
}

static void malformed_routes_are_refused(void **state) {
    (void)state;
    struct mt_router *r = mt_router_new();
    struct mt_error e;
    static const char *const bad[][2] = {{"GET", "no-slash"},
                                         {"GET", "/a/*/b"},
                                         {"GET", "/a/x{id}"},
                                         {"GET", "/a/{}"},
                                         {"get", "/a"},
                                         {"", "/a"},
                                         {"GET", "/a/b*"},
                                         {"GET", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}"},
                                         {"GET", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/*"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(mt_router_add(r, bad[i][0], bad[i][1], nothing, NULL, &e), -1);
    assert_int_equal(mt_router_add(r, "GET", "/a/{x}", nothing, NULL, &e), 0);
    assert_int_equal(mt_router_add(r, "GET", "/a/{y}", nothing, NULL, &e), -1);
    assert_int_equal(e.kind, MT_CONFLICT);
    mt_router_free(r);
}

/* ---- addresses ---- */

static bool is_public(const char *text) {
    struct sockaddr_in a4 = {.sin_family = AF_INET};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &a4.sin_addr) == 1) return mt_address_is_public((struct sockaddr *)&a4);
    assert_int_equal(inet_pton(AF_INET6, text, &a6.sin6_addr), 1);
    return mt_address_is_public((struct sockaddr *)&a6);
}

static void private_addresses_are_known(void **state) {
    (void)state;
    static const char *const closed[] = {"0.0.0.0",
                                         "10.0.0.1",
                                         "10.255.255.255",
                                         "100.64.0.1",
                                         "100.127.255.255",
                                         "127.0.0.1",
                                         "127.255.255.254",
                                         "169.254.169.254",
                                         "172.16.0.1",
                                         "172.31.255.255",
                                         "192.0.0.8",
                                         "192.0.2.1",
                                         "192.168.1.1",
                                         "198.18.0.1",
                                         "198.19.255.255",
                                         "198.51.100.7",
                                         "203.0.113.9",
                                         "224.0.0.1",
                                         "240.0.0.1",
                                         "255.255.255.255",
                                         "::",
                                         "::1",
                                         "::ffff:127.0.0.1",
                                         "::ffff:10.0.0.1",
                                         "::ffff:192.168.0.1",
                                         "::127.0.0.1",
                                         "64:ff9b::10.0.0.1",
                                         "64:ff9b:1::1",
                                         "100::1",
                                         "2001::1",
                                         "2001:db8::1",
                                         "2002:7f00:1::",
                                         "3fff::1",
                                         "fc00::1",
                                         "fd12:3456::1",
                                         "fe80::1",
                                         "fec0::1",
                                         "ff02::1",
                                         "5f00::1"};
    static const char *const open[] = {
        "1.1.1.1",      "9.255.255.255",  "11.0.0.0",         "100.63.255.255",
        "100.128.0.0",  "172.15.255.255", "172.32.0.0",       "192.169.0.0",
        "198.17.0.0",   "198.20.0.0",     "223.255.255.255",  "2606:4700::1111",
        "2a00:1450::1", "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2001:4860:4860::8888"};
    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
        if (is_public(closed[i])) fail_msg("%s is not public", closed[i]);
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++)
        if (!is_public(open[i])) fail_msg("%s is public", open[i]);
    struct sockaddr other = {.sa_family = AF_UNIX};
    assert_false(mt_address_is_public(&other));
}

/* ---- assets ---- */

const struct mt_asset mt_assets[] = {
    {"a.css", (const unsigned char *)"body{}", 6, (const unsigned char *)"GZ", 2, "\"abc\""},
    {"b.png", (const unsigned char *)"\x89PNG", 4, NULL, 0, "\"def\""},
    {NULL, NULL, 0, NULL, 0, NULL},
};

static struct mt_response fetch(const char *path, const char *accepts, const char *known) {
    struct mt_request req = {.method = "GET", .path = "/"};
    struct mt_response resp;
    mt_response_init(&resp);
    if (accepts != NULL) mt_headers_add(&req.headers, "Accept-Encoding", accepts);
    if (known != NULL) mt_headers_add(&req.headers, "If-None-Match", known);
    mt_asset_respond(&req, &resp, path);
    mt_headers_clear(&req.headers);
    return resp;
}

static void expect_asset(const char *path, const char *accepts, const char *known, int status,
                         const char *body) {
    struct mt_response r = fetch(path, accepts, known);
    assert_int_equal(r.status, status);
    if (body != NULL) {
        assert_int_equal(r.static_len, strlen(body));
        assert_memory_equal(r.static_body, body, r.static_len);
        assert_non_null(mt_headers_get(&r.headers, "Content-Security-Policy"));
    }
    mt_response_clear(&r);
}

static void assets_are_negotiated(void **state) {
    (void)state;
    expect_asset("a.css", NULL, NULL, 200, "body{}");
    expect_asset("a.css", "br, gzip", NULL, 200, "GZ");
    expect_asset("a.css", "gzip;q=0.5", NULL, 200, "GZ");
    expect_asset("a.css", "gzip;q=0", NULL, 200, "body{}");
    expect_asset("a.css", "xgzip", NULL, 200, "body{}");
    expect_asset("b.png", "gzip", NULL, 200, "\x89PNG");
    expect_asset("a.css", NULL, "\"abc\"", 304, NULL);
    expect_asset("a.css", "gzip", "\"abc\"", 200, "GZ"); /* the tag of the other bytes */
    expect_asset("a.css", "gzip", "W/\"x\", \"abc-gzip\"", 304, NULL);
    expect_asset("a.css", NULL, "*", 304, NULL);
    expect_asset("../a.css", NULL, NULL, 404, NULL);
    struct mt_response r = fetch("a.css", "gzip", NULL);
    assert_string_equal(mt_headers_get(&r.headers, "Content-Type"), "text/css; charset=utf-8");
    assert_string_equal(mt_headers_get(&r.headers, "Content-Encoding"), "gzip");
    assert_string_equal(mt_headers_get(&r.headers, "Vary"), "Accept-Encoding");
    assert_string_equal(mt_headers_get(&r.headers, "ETag"), "\"abc-gzip\"");
    mt_response_clear(&r);
}

static void pages_get_a_strict_policy(void **state) {
    (void)state;
    struct mt_response r;
    mt_response_init(&r);
    mt_page_headers(&r, "https://shop.example", "frame-src https://pay.example");
    const char *csp = mt_headers_get(&r.headers, "Content-Security-Policy");
    assert_non_null(strstr(csp, "default-src 'none'"));
    assert_non_null(strstr(csp, "frame-ancestors https://shop.example; frame-src https://pay.example"));
    assert_null(mt_headers_get(&r.headers, "X-Frame-Options"));
    assert_string_equal(mt_headers_get(&r.headers, "Cache-Control"), "no-store");
    mt_page_headers(&r, "'none'", NULL);
    assert_string_equal(mt_headers_get(&r.headers, "X-Frame-Options"), "DENY");
    mt_response_clear(&r);
}

/* ---- problems ---- */

static void problems_are_json_whatever_is_in_them(void **state) {
    (void)state;
    struct mt_response r;
    struct mt_error e;
    mt_response_init(&r);
    mt_respond_problem(&r, 422, "invalid_request", "field \"%s\" \x01 %s", "a\nb", "\xff");
    json_t *j = mt_json_parse(r.body.data, r.body.len, &e);
    assert_non_null(j);
    assert_int_equal(mt_json_int(j, "status", 0), 422);
    assert_string_equal(mt_json_str(j, "title", ""), "Unprocessable Content");
    assert_string_equal(mt_json_str(j, "type", ""), "about:blank");
    json_decref(j);
    mt_fail(&e, MT_RATE_LIMITED, "slower");
    e.retry_after_s = 7;
    mt_respond_error(&r, mt_status_for(&e), &e);
    assert_int_equal(r.status, 429);
    assert_string_equal(mt_headers_get(&r.headers, "Retry-After"), "7");
    mt_response_clear(&r);
    for (int kind = 0; kind < MT_KIND_COUNT; kind++) {
        e.kind = (enum mt_kind)kind;
        assert_in_range(mt_status_for(&e), 400, 504);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_compare_without_case),
        cmocka_unit_test(forms_are_decoded),
        cmocka_unit_test(the_most_specific_route_wins),
        cmocka_unit_test(parameters_are_named_and_cut_out),
        cmocka_unit_test(malformed_routes_are_refused),
        cmocka_unit_test(private_addresses_are_known),
        cmocka_unit_test(assets_are_negotiated),
        cmocka_unit_test(pages_get_a_strict_policy),
        cmocka_unit_test(problems_are_json_whatever_is_in_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
