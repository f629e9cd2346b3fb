/* What Paymint says when it is asked afterwards: after an unknown outcome, while waiting for a bill to
 * settle, and before taking one back; and the bill_id that is made for a script that gave none. Invariant: a
 * bill counts as not sent only when Paymint itself says that there is no such bill. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/private.h"
#include <string.h>

/* ---- bill ids ---- */

json_t *paymint_identify(const struct mt_operation *op, const json_t *params, const char *key) {
    (void)op;
    json_t *whole = json_copy((json_t *)(uintptr_t)params);
    if (param(params, "bill_id") == NULL)
        json_object_set_new(whole, "bill_id", json_stringn(key, strnlen(key, PAYMINT_BILL_ID_MAX)));
    return whole;
}

/* ---- after an unknown outcome ---- */

static enum mt_outcome refuse(const struct mt_operation *op, struct mt_error *e, const char *what,
                              const char *id) {
    mt_fail(e, MT_CONFLICT, "paymint.%s: %s: bill %.40s", op->name, what, id);
    e->outcome = MT_REJECTED;
    mt_copy(e->provider, sizeof(e->provider), "paymint");
    mt_copy(e->operation, sizeof(e->operation), op->name);
    return MT_REJECTED;
}

int paymint_reconcile_bill(const struct mt_operation *op, const json_t *params, const char **read_operation,
                           json_t **read_params) {
    (void)op;
    const char *id = param_str(params, "bill_id");
    *read_operation = "bills.read";
    *read_params = id != NULL ? json_pack("{s:s}", "bill_id", id) : NULL;
    return *read_params != NULL ? 0 : -1;
}

/* A gateway's or a proxy's 404 says nothing about bills. */
static bool no_such_bill(const struct mt_error *read_error) {
    return read_error != NULL && read_error->outcome == MT_REJECTED &&
           (strcmp(read_error->code, "9980") == 0 || strcmp(read_error->code, "BILL_003") == 0);
}

static bool other_price(const json_t *params, const json_t *found) {
    struct mt_money asked, got;
    return value_money(param(params, "price"), &asked) &&
           value_money(json_object_get(found, "appr_price"), &got) && !mt_money_equal(&asked, &got);
}

/* The members of `names` that `found` has, with the words of success. */
static json_t *as_answered(const json_t *params, const json_t *found, const char *const *names) {
    json_t *o = json_pack("{s:s, s:s, s:s}", "bill_id", mt_json_str(params, "bill_id", ""), "code", "0000",
                          "msg", mt_json_str(found, "msg", ""));
    for (; *names != NULL; names++) {
        json_t *v = json_object_get(found, *names);
        if (v != NULL) json_object_set(o, *names, v);
    }
    return o;
}

static char state_of(const json_t *found) {
    return mt_json_str(found, "appr_state", "")[0];
}

enum mt_outcome paymint_reconciled_request(const struct mt_operation *op, const json_t *params,
                                           const json_t *found, const struct mt_error *read_error,
                                           json_t **value, struct mt_error *e) {
    static const char *const members[] = {"shortURL", NULL};
    if (found == NULL) return no_such_bill(read_error) ? MT_NOT_SENT : MT_UNKNOWN;
    if (strchr("FWCD", state_of(found)) == NULL || state_of(found) == '\0') return MT_UNKNOWN;
    if (other_price(params, found) || strcmp(mt_json_str(found, "appr_pay_type", ""), "CARD_RP") == 0)
        return refuse(op, e, "bill_id belongs to another payment", mt_json_str(params, "bill_id", ""));
    *value = as_answered(params, found, members);
    return MT_DONE;
}

enum mt_outcome paymint_reconciled_charge(const struct mt_operation *op, const json_t *params,
                                          const json_t *found, const struct mt_error *read_error,
                                          json_t **value, struct mt_error *e) {
    static const char *const members[] = {"appr_state", "appr_pay_type", "appr_num",
                                          "appr_dt",    "appr_price",    NULL};
    if (found == NULL) return no_such_bill(read_error) ? MT_NOT_SENT : MT_UNKNOWN;
    const char *type = mt_json_str(found, "appr_pay_type", "CARD_RP");
    if (state_of(found) != 'F')
        return MT_UNKNOWN; /* sent again it would be a duplicate, and it is not paid either */
    if (other_price(params, found) || strcmp(type, "CARD_RP") != 0)
        return refuse(op, e, "bill_id belongs to another payment", mt_json_str(params, "bill_id", ""));
    *value = as_answered(params, found, members);
    return MT_DONE;
}

enum mt_outcome paymint_reconciled_cancel(const struct mt_operation *op, const json_t *params,
                                          const json_t *found, const struct mt_error *read_error,
                                          json_t **value, struct mt_error *e) {
    static const char *const members[] = {"appr_num", "appr_origin_num", "appr_cancel_dt", NULL};
    const char *id = mt_json_str(params, "bill_id", "");
    if (found == NULL)
        return no_such_bill(read_error) ? refuse(op, e, "there is no such bill", id) : MT_UNKNOWN;
    switch (state_of(found)) {
    case 'C':
        *value = as_answered(params, found, members);
        return MT_DONE;
    case 'F':
        return MT_NOT_SENT;
    case 'W':
        return refuse(op, e, "not paid, so there is nothing to give back", id);
    case 'D':
        return refuse(op, e, "destroyed, so there is nothing to give back", id);
    default:
        return MT_UNKNOWN;
    }
}

enum mt_outcome paymint_reconciled_destroy(const struct mt_operation *op, const json_t *params,
                                           const json_t *found, const struct mt_error *read_error,
                                           json_t **value, struct mt_error *e) {
    static const char *const members[] = {NULL};
    const char *id = mt_json_str(params, "bill_id", "");
    /* A gateway that forgets what was destroyed says so in these words. */
    if (found == NULL && !no_such_bill(read_error)) return MT_UNKNOWN;
    switch (found != NULL ? state_of(found) : 'D') {
    case 'D':
        *value = as_answered(params, found, members);
        return MT_DONE;
    case 'W':
        return MT_NOT_SENT;
    case 'F':
        return refuse(op, e, "paid, so it cannot be destroyed any more", id);
    case 'C':
        return refuse(op, e, "cancelled, so there is nothing to destroy", id);
    default:
        return MT_UNKNOWN;
    }
}

int paymint_reconcile_delete(const struct mt_operation *op, const json_t *params, const char **read_operation,
                             json_t **read_params) {
    (void)op;
    *read_operation = "autopay.methods";
    *read_params = json_pack("{s:s}", "customer_id", mt_json_str(params, "customer_id", ""));
    return *read_params != NULL ? 0 : -1;
}

enum mt_outcome paymint_reconciled_delete(const struct mt_operation *op, const json_t *params,
                                          const json_t *found, const struct mt_error *read_error,
                                          json_t **value, struct mt_error *e) {
    (void)op, (void)e;
    const json_t *methods = json_object_get(found, "methods");
    if (found == NULL && !no_such_bill(read_error)) return MT_UNKNOWN;
    for (size_t i = 0; i < json_array_size(methods); i++) {
        const json_t *method = json_array_get(methods, i);
        bool same = strcmp(mt_json_str(method, "method_id", ""), mt_json_str(params, "method_id", "")) == 0;
        if (same && strcmp(mt_json_str(method, "status", "active"), "active") == 0) return MT_NOT_SENT;
    }
    *value = json_pack("{s:s, s:s, s:s}", "customer_id", mt_json_str(params, "customer_id", ""), "code",
                       "0000", "msg", mt_json_str(found, "msg", ""));
    return MT_DONE;
}

/* ---- settled, release ---- */

static bool is_expired(const json_t *bill) {
    return json_is_true(json_object_get(bill, "expired"));
}

bool paymint_at_rest(const struct mt_operation *op, const json_t *object) {
    (void)op;
    char state = state_of(object);
    return state == 'F' || state == 'C' || state == 'D' || is_expired(object);
}

int paymint_decide(const struct mt_operation *op, const json_t *params, const json_t *object,
                   const char **operation, json_t **operation_params, struct mt_error *e) {
    const char *id = mt_json_str(params, "bill_id", mt_json_str(object, "bill_id", ""));
    char state = state_of(object);
    const json_t *price = json_object_get(object, "appr_price");
    struct mt_money m;
    *operation = NULL;
    if (state == 'C' || state == 'D') return 0;
    if (state != 'W' && state != 'F') {
        refuse(op, e, "its appr_state is none that Paymint documents", id);
        return -1;
    }
    if (!value_money(price, &m) || m.minor <= 0) price = param(params, "price");
    if (price == NULL) {
        refuse(op, e, "its price is not known; give release the \"price\" too", id);
        return -1;
    }
    *operation = state == 'F' ? "bills.cancel" : "bills.destroy";
    *operation_params = json_pack("{s:s, s:O}", "bill_id", id, "price", price);
    return 0;
}
