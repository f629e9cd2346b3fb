---@meta mintage.settings
-- The section "settings" of the configuration file, as it was when this generation of flows was loaded: a run sees the same
-- for as long as it lives, and a change of the file is a new generation. Names that are not there are nil. Read-only; a
-- table of it is the script's own copy. No secrets: names such as "password" are refused there.

---@class mintage.Settings
---@field [string] any
---@overload fun(): table all of it, as a table of the script's own
local settings = {}

return settings
