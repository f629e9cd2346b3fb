-- NAME: one payment, from its link to its end. With `mintage dev` running:
--   mintage run NAME '{"reference": "A-1", "amount": "20.00 USD"}'

local flow = require "mintage.flow"
local paymnt = require "mintage.paymnt"

return flow.define {
  name = "NAME",

  -- What a run is started with. Anything else is refused before it begins.
  input = { reference = "string", amount = "money" },

  run = function(order)
    -- A call is journaled before it is sent: kill the process anywhere, and nobody is charged twice.
    local payment = paymnt.payments.create {
      amount = order.amount,
      description = order.reference,
      payment_link = true,
    }
    local id = payment.payment_id

    -- Carried out should the run fail or be cancelled later: nobody pays for nothing.
    flow.undo(paymnt.payments.release, { payment_id = id })

    -- What others may see of the run while it goes on.
    flow.progress { payment_id = id, payment_url = payment.payment_link.link }

    -- While the customer takes an hour over it, the run is a row in the store.
    payment = paymnt.payments.settled(id, "1h") or flow.fail "expired"
    if payment.status ~= "succeeded" then flow.fail(payment.status) end

    return { payment_id = id, status = payment.status }
  end,
}
