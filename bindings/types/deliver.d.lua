---@meta mintage.deliver
-- Outgoing webhooks of handlers, recorded in the handler's transaction and retried by the engine.

---@class mintage.Delivery
---@field event string what it tells: "payment.succeeded"
---@field body? string the bytes to send, or
---@field json? any ... a value to send as JSON
---@field url? string where to; without it, it is recorded only
---@field group? string whose it is, for lists
---@field headers? table<string, string>
---@field schedule? mintage.Duration[] how long after each failed attempt the next is made
---@field schedule_ms? integer[] the same in milliseconds
---@field delay? mintage.Duration before the first attempt
---@field delay_ms? integer
---@field accept? string the body that the receiver must answer with; any 2xx otherwise

---@param delivery mintage.Delivery
---@return { id: string }
local function deliver(delivery) end

return deliver
