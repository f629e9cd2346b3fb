-- mintage check, the part that reads flows without loading them: a list of findings for each file.

local native = require "mintage.checking.native"
local rules = require "mintage.checking.rules"
local syntax = require "mintage.checking.syntax"
local types = require "mintage.checking.types"
local walk = require "mintage.checking.walk"

local MOST = 200 -- findings of one file

local function by_place(a, b)
  if a.line ~= b.line then return a.line < b.line end
  if a.column ~= b.column then return a.column < b.column end
  return a.message < b.message
end

-- What require finds: "lib.cards" of lib/cards.lua.
local function required_names(files)
  local names = {}
  for _, file in ipairs(files) do names[(file.name:gsub("%.lua$", ""):gsub("/", "."))] = true end
  return names
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
  local context, all = { files = required_names(job.files), flows = job.flows }, {}
  for _, file in ipairs(job.files) do
    if file.wanted then
      for _, finding in ipairs(check_file(file, context)) do all[#all + 1] = finding end
    end
  end
  return all
end

return { check = check }
