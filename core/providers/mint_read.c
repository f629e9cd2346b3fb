/* Reading MINT's answers: four shapes of success, four of refusal, amounts with four digits after the point.
 * Invariant: a refusal is definite only in MINT's own words or a status below 500; a success that is not
 * understood is unknown, since money may have moved. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/private.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int not_understood(const struct mt_operation *op, const struct mt_http_response *resp,
                          const char *what, struct mt_error *e) {
    const char *type = mt_headers_get(&resp->headers, "Content-Type");
    answer_fail("mint", op, resp, MT_PROTOCOL, MT_UNKNOWN, e,
                "mint.%s: the answer was not understood: %s (status %d, %.60s, %zu bytes)", op->name, what,
                resp->status, type != NULL ? type : "no content type", resp->body.len);
    e->retryable = true;
    return -1;
}

/* ---- refusals ---- */

struct refusal {
    char code[32]; /* "" when it names none */
    const char *said;
};

static void take_code(const json_t *v, char out[32]) {
    if (json_is_integer(v))
        snprintf(out, 32, "%" PRId64, (int64_t)json_integer_value(v));
    else if (json_is_string(v))
        mt_copy(out, 32, json_string_value(v));
}

/* {"error":{"code","message"}}, {"error_code","error_message"}, {"code","error","type"}; anything less is "".
 */
static struct refusal refusal_of(const json_t *body) {
    struct refusal r = {.code = "", .said = ""};
    const json_t *error = json_object_get(body, "error"), *from = json_is_object(error) ? error : body;
    take_code(json_object_get(from, "code"), r.code);
    if (r.code[0] == '\0') take_code(json_object_get(body, "error_code"), r.code);
    r.said = mt_json_str(from, "message", mt_json_str(body, "error_message", mt_json_str(body, "error", "")));
    return r;
}

static const struct mt_error_row *row_of(const char *code) {
    for (const struct mt_error_row *row = mt_provider_mint.errors; row->code != NULL; row++)
        if (strcmp(row->code, code) == 0) return row;
    return NULL;
}

static int refused_with(const struct mt_operation *op, const struct mt_http_response *resp,
                        const struct mt_error_row *row, const char *said, struct mt_error *e) {
    char hint[200] = "";
    bool same = said[0] == '\0' || strcasecmp(said, row->meaning) == 0;
    if (strcmp(row->code, "-32011") == 0) {
        const char *date = mt_headers_get(&resp->headers, "Date");
        mt_format(hint, sizeof(hint),
                  " (set this machine's clock: the signature's time was not MINT's%s%.40s)",
                  date != NULL ? ", which was " : "", date != NULL ? date : "");
    }
    answer_fail("mint", op, resp, row->kind, resp->status < 500 ? MT_REJECTED : MT_UNKNOWN, e,
                "mint.%s: %s %s%s%s%s", op->name, row->code, row->meaning, same ? "" : ": ", same ? "" : said,
                hint);
    e->hard = row->hard;
    e->retryable = row->retryable || resp->status >= 500;
    mt_copy(e->code, sizeof(e->code), row->code);
    return -1;
}

static int refused(const struct mt_operation *op, const json_t *params, const struct mt_http_response *resp,
                   const json_t *body, struct mt_error *e) {
    struct refusal r = refusal_of(body);
    const struct mt_error_row *row = r.code[0] != '\0' ? row_of(r.code) : NULL;
    if (row != NULL) {
        refused_with(op, resp, row, r.said, e);
    } else if (resp->status >= 300) {
        answer_status("mint", op, mt_provider_mint.errors, resp, r.said, e);
    } else { /* a code that is not documented; the redemption's own sample has one */
        answer_fail("mint", op, resp, MT_DECLINED, MT_REJECTED, e, "mint.%s: refused: %s%s%s", op->name,
                    r.code, r.code[0] != '\0' && r.said[0] != '\0' ? " " : "", r.said);
    }
    if (row == NULL && r.code[0] != '\0') mt_copy(e->code, sizeof(e->code), r.code);
    /* The engine sends again what is retryable; this is not, however definite the no was. */
    if (e->outcome == MT_REJECTED && mt_operation_repeat(op, params) == MT_REPEAT_UNSAFE)
        e->retryable = false;
    return -1;
}

static bool truthy(const json_t *v) {
    const char *s = json_string_value(v);
    return json_is_true(v) || (json_is_integer(v) && json_integer_value(v) == 1) ||
           (s != NULL && (strcmp(s, "1") == 0 || strcasecmp(s, "true") == 0));
}

/* The whole answer when it says success; new reference. NULL with *e otherwise. */
static json_t *succeeded(const struct mt_operation *op, const json_t *params,
                         const struct mt_http_response *resp, struct mt_error *e) {
    json_t *body = answer_json(resp), *success = json_object_get(body, "success");
    bool ok = resp->status >= 200 && resp->status < 300;
    if (ok && truthy(success)) return value_from_plain(body);
    struct refusal r = refusal_of(body);
    if (!ok || r.code[0] != '\0' || (success != NULL && !json_is_null(success)))
        refused(op, params, resp, body, e);
    else
        not_understood(op, resp, body == NULL ? "no JSON" : "it does not say whether it succeeded", e);
    json_decref(body);
    return NULL;
}

/* ---- amounts ---- */

/* object[to] becomes the money that object[from] is in `currency`; untouched when money cannot hold it
 * exactly. */
static void add_money(json_t *object, const char *from, const char *currency, const char *to) {
    struct mt_money m;
    struct mt_error ignored;
    const json_t *v = json_object_get(object, from);
    if (v != NULL && currency != NULL && mt_money_from_json_number(v, currency, &m, &ignored) == 0)
        json_object_set_new(object, to, value_from_money(&m));
}

static void make_integer(json_t *object, const char *name) {
    int64_t n;
    const char *s = json_string_value(json_object_get(object, name));
    if (s != NULL && mt_parse_int(s, INT64_MIN, INT64_MAX, &n))
        json_object_set_new(object, name, json_integer(n));
}

/* A list or a single one as {NAME: list, "reference"}. */
static json_t *as_list(const json_t *answer, const char *name) {
    json_t *data = json_object_get(answer, "data"), *value = json_object(), *list;
    list = json_is_object(data) ? json_pack("[O]", data) : json_incref(data);
    json_object_set_new(value, name, list);
    json_t *reference = json_object_get(answer, "reference");
    if (reference != NULL) json_object_set(value, "reference", reference);
    return value;
}

/* ---- the operations' answers ---- */

int mint_read_epins(const struct mt_operation *op, const json_t *params, const struct mt_http_response *resp,
                    json_t **value, struct mt_error *e) {
    static const char *const integers[] = {"pin_id", "pin_time_expired", "pin_generated_time", "cu_id"};
    struct mt_money asked;
    bool known = value_money(param(params, "amount"), &asked);
    json_t *answer = succeeded(op, params, resp, e), *data = json_object_get(answer, "data"), *epin;
    if (answer == NULL) return -1;
    if (!json_is_object(json_array_get(data, 0)) && !json_is_string(json_object_get(data, "pin_code"))) {
        json_decref(answer);
        return not_understood(op, resp, "it has no ePINs", e);
    }
    *value = as_list(answer, "epins");
    json_decref(answer);
    size_t i;
    json_array_foreach(json_object_get(*value, "epins"), i, epin) {
        const char *currency = mt_json_str(epin, "cu_code", known ? asked.currency : NULL);
        add_money(epin, "pin_nominal_value", currency, "pin_nominal_value");
        add_money(epin, "pin_tr_amount", currency, "pin_tr_amount");
        for (size_t k = 0; k < sizeof(integers) / sizeof(integers[0]); k++) make_integer(epin, integers[k]);
    }
    return 0;
}

int mint_read_redeemed(const struct mt_operation *op, const json_t *params,
                       const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    struct mt_money paid;
    bool known = value_money(param(params, "amount"), &paid);
    json_t *answer = succeeded(op, params, resp, e);
    if (answer == NULL) return -1;
    add_money(answer, "change_amount", mt_json_str(answer, "change_currency", known ? paid.currency : NULL),
              "change_amount");
    json_object_del(answer, "success");
    *value = answer;
    return 0;
}

/* Balances have four digits after the point, so money can hold some and not others: the text is always there,
 * under the document's name, and the money beside it when it is exact. */
static bool read_balance(json_t *balance) {
    const json_t *amount = json_object_get(balance, "balance_amount");
    if (!json_is_string(json_object_get(balance, "cu_code")) ||
        (!json_is_string(amount) && !json_is_number(amount)))
        return false;
    add_money(balance, "balance_amount", mt_json_str(balance, "cu_code", NULL), "balance");
    return true;
}

int mint_read_balances(const struct mt_operation *op, const json_t *params,
                       const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    json_t *answer = succeeded(op, params, resp, e), *data = json_object_get(answer, "data"), *balance;
    if (answer == NULL) return -1;
    bool whole = json_is_array(data) || json_is_object(data);
    if (whole) *value = as_list(answer, "balances");
    json_decref(answer);
    size_t i;
    if (whole)
        json_array_foreach(json_object_get(*value, "balances"), i, balance) whole =
            whole && read_balance(balance);
    if (whole) return 0;
    json_decref(*value);
    *value = NULL;
    return not_understood(op, resp, "it has no balances", e);
}

/* The document gives one URL for both shapes, so a list is looked through. */
int mint_read_balance(const struct mt_operation *op, const json_t *params,
                      const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    json_t *list = NULL, *balance;
    if (mint_read_balances(op, params, resp, &list, e) != 0) return -1;
    size_t i;
    json_array_foreach(json_object_get(list, "balances"), i, balance) {
        if (strcmp(mt_json_str(balance, "cu_code", ""), mt_json_str(params, "currency", "")) != 0) continue;
        *value = json_incref(balance);
        json_t *reference = json_object_get(list, "reference");
        if (reference != NULL) json_object_set(*value, "reference", reference);
        break;
    }
    json_decref(list);
    return *value != NULL ? 0 : not_understood(op, resp, "it has no balance in that currency", e);
}
