-- Starting the same thing twice: the same key and input is the same run, for ever.

local testing = require "mintage.testing"

local order = [[
local flow = require "mintage.flow"
return flow.define {
  name = "order",
  input = { id = "string" },
  run = function(input) return { id = input.id } end,
}
]]

describe("Idempotency-Key", function()
  local runtime

  setup(function()
    local other = order:gsub('"order"', '"other"')
    runtime = testing.start("serve", { flows = testing.flows { ["order.lua"] = order, ["other.lua"] = other } })
  end)
  teardown(testing.clean_up)

  it("gives the same run for the same key and input", function()
    local first, created = runtime:run("order", { id = "A" }, { key = "same" })
    local second, found = runtime:run("order", { id = "A" }, { key = "same" })
    assert.equal(201, created)
    assert.equal(200, found)
    assert.equal(first.id, second.id)
  end)

  it("may be quoted or bare", function()
    local bare = runtime:run("order", { id = "A" }, { key = "quoted 1" })
    local quoted, status = runtime:run("order", { id = "A" }, { key = '"quoted 1"' })
    assert.equal(200, status)
    assert.equal(bare.id, quoted.id)
    assert.equal("quoted 1", quoted.key)
    assert.equal('a"b', runtime:run("order", { id = "A" }, { key = [["a\"b"]] }).key)
  end)

  it("refuses another input", function()
    runtime:run("order", { id = "A" }, { key = "reused" })
    local response = runtime:api("POST", "/v1/flows/order/runs", { id = "B" }, { ["Idempotency-Key"] = "reused" })
    assert.equal(422, response.status)
    assert.equal("conflict", response.json.code)
  end)

  it("belongs to one flow", function()
    local first = runtime:run("order", { id = "A" }, { key = "two flows" })
    local second, status = runtime:run("other", { id = "A" }, { key = "two flows" })
    assert.equal(201, status)
    assert.not_equal(first.id, second.id)
  end)

  it("is refused when it is malformed", function()
    for _, key in ipairs { '"open', '""', '"a"b', ("k"):rep(300) } do
      local response = runtime:api("POST", "/v1/flows/order/runs", { id = "A" }, { ["Idempotency-Key"] = key })
      assert.equal(422, response.status, key)
      assert.matches("Idempotency%-Key", response.json.detail)
    end
  end)

  it("makes one run of many starts at once", function()
    local requests = {}
    for i = 1, 32 do
      requests[i] = {
        method = "POST", url = runtime.url .. "/v1/flows/order/runs", body = '{"id":"many"}',
        headers = { Authorization = "Bearer " .. runtime.token, ["Idempotency-Key"] = "many" },
      }
    end
    local created, ids = 0, {}
    for _, response in ipairs(testing.native.requests(requests)) do
      assert.is_table(response)
      if response.status == 201 then created = created + 1 end
      if response.status == 409 then
        assert.equal("1", response.headers["retry-after"])
      else
        ids[testing.json.decode(response.body).id] = true
      end
    end
    assert.equal(1, created)
    local id = next(ids)
    assert.is_nil(next(ids, id))
    assert.equal(1, #runtime:api("GET", "/v1/runs?key=many").json.data)
  end)

  it("is remembered over kill -9", function()
    local first = runtime:run("order", { id = "A" }, { key = "remembered" })
    runtime:kill()
    runtime:launch()
    local second, status = runtime:run("order", { id = "A" }, { key = "remembered" })
    assert.equal(200, status)
    assert.equal(first.id, second.id)
  end)
end)
