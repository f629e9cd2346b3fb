/* What Paymint's parameter tables cannot say: Korean mobile numbers, whole won, calendar dates, ids; and the
 * vendor's rules as functions: the normal form of a phone number, the hash of a bill. Invariant: every
 * refusal names its field, what was found and what was wanted. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "providers/private.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PRICE_MAX INT64_C(9999999999)

/* ---- the vendor's rules ---- */

bool paymint_phone(const char *text, char out[PAYMINT_PHONE_SIZE]) {
    char digits[16];
    size_t n = 0;
    for (; *text != '\0'; text++) {
        if (!isdigit((unsigned char)*text)) continue;
        if (n + 1 == sizeof(digits)) return false;
        digits[n++] = *text;
    }
    digits[n] = '\0';
    const char *d = digits;
    /* The country's code, with the 0 of the number left out or (wrongly, but the vendor takes it) kept. */
    if ((n == 12 && memcmp(digits, "8210", 4) == 0) || (n == 13 && memcmp(digits, "82010", 5) == 0)) d += 2;
    bool bare = strlen(d) == 10 && strncmp(d, "10", 2) == 0;
    mt_format(out, PAYMINT_PHONE_SIZE, "%s%.11s", bare ? "0" : "", d);
    return strlen(d) == (bare ? 10u : 11u) && strncmp(out, "010", 3) == 0;
}

void paymint_hash(const char *bill_id, const char *phone, const char *price, char *out) {
    uint8_t digest[MT_SHA256_SIZE];
    struct mt_part parts[5] = {{bill_id, strlen(bill_id)}, {",", 1}};
    size_t n = 2;
    if (phone != NULL) {
        parts[n++] = (struct mt_part){phone, strlen(phone)};
        parts[n++] = (struct mt_part){",", 1};
    }
    parts[n++] = (struct mt_part){price, strlen(price)};
    mt_sha256_parts(parts, n, digest);
    mt_hex_encode(digest, sizeof(digest), out);
}

/* ---- parameters ---- */

static bool bill_id_ok(const char *id) {
    size_t n = 0;
    for (; id[n] != '\0'; n++)
        if (!isalnum((unsigned char)id[n])) return false;
    return n > 0 && n <= PAYMINT_BILL_ID_MAX;
}

static int check_bill_id(const char *full_name, const json_t *params, const char *name, struct mt_error *e) {
    const char *id = param_str(params, name);
    if (id == NULL || bill_id_ok(id)) return 0;
    return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"%s\" is \"%.40s\", wanted 1 to %d letters and digits",
                   full_name, name, id, PAYMINT_BILL_ID_MAX);
}

/* Ids of payers and cards: they stand in a query. */
static int check_id(const char *full_name, const json_t *params, const char *name, struct mt_error *e) {
    const char *id = param_str(params, name);
    for (const char *c = id; c != NULL && *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && strchr("_-.@:", *c) == NULL)
            return mt_fail(e, MT_INVALID_REQUEST,
                           "%s: field \"%s\" is \"%.100s\", wanted 1 to %d letters, digits and _ - . @ :",
                           full_name, name, id, PAYMINT_ID_MAX);
    return 0;
}

static int check_phone(const char *full_name, const json_t *params, struct mt_error *e) {
    const char *phone = param_str(params, "phone");
    char normal[PAYMINT_PHONE_SIZE];
    if (phone == NULL || paymint_phone(phone, normal)) return 0;
    return mt_fail(e, MT_INVALID_REQUEST,
                   "%s: field \"phone\" is \"%.40s\", wanted a Korean mobile number, as in 010-1234-5678",
                   full_name, phone);
}

static int check_price(const char *full_name, const json_t *params, struct mt_error *e) {
    struct mt_money price;
    if (!value_money(param(params, "price"), &price)) return 0;
    if (strcmp(price.currency, "KRW") != 0)
        return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"price\" is in %s; Paymint takes KRW only",
                       full_name, price.currency);
    if (price.minor >= 1 && price.minor <= PRICE_MAX) return 0;
    return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"price\" is %lld KRW, wanted 1 to %lld", full_name,
                   (long long)price.minor, (long long)PRICE_MAX);
}

static bool is_date(const char *s) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (strlen(s) != 10 || s[4] != '-' || s[7] != '-') return false;
    for (size_t i = 0; i < 10; i++)
        if (i != 4 && i != 7 && !isdigit((unsigned char)s[i])) return false;
    if (sscanf(s, "%4d-%2d-%2d", &year, &month, &day) != 3 || month < 1 || month > 12) return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day >= 1 && day <= days[month - 1] + (month == 2 && leap);
}

static int check_date(const char *full_name, const json_t *params, struct mt_error *e) {
    const char *date = param_str(params, "expire_dt");
    if (date == NULL || is_date(date)) return 0;
    return mt_fail(e, MT_INVALID_REQUEST,
                   "%s: field \"expire_dt\" is \"%.20s\", wanted a day as YYYY-MM-DD, as in 2026-12-31",
                   full_name, date);
}

static int check_url(const char *full_name, const json_t *params, struct mt_error *e) {
    const char *url = param_str(params, "callbackURL");
    char host[256];
    if (url == NULL || url_host(url, host, sizeof(host))) return 0;
    return mt_fail(e, MT_INVALID_REQUEST,
                   "%s: field \"callbackURL\" is no URL; wanted http:// or https:// with a host", full_name);
}

int paymint_check(const struct mt_operation *op, const char *full_name, const json_t *params,
                  struct mt_error *e) {
    const char *id = param_str(params, "id"), *bill_id = param_str(params, "bill_id");
    if (op->kind == MT_OPERATION_SETTLED && id == NULL && bill_id == NULL)
        return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"bill_id\" is missing; wanted a string", full_name);
    if (id != NULL && bill_id != NULL && strcmp(id, bill_id) != 0)
        return mt_fail(e, MT_INVALID_REQUEST, "%s: fields \"id\" and \"bill_id\" name different bills",
                       full_name);
    if (check_bill_id(full_name, params, "id", e) != 0 ||
        check_bill_id(full_name, params, "bill_id", e) != 0 ||
        check_id(full_name, params, "customer_id", e) != 0 ||
        check_id(full_name, params, "method_id", e) != 0 || check_phone(full_name, params, e) != 0 ||
        check_price(full_name, params, e) != 0 || check_date(full_name, params, e) != 0 ||
        check_url(full_name, params, e) != 0)
        return -1;
    return 0;
}
