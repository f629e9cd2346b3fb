---@meta mintage.time
-- Times as values. They are tables, so they cross the journal; compare them with < <= ==, subtract them to get seconds.

---@class mintage.Time
---@field ms integer milliseconds since 1970
---@field zone string "Asia/Seoul"
---@field offset integer seconds east of Greenwich at that instant
---@field year integer
---@field month integer
---@field day integer
---@field hour integer
---@field minute integer
---@field second integer
---@field weekday integer Monday 1 to Sunday 7
---@field date string "2027-01-31", of the local day
---@operator sub(mintage.Instant): number
local Time = {}

---Later by `count` spans. "month", "3 months", "2 weeks", "1 day", "1 year" follow the calendar of its zone, keeping the
---wall clock and the day that the date began with (the 31st stays the 31st where a month has one); "24h", "90" and
---numbers (seconds) are exact.
---@param span string|number
---@param count? integer 1
---@return mintage.Time
---@nodiscard
function Time:plus(span, count) end

---@param span string|number
---@param count? integer 1
---@return mintage.Time
---@nodiscard
function Time:minus(span, count) end

---RFC 3339, or by a pattern of %Y %m %d %e %H %M %S %a %A %b %B %z %%, in English.
---@param pattern? string
---@return string
---@nodiscard
function Time:format(pattern) end

---The same instant in another zone.
---@param zone string
---@return mintage.Time
---@nodiscard
function Time:in_zone(zone) end

local time = {}

---@return mintage.Time
---@nodiscard
function time.now() end

---@param instant mintage.Instant
---@return mintage.Time time in UTC
---@nodiscard
function time.parse(instant) end

---@param instant mintage.Instant
---@param pattern? string
---@return string
---@nodiscard
function time.format(instant, pattern) end

---Seconds of a duration: time.duration "1h30m" is 5400.
---@param duration mintage.Duration
---@return number
---@nodiscard
function time.duration(duration) end

---A duration in words: "30 days".
---@param duration mintage.Duration
---@return string
---@nodiscard
function time.words(duration) end

---As flow.date.
---@param anchor mintage.Instant|table
---@param zone? string
---@return mintage.Time
---@nodiscard
function time.date(anchor, zone) end

return time, { Time = Time }
