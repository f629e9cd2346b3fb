/* Reads TZif files of /usr/share/zoneinfo: the transitions that the file lists, and after them the rule in
 * its footer
 * ("EST5EDT,M3.2.0,M11.1.0"). Nothing is shared; each opening reads the file. */
#include "base/zone.h"
#include "base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATABASE "/usr/share/zoneinfo"
enum { FILE_MAX = 256 * 1024, NAME_BYTES = 64, HEAD = 44 };

/* When a rule's change takes place, in local time before it. */
struct change {
    char kind; /* 'M' month.week.day, 'J' day 1..365 without 29 February, 'n' day 0..365 */
    int month, week, day;
    int seconds; /* after midnight; may be negative or beyond a day */
};

struct mt_zone {
    size_t count; /* transitions */
    int64_t *at;
    int *offsets; /* offsets[i] holds from at[i] */
    int before;   /* ... and this before at[0] */
    bool has_rule, has_dst;
    int standard, daylight;
    struct change to_daylight, to_standard;
};

/* ---- the calendar ---- */

int64_t mt_civil_days(int64_t year, int month, int day) {
    /* Years begin in March, so that the leap day is their last. */
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int64_t mt_civil_seconds(const struct mt_civil *c) {
    return mt_civil_days(c->year, c->month, c->day) * 86400 + c->hour * 3600 + c->minute * 60 + c->second;
}

void mt_civil_from(int64_t seconds, struct mt_civil *out) {
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t of_era = z - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    out->day = (int)(of_year - (153 * month + 2) / 5 + 1);
    out->month = (int)(month < 10 ? month + 3 : month - 9);
    out->year = year + era * 400 + (out->month <= 2 ? 1 : 0);
    out->hour = (int)(rest / 3600);
    out->minute = (int)(rest / 60 % 60);
    out->second = (int)(rest % 60);
}

int mt_month_days(int64_t year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

/* ---- the footer's rule ---- */

static bool skip_name(const char **s) {
    if (**s == '<') {
        const char *end = strchr(*s, '>');
        if (end == NULL) return false;
        *s = end + 1;
        return true;
    }
    const char *p = *s;
    while ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z')) p++;
    bool ok = p - *s >= 3;
    *s = p;
    return ok;
}

static bool read_number(const char **s, int max, int *out) {
    int n = 0, digits = 0;
    while (**s >= '0' && **s <= '9' && digits < 4) {
        n = 10 * n + (*(*s)++ - '0');
        digits++;
    }
    *out = n;
    return digits > 0 && n <= max;
}

/* "[+-]hh[:mm[:ss]]" */
static bool read_time(const char **s, int *seconds) {
    int sign = 1, h = 0, m = 0, sec = 0;
    if (**s == '-' || **s == '+') sign = *(*s)++ == '-' ? -1 : 1;
    if (!read_number(s, 167, &h)) return false;
    if (**s == ':' && ((*s)++, !read_number(s, 59, &m))) return false;
    if (**s == ':' && ((*s)++, !read_number(s, 59, &sec))) return false;
    *seconds = sign * (h * 3600 + m * 60 + sec);
    return true;
}

static bool read_change(const char **s, struct change *c) {
    if (*(*s)++ != ',') return false;
    c->seconds = 7200;
    if (**s == 'M') {
        (*s)++;
        c->kind = 'M';
        if (!read_number(s, 12, &c->month) || c->month < 1 || *(*s)++ != '.') return false;
        if (!read_number(s, 5, &c->week) || c->week < 1 || *(*s)++ != '.') return false;
        if (!read_number(s, 6, &c->day)) return false;
    } else {
        c->kind = **s == 'J' ? 'J' : 'n';
        if (**s == 'J') (*s)++;
        if (!read_number(s, 365, &c->day)) return false;
    }
    if (**s != '/') return true;
    (*s)++;
    return read_time(s, &c->seconds);
}

/* POSIX counts offsets westward. */
static bool read_rule(struct mt_zone *z, const char *s) {
    int west;
    if (*s == '\0') return true; /* none */
    if (!skip_name(&s) || !read_time(&s, &west)) return false;
    z->standard = z->daylight = -west;
    z->has_rule = true;
    if (*s == '\0') return true;
    if (!skip_name(&s)) return false;
    z->daylight = z->standard + 3600;
    if (*s != ',' && *s != '\0') {
        if (!read_time(&s, &west)) return false;
        z->daylight = -west;
    }
    z->has_dst = true;
    return read_change(&s, &z->to_daylight) && read_change(&s, &z->to_standard) && *s == '\0';
}

/* The instant of a change in `year`, given the offset that holds before it. */
static int64_t change_at(const struct change *c, int64_t year, int offset) {
    int64_t day;
    if (c->kind == 'M') {
        int64_t first = mt_civil_days(year, c->month, 1);
        int weekday = (int)((first % 7 + 11) % 7); /* 1970-01-01 was a Thursday (4) */
        int of_month = (c->day - weekday + 7) % 7 + 7 * (c->week - 1);
        if (of_month >= mt_month_days(year, c->month)) of_month -= 7; /* week 5: the last */
        day = first + of_month;
    } else if (c->kind == 'J') {
        bool after_february = c->day >= 60 && mt_month_days(year, 2) == 29;
        day = mt_civil_days(year, 1, 1) + c->day - 1 + (after_february ? 1 : 0);
    } else {
        day = mt_civil_days(year, 1, 1) + c->day;
    }
    return day * 86400 + c->seconds - offset;
}

static int rule_offset(const struct mt_zone *z, int64_t at) {
    if (!z->has_dst) return z->standard;
    struct mt_civil c;
    mt_civil_from(at + z->standard, &c);
    int64_t begins = change_at(&z->to_daylight, c.year, z->standard);
    int64_t ends = change_at(&z->to_standard, c.year, z->daylight);
    bool daylight = begins < ends ? at >= begins && at < ends : at >= begins || at < ends;
    return daylight ? z->daylight : z->standard;
}

/* ---- the file ---- */

static int64_t big_endian(const uint8_t *p, int bytes) {
    uint64_t n = p[0] & 0x80 ? UINT64_MAX : 0; /* signed */
    for (int i = 0; i < bytes; i++) n = n << 8 | p[i];
    return (int64_t)n;
}

struct counts {
    size_t isut, isstd, leap, times, types, chars;
};

static bool read_head(const uint8_t *p, size_t len, struct counts *c) {
    if (len < HEAD || memcmp(p, "TZif", 4) != 0) return false;
    size_t *slots[] = {&c->isut, &c->isstd, &c->leap, &c->times, &c->types, &c->chars};
    for (size_t i = 0; i < 6; i++) {
        *slots[i] = (size_t)big_endian(p + 20 + 4 * i, 4);
        if (*slots[i] > FILE_MAX) return false;
    }
    return c->types > 0;
}

static size_t block_size(const struct counts *c, size_t time_size) {
    return c->times * (time_size + 1) + c->types * 6 + c->chars + c->leap * (time_size + 4) + c->isstd +
           c->isut;
}

static bool read_block(struct mt_zone *z, const uint8_t *p, const struct counts *c, size_t time_size) {
    const uint8_t *indexes = p + c->times * time_size, *types = indexes + c->times;
    z->count = c->times;
    z->at = mt_calloc(c->times + 1, sizeof(*z->at));
    z->offsets = mt_calloc(c->times + 1, sizeof(*z->offsets));
    z->before = (int)big_endian(types, 4);
    for (size_t i = 0; i < c->times; i++) {
        if (indexes[i] >= c->types) return false;
        z->at[i] = big_endian(p + i * time_size, (int)time_size);
        z->offsets[i] = (int)big_endian(types + 6 * indexes[i], 4);
        if (i > 0 && z->at[i] <= z->at[i - 1]) return false;
    }
    return true;
}

static bool read_zone(struct mt_zone *z, const uint8_t *p, size_t len) {
    struct counts c;
    if (!read_head(p, len, &c)) return false;
    size_t size = HEAD + block_size(&c, 4);
    if (size > len) return false;
    if (p[4] < '2') return read_block(z, p + HEAD, &c, 4);
    p += size; /* version 2 says it all again with 64 bits */
    len -= size;
    if (!read_head(p, len, &c)) return false;
    size = HEAD + block_size(&c, 8);
    if (size > len || !read_block(z, p + HEAD, &c, 8)) return false;
    p += size;
    len -= size;
    const uint8_t *end = len > 1 ? memchr(p + 1, '\n', len - 1) : NULL;
    if (end == NULL || p[0] != '\n') return false;
    char rule[128];
    return mt_format(rule, sizeof(rule), "%.*s", (int)(end - p - 1), (const char *)p + 1) &&
           read_rule(z, rule);
}

static bool name_ok(const char *name) {
    size_t n = strlen(name);
    return n > 0 && n < NAME_BYTES && name[0] != '/' && strstr(name, "..") == NULL &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/")] == '\0';
}

struct mt_zone *mt_zone_open(const char *name, struct mt_error *e) {
    struct mt_zone *z = NULL;
    uint8_t *data = NULL;
    size_t len = 0;
    char path[sizeof(DATABASE) + NAME_BYTES + 1];
    int fd = -1;

    if (!name_ok(name))
        return mt_fail_null(e, MT_INVALID_REQUEST, "\"%.60s\" is not a time zone such as \"Asia/Seoul\"",
                            name);
    z = mt_calloc(1, sizeof(*z));
    if (strcmp(name, "UTC") == 0) { /* needs no database */
        z->has_rule = true;
        return z;
    }
    mt_format(path, sizeof(path), "%s/%s", DATABASE, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        if (access(DATABASE, R_OK) != 0)
            mt_fail(e, MT_UNAVAILABLE, "this machine has no time zone database at %s (package tzdata)",
                    DATABASE);
        else
            mt_fail(e, MT_INVALID_REQUEST,
                    "there is no time zone \"%s\"; zones are named like \"Asia/Seoul\"", name);
        goto fail;
    }
    data = mt_calloc(1, FILE_MAX);
    for (ssize_t n = 1; n > 0 && len<FILE_MAX; len += n> 0 ? (size_t)n : 0)
        n = read(fd, data + len, FILE_MAX - len);
    if (!read_zone(z, data, len)) {
        mt_fail(e, MT_INVALID_REQUEST, "\"%s\" is not a time zone (%s is not a TZif file)", name, path);
        goto fail;
    }
    free(data);
    close(fd);
    return z;
fail:
    free(data);
    if (fd >= 0) close(fd);
    mt_zone_free(z);
    return NULL;
}

void mt_zone_free(struct mt_zone *z) {
    if (z == NULL) return;
    free(z->at);
    free(z->offsets);
    free(z);
}

int mt_zone_offset(const struct mt_zone *z, int64_t at) {
    if (z->count == 0) return z->has_rule ? rule_offset(z, at) : z->before;
    if (at < z->at[0]) return z->before;
    if (at >= z->at[z->count - 1] && z->has_rule) return rule_offset(z, at);
    size_t low = 0, high = z->count; /* at[low] <= at < at[high] */
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (z->at[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return z->offsets[low];
}

int64_t mt_zone_instant(const struct mt_zone *z, int64_t local) {
    int before = mt_zone_offset(z, local - 86400), after = mt_zone_offset(z, local + 86400);
    if (before == after) return local - before;
    int64_t first = local - before; /* where the clock still showed the old offset */
    if (mt_zone_offset(z, first) == before) return first;
    int64_t second = local - after;
    if (mt_zone_offset(z, second) == after) return second;
    return first; /* skipped: as much later as the clock went forward */
}

int64_t mt_zone_instant_or_jump(const struct mt_zone *z, int64_t local) {
    int64_t at = mt_zone_instant(z, local);
    if (at + mt_zone_offset(z, at) == local) return at;
    int64_t low = local - mt_zone_offset(z, at), high = at; /* low is before the change, high is not */
    int after = mt_zone_offset(z, high);
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (mt_zone_offset(z, middle) == after)
            high = middle;
        else
            low = middle;
    }
    return high;
}
