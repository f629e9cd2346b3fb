-- help at the console: of modules, operations, functions, objects and runs; and that the types of the console's own objects
-- name what there is.

local testing = require "mintage.testing"
local support = dofile((debug.getinfo(1, "S").source:match "^@(.*/)" or "./") .. "console_support.lua")

local flows = {
  ["greet.lua"] = [[
local flow = require "mintage.flow"
return flow.define { name = "greet", run = function() flow.sleep "1h" end }
]],
}

describe("help at the console", function()
  local runtime, prints

  setup(function()
    runtime = testing.pair { flows = testing.flows(flows) }
    prints = support.at(runtime)
    runtime:wait_for(runtime:run("greet", {}, { key = "one" }).id, "sleeping")
  end)
  teardown(testing.clean_up)

  it("begins with what there is", function()
    local said = prints "help()"
    for _, name in ipairs { "runs", "time travel", "ledger", "sandbox", "modules" } do assert.matches(name, said, 1, true) end
  end)

  it("tells an operation's parameters, types, answer, errors and an example", function()
    local said = prints "help(mintro.intents.create)"
    for _, text in ipairs {
      "mintro.intents.create(params", "Begins a payment", ".amount", "Money", "transaction total", ".interval_days?",
      'After an unknown outcome', "intent_id, status, amount, payment_url", "invalid_request", "flow.try",
      'mintro.intents.create { amount = money "80.00 USD"',
    } do
      assert.matches(text, said, 1, true)
    end
    assert.equal(said, prints 'help "mintro.intents.create"')
    assert.equal(said, prints 'help "mintage.mintro.intents.create"')
  end)

  it("tells of functions with their units", function()
    local said = prints 'help "flow.sleep"'
    assert.matches("duration%s+Duration", said)
    assert.matches('"30d", "12h", "1h30m", "250ms", or seconds', said, 1, true)
    assert.matches('flow.sleep "30d"', said, 1, true)
    assert.equal(said, prints "help(flow.sleep)")
    assert.matches("raises `conflict`", prints "help(flow.start)", 1, true)
  end)

  it("tells of modules, classes and values", function()
    assert.matches("flow.await(topic, key, options)", prints "help(flow)", 1, true)
    assert.matches("intents.settled", prints "help(mintro)", 1, true)
    assert.matches("retryable?", prints 'help "Error"', 1, true)
    assert.matches(":ratio(numerator, denominator)", prints 'help(money "1 USD")', 1, true)
  end)

  it("tells of the console's own", function()
    assert.matches("runs.find(options)", prints "help(runs)", 1, true)
    assert.matches(":what_if(code, options)", prints "help(runs'one')", 1, true)
    assert.matches("Travel:step", prints 'help "travel:step"', 1, true)
    assert.matches("Prints effects as they come", prints 'help "run:follow"', 1, true)
    assert.matches("last4?", prints "help(runs.find)", 1, true)
    assert.matches(":look(path, frame)", prints "help(runs'one':at(1))", 1, true)
    assert.matches("sandbox.pay", prints "help(sandbox)", 1, true)
    assert.matches("Tells what something is", prints "help(help)" .. prints 'help "help"', 1, true)
  end)

  it("suggests the nearest for what there is not", function()
    assert.matches('did you mean "flow.sleep"', prints 'help "flow.slep"', 1, true)
    assert.matches("There is no help for", prints 'help "xyzzyx"', 1, true)
    assert.matches("This is a number", prints "help(5)", 1, true)
  end)

  -- bindings/types/console.d.lua against the running VM
  it("has types for every object and method, and for no other", function()
    local chunk = assert(load(testing.read "bindings/types/console.d.lua", "@console.d.lua", "t", {}))
    local objects, classes = chunk()
    local function names(t)
      local all = {}
      for name, value in pairs(t) do
        if type(value) == "function" then all[#all + 1] = name end
      end
      table.sort(all)
      return table.concat(all, " ")
    end
    local list = "function list(t) local all = {} for k, v in pairs(t) do if type(v) == 'function' then all[#all + 1] = k end end "
      .. "table.sort(all) return table.concat(all, ' ') end"
    for name, object in pairs(objects) do
      assert.equal(names(object) .. "\n", prints(list, ("print(list(%s))"):format(name)), name)
    end
    local methods = "function of(o) return list(getmetatable(o).__index) end"
    assert.equal(names(classes.Run) .. "\n", prints(list, methods, "print(of(runs'one'))"))
    assert.equal(names(classes.Travel) .. "\n", prints(list, methods, "print(of(runs'one':at(1)))"))
  end)
end)
