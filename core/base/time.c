/* RFC 3339 to milliseconds since 1970 and back, without the C library's time zones and locales.
 * Invariant: formatting what was parsed gives the same instant. No state; any thread. */
#include "base/clock.h"
#include <string.h>

/* Days since 1970-01-01 of a date of the Gregorian calendar; years begin in March, so leap days come last. */
static int64_t days_of(int64_t year, int month, int day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_of(int64_t days, int64_t *year, int *month, int *day) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted + 2) / 5) + 1;
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

static void put_digits(char *at, int n, int value) {
    for (; n > 0; value /= 10) at[--n] = (char)('0' + value % 10);
}

void mt_time_format(int64_t ms, char out[25]) {
    static const int64_t first = INT64_C(-62167219200000), last = INT64_C(253402300799999);
    if (ms < first) ms = first;
    if (ms > last) ms = last;
    int64_t days = ms / 86400000, rest = ms % 86400000;
    if (rest < 0) {
        rest += 86400000;
        days--;
    }
    int64_t year;
    int month, day;
    date_of(days, &year, &month, &day);
    memcpy(out, "0000-00-00T00:00:00.000Z", 25);
    put_digits(out, 4, (int)year);
    put_digits(out + 5, 2, month);
    put_digits(out + 8, 2, day);
    put_digits(out + 11, 2, (int)(rest / 3600000));
    put_digits(out + 14, 2, (int)(rest / 60000 % 60));
    put_digits(out + 17, 2, (int)(rest / 1000 % 60));
    put_digits(out + 20, 3, (int)(rest % 1000));
}

/* Exactly n digits at *s, which moves past them. */
static bool digits(const char **s, int n, int *value) {
    *value = 0;
    for (; n > 0; n--, (*s)++) {
        if (**s < '0' || **s > '9') return false;
        *value = *value * 10 + (**s - '0');
    }
    return true;
}

static bool literal(const char **s, const char *any_of) {
    if (**s == '\0' || strchr(any_of, **s) == NULL) return false;
    (*s)++;
    return true;
}

static int month_days(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

bool mt_time_parse(const char *s, int64_t *ms) {
    int year, month, day, hour, minute, second, fraction = 0, zone_hour = 0, zone_minute = 0;
    if (!digits(&s, 4, &year) || !literal(&s, "-") || !digits(&s, 2, &month) || !literal(&s, "-") ||
        !digits(&s, 2, &day) || !literal(&s, "Tt ") || !digits(&s, 2, &hour) || !literal(&s, ":") ||
        !digits(&s, 2, &minute) || !literal(&s, ":") || !digits(&s, 2, &second))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > month_days(year, month) || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    if (*s == '.') {
        s++;
        if (*s < '0' || *s > '9') return false;
        for (int weight = 100; *s >= '0' && *s <= '9'; s++, weight /= 10) fraction += (*s - '0') * weight;
    }
    int sign = *s == '-' ? -1 : 1;
    if (!literal(&s, "Zz")) {
        if (!literal(&s, "+-") || !digits(&s, 2, &zone_hour) || !literal(&s, ":") ||
            !digits(&s, 2, &zone_minute))
            return false;
        if (zone_hour > 23 || zone_minute > 59) return false;
    }
    if (*s != '\0') return false;
    int64_t seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    seconds -= sign * (zone_hour * 3600 + zone_minute * 60);
    *ms = seconds * 1000 + fraction;
    return true;
}
