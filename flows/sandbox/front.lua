-- The sandbox's front page: what it is, its credentials, its test cards, and curl examples that work.

local cards = require "lib.cards"
local faults = require "lib.faults"
local html = require "lib.html"
local mint = require "lib.mint.front"
local paymint = require "lib.paymint.front"
local paymnt = require "lib.paymnt.front"
local web = require "mintage.web"

local template = [[
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Mintage sandbox · TEST</title>
<link rel="icon" href="/assets/pay/icon.svg">
<link rel="stylesheet" href="/assets/pay/pay.css">
<link rel="stylesheet" href="/assets/sandbox/sandbox.css">
</head>
<body>
<p class="test"><strong>TEST</strong> All of it is emulated: no real card is accepted, no money moves.</p>
<main class="front">
<h1>Mintage sandbox</h1>
<p>The payment providers' documented HTTP APIs, at their documented paths, on this one port: what their own
documentation shows with curl works here once the host is replaced. It keeps state, sends real webhooks,
serves the hosted checkout pages, and fails on demand.</p>

<h2>Mintro</h2>
<table>
<tr><th scope="row">X-Client-ID</th><td><code>mintro_test_client</code></td></tr>
<tr><th scope="row">X-Client-Secret</th><td><code>mintro_test_secret</code></td></tr>
<tr><th scope="row">Not allowed to POST (403)</th><td><code>X-Client-ID: mintro_test_readonly</code></td></tr>
</table>
<p>Create a payment, and open the <code>payment_url</code> that it answers; or let a customer pay
without the page:</p>
<pre tabindex="0"><code>ORDER=ORDER-$(date +%s)-$$

curl -X POST {{base}}/api/platform/intents \
  -H "X-Client-ID: mintro_test_client" \
  -H "X-Client-Secret: mintro_test_secret" \
  -H "Content-Type: application/json" \
  -d '{"amount": 80, "currency": "USD", "intent_type": "one_time",
       "email": "customer@example.com", "name": "John Doe",
       "reference_id": "'$ORDER'", "integration_type": "url",
       "success_url": "{{base}}/", "cancel_url": "{{base}}/",
       "order_items": [{"name": "Product 1", "quantity": 1, "price": 80}]}'

# the same payment, found again by the order's own number
INTENT=$(curl -s {{base}}/api/platform/intents/reference/$ORDER \
  -H "X-Client-ID: mintro_test_client" \
  -H "X-Client-Secret: mintro_test_secret" | grep -o 'pi_[0-9a-f-]*')

curl {{base}}/_sandbox/pay -d '{"intent_id": "'$INTENT'", "card": "4242424242424242"}'</code></pre>

{{{mint}}}
{{{paymnt}}}
{{{paymint}}}
<h2>Test cards</h2>
<p>Any expiry date to come, any security code of the right length. Every other number is refused.</p>
<div class="scroll" tabindex="0"><table>
<thead><tr><th scope="col">Number</th><th scope="col">Brand</th><th scope="col">Charging it</th></tr></thead>
<tbody>{{{cards}}}</tbody></table></div>

<h2>Control</h2>
<p>No credentials; this machine only. <a href="/_sandbox/state">state</a> ·
<a href="/_sandbox/requests">requests received</a> · <a href="/_sandbox/ledger">ledger of money</a> ·
<a href="/_sandbox/webhooks">webhooks sent</a> · <a href="/_sandbox/faults">faults armed</a> ·
<a href="/_sandbox/clock">clock</a> · <a href="/_sandbox/endpoints">webhook endpoints</a></p>
<pre tabindex="0"><code># a month passes: renewals, retries and expiries happen before the answer
curl {{base}}/_sandbox/clock -d '{"advance": "30d"}'

# the next intent is created, but its answer is lost
curl {{base}}/_sandbox/faults -d '{"match": {"operation": "intents.create"}, "fault": "drop_response"}'

# where webhooks go
curl -X PUT {{base}}/_sandbox/endpoints -d '{"mintro": "http://127.0.0.1:8080/webhooks/mintro"}'

# what happened: money, and the requests of one provider
curl {{base}}/_sandbox/ledger
curl "{{base}}/_sandbox/requests?provider=mintro&limit=5"

# all over again
curl -X DELETE {{base}}/_sandbox/state</code></pre>

<h2>Faults</h2>
<p>Arm them as above (<code>match</code> names any of provider, operation, method, path, reference, event;
<code>times</code> is 1 unless said), or send <code>X-Sandbox-Fault: drop_response</code> with a request.</p>
<div class="scroll" tabindex="0"><table><tbody>{{{faults}}}</tbody></table></div>
</main>
</body>
</html>
]]

local function card_rows()
  local rows = {}
  for i, card in ipairs(cards.list) do
    rows[i] = html.fill("<tr><td><code>{{number}}</code></td><td>{{brand}}</td><td>{{what}}</td></tr>", {
      number = cards.spaced(card.number), brand = card.brand, what = cards.describe(card),
    })
  end
  return table.concat(rows, "\n")
end

local function fault_rows()
  local names = {}
  for name in pairs(faults.kinds) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do
    local kind = faults.kinds[name]
    local value = kind.number and "=MS" or kind.code and "=CODE" or ""
    names[i] = html.fill('<tr><th scope="row"><code>{{name}}</code></th><td>{{says}}</td></tr>', {
      name = name .. value, says = kind.says,
    })
  end
  return table.concat(names, "\n")
end

web.get("/", { public = true }, function(req)
  return { html = html.fill(template, {
    base = "http://" .. req.host, cards = card_rows(), faults = fault_rows(),
    mint = mint("http://" .. req.host),
    paymint = paymint("http://" .. req.host),
    paymnt = paymnt("http://" .. req.host),
  }) }
end)
