-- The page a Mintro payment_url leads to, /pay/{token}. It shows the state of the intent, takes test cards,
-- plays the 3-D Secure challenge, and names the postMessage event that the parent window is to be told.

local card_form = require "lib.card_form"
local cards = require "lib.cards"
local hosted = require "lib.hosted"
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

local actions = {}

function actions.pay(req, intent, form, call)
  local typed = { card_name = form.card_name and form.card_name:sub(1, 100) }
  local errors = card_form.errors(form)
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

-- ---- the pages ----

local function by_token(req) return intents.by_token(req.params.token) end

-- A page of one intent, told to the journal; there is a page for no intent too.
local function page_of(operation, handler)
  return function(req)
    return mintro:serve(operation, req, function(_, call)
      local intent = by_token(req)
      if not intent then return respond(req, "not_found", 404) end
      call.reference = intent.reference_id
      return handler(req, intent, call)
    end, function() return respond(req, "down", 503) end)
  end
end

local view = page_of("checkout.view", function(req, intent)
  -- Without a success_url the first embedding page, as the Referer names it, is the parent from then on.
  local parent = page.origin(req.headers.referer)
  local iframe = intent.integration_type == "iframe" and not intent.success_url
  if iframe and parent and not intent.parent_origin and parent ~= "http://" .. req.host then
    intent.parent_origin = parent
    store:update(intent.id, { parent_origin = parent })
  end
  return show(req, intent)
end)

local submit = page_of("checkout.submit", function(req, intent, call)
  local form = req.form()
  if intent.status ~= "requires_payment" then return show(req, intent, 409) end
  -- A form serves one attempt: a double click, or a form that was left open elsewhere, charges nothing.
  if form.attempt and form.attempt ~= tostring(intent.attempts) then
    return show(req, intent, 409, { failure = intent.last_failure })
  end
  local action = actions[form.action] or actions.pay
  return action(req, intent, form, call)
end)

hosted.fallback { get = view, post = submit }
