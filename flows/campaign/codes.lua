-- A campaign's codes, and who has them. Batches are written once; a claim is a document of its own, whose id
-- is the code's number, so a code is given to one person however many ask.

local collection = require "mintage.collection"
local crypto = require "mintage.crypto"
local flow = require "mintage.flow"

local codes = {
  campaigns = collection.define "campaigns",
  batches = collection.define("campaign_batches", { index = { "campaign" } }),
  claims = collection.define("campaign_claims", { unique = { "code", "once" }, index = { "campaign" } }),
}

local function place(name, n) return ("campaign/%s/%d"):format(name, n) end
local function batch_id(c, n) return ("%s/%05d"):format(c.name or c.id, (n - 1) // c.batch) end

function codes.claim_id(name, n) return ("%s/%07d"):format(name, n) end

-- Opens a campaign; a name that is taken is a conflict.
function codes.open(c)
  codes.campaigns:insert {
    id = c.name, run = flow.id(), value = c.value, count = c.count, batch = c.batch, budget = c.budget,
    purse = c.purse, per_person = c.per_person, inactive = c.inactive, activated = 0, ends = c.ends,
    ordered = 0, paid = 0, made = 0, given = 0,
  }
end

function codes.ordering(c, ordered) codes.campaigns:update(c.name, { ordered = ordered }) end

function codes.close(c) codes.campaigns:update(c.name, { count = c.ordered, ordered = c.ordered }) end

-- Keeps what MINT made, sealed, as the numbers after what was ordered before.
function codes.keep(c, epins)
  local list, expires = {}, nil
  for i, epin in ipairs(epins) do
    local code = epin.pin_code:gsub("%s", "")
    local sealed = crypto.seal(code, place(c.name, c.ordered + i))
    list[i] = { pin_id = epin.pin_id, last4 = code:sub(-4), sealed = sealed }
    expires = math.min(expires or math.huge, epin.pin_time_expired * 1000)
  end
  codes.batches:insert {
    id = batch_id(c, c.ordered + 1), campaign = c.name, first = c.ordered + 1, codes = list,
    expires = expires,
  }
  c.made = c.made + #list
  if expires then c.expires = math.max(c.expires or 0, expires) end
  codes.campaigns:update(c.name, { made = c.made, paid = math.min(c.count, c.ordered + c.batch) })
end

-- The n-th code in the clear, and its batch; nil when there is none that can be used at this time.
function codes.unsealed(c, n, now)
  local batch = codes.batches:get(batch_id(c, n))
  local code = batch and batch.codes[n - batch.first + 1]
  if not code or not code.sealed or now >= batch.expires or c.inactive and n > c.activated then return nil end
  return crypto.unseal(code.sealed, place(c.id, n)), batch
end

-- The claim of this code, and its campaign; nil when it was not given away, or cannot be used any more.
function codes.find(code)
  local claim = codes.claims:by("code", crypto.mac(code))
  if not claim or flow.now().ms >= claim.expires then return nil end
  return claim, codes.campaigns:get(claim.campaign)
end

-- Has a claim redeemed by this run; false when another has.
function codes.take(claim)
  if claim.redeemed_by then return false end
  local ok, err = pcall(codes.put, claim.id, { redeemed_by = flow.id() }, { version = claim.version })
  if not ok and err.kind ~= "conflict" then error(err, 0) end
  return ok
end

function codes.put(id, fields, options) codes.claims:update(id, fields, options) end

-- Calls f with every document of a campaign, in order.
function codes.each(documents, name, f)
  local after
  repeat
    local page = documents:list { field = "campaign", value = name, limit = 500, after = after }
    for _, document in ipairs(page) do
      f(document)
      after = document.id
    end
  until #page < 500
end

function codes.claimed(name)
  local claimed, redeemed = 0, 0
  codes.each(codes.claims, name, function(claim)
    claimed = claimed + 1
    if claim.redeemed_at then redeemed = redeemed + 1 end
  end)
  return claimed, redeemed
end

-- Forgets the codes; what is masked of them stays.
function codes.erase(c)
  for n = 1, c.ordered, c.batch do
    local batch = codes.batches:get(batch_id(c, n))
    for _, code in ipairs(batch.codes) do code.sealed = nil end
    codes.batches:update(batch.id, { codes = batch.codes })
  end
end

return codes
