-- HTML from templates: {{name}} is replaced by the escaped value, {{{name}}} by HTML as it is. A name
-- without a value raises, so that no page ever shows a hole.

local html = {}

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

function html.escape(text) return (tostring(text):gsub("[&<>\"']", entities)) end

function html.fill(template, values)
  local function value(name)
    local found = values[name]
    if found == nil then error("the template wants " .. name, 3) end
    return found
  end
  local filled = template:gsub("{{({?)([%w_]+)}?}}", function(raw, name)
    return raw == "{" and tostring(value(name)) or html.escape(value(name))
  end)
  return filled
end

-- JSON that may stand in a <script type="application/json">.
function html.data(encoded) return (encoded:gsub("<", "\\u003c")) end

return html
