/* links: mt_http */
/* The server as a raw client sees it: what is refused, what is kept open, what is answered while it drains,
 * its faults and streams. */
#include "test_http_raw.h"

#include "base/log.h"
#include "http/server.h"
#include "http/sse.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { MAX_BODY = 64 * 1024, MAX_HEADER = 8 * 1024 };

static struct mt_server *server;
static int port;

/* A gate that handlers wait at until a test opens it. */
static struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open;
    int waiting;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};

static void gate_pass(void) {
    pthread_mutex_lock(&gate.lock);
    gate.waiting++;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.open) pthread_cond_wait(&gate.changed, &gate.lock);
    gate.waiting--;
    pthread_mutex_unlock(&gate.lock);
}

static void gate_wait_for(int n) {
    pthread_mutex_lock(&gate.lock);
    while (gate.waiting < n) pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static void gate_set(bool open) {
    pthread_mutex_lock(&gate.lock);
    gate.open = open;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

/* ---- handlers ---- */

static void echo(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    (void)ctx;
    mt_buf_addf(&resp->body, "%s %s?%s [%.*s]", req->method, req->path, req->query, (int)req->body_len,
                req->body);
}

static void stack(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    pthread_attr_t attr;
    size_t size = 0;
    (void)ctx, (void)req;
    pthread_getattr_np(pthread_self(), &attr);
    pthread_attr_getstacksize(&attr, &size);
    pthread_attr_destroy(&attr);
    mt_buf_addf(&resp->body, "%s: %zu", size >= 1024 * 1024 ? "enough" : "too little", size);
}

static void named(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    mt_buf_adds(&resp->body, ctx);
    for (size_t i = 0; i < req->param_count; i++)
        mt_buf_addf(&resp->body, " %s=%s", req->param_names[i], req->param_values[i]);
}

static void gated(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    (void)ctx, (void)req;
    gate_pass();
    mt_buf_adds(&resp->body, "through");
}

static void faulty(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    (void)req;
    resp->fault = *(enum mt_response_fault *)ctx;
    mt_buf_adds(&resp->body, "0123456789");
}

static void delayed(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    (void)ctx, (void)req;
    resp->delay_ms = 120;
    mt_buf_adds(&resp->body, "late");
}

static void large(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    (void)ctx, (void)req;
    for (int i = 0; i < 100 * 1024; i++) mt_buf_adds(&resp->body, "0123456789");
}

static void unclean(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    (void)ctx, (void)req;
    mt_headers_add(&resp->headers, "X-Name", "a\r\nSet-Cookie: b");
}

static atomic_int streams_ended;

static void stream_three(void *ctx, struct mt_stream *s) {
    (void)ctx;
    const char *parts[] = {"one", "two", "three"};
    for (int i = 0; i < 3 && mt_stream_write(s, parts[i], strlen(parts[i])) == 0; i++) {
    }
    atomic_fetch_add(&streams_ended, 1);
}

static void streaming(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    (void)ctx;
    resp->stream = stream_three;
    if (strcmp(req->query, "drop") == 0) resp->fault = MT_FAULT_DROP;
}

static struct mt_sse *sse;

static void events(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    (void)req;
    mt_sse_respond(sse, *(struct mt_server **)ctx, resp);
}

static enum mt_response_fault faults[] = {MT_FAULT_DROP, MT_FAULT_RESET, MT_FAULT_TRUNCATE};

static void add(struct mt_router *r, const char *method, const char *pattern, mt_handler *h, void *ctx) {
    struct mt_error e;
    assert_int_equal(mt_router_add(r, method, pattern, h, ctx, &e), 0);
}

static struct mt_router *routes(void) {
    struct mt_router *r = mt_router_new();
    add(r, "GET", "/echo", echo, NULL);
    add(r, "GET", "/stack", stack, NULL);
    add(r, "POST", "/echo", echo, NULL);
    add(r, "GET", "/files/*", echo, NULL);
    add(r, "GET", "/gate", gated, NULL);
    add(r, "GET", "/drop", faulty, &faults[0]);
    add(r, "GET", "/reset", faulty, &faults[1]);
    add(r, "GET", "/truncate", faulty, &faults[2]);
    add(r, "GET", "/delay", delayed, NULL);
    add(r, "GET", "/large", large, NULL);
    add(r, "GET", "/unclean", unclean, NULL);
    add(r, "GET", "/stream", streaming, NULL);
    add(r, "GET", "/events", events, &server);
    add(r, "GET", "/v1/runs/{id}", named, (void *)(uintptr_t) "run");
    add(r, "POST", "/v1/runs/{id}/cancel", named, (void *)(uintptr_t) "cancel");
    return r;
}

static struct mt_server *start(struct mt_server_options o) {
    struct mt_error e = {0};
    o.host = "127.0.0.1";
    if (o.threads == 0) o.threads = 8;
    o.max_body = MAX_BODY;
    o.max_header = MAX_HEADER;
    struct mt_server *s = mt_server_start(&o, routes(), &e);
    if (s == NULL) fail_msg("%s", e.message);
    return s;
}

static int set_up(void **state) {
    (void)state;
    gate_set(false);
    sse = mt_sse_new(16, 0);
    server = start((struct mt_server_options){.request_timeout_ms = 5000});
    port = mt_server_port(server);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    gate_set(true);
    mt_server_stop(server);
    mt_sse_free(sse);
    return 0;
}

static void expect(const char *request, int status, const char *part) {
    struct raw_reply r = raw_asks(port, request);
    if (r.status != status || (part != NULL && strstr(r.body, part) == NULL))
        fail_msg("wanted %d with \"%s\" for <<%s>>, got %d: %s", status, part == NULL ? "" : part, request,
                 r.status, r.body);
    raw_reply_clear(&r);
}

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

/* ---- answers ---- */

static void large_answers_arrive_whole(void **state) {
    (void)state;
    struct raw_reply r = raw_asks(port, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(r.body_len, 1000 * 1024);
    raw_reply_clear(&r);
}

static void a_handlers_header_cannot_add_others(void **state) {
    (void)state;
    char value[64];
    struct raw_reply r = raw_asks(port, "GET /unclean HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(r.status, 500);
    assert_null(raw_header(&r, "Set-Cookie", value, sizeof(value)));
    raw_reply_clear(&r);
}

static void faults_are_what_they_say(void **state) {
    (void)state;
    struct raw_reply r = raw_asks(port, "GET /drop HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(r.status, 0);
    assert_true(r.closed && !r.reset);
    raw_reply_clear(&r);
    r = raw_asks(port, "GET /reset HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(r.status, 0);
    assert_true(r.reset);
    raw_reply_clear(&r);
    r = raw_asks(port, "GET /truncate HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(r.status, 200);
    assert_true(r.closed);
    assert_string_equal(r.body, "01234");
    raw_reply_clear(&r);

    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    expect("GET /delay HTTP/1.1\r\nHost: x\r\n\r\n", 200, "late");
    clock_gettime(CLOCK_MONOTONIC, &b);
    assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 >= 119);
}

static void streams_are_chunked_and_always_run_to_their_end(void **state) {
    (void)state;
    char value[64];
    atomic_store(&streams_ended, 0);
    struct raw_reply r = raw_asks(port, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_string_equal(raw_header(&r, "Transfer-Encoding", value, sizeof(value)), "chunked");
    assert_string_equal(r.body, "3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n");
    raw_reply_clear(&r);
    r = raw_asks(port, "GET /stream HTTP/1.0\r\n\r\n");
    assert_string_equal(r.body, "onetwothree");
    raw_reply_clear(&r);
    r = raw_asks(port, "HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body_len, 0);
    raw_reply_clear(&r);
    r = raw_asks(port, "GET /stream?drop HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(r.status, 0);
    raw_reply_clear(&r);
    assert_int_equal(atomic_load(&streams_ended), 4);
}

/* ---- events ---- */

/* Reads until `text` has come. */
static void read_until(int fd, char *seen, size_t size, const char *text) {
    size_t n = strlen(seen);
    while (strstr(seen, text) == NULL) {
        assert_true(n + 1 < size);
        ssize_t got = raw_recv(fd, seen + n, size - n - 1);
        assert_true(got > 0);
        seen[n += (size_t)got] = '\0';
    }
}

static void events_reach_every_stream(void **state) {
    (void)state;
    char seen[2][4096] = {"", ""};
    int fd[2];
    for (int i = 0; i < 2; i++) {
        fd[i] = raw_connect(port);
        raw_sends(fd[i], "GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
        read_until(fd[i], seen[i], sizeof(seen[i]), ": ready\n\n");
        assert_non_null(strstr(seen[i], "Content-Type: text/event-stream"));
    }
    mt_sse_publish(sse, "run", "{\"id\":1}", 8);
    mt_sse_publish(sse, "run", "{\n}", 3);
    for (int i = 0; i < 2; i++) {
        read_until(fd[i], seen[i], sizeof(seen[i]), "id: 1\nevent: run\ndata: {\"id\":1}\n\n");
        read_until(fd[i], seen[i], sizeof(seen[i]), "id: 2\nevent: run\ndata: {\ndata: }\n\n");
    }
    /* A quarter of the eight threads is all that streams may hold. */
    expect("GET /events HTTP/1.1\r\nHost: x\r\n\r\n", 503, "too many streams");
    close(fd[0]);
    while (mt_sse_count(sse) > 1) poll(NULL, 0, 5);
    mt_sse_free(sse); /* ends the other */
    read_until(fd[1], seen[1], sizeof(seen[1]), "\r\n0\r\n\r\n");
    close(fd[1]);
    sse = mt_sse_new(16, 0);
}

static void a_slow_reader_is_dropped_with_a_note(void **state) {
    (void)state;
    char *seen = calloc(1, 16 * 1024 * 1024), *data = malloc(256 * 1024);
    int fd = raw_connect(port);
    raw_sends(fd, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    read_until(fd, seen, 4096, ": ready\n\n");
    memset(data, 'x', 256 * 1024);
    for (int i = 0; i < 60; i++) mt_sse_publish(sse, "big", data, 256 * 1024); /* 15 MiB; nobody waits */
    read_until(fd, seen, 16 * 1024 * 1024, "event: dropped\n");
    assert_null(strstr(seen, "id: 60\n"));
    close(fd);
    free(seen);
    free(data);
}

/* ---- draining ---- */

static void *stop_thread(void *arg) {
    mt_server_stop(arg);
    return NULL;
}

static void draining_loses_no_answer(void **state) {
    (void)state;
    enum { N = 4 };
    pthread_t stopper;
    int fd[N], idle = raw_connect(port), stream = raw_connect(port);
    char seen[4096] = "";
    for (int i = 0; i < N; i++) {
        fd[i] = raw_connect(port);
        raw_sends(fd[i], "GET /gate HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    gate_wait_for(N);
    raw_sends(idle, "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    struct raw_reply r = raw_read(idle, false);
    assert_int_equal(r.status, 200);
    raw_reply_clear(&r);
    raw_sends(stream, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    read_until(stream, seen, sizeof(seen), ": ready\n\n");

    pthread_create(&stopper, NULL, stop_thread, server);
    assert_true(raw_at_end(idle)); /* idle connections are let go first: draining has begun */
    expect("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", 503, "stopping");
    read_until(stream, seen, sizeof(seen), "\r\n0\r\n\r\n");
    gate_set(true);
    for (int i = 0; i < N; i++) {
        r = raw_read(fd[i], false);
        assert_int_equal(r.status, 200);
        assert_string_equal(r.body, "through");
        char value[64];
        assert_string_equal(raw_header(&r, "Connection", value, sizeof(value)), "close");
        raw_reply_clear(&r);
        close(fd[i]);
    }
    pthread_join(stopper, NULL);
    close(idle);
    close(stream);
    server = NULL;
}

static void stopping_with_idle_connections_is_quick(void **state) {
    (void)state;
    int fd[4];
    struct timespec a, b;
    for (int i = 0; i < 4; i++) {
        fd[i] = raw_connect(port);
        raw_sends(fd[i], "GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        struct raw_reply r = raw_read(fd[i], false);
        raw_reply_clear(&r);
    }
    clock_gettime(CLOCK_MONOTONIC, &a);
    mt_server_stop(server);
    clock_gettime(CLOCK_MONOTONIC, &b);
    server = NULL;
    assert_true((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 1500);
    for (int i = 0; i < 4; i++) close(fd[i]);
}

/* ---- hosts, counts ---- */

static void a_loopback_server_takes_no_other_host(void **state) {
    (void)state;
    struct mt_error e = {0};
    struct mt_server_options o = {.host = "0.0.0.0", .loopback_only = true, .threads = 4};
    assert_null(mt_server_start(&o, mt_router_new(), &e));
    assert_non_null(strstr(e.message, "loopback"));
    o.host = "example.com";
    assert_null(mt_server_start(&o, mt_router_new(), &e));
    o.host = "localhost";
    struct mt_server *s = mt_server_start(&o, routes(), &e);
    assert_non_null(s);
    int outer = port;
    port = mt_server_port(s);
    expect("GET /echo HTTP/1.1\r\nHost: localhost:8090\r\n\r\n", 200, NULL);
    expect("GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200, NULL);
    expect("GET /echo HTTP/1.1\r\nHost: 127.0.0.1.example.com\r\n\r\n", 421, NULL);
    expect("GET /echo HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421, NULL);
    port = outer;
    mt_server_stop(s);
}

static void a_port_in_use_is_an_error(void **state) {
    (void)state;
    struct mt_error e = {0};
    struct mt_server_options o = {.host = "127.0.0.1", .port = port, .threads = 4};
    assert_null(mt_server_start(&o, mt_router_new(), &e));
    assert_int_equal(e.kind, MT_UNAVAILABLE);
    assert_non_null(strstr(e.message, "cannot listen on 127.0.0.1"));
}

static void requests_are_counted(void **state) {
    (void)state;
    struct mt_server_stats stats;
    expect("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n", 200, NULL);
    expect("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404, NULL);
    expect("GET /echo HTTP/1.1\r\n\r\n", 400, NULL);
    do mt_server_stats(server, &stats); /* counted just after the answer has gone out */
    while (stats.requests < 3);
    assert_int_equal(stats.by_class[2], 1);
    assert_int_equal(stats.by_class[4], 2);
    assert_int_equal(stats.refused, 1);
}

/* Scripts recurse on it. */
static void handlers_have_a_megabyte_of_stack(void **state) {
    (void)state;
    expect("GET /stack HTTP/1.1\r\nHost: x\r\n\r\n", 200, "enough");
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

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
        T(large_answers_arrive_whole),
        T(a_handlers_header_cannot_add_others),
        T(faults_are_what_they_say),
        T(streams_are_chunked_and_always_run_to_their_end),
        T(events_reach_every_stream),
        T(a_slow_reader_is_dropped_with_a_note),
        T(draining_loses_no_answer),
        T(stopping_with_idle_connections_is_quick),
        T(a_loopback_server_takes_no_other_host),
        T(a_port_in_use_is_an_error),
        T(requests_are_counted),
        T(handlers_have_a_megabyte_of_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
