-- The emulated Paymint's callbacks, by the clock.

local testing = require "mintage.testing"
local json = testing.json

local PRO = { ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-MMK-Mode"] = "true" }
local ACKNOWLEDGED = '{"code":"0000","msg":"성공하였습니다."}'

describe("callbacks of Paymint", function()
  local sandbox, receiver, count

  before_each(function()
    receiver = testing.native.receiver()
    sandbox = testing.start("sandbox", { webhooks = "http://127.0.0.1:" .. receiver:port() })
    testing.wait_until(function() return sandbox:http("GET", "/_sandbox/endpoints").json.paymint end, "--webhooks is set")
    count = 0
  end)
  after_each(function()
    receiver:close()
    testing.clean_up()
  end)

  local function paid(more)
    local body = {
      product_nm = "x", message = "x", member_nm = "x", phone = "01012345678", price = 50000, expire_dt = "2099-01-01",
    }
    for name, value in pairs(more or {}) do body[name] = value end
    local id = sandbox:http("POST", "/paymint/request", body, PRO).json.bill_id
    assert.equal(200, sandbox:http("POST", "/_sandbox/pay", { bill_id = id }).status)
    return id
  end

  local function came(n) testing.wait_until(function() return receiver:count() >= n end, n .. " callbacks came") end
  local function state() return sandbox:http("GET", "/_sandbox/webhooks?provider=paymint").json.data[1].state end

  it("come hourly, 24 times, until they are acknowledged to the letter", function()
    receiver:answer(200, '{"code":"0000","msg":"OK"}')
    local id = paid()
    came(1)
    local sent = json.decode(receiver:requests()[1].body)
    assert.same({ id, "F", "50000" }, { sent.bill_id, sent.appr_state, sent.appr_price })
    assert.equal("/paymint", receiver:requests()[1].path)
    for _, body in ipairs { "", "OK", ACKNOWLEDGED .. "\n", (ACKNOWLEDGED:gsub(":", ": ")) } do
      count = receiver:count()
      receiver:answer(200, body)
      testing.advance(sandbox, "50m")
      assert.equal(count, receiver:count())
      testing.advance(sandbox, "11m")
      assert.equal(count + 1, receiver:count())
    end
    receiver:answer(200, ACKNOWLEDGED)
    testing.advance(sandbox, "1h")
    assert.equal("delivered", state())
    testing.advance(sandbox, "30h")
    assert.equal(6, receiver:count())
  end)

  it("end after a day", function()
    receiver:answer(500)
    paid()
    came(1)
    for _ = 1, 30 do testing.advance(sandbox, "61m") end
    assert.equal(25, receiver:count())
  end)

  it("tell of payments alone, where the request said", function()
    receiver:answer(200, ACKNOWLEDGED)
    local own = "http://127.0.0.1:" .. receiver:port() .. "/mine"
    local id = paid { callbackURL = own }
    came(1)
    assert.equal("/mine", receiver:requests()[1].path)
    local priced = { bill_id = id, price = 50000 }
    assert.equal("0000", sandbox:http("POST", "/paymint/cancel", priced, PRO).json.code)
    testing.advance(sandbox, "2h")
    assert.equal(1, receiver:count())
    -- Another machine's is recorded, never called.
    paid { callbackURL = "https://example.com/callback" }
    local listed = sandbox:http("GET", "/_sandbox/webhooks?provider=paymint").json.data
    local states = {}
    for _, event in ipairs(listed) do states[event.state] = true end
    assert.is_true(states.no_endpoint)
    assert.equal(1, receiver:count())
  end)
end)
