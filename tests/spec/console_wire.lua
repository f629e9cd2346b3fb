-- For specs of the console: sessions over the socket and over HTTP that speak the protocol themselves.

local testing = require "mintage.testing"

local support = {}

local Session = {}
Session.__index = Session

-- Opens the socket without saying anything.
function support.connect(runtime)
  local s = setmetatable({ n = 0, runtime = runtime }, Session)
  s.wire = assert(testing.native.unix(runtime.data .. "/console.sock"))
  return s
end

-- A session over the socket. hello: members of its first message.
function support.open(runtime, hello)
  local s = support.connect(runtime)
  local first = { op = "hello", version = 1, user = "ann", width = 100 }
  for name, value in pairs(hello or {}) do first[name] = value end
  s:send(first)
  s.hello = s:read()
  return s
end

function Session:send(message) return self.wire:send(testing.json.encode(message) .. "\n") end

-- The next message, or nil and why.
function Session:read(timeout_ms)
  local line, why = self.wire:line(timeout_ms or 30000)
  if not line then return nil, why end
  return assert(testing.json.decode(line), line)
end

-- The next message of this type; others before it are kept in `seen`.
function Session:expect(kind)
  while true do
    local message, why = self:read()
    if not message then error("no " .. kind .. " came: " .. why, 2) end
    if message.type == kind then return message end
    self.seen = self.seen or {}
    table.insert(self.seen, message)
  end
end

-- Begins a command without waiting for it; answers its id.
function Session:begin(code, more)
  self.n = self.n + 1
  local message = { op = "eval", id = self.n, code = code }
  for name, value in pairs(more or {}) do message[name] = value end
  self:send(message)
  return self.n
end

-- Carries a command out: its last message, with `output` (all that was printed) and `questions`. answer: what
-- questions are answered with (yes).
function Session:eval(code, answer, more)
  local id = self:begin(code, more)
  local printed, questions = {}, {}
  while true do
    local message, why = self:read(60000)
    if not message then error("no answer came: " .. why, 2) end
    if message.type == "output" then printed[#printed + 1] = message.text end
    if message.type == "confirm" then
      questions[#questions + 1] = message
      self:send { op = "answer", id = id, yes = answer ~= false }
    end
    if (message.type == "result" or message.type == "error") and message.id == id then
      message.output, message.questions = table.concat(printed), questions
      return message
    end
  end
end

-- The text of a result; an error fails the spec.
function Session:value(code, answer)
  local message = self:eval(code, answer)
  if message.type ~= "result" then error(message.text, 2) end
  return message.text
end

function Session:complete(text)
  self:send { op = "complete", id = 0, text = text }
  return self:expect "candidates"
end

function Session:close() self.wire:close() end

-- All bytes of a folder's files.
function support.bytes_of(folder)
  local lfs = require "lfs"
  local parts = {}
  for name in lfs.dir(folder) do
    if lfs.attributes(folder .. "/" .. name, "mode") == "file" then
      parts[#parts + 1] = testing.read(folder .. "/" .. name)
    end
  end
  return table.concat(parts, "\n")
end

return support
