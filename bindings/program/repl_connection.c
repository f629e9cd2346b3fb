/* Lines of JSON between the client and a runtime. By HTTP, a bridge stands at the other end of the same kind
 * of socket, so that whoever waits for news waits for one descriptor. Invariant: a lost connection stays
 * lost. One thread. */
#include "base/json.h"
#include "base/text.h"
#include "data.h"
#include "repl.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MESSAGE_MAX = 1024 * 1024, CHUNK = 64 * 1024, HELLO_MS = 10 * 1000, SEND_MS = 10 * 1000 };

struct repl_connection {
    int fd;
    struct mt_buf in;
    size_t taken; /* bytes of `in` that were given out */
    bool lost;
    struct repl_bridge *bridge; /* NULL: a Unix socket */
};

bool mt_repl_socket_path(const char *data, char *out, size_t size) {
    return mt_format(out, size, "%s/console.sock", data);
}

/* A socket's path has room for 107 bytes; a folder with a longer one is reached through a descriptor of it.
 */
static int connect_socket(const char *data, struct mt_error *e) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[4200];
    int folder = -1, fd = -1;
    if (!mt_repl_socket_path(data, path, sizeof path))
        return mt_fail(e, MT_USAGE, "the path of the data folder is too long: %.100s...", data);
    if (!mt_copy(address.sun_path, sizeof address.sun_path, path)) {
        folder = open(data, O_PATH | O_DIRECTORY | O_CLOEXEC);
        mt_format(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/console.sock", folder);
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) goto out;
    if (errno == EACCES || errno == EPERM)
        mt_fail(e, MT_PERMISSION,
                "%s belongs to another user: only who owns the data folder may use its console", path);
    else if (errno == ECONNREFUSED)
        mt_fail(
            e, MT_UNAVAILABLE,
            "no runtime serves %s (one that did was killed); start it with mintage serve or mintage dev, or "
            "look at its data with --offline",
            data);
    else
        mt_fail(e, MT_UNAVAILABLE, "cannot connect to %s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    fd = -1;
out:
    if (folder >= 0) close(folder);
    return fd;
}

/* ---- messages ---- */

bool mt_repl_send(struct repl_connection *c, json_t *message) {
    size_t len = 0;
    char *text = mt_json_dump(message, &len);
    json_decref(message);
    text[len] = '\n'; /* in place of its end */
    for (size_t sent = 0; sent < len + 1 && !c->lost;) {
        ssize_t n = send(c->fd, text + sent, len + 1 - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        struct pollfd p = {.fd = c->fd, .events = POLLOUT};
        if (n > 0)
            sent += (size_t)n;
        else if (!(n < 0 && (errno == EINTR || (errno == EAGAIN && poll(&p, 1, SEND_MS) > 0))))
            c->lost = true;
    }
    free(text);
    return !c->lost;
}

/* The next whole line, taken out; NULL when there is none. */
static json_t *take_line(struct repl_connection *c) {
    struct mt_error ignored;
    json_t *message = NULL;
    while (!message) {
        char *start = c->in.data + c->taken, *end = memchr(start, '\n', c->in.len - c->taken);
        if (!end) break;
        c->taken += (size_t)(end - start) + 1;
        message = mt_json_parse(start, (size_t)(end - start), &ignored);
        if (!json_is_object(message)) { /* of a later version, or none of ours: passed over */
            json_decref(message);
            message = NULL;
        }
    }
    if (c->taken == c->in.len) {
        mt_buf_reset(&c->in);
        c->taken = 0;
    }
    return message;
}

static void compact(struct repl_connection *c) {
    if (c->taken == 0) return;
    memmove(c->in.data, c->in.data + c->taken, c->in.len - c->taken + 1);
    c->in.len -= c->taken;
    c->taken = 0;
}

enum repl_got mt_repl_receive(struct repl_connection *c, json_t **message) {
    for (;;) {
        char chunk[CHUNK];
        if ((*message = take_line(c))) return REPL_GOT;
        if (c->lost) return REPL_LOST;
        compact(c);
        ssize_t n = recv(c->fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n > 0) mt_buf_add(&c->in, chunk, (size_t)n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return REPL_NOTHING;
        if (n <= 0 || !mt_buf_ok(&c->in)) c->lost = true;
    }
}

int mt_repl_fd(const struct repl_connection *c) {
    return c->fd;
}

/* ---- beginning and end ---- */

static json_t *wait_for_hello(struct repl_connection *c, struct mt_error *e) {
    json_t *answer = NULL;
    for (;;) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};
        enum repl_got got = mt_repl_receive(c, &answer);
        if (got == REPL_GOT) break;
        if (got == REPL_LOST)
            return mt_fail_null(e, MT_UNAVAILABLE,
                                "the runtime closed the connection; does it stop just now?");
        if (poll(&p, 1, HELLO_MS) == 0)
            return mt_fail_null(e, MT_TIMEOUT,
                                "the runtime does not answer; is it stopped (SIGSTOP) or overrun?");
    }
    if (strcmp(mt_json_str(answer, "type", ""), "hello") == 0) return answer;
    mt_fail(e, MT_UNAVAILABLE, "the runtime refuses a console: %s",
            mt_json_str(answer, "text", "it gives no reason"));
    json_decref(answer);
    return NULL;
}

struct repl_connection *mt_repl_connect(const struct repl_target *target, const json_t *hello,
                                        json_t **answer, struct mt_error *e) {
    struct repl_connection *c = mt_calloc(1, sizeof *c);
    mt_buf_init(&c->in, 2 * MESSAGE_MAX);
    *answer = NULL;
    if (target->data)
        c->fd = connect_socket(target->data, e);
    else if (!(c->bridge = mt_repl_bridge(target->url, target->token, hello, &c->fd, answer, e)))
        c->fd = -1;
    if (c->fd >= 0 && !*answer) {
        mt_repl_send(c, json_deep_copy(hello));
        *answer = wait_for_hello(c, e);
    }
    if (*answer) return c;
    mt_repl_disconnect(c);
    return NULL;
}

void mt_repl_disconnect(struct repl_connection *c) {
    if (!c) return;
    if (c->fd >= 0) {
        if (!c->lost) mt_repl_send(c, json_pack("{s:s}", "op", "bye"));
        close(c->fd);
    }
    mt_repl_bridge_free(c->bridge);
    mt_buf_clear(&c->in);
    free(c);
}
