-- mintage check: one case for every kind of finding, each with its place and what to do; and silence where nothing is
-- wrong.

local testing = require "mintage.testing"

local head = [[
local flow = require "mintage.flow"
local http = require "mintage.http"
local mintro = require "mintage.mintro"
local money = require "mintage.money"
local paymnt = require "mintage.paymnt"
local task = require "mintage.task"
local web = require "mintage.web"
local json = require "mintage.json"
]]
local unused = "local _ = { flow, http, mintro, money, paymnt, task, web, json }\n"

describe("mintage check", function()
  after_each(testing.clean_up)

  local function check(files)
    local dir = testing.flows(files)
    local result = testing.run { "check", dir, "--json" }
    assert.equal("", result.err)
    return testing.json.decode(result.out).problems, result.code, dir
  end

  -- Checks the body of a flow's run(input); lines count from 1 there.
  local function body(text, input)
    local before = head .. unused
      .. ('flow.define { name = "f", input = { amount = "money", email = "string" %s }, run = function(input)\n')
      :format(input or "")
    local lines = select(2, before:gsub("\n", "\n"))
    local found, code = check { ["f.lua"] = before .. text .. "\nend }\n" }
    for _, problem in ipairs(found) do problem.line = problem.line - lines end
    return found, code
  end

  -- The body has exactly this finding.
  local function finds(text, severity, line, column, words)
    local found, code = body(text)
    assert.equal(1, #found, text .. "\n" .. testing.json.encode(found))
    assert.equal(1, code)
    local problem = found[1]
    assert.same({ "f.lua", severity, line }, { problem.file, problem.severity, problem.line }, text)
    if column then assert.equal(column, problem.column, text) end
    assert.truthy(problem.message:find(words, 1, true), problem.message)
  end

  local function silent(text, input)
    local found, code = body(text, input)
    assert.same({}, found)
    assert.equal(0, code)
  end

  it("has nothing to say of the flows that ship, and of the sandbox", function()
    for _, dir in ipairs { "flows", "flows/sandbox" } do
      local result = testing.run { "check", dir }
      assert.equal(0, result.code, result.out)
      assert.matches("^fine", result.out)
    end
  end)

  it("has nothing to say of what is right", function()
    silent [[
      local intent = mintro.intents.create { amount = input.amount, email = input.email, name = "A",
        reference_id = flow.id(), order_items = {}, integration_type = "url", success_url = "https://a.example" }
      flow.undo(mintro.intents.cancel, { intent_id = intent.intent_id })
      local value, err = flow.try(mintro.intents.get, intent.intent_id)
      if not value then flow.fail(err) end
      local settled = mintro.intents.settled(intent.intent_id, "30m")
      local answers = flow.all { { mintro.intents.get, { intent_id = "pi_1" } }, { http.get, "https://a.example" } }
      flow.sleep("1h30m")
      flow.sleep(90)
      local event = flow.await("order", "1", { within = "2d" })
      if input.amount > money "5.00 USD" and (input.amount * 3 // 2):is_positive() then return #answers end
      for _, part in ipairs(input.amount:split(3)) do flow.log("part", part) end
      local counted = 0
      counted = counted + 1
      local function later() return flow.later("3d") end
      return { settled, event, later(), counted, json.null, string.format("%d", 1), math.floor(2.5) }]]
  end)

  it("tells syntax errors in Lua's words, with the column", function()
    local found, code = check { ["a.lua"] = "local x =\n\nlocal = 2\n" }
    assert.equal(1, code)
    assert.equal(1, #found)
    assert.equal("error", found[1].severity)
    assert.matches("expected", found[1].message)
  end)

  it("tells what fails when a file loads, once, and looks into the other files", function()
    local found = check { ["a.lua"] = "\n\nerror('no')\n", ["b.lua"] = "x = 1\n", ["lib/c.lua"] = "return os.time()\n" }
    assert.equal(3, #found)
    assert.same({ "a.lua", 3, "b.lua", 1, "lib/c.lua", 1 },
      { found[1].file, found[1].line, found[2].file, found[2].line, found[3].file, found[3].line })
  end)

  it("globals that are not there", function()
    finds("os.time()", "error", 1, 1, "there is no os in a flow")
    finds("io.write('x')", "error", 1, 1, "there is no io in a flow")
    finds("print('x')", "error", 1, 1, "use flow.log")
    finds("local n = tostrin(1)\n_ = n", "error", 1, 11, "did you mean 'tostring'?")
    finds("local amuont = 1\n_ = amuont + amount", "error", 2, 14, "undeclared global 'amount'")
    finds("count = 1", "error", 1, 1, "assignment to undeclared global 'count'")
    finds("local n = math.random(3)\n_ = n", "error", 1, 16, "use flow.random")
    finds("_ = assert.equal", "error", 1, 12, "a function has no fields")
    finds("local n = string.trim('x')\n_ = n", "warning", 1, 18, "string has no 'trim'")
  end)

  it("modules, files and members that are not there", function()
    finds("local x = require 'mintage.flw'\n_ = x", "error", 1, 19, "did you mean 'mintage.flow'?")
    finds("local x = require 'lib.tax'\n_ = x", "error", 1, 19, "there is no file lib/tax.lua to require")
    finds("flow.slep('1d')", "error", 1, 6, "sleep")
    finds("paymnt.payments.creat {}", "error", 1, 17, "create")
    finds("local p = paymnt.payments\np.creat {}", "error", 2, 3, "create")
    finds("local m = money '1.00 USD'\n_ = m.minr", "error", 2, 7, "did you mean 'minor'?")
    finds("local m = money '1.00 USD'\n_ = m:splitt(3)", "error", 2, 7, "did you mean 'split'?")
    finds("_ = input.emial", "warning", 1, 11, "did you mean 'email'?")
    silent "local flow = { slep = tostring }\nflow.slep = 1\n_ = flow.slep"
  end)

  it("parameters of operations: unknown, missing, of another type, out of range", function()
    finds("mintro.intents.get { intent_di = 'x' }", "error", 1, 22, 'did you mean "intent_id"?')
    finds("mintro.intents.get_by_reference {}", "error", 1, nil, 'field "reference_id" is missing')
    finds("mintro.subscriptions.cancel { subscription_id = 5 }", "error", 1, 49, "is an integer, wanted a string")
    finds("flow.undo(mintro.intents.cancel, { idd = 'x' })", "error", 1, 36, 'unknown field "idd"')
    finds("local a, b = flow.try(mintro.intents.get, { idd = 'x' })\n_ = a or b", "error", 1, 45, "idd")
    finds("local all = flow.all { { mintro.intents.get, { idd = 'x' } } }\n_ = all", "error", 1, 48, "idd")
    finds("mintro.intents.settled('pi_1', '30x')", "error", 1, 32, "is no duration")
    local found = body [[mintro.intents.create { amount = "80.00 USD", integration_type = "ifram" }]]
    assert.equal(3, #found)
    assert.matches("wanted money", found[2].message)
    assert.matches('did you mean "iframe"', found[3].message)
    assert.matches('"email", "name", "reference_id", "order_items" are missing', found[1].message)
  end)

  it("fields and types of what mintage.* takes", function()
    finds("flow.await('a', 'b', { whitin = '1d' })", "error", 1, 24, "did you mean 'within'?")
    finds("flow.start('f', {}, { detached = 'yes' })", "error", 1, 34, "wanted boolean")
    finds("flow.sleep(true)", "error", 1, 12, "flow.sleep: duration is a boolean")
    finds("flow.sleep()", "error", 1, 1, "duration is missing")
    finds("flow.signal('topic')", "error", 1, 1, "key is missing")
    local found = check { ["f.lua"] = head .. unused .. 'flow.define { nmae = "f", run = function() end }\n' }
    assert.equal(10, found[1].line)
    assert.matches("did you mean 'name'", testing.json.encode(found))
  end)

  it("durations, money and currencies that are none", function()
    finds("flow.sleep('30x')", "error", 1, 12, '"30x" is no duration')
    finds("flow.await('a', 'b', { within = '1 fortnight' })", "error", 1, 33, "is no duration")
    finds("_ = money '80.00 USDX'", "error", 1, 11, "USDX")
    finds("_ = money 'eighty'", "error", 1, 11, "eighty")
    finds("_ = money(8000, 'US')", "error", 1, 17, "US")
    finds("_ = money.zero('UDS')", "error", 1, 16, "UDS")
    finds("_ = money(80.5, 'USD')", "error", 1, 11, "floats are not exact")
    finds("_ = money { amount = 80.5, currency = 'USD' }", "error", 1, 22, "minor units")
    finds("_ = money(8000)", "error", 1, 11, "wants its currency")
  end)

  it("money beside numbers", function()
    finds("if input.amount > 5 then return 1 end", "error", 1, 4, "money is compared with the number 5")
    finds("_ = input.amount == 0", "error", 1, 5, "is_zero")
    finds("_ = input.amount + 1", "error", 1, 5, "only money can be added")
    finds("_ = input.amount * 1.5", "error", 1, 5, ":ratio")
    finds("_ = money '1.00 USD' / 3", "error", 1, 5, "money has no /")
    finds("local fee = input.amount * 2\n_ = fee < 100", "error", 2, 5, "money is compared")
  end)

  it("what is never reached", function()
    finds("flow.fail('gone')\nflow.log('x')", "warning", 2, 1, "flow.fail does not come back")
    finds("flow.continue { amount = input.amount, email = 'a' }\nflow.log('x')", "warning", 2, 1, "flow.continue")
    finds("do error('x') end\nflow.log('x')", "warning", 2, 1, "error does not come back")
    finds("while true do\nbreak\nflow.log('x')\nend", "warning", 3, 1, "break")
    finds("if input.email == '' then flow.fail('a') else error('b') end\nflow.log('x')", "warning", 2, 1, "every branch")
    silent "if input.email == '' then flow.fail('a') end\nflow.log('x')"
  end)

  it("answers that nobody looks at", function()
    finds("flow.try(mintro.intents.get, 'pi_1')", "warning", 1, 1, "nobody looks")
    finds("flow.now()", "warning", 1, 1, "its answer is not used")
    finds("input.amount:split(3)", "warning", 1, 1, "its answer is not used")
    finds("local value = flow.undo(mintro.intents.cancel { intent_id = 'x' })\n_ = value", "error", 1, 25,
      "takes the operation itself")
  end)

  it("effects where there can be none", function()
    local found = check { ["f.lua"] = head .. unused .. [[
local function handle(req)
  mintro.intents.cancel { intent_id = req.params.id }
  flow.sleep("1d")
  return { text = req.parms.id }
end
web.post("/cancel/{id}", { public = true }, handle)
web.get("/read/{id}", function(req) return { json = mintro.intents.get(req.params.id) } end)
task.define("wait", function() flow.await("a", "b") end)
if json == nil then mintro.intents.get("x") end
web.get("/open", { pubic = true }, handle)
]] }
    local lines = {}
    for _, problem in ipairs(found) do lines[#lines + 1] = problem.line - 9 .. " " .. problem.message end
    assert.equal(6, #found, table.concat(lines, "\n"))
    assert.matches("^2 mintro.intents.cancel does something, and a handler may only read", lines[1])
    assert.matches("^3 flow.sleep is for runs", lines[2])
    assert.matches("^4 .*did you mean 'params'", lines[3])
    assert.matches("^8 flow.await is for runs", lines[4])
    assert.matches("^9 mintro.intents.get is an effect", lines[5])
    assert.matches("^10 .*did you mean 'public'", lines[6])
  end)

  it("believes what the configuration says of settings, and nothing else of them", function()
    local dir = testing.flows { ["f.lua"] = [[
local flow, settings = require "mintage.flow", require "mintage.settings"
local pause = settings.shop.pause
flow.define { name = "f", run = function()
  flow.sleep(settings.pause)
  flow.sleep(pause)
  flow.log(settings.greeting or "hello")
end }
]] }
    local config = testing.folder() .. "/mintage.json"
    testing.write(config, [[{"settings": {"shop": {"pause": "1d"}}}]])
    local result = testing.run { "check", dir, "--config", config }
    assert.equal(0, result.code, result.out .. result.err)
    assert.equal(1, testing.run({ "check", dir }).code) -- settings.shop is nil when the file loads
    testing.write(config, "{")
    assert.equal(2, testing.run({ "check", dir, "--config", config }).code)
  end)

  it("values of modules, whatever they hold, where any value may stand", function()
    silent "flow.signal('a', 'b', json.null)\nflow.log('x', math.pi)\nflow.sleep(math.pi)"
    finds("local a, b = flow.try(mintro.intents, {})\n_ = a or b", "error", 1, 23, "wanted mintage.Operation")
  end)

  it("fields of what a flow is given when it is late", function()
    local found = check {
      ["f.lua"] = [[
require("mintage.flow").define { name = "f", run = function() end,
  late = function(event) return { event.keyy, event.run.stat, event.payload.anything } end }
]],
    }
    assert.equal(2, #found, testing.json.encode(found))
    assert.matches("did you mean 'key'", found[1].message)
    assert.matches("did you mean 'state'", found[2].message)
  end)

  it("flows that are started by a name that nobody has", function()
    local found = check {
      ["a.lua"] = head .. unused .. 'flow.define { name = "order", run = function() flow.start("ordr", {}) end }\n',
    }
    assert.equal(1, #found)
    assert.equal("warning", found[1].severity)
    assert.matches("did you mean 'order'", found[1].message)
  end)

  it("providers that the flows define themselves", function()
    local acme = [[
local provider = require "mintage.provider"
local acme = provider.define {
  name = "acme", base_url = "https://api.acme.example", money = { amounts = "minor", currency = "currency" },
  operations = {
    ["charges.create"] = { method = "POST", path = "/charges", repeats = "unsafe", params = { amount = "money" } },
    ["charges.get"] = { method = "GET", path = "/charges/{id}", params = { id = "string" } },
  },
}
]]
    local use = [[
require("mintage.flow").define { name = "f", run = function()
  local charge = acme.charges.create { amount = 5 }
  acme.charges.creat {}
  acme.chages.get(charge.id)
  acme.charges.get { idd = "x" }
end }
]]
    local apart = check { ["lib/acme.lua"] = acme .. "return acme\n", ["f.lua"] = 'local acme = require "lib.acme"\n' .. use }
    local together = check { ["f.lua"] = acme .. use }
    for i, words in ipairs { "wanted money", "did you mean 'create'", "did you mean 'charges'", 'field "id" is missing',
                             'unknown field "idd"' } do
      for _, found in ipairs { apart, together } do
        assert.equal(5, #found, testing.json.encode(found))
        assert.truthy(found[i].message:find(words, 1, true), found[i].message)
      end
    end
  end)

  it("takes money that is made of what is not known", function()
    silent "paymnt.refunds.create { payment_id = 'pay_1', amount = money(http.get('https://a.example').body) }"
  end)

  it("believes nothing of a variable that changes", function()
    silent [[
      local m = money "1.00 USD"
      m = 5
      local later = "x"
      if m > 3 then later = 4 end
      local intents = mintro.intents
      intents = { creat = tostring }
      return intents.creat(later)]]
  end)

  it("takes the flow's input for the table that it is", function()
    silent "input.amount = input.amount * 2 flow.log('again', input) flow.continue(input)"
    finds("flow.continue(input.amount)", "error", 1, 15, "wanted table")
  end)

  it("is silenced by a comment on the line", function()
    silent "flow.try(mintro.intents.get, 'pi_1') -- mintage: ignore, it is read below"
    finds("-- mintage: ignore\nflow.now()", "warning", 2, 1, "not used")
  end)

  it("prints as compilers do, for editors, with colours when asked", function()
    local _, _, dir = check { ["f.lua"] = head .. unused .. "\nprint('x')\n" }
    local result = testing.run { "check", dir }
    assert.equal(1, result.code)
    assert.truthy(result.out:find(dir .. "/f.lua:11:1: error: there is no print in a flow", 1, true), result.out)
    assert.matches("1 error and 0 warnings in", result.out)
    local one = testing.run { "check", dir .. "/f.lua", "--color=always" }
    assert.equal(1, one.code)
    assert.truthy(one.out:find(dir .. "/f.lua:11:1:", 1, true), one.out)
    assert.truthy(one.out:find("\27[", 1, true))
    assert.equal(2, testing.run({ "check", dir .. "/nothing.lua" }).code)
  end)

  it("tells columns of characters, not bytes", function()
    finds("local s = '가나다' .. nothing\n_ = s", "error", 1, 20, "nothing")
  end)
end)
