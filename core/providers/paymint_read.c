/* Reading Paymint's answers. Refusals of the upstream come with HTTP 200 and a code, 402 means two things,
 * texts are in "msg" or "message". Invariant: what is not understood after a write leaves its outcome
 * unknown. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/private.h"
#include <string.h>
#include <strings.h>

static bool is_write(const struct mt_operation *op) {
    return op->repeat != MT_REPEAT_READ;
}

static const char *said_by(const json_t *body) {
    static const char *const names[] = {"error", "msg", "message"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *text = mt_json_str(body, names[i], "");
        if (text[0] != '\0') return text;
    }
    return "";
}

static int not_understood(const struct mt_operation *op, const struct mt_http_response *resp,
                          const char *what, struct mt_error *e) {
    const char *type = mt_headers_get(&resp->headers, "Content-Type");
    answer_fail("paymint", op, resp, MT_PROTOCOL, MT_UNKNOWN, e,
                "paymint.%s: the answer was not understood: %s (status %d, %.60s, %zu bytes)", op->name, what,
                resp->status, type != NULL ? type : "no content type", resp->body.len);
    e->retryable = true;
    return -1;
}

static const struct mt_error_row *row_of(const char *code) {
    const struct mt_error_row *row = mt_provider_paymint.errors;
    while (row->code != NULL && strcmp(row->code, code) != 0) row++;
    return row->code != NULL ? row : NULL;
}

/* A card company's no that asking again will not change: the card is lost, stolen, expired, stopped or
 * closed. Paymint has one code for every no, so it is told by the words; what they leave open may pass
 * another day. */
static bool card_is_gone(const char *said) {
    static const char *const words[] = {"분실",        "도난",         "유효기간",    "유효 기간",
                                        "거래정지",    "거래 정지",    "사용정지",    "사용 정지",
                                        "해지",        "lost_card",    "lost card",   "stolen_card",
                                        "stolen card", "expired_card", "expired card"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasestr(said, words[i]) != NULL) return true;
    return false;
}

/* The upstream's own code. "System error" is no answer to a write: nobody knows what it did before it failed.
 */
static int refused_upstream(const struct mt_operation *op, const struct mt_http_response *resp,
                            const char *code, const char *said, struct mt_error *e) {
    const struct mt_error_row *row = row_of(code);
    bool undefined = strcmp(code, "9999") == 0 || strcmp(code, "ERROR") == 0;
    bool broke = strcmp(code, "5000") == 0 && is_write(op);
    answer_fail("paymint", op, resp, row != NULL ? row->kind : MT_INVALID_REQUEST,
                broke ? MT_UNKNOWN : MT_REJECTED, e, "paymint.%s: %.40s: %s", op->name, code,
                said[0] != '\0' ? said
                : row != NULL   ? row->meaning
                                : "refused without a word");
    if (row != NULL) {
        e->retryable = row->retryable;
        e->hard = row->hard;
    }
    if (undefined && op == paymint_charge()) { /* there is no code of its own for a card's no */
        e->kind = MT_DECLINED;
        e->hard = card_is_gone(said);
        e->retryable = !e->hard;
    }
    mt_copy(e->code, sizeof(e->code), code);
    return -1;
}

/* 402: the licence ("upgrade required"), or the points that messages cost. */
static bool says_balance(const char *said) {
    return strcasestr(said, "balance") != NULL || strcasestr(said, "insufficient") != NULL ||
           strstr(said, "잔액") != NULL || strstr(said, "포인트") != NULL;
}

static int refused(const struct mt_operation *op, const struct mt_http_response *resp, const json_t *body,
                   struct mt_error *e) {
    const char *said = said_by(body), *code = mt_json_str(body, "code", "");
    if (resp->status >= 400 && resp->status < 500 && row_of(code) != NULL)
        return refused_upstream(op, resp, code, said, e);
    answer_status("paymint", op, mt_provider_paymint.errors, resp, resp->status >= 400 ? said : "", e);
    if (resp->status == 402 && says_balance(said)) {
        e->kind = MT_INSUFFICIENT_FUNDS;
        e->hard = false;
    }
    return -1;
}

/* The answer's object, with the members of "data", where newer deployments put them. 0 and a new reference,
 * or -1. */
static int read_object(const struct mt_operation *op, const struct mt_http_response *resp, bool coded,
                       json_t **object, struct mt_error *e) {
    json_t *body = answer_json(resp);
    int r = -1;
    const char *code = mt_json_str(body, "code", "");
    if (resp->status < 200 || resp->status >= 300) {
        refused(op, resp, body, e);
    } else if (!json_is_object(body)) {
        not_understood(op, resp, body == NULL ? "no JSON" : "no JSON object", e);
    } else if (code[0] != '\0' && strcmp(code, "0000") != 0) {
        refused_upstream(op, resp, code, said_by(body), e);
    } else if (code[0] == '\0' && mt_json_str(body, "error", "")[0] != '\0') {
        answer_fail("paymint", op, resp, MT_INVALID_REQUEST, MT_REJECTED, e, "paymint.%s: refused: %s",
                    op->name, said_by(body));
        mt_copy(e->code, sizeof(e->code), "error");
    } else if (coded && code[0] == '\0') {
        not_understood(op, resp, "it has no code", e);
    } else {
        json_t *plain = json_incref(body), *data = json_object_get(body, "data");
        if (json_is_object(data)) json_object_update_missing(plain, data);
        *object = value_from_plain(plain);
        r = 0;
    }
    json_decref(body);
    return r;
}

/* An amount that cannot be read stays as it came; an unpaid bill's may be "". */
static void decode_price(json_t *object) {
    struct mt_money m;
    struct mt_error ignored;
    const json_t *v = json_object_get(object, "appr_price");
    if (v != NULL && mt_money_from_json_number(v, "KRW", &m, &ignored) == 0)
        json_object_set_new(object, "appr_price", value_from_money(&m));
}

/* What every answer about a bill or a payer says of it, whether or not the gateway repeats it. */
static void complete(const struct mt_operation *op, const json_t *params, json_t *object) {
    static const char *const ids[] = {"bill_id", "customer_id"};
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        const char *id = param_str(params, ids[i]);
        bool own = strcmp(ids[i], "bill_id") == 0 || op != paymint_charge();
        if (id != NULL && own && json_object_get(object, ids[i]) == NULL)
            json_object_set_new(object, ids[i], json_string(id));
    }
}

int paymint_read_coded(const struct mt_operation *op, const json_t *params,
                       const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    if (read_object(op, resp, true, value, e) != 0) return -1;
    decode_price(*value);
    complete(op, params, *value);
    return 0;
}

static int lacking(const struct mt_operation *op, const struct mt_http_response *resp, json_t **value,
                   const char *what, struct mt_error *e) {
    json_decref(*value);
    *value = NULL;
    return not_understood(op, resp, what, e);
}

int paymint_read_bill(const struct mt_operation *op, const json_t *params,
                      const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    if (paymint_read_coded(op, params, resp, value, e) != 0) return -1;
    if (mt_json_str(*value, "appr_state", "")[0] == '\0')
        return lacking(op, resp, value, "it has no appr_state", e);
    return 0;
}

int paymint_read_sent(const struct mt_operation *op, const json_t *params,
                      const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    if (paymint_read_coded(op, params, resp, value, e) != 0) return -1;
    if (mt_json_str(*value, "bill_id", "")[0] == '\0')
        return lacking(op, resp, value, "it has no bill_id", e);
    return 0;
}

/* Charged is what says so; a code of success with another state is no such answer. */
int paymint_read_charge(const struct mt_operation *op, const json_t *params,
                        const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    if (paymint_read_sent(op, params, resp, value, e) != 0) return -1;
    if (strcmp(mt_json_str(*value, "appr_state", "F"), "F") != 0)
        return lacking(op, resp, value, "its appr_state is not F", e);
    return 0;
}

int paymint_read_page(const struct mt_operation *op, const json_t *params,
                      const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    if (paymint_read_coded(op, params, resp, value, e) != 0) return -1;
    if (mt_json_str(*value, "shortURL", "")[0] == '\0')
        return lacking(op, resp, value, "it has no shortURL", e);
    return 0;
}

int paymint_read_methods(const struct mt_operation *op, const json_t *params,
                         const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    if (read_object(op, resp, false, value, e) != 0) return -1;
    complete(op, params, *value);
    if (!json_is_array(json_object_get(*value, "methods")))
        return lacking(op, resp, value, "it has no methods", e);
    return 0;
}

int paymint_read_licenses(const struct mt_operation *op, const json_t *params,
                          const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    (void)params;
    if (read_object(op, resp, false, value, e) != 0) return -1;
    if (!json_is_array(json_object_get(*value, "licenses")))
        return lacking(op, resp, value, "it has no licenses", e);
    return 0;
}

int paymint_read_phone(const struct mt_operation *op, const json_t *params,
                       const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    (void)params;
    if (read_object(op, resp, false, value, e) != 0) return -1;
    if (mt_json_str(*value, "phone", "")[0] == '\0') return lacking(op, resp, value, "it has no phone", e);
    return 0;
}
