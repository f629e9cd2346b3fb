-- What a request to MINT says, whatever it is written in: a query, a form, multipart (as PHP's curl sends an
-- array), or JSON. Names in brackets become tables, as PHP reads them: auth[key], params[test], epin[0],
-- epin[].

local json = require "mintage.json"
local provider = require "lib.provider"

local fields = {}

local MOST = 256 -- fields of a request

local function put(into, name, value)
  local base, inner = name:match "^([^%[]+)%[([^%]]*)%]$"
  if not base then
    into[name] = value
    return
  end
  if type(into[base]) ~= "table" then into[base] = {} end
  local list = into[base]
  if inner == "" then
    local n = 0
    while list[tostring(n)] ~= nil do n = n + 1 end
    inner = tostring(n)
  end
  list[inner] = value
end

local function decoded(text)
  return (text:gsub("%+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function from_form(text)
  local into, count = {}, 0
  for pair in text:gmatch "[^&]+" do
    count = count + 1
    if count > MOST then return nil end
    local name, value = pair:match "^([^=]*)=?(.*)$"
    put(into, decoded(name), decoded(value))
  end
  return into
end

local function from_multipart(text, kind)
  local boundary = kind:match 'boundary="([^"]+)"' or kind:match "boundary=([^;%s]+)"
  if not boundary then return nil end
  local into, count = {}, 0
  local mark = "--" .. boundary
  local _, at = text:find(mark, 1, true)
  while at do
    count = count + 1
    if count > MOST or text:sub(at + 1, at + 2) == "--" then break end
    local first, last = text:find("\r\n" .. mark, at + 1, true)
    if not first then return nil end
    local head, value = text:sub(at + 1, first - 1):match "^\r\n(.-)\r\n\r\n(.*)$"
    local name = head and head:match '[%s;]name="([^"]*)"'
    if name then put(into, name, value) end
    at = last
  end
  return into
end

-- A request's fields; nil and an HTTP status when they cannot be read.
function fields.read(req)
  local into = {}
  if req.method == "GET" then
    for name, value in pairs(req.query) do put(into, name, value) end
  end
  if req.method == "GET" or req.body == "" then return into end

  local kind = (req.headers["content-type"] or "application/x-www-form-urlencoded"):lower()
  local given
  if kind:find "^multipart/form%-data" then
    given = from_multipart(req.body, req.headers["content-type"])
  elseif kind:find "^application/json" or req.body:find "^%s*{" then -- curl -d always says form
    given = provider.body(req)
  elseif kind:find "^application/x%-www%-form%-urlencoded" then
    given = from_form(req.body)
  else
    return nil, 415
  end
  if not given then return nil, 422 end
  for name, value in pairs(given) do
    if value ~= json.null then into[name] = value end
  end
  return into
end

-- A value as PHP turns it into text; nil for what has none.
function fields.text(value)
  if type(value) == "string" then return value end
  if math.type(value) == "integer" then return string.format("%d", value) end
  if type(value) == "number" then return string.format("%.14g", value) end
  if value == true then return "1" end
  if value == false or value == json.null or value == nil then return "" end
end

-- A whole number; nil for anything else. What is too long for an integer is as large as one can be.
function fields.integer(value)
  local text = fields.text(value)
  local sign, digits = (text or ""):match "^(-?)(%d+)$"
  if not digits then return nil end
  digits = digits:gsub("^0+(%d)", "%1")
  local number = #digits > 15 and 10 ^ 15 // 1 | 0 or math.tointeger(tonumber(digits))
  return sign == "-" and -number or number
end

return fields
