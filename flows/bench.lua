-- Three HTTP steps, each journaled before the next: what the benchmark measures. The target knows the work by
-- its idempotency key, so that a crash in the middle repeats no step.

local flow = require "mintage.flow"
local http = require "mintage.http"

return flow.define {
  name = "bench",
  title = "Benchmark",
  input = { id = "string", target = "url?" },

  run = function(input)
    for step = 1, 3 do
      http.post {
        url = input.target or "http://127.0.0.1:9911/step",
        idempotency_key = input.id .. "-" .. step,
        json = { wf = input.id, step = step, amount = 1999 },
      }
    end
    return { ok = true }
  end,
}
