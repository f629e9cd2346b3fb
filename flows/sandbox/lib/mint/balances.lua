-- The reseller's balances, in ten-thousandths by currency. At first those of the provider's own example.

local decimal = require "lib.decimal"
local money = require "mintage.money"
local store = require("lib.mint.store").balances

local balances = {}

local PLACES = 4
local first = { USD = 99440655, UAH = 0 }
local NO_ACCESS = "EUR" -- real, but not this reseller's

function balances.decimal(amount) return decimal.text(amount, PLACES) end

-- The balance, or nil and the code of what is wrong with the currency.
function balances.get(currency)
  if currency == NO_ACCESS then return nil, 9 end
  local row = type(currency) == "string" and store:get(currency)
  local amount = row and row.amount or first[currency]
  if not amount then return nil, 7 end
  return amount, row
end

function balances.take(currency, amount)
  local balance, row = balances.get(currency)
  store:put { id = currency, version = row and row.version, amount = balance - amount }
end

function balances.shown(currency)
  return { cu_code = currency, balance_amount = balances.decimal(balances.get(currency)) }
end

-- In the example's order, then those that the control API has added.
function balances.list()
  local currencies, others = { "USD", "UAH" }, {}
  for _, row in ipairs(store:list { limit = 1000 }) do
    if not first[row.id] then others[#others + 1] = row.id end
  end
  table.sort(others)
  table.move(others, 1, #others, #currencies + 1, currencies)
  for i, currency in ipairs(currencies) do currencies[i] = balances.shown(currency) end
  return currencies
end

-- POST /_sandbox/balance. Answers what is wrong.
function balances.set(given)
  local currency = given.currency or "USD"
  if type(currency) ~= "string" or currency ~= currency:upper() or not pcall(money.zero, currency) then
    return "currency must be an ISO 4217 code such as USD"
  end
  if currency == NO_ACCESS then return "there is no access to EUR: that is error 9" end
  local amount = decimal.parse(given.balance, PLACES)
  if not amount or amount < 0 then return 'balance must be an amount such as "9944.0655"' end
  store:put { id = currency, amount = amount }
end

return balances
