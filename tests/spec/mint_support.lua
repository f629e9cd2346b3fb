-- What the MINT specs share: signing with md5sum (not with anything of Mintage's), the sandbox's time, forms. Loaded with
-- dofile, as specs are run from any folder.

local testing = require "mintage.testing"

local support = { KEY = "mint_test_public", PRIVATE = "mint_test_private", APP = "32a13829f2635187" }

function support.md5(text)
  local pipe = assert(io.popen("printf %s '" .. text .. "' | md5sum"))
  local sum = pipe:read "a"
  pipe:close()
  return sum:match "^%x+"
end

local function encode(text)
  return (text:gsub("[^%w_.~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

-- {a = 1} as a form, in the order of the names.
function support.form(values)
  local names, parts = {}, {}
  for name in pairs(values) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = encode(name) .. "=" .. encode(tostring(values[name])) end
  return table.concat(parts, "&")
end

function support.multipart(values)
  local parts = {}
  for name, value in pairs(values) do
    parts[#parts + 1] = ('--XyZ\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'):format(name, value)
  end
  return table.concat(parts) .. "--XyZ--\r\n", { ["Content-Type"] = "multipart/form-data; boundary=XyZ" }
end

-- The sandbox's time in seconds since 1970.
function support.now(sandbox)
  local text = sandbox:http("GET", "/_sandbox/clock").json.now
  local year, month, day, hour, min, sec = text:match "^(%d+)-(%d+)-(%d+)T(%d+):(%d+):(%d+)"
  local function as_local(t) return os.time { year = t.year, month = t.month, day = t.day, hour = t.hour, min = t.min,
    sec = t.sec, isdst = false } end
  local at = as_local { year = year, month = month, day = day, hour = hour, min = min, sec = sec }
  return at + (at - as_local(os.date("!*t", at))) -- the machine's zone is no matter
end

-- auth for these params (without brackets in their names); change overrides its members.
function support.auth(sandbox, params, change)
  change = change or {}
  local names, values = {}, {}
  for name in pairs(params) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do values[i] = tostring(params[name]) end
  local at = change.timestamp or support.now(sandbox)
  local auth = { key = support.KEY, timestamp = at }
  auth.sign = support.md5(auth.key .. at .. table.concat(values) .. support.PRIVATE)
  for name, value in pairs(change) do auth[name] = value or nil end
  return auth
end

-- All fields of a signed request, with brackets. A member of change that is false is left out.
function support.signed(sandbox, params, change)
  local fields = {}
  for name, value in pairs(support.auth(sandbox, params, change)) do fields["auth[" .. name .. "]"] = value end
  for name, value in pairs(params) do fields["params[" .. name .. "]"] = value end
  return fields
end

function support.generate(sandbox, params, change, path)
  return sandbox:http("POST", path or "/pwapi/mint", support.form(support.signed(sandbox, params, change)),
    { ["Content-Type"] = "application/x-www-form-urlencoded" })
end

function support.balances(sandbox, params, change)
  return sandbox:http("GET", "/pwapi/mint-balances?" .. support.form(support.signed(sandbox, params or {}, change)))
end

-- One ePIN's code, as printed.
function support.epin(sandbox, params)
  local wanted = { currencyCode = "USD", ePinNominalValue = 10 }
  for name, value in pairs(params or {}) do wanted[name] = value end
  local response = support.generate(sandbox, wanted)
  assert(response.status == 200, response.body)
  return response.json.data[1].pin_code
end

-- The seed's sample with some members changed; false leaves one out.
function support.redemption(change)
  local body = { amount = 10, app_key = support.APP, currency = "USD", epin = testing.json.array { "1111111111111111" },
    user_id = "12345" }
  for name, value in pairs(change or {}) do body[name] = value or nil end
  return body
end

function support.redeem(sandbox, change) return sandbox:http("POST", "/api/pure-mint/payment", support.redemption(change)).json end

return support
