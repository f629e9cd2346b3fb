-- Paying by card on Paymnt's page, with 3-D Secure where the bank wants it. With capture = "manual" the card
-- is only authorised, and the order waits until the merchant captures (`mintage run capture`) or voids it.

local flow = require "mintage.flow"
local paymnt = require "mintage.paymnt"

local way = {
  uses = paymnt.payments.create,
  settled = paymnt.payments.settled,
  topic = "paymnt.payment",
  tells = "payment_id",
}

local HELD = "30d" -- no bank holds an authorisation for longer

function way.open(sale)
  local order = sale.order
  local payment, refused = flow.try(paymnt.payments.create, {
    amount = sale.due,
    description = sale.rest or "Order " .. order.reference,
    capture_method = order.capture or "automatic",
    payment_link = true,
    session_expiry = math.min(math.max(math.ceil(sale.till - flow.now()), 60), 7890000),
    email = order.email,
    name = order.name,
    merchant_order_reference_id = order.reference,
    return_url = sale.page,
  })
  if not payment then return nil, refused end
  flow.undo(paymnt.payments.release, { payment_id = payment.payment_id })
  return { id = payment.payment_id, url = payment.payment_link.link }
end

local outcomes = {
  succeeded = "paid", partially_captured = "paid", requires_capture = "authorised",
  failed = "declined", cancelled = "cancelled", expired = "expired",
}

function way.outcome(payment) return outcomes[payment.status] end

function way.close(payment)
  flow.try(paymnt.payments.cancel, { payment_id = payment.id }) -- mintage: ignore
end

-- Waits until what is authorised is captured, voided, or let go by the bank. Paymnt tells of it; should that
-- be lost, we look, more and more rarely.
function way.captured(id)
  local till, pause = flow.later(HELD), 60
  repeat
    local payment = paymnt.payments.retrieve(id)
    if payment.status ~= "requires_capture" then return payment end
    flow.await("paymnt.payment", id, { within = pause })
    pause = math.min(2 * pause, 6 * 3600)
  until flow.now() >= till
  flow.fail("expired", "it was not captured in time")
end

function way.read(id) return paymnt.payments.retrieve(id) end
function way.give_back(id) flow.undo(paymnt.payments.release, { payment_id = id }) end

return way
