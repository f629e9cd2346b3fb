/* One schedule: what a script has registered (flow.every, flow.cron), read from its row of the registry, and
 * the instants at which it is due. Immutable once read; any thread. */
#pragma once
#include "base/error.h"
#include "engine/cron.h"
#include "store/store.h"
#include <jansson.h>

#define MT_SCHEDULES_MAX 1000     /* of a generation */
#define MT_SCHEDULE_LEAST_MS 1000 /* the shortest interval */

/* What is done about instants that passed while nothing ran. */
enum mt_catch_up {
    MT_CATCH_UP_ONCE, /* one run, for the last of them */
    MT_CATCH_UP_SKIP, /* nothing */
    MT_CATCH_UP_ALL,  /* a run for each, the last 1,000 at most */
};
bool mt_catch_up_from_name(const char *name, enum mt_catch_up *out);
const char *mt_catch_up_name(enum mt_catch_up c);

struct mt_schedule {
    char name[MT_NAME_MAX], flow[MT_NAME_MAX], when[512], zone[64];
    char *input; /* JSON */
    enum mt_catch_up catch_up;
    bool is_cron;
    struct mt_cron cron;
    struct mt_zone *tz;
    int64_t every_ms, from_ms;
    char site[112]; /* "nightly.lua:3" */
};

/* Reads {"name","flow","when","input"?,"zone"?,"catch_up"?,"every_ms"?,"from_ms"?,"file","line"}: cron
 * without every_ms. -1: the row is not one, or its zone is not known here. */
int mt_schedule_read(const json_t *row, struct mt_schedule *out, struct mt_error *e);
void mt_schedule_clear(struct mt_schedule *s);
/* The first instant (ms) after `after`; MT_NEVER when there is none. */
int64_t mt_schedule_next(const struct mt_schedule *s, int64_t after);
/* The oldest of the last `most` instants after `after` and not after `now`; MT_NEVER: there is none. *more:
 * there are older ones. */
int64_t mt_schedule_missed(const struct mt_schedule *s, int64_t after, int64_t now, size_t most, bool *more);
/* What it is due by, as a text: another one begins anew. */
void mt_schedule_signature(const struct mt_schedule *s, char *out, size_t size);
