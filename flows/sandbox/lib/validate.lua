-- Validation the way a Laravel API does it: rows of rules in, checked values and {field = {texts}} out. Blank
-- strings count as missing, unknown fields are ignored, money comes out in hundredths.

local decimal = require "lib.decimal"
local json = require "mintage.json"

local validate = {}

local function missing(value)
  return value == nil or value == json.null or type(value) == "string" and not value:find "%S"
end

local function is_list(value)
  if type(value) ~= "table" then return false end
  for key in pairs(value) do
    if math.type(key) ~= "integer" then return false end
  end
  return true
end

local function whole_number(value)
  if type(value) == "string" then
    local digits = value:match "^%s*(-?%d+)%s*$"
    return digits and #digits < 16 and math.tointeger(tonumber(digits)) or nil
  end
  return type(value) == "number" and math.tointeger(value) or nil
end

-- One function a type: answers the checked value, or nil and the text with %s for the field's name.
local FEW_PLACES = "The %s must have at most 2 decimal places."
local TOO_LARGE = "The %s must not be greater than 999999999999.99."
local types = {}

function types.numeric(value, rule)
  local hundredths, why = decimal.parse(value)
  if why == "places" then return nil, FEW_PLACES end
  if why == "size" then return nil, TOO_LARGE end
  if not hundredths then return nil, "The %s must be a number." end
  if rule.min and hundredths < rule.min * 100 then
    return nil, "The %s must be at least " .. rule.min .. "."
  end
  return hundredths
end

function types.integer(value, rule)
  local number = whole_number(value)
  if not number then return nil, "The %s must be an integer." end
  if rule.min and number < rule.min then return nil, "The %s must be at least " .. rule.min .. "." end
  if rule.max and number > rule.max then return nil, "The %s must not be greater than " .. rule.max .. "." end
  return number
end

function types.string(value, rule)
  if type(value) ~= "string" then return nil, "The %s must be a string." end
  value = value:match "^%s*(.-)%s*$"
  local length = utf8.len(value)
  if not length then return nil, "The %s must be a string." end
  local max = rule.max or 255
  if length > max then
    return nil, "The %s must not be greater than " .. max .. " characters."
  end
  if rule.pattern and not value:find(rule.pattern) then return nil, "The %s format is invalid." end
  return value
end

function types.enum(value, rule)
  for _, known in ipairs(rule.of) do
    if value == known then return value end
  end
  return nil, "The selected %s is invalid."
end

function types.email(value)
  local text, why = types.string(value, {})
  if not text then return nil, why end
  local ok = text:find "^[^%s@<>(),;:\\\"%[%]]+@[%w-]+[%w.-]*%.[%w-]+$" and not text:find("..", 1, true)
  if not ok then return nil, "The %s must be a valid email address." end
  return text
end

function types.url(value)
  local text, why = types.string(value, { max = 2048 })
  if not text then return nil, why end
  local host = text:match "^https?://([%w.%-%[%]:]+)"
  local rest = host and text:match "^https?://[%w.%-%[%]:]+(.*)$"
  if not host or rest:find "[%s<>\"\\%c]" or not (rest == "" or rest:find "^[/?#]") then
    return nil, "The %s must be a valid URL."
  end
  return text
end

function types.object(value)
  if type(value) ~= "table" then return nil, "The %s must be an array." end
  return value
end

local check_all

function types.array(value, rule, path, errors)
  if not is_list(value) then return nil, "The %s must be an array." end
  if #value == 0 then return nil, "The %s field is required." end
  if #value > rule.max then return nil, "The %s must not have more than " .. rule.max .. " items." end
  local items = json.array {}
  for i, item in ipairs(value) do
    local prefix = path .. "." .. (i - 1)
    if type(item) == "table" then
      items[i] = check_all(item, rule.each, errors, prefix .. ".")
    else
      errors[prefix] = { "The " .. prefix .. " must be an array." }
    end
  end
  return items
end

local function required(rule, body)
  if type(rule.required) ~= "table" then return rule.required, "" end
  local other, wanted = rule.required[1], rule.required[2]
  return body[other] == wanted, " when " .. other:gsub("_", " ") .. " is " .. wanted
end

function check_all(body, rules, errors, prefix)
  local values = {}
  for _, rule in ipairs(rules) do
    local path = prefix .. rule.name
    local label = prefix == "" and rule.name:gsub("_", " ") or path
    local given = body[rule.name]
    local needed, when = required(rule, body)
    if not missing(given) then
      local value, text = types[rule.type](given, rule, path, errors)
      if text then errors[path] = { (text:gsub("%%s", label)) } end
      values[rule.name] = value
    elseif needed then
      errors[path] = { "The " .. label .. " field is required" .. when .. "." }
    else
      values[rule.name] = rule.default
    end
  end
  return values
end

-- Checks a decoded JSON object. Answers the values that were right, and the errors or nil.
function validate.check(body, rules)
  local errors = {}
  local values = check_all(body, rules, errors, "")
  return values, next(errors) and errors or nil
end

return validate
