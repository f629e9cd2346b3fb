/* The console's Unix socket: one thread takes connections, each connection has a thread that reads its lines.
 * Invariant: the socket's file is ours (the data folder is locked), of mode 0600 before anybody can connect.
 * Lines are written by the session's thread, under its wire lock. */
#include "console_socket.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "data.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 32, HELLO_MS = 10000, SEND_S = 10, LOOK_MS = 250, REAP_MS = 30000 };

struct connection {
    struct mt_console *c;
    int fd;
    struct ucred peer;
    struct console_session *session;
    struct mt_buf in;
};

/* ---- lines out ---- */

static bool write_all(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false; /* gone, or it has not read for SEND_S seconds */
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool send_line(struct console_session *s, const char *line, size_t len) {
    int fd = ((struct connection *)s->wire)->fd;
    return write_all(fd, line, len) && write_all(fd, "\n", 1);
}

/* Before there is a session, or about what is no message. */
static bool refuse(struct connection *k, const char *kind, const char *text) {
    if (k->session) {
        console_send(k->session, "error", -1, json_pack("{s:s, s:s}", "text", text, "kind", kind));
        return true;
    }
    json_t *line = json_pack("{s:s, s:s, s:s}", "type", "error", "text", text, "kind", kind);
    char *out = json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER);
    bool ok = out && write_all(k->fd, out, strlen(out)) && write_all(k->fd, "\n", 1);
    free(out);
    json_decref(line);
    return ok;
}

/* ---- lines in ---- */

static bool first_message(struct connection *k, json_t *hello) {
    struct mt_error e;
    char who[48];
    mt_format(who, sizeof who, "uid %u", (unsigned)k->peer.uid);
    k->session = console_session_new(k->c, hello, who, "socket", send_line, k, &e);
    json_decref(hello);
    if (k->session) return true;
    refuse(k, e.kind == MT_LIMIT ? "limit" : "protocol", e.message);
    return false;
}

/* False: the connection ends. */
static bool take_line(struct connection *k, const char *line, size_t len) {
    struct mt_error e;
    if (len > 0 && line[len - 1] == '\r') len--;
    if (len == 0) return true;
    json_t *message = mt_json_parse(line, len, &e);
    if (!json_is_object(message)) {
        if (message) mt_fail(&e, MT_INVALID_REQUEST, "a message is a JSON object");
        json_decref(message);
        return refuse(k, "protocol", e.message) && k->session != NULL;
    }
    return k->session ? console_session_take(k->session, message) : first_message(k, message);
}

/* Takes whole lines out of what has come. */
static bool take_lines(struct connection *k) {
    size_t from = 0;
    bool go_on = true;
    for (char *end; go_on && (end = memchr(k->in.data + from, '\n', k->in.len - from));) {
        size_t len = (size_t)(end - k->in.data) - from;
        go_on = take_line(k, k->in.data + from, len);
        from += len + 1;
    }
    size_t left = k->in.len - from;
    memmove(k->in.data, k->in.data + from, left);
    k->in.len = left;
    if (!go_on || left < CONSOLE_LINE_MAX) return go_on;
    refuse(k, "protocol", "a message has at most 1 MiB; this connection ends");
    return false;
}

static bool idle(struct connection *k, int64_t since_ns) {
    int64_t now = mt_mono_ns();
    if (!k->session) {
        mt_lock(&k->c->lock);
        bool stopping = k->c->stopping;
        mt_unlock(&k->c->lock);
        return stopping || now - since_ns > (int64_t)HELLO_MS * 1000000;
    }
    mt_lock(&k->session->lock);
    bool over = !k->session->running && now - k->session->active_ns > (int64_t)CONSOLE_IDLE_MS * 1000000;
    bool ends = k->session->stop_all || k->session->deaf;
    mt_unlock(&k->session->lock);
    if (over) console_notice(k->session, "nothing has come for 30 minutes; this session ends");
    return over || ends;
}

static void read_lines(struct connection *k) {
    int64_t since = mt_mono_ns();
    char part[16384];
    for (;;) {
        struct pollfd p = {.fd = k->fd, .events = POLLIN};
        int ready = poll(&p, 1, LOOK_MS);
        if (ready < 0 && errno != EINTR) return;
        if (idle(k, since)) return;
        if (ready <= 0) continue;
        ssize_t n = recv(k->fd, part, sizeof part, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        mt_buf_add(&k->in, part, (size_t)n);
        if (!mt_buf_ok(&k->in) || !take_lines(k)) return;
    }
}

static void *connection_main(void *arg) {
    struct connection *k = arg;
    struct mt_console *c = k->c;
    read_lines(k);
    if (k->session) console_session_end(k->session);
    close(k->fd);
    mt_buf_clear(&k->in);
    free(k);
    mt_lock(&c->lock);
    c->connections--;
    mt_cond_broadcast(&c->gone);
    mt_unlock(&c->lock);
    return NULL;
}

/* ---- connections ---- */

static void accept_one(struct mt_console *c) {
    int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return;
    struct connection *k = mt_calloc(1, sizeof *k);
    socklen_t size = sizeof k->peer;
    struct timeval wait = {.tv_sec = SEND_S};
    k->c = c;
    k->fd = fd;
    mt_buf_init(&k->in, CONSOLE_LINE_MAX + 64 * 1024);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    mt_lock(&c->lock);
    bool room = !c->stopping && c->connections < CONNECTIONS_MAX;
    if (room) c->connections++;
    mt_unlock(&c->lock);
    pthread_t thread;
    bool known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &k->peer, &size) == 0 &&
                 (k->peer.uid == geteuid() || k->peer.uid == 0);
    if (room && known && mt_thread_start(&thread, 0, connection_main, k) == 0) {
        pthread_detach(thread);
        return;
    }
    refuse(k, "limit", known ? "there are too many connections" : "this console is another user's");
    if (room) {
        mt_lock(&c->lock);
        c->connections--;
        mt_unlock(&c->lock);
    }
    close(fd);
    mt_buf_clear(&k->in);
    free(k);
}

static void *accept_main(void *arg) {
    struct mt_console *c = arg;
    for (;;) {
        struct pollfd p[2] = {{.fd = c->listener, .events = POLLIN}, {.fd = c->wake[0], .events = POLLIN}};
        int ready = poll(p, 2, REAP_MS); /* a descriptor of -1 is not looked at */
        if (ready < 0 && errno != EINTR) return NULL;
        if (ready == 0) console_end_idle(c);
        if (ready > 0 && p[1].revents) return NULL;
        if (ready > 0 && p[0].revents) accept_one(c);
    }
}

/* ---- the socket ---- */

static int bind_at(struct mt_console *c, const struct sockaddr_un *at, struct mt_error *e) {
    struct stat st;
    if (lstat(at->sun_path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return mt_fail(e, MT_USAGE, "%s is there, and is no socket", c->path);
    unlink(at->sun_path); /* a dead process left it: the data folder's lock is ours */
    c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->listener >= 0 && bind(c->listener, (const struct sockaddr *)at, sizeof *at) == 0 &&
        chmod(at->sun_path, 0600) == 0 && listen(c->listener, 16) == 0)
        return 0;
    mt_fail(e, MT_USAGE, "cannot listen at %s: %s", c->path, strerror(errno));
    if (c->listener >= 0) close(c->listener);
    c->listener = -1;
    return -1;
}

/* A path that has no room in an address is reached through a descriptor of its folder, as the client does. */
static int bind_path(struct mt_console *c, struct mt_error *e) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (mt_copy(at.sun_path, sizeof at.sun_path, c->path)) return bind_at(c, &at, e);
    int folder = open(c->rt->o.data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return mt_fail(e, MT_USAGE, "cannot open %s: %s", c->rt->o.data, strerror(errno));
    mt_format(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/console.sock", folder);
    int rc = bind_at(c, &at, e);
    close(folder);
    return rc;
}

static void forget_socket(struct mt_console *c) {
    if (c->listener >= 0) {
        close(c->listener);
        unlink(c->path);
    }
    c->listener = -1;
    for (int i = 0; i < 2; i++)
        if (c->wake[i] >= 0) close(c->wake[i]);
    c->wake[0] = c->wake[1] = -1;
}

int console_socket_open(struct mt_console *c, struct mt_error *e) {
    if (mt_data_path(c->rt->o.data, "console.sock", c->path, sizeof c->path, e) != 0) return -1;
    int rc = bind_path(c, e), failed = 0;
    if (pipe2(c->wake, O_CLOEXEC) != 0)
        failed = errno;
    else
        failed = mt_thread_start(&c->acceptor, 0, accept_main, c);
    if (failed == 0) return rc;
    forget_socket(c);
    return mt_fail(e, MT_INTERNAL, "cannot start the console's thread: %s", strerror(failed));
}

void console_socket_close(struct mt_console *c) {
    if (c->wake[1] < 0) return;
    if (write(c->wake[1], "x", 1) < 0) mt_warn("cannot wake the console's thread", "error", strerror(errno));
    mt_thread_join(c->acceptor);
    mt_lock(&c->lock);
    while (c->connections > 0) mt_cond_wait(&c->gone, &c->lock, MT_NO_DEADLINE);
    mt_unlock(&c->lock);
    forget_socket(c);
}
