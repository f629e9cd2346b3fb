-- The console at a real terminal, driven through tmux: editing, history, completion, questions, Ctrl-C, other widths,
-- several operators, and a runtime that is killed and comes back.

local testing = require "mintage.testing"
local support = require "tests.spec.repl_support"

local flows = {
  ["greet.lua"] = [[
local flow = require "mintage.flow"
return flow.define {
  name = "greet",
  input = { name = "string" },
  run = function(input) return { text = "hello " .. input.name } end,
}
]],
}

local function describe_terminal(name, body)
  if support.tmux then return describe(name, body) end
  describe(name, function() pending "needs tmux (on Debian: apt install tmux)" end)
end

describe_terminal("the console at a terminal", function()
  local runtime, state

  setup(function() runtime = testing.start("serve", { flows = testing.flows(flows) }) end)
  before_each(function() state = testing.folder() end)
  after_each(support.clean_up)
  teardown(testing.clean_up)

  local function repl(args, options)
    local all = { "repl", "--data", runtime.data }
    for _, arg in ipairs(args or {}) do all[#all + 1] = arg end
    options = options or {}
    options.env = { "XDG_STATE_HOME=" .. state, "HOME=" .. state }
    local t = support.terminal(all, options)
    t:wait_for_prompt()
    return t
  end

  local function over_http()
    return repl { "--url", runtime.url }
  end

  local function history() return testing.read(state .. "/mintage/history") end

  it("greets in three lines, evaluates, and leaves on Ctrl-D", function()
    local t = repl()
    local screen = t:screen()
    assert.matches("^Mintage %d[^\n]*, 1 flow, generation sha256:[^\n]*\n[^\n]*audited[^\n]*\nhelp%(%)[^\n]*Ctrl%-D", screen)
    assert.matches("Ctrl%-D leaves.\nmintage sandbox>$", screen)
    t:enter "20 + 3"
    t:wait "\n23"
    t:wait " ms\n"
    t:wait_for_prompt()
    t:press "C-d"
    assert.equal(0, t:code())
  end)

  it("edits a line", function()
    local t = repl()
    t:type "2 * 34"
    t:press("Left", "Left", "BSpace", "Home")
    t:type "1000 + "
    t:press("End", "Enter")
    t:wait "> 1000 + 2 *34"
    t:wait "\n1068"
    t:type "'Grüße an 김'"
    t:press("Left", "Left", "BSpace")
    t:type "朴"
    t:press "Enter"
    t:wait "\n\"Grüße an朴김"
    t:type "garbage("
    t:wait "> garbage("
    t:press "C-c"
    t:wait "garbage(^C"
    t:enter ":quit"
    assert.equal(0, t:code())
  end)

  it("goes on until a statement is whole", function()
    local t = repl()
    t:enter "for i = 1, 2 do"
    t:wait ">>"
    t:enter "print('line ' .. i)"
    t:wait(">>", 2)
    t:enter "end"
    t:wait "\nline 1\nline 2\n"
    t:wait_for_prompt()
    t:enter "if x then"
    t:wait(">>", 3)
    t:press "C-c"
    t:wait_for_prompt()
    t:enter "40 + 2" -- what was begun is forgotten
    t:wait "\n42"
  end)

  it("keeps history in a file of its own, and searches it", function()
    local t = repl()
    t:enter "first = 111"
    t:wait_for_prompt()
    t:enter "second = 222"
    t:wait_for_prompt()
    t:press("Up", "Up", "Enter")
    t:wait("> first = 111", 2)
    t:press "C-r"
    t:type "sec"
    t:wait "bck:sec"
    t:press "Enter"
    t:wait("> second = 222", 2)
    t:wait_for_prompt()
    t:press "C-d"
    assert.equal(0, t:code())
    assert.equal("first = 111\nsecond = 222\nfirst = 111\nsecond = 222\n", history())
    t = repl()
    t:press("Up", "Up", "Enter")
    t:wait "> first = 111"
  end)

  it("takes what is typed ahead as the next line", function()
    local t = repl()
    t:enter "print('on') for _ = 1, 2e7 do end return 'slow'"
    t:wait "\non\n"
    t:type "6 * 8"
    t:press("Left", "BSpace", "Enter")
    t:wait '\n"slow"'
    t:wait "> 6 *8\n48"
  end)

  it("writes no secrets to the history, and lets only its user read it", function()
    local t = repl()
    local lines = {
      "a = '4242 4242 4242 4242'", "a = 4242424242424242", "a = '3782-822463-10005'", "a = '1234 5678 1234 5678'",
      "t = { cvc = '123' }", "t = { ['api_key'] = 'x' }", "t = { token = 'abc' }", "a = 'Bearer abc'",
      " spaced = 1", "t = [=[{\"card_number\": \"42\"}]=]",
    }
    for i, line in ipairs(lines) do
      t:enter(line)
      t:enter(("print('done ' .. %d)"):format(i))
      t:wait("\ndone " .. i)
    end
    t:enter "harmless = { key = 'order-17', number_of = 12 }"
    t:wait_for_prompt()
    t:press "C-d"
    t:code()
    local kept = {}
    for line in history():gmatch "[^\n]+" do
      if not line:find "^print" then kept[#kept + 1] = line end
    end
    assert.same({ "harmless = { key = 'order-17', number_of = 12 }" }, kept)
    local mode = io.popen("stat -c '%a %F' " .. state .. "/mintage/history " .. state .. "/mintage")
    assert.equal("600 regular file\n700 directory\n", mode:read "a")
    mode:close()
  end)

  it("shortens a long history, and takes it away from others", function()
    local lines = {}
    for i = 1, 4500 do lines[i] = "x = " .. i end
    os.execute("mkdir -p " .. state .. "/mintage")
    testing.write(state .. "/mintage/history", table.concat(lines, "\n") .. "\n")
    os.execute("chmod 644 " .. state .. "/mintage/history")
    local t = repl()
    t:press("Up", "Enter")
    t:wait "> x = 4500"
    t:wait_for_prompt()
    local kept = select(2, history():gsub("\n", ""))
    assert.equal(2000, kept)
    assert.matches("^x = 2501\n", history())
    assert.equal("rw-------", require("lfs").attributes(state .. "/mintage/history", "permissions"))
  end)

  it("remembers a statement of several lines as one", function()
    local t = repl()
    t:enter "for i = 7, 8 do"
    t:wait ">>"
    t:enter "  print(i)"
    t:enter "end"
    t:wait "\n7\n8\n"
    t:press("Up", "Enter")
    t:wait "\n7\n8\nmintage"
    assert.equal("for i = 7, 8 do print(i) end\n", history())
  end)

  it("completes on TAB", function()
    local t = repl()
    t:type "collec"
    t:press "Tab"
    t:wait "> collection"
    t:press "C-c"
    t:type "paym"
    t:press("Tab", "Tab")
    t:wait "paymint"
    t:wait "paymnt"
    t:wait_for_prompt "> paym "
    t:press "C-c"
    t:type "no_such_thing_"
    t:press "Tab"
    t:type "x"
    t:wait "no_such_thing_x"
  end)

  it("completes parameters, also in a further line, ids of runs, and methods", function()
    local t, run = repl(), runtime:run("greet", { name = "Bob" }, { wait = "10s", key = "complete-me" })
    t:type "paymnt.payments.cr"
    t:press "Tab"
    t:wait "> paymnt.payments.create"
    t:type "{ am"
    t:press "Tab"
    t:wait "{ amount"
    t:press "C-c"
    t:enter "paymnt.payments.create{"
    t:type "  am"
    t:press "Tab"
    t:wait ">>   amount"
    t:press "C-c"
    t:type('runs "' .. run.id:sub(1, -3))
    t:press "Tab"
    t:wait('> runs "' .. run.id)
    t:press "C-c"
    t:enter 'r = runs "complete-me"'
    t:wait_for_prompt()
    t:type "r:sto"
    t:press "Tab"
    t:wait "> r:story"
  end)

  it("stops what runs on Ctrl-C, and the session goes on", function()
    local t = repl()
    t:enter "before = 77"
    t:wait_for_prompt()
    t:enter "print('it runs') while true do end"
    t:wait "\nit runs"
    t:press "C-c"
    t:wait "interrupted"
    t:wait_for_prompt()
    t:enter "before"
    t:wait "\n77"
    assert.equal(200, runtime:http("GET", "/healthz").status)
  end)

  it("fits the width that the terminal has now", function()
    local t = repl({}, { width = 120 })
    t:resize(60)
    t:enter "_G.w = ('x'):rep(50) return #w"
    t:wait "\n50"
    t:type(("1 + "):rep(30) .. "1")
    t:resize(90)
    t:press "Enter"
    t:wait "\n31"
    t:wait_for_prompt()
  end)

  it("serves two operators at once", function()
    local ann, bob = repl(), repl()
    ann:enter "x = 'of ann'"
    ann:wait_for_prompt()
    ann:enter "print('on') while true do end"
    ann:wait "\non"
    bob:enter "x = 'of bob' return x"
    bob:wait "\n\"of bob\""
    ann:press "C-c"
    ann:wait "interrupted"
    ann:enter "x"
    ann:wait "\n\"of ann\""
  end)

  it("says that the runtime was killed, and finds it again when it is back", function()
    local t = repl()
    t:enter "x = 1"
    t:wait_for_prompt()
    t:type "half a line"
    t:wait "half a line"
    runtime:kill()
    t:wait "is lost"
    t:wait "(not connected)> half a line"
    t:press "C-c"
    t:enter "1 + 1"
    t:wait "nothing was run"
    runtime:launch()
    t:wait "Connected again. This is a new session"
    t:wait_for_prompt()
    t:enter "x == nil"
    t:wait "there is no 'x'"
    t:enter "5 * 5"
    t:wait "\n25"
  end)

  it("does all of this over HTTP as well", function()
    local t = over_http()
    t:enter "x = 7"
    t:wait_for_prompt()
    t:type "x = x * collec"
    t:press "Tab"
    t:wait "* collection"
    t:press "C-c"
    t:enter "print('it runs') while true do end"
    t:wait "\nit runs"
    t:press "C-c"
    t:wait "interrupted"
    t:enter "x"
    t:wait "\n7"
    t:wait_for_prompt()
    runtime:kill()
    t:enter "x"
    t:wait "is lost"
    t:wait "Nothing was run"
    runtime:launch()
    t:wait "Connected again"
    t:enter "5 * 5"
    t:wait "\n25"
    t:press "C-d"
    assert.equal(0, t:code())
  end)

  it("says so when the runtime is killed while a command runs", function()
    local t = repl()
    t:enter "print('on') while true do end"
    t:wait "\non"
    runtime:kill()
    t:wait "is lost"
    t:wait "What ran has ended"
    runtime:launch()
    t:wait "Connected again"
  end)

  it("tells of new flows above the line", function()
    local t = repl()
    t:type "half a line"
    t:wait "half a line"
    testing.write(runtime.options.flows .. "/greet.lua", (flows["greet.lua"]:gsub("hello", "good day")))
    t:wait "* the flows have changed"
    t:wait_for_prompt "> half a line "
  end)

  it("knows its own commands", function()
    local t = repl()
    t:enter ":help"
    t:wait ":read-only"
    t:enter ":nonsense"
    t:wait "There is no command :nonsense"
    t:enter ":read-only"
    t:wait_for_prompt " read-only> "
    t:enter ":read-only off"
    t:wait "no longer read-only"
    t:enter ":q"
    assert.equal(0, t:code())
  end)

  it("leaves when Ctrl-C is pressed twice", function()
    local t = repl()
    runtime.process:signal(19) -- SIGSTOP: it answers nothing
    local ok, why = pcall(function()
      t:enter "1"
      t:press "C-c"
      t:wait "once more leaves"
      t:press "C-c"
      assert.equal(0, t:code())
    end)
    runtime.process:signal(18)
    assert(ok, why)
  end)

  it("gives the terminal back when it is told to end", function()
    local t = repl()
    t:type "half a line"
    t:wait "half a line"
    t:signal "TERM"
    assert.equal(0, t:code())
    t = repl()
    t:enter "print('on') while true do end"
    t:wait "\non"
    t:signal "TERM"
    assert.equal(0, t:code())
  end)

  it("begins in a run with --run, and says how to go on", function()
    local run = runtime:run("greet", { name = "Ann" }, { wait = "10s" })
    local t = repl { "--run", run.id }
    t:wait "travel:step()"
    t:enter "travel.at"
    t:wait "\n1"
    t:wait_for_prompt()
  end)

  it("shows how long a command took, unless told not to", function()
    local t = repl()
    t:enter "1"
    t:wait "\n1  "
    t:wait " ms\n"
    t:enter ":timing off"
    t:wait_for_prompt()
    t:enter "2"
    t:wait "\n2\nmintage"
  end)

  it("shares its history with other terminals of the same user", function()
    local ann, bob = repl(), repl()
    ann:enter "x = 'ann'"
    ann:wait_for_prompt()
    bob:enter "x = 'bob'"
    bob:wait_for_prompt()
    assert.equal("x = 'ann'\nx = 'bob'\n", history())
  end)

  it("colours only where it may", function()
    assert.is_truthy(repl():screen(true):find "\27%[")
    assert.is_nil(repl({ "--no-color" }):screen(true):find "\27%[")
    local t = support.terminal({ "repl", "--data", runtime.data }, { env = { "NO_COLOR=1", "HOME=" .. state } })
    t:wait_for_prompt()
    assert.is_nil(t:screen(true):find "\27%[")
  end)
end)

-- ---- questions ----

local pay = 'paymnt.payments.create{ amount = money "12.00 USD" }.status'

describe_terminal("questions at the console", function()
  local runtime, sandbox

  setup(function() runtime, sandbox = testing.pair() end)
  after_each(support.clean_up)
  teardown(testing.clean_up)

  local function repl(args)
    local all = { "repl", "--data", runtime.data }
    for _, arg in ipairs(args or {}) do all[#all + 1] = arg end
    local t = support.terminal(all, { env = { "HOME=" .. testing.folder() } })
    t:wait_for_prompt()
    return t
  end

  local function over_http() return repl { "--url", runtime.url } end

  local function payments() return #sandbox:http("GET", "/_sandbox/requests?provider=paymnt").json.data end

  it("say what, how much and where, and y means yes", function()
    local t, before = repl(), payments()
    t:enter(pay)
    t:wait "paymnt.payments.create moves money"
    t:wait "12.00 USD\n"
    t:wait "sandbox on this machine"
    t:wait "Go on? [y/N]"
    assert.equal(before, payments())
    t:enter "y"
    t:wait '\n"requires_payment_method"'
    assert.is_true(payments() > before)
  end)

  it("are asked over HTTP as well", function()
    local t, before = over_http(), payments()
    t:enter(pay)
    t:wait_for_question()
    t:enter "n"
    t:wait "nothing was done"
    assert.equal(before, payments())
    t:enter(pay)
    t:wait_for_question()
    t:enter "y"
    t:wait '\n"requires_payment_method"'
  end)

  it("are answered no by Enter, by n, by Ctrl-C and by Ctrl-D", function()
    local t, before = repl(), payments()
    for _, no in ipairs { "Enter", "n", "C-c", "C-d" } do
      t:enter(pay)
      t:wait_for_question()
      t:press(no)
      if no == "n" then t:press "Enter" end
      t:wait_for_prompt()
    end
    t:wait("nobody said yes; nothing was done", 4)
    assert.equal(before, payments())
  end)

  it("are asked for -e as well, away from its values", function()
    local dir, before = testing.folder(), payments()
    local t = support.terminal({ "repl", "--data", runtime.data, "--json", "-e", pay },
      { env = { "HOME=" .. dir }, redirect = "> '" .. dir .. "/out'" })
    t:wait_for_question()
    t:enter "y"
    assert.equal(0, t:code())
    assert.equal('"requires_payment_method"\n', testing.read(dir .. "/out"))
    assert.is_true(payments() > before)
  end)

  it("end with the runtime", function()
    local t = repl()
    t:enter(pay)
    t:wait_for_question()
    runtime:kill()
    t:wait "is lost"
    runtime:launch()
    t:wait "Connected again"
    t:wait_for_prompt()
  end)

  it("are not answered by what was typed before", function()
    local t, before = repl(), payments()
    t:enter("print 'begun' for _ = 1, 3e7 do end return " .. pay)
    t:wait "\nbegun"
    t:type "y"
    t:press "Enter"
    t:wait_for_question()
    t:press "Enter"
    t:wait "nothing was done"
    assert.equal(before, payments())
  end)

  it("are not asked where all may be done, nor where nothing may", function()
    local t = repl { "--yes" }
    t:enter(pay)
    t:wait '\n"requires_payment_method"'
    assert.is_nil(t:screen():find "y/N")
    local before = payments()
    t = repl { "--read-only" }
    assert.matches("read%-only>$", t:screen())
    t:enter(pay)
    t:wait "read-only: paymnt.payments.create was not carried out"
    assert.equal(before, payments())
  end)
end)

describe_terminal("the console of a runtime in production", function()
  after_each(support.clean_up)
  teardown(testing.clean_up)

  it("says so in the prompt, and wants the whole word yes", function()
    local dir = testing.folder()
    testing.write(dir .. "/config.json", testing.json.encode {
      providers = { paymnt = { api_key = "paymnt_key_0123456789", base_url = "https://paymnt.invalid" } },
    })
    local runtime = testing.start("serve", { config = dir .. "/config.json" })
    local t = support.terminal({ "repl", "--data", runtime.data }, { env = { "HOME=" .. dir } })
    t:wait_for_prompt "mintage PRODUCTION paymnt> "
    assert.matches("PRODUCTION: paymnt%.", t:screen())
    assert.matches("\27%[[%d;]*31m[^\n]*PRODUCTION paymnt", t:screen(true))
    for _, word in ipairs { "y", "Y", "YES", "ja", "" } do
      t:enter(pay)
      t:wait "PRODUCTION paymnt.payments.create moves money"
      t:wait_for_question()
      t:enter(word)
      t:wait_for_prompt "mintage PRODUCTION paymnt> "
    end
    t:wait("nobody said yes; nothing was done", 5)
    t:enter(pay)
    t:wait_for_question()
    t:enter "yes"
    t:wait "payments.create is run run_"
  end)
end)
