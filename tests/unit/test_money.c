/* links: mt_money mt_base */
/* Exact money: what is read, refused, added, split, scaled and shown. */
#include "base/text.h"
#include "money/money.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the ones above
#include <cmocka.h>

static struct mt_money money(const char *text) {
    struct mt_money m;
    struct mt_error e;
    if (mt_money_parse(text, &m, &e) != 0) fail_msg("%s", e.message);
    return m;
}

static void assert_money(const struct mt_money *m, const char *expected) {
    char text[MT_MONEY_TEXT];
    mt_money_format(m, text);
    assert_string_equal(text, expected);
}

static void the_table_of_currencies_is_sorted_and_whole(void **state) {
    (void)state;
    static const struct {
        int exponent;
        const char *codes;
    } listed[] = {{0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"},
                  {3, "BHD IQD JOD KWD LYD OMR TND"},
                  {4, "CLF UYW"}};
    size_t special = 0;
    for (size_t i = 0; i < mt_currency_count; i++) {
        const struct mt_currency *c = &mt_currencies[i];
        assert_int_equal(strspn(c->code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 3);
        assert_ptr_equal(mt_currency_find(c->code), c);
        if (i > 0) assert_true(strcmp(mt_currencies[i - 1].code, c->code) < 0);
        if (c->exponent != 2) special++;
    }
    for (size_t i = 0; i < sizeof(listed) / sizeof(listed[0]); i++)
        for (const char *code = listed[i].codes;; code += 4) {
            char one[4] = {code[0], code[1], code[2], 0};
            assert_int_equal(mt_currency_exponent(one, NULL), listed[i].exponent);
            special--;
            if (code[3] == '\0') break;
        }
    assert_int_equal(special, 0);
    assert_true(mt_currency_count > 150);
    assert_null(mt_currency_find("usd"));
    assert_null(mt_currency_find("XXX"));
    assert_int_equal(mt_currency_exponent("ABC", NULL), -1);
    assert_int_equal(mt_currency_exponent("MGA", NULL), 2);
}

static void money_reads_from_text_and_writes_canonically(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t minor;
        const char *canonical;
    } cases[] = {
        {"80.00 USD", 8000, "80.00 USD"},
        {"80 USD", 8000, "80.00 USD"},
        {"80.5 USD", 8050, "80.50 USD"},
        {"-0.05 USD", -5, "-0.05 USD"},
        {"-0 USD", 0, "0.00 USD"},
        {"50000 KRW", 50000, "50000 KRW"},
        {"1.234 KWD", 1234, "1.234 KWD"},
        {"1.2345 CLF", 12345, "1.2345 CLF"},
        {"92233720368547758.07 USD", INT64_MAX, "92233720368547758.07 USD"},
        {"-92233720368547758.08 USD", INT64_MIN, "-92233720368547758.08 USD"},
        {"-9223372036854775808 JPY", INT64_MIN, "-9223372036854775808 JPY"},
        {"-922337203685477.5808 UYW", INT64_MIN, "-922337203685477.5808 UYW"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mt_money m = money(cases[i].text);
        assert_true(m.minor == cases[i].minor);
        assert_money(&m, cases[i].canonical);
    }
}

static void text_that_is_no_money_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      " ",
                                      "80.00",
                                      "USD",
                                      "80.00USD",
                                      "80.00  USD",
                                      " 80.00 USD",
                                      "80.00 USD ",
                                      "80.000 USD",
                                      "80.001 USD",
                                      "80. USD",
                                      ".5 USD",
                                      "+80 USD",
                                      "--80 USD",
                                      "8e1 USD",
                                      "80,00 USD",
                                      "1,000.00 USD",
                                      "0x10 USD",
                                      "80.0.0 USD",
                                      "80.5 KRW",
                                      "80.0 KRW",
                                      "nan USD",
                                      "inf USD",
                                      "92233720368547758.08 USD",
                                      "-92233720368547758.09 USD",
                                      "99999999999999999999 KRW",
                                      "80.00 usd",
                                      "80.00 XYZ",
                                      "80.00 US",
                                      "80.00 USDD",
                                      "80.00 USD USD",
                                      "- USD",
                                      "80.00\tUSD",
                                      "\xEF\xBC\x98 USD",
                                      "000000000000000000000000000000000000000000000000000000000001 USD",
                                      "80 \xFF\xFE"};
    struct mt_money m;
    struct mt_error e;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (mt_money_parse(bad[i], &m, &e) == 0) fail_msg("\"%s\" was read as money", bad[i]);
        assert_int_equal(e.kind, MT_INVALID_REQUEST);
        assert_true(mt_utf8_valid(e.message, strlen(e.message)));
    }
    mt_money_parse("80.00 USF", &m, &e);
    assert_non_null(strstr(e.message, "did you mean US"));
    mt_money_parse("80.00 usd", &m, &e);
    assert_non_null(strstr(e.message, "did you mean USD?"));
    mt_money_parse("80.00 WON", &m, &e);
    assert_non_null(strstr(e.message, "did you mean KRW?"));
    mt_money_parse("80.001 USD", &m, &e);
    assert_non_null(strstr(e.message, "at most 2"));
}

static void money_reads_from_both_forms_of_json(void **state) {
    (void)state;
    struct mt_money m;
    struct mt_error e;
    static const char *const good[] = {"\"80.00 USD\"", "{\"amount\":8000,\"currency\":\"USD\"}",
                                       "{\"currency\":\"usd\",\"amount\":8000}"};
    static const char *const bad[] = {"8000",
                                      "80.00",
                                      "null",
                                      "[]",
                                      "{}",
                                      "true",
                                      "\"80.00\"",
                                      "{\"amount\":8000}",
                                      "{\"currency\":\"USD\"}",
                                      "{\"amount\":80.0,\"currency\":\"USD\"}",
                                      "{\"amount\":\"8000\",\"currency\":\"USD\"}",
                                      "{\"amount\":8000,\"currency\":\"USD\",\"scale\":2}",
                                      "{\"amount\":8000,\"currency\":840}",
                                      "{\"amount\":8000,\"currency\":\"\"}"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        json_t *v = json_loads(good[i], JSON_DECODE_ANY, NULL);
        assert_int_equal(mt_money_from_json(v, &m, &e), 0);
        assert_money(&m, "80.00 USD");
        json_decref(v);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        json_t *v = json_loads(bad[i], JSON_DECODE_ANY, NULL);
        assert_int_equal(mt_money_from_json(v, &m, &e), -1);
        assert_int_equal(e.kind, MT_INVALID_REQUEST);
        json_decref(v);
    }
    assert_int_equal(mt_money_from_json(NULL, &m, &e), -1);
    json_t *with_nul = json_stringn("80.00 USD\0x", 11);
    assert_int_equal(mt_money_from_json(with_nul, &m, &e), -1);
    json_decref(with_nul);
    json_t *v = mt_money_json(&(struct mt_money){-5, "USD"});
    assert_string_equal(json_string_value(v), "-0.05 USD");
    json_decref(v);
}

static void arithmetic_is_exact_or_refused(void **state) {
    (void)state;
    struct mt_error e;
    struct mt_money a = money("10.05 USD"), b = money("0.95 USD"), won = money("10 KRW"), out;
    struct mt_money most = {INT64_MAX, "USD"}, least = {INT64_MIN, "USD"};
    int order;
    assert_int_equal(mt_money_add(&a, &b, &out, &e), 0);
    assert_money(&out, "11.00 USD");
    assert_int_equal(mt_money_sub(&b, &a, &out, &e), 0);
    assert_money(&out, "-9.10 USD");
    assert_int_equal(mt_money_neg(&out, &out, &e), 0);
    assert_money(&out, "9.10 USD");
    assert_int_equal(mt_money_add(&a, &won, &out, &e), -1);
    assert_non_null(strstr(e.message, "USD and KRW"));
    assert_int_equal(mt_money_sub(&a, &won, &out, &e), -1);
    assert_int_equal(mt_money_compare(&a, &won, &order, &e), -1);
    assert_int_equal(mt_money_add(&most, &b, &out, &e), -1);
    assert_int_equal(mt_money_sub(&least, &b, &out, &e), -1);
    assert_int_equal(mt_money_neg(&least, &out, &e), -1);
    assert_int_equal(mt_money_compare(&a, &b, &order, &e), 0);
    assert_int_equal(order, 1);
    assert_int_equal(mt_money_compare(&b, &a, &order, &e), 0);
    assert_int_equal(order, -1);
    assert_true(mt_money_equal(&a, &a));
    assert_false(mt_money_equal(&a, &b));
    assert_false(mt_money_equal(&(struct mt_money){10, "USD"}, &won));
}

static void ratios_round_half_to_even(void **state) {
    (void)state;
    static const struct {
        int64_t minor, num, den, expected;
    } cases[] = {
        {5, 1, 2, 2},
        {15, 1, 10, 2},
        {25, 1, 10, 2},
        {35, 1, 10, 4},
        {-5, 1, 2, -2},
        {-15, 1, 10, -2},
        {7, 1, 2, 4},
        {-7, 1, 2, -4},
        {5, 1, -2, -2},
        {-5, -1, 2, 2},
        {26, 1, 10, 3},
        {3490, 15, 100, 524},
        {0, 5, 7, 0},
        {100, 1, 3, 33},
        {INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX},
        {INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN},
    };
    struct mt_error e;
    struct mt_money out;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mt_money m = {cases[i].minor, "USD"};
        assert_int_equal(mt_money_ratio(&m, cases[i].num, cases[i].den, &out, &e), 0);
        assert_true(out.minor == cases[i].expected);
    }
    struct mt_money m = {INT64_MAX, "USD"}, least = {INT64_MIN, "USD"};
    assert_int_equal(mt_money_ratio(&m, 2, 1, &out, &e), -1);
    assert_int_equal(mt_money_ratio(&least, -1, 1, &out, &e), -1);
    assert_int_equal(mt_money_ratio(&least, 1, -1, &out, &e), -1);
    assert_int_equal(mt_money_ratio(&m, 1, 0, &out, &e), -1);
}

static void splitting_loses_nothing(void **state) {
    (void)state;
    static const struct {
        int64_t minor;
        size_t n;
        int64_t weights[5], expected[5];
    } cases[] = {
        {100, 3, {1, 1, 1}, {34, 33, 33}},      {-100, 3, {1, 1, 1}, {-34, -33, -33}},
        {101, 3, {1, 1, 1}, {34, 34, 33}},      {5, 2, {3, 7}, {2, 3}},
        {100, 3, {0, 1, 0}, {0, 100, 0}},       {2, 5, {1, 1, 1, 1, 1}, {1, 1, 0, 0, 0}},
        {1, 3, {0, 0, 5}, {0, 0, 1}},           {0, 2, {1, 2}, {0, 0}},
        {10, 3, {1, 2, 3}, {2, 3, 5}},          {INT64_MAX, 1, {INT64_MAX}, {INT64_MAX}},
        {INT64_MIN, 2, {1, 0}, {INT64_MIN, 0}}, {INT64_MIN, 2, {INT64_MAX - 1, 1}, {INT64_MIN + 1, -1}},
    };
    struct mt_error e;
    struct mt_money parts[5];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mt_money m = {cases[i].minor, "USD"};
        assert_int_equal(mt_money_split(&m, cases[i].weights, cases[i].n, parts, &e), 0);
        for (size_t j = 0; j < cases[i].n; j++) {
            assert_true(parts[j].minor == cases[i].expected[j]);
            assert_string_equal(parts[j].currency, "USD");
        }
    }
    uint64_t seed = 7;
    for (int round = 0; round < 2000; round++) { /* whatever the weights, the parts add up */
        int64_t weights[5], sum = 0;
        for (int i = 0; i < 5; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            weights[i] = (int64_t)(seed >> (33 + round % 20));
        }
        weights[0]++;
        struct mt_money m = {(int64_t)seed, "KRW"};
        assert_int_equal(mt_money_split(&m, weights, 5, parts, &e), 0);
        for (int i = 0; i < 5; i++) assert_false(__builtin_add_overflow(sum, parts[i].minor, &sum));
        assert_true(sum == m.minor);
    }
    struct mt_money m = {100, "USD"};
    assert_int_equal(mt_money_split(&m, (int64_t[]){0, 0}, 2, parts, &e), -1);
    assert_int_equal(mt_money_split(&m, (int64_t[]){1, -1}, 2, parts, &e), -1);
    assert_int_equal(mt_money_split(&m, (int64_t[]){INT64_MAX, 1}, 2, parts, &e), -1);
    assert_int_equal(mt_money_split(&m, NULL, 0, parts, &e), -1);
    assert_int_equal(mt_money_split(&m, NULL, 10001, parts, &e), -1);
    parts[0] = m; /* into itself */
    assert_int_equal(mt_money_split(&parts[0], (int64_t[]){1, 1}, 2, parts, &e), 0);
    assert_money(&parts[1], "0.50 USD");
}

static void amounts_take_a_providers_scale_or_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *money;
        int scale;
        const char *expected; /* NULL: refused */
    } cases[] = {
        {"80.00 USD", 2, "80.00"},
        {"80.00 USD", 4, "80.0000"},
        {"80.00 USD", 0, "80"},
        {"80.50 USD", 1, "80.5"},
        {"80.50 USD", 0, NULL},
        {"50000 KRW", 0, "50000"},
        {"50000 KRW", 2, "50000.00"},
        {"1.234 KWD", 2, NULL},
        {"1.230 KWD", 2, "1.23"},
        {"-0.05 USD", 4, "-0.0500"},
        {"-0.05 USD", 1, NULL},
        {"92233720368547758.07 USD", 8, "92233720368547758.07000000"},
        {"-9223372036854775808 JPY", 8, "-9223372036854775808.00000000"},
        {"80.00 USD", 9, NULL},
        {"80.00 USD", -1, NULL},
    };
    struct mt_error e;
    char out[MT_MONEY_TEXT];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mt_money m = money(cases[i].money);
        int r = mt_money_to_decimal(&m, cases[i].scale, out, &e);
        assert_int_equal(r, cases[i].expected == NULL ? -1 : 0);
        if (r == 0) assert_string_equal(out, cases[i].expected);
    }
}

static void decimals_of_any_scale_read_when_their_digits_fit(void **state) {
    (void)state;
    static const struct {
        const char *text, *currency, *expected;
    } cases[] = {
        {"9944.0600", "USD", "9944.06 USD"},
        {"9944.0655", "USD", NULL},
        {"80", "USD", "80.00 USD"},
        {"50000.00", "KRW", "50000 KRW"},
        {"50000.50", "KRW", NULL},
        {"-1.5", "eur", "-1.50 EUR"},
        {"1e3", "USD", NULL},
        {"", "USD", NULL},
        {"1.", "USD", NULL},
        {" 1", "USD", NULL},
        {"1 ", "USD", NULL},
        {"+1", "USD", NULL},
        {"1", "ABC", NULL},
        {"1.00000000000000000000", "USD", "1.00 USD"},
        {"1.00000000000000000001", "USD", NULL},
        {"92233720368547758.08", "USD", NULL},
        {"1.5x", "USD", NULL},
        {"1..5", "USD", NULL},
    };
    struct mt_error e;
    struct mt_money m;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int r = mt_money_from_decimal(cases[i].text, cases[i].currency, &m, &e);
        assert_int_equal(r, cases[i].expected == NULL ? -1 : 0);
        if (r == 0) assert_money(&m, cases[i].expected);
    }
}

static void json_numbers_read_by_their_shortest_decimal(void **state) {
    (void)state;
    static const struct {
        const char *json, *currency, *expected;
    } cases[] = {
        {"80", "USD", "80.00 USD"},
        {"80.1", "USD", "80.10 USD"},
        {"0.1", "USD", "0.10 USD"},
        {"19.99", "USD", "19.99 USD"},
        {"34.9", "USD", "34.90 USD"},
        {"1.005", "USD", NULL},
        {"0.30000000000000004", "USD", NULL},
        {"50000.0", "KRW", "50000 KRW"},
        {"50000.5", "KRW", NULL},
        {"1e2", "USD", "100.00 USD"},
        {"1e300", "USD", NULL},
        {"1e-300", "USD", NULL},
        {"-0.05", "USD", "-0.05 USD"},
        {"\"80.0000\"", "USD", "80.00 USD"},
        {"-0.0", "USD", "0.00 USD"},
        {"null", "USD", NULL},
        {"true", "USD", NULL},
        {"{}", "USD", NULL},
        {"9223372036854775807", "USD", NULL},
        {"9223372036854775807", "JPY", "9223372036854775807 JPY"},
        {"8.29", "USD", "8.29 USD"},
        {"1e-2", "USD", "0.01 USD"},
        {"123456789012345.67", "USD", "123456789012345.67 USD"},
    };
    struct mt_error e;
    struct mt_money m;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *v = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        int r = mt_money_from_json_number(v, cases[i].currency, &m, &e);
        if (r != (cases[i].expected == NULL ? -1 : 0)) fail_msg("%s", cases[i].json);
        if (r == 0) assert_money(&m, cases[i].expected);
        json_decref(v);
    }
    for (int64_t minor = -100000; minor <= 100000; minor += 7) { /* every amount goes there and back */
        struct mt_money in = {minor, "USD"};
        json_t *v = mt_money_json_number(&in, &e);
        assert_non_null(v);
        assert_int_equal(mt_money_from_json_number(v, "USD", &m, &e), 0);
        assert_true(mt_money_equal(&in, &m));
        json_decref(v);
    }
    json_t *whole = mt_money_json_number(&(struct mt_money){8000, "USD"}, &e);
    assert_true(json_is_integer(whole));
    json_decref(whole);
    assert_null(mt_money_json_number(&(struct mt_money){INT64_MAX, "USD"}, &e));
}

static void providers_may_count_other_minor_units(void **state) {
    (void)state;
    static const struct mt_scale odd[] = {{"TWD", 0}, {"UGX", 2}, {"", 0}};
    struct mt_error e;
    struct mt_money m = money("100.00 TWD");
    int64_t minor;
    assert_int_equal(mt_currency_exponent("TWD", odd), 0);
    assert_int_equal(mt_currency_exponent("USD", odd), 2);
    assert_int_equal(mt_money_to_minor(&m, odd, &minor, &e), 0);
    assert_int_equal(minor, 100);
    assert_int_equal(mt_money_to_minor(&m, NULL, &minor, &e), 0);
    assert_int_equal(minor, 10000);
    m = money("100.50 TWD");
    assert_int_equal(mt_money_to_minor(&m, odd, &minor, &e), -1);
    m = money("7 UGX");
    assert_int_equal(mt_money_to_minor(&m, odd, &minor, &e), 0);
    assert_int_equal(minor, 700);
    m.minor = INT64_MAX;
    assert_int_equal(mt_money_to_minor(&m, odd, &minor, &e), -1);
    assert_int_equal(mt_money_from_minor(100, "TWD", odd, &m, &e), 0);
    assert_money(&m, "100.00 TWD");
    assert_int_equal(mt_money_from_minor(700, "UGX", odd, &m, &e), 0);
    assert_money(&m, "7 UGX");
    assert_int_equal(mt_money_from_minor(701, "UGX", odd, &m, &e), -1);
    assert_int_equal(mt_money_from_minor(INT64_MAX, "TWD", odd, &m, &e), -1);
    assert_int_equal(mt_money_from_minor(80, "JPY", NULL, &m, &e), 0);
    assert_money(&m, "80 JPY");
}

static void people_see_money_in_their_own_way(void **state) {
    (void)state;
    static const struct {
        const char *money, *locale, *expected;
    } cases[] = {
        {"80.00 USD", "en", "$80.00"},
        {"1234567.89 USD", "en-US", "$1,234,567.89"},
        {"-1234.50 USD", "en", "-$1,234.50"},
        {"10000 KRW", "ko", "₩10,000"},
        {"10000 KRW", "ko_KR.UTF-8", "₩10,000"},
        {"1234.50 EUR", "de", "1.234,50\xC2\xA0€"},
        {"1234.50 EUR", "de-AT",
         "€\xC2\xA0"
         "1\xC2\xA0"
         "234,50"},
        {"1234567.50 EUR", "fr-FR",
         "1\xE2\x80\xAF"
         "234\xE2\x80\xAF"
         "567,50\xC2\xA0€"},
        {"1234 JPY", "ja",
         "\xEF\xBF\xA5"
         "1,234"},
        {"1234 JPY", "en", "¥1,234"},
        {"80.00 CHF", "en",
         "CHF\xC2\xA0"
         "80.00"},
        {"80.00 CAD", "en", "CA$80.00"},
        {"80.00 CAD", "en-CA", "$80.00"},
        {"1234.00 EUR", "es", "1234,00\xC2\xA0€"},
        {"12345.00 EUR", "es", "12.345,00\xC2\xA0€"},
        {"12345678.00 INR", "en-IN", "₹1,23,45,678.00"},
        {"1.234 KWD", "en",
         "KWD\xC2\xA0"
         "1.234"},
        {"80.00 USD", "xx-YY", "$80.00"},
        {"80.00 USD", "", "$80.00"},
        {"80.00 USD", NULL, "$80.00"},
        {"80.00 USD", "a-very-long-locale-name-that-nobody-has", "$80.00"},
        {"-92233720368547758.08 USD", "fr",
         "-92\xE2\x80\xAF"
         "233\xE2\x80\xAF"
         "720\xE2\x80\xAF"
         "368\xE2\x80\xAF"
         "547\xE2\x80\xAF"
         "758,08\xC2\xA0$"},
    };
    char out[64];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mt_money m = money(cases[i].money);
        assert_true(mt_money_display(&m, cases[i].locale, out, sizeof(out)));
        assert_string_equal(out, cases[i].expected);
    }
    struct mt_money m = money("80.00 USD");
    assert_false(mt_money_display(&m, "en", out, 4));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_currencies_is_sorted_and_whole),
        cmocka_unit_test(money_reads_from_text_and_writes_canonically),
        cmocka_unit_test(text_that_is_no_money_is_refused),
        cmocka_unit_test(money_reads_from_both_forms_of_json),
        cmocka_unit_test(arithmetic_is_exact_or_refused),
        cmocka_unit_test(ratios_round_half_to_even),
        cmocka_unit_test(splitting_loses_nothing),
        cmocka_unit_test(amounts_take_a_providers_scale_or_are_refused),
        cmocka_unit_test(decimals_of_any_scale_read_when_their_digits_fit),
        cmocka_unit_test(json_numbers_read_by_their_shortest_decimal),
        cmocka_unit_test(providers_may_count_other_minor_units),
        cmocka_unit_test(people_see_money_in_their_own_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
