-- Schedules of a real runtime: what is made up for when it was down, the list, the command, check and metrics.
-- When they are due, and that no death breaks that, is told in tests/flows/schedules_spec.lua.

local testing = require "mintage.testing"

local flows = {
  ["sweep.lua"] = [[
local flow = require "mintage.flow"
local sweep = flow.define { name = "sweep", run = function() return { at = tostring(flow.now()) } end }
flow.every("1h", sweep, nil, { name = "once" })
flow.every("1h", sweep, nil, { name = "skip", catch_up = "skip" })
flow.every("1h", sweep, nil, { name = "all", catch_up = "all" })
flow.cron("0 3 * * *", sweep, nil, { name = "nightly", zone = "Asia/Seoul" })
]],
}

describe("schedules", function()
  local runtime, sandbox

  local function begin() runtime, sandbox = testing.pair { flows = testing.flows(flows) } end
  after_each(testing.clean_up)

  local function listed()
    local rows = {}
    for _, row in ipairs(runtime:api("GET", "/v1/schedules").json.data) do rows[row.name] = row end
    return rows
  end

  -- Waits until each has looked at the time: its next instant is to come.
  local function caught_up()
    local now = sandbox:http("GET", "/_sandbox/clock").json.now
    return testing.wait_until(function()
      local rows = listed()
      for _, row in pairs(rows) do
        if row.next_at <= now then return nil end
      end
      return rows.nightly and rows
    end, "all schedules have looked at the time")
  end

  local function starts()
    local counts = {}
    for _, run in ipairs(runtime:api("GET", "/v1/runs?flow=sweep&limit=1000").json.data) do
      local name = run.key:match "^schedule%-(%a+)%-"
      counts[name] = (counts[name] or 0) + 1
    end
    return counts
  end

  it("make up for what was missed as they say, and only once", function()
    begin()
    caught_up()
    runtime:kill()
    testing.advance(sandbox, "50h")
    runtime:launch()
    local rows = caught_up()
    assert.same({ once = 1, all = 50, nightly = 1 }, starts())
    assert.equal(testing.json.null, rows.skip.last_run)
    runtime:kill()
    runtime:launch()
    caught_up()
    assert.same({ once = 1, all = 50, nightly = 1 }, starts())
    testing.advance(sandbox, "1h") -- a clock that is moved has missed what lies between
    caught_up()
    assert.equal(2, starts().once)
    assert.equal(51, starts().all)
    local metrics = runtime:http("GET", "/metrics").body
    assert.matches("mintage_schedule_starts_total %d", metrics)
    assert.matches("mintage_schedule_lag_milliseconds %d", metrics)
    assert.matches('mintage_schedule_next_timestamp_seconds{schedule="nightly"} %d', metrics)
  end)

  it("are listed by the command", function()
    begin()
    caught_up()
    testing.advance(sandbox, "25h")
    caught_up()
    local shown = testing.run { "schedules", "--url", runtime.url, "--data", runtime.data }
    assert.equal(0, shown.code)
    assert.matches("NAME +FLOW +WHEN +ZONE +NEXT +LAST", shown.out)
    assert.matches("nightly +sweep +0 3 %* %* %* +Asia/Seoul +", shown.out)
    assert.matches("once +sweep +1h +UTC +", shown.out)
    local json = testing.run { "schedules", "--json", "--url", runtime.url, "--data", runtime.data }
    local rows = testing.json.decode(json.out).data
    assert.equal(4, #rows)
    assert.equal("sweep.lua:3", rows[1].site)
    assert.equal(401, runtime:http("GET", "/v1/schedules").status)
  end)

  it("reconcile every night where the settings want it", function()
    runtime, sandbox = testing.pair { flows = "flows" }
    assert.same({}, runtime:api("GET", "/v1/schedules").json.data)
    local config = testing.folder() .. "/config.json"
    testing.write(config, '{"settings":{"reconcile":{"zone":"Asia/Seoul","at":"30 4 * * *"}}}')
    runtime, sandbox = testing.pair { flows = "flows", config = config }
    local row = testing.wait_until(function() return listed().reconcile end, "it is scheduled")
    assert.same({ "30 4 * * *", "Asia/Seoul" }, { row.when, row.zone })
    testing.advance(sandbox, "1d")
    local run = testing.wait_until(function()
      local last = listed().reconcile.last_run
      return last ~= testing.json.null and runtime:wait_for(last, "completed")
    end, "it ran")
    assert.equal(0, run.output.count)
    assert.same({}, run.output.not_asked)
    assert.matches("^schedule%-reconcile%-.*T19:30:00Z$", run.key)
  end)

  it("that are wrong are found by mintage check", function()
    local function finds(line, ...)
      local folder = testing.flows {
        ["a.lua"] = ([[
local flow = require "mintage.flow"
flow.define { name = "sweep", input = { n = "integer?" }, run = function() end }
%s
]]):format(line),
      }
      local checked = testing.run { "check", folder }
      assert.equal(1, checked.code, line)
      for _, words in ipairs { "a.lua:3:", ... } do assert.matches(words, checked.out, 1, true) end
    end
    finds([[flow.cron("0 3 32 * *", "sweep")]], 'day of the month: found "32", wanted *, or 1 to 31')
    finds([[flow.cron("0 3 * * *", "sweep", nil, { zone = "Mars/Base" })]], "Mars/Base")
    finds([[flow.every("1h", "sweeep")]], 'did you mean "sweep"?')
    finds([[flow.every("1h", "sweep", { n = "many" })]], 'schedule "sweep": input of flow "sweep"')
    finds([[flow.define { name = "b", run = function() flow.every("1h", "sweep") end }]], "while its file loads")
  end)
end)
