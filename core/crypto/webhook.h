/* Webhooks signed by the Standard Webhooks convention (1.0.0): headers webhook-id, webhook-timestamp and
 * webhook-signature, which lists "v1,BASE64(HMAC-SHA256(secret, id.timestamp.body))"; a secret is
 * "whsec_" and base64 of 24 to 64 bytes. Pure; any thread. */
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MT_WEBHOOK_SECRET_SIZE 64 /* text of a derived one, with NUL */
#define MT_WEBHOOK_TOLERANCE_S 300

/* Appends "v1,..." of one secret. -1: the secret is not one. */
int mt_webhook_sign(const char *secret, const char *id, int64_t timestamp, const void *body, size_t len,
                    struct mt_buf *out, struct mt_error *e);
/* The secret number `version` of a receiver, derived from a key, so that none has to be kept. */
void mt_webhook_secret(const char *key, const char *receiver, int64_t version,
                       char out[MT_WEBHOOK_SECRET_SIZE]);
/* Whether one of the signatures is of one of the secrets ("whsec_..." or bare base64), and the timestamp at
 * most `tolerance_s` before or after `now_s`. Headers are as they came; NULL: missing. -1: MT_AUTHENTICATION
 * (MT_INVALID_REQUEST: a secret is none). */
int mt_webhook_verify(const char *const *secrets, size_t count, const char *id, const char *timestamp,
                      const char *signatures, const void *body, size_t len, int64_t now_s,
                      int64_t tolerance_s, struct mt_error *e);
