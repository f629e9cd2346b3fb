-- Many connections: a soft limit of descriptors, as shells hand it on, is none; and whoever uses up the hard one with connections
-- only keeps others waiting.

local testing = require "mintage.testing"
local support = dofile((debug.getinfo(1, "S").source:match "^@(.*/)" or "./") .. "scale_support.lua")
local json, native = testing.json, testing.native

local flow = [[
local flow = require "mintage.flow"
return flow.define { name = "nap", input = { n = "integer" }, run = function(input) flow.sleep "300ms" return { n = input.n } end }
]]

describe("a runtime that was started with few descriptors", function()
  local program = testing.program

  after_each(function()
    testing.program = program
    testing.clean_up()
  end)

  local function start(limit)
    local script = testing.folder() .. "/mintage"
    testing.write(script, ("#!/bin/sh\nulimit %s\nexec '%s' \"$@\"\n"):format(limit, program))
    os.execute("chmod +x " .. script)
    testing.program = script
    return testing.start("serve", { flows = testing.flows { ["nap.lua"] = flow } })
  end

  local function naps(runtime, n)
    local requests = {}
    for i = 1, n do requests[i] = support.request(runtime, "POST", "/v1/flows/nap/runs?wait=20s", { n = i }) end
    return native.requests(requests)
  end

  it("raises the soft limit itself", function()
    local runtime = start "-Sn 100"
    for i, response in ipairs(naps(runtime, 300)) do
      assert.is_table(response, "request " .. i .. " got no answer")
      assert.equal(201, response.status, response.body)
    end
    support.wait_for_state(runtime, "completed", 300)
  end)

  it("survives using up the hard one", function()
    local runtime = start "-n 100"
    local accepted = 0
    for i, response in ipairs(naps(runtime, 150)) do
      local run = response and response.status == 201 and json.decode(response.body)
      if run then
        accepted = accepted + 1
        assert.equal(i, run.input.n)
      end
    end
    support.say("with 100 descriptors: %d of 150 requests at once were answered", accepted)
    testing.wait_until(function()
      local states = support.states(runtime)
      return (states.completed or 0) >= accepted and (states.sleeping or 0) + (states.running or 0) + (states.queued or 0) == 0
    end, "what was accepted is completed", 20000)
    assert.equal(201, naps(runtime, 1)[1].status)
    assert.is_true(#testing.read(runtime.log) < 1024 * 1024, "the log is no flood")
    assert.equal(200, runtime:http("GET", "/readyz").status)
  end)
end)
