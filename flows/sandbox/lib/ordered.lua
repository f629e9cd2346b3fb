-- JSON text whose members come in a documented order, so that an answer can be laid beside the page that
-- shows it. JSON gives the order no meaning; people and careless clients do.

local json = require "mintage.json"

local ordered = {}

local encode

local function list_text(list, ranks)
  local parts = {}
  for i, item in ipairs(list) do parts[i] = encode(item, ranks) end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function object_text(object, ranks)
  local names, parts = {}, {}
  for name in pairs(object) do names[#names + 1] = name end
  table.sort(names, function(a, b)
    local first, second = ranks[a] or math.huge, ranks[b] or math.huge
    if first ~= second then return first < second end
    return a < b
  end)
  for i, name in ipairs(names) do parts[i] = json.encode(name) .. ":" .. encode(object[name], ranks) end
  return "{" .. table.concat(parts, ",") .. "}"
end

function encode(value, ranks)
  if type(value) ~= "table" or next(value) == nil then return json.encode(value) end
  return value[1] ~= nil and list_text(value, ranks) or object_text(value, ranks)
end

-- order: names of members, at whatever depth; those it does not name come last, by their bytes.
function ordered.encode(value, order)
  local ranks = {}
  for rank, name in ipairs(order) do ranks[name] = rank end
  return encode(value, ranks)
end

return ordered
