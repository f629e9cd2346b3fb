-- Mintro's webhooks: the seven events, in the envelope {"event", "data"}, retried after 1 min, 5 min, 30
-- min, 2 h and 12 h. Nothing is signed, as with the real one.

local ids = require "lib.ids"
local ordered = require "lib.ordered"
local webhooks = require "lib.webhooks"

local events = {}

local ORDER = {
  "event", "data", "subscription_id", "intent_id", "charge_id", "message", "metadata", -- as documented
}
local SCHEDULE = { "1m", "5m", "30m", "2h", "12h" }

-- Renewals look alike to the letter. Mintro documents nothing that tells them apart; the sandbox names each
-- delivery in a header of its own, the same however often it is sent.
-- data gets the intent's metadata; own_fault is the causing request's X-Sandbox-Fault.
function events.emit(name, intent, data, own_fault)
  data.metadata = intent.metadata or {}
  webhooks.emit({
    group = "mintro",
    event = name,
    reference = intent.reference_id,
    headers = {
      ["Content-Type"] = "application/json",
      ["User-Agent"] = "Mintro-Sandbox",
      ["X-Sandbox-Delivery"] = ids.uuid(),
    },
    body = ordered.encode({ event = name, data = data }, ORDER),
    schedule = SCHEDULE,
  }, own_fault)
end

return events
