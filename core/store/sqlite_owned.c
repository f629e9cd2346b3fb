/* The runs that are owned now, kept in memory so that a batch's owner is checked without a query. The map may
 * be believed because one process holds the lock file and one connection writes; every change of it is in the
 * undo log until the commit, so that a rollback of rows is a rollback of the map too. The writer's thread. */
#include "base/text.h"
#include "store/sqlite_private.h"
#include <stdlib.h>
#include <string.h>

static size_t bucket_of(const struct mt_sqlite *s, const char *id) {
    uint64_t h = 1469598103934665603u;
    for (; *id; id++) h = (h ^ (unsigned char)*id) * 1099511628211u;
    return (size_t)(h ^ h >> 32) & (s->bucket_count - 1);
}

struct mt_owned *mt_owned_find(struct mt_sqlite *s, const char *id) {
    if (!s->bucket_count) return NULL;
    for (struct mt_owned *o = s->buckets[bucket_of(s, id)]; o; o = o->next)
        if (strcmp(o->id, id) == 0) return o;
    return NULL;
}

static void link_in(struct mt_sqlite *s, struct mt_owned *o) {
    struct mt_owned **head = &s->buckets[bucket_of(s, o->id)];
    o->next = *head;
    *head = o;
    s->owned_count++;
}

static void link_out(struct mt_sqlite *s, struct mt_owned *o) {
    struct mt_owned **at = &s->buckets[bucket_of(s, o->id)];
    while (*at != o) at = &(*at)->next;
    *at = o->next;
    s->owned_count--;
}

static void grow(struct mt_sqlite *s) {
    struct mt_owned **old = s->buckets;
    size_t old_count = s->bucket_count;
    s->bucket_count = old_count ? old_count * 2 : 64;
    s->buckets = mt_calloc(s->bucket_count, sizeof(struct mt_owned *));
    s->owned_count = 0;
    for (size_t i = 0; i < old_count; i++) {
        for (struct mt_owned *o = old[i], *next; o; o = next) {
            next = o->next;
            link_in(s, o);
        }
    }
    free(old);
}

static struct mt_undo *log_undo(struct mt_sqlite *s, enum mt_undo_kind kind, struct mt_owned *o) {
    if (s->undo_count == s->undo_cap) {
        s->undo_cap = s->undo_cap ? s->undo_cap * 2 : 64;
        s->undo = mt_realloc(s->undo, s->undo_cap * sizeof *s->undo);
    }
    struct mt_undo *u = &s->undo[s->undo_count++];
    u->kind = kind;
    u->owned = o;
    return u;
}

struct mt_owned *mt_owned_add(struct mt_sqlite *s, const struct mt_owned *value) {
    if (s->owned_count >= s->bucket_count) grow(s);
    struct mt_owned *o = mt_calloc(1, sizeof *o);
    *o = *value;
    link_in(s, o);
    log_undo(s, UNDO_ADDED, o);
    return o;
}

void mt_owned_touch(struct mt_sqlite *s, struct mt_owned *o) {
    log_undo(s, UNDO_CHANGED, o)->before = *o;
}

void mt_owned_remove(struct mt_sqlite *s, struct mt_owned *o) {
    link_out(s, o);
    log_undo(s, UNDO_REMOVED, o);
}

static void add_count(struct mt_sqlite *s, int64_t generation, int state, int delta) {
    size_t i = 0;
    while (i < s->counts_count && s->counts[i].generation != generation) i++;
    if (i == s->counts_count) {
        if (i == s->counts_cap) {
            s->counts_cap = s->counts_cap ? s->counts_cap * 2 : 4;
            s->counts = mt_realloc(s->counts, s->counts_cap * sizeof *s->counts);
        }
        s->counts[i] = (struct mt_run_count){.generation = generation};
        s->counts_count++;
    }
    s->counts[i].delta[state] += delta;
}

void mt_owned_count(struct mt_sqlite *s, int64_t generation, int state, int delta) {
    struct mt_undo *u = log_undo(s, UNDO_COUNT, NULL);
    u->generation = generation;
    u->state = state;
    u->delta = delta;
    add_count(s, generation, state, delta);
}

void mt_owned_rollback(struct mt_sqlite *s, size_t mark) {
    while (s->undo_count > mark) {
        struct mt_undo *u = &s->undo[--s->undo_count];
        switch (u->kind) {
        case UNDO_CHANGED: {
            struct mt_owned *next = u->owned->next; /* its place in the map is not what changed */
            *u->owned = u->before;
            u->owned->next = next;
            break;
        }
        case UNDO_ADDED:
            link_out(s, u->owned);
            free(u->owned);
            break;
        case UNDO_REMOVED:
            link_in(s, u->owned);
            break;
        case UNDO_COUNT:
            add_count(s, u->generation, u->state, -u->delta);
            break;
        }
    }
}

void mt_owned_settle(struct mt_sqlite *s) {
    for (size_t i = 0; i < s->undo_count; i++)
        if (s->undo[i].kind == UNDO_REMOVED) free(s->undo[i].owned);
    s->undo_count = 0;
    s->counts_count = 0;
}

void mt_owned_forget(struct mt_sqlite *s) {
    mt_owned_settle(s);
    for (size_t i = 0; i < s->bucket_count; i++) {
        for (struct mt_owned *o = s->buckets[i], *next; o; o = next) {
            next = o->next;
            free(o);
        }
    }
    free(s->buckets);
    free(s->undo);
    free(s->counts);
    s->buckets = NULL;
    s->undo = NULL;
    s->counts = NULL;
    s->bucket_count = s->owned_count = s->undo_cap = s->counts_cap = 0;
}
