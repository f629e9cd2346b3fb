/* links: mt_engine */
/* When schedules are due: reading cron expressions, their instants over changes of the clock, intervals, and
 * what was missed. */
#include "base/clock.h"
#include "base/text.h"
#include "engine/schedule.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int64_t ms(const char *text) {
    int64_t at;
    if (!mt_time_parse(text, &at)) fail_msg("%s is no time", text);
    return at;
}

static struct mt_cron parsed(const char *text) {
    struct mt_cron c;
    struct mt_error e;
    if (mt_cron_parse(text, &c, &e) != 0) fail_msg("%s: %s", text, e.message);
    return c;
}

/* The instants after `after`, as UTC texts, separated by blanks. */
static void due(const char *expression, const char *zone, const char *after, const char *wanted) {
    struct mt_error e;
    struct mt_cron c = parsed(expression);
    struct mt_zone *z = mt_zone_open(zone, &e);
    if (!z) fail_msg("%s", e.message);
    int64_t at = ms(after) / 1000;
    char all[400] = "", one[25];
    for (const char *w = wanted; w; w = strchr(w + 1, ' ')) {
        assert_true(mt_cron_next(&c, z, at, &at));
        mt_time_format(at * 1000, one);
        one[16] = '\0';
        mt_format(all + strlen(all), sizeof all - strlen(all), "%s%s", all[0] ? " " : "", one);
    }
    mt_zone_free(z);
    if (strcmp(all, wanted) != 0)
        fail_msg("%s in %s after %s: found %s, wanted %s", expression, zone, after, all, wanted);
}

static void test_fields(void **state) {
    (void)state;
    due("0 3 * * *", "UTC", "2026-11-20T03:00:00Z", "2026-11-21T03:00 2026-11-22T03:00");
    due("*/20 8-9 * * *", "UTC", "2026-11-20T08:10:00Z",
        "2026-11-20T08:20 2026-11-20T08:40 2026-11-20T09:00");
    due("5,50-59/4 * * * *", "UTC", "2026-11-20T08:10:30Z",
        "2026-11-20T08:50 2026-11-20T08:54 2026-11-20T08:58 2026-11-20T09:05");
    due("0 0 * JAN,mar Sun", "UTC", "2026-11-20T00:00:00Z", "2027-01-03T00:00");
    due("0 12 * * mon-fri", "UTC", "2026-11-20T12:00:00Z", "2026-11-23T12:00 2026-11-24T12:00");
    due("0 0 * * 7", "UTC", "2026-11-20T00:00:00Z", "2026-11-22T00:00 2026-11-29T00:00");
    due("0 0 * * 5-7", "UTC", "2026-11-20T00:00:00Z", "2026-11-21T00:00 2026-11-22T00:00 2026-11-27T00:00");
    due("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T00:00");
    due("0 0 31 * *", "UTC", "2026-11-20T00:00:00Z", "2026-12-31T00:00 2027-01-31T00:00 2027-03-31T00:00");
    due("@monthly", "UTC", "2026-11-20T00:00:00Z", "2026-12-01T00:00");
    due("@weekly", "UTC", "2026-11-20T00:00:00Z", "2026-11-22T00:00");
    due("@hourly", "UTC", "2026-11-20T23:59:59Z", "2026-11-21T00:00 2026-11-21T01:00");
    due("0 3 * * *", "Asia/Seoul", "2026-11-20T00:00:00Z", "2026-11-20T18:00 2026-11-21T18:00");
}

/* The man page's own: "30 4 1,15 * 5" is 4:30 on the 1st and 15th, and every Friday. A step keeps the star.
 */
static void test_both_days(void **state) {
    (void)state;
    due("30 4 1,15 * 5", "UTC", "2026-11-27T05:00:00Z",
        "2026-12-01T04:30 2026-12-04T04:30 2026-12-11T04:30 2026-12-15T04:30");
    due("0 0 */2 * mon", "UTC", "2026-11-20T00:00:00Z", "2026-11-23T00:00 2026-12-07T00:00");
    due("0 0 13 * *", "UTC", "2026-11-20T00:00:00Z", "2026-12-13T00:00");
}

static void test_clock_changes(void **state) {
    (void)state;
    /* New York, 2027-03-14: 02:00 EST is 03:00 EDT (07:00 UTC). */
    due("30 2 * * *", "America/New_York", "2027-03-13T00:00:00Z",
        "2027-03-13T07:30 2027-03-14T07:00 2027-03-15T06:30");
    due("0,15,30,45 2 * * *", "America/New_York", "2027-03-14T06:00:00Z",
        "2027-03-14T07:00 2027-03-15T06:00");
    due("30 * * * *", "America/New_York", "2027-03-14T05:30:00Z", "2027-03-14T06:30 2027-03-14T07:30");
    due("0 */6 * * *", "America/New_York", "2027-03-14T05:00:00Z", "2027-03-14T10:00");
    /* 2027-11-07: 02:00 EDT is 01:00 EST (06:00 UTC). */
    due("30 1 * * *", "America/New_York", "2027-11-06T12:00:00Z", "2027-11-07T05:30 2027-11-08T06:30");
    due("*/30 1-2 * * *", "America/New_York", "2027-11-07T05:00:00Z",
        "2027-11-07T05:30 2027-11-07T07:00 2027-11-07T07:30 2027-11-08T06:00");
    due("30 * * * *", "America/New_York", "2027-11-07T04:30:00Z",
        "2027-11-07T05:30 2027-11-07T06:30 2027-11-07T07:30");
    /* Where midnight is skipped (Beirut, 2026-03-29: 00:00 is 01:00), the day begins at the jump. */
    due("0 0 * * *", "Asia/Beirut", "2026-03-28T00:00:00Z", "2026-03-28T22:00 2026-03-29T21:00");
    /* Half an hour: Lord Howe, 2026-10-04, 02:00 is 02:30 (15:30 UTC the day before). */
    due("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-03T15:30 2026-10-04T15:15");
}

/* Against the plain way: minute by minute in UTC. */
static bool plain_fits(const struct mt_cron *c, int64_t at) {
    struct mt_civil t;
    mt_civil_from(at, &t);
    bool day = c->days & (1u << t.day), weekday = c->weekdays & (1u << ((at / 86400 + 4) % 7));
    if (!(c->minutes & (UINT64_C(1) << t.minute)) || !(c->hours & (1u << t.hour)) ||
        !(c->months & (1u << t.month)))
        return false;
    return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

static void test_against_the_plain_way(void **state) {
    (void)state;
    static const char *const expressions[] = {"*/7 * * * *",     "3 */5 * * *",   "0 0 1 * *",
                                              "59 23 28-31 * *", "0 12 * 2,12 5", "*/11 1-3 9 * sat",
                                              "1 1 */10 * *",    "* * * * 1"};
    struct mt_error e;
    struct mt_zone *utc = mt_zone_open("UTC", &e);
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        struct mt_cron c = parsed(expressions[i]);
        int64_t begin = ms("2027-12-30T00:00:00Z") / 1000, next = begin;
        assert_true(mt_cron_next(&c, utc, begin, &next));
        for (int64_t at = begin + 60; at < begin + 70 * 86400; at += 60) {
            bool fits = plain_fits(&c, at);
            if (fits != (at == next)) fail_msg("%s at %lld", expressions[i], (long long)at);
            if (fits) assert_true(mt_cron_next(&c, utc, at, &next));
        }
    }
    mt_zone_free(utc);
}

static void refused(const char *text, const char *why) {
    struct mt_cron c;
    struct mt_error e;
    if (mt_cron_parse(text, &c, &e) == 0) fail_msg("%s is taken", text);
    if (!strstr(e.message, why)) fail_msg("%s: %s", text, e.message);
}

static void test_refusals(void **state) {
    (void)state;
    refused("0 3 * *", "with 4 fields, wanted five");
    refused("", "with 0 fields");
    refused("0 3 * * * *", "with 6 fields");
    refused("60 3 * * *", "minute: found \"60\", wanted *, or 0 to 59");
    refused("0 24 * * *", "hour: found \"24\"");
    refused("0 3 0 * *", "day of the month: found \"0\"");
    refused("0 3 * 13 *", "month: found \"13\", wanted *, or 1 to 12 or jan to dec");
    refused("0 3 * * 8", "day of the week: found \"8\"");
    refused("0 3 * * moon", "day of the week: found \"moon\"");
    refused("0 3 * june *", "month: found \"june\"");
    refused("5-1 3 * * *", "minute: found \"5-1\", wanted a range from the lower to the higher");
    refused("5- 3 * * *", "wanted the range's end");
    refused("5/10 * * * *", "wanted a range or * before the step, like \"5-59/2\"");
    refused("*/0 * * * *", "wanted a step from 1 to 59");
    refused("*/99 * * * *", "wanted a step from 1 to 59");
    refused("1,,2 * * * *", "minute: found \"1,,2\"");
    refused("1, * * * *", "minute: found \"1,\"");
    refused("0 0 L * *", "day of the month: found \"L\"");
    refused("0 0 30 2 *", "day of the month: found \"30\" with month \"2\", wanted a day that comes");
    refused("@reboot", "found \"@reboot\", wanted five fields");
    refused("0 3 * * * # nightly", "fields, wanted five");
}

/* ---- intervals, and what was missed ---- */

static struct mt_schedule schedule(const char *row) {
    struct mt_schedule s;
    struct mt_error e;
    json_t *json = json_loads(row, 0, NULL);
    if (mt_schedule_read(json, &s, &e) != 0) fail_msg("%s", e.message);
    json_decref(json);
    return s;
}

static void next_is(const struct mt_schedule *s, const char *after, const char *wanted) {
    assert_int_equal(ms(wanted), mt_schedule_next(s, ms(after)));
}

static void test_intervals(void **state) {
    (void)state;
    struct mt_schedule s = schedule("{\"name\":\"a\",\"flow\":\"f\",\"every_ms\":21600000}");
    next_is(&s, "2026-11-20T09:20:00Z", "2026-11-20T12:00:00Z");
    next_is(&s, "2026-11-20T12:00:00Z", "2026-11-20T18:00:00Z");
    next_is(&s, "2026-11-20T11:59:59.999Z", "2026-11-20T12:00:00Z");
    mt_schedule_clear(&s);
    char row[160];
    mt_format(row, sizeof row, "{\"name\":\"a\",\"flow\":\"f\",\"every_ms\":3600000,\"from_ms\":%lld}",
              (long long)ms("2026-11-20T10:15:00Z"));
    s = schedule(row);
    next_is(&s, "2026-11-01T00:00:00Z", "2026-11-20T10:15:00Z");
    next_is(&s, "2026-11-20T10:15:00Z", "2026-11-20T11:15:00Z");
    mt_schedule_clear(&s);
}

static void missed_is(const struct mt_schedule *s, const char *after, const char *now, size_t most,
                      const char *wanted, bool more) {
    bool found;
    int64_t at = mt_schedule_missed(s, ms(after), ms(now), most, &found);
    char text[25] = "";
    if (at != MT_NEVER) mt_time_format(at, text);
    assert_string_equal(wanted, text);
    assert_int_equal(more, found);
}

static void test_missed(void **state) {
    (void)state;
    struct mt_schedule s = schedule("{\"name\":\"a\",\"flow\":\"f\",\"every_ms\":60000}");
    missed_is(&s, "2026-11-20T09:00:00Z", "2026-11-20T09:00:59Z", 1, "", false);
    missed_is(&s, "2026-11-20T09:00:00Z", "2026-11-20T09:01:00Z", 1, "2026-11-20T09:01:00.000Z", false);
    missed_is(&s, "2026-11-20T09:00:00Z", "2026-12-20T09:01:30Z", 1, "2026-12-20T09:01:00.000Z", true);
    missed_is(&s, "2026-11-20T09:00:00Z", "2026-12-20T09:01:30Z", 10, "2026-12-20T08:52:00.000Z", true);
    missed_is(&s, "2026-11-20T09:00:00Z", "2026-11-20T09:10:30Z", 10, "2026-11-20T09:01:00.000Z", false);
    mt_schedule_clear(&s);
    s = schedule("{\"name\":\"a\",\"flow\":\"f\",\"when\":\"0 3 * * *\",\"zone\":\"Asia/Seoul\"}");
    missed_is(&s, "2026-11-20T09:00:00Z", "2026-11-20T17:59:59Z", 1, "", false);
    missed_is(&s, "2026-11-20T09:00:00Z", "2027-11-20T09:00:00Z", 1, "2027-11-19T18:00:00.000Z", true);
    missed_is(&s, "2026-11-20T09:00:00Z", "2027-11-20T09:00:00Z", 3, "2027-11-17T18:00:00.000Z", true);
    missed_is(&s, "2026-11-20T09:00:00Z", "2026-11-22T18:00:00Z", 3, "2026-11-20T18:00:00.000Z", false);
    missed_is(&s, "2026-11-20T09:00:00Z", "2026-11-22T18:00:00Z", 1000, "2026-11-20T18:00:00.000Z", false);
    mt_schedule_clear(&s);
    s = schedule("{\"name\":\"a\",\"flow\":\"f\",\"when\":\"* * * * *\"}");
    missed_is(&s, "2020-01-01T00:00:00Z", "2026-11-22T18:00:00Z", 1000, "2026-11-22T01:21:00.000Z", true);
    mt_schedule_clear(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),        cmocka_unit_test(test_both_days),
        cmocka_unit_test(test_clock_changes), cmocka_unit_test(test_against_the_plain_way),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_missed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
