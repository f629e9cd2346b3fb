-- MINT's answers: every documented code with its words and HTTP status, in the shape of its API. Each has a
-- reference.

local ids = require "lib.ids"

local replies = {}

replies.messages = {
  [-32000] = "Authentication error",
  [-32001] = "Partner type not exists",
  [-32002] = "Login failure rate exceeded",
  [-32003] = "Requested method not exists",
  [-32004] = "Method unsuccessful",
  [-32005] = "Current API not allowed for type",
  [-32006] = "Invalid requested params",
  [-32007] = "Invalid API version",
  [-32008] = "Sign Up failed please try again",
  [-32009] = "Application is absent or not correct.",
  [-32010] = "Token is not valid.",
  [-32011] = "Please, provide correct timestamp.",
  [-32012] = "Signature is empty or not correct.",
  [1] = "Service access error",
  [2] = "Epin generate error",
  [3] = "not enough money on main account",
  [4] = "please check epin amount",
  [5] = "epin amount should not be less than 1",
  [6] = "wrong epin data",
  [7] = "wrong currency",
  [8] = "service cannot be loaded",
  [9] = "no access to given currency",
  [10] = "you exceed limited balance to generate codes",
  [1001] = "General internal error",
  [1002] = "Application not loaded",
  [1003] = "User banned",
  [2001] = "Empty E-Pin",
  [2002] = "Empty project key",
  [2003] = "Wrong amount",
  [2004] = "Wrong currency",
  [2005] = "Epin is not array",
  [2006] = "Empty user id",
  [3001] = "Mint is not activated for this project",
  [3002] = "Epin expired",
  [3003] = "Epin is not activated",
  [3004] = "Epin duplicate",
  [3005] = "Epin is not available for this application",
  [3006] = "Epin is invalid",
  [3007] = "Only one epin is allowed",
  [3008] = "Epin tracking failure",
  [3009] = "Epin insufficient funds",
  [4001] = "Maximum attempts exceeded",
  [4007] = "API key is invalid",
}

local by_status = {
  [401] = { -32000, -32009, -32010, -32011, -32012, 4007 },
  [402] = { -32004, -32008, 2, 3, 10 },
  [403] = { -32001, -32005, 1, 9 },
  [404] = { -32003 },
  [422] = { -32006, -32007, 4, 5, 6, 7, 8 },
  [429] = { -32002 },
}
local status_of = {}
for status, codes in pairs(by_status) do
  for _, code in ipairs(codes) do status_of[code] = status end
end

-- The seed's HTTP statuses, for "error=503" and the like: the code that goes with each.
local code_of = {
  [401] = -32000, [402] = -32004, [403] = -32001, [404] = -32003, [405] = -32003, [415] = -32006,
  [422] = -32006, [429] = -32002,
}

-- The members' order in the document's samples.
local ORDER = {
  "success", "data", "pin_id", "pin_code", "pin_time_expired", "pin_generated_time", "pin_nominal_value",
  "cu_code", "cu_id", "pin_tr_amount", "balance_amount", "error", "code", "message", "reference",
}
local REDEEMED = { "change_amount", "change_currency", "success", "reference" }
local NOT_REDEEMED = { "success", "error_code", "error_message", "reference" }

local function reference() return string.format("%d", ids.number()) end

-- A success of the reseller API, and its reference.
function replies.ok(data)
  local number = reference()
  return { json = { success = true, data = data, reference = number }, order = ORDER }, number
end

function replies.fail(code, status)
  return {
    status = status or status_of[code] or 422,
    json = {
      success = false,
      error = { code = code, message = replies.messages[code] },
      reference = reference(),
    },
    order = ORDER,
  }
end

-- The redemption API's two, always under HTTP 200.
function replies.redeemed(change, currency)
  return { json = {
    success = 1,
    change_amount = change,
    change_currency = currency,
    reference = reference(),
  }, order = REDEEMED }
end

function replies.not_redeemed(code, message)
  return { json = {
    success = 0,
    error_code = code,
    error_message = message or replies.messages[code],
    reference = reference(),
  }, order = NOT_REDEEMED }
end

-- What the fault "error=CODE" answers.
function replies.fault(text)
  local code = math.tointeger(tonumber(text)) or 500
  if replies.messages[code] then
    if code >= 1000 and code ~= 4007 then return replies.not_redeemed(code) end
    return replies.fail(code)
  end
  if code >= 600 then return replies.not_redeemed(code, "Error description") end
  local response = replies.fail(code_of[code] or -32004, code >= 400 and code or 500)
  if code >= 500 or code < 400 then
    response.json.error = { code = response.status, message = "Paymentwall server error" }
  end
  if code == 429 or code == 503 then response.headers = { ["Retry-After"] = "1" } end
  return response
end

return replies
