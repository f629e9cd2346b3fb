/* The record of what people did: GET /v1/audit, and the deeds of operators that come over the API. Deeds that
 * only an operator does are always recorded; starts and signals, which a merchant's programs send all day and
 * which stand in the runs themselves, when the request names a person (X-Mintage-User). */
#include "api.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/audit.h"
#include <stdlib.h>
#include <string.h>

enum { LIST_DEFAULT = 100, LIST_MAX = 1000, DETAIL_MAX = 8 * 1024 };

static const struct deed_row {
    const char *pattern, *what, *param; /* the path's parameter that says of what; NULL: none */
    bool always, money;
} deeds[] = {
    {"/v1/runs/{id}/cancel", "cancel", "id", true, false},
    {"/v1/runs/{id}/retry", "retry", "id", true, true},
    {"/v1/runs/{id}/resolve", "resolve", "id", true, true},
    {"/v1/runs/migrate", "migrate", NULL, true, false},
    {"/v1/events/{n}/redeliver", "redeliver", "n", true, false},
    {"/v1/runs/{id}/signal", "signal", "id", false, false},
    {"/v1/flows/{flow}/runs", "start", "flow", false, true},
    {"/v1/runs/purge", "purge", NULL, true, false},
    {"/v1/runs/{id}/erase", "erase", "id", true, false},
};

static const struct deed_row *row_of(const struct mt_request *req, const char *pattern) {
    if (strcmp(req->method, "POST") != 0) return NULL;
    for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++)
        if (strcmp(deeds[i].pattern, pattern) == 0) return &deeds[i];
    return NULL;
}

/* Whether a path is of a pattern, in which a parameter is one part. */
static bool path_fits(const char *pattern, const char *path) {
    while (*pattern && *path && *path != '?') {
        if (*pattern == '{') {
            size_t n = strcspn(path, "/?");
            if (n == 0) return false;
            path += n;
            pattern += strcspn(pattern, "}") + 1;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return !*pattern && (!*path || *path == '?');
}

/* A migration, or a purge, that is only tried changes nothing. */
static bool only_tried(const struct deed_row *row, const char *body, size_t len) {
    struct mt_error e;
    if (row->param || len == 0) return false;
    json_t *object = mt_json_parse(body, len, &e);
    bool dry = mt_json_bool(object, "dry_run", false);
    json_decref(object);
    return dry;
}

const char *mt_api_deed_of(const char *method, const char *path, const char *body, size_t len, bool *money) {
    if (strcmp(method, "POST") != 0) return NULL;
    for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
        if (!path_fits(deeds[i].pattern, path) || only_tried(&deeds[i], body, len)) continue;
        *money = deeds[i].money;
        return deeds[i].what;
    }
    return NULL;
}

bool mt_api_deed_begin(struct mt_runtime *rt, const struct mt_request *req, const char *pattern,
                       struct mt_api_deed *d, struct mt_response *resp) {
    const struct deed_row *row = row_of(req, pattern);
    const char *user = mt_headers_get(&req->headers, "X-Mintage-User");
    char detail[DETAIL_MAX];
    struct mt_error e;
    *d = (struct mt_api_deed){.row = row && !rt->o.sandbox && !rt->o.parts && (row->always || user) ? row
                                                                                                    : NULL};
    if (d->row && only_tried(d->row, req->body, req->body_len)) d->row = NULL;
    if (!d->row) return true;
    mt_copy(d->who, sizeof d->who, user && *user ? user : "admin token");
    mt_format(d->via, sizeof d->via, "api %s", req->remote);
    mt_copy(detail, sizeof detail, req->body_len ? req->body : "");
    struct mt_deed deed = {
        .who = d->who, .via = d->via, .what = row->what, .detail = *detail ? detail : NULL};
    if (row->param) deed.object = mt_request_param(req, row->param);
    d->began_ms = rt->clock->wall_ms(rt->clock);
    if (mt_engine_audit_begin(rt->engine, &deed, d->began_ms, &d->n, &e) == 0) return true;
    mt_api_fail(resp, &e);
    return false;
}

void mt_api_deed_end(struct mt_runtime *rt, struct mt_api_deed *d, const struct mt_response *resp) {
    char text[400];
    if (!d->row) return;
    struct mt_deed deed = {.who = d->who, .via = d->via, .what = d->row->what};
    int64_t now = rt->clock->wall_ms(rt->clock);
    struct mt_error e;
    json_t *body = resp->status >= 400 ? mt_json_parse(resp->body.data, resp->body.len, &e) : NULL;
    const char *detail = mt_json_str(body, "detail", "");
    mt_format(text, sizeof text, "%d%s%s", resp->status, *detail ? ": " : "", detail);
    mt_engine_audit_end(rt->engine, &deed, d->n,
                        resp->status < 400   ? "done"
                        : resp->status < 500 ? "refused"
                                             : "failed",
                        text, now - d->began_ms, now);
    json_decref(body);
}

/* "2026-11-20T09:00:00Z", or how long ago: "1d". */
static bool read_since(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp,
                       int64_t *since) {
    char *text;
    int64_t ms;
    *since = 0;
    if (!mt_api_text(req, resp, "since", 64, &text)) return false;
    bool ok = true;
    if (text && mt_parse_duration(text, &ms))
        *since = rt->clock->wall_ms(rt->clock) - ms;
    else if (text && !mt_time_parse(text, since))
        ok = false;
    if (!ok)
        mt_respond_problem(
            resp, 422, "invalid_request",
            "parameter since: found '%.60s', wanted an instant such as 2026-11-20T09:00:00Z, or a "
            "duration such as 1d",
            text);
    free(text);
    return ok;
}

static void answer_rows(struct mt_response *resp, struct mt_audit *rows, size_t count, size_t limit) {
    json_t *data = json_array();
    char cursor[32];
    bool more = count > limit;
    for (size_t i = 0; i < (more ? limit : count); i++) json_array_append_new(data, mt_audit_json(&rows[i]));
    if (more) mt_format(cursor, sizeof cursor, "%lld", (long long)rows[limit - 1].n);
    mt_api_answer_value(resp, json_pack("{s:o, s:s?}", "data", data, "next_cursor", more ? cursor : NULL));
}

static void list(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    struct mt_audit *rows = NULL;
    size_t count = 0;
    struct mt_error e;
    int64_t limit, cursor, since;
    char *user = NULL;
    if (!mt_api_int(req, resp, "limit", LIST_DEFAULT, 1, LIST_MAX, &limit) ||
        !mt_api_int(req, resp, "cursor", 0, 1, INT64_MAX, &cursor) || !read_since(rt, req, resp, &since) ||
        !mt_api_text(req, resp, "user", MT_KEY_MAX, &user))
        return;
    if (rt->store->list_audit(rt->store, user, since, cursor, (size_t)limit + 1, &rows, &count, &e) == 0)
        answer_rows(resp, rows, count, (size_t)limit);
    else
        mt_api_fail(resp, &e);
    for (size_t i = 0; i < count; i++) mt_audit_clear(&rows[i]);
    free(rows);
    free(user);
}

const struct mt_route mt_api_audit_routes[] = {
    {"GET", "/v1/audit", MT_ADMIN, list},
    {NULL, NULL, MT_ADMIN, NULL},
};
