/* When a schedule is due: cron expressions as Vixie cron documents them, and fixed intervals. Pure: the next
 * instant follows from the expression, the zone and the instant before. Any thread. */
#pragma once
#include "base/error.h"
#include "base/zone.h"
#include <stdbool.h>
#include <stdint.h>

struct mt_cron {
    uint64_t minutes;
    uint32_t hours, days, months, weekdays; /* bit n: n; Sunday is 0 */
    bool any_day, any_weekday;              /* their fields begin with "*" */
};

/* "0 3 * * *", "30 9 1-7 * mon", or a name ("@daily"). -1: MT_INVALID_REQUEST, naming the field, what was
 * found and what was wanted; also for a day that never comes. */
int mt_cron_parse(const char *text, struct mt_cron *out, struct mt_error *e);

/* The first instant (seconds since 1970) after `after`. False: none within 50 years.
 *   - With both days given (day of the month, day of the week; neither begins with "*"), either is enough.
 *   - An expression that names its hours runs once for each local time: at the jump when the clock skips it,
 *     the first time when it comes twice. One for every hour follows the clock: what is skipped is not made
 *     up for, and both of two equal hours count. */
bool mt_cron_next(const struct mt_cron *c, const struct mt_zone *zone, int64_t after, int64_t *next);

/* The first instant after `after` (ms) of those that are a multiple of `every` from `from`, not before it. */
int64_t mt_every_next(int64_t from, int64_t every, int64_t after);
