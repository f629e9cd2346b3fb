/* Moving runs to newer code: each is replayed, dry, against the newest generation, and those whose journals
 * it agrees with are moved. Nothing is sent and nothing but the move is written. Any thread. */
#pragma once
#include "engine/engine.h"

enum mt_moved {
    MT_MOVED,
    MT_WOULD_MOVE, /* dry */
    MT_PARTS_WAYS, /* the newer code asks for something else than the journal has, or fails before its end */
    MT_BUSY,       /* executed just now, however often it was tried */
    MT_OVER,       /* ended, or compensating: its script is over */
    MT_SAME        /* it has the newest code already */
};
const char *mt_moved_name(enum mt_moved m);

struct mt_migration {
    char run[MT_ID_SIZE], flow[MT_NAME_MAX], from[80], to[80];
    enum mt_run_state state;
    enum mt_moved outcome;
    /* PARTS_WAYS: */
    int seq;           /* the effect at which, from 1 */
    char *expected;    /* JSON {"kind","name","line"}: what the journal has; NULL: nothing more */
    char *found;       /* JSON {"kind","name","line"}: what the newer code does there */
    char file[96];     /* the line of the newer code; "": not known */
    int line;          /* 0: not known */
    char message[640]; /* the same in words */
};
void mt_migration_clear(struct mt_migration *m);
/* Appended. */
void mt_migration_to_json(const struct mt_migration *m, struct mt_buf *out);

struct mt_migrate {
    const char *run;    /* this one; NULL: all that are not of the newest generation */
    const char *flow;   /* only runs of this flow; NULL: any */
    bool dry;           /* only say what would become of them */
    const char *before; /* runs older than this one; NULL: from the newest on */
    size_t limit;
};
/* 0: *list (malloc'ed; caller clears each and frees), and in `next` the run to go on before: "" when these
 * were all. A call takes a few seconds at most. -1: MT_NOT_FOUND (no such run), MT_UNAVAILABLE (no working
 * generation). */
int mt_engine_migrate(struct mt_engine *g, const struct mt_migrate *o, struct mt_migration **list,
                      size_t *count, char next[MT_ID_SIZE], struct mt_error *e);
