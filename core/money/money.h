/* Exact amounts of money: an integer of minor units and an ISO 4217 currency. Never a float, never rounded
 * unless the caller asks for a ratio. Invariant: an operation either gives the exact answer or fails;
 * currencies never mix. A money is plain data; no state; any thread. */
#pragma once
#include "base/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mt_money {
    int64_t minor;    /* 8000 for "80.00 USD", 80 for "80 KRW" */
    char currency[4]; /* "USD"; always one of the table */
};

/* Bytes for any amount as text: sign, 19 digits, point, code, NUL, to spare. */
#define MT_MONEY_TEXT 40
#define MT_MONEY_SCALE_MAX 8

/* --- currencies
 * ----------------------------------------------------------------------------------------------------- */

struct mt_currency {
    char code[4];
    int exponent;     /* digits after the point: 0, 2, 3 or 4 */
    const char *name; /* in English */
};
/* All active codes of ISO 4217, sorted by code. */
extern const struct mt_currency mt_currencies[];
extern const size_t mt_currency_count;
/* NULL when there is no such code. Upper case only: "usd" is not a code. */
const struct mt_currency *mt_currency_find(const char *code);
/* The same, accepting lower case; fails with "did you mean" (MT_INVALID_REQUEST). */
const struct mt_currency *mt_currency_parse(const char *code, struct mt_error *e);

/* A provider that counts a currency in other minor units than ISO 4217 has a table of these, ended by code
 * "". */
struct mt_scale {
    char code[4];
    int exponent;
};
/* Digits after the point for `currency` at a provider: its own table first (may be NULL), then ISO 4217. -1
 * when unknown. */
int mt_currency_exponent(const char *currency, const struct mt_scale *overrides);

/* --- text and JSON
 * ----------------------------------------------------------------------------------------------------- */

int mt_money_make(int64_t minor, const char *currency, struct mt_money *out, struct mt_error *e);
/* "80.00 USD", "80 USD", "-1.5 USD": one space, upper-case code, at most as many digits after the point as
 * the currency has. */
int mt_money_parse(const char *text, struct mt_money *out, struct mt_error *e);
/* Canonical: all digits of the currency, "80.00 USD", "80 KRW". */
void mt_money_format(const struct mt_money *m, char out[MT_MONEY_TEXT]);
/* A string as above, or {"amount": 8000, "currency": "USD"} in minor units with no other member. */
int mt_money_from_json(const json_t *value, struct mt_money *out, struct mt_error *e);
/* "80.00 USD". New reference. */
json_t *mt_money_json(const struct mt_money *m);

/* --- arithmetic
 * ----------------------------------------------------------------------------------------------------- */

int mt_money_add(const struct mt_money *a, const struct mt_money *b, struct mt_money *out,
                 struct mt_error *e);
int mt_money_sub(const struct mt_money *a, const struct mt_money *b, struct mt_money *out,
                 struct mt_error *e);
int mt_money_neg(const struct mt_money *a, struct mt_money *out, struct mt_error *e);
/* *order is -1, 0 or 1. Fails when the currencies differ. */
int mt_money_compare(const struct mt_money *a, const struct mt_money *b, int *order, struct mt_error *e);
bool mt_money_equal(const struct mt_money *a, const struct mt_money *b);
/* a * num / den, half to even, in 128 bits. */
int mt_money_ratio(const struct mt_money *a, int64_t num, int64_t den, struct mt_money *out,
                   struct mt_error *e);
/* Splits `a` by n weights (>= 0, not all 0; n up to 10,000) into parts[n] that add up to `a` exactly; what is
 * left over goes to the largest remainders, the earlier first. */
int mt_money_split(const struct mt_money *a, const int64_t *weights, size_t n, struct mt_money *parts,
                   struct mt_error *e);

/* --- providers' scales
 * ----------------------------------------------------------------------------------------------- */

/* "80.00", "80.0000" or "80": the amount with exactly `scale` digits after the point. Fails when digits would
 * be lost. */
int mt_money_to_decimal(const struct mt_money *m, int scale, char out[MT_MONEY_TEXT], struct mt_error *e);
/* From "9944.0655", "80", "80.00": digits beyond the currency's must be zeros. Optional '-', no '+', no
 * exponent, no grouping, no spaces. */
int mt_money_from_decimal(const char *text, const char *currency, struct mt_money *out, struct mt_error *e);
/* From a JSON integer (whole units), double (by its shortest decimal) or decimal string, in major units. */
int mt_money_from_json_number(const json_t *value, const char *currency, struct mt_money *out,
                              struct mt_error *e);
/* As a JSON number in major units whose text is exact and shortest ("80", "80.5"): an integer when whole,
 * else a double. Fails when a double cannot carry it. New reference. */
json_t *mt_money_json_number(const struct mt_money *m, struct mt_error *e);
/* Minor units as the provider counts them, and back. Fails when they would not be whole. */
int mt_money_to_minor(const struct mt_money *m, const struct mt_scale *overrides, int64_t *out,
                      struct mt_error *e);
int mt_money_from_minor(int64_t minor, const char *currency, const struct mt_scale *overrides,
                        struct mt_money *out, struct mt_error *e);

/* --- for people
 * ------------------------------------------------------------------------------------------------------ */

/* "$80.00", "80,00 €", "₩10,000": by the language of `locale` ("en", "ko-KR", "de_AT"; unknown ones read as
 * "en"). Returns whether it fitted; 64 bytes are always enough. */
bool mt_money_display(const struct mt_money *m, const char *locale, char *out, size_t size);
