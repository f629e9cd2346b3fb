-- MINT's ePINs: generated, activated, redeemed until nothing is left, expired after a year. The only place
-- where what an ePIN holds changes; each change stands in the ledger.

local balances = require "lib.mint.balances"
local clock = require "lib.clock"
local crypto = require "mintage.crypto"
local decimal = require "lib.decimal"
local ids = require "lib.ids"
local journal = require "lib.journal"
local json = require "mintage.json"
local money = require "mintage.money"
local store = require("lib.mint.store").epins

local epins = {}

local LIFE_MS = 31536000 * 1000
local UNIT = 10000

-- The ePIN of the provider's own redemption sample is there from the beginning.
local born = { code = "1111111111111111", id = "1", currency = "USD", value = 101200 }

local function new_code()
  local random, groups = crypto.token(16), {}
  for i = 1, 4 do
    local number = tonumber(random:sub(i * 8 - 7, i * 8), 16)
    groups[i] = string.format("%04d", i == 1 and 1000 + number % 9000 or number % 10000)
  end
  return table.concat(groups)
end

local function spaced(code) return (code:gsub("(%d%d%d%d)", "%1 "):gsub(" $", "")) end

local function insert(id, code, currency, value, active)
  return store:insert {
    id = id,
    digest = crypto.sha256(code),
    last4 = code:sub(-4),
    currency = currency,
    value = value,
    left = value,
    active = active,
    generated_at = clock.now(),
    expires_at = clock.now() + LIFE_MS,
  }
end

-- As the document shows one.
local function shown(epin, code)
  local value = balances.decimal(epin.value)
  return {
    pin_id = math.tointeger(tonumber(epin.id)),
    pin_code = spaced(code),
    pin_generated_time = epin.generated_at // 1000,
    pin_time_expired = epin.expires_at // 1000,
    pin_nominal_value = value,
    pin_tr_amount = value,
    cu_code = epin.currency,
    cu_id = epin.currency == "USD" and 1 or 2,
  }
end

-- Codes of a test: the same every time, worth nothing, kept nowhere.
function epins.test(order)
  local list = json.array {}
  for i = 1, order.count do
    list[i] = shown({
      id = tostring(i), value = order.value * UNIT, currency = order.currency,
      generated_at = clock.now(), expires_at = clock.now() + LIFE_MS,
    }, string.format("%016d", i))
  end
  return list
end

local function issue(order, reference)
  local code, value = new_code(), order.value * UNIT
  local epin = insert(string.format("%d", ids.number()), code, order.currency, value, order.active)
  journal.money {
    provider = "mint",
    kind = "issue",
    reference = reference,
    object_id = epin.id,
    amount = balances.decimal(value),
    currency = order.currency,
  }
  return shown(epin, code)
end

-- order: currency, value (whole units), count, active. Answers the list with the codes: nobody sees them
-- again.
function epins.generate(order, reference)
  local list = json.array {}
  for i = 1, order.count do list[i] = issue(order, reference) end
  balances.take(order.currency, order.value * UNIT * order.count)
  return list
end

-- One that somebody else has sold, in any currency: the balance does not change.
function epins.issue(currency, value)
  return issue { currency = currency, value = value, active = true }
end

-- The ePIN with this code, typed with or without spaces and dashes; nil when there is none.
function epins.find(code)
  code = type(code) == "string" and code:gsub("[%s-]", "") or ""
  if not code:find "^%d+$" or #code ~= 16 then return nil end
  local epin = store:by("digest", crypto.sha256(code))
  if not epin and code == born.code then
    epin = insert(born.id, code, born.currency, born.value, true)
  end
  return epin
end

function epins.activate(epin)
  epin.active = true
  return store:put(epin)
end

-- Pays with an ePIN. Answers what is left on it, or nil and the code of why not.
function epins.redeem(epin, amount, currency, user_id)
  if clock.now() >= epin.expires_at then return nil, 3002 end
  if not epin.active then return nil, 3003 end
  if epin.left == 0 then return nil, 3004 end
  if epin.currency ~= currency then return nil, 2004 end
  if amount > epin.left then return nil, 3009 end
  epin.left = epin.left - amount
  store:put(epin)
  journal.money {
    provider = "mint",
    kind = "redeem",
    reference = user_id,
    object_id = epin.id,
    amount = amount % 100 == 0 and decimal.text(amount // 100) or balances.decimal(amount),
    currency = currency,
  }
  return epin.left
end

-- An amount to pay, in ten-thousandths; nil when it is none, or has more digits than the currency.
function epins.amount(value, currency)
  local amount = decimal.parse(value, 4)
  if not amount or amount <= 0 then return nil end
  local ok, zero = pcall(money.zero, currency)
  if not ok then return amount end
  local digits = #(zero.amount:match "%.(%d+)" or "")
  return amount % 10 ^ math.max(0, 4 - digits) // 1 == 0 and amount or nil
end

function epins.list(page)
  return page("epins", store, function(epin)
    return {
      pin_id = math.tointeger(tonumber(epin.id)),
      pin_code = "**** **** **** " .. epin.last4,
      cu_code = epin.currency,
      pin_nominal_value = balances.decimal(epin.value),
      left = balances.decimal(epin.left),
      active = epin.active,
      expires_at = clock.text(epin.expires_at),
    }
  end)
end

return epins
