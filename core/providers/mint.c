/* Paymentwall MINT: the reseller API (ePINs are generated, balances read) and the redemption API. Its traps
 * are met here and in mint_read.c: values are signed without their names, the signature has a time in it, and
 * neither generating nor redeeming knows idempotency. Invariant: neither leaves twice unless it never left or
 * only tests; the codes are secrets throughout. No state; any thread. */
#include "base/json.h"
#include "base/text.h"
#include "providers/private.h"
#include "providers/rows.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORM_MAX = 16 * 1024, EPIN_DIGITS = 16, COUNT_MAX = 1000 };

/* ---- building ----
 * Bodies are forms. The vendor's PHP sample sends multipart and its redemption page shows JSON; PHP reads all
 * three alike, and a form is the one whose bytes are the same every time and to which credentials can be
 * added last. */

static int begin(const struct mt_operation *op, const struct mt_account *account, const char *path,
                 struct mt_http_request *req, struct mt_error *e) {
    struct mt_buf url;
    mt_buf_init(&url, 1024);
    mt_buf_adds(&url, account->base_url);
    mt_buf_adds(&url, path);
    req->method = mt_strdup(op->method);
    req->url = mt_buf_take(&url, NULL);
    mt_buf_clear(&url);
    if (req->url == NULL) return mt_fail(e, MT_LIMIT, "mint.%s: the URL is over 1024 bytes long", op->name);
    mt_headers_add(&req->headers, "Accept", "application/json");
    return 0;
}

/* The App's and the Reseller's ePINs are generated at different paths: the call says which, else the account.
 */
static int generate_path(const struct mt_account *account, const json_t *params, const char **path,
                         struct mt_error *e) {
    const char *type = param_str(params, "account_type");
    if (type == NULL) type = mt_account_credential(account, "account_type");
    if (type[0] == '\0' || strcmp(type, "reseller") == 0)
        *path = "/pwapi/mint";
    else if (strcmp(type, "app") == 0)
        *path = "/pwapi/partners-mint";
    else
        return mt_fail(e, MT_USAGE,
                       "providers.mint.account_type is \"%.60s\", wanted \"reseller\" or \"app\"", type);
    return 0;
}

static void add_integer(struct mt_buf *form, const char *name, int64_t value) {
    char text[24];
    snprintf(text, sizeof(text), "%" PRId64, value);
    mint_field(form, name, text);
}

/* In the order in which they are signed. What the document gives a default is sent only when it was said. */
static int build_generate(const struct mt_operation *op, const struct mt_account *account,
                          const json_t *params, const char *key, struct mt_http_request *req,
                          struct mt_error *e) {
    struct mt_money amount;
    char nominal[MT_MONEY_TEXT];
    const char *path = NULL, *country = param_str(params, "country");
    (void)key;
    if (!value_money(param(params, "amount"), &amount) || mt_money_to_decimal(&amount, 0, nominal, e) != 0)
        return mt_fail(e, MT_INVALID_REQUEST, "mint.%s: amount is no whole amount of money", op->name);
    if (generate_path(account, params, &path, e) != 0 || begin(op, account, path, req, e) != 0) return -1;
    mt_headers_add(&req->headers, "Content-Type", "application/x-www-form-urlencoded");
    struct mt_buf form;
    mt_buf_init(&form, FORM_MAX);
    if (json_is_true(param(params, "activation_required")))
        mint_field(&form, "params[activationRequired]", "1");
    if (country != NULL) mint_field(&form, "params[countryCode]", country);
    mint_field(&form, "params[currencyCode]", amount.currency);
    mint_field(&form, "params[ePinNominalValue]", nominal);
    add_integer(&form, "params[ePinsCount]", mt_json_int(params, "count", 1));
    if (param(params, "service_id") != NULL)
        add_integer(&form, "params[serviceId]", mt_json_int(params, "service_id", 0));
    if (json_is_true(param(params, "test"))) mint_field(&form, "params[test]", "1");
    int r = body_finish(&form, req, e);
    mt_buf_clear(&form);
    return r;
}

static int build_balances(const struct mt_operation *op, const struct mt_account *account,
                          const json_t *params, const char *key, struct mt_http_request *req,
                          struct mt_error *e) {
    char path[128] = "/pwapi/mint-balances";
    const char *currency = param_str(params, "currency");
    (void)key;
    if (currency != NULL)
        mt_format(path, sizeof(path), "/pwapi/mint-balances?params%%5BcurrencyCode%%5D=%.3s", currency);
    return begin(op, account, path, req, e);
}

/* The digits of a code as it may be typed; false when it is none. */
static bool epin_digits(const char *text, char out[EPIN_DIGITS + 1]) {
    size_t n = 0;
    for (; *text != '\0'; text++) {
        if (*text == ' ' || *text == '-') continue;
        if (*text < '0' || *text > '9' || n == EPIN_DIGITS) return false;
        out[n++] = *text;
    }
    out[n] = '\0';
    return n == EPIN_DIGITS;
}

static int build_redeem(const struct mt_operation *op, const struct mt_account *account, const json_t *params,
                        const char *key, struct mt_http_request *req, struct mt_error *e) {
    struct mt_money amount;
    char text[MT_MONEY_TEXT], digits[EPIN_DIGITS + 1];
    const char *epin = param_str(params, "epin"), *user = param_str(params, "user_id");
    (void)key;
    if (epin == NULL || user == NULL || !epin_digits(epin, digits) ||
        !value_money(param(params, "amount"), &amount))
        return mt_fail(e, MT_INVALID_REQUEST, "mint.%s: epin, amount or user_id is missing", op->name);
    if (mt_money_to_decimal(&amount, mt_currency_exponent(amount.currency, NULL), text, e) != 0 ||
        begin(op, account, op->path, req, e) != 0)
        return -1;
    mt_headers_add(&req->headers, "Content-Type", "application/x-www-form-urlencoded");
    struct mt_buf form;
    mt_buf_init(&form, FORM_MAX);
    mint_field(&form, "amount", text);
    mint_field(&form, "currency", amount.currency);
    mint_field(&form, "epin[0]", digits);
    mint_field(&form, "user_id", user);
    int r = body_finish(&form, req, e);
    mt_buf_clear(&form);
    return r;
}

/* ---- credentials ---- */

static int need(const struct mt_account *account, const struct mt_operation *op, const char *name,
                const char *variable, struct mt_error *e) {
    if (mt_account_credential(account, name)[0] != '\0') return 0;
    return mt_fail(e, MT_AUTHENTICATION, "mint.%s needs providers.mint.%s, which is not set (or %s)",
                   op->name, name, variable);
}

static int authorize_redeem(const struct mt_account *account, const struct mt_operation *op,
                            struct mt_http_request *req, struct mt_error *e) {
    struct mt_buf form;
    if (need(account, op, "app_key", "MINTAGE_MINT_APP_KEY", e) != 0) return -1;
    mt_buf_init(&form, FORM_MAX);
    if (req->body != NULL) mt_buf_add(&form, req->body, req->body_len);
    mint_field(&form, "app_key", mt_account_credential(account, "app_key"));
    free(req->body);
    int r = body_finish(&form, req, e);
    mt_buf_clear(&form);
    return r;
}

/* Signs at the moment of sending, by the account's clock, so that a call that waited is not stale. */
static int authorize(const struct mt_account *account, const struct mt_operation *op,
                     struct mt_http_request *req, struct mt_error *e) {
    if (strcmp(op->name, "epins.redeem") == 0) return authorize_redeem(account, op, req, e);
    if (need(account, op, "public_key", "MINTAGE_MINT_PUBLIC_KEY", e) != 0 ||
        need(account, op, "private_key", "MINTAGE_MINT_PRIVATE_KEY", e) != 0)
        return -1;
    struct mt_buf b;
    int r = 0;
    mt_buf_init(&b, FORM_MAX);
    if (strcmp(req->method, "POST") == 0) {
        mint_add_signature(account, req->body != NULL ? req->body : "", &b);
        free(req->body);
        req->body = NULL;
        r = body_finish(&b, req, e);
    } else {
        struct mt_buf form;
        size_t path = strcspn(req->url, "?");
        mt_buf_init(&form, FORM_MAX);
        mint_add_signature(account, req->url[path] == '?' ? req->url + path + 1 : "", &form);
        mt_buf_add(&b, req->url, path);
        mt_buf_addc(&b, '?');
        mt_buf_add(&b, form.data, form.len);
        mt_buf_clear(&form);
        char *url = mt_buf_take(&b, NULL);
        if (url == NULL) r = mt_fail(e, MT_LIMIT, "mint.%s: the signed URL is too long", op->name);
        free(req->url);
        req->url = url;
    }
    mt_buf_clear(&b);
    return r;
}

/* ---- what the tables cannot say ---- */

static int check_amount(const char *full_name, const json_t *params, struct mt_money *amount,
                        struct mt_error *e) {
    if (value_money(param(params, "amount"), amount) && amount->minor > 0) return 0;
    return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"amount\": wanted money of more than zero", full_name);
}

static int check_generate(const struct mt_operation *op, const char *full_name, const json_t *params,
                          struct mt_error *e) {
    struct mt_money amount;
    struct mt_error ignored;
    char text[MT_MONEY_TEXT];
    const char *country = param_str(params, "country");
    (void)op;
    if (check_amount(full_name, params, &amount, e) != 0) return -1;
    if (mt_money_to_decimal(&amount, 0, text, &ignored) != 0) {
        mt_money_format(&amount, text);
        return mt_fail(
            e, MT_INVALID_REQUEST,
            "%s: field \"amount\" is %s, wanted a whole amount: the value of an ePIN has no fraction",
            full_name, text);
    }
    if (country != NULL && (country[0] < 'A' || country[0] > 'Z' || country[1] < 'A' || country[1] > 'Z'))
        return mt_fail(
            e, MT_INVALID_REQUEST,
            "%s: field \"country\" is \"%.2s\", wanted two capital letters (ISO 3166-1), as in \"US\"",
            full_name, country);
    return 0;
}

static int check_currency(const struct mt_operation *op, const char *full_name, const json_t *params,
                          struct mt_error *e) {
    (void)op;
    const char *currency = param_str(params, "currency");
    struct mt_error why;
    if (currency != NULL && mt_currency_find(currency) != NULL) return 0;
    if (mt_currency_parse(currency, &why) != NULL)
        mt_copy(why.message, sizeof(why.message), "capital letters wanted");
    return mt_fail(e, MT_INVALID_REQUEST, "%s: field \"currency\" is \"%.10s\", wanted an ISO 4217 code: %s",
                   full_name, currency, why.message);
}

/* The code itself is never shown, not even a wrong one: it may be right but for a digit. */
static int check_redeem(const struct mt_operation *op, const char *full_name, const json_t *params,
                        struct mt_error *e) {
    struct mt_money amount;
    char digits[EPIN_DIGITS + 1];
    (void)op;
    if (check_amount(full_name, params, &amount, e) != 0) return -1;
    if (epin_digits(param_str(params, "epin"), digits)) return 0;
    return mt_fail(
        e, MT_INVALID_REQUEST,
        "%s: field \"epin\" is no ePIN; wanted its 16 digits, with or without spaces between the groups",
        full_name);
}

/* Nothing can be read of it, and nothing gives it back: a person has to. */
static int decide_release(const struct mt_operation *op, const json_t *params, const json_t *object,
                          const char **operation, json_t **operation_params, struct mt_error *e) {
    struct mt_money amount;
    char text[MT_MONEY_TEXT] = "what was paid";
    const char *user = param_str(params, "user_id");
    (void)object, (void)operation_params;
    *operation = NULL;
    if (value_money(param(params, "amount"), &amount)) mt_money_format(&amount, text);
    mt_fail(e, MT_UNSUPPORTED,
            "mint.%s: MINT takes no redeemed ePIN back: give %s to %.100s by another way (a new ePIN, for "
            "instance), then settle this",
            op->name, text, user != NULL ? user : "the user");
    e->outcome = MT_REJECTED;
    mt_copy(e->provider, sizeof(e->provider), "mint");
    mt_copy(e->operation, sizeof(e->operation), op->name);
    return -1;
}

/* A test moves nothing, so it may be sent again. */
static enum mt_repeat repeat_of_generate(const struct mt_operation *op, const json_t *params) {
    return json_is_true(param(params, "test")) ? MT_REPEAT_READ : op->repeat;
}

/* ---- the tables ---- */

static const char *const account_types[] = {"reseller", "app", NULL};

static const struct mt_param generate_params[] = {
    PARAM_MONEY("amount", true, "value of each ePIN, whole: ePinNominalValue and currencyCode"),
    PARAM_COUNT("count", 1, COUNT_MAX, "how many: ePinsCount; 1"),
    PARAM_CODE("country", false, 2, "ISO 3166-1 alpha-2 code: countryCode"),
    PARAM_COUNT("service_id", 0, INT32_MAX, "service to generate for: serviceId; 0"),
    PARAM_FLAG("activation_required", "they cannot be redeemed until activated: activationRequired"),
    PARAM_FLAG("test", "answers test codes, charges nothing; only then the call may be repeated"),
    PARAM_WORD("account_type", false, account_types,
               "which of the two URLs; the account's account_type unless said"),
    {0},
};
static const struct mt_param no_params[] = {{0}};
static const struct mt_param currency_params[] = {
    PARAM_CODE("currency", true, 3, "ISO 4217 code"),
    {0},
};
static const struct mt_param redeem_params[] = {
    {.name = "epin",
     .type = MT_P_STRING,
     .required = true,
     .secret = true,
     .min = 1,
     .max = 64,
     .doc = "the ePIN's 16 digits, with or without spaces; money itself, so kept secret"},
    PARAM_MONEY("amount", true, "what is paid, with its currency"),
    PARAM_TEXT("user_id", true, 255, "your own id of the user"),
    {0},
};

static const struct mt_param release_params[] = {
    {.name = "amount", .type = MT_P_MONEY, .required = true, .doc = "what an ePIN has paid"},
    {.name = "user_id",
     .type = MT_P_STRING,
     .required = true,
     .min = 1,
     .max = 255,
     .doc = "whom: as it was redeemed"},
    {0},
};

static const struct mt_operation operations[] = {
    {.name = "epins.generate",
     CALL_WRITE("POST", "/pwapi/mint", MT_REPEAT_UNSAFE),
     .sealed_result = true,
     .params = generate_params,
     .doc = "Generates ePINs, paid from your balance; never repeated on a guess (Generate ePIN).",
     .returns = "epins: a list of pin_id, pin_code, pin_nominal_value, pin_tr_amount, cu_code, cu_id, "
                "pin_generated_time, pin_time_expired; reference",
     .build = build_generate,
     .read = mint_read_epins,
     .check = check_generate,
     .repeat_of = repeat_of_generate},
    {.name = "epins.redeem",
     CALL_WRITE("POST", "/api/pure-mint/payment", MT_REPEAT_UNSAFE),
     .params = redeem_params,
     .doc = "Pays with an ePIN; never repeated on a guess (MINT Redemption API).",
     .returns = "change_amount: what is left on it; change_currency",
     .build = build_redeem,
     .read = mint_read_redeemed,
     .check = check_redeem},
    {.name = "epins.release",
     RELEASE(NULL, MT_REPEAT_NATURAL),
     .params = release_params,
     .doc = "Is always refused, since MINT takes no redeemed ePIN back: as an undo (flow.undo), it has a "
            "person give the money back when the run fails.",
     .returns = "nothing",
     .decide = decide_release},
    {.name = "balances.list",
     CALL_READ("GET", "/pwapi/mint-balances"),
     .params = no_params,
     .doc = "Reads all balances (Get available balances).",
     .returns =
         "balances: a list of cu_code, balance_amount (text, every digit), balance (when money can hold it); "
         "reference",
     .build = build_balances,
     .read = mint_read_balances},
    {.name = "balances.get",
     CALL_READ("GET", "/pwapi/mint-balances"),
     .params = currency_params,
     .doc = "Reads the balance of a currency (Get balance).",
     .returns = "cu_code, balance_amount (text, every digit), balance (when money can hold it), reference",
     .build = build_balances,
     .read = mint_read_balance,
     .check = check_currency},
    {0},
};

/* None is retryable, though some read so: what is not idempotent is not sent again on a guess, and asking
 * again makes both lockouts longer. */
static const struct mt_error_row errors[] = {
    {"-32000", MT_AUTHENTICATION, false, false, "Authentication error"},
    {"-32001", MT_PERMISSION, false, false, "Partner type not exists"},
    {"-32002", MT_RATE_LIMITED, false, false, "Login failure rate exceeded"},
    {"-32003", MT_UNSUPPORTED, false, false, "Requested method not exists"},
    {"-32004", MT_UNAVAILABLE, false, false, "Method unsuccessful"},
    {"-32005", MT_PERMISSION, false, false, "Current API not allowed for type"},
    {"-32006", MT_INVALID_REQUEST, false, false, "Invalid requested params"},
    {"-32007", MT_INVALID_REQUEST, false, false, "Invalid API version"},
    {"-32008", MT_UNAVAILABLE, false, false, "Sign Up failed please try again"},
    {"-32009", MT_AUTHENTICATION, false, false, "Application is absent or not correct."},
    {"-32010", MT_AUTHENTICATION, false, false, "Token is not valid."},
    {"-32011", MT_AUTHENTICATION, false, false, "Please, provide correct timestamp."},
    {"-32012", MT_AUTHENTICATION, false, false, "Signature is empty or not correct."},
    {"1", MT_PERMISSION, false, false, "Service access error"},
    {"2", MT_UNAVAILABLE, false, false, "Epin generate error"},
    {"3", MT_INSUFFICIENT_FUNDS, false, false, "not enough money on main account"},
    {"4", MT_INVALID_REQUEST, false, false, "please check epin amount"},
    {"5", MT_INVALID_REQUEST, false, false, "epin amount should not be less than (amount)"},
    {"6", MT_INVALID_REQUEST, false, false, "wrong epin data"},
    {"7", MT_INVALID_REQUEST, false, false, "wrong currency"},
    {"8", MT_NOT_FOUND, false, false, "service cannot be loaded"},
    {"9", MT_PERMISSION, false, false, "no access to given currency"},
    {"10", MT_LIMIT, false, false, "you exceed limited balance to generate codes"},
    {"1001", MT_UNAVAILABLE, false, false, "General internal error"},
    {"1002", MT_AUTHENTICATION, false, false, "Application not loaded"},
    {"1003", MT_PERMISSION, false, true, "User banned"},
    {"2001", MT_INVALID_REQUEST, false, false, "Empty E-Pin"},
    {"2002", MT_AUTHENTICATION, false, false, "Empty project key"},
    {"2003", MT_INVALID_REQUEST, false, false, "Wrong amount"},
    {"2004", MT_INVALID_REQUEST, false, false, "Wrong currency"},
    {"2005", MT_INVALID_REQUEST, false, false, "Epin is not array"},
    {"2006", MT_INVALID_REQUEST, false, false, "Empty user id"},
    {"3001", MT_PERMISSION, false, false, "Mint is not activated for this project"},
    {"3002", MT_EXPIRED, false, true, "Epin expired"},
    {"3003", MT_CONFLICT, false, false, "Epin is not activated"},
    {"3004", MT_CONFLICT, false, true, "Epin duplicate"},
    {"3005", MT_PERMISSION, false, true, "Epin is not available for this application"},
    {"3006", MT_NOT_FOUND, false, true, "Epin is invalid"},
    {"3007", MT_INVALID_REQUEST, false, false, "Only one epin is allowed"},
    {"3008", MT_UNAVAILABLE, false, false, "Epin tracking failure"},
    {"3009", MT_INSUFFICIENT_FUNDS, false, false, "Epin insufficient funds"},
    {"4001", MT_RATE_LIMITED, false, false, "Maximum attempts exceeded"},
    {"4007", MT_AUTHENTICATION, false, false, "API key is invalid"},
    /* Statuses, for answers that name no code of their own. */
    {"401", MT_AUTHENTICATION, false, false, "Unauthorized request"},
    {"402", MT_DECLINED, false, false, "Failed request"},
    {"403", MT_PERMISSION, false, false, "Forbidden"},
    {"404", MT_NOT_FOUND, false, false, "Resource was not found"},
    {"405", MT_UNSUPPORTED, false, false, "Method not allowed"},
    {"415", MT_UNSUPPORTED, false, false, "Unsupported media type"},
    {"422", MT_INVALID_REQUEST, false, false, "Unprocessable entity"},
    {"429", MT_RATE_LIMITED, true, false, "Too many requests"},
    {"500", MT_UNAVAILABLE, true, false, "Paymentwall server error"},
    {"502", MT_UNAVAILABLE, true, false, "Paymentwall server error"},
    {"503", MT_UNAVAILABLE, true, false, "Paymentwall server error"},
    {"504", MT_TIMEOUT, true, false, "Paymentwall server error"},
    {0},
};

/* None is required: who only redeems has no reseller's keys, and the other way round. A call says what it
 * misses. */
static const struct mt_credential credentials[] = {
    {.name = "public_key", .doc = "the reseller's public key, auth[key]", .sandbox = "mint_test_public"},
    {.name = "private_key",
     .secret = true,
     .doc = "the private key that signs with it",
     .sandbox = "mint_test_private"},
    {.name = "app_key",
     .secret = true,
     .doc = "the project's key, for redeeming",
     .sandbox = "32a13829f2635187"},
    {.name = "account_type", .doc = "reseller (default) or app: at which URL ePINs are generated"},
    {0},
};

const struct mt_provider mt_provider_mint = {
    .name = "mint",
    .title = "MINT (Paymentwall Reseller and Redemption API)",
    .base_url = "https://api.paymentwall.com",
    .authentication =
        "a reseller's request carries auth[key], auth[timestamp] and auth[sign], an MD5 of the public key, "
        "the "
        "time, the values in the order of their names and the private key, made when it is sent; "
        "epins.redeem carries app_key",
    .credentials = credentials,
    .operations = operations,
    .errors = errors,
    .authorize = authorize,
    .webhook_answer = "",
};
