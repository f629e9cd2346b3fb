/* Amounts: parsing, writing, arithmetic, JSON. Invariant: every answer is exact or there is none; rounding
 * happens in mt_money_ratio alone. No state; any thread. */
#include "money/money.h"
#include "base/text.h"
#include "money/decimal.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef __int128 wide; /* sums of products of 64-bit numbers */

static void put(struct mt_money *out, int64_t minor, const char *currency) {
    char code[4];
    memcpy(code, currency, 4); /* `currency` may be out->currency */
    out->minor = minor;
    memcpy(out->currency, code, 4);
}

static int same_currency(const struct mt_money *a, const struct mt_money *b, struct mt_error *e) {
    if (memcmp(a->currency, b->currency, 4) == 0) return 0;
    return mt_fail(e, MT_INVALID_REQUEST, "the currencies differ: %s and %s", a->currency, b->currency);
}

static int overflow(const char *currency, struct mt_error *e) {
    return mt_fail(e, MT_INVALID_REQUEST, "the amount of %s is too large: it must fit 64 bits of minor units",
                   currency);
}

int mt_money_make(int64_t minor, const char *currency, struct mt_money *out, struct mt_error *e) {
    const struct mt_currency *c = mt_currency_parse(currency, e);
    if (c == NULL) return -1;
    put(out, minor, c->code);
    return 0;
}

int mt_money_parse(const char *text, struct mt_money *out, struct mt_error *e) {
    const char *space = strchr(text, ' ');
    char number[MT_MONEY_TEXT];
    size_t n = space == NULL ? 0 : (size_t)(space - text);
    if (n == 0 || n >= sizeof(number) || space[1] == '\0' || strchr(space + 1, ' ') != NULL)
        return mt_fail(e, MT_INVALID_REQUEST,
                       "malformed money \"%.40s\": wanted an amount, a space and a currency, "
                       "such as \"80.00 USD\"",
                       text);
    memcpy(number, text, n);
    number[n] = '\0';
    const struct mt_currency *c = mt_currency_find(space + 1);
    if (c == NULL) {
        c = mt_currency_parse(space + 1, e); /* for its error; or it is a known code in lower case */
        return c == NULL ? -1
                         : mt_fail(e, MT_INVALID_REQUEST, "unknown currency \"%s\": did you mean %s?",
                                   space + 1, c->code);
    }
    int64_t minor;
    if (decimal_parse(number, c->exponent, true, c->code, &minor, e) != 0) return -1;
    put(out, minor, c->code);
    return 0;
}

void mt_money_format(const struct mt_money *m, char out[MT_MONEY_TEXT]) {
    int exponent = mt_currency_exponent(m->currency, NULL);
    decimal_format(m->minor, exponent < 0 ? 0 : exponent, out);
    char *end = out + strlen(out);
    *end++ = ' ';
    memcpy(end, m->currency, 3);
    end[3] = '\0';
}

static const char *json_type_name(const json_t *value) {
    if (value == NULL) return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number with a point";
    case JSON_NULL:
        return "null";
    default:
        return "a boolean";
    }
}

/* A string of JSON may hold NULs only when it was not made from text; such a string is no number. */
static bool plain_string(const json_t *value) {
    return json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value);
}

int mt_money_from_json(const json_t *value, struct mt_money *out, struct mt_error *e) {
    if (plain_string(value)) return mt_money_parse(json_string_value(value), out, e);
    if (!json_is_object(value))
        return mt_fail(e, MT_INVALID_REQUEST,
                       "found %s, wanted money: \"80.00 USD\" or {\"amount\":8000,\"currency\":\"USD\"}",
                       json_type_name(value));
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)value, key, member) {
        if (strcmp(key, "amount") != 0 && strcmp(key, "currency") != 0)
            return mt_fail(e, MT_INVALID_REQUEST, "money has no member \"%.40s\": wanted amount and currency",
                           key);
    }
    const json_t *amount = json_object_get(value, "amount"), *currency = json_object_get(value, "currency");
    if (!json_is_integer(amount))
        return mt_fail(e, MT_INVALID_REQUEST, "amount: found %s, wanted an integer of minor units",
                       json_type_name(amount));
    if (!plain_string(currency))
        return mt_fail(e, MT_INVALID_REQUEST, "currency: found %s, wanted an ISO 4217 code such as \"USD\"",
                       json_type_name(currency));
    return mt_money_make((int64_t)json_integer_value(amount), json_string_value(currency), out, e);
}

json_t *mt_money_json(const struct mt_money *m) {
    char text[MT_MONEY_TEXT];
    mt_money_format(m, text);
    return json_string(text);
}

int mt_money_add(const struct mt_money *a, const struct mt_money *b, struct mt_money *out,
                 struct mt_error *e) {
    int64_t minor;
    if (same_currency(a, b, e) != 0) return -1;
    if (__builtin_add_overflow(a->minor, b->minor, &minor)) return overflow(a->currency, e);
    put(out, minor, a->currency);
    return 0;
}

int mt_money_sub(const struct mt_money *a, const struct mt_money *b, struct mt_money *out,
                 struct mt_error *e) {
    int64_t minor;
    if (same_currency(a, b, e) != 0) return -1;
    if (__builtin_sub_overflow(a->minor, b->minor, &minor)) return overflow(a->currency, e);
    put(out, minor, a->currency);
    return 0;
}

int mt_money_neg(const struct mt_money *a, struct mt_money *out, struct mt_error *e) {
    int64_t minor;
    if (__builtin_sub_overflow(0, a->minor, &minor)) return overflow(a->currency, e);
    put(out, minor, a->currency);
    return 0;
}

int mt_money_compare(const struct mt_money *a, const struct mt_money *b, int *order, struct mt_error *e) {
    if (same_currency(a, b, e) != 0) return -1;
    *order = (a->minor > b->minor) - (a->minor < b->minor);
    return 0;
}

bool mt_money_equal(const struct mt_money *a, const struct mt_money *b) {
    return a->minor == b->minor && memcmp(a->currency, b->currency, 4) == 0;
}

int mt_money_ratio(const struct mt_money *a, int64_t num, int64_t den, struct mt_money *out,
                   struct mt_error *e) {
    if (den == 0) return mt_fail(e, MT_INVALID_REQUEST, "a ratio cannot have 0 below the line");
    wide product = (wide)a->minor * num, divisor = den;
    if (divisor < 0) {
        divisor = -divisor;
        product = -product;
    }
    wide quotient = product / divisor, rest = product % divisor;
    int sign = rest < 0 ? -1 : 1;
    wide twice = 2 * (rest < 0 ? -rest : rest);
    if (twice > divisor || (twice == divisor && quotient % 2 != 0)) quotient += sign;
    if (quotient > INT64_MAX || quotient < INT64_MIN) return overflow(a->currency, e);
    put(out, (int64_t)quotient, a->currency);
    return 0;
}

enum { SPLIT_MAX = 10000 };

struct remainder {
    wide rest; /* of minor * weight / total, as a positive number */
    size_t index;
};

static int compare_remainders(const void *a, const void *b) {
    const struct remainder *x = a, *y = b;
    if (x->rest != y->rest) return x->rest > y->rest ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

int mt_money_split(const struct mt_money *a, const int64_t *weights, size_t n, struct mt_money *parts,
                   struct mt_error *e) {
    struct mt_money whole = *a; /* `a` may be one of the parts */
    int64_t total = 0;
    if (n == 0 || n > SPLIT_MAX)
        return mt_fail(e, MT_INVALID_REQUEST, "found %zu weights, wanted 1 to %d", n, SPLIT_MAX);
    for (size_t i = 0; i < n; i++) {
        if (weights[i] < 0)
            return mt_fail(e, MT_INVALID_REQUEST, "weight %zu is %" PRId64 ", wanted 0 or more", i + 1,
                           weights[i]);
        if (__builtin_add_overflow(total, weights[i], &total))
            return mt_fail(e, MT_INVALID_REQUEST, "the weights add up to more than 64 bits hold");
    }
    if (total == 0)
        return mt_fail(e, MT_INVALID_REQUEST, "the weights are all 0, so nobody could get the amount");
    int sign = whole.minor < 0 ? -1 : 1;
    wide magnitude = whole.minor < 0 ? -(wide)whole.minor : whole.minor, given = 0;
    struct remainder *rests = mt_calloc(n, sizeof(*rests));
    for (size_t i = 0; i < n; i++) {
        wide product = magnitude * weights[i];
        rests[i] = (struct remainder){product % total, i};
        given += product / total;
        put(&parts[i], (int64_t)(sign * (product / total)), whole.currency);
    }
    /* Fewer than n units are left; the largest remainders get one each. A weight of 0 has none, so it gets
     * nothing. */
    qsort(rests, n, sizeof(*rests), compare_remainders);
    for (size_t i = 0; given < magnitude; i++, given++) parts[rests[i].index].minor += sign;
    free(rests);
    return 0;
}
