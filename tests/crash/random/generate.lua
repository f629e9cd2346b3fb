-- Random flows: a seed becomes the text of a flow, which the world executes and the model executes too. What a program does
-- depends on its own results only, never on time or chance, so both must come to the same.

local generate = {}

-- A stream of integers of its own, so that a seed means the same on every machine.
function generate.random(seed)
  local state = seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019
  return function(n)
    state = state ~ (state << 13)
    state = state ~ (state >> 7)
    state = state ~ (state << 17)
    return (state >> 11) % n + 1
  end
end

local PRELUDE = [[
local flow = require "mintage.flow"
local http = require "mintage.http"
local collection = require "mintage.collection"
local BANK = "https://bank.example/"
local notes = collection.define("notes", { unique = { "label" } })

local function charge(id, amount)
  return { url = BANK .. "charges/" .. id, json = { amount = amount }, idempotency_key = id }
end
]]

local Program = {}
Program.__index = Program

function Program:line(text, ...)
  self.lines[#self.lines + 1] = string.rep("  ", self.depth) .. text:format(...)
end

-- A name that no other statement of this program has, and within a loop or a segment no other turn.
function Program:label()
  self.labels = self.labels + 1
  return ("id .. \"-%d\"%s"):format(self.labels, self.turns)
end

function Program:block(head, body, tail)
  self:line("%s", head)
  self.depth = self.depth + 1
  body()
  self.depth = self.depth - 1
  self:line("%s", tail or "end")
end

local statements = {}

function statements.charge(p)
  local label, amount = p:label(), p.random(60) * 100 + p.random(7)
  p:block("do", function()
    p:line("local label = %s", label)
    p:line("local paid, err = flow.try(http.post, charge(label, %d))", amount)
    p:line("out[#out + 1] = paid and paid.json.amount or err.kind")
    if p.random(2) == 1 and not p.continues then
      p:line("if paid then flow.undo(http.delete, { url = BANK .. \"charges/\" .. label }) end")
    end
  end)
end

function statements.raise(p)
  local label = p:label()
  p:block("do", function()
    p:block("local ok, err = pcall(function()", function()
      p:line("return http.post(charge(%s, %d)).json.amount", label, p.random(3) * 7)
    end, "end)")
    p:line("out[#out + 1] = ok and err or err.kind")
  end)
end

function statements.unsafe(p)
  p:line("out[#out + 1] = http.post({ url = BANK .. \"unsafe/\" .. %s, body = \"once\" }).json.done", p:label())
end

function statements.put(p)
  local label, value = p:label(), p.random(1000)
  p:line("http.put { url = BANK .. \"things/\" .. %s, json = { value = %d } }", label, value)
  if p.random(2) == 1 then
    p:line("acc = acc + http.get({ url = BANK .. \"things/\" .. %s }).json.value", label)
  end
end

function statements.sleep(p)
  p:line("flow.sleep(flow.random(%d) .. \"s\")", p.random(3) == 1 and 90000 or 90)
end

function statements.await(p)
  local label = p:label()
  if p.turns ~= "" or p.random(3) == 1 then -- a signal is sent once
    p:line("out[#out + 1] = flow.await(\"never\", %s, { within = \"%dm\" }) or \"nobody\"", label, p.random(300))
  else
    p.signals = p.signals + 1
    p:line("out[#out + 1] = flow.await(\"sig\", id .. \"-s%d\", { within = \"90d\" }).n", p.signals)
  end
end

function statements.all(p)
  p:block("do", function()
    p:block("local answers = flow.all {", function()
      for _ = 1, p.random(4) do
        p:line("{ http.post, charge(%s, %d) },", p:label(), p.random(40) * 100 + p.random(7))
      end
    end, "}")
    p:line("for _, a in ipairs(answers) do out[#out + 1] = a.value and a.value.json.amount or a.err.kind end")
  end)
end

function statements.child(p)
  if not p.children then return statements.charge(p) end
  p:block("do", function()
    p:line("local child = flow.start(\"%s\", { id = %s, n = %d })", p.children, p:label(), p.random(4))
    p:line("local ended = flow.await(\"run\", child.id, { within = \"90d\" })")
    p:line("out[#out + 1] = ended.state")
    p:line("out[#out + 1] = ended.output and #ended.output or ended.error.kind")
  end)
end

function statements.note(p)
  local label = p:label()
  p:line("notes:insert { id = %s, label = %s, n = %d }", label, label, p.random(100))
  if p.random(2) == 1 then
    p:block("do", function()
      p:line("local ok, err = pcall(notes.insert, notes, { label = %s })", label)
      p:line("out[#out + 1] = ok or err.kind")
    end)
  end
  if p.random(2) == 1 then p:line("acc = acc + notes:get(%s).n", label) end
end

function statements.say(p)
  p:line("flow.progress { step = %d }", p.labels)
  p:line("flow.log(\"at\", { step = %d, uuid = #flow.uuid() })", p.labels)
end

function statements.branch(p)
  if p.nested > 1 then return statements.put(p) end
  p.nested = p.nested + 1
  p:block(("if (acc + #out) %% %d == 0 then"):format(p.random(3)), function() p:some(2) end, "else")
  p.depth = p.depth + 1
  p:some(1)
  p.depth = p.depth - 1
  p:line("end")
  p.nested = p.nested - 1
end

function statements.loop(p)
  if p.nested > 1 then return statements.sleep(p) end
  p.nested = p.nested + 1
  local turns = p.turns
  p.turns = turns .. (" .. \".\" .. i%d"):format(p.nested)
  p:block(("for i%d = 1, %d do"):format(p.nested, p.random(3)), function() p:some(2) end)
  p.turns = turns
  p.nested = p.nested - 1
end

local kinds = { "charge", "charge", "raise", "unsafe", "put", "put", "sleep", "sleep", "await", "all", "child", "note",
  "say", "branch", "loop" }

function Program:some(most)
  for _ = 1, self.random(most) do statements[kinds[self.random(#kinds)]](self) end
end

local function write(name, random, children, size)
  local p = setmetatable({ random = random, lines = {}, depth = 2, labels = 0, turns = "", nested = 0, signals = 0,
    children = children }, Program)
  p.continues = random(5) == 1
  if p.continues then p.turns = " .. \"/\" .. input.n" end
  p:some(size)
  if p.continues then
    p:block("if input.n < 3 then", function()
      p:line("flow.continue { id = id, n = input.n + 1 }")
    end)
  elseif random(6) == 1 then
    p:line("flow.fail(\"gave_up\")")
  end
  return table.concat({
    PRELUDE,
    "return flow.define {",
    ("  name = %q, input = { id = \"string\", n = \"integer\" },"):format(name),
    "  run = function(input)",
    "    local id, out, acc = input.id, {}, input.n",
    table.concat(p.lines, "\n"),
    "    out[#out + 1] = acc",
    "    return out",
    "  end,",
    "}",
    "",
  }, "\n"), p.signals
end

-- { name, text, signals, child = { name, text } }: a program and the one that it starts as its children.
function generate.program(seed, size)
  local random = generate.random(seed)
  local name, child = "p" .. seed, "c" .. seed
  local child_text = write(child, random, nil, 3)
  while child_text:find("\"sig\"", 1, true) do child_text = write(child, random, nil, 3) end -- nobody signals children
  local text, signals = write(name, random, child, size or 6)
  return { name = name, text = text, signals = signals, child = { name = child, text = child_text } }
end

return generate
