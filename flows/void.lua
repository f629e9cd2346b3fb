-- Void: lets go of what is not taken yet: what a card holds is released, what is unpaid can be paid no more.
--   mintage run void '{"payment": "order-1001", "reason": "out of stock"}'

local flow = require "mintage.flow"
local mintro = require "mintage.mintro"
local paymint = require "mintage.paymint"
local paymnt = require "mintage.paymnt"
local payments = require "lib.payments"

-- What is void already stays so: asking again is no mistake.
local is_void = { cancelled = true, expired = true, failed = true, D = true, C = true }

local function taken() flow.fail("already_paid", "it is paid: to give it back, use refund") end

local void = {}

function void.paymnt(id, reason)
  local payment = paymnt.payments.retrieve(id)
  if payment.status == "succeeded" or payment.status == "partially_captured" then taken() end
  if not is_void[payment.status] then
    payment = paymnt.payments.cancel { payment_id = id, cancellation_reason = reason }
  end
  return { payment_id = id, status = payment.status } -- partially_captured: only the rest could be let go
end

function void.mintro(id)
  local intent = mintro.intents.get(id)
  if intent.status == "succeeded" then taken() end
  if not is_void[intent.status] then intent = mintro.intents.cancel(id) end
  return { intent_id = id, status = intent.status }
end

function void.paymint(id)
  local bill = paymint.bills.read(id)
  if bill.appr_state == "F" then taken() end
  if not is_void[bill.appr_state] then paymint.bills.destroy { bill_id = id, price = bill.appr_price } end
  return { bill_id = id, status = "cancelled" }
end

function void.mint()
  flow.fail("unsupported", "MINT's API takes no ePIN back: it is worth its money until it is redeemed")
end

return flow.define {
  name = "void",
  title = "Void",
  description = "Lets go of what is not taken yet.",

  input = {
    payment = { type = "string", max = 200, doc = "its id, its run, or its run's key" },
    reason = { type = "string?", max = 255 },
    provider = "mintro|paymnt|paymint|mint?",
  },

  run = function(order)
    local payment = payments.find(order.payment, order.provider)
    payments.hold(payment)
    return void[payment.provider](payment.id, order.reason)
  end,
}
