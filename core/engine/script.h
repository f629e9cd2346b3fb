/* What the engine asks of the scripting side, as a vtable, so that it can be tested in C with a fake script.
 */
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <jansson.h>
#include <stdint.h>

struct mt_exec; /* effect.h */

/* How the execution of a flow ended. */
enum mt_script_end {
    MT_END_RETURNED, /* value: JSON of what run() returned */
    MT_END_RAISED, /* value: JSON of an uncaught error of the world, or of flow.fail: the run compensates and
                      fails */
    MT_END_BUG,    /* error, traceback: the run is parked */
    MT_END_LIMIT,  /* error: the run is parked */
    MT_END_LEFT    /* an effect answered MT_STEP_LEAVE: the engine knows why */
};

struct mt_script_result {
    enum mt_script_end end;
    struct mt_buf value; /* the engine inits and clears */
    struct mt_error error;
    struct mt_buf traceback;
    char site[96];
};

struct mt_script {
    /* Runs the flow's run(input) from the top on this thread. Effects arrive through effect.h with `x`.
     * Secrets of the input are bare strings here. */
    void (*execute)(struct mt_script *self, struct mt_exec *x, const char *generation, const char *flow,
                    const char *input, struct mt_script_result *out);
    /* The newest working generation's id; copied out. "" when none is loaded. */
    void (*current)(struct mt_script *self, char out[80]);
    /* Validates input (JSON object text) against the flow's schema in this generation and writes its normal
     * form (JSON, money tagged, secrets as {"$secret":"..."} for the engine to seal, defaults not filled).
     * -1: MT_NOT_FOUND (no such flow, with a suggestion), MT_INVALID_REQUEST naming the field. */
    int (*check_input)(struct mt_script *self, const char *generation, const char *flow, const char *input,
                       struct mt_buf *normal, struct mt_error *e);
    /* Carries out dated work of handlers: entry "task:<name>" with its payload, in a handler's transaction
     * that has been told which task it is (mt_handler_task), so that what it writes and the task's end are
     * one batch. */
    int (*task)(struct mt_script *self, int64_t n, const char *name, const char *payload, struct mt_error *e);
    /* What the newest generation's files have registered as schedules (a list of rows as schedule.h reads
     * them; new reference), and its id, "" when none is loaded. NULL: there are never any. */
    json_t *(*schedules)(struct mt_script *self, char generation[80]);
};
