-- Webhooks to merchants: signed, tried by the convention's schedule, and stopped where there is no use in going on.
--   mintage test tests/flows/notify_spec.lua --crash

local world = require "mintage.world"

local SHOP = "https://shop.example"

describe("notify", function()
  local w, got, answers

  -- Answers are taken in turn; the last one stays.
  local function shop(req)
    got[#got + 1] = req
    return #answers > 1 and table.remove(answers, 1) or answers[1]
  end

  local function register(body)
    local answer = w:api("POST", "/notify/endpoints", body)
    if answer.status ~= 422 then assert.is_true(answer.status == 201 or answer.status == 409, answer.body) end
    return answer
  end

  local function endpoint(id)
    for _, row in ipairs(w:look_at("/notify/endpoints").data) do
      if row.id == id then return row end
    end
  end

  local function deliveries() return w:runs { flow = "notify-endpoint" } end

  -- What was on its way has arrived, or was given up: within a minute where nothing went wrong.
  local function delivered()
    local within = w.raw:mishaps() == "" and "1m" or "40h"
    for _, one in ipairs(deliveries()) do one:wait(within) end
  end

  before_each(function()
    got, answers = {}, { { status = 204 } }
    w = world.new()
    w:serve(SHOP, shop)
    register { id = "shop", url = SHOP .. "/hook", events = { "order.*" } }
  end)

  it("tells the endpoints that want the event", function()
    register { id = "other", url = SHOP .. "/other", events = { "refund.made" } }
    register { id = "all", url = SHOP .. "/all" }
    local run = w:start("notify", { event = "order.paid", data = { order = "ORDER-1", amount = "80.00 USD" } })
    assert.completed(run:wait())
    assert.same({ "all", "shop" }, run.output.endpoints)
    delivered()
    local urls = {}
    for _, req in ipairs(got) do
      urls[req.url] = true
      assert.matches('"type":"order.paid"', req.body, 1, true)
      assert.equal(run.output.message, req.headers["webhook-id"])
      assert.matches("^v1,[%w+/=]+$", req.headers["webhook-signature"])
    end
    assert.same({ [SHOP .. "/hook"] = true, [SHOP .. "/all"] = true }, urls)
    for _, one in ipairs(deliveries()) do assert.completed(one) end
  end)

  it("tries again by the schedule, with the same id and bytes and a new time", function()
    answers = { { status = 500 } }
    local run = w:start("notify", { event = "order.paid", data = { order = "ORDER-1" } }):wait()
    w:advance "30h"
    assert.failed(deliveries()[1])
    assert.equal("undelivered", deliveries()[1].error.kind)
    local ids, bodies, times = {}, {}, {}
    for _, req in ipairs(got) do
      ids[req.headers["webhook-id"]], bodies[req.body] = true, true
      times[#times + 1] = tonumber(req.headers["webhook-timestamp"])
    end
    assert.equal(run.output.message, next(ids))
    assert.is_nil(next(ids, run.output.message))
    assert.is_nil(next(bodies, (next(bodies))))
    assert.equal(8, deliveries()[1].progress.attempts)
    if #got == 8 and w.raw:mishaps() == "" then -- nothing had one sent twice, or not at all
      for i, pause in ipairs { 5, 300, 1800, 7200, 18000, 36000, 36000 } do
        local waited = times[i + 1] - times[i]
        assert.is_true(waited >= pause and waited <= pause * 1.1 + 60, ("%d: %d"):format(i, waited))
      end
    end
  end)

  it("is content when it is taken later", function()
    answers = { { status = 503, headers = { ["Retry-After"] = "60" } }, { status = 302 }, { status = 200 } }
    w:start("notify", { event = "order.paid", data = {} }):wait()
    w:advance "30h"
    if w.raw:mishaps() ~= "" and deliveries()[1].state == "failed" then return end -- all eight tries met something
    assert.completed(deliveries()[1])
    assert.is_nil(endpoint("shop").failing_since)
  end)

  it("disables an endpoint that says 410, or takes nothing for days", function()
    answers = { { status = 410 } }
    w:start("notify", { event = "order.paid", data = {} }):wait()
    w:advance "1h"
    assert.is_false(endpoint("shop").enabled)
    assert.matches("410", endpoint("shop").disabled_because)
    local told = w:start("notify", { event = "order.paid", data = {} }):wait()
    assert.same({}, told.output.endpoints)
    answers = { { status = 500 } }
    w:api("POST", "/notify/endpoints/shop", { enabled = true })
    for _ = 1, 4 do
      w:start("notify", { event = "order.paid", data = {} }):wait()
      w:advance "30h"
    end
    assert.is_false(endpoint("shop").enabled)
    assert.matches("days", endpoint("shop").disabled_because)
  end)

  it("sends a message again by hand, as the same message", function()
    local run = w:start("notify", { event = "order.paid", data = { n = 1 } }):wait()
    delivered()
    local again = w:start("notify", { again = run.output.message, endpoint = "shop" }):wait()
    assert.completed(again)
    delivered()
    assert.is_true(#got >= 2)
    assert.equal(got[1].body, got[#got].body)
    assert.equal(got[1].headers["webhook-id"], got[#got].headers["webhook-id"])
    assert.failed(w:start("notify", { again = "msg_none" }):wait(), "not_found")
    assert.failed(w:start("notify", { again = run.output.message, endpoint = "none" }):wait(), "not_found")
  end)

  it("refuses what would be a slip, so that no endpoint stops the others", function()
    local url = SHOP .. "/other"
    local slips = {
      ["url: it is missing"] = {}, ["wanted an object"] = '"x"', ["url: wanted https"] = { url = "ftp://shop.example" },
      ["evnts: unknown; there are id url events enabled"] = { url = url, evnts = { "order.paid" } },
      ["events: wanted a list of names"] = { url = url, events = { 1 } }, ["enabled: wanted true"] = { url = url, enabled = "no" },
      ["id: wanted 1 to 64 letters"] = { url = url, id = "a b" }, ["rotate: unknown"] = { url = url, rotate = true },
    }
    for text, body in pairs(slips) do
      local answer = w:api("POST", "/notify/endpoints", body)
      assert.equal(422, answer.status)
      assert.equal("application/problem+json", answer.headers["content-type"])
      assert.equal(422, answer.json.status)
      assert.matches(text, answer.json.detail, 1, true)
    end
    for text, body in pairs { ["id: unknown"] = { id = "x" }, ["rotate: wanted true or false"] = { rotate = 1 } } do
      assert.matches(text, w:api("POST", "/notify/endpoints/shop", body).json.detail, 1, true)
    end
    assert.equal(404, w:api("POST", "/notify/endpoints/none", {}).status)
    local told = w:start("notify", { event = "order.paid", data = {} }):wait()
    assert.same({ "shop" }, told.output.endpoints)
    told = w:start("notify", { event = "nobody.wants" }):wait()
    assert.matches('"endpoints":[]', w:look_at_text("/v1/runs/" .. told.id), 1, true)
  end)

  it("waits for as long as the endpoint asks, in seconds or until a date", function()
    local date = { Date = "Fri, 20 Nov 2026 09:00:00 GMT", ["Retry-After"] = "Fri, 20 Nov 2026 11:00:00 GMT" }
    for _, headers in ipairs { { ["Retry-After"] = "7200" }, date } do
      got, answers = {}, { { status = 503, headers = headers }, { status = 204 } }
      w:start("notify", { event = "order.paid", data = {} }):wait()
      w:advance "40h"
      if w.raw:mishaps() == "" then
        assert.equal(2, #got)
        local waited = tonumber(got[2].headers["webhook-timestamp"]) - tonumber(got[1].headers["webhook-timestamp"])
        assert.is_true(waited >= 7200 and waited < 7300, waited)
      end
    end
  end)

  it("signs with both secrets for a day after a rotation", function()
    w:api("POST", "/notify/endpoints/shop", { rotate = true })
    w:start("notify", { event = "order.paid", data = {} }):wait()
    delivered()
    assert.matches("^v1,[%w+/=]+ v1,[%w+/=]+$", got[1].headers["webhook-signature"])
    w:advance "25h"
    w:start("notify", { event = "order.paid", data = {} }):wait()
    delivered()
    assert.matches("^v1,[%w+/=]+$", got[#got].headers["webhook-signature"])
  end)

  it("keeps no secret anywhere that can be read", function()
    local secret = w:api("GET", "/v1/webhook-secrets/shop").json.secret
    assert.matches("^whsec_[%w+/]+=*$", secret)
    w:start("notify", { event = "order.paid", data = {} }):wait()
    delivered()
    for _, run in ipairs(w:runs()) do
      local shown = w:look_at_text("/v1/runs/" .. run.id .. "/journal") .. w:look_at_text("/v1/runs/" .. run.id)
      assert.is_nil(shown:find(secret, 1, true))
      assert.is_nil(shown:find("v1,", 1, true))
    end
  end)
end)
