-- What must hold at the end of every world, whatever its spec asserts: safety (money), then liveness (nothing is
-- left hanging). A rule raises nothing and answers nothing when it holds, else it answers a text.

local native = require "mintage.testing.native"
local values = require "mintage.testing.values"

local invariants = { rules = {} }

local function rule(name, holds) invariants.rules[#invariants.rules + 1] = { name = name, holds = holds } end

---A spec file's own.
function invariants.own(name, holds)
  for i, known in ipairs(invariants.rules) do
    if known.name == name then table.remove(invariants.rules, i) end
  end
  rule(name, function(w)
    local ok, why = holds(w)
    if ok == false then return why or "it does not hold" end
  end)
end

-- ---- money ----

-- Sums of the ledger by some name: { [name] = { [kind] = ten-thousandths } }, and the names in order.
local function sums(w, name_of)
  local out, names = {}, {}
  for _, row in ipairs(w:ledger()) do
    local name = name_of(row)
    if not out[name] then
      out[name] = { charge = 0, authorise = 0, capture = 0, void = 0, refund = 0, issue = 0, redeem = 0, fee = 0 }
      names[#names + 1] = name
    end
    out[name][row.kind] = (out[name][row.kind] or 0) + assert(values.amount(row.amount), row.amount)
  end
  return out, names
end

local function by_reference(row)
  return ("%s %s (%s)"):format(row.provider, row.reference or row.object_id or "?", row.currency)
end

rule("no order is charged more than once", function(w)
  local seen = {}
  for _, row in ipairs(w:ledger { kind = "charge" }) do
    local order = ("%s %s, period %s"):format(row.provider, row.reference, row.period or 1)
    if seen[order] then return ("%s was charged at %s and at %s"):format(order, seen[order], row.at) end
    seen[order] = row.at
  end
end)

rule("no more is captured than was authorised", function(w)
  local all, names = sums(w, by_reference)
  for _, name in ipairs(names) do
    local of = all[name]
    local held = of.authorise + of.charge -- Paymint calls it void when a charge is taken back
    if of.capture > of.authorise or of.capture + of.void > held then
      return ("%s: authorised or charged %g, captured %g, void %g"):format(name, held / 1e4, of.capture / 1e4,
        of.void / 1e4)
    end
  end
end)

rule("no more is refunded than was taken", function(w)
  local all, names = sums(w, by_reference)
  for _, name in ipairs(names) do
    local of = all[name]
    if of.refund > of.charge + of.capture then
      return ("%s: taken %g, refunded %g"):format(name, (of.charge + of.capture) / 1e4, of.refund / 1e4)
    end
  end
end)

rule("no ePIN is redeemed for more than its value", function(w)
  local all, names = sums(w, function(row) return row.object_id or "?" end)
  for _, name in ipairs(names) do
    local of = all[name]
    if of.issue > 0 and of.redeem > of.issue then
      return ("ePIN %s: worth %g, redeemed %g"):format(name, of.issue / 1e4, of.redeem / 1e4)
    end
  end
end)

-- ---- who knows of it ----

local over = { failed = true, cancelled = true }

-- All that a run has said and heard, as text; and what it (or a person, for it) has undone, and when.
local function remember(w, run)
  local parts, undone = { w:look_at_text("/v1/runs/" .. run.id) }, {}
  for segment = 0, run.segment or 0 do
    local text = w:look_at_text(("/v1/runs/%s/journal?limit=1000&segment=%d"):format(run.id, segment))
    parts[#parts + 1] = text
    for _, entry in ipairs(values.decode(text).data) do
      if entry.kind == "compensate" and entry.outcome == "done" then
        undone[#undone + 1] = { what = native.encode(entry.params or {}), at = entry.done_at }
      end
    end
  end
  run.memory, run.undone = table.concat(parts), undone
end

local CLOCKS_DIFFER = 60000 -- ms, at most

local function has_undone(run, id, since)
  for _, deed in ipairs(run.undone) do
    if deed.what:find(id, 1, true) and values.instant(deed.at) + CLOCKS_DIFFER >= values.instant(since) then
      return true
    end
  end
  return false
end

rule("of money that was taken some run knows", function(w)
  local taken = {}
  for _, row in ipairs(w:ledger()) do
    if row.kind == "charge" or row.kind == "capture" then taken[#taken + 1] = row end
  end
  if #taken == 0 then return end
  local given_back = sums(w, by_reference)
  local runs = w:whole "/v1/runs"
  for _, run in ipairs(runs) do remember(w, run) end
  for _, row in ipairs(taken) do
    local of, knows, state = given_back[by_reference(row)], false, "nobody"
    for _, run in ipairs(runs) do
      for _, id in ipairs { row.reference or "", row.object_id or "", row.customer_id or "" } do
        if id ~= "" and run.memory:find(id, 1, true) then
          state = ("%s, which is %s"):format(run.id, run.state)
          knows = knows or not over[run.state] or has_undone(run, id, row.at)
        end
      end
      if knows then break end
    end
    if not knows and of.refund + of.void < of.charge + of.capture then
      return ("%s took %s for %s at %s; who knows of it: %s"):format(row.provider, row.money, row.reference,
        row.at, state)
    end
  end
end)

-- ---- liveness ----

rule("every run has ended, waits for something, or is parked with a reason", function(w)
  if not w.raw:up() then return "the runtime does not stand up again" end
  for _, run in ipairs(w:whole "/v1/runs") do
    local state, why = run.state, nil
    if state == "running" or state == "queued" or state == "compensating" then
      why = "nothing goes wrong any more, and fifteen minutes have passed"
    elseif state == "sleeping" and not run.due_at then
      why = "and nothing will wake it"
    elseif state == "waiting" and not run.waiting_for and not run.due_at then
      why = "for nothing"
    elseif state == "needs_attention" and not run.error then
      why = "and does not say why"
    end
    if why then return ("%s is %s: %s"):format(run.id, state, why) end
  end
end)

rule("the store is what the oracle says", function(w) return w.raw:store_differs() end)

---Raises a text that names every rule that does not hold.
function invariants.hold(w)
  local broken = {}
  for _, known in ipairs(invariants.rules) do
    if not w.allow[known.name] then
      local ok, why = pcall(known.holds, w)
      if not ok then why = type(why) == "table" and why.message or why end
      if why then broken[#broken + 1] = ("It must hold that %s:\n  %s"):format(known.name, tostring(why)) end
    end
  end
  if #broken > 0 then error(table.concat(broken, "\n"), 0) end
end

return invariants
