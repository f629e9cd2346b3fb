/* Between Mintage's minor units and what providers count in: decimal strings of any scale, JSON numbers,
 * other minor units. Invariant: a digit that does not fit is an error, never rounded away. No state; any
 * thread. */
#include "base/text.h"
#include "money/decimal.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t power_of_ten(int n) {
    int64_t p = 1;
    while (n-- > 0) p *= 10;
    return p;
}

static int malformed(const char *text, struct mt_error *e) {
    return mt_fail(e, MT_INVALID_REQUEST, "malformed amount \"%.40s\": wanted digits such as \"80.00\"",
                   text);
}

int decimal_parse(const char *text, int exponent, bool strict, const char *currency, int64_t *minor,
                  struct mt_error *e) {
    const char *s = text;
    bool negative = *s == '-';
    int64_t value = 0; /* kept negative while reading: INT64_MIN has no positive twin */
    int after = -1;    /* digits after the point; -1 before it */
    if (negative) s++;
    if (*s < '0' || *s > '9') return malformed(text, e);
    for (; *s != '\0'; s++) {
        if (*s == '.' && after < 0 && s[1] >= '0' && s[1] <= '9') {
            after = 0;
            continue;
        }
        if (*s < '0' || *s > '9') return malformed(text, e);
        if (after >= exponent) {
            if (strict || *s != '0')
                return mt_fail(e, MT_INVALID_REQUEST,
                               "\"%.40s\" has more digits after the point than %s: wanted at most %d", text,
                               currency, exponent);
            continue;
        }
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, *s - '0', &value))
            goto too_large;
        if (after >= 0) after++;
    }
    for (after = after < 0 ? 0 : after; after < exponent; after++)
        if (__builtin_mul_overflow(value, 10, &value)) goto too_large;
    if (!negative && __builtin_sub_overflow(0, value, &value)) goto too_large;
    *minor = value;
    return 0;
too_large:
    return mt_fail(e, MT_INVALID_REQUEST, "\"%.40s\" of %s is too large: it must fit 64 bits of minor units",
                   text, currency);
}

void decimal_format(int64_t minor, int exponent, char *out) {
    uint64_t magnitude = minor < 0 ? -(uint64_t)minor : (uint64_t)minor;
    char digits[36], *at = digits + sizeof digits;
    *--at = '\0';
    for (int n = 0; magnitude > 0 || n <= exponent;
         n++) { /* from the last digit, one before the point at least */
        if (n == exponent && n > 0) *--at = '.';
        *--at = (char)('0' + magnitude % 10);
        magnitude /= 10;
    }
    if (minor < 0) *--at = '-';
    memcpy(out, at, (size_t)(digits + sizeof digits - at));
}

/* minor * 10^(to - from), exactly. */
static int rescale(int64_t minor, int from, int to, const struct mt_money *m, int64_t *out,
                   struct mt_error *e) {
    int64_t factor = power_of_ten(to > from ? to - from : from - to);
    char text[MT_MONEY_TEXT];
    if (to >= from) {
        if (!__builtin_mul_overflow(minor, factor, out)) return 0;
        mt_money_format(m, text);
        return mt_fail(e, MT_INVALID_REQUEST, "%s is too large with %d digits after the point", text, to);
    }
    if (minor % factor == 0) {
        *out = minor / factor;
        return 0;
    }
    mt_money_format(m, text);
    return mt_fail(e, MT_INVALID_REQUEST,
                   "%s has digits that do not fit: only %d digits after the point are taken here", text, to);
}

static int exponent_of(const struct mt_money *m, const struct mt_scale *overrides, struct mt_error *e) {
    int exponent = mt_currency_exponent(m->currency, overrides);
    if (exponent < 0) mt_currency_parse(m->currency, e);
    return exponent;
}

int mt_money_to_decimal(const struct mt_money *m, int scale, char out[MT_MONEY_TEXT], struct mt_error *e) {
    int exponent = exponent_of(m, NULL, e);
    if (exponent < 0) return -1;
    if (scale < 0 || scale > MT_MONEY_SCALE_MAX)
        return mt_fail(e, MT_INTERNAL, "a scale of %d digits; wanted 0 to %d", scale, MT_MONEY_SCALE_MAX);
    if (scale <= exponent) {
        int64_t scaled;
        if (rescale(m->minor, exponent, scale, m, &scaled, e) != 0) return -1;
        decimal_format(scaled, scale, out);
        return 0;
    }
    /* More zeros are only text, so the largest amounts fit too. */
    char text[36], zeros[MT_MONEY_SCALE_MAX + 1] = "";
    decimal_format(m->minor, exponent, text);
    memset(zeros, '0', (size_t)(scale - exponent));
    mt_format(out, MT_MONEY_TEXT, "%s%s%s", text, exponent == 0 ? "." : "", zeros);
    return 0;
}

int mt_money_from_decimal(const char *text, const char *currency, struct mt_money *out, struct mt_error *e) {
    const struct mt_currency *c = mt_currency_parse(currency, e);
    int64_t minor;
    if (c == NULL || decimal_parse(text, c->exponent, false, c->code, &minor, e) != 0) return -1;
    return mt_money_make(minor, c->code, out, e);
}

/* The shortest decimal that reads back as `d`, written without an exponent. False when `d` has no such text
 * of a sane size. */
static bool shortest_decimal(double d, char *out, size_t size) {
    char digits[40];
    if (!isfinite(d) || fabs(d) >= 1e18) return false;
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(digits, sizeof(digits), "%.*e", precision - 1, d);
        if (strtod(digits, NULL) == d) break;
    }
    int exponent = atoi(strchr(digits, 'e') + 1);
    int significant = (int)strcspn(digits, "e") - (digits[0] == '-');
    significant -= significant > 1; /* the point */
    int after = significant - 1 - exponent;
    return mt_format(out, size, "%.*f", after < 0 ? 0 : after, d);
}

int mt_money_from_json_number(const json_t *value, const char *currency, struct mt_money *out,
                              struct mt_error *e) {
    char text[MT_MONEY_TEXT + 24];
    if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value))
        return mt_money_from_decimal(json_string_value(value), currency, out, e);
    if (json_is_integer(value))
        snprintf(text, sizeof(text), "%" PRId64, (int64_t)json_integer_value(value));
    else if (!json_is_real(value))
        return mt_fail(e, MT_INVALID_REQUEST,
                       "found something that is no amount: wanted a number or a decimal string");
    else if (!shortest_decimal(json_real_value(value), text, sizeof(text)))
        return mt_fail(e, MT_INVALID_REQUEST, "the number %g cannot be an amount", json_real_value(value));
    return mt_money_from_decimal(text, currency, out, e);
}

json_t *mt_money_json_number(const struct mt_money *m, struct mt_error *e) {
    int exponent = exponent_of(m, NULL, e);
    if (exponent < 0) return NULL;
    int64_t unit = power_of_ten(exponent);
    if (m->minor % unit == 0) return json_integer(m->minor / unit);
    char text[36];
    decimal_format(m->minor, exponent, text);
    json_t *number = json_real(strtod(text, NULL));
    struct mt_money back;
    if (mt_money_from_json_number(number, m->currency, &back, e) == 0 && mt_money_equal(&back, m))
        return number;
    json_decref(number);
    return mt_fail_null(e, MT_INVALID_REQUEST,
                        "%s %s cannot be written as a JSON number without losing digits", text, m->currency);
}

int mt_money_to_minor(const struct mt_money *m, const struct mt_scale *overrides, int64_t *out,
                      struct mt_error *e) {
    int from = exponent_of(m, NULL, e);
    if (from < 0) return -1;
    return rescale(m->minor, from, mt_currency_exponent(m->currency, overrides), m, out, e);
}

int mt_money_from_minor(int64_t minor, const char *currency, const struct mt_scale *overrides,
                        struct mt_money *out, struct mt_error *e) {
    struct mt_money m;
    int64_t scaled;
    if (mt_money_make(minor, currency, &m, e) != 0) return -1;
    int from = mt_currency_exponent(m.currency, overrides), to = mt_currency_exponent(m.currency, NULL);
    if (from < to && __builtin_mul_overflow(minor, power_of_ten(to - from), &scaled))
        return mt_fail(e, MT_INVALID_REQUEST, "%" PRId64 " minor units of %s are too many", minor,
                       m.currency);
    if (from > to && minor % power_of_ten(from - to) != 0)
        return mt_fail(e, MT_INVALID_REQUEST,
                       "%" PRId64 " units of %s with %d digits after the point are no whole minor units",
                       minor, m.currency, from);
    if (from >= to) scaled = minor / power_of_ten(from - to);
    m.minor = scaled;
    *out = m;
    return 0;
}
