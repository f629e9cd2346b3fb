-- The customer's side: what the page shows (GET /checkout/{token}/status has it), and the orders that it
-- sends (POST /checkout/{token}): a way to pay, or to cancel. An order is taken once, and only from a page
-- that has seen all before it: of a double click, or of two windows, the second is refused.

local collection = require "mintage.collection"
local epin = require "checkout.epin"
local flow = require "mintage.flow"
local json = require "mintage.json"
local money = require "mintage.money"
local paymint = require "checkout.paymint"
local web = require "mintage.web"

local page = {}

local TOPIC = "checkout" -- orders are events of this topic, with the run's id
local MOST = 64 -- orders of one page

-- ---- what it shows ----

-- All of it, as it is now. open: the payment that waits for the customer.
local function face(sale, step, open)
  local order = sale.order
  return {
    checkout_url = sale.page, success_url = order.success_url, cancel_url = order.cancel_url,
    locale = order.locale, expires_at = tostring(sale.till), total = order.amount,
    step = step, ways = json.array(sale.ways), way = open.way, problem = sale.problem,
    due = sale.due, paid = json.array(sale.paid), attempt = sale.attempt, tries_left = sale.tries_left,
    payment_url = open.url, intent_id = open.intent_id, payment_id = open.payment_id, bill_id = open.bill_id,
    phone_masked = sale.phone and paymint.masked(sale.phone), authorised = open.authorised,
    resend = step == "pay" and open.way == "paymint" and sale.times.paymint < paymint.MOST or nil,
    closed = #sale.closed > 0 and sale.closed or nil,
  }
end

-- Lists that only grow or shrink are compared by their length.
local function same(name, a, b)
  if a and (name == "ways" or name == "paid" or name == "closed") then return #a == #b end
  return a == b
end

-- Tells what has changed. step: "choose", "opening", "pay" (the open payment waits for the customer),
-- "closing", "done".
function page.show(sale, step, open)
  local before, now, news = sale.shown, face(sale, step, open or {}), {}
  for name, value in pairs(now) do
    if not before or not same(name, before[name], value) then news[name] = value end
  end
  for name in pairs(before or {}) do
    if now[name] == nil then news[name] = json.null end
  end
  if not before then
    local order = sale.order
    news.order = { reference = order.reference, name = order.name, items = order.items,
      tax = order.tax, discount = order.discount }
  end
  sale.shown = now
  for _, name in ipairs { "ways", "paid", "closed" } do
    now[name] = now[name] and { table.unpack(now[name]) } -- as they are now
  end
  flow.progress(news)
end

-- ---- what it orders ----

-- Waits for the customer's next order; nil when time is over.
function page.ask(sale)
  if sale:time_left() == 0 then return nil end
  page.show(sale, "choose")
  return (flow.await(TOPIC, flow.id(), { within = sale:time_left() }))
end

-- Waits for a payment; what comes first is answered: the payment at rest, or (nil and) an order.
function page.wait(sale, settled, id) return flow.unless(TOPIC, flow.id(), settled, id, sale:time_left()) end

local orders = collection.define("checkout_orders", { keep = "90d" }) -- how many were taken, by run

local function refuse(status, field, text, code)
  error({ status = status, field = field, detail = text, code = code or "invalid_request" }, 0)
end

-- What is said with a way, in its normal form: secrets sealed, the rest as the flow takes it.
local function read_order(given, run, shown)
  local wish = { attempt = shown.attempt + 1 }
  if given.action == "cancel" then
    wish.action = "cancel"
    return wish
  elseif given.action == "resend" and shown.resend then
    wish.way, wish.anew = "paymint", true -- another bill, to the same number
    return wish
  elseif given.action and given.action ~= "" then
    refuse(422, "action", shown.resend and "wanted \"cancel\" or \"resend\"" or "wanted \"cancel\"")
  end
  for _, name in ipairs(shown.ways) do
    if name == given.way then wish.way = name end
  end
  if not wish.way then refuse(422, "way", "wanted one of " .. table.concat(shown.ways, ", ")) end
  if wish.way == "paymint" and (given.phone or "") ~= "" then
    wish.phone = paymint.phone(given.phone)
    if not wish.phone then refuse(422, "phone", "wanted a Korean mobile number, 010-1234-5678") end
  elseif wish.way == "paymint" and not shown.phone_masked then
    refuse(422, "phone", "it is missing")
  elseif wish.way == "epin" then
    local code = epin.code(given.epin or "")
    if not code then refuse(422, "epin", "wanted the 16 digits of an ePIN") end
    wish.epin = epin.seal(code, run.id, wish.attempt)
    if (given.amount or "") ~= "" then
      local currency = shown.total.currency
      local text = given.amount:find "%a" and given.amount or given.amount .. " " .. currency
      wish.amount = money.parse(text)
      if not wish.amount or wish.amount.currency ~= currency or not wish.amount:is_positive() then
        refuse(422, "amount", ("wanted an amount in %s, as in 30.00"):format(currency))
      end
    end
  end
  return wish
end

local over = {
  completed = true, failed = true, cancelled = true, compensating = true, needs_attention = true,
}

-- Takes an order, or raises why not.
local function take(run, given)
  local shown = run.progress or {}
  if over[run.state] or (shown.step ~= "choose" and shown.step ~= "pay") then
    refuse(409, nil, "this order can be changed no more", "closed")
  end
  local attempt = math.tointeger(tonumber(given.attempt))
  if not attempt then refuse(422, "attempt", "wanted the number that the page shows") end
  local taken = orders:get(run.id) or { id = run.id, attempts = shown.attempt }
  if attempt ~= shown.attempt or attempt ~= taken.attempts then
    refuse(409, "attempt", "the page is older than this order: look again", "stale")
  end
  if attempt >= MOST then refuse(409, nil, "there have been too many orders", "too_many") end
  local wish = read_order(given, run, shown)
  taken.attempts = wish.attempt
  orders:put(taken)
  flow.signal(TOPIC, run.id, wish)
  return wish
end

local function answer(status, body)
  local kind = status == 202 and "application/json" or "application/problem+json"
  return {
    status = status, headers = { ["Cache-Control"] = "no-store", ["Content-Type"] = kind },
    body = json.encode(body),
  }
end

-- Fields are short texts; anything else is as if it were not there.
local function texts_of(given)
  local texts = {}
  for _, name in ipairs { "way", "action", "attempt", "phone", "epin", "amount" } do
    local value = type(given) == "table" and given[name]
    if type(value) == "number" then value = tostring(value) end
    if type(value) == "string" and #value > 100 then refuse(422, name, "it is too long") end
    texts[name] = type(value) == "string" and value or nil
  end
  return texts
end

local titles = { [404] = "Not Found", [409] = "Conflict", [422] = "Unprocessable Content" }

-- (A form is led back to the page, refused or not: that the program does.)
web.post("/checkout/{token}", { public = true }, function(req)
  local wants_json = (req.headers["content-type"] or ""):find("json", 1, true)
  local id = flow.run_of(req.params.token)
  local run = id and flow.find(id)[1]
  local taken, wish = pcall(function()
    if not run or run.flow ~= "checkout" then refuse(404, nil, "there is no such checkout", "not_found") end
    return take(run, texts_of(wants_json and req.json() or req.form()))
  end)
  if taken and not wants_json then return { redirect = flow.checkout_url(id) } end
  if taken then
    return answer(202, { state = run.state, progress = run.progress, attempt = wish.attempt })
  end
  local why = wish
  if type(why) ~= "table" or not why.status then error(why, 0) end
  return answer(why.status, {
    type = "about:blank", title = titles[why.status], status = why.status, code = why.code, field = why.field,
    detail = why.field and ("%s: %s"):format(why.field, why.detail) or why.detail,
  })
end)

return page
