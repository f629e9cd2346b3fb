-- wrk's side of tests/bench/bench.sh: POSTs {"id":"..."} with a new id each time; PATH_AND_QUERY, TOKEN and
-- NAME come from the environment.
local path, token = os.getenv "PATH_AND_QUERY", os.getenv "TOKEN"
local headers = { ["Content-Type"] = "application/json" }
if token and token ~= "" then headers["Authorization"] = "Bearer " .. token end
local n, run, thread_number = 0, os.time(), 0

function setup(thread)
  thread:set("number", thread_number)
  thread_number = thread_number + 1
end

function request()
  n = n + 1
  return wrk.format("POST", path, headers, ('{"id":"w%x-%d-%x"}'):format(run, number, n))
end

function done(summary, latency)
  local errors = summary.errors
  local rate = summary.requests / summary.duration * 1e6
  io.write(("RESULT %s %.1f %.2f %.2f %d\n"):format(os.getenv "NAME", rate,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
