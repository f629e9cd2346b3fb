-- Reconcile: what our runs of the last days say of payments beside what the providers say, nightly where the
-- settings have a section "reconcile".
-- Differences are told (a warning each, and a report); nothing is mended: that is for a person.
--   mintage run reconcile '{"days": 30}'

local beliefs = require "lib.beliefs"
local collection = require "mintage.collection"
local flow = require "mintage.flow"
local json = require "mintage.json"
local mint = require "mintage.mint"
local paymnt = require "mintage.paymnt"

local terms = require "lib.terms"("reconcile", { days = 3, at = "0 4 * * *", zone = "UTC" })

local reports = collection.define("reconciliations", { keep = "366d" })

local SHOWN = 100 -- differences in the report; the rest is counted
local AT_ONCE = 50

-- ---- what they say ----

-- All payments that Paymnt has of the time; it alone has a list.
local function list_paymnt(since, found)
  local after
  repeat
    local asked = { limit = 100, starting_after = after, created_gte = tostring(since) }
    local page, err = flow.try(paymnt.payments.list, asked)
    if not page then return err end
    for _, payment in ipairs(page.data) do
      after = payment.payment_id
      found["paymnt " .. after] = payment
    end
  until #page.data < 100
end

local function ask(list, found, refused)
  for from = 1, #list, AT_ONCE do
    local calls = {}
    for i = from, math.min(from + AT_ONCE - 1, #list) do
      table.insert(calls, { list[i].how.read, { [list[i].name] = list[i].id } })
    end
    for i, answer in ipairs(flow.all(calls)) do
      local it = list[from + i - 1]
      found[it.how.provider .. " " .. it.id] = answer.value
      if answer.err and answer.err.kind ~= "not_found" then
        it.unknown, refused[it.how.provider] = true, answer.err.message
      end
    end
  end
end

-- ---- side by side ----

local function compare(it, theirs, differs)
  if it.under_way or it.unknown or it.paid == nil and not it.refunded then return end
  if not theirs then return differs(it, "missing_at_provider") end
  local status = theirs.status or theirs.appr_state
  local paid, given_back = beliefs.paid_states[status] or false, status == "C"
  if it.paid ~= nil and it.paid ~= paid and not (it.refunded and given_back) then
    differs(it, "state", it.paid and "paid" or "not paid", status)
  elseif it.paid and paid and it.amount and tostring(it.amount) ~= tostring(theirs[it.how.amount]) then
    differs(it, "amount", tostring(it.amount), tostring(theirs[it.how.amount]))
  end
  local seen = {}
  for _, refund in ipairs(theirs.refunds or {}) do
    seen[refund.refund_id] = refund.status
    if refund.status == "succeeded" and it.refunds[refund.refund_id] ~= "succeeded" then
      local what = ("%s of %s"):format(refund.refund_id, refund.amount)
      differs(it, "refund", it.refunds[refund.refund_id] or "unknown", what)
    end
  end
  for id, state in pairs(it.refunds) do
    if state == "succeeded" and not seen[id] then differs(it, "refund", id, "unknown") end
  end
end

local reconcile = flow.define {
  name = "reconcile",
  title = "Reconcile",
  description = "Payments as our runs believe them, beside what the providers say.",
  input = { days = { type = "integer?", min = 1, max = 366 } },

  run = function(input)
    local since = flow.now():minus(("%dd"):format(input.days or terms.days))
    local report = { since = tostring(since), compared = 0, count = 0, differences = json.array {} }
    report.not_asked, report.balances = {}, {}
    local function differs(it, kind, here, there)
      report.count = report.count + 1
      local difference = { kind = kind, provider = it.how.provider, id = it.id, run = it.run }
      difference.here, difference.there = here, there
      if report.count <= SHOWN then table.insert(report.differences, difference) end
      flow.warn("a payment is not as we believe it", difference)
    end

    local believed, found, list = beliefs.since(since), {}, {}
    local err = list_paymnt(since, found)
    if err then report.not_asked.paymnt = err.message end
    for key, it in pairs(believed) do
      if not found[key] and not it.under_way then table.insert(list, it) end
    end
    ask(list, found, report.not_asked)
    for key, it in pairs(believed) do
      report.compared = report.compared + 1
      compare(it, found[key], differs)
    end
    for key, payment in pairs(found) do
      if not believed[key] and beliefs.paid_states[payment.status] then
        local it = { how = beliefs.told_by.payment_id, id = payment.payment_id }
        differs(it, "missing_here", "unknown", payment.status)
      end
    end
    local balances, why = flow.try(mint.balances.list)
    for _, balance in ipairs(balances and balances.balances or {}) do
      report.balances[balance.cu_code] = balance.balance_amount
    end
    if why then report.not_asked.mint = why.message end
    report.id = flow.key() or flow.id()
    reports:put(report)
    return report
  end,
}

if require("mintage.settings").reconcile then flow.cron(terms.at, reconcile, {}, { zone = terms.zone }) end

return reconcile
