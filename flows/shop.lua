-- A small shop to try the checkout with: GET /shop shows it, POST /shop/orders starts the run to be paid.

local crypto = require "mintage.crypto"
local flow = require "mintage.flow"
local money = require "mintage.money"
local paymint = require "checkout.paymint"
local web = require "mintage.web"

local products = {
  { id = "beans", name = "Coffee beans, 250 g", USD = money "12.50 USD", KRW = money "17000 KRW" },
  { id = "filter", name = "Hand filter", USD = money "24.00 USD", KRW = money "33000 KRW" },
  { id = "grinder", name = "Burr grinder", USD = money "89.00 USD", KRW = money "122000 KRW" },
}

-- The price lists. Paymint sends its bills in won; the ePIN is one that the sandbox has from the beginning.
local lists = {
  USD = {
    name = "US dollars",
    hint = "To try: card 4242 4242 4242 4242, or ePIN 1111 1111 1111 1111, which holds $10.12.",
  },
  KRW = {
    name = "Korean won",
    hint = "To try: card 4242 4242 4242 4242, or a bill to the phone 010-1234-5678, which opens here too.",
  },
}
local function list_of(form) return lists[form.currency] and form.currency or "USD" end

-- What was ordered, and what it costs; nothing when no quantity is a number from 1 to 99.
local function basket(form)
  local list = list_of(form)
  local items, total = {}, money.zero(list)
  for _, product in ipairs(products) do
    local quantity = math.tointeger(tonumber(form[product.id])) or 0
    if quantity >= 1 and quantity <= 99 then
      table.insert(items, { name = product.name, quantity = quantity, price = product[list] })
      total = total + product[list] * quantity
    end
  end
  return items, total
end

local function escape(text)
  return (text:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

local function fill(html, values) return (html:gsub("$(%w+)", values)) end

local function rows_of(form, list)
  local rows = {}
  for i, product in ipairs(products) do
    rows[i] = fill([[<div class="product"><label for="$id">$name<span>$price</span></label>
      <input id="$id" name="$id" type="number" min="0" max="99" value="$quantity"></div>]], {
      id = product.id,
      name = product.name,
      price = product[list]:format "en",
      quantity = escape(form[product.id] or (i == 1 and "1" or "0")),
    })
  end
  return table.concat(rows)
end

local function links_of(list)
  local links = {}
  for i, currency in ipairs { "USD", "KRW" } do
    local current = currency == list and ' aria-current="true"' or ""
    links[i] = ('<a href="/shop?currency=%s"%s>%s</a>'):format(currency, current, lists[currency].name)
  end
  return table.concat(links, " ")
end

-- The page of the shop. Its reference is made with it: however often the form is sent, it is one order.
local function page(form, complaint)
  local list = list_of(form)
  return fill([[<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Coffee shop (demo)</title>
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <link rel="icon" href="/assets/pay/icon.svg"><link rel="stylesheet" href="/assets/shop/shop.css"></head>
    <body><p class="test"><strong>DEMO</strong> Nothing is sold here, and only test cards are taken.</p><main>
    <h1>Coffee shop</h1><p class="quiet">$hint</p>$complaint
    <form method="post" action="/shop/orders"><input type="hidden" name="reference" value="$reference">
    <input type="hidden" name="currency" value="$list">
    <fieldset><legend>Order</legend><p class="lists">Prices in $links</p>$rows</fieldset>
    <fieldset><legend>You</legend>
      <div class="field"><label for="name">Name</label>
      <input id="name" name="name" autocomplete="name" required maxlength="100" value="$name"></div>
      <div class="field"><label for="email">E-mail</label>
      <input id="email" name="email" type="email" autocomplete="email" required value="$email"></div>
      <div class="field"><label for="phone">Korean mobile number (optional)</label>
      <input id="phone" name="phone" type="tel" autocomplete="tel" maxlength="24" value="$phone"></div>
    </fieldset>
    <fieldset><legend>Mintro's payment page</legend>
      <label class="choice"><input type="radio" name="integration" value="url" checked> full page</label>
      <label class="choice"><input type="radio" name="integration" value="iframe"> inside this site</label>
    </fieldset>
    <button>Order and pay</button></form></main></body></html>]], {
    complaint = complaint and '<p class="errors" role="alert">' .. escape(complaint) .. "</p>" or "",
    reference = "SHOP-" .. crypto.token(8),
    list = list,
    links = links_of(list),
    hint = lists[list].hint,
    rows = rows_of(form, list),
    name = escape(form.name or ""),
    email = escape(form.email or ""),
    phone = escape(form.phone or ""),
  })
end

web.get("/shop", { public = true }, function(req)
  return { html = page { currency = req.query.currency } }
end)

web.post("/shop/orders", { public = true }, function(req)
  local form = req.form()
  local items, total = basket(form)
  local phone = form.phone ~= "" and form.phone or nil
  if #items == 0 then return { status = 422, html = page(form, "Please choose something.") } end
  if phone and not paymint.phone(phone) then
    return { status = 422, html = page(form, "A Korean mobile number looks like 010-1234-5678.") }
  end

  local started, run = pcall(flow.start, "checkout", {
    reference = form.reference,
    amount = total,
    email = form.email,
    name = form.name,
    phone = phone,
    items = items,
    integration = form.integration,
  }, { key = form.reference })
  if not started then
    if type(run) ~= "table" then error(run, 0) end -- a bug of this file, not a refused order
    return { status = 422, html = page(form, run.message) }
  end
  return { redirect = run.checkout_url }
end)
