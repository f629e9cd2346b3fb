/* Reading answers: what a status means, how the error record of an answer is filled, Retry-After. Invariant:
 * below 500 a refusal is definite; from 500 on, and whenever the answer is not understood, nobody knows. No
 * state; any thread. */
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "providers/private.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const struct {
    int status;
    enum mt_kind kind;
    bool retryable;
    const char *words;
} statuses[] = {
    {300, MT_PROTOCOL, false, "Multiple Choices"},
    {301, MT_PROTOCOL, false, "Moved Permanently"},
    {302, MT_PROTOCOL, false, "Found"},
    {303, MT_PROTOCOL, false, "See Other"},
    {304, MT_PROTOCOL, false, "Not Modified"},
    {307, MT_PROTOCOL, false, "Temporary Redirect"},
    {308, MT_PROTOCOL, false, "Permanent Redirect"},
    {400, MT_INVALID_REQUEST, false, "Bad Request"},
    {401, MT_AUTHENTICATION, false, "Unauthorized"},
    {402, MT_PERMISSION, false, "Payment Required"},
    {403, MT_PERMISSION, false, "Forbidden"},
    {404, MT_NOT_FOUND, false, "Not Found"},
    {405, MT_UNSUPPORTED, false, "Method Not Allowed"},
    {406, MT_UNSUPPORTED, false, "Not Acceptable"},
    {407, MT_AUTHENTICATION, false, "Proxy Authentication Required"},
    {408, MT_TIMEOUT, true, "Request Timeout"},
    {409, MT_CONFLICT, false, "Conflict"},
    {410, MT_NOT_FOUND, false, "Gone"},
    {411, MT_INVALID_REQUEST, false, "Length Required"},
    {412, MT_CONFLICT, false, "Precondition Failed"},
    {413, MT_LIMIT, false, "Content Too Large"},
    {414, MT_LIMIT, false, "URI Too Long"},
    {415, MT_UNSUPPORTED, false, "Unsupported Media Type"},
    {421, MT_UNAVAILABLE, false, "Misdirected Request"},
    {422, MT_INVALID_REQUEST, false, "Unprocessable Content"},
    {423, MT_CONFLICT, false, "Locked"},
    {425, MT_UNAVAILABLE, true, "Too Early"},
    {428, MT_CONFLICT, false, "Precondition Required"},
    {429, MT_RATE_LIMITED, true, "Too Many Requests"},
    {431, MT_LIMIT, false, "Request Header Fields Too Large"},
    {451, MT_PERMISSION, false, "Unavailable For Legal Reasons"},
    {500, MT_UNAVAILABLE, true, "Internal Server Error"},
    {501, MT_UNSUPPORTED, false, "Not Implemented"},
    {502, MT_UNAVAILABLE, true, "Bad Gateway"},
    {503, MT_UNAVAILABLE, true, "Service Unavailable"},
    {504, MT_TIMEOUT, true, "Gateway Timeout"},
};
enum { STATUS_COUNT = sizeof(statuses) / sizeof(statuses[0]) };
enum { INSTANT_MIN_S = 1000000000 }; /* a larger number is an instant (2001 or later), no span */

const char *status_words(int status) {
    for (size_t i = 0; i < STATUS_COUNT; i++)
        if (statuses[i].status == status) return statuses[i].words;
    return "";
}

/* A date of HTTP, in today's form or one of the two that are only read any more. */
static bool http_date(const char *s, time_t *t) {
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
                                        "%a %b %d %H:%M:%S %Y"};
    for (size_t i = 0; s != NULL && i < sizeof(forms) / sizeof(*forms); i++) {
        struct tm tm = {0};
        const char *end = strptime(s, forms[i], &tm);
        if (end == NULL || *end != '\0') continue;
        *t = timegm(&tm);
        return true;
    }
    return false;
}

/* An instant is judged by the answer's own clock, which need not agree with ours; by ours when it tells none.
 */
static int64_t seconds_until(const struct mt_http_response *resp, int64_t instant) {
    time_t now;
    if (!http_date(mt_headers_get(&resp->headers, "Date"), &now)) now = time(NULL);
    return instant > now ? instant - now : 0;
}

/* When a limit that was reached ends, where no Retry-After says so: "RateLimit-Reset" has seconds,
 * "X-RateLimit-Reset" has them or the instant in seconds since 1970. */
static int64_t limit_reset(const struct mt_http_response *resp) {
    static const char *const names[] = {"RateLimit-Reset", "X-RateLimit-Reset"};
    int64_t n;
    if (resp->status != 429) return 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const char *s = mt_headers_get(&resp->headers, names[i]);
        if (s == NULL || !mt_parse_int(s, 0, INT64_MAX, &n)) continue;
        return n > INSTANT_MIN_S ? seconds_until(resp, n) : n;
    }
    return 0;
}

int answer_retry_after(const struct mt_http_response *resp) {
    const char *s = mt_headers_get(&resp->headers, "Retry-After");
    int64_t seconds = 0;
    time_t until;
    if (s != NULL && http_date(s, &until))
        seconds = seconds_until(resp, until);
    else if (s == NULL || !mt_parse_int(s, 0, INT64_MAX, &seconds))
        seconds = limit_reset(resp);
    return seconds > 86400 ? 86400 : (int)seconds;
}

bool answer_is_json_type(const struct mt_http_response *resp) {
    const char *type = mt_headers_get(&resp->headers, "Content-Type");
    if (type == NULL) return false;
    size_t n = strcspn(type, "; \t");
    if (n == 16 && strncasecmp(type, "application/json", n) == 0) return true;
    return n > 5 && strncasecmp(type + n - 5, "+json", 5) == 0;
}

json_t *answer_json(const struct mt_http_response *resp) {
    struct mt_error ignored;
    return resp->body.len == 0 ? NULL : mt_json_parse(resp->body.data, resp->body.len, &ignored);
}

int answer_fail(const char *provider, const struct mt_operation *op, const struct mt_http_response *resp,
                enum mt_kind kind, enum mt_outcome outcome, struct mt_error *e, const char *format, ...) {
    char text[sizeof(e->message) + 8];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0) text[0] = '\0';
    va_end(args);
    mt_mask_digits(text, strlen(text)); /* providers echo what they were sent */
    mt_fail(e, kind, "%s", text);
    e->outcome = outcome;
    e->http_status = resp->status;
    e->retry_after_s = answer_retry_after(resp);
    mt_copy(e->provider, sizeof(e->provider), provider);
    mt_copy(e->operation, sizeof(e->operation), op->name);
    return -1;
}

int answer_status(const char *provider, const struct mt_operation *op, const struct mt_error_row *rows,
                  const struct mt_http_response *resp, const char *said, struct mt_error *e) {
    enum mt_kind kind = resp->status >= 500   ? MT_UNAVAILABLE
                        : resp->status >= 400 ? MT_INVALID_REQUEST
                                              : MT_PROTOCOL;
    bool retryable = resp->status >= 500, hard = false;
    char code[16];
    snprintf(code, sizeof(code), "%d", resp->status);
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        if (statuses[i].status != resp->status) continue;
        kind = statuses[i].kind;
        retryable = statuses[i].retryable;
    }
    for (const struct mt_error_row *row = rows; row != NULL && row->code != NULL; row++) {
        if (strcmp(row->code, code) != 0) continue;
        kind = row->kind;
        retryable = row->retryable;
        hard = row->hard;
        break;
    }
    const char *words = status_words(resp->status);
    bool definite = resp->status >= 400 && resp->status < 500;
    answer_fail(provider, op, resp, kind, definite ? MT_REJECTED : MT_UNKNOWN, e, "%s.%s: %d%s%s%s%s",
                provider, op->name, resp->status, words[0] != '\0' ? " " : "", words,
                said[0] != '\0' ? ": " : "", said);
    e->retryable = retryable;
    e->hard = hard;
    mt_copy(e->code, sizeof(e->code), code);
    return -1;
}
