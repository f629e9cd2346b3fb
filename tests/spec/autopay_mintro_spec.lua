-- The shipped subscription over Mintro: renewals that fail, that are never told, that come when it is over, and orders.

local world = require "mintage.world"
local cards = world.cards

describe("autopay over Mintro", function()
  local w, run

  local function subscribe(card, more)
    w = world.new { start = "2027-01-31T01:00:00Z", allow = { "of money that was taken some run knows" } }
    local input = {
      reference = "SUB-1", product = "Gym", price = "20.00 USD", interval_days = 30, email = "ann@example.com", name = "Ann",
    }
    for name, value in pairs(more or {}) do input[name] = value end
    run = w:start("autopay_mintro", input, { key = "SUB-1" })
    if card then
      w:pay(run, card)
      w:wait_for(function() return run.progress.subscription_id end, "1h")
    end
  end

  local function order(what)
    run:signal("mintro.subscription", run.progress.subscription_id, what)
    return w:advance "5s"
  end

  it("begins with the first payment, and shows the day of the next", function()
    subscribe(cards.good)
    assert.equal("active", run.progress.status)
    assert.equal(1, run.progress.period)
    assert.truthy(run.progress.next_charge:find("2027-03-02", 1, true))
  end)

  it("fails when nobody pays", function()
    subscribe()
    assert.failed(run:wait "26h", "expired")
    assert.not_charged(w)
  end)

  it("can be cancelled before it is paid, and then nobody can", function()
    subscribe()
    run:wait_for "waiting"
    run:cancel()
    assert.cancelled(run:wait "1h")
    assert.has.error(function() w:pay(run) end)
  end)

  it("asks who can look at Mintro when the subscription's name was lost, and goes on with it", function()
    subscribe()
    w:lose_webhooks("mintro", 2) -- that it was paid, and what began with it
    w:pay(run, cards.good)
    w:advance "25h"
    assert.waiting(run)
    assert.equal("unnamed", run.progress.status)
    run:signal("mintro.intent", run.progress.intent_id, { subscription_id = "no such/name" })
    local forged = { intent_id = run.progress.intent_id, charge_id = 7, subscription_id = "sub_of-somebody-else" }
    assert.equal(200, w:post("/webhooks/mintro", { event = "payment.succeeded", data = forged }).status)
    assert.is_true(w:post("/webhooks/mintro", { event = "subscription.created", data = forged }).status >= 400)
    w:advance "31d"
    assert.equal("unnamed", run.progress.status)
    local told = w:get(world.sandbox .. "/_sandbox/webhooks").body
    run:signal("mintro.intent", run.progress.intent_id, { subscription_id = told:match "sub_[%w-]+" })
    w:advance "5s"
    assert.equal("2027-04-01", run.progress.next_charge:sub(1, 10)) -- the renewal meanwhile was told, and is believed
    assert.equal(2, run.progress.period)
    order { cancel = "now" }
    assert.completed(run)
    assert.equal("ended", run.progress.status)
    assert.charged_times(w, "SUB-1", 2)
  end)

  it("runs for years", function()
    subscribe(cards.good, { interval_days = 1 })
    w:advance "800d"
    assert.equal(801, run.progress.period)
  end)

  it("ends unpaid, at Mintro too, when renewals fail until grace is over", function()
    subscribe(cards.dies_later, { grace = "2d" })
    w:advance "30d1h"
    assert.equal("past_due", run.progress.status)
    assert.failed(run:wait "3d", "unpaid")
    assert.charged_times(w, "SUB-1", 1)
    assert.equal(1, #w:requests { operation = "subscriptions.cancel" })
  end)

  it("goes on, unconfirmed, when Mintro tells nothing, and knows better with the next renewal", function()
    subscribe(cards.good)
    w:lose_webhooks("mintro", 1)
    w:advance "38d"
    assert.equal("unconfirmed", run.progress.status)
    assert.waiting(run)
    w:advance "23d"
    assert.equal("active", run.progress.status)
    assert.equal(3, run.progress.period)
  end)

  it("knows each renewal once, however often it is told", function()
    subscribe(cards.good)
    w:double_webhooks("mintro", 3)
    w:advance "92d"
    w:redeliver()
    w:advance "1h"
    assert.equal(4, run.progress.period)
  end)

  it("ends at once by order", function()
    subscribe(cards.good)
    w:advance "5d"
    order { pause = true } -- is not understood
    assert.waiting(run)
    order { cancel = "now" }
    assert.completed(run)
    w:advance "60d"
    assert.charged_times(w, "SUB-1", 1)
  end)

  it("ends with its period by order", function()
    subscribe(cards.good)
    w:advance "5d"
    order { cancel = "period_end" }
    assert.equal("ending", run.progress.status)
    assert.completed(run:wait "30d")
    w:advance "60d"
    assert.charged_times(w, "SUB-1", 1)
  end)

  it("asks for a person when it was charged before it ended, and hears of it afterwards", function()
    subscribe(cards.good)
    w:advance "29d"
    w:delay_webhooks("mintro", "3d", 1)
    w:advance "2d"
    assert.charged_times(w, "SUB-1", 2)
    order { cancel = "now" }
    assert.completed(run)
    w:advance "3d"
    local late = w:runs { flow = "autopay_mintro.late", state = "failed" }
    assert.equal(1, #late)
    assert.failed(late[1], "charged_late")
  end)
end)
