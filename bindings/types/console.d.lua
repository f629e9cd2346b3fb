---@meta mintage.console
-- What the console (mintage repl) has besides the modules: the runtime's runs, events, providers, flows, generations,
-- schedules, its ledger, its audit, and a sandbox where there is one. Whatever changes something asks first, and is
-- refused in a read-only session.

---@class console.Run A run, as the API tells of it; it shows as its story.
---@field id string
---@field flow string
---@field key? string the key that it was started with
---@field state "queued"|"running"|"sleeping"|"waiting"|"compensating"|"completed"|"failed"|"cancelled"|"needs_attention"
---@field generation string of the code that it has
---@field segment integer 0, then one more at each flow.continue
---@field input table secrets are "[sealed]"
---@field progress table
---@field output? any
---@field error? mintage.Error
---@field waiting_for? table
---@field due_at? string
---@field created_at string
---@field updated_at string
local Run = {}

---Reads the run again.
---@return console.Run
function Run:refresh() end

---Prints the run's story: each effect, what it asked and what it was answered.
function Run:story() end

---The entries of its journal.
---@param segment? integer all segments, when left out
---@return table
function Run:journal(segment) end

---Prints effects as they come, until the run ends or needs attention, or Ctrl-C (which stops the printing, not the run).
---@param limit? mintage.Duration at most so long; an hour
function Run:follow(limit) end

---Carries on a run that needs attention, from where it stopped.
---@return console.Run
function Run:retry() end

---Undoes what the run did, newest first, and ends it.
---@param reason? string for the story
---@return console.Run
function Run:cancel(reason) end

---Settles by hand an effect whose outcome is not known. Without an argument: says what has to be looked up, and where.
---@param what? { outcome: "done"|"rejected"|"not_sent", value?: any, error?: table, seq?: integer, segment?: integer }
---@return console.Run?
function Run:resolve(what) end

---Appends an event to the log of (topic, key), waking who waits for it.
---@param topic string
---@param key string
---@param payload? any
---@return console.Run
function Run:signal(topic, key, payload) end

---Moves the run to the newest code, if its journal agrees with that.
---@param options? { dry_run?: boolean }
---@return table
function Run:migrate(options) end

---Time travel: the run's script, replayed to effect `n` and stopped before it hears what that answered. Nothing is sent and
---nothing is written, whatever state the run is in.
---@param n? integer from 1; where the journal ends, when left out
---@param segment? integer an earlier one
---@return console.Travel
function Run:at(n, segment) end

---What other code would have done on the same journal: where it parts ways, or what it would do next.
---@param code string the text of the flow's file, the path of a .lua file or a folder of flows on the runtime's machine, or
---"current": the newest code that is loaded
---@param options? { at?: integer, segment?: integer }
---@return console.Travel
function Run:what_if(code, options) end

---@class console.Travel A run as it stood at an effect. It moves when it is told to step; it never touches the run.
---@field run string
---@field at integer the effect that comes next
---@field effects integer how many the journal has
---@field now string the script's time there
---@field stop "effect"|"end"|"returned"|"failed"|"bug"|"limit"|"parted" why it stands there
---@field effect? table what comes next, with its answer if it is journaled
---@field previous? table what the script has just heard
---@field frames table the script's frames, innermost first, with file, line, locals and upvalues
---@field parted? { seq: integer, expected: table, found: table, message: string, file?: string, line?: integer }
local Travel = {}

---Goes on, over so many effects.
---@param n? integer 1
---@return console.Travel
function Travel:step(n) end

---Goes back, over so many effects.
---@param n? integer 1
---@return console.Travel
function Travel:back(n) end

---Goes to an effect.
---@param n integer from 1
---@return console.Travel
function Travel:to(n) end

---Goes to where the journal ends.
---@return console.Travel
function Travel:finish() end

---The local variables of a frame, by their names.
---@param frame? integer 0: the innermost
---@return table
function Travel:locals(frame) end

---The variables around a frame's function, by their names.
---@param frame? integer 0: the innermost
---@return table
function Travel:upvalues(frame) end

---One variable or a member of it, whole. Secrets stay masked.
---@param path string "order.items[2].price"
---@param frame? integer 0: the innermost
---@return any
function Travel:look(path, frame) end

---The same run's journal against other code, as run:what_if.
---@param code string
---@param options? { at?: integer, segment?: integer }
---@return console.Travel
function Travel:what_if(code, options) end

---Runs: runs() lists the newest; runs"ID", runs"KEY", runs"ORDER-1001" finds one by its id, its key, or any text in it.
local runs = {}

---Runs, newest first.
---@param options? { flow?: string, state?: string, key?: string, limit?: integer, cursor?: string }
---@return console.Run[]
function runs.list(options) end

---Runs by what is in their inputs, progress, outputs, errors or journals, newest first. The search looks at so many runs and
---for so long; it says when it was cut off, and `list.more()` goes on from there.
---@param options { reference?: string, email?: string, amount?: string|mintage.Money, last4?: string, text?: string, since?: string, flow?: string, state?: string, limit?: integer }
---@return console.Run[]
function runs.find(options) end

---The run with this id, or nil.
---@param id string
---@return console.Run?
function runs.get(id) end

---Events: events() lists the newest, events(n) is one; event:redeliver() delivers it once more.
local events = {}

---Events, newest first.
---@param options? { topic?: string, key?: string, unread?: boolean, late?: boolean, limit?: integer, cursor?: string }
---@return table
function events.list(options) end

---Providers: providers() lists them, providers"mintro" is one: URL, breaker, operations, errors.
local providers = {}

---The providers that flows can call, with their URL and their breaker.
---@return table
function providers.list() end

---Flows: flows() lists those of the newest code; flows"checkout":runs(), flows"checkout":start(input, { key = "..." }).
local flows = {}

---The flows of the newest code.
---@return table
function flows.list() end

---Generations: the code that is kept, and how many runs still go by it.
local generations = {}

---Generations, newest first.
---@return table
function generations.list() end

---Schedules: what is started by the clock, and when next.
local schedules = {}

---What is started by the clock.
---@return table
function schedules.list() end

---Audit: who did what, when, and with what result.
local audit = {}

---What people did, newest first.
---@param options? { limit?: integer, cursor?: string }
---@return table
function audit.list(options) end

---Ledger: what runs believe has moved, and beside it what the sandbox says has, where there is one.
local ledger = {}

---What the newest runs believe has moved, from their journals.
---@param options? { runs?: integer, flow?: string, key?: string }
---@return table
function ledger.runs(options) end

---What the sandbox says has moved. Only where there is a sandbox.
---@return table
function ledger.sandbox() end

---Sandbox: what a customer, a bank and time do. Only where the runtime's providers are a sandbox's.
local sandbox = {}

---Pays, as a customer does on the hosted page. The card is 4242 4242 4242 4242 unless given.
---@param what console.Run|string|table a run that waits for its payment, an intent's id, or { intent_id =, card =, action = }
---@param card? string a test card
---@return table
function sandbox.pay(what, card) end

---Arms a fault for the next calls of an operation.
---@param operation string "mintro.intents.create"
---@param fault string "drop_response", "timeout", "reset", "status=503", "error=CODE", "malformed", "slow=MS"
---@param times? integer 1
---@return table
function sandbox.fault(operation, fault, times) end

---The armed faults, and how often they struck.
---@return table
function sandbox.faults() end

---The sandbox's time; with a span, moves it on.
---@param span? mintage.Duration "30d"
---@return string
function sandbox.clock(span) end

---The webhooks that it sent; each can be delivered again: sandbox.webhooks()[1]:redeliver().
---@return table
function sandbox.webhooks() end

---Delivers a webhook once more.
---@param id string
---@return table
function sandbox.redeliver(id) end

---The requests that it received.
---@param options? { provider?: string, path?: string }
---@return table
function sandbox.requests(options) end

---Sets a provider's balance.
---@param provider string "paymint"
---@param amount number
---@return any
function sandbox.balance(provider, amount) end

---Its own record of every movement of money.
---@return table
function sandbox.ledger() end

---Tells what something is: help(flow.sleep), help "mintro.intents.create", help(runs), help(run), help().
---@param what? any
function help(what) end

return {
  runs = runs, events = events, providers = providers, flows = flows, generations = generations,
  schedules = schedules, audit = audit, ledger = ledger, sandbox = sandbox,
}, { Run = Run, Travel = Travel }
