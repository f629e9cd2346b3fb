-- Paying a bill that Paymint sends to a Korean mobile phone, in won, while the page waits.

local flow = require "mintage.flow"
local paymint = require "mintage.paymint"

local way = {
  uses = paymint.bills.request,
  currency = "KRW",
  settled = paymint.bills.settled,
  topic = "paymint.bill",
  tells = "bill_id",
  needs = "phone", -- this the customer has to say, unless the merchant did
  MOST = 3, -- messages that the page offers to send
}

-- The number as Paymint has it, 01012345678, however it is spelt; nil when it is none.
function way.phone(text)
  local digits = text:gsub("%D", ""):gsub("^82(0?10)", "%1"):gsub("^10", "010")
  return digits:match "^010%d%d%d%d%d%d%d%d$"
end

function way.masked(phone) return ("%s-****-%s"):format(phone:sub(1, 3), phone:sub(-4)) end

-- Texts have a most; a letter is not cut in two.
local function at_most(bytes, text)
  if #text <= bytes then return text end
  return text:sub(1, utf8.offset(text, 0, bytes + 1) - 1)
end

function way.open(sale, wish)
  local order = sale.order
  sale.phone = wish.phone or sale.phone
  local bill, refused = flow.try(paymint.bills.request, {
    product_nm = at_most(255, #order.items > 0 and order.items[1].name or order.reference),
    message = at_most(2000, sale.rest or "Order " .. order.reference),
    member_nm = at_most(100, order.name),
    phone = sale.phone,
    price = sale.due,
    expire_dt = flow.date(sale.till, "Asia/Seoul").date,
  })
  if not bill then return nil, refused end
  flow.undo(paymint.bills.release, { bill_id = bill.bill_id, price = sale.due })
  return { id = bill.bill_id, url = bill.shortURL, price = sale.due }
end

local outcomes = { F = "paid", C = "cancelled", D = "cancelled", W = "expired" } -- W at rest: its day is over

function way.outcome(bill) return outcomes[bill.appr_state] end

function way.close(payment)
  flow.try(paymint.bills.destroy, { bill_id = payment.id, price = payment.price }) -- mintage: ignore
end

function way.read(id) return paymint.bills.read(id) end

function way.give_back(id, bill)
  flow.undo(paymint.bills.release, { bill_id = id, price = bill.appr_price })
end

return way
