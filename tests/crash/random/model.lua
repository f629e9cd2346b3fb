-- What a random flow comes to where nothing ever goes wrong: the same text, run by plain Lua, with modules that do at once
-- what the real ones do durably. It knows no crashes, no retries and no time.

local bank = require "bank"

local KINDS = { [402] = "permission", [404] = "not_found" }

local function operation(method, world)
  return function(params)
    local path = params.url:match("^https://bank%.example(/.*)$")
    local status, answer = world.bank:handle(method, path, params.json, params.idempotency_key)
    if status >= 400 then error({ kind = KINDS[status] }, 0) end
    return { status = status, json = answer }
  end
end

local function modules(world, run)
  local http = { post = operation("POST", world), put = operation("PUT", world), get = operation("GET", world),
    delete = operation("DELETE", world) }
  local flow = {
    define = function(definition) return definition end,
    try = function(op, params)
      local ok, value = pcall(op, params)
      if ok then return value end
      return nil, value
    end,
    undo = function(op, params)
      run.undos[#run.undos + 1] = { op, params }
      world.undone[params.url:match("/charges/(.+)$")] = true
    end,
    sleep = function() end,
    random = function() return 1 end,
    uuid = function() return ("x"):rep(36) end,
    progress = function() end,
    log = function() end,
    fail = function(kind) error({ kind = kind }, 0) end,
    continue = function(input) error({ continue = input }, 0) end,
  }
  function flow.all(calls)
    local answers = {}
    for i, call in ipairs(calls) do
      local value, err = flow.try(call[1], call[2])
      answers[i] = { value = value, err = err }
    end
    return answers
  end
  function flow.start(name, input)
    world.children[#world.children + 1] = { name = name, input = input }
    return { id = #world.children }
  end
  function flow.await(topic, key)
    if topic == "run" then
      local child = world.children[key]
      return world.run(child.name, child.input)
    end
    return topic == "sig" and { n = 7 } or nil
  end
  local notes = {}
  function notes.insert(_, document)
    if world.notes[document.label] then error({ kind = "conflict" }, 0) end
    world.notes[document.label] = document
    return document
  end
  function notes.get(_, id) return world.notes[id] end
  return { ["mintage.flow"] = flow, ["mintage.http"] = http,
    ["mintage.collection"] = { define = function() return notes end } }
end

-- One run to its end: { state, output, error }.
local function execute(world, name, input)
  while true do
    local run = { undos = {} }
    local loaded = modules(world, run)
    local env = setmetatable({ require = function(m) return loaded[m] end }, { __index = _G })
    local definition = assert(load(world.texts[name], name, "t", env))()
    local ok, value = pcall(definition.run, input)
    if ok then return { state = "completed", output = value } end
    if type(value) ~= "table" then error(value, 0) end -- a bug of the generator
    if not value.continue then
      for i = #run.undos, 1, -1 do run.undos[i][1](run.undos[i][2]) end
      return { state = "failed", error = value }
    end
    input = value.continue
  end
end

-- texts: flows by name. Answers what becomes of the run, the bank, and for which charges there was an undo.
return function(texts, name, input)
  local world = { bank = bank.new(), texts = texts, children = {}, notes = {}, undone = {} }
  world.run = function(child, child_input) return execute(world, child, child_input) end
  local ended = world.run(name, input)
  return ended, world.bank, world.undone
end
