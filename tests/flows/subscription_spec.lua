-- A subscription over Paymint's AutoPay: the customer registers a card once, then is charged on the same day of every
-- month. A year of it passes in a fraction of a second.

local world = require "mintage.world"

local subscription = [[
local flow = require "mintage.flow"
local money = require "mintage.money"
local paymint = require "mintage.paymint"

local PAUSES = { "1d", "3d", "5d" } -- between attempts, when a charge is declined

return flow.define {
  name = "subscription",
  input = { customer = "string", name = "string", phone = "string", price = "money", anchor = "string?", cycle = "integer?",
    cycles = "integer" },

  run = function(sub)
    if not sub.cycle then
      paymint.autopay.register { customer_id = sub.customer, member_nm = sub.name, phone = sub.phone }
      flow.progress { customer_id = sub.customer }
      local patience = flow.later "2d"
      while #paymint.autopay.methods { customer_id = sub.customer }.methods == 0 do
        if flow.now() > patience then flow.fail "never_registered" end
        flow.sleep "10m"
      end
      sub.cycle, sub.anchor = 1, tostring(flow.date(flow.now(), "Asia/Seoul"))
    end

    flow.sleep_until(flow.date(sub.anchor, "Asia/Seoul"):plus("month", sub.cycle - 1))
    local bill = { customer_id = sub.customer, product_nm = "Membership", price = sub.price }
    for attempt = 1, #PAUSES + 1 do
      local paid, err = flow.try(paymint.autopay.request, bill)
      if paid then break end
      if err.hard or not PAUSES[attempt] then flow.fail("unpaid", err) end
      flow.progress { attempt = attempt }
      flow.sleep(PAUSES[attempt])
    end

    if sub.cycle == sub.cycles then return { charged = sub.cycle } end
    sub.cycle = sub.cycle + 1
    flow.continue(sub)
  end,
}
]]

describe("a subscription", function()
  local w, run

  local function start(cycles)
    w = world.new { flows = { ["subscription.lua"] = subscription }, start = "2026-01-31T00:30:00Z" }
    run = w:start("subscription", {
      customer = "ann", name = "Ann", phone = "010-1234-5678", price = "9900 KRW", cycles = cycles,
    })
  end

  local function days()
    local out = {}
    for i, row in ipairs(w:ledger { kind = "charge" }) do out[i] = row.at:sub(1, 10) end
    return out
  end

  it("charges twelve times in a year, on the last day of the short months", function()
    start(12)
    w:pay(run)
    run:wait "400d"
    assert.completed(run)
    assert.charged_times(w, nil, 12, "118800 KRW")
    assert.same({
      "2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30",
      "2026-07-31", "2026-08-31", "2026-09-30", "2026-10-31", "2026-11-30", "2026-12-31",
    }, days())
  end)

  it("tries three more times when the card is declined, then says so", function()
    start(2)
    w:pay(run, world.cards.dies_later)
    run:wait "60d"
    assert.failed(run, "unpaid")
    assert.not_charged(w)
    assert.equal(3, run.progress.attempt)
  end)

  it("goes on where the card works again", function()
    start(2)
    w:pay(run, world.cards.dies_later)
    run:wait_for(function() return run.progress.attempt == 1 end, "3d")
    w:post(world.sandbox .. "/paymint/autopay/manage", { customer_id = "ann" },
      { ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-MMK-Mode"] = "true" })
    w:pay { customer_id = "ann", card = world.cards.good }
    assert.completed(run:wait "60d")
    assert.charged_times(w, nil, 2)
  end)
end)
