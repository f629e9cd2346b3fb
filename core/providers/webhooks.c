/* Provider "webhooks": events told to merchants, signed by the Standard Webhooks convention. One call is one
 * attempt: whatever the receiver answers, or that it does not, is the call's value, since what to do about it
 * is the flow's to say. Invariant: a secret is derived where the request is sent, from the account's key, and
 * is nowhere else. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "crypto/webhook.h"
#include "providers/private.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 64 * 1024, ANSWER_MAX = 64 * 1024, URL_MAX = 2048, TIMEOUT_MS = 15000, WHO_MAX = 100 };

static bool plain(const char *s) {
    return s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] == '\0';
}

static int check_send(const struct mt_operation *op, const char *full_name, const json_t *params,
                      struct mt_error *e) {
    static const char *const names[] = {"id", "endpoint"};
    char host[256];
    (void)op;
    if (!url_host(param_str(params, "url"), host, sizeof host))
        return mt_fail(
            e, MT_INVALID_REQUEST,
            "%s: field \"url\" is no usable URL; wanted https:// or http:// with a host, without a "
            "user name",
            full_name);
    for (size_t i = 0; i < 2; i++)
        if (!plain(param_str(params, names[i])))
            return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"%s\" may hold letters, digits, - and _ only",
                           full_name, names[i]);
    return 0;
}

/* In the place of the signature stands who is to sign, until the request is sent. */
static int build(const struct mt_operation *op, const struct mt_account *account, const json_t *params,
                 const char *key, struct mt_http_request *req, struct mt_error *e) {
    char signer[160];
    (void)key;
    json_t *message = value_to_plain(json_object_get(params, "json"), e);
    if (!message) return mt_error_wrap(e, "field \"json\"");
    req->body = mt_json_dump(message, &req->body_len);
    json_decref(message);
    if (req->body_len > BODY_MAX)
        return mt_fail(e, MT_INVALID_REQUEST, "field \"json\": %zu bytes, wanted at most %d", req->body_len,
                       BODY_MAX);
    req->method = mt_strdup(op->method);
    req->url = mt_strdup(param_str(params, "url"));
    req->timeout_ms = TIMEOUT_MS;
    req->max_response = ANSWER_MAX;
    req->public_only = strcmp(mt_account_credential(account, "private_addresses"), "allow") != 0;
    mt_format(signer, sizeof signer, "%lld %d %s", (long long)mt_json_int(params, "version", 1),
              mt_json_bool(params, "previous", false) ? 2 : 1, param_str(params, "endpoint"));
    mt_headers_add(&req->headers, "Content-Type", "application/json");
    mt_headers_add(&req->headers, "webhook-id", param_str(params, "id"));
    mt_headers_add(&req->headers, "webhook-signature", signer);
    return 0;
}

static int authorize(const struct mt_account *account, const struct mt_operation *op,
                     struct mt_http_request *req, struct mt_error *e) {
    const char *key = mt_account_credential(account, "signing_key");
    const char *signer = mt_headers_get(&req->headers, "webhook-signature");
    const char *id = mt_headers_get(&req->headers, "webhook-id");
    long long version = 0;
    int count = 0, used = 0, rc = 0;
    (void)op;
    if (!signer || !id || sscanf(signer, "%lld %d %n", &version, &count, &used) != 2 || !used)
        return mt_fail(e, MT_INTERNAL, "webhooks: the request does not say who signs it");
    if (strlen(key) < 16) return mt_fail(e, MT_AUTHENTICATION, "webhooks: there is no signing key");
    int64_t now = account->clock->wall_ms(account->clock) / 1000;
    char text[24], secret[MT_WEBHOOK_SECRET_SIZE];
    struct mt_buf b;
    mt_buf_init(&b, 512);
    for (int i = 0; i < count && rc == 0 && version - i > 0; i++) {
        if (i) mt_buf_addc(&b, ' ');
        mt_webhook_secret(key, signer + used, version - i, secret);
        rc = mt_webhook_sign(secret, id, now, req->body, req->body_len, &b, e);
    }
    mt_wipe(secret, sizeof secret);
    mt_format(text, sizeof text, "%lld", (long long)now);
    mt_headers_set(&req->headers, "webhook-timestamp", text);
    if (rc == 0) mt_headers_set(&req->headers, "webhook-signature", b.data);
    mt_buf_clear(&b);
    return rc;
}

/* 3xx is not followed: whoever moved has to say so at the registry. */
static int read_answer(const struct mt_operation *op, const json_t *params,
                       const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    int seconds = answer_retry_after(resp);
    (void)op, (void)params, (void)e;
    *value = json_pack("{s:b, s:i}", "delivered", resp->status >= 200 && resp->status < 300, "status",
                       resp->status);
    if (seconds > 0) json_object_set_new(*value, "retry_after", json_integer(seconds));
    return 0;
}

static json_t *unanswered(const struct mt_operation *op, const json_t *params, const struct mt_error *why) {
    (void)op, (void)params;
    return json_pack("{s:b, s:i, s:s}", "delivered", 0, "status", 0, "error", why->message);
}

static const struct mt_param params[] = {
    {.name = "url", .type = MT_P_STRING, .required = true, .min = 1, .max = URL_MAX, .doc = "the receiver's"},
    {.name = "id",
     .type = MT_P_STRING,
     .required = true,
     .min = 1,
     .max = WHO_MAX,
     .doc = "the message's, the same each time that it is sent: receivers know it again by that"},
    {.name = "endpoint",
     .type = MT_P_STRING,
     .required = true,
     .min = 1,
     .max = WHO_MAX,
     .doc = "the receiver's name: its secrets follow from it (GET /v1/webhook-secrets/{endpoint})"},
    {.name = "json",
     .type = MT_P_OBJECT,
     .required = true,
     .doc = "the message, sent as JSON: type, timestamp, data; at most 64 KB"},
    {.name = "version",
     .type = MT_P_INTEGER,
     .min = 1,
     .max = 1000000,
     .doc = "which secret signs; 1 by default"},
    {.name = "previous", .type = MT_P_BOOLEAN, .doc = "the secret before it signs as well"},
    {0},
};

static const struct mt_operation operations[] = {
    {.name = "send",
     .kind = MT_OPERATION_CALL,
     .method = "POST",
     .path = "",
     .repeat = MT_REPEAT_NATURAL,
     .params = params,
     .doc = "Sends a signed message once (Standard Webhooks 1.0.0).",
     .returns = "delivered (it answered 2xx), status (0: no answer), error, retry_after (seconds)",
     .build = build,
     .read = read_answer,
     .unanswered = unanswered,
     .check = check_send},
    {0},
};

static const struct mt_error_row errors[] = {{0}};

static const struct mt_credential credentials[] = {
    {.name = "signing_key",
     .secret = true,
     .doc = "what receivers' secrets are derived from; made from the data folder's key unless set"},
    {.name = "private_addresses",
     .doc = "\"allow\": receivers may be inside private networks (with --sandbox they may)"},
    {0},
};

const struct mt_provider mt_provider_webhooks = {
    .name = "webhooks",
    .title = "Webhooks to merchants",
    .base_url = "",
    .authentication = "HMAC-SHA256 by the Standard Webhooks convention",
    .credentials = credentials,
    .operations = operations,
    .errors = errors,
    .authorize = authorize,
    .many_hosts = true,
};
