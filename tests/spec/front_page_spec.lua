-- The sandbox's front page keeps what it promises: every curl example on it works as pasted into a shell, in the page's order and
-- in a shell of its own; its links lead somewhere; its cards and amounts do what they are said to do, and `mintage sandbox --help`
-- lists the same ones.

local testing = require "mintage.testing"
local json = testing.json

local function plain(html)
  return (html:gsub("<[^>]*>", ""):gsub("&quot;", '"'):gsub("&#39;", "'"):gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&amp;", "&"))
end

-- By what a command holds: what must stand in what it prints.
local promises = {
  { "api/platform/intents/reference", { '"status":"requires_payment"', '"amount":"80.00"', "/pay/", '{"status":"succeeded"}' } },
  { "pwapi/mint", { '"pin_nominal_value":"5.0000"', '"balance_amount":"9939.0655"', '"change_amount":0.12,' } },
  { "/refunds", {
    '"status":"requires_payment_method"', '"status":"requires_capture"', '"amount_received":1000', '"amount":400',
    '"reason":"requested_by_customer"', '"status":"succeeded"',
  } },
  { "4000003800000446", { '"status":"requires_customer_action"', '"status":"succeeded"}' } },
  { "paymint/request", { '"code":"0000"', '"shortURL":"http://127.0.0.1:', '{"status":"succeeded"}', '"appr_state":"F"' } },
  { "autopay/register", { '"customer_id":"member-1"', '{"status":"succeeded"}', '"appr_pay_type":"CARD_RP"' } },
  { "/_sandbox/clock -d", {
    '"now":"', '"consumed":0,"fault":"drop_response"', '"kind":"charge"', '"operation":"intents.create"',
  } },
}

local function promise_of(command)
  for _, row in ipairs(promises) do
    if command:find(row[1], 1, true) then return row end
  end
  error("nothing is expected of the example\n" .. command)
end

describe("the sandbox's front page", function()
  local sandbox, page

  setup(function()
    sandbox = testing.start("sandbox", {})
    page = sandbox:http("GET", "/").body
  end)
  teardown(testing.clean_up)

  it("shows curl that works as pasted", function()
    local fresh = testing.start("sandbox", {})
    local dir, count, seen = testing.folder(), 0, {}
    for block in fresh:http("GET", "/").body:gmatch "<pre[^>]*><code>(.-)</code></pre>" do
      local command = plain(block)
      local promise = promise_of(command)
      seen[promise] = true
      -- The paste itself is not touched: curl only tells, besides, how it ended.
      testing.write(dir .. "/paste.sh", [[curl() { command curl -sS -w ' =%{http_code}\n' "$@"; }]] .. "\n" .. command .. "\n")
      local process = testing.native.spawn({ "/bin/sh", dir .. "/paste.sh" }, { out = dir .. "/out" .. count, err = dir .. "/err" })
      local code = process:wait(60000)
      process:close()
      local out = testing.read(dir .. "/out" .. count)
      assert.equal("", testing.read(dir .. "/err"))
      assert.equal(0, code, out)
      for status in out:gmatch " =(%d+)\n" do assert.equal("2", status:sub(1, 1), out) end
      local at = 1
      for _, text in ipairs(promise[2]) do -- one after the other
        local first, last = out:find(text, at, true)
        assert(first, ("%s\nprints no %s after what went before:\n%s"):format(command, text, out))
        at = last + 1
      end
      for _ in command:gmatch "%f[%w]curl%f[%W]" do count = count + 1 end
    end
    for _, promise in ipairs(promises) do assert(seen[promise], "no example has " .. promise[1]) end
    assert.is_true(count >= 19, count .. " commands")
    fresh:stop()
  end)

  it("links to what there is", function()
    local count = 0
    for path in page:gmatch 'href="(/[^"]*)"' do
      assert.equal(200, sandbox:http("GET", path).status, path)
      count = count + 1
    end
    assert.is_true(count >= 7)
  end)

  -- The rows of the table of cards: number, brand, what charging it does.
  local function cards()
    local list = {}
    for number, brand, what in page:gmatch "<tr><td><code>([%d ]+)</code></td><td>(%a+)</td><td>(.-)</td></tr>" do
      list[#list + 1] = { number = number:gsub(" ", ""), brand = brand, what = plain(what) }
    end
    assert.is_true(#list >= 20)
    return list
  end

  it("says what each card does", function()
    local who = { ["X-Client-ID"] = "mintro_test_client", ["X-Client-Secret"] = "mintro_test_secret" }
    for i, card in ipairs(cards()) do
      local made = sandbox:http("POST", "/api/platform/intents", {
        amount = 80, currency = "USD", intent_type = "recurring", interval_days = 1, email = "a@example.com", name = "x",
        reference_id = "CARD-" .. i, integration_type = "iframe", order_items = { { name = "x", quantity = 1, price = 80 } },
      }, who)
      local id = made.json.data.intent_id
      local function pay(body) return sandbox:http("POST", "/_sandbox/pay", body).json.status end
      local status = pay { intent_id = id, card = card.number }
      if card.what:find "3%-D Secure" then
        assert.equal("requires_action", status, card.number)
        status = pay { intent_id = id }
      end
      local succeeds = card.what:find "succeeded" ~= nil
      assert.equal(succeeds and "succeeded" or "failed", status, card.number)

      if succeeds then
        local before = #sandbox:http("GET", "/_sandbox/ledger?reference=CARD-" .. i).json.data
        testing.advance(sandbox, "25h")
        local renewals = #sandbox:http("GET", "/_sandbox/ledger?reference=CARD-" .. i).json.data - before
        assert.equal(card.what:find "later charge" and 0 or 1, renewals, card.number)
      end
    end
  end)

  -- "05" and what it does.
  local function amounts()
    local list = {}
    for digits, says in page:gmatch '<tr><th scope="row">…(%d%d)</th><td>(.-)</td></tr>' do
      list[#list + 1] = { digits = digits, says = plain(says) }
    end
    assert.equal(4, #list)
    return list
  end

  it("says what amounts do", function()
    local key = { ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-MMK-Mode"] = "true" }
    sandbox:http("POST", "/paymint/autopay/register", { customer_id = "c", member_nm = "x", phone = "01012345678" }, key)
    sandbox:http("POST", "/_sandbox/pay", { customer_id = "c", card = "4242424242424242" })
    for _, amount in ipairs(amounts()) do
      local answer = sandbox:http("POST", "/paymint/autopay/request",
        { customer_id = "c", product_nm = "x", price = tonumber("10" .. amount.digits) }, key).json
      assert.equal(amount.says:match "code (%d+)", answer.code, amount.digits)
    end
  end)

  it("lists the cards and amounts of mintage sandbox --help, and it those of the page", function()
    local help = testing.run({ "sandbox", "--help" }).out
    local of_help, count = {}, 0
    for line in help:gmatch "[^\n]+" do
      local numbers, what = line:match "^  (%d%d%d%d%d%d%d%d[%d ]-)   +(%S.*)$"
      if numbers then
        for number in numbers:gmatch "%d+" do
          of_help[number] = what
          count = count + 1
        end
      end
    end
    for _, card in ipairs(cards()) do
      local what = of_help[card.number]
      assert(what, card.number .. " is not in the help")
      assert.equal(card.what:match "^[^;]+", what:match "^[^;]+", card.number)
      assert.equal(card.what:match ": (.*)$", what:match ": (.*)$", card.number)
      count = count - 1
    end
    assert.equal(0, count)
    for _, amount in ipairs(amounts()) do
      assert(help:find(("  ...%s  %s\n"):format(amount.digits, amount.says), 1, true), amount.digits)
    end
  end)

  it("moves on with the sandbox's clock", function()
    testing.advance(sandbox, "30d")
    local now = sandbox:http("GET", "/_sandbox/clock").json
    local hours, minutes, seconds = now.now:match "T(%d+):(%d+):(%d+)"
    assert.equal(hours * 3600 + minutes * 60 + seconds, now.unix % 86400)
    assert.matches('"unix":%d+}$', json.encode(now))
  end)
end)
