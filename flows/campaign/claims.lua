-- The public side: a link that gives one code to one person. A link is the campaign's name, the code's number
-- and a MAC, so it needs no store and cannot be guessed; number 0 is the campaign's own link: first come,
-- first served. Whatever is not given is refused with the same words.

local codes = require "campaign.codes"
local crypto = require "mintage.crypto"
local flow = require "mintage.flow"
local guard = require "campaign.guard"
local time = require "mintage.time"
local web = require "mintage.web"

local claims = {}

local AGAIN_MS = 10 * 60 * 1000 -- for so long who claimed a code may see it again, whose answer was lost
local headers = { ["Cache-Control"] = "no-store", ["Referrer-Policy"] = "no-referrer" }

local function page(text)
  return ([[<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Your code</title>
<meta name="viewport" content="width=device-width"></head><body><main>%s</main></body></html>]]):format(text)
end

local NOTHING = "This link gives nothing, or nothing any more."

local function mac(name, n) return crypto.mac(("claim/%s/%d"):format(name, n)):sub(1, 40) end

function claims.link(name, n) return ("/claim/%s.%d.%s"):format(name, n, mac(name, n)) end

-- The campaign of a link and its number; nil for what is no link of ours.
local function read(link)
  local name, n, given = link:match "^([a-z0-9-]+)%.(%d+)%.(%x+)$"
  name, n = name or "none", math.tointeger(tonumber(n or 0)) or 0
  local ours = crypto.equal(given or "", mac(name, n))
  local c = codes.campaigns:get(name)
  if ours and c then return c, n end
end

local function is_open(c, now)
  local run = flow.find(c.run)[1]
  return run and run.progress and run.progress.status == "open" and now < c.ends
end

-- The next number that nobody has; those that links of their own have given are passed over, five
-- hundred at once.
local function next_free(c)
  local n = c.given
  repeat n = n + 1
  until n > c.ordered or n == c.given + 500 or not codes.claims:get(codes.claim_id(c.id, n))
  codes.campaigns:update(c.id, { given = math.min(n, c.ordered) }, { version = c.version })
  return n
end

local people = require("mintage.collection").define "campaign_people"

-- Gives a code to a person: the code, or nil. All of it happens, or nothing (a handler is a transaction).
local function give(c, n, person, once, now)
  local before = codes.claims:by("once", once)
  if before and before.campaign == c.id and before.person == person and (n == 0 or n == before.number) then
    return now - before.claimed_at < AGAIN_MS and codes.unsealed(c, before.number, now) or nil
  end
  local who = people:get(c.id .. "/" .. person) or { id = c.id .. "/" .. person, claimed = 0 }
  if before or not is_open(c, now) or who.claimed >= c.per_person then return nil end
  if n == 0 then n = next_free(c) end
  local code, batch = codes.unsealed(c, n, now)
  if not code or codes.claims:get(codes.claim_id(c.id, n)) then return nil end
  who.claimed = who.claimed + 1
  people:put(who)
  codes.claims:insert {
    id = codes.claim_id(c.id, n), campaign = c.id, number = n, person = person, once = once,
    code = crypto.mac(code), claimed_at = now, expires = batch.expires,
  }
  return code
end

web.get("/claim/{link}", { public = true }, function()
  return { headers = headers, html = page(([[<h1>Your code</h1><form method="post">
<p>The code is shown once. Keep it: whoever has it can spend it.</p>
<input type="hidden" name="once" value="%s"><label>Your e-mail address <input name="person" required></label>
<button>Show the code</button></form>]]):format(crypto.token())) }
end)

-- { person, once }: once is made up by who asks, to be shown the same code should the answer be lost.
web.post("/claim/{link}", { public = true }, function(req)
  local wants_json = (req.headers["content-type"] or ""):find("json", 1, true)
  local given = wants_json and req.json() or req.form()
  if type(given) ~= "table" then given = {} end
  local person = type(given.person) == "string" and given.person:lower():gsub("%s", "") or ""
  local once = type(given.once) == "string" and given.once or ""
  if person == "" or #person > 200 or #once < 16 or #once > 200 then
    return { status = 422, json = { detail = "person (1 to 200 letters) and once (16 to 200) are wanted" } }
  end
  local c, n = read(req.params.link)
  local shut = guard.note(guard.network(req.client), not c)
  local code = c and not shut and give(c, n, crypto.mac("person/" .. person), crypto.mac("once/" .. once),
    time.now().ms) or nil
  if not wants_json then
    return { status = code and 200 or 404, headers = headers,
      html = page(code and ("<h1>Your code</h1><p><strong>%s</strong></p>"):format(code) or NOTHING) }
  end
  return { status = code and 200 or 404, headers = headers,
    json = code and { code = code } or { detail = NOTHING } }
end)

return claims
