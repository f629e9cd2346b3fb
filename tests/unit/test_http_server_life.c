/* links: mt_http */
/* The server's answers and its life: large ones, faults, streams, events, draining, hosts, counts. */
#include "test_http_serving.h"

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

int main(void) {
    mt_log_setup(MT_LOG_OFF, MT_LOG_TEXT);
    const struct CMUnitTest tests[] = {
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
