-- The setting trusted-proxies: whom handlers see behind a proxy, and that no client can choose who it is.

local testing = require "mintage.testing"

local flow = [[
local guard = require "campaign.guard"
local web = require "mintage.web"
web.get("/who", { public = true }, function(req) return { json = { remote = req.remote, client = req.client } } end)
web.get("/guess", { public = true }, function(req) return guard.note(guard.network(req.client), true) and "shut" or "wrong" end)
]]

describe("behind proxies", function()
  after_each(testing.clean_up)

  local function serve(options)
    options.flows = testing.flows {
      ["who.lua"] = flow, ["campaign/guard.lua"] = testing.read "flows/campaign/guard.lua",
    }
    return testing.start("serve", options)
  end

  local function client(runtime, headers)
    local told = runtime:http("GET", "/who", nil, headers).json
    assert.equal("127.0.0.1", told.remote)
    return told.client
  end

  it("nobody is believed unless the setting names him", function()
    local headers = { ["X-Forwarded-For"] = "198.51.100.7", Forwarded = "for=198.51.100.7" }
    assert.equal("127.0.0.1", client(serve {}, headers))
    assert.equal("127.0.0.1", client(serve { trusted_proxies = "10.0.0.0/8" }, headers))
  end)

  it("a client is who the proxy says, whatever it says itself", function()
    local runtime = serve { trusted_proxies = "10.0.0.0/8 127.0.0.0/8" }
    assert.equal("127.0.0.1", client(runtime))
    assert.equal("198.51.100.7", client(runtime, { ["X-Forwarded-For"] = "198.51.100.7" }))
    assert.equal("198.51.100.7", client(runtime, { ["X-Forwarded-For"] = "1.1.1.1, 198.51.100.7, 10.1.2.3" }))
    assert.equal("2001:db8::7", client(runtime, { Forwarded = 'for=1.1.1.1, for="[2001:db8::7]:999";proto=https' }))
    assert.equal("127.0.0.1", client(runtime, { ["X-Forwarded-For"] = "198.51.100.7", Forwarded = "for=1.1.1.1" }))
  end)

  it("who guesses shuts out nobody else, and escapes by no header", function()
    local runtime = serve { trusted_proxies = "127.0.0.1" }
    local function guess(chain)
      return runtime:http("GET", "/guess", nil, { ["X-Forwarded-For"] = chain }).body
    end
    for i = 1, 10 do assert.equal("wrong", guess(("1.1.1.%d, 198.51.100.7"):format(i))) end
    assert.equal("shut", guess "1.1.1.99, 198.51.100.7")
    assert.equal("wrong", guess "198.51.100.7, 198.51.100.8")
    for i = 1, 10 do assert.equal("wrong", guess(("2001:db8:1:2::%x"):format(i))) end
    for _, same in ipairs { "2001:db8:1:2:ffff::1", "2001:db8:1:2:3:4:5:6" } do assert.equal("shut", guess(same)) end
    for _, other in ipairs { "2001:db8:1:3::1", "2001:db8::1:2", "::1:2", "2001:db8:1::2" } do
      assert.equal("wrong", guess(other))
    end
  end)

  it("a slip in the setting is refused at the start, by its name", function()
    local out = testing.run({ "serve", "--port=0", "--trusted-proxies=10.0.0.0/33", "--data=" .. testing.folder() })
    assert.equal(2, out.code)
    assert.matches("trusted-proxies: found \"10.0.0.0/33\"", out.err, 1, true)
  end)
end)
