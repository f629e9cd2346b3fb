-- The shipped checkout with every way to pay, told as stories: each way paid, declined, changed; two windows; an
-- ePIN and another way for the rest; what was authorised; what expires, is given up, or is paid too late.
--   mintage test tests/flows/checkout_ways_spec.lua --crash
--   mintage test tests/flows/checkout_ways_spec.lua --faults 50

local json = require("mintage.testing").json
local world = require "mintage.world"
local cards = world.cards

local function order(more)
  local out = {
    reference = "ORDER-1", amount = "80.00 USD", email = "ann@example.com", name = "Ann",
    items = { { name = "Coffee", quantity = 2, price = "40.00 USD" } },
  }
  for name, value in pairs(more) do out[name] = value end
  return out
end

-- The same in Korea.
local function korean(more)
  local out = order(more)
  out.amount, out.items = "80000 KRW", { { name = "커피", quantity = 2, price = "40000 KRW" } }
  return out
end

local counts = { charge = 1, capture = 1, redeem = 1, refund = -1 }

-- Exactly so much was taken, by whatever ways, and not given back: "80.00".
local function took(w, amount)
  local sum = 0
  for _, row in ipairs(w:ledger()) do
    local sign = counts[row.kind] or (row.kind == "void" and row.provider == "paymint" and -1) or 0
    sum = sum + sign * tonumber(row.amount)
  end
  assert.equal(tonumber(amount), sum + 0.0)
end

local function shows(run, what, problem)
  return function()
    local progress = run.progress
    return progress.step == what and (not problem or progress.problem and progress.problem.kind == problem)
  end
end

describe("checkout by", function()
  local w, run

  local function begin(input)
    w = world.new()
    run = w:start("checkout", input, { key = "ORDER-1" })
  end

  describe("card", function()
    before_each(function() begin(order { ways = { "paymnt", "mintro" } }) end)

    it("is paid with 3-D Secure, and not told twice", function()
      w:double_webhooks("paymnt", 5)
      w:pay(run, cards.challenge)
      w:pass_challenge(run)
      assert.completed(run:wait "2h")
      assert.equal("succeeded", run.output.status)
      assert.charged_once(w, run.output.payment_id, "80.00 USD")
    end)

    it("is declined, and paid on Mintro's page then", function()
      assert.equal("failed", w:decline(run))
      run:wait_for(shows(run, "choose", "declined"), "2h")
      w:choose(run, "mintro")
      w:pay(run)
      assert.completed(run:wait "2h")
      assert.charged_once(w, "ORDER-1", "80.00 USD")
      took(w, "80.00")
    end)
  end)

  describe("another way than the first", function()
    before_each(function() begin(order { ways = { "mintro", "paymnt" } }) end)

    it("closes the first: nobody can pay it any more", function()
      run:wait_for(shows(run, "pay"))
      local intent = run.progress.intent_id
      w:lose_webhooks("paymnt", 5)
      w:choose(run, "paymnt")
      w:pay(run)
      assert.completed(run:wait "3h")
      assert.has.error(function() w:pay { intent_id = intent } end)
      assert.charged_once(w, run.output.payment_id, "80.00 USD")
      took(w, "80.00")
    end)

    it("is not begun when the first is chosen, which is open already", function()
      run:wait_for(shows(run, "pay"))
      local intent = run.progress.intent_id
      w:choose(run, "mintro")
      w:wait_for(function() return run.progress.attempt == 1 and run.progress.step == "pay" end)
      assert.equal(intent, run.progress.intent_id)
      w:pay(run)
      assert.completed(run:wait "3h")
      assert.equal(intent, run.output.intent_id)
      assert.charged_once(w, "ORDER-1", "80.00 USD")
    end)

    it("can be chosen after the first was chosen, and cancelled on its page", function()
      run:wait_for(shows(run, "pay"))
      w:choose(run, "mintro")
      w:wait_for(function() return run.progress.attempt == 1 and run.progress.step == "pay" end)
      w:abandon(run)
      run:wait_for(shows(run, "choose", "cancelled"), "2h")
      w:choose(run, "paymnt")
      w:pay(run)
      assert.completed(run:wait "3h")
      took(w, "80.00")
    end)

    it("is not needed when the first turns out to be paid", function()
      w:delay_webhooks("mintro", "1h", 5)
      w:pay(run)
      if run.progress.step == "pay" then pcall(w.choose, w, run, "paymnt") end -- it may have been read by then
      assert.completed(run:wait "3h")
      assert.equal("succeeded", run.output.status)
      assert.charged_once(w, "ORDER-1", "80.00 USD")
      took(w, "80.00")
    end)

    it("is begun once, though two windows ask for it", function()
      run:wait_for(shows(run, "pay"))
      local first, second = { way = "paymnt", attempt = 0 }, { way = "mintro", attempt = 0 }
      local taken = 0
      for _, sent in ipairs { first, second, first } do
        local answer = w:post(run.checkout_url, sent)
        if answer and answer.status == 202 then taken = taken + 1 end
      end
      assert.is_true(taken <= 1)
      w:wait_for(function() return run.progress.step == "pay" end)
      w:pay(run)
      assert.completed(run:wait "3h")
      took(w, "80.00")
    end)

    it("was paid after all when the order is over: that waits for a person", function()
      run:wait_for(shows(run, "pay"))
      local intent = run.progress.intent_id
      w:choose(run, "paymnt")
      w:pay(run)
      assert.completed(run:wait "3h")
      w:pay({ intent_id = intent }, cards.good, { late = true })
      local function parked() return w:runs { flow = "checkout.late", state = "needs_attention" }[1] end
      w:advance "1h"
      if not parked() then w:redeliver() end -- its webhook was lost for good, and the order is over
      local late = w:wait_for(parked, "1d")
      late:resolve { outcome = "done" } -- given back by hand, at Mintro
      assert.failed(late:wait "1h", "paid_late")
      assert.completed(run)
    end)
  end)

  describe("bill on the phone", function()
    it("is paid while the page waits", function()
      begin(korean { ways = { "paymint", "mintro" } })
      run:wait_for(shows(run, "choose"))
      w:choose(run, "paymint", { phone = "+82 10-1234-5678" })
      w:pay(run)
      assert.completed(run:wait "2h")
      assert.equal("010-****-5678", run.progress.phone_masked)
      assert.charged_once(w, run.output.bill_id, "80000 KRW")
    end)

    it("is sent again, and the first can be paid no more", function()
      begin(korean { ways = { "paymint", "mintro" }, phone = "010-1234-5678" })
      run:wait_for(shows(run, "pay"))
      local first = run.progress.bill_id
      for n = 1, 2 do
        assert.is_true(run.progress.resend)
        w:choose(run, "paymint", { action = "resend" })
        w:wait_for(function() return run.progress.attempt == n and run.progress.step == "pay" end)
      end
      assert.is_nil(run.progress.resend) -- three messages are enough
      assert.not_equal(first, run.progress.bill_id)
      assert.has.error(function() w:pay { bill_id = first } end)
      w:pay(run)
      assert.completed(run:wait "3h")
      assert.charged_once(w, run.output.bill_id, "80000 KRW")
      took(w, "80000")
    end)

    it("has come to nothing when the merchant voids it", function()
      begin(korean { ways = { "paymint" }, phone = "010-1234-5678" })
      run:wait_for(shows(run, "pay"))
      assert.completed(w:start("void", { payment = "ORDER-1" }):wait "2h")
      assert.failed(run:wait "6h", "cancelled") -- Paymint does not tell of it
      assert.not_charged(w)
    end)

    it("is destroyed when it expires, and nobody can pay it then", function()
      begin(korean { ways = { "paymint" }, phone = "010-1234-5678", expires = "2h" })
      run:wait_for(shows(run, "pay"))
      local bill = run.progress.bill_id
      assert.failed(run:wait "5h", "expired")
      assert.has.error(function() w:pay { bill_id = bill } end)
      assert.not_charged(w)
    end)
  end)

  describe("ePIN", function()
    local epin

    local function begin_with(value, input)
      begin(input)
      epin = w:issue(value, input.amount:match "%a+$")
    end

    -- Whoever runs the shop looks at MINT when nobody knows what became of a redemption.
    local function attend()
      if run.state ~= "needs_attention" then return end
      local known, open = 0, nil
      for _, entry in ipairs(run:journal()) do
        if entry.name == "mint.epins.redeem" and entry.outcome == "done" then known = known + 1 end
        if entry.name == "mint.epins.redeem" and not entry.outcome then open = entry end
      end
      if not open then return end
      local redeemed = w:ledger { kind = "redeem" }
      if #redeemed == known then return run:resolve { outcome = "not_sent" } end
      local left = tonumber(w:ledger { kind = "issue" }[1].amount)
      for _, row in ipairs(redeemed) do left = left - tonumber(row.amount) end
      run:resolve { outcome = "done", value = { change_amount = ("%.2f USD"):format(left) } }
    end

    local function is_due(amount) return function() return run.progress.due == amount end end

    -- The customer pays with it, and again when it did not come to that.
    local function spend(fields, done)
      repeat
        w:choose(run, "epin", fields)
        w:wait_for(function()
          attend()
          return done() or run:has_ended() or run.progress.step == "choose"
        end, "3h")
      until done()
    end

    it("is paid whole, and the change is shown", function()
      begin_with(100, order { ways = { "epin" } })
      spend({ epin = epin }, function() return run.state == "completed" end)
      assert.same({ { way = "epin", amount = "80.00 USD", change = "20.00 USD",
        masked = "**** " .. epin:sub(-4) } }, run.output.paid)
      took(w, "80.00")
    end)

    it("is paid in part, and the rest by card", function()
      begin_with(30, order { ways = { "epin", "paymnt" } })
      spend({ epin = epin }, shows(run, "choose", "insufficient_funds"))
      assert.equal("amount", run.progress.problem.field)
      spend({ epin = epin, amount = "30" }, is_due "50.00 USD")
      w:choose(run, "paymnt")
      w:pay(run)
      assert.completed(run:wait "2h")
      assert.charged_once(w, run.output.payment_id, "50.00 USD")
      took(w, "80.00")
    end)

    it("is paid in part, and the rest on Mintro's page", function()
      begin_with(30, order { ways = { "epin", "mintro" } })
      spend({ epin = epin, amount = "30.00 USD" }, is_due "50.00 USD")
      w:choose(run, "mintro")
      w:pay(run)
      assert.completed(run:wait "2h")
      assert.charged_once(w, "ORDER-1", "50.00 USD")
      took(w, "80.00")
    end)

    it("is paid in part, and the rest by a bill on the phone", function()
      begin_with(30000, korean { ways = { "epin", "paymint" } })
      spend({ epin = epin, amount = "30000" }, is_due "50000 KRW")
      w:choose(run, "paymint", { phone = "01012345678" })
      w:pay(run)
      assert.completed(run:wait "2h")
      assert.charged_once(w, run.output.bill_id, "50000 KRW")
      took(w, "80000")
    end)

    it("is given back by a person when the rest is never paid", function()
      begin_with(30, order { ways = { "epin", "mintro" }, expires = "3h" })
      spend({ epin = epin, amount = "30" }, is_due "50.00 USD")
      run:wait "6h"
      assert.needs_attention(run)
      assert.matches("30.00 USD", run:story(), 1, true)
      took(w, "30.00")
      run:resolve { outcome = "done" } -- the customer was sent another one
      assert.failed(run:wait "1h", "expired")
    end)

    it("is closed after five that are wrong", function()
      begin(order { ways = { "epin", "paymnt" } })
      for left = 4, 0, -1 do
        spend({ epin = "999988887777000" .. left }, function() return run.progress.tries_left == left end)
      end
      assert.same({ "paymnt" }, run.progress.ways)
      w:choose(run, "paymnt")
      w:pay(run)
      assert.completed(run:wait "2h")
      took(w, "80.00")
    end)
  end)

  describe("a card that is authorised first", function()
    before_each(function()
      begin(order { ways = { "paymnt" }, capture = "manual" })
      w:pay(run)
      run:wait_for(function() return run.progress.authorised end, "2h")
    end)

    it("waits until it is captured", function()
      assert.not_charged(w)
      local capture = w:start("capture", { payment = "ORDER-1" })
      assert.completed(capture:wait "2h")
      assert.completed(run:wait "12h")
      assert.charged_once(w, run.output.payment_id, "80.00 USD")
    end)

    it("has come to nothing when it is voided", function()
      local void = w:start("void", { payment = "ORDER-1" })
      assert.completed(void:wait "2h")
      assert.failed(run:wait "12h", "cancelled")
      assert.not_charged(w)
    end)
  end)

  describe("whatever way, tells the merchant", function()
    local told

    -- The end of a run that has told of itself: by then the shop has heard.
    local function heard(input)
      w, told = world.new(), {}
      w:serve("https://shop.example", function(req)
        local message = json.decode(req.body)
        told[message.type] = message.data
        return { status = 204 }
      end)
      w:api("POST", "/notify/endpoints", { id = "shop", url = "https://shop.example/hooks" })
      run = w:start("checkout", input, { key = "ORDER-1" })
    end

    it("that it is paid", function()
      heard(order { notify = "shop", ways = { "mintro", "epin" } })
      w:pay(run)
      assert.completed(run:wait "2h")
      local paid = w:wait_for(function() return told["order.paid"] end, "2d")
      assert.same({ { way = "mintro", amount = "80.00 USD" } }, paid.paid)
      assert.same({ "ORDER-1", "80.00 USD", "succeeded" }, { paid.reference, paid.total, paid.status })
      assert.is_nil(told["order.failed"])
    end)

    it("that it was given up", function()
      heard(order { notify = "shop", ways = { "epin", "paymnt" } })
      w:give_up(run)
      assert.failed(run:wait "2h", "cancelled")
      w:wait_for(function() return told["order.cancelled"] end, "2d")
      assert.is_nil(told["order.paid"])
    end)
  end)

  it("the ways that the settings say, for as long as they say", function()
    w = world.new { config = { settings = { checkout = { ways = { "epin", "paymint" }, expires = "1h" } } } }
    run = w:start("checkout", order {}, { key = "ORDER-1" })
    run:wait_for(shows(run, "choose"))
    assert.same({ "epin" }, run.progress.ways) -- Paymint takes won only
    assert.failed(run:wait "3h", "expired")
    local nobody = w:start("checkout", order { reference = "ORDER-2", ways = { "paymint" } })
    assert.failed(nobody:wait "1h", "unsupported")
  end)

  it("none, since the customer gives it up", function()
    begin(order {})
    w:give_up(run)
    assert.failed(run:wait "2h", "cancelled")
    assert.has.error(function() w:pay { intent_id = run.progress.intent_id } end)
    assert.not_charged(w)
  end)
end)
