-- Paymint, emulated: the twelve endpoints of Magic Meal Kits' gateway, under /paymint as its pages write them
-- and under /api/v1/paymint as deployments serve them. Each request is one transaction; what happens to a
-- bill or a payer is in lib/paymint.

local bills = require "lib.paymint.bills"
local clock = require "lib.clock"
local json = require "mintage.json"
local payers = require "lib.paymint.payers"
local paymint = require "lib.paymint.provider"
local points = require "lib.paymint.points"
local provider = require "lib.provider"
local words = require "lib.paymint.words"

require "lib.paymint.page"

local fail, ok, refuse = paymint.fail, paymint.ok, paymint.refuse

local PREFIXES = { "/api/v1/paymint", "/paymint" }

local function route(method, path, operation, handler)
  for _, prefix in ipairs(PREFIXES) do paymint:route(method, prefix .. path, operation, handler) end
end

-- ---- the fields of bodies ----

local checks = {}

function checks.text(value)
  if type(value) ~= "string" or not value:find "%S" or #value > 2000 then
    return nil, "must be a string of 1 to 2000 bytes"
  end
  return value
end

function checks.price(value)
  local price = value
  if type(value) == "string" then price = #value <= 10 and value:find "^%d+$" and tonumber(value) end
  price = math.type(price) and math.tointeger(price)
  if not price or price < 1 or price > 9999999999 then
    return nil, "must be an integer from 1 to 9999999999"
  end
  return price
end

function checks.phone(value)
  local phone = words.phone(value)
  if not phone then return nil, "must be a Korean mobile number such as 010-1234-5678" end
  return phone
end

function checks.expire_dt(value)
  local ends = words.end_of(value)
  if not ends then return nil, "must be a day such as " .. words.day(clock.now(), 7) end
  if ends <= clock.now() then return nil, "must be today (in Korea) or later" end
  return value
end

function checks.bill_id(value)
  local fine = type(value) == "string" and #value <= 20 and value:find "^%w+$"
  if not fine then return nil, "must be 1 to 20 letters and digits" end
  return value
end

function checks.url(value)
  local fine = type(value) == "string" and #value <= 2048 and not value:find "%s"
  if not fine or not value:find "^https?://[%w.%-%[%]:]+" then
    return nil, "must be an http or https URL"
  end
  return value
end

-- {"price", "price", optional?}: field and check. Answers the values, or nil and a refusal naming the field.
local function checked(body, fields)
  local values = {}
  for _, field in ipairs(fields) do
    local name, given = field[1], body[field[1]]
    local missing = given == nil or given == "" or given == json.null
    if missing and not field.optional then return nil, fail(400, name .. " is required") end
    if not missing then
      local value, wrong = checks[field[2]](given)
      if not value then return nil, fail(400, name .. " " .. wrong) end
      values[name] = value
    end
  end
  return values
end

-- ---- endpoints ----

-- Serves a protected endpoint. options: costs, whether it takes points. Members may come in the query too.
local function endpoint(method, path, operation, fields, options, handler)
  route(method, path, operation, function(req, call)
    local refusal = paymint.admit(req)
    if refusal then return refusal end
    local body, malformed = provider.body(req)
    if not body then return fail(400, malformed) end
    for name, value in pairs(options.query and req.query or {}) do
      if body[name] == nil then body[name] = value end
    end
    local values, wrong = checked(body, fields)
    if not values then return wrong end
    call.reference = values.bill_id or values.customer_id or call.reference
    if options.costs and not points.enough() then return paymint.no_balance() end
    return handler(values, call, req)
  end)
end

route("get", "/licenses", "licenses.list", function(req)
  return paymint.licenses(req.headers["x-api-key"])
end)

route("post", "/format-phone-number", "phone.format", function(req)
  local body, malformed = provider.body(req)
  if not body then return fail(400, malformed) end
  local phone = words.phone(body.phone)
  if not phone then return fail(400, "invalid phone number") end
  return { json = { phone = phone, valid = true }, order = { "phone", "valid" } }
end)

local BILL = { "bill_id", "bill_id" }
local PRICE = { "price", "price" }
local CUSTOMER = { "customer_id", "text" }
local OPTIONAL_BILL = { "bill_id", "bill_id", optional = true }
local CALLBACK = { "callbackURL", "url", optional = true }

local REQUESTED = { "bill_id", "code", "shortURL", "msg" }

local function short_url(req, token) return "http://" .. req.host .. "/pay/" .. token end

endpoint("post", "/request", "bills.request", {
  { "product_nm", "text" }, { "message", "text" }, { "member_nm", "text" }, { "phone", "phone" }, PRICE,
  { "expire_dt", "expire_dt" }, OPTIONAL_BILL, CALLBACK,
}, { costs = true }, function(order, call, req)
  if order.bill_id and bills.find(order.bill_id) then return refuse "9800" end
  order.id, order.bill_id = order.bill_id or bills.new_id(), nil
  order.expires_at = words.end_of(order.expire_dt)
  local bill = bills.create(order)
  call.reference = bill.id
  points.take(bill.id)
  return ok({ bill_id = bill.id, shortURL = short_url(req, bill.token) }, REQUESTED)
end)

-- The bill, unless it is unknown or destroyed: destroyed bills can only be read.
local function living(values)
  local bill = bills.find(values.bill_id)
  return bill and bill.state ~= "D" and bill or nil
end

endpoint("post", "/read", "bills.read", { BILL }, {}, function(values)
  local bill = bills.find(values.bill_id)
  if not bill then return refuse "9980" end
  local shown = bills.shown(bill)
  shown.expired = bill.expired or nil
  return ok(shown)
end)

endpoint("post", "/cancel", "bills.cancel", { BILL, PRICE }, {}, function(values)
  local bill = living(values)
  if not bill then return refuse "9980" end
  if bill.state == "C" then return refuse "9970" end
  if bill.state == "W" then return refuse("9999", "결제되지 않은 청구서는 취소할 수 없습니다.") end
  if bill.price ~= values.price then return refuse("9999", "청구 금액이 일치하지 않습니다.") end
  bills.cancel(bill)
  local shown = bills.shown(bill)
  return ok {
    bill_id = bill.id,
    appr_num = shown.appr_num,
    appr_origin_num = shown.appr_origin_num,
    appr_cancel_dt = words.stamp(bill.cancelled_at),
  }
end)

endpoint("post", "/destroy", "bills.destroy", { BILL, PRICE }, {}, function(values)
  local bill = living(values)
  if not bill then return refuse "9980" end
  if bill.state == "F" then return refuse "9971" end
  if bill.state == "C" then return refuse "9970" end
  if bill.price ~= values.price then return refuse("9999", "청구 금액이 일치하지 않습니다.") end
  bills.destroy(bill)
  return ok { bill_id = bill.id }
end)

endpoint("post", "/resend", "bills.resend", { BILL }, { costs = true }, function(values)
  local bill = living(values)
  if not bill then return refuse "9980" end
  if bill.state == "F" then return refuse "9971" end
  if bill.state == "C" then return refuse "9970" end
  if bill.expired then return refuse("9999", "결제 기한이 지난 청구서입니다.") end
  points.take(bill.id)
  return ok {}
end)

-- ---- AutoPay ----

endpoint("post", "/autopay/register", "autopay.register", {
  CUSTOMER, { "member_nm", "text" }, { "phone", "phone" }, CALLBACK,
}, {}, function(order, _, req)
  local payer = payers.register(order)
  return ok { customer_id = payer.id, shortURL = short_url(req, payer.token) }
end)

endpoint("post", "/autopay/manage", "autopay.manage", { CUSTOMER }, {}, function(values, _, req)
  local payer = payers.find(values.customer_id)
  if not payer then return refuse "9980" end
  payers.open(payer, "manage")
  return ok { customer_id = payer.id, shortURL = short_url(req, payer.token) }
end)

local QUERY = { query = true }

endpoint("get", "/autopay/methods", "autopay.methods", { CUSTOMER }, QUERY, function(values)
  local payer = payers.find(values.customer_id)
  if not payer then return refuse "9980" end
  return ok { customer_id = payer.id, methods = payers.shown(payer) }
end)

endpoint("post", "/autopay/request", "autopay.request", {
  CUSTOMER, { "method_id", "text", optional = true }, OPTIONAL_BILL, { "product_nm", "text" },
  { "message", "text", optional = true }, PRICE,
}, { costs = true }, function(order, call)
  if order.bill_id and bills.find(order.bill_id) then return refuse "9800" end
  local payer = payers.find(order.customer_id)
  local method = payer and payers.method(payer, order.method_id)
  if not method then return refuse "9980" end
  local result, code = payers.outcome(method, order.price)
  if code then return refuse(code) end
  if result ~= "succeeded" then return refuse("9999", words.declines[result]) end

  -- A declined charge leaves no bill behind, so its bill_id may be used again.
  order.id, order.bill_id = order.bill_id or bills.new_id(), nil
  order.member_nm, order.phone, order.callbackURL = payer.member_nm, payer.phone, payer.callbackURL
  local bill = bills.create(order)
  call.reference = bill.id
  points.take(bill.id)
  bills.paid(bill, "CARD_RP", method.card, call.own_fault)
  local shown = bills.shown(bill)
  return ok {
    bill_id = bill.id,
    appr_state = "F",
    appr_pay_type = "CARD_RP",
    appr_num = shown.appr_num,
    appr_dt = shown.appr_dt,
    appr_price = shown.appr_price,
  }
end)

endpoint("delete", "/autopay/delete", "autopay.delete", { CUSTOMER, { "method_id", "text" } }, QUERY,
  function(values)
    local payer = payers.find(values.customer_id)
    local method = payer and payers.method(payer, values.method_id)
    if not method then return refuse "9980" end
    payers.forget(method)
    return ok {}
  end)

for _, path in ipairs {
  "/licenses", "/format-phone-number", "/request", "/read", "/cancel", "/destroy", "/resend",
  "/autopay/register", "/autopay/manage", "/autopay/methods", "/autopay/request", "/autopay/delete",
} do
  route("any", path, "unknown", function() return fail(405, "method not allowed") end)
end
route("any", "/*", "unknown", function() return fail(404, "not found") end)
