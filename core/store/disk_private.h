/* What disk.c (files and crashes), disk_pages.c (their bytes) and disk_vfs.c (SQLite's side: handles, locks,
 * shared memory) share. Inside core/store only. Everything behind a disk's mutex, which is never held while a
 * hook is called. */
#pragma once
#include "store/disk.h"
#include <pthread.h>
#include <sqlite3.h>

#define MT_DISK_NAME_MAX 512 /* bytes of a file's name, with NUL */
#define MT_SECTOR 512
#define MT_DISK_PAGE 4096

/* A sector as it was after a write that another has replaced since, before any sync. */
struct mt_disk_version {
    size_t sector;
    unsigned char bytes[MT_SECTOR];
};

/* A file, which lives while it has a name or is open. `now` is what the operating system has, `kept` what the
 * medium has: both by page, with room for `cap` bytes and zeros beyond their sizes. A page that is the same
 * in both is one; NULL: nothing but zeros. */
struct mt_disk_file {
    unsigned char **now, **kept;
    size_t size, kept_size, cap;
    /* since the last sync: */
    unsigned char *dirty; /* by sector: written */
    size_t *touched;      /* the dirty sectors */
    size_t touched_count, touched_cap;
    struct mt_disk_version *versions; /* oldest first */
    size_t version_count, version_cap;
    size_t *sizes; /* that it has had, the current one excepted */
    size_t size_count, size_cap;

    int names; /* how many entries of the directory lead here, now or on the medium */
    int open;  /* handles of this life */
    /* locks of this life's handles on the whole file (SQLite's levels) */
    int shared;
    const void *reserved, *pending, *exclusive; /* the handle that has it */
    struct mt_disk_shm *shm;
    struct mt_disk_file *next;
};

struct mt_disk_entry {
    char *name;
    struct mt_disk_file *now, *kept; /* NULL: no such file */
};

/* The WAL index of a file, shared by its connections. Dead connections go on using the one they had. */
struct mt_disk_shm {
    unsigned char **regions;
    int region_count;
    int refs;
    int shared[SQLITE_SHM_NLOCK];
    bool exclusive[SQLITE_SHM_NLOCK];
    struct mt_disk_shm *next_dead;
};

/* One life: a VFS of its own, so that a dead connection cannot open or delete a file of the living. */
struct mt_disk_life {
    sqlite3_vfs vfs;
    char name[48];
    struct mt_disk *disk;
    struct mt_disk_life *before;
};

struct mt_disk_hold {
    char *name;
    uint64_t token;
};

struct mt_disk {
    pthread_mutex_t mutex;
    uint64_t random; /* the state of the seed's stream */
    struct mt_disk_life *life;
    struct mt_disk_entry *entries;
    size_t entry_count, entry_cap;
    struct mt_disk_file *files;
    struct mt_disk_shm *dead_shm;
    struct mt_disk_hold *holds;
    size_t hold_count, hold_cap;
    uint64_t next_token;
    struct mt_disk_hooks hooks;
    int64_t limit, used;                 /* bytes; limit negative: none */
    int64_t faults[MT_DISK_FAULT_COUNT]; /* operations until it fails; negative: never */
    unsigned lie;                        /* every so many syncs; 0: never */
    unsigned truths;                     /* syncs since the last lie */
    struct mt_disk_stats stats;
};

/* All of these: with the mutex held. */
uint64_t mt_disk_random(struct mt_disk *disk);
struct mt_disk_file *mt_disk_find(struct mt_disk *disk, const char *name);
/* A new, empty file; name NULL: one that nothing leads to. */
struct mt_disk_file *mt_disk_create(struct mt_disk *disk, const char *name);
int mt_disk_unlink(struct mt_disk *disk, const char *name); /* -1: there is none */
void mt_disk_sync_directory(struct mt_disk *disk);
/* Frees the file if it is neither named nor open. */
void mt_disk_drop(struct mt_disk *disk, struct mt_disk_file *f);
bool mt_disk_write(struct mt_disk *disk, struct mt_disk_file *f, const void *bytes, size_t n,
                   size_t at); /* false: full */
void mt_disk_truncate(struct mt_disk *disk, struct mt_disk_file *f, size_t size);
bool mt_disk_sync(struct mt_disk *disk, struct mt_disk_file *f); /* false: the disk only says it did */

/* disk_pages.c: a file's bytes */
void mt_disk_reserve(struct mt_disk_file *f, size_t size);
void mt_disk_free_pages(struct mt_disk_file *f);
void mt_disk_copy_pages(struct mt_disk_file *to, const struct mt_disk_file *from);
/* Of `now` or `kept`. */
void mt_disk_get(unsigned char *const *pages, size_t at, void *out, size_t n);
/* Bytes NULL: zeros. The file has room for them. */
void mt_disk_put_now(struct mt_disk_file *f, size_t at, const void *bytes, size_t n);
void mt_disk_put_kept(struct mt_disk_file *f, size_t at, const void *bytes, size_t n);
/* The page of a sector that differs becomes in one what it is in the other. */
void mt_disk_page_keep(struct mt_disk_file *f, size_t sector);
void mt_disk_page_lose(struct mt_disk_file *f, size_t sector);

/* Makes the VFS of a new life, and takes the one before out of use. Not while SQLite is inside the disk. */
void mt_disk_begin_life(struct mt_disk *disk);
/* Frees what a handle of `shm` no longer needs. */
void mt_disk_shm_unref(struct mt_disk *disk, struct mt_disk_shm *shm);
