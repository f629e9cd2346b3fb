/* Mintro's Payment Platform API: payment intents and subscriptions. Its traps are met here and nowhere else:
 * amounts go out as exact JSON numbers and come back as strings or numbers; "canceled" is "cancelled"; errors
 * have two shapes; ids may come with or without their prefix. Invariant: what scripts get has money for
 * amounts and one spelling. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/private.h"
#include "providers/rows.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { BODY_MAX = 256 * 1024, ITEMS_MAX = 1000, ID_MAX = MINTRO_ID_MAX, DAY_S = 86400 };

/* ---- building ---- */

/* Method, URL (base, the row's path with its {parameter} filled in) and the headers every call has. */
static int begin(const struct mt_operation *op, const struct mt_account *account, const char *id,
                 struct mt_http_request *req, struct mt_error *e) {
    struct mt_buf url;
    const char *open = strchr(op->path, '{'), *close = open != NULL ? strchr(open, '}') : NULL;
    if (close != NULL && (id == NULL || !mintro_id_ok(id)))
        return mt_fail(e, MT_INVALID_REQUEST, "mintro.%s: the id is missing or malformed", op->name);
    mt_buf_init(&url, 1024);
    mt_buf_adds(&url, account->base_url);
    mt_buf_add(&url, op->path, close != NULL ? (size_t)(open - op->path) : strlen(op->path));
    if (close != NULL) {
        mt_url_encode(&url, id, strlen(id));
        mt_buf_adds(&url, close + 1);
    }
    req->method = mt_strdup(op->method);
    req->url = mt_buf_take(&url, NULL);
    mt_buf_clear(&url);
    if (req->url == NULL) return mt_fail(e, MT_LIMIT, "mintro.%s: the URL is over 1024 bytes long", op->name);
    mt_headers_add(&req->headers, "Accept", "application/json");
    return 0;
}

static int build_plain(const struct mt_operation *op, const struct mt_account *account, const json_t *params,
                       const char *key, struct mt_http_request *req, struct mt_error *e) {
    (void)key;
    return begin(op, account, mintro_intent_id(params), req, e);
}

static int build_by_reference(const struct mt_operation *op, const struct mt_account *account,
                              const json_t *params, const char *key, struct mt_http_request *req,
                              struct mt_error *e) {
    (void)key;
    return begin(op, account, param_str(params, "reference_id"), req, e);
}

static int build_subscription(const struct mt_operation *op, const struct mt_account *account,
                              const json_t *params, const char *key, struct mt_http_request *req,
                              struct mt_error *e) {
    (void)key;
    return begin(op, account, param_str(params, "subscription_id"), req, e);
}

static int write_items(struct mt_buf *b, const json_t *items, struct mt_error *e) {
    body_name(b, "order_items");
    mt_buf_addc(b, '[');
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        struct mt_money price;
        if (!value_money(json_object_get(item, "price"), &price))
            return mt_fail(e, MT_INVALID_REQUEST, "mintro.intents.create: order_items[%zu].price is no money",
                           i + 1);
        if (i > 0) mt_buf_addc(b, ',');
        mt_buf_addc(b, '{');
        body_str(b, "name", param_str(item, "name"));
        body_name(b, "quantity");
        mt_buf_addi(b, mt_json_int(item, "quantity", 1));
        if (body_money(b, "price", &price, e) != 0) return -1;
        mt_buf_addc(b, '}');
    }
    mt_buf_addc(b, ']');
    return 0;
}

static int write_part(struct mt_buf *b, const json_t *params, const char *name, struct mt_error *e) {
    struct mt_money m;
    return value_money(param(params, name), &m) ? body_money(b, name, &m, e) : 0;
}

/* The members in the order of the document's own example. */
static int write_create(struct mt_buf *b, const json_t *params, struct mt_error *e) {
    struct mt_money amount;
    const json_t *metadata = param(params, "metadata");
    if (!value_money(param(params, "amount"), &amount))
        return mt_fail(e, MT_INVALID_REQUEST, "mintro.intents.create: amount is no money");
    mt_buf_addc(b, '{');
    if (body_money(b, "amount", &amount, e) != 0) return -1;
    body_str(b, "currency", amount.currency);
    body_str(b, "intent_type", mintro_is_recurring(params) ? "recurring" : "one_time");
    if (mintro_is_recurring(params)) {
        body_name(b, "interval_days");
        mt_buf_addi(b, mt_json_int(params, "interval_days", 0));
    }
    body_str(b, "email", param_str(params, "email"));
    body_str(b, "name", param_str(params, "name"));
    body_str(b, "reference_id", param_str(params, "reference_id"));
    body_str(b, "customer_ref_id", param_str(params, "customer_ref_id"));
    body_str(b, "integration_type", param_str(params, "integration_type"));
    body_str(b, "success_url", param_str(params, "success_url"));
    body_str(b, "cancel_url", param_str(params, "cancel_url"));
    if (write_part(b, params, "tax", e) != 0 || write_part(b, params, "discount", e) != 0) return -1;
    if (json_object_size(metadata) > 0 && body_value(b, "metadata", metadata, e) != 0) return -1;
    if (write_items(b, param(params, "order_items"), e) != 0) return -1;
    mt_buf_addc(b, '}');
    return 0;
}

static int build_create(const struct mt_operation *op, const struct mt_account *account, const json_t *params,
                        const char *key, struct mt_http_request *req, struct mt_error *e) {
    if (begin(op, account, NULL, req, e) != 0) return -1;
    mt_headers_add(&req->headers, "Content-Type", "application/json");
    if (key != NULL && key[0] != '\0') mt_headers_add(&req->headers, "Idempotency-Key", key);
    struct mt_buf b;
    mt_buf_init(&b, BODY_MAX);
    int r = write_create(&b, params, e);
    if (r == 0) r = body_finish(&b, req, e);
    mt_buf_clear(&b);
    return r;
}

static int authorize(const struct mt_account *account, const struct mt_operation *op,
                     struct mt_http_request *req, struct mt_error *e) {
    (void)op, (void)e;
    mt_headers_set(&req->headers, "X-Client-ID", mt_account_credential(account, "client_id"));
    mt_headers_set(&req->headers, "X-Client-Secret", mt_account_credential(account, "client_secret"));
    return 0;
}

/* ---- reading ---- */

void mintro_normalise_status(json_t *object) {
    const char *status = mt_json_str(object, "status", "");
    if (strcasecmp(status, "canceled") == 0 || strcasecmp(status, "cancelled") == 0)
        json_object_set_new(object, "status", json_string("cancelled"));
}

/* What could not be read as an amount stays as it came. */
static void decode_money(json_t *object, const char *name, const char *currency) {
    struct mt_money m;
    struct mt_error ignored;
    const json_t *v = json_object_get(object, name);
    if (v != NULL && mt_money_from_json_number(v, currency, &m, &ignored) == 0)
        json_object_set_new(object, name, value_from_money(&m));
}

static void normalise(json_t *object, const char *currency) {
    mintro_normalise_status(object);
    currency = mt_json_str(object, "currency", currency);
    if (currency == NULL) return;
    decode_money(object, "amount", currency);
    decode_money(object, "tax", currency);
    decode_money(object, "discount", currency);
    json_t *items = json_object_get(object, "order_items");
    for (size_t i = 0; i < json_array_size(items); i++)
        decode_money(json_array_get(items, i), "price", currency);
}

/* "The given data was invalid. email: The email field is required." from either shape of error. */
static void said_by(const json_t *body, struct mt_buf *said) {
    const char *message = mt_json_str(body, "message", mt_json_str(body, "error", ""));
    const char *field;
    json_t *texts;
    mt_buf_adds(said, message);
    json_object_foreach(json_object_get(body, "errors"), field, texts) {
        bool list = json_is_array(texts);
        for (size_t i = 0; i < (list ? json_array_size(texts) : 1); i++) {
            const char *text = json_string_value(list ? json_array_get(texts, i) : texts);
            if (text != NULL) mt_buf_addf(said, "%s%s: %s", said->len > 0 ? " " : "", field, text);
        }
    }
}

static bool is_write(const struct mt_operation *op) {
    return op->repeat != MT_REPEAT_READ;
}

static int not_understood(const struct mt_operation *op, const struct mt_http_response *resp,
                          const char *what, struct mt_error *e) {
    const char *type = mt_headers_get(&resp->headers, "Content-Type");
    answer_fail("mintro", op, resp, MT_PROTOCOL, MT_UNKNOWN, e,
                "mintro.%s: the answer was not understood: %s (status %d, %.60s, %zu bytes)", op->name, what,
                resp->status, type != NULL ? type : "no content type", resp->body.len);
    e->retryable = true;
    return -1;
}

static int refused(const struct mt_operation *op, const struct mt_http_response *resp, const json_t *body,
                   struct mt_error *e) {
    struct mt_buf said;
    mt_buf_init(&said, 4096);
    if (resp->status >= 400) said_by(body, &said);
    bool told = said.len > 0;
    answer_status("mintro", op, mt_provider_mintro.errors, resp, said.data, e);
    mt_buf_clear(&said);
    if (json_object_size(json_object_get(body, "errors")) > 0) e->kind = MT_INVALID_REQUEST;
    /* A proxy's or a wrong base URL's 404 says nothing about intents; believing it could charge twice. */
    if (resp->status == 404 && !is_write(op) && !told)
        return not_understood(op, resp, "no error of Mintro's", e);
    if (resp->status == 400 && op->repeat == MT_REPEAT_NATURAL)
        e->kind = MT_CONFLICT; /* its state forbids it */
    /* The first request of this key is still under way: not a refusal. */
    if (resp->status == 409 && op->repeat == MT_REPEAT_KEYED) e->outcome = MT_UNKNOWN;
    return -1;
}

/* The answer's data, normalised. 0 and a new reference, or -1. */
static int read_data(const struct mt_operation *op, const struct mt_http_response *resp, const char *currency,
                     json_t **data, struct mt_error *e) {
    json_t *body = answer_json(resp);
    int r = -1;
    if (resp->status < 200 || resp->status >= 300) {
        refused(op, resp, body, e);
        goto done;
    }
    if (!json_is_object(body)) {
        not_understood(op, resp, body == NULL ? "no JSON" : "no JSON object", e);
        goto done;
    }
    if (json_is_false(json_object_get(body, "success"))) {
        struct mt_buf said;
        mt_buf_init(&said, 4096);
        said_by(body, &said);
        answer_fail("mintro", op, resp, MT_INVALID_REQUEST, MT_REJECTED, e, "mintro.%s: refused: %s",
                    op->name, said.data);
        mt_copy(e->code, sizeof(e->code), "success_false");
        mt_buf_clear(&said);
        goto done;
    }
    json_t *inner = json_object_get(body, "data");
    *data = value_from_plain(json_incref(json_is_object(inner) ? inner : body));
    normalise(*data, currency);
    r = 0;
done:
    json_decref(body);
    return r;
}

/* An intent, which must at least say which one it is and, when `with_status`, how it is. */
static int read_intent_with(const struct mt_operation *op, const struct mt_http_response *resp,
                            const char *currency, bool with_status, json_t **value, struct mt_error *e) {
    json_t *data = NULL;
    if (read_data(op, resp, currency, &data, e) != 0) return -1;
    const char *id = mt_json_str(data, "intent_id", ""), *status = mt_json_str(data, "status", "");
    if (id[0] == '\0' || (with_status && status[0] == '\0')) {
        json_decref(data);
        return not_understood(op, resp, id[0] == '\0' ? "it has no intent_id" : "it has no status", e);
    }
    *value = data;
    return 0;
}

static int read_intent(const struct mt_operation *op, const json_t *params,
                       const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    (void)params;
    return read_intent_with(op, resp, NULL, true, value, e);
}

static int read_created(const struct mt_operation *op, const json_t *params,
                        const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    struct mt_money amount = {0};
    bool known = value_money(param(params, "amount"), &amount);
    return read_intent_with(op, resp, known ? amount.currency : NULL, false, value, e);
}

/* The document has no words for it: "already cancelled", "... this one is canceled", "has been cancelled". */
static bool says_already_cancelled(const struct mt_error *e) {
    static const char *const words[] = {"is cancelled", "is canceled", "been cancelled", "been canceled"};
    if (strcasestr(e->message, "already") != NULL && strcasestr(e->message, "cancel") != NULL) return true;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasestr(e->message, words[i]) != NULL) return true;
    return false;
}

static int read_subscription(const struct mt_operation *op, const json_t *params,
                             const struct mt_http_response *resp, json_t **value, struct mt_error *e) {
    json_t *data = NULL;
    if (read_data(op, resp, NULL, &data, e) != 0) {
        /* Nothing can be read to tell our own cancel from an earlier one, and either way it is what was asked
         * for. */
        if (e->outcome != MT_REJECTED || resp->status != 400 || !says_already_cancelled(e)) return -1;
        data = json_object();
    }
    if (json_object_get(data, "subscription_id") == NULL)
        json_object_set_new(data, "subscription_id", json_string(mt_json_str(params, "subscription_id", "")));
    if (json_object_get(data, "status") == NULL)
        json_object_set_new(data, "status", json_string("cancelled"));
    json_object_del(data, "success");
    *value = data;
    return 0;
}

/* ---- the tables ---- */

static const char *const intent_types[] = {"one_time", "recurring", NULL};
static const char *const integration_types[] = {"iframe", "url", NULL};

static const struct mt_param create_params[] = {
    PARAM_MONEY("amount", true, "transaction total, with its currency"),
    PARAM_CODE("currency", false, 3, "follows from amount; when given, the same"),
    PARAM_WORD("intent_type", false, intent_types, "one_time (default) or recurring"),
    PARAM_COUNT("interval_days", 1, 36500, "billing cycle; recurring needs it"),
    {.name = "email",
     .type = MT_P_STRING,
     .required = true,
     .min = 3,
     .max = 255,
     .doc = "the customer's email address"},
    PARAM_TEXT("name", true, 255, "the customer's full name"),
    PARAM_TEXT("reference_id", true, 100, "your own id, unique for ever: letters, digits, - and _"),
    PARAM_TEXT("customer_ref_id", false, 100, "your own id of the customer"),
    {.name = "order_items",
     .type = MT_P_ARRAY,
     .required = true,
     .min = 0,
     .max = ITEMS_MAX,
     .doc = "objects with name, quantity (integer) and price (money)"},
    PARAM_WORD("integration_type", true, integration_types, "iframe or url"),
    PARAM_TEXT("success_url", false, 2048, "where a payment leads; url needs it"),
    PARAM_TEXT("cancel_url", false, 2048, "where a cancellation leads; url needs it"),
    PARAM_MONEY("tax", false, "tax amount"),
    PARAM_MONEY("discount", false, "discount amount"),
    PARAM_OBJECT("metadata", "key-value pairs of your own"),
    {0},
};
static const struct mt_param intent_params[] = {
    PARAM_TEXT("intent_id", false, ID_MAX, "pi_ and a UUID, or the UUID alone"),
    PARAM_TEXT("id", false, ID_MAX, "the same"),
    {0},
};
static const struct mt_param reference_params[] = {
    PARAM_TEXT("reference_id", true, 100, "your own id"),
    {0},
};
static const struct mt_param subscription_params[] = {
    PARAM_TEXT("subscription_id", true, ID_MAX, "sub_ and a UUID, or the UUID alone"),
    {0},
};
static const struct mt_param settled_params[] = {
    PARAM_TEXT("id", false, ID_MAX, "the intent, spelled as Mintro's answer spells it"),
    PARAM_TEXT("intent_id", false, ID_MAX, "the same"),
    PARAM_WITHIN,
    {0},
};

static const char intent_returns[] =
    "intent_id, reference_id, amount, currency, status, payment_url, type, interval_days, "
    "expires_at, tax, discount, order_items";

static const struct mt_operation operations[] = {
    {.name = "intents.create",
     CALL_WRITE("POST", "/api/platform/intents", MT_REPEAT_KEYED),
     .key_ttl_s = DAY_S,
     .params = create_params,
     .doc = "Begins a payment and answers the link of its checkout page (Create Payment Intent).",
     .returns = "intent_id, status, amount, payment_url",
     .build = build_create,
     .read = read_created,
     .reconcile = mintro_reconcile_create,
     .reconciled = mintro_reconciled_create,
     .check = mintro_check_create},
    {.name = "intents.get",
     CALL_READ("GET", "/api/platform/intents/{uuid}"),
     .params = intent_params,
     .doc = "Reads an intent (Get Payment Intent).",
     .returns = intent_returns,
     .build = build_plain,
     .read = read_intent,
     .check = mintro_check_intent_id},
    {.name = "intents.get_by_reference",
     CALL_READ("GET", "/api/platform/intents/reference/{reference_id}"),
     .params = reference_params,
     .doc = "Reads an intent by your own reference (Get Intent by Reference).",
     .returns = intent_returns,
     .build = build_by_reference,
     .read = read_intent,
     .check = mintro_check_reference},
    {.name = "intents.cancel",
     CALL_WRITE("POST", "/api/platform/intents/{uuid}/cancel", MT_REPEAT_NATURAL),
     .params = intent_params,
     .doc = "Cancels an intent that is not paid yet (Cancel Payment Intent).",
     .returns = "intent_id, status",
     .build = build_plain,
     .read = read_intent,
     .reconcile = mintro_reconcile_cancel,
     .reconciled = mintro_reconciled_cancel,
     .check = mintro_check_intent_id},
    {.name = "subscriptions.cancel",
     CALL_WRITE("POST", "/api/platform/subscriptions/{uuid}/cancel", MT_REPEAT_NATURAL),
     .params = subscription_params,
     .doc = "Cancels a recurring profile; cancelled already, it answers the same (Cancel Subscription).",
     .returns = "subscription_id, status",
     .build = build_subscription,
     .read = read_subscription,
     .check = mintro_check_subscription_id},
    {.name = "intents.settled",
     SETTLED("intents.get"),
     .params = settled_params,
     .doc = "Waits until an intent is succeeded, cancelled or expired; events are hints, reading decides.",
     .returns = intent_returns,
     .check = mintro_check_intent_id,
     .topic = "mintro.intent",
     .at_rest = mintro_at_rest},
    {.name = "intents.release",
     RELEASE("intents.get", MT_REPEAT_NATURAL),
     .params = intent_params,
     .doc = "Cancels an intent unless it is cancelled or expired; a paid one cannot be given back through "
            "Mintro's API.",
     .returns = "intent_id, status",
     .check = mintro_check_intent_id,
     .decide = mintro_decide},
    {0},
};

static const struct mt_error_row errors[] = {
    {"400", MT_INVALID_REQUEST, false, false,
     "Bad Request: the request was unacceptable, often due to missing a parameter"},
    {"401", MT_AUTHENTICATION, false, false, "Unauthorized: no valid API key provided"},
    {"403", MT_PERMISSION, false, false,
     "Forbidden: the API key doesn't have permissions to perform the request"},
    {"404", MT_NOT_FOUND, false, false, "Not Found: the requested resource doesn't exist"},
    {"422", MT_INVALID_REQUEST, false, false,
     "Unprocessable Entity: validation failed (e.g. invalid email or amount)"},
    {"500", MT_UNAVAILABLE, true, false, "Server Error: something went wrong on our end"},
    /* Not in the document; what a server of its kind (Laravel, a proxy before it) answers. */
    {"405", MT_UNSUPPORTED, false, false, "Method Not Allowed"},
    {"408", MT_TIMEOUT, true, false, "Request Timeout"},
    {"409", MT_CONFLICT, true, false,
     "Conflict: the first request with this Idempotency-Key is still under way"},
    {"413", MT_LIMIT, false, false, "Content Too Large"},
    {"429", MT_RATE_LIMITED, true, false, "Too Many Requests"},
    {"502", MT_UNAVAILABLE, true, false, "Bad Gateway"},
    {"503", MT_UNAVAILABLE, true, false, "Service Unavailable"},
    {"504", MT_TIMEOUT, true, false, "Gateway Timeout"},
    {0},
};

static const struct mt_credential credentials[] = {
    {.name = "client_id",
     .required = true,
     .doc = "the X-Client-ID of your Mintro account",
     .sandbox = "mintro_test_client"},
    {.name = "client_secret",
     .secret = true,
     .required = true,
     .doc = "the X-Client-Secret that belongs to it",
     .sandbox = "mintro_test_secret"},
    {0},
};

const struct mt_provider mt_provider_mintro = {
    .name = "mintro",
    .title = "Mintro (Payment Platform API)",
    .base_url = "https://mintro.paywithwallet.net",
    .authentication = "X-Client-ID and X-Client-Secret are headers of every request",
    .credentials = credentials,
    .operations = operations,
    .errors = errors,
    .authorize = authorize,
    .webhook = mintro_webhook,
    .webhook_answer = "",
};
