/* SQLite's side of the simulated disk: the VFS of each life, open files, their locks and the shared memory of
 * WAL connections. Invariant: a handle of an earlier life changes nothing but itself and its own dead shared
 * memory. Any thread. */
#include "base/baton.h"
#include "base/text.h"
#include "store/disk_private.h"
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define WAL_WRITE_LOCK 0                 /* of the locks on shared memory: who writes to the WAL */
#define JULIAN_EPOCH_MS 210866760000000L /* SQLite counts from noon of 4714-11-24 BC */

struct handle {
    sqlite3_file base;
    struct mt_disk_life *life;
    struct mt_disk_file *file;
    struct mt_disk_shm *shm;
    unsigned shm_shared, shm_exclusive; /* bit sets of the locks it holds there */
    int level;
    bool unlisted; /* a journal: its first sync syncs the directory too, as SQLite's own VFS does */
};

/* The disk with its mutex held; NULL (not held) when this life is over. */
static struct mt_disk *enter_life(struct mt_disk_life *life) {
    pthread_mutex_lock(&life->disk->mutex);
    if (life == life->disk->life) return life->disk;
    pthread_mutex_unlock(&life->disk->mutex);
    return NULL;
}

static struct mt_disk *enter(sqlite3_file *file) {
    return enter_life(((struct handle *)file)->life);
}

static int leave(struct mt_disk *disk, int rc) {
    pthread_mutex_unlock(&disk->mutex);
    return rc;
}

/* SQLite's random numbers are the process's; those that reach the disk (salts of the WAL, a journal's nonce)
 * are drawn while a connection holds the lock to write, so meanwhile they come from the disk's seed. */
static void seed_sqlite(uint64_t seed) {
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)(seed & 0x7fffffff), NULL);
}

/* ---- reading and writing ---- */

static bool faulty(struct mt_disk *disk, enum mt_disk_fault fault) {
    return disk->faults[fault] >= 0 && disk->faults[fault]-- == 0;
}

static int read_file(sqlite3_file *file, void *out, int n, sqlite3_int64 at) {
    struct mt_disk *disk = enter(file);
    if (!disk) return SQLITE_IOERR;
    const struct mt_disk_file *f = ((struct handle *)file)->file;
    size_t from = (size_t)at, want = (size_t)n, have = from < f->size ? f->size - from : 0;
    disk->stats.reads++;
    if (faulty(disk, MT_DISK_READ)) return leave(disk, SQLITE_IOERR_READ);
    if (have > want) have = want;
    if (have) mt_disk_get(f->now, from, out, have);
    memset((char *)out + have, 0, want - have);
    return leave(disk, have < want ? SQLITE_IOERR_SHORT_READ : SQLITE_OK);
}

static int write_file(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 at) {
    struct mt_disk *disk = enter(file);
    if (!disk) return SQLITE_IOERR;
    disk->stats.writes++;
    if (faulty(disk, MT_DISK_WRITE)) return leave(disk, SQLITE_IOERR_WRITE);
    bool fits = mt_disk_write(disk, ((struct handle *)file)->file, bytes, (size_t)n, (size_t)at);
    return leave(disk, fits ? SQLITE_OK : SQLITE_FULL);
}

static int truncate_file(sqlite3_file *file, sqlite3_int64 size) {
    struct mt_disk *disk = enter(file);
    if (!disk) return SQLITE_IOERR;
    struct mt_disk_file *f = ((struct handle *)file)->file;
    int64_t more = size - (int64_t)f->size;
    if (more > 0 && disk->limit >= 0 && disk->used + more > disk->limit) return leave(disk, SQLITE_FULL);
    mt_disk_truncate(disk, f, (size_t)size);
    return leave(disk, SQLITE_OK);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size) {
    struct mt_disk *disk = enter(file);
    if (!disk) return SQLITE_IOERR;
    *size = (sqlite3_int64)((struct handle *)file)->file->size;
    return leave(disk, SQLITE_OK);
}

/* Lets the world look, with nothing locked. False: this life is over. */
static bool pass(struct handle *h, const char *what) {
    struct mt_disk *disk = enter_life(h->life);
    if (!disk) return false;
    struct mt_disk_hooks hooks = disk->hooks;
    leave(disk, 0);
    if (!hooks.at) return true;
    hooks.at(hooks.ctx, what);
    disk = enter_life(h->life);
    if (disk) leave(disk, 0);
    return disk != NULL;
}

static int sync_file(sqlite3_file *file, int flags) {
    struct handle *h = (struct handle *)file;
    (void)flags;
    if (!pass(h, "before sync")) return SQLITE_IOERR;
    struct mt_disk *disk = enter(file);
    if (!disk) return SQLITE_IOERR;
    if (mt_disk_sync(disk, h->file) && h->unlisted) {
        mt_disk_sync_directory(disk);
        h->unlisted = false;
    }
    leave(disk, 0);
    return pass(h, "after sync") ? SQLITE_OK : SQLITE_IOERR;
}

static int control_file(sqlite3_file *file, int op, void *arg) {
    struct mt_disk *disk = enter(file);
    if (!disk) return SQLITE_IOERR;
    if (op == SQLITE_FCNTL_LOCKSTATE)
        *(int *)arg = ((struct handle *)file)->level;
    else if (op == SQLITE_FCNTL_VFSNAME)
        *(char **)arg = sqlite3_mprintf("%s", disk->life->name);
    else
        return leave(disk, SQLITE_NOTFOUND);
    return leave(disk, SQLITE_OK);
}

static int sector_size(sqlite3_file *file) {
    (void)file;
    return MT_SECTOR;
}

/* As Linux's: what a write does not cover stays as it was, whatever happens. */
static int characteristics(sqlite3_file *file) {
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- locks on the file ---- */

static void lower(struct handle *h, int level) {
    struct mt_disk_file *f = h->file;
    if (f->reserved == h) f->reserved = NULL;
    if (f->pending == h) f->pending = NULL;
    if (f->exclusive == h) f->exclusive = NULL;
    if (level == SQLITE_LOCK_NONE && h->level >= SQLITE_LOCK_SHARED) f->shared--;
    h->level = level;
}

static bool others_hold(const void *holder, const struct handle *h) {
    return holder && holder != h;
}

static int raise_level(struct handle *h, int level) {
    struct mt_disk_file *f = h->file;
    if (others_hold(f->pending, h) || others_hold(f->exclusive, h)) return SQLITE_BUSY;
    if (level == SQLITE_LOCK_SHARED) {
        f->shared++;
        h->level = level;
        return SQLITE_OK;
    }
    if (others_hold(f->reserved, h)) return SQLITE_BUSY;
    if (level == SQLITE_LOCK_RESERVED) {
        f->reserved = h;
        h->level = level;
        return SQLITE_OK;
    }
    f->pending = h; /* no new readers; those that are there may finish */
    h->level = SQLITE_LOCK_PENDING;
    if (level == SQLITE_LOCK_PENDING) return SQLITE_OK;
    if (f->shared > 1) return SQLITE_BUSY;
    f->exclusive = h;
    h->level = level;
    return SQLITE_OK;
}

static int lock_file(sqlite3_file *file, int level) {
    struct handle *h = (struct handle *)file;
    struct mt_disk *disk = enter(file);
    uint64_t seed = 0;
    if (!disk) return SQLITE_IOERR;
    int rc = level > h->level ? raise_level(h, level) : SQLITE_OK;
    if (level == SQLITE_LOCK_RESERVED && rc == SQLITE_OK) seed = mt_disk_random(disk) | 1;
    leave(disk, 0);
    if (seed) seed_sqlite(seed);
    return rc;
}

static int unlock_file(sqlite3_file *file, int level) {
    struct handle *h = (struct handle *)file;
    struct mt_disk *disk = enter(file);
    if (!disk) return SQLITE_IOERR;
    bool wrote = h->level >= SQLITE_LOCK_RESERVED;
    if (level < h->level) lower(h, level);
    leave(disk, 0);
    if (wrote) seed_sqlite(0);
    return SQLITE_OK;
}

static int check_reserved(sqlite3_file *file, int *out) {
    struct mt_disk *disk = enter(file);
    if (!disk) return SQLITE_IOERR;
    const struct mt_disk_file *f = ((struct handle *)file)->file;
    *out = f->reserved || f->pending || f->exclusive;
    return leave(disk, SQLITE_OK);
}

/* ---- shared memory ---- */

static int shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **out) {
    struct handle *h = (struct handle *)file;
    struct mt_disk *disk = enter(file);
    *out = NULL;
    if (!disk) return SQLITE_IOERR;
    if (!h->shm) {
        if (!h->file->shm) h->file->shm = mt_calloc(1, sizeof *h->file->shm);
        h->shm = h->file->shm;
        h->shm->refs++;
    }
    struct mt_disk_shm *shm = h->shm;
    if (region >= shm->region_count && extend) {
        shm->regions = mt_realloc(shm->regions, (size_t)(region + 1) * sizeof *shm->regions);
        while (shm->region_count <= region) shm->regions[shm->region_count++] = mt_calloc(1, (size_t)size);
    }
    if (region < shm->region_count) *out = shm->regions[region];
    return leave(disk, SQLITE_OK);
}

static void shm_unlock(struct handle *h, unsigned bits) {
    for (int i = 0; i < SQLITE_SHM_NLOCK; i++) {
        unsigned bit = bits & 1u << i;
        if (h->shm_exclusive & bit) h->shm->exclusive[i] = false;
        if (h->shm_shared & bit) h->shm->shared[i]--;
    }
    h->shm_exclusive &= ~bits;
    h->shm_shared &= ~bits;
}

static int shm_take(struct handle *h, int first, int n, bool exclusive) {
    struct mt_disk_shm *shm = h->shm;
    for (int i = first; i < first + n; i++) {
        bool mine = h->shm_exclusive & 1u << i;
        int readers = shm->shared[i] - (h->shm_shared & 1u << i ? 1 : 0);
        if ((shm->exclusive[i] && !mine) || (exclusive && readers)) return SQLITE_BUSY;
    }
    for (int i = first; i < first + n; i++) {
        if (exclusive) {
            shm->exclusive[i] = true;
            h->shm_exclusive |= 1u << i;
        } else if (!(h->shm_shared & 1u << i)) {
            shm->shared[i]++;
            h->shm_shared |= 1u << i;
        }
    }
    return SQLITE_OK;
}

static int shm_lock(sqlite3_file *file, int first, int n, int flags) {
    struct handle *h = (struct handle *)file;
    bool unlock = flags & SQLITE_SHM_UNLOCK, exclusive = flags & SQLITE_SHM_EXCLUSIVE;
    struct mt_disk *disk = enter(file);
    if (!disk) return SQLITE_IOERR;
    int rc = SQLITE_OK;
    uint64_t seed = 0;
    if (!h->shm)
        rc = SQLITE_IOERR_SHMLOCK;
    else if (unlock)
        shm_unlock(h, ((1u << n) - 1) << first);
    else
        rc = shm_take(h, first, n, exclusive);
    bool writes = first == WAL_WRITE_LOCK && exclusive && rc == SQLITE_OK;
    if (writes && !unlock) seed = mt_disk_random(disk) | 1;
    leave(disk, 0);
    if (writes) seed_sqlite(seed);
    return rc;
}

static void shm_barrier(sqlite3_file *file) {
    struct mt_disk *disk = ((struct handle *)file)->life->disk;
    pthread_mutex_lock(&disk->mutex);
    pthread_mutex_unlock(&disk->mutex);
}

/* Its locks on shared memory that is dead are let go of all the same: nobody asks for them any more. */
static void leave_shm(struct mt_disk *disk, struct handle *h) {
    struct mt_disk_shm *shm = h->shm;
    if (!shm) return;
    shm_unlock(h, ~0u);
    h->shm = NULL;
    if (disk->life == h->life && shm->refs == 1) h->file->shm = NULL;
    mt_disk_shm_unref(disk, shm);
}

static int shm_unmap(sqlite3_file *file, int delete) {
    struct handle *h = (struct handle *)file;
    struct mt_disk *disk = h->life->disk;
    (void)delete; /* it never outlives its last user */
    pthread_mutex_lock(&disk->mutex);
    leave_shm(disk, h);
    return leave(disk, disk->life == h->life ? SQLITE_OK : SQLITE_IOERR);
}

/* ---- opening and closing ---- */

static int close_file(sqlite3_file *file) {
    struct handle *h = (struct handle *)file;
    struct mt_disk *disk = h->life->disk;
    pthread_mutex_lock(&disk->mutex);
    leave_shm(disk, h);
    if (disk->life == h->life) {
        lower(h, SQLITE_LOCK_NONE);
        h->file->open--;
        mt_disk_drop(disk, h->file);
    }
    h->file = NULL;
    return leave(disk, SQLITE_OK);
}

static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = close_file,
                                           .xRead = read_file,
                                           .xWrite = write_file,
                                           .xTruncate = truncate_file,
                                           .xSync = sync_file,
                                           .xFileSize = file_size,
                                           .xLock = lock_file,
                                           .xUnlock = unlock_file,
                                           .xCheckReservedLock = check_reserved,
                                           .xFileControl = control_file,
                                           .xSectorSize = sector_size,
                                           .xDeviceCharacteristics = characteristics,
                                           .xShmMap = shm_map,
                                           .xShmLock = shm_lock,
                                           .xShmBarrier = shm_barrier,
                                           .xShmUnmap = shm_unmap};

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out) {
    struct mt_disk_life *life = vfs->pAppData;
    struct handle *h = (struct handle *)file;
    const int journals = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
    struct mt_disk *disk = enter_life(life);
    memset(h, 0, sizeof *h);
    if (!disk) return SQLITE_IOERR;
    struct mt_disk_file *f = name ? mt_disk_find(disk, name) : NULL;
    if (f ? flags & SQLITE_OPEN_EXCLUSIVE : name && !(flags & SQLITE_OPEN_CREATE))
        return leave(disk, SQLITE_CANTOPEN);
    /* Found or made: it may be from a life that died before it had synced the directory. */
    h->unlisted = flags & journals && flags & SQLITE_OPEN_CREATE;
    if (!f) f = mt_disk_create(disk, name);
    f->open++;
    if (name && flags & SQLITE_OPEN_DELETEONCLOSE) mt_disk_unlink(disk, name);
    h->base.pMethods = &methods;
    h->life = life;
    h->file = f;
    if (out) *out = flags;
    return leave(disk, SQLITE_OK);
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync_directory) {
    struct mt_disk *disk = enter_life(vfs->pAppData);
    if (!disk) return SQLITE_IOERR;
    if (mt_disk_unlink(disk, name)) return leave(disk, SQLITE_IOERR_DELETE_NOENT);
    if (sync_directory) mt_disk_sync_directory(disk);
    return leave(disk, SQLITE_OK);
}

static int access_file(sqlite3_vfs *vfs, const char *name, int flags, int *out) {
    struct mt_disk *disk = enter_life(vfs->pAppData);
    if (!disk) return SQLITE_IOERR;
    const struct mt_disk_file *f = mt_disk_find(disk, name);
    *out = f && (flags != SQLITE_ACCESS_EXISTS || f->size > 0); /* as on Unix: an empty file is none */
    return leave(disk, SQLITE_OK);
}

static int full_name(sqlite3_vfs *vfs, const char *name, int size, char *out) {
    (void)vfs;
    return mt_copy(out, (size_t)size, name) ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int random_bytes(sqlite3_vfs *vfs, int n, char *out) {
    struct mt_disk *disk = ((struct mt_disk_life *)vfs->pAppData)->disk;
    pthread_mutex_lock(&disk->mutex);
    for (int i = 0; i < n; i++) out[i] = (char)(mt_disk_random(disk) >> 56);
    return leave(disk, n);
}

static int wait_turn(sqlite3_vfs *vfs, int us) {
    struct mt_baton *baton = mt_baton_mine();
    (void)vfs;
    if (baton)
        mt_baton_yield(baton);
    else
        sched_yield();
    return us;
}

static int time_now(sqlite3_vfs *vfs, sqlite3_int64 *out) {
    struct mt_disk *disk = ((struct mt_disk_life *)vfs->pAppData)->disk;
    struct mt_baton *baton = mt_baton_mine();
    pthread_mutex_lock(&disk->mutex);
    struct mt_disk_hooks hooks = disk->hooks;
    leave(disk, 0);
    int64_t ms = hooks.now_ms ? hooks.now_ms(hooks.ctx) : baton ? mt_baton_wall_ms(baton) : 0;
    *out = ms + JULIAN_EPOCH_MS;
    return SQLITE_OK;
}

static int day_now(sqlite3_vfs *vfs, double *out) {
    sqlite3_int64 ms = 0;
    int rc = time_now(vfs, &ms);
    *out = (double)ms / 86400000.0;
    return rc;
}

void mt_disk_begin_life(struct mt_disk *disk) {
    struct mt_disk_life *life = mt_calloc(1, sizeof *life);
    mt_format(life->name, sizeof life->name, "mintage-disk-%p", (void *)life);
    life->disk = disk;
    life->before = disk->life;
    life->vfs = (sqlite3_vfs){.iVersion = 2,
                              .szOsFile = sizeof(struct handle),
                              .mxPathname = MT_DISK_NAME_MAX,
                              .zName = life->name,
                              .pAppData = life,
                              .xOpen = open_file,
                              .xDelete = delete_file,
                              .xAccess = access_file,
                              .xFullPathname = full_name,
                              .xRandomness = random_bytes,
                              .xSleep = wait_turn,
                              .xCurrentTime = day_now,
                              .xCurrentTimeInt64 = time_now};
    if (disk->life) sqlite3_vfs_unregister(&disk->life->vfs);
    sqlite3_vfs_register(&life->vfs, 0);
    seed_sqlite(0); /* the dead do not unlock */
    disk->life = life;
}

const char *mt_disk_vfs(struct mt_disk *disk) {
    pthread_mutex_lock(&disk->mutex);
    const char *name = disk->life->name;
    pthread_mutex_unlock(&disk->mutex);
    return name;
}
