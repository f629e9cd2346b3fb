-- A year of many subscriptions at once, in virtual time: prices change, some pause, cards are declined, replaced or not,
-- Paymint's answers get lost, and the runtime dies again and again, in the middle of what it does. Afterwards each payer
-- was charged exactly what the calendar says, no day too early, and nobody twice.
--   SCALE=full build/mintage test tests/spec/autopay_year_spec.lua      1,000 subscriptions; SCALE=1: 100, but telling

local registry = require "mintage.testing.registry"
local testing = require "mintage.testing"
local world = require "mintage.world"

local SCALE = os.getenv "SCALE"
local COUNT = SCALE == "full" and 1000 or 100
local SEED = math.tointeger(tonumber(os.getenv "SEED" or "7"))
local POINTS = COUNT * 400 -- about so many are passed: deaths are spread over them
local HOUR, DAY = 3600 * 1000, 24 * 3600 * 1000
local START = 1798761600000 -- 2027-01-01T00:00:00Z
local KST = 9 * HOUR
local KEYS = { ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-MMK-Mode"] = "true" }
local GOOD, SOFT, LOST = "4242424242424242", "4000000000000341", "4000000000009904"

local drawn = SEED
local function random(n) -- 1 to n, by the seed
  drawn = (drawn * 6364136223846793005 + 1442695040888963407) & 0x7FFFFFFFFFFFFFFF
  return (drawn >> 20) % n + 1
end

-- The n-th due date of a subscription that begins on a day of January 2027, at an hour of Seoul: the oracle, which
-- shares nothing with what it judges.
local LENGTHS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
local function due(sub, n)
  local days
  if sub.every == "week" then
    days = sub.day - 1 + 7 * n
  else
    local months = n * sub.months
    days = 365 * (months // 12)
    for month = 1, months % 12 do days = days + LENGTHS[month] end
    days = days + math.min(sub.day, LENGTHS[months % 12 + 1]) - 1
  end
  return START + days * DAY + sub.hour * HOUR - KST
end

-- ---- who there is, and what will happen to them ----

local function add(sub, at, what) sub.story[#sub.story + 1] = { at = at, sub = sub, what = what } end

local function invent(i)
  local kinds = { { "month", 1 }, { "month", 1 }, { "month", 1 }, { "3 months", 3 }, { "week", 0 } }
  local kind = kinds[random(#kinds)]
  local sub = {
    id = "payer" .. i, every = kind[1], months = kind[2], day = random(31), hour = random(24) - 1, story = {},
    price = (random(300) + 20) * 100, card = GOOD,
  }
  local fate, n = random(10), 1 + random(sub.every == "week" and 20 or sub.months == 1 and 6 or 1)
  local before, after = due(sub, n) - (1 + random(70)) * HOUR, due(sub, n)
  if fate == 1 then -- another price
    sub.new_price = { n, sub.price + 1000 }
    add(sub, before, { order = { price = ("%d KRW"):format(sub.price + 1000) } })
  elseif fate == 2 then -- a pause over one due date or more
    sub.paused = { before, after + random(40) * DAY + 90 * 60000 }
    add(sub, before, { order = { pause = true } })
    add(sub, sub.paused[2], { order = { resume = true } })
  elseif fate <= 5 then -- the card goes bad; another one comes, or does not
    sub.bad = n
    add(sub, before, { card = random(2) == 1 and SOFT or LOST })
    if fate < 5 then
      local hours = random(10 * 24)
      if hours % 168 > 160 then hours = hours - 10 end -- it is noticed within six hours: before the next week's charge
      sub.replaced = after + hours * HOUR + HOUR // 2
      add(sub, sub.replaced, { card = GOOD })
    end
  elseif fate == 6 then
    sub.ends = n
    add(sub, before, { order = { cancel = "period_end" } })
  end
  return sub
end

-- What is owed until an instant: { at = the earliest, by = the latest, price }, and whether the run has ended, and how.
local function owed(sub, till)
  local bills, n, price, missed = {}, 0, sub.price, nil
  while due(sub, n) < till do
    local at = due(sub, n)
    if sub.ends == n then return bills, "completed" end
    if sub.new_price and sub.new_price[1] == n then price = sub.new_price[2] end
    local paused = sub.paused and sub.paused[1] < at and at < sub.paused[2]
    if sub.bad == n then
      if not sub.replaced then return bills, "failed" end
      bills[#bills + 1] = { at = sub.replaced, by = sub.replaced + DAY, price = price }
      missed = sub.replaced
    elseif missed and at <= missed then -- weeks that passed meanwhile are charged once, for the last
      if due(sub, n + 1) > missed then bills[#bills + 1] = { at = at, by = missed + DAY, price = price } end
    elseif not paused then
      bills[#bills + 1] = { at = at, by = at + HOUR, price = price }
    end
    n = n + 1
  end
  return bills, "waiting"
end

describe(("a year of %d subscriptions"):format(COUNT), function()
  it("charges each exactly what it owes", function()
    local began, started = os.clock(), testing.now_ms()
    registry.real_deadline = os.time() + 1800 -- more than a test has by default
    local deaths, subs, story = {}, {}, {}
    for i = 1, 60 do deaths[i] = "p" .. random(POINTS // 60) + (i - 1) * (POINTS // 60) end
    local w = world.new {
      start = "2026-12-25T00:00:00Z", seed = SEED, plan = table.concat(deaths, " "),
      allow = { "of money that was taken some run knows" }, -- asked below, of all that was taken
    }

    for i = 1, COUNT do
      local sub = invent(i)
      local order = {
        customer = sub.id, name = "Payer", phone = "010-1234-5678", product = "Membership", every = sub.every,
        price = ("%d KRW"):format(sub.price), start = ("2027-01-%02dT%02d:00"):format(sub.day, sub.hour),
      }
      sub.run = w:start("autopay", order, { key = sub.id })
      subs[i], subs[sub.id] = sub, sub
      table.move(sub.story, 1, #sub.story, #story + 1, story)
    end
    w:advance "1m"
    for _, sub in ipairs(subs) do w:pay({ customer_id = sub.id }, GOOD) end
    assert.truthy(w:now_ms() < START - KST, "all have begun before the first is due")

    for i = 1, 40 do -- answers of Paymint that get lost although it has charged, and the like
      local faults = { "drop_response", "reset", "timeout", "status=503", "malformed" }
      story[#story + 1] = { at = START + (i * 8 + random(8)) * DAY, what = { fault = faults[random(#faults)] } }
    end
    for i, event in ipairs(story) do event.place = i end
    table.sort(story, function(a, b)
      if a.at ~= b.at then return a.at < b.at end
      return a.place < b.place
    end)

    local till = START + 365 * DAY + HOUR // 2 -- all are due on the hour
    for _, event in ipairs(story) do
      if event.at >= till then break end
      if event.at > w:now_ms() then w:advance((event.at - w:now_ms()) / 1000) end
      local what = event.what
      if what.fault then
        w:fault { provider = "paymint", operation = "autopay.request", fault = what.fault }
      elseif what.order then
        event.sub.run:signal("autopay", event.sub.id, what.order)
      else
        assert(w:post(world.sandbox .. "/paymint/autopay/manage", { customer_id = event.sub.id }, KEYS).status == 200)
        w:pay({ customer_id = event.sub.id }, what.card)
      end
    end
    w:advance((till - w:now_ms()) / 1000)

    local charged, total, after = {}, 0, ""
    repeat
      local page = w:look_at(world.sandbox .. "/_sandbox/ledger?kind=charge&limit=1000&after=" .. after).data
      for _, row in ipairs(page) do
        local list = charged[row.customer_id] or {}
        charged[row.customer_id], after, total = list, row.id, total + 1
        list[#list + 1] = row
      end
    until #page < 1000

    local values = require "mintage.testing.values"
    for _, sub in ipairs(subs) do
      local bills, state = owed(sub, till - 2 * DAY)
      local list, run = charged[sub.id] or {}, sub.run
      local function blame(what)
        error(("%s (seed %d): %s\nowed: %s\ncharged: %s\n%s"):format(sub.id, SEED, what, testing.json.encode(bills),
          testing.json.encode(list), run:story()), 0)
      end
      if #list ~= #bills then
        local late = #list == #bills + 1 and values.instant(list[#list].at) > till - 2 * DAY
        if not late then blame(("owed %d charges, found %d"):format(#bills, #list)) end
      end
      for n, bill in ipairs(bills) do
        local at = values.instant(list[n].at)
        if list[n].amount ~= tostring(bill.price) then blame(("charge %d is %s"):format(n, list[n].amount)) end
        if at < bill.at or at > bill.by then blame(("charge %d came at %s"):format(n, list[n].at)) end
      end
      local found = run.state
      if found ~= state then blame(("it is %s, wanted %s"):format(found, state)) end
    end
    local points, died = w.raw:points()
    assert.truthy(died >= 30, "the runtime died " .. died .. " times")
    if SCALE then
      io.stderr:write(("%d subscriptions, %d charges, %d points, %d deaths: %.1f s, %.1f s of CPU\n"):format(COUNT, total,
        points, died, (testing.now_ms() - started) / 1000, os.clock() - began))
    end
  end)
end)
