-- Orders of the checkout page in the real program: what is refused and how, fifty at once, and that an ePIN's code is
-- nowhere but at MINT.

local testing = require "mintage.testing"
local json = testing.json
local lfs = require "lfs"

local function order(reference, more)
  local out = {
    reference = reference, amount = "80.00 USD", email = "ann@example.com", name = "Ann",
    items = json.array { { name = "Coffee", quantity = 1, price = "80.00 USD" } },
  }
  for name, value in pairs(more or {}) do out[name] = value end
  return out
end

local function korean(reference)
  return order(reference, {
    amount = "80000 KRW", ways = json.array { "paymint", "epin" },
    items = json.array { { name = "Coffee", quantity = 1, price = "80000 KRW" } },
  })
end

describe("an order of the checkout page", function()
  local runtime, sandbox

  setup(function() runtime, sandbox = testing.pair { flows = "flows", log_level = "debug" } end)
  teardown(testing.clean_up)

  -- The run, once its page takes orders.
  local function begin(input)
    local run = runtime:run("checkout", input, { key = input.reference })
    testing.wait_until(function()
      run = runtime:api("GET", "/v1/runs/" .. run.id).json
      return run.progress and (run.progress.step == "choose" or run.progress.step == "pay")
    end, "the page takes orders")
    return run
  end

  local function path(run) return run.checkout_url:match "^https?://[^/]+(/.*)$" end

  local function send(run, body, headers) return runtime:http("POST", path(run), body, headers) end

  local function form(run, text, headers)
    local sent = { ["Content-Type"] = "application/x-www-form-urlencoded" }
    for name, value in pairs(headers or {}) do sent[name] = value end
    return send(run, text, sent)
  end

  local function refused(answer, status, field, part)
    assert.equal(status, answer.status, answer.body)
    assert.equal("application/problem+json", answer.headers["content-type"])
    assert.equal(status, answer.json.status)
    assert.equal(field, answer.json.field)
    assert.matches(part, answer.json.detail, 1, true)
  end

  it("is refused with the field that is wrong", function()
    local run = begin(order("ORDERS-1"))
    refused(send(run, { way = "paymnt" }), 422, "attempt", "the number that the page shows")
    refused(send(run, { way = "paymnt", attempt = "none" }), 422, "attempt", "wanted the number")
    refused(send(run, { attempt = 0 }), 422, "way", "wanted one of mintro, paymnt, epin")
    refused(send(run, { way = "cash", attempt = 0 }), 422, "way", "wanted one of")
    refused(send(run, { way = "paymint", attempt = 0 }), 422, "way", "wanted one of") -- it takes won only
    refused(send(run, { action = "refund", attempt = 0 }), 422, "action", 'wanted "cancel"')
    refused(send(run, { way = "epin", attempt = 0 }), 422, "epin", "16 digits")
    refused(send(run, { way = "epin", epin = "1234 5678", attempt = 0 }), 422, "epin", "16 digits")
    refused(send(run, { way = "epin", epin = ("1"):rep(200), attempt = 0 }), 422, "epin", "too long")
    for _, amount in ipairs { "0", "-5", "much", "30.00 EUR", "1e3", "30.001" } do
      refused(send(run, { way = "epin", epin = "1111111111111111", amount = amount, attempt = 0 }), 422, "amount",
        "an amount in USD")
    end
    assert.equal(0, runtime:api("GET", "/v1/runs/" .. run.id).json.progress.attempt)

    run = begin(korean "ORDERS-2")
    refused(send(run, { way = "paymint", attempt = 0 }), 422, "phone", "missing")
    for _, phone in ipairs { "02-123-4567", "010-1234", "+1 555 010 9999", "none" } do
      refused(send(run, { way = "paymint", phone = phone, attempt = 0 }), 422, "phone", "a Korean mobile number")
    end
  end)

  it("is refused when it is no order at all", function()
    local run = begin(order("ORDERS-3"))
    assert.equal(400, send(run, "{", { ["Content-Type"] = "application/json" }).status)
    refused(send(run, "[]", { ["Content-Type"] = "application/json" }), 422, "attempt", "wanted the number")
    refused(send(run, "7", { ["Content-Type"] = "application/json" }), 422, "attempt", "wanted the number")
    assert.equal(413, send(run, { way = ("x"):rep(20000), attempt = 0 }).status)
    assert.equal(404, runtime:http("POST", "/checkout/nobody", { way = "mintro", attempt = 0 }).status)
    local other = path(run):gsub("%x$", function(last) return last == "0" and "1" or "0" end)
    assert.equal(404, runtime:http("POST", other, { way = "mintro", attempt = 0 }).status)
  end)

  it("of a run that has no such page is refused", function()
    local run = runtime:run("capture", { payment = "pay_nothing" }, { key = "ORDERS-4" })
    assert.equal(404, send(run, { way = "mintro", attempt = 0 }).status)
  end)

  it("is refused when another site sends it", function()
    local run = begin(order("ORDERS-5"))
    local wish = { way = "paymnt", attempt = 0 }
    for _, headers in ipairs {
      { Origin = "https://evil.example" }, { Origin = "null" }, { ["Sec-Fetch-Site"] = "cross-site" },
      { ["Sec-Fetch-Site"] = "same-site", Origin = runtime.url },
    } do
      assert.equal(403, send(run, wish, headers).status)
    end
    assert.equal(202, send(run, wish, { Origin = runtime.url, ["Sec-Fetch-Site"] = "same-origin" }).status)
  end)

  it("of a form leads back to the page, and to the field when it is refused", function()
    local run = begin(korean "ORDERS-6")
    local answer = form(run, "way=paymint&phone=12&attempt=0")
    assert.equal(303, answer.status)
    assert.equal(path(run) .. "?field=phone", answer.headers.location)
    answer = runtime:http("POST", path(run) .. "?sent=0&locale=ko", "way=paymint&phone=&attempt=0",
      { ["Content-Type"] = "application/x-www-form-urlencoded" })
    assert.equal(path(run) .. "?locale=ko&field=phone", answer.headers.location)
    answer = runtime:http("POST", path(run) .. "?sent=0", "way=paymint&phone=%2B82+10-1234-5678&attempt=0",
      { ["Content-Type"] = "application/x-www-form-urlencoded" })
    assert.equal(303, answer.status)
    assert.equal(path(run) .. "?sent=0", answer.headers.location)
    testing.wait_until(function()
      local progress = runtime:http("GET", path(run) .. "/status").json.progress
      return progress.bill_id and progress.phone_masked == "010-****-5678"
    end, "the bill is sent")
  end)

  it("is taken once of fifty that come at once, and makes one payment", function()
    local run = begin(order("ORDERS-7"))
    local intent = run.progress.intent_id
    local function begun() return #sandbox:http("GET", "/_sandbox/requests?operation=payments.create").json.data end
    local before, list, codes = begun(), {}, {}
    for i = 1, 50 do
      list[i] = {
        method = "POST", url = runtime.url .. path(run), body = '{"way":"paymnt","attempt":0}',
        headers = { ["Content-Type"] = "application/json" },
      }
    end
    for _, response in ipairs(testing.native.requests(list)) do
      codes[response.status] = (codes[response.status] or 0) + 1
    end
    assert.same({ [202] = 1, [409] = 49 }, codes)
    testing.wait_until(function()
      run = runtime:api("GET", "/v1/runs/" .. run.id).json
      return run.progress.payment_id
    end, "the payment is open")
    assert.equal(before + 1, begun())
    assert.equal(409, sandbox:http("POST", "/_sandbox/pay", { intent_id = intent, card = "4242424242424242" }).status)
    refused(send(run, { way = "mintro", attempt = 0 }), 409, "attempt", "look again")
    sandbox:http("POST", "/_sandbox/pay", { payment_id = run.progress.payment_id, card = "4242424242424242" })
    runtime:wait_for(run.id, "completed")
    refused(send(run, { way = "mintro", attempt = 1 }), 409, nil, "no more")
  end)

  it("cancels, and then nobody can pay", function()
    local run = begin(order("ORDERS-8"))
    assert.equal(202, send(run, { action = "cancel", attempt = 0 }).status)
    run = runtime:wait_for(run.id, "failed")
    assert.equal("cancelled", run.error.kind)
    assert.equal(409, sandbox:http("POST", "/_sandbox/pay", {
      intent_id = run.progress.intent_id, card = "4242424242424242",
    }).status)
  end)

  it("ends after so many", function()
    local run = begin(order("ORDERS-9", { ways = json.array { "epin" } }))
    local codes = 0
    for attempt = 0, 63 do -- an ePIN that holds too little may be tried again
      testing.wait_until(function()
        local progress = runtime:http("GET", path(run) .. "/status").json.progress
        return progress.attempt == attempt and progress.step == "choose"
      end, "order " .. attempt)
      codes = codes + send(run, { way = "epin", epin = "1111111111111111", attempt = attempt }).status
    end
    assert.equal(64 * 202, codes)
    testing.wait_until(function()
      local progress = runtime:http("GET", path(run) .. "/status").json.progress
      return progress.attempt == 64 and progress.step == "choose"
    end, "the last order")
    refused(send(run, { way = "epin", epin = "1111111111111111", attempt = 64 }), 409, nil, "too many")
  end)

  it("with an ePIN leaves its code nowhere", function()
    local run = begin(order("ORDERS-10", { ways = json.array { "epin", "paymnt" } }))
    local code = sandbox:http("POST", "/_sandbox/issue", { value = 100, currency = "USD" }).json.pin_code
    local bare = code:gsub(" ", "")
    local wrong = "9876543210987654"
    assert.equal(202, send(run, { way = "epin", epin = wrong, attempt = 0 }).status)
    testing.wait_until(function()
      return runtime:http("GET", path(run) .. "/status").json.progress.tries_left == 4
    end, "the wrong one is refused")
    assert.equal(202, send(run, { way = "epin", epin = code, attempt = 1 }).status)
    run = runtime:wait_for(run.id, "completed")
    assert.equal("20.00 USD", run.output.paid[1].change)

    local shown = { ["the log"] = testing.read(runtime.log) }
    for _, at in ipairs {
      "/v1/runs/" .. run.id, "/v1/runs/" .. run.id .. "/journal", "/v1/events", "/v1/runs", "/metrics",
    } do
      shown[at] = runtime:api("GET", at).body
    end
    shown["the page"] = runtime:http("GET", path(run)).body
    shown["the status"] = runtime:http("GET", path(run) .. "/status").body
    shown["the story"] = testing.run({ "runs", "show", run.id, "--url", runtime.url, "--data", runtime.data }).out
    runtime:stop()
    for name in lfs.dir(runtime.data) do
      if name:find "^mintage%.db" then shown[name] = testing.read(runtime.data .. "/" .. name) end
    end
    for where, text in pairs(shown) do
      for _, secret in ipairs { bare, code, wrong, bare:sub(1, 12), wrong:sub(1, 12) } do
        assert.is_nil(text:find(secret, 1, true), "an ePIN stands in " .. where)
      end
    end
  end)
end)
