-- A full disk: starts are refused with a reason, runs wait and go on when there is room again, nothing is lost and nothing is sent
-- twice, not even when the runtime is killed meanwhile. Needs a file system of its own, so root.

local testing = require "mintage.testing"
local support = dofile((debug.getinfo(1, "S").source:match "^@(.*/)" or "./") .. "scale_support.lua")
local json, native = testing.json, testing.native

local RUNS = support.size(100, 1000)
local SIZE = "24m"

local worker = [[
local flow = require "mintage.flow"
local http = require "mintage.http"
return flow.define {
  name = "worker",
  input = { n = "integer", url = "url", padding = "string?" },
  run = function(input)
    for step = 1, 3 do
      http.post { url = input.url, json = { n = input.n, step = step }, idempotency_key = flow.key() .. "-" .. step }
      flow.progress { step = step, padding = input.padding }
    end
    return { n = input.n }
  end,
}
]]

local function root()
  local pipe = io.popen "id -u"
  local id = pipe:read "n"
  pipe:close()
  return id == 0
end

describe("a full disk", function()
  local mount, target, runtime

  before_each(function()
    mount = testing.folder()
    if not root() or not os.execute(("mount -t tmpfs -o size=%s,mode=700 tmpfs %s 2>/dev/null"):format(SIZE, mount)) then
      mount = nil
      return
    end
    target = native.receiver(200)
    runtime = testing.start("serve", { flows = testing.flows { ["worker.lua"] = worker }, data = mount .. "/data" })
  end)

  after_each(function()
    if not mount then return end
    runtime.process:close()
    target:close()
    os.execute("umount " .. mount)
    testing.clean_up()
  end)

  -- Takes all the room there is; answers the file to remove.
  local function fill()
    local name = mount .. "/filler"
    local file = assert(io.open(name, "wb"))
    file:setvbuf "no"
    for _, chunk in ipairs { 65536, 4096, 512, 1 } do
      repeat until not file:write(("x"):rep(chunk))
    end
    file:close()
    return name
  end

  local function input(i) return { n = i, url = ("http://127.0.0.1:%d/"):format(target:port()) } end

  local function start(i, key)
    return runtime:api("POST", "/v1/flows/worker/runs", input(i), { ["Idempotency-Key"] = key })
  end

  local function start_all()
    return support.start_runs(runtime, "worker", RUNS, { input = input, key = function(i) return "run-" .. i end })
  end

  -- Every step of every run has reached the target with one key and one body; how many came more than once.
  local function check_calls()
    local bodies, repeated = {}, 0
    for _, request in ipairs(target:requests()) do
      local key = request.headers["idempotency-key"]
      if bodies[key] then repeated = repeated + 1 end
      assert.equal(bodies[key] or request.body, request.body)
      bodies[key] = request.body
    end
    local expected = {}
    for i = 1, RUNS do
      for step = 1, 3 do
        local key = ("run-%d-%d"):format(i, step)
        assert.same({ n = i, step = step }, json.decode(bodies[key] or "null"), key)
        expected[key] = true
      end
    end
    for key in pairs(bodies) do assert.is_true(expected[key], key .. " was never accepted") end
    return repeated
  end

  local function check_end(ids)
    support.wait_for_state(runtime, "completed", RUNS, 120000)
    for i, id in ipairs(ids) do assert.same({ n = i }, runtime:get_run(id).output) end
    assert.same({}, runtime:api("GET", "/v1/runs?state=needs_attention").json.data)
  end

  -- Starts until one is refused: the database may have room inside it for a few more.
  local function start_until_refused()
    local accepted = 0
    for i = 1, 100000 do
      local response = runtime:api("POST", "/v1/flows/worker/runs",
        { n = RUNS + i, url = "http://127.0.0.1:9/", padding = ("x"):rep(4000) }, { ["Idempotency-Key"] = "refused-" .. i })
      if response.status ~= 201 then return response, accepted end
      accepted = accepted + 1
    end
  end

  it("refuses starts, and lets runs wait until there is room", function()
    if not mount then return pending "needs root, to mount a small file system" end
    target:hold()
    local ids = start_all()
    testing.wait_until(function() return target:count() >= math.min(64, RUNS) end, "runs are under way")
    local filler = fill()
    local response, accepted = start_until_refused()
    assert.is_true(response.status == 503 or response.status == 507, response.status .. " " .. response.body)
    assert.equal("application/problem+json", response.headers["content-type"])
    assert.matches("full", response.json.detail)
    support.say("disk full: start refused with %d (%s) after %d more", response.status, response.json.detail, accepted)

    target:release() -- answers come, and cannot be kept
    testing.wait_until(function() return testing.read(runtime.log):find "disk is full" end, "the log tells of it")
    assert.equal(200, runtime:http("GET", "/healthz").status)
    assert.equal("run-1", runtime:get_run(ids[1]).key) -- what was there can be read
    response = start(1, "run-1")
    assert.is_true(response.status == 200 or response.status == 503 or response.status == 507, response.body)
    assert.is_true((support.states(runtime).completed or 0) < RUNS)

    assert(os.remove(filler))
    local from = testing.now_ms()
    check_end(ids)
    support.say("%d runs complete %d ms after there was room again", RUNS, testing.now_ms() - from)
    assert.equal(0, check_calls(), "what was answered was not asked again")
    assert.equal(200, start(1, "run-1").status)
    assert.equal(201, start(RUNS + 1, "one-more").status)
  end)

  it("and kill -9 on top of it lose nothing", function()
    if not mount then return pending "needs root, to mount a small file system" end
    target:hold()
    local ids = start_all()
    testing.wait_until(function() return target:count() >= math.min(64, RUNS) end, "runs are under way")
    local filler = fill()
    target:release()
    testing.wait_until(function() return testing.read(runtime.log):find "disk is full" end, "the log tells of it")
    runtime:kill()
    local full = pcall(runtime.launch, runtime) -- on a disk that is full it may start or say why not
    if full then runtime:kill() end
    support.say("a start on the full disk: %s", full and "serves" or testing.read(runtime.log):match "[^\n]*\n?$")
    assert(os.remove(filler))
    runtime:launch()
    check_end(ids)
    local repeated = check_calls()
    support.say("%d of %d calls were repeated, with the same keys", repeated, 3 * RUNS)
    assert.is_true(repeated <= 64 * 2)
  end)
end)
