-- The state in which each operation meets its faults: what is prepared at the provider, what the call says, which requests the
-- fault is for, and how often the provider has done what the call asks. Loaded with dofile by fault_matrix_support.lua.
--
-- states[operation] is a function (w, id), or several by name where an operation ends in more than one way. `w` speaks to the
-- sandbox; `id` is the cell's own: letters and digits. It answers
--   params   of the call; texts like "80.00 USD" become money
--   match    the fault's: by reference, by path, or by what a request contains
--   count    function(seen, w): how often it has been done; seen.ledger[reference][kind] are entries of the ledger. A second
--            answer, true: once more, it may be, without anybody's doing
--   moves    how much count grows when the call is carried out once: 1 unless said, 0 of what only reads
--   before   what count says before the call; 0 unless said
--   on       the operation whose requests meet the fault, where that is another one (settled and release)
--   lane     true: nothing tells its requests from those of other cells, so that one cell follows another
--   act      function(w): what a customer does while the run waits

local json = require("mintage.testing").json

local states = {}

local CARD = "4242424242424242"

-- Counts the entries of a kind ("charge") for a reference; all of them without one.
local function entries(reference, kind)
  return function(seen)
    local of, n = seen.ledger[reference] or {}, 0
    for each, count in pairs(of) do n = n + ((kind == nil or kind == each) and count or 0) end
    return n
  end
end

-- A read: whatever happens to it, the ledger stays as it was.
local function reads(row, reference, before)
  row.moves, row.before, row.count = 0, before or 0, entries(reference)
  return row
end

local function none(row)
  row.moves, row.count = 0, function() return 0 end
  return row
end

-- ---- Mintro ----

local function order(id, recurring)
  return {
    amount = 80, currency = "USD", intent_type = recurring and "recurring" or "one_time", interval_days = recurring and 30 or nil,
    email = "a@example.com", name = "A", reference_id = id, order_items = json.array { { name = "x", quantity = 1, price = 80 } },
    integration_type = "url", success_url = "https://example.com/ok", cancel_url = "https://example.com/no",
  }
end

local function intent(w, id, recurring) return w.mintro("POST", "/intents", order(id, recurring)).data.intent_id end
local function paid_intent(w, id, recurring)
  local intent_id = intent(w, id, recurring)
  w.pay { intent_id = intent_id, card = CARD }
  return intent_id
end

local function intent_path(id) return "/api/platform/intents/" .. id end

local function cancelled(intent_id)
  return function(_, w) return w.mintro("GET", "/intents/" .. intent_id).data.status == "cancelled" and 1 or 0 end
end

-- Nobody can pay it any more: it was cancelled; or it ran out by itself, since the clock is moved by days while others wait to
-- read. Then a release may have done nothing and says so, or may have found it done.
local function closed(intent_id)
  return function(_, w)
    local status = w.mintro("GET", "/intents/" .. intent_id).data.status
    return status == "cancelled" and 1 or 0, status == "expired"
  end
end

states["mintro.intents.create"] = function(_, id)
  local params = order(id)
  params.amount, params.currency, params.intent_type = "80.00 USD", nil, nil
  params.order_items[1].price = "80.00 USD"
  return {
    params = params, match = { reference = id },
    count = function(_, w) return w.mintro("GET", "/intents/reference/" .. id, nil, 404).success and 1 or 0 end,
  }
end

states["mintro.intents.get"] = function(w, id)
  local intent_id = paid_intent(w, id)
  return reads({ params = { intent_id = intent_id }, match = { path = intent_path(intent_id) } }, id, 1)
end

states["mintro.intents.get_by_reference"] = function(w, id)
  paid_intent(w, id)
  return reads({ params = { reference_id = id }, match = { reference = id } }, id, 1)
end

states["mintro.intents.cancel"] = function(w, id)
  local intent_id = intent(w, id)
  return {
    params = { intent_id = intent_id }, match = { path = intent_path(intent_id) .. "/cancel" }, event = id,
    count = cancelled(intent_id),
  }
end

states["mintro.subscriptions.cancel"] = function(w, id)
  local intent_id, subscription = paid_intent(w, id, true), nil
  for _, event in ipairs(w.control("GET", "/webhooks?provider=mintro&event=subscription.created&limit=1000").data) do
    if event.body.data.intent_id == intent_id then subscription = event.body.data.subscription_id end
  end
  assert(subscription, "the subscription of " .. intent_id .. " was not told of")
  return {
    params = { subscription_id = subscription }, event = id,
    match = { path = "/api/platform/subscriptions/" .. subscription .. "/cancel" },
    -- It cannot be read: who cancels it now is refused where it was done.
    count = function(_, now)
      return now.mintro("POST", "/subscriptions/" .. subscription .. "/cancel", {}, 400).success and 0 or 1
    end,
  }
end

states["mintro.intents.settled"] = function(w, id)
  local intent_id = paid_intent(w, id)
  return reads({
    params = { id = intent_id, within = 600 }, match = { path = intent_path(intent_id) }, on = "mintro.intents.get",
  }, id, 1)
end

local function released_intent(on, tail)
  return function(w, id)
    local intent_id = intent(w, id)
    return {
      params = { intent_id = intent_id }, on = on, match = { path = intent_path(intent_id) .. tail }, event = id,
      count = closed(intent_id),
    }
  end
end
states["mintro.intents.release"] = {
  ["its read"] = released_intent("mintro.intents.get", ""), ["its call"] = released_intent("mintro.intents.cancel", "/cancel"),
}

-- ---- MINT ----

states["mint.epins.generate"] = function(w)
  w.issued = (w.issued or 100) + 1 -- an amount that no other cell has
  local amount = w.issued
  return {
    params = { amount = amount .. " USD" }, match = { contains = "NominalValue%5D=" .. amount },
    count = function(seen) return seen.issued[amount .. ".0000"] or 0 end,
  }
end

states["mint.epins.redeem"] = function(w, id)
  return {
    params = { amount = "2.00 USD", user_id = id }, epin = w.code(), match = { reference = id },
    count = entries(id, "redeem"),
  }
end

states["mint.balances.list"] = function() return none { params = {}, match = {}, lane = true } end
states["mint.balances.get"] = function()
  return none { params = { currency = "USD" }, match = { contains = "USD" }, lane = true }
end

-- ---- Paymint ----

local function bill(id)
  return {
    product_nm = "Coaching", message = "x", member_nm = "A", phone = "01012345678", price = 50000, expire_dt = "2099-01-01",
    bill_id = id,
  }
end

local function sent_bill(w, id, paid)
  w.paymint("POST", "/request", bill(id))
  if paid then w.pay { bill_id = id, card = CARD } end
  return id
end

local function bill_state(id, state)
  return function(_, w) return w.paymint("POST", "/read", { bill_id = id }).appr_state == state and 1 or 0 end
end

local function payer(w, id, card)
  w.paymint("POST", "/autopay/register", { customer_id = id, member_nm = "A", phone = "01012345678" })
  if card then w.pay { customer_id = id, card = CARD } end
end

local function methods(w, id) return w.paymint("GET", "/autopay/methods?customer_id=" .. id) end

states["paymint.licenses.list"] = function() return none { params = {}, match = {}, lane = true } end

states["paymint.phone.format"] = function(_, id)
  local phone = ("010%08d"):format(tonumber(id:match "%d+"))
  return none { params = { phone = phone }, match = { contains = phone } }
end

states["paymint.bills.request"] = function(_, id)
  local params = bill(id)
  params.price = "50000 KRW"
  return { params = params, match = { reference = id }, count = entries(id, "fee") }
end

states["paymint.bills.read"] = function(w, id)
  sent_bill(w, id, true)
  return reads({ params = { bill_id = id }, match = { reference = id } }, id, 2)
end

states["paymint.bills.cancel"] = function(w, id)
  sent_bill(w, id, true)
  return {
    params = { bill_id = id, price = "50000 KRW" }, match = { reference = id }, count = entries(id, "void"),
  }
end

states["paymint.bills.destroy"] = function(w, id)
  sent_bill(w, id)
  return { params = { bill_id = id, price = "50000 KRW" }, match = { reference = id }, count = bill_state(id, "D") }
end

states["paymint.bills.resend"] = function(w, id)
  sent_bill(w, id)
  return { params = { bill_id = id }, match = { reference = id }, count = entries(id, "fee"), before = 1 }
end

states["paymint.autopay.register"] = function(_, id)
  return {
    params = { customer_id = id, member_nm = "A", phone = "01012345678" }, match = { reference = id },
    count = function(_, w) return methods(w, id).code == "0000" and 1 or 0 end,
  }
end

-- It only opens a page, and another one closes it: nothing to count but the page.
states["paymint.autopay.manage"] = function(w, id)
  payer(w, id, true)
  return {
    params = { customer_id = id }, match = { reference = id },
    count = function(_, now) return now.control("POST", "/pay", { customer_id = id, action = "cancel" }, 409).status
      == "cancelled" and 1 or 0 end,
  }
end

states["paymint.autopay.methods"] = function(w, id)
  payer(w, id, true)
  return reads({ params = { customer_id = id }, match = { reference = id } }, id)
end

states["paymint.autopay.request"] = function(w, id)
  payer(w, id, true)
  return {
    params = { customer_id = id, bill_id = id, product_nm = "Coaching", price = "9900 KRW" }, match = { reference = id },
    event = id, count = entries(id, "charge"),
  }
end

states["paymint.autopay.delete"] = function(w, id)
  payer(w, id, true)
  local method = methods(w, id).methods[1].method_id
  return {
    params = { customer_id = id, method_id = method }, match = { reference = id },
    count = function(_, now) return 1 - #methods(now, id).methods end,
  }
end

states["paymint.bills.settled"] = function(w, id)
  sent_bill(w, id, true)
  return reads({ params = { id = id, within = 600 }, match = { reference = id }, on = "paymint.bills.read" }, id, 2)
end

local function released_bill(on, paid)
  return function(w, id)
    sent_bill(w, id, paid)
    return {
      params = { bill_id = id, price = "50000 KRW" }, match = { reference = id }, on = on,
      count = paid and entries(id, "void") or bill_state(id, "D"),
    }
  end
end
states["paymint.bills.release"] = {
  ["its read"] = released_bill("paymint.bills.read", true), ["its cancel"] = released_bill("paymint.bills.cancel", true),
  ["its destroy"] = released_bill("paymint.bills.destroy", false),
}

-- ---- Paymnt ----

local function payment(w, id, method, paid)
  w.paymnt("POST", "/payments", {
    payment_id = id, amount = 1000, currency = "USD", capture_method = method, session_expiry = 7890000, customer_id = id,
  })
  if paid then w.pay { payment_id = id, card = CARD } end
  return id
end

local function refund(w, id)
  payment(w, id, "automatic", true)
  return w.paymnt("POST", "/refunds", { payment_id = id, refund_id = id .. "r" }).refund_id
end

local function created(confirm)
  return function(_, id)
    local params = { payment_id = id, amount = "10.00 USD", session_expiry = 7890000 }
    if confirm then params.confirm, params.payment_token = true, "token_of_a_card" end
    return {
      params = params, match = { reference = id }, event = confirm and id,
      count = confirm and entries(id, "charge")
        or function(_, w) return w.paymnt("GET", "/payments/" .. id, nil, 404).payment_id == id and 1 or 0 end,
    }
  end
end
states["paymnt.payments.create"] = { unpaid = created(false), confirmed = created(true) }

states["paymnt.payments.retrieve"] = function(w, id)
  payment(w, id, "automatic", true)
  return reads({ params = { payment_id = id }, match = { reference = id } }, id, 1)
end

states["paymnt.payments.list"] = function(w, id)
  payment(w, id, "automatic", true)
  return reads({ params = { customer_id = id }, match = { reference = id } }, id, 1)
end

states["paymnt.payments.confirm"] = function(w, id)
  payment(w, id, "automatic")
  return { params = { payment_id = id }, match = { reference = id }, event = id, count = entries(id, "charge") }
end

states["paymnt.payments.capture"] = function(w, id)
  payment(w, id, "manual", true)
  return { params = { payment_id = id }, match = { reference = id }, event = id, count = entries(id, "capture") }
end

states["paymnt.payments.cancel"] = function(w, id)
  payment(w, id, "manual", true)
  return { params = { payment_id = id }, match = { reference = id }, event = id, count = entries(id, "void") }
end

states["paymnt.refunds.create"] = function(w, id)
  payment(w, id, "automatic", true)
  return {
    params = { payment_id = id, amount = "4.00 USD" }, match = { reference = id }, event = id, count = entries(id, "refund"),
  }
end

states["paymnt.refunds.retrieve"] = function(w, id)
  local refund_id = refund(w, id)
  return reads({ params = { refund_id = refund_id }, match = { path = "/refunds/" .. refund_id } }, id, 2)
end

states["paymnt.refunds.list"] = function(w, id)
  refund(w, id)
  return reads({ params = { payment_id = id }, match = { reference = id } }, id, 2)
end

states["paymnt.payments.settled"] = function(w, id)
  payment(w, id, "automatic", true)
  return reads({ params = { id = id, within = 600 }, match = { reference = id }, on = "paymnt.payments.retrieve" }, id, 1)
end

states["paymnt.refunds.settled"] = function(w, id)
  local refund_id = refund(w, id)
  return reads({
    params = { id = refund_id, within = 600 }, match = { path = "/refunds/" .. refund_id }, on = "paymnt.refunds.retrieve",
  }, id, 2)
end

local function released_payment(on, method, kind)
  return function(w, id)
    payment(w, id, method, true)
    return { params = { payment_id = id }, match = { reference = id }, event = id, on = on, count = entries(id, kind) }
  end
end
states["paymnt.payments.release"] = {
  ["its read"] = released_payment("paymnt.payments.retrieve", "automatic", "refund"),
  ["its cancel"] = released_payment("paymnt.payments.cancel", "manual", "void"),
  ["its refund"] = released_payment("paymnt.refunds.create", "automatic", "refund"),
}

-- ---- waiting for a customer: what settled does while webhooks are late, doubled, out of order or lost ----

local waiting = {}

waiting["mintro.intents.settled"] = function(w, id)
  local intent_id = intent(w, id)
  return {
    params = { id = intent_id, within = 600 }, event = id, count = entries(id, "charge"),
    act = function(now) now.pay { intent_id = intent_id, card = CARD } end,
  }
end

waiting["paymint.bills.settled"] = function(w, id)
  sent_bill(w, id)
  return {
    params = { id = id, within = 600 }, event = id, count = entries(id, "charge"),
    act = function(now) now.pay { bill_id = id, card = CARD } end,
  }
end

waiting["paymnt.payments.settled"] = function(w, id)
  payment(w, id, "automatic")
  return {
    params = { id = id, within = 600 }, event = id, count = entries(id, "charge"),
    act = function(now) now.pay { payment_id = id, card = CARD } end,
  }
end

-- Whether a webhook tells of what the call does, or of what the run waits for.
local silent = { ["paymnt.payments.create unpaid"] = true }
local telling = {
  ["mintro.intents.cancel"] = true, ["mintro.subscriptions.cancel"] = true, ["mintro.intents.release"] = true,
  ["paymint.autopay.request"] = true, ["paymnt.payments.create"] = true, ["paymnt.payments.confirm"] = true,
  ["paymnt.payments.capture"] = true, ["paymnt.payments.cancel"] = true, ["paymnt.refunds.create"] = true,
  ["paymnt.payments.release"] = true,
}
local function tells(operation, variant)
  return waiting[operation] ~= nil or telling[operation] and not silent[operation .. " " .. tostring(variant)]
end

return { prepared = states, waiting = waiting, tells = tells }
