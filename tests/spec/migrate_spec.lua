-- Moving runs to newer code: what agrees with its journal is moved and finishes on the new code, what does not is
-- listed with the effect and the line and stays, a run that a bug has parked is repaired, and a kill -9 around it
-- changes nothing.

local testing = require "mintage.testing"

local function flow(name, body)
  return ([[
local flow = require "mintage.flow"
return flow.define {
  name = "%s",
  input = { n = "integer?" },
  run = function(input)
%s
  end,
}
]]):format(name, body)
end

-- a sleep between two lines of the run's story
local first = flow("nap", [[
    flow.log("begins")
    flow.sleep("1h")
    return { by = "the first", n = input.n }]])
local compatible = flow("nap", [[
    -- an added line moves nothing
    flow.log("begins")
    flow.sleep("1h")
    flow.log("and more")
    return { by = "the second", n = input.n }]])
local incompatible = flow("nap", [[
    flow.log("begins")
    flow.progress { step = 1 }
    flow.sleep("1h")
    return { by = "the third" }]])

describe("mintage runs migrate", function()
  after_each(testing.clean_up)

  local function serve(files)
    local dir = testing.flows(files)
    local runtime, sandbox = testing.pair { flows = dir }
    runtime.folder = dir
    return runtime, sandbox
  end

  local function generation(runtime) return runtime:api("GET", "/v1/generations").json.current end

  -- Writes a file and waits until new runs would use it.
  local function publish(runtime, name, text)
    local before = generation(runtime)
    testing.write(runtime.folder .. "/" .. name, text)
    testing.wait_until(function() return generation(runtime) ~= before end, "the new code is there")
    return generation(runtime)
  end

  local function migrate(runtime, ...)
    return testing.run { "runs", "migrate", "--url", runtime.url, "--data", runtime.data, ... }
  end

  local function ask(runtime, body) return runtime:api("POST", "/v1/runs/migrate", body) end

  it("moves a sleeping run that agrees; it finishes on the new code", function()
    local runtime, sandbox = serve { ["nap.lua"] = first }
    local run = runtime:run("nap", { n = 1 })
    runtime:wait_for(run.id, "sleeping")
    local same = migrate(runtime)
    assert.equal(0, same.code, same.err)
    assert.matches("Every run has the newest code", same.out)
    local to = publish(runtime, "nap.lua", compatible)
    assert.not_equal(to, runtime:get_run(run.id).generation)

    local dry = migrate(runtime, "--dry-run")
    assert.equal(0, dry.code, dry.err)
    assert.matches(run.id .. ".*would move", dry.out)
    assert.not_equal(to, runtime:get_run(run.id).generation)
    assert.is_nil(runtime:get_run(run.id).moves)

    local journal = runtime:journal(run.id)
    local moved = migrate(runtime, run.id)
    assert.equal(0, moved.code, moved.err)
    assert.matches(run.id .. ".*moved", moved.out)
    local now = runtime:get_run(run.id)
    assert.equal(to, now.generation)
    assert.equal("sleeping", now.state)
    assert.equal(run.generation, now.moves[1].from)
    assert.equal(to, now.moves[1].to)
    assert.equal(2, now.moves[1].after)
    assert.same(journal, runtime:journal(run.id)) -- the move is no entry of it
    local story = testing.run { "runs", "show", run.id, "--url", runtime.url, "--data", runtime.data }
    assert.matches("moved to newer code, sha256:", story.out)

    testing.advance(sandbox, "2h")
    local ended = runtime:wait_for(run.id, "completed")
    assert.same({ by = "the second", n = 1 }, ended.output)
    assert.equal("ended", ask(runtime, { run = run.id }).json.data[1].outcome)
  end)

  it("lists who would part ways, at which effect and line, and leaves them", function()
    local runtime, sandbox = serve { ["nap.lua"] = first, ["other.lua"] = first:gsub('"nap"', '"other"') }
    local run, other = runtime:run("nap", { n = 2 }), runtime:run("other", { n = 3 })
    runtime:wait_for(run.id, "sleeping")
    runtime:wait_for(other.id, "sleeping")
    local to = publish(runtime, "nap.lua", incompatible)

    for _, dry in ipairs { true, false } do
      local answer = ask(runtime, { flow = "nap", dry_run = dry })
      assert.equal(200, answer.status)
      assert.is_true(answer.json.next_cursor == testing.json.null)
      assert.equal(1, #answer.json.data)
      local row = answer.json.data[1]
      assert.equal(run.id, row.run)
      assert.equal("nap", row.flow)
      assert.equal("parts_ways", row.outcome)
      assert.equal(run.generation, row.from)
      assert.equal(to, row.to)
      assert.equal(2, row.seq)
      assert.same({ kind = "sleep", name = "1 hour", line = "nap.lua:7" }, row.expected)
      assert.equal("progress", row.found.kind)
      assert.equal("nap.lua", row.file)
      assert.equal(7, row.line)
    end
    local all = migrate(runtime)
    assert.equal(1, all.code, all.err) -- one of them parts ways
    assert.matches("at effect 2, nap.lua:7: effect 2 is sleep 1 hour", all.out)
    assert.matches("1 moved", all.out)
    assert.matches("1 part ways", all.out)
    assert.equal(run.generation, runtime:get_run(run.id).generation)
    assert.equal(to, runtime:get_run(other.id).generation)
    local json = migrate(runtime, run.id, "--json", "--dry-run")
    assert.equal(1, json.code)
    assert.equal("parts_ways", testing.json.decode(json.out).data[1].outcome)

    testing.advance(sandbox, "2h")
    assert.same({ by = "the first", n = 2 }, runtime:wait_for(run.id, "completed").output)
    assert.same({ by = "the first", n = 3 }, runtime:wait_for(other.id, "completed").output)
  end)

  it("parts ways where the newer code has no such flow, or fails in the middle", function()
    local runtime = serve { ["nap.lua"] = first }
    local run = runtime:run("nap", {})
    runtime:wait_for(run.id, "sleeping")
    publish(runtime, "nap.lua", flow("nap", [[
    flow.log("begins")
    return input.missing.field]]))
    local row = ask(runtime, { run = run.id }).json.data[1]
    assert.equal("parts_ways", row.outcome)
    assert.equal(2, row.seq)
    assert.equal("error", row.found.kind)
    assert.equal(7, row.line)
    assert.matches("missing", row.message)
    publish(runtime, "nap.lua", flow("renamed", "    return 1"))
    row = ask(runtime, { run = run.id }).json.data[1]
    assert.equal("parts_ways", row.outcome)
    assert.equal(1, row.seq)
    assert.matches("nap", row.message)
    assert.equal(run.generation, runtime:get_run(run.id).generation)
  end)

  it("repairs a run that a bug has parked: migrate, then retry", function()
    local runtime = serve { ["order.lua"] = flow("order", [[
    flow.log("begins")
    local nothing
    return nothing.field]]) }
    local run = runtime:run("order", {})
    local parked = runtime:wait_for(run.id, "needs_attention")
    assert.equal("script", parked.error.kind)
    local story = testing.run { "runs", "show", run.id, "--url", runtime.url, "--data", runtime.data }
    assert.matches("mintage runs migrate " .. run.id, story.out, 1, true)
    publish(runtime, "order.lua", flow("order", [[
    flow.log("begins")
    return "repaired"]]))
    assert.equal(0, migrate(runtime, "--flow", "order").code)
    assert.equal("needs_attention", runtime:get_run(run.id).state) -- until somebody says go on
    local retried = testing.run { "runs", "retry", run.id, "--url", runtime.url, "--data", runtime.data }
    assert.equal(0, retried.code, retried.err)
    assert.equal("repaired", runtime:wait_for(run.id, "completed").output)
  end)

  it("lives through kill -9 around it, parents and children included", function()
    local parent = flow("parent", [[
    local child = flow.start("nap", { n = 5 })
    local done = flow.await("run", child.id, { within = "1d" })
    return done.payload and done.payload.output or done.output]])
    local runtime, sandbox = serve { ["nap.lua"] = first, ["parent.lua"] = parent }
    local run = runtime:run("parent", {})
    runtime:wait_for(run.id, "waiting")
    local to = publish(runtime, "nap.lua", compatible)
    runtime:kill()
    runtime:launch()
    local answer = ask(runtime, {}).json.data
    assert.equal(2, #answer)
    for _, row in ipairs(answer) do assert.equal("moved", row.outcome, row.message) end
    runtime:kill()
    runtime:launch()
    assert.equal(to, runtime:get_run(run.id).generation)
    assert.same({}, ask(runtime, {}).json.data)
    testing.advance(sandbox, "2h")
    local ended = runtime:wait_for(run.id, "completed")
    assert.equal("the second", ended.output.by)
    assert.equal(1, #ended.moves)
  end)

  it("is carried on after a kill -9 in the middle of many", function()
    local runtime, sandbox = serve { ["nap.lua"] = first }
    local ids = {}
    for i = 1, 150 do ids[i] = runtime:run("nap", { n = i }).id end
    for _, id in ipairs(ids) do runtime:wait_for(id, "sleeping") end
    local to = publish(runtime, "nap.lua", compatible)
    local function moved()
      local n = 0
      for _, run in ipairs(runtime:api("GET", "/v1/runs?limit=1000").json.data) do
        if run.generation == to then n = n + 1 end
      end
      return n
    end
    local out = testing.folder() .. "/out"
    local command = testing.native.spawn(
      { testing.program, "runs", "migrate", "--url", runtime.url, "--data", runtime.data },
      { out = out, err = out })
    testing.wait_until(function() return moved() > 0 end, "the first has been moved")
    runtime:kill()
    command:wait(60000)
    command:close()
    runtime:launch()
    local before = moved()
    assert.is_true(before > 0)
    assert.equal(0, migrate(runtime).code)
    assert.equal(150, moved())
    testing.advance(sandbox, "2h")
    for _, id in ipairs(ids) do
      local run = runtime:wait_for(id, "completed")
      assert.equal("the second", run.output.by)
      assert.equal(1, #run.moves)
    end
  end)

  it("refuses what it does not know, and who has no token", function()
    local runtime = serve { ["nap.lua"] = first }
    assert.equal(401, runtime:http("POST", "/v1/runs/migrate", {}).status)
    for _, body in ipairs { { dryrun = true }, { dry_run = "yes" }, { limit = 0 }, { limit = 1001 }, { flow = 7 },
                            { run = ("x"):rep(200) }, { cursor = "" } } do
      assert.equal(422, ask(runtime, body).status)
    end
    assert.equal(404, ask(runtime, { run = "run_nobody" }).status)
    assert.equal(1, migrate(runtime, "run_nobody").code)
    assert.equal(2, migrate(runtime, "run/../x").code)
    assert.equal(2, migrate(runtime, "run_1", "run_2").code)
  end)

  it("answers pages", function()
    local runtime = serve { ["nap.lua"] = first }
    for i = 1, 7 do runtime:wait_for(runtime:run("nap", { n = i }).id, "sleeping") end
    publish(runtime, "nap.lua", compatible)
    local seen, cursor = 0, nil
    repeat
      local page = ask(runtime, { limit = 3, cursor = cursor }).json
      for _, row in ipairs(page.data) do assert.equal("moved", row.outcome) end
      seen, cursor = seen + #page.data, page.next_cursor
    until cursor == testing.json.null
    assert.equal(7, seen)
  end)
end)
