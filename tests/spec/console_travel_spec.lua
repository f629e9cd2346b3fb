-- Time travel at the console of a running runtime: a run as it stood at an effect, what its script knew there, and what edited
-- code would have done; also of a checkout whose runtime was killed in its middle, and of parked runs.

local testing = require "mintage.testing"
local support = dofile((debug.getinfo(1, "S").source:match "^@(.*/)" or "./") .. "console_support.lua")

local PIN = "7391-6405-2817"

local order_lua = [[
local flow = require "mintage.flow"
local paymnt = require "mintage.paymnt"

local fee = 2

local function pay(order)
  local amount = order.amount
  local payment = paymnt.payments.create { amount = amount, description = order.reference }
  return payment.payment_id
end

return flow.define {
  name = "order",
  input = { reference = "string", amount = "money", pin = "secret?", wait = "string?" },
  run = function(order)
    local items = { { name = "tea", price = order.amount } }
    local hushed = order.pin
    local id = pay(order)
    flow.progress { payment_id = id }
    flow.sleep(order.wait or "1h")
    return { id = id }
  end,
}
]]

local function edited(from, to)
  local at, stop = assert(order_lua:find(from, 1, true))
  return order_lua:sub(1, at - 1) .. to .. order_lua:sub(stop + 1)
end

describe("time travel", function()
  local runtime, sandbox, dir, prints, fails, run

  before_each(function()
    dir = testing.flows { ["order.lua"] = order_lua }
    runtime, sandbox = testing.pair { flows = dir }
    prints, fails = support.at(runtime)
    run = runtime:run("order", { reference = "R-1", amount = "80.00 USD", pin = PIN }, { key = "r-1" })
    run = runtime:wait_for(run.id, "sleeping")
  end)
  after_each(testing.clean_up)

  local function at(n, more) return ("runs'%s':at(%s)%s"):format(run.id, n or "", more or "") end

  it("stops at an effect with the script's frames, variables and lines", function()
    local shown = prints(at(1))
    assert.matches("order.lua:8", shown, 1, true)
    assert.matches(">    8    local payment = paymnt.payments.create", shown, 1, true)
    assert.matches('amount%s+"80.00 USD"', shown)
    assert.matches("called by run", shown, 1, true)
    assert.matches("items%s+{ { name", shown)
    assert.matches("fee%s+2", prints(at(2)) .. " fee 2") -- an upvalue only of functions that use it
    assert.matches("next     1  call paymnt.payments.create", shown, 1, true)
    assert.equal("80.00 USD\n", prints(("print(%s)"):format(at(1, ":look('items[1].price', 1)"))))
    assert.equal("R-1\n", prints(("print(%s)"):format(at(1, ":locals(1).order.reference"))))
    assert.matches("there is no variable 'itms'", fails(at(1, ":look('itms', 1)")), 1, true)
  end)

  it("steps, goes back, goes on to the end, and says what the run waits for", function()
    local told = prints("t = " .. at(1), "print(t.at)", "print(t:step().at)", "print(t.effect.kind)", "print(t:back().at)",
      "print(t:to(2).previous.name)", "print(t:finish().at)", "print(t.stop, t.waiting_for.what)")
    assert.equal("1\n2\nprogress\n1\npaymnt.payments.create\n3\nend\tsleep\n", told)
    local last = prints(at())
    assert.matches("The journal ends here", last, 1, true)
    assert.matches("It wakes in 5", last, 1, true)
    local by_option = testing.run { "repl", "--data", runtime.data, "--run", run.id, "--at", "2", "-e", "print(travel.at)" }
    assert.matches("2\n$", by_option.out)
  end)

  it("touches neither the run nor the world", function()
    local before, requests = runtime:get_run(run.id), #sandbox:http("GET", "/_sandbox/requests").json.data
    prints(at(), at(1), ("runs'%s':what_if 'return 1;'"):format(run.id):gsub("return 1;", "local flow = require \"mintage.flow\"; "
      .. "flow.define { name = \"order\", run = function() flow.sleep(1) end }"))
    assert.same(before, runtime:get_run(run.id))
    assert.equal(requests, #sandbox:http("GET", "/_sandbox/requests").json.data)
  end)

  it("never shows a secret", function()
    for n = 1, 3 do
      local shown = prints(at(n), ("print(%s)"):format(at(n, ":look('order', " .. (n == 1 and 1 or 0) .. ")")))
      assert.matches("[redacted]", shown, 1, true)
      assert.is_nil(shown:find(PIN, 1, true))
    end
    local plain = runtime:api("GET", "/v1/runs/" .. run.id .. "/travel?at=2").body
    assert.is_nil(plain:find(PIN, 1, true))
    assert.equal("[redacted]\n", prints(("print(%s)"):format(at(2, ":look 'hushed'"))))
    assert.is_nil(testing.read(runtime.log):find(PIN, 1, true))
  end)

  it("shows a checkout that was killed in its middle, before and after it went on", function()
    sandbox:http("POST", "/_sandbox/faults",
      { match = { provider = "paymnt", operation = "payments.create" }, fault = "slow=3000", times = 1 })
    local cut = runtime:run("order", { reference = "R-2", amount = "5.00 USD", wait = "1s" }, { key = "r-2" })
    testing.wait_until(function() return #runtime:journal(cut.id) == 1 end, "its intent is on record")
    runtime:kill()
    runtime:launch()
    local one = ("runs'%s':at(1)"):format(cut.id)
    assert.matches("effect 1 of", prints(one), 1, true)
    runtime:wait_for(cut.id, "sleeping", "completed")
    testing.advance(sandbox, "1m")
    runtime:wait_for(cut.id, "completed")
    assert.matches("next     1  call paymnt.payments.create", prints(one), 1, true)
    assert.matches("The script returned", prints(("runs'%s':at()"):format(cut.id)), 1, true)
    local paid = 0
    for _, row in ipairs(sandbox:http("GET", "/_sandbox/requests").json.data) do
      if row.operation == "payments.create" and tostring(row.body):find("R-2", 1, true) then paid = paid + 1 end
    end
    assert.is_true(paid <= 2)
  end)

  it("says where edited code parts ways, or that it agrees and what it would do", function()
    local file = testing.folder() .. "/order.lua"
    testing.write(file, edited('flow.progress { payment_id = id }', 'flow.sleep "5m"'))
    local parts = prints(("runs'%s':what_if '%s'"):format(run.id, file))
    assert.matches("parts ways with the journal", parts, 1, true)
    assert.matches("effect 2 is progress", parts, 1, true)
    assert.matches("asks for sleep 5 minutes at order.lua:19", parts, 1, true)
    testing.write(file, edited('return { id = id }', 'flow.log "later" return { id = id }'))
    assert.matches("agrees with the journal, 2 effects", prints(("runs'%s':what_if '%s'"):format(run.id, file)), 1, true)
    local folder = testing.flows { ["order.lua"] = edited('local id = pay(order)', 'local id = pay { amount = order.amount * 2 }') }
    local other = prints(("w = runs'%s':what_if '%s'"):format(run.id, folder), "print(w.parted.seq, w.parted.line, w.stop)")
    assert.matches("^1\t8\tparted", other)
    testing.write(file, "return flow.define {")
    assert.matches("order.lua:1", fails(("runs'%s':what_if '%s'"):format(run.id, file)), 1, true)
    assert.matches("No such file", fails(("runs'%s':what_if '/nowhere/at/all.lua'"):format(run.id)), 1, true)
    assert.matches("wanted a .lua file", fails(("runs'%s':what_if '/etc/passwd'"):format(run.id)), 1, true)
  end)

  it("shows where a parked run broke, and that mended code goes on", function()
    testing.write(dir .. "/order.lua", edited("return { id = id }", "return id.no.such"))
    local response
    testing.wait_until(function()
      response = runtime:api("POST", "/v1/flows/order/runs", { reference = "R-3", amount = "5.00 USD", wait = "1s" })
      return response.json.generation ~= run.generation
    end, "the newer code is loaded")
    local parked = response.json.id
    runtime:wait_for(parked, "sleeping")
    testing.advance(sandbox, "1m")
    runtime:wait_for(parked, "needs_attention")
    local shown = prints(("runs'%s':at()"):format(parked))
    assert.matches("The script breaks here", shown, 1, true)
    assert.matches(">   21      return id.no.such", shown, 1, true)
    assert.matches('id%s+"pay_', shown)
    local file = testing.folder() .. "/order.lua"
    testing.write(file, order_lua)
    assert.matches("The script returned", prints(("runs'%s':what_if '%s'"):format(parked, file)), 1, true)
  end)

  it("takes edited code as a string over HTTP, where no file of the runtime's machine is read", function()
    local function over_http(command)
      return testing.run { "repl", "--url", runtime.url, "--token", runtime.token, "-e", command }
    end
    local file = testing.folder() .. "/order.lua"
    testing.write(file, order_lua)
    local refused = over_http(("runs'%s':what_if '%s'"):format(run.id, file))
    assert.equal(1, refused.code)
    assert.matches("over HTTP give the code as a string", refused.err, 1, true)
    local taken = over_http(("runs'%s':what_if [==[%s]==]"):format(run.id, order_lua))
    assert.matches("agrees with the journal, 2 effects", taken.out, 1, true)
    assert.matches("effect 2 of 3", over_http(at(2)).out, 1, true)
  end)

  it("refuses what is no effect, and runs that there are not", function()
    assert.matches("from 1", fails(at(0)), 1, true)
    assert.matches("there is no segment 7", fails(at("1, 7")), 1, true)
    assert.equal(404, runtime:api("GET", "/v1/runs/run_nope/travel").status)
    assert.equal(422, runtime:api("POST", "/v1/runs/" .. run.id .. "/travel", { at = "x" }).status)
    assert.equal(401, runtime:http("GET", "/v1/runs/" .. run.id .. "/travel").status)
  end)
end)

describe("the shipped checkout, killed in its middle", function()
  after_each(testing.clean_up)

  it("is travelled through effect by effect, before and after it ends", function()
    local runtime, sandbox = testing.pair { flows = "flows" }
    local prints = support.at(runtime)
    local started = runtime:run("checkout", {
      reference = "ORDER-1001", amount = "80.00 USD", email = "ann@example.com", name = "Ann",
      items = testing.json.array { { name = "tea", quantity = 1, price = "80.00 USD" } },
    }, { key = "order-1001" })
    runtime:wait_for(started.id, "waiting")
    runtime:kill()
    runtime:launch()
    runtime:wait_for(started.id, "waiting")
    local walk = ("t = runs'%s':at(1) while t.stop == 'effect' do print(t.at, t.effect.kind, #t.frames > 0) t:step() end "
      .. "print(t.at, t.stop, t.effect and t.effect.name or t.output.status)"):format(started.id)
    local before = prints(walk)
    assert.matches("1\tpure\ttrue", before)
    assert.matches("\tend\tmintro.intents.settled\n$", before)
    assert.equal(#runtime:journal(started.id), select(2, before:gsub("\n", "")))
    prints(("sandbox.pay(runs'%s')"):format(started.id))
    runtime:wait_for(started.id, "completed")
    local after = prints(walk)
    assert.matches("\treturned\tsucceeded\n$", after)
    assert.equal(before:match "^(.*)\n[^\n]*\n$", after:sub(1, #before:match "^(.*)\n[^\n]*\n$"))
    local charges = sandbox:http("GET", "/_sandbox/ledger").json.data
    assert.equal(1, #charges)
  end)
end)
