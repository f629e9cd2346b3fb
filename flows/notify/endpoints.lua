-- The endpoints of merchants, and the routes by which whoever has the admin token keeps them.

local collection = require "mintage.collection"
local flow = require "mintage.flow"
local json = require "mintage.json"
local web = require "mintage.web"

local all = collection.define("webhook_endpoints", { unique = { "url" } })
local endpoints = { all = all }

-- Whether an endpoint is to be told of an event. "order.*" is all that begins so; no names: everything.
function endpoints.wants(endpoint, event)
  if not endpoint.enabled then return false end
  for _, wanted in ipairs(endpoint.events) do
    local prefix = wanted:match "^(.*)%*$"
    if wanted == event or (prefix and event:sub(1, #prefix) == prefix) then return true end
  end
  return #endpoint.events == 0
end

local function refuse(status, text)
  local headers = { ["Content-Type"] = "application/problem+json" }
  return { status = status, headers = headers, json = { status = status, detail = text } }
end

local function is_text(value, pattern, most)
  return type(value) == "string" and #value <= most and value:find(pattern)
end

local function is_list_of_names(value)
  if type(value) ~= "table" then return false end
  for place, name in pairs(value) do
    if math.type(place) ~= "integer" or not is_text(name, "^[%w_.]*%*?$", 100) then return false end
  end
  return true
end

local function is_boolean(value) return type(value) == "boolean" end

-- What may be said of an endpoint, and what is wanted there.
local fields = {
  id = { "1 to 64 letters, digits, - and _", function(v) return is_text(v, "^[%w_-]+$", 64) end },
  url = { "https:// and a host", function(v) return is_text(v, "^https?://[^%s@]+$", 2048) end },
  events = { 'a list of names such as "order.paid" or "order.*"', is_list_of_names },
  enabled = { "true or false", is_boolean },
  rotate = { "true or false", is_boolean },
}

-- What is wrong with what was given; nil when nothing is. `taken`: the names that are taken here.
local function problem_of(given, taken)
  if type(given) ~= "table" then return "wanted an object" end
  for name, value in pairs(given) do
    local field = (" " .. taken .. " "):find(" " .. name .. " ", 1, true) and fields[name]
    if not field then return name .. ": unknown; there are " .. taken end
    if not field[2](value) then return name .. ": wanted " .. field[1] end
  end
end

web.get("/notify/endpoints", function() return { json = { data = all:list { limit = 1000 } } } end)

web.post("/notify/endpoints", function(req)
  local given = req.json()
  local problem = problem_of(given, "id url events enabled") or given.url == nil and "url: it is missing"
  if problem then return refuse(422, problem) end
  return { status = 201, json = all:insert {
    id = given.id, url = given.url, events = given.events or json.array {},
    enabled = given.enabled ~= false, secret_version = 1,
  } }
end)

-- { url, events, enabled, rotate = true }: another secret; the one before it goes on signing for a day.
web.post("/notify/endpoints/{id}", function(req)
  local given, endpoint = req.json(), all:get(req.params.id)
  local problem = problem_of(given, "url events enabled rotate")
  if not endpoint then return refuse(404, "there is no such endpoint") end
  if problem then return refuse(422, problem) end
  local set = { url = given.url, events = given.events, enabled = given.enabled }
  if given.enabled then set.failing_since, set.disabled_because = json.null, json.null end
  if given.rotate then set.secret_version, set.rotated_at = endpoint.secret_version + 1, flow.now().ms end
  all:update(endpoint.id, set)
  return { json = all:get(endpoint.id) }
end)

web.delete("/notify/endpoints/{id}", function(req) all:delete(req.params.id) end)

return endpoints
