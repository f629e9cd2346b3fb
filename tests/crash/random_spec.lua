-- Random flows in simulated worlds, against a model that knows no crashes: 20 flows a world, each world with mishaps and deaths
-- of its seed. The daily length is short; for a long one, which says every ten seconds how far it is:
--   RANDOM_RUNS=100000 mintage test tests/crash/random_spec.lua
--   RANDOM_SEED=1234 RANDOM_RUNS=20 mintage test tests/crash/random_spec.lua      one world again
-- Then proofs that the check can fail: runtimes that are unsound on purpose are found out.

local here = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "."
package.path = here .. "/random/?.lua;" .. package.path

local native = require "mintage.testing.native"
local simulate = require "simulate"

local EACH, SLICE, DEADLINE_MS = 20, 10, 240000 -- flows a world, worlds a child and how long it may take
local RUNS = math.tointeger(tonumber(os.getenv "RANDOM_RUNS" or 1200))
local SEED = math.tointeger(tonumber(os.getenv "RANDOM_SEED" or 1))
local ORACLE = os.getenv "RANDOM_ORACLE" ~= "off" -- the store is compared with the in-memory one, operation by operation

-- What befalls a world: from none at all to a death every few dozen points; what was not synced is lost, or torn.
local function options(seed)
  local hard = seed % 4
  return { seed = seed, programs = EACH, faults = ({ 0, 30, 100, 250 })[hard + 1], crashes = ({ 0, 3, 12, 20 })[hard + 1],
    mishaps = 1000, oracle = ORACLE, loss = ({ "unsynced", "tears", "process" })[seed % 3 + 1] }
end

-- Runs in a child: what its worlds came to, as JSON.
local function some_worlds(first, last, change)
  local told = { points = 0, deaths = 0, failures = native.array {} }
  for seed = first, last do
    local o = options(seed)
    for k, v in pairs(change or {}) do o[k] = v end
    local ok, passed = pcall(simulate.world, o)
    if ok then
      told.points, told.deaths = told.points + passed.points, told.deaths + passed.died
    else
      table.insert(told.failures, { seed = seed, text = tostring(passed) })
    end
  end
  return native.encode(told)
end

local function say(text, ...)
  io.stderr:write(text:format(...), "\n")
  io.stderr:flush()
end

-- What is known of a run so far: { worlds, points, deaths, failures }, and a line of it now and then.
local function new_tally(all, loud)
  local from = native.now_ms()
  local tally = { worlds = 0, points = 0, deaths = 0, failures = {} }
  local tty, told = native.is_terminal(2), from
  local function line()
    local seconds = (native.now_ms() - from) / 1000
    return ("random flows: %d of %d runs in %d worlds, %d points, %d deaths, %d failed, %.1f s, %.1f worlds/s"):format(
      tally.worlds * EACH, all * EACH, tally.worlds, tally.points, tally.deaths, #tally.failures, seconds,
      tally.worlds / math.max(seconds, 0.001))
  end
  function tally.fail(seed, text)
    table.insert(tally.failures, ("world %d (RANDOM_SEED=%d RANDOM_RUNS=%d):\n%s"):format(seed, seed, EACH, text))
    if loud then say("%srandom flows: world %d fails: %s", tty and "\r\27[K" or "", seed, text:match "^[^\n]*") end
  end
  function tally.tell()
    if not loud then return end
    if tty then
      io.stderr:write("\r\27[K", line())
    elseif native.now_ms() - told >= 10000 then
      told = native.now_ms()
      say("%s", line())
    end
  end
  function tally.finish()
    if loud then say("%s%s", tty and "\r\27[K" or "", line()) end
    return tally
  end
  return tally
end

-- Runs the worlds in children, as many at once as there are cores.
local function explore(first, last, change, loud)
  local tally, jobs, cores = new_tally(last - first + 1, loud), {}, native.cores()
  local slices, running = {}, {}
  for from = first, last, SLICE do slices[#slices + 1] = { from = from, to = math.min(from + SLICE - 1, last) } end
  local next_slice, free = 1, {}
  for cpu = 0, cores - 1 do free[#free + 1] = cpu end
  while true do
    while #jobs < cores and next_slice <= #slices do
      local slice = slices[next_slice]
      next_slice, slice.cpu = next_slice + 1, table.remove(free)
      running[#jobs + 1] = slice
      jobs[#jobs + 1] = native.fork(function() return some_worlds(slice.from, slice.to, change) end,
        { cpu = slice.cpu, deadline_ms = DEADLINE_MS })
    end
    if #jobs == 0 then return tally.finish() end
    local i, result, why, errors = native.collect(jobs)
    table.remove(jobs, i)
    local slice = table.remove(running, i)
    free[#free + 1] = slice.cpu
    if result then
      local told = native.decode(result)
      tally.worlds = tally.worlds + slice.to - slice.from + 1
      tally.points, tally.deaths = tally.points + told.points, tally.deaths + told.deaths
      for _, failure in ipairs(told.failures) do tally.fail(failure.seed, failure.text) end
    elseif slice.from == slice.to then
      tally.worlds = tally.worlds + 1
      tally.fail(slice.from, (why or "?") .. "\n" .. errors)
    else -- one of them did not let the child end: which one?
      for seed = slice.from, slice.to do slices[#slices + 1] = { from = seed, to = seed } end
    end
    tally.tell()
  end
end

describe("random flows", function()
  it("come to what a model that knows no crashes says", function()
    local worlds = math.max(1, RUNS // EACH)
    local tally = explore(SEED, SEED + worlds - 1, nil, true)
    assert.equal(0, #tally.failures, table.concat(tally.failures, "\n", 1, math.min(#tally.failures, 3)))
    assert.is_true(tally.points > 0)
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
      local failures = explore(1, 12,
        { unsound = way, faults = 100, crashes = 12, loss = "unsynced", oracle = false }).failures
      assert.is_true(#failures > 0)
      assert.matches(invariant, table.concat(failures, "\n"), 1, true)
    end)
  end

  -- The oracle finds out what no flow notices, and at once what one would notice late.
  local stores = { mislays = "wanted: .* prog {", forgets = "commits that were answered are gone" }
  for way, difference in pairs(stores) do
    it("show by the oracle that a store " .. way, function()
      local failures = explore(1, 8, { unsound = way, crashes = 12, loss = "unsynced", oracle = true }).failures
      assert.is_true(#failures > 0)
      assert.matches(difference, table.concat(failures, "\n"))
    end)
  end

  it("notice nothing of a store that mislays what they say of their progress", function()
    assert.equal(0, #explore(1, 2, { unsound = "mislays", oracle = false }).failures)
  end)
end)
