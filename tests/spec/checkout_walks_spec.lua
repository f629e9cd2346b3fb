-- Customers who do anything at all on the checkout page and on the providers' pages, in simulated worlds: whatever they do, an
-- order takes what it costs, once, or nothing; what MINT and Mintro cannot give back is with a person. Each walk is decided
-- by its number. With mishaps as well: mintage test tests/spec/checkout_walks_spec.lua --faults 5

local world = require "mintage.world"
local cards = world.cards

local WALKS, STEPS = 60, 14

-- Numbers from 1 to n, the same for the same seed (xorshift).
local function dice(seed)
  local x = seed * 2654435761 % 2 ^ 32 // 1 | 1
  return function(n)
    x = x ~ (x << 13) & 0xffffffff
    x = x ~ (x >> 17)
    x = x ~ (x << 5) & 0xffffffff
    return x % n + 1
  end
end

local function one_of(r, list) return list[r(#list)] end

-- What is to be tried may be refused: a page that has gone on, a payment that is closed.
local function try(f, ...) return pcall(f, ...) end

local function order_of(r)
  local won = r(3) == 1
  local amount = won and "80000 KRW" or "80.00 USD"
  local order = {
    reference = "ORDER-1", amount = amount, email = "ann@example.com", name = "Ann", expires = "3h",
    items = { { name = "Coffee", quantity = 1, price = amount } },
    capture = r(4) == 1 and "manual" or nil, phone = r(3) == 1 and "010-1234-5678" or nil,
  }
  return order, won and { "mintro", "paymnt", "paymint", "epin" } or { "mintro", "paymnt", "epin" }, won and 80000 or 80
end

-- A person at MINT and at Mintro: says what became of a redemption, and gives back what they cannot.
local function attend(w, run)
  if run.state ~= "needs_attention" then return end
  local known, open = 0, false
  for _, entry in ipairs(run:journal()) do
    local redeems = entry.name == "mint.epins.redeem"
    if redeems and entry.outcome == "done" then known = known + 1 end
    open = open or redeems and not entry.outcome
  end
  local made = #w:ledger { kind = "redeem" } > known
  if open then run:resolve(made and { outcome = "done", value = {} } or { outcome = "not_sent" }) end
  if not open then run:resolve { outcome = "done" } end
  w:advance "5s"
end

local function chooses(w, run, r, walk)
  local way = one_of(r, run.progress.ways or walk.ways)
  local fields = { phone = way == "paymint" and "010-1234-5678" or nil }
  if way == "epin" then
    local value = r(walk.total + 20)
    fields.epin = r(4) == 1 and "8888777766665555" or w:issue(value, walk.currency)
    fields.amount = r(3) > 1 and tostring(r(value)) or nil
  end
  try(w.choose, w, run, way, fields)
end

local function pays(w, run, r)
  if run.progress.step ~= "pay" then return end
  local paid, status = try(w.pay, w, run, one_of(r, { cards.good, cards.declined, cards.challenge, cards.no_funds }))
  if paid and status == "requires_action" then try(r(2) == 1 and w.pass_challenge or w.fail_challenge, w, run) end
end

-- Pays something that was open once, and cannot; but for a payment that was under way when Mintro closed it.
local function pays_late(w, run, r, walk)
  local old = #walk.seen > 0 and one_of(r, walk.seen)
  if not old then return end
  local name, id = next(old)
  local is_open, card = run.progress[name] == id, name ~= "bill_id" and cards.good or nil
  local paid, status = try(w.pay, w, { [name] = id }, card)
  assert.is_true(is_open or not paid or status ~= "succeeded", id .. " was closed, and could be paid")
  if name ~= "intent_id" or r(3) > 1 then return end
  paid, status = try(w.pay, w, { intent_id = id }, card, { late = true })
  if paid and status == "succeeded" then walk.late = walk.late + 1 end
end

local function step(w, run, r, walk)
  local progress, deed = run.progress, r(11)
  for _, name in ipairs { "intent_id", "payment_id", "bill_id" } do
    if progress[name] then walk.seen[#walk.seen + 1] = { [name] = progress[name] } end
  end
  if deed <= 3 and not run:has_ended() then
    chooses(w, run, r, walk)
  elseif deed <= 6 then
    pays(w, run, r)
  elseif deed == 7 and r(2) == 1 then
    try(w.abandon, w, run)
  elseif deed == 8 then
    w:advance(one_of(r, { "1s", "1m", "20m", "1h" }))
  elseif deed == 9 then
    pays_late(w, run, r, walk)
  elseif deed == 10 and r(5) == 1 and not run:has_ended() then
    try(w.give_up, w, run)
  elseif deed == 11 and r(2) == 1 then
    w:kill()
  end
end

-- Everything comes to its end: what is authorised is captured or voided, what is late is looked after.
local function end_all(w, run, r)
  for _ = 1, 40 do
    attend(w, run)
    if run:has_ended() then break end
    if run.progress.authorised then w:start(one_of(r, { "capture", "void" }), { payment = "ORDER-1" }) end
    w:advance "1h"
  end
  w:redeliver():advance "6h"
  for _, late in ipairs(w:runs { flow = "checkout.late", state = "needs_attention" }) do
    late:resolve { outcome = "done" }
    late:wait "1h"
  end
end

local sign = { charge = 1, capture = 1, redeem = 1, refund = -1 }

local function sum(w, only)
  local all = 0
  for _, row in ipairs(w:ledger()) do
    local counts = sign[row.kind] or (row.kind == "void" and row.provider == "paymint" and -1) or 0
    if not only or row.kind == only then all = all + counts * tonumber(row.amount) end
  end
  return all
end

describe("an order of a customer who does anything", function()
  for n = 1, WALKS do
    it(("takes what it costs, or nothing: walk %d"):format(n), function()
      local w, r = world.new { allow = { "of money that was taken some run knows" } }, dice(n) -- late, at Mintro: by hand
      local order, ways, total = order_of(r)
      local run = w:start("checkout", order, { key = "ORDER-1" })
      local walk = { ways = ways, total = total, currency = order.amount:match "%a+$", seen = {}, late = 0 }
      for _ = 1, STEPS do
        attend(w, run)
        step(w, run, r, walk)
      end
      end_all(w, run, r)
      local taken, late = sum(w), total * walk.late
      assert.is_true(run:has_ended(), run.id .. " does not end")
      if run.state == "completed" then
        assert.is_true(taken >= total and taken <= total + late, "taken: " .. taken)
      else
        assert.is_true(taken <= sum(w, "redeem") + late, "taken: " .. taken)
      end
    end)
  end
end)
