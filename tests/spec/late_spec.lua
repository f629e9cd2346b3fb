-- Payments that come when their order is over: the flow's late handler looks after each of them once, and what nobody
-- looks after is shown. With kill -9 around it.

local testing = require "mintage.testing"
local json = testing.json

local CARD = "4242424242424242"

local patient = [[
local flow   = require "mintage.flow"
local paymnt = require "mintage.paymnt"

return flow.define {
  name  = "patient",
  input = { amount = "money" },
  run = function(order)
    local payment = paymnt.payments.create { amount = order.amount, description = "patient", payment_link = true }
    flow.progress { payment_id = payment.payment_id }
    return paymnt.payments.settled(payment.payment_id, "10m") or flow.fail "expired"
  end,
  late = function(event)
    local id = event.run.progress.payment_id
    if paymnt.payments.retrieve(id).status ~= "succeeded" then return "nothing to give back" end
    paymnt.payments.release { payment_id = id, reason = "too late" }
    return { given_back = event.run.input.amount, order = event.run.id }
  end,
}
]]

local deaf = [[
local flow = require "mintage.flow"
return flow.define {
  name = "deaf",
  run = function() return flow.await("parcel", "D-1", { within = "1h" }) or flow.fail "expired" end,
}
]]

local sender = [[
local flow = require "mintage.flow"
return flow.define {
  name = "sender",
  run = function() flow.signal("parcel", "D-1", { n = 1 }) end,
}
]]

describe("a payment that comes late", function()
  local runtime, sandbox

  setup(function()
    runtime, sandbox = testing.pair {
      flows = testing.flows(testing.shipped("checkout", {
        ["patient.lua"] = patient, ["deaf.lua"] = deaf, ["sender.lua"] = sender,
      })),
    }
    testing.wait_until(function()
      return sandbox:http("GET", "/_sandbox/endpoints").json.paymnt
    end, "the runtime has registered its webhooks")
  end)
  teardown(testing.clean_up)

  local function waiting(reference)
    local run = runtime:run("checkout", {
      reference = reference, amount = "80.00 USD", email = "ann@example.com", name = "Ann",
      items = json.array { { name = "Coffee", quantity = 1, price = "80.00 USD" } },
    }, { key = reference })
    return runtime:wait_for(run.id, "waiting")
  end

  local function pay_late(run)
    local response = sandbox:http("POST", "/_sandbox/pay",
      { intent_id = run.progress.intent_id, card = CARD, late = true })
    assert.equal(200, response.status, response.body)
  end

  -- The runs that looked after payments of this order, and those of them that were about money.
  local function late_runs(flow, of)
    local all = {}
    for _, run in ipairs(runtime:api("GET", "/v1/runs?limit=1000&flow=" .. flow .. ".late").json.data) do
      if run.input.run.id == of.id then all[#all + 1] = run end
    end
    return all
  end

  local function one_paid(run)
    local found
    testing.wait_until(function()
      local n = 0
      for _, late in ipairs(late_runs("checkout", run)) do
        if late.input.payload.event == "payment.succeeded" then found, n = late, n + 1 end
      end
      assert.is_true(n <= 1)
      return n == 1 and found.state == "needs_attention"
    end, "the late payment waits for a person", 20000)
    return found
  end

  it("of an expired order waits for a person, where the provider has no refund", function()
    local run = waiting "LATE-1"
    testing.advance(sandbox, "25h")
    assert.equal("expired", runtime:wait_for(run.id, "failed").error.kind)
    pay_late(run)
    local late = one_paid(run)
    assert.equal("LATE-1", late.input.run.key)
    assert.equal("failed", late.input.run.state)
    assert.equal("expired", late.input.run.error.kind)
    assert.equal("mintro.intent", late.input.topic)
    assert.equal(run.progress.intent_id, late.input.key)
    assert.matches("no refund", json.encode(late.error))
    assert.equal(1, #sandbox:http("GET", "/_sandbox/ledger?reference=LATE-1").json.data)

    local event = runtime:api("GET", "/v1/events/" .. math.tointeger(late.input.event)).json
    assert.same({ run = run.id, state = "handled" }, event.late)
    assert.equal(1, event.readers)

    local open
    for _, entry in ipairs(runtime:journal(late.id)) do
      if entry.kind == "compensate" then open = entry.seq end
    end
    local resolved = runtime:api("POST", "/v1/runs/" .. late.id .. "/resolve",
      { seq = open, outcome = "done", value = { refunded = "in Mintro's dashboard" } })
    assert.equal(200, resolved.status, resolved.body)
    assert.equal("paid_late", runtime:wait_for(late.id, "failed").error.kind)
  end)

  it("of a cancelled order is looked after once, though the runtime dies around it", function()
    local run = waiting "LATE-2"
    assert.equal(200, runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel").status)
    runtime:wait_for(run.id, "cancelled")
    runtime:kill()
    pay_late(run)
    runtime:launch()
    testing.advance(sandbox, "2m") -- Mintro sends again
    one_paid(run)
    runtime:kill()
    runtime:launch()
    for _, d in ipairs(sandbox:http("GET", "/_sandbox/webhooks?provider=mintro").json.data) do
      if d.body.data.intent_id == run.progress.intent_id then
        assert.equal(200, sandbox:http("POST", "/_sandbox/webhooks/" .. d.id .. "/redeliver").status)
      end
    end
    one_paid(run)
    assert.equal(1, #sandbox:http("GET", "/_sandbox/ledger?reference=LATE-2").json.data)
  end)

  it("is given back once where the provider can, whenever the runtime dies", function()
    for attempt = 1, 6 do
      local run = runtime:wait_for(runtime:run("patient", { amount = "50.00 USD" }).id, "waiting")
      local id = run.progress.payment_id
      testing.advance(sandbox, "11m")
      runtime:wait_for(run.id, "failed")
      runtime.process:signal_after(attempt * 8 - 8, 9)
      local paid = sandbox:http("POST", "/_sandbox/pay", { payment_id = id, card = CARD })
      assert.equal(200, paid.status, paid.body)
      assert.equal(9, select(2, runtime.process:wait(5000)))
      runtime.process:close()
      runtime:launch()
      testing.advance(sandbox, "3m") -- what the dead one did not answer is sent again
      local given_back
      testing.wait_until(function()
        for _, late in ipairs(late_runs("patient", run)) do
          if late.state == "completed" and type(late.output) == "table" and late.output.given_back then
            given_back = late.output.given_back
          end
        end
        return given_back
      end, "the money is given back", 20000)
      assert.equal("50.00 USD", given_back)
      local kinds = {}
      for _, entry in ipairs(sandbox:http("GET", "/_sandbox/ledger?provider=paymnt").json.data) do
        if json.encode(entry):find(id, 1, true) then kinds[#kinds + 1] = entry.kind end
      end
      local refunds = 0
      for _, kind in ipairs(kinds) do refunds = refunds + (kind == "refund" and 1 or 0) end
      assert.equal(1, refunds, table.concat(kinds, " "))
    end
  end)

  it("starts nothing in a flow without a handler, and is shown", function()
    local run = runtime:run("deaf", {})
    runtime:wait_for(run.id, "waiting")
    testing.advance(sandbox, "2h")
    runtime:wait_for(run.id, "failed")
    runtime:wait_for(runtime:run("sender", {}).id, "completed")
    local event
    testing.wait_until(function()
      event = runtime:api("GET", "/v1/events?late=true&topic=parcel").json.data[1]
      return event and event.late.state == "unhandled"
    end, "the event is marked")
    assert.same({ run = run.id, state = "unhandled" }, event.late)
    assert.equal(422, runtime:api("GET", "/v1/events?late=true&unread=true").status)
    assert.matches("mintage_late_events_unhandled_total 1\n", runtime:api("GET", "/metrics").body)
    assert.matches("no late handler", testing.read(runtime.log))
    local function mintage(action, argument)
      return testing.run { "events", action, argument, "--url", runtime.url, "--data", runtime.data }
    end
    local listed = mintage("list", "--late")
    assert.equal(0, listed.code, listed.err)
    assert.matches("! " .. event.n .. "%s+parcel", listed.out)
    assert.matches("nothing looks after it", listed.out)
    assert.matches("late%s+for run " .. run.id, mintage("show", tostring(event.n)).out)
  end)
end)
