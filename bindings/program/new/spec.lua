-- NAME, told as stories. Each happens in a simulated world: hours pass in milliseconds, and nothing leaves this machine.
--   mintage test            once each
--   mintage test --crash    and again for every point at which the process could die

local world = require "mintage.world"

describe("NAME", function()
  local w, run

  before_each(function()
    w = world.new { flows = "FLOWS" }
    run = w:start("NAME", { reference = "A-1", amount = "20.00 USD" })
  end)

  it("is paid", function()
    w:pay(run)
    assert.completed(run:wait "2h")
    assert.charged_once(w, run.output.payment_id, "20.00 USD")
  end)

  it("charges nothing when the card is declined", function()
    w:decline(run)
    assert.failed(run:wait "2h", "failed")
    assert.not_charged(w)
  end)

  it("ends by itself when nobody comes", function()
    assert.failed(run:wait "2h", "expired")
    assert.not_charged(w)
  end)
end)
