-- Every operation of every provider meets every fault: afterwards the sandbox's ledger and the run's story agree, or a person is
-- asked; nothing is ever done twice. The operations come from the running program: one that is added is in the matrix, and this
-- fails until its state is prepared (fault_matrix_states.lua). MATRIX=show prints the table on standard error.

local testing = require "mintage.testing"
local here = debug.getinfo(1, "S").source:match "^@(.*/)" or "./"
local support = dofile(here .. "fault_matrix_support.lua")

local ONCE = {
  "drop_response", "timeout", "reset", "status=500", "status=502", "status=503", "status=429", "malformed", "cut", "slow=300",
  "slow=35000", -- it is done, but the client has given up by then
}
local AGAIN = { "drop_response", "reset", "malformed", "status=503", "status=429" } -- four times, if it is sent so often
local OF_EVENTS = { "duplicate", "delay=600000", "reorder", "lose" }
local LONG = { timeout = true, ["slow=35000"] = true }

local SENDS_NOTHING = { ["mint.epins.release"] = true } -- is always refused, so no fault can meet it
local PROVIDERS = { mintro = true, mint = true, paymint = true, paymnt = true }

-- The faults of a provider's own codes, but for those that ONCE has.
local function codes_of(provider)
  local known, faults = {}, {}
  for _, fault in ipairs(ONCE) do known[fault] = true end
  for _, row in ipairs(provider.errors) do
    local fault = (row.code:find "^%d%d%d$" and "status=" or "error=") .. row.code
    if not known[fault] then faults[#faults + 1] = fault end
  end
  return faults
end

-- The states that are prepared for an operation: { {name or nil, function} }, in an order that stays.
local function states_of(operation)
  local prepared = support.prepared[operation]
  assert(prepared, "no state is prepared for " .. operation .. ": fault_matrix_states.lua wants one")
  if type(prepared) == "function" then return { { nil, prepared } } end
  local names, list = {}, {}
  for name in pairs(prepared) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do list[i] = { name, prepared[name] } end
  return list
end

local function add_requests(m, provider, operation, codes)
  local full = provider.name .. "." .. operation.name
  for _, state in ipairs(states_of(full)) do
    local lane = full == "mint.balances.list" or full == "mint.balances.get" or full == "paymint.licenses.list"
    local function add(fault, times, undo)
      if not (fault == "slow=35000" and not operation.moves_money) then
        m:add {
          operation = full, variant = state[1], prepare = state[2], fault = fault, times = times, slow = LONG[fault], undo = undo,
          lane = lane,
        }
      end
    end
    for _, fault in ipairs(ONCE) do
      add(fault)
      if operation.kind == "release" then add(fault, nil, true) end
    end
    for _, fault in ipairs(codes) do add(fault) end
    for _, fault in ipairs(AGAIN) do add(fault, 4) end
  end
end

-- Only where a webhook tells of what the call did, or the run waits for one.
local function add_events(m, provider, operation)
  local full = provider.name .. "." .. operation.name
  local states = support.waiting[full] and { { "waiting", support.waiting[full] } } or states_of(full)
  for _, state in ipairs(provider.webhooks and states or {}) do
    for _, fault in ipairs(support.tells(full, state[1]) and OF_EVENTS or {}) do
      m:add { operation = full, variant = state[1], prepare = state[2], fault = fault, event = true }
    end
  end
end

describe("every operation and every fault", function()
  local runtime, sandbox, m

  setup(function()
    runtime, sandbox = testing.pair { flows = testing.flows(support.flows), workers = 160, log_level = "error" }
    m = support.new(runtime, sandbox)
    testing.wait_until(function()
      local endpoints = sandbox:http("GET", "/_sandbox/endpoints").json
      return endpoints.mintro and endpoints.paymint and endpoints.paymnt
    end, "the runtime has registered its webhooks")
  end)
  teardown(testing.clean_up)

  -- Adds the cells of all providers' operations, as the running program tells them.
  local function add(cells_of)
    for _, provider in ipairs(runtime:api("GET", "/v1/providers").json.data) do
      for _, operation in ipairs(PROVIDERS[provider.name] and provider.operations or {}) do
        if not SENDS_NOTHING[provider.name .. "." .. operation.name] then
          cells_of(m, provider, operation, codes_of(provider))
        end
      end
    end
  end

  -- Cells that tell two stories fail with all of them.
  local function judge(cells)
    local wrong = {}
    for _, cell in ipairs(cells) do
      local problem = support.problem(cell)
      if problem then wrong[#wrong + 1] = support.told(cell) .. "\n    " .. problem end
    end
    assert(#wrong == 0, ("%d of %d cells:\n%s"):format(#wrong, #cells, table.concat(wrong, "\n", 1, math.min(#wrong, 40))))
  end

  local function show(cells)
    if os.getenv "MATRIX" ~= "show" then return end
    local columns = {}
    for _, fault in ipairs(ONCE) do columns[#columns + 1] = fault end
    for _, fault in ipairs(AGAIN) do columns[#columns + 1] = fault .. " again" end
    for _, column in ipairs(columns) do columns[column] = true end
    io.stderr:write(support.table(cells, columns))
  end

  it("tell one story of what was done, or ask a person", function()
    add(add_requests)
    local slow, quick, again = {}, {}, {}
    for _, cell in ipairs(m.cells) do table.insert(cell.times and again or cell.slow and slow or quick, cell) end
    table.move(quick, 1, #quick, #slow + 1, slow) -- what takes half a minute begins first
    m:run(slow, 96, 200000)
    m:run(again, 96, 200000)
    m:count(m.cells)
    judge(m.cells)
    show(m.cells)

    local open = {}
    for _, cell in ipairs(m.cells) do
      if cell.outcome == "person" then open[#open + 1] = cell end
    end
    assert.is_true(#open > 0, "MINT's calls are to wait for a person")
    m:settle(open)
    m:count(open)
    judge(open)
  end)

  it("end well however late, often, disordered or lost the webhooks are", function()
    m.cells = {}
    add(add_events)
    m:run(m.cells, 96, 60000)
    m:count(m.cells)
    judge(m.cells)
    for _, cell in ipairs(m.cells) do assert.equal("done", cell.outcome, support.told(cell)) end
  end)
end)
