-- Capture: takes what a card holds for us, whole or in part; several times, when the payment was made for it.
--   mintage run capture '{"payment": "rental-77", "amount": "35.00 USD"}' --key rental-77-damage
-- The key makes it one capture, however often it is asked for.

local flow = require "mintage.flow"
local paymnt = require "mintage.paymnt"
local payments = require "lib.payments"

local open = { requires_capture = true, partially_captured_and_capturable = true }

return flow.define {
  name = "capture",
  title = "Capture",
  description = "Takes what was authorised, whole or in part.",

  input = {
    payment = { type = "string", max = 200, doc = "its id, its run, or its run's key" },
    amount = { type = "money?", min = 1, doc = "all that is left unless given" },
    provider = "mintro|paymnt|paymint|mint?",
  },

  run = function(order)
    local payment = payments.find(order.payment, order.provider)
    if payment.provider ~= "paymnt" then
      flow.fail("unsupported", payment.provider .. " holds nothing to be captured later: it takes at once")
    end
    payments.hold(payment)

    local now = paymnt.payments.retrieve(payment.id)
    if not open[now.status] then
      flow.fail("conflict", ("nothing is held to be captured: the payment is %s"):format(now.status))
    end
    local amount = payments.of_what_is_left(order.amount, now.amount_capturable, "captured")

    now = paymnt.payments.capture { payment_id = payment.id, amount_to_capture = amount }
    if now.status == "processing" then now = paymnt.payments.settled(payment.id, "30d") or now end
    return { payment_id = payment.id, amount = amount, left = now.amount_capturable, status = now.status }
  end,
}
