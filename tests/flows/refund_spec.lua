-- Refunds, captures and voids, as stories. That there is never more given back than was taken, nor captured than
-- was held, also holds with the runtime dying at any point:
--   mintage test tests/flows/refund_spec.lua --crash

local testing = require "mintage.testing"
local world = require "mintage.world"

-- A flow that takes a payment at Paymnt, and one that sends a bill through Paymint.
local taking = [[
local flow   = require "mintage.flow"
local paymnt = require "mintage.paymnt"
return flow.define {
  name  = "take",
  input = { amount = "money", capture_method = "string?" },
  run = function(order)
    local payment = paymnt.payments.create {
      amount = order.amount, capture_method = order.capture_method, payment_link = true,
    }
    flow.progress { payment_id = payment.payment_id }
    local settled = paymnt.payments.settled(payment.payment_id, "1h")
    return { payment_id = payment.payment_id, status = settled and settled.status }
  end,
}]]

local billing = [[
local flow    = require "mintage.flow"
local money   = require "mintage.money"
local paymint = require "mintage.paymint"
return flow.define {
  name = "bill",
  run = function()
    local bill = paymint.bills.request {
      product_nm = "Tea", message = "Tea", member_nm = "Kim", phone = "01012345678",
      price = money "50000 KRW", expire_dt = "2027-12-31",
    }
    flow.progress { bill_id = bill.bill_id }
  end,
}]]

local function read(name)
  local file = assert(io.open("flows/" .. name, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

-- One that tells of two.
local both = [[
local flow = require "mintage.flow"
return flow.define {
  name = "both",
  input = { output = "string?" },
  run = function(input)
    flow.progress { payment_id = "pay_1", intent_id = "pi_1" }
    return { payment_id = input.output }
  end,
}]]

-- One that stops for a person while it has a payment.
local stuck = [[
local flow     = require "mintage.flow"
local payments = require "lib.payments"
return flow.define {
  name  = "stuck",
  input = { id = "string" },
  run = function(input)
    payments.hold { provider = "paymnt", id = input.id }
    error "a bug"
  end,
}]]

local flows = { ["take.lua"] = taking, ["bill.lua"] = billing, ["stuck.lua"] = stuck, ["both.lua"] = both }
for _, name in ipairs { "refund.lua", "capture.lua", "void.lua", "lib/payments.lua" } do flows[name] = read(name) end
flows = testing.shipped("checkout", flows)

-- Nothing reached a provider that it had to refuse: it was known before that it would not do.
local function nothing_refused(w, operation)
  for _, request in ipairs(w:requests { provider = "paymnt", operation = operation }) do
    assert.is_true(request.status < 300 or request.status >= 500, ("%s: %d"):format(operation, request.status))
  end
end

local function sum(w, kind, reference)
  local all = 0
  for _, row in ipairs(w:ledger { kind = kind, reference = reference }) do all = all + tonumber(row.amount) end
  return all
end

describe("a payment at Paymnt", function()
  local w, taken, id

  local function take(amount, capture_method)
    w = world.new { flows = flows }
    taken = w:start("take", { amount = amount, capture_method = capture_method }, { key = "ORDER-1" })
    w:pay(taken)
    taken:wait "2h"
    id = taken.output.payment_id
  end

  local function refund(input, key) return w:start("refund", input, key and { key = key }) end

  it("is given back whole, by its id", function()
    take "80.00 USD"
    local run = refund { payment = id, reason = "out of stock" }
    assert.completed(run:wait "2h")
    assert.equal("80.00 USD", run.output.amount)
    assert.equal("0.00 USD", run.output.left)
    assert.refunded(w, nil, "80.00 USD")
    assert.equal("out of stock", w:requests({ operation = "refunds.create" })[1].body.reason)
  end)

  it("is given back in parts, by its run and by its run's key, until nothing is left", function()
    take "80.00 USD"
    assert.completed(refund({ payment = taken.id, amount = "20.00 USD" }):wait "2h")
    local second = refund { payment = "ORDER-1", amount = "50.00 USD" }
    assert.completed(second:wait "2h")
    assert.equal("10.00 USD", second.output.left)
    local much = refund { payment = id, amount = "10.01 USD" }
    assert.failed(much:wait "2h", "too_much")
    assert.matches("10.00 USD is left", much.error.message)
    assert.completed(refund({ payment = id }):wait "2h")
    assert.failed(refund({ payment = id }):wait "2h", "nothing_left")
    assert.equal(80, sum(w, "refund", id))
    nothing_refused(w, "refunds.create")
  end)

  it("is given back once for one key", function()
    take "80.00 USD"
    local first = refund({ payment = id, amount = "30.00 USD" }, "cup")
    local again = refund({ payment = id, amount = "30.00 USD" }, "cup")
    assert.equal(first.id, again.id)
    assert.completed(first:wait "2h")
    assert.equal(30, sum(w, "refund", id))
  end)

  it("is never given back more than once by refunds that come at once", function()
    take "80.00 USD"
    local runs, whole = {}, 0
    for i = 1, 3 do runs[i] = refund { payment = id, amount = "50.00 USD" } end
    for _, run in ipairs(runs) do
      run:wait "3h"
      if run.state == "completed" then whole = whole + 1 else assert.failed(run, "too_much") end
    end
    assert.equal(1, whole)
    assert.equal(50, sum(w, "refund", id))
    nothing_refused(w, "refunds.create")
  end)

  it("is given back once though the answer is lost", function()
    take "80.00 USD"
    w:fault { provider = "paymnt", operation = "refunds.create", fault = "drop_response" }
    assert.completed(refund({ payment = id, amount = "60.00 USD" }):wait "2h")
    assert.failed(refund({ payment = id, amount = "60.00 USD" }):wait "2h", "too_much")
    assert.equal(60, sum(w, "refund", id))
  end)

  it("is left alone while a run that has it waits for a person", function()
    take "80.00 USD"
    local has_it = w:start("stuck", { id = id })
    assert.needs_attention(has_it:wait "1h", "script")
    local run = refund { payment = id }
    assert.failed(run:wait "3h", "conflict")
    assert.matches(has_it.id .. " has this payment", run.error.message)
    has_it:cancel "the refund was looked at"
    assert.cancelled(has_it:wait "1h")
    assert.completed(refund({ payment = id }):wait "2h")
    assert.equal(80, sum(w, "refund", id))
  end)

  it("can be refunded after a refund was cancelled that had it", function()
    take "80.00 USD"
    w:fault { provider = "paymnt", operation = "payments.retrieve", fault = "timeout", times = 3 }
    local first = refund { payment = id }
    w:advance "1s"
    first:cancel "a mistake"
    first:wait "2h"
    refund({ payment = id }):wait "3h" -- nothing is left, when the first was quicker than the cancellation
    assert.equal(80, sum(w, "refund", id))
  end)

  it("is not refunded in another currency, nor when nobody paid", function()
    take "80.00 USD"
    local wrong = refund { payment = id, amount = "8.00 EUR" }
    assert.failed(wrong:wait "2h", "invalid_request")
    assert.matches("found 8.00 EUR, wanted USD", wrong.error.message)
    local unpaid = w:start("take", { amount = "5.00 USD" })
    w:wait_for(function() return unpaid.progress.payment_id end)
    assert.failed(refund({ payment = unpaid.id }):wait "2h", "not_paid")
    assert.failed(refund({ payment = "no-such-order" }):wait "2h", "not_found")
    assert.not_charged(w, unpaid.progress.payment_id)
  end)

  it("is captured in part, and once", function()
    take("80.00 USD", "manual")
    assert.failed(w:start("capture", { payment = "ORDER-1", amount = "80.01 USD" }):wait "2h", "too_much")
    local run = w:start("capture", { payment = "ORDER-1", amount = "35.00 USD" }, { key = "damage" })
    w:start("capture", { payment = "ORDER-1", amount = "35.00 USD" }, { key = "damage" })
    assert.completed(run:wait "2h")
    assert.equal("0.00 USD", run.output.left)
    assert.failed(w:start("capture", { payment = "ORDER-1", amount = "1.00 USD" }):wait "2h", "conflict")
    assert.charged_once(w, id, "35.00 USD")
    assert.failed(refund({ payment = id, amount = "35.01 USD" }):wait "2h", "too_much")
    assert.completed(refund({ payment = id }):wait "2h")
    assert.equal(35, sum(w, "refund"))
  end)

  it("is captured several times, never for more than is held", function()
    take("80.00 USD", "manual_multiple")
    local runs, done = {}, 0
    for i = 1, 3 do runs[i] = w:start("capture", { payment = id, amount = "35.00 USD" }) end
    for _, run in ipairs(runs) do
      run:wait "3h"
      if run.state == "completed" then done = done + 1 else assert.failed(run, "too_much") end
    end
    assert.equal(2, done)
    assert.charged_times(w, id, 2, "70.00 USD")
    assert.failed(refund({ payment = id }):wait "2h", "conflict")
    assert.completed(w:start("void", { payment = id }):wait "2h")
    assert.voided(w, id, "10.00 USD")
    assert.completed(refund({ payment = id }):wait "2h")
    assert.equal(70, sum(w, "refund", id))
    nothing_refused(w, "payments.capture")
  end)

  it("is void, once and for all, while it is only held", function()
    take("80.00 USD", "manual")
    local run = w:start("void", { payment = "ORDER-1", reason = "returned in good order" })
    assert.completed(run:wait "2h")
    assert.equal("cancelled", run.output.status)
    assert.completed(w:start("void", { payment = id }):wait "2h")
    assert.voided(w, id, "80.00 USD")
    assert.failed(w:start("capture", { payment = id }):wait "2h", "conflict")
    assert.failed(refund({ payment = id }):wait "2h", "not_paid")
  end)

  it("that was taken is not void", function()
    take "80.00 USD"
    assert.failed(w:start("void", { payment = id }):wait "2h", "already_paid")
  end)
end)

describe("a payment elsewhere", function()
  local w

  before_each(function() w = world.new { flows = flows, start = "2027-01-31T09:00:00Z" } end)

  local order = {
    reference = "ORDER-2", amount = "80.00 USD", email = "ann@example.com", name = "Ann",
    items = { { name = "Coffee", quantity = 2, price = "40.00 USD" } },
  }

  it("at Mintro is given back by hand, and the refund says so", function()
    local checkout = w:start("checkout", order, { key = "order-2" })
    w:pay(checkout)
    checkout:wait "2h"
    for _, name in ipairs { checkout.id, "order-2", "ORDER-2", checkout.output.intent_id } do
      local run = w:start("refund", { payment = name, amount = "20.00 USD" })
      assert.failed(run:wait "2h", "unsupported")
      assert.matches("20.00 USD of " .. checkout.output.intent_id:gsub("%p", "%%%0") .. " back in Mintro's dashboard",
        run.error.message)
    end
    assert.failed(w:start("void", { payment = "order-2" }):wait "2h", "already_paid")
    assert.failed(w:start("capture", { payment = "order-2" }):wait "2h", "unsupported")
  end)

  it("at Mintro is void while nobody has paid", function()
    local checkout = w:start("checkout", order, { key = "order-2" })
    w:wait_for(function() return checkout.progress.intent_id end)
    assert.failed(w:start("refund", { payment = "order-2" }):wait "2h", "not_paid")
    assert.completed(w:start("void", { payment = "order-2" }):wait "2h")
    assert.failed(checkout:wait "2h", "cancelled")
    assert.not_charged(w)
  end)

  it("by Paymint is given back whole, or destroyed while it is unpaid", function()
    local unpaid, paid = w:start "bill", w:start "bill"
    unpaid:wait "1h"
    paid:wait "1h"
    w:pay(paid)
    assert.completed(w:start("void", { payment = unpaid.id }):wait "2h")
    assert.failed(w:start("refund", { payment = unpaid.id }):wait "2h", "not_paid")
    assert.failed(w:start("void", { payment = paid.id }):wait "2h", "already_paid")
    assert.failed(w:start("refund", { payment = paid.id, amount = "20000 KRW" }):wait "2h", "unsupported")
    local run = w:start("refund", { payment = paid.progress.bill_id, provider = "paymint" })
    assert.completed(run:wait "2h")
    assert.equal("50000 KRW", run.output.amount)
    assert.failed(w:start("refund", { payment = paid.id }):wait "2h", "nothing_left")
    assert.voided(w, paid.progress.bill_id, "50000 KRW")
  end)

  it("is not guessed where a run, or a key, tells of two", function()
    local one = w:start("both", { output = "pay_2" }, { key = "order-3" })
    local two = w:start("both", {}, { key = "order-4" })
    one:wait()
    two:wait()
    assert.failed(w:start("refund", { payment = "order-4" }):wait "2h", "ambiguous")
    assert.failed(w:start("refund", { payment = one.id }):wait "2h", "not_found") -- pay_2, which Paymnt does not have
    local checkout = w:start("checkout", order, { key = "order-3" })
    w:wait_for(function() return checkout.progress.intent_id end)
    assert.failed(w:start("refund", { payment = "order-3" }):wait "2h", "ambiguous")
    w:start("void", { payment = checkout.id }):wait "2h"
  end)

  it("has to have an id that can be one", function()
    for _, named in ipairs {
      { payment = "order 1001, the second" }, { payment = "pi_" .. ("0"):rep(36) }, { payment = "pay_" .. ("x"):rep(100) },
      { payment = ("x"):rep(200) }, { payment = "run_01m7w42vj5vf3cq5m5r7ytyz0k" }, { payment = "pi_1", provider = "mintro" },
      { payment = "a-b", provider = "paymint" }, { payment = "a b", provider = "paymnt" },
    } do
      for _, deed in ipairs { "refund", "void" } do
        assert.failed(w:start(deed, named):wait "2h", "not_found")
      end
    end
  end)

  it("with an ePIN is given back by nobody, and the refund says what to do", function()
    local run = w:start("refund", { payment = "an order", provider = "mint" })
    assert.failed(run:wait "2h", "unsupported")
    assert.matches("MINT's API takes no ePIN back", run.error.message)
    assert.failed(w:start("void", { payment = "an order", provider = "mint" }):wait "2h", "unsupported")
  end)
end)

describe("an order that was paid partly by ePIN", function()
  local w, order

  local function buy(ways)
    w = world.new { flows = flows }
    order = w:start("checkout", {
      reference = "ORDER-1", amount = "80.00 USD", email = "ann@example.com", name = "Ann", ways = ways,
      items = { { name = "Coffee", quantity = 2, price = "40.00 USD" } },
    }, { key = "ORDER-1" })
  end

  local function refund(amount) return w:start("refund", { payment = "ORDER-1", amount = amount }):wait "2h" end

  -- MINT cannot be asked what became of a redemption; whoever looks there sees it.
  local function attend()
    if order.state ~= "needs_attention" then return end
    local done = #w:ledger { kind = "redeem" } > 0
    order:resolve { outcome = done and "done" or "not_sent", value = done and {} or nil }
  end

  local function spend(amount, done)
    local epin = w:issue(tonumber(amount))
    repeat
      w:choose(order, "epin", { epin = epin, amount = amount })
      w:wait_for(function()
        attend()
        return done() or order.progress.step == "choose"
      end, "3h")
    until done()
  end

  it("gives back what the card paid, and says what it does not", function()
    buy { "epin", "paymnt" }
    spend("30", function() return order.progress.due == "50.00 USD" end)
    w:choose(order, "paymnt")
    w:pay(order)
    assert.completed(order:wait "2h")
    local too_much = refund "80.00 USD"
    assert.failed(too_much, "too_much")
    assert.matches("30.00 USD was paid by ePIN", too_much.error.message, 1, true)
    local given = refund()
    assert.completed(given)
    assert.equal("50.00 USD", given.output.amount)
    assert.equal("30.00 USD", given.output.not_given_back)
    assert.refunded(w, order.output.payment_id, "50.00 USD")
  end)

  it("cannot be given back when ePINs paid all of it", function()
    buy { "epin" }
    spend("80", function() return order.state == "completed" end)
    local refused = refund()
    assert.failed(refused, "unsupported")
    assert.matches("80.00 USD: MINT's API takes no ePIN back", refused.error.message, 1, true)
  end)
end)
