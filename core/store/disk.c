/* The simulated disk's files: what was written, what was synced, and what is left of both after a crash.
 * Invariant: outside of a call, the buffers of a file hold zeros beyond its sizes, and a sector that differs
 * between them is marked dirty. Everything behind the disk's mutex; any thread. */
#include "base/text.h"
#include "store/disk_private.h"
#include <stdlib.h>
#include <string.h>

uint64_t mt_disk_random(struct mt_disk *disk) { /* splitmix64 */
    uint64_t z = disk->random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* Room for one more of `size` bytes. */
static void *room(void *items, size_t count, size_t *cap, size_t size) {
    if (count < *cap) return items;
    *cap = *cap ? *cap * 2 : 16;
    return mt_realloc(items, *cap * size);
}

/* ---- one file ---- */

static void free_file(struct mt_disk_file *f) {
    mt_disk_free_pages(f);
    free(f->dirty);
    free(f->touched);
    free(f->versions);
    free(f->sizes);
    free(f);
}

/* Before a sector is changed: if it was written since the last sync, what that write had made of it is kept,
 * because a crash may leave just that. */
static void touch(struct mt_disk_file *f, size_t sector) {
    if (f->dirty[sector]) {
        f->versions = room(f->versions, f->version_count, &f->version_cap, sizeof *f->versions);
        struct mt_disk_version *v = &f->versions[f->version_count++];
        v->sector = sector;
        mt_disk_get(f->now, sector * MT_SECTOR, v->bytes, MT_SECTOR);
        return;
    }
    f->dirty[sector] = 1;
    f->touched = room(f->touched, f->touched_count, &f->touched_cap, sizeof *f->touched);
    f->touched[f->touched_count++] = sector;
}

static void set_size(struct mt_disk *disk, struct mt_disk_file *f, size_t size) {
    if (size == f->size) return;
    f->sizes = room(f->sizes, f->size_count, &f->size_cap, sizeof *f->sizes);
    f->sizes[f->size_count++] = f->size;
    disk->used += (int64_t)size - (int64_t)f->size;
    f->size = size;
}

bool mt_disk_write(struct mt_disk *disk, struct mt_disk_file *f, const void *bytes, size_t n, size_t at) {
    size_t end = at + n;
    if (end > f->size && disk->limit >= 0 && disk->used + (int64_t)(end - f->size) > disk->limit)
        return false;
    mt_disk_reserve(f, end);
    for (size_t s = at / MT_SECTOR; s * MT_SECTOR < end; s++) touch(f, s);
    mt_disk_put_now(f, at, bytes, n);
    if (end > f->size) set_size(disk, f, end);
    return true;
}

void mt_disk_truncate(struct mt_disk *disk, struct mt_disk_file *f, size_t size) {
    if (size > f->size) mt_disk_reserve(f, size);
    for (size_t s = size / MT_SECTOR; s * MT_SECTOR < f->size; s++) touch(f, s);
    if (size < f->size) mt_disk_put_now(f, size, NULL, f->size - size);
    set_size(disk, f, size);
}

static void settle(struct mt_disk_file *f) {
    for (size_t i = 0; i < f->touched_count; i++) f->dirty[f->touched[i]] = 0;
    f->touched_count = f->version_count = f->size_count = 0;
}

bool mt_disk_sync(struct mt_disk *disk, struct mt_disk_file *f) {
    disk->stats.syncs++;
    if (disk->lie && ++disk->truths >= disk->lie) {
        disk->truths = 0;
        return false;
    }
    for (size_t i = 0; i < f->touched_count; i++) mt_disk_page_keep(f, f->touched[i]);
    f->kept_size = f->size;
    settle(f);
    return true;
}

/* ---- the directory ---- */

static struct mt_disk_entry *find_entry(struct mt_disk *disk, const char *name) {
    for (size_t i = 0; i < disk->entry_count; i++)
        if (strcmp(disk->entries[i].name, name) == 0) return &disk->entries[i];
    return NULL;
}

struct mt_disk_file *mt_disk_find(struct mt_disk *disk, const char *name) {
    struct mt_disk_entry *x = find_entry(disk, name);
    return x ? x->now : NULL;
}

static struct mt_disk_file *new_file(struct mt_disk *disk) {
    struct mt_disk_file *f = mt_calloc(1, sizeof *f);
    f->next = disk->files;
    disk->files = f;
    return f;
}

/* An entry keeps its place when its file goes, so that the order of entries says what was created first. */
static struct mt_disk_entry *make_entry(struct mt_disk *disk, const char *name) {
    struct mt_disk_entry *x = find_entry(disk, name);
    if (x) return x;
    disk->entries = room(disk->entries, disk->entry_count, &disk->entry_cap, sizeof *disk->entries);
    x = &disk->entries[disk->entry_count++];
    *x = (struct mt_disk_entry){.name = mt_strdup(name)};
    return x;
}

struct mt_disk_file *mt_disk_create(struct mt_disk *disk, const char *name) {
    struct mt_disk_file *f = new_file(disk);
    if (name) {
        make_entry(disk, name)->now = f;
        f->names = 1;
    }
    return f;
}

void mt_disk_drop(struct mt_disk *disk, struct mt_disk_file *f) {
    if (f->names || f->open) return;
    struct mt_disk_file **at = &disk->files;
    while (*at != f) at = &(*at)->next;
    *at = f->next;
    disk->used -= (int64_t)f->size;
    free_file(f);
}

/* Lets an entry lead elsewhere: *at is its `now` or its `kept`. */
static void point(struct mt_disk *disk, struct mt_disk_file **at, struct mt_disk_file *to) {
    struct mt_disk_file *from = *at;
    if (to) to->names++;
    *at = to;
    if (!from) return;
    from->names--;
    mt_disk_drop(disk, from);
}

int mt_disk_unlink(struct mt_disk *disk, const char *name) {
    struct mt_disk_entry *x = find_entry(disk, name);
    if (!x || !x->now) return -1;
    point(disk, &x->now, NULL);
    return 0;
}

void mt_disk_sync_directory(struct mt_disk *disk) {
    for (size_t i = 0; i < disk->entry_count; i++) point(disk, &disk->entries[i].kept, disk->entries[i].now);
}

/* ---- crashes ---- */

/* Of the writes to each sector, and of the sizes, each was kept with a chance of so many in 16; of those that
 * were, any one may have come last. What comes of it is left in `kept`. */
static void tear(struct mt_disk *disk, struct mt_disk_file *f, unsigned chance) {
    unsigned *came = f->touched_count ? mt_calloc(f->cap / MT_SECTOR, sizeof *came) : NULL;
    for (size_t i = 0; i < f->version_count + f->touched_count; i++) {
        bool older = i < f->version_count;
        size_t sector = older ? f->versions[i].sector : f->touched[i - f->version_count];
        unsigned char image[MT_SECTOR];
        if (mt_disk_random(disk) % 16 >= chance) continue;
        if (mt_disk_random(disk) % ++came[sector] != 0) continue;
        if (!older) mt_disk_get(f->now, sector * MT_SECTOR, image, MT_SECTOR);
        mt_disk_put_kept(f, sector * MT_SECTOR, older ? f->versions[i].bytes : image, MT_SECTOR);
    }
    free(came);
    unsigned sizes = 0;
    for (size_t i = 0; i <= f->size_count; i++) {
        if (mt_disk_random(disk) % 16 >= chance) continue;
        if (mt_disk_random(disk) % ++sizes == 0) f->kept_size = i < f->size_count ? f->sizes[i] : f->size;
    }
    for (size_t i = 0; i < f->touched_count; i++) { /* what lies beyond its size was touched, too */
        size_t from = f->touched[i] * MT_SECTOR, end = from + MT_SECTOR;
        if (from < f->kept_size) from = f->kept_size;
        if (from < end) mt_disk_put_kept(f, from, NULL, end - from);
    }
}

static void lose_unsynced(struct mt_disk *disk, struct mt_disk_file *f) {
    for (size_t i = 0; i < f->touched_count; i++) mt_disk_page_lose(f, f->touched[i]);
    disk->used += (int64_t)f->kept_size - (int64_t)f->size;
    f->size = f->kept_size;
    settle(f);
}

static void machine_dies(struct mt_disk *disk, bool torn) {
    static const unsigned chances[] = {1, 5, 8, 11, 15}; /* of 16: from hardly any to nearly all */
    unsigned chance = chances[torn ? mt_disk_random(disk) % (sizeof chances / sizeof *chances) : 0];
    for (size_t i = 0; i < disk->entry_count; i++) {
        struct mt_disk_entry *x = &disk->entries[i];
        if (torn && x->now != x->kept && mt_disk_random(disk) % 16 < chance) point(disk, &x->kept, x->now);
        point(disk, &x->now, x->kept);
    }
    for (struct mt_disk_file *f = disk->files; f; f = f->next) {
        if (torn) tear(disk, f, chance);
        lose_unsynced(disk, f);
    }
}

static void forget_holds(struct mt_disk *disk) {
    for (size_t i = 0; i < disk->hold_count; i++) free(disk->holds[i].name);
    disk->hold_count = 0;
}

/* What the process had: handles, locks, shared memory. */
static void forget_open(struct mt_disk *disk) {
    for (struct mt_disk_file *f = disk->files, *next; f; f = next) {
        next = f->next;
        if (f->shm) {
            f->shm->next_dead = disk->dead_shm;
            disk->dead_shm = f->shm;
        }
        f->shm = NULL;
        f->open = f->shared = 0;
        f->reserved = f->pending = f->exclusive = NULL;
        mt_disk_drop(disk, f);
    }
    forget_holds(disk);
}

void mt_disk_crash(struct mt_disk *disk, enum mt_disk_crash how) {
    pthread_mutex_lock(&disk->mutex);
    forget_open(disk);
    if (how != MT_DISK_PROCESS_DIES) machine_dies(disk, how == MT_DISK_TEARS);
    mt_disk_begin_life(disk);
    pthread_mutex_unlock(&disk->mutex);
}

/* ---- the whole ---- */

struct mt_disk *mt_disk_new(uint64_t seed) {
    struct mt_disk *disk = mt_calloc(1, sizeof *disk);
    pthread_mutex_init(&disk->mutex, NULL);
    disk->random = seed;
    disk->limit = -1;
    for (int i = 0; i < MT_DISK_FAULT_COUNT; i++) disk->faults[i] = -1;
    mt_disk_begin_life(disk);
    return disk;
}

static void free_shm(struct mt_disk_shm *shm) {
    for (int i = 0; i < shm->region_count; i++) free(shm->regions[i]);
    free(shm->regions);
    free(shm);
}

void mt_disk_shm_unref(struct mt_disk *disk, struct mt_disk_shm *shm) {
    if (--shm->refs) return;
    for (struct mt_disk_shm **at = &disk->dead_shm; *at; at = &(*at)->next_dead) {
        if (*at != shm) continue;
        *at = shm->next_dead;
        break;
    }
    free_shm(shm);
}

void mt_disk_free(struct mt_disk *disk) {
    if (!disk) return;
    for (struct mt_disk_file *f = disk->files, *next; f; f = next) {
        next = f->next;
        if (f->shm) free_shm(f->shm);
        free_file(f);
    }
    for (struct mt_disk_shm *shm = disk->dead_shm, *next; shm; shm = next) {
        next = shm->next_dead;
        free_shm(shm);
    }
    for (size_t i = 0; i < disk->entry_count; i++) free(disk->entries[i].name);
    sqlite3_vfs_unregister(&disk->life->vfs);
    for (struct mt_disk_life *life = disk->life, *before; life; life = before) {
        before = life->before;
        free(life);
    }
    forget_holds(disk);
    free(disk->entries);
    free(disk->holds);
    pthread_mutex_destroy(&disk->mutex);
    free(disk);
}

static void *copy_of(const void *items, size_t count, size_t size) {
    return count ? mt_memdup(items, count * size) : NULL;
}

static struct mt_disk_file *copy_file(struct mt_disk *to, const struct mt_disk_file *f) {
    struct mt_disk_file *c = new_file(to);
    mt_disk_copy_pages(c, f);
    c->touched = copy_of(f->touched, f->touched_count, sizeof *f->touched);
    c->versions = copy_of(f->versions, f->version_count, sizeof *f->versions);
    c->sizes = copy_of(f->sizes, f->size_count, sizeof *f->sizes);
    c->size = f->size;
    c->kept_size = f->kept_size;
    c->touched_count = c->touched_cap = f->touched_count;
    c->version_count = c->version_cap = f->version_count;
    c->size_count = c->size_cap = f->size_count;
    to->used += (int64_t)f->size;
    return c;
}

struct mt_disk *mt_disk_copy(struct mt_disk *disk, uint64_t seed) {
    struct mt_disk *to = mt_disk_new(seed);
    pthread_mutex_lock(&disk->mutex);
    for (size_t i = 0; i < disk->entry_count; i++) {
        const struct mt_disk_entry *x = &disk->entries[i];
        struct mt_disk_entry *y = make_entry(to, x->name);
        if (x->now) {
            y->now = copy_file(to, x->now);
            y->now->names++;
        }
        if (!x->kept) continue;
        y->kept = x->kept == x->now ? y->now : copy_file(to, x->kept);
        y->kept->names++;
    }
    pthread_mutex_unlock(&disk->mutex);
    return to;
}

/* ---- what the world asks for ---- */

void mt_disk_set_hooks(struct mt_disk *disk, const struct mt_disk_hooks *hooks) {
    pthread_mutex_lock(&disk->mutex);
    disk->hooks = hooks ? *hooks : (struct mt_disk_hooks){0};
    pthread_mutex_unlock(&disk->mutex);
}

void mt_disk_limit(struct mt_disk *disk, int64_t bytes) {
    pthread_mutex_lock(&disk->mutex);
    disk->limit = bytes;
    pthread_mutex_unlock(&disk->mutex);
}

void mt_disk_fail(struct mt_disk *disk, enum mt_disk_fault fault, int64_t ahead) {
    pthread_mutex_lock(&disk->mutex);
    disk->faults[fault] = ahead;
    pthread_mutex_unlock(&disk->mutex);
}

void mt_disk_lie(struct mt_disk *disk, unsigned every) {
    pthread_mutex_lock(&disk->mutex);
    disk->lie = every;
    disk->truths = 0;
    pthread_mutex_unlock(&disk->mutex);
}

void mt_disk_stats(struct mt_disk *disk, struct mt_disk_stats *out) {
    pthread_mutex_lock(&disk->mutex);
    *out = disk->stats;
    out->bytes = disk->used;
    pthread_mutex_unlock(&disk->mutex);
}

static uint64_t hash(uint64_t h, const void *bytes, size_t n) { /* FNV-1a */
    for (const unsigned char *at = bytes, *end = at + n; at < end; at++)
        h = (h ^ *at) * UINT64_C(1099511628211);
    return h;
}

uint64_t mt_disk_digest(struct mt_disk *disk, bool synced) {
    uint64_t h = UINT64_C(14695981039346656037);
    pthread_mutex_lock(&disk->mutex);
    for (size_t i = 0; i < disk->entry_count; i++) {
        const struct mt_disk_entry *x = &disk->entries[i];
        const struct mt_disk_file *f = synced ? x->kept : x->now;
        if (!f) continue;
        size_t size = synced ? f->kept_size : f->size;
        h = hash(h, x->name, strlen(x->name) + 1);
        h = hash(h, &size, sizeof size);
        for (size_t at = 0; at < size; at += MT_SECTOR) {
            unsigned char bytes[MT_SECTOR];
            size_t n = size - at < MT_SECTOR ? size - at : MT_SECTOR;
            mt_disk_get(synced ? f->kept : f->now, at, bytes, n);
            h = hash(h, bytes, n);
        }
    }
    pthread_mutex_unlock(&disk->mutex);
    return h;
}

uint64_t mt_disk_hold(struct mt_disk *disk, const char *name) {
    uint64_t token = 0;
    pthread_mutex_lock(&disk->mutex);
    size_t i = 0;
    while (i < disk->hold_count && strcmp(disk->holds[i].name, name) != 0) i++;
    if (i == disk->hold_count) {
        disk->holds = room(disk->holds, disk->hold_count, &disk->hold_cap, sizeof *disk->holds);
        token = ++disk->next_token;
        disk->holds[disk->hold_count++] = (struct mt_disk_hold){mt_strdup(name), token};
    }
    pthread_mutex_unlock(&disk->mutex);
    return token;
}

void mt_disk_release(struct mt_disk *disk, uint64_t token) {
    pthread_mutex_lock(&disk->mutex);
    for (size_t i = 0; i < disk->hold_count; i++) {
        if (disk->holds[i].token != token) continue;
        free(disk->holds[i].name);
        disk->holds[i] = disk->holds[--disk->hold_count];
        break;
    }
    pthread_mutex_unlock(&disk->mutex);
}
