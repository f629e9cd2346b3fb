-- Paymint's AutoPay: payers, and the cards that they registered on a page. A page is good for one card:
-- registering adds one, managing replaces the newest. Card numbers are never kept.

local cards = require "lib.cards"
local clock = require "lib.clock"
local crypto = require "mintage.crypto"
local json = require "mintage.json"
local store = require "lib.paymint.store"
local words = require "lib.paymint.words"

local payers = {}

local rows, methods = store.payers, store.methods

-- Opens the page of a payer, and closes an earlier one. wanted: "register" or "manage".
function payers.open(payer, wanted)
  payer.wanted = wanted
  payer.token = crypto.token(18)
  payer.attempts = 0
  payer.challenge, payer.last_failure = nil, nil
  return rows:put(payer)
end

function payers.register(order)
  local payer = rows:get(order.customer_id) or { id = order.customer_id, registered_at = clock.now() }
  payer.member_nm, payer.phone, payer.callbackURL = order.member_nm, order.phone, order.callbackURL
  return payers.open(payer, "register")
end

function payers.find(id) return type(id) == "string" and rows:get(id) or nil end
function payers.by_token(token) return rows:by("token", token) end

-- Newest first.
function payers.methods(payer)
  local found = {}
  for _, method in ipairs(methods:list { field = "customer_id", value = payer.id, limit = 1000 }) do
    found[#found + 1] = method
  end
  table.sort(found, function(a, b) return a.id > b.id end)
  return found
end

-- The method with this id, or the newest; nil when there is none.
function payers.method(payer, id)
  if id == nil then return payers.methods(payer)[1] end
  local method = methods:get(id)
  return method and method.customer_id == payer.id and method or nil
end

function payers.forget(method) methods:delete(method.id) end

local function keep(payer, card)
  local newest = payers.methods(payer)[1]
  if payer.wanted == "manage" and newest then methods:delete(newest.id) end
  methods:insert {
    -- Ids sort by time, so the newest is the last.
    id = ("pm_%014d%s"):format(clock.now(), crypto.token(8):sub(1, 8)),
    customer_id = payer.id,
    card = { brand = card.brand, last4 = card.last4, renewal = card.renewal },
    registered_at = clock.now(),
  }
  payer.wanted = nil
  rows:put(payer)
  return "succeeded"
end

local function refused(payer, result)
  payer.last_failure = result
  rows:put(payer)
  return "failed", result
end

local function settle(payer, card)
  if card.result ~= "succeeded" then return refused(payer, card.result) end
  return keep(payer, card)
end

-- A card (as lib.cards keeps it) is entered: "succeeded", "requires_action", or "failed" and why. One that
-- would be declined is not registered.
function payers.enter(payer, card)
  payer.attempts = payer.attempts + 1
  payer.challenge = card.challenge and card or nil
  if not card.challenge then return settle(payer, card) end
  rows:put(payer)
  return "requires_action"
end

function payers.challenge(payer, passes)
  local card = payer.challenge
  payer.challenge = nil
  if passes then return settle(payer, card) end
  return refused(payer, "authentication_failed")
end

function payers.refuse(payer)
  payer.attempts = payer.attempts + 1
  payer.challenge = nil
  return refused(payer, "card_declined")
end

function payers.leave(payer)
  payer.wanted, payer.challenge = nil, nil
  rows:put(payer)
end

-- A card's brand as the page of a Korean card company would name it.
local function name_of(card) return card.brand:sub(1, 1):upper() .. card.brand:sub(2) end

function payers.shown(payer)
  local out = json.array {}
  for i, method in ipairs(payers.methods(payer)) do
    out[i] = {
      method_id = method.id,
      card_nm = name_of(method.card),
      card_num = "****-****-****-" .. method.card.last4,
      status = "active",
      registered_dt = words.stamp(method.registered_at),
    }
  end
  return out
end

-- How a charge of a registered card ends: "succeeded" or why not; and the code of an upstream that breaks.
function payers.outcome(method, price)
  local trigger = words.trigger(price)
  if trigger then return trigger.result, trigger.code end
  return method.card.renewal
end

function payers.list(page)
  return page("payers", rows, function(payer)
    return { customer_id = payer.id, page = payer.wanted or json.null, methods = payers.shown(payer) }
  end)
end

-- A row of lib.cards as it may be kept, with what the page needs to know of it.
function payers.card(row)
  local card = cards.keep(row)
  card.challenge = row.challenge
  return card
end

return payers
