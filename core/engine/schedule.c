/* One schedule. See schedule.h. */
#include "engine/schedule.h"
#include "base/json.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

static const char *const catch_ups[] = {"once", "skip", "all"};

bool mt_catch_up_from_name(const char *name, enum mt_catch_up *out) {
    for (int i = 0; i < 3; i++) {
        if (strcmp(name, catch_ups[i]) != 0) continue;
        *out = (enum mt_catch_up)i;
        return true;
    }
    return false;
}

const char *mt_catch_up_name(enum mt_catch_up c) {
    return catch_ups[c];
}

int mt_schedule_read(const json_t *row, struct mt_schedule *out, struct mt_error *e) {
    const char *catch_up = mt_json_str(row, "catch_up", "once");
    const json_t *input = json_object_get(row, "input");
    *out = (struct mt_schedule){.every_ms = mt_json_int(row, "every_ms", 0),
                                .from_ms = mt_json_int(row, "from_ms", 0)};
    out->is_cron = out->every_ms == 0;
    if (!mt_copy(out->name, sizeof out->name, mt_json_str(row, "name", "")) || !out->name[0] ||
        !mt_copy(out->flow, sizeof out->flow, mt_json_str(row, "flow", "")) ||
        !mt_copy(out->when, sizeof out->when, mt_json_str(row, "when", "")) ||
        !mt_copy(out->zone, sizeof out->zone, mt_json_str(row, "zone", "UTC")) ||
        !mt_catch_up_from_name(catch_up, &out->catch_up) || out->every_ms < 0)
        return mt_fail(e, MT_INVALID_REQUEST, "this is not a schedule");
    mt_format(out->site, sizeof out->site, "%.96s:%d", mt_json_str(row, "file", ""),
              (int)mt_json_int(row, "line", 0));
    if (out->is_cron &&
        (mt_cron_parse(out->when, &out->cron, e) != 0 || !(out->tz = mt_zone_open(out->zone, e))))
        return mt_error_wrap(e, "schedule \"%s\"", out->name);
    out->input = input ? mt_json_dump(input, NULL) : mt_strdup("{}");
    return 0;
}

void mt_schedule_clear(struct mt_schedule *s) {
    mt_zone_free(s->tz);
    free(s->input);
    s->tz = NULL;
    s->input = NULL;
}

static int64_t seconds(int64_t ms) {
    return ms >= 0 ? ms / 1000 : -((-ms + 999) / 1000);
}

int64_t mt_schedule_next(const struct mt_schedule *s, int64_t after) {
    int64_t at;
    if (!s->is_cron) return mt_every_next(s->from_ms, s->every_ms, after);
    return mt_cron_next(&s->cron, s->tz, seconds(after), &at) ? at * 1000 : MT_NEVER;
}

static int64_t missed_of_every(const struct mt_schedule *s, int64_t first, int64_t now, size_t most,
                               bool *more) {
    int64_t count = (now - first) / s->every_ms + 1;
    *more = count > (int64_t)most;
    return *more ? first + (count - (int64_t)most) * s->every_ms : first;
}

/* Looks back from now, ever further, until there are enough. */
int64_t mt_schedule_missed(const struct mt_schedule *s, int64_t after, int64_t now, size_t most, bool *more) {
    int64_t first = mt_schedule_next(s, after);
    *more = false;
    if (first > now) return MT_NEVER;
    if (!s->is_cron) return missed_of_every(s, first, now, most, more);
    int64_t *last = mt_calloc(most, sizeof *last), from = after;
    size_t n = 0;
    for (int64_t back = (int64_t)most * 60000; n < most; back *= 2) {
        from = now - back > after ? now - back : after;
        n = 0;
        for (int64_t at = mt_schedule_next(s, from); at <= now; at = mt_schedule_next(s, at))
            last[n++ % most] = at;
        if (from == after) break;
    }
    int64_t oldest = last[n > most ? n % most : 0];
    free(last);
    *more = oldest > first;
    return oldest;
}

void mt_schedule_signature(const struct mt_schedule *s, char *out, size_t size) {
    if (s->is_cron)
        mt_format(out, size, "cron %s %s", s->when, s->zone);
    else
        mt_format(out, size, "every %lld from %lld", (long long)s->every_ms, (long long)s->from_ms);
}
