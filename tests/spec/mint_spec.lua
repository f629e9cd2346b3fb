-- MINT in the sandbox, over HTTP: the documents' examples, signatures, every error that has a cause, and what an ePIN goes
-- through.

local testing = require "mintage.testing"
local json = testing.json
local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local mint = dofile(here .. "mint_support.lua")

local YEAR_S = 31536000

describe("MINT in the sandbox", function()
  local sandbox

  setup(function() sandbox = testing.start("sandbox", {}) end)
  teardown(testing.clean_up)
  before_each(function() assert.equal(204, sandbox:http("DELETE", "/_sandbox/state").status) end)

  local function generate(params, change, path) return mint.generate(sandbox, params, change, path) end
  local function balance(currency) return mint.balances(sandbox, { currencyCode = currency }).json.data.balance_amount end
  local function redeem(change) return mint.redeem(sandbox, change) end
  local function list(...) return json.array { ... } end

  local function refused(response, code, status)
    assert.equal(status, response.status, response.body)
    assert.is_false(response.json.success)
    assert.equal(code, response.json.error.code)
    assert.is_true(#response.json.error.message > 0)
    assert.matches("^%d+$", response.json.reference)
  end

  describe("generates ePINs", function()
    local function looks_as_documented(response, count)
      assert.equal(200, response.status, response.body)
      assert.is_true(response.json.success)
      assert.matches("^%d+$", response.json.reference)
      assert.equal(count, #response.json.data)
      for _, epin in ipairs(response.json.data) do
        assert.matches("^%d%d%d%d %d%d%d%d %d%d%d%d %d%d%d%d$", epin.pin_code)
        assert.equal(YEAR_S, epin.pin_time_expired - epin.pin_generated_time)
        assert.same({ "1.0000", "1.0000", "USD", 1 },
          { epin.pin_nominal_value, epin.pin_tr_amount, epin.cu_code, epin.cu_id })
        assert.equal("integer", math.type(epin.pin_id))
      end
    end

    local params = { currencyCode = "USD", ePinNominalValue = 1, ePinsCount = 2, serviceId = 0, countryCode = "US" }

    it("from a form, at both URLs", function()
      looks_as_documented(generate(params), 2)
      looks_as_documented(generate(params, nil, "/pwapi/partners-mint"), 2)
      looks_as_documented(generate { currencyCode = "USD", ePinNominalValue = 1 }, 1)
    end)

    it("from multipart, as PHP's curl sends it", function()
      local body, headers = mint.multipart(mint.signed(sandbox, params))
      looks_as_documented(sandbox:http("POST", "/pwapi/mint", body, headers), 2)
    end)

    it("from JSON, with numbers as numbers", function()
      local body = { auth = mint.auth(sandbox, params), params = params }
      looks_as_documented(sandbox:http("POST", "/pwapi/mint", body), 2)
    end)

    it("and takes their value from the balance of the currency", function()
      assert.equal("9944.0655", balance "USD")
      local reference = generate(params).json.reference
      assert.equal("9942.0655", balance "USD")
      assert.equal("0.0000", balance "UAH")
      local ledger = sandbox:http("GET", "/_sandbox/ledger?provider=mint&reference=" .. reference).json.data
      assert.equal(2, #ledger)
      assert.same({ "issue", "1.0000", "USD" }, { ledger[1].kind, ledger[1].amount, ledger[1].currency })
    end)

    it("for a test: the same codes each time, for nothing, that nobody can redeem", function()
      local response = generate { currencyCode = "UAH", ePinNominalValue = 1000, ePinsCount = 3, test = 1 }
      assert.equal(200, response.status, response.body)
      assert.equal("0000 0000 0000 0001", response.json.data[1].pin_code)
      assert.equal("0000 0000 0000 0003", response.json.data[3].pin_code)
      assert.equal("0.0000", balance "UAH")
      assert.equal(0, #sandbox:http("GET", "/_sandbox/ledger").json.data)
      assert.equal(3006, redeem { epin = list "0000000000000001", currency = "UAH" }.error_code)
    end)

    it("that are inactive until they are activated", function()
      local code = mint.epin(sandbox, { activationRequired = 1 })
      assert.equal(3003, redeem { epin = list(code) }.error_code)
      local answer = sandbox:http("POST", "/_sandbox/activate", { pin_code = code })
      assert.equal(200, answer.status, answer.body)
      assert.equal(200, sandbox:http("POST", "/_sandbox/activate", { pin_code = code }).status)
      assert.equal(404, sandbox:http("POST", "/_sandbox/activate", { pin_code = "1234" }).status)
      assert.equal(1, redeem { epin = list(code) }.success)
    end)

    it("or says why not", function()
      for _, row in ipairs {
        { { currencyCode = false }, -32006, 422 }, { { ePinNominalValue = false }, -32006, 422 },
        { { activationRequired = 2 }, -32006, 422 }, { { test = "yes" }, -32006, 422 },
        { { serviceId = 403 }, 1, 403 }, { { serviceId = 7 }, 8, 422 }, { { serviceId = "x" }, 8, 422 },
        { { currencyCode = "XXX" }, 7, 422 }, { { currencyCode = "usd" }, 7, 422 }, { { currencyCode = "EUR" }, 9, 403 },
        { { ePinNominalValue = "5.5" }, 6, 422 }, { { ePinNominalValue = "five" }, 6, 422 }, { { countryCode = "ZZ" }, 6, 422 },
        { { countryCode = "USA" }, 6, 422 }, { { ePinNominalValue = 0 }, 5, 422 }, { { ePinNominalValue = -5 }, 5, 422 },
        { { ePinsCount = 0 }, 4, 422 }, { { ePinsCount = 101 }, 4, 422 }, { { ePinsCount = "many" }, 4, 422 },
        { { ePinNominalValue = 101, ePinsCount = 100 }, 10, 402 }, { { ePinNominalValue = ("9"):rep(30) }, 10, 402 },
        { { ePinNominalValue = 9945 }, 3, 402 }, { { currencyCode = "UAH" }, 3, 402 },
      } do
        local asked = { currencyCode = "USD", ePinNominalValue = 5 }
        for name, value in pairs(row[1]) do asked[name] = value or nil end
        refused(generate(asked), row[2], row[3])
      end
      assert.equal("9944.0655", balance "USD")
      assert.equal(200, generate({ currencyCode = "USD", ePinNominalValue = 99, ePinsCount = 100 }).status)
      assert.equal("44.0655", balance "USD")
    end)
  end)

  describe("reads balances", function()
    it("as a list, or of one currency", function()
      local all = mint.balances(sandbox)
      assert.equal(200, all.status, all.body)
      assert.same({ { cu_code = "USD", balance_amount = "9944.0655" }, { cu_code = "UAH", balance_amount = "0.0000" } },
        all.json.data)
      assert.same({ cu_code = "UAH", balance_amount = "0.0000" }, mint.balances(sandbox, { currencyCode = "UAH" }).json.data)
      refused(mint.balances(sandbox, { currencyCode = "EUR" }), 9, 403)
      refused(mint.balances(sandbox, { currencyCode = "ZZZ" }), 7, 422)
    end)

    it("that the control API sets", function()
      local function set(body) return sandbox:http("POST", "/_sandbox/balance", body).status end
      assert.equal(204, set { provider = "mint", currency = "USD", balance = "0.5000" })
      assert.equal("0.5000", balance "USD")
      refused(generate { currencyCode = "USD", ePinNominalValue = 1 }, 3, 402)
      assert.equal(204, set { provider = "mint", currency = "KRW", balance = 5000 })
      assert.equal("5000.0000", balance "KRW")
      assert.equal(200, generate({ currencyCode = "KRW", ePinNominalValue = 5000 }).status)
      for _, wrong in ipairs { { currency = "XYZ", balance = 1 }, { currency = "EUR", balance = 1 }, { currency = "USD" },
        { currency = "USD", balance = "1.23456" }, { currency = "USD", balance = -1 } } do
        wrong.provider = "mint"
        assert.equal(422, set(wrong))
      end
    end)
  end)

  describe("is strict about signatures", function()
    local params = { currencyCode = "USD", ePinNominalValue = 5 }

    it("and tells what is wrong", function()
      local at = mint.now(sandbox)
      for _, row in ipairs {
        { { key = false, timestamp = false, sign = false }, -32000 },
        { { key = false }, -32009 }, { { key = "other" }, -32009 },
        { { sign = false }, -32012 }, { { sign = "" }, -32012 }, { { sign = ("0"):rep(32) }, -32012 },
        -- names signed, another order, the private key left out
        { { sign = mint.md5(mint.KEY .. at .. "currencyCodeUSDePinNominalValue5" .. mint.PRIVATE), timestamp = at }, -32012 },
        { { sign = mint.md5(mint.KEY .. at .. "5USD" .. mint.PRIVATE), timestamp = at }, -32012 },
      } do
        refused(generate(params, row[1]), row[2], 401)
      end
      assert.equal(200, generate(params).status)
      refused(mint.balances(sandbox, {}, { sign = "nonsense" }), -32012, 401)
    end)

    it("and about the time in them, by its own clock", function()
      local now = mint.now(sandbox)
      for _, at in ipairs { false, "soon", now - 303, now + 310, 0 } do
        refused(generate(params, { timestamp = at, sign = at == false and "x" or nil }), -32011, 401)
      end
      assert.equal(200, generate(params, { timestamp = now - 290 }).status)
      assert.equal(200, generate(params, { timestamp = now + 299 }).status)
      testing.advance(sandbox, "1h")
      refused(generate(params, { timestamp = now }), -32011, 401)
      assert.equal(200, generate(params).status)
    end)

    it("and shuts a key out for a minute after ten failures in a row", function()
      for i = 1, 9 do refused(generate(params, { sign = "wrong" .. i }), -32012, 401) end
      assert.equal(200, generate(params).status)
      for i = 1, 10 do refused(generate(params, { sign = "wrong" .. i }), -32012, 401) end
      refused(generate(params), -32002, 429)
      refused(mint.balances(sandbox), -32002, 429)
      testing.advance(sandbox, "61s")
      assert.equal(200, generate(params).status)
    end)

    it("and about what it is sent", function()
      refused(sandbox:http("GET", "/pwapi/nothing"), -32003, 404)
      refused(sandbox:http("PUT", "/pwapi/mint", ""), -32003, 405)
      refused(sandbox:http("POST", "/pwapi/mint", "<xml/>", { ["Content-Type"] = "text/xml" }), -32006, 415)
      refused(sandbox:http("POST", "/pwapi/mint", '{"auth":', { ["Content-Type"] = "application/json" }), -32006, 422)
      refused(sandbox:http("POST", "/pwapi/mint", "--x", { ["Content-Type"] = "multipart/form-data; boundary=x" }), -32006, 422)
    end)
  end)

  describe("redeems ePINs", function()
    it("as the document's example prints it", function()
      local response = sandbox:http("POST", "/api/pure-mint/payment", [[{
        "amount" : 10.00,
        "app_key" : "32a13829f2635187",
        "currency" : "USD",
        "epin" : [ "1111111111111111" ],
        "user_id" : "12345"
        }]], { ["Content-Type"] = "application/json" })
      assert.equal(200, response.status)
      assert.same({ 0.12, "USD", 1 }, { response.json.change_amount, response.json.change_currency, response.json.success })
      assert.matches("^%d+$", response.json.reference)
      assert.matches('"change_amount":0.12,', response.body, 1, true)
      local entry = sandbox:http("GET", "/_sandbox/ledger?provider=mint").json.data[1]
      assert.same({ "redeem", "10.00", "USD", "12345" }, { entry.kind, entry.amount, entry.currency, entry.reference })
    end)

    it("from forms and multipart, with the code in any form, until nothing is left", function()
      local code = mint.epin(sandbox, { ePinNominalValue = 3 })
      local form = { amount = "1.25", currency = "USD", app_key = mint.APP, user_id = "u", ["epin[0]"] = code:gsub(" ", "") }
      local answer = sandbox:http("POST", "/api/pure-mint/payment", mint.form(form),
        { ["Content-Type"] = "application/x-www-form-urlencoded" }).json
      assert.same({ 1.75, 1 }, { answer.change_amount, answer.success })
      form["epin[0]"], form["epin[]"] = nil, code
      answer = sandbox:http("POST", "/api/pure-mint/payment", mint.multipart(form)).json
      assert.equal(0.5, answer.change_amount)
      assert.equal(3009, redeem({ epin = list(code), amount = 0.51 }).error_code)
      assert.equal(2004, redeem({ epin = list(code), amount = 0.1, currency = "UAH" }).error_code)
      assert.equal(0, redeem({ epin = list(code), amount = "0.50" }).change_amount)
      assert.equal(3004, redeem({ epin = list(code), amount = 0.01 }).error_code)
    end)

    it("and checks in the decided order", function()
      local spent, inactive, old = mint.epin(sandbox), mint.epin(sandbox, { activationRequired = 1 }), mint.epin(sandbox)
      redeem { epin = list(spent) }
      local asked = { epin = "1111111111111111", app_key = "", amount = 0, currency = "ZZZ", user_id = " " }
      local function step(change, code)
        for name, value in pairs(change) do asked[name] = value end
        local answer = redeem(asked)
        assert.same({ 0, code }, { answer.success, answer.error_code }, json.encode(answer))
        assert.is_true(#answer.error_message > 0 and #answer.reference > 0)
      end
      step({}, 2005)
      step({ epin = list() }, 2001)
      step({ epin = list "" }, 2001)
      step({ epin = false }, 2001)
      step({ epin = list("1", "2") }, 2002)
      step({ app_key = "nobody" }, 2003)
      for _, amount in ipairs { "ten", "-1", "1.00005", "1e3", true, false } do step({ amount = amount }, 2003) end
      step({ amount = 10.01 }, 2004)
      step({ currency = false }, 2004)
      step({ currency = "USD" }, 2006)
      step({ amount = 10.005 }, 2003) -- a currency has so many digits
      step({ amount = 10.01, user_id = "banned" }, 1002)
      step({ app_key = "app_inactive" }, 3001)
      step({ app_key = mint.APP }, 1003)
      step({ user_id = "12345" }, 3007)
      step({ epin = list "2222222222222222" }, 3006)
      step({ epin = list "not a code" }, 3006)
      step({ epin = list(old), app_key = "app_other" }, 3005)
      step({ epin = list(inactive), app_key = mint.APP }, 3003)
      step({ epin = list(spent) }, 3004)
      step({ epin = list(old) }, 3009)
      testing.advance(sandbox, YEAR_S - 60 .. "s")
      step({}, 3009)
      testing.advance(sandbox, "2m")
      for _, code in ipairs { old, inactive, spent } do step({ epin = list(code) }, 3002) end
    end)

    it("but not for who guesses", function()
      local code = mint.epin(sandbox)
      local function guess(user) return redeem({ epin = list "2222222222222222", user_id = user }).error_code end
      for _ = 1, 9 do assert.equal(3006, guess "eve") end
      for _ = 1, 3 do assert.equal(3009, redeem({ epin = list(code), amount = 11, user_id = "eve" }).error_code) end
      testing.advance(sandbox, "601s") -- the nine are forgotten
      for _ = 1, 10 do assert.equal(3006, guess "eve") end
      assert.equal(4001, redeem({ epin = list(code), user_id = "eve" }).error_code)
      assert.equal(3006, guess "ann")
      testing.advance(sandbox, "14m")
      assert.equal(4001, guess "eve")
      testing.advance(sandbox, "61s")
      assert.equal(1, redeem({ epin = list(code), user_id = "eve" }).success)
    end)

    it("once, however many try at the same time", function()
      local code, requests = mint.epin(sandbox), {}
      for i = 1, 50 do
        requests[i] = {
          method = "POST", url = sandbox.url .. "/api/pure-mint/payment", headers = { ["Content-Type"] = "application/json" },
          body = json.encode(mint.redemption { epin = list(code), user_id = "user" .. i }),
        }
      end
      local won, codes = 0, {}
      for _, response in ipairs(testing.native.requests(requests)) do
        assert.is_truthy(response, "every request is answered")
        local answer = json.decode(response.body)
        if answer.success == 1 then
          won = won + 1
          assert.equal(0, answer.change_amount)
        else
          codes[answer.error_code] = (codes[answer.error_code] or 0) + 1
        end
      end
      assert.equal(1, won)
      assert.same({ [3004] = 49 }, codes)
      local ledger = sandbox:http("GET", "/_sandbox/ledger?provider=mint").json.data
      assert.equal(2, #ledger) -- issued once, redeemed once
    end)
  end)

  it("does what its front page shows, as it is pasted", function()
    local fresh = testing.start("sandbox", {}) -- whose clock has not been moved
    local script = fresh:http("GET", "/").body:match '<pre tabindex="0" id="mint%-curl"><code>(.-)</code>'
    script = script:gsub("&quot;", '"'):gsub("&#39;", "'"):gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&amp;", "&")
    local path = testing.folder() .. "/script.sh"
    testing.write(path, script:gsub("curl ", "curl -sS "))
    local pipe = assert(io.popen("sh " .. path .. " 2>&1"))
    local out = pipe:read "a"
    pipe:close()
    assert.matches('"pin_nominal_value":"5.0000"', out, 1, true)
    assert.matches('"balance_amount":"9939.0655"', out, 1, true)
    assert.matches('"change_amount":0.12,', out, 1, true)
    assert.is_nil(out:find('"success":false', 1, true))
    assert.equal("500.0000", mint.balances(fresh, { currencyCode = "USD" }).json.data.balance_amount)
  end)

  it("answers every documented code when it is asked to", function()
    local statuses = { [401] = { -32000, -32009, -32010, -32011, -32012, 4007 }, [402] = { -32004, -32008, 2, 3, 10 },
      [403] = { -32001, -32005, 1, 9 }, [404] = { -32003 }, [429] = { -32002 }, [422] = { -32006, -32007, 4, 5, 6, 7, 8 } }
    for status, codes in pairs(statuses) do
      for _, code in ipairs(codes) do
        refused(sandbox:http("POST", "/pwapi/mint", "", { ["X-Sandbox-Fault"] = "error=" .. code }), code, status)
      end
    end
    for _, code in ipairs { 1001, 1002, 1003, 2001, 2002, 2003, 2004, 2005, 2006, 3001, 3002, 3003, 3004, 3005, 3006, 3007, 3008,
      3009, 4001, 5000 } do
      local response = sandbox:http("POST", "/api/pure-mint/payment", mint.redemption(), { ["X-Sandbox-Fault"] = "error=" .. code })
      assert.equal(200, response.status)
      assert.same({ 0, code }, { response.json.success, response.json.error_code })
    end
    for _, status in ipairs { 401, 402, 403, 404, 405, 415, 422, 429, 500, 503 } do
      local response = sandbox:http("POST", "/pwapi/mint", "", { ["X-Sandbox-Fault"] = "error=" .. status })
      assert.equal(status, response.status)
      assert.is_false(response.json.success)
    end
    assert.equal(0, #sandbox:http("GET", "/_sandbox/ledger").json.data)
  end)

  it("finds a redemption by its user, for faults and in what it recorded", function()
    sandbox:http("POST", "/_sandbox/faults", { match = { provider = "mint", reference = "ann" }, fault = "error=3008" })
    assert.equal(3006, redeem({ user_id = "bob", epin = list "2222222222222222" }).error_code)
    assert.equal(3008, redeem({ user_id = "ann" }).error_code)
    local found = sandbox:http("GET", "/_sandbox/requests?provider=mint&reference=ann").json.data
    assert.equal(1, #found)
    assert.same({ "epins.redeem", "error" }, { found[1].operation, found[1].fault })
  end)

  it("shows no code to anybody but who asked", function()
    local code = mint.epin(sandbox)
    local bare = code:gsub(" ", "")
    redeem { epin = list(code), amount = 1 }
    redeem { epin = bare }
    local form = { amount = 1, currency = "USD", app_key = mint.APP, user_id = bare, ["epin[]"] = code }
    sandbox:http("POST", "/api/pure-mint/payment", mint.form(form), { ["Content-Type"] = "application/x-www-form-urlencoded" })
    sandbox:http("POST", "/api/pure-mint/payment", mint.multipart(form))
    sandbox:http("POST", "/api/pure-mint/payment?epin=" .. bare, '{"epin":["' .. bare)
    sandbox:http("POST", "/_sandbox/activate", { pin_code = code })
    local shown = testing.read(sandbox.log)
    for _, path in ipairs { "requests", "ledger", "state" } do shown = shown .. sandbox:http("GET", "/_sandbox/" .. path).body end
    assert.is_nil(shown:find(code, 1, true))
    -- A user who is named like a code is the only place where these digits may stand: the ledger's reference.
    assert.is_nil(shown:gsub('"reference":"' .. bare .. '"', ""):find(bare, 1, true))
    assert.is_nil(shown:find(mint.APP, 1, true))
    assert.is_nil(shown:find(mint.PRIVATE, 1, true))
  end)
end)
