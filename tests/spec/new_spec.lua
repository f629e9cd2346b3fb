-- mintage new: in an empty folder, what it writes is checked and tested without a finding; and it writes over nothing.

local testing = require "mintage.testing"

local function mintage(dir, ...) return testing.run({ ... }, { dir = dir }) end

describe("mintage new", function()
  teardown(testing.clean_up)

  it("writes a flow and its spec that are fine as they are", function()
    local dir = testing.folder()
    local made = mintage(dir, "new", "tip-jar")
    assert.equal(0, made.code, made.err)
    assert.matches("flows/tip%-jar%.lua", made.out)
    assert.matches("specs/tip%-jar_spec%.lua", made.out)
    local check = mintage(dir, "check", "flows")
    assert.equal(0, check.code, check.out .. check.err)
    local test = mintage(dir, "test")
    assert.equal(0, test.code, test.out .. test.err)
    assert.matches("3 successes / 0 failures", test.out)
    local crash = mintage(dir, "test", "--crash", "--filter=is paid")
    assert.equal(0, crash.code, crash.out .. crash.err)
  end)

  it("writes what the command that it prints can run", function()
    local dir = testing.folder()
    local made = mintage(dir, "new", "tip")
    local input = made.out:match "mintage run tip '(.-)'"
    local runtime = testing.pair { flows = dir .. "/flows" }
    local run = runtime:run("tip", testing.json.decode(input))
    assert.matches("/pay/", runtime:wait_for(run.id, "waiting").progress.payment_url)
  end)

  it("leaves files alone that are there", function()
    local dir = testing.folder()
    assert.equal(0, mintage(dir, "new", "tip").code)
    testing.write(dir .. "/flows/tip.lua", "-- mine\n")
    local again = mintage(dir, "new", "tip")
    assert.equal(1, again.code)
    assert.matches("flows/tip%.lua is there already", again.err)
    assert.equal("-- mine\n", testing.read(dir .. "/flows/tip.lua"))
    os.remove(dir .. "/flows/tip.lua")
    testing.write(dir .. "/specs/tip_spec.lua", "-- mine too\n")
    again = mintage(dir, "new", "tip")
    assert.equal(1, again.code)
    assert.matches("specs/tip_spec%.lua is there already", again.err)
    assert.is_false(testing.exists(dir .. "/flows/tip.lua"))
    assert.equal("-- mine too\n", testing.read(dir .. "/specs/tip_spec.lua"))
  end)

  it("refuses names that cannot be a flow's, with one that can", function()
    local dir = testing.folder()
    for name, near in pairs {
      ["gift card"] = "gift_card", ["flows/tip.lua"] = "tip", ["../tip"] = "tip", ["2pay"] = "pay", ["t.i.p"] = "t_i_p",
      ["tip_spec"] = "tip", [("x"):rep(80)] = ("x"):rep(58),
    } do
      local refused = mintage(dir, "new", name)
      assert.equal(2, refused.code, name)
      assert.matches("did you mean '" .. near .. "'", refused.err)
    end
    for _, name in ipairs { "", "7", "/", "..", "\u{e9}" } do
      local refused = mintage(dir, "new", name)
      assert.equal(2, refused.code, name)
      assert.matches("wanted a letter", refused.err)
      assert.is_nil(refused.err:find("did you mean", 1, true))
    end
    assert.matches("NAME", mintage(dir, "new").err)
    assert.is_false(testing.exists(dir .. "/flows"))
  end)

  it("writes where the project has its flows and specs", function()
    local dir = testing.flows { ["spec/other_spec.lua"] = "it('holds', function() end)\n" }
    local made = mintage(dir, "new", "tip", "--flows", "shop/flows")
    assert.equal(0, made.code, made.err)
    assert.is_true(testing.exists(dir .. "/shop/flows/tip.lua"))
    local test = mintage(dir, "test")
    assert.equal(0, test.code, test.out .. test.err)
    assert.matches("4 successes", test.out)
  end)

  it("copies a flow that ships, with what it requires, and keeps what is there", function()
    local dir = testing.folder()
    local made = mintage(dir, "new", "refund", "--shipped")
    assert.equal(0, made.code, made.err)
    assert.equal(testing.read "flows/refund.lua", testing.read(dir .. "/flows/refund.lua"))
    assert.equal(testing.read "flows/lib/payments.lua", testing.read(dir .. "/flows/lib/payments.lua"))
    testing.write(dir .. "/flows/lib/payments.lua", testing.read "flows/lib/payments.lua" .. "-- mine\n")
    made = mintage(dir, "new", "void", "--shipped")
    assert.equal(0, made.code, made.err)
    assert.matches("Kept flows/lib/payments.lua", made.out)
    assert.matches("%-%- mine\n$", testing.read(dir .. "/flows/lib/payments.lua"))
    local check = mintage(dir, "check", "flows")
    assert.equal(0, check.code, check.out .. check.err)
    assert.equal(1, mintage(dir, "new", "void", "--shipped").code)
    local refused = mintage(dir, "new", "refnd", "--shipped")
    assert.equal(2, refused.code)
    assert.matches("did you mean 'refund'", refused.err)
  end)

  it("says why it cannot write", function()
    local dir = testing.flows { flows = "" }
    local refused = mintage(dir, "new", "tip")
    assert.equal(2, refused.code)
    assert.matches("flows is not a folder", refused.err)
  end)
end)
