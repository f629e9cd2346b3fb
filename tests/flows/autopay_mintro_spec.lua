-- The shipped subscription over Mintro, which charges by itself: what this side knows of it, and that it ends at Mintro
-- when it ends here. These hold with a death at any point and with mishaps; more in tests/spec/autopay_mintro_spec.lua.

local world = require "mintage.world"

describe("autopay over Mintro", function()
  local w, run

  before_each(function()
    w = world.new { start = "2027-01-31T01:00:00Z" }
    run = w:start("autopay_mintro", {
      reference = "SUB-1", product = "Gym", price = "20.00 USD", interval_days = 30, email = "ann@example.com", name = "Ann",
    }, { key = "SUB-1" })
    w:pay(run)
    w:wait_for(function() return run.progress.subscription_id or run.progress.status == "unnamed" end, "8d")
    if run.progress.subscription_id then return end
    -- Mintro tells once which subscription it has begun. That was never heard; a person looks there, and says it here.
    for _, event in ipairs(w:wait_for(function() return w:get(world.sandbox .. "/_sandbox/webhooks") end).json.data) do
      if event.event == "subscription.created" then
        run:signal("mintro.intent", run.progress.intent_id, { subscription_id = event.body.data.subscription_id })
      end
    end
    w:wait_for(function() return run.progress.subscription_id end, "1h")
  end)

  it("follows the renewals, and ends with its period", function()
    w:advance "62d"
    w:wait_for(function() return run.progress.period == 3 end, "10d") -- a week more when Mintro was not heard
    run:signal("mintro.subscription", run.progress.subscription_id, { cancel = "period_end" })
    assert.completed(run:wait "31d")
    w:advance "60d"
    assert.charged_times(w, "SUB-1", 3, "60.00 USD")
  end)

  it("is cancelled at Mintro when the run is cancelled", function()
    w.allow["of money that was taken some run knows"] = true -- it was earned
    w:advance "31d"
    run:cancel "fraud"
    assert.cancelled(run:wait "1h")
    w:advance "60d"
    assert.charged_times(w, "SUB-1", 2)
  end)
end)
