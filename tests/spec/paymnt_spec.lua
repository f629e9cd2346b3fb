-- Paymnt's sandbox: the quickstart replayed, every guard in its words and order, refunds, idempotency, challenges,
-- both dialects of errors, webhooks.

local testing = require "mintage.testing"
local json = testing.json

local KEY = "sk_sandbox_mintage"

describe("Paymnt's sandbox", function()
  local sandbox, receiver

  setup(function() sandbox = testing.start("sandbox", {}) end)
  teardown(testing.clean_up)
  before_each(function()
    sandbox:http("DELETE", "/_sandbox/state")
    sandbox:http("DELETE", "/_sandbox/faults")
  end)
  after_each(function()
    if receiver then receiver:close() end
    receiver = nil
  end)

  local function go(method, path, body, headers)
    local sent = { ["api-key"] = KEY }
    for name, value in pairs(headers or {}) do sent[name] = value end
    local response = assert(sandbox:http(method, path, body, sent))
    return response.json, response.status, response
  end

  local function create(more)
    local body = { amount = 1000, currency = "USD" }
    for name, value in pairs(more or {}) do body[name] = value end
    local payment, status = go("POST", "/payments", body)
    assert.equal(200, status, json.encode(payment))
    return payment
  end

  local function paid(more)
    local payment, status = go("POST", "/payments/" .. create(more).payment_id .. "/confirm")
    assert.equal(200, status)
    return payment
  end

  local function card(number)
    return { payment_method = "card", payment_method_data = { card = {
      card_number = number, card_exp_month = "12", card_exp_year = "2034", card_cvc = "123",
    } } }
  end

  local function confirm(payment, number) return go("POST", "/payments/" .. payment.payment_id .. "/confirm", card(number)) end

  local function refused(status, code, message, body, got)
    assert.equal(status, got, json.encode(body))
    assert.equal(code, body.error.code)
    assert.equal(message, body.error.message)
    assert.equal(status, body.error.status)
    assert.matches("^req_", body.error.request_id)
  end

  local function ledger(id)
    local kinds = {}
    for i, entry in ipairs(sandbox:http("GET", "/_sandbox/ledger?provider=paymnt&reference=" .. id).json.data) do
      kinds[i] = entry.kind .. " " .. entry.amount .. " " .. entry.currency
    end
    return kinds
  end

  local function events(id)
    local types = {}
    for _, delivery in ipairs(sandbox:http("GET", "/_sandbox/webhooks?provider=paymnt").json.data) do
      if delivery.body.content.object.payment_id == id then types[#types + 1] = delivery.event end
    end
    table.sort(types)
    return types
  end

  describe("quickstart", function()
    it("goes through its five steps", function()
      local order = { amount = 1000, currency = "USD", description = "Order #1001" }
      local payment, status = go("POST", "/payments", order, { ["Idempotency-Key"] = "3b8f2c34-0a7a-4a2f-9a62-5d0f2a33e6f1" })
      assert.equal(200, status)
      assert.equal("requires_payment_method", payment.status)
      assert.equal(1000, payment.amount_capturable)
      assert.equal("Order #1001", payment.description)
      assert.equal(payment.payment_id, payment.client_secret:match "^(.*)_secret_")
      assert.matches("^%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ$", payment.created)

      payment = go("POST", "/payments/" .. payment.payment_id .. "/confirm")
      assert.equal("succeeded", payment.status)
      assert.equal(1000, payment.amount_received)

      local held = paid { capture_method = "manual" }
      assert.equal("requires_capture", held.status)
      held = go("POST", "/payments/" .. held.payment_id .. "/capture", { amount_to_capture = 1000 },
        { ["Idempotency-Key"] = "capture-1" })
      assert.equal("succeeded", held.status)

      local refund
      refund, status = go("POST", "/refunds",
        { payment_id = payment.payment_id, amount = 1000, reason = "requested_by_customer" }, { ["Idempotency-Key"] = "refund-1" })
      assert.equal(200, status)
      assert.equal("succeeded", refund.status)
      assert.same({ "charge 10.00 USD", "refund 10.00 USD" }, ledger(payment.payment_id))
      assert.same({ "authorise 10.00 USD", "capture 10.00 USD" }, ledger(held.payment_id))
    end)

    it("works as the front page shows it with curl", function()
      local page = sandbox:http("GET", "/").body
      local script = page:match 'id="paymnt%-quickstart"><code>(.-)</code>'
      local dir = testing.folder()
      script = script:gsub("&quot;", '"'):gsub("&#39;", "'"):gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&amp;", "&")
      testing.write(dir .. "/paste.sh", script)
      local process = testing.native.spawn({ "/bin/sh", dir .. "/paste.sh" }, { out = dir .. "/out", err = dir .. "/err" })
      assert.equal(0, (process:wait(30000)), testing.read(dir .. "/err"))
      process:close()
      assert.is_nil(testing.read(dir .. "/out"):find('"error":{', 1, true), testing.read(dir .. "/out"))
      local payment = go("GET", "/payments/list").data[1]
      assert.equal("succeeded", payment.status)
      assert.equal(400, payment.refunds[1].amount)
    end)

    it("wants the key, and only profiles that exist", function()
      local message = "API key not provided or invalid API key used"
      local body, status = go("GET", "/payments/x", nil, { ["api-key"] = "sk_live_other" })
      refused(401, "IR_01", message, body, status)
      local response = sandbox:http("GET", "/payments/x")
      refused(401, "IR_01", message, response.json, response.status)
      create { profile_id = "pro_sandbox" }
      assert.equal(200, (select(2, go("GET", "/payments/list", nil, { ["x-profile-id"] = "pro_sandbox" }))))
      body, status = go("GET", "/payments/list", nil, { ["x-profile-id"] = "pro_none" })
      refused(404, "HE_02", "Business profile with the given id pro_none does not exist in our records", body, status)
    end)

    it("announces its limits", function()
      local _, _, response = go("GET", "/payments/list")
      assert.matches("^%d+$", response.headers["x-ratelimit-limit"])
      assert.matches("^%d+$", response.headers["x-ratelimit-remaining"])
      assert.matches("^%d+$", response.headers["x-ratelimit-reset"])
      assert.matches("^req_", response.headers["x-request-id"])
      local body, status
      body, status, response = go("GET", "/payments/list", nil, { ["X-Sandbox-Fault"] = "error=429" })
      assert.equal(429, status)
      assert.equal("CE_RL_429", body.error.code)
      assert.equal("1", response.headers["retry-after"])
    end)
  end)

  describe("guards", function()
    local function post(path, body) return go("POST", path, body) end

    it("refuse bodies in the parser's words", function()
      local rows = {
        { "{bad", 400, "IR_06", "Json deserialize error: expected value at line 1 column 1" },
        { "[1]", 400, "IR_06", "Json deserialize error: expected value at line 1 column 1" },
        { {}, 400, "IR_04", "Missing required param: amount" },
        { { amount = 1 }, 400, "IR_04", "Missing required param: currency" },
        { { amount = "1000", currency = "USD" }, 400, "IR_06",
          'Json deserialize error: amount: invalid type: string "1000", expected i64' },
        { { amount = -1, currency = "USD" }, 400, "IR_06",
          "Json deserialize error: amount: invalid value: integer `-1`, expected positive integer" },
        { { amount = 1, currency = "usd" }, 400, "IR_06",
          "Json deserialize error: currency: unknown variant `usd`, expected one of `AED`, ..., `USD`, ..., `ZWL`" },
        { { amount = 1, currency = "USD", payment_id = "a b" }, 400, "IR_07", "Invalid value provided: payment_id" },
        { { amount = 1, currency = "USD", capture_method = "scheduled" }, 400, "IR_19", "This capture method is not supported" },
        { { amount = 1, currency = "USD", session_expiry = 59 }, 422, "IR_06",
          "session_expiry should be between 60(1 min) to 7890000(3 months)" },
        { { amount = 1, currency = "USD", confirm = true }, 422, "IR_06",
          "A payment token or payment method data or ctp service details is required" },
      }
      for _, row in ipairs(rows) do
        local body, status = post("/payments", row[1])
        refused(row[2], row[3], row[4], body, status)
      end
      local body = post("/payments", "{bad")
      assert.equal("invalid_request", body.error.error_type)
      assert.is_nil(body.error.type)
    end)

    it("know what does not exist", function()
      local rows = {
        { "GET", "/payments/none", 404, "HE_02", "Payment does not exist in our records" },
        { "POST", "/payments/none/confirm", 404, "HE_02", "Payment does not exist in our records" },
        { "POST", "/payments/none/capture", 404, "HE_02", "Payment does not exist in our records" },
        { "POST", "/payments/none/cancel", 404, "HE_02", "Payment does not exist in our records" },
        { "GET", "/refunds/none", 404, "HE_02", "Refund does not exist in our records." },
        { "GET", "/payments/a/b/c", 404, "IR_02", "Unrecognized request URL" },
        { "PUT", "/payments", 405, "IR_03", "The HTTP method is not applicable for this API" },
      }
      for _, row in ipairs(rows) do
        local body, status = go(row[1], row[2])
        refused(row[3], row[4], row[5], body, status)
      end
      local body, status = post("/refunds", { payment_id = "none" })
      refused(404, "HE_02", "Payment does not exist in our records", body, status)
      body, status = post("/refunds", {})
      refused(400, "IR_06", "Json deserialize error: missing field `payment_id`", body, status)
    end)

    -- A payment in each status that a customer or a merchant can bring it to.
    local function in_status(status)
      if status == "requires_payment_method" then return create() end
      if status == "requires_confirmation" then return create(card "4242424242424242") end
      if status == "requires_customer_action" then return confirm(create(), "4000003800000446") end
      if status == "requires_capture" then return paid { capture_method = "manual" } end
      if status == "succeeded" then return paid() end
      if status == "failed" then return confirm(create(), "4000000000000002") end
      if status == "cancelled" then return post("/payments/" .. create().payment_id .. "/cancel", {}) end
      local method = status == "partially_captured" and "manual" or "manual_multiple"
      return post("/payments/" .. paid { capture_method = method }.payment_id .. "/capture", { amount_to_capture = 300 })
    end

    local all = {
      "requires_payment_method", "requires_confirmation", "requires_customer_action", "requires_capture", "succeeded", "failed",
      "cancelled", "partially_captured", "partially_captured_and_capturable",
    }

    -- Tries `step` in every status: it goes on in those of `allowed`, and is refused with `message` in the others.
    local function guard(step, body, allowed, code, message)
      for _, status in ipairs(all) do
        local payment = in_status(status)
        assert.equal(status, payment.status)
        local answer, got = post("/payments/" .. payment.payment_id .. step, body)
        if allowed[status] then
          assert.equal(200, got, step .. " " .. status .. " " .. json.encode(answer))
        else
          refused(400, code, type(message) == "string" and message:format(status) or message(status), answer, got)
        end
      end
    end

    it("say what may be confirmed", function()
      guard("/confirm", card "4242424242424242", { requires_payment_method = true, requires_confirmation = true }, "IR_16",
        function(status)
          local retry = ", you can enable `manual_retry` in profile to try this payment again"
          return "You cannot confirm this payment because it has status " .. status .. (status == "failed" and retry or "")
        end)
      local body, status = post("/payments/" .. create().payment_id .. "/confirm", {})
      refused(422, "IR_06", "A payment token or payment method data or ctp service details is required", body, status)
    end)

    it("say what may be updated", function()
      guard("", { amount = 1000 }, { requires_payment_method = true, requires_confirmation = true }, "IR_16",
        "You cannot update this payment because it has status %s")
      local payment = create()
      payment = post("/payments/" .. payment.payment_id, { amount = 700, description = "less" })
      assert.same({ 700, 700, "less" }, { payment.amount, payment.amount_capturable, payment.description })
    end)

    it("say what may be cancelled", function()
      guard("/cancel", { cancellation_reason = "changed mind" }, {
        requires_payment_method = true, requires_confirmation = true, requires_customer_action = true, requires_capture = true,
        partially_captured_and_capturable = true,
      }, "IR_16", "You cannot cancel this payment because it has status %s")
      local payment = post("/payments/" .. paid { capture_method = "manual" }.payment_id .. "/cancel",
        { cancellation_reason = "changed mind" })
      assert.same({ "cancelled", "changed mind", 0 }, { payment.status, payment.cancellation_reason, payment.amount_capturable })
      assert.same({ "authorise 10.00 USD", "void 10.00 USD" }, ledger(payment.payment_id))
    end)

    it("say what may be captured: status, then amount", function()
      guard("/capture", { amount_to_capture = 300 }, { requires_capture = true, partially_captured_and_capturable = true }, "IR_14",
        "This Payment could not be captured because it has a payment.status of %s. The expected state is requires_capture, "
          .. "partially_captured_and_capturable, processing")
      local held = paid { capture_method = "manual" }
      local path = "/payments/" .. held.payment_id .. "/capture"
      for _, amount in ipairs { 0, -1 } do
        local body, status = post(path, { amount_to_capture = amount })
        refused(422, "IR_05", "amount contains invalid data. Expected format is positive integer", body, status)
      end
      local body, status = post(path, { amount_to_capture = 1001 })
      refused(422, "IR_06", "amount_to_capture is greater than amount", body, status)
      -- The status comes first, whatever the amount.
      body, status = post("/payments/" .. create().payment_id .. "/capture", { amount_to_capture = -1 })
      assert.same({ "IR_14", 400 }, { body.error.code, status })
      assert.equal("succeeded", post(path).status)
    end)

    it("end a manual capture in part, and go on with several", function()
      local once = in_status "partially_captured"
      assert.same({ 300, 0 }, { once.amount_received, once.amount_capturable })
      local many = in_status "partially_captured_and_capturable"
      local path = "/payments/" .. many.payment_id .. "/capture"
      assert.same({ 300, 700 }, { many.amount_received, many.amount_capturable })
      local body, status = post(path)
      refused(400, "IR_04", "Missing required param: amount_to_capture", body, status)
      body, status = post(path, { amount_to_capture = 701 })
      refused(422, "IR_06", "amount_to_capture is greater than amount", body, status)
      many = post(path, { amount_to_capture = 700 })
      assert.same({ "succeeded", 1000, 2 }, { many.status, many.amount_received, #many.captures })
      assert.same({ "authorise 10.00 USD", "capture 3.00 USD", "capture 7.00 USD" }, ledger(many.payment_id))
      -- One event for each kind, however often it happens.
      assert.same({ "payment_authorized", "payment_captured", "payment_succeeded" }, events(many.payment_id))
    end)

    it("do not let an id be used twice", function()
      create { payment_id = "order-1" }
      local body, status = post("/payments", { payment_id = "order-1", amount = 1, currency = "USD" })
      refused(400, "HE_01", "The payment with the specified payment_id already exists in our records", body, status)
    end)
  end)

  describe("cards", function()
    it("decline with HTTP 200 and a reason", function()
      local rows = {
        ["4000000000000002"] = "Card declined", ["5105105105105100"] = "Card declined",
        ["4000000000009995"] = "Insufficient funds", ["4000000000009987"] = "Lost card", ["4000000000009979"] = "Stolen card",
      }
      for number, reason in pairs(rows) do
        local payment, status = confirm(create(), number)
        assert.equal(200, status)
        assert.same({ "failed", "DC_08", "Payment declined: " .. reason },
          { payment.status, payment.error_code, payment.error_message })
        assert.same({}, ledger(payment.payment_id))
        assert.same({ "payment_failed" }, events(payment.payment_id))
      end
    end)

    it("that are not test cards are not supported; what is no card is not read", function()
      local payment = confirm(create(), "4000056655665556")
      assert.same({ "failed", "DC_04", "Card not supported. Please use test cards" },
        { payment.status, payment.error_code, payment.error_message })
      local body, status = confirm(create(), "4242424242424241")
      refused(400, "IR_06", "Json deserialize error: card_number: invalid card number", body, status)
      local old = card "4242424242424242"
      old.payment_method_data.card.card_exp_year = "2020"
      body, status = go("POST", "/payments/" .. create().payment_id .. "/confirm", old)
      refused(400, "IR_16", "Card Expired", body, status)
    end)

    it("succeed, and are recorded masked", function()
      for _, number in ipairs {
        "4111111111111111", "4242424242424242", "5555555555554444", "38000000000006", "378282246310005", "6011111111111117",
      } do
        assert.equal("succeeded", confirm(create(), number).status)
      end
      local recorded = sandbox:http("GET", "/_sandbox/requests?provider=paymnt").body .. sandbox:http("GET", "/_sandbox/state").body
      assert.is_nil(recorded:find("4242424242424242", 1, true))
      assert.is_nil(recorded:find('"card_cvc":"123"', 1, true))
      assert.is_nil(recorded:find(KEY, 1, true))
    end)

    it("ask for 3-D Secure, which the page finishes", function()
      local payment = confirm(create { return_url = "https://shop.example/done" }, "4000003800000446")
      assert.equal("requires_customer_action", payment.status)
      assert.equal("redirect_to_url", payment.next_action.type)
      local page = testing.http("GET", payment.next_action.redirect_to_url)
      assert.equal(200, page.status)
      assert.is_truthy(page.body:find('data-state="challenge"', 1, true))
      local form = { ["Content-Type"] = "application/x-www-form-urlencoded" }
      page = testing.http("POST", payment.next_action.redirect_to_url, "action=complete&attempt=1", form)
      assert.is_truthy(page.body:find('data-state="succeeded"', 1, true))
      assert.is_truthy(page.body:find("https://shop.example/done?payment_id=" .. payment.payment_id, 1, true))
      assert.equal("succeeded", go("GET", "/payments/" .. payment.payment_id).status)
      assert.same({ "action_required", "payment_succeeded" }, events(payment.payment_id))
      -- And fails there.
      payment = confirm(create(), "4000003800000446")
      page = testing.http("POST", payment.next_action.redirect_to_url, "action=fail&attempt=1", form)
      assert.is_truthy(page.body:find('data-state="failed"', 1, true))
      assert.equal("failed", go("GET", "/payments/" .. payment.payment_id).status)
    end)

    it("are taken by the hosted page, once a form", function()
      local payment = create { payment_link = true, description = "Order 7" }
      local url = payment.payment_link.link
      local form = { ["Content-Type"] = "application/x-www-form-urlencoded" }
      local page = testing.http("GET", url)
      assert.is_truthy(page.body:find("$10.00", 1, true))
      assert.is_truthy(page.body:find("Order 7", 1, true))
      local typed = "action=pay&attempt=0&card_number=4242424242424242&card_expiry=12%2F34&card_cvc=123&card_name=Ann"
      assert.equal(422, testing.http("POST", url, typed:gsub("4242424242424242", "1"), form).status)
      assert.equal(200, testing.http("POST", url, typed, form).status)
      assert.equal(409, testing.http("POST", url, typed, form).status)
      assert.same({ "charge 10.00 USD" }, ledger(payment.payment_id))
      assert.equal(404, testing.http("GET", sandbox.url .. "/pay/pay_none").status)
    end)

    it("pay without the page, through the control API", function()
      local function pay(payment, more)
        more.payment_id = payment.payment_id
        local response = sandbox:http("POST", "/_sandbox/pay", more)
        return response.status, response.json and response.json.status
      end
      assert.same({ 200, "succeeded" }, { pay(create(), { card = "4242424242424242" }) })
      assert.same({ 200, "failed" }, { pay(create(), { card = "4000000000000002" }) })
      assert.same({ 200, "cancelled" }, { pay(create(), { action = "cancel" }) })
      assert.equal(422, (pay(create(), { card = "4000056655665556" })))
      assert.equal(404, (pay({ payment_id = "none" }, { card = "4242424242424242" })))
      assert.equal(409, (pay(paid(), { card = "4242424242424242" })))
      local payment = create()
      assert.same({ 200, "requires_action" }, { pay(payment, { card = "4000003800000446" }) })
      assert.same({ 200, "succeeded" }, { pay(payment, {}) })
    end)
  end)

  it("lets a session expire after 900 seconds", function()
    local payment, kept = create(), create { session_expiry = 3600 }
    testing.advance(sandbox, "899s")
    assert.equal("requires_payment_method", go("GET", "/payments/" .. payment.payment_id).status)
    testing.advance(sandbox, "2s")
    assert.equal("expired", go("GET", "/payments/" .. payment.payment_id).status)
    assert.same({ "payment_expired" }, events(payment.payment_id))
    assert.equal("requires_payment_method", go("GET", "/payments/" .. kept.payment_id).status)
    assert.equal(410, testing.http("GET", sandbox.url .. "/pay/" .. payment.payment_id).status)
  end)

  describe("refunds", function()
    local function refund(payment, more)
      more.payment_id = payment.payment_id
      return go("POST", "/refunds", more)
    end

    it("give back in parts, never more than was captured", function()
      local payment = paid()
      assert.equal(400, (refund(payment, { amount = 400 })).amount)
      assert.equal(600, (refund(payment, { amount = 600, refund_id = "ref-600" })).amount)
      local body, status = refund(payment, { amount = 1 })
      refused(400, "IR_13", "The refund amount exceeds the amount captured", body, status)
      assert.same({ "charge 10.00 USD", "refund 4.00 USD", "refund 6.00 USD" }, ledger(payment.payment_id))
      assert.equal(2, #go("GET", "/payments/" .. payment.payment_id).refunds)
      -- What was captured counts, not what was authorised.
      local path = "/payments/" .. paid { capture_method = "manual" }.payment_id .. "/capture"
      local part = go("POST", path, { amount_to_capture = 300 })
      body, status = refund(part, { amount = 301 })
      refused(400, "IR_13", "The refund amount exceeds the amount captured", body, status)
      assert.equal(300, (refund(part, {})).amount)
    end)

    it("are refused in the API's words", function()
      local payment = paid()
      local body, status = refund(create(), {})
      refused(400, "IR_14", "This Payment could not be refund because it has a status of requires_payment_method. The expected "
        .. "state is succeeded, partially_captured", body, status)
      for _, amount in ipairs { 0, -5 } do
        body, status = refund(payment, { amount = amount })
        refused(422, "IR_05", "amount contains invalid data. Expected format is positive integer", body, status)
      end
      refund(payment, { amount = 1, refund_id = "ref-1" })
      body, status = refund(payment, { amount = 1, refund_id = "ref-1" })
      refused(400, "HE_01", "Duplicate refund request. Refund already attempted with the refund ID", body, status)
      for _ = 2, 11 do assert.equal(200, (select(2, refund(payment, { amount = 1 })))) end
      body, status = refund(payment, { amount = 1 })
      refused(400, "IR_12", "Reached maximum refund attempts", body, status)
    end)

    it("are too late after a year", function()
      local payment = paid()
      testing.advance(sandbox, "366d")
      local body, status = refund(payment, {})
      local message = "created_at contains invalid data. Expected format is created_at not older than 365 days"
      refused(422, "IR_05", message, body, status)
    end)

    it("at the same time do not give back too much", function()
      local payment, list = paid(), {}
      for i = 1, 20 do
        list[i] = {
          method = "POST", url = sandbox.url .. "/refunds", headers = { ["api-key"] = KEY, ["Content-Type"] = "application/json" },
          body = json.encode { payment_id = payment.payment_id, amount = 300 },
        }
      end
      local done = 0
      for _, response in ipairs(testing.native.requests(list)) do
        if response and response.status == 200 then done = done + 1 end
      end
      assert.equal(3, done)
      assert.equal(4, #ledger(payment.payment_id))
    end)

    it("are listed, read and updated", function()
      local payment = paid()
      for i = 1, 3 do refund(payment, { amount = i, refund_id = "list-" .. i }) end
      refund(paid(), { amount = 9 })
      local list = go("POST", "/refunds/list", { payment_id = payment.payment_id, limit = 2 })
      assert.same({ 2, 3 }, { list.count, list.total_count })
      assert.equal(4, go("GET", "/refunds/list").total_count)
      assert.equal("why", go("POST", "/refunds/list-1", { reason = "why" }).reason)
      assert.equal("why", go("GET", "/refunds/list-1").reason)
      local body, status = go("POST", "/refunds/list", { limit = 101 })
      refused(422, "IR_06", "limit should be in between 1 and 100", body, status)
    end)
  end)

  it("lists payments, the newest first", function()
    for i = 1, 12 do
      create { payment_id = "n" .. i, customer_id = i % 2 == 0 and "even" or nil }
      testing.advance(sandbox, "1s")
    end
    local function ids(query)
      local out = {}
      for i, payment in ipairs(go("GET", "/payments/list" .. query).data) do out[i] = payment.payment_id end
      return table.concat(out, " ")
    end
    assert.equal("n12 n11 n10 n9 n8 n7 n6 n5 n4 n3", ids "")
    assert.equal("n12 n10", ids "?customer_id=even&limit=2")
    assert.equal("n10 n9", ids "?starting_after=n11&limit=2")
    assert.equal("n12 n11", ids "?ending_before=n10")
    assert.equal("n1", ids("?created.lte=" .. go("GET", "/payments/n1").created))
    assert.equal(12, go("GET", "/payments/list?limit=100").size)
    for _, limit in ipairs { 0, 101, "x" } do
      local body, status = go("GET", "/payments/list?limit=" .. limit)
      refused(422, "IR_06", "limit should be in between 1 and 100", body, status)
    end
  end)

  describe("Idempotency-Key", function()
    local function keyed(key, body) return go("POST", "/payments", body, { ["Idempotency-Key"] = key }) end
    local order = { amount = 1000, currency = "USD" }

    it("gives the same answer again", function()
      local first, _, fresh = keyed("k1", order)
      local second, status, again = keyed('"k1"', { currency = "USD", amount = 1000 })
      assert.equal(200, status)
      assert.same(first, second)
      assert.equal(fresh.body, again.body)
      assert.equal("true", again.headers["idempotent-replayed"])
      assert.is_nil(fresh.headers["idempotent-replayed"])
      assert.equal(1, go("GET", "/payments/list").size)
    end)

    it("refuses another body, and forgets refusals and what is a day old", function()
      local first = keyed("k2", order)
      assert.equal(422, (select(2, keyed("k2", { amount = 1001, currency = "USD" }))))
      assert.equal(400, (select(2, keyed("k3", { amount = 1 }))))
      assert.equal(200, (select(2, keyed("k3", order))))
      testing.advance(sandbox, "25h")
      assert.not_equal(first.payment_id, keyed("k2", order).payment_id)
    end)

    it("lets one of fifty at once through", function()
      local list = {}
      for i = 1, 50 do
        list[i] = {
          method = "POST", url = sandbox.url .. "/payments", body = json.encode(order),
          headers = { ["api-key"] = KEY, ["Content-Type"] = "application/json", ["Idempotency-Key"] = "race" },
        }
      end
      for _, response in ipairs(testing.native.requests(list)) do assert.equal(200, response.status) end
      assert.equal(1, go("GET", "/payments/list").size)
    end)
  end)

  describe("dialects", function()
    local documented = { ["X-Sandbox-Dialect"] = "documented" }

    local function error_of(method, path, body, headers)
      local sent = { ["X-Sandbox-Dialect"] = "documented" }
      for name, value in pairs(headers or {}) do sent[name] = value end
      local answer, status = go(method, path, body, sent)
      assert.equal(status, answer.error.status)
      assert.is_table(answer.error.details)
      assert.matches("^req_", answer.error.request_id)
      return status, answer.error.type, answer.error.code
    end

    it("has the documented one on request", function()
      assert.same({ 400, "validation_error", "CE_AMOUNT_INVALID" },
        { error_of("POST", "/payments", { amount = "x", currency = "USD" }) })
      assert.same({ 401, "authentication_error", "IR_01" }, { error_of("GET", "/payments/x", nil, { ["api-key"] = "no" }) })
      assert.same({ 404, "not_found", "HE_02" }, { error_of("GET", "/payments/x") })
      assert.same({ 409, "conflict", "IR_16" }, { error_of("POST", "/payments/" .. paid().payment_id .. "/cancel", {}) })
      assert.same({ 422, "unprocessable_entity", "IR_06" }, { error_of("GET", "/payments/list?limit=0") })
      local payment = create(documented)
      assert.equal(200, (select(2, go("GET", "/payments/" .. payment.payment_id, nil, documented))))
    end)

    it("answers every code that is asked for, without doing anything", function()
      local types = {
        [400] = "validation_error", [401] = "authentication_error", [403] = "authorization_error", [404] = "not_found",
        [409] = "conflict", [422] = "unprocessable_entity", [429] = "rate_limit", [500] = "internal_error",
        [502] = "connector_error", [503] = "connector_error", [504] = "connector_error",
      }
      for status, name in pairs(types) do
        local fault = { ["X-Sandbox-Fault"] = "error=" .. status }
        local got, kind = error_of("POST", "/payments", { amount = 1, currency = "USD" }, fault)
        assert.same({ status, name }, { got, kind })
      end
      for _, code in ipairs { "IR_00", "IR_16", "IR_38", "HE_00", "HE_05", "CE_00", "CE_01", "CE_08", "WE_01", "WE_06" } do
        local body = go("POST", "/payments", { amount = 1, currency = "USD" }, { ["X-Sandbox-Fault"] = "error=" .. code })
        assert.equal(code, body.error.code)
      end
      local body, status = go("POST", "/payments", { amount = 1, currency = "USD" }, { ["X-Sandbox-Fault"] = "error=blocked" })
      assert.same({ 200, "blocked" }, { status, body.error.type })
      assert.equal(0, go("GET", "/payments/list").size)
    end)
  end)

  describe("webhooks", function()
    local function listen()
      receiver = testing.native.receiver()
      sandbox:http("PUT", "/_sandbox/endpoints", { paymnt = "http://127.0.0.1:" .. receiver:port() .. "/hooks" })
    end

    local function came(count)
      testing.wait_until(function() return receiver:count() >= count end, count .. " webhooks came")
      return receiver:requests()
    end

    it("are signed and say what happened", function()
      listen()
      local payment = paid()
      local request = came(1)[1]
      assert.matches("^%x+$", request.headers["x-webhook-signature-512"])
      assert.equal(128, #request.headers["x-webhook-signature-512"])
      local body = json.decode(request.body)
      assert.equal("payment_succeeded", body.event_type)
      assert.equal("payment_details", body.content.type)
      assert.equal(payment.payment_id, body.content.object.payment_id)
      assert.matches("^evt_%x+$", body.event_id)
      go("POST", "/refunds", { payment_id = payment.payment_id })
      body = json.decode(came(2)[2].body)
      assert.same({ "refund_succeeded", "refund_details" }, { body.event_type, body.content.type })
    end)

    it("are sent again with the same bytes: 1 min, 2 times 5, 5 times 10, 5 times an hour, 3 times 6 hours", function()
      listen()
      receiver:answer(500)
      paid()
      came(1)
      testing.wait_until(function()
        return sandbox:http("GET", "/_sandbox/webhooks?provider=paymnt").json.data[1].attempts == 1
      end, "the first attempt is noted: the next is counted from it")
      local waits = { "1m", "5m", "5m", "10m", "10m", "10m", "10m", "10m", "1h", "1h", "1h", "1h", "1h", "6h", "6h", "6h" }
      for i, wait in ipairs(waits) do
        testing.advance(sandbox, wait)
        assert.equal(i + 1, receiver:count(), "after " .. wait)
      end
      testing.advance(sandbox, "30d")
      local requests = receiver:requests()
      assert.equal(17, #requests)
      for _, request in ipairs(requests) do
        assert.equal(requests[1].body, request.body)
        assert.equal(requests[1].headers["x-webhook-signature-512"], request.headers["x-webhook-signature-512"])
      end
    end)

    it("are doubled, delayed and lost on demand", function()
      listen()
      local function arm(fault)
        sandbox:http("POST", "/_sandbox/faults", { match = { provider = "paymnt", event = "payment_succeeded" }, fault = fault })
      end
      arm "duplicate"
      paid()
      local both = came(2)
      assert.equal(both[1].body, both[2].body)
      arm "lose"
      paid()
      arm "delay=60000"
      paid()
      arm "reorder"
      local late = paid()
      assert.equal(2, receiver:count())
      testing.advance(sandbox, "6s")
      assert.equal(late.payment_id, json.decode(came(3)[3].body).content.object.payment_id)
      testing.advance(sandbox, "60s")
      assert.equal(4, receiver:count())
    end)
  end)
end)
