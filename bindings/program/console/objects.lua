-- What the console has besides the mintage modules.
local _, need = ...
local objects = {}

for name, object in pairs(need "console.lists") do objects[name] = object end
objects.runs = need "console.runs"
objects.ledger = need "console.ledger"
objects.sandbox = need "console.sandbox"
if type(objects.sandbox) ~= "table" then objects.sandbox = nil end

return objects
