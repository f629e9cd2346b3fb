-- Paymint's bills: what they are, and the only places where their state changes. W (unpaid) becomes F (paid)
-- or D (destroyed), F becomes C (cancelled), each once; a bill past its day stays W and cannot be paid.

local clock = require "lib.clock"
local crypto = require "mintage.crypto"
local ids = require "lib.ids"
local journal = require "lib.journal"
local json = require "mintage.json"
local store = require("lib.paymint.store").bills
local task = require "mintage.task"
local webhooks = require "lib.webhooks"
local words = require "lib.paymint.words"

local bills = {}

local HOURLY = {}
for i = 1, 24 do HOURLY[i] = "1h" end

local ACKNOWLEDGED = '{"code":"0000","msg":"' .. words.ok .. '"}'

-- order: the checked body of a request; has an id, and expires_at unless it is charged at once.
function bills.create(order)
  order.token = crypto.token(18)
  order.state = "W"
  order.created_at = clock.now()
  order.attempts = 0
  local bill = store:insert(order)
  if bill.expires_at then task.at(bill.expires_at, "paymint.expire", { bill = bill.id }) end
  return bill
end

function bills.new_id() return crypto.token(10):upper() end

task.define("paymint.expire", function(payload)
  local bill = store:get(payload.bill)
  if bill and bill.state == "W" then store:update(bill.id, { expired = true }) end
end)

-- A bill past its day is expired, even in the moment before its dated work is carried out.
local function current(bill)
  if bill and bill.state == "W" and bill.expires_at and clock.now() >= bill.expires_at then
    bill.expired = true
  end
  return bill
end

function bills.find(id) return type(id) == "string" and current(store:get(id)) or nil end
function bills.by_token(token) return current(store:by("token", token)) end

local issuers = {
  visa = { "신한카드", "02" }, mastercard = { "국민카드", "01" }, amex = { "삼성카드", "04" },
  discover = { "현대카드", "08" }, diners = { "롯데카드", "05" },
}

-- What /read answers and a callback says: all of it strings.
function bills.shown(bill)
  local card = bill.card
  local issuer = card and issuers[card.brand] or { "", "" }
  return {
    bill_id = bill.id,
    appr_state = bill.state,
    appr_pay_type = bill.pay_type or "",
    appr_card_type = card and "1" or "",
    appr_cat_id = "",
    appr_dt = bill.paid_at and words.stamp(bill.paid_at) or "",
    appr_origin_dt = bill.cancelled_at and words.stamp(bill.paid_at) or "",
    appr_price = tostring(bill.price),
    appr_issuer = issuer[1],
    appr_issuer_cd = issuer[2],
    appr_issuer_num = card and "****-****-****-" .. card.last4 or "",
    appr_acquirer_cd = issuer[2],
    appr_acquirer_nm = issuer[1],
    appr_num = bill.cancel_num or bill.appr_num or "",
    appr_origin_num = bill.cancel_num and bill.appr_num or "",
    appr_res_cd = bill.appr_num and "0000" or "",
    appr_monthly = bill.appr_num and "00" or "",
    appr_cash_num = "",
    appr_cash_trader = "",
    appr_cash_issuance_number = "",
  }
end

local function call_back(bill, own_fault)
  local said = bills.shown(bill)
  said.apikey = "paymint_test_key"
  webhooks.emit({
    group = "paymint",
    event = "bill.paid",
    reference = bill.id,
    to = bill.callbackURL,
    headers = { ["Content-Type"] = "application/json; charset=UTF-8", ["User-Agent"] = "Paymint-Sandbox" },
    body = json.encode(said),
    schedule = HOURLY,
    accept = ACKNOWLEDGED,
  }, own_fault)
end

local function approval() return ("%08d"):format(ids.number() % 100000000) end

local function money(bill, kind)
  journal.money {
    provider = "paymint",
    kind = kind,
    reference = bill.id,
    object_id = bill.id,
    charge_id = bill.appr_num,
    customer_id = bill.customer_id,
    amount = tostring(bill.price),
    currency = "KRW",
  }
end

-- pay_type: KEYIN (a card on the page), CARD_VAN (a pay app), CARD_RP (AutoPay). Payments alone are called
-- back.
function bills.paid(bill, pay_type, card, own_fault)
  bill.state = "F"
  bill.pay_type = pay_type
  bill.card = card and { brand = card.brand, last4 = card.last4 } or nil
  bill.challenge = nil
  bill.paid_at = clock.now()
  bill.appr_num = approval()
  store:put(bill)
  money(bill, "charge")
  call_back(bill, own_fault)
end

function bills.cancel(bill)
  bill.state = "C"
  bill.cancelled_at = clock.now()
  bill.cancel_num = approval()
  store:put(bill)
  money(bill, "void")
  return bill
end

function bills.destroy(bill)
  bill.state = "D"
  bill.challenge = nil
  store:put(bill)
end

-- ---- what a payer does ----

local function refused(bill, result)
  bill.last_failure = result
  store:put(bill)
  return "failed", result
end

local function settle(bill, card, own_fault)
  if card.result ~= "succeeded" then return refused(bill, card.result) end
  bills.paid(bill, "KEYIN", card, own_fault)
  return "succeeded"
end

-- Pays with a test card (as lib.cards keeps it). "succeeded", "requires_action", or "failed" and why.
function bills.pay(bill, card, own_fault)
  bill.attempts = bill.attempts + 1
  bill.challenge = card.challenge and card or nil
  if not card.challenge then return settle(bill, card, own_fault) end
  store:put(bill)
  return "requires_action"
end

function bills.challenge(bill, passes, own_fault)
  local card = bill.challenge
  bill.challenge = nil
  if passes then return settle(bill, card, own_fault) end
  return refused(bill, "authentication_failed")
end

-- Pays with a pay app: no card, so the price decides.
function bills.pay_by_app(bill, own_fault)
  local trigger = words.trigger(bill.price)
  bill.attempts = bill.attempts + 1
  bill.challenge = nil
  if trigger then return refused(bill, trigger.result or "processing_error") end
  bills.paid(bill, "CARD_VAN", nil, own_fault)
  return "succeeded"
end

function bills.refuse(bill)
  bill.attempts = bill.attempts + 1
  bill.challenge = nil
  return refused(bill, "card_declined")
end

function bills.list(page)
  return page("bills", store, function(bill)
    current(bill)
    return {
      bill_id = bill.id,
      appr_state = bill.state,
      price = bill.price,
      product_nm = bill.product_nm,
      customer_id = bill.customer_id,
      expire_dt = bill.expire_dt,
      expired = bill.expired or nil,
    }
  end)
end

return bills
