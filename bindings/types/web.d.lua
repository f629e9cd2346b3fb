---@meta mintage.web
-- HTTP routes. A handler is a transaction: what it writes is committed when it returns, before its answer leaves; it runs again
-- when another changed what it read.

---@class mintage.Request
---@field method string
---@field path string percent-decoded
---@field raw_path string as sent, without the query
---@field params table<string, string> of the route's pattern; "*" for the rest
---@field query table<string, string> the first value of each name
---@field headers table<string, string> names in lower case
---@field body string raw bytes
---@field remote string the peer's address
---@field client string whom it comes from: the peer, or behind proxies that the setting trusted-proxies names, whom they name
---@field host string
---@field id string the request's id
---@field json fun(): any the body as JSON; raises invalid_request (answered 400) when malformed
---@field form fun(): table<string, string> the body as a form

---@class mintage.Response Exactly one of body, text, json, html, redirect, asset; or none.
---@field status? integer 200; 303 with redirect; 204 without a body
---@field headers? table<string, string|string[]>
---@field body? string bytes
---@field text? string
---@field json? any money is written as text
---@field html? string
---@field redirect? string
---@field asset? string a file of web/
---@field frame_ancestors? string who may frame the page; 'none'
---@field csp? string further directives of its Content-Security-Policy
---@field delay_ms? integer sandbox only: wait before answering
---@field fault? "drop"|"reset"|"truncate" sandbox only

---@alias mintage.Handler fun(req: mintage.Request): mintage.Response|string|nil
---@alias mintage.RouteOptions { public?: boolean, auth?: "token" } the admin token is wanted unless public

local web = {}

---@param pattern string "/shop/orders/{id}", "/files/*"
---@param options mintage.RouteOptions|mintage.Handler
---@param handler? mintage.Handler
function web.get(pattern, options, handler) end

---@param pattern string
---@param options mintage.RouteOptions|mintage.Handler
---@param handler? mintage.Handler
function web.post(pattern, options, handler) end

---@param pattern string
---@param options mintage.RouteOptions|mintage.Handler
---@param handler? mintage.Handler
function web.put(pattern, options, handler) end

---@param pattern string
---@param options mintage.RouteOptions|mintage.Handler
---@param handler? mintage.Handler
function web.patch(pattern, options, handler) end

---@param pattern string
---@param options mintage.RouteOptions|mintage.Handler
---@param handler? mintage.Handler
function web.delete(pattern, options, handler) end

---@param method string "*" for all
---@param pattern string
---@param options mintage.RouteOptions|mintage.Handler
---@param handler? mintage.Handler
function web.route(method, pattern, options, handler) end

---Checks the response of a page: asset or html, with its security headers.
---@param response mintage.Response
---@return mintage.Response
function web.page(response) end

return web
