-- Payments of any provider, for flows that do something to one that is there: which one it is, having it for
-- oneself meanwhile, and how much of it is left.

local collection = require "mintage.collection"
local flow = require "mintage.flow"
local mintro = require "mintage.mintro"

local payments = {}

-- ---- which one it is ----

-- The names by which runs tell of their payments, in their output or progress.
local provider_of = { intent_id = "mintro", payment_id = "paymnt", bill_id = "paymint", pin_id = "mint" }

local function ambiguous(who)
  flow.fail("ambiguous", who .. " of more than one payment: name the one that is meant by its own id")
end

-- What ePINs have paid of an order, in the list of its parts; nil when none has.
local function by_epin(paid)
  local sum
  for _, part in ipairs(type(paid) == "table" and paid or {}) do
    if part.way == "epin" then sum = sum and sum + part.amount or part.amount end
  end
  return sum
end

-- What a run has returned counts before what it told on the way. An order that ePINs have paid for, wholly or
-- in part, says so (by_epin).
local function told_by(run)
  for _, name in ipairs { "output", "progress" } do
    local told, found = type(run[name]) == "table" and run[name] or {}, nil
    local epins = by_epin(told.paid)
    for field, provider in pairs(provider_of) do
      local id = told[field]
      if id and found then ambiguous(run.id .. " tells") end
      if type(id) == "string" then
        found = { provider = provider, id = id, run = run.id, by_epin = epins }
      end
    end
    if not found and epins then found = { provider = "mint", id = run.id, run = run.id, by_epin = epins } end
    if found then return found end
  end
end

-- What ids look like, so that what is none is refused before anybody is asked.
local shapes = {
  mintro = "^pi_" .. ("%x"):rep(8) .. ("%-%x%x%x%x"):rep(3) .. "%-" .. ("%x"):rep(12) .. "$",
  paymnt = "^[%w_-]+$",
  paymint = "^%w+$",
  mint = ".",
}
local longest = { mintro = 39, paymnt = 64, paymint = 20, mint = 200 }

local function is_id(name, provider)
  return #name <= longest[provider] and name:find(shapes[provider]) ~= nil
end

local function by_shape(name)
  local provider = name:find "^pi_" and "mintro" or name:find "^pay_" and "paymnt"
  return provider and is_id(name, provider) and { provider = provider, id = name }
end

local function by_run(name)
  local found
  for _, run in ipairs(flow.find(name)) do
    local told = told_by(run)
    if told and found and told.id ~= found.id then ambiguous(found.run .. " and " .. run.id .. " tell") end
    found = found or told
  end
  return found
end

local function by_reference(name)
  if #name > 100 or not name:find "^[%w_-]+$" then return nil end
  local intent = flow.try(mintro.intents.get_by_reference, name)
  return intent and { provider = "mintro", id = intent.intent_id }
end

-- The payment that is named by its provider's id, by a run, by the key of one, or by Mintro's reference.
-- Where an id does not show whose it is, the provider is said beside it.
function payments.find(name, provider)
  local found
  if provider then
    found = is_id(name, provider) and { provider = provider, id = name }
  else
    found = by_shape(name) or by_run(name) or by_reference(name)
  end
  if found then return found end
  flow.fail("not_found", "there is no such payment: wanted its id (pi_..., pay_...), the run that took it, "
    .. "its key, or Mintro's reference; with \"provider\", any id of that provider")
end

-- ---- having it for oneself ----

local holds = collection.define "payments_held"

local over = { completed = true, failed = true, cancelled = true }

-- Waits until no other run has the payment, and has it until this run has ended (or payments.let_go): what is
-- read of it stays true until something is done about it, whatever dies in between.
function payments.hold(payment)
  local id, pause = payment.provider .. "/" .. payment.id, 1
  for _ = 1, 60 do
    local held = holds:get(id)
    local holder = held and held.run and flow.find(held.run)[1]
    if not holder or over[holder.state] then
      local mine = { id = id, run = flow.id(), version = held and held.version }
      local ok, err = pcall(held and holds.put or holds.insert, holds, mine)
      if ok then return end
      if err.kind ~= "conflict" then error(err, 0) end -- else another run was quicker
    elseif holder.state == "needs_attention" then
      flow.fail("conflict", ("%s has this payment, and waits for a person"):format(holder.id))
    else
      flow.sleep(pause)
      pause = math.min(2 * pause, 60)
    end
  end
  flow.fail("conflict", "other runs have had this payment for an hour")
end

function payments.let_go(payment) holds:put { id = payment.provider .. "/" .. payment.id } end

-- ---- how much of it ----

-- What is wanted of what is left; all of it when nothing is said. `done`: "given back", "captured". `but` is
-- said with a refusal.
function payments.of_what_is_left(wanted, left, done, but)
  if not left:is_positive() then flow.fail("nothing_left", "nothing is left to be " .. done) end
  if not wanted then return left end
  if wanted.currency ~= left.currency then
    flow.fail("invalid_request", ("amount: found %s, wanted %s"):format(wanted, left.currency))
  end
  if wanted > left then
    local text = ("%s is left to be %s, which is less than %s"):format(left, done, wanted)
    flow.fail("too_much", text .. (but or ""))
  end
  return wanted
end

return payments
