-- The README's flow works as it stands there: cut out, started as the README starts it, paid, done.

local testing = require "mintage.testing"
local json = testing.json

describe("the README", function()
  teardown(testing.clean_up)

  it("shows a flow that works as pasted", function()
    local readme = testing.read("README.md")
    local flow, input = readme:match("```lua\n(.-)```"), readme:match("mintage run tip '(.-)'")
    local runtime, sandbox = testing.pair { flows = testing.flows { ["tip.lua"] = flow } }
    local started = runtime:run("tip", json.decode(input), { key = "TIP-1" })
    local waiting = runtime:wait_for(started.id, "waiting")
    assert.matches("/pay/", waiting.progress.payment_url)
    local intent = sandbox:http("GET", "/_sandbox/state").body:match("pi_[%x-]+")
    assert.equal(200, sandbox:http("POST", "/_sandbox/pay", { intent_id = intent, card = "4242424242424242" }).status)
    local run = runtime:wait_for(started.id, "completed")
    assert.equal("succeeded", run.output.status)
  end)

  it("shows a story of it that holds wherever the runtime dies", function()
    local readme = testing.read("README.md")
    local blocks = {}
    for block in readme:gmatch "```lua\n(.-)```" do blocks[#blocks + 1] = block end
    local dir = testing.flows { ["flows/tip.lua"] = blocks[1], ["specs/tip_spec.lua"] = blocks[2] }
    local result = testing.run({ "test", "specs", "--crash", "--faults", "5" }, { dir = dir })
    assert.equal(0, result.code, result.out .. result.err)
    assert.matches("3 successes / 0 failures / 0 errors", result.out, 1, true)
  end)

  it("names only commands that exist", function()
    local readme = testing.read("README.md")
    local help = testing.run({ "help" }).out
    for command in readme:gmatch("build/mintage (%l+)") do assert.matches("%f[%w]" .. command .. "%f[%W]", help) end
  end)
end)
