/* For the tests of core/http: a client that writes raw bytes to a loopback port and reads what comes back,
 * and nothing between. Every wait has a limit, so a test fails rather than hangs. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RAW_WAIT_MS = 15000 };

struct raw_reply {
    int status; /* 0: nothing came */
    char *head; /* with its blank line; NUL-terminated */
    char *body;
    size_t body_len;
    bool closed; /* the connection ended before the reply was complete */
    bool reset;
};

static inline int raw_connect(int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    assert_true(fd >= 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static inline void raw_send(int fd, const void *data, size_t len) {
    const char *p = data;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0) return; /* the other side may have had enough; what it answered is looked at */
        p += n;
        len -= (size_t)n;
    }
}

static inline void raw_sends(int fd, const char *s) {
    raw_send(fd, s, strlen(s));
}

/* One byte or more: >0; the end: 0; a reset: -1. */
static inline ssize_t raw_recv(int fd, char *buf, size_t len) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, RAW_WAIT_MS), 1);
    return recv(fd, buf, len, 0);
}

static inline void raw_reply_clear(struct raw_reply *r) {
    free(r->head);
    free(r->body);
    memset(r, 0, sizeof(*r));
}

static inline const char *raw_header(const struct raw_reply *r, const char *name, char *out, size_t size) {
    size_t n = strlen(name);
    for (const char *p = strstr(r->head, "\r\n"); p != NULL && p[2] != '\r' && p[2] != '\0';
         p = strstr(p + 2, "\r\n")) {
        if (strncasecmp(p + 2, name, n) != 0 || p[2 + n] != ':') continue;
        const char *value = p + 3 + n + strspn(p + 3 + n, " ");
        snprintf(out, size, "%.*s", (int)strcspn(value, "\r"), value);
        return out;
    }
    return NULL;
}

/* Reads one reply byte by byte for the head and by Content-Length for the body; without one, until the end
 * (streams stay chunked). `no_body`: the reply to HEAD. */
static inline struct raw_reply raw_read(int fd, bool no_body) {
    struct raw_reply r = {0};
    size_t used = 0, room = 64 * 1024;
    char value[64];
    r.head = calloc(1, room + 1);
    r.body = calloc(1, 1);
    while (used < room && (used < 4 || memcmp(r.head + used - 4, "\r\n\r\n", 4) != 0)) {
        ssize_t n = raw_recv(fd, r.head + used, 1);
        if (n <= 0) {
            r.closed = true;
            r.reset = n < 0;
            return r;
        }
        used++;
    }
    r.status = atoi(r.head + 9);
    bool sized = raw_header(&r, "Content-Length", value, sizeof(value)) != NULL;
    size_t want = sized ? strtoull(value, NULL, 10) : SIZE_MAX;
    if (no_body || r.status == 204 || r.status == 304 || (r.status >= 100 && r.status < 200)) want = 0;
    room = 0;
    while (r.body_len < want) {
        if (room < r.body_len + 4096) r.body = realloc(r.body, (room = (r.body_len + 4096) * 2) + 1);
        size_t ask = want - r.body_len < 4096 ? want - r.body_len : 4096;
        ssize_t n = raw_recv(fd, r.body + r.body_len, ask);
        if (n <= 0) {
            r.closed = sized;
            r.reset = n < 0;
            break;
        }
        r.body_len += (size_t)n;
    }
    r.body[r.body_len] = '\0';
    return r;
}

/* Whether the other side has closed and sends nothing more. */
static inline bool raw_at_end(int fd) {
    char c;
    return raw_recv(fd, &c, 1) <= 0;
}

static inline struct raw_reply raw_ask(int port, const void *data, size_t len) {
    int fd = raw_connect(port);
    raw_send(fd, data, len);
    struct raw_reply r = raw_read(fd, false);
    close(fd);
    return r;
}

static inline struct raw_reply raw_asks(int port, const char *s) {
    return raw_ask(port, s, strlen(s));
}
