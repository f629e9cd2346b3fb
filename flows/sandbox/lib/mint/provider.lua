-- MINT as one of the sandbox's providers: what the control API may ask of it, and how its codes are kept out
-- of what is recorded.

local balances = require "lib.mint.balances"
local epins = require "lib.mint.epins"
local fields = require "lib.mint.fields"
local journal = require "lib.journal"
local json = require "mintage.json"
local money = require "mintage.money"
local provider = require "lib.provider"
local replies = require "lib.mint.replies"

local SECRETS = { "epin", "app_key" }

local function mask_run(run)
  local _, digits = run:gsub("%d", "")
  if digits < 16 then return run end
  return (run:gsub("%d", "*"))
end

-- A body without ePINs and project keys: by the names of its fields, in whatever it is written in, and by the
-- look of a code, should it stand anywhere else.
local function mask(text)
  local ok, body = pcall(json.decode, text)
  if ok and type(body) == "table" then
    if body.epin ~= nil then body.epin = type(body.epin) == "table" and json.array { "***" } or "***" end
    if body.app_key ~= nil then body.app_key = "***" end
    text = json.encode(body)
  end
  for _, name in ipairs(SECRETS) do
    text = text:gsub("(%f[%w_]" .. name .. "[%w%%%[%]]*=)[^&\r\n]+", "%1***")
    text = text:gsub('(name="' .. name .. '[^\r\n]*\r?\n\r?\n)[^\r\n]*', "%1***")
  end
  text = text:gsub("%d[%d %+%-]*%d", mask_run)
  return journal.mask(text)
end

-- A redemption is about its user; the reseller API has nothing of the kind.
local function reference(req)
  local given = req.path == "/api/pure-mint/payment" and fields.read(req)
  local user_id = given and fields.text(given.user_id) or ""
  return user_id ~= "" and user_id:sub(1, 100) or nil
end

-- POST /_sandbox/activate {"pin_code"}. Answers an HTTP status, and a body or what is wrong.
local function activate(given)
  local epin = epins.find(given.pin_code)
  if not epin then return 404, "there is no such ePIN" end
  if not epin.active then epin = epins.activate(epin) end
  return 200, { pin_id = math.tointeger(tonumber(epin.id)), active = true }
end

-- POST /_sandbox/issue {"value", "currency"}. Answers as activate does.
local function issue(given)
  local value, currency = math.tointeger(given.value), given.currency or "USD"
  if not value or value < 1 or value > 10000000 then
    return 422, "value must be 1 to 10000000, in whole units"
  end
  if not pcall(money.zero, currency) then return 422, "there is no such currency" end
  return 200, epins.issue(currency, value)
end

return provider.define {
  name = "mint",
  issue = issue,
  fail = function(status) return replies.fault(tostring(status)) end,
  fault = replies.fault,
  reference = reference,
  mask = mask,
  balance = balances.set,
  activate = activate,
  state = function(page) return { balances = balances.list(), epins = epins.list(page) } end,
}
