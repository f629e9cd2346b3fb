/* The way of a request to its handler, and what handlers share. See api.h. */
#include "api.h"
#include "base/json.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { VALUE_MAX = 64 * 1024 * 1024 }; /* of one answer */

/* ---- dispatch ---- */

struct mt_bound_route {
    struct mt_runtime *rt;
    const struct mt_route *route;
};

bool mt_runtime_authorised(void *ctx, const struct mt_request *req) {
    const struct mt_runtime *rt = ctx;
    const char *value = mt_headers_get(&req->headers, "Authorization");
    if (!value || strncasecmp(value, "Bearer ", 7) != 0) return false;
    value += 7;
    while (*value == ' ') value++;
    return rt->token[0] && mt_equal_str(value, rt->token);
}

static void refuse_unauthorised(struct mt_response *resp) {
    mt_respond_problem(
        resp, 401, "authentication",
        "this needs the admin token: Authorization: Bearer TOKEN (it is in the file admin-token of the "
        "runtime's data folder)");
    mt_headers_set(&resp->headers, "WWW-Authenticate", "Bearer");
}

static void refuse_starting(struct mt_response *resp) {
    mt_respond_problem(resp, 503, "unavailable", "Mintage is starting");
    mt_headers_set(&resp->headers, "Retry-After", "1");
}

static void carry_out(struct mt_runtime *rt, const struct mt_route *route, const struct mt_request *req,
                      struct mt_response *resp) {
    struct mt_api_deed deed;
    if (!mt_api_deed_begin(rt, req, route->pattern, &deed, resp)) return;
    route->handle(rt, req, resp);
    mt_api_deed_end(rt, &deed, resp);
}

static void dispatch(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    const struct mt_bound_route *bound = ctx;
    struct mt_runtime *rt = bound->rt;
    if (bound->route->access == MT_ADMIN && !mt_runtime_authorised(rt, req))
        refuse_unauthorised(resp);
    else if (bound->route->access != MT_ALWAYS && !atomic_load(&rt->ready))
        refuse_starting(resp);
    else
        carry_out(rt, bound->route, req, resp);
}

int mt_api_bind(struct mt_runtime *rt, struct mt_router *router, struct mt_error *e) {
    size_t count = 0;
    for (const struct mt_route *const *table = rt->o.routes; *table; table++) {
        for (const struct mt_route *row = *table; row->pattern; row++) count++;
    }
    struct mt_bound_route *bound = rt->bound = mt_calloc(count + 1, sizeof *bound);
    for (const struct mt_route *const *table = rt->o.routes; *table; table++) {
        for (const struct mt_route *row = *table; row->pattern; row++, bound++) {
            *bound = (struct mt_bound_route){rt, row};
            if (mt_router_add(router, row->method, row->pattern, dispatch, bound, e) != 0) return -1;
        }
    }
    return 0;
}

void mt_api_scripts(void *ctx, const struct mt_request *req, struct mt_response *resp) {
    struct mt_runtime *rt = ctx;
    if (!atomic_load(&rt->ready))
        refuse_starting(resp);
    else
        mt_scripts_serve(rt->scripts, req, resp);
}

/* ---- query parameters ---- */

static char *query(const struct mt_request *req, const char *name) {
    return mt_form_get(req->query, strlen(req->query), name);
}

static bool refuse_parameter(struct mt_response *resp, const char *name, const char *found,
                             const char *wanted) {
    mt_respond_problem(resp, 422, "invalid_request", "parameter %s: found '%.60s', wanted %s", name, found,
                       wanted);
    return false;
}

bool mt_api_int(const struct mt_request *req, struct mt_response *resp, const char *name, int64_t fallback,
                int64_t min, int64_t max, int64_t *out) {
    char *text = query(req, name), wanted[96];
    bool ok = true;
    *out = fallback;
    if (text && !mt_parse_int(text, min, max, out)) {
        mt_format(wanted, sizeof wanted, "an integer from %lld to %lld", (long long)min, (long long)max);
        ok = refuse_parameter(resp, name, text, wanted);
    }
    free(text);
    return ok;
}

bool mt_api_duration(const struct mt_request *req, struct mt_response *resp, const char *name,
                     int64_t fallback, int64_t max_ms, int64_t *out) {
    char *text = query(req, name), limit[48], wanted[96];
    bool ok = true;
    *out = fallback;
    if (text && (!mt_parse_duration(text, out) || *out > max_ms)) {
        mt_format_duration(max_ms, limit, sizeof limit);
        mt_format(wanted, sizeof wanted, "a duration such as 30s, at most %s", limit);
        ok = refuse_parameter(resp, name, text, wanted);
    }
    free(text);
    return ok;
}

bool mt_api_text(const struct mt_request *req, struct mt_response *resp, const char *name, size_t max,
                 char **out) {
    char wanted[64];
    *out = query(req, name);
    if (!*out || (strlen(*out) < max && **out)) return true;
    mt_format(wanted, sizeof wanted, "1 to %zu bytes", max - 1);
    refuse_parameter(resp, name, *out, wanted);
    free(*out);
    *out = NULL;
    return false;
}

bool mt_api_flag(const struct mt_request *req, struct mt_response *resp, const char *name, bool *out) {
    char *text = query(req, name);
    bool ok = true;
    *out = text && strcmp(text, "true") == 0;
    if (text && !*out && strcmp(text, "false") != 0) ok = refuse_parameter(resp, name, text, "true or false");
    free(text);
    return ok;
}

/* ---- bodies and answers ---- */

json_t *mt_api_body(const struct mt_request *req, struct mt_response *resp) {
    struct mt_error e;
    if (req->body_len == 0) return json_object();
    json_t *body = mt_json_parse(req->body, req->body_len, &e);
    if (!body) {
        mt_respond_problem(resp, 400, "invalid_request", "the body is not valid JSON: %s", e.message);
        return NULL;
    }
    if (!json_is_object(body)) {
        mt_respond_problem(resp, 422, "invalid_request", "the body must be a JSON object");
        json_decref(body);
        return NULL;
    }
    return body;
}

bool mt_api_known(const json_t *obj, const char *const *names, struct mt_response *resp) {
    size_t n = 0;
    const char *key;
    json_t *value;
    while (names[n]) n++;
    json_object_foreach((json_t *)obj, key, value) {
        size_t i = 0;
        while (i < n && strcmp(names[i], key) != 0) i++;
        if (i < n) continue;
        const char *near = mt_nearest(key, names, n);
        mt_respond_problem(resp, 422, "invalid_request", "%.60s: there is no such field%s%s%s", key,
                           near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
        return false;
    }
    return true;
}

void mt_api_fail(struct mt_response *resp, const struct mt_error *e) {
    mt_respond_error(resp, mt_status_for(e), e);
    if (e->kind == MT_UNAVAILABLE || e->kind == MT_FULL) mt_headers_set(&resp->headers, "Retry-After", "1");
}

void mt_api_answer(struct mt_response *resp, int status, struct mt_buf *b) {
    if (mt_buf_ok(b))
        mt_respond_json(resp, status, b->data, b->len);
    else
        mt_respond_problem(resp, 500, "limit", "the answer is too large; ask for less with limit");
    mt_buf_clear(b);
}

void mt_api_answer_value(struct mt_response *resp, json_t *value) {
    size_t len;
    char *text = mt_json_dump(value, &len);
    if (len <= VALUE_MAX)
        mt_respond_json(resp, 200, text, len);
    else
        mt_respond_problem(resp, 500, "limit", "the answer is too large; ask for less with limit");
    free(text);
    json_decref(value);
}
