-- The LuaLS definitions (bindings/types), read once a session: what functions take and answer, what classes
-- have. Help and completion live on it.
local native = ...
local types = { functions = {}, classes = {}, aliases = {}, modules = {}, objects = {} }

-- ---- a type and what follows it ----

-- The end of the type that the text begins with: brackets and quotes are passed over whole.
local function type_end(s)
  local depth, at = 0, 1
  while at <= #s do
    local c = s:sub(at, at)
    if c == '"' then
      at = s:find('"', at + 1, true) or #s
    elseif c:find "[%(%{<%[]" then
      depth = depth + 1
    elseif c:find "[%)%}>%]]" then
      depth = depth - 1
    elseif c == " " and depth == 0 and not s:find("^ ?|", at) and not s:sub(1, at - 1):find "[|:]$" then
      return at - 1
    end
    at = at + 1
  end
  return #s
end

local function split(s)
  local stop = type_end(s)
  return s:sub(1, stop), (s:sub(stop + 1):gsub("^%s*,?%s*", ""))
end

-- "{ key?: string, detached?: boolean }" as fields; nil when it is no record.
function types.record(text)
  local inner = text:match "^{%s*(.-)%s*}"
  if not inner or inner:find "^%[" then return nil end
  local fields = {}
  while inner ~= "" do
    local name, optional, rest = inner:match "^([%w_]+)(%??):%s*(.*)$"
    if not name then return fields end
    local depth, stop = 0, #rest
    for at = 1, #rest do
      local c = rest:sub(at, at)
      if c:find "[%(%{<]" then depth = depth + 1 elseif c:find "[%)%}>]" then depth = depth - 1 end
      if c == "," and depth == 0 then
        stop = at - 1
        break
      end
    end
    fields[#fields + 1] = { name = name, optional = optional == "?", type = rest:sub(1, stop), doc = "" }
    inner = rest:sub(stop + 1):gsub("^%s*,%s*", "")
  end
  return fields
end

-- ---- blocks ----

local block -- the "---" lines in front of what they are about

local function fresh() block = { doc = {}, params = {}, returns = {} } end

local tags = {}

function tags.param(rest)
  local name, optional, more = rest:match "^([%w_%.]+)(%??)%s+(.*)$"
  if not name then return end
  local type, doc = split(more)
  block.params[#block.params + 1] = { name = name, optional = optional == "?", type = type, doc = doc }
end

tags["return"] = function(rest)
  local type, doc = split(rest)
  block.returns[#block.returns + 1] = { type = type, doc = doc }
end

function tags.class(rest)
  local name, doc = rest:match "^([%w_.]+)[^%s]*%s*(.*)$"
  block.class = { name = name, doc = doc, fields = {}, methods = {} }
  types.classes[name] = block.class
end

function tags.field(rest)
  local name, optional, more = rest:match "^([%w_]+)(%??)%s+(.*)$"
  if not name or not block.class then return end
  local type, doc = split(more)
  local fields = block.class.fields
  fields[#fields + 1] = { name = name, optional = optional == "?", type = type, doc = doc }
end

function tags.alias(rest)
  local name, more = rest:match "^([%w_.]+)%s+(.*)$"
  if not name then return end
  local type, doc = split(more)
  types.aliases[name] = { type = type, doc = doc }
  block.alias = types.aliases[name]
end

local function last_said()
  if block.alias then return block.alias end
  local class = block.class
  if class then return class.fields[#class.fields] or class end
  return block.returns[#block.returns] or block.params[#block.params]
end

local function comment(line)
  local tag, rest = line:match "^%-%-%-@(%a+)%s*(.*)$"
  if tag then
    if tags[tag] then tags[tag](rest) end
    return
  end
  local said, before = line:match "^%-%-%-%s?(.*)$", last_said()
  if before then
    before.doc = (before.doc .. " " .. said):gsub("^%s+", "") -- a line that goes on
  else
    block.doc[#block.doc + 1] = said
  end
end

-- ---- files ----

local function read_function(line)
  local name, args = line:match "^function%s+([%w_.:]+)%(([^)]*)%)"
  if not name then return end
  local found = {
    name = name, args = args, doc = table.concat(block.doc, " "),
    params = block.params, returns = block.returns,
  }
  types.functions[name] = found
  local class, method = name:match "^([%w_]+):([%w_]+)$"
  if not class then return end
  for full, known in pairs(types.classes) do
    if full:match "([%w_]+)$" == class then known.methods[#known.methods + 1] = method end
  end
end

local function read(text)
  local module
  fresh()
  for line in text:gmatch "([^\n]*)\n" do
    local meta = line:match "^%-%-%-@meta%s+mintage%.([%w_]+)"
    if meta then
      module = { name = meta, doc = {} }
      types.modules[meta] = module
    elseif line:find "^%-%-%-" then
      comment(line)
    elseif line:find "^%-%- " and module and not module.closed then
      module.doc[#module.doc + 1] = line:sub(4)
    else
      read_function(line)
      local object = line:match "^local ([%w_]+) = {}"
      if object and #block.doc > 0 and not block.class then
        types.objects[object] = table.concat(block.doc, " ")
      end
      if module and line ~= "" then module.closed = true end
      if module and line == "" and #module.doc > 0 then module.closed = true end
      fresh()
    end
  end
  for _, one in pairs(types.modules) do
    if type(one.doc) == "table" then one.doc = table.concat(one.doc, " ") end
  end
end

read(native.types())

-- ---- questions ----

-- The class that a type names first: "mintage.mintro.IntentsCreate|string" has the fields of its parameters.
function types.class_of(text)
  for name in text:gmatch "[%w_.]+" do
    if types.classes[name] then return types.classes[name], name end
  end
end

-- The names that a call's table of parameters may have: for completion within mintro.intents.create{ ... }.
function types.fields(name)
  local found = types.functions[name]
  local names = {}
  for _, param in ipairs(found and found.params or {}) do
    local class = types.class_of(param.type)
    for _, field in ipairs(class and class.fields or types.record(param.type) or {}) do
      names[#names + 1] = field.name
    end
  end
  return names
end

-- What begins with a prefix: all names of functions.
function types.names()
  local names = {}
  for name in pairs(types.functions) do names[#names + 1] = name end
  for name in pairs(types.classes) do names[#names + 1] = name end
  for name in pairs(types.objects) do names[#names + 1] = name end
  for name in pairs(types.modules) do names[#names + 1] = name end
  return names
end

return types
