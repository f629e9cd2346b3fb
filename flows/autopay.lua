-- AutoPay: a subscription, charged to the card that its payer has registered with Paymint, for as long as it
-- lasts. One run is one subscription, and its key is its name: nobody can own it twice. Each period is a
-- segment of the run: it waits for the day, charges, and goes on with the next.

local flow = require "mintage.flow"
local json = require "mintage.json"
local money = require "mintage.money"
local payer = require "autopay.payer"
local paymint = require "mintage.paymint"

-- What a subscription does not say for itself; the settings' section "autopay" may say otherwise. A decline
-- that another day may change is tried again after these pauses; grace is from the first decline to the end.
local terms = require "lib.terms"("autopay", {
  zone = "Asia/Seoul", retries = { "1d", "3d", "5d" }, grace = "14d", catch_up = "once",
})
assert(("once skip all"):find(terms.catch_up, 1, true), "settings: autopay.catch_up: once, skip or all")

-- The n-th due date, always counted from the first: the 31st stays the 31st, nine o'clock nine o'clock.
local function due_date(sub, n) return flow.date(sub.start, sub.zone):plus(sub.every, n) end

-- Waits until an instant (paused: until it is resumed) and follows the operators' orders (README.md). Answers
-- what cannot wait: "cancelled", "resumed" or "card" (there is another); nil when the time has come.
local function wait(sub, till)
  for order in flow.events("autopay", flow.key() or flow.id(), { till = not sub.paused and till or nil }) do
    order = type(order) == "table" and order or {}
    local price = order.price and money.parse(order.price)
    if order.cancel == "now" then return "cancelled" end
    if order.card == "changed" then return "card" end
    if order.cancel == "period_end" then
      sub.ending = true
      flow.progress { status = "ending" }
    elseif order.pause then
      sub.paused = true
      flow.progress { status = "paused", next_charge = json.null }
      return wait(sub, till)
    elseif order.resume then
      sub.paused, sub.ending = nil, nil
      return "resumed"
    elseif price and price.currency == "KRW" and price:is_positive() then
      sub.price = price -- from the next bill on
      flow.progress { price = price }
    elseif order.card == "page" then
      flow.progress { card_url = (flow.try(paymint.autopay.manage, sub.customer) or {}).shortURL }
    else
      flow.warn("an order was not understood", order)
    end
  end
end

-- Waits for a card that is not among these. Paymint does not tell of one, so we look, more and more rarely.
local function wait_for_card(sub, cards, till)
  local pause = 60
  repeat
    local news = wait(sub, math.min(flow.later(pause).ms, till.ms))
    if news then return news end
    local found = payer.cards(sub) or cards
    if cards and found ~= cards then return "card" end
    cards, pause = found, math.min(pause * 2, 6 * 3600)
  until flow.now() >= till
end

-- The first card: answers "card" once there is one. The payer has a week to enter it.
local function register(sub)
  if (payer.cards(sub) or "") ~= "" then return "card" end
  local to = paymint.autopay.register { customer_id = sub.customer, member_nm = sub.name, phone = sub.phone }
  flow.progress { status = "registering", customer_id = sub.customer, card_url = to.shortURL }
  local news = wait_for_card(sub, "", flow.later "7d")
  return news == "resumed" and register(sub) or news or flow.fail "not_registered"
end

-- Charges what is due. A soft decline is tried again as the schedule says, a hard one with another card only;
-- when grace is over, the subscription ends unpaid. Answers the paid bill; nil when it was cancelled.
local function collect(sub, due)
  local bill = { customer_id = sub.customer, product_nm = sub.product, message = due.date, price = sub.price }
  local declines, ends, news = 0, nil
  repeat
    local paid, err = flow.try(paymint.autopay.request, bill)
    if paid then return paid end
    if err.kind == "declined" or err.kind == "not_found" then -- "not_found": there is no card any more
      declines, ends = declines + 1, ends or flow.later(sub.grace or terms.grace)
      local retries = not err.hard and err.kind == "declined" and (sub.retries or terms.retries) or {}
      local pause = retries[declines] and flow.later(retries[declines])
      local again = pause and pause < ends and pause or nil
      local cards, page = payer.cards(sub), flow.try(paymint.autopay.manage, sub.customer)
      flow.progress { status = "past_due", next_charge = again and tostring(again) or json.null }
      payer.declined(sub, bill, err, page, ends, again, again ~= nil and #retries == declines)
      news = wait_for_card(sub, cards, again or ends)
      if not news and flow.now() >= ends then flow.fail("unpaid", err) end
    else -- our points, our licence, an outage
      flow.warn("could not charge, and not for the payer's fault", err)
      news = wait(sub, flow.later "6h")
    end
  until news == "cancelled"
end

local function ended()
  flow.progress { status = "ended", next_charge = json.null }
  return { ended = "cancelled" }
end

return flow.define {
  name = "autopay", description = "A subscription charged to a registered card through Paymint.",
  input = {
    customer = { type = "string", max = 100, pattern = "[A-Za-z0-9_.@:-]+" },
    name = { type = "string", min = 1, max = 100 }, product = { type = "string", min = 1, max = 255 },
    phone = { type = "string", pattern = "[+(]*(82)?[-. )]*0?10[-. )]*[0-9]{4}[-. ]*[0-9]{4} *",
      doc = "a Korean mobile number, as in 010-1234-5678" },
    price = { type = "money", currency = "KRW", min = 1 },
    every = "period",  -- "month", "3 months", "2 weeks", "day", "year"
    start = "local?",  -- the first charge; without it: once there is a card, or when the trial is over
    trial = "period?", zone = "zone?", grace = "duration?", catch_up = "once|skip|all?",
    retries = { type = "array", items = "duration", optional = true },
    period = "integer?", paused = "boolean?", ending = "boolean?", -- its own, from segment to segment
  },

  run = function(sub)
    local news
    if not sub.period then
      if register(sub) == "cancelled" then return ended() end
      local first = flow.date(sub.start or flow.now(), sub.zone or terms.zone)
      if sub.trial then first = first:plus(sub.trial) end
      sub.start, sub.zone, sub.period = first:format "%Y-%m-%dT%H:%M:%S", first.zone, 0
    end

    local due = due_date(sub, sub.period)
    flow.progress { status = sub.paused and "paused" or sub.ending and "ending" or "active",
      period = sub.period, next_charge = not sub.paused and tostring(due) or json.null, price = sub.price }
    repeat news = wait(sub, due) until news ~= "card"
    if news == "cancelled" or sub.ending and not news then return ended() end

    -- It was paused, or nothing ran here on the day: which of the periods that are over are charged?
    local policy = news and "skip" or flow.now() - due > 24 * 3600 and (sub.catch_up or terms.catch_up)
    if policy == "all" and wait(sub, flow.later "1h") == "cancelled" then return ended() end -- not at once
    if policy == "once" or policy == "skip" then
      local last = policy == "once" and 1 or 0 -- what fell due last is charged
      while due_date(sub, sub.period + last) <= flow.now() do sub.period = sub.period + 1 end
      if policy == "skip" then flow.continue(sub) end
    end

    local paid = collect(sub, due_date(sub, sub.period))
    if not paid then return ended() end
    flow.progress { bill_id = paid.bill_id, charged = paid.appr_price }
    sub.period = sub.period + 1
    flow.continue(sub)
  end,
}
