-- Whether a value that is written down fits where it stands: a declared type, a money or duration text, an
-- operation's parameters. Each answers through report(node, severity, message).

local native = require "mintage.checking.native"
local types = require "mintage.checking.types"
local values = require "mintage.checking.values"

local fit = {}

local function keys(map)
  local list = {}
  for key in pairs(map) do list[#list + 1] = key end
  table.sort(list)
  return list
end

function fit.nearest(name, names)
  local near = native.nearest(name, names)
  return near and (" (did you mean '%s'?)"):format(near) or ""
end

local function article(word)
  return (word:find "^[aeiou]" and "an " or "a ") .. word
end

function fit.describe(value)
  if value.t == "string" and value.literal then return ('"%s"'):format(value.value:sub(1, 40)) end
  if value.t == "integer" or value.t == "float" then
    return value.literal and "the number " .. tostring(value.value) or "a number"
  end
  if value.t == "nil" or value.t == "money" then return value.t end
  if value.t == "object" then return article(value.class.name:match "[^.]+$") end
  return article(value.t)
end

-- ---- tables against fields ----

-- What a table constructor gives: named = { name = node of the value }, places, and whether that is all it
-- has.
function fit.read_table(node)
  local given = { named = {}, keys = {}, listed = 0, whole = true }
  for _, item in ipairs(node) do
    if item.tag ~= "Pair" then
      given.listed = given.listed + 1
    elseif item[1].tag == "String" then
      given.named[item[1][1]], given.keys[item[1][1]] = item[2], item[1]
    else
      given.whole = false
    end
  end
  return given
end

local check_type

local function check_fields(fields, open, node, what, scope, report)
  local given = fit.read_table(node)
  for _, name in ipairs(keys(given.named)) do
    local field, value = fields[name], given.named[name]
    if field then
      if not (field.optional and value.tag == "Nil") then
        check_type(field.type, value, what .. ": " .. name, scope, report)
      end
    elseif not open then
      local near = fit.nearest(name, keys(fields))
      report(given.keys[name], "error", ("%s has no field '%s'%s"):format(what, name, near))
    end
  end
  if not given.whole or given.listed > 0 then return end
  for _, name in ipairs(keys(fields)) do
    local missing = not given.named[name] and not fields[name].optional
    if missing and fields[name].type.name ~= "any" then
      report(node, "error", ("%s: field '%s' is missing"):format(what, name))
    end
  end
end

-- ---- values against types ----

local numbers = { integer = true, float = true }
local tables = { table = true, object = true, input = true }

-- Named types that values are compared with by their own name; each answers whether the value fits.
local named = {
  string = function(v) return v.t == "string" end,
  number = function(v) return numbers[v.t] end,
  integer = function(v) return v.t == "integer" or (v.t == "float" and v.value and v.value % 1 == 0) end,
  boolean = function(v) return v.t == "boolean" end,
  table = function(v) return tables[v.t] end,
  ["nil"] = function(v) return v.t == "nil" end,
  ["mintage.Money"] = function(v) return v.t == "money" end,
  ["mintage.Operation"] = function(v) return v.t == "member" and values.operation(v) ~= nil end,
}

local fits

local by_kind = {
  any = function() return true end,
  literal = function(type, v) return v.t == "string" and (not v.literal or v.value == type.value) end,
  array = function(_, v) return v.t == "table" end,
  record = function(_, v) return tables[v.t] end,
  table = function(_, v) return tables[v.t] end,
  ["function"] = function(_, v) return v.t == "function" or v.t == "member" end,
  union = function(type, v)
    for _, part in ipairs(type.list) do
      if fits(part, v) then return true end
    end
    return false
  end,
  name = function(type, v)
    local alias = types.alias(type.name)
    if alias then return fits(alias, v) end
    local test = named[type.name]
    if test then return test(v) end
    if types.class(type.name) then return v.t == "table" or v.t == "object" or v.t == "money" end
    return true
  end,
}

function fits(type, value)
  if value.t == "nil" and type.optional then return true end
  return by_kind[type.kind](type, value) and true or false
end

-- The first part of a type that has fields, for a table constructor.
local function shape(type)
  if type.kind == "record" then return type.fields, false end
  if type.kind == "name" then
    local class, alias = types.class(type.name), types.alias(type.name)
    if class then return class.fields, class.open end
    if alias then return shape(alias) end
  end
  for _, part in ipairs(type.kind == "union" and type.list or {}) do
    if part.kind == "table" or part.name == "table" then return nil end
    local fields, open = shape(part)
    if fields then return fields, open end
  end
  return nil
end

local function includes(type, name)
  if type.kind == "union" then
    for _, part in ipairs(type.list) do
      if includes(part, name) then return true end
    end
  end
  return type.kind == "name" and type.name == name
end

local function literals(type, list)
  list = list or {}
  if type.kind == "literal" then list[#list + 1] = type.value end
  for _, part in ipairs(type.list or {}) do literals(part, list) end
  return list
end

function check_type(type, node, what, scope, report)
  local value = values.infer(node, scope)
  if not value then return end
  if value.t == "member" and not includes(type, "mintage.Operation") then return end -- whatever it holds
  if not fits(type, value) then
    local near = value.t == "string" and value.literal and fit.nearest(value.value, literals(type)) or ""
    local wanted = type.text or "another"
    report(node, "error", ("%s is %s, wanted %s%s"):format(what, fit.describe(value), wanted, near))
    return
  end
  if value.t == "string" and value.literal and includes(type, "mintage.Duration") then
    fit.duration(node, value.value, what, report)
  elseif value.t == "table" and type.kind == "array" then
    for _, item in ipairs(value.node) do
      if item.tag ~= "Pair" then check_type(type.of, item, what, scope, report) end
    end
  elseif value.t == "table" then
    local fields, open = shape(type)
    if fields and value.node == node then check_fields(fields, open, node, what, scope, report) end
  end
end
fit.type = check_type

function fit.duration(node, text, what, report)
  if native.duration(text) then return end
  local wanted = 'wanted such as "30d", "12h", "1h30m", "250ms"'
  report(node, "error", ('%s: "%s" is no duration; %s'):format(what, text, wanted))
end

-- The arguments of a call against the signature of what is called.
function fit.arguments(signature, what, node, first, scope, report)
  local last = node[#node]
  local counted = #node < first or not (last.tag == "Call" or last.tag == "Invoke" or last.tag == "Dots")
  for i, param in ipairs(signature.params) do
    local argument = node[first + i - 1]
    if param.name == "..." then return end
    if argument then
      local many = argument == last and not counted
      if not many and not (param.optional and argument.tag == "Nil") then
        check_type(param.type, argument, what .. ": " .. param.name, scope, report)
      end
    elseif counted and not param.optional and param.type.kind ~= "any" and param.type.name ~= "any" then
      local wanted = param.type.text or "a value"
      report(node, "error", ("%s: %s is missing, wanted %s"):format(what, param.name, wanted))
    end
  end
end

-- ---- money ----

local function wrong_currency(node, value, report)
  local why = value and value.t == "string" and value.literal and native.currency(value.value)
  if why then report(node, "error", why) end
end

-- money "80.00 USD", money(8000, "USD"), money { amount = 8000, currency = "USD" }
function fit.money(node, scope, report)
  local first, second = node[2], node[3]
  local value = first and values.infer(first, scope)
  if not value then return end
  if value.t == "float" then
    report(first, "error", "a number with a fraction is no money: floats are not exact; write it as text, "
      .. 'money "80.50 USD", or count minor units, money(8050, "USD")')
  elseif value.t == "string" and value.literal then
    local why = native.money(value.value)
    if why then report(first, "error", why) end
  elseif value.t == "integer" and not second then
    report(first, "error", 'money of a number wants its currency: money(8000, "USD"), in minor units')
  elseif value.t == "table" and first.tag == "Table" then
    local given = fit.read_table(first).named
    local amount = given.amount and values.infer(given.amount, scope)
    if amount and amount.t == "float" then
      report(given.amount, "error", "amount has a fraction: it counts minor units, 8050 for 80.50 USD")
    end
    if given.currency then wrong_currency(given.currency, values.infer(given.currency, scope), report) end
  end
  if second then wrong_currency(second, values.infer(second, scope), report) end
end

function fit.currency(node, scope, report) wrong_currency(node, values.infer(node, scope), report) end

-- ---- parameters of operations ----

local function find_param(operation, name)
  for _, param in ipairs(operation.params) do
    if param.name == name then return param end
  end
  return nil
end

-- The parameter that a string in first place stands for.
local function first_param(operation)
  local first, required
  for _, param in ipairs(operation.params) do
    required = required or param.required
    if param.type == "string" then
      if param.required then return param.name end
      first = first or param.name
    end
  end
  return not required and first or nil
end

local function check_params(name, operation, node, provided, scope, report)
  local given = fit.read_table(node)
  for _, key in ipairs(keys(given.named)) do
    local value = given.named[key]
    local known = find_param(operation, key)
    local text = not known and "null" or values.json(value, scope)
    local why = text and native.param(name, key, text)
    if why then report(known and value or given.keys[key], "error", why) end
    if value.tag ~= "Nil" then provided[key] = true end
  end
  if given.listed > 0 and not given.whole then return provided end
  if given.listed > 0 then report(node, "error", ("%s takes named fields, not a list"):format(name)) end
  return given.whole and provided or nil
end

local function check_missing(name, operation, node, provided, report)
  local missing = {}
  for _, param in ipairs(operation.params) do
    if param.required and not provided[param.name] then missing[#missing + 1] = param end
  end
  if #missing == 1 then
    local one = missing[1]
    local wanted = one.doc and one.doc ~= "" and one.doc or "wanted " .. one.type
    report(node, "error", ('%s: field "%s" is missing: %s'):format(name, one.name, wanted))
  elseif #missing > 1 then
    for i, param in ipairs(missing) do missing[i] = '"' .. param.name .. '"' end
    report(node, "error", ("%s: fields %s are missing"):format(name, table.concat(missing, ", ")))
  end
end

-- The arguments of an operation, from node[first] on, whether it is called or given to flow.try and the like.
function fit.operation(name, node, first, scope, report)
  local operation = native.operation(name)
  if not operation then return end
  local one, two, provided = node[first], node[first + 1], {}
  local value = one and values.infer(one, scope)
  if operation.kind == "settled" then
    local within = two and values.infer(two, scope)
    if within and within.literal and within.t == "string" then
      fit.duration(two, within.value, name .. ": within", report)
    end
    return
  end
  if one and one.tag == "Table" then
    provided = check_params(name, operation, one, provided, scope, report)
  elseif one and value and value.t == "string" then
    local key = first_param(operation)
    if not key then
      report(one, "error", ("%s takes a table of parameters, not a string"):format(name))
      return
    end
    provided[key] = true
    if two and two.tag == "Table" then
      provided = check_params(name, operation, two, provided, scope, report)
    elseif two then
      provided = nil
    end
  elseif one and value and (value.literal or value.t == "money" or value.t == "function") then
    report(one, "error", ("%s takes a table of parameters, not %s"):format(name, fit.describe(value)))
    return
  elseif one then
    return
  end
  if provided then check_missing(name, operation, one or node, provided, report) end
end

return fit
