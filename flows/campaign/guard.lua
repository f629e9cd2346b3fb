-- Against guessing: ten wrong tries within ten minutes, and nothing that its source tries in them is right.

local collection = require "mintage.collection"
local crypto = require "mintage.crypto"
local time = require "mintage.time"

local guard = {}

local MOST, WITHIN_MS = 10, 10 * 60 * 1000
local tries = collection.define "campaign_tries"

-- The source that an address is: an IPv6 one stands for its network of 64 bits, all of which one client has.
function guard.network(address)
  if not address:find(":", 1, true) then return address end
  local head, tail = address:match "^(.-)::(.*)$"
  local groups, behind = {}, {}
  for group in (head or address):gmatch "%x+" do table.insert(groups, group) end
  for group in (tail or ""):gmatch "%x+" do table.insert(behind, group) end
  if tail then
    for _ = 1, 8 - #groups - #behind do table.insert(groups, "0") end
    table.move(behind, 1, #behind, #groups + 1, groups)
  end
  return table.concat(groups, ":", 1, 4)
end

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
