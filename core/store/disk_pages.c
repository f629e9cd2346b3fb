/* The bytes of a simulated disk's files: pages that what is written and what was synced share until one of
 * them changes, so that a file costs what was written to it. Invariant: a page is in one file, at one place.
 * Behind the disk's mutex. */
#include "base/text.h"
#include "store/disk_private.h"
#include <stdlib.h>
#include <string.h>

enum { ROOM = 16 }; /* pages of a file that begins */

static size_t pages_of(const struct mt_disk_file *f) {
    return f->cap / MT_DISK_PAGE;
}

static void *grown(void *old, size_t from, size_t to) {
    char *bytes = mt_realloc(old, to);
    memset(bytes + from, 0, to - from);
    return bytes;
}

/* NULL: a page of zeros. */
static unsigned char *new_page(const unsigned char *from) {
    return from ? memcpy(mt_realloc(NULL, MT_DISK_PAGE), from, MT_DISK_PAGE) : mt_calloc(1, MT_DISK_PAGE);
}

void mt_disk_reserve(struct mt_disk_file *f, size_t size) {
    size_t had = pages_of(f), cap = f->cap ? f->cap : ROOM * MT_DISK_PAGE;
    if (size <= f->cap) return;
    while (cap < size) cap *= 2;
    size_t wanted = cap / MT_DISK_PAGE;
    f->now = grown(f->now, had * sizeof *f->now, wanted * sizeof *f->now);
    f->kept = grown(f->kept, had * sizeof *f->kept, wanted * sizeof *f->kept);
    f->dirty = grown(f->dirty, f->cap / MT_SECTOR, cap / MT_SECTOR);
    f->cap = cap;
}

void mt_disk_free_pages(struct mt_disk_file *f) {
    for (size_t i = 0; i < pages_of(f); i++) {
        if (f->kept[i] != f->now[i]) free(f->kept[i]);
        free(f->now[i]);
    }
    free(f->now);
    free(f->kept);
}

void mt_disk_copy_pages(struct mt_disk_file *to, const struct mt_disk_file *from) {
    size_t n = pages_of(from);
    if (n == 0) return;
    to->now = mt_calloc(n, sizeof *to->now);
    to->kept = mt_calloc(n, sizeof *to->kept);
    to->dirty = memcpy(mt_calloc(from->cap / MT_SECTOR, 1), from->dirty, from->cap / MT_SECTOR);
    to->cap = from->cap;
    for (size_t i = 0; i < n; i++) {
        if (from->now[i]) to->now[i] = new_page(from->now[i]);
        if (from->kept[i] == from->now[i])
            to->kept[i] = to->now[i];
        else if (from->kept[i])
            to->kept[i] = new_page(from->kept[i]);
    }
}

void mt_disk_get(unsigned char *const *pages, size_t at, void *out, size_t n) {
    for (unsigned char *to = out; n > 0;) {
        size_t in = at % MT_DISK_PAGE, part = MT_DISK_PAGE - in < n ? MT_DISK_PAGE - in : n;
        const unsigned char *page = pages[at / MT_DISK_PAGE];
        if (page)
            memcpy(to, page + in, part);
        else
            memset(to, 0, part);
        to += part;
        at += part;
        n -= part;
    }
}

/* A page of one side that the other does not share. */
static unsigned char *own(unsigned char **page, const unsigned char *other) {
    if (*page && *page != other) return *page;
    return *page = new_page(*page);
}

static void put(unsigned char **pages, unsigned char *const *others, size_t at, const unsigned char *bytes,
                size_t n) {
    while (n > 0) {
        size_t i = at / MT_DISK_PAGE, in = at % MT_DISK_PAGE;
        size_t part = MT_DISK_PAGE - in < n ? MT_DISK_PAGE - in : n;
        if (bytes) {
            memcpy(own(&pages[i], others[i]) + in, bytes, part);
            bytes += part;
        } else if (pages[i]) {
            memset(own(&pages[i], others[i]) + in, 0, part);
        }
        at += part;
        n -= part;
    }
}

void mt_disk_put_now(struct mt_disk_file *f, size_t at, const void *bytes, size_t n) {
    put(f->now, f->kept, at, bytes, n);
}

void mt_disk_put_kept(struct mt_disk_file *f, size_t at, const void *bytes, size_t n) {
    put(f->kept, f->now, at, bytes, n);
}

static void share(unsigned char **page, unsigned char *other) {
    if (*page == other) return;
    free(*page);
    *page = other;
}

void mt_disk_page_keep(struct mt_disk_file *f, size_t sector) {
    size_t i = sector * MT_SECTOR / MT_DISK_PAGE;
    share(&f->kept[i], f->now[i]);
}

void mt_disk_page_lose(struct mt_disk_file *f, size_t sector) {
    size_t i = sector * MT_SECTOR / MT_DISK_PAGE;
    share(&f->now[i], f->kept[i]);
}
