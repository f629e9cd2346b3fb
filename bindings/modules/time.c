/* Times as values, and mintage.time. A time is a table { ms, zone, offset } with a metatable: plain fields,
 * so it crosses the journal. What the zone tables say is an effect's answer (they change under sleeping
 * runs); UTC needs no tables. `day_wanted` is the day of the month that a date began with, kept where a month
 * was too short for it. */
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "base/zone.h"
#include "bindings/modules/module.h"
#include "bindings/modules/modules.h"
#include "bindings/modules/schema_text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define METATABLE "mintage.time"
#define MS_MAX INT64_C(253402300799999) /* the end of year 9999 */
#define MS_MIN INT64_C(-62135596800000) /* the beginning of year 1 */

enum { ZONE_BYTES = 63, COUNT_MAX = 1000000 };

struct time {
    int64_t ms;
    char zone[ZONE_BYTES + 1]; /* "UTC" */
    int offset;                /* seconds east, at ms */
    int day;                   /* 0: the date's own */
};

/* ---- values ---- */

static void push_metatable(lua_State *L);

static void push(lua_State *L, const struct time *t) {
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, t->ms);
    lua_setfield(L, -2, "ms");
    lua_pushstring(L, t->zone);
    lua_setfield(L, -2, "zone");
    lua_pushinteger(L, t->offset);
    lua_setfield(L, -2, "offset");
    if (t->day != 0) {
        lua_pushinteger(L, t->day);
        lua_setfield(L, -2, "day_wanted");
    }
    push_metatable(L);
    lua_setmetatable(L, -2);
}

void mt_time_push(lua_State *L, int64_t ms) {
    struct time t = {.ms = ms, .zone = "UTC"};
    push(L, &t);
}

static lua_Integer integer_field(lua_State *L, int index, const char *name) {
    mt_module_option(L, index, name);
    lua_Integer n = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
    lua_pop(L, 1);
    return n;
}

bool mt_time_test(lua_State *L, int index, int64_t *ms) {
    if (mt_module_option(L, index, "ms") != LUA_TNUMBER || !lua_isinteger(L, -1)) {
        lua_pop(L, 1);
        return false;
    }
    *ms = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return true;
}

static bool read_value(lua_State *L, int index, struct time *t) {
    memset(t, 0, sizeof(*t));
    mt_format(t->zone, sizeof(t->zone), "UTC");
    if (!mt_time_test(L, index, &t->ms)) return false;
    t->offset = (int)integer_field(L, index, "offset");
    t->day = (int)integer_field(L, index, "day_wanted");
    if (mt_module_option(L, index, "zone") == LUA_TSTRING)
        mt_format(t->zone, sizeof(t->zone), "%s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return true;
}

static struct time check_value(lua_State *L, int index) {
    struct time t;
    if (!read_value(L, index, &t)) luaL_error(L, "wanted a time, not %s", luaL_typename(L, index));
    return t;
}

static void civil(const struct time *t, struct mt_civil *c) {
    int64_t seconds = t->ms / 1000 - (t->ms % 1000 < 0 ? 1 : 0);
    mt_civil_from(seconds + t->offset, c);
}

/* "2027-01-31T09:00:00.000+09:00": always with milliseconds, so that texts of one zone sort as their
 * instants. */
static void format(const struct time *t, char out[48]) {
    struct mt_civil c;
    civil(t, &c);
    char zone[16] = "Z";
    int ms = (int)(((t->ms % 1000) + 1000) % 1000), offset = abs(t->offset);
    if (strcmp(t->zone, "UTC") != 0 || t->offset != 0)
        snprintf(zone, sizeof(zone), "%c%02d:%02d", t->offset < 0 ? '-' : '+', offset / 3600 % 100,
                 offset / 60 % 60);
    snprintf(out, 48, "%04d-%02d-%02dT%02d:%02d:%02d.%03d%s", (int)c.year, c.month, c.day, c.hour, c.minute,
             c.second, ms, zone);
}

/* ---- dates: what is asked, and the answer ---- */

/* A local time in a zone, moved by months and days by the calendar and then by ms. */
struct question {
    char zone[ZONE_BYTES + 1];
    bool has_instant;
    int64_t ms;            /* the instant, or */
    struct mt_civil local; /* the local time */
    int day;               /* the day wanted; 0: the date's own */
    int64_t months, days, add_ms;
};

static int answer(const struct question *q, struct time *out, struct mt_error *e) {
    struct mt_zone *z = mt_zone_open(q->zone, e);
    if (z == NULL) return -1;
    struct mt_civil c = q->local;
    int64_t ms = q->ms, rest = 0;
    if (q->has_instant) {
        int64_t seconds = ms / 1000 - (ms % 1000 < 0 ? 1 : 0);
        rest = ms - seconds * 1000;
        mt_civil_from(seconds + mt_zone_offset(z, seconds), &c);
    }
    int wanted = q->day != 0 ? q->day : c.day;
    if (q->months != 0) {
        int64_t month = c.year * 12 + (c.month - 1) + q->months;
        c.year = month >= 0 ? month / 12 : (month - 11) / 12;
        c.month = (int)(month - c.year * 12) + 1;
        int last = mt_month_days(c.year, c.month);
        c.day = wanted < last ? wanted : last;
    }
    if (q->days != 0) {
        struct mt_civil moved;
        mt_civil_from(mt_civil_seconds(&c) + q->days * 86400, &moved);
        c = moved;
        wanted = c.day;
    }
    if (!q->has_instant || q->months != 0 || q->days != 0)
        ms = mt_zone_instant(z, mt_civil_seconds(&c)) * 1000 + rest;
    ms += q->add_ms;
    memset(out, 0, sizeof(*out));
    out->ms = ms;
    mt_format(out->zone, sizeof(out->zone), "%s", q->zone);
    int64_t seconds = ms / 1000 - (ms % 1000 < 0 ? 1 : 0);
    out->offset = mt_zone_offset(z, seconds);
    out->day = wanted != c.day && q->add_ms == 0 ? wanted : 0;
    mt_zone_free(z);
    if (ms >= MS_MIN && ms <= MS_MAX) return 0;
    return mt_fail(e, MT_INVALID_REQUEST, "the date is outside the years 1 to 9999");
}

static int compute(void *arg, struct mt_buf *json, struct mt_error *e) {
    struct time t;
    if (answer(arg, &t, e) != 0) return -1;
    mt_buf_addf(json, "{\"ms\":%" PRId64 ",\"offset\":%d,\"zone\":\"%s\"", t.ms, t.offset, t.zone);
    if (t.day != 0) mt_buf_addf(json, ",\"day_wanted\":%d", t.day);
    mt_buf_addc(json, '}');
    return 0;
}

/* Pushes the answer: at once for UTC, journaled for every other zone. */
static int ask(lua_State *L, struct question *q, const char *what) {
    struct time t;
    struct mt_error e;
    if (strcmp(q->zone, "UTC") == 0) {
        if (answer(q, &t, &e) != 0) return luaL_error(L, "%s: %s", what, e.message);
        push(L, &t);
        return 1;
    }
    struct mt_effect f;
    mt_module_begin(L, &f, what);
    struct mt_buf *params = mt_module_scratch(L);
    struct mt_civil c = q->local;
    mt_buf_addf(params,
                "{\"zone\":\"%s\",\"day\":%d,\"months\":%" PRId64 ",\"days\":%" PRId64 ",\"ms\":%" PRId64,
                q->zone, q->day, q->months, q->days, q->add_ms);
    if (q->has_instant)
        mt_buf_addf(params, ",\"at\":%" PRId64 "}", q->ms);
    else
        mt_buf_addf(params, ",\"local\":\"%04" PRId64 "-%02d-%02dT%02d:%02d:%02d\"}", c.year, c.month, c.day,
                    c.hour, c.minute, c.second);
    mt_vm_effect_begin(L);
    mt_effect_pure(f.x, "date/1", params->data, compute, q, f.site, &f.a);
    mt_module_end(L, &f);
    if (!read_value(L, -1, &t)) return luaL_error(L, "%s: the journal holds no date", what);
    push(L, &t);
    return 1;
}

/* ---- reading what scripts say ---- */

/* "2027-01-31", "2027-01-31T09:00[:00]": a local time. */
static bool parse_local(const char *s, struct mt_civil *c) {
    int y, m, d, h = 0, min = 0, sec = 0, n = 0;
    memset(c, 0, sizeof(*c));
    if (sscanf(s, "%4d-%2d-%2d%n", &y, &m, &d, &n) != 3 || n != 10) return false;
    if (s[n] == 'T' || s[n] == ' ') {
        int at = n + 1;
        n = 0;
        if (sscanf(s + at, "%2d:%2d%n", &h, &min, &n) != 2 || n != 5) return false;
        at += n;
        if (s[at] == ':') {
            if (sscanf(s + at, ":%2d%n", &sec, &n) != 1 || n != 3) return false;
            at += n;
        }
        n = at;
    }
    if (s[n] != '\0' || y < 1 || m < 1 || m > 12 || d < 1 || d > mt_month_days(y, m)) return false;
    if (h < 0 || h > 23 || min < 0 || min > 59 || sec < 0 || sec > 59) return false;
    *c = (struct mt_civil){.year = y, .month = m, .day = d, .hour = h, .minute = min, .second = sec};
    return true;
}

bool mt_time_is_local(const char *s) {
    struct mt_civil c;
    return parse_local(s, &c);
}

static bool local_field(lua_State *L, int index, const char *name, int least, int most, int fallback,
                        int *out) {
    int type = mt_module_option(L, index, name);
    bool ok = type == LUA_TNIL
                  ? fallback >= 0
                  : lua_isinteger(L, -1) && lua_tointeger(L, -1) >= least && lua_tointeger(L, -1) <= most;
    *out = type == LUA_TNIL ? fallback : (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    return ok;
}

static bool table_local(lua_State *L, int index, struct mt_civil *c) {
    int year;
    bool ok = local_field(L, index, "year", 1, 9999, -1, &year) &&
              local_field(L, index, "month", 1, 12, -1, &c->month) &&
              local_field(L, index, "day", 1, 31, -1, &c->day) &&
              local_field(L, index, "hour", 0, 23, 0, &c->hour) &&
              local_field(L, index, "minute", 0, 59, 0, &c->minute) &&
              local_field(L, index, "second", 0, 59, 0, &c->second);
    c->year = year;
    return ok && c->day <= mt_month_days(year, c->month);
}

/* date(anchor [, zone]) */
int mt_time_date(lua_State *L) {
    static const char *const fields[] = {"year", "month", "day", "hour", "minute", "second", NULL};
    struct question q = {.zone = "UTC"};
    struct time t;
    lua_settop(L, 2);
    bool is_time = lua_istable(L, 1) && read_value(L, 1, &t);
    if (is_time) mt_format(q.zone, sizeof(q.zone), "%s", t.zone);
    if (!lua_isnil(L, 2)) {
        const char *zone = mt_module_string(L, 2, "flow.date", "the zone", ZONE_BYTES);
        mt_format(q.zone, sizeof(q.zone), "%s", zone);
        if (strpbrk(zone, "\"\\") != NULL) return luaL_error(L, "flow.date: \"%s\" is not a time zone", zone);
    }
    if (is_time) {
        q.has_instant = true;
        q.ms = t.ms;
        q.day = strcmp(q.zone, t.zone) == 0 ? t.day : 0;
    } else if (lua_istable(L, 1)) {
        mt_module_fields(L, 1, "flow.date", fields);
        if (!table_local(L, 1, &q.local))
            return luaL_error(
                L, "flow.date: wanted { year = 2027, month = 1, day = 31 [, hour, minute, second] }");
    } else if (lua_type(L, 1) == LUA_TSTRING && parse_local(lua_tostring(L, 1), &q.local)) {
        q.has_instant = false;
    } else {
        q.has_instant = true;
        q.ms = mt_module_instant(L, 1, "flow.date", "the date");
    }
    return ask(L, &q, "flow.date");
}

/* "month", "3 months", "2 weeks", "1mo", "1y": calendar units; anything else is a duration. */
static bool parse_calendar(const char *s, int64_t *months, int64_t *days) {
    static const struct {
        const char *name;
        int months, days;
    } units[] = {{"day", 0, 1},      {"days", 0, 1},  {"d", 0, 1},      {"week", 0, 7}, {"weeks", 0, 7},
                 {"w", 0, 7},        {"month", 1, 0}, {"months", 1, 0}, {"mo", 1, 0},   {"quarter", 3, 0},
                 {"quarters", 3, 0}, {"year", 12, 0}, {"years", 12, 0}, {"y", 12, 0}};
    int64_t n = 1;
    size_t digits = strspn(s, "0123456789");
    char number[16];
    if (digits > 0 && (!mt_format(number, sizeof(number), "%.*s", (int)digits, s) ||
                       !mt_parse_int(number, 0, COUNT_MAX, &n)))
        return false;
    s += digits;
    if (digits > 0 && *s == ' ') s++;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(units[i].name, s) != 0) continue;
        *months = n * units[i].months;
        *days = n * units[i].days;
        return true;
    }
    return false;
}

bool mt_time_is_period(const char *s) {
    int64_t months = 0, days = 0;
    return parse_calendar(s, &months, &days) && (months > 0 || days > 0);
}

/* t:plus(span [, count]), t:minus(...) */
static int move(lua_State *L, int sign, const char *what) {
    struct time t = check_value(L, 1);
    lua_Integer count = luaL_optinteger(L, 3, 1);
    luaL_argcheck(L, count >= -COUNT_MAX && count <= COUNT_MAX, 3, "at most 1,000,000");
    struct question q = {.has_instant = true, .ms = t.ms, .day = t.day};
    mt_format(q.zone, sizeof(q.zone), "%s", t.zone);
    if (lua_type(L, 2) != LUA_TSTRING || !parse_calendar(lua_tostring(L, 2), &q.months, &q.days)) {
        if (lua_type(L, 2) == LUA_TTABLE || lua_isnoneornil(L, 2))
            return luaL_error(L, "%s wants \"1 month\", \"2 weeks\", \"1h30m\" or seconds, not %s", what,
                              luaL_typename(L, 2));
        q.add_ms = mt_module_duration(L, 2, what, "the span");
    }
    bool fits = !__builtin_mul_overflow(q.months, sign * count, &q.months) &&
                !__builtin_mul_overflow(q.days, sign * count, &q.days) &&
                !__builtin_mul_overflow(q.add_ms, sign * count, &q.add_ms);
    int64_t most = 10000 * INT64_C(366);
    if (!fits || llabs(q.months) > 120000 || llabs(q.days) > most || llabs(q.add_ms) > most * 86400000)
        return luaL_error(L, "%s: that is beyond the year 9999", what);
    return ask(L, &q, what);
}

static int plus(lua_State *L) {
    return move(L, 1, "plus");
}
static int minus(lua_State *L) {
    return move(L, -1, "minus");
}

/* ---- methods ---- */

static const char *const day_names[] = {"Thursday", "Friday",  "Saturday", "Sunday",
                                        "Monday",   "Tuesday", "Wednesday"};
static const char *const month_names[] = {"January",   "February", "March",    "April",
                                          "May",       "June",     "July",     "August",
                                          "September", "October",  "November", "December"};

static int weekday(const struct time *t) { /* days from Thursday */
    int64_t seconds = t->ms / 1000 - (t->ms % 1000 < 0 ? 1 : 0) + t->offset;
    int64_t days = seconds / 86400 - (seconds % 86400 < 0 ? 1 : 0);
    return (int)((days % 7 + 7) % 7);
}

/* A few letters of strftime, in English whatever the locale. */
static bool format_letter(luaL_Buffer *b, char letter, const struct time *t, const struct mt_civil *c) {
    char text[32];
    int offset = abs(t->offset);
    switch (letter) {
    case 'Y':
        snprintf(text, sizeof(text), "%04d", (int)c->year);
        break;
    case 'm':
        snprintf(text, sizeof(text), "%02d", c->month);
        break;
    case 'd':
        snprintf(text, sizeof(text), "%02d", c->day);
        break;
    case 'e':
        snprintf(text, sizeof(text), "%d", c->day);
        break;
    case 'H':
        snprintf(text, sizeof(text), "%02d", c->hour);
        break;
    case 'M':
        snprintf(text, sizeof(text), "%02d", c->minute);
        break;
    case 'S':
        snprintf(text, sizeof(text), "%02d", c->second);
        break;
    case 'a':
        snprintf(text, sizeof(text), "%.3s", day_names[weekday(t)]);
        break;
    case 'A':
        snprintf(text, sizeof(text), "%s", day_names[weekday(t)]);
        break;
    case 'b':
        snprintf(text, sizeof(text), "%.3s", month_names[c->month - 1]);
        break;
    case 'B':
        snprintf(text, sizeof(text), "%s", month_names[c->month - 1]);
        break;
    case 'z':
        snprintf(text, sizeof(text), "%c%02d%02d", t->offset < 0 ? '-' : '+', offset / 3600,
                 offset / 60 % 60);
        break;
    case '%':
        snprintf(text, sizeof(text), "%%");
        break;
    default:
        return false;
    }
    luaL_addstring(b, text);
    return true;
}

/* t:format() is RFC 3339; t:format("%Y-%m-%d %H:%M") as it says. */
static int time_format(lua_State *L) {
    struct time t = check_value(L, 1);
    if (lua_isnoneornil(L, 2)) {
        char text[48];
        format(&t, text);
        lua_pushstring(L, text);
        return 1;
    }
    const char *pattern = luaL_checkstring(L, 2);
    struct mt_civil c;
    civil(&t, &c);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (const char *p = pattern; *p != '\0'; p++) {
        if (*p != '%')
            luaL_addchar(&b, *p);
        else if (p++, *p == '\0' || !format_letter(&b, *p, &t, &c))
            return luaL_error(L, "format: after %% comes one of Y m d e H M S a A b B z %%");
    }
    luaL_pushresult(&b);
    return 1;
}

static int time_zone(lua_State *L) {
    lua_settop(L, 2);
    return mt_time_date(L);
}

static const luaL_Reg methods[] = {
    {"plus", plus}, {"minus", minus}, {"format", time_format}, {"in_zone", time_zone}, {NULL, NULL}};

/* Methods (upvalue 1), and the fields of the local time. */
static int time_index(lua_State *L) {
    static const char *const names[] = {"ms",   "zone", "offset", "year",   "month",
                                        "day",  "hour", "minute", "second", "weekday",
                                        "date", "plus", "minus",  "format", "in_zone"};
    const char *key = luaL_checkstring(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL) return 1;
    if (strcmp(key, "day_wanted") == 0) {
        lua_pushnil(L);
        return 1;
    }
    struct time t = check_value(L, 1);
    struct mt_civil c;
    civil(&t, &c);
    const struct {
        const char *name;
        int64_t value;
    } fields[] = {{"year", c.year},
                  {"month", c.month},
                  {"day", c.day},
                  {"hour", c.hour},
                  {"minute", c.minute},
                  {"second", c.second},
                  {"weekday", (weekday(&t) + 3) % 7 + 1}}; /* Monday 1 ... Sunday 7 */
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (strcmp(fields[i].name, key) != 0) continue;
        lua_pushinteger(L, fields[i].value);
        return 1;
    }
    if (strcmp(key, "date") == 0) {
        char text[48];
        format(&t, text);
        lua_pushlstring(L, text, 10);
        return 1;
    }
    const char *near = mt_nearest(key, names, sizeof(names) / sizeof(names[0]));
    if (near != NULL) return luaL_error(L, "a time has no \"%s\"; did you mean \"%s\"?", key, near);
    return luaL_error(L, "a time has no \"%s\"", key);
}

static int time_tostring(lua_State *L) {
    lua_settop(L, 1);
    return time_format(L);
}

static int time_eq(lua_State *L) {
    struct time a, b;
    lua_pushboolean(L, read_value(L, 1, &a) && read_value(L, 2, &b) && a.ms == b.ms);
    return 1;
}

static int time_lt(lua_State *L) {
    lua_pushboolean(L, mt_module_instant(L, 1, "<", "the left side") <
                           mt_module_instant(L, 2, "<", "the right side"));
    return 1;
}

static int time_le(lua_State *L) {
    lua_pushboolean(L, mt_module_instant(L, 1, "<=", "the left side") <=
                           mt_module_instant(L, 2, "<=", "the right side"));
    return 1;
}

static int time_sub(lua_State *L) { /* seconds between */
    int64_t ms =
        mt_module_instant(L, 1, "-", "the left side") - mt_module_instant(L, 2, "-", "the right side");
    if (ms % 1000 == 0)
        lua_pushinteger(L, ms / 1000);
    else
        lua_pushnumber(L, (lua_Number)ms / 1000.0);
    return 1;
}

/* ---- the module ---- */

static int now(lua_State *L) {
    mt_time_push(L, mt_exec_now(mt_module_exec(L, "time.now")));
    return 1;
}

/* parse("2027-01-31T09:00:00+09:00"), at(ms): a time in UTC. */
static int parse(lua_State *L) {
    mt_time_push(L, mt_module_instant(L, 1, "time.parse", "the instant"));
    return 1;
}

static int module_format(lua_State *L) {
    struct time t;
    lua_settop(L, 2);
    if (!lua_istable(L, 1) || !read_value(L, 1, &t)) {
        mt_time_push(L, mt_module_instant(L, 1, "time.format", "the instant"));
        lua_replace(L, 1);
    }
    return time_format(L);
}

static int duration(lua_State *L) {
    int64_t ms = mt_module_duration(L, 1, "time.duration", "the duration");
    if (ms % 1000 == 0)
        lua_pushinteger(L, ms / 1000);
    else
        lua_pushnumber(L, (lua_Number)ms / 1000.0);
    return 1;
}

static int words(lua_State *L) {
    char text[64];
    mt_format_duration(mt_module_duration(L, 1, "time.words", "the duration"), text, sizeof(text));
    lua_pushstring(L, text);
    return 1;
}

static const luaL_Reg meta[] = {
    {"__tostring", time_tostring}, {"__eq", time_eq}, {"__lt", time_lt}, {"__le", time_le},
    {"__sub", time_sub},           {NULL, NULL}};
static const luaL_Reg functions[] = {{"now", now},
                                     {"parse", parse},
                                     {"format", module_format},
                                     {"duration", duration},
                                     {"words", words},
                                     {"date", mt_time_date},
                                     {NULL, NULL}};

/* Times are made by several modules: whichever comes first makes the metatable. */
static void push_metatable(lua_State *L) {
    if (!luaL_newmetatable(L, METATABLE)) return;
    luaL_setfuncs(L, meta, 0);
    luaL_newlib(L, methods);
    lua_pushcclosure(L, time_index, 1);
    lua_setfield(L, -2, "__index");
}

int mt_open_time(lua_State *L) {
    push_metatable(L);
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    return mt_module_seal(L, "mintage.time");
}
