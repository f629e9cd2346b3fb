-- Mintro, emulated: the five endpoints of its platform API as documented, under /api/platform. Each route
-- is one transaction; what happens to an intent or a subscription is in lib/mintro.

local intents = require "lib.mintro.intents"
local mintro = require "lib.mintro.provider"
local money = require "mintage.money"
local provider = require "lib.provider"
local subscriptions = require "lib.mintro.subscriptions"
local validate = require "lib.validate"

local fail, invalid, texts = mintro.fail, mintro.invalid, mintro.texts

local CLIENT, READONLY, SECRET = "mintro_test_client", "mintro_test_readonly", "mintro_test_secret"

-- The members' order in the document's samples, which differs from one to the other.
local CREATED = { "success", "data", "intent_id", "status", "amount", "payment_url" }
local READ = {
  "success", "data", "intent_id", "reference_id", "amount", "currency", "status", "payment_url", "type",
  "interval_days", "expires_at", "tax", "discount", "order_items", "name", "quantity", "price",
}
local FOUND = { table.unpack(READ) } -- by its reference: the status comes before the currency
FOUND[6], FOUND[7] = "status", "currency"
local CANCELLED = { "success", "data", "intent_id", "subscription_id", "status" }

local function ok(data, order) return { json = { success = true, data = data }, order = order } end

-- Serves an endpoint behind the two credentials; POSTs honour Idempotency-Key.
local function endpoint(method, path, operation, handler)
  mintro:route(method, "/api/platform" .. path, operation, function(req, call)
    local client, secret = req.headers["x-client-id"], req.headers["x-client-secret"]
    if secret ~= SECRET or client ~= CLIENT and client ~= READONLY then return fail(401, texts[401]) end
    if req.method ~= "POST" then return handler(req, call) end
    if client == READONLY then return fail(403, texts[403]) end
    return mintro:once(req, client, function() return handler(req, call) end)
  end)
end

-- Ids are "pi_" and a UUID in answers; paths may leave the prefix out.
local function uuid(req, prefix) return (req.params.uuid:lower():gsub("^" .. prefix, "")) end

local creating = {
  { name = "amount", type = "numeric", required = true, min = 1 },
  { name = "currency", type = "string", required = true, pattern = "^%a%a%a$" },
  { name = "intent_type", type = "enum", required = true, of = { "one_time", "recurring" } },
  { name = "interval_days", type = "integer", required = { "intent_type", "recurring" }, min = 1,
    max = 3650 },
  { name = "email", type = "email", required = true },
  { name = "name", type = "string", required = true },
  { name = "reference_id", type = "string", required = true, max = 100, pattern = "^[%w_-]+$" },
  { name = "customer_ref_id", type = "string", max = 100 },
  { name = "order_items", type = "array", required = true, max = 1000, each = {
    { name = "name", type = "string", required = true },
    { name = "quantity", type = "integer", required = true, min = 1, max = 1000000 },
    { name = "price", type = "numeric", required = true, min = 0 },
  } },
  { name = "integration_type", type = "enum", required = true, of = { "iframe", "url" } },
  { name = "success_url", type = "url", required = { "integration_type", "url" } },
  { name = "cancel_url", type = "url", required = { "integration_type", "url" } },
  { name = "tax", type = "numeric", min = 0, default = 0 },
  { name = "discount", type = "numeric", min = 0, default = 0 },
  { name = "metadata", type = "object" },
}

endpoint("post", "/intents", "intents.create", function(req)
  local body, malformed = provider.body(req)
  if not body then return fail(400, malformed) end

  local order, errors = validate.check(body, creating)
  errors = errors or {}
  if order.currency then
    order.currency = order.currency:upper()
    if not pcall(money.zero, order.currency) then
      errors.currency = { "The selected currency is invalid." }
    end
  end
  if order.reference_id and intents.by_reference(order.reference_id) then
    errors.reference_id = { "The reference id has already been taken." }
  end
  if next(errors) then return invalid(errors) end

  order.type, order.intent_type = order.intent_type, nil
  if order.type == "one_time" then order.interval_days = nil end
  local intent = intents.create(order)
  local shown = intents.shown(intent, req)
  return ok({
    intent_id = shown.intent_id,
    status = shown.status,
    amount = shown.amount,
    payment_url = shown.payment_url,
  }, CREATED)
end)

local function show(intent, req, call, order)
  if not intent then return fail(404, "Payment intent not found.") end
  call.reference = intent.reference_id
  return ok(intents.shown(intent, req), order)
end

endpoint("get", "/intents/{uuid}", "intents.get", function(req, call)
  return show(intents.find(uuid(req, "pi_")), req, call, READ)
end)

endpoint("get", "/intents/reference/{reference_id}", "intents.get_by_reference", function(req, call)
  return show(intents.by_reference(req.params.reference_id), req, call, FOUND)
end)

endpoint("post", "/intents/{uuid}/cancel", "intents.cancel", function(req, call)
  local intent = intents.find(uuid(req, "pi_"))
  if not intent then return fail(404, "Payment intent not found.") end
  call.reference = intent.reference_id
  if intent.status ~= "requires_payment" then
    return fail(400, "Only a pending payment intent can be cancelled; this one is " .. intent.status .. ".")
  end
  intents.cancel(intent, "api", call.own_fault)
  return ok({ intent_id = "pi_" .. intent.id, status = "cancelled" }, CANCELLED)
end)

endpoint("post", "/subscriptions/{uuid}/cancel", "subscriptions.cancel", function(req, call)
  local profile = subscriptions.find(uuid(req, "sub_"))
  if not profile then return fail(404, "Subscription not found.") end
  call.reference = profile.reference_id
  if not subscriptions.cancel(profile, call.own_fault) then
    return fail(400, "Only an active subscription can be cancelled; this one is " .. profile.status .. ".")
  end
  return ok({ subscription_id = "sub_" .. profile.id, status = "cancelled" }, CANCELLED)
end)

for _, path in ipairs {
  "/intents", "/intents/{uuid}", "/intents/reference/{reference_id}", "/intents/{uuid}/cancel",
  "/subscriptions/{uuid}/cancel",
} do
  mintro:route("any", "/api/platform" .. path, "unknown", function() return fail(405, texts[405]) end)
end
mintro:route("any", "/api/platform/*", "unknown", function() return fail(404, texts[404]) end)
