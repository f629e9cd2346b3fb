-- Mintro's two collections. Ids are bare UUIDs; amounts are hundredths.

local collection = require "mintage.collection"

return {
  intents = collection.define("mintro_intents", {
    unique = { "reference_id", "token" },
    index = { "status" },
  }),
  profiles = collection.define("mintro_subscriptions", { index = { "status" } }),
}
