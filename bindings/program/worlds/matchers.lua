-- Assertions for specs of flows: assert.completed(run), assert.failed(run, "expired"), assert.charged_once(w,
-- "ORDER-1", "80.00 USD"), ... What they say when they fail is followed by the stories of the world's runs.

local luassert = require "luassert"
local native = require "mintage.testing.native"
local values = require "mintage.testing.values"

local function matcher(name, judge)
  luassert:register("assertion", name, function(state, arguments)
    local holds, why = judge(table.unpack(arguments, 1, arguments.n))
    state.failure_message = why
    return holds
  end)
end

local function shown(value) return value == nil and "nothing" or native.encode(value) end

local function is_in(state)
  return function(run, kind)
    local found = run.state
    local error_kind = run.error and run.error.kind
    local holds = found == state and (kind == nil or error_kind == kind)
    return holds, ("%s is %s%s%s"):format(run.id, found, error_kind and " with " .. error_kind or "",
      holds and "" or ", not " .. state .. (kind and " with " .. tostring(kind) or ""))
  end
end

matcher("completed", is_in "completed")
matcher("failed", is_in "failed")               -- (run, kind?)
matcher("cancelled", is_in "cancelled")
matcher("needs_attention", is_in "needs_attention") -- (run, kind?)
matcher("waiting", is_in "waiting")
matcher("sleeping", is_in "sleeping")

-- Movements of these kinds for a reference, and their sum.
local function moved(w, reference, kinds)
  local n, sum, currency, lines = 0, 0, nil, {}
  for _, row in ipairs(w:ledger()) do
    local counts = reference == nil or row.reference == reference or row.object_id == reference
    if counts and kinds[row.kind] then
      n, sum, currency = n + 1, sum + values.amount(row.amount), row.currency
      lines[#lines + 1] = ("  %s  %s %s  %s"):format(row.at, row.kind, row.money, row.reference or "")
    end
  end
  return n, sum, currency, #lines > 0 and table.concat(lines, "\n") or "  (no money moved)"
end

-- Exactly so many movements of these kinds, and of so much money if that is said.
local function movements(kinds, wanted, words)
  return function(w, reference, money)
    local n, sum, currency, lines = moved(w, reference, kinds)
    local holds = n == wanted
    if holds and money then
      local amount, of = values.money(money)
      holds = sum == amount and currency == of
    end
    return holds, ("%s: %s%s; the ledger says\n%s"):format(shown(reference), words,
      money and ", " .. money or "", lines)
  end
end

local taken = { charge = true, capture = true }

matcher("charged_once", movements(taken, 1, "wanted one charge"))     -- (w, reference, money?)
matcher("not_charged", movements(taken, 0, "wanted no charge"))       -- (w, reference?)
matcher("refunded", movements({ refund = true }, 1, "wanted one refund"))
matcher("voided", movements({ void = true }, 1, "wanted one void"))

-- (w, reference, times, money?): times charges, of so much together
matcher("charged_times", function(w, reference, times, money)
  return movements(taken, times, ("wanted %d charges"):format(times))(w, reference, money)
end)

return true
