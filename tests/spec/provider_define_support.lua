-- Acme, as a server of its own: charges with idempotency keys, and the faults that a spec plans for it. It is a runtime
-- with routes, so what it has done survives whatever happens to the runtime that calls it.

local testing = require "mintage.testing"

local acme = {}

local server = [=[
local web, collection = require "mintage.web", require "mintage.collection"
local crypto, json = require "mintage.crypto", require "mintage.json"
local charges  = collection.define("charges", { unique = { "key", "reference" } })
local requests = collection.define("requests", { index = { "what" } })
local plans    = collection.define "plans"
local open     = { public = true }

-- What is planned for this operation now; counts it down.
local function planned(what)
  local plan = plans:get(what)
  if not plan or plan.times == 0 then return nil end
  plans:update(what, { times = plan.times - 1 })
  return plan
end

-- Numbered, since lists are in the order of their ids.
local function record(req, what)
  local count = plans:get "count" or { id = "count", n = 0 }
  count.n = count.n + 1
  plans:put(count)
  requests:insert {
    id = ("%08d"):format(count.n), what = what, path = req.raw_path, body = req.body, key = req.headers["idempotency-key"],
    authorization = req.headers.authorization,
  }
end

local function refuse(status, code, message)
  return { status = status, json = { error = { code = code, message = message } } }
end

local function shown(charge) charge.version = nil charge.key = nil return charge end

-- The answer as it is, or as the plan has it.
local function answer(plan, response)
  if plan then response.fault, response.delay_ms = plan.fault, plan.delay_ms end
  return response
end

local function operation(what, handle)
  return function(req)
    record(req, what)
    if req.headers.authorization ~= "Bearer key-of-the-shop" then return refuse(401, "unauthorized", "no such key") end
    local plan = planned(what)
    if plan and plan.status then
      return { status = plan.status, headers = plan.headers, json = plan.json or { error = { code = plan.code } } }
    end
    return answer(plan, handle(req))
  end
end

web.post("/v1/charges", open, operation("create", function(req)
  local o, key = req.json(), req.headers["idempotency-key"]
  local had = charges:by("key", key)
  if had then return { json = shown(had) } end
  if o.card == "declined" then return refuse(402, "card_declined", "The card was declined") end
  local status = o.card == "failing" and "failed" or o.capture == false and "authorized" or "paid"
  return { json = shown(charges:insert {
    key = key, reference = o.reference, amount = o.amount, currency = o.currency, status = status,
    decline_code = status == "failed" and "stolen_card" or nil,
  }) }
end))

web.get("/v1/charges", open, operation("find", function(req)
  local found = charges:by("reference", req.query.reference)
  return { json = { data = json.array { found and shown(found) } } }
end))

web.get("/v1/charges/{id}", open, operation("get", function(req)
  local found = charges:get(req.params.id)
  return found and { json = shown(found) } or refuse(404, "no_such_charge", "There is no such charge")
end))

for _, version in ipairs { "v1", "v2" } do
  for action, status in pairs { void = "voided", refund = "refunded", rest = "paid" } do
    web.post("/" .. version .. "/charges/{id}/" .. action, open, operation(action, function(req)
      charges:update(req.params.id, { status = status, by = version })
      return { json = shown(charges:get(req.params.id)) }
    end))
  end
end

-- For the spec.
web.post("/plan", open, function(req)
  local plan = req.json()
  plan.id, plan.times = plan.what, plan.times or 1
  plans:put(plan)
end)
web.get("/seen/{what}", open, function(req)
  return { json = { requests = json.array(requests:list { field = "what", value = req.params.what, limit = 1000 }) } }
end)
web.get("/charges", open, function() return { json = { charges = json.array(charges:list { limit = 1000 }) } } end)
web.post("/charges/{id}", open, function(req) charges:update(req.params.id, req.json()) end)
web.post("/sign/{t}", open, function(req)
  return crypto.hmac_sha256("secret-of-the-webhooks", req.params.t .. "." .. req.body)
end)
]=]

function acme.start()
  local fake = testing.start("serve", { flows = testing.flows { ["acme.lua"] = server } })
  local self = { url = fake.url }
  function self.plan(what, plan)
    plan.what = what
    assert(testing.http("POST", fake.url .. "/plan", plan).status == 204)
  end
  function self.seen(what) return testing.http("GET", fake.url .. "/seen/" .. what).json.requests end
  function self.charges() return testing.http("GET", fake.url .. "/charges").json.charges end
  function self.set(id, fields) testing.http("POST", fake.url .. "/charges/" .. id, fields) end
  function self.sign(t, body) return testing.http("POST", ("%s/sign/%d"):format(fake.url, t), body).body end
  return self
end

return acme
