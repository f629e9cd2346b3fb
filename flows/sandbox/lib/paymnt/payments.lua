-- Paymnt's payments: what they are, how they are charged, captured and cancelled, and the only place where
-- their status changes. What a status forbids is said here too, in the API's own words and order.

local cards = require "lib.cards"
local clock = require "lib.clock"
local crypto = require "mintage.crypto"
local events = require "lib.paymnt.events"
local ids = require "lib.ids"
local journal = require "lib.journal"
local json = require "mintage.json"
local money = require "mintage.money"
local replies = require "lib.paymnt.replies"
local shapes = require "lib.paymnt.shapes"
local task = require "mintage.task"

local payments = {}

local store = require("lib.paymnt.store").payments

local SESSION_S = 900

-- The event that tells of each status; the others are silent.
local event_of = {
  succeeded = "payment_succeeded",
  failed = "payment_failed",
  cancelled = "payment_cancelled",
  expired = "payment_expired",
  requires_customer_action = "action_required",
  requires_capture = "payment_authorized",
  partially_captured = "payment_captured",
  partially_captured_and_capturable = "payment_captured",
}

local open = { requires_payment_method = true, requires_confirmation = true, requires_customer_action = true }

function payments.is_open(payment) return open[payment.status] ~= nil end

local function set(list)
  local out = {}
  for _, status in ipairs(list) do out[status] = true end
  return out
end

-- ---- keeping ----

-- Stores the payment in a status, and tells of it; at most once for each kind of event.
local function move(payment, status, own_fault)
  payment.status = status
  payment.updated_at = clock.now()
  local event = event_of[status]
  local news = event and not payment.told[event]
  if news then payment.told[event] = true end
  payment.version = store:put(payment).version -- it may be stored again in this transaction
  if news then events.emit(event, "payment_details", shapes.payment(payment), own_fault) end
  return payment
end

-- An amount of the payment as the ledger writes it: "10.00".
local function ledger(kind, payment, amount, object)
  if amount == 0 then return end
  journal.money {
    provider = "paymnt",
    kind = kind,
    reference = payment.id,
    object_id = object or payment.id,
    amount = money(amount, payment.currency).amount,
    currency = payment.currency,
  }
end
payments.ledger = ledger

-- A payment past its session is expired, even in the moment before its dated work is carried out.
local function current(payment)
  local over = payment and open[payment.status] and clock.now() >= payment.expires_at
  if over then payment.status = "expired" end
  return payment
end

function payments.find(id) return type(id) == "string" and current(store:get(id)) or nil end

task.define("paymnt.expire", function(payload)
  local payment = store:get(payload.payment)
  if payment and open[payment.status] then move(payment, "expired") end
end)

-- given: the validated fields of a create call. base: "http://127.0.0.1:8090".
function payments.create(given, base)
  local payment = given
  payment.id = given.payment_id or "pay_" .. crypto.token(10)
  payment.payment_id, payment.confirm, payment.profile_id = nil, nil, nil
  payment.base = base
  payment.capture_method = given.capture_method or "automatic"
  payment.client_secret = payment.id .. "_secret_" .. crypto.token(10)
  payment.payment_link = given.payment_link and "plink_" .. crypto.token(10) or nil
  payment.created_at = clock.now()
  payment.expires_at = payment.created_at + (given.session_expiry or SESSION_S) * 1000
  payment.capturable = given.amount
  payment.received, payment.refunded, payment.attempts = 0, 0, 0
  payment.told, payment.refund_ids = {}, json.array {}
  task.at(payment.expires_at, "paymnt.expire", { payment = payment.id })
  return move(payment, payment.method and "requires_confirmation" or "requires_payment_method")
end

-- Changes what may still be changed; given as for create.
function payments.update(payment, given)
  for _, name in ipairs { "payment_id", "confirm", "profile_id", "session_expiry", "payment_link" } do
    given[name] = nil
  end
  for name, value in pairs(given) do payment[name] = value end
  payment.capturable = payment.amount
  return move(payment, payment.method and "requires_confirmation" or "requires_payment_method")
end

-- ---- charging ----

local said = {
  card_declined = "Card declined",
  insufficient_funds = "Insufficient funds",
  lost_card = "Lost card",
  stolen_card = "Stolen card",
  expired_card = "Expired card",
  incorrect_cvc = "Incorrect CVC",
  processing_error = "Processing error",
  authentication_failed = "Authentication failed",
}

local function declined(payment, result, own_fault)
  payment.error_code = result == "not_a_test_card" and "DC_04" or "DC_08"
  payment.error_message = result == "not_a_test_card" and "Card not supported. Please use test cards"
    or "Payment declined: " .. said[result]
  payment.capturable = 0
  return move(payment, "failed", own_fault)
end

local function settle(payment, result, own_fault)
  if result ~= "succeeded" then return declined(payment, result, own_fault) end
  if payment.capture_method == "manual" or payment.capture_method == "manual_multiple" then
    ledger("authorise", payment, payment.amount)
    return move(payment, "requires_capture", own_fault)
  end
  payment.received, payment.capturable = payment.amount, 0
  ledger("charge", payment, payment.amount)
  return move(payment, "succeeded", own_fault)
end

-- method: what payments.method made of payment data. Answers the payment, whatever became of it.
function payments.pay(payment, method, own_fault)
  payment.attempts = payment.attempts + 1
  payment.method = nil
  payment.payment_method, payment.payment_method_type = method.kind, method.kind == "card" and "credit" or nil
  payment.card = method.card
  payment.connector_transaction_id = ids.uuid()
  if method.challenge then
    payment.result = method.result
    return move(payment, "requires_customer_action", own_fault)
  end
  return settle(payment, method.result, own_fault)
end

-- Ends a 3-D Secure challenge.
function payments.challenge(payment, passed, own_fault)
  return settle(payment, passed and payment.result or "authentication_failed", own_fault)
end

-- A failed attempt without any card, for POST /_sandbox/pay.
function payments.refuse(payment, own_fault)
  payment.attempts = payment.attempts + 1
  return declined(payment, "card_declined", own_fault)
end

-- What a card will do: all that is kept of it. row: of lib.cards, or nil for a number that is not among them.
function payments.by_card(row, last4)
  if not row then return { kind = "card", result = "not_a_test_card", card = { last4 = last4 } } end
  local card = cards.keep(row)
  return {
    kind = "card", result = card.result, challenge = row.challenge,
    card = { brand = card.brand, last4 = card.last4 },
  }
end

-- ---- what a status forbids ----

local not_confirmable = set {
  "cancelled", "succeeded", "processing", "requires_capture", "requires_merchant_action",
  "requires_customer_action", "review", "expired", "partially_captured", "partially_captured_and_capturable",
  "cancelled_post_capture",
}
local not_cancellable = set {
  "failed", "succeeded", "cancelled", "processing", "requires_merchant_action", "review", "expired",
  "partially_captured", "cancelled_post_capture",
}
local capturable = set {
  "requires_capture", "partially_captured_and_capturable", "partially_authorized_and_requires_capture",
  "processing",
}

local function cannot(what, status)
  return replies.refuse("IR_16", ("You cannot %s this payment because it has status %s"):format(what, status))
end

function payments.refuse_confirm(payment)
  local status = payment.status
  if status == "failed" then
    return cannot("confirm", "failed, you can enable `manual_retry` in profile to try this payment again")
  end
  if not_confirmable[status] then return cannot("confirm", status) end
end

function payments.refuse_update(payment)
  local status = payment.status
  if status ~= "requires_payment_method" and status ~= "requires_confirmation" then
    return cannot("update", status)
  end
end

function payments.refuse_cancel(payment)
  if not_cancellable[payment.status] then return cannot("cancel", payment.status) end
end

-- The order of the checks is the API's: status, amount, capture method.
function payments.refuse_capture(payment, amount)
  local text = "This Payment could not be captured because it has a %s of %s. The expected state is %s"
  if not capturable[payment.status] then
    return replies.refuse("IR_14", text:format("payment.status", payment.status,
      "requires_capture, partially_captured_and_capturable, processing"))
  end
  if amount and amount <= 0 then return replies.refuse("IR_05", nil, { field = "amount" }) end
  if amount and amount > payment.capturable then
    return replies.refuse("IR_06", "amount_to_capture is greater than amount", {
      field = "amount_to_capture",
    })
  end
  if payment.capture_method == "automatic" then
    return replies.refuse("IR_14", text:format("capture_method", "automatic",
      "manual, manual_multiple, scheduled"))
  end
  if not amount and payment.status == "partially_captured_and_capturable" then
    return replies.refuse("IR_04", "Missing required param: amount_to_capture", {
      field = "amount_to_capture",
    })
  end
end

-- ---- capturing, cancelling ----

function payments.capture(payment, amount, own_fault)
  amount = amount or payment.capturable
  payment.captures = payment.captures or json.array {}
  payment.captures[#payment.captures + 1] = { amount = amount }
  payment.received = payment.received + amount
  payment.capturable = payment.capturable - amount
  ledger("capture", payment, amount)
  if payment.received == payment.amount then return move(payment, "succeeded", own_fault) end
  if payment.capture_method == "manual_multiple" then
    return move(payment, "partially_captured_and_capturable", own_fault)
  end
  payment.capturable = 0 -- one capture is all that manual has
  return move(payment, "partially_captured", own_fault)
end

-- Voids what is authorised. What was captured of it stays.
function payments.cancel(payment, reason, own_fault)
  local authorised = payment.status == "requires_capture"
    or payment.status == "partially_captured_and_capturable"
  if authorised then ledger("void", payment, payment.capturable) end
  payment.cancellation_reason = reason
  payment.capturable = 0
  return move(payment, payment.received > 0 and "partially_captured" or "cancelled", own_fault)
end

-- A refund of it has been made; refunds.lua has judged the amount.
function payments.refunded(payment, id, amount)
  payment.refunded = payment.refunded + amount
  payment.refund_ids[#payment.refund_ids + 1] = id
  payment.updated_at = clock.now()
  store:put(payment)
end

-- ---- lists ----

-- All payments, the newest first.
function payments.all()
  local list, after = {}, nil
  repeat
    local page = store:list { after = after, limit = 1000 }
    for _, payment in ipairs(page) do
      after = payment.id
      list[#list + 1] = current(payment)
    end
  until #page < 1000
  table.sort(list, function(a, b)
    if a.created_at ~= b.created_at then return a.created_at > b.created_at end
    return a.id > b.id
  end)
  return list
end

-- A payment as the API writes it, as it stands now.
function payments.shown(payment) return shapes.payment(current(payment)) end

return payments
