-- MINT from flows, against the sandbox: every documented code is met, what may have happened is never done twice, and a code
-- is seen by nobody but the script that asked for it.

local testing = require "mintage.testing"
local json = testing.json
local lfs = require "lfs"
local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local mint = dofile(here .. "mint_support.lua")

local flows = {
  ["voucher.lua"] = [[
local flow = require "mintage.flow"
local http = require "mintage.http"
local mint = require "mintage.mint"

local function told(err)
  return { kind = err.kind, code = err.code, outcome = err.outcome, retryable = err.retryable or false, message = err.message }
end

return flow.define {
  name = "voucher",
  input = { amount = "money", count = "integer?", test = "boolean?", account_type = "string?", hook = "string?",
    pay = "money?", user = "string?" },
  run = function(input)
    local bought, err = flow.try(mint.epins.generate,
      { amount = input.amount, count = input.count, test = input.test, account_type = input.account_type })
    if err then return told(err) end
    local epin = bought.epins[1]
    if input.hook then http.post { url = input.hook, json = { pin_code = epin.pin_code } } end
    local output = { count = #bought.epins, value = epin.pin_nominal_value, reference = bought.reference,
      life = epin.pin_time_expired and epin.pin_time_expired - epin.pin_generated_time }
    if not input.pay then return output end
    local paid
    paid, err = flow.try(mint.epins.redeem, { epin = epin.pin_code, amount = input.pay, user_id = input.user or "12345" })
    if err then return told(err) end
    output.change = paid.change_amount
    return output
  end,
}
]],
  ["rush.lua"] = [[
local flow = require "mintage.flow"
local mint = require "mintage.mint"
return flow.define {
  name = "rush",
  input = { amount = "money", times = "integer" },
  run = function(input)
    local code = mint.epins.generate({ amount = input.amount }).epins[1].pin_code
    local calls = {}
    for i = 1, input.times do
      calls[i] = { mint.epins.redeem, { epin = code, amount = input.amount, user_id = "rush-" .. i } }
    end
    local won, codes = 0, {}
    for _, result in ipairs(flow.all(calls)) do
      local err = result.err
      if err then codes[err.code] = (codes[err.code] or 0) + 1 else won = won + 1 end
    end
    return { won = won, codes = codes }
  end,
}
]],
  ["funds.lua"] = [[
local flow = require "mintage.flow"
local mint = require "mintage.mint"
return flow.define {
  name = "funds",
  input = { currency = "string?" },
  run = function(input)
    if input.currency then return mint.balances.get { currency = input.currency } end
    return mint.balances.list()
  end,
}
]],
}

describe("MINT in a flow", function()
  local runtime, sandbox

  setup(function() runtime, sandbox = testing.pair { flows = testing.flows(flows), log_level = "debug" } end)
  teardown(testing.clean_up)
  before_each(function() assert.equal(204, sandbox:http("DELETE", "/_sandbox/state").status) end)

  local function ended(flow, input)
    local run = runtime:run(flow, input, { wait = "20s" })
    assert.equal("completed", run.state, json.encode(run))
    return run.output
  end

  local function voucher(change)
    local input = { amount = "5.00 USD" }
    for name, value in pairs(change or {}) do input[name] = value end
    return input
  end

  local function arm(operation, fault, times)
    local response = sandbox:http("POST", "/_sandbox/faults", { match = { operation = operation }, fault = fault, times = times })
    assert.equal(201, response.status, response.body)
  end

  local function received(operation)
    return sandbox:http("GET", "/_sandbox/requests?provider=mint&operation=" .. operation).json.data
  end

  it("generates ePINs, pays with one and reads balances", function()
    local output = ended("voucher", voucher { count = 2, pay = "4.88 USD" })
    assert.same({ 2, "5.00 USD", 31536000, "0.12 USD" }, { output.count, output.value, output.life, output.change })
    assert.equal("/pwapi/mint", received("epins.generate")[1].path)
    assert.same({ cu_code = "USD", balance_amount = "9934.0655" }, (function()
      local funds = ended("funds", { currency = "USD" })
      funds.reference = nil
      return funds
    end)())
    local funds = ended "funds"
    assert.same({ cu_code = "UAH", balance_amount = "0.0000", balance = "0.00 UAH" }, funds.balances[2])
    ended("voucher", voucher { account_type = "app" })
    assert.equal("/pwapi/partners-mint", received("epins.generate")[2].path)
    local kinds = {}
    for i, entry in ipairs(sandbox:http("GET", "/_sandbox/ledger?provider=mint").json.data) do kinds[i] = entry.kind end
    assert.same({ "issue", "issue", "redeem", "issue" }, kinds)
  end)

  it("hears why not, and asks once", function()
    for _, row in ipairs {
      { { amount = "9945.00 USD" }, "3", "insufficient_funds" }, { { amount = "10001.00 USD" }, "10", "limit" },
      { { amount = "5.00 EUR" }, "9", "permission" }, { { amount = "5.00 GBP" }, "7", "invalid_request" },
      { { count = 101 }, "4", "invalid_request" }, { { pay = "5.01 USD" }, "3009", "insufficient_funds" },
      { { pay = "5.00 UAH" }, "2004", "invalid_request" }, { { pay = "5.00 USD", user = "banned" }, "1003", "permission" },
      { { pay = "5.00 USD", test = true }, "3006", "not_found" },
    } do
      local before = #received "epins.generate" + #received "epins.redeem"
      local output = ended("voucher", voucher(row[1]))
      assert.same({ row[2], row[3], "rejected", false }, { output.code, output.kind, output.outcome, output.retryable })
      assert.equal(before + (row[1].pay and 2 or 1), #received "epins.generate" + #received "epins.redeem")
    end
  end)

  it("meets every documented code, and repeats nothing", function()
    local kinds = {
      ["-32000"] = "authentication", ["-32001"] = "permission", ["-32002"] = "rate_limited", ["-32003"] = "unsupported",
      ["-32004"] = "unavailable", ["-32005"] = "permission", ["-32006"] = "invalid_request", ["-32007"] = "invalid_request",
      ["-32008"] = "unavailable", ["-32009"] = "authentication", ["-32010"] = "authentication", ["-32011"] = "authentication",
      ["-32012"] = "authentication", ["1"] = "permission", ["2"] = "unavailable", ["3"] = "insufficient_funds",
      ["4"] = "invalid_request", ["5"] = "invalid_request", ["6"] = "invalid_request", ["7"] = "invalid_request",
      ["8"] = "not_found", ["9"] = "permission", ["10"] = "limit", ["4007"] = "authentication",
      ["1001"] = "unavailable", ["1002"] = "authentication", ["1003"] = "permission", ["2001"] = "invalid_request",
      ["2002"] = "authentication", ["2003"] = "invalid_request", ["2004"] = "invalid_request", ["2005"] = "invalid_request",
      ["2006"] = "invalid_request", ["3001"] = "permission", ["3002"] = "expired", ["3003"] = "conflict", ["3004"] = "conflict",
      ["3005"] = "permission", ["3006"] = "not_found", ["3007"] = "invalid_request", ["3008"] = "unavailable",
      ["3009"] = "insufficient_funds", ["4001"] = "rate_limited", ["5000"] = "declined",
    }
    for code, kind in pairs(kinds) do
      local redeems = #code == 4 and code ~= "4007"
      local operation = redeems and "epins.redeem" or "epins.generate"
      local before = #received(operation)
      arm(operation, "error=" .. code)
      local output = ended("voucher", voucher { pay = redeems and "5.00 USD" or nil })
      assert.same({ code, kind, "rejected", false }, { output.code, output.kind, output.outcome, output.retryable })
      assert.equal(before + 1, #received(operation), code)
    end
  end)

  it("is shut out like anybody else", function()
    for _ = 1, 10 do mint.balances(sandbox, {}, { sign = "wrong" }) end
    assert.equal("-32002", ended("voucher", voucher()).code)
    testing.advance(sandbox, "61s")
    assert.equal(1, ended("voucher", voucher()).count)
    for _ = 1, 10 do mint.redeem(sandbox, { epin = json.array { "2222222222222222" } }) end
    assert.equal("4001", ended("voucher", voucher { pay = "5.00 USD" }).code)
    testing.advance(sandbox, "15m")
    assert.equal("0.00 USD", ended("voucher", voucher { pay = "5.00 USD" }).change)
  end)

  local function parked(operation, input)
    local run = runtime:run("voucher", input)
    run = runtime:wait_for(run.id, "needs_attention")
    assert.matches("may or may not have happened", run.error.message)
    assert.equal(1, #received(operation))
    testing.advance(sandbox, "3d")
    runtime:kill()
    runtime:launch()
    runtime:wait_for(run.id, "needs_attention")
    assert.equal(1, #received(operation))
    local entry
    for _, each in ipairs(runtime:journal(run.id)) do
      if each.name == "mint." .. operation then entry = each end
    end
    return run, entry
  end

  local function resolve(run, entry, body)
    body.seq = entry.seq
    local response = runtime:api("POST", "/v1/runs/" .. run.id .. "/resolve", body)
    assert.equal(200, response.status, response.body)
    return runtime:wait_for(run.id, "completed").output
  end

  it("does not generate again what may have been generated", function()
    for _, fault in ipairs { "drop_response", "malformed", "truncate", "error=500" } do
      assert.equal(204, sandbox:http("DELETE", "/_sandbox/state").status)
      arm("epins.generate", fault)
      local run, entry = parked("epins.generate", voucher())
      local issued = #sandbox:http("GET", "/_sandbox/ledger?kind=issue").json.data
      assert.equal(fault == "error=500" and 0 or 1, issued)
      local output = resolve(run, entry, { outcome = "rejected", error = { kind = "conflict", message = "taken by hand" } })
      assert.equal("conflict", output.kind)
      assert.equal(1, #received "epins.generate")
    end
  end)

  it("does not redeem again what may have been redeemed", function()
    arm("epins.redeem", "drop_response")
    local run, entry = parked("epins.redeem", voucher { pay = "2.00 USD" })
    local output = resolve(run, entry, { outcome = "done", value = { change_amount = "3.00 USD", change_currency = "USD" } })
    assert.equal("3.00 USD", output.change)
    assert.equal(1, #received "epins.redeem")
    assert.equal(1, #sandbox:http("GET", "/_sandbox/ledger?kind=redeem").json.data)
  end)

  it("redeems a code once, when a run tries it eight times at once", function()
    assert.same({ won = 1, codes = { ["3004"] = 7 } }, ended("rush", { amount = "5.00 USD", times = 8 }))
    assert.equal(1, #sandbox:http("GET", "/_sandbox/ledger?kind=redeem").json.data)
  end)

  it("repeats a test, which moves nothing", function()
    arm("epins.generate", "drop_response")
    assert.equal(1, ended("voucher", voucher { test = true }).count)
    local requests = received "epins.generate"
    assert.equal(2, #requests)
    assert.equal(0, #sandbox:http("GET", "/_sandbox/ledger").json.data)
  end)

  it("signs what waited when it is sent", function()
    sandbox:kill()
    local run = runtime:run("voucher", voucher())
    runtime:wait_for(run.id, "waiting")
    sandbox:launch()
    testing.advance(sandbox, "20m") -- beyond the time that a signature is good for
    assert.equal("completed", runtime:wait_for(run.id, "completed").state)
    assert.is_nil(runtime:get_run(run.id).output.code)
  end)

  it("keeps codes from everybody else", function()
    local receiver <close> = testing.native.receiver()
    local hook = ("http://127.0.0.1:%d/codes"):format(receiver:port())
    local run = runtime:run("voucher", voucher { hook = hook, pay = "1.00 USD" }, { wait = "20s" })
    assert.equal("completed", run.state)
    arm("epins.redeem", "drop_response")
    local open = runtime:run("voucher", voucher { hook = hook, pay = "1.00 USD" })
    runtime:wait_for(open.id, "needs_attention")

    local shown = {}
    for _, id in ipairs { run.id, open.id } do
      shown["the run " .. id] = runtime:api("GET", "/v1/runs/" .. id).body
      shown["the journal of " .. id] = runtime:api("GET", "/v1/runs/" .. id .. "/journal").body
      shown["the story of " .. id] = testing.run({ "runs", "show", id, "--url", runtime.url, "--data", runtime.data }).out
    end
    for _, path in ipairs { "/v1/runs", "/v1/events", "/v1/providers", "/metrics" } do
      shown[path] = runtime:api("GET", path).body
    end
    for _, path in ipairs { "requests", "ledger", "state", "webhooks" } do
      shown["the sandbox's " .. path] = sandbox:http("GET", "/_sandbox/" .. path).body
    end
    shown["the runtime's log"] = testing.read(runtime.log)
    shown["the sandbox's log"] = testing.read(sandbox.log)
    runtime:kill()
    runtime:launch() -- what recovery writes counts as well
    runtime:wait_for(open.id, "needs_attention")
    local function search(dir)
      for name in lfs.dir(dir) do
        local path = dir .. "/" .. name
        local mode = lfs.attributes(path, "mode")
        if mode == "file" then
          shown[path] = testing.read(path)
        elseif mode == "directory" and name ~= "." and name ~= ".." then
          search(path)
        end
      end
    end
    search(runtime.data)
    search(sandbox.data)

    assert.equal(2, receiver:count())
    for _, request in ipairs(receiver:requests()) do
      local code = json.decode(request.body).pin_code
      assert.matches("^%d%d%d%d %d%d%d%d %d%d%d%d %d%d%d%d$", code)
      for where, text in pairs(shown) do
        assert.is_nil(text:find(code, 1, true), "the code stands in " .. where)
        assert.is_nil(text:find(code:gsub(" ", ""), 1, true), "the code's digits stand in " .. where)
      end
    end
    for where, text in pairs(shown) do
      local own = where:find(sandbox.data, 1, true) -- its own scripts, with the credentials that it accepts in them
      assert.is_true(own ~= nil or not text:find(mint.PRIVATE, 1, true), "the private key stands in " .. where)
    end
  end)

  it("is told to look at the clock when it is wrong", function()
    local other = testing.start("sandbox", {})
    testing.advance(other, "1h") -- and this runtime's own clock stays behind
    local late = testing.start("serve", { sandbox = other.url, flows = testing.flows(flows) })
    local output = late:run("voucher", voucher(), { wait = "20s" }).output
    assert.same({ "-32011", "authentication" }, { output.code, output.kind })
    assert.matches("set this machine's clock", output.message, 1, true)
  end)
end)
