-- Retention by a real process: what has been kept long enough goes while it works, through kill -9; an older data folder
-- is taken over; mintage runs purge and erase, and the story of a tombstone.

local testing = require "mintage.testing"

local flows = {
  ["note.lua"] = [[
local flow = require "mintage.flow"
flow.define {
  name = "note",
  input = { text = "string", child = "boolean?" },
  run = function(input)
    for i = 1, 5 do flow.log("line " .. i .. " of " .. input.text) end
    flow.progress { note_id = "n-" .. #input.text, text = input.text }
    if input.child then flow.start("note", { text = input.text }) end
    return { note_id = "n-" .. #input.text, status = "noted", text = input.text }
  end,
}
flow.define { name = "sleeper", input = {}, run = function() flow.sleep "1d" end }
]],
}

describe("retention", function()
  local dir

  setup(function() dir = testing.flows(flows) end)
  after_each(testing.clean_up)

  local function start(options)
    options.flows = testing.flows(flows)
    return testing.start("serve", options)
  end

  local function mintage(p, args)
    local all = {}
    for _, arg in ipairs(args) do all[#all + 1] = arg end
    for _, arg in ipairs { "--url", p.url, "--data", p.data } do all[#all + 1] = arg end
    return testing.run(all)
  end

  local function metric(p, name)
    local text = p:http("GET", "/metrics").body
    local _, at = text:find("\n" .. name .. " ", 1, true)
    return tonumber(text:match("^%d+", at + 1))
  end

  -- Whether the store's files have a text in them.
  local function holds(p, text)
    for _, name in ipairs { "mintage.db", "mintage.db-wal" } do
      if testing.read(p.data .. "/" .. name):find(text, 1, true) then return true end
    end
    return false
  end

  it("makes tombstones while it works, and goes on after kill -9", function()
    local p = start { retain = "1s" }
    local ids = {}
    for i = 1, 300 do
      ids[i] = p:run("note", { text = "person-" .. i }, { key = "k-" .. i, wait = i == 300 and "20s" or nil }).id
    end
    for _ = 1, 3 do
      local had = metric(p, "mintage_tombstones")
      testing.wait_until(function() return metric(p, "mintage_tombstones") > had or had == 300 end, "some more are made", 20000)
      p:kill()
      p:launch()
    end
    testing.wait_until(function() return metric(p, "mintage_tombstones") == 300 end, "all are tombstones", 30000)
    for _, i in ipairs { 1, 150, 300 } do
      local run = p:get_run(ids[i])
      assert.equal("completed", run.state)
      assert.equal("k-" .. i, run.key)
      assert.truthy(run.tombstone_since)
      assert.equal("n-" .. #("person-" .. i), run.output.note_id)
      assert.is_nil(run.output.text)
      local again, status = p:run("note", { text = "person-" .. i }, { key = "k-" .. i })
      assert.equal(200, status)
      assert.equal(ids[i], again.id)
      assert.same({}, p:journal(ids[i]))
    end
    local _, refused = p:run("note", { text = "another" }, { key = "k-1" })
    assert.equal(422, refused)
    local story = mintage(p, { "runs", "show", ids[1] })
    assert.equal(0, story.code)
    assert.matches("A tombstone since 20", story.out, 1, true)
    assert.matches("k-300  (tombstone)", mintage(p, { "runs", "list", "--limit", "1000" }).out, 1, true)
    assert.equal(0, p:stop())
  end)

  it("purges by command: looks first, wants --yes where nobody can be asked", function()
    local p = start { retain = "forever" }
    for i = 1, 5 do p:run("note", { text = "person-" .. i }, { wait = "20s" }) end
    p:run("sleeper", {})
    local unclear = mintage(p, { "runs", "purge", "--yes" })
    assert.equal(1, unclear.code)
    assert.matches("before: wanted", unclear.err, 1, true)
    local odd = mintage(p, { "runs", "purge", "--before", "yesterday", "--yes" })
    assert.equal(1, odd.code)
    assert.matches("'yesterday'", odd.err, 1, true)

    local look = mintage(p, { "runs", "purge", "--before", "0s", "--dry-run" })
    assert.equal(0, look.code, look.err)
    assert.matches("^5 ended runs, ended before 20", look.out)
    assert.equal(0, metric(p, "mintage_tombstones"))
    local silent = mintage(p, { "runs", "purge", "--before", "0s" })
    assert.equal(2, silent.code)
    assert.matches("say --yes", silent.err, 1, true)
    assert.equal(0, metric(p, "mintage_tombstones"))

    local none = mintage(p, { "runs", "purge", "--before", "0s", "--flow", "sleeper", "--yes" })
    assert.equal(0, none.code, none.err)
    assert.matches("Nothing to do", none.out, 1, true)
    local done = mintage(p, { "runs", "purge", "--before", "0s", "--yes", "--json" })
    assert.equal(0, done.code, done.err)
    assert.equal(5, testing.json.decode(done.out).runs)
    assert.equal(5, metric(p, "mintage_tombstones"))
    assert.equal(0, mintage(p, { "runs", "purge", "--before", "2020-01-31", "--yes" }).code)
  end)

  it("erases what an ended run knows of a person, from its files too", function()
    local p = start { retain = "forever" }
    local run = p:run("note", { text = "Ann-Miller-4711", child = true }, { key = "k-1", wait = "20s" })
    local live = p:run("sleeper", {})
    testing.wait_until(function()
      for _, one in ipairs(p:api("GET", "/v1/runs?flow=note").json.data) do
        if one.state ~= "completed" then return false end
      end
      return true
    end, "the child has ended")
    assert.is_true(holds(p, "Ann-Miller-4711"))
    local erased = mintage(p, { "runs", "erase", run.id, "--yes", "--json" })
    assert.equal(0, erased.code, erased.err)
    assert.equal(2, #testing.json.decode(erased.out).erased)
    assert.is_false(holds(p, "Ann-Miller-4711"))
    local left = p:get_run(run.id)
    assert.equal("k-1", left.key)
    assert.equal("n-15", left.output.note_id)
    assert.equal(testing.json.null, left.input)
    local again, status = p:run("note", { text = "Ann-Miller-4711", child = true }, { key = "k-1" })
    assert.equal(200, status)
    assert.equal(run.id, again.id)
    local refused = mintage(p, { "runs", "erase", live.id, "--yes" })
    assert.equal(1, refused.code)
    assert.matches("only one that has ended", refused.err, 1, true)
  end)

  it("gives room in the file back", function()
    local p = start { retain = "forever" }
    local text = ("x"):rep(3000)
    for i = 1, 250 do p:run("note", { text = text .. i }) end
    testing.wait_until(function() return metric(p, 'mintage_runs{state="completed"}') == 250 end, "all have ended", 30000)
    local before = metric(p, "mintage_store_bytes")
    assert.equal(0, mintage(p, { "runs", "purge", "--before", "0s", "--yes" }).code)
    testing.wait_until(function() return metric(p, "mintage_store_bytes") < before / 3 end, "the file is smaller", 20000)
  end)

  it("refuses what is no span of time", function()
    local odd = testing.run { "serve", "--retain", "long", "--flows", dir, "--data", testing.folder() }
    assert.equal(2, odd.code)
    assert.matches('or forever', odd.err, 1, true)
  end)
end)
