/* Paymnt (paymnt.cloud), a Hyperswitch-shaped API of payments and refunds: its tables. Amounts are minor
 * units on the wire and money here; every write has an id of ours as well as an Idempotency-Key, so that
 * either kind of deployment can tell a repeat. Invariant: what a table says is what the other paymnt files
 * do. Read only. */
#include "providers/paymnt.h"
#include "providers/rows.h"

enum { DAY_S = 86400, URL_MAX = 2048 };

static const char *const capture_methods[] = {"automatic", "manual", "manual_multiple", NULL};
static const char *const authentication_types[] = {"three_ds", "no_three_ds", NULL};
static const char *const future_usages[] = {"off_session", "on_session", NULL};
static const char *const refund_types[] = {"instant", "scheduled", NULL};

/* ---- parameters ---- */

#define STRING(name, most, words) PARAM_TEXT(name, false, most, words)
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

static const struct mt_param create_params[] = {
    STRING("payment_id", PAYMNT_ID_MAX, "your own id, letters, digits, - and _; made when left out"),
    PARAM_MONEY("amount", true, "what is to be paid, with its currency"),
    PARAM_CODE("currency", false, 3, "follows from amount; when given, the same"),
    STRING("description", 1000, "what it is for"),
    PARAM_WORD("capture_method", false, capture_methods,
               "automatic (default), manual (one capture), manual_multiple"),
    PARAM_FLAG("confirm", "confirm at once; needs payment data"),
    PARAM_FLAG("payment_link", "a page where the customer pays"),
    STRING("customer_id", 64, "your own id of the customer"),
    PARAM_OBJECT("customer", "id, name, email, phone"),
    STRING("email", 255, "the customer's email address"),
    STRING("name", 255, "the customer's full name"),
    STRING("phone", 64, "the customer's telephone number"),
    STRING("return_url", URL_MAX, "where the customer comes back to"),
    PARAM_WORD("authentication_type", false, authentication_types, "three_ds or no_three_ds"),
    PARAM_WORD("setup_future_usage", false, future_usages,
               "off_session or on_session: keep the payment method"),
    PAYMENT_METHOD,
    PAYMENT_DATA,
    PARAM_OBJECT("billing", "address, phone, email"),
    PARAM_OBJECT("shipping", "address, phone, email"),
    STATEMENT,
    STRING("merchant_order_reference_id", 255, "your own reference of the order"),
    STRING("profile_id", PAYMNT_ID_MAX, "another profile than the account's"),
    PARAM_COUNT("session_expiry", 60, 7890000, "seconds in which it can be paid; 900 by default"),
    PARAM_OBJECT("metadata", "key-value pairs of your own, at most 50"),
    {0},
};
static const struct mt_param retrieve_params[] = {
    PAYMENT_ID,
    PARAM_FLAG("force_sync", "ask the processor first"),
    {0},
};
static const struct mt_param list_params[] = {
    STRING("customer_id", 64, "of this customer only"),
    STRING("starting_after", PAYMNT_ID_MAX, "a payment: older ones"),
    STRING("ending_before", PAYMNT_ID_MAX, "a payment: newer ones"),
    PARAM_COUNT("limit", 1, 100, "at most; 10 by default"),
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
    PARAM_MONEY("amount_to_capture", false,
                "in the payment's currency; all that is capturable when left out (manual_multiple needs it)"),
    STATEMENT,
    {0},
};
static const struct mt_param cancel_params[] = {
    PAYMENT_ID,
    STRING("cancellation_reason", 255, "why"),
    {0},
};
static const struct mt_param payment_settled_params[] = {PAYMENT_ID, PARAM_WITHIN, {0}};
static const struct mt_param release_params[] = {PAYMENT_ID, STRING("reason", 255, "why"), {0}};
static const struct mt_param refund_params[] = {
    PARAM_TEXT("payment_id", true, PAYMNT_ID_MAX, "the payment to give back"),
    STRING("refund_id", PAYMNT_ID_MAX, "your own id, letters, digits, - and _; made when left out"),
    PARAM_MONEY("amount", false, "in the payment's currency; all that was captured when left out"),
    STRING("reason", 255, "why"),
    PARAM_WORD("refund_type", false, refund_types, "instant or scheduled"),
    PARAM_OBJECT("metadata", "key-value pairs of your own"),
    {0},
};
static const struct mt_param refund_retrieve_params[] = {REFUND_ID, {0}};
static const struct mt_param refund_list_params[] = {
    STRING("payment_id", PAYMNT_ID_MAX, "of this payment only"),
    STRING("refund_id", PAYMNT_ID_MAX, "this one only"),
    STRING("profile_id", PAYMNT_ID_MAX, "of this profile only"),
    PARAM_COUNT("limit", 1, 100, "at most; 10 by default"),
    PARAM_COUNT("offset", 0, 1000000, "leave out so many"),
    {0},
};
static const struct mt_param refund_settled_params[] = {REFUND_ID, PARAM_WITHIN, {0}};

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
     SETTLED("payments.retrieve"),
     .params = payment_settled_params,
     .doc = "Waits until nothing more happens to a payment by itself: succeeded, failed, cancelled, expired, "
            "requires_capture, partially_captured and the like; events are hints, reading decides.",
     .returns = payment_returns,
     .check = paymnt_check,
     .topic = "paymnt.payment",
     .at_rest = paymnt_payment_at_rest},
    {.name = "payments.release",
     RELEASE("payments.retrieve", MT_REPEAT_KEYED),
     .key_ttl_s = DAY_S,
     .params = release_params,
     .doc = "Gives a payment back, by its state: what is not captured is cancelled, what was captured and is "
            "not refunded yet is refunded, what came to nothing is left alone. Captured in part and still "
            "capturable, it is cancelled first and refunded then.",
     .returns = "the payment, or the refund",
     .check = paymnt_check,
     .decide = paymnt_decide,
     .again_after = "payments.cancel"},
    {.name = "refunds.settled",
     SETTLED("refunds.retrieve"),
     .params = refund_settled_params,
     .doc = "Waits until a refund has succeeded or failed; events are hints, reading decides.",
     .returns = refund_returns,
     .check = paymnt_check,
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
