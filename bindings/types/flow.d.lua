---@meta mintage.flow
-- Flows: what they are made of. Everything but `define` is an effect of the execution it is called in, or reads what that
-- execution knows.

---@alias mintage.Duration string|number "30d", "12h", "1h30m", "250ms", or seconds
---@alias mintage.Instant mintage.Time|string|integer a time, RFC 3339 text, or milliseconds since 1970

---@alias mintage.Schema string|table a type ("string", "money?", "secret", "url|iframe"), {fields}, {{items}}, or
---{type=, max=, ...}. A "secret" is a string that only `run` sees: sealed in the store, "[sealed]" everywhere else. Of time:
---"date", "time" (an instant), "local" ("2027-01-31T09:00" of some zone), "zone", "duration" ("1h30m"), "period" ("2 weeks").

---@class mintage.Error An error of the world: what effects raise and flow.try answers.
---@field kind string "declined", "insufficient_funds", "expired", "timeout", ..., or the word given to flow.fail
---@field message string
---@field provider? string
---@field operation? string
---@field code? string the provider's own code
---@field http_status? integer
---@field retryable? boolean the same request may succeed later
---@field hard? boolean a decline that will not change by asking again
---@field outcome? "not_sent"|"rejected"|"done"|"unknown"
---@field cause? mintage.Error
---@field details? table

---@class mintage.LateEvent An event that came when the run that had asked for it was over.
---@field event integer its number: mintage events show N
---@field at integer milliseconds since 1970
---@field topic string
---@field key string
---@field payload any
---@field run mintage.EndedRun

---@class mintage.EndedRun
---@field id string
---@field flow string
---@field key? string
---@field state "completed"|"failed"|"cancelled"
---@field output? any what it returned
---@field error? mintage.Error why it failed
---@field progress? table
---@field input? table not when there are secrets among it

---@class mintage.FlowDefinition
---@field name string letters, digits, - and _; how the flow is started
---@field run fun(input: table): any the flow itself; what it returns is the run's output
---@field input? table<string, mintage.Schema> the fields of its input; without it, any object
---@field title? string for people
---@field description? string for people
---@field late? fun(event: mintage.LateEvent): any run for an event that comes after the run has ended (as flow NAME.late)

---@class mintage.Flow
---@field name string

---@class mintage.Run A run that was started.
---@field id string
---@field flow string
---@field key? string
---@field existing boolean it was there already, with this key and input
---@field checkout_url string the run's own page

---@class mintage.Operation An operation of a provider: call it, or give it to flow.try, flow.undo, flow.all.
---@field name string
---@field doc string
---@field returns string
---@field repeats "read"|"keyed"|"natural"|"unsafe"
---@operator call: any

local flow = {}

---Defines a flow; only while its file loads.
---@param definition mintage.FlowDefinition
---@return mintage.Flow
function flow.define(definition) end

---Starts a flow again and again, by an interval that is counted from a fixed instant (midnight UTC, or `from`), so it never
---drifts. Only while a file loads: schedules belong to the loaded files, and loading them again registers nothing twice.
---A run's key is `schedule-NAME-INSTANT`: each instant has one run. Instants that passed while nothing ran (or the clock was
---moved) are made up for by one run ("once"), by none ("skip"), or by one each, the last 1,000 ("all").
---@param interval mintage.Duration 1s or more
---@param name string|mintage.Flow
---@param input? table
---@param options? { name?: string, from?: mintage.Instant, catch_up?: "once"|"skip"|"all" }
function flow.every(interval, name, input, options) end

---Starts a flow at the times of a cron expression: minute, hour, day of the month, month, day of the week (names, lists,
---ranges, steps; "@daily" and the like). With both kinds of days given, either is enough. Where the clock is changed, a time
---that is skipped runs at the change and one that comes twice runs once; an expression for every hour follows the clock. See
---flow.every for the rest.
---@param expression string "0 3 * * *"
---@param name string|mintage.Flow
---@param input? table
---@param options? { name?: string, zone?: string, catch_up?: "once"|"skip"|"all" } zone: "Asia/Seoul"; UTC if not given
function flow.cron(expression, name, input, options) end

---Starts a run. In a run it is a child: cancelled with its parent unless detached; its end is the event ("run", id).
---The same key and input answers the same run for ever; the same key with other input raises `conflict`.
---@param name string|mintage.Flow
---@param input? table
---@param options? { key?: string, detached?: boolean }
---@return mintage.Run
function flow.start(name, input, options) end

---Appends an event to the log of (topic, key), waking who waits for it.
---@param topic string
---@param key string
---@param payload? any
function flow.signal(topic, key, payload) end

---@class mintage.FoundRun What can be known of another run. Of its input it says nothing.
---@field id string
---@field flow string
---@field key? string
---@field state "queued"|"running"|"sleeping"|"waiting"|"compensating"|"completed"|"failed"|"cancelled"|"needs_attention"
---@field progress? table
---@field output? any what it returned
---@field error? mintage.Error why it failed, or needs attention
---@field input? table with a filter that asks for it, when there are no secrets among it
---@field created_at? integer with a filter: milliseconds since 1970

---@class mintage.RunFilter
---@field flow? string
---@field state? string
---@field before? string the id of a run: older ones only; the next page comes before the last run of this one
---@field limit? integer 100 at most
---@field input? boolean

---Looks at other runs: the one with this id, all that were started with this key (one a flow), or those of a filter; the
---newest first. Says how they stand when it is called.
---@param run string|mintage.RunFilter an id, run_..., or a key; or a filter
---@return mintage.FoundRun[]
function flow.find(run) end

---Publishes what others may see of the run while it goes on; fields are merged into what is there, json.null takes one away.
---@param fields table
function flow.progress(fields) end

---A line in the run's story.
---@param message string
---@param details? any
function flow.log(message, details) end

---A line in the run's story that somebody should read.
---@param message string
---@param details? any
function flow.warn(message, details) end

---Sleeps. Nothing stays in memory meanwhile.
---@async
---@param duration mintage.Duration
function flow.sleep(duration) end

---@async
---@param instant mintage.Instant
function flow.sleep_until(instant) end

---Waits for the next event of (topic, key) that this run has not read.
---@async
---@param topic string
---@param key string
---@param options? { within?: mintage.Duration }
---@return any payload nil when none came in time; json.null for an event without payload
---@return { event: integer, at: mintage.Time }? event
function flow.await(topic, key, options) end

---Iterates over the events of (topic, key) until an instant: `for order in flow.events("orders", id, { till = t }) do`.
---@async
---@param topic string
---@param key string
---@param options? { till?: mintage.Instant }
---@return fun(): any, { event: integer, at: mintage.Time }?
function flow.events(topic, key, options) end

---Registers what takes back what was just done; carried out by the engine, newest first, when the run fails or is
---cancelled.
---@param operation mintage.Operation
---@param params? table|string
function flow.undo(operation, params, ...) end

---Calls an operation, answering a definite no instead of raising it.
---@async
---@param operation mintage.Operation
---@param params? table|string
---@return any value nil when it was refused
---@return mintage.Error? err
function flow.try(operation, params, ...) end

---Waits with an operation that settles (mintro.intents.settled), unless an event of (topic, key) that this run has not read
---comes first: then the answer is nil and the event's payload. Nil alone: neither came in time.
---@async
---@param topic string
---@param key string
---@param operation mintage.Operation
---@param params? table|string
---@return any object at rest
---@return any payload json.null for an event without payload
---@return { event: integer, at: mintage.Time }? event
function flow.unless(topic, key, operation, params, ...) end

---Calls operations at once; each ends for itself.
---@async
---@param calls { [1]: mintage.Operation, [2]: table|string }[]
---@return { value?: any, err?: mintage.Error }[] answers in the order of the calls
function flow.all(calls) end

---Begins a new segment of the run with this input, on the newest code. Does not return. With undos pending it is a bug,
---unless `keep` says that what they would take back is to stay; a segment that begins with its undos has them before any
---cancellation is heard.
---@param input table
---@param options? { keep?: boolean }
function flow.continue(input, options) end

---Fails the run with an error of this kind (or with the error given). Does not return.
---@param kind string|mintage.Error
---@param detail? string|mintage.Error|table a message, the cause, or details
function flow.fail(kind, detail) end

---Now: the last journal entry's time. It never goes backwards.
---@return mintage.Time
---@nodiscard
function flow.now() end

---@param duration mintage.Duration
---@return mintage.Time
---@nodiscard
function flow.later(duration) end

---A date in a zone. Text without an offset ("2027-01-31", "2027-01-31T09:00") is local time there; an instant is shown in the
---zone.
---@param anchor mintage.Instant|{ year: integer, month: integer, day: integer, hour?: integer, minute?: integer, second?: integer }
---@param zone? string "Asia/Seoul"; the time's own, or UTC
---@return mintage.Time
---@nodiscard
function flow.date(anchor, zone) end

---This run's id; nil in a handler.
---@return string?
---@nodiscard
function flow.id() end

---The key this run was started with.
---@return string?
---@nodiscard
function flow.key() end

---The token in the address of a run's own page.
---@param run? string a run's id; this run's
---@return string
---@nodiscard
function flow.token(run) end

---The run whose page has this token; nil when nobody's has.
---@param token string
---@return string? run
---@nodiscard
function flow.run_of(token) end

---The address of a run's own page.
---@param run? string a run's id; this run's
---@return string
---@nodiscard
function flow.checkout_url(run) end

---Like math.random, but derived from the run, so the same on every replay.
---@param m? integer
---@param n? integer
---@return number
---@nodiscard
function flow.random(m, n) end

---A version 4 UUID, derived from the run.
---@return string
---@nodiscard
function flow.uuid() end

return flow
