-- Runs that have ended leave nothing behind in the process: memory and descriptors stay where they were.

local testing = require "mintage.testing"
local support = dofile((debug.getinfo(1, "S").source:match "^@(.*/)" or "./") .. "scale_support.lua")

local RUNS = support.size(3000, 20000)
local GROWTH_KIB = 8 * 1024
local GROWTH_FDS = 16 -- connections of this client and to the target, in whatever state they are

local short = [[
local flow = require "mintage.flow"
local http = require "mintage.http"
return flow.define {
  name = "short",
  input = { n = "integer", url = "url" },
  run = function(input)
    local answer = http.post { url = input.url, json = { n = input.n }, idempotency_key = flow.key() }
    flow.progress { status = answer.status }
    if input.n % 10 == 0 then flow.sleep "1ms" end
    if input.n % 100 == 0 then flow.fail "unlucky" end
    return { n = input.n }
  end,
}
]]

describe(("%d short runs"):format(RUNS), function()
  local target

  setup(function() target = testing.native.receiver() end)
  teardown(function()
    target:close()
    testing.clean_up()
  end)

  it("leave memory and descriptors as they were", function()
    local runtime = testing.start("serve", { flows = testing.flows { ["short.lua"] = short } })
    local pid = runtime.process:pid()
    local url = ("http://127.0.0.1:%d/"):format(target:port())
    local function go(n, prefix)
      support.start_runs(runtime, "short", n, {
        query = "?wait=30s",
        input = function(i) return { n = i, url = url } end,
        key = function(i) return prefix .. i end,
      })
    end

    local warm = 0
    local memory = support.warm_up(pid, function()
      warm = warm + 2000
      go(2000, warm .. "-")
    end)
    local fds, threads = support.fds(pid), support.memory(pid, "Threads")
    local from = testing.now_ms()
    go(RUNS, "n-")
    local seconds = (testing.now_ms() - from) / 1000
    local grown, more_fds = support.memory(pid) - memory, support.fds(pid) - fds
    support.say("%d runs in %.1f s; RSS %.1f MiB before, %.1f after (%+.1f); descriptors %d before, %d after", RUNS, seconds,
      memory / 1024, (memory + grown) / 1024, grown / 1024, fds, fds + more_fds)
    assert.is_true(grown < GROWTH_KIB, ("RSS grew by %d KiB"):format(grown))
    assert.is_true(more_fds <= GROWTH_FDS, ("%d more descriptors"):format(more_fds))
    assert.equal(threads, support.memory(pid, "Threads"))
    local states = support.states(runtime)
    assert.equal(warm + RUNS, states.completed + states.failed)
    assert.equal((warm + RUNS) // 100, states.failed)
  end)
end)
