/* The webhooks of a definition, and HMACs of both directions. Invariant: what comes in is signed, or proven
 * by the secret in its URL, or believed in nothing but its id; a definition says which. No state; any thread.
 */
#include "base/text.h"
#include "providers/define.h"
#include <string.h>

enum { EVENTS_MAX = 64 };
static const int64_t day_ms = 86400000;

/* The text that is signed may name these. */
static int check_of(const char *where, const char *of, bool incoming, bool timestamp, struct mt_error *e) {
    static const char *const parts[] = {"{body}", "{timestamp}", "{method}", "{path}"};
    bool body = false;
    for (const char *open = strchr(of, '{'); open != NULL; open = strchr(open + 1, '{')) {
        size_t i = 0;
        while (i < 4 && strncmp(open, parts[i], strlen(parts[i])) != 0) i++;
        if (i == 4 || (i > 1 && incoming))
            return define_fail(where, e, "\"of\": wanted text with %s",
                               incoming ? "{body} and {timestamp}"
                                        : "{method}, {path}, "
                                          "{timestamp} and {body}");
        if (i == 1 && !timestamp)
            return define_fail(where, e, "\"of\" has {timestamp}: say its \"timestamp\"");
        body = body || i == 0;
    }
    return body ? 0 : define_fail(where, e, "\"of\" leaves out {body}: then it would prove nothing about it");
}

/* Text that is signed may have line ends in it. */
static int take_of(const char *where, const json_t *o, const char **out, struct mt_error *e) {
    const json_t *v = param(o, "of");
    if (v == NULL) return 0;
    if (!json_is_string(v) || json_string_length(v) == 0 || json_string_length(v) > DEFINED_TEXT_MAX)
        return define_fail(where, e, "\"of\": wanted a text of 1 to %d bytes", (int)DEFINED_TEXT_MAX);
    *out = json_string_value(v);
    return 0;
}

int define_hmac(const char *where, const struct defined *d, const json_t *o, bool incoming,
                struct defined_hmac *out, struct mt_error *e) {
    static const char *const sent[] = {"header", "secret", "digest",    "encoding",
                                       "prefix", "of",     "timestamp", NULL};
    static const char *const got[] = {"header", "secret",    "digest", "encoding", "prefix",
                                      "of",     "timestamp", "field",  "within",   NULL};
    static const char *const digests[] = {"sha256", "sha512"}, *const encodings[] = {"hex", "base64"};
    const char *digest = digests[0], *encoding = encodings[0];
    size_t at;
    *out = (struct defined_hmac){.of = "{body}", .prefix = ""};
    if (define_fields(where, o, incoming ? got : sent, e) != 0 ||
        define_required(where, o, "header", &out->header, e) != 0 ||
        define_required(where, o, "secret", &out->secret, e) != 0 ||
        define_header_name(where, out->header, e) != 0 || define_credential(where, d, out->secret, e) != 0 ||
        define_text(where, o, "digest", &digest, e) != 0 ||
        define_text(where, o, "encoding", &encoding, e) != 0 ||
        define_text(where, o, "prefix", &out->prefix, e) != 0 || take_of(where, o, &out->of, e) != 0 ||
        define_text(where, o, "timestamp", &out->timestamp, e) != 0)
        return -1;
    if (define_word(where, digest, digests, 2, &at, e) != 0) return -1;
    out->sha512 = at == 1;
    if (define_word(where, encoding, encodings, 2, &at, e) != 0) return -1;
    out->base64 = at == 1;
    if (incoming && (define_text(where, o, "field", &out->field, e) != 0 ||
                     define_duration(where, o, "within", 1000, day_ms, &out->within_ms, e) != 0))
        return -1;
    if (out->within_ms > 0 && (out->timestamp == NULL || strstr(out->of, "{timestamp}") == NULL))
        return define_fail(where, e,
                           "\"within\" needs a \"timestamp\" that is signed: \"of\" = "
                           "\"{timestamp}.{body}\"");
    /* Of an incoming one in parts ("t=...,v1=...") the timestamp is a part. */
    if (out->timestamp != NULL && out->field == NULL && define_header_name(where, out->timestamp, e) != 0)
        return -1;
    return check_of(where, out->of, incoming, out->timestamp != NULL, e);
}

static int check_events(const struct defined *d, const json_t *events, struct mt_error *e) {
    static const char *const known[] = {"topic", "key", NULL};
    const char *pattern, *text = NULL;
    json_t *v;
    char where[DEFINED_WHERE_MAX];
    if (!json_is_object(events) || json_object_size(events) == 0 || json_object_size(events) > EVENTS_MAX)
        return define_fail(
            "webhook.events", e,
            "wanted a table such as { [\"charge.*\"] = { topic = \"charge\", key = \"data.id\" } }");
    json_object_foreach((json_t *)(uintptr_t)events, pattern, v) {
        const char *star = strchr(pattern, '*');
        mt_format(where, sizeof(where), "webhook.events[\"%.60s\"]", pattern);
        if (star != NULL && star[1] != '\0') return define_fail(where, e, "a \"*\" can only be the end");
        if (define_fields(where, v, known, e) != 0 || define_required(where, v, "key", &text, e) != 0 ||
            define_required(where, v, "topic", &text, e) != 0)
            return -1;
        if (strlen(text) + strlen(d->row.name) + 2 > 64)
            return define_fail(where, e, "\"topic\": wanted at most %zu bytes", 62 - strlen(d->row.name));
    }
    return 0;
}

int define_webhook(struct defined *d, const json_t *o, struct mt_error *e) {
    static const char *const known[] = {"verify", "event", "id", "object", "events", "answer", NULL};
    static const char *const words[] = {"url", "read"};
    struct defined_webhook *w = &d->webhook;
    const json_t *verify = param(o, "verify");
    size_t at;
    if (define_fields("webhook", o, known, e) != 0 ||
        define_required("webhook", o, "event", &w->event, e) != 0 ||
        define_text("webhook", o, "id", &w->id, e) != 0 ||
        define_text("webhook", o, "object", &w->object, e) != 0 ||
        define_text("webhook", o, "answer", &d->row.webhook_answer, e) != 0)
        return -1;
    if (verify == NULL)
        return define_fail(
            "webhook", e,
            "field \"verify\" is missing: what proves an event; { header = ..., secret = ... } "
            "(an HMAC), \"url\" (the secret in its URL) or \"read\" (nothing: it is read back)");
    if (json_is_string(verify)) {
        if (define_word("webhook.verify", json_string_value(verify), words, 2, &at, e) != 0) return -1;
        w->url_secret = at == 0;
        w->read_only = at == 1;
    } else if (define_hmac("webhook.verify", d, verify, true, &w->hmac, e) != 0) {
        return -1;
    }
    w->events = param(o, "events");
    if (check_events(d, w->events, e) != 0) return -1;
    w->wanted = true;
    return 0;
}
