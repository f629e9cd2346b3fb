-- mintage test --crash and --faults, from outside: they find what is wrong with a flow that looks right, make it small,
-- print what repeats it, and say so in every form of output.

local testing = require "mintage.testing"
local json = testing.json

-- A bank that counts; the flow is careless when it makes a key of its own for each attempt.
local HEAD = [[
local world = require "mintage.world"
local flows = { ["pay.lua"] = %q }
local calls = {}

describe("a payment", function()
  local w, run
  before_each(function()
    w = world.new { flows = flows }
    calls = {}
    w:serve("https://bank.example", function(req)
      calls[#calls + 1] = req.headers["idempotency-key"] or "none"
      return { json = { n = #calls } }
    end)
    run = w:start "pay"
  end)
]]

local PAY = [[
local flow = require "mintage.flow"
local http = require "mintage.http"
return flow.define { name = "pay", run = function()
  http.post { url = "https://bank.example/charge", json = { amount = 5 }, idempotency_key = "order-1" }
  flow.sleep "1d"
  return "paid"
end }
]]

local CAREFUL = HEAD:format(PAY) .. [[
  it("is made with one key", function()
    assert.completed(run:wait "2d")
    for _, key in ipairs(calls) do assert.equal("order-1", key) end
  end)
end)
]]

-- Wrong of the spec: a call that was under way when the runtime died is made again.
local CARELESS = HEAD:format(PAY) .. [[
  it("is made once", function()
    assert.completed(run:wait "2d")
    assert.equal(1, #calls)
  end)
end)
]]

describe("mintage test", function()
  local dir

  setup(function()
    dir = testing.folder()
    testing.write(dir .. "/careful_spec.lua", CAREFUL)
    testing.write(dir .. "/careless_spec.lua", CARELESS)
  end)
  teardown(testing.clean_up)

  local function run(spec, ...)
    return testing.run({ "test", dir .. "/" .. spec .. "_spec.lua", ... }, { timeout_ms = 240000 })
  end

  it("--crash passes what holds, and counts", function()
    local result = run("careful", "--crash")
    assert.equal(0, result.code, result.out .. result.err)
    local points = tonumber(result.err:match "careful_spec: 1 spec, (%d+) crash points, 0 failed")
    assert.is_true(points ~= nil and points > 20, result.err)
    assert.matches("2 successes / 0 failures / 0 errors", result.out, 1, true)
  end)

  it("--crash names the instant, tells the story, and prints what repeats it", function()
    local result = run("careless", "--crash")
    assert.equal(1, result.code)
    assert.matches("is made once, dying at each of %d+ points", result.out)
    assert.matches("the runtime dies at point %d+: sent POST /charge", result.out)
    assert.matches("calls http.post", result.out, 1, true)
    local filter, plan = result.out:match "mintage test %S+ %-%-filter='([^\n]-)' %-%-replay='(disk=empty p%d+)'"
    assert.is_string(plan, result.out)
    local again = run("careless", "--filter", filter, "--replay", plan)
    assert.equal(1, again.code)
    assert.matches("THE RUNTIME DIES: sent POST /charge", again.out, 1, true)
    assert.equal(0, run("careless", "--filter", filter, "--replay", "disk=empty p22").code)
    assert.equal(0, run("careless").code)
  end)

  it("--faults finds it too, and leaves out what does not matter", function()
    local result = run("careless", "--faults", "80", "--seed", "3")
    assert.equal(1, result.code, result.out)
    local mishaps = result.out:match "The fewest mishaps: ([^\n]+)"
    assert.is_string(mishaps, result.out)
    assert.is_true(select(2, mishaps:gsub("%S+", "")) <= 2, mishaps)
    local plan = result.out:match "%-%-replay='(seed=[^']+)'"
    assert.equal(1, run("careless", "--replay", plan).code)
    assert.equal(result.out:gsub("[%d.]+ seconds", ""),
      (run("careless", "--faults", "80", "--seed", "3").out:gsub("[%d.]+ seconds", "")))
  end)

  it("--crash-pairs kills it twice", function()
    testing.write(dir .. "/short_spec.lua", [[
      local world = require "mintage.world"
      it("opens", function() world.new { flows = { ["a.lua"] = "" } } end)
    ]])
    local result = run("short", "--crash-pairs", "--json")
    assert.equal(0, result.code, result.out)
    assert.matches("opens, dying twice, at each of %d%d+ pairs", result.out)
    testing.write(dir .. "/twice_spec.lua", [[
      local world = require "mintage.world"
      for i = 1, 2 do it("opens " .. i, function() world.new { flows = { ["a.lua"] = "" } } end) end
    ]])
    result = run("twice", "--crash", "--json") -- the second leaves the first start to the first
    assert.matches("opens 1, dying at each of %d%d points", result.out)
    assert.is_nil(result.out:find("opens 2, dying", 1, true))
  end)

  it("--json and --junit tell of both", function()
    local told = json.decode(run("careless", "--crash", "--json").out)
    assert.equal(1, told.successes)
    assert.equal(1, told.failures)
    assert.equal("a payment is made once", told.tests[1].name)
    assert.equal("failure", told.tests[2].status)
    assert.matches("%-%-replay='disk=empty p%d+'", told.tests[2].message)
    local file = dir .. "/out.xml"
    assert.equal(1, run("careless", "--crash", "--junit", file).code)
    assert.matches("<failure>", testing.read(file), 1, true)
  end)

  it("a child that dies or never ends is a failure, with what its world did last", function()
    testing.write(dir .. "/hangs_spec.lua", HEAD:format(PAY) .. [[
      it("hangs", function()
        assert.completed(run:wait "2d")
        if w:log():find "point 20, THE RUNTIME" then repeat until false end
        if w:log():find "point 21, THE RUNTIME" then os.execute "kill -SEGV $PPID" end
      end)
    end)
    ]])
    local result = run("hangs", "--crash", "--deadline", "3s")
    assert.equal(1, result.code, result.out .. result.err)
    assert.matches("2 of %d+ fail", result.out)
    assert.matches("it did not end in time", result.out, 1, true)
    assert.matches("point 20, THE RUNTIME DIES", result.out, 1, true)
    assert.matches("disk=empty p21  point 21", result.out, 1, true)
  end)

  it("wrong usage exits with 2", function()
    assert.equal(2, run("careful", "--crsh").code)
    assert.equal(2, run("careful", "--faults", "-1").code)
    assert.equal(2, run("careful", "--", "--no-such-flag").code)
    local help = testing.run { "test", "--help" }
    assert.equal(0, help.code)
    for _, option in ipairs { "crash", "faults", "seed", "replay", "loss", "junit", "json", "jobs", "deadline" } do
      assert.matches("--" .. option, help.out, 1, true)
    end
  end)

  it("goes the same way in two processes", function()
    testing.write(dir .. "/log_spec.lua", HEAD:format(PAY) .. [[
      it("writes its log", function()
        run:wait "2d"
        local file = assert(io.open(os.getenv "LOG_FILE", "w"))
        file:write(w:log())
        file:close()
      end)
    end)
    ]])
    local logs = {}
    for i = 1, 2 do
      local file = dir .. "/log" .. i
      local result = testing.run({ "test", dir .. "/log_spec.lua", "--replay", "seed=5 n2:cut p16" },
        { env = { "LOG_FILE=" .. file } })
      assert.equal(0, result.code, result.out)
      logs[i] = testing.read(file)
    end
    assert.equal(logs[1], logs[2])
    assert.matches("n2:cut", logs[1], 1, true)
    assert.matches("THE RUNTIME DIES", logs[1], 1, true)
  end)

  it("a world outside of a test is refused", function()
    testing.write(dir .. "/outside_spec.lua", [[
      local world = require "mintage.world"
      describe("x", function() setup(function() world.new() end) it("y", function() end) end)
    ]])
    assert.matches("open a world in a test or in before_each", run("outside").out, 1, true)
  end)
end)
