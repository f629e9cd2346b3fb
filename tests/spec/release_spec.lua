-- Giving back: by the state that is read, by the state that is there when it has moved since, in as many calls as it
-- takes, and once.

local testing = require "mintage.testing"
local json = testing.json

local CARD = "4242424242424242"

local flows = {
  ["hold.lua"] = [[
local flow   = require "mintage.flow"
local paymnt = require "mintage.paymnt"
return flow.define {
  name  = "hold",
  input = { amount = "money" },
  run = function(order)
    local payment = paymnt.payments.create {
      amount = order.amount, description = "held", capture_method = "manual_multiple", payment_link = true,
    }
    flow.progress { payment_id = payment.payment_id }
    return paymnt.payments.settled(payment.payment_id, "30m")
  end,
}
]],
  ["capture.lua"] = [[
local flow   = require "mintage.flow"
local paymnt = require "mintage.paymnt"
return flow.define {
  name  = "capture",
  input = { payment_id = "string", amount = "money" },
  run = function(input)
    return paymnt.payments.capture { payment_id = input.payment_id, amount_to_capture = input.amount }
  end,
}
]],
  ["give_back.lua"] = [[
local flow   = require "mintage.flow"
local paymnt = require "mintage.paymnt"
return flow.define {
  name  = "give_back",
  input = { payment_id = "string", undo = "boolean?" },
  run = function(input)
    if not input.undo then return paymnt.payments.release { payment_id = input.payment_id } end
    flow.undo(paymnt.payments.release, { payment_id = input.payment_id })
    flow.fail "regretted"
  end,
}
]],
  ["close.lua"] = [[
local flow   = require "mintage.flow"
local mintro = require "mintage.mintro"
return flow.define {
  name  = "close",
  input = { intent_id = "string" },
  run = function(input)
    local value, err = flow.try(mintro.intents.release, { intent_id = input.intent_id })
    return { status = value and value.status, kind = err and err.kind, message = err and err.message }
  end,
}
]],
}

describe("giving back", function()
  local runtime, sandbox

  setup(function()
    runtime, sandbox = testing.pair { flows = testing.flows(testing.shipped("checkout", flows)) }
    testing.wait_until(function()
      return sandbox:http("GET", "/_sandbox/endpoints").json.paymnt
    end, "the runtime has registered its webhooks")
  end)
  teardown(testing.clean_up)
  before_each(function() sandbox:http("DELETE", "/_sandbox/faults") end)

  local function arm(provider, operation, fault)
    local response = sandbox:http("POST", "/_sandbox/faults", {
      match = { provider = provider, operation = operation }, fault = fault, times = 1,
    })
    assert.equal(201, response.status, response.body)
  end

  local function ledger(id)
    local kinds = {}
    for i, entry in ipairs(sandbox:http("GET", "/_sandbox/ledger?provider=paymnt&reference=" .. id).json.data) do
      kinds[i] = entry.kind .. " " .. entry.amount
    end
    return kinds
  end

  local function completed(flow, input)
    return runtime:wait_for(runtime:run(flow, input).id, "completed").output
  end

  local function held()
    local run = runtime:wait_for(runtime:run("hold", { amount = "50.00 USD" }).id, "waiting")
    local paid = sandbox:http("POST", "/_sandbox/pay", { payment_id = run.progress.payment_id, card = CARD })
    assert.equal(200, paid.status, paid.body)
    assert.equal("requires_capture", runtime:wait_for(run.id, "completed").output.status)
    return run.progress.payment_id
  end

  -- Begins a run whose first read is answered late, and acts when that read has been made.
  local function overtaken(provider, operation, begin, act)
    local path = ("/_sandbox/requests?provider=%s&operation=%s"):format(provider, operation)
    local before = #sandbox:http("GET", path).json.data
    arm(provider, operation, "slow=1500")
    local run = begin()
    testing.wait_until(function() return #sandbox:http("GET", path).json.data > before end, "the state is read")
    act()
    return run
  end

  it("voids what is held of a Paymnt payment", function()
    local id = held()
    assert.equal("cancelled", completed("give_back", { payment_id = id }).status)
    assert.same({ "authorise 50.00", "void 50.00" }, ledger(id))
  end)

  it("voids the rest and refunds what was captured", function()
    local id = held()
    completed("capture", { payment_id = id, amount = "30.00 USD" })
    local run = runtime:wait_for(runtime:run("give_back", { payment_id = id }).id, "completed")
    assert.equal("30.00 USD", run.output.amount)
    assert.same({ "authorise 50.00", "capture 30.00", "void 20.00", "refund 30.00" }, ledger(id))
    local again = runtime:wait_for(runtime:run("give_back", { payment_id = id, undo = true }).id, "failed")
    assert.equal("regretted", again.error.kind)
    assert.equal(4, #ledger(id)) -- nothing is left to give back
  end)

  it("does both when answers are lost and the runtime dies", function()
    for i, undo in ipairs { false, true } do
      local id = held()
      completed("capture", { payment_id = id, amount = "30.00 USD" })
      arm("paymnt", i == 1 and "payments.cancel" or "refunds.create", "drop_response")
      arm("paymnt", "payments.retrieve", "slow=300")
      local run = runtime:run("give_back", { payment_id = id, undo = undo })
      testing.wait_until(function() return #ledger(id) > 2 end, "the rest is voided")
      runtime:kill()
      runtime:launch()
      testing.advance(sandbox, "10m")
      runtime:wait_for(run.id, undo and "failed" or "completed")
      assert.same({ "authorise 50.00", "capture 30.00", "void 20.00", "refund 30.00" }, ledger(id))
    end
  end)

  it("refunds what somebody captured between its read and its void", function()
    local id = held()
    local run = overtaken("paymnt", "payments.retrieve", function()
      return runtime:run("give_back", { payment_id = id })
    end, function() completed("capture", { payment_id = id, amount = "50.00 USD" }) end)
    assert.equal("50.00 USD", runtime:wait_for(run.id, "completed").output.amount)
    assert.same({ "authorise 50.00", "capture 50.00", "refund 50.00" }, ledger(id))
  end)

  it("keeps to a refusal when nothing has changed", function()
    local id = held()
    arm("paymnt", "payments.cancel", "error=IR_16")
    local run = runtime:wait_for(runtime:run("give_back", { payment_id = id }).id, "failed")
    assert.equal("IR_16", run.error.code)
    assert.same({ "authorise 50.00" }, ledger(id))
  end)

  local function order(reference)
    local run = runtime:run("checkout", {
      reference = reference, amount = "80.00 USD", email = "ann@example.com", name = "Ann",
      items = json.array { { name = "Coffee", quantity = 1, price = "80.00 USD" } },
    }, { key = reference })
    return runtime:wait_for(run.id, "waiting").progress.intent_id
  end

  local function pay(id)
    assert.equal(200, sandbox:http("POST", "/_sandbox/pay", { intent_id = id, card = CARD }).status)
  end

  it("goes by each state of a Mintro intent", function()
    local id = order "REL-1"
    assert.equal("cancelled", completed("close", { intent_id = id }).status)
    assert.equal("cancelled", completed("close", { intent_id = id }).status)
    id = order "REL-2"
    pay(id)
    local refused = completed("close", { intent_id = id })
    assert.equal("unsupported", refused.kind)
    assert.matches("no refund", refused.message)
    id = order "REL-3"
    testing.advance(sandbox, "25h")
    assert.matches("^[ce]", completed("close", { intent_id = id }).status) -- cancelled by its order, or expired
  end)

  it("says so when a Mintro intent is paid between its read and its cancellation", function()
    local id = order "REL-4"
    local run = overtaken("mintro", "intents.get", function() return runtime:run("close", { intent_id = id }) end,
      function() pay(id) end)
    local refused = runtime:wait_for(run.id, "completed").output
    assert.equal("unsupported", refused.kind)
    assert.matches("no refund", refused.message)
  end)
end)
