-- The ways to pay: which there are, and which of them an order may take. One file a way; each has
--   uses           the operation without which it cannot be
--   currency       the only one that it takes
--   needs          what the customer has to say for it: "phone", "epin"
--   open           begins a payment: { id, url?, ... }, or at once pays: { paid, change, masked };
--                  nil, why and which field when it was refused
--   settled        waits until a payment is at rest
--   outcome        what it is then: "paid", "authorised", or why not
--   close, read    sees to it that it cannot be paid any more; reads it
--   give_back      gives back what was paid too late
--   topic, tells   of its events, and under which name a run tells of its payments

local provider = require "mintage.provider"
local terms = require "lib.terms"

local names = { "mintro", "paymnt", "paymint", "epin" }
local ways = {
  mintro = require "checkout.mintro", paymnt = require "checkout.paymnt",
  paymint = require "checkout.paymint", epin = require "checkout.epin",
}

local list = { terms = terms("checkout", { ways = names, expires = "24h" }) }

for _, name in ipairs(list.terms.ways) do
  assert(ways[name], ("settings: checkout.ways: there is no way %q"):format(name))
end

function list.named(name) return ways[name] end

-- The way whose payments have events of this topic.
function list.of_topic(topic)
  for _, name in ipairs(names) do
    if ways[name].topic == topic then return ways[name] end
  end
end

-- The ways that are open to an order: those it names, else those of the settings; of these, the ones whose
-- provider is configured and takes its currency.
function list.open_to(order)
  local m, c, k, e = provider.configured(
    ways.mintro.uses, ways.paymnt.uses, ways.paymint.uses, ways.epin.uses)
  local configured = { mintro = m, paymnt = c, paymint = k, epin = e }
  local open = {}
  for _, name in ipairs(order.ways or list.terms.ways) do
    local currency = ways[name].currency
    local fits = not currency or currency == order.amount.currency
    if configured[name] and fits then table.insert(open, name) end
  end
  return open
end

return list
