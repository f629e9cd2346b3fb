---@meta mintage.mint
-- MINT (Paymentwall Reseller and Redemption API). Written from core/providers; not to be edited.

local mint = {}

mint.epins = {}
---@class mintage.mint.EpinsGenerate
---@field amount mintage.Money value of each ePIN, whole: ePinNominalValue and currencyCode
---@field count? integer how many: ePinsCount; 1
---@field country? string ISO 3166-1 alpha-2 code: countryCode
---@field service_id? integer service to generate for: serviceId; 0
---@field activation_required? boolean they cannot be redeemed until activated: activationRequired
---@field test? boolean answers test codes, charges nothing; only then the call may be repeated
---@field account_type? "reseller"|"app" which of the two URLs; the account's account_type unless said

---Generates ePINs, paid from your balance; never repeated on a guess (Generate ePIN).
---@param params? mintage.mint.EpinsGenerate|string
---@return table result epins: a list of pin_id, pin_code, pin_nominal_value, pin_tr_amount, cu_code, cu_id, pin_generated_time, pin_time_expired; reference
function mint.epins.generate(params, ...) end

---@class mintage.mint.EpinsRedeem
---@field epin string the ePIN's 16 digits, with or without spaces; money itself, so kept secret
---@field amount mintage.Money what is paid, with its currency
---@field user_id string your own id of the user

---Pays with an ePIN; never repeated on a guess (MINT Redemption API).
---@param params? mintage.mint.EpinsRedeem|string
---@return table result change_amount: what is left on it; change_currency
function mint.epins.redeem(params, ...) end

---@class mintage.mint.EpinsRelease
---@field amount mintage.Money what an ePIN has paid
---@field user_id string whom: as it was redeemed

---Is always refused, since MINT takes no redeemed ePIN back: as an undo (flow.undo), it has a person give the money back when the run fails.
---@param params? mintage.mint.EpinsRelease|string
---@return table result nothing
function mint.epins.release(params, ...) end

mint.balances = {}
---@class mintage.mint.BalancesList

---Reads all balances (Get available balances).
---@param params? mintage.mint.BalancesList|string
---@return table result balances: a list of cu_code, balance_amount (text, every digit), balance (when money can hold it); reference
function mint.balances.list(params, ...) end

---@class mintage.mint.BalancesGet
---@field currency string ISO 4217 code

---Reads the balance of a currency (Get balance).
---@param params? mintage.mint.BalancesGet|string
---@return table result cu_code, balance_amount (text, every digit), balance (when money can hold it), reference
function mint.balances.get(params, ...) end

return mint
