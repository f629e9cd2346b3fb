/* A simulated disk: files in memory that lose what was not synced when the machine dies, and a SQLite VFS
 * over them, so that a store can live, die and be opened again thousands of times a minute. Same seed and
 * same calls, same bytes. Any thread; no file system, no clock and no waiting in real time. For tests and the
 * simulated world: nothing on it outlives the process.
 *
 * A crash begins a new life of the disk. What was opened in an earlier life is dead: every call through it
 * answers SQLITE_IOERR and touches nothing, and its locks and shared memory are gone. A dead store is best
 * closed like any other (its close touches nothing either), which gives its memory back; one that is
 * abandoned keeps what SQLite had allocated for it (a page cache of up to 4 MB for the writer). */
#pragma once
#include "base/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mt_disk;
struct mt_store;

enum mt_disk_crash {
    MT_DISK_PROCESS_DIES,   /* what was written is there: the operating system has it */
    MT_DISK_LOSES_UNSYNCED, /* each file, and the directory, is as its last sync left it */
    MT_DISK_TEARS, /* of every 512-byte sector write, change of size and change of the directory since
                      the last sync, each was kept or lost, in any order, as the seed says */
};

struct mt_disk_hooks {
    void *ctx;
    /* "before sync" and "after sync" of any file, by the thread that syncs. Nothing is locked: it may call
     * mt_disk_crash and return (SQLite then gets SQLITE_IOERR, and the commit fails), or never return. */
    void (*at)(void *ctx, const char *what);
    /* What SQLite takes for the time, in ms since 1970. NULL: the baton's clock, or one that stands still. */
    int64_t (*now_ms)(void *ctx);
};

enum mt_disk_fault { MT_DISK_READ, MT_DISK_WRITE, MT_DISK_FAULT_COUNT };

/* An empty disk. Caller frees with mt_disk_free. */
struct mt_disk *mt_disk_new(uint64_t seed);
/* Every store on it must be closed, or abandoned with no thread inside it. NULL allowed. */
void mt_disk_free(struct mt_disk *disk);
/* Another disk with the same files, synced and unsynced, and nothing open; no hooks, limits or faults. Any
 * moment will do, inside a hook too: so one run of a program can be crashed at each of its syncs. */
struct mt_disk *mt_disk_copy(struct mt_disk *disk, uint64_t seed);
/* The name of the SQLite VFS of this life. Borrowed; lives as long as the disk. */
const char *mt_disk_vfs(struct mt_disk *disk);

/* Before anything is opened. NULL: none. */
void mt_disk_set_hooks(struct mt_disk *disk, const struct mt_disk_hooks *hooks);
/* The process or the machine dies, and stands up again. */
void mt_disk_crash(struct mt_disk *disk, enum mt_disk_crash how);

/* No file may grow when all files together would then be larger than this: SQLITE_FULL. Negative: no limit.
 */
void mt_disk_limit(struct mt_disk *disk, int64_t bytes);
/* The read (or write) after the next `ahead` ones fails, once, with SQLITE_IOERR. Negative: disarm. */
void mt_disk_fail(struct mt_disk *disk, enum mt_disk_fault fault, int64_t ahead);
/* Every n-th sync does nothing and says it did; 0: an honest disk. What tests durability must notice. */
void mt_disk_lie(struct mt_disk *disk, unsigned every);

struct mt_disk_stats {
    int64_t bytes;         /* of all files */
    int64_t reads, writes; /* calls, since the disk was made */
    int64_t syncs;
};
void mt_disk_stats(struct mt_disk *disk, struct mt_disk_stats *out);
/* A hash over the names, sizes and bytes of all files, as written or (synced) as a loss of power leaves them.
 */
uint64_t mt_disk_digest(struct mt_disk *disk, bool synced);

/* mt_store_sqlite_open (store.h) with its files on this disk: NAME, NAME-wal, NAME-journal. Refused with
 * MT_CONFLICT while a store of this life has NAME open. */
struct mt_store *mt_store_sqlite_open_on(struct mt_disk *disk, const char *name, struct mt_error *e);

/* For that: holds a name as a lock file does, for this life. 0 when it is held already, else a token. */
uint64_t mt_disk_hold(struct mt_disk *disk, const char *name);
void mt_disk_release(struct mt_disk *disk, uint64_t token);
