-- Mintro's own page, example by example: requests as it prints them (curl), answers as it prints them. Only host, credentials,
-- ids and times are placeholders; seed_examples_spec.lua says what each stands for.

-- The intent that the page's samples read: the create call's, with the tax and the discount that they show, and paid.
local function paid(replay)
  local body = [[{"amount":80,"currency":"USD","intent_type":"recurring","interval_days":30,"email":"customer@example.com",
    "name":"John Doe","reference_id":"ORDER-123456","customer_ref_id":"CUST-001","integration_type":"iframe","tax":10,
    "discount":5,"metadata":{"internal_id":"999"},"order_items":[{"name":"Product 1","quantity":1,"price":50.00}]}]]
  local made = replay.http("POST", "/api/platform/intents", body, replay.mintro)
  assert(made.status == 200, made.body)
  local id = made.json.data.intent_id
  replay.pay { intent_id = id, card = "4242424242424242" }
  replay.set("uuid", id)
  replay.set("reference_id", "ORDER-123456")
  return id
end

local function pending(replay)
  local made = replay.http("POST", "/api/platform/intents", [[{"amount":80,"currency":"USD","intent_type":"one_time",
    "email":"customer@example.com","name":"John Doe","reference_id":"ORDER-1","integration_type":"iframe",
    "metadata":{"internal_id":"999"},"order_items":[{"name":"Product 1","quantity":1,"price":80}]}]], replay.mintro)
  assert(made.status == 200, made.body)
  replay.set("uuid", made.json.data.intent_id)
  return made.json.data.intent_id
end

local function subscription(replay)
  paid(replay)
  replay.set("uuid", replay.http("GET", "/_sandbox/state").json.providers.mintro.subscriptions[1].subscription_id)
end

-- A request of which the page prints no more than its line, and the headers of "Authentication".
local function line(method_and_path)
  local method, path = method_and_path:match "^(%u+) (%S+)$"
  return ([[curl -X %s {HOST}%s \
  -H "X-Client-ID: {KEY}" \
  -H "X-Client-Secret: {SECRET}"]]):format(method, path)
end

local create = [[
curl -X POST {HOST}/api/platform/intents \
  -H "X-Client-ID: {KEY}" \
  -H "X-Client-Secret: {SECRET}" \
  -H "Idempotency-Key: 2b244b3a-897f-4f3e-ad70-69ea39635b9e" \
  -H "Content-Type: application/json" \
  -d '{
    "amount": 80,
    "currency": "USD",
    "intent_type": "recurring",
    "interval_days": 30,
    "email": "customer@example.com",
    "name": "John Doe",
    "reference_id" : "ORDER-123456",
    "customer_ref_id": "CUST-001",
    "integration_type": "iframe",
    "success_url": "https://example.com/success",
    "cancel_url": "https://example.com/cancel",
    "metadata": {
        "internal_id": "999"
    },
    "order_items": [
        {
            "name": "Product 1",
            "quantity": 1,
            "price": 50.00
        }
    ]
  }']]

local created = [[
{
    "success": true,
    "data": {
        "intent_id": "pi_{ID}",
        "status": "requires_payment",
        "amount": "80.00",
        "payment_url": "{HOST}/pay/{ID}"
    }
}]]

return {
  { name = "Create Payment Intent", request = create, response = created },
  {
    name = "Idempotency-Key: UUID_OR_UNIQUE_STRING: the same request again",
    before = function(replay) replay.shell(create) end,
    request = create,
    response = created,
    headers = { ["idempotent-replayed"] = "true" },
  },
  {
    name = "Success Response Example (200 OK)",
    before = paid,
    request = line "GET /api/platform/intents/{uuid}",
    holds = [[{"success":true,"data":{"intent_id":"pi_{ID}","status":"succeeded"}}]],
  },
  {
    name = "Standard Error Response (401)",
    request = create:gsub("{SECRET}", "YOUR_CLIENT_SECRET"),
    status = 401,
    response = [[
{
    "success": false,
    "message": "Invalid API Key provided.",
    "data": []
}]],
  },
  {
    name = "Standard Error Response (400)",
    before = paid,
    request = line "POST /api/platform/intents/{uuid}/cancel",
    status = 400,
    response = [[{"success": false, "message": "{TEXT}", "data": []}]],
  },
  {
    name = "Standard Error Response (500)",
    request = create:gsub("%-d '", "-H 'X-Sandbox-Fault: error=500' %0"),
    status = 500,
    response = [[{"success": false, "message": "Something went wrong on our end.", "data": []}]],
  },
  {
    name = "Validation Error Response (422)",
    request = create:gsub('"amount": 80', '"amount": 0'):gsub('    "email": "customer@example.com",\n', ""),
    status = 422,
    response = [[
{
    "message": "The given data was invalid.",
    "errors": {
        "email": [
            "The email field is required."
        ],
        "amount": [
            "The amount must be at least 1."
        ]
    }
}]],
  },
  {
    name = "Get Payment Intent",
    before = paid,
    request = line "GET /api/platform/intents/{uuid}",
    response = [[
{
    "success": true,
    "data": {
        "intent_id": "pi_{ID}",
        "reference_id": "ORDER-123456",
        "amount": "80.00",
        "currency": "USD",
        "status": "succeeded",
        "payment_url": "{HOST}/pay/{ID}",
        "type": "recurring",
        "interval_days": 30,
        "expires_at": "{TIME}",
        "tax": "10.00",
        "discount": "5.00",
        "order_items": [
             {
                "name": "Product 1",
                "quantity": 1,
                "price": "50.00"
            }
        ]
    }
}]],
  },
  {
    name = "Get Intent by Reference",
    before = paid,
    request = line "GET /api/platform/intents/reference/{reference_id}",
    response = [[
{
    "success": true,
    "data": {
        "intent_id": "pi_{ID}",
        "reference_id": "ORDER-123456",
        "amount": "80.00",
        "status": "succeeded",
        ...
    }
}]],
  },
  {
    name = "Cancel Payment Intent",
    before = pending,
    request = line "POST /api/platform/intents/{uuid}/cancel",
    response = [[
{
    "success": true,
    "data": {
        "intent_id": "pi_{ID}",
        "status": "cancelled"
    }
}]],
  },
  {
    name = "Cancel Subscription",
    before = subscription,
    request = line "POST /api/platform/subscriptions/{uuid}/cancel",
    response = [[
{
    "success": true,
    "data": {
        "subscription_id": "sub_{ID}",
        "status": "cancelled"
    }
}]],
  },
  {
    name = "Webhook payment.succeeded",
    cause = paid,
    event = "payment.succeeded",
    payload = [[{"intent_id": "pi_{ID}", "charge_id": {N}, "metadata": {"internal_id": "999"}}]],
  },
  {
    name = "Webhook payment.failed",
    cause = function(replay) replay.pay { intent_id = pending(replay), card = "4000000000000002" } end,
    event = "payment.failed",
    payload = [[{"intent_id": "pi_{ID}", "charge_id": {N}, "metadata": {"internal_id": "999"}}]],
  },
  {
    name = "Webhook payment.canceled",
    cause = function(replay)
      pending(replay)
      replay.shell(line "POST /api/platform/intents/{uuid}/cancel")
    end,
    event = "payment.canceled",
    payload = [[{"intent_id": "pi_{ID}", "message": "{TEXT}", "metadata": {"internal_id": "999"}}]],
  },
  {
    name = "Webhook subscription.created",
    cause = paid,
    event = "subscription.created",
    payload = [[{"subscription_id": "sub_{ID}", "intent_id": "pi_{ID}", "metadata": {"internal_id": "999"}}]],
  },
  {
    name = "Webhook subscription.renewed",
    cause = function(replay)
      paid(replay)
      replay.advance "30d"
    end,
    event = "subscription.renewed",
    payload = [[{"subscription_id": "sub_{ID}", "intent_id": "pi_{ID}", "metadata": {"internal_id": "999"}}]],
  },
  {
    name = "Webhook subscription.failed",
    cause = function(replay)
      local made = replay.http("POST", "/api/platform/intents", [[{"amount":80,"currency":"USD","intent_type":"recurring",
        "interval_days":30,"email":"customer@example.com","name":"John Doe","reference_id":"ORDER-2",
        "integration_type":"iframe","metadata":{"internal_id":"999"},
        "order_items":[{"name":"Product 1","quantity":1,"price":80}]}]], replay.mintro)
      replay.pay { intent_id = made.json.data.intent_id, card = "4000000000000341" }
      replay.advance "30d"
    end,
    event = "subscription.failed",
    payload = [[{"subscription_id": "sub_{ID}", "intent_id": "pi_{ID}", "message": "{TEXT}", "metadata": {"internal_id": "999"}}]],
  },
  {
    name = "Webhook subscription.canceled",
    cause = function(replay)
      subscription(replay)
      replay.shell(line "POST /api/platform/subscriptions/{uuid}/cancel")
    end,
    event = "subscription.canceled",
    payload = [[{"subscription_id": "sub_{ID}", "intent_id": "pi_{ID}", "message": "{TEXT}", "metadata": {"internal_id": "999"}}]],
  },
}
