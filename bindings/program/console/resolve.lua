-- run:resolve(): what a person has to find out about an effect whose outcome is not known, and what may
-- then be said of it; run:resolve{...} says it.
local native, need = ...
local ask, text = need "console.ask", need "console.text"

local function open_effect(run)
  local found
  local path, cursor = "/v1/runs/" .. ask.id(run.id) .. "/journal", 0
  repeat
    local page = ask.get(path, { segment = run.segment, limit = 1000, cursor = cursor })
    for _, entry in ipairs(page.data) do
      if not entry.outcome or entry.outcome == "unknown" then found = entry end
    end
    cursor = page.next_cursor
  until not cursor
  return found
end

local function explain(run, effect)
  local say = function(...) native.output(string.format(...) .. "\n") end
  if run.state ~= "needs_attention" then
    say("Run %s is %s: only a run that needs attention is resolved by hand.", run.id, run.state)
    return
  end
  if run.error then say("%s", text.paint("red", tostring(run.error.message or run.error.kind))) end
  if not effect then
    say("No effect is without an answer: mend what is wrong, then run:retry() (after run:migrate() when the "
      .. "flow was mended), or run:cancel().")
    return
  end
  local meta = type(effect.meta) == "table" and effect.meta or {}
  local account = type(meta.account) == "table" and meta.account or {}
  say("")
  say("%s", text.paint("bold", ("effect %d: %s %s"):format(effect.seq, effect.kind, effect.name or "")))
  say("  asked    %s", text.cut(text.say(effect.params), 300))
  if account.url and account.url ~= "" then say("  at       %s", account.url) end
  say("  begun    %s (%s)", text.ago(effect.at), effect.at)
  if (meta.sends or 0) > 1 then say("  sent     %d times, the same bytes each time", meta.sends) end
  if (meta.asked or 0) > 0 then
    say("  read     %d times what became of it, without a clear answer", meta.asked)
  end
  say("  line     %s", effect.line or "")
  say("")
  say("Look at the provider (its dashboard, or an operation that reads) what became of exactly this request.")
  say("Then one of")
  say("  run:resolve{ outcome = \"done\", value = {...} }      it happened; this is what it answered")
  say("  run:resolve{ outcome = \"rejected\", error = {...} }   it was refused: { kind =, message = }")
  say("  run:resolve{ outcome = \"not_sent\" }                 it did not happen; the script hears so")
  say("Not sure? Leave it: saying \"not_sent\" of a payment that was made can charge twice.")
end

local known = { outcome = true, value = true, error = true, seq = true, segment = true }

return function(run, what, deed)
  run:refresh()
  local effect = open_effect(run)
  if what == nil then return explain(run, effect) end
  for name in pairs(what) do
    if not known[name] then
      error(("run:resolve: unknown field \"%s\"; there are outcome, value, error, seq and segment"):format(
        tostring(name)), 3)
    end
  end
  local seq = what.seq or effect and effect.seq
  if not seq then error("run:resolve: no effect of this run is without an answer", 3) end
  local question = ("Say of effect %d, %s, that it is \"%s\"%s: the run goes on with that."):format(
    seq, effect and effect.seq == seq and effect.name or "", tostring(what.outcome),
    what.value ~= nil and " and answered " .. text.cut(text.show(what.value), 200) or "")
  return deed(run, "resolve", {
    seq = seq, segment = what.segment or run.segment,
    outcome = what.outcome, value = what.value, error = what.error,
  }, question)
end
