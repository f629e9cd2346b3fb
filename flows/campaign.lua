-- Campaigns: ePINs of one value, bought from MINT in batches and given away (campaign/claims.lua). One run is
-- one campaign. A code is seen by whoever claims it and by nobody else: at rest it is sealed, and it stands
-- in no progress, output, log or list.
--   mintage run campaign '{"name": "spring", "value": "5.00 USD", "count": 1000, "budget": "5000.00 USD"}'

local budget = require "campaign.budget"
local codes = require "campaign.codes"
local flow = require "mintage.flow"
local guard = require "campaign.guard"
local json = require "mintage.json"
local mint = require "mintage.mint"
local money = require "mintage.money"
require "campaign.claims"
require "campaign.merchant"

-- Follows the merchant's orders until an instant; while it is paused, until it ends. Answers true when the
-- campaign is to stop.
local function heed(c, till)
  for order in flow.events("campaign", c.name, { till = c.paused and c.ends or till }) do
    if order == "stop" then return true end
    if order == "pause" or order == "resume" then
      c.paused = order == "pause" or nil
      flow.progress { status = c.paused and "paused" or "open" }
      return heed(c, till)
    end
  end
end

-- Buys the next batch, and keeps its codes. MINT cannot be asked whether it made a batch whose answer was
-- lost: the run then stops for a person (needs_attention), and never asks a second time by itself.
local function buy(c)
  local n = math.min(c.batch, c.count - c.ordered)
  codes.ordering(c, c.ordered + n) -- written before MINT hears of it: more than this is never spent
  local bought, refused = flow.try(mint.epins.generate, {
    amount = c.value, count = n, activation_required = c.inactive,
  })
  if refused then -- the balance is empty, an outage: nothing was bought
    flow.warn("MINT sells no ePINs now; asked again in an hour", refused)
    return heed(c, flow.later "1h")
  end
  codes.keep(c, bought.epins or {})
  c.ordered = c.ordered + n
  flow.progress { ordered = c.ordered, made = c.made }
end

local campaign = flow.define {
  name = "campaign",
  title = "Campaign",
  description = "ePINs bought within a budget and given away, each to one person.",

  input = {
    name = { type = "string", max = 40, pattern = "[a-z0-9-]+", doc = "in its links; no two have the same" },
    value = { type = "money", min = 1, doc = "of each ePIN" },
    count = { type = "integer", min = 1, max = 1000000 },
    budget = { type = "money", min = 1, doc = "what it may cost, with all campaigns of its purse" },
    purse = { type = "string?", max = 40, doc = "a budget that campaigns share; its own, unless said" },
    per_person = { type = "integer?", min = 1, doc = "1" },
    lasts = "duration?", -- 30d
    inactive = { type = "boolean?", doc = "ePINs that MINT has to activate before they are given away" },
    batch = { type = "integer?", min = 1, max = 100, doc = "ePINs asked for at once: 100" },
    ordered = "integer?", made = "integer?", ends = "integer?", -- its own, from batch to batch
    expires = "integer?", paused = "boolean?",
  },

  run = function(c)
    if not c.ordered then
      if not c.value.amount:find "^%d+%.?0*$" then
        flow.fail("invalid_request", ("value: found %s, wanted a whole amount"):format(c.value))
      end
      c.ordered, c.made, c.batch, c.per_person = 0, 0, c.batch or 100, c.per_person or 1
      c.ends = flow.later(c.lasts or "30d").ms
      codes.open(c)
      budget.reserve(c)
      flow.progress { status = "open", ordered = 0, made = 0 }
    end

    local stopped = heed(c, flow.now())
    if not stopped and c.ordered < c.count and flow.now().ms < c.ends then
      stopped = buy(c)
      if not stopped then flow.continue(c) end -- what is done is done: a batch is a segment of the run
    end

    stopped = stopped or heed(c, c.ends)
    codes.close(c) -- what it did not order, others may
    flow.progress { status = stopped and "stopped" or "ended" }
    if c.expires then flow.sleep_until(c.expires) end
    codes.erase(c) -- MINT takes them no more
    return { ordered = c.ordered, made = c.made, claimed = codes.claimed(c.name) }
  end,
}

-- A shop's server has a customer's code redeemed, for its whole value and once. There is one answer to a code
-- that is unknown, not given away, redeemed already or expired, and to who has guessed too often.
flow.define {
  name = "campaign-redeem",
  title = "Redeem an ePIN of a campaign",
  description = "Pays with an ePIN that a campaign gave away.",
  input = { epin = "secret", user = { type = "string", max = 200 } },

  run = function(input)
    local epin = input.epin:gsub("[%s-]", "")
    local claim, c = codes.find(epin)
    local shut = guard.note(input.user, not claim)
    if shut or not claim or not codes.take(claim) then flow.fail("refused", "this code gives nothing") end
    local value = money(c.value)
    local paid, refused = flow.try(mint.epins.redeem, { epin = epin, amount = value, user_id = input.user })
    if not paid then
      flow.log("MINT refused it", refused)
      codes.put(claim.id, { redeemed_by = json.null })
      flow.fail("refused", "this code gives nothing")
    end
    codes.put(claim.id, { redeemed_at = flow.now().ms })
    return { campaign = claim.campaign, number = claim.number, amount = value }
  end,
}

return campaign
