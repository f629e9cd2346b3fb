/* links: mt_engine mt_store mt_providers mt_money mt_http mt_crypto mt_base */
/* The record of what people did: what it shows of what was typed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/audit.h"

static void masks(const char *text, const char *wanted) {
    struct mt_buf b;
    mt_buf_init(&b, 4096);
    mt_audit_mask(text, strlen(text), &b);
    assert_string_equal(b.data, wanted);
    mt_buf_clear(&b);
}

static void secrets_are_masked(void **state) {
    (void)state;
    masks("return 1 + 1", "return 1 + 1");
    masks("x = \"4242424242424242\"", "x = \"************4242\"");
    masks("x = '4242 4242 4242 4242'", "x = '**** **** **** 4242'");
    masks("cvc = \"917\"", "cvc = \"[redacted]\"");
    masks("cvc=917 x=1", "cvc=\"[redacted]\" x=1");
    masks("{ cvc = '917', n = 3 }", "{ cvc = \"[redacted]\", n = 3 }");
    masks("[\"card_number\"] = \"1\"", "[\"card_number\"] = \"[redacted]\"");
    masks("{\"pin_code\": \"12\\\"34\", \"a\": 1}", "{\"pin_code\": \"[redacted]\", \"a\": 1}");
    masks("password = pass", "password = pass"); /* a name is no secret */
    masks("print(token)", "print(token)");
    masks("epin = \"never closed", "epin = \"[redacted]\"");
    masks("x-client-secret: 'abc'", "x-client-secret: \"[redacted]\"");
    masks("order 20261120-000123 at 1700000000000", "order 20261120-000123 at 1700000000000");
    masks("", "");
    masks("\xff\xfe cvc = '1", "\xff\xfe cvc = \"[redacted]\"");
}

static void rows_show_their_end(void **state) {
    (void)state;
    struct mt_audit a = {
        .n = 7, .at = 0, .who = (char[]){"ann"}, .via = (char[]){"x"}, .what = (char[]){"command"}};
    json_t *row = mt_audit_json(&a);
    assert_true(json_is_null(json_object_get(row, "outcome")) && json_is_null(json_object_get(row, "ms")));
    json_decref(row);
    a.of = 7;
    a.outcome = (char[]){"done"};
    a.ms = 5;
    row = mt_audit_json(&a);
    assert_string_equal(json_string_value(json_object_get(row, "outcome")), "done");
    assert_int_equal(json_integer_value(json_object_get(row, "ms")), 5);
    json_decref(row);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_masked),
        cmocka_unit_test(rows_show_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
