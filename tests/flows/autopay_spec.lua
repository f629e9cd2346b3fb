-- The shipped AutoPay, told as stories that also hold with the runtime dying at any of their points, and with any
-- mishaps between it and Paymint:
--   mintage test tests/flows/autopay_spec.lua --crash
--   mintage test tests/flows/autopay_spec.lua --faults 50
-- Its days, its orders and its declines one by one: tests/spec/autopay_spec.lua.

local world = require "mintage.world"

local LOST_LATER = "4000000000009904" -- registers; every later charge: reported lost
local KEYS = { ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-MMK-Mode"] = "true" }

describe("autopay", function()
  local w, run

  before_each(function()
    w = world.new { start = "2027-01-31T01:00:00Z" }
    run = w:start("autopay", {
      customer = "ann", name = "Ann", phone = "010-1234-5678", product = "Gym", price = "9900 KRW", every = "month",
      retries = { "12h", "1d" }, grace = "2d",
    }, { key = "ann" })
  end)

  local function order(what) run:signal("autopay", "ann", what) end

  -- "2027-02-28 9900", ...: the days and prices of all charges.
  local function charges()
    local out = {}
    for i, row in ipairs(w:ledger { kind = "charge" }) do out[i] = row.at:sub(1, 10) .. " " .. row.amount end
    return out
  end

  it("charges on the last day of short months, and ends with its period", function()
    w:pay(run)
    w:advance "65d"
    order { cancel = "period_end" }
    assert.completed(run:wait "30d")
    assert.same({ "2027-01-31 9900", "2027-02-28 9900", "2027-03-31 9900" }, charges())
  end)

  it("charges another price from the next bill on, and nothing of a pause", function()
    w:pay(run)
    w:advance "1h"
    order { price = "12900 KRW" }
    w:advance "30d"
    order { pause = true }
    w:advance "40d"
    order { resume = true }
    w:advance "25d"
    order { cancel = "now" }
    assert.completed(run:wait "1h")
    assert.same({ "2027-01-31 9900", "2027-02-28 12900", "2027-04-30 12900" }, charges())
  end)

  it("does not ask a lost card again, but the next one", function()
    w:pay(run, LOST_LATER)
    w:wait_for(function() return run.progress.status == "past_due" end, "1h")
    w:advance "1h"
    assert.not_charged(w)
    w:wait_for(function()
      return w:post(world.sandbox .. "/paymint/autopay/manage", { customer_id = "ann" }, KEYS)
    end)
    w:pay { customer_id = "ann" }
    order { card = "changed" }
    w:wait_for(function() return run.progress.status == "active" end, "8h")
    assert.charged_times(w, nil, 1)
  end)

  it("ends unpaid when grace is over", function()
    w:pay(run, world.cards.dies_later)
    assert.failed(run:wait "3d", "unpaid")
    assert.not_charged(w)
  end)
end)
