-- Paying on Mintro's own page, in a frame of ours or by going there.

local flow = require "mintage.flow"
local mintro = require "mintage.mintro"

local way = {
  uses = mintro.intents.create,
  settled = mintro.intents.settled,
  topic = "mintro.intent",
  tells = "intent_id", -- by this name a run tells of its payment
}

function way.open(sale)
  local order, rest, n = sale.order, sale.rest, sale.times.mintro
  local intent, refused = flow.try(mintro.intents.create, {
    reference_id = n == 1 and order.reference or ("%s-%d"):format(flow.id(), n), -- never one twice
    amount = sale.due,
    tax = not rest and order.tax or nil,
    discount = not rest and order.discount or nil,
    order_items = rest and { { name = rest, quantity = 1, price = sale.due } } or order.items,
    email = order.email,
    name = order.name,
    integration_type = order.integration or "url",
    success_url = order.success_url or sale.page,
    cancel_url = #sale.ways == 1 and order.cancel_url or sale.page, -- back to the choice, if there is one
  })
  if not intent then return nil, refused end
  flow.undo(mintro.intents.release, { intent_id = intent.intent_id }) -- when it fails, nobody can pay it
  return { id = intent.intent_id, url = intent.payment_url }
end

function way.outcome(intent)
  if intent.status == "succeeded" then return "paid" end
  return intent.status -- "cancelled" or "expired"
end

-- Sees to it that it cannot be paid any more. What has become of it is read afterwards.
function way.close(payment)
  flow.try(mintro.intents.cancel, { intent_id = payment.id }) -- mintage: ignore
end

function way.read(id) return mintro.intents.get(id) end

-- What Mintro cannot give back waits for a person.
function way.give_back(id) flow.undo(mintro.intents.release, { intent_id = id }) end

return way
