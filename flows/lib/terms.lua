-- What a flow takes for granted, and the section of the settings that may say otherwise. A slip there is
-- found when the flow is loaded, and not when it charges.

local json = require "mintage.json"
local settings = require "mintage.settings"
local time = require "mintage.time"

local function is_duration(value) return (pcall(time.duration, value)) end

-- Whether a value may stand where this one stood: of its type, a duration for a duration, a list of such.
local function fits(value, stood)
  if type(value) ~= type(stood) then return false end
  if type(stood) ~= "table" then return not is_duration(stood) or is_duration(value) end
  for _, one in ipairs(value) do
    if not fits(one, stood[1]) then return false end
  end
  return true
end

return function(section, terms)
  for name, value in pairs(settings[section] or {}) do
    local stood = terms[name]
    if stood == nil then error(("settings: %s has no %q"):format(section, name), 0) end
    if not fits(value, stood) then
      local problem = "settings: %s.%s: wanted something like %s, found %s"
      error(problem:format(section, name, json.encode(stood), json.encode(value)), 0)
    end
    terms[name] = value
  end
  return terms
end
