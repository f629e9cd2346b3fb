-- The merchant's side, for whoever has the admin token: statistics, lists, and the orders that a campaign
-- follows.

local claims = require "campaign.claims"
local codes = require "campaign.codes"
local flow = require "mintage.flow"
local money = require "mintage.money"
local time = require "mintage.time"
local web = require "mintage.web"

local function found(req, f)
  local c = codes.campaigns:get(req.params.name)
  return c and f(c) or { status = 404, json = { detail = "there is no such campaign" } }
end

-- The numbers that a list is to have: ?from=1&count=500, no more at once than `most`.
local function range(req, c, most)
  local from = math.tointeger(tonumber(req.query.from)) or 1
  local count = math.min(math.tointeger(tonumber(req.query.count)) or most, most)
  return math.max(from, 1), math.min(from + count - 1, c.ordered)
end

web.get("/campaigns/{name}", function(req)
  return found(req, function(c)
    local run, value = flow.find(c.run)[1], money(c.value)
    local claimed, redeemed = codes.claimed(c.id)
    local status = run and run.state == "needs_attention" and run.state or run and run.progress
      and run.progress.status or run and run.state
    return { json = {
      name = c.id, run = c.run, status = status, value = value, budget = c.budget, count = c.count,
      ordered = c.ordered, made = c.made, cost = value * c.ordered, claimed = claimed, redeemed = redeemed,
      left = c.made - claimed, ends = time.format(c.ends), claim_link = claims.link(c.id, 0),
    } }
  end)
end)

-- A link for each code, to be sent to whom the merchant likes.
web.get("/campaigns/{name}/links", function(req)
  return found(req, function(c)
    local from, to = range(req, c, 1000)
    local list = require("mintage.json").array {}
    for n = from, to do list[#list + 1] = { number = n, link = claims.link(c.id, n) } end
    return { json = { data = list } }
  end)
end)

local function instant(ms) return ms and time.format(ms) or "" end

local function row(c, batch, n, code, now)
  local claim = codes.claims:get(codes.claim_id(c.id, n))
  local state = claim and (claim.redeemed_at and "redeemed" or claim.redeemed_by and "redeeming" or "claimed")
    or (c.inactive and n > c.activated and "inactive" or "free")
  if now >= batch.expires and state ~= "redeemed" then state = "expired" end
  return ("%d,%s,**** **** **** %s,%s,%s,%s"):format(n, code.pin_id, code.last4, state,
    instant(claim and claim.claimed_at), instant(claim and claim.redeemed_at))
end

-- Five hundred lines at most, from ?from= on. A code is shown by its last four digits.
web.get("/campaigns/{name}/codes.csv", function(req)
  return found(req, function(c)
    local lines, from, to = { "number,pin_id,code,state,claimed_at,redeemed_at" }, range(req, c, 500)
    local now = time.now().ms
    codes.each(codes.batches, c.id, function(batch)
      for i, code in ipairs(batch.codes) do
        local n = batch.first + i - 1
        if n >= from and n <= to then lines[#lines + 1] = row(c, batch, n, code, now) end
      end
    end)
    return { body = table.concat(lines, "\r\n") .. "\r\n", headers = {
      ["Content-Type"] = "text/csv; charset=utf-8", ["Cache-Control"] = "no-store",
    } }
  end)
end)

-- MINT has activated the ePINs up to this number (it documents no request for that): they may be given away.
web.post("/campaigns/{name}/activated", function(req)
  return found(req, function(c)
    local given = req.json()
    local upto = type(given) == "table" and math.tointeger(given.upto)
    if not upto or upto < 0 or upto > c.ordered then
      return { status = 422, json = { detail = ("upto: wanted 0 to %d"):format(c.ordered) } }
    end
    codes.campaigns:update(c.id, { activated = upto })
    return { json = { activated = upto } }
  end)
end)

for _, order in ipairs { "pause", "resume", "stop" } do
  web.post("/campaigns/{name}/" .. order, function(req)
    return found(req, function(c)
      flow.signal("campaign", c.id, order)
      return { status = 202, json = { ordered = order } }
    end)
  end)
end
