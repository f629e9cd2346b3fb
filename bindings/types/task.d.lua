---@meta mintage.task
-- Dated work of handlers: durable, carried out once, in order of its time. A run sleeps instead.

local task = {}

---Says what a task does; only while its file loads.
---@param name string
---@param handler fun(payload: any)
function task.define(name, handler) end

---@param instant mintage.Instant
---@param name string
---@param payload? any
function task.at(instant, name, payload) end

---@param duration mintage.Duration
---@param name string
---@param payload? any
function task.after(duration, name, payload) end

return task
