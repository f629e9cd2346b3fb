-- Paymnt's refusals in both dialects: as the switch behind it writes them (the default), and as paymnt.cloud
-- documents them (X-Sandbox-Dialect: documented). A refusal stays data until its request is answered.

local replies = {}

-- code = status, type as the switch writes it, its usual text.
local catalogue = {
  IR_00 = { 501, "invalid_request", "This API is under development and will be made available soon." },
  IR_01 = { 401, "invalid_request", "API key not provided or invalid API key used" },
  IR_02 = { 404, "invalid_request", "Unrecognized request URL" },
  IR_03 = { 405, "invalid_request", "The HTTP method is not applicable for this API" },
  IR_04 = { 400, "invalid_request", "Missing required param: amount" },
  IR_05 = { 422, "invalid_request", "amount contains invalid data. Expected format is positive integer" },
  IR_06 = { 422, "invalid_request", "Invalid data was provided" },
  IR_07 = { 400, "invalid_request", "Invalid value provided: amount" },
  IR_08 = { 400, "invalid_request", "Client secret was not provided" },
  IR_09 = { 400, "invalid_request", "The client_secret provided does not match the client_secret associated "
    .. "with the Payment" },
  IR_12 = { 400, "invalid_request", "Reached maximum refund attempts" },
  IR_13 = { 400, "invalid_request", "The refund amount exceeds the amount captured" },
  IR_14 = { 400, "invalid_request", "This Payment could not be captured because it has a payment.status of "
    .. "succeeded. The expected state is requires_capture, partially_captured_and_capturable, processing" },
  IR_16 = { 400, "invalid_request", "You cannot cancel this payment because it has status succeeded" },
  IR_17 = { 401, "invalid_request", "Access forbidden, invalid JWT token was used" },
  IR_18 = { 401, "invalid_request", "Access forbidden, not authorized to access this resource" },
  IR_19 = { 400, "invalid_request", "This capture method is not supported" },
  IR_20 = { 400, "invalid_request", "This flow is not supported by the connector" },
  IR_21 = { 400, "invalid_request", "Missing required params" },
  IR_22 = { 403, "invalid_request", "Access forbidden. Not authorized to access this resource" },
  IR_28 = { 400, "invalid_request", "The currency is not supported" },
  IR_29 = { 422, "invalid_request", "The entity cannot be processed" },
  IR_37 = { 404, "invalid_request", "The requested resource does not exist" },
  IR_38 = { 400, "invalid_request", "A field has a value that is not allowed" },
  HE_00 = { 500, "api", "Something went wrong" },
  HE_01 = { 400, "invalid_request", "The payment with the specified payment_id already exists in our "
    .. "records" },
  HE_02 = { 404, "invalid_request", "Payment does not exist in our records" },
  HE_03 = { 400, "invalid_request", "It cannot be done for this object" },
  HE_04 = { 404, "invalid_request", "The requested resource does not exist in our records" },
  HE_05 = { 500, "api", "The merchant account is not set up completely" },
  CE_00 = { 502, "connector", "The connector could not be reached" },
  CE_01 = { 400, "connector", "Payment failed during authorization with connector. Retry payment" },
  CE_02 = { 400, "connector", "Payment failed during authentication with connector. Retry payment" },
  CE_03 = { 400, "connector", "Capture attempt failed while processing with connector" },
  CE_04 = { 400, "connector", "The card data is invalid" },
  CE_05 = { 400, "connector", "The card has expired" },
  CE_06 = { 400, "connector", "Refund failed while processing with connector. Retry refund" },
  CE_07 = { 400, "connector", "Verification failed while processing with connector. Retry operation" },
  CE_08 = { 400, "connector", "Dispute operation failed while processing with connector. Retry operation" },
  WE_01 = { 401, "invalid_request", "Failed to authenticate the webhook" },
  WE_02 = { 400, "invalid_request", "Bad request received in webhook" },
  WE_03 = { 500, "api", "Webhook processing failed" },
  WE_04 = { 404, "invalid_request", "Webhook resource not found" },
  WE_05 = { 422, "invalid_request", "There was an issue processing the webhook body" },
  WE_06 = { 400, "invalid_request", "Merchant Secret set by merchant for webhook is invalid" },
  CE_AMOUNT_INVALID = { 400, "validation_error", "amount must be a positive integer" },
  CE_RL_429 = { 429, "rate_limit", "Too many requests" },
  CE_CONFLICT = { 409, "conflict", "The first request with this Idempotency-Key is still under way" },
  blocked = { 200, "blocked", "The payment is blocked" },
}

-- The code that stands for a status, where nothing better is known.
local usual = {
  [400] = "IR_07", [401] = "IR_01", [403] = "IR_22", [404] = "HE_02", [405] = "IR_03", [409] = "CE_CONFLICT",
  [422] = "IR_06", [429] = "CE_RL_429", [500] = "HE_00", [501] = "IR_00", [502] = "CE_00", [503] = "CE_00",
  [504] = "CE_00",
}

-- The documented types, with the status that belongs to each.
local documented = {
  validation_error = 400, authentication_error = 401, authorization_error = 403, not_found = 404,
  conflict = 409, unprocessable_entity = 422, rate_limit = 429, internal_error = 500, connector_error = 502,
}
local type_of_status = {}
for name, status in pairs(documented) do type_of_status[status] = name end
for status = 502, 504 do type_of_status[status] = "connector_error" end

-- What the switch calls 400 and the document a conflict.
local conflicts = { IR_12 = true, IR_13 = true, IR_14 = true, IR_16 = true, HE_01 = true, HE_03 = true }

-- A refusal. more: status, field, and key = "error_type" (JSON that could not be read has that instead of
-- type).
function replies.refuse(code, message, more)
  local row = catalogue[code]
  local refusal = { code = code, type = row[2], message = message or row[3], key = "type" }
  for name, value in pairs(more or {}) do refusal[name] = value end
  refusal.status = refusal.status or row[1]
  return { status = refusal.status, refusal = refusal }
end

-- JSON that could not be read, in the words of the switch's parser.
function replies.unreadable(message, field)
  return replies.refuse("IR_06", "Json deserialize error: " .. message, {
    status = 400, key = "error_type", field = field,
  })
end

-- For what only knows a status and a text (lib.provider).
function replies.fail(status, message)
  return replies.refuse(usual[status], message, { status = status })
end

local function as_documented(refusal)
  local code, status = refusal.code, refusal.status
  if refusal.type == "connector" and status < 500 then status = 502 end
  if conflicts[code] then status = 409 end
  if code == "blocked" then status = 403 end
  if status == 405 or status == 501 then status = 404 end
  if refusal.field == "amount" and (code == "IR_05" or code == "IR_06" or code == "IR_07") then
    code, status = "CE_AMOUNT_INVALID", 400
  end
  return type_of_status[status] or "internal_error", code, status
end

local function body_of(req, refusal)
  local error = { message = refusal.message, request_id = req.id }
  if req.headers["x-sandbox-dialect"] == "documented" or refusal.documented then
    error.type, error.code, error.status = as_documented(refusal)
    if error.code == "CE_AMOUNT_INVALID" then error.message = "amount must be a positive integer" end
    error.details = { field = refusal.field }
  else
    error[refusal.key], error.code, error.status = refusal.type, refusal.code, refusal.status
  end
  return { error = error }, error.status
end

-- The members' order in the document's sample.
local ORDER = { "error", "type", "error_type", "code", "message", "request_id", "status", "details" }

local LIMIT = 1000 -- requests a minute, announced; nothing is throttled unless a fault says so

-- Completes an answer: a refusal gets its body, and every answer its headers.
function replies.finish(req, response, now_ms)
  local refusal = response.refusal
  local headers = response.headers or {}
  local limited = refusal and refusal.status == 429
  if refusal then
    response.json, response.status = body_of(req, refusal)
    response.order = ORDER
    if limited or refusal.status == 409 and refusal.code == "CE_CONFLICT" or refusal.status == 503 then
      headers["Retry-After"] = "1"
    end
    response.refusal = nil
  end
  headers["X-RateLimit-Limit"] = tostring(LIMIT)
  headers["X-RateLimit-Remaining"] = limited and "0" or tostring(LIMIT - 1)
  headers["X-RateLimit-Reset"] = tostring(now_ms // 60000 * 60 + 60)
  response.headers = headers
  return response
end

-- What the fault "error=CODE" answers: a status, a code of the switch, or a documented type.
function replies.provoked(code)
  local status = math.tointeger(tonumber(code))
  if status then return replies.fail(usual[status] and status or 500) end
  if catalogue[code] then return replies.refuse(code) end
  if documented[code] then
    local refusal = replies.fail(documented[code])
    refusal.refusal.documented = true
    return refusal
  end
  return replies.refuse("HE_00")
end

return replies
