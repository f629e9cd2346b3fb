-- The work that tests/bench measures for every peer: three HTTP effects, each journaled before the
-- next begins.
local flow = require "mintage.flow"
local http = require "mintage.http"

return flow.define {
  name = "bench",
  input = { id = "string", port = "integer?" },

  run = function(order)
    local url = "http://127.0.0.1:" .. (order.port or 9911) .. "/step"
    for step = 1, 3 do
      http.post {
        url = url,
        idempotency_key = order.id .. "-" .. step,
        json = { wf = order.id, step = step, amount = 1999 },
      }
    end
    return { ok = true }
  end,
}
