/* A provider call from parameters to answer without the network: a transport that keeps the last request and
 * answers with what the test put there. Included by the tests of providers, one thread. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/text.h"
#include "providers/provider.h"
#include <stdlib.h>
#include <string.h>

struct fake_transport {
    struct mt_transport base;
    int status;
    const char *type, *body;
    const char *header, *header_value; /* one more, or NULL */
    struct mt_http_request last;       /* as it was sent, credentials included */
    int calls;
};

static int fake_perform(struct mt_transport *self, const struct mt_http_request *req,
                        struct mt_http_response *resp, struct mt_error *e) {
    struct fake_transport *f = (struct fake_transport *)self;
    (void)e;
    mt_http_request_clear(&f->last);
    f->last = (struct mt_http_request){.method = mt_strdup(req->method),
                                       .url = mt_strdup(req->url),
                                       .body = mt_memdup(req->body, req->body_len),
                                       .body_len = req->body_len,
                                       .timeout_ms = req->timeout_ms};
    for (size_t i = 0; i < req->headers.count; i++)
        mt_headers_add(&f->last.headers, req->headers.items[i].name, req->headers.items[i].value);
    f->calls++;
    mt_http_response_init(resp);
    resp->status = f->status;
    if (f->type != NULL) mt_headers_add(&resp->headers, "Content-Type", f->type);
    if (f->header != NULL) mt_headers_add(&resp->headers, f->header, f->header_value);
    mt_buf_adds(&resp->body, f->body);
    return 0;
}

struct world {
    struct mt_clock *clock;
    struct mt_providers *providers;
    struct fake_transport net;
    struct mt_error e;
};

static struct world world_with(const char *config, const char *sandbox) {
    struct world w = {.clock = mt_clock_fixed(INT64_C(1795166400000))}; /* 2026-11-20T09:20:00Z */
    json_t *section = config != NULL ? mt_json_parse(config, strlen(config), &w.e) : NULL;
    assert_true(config == NULL || section != NULL);
    w.providers = mt_providers_new(section, sandbox, w.clock, &w.e);
    json_decref(section);
    w.net.base.perform = fake_perform;
    w.net.type = "application/json";
    w.net.status = 200;
    return w;
}

static void world_end(struct world *w) {
    mt_http_request_clear(&w->net.last);
    mt_providers_free(w->providers);
    w->clock->free(w->clock);
}

static json_t *from_text(const char *text) {
    struct mt_error e;
    json_t *v = mt_json_parse(text, strlen(text), &e);
    if (v == NULL) fail_msg("test JSON: %s", e.message);
    return v;
}

__attribute__((unused)) static void assert_json(const json_t *v, const char *expected) {
    assert_non_null(v);
    char *got = mt_json_dump(v, NULL);
    json_t *e = from_text(expected);
    char *want = mt_json_dump(e, NULL);
    assert_string_equal(got, want);
    free(got);
    free(want);
    json_decref(e);
}

/* Checks, builds, authorises, "sends" and reads. The value, or NULL with w->e. */
static json_t *call_json(struct world *w, const char *name, const json_t *params, const char *key) {
    const struct mt_account *account;
    struct mt_http_request req = {0};
    struct mt_http_response resp;
    json_t *value = NULL;
    memset(&w->e, 0, sizeof(w->e));
    const struct mt_operation *op = mt_operation_find(w->providers, name, &account, &w->e);
    if (op == NULL || mt_operation_check(op, name, params, &w->e) != 0) return NULL;
    assert_non_null(account);
    json_t *whole =
        op->identify != NULL ? op->identify(op, params, key) : json_incref((json_t *)(uintptr_t)params);
    if (op->build(op, account, whole, key, &req, &w->e) == 0 &&
        account->provider->authorize(account, op, &req, &w->e) == 0) {
        assert_int_equal(w->net.base.perform(&w->net.base, &req, &resp, &w->e), 0);
        int r = op->read(op, whole, &resp, &value, &w->e);
        assert_int_equal(r, value != NULL ? 0 : -1);
        mt_http_response_clear(&resp);
    }
    mt_http_request_clear(&req);
    json_decref(whole);
    return value;
}

__attribute__((unused)) static json_t *call(struct world *w, const char *name, const char *params,
                                            const char *key) {
    json_t *p = from_text(params);
    json_t *value = call_json(w, name, p, key);
    json_decref(p);
    return value;
}

/* The call is refused before anything is sent, with this message. */
__attribute__((unused)) static void assert_refused(struct world *w, const char *name, const char *params,
                                                   const char *message) {
    int before = w->net.calls;
    json_t *value = call(w, name, params, "key");
    assert_null(value);
    assert_int_equal(w->net.calls, before);
    assert_int_equal(w->e.kind, MT_INVALID_REQUEST);
    assert_string_equal(w->e.message, message);
}

/* The operation's row, by its full name. */
__attribute__((unused)) static const struct mt_operation *row_of(const char *name) {
    const struct mt_account *account;
    struct mt_error e;
    const struct mt_operation *op = mt_operation_find(NULL, name, &account, &e);
    if (op == NULL) fail_msg("%s", e.message);
    return op;
}
