-- The shipped AutoPay: its days, its orders, its declines. Years pass in a fraction of a second. The stories of
-- tests/flows/autopay_spec.lua also hold with the runtime dying at any point.

local testing = require "mintage.testing"
local world = require "mintage.world"
local cards = world.cards

local LOST_LATER = "4000000000009904" -- registers; every later charge: reported lost
local KEYS = { ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-MMK-Mode"] = "true" }

describe("autopay", function()
  local w, run

  local function open(at) w = world.new { start = at } end

  -- Starts a subscription; `card` is entered on Paymint's page.
  local function subscribe(more, card, key)
    local input = { customer = key or "ann", name = "Ann", phone = "010-1234-5678", product = "Gym", price = "9900 KRW" }
    for name, value in pairs(more) do input[name] = value end
    run = w:start("autopay", input, { key = key or "ann" })
    if card ~= false then w:pay(run, card) end
    return run
  end

  local function order(what)
    run:signal("autopay", run.key, what)
    return w:advance "5s"
  end

  -- The payer enters another card on the page that the notice leads to.
  local function replace_card(card)
    w:post(world.sandbox .. "/paymint/autopay/manage", { customer_id = "ann" }, KEYS)
    w:pay({ customer_id = "ann" }, card)
  end

  -- The days on which was charged, as they begin in UTC: "2027-01-31".
  local function days(from, till)
    local out = {}
    for i, row in ipairs(w:ledger { kind = "charge" }) do out[i] = row.at:sub(from or 1, till or 10) end
    return out
  end

  local function prices()
    local out = {}
    for i, row in ipairs(w:ledger { kind = "charge" }) do out[i] = row.amount end
    return out
  end

  local function attempts() return #w:requests { provider = "paymint", operation = "autopay.request" } end

  describe("comes on its day:", function()
    local vectors = {
      { "2027-01-31", "month", "2027-02-28 2027-03-31 2027-04-30 2027-05-31 2027-06-30 2027-07-31" },
      { "2027-01-30", "month", "2027-02-28 2027-03-30 2027-04-30 2027-05-30 2027-06-30 2027-07-30" },
      { "2027-01-29", "month", "2027-02-28 2027-03-29 2027-04-29 2027-05-29 2027-06-29 2027-07-29" },
      { "2028-01-31", "month", "2028-02-29 2028-03-31 2028-04-30 2028-05-31 2028-06-30 2028-07-31" },
      { "2026-10-31", "month", "2026-11-30 2026-12-31 2027-01-31 2027-02-28 2027-03-31 2027-04-30" },
      { "2028-02-29", "year", "2029-02-28 2030-02-28 2031-02-28 2032-02-29" },
      { "2027-01-31", "3 months", "2027-04-30 2027-07-31 2027-10-31 2028-01-31" },
      { "2027-02-15", "2 weeks", "2027-03-01 2027-03-15 2027-03-29" },
      { "2027-02-27", "day", "2027-02-28 2027-03-01 2027-03-02" },
    }
    for _, vector in ipairs(vectors) do
      local first, every, later = table.unpack(vector)
      it(("from %s every %s"):format(first, every), function()
        open(first .. "T00:00:00Z")
        subscribe({ every = every, start = first .. "T09:00", zone = "UTC" })
        w:wait_for(function() return run.progress.next_charge and w:now():sub(1, 10) >= later:sub(-10) end, "1500d")
        w:advance "12h"
        assert.equal(first .. " " .. later, table.concat(days(), " "))
      end)
    end

    it("half past midnight in Seoul is the day before in London, and the 31st all the same", function()
      open "2027-01-30T00:00:00Z"
      subscribe({ every = "month", start = "2027-01-31T00:30" })
      w:advance "95d"
      assert.same({ "2027-01-30T15:30", "2027-02-27T15:30", "2027-03-30T15:30", "2027-04-29T15:30" }, days(1, 16))
    end)

    it("nine o'clock in New York stays nine o'clock when the clocks change", function()
      open "2027-02-10T00:00:00Z"
      subscribe({ every = "month", start = "2027-02-14T09:00", zone = "America/New_York" })
      w:advance "300d"
      assert.equal("2027-02-14T14:00", days(1, 16)[1])
      for month = 2, 9 do assert.equal("T13:00", days(11, 16)[month]) end
      assert.equal("2027-11-14T14:00", days(1, 16)[10])
    end)

    it("a time that the clocks skip is an hour later, that once", function()
      open "2027-02-10T00:00:00Z"
      subscribe({ every = "month", start = "2027-02-14T02:30", zone = "America/New_York" })
      w:advance "70d" -- on 14 March there is no half past two
      assert.same({ "2027-02-14T07:30", "2027-03-14T07:30", "2027-04-14T06:30" }, days(1, 16))
    end)

    it("a time that comes twice is charged once", function()
      open "2027-10-05T00:00:00Z"
      subscribe({ every = "month", start = "2027-10-07T01:30", zone = "America/New_York" })
      w:advance "70d" -- on 7 November there are two half past ones
      assert.same({ "2027-10-07T05:30", "2027-11-07T05:30", "2027-12-07T06:30" }, days(1, 16))
    end)
  end)

  describe("begins", function()
    before_each(function() open "2027-01-31T01:00:00Z" end)

    it("as soon as there is a card, and charges the same time of day from then on", function()
      subscribe({ every = "month" }, false)
      run:wait_for "waiting"
      assert.equal("registering", run.progress.status)
      w:advance "30h"
      w:pay(run)
      w:advance "60d"
      assert.same({ "2027-02-01", "2027-03-01", "2027-04-01" }, days())
    end)

    it("when its trial is over", function()
      subscribe { every = "month", trial = "14 days" }
      w:advance "13d"
      assert.not_charged(w)
      assert.truthy(run.progress.next_charge:find("2027-02-14", 1, true))
      w:advance "2d"
      assert.same({ "2027-02-14" }, days())
    end)

    it("not, when nobody registers a card within a week", function()
      subscribe({ every = "month" }, false)
      assert.failed(run:wait "8d", "not_registered")
    end)

    it("not, when it is cancelled before", function()
      subscribe({ every = "month" }, false)
      run:wait_for "waiting"
      order { cancel = "now" }
      assert.completed(run)
    end)

    it("not, with an input that could not be charged", function()
      for field, wrong in pairs { price = "9.90 USD", zone = "Asia/Soul", every = "moon", grace = "soon", start = "2027-02-29" } do
        assert.has.error(function() subscribe({ every = "month", [field] = wrong }, false, "wrong-" .. field) end)
      end
    end)

    it("with the card that the payer has already", function()
      subscribe({ every = "month" })
      w:advance "1h"
      run = w:start("autopay", {
        customer = "ann", name = "Ann", phone = "010-1234-5678", product = "Pool", price = "5000 KRW", every = "week",
      }, { key = "ann-pool" })
      w:advance "1h"
      assert.same({ "9900", "5000" }, prices())
    end)
  end)

  describe("obeys:", function()
    before_each(function()
      open "2027-01-31T01:00:00Z"
      subscribe { every = "month" }
      w:advance "10d"
    end)

    it("another price is of the next bill", function()
      order { price = "12900 KRW" }
      w:advance "50d"
      assert.same({ "9900", "12900", "12900" }, prices())
    end)

    it("what falls due while it is paused is not charged, and the anchor stays", function()
      order { pause = true }
      assert.equal("paused", run.progress.status)
      assert.is_not_string(run.progress.next_charge)
      w:advance "60d" -- until 11 April
      order { resume = true }
      assert.equal("active", run.progress.status)
      w:advance "60d"
      assert.same({ "2027-01-31", "2027-04-30", "2027-05-31" }, days())
    end)

    it("a pause within a period changes nothing", function()
      order { pause = true }
      w:advance "2d"
      order { resume = true }
      w:advance "20d"
      assert.same({ "2027-01-31", "2027-02-28" }, days())
    end)

    it("it ends at the end of its period", function()
      order { cancel = "period_end" }
      assert.equal("ending", run.progress.status)
      assert.waiting(run)
      assert.completed(run:wait "20d")
      assert.same({ ended = "cancelled" }, run.output)
      assert.equal("2027-02-28", w:now():sub(1, 10))
      assert.charged_times(w, nil, 1)
    end)

    it("the end can be taken back", function()
      order { cancel = "period_end" }
      order { resume = true }
      w:advance "30d"
      assert.charged_times(w, nil, 2)
    end)

    it("it ends at once", function()
      order { cancel = "now" }
      assert.completed(run)
      w:advance "60d"
      assert.charged_times(w, nil, 1)
    end)

    it("even while it is paused", function()
      order { pause = true }
      w:advance "60d"
      order { cancel = "now" }
      assert.completed(run)
    end)

    it("cancelled as any run, it charges no more", function()
      w.allow["of money that was taken some run knows"] = true -- it was earned
      run:cancel "fraud"
      assert.cancelled(run:wait "1h")
      w:advance "60d"
      assert.charged_times(w, nil, 1)
    end)

    it("a page for another card", function()
      local before = run.progress.card_url
      order { card = "page" }
      assert.not_equal(before, run.progress.card_url)
    end)

    it("orders that make no sense are told and not followed", function()
      for _, wrong in ipairs { { price = "cheap" }, { price = "9.90 USD" }, { cancel = "soon" }, "pause", { pauze = true } } do
        order(wrong)
      end
      w:advance "20d"
      assert.same({ "9900", "9900" }, prices())
    end)
  end)

  describe("when the card is declined", function()
    local function declined(card, more)
      open "2027-01-31T01:00:00Z"
      local input = { every = "month" }
      for name, value in pairs(more or {}) do input[name] = value end
      subscribe(input, card)
      w:wait_for(function() return run.progress.status == "past_due" end, "1h")
    end

    it("tries again by its schedule, and ends unpaid when grace is over", function()
      declined(cards.dies_later)
      run:wait "20d"
      assert.failed(run, "unpaid")
      assert.equal(4, attempts())
      assert.equal(4, #w:runs { flow = "notify", state = "completed" })
      assert.equal("2027-02-14", w:now():sub(1, 10))
      assert.not_charged(w)
    end)

    it("goes by its own schedule", function()
      declined(cards.dies_later, { retries = { "1h" }, grace = "2d" })
      run:wait "3d"
      assert.failed(run, "unpaid")
      assert.equal(2, attempts())
    end)

    it("is paid by a later attempt, and its days stay", function()
      open "2027-01-31T01:00:00Z"
      w:fault { provider = "paymint", operation = "autopay.request", fault = "error=9999", times = 2 }
      subscribe { every = "month" }
      w:advance "50d"
      assert.same({ "2027-02-04", "2027-02-28" }, days())
      assert.equal("active", run.progress.status)
    end)

    it("does not ask a lost card again, but the next one at once", function()
      declined(LOST_LATER)
      w:advance "10d"
      assert.equal(1, attempts())
      replace_card()
      w:advance "7h"
      assert.equal(2, attempts())
      assert.charged_times(w, nil, 1)
      w:advance "30d"
      assert.charged_times(w, nil, 2)
    end)

    it("ends unpaid when no other card comes", function()
      declined(LOST_LATER)
      run:wait "20d"
      assert.failed(run, "unpaid")
      assert.equal(1, attempts())
    end)

    it("is told of a new card at once", function()
      declined(LOST_LATER)
      w:advance "3d"
      replace_card()
      order { card = "changed" }
      assert.charged_times(w, nil, 1)
    end)

    it("keeps the bill's price, and can be cancelled", function()
      declined(cards.dies_later)
      order { price = "12900 KRW" }
      replace_card()
      w:advance "7h"
      assert.same({ "9900" }, prices())
      w:advance "30d"
      assert.same({ "9900", "12900" }, prices())
      replace_card(cards.dies_later)
      w:advance "31d"
      assert.equal("past_due", run.progress.status)
      order { cancel = "now" }
      assert.completed(run)
    end)

    it("waits, when it is our balance that is short, and counts nothing against the payer", function()
      open "2027-01-31T01:00:00Z"
      w:balance("paymint", 0)
      subscribe { every = "month", grace = "1d" }
      w:advance "3d"
      assert.waiting(run)
      w:balance("paymint", 100000)
      w:advance "7h"
      assert.charged_times(w, nil, 1)
    end)
  end)

  it("refuses before it starts what Paymint would refuse later", function()
    w = world.new { start = "2027-01-31T01:00:00Z" }
    local input = { customer = "ann", name = "Ann", phone = "", product = "Gym", price = "9900 KRW", every = "month" }
    local function refused(name, value, words)
      local given = {}
      for field, is in pairs(input) do given[field] = is end
      given[name] = value
      local ok, why = pcall(w.start, w, "autopay", given)
      assert.is_false(ok, value)
      assert.matches(name .. ": ", tostring(why), 1, true)
      assert.matches(words or "", tostring(why), 1, true)
    end
    for _, phone in ipairs { "", "02-1234-5678", "021234567", "0101234", "011-1234-5678", "010-1234-56789", "+1 10 1234 5678" } do
      refused("phone", phone, "a Korean mobile number, as in 010-1234-5678")
    end
    for _, phone in ipairs { "01012345678", "1012345678", "+82-10-1234-5678", "8201012345678", "(+82) 010.1234.5678" } do
      input.phone = phone
      assert.is_string(w:start("autopay", input).id)
    end
    refused("customer", "ann lee")
    refused("name", "")
    refused("product", ("x"):rep(256))
  end)

  it("goes by the settings where a subscription says nothing, and finds their slips when it is loaded", function()
    w = world.new {
      start = "2027-01-31T01:00:00Z", config = { settings = { autopay = { retries = { "2h" }, grace = "1d", zone = "UTC" } } },
    }
    subscribe({ every = "month" }, cards.dies_later)
    run:wait "2d"
    assert.failed(run, "unpaid")
    assert.equal(2, attempts())
  end)

  it("does not load with settings that would be a slip years later", function()
    local slips = {
      ["2 hourz"] = { autopay = { retries = { "2 hourz" } } }, ["autopay has no \"retrys\""] = { autopay = { retrys = {} } },
      ["autopay.grace: wanted something like \"14d\", found 14"] = { autopay = { grace = 14 } },
      ["autopay.catch_up"] = { autopay = { catch_up = "onec" } }, ["\"soon\""] = { autopay_mintro = { grace = "soon" } },
      ["reconcile has no \"day\""] = { reconcile = { day = 3 } },
    }
    for text, settings in pairs(slips) do
      local ok, why = pcall(world.new, { config = { settings = settings } })
      assert.is_false(ok, text)
      assert.matches(text, tostring(why), 1, true)
    end
  end)

  it("tells the payer of every decline, and which attempt is the last", function()
    local flows = testing.shipped("autopay", { ["notify.lua"] = [[
      local flow = require "mintage.flow"
      return flow.define {
        name = "notify", input = { event = "string", data = "any" }, run = function(notice) return notice end,
      }
    ]] })
    w = world.new { start = "2027-01-31T01:00:00Z", flows = flows }
    subscribe({ every = "month" }, cards.dies_later)
    run:wait "20d"
    local notices = {}
    for _, notice in ipairs(w:runs { flow = "notify" }) do table.insert(notices, 1, notice.input.data) end
    assert.equal(4, #notices)
    for i, last in ipairs { false, false, true, false } do
      assert.equal("ann", notices[i].subscription)
      assert.equal(last, notices[i].last_attempt)
      assert.truthy(notices[i].card_url)
      assert.truthy(notices[i].ends:find("2027-02-14", 1, true))
    end
    assert.truthy(notices[1].next_attempt:find("2027-02-01", 1, true))
    assert.is_nil(notices[4].next_attempt)
  end)

  it("goes on with newer code from its next period", function()
    local flows = testing.shipped "autopay"
    w = world.new { start = "2027-01-31T01:00:00Z", flows = flows }
    subscribe { every = "month" }
    w:advance "10d"
    local before = run.generation
    local newer = flows["autopay.lua"]:gsub('product_nm = sub%.product', 'product_nm = sub.product .. " (new)"')
    assert(w:reload(testing.shipped("autopay", { ["autopay.lua"] = newer })))
    w:advance "10d"
    assert.equal(before, run.generation)
    w:advance "45d"
    assert.not_equal(before, run.generation)
    local names = {}
    for i, request in ipairs(w:requests { operation = "autopay.request" }) do names[i] = request.body.product_nm end
    assert.same({ "Gym", "Gym", "Gym (new)" }, names)
  end)
end)
