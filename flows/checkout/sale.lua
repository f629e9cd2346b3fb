-- One sale: what is still due of an order, what was paid and how, and which ways are open to it.

local flow = require "mintage.flow"
local paymint = require "checkout.paymint"

local Sale = {}
Sale.__index = Sale

local sales = {}

function sales.begin(order, ways, lasts)
  local sale = setmetatable({
    order = order, ways = ways, page = flow.checkout_url(), till = flow.later(lasts),
    due = order.amount, paid = {}, closed = {},
    attempt = 0, -- of the customer's orders, the last one that was taken
    times = {},  -- how often each way was begun
    wrong = 0,   -- ePINs
  }, Sale)
  if #ways == 0 and order.ways then
    flow.fail("unsupported", "ways: none of them is configured and takes " .. order.amount.currency)
  elseif #ways == 0 then
    ways[1] = "mintro" -- whose refusal says what is to be configured
  end
  if order.phone then
    sale.phone = paymint.phone(order.phone)
    local wanted = "phone: wanted a Korean mobile number, 010-1234-5678"
    if not sale.phone then flow.fail("invalid_request", wanted) end
  end
  return sale
end

-- Seconds until the order expires.
function Sale:time_left() return math.max(0, self.till - flow.now()) end

-- The first way, if it can be begun without asking the customer anything.
function Sale:first(ways)
  local name = self.ways[1]
  local needs = ways.named(name).needs
  if not needs or (needs == "phone" and self.phone) then return { way = name, attempt = 0 } end
end

-- Counts another beginning of a way.
function Sale:begins(name) self.times[name] = (self.times[name] or 0) + 1 end

-- Something was paid: all that is due unless the payment says how much.
function Sale:pay(name, payment)
  local amount = payment.paid or self.due
  table.insert(self.paid, { way = name, amount = amount, change = payment.change, masked = payment.masked })
  self.due = self.due - amount
  self.rest = "Rest of order " .. self.order.reference -- how what is left is called from now on
end

-- What the run comes to: { intent_id, status }, or by what name the payment goes. In parts, it says what each
-- was. object: the payment as its provider has it: of a card, the merchant may have captured less.
function Sale:receipt(payment, object)
  local receipt = { status = "succeeded" }
  if payment then receipt[payment.tells] = payment.id end
  if payment and object.amount_received then
    receipt.status = object.status
    self.paid[#self.paid].amount = object.amount_received
  end
  local last = self.paid[#self.paid].amount
  if #self.paid > 1 or last ~= self.order.amount then receipt.amount = payment and last end
  if #self.paid > 1 or not payment then receipt.paid = self.paid end
  return receipt
end

return sales
