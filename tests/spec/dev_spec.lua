-- mintage dev: two processes under one, which outlive neither it nor their own deaths.

local testing = require "mintage.testing"

describe("mintage dev", function()
  local dev, log, data

  before_each(function()
    data = testing.folder()
    log = data .. "/dev.log"
    dev = testing.native.spawn({
      testing.program, "dev", "--port=0", "--sandbox-port=0", "--data=" .. data, "--flows=flows", "--log-format=json",
    }, { out = log, err = log })
    testing.wait_until(function() return testing.read(log):find "Mintage is running" end, "both are ready", 20000)
  end)
  after_each(function()
    dev:close()
    testing.clean_up()
  end)

  local function url() return testing.read(log):match "API%s+(http://[%d.:]+)/v1" end
  local function sandbox() return testing.read(log):match "Sandbox%s+(http://[%d.:]+)/" end

  -- The pids of its children, by command.
  local function child(command)
    local children = ("/proc/%d/task/%d/children"):format(dev:pid(), dev:pid())
    for pid in testing.read(children):gmatch "%d+" do
      pid = tonumber(pid)
      local words = testing.read("/proc/" .. pid .. "/cmdline")
      if words:find("\0" .. command .. "\0", 1, true) then return pid end
    end
  end

  local function gone(pid) return not testing.exists("/proc/" .. pid) end

  it("prints where to click, and the token that works", function()
    local text = testing.read(log)
    assert.matches("Shop%s+http", text)
    local token = text:match "Token%s+(%S+)"
    assert.equal(200, testing.http("GET", url() .. "/v1/runs", nil, { Authorization = "Bearer " .. token }).status)
    assert.equal(200, testing.http("GET", url() .. "/shop").status)
    assert.equal(200, testing.http("GET", sandbox() .. "/_sandbox/clock").status)
  end)

  it("starts the runtime again after kill -9, on the same port", function()
    local first = testing.wait_until(function() return child "serve" end, "the runtime is there")
    testing.native.kill(first, 9)
    testing.wait_until(function()
      local pid = child "serve"
      local response = pid and pid ~= first and testing.http("GET", url() .. "/readyz")
      return response and response.status == 200
    end, "it is there again")
    assert.matches("starting it again", testing.read(log))
  end)

  it("moves the runtime's clock with the sandbox's", function()
    local token = testing.read(data .. "/admin-token"):match "%S+"
    local headers = { Authorization = "Bearer " .. token }
    local run = testing.http("POST", url() .. "/v1/flows/checkout/runs", {
      reference = "DEV-1", amount = "5.00 USD", email = "a@example.com", name = "A",
      items = testing.json.array { { name = "x", quantity = 1, price = "5.00 USD" } },
    }, headers).json
    local function state() return testing.http("GET", url() .. "/v1/runs/" .. run.id, nil, headers).json.state end
    testing.wait_until(function() return state() == "waiting" end, "it waits for the customer")
    assert.equal(200, testing.http("POST", sandbox() .. "/_sandbox/clock", { advance = "25h" }).status)
    testing.wait_until(function() return state() == "failed" end, "it is too late for the customer")
  end)

  it("takes both with it when it is killed", function()
    local pids = { child "serve", child "sandbox" }
    assert.equal(2, #pids)
    dev:signal(9)
    dev:wait(5000)
    for _, pid in ipairs(pids) do testing.wait_until(function() return gone(pid) end, "the child is gone") end
  end)

  it("stops both in order on SIGTERM", function()
    local pids = { child "serve", child "sandbox" }
    dev:signal(15)
    assert.equal(0, dev:wait(20000))
    for _, pid in ipairs(pids) do assert.is_true(gone(pid)) end
  end)
end)
