/* What the runtime knows besides runs and events: flows, schedules, generations, providers; and the stream of
 * all that changes. */
#include "api.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/webhook.h"
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 64 * 1024 * 1024 };

/* ---- flows and generations ---- */

/* {"data":[flows],"next_cursor":null,"handlers":[routes and tasks],...}; providers have a list of their own.
 */
static void flows(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    (void)req;
    struct mt_error e;
    struct mt_generation *g = mt_scripts_current(rt->scripts);
    json_t *entries =
        g ? mt_json_parse(mt_generation_registry(g), strlen(mt_generation_registry(g)), &e) : json_array();
    json_t *data = json_array(), *handlers = json_array(), *entry;
    size_t i;
    json_array_foreach(entries, i, entry) {
        const char *kind = mt_json_str(entry, "kind", "");
        if (strcmp(kind, "provider") != 0)
            json_array_append(strcmp(kind, "flow") == 0 ? data : handlers, entry);
    }
    json_t *root = json_object();
    json_object_set_new(root, "data", data);
    json_object_set_new(root, "next_cursor", json_null());
    json_object_set_new(root, "handlers", handlers);
    json_object_set_new(root, "generation", g ? json_string(mt_generation_id(g)) : json_null());
    json_object_set_new(root, "from", json_string(mt_generations_origin(rt->generations)));
    json_decref(entries);
    if (g) mt_generation_release(g);
    mt_api_answer_value(resp, root);
}

static json_t *problem_json(struct mt_runtime *rt) {
    struct mt_flow_problem p;
    char at[25];
    if (!mt_generations_problem(rt->generations, &p)) return json_null();
    mt_time_format(p.at, at);
    return json_pack("{s:o, s:o, s:s, s:s}", "file", *p.file ? json_string(p.file) : json_null(), "line",
                     p.line ? json_integer(p.line) : json_null(), "message", p.message, "at", at);
}

static json_t *state_json(struct mt_runtime *rt) {
    struct mt_generation *g = mt_scripts_current(rt->scripts);
    json_t *root = json_object();
    json_object_set_new(root, "current", g ? json_string(mt_generation_id(g)) : json_null());
    json_object_set_new(root, "problem", problem_json(rt));
    if (g) mt_generation_release(g);
    return root;
}

void mt_api_generation_json(struct mt_runtime *rt, struct mt_buf *out) {
    size_t len;
    json_t *root = state_json(rt);
    char *text = mt_json_dump(root, &len);
    mt_buf_add(out, text, len);
    free(text);
    json_decref(root);
}

static void generations(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    (void)req;
    struct mt_error e;
    char *text = NULL;
    if (rt->store->list_generations(rt->store, &text, &e) != 0) {
        mt_api_fail(resp, &e);
        return;
    }
    json_t *root = state_json(rt), *data = mt_json_parse(text, strlen(text), &e), *row;
    const char *current = mt_json_str(root, "current", "");
    size_t i;
    json_array_foreach(data, i, row)
        json_object_set_new(row, "current", json_boolean(strcmp(mt_json_str(row, "id", ""), current) == 0));
    json_object_set_new(root, "data", data ? data : json_array());
    json_object_set_new(root, "next_cursor", json_null());
    free(text);
    mt_api_answer_value(resp, root);
}

/* ---- providers ---- */

static void providers(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    (void)req;
    char *text = mt_providers_json(rt->providers);
    struct mt_buf b;
    mt_buf_init(&b, ANSWER_MAX);
    mt_buf_addf(&b, "{\"data\":%s,\"next_cursor\":null}", text);
    free(text);
    mt_api_answer(resp, 200, &b);
}

static void stream(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    (void)req;
    mt_sse_respond(rt->sse, atomic_load(&rt->server), resp);
}

static void schedules(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    (void)req;
    struct mt_buf b;
    mt_buf_init(&b, ANSWER_MAX);
    mt_engine_schedules(rt->engine, &b);
    mt_api_answer(resp, 200, &b);
}

/* {"endpoint","version","secret"}: what a merchant checks the signatures of our webhooks with. */
static void webhook_secret(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    const struct mt_account *account = mt_providers_account(rt->providers, "webhooks");
    const char *endpoint = mt_request_param(req, "endpoint");
    char secret[MT_WEBHOOK_SECRET_SIZE];
    int64_t version;
    if (!mt_api_int(req, resp, "version", 1, 1, 1000000, &version)) return;
    mt_webhook_secret(mt_account_credential(account, "signing_key"), endpoint, version, secret);
    mt_api_answer_value(resp, json_pack("{s:s, s:I, s:s}", "endpoint", endpoint, "version",
                                        (json_int_t)version, "secret", secret));
    mt_headers_set(&resp->headers, "Cache-Control", "no-store");
    mt_wipe(secret, sizeof secret);
}

const struct mt_route mt_api_list_routes[] = {
    {"GET", "/v1/flows", MT_ADMIN, flows},
    {"GET", "/v1/schedules", MT_ADMIN, schedules},
    {"GET", "/v1/generations", MT_ADMIN, generations},
    {"GET", "/v1/providers", MT_ADMIN, providers},
    {"GET", "/v1/webhook-secrets/{endpoint}", MT_ADMIN, webhook_secret},
    {"GET", "/v1/stream", MT_ADMIN, stream},
    {NULL, NULL, MT_ADMIN, NULL},
};
