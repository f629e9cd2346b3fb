/* The Standard Webhooks convention. See webhook.h. */
#include "crypto/webhook.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECRET_LEAST = 24, SECRET_MOST = 64, ID_MAX = 255, SIGNATURES_MAX = 16 };

static int read_secret(const char *secret, struct mt_buf *out, struct mt_error *e) {
    const char *text = strncmp(secret, "whsec_", 6) == 0 ? secret + 6 : secret;
    mt_buf_init(out, 256);
    if (mt_base64_decode(text, strlen(text), out) && out->len >= SECRET_LEAST && out->len <= SECRET_MOST)
        return 0;
    mt_buf_clear(out);
    return mt_fail(e, MT_INVALID_REQUEST, "the webhook secret is not \"whsec_\" and base64 of %d to %d bytes",
                   SECRET_LEAST, SECRET_MOST);
}

int mt_webhook_sign(const char *secret, const char *id, int64_t timestamp, const void *body, size_t len,
                    struct mt_buf *out, struct mt_error *e) {
    struct mt_buf key, content;
    uint8_t mac[MT_SHA256_SIZE];
    if (read_secret(secret, &key, e) != 0) return -1;
    mt_buf_init(&content, len + 512);
    mt_buf_addf(&content, "%s.%lld.", id, (long long)timestamp);
    mt_buf_add(&content, body, len);
    mt_hmac_sha256(key.data, key.len, content.data, content.len, mac);
    bool whole = mt_buf_ok(&content);
    mt_wipe(key.data, key.len);
    mt_buf_clear(&key);
    mt_buf_clear(&content);
    if (!whole) return mt_fail(e, MT_LIMIT, "the webhook is too large to be signed");
    mt_buf_adds(out, "v1,");
    mt_base64_encode(mac, sizeof mac, out);
    return 0;
}

void mt_webhook_secret(const char *key, const char *receiver, int64_t version,
                       char out[MT_WEBHOOK_SECRET_SIZE]) {
    uint8_t mac[MT_SHA256_SIZE];
    char text[320];
    struct mt_buf b;
    mt_format(text, sizeof text, "merchant webhook|%lld|%.255s", (long long)version, receiver);
    mt_hmac_sha256(key, strlen(key), text, strlen(text), mac);
    mt_buf_init(&b, MT_WEBHOOK_SECRET_SIZE);
    mt_buf_adds(&b, "whsec_");
    mt_base64_encode(mac, sizeof mac, &b);
    mt_copy(out, MT_WEBHOOK_SECRET_SIZE, b.data);
    mt_wipe(b.data, b.len);
    mt_wipe(mac, sizeof mac);
    mt_buf_clear(&b);
}

static int refuse(struct mt_error *e, const char *why) {
    return mt_fail(e, MT_AUTHENTICATION, "webhook: %s", why);
}

/* Whether the list has this signature; every one is looked at. */
static bool listed(const char *signatures, const struct mt_buf *expected) {
    bool found = false;
    int n = 0;
    for (const char *s = signatures; *s && n < SIGNATURES_MAX; n++) {
        size_t len = strcspn(s, " ");
        found |= mt_equal(s, len, expected->data, expected->len);
        s += len;
        s += strspn(s, " ");
    }
    return found;
}

int mt_webhook_verify(const char *const *secrets, size_t count, const char *id, const char *timestamp,
                      const char *signatures, const void *body, size_t len, int64_t now_s,
                      int64_t tolerance_s, struct mt_error *e) {
    int64_t at;
    bool found = false;
    if (!id || !*id || strlen(id) > ID_MAX) return refuse(e, "the header webhook-id is missing");
    if (!timestamp || !*timestamp) return refuse(e, "the header webhook-timestamp is missing");
    if (!signatures || !*signatures) return refuse(e, "the header webhook-signature is missing");
    if (!mt_parse_int(timestamp, 0, INT64_C(253402300799), &at))
        return refuse(e, "webhook-timestamp is not a number of seconds");
    if (at < now_s - tolerance_s) return refuse(e, "it was signed too long ago");
    if (at > now_s + tolerance_s) return refuse(e, "it was signed in the future");
    if (count == 0) return mt_fail(e, MT_INVALID_REQUEST, "no webhook secret is given");
    for (size_t i = 0; i < count; i++) {
        struct mt_buf expected;
        mt_buf_init(&expected, 128);
        int rc = mt_webhook_sign(secrets[i], id, at, body, len, &expected, e);
        found |= rc == 0 && listed(signatures, &expected);
        mt_buf_clear(&expected);
        if (rc != 0) return -1;
    }
    return found ? 0 : refuse(e, "no signature is of this message and secret");
}
