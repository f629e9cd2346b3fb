---@meta mintage.paymnt
-- Paymnt (paymnt.cloud). Written from core/providers; not to be edited.

local paymnt = {}

paymnt.payments = {}
---@class mintage.paymnt.PaymentsCreate
---@field payment_id? string your own id, letters, digits, - and _; made when left out
---@field amount mintage.Money what is to be paid, with its currency
---@field currency? string follows from amount; when given, the same
---@field description? string what it is for
---@field capture_method? "automatic"|"manual"|"manual_multiple" automatic (default), manual (one capture), manual_multiple
---@field confirm? boolean confirm at once; needs payment data
---@field payment_link? boolean a page where the customer pays
---@field customer_id? string your own id of the customer
---@field customer? table id, name, email, phone
---@field email? string the customer's email address
---@field name? string the customer's full name
---@field phone? string the customer's telephone number
---@field return_url? string where the customer comes back to
---@field authentication_type? "three_ds"|"no_three_ds" three_ds or no_three_ds
---@field setup_future_usage? "off_session"|"on_session" off_session or on_session: keep the payment method
---@field payment_method? string card, wallet, bank_redirect, ...
---@field payment_method_type? string credit, apple_pay, ...
---@field payment_token? string a payment method that the customer has saved
---@field payment_method_data? table of wallets and the like; a card is refused, its data never passes through a flow
---@field billing? table address, phone, email
---@field shipping? table address, phone, email
---@field statement_descriptor_name? string on the customer's statement
---@field statement_descriptor_suffix? string behind it
---@field merchant_order_reference_id? string your own reference of the order
---@field profile_id? string another profile than the account's
---@field session_expiry? integer seconds in which it can be paid; 900 by default
---@field metadata? table key-value pairs of your own, at most 50

---Begins a payment (Quickstart, 2: Create a payment). Confirmed at once and declined, it is a value with status "failed".
---@param params? mintage.paymnt.PaymentsCreate|string
---@return table result as retrieve, and client_secret
function paymnt.payments.create(params, ...) end

---@class mintage.paymnt.PaymentsRetrieve
---@field payment_id? string the payment
---@field id? string the same
---@field force_sync? boolean ask the processor first

---Reads a payment with its refunds.
---@param params? mintage.paymnt.PaymentsRetrieve|string
---@return table result payment_id, status, amount, amount_capturable, amount_received, currency, capture_method, next_action, payment_link, error_code, error_message, cancellation_reason, refunds, captures, expires_on, metadata
function paymnt.payments.retrieve(params, ...) end

---@class mintage.paymnt.PaymentsList
---@field customer_id? string of this customer only
---@field starting_after? string a payment: older ones
---@field ending_before? string a payment: newer ones
---@field limit? integer at most; 10 by default
---@field created? string made at this instant
---@field created_lt? string made before
---@field created_gt? string made after
---@field created_lte? string made then or before
---@field created_gte? string made then or after

---Lists payments, the newest first.
---@param params? mintage.paymnt.PaymentsList|string
---@return table result size, data (payments)
function paymnt.payments.list(params, ...) end

---@class mintage.paymnt.PaymentsConfirm
---@field payment_id? string the payment
---@field id? string the same
---@field payment_method? string card, wallet, bank_redirect, ...
---@field payment_method_type? string credit, apple_pay, ...
---@field payment_token? string a payment method that the customer has saved
---@field payment_method_data? table of wallets and the like; a card is refused, its data never passes through a flow
---@field return_url? string where the customer comes back to

---Confirms a payment (Quickstart, 3: Confirm). A decline is no error but a value: status "failed" with error_code and error_message.
---@param params? mintage.paymnt.PaymentsConfirm|string
---@return table result payment_id, status, amount, amount_capturable, amount_received, currency, capture_method, next_action, payment_link, error_code, error_message, cancellation_reason, refunds, captures, expires_on, metadata
function paymnt.payments.confirm(params, ...) end

---@class mintage.paymnt.PaymentsCapture
---@field payment_id? string the payment
---@field id? string the same
---@field amount_to_capture? mintage.Money in the payment's currency; all that is capturable when left out (manual_multiple needs it)
---@field statement_descriptor_name? string on the customer's statement
---@field statement_descriptor_suffix? string behind it

---Captures what was authorised, in full or in part (Quickstart, 4: Capture).
---@param params? mintage.paymnt.PaymentsCapture|string
---@return table result payment_id, status, amount, amount_capturable, amount_received, currency, capture_method, next_action, payment_link, error_code, error_message, cancellation_reason, refunds, captures, expires_on, metadata
function paymnt.payments.capture(params, ...) end

---@class mintage.paymnt.PaymentsCancel
---@field payment_id? string the payment
---@field id? string the same
---@field cancellation_reason? string why

---Cancels a payment that is not captured: voids its authorisation (Capture & Void).
---@param params? mintage.paymnt.PaymentsCancel|string
---@return table result payment_id, status, amount, amount_capturable, amount_received, currency, capture_method, next_action, payment_link, error_code, error_message, cancellation_reason, refunds, captures, expires_on, metadata
function paymnt.payments.cancel(params, ...) end

paymnt.refunds = {}
---@class mintage.paymnt.RefundsCreate
---@field payment_id string the payment to give back
---@field refund_id? string your own id, letters, digits, - and _; made when left out
---@field amount? mintage.Money in the payment's currency; all that was captured when left out
---@field reason? string why
---@field refund_type? "instant"|"scheduled" instant or scheduled
---@field metadata? table key-value pairs of your own

---Gives back what was captured, in full or in part (Quickstart, 5: Issue a refund).
---@param params? mintage.paymnt.RefundsCreate|string
---@return table result refund_id, payment_id, amount, currency, status, reason, error_code, error_message, metadata
function paymnt.refunds.create(params, ...) end

---@class mintage.paymnt.RefundsRetrieve
---@field refund_id? string the refund
---@field id? string the same

---Reads a refund.
---@param params? mintage.paymnt.RefundsRetrieve|string
---@return table result refund_id, payment_id, amount, currency, status, reason, error_code, error_message, metadata
function paymnt.refunds.retrieve(params, ...) end

---@class mintage.paymnt.RefundsList
---@field payment_id? string of this payment only
---@field refund_id? string this one only
---@field profile_id? string of this profile only
---@field limit? integer at most; 10 by default
---@field offset? integer leave out so many

---Lists refunds, the newest first (Create & List Refunds).
---@param params? mintage.paymnt.RefundsList|string
---@return table result count, total_count, data (refunds)
function paymnt.refunds.list(params, ...) end

---@class mintage.paymnt.PaymentsSettled
---@field payment_id? string the payment
---@field id? string the same
---@field within? mintage.Duration how long to wait at most; "1h" when left out

---Waits until nothing more happens to a payment by itself: succeeded, failed, cancelled, expired, requires_capture, partially_captured and the like; events are hints, reading decides.
---@param params? mintage.paymnt.PaymentsSettled|string
---@return table? result payment_id, status, amount, amount_capturable, amount_received, currency, capture_method, next_action, payment_link, error_code, error_message, cancellation_reason, refunds, captures, expires_on, metadata
function paymnt.payments.settled(params, ...) end

---@class mintage.paymnt.PaymentsRelease
---@field payment_id? string the payment
---@field id? string the same
---@field reason? string why

---Gives a payment back, by its state: what is not captured is cancelled, what was captured and is not refunded yet is refunded, what came to nothing is left alone. Captured in part and still capturable, it is cancelled first and refunded then.
---@param params? mintage.paymnt.PaymentsRelease|string
---@return table result the payment, or the refund
function paymnt.payments.release(params, ...) end

---@class mintage.paymnt.RefundsSettled
---@field refund_id? string the refund
---@field id? string the same
---@field within? mintage.Duration how long to wait at most; "1h" when left out

---Waits until a refund has succeeded or failed; events are hints, reading decides.
---@param params? mintage.paymnt.RefundsSettled|string
---@return table? result refund_id, payment_id, amount, currency, status, reason, error_code, error_message, metadata
function paymnt.refunds.settled(params, ...) end

return paymnt
