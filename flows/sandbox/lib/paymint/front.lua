-- Paymint's part of the sandbox's front page: credentials, amounts that trigger something, and curl examples
-- that work as they are pasted.

local clock = require "lib.clock"
local html = require "lib.html"
local words = require "lib.paymint.words"

local template = [[
<h2>Paymint</h2>
<p>Magic Meal Kits' gateway, at <code>/paymint/…</code> as its pages write it and at
<code>/api/v1/paymint/…</code> as deployments serve it. Sending costs 55 points of the balance.</p>
<div class="scroll" tabindex="0"><table>
<tr><th scope="row">X-API-KEY, Pro licence</th><td><code>mmk_test_key</code></td></tr>
<tr><th scope="row">Paymint-only licence</th><td><code>mmk_test_paymint</code></td></tr>
<tr><th scope="row">Basic licence (402)</th><td><code>mmk_test_basic</code></td></tr>
<tr><th scope="row">Two licences, none approved</th>
<td><code>mmk_test_multi</code>, <code>mmk_test_none</code></td></tr>
<tr><th scope="row">MMK mode</th><td><code>X-Paymint-MMK-Mode: true</code>; optional
<code>X-Paymint-Member-ID: test_member</code>, <code>X-Paymint-Merchant-ID: test_merchant</code></td></tr>
<tr><th scope="row">Traditional mode</th><td>both of these, <code>X-Paymint-Host</code> (any),
<code>X-Paymint-Api-Key: paymint_test_key</code>, <code>X-Paymint-Business-Number: 1234567890</code></td></tr>
</table></div>
<p>Send a bill, and open the <code>shortURL</code> that it answers:</p>
<pre tabindex="0"><code>BILL=B$(date +%s)

curl -X POST {{base}}/paymint/request \
  -H "X-API-KEY: mmk_test_key" -H "X-Paymint-MMK-Mode: true" \
  -H "Content-Type: application/json" \
  -d '{"product_nm": "Coaching session", "message": "결제를 진행해 주세요.", "member_nm": "홍길동",
       "phone": "010-1234-5678", "price": 50000, "expire_dt": "{{day}}", "bill_id": "'$BILL'"}'

# the payer pays without the page; the bill says so
curl {{base}}/_sandbox/pay -d '{"bill_id": "'$BILL'"}'
curl -X POST {{base}}/paymint/read \
  -H "X-API-KEY: mmk_test_key" -H "X-Paymint-MMK-Mode: true" \
  -d '{"bill_id": "'$BILL'"}'</code></pre>
<p>Register a payer for AutoPay, enter a card without the page, and charge it:</p>
<pre tabindex="0"><code>curl -X POST {{base}}/paymint/autopay/register \
  -H "X-API-KEY: mmk_test_key" -H "X-Paymint-MMK-Mode: true" \
  -d '{"customer_id": "member-1", "member_nm": "홍길동", "phone": "01012345678"}'
curl {{base}}/_sandbox/pay -d '{"customer_id": "member-1", "card": "4242424242424242"}'
curl -X POST {{base}}/paymint/autopay/request \
  -H "X-API-KEY: mmk_test_key" -H "X-Paymint-MMK-Mode: true" \
  -d '{"customer_id": "member-1", "product_nm": "Membership", "price": 9900}'

# the points of the balance
curl {{base}}/_sandbox/balance -d '{"provider": "paymint", "balance": 10000}'</code></pre>
<p>Where no card decides (pay apps), and for AutoPay charges, the price's last two digits do:</p>
<div class="scroll" tabindex="0"><table><tbody>{{{amounts}}}</tbody></table></div>
]]

local function amount_rows()
  local rows = {}
  for digits in pairs(words.amounts) do rows[#rows + 1] = digits end
  table.sort(rows)
  for i, digits in ipairs(rows) do
    rows[i] = html.fill('<tr><th scope="row">…{{digits}}</th><td>{{says}}</td></tr>', {
      digits = digits, says = words.amounts[digits].says,
    })
  end
  return table.concat(rows, "\n")
end

-- base: "http://127.0.0.1:8090".
return function(base)
  return html.fill(template, { base = base, day = words.day(clock.now(), 7), amounts = amount_rows() })
end
