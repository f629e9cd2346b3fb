-- Any state of the checkout page: publishes what it is given, then what is signalled, and ends as it is told.

local flow = require "mintage.flow"

return flow.define {
  name = "page",
  run = function(input)
    flow.progress(input.progress)
    for change in flow.events("page", flow.id()) do
      if change.fail then flow.fail(change.fail) end
      if change.done then return change.done end
      flow.progress(change.progress)
    end
  end,
}
