/* Paymnt (paymnt.cloud), a Hyperswitch-shaped API of payments and refunds: its tables. Amounts are minor
 * units on the wire and money here; every write has an id of ours as well as an Idempotency-Key, so that
 * either kind of deployment can tell a repeat. Invariant: what a table says is what the other paymnt files
 * do. Read only. */
#include "providers/paymnt.h"

enum { DAY_S = 86400, URL_MAX = 2048 };

static const char *const capture_methods[] = {"automatic", "manual", "manual_multiple", NULL};
static const char *const authentication_types[] = {"three_ds", "no_three_ds", NULL};
static const char *const future_usages[] = {"off_session", "on_session", NULL};
static const char *const refund_types[] = {"instant", "scheduled", NULL};

/* ---- parameters ---- */

#define STRING(NAME, MAX, DOC)                                                                               \
    { .name = NAME, .type = MT_P_STRING, .min = 1, .max = MAX, .doc = DOC }
#define OBJECT(NAME, DOC)                                                                                    \
    { .name = NAME, .type = MT_P_OBJECT, .doc = DOC }
#define PAYMENT_ID STRING("payment_id", PAYMNT_ID_MAX, "the payment"), STRING("id", PAYMNT_ID_MAX, "the same")
#define REFUND_ID STRING("refund_id", PAYMNT_ID_MAX, "the refund"), STRING("id", PAYMNT_ID_MAX, "the same")
#define PAYMENT_METHOD                                                                                       \
    STRING("payment_method", 64, "card, wallet, bank_redirect, ..."),                                        \
        STRING("payment_method_type", 64, "credit, apple_pay, ..."), {                                       \
        .name = "payment_token", .type = MT_P_STRING, .secret = true, .min = 1, .max = 255,                  \
        .doc = "a payment method that the customer has saved"                                                \
    }
#define PAYMENT_DATA                                                                                         \
    {                                                                                                        \
        .name = "payment_method_data", .type = MT_P_OBJECT, .secret = true,                                  \
        .doc = "of wallets and the like; a card is refused, its data never passes through a flow"            \
    }
#define STATEMENT                                                                                            \
    STRING("statement_descriptor_name", 255, "on the customer's statement"),                                 \
        STRING("statement_descriptor_suffix", 255, "behind it")
#define WITHIN                                                                                               \
    {                                                                                                        \
        .name = "within", .type = MT_P_INTEGER, .min = 0, .max = INT64_C(3155760000000),                     \
        .doc = "milliseconds to wait at most; an hour when left out"                                         \
    }

static const struct mt_param create_params[] = {
    STRING("payment_id", PAYMNT_ID_MAX, "your own id, letters, digits, - and _; made when left out"),
    {.name = "amount", .type = MT_P_MONEY, .required = true, .doc = "what is to be paid, with its currency"},
    {.name = "currency",
     .type = MT_P_STRING,
     .min = 3,
     .max = 3,
     .doc = "follows from amount; when given, the same"},
    STRING("description", 1000, "what it is for"),
    {.name = "capture_method",
     .type = MT_P_STRING,
     .values = capture_methods,
     .doc = "automatic (default), manual (one capture), manual_multiple"},
    {.name = "confirm", .type = MT_P_BOOLEAN, .doc = "confirm at once; needs payment data"},
    {.name = "payment_link", .type = MT_P_BOOLEAN, .doc = "a page where the customer pays"},
    STRING("customer_id", 64, "your own id of the customer"),
    OBJECT("customer", "id, name, email, phone"),
    STRING("email", 255, "the customer's email address"),
    STRING("name", 255, "the customer's full name"),
    STRING("phone", 64, "the customer's telephone number"),
    STRING("return_url", URL_MAX, "where the customer comes back to"),
    {.name = "authentication_type",
     .type = MT_P_STRING,
     .values = authentication_types,
     .doc = "three_ds or no_three_ds"},
    {.name = "setup_future_usage",
     .type = MT_P_STRING,
     .values = future_usages,
     .doc = "off_session or on_session: keep the payment method"},
    PAYMENT_METHOD,
    PAYMENT_DATA,
    OBJECT("billing", "address, phone, email"),
    OBJECT("shipping", "address, phone, email"),
    STATEMENT,
    STRING("merchant_order_reference_id", 255, "your own reference of the order"),
    STRING("profile_id", PAYMNT_ID_MAX, "another profile than the account's"),
    {.name = "session_expiry",
     .type = MT_P_INTEGER,
     .min = 60,
     .max = 7890000,
     .doc = "seconds in which it can be paid; 900 by default"},
    OBJECT("metadata", "key-value pairs of your own, at most 50"),
    {0},
};
static const struct mt_param retrieve_params[] = {
    PAYMENT_ID,
    {.name = "force_sync", .type = MT_P_BOOLEAN, .doc = "ask the processor first"},
    {0},
};
static const struct mt_param list_params[] = {
    STRING("customer_id", 64, "of this customer only"),
    STRING("starting_after", PAYMNT_ID_MAX, "a payment: older ones"),
    STRING("ending_before", PAYMNT_ID_MAX, "a payment: newer ones"),
    {.name = "limit", .type = MT_P_INTEGER, .min = 1, .max = 100, .doc = "at most; 10 by default"},
    STRING("created", 40, "made at this instant"),
    STRING("created_lt", 40, "made before"),
    STRING("created_gt", 40, "made after"),
    STRING("created_lte", 40, "made then or before"),
    STRING("created_gte", 40, "made then or after"),
    {0},
};
static const struct mt_param confirm_params[] = {
    PAYMENT_ID,   PAYMENT_METHOD,
    PAYMENT_DATA, STRING("return_url", URL_MAX, "where the customer comes back to"),
    {0},
};
static const struct mt_param capture_params[] = {
    PAYMENT_ID,
    {.name = "amount_to_capture",
     .type = MT_P_MONEY,
     .doc = "in the payment's currency; all that is capturable when left out (manual_multiple needs it)"},
    STATEMENT,
    {0},
};
static const struct mt_param cancel_params[] = {
    PAYMENT_ID,
    STRING("cancellation_reason", 255, "why"),
    {0},
};
static const struct mt_param payment_settled_params[] = {PAYMENT_ID, WITHIN, {0}};
static const struct mt_param release_params[] = {PAYMENT_ID, STRING("reason", 255, "why"), {0}};
static const struct mt_param refund_params[] = {
    {.name = "payment_id",
     .type = MT_P_STRING,
     .required = true,
     .min = 1,
     .max = PAYMNT_ID_MAX,
     .doc = "the payment to give back"},
    STRING("refund_id", PAYMNT_ID_MAX, "your own id, letters, digits, - and _; made when left out"),
    {.name = "amount",
     .type = MT_P_MONEY,
     .doc = "in the payment's currency; all that was captured when left out"},
    STRING("reason", 255, "why"),
    {.name = "refund_type", .type = MT_P_STRING, .values = refund_types, .doc = "instant or scheduled"},
    OBJECT("metadata", "key-value pairs of your own"),
    {0},
};
static const struct mt_param refund_retrieve_params[] = {REFUND_ID, {0}};
static const struct mt_param refund_list_params[] = {
    STRING("payment_id", PAYMNT_ID_MAX, "of this payment only"),
    STRING("refund_id", PAYMNT_ID_MAX, "this one only"),
    STRING("profile_id", PAYMNT_ID_MAX, "of this profile only"),
    {.name = "limit", .type = MT_P_INTEGER, .min = 1, .max = 100, .doc = "at most; 10 by default"},
    {.name = "offset", .type = MT_P_INTEGER, .min = 0, .max = 1000000, .doc = "leave out so many"},
    {0},
};
static const struct mt_param refund_settled_params[] = {REFUND_ID, WITHIN, {0}};

/* ---- operations ---- */

static const char payment_returns[] =
    "payment_id, status, amount, amount_capturable, amount_received, currency, capture_method, next_action, "
    "payment_link, error_code, error_message, cancellation_reason, refunds, captures, expires_on, metadata";
static const char refund_returns[] =
    "refund_id, payment_id, amount, currency, status, reason, error_code, error_message, metadata";

#define CALL(NAME, METHOD, PATH) .name = NAME, .kind = MT_OPERATION_CALL, .method = METHOD, .path = PATH
#define KEYED .repeat = MT_REPEAT_KEYED, .key_ttl_s = DAY_S, .moves_money = true
#define COMMON .build = paymnt_build, .check = paymnt_check

static const struct mt_operation operations[] = {
    {CALL("payments.create", "POST", "/payments"), KEYED, COMMON, .sealed_result = true,
     .params = create_params,
     .doc =
         "Begins a payment (Quickstart, 2: Create a payment). Confirmed at once and declined, it is a value "
         "with status \"failed\".",
     .returns = "as retrieve, and client_secret", .read = paymnt_read_created, .identify = paymnt_identify,
     .reconcile = paymnt_reconcile_payment, .reconciled = paymnt_reconciled_create},
    {CALL("payments.retrieve", "GET", "/payments/{payment_id}"), COMMON, .repeat = MT_REPEAT_READ,
     .params = retrieve_params, .doc = "Reads a payment with its refunds.", .returns = payment_returns,
     .read = paymnt_read_payment},
    {CALL("payments.list", "GET", "/payments/list"), COMMON, .repeat = MT_REPEAT_READ, .params = list_params,
     .doc = "Lists payments, the newest first.", .returns = "size, data (payments)",
     .read = paymnt_read_payments},
    {CALL("payments.confirm", "POST", "/payments/{payment_id}/confirm"), KEYED, COMMON,
     .params = confirm_params,
     .doc =
         "Confirms a payment (Quickstart, 3: Confirm). A decline is no error but a value: status \"failed\" "
         "with error_code and error_message.",
     .returns = payment_returns, .read = paymnt_read_payment, .reconcile = paymnt_reconcile_payment,
     .reconciled = paymnt_reconciled_confirm},
    {CALL("payments.capture", "POST", "/payments/{payment_id}/capture"), KEYED, COMMON,
     .params = capture_params,
     .doc = "Captures what was authorised, in full or in part (Quickstart, 4: Capture).",
     .returns = payment_returns, .read = paymnt_read_payment, .reconcile = paymnt_reconcile_payment,
     .reconciled = paymnt_reconciled_capture},
    {CALL("payments.cancel", "POST", "/payments/{payment_id}/cancel"), KEYED, COMMON, .params = cancel_params,
     .doc = "Cancels a payment that is not captured: voids its authorisation (Capture & Void).",
     .returns = payment_returns, .read = paymnt_read_payment, .reconcile = paymnt_reconcile_payment,
     .reconciled = paymnt_reconciled_cancel},
    {CALL("refunds.create", "POST", "/refunds"), KEYED, COMMON, .params = refund_params,
     .doc = "Gives back what was captured, in full or in part (Quickstart, 5: Issue a refund).",
     .returns = refund_returns, .read = paymnt_read_refund, .identify = paymnt_identify,
     .reconcile = paymnt_reconcile_refund, .reconciled = paymnt_reconciled_refund},
    {CALL("refunds.retrieve", "GET", "/refunds/{refund_id}"), COMMON, .repeat = MT_REPEAT_READ,
     .params = refund_retrieve_params, .doc = "Reads a refund.", .returns = refund_returns,
     .read = paymnt_read_refund},
    {CALL("refunds.list", "POST", "/refunds/list"), COMMON, .repeat = MT_REPEAT_READ,
     .params = refund_list_params, .doc = "Lists refunds, the newest first (Create & List Refunds).",
     .returns = "count, total_count, data (refunds)", .read = paymnt_read_refunds},
    {.name = "payments.settled",
     .kind = MT_OPERATION_SETTLED,
     .method = "",
     .path = "",
     .repeat = MT_REPEAT_READ,
     .params = payment_settled_params,
     .doc = "Waits until nothing more happens to a payment by itself: succeeded, failed, cancelled, expired, "
            "requires_capture, partially_captured and the like; events are hints, reading decides.",
     .returns = payment_returns,
     .check = paymnt_check,
     .read_operation = "payments.retrieve",
     .topic = "paymnt.payment",
     .at_rest = paymnt_payment_at_rest},
    {.name = "payments.release",
     .kind = MT_OPERATION_RELEASE,
     .method = "",
     .path = "",
     .repeat = MT_REPEAT_KEYED,
     .key_ttl_s = DAY_S,
     .moves_money = true,
     .params = release_params,
     .doc = "Gives a payment back, by its state: what is not captured is cancelled, what was captured and is "
            "not refunded yet is refunded, what came to nothing is left alone. Captured in part and still "
            "capturable, it is cancelled first and refunded then.",
     .returns = "the payment, or the refund",
     .check = paymnt_check,
     .read_operation = "payments.retrieve",
     .decide = paymnt_decide,
     .again_after = "payments.cancel"},
    {.name = "refunds.settled",
     .kind = MT_OPERATION_SETTLED,
     .method = "",
     .path = "",
     .repeat = MT_REPEAT_READ,
     .params = refund_settled_params,
     .doc = "Waits until a refund has succeeded or failed; events are hints, reading decides.",
     .returns = refund_returns,
     .check = paymnt_check,
     .read_operation = "refunds.retrieve",
     .topic = "paymnt.refund",
     .at_rest = paymnt_refund_at_rest},
    {0},
};

/* ---- errors: statuses, the documented types, and the codes of the switch ---- */

const struct mt_error_row paymnt_errors[] = {
    {"400", MT_INVALID_REQUEST, false, false, "Bad Request"},
    {"401", MT_AUTHENTICATION, false, false, "Unauthorized"},
    {"403", MT_PERMISSION, false, false, "Forbidden"},
    {"404", MT_NOT_FOUND, false, false, "Not Found"},
    {"409", MT_CONFLICT, false, false, "Conflict"},
    {"422", MT_INVALID_REQUEST, false, false, "Unprocessable Entity"},
    {"429", MT_RATE_LIMITED, true, false, "Too Many Requests"},
    {"500", MT_UNAVAILABLE, true, false, "Internal Server Error"},
    {"501", MT_UNSUPPORTED, false, false, "Not Implemented"},
    {"502", MT_UNAVAILABLE, true, false, "Bad Gateway"},
    {"503", MT_UNAVAILABLE, true, false, "Service Unavailable"},
    {"504", MT_TIMEOUT, true, false, "Gateway Timeout"},

    {"validation_error", MT_INVALID_REQUEST, false, false, "the request is malformed"},
    {"authentication_error", MT_AUTHENTICATION, false, false, "the API key is missing or wrong"},
    {"authorization_error", MT_PERMISSION, false, false, "the API key may not do this"},
    {"not_found", MT_NOT_FOUND, false, false, "there is no such object"},
    {"conflict", MT_CONFLICT, false, false, "the object's state forbids it, or it exists already"},
    {"unprocessable_entity", MT_INVALID_REQUEST, false, false, "well-formed, but it cannot be done"},
    {"rate_limit", MT_RATE_LIMITED, true, false, "too many requests"},
    {"internal_error", MT_UNAVAILABLE, true, false, "something went wrong at Paymnt"},
    {"connector_error", MT_UNAVAILABLE, true, false, "something went wrong at the processor"},
    {"connector", MT_DECLINED, false, false, "the processor's own refusal, with its own code"},
    {"blocked", MT_DECLINED, false, true, "blocked by the merchant's own rules (HTTP 200)"},
    {"CE_AMOUNT_INVALID", MT_INVALID_REQUEST, false, false, "amount must be a positive integer"},
    {"CE_RL_429", MT_RATE_LIMITED, true, false, "too many requests"},

    {"IR_00", MT_UNSUPPORTED, false, false, "This API is under development"},
    {"IR_01", MT_AUTHENTICATION, false, false, "API key not provided or invalid API key used"},
    {"IR_02", MT_UNSUPPORTED, false, false, "Unrecognized request URL"},
    {"IR_03", MT_UNSUPPORTED, false, false, "The HTTP method is not applicable for this API"},
    {"IR_04", MT_INVALID_REQUEST, false, false, "Missing required param"},
    {"IR_05", MT_INVALID_REQUEST, false, false, "a field contains invalid data"},
    {"IR_06", MT_INVALID_REQUEST, false, false, "the request's data is invalid"},
    {"IR_07", MT_INVALID_REQUEST, false, false, "Invalid value provided"},
    {"IR_08", MT_AUTHENTICATION, false, false, "Client secret was not provided"},
    {"IR_09", MT_AUTHENTICATION, false, false, "The client_secret provided does not match"},
    {"IR_12", MT_LIMIT, false, false, "Reached maximum refund attempts"},
    {"IR_13", MT_CONFLICT, false, false, "The refund amount exceeds the amount captured"},
    {"IR_14", MT_CONFLICT, false, false, "the payment's state or capture method forbids it"},
    {"IR_16", MT_CONFLICT, false, false, "the payment's status forbids it"},
    {"IR_17", MT_AUTHENTICATION, false, false, "the token is invalid or expired"},
    {"IR_18", MT_AUTHENTICATION, false, false, "not authorised"},
    {"IR_19", MT_UNSUPPORTED, false, false, "not supported"},
    {"IR_20", MT_UNSUPPORTED, false, false, "this flow is not supported by the connector"},
    {"IR_21", MT_INVALID_REQUEST, false, false, "Missing required params"},
    {"IR_22", MT_PERMISSION, false, false, "Access forbidden"},
    {"IR_28", MT_UNSUPPORTED, false, false, "the currency is not supported"},
    {"IR_29", MT_INVALID_REQUEST, false, false, "the entity cannot be processed"},
    {"IR_37", MT_NOT_FOUND, false, false, "there is no such object"},
    {"IR_38", MT_INVALID_REQUEST, false, false, "a field's value is not allowed"},
    {"HE_00", MT_UNAVAILABLE, true, false, "Something went wrong (or another request holds the payment)"},
    {"HE_01", MT_CONFLICT, false, false, "it already exists in our records"},
    {"HE_02", MT_NOT_FOUND, false, false, "does not exist in our records"},
    {"HE_03", MT_CONFLICT, false, false, "it cannot be done for this object"},
    {"HE_04", MT_NOT_FOUND, false, false, "there is no such resource"},
    {"HE_05", MT_UNAVAILABLE, true, false, "the merchant's set-up is not complete"},
    {"CE_00", MT_DECLINED, false, false, "the processor's own error"},
    {"CE_01", MT_DECLINED, true, false, "Payment failed during authorization with connector"},
    {"CE_02", MT_DECLINED, true, false, "Payment failed during authentication with connector"},
    {"CE_03", MT_DECLINED, true, false, "Capture attempt failed while processing with connector"},
    {"CE_04", MT_DECLINED, false, true, "The card data is invalid"},
    {"CE_05", MT_DECLINED, false, true, "The card has expired"},
    {"CE_06", MT_DECLINED, true, false, "Refund failed while processing with connector"},
    {"CE_07", MT_DECLINED, true, false, "Verification failed while processing with connector"},
    {"CE_08", MT_DECLINED, false, false, "Dispute operation failed while processing with connector"},
    {"WE_01", MT_AUTHENTICATION, false, false, "Failed to authenticate the webhook"},
    {"WE_02", MT_INVALID_REQUEST, false, false, "Bad request received in webhook"},
    {"WE_03", MT_UNAVAILABLE, true, false, "Webhook processing failed"},
    {"WE_04", MT_NOT_FOUND, false, false, "Webhook resource not found"},
    {"WE_05", MT_INVALID_REQUEST, false, false, "Unable to process the webhook body"},
    {"WE_06", MT_AUTHENTICATION, false, false, "Merchant Secret set by merchant for webhook is invalid"},
    {0},
};

static const struct mt_credential credentials[] = {
    {.name = "api_key",
     .secret = true,
     .required = true,
     .doc = "the secret api-key, sk_...",
     .sandbox = "sk_sandbox_mintage"},
    {.name = "profile_id", .doc = "the profile, pro_..., if profiles are enabled", .sandbox = "pro_sandbox"},
    {.name = "webhook_secret",
     .secret = true,
     .doc = "the profile's payment response hash key; without it, no webhook is believed",
     .sandbox = "whsec_sandbox_mintage"},
    {0},
};

const struct mt_provider mt_provider_paymnt = {
    .name = "paymnt",
    .title = "Paymnt (paymnt.cloud)",
    .base_url = "https://api.paymnt.cloud",
    .authentication = "api-key is a header of every request, and x-profile-id is one when profile_id is set",
    .credentials = credentials,
    .operations = operations,
    .errors = paymnt_errors,
    .authorize = paymnt_authorize,
    .webhook = paymnt_webhook,
    .webhook_answer = "",
};
