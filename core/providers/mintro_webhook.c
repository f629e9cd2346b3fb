/* Mintro's webhooks: unsigned, without an event id or a documented envelope. So they are hints: a payment is
 * believed once its intent has been read; a subscription event, for which nothing can be read, only when it
 * came through the URL that carries our secret. Invariant: a hint's event has the document's spelling. No
 * state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/private.h"
#include <stdio.h>
#include <string.h>

enum { WEBHOOK_MAX = 64 * 1024, EVENT_MAX = 64 };

/* The seven documented events, and the other spellings that Mintro's own pages use. */
static const struct {
    const char *sent, *event;
} spellings[] = {
    {"payment.succeeded", "payment.succeeded"},
    {"payment.success", "payment.succeeded"},
    {"payment.failed", "payment.failed"},
    {"payment.canceled", "payment.canceled"},
    {"payment.cancelled", "payment.canceled"},
    {"subscription.created", "subscription.created"},
    {"subscription.renewed", "subscription.renewed"},
    {"subscription.failed", "subscription.failed"},
    {"subscription.canceled", "subscription.canceled"},
    {"subscription.cancelled", "subscription.canceled"},
};

static const char *known_event(const char *sent) {
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++)
        if (strcmp(spellings[i].sent, sent) == 0) return spellings[i].event;
    return NULL;
}

/* A member that identifies something: a short string, or an integer as text. */
static bool word_of(const json_t *object, const char *name, char *out, size_t size) {
    const json_t *v = json_object_get(object, name);
    if (json_is_integer(v)) return mt_format(out, size, "%lld", (long long)json_integer_value(v));
    if (!json_is_string(v) || json_string_length(v) == 0 || json_string_length(v) >= size) return false;
    for (const char *c = json_string_value(v); *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7F) return false;
    return mt_copy(out, size, json_string_value(v));
}

static int need_id(const json_t *data, const char *event, const char *name, char *out, size_t size,
                   struct mt_error *e) {
    const char *id = mt_json_str(data, name, "");
    if (mintro_id_ok(id) && mt_copy(out, size, id)) return 0;
    return mt_fail(e, MT_INVALID_REQUEST,
                   "mintro webhook %s: \"%s\" is missing or malformed; wanted a string", event, name);
}

static bool first_word(const json_t *object, const char *const *names, char *out, size_t size) {
    for (; *names != NULL; names++)
        if (word_of(object, *names, out, size)) return true;
    return false;
}

/* A header's value, when it could be somebody's identifier. */
static bool header_word(const struct mt_request *req, const char *name, char *out, size_t size) {
    const char *value = mt_headers_get(&req->headers, name);
    size_t len = value != NULL ? strlen(value) : 0;
    if (len == 0 || len >= size) return false;
    for (const char *c = value; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7F) return false;
    return mt_copy(out, size, value);
}

/* Which renewal this is. All renewals of a subscription have the same documented members, so what tells one
 * from the other is taken where it may stand: what names the period or the charge; what names the event, or
 * says when it was; what names the delivery, which is the same however often it is sent. Else the UTC day on
 * which it came: a cycle is a day at least, so two renewals that come when they are due never share one. */
static void which_renewal(const struct mt_account *account, const struct mt_request *req, const json_t *body,
                          const json_t *data, char *out, size_t size) {
    static const char *const periods[] = {
        "billing_period", "period",     "period_start", "current_period_start",
        "charge_id",      "invoice_id", "cycle",        NULL};
    static const char *const events[] = {"event_id", "webhook_id", "delivery_id", "renewed_at", "charged_at",
                                         "paid_at",  "created_at", "occurred_at", "timestamp",  NULL};
    static const char *const deliveries[] = {
        "Webhook-Id",      "X-Webhook-Id",       "X-Event-Id", "X-Delivery-Id",
        "Idempotency-Key", "X-Sandbox-Delivery", NULL};
    char now[25];
    if (first_word(data, periods, out, size) || first_word(data, events, out, size) ||
        first_word(body, events, out, size))
        return;
    if (data != body && word_of(body, "id", out, size)) return; /* the envelope's own */
    for (size_t i = 0; deliveries[i] != NULL; i++)
        if (header_word(req, deliveries[i], out, size)) return;
    mt_time_format(account->clock->wall_ms(account->clock), now);
    mt_format(out, size, "%.10s", now);
}

/* {"event":"payment.succeeded", ...the data}. */
static json_t *payload_of(const char *event, const json_t *data) {
    json_t *payload = value_from_plain(json_copy((json_t *)(uintptr_t)data));
    json_object_set_new(payload, "event", json_string(event));
    mintro_normalise_status(payload);
    return payload;
}

static void add_hint(struct mt_hint *hints, size_t *count, const char *topic, const char *key,
                     const char *event, const json_t *data) {
    struct mt_hint *h = &hints[(*count)++];
    *h = (struct mt_hint){.payload = payload_of(event, data)};
    mt_copy(h->topic, sizeof(h->topic), topic);
    mt_copy(h->key, sizeof(h->key), key);
}

static int payment_hint(const char *event, const json_t *data, struct mt_hint *hints, size_t *count,
                        struct mt_error *e) {
    char intent[128], charge[80];
    if (need_id(data, event, "intent_id", intent, sizeof(intent), e) != 0) return -1;
    add_hint(hints, count, "mintro.intent", intent, event, data);
    struct mt_hint *h = &hints[*count - 1];
    if (word_of(data, "charge_id", charge, sizeof(charge)))
        mt_format(h->source, sizeof(h->source), "mintro:%s:%s:%s", event, intent, charge);
    else if (strcmp(event, "payment.failed") !=
             0) /* that one may happen again, and nothing tells the two apart */
        mt_format(h->source, sizeof(h->source), "mintro:%s:%s", event, intent);
    return 0;
}

static int subscription_hint(const struct mt_account *account, const struct mt_request *req,
                             const char *event, const json_t *body, const json_t *data, struct mt_hint *hints,
                             size_t *count, struct mt_error *e) {
    char subscription[128], intent[128] = "", period[80];
    bool created = strcmp(event, "subscription.created") == 0;
    bool once = created || strcmp(event, "subscription.canceled") == 0;
    if (need_id(data, event, "subscription_id", subscription, sizeof(subscription), e) != 0) return -1;
    if (created && need_id(data, event, "intent_id", intent, sizeof(intent), e) != 0) return -1;
    add_hint(hints, count, "mintro.subscription", subscription, event, data);
    struct mt_hint *h = &hints[*count - 1];
    if (once) {
        mt_format(h->source, sizeof(h->source), "mintro:%s:%s", event, subscription);
    } else {
        which_renewal(account, req, body, data, period, sizeof(period));
        mt_format(h->source, sizeof(h->source), "mintro:%s:%s:%s", event, subscription, period);
    }
    if (created) { /* its first charge was the intent's */
        add_hint(hints, count, "mintro.intent", intent, event, data);
        h = &hints[*count - 1];
        mt_format(h->source, sizeof(h->source), "mintro:%s:%s", event, intent);
    }
    return 0;
}

/* An event that the document does not know: kept, so that nothing is lost, and believed in nothing. */
static void other_hint(const char *event, const json_t *data, struct mt_hint *hints, size_t *count) {
    char key[128];
    if (!word_of(data, "intent_id", key, sizeof(key)) && !word_of(data, "subscription_id", key, sizeof(key)))
        mt_copy(key, sizeof(key), event);
    add_hint(hints, count, "mintro.other", key, event, data);
}

int mintro_webhook(const struct mt_account *account, const struct mt_request *req, bool secret_url,
                   struct mt_hint *hints, size_t *count, struct mt_error *e) {
    static const char *const envelopes[] = {"data", "payload"};
    char sent[EVENT_MAX + 1];
    int r = -1;
    *count = 0;
    if (req->body_len > WEBHOOK_MAX)
        return mt_fail(e, MT_INVALID_REQUEST, "mintro webhook: the body has %zu bytes, wanted at most %d",
                       req->body_len, WEBHOOK_MAX);
    json_t *body = mt_json_parse(req->body, req->body_len, e);
    if (body == NULL) return mt_error_wrap(e, "mintro webhook");
    const json_t *data = body;
    for (size_t i = 0; i < sizeof(envelopes) / sizeof(envelopes[0]); i++)
        if (data == body && json_is_object(json_object_get(body, envelopes[i])))
            data = json_object_get(body, envelopes[i]);
    const char *name = json_is_string(json_object_get(body, "event")) ? "event" : "type";
    if (!json_is_string(json_object_get(body, name)) || !word_of(body, name, sent, sizeof(sent))) {
        mt_fail(e, MT_INVALID_REQUEST,
                "mintro webhook: \"event\" is missing; wanted a string of 1 to %d bytes", EVENT_MAX);
        goto done;
    }
    const char *event = known_event(sent);
    if (event == NULL) {
        other_hint(sent, data, hints, count);
        r = 0;
    } else if (strncmp(event, "payment.", 8) == 0) {
        r = payment_hint(event, data, hints, count, e);
    } else if (!secret_url) {
        mt_fail(e, MT_AUTHENTICATION,
                "mintro webhook %s: subscription events are unsigned and cannot be read back; register the "
                "URL with its secret, "
                "/webhooks/mintro?s=...",
                event);
    } else {
        r = subscription_hint(account, req, event, body, data, hints, count, e);
    }
done:
    json_decref(body);
    return r;
}
