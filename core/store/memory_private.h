/* What memory.c (writing) and memory_read.c (reading) share: the tables of the in-memory store.
 * Rows live in arrays and are found by walking them; strings live until the store is closed. */
#pragma once
#include "store/rules.h"
#include <pthread.h>

struct mt_table {
    void *rows;
    size_t row_size, count, cap;
};

struct mt_mem_run {
    int64_t n;         /* its place among the starts, and its first strand */
    struct mt_run run; /* its strings belong to the store; `owner` and the rest as in a row */
    const char *digest;
    enum mt_run_class cls;
    const char *topic, *key; /* what would wake it */
    bool cancel_seen;
    bool gone; /* not even its tombstone is left */
};
struct mt_mem_entry {
    char run[MT_ID_SIZE];
    struct mt_entry entry;
    int64_t strand;
    bool hidden, gone; /* to be taken away, and taken away */
};
struct mt_mem_segment { /* that began with CONTINUE */
    char run[MT_ID_SIZE];
    int segment;
    int64_t at, strand;
    int64_t prior; /* the strand before, while that has a journal */
    bool gone;
};
struct mt_mem_strand { /* whose entries are to be taken away */
    int64_t strand;
    bool gone;
};
struct mt_mem_source {
    int64_t n, at;
    const char *source;
    bool gone;
};
struct mt_mem_asked { /* a run has asked for the events of (topic, key) */
    char run[MT_ID_SIZE], topic[MT_NAME_MAX], key[MT_KEY_MAX];
    int segment; /* the last one that asked */
    bool gone;
};
struct mt_mem_document {
    char collection[MT_NAME_MAX];
    struct mt_document document;
    int64_t at; /* when it was written, if that is dated: if not, it is kept for ever */
    bool dated, gone;
};
struct mt_mem_key {
    char collection[MT_NAME_MAX], id[MT_KEY_MAX], field[MT_NAME_MAX];
    const char *value;
    bool gone;
};
struct mt_mem_collection {
    char name[MT_NAME_MAX];
    int64_t counter, keep;
};
struct mt_mem_task {
    struct mt_task task;
    bool gone;
};
struct mt_mem_generation {
    char id[MT_GENERATION_MAX];
    const char *manifest; /* NULL: its files are gone */
    int64_t at, used_at;
};
struct mt_mem_blob {
    const char *sha, *text;
    size_t len;
    bool gone;
};
struct mt_mem_meta {
    const char *key, *value;
};

enum mt_mem_table {
    MEM_RUNS,
    MEM_ENTRIES,
    MEM_EVENTS, /* struct mt_event; n is 0: it is gone */
    MEM_ASKED,
    MEM_DOCUMENTS,
    MEM_KEYS,
    MEM_COLLECTIONS,
    MEM_DELIVERIES, /* struct mt_delivery; n is 0: it is gone */
    MEM_TASKS,
    MEM_GENERATIONS,
    MEM_BLOBS,
    MEM_META,
    MEM_SEGMENTS,
    MEM_TRASH,
    MEM_SOURCES,
    MEM_AUDIT, /* struct mt_audit */
    MEM_TABLE_COUNT
};

struct mt_mem_undo {
    enum mt_mem_table table;
    size_t row;
    void *before; /* a copy of the row; NULL: the row was added */
};

/* The last numbers given. */
struct mt_mem_numbers {
    int64_t event, delivery, task, strand;
    unsigned rotor;
};

struct mt_memory {
    struct mt_store store; /* first: the vtable's self */
    pthread_rwlock_t lock; /* held for writing by a commit as a whole, so readers see committed rows only */
    struct mt_table tables[MEM_TABLE_COUNT];
    struct mt_mem_numbers last, before; /* before: the last commit */
    struct mt_mem_undo *undo;           /* of that commit */
    size_t undo_count, undo_cap;
    void **strings;
    size_t string_count, string_cap;
};

/* Row i of a table, for reading. */
void *mt_memory_row(const struct mt_memory *m, enum mt_mem_table table, size_t i);
/* Before a row is changed: the undo log keeps a copy. */
void mt_memory_touch(struct mt_memory *m, enum mt_mem_table table, const void *row);
/* A new row of zeros, at the end. Rows may move: pointers to others of its table are stale afterwards. */
void *mt_memory_add(struct mt_memory *m, enum mt_mem_table table);
/* Copies that live as long as the store; NULL for NULL. */
void *mt_memory_keep_bytes(struct mt_memory *m, const void *bytes, size_t len);
char *mt_memory_keep(struct mt_memory *m, const char *s);

/* Operations of memory_docs.c; `document` is put, delete and check. */
enum mt_applied mt_memory_document(struct mt_memory *m, struct mt_batch *b, struct mt_op *op);
enum mt_applied mt_memory_collection_check(struct mt_memory *m, struct mt_batch *b, struct mt_op *op);
enum mt_applied mt_memory_delivery_put(struct mt_memory *m, struct mt_batch *b, struct mt_op *op);
enum mt_applied mt_memory_delivery_update(struct mt_memory *m, struct mt_batch *b, struct mt_op *op);
enum mt_applied mt_memory_task_put(struct mt_memory *m, struct mt_batch *b, struct mt_op *op);
enum mt_applied mt_memory_task_delete(struct mt_memory *m, struct mt_batch *b, struct mt_op *op);
enum mt_applied mt_memory_generation(struct mt_memory *m, struct mt_op *op);
enum mt_applied mt_memory_meta(struct mt_memory *m, struct mt_op *op);
enum mt_applied mt_memory_audit(struct mt_memory *m, struct mt_batch *b,
                                struct mt_op *op); /* memory_audit.c */

/* memory_purge.c */
enum mt_applied mt_memory_forget(struct mt_memory *m, struct mt_batch *b, struct mt_op *op);
enum mt_applied mt_memory_purge(struct mt_memory *m, struct mt_op *op);
void mt_memory_set_kept(struct mt_store *store);
struct mt_mem_run *mt_memory_find_run(struct mt_memory *m, const char *id);

/* Copies that the caller owns. */
void mt_memory_copy_run(const struct mt_mem_run *row, struct mt_run *out);
void mt_memory_copy_event(const struct mt_event *row, struct mt_event *out);
void mt_memory_set_reads(struct mt_store *store);
void mt_memory_set_audit(struct mt_store *store); /* memory_audit.c */

#define MT_MEM_EACH(m, table, type, row)                                                                     \
    for (size_t row##_i = 0; row##_i < (m)->tables[table].count; row##_i++)                                  \
        for (type *row = mt_memory_row((m), (table), row##_i); row; row = NULL)
