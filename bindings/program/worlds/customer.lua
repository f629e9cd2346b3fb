-- The customer of a simulated world: on the providers' own pages, and on the checkout page.

local native = require "mintage.testing.native"

local SANDBOX = "http://127.0.0.1:8090"

-- The sandbox's test cards.
local cards = {
  good = "4242424242424242",
  declined = "4000000000000002",
  no_funds = "4000000000009995",
  expired = "4000000000000069",
  challenge = "4000002500003155",          -- 3-D Secure, then it pays
  challenge_declined = "4000008400001629", -- 3-D Secure, then it does not
  dies_later = "4000000000000341",         -- pays once; every later charge is declined
}

local deeds = {} -- they become methods of worlds

-- ---- on the providers' pages ----

local payables = { "intent_id", "payment_id", "bill_id", "customer_id" }

local function control(w, path, body, method)
  local answer, why = w:request(method or "POST", SANDBOX .. "/_sandbox/" .. path, body)
  if not answer then error(("/_sandbox/%s: %s"):format(path, why), 3) end
  return answer
end

local settled_by = {
  ["mintro.intents.settled"] = "intent_id", ["paymnt.payments.settled"] = "payment_id",
  ["paymint.bills.settled"] = "bill_id",
}

-- What a run shows as its progress, or waits for to settle: { intent_id = ... }; nil when there is nothing yet.
local function shown_by(run)
  local progress = run.progress
  for _, name in ipairs(payables) do
    if progress[name] then return { [name] = progress[name] } end
  end
  if run.state ~= "waiting" then return nil end
  local journal = run:journal()
  local last = journal[#journal]
  local name = last and settled_by[last.name]
  return name and last.params and { [name] = last.params.id or last.params[name] }
end

-- What is to be paid: a run's, once it shows it or waits for it; { bill_id = ... }; or an id that says what it is.
local function payable_of(w, what)
  if type(what) == "string" then
    return { [what:find "^pi_" and "intent_id" or what:find "^pay_" and "payment_id" or "bill_id"] = what }
  elseif rawget(what, "world") then
    local found
    w:passes(function()
      local ended = what:has_ended() -- asked first: it may end between two looks
      found = shown_by(what)
      return found or ended
    end, "1h")
    if found then return found end
    error(("%s shows nothing to pay (progress: %s); it is %s"):format(what.id, native.encode(what.progress),
      what.state), 3)
  end
  local copy = {}
  for name, value in pairs(what) do copy[name] = value end
  return copy
end

local function act(w, what, more, words)
  local body = payable_of(w, what)
  local id = select(2, next(body))
  for name, value in pairs(more) do body[name] = value end
  local at = w:now()
  local answer = control(w, "pay", body)
  local status = answer.status == 200 and answer.json.status or answer.body
  w.customer[#w.customer + 1] = ("%s  %s %s: %s"):format(at, words, id, status)
  if answer.status ~= 200 then
    error(("the customer cannot do that (%s %s): %s"):format(words, id, answer.body), 2)
  end
  return status
end

---The customer pays, on the provider's own page: a run's payment, or { intent_id = }, { payment_id = }, { bill_id = },
---{ customer_id = } (registers a card for AutoPay), or an id.
---@param what mintage.world.Run|table|string
---@param card? string one of world.cards; a bill without one is paid with an app
---@param options? { late?: boolean } late: a payment that was under way when the intent was closed
---@return string status "succeeded", "failed", "challenge", ...
function deeds:pay(what, card, options)
  local own = type(what) == "table" and not rawget(what, "world") and what or {}
  card = card or own.card or not own.bill_id and cards.good or nil
  return act(self, what, { card = card, late = options and options.late },
    "pays with " .. (card and "*" .. card:sub(-4) or "an app"))
end

---The customer tries a card that is declined.
---@param what mintage.world.Run|table|string
---@param card? string
---@return string status
function deeds:decline(what, card)
  return act(self, what, { card = card or cards.declined }, "tries a bad card for")
end

---The customer presses "cancel" on the provider's page. (One who just leaves does nothing at all.)
function deeds:abandon(what) return act(self, what, { action = "cancel" }, "abandons") end

---The customer passes the 3-D Secure challenge of a card that was used before.
function deeds:pass_challenge(what) return act(self, what, {}, "passes the challenge of") end

---The customer fails it.
function deeds:fail_challenge(what) return act(self, what, { action = "fail" }, "fails the challenge of") end

-- ---- on the checkout page ----

---What the page shows of a run: GET /checkout/{token}/status. Nil when no answer came.
function deeds:page(run)
  local answer = self:get(run.checkout_url .. "/status")
  return answer and answer.status == 200 and answer.json or nil
end

local function shows(run)
  local progress = run.progress
  return (progress.step == "choose" or progress.step == "pay") and progress
end

-- Whether the run has taken an order, or is over, or waits for a person about it.
local function has_taken(run, attempt)
  return run.state == "needs_attention" or run:has_ended() or (run.progress.attempt or 0) > attempt
end

-- Sends an order of the page as it is now, until it is answered; one that was taken already is not refused.
local function order(w, run, fields, within)
  local shown = w:passes(function() return shows(run) or run:has_ended() end, within or "1h")
  if not shown or shown == true then
    error(("%s takes no orders (%s): %s"):format(run.id, run.state, native.encode(run.progress)), 3)
  end
  local body, attempt = { attempt = shown.attempt }, shown.attempt
  for name, value in pairs(fields) do body[name] = value end
  local answer, uncertain
  for _ = 1, 100 do
    w:stand()
    answer = w:post(run.checkout_url, body)
    if answer and answer.status ~= 503 then break end
    uncertain = uncertain or not answer
    w:advance "200ms"
  end
  if not answer then error("no answer came to an order, a hundred times", 3) end
  local taken = answer.status == 202 or (uncertain and answer.status == 409)
  if not taken then error(("the page refuses (%d): %s"):format(answer.status, answer.body), 3) end
  w.customer[#w.customer + 1] = ("%s  orders %s"):format(w:now(), fields.way or fields.action)
  w:passes(function() return has_taken(run, attempt) end, within or "1h")
  return answer
end

---The customer chooses a way to pay on the checkout page: w:choose(run, "epin", { epin = world.epin }), w:choose(run,
---"paymint", { phone = "010-1234-5678" }). Returns when the run has taken the order.
---@param run mintage.world.Run
---@param way "mintro"|"paymnt"|"paymint"|"epin"
---@param fields? table what is to be said with it
function deeds:choose(run, way, fields)
  local body = { way = way }
  for name, value in pairs(fields or {}) do body[name] = value end
  return order(self, run, body)
end

---The customer gives the order up on the checkout page.
function deeds:give_up(run) return order(self, run, { action = "cancel" }) end

return { cards = cards, control = control, deeds = deeds }
