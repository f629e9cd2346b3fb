-- Kill -9 with a thousand runs in the middle of a call: after the restart all are under way again at once, none is lost, and a call
-- that is repeated is repeated with the same key and the same body.

local testing = require "mintage.testing"
local support = dofile((debug.getinfo(1, "S").source:match "^@(.*/)" or "./") .. "scale_support.lua")
local json = testing.json

local RUNS = support.size(200, 1000)
local UNDER_WAY_MS = 2000

local caller = [[
local flow = require "mintage.flow"
local http = require "mintage.http"
return flow.define {
  name = "caller",
  input = { n = "integer", url = "url" },
  run = function(input)
    local key = flow.uuid()
    local answer = http.post { url = input.url, json = { n = input.n, key = key }, idempotency_key = key, timeout_ms = 120000 }
    return { n = input.n, status = answer.status }
  end,
}
]]

describe(("kill -9 with %d runs waiting for an answer"):format(RUNS), function()
  local target

  -- Requests of the dead process still occupy the target when those of the new one come.
  before_each(function() target = testing.native.receiver(2 * RUNS + 100) end)
  after_each(function()
    target:close()
    testing.clean_up()
  end)

  local function start(settings)
    settings = settings or {}
    settings.flows = testing.flows { ["caller.lua"] = caller }
    local runtime = testing.start("serve", settings)
    local url = ("http://127.0.0.1:%d/pay"):format(target:port())
    target:hold()
    local ids = support.start_runs(runtime, "caller", RUNS, { input = function(i) return { n = i, url = url } end })
    local at_once = math.min(settings.workers or RUNS, RUNS)
    testing.wait_until(function() return target:count() == at_once end, "the calls are under way", 30000)
    return runtime, ids, at_once
  end

  -- Kills and restarts; answers how long it took until as many calls as can be are under way again.
  local function crash(runtime, at_once)
    local before = target:count()
    runtime:kill()
    local from = testing.now_ms()
    local ready = support.launch(runtime)
    testing.wait_until(function() return target:count() >= before + at_once end, "the calls are under way again", 30000)
    return testing.now_ms() - from, ready
  end

  local function check_states(runtime)
    local states = support.states(runtime)
    assert.equal(RUNS, (states.running or 0) + (states.queued or 0), "every run is executing or queued")
  end

  local function check_end(runtime, ids)
    target:release()
    support.wait_for_state(runtime, "completed", RUNS, 120000)
    for i, id in ipairs(ids) do assert.same({ n = i, status = 200 }, runtime:get_run(id).output) end
    local bodies, keys, repeated = {}, {}, 0
    for _, request in ipairs(target:requests()) do
      local key, n = request.headers["idempotency-key"], json.decode(request.body).n
      if bodies[key] then repeated = repeated + 1 end
      assert.equal(bodies[key] or request.body, request.body)
      assert.equal(keys[n] or key, key, "run " .. n .. " called with two keys")
      bodies[key], keys[n] = request.body, key
    end
    for i = 1, RUNS do assert.is_string(keys[i]) end
    return repeated
  end

  it("as it comes: all call again within 2 s", function()
    local runtime, ids, at_once = start()
    assert.equal(RUNS, at_once)
    local took, ready = crash(runtime, at_once)
    support.say("%d calls under way again %d ms after the restart (ready after %d ms)", at_once, took, ready)
    assert.is_true(took < UNDER_WAY_MS, ("under way again only after %d ms"):format(took))
    check_states(runtime)
    assert.equal(RUNS, check_end(runtime, ids))
  end)

  it("with 64 workers at most: as many call again within 2 s, the others follow", function()
    local runtime, ids, at_once = start { workers = 64 }
    local took, ready = crash(runtime, at_once)
    support.say("%d calls under way again %d ms after the restart (ready after %d ms), %d queued", at_once, took, ready,
      RUNS - at_once)
    assert.is_true(took < UNDER_WAY_MS, ("under way again only after %d ms"):format(took))
    check_states(runtime)
    assert.equal(at_once, check_end(runtime, ids))
  end)

  it("again and again, while calls are answered", function()
    local runtime, ids, at_once = start { workers = 64 }
    for _ = 1, 5 do
      target:release()
      local answered = target:count()
      testing.wait_until(function() return target:count() > answered + 10 or support.states(runtime).completed == RUNS end,
        "some are answered")
      target:hold()
      runtime:kill()
      support.launch(runtime)
    end
    check_end(runtime, ids)
    assert.equal(64, at_once)
  end)
end)
