-- Paymnt's two collections. Ids are the API's own; amounts are minor units. What has been refunded is kept in
-- the payment too: two refunds at the same time then touch one document, and the second sees the first.

local collection = require "mintage.collection"

return {
  payments = collection.define("paymnt_payments", {}),
  refunds = collection.define("paymnt_refunds", { index = { "payment_id" } }),
}
