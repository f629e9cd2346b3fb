-- What is known of a value without running anything: its type, and its content where it is written down.
-- Unknown is nil, and what is unknown is never complained about.

local native = require "mintage.checking.native"
local types = require "mintage.checking.types"

local values = {}

-- ---- the running VM ----

local asked = {}

-- The same for a provider that the flows define themselves, by the names of its operations.
local function ask_defined(at)
  local wanted, names = table.concat(at.path, "."), {}
  for _, name in ipairs(native.defined(at.defined)) do
    if name == wanted then return { type = "userdata", operation = at.defined .. "." .. name, names = {} } end
    local below = wanted == "" and name or name:sub(1, #wanted + 1) == wanted .. "." and name:sub(#wanted + 2)
    if below then names[#names + 1] = below:match "^[^.]+" end
  end
  return #names > 0 and { type = "table", names = names } or { missing = true }
end

-- What the VM says of a module's member, or of a global's: { type, operation, names }, { message } or
-- { missing = true }.
function values.ask(at)
  if at.defined then return ask_defined(at) end
  local key = (at.module or "") .. "\0" .. table.concat(at.path, "\0")
  if asked[key] == nil then asked[key] = native.ask { module = at.module, path = at.path } end
  return asked[key]
end

function values.full_name(at)
  local short = at.defined or at.module and at.module:match "[^.]+$"
  local path = table.concat(at.path, ".")
  if not short then return path end
  return path == "" and short or short .. "." .. path
end

local function member(at, name)
  local path = table.move(at.path, 1, #at.path, 1, {})
  path[#path + 1] = name
  return { t = "member", module = at.module, defined = at.defined, path = path }
end

-- The operation's name when the value is one.
function values.operation(at)
  if not at or at.t ~= "member" then return nil end
  local answer = values.ask(at)
  return answer.operation
end

-- The signature of the function that the value is.
function values.signature(at)
  if not at then return nil end
  if at.t == "method" then return at.signature end
  if at.t ~= "member" or not at.module or at.defined then return nil end
  return types.signature(at.module, table.concat(at.path, "."))
end

-- ---- by declared type ----

local plain = { string = true, integer = true, boolean = true }

function values.of_type(type)
  if not type or type.optional or type.kind ~= "name" then return nil end
  if type.name == "mintage.Money" then return { t = "money" } end
  if plain[type.name] then return { t = type.name } end
  if types.class(type.name) then return { t = "object", class = types.class(type.name) } end
  return nil
end

-- What a field of an input is, by its schema as the flow wrote it.
function values.of_schema(node)
  local word = node and node.tag == "String" and node[1]
  if node and node.tag == "Table" then
    for _, pair in ipairs(node) do
      local named = pair.tag == "Pair" and pair[1].tag == "String" and pair[1][1]
      if named == "type" and pair[2].tag == "String" then word = pair[2][1] end
    end
  end
  return word == "money" and { t = "money" } or nil
end

-- ---- expressions ----

local function number(node)
  local text = tostring(node[1])
  local n = tonumber(text)
  return { t = math.type(n) == "integer" and "integer" or "float", value = n, literal = true }
end

local arithmetic = { add = true, sub = true, mul = true, mod = true, unm = true }

local infer

local function infer_op(node, scope)
  local name, left = node[1], infer(node[2], scope)
  if name == "unm" and left and left.literal and type(left.value) == "number" then
    return { t = left.t, value = -left.value, literal = true }
  end
  if name == "concat" then return { t = "string" } end
  if name == "not" then return { t = "boolean" } end
  local right = node[3] and infer(node[3], scope)
  local money = (left and left.t == "money") or (right and right.t == "money")
  if money and arithmetic[name] then return { t = "money" } end
  local parts = name == "idiv" and left and left.t == "money" and right and right.t == "integer"
  return parts and { t = "money" } or nil
end

local function infer_index(node, scope)
  local object = infer(node[1], scope)
  if not object or node[2].tag ~= "String" then return nil end
  local name = node[2][1]
  if object.t == "member" then return member(object, name) end
  if object.t == "input" then return object.fields[name] and values.of_schema(object.fields[name]) end
  if object.t == "object" then
    local field = object.class.fields[name]
    return field and not field.optional and values.of_type(field.type) or nil
  end
  return nil
end

local function defined_provider(name)
  return name and native.defined(name) and { t = "member", module = name, defined = name, path = {} } or nil
end

-- The name in provider.define { name = "acme", ... }.
function values.defined_name(node)
  for _, pair in ipairs(node[2] and node[2].tag == "Table" and node[2] or {}) do
    local named = pair.tag == "Pair" and pair[1].tag == "String" and pair[1][1]
    if named == "name" and pair[2].tag == "String" then return pair[2][1] end
  end
  return nil
end

-- Which provider a file answers that is required by this name; set by who knows the files.
function values.provider_of_file() return nil end

local function infer_call(node, scope)
  local called = infer(node[1], scope)
  if not called then return nil end
  if called.t == "member" and not called.module and called.path[1] == "require" and #called.path == 1 then
    local name = node[2] and node[2].tag == "String" and node[2][1]
    if name and name:find "^mintage%." then return { t = "member", module = name, path = {} } end
    return name and defined_provider(values.provider_of_file(name))
  end
  if called.module == "mintage.provider" and called.path[1] == "define" then
    return defined_provider(values.defined_name(node))
  end
  if called.t == "member" and called.module == "mintage.money" and #called.path == 0 then
    local text = node[2] and node[2].tag == "String" and node[2][1]
    return { t = "money", value = text or nil, literal = text and not node[3] or false }
  end
  local signature = values.signature(called)
  return signature and values.of_type(signature.returns[1])
end

local function infer_invoke(node, scope)
  local method = values.method(infer(node[1], scope), node[2][1])
  return method and values.of_type(method.signature.returns[1])
end

local readers = {
  Nil = function() return { t = "nil", literal = true } end,
  True = function() return { t = "boolean", value = true, literal = true } end,
  False = function() return { t = "boolean", value = false, literal = true } end,
  String = function(node) return { t = "string", value = node[1], literal = true } end,
  Number = number,
  Table = function(node) return { t = "table", node = node } end,
  Function = function(node) return { t = "function", node = node } end,
  Paren = function(node, scope) return infer(node[1], scope) end,
  Index = infer_index,
  Call = infer_call,
  Invoke = infer_invoke,
  Op = infer_op,
  Id = function(node, scope)
    local variable = scope:find(node[1])
    if variable then return not variable.changes and variable.value or nil end
    return { t = "member", path = { node[1] } }
  end,
}

function infer(node, scope)
  local reader = readers[node.tag]
  return reader and reader(node, scope)
end
values.infer = infer

-- The class that a value's methods are of.
function values.class_of(value)
  if not value then return nil end
  if value.t == "money" then return types.class "mintage.Money" or types.class "Money" end
  return value.t == "object" and value.class or nil
end

function values.method(value, name)
  local class = values.class_of(value)
  local signature = class and class.methods[name]
  return signature and { t = "method", signature = signature, name = name }
end

-- ---- literals as JSON, for the checks of the operations' own tables ----

local json

local function table_json(node, scope)
  local named, listed = {}, {}
  for _, item in ipairs(node) do
    if item.tag == "Pair" then
      local value = item[1].tag == "String" and json(item[2], scope)
      if not value then return nil end
      named[#named + 1] = native.encode(item[1][1]) .. ":" .. value
    else
      local value = json(item, scope)
      if not value then return nil end
      listed[#listed + 1] = value
    end
  end
  if #named > 0 and #listed > 0 then return nil end
  return #named > 0 and "{" .. table.concat(named, ",") .. "}" or "[" .. table.concat(listed, ",") .. "]"
end

-- The value as the journal would have it; of money that is not written down, some money. nil: not known.
function json(node, scope)
  if node.tag == "Table" then return table_json(node, scope) end
  local value = infer(node, scope)
  if not value then return nil end
  if value.t == "money" then
    local text = value.literal and not native.money(value.value) and value.value or "1.00 USD"
    return '{"$money":' .. native.encode(text) .. "}"
  end
  if not value.literal or value.t == "nil" then return nil end
  if value.t == "float" then return ("%.14g"):format(value.value) .. (value.value % 1 == 0 and ".0" or "") end
  if value.t == "integer" then return ("%d"):format(value.value) end
  return native.encode(value.value)
end
values.json = json

return values
