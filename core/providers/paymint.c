/* Paymint (결제선생) through the gateway of Magic Meal Kits: bills that are sent to a payer's phone, and
 * AutoPay; its requests, its credentials and its tables. Invariant: prices leave as whole won, phone numbers
 * in the one form that the vendor knows. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/private.h"
#include "providers/rows.h"
#include <string.h>

enum { BODY_MAX = 64 * 1024 };

static const char PREFIX[] = "/api/v1";

/* ---- building ---- */

/* Base URLs may end with the deployment's prefix, as its own documentation writes them. */
static int begin(const struct mt_operation *op, const struct mt_account *account, const char *query,
                 struct mt_http_request *req, struct mt_error *e) {
    struct mt_buf url;
    size_t base = strlen(account->base_url), prefix = strlen(PREFIX);
    bool has_prefix = base >= prefix && strcmp(account->base_url + base - prefix, PREFIX) == 0;
    mt_buf_init(&url, 1024);
    mt_buf_adds(&url, account->base_url);
    mt_buf_adds(&url, op->path + (has_prefix ? prefix : 0));
    if (query != NULL) {
        mt_buf_adds(&url, "?customer_id=");
        mt_url_encode(&url, query, strlen(query));
    }
    req->method = mt_strdup(op->method);
    req->url = mt_buf_take(&url, NULL);
    mt_buf_clear(&url);
    if (req->url == NULL)
        return mt_fail(e, MT_LIMIT, "paymint.%s: the URL is over 1024 bytes long", op->name);
    mt_headers_add(&req->headers, "Accept", "application/json");
    return 0;
}

static int build_get(const struct mt_operation *op, const struct mt_account *account, const json_t *params,
                     const char *key, struct mt_http_request *req, struct mt_error *e) {
    (void)key;
    return begin(op, account, param_str(params, "customer_id"), req, e);
}

/* A member as the gateway wants it: won as an integer, phone numbers in the one form it knows. */
static int write_member(const struct mt_operation *op, struct mt_buf *b, const struct mt_param *row,
                        const json_t *params, struct mt_error *e) {
    const json_t *v = param(params, row->name);
    struct mt_money m;
    char phone[PAYMINT_PHONE_SIZE];
    if (v == NULL) return 0;
    if (value_money(v, &m)) return body_money(b, row->name, &m, e);
    const char *text = json_string_value(v);
    if (strcmp(row->name, "phone") == 0 && op->repeat != MT_REPEAT_READ && paymint_phone(text, phone))
        text = phone;
    body_str(b, row->name, text);
    return 0;
}

/* All POSTs (and the DELETE) send their parameters in the order of the table, which is the documents'. */
static int build_body(const struct mt_operation *op, const struct mt_account *account, const json_t *params,
                      const char *key, struct mt_http_request *req, struct mt_error *e) {
    (void)key;
    if (begin(op, account, NULL, req, e) != 0) return -1;
    mt_headers_add(&req->headers, "Content-Type", "application/json");
    struct mt_buf b;
    int r = 0;
    mt_buf_init(&b, BODY_MAX);
    mt_buf_addc(&b, '{');
    for (const struct mt_param *row = op->params; r == 0 && row->name != NULL; row++)
        r = write_member(op, &b, row, params, e);
    mt_buf_addc(&b, '}');
    if (r == 0) r = body_finish(&b, req, e);
    mt_buf_clear(&b);
    return r;
}

/* ---- credentials ---- */

static const struct {
    const char *credential, *header;
    bool traditional; /* only in this mode, which needs all five */
} connection[] = {
    {"host", "X-Paymint-Host", true},
    {"paymint_api_key", "X-Paymint-Api-Key", true},
    {"member_id", "X-Paymint-Member-ID", false},
    {"merchant_id", "X-Paymint-Merchant-ID", false},
    {"business_number", "X-Paymint-Business-Number", true},
};
enum { CONNECTION = sizeof(connection) / sizeof(connection[0]) };

static bool is_traditional(const struct mt_account *account) {
    return strcmp(mt_account_credential(account, "mode"), "traditional") == 0;
}

static int check_account(const struct mt_account *account, struct mt_error *e) {
    const char *mode = mt_account_credential(account, "mode");
    if (mode[0] != '\0' && strcmp(mode, "mmk") != 0 && strcmp(mode, "traditional") != 0)
        return mt_fail(e, MT_USAGE, "providers.paymint.mode is \"%.40s\", wanted \"mmk\" or \"traditional\"",
                       mode);
    for (size_t i = 0; is_traditional(account) && i < CONNECTION; i++)
        if (mt_account_credential(account, connection[i].credential)[0] == '\0')
            return mt_fail(e, MT_USAGE, "providers.paymint: \"%s\" is missing; mode \"traditional\" needs it",
                           connection[i].credential);
    return 0;
}

static int authorize(const struct mt_account *account, const struct mt_operation *op,
                     struct mt_http_request *req, struct mt_error *e) {
    (void)op, (void)e;
    bool traditional = is_traditional(account);
    mt_headers_set(&req->headers, "X-API-KEY", mt_account_credential(account, "api_key"));
    if (!traditional) mt_headers_set(&req->headers, "X-Paymint-MMK-Mode", "true");
    for (size_t i = 0; i < CONNECTION; i++) {
        const char *value = mt_account_credential(account, connection[i].credential);
        if (value[0] != '\0' && (traditional || !connection[i].traditional))
            mt_headers_set(&req->headers, connection[i].header, value);
    }
    return 0;
}

/* ---- the tables ---- */

#define BILL_ID(...)                                                                                         \
    {                                                                                                        \
        .name = "bill_id", .type = MT_P_STRING, .min = 1, .max = PAYMINT_BILL_ID_MAX,                        \
        .doc = "1 to 20 letters and digits" __VA_ARGS__                                                      \
    }
#define PRICE(needed, words) PARAM_MONEY("price", needed, words)
#define CUSTOMER PARAM_TEXT("customer_id", true, PAYMINT_ID_MAX, "your own id of the payer")

static const struct mt_param no_params[] = {{0}};
static const struct mt_param phone_params[] = {
    PARAM_TEXT("phone", true, 64, "a Korean mobile number in any spelling"), {0}};
static const struct mt_param request_params[] = {
    PARAM_TEXT("product_nm", true, 255, "what is to be paid for"),
    PARAM_TEXT("message", true, 2000, "what the payer reads"),
    PARAM_TEXT("member_nm", true, 100, "the payer's name"),
    PARAM_TEXT("phone", true, 64, "the payer's Korean mobile number: 01012345678, +82-10-1234-5678"),
    PRICE(true, "in won, as in money \"50000 KRW\""),
    PARAM_TEXT("expire_dt", true, 10, "YYYY-MM-DD: payable until the end of that day in Korea"),
    BILL_ID(", unique for ever; made when left out"),
    PARAM_TEXT("callbackURL", false, 2048, "where a payment is told; without it, the gateway's own"),
    {0},
};
static const struct mt_param bill_params[] = {BILL_ID(, .required = true), {0}};
static const struct mt_param priced_params[] = {
    BILL_ID(, .required = true), PRICE(true, "the whole price of the bill, in won"), {0}};
static const struct mt_param register_params[] = {
    CUSTOMER,
    PARAM_TEXT("member_nm", true, 100, "the payer's name"),
    PARAM_TEXT("phone", true, 64, "the payer's Korean mobile number"),
    PARAM_TEXT("callbackURL", false, 2048, "where payments are told; without it, the gateway's own"),
    {0},
};
static const struct mt_param customer_params[] = {CUSTOMER, {0}};
static const struct mt_param charge_params[] = {
    CUSTOMER,
    PARAM_TEXT("method_id", false, PAYMINT_ID_MAX, "which card; without it, the payer's active one"),
    BILL_ID(", unique for ever; made when left out"),
    PARAM_TEXT("product_nm", true, 255, "what is paid for"),
    PARAM_TEXT("message", false, 2000, "what the payer reads"),
    PRICE(true, "in won, as in money \"9900 KRW\""),
    {0},
};
static const struct mt_param delete_params[] = {
    CUSTOMER, PARAM_TEXT("method_id", true, PAYMINT_ID_MAX, "which card, from autopay.methods"), {0}};
static const struct mt_param settled_params[] = {
    PARAM_TEXT("id", false, PAYMINT_BILL_ID_MAX, "the bill_id"),
    BILL_ID(": the same"),
    PARAM_WITHIN,
    {0},
};
static const struct mt_param release_params[] = {
    BILL_ID(, .required = true),
    PRICE(false, "the whole price, for a gateway that does not tell it of unpaid bills"),
    {0},
};

static const char bill_returns[] = "bill_id, appr_state (F paid, W unpaid, C cancelled, D destroyed), "
                                   "appr_price, appr_dt, appr_num, appr_pay_type, "
                                   "appr_issuer, appr_issuer_num, appr_monthly and the other appr_ members";

static const struct mt_operation operations[] = {
    {.name = "licenses.list",
     CALL_READ("GET", "/api/v1/paymint/licenses"),
     .params = no_params,
     .doc = "Lists the approved licences (List approved licenses).",
     .returns = "licenses: member_id, merchant_id, business_name, business_number, status",
     .build = build_get,
     .read = paymint_read_licenses},
    {.name = "phone.format",
     CALL_READ("POST", "/api/v1/paymint/format-phone-number"),
     .params = phone_params,
     .doc = "Normalises a Korean mobile number (Normalize a phone number).",
     .returns = "phone, valid",
     .build = build_body,
     .read = paymint_read_phone},
    {.name = "bills.request",
     CALL_WRITE("POST", "/api/v1/paymint/request", MT_REPEAT_NATURAL),
     .params = request_params,
     .doc = "Sends a bill to a payer's phone, for points of the balance (Send a payment request).",
     .returns = "bill_id, shortURL (missing when an unknown outcome was found out by reading), code, msg",
     .build = build_body,
     .read = paymint_read_sent,
     .check = paymint_check,
     .identify = paymint_identify,
     .reconcile = paymint_reconcile_bill,
     .reconciled = paymint_reconciled_request},
    {.name = "bills.read",
     CALL_READ("POST", "/api/v1/paymint/read"),
     .params = bill_params,
     .doc = "Reads how a bill stands (Read a payment's status).",
     .returns = bill_returns,
     .build = build_body,
     .read = paymint_read_bill,
     .check = paymint_check},
    {.name = "bills.cancel",
     CALL_WRITE("POST", "/api/v1/paymint/cancel", MT_REPEAT_NATURAL),
     .params = priced_params,
     .doc = "Gives a paid bill's whole amount back (Cancel a payment).",
     .returns = "bill_id, appr_num, appr_origin_num, appr_cancel_dt, code, msg",
     .build = build_body,
     .read = paymint_read_coded,
     .check = paymint_check,
     .reconcile = paymint_reconcile_bill,
     .reconciled = paymint_reconciled_cancel},
    {.name = "bills.destroy",
     CALL_WRITE("POST", "/api/v1/paymint/destroy", MT_REPEAT_NATURAL),
     .params = priced_params,
     .doc = "Removes an unpaid bill for good, so that nobody can pay it (Permanently remove a payment).",
     .returns = "bill_id, code, msg",
     .build = build_body,
     .read = paymint_read_coded,
     .check = paymint_check,
     .reconcile = paymint_reconcile_bill,
     .reconciled = paymint_reconciled_destroy},
    {.name = "bills.resend",
     CALL_WRITE("POST", "/api/v1/paymint/resend", MT_REPEAT_UNSAFE),
     .params = bill_params,
     .doc = "Sends a bill's message once more, for points of the balance (Resend a payment request).",
     .returns = "bill_id, code, msg",
     .build = build_body,
     .read = paymint_read_coded,
     .check = paymint_check},
    {.name = "autopay.register",
     CALL_WRITE("POST", "/api/v1/paymint/autopay/register", MT_REPEAT_NATURAL),
     .params = register_params,
     .doc =
         "Begins a payer's registration: the page at shortURL takes the card (Register a payer for AutoPay).",
     .returns = "customer_id, shortURL, code, msg",
     .build = build_body,
     .read = paymint_read_page,
     .check = paymint_check},
    {.name = "autopay.manage",
     CALL_WRITE("POST", "/api/v1/paymint/autopay/manage", MT_REPEAT_NATURAL),
     .params = customer_params,
     .doc = "Answers the page where a payer changes the card (Update an AutoPay method).",
     .returns = "customer_id, shortURL, code, msg",
     .build = build_body,
     .read = paymint_read_page,
     .check = paymint_check},
    {.name = "autopay.methods",
     CALL_READ("GET", "/api/v1/paymint/autopay/methods"),
     .params = customer_params,
     .doc = "Lists a payer's registered cards (List a payer's AutoPay methods).",
     .returns = "customer_id, methods: method_id, card_nm, card_num, status, registered_dt",
     .build = build_get,
     .read = paymint_read_methods,
     .check = paymint_check},
    {.name = "autopay.request",
     CALL_WRITE("POST", "/api/v1/paymint/autopay/request", MT_REPEAT_NATURAL),
     .params = charge_params,
     .doc = "Charges a payer's registered card at once, for points of the balance (Charge via AutoPay).",
     .returns = "bill_id, appr_state (F), appr_pay_type (CARD_RP), appr_num, appr_dt, appr_price, code, msg",
     .build = build_body,
     .read = paymint_read_charge,
     .check = paymint_check,
     .identify = paymint_identify,
     .reconcile = paymint_reconcile_bill,
     .reconciled = paymint_reconciled_charge},
    {.name = "autopay.delete",
     CALL_WRITE("DELETE", "/api/v1/paymint/autopay/delete", MT_REPEAT_NATURAL),
     .params = delete_params,
     .doc = "Forgets a payer's card (Delete an AutoPay method).",
     .returns = "customer_id, code, msg",
     .build = build_body,
     .read = paymint_read_coded,
     .check = paymint_check,
     .reconcile = paymint_reconcile_delete,
     .reconciled = paymint_reconciled_delete},
    {.name = "bills.settled",
     SETTLED("bills.read"),
     .params = settled_params,
     .doc =
         "Waits until a bill is paid, cancelled, destroyed or expired; callbacks are hints, reading decides.",
     .returns = bill_returns,
     .check = paymint_check,
     .topic = "paymint.bill",
     .at_rest = paymint_at_rest},
    {.name = "bills.release",
     RELEASE("bills.read", MT_REPEAT_NATURAL),
     .params = release_params,
     .doc = "Takes a bill back: destroys an unpaid one, gives a paid one's whole amount back, leaves others "
            "alone.",
     .returns = "bill_id, code, msg",
     .check = paymint_check,
     .decide = paymint_decide},
    {0},
};

static const struct mt_error_row errors[] = {
    /* The upstream's (developers.payssam.kr), in HTTP 200. */
    {"9999", MT_INVALID_REQUEST, false, false, "error, undefined; of an AutoPay charge: declined"},
    {"9800", MT_CONFLICT, false, false, "this Bill_ID is used already"},
    {"9970", MT_CONFLICT, false, false, "cancelled already"},
    {"9971", MT_CONFLICT, false, false, "paid already"},
    {"9980", MT_NOT_FOUND, false, false, "there is no such bill"},
    {"9870", MT_INVALID_REQUEST, false, false, "nothing to synchronise with (callback URL)"},
    {"5000", MT_UNAVAILABLE, true, false, "SYSTEM ERROR"},
    {"1003", MT_PERMISSION, false, true, "this user has no access"},
    {"1010", MT_PERMISSION, false, true, "the merchant has not applied or is under review"},
    {"1700", MT_CONFLICT, false, false, "the merchant has joined already"},
    {"ERROR", MT_INVALID_REQUEST, false, false, "error, undefined; of an AutoPay charge: declined"},
    {"PARTNER_001", MT_PERMISSION, false, true, "the partner does not use V2"},
    {"PARTNER_002", MT_AUTHENTICATION, false, true, "the apiKey is missing"},
    {"PARTNER_003", MT_AUTHENTICATION, false, true, "no valid partner"},
    {"PARTNER_004", MT_PERMISSION, false, true, "the merchant's mapping was not found"},
    {"PARTNER_005", MT_AUTHENTICATION, false, true, "there is no such partner"},
    {"PARTNER_006", MT_PERMISSION, false, true, "there is no active contract"},
    {"PARTNER_007", MT_PERMISSION, false, true, "the partner is refused"},
    {"VALIDATION_001", MT_INVALID_REQUEST, false, false, "a field is missing or malformed"},
    {"VALIDATION_002", MT_INVALID_REQUEST, false, false, "the hash is wrong"},
    {"BILL_001", MT_CONFLICT, false, false, "this billId is used already"},
    {"BILL_003", MT_NOT_FOUND, false, false, "there is no such bill"},
    {"BILL_006", MT_CONFLICT, false, false, "the bill cannot be sent"},
    {"POINT_001", MT_INSUFFICIENT_FUNDS, false, false, "out of points"},
    {"PAYMENT_001", MT_DECLINED, true, false, "the payment network refused"},
    {"PAYMENT_002", MT_DECLINED, true, false, "the bank refused"},
    /* The gateway's. */
    {"400", MT_INVALID_REQUEST, false, false, "Bad Request: a field or the connection is wrong"},
    {"401", MT_AUTHENTICATION, false, false, "Unauthorized: the X-API-KEY or the connection is wrong"},
    {"402", MT_PERMISSION, false, true,
     "Payment Required: the licence needs an upgrade; or, as insufficient_funds, the balance is too low"},
    {"403", MT_PERMISSION, false, false, "Forbidden"},
    {"404", MT_NOT_FOUND, false, false, "Not Found"},
    {"405", MT_UNSUPPORTED, false, false, "Method Not Allowed"},
    {"408", MT_TIMEOUT, true, false, "Request Timeout"},
    {"409", MT_CONFLICT, false, false, "Conflict"},
    {"413", MT_LIMIT, false, false, "Content Too Large"},
    {"429", MT_RATE_LIMITED, true, false, "Too Many Requests"},
    {"500", MT_UNAVAILABLE, true, false, "Internal Server Error"},
    {"502", MT_UNAVAILABLE, true, false, "Bad Gateway"},
    {"503", MT_UNAVAILABLE, true, false, "Service Unavailable"},
    {"504", MT_TIMEOUT, true, false, "Gateway Timeout"},
    {0},
};

static const struct mt_credential credentials[] = {
    {.name = "api_key",
     .secret = true,
     .required = true,
     .doc = "the X-API-KEY of your Magic Meal Kits deployment",
     .sandbox = "mmk_test_key"},
    {.name = "mode", .doc = "mmk (default): a licence configured on the deployment; traditional: your own"},
    {.name = "member_id",
     .doc = "X-Paymint-Member-ID: which licence; traditional needs it",
     .sandbox = "test_member"},
    {.name = "merchant_id",
     .doc = "X-Paymint-Merchant-ID: which licence; traditional needs it",
     .sandbox = "test_merchant"},
    {.name = "host", .doc = "X-Paymint-Host, for traditional"},
    {.name = "paymint_api_key",
     .secret = true,
     .doc = "X-Paymint-Api-Key, for traditional",
     .sandbox = "paymint_test_key"},
    {.name = "business_number", .doc = "X-Paymint-Business-Number, for traditional"},
    {0},
};

const struct mt_operation *paymint_charge(void) {
    const struct mt_operation *op = operations;
    while (strcmp(op->name, "autopay.request") != 0) op++;
    return op;
}

const struct mt_provider mt_provider_paymint = {
    .name = "paymint",
    .title = "Paymint (결제선생, through Magic Meal Kits)",
    .base_url = "", /* every customer has a deployment of their own */
    .authentication =
        "X-API-KEY is a header of every request; mode mmk adds X-Paymint-MMK-Mode: true and, when they are "
        "set, "
        "X-Paymint-Member-ID and X-Paymint-Merchant-ID; mode traditional adds X-Paymint-Host, "
        "X-Paymint-Api-Key, X-Paymint-Member-ID, X-Paymint-Merchant-ID and X-Paymint-Business-Number",
    .credentials = credentials,
    .operations = operations,
    .errors = errors,
    .check = check_account,
    .authorize = authorize,
    .webhook = paymint_webhook,
    .secret_webhooks = true, /* "apikey" */
    .webhook_answer = "{\"code\":\"0000\",\"msg\":\"성공하였습니다.\"}",
};
