/* links: mt_http */
/* The server as a raw client sees it: what is answered, what is refused, what is kept open. */
#include "test_http_serving.h"

/* ---- plain ---- */

static void answers_with_the_headers_of_the_house(void **state) {
    (void)state;
    char value[256];
    struct raw_reply r =
        raw_asks(port, "GET /echo?a=b%20c HTTP/1.1\r\nHost: x\r\nX-Request-Id: abc-1\r\n\r\n");
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, "GET /echo?a=b%20c []");
    assert_string_equal(raw_header(&r, "X-Request-Id", value, sizeof(value)), "abc-1");
    assert_string_equal(raw_header(&r, "X-Content-Type-Options", value, sizeof(value)), "nosniff");
    assert_string_equal(raw_header(&r, "Connection", value, sizeof(value)), "keep-alive");
    assert_non_null(raw_header(&r, "Date", value, sizeof(value)));
    assert_null(raw_header(&r, "Access-Control-Allow-Origin", value, sizeof(value)));
    raw_reply_clear(&r);
}

static void unknown_paths_and_methods_are_told_apart(void **state) {
    (void)state;
    char value[256];
    struct raw_reply r = raw_asks(port, "DELETE /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(r.status, 405);
    assert_string_equal(raw_header(&r, "Allow", value, sizeof(value)), "GET, HEAD, POST");
    assert_string_equal(raw_header(&r, "Content-Type", value, sizeof(value)), "application/problem+json");
    raw_reply_clear(&r);
    expect("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404, "\"code\":\"not_found\"");
    expect(
        "OPTIONS /echo HTTP/1.1\r\nHost: x\r\nOrigin: http://e\r\nAccess-Control-Request-Method: GET\r\n\r\n",
        405, NULL);
    expect("POST /v1/runs/run_1/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 200,
           "cancel id=run_1");
}

static void head_has_the_length_and_no_body(void **state) {
    (void)state;
    char value[64];
    int fd = raw_connect(port);
    raw_sends(fd, "HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    struct raw_reply r = raw_read(fd, true);
    assert_int_equal(r.status, 200);
    assert_string_equal(raw_header(&r, "Content-Length", value, sizeof(value)), "14");
    raw_reply_clear(&r);
    r = raw_read(fd, false); /* had a body followed, this would not parse */
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, "GET /echo? []");
    raw_reply_clear(&r);
    close(fd);
}

static void a_connection_serves_many_requests_also_pipelined(void **state) {
    (void)state;
    int fd = raw_connect(port);
    for (int i = 0; i < 3; i++) {
        raw_sends(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
                      "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        struct raw_reply r = raw_read(fd, false);
        assert_string_equal(r.body, "POST /echo? [hello]");
        raw_reply_clear(&r);
        r = raw_read(fd, false);
        assert_string_equal(r.body, "GET /echo? []");
        raw_reply_clear(&r);
    }
    raw_sends(fd, "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    struct raw_reply r = raw_read(fd, false);
    char value[64];
    assert_string_equal(raw_header(&r, "Connection", value, sizeof(value)), "close");
    raw_reply_clear(&r);
    assert_true(raw_at_end(fd));
    close(fd);
}

static void http_1_0_is_served_and_closed(void **state) {
    (void)state;
    int fd = raw_connect(port);
    raw_sends(fd, "GET /echo HTTP/1.0\r\n\r\n");
    struct raw_reply r = raw_read(fd, false);
    assert_int_equal(r.status, 200);
    raw_reply_clear(&r);
    assert_true(raw_at_end(fd));
    close(fd);
    expect("GET /echo HTTP/2.0\r\nHost: x\r\n\r\n", 505, NULL);
}

static void paths_are_decoded_and_stay_below_the_root(void **state) {
    (void)state;
    expect("GET /files/a%20b/./c//d/../e HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET /files/a b/c/e?");
    expect("GET /files/..%2f..%2fetc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 400, "above the root");
    expect("GET /files/../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 400, "above the root");
    expect("GET /files/%2e%2e/echo HTTP/1.1\r\nHost: x\r\n\r\n", 200, "GET /echo?");
    expect("GET /files/a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400, NULL);
    expect("GET /files/a%0d%0ab HTTP/1.1\r\nHost: x\r\n\r\n", 400, "control character");
    expect("GET /files/a%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "percent");
    expect("GET /files/%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "UTF-8");
    expect("GET /files/a\\..\\b HTTP/1.1\r\nHost: x\r\n\r\n", 400, NULL);
    expect("GET /files/%ea%b0%80 HTTP/1.1\r\nHost: x\r\n\r\n", 200, "/files/\xea\xb0\x80");
}

/* ---- refused ---- */

static void requests_two_servers_could_read_differently_are_refused(void **state) {
    (void)state;
    static const struct {
        int status;
        const char *request;
    } cases[] = {
        {400, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: "
              "chunked\r\n\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: "
              "5\r\n\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"},
        {400, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\nhello!"},
        {400, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5, 5\r\n\r\nhello"},
        {400, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello"},
        {400, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\nhello"},
        {400, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0x5\r\n\r\nhello"},
        {400, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nhello"},
        {400, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n"},
        {413, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551621\r\n\r\nhello"},
        {413, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\n\r\nhello"},
        {413, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\nhello"},
        {400, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: "
              "chunked\r\n\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
        {400, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
        {501, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n"},
        {400, "POST /echo HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\nHost: x\r\nX-A: b\rContent-Length: 5\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\nHost: x\r\nX-A: b\r\n folded\r\nContent-Length: 5\r\n\r\nhello"},
        {400, "GET /echo HTTP/1.1\r\n Host: x\r\nX-A: b\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\nHost: x\n\n"},
        {400, "GET /echo HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\nHost: x\n\r\nContent-Length: 5\r\n\r\nhello"},
        {400, "GET /echo HTTP/1.1\r\nHost: x\r\n: empty\r\nContent-Length: 5\r\n\r\nhello"},
        {400, "GET /echo HTTP/1.1\r\nHost: x\r\nNo colon\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\nHost: x\r\nX\"A: b\r\n\r\n"},
        {400, "GET  /echo HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /echo  HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /echo HTTP/1.1 \r\nHost: x\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\r\nHost: x\r\n\r\n"},
        {400, "GET /echo HTTP/1.0\r\n: x\r\nContent-Length: 5\r\n\r\nhello"},
        {400, "\r\n\r\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "\r\nGET /echo HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\nHost: x y\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\nHost: u@x\r\n\r\n"},
        {400, "GET /echo HTTP/1.1\r\nHost:\r\n\r\n"},
        {400, "BREW /echo HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "get /echo HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET echo HTTP/1.1\r\nHost: x\r\n\r\n"},
        {400, "GET /echo#part HTTP/1.1\r\nHost: x\r\n\r\n"},
        {417, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: magic\r\n\r\nhello"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int fd = raw_connect(port);
        raw_sends(fd, cases[i].request);
        struct raw_reply r = raw_read(fd, false);
        if (r.status != cases[i].status)
            fail_msg("wanted %d for <<%s>>, got %d: %s", cases[i].status, cases[i].request, r.status, r.body);
        shutdown(fd, SHUT_WR);
        assert_true(raw_at_end(fd)); /* and nothing behind it is taken for a second request */
        raw_reply_clear(&r);
        close(fd);
    }
    static const char nul[] = "GET /echo HTTP/1.1\r\nHost: x\r\nX-A: b\0c\r\n\r\n";
    struct raw_reply r = raw_ask(port, nul, sizeof(nul) - 1);
    assert_int_equal(r.status, 400);
    raw_reply_clear(&r);
}

static void the_absolute_form_must_name_the_host(void **state) {
    (void)state;
    char request[256];
    snprintf(request, sizeof(request),
             "GET http://localhost:%d/echo?q HTTP/1.1\r\nHost: localhost:%d\r\n\r\n", port, port);
    expect(request, 200, "GET /echo?q");
    snprintf(request, sizeof(request), "GET http://localhost:%d/echo HTTP/1.1\r\nHost: elsewhere\r\n\r\n",
             port);
    expect(request, 400, "differ");
}

static void limits_of_the_head_hold(void **state) {
    (void)state;
    char *big = malloc(120 * 1024);
    int n = sprintf(big, "GET /echo HTTP/1.1\r\nHost: x\r\nX-Large: ");
    memset(big + n, 'a', 100 * 1024);
    strcpy(big + n + 100 * 1024, "\r\n\r\n");
    expect(big, 400, "larger than 8192 bytes");
    n = sprintf(big, "GET /echo HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 64; i++) n += sprintf(big + n, "X-%d: %d\r\n", i, i);
    strcpy(big + n, "\r\n");
    expect(big, 431, "more than 64 headers");
    n = sprintf(big, "GET /echo HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 63; i++) n += sprintf(big + n, "X-%d: %d\r\n", i, i);
    strcpy(big + n, "\r\n");
    expect(big, 200, NULL);
    free(big);
}

/* ---- bodies ---- */

static void chunked_bodies_are_read_and_end_the_connection(void **state) {
    (void)state;
    int fd = raw_connect(port);
    raw_sends(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    raw_sends(fd, "6\r\n world\r\n0\r\n\r\n");
    struct raw_reply r = raw_read(fd, false);
    assert_string_equal(r.body, "POST /echo? [hello world]");
    assert_true(raw_at_end(fd));
    raw_reply_clear(&r);
    close(fd);
    static const char *const malformed[] = {
        "x\r\nhello\r\n0\r\n\r\n",  "5;ext=1\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",          "ffffffffffffffff\r\nhello\r\n0\r\n\r\n"};
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        char request[256];
        snprintf(request, sizeof(request),
                 "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%s", malformed[i]);
        expect(request, 400, "body is malformed");
    }
}

static void bodies_have_a_limit(void **state) {
    (void)state;
    char *big = malloc(2 * MAX_BODY);
    int n = sprintf(big, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", MAX_BODY);
    memset(big + n, 'a', MAX_BODY);
    struct raw_reply r = raw_ask(port, big, (size_t)n + MAX_BODY);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body_len, MAX_BODY + strlen("POST /echo? []"));
    raw_reply_clear(&r);

    /* The whole of a body that is too large is sent, and the answer still arrives. */
    n = sprintf(big, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", MAX_BODY + 1);
    memset(big + n, 'a', MAX_BODY + 1);
    r = raw_ask(port, big, (size_t)n + MAX_BODY + 1);
    assert_int_equal(r.status, 413);
    raw_reply_clear(&r);

    n = sprintf(big, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n",
                MAX_BODY + 1);
    memset(big + n, 'a', MAX_BODY + 1);
    strcpy(big + n + MAX_BODY + 1, "\r\n0\r\n\r\n");
    r = raw_ask(port, big, (size_t)n + MAX_BODY + 8);
    assert_int_equal(r.status, 413);
    raw_reply_clear(&r);
    free(big);
}

static void expect_100_is_answered(void **state) {
    (void)state;
    int fd = raw_connect(port);
    raw_sends(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    struct raw_reply r = raw_read(fd, false);
    assert_int_equal(r.status, 100);
    raw_reply_clear(&r);
    raw_sends(fd, "hello");
    r = raw_read(fd, false);
    assert_string_equal(r.body, "POST /echo? [hello]");
    raw_reply_clear(&r);
    close(fd);
}

static void a_body_that_is_cut_off_is_refused(void **state) {
    (void)state;
    int fd = raw_connect(port);
    raw_sends(fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhello");
    shutdown(fd, SHUT_WR);
    struct raw_reply r = raw_read(fd, false);
    assert_int_equal(r.status, 400);
    raw_reply_clear(&r);
    close(fd);
}

/* Sends a byte every 20 ms until the other side has answered or closed: the pace is what is tested. */
static struct raw_reply drip(int to, const char *begin) {
    int fd = raw_connect(to);
    raw_sends(fd, begin);
    for (int i = 0; i < 500; i++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 20) > 0) break;
        raw_sends(fd, "a");
    }
    struct raw_reply r = raw_read(fd, false);
    close(fd);
    return r;
}

static void slow_clients_are_cut_off(void **state) {
    (void)state;
    struct mt_server *s = start((struct mt_server_options){.request_timeout_ms = 200, .keep_alive_ms = 200});
    struct raw_reply r = drip(mt_server_port(s), "GET /echo HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    assert_int_equal(r.status, 400);
    raw_reply_clear(&r);
    r = drip(mt_server_port(s), "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n");
    assert_int_equal(r.status, 408);
    raw_reply_clear(&r);
    int fd = raw_connect(mt_server_port(s)); /* sends nothing at all */
    assert_true(raw_at_end(fd));
    close(fd);
    mt_server_stop(s);
}

int main(void) {
    mt_log_setup(MT_LOG_OFF, MT_LOG_TEXT);
    const struct CMUnitTest tests[] = {
        T(answers_with_the_headers_of_the_house),
        T(unknown_paths_and_methods_are_told_apart),
        T(head_has_the_length_and_no_body),
        T(a_connection_serves_many_requests_also_pipelined),
        T(http_1_0_is_served_and_closed),
        T(paths_are_decoded_and_stay_below_the_root),
        T(requests_two_servers_could_read_differently_are_refused),
        T(the_absolute_form_must_name_the_host),
        T(limits_of_the_head_hold),
        T(chunked_bodies_are_read_and_end_the_connection),
        T(bodies_have_a_limit),
        T(expect_100_is_answered),
        T(a_body_that_is_cut_off_is_refused),
        T(slow_clients_are_cut_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
