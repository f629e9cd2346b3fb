-- Fail-over: an order is paid at Mintro; or at Paymnt, when Mintro will not take it.
--   mintage run failover '{"amount": "12.50 USD", "email": "ann@example.com", "name": "Ann"}'

local flow = require "mintage.flow"
local mintro = require "mintage.mintro"
local paymnt = require "mintage.paymnt"

local function at_mintro(order)
  local intent, refused = flow.try(mintro.intents.create, {
    reference_id = flow.id(), amount = order.amount, email = order.email, name = order.name,
    order_items = { { name = "Order", quantity = 1, price = order.amount } },
    integration_type = "url", success_url = flow.checkout_url(), cancel_url = flow.checkout_url(),
  })
  if not intent then return nil, refused end
  flow.undo(mintro.intents.release, { intent_id = intent.intent_id })
  flow.progress { intent_id = intent.intent_id, payment_url = intent.payment_url }
  return mintro.intents.settled(intent.intent_id, "1h") or flow.fail "expired"
end

local function at_paymnt(order)
  local payment = paymnt.payments.create {
    amount = order.amount, email = order.email, name = order.name, payment_link = true,
    return_url = flow.checkout_url(),
  }
  flow.undo(paymnt.payments.release, { payment_id = payment.payment_id })
  flow.progress { payment_id = payment.payment_id, payment_url = payment.payment_link.link }
  return paymnt.payments.settled(payment.payment_id, "1h") or flow.fail "expired"
end

return flow.define {
  name = "failover",
  input = { amount = "money", email = "email", name = "string" },

  run = function(order)
    -- An error that flow.try answers is a definite no: Mintro has no payment that could still be made there.
    local settled, refused = at_mintro(order)
    if refused then
      flow.warn("Mintro will not take it", refused)
      settled = at_paymnt(order)
    end
    if settled.status ~= "succeeded" then flow.fail(settled.status) end
    return { paid_at = refused and "paymnt" or "mintro", status = "succeeded" }
  end,
}
