-- Paymnt's webhooks: signed with HMAC-SHA512 over the bytes of the body, retried with the same bytes 16 times
-- in a day, and at most one for each object and type, as with the real one.

local clock = require "lib.clock"
local crypto = require "mintage.crypto"
local json = require "mintage.json"
local shapes = require "lib.paymnt.shapes"
local webhooks = require "lib.webhooks"

local events = {}

local SECRET = "whsec_sandbox_mintage"

-- How long after each failed attempt the next is made: a span, and how often.
local schedule = {}
for _, step in ipairs { { "1m", 1 }, { "5m", 2 }, { "10m", 5 }, { "1h", 5 }, { "6h", 3 } } do
  for _ = 1, step[2] do schedule[#schedule + 1] = step[1] end
end

-- "evt_" and a version 7 UUID without dashes: ids sort by time.
local function event_id()
  local random = crypto.token(10)
  local variant = ("%x"):format(tonumber(random:sub(4, 4), 16) & 3 | 8)
  return ("evt_%012x7%s%s%s"):format(clock.now(), random:sub(1, 3), variant, random:sub(5, 19))
end

-- content: "payment_details" or "refund_details"; object as the API writes it; own_fault: X-Sandbox-Fault of
-- its cause.
function events.emit(event, content, object, own_fault)
  local body = json.encode {
    merchant_id = shapes.merchant,
    event_id = event_id(),
    event_type = event,
    content = { type = content, object = object },
    timestamp = clock.text(),
    processor_merchant_id = shapes.merchant,
  }
  webhooks.emit({
    group = "paymnt",
    event = event,
    reference = object.payment_id,
    headers = {
      ["Content-Type"] = "application/json",
      ["User-Agent"] = "Paymnt-Sandbox",
      ["X-Webhook-Signature-512"] = crypto.hmac_sha512(SECRET, body),
    },
    body = body,
    schedule = schedule,
  }, own_fault)
end

return events
