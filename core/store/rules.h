/* The part of the contract that does not depend on where a store keeps its rows: which batches are malformed,
 * how a refusal is worded, what a batch answers when it is undone, and how claims are shared between classes.
 * Inside core/store only. The writer's thread. */
#pragma once
#include "store/store.h"

#define MT_SEQ_BITS 17 /* a segment holds at most 131,071 entries; the engine parks a run long before */
#define MT_SEQ_MAX ((1 << MT_SEQ_BITS) - 1)
#define MT_GENERATION_MAX 80 /* bytes with NUL, as in struct mt_run */
#define MT_CLASS_COUNT 3

/* What applying an operation came to. */
enum mt_applied {
    MT_APPLIED = 0,
    MT_REFUSED = 1, /* the batch is refused, its error is filled */
    MT_BROKEN = -1, /* the store itself failed: nothing of this commit counts */
};

/* Readies a batch for (another) attempt: results, outputs and status as if nothing had happened. Frees
 * nothing. */
void mt_rules_begin(struct mt_batch *b);
/* Frees the outputs of a batch that was undone. With `keep_existing`, the refused START still says which run
 * it met. */
void mt_rules_undo(struct mt_batch *b, bool keep_existing);
/* Notes that the batch made something due at `at`. */
void mt_rules_due(struct mt_batch *b, int64_t at);

/* Fills the batch's error from the result and the sentence; answers MT_REFUSED. */
enum mt_applied mt_rules_refuse(struct mt_batch *b, struct mt_op *op, enum mt_op_result result,
                                const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Refuses an operation that no store could apply: names too long, values missing. */
enum mt_applied mt_rules_check(struct mt_batch *b, struct mt_op *op);
/* Whether an operation of this type acts on the batch's own run, which the batch must own at that moment. */
bool mt_rules_on_run(enum mt_op_type type);

/* The class to take the next due run from, among those that have one: 4:2:1, none starved. -1 when none has.
 */
int mt_rules_next_class(unsigned *rotor, const bool has[MT_CLASS_COUNT]);
/* The result an await's entry gets: {"at":ms,"event":n,"payload":...}. Caller frees. */
char *mt_rules_await_result(int64_t n, int64_t at, const char *payload);
