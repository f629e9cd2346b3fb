-- What flows start by the clock: every due instant has one run, whatever dies and however often files are loaded.
--   mintage test tests/flows/schedules_spec.lua --crash

local world = require "mintage.world"

local sweep = [[
  local flow = require "mintage.flow"
  local sweep = flow.define {
    name = "sweep",
    input = { of = "string?" },
    run = function(input) return { of = input.of or "nothing", version = %d } end,
  }
  %s
]]

local function flows(schedules, version) return { ["sweep.lua"] = sweep:format(version or 1, schedules) } end

-- The keys of the runs of a flow, sorted, without what they have in common.
local function instants(w, name)
  local keys, seen = {}, {}
  for _, run in ipairs(w:settle():runs { flow = "sweep" }) do
    local at = run.key:match("^schedule%-" .. (name or "sweep") .. "%-(.+)$")
    if at then
      assert.is_nil(seen[at], at .. " has two runs")
      seen[at] = true
      keys[#keys + 1] = at
    end
  end
  table.sort(keys)
  return keys
end

local function listed(w) return w:look_at("/v1/schedules").data end

describe("a schedule", function()
  it("starts its flow at each of its instants, once", function()
    local w = world.new { flows = flows [[flow.every("1h", sweep, { of = "carts" })]] }
    w:advance "3h"
    assert.same({ "2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z", "2026-11-20T12:00:00Z" }, instants(w))
    for _, run in ipairs(w:runs()) do
      assert.completed(run)
      assert.equal("carts", run.output.of)
    end
    local row = listed(w)[1]
    assert.same({ "sweep", "sweep", "every", "1h", "once", "2026-11-20T13:00:00.000Z", "2026-11-20T12:00:00.000Z", "completed" },
      { row.name, row.flow, row.kind, row.when, row.catch_up, row.next_at, row.last_at, row.last_state })
    assert.equal(w:runs()[1].id, row.last_run)
    assert.equal("sweep.lua:7", row.site)
  end)

  it("is due by the clock of its zone", function()
    local w = world.new {
      flows = flows [[flow.cron("30 9 * * mon-fri", "sweep", nil, { zone = "Asia/Seoul", name = "mornings" })]],
    }
    w:advance "5d"
    assert.same({ "2026-11-23T00:30:00Z", "2026-11-24T00:30:00Z", "2026-11-25T00:30:00Z" }, instants(w, "mornings"))
    assert.equal("Asia/Seoul", listed(w)[1].zone)
  end)

  it("is not registered twice by loading files again, and starts the newest flow", function()
    local w = world.new { flows = flows [[flow.every("1h", sweep)]] }
    w:advance "1h"
    for version = 2, 5 do assert(w:reload(flows([[flow.every("1h", sweep)]], version))) end
    w:advance "1h"
    assert.equal(1, #listed(w))
    assert.same({ "2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z" }, instants(w))
    assert.equal(5, w:runs()[1].output.version)
    assert.equal(1, w:runs()[2].output.version)
  end)

  it("goes with its line, and begins anew when it comes back or its times change", function()
    local w = world.new { flows = flows [[flow.every("1h", sweep, nil, { catch_up = "all" })]] }
    w:advance "1h"
    assert(w:reload(flows ""))
    w:advance "1s"
    assert.same({}, listed(w))
    w:advance "4h"
    assert(w:reload(flows [[flow.every("1h", sweep, nil, { catch_up = "all" })]]))
    w:advance "1h"
    assert.same({ "2026-11-20T10:00:00Z", "2026-11-20T15:00:00Z" }, instants(w))
    assert(w:reload(flows [[flow.cron("0 12 * * *", sweep, nil, { catch_up = "all" })]]))
    w:advance "1d"
    assert.same({ "2026-11-20T10:00:00Z", "2026-11-20T15:00:00Z", "2026-11-21T12:00:00Z" }, instants(w))
  end)

  it("goes on where it was when the runtime dies", function()
    local w = world.new { flows = flows [[flow.every("10m", sweep)]] }
    for _ = 1, 6 do
      w:advance "10m"
      w:kill()
    end
    w:advance "1m"
    assert.equal(6, #instants(w))
  end)

  it("with broken files around it keeps what works", function()
    local w = world.new { flows = flows [[flow.every("1h", sweep)]] }
    local function refused(text, ...)
      local ok, why = w:reload(flows(text))
      if ok then ok, why = w:reload(flows(text)) end -- it died over it
      assert.is_nil(ok)
      for _, words in ipairs { ... } do assert.matches(words, why, 1, true) end
    end
    refused([[flow.cron("0 25 * * *", sweep)]], "sweep.lua:7", 'hour: found "25", wanted *, or 0 to 23')
    refused([[flow.cron("0 3 * *", sweep)]], "sweep.lua:7", "with 4 fields, wanted five")
    refused([[flow.cron("0 3 * * *", sweep, nil, { zone = "Asia/Soul" })]], "zone: there is no time zone")
    refused([[flow.cron("0 3 * * *", sweep, nil, { zome = "UTC" })]], 'did you mean "zone"?')
    refused([[flow.every("10ms", sweep)]], "the interval: found 10 ms, wanted 1s or more")
    refused([[flow.every("soon", sweep)]], "soon")
    refused([[flow.every("1h", sweep, nil, { catch_up = "twice" })]], 'catch_up: found twice, wanted "once", "skip" or "all"')
    refused([[flow.every("1h", function() end)]], "a schedule starts a flow")
    refused([[flow.every("1h", "sweeep")]], "sweep.lua:7", 'schedule "sweeep": there is no flow "sweeep"; did you mean "sweep"?')
    refused([[flow.every("1h", sweep, { of = 3 })]], "sweep.lua:7", 'input of flow "sweep"', "of")
    refused([[flow.every("1h", sweep) flow.every("2h", sweep)]], "the schedule 'sweep' is defined twice")
    w:advance "1h"
    assert.same({ "2026-11-20T10:00:00Z" }, instants(w))
  end)
end)
