/* What Paymnt's parameter tables cannot say: ids that fit into a path, amounts above zero in one currency,
 * and that no card number passes through a script. Invariant: every refusal names its field, what was found
 * and what was wanted. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/paymnt.h"
#include <ctype.h>
#include <string.h>

bool paymnt_id_ok(const char *id) {
    size_t n = 0;
    for (; id[n] != '\0'; n++)
        if (!isalnum((unsigned char)id[n]) && id[n] != '_' && id[n] != '-') return false;
    return n > 0 && n <= PAYMNT_ID_MAX;
}

const char *paymnt_id(const json_t *params, const char *name) {
    const char *id = param_str(params, name);
    return id != NULL ? id : param_str(params, "id");
}

/* ---- ids ---- */

static int check_id(const char *full_name, const json_t *params, const char *name, struct mt_error *e) {
    const char *id = param_str(params, name);
    if (id == NULL || paymnt_id_ok(id)) return 0;
    return mt_fail(e, MT_INVALID_REQUEST,
                   "%s: field \"%s\" is \"%.100s\", wanted 1 to %d letters, digits, - and _", full_name, name,
                   id, PAYMNT_ID_MAX);
}

/* Reads take the id as "payment_id" or, like every settled and release, as "id". */
static int check_own_id(const struct mt_operation *op, const char *full_name, const json_t *params,
                        struct mt_error *e) {
    const char *name = op->params[0].name, *id = param_str(params, "id"), *own = param_str(params, name);
    if (strcmp(op->params[1].name != NULL ? op->params[1].name : "", "id") != 0) return 0;
    if (id == NULL && own == NULL)
        return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"%s\" is missing; wanted a string", full_name,
                       name);
    if (id != NULL && own != NULL && strcmp(id, own) != 0)
        return mt_fail(e, MT_INVALID_REQUEST, "%s: fields \"id\" and \"%s\" name different objects",
                       full_name, name);
    return 0;
}

static int check_ids(const struct mt_operation *op, const char *full_name, const json_t *params,
                     struct mt_error *e) {
    static const char *const ids[] = {"payment_id", "refund_id",      "id",
                                      "profile_id", "starting_after", "ending_before"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        if (check_id(full_name, params, ids[i], e) != 0) return -1;
    return check_own_id(op, full_name, params, e);
}

/* ---- amounts ---- */

static int check_amount(const char *full_name, const json_t *params, const char *name, struct mt_error *e) {
    struct mt_money m;
    const char *currency = param_str(params, "currency");
    if (!value_money(param(params, name), &m)) return 0;
    if (m.minor <= 0)
        return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"%s\": wanted money of more than zero", full_name,
                       name);
    if (currency != NULL && strcmp(currency, m.currency) != 0)
        return mt_fail(e, MT_INVALID_REQUEST,
                       "%s: field \"currency\" is \"%s\" but \"%s\" is in %s; leave \"currency\" out",
                       full_name, currency, name, m.currency);
    return 0;
}

/* ---- cards ---- */

static bool luhn(const char *digits, size_t n) {
    int sum = 0;
    for (size_t i = 0; i < n; i++) {
        int d = digits[n - 1 - i] - '0';
        if (i % 2 == 1) d = d * 2 > 9 ? d * 2 - 9 : d * 2;
        sum += d;
    }
    return sum % 10 == 0;
}

static bool looks_like_card(const char *s) {
    char digits[24];
    size_t n = 0;
    for (; *s != '\0'; s++) {
        if (*s == ' ' || *s == '-') continue;
        if (!isdigit((unsigned char)*s) || n == 19) return false;
        digits[n++] = *s;
    }
    return n >= 12 && luhn(digits, n);
}

/* The name of a member that carries a card in the clear; NULL when there is none. `strict`: among payment
 * data, where every long number is a card's, and "card" is one. */
static const char *card_in(const json_t *value, bool strict) {
    static const char *const members[] = {"card_number", "card_cvc", "card_cvv", "cvc", "cvv", "card"};
    size_t count = sizeof(members) / sizeof(members[0]) - (strict ? 0 : 1);
    const char *key, *found = NULL;
    json_t *v;
    size_t i;
    if (json_is_array(value)) {
        json_array_foreach((json_t *)(uintptr_t)value, i, v) {
            if (found == NULL) found = card_in(v, strict);
        }
        return found;
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, v) {
        for (size_t k = 0; k < count; k++)
            if (strcmp(members[k], key) == 0 && !json_is_null(v)) return members[k];
        if (strict && json_is_string(v) && looks_like_card(json_string_value(v))) return "a card number";
        found = card_in(v, strict);
        if (found != NULL) return found;
    }
    return NULL;
}

static int check_no_card(const char *full_name, const json_t *params, struct mt_error *e) {
    static const char *const fields[] = {"payment_method_data", "metadata", "billing", "shipping",
                                         "customer"};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const char *found = card_in(param(params, fields[i]), i == 0);
        if (found != NULL)
            return mt_fail(e, MT_INVALID_REQUEST,
                           "%s: field \"%s\" holds %s: card data never passes through a flow. Send the "
                           "customer to the payment's own page (payment_link), or give a payment_token",
                           full_name, fields[i], found);
    }
    return 0;
}

static int check_url(const char *full_name, const json_t *params, const char *name, struct mt_error *e) {
    const char *url = param_str(params, name);
    char host[256];
    if (url == NULL || url_host(url, host, sizeof(host))) return 0;
    return mt_fail(e, MT_INVALID_REQUEST,
                   "%s: field \"%s\" is no URL; wanted http:// or https:// with a host", full_name, name);
}

int paymnt_check(const struct mt_operation *op, const char *full_name, const json_t *params,
                 struct mt_error *e) {
    if (check_ids(op, full_name, params, e) != 0 || check_amount(full_name, params, "amount", e) != 0 ||
        check_amount(full_name, params, "amount_to_capture", e) != 0 ||
        check_url(full_name, params, "return_url", e) != 0 || check_no_card(full_name, params, e) != 0)
        return -1;
    if (param(params, "starting_after") != NULL && param(params, "ending_before") != NULL)
        return mt_fail(e, MT_INVALID_REQUEST,
                       "%s: fields \"starting_after\" and \"ending_before\" exclude each other", full_name);
    return 0;
}
