/* What goes wrong in a simulated world: by chance, or to the letter of a plan. Invariant: whether something
 * goes wrong is a function of the seed and the number of the exchange or point alone, so that a plan made of
 * some of the mishaps repeats those and no others. */
#include "base/buf.h"
#include "base/text.h"
#include "world_private.h"
#include <stdlib.h>
#include <string.h>

enum { TO_PROVIDERS = 1, WEBHOOKS = 2, CLIENTS = 4 };

static const struct {
    const char *name;
    unsigned where;         /* which exchanges it happens to */
    int64_t least_ms, most; /* of its time; both 0: it has none */
} kinds[] = {
    [MISHAP_NONE] = {"none", 0, 0, 0},
    [MISHAP_REFUSED] = {"refused", TO_PROVIDERS | WEBHOOKS | CLIENTS, 0, 0},
    [MISHAP_LOST] = {"lost", TO_PROVIDERS | WEBHOOKS | CLIENTS, 0, 0},
    [MISHAP_CUT] = {"cut", TO_PROVIDERS | WEBHOOKS | CLIENTS, 0, 0},
    [MISHAP_SLOW] = {"slow", TO_PROVIDERS, 500, 45000},
    [MISHAP_BUSY] = {"busy", TO_PROVIDERS | WEBHOOKS, 0, 0},
    [MISHAP_TWICE] = {"twice", WEBHOOKS, 0, 0},
    [MISHAP_LATE] = {"late", WEBHOOKS, 2000, 2 * 3600 * 1000},
    [MISHAP_SWALLOWED] = {"swallowed", WEBHOOKS, 0, 0},
    [MISHAP_CLOCK] = {"clock", TO_PROVIDERS, -30000, 30000},
    [MISHAP_DEATH] = {"death", 0, 0, 0},
};
_Static_assert(sizeof kinds / sizeof kinds[0] == MISHAP_KINDS, "a row for each kind");

const char *world_mishap_name(enum mt_mishap_kind kind) {
    return kinds[kind].name;
}

/* ---- the plan ---- */

static int refuse(struct mt_error *e, const char *item) {
    return mt_fail(e, MT_USAGE,
                   "plan: found \"%.40s\", wanted points and exchanges such as \"p37 n12:lost "
                   "n14:late=60000\"",
                   item);
}

/* "p37" or "n14:late=60000". */
static bool read_item(const char *text, struct mt_mishap *m) {
    char item[64], *name, *number;
    int64_t at;
    if (!mt_copy(item, sizeof item, text)) return false;
    name = strchr(item, ':');
    *m = (struct mt_mishap){0};
    if (name) *name++ = '\0';
    if ((item[0] != 'p' && item[0] != 'n') || !mt_parse_int(item + 1, 1, INT32_MAX, &at)) return false;
    m->at = (uint64_t)at;
    if (item[0] == 'p') {
        m->kind = MISHAP_DEATH;
        return !name;
    }
    if (!name) return false;
    if ((number = strchr(name, '='))) {
        *number++ = '\0';
        if (!mt_parse_int(number, -INT32_MAX, INT32_MAX, &m->ms)) return false;
    }
    for (int i = MISHAP_REFUSED; i < MISHAP_DEATH; i++)
        if (strcmp(kinds[i].name, name) == 0) m->kind = (enum mt_mishap_kind)i;
    bool timed = kinds[m->kind].most != 0;
    return m->kind != MISHAP_NONE && timed == (number != NULL) && m->ms >= kinds[m->kind].least_ms &&
           m->ms <= kinds[m->kind].most;
}

int world_chance_plan(struct mt_world *w, const char *plan, struct mt_error *e) {
    char *text = mt_strdup(plan), *rest = text;
    int rc = 0;
    for (char *item; rc == 0 && (item = strsep(&rest, " "));) {
        if (!*item) continue;
        if (w->planned_count == MT_WORLD_MISHAPS)
            rc = mt_fail(e, MT_USAGE, "plan: found more than %d mishaps", MT_WORLD_MISHAPS);
        else if (!read_item(item, &w->planned[w->planned_count++]))
            rc = refuse(e, item);
    }
    free(text);
    return rc;
}

/* ---- what happens ---- */

/* A number for each exchange and point, of the seed (splitmix64's mixing). */
static uint64_t draw(const struct mt_world *w, uint64_t what, uint64_t at, uint64_t which) {
    uint64_t z = w->o.seed * 0x9E3779B97F4A7C15u + what * 0xD1342543DE82EF95u + at * 0xBF58476D1CE4E5B9u +
                 which * 0x94D049BB133111EBu;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static bool enough(const struct mt_world *w) {
    return w->happened_count >= (w->o.mishaps ? w->o.mishaps : MT_WORLD_MISHAPS) ||
           w->happened_count == MT_WORLD_MISHAPS;
}

static struct mt_mishap planned(const struct mt_world *w, uint64_t at, bool death) {
    for (size_t i = 0; i < w->planned_count; i++)
        if (w->planned[i].at == at && (w->planned[i].kind == MISHAP_DEATH) == death) return w->planned[i];
    return (struct mt_mishap){0};
}

static void note(struct mt_world *w, struct mt_mishap m) {
    if (m.kind != MISHAP_NONE && w->happened_count < MT_WORLD_MISHAPS) w->happened[w->happened_count++] = m;
}

bool world_chance_dies(struct mt_world *w) {
    struct mt_mishap m = {0};
    if (w->o.plan)
        m = planned(w, w->points, true);
    else if (w->o.crashes && !enough(w) && draw(w, 'p', w->points, 0) % 1000 < w->o.crashes)
        m = (struct mt_mishap){.at = w->points, .kind = MISHAP_DEATH};
    note(w, m);
    return m.kind != MISHAP_NONE;
}

static struct mt_mishap by_chance(struct mt_world *w, uint64_t at, unsigned where) {
    struct mt_mishap m = {.at = at};
    enum mt_mishap_kind fit[MISHAP_KINDS];
    size_t n = 0;
    if (!where || !w->o.faults || enough(w) || draw(w, 'n', at, 0) % 1000 >= w->o.faults) return m;
    for (int i = 0; i < MISHAP_KINDS; i++)
        if (kinds[i].where & where) fit[n++] = (enum mt_mishap_kind)i;
    m.kind = fit[draw(w, 'n', at, 1) % n];
    int64_t span = kinds[m.kind].most - kinds[m.kind].least_ms;
    if (span) m.ms = kinds[m.kind].least_ms + (int64_t)(draw(w, 'n', at, 2) % (uint64_t)span);
    return m;
}

struct mt_mishap world_chance_exchange(struct mt_world *w, enum mt_side from, enum mt_side to) {
    /* A customer's page is the provider's own affair; and hosts that a spec plays are only spoken to. */
    if (w->closing || (from == SIDE_OUTSIDE && to != SIDE_RUNTIME)) return (struct mt_mishap){0};
    uint64_t at = ++w->exchanges;
    unsigned where = from == SIDE_RUNTIME   ? TO_PROVIDERS
                     : to != SIDE_RUNTIME   ? 0
                     : from == SIDE_SANDBOX ? WEBHOOKS
                                            : CLIENTS;
    struct mt_mishap m = w->o.plan ? planned(w, at, false) : by_chance(w, at, where);
    note(w, m);
    return m;
}

char *mt_world_mishaps(const struct mt_world *w) {
    struct mt_buf b;
    mt_buf_init(&b, 64 * MT_WORLD_MISHAPS);
    for (size_t i = 0; i < w->happened_count; i++) {
        const struct mt_mishap *m = &w->happened[i];
        mt_buf_addf(&b, "%s%c%llu", i ? " " : "", m->kind == MISHAP_DEATH ? 'p' : 'n',
                    (unsigned long long)m->at);
        if (m->kind != MISHAP_DEATH) mt_buf_addf(&b, ":%s", kinds[m->kind].name);
        if (m->ms) mt_buf_addf(&b, "=%lld", (long long)m->ms);
    }
    return mt_buf_take(&b, NULL);
}
