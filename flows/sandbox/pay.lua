-- The page a Mintro payment_url leads to: /pay/{token}. It shows the state of the intent, takes test cards,
-- plays the 3-D Secure challenge, and names the postMessage event that the parent window is to be told.

local cards = require "lib.cards"
local clock = require "lib.clock"
local intents = require "lib.mintro.intents"
local mintro = require "lib.mintro.provider"
local page = require "lib.checkout_page"
local store = require("lib.mintro.store").intents
local texts = require "lib.texts"

-- ---- what is shown ----

local function message(event, status, text, intent)
  return {
    event = event,
    message = text,
    intent_id = "pi_" .. intent.id,
    client_reference_id = intent.reference_id,
    status = status,
  }
end

-- The seed names this one by "type", its own listener looks at "event": both are there.
local function error_message(text) return { event = "error", type = "error", message = text } end

local function event_of(state, view)
  local intent = view.intent
  if view.failure == "authentication_abandoned" then return nil end
  if view.failure then
    return message("payment.failed", "failed", cards.messages[view.failure], intent)
  elseif view.errors then
    return error_message(texts.en.invalid_heading .. ".")
  elseif state == "ready" then
    return message("payment.started", nil, "Checkout opened.", intent)
  elseif state == "succeeded" then
    return message("payment.success", "succeeded", "Payment successful.", intent)
  elseif state == "cancelled" then
    return message("payment.canceled", "canceled", "Payment cancelled.", intent)
  end
  if state ~= "challenge" then return error_message(texts.en[state .. "_heading"]) end
end

-- Who may show the page in a frame: for the iframe integration, the origin that gets the messages; nobody
-- else.
local function framed_by(intent)
  if not intent or intent.integration_type ~= "iframe" then return "'none'" end
  return page.origin(intent.success_url) or intent.parent_origin or "'none'"
end

local function respond(req, state, status, more)
  local view = more or {}
  local locale = req.query.locale
  view.state = state
  view.path = req.path
  view.language = texts.language(req)
  view.action = req.path .. ((locale == "en" or locale == "ko") and "?locale=" .. locale or "")
  view.event = event_of(state, view)
  return { status = status, html = page.render(view), frame_ancestors = framed_by(view.intent) }
end

local function current_state(intent)
  if intent.status == "requires_payment" then return intent.challenge and "challenge" or "ready" end
  return intent.status
end

local function show(req, intent, status, more)
  more = more or {}
  more.intent = intent
  local state = current_state(intent)
  return respond(req, state, status or state == "expired" and 410 or 200, more)
end

-- ---- what is done ----

local function expiry_error(text)
  if not text:find "%S" then return "expiry_missing" end
  local month, year = text:match "^%s*(%d%d?)%s*[/%- ]%s*(%d+)%s*$"
  if not month then month, year = text:match "^%s*(%d%d)(%d+)%s*$" end
  month, year = tonumber(month), year and (#year == 2 and "20" .. year or #year == 4 and year)
  if not year or month < 1 or month > 12 then return "expiry_invalid" end
  local now = clock.text()
  if year .. string.format("%02d", month) < now:sub(1, 4) .. now:sub(6, 7) then return "expiry_past" end
end

local function number_error(text)
  local digits = text:gsub("[%s-]", "")
  if digits == "" then return "number_missing" end
  local plausible = digits:find "^%d+$" and #digits >= 12 and #digits <= 19
  if not plausible or not cards.luhn(digits) then return "number_invalid" end
  if not cards.find(digits) then return "not_a_test_card" end
end

local function cvc_error(text, number)
  if not text:find "%S" then return "cvc_missing" end
  local card = cards.find(number)
  local digits = text:match "^%s*(%d+)%s*$"
  if not digits or #digits ~= (card and card.brand == "amex" and 4 or 3) then return "cvc_invalid" end
end

-- What is wrong with the form, by field; nil when it is fine. Only the error codes leave this function.
local function form_errors(form)
  local number = form.card_number or ""
  local errors = {
    card_number = number_error(number),
    card_expiry = expiry_error(form.card_expiry or ""),
    card_cvc = cvc_error(form.card_cvc or "", number),
    card_name = not (form.card_name or ""):find "%S" and "name_missing" or nil,
  }
  return next(errors) and errors or nil
end

local actions = {}

function actions.pay(req, intent, form, call)
  local typed = { card_name = form.card_name and form.card_name:sub(1, 100) }
  local errors = form_errors(form)
  if errors then return show(req, intent, 422, { errors = errors, typed = typed }) end
  local outcome, result = intents.pay(intent, cards.find(form.card_number), call.own_fault)
  if outcome ~= "failed" then return show(req, intent) end
  return show(req, intent, 402, { failure = result, typed = typed })
end

function actions.cancel(req, intent, _, call)
  intents.cancel(intent, "customer", call.own_fault)
  return show(req, intent)
end

local function answer_challenge(action)
  return function(req, intent, _, call)
    if not intent.challenge then return show(req, intent, 409) end
    local outcome, result = intents.challenge(intent, action, call.own_fault)
    if outcome == "succeeded" then return show(req, intent) end
    return show(req, intent, outcome == "failed" and 402 or 200, { failure = result })
  end
end

for _, action in ipairs { "complete", "fail", "abandon" } do actions[action] = answer_challenge(action) end

-- ---- routes ----

local function page_route(method, operation, handler)
  mintro:route(method, "/pay/{token}", operation, function(req, call)
    local intent = intents.by_token(req.params.token)
    if not intent then return respond(req, "not_found", 404) end
    call.reference = intent.reference_id
    return handler(req, intent, call)
  end, function(_, req) return respond(req, "down", 503) end)
end

page_route("get", "checkout.view", function(req, intent)
  -- Without a success_url the first embedding page, as the Referer names it, is the parent from then on.
  local parent = page.origin(req.headers.referer)
  local iframe = intent.integration_type == "iframe" and not intent.success_url
  if iframe and parent and not intent.parent_origin and parent ~= "http://" .. req.host then
    intent.parent_origin = parent
    store:update(intent.id, { parent_origin = parent })
  end
  return show(req, intent)
end)

page_route("post", "checkout.submit", function(req, intent, call)
  local form = req.form()
  if intent.status ~= "requires_payment" then return show(req, intent, 409) end
  -- A form serves one attempt: a double click, or a form that was left open elsewhere, charges nothing.
  if form.attempt and form.attempt ~= tostring(intent.attempts) then
    return show(req, intent, 409, { failure = intent.last_failure })
  end
  local action = actions[form.action] or actions.pay
  return action(req, intent, form, call)
end)
