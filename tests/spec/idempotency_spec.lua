-- Idempotency-Key at the two providers that document it, Mintro and Paymnt (in both dialects of its errors): the same rules are
-- tried at each, directly; and a flow whose first request is "still under way" does the thing once.

local testing = require "mintage.testing"
local json = testing.json

local count = 0
local function fresh()
  count = count + 1
  return "IDEM-" .. count
end

local mintro = {
  name = "mintro", path = "/api/platform/intents", operation = "intents.create",
  who = { ["X-Client-ID"] = "mintro_test_client", ["X-Client-Secret"] = "mintro_test_secret" },
  body = function(reference)
    return {
      amount = 80, currency = "USD", intent_type = "one_time", email = "a@example.com", name = "John Doe",
      reference_id = reference, integration_type = "iframe", order_items = { { name = "x", quantity = 1, price = 80 } },
    }
  end,
  wrong = function(body) body.email = nil end,
  invalid = 422,
  mismatch = function(error) return error.message, error.success end,
  in_flight = function(error) return error.message end,
}

local function paymnt(dialect)
  return {
    name = "paymnt", path = "/payments", operation = "payments.create",
    who = { ["api-key"] = "sk_sandbox_mintage", ["X-Sandbox-Dialect"] = dialect },
    body = function(reference) return { payment_id = reference, amount = 1000, currency = "USD" } end,
    wrong = function(body) body.amount = nil end,
    invalid = 400,
    mismatch = function(error)
      assert.equal(dialect == "documented" and "unprocessable_entity" or "invalid_request", error.error.type)
      return error.error.message, false
    end,
    in_flight = function(error)
      assert.equal("conflict", error.error.type)
      return error.error.message
    end,
  }
end

local create = [[
local flow = require "mintage.flow"
local mintro = require "mintage.mintro"
local paymnt = require "mintage.paymnt"
return flow.define {
  name = "create",
  input = { provider = "string", reference = "string", amount = "money" },
  run = function(input)
    if input.provider == "paymnt" then
      return { status = paymnt.payments.create { payment_id = input.reference, amount = input.amount }.status }
    end
    return { status = mintro.intents.create {
      amount = input.amount, email = "a@example.com", name = "x", reference_id = input.reference, integration_type = "iframe",
      order_items = { { name = "x", quantity = 1, price = input.amount } },
    }.status }
  end,
}
]]

describe("Idempotency-Key", function()
  local runtime, sandbox

  setup(function() runtime, sandbox = testing.pair { flows = testing.flows { ["create.lua"] = create } } end)
  teardown(testing.clean_up)

  for title, provider in pairs { Mintro = mintro, Paymnt = paymnt(), ["Paymnt, as documented,"] = paymnt "documented" } do
    local function send(body, key, more)
      local headers = { ["Idempotency-Key"] = key }
      for _, group in ipairs { provider.who, more or {} } do
        for name, value in pairs(group) do headers[name] = value end
      end
      return assert(sandbox:http("POST", provider.path, body, headers))
    end

    describe("of " .. title, function()
      it("gives the same answer again, whether the key is quoted or not", function()
        local body, key = provider.body(fresh()), fresh()
        local first = send(body, key)
        assert.equal(200, first.status, first.body)
        assert.is_nil(first.headers["idempotent-replayed"])
        for _, again in ipairs { key, '"' .. key .. '"' } do
          local second = send(body, again)
          assert.same({ 200, first.body, "true" }, { second.status, second.body, second.headers["idempotent-replayed"] })
        end
      end)

      it("refuses another body", function()
        local body, key = provider.body(fresh()), fresh()
        assert.equal(200, send(body, key).status)
        body.amount = body.amount + 1
        local other = send(body, key)
        assert.equal(422, other.status, other.body)
        local message, success = provider.mismatch(other.json)
        assert.same({ "This Idempotency-Key was used with another request body.", false }, { message, success })
      end)

      it("forgets refusals and failures, and everything after a day", function()
        local body, key = provider.body(fresh()), fresh()
        provider.wrong(body)
        assert.equal(provider.invalid, send(body, key).status)
        body = provider.body(fresh())
        assert.equal(500, send(body, key, { ["X-Sandbox-Fault"] = "error=500" }).status)
        assert.equal(200, send(body, key).status)
        testing.advance(sandbox, "23h")
        assert.equal("true", send(body, key).headers["idempotent-replayed"])
        testing.advance(sandbox, "2h")
        local later = send(provider.body(fresh()), key)
        assert.same({ 200, nil }, { later.status, later.headers["idempotent-replayed"] })
      end)

      it("lets one of fifty at once through", function()
        local body, list = provider.body(fresh()), {}
        local headers = { ["Idempotency-Key"] = fresh(), ["Content-Type"] = "application/json" }
        for name, value in pairs(provider.who) do headers[name] = value end
        for i = 1, 50 do
          list[i] = { method = "POST", url = sandbox.url .. provider.path, headers = headers, body = json.encode(body) }
        end
        local bodies, replayed = {}, 0
        for _, response in ipairs(testing.native.requests(list)) do
          assert.equal(200, response.status, response.body)
          bodies[response.body] = true
          if response.headers["idempotent-replayed"] then replayed = replayed + 1 end
        end
        assert.equal(49, replayed)
        assert.is_nil(next(bodies, (next(bodies))))
      end)

      it("says that the first request is under way, and when to ask again", function()
        local busy = send(provider.body(fresh()), fresh(), { ["X-Sandbox-Fault"] = "error=409" })
        assert.same({ 409, "1" }, { busy.status, busy.headers["retry-after"] })
        assert.matches("^The first request with this Idempotency%-Key is still under way", provider.in_flight(busy.json))
      end)
    end)
  end

  for _, provider in ipairs { mintro, paymnt() } do
    for _, fault in ipairs { "error=409", "drop_response", "error=429" } do
      it(("of a flow stays the same after %s of %s"):format(fault, provider.name), function()
        local reference = fresh()
        assert.equal(201, sandbox:http("POST", "/_sandbox/faults", {
          match = { provider = provider.name, operation = provider.operation }, fault = fault,
        }).status)
        local run = runtime:run("create", { provider = provider.name, reference = reference, amount = "80.00 USD" })
        testing.wait_until(function()
          run = runtime:get_run(run.id)
          if run.state == "waiting" then testing.advance(sandbox, "5s") end
          return run.state == "completed"
        end, "the run has ended")
        local keys = {}
        for i, request in ipairs(sandbox:http("GET", "/_sandbox/requests?reference=" .. reference).json.data) do
          keys[i] = request.headers["idempotency-key"]
        end
        assert.equal(2, #keys)
        -- A refusal that leaves nothing in doubt begins anew; anything else is the same request.
        assert.equal(fault ~= "error=429", keys[1] == keys[2])
      end)
    end
  end
end)
