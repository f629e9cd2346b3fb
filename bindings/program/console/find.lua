-- runs.find: by what is in a run or in its journal. The search looks at so many runs and for so long; where
-- it is cut off, it says so, and list:more() goes on from there.
local native, need = ...
local ask, text = need "console.ask", need "console.text"

local known = {
  text = "find", reference = "reference", email = "email", amount = "amount", last4 = "last4",
  since = "since", flow = "flow", state = "state", limit = "limit", cursor = "cursor", scan = "scan",
}

local function unknown(name)
  local all = {}
  for field in pairs(known) do all[#all + 1] = field end
  local near = native.nearest(tostring(name), all)
  error(("runs.find: unknown field \"%s\"%s"):format(tostring(name),
    near and ("; did you mean \"%s\"?"):format(near) or ": there are " .. table.concat(all, ", ")), 4)
end

local find

local function more_of(options, cursor)
  return function()
    local next_one = {}
    for name, value in pairs(options) do next_one[name] = value end
    next_one.cursor = cursor
    return find(next_one)
  end
end

local runs

function find(options)
  local query = {}
  for name, value in pairs(options) do query[known[name] or unknown(name)] = text.say(value) end
  if not (query.find or query.reference or query.email or query.amount or query.last4) then
    error("runs.find: nothing to look for: wanted text, reference, email, amount or last4", 3)
  end
  local page = ask.get("/v1/runs", query)
  local looked = ("%d run%s looked at"):format(page.scanned, page.scanned == 1 and "" or "s")
  local list = runs.rows(page.data, {
    none = page.cut and ("nothing among the %s; there are older ones: list:more()"):format(looked)
      or ("nothing found; %s"):format(looked),
    more = page.cut and ("%s; there are older ones: list:more()"):format(looked) or looked,
  })
  local meta = getmetatable(list)
  meta.__index = {
    cut = page.cut, scanned = page.scanned, more = page.cut and more_of(options, page.next_cursor),
  }
  return list
end

return function(options, the_runs)
  runs = the_runs
  return find(options)
end
