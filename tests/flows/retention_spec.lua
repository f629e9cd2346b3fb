-- Retention: what has been kept long enough goes, and what idempotency and money need stays.
--   mintage test tests/flows/retention_spec.lua --crash

local world = require "mintage.world"

local ORDER = {
  reference = "ORDER-1", amount = "80.00 USD", email = "ann@example.com", name = "Ann",
  items = { { name = "Coffee", quantity = 2, price = "40.00 USD" } },
}

local METER = [[
local collection = require "mintage.collection"
local flow = require "mintage.flow"
local readings = collection.define("readings", { keep = "5d" })

flow.define {
  name = "meter",
  input = { id = "string", day = "integer" },
  run = function(input)
    local cancel = flow.await("meter", input.id, { within = "1d" })
    readings:put { id = input.id .. "-" .. input.day, day = input.day }
    if cancel and cancel.stop then return { meter_id = input.id, days = input.day } end
    flow.continue { id = input.id, day = input.day + 1 }
  end,
}

flow.define {
  name = "broken",
  input = {},
  run = function() error "a bug" end,
}

flow.define {
  name = "note",
  input = { text = "string" },
  run = function(input) return { status = "noted", note_id = "n-1", text = input.text } end,
}

flow.define {
  name = "order",
  input = { id = "string" },
  run = function(input)
    flow.progress { order_id = input.id, name = "Ann" }
    local paid = flow.await("order", input.id, { within = "1h" })
    if not paid then flow.fail("expired", "nobody paid for Ann's order") end
    return { order_id = input.id, status = "paid" }
  end,

  late = function(event) return { order_id = event.run.progress.order_id, state = event.run.state } end,
}
]]

local function metric(w, name)
  local text = w:look_at_text "/metrics"
  local _, at = text:find("\n" .. name .. " ", 1, true)
  return tonumber(text:match("^%d+", at + 1))
end

-- Counters begin anew with each life of the runtime.
local function was_hurt(w) return select(2, w.raw:points()) > 0 end

describe("retention", function()
  local function open(config, flows)
    return world.new { config = config or { retain = "30d" }, flows = flows or { ["meter.lua"] = METER } }
  end

  it("makes a tombstone of a paid checkout, and its key starts nothing twice", function()
    local w = world.new { config = { retain = "30d" } }
    local run = w:start("checkout", ORDER, { key = "order-1" })
    w:pay(run)
    assert.completed(run:wait "2h")
    local intent = run.output.intent_id
    w:advance "29d"
    assert.equal("ann@example.com", run.input.email)
    w:advance "3d"
    assert.truthy(run.tombstone_since)
    assert.equal("completed", run.state)
    assert.equal("order-1", run.key)
    assert.equal(intent, run.output.intent_id)
    assert.is_nil(run.input)
    assert.same({}, run:journal())
    assert.matches("A tombstone since", run:story(), 1, true)
    assert.is_nil(run:story():find("ann@example.com", 1, true))
    assert.equal(404, w:api("GET", "/v1/runs/" .. run.id .. "/travel").status)
    assert.equal(409, w:api("POST", "/v1/runs/" .. run.id .. "/cancel", {}).status)
    local page = w:get(run.checkout_url)
    assert.is_true(not page or page.status == 200) -- the runtime may be down just now

    local again = w:start("checkout", ORDER, { key = "order-1" })
    assert.equal(run.id, again.id)
    local other = w:api("POST", "/v1/flows/checkout/runs", { reference = "ORDER-2", amount = "1.00 USD",
      email = "b@example.com", name = "B", items = ORDER.items }, { ["Idempotency-Key"] = "order-1" })
    assert.equal(422, other.status)
    w:advance "1d"
    assert.charged_once(w, "ORDER-1", "80.00 USD")
  end)

  it("gives money back of a tombstone, found by its key", function()
    local w = world.new { config = { retain = "30d" } }
    local run = w:start("checkout", ORDER, { key = "order-1" })
    w:pay(run)
    assert.completed(run:wait "2h")
    w:advance "40d"
    assert.truthy(run.tombstone_since)
    local found = w:start("refund", { payment = "order-1" })
    found:wait "3h"
    -- Mintro has no refunds: what matters is that the payment was found.
    assert.not_equal("not_found", found.error and found.error.kind)
  end)

  it("does not lose an event that comes for a tombstone", function()
    local w = open()
    local run = w:start("order", { id = "o-1" })
    assert.failed(run:wait "2h", "expired")
    w:advance "40d"
    assert.truthy(run.tombstone_since)
    assert.is_nil(run.progress.name)
    assert.equal("expired", run.error.kind)
    assert.is_nil(run:story():find("Ann", 1, true))
    local other = w:start("meter", { id = "m-1", day = 1 })
    other:signal("order", "o-1", { paid = true })
    local late = w:wait_for(function() return w:runs { flow = "order.late" }[1] end)
    assert.completed(late:wait())
    assert.equal("o-1", late.output.order_id)
    assert.equal("failed", late.output.state)
  end)

  it("drops journals of segments that are over, and the run goes on", function()
    local w = open { retain = "5d" }
    local run = w:start("meter", { id = "m-1", day = 1 })
    w:advance "9d"
    assert.truthy(run.segment >= 8)
    assert.truthy(run.segments_dropped >= 2)
    local first = run:journal()[1]
    assert.truthy(first.segment >= run.segments_dropped)
    assert.matches("their journals were dropped", run:story(), 1, true)
    assert.truthy(w:look_at("/v1/runs/" .. run.id .. "/journal?segment=0").data[1] == nil)
    run:signal("meter", "m-1", { stop = true })
    assert.completed(run:wait "2d")
    assert.equal(run.segment + 1, run.output.days)
    w:advance "7d"
    assert.truthy(run.tombstone_since)
    assert.equal("m-1", run.output.meter_id)
    assert.is_nil(run.output.days)
  end)

  it("keeps a collection as long as it says", function()
    local w = open { retain = "forever" }
    local run = w:start("meter", { id = "m-1", day = 1 })
    w:advance "8d"
    run:signal("meter", "m-1", { stop = true })
    assert.completed(run:wait "2d")
    assert.equal(0, run.segments_dropped or 0)
    if not was_hurt(w) then
      assert.truthy(metric(w, 'mintage_retention_removed_total{kind="documents"}') >= 2)
    end
  end)

  it("never drops what needs a person", function()
    local w = open()
    local run = w:start("broken", {})
    assert.needs_attention(run:wait())
    w:advance "200d"
    assert.needs_attention(run)
    assert.is_nil(run.tombstone_since)
    run:cancel()
    assert.cancelled(run:wait())
    w:advance "32d"
    assert.truthy(run.tombstone_since)
  end)

  it("keeps events that nobody has read longer, and counts them", function()
    local w = open { retain = "4d", ["retain-unread"] = "8d" }
    local run = w:start("meter", { id = "m-1", day = 1 })
    run:signal("meter", "m-1", { reading = 1 })
    run:signal("nobody", "x", {})
    w:advance "6d"
    assert.equal(1, #w:events { topic = "nobody" })
    assert.equal(0, #w:events { topic = "meter" })
    w:advance "2d"
    run:signal("meter", "m-1", { reading = 2 }) -- the newest number stays
    w:advance "2d"
    assert.equal(0, #w:events { topic = "nobody" })
    if not was_hurt(w) then
      assert.equal(1, metric(w, 'mintage_retention_removed_total{kind="unread_events"}'))
    end
  end)

  it("forgets tombstones when it is told to", function()
    local w = open { retain = "10d", ["retain-tombstones"] = "50d" }
    local run = w:start("note", { text = "a" }, { key = "n-1" })
    assert.completed(run:wait())
    w:advance "20d"
    assert.truthy(run.tombstone_since)
    w:start("note", { text = "b" }, { key = "n-2" }):wait() -- the newest start stays
    w:advance "35d"
    assert.equal(404, w:api("GET", "/v1/runs/" .. run.id).status)
    local again = w:start("note", { text = "c" }, { key = "n-1" })
    assert.completed(again:wait())
    assert.not_equal(run.id, again.id)
  end)

  it("purges when it is asked, and erases one run", function()
    local w = open { retain = "forever" }
    local ids = {}
    for i = 1, 3 do
      ids[i] = w:start("note", { text = "secret of person " .. i }, { key = "n-" .. i })
      assert.completed(ids[i]:wait())
    end
    local refused = w:api("POST", "/v1/runs/purge", {})
    assert.equal(422, refused.status)
    local would = w:api("POST", "/v1/runs/purge", { before = "0s", dry_run = true }).json
    assert.equal(3, would.runs)
    assert.truthy(would.bytes > 0)
    assert.is_nil(ids[1].tombstone_since)

    local erased = w:api("POST", "/v1/runs/" .. ids[2].id .. "/erase", {})
    assert.equal(200, erased.status)
    assert.equal(ids[2].id, erased.json.erased[1])
    assert.truthy(ids[2].tombstone_since)
    assert.equal("noted", ids[2].output.status)
    assert.is_nil(ids[2].output.text)
    assert.is_nil(ids[1].tombstone_since)

    local done = w:api("POST", "/v1/runs/purge", { before = "0s", flow = "note" })
    assert.equal(200, done.status)
    assert.truthy(ids[1].tombstone_since and ids[3].tombstone_since)
    assert.equal("n-1", ids[1].output.note_id)

    local meter = w:start("meter", { id = "m-1", day = 1 })
    meter:wait_for "waiting"
    assert.equal(409, w:api("POST", "/v1/runs/" .. meter.id .. "/erase", {}).status)
  end)

  it("lets go of the files of generations that nobody needs", function()
    local w = open { retain = "10d" }
    local run = w:start("note", { text = "a" })
    assert.completed(run:wait())
    for i = 1, 8 do
      assert(w:reload { ["meter.lua"] = METER .. "-- " .. i })
      w:advance "1h"
    end
    w:advance "20d"
    w:start("note", { text = "b" }):wait()
    w:advance "20d"
    assert.truthy(#w:look_at("/v1/generations").data <= 6)
    local last = w:start("note", { text = "c" })
    assert.completed(last:wait())
  end)
end)
