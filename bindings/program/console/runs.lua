-- runs and what can be done with one. A run is a table of what the API says of it, with methods; it shows
-- as its story.
local native, need = ...
local ask, text = need "console.ask", need "console.text"
local Run, runs = {}, {}

local LIST = 20

local function wrap(data) return setmetatable(data, Run.meta) end
runs.wrap = wrap

-- ---- one run ----

function Run:refresh()
  local now = ask.get("/v1/runs/" .. ask.id(self.id))
  for name in pairs(self) do
    if now[name] == nil then self[name] = nil end
  end
  for name, value in pairs(now) do self[name] = value end
  return self
end

function Run:story()
  local told, why = native.story(self.id)
  native.output((told or error(why, 2)))
end

-- All entries, or those of one segment; at most 5,000.
function Run:journal(segment)
  local rows, cursor = {}, 0
  repeat
    local page = ask.get("/v1/runs/" .. ask.id(self.id) .. "/journal",
      { segment = segment, limit = 1000, cursor = cursor })
    for _, entry in ipairs(page.data) do rows[#rows + 1] = entry end
    cursor = page.next_cursor
  until not cursor or #rows >= 5000
  return text.list(rows, {
    { "#", function(e) return e.segment > 0 and ("%d/%d"):format(e.segment, e.seq) or tostring(e.seq) end },
    { "kind", function(e) return e.kind end },
    { "name", function(e) return e.name end },
    { "outcome", function(e)
      return e.outcome or "no answer yet", e.outcome == "done" and "green" or e.outcome and "red" or "yellow"
    end },
    { "line", function(e) return e.line, "dim" end },
    { "answer", function(e) return e.error or e.result end, 200 },
  }, { none = "nothing has been journaled", more = cursor and "there are more: run:journal(segment)" })
end

local function summary(run)
  local lines = { ("%s  %s  %s"):format(run.flow, run.id, run.state) }
  if run.key then lines[#lines + 1] = "  key       " .. run.key end
  for _, name in ipairs { "amount", "reference", "email", "customer" } do
    local value = type(run.input) == "table" and run.input[name]
    if value ~= nil then lines[#lines + 1] = ("  %-9s %s"):format(name, text.cut(text.say(value), 80)) end
  end
  if run.error then
    lines[#lines + 1] = "  error     " .. text.cut(text.say(run.error.message or run.error.kind), 200)
  end
  return table.concat(lines, "\n")
end

local ended = { completed = true, failed = true, cancelled = true }

-- What the run's state forbids is refused without a question.
local function deed(run, name, body, question)
  ask.refuse_read_only("run:" .. name)
  run:refresh()
  if name == "cancel" and ended[run.state] then
    error(("run %s is %s: there is nothing to cancel"):format(run.id, run.state), 0)
  elseif (name == "retry" or name == "resolve") and run.state ~= "needs_attention" then
    error(("run %s is %s: only a run that needs attention can be helped so"):format(run.id, run.state), 0)
  end
  local now = ask.deed(("run:%s"):format(name), "/v1/runs/" .. ask.id(run.id) .. "/" .. name, body,
    question and question .. "\n" .. summary(run))
  for member in pairs(run) do run[member] = nil end
  for member, value in pairs(now) do run[member] = value end
  return run
end

function Run:retry()
  return deed(self, "retry", nil, "Carry on this run: its next effects will be carried out.")
end

function Run:cancel(reason)
  return deed(self, "cancel", { reason = reason }, "Cancel this run: what it did is undone, then it ends.")
end

function Run:signal(topic, key, payload)
  return deed(self, "signal", { topic = topic, key = key, payload = payload },
    ("Append an event to %s/%s, which this run or others may read."):format(topic, key))
end

function Run:migrate(options)
  ask.refuse_read_only "run:migrate"
  if not (options and options.dry_run) then
    ask.confirm("run:migrate", "Move this run to the newest code, if its journal agrees.\n" .. summary(self))
  end
  local answer = ask.read("/v1/runs/migrate",
    { run = self.id, dry_run = options and options.dry_run or false, limit = 1 })
  self:refresh()
  return answer.data[1]
end

function Run:follow(limit) return need "console.follow"(self, limit) end
function Run:resolve(what) return need "console.resolve"(self, what, deed) end
function Run:at(n, segment) return need "console.travel".at(self, n, segment) end
function Run:what_if(code, options) return need "console.travel".what_if(self, code, options) end

local names = {
  "journal", "story", "follow", "at", "what_if", "retry", "resolve", "cancel", "signal", "migrate", "refresh",
}

Run.meta = {
  __index = Run,
  __name = "run",
  __console = function(self)
    local told, why = native.story(self.id)
    return ((told or why):gsub("%s+$", ""))
  end,
  __tostring = function(self) return ("run %s (%s, %s)"):format(self.id, self.flow, self.state) end,
  __complete = function(self)
    local all = {}
    for name in pairs(self) do all[#all + 1] = name end
    for _, name in ipairs(names) do all[#all + 1] = name end
    return all
  end,
}

-- ---- lists ----

local function columns(width)
  return {
    { "id", function(r) return r.id end },
    { "state", function(r) return r.state, text.state_color(r.state) end },
    { "flow", function(r) return r.flow end, 24 },
    { "began", function(r) return text.ago(r.created_at), "dim" end },
    { "key", function(r) return r.key, "dim" end, 32 },
    { "", function(r)
      if r.matched then return table.concat(r.matched, ", "), "dim" end
      return r.error and r.error.kind, "red"
    end, math.max(width or 40, 20) },
  }
end

function runs.rows(data, notes)
  for _, run in ipairs(data) do wrap(run) end
  return text.list(data, columns(), notes)
end

local filters = { flow = true, state = true, key = true, cursor = true, limit = true }

function runs.list(options)
  local query = { limit = LIST }
  for name, value in pairs(options or {}) do
    if not filters[name] then
      local all = {}
      for known in pairs(filters) do all[#all + 1] = known end
      local near = native.nearest(name, all)
      error(("runs.list: unknown field \"%s\"%s"):format(name,
        near and ("; did you mean \"%s\"?"):format(near) or ""), 2)
    end
    query[name] = value
  end
  local page = ask.get("/v1/runs", query)
  return runs.rows(page.data, {
    none = "There are no such runs.",
    more = page.next_cursor
      and ("there are older ones: runs.list{ cursor = \"%s\" }"):format(page.next_cursor),
  })
end

function runs.get(id)
  local data = ask.maybe("/v1/runs/" .. ask.id(id))
  return data and wrap(data) or nil
end

function runs.find(options)
  if type(options) == "string" then options = { text = options } end
  return need "console.find"(options or {}, runs)
end

-- An id, a key, or else a reference, an e-mail address or any other text in a run.
local function one(what)
  if type(what) ~= "string" then
    error("runs wants an id, a key or a reference, found " .. type(what), 3)
  end
  if what:find "^run_%w+$" then
    return runs.get(what) or error(("there is no run %s"):format(what), 0)
  end
  local found = runs.list { key = what }
  if #found == 0 then found = runs.find { text = what } end
  if #found == 1 then return found[1] end
  return found
end

return setmetatable({ list = runs.list, find = runs.find, get = runs.get }, {
  __name = "runs",
  __call = function(_, what)
    if what == nil then return runs.list() end
    if type(what) == "table" then return runs.list(what) end
    return one(what)
  end,
  __index = function(_, name)
    if type(name) == "string" and name:find "^run_" then return runs.get(name) end
  end,
  __console = function(_, width) return getmetatable(runs.list()).__console(runs.list(), width) end,
  __tostring = function() return "runs" end,
  __complete = function(_, prefix)
    local all = { "list", "find", "get" }
    if not prefix or prefix == "" or prefix:find "^run_" then
      for _, run in ipairs(runs.list { limit = 50 }) do all[#all + 1] = run.id end
    end
    return all
  end,
})
