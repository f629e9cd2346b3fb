-- mintage.testing: for specs that look at Mintage from outside. Starts the program on free ports and in new
-- folders, talks HTTP to it, and waits for conditions. testing.clean_up() ends what a spec leaves behind.

local native = require "mintage.testing.native"
local lfs = require "lfs"

local testing = {
  native = native,
  program = native.program,
  json = { encode = native.encode, decode = native.decode, array = native.array, null = native.null },
  now_ms = native.now_ms,
}

local started, folders = {}, {}

-- ---- waiting and files ----

-- Looks again and again until condition() is true, and answers what it said. Fails, naming `what`, when the
-- time is over.
function testing.wait_until(condition, what, timeout_ms)
  local deadline, pause = native.now_ms() + (timeout_ms or 10000), 1
  repeat
    local result = condition()
    if result then return result end
    native.breathe(pause)
    pause = math.min(pause * 2, 50)
  until native.now_ms() > deadline
  error(("waited %d ms in vain until %s"):format(timeout_ms or 10000, what or "a condition holds"), 2)
end

function testing.folder()
  local name = os.tmpname()
  os.remove(name)
  assert(lfs.mkdir(name))
  folders[#folders + 1] = name
  return name
end

function testing.write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

function testing.read(path)
  local file = io.open(path, "rb")
  if not file then return "" end
  local text = file:read "a"
  file:close()
  return text
end

function testing.exists(path) return lfs.attributes(path, "mode") ~= nil end

local function remove(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    for name in lfs.dir(path) do
      if name ~= "." and name ~= ".." then remove(path .. "/" .. name) end
    end
  end
  os.remove(path)
end

-- A folder of flows with these files: { ["deposit.lua"] = "..." }.
function testing.flows(files)
  local dir = testing.folder()
  for name, text in pairs(files) do
    local sub = name:match "^(.*)/"
    if sub then lfs.mkdir(dir .. "/" .. sub) end
    testing.write(dir .. "/" .. name, text)
  end
  return dir
end

-- The files of a flow that ships, with those of its folder and of lib: { ["checkout.lua"] = "...",
-- ["checkout/page.lua"] = ... }; and more beside them.
function testing.shipped(flow, more)
  local files = { [flow .. ".lua"] = testing.read("flows/" .. flow .. ".lua") }
  for _, folder in ipairs { flow, "lib" } do
    for name in lfs.dir("flows/" .. folder) do
      local path = folder .. "/" .. name
      if name:find "%.lua$" then files[path] = testing.read("flows/" .. path) end
    end
  end
  for name, text in pairs(more or {}) do files[name] = text end
  return files
end

-- ---- HTTP ----

-- { status, headers, body, json } of a request. A table as body is sent as JSON.
function testing.http(method, url, body, headers)
  local sent = {}
  for name, value in pairs(headers or {}) do sent[name] = value end
  if type(body) == "table" then
    body = native.encode(body)
    sent["Content-Type"] = sent["Content-Type"] or "application/json"
  end
  local response, why, outcome = native.request { method = method, url = url, headers = sent, body = body }
  if not response then return nil, why, outcome end
  response.json = native.decode(response.body)
  return response
end

-- ---- the program ----

local Program = {}
Program.__index = Program

-- Runs a command to its end: { code, out, err }.
function testing.run(args, options)
  options = options or {}
  local dir = testing.folder()
  local command = { testing.program }
  for _, arg in ipairs(args) do command[#command + 1] = arg end
  if options.input then testing.write(dir .. "/in", options.input) end
  local process = native.spawn(command, {
    out = dir .. "/out", err = dir .. "/err", input = options.input and dir .. "/in",
    dir = options.dir, env = options.env,
  })
  local code, signal = process:wait(options.timeout_ms or 60000)
  process:close()
  local out, err = testing.read(dir .. "/out"), testing.read(dir .. "/err")
  return { code = code, signal = signal, out = out, err = err }
end

local function long_options(options)
  local args = {}
  for name, value in pairs(options) do
    args[#args + 1] = ("--%s=%s"):format((name:gsub("_", "-")), tostring(value))
  end
  table.sort(args)
  return args
end

-- Starts a long-running command ("serve", "sandbox"): options are its own, as in { flows = dir }. By default
-- in a new data folder and on a free port. Waits until it is ready.
function testing.start(command, options)
  local p = setmetatable({ command = command, options = {} }, Program)
  for name, value in pairs(options or {}) do p.options[name] = value end
  p.env = p.options.env
  p.options.env = nil
  p.options.data = p.options.data or testing.folder()
  p.options.port = p.options.port or 0
  p.data = p.options.data
  p.log = testing.folder() .. "/" .. command .. ".log"
  started[#started + 1] = p
  p:launch()
  return p
end

-- Starts the process (again); the port stays the same.
function Program:launch()
  local args = { testing.program, self.command }
  for _, arg in ipairs(long_options(self.options)) do args[#args + 1] = arg end
  self.process = native.spawn(args, { ready = true, out = self.log, err = self.log, env = self.env })
  self.port = self.process:ready(20000)
  if not self.port then
    error(("mintage %s did not get ready:\n%s"):format(self.command, testing.read(self.log)), 3)
  end
  self.options.port = self.port
  self.url = "http://127.0.0.1:" .. self.port
  self.token = testing.read(self.data .. "/admin-token"):match "%S+"
end

-- kill -9, and waits until it is gone.
function Program:kill()
  self.process:signal(9)
  self.process:wait(10000)
  self.process:close()
end

-- SIGTERM; answers the exit code.
function Program:stop(timeout_ms)
  self.process:signal(15)
  local code = self.process:wait(timeout_ms or 40000)
  self.process:close()
  return code
end

function Program:http(method, path, body, headers)
  return testing.http(method, self.url .. path, body, headers)
end

-- With the admin token.
function Program:api(method, path, body, headers)
  local sent = { Authorization = "Bearer " .. (self.token or "") }
  for name, value in pairs(headers or {}) do sent[name] = value end
  return assert(testing.http(method, self.url .. path, body, sent))
end

-- Starts a run; options: key, wait. Answers the run and the status.
function Program:run(flow, input, options)
  options = options or {}
  local headers = options.key and { ["Idempotency-Key"] = options.key } or nil
  local path = "/v1/flows/" .. flow .. "/runs" .. (options.wait and "?wait=" .. options.wait or "")
  local response = self:api("POST", path, input or {}, headers)
  return response.json, response.status
end

function Program:get_run(id) return self:api("GET", "/v1/runs/" .. id).json end

function Program:journal(id) return self:api("GET", "/v1/runs/" .. id .. "/journal").json.data end

-- Waits until the run is in one of these states.
function Program:wait_for(id, ...)
  local wanted, last = { ... }, nil
  local ok, run = pcall(testing.wait_until, function()
    last = self:get_run(id)
    for _, state in ipairs(wanted) do
      if last.state == state then return last end
    end
  end, nil, 20000)
  if ok then return run end
  error(("run %s is not %s: %s"):format(id, table.concat(wanted, " or "), native.encode(last)), 2)
end

-- A sandbox, and a runtime that uses it with the same clock. options are the runtime's.
function testing.pair(options)
  local sandbox = testing.start("sandbox", {})
  local own = { sandbox = sandbox.url, clock = sandbox.data .. "/clock" }
  for name, value in pairs(options or {}) do own[name] = value end
  local runtime = testing.start("serve", own)
  testing.wait_until(function()
    return sandbox:http("GET", "/_sandbox/endpoints").json.mintro
  end, "the runtime has registered its webhooks")
  return runtime, sandbox
end

function testing.advance(sandbox, by)
  local response = assert(sandbox:http("POST", "/_sandbox/clock", { advance = by }))
  assert(response.status == 200, response.body)
  return response.json.now
end

-- Ends all that was started and removes all folders that were made.
function testing.clean_up()
  for _, p in ipairs(started) do p.process:close() end
  started = {}
  for _, dir in ipairs(folders) do remove(dir) end
  folders = {}
end

return testing
