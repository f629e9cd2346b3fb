-- The shipped checkout, told as stories. Each also holds with the runtime dying at any of its points, and with
-- any mishaps between it, the provider and the customer:
--   mintage test tests/flows/checkout_spec.lua --crash
--   mintage test tests/flows/checkout_spec.lua --faults 50

local world = require "mintage.world"
local cards = world.cards

local order = {
  reference = "ORDER-1", amount = "80.00 USD", email = "ann@example.com", name = "Ann",
  items = { { name = "Coffee", quantity = 2, price = "40.00 USD" } },
}

describe("checkout", function()
  local w, run

  before_each(function()
    w = world.new()
    run = w:start("checkout", order, { key = "ORDER-1" })
  end)

  it("is paid", function()
    assert.equal("succeeded", w:pay(run))
    run:wait "2h"
    assert.completed(run)
    assert.equal("succeeded", run.output.status)
    assert.charged_once(w, "ORDER-1", "80.00 USD")
  end)

  it("is one run for one key", function()
    local again = w:start("checkout", order, { key = "ORDER-1" })
    assert.equal(run.id, again.id)
    w:pay(run)
    assert.completed(run:wait "2h")
    assert.charged_once(w, "ORDER-1", "80.00 USD")
  end)

  it("is paid after a card was declined", function()
    assert.equal("failed", w:decline(run))
    assert.not_charged(w, "ORDER-1")
    w:pay(run)
    assert.completed(run:wait "2h")
    assert.charged_once(w, "ORDER-1", "80.00 USD")
  end)

  it("is paid with 3-D Secure", function()
    w:pay(run, cards.challenge)
    assert.not_charged(w, "ORDER-1")
    w:pass_challenge(run)
    assert.completed(run:wait "2h")
    assert.charged_once(w, "ORDER-1", "80.00 USD")
  end)

  it("stays open when 3-D Secure is failed", function()
    w:pay(run, cards.challenge)
    w:fail_challenge(run)
    w:advance "1h"
    assert.waiting(run)
    assert.not_charged(w, "ORDER-1")
  end)

  it("fails when the customer cancels", function()
    w:abandon(run)
    assert.failed(run:wait "2h", "cancelled")
    assert.not_charged(w, "ORDER-1")
  end)

  it("expires when the customer never comes", function()
    run:wait "26h"
    assert.failed(run, "expired")
    assert.not_charged(w, "ORDER-1")
  end)

  it("can be cancelled by an operator, and then nobody can pay", function()
    run:wait_for "waiting"
    run:cancel "out of stock"
    assert.cancelled(run:wait "2h")
    assert.has.error(function() w:pay(run) end)
    assert.not_charged(w, "ORDER-1")
  end)

  it("is paid when the webhook is lost", function()
    w:lose_webhooks("mintro", 5)
    w:pay(run)
    assert.completed(run:wait "3h")
    assert.charged_once(w, "ORDER-1", "80.00 USD")
  end)

  it("is paid once when the webhook comes twice", function()
    w:double_webhooks("mintro", 5)
    w:pay(run)
    assert.completed(run:wait "2h")
    w:redeliver():advance "1h"
    assert.charged_once(w, "ORDER-1", "80.00 USD")
  end)

  it("that is paid after it has expired waits for a person", function()
    run:wait "26h"
    w:pay(run, cards.good, { late = true })
    local function parked()
      for _, handler in ipairs(w:runs { flow = "checkout.late" }) do
        if handler.state == "needs_attention" then return handler end
      end
    end
    w:advance "1h"
    if not parked() then w:redeliver() end -- its webhook was lost for good, and nobody asks after an order that is over
    local late = w:wait_for(parked, "1d")
    assert.failed(run, "expired")
    assert.charged_once(w, "ORDER-1", "80.00 USD")
    late:resolve { outcome = "done" } -- given back by hand, at Mintro
    assert.failed(late:wait "1h", "paid_late")
  end)

  it("goes on when the runtime is killed while the customer is away", function()
    run:wait_for "waiting"
    w:kill():advance "10m"
    w:pay(run)
    w:kill()
    assert.completed(run:wait "2h")
    assert.charged_once(w, "ORDER-1", "80.00 USD")
  end)

  it("is cheap to look at: its page reloads as often as the customer likes", function()
    run:wait_for "waiting"
    local page = run.checkout_url
    for _ = 1, 3 do
      local answer = w:get(page)
      assert.is_true(answer == nil or answer.status == 200) -- nil: no answer came
    end
    w:pay(run)
    run:wait "2h"
    local answer = w:wait_for(function() return w:get(page) end)
    assert.equal(200, answer.status)
    assert.completed(run)
  end)

  it("asks the provider once, though the answer was lost", function()
    w:fault { provider = "mintro", operation = "intents.create", fault = "drop_response" }
    local second = w:start("checkout", {
      reference = "ORDER-2", amount = "5.00 USD", email = "bob@example.com", name = "Bob",
      items = { { name = "Tea", quantity = 1, price = "5.00 USD" } },
    })
    w:pay(second)
    assert.completed(second:wait "2h")
    assert.charged_once(w, "ORDER-2", "5.00 USD")
  end)
end)
