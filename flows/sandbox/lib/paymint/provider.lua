-- Paymint as one of the sandbox's providers: the shapes of its answers, who may ask, and what the control API
-- may ask of it.

local bills = require "lib.paymint.bills"
local cards = require "lib.cards"
local json = require "mintage.json"
local payers = require "lib.paymint.payers"
local points = require "lib.paymint.points"
local provider = require "lib.provider"
local words = require "lib.paymint.words"

-- ---- answers ----

local function fail(status, message) return { status = status, json = { error = message } } end

-- The members' order where the documents show one.
local ORDER = {
  "licenses", "member_id", "merchant_id", "business_name", "business_number", "phone", "valid", "bill_id",
  "customer_id", "appr_state", "appr_pay_type", "appr_num", "appr_origin_num", "appr_cancel_dt", "appr_dt",
  "appr_price", "methods", "method_id", "card_nm", "card_num", "status", "registered_dt", "shortURL", "code",
  "msg", "message", "data",
}

-- An answer in the upstream's words; order: where it is not the usual one.
local function ok(answer, order)
  answer.code, answer.msg = "0000", words.ok
  return { json = answer, order = order or ORDER }
end

-- The upstream's no: HTTP 200 with a code.
local function refuse(code, text)
  text = text or words.codes[code]
  if code:find "_" or code == "ERROR" then
    return { json = { code = code, message = text, data = json.null }, order = ORDER }
  end
  return { json = { code = code, msg = text }, order = ORDER }
end

local UPGRADE = "upgrade required: this endpoint needs a Pro or Paymint-only license"
local BALANCE = "insufficient paymint balance: top up to keep sending"

local texts = {
  [400] = "bad request",
  [401] = "invalid api key",
  [402] = UPGRADE,
  [403] = "forbidden",
  [404] = "not found",
  [405] = "method not allowed",
  [408] = "request timeout",
  [409] = "conflict",
  [413] = "content too large",
  [429] = "too many requests",
  [500] = "internal server error",
  [502] = "bad gateway",
  [503] = "service unavailable",
  [504] = "gateway timeout",
}

-- What "error=CODE" answers: a status of the gateway, 402_balance, or a code of the upstream.
local function fault(code)
  if words.codes[code] then return refuse(code) end
  if code == "402_balance" then return fail(402, BALANCE) end
  local status = math.tointeger(tonumber(code:match "^%d%d%d" or "500"))
  local response = fail(texts[status] and status or 500, texts[status] or texts[500])
  if status == 429 or status == 503 then response.headers = { ["Retry-After"] = "1" } end
  return response
end

-- ---- who asks ----

local pro = {
  member_id = "test_member", merchant_id = "test_merchant", business_name = "Mintage Test Shop",
  business_number = "123-**-***90", status = "approved",
}
local second = {
  member_id = "test_member_2", merchant_id = "test_merchant_2", business_name = "Mintage Second Shop",
  business_number = "305-**-***47", status = "approved",
}

local keys = {
  mmk_test_key = { works = true, licenses = { pro } },
  mmk_test_paymint = { works = true, licenses = { pro } },
  mmk_test_multi = { works = true, licenses = { pro, second } },
  mmk_test_none = { works = true, licenses = {} },
  mmk_test_basic = { works = false, licenses = { pro } },
}

local function licenses(key)
  local known = key and (keys[key] or { licenses = {} }) or keys.mmk_test_key
  return json.array { table.unpack(known.licenses) }
end

-- MMK mode: a licence of the deployment, picked by the ids that were sent.
local function pick(known, headers)
  local member, merchant = headers["x-paymint-member-id"], headers["x-paymint-merchant-id"]
  local found = {}
  for _, license in ipairs(known.licenses) do
    if (not member or member == license.member_id) and (not merchant or merchant == license.merchant_id) then
      found[#found + 1] = license
    end
  end
  if #found == 1 then return nil end
  if #known.licenses == 0 then return fail(400, "no approved paymint licenses found") end
  if #found > 1 then return fail(400, "multiple licenses available, specify --business-number") end
  return fail(400, "no license found for " .. (member or merchant))
end

local traditional = {
  { "X-Paymint-Host" },
  { "X-Paymint-Api-Key", "paymint_test_key" },
  { "X-Paymint-Member-ID", "test_member" },
  { "X-Paymint-Merchant-ID", "test_merchant" },
  { "X-Paymint-Business-Number", "1234567890" },
}

local function check_traditional(headers)
  for _, row in ipairs(traditional) do
    local value = headers[row[1]:lower()]
    if not value or value == "" then
      return fail(400, row[1] .. " is required (or send X-Paymint-MMK-Mode: true)")
    end
  end
  for _, row in ipairs(traditional) do
    local value = headers[row[1]:lower()]
    if row[1] == "X-Paymint-Business-Number" then value = value:gsub("%D", "") end
    if row[2] and value ~= row[2] then return fail(401, "invalid paymint credentials: " .. row[1]) end
  end
end

-- Nil when the request may go on: first the key, then the licence, then the connection.
local function admit(req)
  local known = keys[req.headers["x-api-key"] or ""]
  if not known then return fail(401, texts[401]) end
  if not known.works then return fail(402, UPGRADE) end
  if (req.headers["x-paymint-mmk-mode"] or ""):lower() == "true" then return pick(known, req.headers) end
  return check_traditional(req.headers)
end

-- ---- the control API ----

local function pay_bill(id, request, call)
  local bill = bills.find(id)
  if not bill then return 404, "there is no such bill" end
  call.reference = bill.id
  if bill.state ~= "W" then return 409, "the bill's state is " .. bill.state end
  if bill.expired then return 409, "the bill has expired" end

  local status
  if request.action == "cancel" then
    return 422, "a payer cannot cancel a bill; let it expire, or destroy it"
  elseif request.card ~= nil then
    local card = cards.find(request.card)
    if not card then return 422, "not a test card" end
    status = bills.pay(bill, payers.card(card), call.own_fault)
  elseif bill.challenge then
    status = bills.challenge(bill, request.action ~= "fail", call.own_fault)
  elseif request.action == "fail" then
    status = bills.refuse(bill)
  else
    status = bills.pay_by_app(bill, call.own_fault)
  end
  return 200, { status = status }
end

local function register_card(id, request, call)
  local payer = payers.find(id)
  if not payer then return 404, "there is no such payer" end
  call.reference = payer.id
  if not payer.wanted then return 409, "no page is open: call autopay/register or autopay/manage first" end

  local status
  if request.action == "cancel" then
    payers.leave(payer)
    status = "cancelled"
  elseif request.card ~= nil then
    local card = cards.find(request.card)
    if not card then return 422, "not a test card" end
    status = payers.enter(payer, payers.card(card))
  elseif payer.challenge then
    status = payers.challenge(payer, request.action ~= "fail")
  elseif request.action == "fail" then
    status = payers.refuse(payer)
  else
    return 422, 'say which "card" is registered, or an "action": cancel or fail'
  end
  return 200, { status = status }
end

local function balance(request)
  local left = math.type(request.balance) and math.tointeger(request.balance)
  if not left or left < 0 or left > 1000000000000 then
    return "balance must be an integer of points from 0 to 1000000000000"
  end
  points.set(left)
end

local paymint = provider.define {
  name = "paymint",
  webhooks = true,
  texts = texts,
  fail = fail,
  fault = fault,
  payables = { { field = "bill_id", pay = pay_bill }, { field = "customer_id", pay = register_card } },
  balance = balance,
  state = function(page)
    return { balance = points.left(), bills = bills.list(page), payers = payers.list(page) }
  end,
}

paymint.ok, paymint.refuse, paymint.admit = ok, refuse, admit

-- What GET /licenses answers who sent this key, or none.
function paymint.licenses(key) return { json = { licenses = licenses(key) }, order = ORDER } end
paymint.no_balance = function() return fail(402, BALANCE) end

return paymint
