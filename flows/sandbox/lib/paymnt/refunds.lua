-- Paymnt's refunds: rules and making them. They succeed at once. The sum that counts is the payment's own.

local clock = require "lib.clock"
local crypto = require "mintage.crypto"
local events = require "lib.paymnt.events"
local payments = require "lib.paymnt.payments"
local replies = require "lib.paymnt.replies"
local shapes = require "lib.paymnt.shapes"

local refunds = {}

local store = require("lib.paymnt.store").refunds

local MOST, OLDEST_DAYS = 10, 365

function refunds.find(id) return type(id) == "string" and store:get(id) or nil end

-- Why a refund is not possible, in the API's words; nil when it is.
local function refusal(payment, id, amount)
  local status = payment.status
  if status ~= "succeeded" and status ~= "partially_captured" then
    return replies.refuse("IR_14", ("This Payment could not be refund because it has a status of %s. The "
      .. "expected state is succeeded, partially_captured"):format(status))
  end
  if amount <= 0 then return replies.refuse("IR_05", nil, { field = "amount" }) end
  if id and store:get(id) then
    return replies.refuse("HE_01", "Duplicate refund request. Refund already attempted with the refund ID")
  end
  if payment.refunded + amount > payment.received then
    return replies.refuse("IR_13", nil, { field = "amount" })
  end
  if clock.now() - payment.created_at > OLDEST_DAYS * clock.day then
    local text = "created_at contains invalid data. Expected format is created_at not older than %d days"
    return replies.refuse("IR_05", text:format(OLDEST_DAYS), { field = "created_at" })
  end
  if #payment.refund_ids > MOST then return replies.refuse("IR_12") end
end

-- given: the fields of a create call. Answers the refund, or nil and why not.
function refunds.create(payment, given, own_fault)
  local amount = given.amount or payment.received
  local wrong = refusal(payment, given.refund_id, amount)
  if wrong then return nil, wrong end
  local refund = store:insert {
    id = given.refund_id or "ref_" .. crypto.token(10),
    payment_id = payment.id,
    amount = amount,
    currency = payment.currency,
    status = "succeeded",
    reason = given.reason,
    metadata = given.metadata,
    created_at = clock.now(),
    updated_at = clock.now(),
  }
  payments.refunded(payment, refund.id, amount)
  payments.ledger("refund", payment, amount, refund.id)
  events.emit("refund_succeeded", "refund_details", shapes.refund(refund), own_fault)
  return refund
end

-- Changes what may be changed of a refund: its reason and its metadata.
function refunds.update(refund, given)
  refund.reason, refund.metadata = given.reason or refund.reason, given.metadata or refund.metadata
  refund.updated_at = clock.now()
  store:put(refund)
  return refund
end

-- The newest first; of one payment, or all.
function refunds.list(payment_id)
  local list, after = {}, nil
  repeat
    local page = store:list {
      field = payment_id and "payment_id", value = payment_id, after = after, limit = 1000,
    }
    for _, refund in ipairs(page) do
      after = refund.id
      list[#list + 1] = refund
    end
  until #page < 1000
  table.sort(list, function(a, b)
    if a.created_at ~= b.created_at then return a.created_at > b.created_at end
    return a.id > b.id
  end)
  return list
end

return refunds
