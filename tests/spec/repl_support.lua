-- For specs of the console at a real terminal: tmux in the foreground, so that it dies with the spec, with one
-- session a Terminal. Keys go in as a person's would, and what is on the screen is looked at until it is as wanted.

local testing = require "mintage.testing"

local support = {}

local function quoted(s) return "'" .. tostring(s):gsub("'", "'\\''") .. "'" end

local function first_line(command)
  local pipe = assert(io.popen(command .. " 2>/dev/null"))
  local line = pipe:read "l"
  pipe:close()
  return line
end

support.tmux = first_line "command -v tmux"

local PATIENCE_MS = 40000 -- where tests run side by side

local servers = {}

local function command(server, ...)
  local words = { quoted(support.tmux), "-u", "-S", quoted(server.socket), "-f", "/dev/null" }
  for _, word in ipairs { ... } do words[#words + 1] = quoted(word) end
  local pipe = assert(io.popen(table.concat(words, " ") .. " 2>&1"))
  local text = pipe:read "a"
  local ok = pipe:close()
  return ok, text
end

local function start_server()
  local server = { socket = testing.folder() .. "/tmux" }
  server.process = testing.native.spawn(
    { support.tmux, "-u", "-D", "-S", server.socket, "-f", "/dev/null" },
    { env = { "LC_ALL=C.UTF-8", "TERM=xterm-256color" } })
  testing.wait_until(function() return (command(server, "list-sessions")) end, "tmux is there", PATIENCE_MS)
  servers[#servers + 1] = server
  return server
end

local Terminal = {}
Terminal.__index = Terminal

local count = 0

-- mintage ARGS in a terminal of its own. options: dir, width, height, env = { "NAME=value" },
-- redirect = "> FILE".
function support.terminal(args, options)
  options = options or {}
  local server = servers[1] or start_server()
  count = count + 1
  local t = setmetatable({ server = server, name = "t" .. count }, Terminal)
  local words = { "env", "-u", "NO_COLOR" }
  for _, pair in ipairs(options.env or {}) do words[#words + 1] = quoted(pair) end
  words[#words + 1] = quoted(testing.program)
  for _, arg in ipairs(args) do words[#words + 1] = quoted(arg) end
  local ok, text = command(server, "new-session", "-d", "-c", options.dir or ".", "-s", t.name, "-x", options.width or 100, "-y",
    options.height or 40, table.concat(words, " ") .. " " .. (options.redirect or "") .. "; echo EXIT CODE $?; read -r wait")
  assert(ok, text)
  return t
end

-- As typed; special keys are press "Enter", "C-c", "Tab", "Up".
function Terminal:type(text)
  assert(command(self.server, "send-keys", "-t", self.name, "-l", "--", text))
end

function Terminal:press(...)
  for _, key in ipairs { ... } do assert(command(self.server, "send-keys", "-t", self.name, key)) end
end

local function dense(text) return (text:gsub("%s", "")) end

-- The line that the cursor is in, counted from the first that there was.
function Terminal:row()
  local _, text = command(self.server, "display-message", "-p", "-t", self.name, "#{e|+:#{history_size},#{cursor_y}}")
  return tonumber(text)
end

-- Types a line, sees it on the screen, and enters it: when this is over, it has been taken.
function Terminal:enter(text)
  self:type(text)
  local wanted = dense(text)
  testing.wait_until(function() return wanted == "" or dense(self:screen()):sub(-#wanted) == wanted end, "it is typed", PATIENCE_MS)
  local row = self:row()
  self:press "Enter"
  testing.wait_until(function() return self:row() > row end, "the line was taken", PATIENCE_MS)
end

-- What is on the screen, and above it, without the spaces at the ends. colors: with their escapes.
function Terminal:screen(colors)
  local _, text = command(self.server, "capture-pane", "-p", "-S", "-200", colors and "-e" or "-J", "-t", self.name)
  return (text:gsub("[ \t]+\n", "\n"):gsub("%s+$", ""))
end

function Terminal:resize(width, height)
  assert(command(self.server, "resize-window", "-t", self.name, "-x", width, "-y", height or 40))
end

-- Waits until the screen has this text, plain, `times` times (1).
function Terminal:wait(text, times)
  local ok = pcall(testing.wait_until, function()
    local screen, found, at = self:screen(), 0, 1
    while true do
      local from, to = screen:find(text, at, true)
      if not from then break end
      found, at = found + 1, to + 1
    end
    return found >= (times or 1)
  end, nil, PATIENCE_MS)
  if ok then return end
  error(("the screen does not show %q %d times:\n%s"):format(text, times or 1, self:screen()), 2)
end

-- Waits until the last line is a prompt that ends so, with nothing typed behind it.
function Terminal:wait_for_prompt(ending)
  local wanted = ending or "> "
  local ok = pcall(testing.wait_until, function()
    local last = self:screen():match "[^\n]*$" .. " "
    return last:sub(-#wanted) == wanted and last:find("mintage ", 1, true)
  end, nil, PATIENCE_MS)
  if ok then return end
  error(("there is no prompt %q:\n%s"):format(wanted, self:screen()), 2)
end

-- Waits until the last line is a prompt, be it for the next line of a statement.
function Terminal:wait_for_rest()
  testing.wait_until(function()
    local last = self:screen():match "[^\n]*$"
    return last:find "^mintage [^>]*>$" or last:find "^ +>>$"
  end, "there is a prompt", PATIENCE_MS)
end

-- Waits until the last line asks.
function Terminal:wait_for_question()
  local ok = pcall(testing.wait_until, function()
    local last = self:screen():match "[^\n]*$"
    return last:find "%[y/N%]$" or last:find "Type yes to go on:$"
  end, nil, PATIENCE_MS)
  if not ok then error("there is no question:\n" .. self:screen(), 2) end
end

-- Sends a signal to the program alone.
function Terminal:signal(name)
  local _, shell = command(self.server, "display-message", "-p", "-t", self.name, "#{pane_pid}")
  local pid = first_line("pgrep -P " .. shell:match "%d+")
  assert(os.execute(("kill -%s %d"):format(name, pid)))
end

-- The exit code, once the program has ended.
function Terminal:code()
  return testing.wait_until(function() return tonumber(self:screen():match "EXIT CODE (%d+)") end,
    "the program has ended", PATIENCE_MS)
end

-- Ends all terminals.
function support.clean_up()
  for _, server in ipairs(servers) do server.process:close() end
  servers = {}
end

return support
