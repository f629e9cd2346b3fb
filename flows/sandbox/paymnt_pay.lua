-- Paymnt's hosted page, /pay/{payment_id}: a customer pays a payment there, or finishes its 3-D Secure
-- challenge (next_action leads there). It has the look of the other hosted pages.

local card_form = require "lib.card_form"
local cards = require "lib.cards"
local hosted = require "lib.hosted"
local page = require "lib.checkout_page"
local paymnt = require "lib.paymnt.provider"
local payments = require "lib.paymnt.payments"
local texts = require "lib.texts"

local state_of = {
  requires_payment_method = "ready",
  requires_confirmation = "ready",
  requires_customer_action = "challenge",
  cancelled = "cancelled",
  failed = "failed",
  expired = "expired",
}

-- Where the customer goes afterwards, told what became of it.
local function way_back(payment)
  if not payment.return_url then return nil end
  local mark = payment.return_url:find("?", 1, true) and "&" or "?"
  return ("%s%spayment_id=%s&status=%s"):format(payment.return_url, mark, payment.id, payment.status)
end

-- The payment as the page's frame knows orders: one line, amounts in minor units.
local function order_of(payment)
  local customer = payment.customer or {}
  local back = way_back(payment)
  return {
    minor_units = true,
    final_challenge = true,
    type = "one_time",
    integration_type = back and "url" or nil,
    success_url = back,
    cancel_url = back,
    amount = payment.amount,
    currency = payment.currency,
    tax = 0,
    discount = 0,
    order_items = { { name = payment.description or payment.id, quantity = 1, price = payment.amount } },
    email = payment.email or customer.email,
    name = payment.name or customer.name,
    attempts = payment.attempts,
    card = payment.card,
  }
end

local function respond(req, state, status, more)
  local view = more or {}
  local locale = req.query.locale
  view.state = state
  view.path = req.path
  view.language = texts.language(req)
  view.action = req.path .. ((locale == "en" or locale == "ko") and "?locale=" .. locale or "")
  return { status = status, html = page.render(view), frame_ancestors = "'none'" }
end

-- Everything that is neither open nor lost shows as paid.
local function show(req, payment, status, more)
  more = more or {}
  more.intent = order_of(payment)
  local state = state_of[payment.status] or "succeeded"
  return respond(req, state, status or state == "expired" and 410 or 200, more)
end

local actions = {}

function actions.pay(req, payment, form, call)
  local errors = card_form.errors(form)
  if errors then
    local typed = { card_name = form.card_name and form.card_name:sub(1, 100) }
    return show(req, payment, 422, { errors = errors, typed = typed })
  end
  payment = payments.pay(payment, payments.by_card(cards.find(form.card_number)), call.own_fault)
  return show(req, payment, payment.status == "failed" and 402 or 200)
end

function actions.cancel(req, payment, _, call)
  return show(req, payments.cancel(payment, "cancelled by the customer", call.own_fault))
end

local function answer_challenge(passed)
  return function(req, payment, _, call)
    if payment.status ~= "requires_customer_action" then return show(req, payment, 409) end
    payment = payments.challenge(payment, passed, call.own_fault)
    return show(req, payment, payment.status == "failed" and 402 or 200)
  end
end

actions.complete, actions.fail = answer_challenge(true), answer_challenge(false)

local function page_of(operation, handler)
  return function(req)
    return paymnt:serve(operation, req, function(_, call)
      local payment = payments.find(req.params.token)
      call.reference = payment.id
      return handler(req, payment, call)
    end, function() return respond(req, "down", 503) end)
  end
end

hosted.add {
  knows = function(token) return payments.find(token) ~= nil end,
  get = page_of("payments.page", function(req, payment) return show(req, payment) end),
  post = page_of("payments.submit", function(req, payment, call)
    local form = req.form()
    local challenged = payment.status == "requires_customer_action"
    if not payments.is_open(payment) then return show(req, payment, 409) end
    -- A form serves one attempt: a double click charges nothing.
    if form.attempt and form.attempt ~= tostring(payment.attempts) then return show(req, payment, 409) end
    local action = actions[form.action] or actions.pay
    if challenged and action == actions.pay then return show(req, payment, 409) end
    return action(req, payment, form, call)
  end),
}
