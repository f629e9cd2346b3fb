-- Instants, durations, amounts and JSON as specs write them.

local native = require "mintage.testing.native"

local values = {}

local units = { ms = 1, s = 1000, m = 60000, h = 3600000, d = 86400000, w = 604800000 }

-- "1h30m", "30d", or seconds: milliseconds.
function values.duration(text)
  if type(text) == "number" then return math.floor(text * 1000) end
  local ms, rest = 0, tostring(text)
  while rest ~= "" do
    local number, unit, more = rest:match "^(%d+)([a-z]+)(.*)$"
    if not number or not units[unit] then
      error(('a duration: found "%s", wanted such as "30d" or "1h30m"'):format(tostring(text)), 3)
    end
    ms, rest = ms + tonumber(number) * units[unit], more
  end
  return ms
end

local function days_from_civil(y, m, d)
  if m <= 2 then y = y - 1 end
  local era = y // 400
  local yoe = y - era * 400
  local doy = (153 * (m + (m > 2 and -3 or 9)) + 2) // 5 + d - 1
  return era * 146097 + yoe * 365 + yoe // 4 - yoe // 100 + doy - 719468
end

-- "2026-01-31T09:00:00Z" or "2026-01-31": milliseconds since 1970.
function values.instant(text)
  if math.type(text) == "integer" then return text end
  local y, m, d, rest = tostring(text):match "^(%d%d%d%d)-(%d%d)-(%d%d)(.*)$"
  local h, min, s, ms = (rest or ""):match "^T(%d%d):(%d%d):(%d%d)%.?(%d*)Z$"
  if not y or (rest ~= "" and not h) then
    error(('an instant: found "%s", wanted such as "2026-01-31T09:00:00Z"'):format(tostring(text)), 3)
  end
  local seconds = days_from_civil(tonumber(y), tonumber(m), tonumber(d)) * 86400
    + tonumber(h or 0) * 3600 + tonumber(min or 0) * 60 + tonumber(s or 0)
  return math.tointeger(seconds * 1000 + (tonumber(((ms or "") .. "000"):sub(1, 3)) or 0))
end

-- Milliseconds as "2026-01-31T09:00:00.000Z".
function values.text_of(ms)
  return os.date("!%Y-%m-%dT%H:%M:%S", ms // 1000) .. (".%03dZ"):format(ms % 1000)
end

-- "80.00" in ten-thousandths, exactly; nil when it is no amount.
function values.amount(text)
  local sign, whole, part = tostring(text):match "^(-?)(%d+)%.?(%d*)$"
  if not whole or #part > 4 then return nil end
  local n = math.tointeger(tonumber(whole .. part .. ("0"):rep(4 - #part)))
  return n and (sign == "-" and -n or n)
end

-- "80.00 USD": ten-thousandths and the currency.
function values.money(text)
  local amount, currency = tostring(text):match "^(%S+) (%u%u%u)$"
  local n = amount and values.amount(amount)
  if not n then error(('money: found "%s", wanted such as "80.00 USD"'):format(tostring(text)), 3) end
  return n, currency
end

-- Without null, which is nothing in Lua.
local function without_null(value)
  if type(value) ~= "table" then return value end
  for name, member in pairs(value) do
    if member == native.null then value[name] = nil else without_null(member) end
  end
  return value
end

function values.decode(text)
  local value = native.decode(text)
  if value == native.null then return nil end
  return without_null(value)
end

return values
