-- The checkout page of a run lets the providers' pages into a frame, and nobody else's.

local testing = require "mintage.testing"

local waits = [[
local flow = require "mintage.flow"
return flow.define {
  name = "waits",
  run = function() flow.sleep "1d" end,
}
]]

describe("the checkout page", function()
  teardown(testing.clean_up)

  it("names the providers in its policy before the run knows where it is paid", function()
    local runtime, sandbox = testing.pair { flows = testing.flows { ["waits.lua"] = waits } }
    local run = runtime:run("waits", {})
    local page = testing.http("GET", run.checkout_url)
    assert.equal(200, page.status)
    local policy = page.headers["content-security-policy"]
    assert.truthy(policy:find("frame-src " .. sandbox.url, 1, true), policy)
    assert.falsy(policy:find("frame-src *", 1, true))
  end)

  it("lets nobody in when no provider is configured", function()
    local runtime = testing.start("serve", { flows = testing.flows { ["waits.lua"] = waits } })
    local page = testing.http("GET", runtime:run("waits", {}).checkout_url)
    assert.truthy(page.headers["content-security-policy"]:find("frame-src 'none'", 1, true))
  end)
end)
