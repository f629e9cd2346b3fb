-- Paymint's codes, the gateway's statuses and the upstream's codes (HTTP 200): how each is caused at the sandbox and met in a
-- flow.

local PRO = { ["X-API-KEY"] = "mmk_test_key", ["X-Paymint-MMK-Mode"] = "true" }

local function post(w, path, body, headers) return w.http("POST", "/paymint" .. path, body, headers or PRO) end

local function bill(change)
  local body = { product_nm = "Lesson", message = "x", member_nm = "홍길동", phone = "01012345678", price = 50000,
    expire_dt = "2099-01-01" }
  for name, value in pairs(change or {}) do body[name] = value end
  return body
end

-- A bill of this id: sent, or paid, or paid and cancelled.
local function sent(w, id) assert(post(w, "/request", bill { bill_id = id }).json.code == "0000") end
local function paid(w, id)
  sent(w, id)
  w.pay { bill_id = id }
end
local function cancelled(w, id)
  paid(w, id)
  assert(post(w, "/cancel", { bill_id = id, price = 50000 }).json.code == "0000")
end

local function payer(w)
  post(w, "/autopay/register", { customer_id = "c", member_nm = "x", phone = "01012345678" })
  w.pay { customer_id = "c", card = "4242424242424242" }
end

local function read(reference) return "paymint.bills.read", { bill_id = (reference:gsub("%W", "")) } end

local function upstream(says) return { none = "the gateway's other API, or its operator", says = says } end

local cases = {
  ["9999"] = {
    says = "결제되지 않은 청구서는 취소할 수 없습니다.",
    direct = function(w)
      sent(w, "B1")
      return post(w, "/cancel", { bill_id = "B1", price = 50000 })
    end,
    client = function() return "paymint.bills.cancel", { bill_id = "B1", price = "50000 KRW" } end,
  },
  ["9800"] = {
    says = "이미 사용된 청구서 아이디입니다.",
    direct = function(w)
      sent(w, "B2")
      return post(w, "/request", bill { bill_id = "B2" })
    end,
    client = function() return "paymint.bills.request", bill { bill_id = "B2", price = "50000 KRW" } end,
  },
  ["9970"] = {
    says = "이미 취소된 청구서입니다.",
    direct = function(w)
      cancelled(w, "B3")
      return post(w, "/resend", { bill_id = "B3" })
    end,
    client = function() return "paymint.bills.resend", { bill_id = "B3" } end,
  },
  ["9971"] = {
    says = "이미 결제된 청구서입니다.",
    direct = function(w)
      paid(w, "B4")
      return post(w, "/destroy", { bill_id = "B4", price = 50000 })
    end,
    client = function() return "paymint.bills.destroy", { bill_id = "B4", price = "50000 KRW" } end,
  },
  ["9980"] = {
    says = "청구서를 찾을 수 없습니다.",
    direct = function(w) return post(w, "/read", { bill_id = "NOBODY" }) end,
    client = function() return "paymint.bills.read", { bill_id = "NOBODY" } end,
  },
  ["5000"] = {
    says = "SYSTEM ERROR",
    direct = function(w)
      payer(w)
      return post(w, "/autopay/request", { customer_id = "c", product_nm = "x", price = 9996 })
    end,
  },
  ["9870"] = upstream "동기화 대상이 없습니다.",
  ["1003"] = upstream "접근할 수 없는 사용자입니다.",
  ["1010"] = upstream "가맹점 신청 전이거나 심사 중입니다.",
  ["1700"] = upstream "이미 가입된 가맹점입니다.",
  ERROR = upstream "정의되지 않은 오류입니다.",
  PARTNER_001 = upstream "V2를 사용하지 않는 파트너입니다.",
  PARTNER_002 = upstream "apiKey가 없습니다.",
  PARTNER_003 = upstream "유효한 파트너가 아닙니다.",
  PARTNER_004 = upstream "가맹점 매핑을 찾을 수 없습니다.",
  PARTNER_005 = upstream "파트너를 찾을 수 없습니다.",
  PARTNER_006 = upstream "유효한 계약이 없습니다.",
  PARTNER_007 = upstream "사용할 수 없는 파트너입니다.",
  VALIDATION_001 = upstream "요청 값이 올바르지 않습니다.",
  VALIDATION_002 = upstream "hash 값이 올바르지 않습니다.",
  BILL_001 = upstream "이미 사용된 청구서 아이디입니다.",
  BILL_003 = upstream "청구서를 찾을 수 없습니다.",
  BILL_006 = upstream "발송할 수 없는 청구서입니다.",
  POINT_001 = upstream "포인트가 부족합니다.",
  PAYMENT_001 = upstream "결제망에서 승인을 거절했습니다.",
  PAYMENT_002 = upstream "은행에서 승인을 거절했습니다.",

  ["400"] = {
    says = "invalid phone number",
    direct = function(w) return post(w, "/format-phone-number", { phone = "021234567" }) end,
    client = function() return "paymint.phone.format", { phone = "021234567" } end,
  },
  ["401"] = {
    says = "invalid api key",
    direct = function(w) return post(w, "/read", { bill_id = "B" }, { ["X-API-KEY"] = "x" }) end,
    as = { paymint = { api_key = "x", mode = "mmk" } },
    client = function() return "paymint.bills.read", { bill_id = "B" } end,
  },
  ["402"] = {
    says = "upgrade required: this endpoint needs a Pro or Paymint-only license",
    direct = function(w)
      return post(w, "/read", { bill_id = "B" }, { ["X-API-KEY"] = "mmk_test_basic", ["X-Paymint-MMK-Mode"] = "true" })
    end,
    as = { paymint = { api_key = "mmk_test_basic", mode = "mmk" } },
    client = function() return "paymint.bills.read", { bill_id = "B" } end,
  },
  ["402_balance"] = {
    code = "402", kind = "insufficient_funds",
    says = "insufficient paymint balance: top up to keep sending",
    direct = function(w)
      assert(w.http("POST", "/_sandbox/balance", { provider = "paymint", balance = 0 }).status == 204)
      return post(w, "/request", bill())
    end,
    client = function() return "paymint.bills.request", bill { price = "50000 KRW" } end,
  },
  ["404"] = {
    says = "not found",
    direct = function(w) return post(w, "/nothing", {}) end,
  },
  ["405"] = {
    says = "method not allowed",
    direct = function(w) return w.http("PUT", "/paymint/read", { bill_id = "B" }, PRO) end,
  },
  ["413"] = {
    says = "Content Too Large",
    direct = function(w) return post(w, "/read", { bill_id = ("x"):rep(1100000) }) end, -- the server's own answer
    text_of = function(response) return response.json.title end,
    client_says = "content too large",
  },
  ["403"] = { none = "no key is limited", says = "forbidden" },
  ["408"] = { none = "the sandbox is never too slow in reading", says = "request timeout" },
  ["409"] = { none = "the gateway has no states of its own", says = "conflict" },
  ["429"] = { none = "nothing is throttled", says = "too many requests" },
  ["500"] = { none = "a failure inside", says = "internal server error" },
  ["502"] = { none = "a failure on the way", says = "bad gateway" },
  ["503"] = { none = "a failure on the way", says = "service unavailable" },
  ["504"] = { none = "a failure on the way", says = "gateway timeout" },
}

return {
  text_of = function(response) return response.json.error or response.json.msg or response.json.message end,
  -- Statuses of the gateway are statuses; the upstream's codes come with HTTP 200.
  status_of = function(code) return math.tointeger(tonumber(code:match "^%d%d%d$" or code:match "^(%d%d%d)_" or "200")) end,
  read = read,
  cases = cases,
}
