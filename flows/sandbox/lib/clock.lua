-- The sandbox's one clock, as integers: milliseconds since 1970 and their text. Everything here is dated by
-- it.

local time = require "mintage.time"

local clock = { day = 24 * 3600 * 1000 }

function clock.now() return time.now().ms end

-- "2026-11-20T09:30:00.123Z"
function clock.text(ms) return time.format(ms or clock.now()) end

return clock
