-- The control API of the sandbox: what a test asserts on, and what it makes happen. No credentials; the
-- server listens on loopback only. The clock, wiping and deliveries are the program's own (/_sandbox/clock,
-- /_sandbox/state, /_sandbox/webhooks); the rest is here.

local clock = require "lib.clock"
local faults = require "lib.faults"
local journal = require "lib.journal"
local json = require "mintage.json"
local provider = require "lib.provider"
local web = require "mintage.web"
local webhooks = require "lib.webhooks"

local titles = {
  [400] = "Bad Request", [404] = "Not Found", [409] = "Conflict", [422] = "Unprocessable Content",
}

local function problem(status, detail)
  return {
    status = status,
    headers = { ["Content-Type"] = "application/problem+json" },
    body = json.encode { type = "about:blank", title = titles[status], status = status, detail = detail },
  }
end

local function route(method, path, handler)
  web[method]("/_sandbox" .. path, { public = true }, handler)
end

-- A route with a JSON body: malformed ones never reach the handler.
local function posted(method, path, handler)
  route(method, path, function(req)
    local body, malformed = provider.body(req)
    if not body then return problem(400, malformed) end
    return handler(body, req)
  end)
end

local LIMIT = 1000

-- What is asked for by a query, and the limit; or nil and a refusal. An unknown filter is refused, lest it
-- filter nothing.
local function filters_of(req, known, most)
  local filters, limit = {}, LIMIT
  for name, value in pairs(req.query) do
    if name == "limit" then
      limit = value:find "^%d+$" and #value < 8 and math.tointeger(tonumber(value)) or 0
      if limit < 1 or limit > most then
        return nil, problem(422, ("limit must be an integer from 1 to %d"):format(most))
      end
    elseif known[name] then
      filters[name] = value
    else
      return nil, problem(422, ('there is no filter "%s"'):format(name))
    end
  end
  return filters, limit
end

-- An answer that may be larger than a value of a script's (1 MiB).
local function large(answer)
  return { headers = { ["Content-Type"] = "application/json" }, body = json.encode(answer) }
end

-- A list: when it is cut, `next` is what to ask for `after`.
local function listed(list, known)
  return function(req)
    local filters, limit = filters_of(req, known, 10000)
    if not filters then return limit end
    local found, more = list(filters, limit)
    return large { data = json.array(found), next = more }
  end
end

route("get", "/requests", listed(journal.requests, {
  provider = true, reference = true, method = true, path = true, operation = true, after = true,
}))
route("get", "/ledger", listed(journal.ledger, {
  provider = true, reference = true, kind = true, after = true,
}))

-- One of a provider's lists. What is cut at the limit is named in `next`, by "provider.list": ask for that
-- list after that row.
local function pager(name, filters, limit, more)
  return function(of, documents, show)
    local list, out = name .. "." .. of, json.array {}
    if filters.list and filters.list ~= list then return nil end
    local rows = documents:list { limit = limit, after = filters.list and filters.after or nil }
    for i, row in ipairs(rows) do out[i] = show(row) end
    if #rows == limit then more[list] = rows[#rows].id end
    return out
  end
end

route("get", "/state", function(req)
  local filters, limit = filters_of(req, { provider = true, list = true, after = true }, LIMIT)
  if not filters then return limit end
  local only = filters.provider or (filters.list and (filters.list:match "^(%w+)%." or filters.list))
  if only and not provider.all[only] then return problem(422, ('there is no provider "%s"'):format(only)) end
  if filters.after and not filters.list then return problem(422, "after wants a list") end
  local state, more = { now = clock.text(), endpoints = webhooks.endpoints(), providers = {} }, {}
  for name, emulated in pairs(provider.all) do
    if not only or only == name then
      state.providers[name] = emulated.state and emulated.state(pager(name, filters, limit, more), req) or {}
    end
  end
  state.next = next(more) and more
  return large(state)
end)

posted("post", "/faults", function(body)
  local fault, wrong = faults.arm(body)
  if not fault then return problem(422, wrong) end
  return { status = 201, json = fault }
end)

route("get", "/faults", function() return { json = { data = json.array(faults.list()) } } end)

route("delete", "/faults", function()
  local left = faults.disarm_all()
  if left > 0 then return problem(409, left .. " faults are left, too many for one go: ask again") end
  return { status = 204 }
end)

posted("put", "/endpoints", function(body)
  local known = {}
  for name, emulated in pairs(provider.all) do known[name] = emulated.webhooks end
  local done, wrong = webhooks.set_endpoints(body, known)
  if not done then return problem(422, wrong) end
  return { status = 204 }
end)

route("get", "/endpoints", function() return { json = webhooks.endpoints() } end)

local function names(of)
  local out = {}
  for name in pairs(of) do out[#out + 1] = name end
  table.sort(out)
  return #out > 0 and table.concat(out, ", ") or "none"
end

-- What a customer does on a provider's page, without the page.
posted("post", "/pay", function(body, req)
  if body.action ~= nil and body.action ~= "cancel" and body.action ~= "fail" then
    return problem(422, "action must be cancel or fail")
  end
  local fields = {}
  for _, emulated in pairs(provider.all) do
    for _, payable in ipairs(emulated.payables or { emulated.payable }) do
      fields[payable.field] = true
      if body[payable.field] ~= nil then
        local call = { own_fault = req.headers["x-sandbox-fault"] }
        local status, answer = payable.pay(body[payable.field], body, call)
        if status ~= 200 then return problem(status, answer) end
        return { json = answer }
      end
    end
  end
  return problem(422, "say who pays what; there are: " .. names(fields))
end)

posted("post", "/balance", function(body)
  local having = {}
  for name, emulated in pairs(provider.all) do
    if emulated.balance then having[name] = true end
  end
  local emulated = having[body.provider] and provider.all[body.provider]
  if not emulated then
    return problem(422, "provider must be one that keeps a balance; there are: " .. names(having))
  end
  local wrong = emulated.balance(body)
  if wrong then return problem(422, wrong) end
  return { status = 204 }
end)

-- Something that one provider alone can do.
local function done_by(name, refusal)
  posted("post", "/" .. name, function(body)
    for _, emulated in pairs(provider.all) do
      if emulated[name] then
        local status, answer = emulated[name](body)
        if status ~= 200 then return problem(status, answer) end
        return { json = answer }
      end
    end
    return problem(404, refusal)
  end)
end

-- Makes usable what was issued inactive.
done_by("activate", "no provider issues anything that wants activating")
-- Makes an ePIN that a customer has bought elsewhere.
done_by("issue", "no provider issues ePINs")
