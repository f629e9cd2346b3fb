-- Outgoing webhooks: where each provider's go, and sending them. An event is recorded in the transaction that
-- caused it, also when nobody listens, and the runtime retries it by the provider's own schedule.

local clock = require "lib.clock"
local collection = require "mintage.collection"
local deliver = require "mintage.deliver"
local faults = require "lib.faults"
local json = require "mintage.json"
local task = require "mintage.task"

local webhooks = {}

local REORDER_MS = 5000

local endpoints = collection.define("sandbox_endpoints", {})

function webhooks.endpoint(provider)
  local row = endpoints:get(provider)
  return row and row.url or nil
end

function webhooks.endpoints()
  local out = {}
  for _, row in ipairs(endpoints:list { limit = 100 }) do out[row.id] = row.url end
  return out
end

-- Loopback only: the sandbox never calls out.
local function loopback(url)
  local authority = url:match "^http://([^/?#\\]+)"
  local host = authority and authority:gsub(":%d+$", "")
  return host == "localhost" or host == "[::1]" or host and host:find "^127%.%d+%.%d+%.%d+$" ~= nil
end

-- Sets the endpoints named in {provider = url}; json.null removes one. Answers true, or nil and what is
-- wrong.
function webhooks.set_endpoints(given, known)
  for provider, url in pairs(given) do
    if not known[provider] then return nil, ('there is no provider "%s"'):format(tostring(provider)) end
    if url ~= json.null and (type(url) ~= "string" or #url > 2048 or not loopback(url)) then
      return nil, provider .. " must be an http URL of this machine, such as http://127.0.0.1:8080/hooks"
    end
  end
  for provider, url in pairs(given) do
    if url == json.null then endpoints:delete(provider) else endpoints:put { id = provider, url = url } end
  end
  return true
end

-- Where an event goes: its own URL, else the provider's endpoint. One of another machine is recorded only.
local function target(event)
  local to = event.to
  event.to = nil
  if not to then return webhooks.endpoint(event.group) end
  return loopback(to) and to or nil
end

local function send(event, copies)
  for _ = 1, copies do deliver(event) end
end

task.define("webhooks.later", function(event)
  event.url = target(event)
  send(event, 1)
end)

-- Sends an event of a provider: what mintage.deliver takes, but for the url; to: a URL of its own; reference:
-- what it is about, as the journal of requests names it. own: X-Sandbox-Fault of its cause.
function webhooks.emit(event, own)
  local fault = faults.take({
    provider = event.group, event = event.event, reference = event.reference, text = event.body,
  }, own)
  event.reference = nil
  local name = fault and fault.name
  if name == "lose" then
    event.to = nil
  elseif name == "delay" or name == "reorder" then
    task.at(clock.now() + (name == "delay" and fault.value or REORDER_MS), "webhooks.later", event)
    return
  else
    event.url = target(event)
  end
  send(event, name == "duplicate" and 2 or 1)
end

return webhooks
