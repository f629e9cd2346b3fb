-- What the runtime knows besides runs: events, providers, flows, generations, schedules, the audit.
local native, need = ...
local ask, text = need "console.ask", need "console.text"
local lists = {}

-- A list that can be called for one row by its name, and shows itself.
local function named(name, fetch, find, extra)
  local object = extra or {}
  object.list = fetch
  return setmetatable(object, {
    __name = name,
    __call = function(_, what)
      if what == nil or type(what) == "table" then return fetch(what) end
      return find(what)
    end,
    __console = function(_, width)
      local list = fetch()
      return getmetatable(list).__console(list, width)
    end,
    __tostring = function() return name end,
    __complete = function()
      local all = {}
      for member in pairs(object) do all[#all + 1] = member end
      return all
    end,
  })
end

local function check(what, options, known)
  for name in pairs(options or {}) do
    local found = false
    for _, one in ipairs(known) do found = found or one == name end
    if not found then
      local near = native.nearest(tostring(name), known)
      error(("%s: unknown field \"%s\"%s"):format(what, tostring(name),
        near and ("; did you mean \"%s\"?"):format(near) or ""), 3)
    end
  end
end

-- A row that shows its members one a line.
local function record(row, methods)
  return setmetatable(row, {
    __index = methods,
    __console = function(self, width)
      local lines = {}
      for name, value in pairs(self) do
        local room = math.max((width or 100) - 19, 30)
        lines[#lines + 1] = ("  %-16s %s"):format(name, text.cut(text.say(value), room))
      end
      return table.concat(lines, "\n")
    end,
    __complete = function(self)
      local all = {}
      for name in pairs(self) do all[#all + 1] = name end
      for name in pairs(methods or {}) do all[#all + 1] = name end
      return all
    end,
  })
end

local function find_row(rows, member, wanted, what)
  local names = {}
  for _, row in ipairs(rows) do
    if row[member] == wanted then return row end
    names[#names + 1] = row[member]
  end
  local near = native.nearest(tostring(wanted), names)
  error(("there is no %s '%s'%s"):format(what, tostring(wanted),
    near and ("; did you mean '%s'?"):format(near) or ""), 0)
end

-- ---- events ----

local Event = {}

function Event:redeliver(again)
  return ask.deed("event:redeliver", ("/v1/events/%d/redeliver"):format(self.n), { again = again or nil },
    ("Deliver event %d (%s/%s) once more, as a new one, to the runs that wait for it."):format(
      self.n, self.topic, self.key))
end

local function events(options)
  check("events.list", options, { "topic", "key", "unread", "late", "limit", "cursor" })
  local query = { limit = 20 }
  for name, value in pairs(options or {}) do query[name] = value end
  local page = ask.get("/v1/events", query)
  for _, event in ipairs(page.data) do record(event, Event) end
  return text.list(page.data, {
    { "n", function(e) return tostring(e.n) .. (e.readers == 0 and "*" or "") end },
    { "topic", function(e) return e.topic end, 24 },
    { "key", function(e) return e.key end, 40 },
    { "at", function(e) return text.ago(e.at), "dim" end },
    { "payload", function(e) return e.payload end, 200 },
  }, { none = "There are no such events." })
end

lists.events = named("events", events, function(n)
  local event = ask.maybe("/v1/events/" .. ask.id(n))
  return record(event or error(("there is no event %s"):format(tostring(n)), 0), Event)
end)

-- ---- providers ----

local function providers()
  local page = ask.get "/v1/providers"
  for _, provider in ipairs(page.data) do record(provider) end
  return text.list(page.data, {
    { "name", function(p) return p.name end },
    { "configured", function(p)
      return p.configured and "yes" or "no", p.configured and "green" or "dim"
    end },
    { "breaker", function(p) return p.breaker, p.breaker == "closed" and "dim" or "red" end },
    { "operations", function(p) return tostring(#(p.operations or {})) end },
    { "url", function(p) return p.base_url end, 60 },
  })
end

lists.providers = named("providers", providers, function(name)
  return find_row(providers(), "name", name, "provider")
end)

-- ---- flows, generations, schedules ----

local Flow = {}

function Flow:runs(options)
  local asked = { flow = self.name }
  for name, value in pairs(options or {}) do asked[name] = value end
  return need "console.runs".list(asked)
end

-- Starts a run of it; the console asks first.
function Flow:start(input, options)
  local run = need "mintage.flow".start(self.name, input or {}, options)
  return need "console.runs".get(run.id) or run
end

local function flows()
  local page = ask.get "/v1/flows"
  for _, flow in ipairs(page.data) do record(flow, Flow) end
  return text.list(page.data, {
    { "name", function(f) return f.name end, 32 },
    { "line", function(f) return ("%s:%d"):format(f.file or "", f.line or 0), "dim" end, 40 },
    { "input", function(f)
      local names = {}
      for name in pairs(type(f.input) == "table" and f.input or {}) do names[#names + 1] = name end
      return table.concat(names, ", ")
    end, 60 },
    { "title", function(f) return f.title or f.description end, 60 },
  }, { none = "No flows are loaded." })
end

lists.flows = named("flows", flows, function(name) return find_row(flows(), "name", name, "flow") end)

local function generations()
  local page = ask.get "/v1/generations"
  local problem = page.problem
  return text.list(page.data, {
    { "id", function(g) return g.id:sub(1, 19), g.current and "green" end },
    { "", function(g) return g.current and "current" or "" end },
    { "kept", function(g) return text.ago(g.created_at), "dim" end },
    { "live runs", function(g) return tostring(g.runs) end },
  }, { none = "none", more = problem and "flows are broken: " .. tostring(problem.message) })
end

lists.generations = named("generations", generations, function(id)
  for _, g in ipairs(generations()) do
    if g.id:sub(1, #id) == id or g.id:sub(8, 7 + #id) == id then return record(g) end
  end
  error(("there is no generation %s"):format(tostring(id)), 0)
end)

local function schedules()
  return text.list(ask.get "/v1/schedules".data, {
    { "name", function(s) return s.name end, 32 },
    { "flow", function(s) return s.flow end, 24 },
    { "when", function(s) return s.when end, 32 },
    { "next", function(s) return text.ago(s.next_at) end },
    { "last", function(s) return text.ago(s.last_at), "dim" end },
    { "last run", function(s) return s.last_run, "dim" end },
  }, { none = "Nothing is started by the clock." })
end

lists.schedules = named("schedules", schedules, function(name)
  return record(find_row(schedules(), "name", name, "schedule"))
end)

-- ---- who did what ----

local function audit(options)
  local query = { limit = 20 }
  for name, value in pairs(options or {}) do query[name] = value end
  local page = ask.maybe("/v1/audit", query)
  if not page then error("this runtime keeps no audit", 0) end
  return text.list(page.data, {
    { "when", function(a) return text.ago(a.at), "dim" end },
    { "who", function(a) return a.who end, 24 },
    { "what", function(a) return a.what end, 24 },
    { "detail", function(a) return a.detail end, 60 },
    { "result", function(a) return a.result end, 40 },
  }, { none = "nothing has been done" })
end

lists.audit = named("audit", audit, function(n) return audit { limit = math.tointeger(n) } end)

return lists
