-- The pages behind Paymint's shortURLs, /pay/{token}: a bill that a payer pays with a test card or a pay app,
-- and AutoPay's page that takes a card. Plain forms; each answer is a whole page.

local bills = require "lib.paymint.bills"
local card_form = require "lib.card_form"
local cards = require "lib.cards"
local hosted = require "lib.hosted"
local html = require "lib.html"
local money = require "mintage.money"
local payers = require "lib.paymint.payers"
local paymint = require "lib.paymint.provider"
local texts = require "lib.paymint.texts"

local fill = html.fill

-- ---- the parts of a page ----

local frame = [[
<!doctype html>
<html lang="{{language}}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{{title}} · TEST</title>
<link rel="icon" href="/assets/pay/icon.svg">
<link rel="stylesheet" href="/assets/pay/pay.css">
</head>
<body>
<p class="test"><strong>TEST</strong> {{test}}</p>
<div class="page{{alone}}">
{{{order}}}
<main id="main" data-state="{{state}}">
{{{body}}}
</main>
</div>
<footer>{{{languages}}}</footer>
</body>
</html>
]]

local function links(c)
  local out = {}
  for i, language in ipairs(texts.languages) do
    out[i] = fill('<a href="{{path}}?locale={{language}}" lang="{{language}}"{{{now}}}>{{name}}</a>', {
      path = c.path, language = language, name = texts.say(language, "language"),
      now = language == c.language and ' aria-current="true"' or "",
    })
  end
  return table.concat(out, " ")
end

-- state: its name; title, order and body: what it shows.
local function respond(c, status, state, title, body, order)
  return {
    status = status,
    html = fill(frame, {
      language = c.language,
      title = title,
      test = c.say "test",
      alone = order and "" or " alone",
      order = order or "",
      state = state,
      body = body,
      languages = links(c),
    }),
  }
end

local function field(c, errors, name, attributes, value, half)
  local wrong = errors[name] and c.say(errors[name], { digits = "3–4" })
  return fill([[
<div class="field{{half}}">
<label for="{{name}}">{{label}}</label>
<div class="box"><input id="{{name}}" name="{{name}}" type="text" {{{attributes}}} value="{{value}}" required
 aria-describedby="{{name}}-error"{{{invalid}}}></div>
<span class="error" id="{{name}}-error" aria-live="polite">{{wrong}}</span>
</div>]], {
    name = name,
    label = c.say(name),
    attributes = attributes,
    value = value or "",
    half = half and " half" or "",
    wrong = wrong or "",
    invalid = wrong and ' aria-invalid="true"' or "",
  })
end

local DIGITS = 'inputmode="numeric" spellcheck="false" autocomplete='

local function card_fields(c, errors, name)
  return table.concat {
    field(c, errors, "card_number", DIGITS .. '"cc-number" maxlength="26"'),
    field(c, errors, "card_expiry", DIGITS .. '"cc-exp" maxlength="9" placeholder="MM / YY"', nil, true),
    field(c, errors, "card_cvc", DIGITS .. '"cc-csc" maxlength="4"', nil, true),
    field(c, errors, "card_name", 'autocomplete="cc-name" maxlength="100" spellcheck="false"', name),
  }
end

local field_order = { "card_number", "card_expiry", "card_cvc", "card_name" }

local function error_box(c, failure, errors)
  local inside = ""
  if failure then
    inside = fill("<h2>{{heading}}</h2><p>{{why}}</p>", {
      heading = c.say "error_heading", why = c.say(failure),
    })
  elseif next(errors) then
    local items = {}
    for _, name in ipairs(field_order) do
      if errors[name] then
        items[#items + 1] = fill('<li><a href="#{{name}}">{{text}}</a></li>', {
          name = name, text = c.say(errors[name], { digits = "3–4" }),
        })
      end
    end
    inside = fill("<h2>{{heading}}</h2><ul>{{{items}}}</ul>", {
      heading = c.say "invalid_heading", items = table.concat(items),
    })
  end
  return '<div id="errors" class="errors" role="alert" tabindex="-1">' .. inside .. "</div>"
end

local function test_cards(c)
  local rows = {}
  for _, card in ipairs(cards.list) do
    rows[#rows + 1] = fill('<li><code>{{number}}</code><span lang="en">{{what}}</span></li>', {
      number = cards.spaced(card.number), what = cards.describe(card),
    })
  end
  return fill([[
<details class="cards"><summary>{{heading}}</summary><ul class="plain">{{{rows}}}</ul></details>]], {
    heading = c.say "test_cards", rows = table.concat(rows),
  })
end

-- The card form, and other buttons below it: { {action, text, hint?}, ... }. A form serves one attempt.
local function form(c, subject, options)
  local buttons = {}
  for i, button in ipairs(options.buttons) do
    buttons[i] = fill([[
<form method="post" action="{{path}}"><input type="hidden" name="attempt" value="{{attempt}}">
<button class="{{class}}" name="action" value="{{action}}">{{text}}</button></form>]], {
      path = c.action, attempt = subject.attempts, action = button[1], text = button[2],
      class = button[3] or "link",
    })
  end
  local errors = options.errors or {}
  return fill([[
<h1>{{heading}}</h1>
{{{box}}}
<form method="post" action="{{path}}" id="card-form" novalidate>
<input type="hidden" name="attempt" value="{{attempt}}">
<div class="fields">{{{fields}}}</div>
<button class="primary" name="action" value="card"><span>{{submit}}</span></button>
</form>
{{{buttons}}}
{{{cards}}}]], {
    heading = options.heading,
    box = error_box(c, options.failure, errors),
    path = c.action,
    attempt = subject.attempts,
    fields = card_fields(c, errors, options.name),
    submit = options.submit,
    buttons = table.concat(buttons, "\n"),
    cards = test_cards(c),
  })
end

local function challenge(c, subject)
  return fill([[
<h1>{{heading}}</h1>
<div class="bank"><p>{{says}}</p>
<form method="post" action="{{path}}">
<input type="hidden" name="attempt" value="{{attempt}}">
<button class="primary" name="action" value="complete"><span>{{complete}}</span></button>
<button class="secondary" name="action" value="fail">{{fail}}</button>
</form></div>]], {
    heading = c.say "challenge_heading",
    says = c.say("challenge_says", { last4 = subject.challenge.last4 }),
    path = c.action,
    attempt = subject.attempts,
    complete = c.say "complete",
    fail = c.say "fail",
  })
end

local function ended(mark, class, heading, says)
  return fill([[
<div class="ended {{class}}"><span class="mark" aria-hidden="true">{{mark}}</span>
<h1>{{heading}}</h1><p>{{says}}</p></div>]], { mark = mark, class = class, heading = heading, says = says })
end

-- A page that something is wrong on says so in its title.
local function title(c, more, text)
  return (more.errors or more.failure) and c.say "error_prefix" .. text or text
end

local function context(req)
  local language = texts.language(req)
  local chosen = req.query.locale == "en" or req.query.locale == "ko"
  local c = { language = language, path = req.path }
  c.action = req.path .. (chosen and "?locale=" .. language or "")
  function c.say(name, values) return texts.say(language, name, values) end
  return c
end

-- ---- bills ----

-- As it is written in Korea, "50,000원", and elsewhere.
local function price_of(c, bill)
  local text = money(bill.price, "KRW"):format(c.language)
  return c.language == "ko" and text:gsub("[^%d,]", "") .. "원" or text
end

local function facts(rows)
  for i, row in ipairs(rows) do
    rows[i] = fill('<div class="line"><dt>{{label}}</dt><dd>{{value}}</dd></div>', {
      label = row[1], value = row[2],
    })
  end
  return #rows > 0 and "<dl>" .. table.concat(rows) .. "</dl>" or ""
end

local function day_of(text)
  local year, month, day = text:match "^(%d+)-0?(%d+)-0?(%d+)$"
  return { iso = text, year = year, month = month, day = day }
end

local function order_of(c, bill)
  return fill([[
<section class="order" aria-labelledby="order-heading">
<h2 id="order-heading">{{heading}}</h2>
<p class="due"><span>{{product}}</span><strong>{{price}}</strong></p>
<p>{{message}}</p>
{{{facts}}}
</section>]], {
    heading = c.say "bill",
    product = bill.product_nm,
    price = price_of(c, bill),
    message = bill.message or "",
    facts = facts {
      { c.say "to", c.say("to_whom", { name = bill.member_nm }) },
      bill.expire_dt and { c.say "until_day", c.say("day", day_of(bill.expire_dt)) } or nil,
    },
  })
end

local function show_bill(req, bill, status, more)
  local c = context(req)
  local amount = price_of(c, bill)
  local order = order_of(c, bill)
  more = more or {}
  if bill.state == "F" then
    local says = c.say("paid_says", { amount = amount, product = bill.product_nm })
    return respond(c, status or 200, "succeeded", c.say "paid_title",
      ended("✓", "succeeded", c.say "succeeded_heading", says), order)
  elseif bill.state == "C" then
    return respond(c, status or 200, "cancelled", c.say "cancelled_title",
      ended("×", "cancelled", c.say "cancelled_heading", c.say("cancelled_says", { amount = amount })), order)
  elseif bill.state == "D" then
    return respond(c, status or 410, "destroyed", c.say "destroyed_title",
      ended("×", "cancelled", c.say "destroyed_heading", c.say "destroyed_says"))
  elseif bill.expired then
    return respond(c, status or 410, "expired", c.say "expired_title",
      ended("!", "expired", c.say "expired_heading", c.say "expired_says"))
  elseif bill.challenge then
    return respond(c, status or 200, "challenge", c.say "challenge_title", challenge(c, bill), order)
  end
  local pay = c.say("pay", { amount = amount })
  local heading = title(c, more, c.say("pay_title", { amount = amount }))
  return respond(c, status or 200, "ready", heading, form(c, bill, {
    heading = c.say "by_card",
    errors = more.errors,
    failure = more.failure,
    name = bill.member_nm,
    submit = pay,
    buttons = { { "app", c.say "by_app", "secondary" }, { "fail", c.say "decline" } },
  }), order)
end

-- What became of an attempt, as a page: 402 when it was declined.
local function attempted(show, req, subject, outcome, failure)
  if outcome == "failed" then return show(req, subject, 402, { failure = failure }) end
  return show(req, subject)
end

local function submit_bill(req, bill, call)
  local typed = req.form()
  if bill.state ~= "W" or bill.expired then return show_bill(req, bill, 409) end
  if typed.attempt and typed.attempt ~= tostring(bill.attempts) then
    return show_bill(req, bill, 409, { failure = bill.last_failure })
  end
  local own = call.own_fault
  if bill.challenge then
    return attempted(show_bill, req, bill, bills.challenge(bill, typed.action == "complete", own))
  elseif typed.action == "app" then
    return attempted(show_bill, req, bill, bills.pay_by_app(bill, own))
  elseif typed.action == "fail" then
    return attempted(show_bill, req, bill, bills.refuse(bill))
  end
  local errors = card_form.errors(typed)
  if errors then return show_bill(req, bill, 422, { errors = errors }) end
  return attempted(show_bill, req, bill, bills.pay(bill, payers.card(cards.find(typed.card_number)), own))
end

-- ---- AutoPay ----

local function show_payer(req, payer, status, more)
  local c = context(req)
  local newest = payers.methods(payer)[1]
  more = more or {}
  if not payer.wanted and newest and not more.left then
    return respond(c, status or 200, "succeeded", c.say "registered_title",
      ended("✓", "succeeded", c.say "registered_title", c.say("registered_says", newest.card)))
  elseif not payer.wanted then
    return respond(c, status or 200, "cancelled", c.say "left_title",
      ended("×", "cancelled", c.say "left_heading", c.say "left_says"))
  elseif payer.challenge then
    return respond(c, status or 200, "challenge", c.say "challenge_title", challenge(c, payer))
  end
  local order = fill([[
<section class="order" aria-labelledby="order-heading"><h2 id="order-heading">{{heading}}</h2>
<p>{{says}}</p>{{{facts}}}</section>]], {
    heading = c.say "autopay",
    says = c.say "autopay_says",
    facts = facts {
      { c.say "payer", c.say("to_whom", { name = payer.member_nm }) },
      newest and { c.say "now", c.say("card", newest.card) } or nil,
    },
  })
  return respond(c, status or 200, "ready", title(c, more, c.say(payer.wanted .. "_title")), form(c, payer, {
    heading = c.say(payer.wanted .. "_title"),
    errors = more.errors,
    failure = more.failure,
    name = payer.member_nm,
    submit = c.say(payer.wanted),
    buttons = { { "leave", c.say "leave" } },
  }), order)
end

local function submit_payer(req, payer)
  local typed = req.form()
  if not payer.wanted then return show_payer(req, payer, 409) end
  if typed.attempt and typed.attempt ~= tostring(payer.attempts) then
    return show_payer(req, payer, 409, { failure = payer.last_failure })
  end
  if payer.challenge then
    return attempted(show_payer, req, payer, payers.challenge(payer, typed.action == "complete"))
  elseif typed.action == "leave" then
    payers.leave(payer)
    return show_payer(req, payer, nil, { left = true })
  end
  local errors = card_form.errors(typed)
  if errors then return show_payer(req, payer, 422, { errors = errors }) end
  return attempted(show_payer, req, payer, payers.enter(payer, payers.card(cards.find(typed.card_number))))
end

-- ---- the pages ----

local function down(_, req)
  local c = context(req)
  local body = ended("!", "down", c.say "down_heading", c.say "down_says")
  return respond(c, 503, "down", c.say "down_title", body)
end

local function page_of(operation, bill_handler, payer_handler)
  return function(req)
    return paymint:serve(operation, req, function(_, call)
      local bill = bills.by_token(req.params.token)
      local payer = not bill and payers.by_token(req.params.token) or nil
      call.reference = bill and bill.id or payer.id
      if bill then return bill_handler(req, bill, call) end
      return payer_handler(req, payer, call)
    end, down)
  end
end

hosted.add {
  knows = function(token) return (bills.by_token(token) or payers.by_token(token)) ~= nil end,
  get = page_of("page.view", function(req, bill) return show_bill(req, bill) end,
    function(req, payer) return show_payer(req, payer) end),
  post = page_of("page.submit", submit_bill, submit_payer),
}
