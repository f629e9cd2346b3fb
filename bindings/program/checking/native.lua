-- What C tells the checker (check_native.c), with JSON taken off.

local c = require "mintage.checking.c"

local native = {
  nearest = c.nearest, duration = c.duration, money = c.money, currency = c.currency, param = c.param,
  is_provider = c.is_provider, encode = c.encode,
  defined = c.defined,
}

-- What the VM says of a module's or a global's member: see ask.lua.
function native.ask(question) return c.decode(c.ask(c.encode(question))) end

local operations = {}

-- The row of an operation by its full name: { kind, ["repeat"], params = { { name, type, required, doc } }
-- }; or nil.
function native.operation(name)
  if operations[name] == nil then
    local text = c.operation(name)
    operations[name] = text and c.decode(text) or false
  end
  return operations[name] or nil
end

return native
