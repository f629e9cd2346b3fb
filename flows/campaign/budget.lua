-- What campaigns may cost together: never more than the budget of their purse, nor than MINT's balance.
-- A campaign costs what it has ordered, and may cost all it wants while its run goes on.

local collection = require "mintage.collection"
local codes = require "campaign.codes"
local flow = require "mintage.flow"
local mint = require "mintage.mint"
local money = require "mintage.money"

local budget = {}

local pots = collection.define "campaign_pots" -- { id, campaigns = { names } }
local over = { completed = true, failed = true, cancelled = true }

-- At most: what a campaign costs, and what of it MINT has not been paid yet.
local function cost(name)
  local c = codes.campaigns:get(name)
  local run = flow.find(c.run)[1]
  local most = (not run or over[run.state]) and c.ordered or c.count
  local value = money(c.value)
  return value * most, value * (most - c.paid)
end

-- MINT's balance, rounded down to what money can hold: "9944.0655" is 9944.06 USD.
local function balance(currency)
  local text = mint.balances.get(currency).balance_amount
  while text ~= "" do
    local held = money.parse(text .. " " .. currency)
    if held then return held end
    text = text:sub(1, -2):gsub("%.$", "")
  end
  return money.zero(currency)
end

-- Joins a pot when all of its campaigns and this one can be paid of it. Two that join at once: the second
-- one's write is refused, and it counts again, with the first. The limit is asked for last: money that leaves
-- MINT meanwhile is then counted twice rather than not at all.
local function join(id, c, taken_by, limit)
  for _ = 1, 100 do
    local pot = pots:get(id)
    local names, taken = {}, money.zero(c.value.currency)
    for _, name in ipairs(pot and pot.campaigns or {}) do
      local one = taken_by(name)
      if not one:is_zero() then
        table.insert(names, name)
        taken = taken + one
      end
    end
    local most, wanted = limit(pot), c.value * c.count
    if taken + wanted > most then
      flow.fail("over_budget", ("%s: wanted %s, and %s of %s are spoken for"):format(id, wanted, taken, most))
    end
    table.insert(names, c.name)
    local mine = { id = id, version = pot and pot.version, campaigns = names, limit = most }
    local ok, err = pcall(pot and pots.put or pots.insert, pots, mine)
    if ok then return end
    if err.kind ~= "conflict" then error(err, 0) end
  end
  flow.fail("conflict", "a hundred other campaigns were quicker")
end

function budget.reserve(c)
  local currency = c.value.currency
  if c.budget.currency ~= currency then
    flow.fail("invalid_request", ("budget: found %s, wanted %s"):format(c.budget, currency))
  end
  join("purse/" .. (c.purse or c.name), c, function(name) return (cost(name)) end, function(pot)
    local had = pot and money(pot.limit) or c.budget
    return had < c.budget and had or c.budget -- the first to open a purse says what is in it
  end)
  local function unpaid(name) return select(2, cost(name)) end
  join("mint/" .. currency, c, unpaid, function() return balance(currency) end)
end

return budget
