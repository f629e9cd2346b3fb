-- Webhooks to merchants (Standard Webhooks): flow.start("notify", { event = "order.paid", data = {...} },
-- { detached = true }) tells every endpoint that wants it. Endpoints are kept over HTTP (/notify/endpoints).

local collection = require "mintage.collection"
local flow = require "mintage.flow"
local json = require "mintage.json"
local web = require "mintage.web"
local webhooks = require "mintage.webhooks"

local endpoints = collection.define("webhook_endpoints", { unique = { "url" } })
-- As they were sent: { type, timestamp, data }. So long they can be sent again ("again").
local messages = collection.define("webhook_messages", { keep = "90d" })

local PAUSES = { 5, 300, 1800, 7200, 18000, 36000, 36000 } -- seconds, after each attempt that failed
local GIVE_UP = 3 * 24 * 3600 * 1000 -- an endpoint that takes nothing for so long is disabled
local OVERLAP = 24 * 3600 * 1000 -- after a rotation both secrets sign for so long

local function wants(endpoint, event)
  if not endpoint.enabled then return false end
  for _, wanted in ipairs(endpoint.events) do
    local prefix = wanted:match "^(.*)%*$"
    if wanted == event or (prefix and event:sub(1, #prefix) == prefix) then return true end
  end
  return #endpoint.events == 0
end

local notify = flow.define {
  name = "notify",
  title = "Tell merchants",
  description = "Sends an event to every endpoint that wants it, or a message again.",
  input = {
    event = { type = "string?", max = 100, pattern = "[A-Za-z0-9_.]+", doc = "such as order.paid" },
    data = "any?",
    again = { type = "string?", doc = "the id of a message that is to be sent once more, as the same" },
    endpoint = { type = "string?", doc = "this endpoint only" },
  },

  run = function(input)
    local message = input.again and messages:get(input.again)
    if input.again and not message then flow.fail("not_found", "there is no message " .. input.again) end
    if input.endpoint and not endpoints:get(input.endpoint) then
      flow.fail("not_found", "there is no endpoint " .. input.endpoint)
    end
    if not message then
      if not input.event then flow.fail("invalid_request", "no event, and no message to be sent again") end
      local id = "msg_" .. flow.uuid():gsub("-", "")
      message = { id = id, type = input.event, timestamp = tostring(flow.now()), data = input.data or {} }
      messages:insert(message)
    end
    local told, after = json.array {}, nil
    repeat
      local page = endpoints:list { limit = 100, after = after }
      for _, endpoint in ipairs(page) do
        after = endpoint.id
        if input.endpoint == endpoint.id or (not input.endpoint and wants(endpoint, message.type)) then
          flow.start("notify-endpoint", { endpoint = endpoint.id, message = message.id }, { detached = true })
          table.insert(told, endpoint.id)
        end
      end
    until #page < 100
    return { message = message.id, endpoints = told }
  end,
}

-- What an attempt says of the endpoint itself. True: there is no use in going on.
local function take_note(endpoint, answer)
  local now, change = flow.now().ms, nil
  if answer.delivered then
    change = endpoint.failing_since and { failing_since = json.null }
  elseif answer.status == 410 then
    change = { enabled = false, disabled_because = "it answered 410 Gone" }
  elseif not endpoint.failing_since then
    change = { failing_since = now }
  elseif now - endpoint.failing_since > GIVE_UP then
    change = { enabled = false, disabled_because = "it has taken nothing for days" }
  end
  if not change then return false end
  endpoints:update(endpoint.id, change)
  if change.enabled == false then
    flow.warn("an endpoint has been disabled", { endpoint = endpoint.id, why = change.disabled_because })
  end
  return change.enabled == false
end

flow.define {
  name = "notify-endpoint",
  title = "Tell one merchant",
  description = "One message to one endpoint, tried for about 28 hours.",
  input = { endpoint = "string", message = "string" },

  run = function(input)
    local message = messages:get(input.message) or flow.fail "not_found"
    for attempt = 1, #PAUSES + 1 do
      local endpoint = endpoints:get(input.endpoint)
      if not endpoint or not endpoint.enabled then flow.fail("disabled", "the endpoint is disabled") end
      local answer = webhooks.send {
        url = endpoint.url, endpoint = endpoint.id, id = input.message,
        version = endpoint.secret_version,
        previous = flow.now().ms < (endpoint.rotated_at or 0) + OVERLAP,
        json = { type = message.type, timestamp = message.timestamp, data = message.data },
      }
      flow.progress { attempts = attempt, status = answer.status, error = answer.error }
      if take_note(endpoint, answer) then flow.fail("disabled", "the endpoint has been disabled") end
      if answer.delivered then return { attempts = attempt, status = answer.status } end
      if not PAUSES[attempt] then break end
      local pause = PAUSES[attempt] * (1 + flow.random() / 10)
      flow.sleep(math.max(math.ceil(pause), answer.retry_after or 0))
    end
    flow.fail("undelivered", "the endpoint has not taken the message")
  end,
}

-- ---- the endpoints, for whoever has the admin token ----

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

web.get("/notify/endpoints", function() return { json = { data = endpoints:list { limit = 1000 } } } end)

web.post("/notify/endpoints", function(req)
  local given = req.json()
  local problem = problem_of(given, "id url events enabled") or given.url == nil and "url: it is missing"
  if problem then return refuse(422, problem) end
  return { status = 201, json = endpoints:insert {
    id = given.id, url = given.url, events = given.events or json.array {},
    enabled = given.enabled ~= false, secret_version = 1,
  } }
end)

-- { url, events, enabled, rotate = true }: another secret; the one before it goes on signing for a day.
web.post("/notify/endpoints/{id}", function(req)
  local given, endpoint = req.json(), endpoints:get(req.params.id)
  local problem = problem_of(given, "url events enabled rotate")
  if not endpoint then return refuse(404, "there is no such endpoint") end
  if problem then return refuse(422, problem) end
  local set = { url = given.url, events = given.events, enabled = given.enabled }
  if given.enabled then set.failing_since, set.disabled_because = json.null, json.null end
  if given.rotate then set.secret_version, set.rotated_at = endpoint.secret_version + 1, flow.now().ms end
  endpoints:update(endpoint.id, set)
  return { json = endpoints:get(endpoint.id) }
end)

web.delete("/notify/endpoints/{id}", function(req) endpoints:delete(req.params.id) end)

return notify
