---@meta mintage.world
-- Simulated worlds for specs: the runtime, the sandbox of the providers, a network and disks in one process, with virtual time.
-- Only specs of `mintage test` can require it; flows cannot.

---@class mintage.world.Options
---@field flows? string|table<string, string> a folder, or texts by file name; those that ship, unless given
---@field config? table as in a configuration file; a world keeps everything unless it has `retain`
---@field start? string "2026-01-31T09:00:00Z": when the world begins
---@field seed? integer decides what chance decides elsewhere
---@field loss? "unsynced"|"process"|"tears" what the runtime's disk forgets when it dies
---@field plan? string what goes wrong: "p37 n12:lost"
---@field oracle? boolean compare the runtime's store with an in-memory one, operation by operation
---@field allow? string[] rules that may be broken here

---@class mintage.world.Response
---@field status integer
---@field headers table<string, string> names in small letters
---@field body string
---@field json? any the body, decoded

---@alias mintage.world.Payable mintage.world.Run|string|{ intent_id?: string, payment_id?: string, bill_id?: string, customer_id?: string, card?: string }

---@class mintage.world.Run A run; every field is read afresh, which takes no time.
---@field id string
---@field key string
---@field flow string
---@field state "queued"|"running"|"sleeping"|"waiting"|"compensating"|"completed"|"failed"|"cancelled"|"needs_attention"
---@field input table
---@field output any what the flow returned
---@field error? { kind: string, message: string }
---@field progress table what others may see of it
---@field waiting_for? table
---@field due_at? string
---@field segment integer
---@field generation string
---@field tombstone_since? string only a tombstone is left of it: see `retain`
---@field segments_dropped? integer so many of its first segments have no journal any more
---@field checkout_url string
local Run = {}

---Lets time pass until the run has ended or needs a person; fails when it has not by then.
---@param within? string "1h" unless given
---@return mintage.world.Run
function Run:wait(within) end

---Lets time pass until the run is in a state, or until a function of its state answers something true.
---@param state string|fun(state: string): any
---@param within? string "1h" unless given
---@return mintage.world.Run
function Run:wait_for(state, within) end

---@return boolean
function Run:has_ended() end

---Its effects, in order.
---@return table[]
function Run:journal() end

---What happened, in the words of `mintage runs show`.
---@return string
function Run:story() end

---@param reason? string
---@return mintage.world.Run
function Run:cancel(reason) end

---Carries on a run that needs attention.
---@return mintage.world.Run
function Run:retry() end

---Settles by hand an effect whose outcome is not known.
---@param effect { seq?: integer, outcome: "done"|"rejected"|"not_sent", value?: any, error?: table } no seq: the open one
---@return mintage.world.Run
function Run:resolve(effect) end

---Appends to a topic that some run awaits.
---@param topic string
---@param key string
---@param payload any
---@return mintage.world.Run
function Run:signal(topic, key, payload) end

---Moves the run to the newest code, if it agrees with what has happened so far.
---@return { outcome: string, message?: string } answer
function Run:migrate() end

---@class mintage.World
local World = {}

---Starts a run, and sees to it that it has started: with a key, again when the runtime dies over it.
---@param flow string
---@param input? table
---@param options? { key?: string }
---@return mintage.world.Run
function World:start(flow, input, options) end

---@param id string
---@return mintage.world.Run
function World:run(id) end

---@param filters? { flow?: string, state?: string, key?: string }
---@return mintage.world.Run[]
function World:runs(filters) end

---@param filters? { topic?: string, key?: string, unread?: boolean }
---@return table[]
function World:events(filters) end

---The world's time, "2026-01-31T09:00:00.000Z".
---@return string
function World:now() end

---Lets so much time pass, and all that falls due in it happen.
---@param by string "30d"
---@return mintage.World
function World:advance(by) end

---Lets all that is under way come to rest.
---@return mintage.World
function World:settle() end

---Lets time pass until the function answers something true, and answers that; fails when it has not by then.
---@generic T
---@param condition fun(): T
---@param within? string "1h" unless given
---@return T
function World:wait_for(condition, within) end

---The customer pays on the provider's own page; with { customer_id = } registers a card for AutoPay.
---@param what mintage.world.Payable
---@param card? string one of world.cards; a bill without one is paid with an app
---@param options? { late?: boolean } late: a payment that was under way when the intent was closed
---@return string status
function World:pay(what, card, options) end

---The customer tries a card that is declined.
---@param what mintage.world.Payable
---@param card? string
---@return string status
function World:decline(what, card) end

---The customer presses "cancel" on the provider's page. (One who just leaves does nothing at all.)
---@param what mintage.world.Payable
---@return string status
function World:abandon(what) end

---The customer passes the 3-D Secure challenge of the card that was used before.
---@param what mintage.world.Payable
---@return string status
function World:pass_challenge(what) end

---@param what mintage.world.Payable
---@return string status
function World:fail_challenge(what) end

---What the checkout page shows of a run. Nil when no answer came.
---@param run mintage.world.Run
---@return { state: string, progress: table, output: any, error?: { kind: string } }?
function World:page(run) end

---The customer chooses a way to pay on the checkout page: w:choose(run, "epin", { epin = world.epin }), w:choose(run,
---"paymint", { phone = "010-1234-5678" }). Returns when the run has taken the order.
---@param run mintage.world.Run
---@param way "mintro"|"paymnt"|"paymint"|"epin"
---@param fields? table what is to be said with it
---@return mintage.world.Response
function World:choose(run, way, fields) end

---The customer gives the order up on the checkout page.
---@param run mintage.world.Run
---@return mintage.world.Response
function World:give_up(run) end

---MINT makes an ePIN, somewhere else: its 16 digits.
---@param value integer in whole units
---@param currency? string "USD"
---@return string code
function World:issue(value, currency) end

---Arms a fault of the sandbox. Of requests: drop_response, timeout, reset, truncate, malformed, slow=MS, error=CODE; of webhooks
---("event" names one): duplicate, delay=MS, reorder, lose.
---@param fault { provider?: string, operation?: string, event?: string, reference?: string, fault: string, times?: integer }
---@return mintage.World
function World:fault(fault) end

---The provider's next webhooks are never sent.
---@param provider string
---@param times? integer
---@return mintage.World
function World:lose_webhooks(provider, times) end

---They are sent twice.
---@param provider string
---@param times? integer
---@return mintage.World
function World:double_webhooks(provider, times) end

---They are sent after the ones that follow.
---@param provider string
---@param times? integer
---@return mintage.World
function World:shuffle_webhooks(provider, times) end

---They are sent so much later.
---@param provider string
---@param by string
---@param times? integer
---@return mintage.World
function World:delay_webhooks(provider, by, times) end

---Every webhook that was sent so far is sent once more.
---@return mintage.World
function World:redeliver() end

---Sets what a provider's account has: w:balance("paymint", 0), w:balance("mint", 0, "EUR").
---@param provider string
---@param balance integer
---@param currency? string
---@return mintage.World
function World:balance(provider, balance, currency) end

---Plays a host of the outside: requests of flows to it are answered by the function.
---@param url string "https://shop.example": what the requests' URLs begin with
---@param handler fun(req: { method: string, url: string, headers: table, body: string }): table? { status?, headers?, body? or json? }
---@return mintage.World
function World:serve(url, handler) end

---Sends a request as anybody outside does; a path is the runtime's. Nil and why when no answer came.
---@param method string
---@param url string
---@param body? string|table a table is sent as JSON
---@param headers? table<string, string>
---@return mintage.world.Response? response
---@return string? why
function World:request(method, url, body, headers) end

---@param url string
---@param headers? table<string, string>
---@return mintage.world.Response? response
---@return string? why
function World:get(url, headers) end

---@param url string
---@param body? string|table
---@param headers? table<string, string>
---@return mintage.world.Response? response
---@return string? why
function World:post(url, body, headers) end

---Every movement of money; kinds are charge, authorise, capture, void, refund, issue, redeem, fee.
---@param filters? { provider?: string, kind?: string, reference?: string }
---@return { at: string, provider: string, kind: string, reference: string, object_id: string, amount: string, currency: string, money: string }[]
function World:ledger(filters) end

---Every request that a provider received.
---@param filters? { provider?: string, operation?: string, reference?: string, method?: string, path?: string }
---@return table[]
function World:requests(filters) end

---Replaces the flows, as saving files does. Nil and why when they are broken.
---@param flows string|table<string, string>
---@return boolean? done
---@return string? why
function World:reload(flows) end

---The runtime dies now; it stands up again by itself, within two seconds.
---@return mintage.World
function World:kill() end

---What went on, a line each with its time. The last few hundred.
---@return string
function World:log() end

---Ends the world, unjudged. What is not closed is judged and closed at the end of its test.
function World:close() end

local world = {
  runtime = "http://127.0.0.1:8080",
  sandbox = "http://127.0.0.1:8090",
  epin = "1111111111111111", -- MINT's ePIN of every sandbox, worth 10.12 USD
  ---@type { good: string, declined: string, no_funds: string, expired: string, challenge: string, challenge_declined: string, dies_later: string }
  cards = {},
}

---Opens a world in which nothing has happened yet; in a test, or in before_each.
---@param options? mintage.world.Options
---@return mintage.World
function world.new(options) end

---A rule that must hold at the end of every world; the function raises, or answers false and why.
---@param name string
---@param holds fun(w: mintage.World): any, string?
function world.invariant(name, holds) end

-- What specs may assert besides.

---@class luassert
---@field completed fun(run: mintage.world.Run)
---@field failed fun(run: mintage.world.Run, kind?: string)
---@field cancelled fun(run: mintage.world.Run)
---@field needs_attention fun(run: mintage.world.Run, kind?: string)
---@field waiting fun(run: mintage.world.Run)
---@field sleeping fun(run: mintage.world.Run)
---@field charged_once fun(w: mintage.World, reference: string, money?: string)
---@field charged_times fun(w: mintage.World, reference?: string, times: integer, money?: string)
---@field not_charged fun(w: mintage.World, reference?: string)
---@field refunded fun(w: mintage.World, reference: string, money?: string)
---@field voided fun(w: mintage.World, reference: string, money?: string)

return world, { World = World, Run = Run }
