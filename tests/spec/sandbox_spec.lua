-- The sandbox's control routes that are the program's own: clock, state, webhooks; and where it may listen.

local testing = require "mintage.testing"
local json = testing.json

local credentials = { ["X-Client-ID"] = "mintro_test_client", ["X-Client-Secret"] = "mintro_test_secret" }

describe("mintage sandbox", function()
  local sandbox, receiver

  before_each(function()
    receiver = testing.native.receiver()
    sandbox = testing.start("sandbox", { webhooks = "http://127.0.0.1:" .. receiver:port() .. "/hooks" })
    testing.wait_until(function() return sandbox:http("GET", "/_sandbox/endpoints").json.mintro end, "--webhooks is set")
  end)
  after_each(function()
    receiver:close()
    testing.clean_up()
  end)

  local function intent(reference, metadata)
    local response = sandbox:http("POST", "/api/platform/intents", {
      amount = 80, currency = "USD", intent_type = "one_time", email = "a@example.com", name = "A", reference_id = reference,
      order_items = json.array { { name = "x", quantity = 1, price = 80 } }, integration_type = "url",
      success_url = "https://example.com/ok", cancel_url = "https://example.com/no",
      metadata = metadata,
    }, credentials)
    assert.is_true(response.status < 300, response.body)
    return response.json.data.intent_id
  end

  local function pay(id)
    return sandbox:http("POST", "/_sandbox/pay", { intent_id = id, card = "4242424242424242" })
  end

  it("listens on loopback only", function()
    for _, host in ipairs { "0.0.0.0", "192.0.2.1" } do
      local result = testing.run { "sandbox", "--port", "0", "--host", host, "--data", testing.folder() }
      assert.equal(2, result.code)
      assert.matches("loopback", result.err)
    end
  end)

  it("moves its clock forward, never back, and keeps it over a restart", function()
    local function now() return sandbox:http("GET", "/_sandbox/clock").json.now end
    local before = now()
    assert.is_true(testing.advance(sandbox, "30d") > before)
    for _, body in ipairs {
      { advance = "-1d" }, { advance = "soon" }, { advance = true }, {}, { advance = "20000d" }, { advanc = "1d" },
    } do
      assert.equal(422, sandbox:http("POST", "/_sandbox/clock", body).status, json.encode(body))
    end
    local later = now()
    sandbox:kill()
    sandbox:launch()
    assert.is_true(now() >= later)
  end)

  it("sends webhooks, lists them, and sends them again", function()
    local id = intent "SB-1"
    assert.equal(200, pay(id).status)
    testing.wait_until(function() return #receiver:requests() == 1 end, "the webhook came")
    assert.equal("/hooks/mintro", receiver:requests()[1].path)
    local listed = sandbox:http("GET", "/_sandbox/webhooks?provider=mintro&event=payment.succeeded").json.data
    assert.equal(1, #listed)
    assert.equal(id, listed[1].body.data.intent_id)
    testing.wait_until(function()
      return sandbox:http("GET", "/_sandbox/webhooks").json.data[1].state == "delivered"
    end, "it is delivered")
    assert.equal(200, sandbox:http("POST", "/_sandbox/webhooks/" .. listed[1].id .. "/redeliver").status)
    testing.wait_until(function() return #receiver:requests() == 2 end, "it came again")
    assert.equal(receiver:requests()[1].body, receiver:requests()[2].body)
    assert.equal(0, #sandbox:http("GET", "/_sandbox/webhooks?provider=paymnt").json.data)
    assert.equal(404, sandbox:http("POST", "/_sandbox/webhooks/none/redeliver").status)
  end)

  it("tries failed webhooks again as time goes by", function()
    receiver:answer(500)
    assert.equal(200, pay(intent "SB-2").status)
    testing.wait_until(function() return #receiver:requests() >= 1 end, "the first attempt")
    receiver:answer(200)
    testing.advance(sandbox, "2m")
    assert.equal(2, #receiver:requests())
    assert.equal("delivered", sandbox:http("GET", "/_sandbox/webhooks").json.data[1].state)
  end)

  local function arm(match, fault, times)
    return sandbox:http("POST", "/_sandbox/faults", { match = match, fault = fault, times = times })
  end

  local function consumed(id)
    for _, fault in ipairs(sandbox:http("GET", "/_sandbox/faults").json.data) do
      if fault.id == id then return fault.consumed end
    end
  end

  it("finds a fault among any number of them", function()
    for i = 1, 150 do assert.equal(201, arm({ provider = "mintro", reference = "OTHER-" .. i }, "status=503").status) end
    local body = arm({ provider = "mintro", contains = '"reference_id":"SB-4"' }, "status=503").json
    local any = arm({ reference = "SB-5" }, "status=503", 2).json
    intent "SB-3"
    assert.has_error(function() intent "SB-4" end)
    intent "SB-4"
    assert.equal(1, consumed(body.id))
    assert.has_error(function() intent "SB-5" end)
    assert.equal(1, consumed(any.id))
    assert.has_error(function() intent "SB-5" end)
    assert.equal(2, consumed(any.id))
    intent "SB-5"
    assert.equal(152, #sandbox:http("GET", "/_sandbox/faults").json.data)
    assert.equal(204, sandbox:http("DELETE", "/_sandbox/faults").status)
    assert.equal(0, #sandbox:http("GET", "/_sandbox/faults").json.data)
    intent "OTHER-1"
  end)

  it("loses the webhooks of one payment alone", function()
    local fault = arm({ provider = "mintro", reference = "SB-6" }, "lose").json
    local lost, sent = intent "SB-6", intent "SB-7"
    pay(sent)
    pay(lost)
    testing.wait_until(function() return receiver:count() == 1 end, "the other webhook came")
    assert.equal(sent, json.decode(receiver:requests()[1].body).data.intent_id)
    assert.equal(1, consumed(fault.id))
  end)

  it("refuses faults that could never happen", function()
    for _, row in ipairs {
      { { event = "payment.succeeded" }, "reset", "event" }, { { operation = "intents.create" }, "lose", "operation" },
      { { path = "/x" }, "duplicate", "path" }, { { method = "POST" }, "reorder", "method" }, { { body = "x" }, "reset", "body" },
      { { contains = 7 }, "reset", "contains" },
    } do
      local response = arm(row[1], row[2])
      assert.equal(422, response.status, response.body)
      assert.matches("match." .. row[3], response.json.detail, 1, true)
    end
  end)

  it("tells its lists in pages, each after the last entry of the one before", function()
    for i = 1, 3 do pay(intent("PAGE-" .. i)) end
    local seen, after = {}, ""
    repeat
      local page = sandbox:http("GET", "/_sandbox/ledger?kind=charge&limit=2&after=" .. after).json.data
      for _, row in ipairs(page) do seen[#seen + 1], after = row.reference, row.id end
    until #page < 2
    assert.equal("PAGE-1 PAGE-2 PAGE-3", table.concat(seen, " "):match "PAGE%-1.*")
  end)

  it("tells its state in pages, list by list, and of one provider", function()
    for i = 1, 3 do intent("STATE-" .. i) end
    local function state(query)
      local answer = sandbox:http("GET", "/_sandbox/state" .. query)
      return answer.status == 200 and answer.json or answer.json.detail
    end
    local whole = state ""
    assert.is_nil(whole.next)
    local names = {}
    for name in pairs(whole.providers) do names[#names + 1] = name end
    table.sort(names)
    assert.equal("mint mintro paymint paymnt", table.concat(names, " "))
    local page, seen = state "?provider=mintro&limit=2", {}
    assert.same({ "mintro" }, { next(page.providers) and "mintro", next(page.providers, "mintro") })
    assert.is_not_nil(page.providers.mintro.subscriptions)
    while true do
      for _, one in ipairs(page.providers.mintro.intents) do seen[#seen + 1] = one.intent_id end
      local after = page.next and page.next["mintro.intents"]
      if not after then break end
      page = state("?list=mintro.intents&limit=2&after=" .. after)
      assert.is_nil(page.providers.mintro.subscriptions)
    end
    local wanted = {}
    for _, one in ipairs(whole.providers.mintro.intents) do wanted[#wanted + 1] = one.intent_id end
    assert.same(wanted, seen)
    assert.matches("no provider", state "?provider=nobody")
    assert.matches("no filter", state "?lst=x")
    assert.matches("1 to 1000", state "?limit=0")
    assert.matches("after wants", state "?after=x")
  end)

  it("cuts requests where an answer would be large, and says where it goes on", function()
    local filler = ("x"):rep(60000)
    for i = 1, 60 do intent("LARGE-" .. i, { filler = filler }) end
    local seen, pages, after = 0, 0, nil
    repeat
      local path = "/_sandbox/requests?operation=intents.create" .. (after and "&after=" .. after or "")
      local answer = sandbox:http("GET", path)
      assert.is_true(#answer.body < 4 << 20)
      for _, request in ipairs(answer.json.data) do
        if type(request.body) == "table" and request.body.reference_id:find "^LARGE" then seen = seen + 1 end
      end
      pages, after = pages + 1, answer.json.next
    until not after
    assert.equal(60, seen)
    assert.is_true(pages > 1)
  end)

  it("forgets everything but where webhooks go", function()
    pay(intent "SB-3")
    assert.equal(204, sandbox:http("DELETE", "/_sandbox/state").status)
    assert.equal(0, #sandbox:http("GET", "/_sandbox/ledger").json.data)
    assert.equal(0, #sandbox:http("GET", "/_sandbox/webhooks").json.data)
    assert.equal(0, #sandbox:http("GET", "/_sandbox/requests").json.data)
    assert.matches("/hooks/mintro$", sandbox:http("GET", "/_sandbox/endpoints").json.mintro)
    assert.equal(200, pay(intent "SB-3").status)
  end)
end)
