/* Calling a runtime's API. See client.h. */
#include "client.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "data.h"
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    TIMEOUT_MS = 6 * 60 * 1000,
    CONNECT_TIMEOUT_MS = 3000,
    ANSWER_MAX = 64 * 1024 * 1024,
    NEAR_MS = 60000
};

int mt_client_open(struct mt_client *c, const struct mt_config *config, struct mt_error *e) {
    const char *token = mt_config_str(config, "token"), *data = mt_config_str(config, "data");
    *c = (struct mt_client){0};
    if (!mt_copy(c->url, sizeof c->url, mt_config_str(config, "url")))
        return mt_fail(e, MT_USAGE, "--url is too long: at most %zu bytes", sizeof c->url - 1);
    for (size_t n = strlen(c->url); n > 0 && c->url[n - 1] == '/'; n--) c->url[n - 1] = '\0';
    if (token && !mt_copy(c->token, sizeof c->token, token))
        return mt_fail(e, MT_USAGE, "--token is too long: at most %zu bytes", sizeof c->token - 1);
    if (!token && mt_data_read_token(data, c->token, sizeof c->token, e) != 0) {
        if (e->kind == MT_NOT_FOUND)
            mt_fail(e, MT_USAGE,
                    "there is no admin token in %s; name the runtime's data folder with --data, or the token "
                    "with "
                    "MINTAGE_TOKEN",
                    data);
        return -1;
    }
    c->transport = mt_transport_curl();
    return 0;
}

void mt_client_close(struct mt_client *c) {
    if (c->transport) c->transport->free(c->transport);
    mt_wipe(c->token, sizeof c->token);
}

/* What a problem+json says, as an error. */
static void read_problem(const struct mt_http_response *resp, struct mt_error *e) {
    struct mt_error ignored;
    json_t *body = mt_json_parse(resp->body.data, resp->body.len, &ignored);
    const char *detail = mt_json_str(body, "detail", NULL);
    enum mt_kind kind = mt_kind_from_name(mt_json_str(body, "code", ""));
    if (resp->status == 401)
        mt_fail(e, MT_AUTHENTICATION,
                "the runtime refuses this admin token; is it another runtime's? See --data and --token");
    else
        mt_fail(e, kind ? kind : MT_PROTOCOL, "%s (HTTP %d)", detail ? detail : "the runtime gives no reason",
                resp->status);
    e->http_status = resp->status;
    json_decref(body);
}

/* Who sits at this machine, for the record of what people do. */
static void add_user(struct mt_headers *headers) {
    const struct passwd *entry = getpwuid(getuid());
    char who[64];
    if (entry && mt_copy(who, sizeof who, entry->pw_name)) mt_headers_add(headers, "X-Mintage-User", who);
}

static int64_t our_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

int64_t mt_client_now(const struct mt_client *c) {
    return our_time() + c->ahead_ms;
}

/* Its clock, by the date of an answer. What the way and the missing fraction make out is no difference. */
static void compare_clocks(struct mt_client *c, const struct mt_http_response *resp) {
    const char *date = mt_headers_get(&resp->headers, "Date");
    struct tm tm = {0};
    if (!date || !strptime(date, "%a, %d %b %Y %H:%M:%S GMT", &tm)) return;
    int64_t ahead = timegm(&tm) * INT64_C(1000) - our_time();
    c->ahead_ms = ahead > -NEAR_MS && ahead < NEAR_MS ? 0 : ahead;
}

json_t *mt_client_call(struct mt_client *c, const char *method, const char *path, const char *body,
                       const char *key, struct mt_error *e) {
    struct mt_http_request req = {.method = mt_strdup(method),
                                  .body = mt_strdup(body),
                                  .body_len = body ? strlen(body) : 0,
                                  .timeout_ms = TIMEOUT_MS,
                                  .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                  .max_response = ANSWER_MAX};
    struct mt_http_response resp = {0};
    struct mt_buf text;
    json_t *answer = NULL;
    mt_buf_init(&text, 16 * 1024);
    mt_buf_addf(&text, "%s%s", c->url, path);
    req.url = mt_buf_take(&text, NULL);
    mt_buf_addf(&text, "Bearer %s", c->token);
    mt_headers_add(&req.headers, "Authorization", text.data);
    if (body) mt_headers_add(&req.headers, "Content-Type", "application/json");
    add_user(&req.headers);
    if (key) mt_headers_add(&req.headers, "Idempotency-Key", key);

    if (!req.url)
        mt_fail(e, MT_USAGE, "the request is too long");
    else if (c->transport->perform(c->transport, &req, &resp, e) != 0)
        mt_error_wrap(e, "no runtime answers at %s (start one with mintage dev, or name another with --url)",
                      c->url);
    else if (compare_clocks(c, &resp), resp.status >= 300)
        read_problem(&resp, e);
    else if (!(answer = mt_json_parse(resp.body.data, resp.body.len, e)))
        mt_error_wrap(e, "%s does not answer like a runtime of Mintage; is --url right?", c->url);
    mt_wipe(text.data, text.len);
    mt_buf_clear(&text);
    mt_http_response_clear(&resp);
    mt_http_request_clear(&req);
    return answer;
}
