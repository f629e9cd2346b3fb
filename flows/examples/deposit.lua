-- A deposit: held on the customer's card while a bicycle is out; then let go, or kept for what is broken.
--   mintage run deposit '{"bicycle": "red-7", "amount": "100.00 USD"}'
-- When it is back, the shop signals so, with what is to be kept:
--   POST /v1/runs/RUN/signal {"topic": "returned", "key": "red-7", "payload": {"damage": "15.00 USD"}}

local flow = require "mintage.flow"
local money = require "mintage.money"
local paymnt = require "mintage.paymnt"

return flow.define {
  name = "deposit",
  input = { bicycle = "string", amount = { type = "money", currency = "USD", min = 1 } },

  run = function(loan)
    local payment = paymnt.payments.create {
      amount = loan.amount,
      description = "Deposit for bicycle " .. loan.bicycle,
      capture_method = "manual",
      payment_link = true,
    }
    local id = payment.payment_id
    flow.undo(paymnt.payments.release, { payment_id = id }) -- whatever goes wrong from here on
    flow.progress { payment_id = id, payment_url = payment.payment_link.link }

    payment = paymnt.payments.settled(id, "30m") or flow.fail "expired"
    if payment.status ~= "requires_capture" then flow.fail(payment.status) end

    local back = flow.await("returned", loan.bicycle, { within = "6d" })
    local keep = back and money(back.damage or "0.00 USD") or loan.amount -- never back: all of it
    if keep > loan.amount then keep = loan.amount end

    if keep:is_zero() then
      paymnt.payments.release { payment_id = id }
    else
      paymnt.payments.capture { payment_id = id, amount_to_capture = keep }
    end
    return { payment_id = id, kept = keep }
  end,
}
