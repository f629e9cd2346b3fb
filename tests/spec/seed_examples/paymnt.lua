-- Paymnt's quickstart: its four curl commands, as printed. It shows no answers, so what is compared of them is what the request
-- said; how answers look otherwise is tested in paymnt_spec.lua.

local function payment(replay, more)
  local made = replay.http("POST", "/payments", ('{"payment_id":"pay_123","amount":1000,"currency":"USD"%s}'):format(more or ""),
    { ["api-key"] = "sk_sandbox_mintage", ["Content-Type"] = "application/json" })
  assert(made.status == 200, made.body)
  replay.set("payment_id", "pay_123")
end

local function confirmed(replay, more)
  payment(replay, more)
  local done = replay.http("POST", "/payments/pay_123/confirm", "", { ["api-key"] = "sk_sandbox_mintage" })
  assert(done.status == 200, done.body)
end

local create = [[
curl -X POST "{HOST}/payments" \
  -H "Content-Type: application/json" \
  -H "api-key: {KEY}" \
  -H "Idempotency-Key: 3b8f2c34-0a7a-4a2f-9a62-5d0f2a33e6f1" \
  -d '{
    "amount": 1000,
    "currency": "USD",
    "description": "Order #1001"
  }']]

return {
  {
    name = "1) Base URL and headers",
    before = payment,
    request = [[
curl "{HOST}/payments/{payment_id}" \
  -H "api-key: {KEY}" \
  -H "x-profile-id: pro_sandbox"]],
    holds = [[{"payment_id":"pay_123","profile_id":"pro_sandbox"}]],
  },
  {
    name = "2) Create a payment",
    request = create,
    holds = [[{"payment_id":"pay_{ID}","amount":1000,"currency":"USD","description":"Order #1001",
      "status":"requires_payment_method"}]],
  },
  {
    name = "Idempotency-Key: <uuid-v4>: the same request again",
    before = function(replay) replay.shell(create) end,
    request = create,
    holds = [[{"payment_id":"pay_{ID}","amount":1000,"currency":"USD","description":"Order #1001"}]],
    headers = { ["idempotent-replayed"] = "true" },
  },
  {
    name = "3) Confirm",
    before = payment,
    request = [[
curl -X POST "{HOST}/payments/{payment_id}/confirm" \
  -H "api-key: {KEY}"]],
    holds = [[{"payment_id":"pay_123","status":"succeeded","amount_received":1000}]],
  },
  {
    name = "4) Capture",
    before = function(replay) confirmed(replay, ',"capture_method":"manual"') end,
    request = [[
curl -X POST "{HOST}/payments/{payment_id}/capture" \
  -H "Content-Type: application/json" \
  -H "api-key: {KEY}" \
  -H "Idempotency-Key: {UUID}" \
  -d '{ "amount_to_capture": 1000 }']],
    holds = [[{"payment_id":"pay_123","status":"succeeded","amount_received":1000}]],
  },
  {
    name = "5) Issue a refund",
    before = confirmed,
    request = [[
curl -X POST "{HOST}/refunds" \
  -H "Content-Type: application/json" \
  -H "api-key: {KEY}" \
  -H "Idempotency-Key: {UUID}" \
  -d '{
    "payment_id": "pay_123",
    "amount": 1000,
    "reason": "requested_by_customer"
  }']],
    holds = [[{"payment_id":"pay_123","amount":1000,"reason":"requested_by_customer","currency":"USD","status":"succeeded"}]],
  },
}
