-- run:follow(): prints effects as they begin and as they are answered, until the run ends, needs attention,
-- or the command is interrupted; what is waited for does not count for its time.
local native, need = ...
local ask, text = need "console.ask", need "console.text"

local EVERY_MS, AT_MOST_S = 300, 3600

local ends = { completed = true, failed = true, cancelled = true, needs_attention = true }

local function tell(entry)
  local outcome = entry.outcome
  local color = outcome == "done" and "green" or outcome and "red" or "yellow"
  local line = ("%4d  %-10s %-34s %s"):format(entry.seq, entry.kind, text.cut(entry.name or "", 34),
    text.paint(color, outcome or "..."))
  local answer = entry.error or entry.result
  if outcome and answer ~= nil then
    local said = type(answer) == "table" and answer.message and answer.kind
      and ("%s: %s"):format(answer.kind, answer.message) or text.say(answer)
    line = line .. "  " .. text.paint("dim", text.cut(said, math.max(native.session.width - 62, 30)))
  end
  native.output(line .. "\n")
end

local function seconds(limit)
  if limit == nil then return AT_MOST_S end
  local ok, s = pcall(need "mintage.time".duration, limit)
  if not ok then error("run:follow: wanted how long at most, such as \"10m\"", 3) end
  return math.min(s, AT_MOST_S)
end

return function(run, limit)
  local path = "/v1/runs/" .. ask.id(run.id)
  local left, at, told = seconds(limit) * 1000, 0, {}
  native.output(("%s %s\n"):format(run.flow, run.id))
  while true do
    local page = ask.get(path .. "/journal", { cursor = at, limit = 200 })
    local answered = true
    for i, entry in ipairs(page.data) do
      local place = at + i
      local now = entry.outcome or "open"
      if told[place] ~= now then tell(entry) end
      told[place] = now
      answered = answered and entry.outcome ~= nil
      if answered then told[place - 1] = nil end
    end
    -- entries before the first that has no answer will not change any more
    local done = 0
    for _, entry in ipairs(page.data) do
      if entry.outcome == nil then break end
      done = done + 1
    end
    at = at + done
    if not page.next_cursor or done == 0 then
      run:refresh()
      if ends[run.state] and done == #page.data then break end
      if left <= 0 or not native.pause(EVERY_MS) then break end
      left = left - EVERY_MS
    end
  end
  native.output(text.paint(text.state_color(run.state), run.state) .. "\n")
end
