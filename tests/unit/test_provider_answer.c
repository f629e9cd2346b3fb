/* links: mt_providers */
/* When to come again: Retry-After in seconds and as each of HTTP's dates, and the reset of a limit that was
 * reached. */
#include "base/text.h"
#include "providers/private.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#define DATE "Fri, 20 Nov 2026 09:30:00 GMT"
#define DATE_S INT64_C(1795167000)

static int asked(int status, const char *date, const char *name, const char *value) {
    struct mt_http_response resp;
    mt_http_response_init(&resp);
    resp.status = status;
    if (date != NULL) mt_headers_add(&resp.headers, "Date", date);
    if (name != NULL) mt_headers_add(&resp.headers, name, value);
    int seconds = answer_retry_after(&resp);
    mt_http_response_clear(&resp);
    return seconds;
}

static void seconds_are_taken(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int seconds;
    } rows[] = {{"0", 0},
                {"7", 7},
                {"120", 120},
                {"86400", 86400},
                {"86401", 86400},
                {"999999999999", 86400},
                {"-1", 0},
                {"1.5", 0},
                {"soon", 0},
                {"", 0},
                {"99999999999999999999999", 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        assert_int_equal(asked(503, DATE, "Retry-After", rows[i].text), rows[i].seconds);
    assert_int_equal(asked(503, DATE, NULL, NULL), 0);
}

static void dates_are_judged_by_the_answers_own_clock(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int seconds;
    } rows[] = {{"Fri, 20 Nov 2026 09:30:30 GMT", 30},    {"Friday, 20-Nov-26 09:31:00 GMT", 60},
                {"Fri Nov 20 09:30:05 2026", 5},          {"Sat, 21 Nov 2026 09:30:00 GMT", 86400},
                {"Sun, 22 Nov 2026 09:30:00 GMT", 86400}, {DATE, 0},
                {"Fri, 20 Nov 2026 09:29:59 GMT", 0},     {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
                {"Fri, 20 Nov 2026 09:30:30", 0},         {"Fri, 20 Nov 2026 09:30:30 GMT, or later", 0},
                {"Fri, 32 Nov 2026 09:30:30 GMT", 0},     {"2026-11-20T09:30:30Z", 0}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        assert_int_equal(asked(429, DATE, "Retry-After", rows[i].text), rows[i].seconds);
}

/* Without a clock of the answer's, ours has to do. */
static void a_date_without_a_date(void **state) {
    (void)state;
    char text[64];
    time_t in = time(NULL) + 100;
    struct tm tm;
    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&in, &tm));
    int seconds = asked(503, NULL, "Retry-After", text);
    assert_true(seconds > 90 && seconds <= 100);
    seconds = asked(503, "some day", "Retry-After", text);
    assert_true(seconds > 90 && seconds <= 100);
}

static void a_limits_reset_is_waited_for(void **state) {
    (void)state;
    char text[32];
    assert_int_equal(asked(429, DATE, "RateLimit-Reset", "12"), 12);
    assert_int_equal(asked(429, DATE, "X-RateLimit-Reset", "12"), 12);
    snprintf(text, sizeof(text), "%lld", (long long)(DATE_S + 40));
    assert_int_equal(asked(429, DATE, "X-RateLimit-Reset", text), 40);
    snprintf(text, sizeof(text), "%lld", (long long)(DATE_S - 40));
    assert_int_equal(asked(429, DATE, "X-RateLimit-Reset", text), 0);
    snprintf(text, sizeof(text), "%lld", (long long)(time(NULL) + 100));
    int seconds = asked(429, NULL, "X-RateLimit-Reset", text);
    assert_true(seconds > 90 && seconds <= 100);
    assert_int_equal(asked(429, DATE, "X-RateLimit-Reset", "soon"), 0);
    /* They come with every answer; a server that is down for another reason did not mean them. */
    assert_int_equal(asked(503, DATE, "X-RateLimit-Reset", "12"), 0);
    assert_int_equal(asked(200, DATE, "X-RateLimit-Reset", "12"), 0);
}

static void retry_after_goes_before_a_reset(void **state) {
    (void)state;
    struct mt_http_response resp;
    mt_http_response_init(&resp);
    resp.status = 429;
    mt_headers_add(&resp.headers, "X-RateLimit-Reset", "60");
    mt_headers_add(&resp.headers, "Retry-After", "2");
    assert_int_equal(answer_retry_after(&resp), 2);
    mt_headers_set(&resp.headers, "Retry-After", "soon");
    assert_int_equal(answer_retry_after(&resp), 60);
    mt_http_response_clear(&resp);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seconds_are_taken),
        cmocka_unit_test(dates_are_judged_by_the_answers_own_clock),
        cmocka_unit_test(a_date_without_a_date),
        cmocka_unit_test(a_limits_reset_is_waited_for),
        cmocka_unit_test(retry_after_goes_before_a_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
