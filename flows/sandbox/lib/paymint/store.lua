-- Paymint's collections. Prices are whole won; a bill's id is its bill_id, a payer's the merchant's own
-- customer_id, and the points are one document.

local collection = require "mintage.collection"

return {
  bills = collection.define("paymint_bills", { unique = { "token" }, index = { "state" } }),
  payers = collection.define("paymint_payers", { unique = { "token" } }),
  methods = collection.define("paymint_methods", { index = { "customer_id" } }),
  points = collection.define("paymint_points", {}),
}
