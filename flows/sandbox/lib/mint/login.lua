-- Who calls the reseller API: key, timestamp and signature, in that order, and the lockout of a key that
-- failed ten times in a row. The signature covers the values of params in the byte order of their names, and
-- no names.

local clock = require "lib.clock"
local crypto = require "mintage.crypto"
local fields = require "lib.mint.fields"
local store = require("lib.mint.store").logins

local login = {}

local KEY, PRIVATE = "mint_test_public", "mint_test_private"
local SKEW_S = 300
local FAILURES, LOCKED_MS = 10, 60 * 1000

-- nil when a value is no text.
local function signature(auth, params)
  local names, values = {}, {}
  for name in pairs(params) do names[#names + 1] = tostring(name) end
  table.sort(names)
  for i, name in ipairs(names) do
    values[i] = fields.text(params[name])
    if not values[i] then return nil end
  end
  return crypto.md5(KEY .. fields.text(auth.timestamp) .. table.concat(values) .. PRIVATE)
end

-- The code of what is wrong; nil when nothing is.
local function wrong(auth, params)
  if type(auth) ~= "table" or next(auth) == nil then return -32000 end
  if fields.text(auth.key) ~= KEY then return -32009 end
  local at = fields.integer(auth.timestamp)
  if not at or math.abs(clock.now() // 1000 - at) > SKEW_S then return -32011 end
  local expected = signature(auth, params)
  if not expected or not crypto.equal(fields.text(auth.sign) or "", expected) then return -32012 end
end

-- Judges what fields.read gave. Answers nothing when it may go on, else a code.
function login.check(given)
  local auth = type(given.auth) == "table" and given.auth or {}
  local params = type(given.params) == "table" and given.params or {}
  local id = crypto.sha256(fields.text(auth.key) or "")
  local now, known = clock.now(), store:get(id)
  if known and known.locked_until then
    if now < known.locked_until then return -32002 end
    known.failures, known.locked_until = 0, nil
  end

  local code = wrong(auth, params)
  if not code then
    if known then store:delete(id) end
    return nil
  end
  local failures = (known and known.failures or 0) + 1
  store:put {
    id = id,
    version = known and known.version,
    failures = failures,
    locked_until = failures >= FAILURES and now + LOCKED_MS or nil,
  }
  return code
end

return login
