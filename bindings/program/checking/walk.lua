-- Goes through a file's tree with the names that are in scope: first to learn which variables change and
-- what each function is for, then to look for mistakes. What a mistake is stands in rules.lua.

local values = require "mintage.checking.values"

local walk = {}

-- ---- scopes ----

local Scope = {}
Scope.__index = Scope

function Scope.new(parent) return setmetatable({ parent = parent, names = {} }, Scope) end

function Scope:find(name)
  local scope = self
  while scope do
    local variable = scope.names[name]
    if variable then return variable end
    scope = scope.parent
  end
  return nil
end

function Scope:visible()
  local list, scope = {}, self
  while scope do
    for name in pairs(scope.names) do list[#list + 1] = name end
    scope = scope.parent
  end
  table.sort(list)
  return list
end

-- ---- the walker ----

local Walker = {}
Walker.__index = Walker

-- rules: functions called on the way (see below); learned: what the first walk found.
function walk.new(rules, learned, report)
  return setmetatable({ rules = rules, learned = learned, report = report, purpose = "file" }, Walker)
end

-- Declares a variable by its Id node. What is known of its value is believed only if nothing else is
-- assigned to it.
function Walker:declare(scope, id, value)
  scope.names[id[1]] = { id = id, value = value, changes = self.learned.changes[id] }
end

local statements, expressions = {}, {}

function Walker:expression(node, scope)
  local visit = expressions[node.tag]
  if visit then visit(self, node, scope) end
end

function Walker:each(list, scope, from)
  for i = from or 1, #list do self:expression(list[i], scope) end
end

function Walker:block(block, parent)
  local scope = Scope.new(parent)
  local ended, told
  for _, statement in ipairs(block) do
    if ended and not told and statement.tag ~= "Label" and statement.tag ~= "Localrec" then
      self.rules.unreachable(self, statement, ended)
      told = true
    end
    if statement.tag == "Label" then ended = nil end
    self:statement(statement, scope)
    ended = ended or self:ends(statement, scope)
  end
  return scope
end

function Walker:statement(node, scope)
  local visit = statements[node.tag]
  if visit then visit(self, node, scope) end
end

-- What makes the statement the last that is reached ("return", "flow.fail", ...), or nil.
function Walker:ends(node, scope)
  local tag = node.tag
  if tag == "Return" or tag == "Break" or tag == "Goto" then return tag:lower() end
  if tag == "Call" then
    local called = values.infer(node[1], scope)
    local signature = values.signature(called)
    if signature and signature.noreturn then return values.full_name(called) end
    local global = called and called.t == "member" and not called.module and #called.path == 1
    return global and called.path[1] == "error" and "error" or nil
  end
  local function last_of(block) return block[#block] and self:ends(block[#block], scope) end
  if tag == "Do" then return last_of(node) end
  if tag ~= "If" or #node % 2 == 0 then return nil end
  local why
  for i = 2, #node, 2 do
    why = last_of(node[i])
    if not why then return nil end
  end
  return last_of(node[#node]) and "every branch above" or nil
end

-- ---- functions ----

-- What is known of a function's parameters, by what it is for.
local function parameters(learned)
  if not learned then return {} end
  return learned.parameters or {}
end

function Walker:fn(node, scope)
  local inner, learned = Scope.new(scope), self.learned.functions[node]
  local known = parameters(learned)
  for i, id in ipairs(node[1]) do
    if id.tag == "Id" then self:declare(inner, id, known[i]) end
  end
  local before = self.purpose
  if learned and learned.purpose then
    self.purpose = learned.purpose
  elseif before == "file" then
    self.purpose = "function"
  end
  self:block(node[2], inner)
  self.purpose = before
end

-- ---- statements ----

function statements.Local(self, node, scope)
  local names, list = node[1], node[2] or {}
  self:each(list, scope)
  for i, id in ipairs(names) do
    local value = list[i] and values.infer(list[i], scope)
    if not list[i] and #list > 0 then value = nil end
    self:declare(scope, id, value)
  end
end

function statements.Localrec(self, node, scope)
  self:declare(scope, node[1][1], { t = "function", node = node[2][1] })
  self:expression(node[2][1], scope)
end

function statements.Set(self, node, scope)
  self:each(node[2], scope)
  for _, target in ipairs(node[1]) do
    if target.tag == "Id" then
      local variable = scope:find(target[1])
      if variable then
        self.learned.changes[variable.id] = true
      else
        self.rules.global_write(self, target, scope)
      end
    else
      self:expression(target[1], scope)
      self:expression(target[2], scope)
    end
  end
end

function statements.Call(self, node, scope)
  self:expression(node, scope)
  self.rules.ignored(self, node, scope)
end
statements.Invoke = statements.Call

function statements.Return(self, node, scope) self:each(node, scope) end
function statements.Do(self, node, scope) self:block(node, scope) end

function statements.If(self, node, scope)
  for i = 1, #node - 1, 2 do
    self:expression(node[i], scope)
    self:block(node[i + 1], scope)
  end
  if #node % 2 == 1 then self:block(node[#node], scope) end
end

function statements.While(self, node, scope)
  self:expression(node[1], scope)
  self:block(node[2], scope)
end

function statements.Repeat(self, node, scope)
  local inner = self:block(node[1], scope)
  self:expression(node[2], inner)
end

function statements.Fornum(self, node, scope)
  local inner = Scope.new(scope)
  for i = 2, #node - 1 do self:expression(node[i], scope) end
  self:declare(inner, node[1], nil)
  self:block(node[#node], inner)
end

function statements.Forin(self, node, scope)
  local inner = Scope.new(scope)
  self:each(node[2], scope)
  for _, id in ipairs(node[1]) do self:declare(inner, id, nil) end
  self:block(node[3], inner)
end

-- ---- expressions ----

function expressions.Id(self, node, scope)
  if not scope:find(node[1]) then self.rules.global_read(self, node, scope) end
end

function expressions.Index(self, node, scope)
  self:expression(node[1], scope)
  self:expression(node[2], scope)
  self.rules.index(self, node, scope)
end

function expressions.Call(self, node, scope)
  self:each(node, scope)
  self.rules.call(self, node, scope)
end

function expressions.Invoke(self, node, scope)
  self:expression(node[1], scope)
  self:each(node, scope, 3)
  self.rules.invoke(self, node, scope)
end

function expressions.Function(self, node, scope) self:fn(node, scope) end
function expressions.Paren(self, node, scope) self:expression(node[1], scope) end
function expressions.Pair(self, node, scope) self:each(node, scope) end
function expressions.Table(self, node, scope) self:each(node, scope) end

function expressions.Op(self, node, scope)
  self:each(node, scope, 2)
  self.rules.op(self, node, scope)
end

-- Walks a whole file.
function Walker:file(tree) self:block(tree, nil) end

return walk
