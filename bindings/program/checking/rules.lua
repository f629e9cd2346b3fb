-- What counts as a mistake. Two sets of rules for the walker: `learning` finds out what functions are for,
-- `checking` reports. What exists is asked of the running VM and of the operations' tables, not listed here.

local fit = require "mintage.checking.fit"
local native = require "mintage.checking.native"
local types = require "mintage.checking.types"
local values = require "mintage.checking.values"

-- ---- what functions are for ----

local function nothing() end

local learning = {
  unreachable = nothing, global_write = nothing, global_read = nothing, index = nothing,
  ignored = nothing, invoke = nothing, op = nothing,
}

local function module_call(node, scope, module)
  local called = values.infer(node[1], scope)
  local found = called and called.t == "member" and called.module == module
  return found and table.concat(called.path, ".") or nil
end

local function learn(walker, node, scope, what)
  local value = node and values.infer(node, scope)
  if value and value.t == "function" then walker.learned.functions[value.node] = what end
end

-- The fields of a schema that is written down whole, by name.
local function input_fields(node)
  if not node or node.tag ~= "Table" then return nil end
  local given = fit.read_table(node)
  if not given.whole or given.listed > 0 then return nil end
  return given.named
end

local function learn_flow(walker, node, scope)
  local definition = node[2]
  if not definition or definition.tag ~= "Table" then return end
  local given = fit.read_table(definition).named
  local fields = input_fields(given.input)
  local input = fields and { t = "input", fields = fields } or nil
  learn(walker, given.run, scope, { purpose = "run", parameters = { input } })
  local class = types.class "mintage.LateEvent"
  local event = class and { t = "object", class = class } or nil
  learn(walker, given.late, scope, { purpose = "run", parameters = { event } })
end

function learning.call(walker, node, scope)
  if module_call(node, scope, "mintage.flow") == "define" then return learn_flow(walker, node, scope) end
  local route = module_call(node, scope, "mintage.web")
  if route and route ~= "page" then
    local request = { t = "object", class = types.class "mintage.Request" }
    return learn(walker, node[#node], scope, { purpose = "handler", parameters = { request } })
  end
  if module_call(node, scope, "mintage.task") == "define" then
    learn(walker, node[#node], scope, { purpose = "handler" })
  end
end

-- ---- mistakes ----

local checking = {}

function checking.unreachable(walker, node, why)
  local after = why == "every branch above" and why .. " leaves" or why .. " does not come back"
  walker.report(node, "warning", ("this is never reached: %s"):format(after))
end

-- ---- names ----

function checking.global_read(walker, node, scope)
  local name = node[1]
  if name == "_ENV" then return end
  local answer = values.ask { path = { name } }
  if answer.type then return end
  local message = answer.message or ("undeclared global '%s'"):format(name)
  if not message:find("did you mean", 1, true) and not message:find(": ", 1, true) then
    message = message .. fit.nearest(name, scope:visible())
  end
  walker.report(node, "error", message)
end

function checking.global_write(walker, node, scope)
  local name = node[1]
  local near = fit.nearest(name, scope:visible())
  local words = "assignment to undeclared global '%s'%s: write local %s = ..."
  walker.report(node, "error", words:format(name, near, name))
end

local function report_member(walker, node, at, name)
  local answer = values.ask(at)
  if answer.message then
    walker.report(node, "error", answer.message)
  elseif answer.missing and at.module ~= "mintage.settings" then -- their names are the configuration's
    local path = table.move(at.path, 1, #at.path - 1, 1, {})
    local parent = { module = at.module, defined = at.defined, path = path }
    local near = fit.nearest(name, values.ask(parent).names or {})
    local words = ("%s has no '%s'%s"):format(values.full_name(parent), name, near)
    walker.report(node, at.defined and "error" or "warning", words)
  end
end

local function names_of(class)
  local names = {}
  for name in pairs(class.fields) do names[#names + 1] = name end
  for name in pairs(class.methods) do names[#names + 1] = name end
  table.sort(names)
  return names
end

function checking.index(walker, node, scope)
  if node[2].tag ~= "String" then return end
  local name, object = node[2][1], values.infer(node[1], scope)
  if not object then return end
  if object.t == "member" then
    local parent = values.ask(object)
    if parent.type == nil then return end -- told where it was written
    return report_member(walker, node[2], values.infer(node, scope), name)
  end
  if object.t == "input" and not object.fields[name] then
    local names = {}
    for field in pairs(object.fields) do names[#names + 1] = field end
    table.sort(names)
    local near = fit.nearest(name, names)
    local words = "the flow's input has no field '%s', so this is nil%s"
    walker.report(node[2], "warning", words:format(name, near))
    return
  end
  local class = values.class_of(object)
  if class and not class.open and not class.fields[name] and not class.methods[name] then
    walker.report(node[2], object.t == "money" and "error" or "warning",
      ("%s has no '%s'%s"):format(class.name, name, fit.nearest(name, names_of(class))))
  end
end

local function check_require(walker, node)
  local argument = node[2]
  if not argument or argument.tag ~= "String" then return end
  local name = argument[1]
  if name:find "^mintage" then
    local answer = values.ask { module = name, path = {} }
    if answer.message then walker.report(argument, "error", answer.message) end
  elseif not walker.files[name] then
    local names = {}
    for file in pairs(walker.files) do names[#names + 1] = file end
    table.sort(names)
    walker.report(argument, "error", ("there is no file %s.lua to require%s"):format((name:gsub("%.", "/")),
      fit.nearest(name, names)))
  end
end

-- ---- calls ----

-- Effects of runs alone, as the engine refuses them in handlers (exec_refuse_handler).
local runs_only = {
  sleep = true, sleep_until = true, await = true, events = true, undo = true, all = true, progress = true,
  ["continue"] = true,
}

-- What belongs to the loading of a file, and can be in no run or handler.
local loading_only = { define = true, every = true, cron = true }

local function check_place(walker, node, operation, what)
  if walker.purpose == "file" then
    local when = "it can be called while a flow runs, not while its file loads"
    walker.report(node, "error", ("%s is an effect: %s"):format(what, when))
    return
  end
  if walker.purpose ~= "handler" or not operation then return end
  local row = native.operation(operation)
  if row and (row["repeat"] ~= "read" or row.kind ~= "call") then
    local instead = "a handler may only read: start a run with flow.start"
    walker.report(node, "error", ("%s does something, and %s"):format(operation, instead))
  end
end

-- flow.try(operation, ...), flow.undo(operation, ...)
local function check_given_operation(walker, node, what, scope)
  local argument = node[2]
  if not argument then return end
  local operation = values.operation(values.infer(argument, scope))
  if operation then
    if what == "try" then check_place(walker, argument, operation, operation) end
    fit.operation(operation, node, 3, scope, walker.report)
  elseif argument.tag == "Call" and values.operation(values.infer(argument[1], scope)) then
    walker.report(argument, "error", ("flow.%s takes the operation itself and its parameters behind it: "
      .. "flow.%s(%s, {...})"):format(what, what, values.operation(values.infer(argument[1], scope))))
  end
end

local function check_all(walker, node, scope)
  local list = node[2]
  if not list or list.tag ~= "Table" then return end
  for _, item in ipairs(list) do
    local operation = item.tag == "Table" and item[1] and values.operation(values.infer(item[1], scope))
    if operation then fit.operation(operation, item, 2, scope, walker.report) end
  end
end

local function check_start(walker, node, scope)
  local name = node[2] and values.infer(node[2], scope)
  if not walker.flows or not name or not name.literal or name.t ~= "string" then return end
  for _, known in ipairs(walker.flows) do
    if known == name.value then return end
  end
  walker.report(node[2], "warning", ('there is no flow "%s" here%s'):format(name.value,
    fit.nearest(name.value, walker.flows)))
end

local function check_flow(walker, node, path, scope)
  local what = "flow." .. path
  if not loading_only[path] then check_place(walker, node, nil, what) end
  if (path == "every" or path == "cron") and walker.purpose ~= "file" and walker.purpose ~= "function" then
    walker.report(node, "error",
      what .. " registers a schedule: that is done while its file loads, not while one runs")
  end
  if walker.purpose == "handler" and runs_only[path] then
    walker.report(node, "error", ("%s is for runs: a handler may read, keep documents, signal and start runs")
      :format(what))
  end
  if path == "try" or path == "undo" then
    check_given_operation(walker, node, path, scope)
  elseif path == "all" then
    check_all(walker, node, scope)
  elseif path == "start" then
    check_start(walker, node, scope)
  end
end

local function check_standard(walker, node, called)
  if values.ask(called).missing and #called.path > 1 then return end -- told as an index
  if #called.path == 1 and called.path[1] == "require" then check_require(walker, node) end
end

function checking.call(walker, node, scope)
  local called = values.infer(node[1], scope)
  if not called or called.t ~= "member" then return end
  if not called.module then return check_standard(walker, node, called) end
  local operation, path = values.operation(called), table.concat(called.path, ".")
  if operation then
    check_place(walker, node, operation, operation)
    fit.operation(operation, node, 2, scope, walker.report)
    return
  end
  if called.module == "mintage.flow" then check_flow(walker, node, path, scope) end
  if called.module == "mintage.money" then
    if path == "" then return fit.money(node, scope, walker.report) end
    if path == "zero" and node[2] then fit.currency(node[2], scope, walker.report) end
  end
  local signature = values.signature(called)
  if signature then fit.arguments(signature, values.full_name(called), node, 2, scope, walker.report) end
end

function checking.invoke(walker, node, scope)
  local object, name = values.infer(node[1], scope), node[2][1]
  local class = values.class_of(object)
  if not class then return end
  local method = class.methods[name]
  if method then
    fit.arguments(method, ("%s:%s"):format(class.name:match "[^.]+$", name), node, 3, scope, walker.report)
  elseif not class.fields[name] and not class.open then
    walker.report(node[2], "error", ("%s has no method '%s'%s"):format(class.name, name,
      fit.nearest(name, names_of(class))))
  end
end

-- ---- results that nobody looks at ----

local function answers_error(signature)
  for _, type in ipairs(signature.returns) do
    if type.name == "mintage.Error" then return true end
  end
  return false
end

function checking.ignored(walker, node, scope)
  local called = node.tag == "Invoke" and values.method(values.infer(node[1], scope), node[2][1])
    or node.tag == "Call" and values.infer(node[1], scope)
  local signature = values.signature(called or nil)
  if not signature then return end
  local what = node.tag == "Invoke" and node[2][1] or values.full_name(called)
  if answers_error(signature) then
    local words = "%s answers what went wrong, and nobody looks: local value, err = %s(...)"
    walker.report(node, "warning", words:format(what, what))
  elseif signature.nodiscard then
    walker.report(node, "warning", ("%s does nothing but answer, and its answer is not used"):format(what))
  end
end

-- ---- arithmetic of money ----

local comparisons = { eq = "==", ne = "~=", lt = "<", le = "<=", gt = ">", ge = ">=" }
local sums = { add = "+", sub = "-" }

local function foreign(value)
  if not value then return false end
  return value.t == "integer" or value.t == "float" or (value.t == "string" and value.literal)
end

local function check_money(walker, node, name, other)
  if comparisons[name] and foreign(other) then
    local instead = ("compare it with money (%s money.zero(...)), or ask :is_zero(), :is_positive()"):format(
      comparisons[name])
    walker.report(node, "error", ("money is compared with %s: %s"):format(fit.describe(other), instead))
  elseif sums[name] and foreign(other) then
    walker.report(node, "error", ("%s %s money: only money can be added to and taken from money"):format(
      fit.describe(other), sums[name]))
  elseif (name == "mul" or name == "idiv") and other and other.t == "float" then
    walker.report(node, "error", "money and a number with a fraction: that is not exact; use :ratio(3, 2)")
  elseif name == "div" then
    walker.report(node, "error", "money has no /: use :split(parts), :ratio(1, 3), or // for whole parts")
  end
end

function checking.op(walker, node, scope)
  if not node[3] then return end
  local left, right = values.infer(node[2], scope), values.infer(node[3], scope)
  if left and left.t == "money" then
    check_money(walker, node, node[1], right)
  elseif right and right.t == "money" and node[1] ~= "div" then
    check_money(walker, node, node[1], left)
  end
end

return { learning = learning, checking = checking }
