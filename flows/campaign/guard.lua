-- Against guessing: ten wrong tries within ten minutes, and nothing that its source tries in them is right.

local collection = require "mintage.collection"
local crypto = require "mintage.crypto"
local time = require "mintage.time"

local guard = {}

local MOST, WITHIN_MS = 10, 10 * 60 * 1000
local tries = collection.define "campaign_tries"

-- Notes a try of a source (an address, a user). Answers whether it is shut out. Right or wrong, it reads and
-- writes the same.
function guard.note(source, wrong)
  local id, now = crypto.mac("source/" .. source), time.now().ms
  for _ = 1, 100 do
    local row = tries:get(id) or { id = id, since = now, wrong = 0 }
    if now - row.since >= WITHIN_MS then row.since, row.wrong = now, 0 end
    local shut = row.wrong >= MOST
    row.wrong = row.wrong + (wrong and 1 or 0)
    local ok, err = pcall(row.version and tries.put or tries.insert, tries, row)
    if ok then return shut end
    if err.kind ~= "conflict" then error(err, 0) end -- another try of this source was quicker: after it
  end
  return true
end

return guard
