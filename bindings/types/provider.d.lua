---@meta mintage.provider
-- Providers that scripts define. A definition is data: what it says is carried out by the engine, as it was when a run
-- began, whether or not a script is loaded. Worked example: flows/examples/acme.lua.

---@alias mintage.Condition table<string, string|integer|boolean|(string|integer|boolean)[]> all members hold; "a.b" goes down
---@alias mintage.ErrorKind "authentication"|"permission"|"invalid_request"|"not_found"|"conflict"|"insufficient_funds"|"declined"|"expired"|"rate_limited"|"unavailable"|"timeout"|"protocol"|"unsupported"|"limit"

---@class mintage.ProviderParam
---@field type string string, secret, integer, number, boolean, money, object, array, any, or words: "card|bank"
---@field optional? boolean as is a type that ends in "?"
---@field doc? string
---@field min? integer of an integer, of a string's bytes, of a list's items
---@field max? integer
---@field values? string[] what a string may be
---@field as? string its name on the wire; "order.id" goes down in a JSON body
---@field currency? string|false the member for money's currency, in place of the definition's; false: not sent

---@class mintage.ProviderFind The read that tells what became of a call
---@field read string an operation that is a read
---@field with? table<string, string> its parameter = the call's; those of the same name need no mention
---@field same? string[] members that must be what was asked for: otherwise it is another's, a conflict
---@field done? mintage.Condition it happened; without it, what is found has happened
---@field not_sent? mintage.Condition it did not; as when nothing is found
---@field refused? mintage.Condition it was refused

---@class mintage.ProviderRule The first whose `when` holds decides; without call, later and refuse there is nothing to do
---@field when mintage.Condition of the object as it is
---@field call? string the operation that gives it back
---@field with? table<string, string> its parameter = a member of the object, or the release's parameter
---@field again? boolean that call gives back a part: after it, the object is read and the rules are asked again; of one operation only
---@field later? boolean not yet: it is read again later
---@field refuse? string it cannot be given back, and why

---@class mintage.ProviderOperation A call; with `at_rest` one that waits (settled), with `release` one that gives back
---@field method? "GET"|"POST"|"PUT"|"PATCH"|"DELETE"
---@field path? string "/v1/charges/{id}": each {parameter} a whole segment
---@field repeats? "read"|"keyed"|"natural"|"unsafe" what may be done when nobody knows what became of it; a GET is a read
---@field params? table<string, string|mintage.ProviderParam>
---@field body? "json"|"form"|"query" json; query for GET and DELETE
---@field fixed? table members that are sent in any case
---@field id? string the parameter that is made when left out, so that the call can be found by it
---@field find? mintage.ProviderFind
---@field answer? string where the object stands in the answer: "data", "data.1"
---@field refused? table<mintage.ErrorKind, mintage.Condition> a 2xx that is a no
---@field code? string where such a no says its code
---@field moves_money? boolean in runs only
---@field sealed? boolean the answer holds secrets
---@field timeout? mintage.Duration
---@field doc? string
---@field returns? string
---@field read? string settled, release: the operation that reads the object
---@field at_rest? mintage.Condition settled: nothing more happens to it by itself
---@field topic? string settled: "charge", for events of acme.charge
---@field release? mintage.ProviderRule[]

---@class mintage.ProviderHmac
---@field header string
---@field secret string the credential
---@field digest? "sha256"|"sha512"
---@field encoding? "hex"|"base64"
---@field prefix? string before the digest: "sha256="
---@field of? string "{timestamp}.{body}", of requests also {method} and {path}; "{body}"
---@field timestamp? string the header (or, with field, the part) with the time in seconds
---@field field? string webhooks: the part of the header with the digest, of "t=...,v1=..."
---@field within? mintage.Duration webhooks: how old a timestamp may be

---@class mintage.ProviderError
---@field kind mintage.ErrorKind
---@field retryable? boolean rate_limited, unavailable and timeout are
---@field hard? boolean asking again will not change it
---@field unknown? boolean it does not tell what became of the call
---@field meaning? string

---@class mintage.ProviderWebhook
---@field verify mintage.ProviderHmac|"url"|"read" what proves it: a signature, the secret of its URL, or nothing (it is read back)
---@field event string where its name stands: "type"
---@field id? string where its id stands, by which it is taken once
---@field object? string where what it is about stands: "data"
---@field events table<string, { topic: string, key: string }> by name or "charge.*"; others go to acme.other
---@field answer? string the JSON that is answered

---@class mintage.ProviderDefinition
---@field name string not a shipped provider's, nor nearly
---@field title? string
---@field base_url? string https://, or http:// to this machine; configuration may say another
---@field credentials? table<string, "secret"|"string"|"secret?"|"string?"|{ type: string, optional?: boolean, doc?: string }>
---@field auth? { bearer?: string, basic?: string|string[], headers?: table<string, string>, hmac?: mintage.ProviderHmac }
---@field headers? table<string, string> sent with every request
---@field idempotency? { header?: string, member?: string, lasts?: mintage.Duration } where a keyed call's key travels
---@field money? { amounts: "minor"|"decimal"|"number", currency?: string, lowercase?: boolean, answers?: string[] }
---@field limits? { per_second?: integer, burst?: integer, at_once?: integer, timeout?: mintage.Duration }
---@field error? { code?: string, message?: string } where an error answer says them: "error.code"
---@field errors? table<string, mintage.ErrorKind|mintage.ProviderError> by code, or by HTTP status as text
---@field operations table<string, mintage.ProviderOperation>
---@field webhook? mintage.ProviderWebhook received at /webhooks/NAME

local provider = {}

---Defines a provider while a file is loading. Its operations are called, tried and undone as any provider's.
---@param definition mintage.ProviderDefinition
---@return table operations
function provider.define(definition) end

---Whether the operations' providers have the credentials that each needs. In a run, the answer stays what it was.
---@param operation mintage.Operation
---@param ... mintage.Operation
---@return boolean configured
---@return boolean ...
---@nodiscard
function provider.configured(operation, ...) end

return provider
