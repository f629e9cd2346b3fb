-- Input that no proper client sends: always a clear refusal, never a crash, never a hang.

local testing = require "mintage.testing"

local echo = [[
local flow = require "mintage.flow"
local web = require "mintage.web"
web.post("/echo", { public = true }, function(req) return { json = req.json() } end)
return flow.define { name = "any", input = { value = "any?" }, run = function(input) return input end }
]]

describe("malformed input", function()
  local runtime

  setup(function() runtime = testing.start("serve", { flows = testing.flows { ["echo.lua"] = echo } }) end)
  teardown(testing.clean_up)
  after_each(function() assert.equal(200, runtime:http("GET", "/healthz").status) end)

  local function status(bytes) return tonumber(testing.native.raw(runtime.port, bytes, 3000):match "^HTTP/1.1 (%d+)") end

  it("in the head of a request is refused", function()
    local post = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    for name, bytes in pairs {
      ["two lengths"] = post .. "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
      ["a length and chunks"] = post .. "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
      ["a negative length"] = post .. "Content-Length: -1\r\n\r\n{}",
      ["no length that is a number"] = post .. "Content-Length: two\r\n\r\n{}",
      ["a NUL in the path"] = "GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n",
      ["a broken escape"] = "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n",
      ["a header of 100 kB"] = "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Big: " .. ("x"):rep(100000) .. "\r\n\r\n",
    } do
      local got = status(bytes)
      assert.is_true(got == nil or (got >= 400 and got < 500), name .. ": " .. tostring(got))
    end
  end)

  it("in a body is refused with a reason", function()
    local deep = ('{"value":'):rep(100) .. "1" .. ("}"):rep(100)
    for name, body in pairs {
      ["cut JSON"] = '{"value":',
      ["bytes that are no UTF-8"] = '{"value":"\xff\xfe"}',
      ["a NUL"] = '{"value":"a\0b"}',
      ["a member twice"] = '{"value":1,"value":2}',
      ["depth"] = deep,
      ["Infinity"] = '{"value":1e999}',
      ["NaN"] = '{"value":NaN}',
    } do
      local response = runtime:api("POST", "/v1/flows/any/runs", body)
      assert.equal(400, response.status, name .. ": " .. response.body)
      assert.matches("JSON", response.json.detail)
      assert.equal(400, runtime:http("POST", "/echo", body).status, name .. " to a script")
    end
  end)

  it("that is too large is refused as such", function()
    local response = runtime:api("POST", "/v1/flows/any/runs", '{"value":"' .. ("x"):rep(1024 * 1024) .. '"}')
    assert.equal(413, response.status)
  end)

  it("with an unknown field is refused, naming the nearest", function()
    local response = runtime:api("POST", "/v1/flows/any/runs", { valu = 1 })
    assert.equal(422, response.status)
    assert.matches("value", response.json.detail)
  end)

  it("for a webhook's provider that does not exist is not found", function()
    assert.equal(404, runtime:http("POST", "/webhooks/nobody", {}).status)
  end)

  it("of a peer that says nothing does not hold others up", function()
    assert.equal("", testing.native.raw(runtime.port, "GET /healthz HT", 50))
    assert.equal(200, runtime:http("GET", "/healthz").status)
  end)
end)
