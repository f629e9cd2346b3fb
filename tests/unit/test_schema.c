/* Input schemas: what they accept, what they refuse, and in which words. */
/* links: mt_modules */
#include "base/json.h"
#include "bindings/modules/schema.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *parse(const char *text) {
    struct mt_error e;
    json_t *value = mt_json_parse(text, strlen(text), &e);
    if (value == NULL) fail_msg("%s: %s", text, e.message);
    return value;
}

/* The normal form of input, or NULL and e. Caller frees. */
static char *check(const char *schema, const char *input, struct mt_error *e) {
    json_t *s = parse(schema), *v = parse(input), *normal;
    char *text = NULL;
    if (mt_schema_valid(s, e) != 0) fail_msg("%s: %s", schema, e->message);
    if (mt_schema_check(s, v, &normal, e) == 0) {
        text = mt_json_dump(normal, NULL);
        json_decref(normal);
    }
    json_decref(s);
    json_decref(v);
    return text;
}

static void accepts(const char *schema, const char *input, const char *normal) {
    struct mt_error e;
    char *got = check(schema, input, &e);
    if (got == NULL) fail_msg("%s with %s: %s", schema, input, e.message);
    assert_string_equal(got, normal);
    free(got);
}

static void refuses(const char *schema, const char *input, const char *message) {
    struct mt_error e;
    char *got = check(schema, input, &e);
    if (got != NULL) fail_msg("%s took %s", schema, input);
    assert_int_equal(e.kind, MT_INVALID_REQUEST);
    assert_string_equal(e.message, message);
}

static void refuses_schema(const char *schema, const char *part) {
    struct mt_error e;
    json_t *s = parse(schema);
    assert_int_equal(mt_schema_valid(s, &e), -1);
    if (strstr(e.message, part) == NULL) fail_msg("%s: \"%s\" does not say \"%s\"", schema, e.message, part);
    json_decref(s);
}

static void takes_each_type(void **state) {
    (void)state;
    accepts("{\"a\":\"string\"}", "{\"a\":\"x\"}", "{\"a\":\"x\"}");
    accepts("{\"a\":\"integer\"}", "{\"a\":9007199254740993}", "{\"a\":9007199254740993}");
    accepts("{\"a\":\"integer\"}", "{\"a\":2.0}", "{\"a\":2}");
    accepts("{\"a\":\"number\"}", "{\"a\":2.5}", "{\"a\":2.5}");
    accepts("{\"a\":\"boolean\"}", "{\"a\":false}", "{\"a\":false}");
    accepts("{\"a\":\"email\"}", "{\"a\":\"j.doe+x@mail.example.com\"}",
            "{\"a\":\"j.doe+x@mail.example.com\"}");
    accepts("{\"a\":\"url\"}", "{\"a\":\"https://example.com/a?b=c\"}",
            "{\"a\":\"https://example.com/a?b=c\"}");
    accepts("{\"a\":\"date\"}", "{\"a\":\"2028-02-29\"}", "{\"a\":\"2028-02-29\"}");
    accepts("{\"a\":\"time\"}", "{\"a\":\"2027-01-31T09:00:00+09:00\"}",
            "{\"a\":\"2027-01-31T09:00:00+09:00\"}");
    accepts("{\"a\":\"any\"}", "{\"a\":[1,{\"b\":null}]}", "{\"a\":[1,{\"b\":null}]}");
    accepts("{\"a\":\"object\",\"b\":\"array\"}", "{\"a\":{\"x\":1},\"b\":[]}", "{\"a\":{\"x\":1},\"b\":[]}");
}

static void takes_days_times_and_zones(void **state) {
    (void)state;
    const char *schema =
        "{\"on\":\"local\",\"zone\":\"zone\",\"every\":\"period\",\"pauses\":[\"duration\"]}";
    const char *input = "{\"on\":\"2027-01-31T09:00\",\"zone\":\"Asia/Seoul\",\"every\":\"2 weeks\","
                        "\"pauses\":[\"1h30m\",\"3d\"]}";
    accepts(schema, input,
            "{\"every\":\"2 weeks\",\"on\":\"2027-01-31T09:00\",\"pauses\":[\"1h30m\",\"3d\"],"
            "\"zone\":\"Asia/Seoul\"}");
    accepts("{\"on\":\"local\",\"every\":\"period\"}", "{\"every\":\"month\",\"on\":\"2028-02-29\"}",
            "{\"every\":\"month\",\"on\":\"2028-02-29\"}");
    refuses("{\"on\":\"local\"}", "{\"on\":\"2027-02-29\"}",
            "on: wanted a date or local time such as \"2027-01-31\" or \"2027-01-31T09:00\", found a string "
            "of 10 "
            "bytes");
    refuses("{\"zone\":\"zone\"}", "{\"zone\":\"Asia/Soul\"}",
            "zone: wanted a time zone such as \"Asia/Seoul\", found a string of 9 bytes");
    refuses(
        "{\"every\":\"period\"}", "{\"every\":\"0 months\"}",
        "every: wanted a period of the calendar such as \"month\" or \"2 weeks\", found a string of 8 bytes");
    refuses(
        "{\"every\":\"period\"}", "{\"every\":\"1h\"}",
        "every: wanted a period of the calendar such as \"month\" or \"2 weeks\", found a string of 2 bytes");
    refuses("{\"pauses\":[\"duration\"]}", "{\"pauses\":[\"1d\",\"3 dayz\"]}",
            "pauses[2]: wanted a duration such as \"3d\" or \"1h30m\", found a string of 6 bytes");
}

static void money_has_one_normal_form(void **state) {
    (void)state;
    const char *normal = "{\"a\":{\"$money\":\"80.00 USD\"}}";
    accepts("{\"a\":\"money\"}", "{\"a\":\"80.00 USD\"}", normal);
    accepts("{\"a\":\"money\"}", "{\"a\":\"80 USD\"}", normal);
    accepts("{\"a\":\"money\"}", "{\"a\":{\"amount\":8000,\"currency\":\"USD\"}}", normal);
    accepts("{\"a\":\"money\"}", "{\"a\":{\"$money\":\"80.00 USD\"}}", normal);
    accepts("{\"a\":{\"type\":\"money\",\"min\":-100}}", "{\"a\":\"-1.00 USD\"}",
            "{\"a\":{\"$money\":\"-1.00 USD\"}}");
    refuses("{\"a\":\"money\"}", "{\"a\":80}", "a: wanted money such as \"80.00 USD\", found the integer 80");
    refuses("{\"a\":\"money\"}", "{\"a\":\"-0.01 USD\"}", "a: is -0.01 USD; at least 0.00 USD");
    refuses("{\"a\":{\"type\":\"money\",\"min\":1}}", "{\"a\":\"0 KRW\"}", "a: is 0 KRW; at least 1 KRW");
    accepts("{\"a\":{\"type\":\"money\",\"currency\":\"KRW\"}}", "{\"a\":\"9900 KRW\"}",
            "{\"a\":{\"$money\":\"9900 KRW\"}}");
    refuses("{\"a\":{\"type\":\"money\",\"currency\":\"KRW\"}}", "{\"a\":\"80.00 USD\"}",
            "a: wanted an amount in KRW, found one in USD");
}

static void secrets_are_marked_and_never_repeated(void **state) {
    (void)state;
    accepts("{\"a\":\"secret\"}", "{\"a\":\"hush\"}", "{\"a\":{\"$secret\":\"hush\"}}");
    accepts("{\"a\":\"secret?\"}", "{}", "{}");
    accepts("{\"a\":[\"secret\"]}", "{\"a\":[\"\",\"x\"]}",
            "{\"a\":[{\"$secret\":\"\"},{\"$secret\":\"x\"}]}");
    const char *pin = "{\"a\":{\"type\":\"secret\",\"min\":4,\"max\":6,\"pattern\":\"[0-9]+\"}}";
    accepts(pin, "{\"a\":\"1234\"}", "{\"a\":{\"$secret\":\"1234\"}}");
    refuses(pin, "{\"a\":\"123\"}", "a: has 3 bytes; at least 4");
    refuses(pin, "{\"a\":\"1234567\"}", "a: has 7 bytes; at most 6");
    refuses(pin, "{\"a\":\"12x4\"}", "a: does not match [0-9]+");
    refuses(pin, "{\"a\":1234}", "a: wanted a secret, which is a string, found a number");
    refuses(pin, "{\"a\":12.5}", "a: wanted a secret, which is a string, found a number");
    refuses(pin, "{\"a\":{\"$secret\":\"1234\"}}", "a: wanted a secret, which is a string, found an object");
    refuses("{\"a\":\"secret\"}", "{}", "a: is missing; wanted a secret, which is a string");
    refuses_schema("{\"a\":{\"type\":\"secret\",\"values\":[\"x\"]}}", "values are for strings");
    /* without a schema nothing is a secret, whatever it calls itself */
    accepts("{\"a\":\"any\"}", "{\"a\":{\"$secret\":\"x\"}}", "{\"a\":{\"$$secret\":\"x\"}}");
    accepts("{\"a\":\"any\"}", "{\"a\":{\"$sealed\":\"x\"}}", "{\"a\":{\"$$sealed\":\"x\"}}");
}

static void names_what_is_wrong(void **state) {
    (void)state;
    refuses("{\"name\":\"string\"}", "{\"name\":12}", "name: wanted a string, found the integer 12");
    refuses("{\"name\":\"string\"}", "{}", "name: is missing; wanted a string");
    refuses("{\"name\":\"string\"}", "{\"name\":null}", "name: is missing; wanted a string");
    refuses("{\"email\":\"string\"}", "{\"email\":\"x\",\"emial\":1}",
            "emial: unknown field; did you mean \"email\"?");
    refuses("{\"a\":\"url|iframe\"}", "{\"a\":\"page\"}",
            "a: wanted one of \"url\", \"iframe\", found \"page\"");
    refuses("{\"a\":\"url\"}", "{\"a\":\"javascript:alert(1)\"}",
            "a: wanted an http or https URL, found a string of 19 bytes");
    refuses("{\"a\":\"url\"}", "{\"a\":\"https://user:pw@example.com/\"}",
            "a: wanted an http or https URL, found a string of 28 bytes");
    refuses("{\"a\":\"email\"}", "{\"a\":\"a@b\"}", "a: wanted an e-mail address, found a string of 3 bytes");
    refuses("{\"a\":\"date\"}", "{\"a\":\"2027-02-29\"}",
            "a: wanted a date such as \"2027-01-31\", found a string of 10 bytes");
    refuses("{\"a\":\"integer\"}", "{\"a\":1.5}", "a: wanted an integer, found the number 1.5");
    refuses("{\"a\":\"string\"}", "[1]", "the input: wanted an object, found a list");
}

static void lists_problems_up_to_five(void **state) {
    (void)state;
    refuses("{\"items\":[{\"name\":\"string\",\"price\":\"money\"}]}",
            "{\"items\":[{\"name\":\"a\",\"price\":\"1 USD\"},{\"price\":2}]}",
            "items[2].name: is missing; wanted a string; items[2].price: wanted money such as \"80.00 USD\", "
            "found the "
            "integer 2");
    refuses("{\"a\":\"string\",\"b\":\"string\",\"c\":\"string\",\"d\":\"string\",\"e\":\"string\",\"f\":"
            "\"string\"}",
            "{}",
            "a: is missing; wanted a string; b: is missing; wanted a string; c: is missing; wanted a string; "
            "d: is missing; "
            "wanted a string; e: is missing; wanted a string; and 1 more");
}

static void limits_hold(void **state) {
    (void)state;
    const char *s = "{\"a\":{\"type\":\"string\",\"max\":3,\"min\":2,\"pattern\":\"[a-z]+\"}}";
    accepts(s, "{\"a\":\"abc\"}", "{\"a\":\"abc\"}");
    refuses(s, "{\"a\":\"a\"}", "a: has 1 bytes; at least 2");
    refuses(s, "{\"a\":\"abcd\"}", "a: has 4 bytes; at most 3");
    refuses(s, "{\"a\":\"aB\"}", "a: does not match [a-z]+"); /* all of it must match */
    refuses("{\"a\":{\"type\":\"integer\",\"min\":1,\"max\":9}}", "{\"a\":10}", "a: is 10; at most 9");
    refuses("{\"a\":{\"type\":\"array\",\"max\":1}}", "{\"a\":[1,2]}", "a: has 2 items; at most 1");
    refuses("{\"a\":{\"type\":\"string\",\"values\":[\"x\",\"y\"]}}", "{\"a\":\"z\"}",
            "a: wanted one of \"x\", \"y\", found \"z\"");
    accepts("{\"a\":{\"type\":\"string\",\"optional\":true}}", "{}", "{}");
    accepts("{\"a\":\"string?\"}", "{\"a\":null}", "{}");

    char *big = malloc(10020);
    memcpy(big, "{\"a\":\"", 6);
    memset(big + 6, 'x', 10001);
    strcpy(big + 10007, "\"}");
    refuses("{\"a\":\"string\"}", big, "a: has 10001 bytes; at most 10000");
    free(big);
}

static void fields_called_type_are_possible(void **state) {
    (void)state;
    accepts("{\"type\":\"string\",\"name\":\"string\"}", "{\"type\":\"x\",\"name\":\"y\"}",
            "{\"name\":\"y\",\"type\":\"x\"}");
    accepts("{\"type\":\"object\",\"fields\":{\"type\":\"string\"}}", "{\"type\":\"x\"}", "{\"type\":\"x\"}");
}

static void marks_of_values_are_kept_and_others_escaped(void **state) {
    (void)state;
    accepts("{\"a\":\"any\"}", "{\"a\":{\"$money\":\"1.00 USD\"}}", "{\"a\":{\"$money\":\"1.00 USD\"}}");
    accepts("{\"a\":\"any\"}", "{\"a\":{\"$ref\":\"#/x\"}}", "{\"a\":{\"$$ref\":\"#/x\"}}");
    accepts("{\"a\":\"any\"}", "{\"a\":{\"$$ref\":1}}", "{\"a\":{\"$$ref\":1}}");
    struct mt_error e;
    assert_null(check("{\"a\":\"any\"}", "{\"a\":{\"$money\":\"much\"}}", &e));
    assert_non_null(strstr(e.message, "a: {\"$money\"}"));
}

static void empty_tables_are_lists_where_lists_are_wanted(void **state) {
    (void)state;
    accepts("{\"a\":[\"string\"]}", "{\"a\":{}}", "{\"a\":[]}");
    accepts("{\"a\":{\"b\":\"string?\"}}", "{\"a\":[]}", "{\"a\":{}}");
}

static void broken_schemas_are_refused(void **state) {
    (void)state;
    refuses_schema("{\"a\":\"strng\"}", "schema of a: unknown type \"strng\"; did you mean \"string\"?");
    refuses_schema("{\"a\":{\"b\":[\"x\"]}}", "schema of a.b[]: unknown type \"x\"");
    refuses_schema("{\"a\":[\"string\",\"string\"]}", "a list has one schema");
    refuses_schema("{\"a\":{\"type\":\"string\",\"pattern\":\"(\"}}", "not an extended regular expression");
    refuses_schema("{\"a\":{\"type\":\"integer\",\"min\":\"1\"}}", "min and max must be integers");
    refuses_schema("{\"a\":{\"type\":\"money\",\"currency\":\"WON\"}}", "currency is for money");
    refuses_schema("{\"a\":{\"type\":\"string\",\"currency\":\"KRW\"}}", "currency is for money");
    refuses_schema("{\"a\":\"x||y\"}", "empty word");
    refuses_schema("{\"a\":12}", "wanted a type");
    refuses_schema("[\"string\"]", "the input of a flow is an object");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_each_type),
        cmocka_unit_test(takes_days_times_and_zones),
        cmocka_unit_test(money_has_one_normal_form),
        cmocka_unit_test(secrets_are_marked_and_never_repeated),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(lists_problems_up_to_five),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(fields_called_type_are_possible),
        cmocka_unit_test(marks_of_values_are_kept_and_others_escaped),
        cmocka_unit_test(empty_tables_are_lists_where_lists_are_wanted),
        cmocka_unit_test(broken_schemas_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
