-- The HTTP surface: who may, what is answered, and how it says no.

local testing = require "mintage.testing"
local json = testing.json

local hello = [[
local flow = require "mintage.flow"
return flow.define {
  name = "hello",
  input = { name = "string", price = "money?" },
  run = function(input)
    flow.progress { step = "asleep" }
    flow.sleep "50ms"
    return { greeting = "hello " .. input.name, price = input.price }
  end,
}
]]

local waits = [[
local flow = require "mintage.flow"
return flow.define {
  name = "waits",
  input = { id = "string" },
  run = function(input)
    return { got = flow.await("order", input.id, { within = "1h" }) }
  end,
}
]]

describe("the HTTP API", function()
  local runtime

  setup(function() runtime = testing.start("serve", { flows = testing.flows { ["hello.lua"] = hello, ["waits.lua"] = waits } }) end)
  teardown(testing.clean_up)

  local function problem(response, status, pattern)
    assert.equal(status, response.status, response.body)
    assert.equal("application/problem+json", response.headers["content-type"])
    assert.equal(status, response.json.status)
    assert.is_string(response.json.title)
    assert.matches(pattern, response.json.detail)
  end

  describe("asks for the admin token", function()
    it("and refuses none and a wrong one", function()
      for _, headers in ipairs { {}, { Authorization = "Bearer wrong" }, { Authorization = runtime.token } } do
        for _, path in ipairs { "/v1/runs", "/v1/flows", "/v1/events", "/v1/generations", "/v1/providers", "/v1/stream" } do
          local response = runtime:http("GET", path, nil, headers)
          problem(response, 401, "admin token")
          assert.equal("Bearer", response.headers["www-authenticate"])
        end
      end
      problem(runtime:http("POST", "/v1/flows/hello/runs", { name = "x" }), 401, "admin token")
    end)

    it("but not for health, readiness and metrics", function()
      for _, path in ipairs { "/healthz", "/readyz", "/metrics" } do
        assert.equal(200, runtime:http("GET", path).status)
      end
      assert.matches("mintage_generation_info{id=\"sha256:%x+\"} 1", runtime:http("GET", "/metrics").body)
    end)
  end)

  describe("starts runs", function()
    it("and answers 201 with the run and its place", function()
      local response = runtime:api("POST", "/v1/flows/hello/runs", { name = "Ann" })
      assert.equal(201, response.status)
      assert.matches("^run_%w+$", response.json.id)
      assert.equal("/v1/runs/" .. response.json.id, response.headers.location)
      assert.equal("hello", response.json.flow)
      assert.matches("^sha256:%x+$", response.json.generation)
      assert.matches("Z$", response.json.created_at)
    end)

    it("and waits for their end when asked to", function()
      local run, status = runtime:run("hello", { name = "Ann", price = { amount = 8000, currency = "USD" } }, { wait = "10s" })
      assert.equal(201, status)
      assert.equal("completed", run.state)
      assert.same({ greeting = "hello Ann", price = "80.00 USD" }, run.output)
      assert.equal("80.00 USD", run.input.price)
      assert.same({ step = "asleep" }, run.progress)
    end)

    it("and answers with the run as it is when the wait is over", function()
      local run = runtime:run("waits", { id = "never" }, { wait = "50ms" })
      assert.is_truthy(run.state == "waiting" or run.state == "running" or run.state == "queued")
    end)

    it("but not of a flow that does not exist", function()
      problem(runtime:api("POST", "/v1/flows/helo/runs", { name = "x" }), 404, "hello")
    end)

    it("but not with input that the flow refuses", function()
      problem(runtime:api("POST", "/v1/flows/hello/runs", { nam = "x" }), 422, "name")
      problem(runtime:api("POST", "/v1/flows/hello/runs", { name = 5 }), 422, "name")
      problem(runtime:api("POST", "/v1/flows/hello/runs", { name = "x", price = "80.001 USD" }), 422, "price")
    end)

    it("but not with a body that is no JSON object", function()
      problem(runtime:api("POST", "/v1/flows/hello/runs", "{"), 400, "JSON")
      problem(runtime:api("POST", "/v1/flows/hello/runs", "[1]"), 422, "object")
      problem(runtime:api("POST", "/v1/flows/hello/runs?wait=soon", { name = "x" }), 422, "wait")
    end)
  end)

  describe("lists runs", function()
    it("newest first, page by page", function()
      local made = {}
      for i = 1, 5 do made[runtime:run("hello", { name = "page" .. i }).id] = true end
      local cursor, last, seen = nil, "z", 0
      repeat
        local page = runtime:api("GET", "/v1/runs?flow=hello&limit=2" .. (cursor and "&cursor=" .. cursor or "")).json
        assert.is_true(#page.data <= 2)
        for _, run in ipairs(page.data) do
          assert.is_true(run.id < last) -- ids sort by the time they were made
          last = run.id
          if made[run.id] then seen = seen + 1 end
        end
        cursor = page.next_cursor ~= json.null and page.next_cursor or nil
      until not cursor
      assert.equal(5, seen)
    end)

    it("by flow, state and key", function()
      local run = runtime:run("hello", { name = "keyed" }, { key = "list-1", wait = "10s" })
      local found = runtime:api("GET", "/v1/runs?flow=hello&state=completed&key=list-1").json
      assert.equal(1, #found.data)
      assert.equal(run.id, found.data[1].id)
      assert.equal(json.null, found.next_cursor)
      assert.equal(0, #runtime:api("GET", "/v1/runs?flow=other").json.data)
    end)

    it("but not with parameters that make no sense", function()
      problem(runtime:api("GET", "/v1/runs?limit=0"), 422, "limit")
      problem(runtime:api("GET", "/v1/runs?limit=1001"), 422, "limit")
      problem(runtime:api("GET", "/v1/runs?limit=ten"), 422, "limit")
      problem(runtime:api("GET", "/v1/runs?state=done"), 422, "state")
    end)
  end)

  it("shows a run and its journal", function()
    local run = runtime:run("hello", { name = "journal" }, { wait = "10s" })
    assert.same(run.output, runtime:get_run(run.id).output)
    local kinds = {}
    for i, entry in ipairs(runtime:journal(run.id)) do
      assert.equal(i, entry.seq)
      assert.matches("^hello.lua:%d+$", entry.line)
      kinds[i] = entry.kind .. " " .. tostring(entry.outcome)
    end
    assert.same({ "progress done", "sleep done" }, kinds)
  end)

  it("says that there is no such run", function()
    for _, path in ipairs { "", "/journal" } do
      problem(runtime:api("GET", "/v1/runs/run_00000000000000000000000000" .. path), 404, "no run")
    end
    problem(runtime:api("POST", "/v1/runs/run_00000000000000000000000000/cancel"), 404, ".")
    problem(runtime:api("GET", "/v1/runs/" .. ("x"):rep(500)), 404, "no run")
  end)

  it("lists what is loaded", function()
    local flows = runtime:api("GET", "/v1/flows").json
    assert.equal("hello", flows.data[1].name)
    assert.equal("hello.lua", flows.data[1].file)
    assert.equal("waits", flows.data[2].name)
    local generations = runtime:api("GET", "/v1/generations").json
    assert.equal(generations.current, generations.data[1].id)
    assert.is_true(generations.data[1].current)
    assert.equal(json.null, generations.problem)
    local names = {}
    for _, provider in ipairs(runtime:api("GET", "/v1/providers").json.data) do names[provider.name] = true end
    assert.is_true(names.mintro)
  end)

  it("wakes a run by a signal, and lists the event", function()
    local run = runtime:run("waits", { id = "A-1" })
    runtime:wait_for(run.id, "waiting")
    local response = runtime:api("POST", "/v1/runs/" .. run.id .. "/signal", { topic = "order", key = "A-1", payload = { n = 7 } })
    assert.equal(200, response.status)
    assert.same({ got = { n = 7 } }, runtime:wait_for(run.id, "completed").output)
    local event = runtime:api("GET", "/v1/events?topic=order&key=A-1").json.data[1]
    assert.same({ n = 7 }, event.payload)
    problem(runtime:api("POST", "/v1/runs/" .. run.id .. "/signal", { topic = "order", key = "A-1" }), 409, "ended")
    problem(runtime:api("POST", "/v1/runs/" .. run.id .. "/signal", { topic = "order" }), 422, "key")
  end)

  it("refuses what a run's state forbids, and bodies with wrong fields", function()
    local run = runtime:run("hello", { name = "done" }, { wait = "10s" })
    local path = "/v1/runs/" .. run.id
    problem(runtime:api("POST", path .. "/cancel"), 409, ".")
    problem(runtime:api("POST", path .. "/retry"), 409, ".")
    problem(runtime:api("POST", path .. "/resolve", { seq = 1, outcome = "done", value = 1 }), 409, ".")
    problem(runtime:api("POST", path .. "/resolve", { seq = 1, outcome = "maybe" }), 422, "outcome")
    problem(runtime:api("POST", path .. "/resolve", { seq = 0, outcome = "rejected" }), 422, "seq")
    problem(runtime:api("POST", path .. "/resolve", { seq = 1, outcome = "done" }), 422, "value")
    problem(runtime:api("POST", path .. "/cancel", { reson = "x" }), 422, "reason")
  end)

  it("streams what changes", function()
    runtime:run("hello", { name = "stream" })
    local answer = testing.native.raw(runtime.port,
      "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " .. runtime.token .. "\r\n\r\n", 700)
    assert.matches("^HTTP/1.1 200", answer)
    assert.matches("text/event%-stream", answer)
    assert.matches("event: run\n", answer)
    assert.matches("\"completed\"", answer)
  end)

  it("answers 404, 405 and HEAD as HTTP wants it", function()
    problem(runtime:http("GET", "/nothing/here"), 404, ".")
    local response = runtime:api("DELETE", "/v1/runs")
    problem(response, 405, ".")
    assert.matches("GET", response.headers.allow)
    response = runtime:http("HEAD", "/healthz")
    assert.equal(200, response.status)
    assert.equal("", response.body)
    assert.is_string(response.headers["x-request-id"])
  end)
end)
