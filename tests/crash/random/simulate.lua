-- One simulated world of random flows: they run under the seed's crashes and mishaps, and each must come to what the model
-- says, with the bank's books the same. An operator settles what only a person can settle, truthfully; some runs are
-- cancelled, and the flows are loaded anew in the middle.

local testing = require "mintage.testing"
local native = require "mintage.testing.native"
local generate, model, bank = require "generate", require "model", require "bank"

local json = testing.json
local RUNTIME = "http://127.0.0.1:8080"
local HEADERS = { authorization = "Bearer token-of-a-simulated-world", ["content-type"] = "application/json" }
local DAY = 24 * 60 * 60 * 1000

local Simulation = {}
Simulation.__index = Simulation

local function serve_bank(books)
  return function(request)
    local path = request.url:match("^https://bank%.example(/.*)$")
    if not path then return nil end
    local body = request.body ~= "" and request.body:sub(1, 1) == "{" and json.decode(request.body) or nil
    local status, answer = books:handle(request.method, path, body, request.headers["idempotency-key"])
    return { status = status, body = json.encode(answer), headers = { ["content-type"] = "application/json" } }
  end
end

-- Like any client, it asks again until there is an answer.
function Simulation:api(method, path, body, key)
  local headers = key and setmetatable({ ["idempotency-key"] = key }, { __index = HEADERS }) or nil
  if headers then for k, v in pairs(HEADERS) do headers[k] = v end end
  for _ = 1, 200 do
    local answer = self.world:request { method = method, url = RUNTIME .. path, headers = headers or HEADERS,
      body = body and json.encode(body), timeout_ms = 5000 }
    if answer and answer.status ~= 503 and answer.status ~= 409 then return json.decode(answer.body), answer.status end
    if answer and answer.status == 409 and not key then return json.decode(answer.body), 409 end
    self.world:advance(250)
  end
  error("the runtime does not answer: " .. method .. " " .. path)
end

function Simulation:start(program)
  local run, status = self:api("POST", "/v1/flows/" .. program.name .. "/runs", { id = program.id, n = 1 }, program.id)
  assert(status == 200 or status == 201, json.encode(run))
  program.run = run.id
  for i = 1, program.signals do
    self:api("POST", "/v1/runs/" .. run.id .. "/signal",
      { topic = "sig", key = ("%s-s%d"):format(program.id, i), payload = { n = 7 } })
  end
end

-- What the operator does with an unsafe post of which nobody knows whether it arrived: looks at the bank's books, posts it
-- when it did not, and says that it is done.
function Simulation:settle(run)
  local entries = self:api("GET", "/v1/runs/" .. run.id .. "/journal?limit=10000").data
  for _, entry in ipairs(entries) do
    if entry.kind == "call" and entry.name == "http.post" and (entry.outcome == json.null or not entry.outcome) then
      local id = entry.params and entry.params.url and entry.params.url:match("/unsafe/(.+)$")
      assert(id, "a call that may be repeated needs a person: " .. json.encode(entry))
      if not self.books.unsafe[id] then self.books:handle("POST", "/unsafe/" .. id) end
      self:api("POST", "/v1/runs/" .. run.id .. "/resolve",
        { segment = entry.segment, seq = entry.seq, outcome = "done",
          value = { status = 200, headers = {}, json = { done = true } } })
      return
    end
  end
  error("a run needs attention: " .. json.encode(run))
end

local OPEN = { queued = true, running = true, sleeping = true, waiting = true, compensating = true }

-- Drives until every run has ended.
function Simulation:finish()
  for round = 1, 400 do
    local open = false
    for _, state in ipairs { "needs_attention", "queued", "running", "sleeping", "waiting", "compensating" } do
      for _, run in ipairs(self:api("GET", "/v1/runs?limit=1000&state=" .. state).data) do
        open = true
        if not OPEN[run.state] then self:settle(run) end
      end
    end
    if not open then return end
    if round == 12 then self.world:calm() end -- from here on nothing goes wrong: now all must end
    self.world:advance(round < 12 and DAY // 4 or DAY)
  end
  error("runs do not end")
end

local function sorted(set)
  local keys = {}
  for k, v in pairs(set) do keys[#keys + 1] = k .. "=" .. tostring(v) end
  table.sort(keys)
  return table.concat(keys, "\n")
end

-- What the books have of one program.
local function part(books, id)
  local function of(set)
    local mine = {}
    for k, v in pairs(set) do if k:find(id .. "-", 1, true) == 1 then mine[k] = v end end
    return sorted(mine)
  end
  return { charges = of(books.charges), refunds = of(books.refunds), unsafe = of(books.unsafe), things = of(books.things) }
end

local function same(a, b) return json.encode(a) == json.encode(b) end

-- What a cancelled program has taken and has an undo for is given back; nothing is taken twice, or that it never takes.
local function check_cancelled(program, books, expected, undone, say)
  for id, times in pairs(books.charges) do
    local own = id:sub(1, #program.id + 1) == program.id .. "-"
    if own and times ~= 1 then say("charged " .. times .. " times: " .. id) end
    if own and not expected.charges[id] then say("charged what it never does: " .. id) end
    if id:match("^" .. program.id .. "%-[%d.]+$") and undone[id] and not books.refunds[id] then
      say("cancelled, but not given back: " .. id)
    end
  end
end

function Simulation:check(program)
  local run, status = self:api("GET", "/v1/runs/" .. program.run)
  local expected, books, undone = model(program.texts, program.name, { id = program.id, n = 1 })
  local function say(what)
    error(("%s (seed %d): %s\nrun: %s\nexpected: %s\n%s"):format(program.name, self.seed, what, json.encode(run),
      json.encode(expected), program.text), 0)
  end
  if status ~= 200 then say "the run is lost" end
  if run.state == "cancelled" and program.cancelled then return check_cancelled(program, self.books, books, undone, say) end
  if run.state ~= expected.state then say("ended " .. run.state .. ", wanted " .. expected.state) end
  if expected.output and not same(run.output, expected.output) then say("another output") end
  if expected.error and run.error.kind ~= expected.error.kind then say("another error") end
  local got, wanted = part(self.books, program.id), part(books, program.id)
  for k, v in pairs(wanted) do
    if got[k] ~= v then say(("the books differ: %s\nfound\n%s\nwanted\n%s"):format(k, got[k], v)) end
  end
end

local simulate = {}

-- options: seed, programs, faults, crashes (per mille), mishaps (at most), loss, unsound. Raises with a story; answers what was
-- passed.
function simulate.world(options)
  local books = bank.new()
  local self = setmetatable({ seed = options.seed, books = books, programs = {} }, Simulation)
  local random = generate.random(options.seed)
  local files = {}
  for i = 1, options.programs do
    local p = generate.program(options.seed * 1000 + i)
    p.id = "r" .. i
    p.texts = { [p.name] = p.text, [p.child.name] = p.child.text }
    files[p.name .. ".lua"], files[p.child.name .. ".lua"] = p.text, p.child.text
    self.programs[i] = p
  end
  self.world = assert(native.world_open { seed = options.seed, flows = files, faults = options.faults,
    crashes = options.crashes, mishaps = options.mishaps, loss = options.loss, unsound = options.unsound,
    oracle = options.oracle,
    serve = serve_bank(books) })
  local ok, message = xpcall(function()
    for i, p in ipairs(self.programs) do
      self:start(p)
      if random(4) == 1 then self.world:advance(random(30) * 1000) end
      if random(12) == 1 then
        p.cancelled = true
        self:api("POST", "/v1/runs/" .. p.run .. "/cancel", { reason = "by chance" })
      end
      if i == options.programs // 2 then
        for name, text in pairs(files) do files[name] = text .. "-- saved again\n" end
        self.world:reload(files)
      end
    end
    self:finish()
    local differs = self.world:store_differs()
    if differs then error(differs, 0) end
    for _, p in ipairs(self.programs) do self:check(p) end
  end, debug.traceback)
  local points, died = self.world:points()
  local log = not ok and self.world:log()
  self.world:close()
  if not ok then error(message .. "\n" .. log, 0) end
  return { runs = options.programs, points = points, died = died }
end

return simulate
