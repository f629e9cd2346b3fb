-- The bank that random flows call: charges (with a key), unsafe posts (without), things (put, get), all counted.
-- It keeps what happened, in order, and answers a repeated key as it did the first time.

local Bank = {}
Bank.__index = Bank

local function new()
  return setmetatable({ charges = {}, keys = {}, refunds = {}, unsafe = {}, things = {}, order = {} }, Bank)
end

local DECLINED = 402

-- method, path ("/charges/x"), decoded body, idempotency key -> status, answer.
function Bank:handle(method, path, body, key)
  local kind, id = path:match("^/(%a+)/(.+)$")
  if kind == "charges" and method == "POST" then
    if not self.keys[key] then
      local declined = body.amount % 7 == 0
      self.keys[key] = declined and { DECLINED, { error = "declined" } } or { 200, { amount = body.amount } }
      if not declined then
        self.charges[id] = (self.charges[id] or 0) + 1
        self.order[#self.order + 1] = "charge " .. id
      end
    end
    return table.unpack(self.keys[key])
  elseif kind == "charges" and method == "DELETE" then
    if not self.refunds[id] then
      self.refunds[id] = true
      self.order[#self.order + 1] = "refund " .. id
    end
    return 200, { refunded = true }
  elseif kind == "unsafe" and method == "POST" then
    self.unsafe[id] = (self.unsafe[id] or 0) + 1
    return 200, { done = true }
  elseif kind == "things" and method == "PUT" then
    self.things[id] = body.value
    return 200, { value = body.value }
  elseif kind == "things" and method == "GET" then
    return self.things[id] and 200 or 404, { value = self.things[id] }
  end
  return 404, { error = "not_found" }
end

return { new = new, DECLINED = DECLINED }
