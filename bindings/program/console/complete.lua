-- Completion: what may follow the text before the cursor. Values are looked at raw: no metamethod runs but
-- `__complete` of the console's own objects, and nothing is called, asked of a provider or changed. Ids of
-- runs are asked of the runtime.

local native, require = ...

local MOST = 200

local keywords = {
  "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local",
  "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
}

-- ---- looking at values ----

local function add_keys(names, value)
  if type(value) ~= "table" then return end
  local key = next(value)
  while key ~= nil do
    if type(key) == "string" and key:find "^[%a_][%w_]*$" then names[key] = true end
    key = next(value, key)
  end
end

local function try(f, ...)
  local ok, value = pcall(f, ...)
  return ok and value or nil
end

-- Names that may follow `value.` or `value:`.
local function members(value, prefix)
  local names = {}
  local kind = native.kind(value)
  if kind == "operation" then
    for _, name in ipairs { "name", "doc", "returns", "repeats" } do names[name] = true end
    return names
  end
  if kind == "string" then
    add_keys(names, string)
    return names
  end
  try(add_keys, names, value)
  local meta = native.metatable(value)
  if type(meta) ~= "table" then return names end
  local own = rawget(meta, "__complete")
  for _, name in ipairs(own and try(own, value, prefix) or {}) do
    if not name:find "^run_" then names[name] = true end -- ids stand in quotes
  end
  local index = rawget(meta, "__index")
  for _ = 1, 8 do
    if type(index) ~= "table" then break end
    try(add_keys, names, index)
    local next_meta = native.metatable(index)
    index = type(next_meta) == "table" and rawget(next_meta, "__index") or nil
  end
  return names
end

-- What a name leads to, raw.
local function member(value, name)
  local found
  if type(value) == "table" then found = rawget(value, name) end
  local meta = native.metatable(value)
  for _ = 1, 8 do
    if found ~= nil or type(meta) ~= "table" then return found end
    local index = rawget(meta, "__index")
    if type(index) ~= "table" then return nil end
    found = rawget(index, name)
    meta = native.metatable(index)
  end
  return found
end

local function value_of(env, named, path)
  local first, rest = path:match "^([%a_][%w_]*)(.*)$"
  if not first then return nil end
  local value = rawget(env, first)
  if value == nil and named[first] then value = try(require, named[first]) end
  if value == nil then value = rawget(_G, first) end
  for name in rest:gmatch "%.([%a_][%w_]*)" do
    if value == nil then return nil end
    value = member(value, name)
  end
  return value
end

-- ---- where the cursor is ----

-- What was called with the table that is open at the end of the text, and the text since its brace.
local function open_table(text)
  local depth, quote, at = {}, nil, 1
  while at <= #text do
    local c = text:sub(at, at)
    if quote then
      if c == "\\" then at = at + 1 elseif c == quote then quote = nil end
    elseif c == '"' or c == "'" then
      quote = c
    elseif c == "{" or c == "(" then
      depth[#depth + 1] = at
    elseif c == "}" or c == ")" then
      depth[#depth] = nil
    end
    at = at + 1
  end
  local brace = depth[#depth]
  if quote or not brace or text:sub(brace, brace) ~= "{" then return nil end
  return text:sub(1, brace - 1), text:sub(brace + 1)
end

local function sorted(names, prefix)
  local out = {}
  for name in pairs(names) do
    if name:sub(1, #prefix) == prefix then out[#out + 1] = name end
  end
  table.sort(out)
  for i = #out, MOST + 1, -1 do out[i] = nil end
  return out
end

-- Names of parameters that have not been given yet.
local function parameters(env, named, before, inside)
  local path = before:match "([%a_][%w_.]*)%s*%(?%s*$" or before:match "([%a_][%w_.]*)%s*,%s*$"
  local flow = before:match [=[flow%.start%s*%(%s*["']([%w_.-]+)["']%s*,%s*$]=]
  local names = {}
  if flow then
    names = native.inputs(flow)
  elseif path then
    local value = value_of(env, named, path)
    if native.kind(value) ~= "operation" then return nil end
    names = native.parameters(tostring(value))
  end
  local left = {}
  for _, name in ipairs(names) do
    if not inside:find("%f[%w_]" .. name .. "%s*=") then left[name] = true end
  end
  return left
end

local function run_ids(prefix)
  local status, answer = native.api("GET", "/v1/runs?limit=100")
  local ids = {}
  if status == 200 then
    for _, run in ipairs(answer.data) do ids[run.id] = true end
  end
  return sorted(ids, prefix)
end

return function(env, named, text)
  local id = text:match [=[%f[%w_]runs%s*%(?%s*["']([%w_]*)$]=]
    or text:match [=[%f[%w_]travel%s*%(?%s*["']([%w_]*)$]=]
  if id then return #text - #id, run_ids(id) end
  local path, word = text:match "([%a_][%w_.]*)[.:]([%a_]?[%w_]*)$"
  if path then
    local value = value_of(env, named, path)
    return #text - #word, value ~= nil and sorted(members(value, word), word) or {}
  end
  word = text:match "[%a_][%w_]*$" or ""
  local before, inside = open_table(text:sub(1, #text - #word))
  local key = before and inside:find "[,;]?%s*$" and (inside:find "^%s*$" or inside:find "[,;]%s*$")
  if key then
    local names = parameters(env, named, before, inside)
    if names then return #text - #word, sorted(names, word) end
  end
  local names = {}
  if word == "" and text ~= "" then return #text, {} end
  add_keys(names, env)
  add_keys(names, named)
  add_keys(names, _G)
  for _, name in ipairs(keywords) do names[name] = true end
  return #text - #word, sorted(names, word)
end
