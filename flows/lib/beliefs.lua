-- What our runs say of payments: whether each was taken, how much of it, and what was given back.

local flow = require "mintage.flow"
local mintro = require "mintage.mintro"
local paymint = require "mintage.paymint"
local paymnt = require "mintage.paymnt"

local beliefs = {}

local AT_ONCE = 50
local ended = { completed = true, failed = true, cancelled = true }

-- The states, of any provider, in which money has been taken.
beliefs.paid_states = {
  succeeded = true, partially_captured = true, partially_captured_and_capturable = true, F = true,
}

-- By what name runs tell of a provider's payments, how one is asked for, and what says how much was taken.
beliefs.told_by = {
  intent_id = { provider = "mintro", read = mintro.intents.get, amount = "amount" },
  payment_id = { provider = "paymnt", read = paymnt.payments.retrieve, amount = "amount_received" },
  bill_id = { provider = "paymint", read = paymint.bills.read, amount = "appr_price" },
}

local function fields(value) return type(value) == "table" and value or {} end

-- A run gives back when it is a refund, or says so.
local function learn_refund(it, run, told)
  it.refunded = it.refunded or run.state == "completed"
  local state = run.state == "completed" and "succeeded" or run.state
  if told.refund_id then it.refunds[told.refund_id] = state end
end

-- What a subscription tells of is paid, whatever becomes of the subscription.
local function is_earned(told) return told.charged or told.subscription_id end

local function learn_payment(it, run, told, input)
  if it.paid ~= nil then return end -- a newer run has decided
  if is_earned(told) then
    it.paid, it.amount = true, told.charged or input.price
    return
  end
  local status = told.status == nil or beliefs.paid_states[told.status] or false
  it.paid = run.state == "completed" and status
  -- What was captured at once need not be all of it.
  if run.flow ~= "capture" then it.amount = told.amount or input.amount or input.price end
end

local function learn(believed, run)
  local output, progress, input = fields(run.output), fields(run.progress), fields(run.input)
  for name, how in pairs(beliefs.told_by) do
    local told = output[name] and output or progress -- what it returned counts before what it told on the way
    if type(told[name]) == "string" then
      local key = how.provider .. " " .. told[name]
      local it = believed[key] or { how = how, name = name, id = told[name], run = run.id, refunds = {} }
      believed[key] = it
      if not ended[run.state] and not is_earned(told) then
        it.under_way = true
      elseif run.flow == "refund" or told.refund_id then
        learn_refund(it, run, told)
      else
        learn_payment(it, run, told, input)
      end
    end
  end
end

-- What a checkout has closed so that it would be paid by another way is not paid.
local function learn_closed(believed, run)
  for _, closed in ipairs(fields(fields(run.progress).closed)) do
    for name, id in pairs(closed) do
      local how = beliefs.told_by[name]
      local key, refunds = how.provider .. " " .. id, {}
      local it = { how = how, name = name, id = id, run = run.id, paid = false, refunds = refunds }
      believed[key] = believed[key] or it
    end
  end
end

-- By "provider id", of all runs that were started since then.
function beliefs.since(instant)
  local believed, before = {}, nil
  repeat
    local page = flow.find { before = before, limit = AT_ONCE, input = true }
    for _, run in ipairs(page) do
      if run.created_at < instant.ms then return believed end
      -- A late handler only looks; it is the run before it that believes.
      if run.flow ~= "reconcile" and not run.flow:find "%.late$" then
        learn(believed, run)
        learn_closed(believed, run)
      end
      before = run.id
    end
  until #page < AT_ONCE
  return believed
end

return beliefs
