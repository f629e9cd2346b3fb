-- Buy now, pay in three: a third at once, the others after one and two months, by a card that the customer
-- has registered with Paymint's AutoPay.
--   mintage run thirds '{"customer": "ann", "product": "Sofa", "price": "100000 KRW"}' --key sofa-ann

local flow = require "mintage.flow"
local paymint = require "mintage.paymint"

local AGAIN = { "3d", "7d" } -- after a charge that failed

-- Charges now, and again after a while. What cannot be charged at all fails the run, with the last reason.
local function charge(order, part)
  local bill = { customer_id = order.customer, product_nm = order.product, price = part }
  for attempt = 1, #AGAIN + 1 do
    local paid, err = flow.try(paymint.autopay.request, bill)
    if paid then return end
    if err.hard or not AGAIN[attempt] then flow.fail("unpaid", err) end
    flow.sleep(AGAIN[attempt])
  end
end

return flow.define {
  name = "thirds",
  input = {
    customer = "string",
    product = "string",
    price = { type = "money", currency = "KRW", min = 3 },
  },

  run = function(order)
    local thirds = order.price:split(3)
    local bought = flow.date(flow.now(), "Asia/Seoul")
    for n, third in ipairs(thirds) do
      flow.sleep_until(bought:plus("month", n - 1))
      charge(order, third)
      flow.progress { paid = n, of = #thirds }
    end
    return { paid = order.price }
  end,
}
