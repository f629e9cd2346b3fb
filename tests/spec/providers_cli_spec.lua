-- Providers: what their tables say is printed without a runtime; what a runtime knows of them (accounts, breakers,
-- calls) is in GET /v1/providers and printed with --live.

local testing = require "mintage.testing"
local json = testing.json

local flows = {
  ["ask.lua"] = [[
local flow = require "mintage.flow"
local mintro = require "mintage.mintro"
return flow.define {
  name = "ask",
  input = { id = "string" },
  run = function(input) return { status = mintro.intents.get { intent_id = input.id }.status } end,
}
]],
}

local INTENT = "pi_44444444-4444-4444-8444-444444444444"

local function named(list, name)
  for _, row in ipairs(list) do
    if row.name == name then return row end
  end
end

describe("mintage providers", function()
  local names = { "mintro", "paymnt", "mint", "paymint", "http", "webhooks" }

  local function plain(args, width)
    local all = { "providers" }
    for _, arg in ipairs(args) do all[#all + 1] = arg end
    return testing.run(all, { env = { "COLUMNS=" .. (width or 100) } })
  end

  it("lists all operations of all providers without a runtime", function()
    local result = plain {}
    assert.equal(0, result.code, result.err)
    assert.equal("", result.err)
    for _, name in ipairs(names) do assert.matches("\n?" .. name .. "  ", result.out) end
    assert.matches("intents%.create%s+keyed%s+money%s+POST /api/platform/intents\n", result.out)
    assert.matches("epins%.redeem%s+unsafe%s+money%s+POST /api/pure%-mint/payment\n", result.out)
    assert.is_nil(result.out:find "breaker")
  end)

  it("tells all about one", function()
    local result = plain { "mintro" }
    assert.equal(0, result.code, result.err)
    assert.matches("https://mintro%.paywithwallet%.net", result.out)
    assert.matches("X%-Client%-ID and X%-Client%-Secret are headers", result.out)
    assert.matches("client_secret%s+MINTAGE_MINTRO_CLIENT_SECRET%s+required, secret", result.out)
    assert.matches("mintro%.intents%.create\n", result.out)
    assert.matches("amount%s+money%s+required%s+transaction total", result.out)
    assert.matches("interval_days%s+integer, 1 to 36500", result.out)
    assert.matches("same idempotency key and the same bytes, for 1 day", result.out)
    assert.matches("answer%s+intent_id, status, amount, payment_url\n", result.out)
    assert.matches("404%s+not_found%s+Not Found", result.out)
    assert.matches("500%s+unavailable%s+retryable", result.out)
    assert.matches("/webhooks/mintro", result.out)
    assert.matches("epin%s+string, 1 to 64 bytes%s+required, secret", plain({ "mint" }).out)
  end)

  it("tells about one operation", function()
    local result = plain { "mint.epins.redeem" }
    assert.equal(0, result.code, result.err)
    assert.matches("mint%.epins%.redeem", result.out)
    assert.is_nil(result.out:find("epins.generate", 1, true))
  end)

  it("keeps to the width of the line", function()
    for _, name in ipairs(names) do
      for line in plain({ name }, 80).out:gmatch "[^\n]+" do
        -- Titles are not broken, nor is what stands in the first columns of a table.
        if line:find "^    " then assert.is_true(utf8.len(line) <= 80, name .. ": " .. line) end
      end
    end
  end)

  it("names the nearest when there is none of that name", function()
    for name, wanted in pairs {
      ["mintr"] = 'did you mean "mintro"', ["mintro.intents.creat"] = "mintro.intents.create",
      ["mint.redeem"] = "mint.epins.redeem", ["nobody"] = "nobody", ["mintro."] = "it has",
    } do
      local result = plain { name }
      assert.equal(2, result.code, name)
      assert.matches(wanted, result.err, 1, true)
      assert.equal("", result.out)
    end
  end)

  it("prints JSON for programs", function()
    local all = json.decode(plain({ "--json" }).out)
    assert.equal(#names, #all.data)
    local one = json.decode(plain({ "paymnt", "--json" }).out).data
    assert.equal(1, #one)
    assert.same(named(all.data, "paymnt"), one[1])
    local create = named(one[1].operations, "payments.create")
    assert.equal("keyed", create.repeat_ or create["repeat"])
    assert.is_true(create.moves_money)
    assert.equal("POST", create.method)
    assert.equal("/payments", create.path)
    assert.is_true(named(create.params, "amount").required)
    assert.is_true(named(create.params, "payment_token").secret)
    assert.is_true(named(one[1].credentials, "api_key").secret)
    assert.equal(1, #json.decode(plain({ "paymnt.payments.create", "--json" }).out).data[1].operations)
  end)

  it("prints what the pages of reference say", function()
    for _, name in ipairs(names) do
      local page = testing.read("core/providers/reference/" .. name .. ".md")
      for _, op in ipairs(json.decode(plain({ name, "--json" }).out).data[1].operations) do
        assert.is_truthy(page:find("### " .. name .. "." .. op.name .. "\n\n" .. op.doc, 1, true), op.name)
      end
    end
  end)
end)

describe("providers of a runtime", function()
  local runtime

  local function providers() return runtime:api("GET", "/v1/providers").json.data end

  local function live(...)
    return testing.run { "providers", ..., "--url", runtime.url, "--data", runtime.data }
  end

  after_each(testing.clean_up)

  it("show their account, their breaker and their calls", function()
    local sandbox
    runtime, sandbox = testing.pair { flows = testing.flows(flows) }
    local mintro = named(providers(), "mintro")
    assert.is_true(mintro.configured)
    assert.equal("sandbox", mintro.account)
    assert.equal(sandbox.url, mintro.base_url)
    assert.equal("closed", mintro.breaker)
    assert.equal(0, mintro.breaker_opened)
    assert.same({ not_sent = 0, rejected = 0, done = 0, unknown = 0 }, named(mintro.operations, "intents.get").calls)
    assert.is_nil(named(providers(), "http").breaker)
    local run = runtime:run("ask", { id = INTENT })
    runtime:wait_for(run.id, "failed")
    assert.equal(1, named(named(providers(), "mintro").operations, "intents.get").calls.rejected)
    local result = live "mintro"
    assert.equal(0, result.code, result.err)
    assert.matches("account%s+configured %(sandbox%)\n", result.out)
    assert.matches("breaker%s+closed; opened 0 times\n", result.out)
    assert.matches("1 rejected", result.out)
    assert.is_nil(result.out:find "mintro_test_secret")
    assert.is_nil(live("--no-live").out:find "breaker")
  end)

  it("show that a breaker is open", function()
    -- Nothing answers at port 9 of this machine; the runs go on asking, so they are left.
    runtime = testing.start("serve", {
      flows = testing.flows(flows),
      env = {
        "MINTAGE_MINTRO_BASE_URL=http://127.0.0.1:9", "MINTAGE_MINTRO_CLIENT_ID=id",
        "MINTAGE_MINTRO_CLIENT_SECRET=a-secret-of-ours",
      },
    })
    for _ = 1, 8 do runtime:run("ask", { id = INTENT }) end
    local mintro = testing.wait_until(function()
      local row = named(providers(), "mintro")
      return row.breaker_opened > 0 and row
    end, "the breaker has opened", 20000)
    assert.is_true(mintro.breaker == "open" or mintro.breaker == "half_open", mintro.breaker)
    local calls = named(mintro.operations, "intents.get").calls
    assert.is_true(calls.not_sent + calls.unknown >= 5)
    assert.is_nil(runtime:api("GET", "/v1/providers").body:find "a-secret-of-ours")
    assert.matches("opened %d+ times", live("mintro").out)
  end)

  it("are not asked for without a need, and say so when none answers", function()
    local result = testing.run { "providers", "mintro", "--live", "--url", "http://127.0.0.1:9", "--token", "0123456789abcdef" }
    assert.equal(1, result.code)
    assert.matches("no runtime answers", result.err)
    assert.equal(0, testing.run({ "providers", "mintro", "--data", "/dev/null/x" }).code)
  end)
end)
