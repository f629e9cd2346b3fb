-- Time travel: a run as it stood at an effect, and what other code would have done. The runtime replays the
-- run, dry, each time it is asked; a travel here is its last answer, and how to ask again.
local native, need = ...
local ask, text = need "console.ask", need "console.text"
local paint, show = text.paint, text.show

local Travel, travel = {}, {}
local how = setmetatable({}, { __mode = "k" }) -- travel -> what is asked for

local function go(t, change)
  local asked = {}
  for name, value in pairs(how[t]) do asked[name] = value end
  for name, value in pairs(change or {}) do asked[name] = value end
  local path = "/v1/runs/" .. ask.id(asked.run) .. "/travel"
  local query = {
    at = asked.at, segment = asked.segment, look = asked.look, level = asked.level,
    generation = asked.generation,
  }
  if asked.files or asked.code then
    query.files, query.code, query.whole = asked.files, asked.code, asked.whole
    return ask.read(path, query), asked
  end
  return ask.get(path, query), asked
end

local function move(t, at)
  local answer, asked = go(t, { at = at })
  for name in pairs(t) do t[name] = nil end
  for name, value in pairs(answer) do t[name] = value end
  how[t] = asked
  return t
end

local function number(n, what)
  if math.type(n) ~= "integer" or n < 1 then
    error(what .. " wants the number of an effect, from 1; found " .. tostring(n), 3)
  end
  return n
end

-- ---- moving ----

function Travel:step(n) return move(self, self.at + number(n or 1, "travel:step")) end
function Travel:back(n) return move(self, math.max(self.at - number(n or 1, "travel:back"), 1)) end
function Travel:to(n) return move(self, number(n, "travel:to")) end
function Travel:finish() return move(self, 0) end

-- ---- looking ----

local function frame_of(t, n)
  local frame = t.frames and t.frames[(n or 0) + 1]
  if not frame then
    error(("there is no frame %d: the script %s"):format(n or 0,
      #(t.frames or {}) == 0 and "does not stand anywhere" or ("has %d here, from 0"):format(#t.frames)), 3)
  end
  return frame
end

local function named(list)
  local values = {}
  for _, variable in ipairs(list) do values[variable.name] = variable.value end
  return values
end

function Travel:locals(n) return named(frame_of(self, n).locals) end
function Travel:upvalues(n) return named(frame_of(self, n).upvalues) end

-- One variable, or a member of it, whole: travel:look "order.items[2].price".
function Travel:look(path, n)
  if type(path) ~= "string" then
    error("travel:look wants a variable, such as \"order.items[2].price\"", 2)
  end
  local asked = { look = path, level = n or 0 }
  if self.stop == "effect" then asked.at = self.at end
  local answer = go(self, asked)
  if not answer.look then error("the script does not stand anywhere: there is nothing to look at", 2) end
  if answer.look.problem then error(answer.look.problem, 2) end
  return answer.look.value
end

function Travel:what_if(code, options)
  return travel.what_if({ id = self.run }, code, options, self.segment)
end

-- ---- how it looks ----

local function effect_line(effect)
  local line = ("%d  %s %s"):format(effect.seq, effect.kind, effect.name or "")
  local params = effect.params
  if params ~= nil and next(params) ~= nil then line = line .. " " .. show(params) end
  return line
end

local function answer_line(effect)
  if not effect.outcome then return paint("yellow", "no answer yet") end
  local value = effect.error
  if value == nil then value = effect.result end
  local color = effect.outcome == "done" and "green" or "red"
  return paint(color, effect.outcome) .. (value ~= nil and "  " .. show(value) or "")
end

local function add_source(add, frame)
  for _, line in ipairs(frame.source) do
    local here = line.line == frame.line
    add(("  %s %4d  %s"):format(here and paint("bold", ">") or " ", line.line,
      here and paint("bold", line.text) or paint("dim", line.text)))
  end
end

local function is_function(value)
  return type(value) == "table" and type(value["$"]) == "string" and value["$"]:find "^function" ~= nil
end

-- Functions of the file, and tables of nothing else, say nothing about the run.
local function is_code(value)
  if is_function(value) then return true end
  if type(value) ~= "table" or next(value) == nil then return false end
  for _, member in pairs(value) do
    if not is_function(member) then return false end
  end
  return true
end

local function add_variables(add, title, list, width)
  for _, variable in ipairs(list) do
    if not is_code(variable.value) then
      add(("  %-9s %-14s %s"):format(title, variable.name,
        text.cut(show(variable.value), math.max(width - 28, 30))))
      title = ""
    end
  end
end

-- The frames that lead here: the innermost with its source, all with what they know.
local function add_frames(add, t, width)
  for i, frame in ipairs(t.frames) do
    add ""
    add(("  %s %s"):format(paint("cyan", ("%s:%d"):format(frame.file, frame.line)),
      (i == 1 and "in " or "called by ") .. frame["function"]))
    if i <= 2 then add_source(add, frame) end
    add_variables(add, "locals", frame.locals, width)
    add_variables(add, "upvalues", frame.upvalues, width)
  end
end

local function add_end(add, t, width)
  local waiting = t.waiting_for
  if t.stop == "end" and t.effect then
    add(paint("yellow", t.effect.journaled and "The journal ends here: this effect has no answer yet."
      or "The journal ends here: this is what the script asks for next."))
    if waiting then add("The run waits for " .. text.cut(show(waiting), width - 20)) end
    if t.due_at then add(("It wakes %s (%s)."):format(text.ago(t.due_at), t.due_at)) end
  elseif t.stop == "returned" then
    add(paint("green", "The script returned ") .. text.cut(show(t.output), width))
  elseif t.stop == "failed" then
    local why = text.say(t.error and (t.error.message or t.error.kind))
    add(paint("red", "The script failed: ") .. text.cut(why, width))
  elseif t.stop == "bug" or t.stop == "limit" then
    add(paint("red", "The script breaks here: ") .. tostring(t.error and t.error.message))
  elseif t.stop == "parted" then
    add(paint("red", "It parts ways: ") .. t.parted.message)
  end
  if t["then"] then
    local after = t["then"]
    local words = { cancel = "the run was cancelled", fail = "the engine undid what was done",
      continue = "the run went on in a new segment" }
    add(("Then %s, at %s%s."):format(words[after.kind] or after.kind, tostring(after.at),
      after.kind == "cancel" and after.reason and " (" .. text.say(after.reason) .. ")" or ""))
  end
end

local function verdict(t)
  if not how[t].other then return nil end
  local code = "This code"
  if t.files and #t.files == 0 then code = "The same code" end
  if t.files and #t.files > 0 then
    code = ("The edited code (%s%s)"):format(table.concat(t.files, ", ", 1, math.min(#t.files, 4)),
      #t.files > 4 and (" and %d more"):format(#t.files - 4) or "")
  end
  if t.stop == "parted" then return paint("red", code .. " parts ways with the journal:") end
  if t.stop == "bug" or t.stop == "limit" then return paint("red", code .. " breaks:") end
  local agreed = math.min(t.at - 1, t.effects)
  return paint("green", ("%s agrees with the journal, %d effect%s."):format(code, agreed,
    agreed == 1 and "" or "s"))
end

local function render(t, width)
  local lines = {}
  local function add(line) lines[#lines + 1] = line end
  width = width or 100
  local where = ("effect %d of %d"):format(t.at, t.effects)
  if t.at > t.effects then where = ("behind effect %d of %d"):format(t.effects, t.effects) end
  add(("%s %s  %s%s  %s  %s"):format(paint("bold", t.flow), t.run, paint(text.state_color(t.state), t.state),
    t.segments > 1 and ("  segment %d of 0 to %d"):format(t.segment, t.segments - 1) or "", where,
    paint("dim", tostring(t.now))))
  if verdict(t) then add(verdict(t)) end
  if t.stand_ins then
    add(paint("dim", "It was given stand-ins for secrets: what it makes of them is not in the journal."))
  end
  add_frames(add, t, width)
  add ""
  if t.previous then
    add(text.cut("  heard    " .. effect_line(t.previous), width))
    add(text.cut("        -> " .. answer_line(t.previous), width + 10))
  end
  if t.effect then
    add(text.cut("  next     " .. effect_line(t.effect), width))
    if t.effect.journaled then add(text.cut("        -> " .. answer_line(t.effect), width + 10)) end
  end
  add_end(add, t, width)
  add(paint("dim", "t:step()  t:back()  t:to(n)  t:finish()  t:locals(frame)  t:look \"order.items[1]\"  "
    .. "t:what_if(code)"))
  return table.concat(lines, "\n")
end

Travel.meta = {
  __index = Travel,
  __name = "travel",
  __console = render,
  __tostring = function(t)
    return ("travel (run %s at effect %s of %d)"):format(t.run, tostring(t.at), t.effects)
  end,
  __complete = function(t)
    local all = { "step", "back", "to", "finish", "locals", "upvalues", "look", "what_if" }
    for name in pairs(t) do all[#all + 1] = name end
    return all
  end,
}

-- ---- beginning ----

local function begin(asked)
  local t = setmetatable({}, Travel.meta)
  how[t] = asked
  return move(t, asked.at)
end

-- n: the effect to stop at; none: where the journal ends.
function travel.at(run, n, segment)
  if n ~= nil then number(n, "run:at") end
  return begin { run = run.id, at = n or 0, segment = segment }
end

-- code: the text of the flow's file, a .lua file, a folder of flows, or "current" (the newest that is
-- loaded).
function travel.what_if(run, code, options, segment)
  if type(code) ~= "string" then error("what_if wants code: a file, a folder of flows, or a text", 3) end
  local asked = { run = run.id, at = 0, segment = options and options.segment or segment, other = true }
  if options and options.at then asked.at = number(options.at, "what_if: at") end
  if code == "current" or code:find "^sha256:" then
    asked.generation = code
  elseif code:find "[\n;={(]" then
    asked.code = code
  else
    local files, folder = native.files(code)
    if not files then error(folder, 0) end
    asked.files, asked.whole = files, folder or nil
  end
  return begin(asked)
end

return travel
