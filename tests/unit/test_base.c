/* links: mt_base */
/* Errors, buffers, text, ids, JSON: what each promises, also when its input is hostile. */
#include "base/buf.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "base/text.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the five above
#include <cmocka.h>

static void every_kind_and_outcome_has_a_name_that_reads_back(void **state) {
    (void)state;
    for (int i = 1; i < MT_KIND_COUNT; i++) {
        assert_true(strlen(mt_kind_name((enum mt_kind)i)) > 0);
        assert_int_equal(mt_kind_from_name(mt_kind_name((enum mt_kind)i)), i);
    }
    for (int i = 1; i < MT_OUTCOME_COUNT; i++)
        assert_int_equal(mt_outcome_from_name(mt_outcome_name((enum mt_outcome)i)), i);
    assert_int_equal(mt_kind_from_name("nonsense"), MT_KIND_NONE);
    assert_int_equal(mt_kind_from_name(""), MT_KIND_NONE);
    assert_string_equal(mt_kind_name((enum mt_kind)9999), "internal");
    assert_string_equal(mt_outcome_name((enum mt_outcome) - 1), "");
}

static void a_failure_replaces_the_whole_record(void **state) {
    (void)state;
    struct mt_error e;
    memset(&e, 0xAB, sizeof(e));
    assert_int_equal(mt_fail(&e, MT_LIMIT, "%d is too many", 7), -1);
    assert_int_equal(e.kind, MT_LIMIT);
    assert_string_equal(e.message, "7 is too many");
    assert_int_equal(e.http_status, 0);
    assert_string_equal(e.provider, "");
    assert_null(mt_fail_null(&e, MT_STORE, "x"));
    /* an argument inside the record itself */
    mt_fail(&e, MT_STORE, "inner");
    mt_fail(&e, MT_STORE, "outer: %s", e.message);
    assert_string_equal(e.message, "outer: inner");
}

static void wrapping_puts_the_place_in_front_and_keeps_the_rest(void **state) {
    (void)state;
    struct mt_error e;
    mt_fail(&e, MT_NOT_FOUND, "no such run");
    e.retryable = true;
    assert_int_equal(mt_error_wrap(&e, "runs/%d", 5), -1);
    assert_string_equal(e.message, "runs/5: no such run");
    assert_int_equal(e.kind, MT_NOT_FOUND);
    assert_true(e.retryable);
}

static void long_messages_are_cut_between_characters(void **state) {
    (void)state;
    struct mt_error e;
    char text[2000];
    for (size_t i = 0; i + 3 < sizeof(text); i += 3)
        memcpy(text + i, "\xEC\x9B\x90", 4); /* won sign's syllable */
    text[sizeof(text) - 2] = '\0';
    mt_fail(&e, MT_LIMIT, "x%.1900s", text);
    assert_true(mt_utf8_valid(e.message, strlen(e.message)));
    assert_in_range(strlen(e.message), sizeof(e.message) - 4, sizeof(e.message) - 1);
    for (int i = 0; i < 50; i++) mt_error_wrap(&e, "%.*s", i * 20, text);
    assert_true(mt_utf8_valid(e.message, strlen(e.message)));
    mt_fail(&e, MT_LIMIT, "found \"%.4s\", \xFF", text); /* a cut in the middle, and a byte that is no text */
    assert_string_equal(e.message, "found \"\xEC\x9B\x90?\", ?");
}

static void a_buffer_never_passes_its_cap_and_failure_is_sticky(void **state) {
    (void)state;
    struct mt_buf b;
    mt_buf_init(&b, 10);
    mt_buf_adds(&b, "12345");
    mt_buf_addf(&b, "%s", "67890");
    assert_true(mt_buf_ok(&b));
    assert_int_equal(b.len, 10);
    mt_buf_addc(&b, 'x');
    assert_false(mt_buf_ok(&b));
    assert_string_equal(b.data, "1234567890");
    mt_buf_reset(&b);
    assert_true(mt_buf_ok(&b));
    mt_buf_addf(&b, "%s", "this is longer than ten");
    assert_false(mt_buf_ok(&b));
    assert_string_equal(b.data, "");
    mt_buf_adds(&b, "a");
    assert_int_equal(b.len, 0);
    assert_null(mt_buf_take(&b, NULL));
    mt_buf_clear(&b);
    mt_buf_init(&b, 0);
    mt_buf_add(&b, NULL, 0);
    assert_true(mt_buf_ok(&b));
    assert_string_equal(b.data, "");
    mt_buf_clear(&b);
}

static void a_buffer_grows_and_gives_its_data_away(void **state) {
    (void)state;
    struct mt_buf b;
    size_t len;
    mt_buf_init(&b, 1 << 20);
    for (int i = 0; i < 10000; i++) mt_buf_addf(&b, "%d,", i);
    assert_true(mt_buf_ok(&b));
    char *data = mt_buf_take(&b, &len);
    assert_int_equal(len, strlen(data));
    assert_int_equal(b.len, 0);
    mt_buf_adds(&b, "again");
    assert_string_equal(b.data, "again");
    char *room = mt_buf_grow(&b, 3);
    memcpy(room, "abc", 3);
    assert_string_equal(b.data, "againabc");
    free(data);
    mt_buf_clear(&b);
}

static void json_strings_escape_what_they_must(void **state) {
    (void)state;
    struct mt_buf b;
    mt_buf_init(&b, 1000);
    mt_buf_add_json_string(&b, "a\"\\\n\x01\xEA\xB0\x80\xFF\xC0\xAF\xED\xA0\x80\0z", 16);
    assert_string_equal(b.data, "\"a\\\"\\\\\\n\\u0001\xEA\xB0\x80\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
                                "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\\u0000z\"");
    mt_buf_clear(&b);
}

static void utf8_is_judged_strictly(void **state) {
    (void)state;
    assert_true(mt_utf8_valid("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x92\xB3", 10));
    static const char *const bad[] = {"\x80",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x80\x80",
                                      "\xED\xA0\x80",
                                      "\xF0\x80\x80\x80",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xE2\x82",
                                      "\xFF"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(mt_utf8_valid(bad[i], strlen(bad[i])));
}

static void copies_are_cut_between_characters(void **state) {
    (void)state;
    char out[5];
    assert_true(mt_copy(out, sizeof(out), "abcd"));
    assert_false(mt_copy(out, sizeof(out), "abc\xC3\xA9"));
    assert_string_equal(out, "abc");
    assert_true(mt_format(out, sizeof(out), "%d", 1234));
    assert_false(mt_format(out, sizeof(out), "%d", 12345));
}

static void slips_are_recognised_and_strangers_are_not(void **state) {
    (void)state;
    static const char *const names[] = {"port", "sandbox-port", "data", "flows", "log-level", "amount"};
    size_t n = sizeof(names) / sizeof(names[0]);
    assert_string_equal(mt_nearest("prot", names, n), "port");
    assert_string_equal(mt_nearest("sandbox_port", names, n), "sandbox-port");
    assert_string_equal(mt_nearest("Amuont", names, n), "amount");
    assert_string_equal(mt_nearest("loglevel", names, n), "log-level");
    assert_null(mt_nearest("currency", names, n));
    assert_null(mt_nearest("", names, n));
    assert_null(mt_nearest("xy", names, n));
    char *huge = mt_calloc(1, 100001);
    memset(huge, 'a', 100000);
    assert_null(mt_nearest(huge, names, n));
    free(huge);
}

static void integers_are_whole_decimals_within_bounds(void **state) {
    (void)state;
    int64_t v;
    assert_true(mt_parse_int("-9223372036854775808", INT64_MIN, INT64_MAX, &v));
    assert_true(v == INT64_MIN);
    assert_true(mt_parse_int("9223372036854775807", INT64_MIN, INT64_MAX, &v));
    assert_true(v == INT64_MAX);
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x10",
                                      "1e3",
                                      "9223372036854775808",
                                      "--1",
                                      "99999999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(mt_parse_int(bad[i], INT64_MIN, INT64_MAX, &v));
    assert_false(mt_parse_int("65536", 0, 65535, &v));
}

static void durations_read_as_people_write_them(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"30d", 2592000000},
                {"12h", 43200000},
                {"5m", 300000},
                {"10s", 10000},
                {"250ms", 250},
                {"1w", 604800000},
                {"1h30m", 5400000},
                {"90", 90000},
                {"0", 0},
                {"1d2h3m4s5ms", 93784005},
                {"36525d", 3155760000000}};
    static const char *const bad[] = {"",     "d",   "-1s",  "1.5h",   "1x",        "1h1h",
                                      "1m1h", "5 m", "1h30", "36526d", "36525d1ms", "99999999999999999999d",
                                      "1mss", "30D"};
    int64_t ms;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(mt_parse_duration(good[i].text, &ms));
        assert_true(ms == good[i].ms);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) assert_false(mt_parse_duration(bad[i], &ms));
    char text[64];
    mt_format_duration(2592000000, text, sizeof(text));
    assert_string_equal(text, "30 days");
    mt_format_duration(5400000, text, sizeof(text));
    assert_string_equal(text, "1 hour 30 minutes");
    mt_format_duration(250, text, sizeof(text));
    assert_string_equal(text, "250 ms");
    mt_format_duration(0, text, sizeof(text));
    assert_string_equal(text, "0 ms");
    mt_format_duration(INT64_MIN, text, sizeof(text));
    assert_true(text[0] == '-');
}

static void percent_encoding_goes_there_and_back(void **state) {
    (void)state;
    struct mt_buf b;
    char out[64];
    mt_buf_init(&b, 1000);
    mt_url_encode(&b, "a b/\xC3\xA9+~", 7);
    assert_string_equal(b.data, "a%20b%2F%C3%A9%2B");
    assert_int_equal(mt_url_decode(b.data, b.len, out, true), 7);
    assert_memory_equal(out, "a b/\xC3\xA9+", 7);
    assert_int_equal(mt_url_decode("a+b", 3, out, false), 3);
    assert_memory_equal(out, "a+b", 3);
    assert_int_equal(mt_url_decode("a+b", 3, out, true), 3);
    assert_memory_equal(out, "a b", 3);
    assert_int_equal(mt_url_decode("%", 1, out, false), -1);
    assert_int_equal(mt_url_decode("%4", 2, out, false), -1);
    assert_int_equal(mt_url_decode("%4x", 3, out, false), -1);
    mt_buf_clear(&b);
}

static void ids_sort_by_time_and_are_made_of_their_bits(void **state) {
    (void)state;
    char a[MT_ID_SIZE], b[MT_ID_SIZE];
    uint8_t ones[10], zeros[10] = {0};
    memset(ones, 0xFF, sizeof(ones));
    mt_id_format("run_", 1000, ones, a);
    mt_id_format("run_", 1001, zeros, b);
    assert_true(strcmp(a, b) < 0);
    assert_string_equal(b, "run_00000000z90000000000000000");
    mt_id_format("a_prefix_that_is_far_too_long", 1, zeros, a);
    assert_int_equal(strlen(a), MT_ID_SIZE - 1);
    struct mt_random *r = mt_random_seeded(42), *same = mt_random_seeded(42);
    mt_id_new("evt_", 5, r, a);
    mt_id_new("evt_", 5, same, b);
    assert_string_equal(a, b);
    mt_id_new("evt_", 5, r, b);
    assert_string_not_equal(a, b);
    mt_id_new("evt_", 5, mt_random_system(), a);
    mt_id_new("evt_", 5, mt_random_system(), b);
    assert_string_not_equal(a, b);
    free(r);
    free(same);
}

static json_t *parse(const char *text) {
    struct mt_error e;
    json_t *v = mt_json_parse(text, strlen(text), &e);
    assert_non_null(v);
    return v;
}

static void json_is_written_the_same_for_the_same_value(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"{\"b\":1,\"a\":[true,false,null,\"x\"]}", "{\"a\":[true,false,null,\"x\"],\"b\":1}"},
        {" 9223372036854775807 ", "9223372036854775807"},
        {"0.1", "0.1"},
        {"1.0", "1.0"},
        {"1e20", "1e+20"},
        {"-0.0", "-0.0"},
        {"5e-324", "4.94065645841247e-324"},
        {"0.30000000000000004", "0.30000000000000004"},
        {"\"\\u00e9\\/\"", "\"\xC3\xA9/\""},
        {"{}", "{}"},
        {"[]", "[]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *v = parse(cases[i].in);
        size_t len;
        char *text = mt_json_dump(v, &len);
        assert_string_equal(text, cases[i].out);
        assert_int_equal(len, strlen(text));
        json_t *back = parse(text);
        assert_true(json_equal(v, back));
        json_decref(back);
        json_decref(v);
        free(text);
    }
    json_t *wide = json_object();
    for (int i = 0; i < 100; i++) {
        char key[8];
        mt_format(key, sizeof(key), "k%02d", (i * 37) % 100);
        json_object_set_new(wide, key, json_integer(i));
    }
    char *text = mt_json_dump(wide, NULL);
    assert_true(strncmp(text, "{\"k00\":0,\"k01\":", 15) == 0);
    free(text);
    json_decref(wide);
}

static void malformed_json_is_refused_with_its_place_and_without_its_text(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",         "{",           "[1,]",    "{\"a\":1,\"a\":2}",   "nul",   "\"\\u0000\"",
        "\"\xFF\"", "\"\\ud800\"", "1e999",   "9223372036854775808", "{} {}", "NaN",
        "'a'",      "[1] // no",   "\"a\nb\""};
    struct mt_error e;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(mt_json_parse(bad[i], strlen(bad[i]), &e));
        assert_int_equal(e.kind, MT_INVALID_REQUEST);
    }
    const char *secret = "{\"card_number\": 4242424242424242x}";
    assert_null(mt_json_parse(secret, strlen(secret), &e));
    assert_null(strstr(e.message, "4242"));
    assert_non_null(strstr(e.message, "line 1, column "));
    assert_null(mt_json_parse("[1\0]", 4, &e));
}

static void json_nests_64_deep_and_no_deeper(void **state) {
    (void)state;
    struct mt_error e;
    char text[140];
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    json_t *v = mt_json_parse(text, 128, &e);
    assert_non_null(v);
    json_decref(v);
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    assert_null(mt_json_parse(text, 130, &e));
    json_t *brackets_in_a_string =
        parse("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[\"");
    json_decref(brackets_in_a_string);
    char *hostile = mt_calloc(1, 1000001);
    memset(hostile, '[', 1000000);
    assert_null(mt_json_parse(hostile, 1000000, &e));
    free(hostile);
}

static void members_read_with_a_fallback(void **state) {
    (void)state;
    json_t *o = parse("{\"s\":\"x\",\"i\":5,\"b\":true}");
    assert_string_equal(mt_json_str(o, "s", "?"), "x");
    assert_string_equal(mt_json_str(o, "i", "?"), "?");
    assert_int_equal(mt_json_int(o, "i", 1), 5);
    assert_int_equal(mt_json_int(o, "s", 1), 1);
    assert_true(mt_json_bool(o, "b", false));
    assert_true(mt_json_bool(o, "nothing", true));
    assert_null(mt_json_str(NULL, "s", NULL));
    json_decref(o);
}

static void errors_cross_json_unchanged(void **state) {
    (void)state;
    struct mt_error e, back;
    mt_fail(&e, MT_DECLINED, "the bank said no");
    e.outcome = MT_REJECTED;
    e.http_status = 402;
    e.hard = true;
    mt_copy(e.provider, sizeof(e.provider), "mintro");
    mt_copy(e.operation, sizeof(e.operation), "intents.create");
    mt_copy(e.code, sizeof(e.code), "card_declined");
    json_t *o = mt_error_json(&e);
    mt_error_from_json(o, &back);
    assert_memory_equal(&e, &back, sizeof(e));
    json_decref(o);
    mt_fail(&e, MT_TIMEOUT, "late");
    o = mt_error_json(&e);
    assert_null(json_object_get(o, "provider"));
    assert_null(json_object_get(o, "http_status"));
    assert_null(json_object_get(o, "outcome"));
    json_decref(o);
    memcpy(e.code, "\xFF\xFE", 3);
    o = mt_error_json(&e);
    assert_string_equal(mt_json_str(o, "code", NULL), "??");
    json_decref(o);
    o = parse("{\"kind\":7,\"message\":null,\"http_status\":99999999999}");
    mt_error_from_json(o, &back);
    assert_int_equal(back.kind, MT_INTERNAL);
    assert_int_equal(back.http_status, 0);
    json_decref(o);
}

static void redaction_hides_secrets_at_every_depth(void **state) {
    (void)state;
    json_t *v = parse(
        "{\"amount\":\"80.00 USD\",\"card\":{\"card_number\":\"4242424242424242\",\"card_cvc\":\"123\"},"
        "\"note\":\"paid with 4242 4242 4242 "
        "4242\",\"pin_code\":\"1111222233334444\",\"list\":[{\"api-key\":\"sk\"}],"
        "\"pan_as_number\":4242424242424242,\"at\":1790000000000,\"secret\":null}");
    json_t *r = mt_json_redact(v);
    char *text = mt_json_dump(r, NULL);
    assert_string_equal(
        text,
        "{\"amount\":\"80.00 "
        "USD\",\"at\":1790000000000,\"card\":{\"card_cvc\":\"[redacted]\",\"card_number\":"
        "\"[redacted]\"},\"list\":[{\"api-key\":\"[redacted]\"}],\"note\":\"paid with **** **** **** 4242\","
        "\"pan_as_number\":\"************4242\",\"pin_code\":\"[redacted]\",\"secret\":null}");
    free(text);
    json_decref(r);
    json_decref(v);
}

static void redaction_leaves_the_names_of_runs(void **state) {
    (void)state;
    json_t *v = parse("[{\"flow\":\"shop\",\"key\":\"order-1\"},{\"key\":\"order-1\",\"topic\":\"go\"},"
                      "{\"key\":\"sk_live\"}]");
    json_t *r = mt_json_redact(v);
    char *text = mt_json_dump(r, NULL);
    assert_string_equal(text,
                        "[{\"flow\":\"shop\",\"key\":\"order-1\"},{\"key\":\"order-1\",\"topic\":\"go\"},"
                        "{\"key\":\"[redacted]\"}]");
    free(text);
    json_decref(r);
    json_decref(v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_and_outcome_has_a_name_that_reads_back),
        cmocka_unit_test(a_failure_replaces_the_whole_record),
        cmocka_unit_test(wrapping_puts_the_place_in_front_and_keeps_the_rest),
        cmocka_unit_test(long_messages_are_cut_between_characters),
        cmocka_unit_test(a_buffer_never_passes_its_cap_and_failure_is_sticky),
        cmocka_unit_test(a_buffer_grows_and_gives_its_data_away),
        cmocka_unit_test(json_strings_escape_what_they_must),
        cmocka_unit_test(utf8_is_judged_strictly),
        cmocka_unit_test(copies_are_cut_between_characters),
        cmocka_unit_test(slips_are_recognised_and_strangers_are_not),
        cmocka_unit_test(integers_are_whole_decimals_within_bounds),
        cmocka_unit_test(durations_read_as_people_write_them),
        cmocka_unit_test(percent_encoding_goes_there_and_back),
        cmocka_unit_test(ids_sort_by_time_and_are_made_of_their_bits),
        cmocka_unit_test(json_is_written_the_same_for_the_same_value),
        cmocka_unit_test(malformed_json_is_refused_with_its_place_and_without_its_text),
        cmocka_unit_test(json_nests_64_deep_and_no_deeper),
        cmocka_unit_test(members_read_with_a_fallback),
        cmocka_unit_test(errors_cross_json_unchanged),
        cmocka_unit_test(redaction_hides_secrets_at_every_depth),
        cmocka_unit_test(redaction_leaves_the_names_of_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
