-- A campaign of ePINs: what was asked for is bought once, and given to one person each, whenever the runtime dies.
--   mintage test tests/flows/campaign_spec.lua --crash

local world = require "mintage.world"

local function issued(w) return #w:ledger { provider = "mint", kind = "issue" } end

-- Where nobody knows what became of a request to MINT, a person looks there and says so.
local function settle(w, run, done)
  for _ = 1, 20 do
    run:wait_for(function(state) return state ~= "queued" and state ~= "running" end)
    if run.state ~= "needs_attention" then return run end
    if done() then
      run:resolve { outcome = "done", value = { epins = {}, change_amount = "0.00" } }
    else
      run:resolve { outcome = "not_sent" }
    end
    w:settle()
  end
  error("a person had to look twenty times")
end

-- Until the campaign has bought all it wants, and waits for its end.
local function bought(w, run, before)
  w:wait_for(function()
    settle(w, run, function() return issued(w) > (before or 0) + (run.progress.ordered or 0) end)
    return run:has_ended() or run.progress.ordered == run.input.count
  end, "20h")
  return run
end

-- Asks until an answer comes, each time as the same person with the same word.
local function claim(w, link, person, once)
  for _ = 1, 100 do
    local answer = w:post(link, { person = person, once = (once or person) .. "-0123456789abcdef" })
    if answer and answer.status < 500 then return answer end
    w:advance "1s"
  end
  error "no answer came"
end

describe("a campaign", function()
  local w

  local function start(name, fields)
    local input = { name = name, value = "5.00 USD", count = 3, batch = 2, budget = "15.00 USD" }
    for field, value in pairs(fields or {}) do input[field] = value end
    return w:start("campaign", input)
  end

  before_each(function() w = world.new() end)

  it("buys what was asked for, once", function()
    local run = bought(w, start "spring")
    assert.equal(3, issued(w))
    local told = w:look_at "/campaigns/spring"
    assert.same({ 3, "15.00 USD", "open" }, { told.ordered, told.cost, told.status })
    assert.is_true(told.made == 3 or w.raw:mishaps() ~= "")
    w:advance "31d"
    assert.equal("ended", run.progress.status)
    assert.equal(3, issued(w))
  end)

  it("gives a code to one person, who spends it once", function()
    bought(w, start("spring", { count = 1, batch = 1 }))
    local told = w:look_at "/campaigns/spring"
    if told.made == 0 then return end -- the answer with the code was lost, and it is counted as spent
    local ann = claim(w, told.claim_link, "ann@example.com")
    assert.equal(200, ann.status)
    assert.equal(404, claim(w, told.claim_link, "bob@example.com").status)
    assert.equal(404, claim(w, told.claim_link, "ann@example.com", "another").status)
    local runs, completed = {}, 0
    for i = 1, 2 do
      runs[i] = w:start("campaign-redeem", { epin = ann.json.code, user = "user-" .. i })
    end
    for _, run in ipairs(runs) do
      settle(w, run, function() return #w:ledger { provider = "mint", kind = "redeem" } > 0 end)
      if run.state == "completed" then completed = completed + 1 end
    end
    assert.is_true(#w:ledger { provider = "mint", kind = "redeem" } == completed)
    assert.is_true(completed == 1 or w.raw:mishaps() ~= "")
  end)

  it("costs no more than the budget, with the other one of its purse", function()
    local shared = { count = 2, budget = "15.00 USD", purse = "marketing" }
    local one, two = start("one", shared), start("two", shared)
    w:wait_for(function()
      for _, run in ipairs { one, two } do
        settle(w, run, function()
          return issued(w) > (one.progress.ordered or 0) + (two.progress.ordered or 0)
        end)
      end
      return (one:has_ended() or one.progress.ordered == 2) and (two:has_ended() or two.progress.ordered == 2)
    end, "20h")
    assert.is_true(one:has_ended() ~= two:has_ended())
    assert.failed(one:has_ended() and one or two, "over_budget")
    assert.equal(2, issued(w))
  end)

  it("is paused, resumed and stopped", function()
    w:balance("mint", 12)
    local run = start("spring", { count = 2, budget = "10.00 USD", batch = 1 })
    w:balance("mint", 5)
    w:api("POST", "/campaigns/spring/pause")
    w:wait_for(function()
      settle(w, run, function() return issued(w) > (run.progress.ordered or 0) end)
      return run.progress.status == "paused" or run:has_ended()
    end, "5h")
    if run:has_ended() then return end -- the balance fell before it was looked at
    local told = w:look_at "/campaigns/spring"
    assert.equal("paused", told.status)
    assert.equal(404, claim(w, told.claim_link, "ann@example.com").status)
    w:api("POST", "/campaigns/spring/resume")
    w:api("POST", "/campaigns/spring/stop")
    w:wait_for(function()
      settle(w, run, function() return issued(w) > (run.progress.ordered or 0) end)
      return run.progress.status == "stopped"
    end, "5h")
    assert.is_true(issued(w) <= 2)
    assert.equal(issued(w) * 500 // 100 .. ".00 USD", w:look_at("/campaigns/spring").cost)
  end)
end)
