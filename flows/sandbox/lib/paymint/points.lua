-- The balance of points: every accepted message and AutoPay charge costs 55, whatever the amount.

local journal = require "lib.journal"
local store = require("lib.paymint.store").points

local points = { cost = 55 }

local START = 10000000

function points.left()
  local row = store:get "points"
  return row and row.left or START
end

function points.set(left) store:put { id = "points", left = left } end

function points.enough() return points.left() >= points.cost end

function points.take(reference)
  points.set(points.left() - points.cost)
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
