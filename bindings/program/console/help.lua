-- help(x): the documentation of anything, from the LuaLS definitions: what it does, its parameters with their
-- types and units, what it answers, which errors it may meet, and an example.
local native, need = ...
local types, text, ask = need "console.types", need "console.text", need "console.ask"
local paint = text.paint

local modules = {
  "flow", "mintro", "paymint", "mint", "paymnt", "http", "money", "time", "json", "crypto", "collection",
  "provider",
}

-- ---- what a value is called ----

local function name_in(module, prefix, value)
  for name, member in pairs(module) do
    if rawequal(member, value) then return prefix .. "." .. name end
    if type(member) == "table" and native.kind(member) == "table" then
      local found = name_in(member, prefix .. "." .. name, value)
      if found then return found end
    end
  end
end

local function name_of(value)
  local kind = native.kind(value)
  if kind == "operation" then return value.name end
  if kind == "error" then return "mintage.Error" end
  if kind == "money" then return "mintage.Money" end
  local meta = native.metatable(value)
  local called = type(meta) == "table" and rawget(meta, "__name")
  if called == "run" then return "console.Run" end
  if called == "travel" then return "console.Travel" end
  if type(called) == "string" and types.objects[called] then return called end
  for _, name in ipairs(modules) do
    local module = need("mintage." .. name)
    if rawequal(module, value) then return name end
    local found = name_in(module, name, value)
    if found then return found end
  end
  local objects = need "console.objects"
  for name, object in pairs(objects) do
    if rawequal(object, value) then return name end
    for member, method in pairs(object) do
      if rawequal(method, value) then return name .. "." .. member end
    end
  end
  if called == "mintage.time" then return "mintage.Time" end
end

-- ---- words ----

local width

local function say(format, ...)
  native.output((select("#", ...) > 0 and format:format(...) or format) .. "\n")
end

-- Text broken between words.
local function wrapped(s, indent)
  local line = (" "):rep(indent)
  for word in s:gmatch "%S+" do
    if text.width(line) + text.width(word) + 1 > width and line:find "%S" then
      say("%s", line)
      line = (" "):rep(indent)
    end
    line = line .. (line:find "%S$" and " " or "") .. word
  end
  if line:find "%S" then say("%s", line) end
end

-- "mintage." says nothing to a person.
local function short(type) return (type:gsub("mintage%.", ""):gsub("console%.", "")) end

local used -- aliases that were named

local function note_aliases(type)
  for name in type:gmatch "[%w_.]+" do
    if types.aliases[name] then used[name] = types.aliases[name] end
  end
end

local function fields_of(list)
  local most = 4
  for _, field in ipairs(list) do most = math.max(most, #field.name + (field.optional and 1 or 0)) end
  most = math.min(most, 28)
  for _, field in ipairs(list) do
    note_aliases(field.type)
    local name = field.name .. (field.optional and "?" or "")
    local head = ("    %s  %s"):format(text.pad(name, most), paint("cyan", short(field.type)))
    local doc = field.doc or ""
    if doc ~= "" and text.width(head) + text.width(doc) + 2 <= width then
      say("%s", head .. "  " .. doc)
    else
      say("%s", head)
      if doc ~= "" then wrapped(doc, most + 6) end
    end
  end
end

-- The fields of a parameter that is a table of named ones; nil for other values.
local values = {
  Run = true, Flow = true, Operation = true, Money = true, Time = true, Error = true, Travel = true,
}

local function members_of(param)
  local record = types.record(param.type)
  if record then return record end
  local class, name = types.class_of(param.type)
  if class and not values[name:match "([%w_]+)$"] and #class.fields > 0 then return class.fields end
end

local function params_of(found)
  if #found.params == 0 then return end
  say("%s", paint("bold", "  Parameters"))
  for _, param in ipairs(found.params) do
    local fields = members_of(param)
    if fields then
      fields_of { { name = param.name, optional = param.optional, type = "table", doc = param.doc } }
      local inner = {}
      for i, field in ipairs(fields) do
        local name = "  ." .. field.name
        inner[i] = { name = name, optional = field.optional, type = field.type, doc = field.doc }
      end
      fields_of(inner)
    else
      fields_of { param }
    end
  end
end

-- ---- an example, from the types ----

local samples = {
  { "Flow", '"checkout"' }, { "console.Run", "run" }, { "Money", 'money "80.00 USD"' },
  { "Duration", '"30d"' }, { "Instant", '"2027-01-31T09:00:00Z"' }, { "boolean", "true" },
  { "integer", "1" }, { "number", "1" }, { "table", "{}" }, { "fun", "function() end" },
}
local by_name = {
  email = '"ann@example.com"', currency = '"USD"', reference_id = '"ORDER-1001"', name = '"Ann"',
  order_items = '{ { name = "tea", quantity = 1, price = money "80.00 USD" } }',
  id = "id", topic = '"orders"',
}

local function sample(field)
  if by_name[field.name] and not field.type:find "Flow" then return by_name[field.name] end
  local quoted = field.type:match '^"[^"]*"'
  if quoted then return quoted end
  for _, row in ipairs(samples) do
    if field.type:find(row[1], 1, true) then return row[2] end
  end
  if field.name:find "_id$" then return '"' .. field.name:gsub("_id$", "") .. '_..."' end
  if field.name:find "url" then return '"https://shop.example/done"' end
  return '"..."'
end

local function example_table(fields, wanted)
  local members = {}
  for _, field in ipairs(fields) do
    if not field.optional then members[#members + 1] = field.name .. " = " .. sample(field) end
  end
  if #members == 0 and fields[1] and wanted then members[1] = fields[1].name .. " = " .. sample(fields[1]) end
  return #members > 0 and "{ " .. table.concat(members, ", ") .. " }" or nil
end

local function example_of(found)
  local parts = {}
  for i, param in ipairs(found.params) do
    local fields = members_of(param)
    if fields then
      parts[#parts + 1] = example_table(fields, i == 1 or not param.optional)
    elseif not param.optional and param.name ~= "..." then
      parts[#parts + 1] = sample(param)
    end
  end
  local name = found.name:gsub("^(%u%a+):", function(class) return class:lower() .. ":" end)
  if #parts == 1 and parts[1]:find '^["{]' then return name .. " " .. parts[1] end
  return name .. "(" .. table.concat(parts, ", ") .. ")"
end

-- ---- operations ----

local function operation_notes(name)
  local provider, rest = name:match "^([%w_]+)%.(.+)$"
  local page = provider and ask.maybe "/v1/providers"
  for _, row in ipairs(page and page.data or {}) do
    if row.name == provider then
      for _, operation in ipairs(row.operations or {}) do
        if operation.name == rest then
          if operation.moves_money then say("%s", paint("bold", "  Moves money")) end
          say("%s  %s", paint("bold", "  After an unknown outcome"), operation.repeats or "")
        end
      end
      local kinds, seen = {}, {}
      for _, err in ipairs(row.errors or {}) do
        if err.kind and not seen[err.kind] then kinds[#kinds + 1] = err.kind end
        seen[err.kind or ""] = true
      end
      if #kinds > 0 then
        say("%s", paint("bold", "  Errors"))
        table.sort(kinds)
        wrapped(table.concat(kinds, ", ") .. "; flow.try answers nil and the error instead of raising it", 4)
      end
      return
    end
  end
end

-- ---- pages ----

local function aliases_page()
  for name, alias in pairs(used) do
    say("  %s  %s %s", paint("dim", short(name)), paint("cyan", short(alias.type)), alias.doc)
  end
end

local function function_page(found)
  say("%s(%s)", paint("bold", found.name), found.args)
  wrapped(found.doc, 2)
  params_of(found)
  for _, answer in ipairs(found.returns) do
    note_aliases(answer.type)
    say("%s  %s", paint("bold", "  Returns"), paint("cyan", short(answer.type)))
    if answer.doc ~= "" then wrapped((answer.doc:gsub("^result ", "")), 4) end
  end
  operation_notes(found.name)
  aliases_page()
  say("%s", paint("bold", "  Example"))
  say("    %s", example_of(found))
end

local function class_page(class)
  say("%s", paint("bold", short(class.name)))
  wrapped(class.doc, 2)
  if #class.fields > 0 then say("%s", paint("bold", "  Fields")) end
  fields_of(class.fields)
  if #class.methods > 0 then say("%s", paint("bold", "  Methods")) end
  local own = class.name:match "([%w_]+)$"
  for _, method in ipairs(class.methods) do
    local found = types.functions[own .. ":" .. method]
    say("    %s", paint("cyan", (":%s(%s)"):format(method, found.args)))
    wrapped((found.doc:gsub("^(.-%.) .*$", "%1")), 8)
  end
  aliases_page()
end

-- A module, or a part of one: its functions, a line each.
local function names_page(name, doc)
  say("%s", paint("bold", name))
  if doc and doc ~= "" then wrapped((doc:gsub(" Written from core/providers; not to be edited.", "")), 2) end
  local names = {}
  for full in pairs(types.functions) do
    if full:sub(1, #name + 1) == name .. "." then names[#names + 1] = full end
  end
  for _, full in ipairs(names) do
    local found = types.functions[full]
    say("  %s", paint("cyan", full .. "(" .. found.args .. ")"))
    wrapped((found.doc:gsub("^(.-%.) .*$", "%1")), 6)
  end
end

local function overview()
  say("%s", paint("bold", "The console: Lua at a running runtime. Everything that flows have, and:"))
  for _, row in ipairs {
    { "runs", 'runs()  runs"ID"  runs.find{ email = "ann@example.com" }' },
    { "a run", "run:story()  :follow()  :retry()  :resolve()  :cancel()  :at(n)  :what_if(code)" },
    { "time travel", 't = run:at(3)  t:step()  t:back()  t:look "order.items[1]"  t:what_if(code)' },
    { "what happened", "events()  ledger  audit()" },
    { "what is loaded", "flows()  generations()  schedules()  providers()" },
    { "sandbox", 'sandbox.pay(run)  .fault(operation, fault)  .clock "30d"  .webhooks()' },
    { "providers", "mintro.intents.get(id)  paymnt.payments.retrieve(id)  ...; what moves money asks" },
    { "modules", table.concat(modules, " ") },
  } do
    say("  %s %s", text.pad(paint("cyan", row[1]), 16), row[2])
  end
  say("help(x) or help \"name\" tells of anything: help(mintro.intents.create), help \"flow.sleep\".")
end

local function find(name)
  name = name:gsub("^mintage%.", ""):gsub("%(%)$", "")
  local found = types.functions[name]
  if found then return function_page, found end
  local object, member = name:match "^([%w_]+)[.:]([%w_]+)$"
  local aliases = { run = "Run", travel = "Travel", t = "Travel", money = "Money", time = "Time" }
  local method = object and types.functions[(aliases[object] or object) .. ":" .. member]
  if method then return function_page, method end
  local class = types.classes[name] or types.classes["mintage." .. name] or types.classes["console." .. name]
    or types.classes["console." .. (aliases[name] or "")]
  if class then return class_page, class end
  if types.objects[name] then return names_page, name, types.objects[name] end
  if types.modules[name] then return names_page, name, types.modules[name].doc end
  for full in pairs(types.functions) do
    if full:sub(1, #name + 1) == name .. "." then return names_page, name end
  end
  local alias = types.aliases[name] or types.aliases["mintage." .. name]
  if alias then
    return function() say("%s  %s %s", name, paint("cyan", short(alias.type)), alias.doc) end
  end
end

local function unknown(name)
  local close = {}
  for _, full in ipairs(types.names()) do
    if #close < 8 and full:lower():find(name:lower(), 1, true) then close[#close + 1] = full end
  end
  local near = native.nearest(name, types.names())
  if near then
    say("There is no help for \"%s\"; did you mean \"%s\"?", name, near)
  elseif #close > 0 then
    say("There is no help for \"%s\"; there is for %s.", name, table.concat(close, ", "))
  else
    say("There is no help for \"%s\". help() lists what there is.", name)
  end
end

return function(...)
  width, used = math.max(native.session.width or 100, 40), {}
  local what = ...
  if select("#", ...) == 0 or what == nil then return overview() end
  local name = type(what) == "string" and what or name_of(what)
  if not name then
    say("This is a %s; help() lists what there is help for.", native.kind(what))
    return
  end
  local page, about, more = find(name)
  if not page then return unknown(name) end
  page(about, more)
end
