-- The merchant's side: webhooks about the order to the endpoint that it names (flows/notify.lua).

local flow = require "mintage.flow"

local merchant = {}

-- event: "paid", "authorised", "failed", "cancelled", "expired".
function merchant.tell(order, event, data)
  if not order.notify then return end
  data.order, data.reference, data.total = flow.id(), order.reference, order.amount
  local message = { event = "order." .. event, data = data, endpoint = order.notify }
  local told, why = pcall(flow.start, "notify", message, { detached = true })
  if not told then flow.warn("the merchant was not told", why) end
end

-- A story whose end the merchant is told, whatever it is. (Not of one that an operator cancels: the script
-- hears nothing of that.)
function merchant.told(story)
  return function(order)
    if not order.notify then return story(order) end
    local ok, result = pcall(story, order)
    if ok then
      merchant.tell(order, "paid", { status = result.status, paid = result.paid })
      return result
    end
    if type(result) ~= "table" then error(result, 0) end -- a bug: nothing has ended
    local event = (result.kind == "cancelled" or result.kind == "expired") and result.kind or "failed"
    merchant.tell(order, event, { reason = result.kind, message = result.message })
    flow.fail(result)
  end
end

return merchant
