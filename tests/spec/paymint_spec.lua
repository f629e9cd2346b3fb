-- Paymint: the emulated gateway endpoint by endpoint, its callbacks by the clock, and flows that bill through
-- it while answers are lost and processes die.

local testing = require "mintage.testing"
local json = testing.json
local lfs = require "lfs"

local PRO = { ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-MMK-Mode"] = "true" }
local ACKNOWLEDGED = '{"code":"0000","msg":"성공하였습니다."}'

local function with(headers)
  local out = {}
  for name, value in pairs(PRO) do out[name] = value end
  for name, value in pairs(headers) do out[name] = value or nil end
  return out
end

describe("the gateway of Paymint", function()
  local sandbox, day

  setup(function()
    sandbox = testing.start("sandbox", {})
    day = sandbox:http("GET", "/_sandbox/clock").json.now:gsub("T.*", "")
    day = day:gsub("^%d+", function(year) return ("%d"):format(year + 1) end):gsub("02%-29", "02-28")
  end)
  teardown(testing.clean_up)

  local function call(method, path, body, headers)
    return assert(sandbox:http(method, "/paymint" .. path, body, headers or PRO))
  end

  local function order(more)
    local body = {
      product_nm = "Coaching session", message = "결제를 진행해 주세요.", member_nm = "홍길동", phone = "010-1234-5678",
      price = 50000, expire_dt = day,
    }
    for name, value in pairs(more or {}) do body[name] = value end
    return body
  end

  -- Sends a bill; answers its bill_id.
  local function bill(more)
    local answer = call("POST", "/request", order(more)).json
    assert.equal("0000", answer.code, answer.msg)
    return answer.bill_id, answer.shortURL
  end

  local function code(method, path, body) return call(method, path, body).json.code end
  local function read(id) return call("POST", "/read", { bill_id = id }).json end
  local function pay(body) return sandbox:http("POST", "/_sandbox/pay", body) end
  local function balance() return sandbox:http("GET", "/_sandbox/state").json.providers.paymint.balance end
  local function ledger(reference, kind)
    return sandbox:http("GET", "/_sandbox/ledger?reference=" .. reference .. "&kind=" .. kind).json.data
  end

  local function payer(id, card)
    assert.equal("0000", code("POST", "/autopay/register", { customer_id = id, member_nm = "A", phone = "01012345678" }))
    if card then assert.equal("succeeded", pay({ customer_id = id, card = card }).json.status) end
    return id
  end

  it("stands at both of its prefixes, and nowhere else", function()
    for _, prefix in ipairs { "/paymint", "/api/v1/paymint" } do
      local answer = sandbox:http("POST", prefix .. "/request", order(), PRO)
      assert.equal(200, answer.status)
      assert.equal("0000", sandbox:http("POST", prefix .. "/read", { bill_id = answer.json.bill_id }, PRO).json.code)
      local nowhere = sandbox:http("POST", prefix .. "/nowhere", {}, PRO)
      assert.equal(404, nowhere.status)
      assert.equal("not found", nowhere.json.error)
    end
  end)

  it("helps without credentials", function()
    local function of(key)
      return sandbox:http("GET", "/paymint/licenses", nil, key and { ["X-API-KEY"] = key }).json.licenses
    end
    assert.same({ "test_member", "test_merchant", "approved", "123-**-***90" }, {
      of()[1].member_id, of()[1].merchant_id, of()[1].status, of()[1].business_number,
    })
    assert.same({ 1, 1, 2, 0 }, { #of(), #of "mmk_test_basic", #of "mmk_test_multi", #of "mmk_test_none" })
    for given, wanted in pairs {
      ["010-1234-5678"] = "01012345678", ["1012345678"] = "01012345678", ["+82-10-1234-5678"] = "01012345678",
      ["8201012345678"] = "01012345678", ["021234567"] = false, ["0101234"] = false, ["01112345678"] = false,
    } do
      local answer = sandbox:http("POST", "/paymint/format-phone-number", { phone = given })
      assert.equal(wanted and 200 or 400, answer.status, given)
      assert.same(wanted and { phone = wanted, valid = true } or { error = "invalid phone number" }, answer.json)
    end
  end)

  it("checks the key, the licence, the connection, the body, the balance, in this order", function()
    local bad = { price = "x" }
    local function refused(headers, body)
      local answer = call("POST", "/request", body, headers)
      assert.is_string(answer.json.error)
      return answer.status, answer.json.error
    end
    assert.equal(401, (refused({}, bad)))
    assert.equal(401, (refused(with { ["X-API-KEY"] = "other" }, bad)))
    local status, text = refused({ ["X-API-KEY"] = "mmk_test_basic" }, bad)
    assert.equal(402, status)
    assert.matches("upgrade", text)
    assert.equal(400, (refused({ ["X-API-KEY"] = "mmk_test_key" }, bad)))
    status, text = refused(PRO, bad)
    assert.equal(400, status)
    assert.matches("^product_nm", text)
    sandbox:http("POST", "/_sandbox/balance", { provider = "paymint", balance = 54 })
    assert.equal(400, (refused(PRO, bad)))
    status, text = refused(PRO, order())
    assert.equal(402, status)
    assert.matches("balance", text)
    assert.equal(402, (refused(PRO, order { bill_id = "DUPLICATE" }))) -- before the upstream is asked
    sandbox:http("POST", "/_sandbox/balance", { provider = "paymint", balance = 10000000 })
    assert.equal(200, call("POST", "/request", order(), with { ["X-API-KEY"] = "mmk_test_paymint" }).status)
  end)

  it("picks a licence in MMK mode", function()
    for _, row in ipairs {
      { "mmk_test_none", nil, "no approved paymint licenses found" },
      { "mmk_test_multi", nil, "multiple licenses available, specify --business-number" },
      { "mmk_test_multi", "test_member", nil },
      { "mmk_test_multi", "test_member_2", nil },
      { "mmk_test_multi", "nobody", "no license found for nobody" },
      { "mmk_test_key", "nobody", "no license found for nobody" },
    } do
      local answer = call("POST", "/request", order(), with { ["X-API-KEY"] = row[1], ["X-Paymint-Member-ID"] = row[2] })
      assert.equal(row[3], answer.json.error)
      assert.equal(row[3] and 400 or 200, answer.status)
    end
  end)

  it("takes five headers in traditional mode", function()
    local five = {
      ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-Host"] = "https://erp-api.payssam.kr",
      ["X-Paymint-Api-Key"] = "paymint_test_key", ["X-Paymint-Member-ID"] = "test_member",
      ["X-Paymint-Merchant-ID"] = "test_merchant", ["X-Paymint-Business-Number"] = "123-45-67890",
    }
    assert.equal(200, call("POST", "/request", order(), five).status)
    for name, value in pairs(five) do
      if name ~= "X-API-KEY" then
        five[name] = nil
        local answer = call("POST", "/request", order(), five)
        assert.equal(400, answer.status)
        assert.matches(name, answer.json.error, 1, true)
        five[name] = "wrong"
        assert.equal(name == "X-Paymint-Host" and 200 or 401, call("POST", "/request", order(), five).status, name)
        five["X-Paymint-MMK-Mode"] = "true" -- wins
        five["X-Paymint-Member-ID"], five["X-Paymint-Merchant-ID"] = "test_member", "test_merchant"
        assert.equal(200, call("POST", "/request", order(), five).status)
        five["X-Paymint-MMK-Mode"] = nil
        five[name] = value
      end
    end
  end)

  it("names the field that is wrong", function()
    for _, row in ipairs {
      { "product_nm", json.null }, { "message", "" }, { "member_nm", 7 }, { "phone", "02-123-4567" }, { "price", 0 },
      { "price", 10000000000 }, { "price", 1.5 }, { "price", "5e3" }, { "expire_dt", "2026-02-30" },
      { "expire_dt", "2020-01-01" }, { "expire_dt", "soon" }, { "bill_id", "A-1" },
      { "bill_id", "A12345678901234567890" }, { "callbackURL", "me" },
    } do
      local answer = call("POST", "/request", order { [row[1]] = row[2] })
      assert.equal(400, answer.status, row[1])
      assert.matches("^" .. row[1] .. " ", answer.json.error)
    end
    assert.equal(400, call("POST", "/request", "{").status)
    assert.equal(400, call("POST", "/read", {}).status)
    assert.equal(400, call("GET", "/autopay/methods").status)
    assert.equal(200, call("POST", "/request", order { price = "50000" }).status)
  end)

  it("sends a bill once, for 55 points", function()
    local before = balance()
    local id = bill { bill_id = "ONCE" }
    assert.equal("ONCE", id)
    assert.equal(before - 55, balance())
    assert.equal("9800", code("POST", "/request", order { bill_id = "ONCE" }))
    assert.equal(before - 55, balance()) -- refusals cost nothing
    assert.matches("^%w+$", (bill()))
    local found = read(id)
    assert.same({ "W", "50000", "", "0000" }, { found.appr_state, found.appr_price, found.appr_num, found.code })
    assert.equal("9980", code("POST", "/read", { bill_id = "NOBODY" }))
    assert.equal("55", ledger("ONCE", "fee")[1].amount)
    assert.equal(0, #ledger("ONCE", "charge"))
  end)

  it("moves a bill from W to F to C", function()
    local id = bill()
    local priced = { bill_id = id, price = 50000 }
    assert.equal("9999", code("POST", "/cancel", priced)) -- not paid
    assert.equal(200, pay({ bill_id = id, card = "4242424242424242" }).status)
    local found = read(id)
    assert.same({ "F", "KEYIN", "50000" }, { found.appr_state, found.appr_pay_type, found.appr_price })
    assert.matches("^%d%d%d%d%d%d%d%d%d%d%d%d%d%d$", found.appr_dt)
    assert.equal(409, pay({ bill_id = id, card = "4242424242424242" }).status)
    assert.equal("9971", code("POST", "/destroy", priced))
    assert.equal("9971", code("POST", "/resend", { bill_id = id }))
    assert.equal("9999", code("POST", "/cancel", { bill_id = id, price = 49999 }))
    local cancelled = call("POST", "/cancel", priced).json
    assert.equal("0000", cancelled.code)
    assert.equal(found.appr_num, cancelled.appr_origin_num)
    assert.matches("^%d+$", cancelled.appr_cancel_dt)
    assert.equal("C", read(id).appr_state)
    assert.equal("9970", code("POST", "/cancel", priced))
    assert.equal("9970", code("POST", "/destroy", priced))
    assert.equal("9970", code("POST", "/resend", { bill_id = id }))
    assert.equal("50000", ledger(id, "charge")[1].amount)
    assert.equal("50000", ledger(id, "void")[1].amount)
  end)

  it("destroys what is unpaid, and then knows it for reading only", function()
    local id = bill()
    assert.equal("9999", code("POST", "/destroy", { bill_id = id, price = 1 }))
    assert.equal("0000", code("POST", "/destroy", { bill_id = id, price = 50000 }))
    assert.equal("D", read(id).appr_state)
    for _, path in ipairs { "/cancel", "/destroy", "/resend" } do
      assert.equal("9980", code("POST", path, { bill_id = id, price = 50000 }), path)
    end
    assert.equal(409, pay({ bill_id = id }).status)
    assert.equal("9800", code("POST", "/request", order { bill_id = id })) -- unique for ever
  end)

  it("sends a message again for points, keeping the bill", function()
    local id = bill()
    local before = balance()
    assert.equal("0000", code("POST", "/resend", { bill_id = id }))
    assert.equal(before - 55, balance())
    assert.equal("W", read(id).appr_state)
    assert.equal("9980", code("POST", "/resend", { bill_id = "NOBODY" }))
  end)

  it("declines by the card, or by the amount where there is none", function()
    local id = bill()
    assert.equal("failed", pay({ bill_id = id, card = "4000000000000002" }).json.status)
    assert.equal("failed", pay({ bill_id = id, action = "fail" }).json.status)
    assert.equal(422, pay({ bill_id = id, card = "4242424242424241" }).status)
    assert.equal("requires_action", pay({ bill_id = id, card = "4000003800000446" }).json.status)
    assert.equal("succeeded", pay({ bill_id = id }).json.status)
    local unlucky = bill { price = 10005 }
    assert.equal("failed", pay({ bill_id = unlucky }).json.status)
    assert.equal("W", read(unlucky).appr_state)
    assert.equal(404, pay({ bill_id = "NOBODY" }).status)
    assert.equal(0, #ledger(unlucky, "charge"))
  end)

  it("shows a page where the payer pays", function()
    local id, url = bill()
    local path = url:match "^http://[^/]+(/pay/.*)$"
    local page = sandbox:http("GET", path)
    assert.equal(200, page.status)
    assert.matches("TEST", page.body)
    assert.matches("₩50,000", page.body, 1, true)
    local form = "attempt=%d&action=%s&card_number=%s&card_expiry=12%%2F60&card_cvc=123&card_name=A"
    local headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }
    local function submit(...) return sandbox:http("POST", path, form:format(...), headers) end
    assert.equal(422, submit(0, "card", "4242424242424241").status)
    assert.equal(402, submit(0, "card", "4000000000009995").status)
    assert.equal(409, submit(0, "card", "4242424242424242").status) -- this form had its attempt
    assert.equal("W", read(id).appr_state)
    assert.equal(200, submit(1, "app", "").status)
    assert.equal("CARD_VAN", read(id).appr_pay_type)
    assert.equal(409, submit(2, "card", "4242424242424242").status)
    assert.equal(1, #ledger(id, "charge"))
    assert.equal(200, sandbox:http("GET", path .. "?locale=ko").status)
    assert.equal(404, sandbox:http("GET", "/pay/nothing").status)
  end)

  it("registers, charges, changes and forgets cards of AutoPay", function()
    for _, path in ipairs { "/autopay/manage", "/autopay/request" } do
      assert.equal("9980", code("POST", path, { customer_id = "nobody", product_nm = "x", price = 100 }))
    end
    assert.equal("9980", code("GET", "/autopay/methods?customer_id=nobody"))
    local id = payer "auto-1"
    assert.equal("9980", code("POST", "/autopay/request", { customer_id = id, product_nm = "x", price = 9900 }))
    assert.equal("failed", pay({ customer_id = id, card = "4000000000000002" }).json.status)
    assert.equal("succeeded", pay({ customer_id = id, card = "4242424242424242" }).json.status)
    assert.equal(409, pay({ customer_id = id, card = "4242424242424242" }).status)
    local methods = call("GET", "/autopay/methods?customer_id=" .. id).json.methods
    assert.equal(1, #methods)
    assert.equal("****-****-****-4242", methods[1].card_num)

    local before = balance()
    local charge = { customer_id = id, product_nm = "Membership", price = 9900, bill_id = "AUTO1" }
    local charged = call("POST", "/autopay/request", charge).json
    assert.same({ "0000", "AUTO1", "F", "CARD_RP", "9900" }, {
      charged.code, charged.bill_id, charged.appr_state, charged.appr_pay_type, charged.appr_price,
    })
    assert.equal(before - 55, balance())
    assert.equal("9800", code("POST", "/autopay/request", charge))
    assert.equal("F", read("AUTO1").appr_state)
    for price, wanted in pairs { [9905] = "9999", [9951] = "9999", [9954] = "9999", [9996] = "5000" } do
      local answer = call("POST", "/autopay/request", { customer_id = id, product_nm = "x", price = price }).json
      assert.equal(wanted, answer.code, price)
    end
    assert.equal(before - 55, balance())
    assert.equal(1, #ledger("AUTO1", "charge"))

    assert.equal("0000", code("POST", "/autopay/manage", { customer_id = id }))
    assert.equal("succeeded", pay({ customer_id = id, card = "4000000000000341" }).json.status)
    local changed = call("GET", "/autopay/methods?customer_id=" .. id).json.methods
    assert.equal(1, #changed)
    assert.not_equal(methods[1].method_id, changed[1].method_id)
    assert.equal("9999", code("POST", "/autopay/request", { customer_id = id, product_nm = "x", price = 9900 }))
    assert.equal("9980", code("POST", "/autopay/request", {
      customer_id = id, product_nm = "x", price = 9900, method_id = methods[1].method_id,
    }))
    assert.equal("0000", code("DELETE", "/autopay/delete", { customer_id = id, method_id = changed[1].method_id }))
    local query = "?customer_id=" .. id .. "&method_id=" .. changed[1].method_id
    assert.equal("9980", code("DELETE", "/autopay/delete" .. query))
    assert.equal(0, #call("GET", "/autopay/methods?customer_id=" .. id).json.methods)
  end)

  it("takes a card on AutoPay's page", function()
    local answer = call("POST", "/autopay/register", { customer_id = "page-1", member_nm = "A", phone = "1012345678" }).json
    local path = answer.shortURL:match "^http://[^/]+(/pay/.*)$"
    assert.equal(200, sandbox:http("GET", path).status)
    local form = "attempt=0&action=card&card_number=4242424242424242&card_expiry=12%2F60&card_cvc=123&card_name=A"
    local headers = { ["Content-Type"] = "application/x-www-form-urlencoded" }
    assert.equal(200, sandbox:http("POST", path, form, headers).status)
    assert.equal(409, sandbox:http("POST", path, form, headers).status)
    assert.equal(1, #call("GET", "/autopay/methods?customer_id=page-1").json.methods)
  end)

  it("answers every code on demand, with nothing done", function()
    for _, wanted in ipairs {
      "9999", "9800", "9970", "9971", "9980", "9870", "5000", "1003", "ERROR", "PARTNER_001", "VALIDATION_002",
      "BILL_001", "BILL_003", "BILL_006", "POINT_001", "PAYMENT_001", "PAYMENT_002",
    } do
      local answer = call("POST", "/request", order { bill_id = "FAULT" }, with { ["X-Sandbox-Fault"] = "error=" .. wanted })
      assert.equal(200, answer.status)
      assert.equal(wanted, answer.json.code)
      assert.is_string(answer.json.msg or answer.json.message)
    end
    for status, text in pairs {
      ["400"] = "bad", ["401"] = "key", ["402"] = "upgrade", ["402_balance"] = "balance", ["404"] = "found",
      ["429"] = "many", ["500"] = "error", ["503"] = "unavailable",
    } do
      local answer = call("POST", "/request", order { bill_id = "FAULT" }, with { ["X-Sandbox-Fault"] = "error=" .. status })
      assert.equal(tonumber(status:sub(1, 3)), answer.status)
      assert.matches(text, answer.json.error)
    end
    assert.equal("9980", code("POST", "/read", { bill_id = "FAULT" }))
  end)

  it("keeps no key and no card number", function()
    local id = bill()
    pay { bill_id = id, card = "4242424242424242" }
    local recorded = sandbox:http("GET", "/_sandbox/requests?provider=paymint").body
    for _, secret in ipairs { "mmk_test_key", "paymint_test_key", "4242424242424242" } do
      assert.is_nil(recorded:find(secret, 1, true), secret)
    end
    local mine = sandbox:http("GET", "/_sandbox/requests?reference=" .. id).json.data
    assert.equal("bills.request", mine[1].operation)
  end)

  it("is on the front page", function()
    local page = sandbox:http("GET", "/").body
    for _, word in ipairs { "mmk_test_key", "mmk_test_basic", "paymint_test_key", "…05", "/paymint/request" } do
      assert.truthy(page:find(word, 1, true), word)
    end
  end)

  it("sets its balance, and refuses nonsense", function()
    for _, left in ipairs { -1, 1.5, "1" } do
      assert.equal(422, sandbox:http("POST", "/_sandbox/balance", { provider = "paymint", balance = left }).status)
    end
    sandbox:http("POST", "/_sandbox/balance", { provider = "paymint", balance = 55 })
    bill()
    assert.equal(402, call("POST", "/request", order()).status)
    assert.equal(402, call("POST", "/resend", { bill_id = "NOBODY" }).status)
    assert.equal(402, call("POST", "/autopay/request", { customer_id = "x", product_nm = "x", price = 1 }).status)
    assert.equal(204, sandbox:http("POST", "/_sandbox/balance", { provider = "paymint", balance = 10000000 }).status)
  end)

  it("ends a bill at midnight in Korea", function()
    local now = sandbox:http("GET", "/_sandbox/clock").json.now
    local hour, today = tonumber(now:sub(12, 13)), now:sub(1, 10)
    if hour >= 15 then -- tomorrow has begun there
      testing.advance(sandbox, "10h")
      today = sandbox:http("GET", "/_sandbox/clock").json.now:sub(1, 10)
    end
    local id, url = bill { expire_dt = today }
    now = sandbox:http("GET", "/_sandbox/clock").json.now
    local left = 15 * 3600 - (tonumber(now:sub(12, 13)) * 3600 + tonumber(now:sub(15, 16)) * 60 + tonumber(now:sub(18, 19)))
    testing.advance(sandbox, (left - 30) .. "s")
    assert.is_nil(read(id).expired)
    testing.advance(sandbox, "60s")
    assert.is_true(read(id).expired)
    assert.equal("W", read(id).appr_state)
    assert.equal(409, pay({ bill_id = id }).status)
    assert.equal("9999", code("POST", "/resend", { bill_id = id }))
    assert.equal(410, sandbox:http("GET", url:match "(/pay/.*)$").status)
    assert.equal(400, call("POST", "/request", order { expire_dt = today }).status)
    assert.equal("0000", code("POST", "/destroy", { bill_id = id, price = 50000 }))
  end)
end)

describe("callbacks of Paymint", function()
  local sandbox, receiver, count

  before_each(function()
    receiver = testing.native.receiver()
    sandbox = testing.start("sandbox", { webhooks = "http://127.0.0.1:" .. receiver:port() })
    testing.wait_until(function() return sandbox:http("GET", "/_sandbox/endpoints").json.paymint end, "--webhooks is set")
    count = 0
  end)
  after_each(function()
    receiver:close()
    testing.clean_up()
  end)

  local function paid(more)
    local body = {
      product_nm = "x", message = "x", member_nm = "x", phone = "01012345678", price = 50000, expire_dt = "2099-01-01",
    }
    for name, value in pairs(more or {}) do body[name] = value end
    local id = sandbox:http("POST", "/paymint/request", body, PRO).json.bill_id
    assert.equal(200, sandbox:http("POST", "/_sandbox/pay", { bill_id = id }).status)
    return id
  end

  local function came(n) testing.wait_until(function() return receiver:count() >= n end, n .. " callbacks came") end
  local function state() return sandbox:http("GET", "/_sandbox/webhooks?provider=paymint").json.data[1].state end

  it("come hourly, 24 times, until they are acknowledged to the letter", function()
    receiver:answer(200, '{"code":"0000","msg":"OK"}')
    local id = paid()
    came(1)
    local sent = json.decode(receiver:requests()[1].body)
    assert.same({ id, "F", "50000" }, { sent.bill_id, sent.appr_state, sent.appr_price })
    assert.equal("/paymint", receiver:requests()[1].path)
    for _, body in ipairs { "", "OK", ACKNOWLEDGED .. "\n", (ACKNOWLEDGED:gsub(":", ": ")) } do
      count = receiver:count()
      receiver:answer(200, body)
      testing.advance(sandbox, "50m")
      assert.equal(count, receiver:count())
      testing.advance(sandbox, "11m")
      assert.equal(count + 1, receiver:count())
    end
    receiver:answer(200, ACKNOWLEDGED)
    testing.advance(sandbox, "1h")
    assert.equal("delivered", state())
    testing.advance(sandbox, "30h")
    assert.equal(6, receiver:count())
  end)

  it("end after a day", function()
    receiver:answer(500)
    paid()
    came(1)
    for _ = 1, 30 do testing.advance(sandbox, "61m") end
    assert.equal(25, receiver:count())
  end)

  it("tell of payments alone, where the request said", function()
    receiver:answer(200, ACKNOWLEDGED)
    local own = "http://127.0.0.1:" .. receiver:port() .. "/mine"
    local id = paid { callbackURL = own }
    came(1)
    assert.equal("/mine", receiver:requests()[1].path)
    local priced = { bill_id = id, price = 50000 }
    assert.equal("0000", sandbox:http("POST", "/paymint/cancel", priced, PRO).json.code)
    testing.advance(sandbox, "2h")
    assert.equal(1, receiver:count())
    -- Another machine's is recorded, never called.
    paid { callbackURL = "https://example.com/callback" }
    local listed = sandbox:http("GET", "/_sandbox/webhooks?provider=paymint").json.data
    local states = {}
    for _, event in ipairs(listed) do states[event.state] = true end
    assert.is_true(states.no_endpoint)
    assert.equal(1, receiver:count())
  end)
end)

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
