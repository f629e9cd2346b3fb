-- A file as a tree, by luacheck's parser, with the places of its nodes and the lines that a comment silences.

local parser = require "luacheck.parser"
local decoder = require "luacheck.decoder"

local syntax = {}

-- Answers { tree, place = function(node) -> line, column, silent = { [line] = true } }, or nil and
-- { line, column, message }.
function syntax.read(text)
  local offsets = {}
  local source = decoder.decode((text:gsub("^#[^\n]*", "")))

  local function column(line, offset) return offset - (offsets[line] or offset) + 1 end

  local ok, tree, comments = pcall(parser.parse, source, offsets, {})
  if not ok then
    local e = tree
    if type(e) ~= "table" or not e.msg then error(e, 0) end
    return nil, { line = e.line, column = column(e.line, e.offset), message = e.msg }
  end
  local silent = {}
  for _, comment in ipairs(comments) do
    if comment.contents:find "mintage:%s*ignore" then silent[comment.line] = true end
  end
  return {
    tree = tree,
    silent = silent,
    place = function(node) return node.line, column(node.line, node.offset) end,
  }
end

return syntax
