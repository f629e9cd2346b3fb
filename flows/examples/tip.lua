-- A tip jar: somebody gives what they like, on Mintro's own page.
--   mintage run tip '{"amount": "5.00 USD", "email": "ann@example.com"}'

local flow = require "mintage.flow"
local mintro = require "mintage.mintro"

return flow.define {
  name = "tip",
  input = { amount = "money", email = "email" },

  run = function(tip)
    local intent = mintro.intents.create {
      reference_id = flow.id(),
      amount = tip.amount,
      order_items = { { name = "A tip", quantity = 1, price = tip.amount } },
      name = "A friend",
      email = tip.email,
      integration_type = "url",
      success_url = flow.checkout_url(),
      cancel_url = flow.checkout_url(),
    }
    flow.progress { intent_id = intent.intent_id, payment_url = intent.payment_url }

    local settled = mintro.intents.settled(intent.intent_id, "2d") or flow.fail "forgotten"
    if settled.status ~= "succeeded" then flow.fail(settled.status) end
    return { tip = tip.amount }
  end,
}
