/* Reading the files of a generation. See sources.h. */
#include "sources.h"
#include "base/text.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 1000, DEPTH_MAX = 8 };
#define FILE_BYTES_MAX (1024 * 1024)
#define ALL_BYTES_MAX (16 * 1024 * 1024)

void mt_source_set_add(struct mt_source_set *s, const char *name, const char *text, size_t len) {
    s->files = mt_realloc(s->files, (s->count + 1) * sizeof *s->files);
    s->files[s->count++] = (struct mt_source){mt_strdup(name), mt_memdup(text, len), len};
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct mt_source *)a)->name, ((const struct mt_source *)b)->name);
}

void mt_source_set_sort(struct mt_source_set *s) {
    if (s->count) qsort(s->files, s->count, sizeof *s->files, by_name);
}

void mt_source_set_clear(struct mt_source_set *s) {
    for (size_t i = 0; i < s->count; i++) {
        free((char *)s->files[i].name);
        free((char *)s->files[i].text);
    }
    free(s->files);
    *s = (struct mt_source_set){0};
}

static bool is_lua(const char *name) {
    size_t len = strlen(name);
    return name[0] != '.' && len > 4 && strcmp(name + len - 4, ".lua") == 0;
}

/* Reads one open file into the set. Takes fd. */
static int read_file(int fd, const char *name, struct mt_source_set *out, size_t *total, struct mt_error *e) {
    struct stat st;
    char *text = NULL;
    int result = -1;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        mt_fail(e, MT_SCRIPT, "%s is not a regular file", name);
        goto out;
    }
    if (st.st_size > FILE_BYTES_MAX) {
        mt_fail(e, MT_LIMIT, "%s has %lld bytes; a file may have at most %d", name, (long long)st.st_size,
                FILE_BYTES_MAX);
        goto out;
    }
    text = mt_calloc(1, FILE_BYTES_MAX + 1);
    size_t len = 0;
    for (;;) {
        ssize_t n = read(fd, text + len, FILE_BYTES_MAX - len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            mt_fail(e, MT_SCRIPT, "cannot read %s: %s", name, strerror(errno));
            goto out;
        }
        if (n == 0) break;
        len += (size_t)n;
    }
    *total += len;
    if (*total > ALL_BYTES_MAX || out->count >= FILES_MAX) {
        mt_fail(e, MT_LIMIT, "too many flows: at most %d files and %d MiB together", FILES_MAX,
                ALL_BYTES_MAX >> 20);
        goto out;
    }
    mt_source_set_add(out, name, text, len);
    result = 0;
out:
    free(text);
    close(fd);
    return result;
}

/* Takes dirfd. `prefix` is "" or "lib/". flows: take the files here too, not only the subfolders. */
static int read_folder(int dirfd, const char *prefix, int depth, bool files_here, struct mt_source_set *out,
                       size_t *total, struct mt_error *e) {
    DIR *dir = fdopendir(dirfd);
    if (!dir) {
        close(dirfd);
        return mt_fail(e, MT_SCRIPT, "cannot read the folder '%s': %s", prefix, strerror(errno));
    }
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(dir)) != NULL) {
        char name[512];
        if (entry->d_name[0] == '.' || (depth == 0 && strcmp(entry->d_name, "sandbox") == 0)) continue;
        if (!mt_format(name, sizeof name, "%s%s", prefix, entry->d_name)) {
            result = mt_fail(e, MT_LIMIT, "the path %s%.100s... is too long", prefix, entry->d_name);
            break;
        }
        int fd = openat(dirfd, entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0) {
            /* Editors make and remove files all the time; what is gone by now is not part of the set. */
            if (errno != ENOENT && is_lua(entry->d_name))
                result = mt_fail(e, MT_SCRIPT, "cannot open %s: %s", name, strerror(errno));
            continue;
        }
        struct stat st;
        if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && depth < DEPTH_MAX) {
            if (mt_format(name, sizeof name, "%s%s/", prefix, entry->d_name))
                result = read_folder(fd, name, depth + 1, true, out, total, e);
            else
                close(fd);
        } else if (files_here && is_lua(entry->d_name)) {
            result = read_file(fd, name, out, total, e);
        } else {
            close(fd);
        }
    }
    closedir(dir);
    return result;
}

static int open_folder(const char *dir, struct mt_error *e) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) mt_fail(e, MT_USAGE, "cannot open the folder of flows %s: %s", dir, strerror(errno));
    return fd;
}

int mt_source_set_read(const char *dir, struct mt_source_set *out, struct mt_error *e) {
    *out = (struct mt_source_set){0};
    int fd = open_folder(dir, e);
    if (fd < 0) return -1;
    size_t total = 0;
    if (read_folder(fd, "", 0, true, out, &total, e) != 0) {
        mt_source_set_clear(out);
        return -1;
    }
    mt_source_set_sort(out);
    return 0;
}

int mt_source_set_read_one(const char *file, struct mt_source_set *out, struct mt_error *e) {
    *out = (struct mt_source_set){0};
    char dir[4096];
    if (!mt_copy(dir, sizeof dir, file)) return mt_fail(e, MT_USAGE, "the path %.100s... is too long", file);
    char *slash = strrchr(dir, '/');
    const char *name = slash ? file + (slash + 1 - dir) : file;
    if (slash) *slash = '\0';
    int dirfd = open_folder(slash ? (*dir ? dir : "/") : ".", e);
    if (dirfd < 0) return -1;
    size_t total = 0;
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        close(dirfd);
        return mt_fail(e, MT_USAGE, "cannot open %s: %s", file, strerror(errno));
    }
    if (read_file(fd, name, out, &total, e) != 0) {
        close(dirfd);
        return -1;
    }
    if (read_folder(dirfd, "", 0, false, out, &total, e) != 0) {
        mt_source_set_clear(out);
        return -1;
    }
    mt_source_set_sort(out);
    return 0;
}

void mt_source_set_embedded(const struct mt_asset *assets, struct mt_source_set *out) {
    *out = (struct mt_source_set){0};
    for (const struct mt_asset *a = assets; a->path; a++) {
        if (is_lua(a->path) && strncmp(a->path, "sandbox/", 8) != 0)
            mt_source_set_add(out, a->path, (const char *)a->data, a->len);
    }
    mt_source_set_sort(out);
}
