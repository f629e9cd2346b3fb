-- Every code that a provider's error table knows (GET /v1/providers: the table of the client itself) is caused once at the
-- sandbox, asked directly, and met once by a flow. A code without a case here fails the spec. A case (error_codes/*.lua) has:
--   says         the provider's own text; client_says where a flow hears other words
--   direct(w)    the documented cause: answers the sandbox's refusal
--   none         why there is no such cause: the fault "error=CODE" (or `fault`) is sent instead
--   client(w)    operation and parameters of the flow's call; without it, a read that the fault is armed for
--   as           accounts with which another runtime makes that call, against a sandbox whose clock nobody moves
--   bare         what a server in the provider's place answers, where the sandbox would say more
--   code, kind, status   where they are not the table's

local testing = require "mintage.testing"
local json = testing.json
local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local mint = dofile(here .. "mint_support.lua")

local probe = [[
local flow = require "mintage.flow"
local money = require "mintage.money"
local modules = {
  mintro = require "mintage.mintro", mint = require "mintage.mint",
  paymint = require "mintage.paymint", paymnt = require "mintage.paymnt",
}
-- "5.00 USD" is money, wherever it stands.
local function typed(value)
  if type(value) == "string" and value:find "^%d[%d.]* %u%u%u$" then return money(value) end
  if type(value) ~= "table" then return value end
  local out = {}
  for key, member in pairs(value) do out[key] = typed(member) end
  return out
end

return flow.define {
  name = "probe",
  input = { operation = "string", params = "object" },
  run = function(input)
    local operation = modules
    for part in input.operation:gmatch "[^.]+" do operation = operation[part] end
    local value, err = flow.try(operation, typed(input.params))
    if not err then return { value = value } end
    return {
      kind = err.kind, code = err.code, message = err.message, provider = err.provider,
      retryable = err.retryable or false, hard = err.hard or false,
    }
  end,
}
]]

describe("documented error codes", function()
  local runtime, sandbox, still, bare_server, bare_runtime
  local strangers, flows = {}, nil
  local counts = { natural = 0, fault = 0, faults = {} }

  setup(function()
    flows = testing.flows { ["probe.lua"] = probe }
    runtime, sandbox = testing.pair { flows = flows }
    still = testing.start("sandbox", {})
    bare_server = testing.native.receiver()
    bare_runtime = testing.start("serve", {
      sandbox = "http://127.0.0.1:" .. bare_server:port(), clock = sandbox.data .. "/clock", flows = flows,
    })
  end)
  teardown(function()
    bare_server:close()
    testing.clean_up()
    table.sort(counts.faults)
    io.stderr:write(("%d codes by their documented cause; %d by a fault, as they have none: %s\n")
      :format(counts.natural, counts.fault, table.concat(counts.faults, " ")))
  end)

  local function world(of)
    local w = { sandbox = of, mint = mint, form = { ["Content-Type"] = "application/x-www-form-urlencoded" } }
    function w.http(method, path, body, headers) return assert(of:http(method, path, body, headers)) end
    function w.pay(who)
      local paid = of:http("POST", "/_sandbox/pay", who)
      assert(paid.status == 200, paid.body)
    end
    function w.advance(by) testing.advance(of, by) end
    return w
  end

  -- A runtime with these accounts, whose calls go to the sandbox that stands still.
  local function stranger(accounts)
    local providers = {}
    for name, account in pairs(accounts) do
      providers[name] = { base_url = still.url }
      for key, value in pairs(account) do providers[name][key] = value end
    end
    local text = json.encode { providers = providers }
    if not strangers[text] then
      local config = testing.folder() .. "/config.json"
      testing.write(config, text)
      strangers[text] = testing.start("serve", { config = config, flows = flows })
    end
    return strangers[text]
  end

  -- Runs the probe to its end; what waits for its next try is helped by the clock. flow.try answers a definite no; that nobody
  -- knows, after eight times of asking, it raises.
  local function met(by, operation, params)
    local run = by:run("probe", { operation = operation, params = params })
    local tries = 0
    repeat
      testing.wait_until(function()
        run = by:get_run(run.id)
        return run.state ~= "running" and run.state ~= "queued"
      end, operation .. " waits or has ended")
      tries = tries + 1
      if run.state == "waiting" then testing.advance(sandbox, "1m") end
    until run.state ~= "waiting" or tries > 1000
    if run.state == "failed" and run.error.outcome == "unknown" then return run.error end
    assert(run.state == "completed", json.encode(run))
    return run.output
  end

  local function check_direct(provider, code, case, w)
    local response
    if case.direct then
      response = case.direct(w)
    else
      local operation = provider.operation and provider.operation(code)
      assert.equal(201, w.http("POST", "/_sandbox/faults", {
        match = { provider = provider.name, operation = operation }, fault = "error=" .. (case.fault or code),
      }).status)
      response = provider.ask(w, code)
    end
    local status = case.status or provider.status_of and provider.status_of(code)
    if status then assert.equal(status, response.status, response.body) end
    if case.says then
      assert.equal(case.says, (case.text_of or provider.text_of)(response):sub(-#case.says), response.body)
      if provider.code_of then assert.equal(case.typed and code or case.code or code, provider.code_of(response, case), code) end
    end
  end

  local function check_client(provider, code, row, case, w)
    local by = runtime
    local operation, params
    if case.client then
      operation, params = case.client(w)
    else
      operation, params = provider.read("CODE-" .. code, code)
      local called = operation:match "^%w+%.(.*)$"
      assert.equal(201, sandbox:http("POST", "/_sandbox/faults", {
        match = { provider = provider.name, operation = called }, fault = "error=" .. (case.fault or code), times = 1000,
      }).status)
    end
    if case.as then by = stranger(case.as) end
    if case.bare then
      by = bare_runtime
      bare_server:answer(case.bare.status, case.bare.body)
    end
    local err = met(by, operation, params)
    local wanted = { case.code or code, case.kind or row.kind, provider.name }
    assert.same(wanted, { err.code, err.kind, err.provider }, json.encode(err))
    local nature = { row.retryable or false, row.hard or false }
    if not case.kind then assert.same(nature, { err.retryable or false, err.hard or false }, json.encode(err)) end
    local says = case.client_says or case.says
    assert(err.message:find(says, 1, true), ('"%s" does not say "%s"'):format(err.message, says))
  end

  -- A request that reaches the fault.
  local ask = {
    mintro = function(w)
      return w.http("GET", "/api/platform/intents/reference/x", nil,
        { ["X-Client-ID"] = "mintro_test_client", ["X-Client-Secret"] = "mintro_test_secret" })
    end,
    paymint = function(w)
      return w.http("POST", "/paymint/read", { bill_id = "x" }, { ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-MMK-Mode"] = "true" })
    end,
    paymnt = function(w) return w.http("GET", "/payments/x", nil, { ["api-key"] = "sk_sandbox_mintage" }) end,
    mint = function(w, code)
      if #code == 4 and code ~= "4007" then return w.http("POST", "/api/pure-mint/payment", mint.redemption()) end
      return mint.generate(w.sandbox, { currencyCode = "USD", ePinNominalValue = 5 })
    end,
  }

  local result = testing.run { "providers", "--json" }
  local tables = {}
  for _, provider in ipairs(json.decode(result.out).data) do tables[provider.name] = provider.errors end

  for _, name in ipairs { "mintro", "paymint", "mint", "paymnt" } do
    describe("of " .. name, function()
      local provider = dofile(here .. "error_codes/" .. name .. ".lua")
      provider.name, provider.ask = name, ask[name]

      before_each(function()
        for _, each in ipairs { sandbox, still } do assert.equal(204, each:http("DELETE", "/_sandbox/state").status) end
      end)

      local rows = {}
      for _, row in ipairs(tables[name]) do rows[row.code] = row end
      for code in pairs(provider.cases) do
        if not rows[code] then rows[code] = { code = code, kind = provider.cases[code].kind } end
      end
      local codes = {}
      for code in pairs(rows) do codes[#codes + 1] = code end
      table.sort(codes)
      for _, code in ipairs(codes) do
        it(code, function()
          local case = provider.cases[code]
          assert(case, "no case causes " .. name .. " " .. code)
          local w = world(sandbox)
          check_direct(provider, code, case, w)
          sandbox:http("DELETE", "/_sandbox/faults")
          check_client(provider, code, rows[code], case, w)
          if case.direct then
            counts.natural = counts.natural + 1
          else
            counts.fault = counts.fault + 1
            counts.faults[#counts.faults + 1] = name .. ":" .. code
          end
        end)
      end
    end)
  end
end)
