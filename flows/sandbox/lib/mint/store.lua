-- MINT's collections. Amounts are ten-thousandths, as MINT writes four digits after the point. A code is kept
-- as its digest alone: whoever reads the store cannot spend what is in it.

local collection = require "mintage.collection"

return {
  epins = collection.define("mint_epins", { unique = { "digest" } }),
  balances = collection.define("mint_balances", {}), -- by currency; absent: as at first
  logins = collection.define("mint_logins", {}), -- failed authentications, by key
  guesses = collection.define("mint_guesses", {}), -- wrong codes, by application and user
}
