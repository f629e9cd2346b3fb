-- Mintro's documented codes: how each is caused at the sandbox (direct) and met in a flow (client). error_codes_spec.lua says
-- what a case may hold.

local WHO = { ["X-Client-ID"] = "mintro_test_client", ["X-Client-Secret"] = "mintro_test_secret" }
local NOBODY = "00000000-0000-4000-8000-000000000000"

local function order(change)
  local body = {
    amount = 80, currency = "USD", intent_type = "one_time", email = "customer@example.com", name = "John Doe",
    reference_id = "ORDER-1", integration_type = "iframe", order_items = { { name = "Product 1", quantity = 1, price = 80 } },
  }
  for name, value in pairs(change or {}) do body[name] = value end
  return body
end

local function create(w, change, headers) return w.http("POST", "/api/platform/intents", order(change), headers or WHO) end


-- A call of the client to which the sandbox's fault can be bound by its reference.
local function read(reference) return "mintro.intents.get_by_reference", { reference_id = reference } end

local wanted = order { amount = "80.00 USD", order_items = { { name = "Product 1", quantity = 1, price = "80.00 USD" } } }
wanted.intent_type = nil

return {
  text_of = function(response) return response.json.message end,
  status_of = function(code) return tonumber(code) end,
  read = read,
  cases = {
    ["400"] = {
      kind = "conflict", -- what the client makes of a cancellation that came too late
      says = "Only a pending payment intent can be cancelled; this one is succeeded.",
      direct = function(w)
        local id = create(w).json.data.intent_id
        w.pay { intent_id = id, card = "4242424242424242" }
        w.id = id
        return w.http("POST", "/api/platform/intents/" .. id .. "/cancel", "", WHO)
      end,
      client = function(w) return "mintro.intents.cancel", { intent_id = w.id } end,
    },
    ["401"] = {
      says = "Invalid API Key provided.",
      direct = function(w) return create(w, nil, { ["X-Client-ID"] = "mintro_test_client", ["X-Client-Secret"] = "x" }) end,
      as = { mintro = { client_id = "mintro_test_client", client_secret = "x" } },
      client = function() return read "ORDER-1" end,
    },
    ["403"] = {
      says = "The API key doesn't have permissions to perform the request.",
      direct = function(w)
        return create(w, nil, { ["X-Client-ID"] = "mintro_test_readonly", ["X-Client-Secret"] = "mintro_test_secret" })
      end,
      as = { mintro = { client_id = "mintro_test_readonly", client_secret = "mintro_test_secret" } },
      client = function() return "mintro.intents.create", wanted end,
    },
    ["404"] = {
      says = "Payment intent not found.",
      direct = function(w) return w.http("GET", "/api/platform/intents/" .. NOBODY, nil, WHO) end,
      client = function() return "mintro.intents.get", { intent_id = NOBODY } end,
    },
    ["405"] = {
      says = "The method is not supported for this route.",
      direct = function(w) return w.http("PUT", "/api/platform/intents", order(), WHO) end,
    },
    ["422"] = {
      says = "The reference id has already been taken.",
      text_of = function(response) return response.json.errors.reference_id[1] end,
      direct = function(w)
        create(w)
        return create(w)
      end,
      client = function() return "mintro.intents.create", wanted end,
    },
    ["413"] = {
      direct = function(w) return create(w, { name = ("x"):rep(1100000) }) end, -- the server's own answer
      text_of = function(response) return response.json.title end,
      says = "Content Too Large",
    },
    ["408"] = { none = "the sandbox is never too slow in reading", says = "Request Timeout" },
    ["409"] = { none = "two requests with one key follow each other", says = "is still under way." },
    ["429"] = { none = "nothing is throttled", says = "Too Many Attempts." },
    ["500"] = { none = "a failure inside", says = "Something went wrong on our end." },
    ["502"] = { none = "a failure on the way", says = "Bad Gateway" },
    ["503"] = { none = "a failure on the way", says = "Service Unavailable" },
    ["504"] = { none = "a failure on the way", says = "Gateway Timeout" },
  },
}
