-- Mintro's payment intents: what they are, how they are charged, and the only places where their status
-- changes. requires_payment becomes succeeded, cancelled or expired, once; a decline changes nothing.

local cards = require "lib.cards"
local clock = require "lib.clock"
local crypto = require "mintage.crypto"
local decimal = require "lib.decimal"
local events = require "lib.mintro.events"
local ids = require "lib.ids"
local journal = require "lib.journal"
local json = require "mintage.json"
local subscriptions = require "lib.mintro.subscriptions"
local task = require "mintage.task"

local intents = {}

local store = require("lib.mintro.store").intents

-- order: the validated body of a create call.
function intents.create(order)
  order.id = ids.uuid()
  order.token = crypto.token(18)
  order.status = "requires_payment"
  order.created_at = clock.now()
  order.expires_at = order.created_at + clock.day
  order.attempts = 0
  local intent = store:insert(order)
  task.at(intent.expires_at, "mintro.expire", { intent = intent.id })
  return intent
end

task.define("mintro.expire", function(payload)
  local intent = store:get(payload.intent)
  if intent and intent.status == "requires_payment" then store:update(intent.id, { status = "expired" }) end
end)

-- An intent past its time is expired, even in the moment before its dated work is carried out.
local function current(intent)
  if intent and intent.status == "requires_payment" and clock.now() >= intent.expires_at then
    intent.status = "expired"
  end
  return intent
end

function intents.find(id) return current(store:get(id)) end
function intents.by_reference(reference) return current(store:by("reference_id", reference)) end
function intents.by_token(token) return current(store:by("token", token)) end

local function declined(intent, result, own_fault)
  intent.last_failure = result
  store:put(intent)
  events.emit("payment.failed", intent, {
    intent_id = "pi_" .. intent.id,
    charge_id = ids.number(),
  }, own_fault)
  return "failed", result
end

local function charged(intent, card, own_fault)
  local charge = ids.number()
  intent.status = "succeeded"
  intent.paid_at = clock.now()
  intent.card = { brand = card.brand, last4 = card.last4 }
  store:put(intent)
  journal.money {
    provider = "mintro",
    kind = "charge",
    reference = intent.reference_id,
    object_id = "pi_" .. intent.id,
    charge_id = charge,
    period = intent.type == "recurring" and 1 or nil,
    amount = decimal.text(intent.amount),
    currency = intent.currency,
  }
  events.emit("payment.succeeded", intent, { intent_id = "pi_" .. intent.id, charge_id = charge }, own_fault)
  if intent.type == "recurring" then subscriptions.begin(intent, card, own_fault) end
  return "succeeded"
end

local function settle(intent, card, own_fault)
  if card.result ~= "succeeded" then return declined(intent, card.result, own_fault) end
  return charged(intent, card, own_fault)
end

-- Charges a test card (a row of lib.cards). Answers "succeeded", "requires_action", or "failed" and the
-- result. The intent must be payable.
function intents.pay(intent, card, own_fault)
  intent.attempts = intent.attempts + 1
  intent.challenge = card.challenge and cards.keep(card) or nil
  if card.challenge then
    store:put(intent)
    return "requires_action"
  end
  return settle(intent, cards.keep(card), own_fault)
end

-- Ends a 3-D Secure challenge: action is "complete", "fail", or "abandon" (nothing was tried after all).
function intents.challenge(intent, action, own_fault)
  local card = intent.challenge
  intent.challenge = nil
  if action == "complete" then return settle(intent, card, own_fault) end
  if action == "fail" then return declined(intent, "authentication_failed", own_fault) end
  store:put(intent)
  return "requires_payment", "authentication_abandoned"
end

-- A failed attempt without any card, for POST /_sandbox/pay.
function intents.refuse(intent, own_fault)
  intent.attempts = intent.attempts + 1
  intent.challenge = nil
  return declined(intent, "card_declined", own_fault)
end

-- by: "api" tells the merchant with a webhook; "customer" (on the page) does not.
function intents.cancel(intent, by, own_fault)
  intent.status = "cancelled"
  intent.challenge = nil
  store:put(intent)
  if by == "api" then
    events.emit("payment.canceled", intent, {
      intent_id = "pi_" .. intent.id,
      message = "Payment intent cancelled via API.",
    }, own_fault)
  end
  return intent
end

function intents.payment_url(intent, req) return "http://" .. req.host .. "/pay/" .. intent.token end

-- The object of GET /api/platform/intents/{uuid}.
function intents.shown(intent, req)
  local items = json.array {}
  for i, item in ipairs(intent.order_items) do
    items[i] = { name = item.name, quantity = item.quantity, price = decimal.text(item.price) }
  end
  return {
    intent_id = "pi_" .. intent.id,
    reference_id = intent.reference_id,
    amount = decimal.text(intent.amount),
    currency = intent.currency,
    status = intent.status,
    payment_url = intents.payment_url(intent, req),
    type = intent.type,
    interval_days = intent.interval_days or json.null,
    expires_at = (clock.text(intent.expires_at):gsub("Z$", "000Z")),
    tax = decimal.text(intent.tax),
    discount = decimal.text(intent.discount),
    order_items = items,
  }
end

function intents.list(page, req)
  return page("intents", store, function(intent) return intents.shown(current(intent), req) end)
end

return intents
