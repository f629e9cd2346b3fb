/* A store that is shadowed by the oracle: what is written to it is done to the in-memory store as well, every
 * answer of the one is compared with the other's, and after a crash what is there must be all that was
 * answered, with the commit under way whole or absent. For the simulated world and tests.
 *
 * The shadow outlives the stores that are opened one after another on the same files. One thread at a time
 * uses it, such as the one that holds the baton; a reader that meets a commit under way is not compared. */
#pragma once
#include "store/store.h"

struct mt_shadow;

struct mt_shadow_stats {
    int64_t commits, operations, reads, restarts; /* that were compared */
    int64_t missed;                               /* reads that met a commit */
};

/* Of a store in which nothing is yet. Caller frees, when no store over it is used any more. */
struct mt_shadow *mt_shadow_new(void);
void mt_shadow_free(struct mt_shadow *s);
/* A store like `store`, which was just opened and is closed with it. After a crash the one before is closed
 * like any other, or abandoned. */
struct mt_store *mt_shadow_over(struct mt_shadow *s, struct mt_store *store);
/* Compares all there is in the open store, if no commit is under way. */
void mt_shadow_compare(struct mt_shadow *s);
/* The first difference that was found; NULL: none. Borrowed. */
const char *mt_shadow_difference(const struct mt_shadow *s);
void mt_shadow_stats(const struct mt_shadow *s, struct mt_shadow_stats *out);
