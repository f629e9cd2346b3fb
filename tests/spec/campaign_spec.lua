-- Campaigns in the real program: many at once, kills while ePINs are bought, and no code in anything that is kept or shown.
-- SCALE=full: 10,000 ePINs instead of 600, and what it took on standard error.

local testing = require "mintage.testing"
local world = require "mintage.world"
local lfs = require "lfs"
local native, json = testing.native, testing.json
local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local support = dofile(here .. "scale_support.lua")

local NOTHING = "This link gives nothing, or nothing any more."

describe("a campaign in the real program", function()
  local runtime, sandbox

  before_each(function()
    runtime, sandbox = testing.pair { log_level = "debug" }
    assert.equal(204, sandbox:http("POST", "/_sandbox/balance", { provider = "mint", balance = "20000" }).status)
  end)
  after_each(testing.clean_up)

  local function start(name, count, fields)
    local input = { name = name, value = "1.00 USD", count = count, budget = "20000.00 USD" }
    for field, value in pairs(fields or {}) do input[field] = value end
    return runtime:run("campaign", input, { key = name })
  end

  local function told(name) return runtime:api("GET", "/campaigns/" .. name).json end

  local function ledger(kind)
    local found, after = {}, ""
    repeat
      local query = "?limit=1000&provider=mint&kind=" .. kind .. after
      local page = sandbox:http("GET", "/_sandbox/ledger" .. query).json.data
      for _, entry in ipairs(page) do found[#found + 1] = entry end
      after = #page > 0 and "&after=" .. page[#page].id or ""
    until #page < 1000
    return found
  end

  -- Until all is bought. A person looks at MINT where nobody knows what became of a batch, and says so.
  local function bought(run, count, timeout_ms)
    testing.wait_until(function()
      local now = runtime:get_run(run.id)
      if now.state == "needs_attention" then
        local made = #ledger "issue" > (now.progress and now.progress.ordered or 0)
        runtime:api("POST", "/v1/runs/" .. run.id .. "/resolve", {
          seq = now.error.seq, outcome = made and "done" or "not_sent", value = made and { epins = json.array {} } or nil,
        })
      end
      local all = now.progress and now.progress.ordered == count
      if now.state == "waiting" and not all then testing.advance(sandbox, "61m") end -- not sold: asked again then
      return all
    end, "all is bought", timeout_ms or 60000)
  end

  local function claiming(link, person, once)
    return {
      method = "POST", url = runtime.url .. link, headers = { ["Content-Type"] = "application/json" },
      body = json.encode { person = person, once = once or ("a-word-of-" .. person .. "-alone") },
    }
  end

  local function claim(...)
    local answer = claiming(...)
    return testing.http(answer.method, answer.url, answer.body, answer.headers)
  end

  it("gives the one code to one of fifty, and it is redeemed by one of fifty", function()
    local run = start("one", 1)
    bought(run, 1)
    local requests, code = {}, nil
    for i = 1, 50 do requests[i] = claiming(told("one").claim_link, "person-" .. i) end
    for _, answer in ipairs(native.requests(requests)) do
      assert(answer, "no answer")
      if answer.status == 200 then
        assert.is_nil(code)
        code = json.decode(answer.body).code
      else
        assert.same({ 404, { detail = NOTHING } }, { answer.status, json.decode(answer.body) })
      end
    end
    assert.matches("^%d+$", code)
    assert.equal(1, told("one").claimed)

    for i = 1, 50 do
      requests[i] = {
        method = "POST", url = runtime.url .. "/v1/flows/campaign-redeem/runs?wait=30s",
        headers = { ["Content-Type"] = "application/json", Authorization = "Bearer " .. runtime.token },
        body = json.encode { epin = code, user = "user-" .. i },
      }
    end
    native.requests(requests)
    local ends = {}
    testing.wait_until(function()
      ends = {}
      for _, one in ipairs(runtime:api("GET", "/v1/runs?flow=campaign-redeem&limit=100").json.data) do
        local kind = one.state == "failed" and one.error.kind or one.state
        ends[kind] = (ends[kind] or 0) + 1
      end
      return (ends.completed or 0) + (ends.refused or 0) == 50
    end, "all have been answered", 30000)
    assert.same({ completed = 1, refused = 49 }, ends)
    assert.equal(1, #ledger "redeem")
    assert.equal(1, told("one").redeemed)
  end)

  it("buys what was asked for, once, however often it is killed", function()
    local count = support.size(600, 10000)
    local run, began = start("large", count), os.time()
    local kills = support.size(3, 10)
    for i = 1, kills do
      testing.wait_until(function()
        local now = runtime:get_run(run.id)
        local ordered = now.progress and now.progress.ordered or 0
        return now.state == "needs_attention" or ordered >= count * i // (kills + 2)
      end, "some are bought", 300000)
      runtime:kill()
      runtime:launch()
    end
    bought(run, count, 600000)
    local now = told "large"
    support.say("%d ePINs bought in %d s, killed %d times; %d codes lost with an answer", count, os.time() - began,
      kills, count - now.made)
    assert.equal(count, #ledger "issue")
    assert.same({ count, ("%d.00 USD"):format(count) }, { now.ordered, now.cost })
    local lines, started = 0, os.time()
    for from = 1, count, 500 do
      local csv = runtime:api("GET", "/campaigns/large/codes.csv?count=500&from=" .. from)
      assert.equal(200, csv.status, csv.body)
      lines = lines + select(2, csv.body:gsub("\r\n", "")) - 1
    end
    assert.equal(now.made, lines)
    support.say("%d lines of CSV in %d s", lines, os.time() - started)
  end)

  it("stays within the balance when two start at once", function()
    sandbox:http("POST", "/_sandbox/balance", { provider = "mint", balance = "150" })
    local requests, ends = {}, {}
    for i = 1, 2 do
      requests[i] = {
        method = "POST", url = runtime.url .. "/v1/flows/campaign/runs",
        headers = { ["Content-Type"] = "application/json", Authorization = "Bearer " .. runtime.token },
        body = json.encode { name = "race-" .. i, value = "1.00 USD", count = 100, budget = "100.00 USD" },
      }
    end
    native.requests(requests)
    testing.wait_until(function()
      ends = {}
      for i = 1, 2 do
        local now = told("race-" .. i)
        ends[now.status == "failed" and "failed" or now.made == 100 and "bought" or "under way"] = true
      end
      return ends.failed and ends.bought
    end, "one is refused, and the other one has bought", 30000)
    assert.equal(100, #ledger "issue")
  end)

  it("shows no code but to whom it is given", function()
    local run = start("quiet", 12, { batch = 5 })
    bought(run, 12)
    local codes, shown = {}, {}
    for i = 1, 12 do codes[i] = claim(told("quiet").claim_link, "person-" .. i).json.code end
    assert.equal(12, #codes)
    local redeemed = runtime:run("campaign-redeem", { epin = codes[1], user = "ann" }, { wait = "30s" })
    assert.equal("completed", redeemed.state)
    for _, path in ipairs {
      "/v1/runs", "/v1/runs/" .. run.id, "/v1/runs/" .. run.id .. "/journal", "/v1/events",
      "/v1/runs/" .. redeemed.id .. "/journal", "/campaigns/quiet",
      "/campaigns/quiet/codes.csv", "/campaigns/quiet/links", "/metrics",
    } do
      shown[path] = runtime:api("GET", path).body
    end
    shown["the story"] = testing.run({ "runs", "show", run.id, "--url", runtime.url, "--data", runtime.data }).out
    runtime:stop()
    shown["the log"] = testing.read(runtime.log)
    local function search(dir)
      for name in lfs.dir(dir) do
        local path = dir .. "/" .. name
        local mode = lfs.attributes(path, "mode")
        if mode == "directory" and name ~= "." and name ~= ".." then
          search(path)
        elseif mode == "file" then
          shown[path] = testing.read(path)
        end
      end
    end
    search(runtime.data)
    for where, text in pairs(shown) do
      for _, code in ipairs(codes) do
        local spaced = code:gsub("(%d%d%d%d)", "%1 "):sub(1, 19)
        assert.is_nil(text:find(code, 1, true), "a code stands in " .. where)
        assert.is_nil(text:find(spaced, 1, true), "a code stands in " .. where)
      end
    end
    local line = shown["/campaigns/quiet/codes.csv"]:match "\r\n1,[^\r]+"
    assert.matches("^\r\n1,%d+,%*%*%*%* %*%*%*%* %*%*%*%* " .. codes[1]:sub(-4) .. ",redeemed,", line)
  end)

  it("takes as long to refuse one link as another", function()
    bought(start("even", 2), 2)
    local links = runtime:api("GET", "/campaigns/even/links").json.data
    assert.equal(200, claim(links[1].link, "ann").status)
    local others = { claimed = links[1].link, unknown = links[2].link:sub(1, -3) .. "zz", none = "/claim/x" }
    local even
    for _ = 1, 3 do -- other guests of the machine may disturb it
      local times = { claimed = 0, unknown = 0, none = 0 }
      for i = 1, 40 do
        for kind, link in pairs(others) do
          local before = native.now_ms()
          assert.equal(404, claim(link, "bob-" .. i).status)
          times[kind] = times[kind] + native.now_ms() - before
        end
      end
      local claimed, unknown, none = times.claimed, times.unknown, times.none
      support.say("40 refusals: %d (claimed), %d (unknown), %d ms (no link)", claimed, unknown, none)
      even = math.max(claimed, unknown, none) <= 3 * math.min(claimed, unknown, none)
      if even then break end
    end
    assert.is_true(even)
  end)
end)

describe("a campaign", function()
  local w, run

  before_each(function() w = world.new() end)

  local function start(fields)
    local input = { name = "spring", value = "5.00 USD", count = 4, budget = "20.00 USD" }
    for field, value in pairs(fields or {}) do input[field] = value end
    run = w:start("campaign", input)
    w:advance "1m"
  end

  local function link(n)
    if not n then return w:look_at("/campaigns/spring").claim_link end
    return w:look_at("/campaigns/spring/links").data[n].link
  end

  local function claim(at, person, once)
    return w:post(at, { person = person, once = once or person .. "-0123456789abcdef" })
  end

  local function nothing(answer) assert.same({ 404, { detail = NOTHING } }, { answer.status, answer.json }) end

  it("refuses all that gives nothing with the same answer", function()
    start { lasts = "10d" }
    local first = link(1)
    assert.equal(200, claim(first, "ann").status)
    local refused = {
      claim(first, "bob"), claim(first:sub(1, -2) .. "x", "bob"), claim("/claim/nothing", "bob"),
      claim("/claim/spring.99." .. ("0"):rep(40), "bob"), claim(link(2), "ann"),
    }
    w:advance "11d"
    refused[#refused + 1] = claim(link(3), "bob")
    for _, answer in ipairs(refused) do
      nothing(answer)
      for _, name in ipairs { "content-type", "content-length", "cache-control" } do
        assert.equal(refused[1].headers[name], answer.headers[name])
      end
    end
    for _, body in ipairs { { person = "", once = "short" }, "5", "[]" } do
      assert.equal(422, w:post(first, body, { ["Content-Type"] = "application/json" }).status)
    end
  end)

  it("gives a person as many as may be", function()
    start { per_person = 2 }
    assert.equal(200, claim(link(), "ann@example.com", "one-0123456789abcdef").status)
    assert.equal(200, claim(link(), " ANN@example.com", "two-0123456789abcdef").status)
    nothing(claim(link(), "ann@example.com", "three-0123456789abcdef"))
    assert.equal(200, claim(link(), "bob@example.com").status)
  end)

  it("shows a code again for ten minutes, to the same word only", function()
    start()
    local first = claim(link(1), "ann")
    assert.equal(first.body, claim(link(1), "ann").body)
    nothing(claim(link(2), "ann"))
    nothing(claim(link(1), "ann", "another-0123456789"))
    nothing(claim(link(1), "bob", "ann-0123456789abcdef")) -- who overheard the word
    w:advance "11m"
    nothing(claim(link(1), "ann"))
  end)

  it("shuts out who guesses", function()
    start()
    for i = 1, 10 do nothing(claim("/claim/spring.1." .. ("%040x"):format(i), "eve")) end
    nothing(claim(link(1), "eve"))
    w:advance "11m"
    assert.equal(200, claim(link(1), "eve").status)
  end)

  it("shuts out who guesses codes to redeem", function()
    start()
    local code = claim(link(1), "ann").json.code
    for i = 1, 10 do
      assert.failed(w:start("campaign-redeem", { epin = ("%016d"):format(i), user = "eve" }):wait(), "refused")
    end
    local shut = w:start("campaign-redeem", { epin = code, user = "eve" }):wait()
    assert.failed(shut, "refused")
    assert.completed(w:start("campaign-redeem", { epin = code, user = "ann" }):wait())
    assert.equal(1, #w:ledger { provider = "mint", kind = "redeem" })
  end)

  it("gives inactive ePINs once they are activated", function()
    start { inactive = true }
    nothing(claim(link(1), "ann"))
    for _, body in ipairs { { upto = 5 }, { upto = "x" }, {}, "7" } do
      assert.equal(422, w:api("POST", "/campaigns/spring/activated", body).status)
    end
    w:api("POST", "/campaigns/spring/activated", { upto = 1 })
    assert.equal(200, claim(link(1), "ann").status)
    nothing(claim(link(2), "bob"))
    assert.matches("inactive", w:look_at_text "/campaigns/spring/codes.csv")
  end)

  it("does not ask again when MINT's answer is lost", function()
    w:fault { provider = "mint", operation = "epins.generate", fault = "drop_response", times = 1 }
    start()
    assert.needs_attention(run)
    assert.equal(4, #w:ledger { provider = "mint", kind = "issue" })
    w:advance "2d"
    assert.equal(4, #w:ledger { provider = "mint", kind = "issue" })
    assert.equal("needs_attention", w:look_at("/campaigns/spring").status)
    run:resolve { outcome = "done", value = { epins = {} } }
    w:advance "1m"
    local told = w:look_at "/campaigns/spring"
    assert.same({ 4, 0, "20.00 USD" }, { told.ordered, told.made, told.cost })
    nothing(claim(link(), "ann"))
  end)

  it("asks again an hour after a person has seen that MINT never heard of it", function()
    w:fault { provider = "mint", operation = "epins.generate", fault = "timeout", times = 1 }
    start()
    assert.needs_attention(run)
    run:resolve { outcome = "not_sent" }
    w:advance "59m"
    assert.equal(0, w:look_at("/campaigns/spring").made)
    w:advance "2m"
    assert.equal(4, w:look_at("/campaigns/spring").made)
    assert.equal(4, #w:ledger { provider = "mint", kind = "issue" })
  end)

  it("costs nothing and holds nothing when its value is none that an ePIN can have", function()
    start { value = "5.50 USD", budget = "22.00 USD" }
    assert.failed(run, "invalid_request")
    assert.equal(404, w:api("GET", "/campaigns/spring").status)
  end)

  it("waits while MINT's balance is empty", function()
    w:balance("mint", 20)
    w:fault { provider = "mint", operation = "epins.generate", fault = "error=3", times = 2 }
    start()
    assert.equal(0, w:look_at("/campaigns/spring").made)
    w:advance "3h"
    assert.equal(4, w:look_at("/campaigns/spring").made)
  end)

  it("frees what it has not bought when it is stopped or cancelled", function()
    w:fault { provider = "mint", operation = "epins.generate", fault = "error=3", times = 1 }
    start { purse = "spring" }
    w:api("POST", "/campaigns/spring/stop")
    w:advance "2h"
    assert.equal("stopped", w:look_at("/campaigns/spring").status)
    local input = { name = "autumn", value = "5.00 USD", count = 4, budget = "20.00 USD", purse = "spring" }
    local other = w:start("campaign", input)
    w:advance "1m"
    assert.equal(4, other.progress.ordered)
    input.name, input.count = "winter", 1
    assert.failed(w:start("campaign", input):wait(), "over_budget")
  end)

  it("has a name of its own", function()
    start()
    assert.failed(w:start("campaign", { name = "spring", value = "5.00 USD", count = 1, budget = "5.00 USD" }):wait(), "conflict")
    assert.equal(4, w:look_at("/campaigns/spring").count)
  end)

  it("forgets the codes when they expire", function()
    start()
    local code = claim(link(1), "ann").json.code
    w:advance "400d"
    assert.completed(run)
    assert.same({ ordered = 4, made = 4, claimed = 1 }, run.output)
    assert.failed(w:start("campaign-redeem", { epin = code, user = "ann" }):wait(), "refused")
    assert.matches("expired", w:look_at_text "/campaigns/spring/codes.csv")
  end)

  it("has a page", function()
    start()
    local page = w:get(link(1))
    assert.equal(200, page.status)
    local once = page.body:match 'name="once" value="(%x+)"'
    local form = { ["Content-Type"] = "application/x-www-form-urlencoded" }
    local answer = w:post(link(1), "person=ann%40example.com&once=" .. once, form)
    assert.matches("<strong>%d+</strong>", answer.body)
    local refused = w:post(link(1), "person=bob&once=" .. once .. "x", form)
    assert.equal(404, refused.status)
    assert.matches(NOTHING, refused.body, 1, true)
  end)
end)
