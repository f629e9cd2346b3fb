/* What a store answers, as text, a line a record, so that two stores can be compared by comparing texts.
 * Nothing that is said is freed. Any thread. */
#pragma once
#include "base/buf.h"
#include "store/store.h"

void mt_say_run(struct mt_buf *b, const struct mt_run *r);
void mt_say_entry(struct mt_buf *b, const struct mt_entry *x);
void mt_say_event(struct mt_buf *b, const struct mt_event *e);
void mt_say_document(struct mt_buf *b, const struct mt_document *d);
void mt_say_delivery(struct mt_buf *b, const struct mt_delivery *d);
void mt_say_task(struct mt_buf *b, const struct mt_task *t);
void mt_say_audit(struct mt_buf *b, const struct mt_audit *a);
void mt_say_kept(struct mt_buf *b, const struct mt_kept *k);
/* What its commit has made of a batch. */
void mt_say_batch(struct mt_buf *b, const struct mt_batch *batch);
/* Frees what a commit has put into the operations of a batch. */
void mt_batch_clear(struct mt_batch *batch);
