/* The other side of the benchmarks: a keep-alive HTTP/1.1 server on loopback that answers every request with
 * {"ok":true}. One thread, epoll, no allocation: so that what is measured is the runtime. `target PORT
 * [DELAY_MS]`; GET /count tells how many. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 4096
#define ROOM 16384

static struct connection {
    char data[ROOM];
    size_t len;
} connections[CONNECTIONS];
static unsigned long answered;

static bool answer(int fd, const char *body) {
    char out[256];
    int n = snprintf(out, sizeof out,
                     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     strlen(body), body);
    return write(fd, out, (size_t)n) == n;
}

/* Answers every whole request that has arrived. False: close. */
static bool serve(int fd, struct connection *c) {
    for (;;) {
        char *end = memmem(c->data, c->len, "\r\n\r\n", 4);
        if (!end) return c->len < ROOM;
        size_t head = (size_t)(end - c->data) + 4, body = 0;
        *end = 0;
        char *length = strcasestr(c->data, "\r\ncontent-length:");
        if (length) body = strtoul(length + 17, NULL, 10);
        bool count = strncmp(c->data, "GET /count", 10) == 0;
        *end = '\r';
        if (head + body > ROOM) return false;
        if (c->len < head + body) return true;
        char text[64] = "{\"ok\":true}";
        if (count)
            snprintf(text, sizeof text, "{\"n\":%lu}", answered);
        else
            answered++;
        if (!answer(fd, text)) return false;
        c->len -= head + body;
        memmove(c->data, c->data + head + body, c->len);
    }
}

static void accept_all(int listener, int poll) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= CONNECTIONS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connections[fd].len = 0;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
    }
}

int main(int argc, char **argv) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 9911)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1024) != 0) {
        perror("target");
        return 1;
    }
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int n = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                accept_all(listener, poll);
                continue;
            }
            struct connection *c = &connections[fd];
            ssize_t got = read(fd, c->data + c->len, ROOM - c->len);
            if (got > 0) c->len += (size_t)got;
            if (got <= 0 || !serve(fd, c)) close(fd);
        }
    }
}
