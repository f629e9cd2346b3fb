/* Time zones from the system's database (TZif files, RFC 9636), without the process-wide state of
 * localtime(): what the offset was, is or will be at an instant, and which instant a local time means. Pure
 * after opening; any thread. */
#pragma once
#include "base/error.h"
#include <stdint.h>

struct mt_zone;

/* "Asia/Seoul", "UTC". NULL: MT_INVALID_REQUEST (no such zone), MT_UNAVAILABLE (no database on this machine).
 */
struct mt_zone *mt_zone_open(const char *name, struct mt_error *e);
void mt_zone_free(struct mt_zone *z);
/* Seconds east of Greenwich at an instant (seconds since 1970). */
int mt_zone_offset(const struct mt_zone *z, int64_t at);
/* The instant that a local time means, given as seconds since 1970 as if it were UTC. A time that a clock
 * change skips is as much later; one that comes twice is the first. */
int64_t mt_zone_instant(const struct mt_zone *z, int64_t local);
/* The same, but a time that a clock change skips is the instant of the change. */
int64_t mt_zone_instant_or_jump(const struct mt_zone *z, int64_t local);

/* ---- the calendar (proleptic Gregorian) ---- */

struct mt_civil {
    int64_t year;
    int month, day, hour, minute, second;
};
int64_t mt_civil_days(int64_t year, int month, int day); /* days since 1970-01-01 */
int64_t mt_civil_seconds(const struct mt_civil *c);      /* as if it were UTC */
void mt_civil_from(int64_t seconds, struct mt_civil *out);
int mt_month_days(int64_t year, int month);
