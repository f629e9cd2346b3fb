/* The sandbox's control routes that need more than a script may do: its clock, its whole state, its
 * deliveries. The others (requests, ledger, faults, endpoints, pay, balance) are routes of flows/sandbox. */
#include "api.h"
#include "base/json.h"
#include "base/log.h"
#include "base/sync.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

enum { LIST_DEFAULT = 1000, LIST_MAX = 10000, ANSWER_MAX = 64 * 1024 * 1024 };
#define ADVANCE_MAX_MS (10LL * 366 * 24 * 60 * 60 * 1000)

/* ---- clock ---- */

static void answer_now(struct mt_runtime *rt, struct mt_response *resp) {
    char now[25], json[96];
    int64_t ms = rt->clock->wall_ms(rt->clock);
    mt_time_format(ms, now);
    mt_format(json, sizeof json, "{\"now\":\"%s\",\"unix\":%lld}", now, (long long)(ms / 1000));
    mt_respond_json(resp, 200, json, strlen(json));
}

static void clock_read(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    (void)req;
    answer_now(rt, resp);
}

/* Answers when all that fell due on the way is done, so that a test can look at once. */
static void clock_advance(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    static const char *const known[] = {"advance", NULL};
    int64_t by_ms = 0;
    struct mt_error e;
    json_t *body = mt_api_body(req, resp);
    if (!body || !mt_api_known(body, known, resp)) goto out;
    const json_t *advance = json_object_get(body, "advance");
    bool valid = json_is_string(advance)    ? mt_parse_duration(json_string_value(advance), &by_ms)
                 : json_is_integer(advance) ? (by_ms = json_integer_value(advance) * 1000) >= 0 &&
                                                  json_integer_value(advance) <= ADVANCE_MAX_MS / 1000
                                            : false;
    if (!valid || by_ms > ADVANCE_MAX_MS) {
        mt_respond_problem(resp, 422, "invalid_request",
                           "advance: wanted a duration such as \"30d\" or \"1h30m\", at most 10 years; time "
                           "only goes forward");
        goto out;
    }
    mt_lock(&rt->advance_lock);
    int result = mt_engine_advance(rt->engine, rt->clock->wall_ms(rt->clock) + by_ms, &e);
    mt_unlock(&rt->advance_lock);
    if (result != 0)
        mt_api_fail(resp, &e);
    else
        answer_now(rt, resp);
out:
    json_decref(body);
}

/* ---- state ---- */

/* Asks a route of the scripts from inside. The response is the caller's to clear. */
static void ask_script(struct mt_runtime *rt, const char *method, const char *path, const char *body,
                       struct mt_response *resp) {
    struct mt_request *req = mt_calloc(1, sizeof *req);
    req->method = method;
    req->path = req->raw_path = path;
    req->query = "";
    req->body = body;
    req->body_len = strlen(body);
    mt_copy(req->remote, sizeof req->remote, "127.0.0.1");
    mt_response_init(resp);
    if (!mt_scripts_try(rt->scripts, req, resp)) resp->status = 404;
    mt_headers_clear(&req->headers);
    free(req);
}

/* The scripts' own: the router would answer 405 for a path of which it knows another method only. */
static void state_read(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    mt_scripts_serve(rt->scripts, req, resp);
}

/* Where webhooks go is how the sandbox is set up, not something that happened in it: it stays. */
static void state_delete(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    (void)req;
    struct mt_response endpoints, put;
    struct mt_error e;
    ask_script(rt, "GET", "/_sandbox/endpoints", "", &endpoints);
    if (mt_engine_wipe(rt->engine, &e) != 0) {
        mt_api_fail(resp, &e);
    } else {
        resp->status = 204;
        if (endpoints.status == 200) {
            ask_script(rt, "PUT", "/_sandbox/endpoints", endpoints.body.data, &put);
            if (put.status >= 300) mt_warn("the webhook endpoints are lost; set them again");
            mt_response_clear(&put);
        }
    }
    mt_response_clear(&endpoints);
}

/* ---- webhooks ---- */

static bool matches(const struct mt_delivery *d, const char *event, const char *state) {
    return (!event || strcmp(d->event, event) == 0) && (!state || strcmp(d->state, state) == 0);
}

static void webhooks(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    char *provider = NULL, *event = NULL, *state = NULL;
    struct mt_delivery *found = NULL;
    size_t count = 0;
    int64_t limit;
    struct mt_error e;
    if (!mt_api_int(req, resp, "limit", LIST_DEFAULT, 1, LIST_MAX, &limit) ||
        !mt_api_text(req, resp, "provider", MT_NAME_MAX, &provider) ||
        !mt_api_text(req, resp, "event", 96, &event) || !mt_api_text(req, resp, "state", 16, &state))
        goto out;
    if (rt->store->list_deliveries(rt->store, provider, MT_NEVER, LIST_MAX, &found, &count, &e) != 0) {
        mt_api_fail(resp, &e);
        goto out;
    }
    struct mt_buf b;
    mt_buf_init(&b, ANSWER_MAX);
    mt_buf_adds(&b, "{\"data\":[");
    int64_t shown = 0;
    for (size_t i = 0; i < count && shown < limit; i++) {
        if (!matches(&found[i], event, state)) continue;
        if (shown++) mt_buf_addc(&b, ',');
        mt_delivery_to_json(&found[i], &b);
    }
    mt_buf_adds(&b, "],\"next_cursor\":null}");
    mt_api_answer(resp, 200, &b);
out:
    for (size_t i = 0; i < count; i++) mt_delivery_clear(&found[i]);
    free(found);
    free(provider);
    free(event);
    free(state);
}

static void redeliver(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    const char *id = mt_request_param(req, "id");
    struct mt_delivery d = {0};
    struct mt_buf b;
    struct mt_error e;
    if (mt_engine_redeliver(rt->engine, id, &e) != 0 || rt->store->get_delivery(rt->store, id, &d, &e) != 0) {
        mt_api_fail(resp, &e);
        return;
    }
    mt_buf_init(&b, ANSWER_MAX);
    mt_delivery_to_json(&d, &b);
    mt_delivery_clear(&d);
    mt_api_answer(resp, 200, &b);
}

const struct mt_route mt_api_sandbox_routes[] = {
    {"GET", "/_sandbox/clock", MT_PUBLIC, clock_read},
    {"POST", "/_sandbox/clock", MT_PUBLIC, clock_advance},
    {"DELETE", "/_sandbox/state", MT_PUBLIC, state_delete},
    {"GET", "/_sandbox/state", MT_PUBLIC, state_read},
    {"GET", "/_sandbox/webhooks", MT_PUBLIC, webhooks},
    {"POST", "/_sandbox/webhooks/{id}/redeliver", MT_PUBLIC, redeliver},
    {NULL, NULL, MT_PUBLIC, NULL},
};
