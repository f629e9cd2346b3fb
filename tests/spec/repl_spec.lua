-- mintage repl without a terminal: -e, scripts on standard input, exit codes, values as JSON, --offline, and how a
-- runtime is reached.

local testing = require "mintage.testing"

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

describe("the console without a terminal", function()
  local runtime

  setup(function() runtime = testing.start("serve", { flows = testing.flows(flows) }) end)
  teardown(testing.clean_up)

  local function repl(args, input, options)
    local all = { "repl", "--data", runtime.data }
    for _, arg in ipairs(args) do all[#all + 1] = arg end
    options = options or {}
    options.input = input
    return testing.run(all, options)
  end

  local function prints(wanted, args, input)
    local result = repl(args, input)
    assert.equal("", result.err)
    assert.equal(wanted, result.out)
    assert.equal(0, result.code)
  end

  describe("with -e", function()
    it("prints the value of an expression, and nothing for none", function()
      prints("2\n", { "-e", "1 + 1" })
      prints("", { "-e", "x = 1" })
      prints("", { "-e", "-- nothing" })
    end)

    it("runs one after the other in one session", function()
      prints("10\n", { "-e", "x = 5", "-e", "x * 2" })
      prints("7\n7\n", { "-e", "3 + 4", "-e", "_" })
    end)

    it("keeps local variables, which would end with their chunk", function()
      prints("5\n", { "-e", "local x = 5", "-e", "x" })
      prints("3\n", { "-e", "local a, b = 1, 2", "-e", "a + b" })
      prints("4\n", { "-e", "local function double(x) return 2 * x end", "-e", "double(2)" })
    end)

    it("stops at the first that fails, says which, and exits with 1", function()
      local result = repl { "-e", "print 'before'", "-e", "error 'boom'", "-e", "print 'after'" }
      assert.equal(1, result.code)
      assert.equal("before\n", result.out)
      assert.matches("^mintage repl: %-e number 2: ", result.err)
      assert.matches("boom", result.err)
    end)

    it("says where a syntax error is", function()
      local result = repl { "-e", "x = = 1" }
      assert.equal(1, result.code)
      assert.matches("near '='", result.err)
    end)

    it("does not wait for standard input", function() prints("1\n", { "-e", "1" }, "error 'not read'") end)
  end)

  describe("with a script on standard input", function()
    it("runs a statement at a time and prints what it gives", function()
      prints("1\n3\n", {}, "1\n1 + 2\n")
      prints("42\n", {}, "local a = 1\n\nlocal function f(x)\n  return x + a\nend\n-- all of it\nf(41)")
    end)

    it("takes a statement to be as long as it can be", function()
      prints("4\n", {}, 'local s = "abc"\ns\n  :rep(2)\n  :find "a" + 3\n')
      prints("6\n", {}, "1 +\n 2\n + 3\n")
      prints("a\nb\n", {}, "print [[\na\nb]]\n")
      prints("yes\n", {}, "if true then\n\n  print 'yes'\nelse\n  print 'no'\nend\n")
    end)

    it("passes over a first line for the shell", function() prints("1\n", {}, "#!/usr/bin/env mintage repl\n1\n") end)

    it("stops at the first error and names its line", function()
      local result = repl({}, "print 'one'\n\nlocal x\nif not x then\n  error 'two'\nend\nprint 'three'\n")
      assert.equal(1, result.code)
      assert.equal("one\n", result.out)
      assert.matches("^mintage repl: standard input, line 4: ", result.err)
      assert.matches(":5: two", result.err)
    end)

    it("refuses what never ends, and what is no text", function()
      local result = repl({}, "print 'one'\nif true then\n")
      assert.equal(1, result.code)
      assert.matches("line 2", result.err)
      result = repl({}, "print '\255'\n")
      assert.equal(2, result.code)
      assert.matches("UTF%-8", result.err)
    end)

    it("does nothing for an empty one", function() prints("", {}, "\n\n-- nothing\n") end)
  end)

  describe("with --json", function()
    it("prints each value as a line of JSON", function()
      local result = repl { "--json", "-e", "{ a = 1, b = { true, 'x' } }, 2", "-e", "nil", "-e", "x = 1" }
      assert.equal(0, result.code)
      local lines = {}
      for line in result.out:gmatch "[^\n]+" do lines[#lines + 1] = line end
      assert.same({ a = 1, b = { true, "x" } }, testing.json.decode(lines[1]))
      assert.same({ "2", "null" }, { lines[2], lines[3] })
      assert.equal(3, #lines)
    end)

    it("keeps what is printed and what goes wrong away from the values", function()
      local result = repl { "--json", "-e", "print 'words' return 1", "-e", "error 'boom'" }
      assert.equal(1, result.code)
      assert.equal("1\n", result.out)
      assert.matches("words", result.err)
      local problem = testing.json.decode(result.err:match '{.*}')
      assert.matches("boom", problem.error)
      assert.equal("-e number 2", problem["in"])
    end)
  end)

  it("ends a command that takes too long, and the runtime goes on", function()
    local result = repl { "--timeout", "300ms", "-e", "while true do end" }
    assert.equal(1, result.code)
    assert.matches("300 ms", result.err)
    prints("1\n", { "-e", "1" })
  end)

  it("stops a command on SIGINT", function()
    local dir = testing.folder()
    local process = testing.native.spawn(
      { testing.program, "repl", "--data", runtime.data, "-e", "print 'on' while true do end" },
      { out = dir .. "/out", err = dir .. "/err" })
    testing.wait_until(function() return testing.read(dir .. "/out"):find "on" end, "it runs")
    process:signal(2)
    assert.equal(1, process:wait(10000))
    assert.matches("interrupted", testing.read(dir .. "/err"))
    process:close()
  end)

  it("writes no colours where nobody looks, unless told to", function()
    assert.is_nil(repl({ "-e", "{ a = 1 }" }).out:find "\27")
    assert.is_truthy(repl({ "--color", "always", "-e", "error 'x'" }).err:find "\27")
    assert.is_nil(repl({ "--color", "always", "--no-color", "-e", "error 'x'" }).err:find "\27")
  end)

  it("lets nothing but colours steer the terminal", function()
    local result = repl { "-e", [[print("a\27[2Jb\27]0;title\7c\r\226\128\174d\194\155e")]] }
    assert.is_nil(result.out:find "[\27\7\r]")
    assert.is_nil(result.out:find("\226\128\174", 1, true))
    assert.is_nil(result.out:find("\194\155", 1, true))
  end)

  describe("over HTTP", function()
    local function over_http(args, input)
      local all = { "repl", "--url", runtime.url, "--token", runtime.token }
      for _, arg in ipairs(args) do all[#all + 1] = arg end
      return testing.run(all, { input = input })
    end

    it("does as over the socket", function()
      local result = over_http { "-e", "local x = 5", "-e", "print('x is', x) return x * 2", "--json" }
      assert.equal("10\n", result.out)
      assert.equal("x is\t5\n", result.err)
      assert.equal(0, result.code)
      result = over_http({}, "1\n\nerror 'boom'\n")
      assert.equal("1\n", result.out)
      assert.matches("^mintage repl: standard input, line 3: ", result.err)
      assert.equal(1, result.code)
    end)

    it("finds the token in the data folder", function()
      assert.equal("2\n", repl({ "--url", runtime.url, "-e", "1 + 1" }).out)
    end)

    it("leaves no session behind", function()
      for _ = 1, 20 do assert.equal("1\n", over_http({ "-e", "1" }).out) end
    end)

    it("stops a command on SIGINT", function()
      local dir = testing.folder()
      local process = testing.native.spawn(
        { testing.program, "repl", "--data", runtime.data, "--url", runtime.url, "-e",
          "print 'on' while true do end" },
        { out = dir .. "/out", err = dir .. "/err" })
      testing.wait_until(function() return testing.read(dir .. "/out"):find "on" end, "it runs")
      process:signal(2)
      assert.equal(1, process:wait(10000))
      process:close()
    end)

    it("says that a token is wrong, and to whom it does not belong", function()
      local result = testing.run { "repl", "--url", runtime.url, "--token", "not-the-right-token", "-e", "1" }
      assert.equal(1, result.code)
      assert.matches("%-%-token", result.err)
    end)
  end)

  describe("reaching a runtime", function()
    it("says what to do when there is none", function()
      local dir = testing.folder()
      local result = testing.run { "repl", "--data", dir, "-e", "1" }
      assert.equal(2, result.code)
      assert.matches("mintage dev", result.err)
      result = testing.run { "repl", "--url", "http://127.0.0.1:9", "--token", "0123456789abcdef", "-e", "1" }
      assert.equal(1, result.code)
      assert.matches("127.0.0.1:9", result.err)
    end)

    it("knows a socket that a killed runtime left", function()
      local other = testing.start("serve", { flows = testing.flows(flows) })
      assert.equal("1\n", testing.run({ "repl", "--data", other.data, "-e", "1" }).out)
      other:kill()
      assert.is_true(testing.exists(other.data .. "/console.sock"))
      local result = testing.run { "repl", "--data", other.data, "-e", "1" }
      assert.equal(1, result.code)
      assert.matches("no runtime serves", result.err)
      assert.matches("%-%-offline", result.err)
    end)

    it("refuses options that contradict each other", function()
      for _, case in ipairs {
        { { "--offline", "--url", "http://127.0.0.1:9" }, "%-%-offline" },
        { { "--at", "3" }, "%-%-run" },
        { { "--run", "run/../x" }, "not the id" },
        { { "--flows", "/tmp" }, "%-%-flows is of %-%-offline" },
        { { "--timeout", "2h" }, "%-%-timeout" },
      } do
        local result = repl(case[1])
        assert.equal(2, result.code, result.err)
        assert.matches(case[2], result.err)
      end
    end)

    it("finds a socket whose path is too long for one", function()
      local dir = testing.folder() .. "/" .. ("long"):rep(20) .. "/" .. ("data"):rep(20)
      os.execute("mkdir -p '" .. dir .. "'")
      local result = testing.run { "repl", "--data", dir, "-e", "1" }
      assert.equal(2, result.code)
      assert.matches("no runtime serves", result.err)
    end)

    it("takes --yes from the command line alone", function()
      local result = repl({ "-e", "1" }, nil, { env = { "MINTAGE_YES=true" } })
      assert.equal(2, result.code)
      assert.matches("command line alone", result.err)
    end)
  end)

  it("begins at an effect of a run with --run and --at", function()
    local run = runtime:run("greet", { name = "Ann" }, { wait = "10s" })
    local result = repl { "--run", run.id, "-e", "travel ~= nil" }
    assert.equal("", result.err)
    assert.equal("true\n", result.out)
    result = repl { "--run", "run_none", "-e", "print 'not reached'" }
    assert.equal(1, result.code)
    assert.equal("", result.out)
    assert.matches("^mintage repl: %-%-run: ", result.err)
  end)

  describe("with --offline", function()
    it("refuses a folder that a runtime holds, or that has no data", function()
      local result = repl { "--offline", "-e", "1" }
      assert.equal(1, result.code)
      assert.matches("a runtime holds", result.err)
      local dir = testing.folder()
      result = testing.run { "repl", "--offline", "--data", dir .. "/none", "-e", "1" }
      assert.equal(2, result.code)
      assert.is_false(testing.exists(dir .. "/none"))
    end)

    it("looks at what a runtime left, and leaves it as it was", function()
      local other = testing.start("serve", { flows = testing.flows(flows) })
      local run = other:run("greet", { name = "Ann" }, { wait = "10s" })
      assert.equal("completed", run.state)
      other:stop()
      local function offline(...)
        local code, args = { ... }, { "repl", "--offline", "--sandbox", "http://127.0.0.1:9", "--data", other.data }
        for _, chunk in ipairs(code) do
          args[#args + 1] = "-e"
          args[#args + 1] = chunk
        end
        return testing.run(args)
      end
      local result = offline("runs.list{}[1].id", "t = _ and runs.list{}[1]:at(1)", "t ~= nil")
      assert.equal("", result.err)
      assert.equal(('"%s"\ntrue\n'):format(run.id), result.out)
      result = offline 'paymnt.payments.create{ amount = money "1.00 USD" }'
      assert.equal(1, result.code)
      assert.matches("offline", result.err)
      assert.is_false(testing.exists(other.data .. "/console.sock"))
      other:launch()
      assert.equal("completed", other:get_run(run.id).state)
    end)
  end)
end)
