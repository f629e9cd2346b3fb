-- Paymentwall MINT, emulated: the reseller API under /pwapi (signed) and the redemption API (by project key).
-- Each route is one transaction: of fifty that redeem one code at once, one finds it unspent.

local balances = require "lib.mint.balances"
local countries = require "lib.mint.countries"
local epins = require "lib.mint.epins"
local fields = require "lib.mint.fields"
local guesses = require "lib.mint.guesses"
local json = require "mintage.json"
local login = require "lib.mint.login"
local mint = require "lib.mint.provider"
local money = require "mintage.money"
local replies = require "lib.mint.replies"
local web = require "mintage.web"

local fail = replies.fail

-- Serves a path of the reseller API to who has signed. operation may be a function of the request.
local function signed(method, path, operation, handler)
  web.route("*", path, { public = true }, function(req)
    local name = type(operation) == "function" and operation(req) or operation
    return mint:serve(name, req, function(_, call)
      if req.method ~= method then return fail(-32003, 405) end
      local given, status = fields.read(req)
      if not given then return fail(-32006, status) end
      local code = login.check(given)
      if code then return fail(code) end
      return handler(type(given.params) == "table" and given.params or {}, call)
    end)
  end)
end

-- ---- generating ----

local MOST_EPINS, MOST_VALUE = 100, 10000

local function blank(value) return (fields.text(value) or "") == "" end

-- 1 or 0, and false when it is neither.
local function flag(value)
  if blank(value) then return 0 end
  local number = fields.integer(value)
  return (number == 0 or number == 1) and number
end

-- The order that params are, or nil and the code of what is wrong, in the decided order.
local function order_of(params)
  local activation, test = flag(params.activationRequired), flag(params.test)
  if blank(params.currencyCode) or blank(params.ePinNominalValue) or not activation or not test then
    return nil, -32006
  end

  local service = blank(params.serviceId) and 0 or fields.integer(params.serviceId)
  if service == 403 then return nil, 1 end
  if service ~= 0 then return nil, 8 end

  local balance, wrong = balances.get(params.currencyCode)
  if not balance then return nil, wrong end

  local value = fields.integer(params.ePinNominalValue)
  local country = params.countryCode
  if not value or not blank(country) and not countries[country] then return nil, 6 end
  if value < 1 then return nil, 5 end
  local count = blank(params.ePinsCount) and 1 or fields.integer(params.ePinsCount)
  if not count or count < 1 or count > MOST_EPINS then return nil, 4 end
  if value > MOST_VALUE or value * count > MOST_VALUE then return nil, 10 end
  if test == 0 and value * count * 10000 > balance then return nil, 3 end
  return {
    currency = params.currencyCode, value = value, count = count, active = activation == 0, test = test == 1,
  }
end

local function generate(params, call)
  local order, code = order_of(params)
  if not order then return fail(code) end
  local response, reference = replies.ok()
  call.reference = reference
  response.json.data = order.test and epins.test(order) or epins.generate(order, reference)
  return response
end

signed("POST", "/pwapi/mint", "epins.generate", generate)
signed("POST", "/pwapi/partners-mint", "epins.generate", generate)

-- ---- balances ----

local function asked(req) return req.query["params[currencyCode]"] and "balances.get" or "balances.list" end

signed("GET", "/pwapi/mint-balances", asked, function(params)
  if blank(params.currencyCode) then return (replies.ok(balances.list())) end
  local balance, code = balances.get(params.currencyCode)
  if not balance then return fail(code) end
  return (replies.ok(balances.shown(params.currencyCode)))
end)

mint:route("any", "/pwapi/*", "unknown", function() return fail(-32003) end)

-- ---- redeeming ----

local apps = {
  ["32a13829f2635187"] = {},
  app_inactive = { code = 3001 },
  app_other = { other = true }, -- no ePIN is for it
}
local BANNED = "banned"

local function known_currency(code)
  return type(code) == "string" and code:find "^%u%u%u$" ~= nil and pcall(money.zero, code)
end

-- The codes that were sent; nil when they are no list.
local function codes_of(epin)
  if epin == nil then return {} end
  if type(epin) ~= "table" then return nil end
  local codes = {}
  for _, code in pairs(epin) do
    local text = fields.text(code) or "?"
    if text:find "%S" then codes[#codes + 1] = text end
  end
  return codes
end

-- Answers what is left and its currency, or nil and a code, in the decided order.
local function redeem(given)
  local codes = codes_of(given.epin)
  local app_key, user_id = fields.text(given.app_key) or "", fields.text(given.user_id) or ""
  local amount = epins.amount(given.amount, given.currency)
  if not codes then return nil, 2005 end
  if #codes == 0 then return nil, 2001 end
  if app_key == "" then return nil, 2002 end
  if not amount then return nil, 2003 end
  if not known_currency(given.currency) then return nil, 2004 end
  if not user_id:find "%S" then return nil, 2006 end

  local app = apps[app_key]
  if not app then return nil, 1002 end
  if app.code then return nil, app.code end
  if user_id == BANNED then return nil, 1003 end
  if guesses.locked(app_key, user_id) then return nil, 4001 end
  if #codes > 1 then return nil, 3007 end
  local epin = epins.find(codes[1])
  if not epin then
    guesses.wrong(app_key, user_id)
    return nil, 3006
  end
  if app.other then return nil, 3005 end
  local left, code = epins.redeem(epin, amount, given.currency, user_id)
  if not left then return nil, code end
  return left, epin.currency
end

web.route("*", "/api/pure-mint/payment", { public = true }, function(req)
  return mint:serve("epins.redeem", req, function()
    if req.method ~= "POST" then return fail(-32003, 405) end
    local left, result = redeem(fields.read(req) or {})
    if not left then return replies.not_redeemed(result) end
    local change = left % 10000 == 0 and left // 10000 or json.decode(balances.decimal(left))
    return replies.redeemed(change, result)
  end)
end)
