-- Runs that sleep are rows: thousands of them cost no memory, survive kill -9, do not hold up a start, and all wake.

local testing = require "mintage.testing"
local support = dofile((debug.getinfo(1, "S").source:match "^@(.*/)" or "./") .. "scale_support.lua")

local RUNS = support.size(2000, 10000)
local GROWTH_KIB = 8 * 1024
local READY_MS = 200

local sleeper = [[
local flow = require "mintage.flow"
return flow.define {
  name = "sleeper",
  input = { n = "integer", pause = "string" },
  run = function(input)
    flow.sleep(input.pause)
    return { n = input.n }
  end,
}
]]

describe(("%d runs asleep for 30 days"):format(RUNS), function()
  after_each(testing.clean_up)

  it("cost no memory, survive kill -9, hold up no start, and all complete when their time comes", function()
    local runtime, sandbox = testing.pair { flows = testing.flows { ["sleeper.lua"] = sleeper } }
    local pid = runtime.process:pid()

    local function start(n, pause)
      return support.start_runs(runtime, "sleeper", n, { input = function(i) return { n = i, pause = pause } end })
    end

    local warm = 0
    local before = support.warm_up(pid, function()
      start(2000, "1ms")
      warm = warm + 2000
      support.wait_for_state(runtime, "completed", warm)
    end)
    local from = testing.now_ms()
    local ids = start(RUNS, "30d")
    support.wait_for_state(runtime, "sleeping", RUNS)
    local after = support.memory(pid)
    support.say("%d runs fell asleep in %.1f s; RSS %.1f MiB before, %.1f MiB after (%+.1f)", RUNS,
      (testing.now_ms() - from) / 1000, before / 1024, after / 1024, (after - before) / 1024)
    assert.is_true(after - before < GROWTH_KIB, ("RSS grew by %d KiB"):format(after - before))

    local ready = {}
    repeat -- the machine may be busy with something else: three chances
      runtime:kill()
      ready[#ready + 1] = support.launch(runtime)
    until ready[#ready] < READY_MS or #ready == 3
    support.say("ready %s ms after kill -9 and restart, RSS %.1f MiB", table.concat(ready, ", "),
      support.memory(runtime.process:pid()) / 1024)
    assert.is_true(ready[#ready] < READY_MS, ("/readyz answered after %s ms"):format(table.concat(ready, ", ")))
    assert.equal(RUNS, support.states(runtime).sleeping)

    testing.advance(sandbox, "29d")
    assert.equal(RUNS, support.states(runtime).sleeping)
    from = testing.now_ms()
    testing.advance(sandbox, "1d")
    support.wait_for_state(runtime, "completed", warm + RUNS, 120000)
    support.say("all awake and complete %.1f s after the clock moved; RSS %.1f MiB", (testing.now_ms() - from) / 1000,
      support.memory(runtime.process:pid()) / 1024)
    for i = 1, RUNS, 97 do assert.same({ n = i }, runtime:get_run(ids[i]).output) end
  end)

  it("wake in mintage dev too, which has started the runtime again", function()
    local data = testing.folder()
    local log = data .. "/dev.log"
    local dev = testing.native.spawn({
      testing.program, "dev", "--port=0", "--sandbox-port=0", "--data=" .. data,
      "--flows=" .. testing.flows { ["sleeper.lua"] = sleeper }, "--log-format=json",
    }, { out = log, err = log })
    finally(function() dev:close() end)
    testing.wait_until(function() return testing.read(log):find "Mintage is running" end, "both are ready", 20000)
    local runtime = {
      url = testing.read(log):match "API%s+(http://[%d.:]+)/v1",
      token = testing.read(data .. "/admin-token"):match "%S+",
    }
    local sandbox = testing.read(log):match "Sandbox%s+(http://[%d.:]+)/"
    support.start_runs(runtime, "sleeper", 300, { input = function(i) return { n = i, pause = "30d" } end })
    support.wait_for_state(runtime, "sleeping", 300)

    local function serve()
      local pid = dev:pid()
      for child in testing.read(("/proc/%d/task/%d/children"):format(pid, pid)):gmatch "%d+" do
        if testing.read("/proc/" .. child .. "/cmdline"):find("\0serve\0", 1, true) then return tonumber(child) end
      end
    end
    local first = serve()
    testing.native.kill(first, 9)
    testing.wait_until(function()
      local pid = serve()
      local response = pid and pid ~= first and testing.http("GET", runtime.url .. "/readyz")
      return response and response.status == 200
    end, "the runtime is there again")
    assert.equal(300, support.states(runtime).sleeping)
    assert.equal(200, testing.http("POST", sandbox .. "/_sandbox/clock", { advance = "30d" }).status)
    support.wait_for_state(runtime, "completed", 300)
  end)
end)
