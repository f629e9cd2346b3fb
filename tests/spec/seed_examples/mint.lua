-- MINT's page. The reseller API's answers have one member more than it prints, "reference", as the real one's have
-- (also = "reference"). Requests are built from the page's tables of parameters; the redemption's is printed there.

local redeem = [[
curl -X POST {HOST}/api/pure-mint/payment \
  -H "Content-Type: application/json" \
  -d '{
"amount" : 10.00,
"app_key" : "{APP}",
"currency" : "USD",
"epin" : [ "1111111111111111" ],
"user_id" : "12345"
}']]

local function generate(path)
  return ([[
curl -X POST {HOST}%s \
  -d "auth[key]={KEY}" -d "auth[timestamp]={AT}" -d "auth[sign]={SIGN 0USUSD1201}" \
  -d "params[serviceId]=0" -d "params[currencyCode]=USD" -d "params[ePinNominalValue]=1" -d "params[ePinsCount]=2" \
  -d "params[countryCode]=US" -d "params[activationRequired]=0" -d "params[test]=1"]]):format(path)
end

-- With a page's example of ePINs in it: pin_id and pin_code tell one test ePIN from another.
local epins = [[
{
"success": true,
"data": [
{
"pin_id": 1,
"pin_code": "0000 0000 0000 000{N}",
"pin_time_expired": {N},
"pin_generated_time": {N},
"pin_nominal_value": "1.0000",
"cu_code": "USD",
"cu_id": 1,
"pin_tr_amount": "1.0000"
},
{
"pin_id": 2,
"pin_code": "0000 0000 0000 000{N}",
"pin_time_expired": {N},
"pin_generated_time": {N},
"pin_nominal_value": "1.0000",
"cu_code": "USD",
"cu_id": 1,
"pin_tr_amount": "1.0000"
}
]
}]]

return {
  { name = "Generate ePIN (MINT Reseller)", request = generate "/pwapi/mint", response = epins, also = "reference" },
  { name = "Generate ePIN (MINT App)", request = generate "/pwapi/partners-mint", response = epins, also = "reference" },
  {
    name = "Get available balances",
    request = [[curl -G {HOST}/pwapi/mint-balances \
  -d "auth[key]={KEY}" -d "auth[timestamp]={AT}" -d "auth[sign]={SIGN }"]],
    response = [[
{
"success": true,
"data": [
{
"cu_code": "USD",
"balance_amount": "9944.0655"
},
{
"cu_code": "UAH",
"balance_amount": "0.0000"
}
]
}]],
    also = "reference",
  },
  {
    name = "Get balance",
    request = [[curl -G {HOST}/pwapi/mint-balances \
  -d "auth[key]={KEY}" -d "auth[timestamp]={AT}" -d "auth[sign]={SIGN USD}" -d "params[currencyCode]=USD"]],
    response = [[
{
"success": true,
"data": {
"cu_code": "USD",
"balance_amount": "9944.0655"
}
}]],
    also = "reference",
  },
  {
    name = "Signature algorithm: a signature that is not correct, with a 4xx status whose body can be read",
    request = [[curl -G {HOST}/pwapi/mint-balances -d "auth[key]={KEY}" -d "auth[timestamp]={AT}" -d "auth[sign]={SIGN x}"]],
    status = 401,
    holds = [[{"success":false,"error":{"code":-32012,"message":"Signature is empty or not correct."}}]],
  },
  {
    name = "Redemption: Payment Successful",
    request = redeem,
    response = [[
{
"change_amount" : 0.12, //amount of money left on the used ePin
"change_currency" : "USD", //ePin currency code in ISO 4217 standard
"success" : 1 //1 if payment is successful
}]],
    also = "reference",
  },
  {
    name = "Redemption: Payment Failed",
    request = redeem:gsub("%-d '", "-H 'X-Sandbox-Fault: error=5000' %0"),
    response = [[
{
"success" : 0, //0 if payment failed
"error_code" : 5000, //error code
"error_message" : "Error description", //message describing the error
}]],
    also = "reference",
  },
}
