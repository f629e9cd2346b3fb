-- Running a test again, in children of this process: once for each point at which the runtime could die
-- (--crash), and with so many schedules of mishaps (--faults). A failing schedule is made as small as it stays
-- failing. What is found is told to busted as one more test, named after what was tried.

local native = require "mintage.testing.native"
local registry = require "mintage.testing.registry"

local explore = {}

local PAIRS_MAX = 20000    -- runs of one test under --crash-pairs
-- Of schedules: so many of 1,000 exchanges go wrong, at so many of 1,000 points the runtime dies; at most so many
-- mishaps in a world, so that each is a story in which things go wrong and then do not.
local FAULTS, CRASHES, MISHAPS = { 100, 300, 600 }, { 0, 30, 100 }, 8
local TOLD = 12            -- failing points that are listed

local busted, options, tty
local began, drawn, failing_now = false, 0, 0
local collected            -- in a child: what failed
local counts = { tests = 0, points = 0, schedules = 0, mishaps = 0, failed = 0, began = 0, skipped = 0 }
local by_file, files = {}, {}
local started = {}         -- files whose first start was explored

local function now() return native.now_ms() / 1000 end

-- ---- plans ----

-- "seed=7 loss=tears 2/p37 n12:lost" -> { all = { seed = 7, loss = "tears" }, [2] = { plan = "p37" }, [1] = ... }.
local function read_plan(text)
  local plan, items = { all = {} }, {}
  for word in text:gmatch "%S+" do
    local name, value = word:match "^(%a+)=(.*)$"
    if name == "seed" then
      plan.all.seed = assert(math.tointeger(tonumber(value)), "--replay: seed: wanted an integer")
    elseif name == "loss" or name == "disk" then
      plan.all[name] = value
    else
      local world, item = word:match "^(%d+)/(.+)$"
      world, item = math.tointeger(tonumber(world or 1)), item or word
      items[world] = items[world] or {}
      table.insert(items[world], item)
    end
  end
  for world, list in pairs(items) do plan[world] = { plan = table.concat(list, " ") } end
  plan.all.plan = "" -- nothing of chance
  return plan
end

local function write_plan(items, all)
  local out = {}
  if all.disk then out[#out + 1] = "disk=" .. all.disk end
  if all.seed then out[#out + 1] = "seed=" .. all.seed end
  if all.loss and all.loss ~= "unsynced" then out[#out + 1] = "loss=" .. all.loss end
  for _, item in ipairs(items) do out[#out + 1] = item end
  return table.concat(out, " ")
end

local function in_world(n, item) return n == 1 and item or n .. "/" .. item end

local function quoted(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function pattern(text) return (text:gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0")) end

local function command(plan)
  return ("mintage test %s --filter=%s --replay=%s"):format(registry.file or "", quoted(pattern(registry.test)),
    quoted(plan))
end

-- ---- children ----

-- Runs the test in a child; the job's result is told to `done` by the pool.
local function start(rerun, plan, log, cpu)
  return native.fork(function()
    collected = {}
    registry.log = log
    registry.real_deadline = os.time() + math.max(1, options.deadline_ms // 1000 - 2)
    registry.begin(read_plan(plan))
    rerun()
    local worlds = registry.close()
    return native.encode { failures = native.array(collected), worlds = native.array(worlds) }
  end, { cpu = cpu, deadline_ms = options.deadline_ms })
end

local function judged(result, why, errors, log)
  if result then
    local decoded = native.decode(result)
    decoded.log = log
    return decoded
  end
  return {
    failures = { { message = why .. (errors ~= "" and "\n" .. errors or "") .. "\nWhat went on last:\n" .. log } },
    worlds = {}, log = log, broken = true,
  }
end

-- On a terminal a line that changes; in a log one every ten seconds.
local function progress(done, total, since, what)
  local every = tty and 0.1 or 10
  if now() - drawn < every and not (tty and done == total) then return end
  drawn = now()
  local line = ("%s: %d of %d %s, %d failed so far, %.0f/s"):format(registry.test:sub(-60), done, total, what,
    counts.failed + failing_now, done / math.max(now() - since, 0.001))
  if not tty then
    io.stderr:write(line, "\n")
  else
    io.stderr:write("\r\27[K", done < total and line or "")
  end
end

-- Says of a failure at once what repeats it: what is told at the end may be far away.
local function tell_failure(plan)
  failing_now = failing_now + 1
  io.stderr:write(tty and "\r\27[K" or "", ("%s: fails with %s\n"):format(registry.test:sub(-60), plan))
end

-- Runs the test with each of the plans, on all cores: told(i, outcome) for each as it ends.
local function pool(rerun, plans, what, told)
  local since, jobs, running, logs, done, next_plan = now(), {}, {}, {}, 0, 1
  local free = {}
  failing_now = 0
  for cpu = options.jobs - 1, 0, -1 do free[#free + 1] = cpu end
  while done < #plans do
    while #jobs < options.jobs and next_plan <= #plans do
      local cpu = table.remove(free)
      logs[cpu] = logs[cpu] or native.shared_log()
      jobs[#jobs + 1] = start(rerun, plans[next_plan], logs[cpu], cpu)
      running[#jobs] = { plan = next_plan, cpu = cpu }
      next_plan = next_plan + 1
    end
    local i, result, why, errors = native.collect(jobs)
    local of = running[i]
    table.remove(jobs, i)
    table.remove(running, i)
    free[#free + 1] = of.cpu
    done = done + 1
    told(of.plan, judged(result, why, errors, logs[of.cpu]:text()))
    progress(done, #plans, since, what)
  end
end

-- ---- telling ----

local function where_it_died(log)
  local at
  for line in log:gmatch "[^\n]+" do
    if line:find "THE RUNTIME DIES" then at = at or line:gsub("^%S+%s+", ""):gsub(", THE RUNTIME DIES", "") end
  end
  return at
end

-- One more test, as busted's handlers hear of tests: the same element under another name.
local function publish(element, parent, name, failure)
  local own = element.name
  element.name = name
  if busted.safe_publish("test", { "test", "start" }, element, parent) then
    if failure then
      busted.publish({ "failure", "it" }, element, parent, failure.message, failure.trace or element.trace)
    end
    busted.safe_publish("test", { "test", "end" }, element, parent, failure and "failure" or "success")
  end
  element.name = own
end

local function first_message(outcome) return outcome.failures[1] and outcome.failures[1].message or "?" end

-- ---- --crash ----

-- The first start of a runtime, on an empty disk, is the same in all tests of a file: the first of them explores it. The
-- worlds of the others begin with a disk that was started on before.
local function crash_plans(worlds, loss, disk)
  local plans = {}
  for n, world in ipairs(worlds) do
    for point = disk and n == 1 and 1 or world.first_point, world.points do
      plans[#plans + 1] = {
        text = write_plan({ in_world(n, "p" .. point) }, { loss = loss, disk = disk }), world = n, point = point,
        loss = loss, disk = disk,
      }
    end
  end
  return plans
end

-- A second death, at every point after the first: `seen` has the points of each run with one.
local function pair_plans(singles, seen, loss)
  local plans, all = {}, 0
  for i, single in ipairs(singles) do
    local points = seen[i] or 0
    for point = single.point + 1, points do
      all = all + 1
      if #plans < PAIRS_MAX then
        plans[#plans + 1] = {
          text = write_plan({ in_world(single.world, "p" .. single.point), in_world(single.world, "p" .. point) },
            { loss = loss, disk = single.disk }),
          world = single.world, point = single.point, second = point, loss = loss,
        }
      end
    end
  end
  return plans, all
end

local function texts(plans)
  local out = {}
  for i, plan in ipairs(plans) do out[i] = plan.text end
  return out
end

local function tell_points(element, parent, plans, failing, name)
  if #plans == 0 then return end
  if #failing == 0 then return publish(element, parent, name) end
  table.sort(failing, function(a, b) return a.i < b.i end)
  local first, lines = failing[1], {}
  for k = 1, math.min(#failing, TOLD) do
    local of = plans[failing[k].i]
    lines[k] = ("    %s  %s"):format(of.text, failing[k].at or "")
  end
  if #failing > TOLD then lines[#lines + 1] = ("    and %d more"):format(#failing - TOLD) end
  local text = ("%d of %d fail. The first: the runtime dies at %s\n\n%s\n\n  To run just this again:\n    %s\n\n"
    .. "  Failing:\n%s"):format(#failing, #plans, first.at or plans[first.i].text, first_message(first.outcome),
    command(plans[first.i].text), table.concat(lines, "\n"))
  publish(element, parent, name, { message = text })
end

-- Runs these plans; which failed, and how many points each world had.
local function try(rerun, plans, what)
  local failing, points = {}, {}
  pool(rerun, texts(plans), what, function(i, outcome)
    local world = outcome.worlds[plans[i].world]
    points[i] = world and world.points
    local at = where_it_died(outcome.log)
    if #outcome.failures == 0 and (not world or world.died < (plans[i].second and 2 or 1)) then
      outcome.failures[1] = {
        message = "the runtime did not come to this point: the same seed did not give the same world",
      }
    end
    if #outcome.failures > 0 then
      failing[#failing + 1] = { i = i, outcome = outcome, at = at }
      tell_failure(plans[i].text)
    end
  end)
  return failing, points
end

local function crash(element, parent, worlds, rerun)
  local losses = options.loss == "all" and { "unsynced", "process", "tears" } or { options.loss }
  local disk = not started[registry.file] and "empty" or nil
  started[registry.file] = true
  for _, loss in ipairs(losses) do
    local plans = crash_plans(worlds, loss, disk)
    local with = #losses > 1 and " (" .. loss .. ")" or ""
    local failing, points = try(rerun, plans, "points")
    counts.points, counts.failed = counts.points + #plans, counts.failed + #failing
    tell_points(element, parent, plans, failing, ("%s, dying at each of %d points%s"):format(element.name, #plans,
      with))
    if options.crash_pairs and #failing == 0 then
      local pairs_of, all = pair_plans(plans, points, loss)
      local left_out = all > #pairs_of and (" (of %d; the rest is left out)"):format(all) or ""
      failing = try(rerun, pairs_of, "pairs of points")
      counts.points, counts.failed = counts.points + #pairs_of, counts.failed + #failing
      tell_points(element, parent, pairs_of, failing, ("%s, dying twice, at each of %d pairs of points%s%s"):format(
        element.name, #pairs_of, with, left_out))
    end
  end
end

-- ---- --faults ----

-- The mishaps of all worlds of a schedule: "n12:lost", "2/p37", ...
local function mishaps_of(outcome)
  local items = {}
  for n, world in ipairs(outcome.worlds) do
    for item in world.mishaps:gmatch "%S+" do items[#items + 1] = in_world(n, item) end
  end
  return items
end

local function without(items, i)
  local out = {}
  for k, item in ipairs(items) do
    if k ~= i then out[#out + 1] = item end
  end
  return out
end

-- The fewest of the mishaps with which it still fails, and how it fails then; nil when it does not fail with all
-- of them.
local function shrink(rerun, items, all)
  local function fails(list)
    local outcome
    pool(rerun, { write_plan(list, all) }, "shrinking", function(_, o) outcome = o end)
    return #outcome.failures > 0 and outcome or nil
  end
  local last = fails(items)
  if not last then return nil end
  local i = #items
  while i >= 1 do
    local fewer = without(items, i)
    local outcome = fails(fewer)
    if outcome then items, last = fewer, outcome end
    i = i - 1
  end
  return items, last
end

local function mix(seed, i) return (seed * 1000003 + i) & 0x7FFFFFFF end

local function faults(element, parent, rerun)
  local plans, failing = {}, {}
  for i = 1, options.faults do
    plans[i] = ("chance %d %d seed=%d"):format(FAULTS[i % 3 + 1], CRASHES[i // 3 % 3 + 1], mix(options.seed, i))
  end
  pool(rerun, plans, "schedules", function(i, outcome)
    counts.mishaps = counts.mishaps + #mishaps_of(outcome)
    if #outcome.failures > 0 then
      failing[#failing + 1] = { i = i, outcome = outcome }
      tell_failure(plans[i]:match "seed=%d+")
    end
  end)
  counts.schedules, counts.failed = counts.schedules + #plans, counts.failed + #failing
  local name = ("%s, with %d schedules of mishaps from seed %d"):format(element.name, #plans, options.seed)
  if #failing == 0 then return publish(element, parent, name) end
  table.sort(failing, function(a, b) return a.i < b.i end)
  local first = failing[1]
  local all = { seed = mix(options.seed, first.i), loss = options.loss }
  local items, outcome
  if not first.outcome.broken then items, outcome = shrink(rerun, mishaps_of(first.outcome), all) end
  local text
  if items then
    text = ("%d of %d fail. The fewest mishaps: %s\n\n%s\n\n  To run just this again:\n    %s"):format(#failing,
      #plans, #items > 0 and table.concat(items, " ") or "none", first_message(outcome),
      command(write_plan(items, all)))
  else
    text = ("%d of %d fail, the first with seed %d%s:\n\n%s"):format(#failing, #plans, all.seed,
      first.outcome.broken and "" or ", though not when its mishaps are a plan: "
      .. table.concat(mishaps_of(first.outcome), " "), first_message(first.outcome))
  end
  local seeds = {}
  for k = 1, math.min(#failing, TOLD) do seeds[k] = ("%d"):format(mix(options.seed, failing[k].i)) end
  publish(element, parent, name, { message = text .. "\n\n  Failing seeds: " .. table.concat(seeds, " ") })
end

-- A plan of chance: what read_plan reads, but with mishaps.
local read_exact = read_plan
read_plan = function(text)
  local exchanges, points, rest = text:match "^chance (%d+) (%d+) (.*)$"
  if not rest then return read_exact(text) end
  local plan = read_exact(rest)
  plan.all.plan = nil
  plan.all.faults, plan.all.crashes = math.tointeger(tonumber(exchanges)), math.tointeger(tonumber(points))
  plan.all.mishaps = MISHAPS
  plan.all.loss = options.loss ~= "all" and options.loss or nil
  return plan
end

-- ---- busted ----

function explore.begin(element)
  local file = busted.getFile(element)
  local names, at = { element.name }, busted.context.parent(element)
  while at and at.descriptor ~= "file" do
    if at.name then table.insert(names, 1, at.name) end
    at = busted.context.parent(at)
  end
  registry.file, registry.test = file and file.name, table.concat(names, " ")
  registry.begin(options.replay and read_plan(options.replay) or {
    all = { seed = options.own_seed and options.seed or nil,
      disk = options.crash and not started[registry.file] and "empty" or nil },
  })
  registry.real_deadline = os.time() + options.deadline_ms // 1000
  if not by_file[registry.file] then
    by_file[registry.file] = true
    files[#files + 1] = registry.file
  end
  counts.tests = counts.tests + 1
end

---After a test has passed: again, and again.
function explore.test(element, parent, worlds, rerun)
  if options.replay then return end
  if options.crash then crash(element, parent, worlds, rerun) end
  if options.faults > 0 then faults(element, parent, rerun) end
end

local function plural(n, what) return ("%d %s%s"):format(n, what, n == 1 and "" or "s") end

local function summary()
  if options.replay or not (options.crash or options.faults > 0) then return end
  local parts = { plural(counts.tests, "spec") }
  if options.crash then parts[#parts + 1] = plural(counts.points, "crash point") end
  if options.faults > 0 then
    parts[#parts + 1] = plural(counts.schedules, "schedule") .. " with " .. plural(counts.mishaps, "mishap")
  end
  parts[#parts + 1] = counts.failed .. " failed"
  parts[#parts + 1] = ("%.1f s"):format(now() - counts.began)
  local name = #files == 1 and (files[1]:match "([^/]+)%.lua$" or files[1]) or plural(#files, "file")
  io.stdout:flush()
  io.stderr:write(("\n%s: %s\n"):format(name, table.concat(parts, ", ")))
end

function explore.install(core, _, given)
  busted, options = core, given
  options.crash = options.crash or options.crash_pairs
  counts.began = now()
  drawn = counts.began
  tty = os.getenv "TERM" ~= "dumb" and native.is_terminal(2)
  for _, what in ipairs { "failure", "error" } do
    busted.subscribe({ what }, function(_, _, message)
      if collected then collected[#collected + 1] = { message = tostring(message) } end
      return nil, not collected -- a child's failures are told by its parent
    end, { priority = 1 })
  end
  busted.subscribe({ "suite", "start" }, function()
    began = true
    return nil, true
  end)
  busted.subscribe({ "exit" }, function()
    summary()
    return nil, true
  end)
end

---Whether tests have begun.
function explore.began() return began end

return explore
