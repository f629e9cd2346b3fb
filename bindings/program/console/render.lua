-- How values look at the console: bounded in depth, length and lines whatever they are, safe with cycles, in
-- colour where the terminal has it. Tables are read raw: no metamethod of a script runs, but `__console` of
-- the console's own objects does. What stands under a secret's name is not shown.

local native = ...
local render = {}

local LINES, ENTRIES, DEPTH, STRING = 400, 100, 5, 4000
local session = native.session

-- ---- colours ----

local codes = {
  key = "", string = "32", number = "36", boolean = "35", dim = "2", money = "33;1", time = "34",
  error = "31;1", head = "1", operation = "36;1",
}

local function paint(what, text)
  local code = session.color and codes[what] or ""
  if code == "" or text == "" then return text end
  return ("\27[%sm%s\27[0m"):format(code, text)
end
render.paint = paint

-- Columns of a text without colours.
local function columns(text)
  text = text:gsub("\27%[[%d;]*m", "")
  return utf8.len(text) or #text
end

local function cut(text, width)
  if columns(text) <= width then return text end
  local at = utf8.offset(text, math.max(width, 1))
  return text:sub(1, (at or width) - 1) .. "…"
end

-- ---- single values ----

local function quoted(text, max)
  local more = #text - max
  if more > 0 then text = text:sub(1, max) end
  local shown = text:gsub('[%c"\\\127]', function(c)
    local known = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t" }
    return known[c] or ("\\x%02X"):format(c:byte())
  end)
  if more > 0 then return ('"%s" ... %d bytes more'):format(shown, more) end
  return '"' .. shown .. '"'
end

-- The key of a run or an event is its name: only beside "flow" or "topic" is a member "key" no secret.
local function hidden(key, value)
  if type(key) ~= "string" or not native.secret_name(key) then return false end
  return key ~= "key" or not (rawget(value, "flow") or rawget(value, "topic"))
end

local function field(value, name)
  local ok, found = pcall(rawget, value, name)
  return ok and found or nil
end

-- Values that have no parts, painted; nil for tables that have.
local function scalar(value, max)
  local kind = native.kind(value)
  if kind == "string" then return paint("string", quoted(value, max or STRING)) end
  if kind == "number" or kind == "boolean" then return paint(kind, tostring(value)) end
  if kind == "nil" then return paint("dim", "nil") end
  if kind == "null" then return paint("dim", "null") end
  if kind == "money" or kind == "time" or kind == "operation" then return paint(kind, tostring(value)) end
  if kind == "error" then
    local what, message = tostring(field(value, "kind")), tostring(field(value, "message"))
    return paint("error", what .. ": " .. message)
  end
  if kind ~= "table" and kind ~= "array" then return paint("dim", tostring(value)) end
  local ok, key = pcall(next, value)
  if ok and key == nil and not native.metatable(value) then return kind == "array" and "[]" or "{}" end
end

-- The keys of a table in the order of scripts; what has no order comes last, as a number of how many.
local function keys_of(value)
  local keys = {}
  local ok = pcall(function()
    local key = next(value)
    while key ~= nil do
      keys[#keys + 1] = key
      if #keys > 10000 then break end
      key = next(value, key)
    end
  end)
  return keys, ok
end

local function key_text(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" then return key end
  if type(key) == "string" then return "[" .. quoted(key, 60) .. "]" end
  return "[" .. tostring(key) .. "]"
end

local function own_text(value, width)
  local meta = native.metatable(value)
  local show = type(meta) == "table" and rawget(meta, "__console")
  if not show then return nil end
  local ok, text = pcall(show, value, width)
  if ok and type(text) == "string" then return text end
  return paint("error", "this object cannot be shown: " .. tostring(text))
end

-- ---- one line ----

local function line_of(value, depth, seen, room)
  local text = scalar(value, 120)
  if text then return text end
  if seen[value] then return paint("dim", "<cycle>") end
  if depth == 0 then return paint("dim", "{…}") end
  seen[value] = true
  local parts, used, list = {}, 0, 1
  local keys = keys_of(value)
  for i, key in ipairs(keys) do
    local item = rawget(value, key)
    local shown = hidden(key, value) and paint("dim", "[redacted]") or line_of(item, depth - 1, seen, room)
    if key == list then list = list + 1 else shown = key_text(key) .. " = " .. shown end
    parts[#parts + 1] = shown
    used = used + columns(shown) + 2
    if used > room or #parts >= 20 then
      if i < #keys then parts[#parts + 1] = paint("dim", ("… %d more"):format(#keys - i)) end
      break
    end
  end
  seen[value] = nil
  if #parts == 0 then return "{}" end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

-- A value in one line of at most so many columns.
function render.short(value, width)
  width = width or session.width
  local text = type(value) == "table" and own_text(value, width)
  if text then return (text:gsub("\n.*", "")) end
  return line_of(value, 3, {}, width)
end

-- ---- lists of rows ----

local first = {
  id = 1, n = 2, name = 3, seq = 4, at = 5, who = 6, flow = 7, kind = 8, topic = 9, key = 10, reference = 11,
  state = 12, status = 13, outcome = 14, amount = 15, currency = 16, email = 17, description = 18,
}

local function cell_of(row, key)
  local value = rawget(row, key)
  if value == nil then return "" end
  if hidden(key, row) then return "[redacted]" end
  if type(value) == "string" then
    local flat = value:gsub("%c", " ")
    return flat
  end
  local color = session.color
  session.color = false
  local text = scalar(value, 60) or "{…}"
  session.color = color
  return text
end

local function is_rows(value)
  local n = rawlen(value)
  if n < 2 then return false end
  local names, count = {}, 0
  for i = 1, n do
    local row = rawget(value, i)
    if type(row) ~= "table" or scalar(row) then return false end
    if i <= 50 then
      for _, key in ipairs((keys_of(row))) do
        if type(key) ~= "string" then return false end
        if not names[key] then
          names[key] = true
          count = count + 1
        end
      end
    end
  end
  for _, key in ipairs((keys_of(value))) do
    if math.type(key) ~= "integer" then return false end
  end
  return count > 0 and count <= 40, names
end

-- Cells as lines that fit the width: columns that do not are left out and counted.
function render.rows(list, names, width)
  width = width or session.width
  local order = {}
  for name in pairs(names) do order[#order + 1] = name end
  table.sort(order, function(a, b)
    local x, y = first[a] or 99, first[b] or 99
    if x ~= y then return x < y end
    return a < b
  end)
  local n = math.min(#list, ENTRIES)
  local widths, cells = {}, {}
  for c, name in ipairs(order) do
    widths[c] = columns(name)
    cells[c] = {}
    for r = 1, n do
      local text = cell_of(list[r], name)
      cells[c][r] = text
      widths[c] = math.max(widths[c], math.min(columns(text), 40))
    end
  end
  local used, shown = 0, 0
  for c = 1, #order do
    if used + widths[c] > width and c > 1 then break end
    used, shown = used + widths[c] + 2, c
  end
  local lines = {}
  local function line(cell, what)
    local parts = {}
    for c = 1, shown do
      local text = cut(cell(c), widths[c])
      parts[c] = text .. (c < shown and (" "):rep(widths[c] - columns(text)) or "")
    end
    lines[#lines + 1] = paint(what, (table.concat(parts, "  "):gsub("%s+$", "")))
  end
  line(function(c) return order[c] end, "head")
  for r = 1, n do line(function(c) return cells[c][r] end, "key") end
  local rest = {}
  if #list > n then rest[#rest + 1] = ("%d more rows"):format(#list - n) end
  if shown < #order then rest[#rest + 1] = "not shown: " .. table.concat(order, ", ", shown + 1) end
  if #rest > 0 then lines[#lines + 1] = paint("dim", cut(table.concat(rest, "; "), width)) end
  return table.concat(lines, "\n")
end

-- ---- many lines ----

local add -- below

local function add_parts(out, value, depth, indent, seen)
  local keys, whole = keys_of(value)
  local pad, list = ("  "):rep(indent + 1), 1
  for i, key in ipairs(keys) do
    if i > ENTRIES or out.lines >= LINES then
      out[#out + 1] = pad .. paint("dim", ("… %d more"):format(#keys - i + 1))
      break
    end
    local label = ""
    if key == list then list = list + 1 else label = key_text(key) .. " = " end
    if hidden(key, value) then
      out[#out + 1] = pad .. label .. paint("dim", "[redacted]")
      out.lines = out.lines + 1
    else
      add(out, pad .. label, rawget(value, key), depth - 1, indent + 1, seen)
    end
  end
  if not whole then out[#out + 1] = pad .. paint("dim", "… keys that are tables or functions") end
end

function add(out, label, value, depth, indent, seen)
  out.lines = out.lines + 1
  local text = scalar(value)
  if text then
    out[#out + 1] = label .. text
    return
  end
  if seen[value] then
    out[#out + 1] = label .. paint("dim", "<cycle>")
    return
  end
  local short = line_of(value, depth, seen, session.width)
  if columns(label) + columns(short) <= session.width and not short:find("…", 1, true) then
    out[#out + 1] = label .. short
    return
  end
  if depth <= 0 then
    out[#out + 1] = label .. paint("dim", "{…}")
    return
  end
  seen[value] = true
  out[#out + 1] = label .. "{"
  add_parts(out, value, depth, indent, seen)
  out[#out + 1] = ("  "):rep(indent) .. "}"
  seen[value] = nil
end

-- A module: its names.
local function module_text(value, name)
  local names = {}
  for _, key in ipairs((keys_of(value))) do
    local item = rawget(value, key)
    names[#names + 1] = type(item) == "table" and key .. ".…" or tostring(key)
  end
  return paint("head", name) .. ": " .. table.concat(names, " ")
end

-- A value as the result of a command.
function render.value(value, width)
  width = width or session.width
  if native.kind(value) == "error" then return render.error(value) end
  if native.kind(value) == "operation" then
    return paint("operation", tostring(value)) .. "  " .. value.doc
  end
  local text = scalar(value)
  if text then return text end
  text = own_text(value, width)
  if text then return text end
  local meta = native.metatable(value)
  local name = type(meta) == "table" and rawget(meta, "__name")
  if type(name) == "string" and name:find "^mintage%.[%w_.]+$" and name ~= "mintage.array" then
    return module_text(value, name)
  end
  local rows, names = is_rows(value)
  if rows then return render.rows(value, names, width) end
  local out = { lines = 0 }
  add(out, "", value, DEPTH, 0, {})
  return table.concat(out, "\n")
end

-- ---- what went wrong ----

local told = { "provider", "operation", "code", "http_status", "outcome", "retryable" }

function render.error(err)
  local parts = {}
  for _, name in ipairs(told) do
    local value = field(err, name)
    if value ~= nil and value ~= "" then parts[#parts + 1] = ("%s %s"):format(name, tostring(value)) end
  end
  local text = paint("error", tostring(field(err, "kind"))) .. ": " .. tostring(field(err, "message"))
  if #parts > 0 then text = text .. "\n  " .. paint("dim", table.concat(parts, ", ")) end
  return text
end

-- The lines of the command around the one that a place ("console:3") names.
local function excerpt(place, code)
  local number = math.tointeger(tonumber(place and place:match "console:(%d+)"))
  if not number or not code or not code:find "\n" then return "" end
  local lines = {}
  for line in (code .. "\n"):gmatch "(.-)\n" do lines[#lines + 1] = line end
  local out = {}
  for i = math.max(number - 1, 1), math.min(number + 1, #lines) do
    local mark = i == number and ">" or " "
    local text = cut(("%s %3d | %s"):format(mark, i, (lines[i]:gsub("\t", "  "))), session.width)
    out[#out + 1] = i == number and paint("head", text) or paint("dim", text)
  end
  return #out > 0 and "\n" .. table.concat(out, "\n") or ""
end

-- Where it came from, when that is more than one place. The console's own lines say nothing.
local function frames(trace, message)
  local out = {}
  for line in (trace or ""):gmatch "[^\n]+" do
    line = line:gsub("in function 'chunk'$", "in the command")
    if line:find "^[%w_./-]+:%d+: in " then out[#out + 1] = "  " .. line end
  end
  if #out < 2 or #out == 2 and message:find("console:1:", 1, true) then return "" end
  return "\n" .. paint("dim", table.concat(out, "\n"))
end

-- Of a message: a bug of the command's, or a limit that it passed.
function render.mistake(message, code, trace)
  return paint("error", message) .. excerpt(message, code) .. frames(trace, message)
end

-- Of an error of the world. Answers its kind, too.
function render.failure(err, site, code)
  local at = type(site) == "string" and site:match "[^\n]+"
  local told_already = not at or at:find("^console:1") and not code:find "\n"
  at = told_already and "" or "\n  " .. paint("dim", "at " .. at)
  return tostring(field(err, "kind") or "runtime"), render.error(err) .. at .. excerpt(site, code)
end

return render
