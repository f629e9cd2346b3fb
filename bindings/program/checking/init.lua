-- mintage check, the part that reads flows without loading them: a list of findings for each file.

local native = require "mintage.checking.native"
local rules = require "mintage.checking.rules"
local syntax = require "mintage.checking.syntax"
local types = require "mintage.checking.types"
local values = require "mintage.checking.values"
local walk = require "mintage.checking.walk"

local MOST = 200 -- findings of one file

local function by_place(a, b)
  if a.line ~= b.line then return a.line < b.line end
  if a.column ~= b.column then return a.column < b.column end
  return a.message < b.message
end

-- What require finds: "lib.cards" of lib/cards.lua.
local function required_name(file) return (file.name:gsub("%.lua$", ""):gsub("/", ".")) end

local function required_names(files)
  local names = {}
  for _, file in ipairs(files) do names[required_name(file)] = true end
  return names
end

-- The name of the provider that a call of a function `define` defines.
local function answered(node)
  local define = node and node.tag == "Call" and node[1].tag == "Index" and node[1][2][1] == "define"
  return define and values.defined_name(node) or nil
end

-- The provider that a file answers: `return provider.define { name = ... }`, or a variable that holds it.
local function answered_provider(file)
  local read = syntax.read(file.text)
  local last = read and read.tree[#read.tree]
  local node = last and last.tag == "Return" and last[1]
  if not node or node.tag ~= "Id" then return answered(node) end
  for _, statement in ipairs(read.tree) do
    local same = statement.tag == "Local" and #statement[1] == 1 and statement[1][1][1] == node[1]
    if same and statement[2] then return answered(statement[2][1]) end
  end
  return nil
end

-- Answers the function that values.lua asks what a required file gives.
local function providers_of(files)
  local by_name, known = {}, {}
  for _, file in ipairs(files) do by_name[required_name(file)] = file end
  return function(name)
    if known[name] == nil then known[name] = by_name[name] and answered_provider(by_name[name]) or false end
    return known[name] or nil
  end
end

local function check_file(file, context)
  local read, broken = syntax.read(file.text)
  if not read then
    broken.file, broken.severity, broken.syntax = file.name, "error", true
    return { broken }
  end
  local found, seen = {}, {}
  local function report(node, severity, message)
    local line, column = read.place(node)
    local key = line .. ":" .. column .. ":" .. message
    if read.silent[line] or seen[key] or #found >= MOST then return end
    seen[key] = true
    found[#found + 1] =
      { file = file.name, line = line, column = column, severity = severity, message = message }
  end
  local learned = { changes = {}, functions = {} }
  walk.new(rules.learning, learned, report):file(read.tree)
  walk.new(rules.learning, learned, report):file(read.tree) -- now that what changes is known
  local walker = walk.new(rules.checking, learned, report)
  walker.files, walker.flows = context.files, context.flows
  walker:file(read.tree)
  table.sort(found, by_place)
  return found
end

-- job: { files = { { name, text, wanted } }, types = { { name, text } }, flows = names or nil }. Answers a
-- list of findings.
local function check(job)
  for _, file in ipairs(job.types) do
    local module = "mintage." .. file.name:gsub("%.d%.lua$", "")
    if not native.is_provider(module) then types.read(module, file.text) end
  end
  values.provider_of_file = providers_of(job.files)
  local context, all = { files = required_names(job.files), flows = job.flows }, {}
  for _, file in ipairs(job.files) do
    if file.wanted then
      for _, finding in ipairs(check_file(file, context)) do all[#all + 1] = finding end
    end
  end
  return all
end

return { check = check }
