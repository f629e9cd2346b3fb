/* The file that holds a key. Invariant: at `path` there is never half a key, and never a key that others
 * could read. Any thread, any process: of two that make the file at once, both end with the same key. */
#include "base/id.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum mt_kind kind_of(int error) {
    return error == ENOSPC || error == EDQUOT ? MT_FULL : MT_STORE;
}

static int check(const char *path, const struct stat *st, struct mt_error *e) {
    if (!S_ISREG(st->st_mode))
        return mt_fail(e, MT_STORE, "key file %s: found something that is no regular file", path);
    if (st->st_uid != geteuid() && geteuid() != 0)
        return mt_fail(e, MT_STORE, "key file %s: it belongs to user %u, wanted user %u", path,
                       (unsigned)st->st_uid, (unsigned)geteuid());
    if ((st->st_mode & 077) != 0)
        return mt_fail(e, MT_STORE,
                       "key file %s: found mode %04o, so others may read it; wanted 0600 (chmod 600)", path,
                       (unsigned)(st->st_mode & 07777));
    if (st->st_size != (off_t)sizeof(struct mt_seal_key))
        return mt_fail(e, MT_STORE, "key file %s: found %lld bytes, wanted %zu", path, (long long)st->st_size,
                       sizeof(struct mt_seal_key));
    return 0;
}

/* 1 when there is no such file. */
static int load(const char *path, struct mt_seal_key *key, struct mt_error *e) {
    static const struct mt_seal_key zeros;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) return 1;
    if (fd < 0) return mt_fail(e, MT_STORE, "key file %s: %s", path, strerror(errno));
    int r = fstat(fd, &st) != 0 ? mt_fail(e, MT_STORE, "key file %s: %s", path, strerror(errno))
                                : check(path, &st, e);
    if (r == 0 && read(fd, key->bytes, sizeof(key->bytes)) != (ssize_t)sizeof(key->bytes))
        r = mt_fail(e, MT_STORE, "key file %s: it could not be read whole", path);
    if (r == 0 && mt_equal(key, sizeof(*key), &zeros, sizeof(zeros)))
        r = mt_fail(e, MT_STORE, "key file %s: it holds nothing but zeros, so it was damaged", path);
    close(fd);
    return r;
}

static int sync_folder(const char *path, struct mt_error *e) {
    char *copy = mt_strdup(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd < 0 || fsync(fd) != 0
                ? mt_fail(e, MT_STORE, "key file %s: its folder: %s", path, strerror(errno))
                : 0;
    if (fd >= 0) close(fd);
    free(copy);
    return r;
}

/* Gives the finished file its name, unless another process was first (which is as good). */
static int put_in_place(const char *temporary, const char *path, struct mt_error *e) {
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0) return 0;
    if (errno == EINVAL || errno == ENOSYS) { /* a file system without that flag */
        if (link(temporary, path) == 0) return 0;
    }
    return errno == EEXIST ? 0 : mt_fail(e, kind_of(errno), "key file %s: %s", path, strerror(errno));
}

static int create(const char *path, struct mt_error *e) {
    struct mt_random *random = mt_random_system();
    struct mt_seal_key key;
    char unique[17], temporary[4096];
    int r = -1;
    mt_random_hex(8, unique);
    if (!mt_format(temporary, sizeof(temporary), "%s.%s.tmp", path, unique))
        return mt_fail(e, MT_USAGE, "key file: a path of %zu bytes is too long", strlen(path));
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return mt_fail(e, kind_of(errno), "key file %s: %s", path, strerror(errno));
    random->bytes(random, key.bytes, sizeof(key.bytes));
    if (fchmod(fd, 0600) != 0 || write(fd, key.bytes, sizeof(key.bytes)) != (ssize_t)sizeof(key.bytes) ||
        fsync(fd) != 0)
        mt_fail(e, kind_of(errno), "key file %s: %s", path, strerror(errno));
    else
        r = put_in_place(temporary, path, e);
    close(fd);
    unlink(temporary);
    mt_wipe(&key, sizeof(key));
    return r == 0 ? sync_folder(path, e) : -1;
}

int mt_secret_file(const char *path, struct mt_seal_key *key, struct mt_error *e) {
    int r = load(path, key, e);
    if (r <= 0) return r;
    if (create(path, e) != 0) return -1;
    r = load(path, key, e); /* what is there now, whoever made it */
    return r > 0 ? mt_fail(e, MT_STORE, "key file %s: it was removed while it was being made", path) : r;
}
