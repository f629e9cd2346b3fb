---@meta mintage.http
-- HTTP. Written from core/providers; not to be edited.

local http = {}

---@class mintage.http.Get
---@field url string http:// or https://, percent-encoded
---@field headers? table header names and their values, strings
---@field timeout_ms? integer for the whole exchange; 30,000 by default

---Reads a resource (RFC 9110).
---@param params? mintage.http.Get|string
---@return table result status, headers (names in lower case), body, json (when the answer is JSON)
function http.get(params, ...) end

---@class mintage.http.Head
---@field url string http:// or https://, percent-encoded
---@field headers? table header names and their values, strings
---@field timeout_ms? integer for the whole exchange; 30,000 by default

---Reads a resource's headers (RFC 9110).
---@param params? mintage.http.Head|string
---@return table result status, headers (names in lower case), body, json (when the answer is JSON)
function http.head(params, ...) end

---@class mintage.http.Put
---@field url string http:// or https://, percent-encoded
---@field headers? table header names and their values, strings
---@field body? any a string, sent as it is
---@field json? any a value, sent as JSON (money as "80.00 USD")
---@field timeout_ms? integer for the whole exchange; 30,000 by default

---Stores a resource under its URL; sent again, it stores the same (RFC 9110).
---@param params? mintage.http.Put|string
---@return table result status, headers (names in lower case), body, json (when the answer is JSON)
function http.put(params, ...) end

---@class mintage.http.Delete
---@field url string http:// or https://, percent-encoded
---@field headers? table header names and their values, strings
---@field body? any a string, sent as it is
---@field json? any a value, sent as JSON (money as "80.00 USD")
---@field timeout_ms? integer for the whole exchange; 30,000 by default

---Deletes a resource; sent again, it finds it deleted (RFC 9110).
---@param params? mintage.http.Delete|string
---@return table result status, headers (names in lower case), body, json (when the answer is JSON)
function http.delete(params, ...) end

---@class mintage.http.Post
---@field url string http:// or https://, percent-encoded
---@field headers? table header names and their values, strings
---@field body? any a string, sent as it is
---@field json? any a value, sent as JSON (money as "80.00 USD")
---@field idempotency_key? string sent as Idempotency-Key; says that the server does the work once for it
---@field timeout_ms? integer for the whole exchange; 30,000 by default

---Posts a body; never sent twice on a guess unless it has an idempotency_key (RFC 9110).
---@param params? mintage.http.Post|string
---@return table result status, headers (names in lower case), body, json (when the answer is JSON)
function http.post(params, ...) end

---@class mintage.http.Patch
---@field url string http:// or https://, percent-encoded
---@field headers? table header names and their values, strings
---@field body? any a string, sent as it is
---@field json? any a value, sent as JSON (money as "80.00 USD")
---@field idempotency_key? string sent as Idempotency-Key; says that the server does the work once for it
---@field timeout_ms? integer for the whole exchange; 30,000 by default

---Changes a resource; never sent twice on a guess unless it has an idempotency_key (RFC 5789).
---@param params? mintage.http.Patch|string
---@return table result status, headers (names in lower case), body, json (when the answer is JSON)
function http.patch(params, ...) end

return http
