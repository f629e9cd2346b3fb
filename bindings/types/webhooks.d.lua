---@meta mintage.webhooks
-- Webhooks to merchants. Written from core/providers; not to be edited.

local webhooks = {}

---@class mintage.webhooks.Send
---@field url string the receiver's
---@field id string the message's, the same each time that it is sent: receivers know it again by that
---@field endpoint string the receiver's name: its secrets follow from it (GET /v1/webhook-secrets/{endpoint})
---@field json table the message, sent as JSON: type, timestamp, data; at most 64 KB
---@field version? integer which secret signs; 1 by default
---@field previous? boolean the secret before it signs as well

---Sends a signed message once (Standard Webhooks 1.0.0).
---@param params? mintage.webhooks.Send|string
---@return table result delivered (it answered 2xx), status (0: no answer), error, retry_after (seconds)
function webhooks.send(params, ...) end

return webhooks
