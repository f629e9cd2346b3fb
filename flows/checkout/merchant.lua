-- The merchant's side: webhooks about the order to the endpoint that it names (flows/notify.lua).

local flow = require "mintage.flow"

local merchant = {}

-- event: "paid", "authorised", "failed", "cancelled", "expired". With what was paid until then, and how: MINT
-- keeps what an ePIN has paid, also of an order that comes to nothing, and a person gives it back.
function merchant.tell(sale, event, data)
  local order = sale.order
  if not order.notify then return end
  data.run, data.reference, data.total, data.paid = flow.id(), order.reference, order.amount, sale.paid
  local message = { event = "order." .. event, data = data, endpoint = order.notify }
  local told, why = pcall(flow.start, "notify", message, { detached = true })
  if not told then flow.warn("the merchant was not told", why) end
end

-- Tells a story, and the merchant its end, whatever it is. (When an operator cancels the run, the script
-- hears nothing of it, and so the merchant does not.)
function merchant.told(sale, story)
  if not sale.order.notify then return story() end
  local ok, result = pcall(story)
  if ok then
    merchant.tell(sale, "paid", { status = result.status })
    return result
  end
  if type(result) ~= "table" then error(result, 0) end -- a bug: nothing has ended
  local event = (result.kind == "cancelled" or result.kind == "expired") and result.kind or "failed"
  merchant.tell(sale, event, { reason = result.kind, message = result.message })
  flow.fail(result)
end

return merchant
