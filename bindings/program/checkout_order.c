/* What a customer orders on a run's checkout page: checks that no other site sent it, has the flows' own
 * route take it, and leads forms back to the page. Invariant: nothing of what was sent is kept or logged
 * here. */
#include "checkout_order.h"
#include "api.h"
#include "base/json.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ORDER_MAX = 16 * 1024, LOCATION_MAX = 4096 };

/* What is no browser says neither, and has nothing that could be stolen from it: the token is all there is
 * to know. */
static bool from_our_page(const struct mt_request *req) {
    const char *site = mt_headers_get(&req->headers, "Sec-Fetch-Site");
    const char *origin = mt_headers_get(&req->headers, "Origin");
    const char *host = mt_headers_get(&req->headers, "Host");
    if (site) return strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
    if (!origin) return true;
    const char *named = strstr(origin, "://");
    return named && host && strcasecmp(named + 3, host) == 0;
}

static bool is_form(const struct mt_request *req) {
    const char *type = mt_headers_get(&req->headers, "Content-Type");
    return !type || !strstr(type, "json");
}

static bool plain(const char *s) {
    return s && s[0] && s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_")] == '\0';
}

/* Back to the page as it was asked for: in its language, and knowing what was sent. */
static void lead_back(const struct mt_request *req, struct mt_response *resp) {
    char location[LOCATION_MAX];
    if (mt_format(location, sizeof location, "%s%s%s", req->raw_path, *req->query ? "?" : "", req->query))
        mt_headers_set(&resp->headers, "Location", location);
}

/* The route has refused it with problem+json: back to the page, to the field that is to be mended. */
static void lead_back_to_field(const struct mt_request *req, struct mt_response *resp) {
    struct mt_error e;
    char location[LOCATION_MAX];
    char *locale = mt_form_get(req->query, strlen(req->query), "locale");
    json_t *problem = mt_json_parse(resp->body.data, resp->body.len, &e);
    const char *field = resp->status == 422 ? mt_json_str(problem, "field", NULL) : NULL;
    const char *first = plain(locale) ? "?locale=" : "", *second = plain(locale) ? "&field=" : "?field=";
    if (mt_format(location, sizeof location, "%s%s%s%s%s", req->raw_path, first, *first ? locale : "",
                  plain(field) ? second : "", plain(field) ? field : "")) {
        mt_buf_reset(&resp->body);
        mt_headers_clear(&resp->headers);
        mt_headers_set(&resp->headers, "Location", location);
        resp->status = 303;
    }
    json_decref(problem);
    free(locale);
}

void mt_checkout_order(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp) {
    if (!from_our_page(req))
        mt_respond_problem(resp, 403, "permission", "this was not sent by the checkout page");
    else if (req->body_len > ORDER_MAX)
        mt_respond_problem(resp, 413, "limit", "an order has %d bytes at most", ORDER_MAX);
    else if (!mt_scripts_try(rt->scripts, req, resp))
        mt_respond_problem(resp, 404, "not_found", "no flow here takes orders from its page");
    else if (is_form(req) && resp->status == 303)
        lead_back(req, resp);
    else if (is_form(req) && (resp->status == 409 || resp->status == 422))
        lead_back_to_field(req, resp);
}
