/* Paymnt's answers: payments, refunds, lists, and errors in both dialects (type, error_type or neither). The
 * invariant that matters: HTTP 200 may carry a refusal ("blocked"), and a decline is no error but a payment
 * whose status is "failed". No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/paymnt.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

/* ---- errors ---- */

/* What a processor's own code says about trying the same card again. */
static const char *const hard_declines[] = {
    "expired_card", "card_not_supported", "incorrect_number", "incorrect_cvc",      "invalid_cvc",
    "do_not_honor", "not_permitted",      "restricted_card",  "pickup_card",        "fraudulent",
    "lost_card",    "stolen_card",        "invalid_account",  "security_violation", "stop_payment_order"};

static const struct mt_error_row *row_of(const char *code) {
    for (const struct mt_error_row *row = paymnt_errors; code != NULL && row->code != NULL; row++)
        if (strcmp(row->code, code) == 0) return row;
    return NULL;
}

static bool is_hard(const char *code) {
    for (size_t i = 0; i < sizeof(hard_declines) / sizeof(hard_declines[0]); i++)
        if (strcmp(hard_declines[i], code) == 0) return true;
    return false;
}

/* {"error":{...}}, or a body that is the error itself. NULL: the answer says of no error. */
static const json_t *error_of(const struct mt_http_response *resp, const json_t *body) {
    const json_t *error = json_object_get(body, "error");
    if (json_is_object(error)) return error;
    if (json_is_string(error)) return body; /* {"error":"text"} */
    bool failed = resp->status >= 400;
    return failed && (json_object_get(body, "message") != NULL || json_object_get(body, "code") != NULL)
               ? body
               : NULL;
}

static const char *type_of(const json_t *error) {
    return mt_json_str(error, "type", mt_json_str(error, "error_type", NULL));
}

/* "amount must be a positive integer (field amount) [req_01H9]" */
static void said_by(const json_t *error, struct mt_buf *said) {
    const char *text = mt_json_str(error, "message", mt_json_str(error, "error_message", NULL));
    const char *field = mt_json_str(json_object_get(error, "details"), "field", NULL);
    const char *reason = mt_json_str(error, "reason", NULL),
               *request = mt_json_str(error, "request_id", NULL);
    mt_buf_adds(said, text != NULL ? text : mt_json_str(error, "error", ""));
    if (reason != NULL && (text == NULL || strcmp(reason, text) != 0)) mt_buf_addf(said, ": %s", reason);
    if (field != NULL) mt_buf_addf(said, " (field %s)", field);
    if (request != NULL) mt_buf_addf(said, " [%s]", request);
}

static int not_understood(const struct mt_operation *op, const struct mt_http_response *resp,
                          const char *what, struct mt_error *e) {
    const char *type = mt_headers_get(&resp->headers, "Content-Type");
    answer_fail("paymnt", op, resp, MT_PROTOCOL, MT_UNKNOWN, e,
                "paymnt.%s: the answer was not understood: %s (status %d, %.60s, %zu bytes)", op->name, what,
                resp->status, type != NULL ? type : "no content type", resp->body.len);
    e->retryable = true;
    return -1;
}

/* The first request of this key is still under way: no refusal, and nothing else may be sent for it. */
static bool in_flight(const struct mt_operation *op, const struct mt_http_response *resp, const char *code,
                      const struct mt_error *e) {
    if (resp->status != 409 || op->repeat != MT_REPEAT_KEYED) return false;
    return e->retry_after_s > 0 || strcasestr(code, "idempoten") != NULL ||
           strcasestr(e->message, "idempoten") != NULL;
}

static void take_row(const struct mt_error_row *row, struct mt_error *e) {
    if (row == NULL) return;
    e->kind = row->kind;
    e->retryable = row->retryable;
    e->hard = row->hard;
}

/* The code decides what it is; without one that we know, its type; without that, the status. */
static int refused(const struct mt_operation *op, const struct mt_http_response *resp, const json_t *error,
                   struct mt_error *e) {
    struct mt_buf said;
    const char *code = mt_json_str(error, "code", ""), *type = type_of(error);
    mt_buf_init(&said, 4096);
    if (error != NULL) said_by(error, &said);
    if (resp->status < 300) {
        answer_fail("paymnt", op, resp, MT_DECLINED, MT_REJECTED, e, "paymnt.%s: refused: %s", op->name,
                    said.data);
    } else {
        answer_status("paymnt", op, paymnt_errors, resp, said.data, e);
    }
    mt_buf_clear(&said);
    if (resp->status == 404 && op->repeat == MT_REPEAT_READ && error == NULL)
        return not_understood(op, resp, "no error of Paymnt's", e);
    const struct mt_error_row *by_type = row_of(type), *by_code = row_of(code);
    take_row(by_code != NULL ? by_code : by_type, e);
    if (is_hard(code)) e->hard = true;
    if (code[0] != '\0')
        mt_copy(e->code, sizeof(e->code), code);
    else if (type != NULL)
        mt_copy(e->code, sizeof(e->code), type);
    if (strcmp(code, "IR_00") == 0) e->outcome = MT_REJECTED; /* 501: it offers no such thing */
    if (in_flight(op, resp, code, e)) {
        e->outcome = MT_UNKNOWN;
        e->retryable = true;
    }
    return -1;
}

/* The answer's JSON, when it is no error. New reference, or NULL and *e. */
static json_t *read_body(const struct mt_operation *op, const struct mt_http_response *resp,
                         struct mt_error *e) {
    json_t *body = answer_json(resp);
    const json_t *error = error_of(resp, body);
    if (resp->status < 200 || resp->status >= 300 || error != NULL) {
        refused(op, resp, error, e);
    } else if (!json_is_object(body) && !json_is_array(body)) {
        not_understood(op, resp, body == NULL ? "no JSON" : "no JSON object", e);
    } else {
        return value_from_plain(body);
    }
    json_decref(body);
    return NULL;
}

/* ---- objects ---- */

static void decode_money(json_t *object, const char *name, const char *currency) {
    struct mt_money m;
    struct mt_error ignored;
    const json_t *v = json_object_get(object, name);
    if (!json_is_integer(v) ||
        mt_money_from_minor((int64_t)json_integer_value(v), currency, NULL, &m, &ignored) != 0)
        return; /* what could not be read as an amount stays as it came */
    json_object_set_new(object, name, value_from_money(&m));
}

/* The currency's code in capitals; false when there is none. */
static bool currency_of(json_t *object, char out[4]) {
    const char *currency = mt_json_str(object, "currency", "");
    if (strlen(currency) != 3) return false;
    for (int i = 0; i < 4; i++) out[i] = (char)toupper((unsigned char)currency[i]);
    json_object_set_new(object, "currency", json_string(out));
    return true;
}

static void normalise_status(json_t *object) {
    if (strcasecmp(mt_json_str(object, "status", ""), "canceled") == 0)
        json_object_set_new(object, "status", json_string("cancelled"));
}

json_t *paymnt_refund(json_t *refund) {
    char currency[4];
    normalise_status(refund);
    if (currency_of(refund, currency)) decode_money(refund, "amount", currency);
    return refund;
}

static void decode_parts(json_t *payment, const char *name, const char *currency) {
    json_t *part, *parts = json_object_get(payment, name);
    size_t i;
    json_array_foreach(parts, i, part) {
        char own[4];
        normalise_status(part);
        decode_money(part, "amount", currency_of(part, own) ? own : currency);
    }
}

json_t *paymnt_payment(json_t *payment) {
    static const char *const amounts[] = {"amount",          "net_amount",      "amount_capturable",
                                          "amount_received", "amount_captured", "shipping_cost",
                                          "order_tax_amount"};
    char currency[4];
    normalise_status(payment);
    json_object_del(payment, "client_secret"); /* whoever has it can act for the customer */
    if (!currency_of(payment, currency)) return payment;
    for (size_t i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++)
        decode_money(payment, amounts[i], currency);
    decode_parts(payment, "refunds", currency);
    decode_parts(payment, "captures", currency);
    decode_parts(payment, "attempts", currency);
    return payment;
}

/* An object that says which one it is, the one that was asked for, and how it is. */
static int read_object(const struct mt_operation *op, const json_t *params,
                       const struct mt_http_response *resp, const char *name, json_t **object,
                       struct mt_error *e) {
    json_t *body = read_body(op, resp, e);
    if (body == NULL) return -1;
    const char *id = mt_json_str(body, name, ""), *asked = paymnt_id(params, name), *wrong = NULL;
    if (id[0] == '\0')
        wrong = strcmp(name, "refund_id") == 0 ? "it has no refund_id" : "it has no payment_id";
    else if (mt_json_str(body, "status", "")[0] == '\0')
        wrong = "it has no status";
    else if (asked != NULL && strcmp(asked, id) != 0)
        wrong = "it is about another object";
    if (wrong == NULL) {
        *object = body;
        return 0;
    }
    json_decref(body);
    return not_understood(op, resp, wrong, e);
}

int paymnt_read_payment(const struct mt_operation *op, const json_t *params,
                        const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    json_t *payment = NULL;
    if (read_object(op, params, resp, "payment_id", &payment, e) != 0) return -1;
    *value = paymnt_payment(payment);
    return 0;
}

/* The one answer that keeps the client_secret, for a page's own script; the row seals it. */
int paymnt_read_created(const struct mt_operation *op, const json_t *params,
                        const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    json_t *payment = NULL;
    if (read_object(op, params, resp, "payment_id", &payment, e) != 0) return -1;
    json_t *secret = json_incref(json_object_get(payment, "client_secret"));
    *value = paymnt_payment(payment);
    if (json_is_string(secret)) json_object_set(*value, "client_secret", secret);
    json_decref(secret);
    return 0;
}

int paymnt_read_refund(const struct mt_operation *op, const json_t *params,
                       const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    json_t *refund = NULL;
    if (read_object(op, params, resp, "refund_id", &refund, e) != 0) return -1;
    *value = paymnt_refund(refund);
    return 0;
}

/* {"data":[...], ...}, or the bare array that the published description says. */
static int read_list(const struct mt_operation *op, const struct mt_http_response *resp,
                     json_t *(*item)(json_t *), json_t **value, struct mt_error *e) {
    json_t *body = read_body(op, resp, e), *entry;
    size_t i;
    if (body == NULL) return -1;
    if (json_is_array(body)) {
        json_t *list = body;
        body = json_object();
        json_object_set_new(body, "data", list);
    }
    json_t *data = json_object_get(body, "data");
    if (!json_is_array(data)) {
        json_decref(body);
        return not_understood(op, resp, "it has no list", e);
    }
    json_array_foreach(data, i, entry) {
        item(entry);
    }
    *value = body;
    return 0;
}

int paymnt_read_payments(const struct mt_operation *op, const json_t *params,
                         const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    (void)params;
    return read_list(op, resp, paymnt_payment, value, e);
}

int paymnt_read_refunds(const struct mt_operation *op, const json_t *params,
                        const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    (void)params;
    return read_list(op, resp, paymnt_refund, value, e);
}
