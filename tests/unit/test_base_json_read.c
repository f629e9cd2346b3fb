/* links: mt_base */
/* The quick reader of JSON against jansson: on texts that were written, and on the same texts damaged. What
 * it accepts, jansson accepts with the same value; and it accepts what is ordinary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"
#include "base/json_read.h"
#include <stdlib.h>
#include <string.h>

static struct mt_random *source;

static unsigned choose(unsigned n) {
    uint32_t r;
    source->bytes(source, &r, sizeof r);
    return r % n;
}

static void write_string(struct mt_buf *b) {
    static const char *const parts[] = {"a",    "order",    "\\n",          "\\\"",
                                        "\\\\", "\\/",      "\\u00e9",      "\\uc548",
                                        "\\t",  "\xc3\xa9", "\xec\x95\x88", "\xf0\x9f\x92\xb3",
                                        " ",    "$money",   "\\u0041",      "80.00 USD"};
    mt_buf_addc(b, '"');
    for (unsigned n = choose(6); n > 0; n--) mt_buf_adds(b, parts[choose(16)]);
    mt_buf_addc(b, '"');
}

static void write_value(struct mt_buf *b, int depth) {
    static const char *const scalars[] = {"0",
                                          "-1",
                                          "7",
                                          "-0",
                                          "1795166400000",
                                          "999999999999999999",
                                          "9223372036854775807",
                                          "0.5",
                                          "-12.25e-3",
                                          "1E+5",
                                          "3e0",
                                          "true",
                                          "false",
                                          "null"};
    switch (choose(depth > 5 ? 4 : 7)) {
    case 0:
    case 1:
        mt_buf_adds(b, scalars[choose(14)]);
        return;
    case 2:
    case 3:
        write_string(b);
        return;
    case 4:
        mt_buf_addc(b, '[');
        for (unsigned i = 0, n = choose(5); i < n; i++) {
            if (i > 0) mt_buf_adds(b, choose(2) ? "," : " ,\n");
            write_value(b, depth + 1);
        }
        mt_buf_addc(b, ']');
        return;
    default:
        mt_buf_adds(b, choose(2) ? "{" : "{ ");
        for (unsigned i = 0, n = choose(6); i < n; i++) {
            if (i > 0) mt_buf_addc(b, ',');
            mt_buf_addf(b, "\"k%u%s\":", choose(40), choose(9) ? "" : "\\u00fc");
            write_value(b, depth + 1);
        }
        mt_buf_addc(b, '}');
    }
}

/* Whether the quick reader took it. */
static bool compare(const char *text, size_t len) {
    json_t *quick = json_read(text, len, 64);
    json_error_t e;
    if (quick == NULL) return false;
    json_t *slow = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &e);
    if (slow == NULL) fail_msg("jansson refuses: %.*s (%s)", (int)len, text, e.text);
    char *a = mt_json_dump(quick, NULL), *b = mt_json_dump(slow, NULL);
    if (!json_equal(quick, slow) || strcmp(a, b) != 0)
        fail_msg("%.*s: %s, jansson: %s", (int)len, text, a, b);
    free(a);
    free(b);
    json_decref(quick);
    json_decref(slow);
    return true;
}

static void test_against_jansson(void **state) {
    (void)state;
    source = mt_random_seeded(20261120);
    int whole = 0, taken = 0;
    for (int i = 0; i < 20000; i++) {
        struct mt_buf b;
        json_error_t e;
        mt_buf_init(&b, SIZE_MAX);
        write_value(&b, 0);
        json_t *slow = json_loadb(b.data, b.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &e);
        whole += slow != NULL;
        taken += compare(b.data, b.len);
        json_decref(slow);
        for (int damage = 0; damage < 10 && b.len > 0; damage++) {
            b.data[choose((unsigned)b.len)] = "\"\\{}[],:0-.eu\n\x01\x80\xff "[choose(19)];
            compare(b.data, choose(3) ? b.len : choose((unsigned)b.len));
        }
        mt_buf_clear(&b);
    }
    free(source);
    assert_true(taken > whole * 8 / 10); /* the rest has numbers of 19 digits */
}

static void test_edges(void **state) {
    (void)state;
    static const char *const refused[] = {
        "",      " ",         "{",       "[1,]",      "{\"a\":1,}",  "{\"a\":1,\"a\":2}",
        "01",    "-",         "1.",      "1e",        ".5",          "+1",
        "tru",   "nul",       "\"\\x\"", "\"\\u12\"", "\"\\u0000\"", "\"\n\"",
        "[1 2]", "{\"a\" 1}", "1 2",     "NaN"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        assert_null(json_read(refused[i], strlen(refused[i]), 64));
    struct mt_buf b;
    struct mt_error e;
    mt_buf_init(&b, SIZE_MAX);
    for (int i = 0; i < 64; i++) mt_buf_addc(&b, '[');
    for (int i = 0; i < 64; i++) mt_buf_addc(&b, ']');
    assert_true(compare(b.data, b.len));
    mt_buf_reset(&b);
    for (int i = 0; i < 65; i++) mt_buf_addc(&b, '[');
    for (int i = 0; i < 65; i++) mt_buf_addc(&b, ']');
    assert_null(json_read(b.data, b.len, 64));
    assert_null(mt_json_parse(b.data, b.len, &e));
    mt_buf_reset(&b);
    mt_buf_adds(&b, "\"\\n");
    for (int i = 0; i < 1000; i++) mt_buf_adds(&b, "long ");
    mt_buf_adds(&b, "\\\"\"");
    assert_true(compare(b.data, b.len));
    mt_buf_reset(&b);
    mt_buf_addc(&b, '"');
    for (int i = 0; i < 5000; i++) mt_buf_adds(&b, "long ");
    mt_buf_addc(&b, '"');
    assert_null(json_read(b.data, b.len, 64)); /* large texts are jansson's */
    json_t *large = mt_json_parse(b.data, b.len, &e);
    assert_int_equal(json_string_length(large), 25000);
    json_decref(large);
    mt_buf_clear(&b);
}

static void test_integers(void **state) {
    (void)state;
    static const int64_t numbers[] = {0, 1, -1, 9, 10, -10, 1234567890, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct mt_buf b;
        char wanted[32];
        mt_buf_init(&b, 100);
        mt_buf_addi(&b, numbers[i]);
        snprintf(wanted, sizeof wanted, "%lld", (long long)numbers[i]);
        assert_string_equal(b.data, wanted);
        mt_buf_clear(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_jansson),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
