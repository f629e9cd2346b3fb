-- Paying with a MINT ePIN: at once, all that is due or a part of it. MINT says how much is left on it only
-- when it has paid, and gives nothing back.

local crypto = require "mintage.crypto"
local flow = require "mintage.flow"
local mint = require "mintage.mint"
local money = require "mintage.money"

local way = { uses = mint.epins.redeem, needs = "epin" }

local TRIES = 5 -- wrong ones; then this way is closed for the order

-- A code is money: from the page it comes sealed for its order, and is opened here only.
local function place(run, attempt) return ("checkout/%s/%d"):format(run, attempt) end

-- The digits of a code, however they are grouped; nil when it is none.
function way.code(text) return text:gsub("[%s-]", ""):match "^%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d$" end
function way.seal(code, run, attempt) return crypto.seal(code, place(run, attempt)) end

-- What MINT says of the ePIN itself: of another currency, expired, not active, spent, not for us, none.
local wrong = { ["2004"] = 1, ["3002"] = 1, ["3003"] = 1, ["3004"] = 1, ["3005"] = 1, ["3006"] = 1 }

local function count(sale)
  sale.wrong = sale.wrong + 1
  sale.tries_left = TRIES - sale.wrong
  for i, name in ipairs(sale.ways) do
    if name == "epin" and sale.tries_left == 0 then table.remove(sale.ways, i) end
  end
end

-- MINT cannot be asked what became of a request whose answer was lost: the run waits for a person then.
function way.open(sale, wish)
  local code = crypto.unseal(wish.epin, place(flow.id(), wish.attempt))
  local amount = wish.amount or sale.due
  if amount > sale.due then amount = sale.due end
  local paid, refused = flow.try(mint.epins.redeem, {
    epin = code, amount = amount, user_id = sale.order.reference,
  })
  if refused then
    if wrong[refused.code] then count(sale) end
    return nil, refused, refused.kind == "insufficient_funds" and "amount" or "epin"
  end
  -- Should the order fail after all, a person has to give this back: MINT does not.
  flow.undo(mint.epins.release, { amount = amount, user_id = sale.order.reference })
  local change = paid and paid.change_amount -- a person may not know
  return { paid = amount, change = change and money(change), masked = "**** " .. code:sub(-4) }
end

return way
