-- Flows that change while they run: new runs get the new code, runs in flight keep theirs, broken files change nothing.

local testing = require "mintage.testing"

local function version(n, more)
  return ([[
local flow = require "mintage.flow"
return flow.define {
  name = "versioned",
  input = { wait = "boolean?" },
  run = function(input)
    %s
    if input.wait then flow.await("go", "on", { within = "1h" }) end
    return { version = %d }
  end,
}
]]):format(more or "", n)
end

describe("saving a flow", function()
  local runtime, flows

  before_each(function()
    flows = testing.flows { ["versioned.lua"] = version(1) }
    runtime = testing.start("serve", { flows = flows })
  end)
  after_each(testing.clean_up)

  local function current() return runtime:api("GET", "/v1/generations").json.current end
  local function problem()
    local found = runtime:api("GET", "/v1/generations").json.problem
    return found ~= testing.json.null and found or nil
  end

  local function save(text)
    local before = current()
    testing.write(flows .. "/versioned.lua", text)
    testing.wait_until(function() return current() ~= before end, "the new generation is there", 5000)
  end

  local function outcome() return runtime:run("versioned", {}, { wait = "10s" }).output.version end

  it("gives new runs the new code", function()
    assert.equal(1, outcome())
    save(version(2))
    assert.equal(2, outcome())
  end)

  it("leaves runs in flight their own code, even when the file is gone and the process was killed", function()
    local run = runtime:run("versioned", { wait = true })
    runtime:wait_for(run.id, "waiting")
    save(version(2))
    os.remove(flows .. "/versioned.lua")
    testing.write(flows .. "/other.lua", (version(3):gsub('"versioned"', '"other"')))
    runtime:kill()
    runtime:launch()
    runtime:api("POST", "/v1/runs/" .. run.id .. "/signal", { topic = "go", key = "on" })
    assert.equal(1, runtime:wait_for(run.id, "completed").output.version)
  end)

  it("does nothing when the contents stay the same", function()
    local before = current()
    testing.write(flows .. "/versioned.lua", version(1))
    testing.write(flows .. "/notes.txt", "not a flow")
    save(version(2))
    save(version(1))
    assert.equal(before, current())
    assert.equal(2, #runtime:api("GET", "/v1/generations").json.data)
  end)

  it("with a mistake in it keeps the code that works, and says file and line", function()
    local before = current()
    testing.write(flows .. "/versioned.lua", version(2, "if then"))
    local found = testing.wait_until(problem, "the problem is told", 5000)
    assert.equal("versioned.lua", found.file)
    assert.equal(6, found.line)
    assert.equal(before, current())
    assert.equal(1, outcome())
    assert.equal(200, runtime:http("GET", "/readyz").status)
    local listed = testing.run { "runs", "list", "--url", runtime.url, "--data", runtime.data }
    assert.matches("flows are broken", listed.out)
    assert.matches("versioned.lua:6", listed.out)
    assert.matches("mintage_flows_broken 1", runtime:http("GET", "/metrics").body)

    testing.write(flows .. "/versioned.lua", version(3))
    testing.wait_until(function() return not problem() end, "the problem is gone", 5000)
    assert.equal(3, outcome())
  end)

  it("with a mistake in it lets a restart use what worked before", function()
    testing.write(flows .. "/versioned.lua", "return nonsense(")
    testing.wait_until(problem, "the problem is told", 5000)
    assert.equal(0, runtime:stop())
    runtime:launch()
    assert.equal(1, outcome())
    assert.is_table(problem())
  end)

  it("in a subfolder counts too", function()
    local lfs = require "lfs"
    lfs.mkdir(flows .. "/lib")
    testing.write(flows .. "/lib/number.lua", "return 5\n")
    save((version(1):gsub("version = 1", 'version = require "lib.number"')))
    assert.equal(5, outcome())
    local before = current()
    testing.write(flows .. "/lib/number.lua", "return 6\n")
    testing.wait_until(function() return current() ~= before end, "the change of the library is there", 5000)
    assert.equal(6, outcome())
  end)
end)

describe("a runtime without a folder of flows", function()
  teardown(testing.clean_up)

  it("serves what ships until there is one", function()
    local dir = testing.folder()
    local process = testing.native.spawn({ testing.program, "serve", "--port=0", "--data=" .. dir .. "/data" },
      { ready = true, dir = dir, err = dir .. "/log" })
    local url = "http://127.0.0.1:" .. assert(process:ready(10000))
    local headers = { Authorization = "Bearer " .. testing.read(dir .. "/data/admin-token"):match "%S+" }
    local function has(name)
      for _, flow in ipairs(testing.http("GET", url .. "/v1/flows", nil, headers).json.data) do
        if flow.name == name then return true end
      end
    end
    assert.is_true(has "checkout")
    assert(require("lfs").mkdir(dir .. "/flows"))
    testing.write(dir .. "/flows/versioned.lua", version(1))
    testing.wait_until(function() return has "versioned" and not has "checkout" end, "the folder's flows are there")
    process:close()
  end)
end)

describe("a runtime whose flows never worked", function()
  teardown(testing.clean_up)

  it("starts, says why it is not ready, and gets ready when they are mended", function()
    local flows = testing.flows { ["versioned.lua"] = "oops oops" }
    local runtime = testing.start("serve", { flows = flows })
    local response = runtime:http("GET", "/readyz")
    assert.equal(503, response.status)
    assert.matches("versioned.lua:1", response.json.detail)
    assert.equal(503, runtime:api("POST", "/v1/flows/versioned/runs", {}).status)
    testing.write(flows .. "/versioned.lua", version(1))
    testing.wait_until(function() return runtime:http("GET", "/readyz").status == 200 end, "it is ready", 5000)
  end)
end)
