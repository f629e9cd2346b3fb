-- Paying with a MINT ePIN: at once, all that is due or a part of it. MINT says how much is left on it only
-- when it has paid, and gives nothing back.

local crypto = require "mintage.crypto"
local flow = require "mintage.flow"
local mint = require "mintage.mint"

local way = { uses = mint.epins.redeem, needs = "epin" }

local TRIES = 5 -- wrong ones; then this way is closed for the order

-- A code is money: from the page it comes sealed for its order, and is opened here only.
local function place(run, attempt) return ("checkout/%s/%d"):format(run, attempt) end

-- The digits of a code, however they are grouped; nil when it is none.
function way.code(text) return text:gsub("[%s-]", ""):match "^%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d$" end
function way.seal(code, run, attempt) return crypto.seal(code, place(run, attempt)) end

-- What MINT says of the ePIN itself, and not of us or of how much is on it.
local wrong = { not_found = true, expired = true, conflict = true, permission = true, invalid_request = true }

function way.open(sale, wish)
  local code = crypto.unseal(wish.epin, place(flow.id(), wish.attempt))
  local amount = wish.amount or sale.due
  if amount > sale.due then amount = sale.due end
  local paid, refused = flow.try(mint.epins.redeem, {
    epin = code, amount = amount, user_id = sale.order.reference,
  })
  if not paid then
    if wrong[refused.kind] then
      sale.wrong = sale.wrong + 1
      sale.tries_left = TRIES - sale.wrong
      for i, name in ipairs(sale.ways) do
        if name == "epin" and sale.tries_left == 0 then table.remove(sale.ways, i) end
      end
    end
    return nil, refused, refused.kind == "insufficient_funds" and "amount" or "epin"
  end
  -- Should the order fail after all, a person has to give this back: MINT does not.
  flow.undo(mint.epins.release, { amount = amount, user_id = sale.order.reference })
  return { paid = amount, change = paid.change_amount, masked = "**** " .. code:sub(-4) }
end

return way
