-- What the sandbox remembers for assertions: every request a provider received, and every movement of
-- money. Written in the transaction of the request itself, so neither can disagree with what happened.
-- Secrets and card numbers are masked before they are stored.

local cards = require "lib.cards"
local clock = require "lib.clock"
local collection = require "mintage.collection"
local crypto = require "mintage.crypto"
local json = require "mintage.json"

local journal = {}

-- Kept for a year: those who look at them have looked by then. The ledger stays.
local requests = collection.define("sandbox_requests", { index = { "provider", "reference" }, keep = "366d" })
local ledger = collection.define("sandbox_ledger", { index = { "provider", "reference" } })

local LONGEST_BODY = 64 * 1024 -- bytes kept of a request's body
local LARGEST_ANSWER = 3 * 1024 * 1024 -- bytes of entries, about, that one answer holds

-- Ids sort by time, so that lists are in order; what shares a millisecond is ordered by the tail.
local function dated_id(tail)
  return string.format("%014d-%s", clock.now(), tail or crypto.token(8))
end

local secret_headers = {
  ["x-client-secret"] = true, ["authorization"] = true, ["api-key"] = true, ["x-api-key"] = true,
  ["x-paymint-api-key"] = true, ["cookie"] = true,
}

-- Cards begin with 3 to 6 (some of Mastercard's with 2); times and most order numbers do not, and stay
-- readable.
local function looks_like_card(digits)
  local length = #digits
  local plausible = length >= 13 and length <= 19 and digits:find "^[3-6]"
    or length == 16 and digits:find "^2"
  return plausible and cards.luhn(digits)
end

local function mask_digits(run)
  local digits = run:gsub("%D", "")
  if not looks_like_card(digits) then return run end
  local hidden = #digits - 4
  return (run:gsub("%d", function(digit)
    hidden = hidden - 1
    return hidden >= 0 and "*" or digit
  end))
end

-- Text without card numbers and without the values of fields that carry secrets, in JSON and in forms.
function journal.mask(text)
  text = text:gsub("%d[%d %-+]*%d", mask_digits)
  for _, field in ipairs { "cvc", "cvv", "card_cvc", "pin_code", "secret" } do
    text = text:gsub('("' .. field .. '"%s*:%s*)"[^"]*"', '%1"***"')
    text = text:gsub('("' .. field .. '"%s*:%s*)[%d.]+', '%1"***"')
    text = text:gsub("(%f[%w_]" .. field .. "=)[^&]*", "%1***")
  end
  return text
end

local function masked_headers(headers)
  local out = {}
  for name, value in pairs(headers) do
    out[name] = secret_headers[name] and "***" or journal.mask(value)
  end
  return out
end

local function masked_query(query, mask)
  local out = {}
  for name, value in pairs(query) do out[name] = mask(value) end
  return out
end

-- mask: a provider's own, for what is secret there only.
function journal.request(req, entry, mask)
  mask = mask or journal.mask
  entry.id = dated_id(req.id)
  entry.at = clock.text()
  entry.method = req.method
  entry.path = req.path
  entry.query = masked_query(req.query, mask)
  entry.headers = masked_headers(req.headers)
  entry.body = mask(req.body:sub(1, LONGEST_BODY))
  requests:insert(entry)
end

-- kind: charge authorise capture void refund issue redeem fee. amount is the provider's decimal text.
function journal.money(entry)
  entry.id = dated_id()
  entry.at = clock.text()
  ledger:insert(entry)
end

local function matches(entry, filters)
  for field, value in pairs(filters) do
    local found = entry[field]
    if field == "path" then
      if found:sub(1, #value) ~= value then return false end
    elseif found ~= value then
      return false
    end
  end
  return true
end

-- `after` among the filters is the id of the last entry that is known already. Answers the entries, and when
-- there may be more of them the id after which they are.
local function select(from, filters, limit)
  local field = filters.reference and "reference" or filters.provider and "provider" or nil
  local found, after, bytes = {}, filters.after, 0
  filters.after = nil
  repeat
    local page = from:list { field = field, value = field and filters[field], after = after, limit = 200 }
    for _, row in ipairs(page) do
      after = row.id
      row.version = nil
      if matches(row, filters) then
        found[#found + 1] = row
        bytes = bytes + 300 + #(row.body or "")
      end
      if #found == limit or bytes > LARGEST_ANSWER then return found, after end
    end
  until #page < 200
  return found
end

-- Entries in the order they happened; a path filter is a prefix. A body that is JSON is shown as such.
function journal.requests(filters, limit)
  local found, more = select(requests, filters, limit)
  for _, entry in ipairs(found) do
    local ok, body = pcall(json.decode, entry.body)
    if ok and type(body) == "table" then entry.body = body end
  end
  return found, more
end

function journal.ledger(filters, limit) return select(ledger, filters, limit) end

return journal
