-- The driver of the fault matrix: cells are prepared, armed, started and judged, many at once; what waits is woken by moving the
-- clock, and only while no request is on its way (one that was signed before would be refused behind it). Loaded with dofile.

local testing = require "mintage.testing"
local native, json = testing.native, testing.json
local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local mint = dofile(here .. "mint_support.lua")

local support = dofile(here .. "fault_matrix_states.lua")

support.flows = {
  ["perform.lua"] = [[
    local flow = require "mintage.flow"
    local money = require "mintage.money"

    local function typed(value)
      if type(value) == "string" and value:find "^%d+%.?%d* %u%u%u$" then return money(value) end
      if type(value) ~= "table" then return value end
      local out = {}
      for name, member in pairs(value) do out[name] = typed(member) end
      return out
    end

    return flow.define {
      name = "perform",
      input = { operation = "string", params = "object", epin = "secret?", undo = "boolean?" },
      run = function(input)
        local operation = require("mintage." .. input.operation:match "^%w+")
        for name in input.operation:gsub("^%w+%.", ""):gmatch "[%w_]+" do operation = operation[name] end
        local params = typed(input.params)
        params.epin = input.epin
        if input.undo then
          flow.undo(operation, params)
          flow.fail "given up"
        end
        operation(params)
        return { done = true }
      end,
    }]],
  -- Calls that go well: without them a provider of whom every call is spoiled would be taken for one that is down.
  ["calm.lua"] = [[
    local flow = require "mintage.flow"
    local calm = {
      mintro = function() return require("mintage.mintro").intents.get_by_reference "CALM" end,
      mint = function() return require("mintage.mint").balances.get "UAH" end,
      paymint = function() return require("mintage.paymint").bills.read "CALM" end,
      paymnt = function() return require("mintage.paymnt").payments.retrieve "CALM" end,
    }
    return flow.define {
      name = "calm",
      input = { provider = "string" },
      run = function(input)
        for _ = 1, 40 do flow.try(calm[input.provider]) end
      end,
    }]],
}

-- ---- many conversations at once: a task yields a request and is given its answer ----

local function together(tasks)
  local threads = {}
  for i, task in ipairs(tasks) do threads[i] = coroutine.create(task) end
  local answers = {}
  repeat
    local batch, asking = {}, {}
    for i, thread in ipairs(threads) do
      if coroutine.status(thread) ~= "dead" then
        local ok, request = coroutine.resume(thread, answers[i])
        if not ok then error(request, 0) end
        if request then batch[#batch + 1], asking[#asking + 1] = request, i end
      end
    end
    answers = {}
    for at, response in ipairs(#batch > 0 and native.requests(batch) or {}) do
      assert(response, "no answer: " .. batch[at].url)
      answers[asking[at]] = { status = response.status, body = response.body, json = json.decode(response.body) }
    end
  until #batch == 0
end

local function ask(url, headers, method, path, body, also)
  local sent = {}
  for name, value in pairs(headers) do sent[name] = value end
  if body then sent["Content-Type"] = "application/json" end
  local response
  repeat -- Paymint's points are one counter: where too many want it at once, the sandbox asks to come again
    response = coroutine.yield { method = method, url = url .. path, headers = sent, body = body and json.encode(body) }
  until not (response.status == 409 and response.json and response.json.code == "conflict")
  assert(response.status < 300 or response.status == also, ("%s %s: %d %s"):format(method, path, response.status, response.body))
  return response.json
end

-- Who prepares states: each function is a request to the sandbox, and answers its JSON.
local function world(sandbox)
  local w, codes = {}, {}
  local function speaker(prefix, headers)
    return function(method, path, body, also) return ask(sandbox.url .. prefix, headers, method, path, body, also) end
  end
  w.mintro = speaker("/api/platform", { ["X-Client-ID"] = "mintro_test_client", ["X-Client-Secret"] = "mintro_test_secret" })
  w.paymint = speaker("/api/v1/paymint", { ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-MMK-Mode"] = "true" })
  w.paymnt = speaker("", { ["api-key"] = "sk_sandbox_mintage" })
  w.control = speaker("/_sandbox", {})
  function w.pay(body) return w.control("POST", "/pay", body) end
  -- An ePIN of 5 USD that nobody else has.
  function w.code()
    if #codes == 0 then
      local answer = mint.generate(sandbox, { currencyCode = "USD", ePinNominalValue = 5, ePinsCount = 100 })
      for _, epin in ipairs(answer.json.data) do codes[#codes + 1] = epin.pin_code end
    end
    return table.remove(codes)
  end
  return w
end

-- ---- the driver ----

local Matrix = {}
Matrix.__index = Matrix

function support.new(runtime, sandbox)
  local m = setmetatable({ runtime = runtime, sandbox = sandbox, w = world(sandbox), cells = {}, moved = 0 }, Matrix)
  assert(sandbox:http("POST", "/_sandbox/balance", { provider = "mint", balance = 1000000 }).status == 204)
  together { function()
    support.prepared["mintro.intents.get_by_reference"](m.w, "CALM")
    support.prepared["paymint.bills.read"](m.w, "CALM")
    support.prepared["paymnt.payments.retrieve"](m.w, "CALM")
  end }
  return m
end

-- cell: operation, variant, prepare, fault, times, undo, slow (it takes half a minute).
function Matrix:add(cell)
  self.added = (self.added or 0) + 1
  cell.id = ("C%05d"):format(self.added)
  cell.name = cell.operation .. (cell.variant and " (" .. cell.variant .. ")" or "") .. (cell.undo and " as undo" or "")
  self.cells[#self.cells + 1] = cell
end

function Matrix:api(method, path, body)
  return ask(self.runtime.url, { Authorization = "Bearer " .. self.runtime.token }, method, path, body)
end

local function start(self, cell)
  return function()
    local row = cell.prepare(self.w, cell.id)
    cell.row = row
    local provider, operation = (row.on or cell.operation):match "^(%w+)%.(.+)$"
    local match = { provider = provider }
    if cell.event then
      match.reference = row.event
    else
      match.operation = operation
      for name, value in pairs(row.match) do match[name] = value end
    end
    cell.armed = self.w.control("POST", "/faults", { match = match, fault = cell.fault, times = cell.times or 1 }).id
    cell.run = self:api("POST", "/v1/flows/perform/runs", {
      operation = cell.operation, params = next(row.params) and row.params or json.decode "{}", epin = row.epin, undo = cell.undo,
    }).id
  end
end

local CALM_MS = 3000 -- between two runs of calls that go well
local LOOK_MS = 250 -- between two looks at who has ended, while others wait for their lane

-- The runs in these states, by id.
local function list(self, ...)
  local open, tasks = {}, {}
  for i, state in ipairs { ... } do
    tasks[i] = function()
      local cursor
      repeat
        local page = self:api("GET", "/v1/runs?limit=1000&state=" .. state .. (cursor and "&cursor=" .. cursor or ""))
        for _, run in ipairs(page.data) do open[run.id] = run end
        cursor = page.next_cursor ~= json.null and page.next_cursor or nil
      until not cursor
    end
  end
  together(tasks)
  return open
end

-- "2026-11-20T09:30:00.123Z" in milliseconds; the zone cancels out where such are compared.
local function ms_of(text)
  local year, month, day, hour, min, sec, ms = text:match "^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)%.?(%d*)"
  local days = os.time { year = year, month = month, day = day, hour = 12, isdst = false } // 86400
  return ((days * 24 + hour) * 60 + min) * 60000 + sec * 1000 + (tonumber(ms) or 0)
end

-- Moves the clock to where the next runs are due; those that are due soon after come along. False: some are due already.
local function move(self, waiting)
  local now, first, last = ms_of(self.sandbox:http("GET", "/_sandbox/clock").json.now), nil, nil
  for _, run in pairs(waiting) do
    local due = run.due_at ~= json.null and ms_of(run.due_at)
    if due and (not first or due < first) then first = due end
  end
  if not first or first <= now then return false end
  for _, run in pairs(waiting) do
    local due = run.due_at ~= json.null and ms_of(run.due_at)
    if due and due <= now + (first - now) * 2 + 1000 and (not last or due > last) then last = due end
  end
  self.moved = self.moved + 1
  testing.advance(self.sandbox, ("%ds"):format((last - now) // 1000 + 1))
  return true
end

-- How many cells' runs are at work, and how many of them take their time: those wait for a client that gives up.
local function busy_of(active, open)
  local busy, slow = 0, 0
  for id, run in pairs(open) do
    local cell = active[id]
    local works = run.state == "queued" or run.state == "running" or run.state == "compensating" and run.due_at == json.null
    if works and cell and cell.slow then
      slow = slow + 1
    elseif works and (cell or run.flow == "calm") then
      busy = busy + 1
    end
  end
  return busy, slow
end

local ENDED = { completed = true, failed = true, cancelled = true, needs_attention = true }

-- Takes the cells whose runs have ended out of `active`; answers what waits, by id.
local function sort_out(self, active)
  local slipped = 0 -- through the lists: they are at work, and the clock must not move
  local open, waiting, tasks = list(self, "queued", "running", "compensating", "waiting", "sleeping"), {}, {}
  for id, cell in pairs(active) do
    local run = open[id]
    if not run then
      tasks[#tasks + 1] = function()
        local now = self:api("GET", "/v1/runs/" .. id)
        if not ENDED[now.state] then
          slipped = slipped + 1
          return
        end
        cell.result = now
        active[id] = nil
        if cell.lane then self.lanes[cell.operation] = nil end
      end
    elseif run.state == "waiting" or run.state == "sleeping" or run.state == "compensating" and run.due_at ~= json.null then
      if cell.row.act and not cell.acted and run.waiting_for ~= json.null and run.waiting_for.topic then
        cell.acted = true
        tasks[#tasks + 1] = function() cell.row.act(self.w) end
      else
        waiting[id] = run
      end
    end
  end
  for first = 1, #tasks, 64 do together { table.unpack(tasks, first, math.min(first + 63, #tasks)) } end
  local busy, slow = busy_of(active, open)
  return waiting, busy + slipped, slow
end

-- Starts up to `room` of the cells that are left; one of a lane only when the lane is free. Answers how many.
local function start_some(self, left, active, room)
  local tasks, started = {}, {}
  local at = 1
  while at <= #left and #started < room do
    local cell = left[at]
    if cell.lane and self.lanes[cell.operation] then
      at = at + 1
    else
      if cell.lane then self.lanes[cell.operation] = true end
      table.remove(left, at)
      tasks[#tasks + 1], started[#started + 1] = start(self, cell), cell
    end
  end
  together(tasks)
  for _, cell in ipairs(started) do active[cell.run] = cell end
  return #started
end

local function calm(self)
  if testing.now_ms() < (self.calm_at or 0) then return end
  self.calm_at = testing.now_ms() + CALM_MS
  local tasks = {}
  for _, provider in ipairs { "mintro", "mint", "paymint", "paymnt" } do
    tasks[#tasks + 1] = function() self:api("POST", "/v1/flows/calm/runs", { provider = provider }) end
  end
  together(tasks)
end

-- Runs the cells to their end, so many at once. within_ms: of real time.
function Matrix:run(cells, at_once, within_ms)
  local left, active, deadline = { table.unpack(cells) }, {}, testing.now_ms() + within_ms
  local quiet, look_at = false, 0
  self.lanes = {}
  while #left > 0 or next(active) do
    if #left > 0 or not quiet then calm(self) end
    local busy, slow = busy_of(active, list(self, "queued", "running", "compensating"))
    quiet = #left == 0 and slow == 0
    local moved = busy < at_once and start_some(self, left, active, at_once - busy) > 0
    if busy == 0 and not moved or next(self.lanes) and testing.now_ms() > look_at then
      local waiting
      waiting, busy, slow = sort_out(self, active)
      look_at = testing.now_ms() + LOOK_MS
      moved = moved or busy + slow == 0 and next(waiting) and move(self, waiting)
    end
    if testing.now_ms() > deadline then break end
    if not moved then native.breathe(20) end
  end
end

-- ---- judging ----

-- What the sandbox says, once for all cells.
local function seen_by(sandbox)
  local seen = { ledger = {}, issued = {}, faults = {} }
  for _, entry in ipairs(sandbox:http("GET", "/_sandbox/ledger?limit=10000").json.data) do
    local of = seen.ledger[entry.reference] or {}
    seen.ledger[entry.reference] = of
    of[entry.kind] = (of[entry.kind] or 0) + 1
    if entry.kind == "issue" then seen.issued[entry.amount] = (seen.issued[entry.amount] or 0) + 1 end
  end
  for _, fault in ipairs(sandbox:http("GET", "/_sandbox/faults").json.data) do seen.faults[fault.id] = fault end
  return seen
end

-- Fills cell.done (how often) and cell.consumed (how often the fault happened).
function Matrix:count(cells)
  local seen, tasks = seen_by(self.sandbox), {}
  for i, cell in ipairs(cells) do
    tasks[i] = function()
      local done, lapsed = cell.row.count(seen, self.w)
      cell.done, cell.lapsed = done - (cell.row.before or 0), lapsed
      if seen.faults[cell.armed] then cell.consumed = seen.faults[cell.armed].consumed end
    end
  end
  repeat until self.sandbox:http("DELETE", "/_sandbox/faults").status == 204 -- counting asks the providers
  for first = 1, #tasks, 64 do together { table.unpack(tasks, first, math.min(first + 63, #tasks)) } end
end

local function finished(cell)
  local run, moves = cell.result, cell.row.moves or 1
  local failed, error = run.state == "failed", run.error
  if run.state == "completed" or cell.undo and failed and error.kind == "given up" then
    return moves, "done"
  elseif failed and (error.outcome == "rejected" or error.outcome == "not_sent" or moves == 0) then
    return 0, "no"
  end
end

-- What is wrong with a cell; nil when the ledger and the run tell one story. Fills cell.outcome.
function support.problem(cell)
  local run = cell.result
  if not run then return "the run does not end" end
  local wanted, outcome = finished(cell)
  cell.outcome = cell.outcome or outcome
  if not cell.settled and (cell.consumed < 1 or cell.consumed > (cell.times or 1)) then
    return ("the fault happened %d times, wanted 1 to %d"):format(cell.consumed, cell.times or 1)
  elseif run.state == "needs_attention" then
    cell.outcome = "person"
    if cell.lapsed then cell.done = 1 end
    if cell.settled then return "a person has settled it, and it is not over" end
    if cell.done < 0 or cell.done > (cell.row.moves or 1) then return "it was done more than once" end
  elseif not wanted then
    return "the run ends in no way that a script may see"
  elseif cell.done ~= wanted and not (cell.lapsed and cell.done + 1 == wanted) then
    return ("the run's story wants it done %d times"):format(wanted)
  end
end

function support.told(cell)
  local run = cell.result
  local story = run and run.state or "not ended"
  if run and type(run.error) == "table" then
    story = ("%s: %s, %s, %s"):format(story, tostring(run.error.kind), tostring(run.error.outcome), tostring(run.error.message))
  end
  return ("%s x %s%s: the ledger says it was done %s times; the run %s says %s"):format(cell.name, cell.fault,
    cell.times and ", " .. cell.times .. " times" or "", tostring(cell.done), tostring(cell.run), story)
end

-- What a person does who has looked at the provider: settles the open effect of each run by the ledger.
function Matrix:settle(cells)
  local tasks, active = {}, {}
  for i, cell in ipairs(cells) do
    tasks[i] = function()
      local seq = math.tointeger(tonumber(cell.result.error.message:match "effect (%d+)," or "1"))
      local body = { seq = seq, outcome = "not_sent" }
      if cell.done == (cell.row.moves or 1) then body.outcome, body.value = "done", { settled = true } end
      self:api("POST", "/v1/runs/" .. cell.run .. "/resolve", body)
      cell.settled, cell.result, active[cell.run] = body.outcome, nil, cell
    end
  end
  for first = 1, #tasks, 64 do together { table.unpack(tasks, first, math.min(first + 63, #tasks)) } end
  local deadline = testing.now_ms() + 30000
  while next(active) and testing.now_ms() < deadline do
    local waiting, busy, slow = sort_out(self, active)
    if busy + slow > 0 or not next(waiting) or not move(self, waiting) then native.breathe(20) end
  end
end

-- ---- the table ----

local SHORT = { done = "done", no = "no", person = "person" }

-- Operations by faults; the provider's own codes as how many of them ended how.
function support.table(cells, columns)
  local rows, names, width = {}, {}, 0
  for _, cell in ipairs(cells) do
    local row = rows[cell.name]
    if not row then
      row = { codes = {} }
      rows[cell.name], names[#names + 1] = row, cell.name
      width = math.max(width, #cell.name)
    end
    local column = cell.fault .. (cell.times and " again" or "")
    local outcome = SHORT[cell.outcome] or "?"
    if columns[column] then row[column] = outcome else row.codes[outcome] = (row.codes[outcome] or 0) + 1 end
  end
  table.sort(names)
  local lines = {}
  for _, name in ipairs(names) do
    local parts, codes = {}, {}
    for _, column in ipairs(columns) do parts[#parts + 1] = column .. " " .. (rows[name][column] or "-") end
    for outcome, n in pairs(rows[name].codes) do codes[#codes + 1] = n .. " " .. outcome end
    table.sort(codes)
    lines[#lines + 1] = ("%-" .. width .. "s  %s; codes: %s"):format(name, table.concat(parts, ", "), table.concat(codes, ", "))
  end
  return table.concat(lines, "\n") .. "\n"
end

return support
