-- flow.find: a run, or a handler, looks at other runs by id or key. What a run has seen stays so when it is replayed.

local world = require "mintage.world"

local flows = {
  ["work.lua"] = [[
local flow = require "mintage.flow"
for _, name in ipairs { "work", "other" } do
  flow.define {
    name = name,
    input = { amount = "money", pin = "secret?", wait = "boolean?" },
    run = function(input)
      flow.progress { half = input.amount // 2 }
      if input.wait then flow.await("work", "go") end
      return { amount = input.amount }
    end,
  }
end]],
  ["look.lua"] = [[
local flow = require "mintage.flow"
local money = require "mintage.money"
local web = require "mintage.web"
flow.define {
  name = "look",
  input = { whom = "string" },
  run = function(input)
    local before = flow.find(input.whom)
    flow.await("look", "again")
    return { before = before, after = flow.find(input.whom), is_money = #before > 0 and money.is(before[1].progress.half) }
  end,
}
web.get("/look/{whom}", { public = true }, function(req) return { json = flow.find(req.params.whom) } end)]],
}

describe("flow.find", function()
  local w
  before_each(function() w = world.new { flows = flows } end)

  it("sees how a run stands when it looks, and again when it looks again", function()
    local work = w:start("work", { amount = "8.00 USD", pin = "1234-secret", wait = true }, { key = "job" })
    work:wait_for "waiting"
    local look = w:start("look", { whom = work.id }):wait_for "waiting"
    work:signal("work", "go"):wait()
    w:kill()
    look:signal("look", "again"):wait()
    local before, after = look.output.before[1], look.output.after[1]
    assert.same({ "waiting", "4.00 USD", "job", "work" }, { before.state, before.progress.half, before.key, before.flow })
    assert.is_nil(before.output)
    assert.same({ "completed", "8.00 USD" }, { after.state, after.output.amount })
    assert.is_true(look.output.is_money)
    assert.is_nil(require("mintage.testing.native").encode(look.output):find "1234%-secret")
  end)

  it("finds the runs of all flows by their key, the newest first", function()
    w:start("work", { amount = "1.00 USD" }, { key = "job" }):wait()
    w:advance "1s"
    w:start("other", { amount = "2.00 USD" }, { key = "job" }):wait()
    w:start("other", { amount = "3.00 USD" }, { key = "another" }):wait()
    local found = w:settle():get("/look/job")
    assert.same({ "other", "work" }, { found.json[1].flow, found.json[2].flow })
    assert.equal(2, #found.json)
    assert.same({}, w:get("/look/nobody").json)
    assert.same({}, w:get("/look/run_01m7w42vj5vf3cq5m5r7ytyz0k").json)
  end)

  it("refuses what can be no run's id or key", function()
    local look = w:start("look", { whom = ("x"):rep(256) })
    assert.needs_attention(look:wait(), "script")
    assert.matches("at most 255", look.error.message)
  end)
end)
