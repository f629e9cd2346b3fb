-- What the engine promises, told by flows that use all of it: children, calls at once, collections, signals, new segments,
-- compensations, reloads. Worth most with --crash.

local world = require "mintage.world"

local flows = {
  -- A cart: its tickets are taken from a stock, and each is told to a printer by a child.
  ["cart.lua"] = [[
    local collection = require "mintage.collection"
    local flow = require "mintage.flow"
    local stock = collection.define "stock"

    return flow.define {
      name = "cart",
      input = { tickets = { { name = "string" } } },
      run = function(order)
        local left = stock:get "tickets" or stock:insert { id = "tickets", left = 10 }
        stock:update("tickets", { left = left.left - #order.tickets }, { version = left.version })

        local children = {}
        for i, ticket in ipairs(order.tickets) do
          children[i] = flow.start("tell", { name = ticket.name }).id
        end
        for _, id in ipairs(children) do flow.await("run", id, { within = "1d" }) end
        return { told = #children }
      end,
    }
  ]],
  ["tell.lua"] = [[
    local flow = require "mintage.flow"
    local http = require "mintage.http"
    return flow.define {
      name = "tell",
      input = { name = "string" },
      run = function(what)
        local answer = http.post {
          url = "https://printer.example/tickets", json = { name = what.name }, idempotency_key = what.name,
        }
        return { number = answer.json.number }
      end,
    }
  ]],
  -- Two payments at once; then both are taken back, newest first, unless somebody says "keep".
  ["pair.lua"] = [[
    local flow = require "mintage.flow"
    local paymnt = require "mintage.paymnt"
    return flow.define {
      name = "pair",
      input = { a = "money", b = "money" },
      run = function(order)
        local answers = flow.all {
          { paymnt.payments.create, { amount = order.a, description = "a", capture_method = "manual", payment_link = true } },
          { paymnt.payments.create, { amount = order.b, description = "b", capture_method = "manual", payment_link = true } },
        }
        local ids = {}
        for i, answer in ipairs(answers) do
          if answer.err then flow.fail(answer.err) end
          ids[i] = answer.value.payment_id
          flow.undo(paymnt.payments.release, { payment_id = ids[i] })
        end
        flow.progress { a = ids[1], b = ids[2] }
        for _, id in ipairs(ids) do
          local payment = paymnt.payments.settled(id, "1d") or flow.fail "expired"
          if payment.status ~= "requires_capture" then flow.fail(payment.status) end
        end
        if not flow.await("keep", flow.key(), { within = "1d" }) then flow.fail "nobody_said_keep" end
        for i, id in ipairs(ids) do
          paymnt.payments.capture { payment_id = id, amount_to_capture = i == 1 and order.a or order.b }
        end
        return { ids = ids }
      end,
    }
  ]],
  -- Counts signals over segments; each is counted once, whichever segment is under way.
  ["counter.lua"] = [[
    local flow = require "mintage.flow"
    return flow.define {
      name = "counter",
      input = { till = "integer", seen = "integer?", sum = "integer?" },
      run = function(input)
        local seen, sum = input.seen or 0, input.sum or 0
        local event = flow.await("number", "n", { within = "30d" })
        if not event then flow.fail "too_few" end
        seen, sum = seen + 1, sum + event.n
        flow.progress { seen = seen, sum = sum }
        if seen == input.till then return { sum = sum } end
        flow.continue { till = input.till, seen = seen, sum = sum }
      end,
    }
  ]],
  -- Has a bug that is mended while it waits.
  ["buggy.lua"] = [[
    local flow = require "mintage.flow"
    local http = require "mintage.http"
    local nothing
    return flow.define {
      name = "buggy",
      run = function()
        local answer = http.post { url = "https://bank.example/charge", json = {}, idempotency_key = "one" }
        return { n = answer.json.n + nothing }
      end,
    }
  ]],
}

local function copy(from)
  local out = {}
  for name, text in pairs(from) do out[name] = text end
  return out
end

describe("a cart", function()
  local w, run, printed

  before_each(function()
    w, printed = world.new { flows = flows }, {}
    w:serve("https://printer.example", function(req)
      local key = req.headers["idempotency-key"]
      if not printed[key] then
        printed[#printed + 1] = key
        printed[key] = #printed
      end
      return { json = { number = printed[key] } }
    end)
  end)

  local function start() run = w:start("cart", { tickets = { { name = "A1" }, { name = "A2" } } }) end

  it("has its children tell the printer, each once, and waits for them", function()
    start()
    assert.completed(run:wait "1d")
    assert.equal(2, run.output.told)
    assert.equal(2, #printed)
    assert.equal(2, #w:runs { flow = "tell" })
    for _, child in ipairs(w:runs { flow = "tell" }) do assert.completed(child) end
  end)

  it("takes from the stock exactly once, also beside another", function()
    start()
    local other = w:start("cart", { tickets = { { name = "B1" } } })
    run:wait "1d"
    other:wait "1d"
    local taken = 0
    for _, cart in ipairs { run, other } do
      if cart.state == "completed" then taken = taken + cart.output.told end -- the other met a newer stock: `conflict`
    end
    assert.equal(taken, #printed)
    assert.is_true(taken >= 1)
  end)

  it("cancels its children with it", function()
    w.hosts = {} -- the printer is gone
    start()
    w:advance "1s"
    run:cancel()
    assert.cancelled(run:wait "1d")
    w:advance "1h"
    for _, child in ipairs(w:runs { flow = "tell" }) do -- a call of which nobody knows what became settles first
      assert.is_true(child.state == "cancelled" or child.cancel_requested)
    end
  end)
end)

describe("a pair of payments", function()
  local w, run

  before_each(function()
    w = world.new { flows = flows }
    run = w:start("pair", { a = "10.00 USD", b = "20.00 USD" }, { key = "p" })
    run:wait_for(function() return run.progress.b end)
  end)

  it("is captured when both are paid and somebody says so", function()
    w:pay { payment_id = run.progress.a, card = world.cards.good }
    w:pay { payment_id = run.progress.b, card = world.cards.challenge }
    w:pass_challenge { payment_id = run.progress.b }
    run:signal("keep", "p", {})
    assert.completed(run:wait "1d")
    assert.charged_once(w, run.progress.a, "10.00 USD")
    assert.charged_once(w, run.progress.b, "20.00 USD")
  end)

  it("is released when the second is declined", function()
    w:pay { payment_id = run.progress.a, card = world.cards.good }
    w:pay { payment_id = run.progress.b, card = world.cards.declined }
    assert.failed(run:wait "2d", "failed")
    assert.not_charged(w)
    assert.voided(w, run.progress.a, "10.00 USD")
  end)

  it("is released when nobody says so", function()
    w:pay { payment_id = run.progress.a, card = world.cards.good }
    w:pay { payment_id = run.progress.b, card = world.cards.good }
    assert.failed(run:wait "5d", "nobody_said_keep")
    assert.not_charged(w)
    assert.voided(w, run.progress.a)
    assert.voided(w, run.progress.b)
  end)
end)

describe("a run of many segments", function()
  it("reads each signal once", function()
    local w = world.new { flows = flows }
    local run = w:start("counter", { till = 4 })
    for n = 1, 4 do
      run:signal("number", "n", { n = 10 ^ n // 1 | 0 })
      if n == 2 then run:wait_for(function() return run.progress.seen == 2 end, "1d") end
    end
    assert.completed(run:wait "1d")
    assert.equal(11110, run.output.sum)
    assert.equal(3, run.segment)
  end)
end)

describe("a run with a bug", function()
  it("is parked, moved to mended code, and carries on without charging again", function()
    local w, calls = world.new { flows = flows }, {}
    w:serve("https://bank.example", function(req)
      calls[req.headers["idempotency-key"]] = true
      return { json = { n = 1 } }
    end)
    local run = w:start "buggy"
    run:wait "1d"
    assert.needs_attention(run, "script")
    local mended = copy(flows)
    mended["buggy.lua"] = mended["buggy.lua"]:gsub("local nothing", "local nothing = 41", 1)
    assert.is_true(w:reload(mended))
    run:migrate()
    run:retry()
    assert.completed(run:wait "1d")
    assert.equal(42, run.output.n)
    local n = 0
    for _ in pairs(calls) do n = n + 1 end
    assert.equal(1, n)
  end)
end)
