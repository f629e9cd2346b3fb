-- Settings that scripts can see: part of the generation, so that runs in flight keep theirs; without secrets.

local testing = require "mintage.testing"
local json = testing.json

local flow = [[
local flow     = require "mintage.flow"
local settings = require "mintage.settings"

return flow.define {
  name = "reads",
  input = { wait = "boolean?", try = "string?" },
  run = function(input)
    local before = settings.limits and settings.limits.max
    if input.wait then flow.await("go", "on", { within = "1h" }) end
    if input.try == "write" then settings.limits = {} end
    if input.try == "nested" then settings.limits.max = 99 end
    local names = {}
    for name in pairs(settings) do names[#names + 1] = name end
    table.sort(names)
    return {
      before = before, after = settings.limits and settings.limits.max, names = table.concat(names, " "),
      all = settings(), none = settings.none == nil, list = settings.hosts and #settings.hosts,
    }
  end,
}
]]

describe("settings for scripts", function()
  local runtime, config

  local function configure(settings)
    testing.write(config, json.encode { settings = settings })
  end

  before_each(function()
    config = testing.folder() .. "/mintage.json"
    configure { limits = { max = 5, rate = 0.5 }, hosts = { "a", "b" }, name = "shop" }
    runtime = testing.start("serve", { flows = testing.flows { ["reads.lua"] = flow }, config = config })
  end)
  after_each(testing.clean_up)

  local function generations() return runtime:api("GET", "/v1/generations").json end
  local function completed(input) return runtime:wait_for(runtime:run("reads", input).id, "completed").output end

  it("are read, whole or by name, and cannot be changed", function()
    local seen = completed {}
    assert.equal(5, seen.after)
    assert.equal(2, seen.list)
    assert.equal("hosts limits name", seen.names)
    assert.is_true(seen.none)
    assert.same({ limits = { max = 5, rate = 0.5 }, hosts = { "a", "b" }, name = "shop" }, seen.all)
    assert.equal(5, completed({ try = "nested" }).after) -- it was a copy
    local run = runtime:wait_for(runtime:run("reads", { try = "write" }).id, "needs_attention")
    assert.matches("read%-only", run.error.message)
  end)

  it("belong to the generation: a run in flight keeps what it has seen", function()
    local before = generations().current
    local old = runtime:wait_for(runtime:run("reads", { wait = true }).id, "waiting")
    configure { limits = { max = 6 } }
    testing.wait_until(function() return generations().current ~= before end, "the new settings are loaded", 10000)
    assert.equal(6, completed({}).after)
    runtime:kill()
    runtime:launch()
    assert.equal(200, runtime:api("POST", "/v1/runs/" .. old.id .. "/signal", { topic = "go", key = "on" }).status)
    local seen = runtime:wait_for(old.id, "completed").output
    assert.equal(5, seen.before)
    assert.equal(5, seen.after)
    configure { limits = { max = 5, rate = 0.5 }, hosts = { "a", "b" }, name = "shop" }
    testing.wait_until(function() return generations().current == before end, "changed back, it is the same", 10000)
  end)

  it("that are wrong change nothing, and are told", function()
    local before = generations().current
    configure { limits = { api_key = "sk_live_1" } }
    local problem
    testing.wait_until(function()
      problem = generations().problem
      return problem and problem ~= json.null
    end, "the problem is told", 10000)
    assert.matches("settings%.limits%.api_key: this name is a secret's", problem.message)
    assert.is_nil(problem.message:find("sk_live_1", 1, true))
    assert.equal(before, generations().current)
    assert.equal(5, completed({}).after)
  end)

  it("are no mistake to mintage check, which has no configuration", function()
    local result = testing.run { "check", "--flows", testing.flows { ["reads.lua"] = flow } }
    assert.equal(0, result.code, result.out .. result.err)
    assert.is_nil(result.out:find("settings has", 1, true), result.out)
  end)

  it("keep the runtime from starting when they are wrong at first", function()
    for text, wanted in pairs {
      ['{"settings":{"password":"x"}}'] = "settings%.password: this name is a secret's",
      ['{"settings":[]}'] = "settings: wanted an object",
      ['{"settings":{"a":[{"b":null}]}}'] = "settings%.a%[1%]%.b: found null",
      ['{"settings":{"$money":"1 USD"}}'] = "may not be empty or begin with",
      ['{"setings":{}}'] = "setings.-settings",
    } do
      testing.write(config, text)
      local result = testing.run { "serve", "--config", config, "--data", testing.folder(), "--port", "0" }
      assert.equal(2, result.code, text)
      assert.matches(wanted, result.err)
    end
  end)
end)
