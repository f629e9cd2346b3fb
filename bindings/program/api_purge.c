/* Retention over HTTP: making tombstones of runs that have ended, and erasing one. See engine/retention.h. */
#include "api.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/retention.h"
#include <string.h>

enum { LIMIT_DEFAULT = 1000, LIMIT_MAX = 10000 };

/* "90d": so long ago; "2026-01-31" or an instant. False: it is none of these. */
static bool read_before(const char *text, int64_t now, int64_t *out) {
    char instant[64];
    if (mt_parse_duration(text, out)) {
        *out = now - *out;
        return true;
    }
    if (strlen(text) == 10 && mt_format(instant, sizeof instant, "%sT00:00:00Z", text) &&
        mt_time_parse(instant, out))
        return true;
    return mt_time_parse(text, out);
}

static bool read_request(struct mt_runtime *rt, const json_t *body, struct mt_response *resp,
                         struct mt_purge_ask *ask) {
    static const char *const known[] = {"before", "flow", "dry_run", "limit", NULL};
    const json_t *before = json_object_get(body, "before"), *flow = json_object_get(body, "flow"),
                 *dry = json_object_get(body, "dry_run"), *limit = json_object_get(body, "limit");
    int64_t now = rt->clock->wall_ms(rt->clock), retain = mt_config_int(rt->o.config, "retain");
    if (!mt_api_known(body, known, resp)) return false;
    *ask = (struct mt_purge_ask){.dry = json_is_true(dry), .limit = LIMIT_DEFAULT};
    if (!before && retain == INT64_MAX) {
        mt_respond_problem(resp, 422, "invalid_request",
                           "before: wanted, since ended runs are kept for ever here: \"90d\" or a date");
        return false;
    }
    ask->before = now - retain;
    if (before && (!json_is_string(before) || !read_before(json_string_value(before), now, &ask->before))) {
        mt_respond_problem(resp, 422, "invalid_request",
                           "before: found '%.40s', wanted how long ago (\"90d\") or a date (\"2026-01-31\")",
                           json_is_string(before) ? json_string_value(before) : "something else");
        return false;
    }
    ask->flow = json_string_value(flow);
    if (flow && !json_is_null(flow) && (!ask->flow || !*ask->flow || strlen(ask->flow) >= MT_NAME_MAX)) {
        mt_respond_problem(resp, 422, "invalid_request", "flow: wanted the name of a flow");
        return false;
    }
    if (dry && !json_is_boolean(dry)) {
        mt_respond_problem(resp, 422, "invalid_request", "dry_run: wanted true or false");
        return false;
    }
    if (limit &&
        (!json_is_integer(limit) || json_integer_value(limit) < 1 || json_integer_value(limit) > LIMIT_MAX)) {
        mt_respond_problem(resp, 422, "invalid_request", "limit: wanted an integer from 1 to %d", LIMIT_MAX);
        return false;
    }
    if (limit) ask->limit = (size_t)json_integer_value(limit);
    return true;
}

static void purge(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_purge_ask ask;
    struct mt_purged done;
    struct mt_error e;
    json_t *body = mt_api_body(req, resp);
    if (body && read_request(rt, body, resp, &ask)) {
        char before[25];
        struct mt_buf b;
        mt_time_format(ask.before, before);
        mt_buf_init(&b, 4096);
        if (mt_engine_purge(rt->engine, &ask, &done, &e) != 0) {
            mt_api_fail(resp, &e);
        } else {
            mt_buf_addf(&b, "{\"before\":\"%s\",\"dry_run\":%s,\"runs\":%lld,", before,
                        ask.dry ? "true" : "false", (long long)done.runs);
            if (ask.dry) mt_buf_addf(&b, "\"bytes\":%lld,", (long long)done.bytes);
            mt_buf_addf(&b, "\"more\":%s}", done.more ? "true" : "false");
            if (!ask.dry && done.runs)
                mt_info("runs were purged because somebody asked for it", "before", before, "flow",
                        ask.flow ? ask.flow : "(any)");
            mt_api_answer(resp, 200, &b);
        }
        mt_buf_clear(&b);
    }
    json_decref(body);
}

static void add_ids(struct mt_buf *b, const char *name, char (*ids)[MT_ID_SIZE], size_t count) {
    mt_buf_addf(b, "\"%s\":[", name);
    for (size_t i = 0; i < count; i++) mt_buf_addf(b, "%s\"%s\"", i ? "," : "", ids[i]);
    mt_buf_addc(b, ']');
}

static void erase(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_erased done;
    struct mt_error e;
    struct mt_buf b;
    const char *id = mt_request_param(req, "id");
    if (strlen(id) >= MT_ID_SIZE) {
        mt_respond_problem(resp, 404, "not_found", "there is no run '%.60s'", id);
        return;
    }
    if (mt_engine_erase(rt->engine, id, &done, &e) != 0) {
        mt_api_fail(resp, &e);
        return;
    }
    mt_info("a run was erased because somebody asked for it", "run", id);
    mt_buf_init(&b, 256 * 1024);
    mt_buf_addc(&b, '{');
    add_ids(&b, "erased", done.runs, done.count);
    mt_buf_addc(&b, ',');
    add_ids(&b, "left", done.left, done.left_count);
    mt_buf_addc(&b, '}');
    mt_erased_clear(&done);
    mt_api_answer(resp, 200, &b);
}

const struct mt_route mt_api_purge_routes[] = {
    {"POST", "/v1/runs/purge", MT_ADMIN, purge},
    {"POST", "/v1/runs/{id}/erase", MT_ADMIN, erase},
    {NULL, NULL, MT_ADMIN, NULL},
};
