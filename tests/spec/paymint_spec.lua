-- Paymint: the emulated gateway, endpoint by endpoint.

local testing = require "mintage.testing"
local native, json = testing.native, testing.json

local PRO = { ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-MMK-Mode"] = "true" }

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

  it("takes its points from all of a hundred at once, and no more than there are", function()
    local customer = payer("rush", "4242424242424242")
    local function rush(count)
      local requests, codes = {}, {}
      for i = 1, count do
        local headers = { ["Content-Type"] = "application/json" }
        for name, value in pairs(PRO) do headers[name] = value end
        requests[i] = {
          method = "POST", url = sandbox.url .. "/paymint/autopay/request", headers = headers,
          body = json.encode { customer_id = customer, product_nm = "Rush", price = 1000 },
        }
      end
      for _, answer in ipairs(native.requests(requests)) do codes[answer.status] = (codes[answer.status] or 0) + 1 end
      return codes
    end
    local before = balance()
    assert.same({ [200] = 100 }, rush(100))
    assert.equal(before - 5500, balance())
    for points, taken in pairs { [54] = 0, [109] = 1, [220] = 4 } do -- what requests could miss is not missed
      sandbox:http("POST", "/_sandbox/balance", { provider = "paymint", balance = points })
      assert.equal(taken, rush(10)[200] or 0)
      assert.equal(points - taken * 55, balance())
    end
    sandbox:http("POST", "/_sandbox/balance", { provider = "paymint", balance = before })
    assert.equal(before, balance())
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
