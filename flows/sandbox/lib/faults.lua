-- Faults on demand: what goes wrong between a client and its provider, armed through the control API or
-- asked for by the request itself (X-Sandbox-Fault). An armed fault counts what it has done, so that a test
-- can tell that it fired.

local clock = require "lib.clock"
local collection = require "mintage.collection"
local crypto = require "mintage.crypto"

local faults = {}

local armed = collection.define("sandbox_faults", { index = { "state", "scope" } })

local PAGE, AT_ONCE = 1000, 900
local TIMEOUT_MS = 60000
local SLOWEST_MS = 120000

-- skips: the request is not processed. apply: changes the answer. event: it happens to a webhook instead.
faults.kinds = {
  drop_response = {
    says = "processes the request, then closes the connection without answering",
    apply = function(response) response.fault = "drop" end,
  },
  timeout = {
    says = "does nothing, holds the connection for 60 seconds, then closes it",
    skips = true,
    apply = function(response) response.delay_ms, response.fault = TIMEOUT_MS, "drop" end,
  },
  reset = {
    says = "does nothing and resets the connection",
    skips = true,
    apply = function(response) response.fault = "reset" end,
  },
  truncate = {
    says = "processes the request, sends half of the answer, then closes",
    apply = function(response) response.fault = "truncate" end,
  },
  malformed = {
    says = "processes the request and answers 200 with JSON that is not",
    apply = function(response)
      response.status, response.json, response.html = 200, nil, nil
      response.headers = { ["Content-Type"] = "application/json" }
      response.body = '{"success":true,"data":{"inte<html>'
    end,
  },
  slow = {
    says = "processes the request and answers after so many milliseconds",
    number = SLOWEST_MS,
    apply = function(response, value) response.delay_ms = value end,
  },
  error = { says = "does nothing and answers this error of the provider", skips = true, code = true },

  duplicate = { says = "sends the webhook twice", event = true },
  delay = { says = "sends the webhook so many milliseconds later", event = true, number = 30 * 86400000 },
  reorder = { says = "sends the webhook after the ones of the next five seconds", event = true },
  lose = { says = "never sends the webhook", event = true },
}

local aliases = { cut = "truncate", status = "error" }

-- "slow=1500" -> "slow", 1500; "429" -> "error", "429"; otherwise nil and what is wrong.
function faults.parse(text)
  if type(text) ~= "string" then return nil, 'fault must be a string such as "drop_response"' end
  if text:find "^%d%d%d$" then return "error", text end
  local name, value = text:match "^([%a_]+)=?([%w_.-]*)$"
  name = aliases[name] or name
  local kind = faults.kinds[name]
  if not kind then
    local known = {}
    for other in pairs(faults.kinds) do known[#known + 1] = other end
    table.sort(known)
    return nil, ('unknown fault "%s"; there are: %s'):format(text:sub(1, 40), table.concat(known, ", "))
  end
  if kind.number then
    local number = value:find "^%d+$" and #value < 12 and math.tointeger(tonumber(value))
    if not number or number > kind.number then
      return nil, ('%s needs milliseconds up to %d, such as "%s=500"'):format(name, kind.number, name)
    end
    return name, number
  end
  if kind.code and value == "" then return nil, name .. ' needs a code, such as "error=500"' end
  if not kind.code and value ~= "" then return nil, name .. " takes no value" end
  return name, value
end

local match_fields = {
  provider = true, operation = true, method = true, path = true, reference = true, event = true,
  contains = true,
}

local function shown(row)
  return { id = row.id, match = row.match, fault = row.fault, times = row.times, consumed = row.consumed }
end

-- By what an armed fault is found: with thousands of them, a request reads those that may be its own.
local function scope_of(match) return (match.provider or "*") .. " " .. (match.operation or "*") end

-- An id after all others, so that faults happen in the order in which they were armed.
local function next_id()
  local last = armed:list { limit = 1, newest = true } [1]
  local before = last and math.tointeger(tonumber(last.id:match "^flt_(%d+)_")) or 0
  return ("flt_%014d_%s"):format(math.max(clock.now(), before + 1), crypto.token(8))
end

-- Arms a fault from {"match":{...},"fault":"...","times":n}. Answers it, or nil and what is wrong.
function faults.arm(given)
  local name, value = faults.parse(given.fault)
  if not name then return nil, value end
  local match = type(given.match) == "table" and given.match or {}
  for field, wanted in pairs(match) do
    if not match_fields[field] then
      return nil, ('match.%s is not known; there are: contains, event, method, operation, path, provider, '
        .. 'reference'):format(tostring(field))
    end
    if type(wanted) ~= "string" then return nil, "match." .. field .. " must be a string" end
  end
  local for_event = faults.kinds[name].event or false
  for _, field in ipairs(for_event and { "operation", "method", "path" } or { "event" }) do
    if match[field] then
      return nil, ("%s happens to %s, which have no %s: leave match.%s out"):format(name,
        for_event and "webhooks" or "requests", field, field)
    end
  end
  local times = math.tointeger(given.times == nil and 1 or given.times)
  if not times or times < 1 or times > 1000000 then return nil, "times must be an integer from 1" end
  return shown(armed:insert {
    id = next_id(),
    match = match,
    fault = given.fault,
    for_event = for_event,
    scope = scope_of(match),
    times = times,
    consumed = 0,
    state = "armed",
  })
end

-- Those with this value of a field, or all, in the order in which they were armed; appended to rows.
local function read(rows, field, value)
  local page
  repeat
    local last = page and page[#page].id
    page = armed:list { field = field, value = value, after = last, limit = PAGE }
    table.move(page, 1, #page, #rows + 1, rows)
  until #page < PAGE
  return rows
end

function faults.list()
  local out = {}
  for i, row in ipairs(read {}) do out[i] = shown(row) end
  return out
end

-- Forgets the faults, the armed ones first; as many as one transaction may touch. Answers how many are left.
function faults.disarm_all()
  local rows, deleted = read(read({}, "state", "armed"), "state", "consumed"), 0
  for i = 1, math.min(#rows, AT_ONCE) do
    armed:delete(rows[i].id)
    deleted = i
  end
  return #rows - deleted
end

-- The armed faults that may be for this, in order.
local function candidates(what)
  if #armed:list { field = "state", value = "armed", limit = 1 } == 0 then return {} end
  local rows, seen = {}, {}
  for _, provider in ipairs { what.provider, "*" } do
    for _, operation in ipairs { what.operation or "*", "*" } do
      local scope = provider .. " " .. operation
      if not seen[scope] then read(rows, "scope", scope) end
      seen[scope] = true
    end
  end
  table.sort(rows, function(a, b) return a.id < b.id end)
  return rows
end

local function fits(match, what)
  for field, wanted in pairs(match) do
    if field == "contains" then
      if not what.text or not what.text:find(wanted, 1, true) then return false end
    elseif what[field] ~= wanted then
      return false
    end
  end
  return true
end

-- The fault for this request or event, counted as consumed; nil when there is none. `what` has the fields
-- that match may name, and text, in which contains is looked for; own is the request's X-Sandbox-Fault, which
-- goes first (nil and a text when it is wrong).
function faults.take(what, own)
  local for_event = what.event ~= nil
  if own then
    local name, value = faults.parse(own)
    if not name then return nil, value end
    local is_for_event = faults.kinds[name].event or false
    if is_for_event == for_event then return { name = name, value = value } end
  end
  for _, fault in ipairs(candidates(what)) do
    if fault.for_event == for_event and fits(fault.match, what) then
      local consumed = fault.consumed + 1
      local state = consumed >= fault.times and "consumed" or "armed"
      armed:update(fault.id, {
        consumed = consumed, state = state, scope = state == "armed" and fault.scope or "",
      })
      local name, value = faults.parse(fault.fault)
      return { name = name, value = value }
    end
  end
end

return faults
