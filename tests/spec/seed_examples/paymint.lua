-- Paymint's pages print a table of endpoints and how to authenticate, and of bodies one sample (of "request"). Every row of the
-- table is asked for as it is written there, in both modes; what it answers beyond that is decided for client and sandbox alike.

local MODE = [[-H "X-API-KEY: {KEY}" -H "X-Paymint-MMK-Mode: true"]]
local PICKED = MODE .. [[ -H "X-Paymint-Member-ID: test_member" -H "X-Paymint-Merchant-ID: test_merchant"]]
local TRADITIONAL = [[-H "X-API-KEY: {KEY}" -H "X-Paymint-Host: https://erp-api.example.com" \
  -H "X-Paymint-Api-Key: paymint_test_key" -H "X-Paymint-Member-ID: test_member" \
  -H "X-Paymint-Merchant-ID: test_merchant" -H "X-Paymint-Business-Number: 1234567890"]]

local OK = [["code":"0000","msg":"성공하였습니다."]]
local BILL = [[{"product_nm":"Coaching session","message":"결제를 진행해 주세요.","member_nm":"홍길동",]]
  .. [["phone":"01012345678","price":50000,"expire_dt":"2026-07-15"}]]

-- The sample's day, in the sandbox's future.
local function days(text, replay) return (text:gsub("2026%-07%-15", replay.day())) end

local function sent(replay)
  local made = replay.http("POST", "/paymint/request", days(BILL:gsub("}$", ',"bill_id":"BILL1"}'), replay), replay.paymint)
  assert(made.json.code == "0000", made.body)
end

local function paid(replay)
  sent(replay)
  replay.pay { bill_id = "BILL1" }
end

local function registered(replay)
  local made = replay.http("POST", "/paymint/autopay/register", [[{"customer_id":"member-1","member_nm":"홍길동",
    "phone":"01012345678"}]], replay.paymint)
  assert(made.json.code == "0000", made.body)
  replay.pay { customer_id = "member-1", card = "4242424242424242" }
  local methods = replay.http("GET", "/paymint/autopay/methods?customer_id=member-1", nil, replay.paymint).json.methods
  replay.set("method_id", methods[1].method_id)
end

-- row: as the table has it, with its column Auth.
local function example(row, body, response, more)
  local method, path, auth = row:match "^(%u+) (%S+) | (%a+)$"
  local headers = auth == "None" and "" or (more and more.headers or MODE)
  local data = body and ([[ -H "Content-Type: application/json" -d '%s']]):format(body) or ""
  local request = ("curl -X %s {HOST}%s %s%s"):format(method, path, headers, data)
  local it = { name = row, request = request, response = response, edit = days }
  for name, value in pairs(more or {}) do
    if name ~= "headers" then it[name] = value end
  end
  return it
end

local REQUESTED = [[{"bill_id":"{ID}","code":"0000","shortURL":"{HOST}/pay/{ID}","msg":"성공하였습니다."}]]

local examples = {
  example("GET /paymint/licenses | None", nil, [[{"licenses":[{"member_id":"test_member","merchant_id":"test_merchant",
    "business_name":"Mintage Test Shop","business_number":"123-**-***90","status":"approved"}]}]]),
  example("POST /paymint/format-phone-number | None", [[{"phone":"+82-10-1234-5678"}]],
    [[{"phone":"01012345678","valid":true}]]),
  example("POST /paymint/request | Connection", BILL, REQUESTED),
  example("POST /paymint/read | Connection", [[{"bill_id":"BILL1"}]], nil, {
    before = paid, holds = [[{"bill_id":"BILL1","appr_state":"F","appr_price":"50000",]] .. OK .. "}",
  }),
  example("POST /paymint/cancel | Connection", [[{"bill_id":"BILL1","price":50000}]],
    [[{"bill_id":"BILL1","appr_num":"{N}","appr_origin_num":"{N}","appr_cancel_dt":"{N}",]] .. OK .. "}", { before = paid }),
  example("POST /paymint/destroy | Connection", [[{"bill_id":"BILL1","price":50000}]],
    [[{"bill_id":"BILL1",]] .. OK .. "}", { before = sent }),
  example("POST /paymint/resend | Connection", [[{"bill_id":"BILL1"}]], "{" .. OK .. "}", { before = sent }),
  example("POST /paymint/autopay/register | Connection", [[{"customer_id":"member-1","member_nm":"홍길동","phone":"01012345678"}]],
    [[{"customer_id":"member-1","shortURL":"{HOST}/pay/{ID}",]] .. OK .. "}"),
  example("POST /paymint/autopay/manage | Connection", [[{"customer_id":"member-1"}]],
    [[{"customer_id":"member-1","shortURL":"{HOST}/pay/{ID}",]] .. OK .. "}", { before = registered }),
  example("GET /paymint/autopay/methods | Connection", nil,
    [[{"customer_id":"member-1","methods":[{"method_id":"{ID}","card_nm":"Visa","card_num":"****-****-****-4242",
    "status":"active","registered_dt":"{N}"}],]] .. OK .. "}", {
      before = registered, request = "curl '{HOST}/paymint/autopay/methods?customer_id=member-1' " .. MODE,
    }),
  example("POST /paymint/autopay/request | Connection", [[{"customer_id":"member-1","product_nm":"Membership","price":9900}]],
    [[{"bill_id":"{ID}","appr_state":"F","appr_pay_type":"CARD_RP","appr_num":"{N}","appr_dt":"{N}","appr_price":"9900",]]
    .. OK .. "}", { before = registered }),
  example("DELETE /paymint/autopay/delete | Connection", [[{"customer_id":"member-1","method_id":"{method_id}"}]],
    "{" .. OK .. "}", { before = registered }),

  example("POST /paymint/request | Connection", BILL, REQUESTED, { name = "MMK mode, a license picked", headers = PICKED }),
  example("POST /paymint/request | Connection", BILL, REQUESTED, { name = "Traditional mode", headers = TRADITIONAL }),
  example("POST /paymint/read | Connection", [[{"bill_id":"BILL1"}]], nil, {
    name = "Traditional mode, reading", before = sent, headers = TRADITIONAL, holds = [[{"appr_state":"W",]] .. OK .. "}",
  }),
  example("POST /api/v1/paymint/request | Connection", BILL, REQUESTED, { name = "The deployment's prefix" }),
}

-- "A Basic deployment gets 402 (upgrade required)": each protected endpoint.
for i = 3, 12 do
  local it = examples[i]
  examples[#examples + 1] = {
    name = "402 (upgrade required): " .. it.name,
    before = it.before, edit = it.edit, status = 402,
    request = it.request:gsub("{KEY}", "mmk_test_basic"),
    response = [[{"error":"upgrade required: {TEXT}"}]],
  }
end

-- "402 when the balance is insufficient": the three that draw it down.
for _, i in ipairs { 3, 7, 11 } do
  local it = examples[i]
  examples[#examples + 1] = {
    name = "402 (balance): " .. it.name, edit = it.edit, status = 402, request = it.request,
    before = function(replay)
      if it.before then it.before(replay) end
      replay.http("POST", "/_sandbox/balance", [[{"provider":"paymint","balance":0}]])
    end,
    response = [[{"error":"{TEXT} balance: {TEXT}"}]],
  }
end

-- "Callback. Paymint posts payment status updates": to the endpoint, here recorded.
examples[#examples + 1] = {
  name = "Callback",
  cause = paid,
  event = "bill.paid",
  holds = [[{"bill_id":"BILL1","appr_state":"F","appr_price":"50000"}]],
}

return examples
