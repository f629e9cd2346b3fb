/* What Paymnt says when it is asked afterwards: after an unknown outcome, while waiting for a payment to
 * settle, and before giving one back. Invariant: a write counts as not sent only when Paymnt itself says that
 * there is no such object, or when the object's state shows it. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/paymnt.h"
#include <string.h>

static bool one_of(const char *status, const char *const *list) {
    for (; *list != NULL; list++)
        if (strcmp(*list, status) == 0) return true;
    return false;
}

static const char *status_of(const json_t *object) {
    return mt_json_str(object, "status", "");
}

static enum mt_outcome conflict(const struct mt_operation *op, struct mt_error *e, const char *what,
                                const char *id) {
    mt_fail(e, MT_CONFLICT, "paymnt.%s: %s %.100s", op->name, what, id);
    e->outcome = MT_REJECTED;
    mt_copy(e->provider, sizeof(e->provider), "paymnt");
    mt_copy(e->operation, sizeof(e->operation), op->name);
    return MT_REJECTED;
}

static enum mt_outcome it_is(const json_t *found, json_t **value) {
    *value = json_incref((json_t *)(uintptr_t)found);
    return MT_DONE;
}

/* "No such payment", and not "no such profile", which has the same code. */
static bool says_missing(const struct mt_error *read_error) {
    return read_error != NULL && read_error->kind == MT_NOT_FOUND &&
           strcasestr(read_error->message, "profile") == NULL;
}

/* ---- payments ---- */

static int read_by(const char *operation, const char *name, const json_t *params, const char **read_operation,
                   json_t **read_params) {
    const char *id = paymnt_id(params, name);
    *read_operation = operation;
    *read_params = id != NULL ? json_pack("{s:s}", name, id) : NULL;
    return *read_params != NULL ? 0 : -1;
}

int paymnt_reconcile_payment(const struct mt_operation *op, const json_t *params, const char **read_operation,
                             json_t **read_params) {
    (void)op;
    return read_by("payments.retrieve", "payment_id", params, read_operation, read_params);
}

enum mt_outcome paymnt_reconciled_create(const struct mt_operation *op, const json_t *params,
                                         const json_t *found, const struct mt_error *read_error,
                                         json_t **value, struct mt_error *e) {
    struct mt_money asked, got;
    if (found == NULL) return says_missing(read_error) ? MT_NOT_SENT : MT_UNKNOWN;
    if (!value_money(param(params, "amount"), &asked) || !value_money(json_object_get(found, "amount"), &got))
        return MT_UNKNOWN;
    if (!mt_money_equal(&asked, &got))
        return conflict(op, e, "payment_id belongs to a payment of another amount:",
                        mt_json_str(found, "payment_id", ""));
    return it_is(found, value);
}

static const char *const untouched[] = {"requires_payment_method", "requires_confirmation", NULL};
static const char *const ended_unpaid[] = {"cancelled", "expired", NULL};

enum mt_outcome paymnt_reconciled_confirm(const struct mt_operation *op, const json_t *params,
                                          const json_t *found, const struct mt_error *read_error,
                                          json_t **value, struct mt_error *e) {
    (void)params, (void)read_error;
    const char *status = status_of(found);
    if (status[0] == '\0') return MT_UNKNOWN;
    if (one_of(status, untouched)) return MT_NOT_SENT;
    if (one_of(status, ended_unpaid))
        return conflict(op, e, "cancelled or expired, so it cannot be confirmed any more: payment",
                        mt_json_str(found, "payment_id", ""));
    return it_is(found, value);
}

/* What has been captured; false when the answer does not say. */
static bool captured_of(const json_t *payment, struct mt_money *m) {
    if (value_money(json_object_get(payment, "amount_received"), m) ||
        value_money(json_object_get(payment, "amount_captured"), m))
        return true;
    return strcmp(status_of(payment), "succeeded") == 0 && value_money(json_object_get(payment, "amount"), m);
}

static const char *const capture_ended[] = {"cancelled", "failed", "expired", "cancelled_post_capture", NULL};

enum mt_outcome paymnt_reconciled_capture(const struct mt_operation *op, const json_t *params,
                                          const json_t *found, const struct mt_error *read_error,
                                          json_t **value, struct mt_error *e) {
    (void)read_error;
    const char *status = status_of(found);
    struct mt_money asked, got;
    bool some = value_money(param(params, "amount_to_capture"), &asked);
    if (strcmp(status, "requires_capture") == 0) return MT_NOT_SENT;
    if (one_of(status, capture_ended))
        return conflict(op, e, "nothing can be captured of it any more: payment",
                        mt_json_str(found, "payment_id", ""));
    if (!captured_of(found, &got) || (some && strcmp(asked.currency, got.currency) != 0)) return MT_UNKNOWN;
    if (strcmp(status, "partially_captured_and_capturable") == 0) {
        /* Less than was asked for: not ours. Otherwise ours, or an earlier one of several. */
        return !some || got.minor < asked.minor ? MT_NOT_SENT : MT_UNKNOWN;
    }
    if (strcmp(status, "succeeded") != 0 && strcmp(status, "partially_captured") != 0) return MT_UNKNOWN;
    if (some && got.minor < asked.minor)
        return conflict(op, e, "less than was asked for was captured, and no more can be: payment",
                        mt_json_str(found, "payment_id", ""));
    return it_is(found, value);
}

static const char *const cancellable[] = {
    "requires_payment_method",
    "requires_confirmation",
    "requires_customer_action",
    "requires_capture",
    "partially_authorized_and_requires_capture",
    "partially_captured_and_capturable",
    NULL,
};

enum mt_outcome paymnt_reconciled_cancel(const struct mt_operation *op, const json_t *params,
                                         const json_t *found, const struct mt_error *read_error,
                                         json_t **value, struct mt_error *e) {
    (void)params, (void)read_error;
    static const char *const too_late[] = {"succeeded", "failed", "expired", "cancelled_post_capture", NULL};
    const char *status = status_of(found);
    if (one_of(status, cancellable)) return MT_NOT_SENT;
    if (one_of(status, too_late))
        return conflict(op, e, "paid, failed or expired, so it cannot be cancelled any more: payment",
                        mt_json_str(found, "payment_id", ""));
    /* Cancelling what was captured in part leaves it partially_captured, with nothing capturable. */
    bool done = strcmp(status, "cancelled") == 0 || strcmp(status, "partially_captured") == 0;
    return done ? it_is(found, value) : MT_UNKNOWN;
}

/* ---- refunds ---- */

int paymnt_reconcile_refund(const struct mt_operation *op, const json_t *params, const char **read_operation,
                            json_t **read_params) {
    (void)op;
    return read_by("refunds.retrieve", "refund_id", params, read_operation, read_params);
}

enum mt_outcome paymnt_reconciled_refund(const struct mt_operation *op, const json_t *params,
                                         const json_t *found, const struct mt_error *read_error,
                                         json_t **value, struct mt_error *e) {
    struct mt_money asked, got;
    if (found == NULL) return says_missing(read_error) ? MT_NOT_SENT : MT_UNKNOWN;
    bool some = value_money(param(params, "amount"), &asked);
    if (some && !value_money(json_object_get(found, "amount"), &got)) return MT_UNKNOWN;
    if (strcmp(mt_json_str(found, "payment_id", ""), mt_json_str(params, "payment_id", "")) != 0 ||
        (some && !mt_money_equal(&asked, &got)))
        return conflict(op, e, "refund_id belongs to another refund:", mt_json_str(found, "refund_id", ""));
    return it_is(found, value);
}

/* ---- settled, release ---- */

/* Nothing more happens to it without us. What waits for the customer is not at rest. */
bool paymnt_payment_at_rest(const struct mt_operation *op, const json_t *payment) {
    static const char *const at_rest[] = {
        "succeeded",
        "failed",
        "cancelled",
        "cancelled_post_capture",
        "expired",
        "partially_captured",
        "requires_capture",
        "partially_captured_and_capturable",
        "partially_authorized_and_requires_capture",
        "requires_merchant_action",
        NULL,
    };
    (void)op;
    return one_of(status_of(payment), at_rest);
}

bool paymnt_refund_at_rest(const struct mt_operation *op, const json_t *refund) {
    static const char *const at_rest[] = {"succeeded", "failed", NULL};
    (void)op;
    return one_of(status_of(refund), at_rest);
}

/* What was captured and has not been refunded; false when the answer does not say. */
static bool left_of(const json_t *payment, struct mt_money *left) {
    const json_t *refunds = json_object_get(payment, "refunds");
    struct mt_error ignored;
    if (!captured_of(payment, left)) return false;
    for (size_t i = 0; i < json_array_size(refunds); i++) {
        const json_t *refund = json_array_get(refunds, i);
        struct mt_money m;
        if (strcmp(status_of(refund), "failed") == 0) continue;
        if (!value_money(json_object_get(refund, "amount"), &m) ||
            mt_money_sub(left, &m, left, &ignored) != 0)
            return false;
    }
    return true;
}

static int decide_refund(const struct mt_operation *op, const json_t *params, const json_t *payment,
                         const char *id, const char **operation, json_t **operation_params,
                         struct mt_error *e) {
    struct mt_money left;
    if (!left_of(payment, &left)) {
        conflict(op, e, "what is left to refund cannot be told from the answer about payment", id);
        return -1;
    }
    if (left.minor <= 0) return 0;
    *operation = "refunds.create";
    *operation_params = json_pack("{s:s, s:o}", "payment_id", id, "amount", value_from_money(&left));
    if (param_str(params, "reason") != NULL)
        json_object_set_new(*operation_params, "reason", json_string(param_str(params, "reason")));
    return 0;
}

int paymnt_decide(const struct mt_operation *op, const json_t *params, const json_t *payment,
                  const char **operation, json_t **operation_params, struct mt_error *e) {
    static const char *const nothing[] = {"cancelled", "failed", "expired", "cancelled_post_capture", NULL};
    const char *status = status_of(payment), *id = paymnt_id(params, "payment_id");
    *operation = NULL;
    if (id == NULL) id = mt_json_str(payment, "payment_id", "");
    if (one_of(status, nothing)) return 0;
    if (strcmp(status, "succeeded") == 0 || strcmp(status, "partially_captured") == 0)
        return decide_refund(op, params, payment, id, operation, operation_params, e);
    if (one_of(status, cancellable)) {
        *operation = "payments.cancel";
        *operation_params = json_pack("{s:s}", "payment_id", id);
        if (param_str(params, "reason") != NULL)
            json_object_set_new(*operation_params, "cancellation_reason",
                                json_string(param_str(params, "reason")));
        return 0;
    }
    char what[120];
    mt_format(what, sizeof(what),
              "its status is \"%.60s\", and only time can tell what to give back: payment", status);
    conflict(op, e, what, id);
    e->retryable = true;
    return -1;
}
