-- Webhooks to merchants over real sockets: their signature is taken by our own verifier, addresses inside private networks
-- are refused unless they are allowed, and a process that is killed goes on telling.

local testing = require "mintage.testing"

local receiver = [[
local collection = require "mintage.collection"
local crypto = require "mintage.crypto"
local web = require "mintage.web"
local kept = collection.define "received"
web.post("/hook/{secret}", { public = true }, function(req)
  local ok, why = crypto.verify_webhook(req, "whsec_" .. crypto.base64(crypto.unhex(req.params.secret)))
  kept:insert { id = req.headers["webhook-id"], verified = ok or false, why = why, body = req.body }
  return { status = ok and 204 or 401 }
end)
web.get("/received", { public = true }, function() return { json = { data = kept:list {} } } end)
]]

local function hex_of(secret)
  local decoded = secret:sub(7) -- base64 of the secret's bytes
  local bits, out = 0, {}
  local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  local count = 0
  for c in decoded:gsub("=", ""):gmatch "." do
    bits, count = bits << 6 | (alphabet:find(c, 1, true) - 1), count + 6
    if count >= 8 then
      count = count - 8
      out[#out + 1] = ("%02x"):format(bits >> count & 0xff)
      bits = bits & ((1 << count) - 1)
    end
  end
  return table.concat(out)
end

describe("notify", function()
  after_each(testing.clean_up)

  local function flows()
    return testing.flows(testing.shipped("notify", { ["receiver.lua"] = receiver }))
  end

  local function tell(runtime, url)
    local made = runtime:api("POST", "/notify/endpoints", { id = "shop", url = url })
    assert.equal(201, made.status)
    return runtime:run("notify", { event = "order.paid", data = { order = "ORDER-1" } }, { wait = "10s" })
  end

  it("is taken by who has the secret, and survives a kill -9", function()
    local runtime = testing.pair { flows = flows() }
    local secret = runtime:api("GET", "/v1/webhook-secrets/shop").json.secret
    assert.equal(401, runtime:http("GET", "/v1/webhook-secrets/shop").status)
    local run = tell(runtime, runtime.url .. "/hook/" .. hex_of(secret))
    runtime:kill()
    runtime:launch()
    local got = testing.wait_until(function()
      local rows = runtime:http("GET", "/received").json.data
      return rows[1] and rows
    end, "the webhook came")
    assert.equal(1, #got)
    assert.equal(testing.json.null, got[1].why or testing.json.null)
    assert.is_true(got[1].verified)
    assert.equal(run.output.message, got[1].id)
    local message = testing.json.decode(got[1].body)
    assert.equal("order.paid", message.type)
    assert.same({ order = "ORDER-1" }, message.data)
    assert.matches("^%d+%-%d+%-%d+T", message.timestamp)
  end)

  it("does not reach into private networks", function()
    local runtime = testing.start("serve", { flows = flows() })
    tell(runtime, runtime.url .. "/hook/00")
    local told = testing.wait_until(function()
      local one = runtime:api("GET", "/v1/runs?flow=notify-endpoint").json.data[1]
      return one and one.progress ~= testing.json.null and one.progress.error and one
    end, "the attempt is noted")
    assert.equal(0, told.progress.status)
    assert.matches("public internet", told.progress.error)
    assert.same({}, runtime:http("GET", "/received").json.data)
  end)
end)
