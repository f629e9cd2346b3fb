-- The examples that flows/README.md teaches by. Each holds as it stands there, with a death at any point and with any
-- mishaps.

local world = require "mintage.world"

local native = require "mintage.testing.native"

local function read(name)
  local file = assert(io.open("flows/examples/" .. name, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

describe("a tip", function()
  local w, run
  before_each(function()
    w = world.new { flows = "flows/examples" }
    run = w:start("tip", { amount = "5.00 USD", email = "ann@example.com" })
  end)

  it("is given", function()
    w:pay(run)
    assert.completed(run:wait "2h")
    assert.equal("5.00 USD", run.output.tip)
    assert.charged_once(w, run.id, "5.00 USD")
  end)

  it("is not given when nobody does", function()
    assert.failed(run:wait "10d", "expired")
    assert.not_charged(w)
  end)
end)

describe("a deposit", function()
  local w, run
  before_each(function()
    w = world.new { flows = "flows/examples" }
    run = w:start("deposit", { bicycle = "red-7", amount = "100.00 USD" })
  end)

  -- The bicycle is out, and comes back.
  local function comes_back(with)
    w:pay(run)
    w:wait_for(function()
      local waiting = run.waiting_for
      return waiting and waiting.topic == "returned"
    end, "4h")
    w:advance "2d"
    run:signal("returned", "red-7", with):wait "4h"
    assert.completed(run)
  end

  it("is let go when the bicycle is back", function()
    comes_back {}
    assert.voided(w, run.output.payment_id, "100.00 USD")
    assert.not_charged(w)
  end)

  it("is kept in part for what is broken", function()
    comes_back { damage = "15.00 USD" }
    assert.charged_once(w, run.output.payment_id, "15.00 USD")
  end)

  it("is kept whole, and no more, when everything is broken", function()
    comes_back { damage = "400.00 USD" }
    assert.charged_once(w, run.output.payment_id, "100.00 USD")
  end)

  it("is kept when the bicycle never comes back", function()
    w:pay(run)
    assert.completed(run:wait "8d")
    assert.charged_once(w, run.output.payment_id, "100.00 USD")
  end)

  it("is let go when the shop cancels", function()
    w:pay(run)
    w:advance "1h"
    run:cancel "no bicycle left"
    assert.cancelled(run:wait "4h")
    assert.voided(w, run.progress.payment_id)
  end)
end)

local register = [[
local flow = require "mintage.flow"
local paymint = require "mintage.paymint"
return flow.define {
  name = "register",
  run = function()
    paymint.autopay.register { customer_id = "ann", member_nm = "Ann", phone = "010-1234-5678" }
    flow.progress { customer_id = "ann" }
  end,
}]]

describe("a price in thirds", function()
  local w, run

  local function buys(card)
    w = world.new {
      flows = { ["thirds.lua"] = read "thirds.lua", ["register.lua"] = register }, start = "2027-01-31T01:00:00Z",
    }
    w:pay(w:start "register", card)
    run = w:start("thirds", { customer = "ann", product = "Sofa", price = "100000 KRW" })
  end

  it("is charged at once, and after one and two months", function()
    buys(world.cards.good)
    assert.completed(run:wait "70d")
    local days, prices = {}, {}
    for i, row in ipairs(w:ledger { kind = "charge" }) do days[i], prices[i] = row.at:sub(1, 10), row.amount end
    assert.same({ "2027-01-31", "2027-02-28", "2027-03-31" }, days)
    assert.same({ "33334", "33333", "33333" }, prices)
  end)

  it("fails when the card does not work any more, and says how much was paid", function()
    buys(world.cards.dies_later)
    run:wait "90d"
    assert.failed(run, "unpaid")
    assert.equal("declined", run.error.cause.kind)
    assert.charged_times(w, nil, (run.progress.paid or 0))
  end)
end)

describe("a gift", function()
  local w, run, letters
  local code = "%d%d%d%d ?%d%d%d%d ?%d%d%d%d ?%d%d%d%d"

  before_each(function()
    w, letters = world.new { flows = "flows/examples" }, {}
    w:serve("https://mailer.example", function(req)
      local key = req.headers["idempotency-key"] or req.headers["Idempotency-Key"]
      if not letters[key] then
        letters[key] = req.body
        letters[#letters + 1] = req.body
      end
      return { status = 202, json = {} }
    end)
    run = w:start("gift", { amount = "25.00 USD", to = "bob@example.com", words = "Happy birthday!" })
  end)

  -- When nobody knows whether it was issued, a person looks at MINT, and says so.
  local function goes_on()
    run:wait "2d"
    if run.state ~= "needs_attention" then return end
    local issued = #w:ledger { kind = "issue" } > 0
    run:resolve {
      outcome = issued and "done" or "not_sent",
      value = issued and { epins = { { pin_id = 1, pin_code = "1234 5678 9012 3456" } } } or nil,
    }
    goes_on()
  end

  -- Issued once, sent once and paid; or, when a person has found that none was issued, the money is back.
  local function ends_well()
    goes_on()
    local issued = #w:ledger { kind = "issue" }
    assert.equal(issued, #letters)
    if issued == 0 then return assert.refunded(w, run.progress.payment_id, "25.00 USD") end
    assert.completed(run)
    assert.equal(1, issued)
    assert.charged_once(w, run.output.payment_id, "25.00 USD")
    assert.matches(code, letters[1])
    assert.matches("bob@example.com", letters[1])
  end

  it("is paid, issued once, and sent in one letter", function()
    w:pay(run)
    ends_well()
  end)

  it("has a code that nobody can read afterwards", function()
    w:pay(run)
    goes_on()
    local pin = letters[1] and letters[1]:match(code):gsub("%D", ""):gsub("(%d%d%d%d)", "%1 ?"):sub(1, -3)
    assert.is_true(not pin or letters[1]:find(pin) ~= nil)
    local shown = native.encode(run:journal()) .. run:story() .. w:look_at_text("/v1/runs/" .. run.id) .. w:log()
    assert.is_nil(pin and shown:find(pin))
  end)

  it("waits for a person when nobody knows whether it was issued", function()
    w:fault { provider = "mint", operation = "epins.generate", fault = "drop_response" }
    w:pay(run)
    assert.needs_attention(run:wait "2d")
    ends_well()
  end)

  it("is given back when MINT issues none", function()
    w:balance("mint", 0, "USD")
    w:pay(run)
    goes_on()
    assert.failed(run)
    assert.refunded(w, run.progress.payment_id, "25.00 USD")
    assert.equal(0, #letters)
  end)
end)

describe("an order at either provider", function()
  local w, run

  local function orders(fault)
    w = world.new { flows = "flows/examples" }
    if fault then w:fault { provider = "mintro", operation = "intents.create", fault = fault, times = 50 } end
    run = w:start("failover", { amount = "12.50 USD", email = "ann@example.com", name = "Ann" })
  end

  it("is paid at Mintro", function()
    orders()
    w:pay(run)
    assert.completed(run:wait "2h")
    assert.charged_times(w, nil, 1, "12.50 USD")
  end)

  it("is given up, and can be paid no more, when nobody comes", function()
    orders()
    assert.failed(run:wait "3h", "expired")
    assert.has.error(function() w:pay(run) end)
    assert.not_charged(w)
  end)

  it("is paid at Paymnt when Mintro will not take it", function()
    orders "error=403"
    w:pay(run)
    assert.completed(run:wait "4h")
    assert.equal("paymnt", run.output.paid_at)
    assert.charged_times(w, nil, 1, "12.50 USD")
    assert.equal("paymnt", w:ledger()[1].provider)
  end)
end)
