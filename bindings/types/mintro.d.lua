---@meta mintage.mintro
-- Mintro (Payment Platform API). Written from core/providers; not to be edited.

local mintro = {}

mintro.intents = {}
---@class mintage.mintro.IntentsCreate
---@field amount mintage.Money transaction total, with its currency
---@field currency? string follows from amount; when given, the same
---@field intent_type? "one_time"|"recurring" one_time (default) or recurring
---@field interval_days? integer billing cycle; recurring needs it
---@field email string the customer's email address
---@field name string the customer's full name
---@field reference_id string your own id, unique for ever: letters, digits, - and _
---@field customer_ref_id? string your own id of the customer
---@field order_items table objects with name, quantity (integer) and price (money)
---@field integration_type "iframe"|"url" iframe or url
---@field success_url? string where a payment leads; url needs it
---@field cancel_url? string where a cancellation leads; url needs it
---@field tax? mintage.Money tax amount
---@field discount? mintage.Money discount amount
---@field metadata? table key-value pairs of your own

---Begins a payment and answers the link of its checkout page (Create Payment Intent).
---@param params? mintage.mintro.IntentsCreate|string
---@return table result intent_id, status, amount, payment_url
function mintro.intents.create(params, ...) end

---@class mintage.mintro.IntentsGet
---@field intent_id? string pi_ and a UUID, or the UUID alone
---@field id? string the same

---Reads an intent (Get Payment Intent).
---@param params? mintage.mintro.IntentsGet|string
---@return table result intent_id, reference_id, amount, currency, status, payment_url, type, interval_days, expires_at, tax, discount, order_items
function mintro.intents.get(params, ...) end

---@class mintage.mintro.IntentsGetByReference
---@field reference_id string your own id

---Reads an intent by your own reference (Get Intent by Reference).
---@param params? mintage.mintro.IntentsGetByReference|string
---@return table result intent_id, reference_id, amount, currency, status, payment_url, type, interval_days, expires_at, tax, discount, order_items
function mintro.intents.get_by_reference(params, ...) end

---@class mintage.mintro.IntentsCancel
---@field intent_id? string pi_ and a UUID, or the UUID alone
---@field id? string the same

---Cancels an intent that is not paid yet (Cancel Payment Intent).
---@param params? mintage.mintro.IntentsCancel|string
---@return table result intent_id, status
function mintro.intents.cancel(params, ...) end

mintro.subscriptions = {}
---@class mintage.mintro.SubscriptionsCancel
---@field subscription_id string sub_ and a UUID, or the UUID alone

---Cancels a recurring profile; cancelled already, it answers the same (Cancel Subscription).
---@param params? mintage.mintro.SubscriptionsCancel|string
---@return table result subscription_id, status
function mintro.subscriptions.cancel(params, ...) end

---@class mintage.mintro.IntentsSettled
---@field id? string the intent, spelled as Mintro's answer spells it
---@field intent_id? string the same
---@field within? mintage.Duration how long to wait at most; "1h" when left out

---Waits until an intent is succeeded, cancelled or expired; events are hints, reading decides.
---@param params? mintage.mintro.IntentsSettled|string
---@return table? result intent_id, reference_id, amount, currency, status, payment_url, type, interval_days, expires_at, tax, discount, order_items
function mintro.intents.settled(params, ...) end

---@class mintage.mintro.IntentsRelease
---@field intent_id? string pi_ and a UUID, or the UUID alone
---@field id? string the same

---Cancels an intent unless it is cancelled or expired; a paid one cannot be given back through Mintro's API.
---@param params? mintage.mintro.IntentsRelease|string
---@return table result intent_id, status
function mintro.intents.release(params, ...) end

return mintro
