-- Flows on Paymnt: a deposit is held, captured or released, whatever becomes of the answers; webhooks are believed
-- only with their signature, and stored once.

local testing = require "mintage.testing"
local json = testing.json

local deposit = [[
local flow   = require "mintage.flow"
local paymnt = require "mintage.paymnt"

return flow.define {
  name  = "deposit",
  input = { amount = "money", keep = "money?", order = "string" },

  run = function(order)
    local payment = paymnt.payments.create {
      amount = order.amount, description = order.order, capture_method = "manual", payment_link = true,
    }
    local id = payment.payment_id
    flow.undo(paymnt.payments.release, { payment_id = id, reason = "the deposit is given back" })
    flow.progress { payment_id = id, page = payment.payment_link.link }

    payment = paymnt.payments.settled(id, "30m") or flow.fail "expired"
    if payment.status ~= "requires_capture" then flow.fail(payment.status) end

    local answer = flow.await("deposit", order.order, { within = "30d" })
    if answer and answer.capture then
      paymnt.payments.capture { payment_id = id, amount_to_capture = order.keep or order.amount }
    end
    if answer and answer.regret then flow.fail "regretted" end
    return { payment_id = id, status = paymnt.payments.retrieve(id).status }
  end,
}
]]

local refund = [[
local flow   = require "mintage.flow"
local paymnt = require "mintage.paymnt"

return flow.define {
  name  = "refund",
  input = { payment_id = "string", amount = "money?" },
  run = function(input)
    local refund = paymnt.refunds.create { payment_id = input.payment_id, amount = input.amount, reason = "asked for" }
    refund = paymnt.refunds.settled(refund.refund_id, "1h")
    return { refund_id = refund.refund_id, status = refund.status, amount = refund.amount }
  end,
}
]]

local at_once = [[
local flow   = require "mintage.flow"
local paymnt = require "mintage.paymnt"

return flow.define {
  name  = "at_once",
  input = { amount = "money", payment_id = "string?" },
  run = function(input)
    local payment = paymnt.payments.create { payment_id = input.payment_id, amount = input.amount }
    payment = paymnt.payments.confirm { payment_id = payment.payment_id }
    return { payment_id = payment.payment_id, status = payment.status, amount = payment.amount, code = payment.error_code }
  end,
}
]]

local with_card = [[
local flow   = require "mintage.flow"
local paymnt = require "mintage.paymnt"

return flow.define {
  name  = "with_card",
  input = { amount = "money" },
  run = function(input)
    paymnt.payments.create {
      amount = input.amount, confirm = true,
      payment_method_data = { card = { card_number = "4242424242424242", card_cvc = "987" } },
    }
  end,
}
]]

local give_up = [[
local flow   = require "mintage.flow"
local paymnt = require "mintage.paymnt"

return flow.define {
  name = "give_up",
  run = function()
    flow.undo(paymnt.payments.release, { payment_id = "p" })
    flow.fail "given_up"
  end,
}
]]

describe("flows on Paymnt", function()
  local runtime, sandbox

  setup(function()
    runtime, sandbox = testing.pair {
      flows = testing.flows {
        ["deposit.lua"] = deposit, ["refund.lua"] = refund, ["at_once.lua"] = at_once, ["with_card.lua"] = with_card,
      },
    }
    testing.wait_until(function()
      return sandbox:http("GET", "/_sandbox/endpoints").json.paymnt
    end, "the runtime has registered its webhooks")
  end)
  teardown(testing.clean_up)
  before_each(function() sandbox:http("DELETE", "/_sandbox/faults") end)

  local function ledger(id)
    local kinds = {}
    for i, entry in ipairs(sandbox:http("GET", "/_sandbox/ledger?provider=paymnt&reference=" .. id).json.data) do
      kinds[i] = entry.kind .. " " .. entry.amount
    end
    return kinds
  end

  local function arm(operation, fault, times)
    local response = sandbox:http("POST", "/_sandbox/faults", {
      match = { provider = "paymnt", operation = operation }, fault = fault, times = times or 1,
    })
    assert.equal(201, response.status, response.body)
  end

  local function all_faults_fired()
    for _, fault in ipairs(sandbox:http("GET", "/_sandbox/faults").json.data) do
      assert.equal(fault.times, fault.consumed, json.encode(fault))
    end
  end

  local function pay(id, card)
    local response = sandbox:http("POST", "/_sandbox/pay", { payment_id = id, card = card or "4242424242424242" })
    assert.equal(200, response.status, response.body)
  end

  local function waits_for(run, topic)
    return testing.wait_until(function()
      local now = runtime:get_run(run.id)
      return type(now.waiting_for) == "table" and now.waiting_for.topic == topic and now
    end, "the run waits for " .. topic)
  end

  -- A deposit that waits for what becomes of it; answers the run and its payment's id.
  local function held(name, more)
    local input = { amount = "50.00 USD", order = name }
    for key, value in pairs(more or {}) do input[key] = value end
    local run = runtime:run("deposit", input, { key = name })
    local id = waits_for(run, "paymnt.payment").progress.payment_id
    pay(id)
    return waits_for(run, "deposit"), id
  end

  local function answer(name, payload)
    local run = runtime:api("GET", "/v1/runs?key=" .. name).json.data[1]
    local response = runtime:api("POST", "/v1/runs/" .. run.id .. "/signal", { topic = "deposit", key = name, payload = payload })
    assert.equal(200, response.status, response.body)
  end

  it("hold a deposit and capture it", function()
    local run, id = held "D-1"
    assert.matches("^pay_%x+$", id)
    answer("D-1", { capture = true })
    assert.equal("succeeded", runtime:wait_for(run.id, "completed").output.status)
    assert.same({ "authorise 50.00", "capture 50.00" }, ledger(id))
  end)

  it("release a deposit when the run is cancelled", function()
    local run, id = held "D-2"
    runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel")
    runtime:wait_for(run.id, "cancelled")
    assert.same({ "authorise 50.00", "void 50.00" }, ledger(id))
  end)

  it("capture once, though the answer is lost", function()
    local run, id = held "D-3"
    arm("payments.capture", "drop_response", 2)
    answer("D-3", { capture = true })
    assert.equal("succeeded", runtime:wait_for(run.id, "completed").output.status)
    all_faults_fired()
    assert.same({ "authorise 50.00", "capture 50.00" }, ledger(id))
  end)

  it("give back once what was captured, though answers are lost", function()
    local run, id = held("D-4", { keep = "20.00 USD" })
    arm("payments.capture", "truncate")
    arm("refunds.create", "drop_response", 2)
    answer("D-4", { capture = true, regret = true })
    assert.equal("regretted", runtime:wait_for(run.id, "failed").error.kind)
    all_faults_fired()
    assert.same({ "authorise 50.00", "capture 20.00", "refund 20.00" }, ledger(id))
  end)

  it("void once, though the answer is lost", function()
    local run, id = held "D-5"
    arm("payments.cancel", "malformed")
    answer("D-5", { regret = true })
    runtime:wait_for(run.id, "failed")
    all_faults_fired()
    assert.same({ "authorise 50.00", "void 50.00" }, ledger(id))
  end)

  it("create and confirm once, though every first answer is lost", function()
    arm("payments.create", "drop_response")
    arm("payments.confirm", "drop_response")
    local run = runtime:run("at_once", { amount = "10.00 USD" }, { wait = "20s" })
    assert.equal("completed", run.state, json.encode(run))
    assert.same({ "succeeded", "10.00 USD" }, { run.output.status, run.output.amount })
    all_faults_fired()
    assert.same({ "charge 10.00" }, ledger(run.output.payment_id))
  end)

  it("find a payment by its own id when the key is not honoured", function()
    -- As a switch without Idempotency-Key answers a repeat: the id is taken.
    arm("payments.create", "drop_response")
    arm("payments.create", "error=HE_01")
    local run = runtime:run("at_once", { amount = "11.00 USD" }, { wait = "20s" })
    assert.equal("completed", run.state, json.encode(run))
    all_faults_fired()
    assert.same({ "charge 11.00" }, ledger(run.output.payment_id))
  end)

  it("wait when they are asked to, and go on after an error of the server", function()
    arm("payments.create", "error=429")
    arm("payments.confirm", "error=503")
    local run = runtime:run("at_once", { amount = "10 KRW" }, { wait = "20s" })
    assert.equal("completed", run.state, json.encode(run))
    assert.equal("10 KRW", run.output.amount)
    assert.same({ "charge 10" }, ledger(run.output.payment_id))
  end)

  it("hear a refusal: an id that is taken", function()
    runtime:run("at_once", { amount = "10.00 USD", payment_id = "taken" }, { wait = "20s" })
    local run = runtime:run("at_once", { amount = "12.00 USD", payment_id = "taken" }, { wait = "20s" })
    assert.same({ "failed", "conflict", "HE_01" }, { run.state, run.error.kind, run.error.code })
  end)

  it("refund once, though the answer is lost", function()
    local paid = runtime:run("at_once", { amount = "10.00 USD" }, { wait = "20s" }).output
    arm("refunds.create", "drop_response")
    local run = runtime:run("refund", { payment_id = paid.payment_id, amount = "4.00 USD" }, { wait = "20s" })
    assert.equal("completed", run.state, json.encode(run))
    assert.same({ "succeeded", "4.00 USD" }, { run.output.status, run.output.amount })
    assert.matches("^ref_%x+$", run.output.refund_id)
    all_faults_fired()
    assert.same({ "charge 10.00", "refund 4.00" }, ledger(paid.payment_id))
  end)

  it("never carry a card", function()
    local run = runtime:run("with_card", { amount = "10.00 USD" })
    run = runtime:wait_for(run.id, "needs_attention")
    assert.matches("card data never passes through a flow", json.encode(run))
    local kept = json.encode(run) .. json.encode(runtime:journal(run.id)) .. testing.read(runtime.log)
    assert.is_nil(kept:find("4242424242424242", 1, true))
  end)

  it("end when the customer never pays", function()
    local run = runtime:run("deposit", { amount = "50.00 USD", order = "D-6" }, { key = "D-6" })
    waits_for(run, "paymnt.payment")
    testing.advance(sandbox, "16m")
    assert.equal("expired", runtime:wait_for(run.id, "failed").error.kind)
  end)

  it("release only what has come to rest: a payment that is still processing is read again", function()
    local switch = testing.native.receiver()
    local function payment_is(status)
      switch:answer(200, json.encode { payment_id = "p", status = status, amount = 1000, amount_received = 0, currency = "USD" })
    end
    local other = testing.start("serve", {
      sandbox = "http://127.0.0.1:" .. switch:port(), clock = sandbox.data .. "/clock",
      flows = testing.flows { ["give_up.lua"] = give_up },
    })
    payment_is "processing"
    local run = other:run("give_up", {})
    testing.wait_until(function()
      local now = other:get_run(run.id)
      return type(now.waiting_for) == "table" and now.waiting_for.what == "paymnt.payments.release"
    end, "the release waits")
    payment_is "cancelled"
    testing.advance(sandbox, "6s")
    assert.equal("given_up", other:wait_for(run.id, "failed").error.kind)
    for _, request in ipairs(switch:requests()) do
      if request.path:find "^/payments" then assert.equal("GET", request.method) end
    end
    switch:close()
  end)

  describe("webhooks", function()
    local function delivery_of(id, event)
      for _, d in ipairs(sandbox:http("GET", "/_sandbox/webhooks?provider=paymnt&event=" .. event).json.data) do
        if d.body.content.object.payment_id == id then return d end
      end
    end

    local function stored(id) return runtime:api("GET", "/v1/events?key=" .. id).json.data end

    it("are stored once, however often they come", function()
      local _, id = held "H-1"
      local delivery = delivery_of(id, "payment_authorized")
      local before = #stored(id)
      assert.equal(1, before)
      for _ = 1, 3 do
        assert.equal(200, sandbox:http("POST", "/_sandbox/webhooks/" .. delivery.id .. "/redeliver").status)
      end
      assert.equal(before, #stored(id))
    end)

    it("without the right signature are refused", function()
      local _, id = held "H-2"
      local body = json.encode(delivery_of(id, "payment_authorized").body)
      local before = #stored(id)
      assert.equal(401, runtime:http("POST", "/webhooks/paymnt", body).status)
      for _, signature in ipairs { "", "0", ("0"):rep(128), ("g"):rep(128) } do
        local headers = { ["X-Webhook-Signature-512"] = signature }
        assert.equal(401, runtime:http("POST", "/webhooks/paymnt", body, headers).status)
      end
      assert.equal(before, #stored(id))
    end)

    it("that are lost do no harm", function()
      sandbox:http("POST", "/_sandbox/faults", {
        match = { provider = "paymnt", event = "payment_authorized" }, fault = "lose",
      })
      local run = runtime:run("deposit", { amount = "50.00 USD", order = "H-3" }, { key = "H-3" })
      run = waits_for(run, "paymnt.payment")
      pay(run.progress.payment_id)
      testing.advance(sandbox, "2m")
      waits_for(run, "deposit")
      answer("H-3", { capture = true })
      runtime:wait_for(run.id, "completed")
      assert.same({ "authorise 50.00", "capture 50.00" }, ledger(run.progress.payment_id))
    end)
  end)
end)
