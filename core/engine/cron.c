/* Cron expressions. See cron.h. Local times are seconds since 1970 as if they were UTC. No state. */
#include "engine/cron.h"
#include "base/text.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { FIELDS = 5, FIELD_BYTES = 100, NAME_BYTES = 3, YEARS_MAX = 50 };

#define EVERY_HOUR ((UINT32_C(1) << 24) - 1)
#define DAY 86400

static const char *const months[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                     "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekdays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const struct field {
    const char *name, *wanted;
    int min, max;
    const char *const *names; /* the first is `first` */
    int first;
} fields[FIELDS] = {
    {"minute", "0 to 59", 0, 59, NULL, 0},
    {"hour", "0 to 23", 0, 23, NULL, 0},
    {"day of the month", "1 to 31", 1, 31, NULL, 0},
    {"month", "1 to 12 or jan to dec", 1, 12, months, 1},
    {"day of the week", "0 to 7 (0 and 7 are Sunday) or sun to sat", 0, 7, weekdays, 0},
};

static const struct {
    const char *name, *text;
} nicknames[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
    {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"},
};

/* ---- reading ---- */

static int refuse(const struct field *f, const char *text, const char *why, struct mt_error *e) {
    return mt_fail(e, MT_INVALID_REQUEST, "%s: found \"%s\", %s %s", f->name, text, why, f->wanted);
}

/* A number or a name at *s, which moves past it. -1: neither. */
static int value(const struct field *f, const char **s) {
    for (int i = 0; f->names && f->names[i]; i++) {
        if (strncasecmp(*s, f->names[i], NAME_BYTES) != 0 || isalpha((unsigned char)(*s)[NAME_BYTES]))
            continue;
        *s += NAME_BYTES;
        return f->first + i;
    }
    int n = 0, digits = 0;
    for (; **s >= '0' && **s <= '9' && digits < 4; digits++) n = 10 * n + (*(*s)++ - '0');
    return digits > 0 && n >= f->min && n <= f->max ? n : -1;
}

/* One of a list: "*", "5", "1-5", each but the second with a step: "1-5/2". */
static int range(const struct field *f, const char *text, const char **s, uint64_t *bits,
                 struct mt_error *e) {
    int from = f->min, to = f->max, step = 1;
    bool single = false;
    if (**s == '*') {
        (*s)++;
        if (f->max == 7) to = 6; /* Sunday once, for steps */
    } else {
        if ((from = value(f, s)) < 0) return refuse(f, text, "wanted *, or", e);
        to = from;
        single = **s != '-';
        if (!single && ((*s)++, to = value(f, s)) < 0) return refuse(f, text, "wanted the range's end,", e);
        if (to < from) return refuse(f, text, "wanted a range from the lower to the higher,", e);
    }
    if (**s == '/') {
        const char *digits = ++*s;
        if (single)
            return mt_fail(e, MT_INVALID_REQUEST,
                           "%s: found \"%s\", wanted a range or * before the step, like \"%d-%d/2\"", f->name,
                           text, from, f->max);
        for (step = 0; **s >= '0' && **s <= '9' && *s - digits < 3; (*s)++) step = 10 * step + (**s - '0');
        if (step < 1 || step > f->max)
            return mt_fail(e, MT_INVALID_REQUEST, "%s: found \"%s\", wanted a step from 1 to %d", f->name,
                           text, f->max);
    }
    for (int n = from; n <= to; n += step) *bits |= UINT64_C(1) << n;
    return 0;
}

static int read_field(const struct field *f, const char *text, uint64_t *bits, struct mt_error *e) {
    const char *s = text;
    *bits = 0;
    for (;;) {
        if (range(f, text, &s, bits, e) != 0) return -1;
        if (*s == '\0') return 0;
        if (*s++ != ',') return refuse(f, text, "wanted a list, ranges and steps of", e);
    }
}

static int split(const char *text, char out[FIELDS][FIELD_BYTES], struct mt_error *e) {
    int n = 0;
    for (const char *s = text;; n++) {
        s += strspn(s, " \t");
        size_t len = strcspn(s, " \t");
        if (len == 0) break;
        if (n < FIELDS && !mt_format(out[n], FIELD_BYTES, "%.*s", (int)len, s))
            return mt_fail(e, MT_INVALID_REQUEST, "%s: more than %d characters", fields[n].name,
                           FIELD_BYTES - 1);
        s += len;
    }
    if (n == FIELDS) return 0;
    return mt_fail(
        e, MT_INVALID_REQUEST,
        "found \"%.100s\" with %d field%s, wanted five: minute, hour, day of the month, month, day "
        "of the week (\"0 3 * * *\" is 03:00 every day)",
        text, n, n == 1 ? "" : "s");
}

static const char *nickname(const char *text, struct mt_error *e) {
    if (text[0] != '@') return text;
    for (size_t i = 0; i < sizeof nicknames / sizeof nicknames[0]; i++)
        if (strcasecmp(text, nicknames[i].name) == 0) return nicknames[i].text;
    return mt_fail_null(e, MT_INVALID_REQUEST,
                        "found \"%.40s\", wanted five fields, or @yearly, @monthly, @weekly, @daily or "
                        "@hourly",
                        text);
}

int mt_cron_parse(const char *text, struct mt_cron *out, struct mt_error *e) {
    char parts[FIELDS][FIELD_BYTES];
    uint64_t bits[FIELDS];
    if (!(text = nickname(text, e)) || split(text, parts, e) != 0) return -1;
    for (int i = 0; i < FIELDS; i++)
        if (read_field(&fields[i], parts[i], &bits[i], e) != 0) return -1;
    if (bits[4] & (1 << 7)) bits[4] |= 1; /* 7 is Sunday too */
    *out = (struct mt_cron){
        .minutes = bits[0],
        .hours = (uint32_t)bits[1],
        .days = (uint32_t)bits[2],
        .months = (uint32_t)bits[3],
        .weekdays = (uint32_t)bits[4] & 0x7f,
        .any_day = parts[2][0] == '*',
        .any_weekday = parts[4][0] == '*',
    };
    if (!out->any_weekday) return 0; /* a weekday comes in any month */
    for (int month = 1; month <= 12; month++) {
        uint32_t exist = (uint32_t)((UINT64_C(2) << mt_month_days(2024, month)) - 2);
        if (out->months & (1u << month) && out->days & exist) return 0;
    }
    return mt_fail(e, MT_INVALID_REQUEST,
                   "day of the month: found \"%s\" with month \"%s\", wanted a day that comes", parts[2],
                   parts[3]);
}

/* ---- when ---- */

/* The days of a local date. */
static bool day_fits(const struct mt_cron *c, int64_t days) {
    struct mt_civil date;
    mt_civil_from(days * DAY, &date);
    if (!(c->months & (1u << date.month))) return false;
    bool day = c->days & (1u << date.day);
    bool weekday = c->weekdays & (1u << (int)(((days % 7) + 11) % 7)); /* 1970-01-01 was a Thursday */
    return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

static int64_t day_of(int64_t local) {
    return local >= 0 ? local / DAY : -((-local + DAY - 1) / DAY);
}

/* Hours that are named: local times in order, and what instant each means. */
static bool next_named(const struct mt_cron *c, const struct mt_zone *zone, int64_t after, int64_t *next) {
    int64_t first = day_of(after + mt_zone_offset(zone, after)) - 1;
    for (int64_t day = first; day < first + YEARS_MAX * 366; day++) {
        if (!day_fits(c, day)) continue;
        for (int hour = 0; hour < 24; hour++) {
            if (!(c->hours & (1u << hour))) continue;
            int64_t begins = day * DAY + hour * 3600;
            if (mt_zone_instant_or_jump(zone, begins + 3599) <= after) continue;
            for (int minute = 0; minute < 60; minute++) {
                if (!(c->minutes & (UINT64_C(1) << minute))) continue;
                *next = mt_zone_instant_or_jump(zone, begins + minute * 60);
                if (*next > after) return true;
            }
        }
    }
    return false;
}

/* Every hour: instants in order, and what the clock shows then. */
static bool next_hourly(const struct mt_cron *c, const struct mt_zone *zone, int64_t after, int64_t *next) {
    int64_t until = after + (int64_t)YEARS_MAX * 366 * DAY;
    for (int64_t at = after - (after % 60 + 60) % 60 + 60; at < until;) {
        int64_t local = at + mt_zone_offset(zone, at);
        int64_t day = day_of(local);
        if (!day_fits(c, day)) {
            int64_t midnight = mt_zone_instant_or_jump(zone, (day + 1) * DAY);
            at = midnight > at ? midnight : at + 60;
        } else if (!(c->minutes & (UINT64_C(1) << (local - day * DAY) / 60 % 60))) {
            at += 60;
        } else {
            *next = at;
            return true;
        }
    }
    return false;
}

bool mt_cron_next(const struct mt_cron *c, const struct mt_zone *zone, int64_t after, int64_t *next) {
    return c->hours == EVERY_HOUR ? next_hourly(c, zone, after, next) : next_named(c, zone, after, next);
}

int64_t mt_every_next(int64_t from, int64_t every, int64_t after) {
    if (after < from) return from;
    return from + ((after - from) / every + 1) * every;
}
