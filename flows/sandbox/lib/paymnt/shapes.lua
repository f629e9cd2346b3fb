-- Paymnt's objects as its API writes them: every member is there, null where nothing is known.

local clock = require "lib.clock"
local json = require "mintage.json"
local store = require "lib.paymnt.store"

local shapes = {}

shapes.merchant = "merchant_sandbox"
shapes.profile = "pro_sandbox"

local function nulls(object, names)
  for _, name in ipairs(names) do
    if object[name] == nil then object[name] = json.null end
  end
  return object
end

local refund_members = {
  "reason", "metadata", "error_code", "error_message", "unified_code", "unified_message",
}

function shapes.refund(refund)
  return nulls({
    refund_id = refund.id,
    payment_id = refund.payment_id,
    amount = refund.amount,
    currency = refund.currency,
    status = refund.status,
    reason = refund.reason,
    metadata = refund.metadata,
    created_at = clock.text(refund.created_at),
    updated_at = clock.text(refund.updated_at),
    connector = "fauxpay",
    profile_id = shapes.profile,
    merchant_connector_id = "mca_sandbox",
  }, refund_members)
end

local payment_members = {
  "amount_received", "connector", "customer_id", "customer", "description", "refunds", "disputes",
  "mandate_id", "attempts", "captures", "payment_method", "payment_method_type", "payment_method_data",
  "payment_token", "shipping", "billing", "order_details", "email", "name", "phone", "return_url",
  "authentication_type", "setup_future_usage",
  "statement_descriptor_name", "statement_descriptor_suffix", "next_action",
  "cancellation_reason", "error_code", "error_message", "error_reason", "unified_code", "unified_message",
  "merchant_order_reference_id", "merchant_connector_id", "connector_transaction_id", "metadata",
  "payment_link", "shipping_cost", "order_tax_amount", "incremental_authorization_allowed",
}

-- What a merchant may set and read back as it is.
local kept = {
  "customer_id", "description", "email", "name", "phone", "return_url", "authentication_type",
  "setup_future_usage", "statement_descriptor_name", "statement_descriptor_suffix", "billing", "shipping",
  "merchant_order_reference_id", "metadata", "cancellation_reason", "error_code", "error_message",
  "payment_method", "payment_method_type", "connector_transaction_id",
}

local function card_of(card)
  if not card then return nil end
  return { card = { last4 = card.last4, card_network = card.brand, card_type = "CREDIT" } }
end

local function captures_of(payment)
  if not payment.captures then return nil end
  local list = json.array {}
  for i, capture in ipairs(payment.captures) do
    list[i] = {
      capture_id = payment.id .. "_" .. i,
      status = "charged",
      amount = capture.amount,
      currency = payment.currency,
      capture_sequence = i,
      connector = "fauxpay",
    }
  end
  return list
end

local function refunds_of(payment)
  if not payment.refund_ids or #payment.refund_ids == 0 then return nil end
  local list = json.array {}
  for i, id in ipairs(payment.refund_ids) do list[i] = shapes.refund(store.refunds:get(id)) end
  return list
end

-- base: "http://127.0.0.1:8090", where its page is.
function shapes.payment(payment, base)
  local tried = payment.attempts > 0
  local page = (base or payment.base) .. "/pay/" .. payment.id
  local object = {
    payment_id = payment.id,
    merchant_id = shapes.merchant,
    processor_merchant_id = shapes.merchant,
    profile_id = shapes.profile,
    status = payment.status,
    amount = payment.amount,
    net_amount = payment.amount,
    amount_capturable = payment.capturable,
    amount_received = tried and payment.received or nil,
    currency = payment.currency,
    capture_method = payment.capture_method,
    client_secret = payment.client_secret,
    created = clock.text(payment.created_at),
    modified_at = clock.text(payment.updated_at),
    updated = clock.text(payment.updated_at),
    expires_on = clock.text(payment.expires_at),
    attempt_count = math.max(payment.attempts, 1),
    connector = tried and "fauxpay" or nil,
    merchant_connector_id = tried and "mca_sandbox" or nil,
    payment_method_data = card_of(payment.card),
    customer = payment.customer,
    captures = captures_of(payment),
    refunds = refunds_of(payment),
    next_action = payment.status == "requires_customer_action" and {
      type = "redirect_to_url", redirect_to_url = page,
    } or nil,
    payment_link = payment.payment_link and {
      link = page, secure_link = json.null, payment_link_id = payment.payment_link,
    } or nil,
  }
  for _, name in ipairs(kept) do object[name] = payment[name] end
  return nulls(object, payment_members)
end

return shapes
