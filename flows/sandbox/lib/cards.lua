-- The test cards: what each does when it is charged. A row is the whole behaviour of a card; the front page
-- is printed from these rows, and every other number is "not a test card".

local cards = {}

-- result: what a charge ends in. challenge: 3-D Secure comes first. renewal: what later charges end in, where
-- it differs.
cards.list = {
  { number = "4242424242424242", brand = "visa", result = "succeeded" },
  { number = "4111111111111111", brand = "visa", result = "succeeded" },
  { number = "5555555555554444", brand = "mastercard", result = "succeeded" },
  { number = "378282246310005", brand = "amex", result = "succeeded" },
  { number = "6011111111111117", brand = "discover", result = "succeeded" },
  { number = "38000000000006", brand = "diners", result = "succeeded" },
  { number = "4000000000000002", brand = "visa", result = "card_declined" },
  { number = "5105105105105100", brand = "mastercard", result = "card_declined" },
  { number = "4000000000009995", brand = "visa", result = "insufficient_funds" },
  { number = "4000000000009987", brand = "visa", result = "lost_card" },
  { number = "4000000000009979", brand = "visa", result = "stolen_card" },
  { number = "4000000000000069", brand = "visa", result = "expired_card" },
  { number = "4000000000000127", brand = "visa", result = "incorrect_cvc" },
  { number = "4000000000000119", brand = "visa", result = "processing_error" },
  { number = "4000003800000446", brand = "visa", result = "succeeded", challenge = true },
  { number = "4000000000003220", brand = "visa", result = "succeeded", challenge = true },
  { number = "4000008400001629", brand = "visa", result = "card_declined", challenge = true },
  { number = "4000008260003178", brand = "visa", result = "insufficient_funds", challenge = true },
  { number = "4000002500003155", brand = "visa", result = "succeeded", challenge = true },
  { number = "4000002760003184", brand = "visa", result = "succeeded", challenge = true,
    renewal = "authentication_failed" },
  { number = "4000000000000341", brand = "visa", result = "succeeded", renewal = "card_declined" },
  { number = "4000000000009904", brand = "visa", result = "succeeded", renewal = "lost_card" },
}

-- What a merchant reads about each result (English: it travels in webhooks and API answers).
cards.messages = {
  succeeded = "Payment successful.",
  card_declined = "The card was declined.",
  insufficient_funds = "The card has insufficient funds.",
  lost_card = "The card was reported lost.",
  stolen_card = "The card was reported stolen.",
  expired_card = "The card has expired.",
  incorrect_cvc = "The security code is incorrect.",
  processing_error = "An error occurred while processing the card.",
  authentication_failed = "The cardholder could not be authenticated.",
}

local by_number = {}
for _, card in ipairs(cards.list) do by_number[card.number] = card end

-- The card's row, whatever spaces and dashes the number was typed with; nil for all that is not a test card.
function cards.find(number)
  if type(number) ~= "string" then return nil end
  return by_number[(number:gsub("[%s-]", ""))]
end

-- Whether digits satisfy the Luhn check that every card number does.
function cards.luhn(digits)
  local sum, double = 0, false
  for i = #digits, 1, -1 do
    local d = digits:byte(i) - 48
    if double then d = d * 2 > 9 and d * 2 - 9 or d * 2 end
    sum, double = sum + d, not double
  end
  return #digits > 0 and sum % 10 == 0
end

-- All that may be kept of a card: "visa" and "4242", and how its charges end. Never the number.
function cards.keep(card)
  return {
    brand = card.brand,
    last4 = card.number:sub(-4),
    result = card.result,
    renewal = card.renewal or card.result,
  }
end

-- "4242424242424242" -> "4242 4242 4242 4242", for people.
function cards.spaced(number)
  if #number == 15 then return number:sub(1, 4) .. " " .. number:sub(5, 10) .. " " .. number:sub(11) end
  return (number:gsub("(%d%d%d%d)", "%1 "):gsub(" $", ""))
end

-- "3-D Secure, then declined" and the like, for the front page.
function cards.describe(card)
  local words = card.result:gsub("_", " ")
  if card.challenge then words = "3-D Secure challenge, then " .. words end
  if card.renewal then words = words .. "; every later charge of it: " .. card.renewal:gsub("_", " ") end
  return words
end

return cards
