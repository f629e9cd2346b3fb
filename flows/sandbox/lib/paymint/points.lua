-- The balance of points: every accepted message and AutoPay charge costs 55, whatever the amount. It lies in
-- purses, one of which a request takes from, so that requests do not wait for each other; a small balance
-- lies in one, and what one purse lacks is gathered from the others.

local crypto = require "mintage.crypto"
local journal = require "lib.journal"
local store = require("lib.paymint.store").points

local points = { cost = 55 }

local START = 10000000
local PURSES = 32
local WORTH_DIVIDING = PURSES * points.cost * 100

local function share(total, n)
  if total < WORTH_DIVIDING then return n == 1 and total or 0 end
  return total // PURSES + (n == 1 and total % PURSES or 0)
end

local function left_in(n)
  local purse = store:get("purse" .. n)
  return purse and purse.left or share(START, n)
end

local function put(n, left) store:put { id = "purse" .. n, left = left } end

function points.left()
  local total = 0
  for n = 1, PURSES do total = total + left_in(n) end
  return total
end

function points.set(left)
  for n = 1, PURSES do put(n, share(left, n)) end
end

-- The purse of this request (each is an execution of its own).
local chosen
local function mine()
  chosen = chosen or tonumber(crypto.token(8):sub(1, 4), 16) % PURSES + 1
  return chosen
end

function points.enough() return left_in(mine()) >= points.cost or points.left() >= points.cost end

function points.take(reference)
  local due = points.cost
  for step = 0, PURSES - 1 do
    local n = (mine() + step - 1) % PURSES + 1
    local left = left_in(n)
    local taken = math.min(left, due)
    if taken > 0 then put(n, left - taken) end
    due = due - taken
    if due == 0 then break end
  end
  journal.money {
    provider = "paymint",
    kind = "fee",
    reference = reference,
    object_id = reference,
    amount = tostring(points.cost),
    currency = "KRW",
  }
end

return points
