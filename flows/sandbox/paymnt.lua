-- Paymnt, emulated: payments and refunds at the root, as the quickstart has them. Each route is one
-- transaction; what happens to a payment or a refund is in lib/paymnt.

local cards = require "lib.cards"
local clock = require "lib.clock"
local fields = require "lib.paymnt.fields"
local json = require "mintage.json"
local paymnt = require "lib.paymnt.provider"
local payments = require "lib.paymnt.payments"
local provider = require "lib.provider"
local refunds = require "lib.paymnt.refunds"
local replies = require "lib.paymnt.replies"
local shapes = require "lib.paymnt.shapes"
local time = require "mintage.time"

local KEY = "sk_sandbox_mintage"

local function base(req) return "http://" .. req.host end

local function unknown_profile(id)
  return replies.refuse("HE_02", ("Business profile with the given id %s does not exist in our records")
    :format(tostring(id):sub(1, 64)))
end

-- What is wrong with the caller, before anything is done.
local function refuse_caller(req)
  if req.headers["api-key"] ~= KEY then return replies.refuse("IR_01") end
  local profile = req.headers["x-profile-id"]
  if profile and profile ~= shapes.profile then return unknown_profile(profile) end
end

-- Serves an endpoint behind the API key: handler(body, req, call). Writes honour Idempotency-Key.
local function endpoint(method, path, operation, handler, reads)
  paymnt:route(method, path, operation, function(req, call)
    local function answer()
      local body = provider.body(req)
      if not body then return replies.unreadable "expected value at line 1 column 1" end
      return handler(body, req, call)
    end
    local response = refuse_caller(req)
    if not response then
      local once = req.method ~= "GET" and not reads
      response = once and paymnt:once(req, KEY, answer) or answer()
    end
    return replies.finish(req, response, clock.now())
  end)
end

-- The payment of a path, with what is wrong when there is none.
local function payment_of(req, call)
  call.reference = req.params.payment_id
  local payment = payments.find(req.params.payment_id)
  if not payment then return nil, replies.refuse "HE_02" end
  return payment
end

local function shown(payment, req) return { json = shapes.payment(payment, base(req)) } end

-- ---- payment data ----

local card_fields = {
  { name = "card_number", type = "string", required = "parser", max = 32 },
  { name = "card_exp_month", type = "string", required = "parser", max = 2 },
  { name = "card_exp_year", type = "string", required = "parser", max = 4 },
  { name = "card_cvc", type = "string", max = 4 },
}

local function expiry_refusal(card)
  local month, year = card.card_exp_month, card.card_exp_year
  if not month:find "^%d%d?$" or tonumber(month) < 1 or tonumber(month) > 12 then
    return replies.refuse("IR_07", "Invalid value provided: card_exp_month", { field = "card_exp_month" })
  end
  if not year:find "^%d%d$" and not year:find "^%d%d%d%d$" then
    return replies.refuse("IR_07", "Invalid value provided: card_exp_year", { field = "card_exp_year" })
  end
  if #year == 2 then year = "20" .. year end
  local now = clock.text()
  if year .. ("%02d"):format(tonumber(month)) < now:sub(1, 4) .. now:sub(6, 7) then
    return replies.refuse("IR_16", "Card Expired", { field = "card_exp_year" })
  end
end

-- A card given with the request becomes what it will do, at once; its number goes no further.
local function method_of_card(given)
  if type(given) ~= "table" then
    return nil, replies.unreadable("invalid type, expected struct Card", "card")
  end
  local card, refusal = fields.read(given, card_fields)
  if not card then return nil, refusal end
  local digits = card.card_number:gsub("[%s-]", "")
  if not digits:find "^%d+$" or #digits < 12 or #digits > 19 or not cards.luhn(digits) then
    return nil, replies.unreadable("card_number: invalid card number", "card_number")
  end
  local expired = expiry_refusal(card)
  if expired then return nil, expired end
  return payments.by_card(cards.find(digits), digits:sub(-4))
end

-- Payment data of a body: nil when it has none; nil and the refusal when it is wrong.
local function method_of(body)
  local data = body.payment_method_data
  if type(data) == "table" and data.card ~= nil then return method_of_card(data.card) end
  if type(data) == "table" and next(data) ~= nil then
    local upi = type(data.upi) == "table" and (data.upi.upi_collect or data.upi)
    local failing = type(upi) == "table" and upi.vpa_id == "failure@upi"
    return { kind = body.payment_method or next(data), result = failing and "card_declined" or "succeeded" }
  end
  if type(body.payment_token) == "string" and body.payment_token ~= "" then
    return payments.by_card(cards.find "4242424242424242")
  end
end

local function no_payment_data()
  local text = "A payment token or payment method data or ctp service details is required"
  return replies.refuse("IR_06", text, { field = "payment_method_data" })
end

-- ---- payments ----

local payment_fields = {
  { name = "payment_id", type = "id" },
  { name = "amount", type = "integer", required = true },
  { name = "currency", type = "currency", required = true },
  { name = "description", type = "string", max = 1000 },
  { name = "capture_method", type = "enum",
    of = { "automatic", "manual", "manual_multiple", "scheduled", "sequential_automatic" } },
  { name = "confirm", type = "boolean" },
  { name = "payment_link", type = "boolean" },
  { name = "customer_id", type = "string", max = 64 },
  { name = "customer", type = "object" },
  { name = "email", type = "string" },
  { name = "name", type = "string" },
  { name = "phone", type = "string" },
  { name = "return_url", type = "url" },
  { name = "authentication_type", type = "enum", of = { "three_ds", "no_three_ds" } },
  { name = "setup_future_usage", type = "enum", of = { "off_session", "on_session" } },
  { name = "payment_method", type = "string", max = 64 },
  { name = "billing", type = "object" },
  { name = "shipping", type = "object" },
  { name = "statement_descriptor_name", type = "string" },
  { name = "statement_descriptor_suffix", type = "string" },
  { name = "merchant_order_reference_id", type = "string" },
  { name = "profile_id", type = "string", max = 64 },
  { name = "session_expiry", type = "integer" },
  { name = "metadata", type = "object", max = 50 },
}

local changeable = {}
for i, row in ipairs(payment_fields) do
  changeable[i] = {}
  for name, value in pairs(row) do changeable[i][name] = value end
  changeable[i].required = nil
end

-- What the rows cannot say.
local function refuse_payment(given)
  if given.profile_id and given.profile_id ~= shapes.profile then return unknown_profile(given.profile_id) end
  if given.capture_method == "scheduled" then
    return replies.refuse("IR_19", nil, { field = "capture_method" })
  end
  local session = given.session_expiry
  if session and (session < 60 or session > 7890000) then
    return replies.refuse("IR_06", "session_expiry should be between 60(1 min) to 7890000(3 months)", {
      field = "session_expiry",
    })
  end
end

-- The checked fields of a body, with its payment data as given.method.
local function read_payment(body, rows)
  local given, refusal = fields.read(body, rows)
  if not given then return nil, refusal end
  refusal = refuse_payment(given)
  if refusal then return nil, refusal end
  given.method, refusal = method_of(body)
  if refusal then return nil, refusal end
  if given.capture_method == "sequential_automatic" then given.capture_method = "automatic" end
  return given
end

endpoint("post", "/payments", "payments.create", function(body, req, call)
  local given, refusal = read_payment(body, payment_fields)
  if not given then return refusal end
  if given.payment_id and payments.find(given.payment_id) then return replies.refuse "HE_01" end
  local confirm, method = given.confirm, given.method
  if confirm and not method then return no_payment_data() end
  local payment = payments.create(given, base(req))
  call.reference = payment.id
  if confirm then payment = payments.pay(payment, method, call.own_fault) end
  return shown(payment, req)
end)

endpoint("get", "/payments/{payment_id}", "payments.retrieve", function(_, req, call)
  local payment, refusal = payment_of(req, call)
  return payment and shown(payment, req) or refusal
end)

endpoint("post", "/payments/{payment_id}", "payments.update", function(body, req, call)
  local payment, refusal = payment_of(req, call)
  if not payment then return refusal end
  local given
  given, refusal = read_payment(body, changeable)
  if not given then return refusal end
  refusal = payments.refuse_update(payment)
  if refusal then return refusal end
  local confirm, method = given.confirm, given.method or payment.method
  if confirm and not method then return no_payment_data() end
  payment = payments.update(payment, given)
  if confirm then payment = payments.pay(payment, method, call.own_fault) end
  return shown(payment, req)
end)

endpoint("post", "/payments/{payment_id}/confirm", "payments.confirm", function(body, req, call)
  local payment, refusal = payment_of(req, call)
  if not payment then return refusal end
  local given
  given, refusal = read_payment(body, changeable)
  if not given then return refusal end
  refusal = payments.refuse_confirm(payment)
  if refusal then return refusal end
  local method = given.method or payment.method
  -- The quickstart confirms without a body.
  if not method and not req.body:find "%S" then method = payments.by_card(cards.find "4242424242424242") end
  if not method then return no_payment_data() end
  payment.return_url = given.return_url or payment.return_url
  return shown(payments.pay(payment, method, call.own_fault), req)
end)

local capture_fields = { { name = "amount_to_capture", type = "integer_any" } }

endpoint("post", "/payments/{payment_id}/capture", "payments.capture", function(body, req, call)
  local payment, refusal = payment_of(req, call)
  if not payment then return refusal end
  local given
  given, refusal = fields.read(body, capture_fields)
  if not given then return refusal end
  refusal = payments.refuse_capture(payment, given.amount_to_capture)
  if refusal then return refusal end
  return shown(payments.capture(payment, given.amount_to_capture, call.own_fault), req)
end)

endpoint("post", "/payments/{payment_id}/cancel", "payments.cancel", function(body, req, call)
  local payment, refusal = payment_of(req, call)
  if not payment then return refusal end
  local given
  given, refusal = fields.read(body, { { name = "cancellation_reason", type = "string" } })
  if not given then return refusal end
  refusal = payments.refuse_cancel(payment)
  if refusal then return refusal end
  return shown(payments.cancel(payment, given.cancellation_reason, call.own_fault), req)
end)

-- ---- lists ----

-- 10 when it is not said; nil and the refusal beyond 1 to 100.
local function limit_of(value)
  if value == nil then return 10 end
  local limit = math.tointeger(tonumber(value))
  if not limit or limit < 1 or limit > 100 then
    return nil, replies.refuse("IR_06", "limit should be in between 1 and 100", { field = "limit" })
  end
  return limit
end

local compare = {
  ["created"] = function(a, b) return a == b end,
  ["created.lt"] = function(a, b) return a < b end,
  ["created.gt"] = function(a, b) return a > b end,
  ["created.lte"] = function(a, b) return a <= b end,
  ["created.gte"] = function(a, b) return a >= b end,
}

-- The instants that a query compares with, by name.
local function instants_of(query)
  local instants = {}
  for name in pairs(compare) do
    if query[name] then
      local ok, instant = pcall(time.parse, query[name])
      if not ok then
        return nil, replies.refuse("IR_07", "Invalid value provided: " .. name, { field = name })
      end
      instants[name] = instant.ms
    end
  end
  return instants
end

-- Where a payment stands in the list; the refusal when it is not in it.
local function place_of(list, id)
  for i, payment in ipairs(list) do
    if payment.id == id then return i end
  end
  return nil, replies.refuse "HE_02"
end

local function wanted(payment, query, instants)
  if query.customer_id and payment.customer_id ~= query.customer_id then return false end
  for name, instant in pairs(instants) do
    if not compare[name](payment.created_at, instant) then return false end
  end
  return true
end

local function list_payments(_, req)
  local query = req.query
  local limit, refusal = limit_of(query.limit)
  if not limit then return refusal end
  local instants
  instants, refusal = instants_of(query)
  if not instants then return refusal end

  local list = payments.all()
  local first, last = 1, #list
  if query.starting_after then
    first, refusal = place_of(list, query.starting_after)
    if not first then return refusal end
    first = first + 1
  end
  if query.ending_before then
    last, refusal = place_of(list, query.ending_before)
    if not last then return refusal end
    last = last - 1
  end
  local data = json.array {}
  for i = first, last do
    if #data < limit and wanted(list[i], query, instants) then
      data[#data + 1] = shapes.payment(list[i], base(req))
    end
  end
  return { json = { size = #data, data = data } }
end

endpoint("get", "/payments/list", "payments.list", list_payments)
endpoint("get", "/payments", "payments.list", list_payments)

-- ---- refunds ----

local refund_fields = {
  { name = "payment_id", type = "string", required = "parser", max = 64 },
  { name = "refund_id", type = "id" },
  { name = "amount", type = "integer_any" },
  { name = "reason", type = "string" },
  { name = "refund_type", type = "enum", of = { "instant", "scheduled" } },
  { name = "metadata", type = "object", max = 50 },
}

endpoint("post", "/refunds", "refunds.create", function(body, _, call)
  local given, refusal = fields.read(body, refund_fields)
  if not given then return refusal end
  call.reference = given.payment_id
  local payment = payments.find(given.payment_id)
  if not payment then return replies.refuse "HE_02" end
  local refund
  refund, refusal = refunds.create(payment, given, call.own_fault)
  return refund and { json = shapes.refund(refund) } or refusal
end)

local function refund_of(req, call)
  local refund = refunds.find(req.params.refund_id)
  if not refund then return nil, replies.refuse("HE_02", "Refund does not exist in our records.") end
  call.reference = refund.payment_id
  return refund
end

endpoint("get", "/refunds/{refund_id}", "refunds.retrieve", function(_, req, call)
  local refund, refusal = refund_of(req, call)
  return refund and { json = shapes.refund(refund) } or refusal
end)

endpoint("post", "/refunds/{refund_id}", "refunds.update", function(body, req, call)
  local refund, refusal = refund_of(req, call)
  if not refund then return refusal end
  local given
  given, refusal = fields.read(body, {
    { name = "reason", type = "string" }, { name = "metadata", type = "object", max = 50 },
  })
  return given and { json = shapes.refund(refunds.update(refund, given)) } or refusal
end)

local function list_refunds(filters)
  local limit, refusal = limit_of(filters.limit)
  if not limit then return refusal end
  local offset = math.max(math.tointeger(tonumber(filters.offset)) or 0, 0)
  local data, total = json.array {}, 0
  for _, refund in ipairs(refunds.list(filters.payment_id)) do
    if not filters.refund_id or refund.id == filters.refund_id then
      total = total + 1
      if total > offset and #data < limit then data[#data + 1] = shapes.refund(refund) end
    end
  end
  return { json = { count = #data, total_count = total, data = data } }
end

endpoint("post", "/refunds/list", "refunds.list", list_refunds, true)
for _, path in ipairs { "/refunds/list", "/refunds" } do
  endpoint("get", path, "refunds.list", function(_, req) return list_refunds(req.query) end)
end

-- ---- everything else ----

local function refuse_all(path, code)
  paymnt:route("any", path, "unknown", function(req)
    return replies.finish(req, replies.refuse(code), clock.now())
  end)
end

for _, path in ipairs {
  "/payments", "/payments/list", "/payments/{payment_id}", "/payments/{payment_id}/confirm",
  "/payments/{payment_id}/capture", "/payments/{payment_id}/cancel", "/refunds", "/refunds/list",
  "/refunds/{refund_id}",
} do
  refuse_all(path, "IR_03")
end
for _, path in ipairs { "/payments/*", "/refunds/*" } do refuse_all(path, "IR_02") end
