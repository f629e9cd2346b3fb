-- Webhooks to merchants (Standard Webhooks): flow.start("notify", { event = "order.paid", data = {...} },
-- { detached = true }) tells every endpoint that wants it. notify/endpoints.lua has the endpoints.

local collection = require "mintage.collection"
local endpoints = require "notify.endpoints"
local flow = require "mintage.flow"
local json = require "mintage.json"
local webhooks = require "mintage.webhooks"

-- As they were sent: { type, timestamp, data }. So long they can be sent again ("again").
local messages = collection.define("webhook_messages", { keep = "90d" })

local PAUSES = { 5, 300, 1800, 7200, 18000, 36000, 36000 } -- seconds, after each attempt that failed
local GIVE_UP = 3 * 24 * 3600 * 1000 -- an endpoint that takes nothing for so long is disabled
local OVERLAP = 24 * 3600 * 1000 -- after a rotation both secrets sign for so long

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
    if input.endpoint and not endpoints.all:get(input.endpoint) then
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
      local page = endpoints.all:list { limit = 100, after = after }
      for _, endpoint in ipairs(page) do
        after = endpoint.id
        local wanted = not input.endpoint and endpoints.wants(endpoint, message.type)
        if wanted or input.endpoint == endpoint.id then
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
  endpoints.all:update(endpoint.id, change)
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
      local endpoint = endpoints.all:get(input.endpoint)
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

return notify
