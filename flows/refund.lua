-- Refund: gives back what was paid, whole or in part, as often as wanted; together never more than was taken.
--   mintage run refund '{"payment": "order-1001", "amount": "20.00 USD", "reason": "broken"}' --key cup-1
-- The key makes it one refund, however often it is asked for.

local flow = require "mintage.flow"
local mintro = require "mintage.mintro"
local money = require "mintage.money"
local paymint = require "mintage.paymint"
local paymnt = require "mintage.paymnt"
local payments = require "lib.payments"

local function not_paid(is)
  flow.fail("not_paid", ("it is %s: nothing was taken from it; so that nobody pays it, use void"):format(is))
end

-- What ePINs paid of the same order is not among what can be given back.
local function but_epins(payment)
  local but = "; %s was paid by ePIN, which MINT does not take back: give it back by hand"
  return payment.by_epin and but:format(payment.by_epin)
end

local give_back = {}

function give_back.paymnt(payment, order)
  local id = payment.id
  local now = paymnt.payments.retrieve(id)
  if now.status == "partially_captured_and_capturable" then
    flow.fail("conflict", "more of it can still be captured: void the rest first")
  elseif now.status ~= "succeeded" and now.status ~= "partially_captured" then
    not_paid(now.status)
  end

  local left = now.amount_received
  for _, refund in ipairs(now.refunds or {}) do -- one that is still under way counts too
    if refund.status ~= "failed" then left = left - refund.amount end
  end
  local amount = payments.of_what_is_left(order.amount, left, "given back", but_epins(payment))

  local refund = paymnt.refunds.create { payment_id = id, amount = amount, reason = order.reason }
  payments.let_go(payment)
  flow.progress { payment_id = id, refund_id = refund.refund_id, amount = amount }

  refund = paymnt.refunds.settled(refund.refund_id, "30d") or refund
  if refund.status ~= "succeeded" then
    local why = refund.error_message or "Paymnt does not say why"
    flow.fail("declined", ("the refund is %s: %s"):format(refund.status, why))
  end
  return {
    payment_id = id, refund_id = refund.refund_id, status = refund.status,
    amount = amount, left = left - amount,
  }
end

function give_back.paymint(payment, order)
  local bill = paymint.bills.read(payment.id)
  if bill.appr_state == "C" then flow.fail("nothing_left", "the bill has been given back already") end
  if bill.appr_state ~= "F" then not_paid(bill.appr_state == "D" and "destroyed" or "an unpaid bill") end

  local price = bill.appr_price
  if order.amount and order.amount ~= price then
    payments.of_what_is_left(order.amount, price, "given back", but_epins(payment))
    flow.fail("unsupported", ("Paymint gives a bill back whole: %s, or nothing"):format(price))
  end
  paymint.bills.cancel { bill_id = payment.id, price = price }
  return { bill_id = payment.id, amount = price, left = money.zero "KRW", status = "succeeded" }
end

function give_back.mintro(payment, order)
  local intent = mintro.intents.get(payment.id)
  if intent.status ~= "succeeded" then not_paid(intent.status) end
  local text = "Mintro's API has no refund: give %s of %s back in Mintro's dashboard"
  flow.fail("unsupported",
    text:format(order.amount or intent.amount, intent.intent_id) .. (but_epins(payment) or ""))
end

function give_back.mint(payment)
  local what = payment.by_epin and payment.by_epin .. ": " or ""
  flow.fail("unsupported", what .. "MINT's API takes no ePIN back, issued or redeemed: give the customer "
    .. "another one (mint.epins.generate), or ask MINT")
end

return flow.define {
  name = "refund",
  title = "Refund",
  description = "Gives back what was paid, whole or in part.",

  input = {
    payment = { type = "string", max = 200, doc = "its id, its run, or its run's key" },
    amount = { type = "money?", min = 1, doc = "all that is left unless given" },
    reason = { type = "string?", max = 255 },
    provider = "mintro|paymnt|paymint|mint?",
  },

  run = function(order)
    local payment = payments.find(order.payment, order.provider)
    payments.hold(payment)
    local given = give_back[payment.provider](payment, order)
    given.not_given_back = payment.by_epin -- what ePINs paid of it is for a person
    return given
  end,
}
