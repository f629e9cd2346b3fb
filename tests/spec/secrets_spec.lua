-- Secrets stay where they belong: not in logs, not in what the API shows, not in the store in the clear.

local testing = require "mintage.testing"
local json = testing.json
local lfs = require "lfs"

local CARD = "4242424242424242"
local SECRET = "mintro_test_secret"

describe("secrets", function()
  local runtime, sandbox, shown

  setup(function()
    runtime, sandbox = testing.pair { flows = "flows", log_level = "debug" }
    local run = runtime:run("checkout", {
      reference = "SECRET-1", amount = "80.00 USD", email = "ann@example.com", name = "Ann",
      items = json.array { { name = "Coffee", quantity = 1, price = "80.00 USD" } },
    }, { key = "SECRET-1" })
    run = runtime:wait_for(run.id, "waiting")
    sandbox:http("POST", "/_sandbox/pay", { intent_id = run.progress.intent_id, card = CARD, cvc = "987" })
    runtime:wait_for(run.id, "completed")
    runtime:http("GET", "/v1/runs", nil, { Authorization = "Bearer wrong-token-of-somebody" })
    shown = {}
    for _, path in ipairs {
      "/v1/runs", "/v1/runs/" .. run.id, "/v1/runs/" .. run.id .. "/journal", "/v1/events", "/v1/providers", "/v1/generations",
      "/v1/flows", "/metrics",
    } do
      shown[path] = runtime:api("GET", path).body
    end
    shown["the runtime's log"] = testing.read(runtime.log)
    shown["the sandbox's log"] = testing.read(sandbox.log)
    shown["the sandbox's requests"] = sandbox:http("GET", "/_sandbox/requests").body
    shown["the story"] = testing.run({ "runs", "show", run.id, "--url", runtime.url, "--data", runtime.data }).out
  end)
  teardown(testing.clean_up)

  local function nowhere(secret, name)
    for where, text in pairs(shown) do assert.is_nil(text:find(secret, 1, true), name .. " stands in " .. where) end
  end

  it("of providers are shown nowhere", function() nowhere(SECRET, "the client secret") end)
  it("of the runtime are shown nowhere", function()
    nowhere(runtime.token, "the admin token")
    nowhere("wrong-token-of-somebody", "a wrong token")
  end)
  it("of cards are shown nowhere", function() nowhere(CARD, "the card's number") end)

  it("are not in the store in the clear", function()
    runtime:stop()
    sandbox:stop()
    local function search(dir)
      for name in lfs.dir(dir) do
        local path = dir .. "/" .. name
        if name ~= "." and name ~= ".." and lfs.attributes(path, "mode") == "directory" then
          search(path)
        elseif name:find "^mintage%.db" then
          local bytes = testing.read(path)
          assert.is_nil(bytes:find(runtime.token, 1, true), "the admin token stands in " .. path)
          assert.is_nil(bytes:find(SECRET, 1, true), "the client secret stands in " .. path)
          assert.is_nil(bytes:find(CARD, 1, true), "the card's number stands in " .. path)
        end
      end
    end
    search(runtime.data) -- the sandbox's keeps its own scripts, with the list of test cards and credentials in them
  end)
end)
