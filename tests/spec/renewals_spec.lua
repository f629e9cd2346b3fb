-- Renewals of a Mintro subscription: three months that pass at once are three renewals, and a delivery that is sent
-- again is none, whether the runtime shares the sandbox's clock or has its own.

local testing = require "mintage.testing"
local json = testing.json

local subscribe = [[
local flow   = require "mintage.flow"
local mintro = require "mintage.mintro"
local money  = require "mintage.money"

return flow.define {
  name = "subscribe",
  input = { reference = "string" },
  run = function(input)
    local intent = mintro.intents.create {
      reference_id = input.reference, amount = money "20.00 USD", intent_type = "recurring", interval_days = 30,
      email = "ann@example.com", name = "Ann", integration_type = "iframe",
      order_items = { { name = "Membership", quantity = 1, price = money "20.00 USD" } },
    }
    flow.progress { intent_id = intent.intent_id }
    return mintro.intents.settled(intent.intent_id, "1h")
  end,
}
]]

for _, clock in ipairs { "shared", "own" } do
  describe(("three months of a subscription, the runtime's clock being %s"):format(clock), function()
    local runtime, sandbox

    setup(function()
      local options = { flows = testing.flows { ["subscribe.lua"] = subscribe } }
      if clock == "shared" then
        runtime, sandbox = testing.pair(options)
      else
        sandbox = testing.start("sandbox", {})
        options.sandbox = sandbox.url
        runtime = testing.start("serve", options)
        testing.wait_until(function()
          return sandbox:http("GET", "/_sandbox/endpoints").json.mintro
        end, "the runtime has registered its webhooks")
      end
    end)
    teardown(testing.clean_up)

    local function renewals(intent)
      local list = {}
      for _, event in ipairs(runtime:api("GET", "/v1/events?limit=1000&topic=mintro.subscription").json.data) do
        if event.payload.event == "subscription.renewed" and event.payload.intent_id == intent then
          list[#list + 1] = event
        end
      end
      return list
    end

    it("are three events, and stay three however often they are sent", function()
      local reference = "SUB-" .. clock
      local run = runtime:wait_for(runtime:run("subscribe", { reference = reference }).id, "waiting")
      local intent = run.progress.intent_id
      local paid = sandbox:http("POST", "/_sandbox/pay", { intent_id = intent, card = "4242424242424242" })
      assert.equal(200, paid.status, paid.body)
      runtime:wait_for(run.id, "completed")
      testing.advance(sandbox, "91d")
      assert.equal(4, #sandbox:http("GET", "/_sandbox/ledger?reference=" .. reference).json.data)
      testing.wait_until(function() return #renewals(intent) >= 3 end, "the renewals have come", 10000)
      assert.equal(3, #renewals(intent))
      for _ = 1, 2 do
        for _, d in ipairs(sandbox:http("GET", "/_sandbox/webhooks?provider=mintro&event=subscription.renewed").json.data) do
          assert.equal(200, sandbox:http("POST", "/_sandbox/webhooks/" .. d.id .. "/redeliver").status)
        end
        testing.advance(sandbox, "25h") -- past midnight: they are the same all the same
      end
      assert.equal(3, #renewals(intent))
    end)

    it("arrive after the runtime was away", function()
      local reference = "AWAY-" .. clock
      local run = runtime:wait_for(runtime:run("subscribe", { reference = reference }).id, "waiting")
      local intent = run.progress.intent_id
      sandbox:http("POST", "/_sandbox/pay", { intent_id = intent, card = "4242424242424242" })
      runtime:wait_for(run.id, "completed")
      runtime:kill()
      testing.advance(sandbox, "91d")
      runtime:launch()
      for _, d in ipairs(sandbox:http("GET", "/_sandbox/webhooks?provider=mintro&event=subscription.renewed").json.data) do
        if json.encode(d.body):find(intent, 1, true) then
          assert.equal(200, sandbox:http("POST", "/_sandbox/webhooks/" .. d.id .. "/redeliver").status)
        end
      end
      testing.wait_until(function() return #renewals(intent) >= 3 end, "the renewals have come", 10000)
      assert.equal(3, #renewals(intent))
    end)
  end)
end
