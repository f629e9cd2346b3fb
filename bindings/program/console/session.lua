-- The Lua half of the console: what a command sees, and how it is carried out. Its chunk is called with
-- `native` (console_native.c) and answers the functions that console_session.c calls. Chunks of this folder
-- are called with (native, require), where require "console.NAME" is the file NAME.lua beside this one.

local native = ...

-- ---- files of this folder ----

local loaded = {}

local function need(name)
  local own = name:match "^console%.(.+)$"
  if not own then return require(name) end
  if loaded[own] == nil then
    local text = native.source(own) or error("the console has no " .. name, 2)
    local chunk = assert(load(text, "=" .. name, "t"))
    local value = chunk(native, need)
    loaded[own] = value == nil and true or value
  end
  return loaded[own]
end

-- ---- what a command sees ----

local modules = {
  "flow", "mintro", "paymint", "mint", "paymnt", "http", "money", "time", "json", "crypto", "collection",
  "provider",
}
local named = {}
for _, name in ipairs(modules) do named[name] = "mintage." .. name end

local env, own = {}, {} -- own: names that are the console's

local function undefined(name)
  local names = {}
  for key in pairs(env) do
    if type(key) == "string" then names[#names + 1] = key end
  end
  for key in pairs(named) do names[#names + 1] = key end
  for key in pairs(_G) do names[#names + 1] = key end
  local near = native.nearest(name, names)
  error(("there is no '%s'%s"):format(name, near and (" (did you mean '%s'?)"):format(near) or ""), 2)
end

local declared = {} -- names that were assigned, if only nil: no slips

setmetatable(env, {
  __index = function(_, name)
    if named[name] then
      local module = require(named[name])
      rawset(env, name, module)
      own[name] = true
      return module
    end
    local value = rawget(_G, name)
    if value ~= nil then return value end
    if name == "_" or declared[name] or type(name) ~= "string" then return nil end
    return undefined(name)
  end,
  __newindex = function(_, name, value)
    declared[name] = true
    rawset(env, name, value)
  end,
})

local render = need "console.render"

local function set(name, value)
  rawset(env, name, value)
  own[name] = true
end

set("print", function(...)
  local parts = {}
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    parts[i] = type(value) == "string" and value or render.short(value)
  end
  native.output(table.concat(parts, "\t") .. "\n")
end)
set("_G", env)

for name, value in pairs(need "console.objects") do set(name, value) end
set("help", need "console.help")

-- ---- carrying out ----

local half = {}

-- "return X" first, then X.
local function compile(code)
  local chunk = load("return " .. code, "@console", "t", env)
  if chunk then return chunk end
  return load(code, "@console", "t", env)
end

local function values_json(values)
  local parts = {}
  for i = 1, values.n do
    local ok, text = pcall(native.plain, values[i])
    if not ok then text = native.plain(render.short(values[i])) end
    parts[i] = text
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function packed(ok, ...) return ok, table.pack(...) end

-- What a command raised, for a person.
local function failed(err, trace, code)
  local kind = native.kind(err)
  if kind == "error" then return render.failure(err, trace, code) end
  local message = kind == "string" and err or "it raised " .. render.short(err)
  return "runtime", render.mistake(message, code, trace)
end

function half.eval(code, json, width)
  native.session.width = math.tointeger(width) or native.session.width -- of a terminal that was resized
  local chunk, message = compile(code)
  if not chunk then
    local incomplete = message:find("near <eof>", 1, true) ~= nil
    return "syntax", render.mistake(message, code), 0, nil, incomplete
  end
  local trace
  local ok, values = packed(xpcall(chunk, function(err)
    trace = native.trace()
    return err
  end))
  if not ok then return failed(values[1], trace, code) end
  if values.n > 0 and values[1] ~= nil then rawset(env, "_", values[1]) end
  if json then return "result", "", values.n, values_json(values) end
  local shown = {}
  for i = 1, values.n do shown[i] = render.value(values[i]) end
  return "result", table.concat(shown, "\n"), values.n
end

-- What went wrong, for a person: text is a message, or an error table's JSON.
function half.failure(text, raised, trace, code)
  if raised then return render.failure(native.decode(text), trace, code) end
  return "runtime", render.mistake(text, code, trace)
end

function half.complete(text)
  local start, names = need "console.complete"(env, named, text)
  return "", table.concat(names, "\n"), start
end

-- ---- moving to another generation ----

function half.pack()
  local kept, lost = {}, {}
  for name, value in pairs(env) do
    if type(name) == "string" and not own[name] then
      if native.encode(value) then
        kept[name] = value
      else
        lost[#lost + 1] = name
      end
    end
  end
  return "", native.encode(kept), 0, table.concat(lost, ", ")
end

function half.unpack(text)
  for name, value in pairs(native.decode(text)) do rawset(env, name, value) end
  return "", ""
end

return half
