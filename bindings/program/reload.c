/* The file watcher. See reload.h. What counts is the contents: a change that leaves them as they were loads
 * nothing anew. */
#include "reload.h"
#include "base/log.h"
#include "base/text.h"
#include "program.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    QUIET_MS = 25,     /* nothing more happens for so long: the editor has finished */
    PATIENCE_MS = 500, /* but somebody who never stops writing is not waited for longer */
    LOOK_MS = 2000,    /* between two looks without being told */
    LOOKS_MAX = 5,
    DEPTH_MAX = 8,
};

struct mt_reload {
    struct mt_generations *generations;
    char *dir, *config;
    void (*loaded)(void *ctx, enum mt_load result, const struct mt_error *e);
    void *ctx;
    pthread_t thread;
    int inotify; /* -1: none to be had */
    int stop;    /* eventfd */
    uint64_t signature;
};

static uint64_t mix(uint64_t h, uint64_t v) {
    h ^= v + 0x9e3779b97f4a7c15ull + (h << 6) + (h >> 2);
    return h;
}

/* Names, times and sizes of all files below, in no order; and a watch on each folder. */
static uint64_t look(struct mt_reload *r, const char *path, int depth) {
    uint64_t sum = 1;
    DIR *dir = opendir(path);
    if (!dir) return 0;
    if (r->inotify >= 0)
        inotify_add_watch(r->inotify, path,
                          IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE |
                              IN_DELETE_SELF | IN_ONLYDIR);
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char name[4096];
        struct stat st;
        if (entry->d_name[0] == '.' || !mt_format(name, sizeof name, "%s/%s", path, entry->d_name) ||
            stat(name, &st) != 0)
            continue;
        if (S_ISDIR(st.st_mode)) {
            if (depth < DEPTH_MAX) sum += mix(st.st_ino, look(r, name, depth + 1));
            continue;
        }
        uint64_t h = mix(st.st_ino, (uint64_t)st.st_size);
        h = mix(h, (uint64_t)st.st_mtim.tv_sec);
        h = mix(h, (uint64_t)st.st_mtim.tv_nsec);
        for (const char *c = entry->d_name; *c; c++) h = mix(h, (uint64_t)*c);
        sum += h; /* a sum: readdir's order does not matter */
    }
    closedir(dir);
    return sum;
}

/* Takes in what inotify has to say. Whether there was anything. */
static bool drain(struct mt_reload *r) {
    char events[16 * 1024] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool any = false;
    while (r->inotify >= 0 && read(r->inotify, events, sizeof events) > 0) any = true;
    return any;
}

/* 1: something to read, 0: the time is over, -1: stop. */
static int wait_for_news(struct mt_reload *r, int timeout_ms) {
    struct pollfd fds[2] = {{.fd = r->stop, .events = POLLIN}, {.fd = r->inotify, .events = POLLIN}};
    int n = poll(fds, r->inotify >= 0 ? 2 : 1, timeout_ms);
    if (n > 0 && fds[0].revents) return -1;
    return n > 0 ? 1 : 0;
}

static void reload(struct mt_reload *r) {
    struct mt_error e = {0};
    enum mt_load result = mt_generations_load(r->generations, &e);
    /* What old generations leave lies scattered over the allocator's pools, which keep it unless told. */
    if (result == MT_LOAD_SWAPPED) mt_memory_trim();
    if (r->loaded) r->loaded(r->ctx, result, &e);
}

/* The folder, and the configuration file: one that is replaced in the same moment has another inode. */
static uint64_t look_at_all(struct mt_reload *r) {
    struct stat st;
    uint64_t sum = look(r, r->dir, 0);
    if (!r->config || stat(r->config, &st) != 0) return sum;
    if (r->inotify >= 0) inotify_add_watch(r->inotify, r->config, IN_CLOSE_WRITE | IN_MOVE_SELF | IN_ATTRIB);
    uint64_t time = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    return mix(mix(mix(sum, st.st_ino), time), (uint64_t)st.st_size);
}

/* Lets time pass until nothing happens any more, or for so long. False: stop. */
static bool settle(struct mt_reload *r) {
    int news = 1;
    for (int waited = 0; news > 0 && waited < PATIENCE_MS; waited += QUIET_MS) {
        drain(r);
        news = wait_for_news(r, QUIET_MS);
    }
    return news >= 0;
}

/* Looks until the folder looks the same twice, since a file may just be being written; or often enough.
 * False: stop. */
static bool look_twice(struct mt_reload *r, uint64_t *now) {
    *now = look_at_all(r);
    for (int looks = 0; *now != r->signature && looks < LOOKS_MAX; looks++) {
        if (!settle(r)) return false;
        uint64_t again = look_at_all(r);
        if (again == *now) break;
        *now = again;
    }
    return true;
}

static void *watch(void *arg) {
    struct mt_reload *r = arg;
    for (;;) {
        uint64_t now;
        int news = wait_for_news(r, LOOK_MS);
        if (news < 0 || (news > 0 && !settle(r)) || !look_twice(r, &now)) return NULL;
        if (now == r->signature) continue;
        r->signature = now;
        reload(r);
    }
}

struct mt_reload *mt_reload_start(struct mt_generations *g, const char *dir, const char *config,
                                  void (*loaded)(void *ctx, enum mt_load result, const struct mt_error *e),
                                  void *ctx, struct mt_error *e) {
    struct mt_reload *r = mt_calloc(1, sizeof *r);
    r->generations = g;
    r->dir = mt_strdup(dir);
    r->config = mt_strdup(config);
    r->loaded = loaded;
    r->ctx = ctx;
    r->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (r->inotify < 0)
        mt_warn("cannot be told of changes to flows; looking every 2 seconds", "error", strerror(errno));
    r->stop = eventfd(0, EFD_CLOEXEC);
    look_at_all(r); /* for the watches; what changed since the first load is found at the first look */
    if (r->stop < 0 || pthread_create(&r->thread, NULL, watch, r) != 0) {
        mt_fail(e, MT_INTERNAL, "cannot start the watcher of flows: %s", strerror(errno));
        r->thread = 0;
        mt_reload_stop(r);
        return NULL;
    }
    return r;
}

void mt_reload_stop(struct mt_reload *r) {
    if (!r) return;
    if (r->thread) {
        uint64_t one = 1;
        if (write(r->stop, &one, sizeof one) == sizeof one) pthread_join(r->thread, NULL);
    }
    if (r->inotify >= 0) close(r->inotify);
    if (r->stop >= 0) close(r->stop);
    free(r->dir);
    free(r->config);
    free(r);
}
