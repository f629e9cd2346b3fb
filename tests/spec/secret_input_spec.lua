-- Secrets given to runs: the script has them in the clear, nobody else does.

local testing = require "mintage.testing"
local lfs = require "lfs"

local PIN = "7391640528173345"
local WORDS = "correct horse battery staple"

local source = [[
local crypto = require "mintage.crypto"
local flow = require "mintage.flow"

return flow.define {
  name = "redeem",
  input = {
    pin = { type = "secret", min = 16, max = 16, pattern = "[0-9]+" }, words = { "secret" },
    reference = "string", nested = "boolean?", again = "boolean?", told = "boolean?",
  },
  run = function(input)
    flow.progress { reference = input.reference }
    flow.await("go", input.reference)
    local fingerprint = crypto.sha256(input.pin .. "/" .. input.words[1])
    if input.nested then
      local child = flow.start("redeem", { pin = input.pin, words = input.words, reference = "child" }, { key = "child" })
      local again = flow.start("redeem", { pin = input.pin, words = input.words, reference = "child" }, { key = "child" })
      assert(again.existing)
      flow.signal("go", "child", { n = 1 })
      fingerprint = flow.await("run", child.id).output.fingerprint
      flow.continue { pin = input.pin, words = input.words, reference = input.reference .. "-2", again = true }
    end
    return { fingerprint = fingerprint, again = input.again, told = input.told and input.pin }
  end,
}
]]

local function fingerprint()
  local pipe = assert(io.popen("printf %s '" .. PIN .. "/" .. WORDS .. "' | sha256sum"))
  local sum = pipe:read "a"
  pipe:close()
  return sum:match "^%x+"
end

describe("a secret of a run's input", function()
  local runtime

  before_each(function()
    runtime = testing.start("serve", { flows = testing.flows { ["redeem.lua"] = source }, log_level = "debug" })
  end)
  after_each(testing.clean_up)

  local function input(reference, change)
    local made = { pin = PIN, words = testing.json.array { WORDS }, reference = reference }
    for name, value in pairs(change or {}) do made[name] = value end
    return made
  end

  local function go(run, reference)
    local response = runtime:api("POST", "/v1/runs/" .. run.id .. "/signal", { topic = "go", key = reference, payload = { n = 1 } })
    assert.is_true(response.status < 300)
  end

  local function clear_of_secrets(text, where)
    for _, secret in ipairs { PIN, WORDS } do assert.is_nil(text:find(secret, 1, true), "a secret stands in " .. where) end
  end

  it("reaches the script, and is shown as [sealed]", function()
    local run = runtime:run("redeem", input "plain")
    assert.equal("[sealed]", run.input.pin)
    assert.equal("[sealed]", run.input.words[1])
    assert.equal("plain", run.input.reference)
    go(run, "plain")
    assert.equal(fingerprint(), runtime:wait_for(run.id, "completed").output.fingerprint)
  end)

  it("is there after kill -9", function()
    local run = runtime:run("redeem", input "killed")
    runtime:wait_for(run.id, "waiting")
    runtime:kill()
    runtime:launch()
    go(run, "killed")
    assert.equal(fingerprint(), runtime:wait_for(run.id, "completed").output.fingerprint)
  end)

  it("goes to children and to new segments", function()
    local run = runtime:run("redeem", input("nested", { nested = true }))
    go(run, "nested")
    go(run, "nested-2")
    local done = runtime:wait_for(run.id, "completed")
    assert.equal(fingerprint(), done.output.fingerprint)
    assert.is_true(done.output.again)
    assert.equal("[sealed]", done.input.pin)
    local shown = runtime:api("GET", "/v1/runs/" .. run.id .. "/journal").body
    assert.truthy(shown:find('"pin":"[sealed]"', 1, true))
  end)

  it("is compared when a key is used again", function()
    local first = runtime:run("redeem", input "keyed", { key = "K" })
    local second, status = runtime:run("redeem", input "keyed", { key = "K" })
    assert.equal(200, status)
    assert.equal(first.id, second.id)
    local other = runtime:api("POST", "/v1/flows/redeem/runs", input("keyed", { pin = "7391640528173346" }),
      { ["Idempotency-Key"] = "K" })
    assert.equal(422, other.status)
    go(first, "keyed")
    runtime:wait_for(first.id, "completed")
  end)

  it("is not repeated by a refusal", function()
    for _, pin in ipairs { PIN .. "1", PIN:gsub("1", "x"), math.tointeger(tonumber(PIN)), { PIN } } do
      local response = runtime:api("POST", "/v1/flows/redeem/runs", input("bad", { pin = pin }))
      assert.equal(422, response.status)
      assert.truthy(response.body:find("pin", 1, true))
      clear_of_secrets(response.body, "a refusal")
    end
  end)

  it("cannot be forged by the mark of a sealed one", function()
    for _, mark in ipairs { "$sealed", "$secret" } do
      local response = runtime:api("POST", "/v1/flows/redeem/runs", input("forged", { pin = { [mark] = PIN } }))
      assert.equal(422, response.status)
    end
  end)

  it("is the script's to keep: what it tells is masked where people read it only", function()
    local run = runtime:run("redeem", input("told", { told = true }))
    go(run, "told")
    assert.equal(PIN, runtime:wait_for(run.id, "completed").output.told)
    clear_of_secrets(testing.run({ "runs", "show", run.id, "--url", runtime.url, "--data", runtime.data }).out, "the story")
  end)

  it("stands nowhere: not in the API, the story, the log, the store", function()
    local run = runtime:run("redeem", input("everywhere", { nested = true }), { key = "everywhere" })
    go(run, "everywhere")
    go(run, "everywhere-2")
    runtime:wait_for(run.id, "completed")
    for _, path in ipairs {
      "/v1/runs", "/v1/runs/" .. run.id, "/v1/runs/" .. run.id .. "/journal", "/v1/events", "/v1/flows",
      "/v1/generations", "/metrics",
    } do
      clear_of_secrets(runtime:api("GET", path).body, path)
    end
    clear_of_secrets(testing.run({ "runs", "show", run.id, "--url", runtime.url, "--data", runtime.data }).out, "the story")
    local function search(dir)
      local files = 0
      for name in lfs.dir(dir) do
        local path = dir .. "/" .. name
        if lfs.attributes(path, "mode") == "file" then
          clear_of_secrets(testing.read(path), path)
          files = files + 1
        elseif name ~= "." and name ~= ".." and lfs.attributes(path, "mode") == "directory" then
          files = files + search(path)
        end
      end
      return files
    end
    assert.is_true(search(runtime.data) > 0) -- as it is while it runs, with what is not in the main file yet
    runtime:stop()
    search(runtime.data)
    clear_of_secrets(testing.read(runtime.log), "the log")
  end)
end)

describe("an ePIN that a customer brings", function()
  local mint = dofile((debug.getinfo(1, "S").source:match "^@(.*/)" or "./") .. "mint_support.lua")
  teardown(testing.clean_up)

  it("is redeemed, and stands nowhere", function()
    local runtime, sandbox = testing.pair { log_level = "debug", flows = testing.flows { ["redeem.lua"] = [[
local flow = require "mintage.flow"
local mint = require "mintage.mint"
return flow.define {
  name = "redeem",
  input = { epin = "secret", amount = "money" },
  run = function(input)
    local paid = mint.epins.redeem { epin = input.epin, amount = input.amount, user_id = "12345" }
    return { change = paid.change_amount }
  end,
}
]] } }
    local code = mint.epin(sandbox, {})
    local run = runtime:run("redeem", { epin = code, amount = "4.00 USD" }, { wait = "20s" })
    assert.equal("completed", run.state)
    assert.equal("6.00 USD", run.output.change)
    local again = runtime:run("redeem", { epin = code, amount = "9.00 USD" }, { wait = "20s" })
    assert.equal("failed", again.state)

    local shown = { log = testing.read(runtime.log) }
    for _, id in ipairs { run.id, again.id } do
      shown["the run " .. id] = runtime:api("GET", "/v1/runs/" .. id).body
      shown["the journal of " .. id] = runtime:api("GET", "/v1/runs/" .. id .. "/journal").body
      shown["the story of " .. id] = testing.run({ "runs", "show", id, "--url", runtime.url, "--data", runtime.data }).out
    end
    for name in lfs.dir(runtime.data) do
      local path = runtime.data .. "/" .. name
      if lfs.attributes(path, "mode") == "file" then shown[path] = testing.read(path) end
    end
    for where, text in pairs(shown) do
      assert.is_nil(text:find(code, 1, true), "the code stands in " .. where)
      assert.is_nil(text:find(code:gsub("%D", ""), 1, true), "the code's digits stand in " .. where)
    end
  end)
end)
