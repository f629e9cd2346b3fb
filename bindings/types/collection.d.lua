---@meta mintage.collection
-- Collections of small documents, judged in commit order in the same transaction as the journal.

---@class mintage.Document: table A document: its own fields, and two of the store's.
---@field id string
---@field version integer

---@class mintage.Collection
local Collection = {}

---Stores a new document; raises `conflict` when its id or a unique value is taken. The id is made when missing.
---@param document table
---@return mintage.Document
function Collection:insert(document) end

---Stores the whole document; when it has a version, only if that is still the newest.
---@param document table
---@return mintage.Document
function Collection:put(document) end

---Merges fields into a document; json.null removes one. Raises `not_found` when there is none.
---@param id string
---@param fields table
---@param options? { version?: integer }
---@return { id: string, version: integer }
function Collection:update(id, fields, options) end

---@param id string
---@param options? { version?: integer }
function Collection:delete(id, options) end

---@param id string
---@return mintage.Document?
---@nodiscard
function Collection:get(id) end

---The document whose declared field has this value.
---@param field string
---@param value string|number|boolean
---@return mintage.Document?
---@nodiscard
function Collection:by(field, value) end

---@param options? { field?: string, value?: any, after?: string, limit?: integer, newest?: boolean } limit: 100, at most 1000
---@return mintage.Document[]
---@nodiscard
function Collection:list(options) end

local collection = {}

---@param name string
---unique, index: fields that by and list may ask for. keep: documents go when they have not been written for so long ("90d");
---unless it is given they are kept for ever. The last word of any write counts, for all of the collection that were written with one.
---@param options? { unique?: string[], index?: string[], keep?: mintage.Duration }
---@return mintage.Collection
function collection.define(name, options) end

return collection, { Collection = Collection }
