-- Hostile scripts in the real server. In a flow they park their run, with a reason and with what to do; in a handler they cost that
-- one request a 500. Whatever goes on beside them does not notice.

local testing = require "mintage.testing"
local support = dofile((debug.getinfo(1, "S").source:match "^@(.*/)" or "./") .. "scale_support.lua")
local json, native = testing.json, testing.native

-- What somebody else's request may take meanwhile, at most and usually. Scripts of others burn a processor; the machine may have
-- other guests.
local CALM_MOST_MS, CALM_USUAL_MS = 5000, 250

-- name, body, what the reason says.
local scripts = {
  { "loop", "while true do end", "computed for more than 300 ms" },
  { "loop_pcall", "while true do pcall(function() while true do end end) end", "computed for more than 300 ms" },
  { "loop_coroutine", "coroutine.wrap(function() while true do end end)()", "computed for more than 300 ms" },
  { "loop_coroutine_pcall", "while true do pcall(coroutine.wrap(function() while true do end end)) end", "computed for more than" },
  { "loop_close", "local x <close> = setmetatable({}, { __close = function() while true do end end })", "computed for more than" },
  { "loop_handler", "xpcall(error, function() while true do end end)", "computed for more than" },
  { "loop_sort", "table.sort({ 3, 2, 1 }, function() while true do end end)", "computed for more than" },
  { "loop_tostring", "error(tostring(setmetatable({}, { __tostring = function() while true do end end })))", "computed for more" },
  { "pattern", 'return (("a"):rep(400)):find(("a*"):rep(30) .. "b")', "computed for more than 300 ms" },
  { "pattern_pcall", 'while true do pcall(string.gsub, ("a"):rep(400), (".-"):rep(30) .. "b", "") end', "computed for more than" },
  { "rep_empty", 'string.rep("", 1 << 40)', "computed for more than" },
  { "memory", "local t = {} while true do t[#t + 1] = { t } end", "more than 32 MiB of memory" },
  { "memory_pcall", "while true do pcall(function() local t = {} while true do t[#t + 1] = { t } end end) end", "32 MiB" },
  { "memory_concat", 'local s = "x" while true do s = s .. s end', "more than 32 MiB of memory" },
  { "rep", 'return #string.rep("x", 1 << 30)', "more than 32 MiB of memory" },
  { "rep_huge", 'return #string.rep("x", 1 << 62, "yy")', "resulting string too large" },
  { "format", 'return #("%99999d"):format(1)', "invalid conversion" },
  { "recursion", "local function f() return 1 + f() end f()", "more than 32 MiB of memory" },
  { "recursion_pcall", "local function f() pcall(f) return 1 + f() end pcall(f)", "nested too deeply" },
  { "recursion_c", 'local function f() return ("x"):gsub("x", f) end f()', "nested too deeply" },
  { "recursion_meta", "local t = setmetatable({}, {}) getmetatable(t).__index = function(_, k) return t[k] end return t.x",
    "nested too deeply" },
  { "recursion_parse", 'load(("("):rep(100000))', "nested too deeply" },
  { "bytecode", 'assert(load("\\27LuaS\\0\\25\\147\\r\\n\\26\\n", "x", "b"))', "attempt to load a binary chunk" },
  { "dump", "string.dump(function() end)", "never bytecode" },
  { "system", 'os.execute "true"', "there is no os in a flow" },
  { "files", 'io.open "/etc/passwd"', "there is no io in a flow" },
  { "insides", "debug.getregistry()", "there is no debug in a flow" },
  { "library", 'package.loadlib("libc.so.6", "system")', "there is no package in a flow" },
  { "globals", "answer = 42", "undeclared global 'answer'" },
}

-- What only a flow can do wrong: to its journal.
local flow_scripts = {
  { "cyclic", "local t = {} t.t = t flow.progress { t = t }", "" },
  { "deep", "local t = {} for _ = 1, 5000 do t = { t } end flow.progress { t = t }", "" },
  { "large", 'flow.progress { t = ("x"):rep(2 << 20) }', "" },
  { "large_output", 'return { t = ("x"):rep(2 << 20) }', "" },
  { "unfit", "return { f = function() end }", "" },
}

local handler_scripts = {
  { "splitting", 'return { status = 200, headers = { ["X-A"] = "a\\r\\nSet-Cookie: b=c" }, text = "" }' },
  { "status", "return { status = 99999 }" },
  { "unfit", "return { json = { f = function() end } }" },
  { "money", 'return { json = require("mintage.http").post { url = "http://127.0.0.1:1/" } }' },
}

local function flow_files()
  local files = {}
  for _, list in ipairs { scripts, flow_scripts } do
    for _, s in ipairs(list) do
      files["f_" .. s[1] .. ".lua"] = ([[
local flow = require "mintage.flow"
return flow.define { name = "%s", run = function()
%s
end }
]]):format(s[1], s[2])
    end
  end
  for _, list in ipairs { scripts, handler_scripts } do
    for _, s in ipairs(list) do
      files["h_" .. s[1] .. ".lua"] = ([[
local web = require "mintage.web"
web.get("/%s", { public = true }, function()
%s
end)
]]):format(s[1], s[2])
    end
  end
  files["calm.lua"] = [[
local flow = require "mintage.flow"
local web = require "mintage.web"
flow.define { name = "calm", run = function() flow.sleep "1ms" return { well = true } end }
web.get("/calm", { public = true }, function() return { text = "well" } end)
]]
  return files
end

describe("hostile scripts", function()
  local runtime
  local waits = {}

  setup(function() runtime = testing.start("serve", { flows = testing.flows(flow_files()), cpu_limit = "300ms" }) end)
  teardown(testing.clean_up)

  local function calm()
    return support.request(runtime, "POST", "/v1/flows/calm/runs?wait=20s", {}), { method = "GET", url = runtime.url .. "/calm" }
  end

  -- Sends requests together with those of others who have nothing to do with it; answers the former's responses, and checks the
  -- latter's.
  local function beside(requests)
    local run, page = calm()
    local all = { run, page, table.unpack(requests) }
    local responses = native.requests(all)
    for i = 1, 2 do
      assert.is_table(responses[i], "somebody else got no answer")
      waits[#waits + 1] = responses[i].duration_us / 1000
      assert.is_true(waits[#waits] < CALM_MOST_MS, ("somebody else waited %.0f ms"):format(waits[#waits]))
    end
    assert.equal(201, responses[1].status)
    assert.is_true(json.decode(responses[1].body).output.well)
    assert.equal("well", responses[2].body)
    return { table.unpack(responses, 3) }
  end

  local function run_flow(name)
    local response = beside { support.request(runtime, "POST", "/v1/flows/" .. name .. "/runs?wait=30s", {}) }[1]
    assert.is_table(response, "the start got no answer")
    assert.equal(201, response.status, response.body)
    return json.decode(response.body)
  end

  for _, list in ipairs { scripts, flow_scripts } do
    for _, s in ipairs(list) do
      it("park their run: " .. s[1], function()
        local run = run_flow(s[1])
        assert.equal("needs_attention", run.state, json.encode(run))
        assert.is_truthy(run.error.message:find(s[3], 1, true), run.error.message)
        local where = list == scripts and "f_" .. s[1] .. ".lua:" or s[1] -- what it returned has no line, but a flow
        assert.is_truthy(json.encode(run.error):find(where, 1, true), json.encode(run.error))
        local shown = testing.run { "runs", "show", run.id, "--url", runtime.url, "--data", runtime.data }
        assert.equal(0, shown.code, shown.err)
        assert.is_truthy(shown.out:find("needs attention", 1, true), shown.out)
        assert.is_truthy(shown.out:find("What to do next", 1, true), shown.out)
        assert.is_truthy(shown.out:find("mintage runs retry " .. run.id, 1, true), shown.out)
      end)
    end
  end

  for _, list in ipairs { scripts, handler_scripts } do
    for _, s in ipairs(list) do
      it("cost one request of a handler: " .. s[1], function()
        local response = beside { { method = "GET", url = runtime.url .. "/" .. s[1] } }[1]
        assert.is_table(response, "the request got no answer")
        assert.equal(500, response.status, response.body)
        assert.equal("application/problem+json", response.headers["content-type"])
        local problem = json.decode(response.body)
        assert.equal(500, problem.status)
        assert.is_nil(response.body:find("h_" .. s[1], 1, true), "the outside learns nothing of the script: " .. response.body)
        assert.is_nil(response.headers["set-cookie"])
      end)
    end
  end

  it("all together leave the server standing", function()
    local memory = support.memory(runtime.process:pid())
    local requests = {}
    for _, s in ipairs(scripts) do
      requests[#requests + 1] = { method = "GET", url = runtime.url .. "/" .. s[1], timeout_ms = 120000 }
      requests[#requests + 1] = support.request(runtime, "POST", "/v1/flows/" .. s[1] .. "/runs", {})
    end
    for _, response in ipairs(beside(requests)) do assert.is_table(response) end
    testing.wait_until(function()
      local states = support.states(runtime)
      return (states.running or 0) + (states.queued or 0) == 0
    end, "all runs have ended or are parked", 60000)
    beside {}
    local grown = support.memory(runtime.process:pid()) - memory
    support.say("%d hostile scripts at once: RSS %+.1f MiB afterwards", #requests, grown / 1024)
    assert.is_true(grown < 64 * 1024, ("RSS grew by %d KiB"):format(grown))
  end)

  it("hardly delay what goes on beside them", function()
    local usual = support.median(waits)
    support.say("requests beside hostile scripts: %.1f ms usually, %.1f ms at most", usual, math.max(table.unpack(waits)))
    assert.is_true(usual < CALM_USUAL_MS, ("somebody else usually waited %.0f ms"):format(usual))
  end)

  it("that wrote a journal without end are parked, and told of flow.continue", function()
    local flows = testing.flows { ["endless.lua"] = [[
local flow = require "mintage.flow"
return flow.define { name = "endless", run = function() while true do flow.signal("t", "k", 1) end end }
]] }
    local other = testing.start("serve", { flows = flows })
    local run = other:run("endless", {})
    run = testing.wait_until(function()
      local now = other:get_run(run.id)
      return now.state ~= "running" and now.state ~= "queued" and now
    end, "the run is parked", 120000)
    assert.equal("needs_attention", run.state)
    assert.matches("flow.continue", run.error.message)
    assert.matches("50,?000", run.error.message)
  end)
end)

describe("hostile files", function()
  teardown(testing.clean_up)

  it("keep no runtime from starting", function()
    for _, text in ipairs {
      "while true do end", "local t = {} while true do t[#t + 1] = { t } end", "\27Lua\84\0", ("("):rep(100000),
      "local function f() return 1 + f() end f()", ("x"):rep(2 << 20),
    } do
      local runtime = testing.start("serve", { flows = testing.flows { ["bad.lua"] = text }, cpu_limit = "100ms" })
      local response = runtime:http("GET", "/readyz")
      assert.equal(503, response.status)
      assert.matches("bad.lua", response.json.detail)
      assert.equal(0, runtime:stop())
    end
  end)
end)
