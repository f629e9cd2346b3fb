-- MINT's part of the sandbox's front page: credentials, and curl commands that work as they are pasted, with
-- the signature computed by md5sum.

local html = require "lib.html"

local template = [[
<h2>MINT</h2>
<table>
<tr><th scope="row">Public key, auth[key]</th><td><code>mint_test_public</code></td></tr>
<tr><th scope="row">Private key</th><td><code>mint_test_private</code></td></tr>
<tr><th scope="row">app_key, for redeeming</th><td><code>32a13829f2635187</code></td></tr>
<tr><th scope="row">app_key that is refused</th>
<td><code>app_inactive</code> (3001), <code>app_other</code> (3005)</td></tr>
<tr><th scope="row">user_id that is refused</th><td><code>banned</code> (1003)</td></tr>
<tr><th scope="row">An ePIN worth 10.12 USD</th><td><code>1111111111111111</code></td></tr>
</table>
<p>Generate an ePIN, read the balances, redeem. The signature is the md5 of public key, time, the values of
<code>params</code> in the order of their names, and private key:</p>
<pre tabindex="0" id="mint-curl"><code>KEY=mint_test_public SECRET=mint_test_private

AT=$(curl -s {{base}}/_sandbox/clock | grep -o '[0-9]*}' | tr -d '}') # the sandbox's own time

SIGN=$(printf %s "${KEY}${AT}USD51${SECRET}" | md5sum | cut -d ' ' -f 1)
curl {{base}}/pwapi/mint \
  -d "auth[key]=$KEY" -d "auth[timestamp]=$AT" -d "auth[sign]=$SIGN" \
  -d "params[currencyCode]=USD" -d "params[ePinNominalValue]=5" -d "params[ePinsCount]=1"

SIGN=$(printf %s "${KEY}${AT}${SECRET}" | md5sum | cut -d ' ' -f 1)
curl -G {{base}}/pwapi/mint-balances \
  -d "auth[key]=$KEY" -d "auth[timestamp]=$AT" -d "auth[sign]=$SIGN"

curl {{base}}/api/pure-mint/payment \
  -H "Content-Type: application/json" \
  -d '{"amount": 10.00, "app_key": "32a13829f2635187", "currency": "USD",
       "epin": ["1111111111111111"], "user_id": "12345"}'

# an ePIN that a customer has bought elsewhere, to pay with at a checkout
curl {{base}}/_sandbox/issue -d '{"value": 50, "currency": "USD"}'

# how much there is to generate from
curl {{base}}/_sandbox/balance \
  -d '{"provider": "mint", "currency": "USD", "balance": "500.0000"}'</code></pre>
]]

-- The section for a sandbox at `base`.
return function(base) return html.fill(template, { base = base }) end
