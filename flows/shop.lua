-- A small shop to try the checkout with: GET /shop shows it, POST /shop/orders starts the run to be paid.

local crypto = require "mintage.crypto"
local flow = require "mintage.flow"
local money = require "mintage.money"
local web = require "mintage.web"

local products = {
  { id = "beans", name = "Coffee beans, 250 g", price = money "12.50 USD" },
  { id = "filter", name = "Hand filter", price = money "24.00 USD" },
  { id = "grinder", name = "Burr grinder", price = money "89.00 USD" },
}

-- What was ordered, and what it costs; nothing when no quantity is a number from 1 to 99.
local function basket(form)
  local items, total = {}, money "0.00 USD"
  for _, product in ipairs(products) do
    local quantity = math.tointeger(tonumber(form[product.id])) or 0
    if quantity >= 1 and quantity <= 99 then
      table.insert(items, { name = product.name, quantity = quantity, price = product.price })
      total = total + product.price * quantity
    end
  end
  return items, total
end

local function escape(text)
  return (text:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

-- The page of the shop. Its reference is made with it: however often the form is sent, it is one order.
local function page(form, complaint)
  local rows = {}
  for i, product in ipairs(products) do
    rows[i] = ([[<div class="product"><label for="$id">$name<span>$price</span></label>
      <input id="$id" name="$id" type="number" min="0" max="99" value="$quantity"></div>]]):gsub("$(%w+)", {
      id = product.id,
      name = product.name,
      price = product.price:format("en"),
      quantity = escape(form[product.id] or (i == 1 and "1" or "0")),
    })
  end
  local html = [[<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Coffee shop (demo)</title>
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <link rel="icon" href="/assets/pay/icon.svg"><link rel="stylesheet" href="/assets/shop/shop.css"></head>
    <body><p class="test"><strong>DEMO</strong> Nothing is sold here, and only test cards are taken.</p><main>
    <h1>Coffee shop</h1><p class="quiet">Order something and pay with 4242 4242 4242 4242.</p>$complaint
    <form method="post" action="/shop/orders"><input type="hidden" name="reference" value="$reference">
    <fieldset><legend>Order</legend>$rows</fieldset>
    <fieldset><legend>You</legend>
      <div class="field"><label for="name">Name</label>
      <input id="name" name="name" autocomplete="name" required maxlength="100" value="$name"></div>
      <div class="field"><label for="email">E-mail</label>
      <input id="email" name="email" type="email" autocomplete="email" required value="$email"></div>
    </fieldset>
    <fieldset><legend>Payment page</legend>
      <label class="choice"><input type="radio" name="integration" value="url" checked> full page</label>
      <label class="choice"><input type="radio" name="integration" value="iframe"> inside this site</label>
    </fieldset>
    <button>Order and pay</button></form></main></body></html>]]
  return html:gsub("$(%w+)", {
    complaint = complaint and '<p class="errors" role="alert">' .. escape(complaint) .. "</p>" or "",
    reference = "SHOP-" .. crypto.token(8),
    rows = table.concat(rows),
    name = escape(form.name or ""),
    email = escape(form.email or ""),
  })
end

web.get("/shop", { public = true }, function() return { html = (page {}) } end)

web.post("/shop/orders", { public = true }, function(req)
  local form = req.form()
  local items, total = basket(form)
  if #items == 0 then return { status = 422, html = (page(form, "Please choose something.")) } end

  local started, run = pcall(flow.start, "checkout", {
    reference = form.reference,
    amount = total,
    email = form.email,
    name = form.name,
    items = items,
    integration = form.integration,
  }, { key = form.reference })
  if not started then
    if type(run) ~= "table" then error(run, 0) end -- a bug of this file, not a refused order
    return { status = 422, html = (page(form, run.message)) }
  end
  return { redirect = run.checkout_url }
end)
