/* Paymnt's webhooks: HMAC-SHA512 over the raw bytes of the body, in lower-case hex. What is signed is
 * believed to come from Paymnt, but not to be news: order is not guaranteed, so an event is a hint and
 * reading decides. Invariant: nothing of the body is looked at before its signature holds. No state; any
 * thread. */
#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "providers/paymnt.h"
#include <string.h>

enum { WEBHOOK_MAX = 256 * 1024 };

static int verify(const struct mt_account *account, const struct mt_request *req, struct mt_error *e) {
    const char *secret = mt_account_credential(account, "webhook_secret");
    const char *sent = mt_headers_get(&req->headers, "x-webhook-signature-512");
    char expected[2 * MT_SHA512_SIZE + 1];
    if (secret[0] == '\0')
        return mt_fail(e, MT_AUTHENTICATION,
                       "paymnt webhook: no webhook_secret is configured, so no webhook can be believed");
    if (sent == NULL)
        return mt_fail(e, MT_AUTHENTICATION, "paymnt webhook: the header x-webhook-signature-512 is missing");
    mt_hmac_sha512_hex(secret, strlen(secret), req->body != NULL ? req->body : "", req->body_len, expected);
    if (mt_equal_str(sent, expected)) return 0;
    return mt_fail(
        e, MT_AUTHENTICATION,
        "paymnt webhook: the signature does not fit the body; is the webhook_secret the profile's?");
}

/* {"event", "event_id", "timestamp", ...the object}. */
static json_t *payload_of(const json_t *body, json_t *object) {
    static const char *const members[] = {"event_id", "timestamp"};
    json_object_set_new(object, "event", json_string(mt_json_str(body, "event_type", "")));
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const char *text = mt_json_str(body, members[i], NULL);
        if (text != NULL) json_object_set_new(object, members[i], json_string(text));
    }
    return object;
}

/* Of which topic an event is, by its content; what we do not follow is kept apart. */
static const struct {
    const char *type, *id, *topic;
    json_t *(*read)(json_t *);
} contents[] = {
    {"payment_details", "payment_id", "paymnt.payment", paymnt_payment},
    {"refund_details", "refund_id", "paymnt.refund", paymnt_refund},
};

static int take(const json_t *body, struct mt_hint *hint, struct mt_error *e) {
    const json_t *content = json_object_get(body, "content"), *object = json_object_get(content, "object");
    const char *event = mt_json_str(body, "event_type", ""), *event_id = mt_json_str(body, "event_id", "");
    const char *type = mt_json_str(content, "type", "");
    if (event[0] == '\0' || strlen(event) > 64)
        return mt_fail(e, MT_INVALID_REQUEST,
                       "paymnt webhook: \"event_type\" is missing; wanted a string of 1 to 64 bytes");
    if (event_id[0] == '\0' || strlen(event_id) > 200)
        return mt_fail(e, MT_INVALID_REQUEST,
                       "paymnt webhook %s: \"event_id\" is missing; wanted a string of 1 to 200 bytes",
                       event);
    if (!json_is_object(object))
        return mt_fail(e, MT_INVALID_REQUEST, "paymnt webhook %s: \"content.object\" is missing", event);
    *hint = (struct mt_hint){0};
    mt_copy(hint->topic, sizeof(hint->topic), "paymnt.other");
    mt_copy(hint->key, sizeof(hint->key), event);
    mt_format(hint->source, sizeof(hint->source), "paymnt:%s", event_id);
    json_t *value = value_from_plain(json_deep_copy(object));
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        if (strcmp(contents[i].type, type) != 0) continue;
        const char *id = mt_json_str(object, contents[i].id, "");
        if (!paymnt_id_ok(id)) {
            json_decref(value);
            return mt_fail(e, MT_INVALID_REQUEST, "paymnt webhook %s: \"%s\" is missing or malformed", event,
                           contents[i].id);
        }
        mt_copy(hint->topic, sizeof(hint->topic), contents[i].topic);
        mt_copy(hint->key, sizeof(hint->key), id);
        value = contents[i].read(value);
    }
    json_object_del(value, "client_secret");
    hint->payload = payload_of(body, value);
    return 0;
}

int paymnt_webhook(const struct mt_account *account, const struct mt_request *req, bool secret_url,
                   struct mt_hint *hints, size_t *count, struct mt_error *e) {
    (void)secret_url; /* the signature says more */
    *count = 0;
    if (req->body_len > WEBHOOK_MAX)
        return mt_fail(e, MT_INVALID_REQUEST, "paymnt webhook: the body has %zu bytes, wanted at most %d",
                       req->body_len, WEBHOOK_MAX);
    if (verify(account, req, e) != 0) return -1;
    json_t *body = mt_json_parse(req->body, req->body_len, e);
    if (body == NULL) return mt_error_wrap(e, "paymnt webhook");
    int r = take(body, &hints[0], e);
    if (r == 0) *count = 1;
    json_decref(body);
    return r;
}
