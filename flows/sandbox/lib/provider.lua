-- What every emulated provider shares: routes that record what they received, faults, idempotency, and the
-- hooks through which the control API reaches each provider.

local clock = require "lib.clock"
local collection = require "mintage.collection"
local crypto = require "mintage.crypto"
local faults = require "lib.faults"
local journal = require "lib.journal"
local json = require "mintage.json"
local ordered = require "lib.ordered"
local web = require "mintage.web"

local provider = {}
provider.all = {} -- by name

local Provider = {}
Provider.__index = Provider

-- A provider's own particulars:
--   name      "mintro"
--   webhooks  whether it sends any
--   fail      function(status, message): a refusal in the provider's own shape
--   fault     function(code): the error that the fault "error=CODE" asks for
--   state     function(page, req): a table for GET /_sandbox/state; page(name, documents, show) is one of its
--             lists, each row shown by show(row), or a part of it
--   payable   {field = "intent_id", pay = function(id, request, call)}: what POST /_sandbox/pay does
--   payables  several of these, where more than one kind of thing is paid
--   balance   function(request): what POST /_sandbox/balance does; nil when it has none
--   activate  function(request): what POST /_sandbox/activate does: a status, and a body or what is wrong
--   issue     the same of POST /_sandbox/issue
--   reference function(req): what a request is about, where it is no reference_id; nil when unknown
--   mask      function(text): a request's body as it may be recorded; journal.mask unless said
function provider.define(spec)
  provider.all[spec.name] = setmetatable(spec, Provider)
  return spec
end

-- The request's JSON object; an empty body is an empty one. nil and a text for anything else.
function provider.body(req)
  if not req.body:find "%S" then return {} end
  local ok, body = pcall(req.json)
  if not ok then return nil, "The request body is not valid JSON." end
  if type(body) ~= "table" or body[1] ~= nil then return nil, "The request body must be a JSON object." end
  return body
end

-- Turns a response's json into text, in the order that it asks for (order: names of members).
local function write(response)
  local order = response.order
  response.order = nil
  if response.json == nil then return end
  response.body = order and ordered.encode(response.json, order) or json.encode(response.json)
  response.json = nil
  response.headers = response.headers or {}
  response.headers["Content-Type"] = "application/json"
end

local replies = collection.define("sandbox_idempotency", { keep = "30d" })

-- Runs handler once for an idempotency key: a repeat gets the stored answer, marked as such. Refusals are not
-- stored. Two at the same time need no "in flight" answer: the transaction that would commit second is run
-- again and finds the reply.
function Provider:once(req, credential, handler)
  local key = req.headers["idempotency-key"]
  if not key or key == "" then return handler() end
  key = key:match '^"(.*)"$' or key -- a structured-field string and the bare value are the same key
  if #key > 255 then
    return self.fail(400, "The Idempotency-Key header must not be longer than 255 characters.")
  end

  local id = crypto.sha256(table.concat({ self.name, credential, req.method, req.path, key }, "\n"))
  local body = provider.body(req)
  local print = crypto.sha256(body and json.encode(body) or req.body)
  local known = replies:get(id)
  if known and known.at + clock.day > clock.now() then
    if known.print ~= print then
      return self.fail(422, "This Idempotency-Key was used with another request body.")
    end
    return {
      status = known.status,
      body = known.body,
      headers = { ["Content-Type"] = "application/json", ["Idempotent-Replayed"] = "true" },
    }
  end

  local response = handler()
  local status = response.status or 200
  if status >= 400 then return response end
  write(response)
  replies:put { id = id, print = print, status = status, body = response.body, at = clock.now() }
  return response
end

-- What a request is about, before it is processed: a path parameter, or a member of the body or the query.
local function reference_of(req)
  local named = req.params.reference_id or req.params.payment_id
  if named then return named end
  local body, query = provider.body(req), req.query
  local reference = body and (body.reference_id or body.payment_id or body.bill_id or body.customer_id)
    or query.bill_id or query.customer_id
  return type(reference) == "string" and #reference <= 100 and reference or nil
end

-- Where a fault's contains is looked for: the body and the query's values.
local function text_of(req)
  local parts = { req.body }
  for _, value in pairs(req.query) do parts[#parts + 1] = value end
  return table.concat(parts, "\n")
end

local function serve(self, operation, req, handler, on_fault)
  local own_fault = req.headers["x-sandbox-fault"]
  local reference = (self.reference or reference_of)(req)
  local call = { operation = operation, reference = reference, own_fault = own_fault }
  local fault, wrong = faults.take({
    provider = self.name,
    operation = operation,
    method = req.method,
    path = req.path,
    reference = call.reference,
    text = text_of(req),
  }, own_fault)
  if wrong then return { status = 400, json = { error = "X-Sandbox-Fault: " .. wrong } } end

  local kind = fault and faults.kinds[fault.name]
  local response
  if fault and fault.name == "error" then
    response = (on_fault or self.fault)(fault.value, req)
  elseif kind and kind.skips then
    response = { status = 504, body = "" }
  else
    response = handler(req, call)
  end
  if response.order then write(response) end
  if kind and kind.apply then kind.apply(response, fault.value) end

  journal.request(req, {
    provider = self.name,
    operation = operation,
    reference = call.reference,
    status = response.status or 200,
    fault = fault and fault.name or nil,
  }, self.mask)
  return response
end

-- Serves one request; handler(req, call) may set call.reference, by which the journal finds the request.
-- on_fault(code, req) answers "error=CODE" where the provider's own shape does not fit (pages).
function Provider:serve(operation, req, handler, on_fault)
  return serve(self, operation, req, handler, on_fault)
end

-- Serves a path, so.
function Provider:route(method, path, operation, handler, on_fault)
  web.route(method == "any" and "*" or method:upper(), path, { public = true }, function(req)
    return serve(self, operation, req, handler, on_fault)
  end)
end

return provider
