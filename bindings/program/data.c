/* The data folder. See data.h. */
#include "data.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN_FILE "admin-token"

int mt_data_path(const char *dir, const char *name, char *out, size_t size, struct mt_error *e) {
    if (mt_format(out, size, "%s/%s", dir, name)) return 0;
    return mt_fail(e, MT_USAGE, "the path of the data folder is too long: %.100s...", dir);
}

int mt_data_make(const char *dir, struct mt_error *e) {
    char path[4096];
    if (!mt_copy(path, sizeof path, dir) || !*dir)
        return mt_fail(e, MT_USAGE, "the path of the data folder is too long or empty");
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return mt_fail(e, MT_USAGE, "cannot make the folder %s: %s; choose another with --data", path,
                           strerror(errno));
        *slash = '/';
    }
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return mt_fail(e, MT_USAGE, "cannot make the data folder %s: %s; choose another with --data", path,
                       strerror(errno));
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return mt_fail(e, MT_USAGE, "%s is not a folder; choose another with --data", path);
    return 0;
}

int mt_data_read_token(const char *dir, char *out, size_t size, struct mt_error *e) {
    char path[4200];
    if (mt_data_path(dir, TOKEN_FILE, path, sizeof path, e) != 0) return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return mt_fail(e, errno == ENOENT ? MT_NOT_FOUND : MT_USAGE, "cannot read the admin token %s: %s",
                       path, strerror(errno));
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    if (n < 0) return mt_fail(e, MT_USAGE, "cannot read the admin token %s: %s", path, strerror(errno));
    out[n] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    if (strlen(out) < 16) return mt_fail(e, MT_USAGE, "%s holds no token; remove it and start again", path);
    return 0;
}

/* Written aside and linked into place, so that nobody reads half a token and two makers agree on one. */
static int make_token(const char *dir, struct mt_error *e) {
    char path[4200], aside[4200], token[64], line[80];
    int fd, result = -1;
    if (mt_data_path(dir, TOKEN_FILE, path, sizeof path, e) != 0) return -1;
    if (!mt_format(aside, sizeof aside, "%s.%d", path, (int)getpid()))
        return mt_fail(e, MT_USAGE, "the path of the data folder is too long");
    mt_random_token(24, token);
    mt_format(line, sizeof line, "%s\n", token);
    fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) { /* left behind by a process of the same number that was killed */
        unlink(aside);
        fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    if (fd < 0 || write(fd, line, strlen(line)) != (ssize_t)strlen(line) || fsync(fd) != 0 ||
        (link(aside, path) != 0 && errno != EEXIST))
        mt_fail(e, MT_STORE, "cannot write the admin token %s: %s", path, strerror(errno));
    else
        result = 0;
    if (fd >= 0) {
        close(fd);
        unlink(aside);
    }
    mt_wipe(token, sizeof token);
    mt_wipe(line, sizeof line);
    return result;
}

int mt_data_token(const char *dir, char *out, size_t size, struct mt_error *e) {
    if (mt_data_read_token(dir, out, size, e) == 0) return 0;
    if (e->kind != MT_NOT_FOUND || make_token(dir, e) != 0) return -1;
    return mt_data_read_token(dir, out, size, e);
}
