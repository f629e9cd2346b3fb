-- Reads the type files of bindings/types: what the functions of mintage.* take and answer, and which fields
-- their tables have. A test compares those files with the running VM, so what is read here is what there is.

local types = { classes = {}, aliases = {}, modules = {} }

-- ---- a type ----

-- { kind = "name" or "literal", "array", "record", "union", "function", "table", "any"; text = as written }
local read

local function read_record(inner)
  if inner:find "^%s*%[" then return { kind = "table" } end
  local record = { kind = "record", fields = {} }
  local at = 1
  while true do
    local _, stop, name, optional = inner:find("^%s*([%w_]+)(%??)%s*:%s*", at)
    if not name then return record end
    local type, rest = read(inner:sub(stop + 1))
    record.fields[name] = { type = type, optional = optional == "?" or type.optional }
    at = #inner - #rest + 1
    at = select(2, inner:find("^%s*,", at)) or #inner
    at = at + 1
  end
end

-- Reads a type off the beginning of the text; answers it and what follows it.
function read(text)
  local at = 1

  local function balanced(pair)
    local _, stop = text:find("^%b" .. pair, at)
    stop = stop or #text
    local inner = text:sub(at + 1, stop - 1)
    at = stop + 1
    return inner
  end

  local function primary()
    local first = text:sub(at, at)
    if first == '"' then
      local _, stop, value = text:find('^"([^"]*)"', at)
      at = stop + 1
      return { kind = "literal", value = value }
    end
    if first == "{" then return read_record(balanced "{}") end
    if first == "(" then return (read(balanced "()")) end
    if text:find("^fun%(", at) then
      at = at + 3
      balanced "()"
      local _, stop = text:find("^:%s*", at)
      if stop then
        local _, rest = read(text:sub(stop + 1))
        at = #text - #rest + 1
      end
      return { kind = "function" }
    end
    local _, stop, name = text:find("^([%w_.]+)", at)
    if not name then return { kind = "any" } end
    at = stop + 1
    if text:sub(at, at) == "<" then
      balanced "<>"
      return { kind = "table" }
    end
    return { kind = "name", name = name }
  end

  local function postfix()
    local start = at
    local type = primary()
    while true do
      if text:find("^%[%]", at) then
        type, at = { kind = "array", of = type }, at + 2
      elseif text:sub(at, at) == "?" then
        type.optional, at = true, at + 1
      else
        type.text = text:sub(start, at - 1)
        return type
      end
    end
  end

  local one = postfix()
  local list = { one }
  while true do
    local _, stop = text:find("^%s*|%s*", at)
    if not stop then break end
    at = stop + 1
    list[#list + 1] = postfix()
  end
  if #list > 1 then
    one = { kind = "union", list = list }
    for _, part in ipairs(list) do one.optional = one.optional or part.optional or part.name == "nil" end
  end
  one.text = text:sub(1, at - 1)
  return one, text:sub(at)
end

-- ---- a file ----

local function read_field(class, rest)
  local name, optional, type = rest:match "^([%w_]+)(%??)%s+(.*)$"
  if not name then return end
  local parsed = read(type)
  class.fields[name] = { type = parsed, optional = optional == "?" or parsed.optional }
end

local function read_param(pending, rest)
  local name, optional, type = rest:match "^([%w_.]+)(%??)%s+(.*)$"
  if not name then return end
  local parsed = read(type)
  local may_miss = optional == "?" or parsed.optional
  pending.params[#pending.params + 1] = { name = name, type = parsed, optional = may_miss }
end

local function read_return(pending, rest) pending.returns[#pending.returns + 1] = (read(rest)) end

local function fresh() return { params = {}, returns = {}, doc = "" } end

-- What a line beginning with ---@ says.
local function annotation(state, tag, rest)
  local pending = state.pending
  if tag == "class" then
    local name, parent = rest:match "^([%w_.]+)(:?%s*[%w_.]*)"
    state.class = { name = name, fields = {}, methods = {}, open = parent:find ": *table" ~= nil }
    types.classes[name] = state.class
  elseif tag == "field" and state.class then
    read_field(state.class, rest)
  elseif tag == "alias" then
    local name, type = rest:match "^([%w_.]+)%s+(.*)$"
    if name then types.aliases[name] = read(type) end
  elseif tag == "param" then
    read_param(pending, rest)
  elseif tag == "return" then
    read_return(pending, rest)
  elseif tag == "nodiscard" then
    pending.nodiscard = true
  end
end

local function declared(state, path, colon, name)
  local fn = state.pending
  fn.noreturn = fn.doc:find("Does not return", 1, true) ~= nil
  state.pending, state.class = fresh(), nil
  if colon == ":" then
    local class = state.locals[path]
    if class then class.methods[name] = fn end
  else
    local root, rest = (path .. "." .. name):match "^([%w_]+)%.(.*)$"
    if state.locals[root] then state.locals[root].functions[rest] = fn end
  end
end

local function read_line(state, line)
  local tag, rest = line:match "^%-%-%-@(%w+)%s*(.*)$"
  if tag then return annotation(state, tag, rest) end
  local doc = line:match "^%-%-%-(.*)$"
  if doc then
    state.pending.doc = state.pending.doc .. " " .. doc
    return
  end
  local path, colon, name = line:match "^function ([%w_.]-)([.:])([%w_]+)%("
  if name then return declared(state, path, colon, name) end
  local alone = line:match "^local function ([%w_]+)%("
  if alone then
    state.locals[alone] = { functions = { [""] = state.pending } }
  else
    local variable = line:match "^local ([%w_]+) = {}"
    if variable then
      state.locals[variable] = state.class or {}
      state.locals[variable].functions = {}
    end
    local answer = line:match "^return ([%w_]+)"
    if answer then types.modules[state.module] = state.locals[answer] end
  end
  state.pending, state.class = fresh(), nil
end

function types.read(module, text)
  local state = { module = module, locals = {}, pending = fresh() }
  for line in (text .. "\n"):gmatch "(.-)\n" do read_line(state, line) end
end

-- The signature of a function of a module ("sleep"; "" for a module that is one), or nil.
function types.signature(module, path)
  local found = types.modules[module]
  return found and found.functions[path]
end

function types.class(name) return types.classes[name] end

-- What a name stands for: an alias' type, else nil.
function types.alias(name) return types.aliases[name] end

return types
