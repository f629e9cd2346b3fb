-- Flows that bill through Paymint, while answers are lost and processes die.

local testing = require "mintage.testing"
local lfs = require "lfs"

local PRO = { ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-MMK-Mode"] = "true" }
local ACKNOWLEDGED = '{"code":"0000","msg":"성공하였습니다."}'

local flows = {
  ["bill.lua"] = [[
    local flow = require "mintage.flow"
    local paymint = require "mintage.paymint"
    return flow.define {
      name = "bill",
      input = { price = "money", id = "string?", phone = "string?" },
      run = function(order)
        local bill = paymint.bills.request {
          product_nm = "Coaching", message = "결제해 주세요.", member_nm = "홍길동", phone = order.phone or "010-1234-5678",
          price = order.price, expire_dt = "2099-01-01", bill_id = order.id,
        }
        flow.undo(paymint.bills.release, { bill_id = bill.bill_id })
        flow.progress { bill_id = bill.bill_id, url = bill.shortURL }
        local settled = paymint.bills.settled(bill.bill_id, "24h")
        return { bill_id = bill.bill_id, state = settled and settled.appr_state, price = settled and settled.appr_price }
      end,
    }]],
  ["membership.lua"] = [[
    local flow = require "mintage.flow"
    local paymint = require "mintage.paymint"
    return flow.define {
      name = "membership",
      input = { customer = "string", price = "money", cycles = "integer" },
      run = function(sub)
        local bills = {}
        for i = 1, sub.cycles do
          local bill, err = flow.try(paymint.autopay.request, {
            customer_id = sub.customer, product_nm = "Membership " .. i, price = sub.price,
          })
          if not bill then flow.fail("unpaid", err) end
          bills[i] = bill.bill_id
          flow.progress { paid = i }
        end
        return { bills = bills }
      end,
    }]],
  ["tidy.lua"] = [[
    local flow = require "mintage.flow"
    local paymint = require "mintage.paymint"
    return flow.define {
      name = "tidy",
      input = { bill = "string", price = "money", how = "string" },
      run = function(order)
        local given = { bill_id = order.bill, price = order.price }
        if order.how == "resend" then given.price = nil end
        local done, err = flow.try(paymint.bills[order.how], given)
        return { code = done and done.code, kind = err and err.kind, wire = err and err.code }
      end,
    }]],
}

describe("flows that bill through Paymint", function()
  local runtime, sandbox

  setup(function()
    runtime, sandbox = testing.pair { flows = testing.flows(flows) }
    testing.wait_until(function() return sandbox:http("GET", "/_sandbox/endpoints").json.paymint end, "callbacks come")
  end)
  teardown(testing.clean_up)

  local function charges(bill)
    return sandbox:http("GET", "/_sandbox/ledger?provider=paymint&kind=charge&reference=" .. bill).json.data
  end
  -- How often this payer was charged.
  local function charged(customer)
    local times = 0
    for _, entry in ipairs(sandbox:http("GET", "/_sandbox/ledger?provider=paymint&kind=charge").json.data) do
      times = times + (entry.customer_id == customer and 1 or 0)
    end
    return times
  end
  local function requests(operation, reference)
    local path = "/_sandbox/requests?operation=" .. operation .. "&reference=" .. reference
    return sandbox:http("GET", path).json.data
  end
  local function arm(operation, fault, times)
    local body = { match = { provider = "paymint", operation = operation }, fault = fault, times = times or 1 }
    local armed = sandbox:http("POST", "/_sandbox/faults", body)
    assert.equal(201, armed.status, armed.body)
    return function()
      for _, row in ipairs(sandbox:http("GET", "/_sandbox/faults").json.data) do
        if row.id == armed.json.id then return row.consumed end
      end
    end
  end
  local function member(id, card)
    local body = { customer_id = id, member_nm = "A", phone = "01012345678" }
    assert.equal("0000", sandbox:http("POST", "/paymint/autopay/register", body, PRO).json.code)
    local paid = sandbox:http("POST", "/_sandbox/pay", { customer_id = id, card = card or "4242424242424242" })
    assert.equal("succeeded", paid.json.status)
  end
  local function read(bill) return sandbox:http("POST", "/paymint/read", { bill_id = bill }, PRO).json end

  it("wait for the payer, and believe what they read", function()
    local run = runtime:run("bill", { price = "50000 KRW" }, { key = "wait-1" })
    run = runtime:wait_for(run.id, "waiting")
    local id = run.progress.bill_id
    assert.matches("^%x+$", id)
    assert.equal(20, #id)
    local lie = { bill_id = id, appr_state = "F", appr_num = "1", apikey = "x" }
    local answer = runtime:http("POST", "/webhooks/paymint", lie)
    assert.equal(200, answer.status)
    assert.equal(ACKNOWLEDGED, answer.body)
    testing.wait_until(function() return #requests("bills.read", id) >= 2 end, "the runtime has looked")
    assert.equal("waiting", runtime:wait_for(run.id, "waiting").state)
    assert.equal(200, sandbox:http("POST", "/_sandbox/pay", { bill_id = id, card = "4242424242424242" }).status)
    run = runtime:wait_for(run.id, "completed")
    assert.same({ bill_id = id, state = "F", price = "50000 KRW" }, run.output)
    testing.wait_until(function()
      return sandbox:http("GET", "/_sandbox/webhooks?provider=paymint").json.data[1].state == "delivered"
    end, "the callback is acknowledged")
    for _, body in ipairs { "x", "{}", '{"bill_id":"A","appr_state":"Q"}' } do
      assert.equal(400, runtime:http("POST", "/webhooks/paymint", body).status)
    end
    for _, path in ipairs { "/v1/events?key=" .. id, "/v1/runs/" .. run.id .. "/journal" } do
      assert.is_nil(runtime:api("GET", path).body:find("paymint_test_key", 1, true))
    end
  end)

  it("send one bill when the answer is lost", function()
    for i, fault in ipairs { "drop_response", "malformed", "truncate" } do
      local id = "LOST" .. i
      local consumed = arm("bills.request", fault)
      local run = runtime:run("bill", { price = "7000 KRW", id = id }, { key = id })
      run = runtime:wait_for(run.id, "waiting")
      assert.equal(1, consumed())
      assert.equal(id, run.progress.bill_id)
      assert.equal(1, #requests("bills.request", id))
      assert.is_true(#requests("bills.read", id) > 0)
    end
  end)

  it("send it again when it never arrived", function()
    local consumed = arm("bills.request", "reset")
    local run = runtime:run("bill", { price = "7000 KRW", id = "RESET" }, { key = "RESET" })
    runtime:wait_for(run.id, "waiting")
    assert.equal(1, consumed())
    assert.equal(1, #sandbox:http("GET", "/_sandbox/ledger?kind=fee&reference=RESET").json.data)
  end)

  it("charge AutoPay once a cycle when answers are lost", function()
    member "lost-1"
    local consumed = arm("autopay.request", "drop_response", 3)
    local run = runtime:run("membership", { customer = "lost-1", price = "9900 KRW", cycles = 3 }, { key = "lost-1" })
    run = runtime:wait_for(run.id, "completed")
    assert.equal(3, consumed())
    assert.equal(3, #run.output.bills)
    for _, bill in ipairs(run.output.bills) do
      assert.equal(1, #charges(bill))
      assert.equal("F", read(bill).appr_state)
    end
    assert.equal(3, charged("lost-1"))
  end)

  it("charge once when a broken upstream says nothing", function()
    member "broken-1"
    arm("autopay.request", "error=5000", 2)
    local run = runtime:run("membership", { customer = "broken-1", price = "9900 KRW", cycles = 1 }, { key = "broken-1" })
    run = runtime:wait_for(run.id, "completed")
    assert.equal(1, #charges(run.output.bills[1]))
  end)

  it("charge once when the runtime dies in the middle", function()
    member "killed-1"
    arm("autopay.request", "slow=3000")
    local run = runtime:run("membership", { customer = "killed-1", price = "9900 KRW", cycles = 1 }, { key = "killed-1" })
    testing.wait_until(function() return charged("killed-1") == 1 end, "the charge is under way")
    runtime:kill() -- it has not heard of it
    runtime:launch()
    run = runtime:wait_for(run.id, "completed")
    assert.equal(1, #charges(run.output.bills[1]))
    assert.equal(1, charged("killed-1"))
  end)

  it("hear of declines", function()
    member("declined-1", "4000000000000341")
    local run = runtime:run("membership", { customer = "declined-1", price = "9900 KRW", cycles = 1 }, { key = "declined-1" })
    run = runtime:wait_for(run.id, "failed")
    assert.equal("unpaid", run.error.kind or run.error.code)
  end)

  it("undo by the state of the bill", function()
    local run = runtime:run("bill", { price = "1000 KRW" }, { key = "undo-1" })
    run = runtime:wait_for(run.id, "waiting")
    runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel")
    runtime:wait_for(run.id, "cancelled")
    assert.equal("D", read(run.progress.bill_id).appr_state)

    -- Paid, without anybody having told the runtime.
    sandbox:http("POST", "/_sandbox/faults", { match = { provider = "paymint", event = "bill.paid" }, fault = "lose" })
    run = runtime:run("bill", { price = "2000 KRW" }, { key = "undo-2" })
    run = runtime:wait_for(run.id, "waiting")
    sandbox:http("POST", "/_sandbox/pay", { bill_id = run.progress.bill_id })
    runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel")
    runtime:wait_for(run.id, "cancelled")
    assert.equal("C", read(run.progress.bill_id).appr_state)
    local voids = sandbox:http("GET", "/_sandbox/ledger?kind=void&reference=" .. run.progress.bill_id).json.data
    assert.equal(1, #voids)
  end)

  it("give back what was paid between the read and the destruction", function()
    local run = runtime:wait_for(runtime:run("bill", { price = "2500 KRW" }, { key = "undo-3" }).id, "waiting")
    local id = run.progress.bill_id
    local function reads() return #sandbox:http("GET", "/_sandbox/requests?operation=bills.read&limit=1000").json.data end
    local before = reads()
    arm("bills.read", "slow=1500")
    runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel")
    testing.wait_until(function() return reads() > before end, "the bill is read")
    sandbox:http("POST", "/_sandbox/pay", { bill_id = id })
    runtime:wait_for(run.id, "cancelled")
    assert.equal("C", read(id).appr_state)
    assert.equal(1, #sandbox:http("GET", "/_sandbox/ledger?kind=void&reference=" .. id).json.data)
  end)

  it("give back once when the answer is lost", function()
    for i, how in ipairs { "cancel", "destroy" } do
      local id = "TIDY" .. i
      sandbox:http("POST", "/paymint/request", {
        product_nm = "x", message = "x", member_nm = "x", phone = "01012345678", price = 3000, expire_dt = "2099-01-01",
        bill_id = id,
      }, PRO)
      if how == "cancel" then sandbox:http("POST", "/_sandbox/pay", { bill_id = id }) end
      arm("bills." .. how, "drop_response")
      local run = runtime:run("tidy", { bill = id, price = "3000 KRW", how = how }, { key = id })
      assert.same({ code = "0000" }, runtime:wait_for(run.id, "completed").output)
      assert.equal(how == "cancel" and "C" or "D", read(id).appr_state)
      run = runtime:run("tidy", { bill = id, price = "3000 KRW", how = how }, { key = id .. "b" })
      assert.same(how == "cancel" and { kind = "conflict", wire = "9970" } or { kind = "not_found", wire = "9980" },
        runtime:wait_for(run.id, "completed").output)
    end
  end)

  it("leave a message whose sending is not known to a person", function()
    sandbox:http("POST", "/paymint/request", {
      product_nm = "x", message = "x", member_nm = "x", phone = "01012345678", price = 3000, expire_dt = "2099-01-01",
      bill_id = "AGAIN",
    }, PRO)
    arm("bills.resend", "drop_response")
    local run = runtime:run("tidy", { bill = "AGAIN", price = "3000 KRW", how = "resend" }, { key = "again" })
    runtime:wait_for(run.id, "needs_attention")
    assert.equal(1, #requests("bills.resend", "AGAIN"))
  end)

  it("see both kinds of 402", function()
    sandbox:http("POST", "/_sandbox/balance", { provider = "paymint", balance = 0 })
    local run = runtime:run("bill", { price = "1000 KRW" }, { key = "points-1" })
    run = runtime:wait_for(run.id, "failed")
    assert.equal("insufficient_funds", run.error.kind)
    sandbox:http("POST", "/_sandbox/balance", { provider = "paymint", balance = 10000000 })
    arm("bills.request", "error=402")
    run = runtime:run("bill", { price = "1000 KRW" }, { key = "points-2" })
    run = runtime:wait_for(run.id, "failed")
    assert.equal("permission", run.error.kind)
    run = runtime:run("bill", { price = "1000 KRW", phone = "02-123-4567" }, { key = "phone" })
    run = runtime:wait_for(run.id, "failed", "needs_attention")
    assert.matches("Korean mobile number", run.error.message)
  end)

  it("keep the key of callbacks nowhere", function()
    local run = runtime:run("bill", { price = "1000 KRW" }, { key = "key" })
    run = runtime:wait_for(run.id, "waiting")
    sandbox:http("POST", "/_sandbox/pay", { bill_id = run.progress.bill_id })
    runtime:wait_for(run.id, "completed")
    runtime:stop()
    local looked = 0
    local function search(dir)
      for name in lfs.dir(dir) do
        local path = dir .. "/" .. name
        if name ~= "." and name ~= ".." and lfs.attributes(path, "mode") == "directory" then
          search(path)
        elseif name ~= "." and name ~= ".." then
          looked = looked + 1
          assert.is_nil(testing.read(path):find("paymint_test_key", 1, true), path)
        end
      end
    end
    search(runtime.data)
    assert.is_true(looked > 0)
    assert.is_nil(testing.read(runtime.log):find("paymint_test_key", 1, true))
  end)
end)
