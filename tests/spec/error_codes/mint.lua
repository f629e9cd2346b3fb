-- MINT's codes: how each is caused at the sandbox and met in a flow. w.mint is mint_support.lua.

local testing = require "mintage.testing"

local function generate(w, change, auth)
  local params = { currencyCode = "USD", ePinNominalValue = 5 }
  for name, value in pairs(change or {}) do params[name] = value or nil end
  return w.mint.generate(w.sandbox, params, auth)
end

local function redeem(w, change) return w.http("POST", "/api/pure-mint/payment", w.mint.redemption(change)) end
local function one(code) return testing.json.array { code } end

local function issue(amount, more)
  local params = { amount = amount or "5.00 USD" }
  for name, value in pairs(more or {}) do params[name] = value end
  return function() return "mint.epins.generate", params end
end

local function pay(epin, amount, user)
  return "mint.epins.redeem", { epin = epin, amount = amount or "5.00 USD", user_id = user or "12345" }
end

local BORN = "1111111111111111"

-- A generate call that is refused, and the same one made by a flow.
local function refused(change, says, client)
  return { says = says, direct = function(w) return generate(w, change) end, client = client }
end

-- A redemption that is refused; epin: how the code comes about.
local function unredeemed(change, says, client)
  return { says = says, direct = function(w) return redeem(w, change) end, client = client }
end

local cases = {
  ["-32000"] = {
    says = "Authentication error",
    direct = function(w) return w.http("POST", "/pwapi/mint", "params[currencyCode]=USD", w.form) end,
  },
  ["-32002"] = {
    says = "Login failure rate exceeded",
    direct = function(w)
      for _ = 1, 10 do w.mint.balances(w.sandbox, {}, { sign = "wrong" }) end
      return w.mint.balances(w.sandbox)
    end,
    client = issue(),
  },
  ["-32003"] = {
    says = "Requested method not exists",
    direct = function(w) return w.http("GET", "/pwapi/nothing") end,
  },
  ["-32006"] = refused({ currencyCode = false }, "Invalid requested params"),
  ["-32009"] = {
    says = "Application is absent or not correct.",
    direct = function(w) return generate(w, nil, { key = "nobody" }) end,
    as = { mint = { public_key = "nobody", private_key = "x" } },
    client = issue(),
  },
  ["-32011"] = {
    says = "Please, provide correct timestamp.",
    direct = function(w) return generate(w, nil, { timestamp = w.mint.now(w.sandbox) - 301 }) end,
  },
  ["-32012"] = {
    says = "Signature is empty or not correct.",
    direct = function(w) return generate(w, nil, { sign = "wrong" }) end,
    as = { mint = { public_key = "mint_test_public", private_key = "x" } },
    client = issue(),
  },
  ["1"] = refused({ serviceId = 403 }, "Service access error", issue(nil, { service_id = 403 })),
  ["3"] = refused({ ePinNominalValue = 9945 }, "not enough money on main account", issue "9945.00 USD"),
  ["4"] = refused({ ePinsCount = 101 }, "please check epin amount", issue(nil, { count = 101 })),
  ["5"] = refused({ ePinNominalValue = 0 }, "epin amount should not be less than 1"),
  ["6"] = refused({ countryCode = "XX" }, "wrong epin data", issue(nil, { country = "XX" })),
  ["7"] = refused({ currencyCode = "GBP" }, "wrong currency", issue "5.00 GBP"),
  ["8"] = refused({ serviceId = 5 }, "service cannot be loaded", issue(nil, { service_id = 5 })),
  ["9"] = refused({ currencyCode = "EUR" }, "no access to given currency", issue "5.00 EUR"),
  ["10"] = refused({ ePinNominalValue = 10001 }, "you exceed limited balance to generate codes", issue "10001.00 USD"),

  ["1002"] = unredeemed({ app_key = "nobody" }, "Application not loaded", function() return pay(BORN) end),
  ["1003"] = unredeemed({ user_id = "banned" }, "User banned", function() return pay(BORN, nil, "banned") end),
  ["2001"] = unredeemed({ epin = testing.json.array {} }, "Empty E-Pin"),
  ["2002"] = unredeemed({ app_key = "" }, "Empty project key"),
  ["2003"] = unredeemed({ amount = 0 }, "Wrong amount"),
  ["2004"] = unredeemed({ currency = "UAH" }, "Wrong currency", function() return pay(BORN, "5.00 UAH") end),
  ["2005"] = unredeemed({ epin = BORN }, "Epin is not array"),
  ["2006"] = unredeemed({ user_id = "" }, "Empty user id"),
  ["3001"] = unredeemed({ app_key = "app_inactive" }, "Mint is not activated for this project",
    function() return pay(BORN) end),
  ["3003"] = {
    says = "Epin is not activated",
    direct = function(w)
      w.code = w.mint.epin(w.sandbox, { activationRequired = 1 })
      return redeem(w, { epin = one(w.code) })
    end,
    client = function(w) return pay(w.code) end,
  },
  ["3004"] = {
    says = "Epin duplicate",
    direct = function(w)
      redeem(w, { amount = 10.12 })
      return redeem(w, { amount = 10.12 })
    end,
    client = function() return pay(BORN) end,
  },
  ["3005"] = unredeemed({ app_key = "app_other" }, "Epin is not available for this application",
    function() return pay(BORN) end),
  ["3006"] = unredeemed({ epin = one "2222222222222222" }, "Epin is invalid", function() return pay "2222222222222222" end),
  ["3007"] = unredeemed({ epin = testing.json.array { BORN, BORN } }, "Only one epin is allowed"),
  ["3009"] = unredeemed({ amount = 10.13 }, "Epin insufficient funds", function() return pay(BORN, "10.13 USD") end),
  ["4001"] = {
    says = "Maximum attempts exceeded",
    direct = function(w)
      for _ = 1, 10 do redeem(w, { epin = one "2222222222222222" }) end
      return redeem(w)
    end,
    client = function() return pay(BORN) end,
  },
  ["3002"] = {
    says = "Epin expired",
    direct = function(w)
      w.code = w.mint.epin(w.sandbox)
      w.advance "366d"
      return redeem(w, { epin = one(w.code) })
    end,
    client = function(w) return pay(w.code) end,
  },

  ["-32001"] = { none = "the test account is a reseller's", says = "Partner type not exists" },
  ["-32004"] = { none = "a failure inside", says = "Method unsuccessful" },
  ["-32005"] = { none = "the test account may use both APIs", says = "Current API not allowed for type" },
  ["-32007"] = { none = "there is one version", says = "Invalid API version" },
  ["-32008"] = { none = "nobody signs up", says = "Sign Up failed please try again" },
  ["-32010"] = { none = "the API has no tokens", says = "Token is not valid." },
  ["2"] = { none = "a failure inside", says = "Epin generate error" },
  ["1001"] = { none = "a failure inside", says = "General internal error" },
  ["3008"] = { none = "a failure inside", says = "Epin tracking failure" },
  ["4007"] = { none = "a wrong key is -32009 here", says = "API key is invalid" },
}

for code, app in pairs { ["1002"] = "nobody", ["3001"] = "app_inactive", ["3005"] = "app_other" } do
  cases[code].as = { mint = { app_key = app } }
end
-- 2004 and 3009 are about an ePIN that exists; born when it is first asked for.
cases["2004"].direct = function(w)
  local code = w.mint.epin(w.sandbox, { ePinNominalValue = 5 })
  w.code = code
  return redeem(w, { epin = one(code), currency = "UAH", amount = 5 })
end
cases["2004"].client = function(w) return pay(w.code, "5.00 UAH") end

-- The page's HTTP statuses, where no code comes with them: what stands between answers so.
for code, says in pairs {
  ["401"] = "Unauthorized", ["402"] = "Payment Required", ["403"] = "Forbidden", ["404"] = "Not Found",
  ["405"] = "Method Not Allowed", ["415"] = "Unsupported Media Type", ["422"] = "Unprocessable Content",
  ["429"] = "Too Many Requests", ["500"] = "Internal Server Error", ["502"] = "Bad Gateway", ["503"] = "Service Unavailable",
  ["504"] = "Gateway Timeout",
} do
  cases[code] = {
    status = tonumber(code),
    bare = { status = tonumber(code), body = "" },
    client_says = says,
    client = function() return "mint.balances.list", {} end,
  }
end
cases["401"].direct = function(w) return generate(w, nil, { sign = "wrong" }) end
cases["402"].direct = function(w) return generate(w, { ePinNominalValue = 9945 }) end
cases["403"].direct = function(w) return generate(w, { serviceId = 403 }) end
cases["404"].direct = function(w) return w.http("GET", "/pwapi/nothing") end
cases["405"].direct = function(w) return w.http("PUT", "/pwapi/mint", "") end
cases["415"].direct = function(w) return w.http("POST", "/pwapi/mint", "<a/>", { ["Content-Type"] = "text/xml" }) end
cases["422"].direct = function(w) return generate(w, { currencyCode = "GBP" }) end
cases["429"].direct = cases["-32002"].direct
for _, code in ipairs { "500", "502", "503", "504" } do cases[code].none = "a failure inside or on the way" end

return {
  text_of = function(response)
    local body = response.json
    return body.error_message or body.error and body.error.message
  end,
  code_of = function(response)
    local body = response.json
    return tostring(body.error_code or body.error and body.error.code)
  end,
  operation = function(code) return #code == 4 and code ~= "4007" and "epins.redeem" or "epins.generate" end,
  read = function(_, code)
    if #code == 4 and code ~= "4007" then return pay(BORN, nil, "12345") end
    return issue()()
  end,
  cases = cases,
}
