-- Checkout: one order, paid on Mintro's own page. The customer gets payment_url (or the run's checkout page,
-- which leads there); the flow waits until the payment is at rest and says what became of it.

local flow = require "mintage.flow"
local mintro = require "mintage.mintro"

local PATIENCE = "24h" -- how long a customer may take

return flow.define {
  name = "checkout",
  title = "Checkout",
  description = "One payment through Mintro's hosted page.",

  input = {
    reference = { type = "string", max = 100, pattern = "[A-Za-z0-9_-]+", doc = "your own, unique id" },
    amount = { type = "money", min = 1 },
    email = "email",
    name = "string",
    items = { { name = "string", quantity = { type = "integer", min = 1 }, price = "money" } },
    tax = "money?",
    discount = "money?",
    integration = "url|iframe?",
    success_url = "url?",
    cancel_url = "url?",
  },

  run = function(order)
    local checkout_url = flow.checkout_url()

    local intent = mintro.intents.create {
      reference_id = order.reference,
      amount = order.amount,
      tax = order.tax,
      discount = order.discount,
      order_items = order.items,
      email = order.email,
      name = order.name,
      integration_type = order.integration or "url",
      success_url = order.success_url or checkout_url,
      cancel_url = order.cancel_url or checkout_url,
    }
    local id = intent.intent_id
    flow.undo(mintro.intents.release, { intent_id = id }) -- if the run is cancelled, nobody can pay any more
    flow.progress { intent_id = id, payment_url = intent.payment_url, checkout_url = checkout_url }

    local settled = mintro.intents.settled(id, PATIENCE)
    if not settled then
      -- Too late; but a payment that was made while we closed the intent is a payment.
      flow.try(mintro.intents.cancel, { intent_id = id }) -- mintage: ignore, what is true is read next
      if mintro.intents.get(id).status ~= "succeeded" then flow.fail "expired" end
    elseif settled.status ~= "succeeded" then
      flow.fail(settled.status) -- "cancelled" or "expired"
    end

    return { intent_id = id, status = "succeeded" }
  end,

  -- Mintro told of this intent when the order was over. Paid although the order had failed or been cancelled:
  -- the money goes back, and what Mintro cannot give back waits for a person.
  late = function(event)
    local status = mintro.intents.get(event.key).status
    if event.run.state ~= "completed" and status == "succeeded" then
      flow.warn("paid after the order was over", { order = event.run.id, intent_id = event.key })
      flow.undo(mintro.intents.release, { intent_id = event.key })
      flow.fail "paid_late"
    end
    return { intent_id = event.key, status = status }
  end,
}
