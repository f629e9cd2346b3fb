-- The console of a running process, spoken to in its own protocol: over its socket and over HTTP, by people who mean
-- well and by commands that do not.

local testing = require "mintage.testing"
local support = dofile(debug.getinfo(1, "S").source:match "^@(.*/)" .. "console_wire.lua")
local lfs = require "lfs"

-- SECRET is no card of the sandbox's: the shipped flows name those.
local CARD, SECRET, SECRET_GROUPS = "4242424242424242", "5105105105105100", "5105 1051 0510 5100"
local PIN = "7391640528173345"

describe("the console", function()
  local sandbox, runtime

  local function start(options)
    sandbox = testing.start("sandbox", {})
    local all = { sandbox = sandbox.url, log_level = "info" }
    for name, value in pairs(options or {}) do all[name] = value end
    runtime = testing.start("serve", all)
  end
  after_each(testing.clean_up)

  -- A payment that has been paid, for refunds.
  local function paid(s, amount)
    local id = s:value(([[
      p = paymnt.payments.create { amount = money "%s", description = "tea", payment_link = true }
      return p.payment_id]]):format(amount)):match '^"(.*)"$'
    local response = sandbox:http("POST", "/_sandbox/pay", { payment_id = id, card = CARD })
    assert.equal(200, response.status, response.body)
    return id
  end

  local function ledger(kind)
    return sandbox:http("GET", "/_sandbox/ledger?kind=" .. kind).json.data
  end

  describe("over its socket", function()
    before_each(function() start() end)

    it("says who it is, and carries out Lua with the modules of flows", function()
      local s = support.open(runtime)
      local hello = s.hello
      assert.same({ "hello", 1, "mintage", "sandbox", false },
        { hello.type, hello.version, hello.prompt, hello.mode, hello.read_only })
      assert.equal(0, #hello.production)
      assert.equal("string", type(hello.generation))
      assert.is_true(#hello.flows > 3)
      local result = s:eval "1 + 1"
      assert.same({ "result", "2", 1 }, { result.type, result.text, result.n })
      assert.equal("4", s:value "_ + 2")
      assert.equal("a\tb\n{ 1, 2 }\n", s:eval 'print("a", "b") print({1, 2})'.output)
      assert.equal("", s:value "x = 5")
      assert.equal("5\n10", s:value "x, x * 2")
      assert.equal("25.00 USD", s:value 'money "20 USD" + money "5 USD"')
      assert.equal("mintage.mintro: intents.… subscriptions.…", s:value "mintro")
      assert.equal('"2026-11"', s:value '("2026-11-20"):sub(1, 7)')
      assert.equal("not_found", s:eval('mintro.intents.get "nope"').kind)
    end)

    it("answers values for programs", function()
      local s = support.open(runtime)
      local result = s:eval('{ a = 1, m = money "5 USD", pin = "123" }, nil, print', nil, { json = true })
      assert.equal(3, result.n)
      assert.same({ a = 1, m = "5.00 USD", pin = "[redacted]" }, result.values[1])
      assert.equal(testing.json.null, result.values[2])
    end)

    it("says where a mistake is", function()
      local s = support.open(runtime)
      local syntax = s:eval "for i = 1, 3 do"
      assert.same({ "syntax", true }, { syntax.kind, syntax.incomplete })
      assert.is_false(s:eval("x = = 1").incomplete)
      local deep = s:eval "local function f()\n  local t = nil\n  return t.x\nend\nf()"
      assert.equal("runtime", deep.kind)
      assert.matches("console:3: attempt to index a nil value", deep.text)
      assert.matches(">   3 |   return t.x", deep.text, 1, true)
      assert.matches("there is no 'mintroo' %(did you mean 'mintro'%?%)", s:eval("mintroo").text)
      assert.matches("it raised { a = 1 }", s:eval("error { a = 1 }").text, 1, true)
    end)

    it("completes names without calling anything", function()
      local s = support.open(runtime)
      s:value 'seen = false t = setmetatable({ alpha = 1 }, { __index = function() seen = true end })'
      local function names(text)
        local answer = s:complete(text)
        return answer.start, table.concat(answer.data, " ")
      end
      assert.same({ 7, "intents" }, { names "mintro.int" })
      assert.same({ 15, "create" }, { names "mintro.intents.cr" })
      assert.same({ 36, "email" }, { names "mintro.intents.create { amount = 1, em" })
      assert.same({ 2, "alpha" }, { names "t.al" })
      assert.equal("", select(2, names "t.nothing."))
      assert.equal("false", s:value "seen")
      local id = runtime:run("notify-endpoint", { endpoint = "x", message = "m" }).id or ""
      assert.matches(id, select(2, names 'runs "'), 1, true)
    end)

    it("is the owner's alone, and is made anew where a dead process left it", function()
      local path = runtime.data .. "/console.sock"
      assert.equal("rw-------", lfs.attributes(path, "permissions"))
      runtime:kill()
      assert.equal("socket", lfs.attributes(path, "mode"))
      runtime:launch()
      assert.equal("2", support.open(runtime):value "2")
      runtime:stop()
      assert.is_nil(lfs.attributes(path))
    end)

    it("refuses what is no message, and goes on", function()
      local s = support.open(runtime)
      s.wire:send "{ this is no JSON\n[1]\n\n"
      assert.equal("protocol", s:expect("error").kind)
      assert.equal("protocol", s:expect("error").kind)
      s:send { op = "dance", id = 7 }
      assert.matches("there is no such op", s:expect("error").text)
      s:send { op = "eval", id = 8 }
      assert.matches("eval wants code", s:expect("error").text)
      assert.equal("1", s:value "1")

      for _, first in ipairs { "hello\n", '{"op":"eval","id":1,"code":"1"}\n', '{"op":"hello","version":2}\n' } do
        local other = support.connect(runtime)
        other.wire:send(first)
        assert.equal("error", other:read().type)
        local message, why = other:read()
        assert.same({ nil, "closed" }, { message, why })
      end
      local long = support.open(runtime)
      long.wire:send(("x"):rep(1100000))
      assert.matches("at most 1 MiB", long:expect("error").text)
      assert.equal("closed", select(2, long:read()))
    end)

    it("has sixteen sessions at most", function()
      local open = {}
      for i = 1, 16 do
        open[i] = support.open(runtime)
        assert.equal("hello", open[i].hello.type)
      end
      local late = support.open(runtime)
      assert.same({ "error", "limit" }, { late.hello.type, late.hello.kind })
      open[1]:value "x = 1"
      assert.matches("there is no 'x'", open[2]:eval("x").text)
      open[16]:close()
      testing.wait_until(function()
        local again = support.open(runtime)
        if again.hello.type == "hello" then return true end
        again:close()
      end, "a place is free again")
    end)

    it("takes a session to the newest flows, with its values", function()
      runtime:stop()
      local dir = testing.flows { ["lib/a.lua"] = "return { n = 1 }", ["f.lua"] =
        'require "lib.a" return require("mintage.flow").define { name = "f", run = function() end }' }
      start { flows = dir }
      local s = support.open(runtime)
      s:value 'x = { a = money "5 USD" } f = function() end a = require("lib.a").n'
      testing.write(dir .. "/lib/a.lua", "return { n = 2 }")
      local notice = s:expect "notice"
      assert.matches("the flows have changed", notice.text)
      assert.matches("not taken along: f", notice.text)
      assert.equal("2\n1\n5.00 USD", s:value 'require("lib.a").n, a, x.a')
    end)

    it("ends sessions when the runtime stops", function()
      local s, busy = support.open(runtime), support.open(runtime)
      busy:begin "while true do pcall(mintro.intents.get, 'x') end"
      testing.wait_until(function() return #runtime:api("GET", "/v1/audit").json.data > 0 end, "it has begun")
      runtime.process:signal(15)
      assert.matches("the runtime stops", s:expect("notice").text)
      assert.equal("interrupted", busy:expect("error").kind)
      assert.equal(0, runtime.process:wait(20000))
      assert.equal("closed", select(2, s:read()))
    end)
  end)

  describe("with a long path", function()
    it("is reached all the same", function()
      sandbox = testing.start("sandbox", {})
      local data = testing.folder() .. "/" .. ("long"):rep(40)
      lfs.mkdir(data)
      runtime = testing.start("serve", { data = data, sandbox = sandbox.url })
      assert.equal("socket", lfs.attributes(data .. "/console.sock", "mode"))
      local said = testing.run { "repl", "--data", data, "-e", "40 + 2" }
      assert.same({ 0, "42\n" }, { said.code, said.out }, said.err)
    end)
  end)

  describe("and commands that go wrong", function()
    before_each(function() start { cpu_limit = "200ms" } end)

    local hostile = {
      { "limit", "while true do end", "computed for more than 200 ms" },
      { "limit", "while true do pcall(function() while true do end end) end", "computed for more than" },
      { "limit", "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end", "more than 32 MiB" },
      { "limit", "return ('x'):rep(1e9)", "more than 32 MiB" },
      { "limit", "local function f() return 1 + f() end return f()" },
      { "limit", "return setmetatable({}, { __index = function(t, k) return t[k .. 1] end }).x", nil },
      { "limit", "return ('a'):rep(50000):find(('a*'):rep(50) .. 'b')", "computed for more than" },
      { "runtime", "for i = 1, 1e6 do print(('y'):rep(1000)) end", "prints at most 4194304 bytes" },
    }

    it("stops them, and undoes what they did", function()
      local s = support.open(runtime)
      s:value "kept = { n = 1 }"
      for _, case in ipairs(hostile) do
        local kind, code, text = table.unpack(case, 1, 3)
        local answer = s:eval("kept.n = kept.n + 1\n" .. code)
        assert.equal("error", answer.type, code)
        assert.equal(kind, answer.kind, answer.text)
        if text then assert.matches(text, answer.text, 1, true) end
        assert.equal(kind == "limit" and "1" or "2", s:value "kept.n")
        s:value "kept.n = 1"
      end
    end)

    it("shows any value in bounds", function()
      local s = support.open(runtime)
      for _, code in ipairs {
        "local t = {} t.t = t t[1] = { t } return t",
        "local t = {} for i = 1, 50000 do t[i] = i end return t",
        "local t = {} for i = 1, 5000 do t[i] = { a = i, b = ('x'):rep(100), c = {} } end return t",
        "local t = {} for i = 1, 180 do t = { t } end return t",
        "return ('z'):rep(3e6)",
        "return '\\0\\255\\27[31m'",
        "return setmetatable({}, { __tostring = function() while true do end end, __name = 'x' })",
        "return setmetatable({}, { __pairs = function() error 'no' end, __len = function() error 'no' end })",
        "return { [{}] = 1, [print] = 2 }",
        "return print, coroutine.create(print), json.null, 0/0",
      } do
        local answer = s:eval(code)
        assert.equal("result", answer.type, code .. ": " .. answer.text)
        assert.is_true(#answer.text < 200 * 1024)
        assert.is_nil(answer.text:find "\27")
      end
    end)

    it("interrupts them, and nothing else", function()
      local s, other = support.open(runtime), support.open(runtime)
      for _, code in ipairs {
        "while true do pcall(mintro.intents.get, 'x') end", "n = 0 repeat n = n + 1 flow.find 'nobody' until false",
      } do
        local id = s:begin(code)
        other:value "1"
        s:send { op = "interrupt" }
        local answer = s:expect "error"
        assert.same({ id, "interrupted" }, { answer.id, answer.kind })
      end
      s:send { op = "interrupt" } -- of nothing
      assert.equal("1", s:value "1")
    end)

    it("keeps sixty-four messages waiting, and refuses more", function()
      local s = support.open(runtime)
      local first = s:begin "while true do pcall(mintro.intents.get, 'x') end"
      for _ = 1, 70 do s:begin "1" end
      local refused = s:expect "error"
      assert.same({ "limit", true }, { refused.kind, refused.id > 60 })
      s:send { op = "interrupt" }
      local answer
      repeat answer = s:expect "error" until answer.id == first
      assert.equal("interrupted", answer.kind)
      assert.equal("2", s:value "2")
    end)

    it("gives them so much time", function()
      local s = support.open(runtime, { timeout_ms = 200 })
      local answer = s:eval "while true do pcall(mintro.intents.get, 'x') end"
      assert.same({ "timeout" }, { answer.kind })
      assert.matches("stopped after 200 ms", answer.text)
    end)

    it("ends a command whose person has gone", function()
      local open = {}
      for i = 1, 16 do
        open[i] = support.open(runtime)
        open[i]:begin "while true do pcall(mintro.intents.get, 'x') end"
      end
      local function begun() return #runtime:api("GET", "/v1/audit?user=ann&limit=100").json.data end
      testing.wait_until(function() return begun() == 16 end, "all have begun")
      for i = 1, 16 do open[i]:close() end
      local s
      testing.wait_until(function()
        s = support.open(runtime)
        return s.hello.type == "hello"
      end, "they are gone")
      testing.wait_until(function()
        for _, row in ipairs(runtime:api("GET", "/v1/audit?user=ann&limit=100").json.data) do
          if row.outcome ~= "interrupted" then return false end
        end
        return true
      end, "all have ended, on record")
    end)

    it("leaves flows alone meanwhile", function()
      local dir = testing.flows { ["f.lua"] = [[
        local flow = require "mintage.flow"
        return flow.define { name = "f", run = function() return { n = flow.random(1, 9) } end }]] }
      runtime:stop()
      start { flows = dir }
      local busy = {}
      for i = 1, 16 do
        busy[i] = support.open(runtime, { timeout_ms = 60000 })
        busy[i]:begin "while true do flow.find 'nobody' end"
      end
      for _ = 1, 20 do
        local run, status = runtime:run("f", {}, { wait = "20s" })
        assert.same({ 201, "completed" }, { status, run.state })
      end
      for i = 1, 16 do
        busy[i]:send { op = "interrupt" }
        assert.equal("interrupted", busy[i]:expect("error").kind)
      end
    end)
  end)

  describe("and money", function()
    before_each(function() start() end)

    it("asks, and does it as a run of its own", function()
      local s = support.open(runtime)
      local id = paid(s, "80.00 USD")
      local no = s:eval(('paymnt.refunds.create { payment_id = "%s", amount = money "25 USD" }'):format(id), false)
      assert.equal("cancelled", no.kind)
      assert.equal(0, #ledger "refund")
      local question = no.questions[1]
      assert.is_false(question.production)
      for _, part in ipairs {
        "paymnt.refunds.create moves money", "25.00 USD", id, "as it is now (paymnt.payments.retrieve)", "80.00 USD",
        sandbox.url, "a sandbox on this machine",
      } do assert.matches(part, question.text, 1, true) end

      local yes = s:eval(('r = paymnt.refunds.create { payment_id = "%s", amount = money "25 USD" } return r.amount'):format(id))
      assert.equal("25.00 USD", yes.text)
      assert.equal(1, #ledger "refund")
      local run = runtime:get_run(yes.output:match "run_%w+")
      assert.same({ "console", "completed", "paymnt.refunds.create", "ann (uid " },
        { run.flow, run.state, run.input.operation, run.input.by:sub(1, 9) })
      assert.equal("25.00 USD", run.input.params.amount)
      assert.equal("[sealed]", run.input.exact)
    end)

    it("tells a refusal as a flow would hear it", function()
      local s = support.open(runtime)
      local answer = s:eval 'paymnt.refunds.create { payment_id = "nope" }'
      assert.equal("not_found", answer.kind)
      assert.equal('nil\n"not_found"', s:value [[
        local v, err = flow.try(paymnt.refunds.create, { payment_id = "nope" })
        return v, err.kind]])
      assert.matches("unknown", s:eval('paymnt.refunds.create { payment = "nope" }').text)
    end)

    it("answers for itself as it is told to", function()
      local yes = support.open(runtime, { confirm = "yes" })
      local id = paid(yes, "10.00 USD")
      local no = support.open(runtime, { confirm = "no" })
      local refused = no:eval(('paymnt.refunds.create { payment_id = "%s" }'):format(id))
      assert.same({ "cancelled", 0 }, { refused.kind, #refused.questions })
      assert.equal(0, #ledger "refund")
      assert.equal("result", yes:eval(('paymnt.refunds.create { payment_id = "%s" }'):format(id)).type)
      assert.equal(1, #ledger "refund")
    end)

    it("changes nothing in a read-only session", function()
      local s = support.open(runtime, { read_only = true, confirm = "yes" })
      assert.is_true(s.hello.read_only)
      s:value 'c = require("mintage.collection").define "notes"'
      for _, code in ipairs {
        'paymnt.refunds.create { payment_id = "x" }',
        'mint.epins.generate { amount = money "10 USD", count = 1, country = "US" }',
        'flow.start("notify-endpoint", { endpoint = "x", message = "m" })', 'flow.signal("a", "b", {})', 'c:put { id = "a" }',
        'http.post { url = "http://127.0.0.1:1/" }', 'paymnt.payments.settled("x", "1s")',
      } do
        local answer = s:eval(code)
        assert.same({ "error", "permission" }, { answer.type, answer.kind }, code .. ": " .. answer.text)
      end
      assert.equal(0, #runtime:api("GET", "/v1/runs").json.data)
      assert.equal("{}", s:value "c:list()")
    end)

    it("is as durable as any run: a refund that a kill -9 meets is made once", function()
      local s = support.open(runtime)
      local id = paid(s, "80.00 USD")
      local path = "/_sandbox/requests?provider=paymnt&operation=refunds.create"
      assert.equal(201, sandbox:http("POST", "/_sandbox/faults",
        { match = { provider = "paymnt", operation = "refunds.create" }, fault = "slow=3000", times = 1 }).status)
      s:begin(('paymnt.refunds.create { payment_id = "%s", amount = money "25 USD" }'):format(id))
      s:send { op = "answer", id = s:expect("confirm").id, yes = true }
      local run = s:expect("output").text:match "run_%w+"
      testing.wait_until(function() return #sandbox:http("GET", path).json.data > 0 end, "the refund is on its way")
      runtime:kill()
      assert.equal("closed", select(2, s:read()))
      runtime:launch()
      assert.equal("completed", runtime:wait_for(run, "completed", "failed", "needs_attention").state)
      assert.equal(1, #ledger "refund")
      local rows = runtime:api("GET", "/v1/audit").json.data
      local cut_short = 0
      for _, row in ipairs(rows) do
        if row.outcome == testing.json.null then cut_short = cut_short + 1 end
      end
      assert.equal(2, cut_short) -- the command and its operation have no end on record
    end)

    it("leaves a run going on when its waiting is interrupted", function()
      local s = support.open(runtime)
      local id = paid(s, "80.00 USD")
      sandbox:http("POST", "/_sandbox/faults",
        { match = { provider = "paymnt", operation = "refunds.create" }, fault = "slow=2000", times = 1 })
      s:begin(('paymnt.refunds.create { payment_id = "%s" }'):format(id))
      s:send { op = "answer", id = s:expect("confirm").id, yes = true }
      local run = s:expect("output").text:match "run_%w+"
      s:send { op = "interrupt" }
      assert.matches('runs "' .. run, s:expect("output").text, 1, true)
      assert.equal("interrupted", s:expect("error").kind)
      assert.equal("completed", runtime:wait_for(run, "completed", "failed").state)
      assert.equal(1, #ledger "refund")
    end)
  end)

  describe("and the record", function()
    before_each(function() start() end)

    local function record(query) return runtime:api("GET", "/v1/audit" .. (query or "")).json.data end

    it("has each command, what it did, and what it came to", function()
      local s = support.open(runtime)
      s:value "1 + 1"
      s:eval "error 'no'"
      s:eval('mint.epins.generate { amount = money "10 USD", count = 1, country = "US" }', false)
      local rows = record()
      assert.same({ "operation", "mint.epins.generate", "refused" }, { rows[1].what, rows[1].object, rows[1].outcome })
      assert.matches("10.00 USD", rows[1].detail, 1, true)
      assert.same({ "command", "failed" }, { rows[2].what, rows[2].outcome })
      assert.same({ "error 'no'", "failed" }, { rows[3].detail, rows[3].outcome })
      assert.same({ "1 + 1", "done", "2", "ann" }, { rows[4].detail, rows[4].outcome, rows[4].result, rows[4].who })
      assert.matches("^socket uid %d+$", rows[4].via)
      assert.equal(s.hello.session, rows[4].session)
      local bob = support.open(runtime, { user = "bob" })
      bob:value "3"
      assert.equal(1, #record "?user=bob")
      assert.equal(5, #record "?since=1h")
      assert.equal(0, #record "?since=2100-01-01T00:00:00Z")
      assert.equal(422, runtime:api("GET", "/v1/audit?since=soon").status)
      local page = runtime:api("GET", "/v1/audit?limit=2").json
      assert.equal(3, #runtime:api("GET", "/v1/audit?cursor=" .. page.next_cursor).json.data)
    end)

    it("has what is done over the API, by the name that was given", function()
      local run = runtime:run("notify-endpoint", { endpoint = "x", message = "m" })
      assert.equal(0, #record()) -- a start names nobody: the run itself tells of it
      runtime:api("POST", "/v1/runs/" .. run.id .. "/cancel", { reason = "no" }, { ["X-Mintage-User"] = "eve" })
      runtime:api("POST", "/v1/runs/" .. run.id .. "/retry", {})
      local rows = record()
      assert.same({ "retry", run.id, "refused", "admin token" },
        { rows[1].what, rows[1].object, rows[1].outcome, rows[1].who })
      assert.same({ "cancel", run.id, "eve" }, { rows[2].what, rows[2].object, rows[2].who })
      assert.matches("api 127.0.0.1", rows[2].via, 1, true)
      local said = testing.run { "audit", "--url", runtime.url, "--data", runtime.data, "--user", "eve" }
      assert.equal(0, said.code, said.err)
      assert.matches("eve  cancel " .. run.id, said.out, 1, true)
      assert.equal(1, #testing.json.decode(testing.run { "audit", "--json", "--url", runtime.url, "--data", runtime.data,
        "--user", "eve", "--since", "1d" }.out).data)
    end)

    it("has no secrets in it, and nothing else has", function()
      local s = support.open(runtime)
      s:value(('card_number = "%s" cvc = "917" x = "%s"'):format(SECRET, SECRET_GROUPS))
      s:eval(('mint.epins.redeem { epin = "%s", amount = money "10 USD", user_id = "u1" }'):format(PIN), true,
        { timeout_ms = 2000 })
      s:eval(('print("%s") error("%s")'):format(SECRET, SECRET))
      s:eval(('print(%s) return "%s"'):format(PIN, PIN))
      s:eval(('flow.log("paid with %s")'):format(SECRET))
      local made = s:eval 'e = mint.epins.generate { amount = money "10 USD", count = 1, country = "US" } return e'
      assert.matches("[redacted]", made.text, 1, true)
      local shown = s:eval "for _, p in pairs(e.epins) do print(p) end return e.epins"
      local bytes = support.bytes_of(runtime.data) .. testing.read(runtime.log) .. made.text .. shown.text .. shown.output
      for _, secret in ipairs { SECRET, SECRET_GROUPS, PIN, '"917"' } do
        assert.is_nil(bytes:find(secret, 1, true), secret)
      end
      for _, issued in ipairs(sandbox:http("GET", "/_sandbox/ledger?kind=issue").json.data) do
        if issued.epin then assert.is_nil(bytes:find(issued.epin, 1, true)) end
      end
    end)
  end)

  describe("over HTTP", function()
    before_each(function() start() end)

    local function lines(text)
      local all = {}
      for line in text:gmatch "[^\n]+" do all[#all + 1] = testing.json.decode(line) end
      return all
    end

    it("has sessions as resources, and answers as lines", function()
      local opened = runtime:api("POST", "/v1/console", { op = "hello", user = "bob" })
      assert.equal(201, opened.status, opened.body)
      local path = "/v1/console/" .. opened.json.session
      assert.equal("sandbox", opened.json.mode)
      local answer = runtime:api("POST", path, { op = "eval", id = 1, code = "x = 7 print 'hi' return x" })
      assert.equal("application/x-ndjson", answer.headers["content-type"])
      local got = lines(answer.body)
      assert.same({ "output", "hi\n", "result", "7" }, { got[1].type, got[1].text, got[2].type, got[2].text })
      assert.equal("7", lines(runtime:api("POST", path, { op = "eval", id = 2, code = "x" }).body)[1].text)
      assert.equal("intents", lines(runtime:api("POST", path, { op = "complete", id = 3, text = "mintro.int" }).body)[1].data[1])
      assert.equal("http admin token, 127.0.0.1", runtime:api("GET", "/v1/audit?user=bob").json.data[1].via)
      assert.equal(422, runtime:api("POST", path, { op = "eval", code = "x" }).status)
      assert.equal(422, runtime:api("POST", path, { op = "dance", id = 1 }).status)
      assert.equal(400, runtime:api("POST", path, "{").status)
      assert.equal(204, runtime:api("POST", path, { op = "interrupt" }).status)
      assert.equal(204, runtime:api("DELETE", path).status)
      assert.equal(404, runtime:api("DELETE", path).status)
      assert.equal(404, runtime:api("POST", path, { op = "eval", id = 4, code = "x" }).status)
    end)

    it("wants the admin token, and no second command at once", function()
      assert.equal(401, runtime:http("POST", "/v1/console", { op = "hello" }).status)
      assert.equal(422, runtime:api("POST", "/v1/console", { op = "hello", version = 9 }).status)
      local path = "/v1/console/" .. runtime:api("POST", "/v1/console", { op = "hello" }).json.session
      local function message(body)
        return { method = "POST", url = runtime.url .. path, body = testing.json.encode(body),
          headers = { Authorization = "Bearer " .. runtime.token, ["Content-Type"] = "application/json" } }
      end
      local answers = testing.native.requests {
        message { op = "eval", id = 1, code = "local n = 0 repeat n = n + 1 flow.find 'x' until n > 3000" },
        message { op = "eval", id = 2, code = "local n = 0 repeat n = n + 1 flow.find 'x' until n > 3000" },
      }
      local statuses = { answers[1].status, answers[2].status }
      table.sort(statuses)
      assert.same({ 200, 409 }, statuses)
    end)
  end)
end)
