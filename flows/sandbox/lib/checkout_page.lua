-- The hosted checkout page's HTML: a frame with the order beside a <main> that shows the state the payment
-- is in. Everything works as plain forms; /assets/pay/pay.js swaps <main> in place and posts the messages
-- to the parent.

local cards = require "lib.cards"
local decimal = require "lib.decimal"
local html = require "lib.html"
local json = require "mintage.json"
local money = require "mintage.money"
local texts = require "lib.texts"

local page = {}

local escape, fill = html.escape, html.fill

-- "80.00", "USD", "en" -> "$80.00"; won and yen lose the zeros that Mintro writes.
local function from_hundredths(hundredths, currency, language)
  for _, text in ipairs { decimal.text(hundredths), tostring(hundredths // 100) } do
    local ok, value = pcall(money, text .. " " .. currency)
    if ok and (hundredths % 100 == 0 or text:find(".", 1, true)) then return value:format(language) end
  end
  return decimal.text(hundredths) .. " " .. currency
end

-- An amount as the intent counts it: minor units of the currency, or Mintro's hundredths.
local function amount_of(intent, amount, language)
  if intent.minor_units then return money(amount, intent.currency):format(language) end
  return from_hundredths(amount, intent.currency, language)
end

function page.origin(url) return url and url:match "^https?://[^/?#]+" end

-- What a customer calls the site of a URL: its host, but for sites that are still being made.
local function site(url, language)
  local host = url and url:match "^https?://([^/?#]+)"
  if not host or host:find "^localhost" or host:find "^127%." then return texts[language].test_shop end
  return host
end

-- What every part of the page needs: language, say() and the values that texts name.
local function context(view)
  local intent = view.intent
  local c = { language = view.language, intent = intent }
  c.values = {}
  if intent then
    c.values.amount = amount_of(intent, intent.amount, view.language)
    c.values.merchant = site(intent.success_url, view.language)
    c.values.days = intent.interval_days
    c.values.email = intent.email
    local card = intent.challenge or intent.card
    c.values.last4 = card and card.last4
  end
  function c.say(name, more)
    return texts.say(c.language, name, more and setmetatable(more, { __index = c.values }) or c.values)
  end
  return c
end

-- ---- the order ----

local function line(label, value, class)
  return fill('<div class="{{class}}"><dt>{{label}}</dt><dd>{{value}}</dd></div>', {
    class = class or "line", label = label, value = value,
  })
end

local function order_of(c)
  local intent = c.intent
  local function amount(count) return amount_of(intent, count, c.language) end

  local items, subtotal = {}, 0
  for i, item in ipairs(intent.order_items) do
    subtotal = subtotal + item.price * item.quantity
    items[i] = fill('<li><span>{{name}}<small>{{each}}</small></span><span>{{sum}}</span></li>', {
      name = item.name,
      each = c.say("each", { quantity = item.quantity, price = amount(item.price) }),
      sum = amount(item.price * item.quantity),
    })
  end

  -- Mintro does not insist that an order adds up, so the page shows what is missing instead of hiding it.
  local other = intent.amount - (subtotal + intent.tax - intent.discount)
  local lines = { line(c.say "subtotal", amount(subtotal)) }
  if intent.tax ~= 0 then lines[#lines + 1] = line(c.say "tax", amount(intent.tax)) end
  if intent.discount ~= 0 then lines[#lines + 1] = line(c.say "discount", "−" .. amount(intent.discount)) end
  if other ~= 0 then
    lines[#lines + 1] = line(c.say "adjustment", (other < 0 and "−" or "") .. amount(math.abs(other)))
  end
  lines[#lines + 1] = line(c.say "total", c.values.amount .. " " .. intent.currency, "line total")

  local recurring = ""
  if intent.type == "recurring" then
    local name = intent.interval_days == 1 and "recurring_daily" or "recurring"
    recurring = '<p class="recurring">' .. escape(c.say(name)) .. "</p>"
  end

  return fill([[
<section class="order" aria-labelledby="order-heading">
<h2 id="order-heading">{{heading}}</h2>
<p class="due"><span>{{merchant}}</span><strong>{{amount}}</strong></p>
{{{recurring}}}
<details{{{open}}}><summary>{{items_label}}</summary><ul>{{{items}}}</ul></details>
<dl>{{{lines}}}</dl>
{{{receipt}}}
</section>]], {
    heading = c.say "order",
    merchant = c.values.merchant,
    amount = c.values.amount,
    recurring = recurring,
    open = #items <= 3 and " open" or "",
    items_label = c.say("items", { count = #items }),
    items = table.concat(items),
    lines = table.concat(lines),
    receipt = intent.email and '<p class="quiet">' .. escape(c.say "receipt") .. "</p>" or "",
  })
end

-- ---- the states ----

local function field(c, errors, name, attributes, values)
  local wrong = errors[name]
  return fill([[
<div class="field{{wide}}">
<label for="{{name}}">{{label}}</label>
<div class="box"><input id="{{name}}" name="{{name}}" {{{attributes}}} value="{{value}}" required
 aria-describedby="{{name}}-hint {{name}}-error"{{{invalid}}}>{{{badge}}}</div>
<span class="hint" id="{{name}}-hint">{{hint}}</span>
<span class="error" id="{{name}}-error" aria-live="polite">{{wrong}}</span>
</div>]], {
    name = name,
    label = c.say(name),
    attributes = attributes,
    value = values.value or "",
    wide = values.half and " half" or "",
    hint = values.hint and c.say(values.hint) or "",
    badge = values.badge and '<span class="badge" id="brand" aria-hidden="true"></span>' or "",
    wrong = wrong and c.say(wrong, { digits = "3–4" }) or "",
    invalid = wrong and ' aria-invalid="true"' or "",
  })
end

local shown_cards = {
  "4242424242424242", "4000000000000002", "4000000000009995", "4000000000003220", "4000008400001629",
  "4000000000000341",
}

local function card_list(c)
  local rows = {}
  for i, number in ipairs(shown_cards) do
    rows[i] = fill('<li><button type="button" data-card="{{spaced}}">{{use}}</button>'
      .. '<code>{{spaced}}</code><span lang="en">{{what}}</span></li>', {
      spaced = cards.spaced(number), use = c.say "use", what = cards.describe(cards.find(number)),
    })
  end
  return fill('<details class="cards"><summary>{{heading}}</summary><ul>{{{rows}}}</ul></details>', {
    heading = c.say "test_cards", rows = table.concat(rows),
  })
end

local field_order = { "card_number", "card_expiry", "card_cvc", "card_name" }

local function error_box(c, view, errors)
  local items = {}
  for _, name in ipairs(field_order) do
    if errors[name] then
      items[#items + 1] = fill('<li><a href="#{{name}}">{{text}}</a></li>', {
        name = name, text = c.say(errors[name], { digits = "3–4" }),
      })
    end
  end
  local inside = ""
  if view.failure then
    inside = "<h2>" .. escape(c.say "error_heading") .. "</h2><p>" .. escape(c.say(view.failure)) .. "</p>"
  elseif #items > 0 then
    inside = "<h2>" .. escape(c.say "invalid_heading") .. "</h2><ul>" .. table.concat(items) .. "</ul>"
  end
  return '<div id="errors" class="errors" role="alert" tabindex="-1">' .. inside .. "</div>"
end

local states = {}

function states.ready(c, view)
  local errors = view.errors or {}
  local typed = view.typed or {}
  local button = c.intent.type == "recurring" and "subscribe" or "pay"
  return {
    title = c.say "pay_title",
    error = view.failure ~= nil or next(errors) ~= nil,
    body = fill([[
<h1>{{heading}}</h1>
{{{errors}}}
<form method="post" action="{{action}}" id="card-form" novalidate autocomplete="on">
<h2 class="hidden">{{card_heading}}</h2>
<input type="hidden" name="attempt" value="{{attempt}}">
<div class="fields">{{{fields}}}</div>
<button class="primary" name="action" value="pay"><span>{{pay}}</span></button>
</form>
<form method="post" action="{{action}}" id="cancel-form">
<button class="link" name="action" value="cancel">{{cancel}}</button>
</form>
{{{cards}}}]], {
      heading = c.say "pay_to",
      errors = error_box(c, view, errors),
      action = view.action,
      attempt = c.intent.attempts,
      card_heading = c.say "card_heading",
      fields = table.concat {
        field(c, errors, "card_number",
          'type="text" inputmode="numeric" autocomplete="cc-number" maxlength="26" spellcheck="false"'
            .. ' placeholder="1234 1234 1234 1234"', { badge = true }),
        field(c, errors, "card_expiry",
          'type="text" inputmode="numeric" autocomplete="cc-exp" maxlength="9" spellcheck="false"',
          { half = true, hint = "card_expiry_hint" }),
        field(c, errors, "card_cvc",
          'type="text" inputmode="numeric" autocomplete="cc-csc" maxlength="4" spellcheck="false"',
          { half = true, hint = "card_cvc_hint" }),
        field(c, errors, "card_name", 'type="text" autocomplete="cc-name" maxlength="100" spellcheck="false"',
          { value = typed.card_name or c.intent.name or "" }),
      },
      pay = c.say(button),
      cancel = c.say "cancel",
      cards = card_list(c),
    }),
  }
end

function states.challenge(c, view)
  return {
    title = c.say "challenge_title",
    body = fill([[
<h1 tabindex="-1">{{heading}}</h1>
<div class="bank"><p>{{says}}</p>
<form method="post" action="{{action}}">
<input type="hidden" name="attempt" value="{{attempt}}">
<button class="primary" name="action" value="complete"><span>{{complete}}</span></button>
<button class="secondary" name="action" value="fail">{{fail}}</button>
{{{abandon}}}
</form></div>]], {
      heading = c.say "challenge_heading",
      says = c.say "challenge_says",
      action = view.action,
      attempt = c.intent.attempts,
      complete = c.say "complete",
      fail = c.say "fail",
      abandon = c.intent.final_challenge and "" or fill(
        '<button class="link" name="action" value="abandon">{{says}}</button>', { says = c.say "abandon" }
      ),
    }),
  }
end

local function way_back(c, url)
  return fill('<p class="quiet">{{returning}}</p><p><a class="button" href="{{url}}">{{where}}</a></p>', {
    returning = c.say("returning", { host = site(url, c.language) }),
    url = url,
    where = c.say("go_back", { host = site(url, c.language) }),
  })
end

local function ended(c, name, mark, back)
  return {
    title = c.say(name .. "_title"),
    back = back,
    body = fill([[
<div class="ended {{name}}"><span class="mark" aria-hidden="true">{{mark}}</span>
<h1 tabindex="-1">{{heading}}</h1>
<p>{{says}}</p>{{{more}}}</div>]], {
      name = name,
      mark = mark,
      heading = c.say(name .. "_heading"),
      says = c.say(name .. "_says"),
      more = back and way_back(c, back) or "",
    }),
  }
end

function states.succeeded(c)
  local intent = c.intent
  local out = ended(c, "succeeded", "✓", intent.integration_type == "url" and intent.success_url or nil)
  if intent.type == "recurring" then
    out.body = out.body .. '<p class="quiet centred">' .. escape(c.say "recurring_says") .. "</p>"
  end
  return out
end

function states.cancelled(c)
  local intent = c.intent
  return ended(c, "cancelled", "×", intent.integration_type == "url" and intent.cancel_url or nil)
end

function states.failed(c)
  local intent = c.intent
  return ended(c, "failed", "!", intent.integration_type == "url" and intent.cancel_url or nil)
end

function states.expired(c) return ended(c, "expired", "!") end
function states.not_found(c) return ended(c, "not_found", "?") end

function states.down(c, view)
  local out = ended(c, "down", "!")
  out.body = out.body .. fill('<p class="centred"><a class="button" href="{{action}}">{{again}}</a></p>', {
    action = view.action, again = c.say "try_again",
  })
  return out
end

-- ---- the frame ----

local script_texts = {
  "number_missing", "number_invalid", "expiry_missing", "expiry_invalid", "cvc_missing", "cvc_invalid",
  "name_missing", "invalid_heading", "error_heading", "network", "processing", "error_prefix",
}

local function for_script(language)
  local out = {}
  for _, name in ipairs(script_texts) do out[name] = texts[language][name] end
  return html.data(json.encode(out))
end

local frame = [[
<!doctype html>
<html lang="{{language}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{{title}}</title>
<link rel="icon" href="/assets/pay/icon.svg">
<link rel="stylesheet" href="/assets/pay/pay.css">
{{{refresh}}}<script src="/assets/pay/pay.js" defer></script>
</head>
<body>
<p class="test"><strong>TEST</strong> {{test}}</p>
<div class="page{{alone}}">
{{{order}}}
<main id="main" data-state="{{state}}" data-title="{{title}}" data-event="{{event}}" data-target="{{target}}"
 data-back="{{back}}">
{{{body}}}
</main>
</div>
<footer>{{{languages}}}</footer>
<script type="application/json" id="texts">{{{texts}}}</script>
</body>
</html>
]]

local function language_links(c, view)
  local links = {}
  for i, language in ipairs(texts.languages) do
    links[i] = fill('<a href="{{path}}?locale={{language}}" lang="{{language}}"{{{now}}}>{{name}}</a>', {
      path = view.path, language = language, name = texts[language].language,
      now = language == c.language and ' aria-current="true"' or "",
    })
  end
  return table.concat(links, " ")
end

-- view: state, language, path, action, intent?, errors?, failure?, typed?, event? (the message for the
-- parent window). Answers the HTML of the whole page.
function page.render(view)
  local c = context(view)
  local shown = states[view.state](c, view)
  local title = (shown.error and c.say "error_prefix" or "") .. shown.title .. " · TEST"
  local refresh = ""
  if shown.back then
    refresh = fill('<noscript><meta http-equiv="refresh" content="3;url={{back}}"></noscript>\n', shown)
  end
  return fill(frame, {
    language = c.language,
    title = title,
    refresh = refresh,
    test = c.say "test",
    alone = view.intent and "" or " alone",
    order = view.intent and order_of(c) or "",
    state = view.state,
    event = view.event and json.encode(view.event) or "",
    target = view.intent and page.origin(view.intent.success_url) or "",
    back = shown.back or "",
    body = shown.body,
    languages = language_links(c, view),
    texts = for_script(c.language),
  })
end

return page
