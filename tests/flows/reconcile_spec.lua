-- What reconcile finds, told by making us believe what is not so. It mends nothing.

local testing = require "mintage.testing"
local world = require "mintage.world"

local order = {
  reference = "ORDER-1", amount = "80.00 USD", email = "ann@example.com", name = "Ann",
  items = { { name = "Coffee", quantity = 2, price = "40.00 USD" } },
}

-- The shipped flows, and some that do not say what they did.
local function flows()
  local texts = {}
  local names = { "autopay", "autopay/payer", "autopay_mintro", "reconcile", "refund" }
  for _, name in ipairs { "lib/payments", "lib/beliefs", "lib/terms", table.unpack(names) } do
    local file = assert(io.open("flows/" .. name .. ".lua"))
    texts[name .. ".lua"] = file:read "a"
    file:close()
  end
  texts["liar.lua"] = [[
    local flow = require "mintage.flow"
    local paymnt = require "mintage.paymnt"
    flow.define { name = "claim", input = { says = "any" }, run = function(input) return input.says end }
    local input = { amount = "money", says = "any?", give_back = "boolean?", claims = "money?" }
    flow.define { name = "deposit", input = input, run = function(input)
      local payment = paymnt.payments.create { amount = input.amount, description = "deposit", payment_link = true }
      flow.progress { payment_id = payment.payment_id }
      local paid = paymnt.payments.settled(payment.payment_id, "1h")
      if input.give_back then
        local refund = paymnt.refunds.create { payment_id = payment.payment_id, amount = input.amount }
        paymnt.refunds.settled(refund.refund_id, "1d")
      end
      flow.progress { payment_id = "pay_hidden" }
      local claimed = { payment_id = payment.payment_id, status = paid and paid.status, amount = input.claims }
      return input.says or claimed
    end }
  ]]
  return testing.shipped("checkout", texts)
end

describe("reconcile", function()
  local w

  local function report(input)
    local run = w:start("reconcile", input or {}):wait()
    assert.completed(run)
    local by_kind = {}
    for _, difference in ipairs(run.output.differences) do
      by_kind[difference.kind .. " " .. difference.provider] = difference
    end
    return run.output, by_kind, run
  end

  before_each(function() w = world.new { flows = flows() } end)

  it("finds nothing when all is as we believe", function()
    local run = w:start("checkout", order)
    w:pay(run)
    assert.completed(run:wait "2h")
    w:start("checkout", { reference = "ORDER-2", amount = "5.00 USD", email = "a@b.example", name = "B",
      items = { { name = "x", quantity = 1, price = "5.00 USD" } } }):wait "2d" -- expires
    local deposit = w:start("deposit", { amount = "50.00 USD" })
    w:pay(deposit)
    assert.completed(deposit:wait "2h")
    assert.completed(w:start("refund", { payment = deposit.output.payment_id, amount = "20.00 USD" }):wait "2d")
    local found = report()
    assert.equal(0, found.count, found.differences[1] and found.differences[1].kind)
    assert.equal(3, found.compared)
    assert.same({}, found.not_asked)
    assert.equal("string", type(found.balances.USD))
  end)

  it("tells what we believe wrongly, each with a warning", function()
    local unpaid = w:start("checkout", order)
    w:wait_for(function() return unpaid.progress.intent_id end, "1h")
    unpaid:cancel()
    unpaid:wait()
    w:advance "1h" -- whatever the clock does meanwhile, the claim is the newer
    w:start("claim", { says = { intent_id = unpaid.progress.intent_id, status = "succeeded" } }):wait()
    w:start("claim", { says = { payment_id = "pay_that_never_was", status = "succeeded" } }):wait()
    w:start("claim", { says = { bill_id = "BILL0THAT0NEVER0WAS0", status = "succeeded" } }):wait()
    local wrong = w:start("deposit", { amount = "50.00 USD", claims = "60.00 USD" })
    w:pay(wrong)
    wrong:wait "2h"
    local found, differs, run = report()
    assert.equal("paid", differs["state mintro"].here)
    assert.equal("cancelled", differs["state mintro"].there)
    assert.equal("pay_that_never_was", differs["missing_at_provider paymnt"].id)
    assert.equal("60.00 USD", differs["amount paymnt"].here)
    assert.equal("50.00 USD", differs["amount paymnt"].there)
    local warnings = 0
    for _, entry in ipairs(run:journal()) do
      if entry.kind == "log" then warnings = warnings + 1 end
    end
    assert.equal(found.count, warnings)
  end)

  it("finds a payment that was made although the order had been paid by another way", function()
    local run = w:start("checkout", order)
    run:wait_for(function() return run.progress.intent_id end, "1h")
    local intent = run.progress.intent_id
    w:choose(run, "paymnt")
    w:pay(run)
    assert.completed(run:wait "3h")
    local found = report()
    assert.equal(0, found.count)
    assert.equal(2, found.compared)
    w:advance "1h"
    w:lose_webhooks("mintro", 20)
    w:pay({ intent_id = intent }, world.cards.good, { late = true })
    local _, differs = report()
    assert.equal("succeeded", differs["state mintro"].there)
    assert.equal(intent, differs["state mintro"].id)
  end)

  it("knows what a subscription has charged, also when it goes on or was cancelled", function()
    local mintros = w:start("autopay_mintro", {
      reference = "NEWS-1", product = "News", price = "9.00 USD", interval_days = 30, email = "a@b.example", name = "A",
    })
    w:pay(mintros)
    w:wait_for(function() return mintros.progress.subscription_id or mintros.progress.status == "unnamed" end, "2d")
    if mintros.progress.status == "unnamed" then return end -- Mintro was not heard
    mintros:cancel()
    assert.equal("cancelled", mintros:wait("1d").state)
    local function gym(key)
      local run = w:start("autopay", {
        customer = key, name = "Ann", phone = "010-1234-5678", product = "Gym", price = "9900 KRW", every = "month",
      }, { key = key })
      w:pay(run)
      w:wait_for(function() return run.progress.bill_id end, "1d")
      return run
    end
    local ann, bob = gym "ann", gym "bob"
    ann:signal("autopay", "ann", { price = "12900 KRW" })
    bob:signal("autopay", "bob", { cancel = "now" })
    assert.completed(bob:wait "1d")
    local found = report()
    assert.equal(0, found.count, found.differences[1] and found.differences[1].kind)
    assert.equal(3, found.compared)

    local bill = { bill_id = bob.progress.bill_id, price = 9900 } -- somebody gives it back, and not through us
    local headers = { ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-MMK-Mode"] = "true" }
    w:wait_for(function() return w:post(world.sandbox .. "/paymint/cancel", bill, headers) end)
    local _, differs = report()
    assert.equal(bill.bill_id, differs["state paymint"].id)
    assert.same({ "paid", "C" }, { differs["state paymint"].here, differs["state paymint"].there })
  end)

  it("tells what was taken or given back without our knowing", function()
    local hidden = w:start("deposit", { amount = "50.00 USD", says = { nothing = true } })
    w:pay(hidden)
    hidden:wait "2h"
    local given_back = w:start("deposit", { amount = "30.00 USD", give_back = true })
    w:pay(given_back)
    assert.completed(given_back:wait "2d")
    local _, differs = report()
    assert.equal("succeeded", differs["missing_here paymnt"].there)
    assert.matches("of 30.00 USD", differs["refund paymnt"].there)
    assert.equal("unknown", differs["refund paymnt"].here)
  end)
end)
