-- Runs in the VM of scripts: looks a name up as a script would, and answers what it is or what was raised.

local flow = require "mintage.flow"

local function names(value)
  local list = {}
  if type(value) ~= "table" then return list end
  for name in pairs(value) do
    if type(name) == "string" then list[#list + 1] = name end
  end
  return list
end

local function message(raised)
  if type(raised) == "table" then raised = raised.message end
  return (tostring(raised):gsub("^ask%.lua:%d+: ", ""))
end

local function look(question)
  local found = _G
  if question.module then
    local ok
    ok, found = pcall(require, question.module)
    if not ok then return { message = message(found) } end
  end
  for i = 1, #question.path do
    if type(found) == "function" then
      return { message = ("a function has no fields, so no '%s'"):format(question.path[i]) }
    end
    local ok, value = pcall(function() return found[question.path[i]] end)
    if not ok then return { message = message(value) } end
    if value == nil then return { missing = true } end
    found = value
  end
  local operation = type(found) == "userdata" and tostring(found):match "^[%w_]+%.[%w_.]+$" or nil
  return { type = type(found), operation = operation, names = names(found) }
end

return flow.define { name = "ask", run = look }
