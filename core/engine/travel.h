/* Time travel: a run's script is run again from its journal, dry, up to an effect, and looked at while it
 * stands there; by the code it had, or by other code, to see where that would part ways. Nothing is sent,
 * nothing is written, no run is owned: whatever state the run is in, and while it is executed. Any thread; a
 * travel belongs to its caller's. */
#pragma once
#include "engine/engine.h"
#include <jansson.h>

struct mt_travel {
    const char *run;
    int segment; /* negative: the one that the run is in */
    int at;      /* stop before the script hears what this effect (from 1) answered; 0: as far as the
                    journal goes */
    const char *generation; /* replay this code instead of the run's own; NULL: its own */
    bool strange;           /* execute runs code that somebody brought along: instead of secrets it is given
                               stand-ins of the same length, under keys that are nobody's */
    int limit_ms;           /* of real time for all of it; 0: 10,000 */
    /* Executes the flow, as mt_script.execute does, and looks at it where it stopped: *frames (new reference)
     * is added to what the travel answers. -1: it could not begin (other code that does not load). */
    int (*execute)(void *ctx, struct mt_exec *x, const char *generation, const char *flow, const char *input,
                   struct mt_script_result *out, json_t **frames, struct mt_error *e);
    void *ctx;
};

/* 0: *out is a new reference to
 *   {"run","flow","state","segment","segments","generation",
 *    "at": the effect the script stands at, "effects": how many the journal of this segment has for it,
 *    "now": the script's time,
 *    "stop": "effect"    it stands at a journaled effect, which is "effect" with its answer
 *            "end"       the journal ends here: "effect" is what it asks for next; with "waiting_for",
 * "due_at" when the run waits for that "returned"  with "output"     "failed"  with "error": the script's end
 *            "bug"       with "error", "traceback"    "limit"  with "error": why it was, or would be, parked
 *            "parted"    with "parted" {"seq","expected","found","other_parameters","message","file","line"},
 *    "stand_ins": true when strange code was given any: what it computes of them differs from the journal,
 *    "effect", "previous": entries as the journal shows them; an effect that is not journaled has
 *                          "journaled": false, and its parameters,
 *    "then": what ended the segment without the script {"kind":"cancel"|"fail"|"continue","at","reason"},
 *    "error": of a run that is parked, "frames": see above}
 * with secrets masked. -1: MT_NOT_FOUND, MT_INVALID_REQUEST, MT_UNAVAILABLE (too many travel at once), or
 * what execute refused with. */
int mt_engine_travel(struct mt_engine *g, const struct mt_travel *t, json_t **out, struct mt_error *e);

/* For execute: the providers that other code defines take the place of those of the run's generation. */
int mt_travel_providers(struct mt_exec *x, const json_t *definitions, struct mt_error *e);
