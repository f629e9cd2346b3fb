-- Which way the folders lean, who may include what, and that every folder says what it is.

local lfs = require "lfs"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

-- Calls visit(path) for every file below dir whose name ends so.
local function each(dir, ending, visit)
  for name in lfs.dir(dir) do
    local path = dir .. "/" .. name
    if name:sub(1, 1) ~= "." and name ~= "node_modules" and name ~= "out" then
      if lfs.attributes(path, "mode") == "directory" then
        each(path, ending, visit)
      elseif name:find(ending) then
        visit(path)
      end
    end
  end
end

local function includes(path)
  local found = {}
  for line in read(path):gmatch "[^\n]+" do
    local name = line:match '^%s*#%s*include%s*[<"]([^>"]+)[>"]'
    if name then found[#found + 1] = name end
  end
  return found
end

describe("the architecture", function()
  it("keeps Lua out of core", function()
    each("core", "%.[ch]$", function(path)
      for _, name in ipairs(includes(path)) do
        assert.is_false(name:find "^l?ua" ~= nil or name:find "^lauxlib" ~= nil or name:find "^lualib" ~= nil or
          name:find "bindings/" ~= nil, path .. " includes " .. name)
      end
    end)
  end)

  it("keeps the libraries of core out of bindings", function()
    each("bindings", "%.[ch]$", function(path)
      for _, name in ipairs(includes(path)) do
        assert.is_false(name:find "civetweb" ~= nil or name:find "^curl/" ~= nil or name:find "sqlite3" ~= nil or
          name:find "libpq" ~= nil or name:find "^openssl/" ~= nil, path .. " includes " .. name)
      end
    end)
  end)

  it("lets each part of core use only those above it", function()
    local may = {
      base = {}, money = { "base" }, crypto = { "base" }, http = { "base", "crypto" }, store = { "base", "crypto" },
      providers = { "base", "money", "crypto", "http" },
      engine = { "base", "money", "crypto", "http", "store", "providers" },
    }
    for part, others in pairs(may) do
      local allowed = { [part] = true }
      for _, other in ipairs(others) do allowed[other] = true end
      each("core/" .. part, "%.[ch]$", function(path)
        for _, name in ipairs(includes(path)) do
          local from = name:match "^core/(%w+)/" or name:match "^(%w+)/"
          if from and may[from] then assert.is_true(allowed[from] == true, path .. " includes " .. name) end
        end
      end)
    end
  end)

  it("lets vm and modules know nothing of the program", function()
    for _, part in ipairs { "vm", "modules" } do
      each("bindings/" .. part, "%.[ch]$", function(path)
        for _, name in ipairs(includes(path)) do
          assert.is_false(name:find "program/" ~= nil, path .. " includes " .. name)
          if part == "vm" then assert.is_false(name:find "modules/" ~= nil, path .. " includes " .. name) end
        end
      end)
    end
  end)

  it("lets flows require mintage.* and each other only", function()
    each("flows", "%.lua$", function(path)
      for name in read(path):gmatch 'require%s*%(?%s*"([^"]+)"' do
        local root = path:find "^flows/sandbox/" and "flows/sandbox/" or "flows/"
        local folder = name:find "%.$" -- require("checkout." .. way): one of a folder's
        local own = lfs.attributes(root .. name:gsub("%.", "/") .. (folder and "" or ".lua"), "mode")
        local ours = own == (folder and "directory" or "file")
        assert.is_true(ours or name:find "^mintage%.[%w_]+$" ~= nil, path .. " requires " .. name)
      end
    end)
  end)

  it("lets web talk to its own server only", function()
    each("web", "%.[a-z]+$", function(path)
      if path:find "%.js$" or path:find "%.html$" or path:find "%.css$" then
        for url in read(path):gmatch 'https?://[%w.-]+' do
          assert.is_true(url:find "w3%.org" ~= nil or url:find "example" ~= nil or url:find "127%.0%.0%.1" ~= nil or
            url:find "localhost" ~= nil, path .. " names " .. url)
        end
      end
    end)
  end)

  it("gives each folder a README", function()
    for _, dir in ipairs {
      "core", "bindings", "flows", "web", "tests", "core/base", "core/money", "core/crypto", "core/http", "core/store",
      "core/engine", "core/providers", "bindings/vm", "bindings/modules", "bindings/program", "flows/sandbox",
    } do
      assert.equal("file", lfs.attributes(dir .. "/README.md", "mode"), dir)
    end
  end)

  it("has nothing at the top that the layout does not know", function()
    local known = {}
    for _, name in ipairs {
      "CMakeLists.txt", "CMakePresets.json", "README.md", "setup.sh", "LICENSE", "core", "bindings", "flows", "web", "tests",
      "mintage-data", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md",
    } do
      known[name] = true
    end
    for name in lfs.dir "." do
      if name:sub(1, 1) ~= "." and not name:find "^build" then assert.is_true(known[name] == true, name) end
    end
  end)

  it("leaves nothing unfinished", function()
    for _, dir in ipairs { "core", "bindings", "flows", "web" } do
      each(dir, "%.%l+$", function(path)
        local text = read(path)
        for _, word in ipairs { "TO" .. "DO", "FIX" .. "ME", "not " .. "implemented" } do
          assert.is_nil(text:find(word, 1, true), path .. ": " .. word)
        end
      end)
    end
  end)

  it("calls nothing that knows no limit", function()
    -- atoi hides errors; sprintf and strcpy have no limit; gets and tmpnam are beyond help.
    local banned = { "sprintf", "vsprintf", "strcpy", "strcat", "gets", "tmpnam", "rand", "srand" }
    for _, dir in ipairs { "core", "bindings" } do
      each(dir, "%.c$", function(path)
        local text = "\n" .. read(path)
        for _, name in ipairs(banned) do
          assert.is_nil(text:find("[^%w_.>\"]" .. name .. "%("), path .. " calls " .. name)
        end
      end)
    end
  end)
end)
