-- Events: what no run has read is marked, one event is shown with the size it came in, and one can be sent again
-- to the runs that wait; over HTTP and with mintage events.

local testing = require "mintage.testing"
local json = testing.json

local flows = {
  ["counts.lua"] = [[
local flow = require "mintage.flow"
return flow.define {
  name = "counts",
  input = { id = "string", times = "integer" },
  run = function(input)
    local got = {}
    for i = 1, input.times do
      got[i] = flow.await("parcel", input.id, { within = "1h" })
      flow.progress { got = i }
    end
    return { got = got }
  end,
}
]],
}

describe("events", function()
  local runtime

  setup(function() runtime = testing.pair { flows = testing.flows(flows) } end)
  teardown(testing.clean_up)

  local function problem(response, status, pattern)
    assert.equal(status, response.status, response.body)
    assert.equal("application/problem+json", response.headers["content-type"])
    assert.matches(pattern, response.json.detail)
  end

  local function mintage(args)
    local all = {}
    for _, arg in ipairs(args) do all[#all + 1] = arg end
    for _, arg in ipairs { "--url", runtime.url, "--data", runtime.data } do all[#all + 1] = arg end
    return testing.run(all)
  end

  -- A hint that nobody waits for; answers its event.
  local function hint(intent)
    local body = { event = "payment.succeeded", data = { intent_id = intent, charge_id = 1 } }
    assert.equal(200, runtime:http("POST", "/webhooks/mintro", body).status)
    return runtime:api("GET", "/v1/events?key=" .. intent).json.data[1], #json.encode(body)
  end

  local function signal(run, key, payload)
    assert.equal(200, runtime:api("POST", "/v1/runs/" .. run.id .. "/signal",
      { topic = "parcel", key = key, payload = payload }).status)
  end

  it("are for the admin's token only", function()
    for _, request in ipairs { { "GET", "/v1/events" }, { "GET", "/v1/events/1" }, { "POST", "/v1/events/1/redeliver" } } do
      problem(runtime:http(request[1], request[2]), 401, "admin token")
    end
  end)

  it("are listed alone when no run has read them", function()
    local run = runtime:run("counts", { id = "U-1", times = 1 })
    runtime:wait_for(run.id, "waiting")
    signal(run, "U-1", { n = 1 })
    runtime:wait_for(run.id, "completed")
    local unread = hint "pi_11111111-1111-4111-8111-111111111111"
    local seen = {}
    for _, event in ipairs(runtime:api("GET", "/v1/events?unread=true").json.data) do
      assert.equal(0, event.readers)
      seen[event.n] = true
    end
    assert.is_true(seen[unread.n])
    assert.equal(0, #runtime:api("GET", "/v1/events?unread=true&topic=parcel&key=U-1").json.data)
    assert.equal(1, runtime:api("GET", "/v1/events?unread=false&topic=parcel&key=U-1").json.data[1].readers)
    problem(runtime:api("GET", "/v1/events?unread=maybe"), 422, "unread")
  end)

  it("are shown one by one, with the size of the body they came in", function()
    local event, bytes = hint "pi_22222222-2222-4222-8222-222222222222"
    local shown = runtime:api("GET", "/v1/events/" .. event.n)
    assert.equal(200, shown.status)
    assert.same(event, shown.json)
    assert.equal("mintro.intent", shown.json.topic)
    assert.equal("payment.succeeded", shown.json.payload.event)
    assert.equal(bytes, shown.json.raw_bytes)
    local run = runtime:run("counts", { id = "S-1", times = 1 })
    runtime:wait_for(run.id, "waiting")
    signal(run, "S-1", json.null)
    local own = runtime:api("GET", "/v1/events?topic=parcel&key=S-1").json.data[1]
    assert.is_nil(runtime:api("GET", "/v1/events/" .. own.n).json.raw_bytes)
    for _, n in ipairs { "0", "-1", "x", "99999999", "99999999999999999999", "1.5" } do
      problem(runtime:api("GET", "/v1/events/" .. n), 404, "event")
      problem(runtime:api("POST", "/v1/events/" .. n .. "/redeliver"), 404, "event")
    end
  end)

  it("that are hints are sent again as new events, for whoever waits", function()
    local event = hint "pi_33333333-3333-4333-8333-333333333333"
    local response = runtime:api("POST", "/v1/events/" .. event.n .. "/redeliver")
    assert.equal(201, response.status, response.body)
    assert.is_true(response.json.n > event.n)
    assert.equal(event.topic, response.json.topic)
    assert.equal(event.key, response.json.key)
    assert.same(event.payload, response.json.payload)
    assert.is_true(response.json.source == nil or response.json.source == json.null)
    assert.is_nil(response.json.raw_bytes)
    assert.equal(2, #runtime:api("GET", "/v1/events?key=" .. event.key).json.data)
    assert.equal(201, runtime:api("POST", "/v1/events/" .. event.n .. "/redeliver").status)
    assert.equal(3, #runtime:api("GET", "/v1/events?key=" .. event.key).json.data)
  end)

  it("that count are sent again only when that is meant", function()
    local run = runtime:run("counts", { id = "C-1", times = 2 })
    runtime:wait_for(run.id, "waiting")
    signal(run, "C-1", { n = 7 })
    testing.wait_until(function()
      local now = runtime:api("GET", "/v1/runs/" .. run.id).json
      return now.state == "waiting" and type(now.progress) == "table" and now.progress.got == 1
    end, "the first parcel is counted")
    local path = "/v1/events/" .. runtime:api("GET", "/v1/events?topic=parcel&key=C-1").json.data[1].n .. "/redeliver"
    problem(runtime:api("POST", path), 409, "count")
    problem(runtime:api("POST", path, { again = false }), 409, "count")
    problem(runtime:api("POST", path, { again = 1 }), 422, "again")
    problem(runtime:api("POST", path, { agian = true }), 422, "again")
    assert.equal(1, #runtime:api("GET", "/v1/events?topic=parcel&key=C-1").json.data)
    assert.equal(201, runtime:api("POST", path, { again = true }).status)
    assert.same({ got = { { n = 7 }, { n = 7 } } }, runtime:wait_for(run.id, "completed").output)
  end)

  describe("on the command line", function()
    it("are listed, the unread ones marked", function()
      local event = hint "pi_55555555-5555-4555-8555-555555555555"
      local run = runtime:run("counts", { id = "L-1", times = 1 })
      runtime:wait_for(run.id, "waiting")
      signal(run, "L-1", json.null)
      runtime:wait_for(run.id, "completed")
      local result = mintage { "events", "list", "--limit", "100" }
      assert.equal(0, result.code, result.err)
      local key = event.key:gsub("%-", "%%-")
      assert.matches("%* " .. event.n .. "%s+mintro%.intent%s+" .. key .. "[^\n]+payment%.succeeded\n", result.out)
      assert.matches("\n  %d+%s+parcel%s+L%-1", "\n" .. result.out)
      assert.matches("%* no run has read it\n", result.out)
      assert.is_nil(mintage({ "events", "list", "--unread" }).out:find("L-1", 1, true))
      assert.matches("There are no such events", mintage({ "events", "list", "--topic", "none" }).out)
      local listed = json.decode(mintage({ "events", "list", "--key", "L-1", "--topic", "parcel", "--json" }).out)
      assert.equal(1, #listed.data)
      assert.equal(1, listed.data[1].readers)
      assert.matches("read by  1 run\nnull\n", mintage({ "events", "show", tostring(listed.data[1].n) }).out)
    end)

    it("are shown and delivered again", function()
      local event, bytes = hint "pi_66666666-6666-4666-8666-666666666666"
      local n = tostring(event.n)
      local shown = mintage { "events", "show", n }
      assert.equal(0, shown.code, shown.err)
      assert.matches("mintro%.intent", shown.out)
      assert.matches("no run has read it", shown.out)
      assert.matches("a body of " .. bytes .. " bytes", shown.out)
      assert.same(event, json.decode(mintage({ "events", "show", n, "--json" }).out))
      local result = mintage { "events", "redeliver", n }
      assert.equal(0, result.code, result.err)
      assert.matches("Event " .. n .. " came again as event %d+", result.out)
      assert.equal(2, #runtime:api("GET", "/v1/events?key=" .. event.key).json.data)
    end)

    it("that count want --again", function()
      local run = runtime:run("counts", { id = "G-1", times = 2 })
      runtime:wait_for(run.id, "waiting")
      signal(run, "G-1", { n = 1 })
      local n = tostring(runtime:api("GET", "/v1/events?topic=parcel&key=G-1").json.data[1].n)
      local refused = mintage { "events", "redeliver", n }
      assert.equal(1, refused.code)
      assert.matches("%-%-again", refused.err)
      assert.equal(0, mintage({ "events", "redeliver", n, "--again" }).code)
      runtime:wait_for(run.id, "completed")
    end)

    it("keep control characters from the terminal", function()
      local body = { event = "payment.\27[2J", data = { intent_id = "pi_77777777-7777-4777-8777-777777777777" } }
      runtime:http("POST", "/webhooks/mintro", body)
      local run = runtime:run("counts", { id = "T-1", times = 1 })
      runtime:wait_for(run.id, "waiting")
      runtime:api("POST", "/v1/runs/" .. run.id .. "/signal", { topic = "parcel", key = "\27]0;x", payload = json.null })
      local n = tostring(runtime:api("GET", "/v1/events?topic=parcel&limit=1").json.data[1].n)
      for _, args in ipairs { { "events", "list" }, { "events", "show", n }, { "events", "redeliver", n, "--again" } } do
        local result = mintage(args)
        assert.equal(0, result.code, result.err)
        assert.is_nil(result.out:find "\27")
        assert.matches("?]0;x", result.out, 1, true)
      end
    end)

    it("refuses what it does not know", function()
      for args, wanted in pairs {
        [{ "events", "lst" }] = "list", [{ "events", "show" }] = "N", [{ "events", "list", "x" }] = "wanted",
        [{ "events", "show", "x" }] = "not the number", [{ "events", "redeliver", "0" }] = "not the number",
      } do
        local result = mintage(args)
        assert.equal(2, result.code, result.err)
        assert.matches(wanted, result.err)
      end
      local missing = mintage { "events", "show", "99999999" }
      assert.equal(1, missing.code)
      assert.matches("there is no event 99999999", missing.err)
    end)
  end)
end)
