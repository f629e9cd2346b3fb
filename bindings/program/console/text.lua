-- How the console's objects look: colours, columns, values on one line, times.
local native, need = ...
local time = need "mintage.time"
local text = {}

local codes = {
  bold = "1", dim = "2", red = "31", green = "32", yellow = "33", blue = "34", cyan = "36",
}

function text.paint(color, s)
  if not native.session.color or not codes[color] or s == "" then return s end
  return "\27[" .. codes[color] .. "m" .. s .. "\27[0m"
end
local paint = text.paint

local states = {
  completed = "green", failed = "red", needs_attention = "red", cancelled = "yellow", compensating = "yellow",
}
function text.state_color(state) return states[state] or "cyan" end

function text.width(s)
  return utf8.len((s:gsub("\27%[[%d;]*m", ""))) or #s
end

-- At most `max` columns, on one line.
function text.cut(s, max)
  s = s:gsub("%c+", " ")
  local n = utf8.len(s)
  if not n then return (s:sub(1, max):gsub("[^\32-\126]", "?")) end
  if n <= max then return s end
  return s:sub(1, utf8.offset(s, math.max(max - 2, 1)) - 1) .. "..."
end

function text.pad(s, width) return s .. (" "):rep(width - text.width(s)) end

-- ---- values ----

local function bare(value)
  return rawget(value, "$") ~= nil and next(value) == "$" and tostring(rawget(value, "$")) or nil
end

local show

local function show_list(value, depth)
  local parts = {}
  for i, item in ipairs(value) do
    local more = type(item) == "table" and rawget(item, "$more")
    parts[i] = more and ("and %s more"):format(more) or show(item, depth + 1)
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

local function show_table(value, depth)
  if bare(value) then return "<" .. bare(value) .. ">" end
  if native.kind(value) == "error" then return tostring(value) end
  if native.kind(value) == "array" or #value > 0 then return show_list(value, depth) end
  if depth > 5 then return "{...}" end
  local parts = {}
  for name, member in pairs(value) do
    if name == "$more" then
      parts[#parts + 1] = ("and %s more"):format(member)
    elseif type(name) == "string" and name:find "^[%a_][%w_]*$" then
      parts[#parts + 1] = name .. " = " .. show(member, depth + 1)
    else
      parts[#parts + 1] = ("[%s] = %s"):format(show(name, depth + 1), show(member, depth + 1))
    end
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

local function quoted(s) return '"' .. s:gsub("[%c\"\\]", function(c)
  return ({ ["\n"] = "\\n", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" })[c] or ("\\%d"):format(c:byte())
end) .. '"' end

function show(value, depth)
  local kind = type(value)
  if kind == "string" then return quoted(value) end
  if kind == "table" then return show_table(value, depth or 0) end
  if native.kind(value) == "null" then return "nil" end
  return tostring(value)
end
text.show = show

-- As a person says it: text without quotes.
function text.say(value)
  if type(value) == "string" then return (value:gsub("%c+", " ")) end
  if value == nil then return "" end
  return show(value)
end

-- ---- times ----

local units = { { 86400000, "day" }, { 3600000, "hour" }, { 60000, "minute" }, { 1000, "second" } }

function text.ago(instant)
  if not instant then return "" end
  local ok, at = pcall(time.parse, instant)
  if not ok then return tostring(instant) end
  local ms = time.now().ms - at.ms
  for _, unit in ipairs(units) do
    local n = math.abs(ms) // unit[1]
    if n > 0 then
      local said = ("%d %s%s"):format(n, unit[2], n == 1 and "" or "s")
      return ms > 0 and said .. " ago" or "in " .. said
    end
  end
  return "just now"
end

-- ---- tables ----

-- columns: { { "title", function(row) return text, color end, most } }
function text.table(rows, columns, width)
  local cells, widths = {}, {}
  for c, column in ipairs(columns) do widths[c] = text.width(column[1]) end
  for r, row in ipairs(rows) do
    cells[r] = {}
    for c, column in ipairs(columns) do
      local said, color = column[2](row)
      said = text.cut(text.say(said), column[3] or 40)
      cells[r][c] = { said, color }
      widths[c] = math.max(widths[c], text.width(said))
    end
  end
  local function line(get)
    local parts, used = {}, 0
    for c in ipairs(columns) do
      local said, color = get(c)
      local room = (width or 100) - used
      if room > 3 then
        if c == #columns then said = text.cut(said, room) end
        parts[#parts + 1] = paint(color, said) .. (" "):rep(widths[c] - text.width(said))
        used = used + widths[c] + 2
      end
    end
    return (table.concat(parts, "  "):gsub("%s+$", ""))
  end
  local lines = { line(function(c) return columns[c][1], "dim" end) }
  for r in ipairs(cells) do
    lines[#lines + 1] = line(function(c) return cells[r][c][1], cells[r][c][2] end)
  end
  return table.concat(lines, "\n")
end

-- A table of rows that shows itself; rows get `meta` as well when they are objects.
function text.list(rows, columns, notes)
  return setmetatable(rows, {
    __console = function(self, width)
      if #self == 0 then return paint("dim", notes and notes.none or "none") end
      local shown = text.table(self, columns, width)
      return notes and notes.more and shown .. "\n" .. paint("dim", notes.more) or shown
    end,
    __tostring = function(self) return ("list of %d"):format(#self) end,
  })
end

return text
