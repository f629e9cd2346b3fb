-- `mintage test --json`: one object when all is done, a member a test.

local native = require "mintage.testing.native"

return function()
  local busted = require "busted"
  local handler = require "busted.outputHandlers.base"()
  local tests, other, current = {}, {}, nil

  busted.subscribe({ "test", "start" }, function(element)
    current = {
      name = handler.getFullName(element), file = element.trace and element.trace.short_src,
      line = element.trace and element.trace.currentline,
    }
    return nil, true
  end)
  busted.subscribe({ "test", "end" }, function(element, _, status)
    current.status, current.seconds = status, element.duration
    tests[#tests + 1], current = current, nil
    return nil, true
  end)
  for _, kind in ipairs { "failure", "error" } do
    busted.subscribe({ kind }, function(element, _, message)
      if element.descriptor == "it" and current then
        current.message = tostring(message)
      else
        other[#other + 1] = { name = handler.getFullName(element), message = tostring(message) }
      end
      return nil, true
    end)
  end
  busted.subscribe({ "suite", "end" }, function()
    local count = {}
    for _, test in ipairs(tests) do count[test.status] = (count[test.status] or 0) + 1 end
    io.write(native.encode {
      successes = count.success or 0, failures = count.failure or 0, errors = (count.error or 0) + #other,
      pendings = count.pending or 0, seconds = handler.getDuration(),
      tests = native.array(tests), other = native.array(other),
    }, "\n")
    return nil, true
  end)
  return handler
end
