/* links: mt_vm mt_crypto mt_money mt_base */
/* Executions and generations: how they end, what they say about it, what they do not leave behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "bindings/vm/testing.h"

static struct mt_vm *vm;

static int setup(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_vm_options o = {.modules = testing_modules(), .memory_limit = 8 << 20, .cpu_limit_ms = 100};
    vm = mt_vm_new(&o, &e);
    return vm == NULL;
}

static int teardown(void **state) {
    (void)state;
    mt_vm_free(vm);
    return 0;
}

static struct mt_generation *load(const char *text) {
    struct mt_error e;
    struct mt_generation *g = testing_load(vm, text, &e);
    if (g == NULL) fail_msg("%s", e.message);
    return g;
}

/* Runs the body of a function, whose argument is `input`; gives the answer's JSON. */
static const char *answer(const char *body, const char *input) {
    static struct testing_call c;
    char text[8192];
    snprintf(text, sizeof(text), "t.entry('e', function(input) %s\nend)", body);
    struct mt_generation *g = load(text);
    struct mt_vm_result r;
    c.argument = input;
    testing_run(vm, g, "e", &c, &r);
    if (r.exit != MT_EXIT_RETURNED) fail_msg("%s: exit %d: %s %s", body, r.exit, r.message, r.error.data);
    mt_vm_result_clear(&r);
    mt_generation_release(g);
    return c.answer;
}

static void ends(const char *body, enum mt_exit exit, struct mt_vm_result *r) {
    struct testing_call c = {0};
    char text[8192];
    snprintf(text, sizeof(text), "t.entry('e', function(input) %s\nend)", body);
    struct mt_generation *g = load(text);
    testing_run(vm, g, "e", &c, r);
    if (r->exit != exit) fail_msg("%s: exit %d: %s %s", body, r->exit, r->message, c.answer);
    mt_generation_release(g);
}

static void arguments_and_results_pass(void **state) {
    (void)state;
    assert_string_equal(
        answer("return { sum = input.a + input.b, list = { 1, 2.5, 'x' } }", "{\"a\":1,\"b\":2}"),
        "{\"list\":[1,2.5,\"x\"],\"sum\":3}");
    assert_string_equal(answer("return input", "null"), "null");
}

static void nothing_leaks_from_one_execution_to_the_next(void **state) {
    (void)state;
    struct mt_generation *g =
        load("local n, list = 0, {} "
             "t.entry('e', function() n = n + 1 list[n] = n string.hidden = (string.hidden or 0) + 1 "
             "return { n, #list, string.hidden } end)");
    for (int i = 0; i < 3; i++) {
        struct testing_call c = {0};
        struct mt_vm_result r;
        testing_run(vm, g, "e", &c, &r);
        assert_string_equal(c.answer, "[1,1,1]");
        mt_vm_result_clear(&r);
    }
    mt_generation_release(g);
}

static void a_world_error_is_raised_and_a_bug_is_not(void **state) {
    (void)state;
    struct mt_vm_result r;
    ends("\n\nt.raise('declined', 'card refused')", MT_EXIT_RAISED, &r);
    assert_string_equal(
        r.error.data,
        "{\"hard\":false,\"kind\":\"declined\",\"message\":\"card refused\",\"retryable\":false}");
    assert_string_equal(r.site, "script.lua:3");
    mt_vm_result_clear(&r);
    ends("local ok, err = pcall(t.raise, 'expired', 'late') err.extra = { 1 } error(err)", MT_EXIT_RAISED,
         &r);
    assert_non_null(strstr(r.error.data, "\"extra\":[1]"));
    mt_vm_result_clear(&r);
    ends("error('own words')", MT_EXIT_BUG, &r);
    assert_string_equal(r.message, "script.lua:1: own words");
    mt_vm_result_clear(&r);
    ends("error({})", MT_EXIT_BUG, &r);
    assert_string_equal(r.message, "(error object is a table value)");
    mt_vm_result_clear(&r);
    ends("error(setmetatable({}, { __tostring = function() error('evil') end }))", MT_EXIT_BUG, &r);
    mt_vm_result_clear(&r);
    ends("error(setmetatable({}, { __tostring = function() while true do end end }))", MT_EXIT_LIMIT, &r);
    mt_vm_result_clear(&r);
    ends("local ok, err = pcall(t.raise, 'expired', 'late') err.f = function() end error(err)", MT_EXIT_BUG,
         &r);
    mt_vm_result_clear(&r);
}

static void tracebacks_show_the_script_only(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_source files[] = {
        {"flow.lua", "", 0},
        {"lib/deep.lua", "", 0},
    };
    files[0].text = "local deep = require 'lib.deep'\nrequire('mintage.test').entry('e', function()\n  local "
                    "x = deep.call(1)\n"
                    "  return x\nend)";
    files[1].text =
        "local M = {}\nlocal function inner(n)\n  return n.field.missing\nend\nfunction M.call(n)\n"
        "  local ok = string.gsub('a', 'a', function() inner({}) end)\n  return ok\nend\nreturn M";
    for (int i = 0; i < 2; i++) files[i].len = strlen(files[i].text);
    struct mt_generation *g = mt_generation_load(vm, files, 2, NULL, &e);
    if (g == NULL) fail_msg("%s", e.message);
    struct testing_call c = {0};
    struct mt_vm_result r;
    testing_run(vm, g, "e", &c, &r);
    assert_int_equal(r.exit, MT_EXIT_BUG);
    assert_string_equal(r.message, "lib/deep.lua:3: attempt to index a nil value (field 'field')");
    assert_string_equal(r.site, "lib/deep.lua:3");
    assert_string_equal(r.traceback, "lib/deep.lua:3: in function 'inner'\n"
                                     "lib/deep.lua:6: in function <lib/deep.lua:6>\n"
                                     "lib/deep.lua:6: in function 'call'\n"
                                     "flow.lua:3: in function <flow.lua:2>\n");
    mt_vm_result_clear(&r);
    mt_generation_release(g);
}

static void xpcall_and_pcall_are_as_in_lua(void **state) {
    (void)state;
    assert_string_equal(
        answer("local a = { pcall(function(...) return select('#', ...), ... end, 1, nil, 3) } "
               "return { a[1], a[2], a[5] }",
               NULL),
        "[true,3,3]");
    assert_string_equal(
        answer("return { xpcall(function(x) error('e' .. x, 0) end, function(m) return m .. '!' end, 1) }",
               NULL),
        "[false,\"e1!\"]");
    assert_string_equal(answer("return { xpcall(function(...) return ... end, error, 1, 2) }", NULL),
                        "[true,1,2]");
    assert_string_equal(answer("local co = coroutine.wrap(function() return pcall(function() "
                               "local x = coroutine.yield(1) error('late' .. x, 0) end) end) local a = co() "
                               "local b, c = co(5) return { a, b, c }",
                               NULL),
                        "[1,false,\"late5\"]");
    assert_string_equal(
        answer("local log = {} do local ok = pcall(function() local x <close> = setmetatable({}, "
               "{ __close = function(_, err) log[1] = err end }) error('boom', 0) end) end return log",
               NULL),
        "[\"boom\"]");
}

static void coroutines_are_as_in_lua(void **state) {
    (void)state;
    assert_string_equal(
        answer("local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b * 2 end) "
               "local _, x = coroutine.resume(co, 1) local _, y = coroutine.resume(co, 10) "
               "return { x, y, coroutine.status(co), select(2, coroutine.resume(co)) }",
               NULL),
        "[2,20,\"dead\",\"cannot resume dead coroutine\"]");
    assert_string_equal(
        answer(
            "local log = {} local co = coroutine.create(function() local x <close> = setmetatable({}, "
            "{ __close = function() log[#log + 1] = 'closed' end }) coroutine.yield() end) "
            "coroutine.resume(co) local ok = coroutine.close(co) return { ok, log[1], coroutine.status(co) }",
            NULL),
        "[true,\"closed\",\"dead\"]");
    assert_string_equal(answer("local f = coroutine.wrap(function() local x <close> = setmetatable({}, { "
                               "__close = function() end }) "
                               "error('in wrap') end) return { pcall(f) }",
                               NULL),
                        "[false,\"script.lua:1: in wrap\"]");
    assert_string_equal(answer("local f = coroutine.wrap(function() error({ code = 1 }) end) local ok, e = "
                               "pcall(f) return e.code",
                               NULL),
                        "1");
    assert_string_equal(answer("return select(2, pcall(coroutine.close, (coroutine.running())))", NULL),
                        "\"cannot close a running coroutine\"");
}

static void leaving_skips_everything(void **state) {
    (void)state;
    static const char *const places[] = {
        "t.leave()",
        "pcall(t.leave)",
        "local x <close> = setmetatable({}, { __close = function() error('closed') end }) t.leave()",
        "string.gsub('abc', '.', function() t.leave() end)",
        "string.gsub('abc', '.', setmetatable({}, { __index = function() t.leave() end }))",
        "table.sort({ 3, 1, 2 }, function() t.leave() end)",
        "tostring(setmetatable({}, { __tostring = function() t.leave() end }))",
        "string.format('%s', setmetatable({}, { __tostring = function() t.leave() end }))",
        "coroutine.wrap(function() coroutine.wrap(function() pcall(t.leave) end)() end)()",
        "for _ in pairs(setmetatable({}, { __pairs = function() t.leave() end })) do end",
        "xpcall(error, function() t.leave() end)",
        "load(function() t.leave() end)",
        "local co = coroutine.create(function() local x <close> = setmetatable({}, { __close = function() "
        "t.leave() end }) "
        "coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct mt_vm_result r;
        ends(places[i], MT_EXIT_LEFT, &r);
        assert_int_equal(r.code, TESTING_LEFT);
        mt_vm_result_clear(&r);
    }
}

static void load_errors_name_file_and_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"\nlocal x = { 1", "script.lua:2: '}' expected near <eof>"},
        {"\nlocal x = nil + 1", "script.lua:2: attempt to perform arithmetic on a nil value"},
        {"\nt.raise('usage', 'wrong settings')", "script.lua:2: usage: wrong settings"},
        {"t.entry('a', function() end)\nt.entry('a', function() end)",
         "script.lua:2: the test 'a' is defined twice: at script.lua:1 and at script.lua:2"},
        {"local x = {} while true do x[#x + 1] = {} end",
         "script.lua:1: the script used more than 8 MiB of memory"},
        {"while true do end", "script.lua:1: the script computed for more than 100 ms without an effect"},
        {"require 'lib.none'", "script.lua:1: there is no module 'lib.none'"},
        {"require 'mintage.tets'",
         "script.lua:1: there is no module 'mintage.tets' (did you mean 'mintage.test'?)"},
        {"require 'script'", "script.lua:1: 'script' requires itself, through the files that it requires"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mt_error e;
        struct mt_generation *g = testing_load(vm, cases[i].text, &e);
        if (g != NULL) fail_msg("%s: loaded", cases[i].text);
        assert_int_equal(e.kind, MT_SCRIPT);
        if (strncmp(e.message, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("%s: %s", cases[i].text, e.message);
    }
}

static void a_generation_is_named_by_its_contents(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_source a[] = {{"a.lua", "return 1", 8}, {"b.lua", "return 2", 8}}, swapped[] = {a[1], a[0]};
    struct mt_source other[] = {{"a.lua", "return 2", 8}, {"b.lua", "return 1", 8}};
    struct mt_generation *g[] = {
        mt_generation_load(vm, a, 2, NULL, &e),
        mt_generation_load(vm, swapped, 2, "{}", &e),
        mt_generation_load(vm, other, 2, NULL, &e),
        mt_generation_load(vm, a, 2, "{\"x\":1,\"a\":2}", &e),
        mt_generation_load(vm, a, 2, " { \"a\" : 2, \"x\" : 1 }", &e),
    };
    for (int i = 0; i < 5; i++) assert_non_null(g[i]);
    assert_string_equal(mt_generation_id(g[0]), mt_generation_id(g[1]));
    assert_string_not_equal(mt_generation_id(g[0]), mt_generation_id(g[2]));
    assert_string_not_equal(mt_generation_id(g[0]), mt_generation_id(g[3]));
    assert_string_equal(mt_generation_id(g[3]), mt_generation_id(g[4]));
    assert_int_equal(strlen(mt_generation_id(g[0])), 7 + 64);
    for (int i = 0; i < 5; i++) mt_generation_release(g[i]);
}

static void a_stored_generation_keeps_its_library(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_source old = {"mintage.greet", "return { say = function() return 'old' end }", 0},
                     new = {"mintage.greet", "return { say = function() return 'new' end }", 0};
    old.len = strlen(old.text);
    new.len = strlen(new.text);
    struct mt_source file = {"f.lua",
                             "local g = require 'mintage.greet'\nrequire('mintage.test').entry('e', "
                             "function() return g.say() end)",
                             0};
    file.len = strlen(file.text);
    struct mt_vm_options o = {.modules = testing_modules(), .library = &old, .library_count = 1};
    struct mt_vm *before = mt_vm_new(&o, &e);
    struct mt_generation *g = mt_generation_load(before, &file, 1, NULL, &e);
    assert_non_null(g);
    size_t count;
    const struct mt_source *files = mt_generation_files(g, &count);
    assert_int_equal(count, 2);
    o.library = &new;
    struct mt_vm *after = mt_vm_new(&o, &e);
    struct mt_generation *again = mt_generation_load(after, files, count, NULL, &e);
    assert_non_null(again);
    assert_string_equal(mt_generation_id(g), mt_generation_id(again));
    struct testing_call c = {0};
    struct mt_vm_result r;
    testing_run(after, again, "e", &c, &r);
    assert_string_equal(c.answer, "\"old\"");
    mt_vm_result_clear(&r);
    mt_generation_release(again);
    mt_generation_release(g);
    mt_vm_free(after);
    mt_vm_free(before);
    struct mt_source bad = {"mintage/x.lua", "", 0};
    assert_null(mt_generation_load(vm, &bad, 1, NULL, &e));
}

static void the_registry_tells_what_was_registered(void **state) {
    (void)state;
    struct mt_generation *g = load("t.entry('b', function() end)\n t.entry('a', function() end)");
    assert_string_equal(
        mt_generation_registry(g),
        "[{\"doc\":\"a test\",\"file\":\"script.lua\",\"kind\":\"test\",\"line\":1,\"name\":\"b\"},"
        "{\"doc\":\"a test\",\"file\":\"script.lua\",\"kind\":\"test\",\"line\":2,\"name\":\"a\"}]");
    mt_generation_release(g);
    struct mt_vm_result r;
    ends("t.entry('late', function() end)", MT_EXIT_BUG, &r);
    assert_non_null(strstr(r.message, "only while its file is loading"));
    mt_vm_result_clear(&r);
    assert_string_equal(answer("return t.site()", NULL), "\"script.lua:1\"");
}

static void modules_loaded_late_are_loaded_for_one_execution(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_source files[] = {
        {"f.lua",
         "local t = require 'mintage.test' t.entry('e', function() local ok, err = pcall(require, 'lib.bad') "
         "local _, again = pcall(require, 'lib.bad') return { require('lib.late').n, err == again } end)",
         0},
        {"lib/late.lua", "return { n = 42 }", 0},
        {"lib/bad.lua", "error('bad', 0)", 0}};
    for (int i = 0; i < 3; i++) files[i].len = strlen(files[i].text);
    struct mt_generation *g = mt_generation_load(vm, files, 3, NULL, &e);
    if (g == NULL) fail_msg("%s", e.message);
    for (int i = 0; i < 2; i++) {
        struct testing_call c = {0};
        struct mt_vm_result r;
        testing_run(vm, g, "e", &c, &r);
        assert_string_equal(c.answer, "[42,true]");
        mt_vm_result_clear(&r);
    }
    mt_generation_release(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_and_results_pass),
        cmocka_unit_test(nothing_leaks_from_one_execution_to_the_next),
        cmocka_unit_test(a_world_error_is_raised_and_a_bug_is_not),
        cmocka_unit_test(tracebacks_show_the_script_only),
        cmocka_unit_test(xpcall_and_pcall_are_as_in_lua),
        cmocka_unit_test(coroutines_are_as_in_lua),
        cmocka_unit_test(leaving_skips_everything),
        cmocka_unit_test(load_errors_name_file_and_line),
        cmocka_unit_test(a_generation_is_named_by_its_contents),
        cmocka_unit_test(a_stored_generation_keeps_its_library),
        cmocka_unit_test(the_registry_tells_what_was_registered),
        cmocka_unit_test(modules_loaded_late_are_loaded_for_one_execution),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
