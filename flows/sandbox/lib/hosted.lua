-- The hosted pages, which share one path: /pay/{token}. A provider's pages come first when they know the
-- token; the fallback serves every other token, "no such payment" included.

local web = require "mintage.web"

local hosted = {}

local pages = {} -- as they were added

-- page: {knows = function(token), get = function(req), post = function(req)}.
function hosted.add(page) pages[#pages + 1] = page end

local fallback

function hosted.fallback(page) fallback = page end

local function serve(method)
  return function(req)
    for _, page in ipairs(pages) do
      if page.knows(req.params.token) then return page[method](req) end
    end
    return fallback[method](req)
  end
end

web.get("/pay/{token}", { public = true }, serve "get")
web.post("/pay/{token}", { public = true }, serve "post")

return hosted
