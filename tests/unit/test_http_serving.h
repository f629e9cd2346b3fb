/* A server with handlers of all kinds, for the tests of core/http's server: started before each test and
 * stopped after it. Included by those tests, one thread beside the server's own. */
#pragma once
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

__attribute__((unused)) static void gate_wait_for(int n) {
    pthread_mutex_lock(&gate.lock);
    while (gate.waiting < n) pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

__attribute__((unused)) static void gate_set(bool open) {
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

__attribute__((unused)) static void expect(const char *request, int status, const char *part) {
    struct raw_reply r = raw_asks(port, request);
    if (r.status != status || (part != NULL && strstr(r.body, part) == NULL))
        fail_msg("wanted %d with \"%s\" for <<%s>>, got %d: %s", status, part == NULL ? "" : part, request,
                 r.status, r.body);
    raw_reply_clear(&r);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
