-- Completion: the names that may follow what has been typed.
return function(env, named, text)
  local word = text:match "[%a_][%w_]*$" or ""
  local names = {}
  for name in pairs(named) do
    if name:sub(1, #word) == word then names[#names + 1] = name end
  end
  for name in pairs(env) do
    if type(name) == "string" and not named[name] and name:sub(1, #word) == word then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return #text - #word, names
end
