-- The words of Paymint's wire: the upstream's codes with their texts, Korean phone numbers, Korean days.

local clock = require "lib.clock"
local time = require "mintage.time"

local words = {}

words.ok = "성공하였습니다."

-- The official codes, and what a merchant reads with them. V2's say "message" where V1's say "msg".
words.codes = {
  ["9999"] = "정의되지 않은 오류입니다.",
  ["9800"] = "이미 사용된 청구서 아이디입니다.",
  ["9970"] = "이미 취소된 청구서입니다.",
  ["9971"] = "이미 결제된 청구서입니다.",
  ["9980"] = "청구서를 찾을 수 없습니다.",
  ["9870"] = "동기화 대상이 없습니다.",
  ["5000"] = "SYSTEM ERROR",
  ["1003"] = "접근할 수 없는 사용자입니다.",
  ["1010"] = "가맹점 신청 전이거나 심사 중입니다.",
  ["1700"] = "이미 가입된 가맹점입니다.",
  ERROR = "정의되지 않은 오류입니다.",
  PARTNER_001 = "V2를 사용하지 않는 파트너입니다.",
  PARTNER_002 = "apiKey가 없습니다.",
  PARTNER_003 = "유효한 파트너가 아닙니다.",
  PARTNER_004 = "가맹점 매핑을 찾을 수 없습니다.",
  PARTNER_005 = "파트너를 찾을 수 없습니다.",
  PARTNER_006 = "유효한 계약이 없습니다.",
  PARTNER_007 = "사용할 수 없는 파트너입니다.",
  VALIDATION_001 = "요청 값이 올바르지 않습니다.",
  VALIDATION_002 = "hash 값이 올바르지 않습니다.",
  BILL_001 = "이미 사용된 청구서 아이디입니다.",
  BILL_003 = "청구서를 찾을 수 없습니다.",
  BILL_006 = "발송할 수 없는 청구서입니다.",
  POINT_001 = "포인트가 부족합니다.",
  PAYMENT_001 = "결제망에서 승인을 거절했습니다.",
  PAYMENT_002 = "은행에서 승인을 거절했습니다.",
}

-- Why a card said no.
words.declines = {
  card_declined = "카드사에서 승인을 거절했습니다. (card_declined)",
  insufficient_funds = "잔액이 부족합니다. (insufficient_funds)",
  expired_card = "유효기간이 지난 카드입니다. (expired_card)",
  lost_card = "분실 신고된 카드입니다. (lost_card)",
  stolen_card = "도난 신고된 카드입니다. (stolen_card)",
  incorrect_cvc = "보안 코드가 올바르지 않습니다. (incorrect_cvc)",
  processing_error = "카드사 오류로 승인하지 못했습니다. (processing_error)",
  authentication_failed = "본인 인증에 실패했습니다. (authentication_failed)",
}

-- What the last two digits of a price do where no card decides, after the codes of ISO 8583.
words.amounts = {
  ["05"] = { result = "card_declined", says = "declined: code 9999" },
  ["51"] = { result = "insufficient_funds", says = "not enough money: code 9999" },
  ["54"] = { result = "expired_card", says = "the card has expired: code 9999" },
  ["96"] = { code = "5000", says = "the upstream breaks, nothing is charged: code 5000" },
}

function words.trigger(price) return words.amounts[("%02d"):format(price):sub(-2)] end

-- "+82-10-1234-5678" -> "01012345678"; nil when it is no Korean mobile number.
function words.phone(text)
  if type(text) ~= "string" and math.type(text) ~= "integer" then return nil end
  local digits = tostring(text):gsub("%D", "")
  digits = digits:match "^82(010%d*)$" or digits:gsub("^82(10%d%d%d%d%d%d%d%d)$", "0%1")
  if #digits == 10 and digits:find "^10" then digits = "0" .. digits end
  return digits:find "^010%d%d%d%d%d%d%d%d$" and digits or nil
end

local KST = 9 * 3600 * 1000

-- "20261120183000": the upstream writes its times without a zone, and means Seoul's.
function words.stamp(ms)
  return (clock.text(ms + KST):gsub("%..*", ""):gsub("%D", ""))
end

-- "2026-11-20", `later` days on.
function words.day(ms, later) return clock.text(ms + KST + (later or 0) * clock.day):sub(1, 10) end

-- When a day ends in Seoul; nil when there is no such day.
function words.end_of(day)
  if type(day) ~= "string" or not day:find "^%d%d%d%d%-%d%d%-%d%d$" then return nil end
  local ok, parsed = pcall(time.parse, day .. "T00:00:00+09:00")
  if not ok or words.day(parsed.ms) ~= day then return nil end
  return parsed.ms + clock.day
end

return words
