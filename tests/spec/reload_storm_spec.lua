-- Flows saved again and again, some of them broken, while clients keep calling: no request fails, what is registered is registered
-- once, runs in flight end on the code they began with, and whoever looks is told what is broken.

local testing = require "mintage.testing"
local support = dofile((debug.getinfo(1, "S").source:match "^@(.*/)" or "./") .. "scale_support.lua")
local json, native = testing.json, testing.native

local RELOADS = support.size(60, 1000)
local CLIENTS = 3
local GROWTH_KIB = 32 * 1024 -- after the first 50 reloads; as many generations as are kept in memory are there by then
local OLD_RUNS = support.size(10, 50) -- started at moments spread over the storm, ended after it

local function flow_file(n)
  return ([[
local flow = require "mintage.flow"
return flow.define {
  name = "order",
  input = { wait = "boolean?" },
  run = function(input)
    flow.sleep "1ms"
    if input.wait then flow.await("go", flow.id(), { within = "10d" }) end
    return { version = %d }
  end,
}
]]):format(n)
end

local function route_file(n)
  return ([[
local web = require "mintage.web"
web.get("/version", { public = true }, function() return { json = { version = %d } } end)
web.get("/only/%d", { public = true }, function() return { text = "here" } end)
]]):format(n, n)
end

-- Every way for a file to be broken: in its text, when it runs, in what it registers, and never coming to an end.
local broken = {
  { "order.lua", "return flow.define {", "order.lua:1" },
  { "order.lua", "local x = nil\nlocal y = x.y\n", "order.lua:2" },
  { "page.lua", 'local web = require "mintage.web"\nweb.get("no/slash", function() end)\n', "page.lua:2" },
  { "page.lua", 'local web = require "mintage.web"\n' .. ('web.get("/twice", function() end)\n'):rep(2), "page.lua:3" },
  { "page.lua", 'local flow = require "mintage.flow"\nflow.define { name = "order", run = function() end }\n', "order" },
  { "order.lua", 'require "nowhere.to.be.found"\n', "nowhere" },
  { "page.lua", 'local flow = require "mintage.flow"\nflow.sleep "1s"\n', "page.lua:2" },
}
local endless = { "page.lua", "while true do end\n", "page.lua:1" }

-- A client in a process of its own: reads the page and runs the flow, over and over, until it is told to stop. Everything that is
-- not as it should be is a line of its report.
local client = [[
local testing = require "mintage.testing"
local json, native = testing.json, testing.native
local url, token, dir = %q, %q, %q
it("calls", function()
  local report = { requests = 0, failures = json.array {}, slowest_us = 0 }
  local function failed(what, response)
    if #report.failures < 20 then
      table.insert(report.failures, what .. ": " .. (response and response.status .. " " .. response.body or "no answer"))
    end
  end
  local headers = { Authorization = "Bearer " .. token, ["Content-Type"] = "application/json" }
  local batch = {}
  for i = 1, 4 do
    batch[2 * i - 1] = { method = "GET", url = url .. "/version" }
    batch[2 * i] = { method = "POST", url = url .. "/v1/flows/order/runs?wait=20s", headers = headers, body = "{}" }
  end
  testing.write(dir .. "/going", "")
  while not testing.exists(dir .. "/stop") do
    for i, response in ipairs(native.requests(batch)) do
      report.requests = report.requests + 1
      local answer = response and json.decode(response.body)
      if not response or type(answer) ~= "table" then
        failed("request", response)
      elseif response.duration_us > report.slowest_us then
        report.slowest_us = response.duration_us
      end
      if response and i %% 2 == 1 and not (response.status == 200 and math.type(answer.version)) then failed("page", response) end
      if response and i %% 2 == 0 and not (response.status == 201 and answer.state == "completed") then failed("run", response) end
    end
  end
  testing.write(dir .. "/report", json.encode(report))
end)
]]

describe(("%d reloads under load"):format(RELOADS), function()
  local runtime, flows, clients

  before_each(function()
    clients = {}
    flows = testing.flows { ["order.lua"] = flow_file(0), ["page.lua"] = route_file(0) }
    runtime = testing.start("serve", { flows = flows })
  end)
  after_each(function()
    for _, c in ipairs(clients) do c.process:close() end
    testing.clean_up()
  end)

  local function start_client()
    local dir = testing.folder()
    testing.write(dir .. "/client_spec.lua", client:format(runtime.url, runtime.token, dir))
    local process = native.spawn({ testing.program, "test", dir .. "/client_spec.lua" },
      { out = dir .. "/out", err = dir .. "/out" })
    clients[#clients + 1] = { process = process, dir = dir }
    testing.wait_until(function() return testing.exists(dir .. "/going") end, "the client is under way")
  end

  local function finish(c)
    testing.write(c.dir .. "/stop", "")
    assert.equal(0, c.process:wait(60000), testing.read(c.dir .. "/out"))
    return json.decode(testing.read(c.dir .. "/report"))
  end

  local function generations() return runtime:api("GET", "/v1/generations?limit=1").json end

  local function save(name, text)
    testing.write(flows .. "/.new", text) -- as editors do: never half a file
    assert(os.rename(flows .. "/.new", flows .. "/" .. name))
  end

  -- Saves a file and waits until the runtime has made up its mind about it.
  local function settle(what, condition)
    return testing.wait_until(function()
      local g = generations()
      return condition(g.current, g.problem ~= json.null and g.problem or nil) and g
    end, what, 20000)
  end

  local version, serving, old

  -- A run that will wait until the storm is over.
  local function start_old()
    local run, status = runtime:run("order", { wait = true })
    assert.equal(201, status)
    old[#old + 1] = { id = run.id, version = version }
  end

  local function reload_broken(bad, look)
    save(bad[1], bad[2])
    local g = settle("the mistake is told: " .. bad[3], function(_, problem) return problem end)
    assert.equal(serving, g.current)
    local told = ("%s:%s %s"):format(g.problem.file, g.problem.line, g.problem.message)
    assert.is_truthy(told:find(bad[3], 1, true), bad[3] .. " is not in " .. told)
    if look then
      local listed = testing.run { "runs", "list", "--url", runtime.url, "--data", runtime.data }
      assert.matches("flows are broken", listed.out)
      assert.is_truthy(listed.out:find(bad[3], 1, true), listed.out)
    end
    save(bad[1], bad[1] == "order.lua" and flow_file(version) or route_file(version))
    g = settle("the mistake is gone", function(_, problem) return not problem end)
    assert.equal(serving, g.current)
  end

  -- The two files may be seen in one look or one after the other.
  local function reload_next()
    version = version + 1
    save("order.lua", flow_file(version))
    save("page.lua", route_file(version))
    settle("version " .. version .. " serves", function(current, problem)
      assert.is_nil(problem, problem and problem.message)
      return current ~= serving and runtime:http("GET", "/only/" .. version).status == 200
    end)
    testing.wait_until(function()
      return runtime:run("order", {}, { wait = "20s" }).output.version == version
    end, "new runs get version " .. version)
    serving = generations().current
  end

  -- Each registration once, and only those of the last version.
  local function check_registered()
    local listed, routes = runtime:api("GET", "/v1/flows").json, {}
    assert.equal(1, #listed.data)
    assert.equal("order", listed.data[1].name)
    for _, handler in ipairs(listed.handlers) do
      if handler.kind == "route" then routes[#routes + 1] = handler.name end
    end
    table.sort(routes)
    assert.same({ "GET /only/" .. version, "GET /version" }, routes)
    assert.equal(404, runtime:http("GET", "/only/" .. version - 1).status)
  end

  local function finish_old(first, last)
    for i = first, last do
      runtime:api("POST", "/v1/runs/" .. old[i].id .. "/signal", { topic = "go", key = old[i].id })
      assert.equal(old[i].version, runtime:wait_for(old[i].id, "completed").output.version)
    end
  end

  local function finish_clients()
    local requests, slowest = 0, 0
    for _, c in ipairs(clients) do
      local report = finish(c)
      assert.same({}, report.failures)
      requests, slowest = requests + report.requests, math.max(slowest, report.slowest_us)
    end
    return requests, slowest / 1000
  end

  local function memory() return support.memory(runtime.process:pid()) end

  it("fail no request, register nothing twice, and leave runs in flight on their code", function()
    local warm, breaks, from = nil, 0, testing.now_ms()
    version, serving, old = 0, generations().current, {}
    for _ = 1, CLIENTS do start_client() end
    for n = 1, RELOADS do
      if n % (RELOADS // OLD_RUNS) == 0 and #old < OLD_RUNS then start_old() end
      if n % 5 ~= 0 then
        reload_next()
      else
        breaks = breaks + 1
        reload_broken(n % 50 == 0 and endless or broken[breaks % #broken + 1], breaks == 1)
      end
      if n == 50 then warm = memory() end
    end
    local seconds, grown = (testing.now_ms() - from) / 1000, memory() - warm

    check_registered()
    finish_old(1, #old // 2)
    local requests, slowest = finish_clients()
    support.say("%d reloads (%d broken, then mended) in %.1f s; %d requests, none failed, slowest %.0f ms; RSS %.1f MiB (%+.1f)",
      RELOADS, breaks, seconds, requests, slowest, memory() / 1024, grown / 1024)
    assert.is_true(requests > RELOADS)
    assert.is_true(grown < GROWTH_KIB, ("RSS grew by %d KiB"):format(grown))

    runtime:kill() -- from now on the old code is only in the store
    runtime:launch()
    finish_old(#old // 2 + 1, #old)
    assert.same({}, runtime:api("GET", "/v1/runs?state=needs_attention").json.data)
  end)
end)
