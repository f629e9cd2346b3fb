-- Kill -9, again and again, while customers order and pay: every checkout completes, and nobody is charged twice.
-- CRASH_RUNS, CRASH_KILLS and CRASH_SEED say how many, how often, and which luck; see tests/crash/crash.sh.

local testing = require "mintage.testing"
local json = testing.json

local RUNS = math.tointeger(os.getenv "CRASH_RUNS") or 60
local KILLS = math.tointeger(os.getenv "CRASH_KILLS") or 8
local SEED = math.tointeger(os.getenv "CRASH_SEED") or os.time()
local AT_ONCE = 16
local CARD = "4242424242424242"

describe(("%d checkouts, %d kills, seed %d"):format(RUNS, KILLS, SEED), function()
  local runtime, sandbox, kills

  before_each(function()
    math.randomseed(SEED)
    runtime, sandbox = testing.pair { flows = "flows" }
    kills = 0
  end)
  after_each(testing.clean_up)

  -- Lets the runtime die within the next moments, while act() is under way; starts it again afterwards.
  local function shaken(share, act)
    local due = kills < KILLS and math.random() < share
    if due then runtime.process:signal_after(math.random(0, 40), 9) end
    act()
    if not due then return end
    assert(select(2, runtime.process:wait(5000)) == 9, "the runtime ended by itself: " .. testing.read(runtime.log))
    runtime.process:close()
    runtime:launch()
    kills = kills + 1
  end

  -- Carries out one request for each item, AT_ONCE together, until done(item, response) has been true for all.
  local function for_all(items, share, request, done)
    local open = { table.unpack(items) }
    testing.wait_until(function()
      local batch, rest, requests = {}, {}, {}
      for i, item in ipairs(open) do
        if i <= AT_ONCE then
          batch[i], requests[i] = item, request(item)
        else
          rest[#rest + 1] = item
        end
      end
      shaken(share, function()
        for i, response in ipairs(testing.native.requests(requests)) do
          if response then response.json = json.decode(response.body) end
          if not (response and done(batch[i], response)) then rest[#rest + 1] = batch[i] end
        end
      end)
      open = rest
      return #open == 0
    end, "all is done", 300000)
  end

  local function api(method, path, body, headers)
    headers = headers or {}
    headers.Authorization = "Bearer " .. runtime.token
    return { method = method, url = runtime.url .. path, body = body and json.encode(body), headers = headers, timeout_ms = 10000 }
  end

  local function checkouts()
    local orders = {}
    for i = 1, RUNS do orders[i] = { reference = ("ORDER-%d"):format(i), cents = 100 + i } end
    local share = 1.5 * KILLS * AT_ONCE / (3 * RUNS)

    for_all(orders, share, function(order)
      local amount = ("%d.%02d USD"):format(order.cents // 100, order.cents % 100)
      return api("POST", "/v1/flows/checkout/runs", {
        reference = order.reference, amount = amount, email = "ann@example.com", name = "Ann",
        items = json.array { { name = "Coffee", quantity = 1, price = amount } },
      }, { ["Idempotency-Key"] = order.reference })
    end, function(order, response)
      order.run = (response.status == 200 or response.status == 201) and response.json.id
      return order.run
    end)

    for_all(orders, share, function(order) return api("GET", "/v1/runs/" .. order.run) end, function(order, response)
      order.intent = response.status == 200 and response.json.progress.intent_id
      return order.intent
    end)

    for_all(orders, share, function(order)
      return {
        method = "POST", url = sandbox.url .. "/_sandbox/pay", headers = { ["Content-Type"] = "application/json" },
        body = json.encode { intent_id = order.intent, card = CARD },
      }
    end, function(_, response) return response.status == 200 or response.status == 409 end)

    while kills < KILLS do shaken(1, function() end) end
    testing.advance(sandbox, "10m") -- webhooks that met a dead runtime come again, and the runtime asks by itself

    for_all(orders, 0, function(order) return api("GET", "/v1/runs/" .. order.run) end, function(order, response)
      local state = response.status == 200 and response.json.state
      assert(state ~= "failed" and state ~= "needs_attention" and state ~= "cancelled", response.body)
      if state == "completed" then assert.same({ intent_id = order.intent, status = "succeeded" }, response.json.output) end
      return state == "completed"
    end)
    return orders
  end

  local function judge(orders)
    local charges = {}
    for _, movement in ipairs(sandbox:http("GET", "/_sandbox/ledger?limit=10000").json.data) do
      if movement.kind == "charge" then charges[movement.reference] = (charges[movement.reference] or 0) + 1 end
    end
    for _, order in ipairs(orders) do
      assert.equal(1, charges[order.reference] or 0, order.reference .. " was not charged exactly once")
      charges[order.reference] = nil
    end
    assert.is_nil(next(charges), "charged without an order")
    assert.equal(0, #runtime:api("GET", "/v1/runs?state=running").json.data)
    assert.equal(KILLS, kills)
  end

  it("charge each order exactly once", function() judge(checkouts()) end)

  it("charge each order exactly once although answers get lost", function()
    local fault = sandbox:http("POST", "/_sandbox/faults", {
      match = { provider = "mintro", operation = "intents.create" }, fault = "drop_response", times = RUNS // 3,
    })
    assert.equal(201, fault.status, fault.body)
    judge(checkouts())
    local armed = sandbox:http("GET", "/_sandbox/faults").json.data
    assert.equal(RUNS // 3, armed[1].consumed)
  end)
end)
