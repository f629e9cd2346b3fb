-- Asking the runtime: its own API, in process. What it refuses is raised in its words. Whatever changes
-- anything goes through ask.deed, which refuses in a read-only session and asks the person first.
local native = ...
local ask = {}

local function percent(c) return ("%%%02X"):format(c:byte()) end

local function path_of(path, query)
  local parts = {}
  for name, value in pairs(query or {}) do
    parts[#parts + 1] = name .. "=" .. tostring(value):gsub("[^%w%-_.~]", percent)
  end
  return #parts > 0 and path .. "?" .. table.concat(parts, "&") or path
end

function ask.id(text) return (tostring(text):gsub("[^%w%-_.~]", percent)) end

-- An error table, so that a client can tell what kind it is.
local function raise(kind, code, message)
  error(native.decode(native.plain { ["$error"] = { kind = kind, code = code, message = message } }
    :gsub('"%$%$error"', '"$error"'), 0))
end
ask.raise = raise

local function words(status, value)
  if type(value) == "table" then
    return tostring(value.detail or value.title or ("the runtime answered %d"):format(status))
  end
  return ("the runtime answered %d"):format(status)
end

-- The answer, or nil where there is none of that name.
function ask.maybe(path, query)
  local status, value = native.api("GET", path_of(path, query))
  if status == 404 then return nil end
  if status >= 300 then error(words(status, value), 0) end
  return value
end

function ask.get(path, query)
  local status, value = native.api("GET", path_of(path, query))
  if status >= 300 then error(words(status, value), 0) end
  return value
end

-- With a body, but changing nothing.
function ask.read(path, body)
  local status, value = native.api("POST", path, body)
  if status >= 300 then error(words(status, value), 0) end
  return value
end

function ask.refuse_read_only(what)
  if native.session.read_only then
    raise("permission", "read_only", what .. " would change something, and this session is read-only")
  end
end

-- Names of the providers that are no sandbox's.
function ask.production() return native.production and native.production() or {} end

function ask.confirm(what, text)
  local names = ask.production()
  local where = #names == 0 and "All providers are sandboxes."
    or "PRODUCTION: " .. table.concat(names, ", ")
  if native.confirm(("%s\n%s\nGo on?"):format(text, where), #names > 0) then return end
  raise("cancelled", "refused", what .. ": nobody said yes; nothing was done")
end

-- `question`: what it says before it asks; nil: it does not ask.
function ask.deed(what, path, body, question)
  ask.refuse_read_only(what)
  if question then ask.confirm(what, question) end
  local status, value = native.api("POST", path, body or {})
  if status >= 300 then error(words(status, value), 0) end
  return value
end

return ask
