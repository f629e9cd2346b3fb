---@meta mintage.json
-- JSON text. Integers are exact both ways, keys are written in order, money is written as text.

local json = {}

---What null is inside arrays, and what removes a field in Collection:update.
---@type lightuserdata
json.null = {} --[[@as lightuserdata]]

---Marks a table as an array, so that it is one even when it is empty.
---@param list? table
---@return table
function json.array(list) end

---@param value any
---@return string
---@nodiscard
function json.encode(value) end

---Raises when the text is malformed.
---@param text string
---@return any
---@nodiscard
function json.decode(text) end

---For text that came from elsewhere: answers what is wrong instead of raising it.
---@param text string
---@return any
---@return mintage.Error? err
---@nodiscard
function json.parse(text) end

return json
