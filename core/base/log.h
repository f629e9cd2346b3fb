/* Structured log lines to standard error: text for a terminal, JSON (one object a line) otherwise or on
 * request. Secrets are redacted by construction: a value whose key names a secret (see mt_secret_name) is
 * never printed, and runs of digits in any value that look like a card number or an ePIN (13 to 19 digits,
 * also in groups as cards are printed, by space or dash) are masked. Any thread; one write(2) a line. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum mt_log_level { MT_LOG_DEBUG, MT_LOG_INFO, MT_LOG_WARN, MT_LOG_ERROR, MT_LOG_OFF };
enum mt_log_format { MT_LOG_AUTO, MT_LOG_TEXT, MT_LOG_JSON };

void mt_log_setup(enum mt_log_level level, enum mt_log_format format);
/* Sends lines elsewhere (tests); NULL restores standard error. */
void mt_log_sink(void (*sink)(void *ctx, const char *line, size_t len), void *ctx);
bool mt_log_enabled(enum mt_log_level level);
/* message: a fixed short sentence. Then pairs: const char *key, const char *value (NULL value prints null);
 * ends with NULL. */
void mt_log(enum mt_log_level level, const char *message, ...) __attribute__((sentinel));
#define mt_info(...) mt_log(MT_LOG_INFO, __VA_ARGS__, (const char *)NULL)
#define mt_warn(...) mt_log(MT_LOG_WARN, __VA_ARGS__, (const char *)NULL)
#define mt_err(...) mt_log(MT_LOG_ERROR, __VA_ARGS__, (const char *)NULL)
#define mt_debug(...) mt_log(MT_LOG_DEBUG, __VA_ARGS__, (const char *)NULL)

/* Whether a field, header or parameter of this name holds a secret: key, secret, token, password,
 * authorization, cookie, cvc, card_number, number (of a card), pin_code, epin, sign, api-key,
 * x-client-secret, ... Case and - _ ignored. */
bool mt_secret_name(const char *name);
/* Masks in place, keeping the length: digits of card-like runs except the last four. */
void mt_mask_digits(char *s, size_t len);
