-- Reading the bodies of Paymnt's requests the way its own parser does: the first field that does not fit is
-- named, in its words; unknown fields are ignored.

local money = require "mintage.money"
local replies = require "lib.paymnt.replies"

local fields = {}

local function kind_of(value)
  if type(value) == "string" then return ('string "%s"'):format(value:sub(1, 40)) end
  if math.type(value) == "integer" then return ("integer `%d`"):format(value) end
  if math.type(value) == "float" then return ("floating point `%s`"):format(value) end
  if type(value) == "boolean" then return ("boolean `%s`"):format(value) end
  return value[1] ~= nil and "sequence" or "map"
end

local function unfit(name, value, expected)
  local text = ("%s: invalid type: %s, expected %s"):format(name, kind_of(value), expected)
  return replies.unreadable(text, name)
end

local readers = {}

-- An amount whose sign is judged later, in its turn.
function readers.integer_any(value, row)
  if math.type(value) ~= "integer" then return nil, unfit(row.name, value, "i64") end
  return value
end

function readers.integer(value, row)
  if math.type(value) ~= "integer" then return nil, unfit(row.name, value, "i64") end
  if value < 0 then
    return nil, replies.unreadable(
      ("%s: invalid value: integer `%d`, expected positive integer"):format(row.name, value), row.name)
  end
  return value
end

function readers.string(value, row)
  if type(value) ~= "string" then return nil, unfit(row.name, value, "a string") end
  if #value > (row.max or 255) then
    return nil, replies.refuse("IR_07", "Invalid value provided: " .. row.name, { field = row.name })
  end
  return value
end

function readers.id(value, row)
  if type(value) ~= "string" then return nil, unfit(row.name, value, "a string") end
  if not value:find "^[%w_-]+$" or #value > 64 then
    return nil, replies.refuse("IR_07", "Invalid value provided: " .. row.name, { field = row.name })
  end
  return value
end

function readers.boolean(value, row)
  if type(value) ~= "boolean" then return nil, unfit(row.name, value, "a boolean") end
  return value
end

function readers.object(value, row)
  if type(value) ~= "table" or value[1] ~= nil then return nil, unfit(row.name, value, "a map") end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  if row.max and count > row.max then
    return nil, replies.refuse("IR_07", "Invalid value provided: " .. row.name, { field = row.name })
  end
  return value
end

function readers.url(value, row)
  if type(value) ~= "string" then return nil, unfit(row.name, value, "a string") end
  if not value:find "^https?://[%w.%-%[%]:]+[/?#]?[^%s%c<>\"\\]*$" or #value > 2048 then
    return nil, replies.unreadable(row.name .. ": relative URL without a base", row.name)
  end
  return value
end

local function unknown_variant(name, value, of)
  return replies.unreadable(
    ("%s: unknown variant `%s`, expected one of `%s`"):format(name, tostring(value):sub(1, 40), of), name)
end

function readers.enum(value, row)
  for _, known in ipairs(row.of) do
    if value == known then return value end
  end
  return nil, unknown_variant(row.name, value, table.concat(row.of, "`, `"))
end

function readers.currency(value, row)
  local known = type(value) == "string" and value:find "^%u%u%u$" and pcall(money.zero, value)
  if not known then return nil, unknown_variant(row.name, value, "AED`, ..., `USD`, ..., `ZWL") end
  return value
end

-- The values of a body by rows of {name, type, ...}; or nil and the refusal of the first that does not fit.
function fields.read(body, rows)
  local values = {}
  for _, row in ipairs(rows) do
    local value = body[row.name]
    if value ~= nil then
      local read, refusal = readers[row.type](value, row)
      if refusal then return nil, refusal end
      values[row.name] = read
    elseif row.required == "parser" then
      return nil, replies.unreadable(("missing field `%s`"):format(row.name), row.name)
    elseif row.required then
      return nil, replies.refuse("IR_04", "Missing required param: " .. row.name, { field = row.name })
    end
  end
  return values
end

return fields
