-- The console's objects at a running runtime: runs and what can be done with one, finding, lists, the ledger and the sandbox.

local testing = require "mintage.testing"
local support = dofile((debug.getinfo(1, "S").source:match "^@(.*/)" or "./") .. "console_support.lua")

local flows = {
  ["shop.lua"] = [[
local flow = require "mintage.flow"
local paymnt = require "mintage.paymnt"
return flow.define {
  name = "shop",
  input = { reference = "string", amount = "money", email = "string", card = "string?" },
  run = function(order)
    local payment = paymnt.payments.create { amount = order.amount, description = order.reference }
    flow.progress { payment_id = payment.payment_id }
    flow.log("masked", { card_num = "****-****-****-4242" })
    flow.await("go", order.reference)
    return { reference = order.reference }
  end,
}
]],
  ["quiet.lua"] = [[
local flow = require "mintage.flow"
local mintro = require "mintage.mintro"
return flow.define {
  name = "quiet",
  run = function()
    local price = require "mintage.money" "1.00 USD"
    local intent = mintro.intents.create {
      reference_id = flow.id(), amount = price, email = "ann@example.com", name = "Ann", integration_type = "iframe",
      order_items = { { name = "Tea", quantity = 1, price = price } },
    }
    return mintro.intents.settled(intent.intent_id, "1h")
  end,
}
]],
  ["breaks.lua"] = [[
local flow = require "mintage.flow"
return flow.define {
  name = "breaks",
  run = function(x)
    flow.progress { step = 1 }
    return x.missing.field
  end,
}
]],
}

describe("the console's objects", function()
  local runtime, sandbox, prints, fails
  local shop

  local function start(reference, amount, email)
    local run = runtime:run("shop", { reference = reference, amount = amount, email = email }, { key = "key-" .. reference })
    return runtime:wait_for(run.id, "waiting")
  end

  setup(function()
    runtime, sandbox = testing.pair { flows = testing.flows(flows) }
    prints, fails = support.at(runtime)
    shop = start("ORDER-1001", "80.00 USD", "ann@example.com")
    start("ORDER-1002", "12.50 USD", "bob@example.com")
    runtime:wait_for(runtime:run("breaks", {}).id, "needs_attention")
  end)
  teardown(testing.clean_up)

  it("list runs, and know one by its id, its key or its reference", function()
    local listed = prints "runs()"
    assert.matches(shop.id, listed, 1, true)
    assert.matches("needs_attention", listed, 1, true)
    assert.equal("shop\twaiting\n", prints(("print(runs'%s'.flow, runs'%s'.state)"):format(shop.id, shop.id)))
    assert.equal(shop.id .. "\n", prints "print(runs'key-ORDER-1001'.id)")
    assert.equal(shop.id .. "\n", prints "print(runs'ORDER-1001'.id)")
    assert.equal("breaks\n", prints "print(runs.list{ flow = 'breaks', limit = 1 }[1].flow)")
    assert.matches("there is no run run_nope", fails "runs'run_nope'", 1, true)
    assert.matches('did you mean "flow"', fails "runs.list{ flwo = 'x' }", 1, true)
  end)

  it("find runs by what is in them or in their journals", function()
    for what, wanted in pairs {
      ["{ email = 'ANN@example.com' }"] = "ORDER-1001", ["{ reference = 'ORDER-1002' }"] = "ORDER-1002",
      ["{ amount = '80' }"] = "ORDER-1001", ["{ amount = money '12.50 USD' }"] = "ORDER-1002",
      ["{ email = 'bob@example.com', amount = '12.5 USD', since = '30d' }"] = "ORDER-1002",
    } do
      assert.equal(wanted .. "\n", prints(("print(runs.find%s[1].input.reference)"):format(what)), what)
    end
    assert.equal("ORDER-1002\n", prints "print(runs.find{ last4 = '4242', reference = 'ORDER-1002' }[1].input.reference)")
    assert.equal("0\n", prints "print(#runs.find{ last4 = '9999' })")
    assert.equal("0\n", prints "print(#runs.find{ email = 'ann@example.com', amount = '12.50 USD' })")
    assert.matches("nothing found; %d+ runs looked at", prints "runs.find{ email = 'nobody@example.com' }")
    assert.matches("input.email", prints "runs.find{ email = 'ann@example.com' }", 1, true)
    assert.matches("the last four digits", fails "runs.find{ last4 = '42' }", 1, true)
    assert.matches("nothing to look for", fails "runs.find{}", 1, true)
    -- cut off, it says so, and goes on from there
    local first = "l = runs.find{ email = 'ann@example.com', scan = 1 }" -- the oldest of them
    assert.equal("true\t0\n", prints(first, "print(l.cut, #l)"))
    assert.equal("ORDER-1001\n", prints(first, "while #l == 0 do l = l.more() end print(l[1].input.reference)"))
  end)

  it("are found from the shell, too", function()
    local found = testing.run { "runs", "find", "--email", "ann@example.com", "--data", runtime.data, "--url", runtime.url }
    assert.equal(0, found.code, found.err)
    assert.matches(shop.id, found.out, 1, true)
    assert.matches("1 found among %d+ runs", found.out)
    assert.equal(2, testing.run({ "runs", "find", "--data", runtime.data, "--url", runtime.url }).code)
  end)

  it("show a run as its story", function()
    local story = prints(("runs'%s'"):format(shop.id))
    assert.matches("calls paymnt.payments.create", story, 1, true)
    assert.matches("waits for", story, 1, true)
    assert.equal("4\n", prints(("print(#runs'%s':journal())"):format(shop.id)))
  end)

  it("say what a person has to find out, and ask before anything is done", function()
    local broken = runtime:wait_for(runtime:run("breaks", {}).id, "needs_attention")
    local said = prints(("runs'%s':resolve()"):format(broken.id))
    assert.matches("No effect is without an answer", said, 1, true)
    assert.matches("nothing was done", fails(("runs'%s':retry()"):format(broken.id)), 1, true)
    assert.equal("needs_attention", runtime:get_run(broken.id).state)
    local yes = support.at(runtime, { "--yes" })
    yes(("runs'%s':cancel 'enough'"):format(broken.id))
    assert.equal("cancelled", runtime:wait_for(broken.id, "cancelled").state)
    assert.matches("cancelled", fails(("runs'%s':retry()"):format(broken.id)))
  end)

  it("change nothing in a read-only session", function()
    local read, refuse = support.at(runtime, { "--read-only", "--yes" })
    for _, deed in ipairs { "runs'%s':cancel()", "runs'%s':retry()", "runs'%s':signal('go', 'ORDER-1001')" } do
      assert.matches("read-only", refuse(deed:format(shop.id)), 1, true)
    end
    assert.matches("read-only", refuse "sandbox.clock '1d'", 1, true)
    assert.equal("waiting\n", read(("print(runs'%s'.state)"):format(shop.id)))
    assert.matches("effect 1 of 4", read(("runs'%s':at(1)"):format(shop.id)), 1, true)
  end)

  it("follow a run to its end", function()
    local run = start("ORDER-1003", "5.00 USD", "eve@example.com")
    local yes = support.at(runtime, { "--yes" })
    local told = yes(("runs'%s':signal('go', 'ORDER-1003', { n = 1 })"):format(run.id), ("runs'%s':follow()"):format(run.id))
    assert.matches("paymnt.payments.create", told, 1, true)
    assert.matches("completed\n$", told)
    -- one that goes on is followed for as long as was said
    assert.matches("waiting\n$", prints(("runs'%s':follow '1s'"):format(shop.id)))
  end)

  it("list what the runtime knows", function()
    assert.matches("paymnt%s+yes", prints "providers()")
    assert.matches("shop.lua:3", prints "flows()", 1, true)
    assert.equal("breaks\n", prints "print(flows'breaks'.name)")
    assert.matches("did you mean 'shop'", fails "flows'shpo'", 1, true)
    assert.matches("current", prints "generations()")
    assert.matches("Nothing is started by the clock", prints "schedules()", 1, true)
    assert.equal("shop\n", prints "print(flows'shop':runs()[1].flow)")
    runtime:api("POST", "/v1/runs/" .. start("ORDER-1004", "1.00 USD", "dan@example.com").id .. "/signal",
      { topic = "go", key = "ORDER-1004", payload = { n = 1 } })
    assert.matches("go%s+ORDER%-1004", prints "events()")
    assert.matches("runs", prints "audit()", 1, true)
    assert.matches("paymnt.payments.create%s+80.00 USD", prints "ledger()")
    local unknown = fails "runz()"
    assert.matches("did you mean 'runs'", unknown, 1, true)
  end)

  it("show the key of a run, which is its name, and no other key", function()
    assert.matches('key = "key-ORDER-1001"', prints "({ flow = 'shop', key = 'key-ORDER-1001' })", 1, true)
    assert.matches("key = [redacted]", prints "({ id = 'x', key = 'key-ORDER-1001' })", 1, true)
  end)

  it("are customer, bank and time where there is a sandbox", function()
    assert.matches("succeeded", prints "sandbox.pay(runs'ORDER-1002')", 1, true)
    local quiet = runtime:wait_for(runtime:run("quiet", {}).id, "waiting") -- tells nothing: its journal does
    assert.matches("succeeded", prints(("sandbox.pay(runs'%s')"):format(quiet.id)), 1, true)
    testing.wait_until(function() return #sandbox:http("GET", "/_sandbox/webhooks").json.data > 0 end, "it told of it")
    testing.wait_until(function() return prints("print(sandbox.webhooks()[1].state)") == "delivered\n" end, "its webhook came")
    prints "sandbox.webhooks()[1]:redeliver()"
    testing.wait_until(function() return prints("print(sandbox.webhooks()[1].attempts)") == "2\n" end, "it came again")
    assert.matches("no fault is armed", prints "sandbox.faults()", 1, true)
    assert.matches("drop_response", prints("sandbox.fault('mintro.intents.create', 'drop_response')", "sandbox.faults()"), 1, true)
    local before = prints "print(sandbox.clock())"
    prints "sandbox.clock '1h'"
    assert.is_true(before < prints "print(sandbox.clock())")
    assert.matches("paymnt.payments.create", prints "sandbox.requests{ provider = 'paymnt' }", 1, true)
    assert.equal(200, sandbox:http("GET", "/_sandbox/ledger").status)
    assert.matches("charge", prints "sandbox.ledger()", 1, true)
    assert.matches("The sandbox at", prints "sandbox", 1, true)
  end)

  it("give plain data to programs", function()
    local all = { "repl", "--data", runtime.data, "--json", "-e", ("runs'%s'"):format(shop.id) }
    local run = testing.json.decode(testing.run(all).out)
    run = run.id and run or run[1]
    assert.equal(shop.id, run.id)
    assert.equal("80.00 USD", run.input.amount)
  end)
end)
