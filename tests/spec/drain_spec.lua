-- Stopping: SIGTERM lets every request that was taken be answered, and loses no run.

local testing = require "mintage.testing"

local slow = [[
local flow = require "mintage.flow"
return flow.define {
  name = "slow",
  input = { id = "integer" },
  run = function(input)
    flow.sleep "300ms"
    return { id = input.id }
  end,
}
]]

describe("stopping the runtime", function()
  after_each(testing.clean_up)

  it("answers every request under way, and the runs carry on after a restart", function()
    local runtime = testing.start("serve", { flows = testing.flows { ["slow.lua"] = slow } })
    local requests = {}
    for i = 1, 40 do
      requests[i] = {
        method = "POST", url = runtime.url .. "/v1/flows/slow/runs?wait=30s", body = ('{"id":%d}'):format(i),
        headers = { Authorization = "Bearer " .. runtime.token },
      }
    end
    runtime.process:signal_after(150, 15)
    local ids = {}
    for i, response in ipairs(testing.native.requests(requests)) do
      assert.is_table(response, "request " .. i .. " got no answer")
      assert.equal(201, response.status)
      ids[i] = testing.json.decode(response.body).id
    end
    assert.equal(0, runtime.process:wait(40000))
    runtime:launch()
    for i, id in ipairs(ids) do assert.equal(i, runtime:wait_for(id, "completed").output.id) end
  end)

  it("ends streams and says goodbye at once when nothing is under way", function()
    local runtime = testing.start("serve", { flows = testing.flows { ["slow.lua"] = slow } })
    runtime.process:signal_after(100, 15)
    local answer = testing.native.raw(runtime.port,
      "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " .. runtime.token .. "\r\n\r\n", 5000)
    assert.matches("^HTTP/1.1 200", answer)
    local began = testing.now_ms()
    assert.equal(0, runtime.process:wait(10000))
    assert.is_true(testing.now_ms() - began < 5000)
  end)

  it("does the same for the sandbox, and on Ctrl-C", function()
    local sandbox = testing.start("sandbox")
    sandbox.process:signal(2)
    assert.equal(0, sandbox.process:wait(10000))
  end)
end)

describe("starting the runtime", function()
  teardown(testing.clean_up)

  it("makes a data folder that is its owner's alone", function()
    local lfs = require "lfs"
    local data = testing.folder() .. "/deep/er"
    local runtime = testing.start("serve", { flows = testing.flows { ["slow.lua"] = slow }, data = data })
    assert.equal("rwx------", lfs.attributes(data, "permissions"))
    for _, name in ipairs { "admin-token", "secret-key", "mintage.db" } do
      assert.equal("rw-------", lfs.attributes(data .. "/" .. name, "permissions"), name)
    end
    assert.equal(200, runtime:http("GET", "/readyz").status)
  end)

  it("serves the flows that ship when there is no folder of flows", function()
    local dir = testing.folder()
    local process = testing.native.spawn({ testing.program, "serve", "--port=0", "--data=" .. dir .. "/data" },
      { ready = true, dir = dir, err = dir .. "/log" })
    local port = assert(process:ready(10000))
    local token = testing.read(dir .. "/data/admin-token"):match "%S+"
    local flows = testing.http("GET", "http://127.0.0.1:" .. port .. "/v1/flows", nil, { Authorization = "Bearer " .. token }).json
    local names = {}
    for _, flow in ipairs(flows.data) do names[flow.name] = true end
    assert.is_true(names.checkout)
    assert.equal(200, testing.http("GET", "http://127.0.0.1:" .. port .. "/shop").status)
    process:close()
  end)

  it("refuses a folder of flows that was named and is not there", function()
    local result = testing.run { "serve", "--port", "0", "--data", testing.folder(), "--flows", "/no/such/flows" }
    assert.equal(2, result.code)
    assert.matches("/no/such/flows", result.err)
  end)

  it("says which port is taken", function()
    local first = testing.start("serve", { flows = testing.flows { ["slow.lua"] = slow } })
    local result = testing.run { "serve", "--port", tostring(first.port), "--data", testing.folder() }
    assert.not_equal(0, result.code)
    assert.matches(tostring(first.port), result.err)
  end)
end)
