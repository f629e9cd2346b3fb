-- Mintro as one of the sandbox's providers: the shapes of its refusals, and what the control API may ask of
-- it.

local cards = require "lib.cards"
local intents = require "lib.mintro.intents"
local json = require "mintage.json"
local provider = require "lib.provider"
local subscriptions = require "lib.mintro.subscriptions"

-- The members' order in the document's samples.
local REFUSED = { "success", "message", "data" }
local INVALID = { "message", "errors", "email", "amount" }

local function fail(status, message)
  return {
    status = status,
    json = { success = false, message = message, data = json.array {} },
    order = REFUSED,
  }
end

local function invalid(errors)
  return {
    status = 422,
    json = { message = "The given data was invalid.", errors = errors },
    order = INVALID,
  }
end

local texts = {
  [400] = "The request was unacceptable.",
  [401] = "Invalid API Key provided.",
  [403] = "The API key doesn't have permissions to perform the request.",
  [404] = "The requested resource doesn't exist.",
  [405] = "The method is not supported for this route.",
  [408] = "Request Timeout",
  [409] = "The first request with this Idempotency-Key is still under way.",
  [413] = "Content Too Large",
  [429] = "Too Many Attempts.",
  [500] = "Something went wrong on our end.",
  [502] = "Bad Gateway",
  [503] = "Service Unavailable",
  [504] = "Gateway Timeout",
}

-- What "error=CODE" answers: the documented statuses, each in its documented shape.
local function fault(code)
  local status = math.tointeger(tonumber(code)) or 500
  if status == 422 then return invalid { amount = { "The amount must be at least 1." } } end
  local response = fail(texts[status] and status or 500, texts[status] or texts[500])
  if status == 409 or status == 429 or status == 503 then response.headers = { ["Retry-After"] = "1" } end
  return response
end

-- What a customer does on the page, for POST /_sandbox/pay. Answers an HTTP status and a body.
local function pay(id, request, call)
  local intent = type(id) == "string" and intents.find(id:lower():gsub("^pi_", ""))
  if not intent then return 404, "there is no such intent" end
  call.reference = intent.reference_id
  -- late: a payment that was under way at the card's bank when the intent was closed
  local late = request.late == true and (intent.status == "expired" or intent.status == "cancelled")
  if intent.status ~= "requires_payment" and not late then return 409, "the intent is " .. intent.status end

  local status
  if request.action == "cancel" then
    status = intents.cancel(intent, "customer").status
  elseif request.card ~= nil then
    local card = cards.find(request.card)
    if not card then return 422, "not a test card" end
    status = intents.pay(intent, card, call.own_fault)
  elseif intent.challenge then
    status = intents.challenge(intent, request.action == "fail" and "fail" or "complete", call.own_fault)
  elseif request.action == "fail" then
    status = intents.refuse(intent, call.own_fault)
  else
    return 422, 'say which "card" pays, or an "action": cancel or fail'
  end
  return 200, { status = status }
end

return provider.define {
  name = "mintro",
  webhooks = true,
  texts = texts,
  fail = fail,
  invalid = invalid,
  fault = fault,
  payable = { field = "intent_id", pay = pay },
  state = function(page, req)
    return { intents = intents.list(page, req), subscriptions = subscriptions.list(page) }
  end,
}
