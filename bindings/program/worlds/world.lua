-- mintage.world: simulated worlds for specs. A world is the runtime that serves production, the sandbox of the
-- four providers, a network and two disks, in this process, with virtual time: thirty days pass in
-- milliseconds, and the runtime can die at any instant. See tests/flows/README.md.

local checks = require "mintage.testing.invariants"
local customer = require "mintage.testing.customer"
local lfs = require "lfs"
local native = require "mintage.testing.native"
local new_run = require "mintage.testing.run"
local registry = require "mintage.testing.registry"
local values = require "mintage.testing.values"
require "mintage.testing.matchers"

local RUNTIME, SANDBOX = "http://127.0.0.1:8080", "http://127.0.0.1:8090"
local TOKEN = "token-of-a-simulated-world"
local STEPS_MAX = 2000000
local SLICES = 64 -- of a wait in which nothing happens

local world = {
  runtime = RUNTIME,
  sandbox = SANDBOX,
  epin = "1111111111111111", -- MINT's ePIN of every sandbox, worth 10.12 USD
  cards = customer.cards,
}

---@class mintage.World
local World = {}
World.__index = World

-- ---- opening ----

local function read_folder(folder, under, into)
  for name in lfs.dir(folder) do
    local path = folder .. "/" .. name
    local kind = lfs.attributes(path, "mode")
    if kind == "directory" and not name:find "^%." and under .. name ~= "sandbox" then
      read_folder(path, under .. name .. "/", into)
    elseif kind == "file" and name:find "%.lua$" and not name:find "_spec%.lua$" then
      local file = assert(io.open(path, "rb"))
      into[under .. name] = file:read "a"
      file:close()
    end
  end
  return into
end

local function flows_of(given)
  if type(given) ~= "string" then return given end
  if lfs.attributes(given, "mode") ~= "directory" then
    error(('flows: found "%s", wanted a folder or a table of texts by file name'):format(given), 3)
  end
  return read_folder(given, "", {})
end

local known = {
  flows = true, config = true, start = true, seed = true, loss = true, faults = true, crashes = true, plan = true,
  allow = true, oracle = true,
}

---@class mintage.world.Options
---@field flows? string|table<string, string> a folder, or texts by file name; those that ship, unless given
---@field config? table as in a configuration file
---@field start? string "2026-01-31T09:00:00Z": when the world begins
---@field seed? integer decides what chance decides elsewhere
---@field loss? "unsynced"|"process"|"tears" what the runtime's disk forgets when it dies
---@field plan? string what goes wrong: "p37 n12:lost"
---@field oracle? boolean compare the runtime's store with an in-memory one, operation by operation
---@field allow? string[] invariants that may be broken here

---Opens a world in which nothing has happened yet.
---@param options? mintage.world.Options
---@return mintage.World
function world.new(options)
  local given = registry.settings(options or {})
  for name in pairs(options or {}) do
    if not known[name] then error(('world.new: there is no option "%s"'):format(name), 2) end
  end
  local w = setmetatable({ keys = 0, customer = {}, hosts = {}, allow = {} }, World)
  for _, name in ipairs(given.allow or {}) do w.allow[name] = true end
  w.plan = given.plan
  w.raw = assert(native.world_open {
    flows = flows_of(given.flows),
    config = given.config and native.encode(given.config),
    start_ms = given.start and values.instant(given.start) or 0,
    seed = given.seed or 1,
    loss = given.loss or "unsynced",
    empty_disk = given.disk == "empty",
    oracle = given.oracle,
    faults = given.faults, crashes = given.crashes, mishaps = given.mishaps, plan = given.plan,
    log = given.log,
    serve = function(req) return w:play(req) end,
  })
  w.first_point = w.raw:points() + 1
  registry.add(w)
  return w
end

---A rule that must hold at the end of every world of this spec file; the function raises, or answers false and why.
---@param name string
---@param holds fun(w: mintage.World): any, string?
function world.invariant(name, holds) checks.own(name, holds) end

-- ---- time ----

---The world's time, "2026-01-31T09:00:00.000Z".
---@return string
function World:now() return values.text_of(self.raw:now()) end

function World:now_ms() return self.raw:now() end

local function in_time(w)
  local why = w.raw:broken()
  if why then error("the runtime cannot stand up again: " .. why, 0) end
  if registry.real_deadline and os.time() > registry.real_deadline then
    error("the test did not end in time (--deadline)", 0)
  end
end

---Lets so much time pass, and all that falls due in it happen.
---@param by string "30d"
function World:advance(by)
  local till = self.raw:now() + values.duration(by)
  while self.raw:step(till) do in_time(self) end
  if self.raw:now() < till then self.raw:advance(till - self.raw:now()) end
  in_time(self)
  return self
end

-- Steps until the condition holds: what it answered, or nil when the time is over. It is asked after all that happens,
-- and now and then where nothing does: it may be what makes something happen.
function World:passes(condition, within)
  local length = values.duration(within)
  local till, slice = self.raw:now() + length, math.max(1000, length // SLICES)
  for _ = 1, STEPS_MAX do
    local answer = condition()
    local now = self.raw:now()
    if answer or now >= till then return answer end
    local stop = math.min(till, now + slice)
    if not self.raw:step(stop) then self.raw:advance(stop - self.raw:now()) end
    in_time(self)
  end
end

---Lets time pass until the function answers something true, and answers that; fails when it has not by then.
---@generic T
---@param condition fun(): T
---@param within? string "1h" unless given
---@return T
function World:wait_for(condition, within)
  local answer = self:passes(condition, within or "1h")
  if answer then return answer end
  error(("waited %s in vain"):format(within or "1h"), 2)
end

local busy = { queued = true, running = true, compensating = true }

local function at_rest(w)
  if not w.raw:up() then return false end
  for _, run in ipairs(w:whole "/v1/runs") do
    if busy[run.state] then return false end
  end
  return true
end

---Lets all that is under way come to rest: until the runtime is up and no run is executing, nor begins to in the
---next seconds (there may be a webhook on its way).
---@return mintage.World
function World:settle()
  local till = self.raw:now() + values.duration "15m"
  repeat
    self:passes(function() return at_rest(self) end, "15m")
    self:advance "5s"
  until at_rest(self) or self.raw:now() >= till
  return self
end

-- ---- requests ----

local function decoded(response)
  local ok, json = pcall(values.decode, response.body)
  response.json = ok and json or nil
  return response
end

local function request_of(method, url, body, headers)
  local sent = {}
  for name, value in pairs(headers or {}) do sent[name] = value end
  if type(body) == "table" then
    body = native.encode(body)
    sent["Content-Type"] = sent["Content-Type"] or "application/json"
  end
  return { method = method, url = url:find "^/" and RUNTIME .. url or url, headers = sent, body = body }
end

---Sends a request as anybody outside does; a path is the runtime's. Nil and why when no answer came.
---@param method string
---@param url string
---@param body? string|table a table is sent as JSON
---@param headers? table<string, string>
---@return { status: integer, headers: table, body: string, json: any }? response
---@return string? why
---@return string? outcome "not_sent" or "unknown"
function World:request(method, url, body, headers)
  local response, why, outcome = self.raw:request(request_of(method, url, body, headers))
  in_time(self)
  if not response then return nil, why, outcome end
  return decoded(response)
end

function World:get(url, headers) return self:request("GET", url, nil, headers) end

function World:post(url, body, headers) return self:request("POST", url, body, headers) end

-- With the admin token, once: nil when no answer came.
function World:api_once(method, path, body, headers)
  local sent = { Authorization = "Bearer " .. TOKEN }
  for name, value in pairs(headers or {}) do sent[name] = value end
  self:stand()
  local response, _, outcome = self:request(method, path, body, sent)
  if response and response.status ~= 503 then return response end
  if not response and outcome ~= "not_sent" then self.uncertain = true end
  self:advance "200ms"
end

-- Until it is answered: a request of which nobody knows what became is sent again (answer.again).
function World:api(method, path, body, headers)
  self.uncertain = false
  for _ = 1, 100 do
    local response = self:api_once(method, path, body, headers)
    if response and not (response.status == 409 and headers and headers["Idempotency-Key"]) then
      response.again = self.uncertain
      return response
    end
  end
  error(("%s %s: no answer came, a hundred times"):format(method, path), 2)
end

-- Lets time pass until the runtime is up.
function World:stand()
  if self.raw:up() then return end
  self:passes(function() return self.raw:up() end, "1m")
  in_time(self)
end

function World:look_at_text(path)
  local response, why
  for _ = 1, 100 do
    self:stand()
    response, why = self.raw:look(request_of("GET", path, nil, { Authorization = "Bearer " .. TOKEN }))
    if response and response.status ~= 503 then break end
    self.raw:step(self.raw:now() + 1000)
  end
  if not response then error(("looking at %s: %s"):format(path, why), 0) end
  if response.status ~= 200 then error(("looking at %s: %d %s"):format(path, response.status, response.body), 0) end
  return response.body
end

-- What an API of the runtime or the sandbox shows, read from above the world: no time passes.
function World:look_at(path) return values.decode(self:look_at_text(path)) end

---Plays a host of the outside: requests of flows to it are answered by the function.
---@param url string "https://shop.example": what the requests' URLs begin with
---@param handler fun(req: { method: string, url: string, headers: table, body: string }): table? answers
---{ status?, headers?, body? or json? }; nil: there is no such host
---@return mintage.World
function World:serve(url, handler)
  self.hosts[#self.hosts + 1] = { url = url, handler = handler }
  return self
end

function World:play(req)
  for _, host in ipairs(self.hosts) do
    if req.url:sub(1, #host.url) == host.url then
      local answer = host.handler(req)
      if answer and answer.json ~= nil then
        answer = {
          status = answer.status, headers = { ["Content-Type"] = "application/json" },
          body = native.encode(answer.json),
        }
      end
      return answer
    end
  end
end

-- ---- runs ----

---Starts a run, and sees to it that it has started: with a key, again when the runtime dies over it.
---@param flow string
---@param input? table
---@param options? { key?: string }
---@return mintage.world.Run
function World:start(flow, input, options)
  self.keys = self.keys + 1
  local key = options and options.key or ("%s-%d"):format(flow, self.keys)
  local answer = self:api("POST", "/v1/flows/" .. flow .. "/runs", input or {}, { ["Idempotency-Key"] = key })
  if answer.status >= 300 then
    error(("%s does not start: %d %s"):format(flow, answer.status, answer.body), 2)
  end
  return new_run(self, answer.json.id)
end

---@param id string
---@return mintage.world.Run
function World:run(id) return new_run(self, id) end

local function query(path, filters)
  local parts = {}
  for name, value in pairs(filters or {}) do
    parts[#parts + 1] = name .. "=" .. tostring(value):gsub("[^%w._~-]", function(c)
      return ("%%%02X"):format(c:byte())
    end)
  end
  table.sort(parts)
  return path .. "?limit=1000" .. (#parts > 0 and "&" .. table.concat(parts, "&") or "")
end

---A whole list of the API, however many pages it has.
---@param path string "/v1/runs"
---@param filters? table
---@return table[]
function World:whole(path, filters)
  local asked, rows, more = query(path, filters), {}, ""
  while more do
    local page = self:look_at(asked .. more)
    table.move(page.data, 1, #page.data, #rows + 1, rows)
    more = type(page.next_cursor) == "string" and "&cursor=" .. page.next_cursor
      or type(page.next) == "string" and "&after=" .. page.next
  end
  return rows
end

---@param filters? { flow?: string, state?: string, key?: string }
---@return mintage.world.Run[]
function World:runs(filters)
  local out = {}
  for i, run in ipairs(self:whole("/v1/runs", filters)) do out[i] = new_run(self, run.id) end
  return out
end

---@param filters? { topic?: string, key?: string, unread?: boolean }
---@return table[]
function World:events(filters) return self:whole("/v1/events", filters) end

-- ---- what the sandbox saw ----

---Every movement of money: { provider, kind, reference, object_id, amount, currency, money = "80.00 USD" }; kinds are
---charge, authorise, capture, void, refund, issue, redeem, fee.
---@param filters? { provider?: string, kind?: string, reference?: string }
---@return table[]
function World:ledger(filters)
  local rows = self:whole(SANDBOX .. "/_sandbox/ledger", filters)
  for _, row in ipairs(rows) do row.money = row.amount .. " " .. row.currency end
  return rows
end

---Every request that a provider received.
---@param filters? { provider?: string, operation?: string, reference?: string, method?: string, path?: string }
---@return table[]
function World:requests(filters) return self:whole(SANDBOX .. "/_sandbox/requests", filters) end

-- ---- the customer, who is in customer.lua ----

for name, deed in pairs(customer.deeds) do World[name] = deed end
local control = customer.control

-- ---- the provider ----

---MINT makes an ePIN, somewhere else: its 16 digits.
---@param value integer in whole units
---@param currency? string "USD"
---@return string code
function World:issue(value, currency)
  local code
  repeat
    local answer = control(self, "issue", { value = value, currency = currency })
    code = answer.status == 200 and answer.json.pin_code
    if not code then error("issue: " .. answer.body, 2) end
  until code
  return (code:gsub(" ", ""))
end

---Arms a fault of the sandbox: { provider = "mintro", operation = "intents.create", fault = "drop_response", times = 1 }.
---Of requests: drop_response, timeout, reset, truncate, malformed, slow=MS, error=CODE; of webhooks ("event" names
---one): duplicate, delay=MS, reorder, lose.
---@param fault { provider?: string, operation?: string, event?: string, reference?: string, fault: string, times?: integer }
---@return mintage.World
function World:fault(fault)
  local match = {}
  for name, value in pairs(fault) do
    if name ~= "fault" and name ~= "times" then match[name] = value end
  end
  local answer = control(self, "faults", {
    match = next(match) and match or nil, fault = fault.fault, times = fault.times,
  })
  if answer.status ~= 201 then error("fault: " .. answer.body, 2) end
  return self
end

local function webhook_fault(name)
  return function(self, provider, times) return self:fault { provider = provider, fault = name, times = times } end
end

---The provider's next webhooks are never sent.
World.lose_webhooks = webhook_fault "lose"
---They are sent twice.
World.double_webhooks = webhook_fault "duplicate"
---They are sent after the ones that follow.
World.shuffle_webhooks = webhook_fault "reorder"

---They are sent so much later.
function World:delay_webhooks(provider, by, times)
  return self:fault { provider = provider, fault = "delay=" .. values.duration(by), times = times }
end

---Every webhook that was sent so far is sent once more.
function World:redeliver()
  for _, delivery in ipairs(self:look_at(SANDBOX .. "/_sandbox/webhooks").data) do
    control(self, "webhooks/" .. delivery.id .. "/redeliver", {})
  end
  return self
end

---Sets what a provider's account has: w:balance("paymint", 0), w:balance("mint", 0, "EUR").
function World:balance(provider, balance, currency)
  local answer = control(self, "balance", { provider = provider, balance = balance, currency = currency })
  if answer.status ~= 204 then error("balance: " .. answer.body, 2) end
  return self
end

-- ---- the runtime ----

---Replaces the flows, as saving files does: a folder, or texts by file name. Nil and why when they are broken.
function World:reload(flows)
  self:stand()
  return self.raw:reload(flows_of(flows))
end

---The runtime dies now; it stands up again by itself, within two seconds.
function World:kill()
  self.raw:kill()
  return self
end

---What went on, a line each with its time: requests, points, deaths. The last few hundred.
---@return string
function World:log() return self.raw:log() end

-- ---- the end ----

-- Faults are over: whatever is under way comes to rest, and what must hold is looked at. Raises what does not.
function World:finish()
  if self.outcome or self.finished then return end
  self.finished = true
  self.raw:calm()
  self:settle()
  checks.hold(self)
end

---Ends the world. What is not closed is closed at the end of its test.
function World:close()
  if self.outcome then return end
  local points, died = self.raw:points()
  self.outcome = { points = points, first_point = self.first_point, died = died, mishaps = self.raw:mishaps() }
  self.raw:close()
end

local RUNS_TOLD = 4

-- Every line some columns further in.
local function indented(text) return (text:gsub("[^\n]+", "  %0")) end

function World:report()
  local out = {}
  local function add(text, ...) out[#out + 1] = text:format(...) end
  if self.outcome then return "  (this world was closed)" end
  local points, died = self.raw:points()
  local mishaps = self.raw:mishaps()
  add("  It is %s in the world; the runtime has passed %d points and died %d times.", self:now(), points, died)
  for line in self.raw:log():gmatch "[^\n]+" do
    if line:find "THE RUNTIME" or line:find "MISHAP" then add("  %s", line) end
  end
  if mishaps ~= "" then add("  What went wrong, as a plan: %s", mishaps) end
  local runs = self:runs()
  for i = #runs, math.max(1, #runs - RUNS_TOLD + 1), -1 do add("\n%s", indented(runs[i]:story())) end
  if #runs > RUNS_TOLD then add("  (and %d later runs)", #runs - RUNS_TOLD) end
  if #self.customer > 0 then add("\n  The customer\n    %s", table.concat(self.customer, "\n    ")) end
  add "\n  The ledger"
  local ledger = self:ledger()
  for _, row in ipairs(ledger) do
    add("    %s  %s %s %s  %s", row.at, row.provider, row.kind, row.money, row.reference or "")
  end
  if #ledger == 0 then add "    (no money moved)" end
  return table.concat(out, "\n")
end

return world
