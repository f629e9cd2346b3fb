-- `mintage test`: hosts busted. Without --crash, --faults and --replay each test runs as busted runs it, with its
-- worlds judged at its end; with them, it runs again for each point and schedule (explore.lua).

local options = require "mintage.testing.options"
local explore = require "mintage.testing.explore"
local registry = require "mintage.testing.registry"

-- busted hands its insides to whoever is called with them; so they are met here.
local init = getmetatable(require "busted")
local original = init.__call

init.__call = function(self, busted)
  local result = original(self, busted)
  local block = require "busted.block"(busted)

  -- What a failed test says ends with what there is to see of its worlds.
  local rewrite = busted.rewriteMessage
  busted.rewriteMessage = function(element, message, trace)
    local text = rewrite(element, message, trace)
    local worlds = element.descriptor == "it" and #registry.opened > 0 and registry.report() or ""
    return worlds == "" and text or text .. "\n\n" .. worlds
  end

  explore.install(busted, block, options)

  -- As busted's own executor of tests, but for the worlds.
  busted.register("it", function(element)
    local parent = busted.context.parent(element)
    if not block.lazySetup(parent) then return end
    if not element.env then element.env = {} end
    local finally
    block.rejectAll(element)
    element.env.finally = function(fn) finally = fn end
    element.env.pending = busted.pending

    local function body()
      element.run()
      registry.judge()
    end

    explore.begin(element)
    local pass, ancestor = block.execAll("before_each", parent, true)
    local status = busted.status "success"
    if pass then
      if busted.safe_publish("test", { "test", "start" }, element, parent) then
        status:update((busted.safe("it", body, element)))
        if finally then
          block.reject("pending", element)
          status:update((busted.safe("finally", finally, element)))
        end
      else
        status = busted.status "error"
      end
      busted.safe_publish("test", { "test", "end" }, element, parent, tostring(status))
    end
    block.dexecAll("after_each", ancestor, true)
    local worlds = registry.close()

    if pass and status:success() and #worlds > 0 then
      explore.test(element, parent, worlds, function()
        finally = nil
        local passes, from = block.execAll("before_each", parent, true)
        if passes then
          busted.safe("it", body, element)
          if finally then busted.safe("finally", finally, element) end
        end
        block.dexecAll("after_each", from, true)
      end)
    end
  end)
  return result
end

-- What ends the process before any test has begun is wrong usage.
local exit = os.exit
function os.exit(code, ...) -- luacheck: ignore 122
  exit(code ~= 0 and not explore.began() and 2 or code, ...)
end

load("require 'busted.runner' { standalone = false }", "=mintage test")()
