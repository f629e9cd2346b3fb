-- What the scale_*, reload_storm and hostile specs share: sizes, many requests at once, what a process uses, numbers to print.
-- Loaded with dofile, as specs are run from any folder.

local testing = require "mintage.testing"
local native, json = testing.native, testing.json

local support = { here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./" }

-- SCALE=full: what the promises speak of; otherwise what fits between two commits.
support.full = os.getenv "SCALE" == "full"

function support.size(small, full) return support.full and full or small end

-- Numbers for people, not for busted: on stderr, when somebody asked for the full size.
function support.say(format, ...)
  if os.getenv "SCALE" then io.stderr:write("scale: ", format:format(...), "\n") end
end

function support.median(list)
  local sorted = { table.unpack(list) }
  table.sort(sorted)
  return sorted[(#sorted + 1) // 2]
end

-- ---- what a process uses ----

-- VmRSS and the like, in KiB.
function support.memory(pid, what)
  return tonumber(testing.read("/proc/" .. pid .. "/status"):match((what or "VmRSS") .. ":%s*(%d+)"))
end

function support.fds(pid)
  local n = 0
  for _ in require "lfs".dir("/proc/" .. pid .. "/fd") do n = n + 1 end
  return n - 2
end

-- What the first thousands of runs bring in once (stacks, pages of SQLite, the allocator's pools) is not the price of the next.
-- Calls more(), which does some work, until that costs no memory any more; answers VmRSS.
function support.warm_up(pid, more)
  local before
  local after = support.memory(pid)
  for _ = 1, 20 do
    before = after
    more()
    after = support.memory(pid)
    if after - before < 1024 then break end
  end
  return after
end

-- ---- many requests ----

-- make(i) for i = 1 .. n gives requests; at_once of them are under way together; take(i, response) sees each answer, false when
-- there was none.
function support.many(n, at_once, make, take)
  for first = 1, n, at_once do
    local batch = {}
    for i = first, math.min(n, first + at_once - 1) do batch[#batch + 1] = make(i) end
    for i, response in ipairs(native.requests(batch)) do take(first + i - 1, response) end
  end
end

-- A request to the API of a runtime, for native.requests.
function support.request(runtime, method, path, body, headers)
  local sent = { Authorization = "Bearer " .. runtime.token, ["Content-Type"] = "application/json" }
  for name, value in pairs(headers or {}) do sent[name] = value end
  return { method = method, url = runtime.url .. path, headers = sent, body = body and json.encode(body) }
end

-- Starts n runs and answers their ids; input(i) and key(i) may be left out. Every start must be accepted.
function support.start_runs(runtime, flow, n, options)
  options = options or {}
  local ids = {}
  support.many(n, options.at_once or 64, function(i)
    return support.request(runtime, "POST", "/v1/flows/" .. flow .. "/runs" .. (options.query or ""),
      options.input and options.input(i) or { n = i },
      options.key and { ["Idempotency-Key"] = options.key(i) } or nil)
  end, function(i, response)
    assert(response, "start " .. i .. " got no answer")
    assert(response.status == 201, response.body)
    ids[i] = json.decode(response.body).id
  end)
  return ids
end

-- How many runs are in each state, by the runtime's own metrics.
function support.states(runtime)
  local states = {}
  local response = testing.http("GET", runtime.url .. "/metrics")
  if not response then return states end
  for state, n in response.body:gmatch 'mintage_runs{state="([%w_]+)"} (%d+)' do states[state] = tonumber(n) end
  return states
end

-- Waits until n runs are in this state.
function support.wait_for_state(runtime, state, n, timeout_ms)
  local last
  local ok = pcall(testing.wait_until, function()
    last = support.states(runtime)
    return (last[state] or 0) >= n
  end, nil, timeout_ms or 60000)
  if ok then return end
  local found = {}
  for name, count in pairs(last) do
    if count > 0 then found[#found + 1] = name .. " " .. count end
  end
  error(("wanted %d runs %s, found %s"):format(n, state, table.concat(found, ", ")), 2)
end

-- Milliseconds from the start of the process until it answers 200 to /readyz.
function support.launch(runtime)
  local from = testing.now_ms()
  runtime:launch()
  local response
  repeat response = testing.http("GET", runtime.url .. "/readyz") until response and response.status == 200
  return testing.now_ms() - from
end

return support
