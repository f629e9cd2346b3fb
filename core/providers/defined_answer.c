/* Answers of a defined provider: values, refusals that come as 2xx, errors by the definition's table.
 * Invariant: only what is understood is believed; from 500 on, and of an answer that is no JSON, nobody
 * knows. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/define.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const json_t *defined_at(const json_t *value, const char *path) {
    char part[DEFINED_TEXT_MAX + 1];
    int64_t n;
    while (value != NULL && *path != '\0') {
        size_t len = strcspn(path, ".");
        mt_format(part, sizeof(part), "%.*s", (int)len, path);
        if (json_is_array(value))
            value = mt_parse_int(part, 1, INT32_MAX, &n) ? json_array_get(value, (size_t)n - 1) : NULL;
        else
            value = json_object_get(value, part);
        path += len + (path[len] == '.');
    }
    return json_is_null(value) ? NULL : value;
}

bool defined_holds(const json_t *condition, const json_t *object) {
    const char *path;
    json_t *wanted;
    json_object_foreach((json_t *)(uintptr_t)condition, path, wanted) {
        const json_t *found = defined_at(object, path);
        bool fits = !json_is_array(wanted) && json_equal(found, wanted);
        for (size_t i = 0; !fits && json_is_array(wanted) && i < json_array_size(wanted); i++)
            fits = json_equal(found, json_array_get(wanted, i));
        if (found == NULL || !fits) return false;
    }
    return true;
}

/* ---- money ---- */

static json_t *as_money(const struct defined *d, const json_t *v, const char *currency) {
    struct mt_money m;
    struct mt_error ignored;
    const struct mt_currency *known = mt_currency_parse(currency, &ignored);
    if (known == NULL) return NULL;
    if (d->money.amounts == DEFINED_MINOR) {
        if (!json_is_integer(v) ||
            mt_money_from_minor(json_integer_value(v), known->code, NULL, &m, &ignored) != 0)
            return NULL;
    } else if (mt_money_from_json_number(v, known->code, &m, &ignored) != 0) {
        return NULL;
    }
    return value_from_money(&m);
}

static bool is_amount(const struct defined *d, const char *name) {
    for (size_t i = 0; i < json_array_size(d->money.answers); i++)
        if (strcmp(json_string_value(json_array_get(d->money.answers, i)), name) == 0) return true;
    return false;
}

/* An amount whose currency nobody says, or that does not fit it, stays as it came. */
void defined_take_money(const struct defined *d, json_t *value, const char *currency) {
    const char *name;
    json_t *v;
    size_t i;
    if (d->money.answers == NULL) return;
    if (json_is_array(value)) {
        json_array_foreach(value, i, v) defined_take_money(d, v, currency);
        return;
    }
    if (!json_is_object(value)) return;
    if (d->money.currency != NULL)
        currency = mt_json_str(value,
                               strrchr(d->money.currency, '.') != NULL ? strrchr(d->money.currency, '.') + 1
                                                                       : d->money.currency,
                               currency);
    void *next;
    json_object_foreach_safe(value, next, name, v) {
        json_t *money = currency != NULL && is_amount(d, name) ? as_money(d, v, currency) : NULL;
        if (money != NULL)
            json_object_set_new(value, name, money);
        else
            defined_take_money(d, v, currency);
    }
}

/* The currency of the call's own amounts, for answers that do not repeat it. */
static const char *currency_of(const struct mt_operation *op, const json_t *params, struct mt_money *m) {
    for (const struct mt_param *p = op->params; p->name != NULL; p++)
        if (p->type == MT_P_MONEY && value_money(param(params, p->name), m)) return m->currency;
    return NULL;
}

/* ---- errors ---- */

/* A code is text or an integer. */
static bool code_at(const json_t *body, const char *path, char out[64]) {
    const json_t *v = path != NULL ? defined_at(body, path) : NULL;
    out[0] = '\0';
    if (json_is_string(v)) mt_copy(out, 64, json_string_value(v));
    if (json_is_integer(v)) snprintf(out, 64, "%lld", (long long)json_integer_value(v));
    return out[0] != '\0';
}

static const struct mt_error_row *row_of(const struct defined *d, const char *code) {
    for (const struct mt_error_row *row = d->errors; row->code != NULL; row++)
        if (strcmp(row->code, code) == 0) return row;
    return NULL;
}

static void said(const struct defined *d, const json_t *body, char out[201]) {
    const json_t *v = d->error_message != NULL ? defined_at(body, d->error_message) : NULL;
    mt_copy(out, 201, json_is_string(v) ? json_string_value(v) : "");
    for (char *c = out; *c != '\0'; c++)
        if ((unsigned char)*c < ' ') *c = ' ';
}

static void apply(const struct defined *d, const struct mt_error_row *row, struct mt_error *e) {
    e->kind = row->kind;
    e->retryable = row->retryable;
    e->hard = row->hard;
    if (!d->error_unknown[row - d->errors]) return;
    e->outcome = MT_UNKNOWN;
    e->retryable = true;
}

/* An answer below 300 that says no. */
static int refuse(const struct mt_operation *op, const struct mt_http_response *resp, const json_t *body,
                  enum mt_kind kind, const char *code, struct mt_error *e) {
    const struct defined *d = defined_operation(op)->of;
    const struct mt_error_row *row = row_of(d, code);
    char words[201];
    said(d, body, words);
    answer_fail(d->row.name, op, resp, kind, MT_REJECTED, e, "%s.%s: %s%s%s", d->row.name, op->name,
                code[0] != '\0' ? code : mt_kind_name(kind), words[0] != '\0' ? ": " : "", words);
    e->retryable = kind == MT_RATE_LIMITED || kind == MT_UNAVAILABLE || kind == MT_TIMEOUT;
    if (row != NULL) apply(d, row, e);
    mt_copy(e->code, sizeof(e->code), code);
    return -1;
}

static int read_error(const struct mt_operation *op, const json_t *params,
                      const struct mt_http_response *resp, const json_t *body, struct mt_error *e) {
    const struct defined *d = defined_operation(op)->of;
    char code[64], words[201];
    said(d, body, words);
    answer_status(d->row.name, op, NULL, resp, words, e);
    char status[64];
    mt_copy(status, sizeof(status), e->code);
    const struct mt_error_row *row = NULL;
    bool told = code_at(body, d->error_code, code);
    if (told) {
        row = row_of(d, code);
        mt_copy(e->code, sizeof(e->code), code);
    }
    if (row == NULL) row = row_of(d, status);
    if (row != NULL) apply(d, row, e);
    /* The first request of this key is still under way there: another key would do the work twice. */
    if (resp->status == 409 && e->retry_after_s > 0 && op->repeat == MT_REPEAT_KEYED) {
        e->outcome = MT_UNKNOWN;
        e->retryable = true;
    }
    /* A proxy's page or a wrong base URL is no word of theirs that there is no such object; believing a read
     * in that could have a call sent twice, so there something has to stand where their errors do. */
    told = told || words[0] != '\0' || (d->error_code == NULL && d->error_message == NULL);
    if (resp->status == 404 && (!json_is_object(body) || (op->repeat == MT_REPEAT_READ && !told))) {
        e->kind = MT_PROTOCOL;
        e->outcome = MT_UNKNOWN;
    }
    (void)params;
    return -1;
}

/* ---- answers ---- */

static int not_understood(const struct mt_operation *op, const struct mt_http_response *resp,
                          const char *what, struct mt_error *e) {
    const char *name = defined_operation(op)->of->row.name;
    return answer_fail(name, op, resp, MT_PROTOCOL, MT_UNKNOWN, e, "%s.%s: %d, but %s", name, op->name,
                       resp->status, what);
}

/* A 2xx that is a no after all: by a code that the table knows, or by the operation's conditions. */
static bool refused(const struct mt_operation *op, const struct mt_http_response *resp, const json_t *body,
                    struct mt_error *e) {
    const struct defined_operation *own = defined_operation(op);
    char code[64];
    const char *word;
    json_t *condition;
    enum mt_kind kind = MT_DECLINED;
    if (code_at(body, own->of->error_code, code) && row_of(own->of, code) != NULL) {
        refuse(op, resp, body, row_of(own->of, code)->kind, code, e);
        return true;
    }
    const json_t *object = own->at != NULL ? defined_at(body, own->at) : body;
    json_object_foreach((json_t *)(uintptr_t)own->refused, word, condition) {
        if (!defined_holds(condition, object)) continue;
        if (!code_at(object, own->code, code)) code_at(body, own->of->error_code, code);
        refuse(op, resp, body, (kind = mt_kind_from_name(word)), code, e);
        return true;
    }
    return false;
}

static int take_value(const struct mt_operation *op, const json_t *params,
                      const struct mt_http_response *resp, json_t *body, json_t **value, struct mt_error *e) {
    const struct defined_operation *own = defined_operation(op);
    struct mt_money m;
    const json_t *object = own->at != NULL ? defined_at(body, own->at) : body;
    if (object == NULL) {
        if (op->repeat != MT_REPEAT_READ) return not_understood(op, resp, "its answer lacks the object", e);
        return answer_fail(own->of->row.name, op, resp, MT_NOT_FOUND, MT_REJECTED, e, "%s.%s: there is none",
                           own->of->row.name, op->name);
    }
    *value = value_from_plain(json_deep_copy(object));
    defined_take_money(own->of, *value, currency_of(op, params, &m));
    return 0;
}

int defined_read(const struct mt_operation *op, const json_t *params, const struct mt_http_response *resp,
                 json_t **value, struct mt_error *e) {
    json_t *body = answer_is_json_type(resp) ? answer_json(resp) : NULL;
    int r = -1;
    if (resp->status < 200 || resp->status >= 300) {
        read_error(op, params, resp, body, e);
    } else if (body == NULL && resp->body.len == 0 && defined_operation(op)->at == NULL) {
        *value = json_object();
        r = 0;
    } else if (!json_is_object(body) && !json_is_array(body)) {
        not_understood(op, resp, "its answer is no JSON object", e);
    } else if (!refused(op, resp, body, e)) {
        r = take_value(op, params, resp, body, value, e);
    }
    json_decref(body);
    return r;
}
