-- Random identifiers in the shapes that providers give theirs.

local crypto = require "mintage.crypto"

local ids = {}

-- A version 4 UUID.
function ids.uuid()
  local hex = crypto.token(16)
  local variant = string.format("%x", tonumber(hex:sub(17, 17), 16) & 3 | 8)
  return table.concat({
    hex:sub(1, 8), hex:sub(9, 12), "4" .. hex:sub(14, 16), variant .. hex:sub(18, 20), hex:sub(21, 32),
  }, "-")
end

-- A positive integer of up to 12 digits.
function ids.number() return tonumber(crypto.token(8):sub(1, 9), 16) + 1 end

return ids
