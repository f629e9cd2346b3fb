-- What `mintage test` and the worlds of its specs know of each other: which worlds this test has opened, and
-- what is to go wrong in each. Stays loaded when busted forgets a file's modules.

local registry = {
  opened = {},    -- by this test, in order
  testing = false, -- a test is under way: worlds may be opened
  plan = {},      -- [n] or "all": settings that override those of the n-th world
  file = nil,     -- of the spec that runs, and the test's full name
  test = nil,
  log = nil,      -- shared memory, where the log of a child's world is kept
  real_deadline = nil, -- os.time() by which this test must have ended
}

-- A new test begins; plan: settings by the world's number.
function registry.begin(plan)
  registry.opened, registry.testing = {}, true
  registry.plan = plan or {}
end

-- The settings of the world that is opened now: the plan's, over its own.
function registry.settings(own)
  if not registry.testing then
    error("open a world in a test or in before_each: each test has worlds of its own", 3)
  end
  local merged = {}
  for name, value in pairs(own) do merged[name] = value end
  local n = #registry.opened + 1
  for _, over in ipairs { registry.plan.all or {}, registry.plan[n] or {} } do
    for name, value in pairs(over) do merged[name] = value end
  end
  if registry.plan.all and registry.plan.all.seed then merged.seed = registry.plan.all.seed * 31 + n - 1 end
  merged.log = registry.log
  return merged
end

function registry.add(world) registry.opened[#registry.opened + 1] = world end

-- The test's own part is over: each world comes to rest and is judged. Raises what does not hold.
function registry.judge()
  for _, world in ipairs(registry.opened) do world:finish() end
end

-- What became of the worlds: points, mishaps. Closes them.
function registry.close()
  local out = {}
  for i, world in ipairs(registry.opened) do
    world:close()
    out[i] = world.outcome
  end
  registry.opened, registry.testing = {}, false
  return out
end

-- What a person wants to see of the worlds when something failed in them.
function registry.report()
  local out = {}
  for i, world in ipairs(registry.opened) do
    if #registry.opened > 1 then out[#out + 1] = ("World %d of %d"):format(i, #registry.opened) end
    local ok, text = pcall(world.report, world)
    out[#out + 1] = ok and text or "(the world cannot be looked at any more: " .. tostring(text) .. ")"
  end
  return table.concat(out, "\n")
end

return registry
