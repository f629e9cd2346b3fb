-- The clock jumps: by years, again and again, while runs sleep, wait and call, and while the runtime is dead. Nothing is skipped,
-- nothing happens twice, and no run sees time go backwards.

local testing = require "mintage.testing"
local support = dofile((debug.getinfo(1, "S").source:match "^@(.*/)" or "./") .. "scale_support.lua")
local json = testing.json

local RUNS = support.size(200, 1000)

local flows = {
  ["napper.lua"] = [[
local flow = require "mintage.flow"
return flow.define {
  name = "napper",
  input = { pauses = { "string" } },
  run = function(input)
    local last, seen = flow.now(), 0
    for _, pause in ipairs(input.pauses) do
      flow.sleep(pause)
      if flow.now() < last then flow.fail "backwards" end
      last, seen = flow.now(), seen + 1
    end
    return { naps = seen }
  end,
}
]],
  ["waiter.lua"] = [[
local flow = require "mintage.flow"
return flow.define {
  name = "waiter",
  input = { key = "string", within = "string" },
  run = function(input)
    local got = flow.await("news", input.key, { within = input.within })
    return { got = got or "nothing" }
  end,
}
]],
  ["caller.lua"] = [[
local flow = require "mintage.flow"
local http = require "mintage.http"
return flow.define {
  name = "caller",
  input = { url = "url" },
  run = function(input)
    local answer = http.post { url = input.url, body = "pay", idempotency_key = flow.key(), timeout_ms = 60000 }
    return { status = answer.status }
  end,
}
]],
}

describe("a clock that jumps", function()
  local runtime, sandbox, target

  before_each(function()
    target = testing.native.receiver()
    runtime, sandbox = testing.pair { flows = testing.flows(flows), retain = "forever" } -- over years, too
  end)
  after_each(function()
    target:close()
    testing.clean_up()
  end)

  local function now() return sandbox:http("GET", "/_sandbox/clock").json.now end
  local function jump(by) return testing.advance(sandbox, by) end

  -- Whether a run that has not ended is awake, or sleeps since this instant or before. One look at all: from one list to the
  -- next a run could slip through.
  local function any_older(instant)
    for _, run in ipairs(runtime:api("GET", "/v1/runs?limit=1000").json.data) do
      local awake = run.state == "queued" or run.state == "running"
      if awake or (run.state == "sleeping" and run.updated_at <= instant) then return true end
    end
  end

  it("wakes every sleeper once, whatever it jumps over", function()
    local pauses = { "1s", "3h", "30d", "400d", "3000d" }
    local ids = support.start_runs(runtime, "napper", RUNS, {
      input = function(i)
        local mine = {}
        for p = 1, 1 + i % #pauses do mine[p] = pauses[(i + p) % #pauses + 1] end
        return { pauses = json.array(mine) }
      end,
    })
    support.wait_for_state(runtime, "sleeping", RUNS)
    local from = testing.now_ms()
    -- A nap begins when its run wakes, so each needs a jump of its own.
    for _ = 1, #pauses do
      local before = now()
      jump "3650d"
      testing.wait_until(function() return not any_older(before) end, "all have woken and sleep again or are done", 60000)
    end
    support.wait_for_state(runtime, "completed", RUNS)
    support.say("%d runs through 50 years in %.1f s", RUNS, (testing.now_ms() - from) / 1000)
    for i = 1, RUNS, 7 do
      local run, last = runtime:get_run(ids[i]), ""
      assert.same({ naps = 1 + i % #pauses }, run.output)
      local journal = runtime:journal(ids[i])
      assert.equal(1 + i % #pauses, #journal)
      for _, entry in ipairs(journal) do
        assert.is_true(entry.at >= last, entry.at .. " after " .. last)
        last = entry.at
      end
      assert.is_true(run.updated_at >= last)
    end
  end)

  it("lets a wait end in time, but what had come before counts", function()
    local late = runtime:run("waiter", { key = "late", within = "30d" })
    local prompt = runtime:run("waiter", { key = "prompt", within = "30d" })
    runtime:wait_for(late.id, "waiting")
    runtime:wait_for(prompt.id, "waiting")
    runtime:api("POST", "/v1/runs/" .. prompt.id .. "/signal", { topic = "news", key = "prompt", payload = "good" })
    jump "3650d"
    assert.equal("nothing", runtime:wait_for(late.id, "completed").output.got)
    assert.equal("good", runtime:wait_for(prompt.id, "completed").output.got)
    runtime:api("POST", "/v1/runs/" .. late.id .. "/signal", { topic = "news", key = "late", payload = "too late" })
    assert.equal("nothing", runtime:get_run(late.id).output.got)
  end)

  it("disturbs no call that is under way, and sends it no second time", function()
    target:hold()
    local run = runtime:run("caller", { url = ("http://127.0.0.1:%d/"):format(target:port()) }, { key = "once" })
    testing.wait_until(function() return target:count() == 1 end, "the call is under way")
    for _ = 1, 3 do jump "3650d" end
    target:release()
    assert.equal(200, runtime:wait_for(run.id, "completed").output.status)
    assert.equal(1, target:count())
  end)

  it("finds everybody when it has jumped while the runtime was dead", function()
    local sleeper = runtime:run("napper", { pauses = json.array { "30d" } })
    local waiter = runtime:run("waiter", { key = "k", within = "30d" })
    target:hold()
    local caller = runtime:run("caller", { url = ("http://127.0.0.1:%d/"):format(target:port()) }, { key = "once" })
    runtime:wait_for(sleeper.id, "sleeping")
    runtime:wait_for(waiter.id, "waiting")
    testing.wait_until(function() return target:count() == 1 end, "the call is under way")
    runtime:kill()
    jump "3650d"
    target:release()
    runtime:launch()
    assert.equal(1, runtime:wait_for(sleeper.id, "completed").output.naps)
    assert.equal("nothing", runtime:wait_for(waiter.id, "completed").output.got)
    -- Sent again with its key, or left to a person, as the key may be forgotten after ten years: never with another key.
    local ended = runtime:wait_for(caller.id, "completed", "needs_attention")
    for _, request in ipairs(target:requests()) do assert.equal("once", request.headers["idempotency-key"]) end
    assert.is_true(target:count() <= 2)
    assert.is_true(ended.state == "completed" or ended.error.message ~= nil)
  end)

  it("only goes forward, and not beyond the year 9999", function()
    local before = now()
    for _, by in ipairs { "-1s", "soon", "11y", "99999999999999999d", "" } do
      local response = sandbox:http("POST", "/_sandbox/clock", { advance = by })
      assert.equal(422, response.status, by .. ": " .. response.body)
    end
    assert.equal(before:sub(1, 13), now():sub(1, 13))
    local run = runtime:run("napper", { pauses = json.array { "3650d" } })
    runtime:wait_for(run.id, "sleeping")
    local response
    for _ = 1, 1000 do
      response = sandbox:http("POST", "/_sandbox/clock", { advance = "3650d" })
      if response.status ~= 200 then break end
    end
    assert.is_true(response.status >= 400 and response.status < 500, response.body)
    assert.matches("9999", response.json.detail)
    assert.matches("^99", now())
    assert.equal(1, runtime:wait_for(run.id, "completed").output.naps)
    -- Who sleeps past the end of time can still be called off.
    run = runtime:run("napper", { pauses = json.array { "36500d" } })
    runtime:wait_for(run.id, "sleeping")
    runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel", {})
    runtime:wait_for(run.id, "cancelled")
    assert.equal(200, runtime:http("GET", "/readyz").status)
  end)
end)
