-- Checkout: one order on one page, paid by any way that the merchant has: on Mintro's page, by card (Paymnt),
-- by a bill on the phone (Paymint), with an ePIN (MINT), or with an ePIN and the rest by another way.
--   mintage run checkout '{"reference": "ORDER-1", "amount": "80.00 USD", "email": "ann@example.com",
--     "name": "Ann", "items": [{"name": "Coffee", "quantity": 2, "price": "40.00 USD"}]}' --key ORDER-1
-- Each way is a file of checkout/; checkout/page.lua is the customer's side.

local flow = require "mintage.flow"
local merchant = require "checkout.merchant"
local page = require "checkout.page"
local sales = require "checkout.sale"
local ways = require "checkout.ways"

-- Begins a payment by the way that was chosen. Nil: it was refused, or paid at once (an ePIN).
local function open(sale, wish)
  local way = ways.named(wish.way)
  sale:begins(wish.way)
  sale.problem = nil
  page.show(sale, "opening", { way = wish.way })
  local payment, refused, field = way.open(sale, wish)
  if not payment then
    if #sale.ways == 0 or (sale.attempt == 0 and #sale.ways == 1) then flow.fail(refused) end
    flow.log("this way is refused", refused)
    sale.problem = { way = wish.way, kind = refused.kind, field = field }
  elseif payment.paid then
    sale:pay(wish.way, payment)
  else
    payment.way, payment.tells, payment[way.tells] = wish.way, way.tells, payment.id
    page.show(sale, "pay", payment)
    return payment
  end
end

-- Sees to it that the open payment cannot be made any more, before anything else is opened or given up. It
-- may turn out to be made already.
local function close(sale, payment)
  local way = ways.named(payment.way)
  page.show(sale, "closing", payment)
  while true do
    way.close(payment)
    local object = way.settled(payment.id, "1h") -- how it stands; nil when that is not known yet
    if object then return object end
  end
end

-- Waits until the open payment is at rest, or (nil, and what) until the customer wants something else. To
-- choose once more what is open already changes nothing.
local function rest(sale, payment, way)
  local object, wish, again
  repeat
    object, wish = page.wait(sale, way.settled, payment.id)
    again = wish and wish.way == payment.way and not wish.anew and (wish.phone or sale.phone) == sale.phone
    if again then
      sale.attempt = wish.attempt
      page.show(sale, "pay", payment)
    end
  until not again
  return object, wish
end

-- Waits for the open payment until it is at rest, the customer wants something else, or time is over. Answers
-- the receipt once it is made, and else what the customer wants.
local function wait(sale, payment)
  local way = ways.named(payment.way)
  local object, wish = rest(sale, payment, way)
  local by_itself = object ~= nil
  object = object or close(sale, payment)
  local outcome = way.outcome(object)

  if outcome == "authorised" then -- the customer is done: the merchant captures, or does not
    payment.authorised = true
    page.show(sale, "done", payment)
    merchant.tell(sale, "authorised", { payment_id = payment.id })
    object = way.captured(payment.id)
    outcome = way.outcome(object)
    if outcome ~= "paid" then flow.fail(outcome) end
  end
  if outcome == "paid" then
    sale:pay(payment.way, payment)
    page.show(sale, "done", payment)
    return sale:receipt(payment, object)
  end
  -- Who cancels on a page to which we led has cancelled the order; who has chosen it here may choose again.
  if by_itself and sale.attempt == 0 and outcome ~= "declined" then flow.fail(outcome) end
  sale.problem = by_itself and { way = payment.way, kind = outcome } or nil
  table.insert(sale.closed, { [way.tells] = payment.id }) -- reconcile looks at them still
  return nil, wish
end

return flow.define {
  name = "checkout",
  title = "Checkout",
  description = "One order, paid by any of the ways that are configured.",

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
    ways = { type = "array", items = "mintro|paymnt|paymint|epin", min = 1, max = 4, optional = true },
    phone = { type = "string?", max = 64, doc = "a Korean mobile number, for Paymint" },
    capture = { type = "automatic|manual?", doc = "of cards: manual waits for `mintage run capture`" },
    expires = { type = "duration?", doc = "how long the customer may take: 24h" },
    notify = { type = "string?", max = 100, doc = "the endpoint of yours that is told (flows/notify.lua)" },
    locale = { type = "string?", max = 20, doc = "of the page" },
  },

  run = function(order)
    local sale = sales.begin(order, ways.open_to(order), order.expires or ways.terms.expires)
    return merchant.told(sale, function()
      local wish, receipt = sale:first(ways), nil -- what can be begun without asking the customer
      repeat
        wish = wish or page.ask(sale) or flow.fail "expired"
        if wish.action == "cancel" then flow.fail "cancelled" end
        sale.attempt = wish.attempt
        local payment = open(sale, wish)
        wish = nil
        if payment then receipt, wish = wait(sale, payment) end
      until not sale.due:is_positive()
      if not receipt then page.show(sale, "done") end -- all of it by ePINs
      return receipt or sale:receipt()
    end)
  end,

  -- A provider told of a payment when the order was over. Made although the order had failed, or had been
  -- paid by another way: the money goes back, and what a provider cannot give back waits for a person.
  late = function(event)
    local way = ways.of_topic(event.topic)
    if not way then return { nothing = "the customer ordered something when the order was over" } end
    local payment, paid_by = way.read(event.key), event.run.output or {}
    local outcome = way.outcome(payment)
    if paid_by[way.tells] ~= event.key and (outcome == "paid" or outcome == "authorised") then
      flow.warn("paid after the order was over", { order = event.run.id, [way.tells] = event.key })
      way.give_back(event.key, payment)
      flow.fail "paid_late"
    end
    return { [way.tells] = event.key, status = payment.status or payment.appr_state }
  end,
}
