-- Cancelling: what a run did is undone, once, even when the process is killed on the way.

local testing = require "mintage.testing"
local json = testing.json

local function order(reference)
  return {
    reference = reference, amount = "80.00 USD", email = "ann@example.com", name = "Ann Example",
    items = json.array { { name = "Coffee", quantity = 1, price = "80.00 USD" } },
  }
end

describe("cancelling a checkout", function()
  local runtime, sandbox

  setup(function() runtime, sandbox = testing.pair { flows = "flows" } end)
  teardown(testing.clean_up)

  local function waiting(reference)
    local run = runtime:run("checkout", order(reference), { key = reference })
    return runtime:wait_for(run.id, "waiting")
  end

  local function pay(run)
    return sandbox:http("POST", "/_sandbox/pay", { intent_id = run.progress.intent_id, card = "4242424242424242" })
  end

  it("closes the intent, so that nobody can pay it any more", function()
    local run = waiting "CANCEL-1"
    assert.equal(200, runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel", { reason = "changed my mind" }).status)
    run = runtime:wait_for(run.id, "cancelled")
    assert.equal(409, pay(run).status)
    assert.equal(0, #sandbox:http("GET", "/_sandbox/ledger?reference=CANCEL-1").json.data)
  end)

  it("is refused when the run has ended, and done once when asked for twice", function()
    local run = waiting "CANCEL-2"
    assert.equal(200, pay(run).status)
    run = runtime:wait_for(run.id, "completed")
    assert.equal(409, runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel").status)

    run = waiting "CANCEL-3"
    runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel")
    runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel")
    runtime:wait_for(run.id, "cancelled")
    local cancels = sandbox:http("GET", "/_sandbox/requests?operation=intents.cancel&reference=CANCEL-3").json.data
    assert.is_true(#cancels <= 1)
  end)

  it("goes on after kill -9", function()
    local run = waiting "CANCEL-4"
    runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel")
    runtime:kill()
    runtime:launch()
    run = runtime:wait_for(run.id, "cancelled")
    assert.equal(409, pay(run).status)
  end)

  it("shows the customer a page that says so", function()
    local run = waiting "CANCEL-5"
    local path = run.checkout_url:match "/checkout/.*"
    assert.equal(200, runtime:http("GET", path).status)
    local status = runtime:http("GET", path .. "/status").json
    assert.equal("waiting", status.state)
    assert.equal(run.progress.payment_url, status.progress.payment_url)
    assert.is_nil(status.input)
    assert.is_nil(status.id)
    runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel")
    runtime:wait_for(run.id, "cancelled")
    assert.equal("cancelled", runtime:http("GET", path .. "/status").json.state)
    assert.equal(404, runtime:http("GET", path:gsub("..$", "zz")).status)
    assert.equal(404, runtime:http("GET", "/checkout/nonsense/status").status)
  end)
end)
