/* Finding runs by what is in them: their inputs, progress, outputs, errors and journals, newest first. There
 * is no index of it, so a search looks at so many runs and for so long, says where it was cut off, and goes
 * on from there when asked again. Sealed values are not looked into. Any thread. */
#pragma once
#include "engine/engine.h"
#include <jansson.h>

struct mt_search {
    const char *text;      /* anywhere in a text, whatever its case */
    const char *reference; /* a whole text, or the run's key */
    const char *email;     /* a whole text, whatever its case */
    const char *amount;    /* "80.00 USD" or "80.00"; 80 and 80.00 are the same */
    const char *last4;  /* four digits: of a member that says so (last4), or at the end of a masked number */
    const char *flow;   /* NULL: any */
    int state;          /* -1: any */
    int64_t since;      /* ms; runs that began before are not looked at; 0: all */
    const char *before; /* go on with runs older than this one; NULL: from the newest */
    size_t limit;       /* of what is found */
    size_t scan_max;    /* runs that are looked at; 0: 5,000 */
    int time_max_ms;    /* 0: 3,000 */
};

/* All of what is given must be found in a run. 0: *out is a new reference to
 *   {"data":[run with "matched":["input.email"]],"scanned":n,"cut":bool,"next_cursor":id or null}
 * -1: MT_INVALID_REQUEST (nothing to look for, or not what was wanted), MT_STORE. */
int mt_engine_search(struct mt_engine *g, const struct mt_search *s, json_t **out, struct mt_error *e);
