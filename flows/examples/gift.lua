-- A gift: somebody pays, and a friend gets an ePIN of that value by mail.
--   mintage run gift '{"amount": "25.00 USD", "to": "bob@example.com", "words": "Happy birthday!"}'

local flow = require "mintage.flow"
local http = require "mintage.http"
local mint = require "mintage.mint"
local paymnt = require "mintage.paymnt"

local MAILER = "https://mailer.example/send" -- your own

return flow.define {
  name = "gift",
  input = { amount = "money", to = "email", words = "string" },

  run = function(gift)
    local payment = paymnt.payments.create {
      amount = gift.amount, description = "A gift", payment_link = true,
    }
    local id = payment.payment_id
    flow.undo(paymnt.payments.release, { payment_id = id })
    flow.progress { payment_id = id, payment_url = payment.payment_link.link }

    payment = paymnt.payments.settled(id, "30m") or flow.fail "expired"
    if payment.status ~= "succeeded" then flow.fail(payment.status) end

    -- Should MINT's answer be lost, a person is asked whether it was issued: nothing is issued twice.
    local epin = mint.epins.generate { amount = gift.amount }.epins[1]

    -- The code is known here, and nowhere else: in the store it is sealed. It leaves once, in this letter.
    local letter = {
      url = MAILER, idempotency_key = flow.id(),
      json = { to = gift.to, words = gift.words, epin = epin.pin_code },
    }
    while not flow.try(http.post, letter) do flow.sleep "1h" end

    return { payment_id = id, sent_to = gift.to }
  end,
}
