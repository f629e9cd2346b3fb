-- How values look at the console.
local native = ...
local render = {}

function render.short(value) return tostring(value) end
function render.value(value) return type(value) == "string" and ("%q"):format(value) or tostring(value) end
function render.mistake(message) return message end
function render.failure(err)
  return tostring(err.kind), ("%s: %s"):format(err.kind, err.message)
end
return render, native
