-- help(x): what a thing is.
local native = ...
return function(x)
  if x == nil then
    native.output "Any Lua works here. Modules have short names: flow, mintro, paymint, mint, paymnt.\n"
    return
  end
  local ok, doc = pcall(function() return x.doc end)
  native.output((ok and type(doc) == "string" and doc or "There is no description of this.") .. "\n")
end
