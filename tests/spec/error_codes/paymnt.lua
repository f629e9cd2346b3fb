-- Paymnt's codes, in the words of the switch behind it and, where the type is what matters, as paymnt.cloud documents them: how
-- each is caused at the sandbox and met in a flow.

local KEY = { ["api-key"] = "sk_sandbox_mintage" }
local DOCUMENTED = { ["api-key"] = "sk_sandbox_mintage", ["X-Sandbox-Dialect"] = "documented" }

local function post(w, path, body, headers) return w.http("POST", path, body, headers or KEY) end

-- A payment of this id; more: members of its create call. confirmed: with the card that succeeds.
local function create(w, id, more)
  local body = { payment_id = id, amount = 1000, currency = "USD" }
  for name, value in pairs(more or {}) do body[name] = value end
  local made = post(w, "/payments", body)
  assert(made.status == 200, made.body)
  return made
end
local function confirmed(w, id, more)
  create(w, id, more)
  local done = post(w, "/payments/" .. id .. "/confirm", "")
  assert(done.status == 200, done.body)
end
local function several(w, id)
  confirmed(w, id, { capture_method = "manual_multiple" })
  assert(post(w, "/payments/" .. id .. "/capture", { amount_to_capture = 100 }).status == 200)
end

local function capture(id, amount)
  return function() return "paymnt.payments.capture", { payment_id = id, amount_to_capture = amount } end
end
local function refund(id, amount)
  return function() return "paymnt.refunds.create", { payment_id = id, amount = amount } end
end

local function fault(says) return { none = "a part of the switch that is not emulated", says = says } end

local cases = {
  IR_01 = {
    says = "API key not provided or invalid API key used",
    direct = function(w) return post(w, "/payments", {}, {}) end,
    as = { paymnt = { api_key = "x" } },
    client = function() return "paymnt.payments.retrieve", { payment_id = "x" } end,
  },
  IR_02 = { says = "Unrecognized request URL", direct = function(w) return post(w, "/payments/a/b/c", {}) end },
  IR_03 = {
    says = "The HTTP method is not applicable for this API",
    direct = function(w) return w.http("PUT", "/payments", {}, KEY) end,
  },
  IR_04 = {
    says = "Missing required param: amount_to_capture",
    direct = function(w)
      several(w, "p04")
      return post(w, "/payments/p04/capture", {})
    end,
    client = capture "p04",
  },
  IR_05 = {
    says = "amount contains invalid data. Expected format is positive integer",
    direct = function(w)
      confirmed(w, "p05", { capture_method = "manual" })
      return post(w, "/payments/p05/capture", { amount_to_capture = 0 })
    end,
  },
  IR_06 = {
    says = "amount_to_capture is greater than amount",
    direct = function(w)
      confirmed(w, "p06", { capture_method = "manual" })
      return post(w, "/payments/p06/capture", { amount_to_capture = 1001 })
    end,
    client = capture("p06", "10.01 USD"),
  },
  IR_07 = {
    says = "Invalid value provided: card_exp_month",
    client_says = "Invalid value provided: amount", -- a flow sends no card
    direct = function(w)
      create(w, "p07")
      return post(w, "/payments/p07/confirm", { payment_method_data = { card = {
        card_number = "4242424242424242", card_exp_month = "13", card_exp_year = "2034", card_cvc = "123" } } })
    end,
  },
  IR_12 = {
    says = "Reached maximum refund attempts",
    direct = function(w)
      confirmed(w, "p12")
      for _ = 1, 11 do assert(post(w, "/refunds", { payment_id = "p12", amount = 1 }).status == 200) end
      return post(w, "/refunds", { payment_id = "p12", amount = 1 })
    end,
    client = refund("p12", "0.01 USD"),
  },
  IR_13 = {
    says = "The refund amount exceeds the amount captured",
    direct = function(w)
      confirmed(w, "p13")
      return post(w, "/refunds", { payment_id = "p13", amount = 1001 })
    end,
    client = refund("p13", "10.01 USD"),
  },
  IR_14 = {
    says = "This Payment could not be captured because it has a payment.status of succeeded. "
      .. "The expected state is requires_capture, partially_captured_and_capturable, processing",
    direct = function(w)
      confirmed(w, "p14")
      return post(w, "/payments/p14/capture", {})
    end,
    client = capture "p14",
  },
  IR_16 = {
    says = "You cannot cancel this payment because it has status succeeded",
    direct = function(w)
      confirmed(w, "p16")
      return post(w, "/payments/p16/cancel", {})
    end,
    client = function() return "paymnt.payments.cancel", { payment_id = "p16" } end,
  },
  IR_19 = {
    says = "This capture method is not supported",
    direct = function(w)
      return post(w, "/payments", { amount = 1000, currency = "USD", capture_method = "scheduled" })
    end,
  },
  HE_01 = {
    says = "The payment with the specified payment_id already exists in our records",
    direct = function(w)
      create(w, "h01")
      return post(w, "/payments", { payment_id = "h01", amount = 1000, currency = "USD" })
    end,
    client = function() return "paymnt.payments.create", { payment_id = "h01", amount = "12.00 USD" } end,
  },
  HE_02 = {
    says = "Payment does not exist in our records",
    direct = function(w) return w.http("GET", "/payments/nobody", nil, KEY) end,
    client = function() return "paymnt.payments.retrieve", { payment_id = "nobody" } end,
  },
  CE_AMOUNT_INVALID = {
    says = "amount must be a positive integer",
    direct = function(w) return post(w, "/payments", { amount = -1, currency = "USD" }, DOCUMENTED) end,
  },
  CE_RL_429 = { none = "nothing is throttled", says = "Too many requests" },
  blocked = {
    none = "the merchant's own rules are not emulated", says = "The payment is blocked", status = 200,
  },

  IR_00 = fault "This API is under development and will be made available soon.",
  IR_08 = fault "Client secret was not provided",
  IR_09 = fault "The client_secret provided does not match the client_secret associated with the Payment",
  IR_17 = fault "Access forbidden, invalid JWT token was used",
  IR_18 = fault "Access forbidden, not authorized to access this resource",
  IR_20 = fault "This flow is not supported by the connector",
  IR_21 = fault "Missing required params",
  IR_22 = fault "Access forbidden. Not authorized to access this resource",
  IR_28 = fault "The currency is not supported",
  IR_29 = fault "The entity cannot be processed",
  IR_37 = fault "The requested resource does not exist",
  IR_38 = fault "A field has a value that is not allowed",
  HE_00 = fault "Something went wrong",
  HE_03 = fault "It cannot be done for this object",
  HE_04 = fault "The requested resource does not exist in our records",
  HE_05 = fault "The merchant account is not set up completely",
  CE_00 = fault "The connector could not be reached",
  CE_01 = fault "Payment failed during authorization with connector. Retry payment",
  CE_02 = fault "Payment failed during authentication with connector. Retry payment",
  CE_03 = fault "Capture attempt failed while processing with connector",
  CE_04 = fault "The card data is invalid",
  CE_05 = fault "The card has expired",
  CE_06 = fault "Refund failed while processing with connector. Retry refund",
  CE_07 = fault "Verification failed while processing with connector. Retry operation",
  CE_08 = fault "Dispute operation failed while processing with connector. Retry operation",
  WE_01 = fault "Failed to authenticate the webhook",
  WE_02 = fault "Bad request received in webhook",
  WE_03 = fault "Webhook processing failed",
  WE_04 = fault "Webhook resource not found",
  WE_05 = fault "There was an issue processing the webhook body",
  WE_06 = fault "Merchant Secret set by merchant for webhook is invalid",
}

-- Documented types: the cause with X-Sandbox-Dialect: documented; and, as a flow meets it, an error with no code of its own, in
-- the page's shape.
local function documented(name, status, says, direct)
  cases[name] = {
    direct = direct, none = not direct and "a part of the document that has no cause here" or nil,
    says = says, status = status, typed = true,
    client_says = "as documented",
    client = function() return "paymnt.payments.retrieve", { payment_id = "x" } end,
    bare = {
      status = status,
      body = ('{"error":{"type":"%s","message":"as documented","request_id":"req_1","status":%d}}'):format(name, status),
    },
  }
end

documented("validation_error", 400, "amount must be a positive integer", cases.CE_AMOUNT_INVALID.direct)
documented("authentication_error", 401, cases.IR_01.says, function(w)
  return post(w, "/payments", {}, { ["X-Sandbox-Dialect"] = "documented" })
end)
documented("not_found", 404, cases.HE_02.says, function(w) return w.http("GET", "/payments/nobody", nil, DOCUMENTED) end)
documented("conflict", 409, cases.IR_16.says, function(w)
  confirmed(w, "conflict")
  return post(w, "/payments/conflict/cancel", {}, DOCUMENTED)
end)
documented("unprocessable_entity", 422, "A payment token or payment method data or ctp service details is required", function(w)
  create(w, "unprocessable")
  return post(w, "/payments/unprocessable/confirm", { payment_method = "card" }, DOCUMENTED)
end)
documented("authorization_error", 403, "Access forbidden. Not authorized to access this resource")
documented("rate_limit", 429, "Too many requests")
documented("internal_error", 500, "Something went wrong")
documented("connector_error", 502, "The connector could not be reached")

-- The processor's own code passes through under the type "connector".
cases.connector = {
  none = "the sandbox's processor declines by status, with HTTP 200", fault = "CE_01", says = cases.CE_01.says, typed = true,
  status = 400, code = "card_declined", client_says = "Card declined",
  client = function() return "paymnt.payments.retrieve", { payment_id = "x" } end,
  bare = { status = 400, body = '{"error":{"type":"connector","message":"Card declined","code":"card_declined"}}' },
}

-- A status alone, as what stands between answers.
for code, says in pairs {
  ["400"] = "Bad Request", ["401"] = "Unauthorized", ["403"] = "Forbidden", ["404"] = "Not Found", ["409"] = "Conflict",
  ["422"] = "Unprocessable Content", ["429"] = "Too Many Requests", ["500"] = "Internal Server Error",
  ["501"] = "Not Implemented", ["502"] = "Bad Gateway", ["503"] = "Service Unavailable", ["504"] = "Gateway Timeout",
} do
  cases[code] = {
    status = tonumber(code), none = "statuses come with codes here",
    bare = { status = tonumber(code), body = "" },
    client_says = says,
    client = function() return "paymnt.payments.retrieve", { payment_id = "x" } end,
  }
end
-- A 404 without a word of Paymnt's is not believed of a read, so a write meets it.
cases["404"].client = function() return "paymnt.payments.cancel", { payment_id = "x" } end

return {
  text_of = function(response) return response.json.error.message end,
  code_of = function(response, case)
    local error = response.json.error
    return case.typed and error.type or error.code
  end,
  read = function(reference) return "paymnt.payments.retrieve", { payment_id = reference } end,
  cases = cases,
}
