-- The command line: help, refusals that say what to do, exit codes, and the commands that talk to a runtime.

local testing = require "mintage.testing"

local flows = {
  ["greet.lua"] = [[
local flow = require "mintage.flow"
return flow.define {
  name = "greet",
  input = { name = "string" },
  run = function(input)
    if input.name == "nobody" then flow.fail("nobody_there", "there is nobody to greet") end
    if input.name == "bug" then local t = nil; return t.field end
    if input.name == "late" then flow.await("door", "bell", { within = "1h" }) end
    return { text = "hello " .. input.name }
  end,
}
]],
}

describe("the command line", function()
  local commands = { "dev", "serve", "sandbox", "run", "runs", "events", "repl", "providers", "new", "check", "test" }

  it("explains itself and each command", function()
    local all = testing.run { "help" }
    assert.equal(0, all.code)
    for _, name in ipairs(commands) do
      assert.matches("\n  " .. name .. " ", all.out)
      for _, args in ipairs { { name, "--help" }, { "help", name }, { name, "-h" } } do
        local help = testing.run(args)
        assert.equal(0, help.code)
        assert.matches("^mintage " .. name, help.out)
        assert.matches("Exit codes", help.out)
        assert.equal("", help.err)
      end
    end
    assert.matches("MINTAGE_PORT", testing.run({ "serve", "--help" }).out)
    assert.matches("mintro_test_client", testing.run({ "sandbox", "--help" }).out)
    assert.matches("4242424242424242", testing.run({ "sandbox", "--help" }).out)
  end)

  it("says its version", function()
    assert.matches("^mintage %d+%.%d+%.%d+\n$", testing.run({ "version" }).out)
    assert.equal(0, testing.run({ "--version" }).code)
  end)

  it("refuses what it does not know, naming the nearest", function()
    for args, wanted in pairs {
      [{ "serv" }] = "serve",
      [{ "serve", "--prot", "1" }] = "%-%-port",
      [{ "runs", "lst" }] = "list",
      [{ "serve", "--port", "eighty" }] = "eighty",
      [{ "serve", "--port", "70000" }] = "65535",
      [{ "serve", "--clock", "x" }] = "%-%-sandbox",
      [{ "serve", "--data", "/dev/null/x" }] = "%-%-data",
      [{ "sandbox", "--host", "0.0.0.0", "--port", "0", "--data", testing.folder() }] = "loopback",
      [{ "run" }] = "FLOW",
      [{ "run", "greet", "not json" }] = "JSON",
      [{ "run", "greet", "[]" }] = "object",
      [{ "run", "greet", "@/no/such/file" }] = "/no/such/file",
      [{ "runs", "show" }] = "ID",
      [{ "runs", "show", "run/../x", "--token", "0123456789abcdef" }] = "not the id",
      [{ "runs", "resolve", "run_1", "x", "--data", "/dev/null/x" }] = "admin token",
      [{ "serve", "extra" }] = "extra",
    } do
      local result = testing.run(args)
      local line = table.concat(args, " ")
      assert.equal(2, result.code, line .. ": " .. result.err)
      assert.matches(wanted, result.err)
      assert.equal("", result.out)
    end
    assert.equal(2, testing.run({}).code)
    assert.equal(2, testing.run({ "serve" }, { env = { "MINTAGE_PROT=1" } }).code)
  end)

  it("says that no runtime answers, and how to start one", function()
    local result = testing.run { "runs", "list", "--url", "http://127.0.0.1:9", "--token", "0123456789abcdef" }
    assert.equal(1, result.code)
    assert.matches("mintage dev", result.err)
  end)

  describe("with a runtime", function()
    local runtime

    setup(function() runtime = testing.start("serve", { flows = testing.flows(flows) }) end)
    teardown(testing.clean_up)

    local function mintage(args, options)
      local all = {}
      for _, arg in ipairs(args) do all[#all + 1] = arg end
      for _, arg in ipairs { "--url", runtime.url, "--data", runtime.data } do all[#all + 1] = arg end
      return testing.run(all, options)
    end

    it("runs a flow and prints the run", function()
      local result = mintage { "run", "greet", '{"name":"Ann"}' }
      assert.equal(0, result.code, result.err)
      local run = testing.json.decode(result.out)
      assert.equal("completed", run.state)
      assert.equal("hello Ann", run.output.text)
    end)

    it("reads the input from a file and from standard input", function()
      local dir = testing.folder()
      testing.write(dir .. "/input.json", '{"name":"file"}')
      assert.matches("hello file", mintage({ "run", "greet", "@" .. dir .. "/input.json" }).out)
      assert.matches("hello stdin", mintage({ "run", "greet", "-" }, { input = '{"name":"stdin"}' }).out)
    end)

    it("gives the same run for the same key", function()
      local first = testing.json.decode(mintage({ "run", "greet", '{"name":"k"}', "--key", "cli-1" }).out)
      local second = testing.json.decode(mintage({ "run", "greet", '{"name":"k"}', "--key", "cli-1" }).out)
      assert.equal(first.id, second.id)
    end)

    it("exits with 1 unless the run completed, and tells the story", function()
      local result = mintage { "run", "greet", '{"name":"nobody"}' }
      assert.equal(1, result.code)
      assert.matches("is failed", result.err)
      local id = testing.json.decode(result.out).id
      local story = mintage { "runs", "show", id }
      assert.equal(0, story.code)
      assert.matches("nobody_there", story.out)
      assert.is_nil(story.out:find "\27")
    end)

    it("says where a bug is and what to do next", function()
      local result = mintage { "run", "greet", '{"name":"bug"}' }
      assert.equal(1, result.code)
      local id = testing.json.decode(result.out).id
      local story = mintage({ "runs", "show", id }).out
      assert.matches("needs attention", story)
      assert.matches("greet.lua:7", story)
      assert.matches("mintage runs cancel " .. id, story)
      assert.matches("needs_attention", mintage({ "runs", "list", "--state", "needs_attention" }).out)
      assert.equal(0, mintage({ "runs", "cancel", id }).code)
      assert.equal("cancelled", runtime:wait_for(id, "cancelled").state)
    end)

    it("stops waiting when told to, and cancels", function()
      local result = mintage { "run", "greet", '{"name":"late"}', "--wait", "100ms" }
      assert.equal(1, result.code)
      local id = testing.json.decode(result.out).id
      assert.matches("wakes", mintage({ "runs", "show", id }).out)
      local cancelled = mintage { "runs", "cancel", id, "--reason", "no longer wanted" }
      assert.equal(0, cancelled.code, cancelled.err)
      runtime:wait_for(id, "cancelled")
      assert.equal(1, mintage({ "runs", "retry", id }).code)
    end)

    it("lists as words and as JSON", function()
      mintage { "run", "greet", '{"name":"listed"}', "--key", "listed-1" }
      local words = mintage { "runs", "list", "--key", "listed-1" }
      assert.matches("run_%w+%s+completed%s+greet", words.out)
      assert.is_nil(words.out:find "\27")
      assert.is_truthy(mintage({ "runs", "list", "--color", "always" }).out:find "\27")
      assert.equal(1, #testing.json.decode(mintage({ "runs", "list", "--key", "listed-1", "--json" }).out).data)
      assert.matches("no such runs", mintage({ "runs", "list", "--flow", "other" }).out)
    end)

    it("refuses a wrong token with advice", function()
      local result = testing.run { "runs", "list", "--url", runtime.url, "--token", "not-the-right-token" }
      assert.equal(1, result.code)
      assert.matches("%-%-token", result.err)
    end)

    it("refuses a second runtime on the same data folder", function()
      local result = testing.run { "serve", "--port", "0", "--data", runtime.data }
      assert.not_equal(0, result.code)
      assert.matches("lock", result.err)
    end)
  end)
end)

describe("mintage check", function()
  after_each(testing.clean_up)

  it("finds nothing wrong with flows that load", function()
    local result = testing.run { "check", testing.flows(flows) }
    assert.equal(0, result.code, result.out .. result.err)
    assert.matches("1 flow", result.out)
  end)

  it("names file and line of every mistake", function()
    local dir = testing.flows { ["a.lua"] = "local x = \n", ["b.lua"] = "\n\nerror('no')\n", ["greet.lua"] = flows["greet.lua"] }
    local result = testing.run { "check", dir }
    assert.equal(1, result.code)
    assert.matches("a.lua:%d", result.out)
    assert.matches("b.lua:3", result.out)
    local found = testing.json.decode(testing.run({ "check", dir, "--json" }).out)
    assert.equal(2, #found.problems)
    assert.equal("b.lua", found.problems[2].file)
    assert.equal(3, found.problems[2].line)
  end)

  it("checks one file alone", function()
    local dir = testing.flows { ["a.lua"] = "local x = \n", ["greet.lua"] = flows["greet.lua"] }
    assert.equal(0, testing.run({ "check", dir .. "/greet.lua" }).code)
    assert.equal(1, testing.run({ "check", dir .. "/a.lua" }).code)
  end)

  it("says so when there is nothing to check", function()
    local result = testing.run { "check", "/no/such/folder" }
    assert.equal(2, result.code)
    assert.matches("/no/such/folder", result.err)
  end)

  it("tells times by the runtime's clock, which may have been moved", function()
    local runtime, sandbox = testing.pair { flows = testing.flows(flows) }
    local function list() return testing.run({ "runs", "list", "--url", runtime.url, "--data", runtime.data }).out end
    testing.advance(sandbox, "400d")
    runtime:wait_for(runtime:run("greet", { name = "Ann" }).id, "completed")
    assert.matches("now", list(), 1, true)
    testing.advance(sandbox, "3d")
    testing.wait_until(function() return list():find("3 days ago", 1, true) end, "the runtime sees that its clock has moved")
    local run = runtime:wait_for(runtime:run("greet", { name = "late" }).id, "waiting")
    local story = testing.run({ "runs", "show", run.id, "--url", runtime.url, "--data", runtime.data }).out
    assert.matches("wakes +in 59 minutes", story:gsub("in 60 minutes", "in 59 minutes"):gsub("in 1 hour", "in 59 minutes"))
  end)
end)
