-- provider.define: the provider of flows/examples/acme.lua, against a server that behaves as Acme would and fails as it is
-- told to. What it defines is carried out as any shipped provider's operations are.

local testing = require "mintage.testing"
local json = testing.json
local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local support = dofile(here .. "provider_define_support.lua")
local example = testing.read(here .. "../../flows/examples/acme.lua")

local order = [[
local flow = require "mintage.flow"
local acme = require "lib.acme"

return flow.define {
  name  = "order",
  input = { amount = "money", card = "string", hold = "boolean?", wait = "string?", settle = "boolean?" },
  run   = function(order)
    local charge, err = flow.try(acme.charges.create, {
      amount = order.amount, card = order.card, capture = not order.hold,
    })
    if not charge then return { kind = err.kind, code = err.code, hard = err.hard } end
    flow.undo(acme.charges.release, { id = charge.id })
    flow.progress { charge = charge.id }
    if order.settle then charge = acme.charges.settled(charge.id, "30m") end
    if order.wait then flow.await("go", order.wait, { within = "30d" }) end
    return charge
  end,
}
]]

local others = [[
local flow, web = require "mintage.flow", require "mintage.web"
local acme = require "lib.acme"

web.get("/charge/{id}", { public = true }, function(req) return { json = acme.charges.get(req.params.id) } end)

flow.define {
  name  = "two",
  input = { amount = "money" },
  run   = function(input)
    local answers = flow.all {
      { acme.charges.create, { amount = input.amount, card = "good" } },
      { acme.charges.create, { amount = input.amount, card = "declined" } },
    }
    return { paid = answers[1].value.id, refused = answers[2].err.kind }
  end,
}
]]

local slip = [[
local flow = require "mintage.flow"
local acme = require "lib.acme"

return flow.define { name = "slip", run = function() acme.charges.create { amonut = "1.00 USD", card = "good" } end }
]]

local function flows(definition, more)
  return testing.flows {
    ["order.lua"] = order, ["others.lua"] = others, ["lib/acme.lua"] = definition or example, ["slip.lua"] = more,
  }
end

local function config(url, more)
  local acme = { base_url = url, api_key = "key-of-the-shop", webhook_secret = "secret-of-the-webhooks" }
  for name, value in pairs(more or {}) do acme[name] = value end
  local path = testing.folder() .. "/config.json"
  testing.write(path, json.encode { providers = { acme = acme } })
  return path
end

describe("a provider that a script defines", function()
  local fake, runtime, folder

  setup(function()
    fake, folder = support.start(), flows(nil, slip)
    runtime = testing.start("serve", { flows = folder, config = config(fake.url) })
  end)
  teardown(testing.clean_up)

  local function buy(input, ...)
    input.amount = input.amount or "80.00 USD"
    local run = runtime:run("order", input)
    return runtime:wait_for(run.id, ...)
  end

  -- What the server has seen of this since, oldest first.
  local function since(what, before)
    local list, news = fake.seen(what), {}
    for i = before + 1, #list do news[#news + 1] = list[i] end
    return news
  end

  local function seen(what) return #fake.seen(what) end

  it("is called with its credentials, its key, and money in minor units", function()
    local before = seen "create"
    local run = buy({ card = "good" }, "completed")
    assert.equal("paid", run.output.status)
    assert.equal("80.00 USD", run.output.amount)
    local sent = since("create", before)[1]
    assert.equal("Bearer key-of-the-shop", sent.authorization)
    assert.equal(40, #sent.key)
    local body = json.decode(sent.body)
    assert.equal(8000, body.amount)
    assert.equal("USD", body.currency)
    assert.equal(32, #body.reference)
  end)

  it("masks what its definition calls a secret", function()
    local run = buy({ card = "good card" }, "completed")
    local journal = json.encode(runtime:journal(run.id))
    assert.is_nil(journal:find("good card", 1, true))
    assert.is_nil(journal:find("key-of-the-shop", 1, true))
  end)

  it("gets the same key and the same bytes again when an answer was lost", function()
    local before, had = seen "create", #fake.charges()
    fake.plan("create", { fault = "drop" })
    assert.equal("paid", buy({ card = "good" }, "completed").output.status)
    local sent = since("create", before)
    assert.equal(2, #sent)
    assert.equal(sent[1].key, sent[2].key)
    assert.equal(sent[1].body, sent[2].body)
    assert.equal(had + 1, #fake.charges())
  end)

  it("says no in the vocabulary of all providers", function()
    local run = buy({ card = "declined" }, "completed")
    assert.same({ kind = "declined", code = "card_declined", hard = false }, run.output)
    run = buy({ card = "failing" }, "completed") -- a 200 that is a no, and a code that is for good
    assert.same({ kind = "declined", code = "stolen_card", hard = true }, run.output)
  end)

  it("is called in handlers, and several calls at once", function()
    local run = runtime:wait_for(runtime:run("two", { amount = "3.00 USD" }).id, "completed")
    assert.equal("declined", run.output.refused)
    local charge = runtime:http("GET", "/charge/" .. run.output.paid).json
    assert.equal("3.00 USD", charge.amount)
    assert.equal(404, runtime:http("GET", "/charge/nobody").status)
  end)

  it("refuses a parameter that it does not know, naming the nearest", function()
    local said = 'unknown field "amonut" (did you mean "amount"?)'
    local run = runtime:wait_for(runtime:run("slip").id, "needs_attention")
    assert.is_truthy(run.error.message:find(said, 1, true), run.error.message)
    local out = testing.run({ "check", folder }).out -- and before any run does
    assert.is_truthy(out:find(said, 1, true), out)
  end)

  it("is left alone as long as it asks for", function()
    local before, begun = seen "create", testing.now_ms()
    fake.plan("create", { status = 429, code = "slow_down", headers = { ["Retry-After"] = "1" } })
    assert.equal("paid", buy({ card = "good" }, "completed").output.status)
    assert.equal(2, #since("create", before))
    assert.is_true(testing.now_ms() - begun >= 900)
  end)

  it("is asked when nobody knows what became of a call that must not be repeated", function()
    local run = buy({ card = "good", hold = true, wait = "W-1" }, "waiting")
    local voids, reads = seen "void", seen "get"
    fake.plan("void", { fault = "drop" })
    runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel", {})
    runtime:wait_for(run.id, "cancelled")
    assert.equal(1, seen "void" - voids)
    assert.is_true(seen "get" - reads >= 2) -- before it was voided, and after
  end)

  it("takes back what a cancelled run took", function()
    local run = buy({ card = "good", wait = "W-2" }, "waiting")
    local before = seen "refund"
    runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel", {})
    runtime:wait_for(run.id, "cancelled")
    local sent = since("refund", before)
    assert.equal(1, #sent)
    assert.equal("/v1/charges/" .. run.progress.charge .. "/refund", sent[1].path)
  end)

  local function hook(body, signature)
    return runtime:http("POST", "/webhooks/acme", body, {
      ["Content-Type"] = "application/json", ["Acme-Signature"] = signature,
    })
  end

  it("gives back a part and then the rest, also when its reads are behind", function()
    local parts = example:gsub('{ when = { status = "authorized" }', '{ when = { status = "half" }, call = "charges.rest", '
      .. 'again = true },\n        %0', 1)
    parts = parts:gsub('%["charges.refund"%]', '["charges.rest"] = { method = "POST", path = "/v1/charges/{id}/rest", '
      .. 'repeats = "keyed", params = { id = "string" } },\n    %0', 1)
    local other, sandbox = testing.pair { flows = flows(parts), config = config(fake.url) }
    local run = other:run("order", { amount = "80.00 USD", card = "good", wait = "A" })
    local id = other:wait_for(run.id, "waiting").progress.charge
    local reads, refunds = seen "get", seen "refund"
    fake.set(id, { status = "half" })
    local behind = { id = id, status = "half", amount = 8000, currency = "USD" }
    fake.plan("get", { times = 3, status = 200, json = behind })
    other:api("POST", "/v1/runs/" .. run.id .. "/cancel", {})
    for i, pause in ipairs { "5s", "1m" } do
      testing.wait_until(function() return seen "get" - reads == i + 1 end, "it is read again")
      testing.wait_until(function() return other:get_run(run.id).due_at ~= json.null end, "it waits")
      testing.advance(sandbox, pause)
    end
    other:wait_for(run.id, "cancelled")
    assert.equal(1, seen "rest") -- the second read showed nothing of it, and was not believed
    assert.equal(1, #since("refund", refunds))
    assert.equal(4, #since("get", reads))
    assert.equal("/v1/charges/" .. id .. "/refund", since("refund", refunds)[1].path)
  end)

  it("is believed when its webhooks are signed, and once", function()
    local run = buy({ card = "good", hold = true, settle = true }, "waiting")
    fake.set(run.progress.charge, { status = "paid" })
    local now = os.time()
    local paid = { id = run.progress.charge, amount = 8000, currency = "USD" }
    local body = json.encode { id = "evt-1", type = "charge.paid", data = paid }
    local signature = ("t=%d,v1=%s"):format(now, fake.sign(now, body))
    for _ = 1, 2 do assert.equal(200, hook(body, signature).status) end
    assert.equal("paid", runtime:wait_for(run.id, "completed").output.status)
    local events = runtime:api("GET", "/v1/events?topic=acme.charge&key=" .. run.progress.charge).json.data
    assert.equal(1, #events)
    assert.equal("80.00 USD", events[1].payload.amount)
    assert.equal("charge.paid", events[1].payload.event)
  end)

  it("is not believed otherwise", function()
    local now = os.time()
    local body = json.encode { id = "evt-2", type = "charge.paid", data = { id = "nobody" } }
    local old = now - 3600
    local cases = {
      ["the header Acme-Signature is missing"] = false,
      ["the signature does not fit"] = ("t=%d,v1=%s"):format(now, ("0"):rep(64)),
      ["the header's signature is missing"] = ("t=%d"):format(now),
      ["too far from now"] = ("t=%d,v1=%s"):format(old, fake.sign(old, body)),
    }
    for why, signature in pairs(cases) do
      local response = hook(body, signature or nil)
      assert.equal(401, response.status)
      assert.is_truthy(response.body:find(why, 1, true), response.body)
    end
    assert.equal(0, #runtime:api("GET", "/v1/events?key=nobody").json.data)
  end)

  it("is listed as all providers are", function()
    local listed
    for _, p in ipairs(runtime:api("GET", "/v1/providers").json.data) do
      if p.name == "acme" then listed = p end
    end
    assert.is_true(listed.configured and listed.defined)
    assert.equal(fake.url, listed.base_url)
    assert.equal("closed", listed.breaker)
    assert.is_nil(json.encode(listed):find("key-of-the-shop", 1, true))
    for _, op in ipairs(listed.operations) do
      if op.name == "charges.create" then assert.is_true(op.calls.done > 0 and op.calls.rejected > 0) end
    end
    local metrics = runtime:http("GET", "/metrics").body
    assert.is_truthy(metrics:find('{provider="acme",operation="charges.create",outcome="done"}', 1, true))
    local out = testing.run({ "providers", "acme.charges.create", "--flows", folder }).out
    assert.is_truthy(out:find("sent again with the same idempotency key and the same bytes", 1, true), out)
  end)

  it("goes on after kill -9 with the key it began with", function()
    local before, had = seen "create", #fake.charges()
    fake.plan("create", { delay_ms = 3000 })
    local run = runtime:run("order", { amount = "5.00 USD", card = "good" })
    testing.wait_until(function() return seen "create" > before end, "the charge is under way")
    runtime:kill()
    runtime:launch()
    assert.equal("paid", runtime:wait_for(run.id, "completed").output.status)
    local sent = since("create", before)
    assert.equal(sent[1].key, sent[2].key)
    assert.equal(sent[1].body, sent[2].body)
    assert.equal(had + 1, #fake.charges())
  end)

  local newer = example:gsub("/v1/charges/{id}/refund", "/v2/charges/{id}/refund")

  local function generation() return runtime:api("GET", "/v1/generations").json.current end

  local function reload(text)
    local before = generation()
    testing.write(folder .. "/lib/acme.lua", text)
    testing.wait_until(function() return generation() ~= before end, "the definition has been loaded")
  end

  local function cancelled_by(run)
    local before = seen "refund"
    runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel", {})
    runtime:wait_for(run.id, "cancelled")
    return since("refund", before)[1].path:match "^/(v%d)"
  end

  it("stays as it was for the runs that began with it", function()
    local old = buy({ card = "good", wait = "W-3" }, "waiting")
    local other = buy({ card = "good", wait = "W-4" }, "waiting")
    reload(newer)
    local new = buy({ card = "good", wait = "W-5" }, "waiting")
    assert.equal("v1", cancelled_by(old))
    assert.equal("v2", cancelled_by(new))
    runtime:kill() -- and with no script loaded that could say it again
    testing.write(folder .. "/lib/acme.lua", "this is broken (")
    runtime:launch()
    assert.equal("v1", cancelled_by(other))
    reload(example)
  end)
end)

describe("an account of a defined provider", function()
  teardown(testing.clean_up)

  local function start(path, definition)
    return testing.start("serve", { flows = flows(definition), config = path })
  end

  local function listed(runtime)
    for _, p in ipairs(runtime:api("GET", "/v1/providers").json.data) do
      if p.name == "acme" then return p end
    end
  end

  it("that is not whole is not used, and says why", function()
    local runtime = start(config("http://127.0.0.1:1", { api_kee = "x" }))
    assert.is_false(listed(runtime).configured)
    assert.equal('providers.acme: unknown setting "api_kee" (did you mean "api_key"?)', listed(runtime).problem)
    local run = runtime:run("order", { amount = "1.00 USD", card = "good" }, { wait = "20s" })
    assert.equal("authentication", run.output.kind)
  end)

  it("comes from the environment, too", function()
    local runtime = testing.start("serve", {
      flows = flows(), env = { "MINTAGE_PROVIDER_ACME__API_KEY=k", "MINTAGE_PROVIDER_ACME__BASE_URL=http://127.0.0.1:1" },
    })
    assert.is_true(listed(runtime).configured)
  end)

  it("is refused at the start when its name is a slip of a shipped one's", function()
    local path = testing.folder() .. "/config.json"
    testing.write(path, '{"providers":{"mintor":{"client_id":"x"}}}')
    local result = testing.run { "serve", "--port=0", "--data=" .. testing.folder(), "--config=" .. path }
    assert.equal(2, result.code)
    assert.is_truthy(result.err:find("unknown provider mintor: did you mean mintro?", 1, true), result.err)
  end)

  it("that no flow defines is warned of", function()
    local path = testing.folder() .. "/config.json"
    testing.write(path, '{"providers":{"acmee":{"api_key":"x"}}}')
    local runtime = start(path)
    assert.is_truthy(testing.read(runtime.log):find("a section for a provider that no flow defines", 1, true))
  end)
end)

describe("a definition that is wrong", function()
  teardown(testing.clean_up)

  -- What `mintage check` says of the example with one thing changed.
  local function check(from, to)
    local at, till = example:find(from, 1, true)
    assert(at, from)
    local result = testing.run { "check", flows(example:sub(1, at - 1) .. to .. example:sub(till + 1)) }
    return result.code, result.out .. result.err
  end

  it("is told from the example, which is right", function()
    local result = testing.run { "check", flows() }
    assert.equal(0, result.code, result.out)
    assert.is_nil(result.out:find("error", 1, true), result.out)
    assert.is_nil(result.out:find("warning", 1, true), result.out)
  end)

  local cases = {
    { 'auth        =', 'auht        =', 'unknown field "auht" (did you mean "auth"?)' },
    { 'bearer = "api_key"', 'bearer = "api_kee"', 'auth.bearer: found "api_kee" (did you mean "api_key"?)' },
    { 'repeats = "keyed"', 'repeats = "keyd"', 'operations["charges.create"].repeats: found "keyd" (did you mean "keyed"?)' },
    { 'repeats = "unsafe", ', '', 'operations["charges.void"]: field "repeats" is missing' },
    { 'amount = "money"', 'amount = "mony"', '.params.amount: found "mony" (did you mean "money"?)' },
    { 'card = "secret"', 'card = 7', 'operations["charges.create"].params.card: found an integer, wanted a table' },
    { 'read = "charges.find"', 'read = "charges.fnd"', 'found "charges.fnd" (did you mean "charges.find"?)' },
    { 'call = "charges.void"', 'call = "charges.get"', '.release[1].call: found "charges.get", wanted one of' },
    { 'path = "/v1/charges/{id}/void"', 'path = "/v1/charges/{it}/void"', '{it} is no parameter of "params"' },
    { 'card_declined      = "declined"', 'card_declined      = "refused"', 'errors["card_declined"]: found "refused", wanted' },
    { 'amounts = "minor"', 'amounts = "minors"', 'money.amounts: found "minors" (did you mean "minor"?)' },
    { 'lasts = "24h"', 'lasts = "a day"', '"lasts" is a string, wanted a duration such as "30s" or "24h"' },
    { 'base_url    = "https:', 'base_url    = "http:', 'credentials would travel to api.acme.example in the clear' },
    { '{timestamp}.{body}', '{timestamp}', '"of" leaves out {body}' },
    { 'name        = "acme"', 'name        = "paymnt"', '"paymnt" is a provider that ships with Mintage' },
    { 'name        = "acme"', 'name        = "mintra"', '"mintra" is too close to "mintro"' },
    { 'name        = "acme"', 'name        = "Acme"', '"Acme" is no name for a provider' },
    { 'event  = "type", ', '', 'webhook: field "event" is missing' },
  }
  for i, case in ipairs(cases) do
    it(("is told so (%d: %s)"):format(i, case[3]), function()
      local code, out = check(case[1], case[2])
      assert.equal(1, code)
      assert.is_truthy(out:find(case[3], 1, true), out)
      assert.is_truthy(out:find "lib/acme.lua:7:1: error: provider.define: ", out)
    end)
  end
end)
