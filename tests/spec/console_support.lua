-- Commands at a runtime's console, for the specs of its objects.

local testing = require "mintage.testing"
local support = {}

-- Runs Lua at the console: what it printed. Fails when it failed.
function support.at(runtime, options)
  options = options or {}
  local function args(commands)
    local all = { "repl", "--data", runtime.data }
    for _, option in ipairs(options) do all[#all + 1] = option end
    for _, command in ipairs(commands) do
      all[#all + 1] = "-e"
      all[#all + 1] = command
    end
    return all
  end

  local function prints(...)
    local result = testing.run(args { ... })
    if result.code ~= 0 then error(result.err .. result.out, 2) end
    return result.out
  end

  local function fails(...)
    local result = testing.run(args { ... })
    if result.code ~= 1 then error(("wanted exit code 1, found %s:\n%s"):format(tostring(result.code), result.out), 2) end
    return result.err
  end

  return prints, fails
end

return support
