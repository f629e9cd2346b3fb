---@meta mintage.paymint
-- Paymint (결제선생, through Magic Meal Kits). Written from core/providers; not to be edited.

local paymint = {}

paymint.licenses = {}
---@class mintage.paymint.LicensesList

---Lists the approved licences (List approved licenses).
---@param params? mintage.paymint.LicensesList|string
---@return table result licenses: member_id, merchant_id, business_name, business_number, status
function paymint.licenses.list(params, ...) end

paymint.phone = {}
---@class mintage.paymint.PhoneFormat
---@field phone string a Korean mobile number in any spelling

---Normalises a Korean mobile number (Normalize a phone number).
---@param params? mintage.paymint.PhoneFormat|string
---@return table result phone, valid
function paymint.phone.format(params, ...) end

paymint.bills = {}
---@class mintage.paymint.BillsRequest
---@field product_nm string what is to be paid for
---@field message string what the payer reads
---@field member_nm string the payer's name
---@field phone string the payer's Korean mobile number: 01012345678, +82-10-1234-5678
---@field price mintage.Money in won, as in money "50000 KRW"
---@field expire_dt string YYYY-MM-DD: payable until the end of that day in Korea
---@field bill_id? string 1 to 20 letters and digits, unique for ever; made when left out
---@field callbackURL? string where a payment is told; without it, the gateway's own

---Sends a bill to a payer's phone, for points of the balance (Send a payment request).
---@param params? mintage.paymint.BillsRequest|string
---@return table result bill_id, shortURL (missing when an unknown outcome was found out by reading), code, msg
function paymint.bills.request(params, ...) end

---@class mintage.paymint.BillsRead
---@field bill_id string 1 to 20 letters and digits

---Reads how a bill stands (Read a payment's status).
---@param params? mintage.paymint.BillsRead|string
---@return table result bill_id, appr_state (F paid, W unpaid, C cancelled, D destroyed), appr_price, appr_dt, appr_num, appr_pay_type, appr_issuer, appr_issuer_num, appr_monthly and the other appr_ members
function paymint.bills.read(params, ...) end

---@class mintage.paymint.BillsCancel
---@field bill_id string 1 to 20 letters and digits
---@field price mintage.Money the whole price of the bill, in won

---Gives a paid bill's whole amount back (Cancel a payment).
---@param params? mintage.paymint.BillsCancel|string
---@return table result bill_id, appr_num, appr_origin_num, appr_cancel_dt, code, msg
function paymint.bills.cancel(params, ...) end

---@class mintage.paymint.BillsDestroy
---@field bill_id string 1 to 20 letters and digits
---@field price mintage.Money the whole price of the bill, in won

---Removes an unpaid bill for good, so that nobody can pay it (Permanently remove a payment).
---@param params? mintage.paymint.BillsDestroy|string
---@return table result bill_id, code, msg
function paymint.bills.destroy(params, ...) end

---@class mintage.paymint.BillsResend
---@field bill_id string 1 to 20 letters and digits

---Sends a bill's message once more, for points of the balance (Resend a payment request).
---@param params? mintage.paymint.BillsResend|string
---@return table result bill_id, code, msg
function paymint.bills.resend(params, ...) end

paymint.autopay = {}
---@class mintage.paymint.AutopayRegister
---@field customer_id string your own id of the payer
---@field member_nm string the payer's name
---@field phone string the payer's Korean mobile number
---@field callbackURL? string where payments are told; without it, the gateway's own

---Begins a payer's registration: the page at shortURL takes the card (Register a payer for AutoPay).
---@param params? mintage.paymint.AutopayRegister|string
---@return table result customer_id, shortURL, code, msg
function paymint.autopay.register(params, ...) end

---@class mintage.paymint.AutopayManage
---@field customer_id string your own id of the payer

---Answers the page where a payer changes the card (Update an AutoPay method).
---@param params? mintage.paymint.AutopayManage|string
---@return table result customer_id, shortURL, code, msg
function paymint.autopay.manage(params, ...) end

---@class mintage.paymint.AutopayMethods
---@field customer_id string your own id of the payer

---Lists a payer's registered cards (List a payer's AutoPay methods).
---@param params? mintage.paymint.AutopayMethods|string
---@return table result customer_id, methods: method_id, card_nm, card_num, status, registered_dt
function paymint.autopay.methods(params, ...) end

---@class mintage.paymint.AutopayRequest
---@field customer_id string your own id of the payer
---@field method_id? string which card; without it, the payer's active one
---@field bill_id? string 1 to 20 letters and digits, unique for ever; made when left out
---@field product_nm string what is paid for
---@field message? string what the payer reads
---@field price mintage.Money in won, as in money "9900 KRW"

---Charges a payer's registered card at once, for points of the balance (Charge via AutoPay).
---@param params? mintage.paymint.AutopayRequest|string
---@return table result bill_id, appr_state (F), appr_pay_type (CARD_RP), appr_num, appr_dt, appr_price, code, msg
function paymint.autopay.request(params, ...) end

---@class mintage.paymint.AutopayDelete
---@field customer_id string your own id of the payer
---@field method_id string which card, from autopay.methods

---Forgets a payer's card (Delete an AutoPay method).
---@param params? mintage.paymint.AutopayDelete|string
---@return table result customer_id, code, msg
function paymint.autopay.delete(params, ...) end

---@class mintage.paymint.BillsSettled
---@field id? string the bill_id
---@field bill_id? string 1 to 20 letters and digits: the same
---@field within? mintage.Duration how long to wait at most; "1h" when left out

---Waits until a bill is paid, cancelled, destroyed or expired; callbacks are hints, reading decides.
---@param params? mintage.paymint.BillsSettled|string
---@return table? result bill_id, appr_state (F paid, W unpaid, C cancelled, D destroyed), appr_price, appr_dt, appr_num, appr_pay_type, appr_issuer, appr_issuer_num, appr_monthly and the other appr_ members
function paymint.bills.settled(params, ...) end

---@class mintage.paymint.BillsRelease
---@field bill_id string 1 to 20 letters and digits
---@field price? mintage.Money the whole price, for a gateway that does not tell it of unpaid bills

---Takes a bill back: destroys an unpaid one, gives a paid one's whole amount back, leaves others alone.
---@param params? mintage.paymint.BillsRelease|string
---@return table result bill_id, code, msg
function paymint.bills.release(params, ...) end

return paymint
