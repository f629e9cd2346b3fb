-- The payer of a subscription: the cards that Paymint has, and what the payer is told of.

local flow = require "mintage.flow"
local paymint = require "mintage.paymint"

local payer = {}

-- The payer's cards as one text, so that a change is seen; nil when Paymint cannot be asked.
function payer.cards(sub)
  local asked, answer = pcall(flow.try, paymint.autopay.methods, sub.customer)
  local ids = {}
  for i, method in ipairs(asked and answer and answer.methods or {}) do ids[i] = method.method_id end
  return asked and table.concat(ids, " ") or nil
end

-- Of a decline, through the merchant's webhooks: why, where to enter another card, when it is tried again
-- (again; nil: not without another card), whether that is the last time, and when the subscription ends.
function payer.declined(sub, bill, why, page, ends, again, last)
  local told, failed = pcall(flow.start, "notify", { event = "autopay.declined", data = {
    subscription = flow.key(), customer = sub.customer, product = sub.product, price = bill.price,
    reason = why.message, card_url = page and page.shortURL, ends = tostring(ends),
    next_attempt = again and tostring(again), last_attempt = last,
  } }, { detached = true })
  if not told then flow.warn("the payer was not told", failed) end
end

return payer
