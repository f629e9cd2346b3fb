-- Paymnt as one of the sandbox's providers: its refusals, and what the control API may ask of it.

local cards = require "lib.cards"
local clock = require "lib.clock"
local payments = require "lib.paymnt.payments"
local provider = require "lib.provider"
local replies = require "lib.paymnt.replies"
local shapes = require "lib.paymnt.shapes"
local store = require "lib.paymnt.store"

-- What became of a payment, in the words that all providers' customers have.
local outcomes = { requires_customer_action = "requires_action", requires_capture = "succeeded" }

local function outcome(payment)
  return 200, { status = outcomes[payment.status] or payment.status, payment_status = payment.status }
end

-- What a customer does on the page, for POST /_sandbox/pay. Answers an HTTP status and a body.
local function pay(id, request, call)
  local payment = payments.find(id)
  if not payment then return 404, "there is no such payment" end
  call.reference = payment.id
  if not payments.is_open(payment) then return 409, "the payment is " .. payment.status end

  local challenged = payment.status == "requires_customer_action"
  if request.action == "cancel" then
    return outcome(payments.cancel(payment, "cancelled by the customer", call.own_fault))
  elseif request.card ~= nil then
    if challenged then return 409, "the payment waits for its 3-D Secure challenge" end
    local card = cards.find(request.card)
    if not card then return 422, "not a test card" end
    return outcome(payments.pay(payment, payments.by_card(card), call.own_fault))
  elseif challenged then
    return outcome(payments.challenge(payment, request.action ~= "fail", call.own_fault))
  elseif request.action == "fail" then
    return outcome(payments.refuse(payment, call.own_fault))
  end
  return 422, 'say which "card" pays, or an "action": cancel or fail'
end

local function newest_first(list, made, id)
  table.sort(list or {}, function(a, b)
    if a[made] ~= b[made] then return a[made] > b[made] end
    return a[id] > b[id]
  end)
  return list
end

return provider.define {
  name = "paymnt",
  webhooks = true,
  fail = replies.fail,
  fault = function(code, req) return replies.finish(req, replies.provoked(code), clock.now()) end,
  payable = { field = "payment_id", pay = pay },
  state = function(page)
    return {
      payments = newest_first(page("payments", store.payments, payments.shown), "created", "payment_id"),
      refunds = newest_first(page("refunds", store.refunds, shapes.refund), "created_at", "refund_id"),
    }
  end,
}
