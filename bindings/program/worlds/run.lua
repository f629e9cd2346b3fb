-- A run of a simulated world. Every field is read afresh from the runtime (`run.state`, `run.output`, ...), which
-- costs no virtual time; every deed is an operator's.

local native = require "mintage.testing.native"
local values = require "mintage.testing.values"

---@class mintage.world.Run
---@field id string
---@field key string
---@field flow string
---@field state "queued"|"running"|"sleeping"|"waiting"|"compensating"|"completed"|"failed"|"cancelled"|"needs_attention"
---@field input table
---@field output any what the flow returned
---@field error? { kind: string, message: string }
---@field progress table what others may see of it
---@field waiting_for? table
---@field due_at? string
---@field segment integer
---@field generation string
---@field checkout_url string
local Run = {}

local ended = { completed = true, failed = true, cancelled = true }
local methods = {}

function Run.__index(run, name)
  if methods[name] then return methods[name] end
  return rawget(run, "world"):look_at("/v1/runs/" .. rawget(run, "id"))[name]
end

function Run.__tostring(run) return rawget(run, "id") end

Run.methods = methods

function Run.__eq(a, b) return rawget(a, "id") == rawget(b, "id") end

function methods.has_ended(run) return ended[run.state] or false end

---Lets time pass until the run has ended or needs a person; fails, with its story, when it has not by then.
---@param within? string how long at most, "1h" unless given
---@return mintage.world.Run
function methods.wait(run, within)
  return run:wait_for(function(state) return ended[state] or state == "needs_attention" end, within,
    "has ended")
end

---Lets time pass until the run is in a state: `run:wait_for("waiting")`, or until a function of its state answers
---something true.
---@param state string|fun(state: string): any
---@param within? string
---@return mintage.world.Run
function methods.wait_for(run, state, within, what)
  local reached = type(state) == "function" and state or function(found) return found == state end
  local done = run.world:passes(function() return reached(run.state) end, within or "1h")
  if done then return run end
  error(("waited %s in vain until %s %s; it is %s"):format(within or "1h", run.id,
    what or type(state) == "function" and "is as it was to be" or "is " .. tostring(state), run.state), 2)
end

---Its effects, in order.
---@return table[]
function methods.journal(run)
  local all, cursor = {}, "0"
  repeat
    local page = run.world:look_at(("/v1/runs/%s/journal?limit=1000&cursor=%s"):format(run.id, cursor))
    table.move(page.data, 1, #page.data, #all + 1, all)
    cursor = page.next_cursor
  until not cursor
  return all
end

---What happened, in the words of `mintage runs show`.
---@return string
function methods.story(run)
  local id = rawget(run, "id")
  local world = rawget(run, "world")
  return native.story(world:look_at_text("/v1/runs/" .. id),
    world:look_at_text("/v1/runs/" .. id .. "/journal?limit=1000"), world:now_ms())
end

-- ---- an operator's ----

-- Called last, so that the spec's own line is the one to blame.
local function deed(run, name, body)
  local answer = run.world:api("POST", ("/v1/runs/%s/%s"):format(run.id, name), body or {})
  if answer.status >= 300 and not (answer.again and answer.status == 409) then
    error(("%s %s: %d %s"):format(name, run.id, answer.status, answer.body), 2)
  end
  return run
end

---@param reason? string
---@return mintage.world.Run
function methods.cancel(run, reason) return deed(run, "cancel", { reason = reason }) end

---Carries on a run that needs attention.
---@return mintage.world.Run
function methods.retry(run) return deed(run, "retry") end

---Settles by hand an effect whose outcome is not known.
---@param effect { seq?: integer, outcome: "done"|"rejected"|"not_sent", value?: any, error?: table } no seq: the open one
---@return mintage.world.Run
function methods.resolve(run, effect)
  local seq, segment = effect.seq, nil
  for _, entry in ipairs(run:journal()) do
    local open = not entry.outcome or entry.outcome == "unknown"
    if entry.seq == effect.seq or (not effect.seq and open) then seq, segment = entry.seq, entry.segment end
  end
  return deed(run, "resolve", {
    segment = segment, seq = seq, outcome = effect.outcome, error = effect.error,
    value = effect.value == nil and effect.outcome == "done" and native.null or effect.value,
  })
end

---Appends to a topic that some run awaits.
---@param topic string
---@param key string
---@param payload any
---@return mintage.world.Run
function methods.signal(run, topic, key, payload)
  local world = run.world
  local list = ("/v1/events?limit=1000&topic=%s&key=%s"):format(topic, key)
  local before = #world:look_at(list).data
  local done, answer
  repeat -- it is no hint: one that may have arrived is not sent again before that is known
    answer = world:api_once("POST", ("/v1/runs/%s/signal"):format(run.id),
      { topic = topic, key = key, payload = payload })
    done = answer or #world:look_at(list).data > before
  until done
  if answer and answer.status >= 300 then error(("signal: %d %s"):format(answer.status, answer.body), 2) end
  return run
end

---Moves the run to the newest code, if it agrees with what has happened so far.
---@return { outcome: string, message?: string } # outcome "moved", "parts_ways", ...
function methods.migrate(run)
  local answer = run.world:api("POST", "/v1/runs/migrate", { run = run.id })
  if answer.status >= 300 then error(("migrate: %d %s"):format(answer.status, answer.body), 2) end
  local of = values.decode(answer.body).data[1]
  return of or { outcome = "nothing" }
end

return function(world, id) return setmetatable({ world = world, id = id }, Run) end
