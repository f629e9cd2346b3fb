-- What Paymint's pages say beyond the words that all hosted pages share, in English and Korean. Both tables
-- have the same names.

local shared = require "lib.texts"

local own = {}

own.en = {
  bill = "Payment request",
  to = "For",
  to_whom = "{name}",
  until_day = "Payable until",
  day = "{iso} (Korea)",
  by_card = "Pay by card",
  by_app = "Pay with an app (test)",
  by_app_says = "Stands for the Korean pay buttons; no card is asked for.",
  decline = "Have the payment declined (test)",
  paid_title = "Paid",
  paid_says = "{amount} was paid for {product}.",
  cancelled_says = "{amount} was given back.",
  destroyed_title = "Withdrawn",
  destroyed_heading = "This payment request was withdrawn",
  destroyed_says = "You have not been charged.",
  expired_says = "You have not been charged. Ask the sender for a new request.",
  autopay = "AutoPay",
  payer = "Registered to",
  autopay_says = "The card you enter here is charged by the shop each time a payment is due.",
  register_title = "Register a card",
  register = "Register this card",
  manage_title = "Change your card",
  manage = "Replace the card",
  now = "Card now",
  card = "{brand} ending in {last4}",
  leave = "Leave without registering",
  registered_title = "Card registered",
  registered_says = "The card ending in {last4} is charged from now on. You can close this page.",
  left_title = "Closed",
  left_heading = "No page is open here",
  left_says = "No card was registered. Ask the shop for a new link.",
  challenge_says = "3-D Secure test page of the card's bank, for the card ending in {last4}.",
}

own.ko = {
  bill = "결제 요청",
  to = "받는 분",
  to_whom = "{name} 님",
  until_day = "결제 기한",
  day = "{year}년 {month}월 {day}일",
  by_card = "카드로 결제",
  by_app = "간편결제로 결제 (테스트)",
  by_app_says = "간편결제 버튼을 대신합니다. 카드 정보가 필요하지 않습니다.",
  decline = "결제 거절하기 (테스트)",
  paid_title = "결제 완료",
  paid_says = "{product} 결제 금액 {amount}을 결제했습니다.",
  cancelled_says = "{amount}이 취소되었습니다.",
  destroyed_title = "파기됨",
  destroyed_heading = "파기된 청구서입니다",
  destroyed_says = "청구된 금액이 없습니다.",
  expired_says = "청구된 금액이 없습니다. 보낸 분에게 새 청구서를 요청해 주세요.",
  autopay = "자동결제",
  payer = "등록하는 분",
  autopay_says = "여기에 등록한 카드로 결제일마다 자동으로 결제됩니다.",
  register_title = "카드 등록",
  register = "이 카드 등록하기",
  manage_title = "카드 변경",
  manage = "이 카드로 변경하기",
  now = "현재 카드",
  card = "{brand} {last4}",
  leave = "등록하지 않고 나가기",
  registered_title = "카드 등록 완료",
  registered_says = "끝자리 {last4} 카드가 등록되었습니다. 이 화면을 닫아도 됩니다.",
  left_title = "닫힘",
  left_heading = "열려 있는 화면이 없습니다",
  left_says = "카드가 등록되지 않았습니다. 판매자에게 새 링크를 요청해 주세요.",
  challenge_says = "끝자리 {last4} 카드의 카드사가 보여 주는 3-D Secure 테스트 화면입니다.",
}

local texts = { languages = shared.languages, language = shared.language }

function texts.say(language, name, values)
  local text = own[language][name]
  if not text then return shared.say(language, name, values) end
  return (text:gsub("{(%w+)}", function(key) return tostring(values and values[key]) end))
end

return texts
