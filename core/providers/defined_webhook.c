/* Webhooks of a defined provider. Invariant: nothing of a body is looked at before what proves it holds; of
 * one that nothing proves, only which object it is about is kept. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "providers/define.h"
#include <string.h>

enum { WEBHOOK_MAX = 256 * 1024, EVENT_MAX = 64, PART_MAX = 300 };

static int refuse(const struct mt_account *account, enum mt_kind kind, struct mt_error *e, const char *what) {
    return mt_fail(e, kind, "%s webhook: %s", account->provider->name, what);
}

/* The next value of NAME=VALUE among the header's parts, which commas separate; *at goes on behind it. */
static bool next_part(const char **at, const char *name, char out[PART_MAX]) {
    size_t n = strlen(name);
    while (**at != '\0') {
        const char *part = *at + strspn(*at, " ,");
        size_t len = strcspn(part, ",");
        *at = part + len;
        if (len > n && strncmp(part, name, n) == 0 && part[n] == '=' &&
            mt_format(out, PART_MAX, "%.*s", (int)(len - n - 1), part + n + 1))
            return true;
    }
    return false;
}

/* Whether one of the header's signatures is this: while a secret rotates there are several. */
static bool is_signed(const struct defined_hmac *h, const char *header, const char *expected) {
    char digest[PART_MAX];
    if (h->field == NULL) return mt_equal_str(header, expected);
    for (const char *at = header; next_part(&at, h->field, digest);)
        if (mt_equal_str(digest, expected)) return true;
    return false;
}

static int check_age(const struct defined_hmac *h, const struct mt_account *account, const char *timestamp,
                     struct mt_error *e) {
    int64_t at, now = account->clock->wall_ms(account->clock);
    if (h->within_ms == 0) return 0;
    if (!mt_parse_int(timestamp, 0, INT64_MAX / 1000, &at))
        return refuse(account, MT_AUTHENTICATION, e, "its timestamp is no number of seconds");
    int64_t age = now - at * 1000;
    if (age > h->within_ms || age < -h->within_ms)
        return refuse(account, MT_AUTHENTICATION, e, "its timestamp is too far from now");
    return 0;
}

static int verify(const struct defined_hmac *h, const struct mt_account *account,
                  const struct mt_request *req, struct mt_error *e) {
    const char *secret = mt_account_credential(account, h->secret);
    const char *header = mt_headers_get(&req->headers, h->header), *sent_at = "", *rest = header;
    char part[PART_MAX], words[200];
    struct mt_buf expected;
    if (secret[0] == '\0') {
        mt_format(words, sizeof(words), "no %.60s is configured, so no webhook can be believed", h->secret);
        return refuse(account, MT_AUTHENTICATION, e, words);
    }
    if (header == NULL) {
        mt_format(words, sizeof(words), "the header %.100s is missing", h->header);
        return refuse(account, MT_AUTHENTICATION, e, words);
    }
    if (h->field != NULL && !next_part(&rest, h->field, part))
        return refuse(account, MT_AUTHENTICATION, e, "the header's signature is missing");
    rest = header;
    if (h->timestamp != NULL && h->field != NULL)
        sent_at = next_part(&rest, h->timestamp, part) ? part : "";
    else if (h->timestamp != NULL && (sent_at = mt_headers_get(&req->headers, h->timestamp)) == NULL)
        sent_at = "";
    mt_buf_init(&expected, 1024);
    defined_digest(h, secret, "", "", sent_at, req->body != NULL ? req->body : "", req->body_len, &expected);
    bool same = is_signed(h, header, expected.data);
    mt_buf_clear(&expected);
    if (!same) {
        mt_format(words, sizeof(words), "the signature does not fit the body; is %.60s right?", h->secret);
        return refuse(account, MT_AUTHENTICATION, e, words);
    }
    return check_age(h, account, sent_at, e);
}

/* What the definition says of this event: the exact name, else the longest "prefix*". */
static const json_t *rule_for(const json_t *events, const char *event) {
    const char *pattern;
    json_t *rule;
    const json_t *best = json_object_get(events, event);
    size_t longest = 0;
    if (best != NULL) return best;
    json_object_foreach((json_t *)(uintptr_t)events, pattern, rule) {
        size_t n = strlen(pattern);
        if (n == 0 || pattern[n - 1] != '*' || strncmp(pattern, event, n - 1) != 0 || n <= longest) continue;
        best = rule;
        longest = n;
    }
    return best;
}

/* Text or an integer, as text. */
static bool text_at(const json_t *body, const char *path, char *out, size_t size) {
    const json_t *v = path != NULL ? defined_at(body, path) : NULL;
    if (json_is_string(v) && json_string_length(v) > 0) return mt_copy(out, size, json_string_value(v));
    return json_is_integer(v) && mt_format(out, size, "%lld", (long long)json_integer_value(v));
}

static int take(const struct defined *d, const json_t *body, struct mt_hint *hint, struct mt_error *e) {
    const struct defined_webhook *w = &d->webhook;
    char event[EVENT_MAX + 1], id[200];
    if (!text_at(body, w->event, event, sizeof(event)))
        return mt_fail(e, MT_INVALID_REQUEST,
                       "%s webhook: \"%.60s\" is missing; wanted a string of 1 to %d bytes", d->row.name,
                       w->event, (int)EVENT_MAX);
    const json_t *rule = rule_for(w->events, event);
    const char *key = mt_json_str(rule, "key", NULL);
    *hint = (struct mt_hint){0};
    mt_format(hint->topic, sizeof(hint->topic), "%s.%s", d->row.name, mt_json_str(rule, "topic", "other"));
    mt_copy(hint->key, sizeof(hint->key), event);
    if (rule != NULL && !text_at(body, key, hint->key, sizeof(hint->key)))
        return mt_fail(e, MT_INVALID_REQUEST, "%s webhook %s: \"%.60s\" is missing or too long", d->row.name,
                       event, key);
    if (w->id != NULL) {
        if (!text_at(body, w->id, id, sizeof(id)))
            return mt_fail(e, MT_INVALID_REQUEST, "%s webhook %s: \"%.60s\" is missing or too long",
                           d->row.name, event, w->id);
        mt_format(hint->source, sizeof(hint->source), "%s:%s", d->row.name, id);
    }
    const json_t *object = w->object != NULL ? defined_at(body, w->object) : body;
    json_t *payload =
        json_is_object(object) && !w->read_only ? value_from_plain(json_deep_copy(object)) : json_object();
    defined_take_money(d, payload, NULL);
    if (w->read_only && rule != NULL) json_object_set_new(payload, "id", json_string(hint->key));
    json_object_set_new(payload, "event", json_string(event));
    hint->payload = payload;
    return 0;
}

int defined_webhook(const struct mt_account *account, const struct mt_request *req, bool secret_url,
                    struct mt_hint *hints, size_t *count, struct mt_error *e) {
    const struct defined *d = defined_of(account->provider);
    *count = 0;
    if (req->body_len > WEBHOOK_MAX) return refuse(account, MT_INVALID_REQUEST, e, "the body is too large");
    if (d->webhook.url_secret && !secret_url)
        return refuse(account, MT_AUTHENTICATION, e, "its URL has not the secret, ?s=...");
    if (d->webhook.hmac.header != NULL && verify(&d->webhook.hmac, account, req, e) != 0) return -1;
    json_t *body = mt_json_parse(req->body != NULL ? req->body : "", req->body_len, e);
    if (body == NULL) return mt_error_wrap(e, "%s webhook", d->row.name);
    int r = json_is_object(body) ? take(d, body, &hints[0], e)
                                 : refuse(account, MT_INVALID_REQUEST, e, "the body is no JSON object");
    if (r == 0) *count = 1;
    json_decref(body);
    return r;
}
