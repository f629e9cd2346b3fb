-- The lockout against guessing: ten codes that do not exist, from one user of one application within ten
-- minutes, shut that user out for fifteen. Nothing else counts, and nobody else is affected.

local clock = require "lib.clock"
local crypto = require "mintage.crypto"
local store = require("lib.mint.store").guesses

local guesses = {}

local MOST, WITHIN_MS, LOCKED_MS = 10, 10 * 60 * 1000, 15 * 60 * 1000

local function id(app_key, user_id) return crypto.sha256(app_key .. "\n" .. user_id) end

function guesses.locked(app_key, user_id)
  local row = store:get(id(app_key, user_id))
  return row and row.locked_until and clock.now() < row.locked_until or false
end

function guesses.wrong(app_key, user_id)
  local now = clock.now()
  local row = store:get(id(app_key, user_id)) or { id = id(app_key, user_id), times = {} }
  local times = {}
  for _, at in ipairs(row.times) do
    if at > now - WITHIN_MS then times[#times + 1] = at end
  end
  times[#times + 1] = now
  row.locked_until = #times >= MOST and now + LOCKED_MS or nil
  row.times = row.locked_until and {} or times
  store:put(row)
end

return guesses
