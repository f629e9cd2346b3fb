/* Paymnt's requests: one builder for all rows. Path parameters go into the path, those of a GET into its
 * query, all others into the body in the order of the row's table. Invariant: an amount leaves as an integer
 * of the currency's minor units, exact. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/paymnt.h"
#include <inttypes.h>
#include <string.h>

enum { BODY_MAX = 256 * 1024, URL_MAX = 2048, KEY_DIGITS = 26 };

json_t *paymnt_identify(const struct mt_operation *op, const json_t *params, const char *key) {
    bool refund = strncmp(op->name, "refunds.", 8) == 0;
    const char *name = refund ? "refund_id" : "payment_id";
    char id[PAYMNT_ID_MAX];
    json_t *copy = json_is_object(params) ? json_copy((json_t *)(uintptr_t)params) : json_object();
    if (param(copy, name) != NULL || key == NULL || strlen(key) < KEY_DIGITS) return copy;
    mt_format(id, sizeof(id), "%s_%.*s", refund ? "ref" : "pay", KEY_DIGITS, key);
    json_object_set_new(copy, name, json_string(id));
    return copy;
}

/* Whether the parameter is part of the path, or only another name of one that is. */
static bool in_path(const struct mt_operation *op, const char *name) {
    const char *open = strchr(op->path, '{');
    size_t n = strlen(name);
    if (strcmp(name, "id") == 0) return true;
    return open != NULL && strncmp(open + 1, name, n) == 0 && open[n + 1] == '}';
}

/* ---- the address ---- */

/* "created_gt" is "created.gt" there: a Lua field cannot have a point. */
static void add_query_name(struct mt_buf *url, const char *name) {
    bool range = strncmp(name, "created_", 8) == 0;
    mt_buf_addc(url, strchr(url->data, '?') != NULL ? '&' : '?');
    mt_buf_addf(url, "%s%s=", range ? "created." : "", range ? name + 8 : name);
}

static void add_query(const struct mt_operation *op, const json_t *params, struct mt_buf *url) {
    for (const struct mt_param *row = op->params; row->name != NULL; row++) {
        const json_t *v = param(params, row->name);
        if (v == NULL || in_path(op, row->name)) continue;
        add_query_name(url, row->name);
        if (json_is_string(v))
            mt_url_encode(url, json_string_value(v), json_string_length(v));
        else if (json_is_integer(v))
            mt_buf_addf(url, "%" PRId64, (int64_t)json_integer_value(v));
        else
            mt_buf_adds(url, json_is_true(v) ? "true" : "false");
    }
}

/* The row's path with its {parameter} filled in. */
static int add_path(const struct mt_operation *op, const json_t *params, struct mt_buf *url,
                    struct mt_error *e) {
    const char *open = strchr(op->path, '{'), *close = open != NULL ? strchr(open, '}') : NULL;
    char name[32];
    if (close == NULL) {
        mt_buf_adds(url, op->path);
        return 0;
    }
    mt_format(name, sizeof(name), "%.*s", (int)(close - open - 1), open + 1);
    const char *id = paymnt_id(params, name);
    if (id == NULL || !paymnt_id_ok(id))
        return mt_fail(e, MT_INVALID_REQUEST, "paymnt.%s: the id is missing or malformed", op->name);
    mt_buf_add(url, op->path, (size_t)(open - op->path));
    mt_url_encode(url, id, strlen(id));
    mt_buf_adds(url, close + 1);
    return 0;
}

static int write_url(const struct mt_operation *op, const struct mt_account *account, const json_t *params,
                     struct mt_http_request *req, struct mt_error *e) {
    struct mt_buf url;
    mt_buf_init(&url, URL_MAX);
    mt_buf_adds(&url, account->base_url);
    int r = add_path(op, params, &url, e);
    if (strcmp(op->method, "GET") == 0) add_query(op, params, &url);
    req->url = r == 0 ? mt_buf_take(&url, NULL) : NULL;
    mt_buf_clear(&url);
    if (r != 0) return -1;
    if (req->url == NULL)
        return mt_fail(e, MT_LIMIT, "paymnt.%s: the URL is over %d bytes long", op->name, URL_MAX);
    return 0;
}

/* ---- the body ---- */

static int write_money(struct mt_buf *b, const char *name, const json_t *v, struct mt_error *e) {
    struct mt_money m;
    int64_t minor;
    if (!value_money(v, &m)) return mt_fail(e, MT_INVALID_REQUEST, "field \"%s\" is no money", name);
    if (mt_money_to_minor(&m, NULL, &minor, e) != 0) return -1;
    body_name(b, name);
    mt_buf_addf(b, "%" PRId64, minor);
    return 0;
}

static int write_field(struct mt_buf *b, const struct mt_param *row, const json_t *v, struct mt_error *e) {
    switch (row->type) {
    case MT_P_MONEY:
        return write_money(b, row->name, v, e);
    case MT_P_STRING:
        body_str(b, row->name, json_string_value(v));
        return 0;
    case MT_P_OBJECT: /* an empty table of a script may look like an array */
        if (json_object_size(v) == 0) return 0;
        return body_value(b, row->name, v, e);
    default:
        return body_value(b, row->name, v, e);
    }
}

/* Nothing but the path's own parameters: false. */
static bool has_fields(const struct mt_operation *op, const json_t *params) {
    for (const struct mt_param *row = op->params; row->name != NULL; row++)
        if (!in_path(op, row->name) && param(params, row->name) != NULL) return true;
    return false;
}

static int write_body(const struct mt_operation *op, const json_t *params, struct mt_buf *b,
                      struct mt_error *e) {
    mt_buf_addc(b, '{');
    for (const struct mt_param *row = op->params; row->name != NULL; row++) {
        const json_t *v = param(params, row->name);
        struct mt_money m;
        if (v == NULL || in_path(op, row->name)) continue;
        if (strcmp(row->name, "currency") == 0 && value_money(param(params, "amount"), &m)) continue;
        if (write_field(b, row, v, e) != 0) return mt_error_wrap(e, "paymnt.%s", op->name);
        /* A refund and a capture are in the payment's currency; a payment has to name its own. */
        if (strcmp(op->name, "payments.create") == 0 && row->type == MT_P_MONEY && value_money(v, &m))
            body_str(b, "currency", m.currency);
    }
    mt_buf_addc(b, '}');
    return 0;
}

int paymnt_build(const struct mt_operation *op, const struct mt_account *account, const json_t *params,
                 const char *key, struct mt_http_request *req, struct mt_error *e) {
    struct mt_buf b;
    int r;
    req->method = mt_strdup(op->method);
    if (write_url(op, account, params, req, e) != 0) return -1;
    mt_headers_add(&req->headers, "Accept", "application/json");
    if (strcmp(op->method, "GET") == 0) return 0;
    if (op->repeat == MT_REPEAT_KEYED && key != NULL && key[0] != '\0')
        mt_headers_add(&req->headers, "Idempotency-Key", key);
    /* The document confirms without a body; one without payment data would be refused. */
    if (strcmp(op->name, "payments.confirm") == 0 && !has_fields(op, params)) return 0;
    mt_headers_add(&req->headers, "Content-Type", "application/json");
    mt_buf_init(&b, BODY_MAX);
    r = write_body(op, params, &b, e);
    if (r == 0) r = body_finish(&b, req, e);
    mt_buf_clear(&b);
    return r;
}

int paymnt_authorize(const struct mt_account *account, const struct mt_operation *op,
                     struct mt_http_request *req, struct mt_error *e) {
    const char *profile = mt_account_credential(account, "profile_id");
    (void)op, (void)e;
    mt_headers_set(&req->headers, "api-key", mt_account_credential(account, "api_key"));
    if (profile[0] != '\0') mt_headers_set(&req->headers, "x-profile-id", profile);
    return 0;
}
