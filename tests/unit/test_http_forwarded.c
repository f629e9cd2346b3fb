/* links: mt_http */
/* Whom a request comes from: proxies that are trusted are believed, and nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "http/forwarded.h"

#define XFF "X-Forwarded-For"

/* One request: its peer, up to three headers, and whom it comes from. */
struct asked {
    const char *trusted, *peer;
    const char *headers[6];
    const char *client;
};

static void comes_from(const struct asked *a) {
    struct mt_networks trusted;
    struct mt_headers headers = {0};
    struct mt_error e;
    char out[MT_ADDRESS_TEXT];
    assert_int_equal(mt_networks_parse(a->trusted, &trusted, &e), 0);
    for (size_t i = 0; i < 6 && a->headers[i] != NULL; i += 2)
        mt_headers_add(&headers, a->headers[i], a->headers[i + 1]);
    mt_client_address(&trusted, a->peer, &headers, out);
    if (strcmp(out, a->client) != 0) print_error("%s of %s\n", a->headers[1], a->peer);
    assert_string_equal(out, a->client);
    mt_headers_clear(&headers);
}

#define EACH(asked)                                                                                          \
    for (size_t i = 0; i < sizeof(asked) / sizeof((asked)[0]); i++) comes_from(&(asked)[i])

static void strangers_are_not_believed(void **state) {
    (void)state;
    static const struct asked asked[] = {
        {"", "10.0.0.1", {XFF, "198.51.100.7"}, "10.0.0.1"},
        {NULL, "10.0.0.1", {XFF, "198.51.100.7", "Forwarded", "for=198.51.100.7"}, "10.0.0.1"},
        {"10.0.0.0/8", "192.0.2.1", {XFF, "198.51.100.7"}, "192.0.2.1"},
        {"10.0.0.0/8", "11.0.0.1", {"Forwarded", "for=198.51.100.7"}, "11.0.0.1"},
        {"10.0.0.1", "10.0.0.2", {XFF, "198.51.100.7"}, "10.0.0.2"},
        /* what the client wrote stands to the left of what the proxy wrote */
        {"10.0.0.1", "10.0.0.1", {XFF, "1.1.1.1, 198.51.100.7"}, "198.51.100.7"},
        {"10.0.0.1", "10.0.0.1", {XFF, "1.1.1.1", XFF, "198.51.100.7"}, "198.51.100.7"},
        {"10.0.0.1", "10.0.0.1", {XFF, "10.0.0.1, 198.51.100.7"}, "198.51.100.7"},
        {"10.0.0.1", "10.0.0.1", {"Forwarded", "for=1.1.1.1, for=198.51.100.7;proto=https"}, "198.51.100.7"},
        {"10.0.0.1", "10.0.0.1", {"Forwarded", "for=\"1.1.1.1, for=198.51.100.7"}, "198.51.100.7"},
        /* the proxy writes one header; the other is the client's */
        {"10.0.0.1", "10.0.0.1", {XFF, "198.51.100.7", "Forwarded", "for=1.1.1.1"}, "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", {"Forwarded", "for=198.51.100.7", XFF, "1.1.1.1"}, "10.0.0.1"},
        {"10.0.0.1", "10.0.0.1", {XFF, "198.51.100.7", "Forwarded", "nonsense"}, "10.0.0.1"},
    };
    EACH(asked);
}

static void trusted_proxies_are(void **state) {
    (void)state;
    static const struct asked asked[] = {
        {"10.0.0.0/8", "10.0.0.1", {NULL}, "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", {XFF, "198.51.100.7"}, "198.51.100.7"},
        {"10.0.0.0/8", "10.0.0.1", {"x-forwarded-for", " 198.51.100.7:4711 "}, "198.51.100.7"},
        {"10.0.0.0/8, 192.0.2.7", "192.0.2.7", {XFF, "198.51.100.7, 10.9.9.9"}, "198.51.100.7"},
        {"10.0.0.0/8", "10.0.0.1", {XFF, "10.2.2.2, 10.1.1.1"}, "10.2.2.2"},
        {"0.0.0.0/0", "10.0.0.1", {XFF, "1.1.1.1, 2.2.2.2"}, "1.1.1.1"},
        {"10.0.0.0/8", "10.0.0.1", {"Forwarded", "for=192.0.2.60;proto=http;by=203.0.113.43"}, "192.0.2.60"},
        {"10.0.0.0/8",
         "10.0.0.1",
         {"Forwarded", "proto=http; For=\"[2001:db8:cafe::17]:4711\""},
         "2001:db8:cafe::17"},
        {"10.0.0.0/8", "10.0.0.1", {XFF, "198.51.100.7", "Forwarded", "for=198.51.100.7"}, "198.51.100.7"},
        {"2001:db8::/32", "2001:db8::1", {XFF, "2001:DB8:0::5, 2001:db8::9"}, "2001:db8::5"},
        {"2001:db8::/33", "2001:db8:8000::1", {XFF, "::5"}, "2001:db8:8000::1"},
        {"::1", "::1", {XFF, "::ffff:198.51.100.7"}, "198.51.100.7"},
        {"127.0.0.1", "::ffff:127.0.0.1", {XFF, "198.51.100.7"}, "198.51.100.7"},
    };
    EACH(asked);
}

static void a_name_that_is_no_address_is_the_proxy_that_wrote_it(void **state) {
    (void)state;
    static const struct asked asked[] = {
        {"10.0.0.0/8", "10.0.0.1", {XFF, "unknown"}, "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", {XFF, ""}, "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", {XFF, "198.51.100.7,"}, "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", {XFF, "198.51.100.7, garbage, 10.0.0.2"}, "10.0.0.2"},
        {"10.0.0.0/8", "10.0.0.1", {"Forwarded", "for=_hidden, for=10.0.0.2"}, "10.0.0.2"},
        {"10.0.0.0/8", "10.0.0.1", {"Forwarded", "proto=https"}, "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", {XFF, "[2001:db8::1"}, "10.0.0.1"},
        {"10.0.0.0/8", "10.0.0.1", {XFF, "999.1.1.1"}, "10.0.0.1"},
        {"10.0.0.0/8", "not an address", {XFF, "198.51.100.7"}, "not an address"},
    };
    EACH(asked);
    char chain[8000] = "1.1.1.1";
    for (int i = 0; i < 500; i++) strcat(chain, ", 10.0.0.2");
    comes_from(&(struct asked){"10.0.0.0/8", "10.0.0.1", {XFF, chain}, "10.0.0.2"}); /* longer than we look */
    memset(chain, 'x', sizeof(chain) - 1);
    chain[sizeof(chain) - 1] = '\0';
    comes_from(&(struct asked){"10.0.0.0/8", "10.0.0.1", {XFF, chain}, "10.0.0.1"});
}

static void what_is_no_network_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"10.0.0.0/33", "10.0.0", "example.com",  "10.0.0.0/", "10.0.0.0/-1",
                                        "::/129",      "/8",     "10.0.0.0/8/8", "1.2.3.4:80"};
    struct mt_networks n;
    struct mt_error e;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(mt_networks_parse(wrong[i], &n, &e), -1);
        assert_non_null(strstr(e.message, wrong[i]));
    }
    char many[1000] = "";
    for (int i = 0; i <= MT_NETWORKS_MAX; i++) strcat(many, "10.0.0.1 ");
    assert_int_equal(mt_networks_parse(many, &n, &e), -1);
    assert_int_equal(mt_networks_parse("  , ", &n, &e), 0);
    assert_int_equal(n.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_are_not_believed),
        cmocka_unit_test(trusted_proxies_are),
        cmocka_unit_test(a_name_that_is_no_address_is_the_proxy_that_wrote_it),
        cmocka_unit_test(what_is_no_network_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
