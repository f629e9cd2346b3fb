/* links: mt_modules mt_vm mt_engine mt_providers mt_store mt_http mt_crypto mt_money mt_base */
/* Values crossing the journal, money as a value, and mintage.json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "bindings/modules/modules.h"
#include "bindings/vm/testing.h"

static struct mt_vm *vm;

static int setup(void **state) {
    static const struct mt_vm_module modules[] = {{"mintage.test", testing_open},
                                                  {"mintage.money", mt_open_money},
                                                  {"mintage.json", mt_open_json},
                                                  {NULL, NULL}};
    (void)state;
    struct mt_error e;
    struct mt_vm_options o = {.modules = modules, .memory_limit = 16 << 20, .cpu_limit_ms = 1000};
    vm = mt_vm_new(&o, &e);
    return vm == NULL;
}

static int teardown(void **state) {
    (void)state;
    mt_vm_free(vm);
    return 0;
}

static void run(const char *body, struct testing_call *c, struct mt_vm_result *r) {
    struct mt_error e;
    char text[8192];
    snprintf(text, sizeof(text),
             "local money, json = require 'mintage.money', require 'mintage.json' t.entry('e', "
             "function(input) %s\nend)",
             body);
    struct mt_generation *g = testing_load(vm, text, &e);
    if (g == NULL) fail_msg("%s: %s", body, e.message);
    testing_run(vm, g, "e", c, r);
    mt_generation_release(g);
}

static void maps(const char *body, const char *input, const char *expected) {
    struct testing_call c = {.argument = input};
    struct mt_vm_result r;
    run(body, &c, &r);
    if (r.exit != MT_EXIT_RETURNED) fail_msg("%s: exit %d: %s", body, r.exit, r.message);
    if (strcmp(c.answer, expected) != 0) fail_msg("%s: %s", body, c.answer);
    mt_vm_result_clear(&r);
}

static void is(const char *body, const char *expected) {
    maps(body, NULL, expected);
}

static void fails(const char *body, const char *part) {
    struct testing_call c = {0};
    struct mt_vm_result r;
    run(body, &c, &r);
    if (r.exit != MT_EXIT_BUG || strstr(r.message, part) == NULL)
        fail_msg("%s: exit %d: %s %s", body, r.exit, r.message, c.answer);
    mt_vm_result_clear(&r);
}

/* What is read is written again as the same bytes. */
static void returns(const char *json) {
    maps("return input", json, json);
}

static void values_come_back_as_they_went(void **state) {
    (void)state;
    static const char *const values[] = {
        "null",
        "true",
        "false",
        "0",
        "-1",
        "9223372036854775807",
        "-9223372036854775808",
        "0.1",
        "1.0",
        "-0.0",
        "1e+300",
        "4.94065645841247e-324",
        "1.7976931348623157e+308",
        "0.30000000000000004",
        "{\"$float\":\"nan\"}",
        "{\"$float\":\"inf\"}",
        "{\"$float\":\"-inf\"}",
        "\"\"",
        "\"a \\\"quoted\\\" \\\\ line\\nend\"",
        "\"결제선생 €\"",
        "{\"$bytes\":\"/wD+\"}",
        "[]",
        "{}",
        "[[],{},[1,[2]]]",
        "{\"a\":1,\"b\":{\"c\":[true,false]}}",
        "{\"$money\":\"80.00 USD\"}",
        "[{\"$money\":\"-5 KRW\"}]",
        "{\"$$money\":\"x\"}",
        "{\"$$\":1,\"$$x\":2}",
        "[1,null,3]",
        "{\"$error\":{\"kind\":\"declined\",\"message\":\"no\"}}",
        "{\"e\":{\"$error\":{\"cause\":{\"$error\":{\"kind\":\"timeout\"}},\"kind\":\"x\"}}}",
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) returns(values[i]);
    maps("return { input.a == nil, input.list[2] == json.null, math.type(input.n), math.type(input.f) }",
         "{\"a\":null,\"list\":[1,null],\"n\":3,\"f\":3.0}", "[true,true,\"integer\",\"float\"]");
    maps("return input", " { \"b\" : 1 , \"a\" : [ ] } ", "{\"a\":[],\"b\":1}");
    maps("return { input, #input }", "\"\\u00e9\\ud83d\\ude00\\/\"", "[\"é😀/\",7]");
    maps("return input", "12345678901234567890", "1.2345678901234567e+19");
}

static void what_cannot_cross_says_where(void **state) {
    (void)state;
    fails("return { order = { items = { 1, { price = function() end } } } }",
          "order.items[2].price: functions cannot cross the journal");
    fails("return print_ or coroutine.create(function() end)", "undeclared");
    fails("return coroutine.create(function() end)", "value: coroutines cannot cross the journal");
    fails("local a = {} a.self = a return a", "self: a table that contains itself");
    fails("return { 1, nil, 3 }",
          "value: an array with holes cannot cross the journal: element 2 is missing");
    fails("return { x = { 1, a = 2 } }", "x: a table with both numbers and strings");
    fails("return { [1.5] = 1 }", "an array with holes");
    fails("return { [true] = 1 }", "booleans as keys");
    fails("return { [{}] = 1 }", "tables as keys");
    fails("return { ['a\\0b'] = 1 }", "keys must be UTF-8");
    fails("local a = {} for i = 1, 70 do a = { a } end return a", "nested deeper than 64 levels");
    fails("return ('x'):rep(1100000)", "larger than 1048576 bytes");
    fails("local a = {} for i = 1, 30 do a = { a, a } end return a", "larger than 1048576 bytes");
    fails("return json.array { x = 1 }", "an array cannot have the key 'x'");
    is("return json.array {}", "[]");
    is("return { a = json.null }", "{\"a\":null}");
    is("local s = {} for i = 1, 60 do s = { s } end return #s", "1");
}

static void malformed_values_raise(void **state) {
    (void)state;
    static const char *const wrong[] = {"",
                                        "{",
                                        "[1,",
                                        "{\"a\"}",
                                        "tru",
                                        "01",
                                        "1.",
                                        "+1",
                                        "\"a",
                                        "\"\\x\"",
                                        "\"\\ud800\"",
                                        "[1]]",
                                        "{\"$money\":\"x\"}",
                                        "{\"$money\":1}",
                                        "{\"$bytes\":\"?\"}",
                                        "{\"$money\":\"1 USD\",\"x\":1}",
                                        "1e999",
                                        "--1",
                                        "\"\n\""};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct testing_call c = {.argument = wrong[i]};
        struct mt_vm_result r;
        run("return input", &c, &r);
        if (r.exit != MT_EXIT_BUG) fail_msg("%s: exit %d: %s", wrong[i], r.exit, c.answer);
        mt_vm_result_clear(&r);
    }
}

static void money_is_exact(void **state) {
    (void)state;
    is("return { tostring(money '80.00 USD'), tostring(money(8000, 'USD')), tostring(money { amount = 80, "
       "currency = 'KRW' }) }",
       "[\"80.00 USD\",\"80.00 USD\",\"80 KRW\"]");
    is("local m = money '80.05 USD' return { m.minor, m.currency, m.amount, 'a ' .. m .. '!', -m }",
       "[8005,\"USD\",\"80.05\",\"a 80.05 USD!\",{\"$money\":\"-80.05 USD\"}]");
    is("local a, b = money '1.10 USD', money '2.20 USD' return { a + b == money '3.30 USD', a - b, a * 3, 3 "
       "* a, a < b, a <= a, a == b }",
       "[true,{\"$money\":\"-1.10 USD\"},{\"$money\":\"3.30 USD\"},{\"$money\":\"3.30 "
       "USD\"},true,true,false]");
    is("local m = money '10.00 USD' return { m // 3, m % 3, -m // 3, m // money '3.00 USD', m:ratio(1, 3), "
       "m:split(3), m:split { 70, 30 } }",
       "[{\"$money\":\"3.33 USD\"},{\"$money\":\"0.01 USD\"},{\"$money\":\"-3.34 USD\"},3,{\"$money\":\"3.33 "
       "USD\"},"
       "[{\"$money\":\"3.34 USD\"},{\"$money\":\"3.33 USD\"},{\"$money\":\"3.33 USD\"}],[{\"$money\":\"7.00 "
       "USD\"},{\"$money\":\"3.00 USD\"}]]");
    is("local m = money '-1.00 USD' return { m:abs(), m:is_zero(), m:is_negative(), m:is_positive(), "
       "money.zero 'USD' :is_zero() }",
       "[{\"$money\":\"1.00 USD\"},false,true,false,true]");
    is("return { money.sum { money '1 USD', money '2 USD' }, money.sum({}, 'EUR'), money.is(1), "
       "money.is(money '1 USD') }",
       "[{\"$money\":\"3.00 USD\"},{\"$money\":\"0.00 EUR\"},false,true]");
    is("local m, err = money.parse 'much' return { m == nil, err.kind }", "[true,\"invalid_request\"]");
    is("return money '1 USD' == money '1 EUR'", "false");
    is("return { money '1234.50 USD':format('en'), string.format('%s', money '1 USD') }",
       "[\"$1,234.50\",\"1.00 USD\"]");
    fails("return money '1 USD' * 1.5",
          "money * needs an integer, found a float; for a share of it use m:ratio");
    fails("return money '1 USD' * 2.0", "found a float");
    fails("return money '1 USD' / 2", "use //, m:split(n) or m:ratio");
    fails("return money '1 USD' + 1", "money + needs money on both sides, found a number");
    fails("return money '1 USD' + money '1 EUR'", "USD");
    fails("return money '1 USD' < money '1 EUR'", "EUR");
    fails("return money '1 USD' // 0", "divided by zero");
    fails("return money '1.001 USD'", "USD");
    fails("return money(80.5, 'USD')", "found a float");
    fails("return money '1 USD'.amout", "did you mean 'amount'?");
    fails("money '1 USD'.minor = 5", "money does not change");
    fails("return money.nul", "mintage.money");
    fails("return money.sum {}", "has no currency");
    fails("return money '1 USD' * math.maxinteger", "");
}

static void json_is_repaired(void **state) {
    (void)state;
    is("local v = json.decode '{\"amount\":1099,\"f\":1.5,\"big\":9007199254740993,\"whole\":2.0,\"e\":1e3}' "
       "return { 'amount=' .. v.amount, v.f, v.big, math.type(v.whole), v.e }",
       "[\"amount=1099\",1.5,9007199254740993,\"integer\",1000]");
    is("return json.encode { a = 9223372036854775807, b = 100000000000000, c = 0.1, d = -3 }",
       "\"{\\\"a\\\":9223372036854775807,\\\"b\\\":100000000000000,\\\"c\\\":0.1,\\\"d\\\":-3}\"");
    is("return json.encode { url = 'https://x/y', list = json.array {}, object = {}, null = json.null }",
       "\"{\\\"list\\\":[],\\\"null\\\":null,\\\"object\\\":{},\\\"url\\\":\\\"https://x/y\\\"}\"");
    is("return json.encode { z = 1, a = 2, m = { y = 1, b = 2 } }",
       "\"{\\\"a\\\":2,\\\"m\\\":{\\\"b\\\":2,\\\"y\\\":1},\\\"z\\\":1}\"");
    is("return json.encode { 1, 'two', money '80.00 USD' }", "\"[1,\\\"two\\\",\\\"80.00 USD\\\"]\"");
    is("return { json.encode(money '1 USD'), json.encode(json.array {}), json.encode 'x', json.encode(1 << "
       "60) }",
       "[\"\\\"1.00 USD\\\"\",\"[]\",\"\\\"x\\\"\",\"1152921504606846976\"]");
    is("return json.encode(json.decode '{\"a\":[],\"b\":{},\"c\":[[],[1]]}')",
       "\"{\\\"a\\\":[],\\\"b\\\":{},\\\"c\\\":[[],[1]]}\"");
    is("local v = json.decode '[null]' return v[1] == json.null", "true");
    is("local v, err = json.parse '{' return { v == nil, err.kind, json.parse '[5]' }",
       "[true,\"invalid_request\",[5]]");
    fails("json.encode { x = 0 / 0 }", "NaN");
    fails("json.encode { x = 1 / 0 }", "Inf");
    fails("json.encode { f = function() end }", "type not supported");
    fails("json.decode '[NaN]'", "found invalid token");
    fails("json.decode '[0x10]'", "found invalid number");
    fails("json.decode '[01]'", "found invalid number");
    fails("json.decode '[1.]'", "invalid number");
    fails("json.decode '[Infinity]'", "invalid");
    fails("json.decode '[1e999]'", "invalid number");
    fails("json.decode(('['):rep(65) .. (']'):rep(65))", "too many nested");
    fails("local t = {} for i = 1, 65 do t = { t } end json.encode(t)", "excessive nesting");
    fails("local t = {} t[1] = t json.encode(t)", "excessive nesting");
    is("return #json.decode(('['):rep(64) .. (']'):rep(64))", "1");
    is("local t = {} for i = 1, 500 do t['k' .. i] = { i, { x = i } } end local s = json.encode(t) local u = "
       "json.decode(s) return { u.k7[2].x, json.encode(u) == s }",
       "[7,true]");
    is("local s = ('x'):rep(100000) return #json.encode { s, s, s }", "300010");
}

/* The buffer that lua-cjson keeps lives in the arena: an execution that is left within encode loses nothing.
 */
static void encoding_survives_limits(void **state) {
    (void)state;
    for (int i = 0; i < 20; i++) {
        struct testing_call c = {0};
        struct mt_vm_result r;
        run("local s = ('x'):rep(4 << 20) local t = {} for i = 1, 10 do t[i] = s end json.encode(t)", &c, &r);
        assert_int_equal(r.exit, MT_EXIT_LIMIT);
        mt_vm_result_clear(&r);
    }
}

/* It has encoded before the image was taken, and outgrows its buffer in each execution: the buffer must go
 * back with the image. */
static void the_encoder_is_part_of_the_image(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_generation *g = testing_load(
        vm,
        "local json = require 'mintage.json' json.encode { 1 } t.entry('e', function(n) local list = {} for "
        "i = 1, 2000 * n do "
        "list[i] = 'item ' .. i end local s = json.encode(list) return { #json.decode(s), #s } end)",
        &e);
    if (g == NULL) fail_msg("%s", e.message);
    size_t used = 0;
    for (int i = 0; i < 50; i++) {
        struct testing_call c = {.argument = "3"};
        struct mt_vm_result r;
        testing_run(vm, g, "e", &c, &r);
        if (strcmp(c.answer, "[6000,70894]") != 0) fail_msg("round %d: %s %s", i, c.answer, r.message);
        if (i == 0) used = r.memory_used;
        assert_int_equal(r.memory_used, used); /* nothing of it is anywhere else */
        assert_true(r.memory_used > 128 * 1024);
        mt_vm_result_clear(&r);
    }
    mt_generation_release(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_as_they_went),
        cmocka_unit_test(what_cannot_cross_says_where),
        cmocka_unit_test(malformed_values_raise),
        cmocka_unit_test(money_is_exact),
        cmocka_unit_test(json_is_repaired),
        cmocka_unit_test(encoding_survives_limits),
        cmocka_unit_test(the_encoder_is_part_of_the_image),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
