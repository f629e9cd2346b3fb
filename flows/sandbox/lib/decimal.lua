-- Amounts as providers write them: decimals with at most two digits after the point (or as many as is said),
-- held here as an integer number of hundredths. No float arithmetic: a JSON number is taken by its shortest
-- decimal text.

local decimal = {}

local MOST_DIGITS = 12 -- before the point; with two more a double still carries every digit

local function text_of(value)
  if math.type(value) == "integer" then return string.format("%d", value) end
  for digits = 15, 17 do
    local text = string.format("%." .. digits .. "g", value)
    if tonumber(text) == value then return text end
  end
end

-- 80, 80.5, "80.50" -> 8000, 8050, 8050; otherwise nil and why: "number", "places" or "size". places: 2.
function decimal.parse(value, places)
  places = places or 2
  local text = value
  if type(value) == "number" then text = text_of(value) end
  if type(text) ~= "string" then return nil, "number" end
  local sign, whole, fraction = text:match "^%s*(-?)(%d+)(%.?%d*)%s*$"
  if not whole or fraction == "." then
    local tiny = type(value) == "number" and text:find "e%-"
    return nil, tiny and "places" or "number"
  end
  fraction = fraction:sub(2)
  whole = whole:gsub("^0+(%d)", "%1")
  if #fraction > places then return nil, "places" end
  if #whole > MOST_DIGITS then return nil, "size" end
  local hundredths = math.tointeger(tonumber(whole .. fraction .. ("0"):rep(places - #fraction)))
  return sign == "-" and -hundredths or hundredths
end

-- 8050 -> "80.50"
function decimal.text(hundredths, places)
  places = places or 2
  local sign, unit = hundredths < 0 and "-" or "", math.tointeger(10 ^ places)
  hundredths = math.abs(hundredths)
  return string.format("%s%d.%0" .. places .. "d", sign, hundredths // unit, hundredths % unit)
end

return decimal
