-- The shipped AutoPay in the real program: fifty starts at once of one subscription, and a runtime that was down for forty
-- days, by each policy of catching up.

local testing = require "mintage.testing"
local json = testing.json

local function input(customer, more)
  local order = {
    customer = customer, name = "Ann", phone = "010-1234-5678", product = "Gym", price = "9900 KRW", every = "2 weeks",
  }
  for name, value in pairs(more or {}) do order[name] = value end
  return order
end

describe("autopay in the program", function()
  local runtime, sandbox

  setup(function() runtime, sandbox = testing.pair { flows = "flows" } end)
  teardown(testing.clean_up)

  local function charges(customer)
    local found = {}
    for _, row in ipairs(sandbox:http("GET", "/_sandbox/ledger?kind=charge").json.data) do
      if row.customer_id == customer then found[#found + 1] = row end
    end
    return found
  end

  local function pay(customer)
    local paid = testing.wait_until(function()
      local answer = sandbox:http("POST", "/_sandbox/pay", { customer_id = customer, card = "4242424242424242" })
      return answer.status == 200 and answer.json.status
    end, customer .. " can register a card")
    assert.equal("succeeded", paid)
  end

  it("is one subscription, however many start it at once", function()
    local many = {}
    for i = 1, 50 do
      many[i] = {
        method = "POST", url = runtime.url .. "/v1/flows/autopay/runs", body = json.encode(input "bob"),
        headers = {
          Authorization = "Bearer " .. runtime.token, ["Content-Type"] = "application/json", ["Idempotency-Key"] = "bob",
        },
      }
    end
    local created, ids = 0, {}
    for _, response in ipairs(testing.native.requests(many)) do
      assert.truthy(response)
      if response.status == 201 then created = created + 1 end
      assert.truthy(response.status == 201 or response.status == 200 or response.status == 409, response.body)
      local run = json.decode(response.body)
      if run.id then ids[run.id] = true end
    end
    assert.equal(1, created)
    local id = next(ids)
    assert.is_nil(next(ids, id))
    pay "bob"
    runtime:api("POST", "/v1/runs/" .. id .. "/signal", { topic = "autopay", key = "bob", payload = { card = "changed" } })
    testing.wait_until(function() return #charges "bob" > 0 end, "bob is charged")
    assert.equal(1, #charges "bob")
    local other = runtime:api("POST", "/v1/flows/autopay/runs", input("bob", { price = "1 KRW" }), { ["Idempotency-Key"] = "bob" })
    assert.equal(422, other.status)
  end)

  -- Forty days of two-week periods: those of day 14 and 28 are over, that of day 42 is to come.
  it("catches up after forty days as each subscription says", function()
    local runs = {}
    for _, policy in ipairs { "once", "skip", "all" } do
      local customer = "away-" .. policy
      runs[policy] = runtime:run("autopay", input(customer, { catch_up = policy }), { key = customer }).id
      pay(customer)
      runtime:api("POST", "/v1/runs/" .. runs[policy] .. "/signal",
        { topic = "autopay", key = customer, payload = { card = "changed" } })
      testing.wait_until(function() return #charges(customer) == 1 end, "the first charge of " .. customer)
      testing.wait_until(function() return runtime:get_run(runs[policy]).segment == 1 end, "its next period")
    end

    runtime:kill()
    local now = testing.advance(sandbox, "40d")
    runtime:launch()
    testing.wait_until(function() return #charges "away-once" == 2 end, "one charge for all that was missed")
    testing.wait_until(function() return runtime:get_run(runs.skip).progress.period == 3 end, "none for what was missed")
    assert.equal(1, #charges "away-skip")
    assert.equal(1, #charges "away-all") -- they do not come at once
    for n = 2, 3 do
      testing.wait_until(function()
        local run = runtime:get_run(runs.all)
        return run.state == "waiting" and run.waiting_for["until"] > now
      end, "it waits a while before it makes up for another")
      now = testing.advance(sandbox, "61m")
      testing.wait_until(function() return #charges "away-all" == n end, "a missed charge, made up for")
    end

    testing.advance(sandbox, "2d") -- day 42
    for policy, count in pairs { once = 3, skip = 2, all = 4 } do
      testing.wait_until(function() return #charges("away-" .. policy) == count end, policy .. " goes on by its days")
      testing.wait_until(function() return runtime:get_run(runs[policy]).progress.period == 4 end, "its next period")
      assert.equal(count, #charges("away-" .. policy))
    end
  end)
end)
