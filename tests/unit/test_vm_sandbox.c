/* links: mt_vm mt_crypto mt_money mt_base */
/* What scripts can reach, and what hostile ones cannot do: hang the thread, crash it, catch a limit, or find
 * a way out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "bindings/vm/testing.h"

static struct mt_vm *vm, *quick, *patient; /* a short CPU limit; a long one, for the other limits */

static int setup(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_vm_options o = {.modules = testing_modules(), .memory_limit = 16 << 20, .cpu_limit_ms = 100};
    quick = vm = mt_vm_new(&o, &e);
    o.cpu_limit_ms = 20000;
    patient = mt_vm_new(&o, &e);
    return quick == NULL || patient == NULL;
}

static int teardown(void **state) {
    (void)state;
    mt_vm_free(quick);
    mt_vm_free(patient);
    return 0;
}

static void run(const char *body, struct testing_call *c, struct mt_vm_result *r) {
    struct mt_error e;
    char text[8192];
    snprintf(text, sizeof(text), "t.entry('e', function(input) %s\nend)", body);
    struct mt_generation *g = testing_load(vm, text, &e);
    if (g == NULL) fail_msg("%s: %s", body, e.message);
    testing_run(vm, g, "e", c, r);
    mt_generation_release(g);
}

static void is(const char *body, const char *expected) {
    struct testing_call c = {0};
    struct mt_vm_result r;
    run(body, &c, &r);
    if (r.exit != MT_EXIT_RETURNED) fail_msg("%s: exit %d: %s", body, r.exit, r.message);
    if (strcmp(c.answer, expected) != 0) fail_msg("%s: %s", body, c.answer);
    mt_vm_result_clear(&r);
}

static void fails(const char *body, const char *part) {
    struct testing_call c = {0};
    struct mt_vm_result r;
    run(body, &c, &r);
    if (r.exit != MT_EXIT_BUG || strstr(r.message, part) == NULL)
        fail_msg("%s: exit %d: %s %s", body, r.exit, r.message, c.answer);
    mt_vm_result_clear(&r);
}

static void limited(const char *body, const char *part) {
    struct testing_call c = {0};
    struct mt_vm_result r;
    run(body, &c, &r);
    if (r.exit != MT_EXIT_LIMIT || strstr(r.message, part) == NULL)
        fail_msg("%s: exit %d: %s %s", body, r.exit, r.message, c.answer);
    if (strncmp(r.site, "script.lua:", 11) != 0) fail_msg("%s: site '%s'", body, r.site);
    mt_vm_result_clear(&r);
}

static void endless_loops_end(void **state) {
    (void)state;
    static const char *const loops[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "pcall(pcall, function() while true do end end)",
        "while true do pcall(error) end",
        "coroutine.wrap(function() while true do end end)()",
        "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() "
        "end",
        "while true do coroutine.wrap(function() end)() end",
        "xpcall(function() while true do end end, function() while true do end end)",
        "xpcall(error, function() while true do end end)",
        "local x <close> = setmetatable({}, { __close = function() while true do end end })",
        "repeat until false",
        "goto a ::a:: goto a",
        "for i = 1, math.huge do end",
        "setmetatable({}, { __index = function() while true do end end }).x = nil local y = setmetatable({}, "
        "{ __index = function() while true do end end }).x",
        "string.gsub(string.rep('a', 1000), '.', function() while true do end end)",
        "table.sort({ 1, 2, 3 }, function() while true do end end)",
        "load(function() return ' ' end)",
        "load(function() while true do end end)",
        "for _ in pairs(setmetatable({}, { __pairs = function() return function() return 1 end end })) do "
        "end",
        "local s = ('x'):rep(3000) while true do s:find('.-.-.-.-b') end",
        "tostring(setmetatable({}, { __tostring = function() while true do end end }))",
        "local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() "
        "while true do end end }) "
        "coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
        "local t = {} for i = 1, 1000 do t[i] = i end while true do for k in pairs(t) do end end",
        "local t = {} t[1] = 1 while next(t) do end",
        "while true do t.site() end",
    };
    for (size_t i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) limited(loops[i], "the script");
}

static void loops_in_c_end(void **state) {
    (void)state;
    limited("string.rep('', 1 << 40)", "100 ms");
    limited("pcall(string.rep, '', 1 << 40)", "100 ms");
    limited("return (('a'):rep(400)):find(('.-'):rep(30) .. 'b')", "100 ms");
    limited("return (('a'):rep(400)):match(('a*'):rep(30) .. 'b')", "100 ms");
    limited("for _ in (('a'):rep(400)):gmatch(('.-'):rep(30) .. 'b') do end", "100 ms");
    limited("return (('a'):rep(400)):gsub(('.-'):rep(30) .. 'b', '')", "100 ms");
    limited("return (('a'):rep(400)):gsub(('.-'):rep(30) .. 'b', function() end)", "100 ms");
    limited("coroutine.wrap(function() pcall(string.find, ('a'):rep(400), ('.-'):rep(30) .. 'b') end)()",
            "100 ms");
    limited("(('a'):rep(400)):gsub('a', function() return (('a'):rep(400)):find(('.-'):rep(30) .. 'b') end)",
            "100 ms");
    limited("table.move({}, 1, 1 << 40, 2)", "100 ms");
    limited("table.move(setmetatable({}, { __index = {} }), 1, 1 << 40, 2)", "100 ms");
    limited("table.insert(setmetatable({}, { __len = function() return 1 << 40 end }), 1, 1)", "100 ms");
    limited("table.remove(setmetatable({}, { __len = function() return 1 << 40 end }), 1)", "100 ms");
    limited("local t = {} for i = 1, 50000 do t[i] = i % 7 end table.sort(t, function(a, b) for i = 1, 100 "
            "do end return a < b end)",
            "100 ms");
}

static int be_patient(void **state) {
    (void)state;
    vm = patient;
    return 0;
}

static int be_quick(void **state) {
    (void)state;
    vm = quick;
    return 0;
}

static void memory_is_limited(void **state) {
    (void)state;
    limited("string.rep('x', (1 << 31) - 1)", "16 MiB");
    fails("string.rep('x', 1 << 33)", "resulting string too large");
    limited("pcall(string.rep, 'x', 1 << 30)", "16 MiB");
    limited("local t = {} for i = 1, 1e9 do t[i] = { i } end", "16 MiB");
    limited("local s = 'x' while true do s = s .. s end", "16 MiB");
    limited("local t = {} pcall(function() while true do t[#t + 1] = ('x'):rep(100000) .. #t end end)",
            "16 MiB");
    limited("coroutine.wrap(function() local t = {} while true do t[#t + 1] = {} end end)()", "16 MiB");
    limited("local t = {} for i = 1, 100 do t[i] = ('x'):rep(1 << 20) .. i end return table.concat(t)",
            "16 MiB");
    limited("local t = {} while true do t[#t + 1] = coroutine.create(function() end) end", "16 MiB");
    fails("return table.unpack({}, 1, 1 << 30)", "too many results to unpack");
    fails("return string.rep('x', 1 << 62, 'y')", "resulting string too large");
    limited("return ('x'):rep(1 << 20):gsub('x', ('y'):rep(100))", "16 MiB");
    is("local ok = pcall(function() error('fine') end) return ok", "false");
}

static void depth_is_limited(void **state) {
    (void)state;
    static const char *const recursions[] = {
        "local function f() return 1 + f() end f()",
        "local function f() return 1 + f() end pcall(f)",
        "local function f() pcall(f) end f()",
        "local function f() xpcall(f, f) end f()",
        "xpcall(error, function(m) error(m) end)",
        "local function f() string.gsub('a', 'a', f) end f()",
        "local m = {} m.__tostring = function(x) return string.format('%s', x) end string.format('%s', "
        "setmetatable({}, m))",
        "local function f() table.sort({ 2, 1 }, f) end f()",
        "local function f() coroutine.wrap(f)() end f()",
        "local function f() coroutine.resume(coroutine.create(f)) end f()",
        "local t = setmetatable({}, { __index = function(t, k) return t[k .. 'x'] end }) return t.a",
        "local function f(x) local y <close> = setmetatable({}, { __close = function() f() end }) end f()",
        "load('return ' .. ('('):rep(10000) .. '1' .. (')'):rep(10000))",
        "local last for i = 1, 100000 do local before = last last = coroutine.create(function() local x "
        "<close> = "
        "setmetatable({}, { __close = function() if before then coroutine.close(before) end end }) "
        "coroutine.yield() end) "
        "coroutine.resume(last) end coroutine.close(last)",
        "local function f() local ok, err = pcall(f) if not ok then error(err, 0) end return ok end f()",
        "local function f() for k in pairs(setmetatable({}, { __pairs = f })) do end end f()",
        "local e = setmetatable({}, {}) getmetatable(e).__index = function(t, k) return e[k] end return e.x",
    };
    for (size_t i = 0; i < sizeof(recursions) / sizeof(recursions[0]); i++) {
        struct testing_call c = {0};
        struct mt_vm_result r;
        run(recursions[i], &c, &r);
        /* A stack of a million slots may not fit into the memory limit: that is a limit as well. */
        if (r.exit != MT_EXIT_LIMIT ||
            (strstr(r.message, "nested too deeply") == NULL && strstr(r.message, "MiB") == NULL))
            fail_msg("%s: exit %d: %s %s", recursions[i], r.exit, r.message, c.answer);
        mt_vm_result_clear(&r);
    }
    /* An endless __index chain is an ordinary error in Lua. */
    fails("local a = {} setmetatable(a, { __index = a }) return a.x", "possible loop");
}

/* Plain Lua 5.4.4 dies of this one: each close is a new run on the C stack, and its count of C levels does
 * not see them. The memory limit must not be what ends it. */
static void a_chain_of_closes_is_limited(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_vm_options o = {
        .modules = testing_modules(), .memory_limit = (size_t)1 << 30, .cpu_limit_ms = 20000};
    struct mt_vm *roomy = mt_vm_new(&o, &e);
    struct mt_generation *g =
        testing_load(roomy,
                     "t.entry('e', function() local last for i = 1, 100000 do local before = last last = "
                     "coroutine.create(function() "
                     "local x <close> = setmetatable({}, { __close = function() if before then "
                     "coroutine.close(before) end end }) "
                     "coroutine.yield() end) coroutine.resume(last) end coroutine.close(last) end)",
                     &e);
    assert_non_null(g);
    struct testing_call c = {0};
    struct mt_vm_result r;
    testing_run(roomy, g, "e", &c, &r);
    if (r.exit != MT_EXIT_LIMIT || strstr(r.message, "nested too deeply") == NULL)
        fail_msg("%d: %s", r.exit, r.message);
    mt_vm_result_clear(&r);
    mt_generation_release(g);
    mt_vm_free(roomy);
}

static void a_configured_depth_is_kept(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_vm_options o = {.modules = testing_modules(), .depth_limit = 20};
    struct mt_vm *shallow = mt_vm_new(&o, &e);
    struct mt_generation *g =
        testing_load(shallow,
                     "t.entry('e', function(n) local function f(i) if i > 0 then return (select(2, "
                     "pcall(f, i - 1))) end return 'end' end return f(n) end)",
                     &e);
    assert_non_null(g);
    struct testing_call c = {.argument = "3"};
    struct mt_vm_result r;
    testing_run(shallow, g, "e", &c, &r);
    assert_string_equal(c.answer, "\"end\"");
    mt_vm_result_clear(&r);
    c.argument = "50";
    testing_run(shallow, g, "e", &c, &r);
    assert_int_equal(r.exit, MT_EXIT_LIMIT);
    mt_vm_result_clear(&r);
    mt_generation_release(g);
    mt_vm_free(shallow);
}

static void effects_begin_a_new_budget(void **state) {
    (void)state;
    is("for i = 1, 150 do for j = 1, 1000000 do end t.effect() end return true", "true");
}

static void removed_names_say_what_to_use(void **state) {
    (void)state;
    fails("return os.time()", "there is no os in a flow: use flow.now()");
    fails("io.write('x')", "there is no io in a flow");
    fails("print('x')", "there is no print in a flow: use flow.log");
    fails("return debug", "there is no debug in a flow");
    fails("collectgarbage()", "there is no collectgarbage");
    fails("dofile('x')", "use require");
    fails("loadfile('x')", "use require");
    fails("return package.path", "there is no package");
    fails("math.random()", "use flow.random");
    fails("math.randomseed(1)", "needs no seed");
    fails("string.dump(load)", "never bytecode");
    fails("return ('x'):dump()", "never bytecode");
    is("return { math.none == nil, string.none == nil }", "[true,true]");
    fails("setmetatable({}, { __gc = function() end })", "__gc would never run");
    is("return setmetatable({}, { __mode = 'k' }) ~= nil", "true");
}

static void globals_are_strict(void **state) {
    (void)state;
    fails("totl = 1", "assignment to undeclared global 'totl': write local totl = ...");
    fails("return totl", "undeclared global 'totl'");
    fails("return tostrin(1)", "did you mean 'tostring'?");
    fails("return test", "write local test = require \"mintage.test\" first");
    fails("setmetatable(_G, {})", "protected metatable");
    fails("setmetatable(_G, nil)", "protected metatable");
    is("return { getmetatable(_G), getmetatable('x'), getmetatable(math) }", "[false,false,false]");
    is("rawset(_G, 'mine', 1) return mine", "1");
    fails("_G.x = 1", "undeclared");
    fails("return _ENV.x", "undeclared");
}

static void there_is_no_way_out(void **state) {
    (void)state;
    is("return (load('\\27Lua'))", "null");
    is("return select(2, load('\\27Lua', 'c', 'b'))", "\"attempt to load a binary chunk (mode is 't')\"");
    is("return { (pcall(load('return os'))), load('return x', 'c', 't', { x = 5 })() }", "[false,5]");
    is("local names = {} for k in pairs(_G) do names[#names + 1] = k end return names",
       "[\"_G\",\"_VERSION\",\"assert\",\"coroutine\",\"error\",\"getmetatable\",\"ipairs\",\"load\","
       "\"math\",\"next\",\"pairs\","
       "\"pcall\",\"rawequal\",\"rawget\",\"rawlen\",\"rawset\",\"require\",\"select\",\"setmetatable\","
       "\"string\",\"table\","
       "\"tonumber\",\"tostring\",\"type\",\"utf8\",\"xpcall\"]");
    is("return { rawget(_G, 'os') == nil, rawget(_G, 'io') == nil, rawget(string, 'dump') == nil, "
       "rawget(math, 'random') == nil }",
       "[true,true,true,true]");
    fails("return require 'os'", "there is no module 'os'");
    fails("return require '../../etc/passwd'", "there is no module");
    fails("return require 'lfs'", "there is no module");
    is("local env = load('return _ENV')() return env == _G", "true");
    fails("getmetatable('').__index = nil", "attempt to index a boolean value");
    is("string.format = nil return pcall(string.format, '%s')", "false");
    /* the string functions belong to one execution, which may spoil them for itself alone */
    is("return ('%d'):format(3)", "\"3\"");
}

static void comparators_may_be_wrong(void **state) {
    (void)state;
    is("local t = {} for i = 1, 200 do t[i] = i end table.sort(t, function() return true end) return #t",
       "200");
    is("local t = { 3, 1, 2 } table.sort(t) return t", "[1,2,3]");
    is("local t = { 3, 1, 2 } table.sort(t, function(a, b) return a > b end) return t", "[3,2,1]");
    fails("table.sort({ 1, 'x' })", "attempt to compare");
    fails("table.sort({ 1, nil, 3 }, 5)", "function expected");
    is("local t = {} for i = 1, 300 do t[i] = { i % 3, i } end table.sort(t, function(a, b) return a[1] < "
       "b[1] end) "
       "for i = 2, 300 do if t[i][1] == t[i - 1][1] then assert(t[i][2] > t[i - 1][2]) end end return true",
       "true");
    is("local t = {} table.sort(t) table.sort({ 1 }) return t", "{}");
}

static void tables_are_as_in_lua(void **state) {
    (void)state;
    is("local t = { 1, 2, 3 } table.insert(t, 4) table.insert(t, 1, 0) table.insert(t, 6, 5) return t",
       "[0,1,2,3,4,5]");
    is("local t = { 1, 2, 3 } return { table.remove(t), table.remove(t, 1), #t, table.remove({}) == nil, "
       "table.remove({}, 0) == nil }",
       "[3,1,1,true,true]");
    fails("table.insert({ 1 }, 5, 1)", "position out of bounds");
    fails("table.remove({ 1 }, 5)", "position out of bounds");
    fails("table.insert({ 1 })", "wrong number of arguments");
    is("return table.move({ 1, 2, 3 }, 1, 3, 2)", "[1,1,2,3]");
    is("return table.move({ 1, 2, 3 }, 2, 3, 1)", "[2,3,3]");
    is("return table.move({ 1, 2, 3 }, 1, 3, 1, {})", "[1,2,3]");
    is("return { next({}) == nil, next({ 7 }), (next({ b = 1, a = 2 })) }", "[true,1,\"a\"]");
    fails("next({}, 'x')", "invalid key to 'next'");
}

static void iteration_is_ordered(void **state) {
    (void)state;
    is("local log = {} for k in pairs({ z = 1, a = 1, [10] = 1, [2] = 1, [2.5] = 1, [-1] = 1, [true] = 1, [1 "
       "<< 53] = 1, [2.0^53 + 2] = 1 }) do "
       "log[#log + 1] = tostring(k) end return log",
       "[\"-1\",\"2\",\"2.5\",\"10\",\"9007199254740992\",\"9007199254740994\",\"a\",\"z\",\"true\"]");
    fails("for k in pairs({ [{}] = 1 }) do end", "cannot iterate over a table with a table as a key");
    fails("next({ [function() end] = 1, a = 1 })", "with a function as a key");
    is("local t, log = { a = 1, b = 2, c = 3 }, {} for k, v in pairs(t) do t[k] = nil log[#log + 1] = k end "
       "return { log, next(t) == nil }",
       "[[\"a\",\"b\",\"c\"],true]");
    is("local t, n = {}, 0 for i = 1, 20 do t['k' .. i] = i end for a in pairs(t) do for b in pairs(t) do n "
       "= n + 1 end end return n",
       "400");
    is("local t, n = { a = 1, b = 2 }, 0 for k in pairs(t) do t.c = 3 n = n + 1 end for k in pairs(t) do n = "
       "n + 10 end return n",
       "32");
    is("local t, log = { c = 1, a = 1, b = 1 }, {} local k = next(t) while k do log[#log + 1] = k k = "
       "next(t, k) end return log",
       "[\"a\",\"b\",\"c\"]");
    /* more tables at once than are remembered */
    is("local function deep(n, t) local c = 0 for k in pairs(t) do c = c + 1 if n > 0 then c = c + deep(n - "
       "1, { x = 1, y = 2 }) end end return c end "
       "return deep(10, { a = 1, b = 2 })",
       "4094");
    is("local a, b = 0, {} for k, v in pairs({ 10, 20, 30 }) do a = a + k * v end return a", "140");
}

static void text_shows_no_address(void **state) {
    (void)state;
    is("local a, b = {}, {} return { tostring(a), tostring(b), tostring(a), tostring(function() end), "
       "tostring(coroutine.running()) }",
       "[\"table #1\",\"table #2\",\"table #1\",\"function #1\",\"thread #1\"]");
    is("local a = {} return { string.format('%s %p %5s|%d%%', a, a, true, 3), ('%p'):format(1), "
       "('%-10p|'):format(a) }",
       "[\"table #1 table #1  true|3%\",\"(null)\",\"table #1  |\"]");
    is("return tostring(setmetatable({}, { __name = 'shop.order' }))", "\"shop.order #1\"");
    fails("return tostring(setmetatable({}, { __tostring = function() return 1 < 2 end }))",
          "'__tostring' must return a string");
    is("return { tostring(nil), tostring(1), tostring(1.0), tostring('x'), tostring(true) }",
       "[\"nil\",\"1\",\"1.0\",\"x\",\"true\"]");
    fails("return string.format('%s')", "bad argument #2 to 'format'");
    fails("return string.format('%p')", "bad argument #2 to 'format'");
    is("return string.format('%q %5.1f %x %i', 'a\\n', 1.25, 255, 3)", "\"\\\"a\\\\\\n\\\"   1.2 ff 3\"");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endless_loops_end),
        cmocka_unit_test(loops_in_c_end),
        cmocka_unit_test_setup_teardown(memory_is_limited, be_patient, be_quick),
        cmocka_unit_test_setup_teardown(depth_is_limited, be_patient, be_quick),
        cmocka_unit_test(a_chain_of_closes_is_limited),
        cmocka_unit_test(a_configured_depth_is_kept),
        cmocka_unit_test(effects_begin_a_new_budget),
        cmocka_unit_test(removed_names_say_what_to_use),
        cmocka_unit_test(globals_are_strict),
        cmocka_unit_test(there_is_no_way_out),
        cmocka_unit_test(comparators_may_be_wrong),
        cmocka_unit_test(tables_are_as_in_lua),
        cmocka_unit_test(iteration_is_ordered),
        cmocka_unit_test(text_shows_no_address),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
