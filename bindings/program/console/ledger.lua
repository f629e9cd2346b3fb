-- ledger: what runs believe has moved, from their journals, and beside it what the sandbox says has, where
-- there is one. It looks at the newest runs only, and says at how many.
local native, need = ...
local ask, text = need "console.ask", need "console.text"

local RUNS = 50

local moving = { call = true, release = true, compensate = true }

local function amount_of(entry)
  for _, from in ipairs { entry.result or {}, entry.params or {} } do
    if type(from) == "table" then
      for _, name in ipairs { "amount", "amount_to_capture", "price", "total", "value" } do
        if from[name] ~= nil and type(from[name]) ~= "table" then return from[name], from.currency end
      end
    end
  end
end

local function believed(run, rows)
  local page = ask.get("/v1/runs/" .. ask.id(run.id) .. "/journal", { limit = 1000 })
  for _, entry in ipairs(page.data) do
    local amount, currency = amount_of(entry)
    if moving[entry.kind] and amount ~= nil then
      local said = text.say(amount)
      if currency and not said:find "%a" then said = said .. " " .. tostring(currency) end
      rows[#rows + 1] = {
        at = entry.done_at or entry.at, run = run.id, operation = entry.name, amount = said,
        outcome = entry.outcome or "unknown", key = run.key,
      }
    end
  end
end

local function beliefs(options)
  local rows = {}
  local page = ask.get("/v1/runs", { limit = options.runs or RUNS, flow = options.flow, key = options.key })
  for _, run in ipairs(page.data) do believed(run, rows) end
  return text.list(rows, {
    { "at", function(r) return text.ago(r.at), "dim" end },
    { "operation", function(r) return r.operation end },
    { "amount", function(r) return r.amount end },
    { "outcome", function(r) return r.outcome, r.outcome == "done" and "green" or "yellow" end },
    { "run", function(r) return r.run end },
    { "key", function(r) return r.key, "dim" end, 30 },
  }, {
    none = ("none of the newest %d runs moved money"):format(#page.data),
    more = ("the newest %d runs%s"):format(#page.data,
      page.next_cursor and "; ledger{ runs = 200 } looks further" or ""),
  })
end

local function sandbox_rows()
  local status, value = native.sandbox("GET", "ledger")
  if not status or status >= 300 then error("the sandbox does not answer: " .. tostring(value), 0) end
  return text.list(value.data, {
    { "at", function(r) return text.ago(r.at), "dim" end },
    { "provider", function(r) return r.provider end },
    { "kind", function(r) return r.kind end },
    { "amount", function(r) return ("%s %s"):format(tostring(r.amount), r.currency or "") end },
    { "reference", function(r) return r.reference end, 40 },
  }, { none = "the sandbox has moved no money" })
end

local known = { runs = true, flow = true, key = true }

local function ledger(options)
  for name in pairs(options or {}) do
    if not known[name] then
      error(("ledger: unknown field \"%s\"; there are runs, flow and key"):format(tostring(name)), 3)
    end
  end
  return beliefs(options or {})
end

return setmetatable({ runs = ledger, sandbox = native.sandbox() and sandbox_rows or nil }, {
  __name = "ledger",
  __call = function(_, options) return ledger(options) end,
  __tostring = function() return "ledger" end,
  __complete = function() return { "runs", native.sandbox() and "sandbox" or nil } end,
  __console = function(_, width)
    local function shown(list) return getmetatable(list).__console(list, width) end
    local said = "What runs believe\n" .. shown(ledger())
    if native.sandbox() then said = said .. "\n\nWhat the sandbox has\n" .. shown(sandbox_rows()) end
    return said
  end,
})
