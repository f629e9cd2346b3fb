---@meta mintage.crypto
-- Digests, MACs and encodings. Digests are lower-case hex unless "raw" is asked for.

local crypto = {}

---@param message string
---@param form? "hex"|"raw"
---@return string
---@nodiscard
function crypto.md5(message, form) end

---@param message string
---@param form? "hex"|"raw"
---@return string
---@nodiscard
function crypto.sha256(message, form) end

---@param message string
---@param form? "hex"|"raw"
---@return string
---@nodiscard
function crypto.sha512(message, form) end

---@param key string
---@param message string
---@param form? "hex"|"raw"
---@return string
---@nodiscard
function crypto.hmac_sha256(key, message, form) end

---@param key string
---@param message string
---@param form? "hex"|"raw"
---@return string
---@nodiscard
function crypto.hmac_sha512(key, message, form) end

---Equality in time that depends on the lengths alone, for signatures and tokens.
---@param a any
---@param b any
---@return boolean
---@nodiscard
function crypto.equal(a, b) end

---@param bytes string
---@return string
---@nodiscard
function crypto.hex(bytes) end

---@param hex string
---@return string? bytes nil when malformed
---@nodiscard
function crypto.unhex(hex) end

---@param bytes string
---@return string
---@nodiscard
function crypto.base64(bytes) end

---@param text string
---@return string? bytes nil when malformed
---@nodiscard
function crypto.unbase64(text) end

---@param bytes string
---@return string text without padding
---@nodiscard
function crypto.base64url(bytes) end

---@param text string
---@return string? bytes nil when malformed
---@nodiscard
function crypto.unbase64url(text) end

---Unguessable bytes as hex: derived in a run, random in a handler.
---@param bytes? integer 16; 8 to 64
---@return string
---@nodiscard
function crypto.token(bytes) end

---Seals a text for a place of your choosing (AES-256-GCM, under a key that no script sees): what a collection is to keep
---secret. The same text for the same place seals to the same.
---@param text string at most 64 KiB
---@param place string "campaign/spring/17": only there it opens
---@return string sealed
---@nodiscard
function crypto.seal(text, place) end

---@param sealed string
---@param place string
---@return string? text nil when it was not sealed here, for this place
---@nodiscard
function crypto.unseal(sealed, place) end

---HMAC-SHA-256 under a key of this program that no script sees: for links that cannot be guessed, and digests that cannot
---be searched for.
---@param text string
---@param form? "hex"|"raw"
---@return string
---@nodiscard
function crypto.mac(text, form) end

---Whether a webhook that came in is signed by the Standard Webhooks convention (webhook-id, webhook-timestamp,
---webhook-signature) with one of the secrets ("whsec_..."), and was signed at most so long ago.
---@param request { headers: table<string, string>, body: string } a route's request
---@param secret string|string[] several while one takes the place of another
---@param tolerance? mintage.Duration "5m"
---@return true? verified
---@return string? why not
---@nodiscard
function crypto.verify_webhook(request, secret, tolerance) end

return crypto
