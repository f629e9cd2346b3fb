/* The writer: one thread that commits whatever batches have queued since its last commit, all in one
 * transaction (group commit), and wakes each submitter on its own futex. mt_writer_submit blocks until the
 * batch is durable or refused. */
#pragma once
#include "store/store.h"

struct mt_writer;

struct mt_writer_options {
    struct mt_store *store; /* borrowed */
    size_t queue_limit; /* batches waiting; beyond it submit answers MT_UNAVAILABLE at once when `optional`;
                           0: 10,000 */
    /* Called on the writer's thread after each commit that made a run, delivery or task due (to wake the
     * timer). */
    void (*due)(void *ctx, int64_t earliest);
    /* Called on the writer's thread after each commit, for each of its applied batches, in order (streams,
     * metrics). */
    void (*committed)(void *ctx, const struct mt_batch *batch);
    void *ctx;
};

struct mt_writer *mt_writer_start(const struct mt_writer_options *options, struct mt_error *e);
/* Waits until `batch` is durable (0) or refused (-1, batch->error). A full disk is waited out with retries
 * for batches that belong to a run; other batches get MT_FULL. */
int mt_writer_submit(struct mt_writer *w, struct mt_batch *batch);
/* Submits without waiting; pair with mt_writer_wait on the same batch. Batches of one thread, and of threads
 * that hand on to each other, are applied in their order. False: refused at once (the wait tells). */
bool mt_writer_post(struct mt_writer *w, struct mt_batch *batch);
int mt_writer_wait(struct mt_writer *w, struct mt_batch *batch);
bool mt_writer_busy(
    const struct mt_writer *w); /* the queue is past its limit, or the disk is full: refuse new starts */
/* Runs fn on the writer's thread, between commits (sandbox reset). */
int mt_writer_exclusive(struct mt_writer *w, int (*fn)(struct mt_store *store, void *ctx, struct mt_error *e),
                        void *ctx, struct mt_error *e);
struct mt_writer_stats {
    uint64_t commits, batches, refused, full;
    uint64_t size_histogram[12]; /* batches a commit: 1, 2, 3-4, 5-8, ... */
};
void mt_writer_stats(const struct mt_writer *w, struct mt_writer_stats *out);
/* Commits what is queued and stops. */
void mt_writer_stop(struct mt_writer *w);
