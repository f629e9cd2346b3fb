-- sandbox: what a customer, a bank and time do, where the runtime's providers are a sandbox's. nil elsewhere.
local native, need = ...
local ask, text = need "console.ask", need "console.text"

if not native.sandbox() then return nil end
local sandbox = {}

local function call(method, path, body)
  if method ~= "GET" then ask.refuse_read_only("sandbox") end
  local status, value = native.sandbox(method, path, body)
  if not status then error("the sandbox does not answer: " .. tostring(value), 0) end
  if status >= 300 then
    local detail = type(value) == "table" and (value.detail or value.error or value.message)
    error(type(detail) == "string" and detail or ("the sandbox answered %d"):format(status), 0)
  end
  return value
end

-- The payment that a run has open: what it tells of, or else the newest that its journal knows.
local function open_payment(run)
  local told = run:refresh().progress or {}
  local found = { intent_id = told.intent_id, payment_id = told.payment_id, bill_id = told.bill_id }
  if next(found) ~= nil then return found end
  local page = ask.get("/v1/runs/" .. ask.id(run.id) .. "/journal", { limit = 1000 })
  for _, entry in ipairs(page.data) do
    local result = type(entry.result) == "table" and entry.result or {}
    for _, name in ipairs { "intent_id", "payment_id", "bill_id" } do
      if entry.kind == "call" and result[name] then found = { [name] = result[name] } end
    end
  end
  if next(found) == nil then error("this run has no payment that could be paid: see run:story()", 3) end
  return found
end

-- What a customer does on the hosted page: sandbox.pay{ intent_id = "pi_...", card = "4242424242424242" },
-- or of a run that waits for its payment: sandbox.pay(run).
function sandbox.pay(what, card)
  local body = what
  if type(what) == "string" then body = { intent_id = what } end
  if type(what) == "table" and what.flow and what.refresh then
    body = open_payment(what)
  end
  if type(body) ~= "table" then
    error("sandbox.pay wants a run, the id of an intent, or { intent_id =, card = }", 2)
  end
  local sent = {}
  for name, value in pairs(body) do sent[name] = value end
  if card then sent.card = card end
  if not sent.card and not sent.action then sent.card = "4242424242424242" end
  return call("POST", "pay", sent)
end

-- Arms a fault: sandbox.fault("mintro.intents.create", "drop_response", 2).
function sandbox.fault(operation, fault, times)
  if type(operation) == "table" then return call("POST", "faults", operation) end
  if type(operation) ~= "string" or type(fault) ~= "string" then
    error("sandbox.fault wants an operation and a fault: \"mintro.intents.create\", \"drop_response\"", 2)
  end
  local provider, name = operation:match "^([^.]+)%.(.+)$"
  return call("POST", "faults", {
    match = { provider = provider or operation, operation = name }, fault = fault, times = times or 1,
  })
end

function sandbox.faults()
  return text.list(call("GET", "faults").data, {
    { "id", function(f) return f.id end },
    { "fault", function(f) return f.fault end },
    { "match", function(f) return f.match end, 60 },
    { "consumed", function(f) return ("%s of %s"):format(tostring(f.consumed), tostring(f.times)) end },
  }, { none = "no fault is armed" })
end

-- The sandbox's time; given a span ("30d"), moves it.
function sandbox.clock(span)
  if span == nil then return call("GET", "clock").now end
  return call("POST", "clock", { advance = text.say(span) }).now
end

local Webhook = {}
function Webhook:redeliver() return sandbox.redeliver(self.id) end

function sandbox.webhooks()
  local rows = call("GET", "webhooks").data
  for _, row in ipairs(rows) do
    setmetatable(row, { __index = Webhook, __complete = function() return { "redeliver" } end })
  end
  return text.list(rows, {
    { "id", function(w) return w.id end, 40 },
    { "provider", function(w) return w.provider end },
    { "event", function(w) return w.event end, 30 },
    { "state", function(w) return w.state, w.state == "delivered" and "green" or "yellow" end },
    { "attempts", function(w) return tostring(w.attempts) end },
    { "at", function(w) return text.ago(w.created_at), "dim" end },
  }, { none = "no webhook was sent yet" })
end

function sandbox.redeliver(id)
  return call("POST", "webhooks/" .. ask.id(type(id) == "table" and id.id or id) .. "/redeliver", {})
end

-- Requests it received, newest last: sandbox.requests{ provider = "mintro" }.
function sandbox.requests(options)
  local parts = {}
  for name, value in pairs(options or {}) do parts[#parts + 1] = ask.id(name) .. "=" .. ask.id(value) end
  return text.list(call("GET", "requests" .. (#parts > 0 and "?" .. table.concat(parts, "&") or "")).data, {
    { "at", function(r) return text.ago(r.at), "dim" end },
    { "operation", function(r) return ("%s.%s"):format(r.provider or "", r.operation or "") end, 36 },
    { "method", function(r) return r.method end },
    { "path", function(r) return r.path end, 60 },
    { "status", function(r) return tostring(r.status) end },
  }, { none = "no request came yet" })
end

function sandbox.balance(provider, amount)
  return call("POST", "balance", { provider = provider, balance = amount })
end

function sandbox.ledger() return need "console.ledger".sandbox() end

return setmetatable(sandbox, {
  __name = "sandbox",
  __tostring = function() return "sandbox at " .. native.sandbox() end,
  __console = function()
    return ("The sandbox at %s; its time is %s.\n"):format(native.sandbox(), sandbox.clock())
      .. "sandbox.pay(run)  .fault(operation, fault, times)  .faults()  .clock \"30d\"  .webhooks()  "
      .. ".redeliver(id)  .requests{}  .ledger()  .balance(provider, amount)"
  end,
})
