-- The sandbox's control routes that are the program's own: clock, state, webhooks; and where it may listen.

local testing = require "mintage.testing"
local json = testing.json

local credentials = { ["X-Client-ID"] = "mintro_test_client", ["X-Client-Secret"] = "mintro_test_secret" }

describe("mintage sandbox", function()
  local sandbox, receiver

  before_each(function()
    receiver = testing.native.receiver()
    sandbox = testing.start("sandbox", { webhooks = "http://127.0.0.1:" .. receiver:port() .. "/hooks" })
    testing.wait_until(function() return sandbox:http("GET", "/_sandbox/endpoints").json.mintro end, "--webhooks is set")
  end)
  after_each(function()
    receiver:close()
    testing.clean_up()
  end)

  local function intent(reference)
    local response = sandbox:http("POST", "/api/platform/intents", {
      amount = 80, currency = "USD", intent_type = "one_time", email = "a@example.com", name = "A", reference_id = reference,
      order_items = json.array { { name = "x", quantity = 1, price = 80 } }, integration_type = "url",
      success_url = "https://example.com/ok", cancel_url = "https://example.com/no",
    }, credentials)
    assert.is_true(response.status < 300, response.body)
    return response.json.data.intent_id
  end

  local function pay(id)
    return sandbox:http("POST", "/_sandbox/pay", { intent_id = id, card = "4242424242424242" })
  end

  it("listens on loopback only", function()
    for _, host in ipairs { "0.0.0.0", "192.0.2.1" } do
      local result = testing.run { "sandbox", "--port", "0", "--host", host, "--data", testing.folder() }
      assert.equal(2, result.code)
      assert.matches("loopback", result.err)
    end
  end)

  it("moves its clock forward, never back, and keeps it over a restart", function()
    local function now() return sandbox:http("GET", "/_sandbox/clock").json.now end
    local before = now()
    assert.is_true(testing.advance(sandbox, "30d") > before)
    for _, body in ipairs {
      { advance = "-1d" }, { advance = "soon" }, { advance = true }, {}, { advance = "20000d" }, { advanc = "1d" },
    } do
      assert.equal(422, sandbox:http("POST", "/_sandbox/clock", body).status, json.encode(body))
    end
    local later = now()
    sandbox:kill()
    sandbox:launch()
    assert.is_true(now() >= later)
  end)

  it("sends webhooks, lists them, and sends them again", function()
    local id = intent "SB-1"
    assert.equal(200, pay(id).status)
    testing.wait_until(function() return #receiver:requests() == 1 end, "the webhook came")
    assert.equal("/hooks/mintro", receiver:requests()[1].path)
    local listed = sandbox:http("GET", "/_sandbox/webhooks?provider=mintro&event=payment.succeeded").json.data
    assert.equal(1, #listed)
    assert.equal(id, listed[1].body.data.intent_id)
    testing.wait_until(function()
      return sandbox:http("GET", "/_sandbox/webhooks").json.data[1].state == "delivered"
    end, "it is delivered")
    assert.equal(200, sandbox:http("POST", "/_sandbox/webhooks/" .. listed[1].id .. "/redeliver").status)
    testing.wait_until(function() return #receiver:requests() == 2 end, "it came again")
    assert.equal(receiver:requests()[1].body, receiver:requests()[2].body)
    assert.equal(0, #sandbox:http("GET", "/_sandbox/webhooks?provider=paymnt").json.data)
    assert.equal(404, sandbox:http("POST", "/_sandbox/webhooks/none/redeliver").status)
  end)

  it("tries failed webhooks again as time goes by", function()
    receiver:answer(500)
    assert.equal(200, pay(intent "SB-2").status)
    testing.wait_until(function() return #receiver:requests() >= 1 end, "the first attempt")
    receiver:answer(200)
    testing.advance(sandbox, "2m")
    assert.equal(2, #receiver:requests())
    assert.equal("delivered", sandbox:http("GET", "/_sandbox/webhooks").json.data[1].state)
  end)

  it("forgets everything but where webhooks go", function()
    pay(intent "SB-3")
    assert.equal(204, sandbox:http("DELETE", "/_sandbox/state").status)
    assert.equal(0, #sandbox:http("GET", "/_sandbox/ledger").json.data)
    assert.equal(0, #sandbox:http("GET", "/_sandbox/webhooks").json.data)
    assert.equal(0, #sandbox:http("GET", "/_sandbox/requests").json.data)
    assert.matches("/hooks/mintro$", sandbox:http("GET", "/_sandbox/endpoints").json.mintro)
    assert.equal(200, pay(intent "SB-3").status)
  end)
end)
