-- Every request and answer that the four providers' own pages show (tests/spec/seed_examples) is replayed against the sandbox
-- through a shell and curl, as a reader would paste it. Answers are compared as text, blanks between values and the page's own
-- comments apart; so members come in the page's order. Placeholders: {HOST}, {KEY}, {SECRET} and {APP} are credentials,
-- {AT} the time, {SIGN x} MINT's signature over x, {UUID} a new one, {uuid} and other small names what an example set before;
-- in answers {ID}, {N}, {TIME} and {TEXT} fit any id, number, time and text.

local testing = require "mintage.testing"
local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local mint = dofile(here .. "mint_support.lua")

local credentials = {
  mintro = { KEY = "mintro_test_client", SECRET = "mintro_test_secret" },
  paymnt = { KEY = "sk_sandbox_mintage" },
  mint = { KEY = mint.KEY, APP = mint.APP },
  paymint = { KEY = "mmk_test_key" },
}

-- JSON as a page prints it without its comments, its last commas, and the blanks between values.
local function compact(text)
  local out, at = {}, 1
  while at <= #text do
    local rest = text:match('^"[^"\\]*"', at) or text:match('^"[^"\\]*\\.-[^\\]"', at)
    if rest then
      out[#out + 1] = rest
      at = at + #rest
    else
      local skipped = text:match("^%s+", at) or text:match("^//[^\n]*", at)
      if not skipped then out[#out + 1] = text:sub(at, at) end
      at = at + (skipped and #skipped or 1)
    end
  end
  return (table.concat(out):gsub(",([}%]])", "%1"))
end

local fits = {
  ID = "[%w_-]+", N = "%d+", TEXT = '[^"]+', HOST = "http://127%.0%.0%.1:%d+",
  TIME = "%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%d%d%d%dZ",
}

-- A Lua pattern for a page's answer.
local function pattern_of(sample)
  local pattern = compact(sample):gsub("%p", "%%%0"):gsub("%%{(%u+)%%}", fits)
  return "^" .. pattern:gsub("%%%.%%%.%%%.", ".*") .. "$"
end

-- Whether all that sample says stands in found, at the same places.
local function holds(found, sample, where)
  if type(sample) ~= "table" then
    if type(sample) == "string" then
      assert(type(found) == "string" and found:find("^" .. sample:gsub("%p", "%%%0"):gsub("%%{(%u+)%%}", fits) .. "$"),
        ("%s: found %s, wanted %s"):format(where, tostring(found), sample))
    else
      assert(found == sample, ("%s: found %s, wanted %s"):format(where, tostring(found), tostring(sample)))
    end
    return
  end
  assert(type(found) == "table", where .. " is no object")
  for name, value in pairs(sample) do holds(found[name], value, where .. "." .. name) end
end

describe("the providers' own examples", function()
  local sandbox, replay
  local count = 0

  setup(function() sandbox = testing.start("sandbox", {}) end)
  teardown(function()
    testing.clean_up()
    io.stderr:write(("%d examples of the providers' pages replayed\n"):format(count))
  end)

  -- What an example may use, and what it has set.
  local function new_replay(provider)
    local values = { HOST = sandbox.url }
    for name, value in pairs(credentials[provider]) do values[name] = value end
    local r = {
      mintro = { ["X-Client-ID"] = "mintro_test_client", ["X-Client-Secret"] = "mintro_test_secret" },
      paymint = { ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-MMK-Mode"] = "true" },
    }
    function r.set(name, value) values[name] = value end
    function r.http(method, path, body, headers) return assert(sandbox:http(method, path, body, headers)) end
    function r.pay(who)
      local paid = sandbox:http("POST", "/_sandbox/pay", who)
      assert(paid.status == 200, paid.body)
    end
    function r.advance(by) testing.advance(sandbox, by) end
    function r.day() return (os.date("!%Y-%m-%d", mint.now(sandbox) + 8 * 86400)) end

    local function filled(text)
      local at = mint.now(sandbox)
      return (text:gsub("{AT}", tostring(at)):gsub("{SIGN ([^}]*)}", function(params)
        return mint.md5(mint.KEY .. at .. params .. mint.PRIVATE)
      end):gsub("{UUID}", function()
        return ("%08x-0a7a-4a2f-9a62-5d0f2a33e6f1"):format(math.random(0, 0xffffffff))
      end):gsub("{([%a_]+)}", values))
    end

    -- Runs a curl command as it stands: the status, the headers by their small names, the body.
    function r.shell(command, edit)
      local dir = testing.folder()
      command = filled(edit and edit(command, r) or command)
      testing.write(dir .. "/run.sh", command .. " -sS -D " .. dir .. "/head -o " .. dir .. "/body\n")
      local process = testing.native.spawn({ "/bin/sh", dir .. "/run.sh" }, { out = dir .. "/out", err = dir .. "/err" })
      local code = process:wait(30000)
      process:close()
      assert(code == 0, command .. "\n" .. testing.read(dir .. "/err"))
      local head, headers = testing.read(dir .. "/head"), {}
      for name, value in head:gmatch "\n([%w-]+):%s*([^\r\n]*)" do headers[name:lower()] = value end
      return { status = tonumber(head:match "^HTTP/%S+ (%d+)"), headers = headers, body = testing.read(dir .. "/body") }
    end
    return r
  end

  local function check_body(it, body)
    if it.payload or it.response then
      local sample = it.payload or it.response
      if it.also then sample = compact(sample):gsub("}$", (',"%s":"{N}"}'):format(it.also)) end
      assert(body:find(pattern_of(sample)), ("answered\n%s\nwhere the page has\n%s"):format(body, compact(sample)))
    end
    if it.holds then holds(testing.json.decode(body), testing.json.decode(it.holds), "the answer") end
  end

  -- The payload of a webhook is a member of its body at Mintro, and all of it at Paymint.
  local function payload_of(event)
    for _, delivery in ipairs(sandbox:http("GET", "/_sandbox/webhooks").json.data) do
      if delivery.event == event then return delivery end
    end
    error("no webhook " .. event)
  end

  -- The bytes that a listener gets.
  local function received(it)
    local listener = testing.native.receiver()
    local provider = it.event == "bill.paid" and "paymint" or "mintro"
    assert(sandbox:http("PUT", "/_sandbox/endpoints", { [provider] = "http://127.0.0.1:" .. listener:port() .. "/" }).status == 204)
    it.cause(replay)
    payload_of(it.event)
    local body = testing.wait_until(function()
      for _, request in ipairs(listener:requests()) do
        if provider == "paymint" or request.body:find('"event":"' .. it.event .. '"', 1, true) then return request.body end
      end
    end, "the listener got " .. it.event)
    listener:close()
    sandbox:http("PUT", "/_sandbox/endpoints", { [provider] = testing.json.null })
    if provider == "paymint" then return body end
    return assert(body:match('^{"event":"' .. it.event .. '","data":(.*)}$'), body)
  end

  for _, provider in ipairs { "mintro", "paymnt", "mint", "paymint" } do
    describe(provider, function()
      for _, it_is in ipairs(dofile(here .. "seed_examples/" .. provider .. ".lua")) do
        it(it_is.name, function()
          assert.equal(204, sandbox:http("DELETE", "/_sandbox/state").status)
          replay = new_replay(provider)
          if it_is.cause then
            check_body(it_is, received(it_is))
          else
            if it_is.before then it_is.before(replay) end
            local answer = replay.shell(it_is.request, it_is.edit)
            assert(answer.status == (it_is.status or 200), ("answered %s %s"):format(answer.status, answer.body))
            assert.equal("application/json", answer.headers["content-type"])
            for name, value in pairs(it_is.headers or {}) do assert.equal(value, answer.headers[name]) end
            check_body(it_is, answer.body)
          end
          count = count + 1
        end)
      end
    end)
  end
end)
