/* What Mintro's parameter tables cannot say: ids that fit into a path, one currency throughout, fields that
 * need each other. Invariant: every refusal names its field, what was found and what was wanted. No state;
 * any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/private.h"
#include <ctype.h>
#include <string.h>

enum { ID_MAX = MINTRO_ID_MAX, QUANTITY_MAX = 1000000 };

/* An id or reference as it may stand in a path: "pi_96e6c1e3-...", a bare UUID, "ORDER-123456". */
bool mintro_id_ok(const char *id) {
    size_t n = 0;
    for (; id[n] != '\0'; n++)
        if (!isalnum((unsigned char)id[n]) && id[n] != '_' && id[n] != '-') return false;
    return n > 0 && n <= ID_MAX;
}

static int check_id(const char *full_name, const json_t *params, const char *name, struct mt_error *e) {
    const char *id = param_str(params, name);
    if (id == NULL || mintro_id_ok(id)) return 0;
    return mt_fail(e, MT_INVALID_REQUEST,
                   "%s: field \"%s\" is \"%.100s\", wanted 1 to %d letters, digits, - and _ (%s)", full_name,
                   name, id, ID_MAX, "as in pi_96e6c1e3-0c5e-4f0a-9a53-2f1f1c9c0a11, or the UUID alone");
}

/* Reads take the id as "intent_id" or, like every settled and release, as "id". */
int mintro_check_intent_id(const struct mt_operation *op, const char *full_name, const json_t *params,
                           struct mt_error *e) {
    (void)op;
    const char *id = param_str(params, "id"), *intent_id = param_str(params, "intent_id");
    if (id == NULL && intent_id == NULL)
        return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"intent_id\" is missing; wanted a string",
                       full_name);
    if (id != NULL && intent_id != NULL && strcmp(id, intent_id) != 0)
        return mt_fail(e, MT_INVALID_REQUEST, "%s: fields \"id\" and \"intent_id\" name different intents",
                       full_name);
    return check_id(full_name, params, id != NULL ? "id" : "intent_id", e);
}

int mintro_check_subscription_id(const struct mt_operation *op, const char *full_name, const json_t *params,
                                 struct mt_error *e) {
    (void)op;
    return check_id(full_name, params, "subscription_id", e);
}

int mintro_check_reference(const struct mt_operation *op, const char *full_name, const json_t *params,
                           struct mt_error *e) {
    (void)op;
    const char *reference = param_str(params, "reference_id");
    if (reference == NULL || mintro_id_ok(reference)) return 0;
    return mt_fail(e, MT_INVALID_REQUEST,
                   "%s: field \"reference_id\" is \"%.100s\", wanted 1 to %d letters, digits, - and _",
                   full_name, reference, ID_MAX);
}

static int check_same_currency(const char *full_name, const char *field, const struct mt_money *m,
                               const struct mt_money *amount, struct mt_error *e) {
    if (strcmp(m->currency, amount->currency) == 0) return 0;
    return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"%s\" is in %s, wanted %s as in \"amount\"", full_name,
                   field, m->currency, amount->currency);
}

static int check_part(const char *full_name, const json_t *params, const char *name,
                      const struct mt_money *amount, struct mt_error *e) {
    struct mt_money m;
    if (!value_money(param(params, name), &m)) return 0;
    if (m.minor < 0) return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"%s\" is negative", full_name, name);
    return check_same_currency(full_name, name, &m, amount, e);
}

static int check_item(const char *full_name, size_t i, const json_t *item, const struct mt_money *amount,
                      struct mt_error *e) {
    static const char *const names[] = {"name", "quantity", "price"};
    const char *key;
    json_t *v;
    char field[48];
    struct mt_money price;
    mt_format(field, sizeof(field), "order_items[%zu]", i + 1);
    if (strcmp(value_type_name(item), "an object") != 0)
        return mt_fail(e, MT_INVALID_REQUEST,
                       "%s: field \"%s\" is %s, wanted an object with name, quantity, price", full_name,
                       field, value_type_name(item));
    json_object_foreach((json_t *)(uintptr_t)item, key, v) {
        if (strcmp(key, names[0]) == 0 || strcmp(key, names[1]) == 0 || strcmp(key, names[2]) == 0) continue;
        const char *near = mt_nearest(key, names, 3);
        return mt_fail(e, MT_INVALID_REQUEST, "%s: unknown field \"%s.%.60s\"%s%s%s", full_name, field, key,
                       near != NULL ? " (did you mean \"" : "; it takes name, quantity, price",
                       near != NULL ? near : "", near != NULL ? "\"?)" : "");
    }
    const json_t *name = json_object_get(item, "name"), *quantity = json_object_get(item, "quantity");
    if (!json_is_string(name) || json_string_length(name) == 0 || json_string_length(name) > 255)
        return mt_fail(e, MT_INVALID_REQUEST,
                       "%s: field \"%s.name\" is %s, wanted a string of 1 to 255 bytes", full_name, field,
                       value_type_name(name));
    if (!json_is_integer(quantity))
        return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"%s.quantity\" is %s, wanted an integer", full_name,
                       field, value_type_name(quantity));
    if (json_integer_value(quantity) < 1 || json_integer_value(quantity) > QUANTITY_MAX)
        return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"%s.quantity\" is %lld, wanted 1 to %d", full_name,
                       field, (long long)json_integer_value(quantity), QUANTITY_MAX);
    if (!value_money(json_object_get(item, "price"), &price))
        return mt_fail(e, MT_INVALID_REQUEST,
                       "%s: field \"%s.price\" is %s, wanted money, as in money \"50.00 USD\"", full_name,
                       field, value_type_name(json_object_get(item, "price")));
    return check_same_currency(full_name, field, &price, amount, e);
}

static int check_url(const char *full_name, const json_t *params, const char *name, bool required,
                     struct mt_error *e) {
    const char *url = param_str(params, name);
    char host[256];
    if (url == NULL && !required) return 0;
    if (url == NULL)
        return mt_fail(e, MT_INVALID_REQUEST,
                       "%s: field \"%s\" is missing; integration_type \"url\" needs it", full_name, name);
    if (url_host(url, host, sizeof(host))) return 0;
    return mt_fail(e, MT_INVALID_REQUEST,
                   "%s: field \"%s\" is no URL; wanted http:// or https:// with a host", full_name, name);
}

const char *mintro_intent_id(const json_t *params) {
    const char *id = param_str(params, "intent_id");
    return id != NULL ? id : param_str(params, "id");
}

bool mintro_is_recurring(const json_t *params) {
    const char *type = param_str(params, "intent_type");
    return type != NULL && strcmp(type, "recurring") == 0;
}

int mintro_check_create(const struct mt_operation *op, const char *full_name, const json_t *params,
                        struct mt_error *e) {
    struct mt_money amount;
    const json_t *items = param(params, "order_items");
    const char *currency = param_str(params, "currency"),
               *integration = param_str(params, "integration_type");
    bool by_url = integration != NULL && strcmp(integration, "url") == 0;
    if (!value_money(param(params, "amount"), &amount) || amount.minor <= 0)
        return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"amount\": wanted money of more than zero",
                       full_name);
    if (currency != NULL && strcmp(currency, amount.currency) != 0)
        return mt_fail(e, MT_INVALID_REQUEST,
                       "%s: field \"currency\" is \"%.10s\" but \"amount\" is in %s; leave \"currency\" out",
                       full_name, currency, amount.currency);
    if (mintro_is_recurring(params) && param(params, "interval_days") == NULL)
        return mt_fail(e, MT_INVALID_REQUEST,
                       "%s: field \"interval_days\" is missing; intent_type \"recurring\" needs it",
                       full_name);
    if (!mintro_is_recurring(params) && param(params, "interval_days") != NULL)
        return mt_fail(
            e, MT_INVALID_REQUEST,
            "%s: field \"interval_days\" is for intent_type \"recurring\", which is not what was asked for",
            full_name);
    if (mintro_check_reference(op, full_name, params, e) != 0 ||
        check_part(full_name, params, "tax", &amount, e) != 0 ||
        check_part(full_name, params, "discount", &amount, e) != 0 ||
        check_url(full_name, params, "success_url", by_url, e) != 0 ||
        check_url(full_name, params, "cancel_url", by_url, e) != 0)
        return -1;
    for (size_t i = 0; i < json_array_size(items); i++)
        if (check_item(full_name, i, json_array_get(items, i), &amount, e) != 0) return -1;
    return 0;
}
