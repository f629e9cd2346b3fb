/* What shadow.c (commits, crashes) and shadow_reads.c share. Inside core/store only. */
#pragma once
#include "base/buf.h"
#include "store/shadow.h"

enum { MT_SHADOW_COLLECTIONS = 64 };

/* A commit's batches once more, for the oracle: what an operation fills in is its own. */
struct mt_shadow_copies {
    struct mt_batch *batches, **list;
    struct mt_op *ops;
    struct mt_entry *entries;
    struct mt_delivery *deliveries;
    struct mt_audit *audits;
    size_t count;
};

struct mt_shadow {
    struct mt_store *oracle;
    struct mt_shadowed *open; /* NULL: none */
    int64_t commits;          /* that were done to the oracle */
    bool committing;
    struct mt_shadow_copies copies;
    char collections[MT_SHADOW_COLLECTIONS][MT_NAME_MAX]; /* that documents were put in */
    size_t collection_count;
    struct mt_buf found, wanted;
    char *difference;
    struct mt_shadow_stats stats;
};

struct mt_shadowed {
    struct mt_store store; /* first: the vtable's self */
    struct mt_store *real;
    struct mt_shadow *shadow;
};

void mt_shadow_set_reads(struct mt_store *store);
/* Compares what was said, found and wanted, and forgets it. */
void mt_shadow_judge(struct mt_shadow *s, const char *what);
