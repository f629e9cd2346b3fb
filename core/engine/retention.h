/* Retention: what has been kept long enough goes. An ended run becomes a tombstone; the rest (journals of
 * ended segments, events, deliveries, documents of collections that say so, files of generations that nobody
 * needs) is taken away. In the background, a small piece a commit; or because somebody asks for it. Any
 * thread. */
#pragma once
#include "engine/engine.h"

struct mt_purge_ask {
    int64_t before;   /* runs that ended by then */
    const char *flow; /* only runs of this flow; NULL: any */
    bool dry;         /* only say what would go */
    size_t limit;     /* at most so many in this call */
};
struct mt_purged {
    int64_t runs;  /* that went; dry: that would */
    int64_t bytes; /* dry: about as many */
    bool more;
};
/* Makes tombstones of ended runs, however long they are to be kept, and takes their journals away. */
int mt_engine_purge(struct mt_engine *g, const struct mt_purge_ask *ask, struct mt_purged *out,
                    struct mt_error *e);

struct mt_erased {
    size_t count, left_count;
    char (*runs)[MT_ID_SIZE]; /* erased: the run, and the ended ones that it and they had started */
    char (*left)[MT_ID_SIZE]; /* started by those, and not ended yet */
};
void mt_erased_clear(struct mt_erased *x);
/* Takes away at once what an ended run knows of a person: only its tombstone stays, and nothing of the rest
 * is in the store's files any more. MT_NOT_FOUND, MT_CONFLICT (it has not ended). */
int mt_engine_erase(struct mt_engine *g, const char *run_id, struct mt_erased *out, struct mt_error *e);
