-- The checkout page of a run: every state is a page of its own, in words that both languages have; it lets the providers'
-- pages into a frame, and nobody else's.

local testing = require "mintage.testing"

local shows = [[
local flow = require "mintage.flow"
return flow.define {
  name = "shows",
  run = function(input)
    flow.progress(input.progress or {})
    if input.fail then flow.fail(input.fail) end
    if input.done then return {} end
    flow.sleep "1d"
  end,
}
]]

-- What a word or a page asks for: {name}, {{=name}}.
local function names_in(text, pattern)
  local names = {}
  for name in text:gmatch(pattern) do names[#names + 1] = name end
  table.sort(names)
  return names
end

describe("the words of the checkout page", function()
  local en, ko, page
  setup(function()
    local sandbox = testing.start "sandbox"
    local function asset(path) return sandbox:http("GET", "/assets/checkout/" .. path) end
    en, ko, page = asset("words/en.json").json, asset("words/ko.json").json, asset("page.html").body
  end)
  teardown(testing.clean_up)

  it("are there in both languages, and ask for the same values", function()
    for key, text in pairs(en) do
      assert.is_string(ko[key], "ko lacks " .. key)
      assert.same(names_in(text, "{(%w+)}"), names_in(ko[key], "{(%w+)}"), key)
    end
    for key in pairs(ko) do assert.is_string(en[key], "en lacks " .. key) end
  end)

  it("are what the page and the program ask for, no more and no less", function()
    local program = testing.read "bindings/program/checkout_view.c"
    assert.truthy(#program > 0)
    for _, key in ipairs(names_in(page, "{{=([%w_]+)}}")) do assert.is_string(en[key], "the page wants " .. key) end
    for key in pairs(en) do
      local stem = key:match "^(%a+)_title$" or key:match "^(%a+)_says$" or key:match "^way_(%a+)"
      local used = page:find("{{=" .. key .. "}}", 1, true) or program:find('"' .. key .. '"', 1, true)
        or stem and program:find('"' .. stem .. '"', 1, true) or key:find "^problem_" or key:find "^way_paymnt"
      assert.truthy(used, "nobody says " .. key)
    end
  end)
end)

describe("the checkout page", function()
  teardown(testing.clean_up)

  local runtime, sandbox
  setup(function() runtime, sandbox = testing.pair { flows = testing.flows { ["shows.lua"] = shows } } end)

  local function page(input, query, headers)
    local run = runtime:run("shows", input)
    runtime:wait_for(run.id, "sleeping", "completed", "failed")
    local found = testing.http("GET", run.checkout_url .. (query or ""), nil, headers)
    return found.body, found, run
  end
  local function state(html) return html:match 'data%-state="(%a+)"' end

  local order = {
    step = "choose", attempt = 0, ways = { "mintro", "paymint", "epin" }, total = "80.00 USD", due = "80.00 USD",
    order = { reference = "A-1", items = { { name = 'Tea & <"cake">', quantity = 3, price = "25.00 USD" } }, tax = "5.00 USD" },
  }
  local function with(more)
    local progress = {}
    for k, v in pairs(order) do progress[k] = v end
    for k, v in pairs(more) do progress[k] = v end
    return { progress = progress }
  end

  it("names the providers in its policy before the run knows where it is paid", function()
    local _, answer = page {}
    assert.equal(200, answer.status)
    local policy = answer.headers["content-security-policy"]
    assert.truthy(policy:find("frame-src " .. sandbox.url, 1, true), policy)
    assert.falsy(policy:find("frame-src *", 1, true))
    assert.falsy(policy:find("unsafe", 1, true))
  end)

  it("lets nobody in when no provider is configured", function()
    local alone = testing.start("serve", { flows = testing.flows { ["shows.lua"] = shows } })
    local found = testing.http("GET", alone:run("shows", {}).checkout_url)
    assert.truthy(found.headers["content-security-policy"]:find("frame-src 'none'", 1, true))
  end)

  it("is understandable when the run publishes nothing, or only where it is paid", function()
    assert.equal("preparing", state((page {})))
    local html = page { progress = { payment_url = "https://pay.example/1?a=1&b=2" } }
    assert.equal("leaving", state(html))
    assert.truthy(html:find('content="1;url=https://pay.example/1?a=1&amp;b=2"', 1, true), html)
    assert.falsy(html:find("<form", 1, true))
    assert.equal("preparing", state((page { progress = { payment_url = "javascript:alert(1)" } })))
    local framed = page { integration = "iframe", progress = { payment_url = "https://pay.example/1" } }
    assert.equal("frame", state(framed))
    assert.truthy(framed:find('<iframe src="https://pay.example/1"', 1, true))
  end)

  it("says how a run ended", function()
    assert.equal("succeeded", state((page { done = true })))
    assert.equal("expired", state((page { fail = "expired" })))
    assert.equal("cancelled", state((page { fail = "cancelled" })))
    assert.equal("failed", state((page { fail = "anything" })))
    assert.equal("succeeded", state((page(with { step = "done" }))))
    local html = page { done = true, success_url = "https://shop.example/thanks" }
    assert.truthy(html:find('href="https://shop.example/thanks"', 1, true))
    assert.truthy(html:find('content="3;url=https://shop.example/thanks"', 1, true))
  end)

  it("shows the order, escaped, and offers the ways with the first one marked", function()
    local html = page(with {})
    assert.equal("choose", state(html))
    assert.truthy(html:find("Tea &amp; &lt;&quot;cake&quot;&gt;", 1, true))
    assert.truthy(html:find("$75.00", 1, true))
    assert.truthy(html:find("$5.00", 1, true))
    assert.falsy(html:find("Other charges", 1, true))
    assert.truthy(html:find('value="mintro" aria-describedby="way-mintro-says" checked', 1, true))
    assert.truthy(html:find('name="phone"', 1, true))
    assert.truthy(html:find('name="epin" type="text" inputmode="numeric" autocomplete="off"', 1, true))
    assert.truthy(html:find('name="attempt" value="0"', 1, true))
  end)

  it("shows what an ePIN has paid, and what is left on it", function()
    local html = page(with {
      due = "50.00 USD", paid = { { way = "epin", amount = "30.00 USD", change = "20.00 USD", masked = "**** 4821" } },
    })
    for _, text in ipairs { "Still to pay", "<strong>$50.00", "ePIN **** 4821", "$20.00 is left on it", "−$30.00", "the rest" } do
      assert.truthy(html:find(text, 1, true), text)
    end
  end)

  it("says why a way did not work, and marks what can be done now", function()
    local html = page(with { attempt = 1, problem = { way = "mintro", kind = "declined" } })
    assert.truthy(html:find("<title>Error: ", 1, true))
    assert.truthy(html:find("The payment was declined", 1, true))
    assert.truthy(html:find('value="paymint" aria-describedby="way-paymint-says" checked', 1, true))
    html = page(with { attempt = 1, problem = { way = "paymint", kind = "invalid_request", field = "phone" } })
    assert.truthy(html:find('value="paymint" aria-describedby="way-paymint-says" checked', 1, true))
    assert.truthy(html:find('aria-invalid="true"', 1, true))
    assert.truthy(html:find('href="#phone"', 1, true))
    html = page(with { attempt = 1, problem = { way = "epin", kind = "a kind that nobody knows" } })
    assert.truthy(html:find("Something went wrong", 1, true))
  end)

  it("waits for what was just sent, and leads to what was chosen", function()
    local pay = with { step = "pay", attempt = 1, way = "mintro", payment_url = "https://pay.example/1" }
    assert.equal("opening", state((page(pay, "?sent=1"))))
    local html = page(pay, "?sent=0")
    assert.equal("leaving", state(html))
    assert.truthy(html:find('data-lead="yes"', 1, true))
    html = page(pay)
    assert.equal("leaving", state(html))
    assert.falsy(html:find('data-lead="yes"', 1, true))
    assert.equal("returned", state((page(pay, "?returned"))))
    assert.equal("returned", state((page(pay, "?payment_id=1&status=succeeded"))))
    assert.equal("choose", state((page(pay, "?ways"))))
    pay.progress.attempt = 0
    assert.equal("choose", state((page(pay))))
    assert.equal("closing", state((page(with { step = "closing", attempt = 1 }))))
  end)

  it("waits for a bill to be paid on the phone", function()
    local html = page(with { step = "pay", attempt = 1, way = "paymint", phone_masked = "010-****-5678" })
    assert.equal("waiting", state(html))
    assert.truthy(html:find("010-****-5678", 1, true))
    assert.falsy(html:find("resend", 1, true))
    html = page(with { step = "pay", attempt = 1, way = "paymint", resend = true })
    assert.truthy(html:find('value="resend"', 1, true))
  end)

  it("speaks of the end of the time near it only", function()
    local function expires(seconds) return os.date("!%Y-%m-%dT%H:%M:%SZ", os.time() + seconds) end
    local function said(seconds)
      return (page(with { expires_at = expires(seconds) }):match '<p id="expiry"[^>]*>([^<]*)</p>')
    end
    assert.equal("", said(3600))
    assert.equal("Time left to pay: 5 min", said(330))
    assert.equal("Less than a minute is left to pay", said(30))
  end)

  it("speaks the language of the query, the order, or the browser", function()
    local korean = { ["Accept-Language"] = "de, ko-KR;q=0.8, en;q=0.5" }
    assert.truthy(page({}, nil, korean):find('<html lang="ko">', 1, true))
    assert.truthy(page({ locale = "en" }, nil, korean):find('<html lang="en">', 1, true))
    local html = page({ locale = "en" }, "?locale=ko")
    assert.truthy(html:find('<html lang="ko">', 1, true))
    assert.truthy(page({}, nil, { ["Accept-Language"] = "kok, english" }):find('<html lang="en">', 1, true))
    assert.truthy(page(with {}, "?locale=ko"):find("?sent=0&amp;locale=ko", 1, true))
  end)

  it("has a version that changes when the page would", function()
    local html, _, run = page(with {})
    local status = testing.http("GET", run.checkout_url .. "/status").json
    assert.equal(html:match 'data%-version="(%x+)"', status.version)
    local other = page(with { attempt = 1 })
    assert.not_equal(other:match 'data%-version="(%x+)"', status.version)
  end)

  it("is a page with 404 where there is no such checkout", function()
    local found = testing.http("GET", runtime.url .. "/checkout/nothing")
    assert.equal(404, found.status)
    assert.equal("missing", state(found.body))
  end)
end)
