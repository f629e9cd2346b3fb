-- Mintro's recurring profiles: begun by the first charge of a recurring intent, charged every interval_days
-- by the sandbox's clock. A charge that fails is tried again on the next three days; then the profile is
-- cancelled.

local cards = require "lib.cards"
local clock = require "lib.clock"
local decimal = require "lib.decimal"
local events = require "lib.mintro.events"
local ids = require "lib.ids"
local journal = require "lib.journal"
local store = require "lib.mintro.store"
local task = require "mintage.task"

local subscriptions = {}

local intents, profiles = store.intents, store.profiles

local RETRIES = 3

-- Every period is counted from the first charge, so that a late one moves nothing.
local function due(profile, period)
  return profile.started_at + (period - 1) * profile.interval_days * clock.day
end

local function schedule(profile, at)
  task.at(math.max(at, clock.now()), "mintro.renew", { subscription = profile.id, period = profile.period })
end

-- Begins the profile of an intent that was just charged for its first period.
function subscriptions.begin(intent, card, own_fault)
  local profile = profiles:insert {
    id = ids.uuid(),
    intent_id = intent.id,
    status = "active",
    interval_days = intent.interval_days,
    amount = intent.amount,
    currency = intent.currency,
    reference_id = intent.reference_id,
    card = card,
    started_at = clock.now(),
    period = 2, -- the next one to charge
    failures = 0,
  }
  schedule(profile, due(profile, 2))
  events.emit("subscription.created", intent, {
    subscription_id = "sub_" .. profile.id,
    intent_id = "pi_" .. intent.id,
  }, own_fault)
  return profile
end

local function renewed(profile, intent)
  journal.money {
    provider = "mintro",
    kind = "charge",
    reference = profile.reference_id,
    object_id = "sub_" .. profile.id,
    period = profile.period,
    amount = decimal.text(profile.amount),
    currency = profile.currency,
  }
  profile.period, profile.failures = profile.period + 1, 0
  schedule(profile, due(profile, profile.period))
  profiles:put(profile)
  events.emit("subscription.renewed", intent, {
    subscription_id = "sub_" .. profile.id,
    intent_id = "pi_" .. intent.id,
  })
end

local function failed(profile, intent)
  local message = cards.messages[profile.card.renewal]
  profile.failures = profile.failures + 1
  if profile.failures <= RETRIES then
    schedule(profile, clock.now() + clock.day)
  else
    profile.status = "cancelled"
    message = message .. " The subscription has ended after " .. RETRIES .. " retries."
  end
  profiles:put(profile)
  events.emit("subscription.failed", intent, {
    subscription_id = "sub_" .. profile.id,
    intent_id = "pi_" .. intent.id,
    message = message,
  })
end

task.define("mintro.renew", function(payload)
  local profile = profiles:get(payload.subscription)
  if not profile or profile.status ~= "active" or profile.period ~= payload.period then return end
  local intent = intents:get(profile.intent_id)
  if profile.card.renewal == "succeeded" then renewed(profile, intent) else failed(profile, intent) end
end)

function subscriptions.find(id) return profiles:get(id) end

-- Cancels an active profile; nil when it is not active any more.
function subscriptions.cancel(profile, own_fault)
  if profile.status ~= "active" then return nil end
  local intent = intents:get(profile.intent_id)
  profile.status = "cancelled"
  profile = profiles:put(profile)
  events.emit("subscription.canceled", intent, {
    subscription_id = "sub_" .. profile.id,
    intent_id = "pi_" .. intent.id,
    message = "Subscription cancelled via API.",
  }, own_fault)
  return profile
end

function subscriptions.list(page)
  return page("subscriptions", profiles, function(profile)
    return {
      subscription_id = "sub_" .. profile.id,
      intent_id = "pi_" .. profile.intent_id,
      reference_id = profile.reference_id,
      status = profile.status,
      interval_days = profile.interval_days,
      next_period = profile.period,
      next_charge_at = profile.status == "active" and clock.text(due(profile, profile.period)) or nil,
      failures = profile.failures,
    }
  end)
end

return subscriptions
