-- The page about the console shows a session that goes as it stands there: each line that is entered, each answer,
-- and the screen at the end. Ids, addresses and times may differ.

local testing = require "mintage.testing"
local support = require "tests.spec.repl_support"

local function entries(session)
  local list = {}
  for line in session:gmatch "[^\n]+" do
    local entered = line:match "^mintage [^>]*> (.*)$" or line:match "^ +>> (.*)$"
    local answer = line:match "^Go on%? %[y/N%] (.*)$"
    if entered or answer then list[#list + 1] = { text = entered or answer, answer = answer ~= nil } end
  end
  return list
end

-- What may differ is taken out of both.
local differs = {
  { "run_%w+", "RUN" }, { "sha256:%x+", "GENERATION" }, { "http://[%w.:]+", "URL" }, { "%s*%d+ ms\n", "\n" },
  { "Mintage %d+%.%d+%.%d+", "Mintage" }, { "%d+ %a+ ago", "AGO" }, { "just now", "AGO" }, { "[ \t]+", " " },
}

local function plain(text)
  for _, pair in ipairs(differs) do text = text:gsub(pair[1], pair[2]) end
  return text
end

describe("the page about the console", function()
  after_each(support.clean_up)
  teardown(testing.clean_up)

  it("shows a session that goes as it stands there", function()
    if not support.tmux then return pending "needs tmux (on Debian: apt install tmux)" end
    local session = testing.read("bindings/program/REPL.md"):match "```console\n(.-)```"
    local flow = testing.read("README.md"):match "```lua\n(.-)```"
    local dir = testing.folder()
    local runtime = testing.pair {
      flows = testing.flows { ["tip.lua"] = flow }, data = dir .. "/mintage-data",
    }
    local input = { amount = "5.00 USD", email = "ada@example.com", reference = "TIP-1" }
    local run = runtime:run("tip", input, { key = "TIP-1" })
    runtime:wait_for(run.id, "waiting")
    local t = support.terminal({ "repl" }, { dir = dir, width = 100, height = 60, env = { "HOME=" .. dir } })
    t:wait_for_prompt()
    for _, entry in ipairs(entries(session)) do
      if entry.answer then t:wait_for_question() end
      t:enter(entry.text)
      if entry.text:find "^sandbox.pay" then runtime:wait_for(run.id, "completed") end
      if entry.text:find "^p = " then t:wait_for_question() else t:wait_for_rest() end
    end
    t:wait_for_prompt()
    local screen = t:screen():gsub("\nmintage sandbox>$", "\n")
    assert.equal(plain(session), plain(screen))
  end)

  it("names options and commands that exist", function()
    local page = testing.read "bindings/program/REPL.md"
    local help = testing.run({ "repl", "--help" }).out
    for option in page:gmatch "`%-%-([%l-]+)" do assert.is_truthy(help:find("--" .. option, 1, true), option) end
    for option in page:gmatch "mintage repl %-%-([%l-]+)" do
      assert.is_truthy(help:find("--" .. option, 1, true), option)
    end
  end)
end)
