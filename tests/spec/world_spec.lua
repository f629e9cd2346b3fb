-- Simulated worlds as specs use them: time, the network, dying, reloading, and what is checked at their end.

local world = require "mintage.world"

local function flow_of(body, head)
  return ([[
    local flow = require "mintage.flow"
    local http = require "mintage.http"
    return flow.define { name = "story", %s run = function(input) %s end }
  ]]):format(head or "", body)
end

local function story(body, options)
  options = options or {}
  options.flows = { ["story.lua"] = flow_of(body) }
  local w = world.new(options)
  return w, w:start "story"
end

describe("a simulated world", function()
  it("begins when it is told to, and time passes only when it is let", function()
    local w = world.new { start = "2026-01-31T09:00:00Z", flows = { ["story.lua"] = flow_of "flow.sleep '30d' return 1" } }
    assert.matches("^2026%-01%-31T09:00:00", w:now())
    local run = w:start "story"
    w:advance "29d"
    assert.sleeping(run)
    w:advance "2d"
    assert.completed(run)
    assert.equal(1, run.output)
    assert.matches("^2026%-03%-03T09:00:00", w:now())
  end)

  it("goes on beside another one", function()
    local w, run = story "flow.sleep '1d' return 1"
    local other, slow = story "flow.sleep '2d' return 2"
    w:advance "25h"
    assert.completed(run)
    assert.sleeping(slow)
    assert.is_true(w:now() > other:now())
    assert.completed(slow:wait "3d")
    w:close()
    assert.equal(2, slow.output)
  end)

  it("gives flows the settings of its configuration", function()
    local _, run = story([[return require("mintage.settings").greeting]], { config = { settings = { greeting = "hello" } } })
    assert.completed(run:wait())
    assert.equal("hello", run.output)
  end)

  it("shows a run's fields, journal and story", function()
    local w, run = story [[flow.progress { step = "one" } flow.log "hello" flow.await("topic", "key") return { done = true }]]
    run:wait_for "waiting"
    assert.equal("one", run.progress.step)
    assert.equal("topic", run.waiting_for.topic)
    assert.is_nil(run.output)
    assert.equal("story", run.flow)
    assert.equal(3, #run:journal())
    assert.matches('notes "hello"', run:story(), 1, true)
    run:signal("topic", "key", { n = 1 })
    assert.completed(run:wait())
    assert.same({ done = true }, run.output)
    assert.equal(1, #w:events { topic = "topic" })
    assert.equal(run, w:runs()[1])
    assert.equal(run.id, w:run(run.id).id)
  end)

  it("says what happened when a wait is in vain", function()
    local _, run = story [[flow.await("topic", "key")]]
    local ok, why = pcall(run.wait, run, "5m")
    assert.is_false(ok)
    assert.matches("waited 5m in vain until run_%w+ has ended; it is waiting", why)
    assert.matches("waits for topic/key", run:story(), 1, true)
  end)

  it("takes an operator's deeds", function()
    local _, run = story [[flow.sleep "1d"]]
    run:wait_for "sleeping"
    run:cancel "enough"
    assert.cancelled(run:wait())
  end)

  it("carries on a run that needs a person", function()
    local w, run = story [[local n = nil; return n.x]]
    run:wait()
    assert.needs_attention(run, "script")
    assert.is_true(w:reload { ["story.lua"] = flow_of "return 7" })
    assert.equal("moved", run:migrate().outcome)
    assert.completed(run:retry():wait())
    assert.equal(7, run.output)
  end)

  it("plays hosts", function()
    local w = world.new { flows = { ["story.lua"] = flow_of [[return http.get("https://shop.example/stock").json.left]] } }
    local asked = {}
    w:serve("https://shop.example", function(req)
      asked[#asked + 1] = req.method .. " " .. req.url
      return { json = { left = 3 } }
    end)
    local run = w:start("story"):wait()
    assert.equal(3, run.output)
    assert.equal("GET https://shop.example/stock", asked[1])
  end)

  it("survives the runtime's death, also of one that is asked meanwhile", function()
    local w, run = story [[flow.sleep "1h" return 1]]
    w:kill()
    assert.is_nil((w:get "/healthz"))
    assert.equal("story", run.flow)
    w:kill():advance "2h"
    assert.completed(run)
  end)

  it("reloads flows while runs are under way, and keeps what works when they are broken", function()
    local w, run = story [[flow.sleep "1h" return "old"]]
    run:wait_for "sleeping"
    assert.is_true(w:reload { ["story.lua"] = flow_of [[return "new"]] })
    assert.equal("new", w:start("story"):wait().output)
    assert.equal("old", run:wait("2h").output)
    local ok, why = w:reload { ["story.lua"] = "return (" }
    assert.is_nil(ok)
    assert.matches("story.lua", why, 1, true)
    assert.equal("new", w:start("story"):wait().output)
  end)

  it("does what its plan says", function()
    local w, run = story([[return http.get({ url = "https://shop.example/stock" }).status]], { plan = "n2:refused p16" })
    w:serve("https://shop.example", function() return { status = 200 } end)
    assert.completed(run:wait())
    local log = w:log()
    assert.matches("MISHAP n2:refused", log, 1, true)
    assert.matches("point 16, THE RUNTIME DIES", log, 1, true)
    assert.equal("n2:refused p16", (w.raw:mishaps()))
  end)

  it("refuses what it does not know", function()
    assert.has.error(function() world.new { flow = "x" } end, 'world.new: there is no option "flow"')
    assert.has.error(function() world.new { plan = "p0" } end)
    assert.has.error(function() world.new { plan = "n3:eaten" } end)
    assert.has.error(function() world.new { flows = { ["a.lua"] = "return (" } } end)
    assert.has.error(function() world.new { start = "yesterday" } end)
  end)

  it("goes the same way for the same seed", function()
    local logs = {}
    for i, seed in ipairs { 7, 7, 8 } do
      local w = world.new { seed = seed, faults = 300, crashes = 20 }
      local run = w:start("checkout", {
        reference = "ORDER-1", amount = "80.00 USD", email = "ann@example.com", name = "Ann",
        items = { { name = "Coffee", quantity = 2, price = "40.00 USD" } },
      })
      w:pay(run)
      run:wait "3h"
      logs[i] = w:log()
      w:close()
    end
    assert.equal(logs[1], logs[2])
    assert.is_false(logs[1] == logs[3])
  end)
end)

describe("at a world's end", function()
  local checks = require "mintage.testing.invariants"
  local BROKEN = "of money that was taken some run knows"

  local careless = [[
    local flow = require "mintage.flow"
    local mintro = require "mintage.mintro"
    return flow.define { name = "careless", run = function()
      local money = require "mintage.money"
      local price = money "5.00 USD"
      local intent = mintro.intents.create { reference_id = "O-1", amount = price, email = "a@example.com", name = "A",
        order_items = { { name = "x", quantity = 1, price = price } }, integration_type = "url",
        success_url = "http://localhost/", cancel_url = "http://localhost/" }
      flow.progress { intent_id = intent.intent_id }
      flow.sleep "1h"
      flow.fail "forgot"
    end }
  ]]

  it("money that no run knows of is found", function()
    local w = world.new { flows = { ["careless.lua"] = careless }, allow = { BROKEN } }
    local run = w:start "careless"
    w:pay(run)
    assert.failed(run:wait "2h", "forgot")
    w.allow = {}
    local ok, why = pcall(checks.hold, w)
    w.allow = { [BROKEN] = true }
    assert.is_false(ok)
    assert.matches("It must hold that " .. BROKEN, why, 1, true)
    assert.matches("mintro took 5.00 USD for O-1", why, 1, true)
  end)

  it("a rule of one's own is looked at", function()
    local looked = 0
    world.invariant("it is looked at", function() looked = looked + 1 end)
    local w = world.new()
    checks.hold(w)
    assert.equal(1, looked)
  end)
end)

describe("the types of mintage.world", function()
  it("name what there is", function()
    local typed, classes = dofile "bindings/types/world.d.lua"
    local w = world.new()
    local real = { World = getmetatable(w).__index, Run = getmetatable(w:start("checkout", {
      reference = "ORDER-1", amount = "80.00 USD", email = "ann@example.com", name = "Ann",
      items = { { name = "Coffee", quantity = 2, price = "40.00 USD" } },
    })).methods }
    local inner = {} -- for the parts of mintage.world among themselves
    for name in ("now_ms api api_once stand look_at look_at_text whole play passes finish report __index"):gmatch "%S+" do
      inner[name] = true
    end
    for name in pairs(typed) do assert.is_not_nil(world[name], name) end
    for name in pairs(world) do assert.is_not_nil(typed[name], name) end
    for class, methods in pairs(classes) do
      for name in pairs(methods) do assert.is_function(real[class][name], class .. ":" .. name) end
      for name in pairs(real[class]) do
        assert.is_true(inner[name] or methods[name] ~= nil, class .. ":" .. name .. " has no type")
      end
    end
  end)
end)
