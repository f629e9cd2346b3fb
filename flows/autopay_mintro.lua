-- AutoPay over Mintro: a subscription that Mintro charges by itself, every so many days. It cannot be read
-- there, so this run knows how it stands by what Mintro tells (at the URL with our secret), and ends it at
-- Mintro when it ends here. Each period is a segment. What operators may order: README.md.

local flow = require "mintage.flow"
local json = require "mintage.json"
local mintro = require "mintage.mintro"

-- Grace: after a failed renewal; Mintro tries again by itself meanwhile.
local terms = require "lib.terms"("autopay_mintro", { grace = "7d" })
local DAY = 24 * 3600

-- Tells the merchant. The subscription goes on whether or not that works.
local function tell(sub, event, reason)
  local told, failed = pcall(flow.start, "notify", { event = "autopay." .. event, data = {
    subscription = flow.key(), reference = sub.reference, period = sub.period, reason = reason,
  } }, { detached = true })
  if not told then flow.warn("the merchant was not told", failed) end
end

-- Waits for what says which subscription the intent began: Mintro's event for it, which only comes with our
-- secret, or an operator's signal. Events of payments prove nothing: anybody can send one that names another.
local function subscription_of(intent_id, till)
  for event in flow.events("mintro.intent", intent_id, { till = till }) do
    local told = type(event) == "table" and (event.event or "subscription.created") == "subscription.created"
    local id = told and event.subscription_id
    if type(id) == "string" and id:find "^[%w_-]+$" then return id end
  end
end

-- Mintro says it once, and nobody can ask: a person looks there, and says it here (README.md).
local function unnamed(sub, intent_id)
  flow.warn("Mintro has charged, but has not said which subscription it began", { intent_id = intent_id })
  flow.progress { status = "unnamed" }
  tell(sub, "unnamed", "which subscription it is, somebody has to see at Mintro")
  return subscription_of(intent_id)
end

-- The first payment, on Mintro's page, begins the subscription. Answers its id, and when that was.
local function subscribe(sub)
  local intent = mintro.intents.create {
    reference_id = sub.reference, intent_type = "recurring", interval_days = sub.interval_days,
    amount = sub.price, order_items = { { name = sub.product, quantity = 1, price = sub.price } },
    email = sub.email, name = sub.name, integration_type = "url",
    success_url = sub.success_url or flow.checkout_url(), cancel_url = sub.cancel_url or flow.checkout_url(),
  }
  flow.undo(mintro.intents.release, { intent_id = intent.intent_id })
  flow.progress { status = "starting", intent_id = intent.intent_id, payment_url = intent.payment_url }
  local settled = mintro.intents.settled(intent.intent_id, "24h")
  if not settled or settled.status ~= "succeeded" then flow.fail(settled and settled.status or "expired") end
  local began = tostring(flow.now())
  return subscription_of(intent.intent_id, flow.later "1d") or unnamed(sub, intent.intent_id), began
end

local function ended(due)
  flow.progress { status = "ended", next_charge = json.null }
  return { ended = "cancelled", paid_until = tostring(due) }
end

return flow.define {
  name = "autopay_mintro", description = "A subscription that Mintro charges every so many days.",
  input = {
    reference = { type = "string", max = 100, pattern = "[A-Za-z0-9_-]+" },
    product = { type = "string", min = 1, max = 255 }, price = { type = "money", min = 1 },
    interval_days = { type = "integer", min = 1, max = 36500 },
    email = "email", name = { type = "string", min = 1, max = 255 }, grace = "duration?",
    success_url = "url?", cancel_url = "url?",
    -- Its own, from segment to segment:
    subscription_id = "string?", started = "time?", period = "integer?", unconfirmed = "boolean?",
  },

  run = function(sub)
    if not sub.subscription_id then
      sub.subscription_id, sub.started = subscribe(sub)
      sub.period = 1 -- is paid
      flow.continue(sub, { keep = true })
    end
    local id = sub.subscription_id
    flow.undo(mintro.subscriptions.cancel, { subscription_id = id }) -- if this run fails or is cancelled

    local due = flow.date(sub.started):plus("day", sub.interval_days * sub.period)
    local status, failure = sub.unconfirmed and "unconfirmed" or "active", nil
    flow.progress { status = status, subscription_id = id, period = sub.period, next_charge = tostring(due) }

    local till = due:plus(sub.grace or terms.grace)
    for event, about in flow.events("mintro.subscription", id, { till = till }) do
      event = type(event) == "table" and event or {}
      if event.event == "subscription.renewed" then
        -- For which period, the day tells: of one before we may never have heard.
        local seconds = about.at - flow.date(sub.started) + DAY // 2
        sub.period = math.max(sub.period, seconds // (sub.interval_days * DAY)) + 1
        sub.unconfirmed = nil
        flow.continue(sub, { keep = true })
      elseif event.event == "subscription.failed" then
        failure = event.message or "the renewal failed"
        flow.progress { status = "past_due" }
        tell(sub, "declined", failure)
      elseif event.event == "subscription.canceled" then
        return ended(due)
      elseif event.cancel == "now" or event.cancel == "period_end" then
        mintro.subscriptions.cancel(id) -- nothing is charged any more
        flow.progress { status = "ending", next_charge = json.null }
        if event.cancel == "period_end" then flow.sleep_until(due) end
        return ended(due)
      elseif event.event ~= "subscription.created" then
        flow.warn("an order was not understood", event)
      end
    end

    if failure then flow.fail("unpaid", failure) end
    flow.warn("Mintro told nothing of a charge that was due", { subscription_id = id, due = tostring(due) })
    tell(sub, "unconfirmed")
    sub.period, sub.unconfirmed = sub.period + 1, true
    flow.continue(sub, { keep = true })
  end,

  -- Mintro told of it when it was over here: it must not go on there; what was charged waits for a person.
  late = function(event)
    local told = event.payload
    if type(told) ~= "table" or not told.subscription_id then return end
    if told.event ~= "subscription.renewed" and told.event ~= "subscription.created" then return end
    flow.try(mintro.subscriptions.cancel, told.subscription_id) -- mintage: ignore, a no: it is over there too
    flow.fail("charged_late", "charged although it is over: " .. told.subscription_id)
  end,
}
