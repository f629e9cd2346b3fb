---@meta mintage.money
-- Money is a value with exact arithmetic, never a float: + - with money, * // % with integers, // with money, < <= ==.

---@class mintage.Money
---@field minor integer 8000 of "80.00 USD"
---@field currency string "USD"
---@field amount string "80.00"
---@operator add(mintage.Money): mintage.Money
---@operator sub(mintage.Money): mintage.Money
---@operator mul(integer): mintage.Money
---@operator idiv(integer): mintage.Money
---@operator mod(integer): mintage.Money
---@operator unm: mintage.Money
---@operator concat(string): string
local Money = {}

---@return mintage.Money
---@nodiscard
function Money:abs() end

---As people of a locale write it: "$80.00".
---@param locale? string "en"
---@return string
---@nodiscard
function Money:format(locale) end

---@return boolean
---@nodiscard
function Money:is_negative() end

---@return boolean
---@nodiscard
function Money:is_positive() end

---@return boolean
---@nodiscard
function Money:is_zero() end

---Times numerator by denominator, rounded half to even.
---@param numerator integer
---@param denominator integer
---@return mintage.Money
---@nodiscard
function Money:ratio(numerator, denominator) end

---Into parts that add up exactly: by a number of equal ones, or by weights; what is left over goes to the largest
---remainders.
---@param parts integer|integer[]
---@return mintage.Money[]
---@nodiscard
function Money:split(parts) end

---Makes money: money "80.00 USD", money(8000, "USD") in minor units, money { amount = 8000, currency = "USD" }.
---@class mintage.MoneyModule
---@overload fun(text: string|table|mintage.Money): mintage.Money
---@overload fun(minor: integer, currency: string): mintage.Money
local money = {}

---@param value any
---@return boolean
---@nodiscard
function money.is(value) end

---For text that came from elsewhere: answers what is wrong instead of raising it.
---@param text string|table
---@return mintage.Money?
---@return mintage.Error? err
---@nodiscard
function money.parse(text) end

---@param list mintage.Money[]
---@param currency? string of an empty list
---@return mintage.Money
---@nodiscard
function money.sum(list, currency) end

---@param currency string
---@return mintage.Money
---@nodiscard
function money.zero(currency) end

return money, { Money = Money }
