/* links: mt_http */
/* What the client says became of a request, against servers that misbehave on purpose. The heart of it: a
 * request is never sent twice, and one that may have been processed is never called unsent. */
#include "test_http_raw.h"

#include "base/log.h"
#include "base/text.h"
#include "http/address.h"
#include "http/client.h"
#include "http/server.h"
#include <pthread.h>
#include <stdatomic.h>

/* ---- a server that reads whole requests and then does as told ---- */

enum act {
    ANSWER,        /* 200, kept alive */
    CLOSE,         /* read it all, close without a byte */
    RESET,         /* read it all, reset */
    HALF_HEAD,     /* part of a status line, then close */
    HALF_BODY,     /* less body than announced, then close */
    GARBAGE,       /* no HTTP */
    SILENT,        /* no answer until the client gives up */
    HUGE,          /* a body of 64 KiB */
    INTERIM,       /* 103 before the answer */
    CLOSE_AT_ONCE, /* answer, then close the kept-alive connection */
    REDIRECT,
    TRAILERS,
};

struct fake {
    int listener, port;
    pthread_t thread;
    const enum act *acts; /* one for each request; the last one repeats */
    size_t act_count;
    atomic_int requests, connections;
    char reading[8192]; /* the server thread's own */
    pthread_mutex_t lock;
    char last[8192]; /* the last request, head and body; guarded */
    atomic_bool stop;
};

/* Reads one request into f->last. False when the client has gone. */
static bool fake_read(struct fake *f, int fd) {
    size_t used = 0;
    char *end = NULL;
    while (end == NULL) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        while (poll(&p, 1, 20) == 0)
            if (atomic_load(&f->stop)) return false;
        ssize_t n = recv(fd, f->reading + used, sizeof(f->reading) - used - 1, 0);
        if (n <= 0) return false;
        used += (size_t)n;
        f->reading[used] = '\0';
        end = strstr(f->reading, "\r\n\r\n");
    }
    const char *cl = strcasestr(f->reading, "\r\nContent-Length:");
    size_t want = (size_t)(end + 4 - f->reading) + (cl == NULL ? 0 : strtoul(cl + 17, NULL, 10));
    while (used < want) {
        ssize_t n = recv(fd, f->reading + used, sizeof(f->reading) - used - 1, 0);
        if (n <= 0) return false;
        used += (size_t)n;
        f->reading[used] = '\0';
    }
    pthread_mutex_lock(&f->lock);
    memcpy(f->last, f->reading, used + 1);
    pthread_mutex_unlock(&f->lock);
    return true;
}

/* False: the connection is done with. */
static bool fake_act(struct fake *f, int fd, enum act act) {
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok";
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    char c;
    switch (act) {
    case ANSWER:
        raw_sends(fd, ok);
        return true;
    case CLOSE:
        return false;
    case RESET:
        connect(fd, &none, sizeof(none));
        return false;
    case HALF_HEAD:
        raw_sends(fd, "HTTP/1.1 20");
        return false;
    case HALF_BODY:
        raw_sends(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok");
        return false;
    case GARBAGE:
        raw_sends(fd, "SSH-2.0-OpenSSH\r\n\r\n");
        return false;
    case SILENT:
        while (!atomic_load(&f->stop)) {
            struct pollfd p = {.fd = fd, .events = POLLIN};
            if (poll(&p, 1, 20) > 0 && recv(fd, &c, 1, 0) <= 0) break;
        }
        return false;
    case HUGE: {
        char *body = calloc(1, 65536);
        memset(body, 'x', 65536);
        raw_sends(fd, "HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n");
        raw_send(fd, body, 65536);
        free(body);
        return false;
    }
    case INTERIM:
        raw_sends(fd, "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"), raw_sends(fd, ok);
        return true;
    case CLOSE_AT_ONCE:
        raw_sends(fd, ok);
        return false;
    case REDIRECT:
        raw_sends(fd, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
        return true;
    case TRAILERS:
        raw_sends(
            fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n");
        return true;
    }
    return false;
}

static void *fake_run(void *arg) {
    struct fake *f = arg;
    while (!atomic_load(&f->stop)) {
        struct pollfd p = {.fd = f->listener, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0) continue;
        int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) continue;
        atomic_fetch_add(&f->connections, 1);
        for (bool open = true; open;) {
            if (!fake_read(f, fd)) break;
            size_t i = (size_t)atomic_fetch_add(&f->requests, 1);
            open = fake_act(f, fd, f->acts[i < f->act_count ? i : f->act_count - 1]);
        }
        close(fd);
    }
    return NULL;
}

static void fake_start(struct fake *f, const enum act *acts, size_t n) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    memset(f, 0, sizeof(*f));
    pthread_mutex_init(&f->lock, NULL);
    f->acts = acts;
    f->act_count = n;
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(f->listener, 64), 0);
    getsockname(f->listener, (struct sockaddr *)&a, &len);
    f->port = ntohs(a.sin_port);
    pthread_create(&f->thread, NULL, fake_run, f);
}

static void fake_stop(struct fake *f) {
    atomic_store(&f->stop, true);
    pthread_join(f->thread, NULL);
    close(f->listener);
}

#define FAKE(f, ...)                                                                                         \
    static const enum act f##_acts[] = {__VA_ARGS__};                                                        \
    struct fake f;                                                                                           \
    fake_start(&f, f##_acts, sizeof(f##_acts) / sizeof(f##_acts[0]))

/* ---- asking ---- */

static struct mt_transport *http;
static struct mt_http_response resp;
static struct mt_error err;

static struct mt_http_request make(const char *method, int port, const char *path, const char *body) {
    char url[256];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", port, path);
    return (struct mt_http_request){.method = mt_strdup(method),
                                    .url = mt_strdup(url),
                                    .body = mt_strdup(body),
                                    .body_len = body == NULL ? 0 : strlen(body)};
}

static int send_it(struct mt_http_request req) {
    memset(&err, 0, sizeof(err));
    int rc = http->perform(http, &req, &resp, &err);
    mt_http_request_clear(&req);
    return rc;
}

static int ask(const char *method, int port, const char *body) {
    return send_it(make(method, port, "/x", body));
}

static void expect_ok(const char *method, int port, const char *body) {
    if (ask(method, port, body) != 0) fail_msg("%s", err.message);
    assert_int_equal(resp.status, 200);
    mt_http_response_clear(&resp);
}

static void expect_failure(int rc, enum mt_outcome outcome, enum mt_kind kind) {
    assert_int_equal(rc, -1);
    if (err.outcome != outcome || err.kind != kind)
        fail_msg("wanted %s %s, got %s %s: %s", mt_outcome_name(outcome), mt_kind_name(kind),
                 mt_outcome_name(err.outcome), mt_kind_name(err.kind), err.message);
}

static int group_up(void **state) {
    (void)state;
    http = mt_transport_curl();
    return 0;
}

static int group_down(void **state) {
    (void)state;
    http->free(http);
    return 0;
}

/* Connections must not be left over from one test for the next. */
static int fresh(void **state) {
    group_down(state);
    return group_up(state);
}

/* ---- answers ---- */

static void an_answer_comes_back_whole(void **state) {
    (void)state;
    FAKE(f, ANSWER);
    struct mt_http_request req = make("POST", f.port, "/pay?x=1", "{\"a\":1}");
    mt_headers_add(&req.headers, "Content-Type", "application/json");
    mt_headers_add(&req.headers, "Idempotency-Key", "k1");
    mt_headers_add(&req.headers, "X-Empty", "");
    assert_int_equal(send_it(req), 0);
    assert_int_equal(resp.status, 200);
    assert_string_equal(resp.body.data, "ok");
    assert_string_equal(mt_headers_get(&resp.headers, "x-a"), "b");
    assert_true(resp.duration_us > 0);
    mt_http_response_clear(&resp);
    fake_stop(&f);
    assert_non_null(strstr(f.last, "POST /pay?x=1 HTTP/1.1\r\n"));
    assert_non_null(strstr(f.last, "Idempotency-Key: k1\r\n"));
    assert_non_null(strstr(f.last, "X-Empty:"));
    assert_non_null(strstr(f.last, "\r\n\r\n{\"a\":1}"));
    assert_null(strstr(f.last, "Expect:"));
    assert_null(strstr(f.last, "x-www-form-urlencoded"));
}

static void methods_do_not_stick_to_the_handle(void **state) {
    (void)state;
    FAKE(f, ANSWER);
    static const char *const methods[][2] = {{"POST", "b"},   {"GET", NULL},    {"PUT", "b"},
                                             {"POST", NULL},  {"DELETE", NULL}, {"GET", NULL},
                                             {"DELETE", "b"}, {"PATCH", "b"}};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        char line[64];
        expect_ok(methods[i][0], f.port, methods[i][1]);
        snprintf(line, sizeof(line), "%s /x HTTP/1.1\r\n", methods[i][0]);
        pthread_mutex_lock(&f.lock);
        assert_memory_equal(f.last, line, strlen(line));
        bool body = strstr(f.last, "\r\n\r\nb") != NULL;
        pthread_mutex_unlock(&f.lock);
        assert_int_equal(body, methods[i][1] != NULL);
    }
    assert_int_equal(atomic_load(&f.connections), 1); /* and all went over one connection */
    fake_stop(&f);
}

static void redirects_are_answers(void **state) {
    (void)state;
    FAKE(f, REDIRECT);
    assert_int_equal(ask("GET", f.port, NULL), 0);
    assert_int_equal(resp.status, 302);
    mt_http_response_clear(&resp);
    fake_stop(&f);
}

static void interim_heads_and_trailers_are_not_the_answers_headers(void **state) {
    (void)state;
    FAKE(f, INTERIM, TRAILERS);
    assert_int_equal(ask("GET", f.port, NULL), 0);
    assert_int_equal(resp.status, 200);
    assert_null(mt_headers_get(&resp.headers, "X-Early"));
    assert_string_equal(mt_headers_get(&resp.headers, "X-A"), "b");
    mt_http_response_clear(&resp);
    assert_int_equal(ask("GET", f.port, NULL), 0);
    assert_string_equal(resp.body.data, "ok");
    assert_null(mt_headers_get(&resp.headers, "X-Trailer"));
    mt_http_response_clear(&resp);
    fake_stop(&f);
}

/* ---- what became of it ---- */

static void nobody_listening_means_not_sent(void **state) {
    (void)state;
    FAKE(f, ANSWER);
    fake_stop(&f); /* its port is free now */
    expect_failure(ask("POST", f.port, "b"), MT_NOT_SENT, MT_UNAVAILABLE);
    assert_true(err.retryable);
    struct mt_http_request req = make("GET", 80, "/", NULL);
    free(req.url);
    req.url = mt_strdup("http://does-not-exist.invalid/");
    expect_failure(send_it(req), MT_NOT_SENT, MT_UNAVAILABLE);
}

static void a_connection_that_cannot_be_made_in_time_means_not_sent(void **state) {
    (void)state;
    /* A listener whose queue is full leaves the next one's SYN unanswered. */
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fill[4];
    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(listener, 0), 0);
    getsockname(listener, (struct sockaddr *)&a, &len);
    for (int i = 0; i < 4; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(fill[i], (struct sockaddr *)&a, sizeof(a));
    }
    struct mt_http_request req = make("POST", ntohs(a.sin_port), "/", "b");
    req.connect_timeout_ms = 150;
    expect_failure(send_it(req), MT_NOT_SENT, MT_TIMEOUT);
    for (int i = 0; i < 4; i++) close(fill[i]);
    close(listener);
}

static void what_goes_wrong_after_sending_is_unknown(void **state) {
    (void)state;
    static const struct {
        enum act act;
        enum mt_kind kind;
    } cases[] = {{CLOSE, MT_UNAVAILABLE},  {RESET, MT_UNAVAILABLE}, {HALF_HEAD, MT_PROTOCOL},
                 {HALF_BODY, MT_PROTOCOL}, {GARBAGE, MT_PROTOCOL},  {SILENT, MT_TIMEOUT}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fake f;
        fake_start(&f, &cases[i].act, 1);
        struct mt_http_request req = make("POST", f.port, "/", "b");
        if (cases[i].act == SILENT) req.timeout_ms = 200;
        int rc = send_it(req);
        if (rc == 0) fail_msg("case %zu: an answer of %d", i, resp.status);
        assert_int_equal(err.outcome, MT_UNKNOWN);
        if (cases[i].act != HALF_HEAD) assert_int_equal(err.kind, cases[i].kind);
        assert_int_equal(atomic_load(&f.requests), 1);
        fake_stop(&f);
    }
}

static void an_answer_too_large_is_unknown(void **state) {
    (void)state;
    FAKE(f, HUGE);
    struct mt_http_request req = make("POST", f.port, "/", "b");
    req.max_response = 1000;
    expect_failure(send_it(req), MT_UNKNOWN, MT_LIMIT);
    assert_int_equal(atomic_load(&f.requests), 1);
    fake_stop(&f);
}

static int take_data(void *ctx, const char *data, size_t len) {
    mt_buf_add(ctx, data, len);
    return 0;
}

static int refuse_data(void *ctx, const char *data, size_t len) {
    (void)ctx, (void)data, (void)len;
    return -1;
}

static void a_body_can_be_had_as_it_comes(void **state) {
    (void)state;
    FAKE(f, HUGE);
    struct mt_buf got;
    mt_buf_init(&got, 1 << 24);
    struct mt_http_request req = make("POST", f.port, "/", "b");
    req.max_response = 1000; /* of what is kept */
    req.on_data = take_data;
    req.on_data_ctx = &got;
    assert_int_equal(send_it(req), 0);
    assert_true(got.len > 1000);
    assert_int_equal(resp.body.len, 0);
    mt_buf_clear(&got);
    mt_http_response_clear(&resp);
    fake_stop(&f);
}

static void who_takes_a_body_can_end_it(void **state) {
    (void)state;
    FAKE(f, HUGE);
    struct mt_http_request req = make("POST", f.port, "/", "b");
    req.on_data = refuse_data;
    expect_failure(send_it(req), MT_UNKNOWN, MT_UNAVAILABLE);
    fake_stop(&f);
}

/* libcurl alone would send the second request once more, on a fresh connection, five times over. */
static void a_request_on_a_reused_connection_is_never_sent_twice(void **state) {
    (void)state;
    static const enum act ends[] = {CLOSE, RESET};
    static const char *const methods[][2] = {
        {"POST", "{\"charge\":1}"}, {"POST", NULL}, {"PUT", "b"}, {"DELETE", NULL}, {"GET", NULL}};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        for (size_t m = 0; m < sizeof(methods) / sizeof(methods[0]); m++) {
            const enum act acts[] = {ANSWER, ends[i], ANSWER};
            struct fake f;
            fake_start(&f, acts, 3);
            expect_ok("POST", f.port, "first");
            expect_failure(ask(methods[m][0], f.port, methods[m][1]), MT_UNKNOWN, MT_UNAVAILABLE);
            assert_int_equal(atomic_load(&f.requests), 2);
            expect_ok("GET", f.port, NULL); /* and the handle is fit for more */
            fake_stop(&f);
        }
    }
}

static void a_closed_idle_connection_is_replaced_unseen(void **state) {
    (void)state;
    FAKE(f, CLOSE_AT_ONCE);
    for (int i = 0; i < 20; i++) {
        int rc = ask("POST", f.port, "b");
        /* Mostly the close is seen before sending. When it races with the request, unknown is the truth. */
        if (rc == 0)
            mt_http_response_clear(&resp);
        else
            assert_int_equal(err.outcome, MT_UNKNOWN);
        assert_true(atomic_load(&f.requests) <= i + 1);
    }
    fake_stop(&f);
}

/* ---- many at once ---- */

static atomic_int ended;
static bool failed_of[64];

static void note_end(void *ctx, size_t i, bool failed) {
    (void)ctx;
    failed_of[i] = failed;
    atomic_fetch_add(&ended, 1);
}

static void hello(void *ctx, const struct mt_request *req, struct mt_response *r) {
    (void)ctx;
    mt_buf_addf(&r->body, "%s", req->query);
}

static atomic_int processed;

static void dropping(void *ctx, const struct mt_request *req, struct mt_response *r) {
    (void)ctx, (void)req;
    atomic_fetch_add(&processed, 1);
    r->fault = MT_FAULT_DROP;
}

static void resetting(void *ctx, const struct mt_request *req, struct mt_response *r) {
    (void)ctx, (void)req;
    atomic_fetch_add(&processed, 1);
    r->fault = MT_FAULT_RESET;
}

static void truncating(void *ctx, const struct mt_request *req, struct mt_response *r) {
    (void)ctx, (void)req;
    atomic_fetch_add(&processed, 1);
    mt_buf_adds(&r->body, "0123456789");
    r->fault = MT_FAULT_TRUNCATE;
}

static struct mt_server *real_server(void) {
    struct mt_error e = {0};
    struct mt_router *r = mt_router_new();
    struct mt_server_options o = {.host = "127.0.0.1", .threads = 70};
    assert_int_equal(mt_router_add(r, "*", "/x", hello, NULL, &e), 0);
    assert_int_equal(mt_router_add(r, "*", "/drop", dropping, NULL, &e), 0);
    assert_int_equal(mt_router_add(r, "*", "/reset", resetting, NULL, &e), 0);
    assert_int_equal(mt_router_add(r, "*", "/truncate", truncating, NULL, &e), 0);
    struct mt_server *s = mt_server_start(&o, r, &e);
    if (s == NULL) fail_msg("%s", e.message);
    return s;
}

static void our_servers_faults_are_unknown_and_processed_once(void **state) {
    (void)state;
    struct mt_server *s = real_server();
    int port = mt_server_port(s);
    static const char *const paths[] = {"/drop", "/reset", "/truncate"};
    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < 3; i++) {
            expect_ok("GET", port, NULL); /* so that the next goes over a connection in use */
            atomic_store(&processed, 0);
            assert_int_equal(send_it(make("POST", port, paths[i], "b")), -1);
            assert_int_equal(err.outcome, MT_UNKNOWN);
            assert_int_equal(atomic_load(&processed), 1);
        }
    }
    mt_server_stop(s);
}

static void many_requests_go_out_at_once(void **state) {
    (void)state;
    enum { N = 64 };
    struct mt_server *s = real_server();
    int port = mt_server_port(s);
    struct mt_http_request reqs[N];
    struct mt_http_response resps[N];
    struct mt_error errors[N];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            char path[32];
            snprintf(path, sizeof(path), "/x?%d", i);
            reqs[i] = make("POST", port, i == 7 ? "/drop" : path, "b");
            if (i == 8) {
                free(reqs[i].url);
                reqs[i].url = mt_strdup("ftp://x/");
            }
        }
        atomic_store(&ended, 0);
        atomic_store(&processed, 0);
        http->perform_all(http, N, reqs, resps, errors, note_end, NULL);
        assert_int_equal(atomic_load(&ended), N);
        assert_int_equal(atomic_load(&processed), 1);
        for (int i = 0; i < N; i++) {
            assert_int_equal(failed_of[i], i == 7 || i == 8);
            if (i == 7) assert_int_equal(errors[i].outcome, MT_UNKNOWN);
            if (i == 8) assert_int_equal(errors[i].outcome, MT_NOT_SENT);
            if (!failed_of[i]) assert_int_equal(atoi(resps[i].body.data), i);
            if (!failed_of[i]) mt_http_response_clear(&resps[i]);
            mt_http_request_clear(&reqs[i]);
        }
    }
    mt_server_stop(s);
}

static void *thread_asks(void *arg) {
    int port = *(int *)arg;
    for (int i = 0; i < 50; i++) {
        struct mt_http_request req = make("POST", port, "/x?t", "b");
        struct mt_http_response r;
        struct mt_error e;
        assert_int_equal(http->perform(http, &req, &r, &e), 0);
        assert_string_equal(r.body.data, "t");
        mt_http_response_clear(&r);
        mt_http_request_clear(&req);
    }
    return NULL;
}

static void threads_share_a_transport(void **state) {
    (void)state;
    struct mt_server *s = real_server();
    int port = mt_server_port(s);
    pthread_t threads[16];
    for (int i = 0; i < 16; i++) pthread_create(&threads[i], NULL, thread_asks, &port);
    for (int i = 0; i < 16; i++) pthread_join(threads[i], NULL);
    mt_server_stop(s);
}

/* ---- refused before sending ---- */

static void malformed_requests_are_refused(void **state) {
    (void)state;
    static const char *const urls[] = {
        "ftp://x/",    "file:///etc/passwd",   "x",         "http://", "http://u:p@x/",
        "http://x/ y", "http://x/\r\nHost: y", "gopher://x"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct mt_http_request req = {.method = mt_strdup("GET"), .url = mt_strdup(urls[i])};
        expect_failure(send_it(req), MT_NOT_SENT, MT_INVALID_REQUEST);
    }
    FAKE(f, ANSWER);
    static const char *const headers[][2] = {
        {"X-A", "b\r\nX-C: d"},          {"X A", "b"}, {"", "b"}, {"X-A:", "b"}, {"Content-Length", "5"},
        {"Transfer-Encoding", "chunked"}};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct mt_http_request req = make("GET", f.port, "/", NULL);
        mt_headers_add(&req.headers, headers[i][0], headers[i][1]);
        expect_failure(send_it(req), MT_NOT_SENT, MT_INVALID_REQUEST);
    }
    struct mt_http_request req = make("GET /\r\nX", f.port, "/", NULL);
    expect_failure(send_it(req), MT_NOT_SENT, MT_INVALID_REQUEST);
    assert_int_equal(atomic_load(&f.connections), 0);
    fake_stop(&f);
}

static void public_only_reaches_no_private_address(void **state) {
    (void)state;
    FAKE(f, ANSWER);
    static const char *const hosts[] = {"127.0.0.1",          "localhost",  "0.0.0.0", "[::1]",
                                        "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"};
    expect_ok("GET", f.port, NULL); /* a connection lies ready, and must not be used */
    int before = atomic_load(&f.requests);
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        char url[128];
        snprintf(url, sizeof(url), "http://%s:%d/", hosts[i], f.port);
        struct mt_http_request req = {
            .method = mt_strdup("POST"), .url = mt_strdup(url), .public_only = true};
        expect_failure(send_it(req), MT_NOT_SENT, MT_PERMISSION);
        assert_non_null(strstr(err.message, "public internet"));
    }
    assert_int_equal(atomic_load(&f.requests), before);
    expect_ok("GET", f.port, NULL);
    fake_stop(&f);
}

static void errors_tell_no_secrets(void **state) {
    (void)state;
    FAKE(f, CLOSE);
    struct mt_http_request req = make("POST", f.port, "/hook?token=s3cret", "card=4242424242424242");
    mt_headers_add(&req.headers, "Authorization", "Bearer s3cret");
    assert_int_equal(send_it(req), -1);
    assert_null(strstr(err.message, "s3cret"));
    assert_null(strstr(err.message, "4242"));
    fake_stop(&f);
}

#define T(f) cmocka_unit_test_setup(f, fresh)

int main(void) {
    mt_log_setup(MT_LOG_OFF, MT_LOG_TEXT);
    const struct CMUnitTest tests[] = {
        T(an_answer_comes_back_whole),
        T(methods_do_not_stick_to_the_handle),
        T(redirects_are_answers),
        T(interim_heads_and_trailers_are_not_the_answers_headers),
        T(nobody_listening_means_not_sent),
        T(a_connection_that_cannot_be_made_in_time_means_not_sent),
        T(what_goes_wrong_after_sending_is_unknown),
        T(an_answer_too_large_is_unknown),
        T(a_body_can_be_had_as_it_comes),
        T(who_takes_a_body_can_end_it),
        T(a_request_on_a_reused_connection_is_never_sent_twice),
        T(a_closed_idle_connection_is_replaced_unseen),
        T(our_servers_faults_are_unknown_and_processed_once),
        T(many_requests_go_out_at_once),
        T(threads_share_a_transport),
        T(malformed_requests_are_refused),
        T(public_only_reaches_no_private_address),
        T(errors_tell_no_secrets),
    };
    return cmocka_run_group_tests(tests, group_up, group_down);
}
