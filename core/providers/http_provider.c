/* Provider "http": plain HTTP requests of a script, under the same rules as any provider's operations. GET
 * and HEAD are reads, PUT and DELETE natural, POST and PATCH unsafe unless they carry an idempotency key.
 * Invariant: no redirect is followed, and a request never smuggles a header the client sets itself. build and
 * read are on the hot path. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "providers/private.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* An answer is journaled twice over, as text and parsed: so both fit in one value (MT_VALUE_MAX). */
enum {
    ANSWER_MAX = 480 * 1024,
    BODY_MAX = MT_VALUE_MAX,
    URL_MAX = 8192,
    HEADERS_MAX = 64,
    HEADER_VALUE_MAX = 8192
};

/* ---- checking ---- */

/* Headers that belong to the connection or have a field of their own. */
static const struct {
    const char *name, *why;
} reserved_headers[] = {
    {"host", "it follows from the url"},
    {"content-length", "it follows from the body"},
    {"transfer-encoding", "the client decides it"},
    {"connection", "the client keeps connections itself"},
    {"upgrade", "the client does not upgrade"},
    {"te", "the client decides it"},
    {"trailer", "the client sends none"},
    {"expect", "the client decides it"},
    {"idempotency-key", "the field idempotency_key sends it, and makes the call safe to repeat"},
};

static bool header_name_ok(const char *s) {
    size_t n = 0;
    for (; s[n] != '\0'; n++)
        if (!isalnum((unsigned char)s[n]) && strchr("!#$%&'*+-.^_`|~", s[n]) == NULL) return false;
    return n > 0 && n <= 128;
}

static bool header_value_ok(const char *s, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)s[i] < ' ' && s[i] != '\t') || s[i] == 0x7F) return false;
    return len <= HEADER_VALUE_MAX;
}

/* A member name as a script wrote it: values have one more "$" in front of names that begin with one. */
static const char *plain_name(const char *name) {
    return name[0] == '$' && name[1] == '$' ? name + 1 : name;
}

static int check_headers(const char *full_name, const json_t *headers, struct mt_error *e) {
    const char *key;
    json_t *v;
    if (json_object_size(headers) > HEADERS_MAX)
        return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"headers\" has %zu members, wanted at most %d",
                       full_name, json_object_size(headers), HEADERS_MAX);
    json_object_foreach((json_t *)(uintptr_t)headers, key, v) {
        const char *name = plain_name(key);
        if (!header_name_ok(name))
            return mt_fail(e, MT_INVALID_REQUEST,
                           "%s: field \"headers\" has \"%.60s\", which is no header name", full_name, name);
        for (size_t i = 0; i < sizeof(reserved_headers) / sizeof(reserved_headers[0]); i++)
            if (strcasecmp(reserved_headers[i].name, name) == 0)
                return mt_fail(e, MT_INVALID_REQUEST, "%s: the header \"%s\" cannot be set: %s", full_name,
                               name, reserved_headers[i].why);
        if (!json_is_string(v))
            return mt_fail(e, MT_INVALID_REQUEST, "%s: the header \"%s\" is %s, wanted a string", full_name,
                           name, value_type_name(v));
        if (!header_value_ok(json_string_value(v), json_string_length(v)))
            return mt_fail(e, MT_INVALID_REQUEST,
                           "%s: the header \"%s\" has control characters or is over %d bytes long", full_name,
                           name, HEADER_VALUE_MAX);
    }
    return 0;
}

static bool is_bytes(const json_t *v) {
    return json_is_object(v) && json_object_size(v) == 1 && json_is_string(json_object_get(v, "$bytes"));
}

static int check_http(const struct mt_operation *op, const char *full_name, const json_t *params,
                      struct mt_error *e) {
    const json_t *body = param(params, "body");
    const char *key = param_str(params, "idempotency_key");
    char host[256];
    (void)op;
    if (!url_host(param_str(params, "url"), host, sizeof(host)))
        return mt_fail(
            e, MT_INVALID_REQUEST,
            "%s: field \"url\" is no usable URL; wanted http:// or https:// with a host, percent-encoded, "
            "without a user name",
            full_name);
    if (check_headers(full_name, param(params, "headers"), e) != 0) return -1;
    if (body != NULL && json_object_get(params, "json") != NULL &&
        !json_is_null(json_object_get(params, "json")))
        return mt_fail(e, MT_INVALID_REQUEST, "%s: fields \"body\" and \"json\" exclude each other",
                       full_name);
    if (body != NULL && !json_is_string(body) && !is_bytes(body))
        return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"body\" is %s, wanted a string (or use \"json\")",
                       full_name, value_type_name(body));
    if (key != NULL && !header_value_ok(key, strlen(key)))
        return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"idempotency_key\" has control characters",
                       full_name);
    return 0;
}

static enum mt_repeat repeat_of(const struct mt_operation *op, const json_t *params) {
    (void)op;
    return param(params, "idempotency_key") != NULL ? MT_REPEAT_KEYED : MT_REPEAT_UNSAFE;
}

/* ---- building ---- */

static int take_bytes(const json_t *tagged, struct mt_http_request *req, struct mt_error *e) {
    const json_t *text = json_object_get(tagged, "$bytes");
    struct mt_buf b;
    mt_buf_init(&b, BODY_MAX);
    int r = 0;
    if (!mt_base64_decode(json_string_value(text), json_string_length(text), &b))
        r = mt_fail(e, MT_INVALID_REQUEST,
                    "field \"body\" holds bytes that are malformed or over %d bytes long", BODY_MAX);
    else
        r = body_finish(&b, req, e);
    mt_buf_clear(&b);
    return r;
}

static int take_body(const json_t *params, struct mt_http_request *req, const char **content_type,
                     struct mt_error *e) {
    const json_t *body = param(params, "body"), *json = param(params, "json");
    if (json != NULL) {
        json_t *plain = value_to_plain(json, e);
        if (plain == NULL) return mt_error_wrap(e, "field \"json\"");
        req->body = mt_json_dump(plain, &req->body_len);
        json_decref(plain);
        *content_type = "application/json";
    } else if (body != NULL) {
        *content_type = json_is_string(body) ? "text/plain; charset=utf-8" : "application/octet-stream";
        if (!json_is_string(body)) return take_bytes(body, req, e);
        req->body_len = json_string_length(body);
        req->body = mt_memdup(json_string_value(body), req->body_len);
    }
    return 0;
}

static int build(const struct mt_operation *op, const struct mt_account *account, const json_t *params,
                 const char *key, struct mt_http_request *req, struct mt_error *e) {
    const char *content_type = NULL, *own_key = param_str(params, "idempotency_key"), *name;
    json_t *v;
    (void)account,
        (void)key; /* the script's own key names the work; the runtime's would change with each attempt */
    req->method = mt_strdup(op->method);
    req->url = mt_strdup(param_str(params, "url"));
    req->timeout_ms = (int)mt_json_int(params, "timeout_ms", 0);
    req->max_response = ANSWER_MAX;
    if (take_body(params, req, &content_type, e) != 0) return -1;
    json_object_foreach((json_t *)(uintptr_t)param(params, "headers"), name, v) {
        if (content_type != NULL && strcasecmp(name, "content-type") == 0) content_type = NULL;
        mt_headers_add(&req->headers, plain_name(name), json_string_value(v));
    }
    if (content_type != NULL) mt_headers_add(&req->headers, "Content-Type", content_type);
    if (own_key != NULL) mt_headers_add(&req->headers, "Idempotency-Key", own_key);
    return 0;
}

static int no_credentials(const struct mt_account *account, const struct mt_operation *op,
                          struct mt_http_request *req, struct mt_error *e) {
    (void)account, (void)op, (void)req, (void)e;
    return 0;
}

/* ---- reading ---- */

/* {"content-type":"..."}: names in lower case, repeated ones joined as RFC 9110 says. */
static json_t *headers_value(const struct mt_headers *headers) {
    json_t *o = json_object();
    for (size_t i = 0; i < headers->count; i++) {
        const char *s = headers->items[i].name, *value = headers->items[i].value;
        char name[160];
        size_t n = 0;
        if (s[0] == '$') name[n++] = '$';
        while (*s != '\0' && n < sizeof(name) - 1) name[n++] = (char)tolower((unsigned char)*s++);
        name[n] = '\0';
        const char *before = json_string_value(json_object_get(o, name));
        if (before == NULL) {
            json_object_set_new(o, name, value_from_bytes(value, strlen(value)));
            continue;
        }
        struct mt_buf joined;
        mt_buf_init(&joined, SIZE_MAX);
        mt_buf_addf(&joined, "%s, %s", before, value);
        json_object_set_new(o, name, value_from_bytes(joined.data, joined.len));
        mt_buf_clear(&joined);
    }
    return o;
}

/* What an error answer says for itself, short: a member of its JSON, or plain text. */
static void said_by(const struct mt_http_response *resp, const char *host, char *out, size_t size) {
    static const char *const members[] = {"message", "detail", "error_description", "error", "title"};
    const char *text = NULL;
    json_t *body = answer_is_json_type(resp) ? answer_json(resp) : NULL;
    if (body != NULL) {
        const json_t *inner = json_object_get(body, "error");
        for (size_t i = 0; text == NULL && i < sizeof(members) / sizeof(members[0]); i++)
            text = mt_json_str(body, members[i], mt_json_str(inner, members[i], NULL));
    } else {
        const char *type = mt_headers_get(&resp->headers, "Content-Type");
        if (type != NULL && strncasecmp(type, "text/plain", 10) == 0 &&
            mt_utf8_valid(resp->body.data, resp->body.len))
            text = resp->body.data;
    }
    char brief[201];
    mt_copy(brief, sizeof(brief), text != NULL ? text : "");
    for (char *c = brief; *c != '\0'; c++)
        if ((unsigned char)*c < ' ') *c = ' ';
    mt_format(out, size, "%s%s%s", host, brief[0] != '\0' ? " says: " : "", brief);
    json_decref(body);
}

static int read_answer(const struct mt_operation *op, const json_t *params,
                       const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    if (resp->status >= 200 && resp->status < 400) {
        json_t *o = json_object();
        json_object_set_new_nocheck(o, "status", json_integer(resp->status));
        json_object_set_new_nocheck(o, "headers", headers_value(&resp->headers));
        json_object_set_new_nocheck(o, "body", value_from_bytes(resp->body.data, resp->body.len));
        json_t *json = answer_is_json_type(resp) ? answer_json(resp) : NULL;
        /* A member name begins with "$" only where there is one in the text, plain or escaped. */
        bool plain = memchr(resp->body.data, '$', resp->body.len) == NULL &&
                     memchr(resp->body.data, '\\', resp->body.len) == NULL;
        if (json != NULL) json_object_set_new_nocheck(o, "json", plain ? json : value_from_plain(json));
        *value = o;
        return 0;
    }
    char host[256] = "", said[512];
    const char *url = param_str(params, "url");
    if (url == NULL || !url_host(url, host, sizeof(host))) mt_copy(host, sizeof(host), "the server");
    said_by(resp, host, said, sizeof(said));
    answer_status("http", op, mt_provider_http.errors, resp, said, e);
    /* The first request of this key is still under way there: not a refusal, and another key would do the
     * work twice. */
    if (resp->status == 409 && e->retry_after_s > 0 && mt_operation_repeat(op, params) == MT_REPEAT_KEYED) {
        e->outcome = MT_UNKNOWN;
        e->retryable = true;
    }
    return -1;
}

/* ---- the tables ---- */

#define PARAM_URL                                                                                            \
    {                                                                                                        \
        .name = "url", .type = MT_P_STRING, .required = true, .min = 1, .max = URL_MAX,                      \
        .doc = "http:// or https://, percent-encoded"                                                        \
    }
#define PARAM_HEADERS                                                                                        \
    {                                                                                                        \
        .name = "headers", .type = MT_P_OBJECT, .secret = true,                                              \
        .doc = "header names and their values, strings"                                                      \
    }
#define PARAM_TIMEOUT                                                                                        \
    {                                                                                                        \
        .name = "timeout_ms", .type = MT_P_INTEGER, .min = 1, .max = 300000,                                 \
        .doc = "for the whole exchange; 30,000 by default"                                                   \
    }
#define PARAM_BODY                                                                                           \
    {.name = "body", .type = MT_P_ANY, .doc = "a string, sent as it is"}, {                                  \
        .name = "json", .type = MT_P_ANY, .doc = "a value, sent as JSON (money as \"80.00 USD\")"            \
    }

static const struct mt_param read_params[] = {PARAM_URL, PARAM_HEADERS, PARAM_TIMEOUT, {0}};
static const struct mt_param write_params[] = {PARAM_URL, PARAM_HEADERS, PARAM_BODY, PARAM_TIMEOUT, {0}};
static const struct mt_param post_params[] = {
    PARAM_URL,
    PARAM_HEADERS,
    PARAM_BODY,
    {.name = "idempotency_key",
     .type = MT_P_STRING,
     .min = 1,
     .max = 255,
     .doc = "sent as Idempotency-Key; says that the server does the work once for it"},
    PARAM_TIMEOUT,
    {0},
};

static const char returns[] = "status, headers (names in lower case), body, json (when the answer is JSON)";

#define OPERATION(NAME, METHOD, REPEAT, PARAMS, DOC)                                                         \
    .name = NAME, .kind = MT_OPERATION_CALL, .method = METHOD, .path = "", .repeat = REPEAT,                 \
    .params = PARAMS, .doc = DOC, .returns = returns, .build = build, .read = read_answer,                   \
    .check = check_http

static const struct mt_operation operations[] = {
    {OPERATION("get", "GET", MT_REPEAT_READ, read_params, "Reads a resource (RFC 9110).")},
    {OPERATION("head", "HEAD", MT_REPEAT_READ, read_params, "Reads a resource's headers (RFC 9110).")},
    {OPERATION("put", "PUT", MT_REPEAT_NATURAL, write_params,
               "Stores a resource under its URL; sent again, it stores the same (RFC 9110).")},
    {OPERATION("delete", "DELETE", MT_REPEAT_NATURAL, write_params,
               "Deletes a resource; sent again, it finds it deleted (RFC 9110).")},
    {OPERATION("post", "POST", MT_REPEAT_UNSAFE, post_params,
               "Posts a body; never sent twice on a guess unless it has an idempotency_key (RFC 9110)."),
     .key_ttl_s = 86400, .repeat_of = repeat_of},
    {OPERATION(
         "patch", "PATCH", MT_REPEAT_UNSAFE, post_params,
         "Changes a resource; never sent twice on a guess unless it has an idempotency_key (RFC 5789)."),
     .key_ttl_s = 86400, .repeat_of = repeat_of},
    {0},
};

static const struct mt_error_row errors[] = {
    {"400", MT_INVALID_REQUEST, false, false, "Bad Request"},
    {"401", MT_AUTHENTICATION, false, false, "Unauthorized"},
    {"402", MT_PERMISSION, false, false, "Payment Required"},
    {"403", MT_PERMISSION, false, false, "Forbidden"},
    {"404", MT_NOT_FOUND, false, false, "Not Found"},
    {"405", MT_UNSUPPORTED, false, false, "Method Not Allowed"},
    {"406", MT_UNSUPPORTED, false, false, "Not Acceptable"},
    {"408", MT_TIMEOUT, true, false, "Request Timeout: the server did not get the whole request"},
    {"409", MT_CONFLICT, false, false, "Conflict"},
    {"410", MT_NOT_FOUND, false, false, "Gone"},
    {"412", MT_CONFLICT, false, false, "Precondition Failed"},
    {"413", MT_LIMIT, false, false, "Content Too Large"},
    {"414", MT_LIMIT, false, false, "URI Too Long"},
    {"415", MT_UNSUPPORTED, false, false, "Unsupported Media Type"},
    {"422", MT_INVALID_REQUEST, false, false, "Unprocessable Content"},
    {"423", MT_CONFLICT, false, false, "Locked"},
    {"425", MT_UNAVAILABLE, true, false, "Too Early"},
    {"428", MT_CONFLICT, false, false, "Precondition Required"},
    {"429", MT_RATE_LIMITED, true, false, "Too Many Requests"},
    {"431", MT_LIMIT, false, false, "Request Header Fields Too Large"},
    {"451", MT_PERMISSION, false, false, "Unavailable For Legal Reasons"},
    {"500", MT_UNAVAILABLE, true, false, "Internal Server Error"},
    {"501", MT_UNSUPPORTED, false, false, "Not Implemented"},
    {"502", MT_UNAVAILABLE, true, false, "Bad Gateway"},
    {"503", MT_UNAVAILABLE, true, false, "Service Unavailable"},
    {"504", MT_TIMEOUT, true, false, "Gateway Timeout"},
    {0},
};

static const struct mt_credential no_credential_rows[] = {{0}};

const struct mt_provider mt_provider_http = {
    .name = "http",
    .title = "HTTP",
    .base_url = "",
    .authentication =
        "none of its own: a call's headers are the script's, masked in stories and sealed in the journal",
    .credentials = no_credential_rows,
    .operations = operations,
    .errors = errors,
    .authorize = no_credentials,
    .webhook_answer = "",
    .many_hosts = true,
};
