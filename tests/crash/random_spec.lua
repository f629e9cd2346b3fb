-- Random flows in simulated worlds, against a model that knows no crashes: 20 flows a world, each world with mishaps and deaths
-- of its seed. The daily length is short; for a long one:
--   RANDOM_RUNS=100000 mintage test tests/crash/random_spec.lua
--   RANDOM_SEED=1234 RANDOM_RUNS=20 mintage test tests/crash/random_spec.lua      one world again
-- Then proofs that the check can fail: runtimes that are unsound on purpose are found out.

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
package.path = here .. "/random/?.lua;" .. package.path

local native = require "mintage.testing.native"
local simulate = require "simulate"

local EACH, SLICE = 20, 10 -- flows a world, worlds a child
local RUNS = math.tointeger(tonumber(os.getenv "RANDOM_RUNS" or 1200))
local SEED = math.tointeger(tonumber(os.getenv "RANDOM_SEED" or 1))

-- What befalls a world: from none at all to a death every few dozen points; what was not synced is lost, or torn.
local function options(seed)
  local hard = seed % 4
  return { seed = seed, programs = EACH, faults = ({ 0, 30, 100, 250 })[hard + 1], crashes = ({ 0, 3, 12, 20 })[hard + 1],
    mishaps = 1000, loss = ({ "unsynced", "tears", "process" })[seed % 3 + 1] }
end

local function some_worlds(first, last, change)
  local points, deaths = 0, 0
  for seed = first, last do
    local o = options(seed)
    for k, v in pairs(change or {}) do o[k] = v end
    local ok, passed = pcall(simulate.world, o)
    if not ok then error(("world %d (RANDOM_SEED=%d RANDOM_RUNS=20):\n%s"):format(seed, seed, passed), 0) end
    points, deaths = points + passed.points, deaths + passed.died
  end
  return ("%d %d"):format(points, deaths)
end

-- Runs the worlds in children, as many at once as there are cores. Answers points, deaths, and what failed.
local function explore(first, last, change)
  local points, deaths, failures, jobs, cores = 0, 0, {}, {}, native.cores()
  local next_seed, tty = first, native.is_terminal(2)
  while true do
    while #jobs < cores and next_seed <= last do
      local from, to = next_seed, math.min(next_seed + SLICE - 1, last)
      jobs[#jobs + 1] = native.fork(function() return some_worlds(from, to, change) end,
        { cpu = (from // SLICE) % cores, deadline_ms = 240000 })
      next_seed = to + 1
    end
    if #jobs == 0 then break end
    local i, result, why, errors = native.collect(jobs)
    table.remove(jobs, i)
    if result then
      local p, d = result:match "^(%d+) (%d+)$"
      points, deaths = points + p, deaths + d
    else
      failures[#failures + 1] = (why or "?") .. errors
    end
    if tty then io.stderr:write(("\r%d of %d worlds, %d failures "):format(next_seed - first, last - first + 1, #failures)) end
  end
  if tty then io.stderr:write "\r\27[K" end
  return points, deaths, failures
end

describe("random flows", function()
  it("come to what a model that knows no crashes says", function()
    local from = native.now_ms()
    local worlds = math.max(1, RUNS // EACH)
    local points, deaths, failures = explore(SEED, SEED + worlds - 1)
    assert.equal(0, #failures, failures[1])
    io.stderr:write(("random flows: %d runs in %d worlds, %d points, %d deaths, no violated invariant, %.1f s\n")
      :format(worlds * EACH, worlds, points, deaths, (native.now_ms() - from) / 1000))
    assert.is_true(points > 0)
  end)

  -- Each way of being unsound is found within a few worlds, by the invariant that it breaks.
  local ways = {
    forgets = "the run is lost",       -- what was said to be durable was not
    rekeys = "the books differ",       -- charged again
    hasty = "a run needs attention",   -- waits in vain for a signal that was taken
    resends = "the books differ",      -- posted twice without a key
  }
  for way, invariant in pairs(ways) do
    it("find out a runtime that " .. way, function()
      local _, _, failures = explore(1, 12, { unsound = way, faults = 100, crashes = 12, loss = "unsynced" })
      assert.is_true(#failures > 0)
      assert.matches(invariant, table.concat(failures, "\n"), 1, true)
    end)
  end
end)
