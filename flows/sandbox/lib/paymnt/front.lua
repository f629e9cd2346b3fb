-- Paymnt's part of the sandbox's front page: credentials, and the quickstart's five steps as curl commands
-- that work as they are pasted.

local html = require "lib.html"

local template = [[
<h2>Paymnt</h2>
<table>
<tr><th scope="row">api-key</th><td><code>sk_sandbox_mintage</code></td></tr>
<tr><th scope="row">x-profile-id (optional)</th><td><code>pro_sandbox</code></td></tr>
<tr><th scope="row">Key of webhook signatures</th><td><code>whsec_sandbox_mintage</code></td></tr>
<tr><th scope="row">Errors as documented, not as the switch writes them</th>
<td><code>X-Sandbox-Dialect: documented</code></td></tr>
</table>
<p>Create, confirm, capture, refund: the quickstart's steps. The page where a customer pays a payment is
<code>{{base}}/pay/{payment_id}</code>.</p>
<pre tabindex="0" id="paymnt-quickstart"><code>PAYMENT=pay_$(date +%s)_$$

curl -X POST {{base}}/payments \
  -H "Content-Type: application/json" \
  -H "api-key: sk_sandbox_mintage" \
  -H "Idempotency-Key: create-$PAYMENT" \
  -d '{"payment_id": "'$PAYMENT'", "amount": 1000, "currency": "USD",
       "description": "Order #1001", "capture_method": "manual"}'

# without a body it is confirmed with the card 4242 4242 4242 4242
curl -X POST {{base}}/payments/$PAYMENT/confirm \
  -H "api-key: sk_sandbox_mintage"

curl -X POST {{base}}/payments/$PAYMENT/capture \
  -H "Content-Type: application/json" \
  -H "api-key: sk_sandbox_mintage" \
  -H "Idempotency-Key: capture-$PAYMENT" \
  -d '{ "amount_to_capture": 1000 }'

curl -X POST {{base}}/refunds \
  -H "Content-Type: application/json" \
  -H "api-key: sk_sandbox_mintage" \
  -H "Idempotency-Key: refund-$PAYMENT" \
  -d '{"payment_id": "'$PAYMENT'", "amount": 400, "reason": "requested_by_customer"}'

curl {{base}}/payments/$PAYMENT -H "api-key: sk_sandbox_mintage"</code></pre>
<p>A card of your choice, and a 3-D Secure challenge finished without its page:</p>
<pre tabindex="0"><code>SECURE=pay_$(date +%s)_$$_3ds

curl -X POST {{base}}/payments \
  -H "Content-Type: application/json" -H "api-key: sk_sandbox_mintage" \
  -d '{"payment_id": "'$SECURE'", "amount": 1000, "currency": "USD", "confirm": true,
       "payment_method": "card", "payment_method_data": {"card": {
         "card_number": "4000003800000446", "card_exp_month": "12", "card_exp_year": "2034",
         "card_cvc": "123"}}}'
curl {{base}}/_sandbox/pay -d '{"payment_id": "'$SECURE'"}'</code></pre>
]]

-- base: "http://127.0.0.1:8090".
return function(base) return html.fill(template, { base = base }) end
