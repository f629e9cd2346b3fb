-- Webhooks: stored before they are answered, believed only as far as they deserve, never counted twice.

local testing = require "mintage.testing"
local json = testing.json

describe("webhooks of Mintro", function()
  local runtime, sandbox

  setup(function() runtime, sandbox = testing.pair { flows = "flows" } end)
  teardown(testing.clean_up)

  local function checkout(reference)
    local run = runtime:run("checkout", {
      reference = reference, amount = "12.50 USD", email = "ann@example.com", name = "Ann",
      items = json.array { { name = "Coffee", quantity = 1, price = "12.50 USD" } },
    }, { key = reference })
    return runtime:wait_for(run.id, "waiting")
  end

  local function pay(run)
    local response = sandbox:http("POST", "/_sandbox/pay", { intent_id = run.progress.intent_id, card = "4242424242424242" })
    assert.equal(200, response.status, response.body)
  end

  local function events_of(run) return runtime:api("GET", "/v1/events?key=" .. run.progress.intent_id).json.data end

  it("wake the run that waits", function()
    local run = checkout "HOOK-1"
    pay(run)
    assert.equal("succeeded", runtime:wait_for(run.id, "completed").output.status)
  end)

  it("are stored once, however often they come", function()
    local run = checkout "HOOK-2"
    pay(run)
    runtime:wait_for(run.id, "completed")
    local before = #events_of(run)
    local delivery
    for _, d in ipairs(sandbox:http("GET", "/_sandbox/webhooks?provider=mintro&event=payment.succeeded").json.data) do
      if d.body.data.intent_id == run.progress.intent_id then delivery = d end
    end
    for _ = 1, 3 do
      assert.equal(200, sandbox:http("POST", "/_sandbox/webhooks/" .. delivery.id .. "/redeliver").status)
    end
    assert.equal(before, #events_of(run))
    assert.equal(1, #sandbox:http("GET", "/_sandbox/ledger?reference=HOOK-2").json.data)
  end)

  it("that are malformed are refused and not stored", function()
    for _, body in ipairs { "not json", "[]", "{}", '{"event":5}', '{"event":"payment.succeeded","data":{}}' } do
      local status = runtime:http("POST", "/webhooks/mintro", body).status
      assert.is_true(status >= 400 and status < 500, body .. ": " .. status)
    end
  end)

  it("that lie are not believed: the payment is read back", function()
    local run = checkout "HOOK-3"
    local lie = { event = "payment.succeeded", data = { intent_id = run.progress.intent_id, charge_id = 1, metadata = {} } }
    assert.equal(200, runtime:http("POST", "/webhooks/mintro", lie).status)
    testing.wait_until(function()
      local event = events_of(run)[1]
      local reads = sandbox:http("GET", "/_sandbox/requests?operation=intents.get&reference=HOOK-3").json.data
      return event and event.readers > 0 or #reads > 0
    end, "the runtime has looked")
    assert.equal("waiting", runtime:wait_for(run.id, "waiting").state)
    pay(run)
    runtime:wait_for(run.id, "completed")
  end)

  it("that are lost do no harm: the runtime asks by itself", function()
    sandbox:http("POST", "/_sandbox/faults", {
      match = { provider = "mintro", event = "payment.succeeded" }, fault = "lose", times = 1,
    })
    local run = checkout "HOOK-4"
    pay(run)
    testing.advance(sandbox, "2m")
    assert.equal("succeeded", runtime:wait_for(run.id, "completed").output.status)
  end)

  it("that come while the runtime is dead are sent again", function()
    local run = checkout "HOOK-5"
    runtime:kill()
    pay(run)
    runtime:launch()
    testing.advance(sandbox, "2m")
    assert.equal("succeeded", runtime:wait_for(run.id, "completed").output.status)
  end)

  it("of a customer who never pays end in expiry", function()
    local run = checkout "HOOK-6"
    testing.advance(sandbox, "25h")
    run = runtime:wait_for(run.id, "failed")
    assert.equal("expired", run.error.kind)
  end)
end)
