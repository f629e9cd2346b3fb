/* What Mintro says when it is asked afterwards: after an unknown outcome, while waiting for an intent to
 * settle, and before giving one back. Invariant: a create counts as not sent only when Mintro itself says
 * that there is no such intent. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/private.h"
#include <string.h>

/* ---- after an unknown outcome ---- */

int mintro_reconcile_create(const struct mt_operation *op, const json_t *params, const char **read_operation,
                            json_t **read_params) {
    (void)op;
    *read_operation = "intents.get_by_reference";
    *read_params = json_pack("{s:s}", "reference_id", mt_json_str(params, "reference_id", ""));
    return *read_params != NULL ? 0 : -1;
}

/* The members that the create's own answer has. */
static json_t *as_created(const json_t *found) {
    static const char *const members[] = {"intent_id", "status", "amount", "payment_url"};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_t *v = json_object_get(found, members[i]);
        if (v != NULL) json_object_set(o, members[i], v);
    }
    return o;
}

static enum mt_outcome conflict(const struct mt_operation *op, struct mt_error *e, const char *what,
                                const char *id) {
    mt_fail(e, MT_CONFLICT, "mintro.%s: %s %.100s", op->name, what, id);
    e->outcome = MT_REJECTED;
    mt_copy(e->provider, sizeof(e->provider), "mintro");
    mt_copy(e->operation, sizeof(e->operation), op->name);
    return MT_REJECTED;
}

enum mt_outcome mintro_reconciled_create(const struct mt_operation *op, const json_t *params,
                                         const json_t *found, const struct mt_error *read_error,
                                         json_t **value, struct mt_error *e) {
    struct mt_money asked, got;
    const json_t *amount = json_object_get(found, "amount");
    struct mt_error ignored;
    if (found == NULL)
        return read_error != NULL && read_error->kind == MT_NOT_FOUND ? MT_NOT_SENT : MT_UNKNOWN;
    if (!value_money(param(params, "amount"), &asked)) return MT_UNKNOWN;
    const char *reference = mt_json_str(found, "reference_id", NULL),
               *type = mt_json_str(found, "type", NULL);
    if (reference != NULL && strcmp(reference, mt_json_str(params, "reference_id", "")) != 0)
        return MT_UNKNOWN;
    if (!value_money(amount, &got) && mt_money_from_json_number(amount, asked.currency, &got, &ignored) != 0)
        return MT_UNKNOWN;
    if (!mt_money_equal(&asked, &got) ||
        (type != NULL && (strcmp(type, "recurring") == 0) != mintro_is_recurring(params)))
        return conflict(op, e, "reference_id belongs to another payment, intent",
                        mt_json_str(found, "intent_id", ""));
    *value = as_created(found);
    json_object_set_new(*value, "amount", value_from_money(&got));
    return MT_DONE;
}

int mintro_reconcile_cancel(const struct mt_operation *op, const json_t *params, const char **read_operation,
                            json_t **read_params) {
    (void)op;
    const char *id = mintro_intent_id(params);
    *read_operation = "intents.get";
    *read_params = id != NULL ? json_pack("{s:s}", "intent_id", id) : NULL;
    return *read_params != NULL ? 0 : -1;
}

enum mt_outcome mintro_reconciled_cancel(const struct mt_operation *op, const json_t *params,
                                         const json_t *found, const struct mt_error *read_error,
                                         json_t **value, struct mt_error *e) {
    (void)params, (void)read_error;
    const char *status = mt_json_str(found, "status", ""), *id = mt_json_str(found, "intent_id", "");
    if (strcmp(status, "cancelled") == 0) {
        *value = json_pack("{s:s, s:s}", "intent_id", id, "status", "cancelled");
        return MT_DONE;
    }
    if (strcmp(status, "requires_payment") == 0) return MT_NOT_SENT;
    if (strcmp(status, "succeeded") == 0)
        return conflict(op, e, "paid, so it cannot be cancelled any more: intent", id);
    if (strcmp(status, "expired") == 0)
        return conflict(op, e, "expired, so there is nothing to cancel: intent", id);
    return MT_UNKNOWN;
}

/* ---- settled, release ---- */

bool mintro_at_rest(const struct mt_operation *op, const json_t *object) {
    (void)op;
    const char *status = mt_json_str(object, "status", "");
    return strcmp(status, "succeeded") == 0 || strcmp(status, "cancelled") == 0 ||
           strcmp(status, "expired") == 0;
}

int mintro_decide(const struct mt_operation *op, const json_t *params, const json_t *object,
                  const char **operation, json_t **operation_params, struct mt_error *e) {
    const char *status = mt_json_str(object, "status", ""), *id = mintro_intent_id(params);
    *operation = NULL;
    if (id == NULL) id = mt_json_str(object, "intent_id", "");
    if (strcmp(status, "cancelled") == 0 || strcmp(status, "expired") == 0) return 0;
    if (strcmp(status, "requires_payment") == 0) {
        *operation = "intents.cancel";
        *operation_params = json_pack("{s:s}", "intent_id", id);
        return 0;
    }
    if (strcmp(status, "succeeded") == 0)
        mt_fail(e, MT_UNSUPPORTED,
                "mintro.%s: intent %.100s is paid, and Mintro's API has no refund; refund it in Mintro's own "
                "dashboard",
                op->name, id);
    else
        mt_fail(e, MT_CONFLICT, "mintro.%s: intent %.100s is \"%.40s\", a status Mintro does not document",
                op->name, id, status);
    e->outcome = MT_REJECTED;
    mt_copy(e->provider, sizeof(e->provider), "mintro");
    mt_copy(e->operation, sizeof(e->operation), op->name);
    return -1;
}
