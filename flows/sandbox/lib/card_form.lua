-- The card form of hosted pages: what is wrong with what a customer typed, as codes that lib.texts has words
-- for.

local cards = require "lib.cards"
local clock = require "lib.clock"

local card_form = {}

local function expiry_error(text)
  if not text:find "%S" then return "expiry_missing" end
  local month, year = text:match "^%s*(%d%d?)%s*[/%- ]%s*(%d+)%s*$"
  if not month then month, year = text:match "^%s*(%d%d)(%d+)%s*$" end
  month, year = tonumber(month), year and (#year == 2 and "20" .. year or #year == 4 and year)
  if not year or month < 1 or month > 12 then return "expiry_invalid" end
  local now = clock.text()
  if year .. string.format("%02d", month) < now:sub(1, 4) .. now:sub(6, 7) then return "expiry_past" end
end

local function number_error(text)
  local digits = text:gsub("[%s-]", "")
  if digits == "" then return "number_missing" end
  local plausible = digits:find "^%d+$" and #digits >= 12 and #digits <= 19
  if not plausible or not cards.luhn(digits) then return "number_invalid" end
  if not cards.find(digits) then return "not_a_test_card" end
end

local function cvc_error(text, number)
  if not text:find "%S" then return "cvc_missing" end
  local card = cards.find(number)
  local digits = text:match "^%s*(%d+)%s*$"
  if not digits or #digits ~= (card and card.brand == "amex" and 4 or 3) then return "cvc_invalid" end
end

-- What is wrong with the form, by field; nil when it is fine. Only the error codes leave this function.
function card_form.errors(form)
  local number = form.card_number or ""
  local errors = {
    card_number = number_error(number),
    card_expiry = expiry_error(form.card_expiry or ""),
    card_cvc = cvc_error(form.card_cvc or "", number),
    card_name = not (form.card_name or ""):find "%S" and "name_missing" or nil,
  }
  return next(errors) and errors or nil
end

return card_form
