/* A console by HTTP: what the client writes to a socket is posted, a message a request, and the lines of each
 * answer come back through it as they arrive. A request has a thread, since an answer to a question travels
 * while the evaluation that asked is still being answered. Invariant: only whole lines are written, one at a
 * time. */
#include "base/json.h"
#include "base/sync.h"
#include "base/text.h"
#include "crypto/crypto.h"
#include "http/client.h"
#include "repl.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MESSAGE_MAX = 1024 * 1024,
    CONNECT_TIMEOUT_MS = 3000,
    HELLO_TIMEOUT_MS = 15 * 1000,
    EVAL_TIMEOUT_MS = 25 * 60 * 60 * 1000, /* longer than any evaluation may take */
};
#define END_WAIT_NS (2LL * 1000 * 1000 * 1000)

struct repl_bridge {
    struct mt_transport *transport;
    char url[1024]; /* of the session */
    char authorization[300];
    int fd; /* our end */
    pthread_t reader;
    pthread_mutex_t lock; /* writing to fd, and what follows */
    pthread_cond_t idle;
    size_t under_way;
    bool closed; /* fd is shut: nothing is written any more */
};

/* One request and the line of its answer that is not whole yet. */
struct posting {
    struct repl_bridge *bridge;
    char *body;
    struct mt_buf line;
};

/* ---- requests ---- */

static int post(struct repl_bridge *b, const char *method, const char *body, struct posting *stream,
                int timeout_ms, struct mt_http_response *resp, struct mt_error *e);

/* Ends the connection for the client. */
static void close_end(struct repl_bridge *b) {
    mt_lock(&b->lock);
    if (!b->closed) shutdown(b->fd, SHUT_RDWR);
    b->closed = true;
    mt_unlock(&b->lock);
}

static void write_line(struct repl_bridge *b, const char *line, size_t len) {
    mt_lock(&b->lock);
    for (size_t sent = 0; sent < len && !b->closed;) {
        ssize_t n = send(b->fd, line + sent, len - sent, MSG_NOSIGNAL);
        if (n <= 0) b->closed = true;
        sent += n > 0 ? (size_t)n : 0;
    }
    mt_unlock(&b->lock);
}

static int on_data(void *ctx, const char *data, size_t len) {
    struct posting *p = ctx;
    while (len > 0) {
        const char *end = memchr(data, '\n', len);
        size_t n = end ? (size_t)(end - data) + 1 : len;
        mt_buf_add(&p->line, data, n);
        if (!mt_buf_ok(&p->line)) return -1;
        if (end) {
            write_line(p->bridge, p->line.data, p->line.len);
            mt_buf_reset(&p->line);
        }
        data += n;
        len -= n;
    }
    return 0;
}

static void say_lost(struct repl_bridge *b, const char *why, bool unsent) {
    struct mt_buf line;
    mt_buf_init(&line, 4096);
    mt_buf_addf(&line,
                "{\"type\":\"notice\",\"lost\":true,\"unsent\":%s,\"text\":", unsent ? "true" : "false");
    mt_buf_add_json_string(&line, why, strlen(why));
    mt_buf_adds(&line, "}\n");
    write_line(b, line.data, line.len);
    mt_buf_clear(&line);
    close_end(b);
}

/* What a problem+json says. */
static void problem(const struct mt_http_response *resp, char *out, size_t size) {
    struct mt_error ignored;
    json_t *body = mt_json_parse(resp->body.data, resp->body.len, &ignored);
    const char *detail = mt_json_str(body, "detail", NULL);
    if (detail)
        mt_copy(out, size, detail);
    else
        mt_format(out, size, "the runtime answers HTTP %d", resp->status);
    json_decref(body);
}

static void *carry(void *arg) {
    struct posting *p = arg;
    struct repl_bridge *b = p->bridge;
    struct mt_http_response resp = {0};
    struct mt_error e;
    char why[400];
    if (post(b, "POST", p->body, p, EVAL_TIMEOUT_MS, &resp, &e) != 0) {
        say_lost(b, e.message, e.outcome == MT_NOT_SENT);
    } else if (resp.status >= 300) {
        problem(&resp, why, sizeof why);
        say_lost(b, why, true); /* refused as a whole */
    }
    mt_http_response_clear(&resp);
    mt_buf_clear(&p->line);
    free(p->body);
    free(p);
    mt_lock(&b->lock);
    b->under_way--;
    mt_cond_broadcast(&b->idle);
    mt_unlock(&b->lock);
    return NULL;
}

static int post(struct repl_bridge *b, const char *method, const char *body, struct posting *stream,
                int timeout_ms, struct mt_http_response *resp, struct mt_error *e) {
    struct mt_http_request req = {.method = mt_strdup(method),
                                  .url = mt_strdup(b->url),
                                  .body = mt_strdup(body),
                                  .body_len = body ? strlen(body) : 0,
                                  .timeout_ms = timeout_ms,
                                  .connect_timeout_ms = CONNECT_TIMEOUT_MS,
                                  .on_data = stream ? on_data : NULL,
                                  .on_data_ctx = stream};
    mt_headers_add(&req.headers, "Authorization", b->authorization);
    if (body) mt_headers_add(&req.headers, "Content-Type", "application/json");
    int rc = b->transport->perform(b->transport, &req, resp, e);
    mt_http_request_clear(&req);
    return rc;
}

/* ---- what the client writes ---- */

static void begin(struct repl_bridge *b, const char *line, size_t len) {
    pthread_t thread;
    struct posting *p = mt_calloc(1, sizeof *p);
    p->bridge = b;
    p->body = mt_memdup(line, len);
    mt_buf_init(&p->line, 2 * MESSAGE_MAX);
    mt_lock(&b->lock);
    b->under_way++;
    mt_unlock(&b->lock);
    if (pthread_create(&thread, NULL, carry, p) == 0)
        pthread_detach(thread);
    else
        carry(p);
}

static void *read_lines(void *arg) {
    struct repl_bridge *b = arg;
    struct mt_buf in;
    char chunk[16 * 1024];
    ssize_t n;
    mt_buf_init(&in, 2 * MESSAGE_MAX);
    while ((n = recv(b->fd, chunk, sizeof chunk, 0)) > 0 && mt_buf_ok(&in)) {
        mt_buf_add(&in, chunk, (size_t)n);
        char *start = in.data, *end;
        while ((end = memchr(start, '\n', in.len - (size_t)(start - in.data)))) {
            if (!strstr(start, "\"op\":\"bye\"") || (size_t)(end - start) > 64)
                begin(b, start, (size_t)(end - start));
            start = end + 1;
        }
        in.len -= (size_t)(start - in.data);
        memmove(in.data, start, in.len + 1);
    }
    mt_buf_clear(&in);
    close_end(b);
    return NULL;
}

/* ---- beginning and end ---- */

static int open_session(struct repl_bridge *b, const char *url, const json_t *hello, json_t **answer,
                        struct mt_error *e) {
    struct mt_http_response resp = {0};
    char *body = mt_json_dump(hello, NULL);
    int rc = post(b, "POST", body, NULL, HELLO_TIMEOUT_MS, &resp, e);
    const char *session;
    free(body);
    if (rc != 0) {
        mt_error_wrap(e, "no runtime answers at %s (start one with mintage dev, or name another with --url)",
                      url);
    } else if (resp.status == 401) {
        rc = mt_fail(e, MT_AUTHENTICATION,
                     "the runtime refuses this admin token; is it another runtime's? See --data and --token");
    } else if (resp.status >= 300) {
        char why[400];
        problem(&resp, why, sizeof why);
        rc = mt_fail(e, MT_UNAVAILABLE, "%s refuses a console: %s", url, why);
    } else if (!(*answer = mt_json_parse(resp.body.data, resp.body.len, e)) ||
               !(session = mt_json_str(*answer, "session", NULL)) || strlen(session) > 100) {
        json_decref(*answer);
        *answer = NULL;
        rc = mt_fail(e, MT_PROTOCOL,
                     "%s does not answer like a runtime of Mintage with a console; is --url right?", url);
    } else {
        mt_format(b->url, sizeof b->url, "%s/v1/console/%s", url, session);
    }
    mt_http_response_clear(&resp);
    return rc;
}

static void free_bridge(struct repl_bridge *b) {
    b->transport->free(b->transport);
    mt_wipe(b->authorization, sizeof b->authorization);
    pthread_cond_destroy(&b->idle);
    pthread_mutex_destroy(&b->lock);
    if (b->fd >= 0) close(b->fd);
    free(b);
}

struct repl_bridge *mt_repl_bridge(const char *url, const char *token, const json_t *hello, int *fd,
                                   json_t **answer, struct mt_error *e) {
    struct repl_bridge *b = mt_calloc(1, sizeof *b);
    int ends[2];
    *fd = b->fd = -1;
    b->transport = mt_transport_curl();
    pthread_mutex_init(&b->lock, NULL);
    mt_cond_init(&b->idle);
    if (!mt_format(b->url, sizeof b->url, "%s/v1/console", url) ||
        !mt_format(b->authorization, sizeof b->authorization, "Bearer %s", token))
        mt_fail(e, MT_USAGE, "--url or --token is too long");
    else if (open_session(b, url, hello, answer, e) != 0)
        ;
    else if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        mt_fail(e, MT_INTERNAL, "cannot make a pair of sockets");
    else {
        b->fd = ends[0];
        *fd = ends[1];
        if (pthread_create(&b->reader, NULL, read_lines, b) == 0) return b;
        close(*fd);
        *fd = -1;
        mt_fail(e, MT_INTERNAL, "cannot start a thread");
    }
    json_decref(*answer);
    *answer = NULL;
    free_bridge(b);
    return NULL;
}

void mt_repl_bridge_free(struct repl_bridge *b) {
    struct mt_http_response resp = {0};
    struct mt_error ignored;
    if (!b) return;
    pthread_join(b->reader, NULL);
    post(b, "DELETE", NULL, NULL, CONNECT_TIMEOUT_MS, &resp, &ignored); /* ends what still runs there */
    mt_http_response_clear(&resp);
    mt_lock(&b->lock);
    int64_t until = mt_mono_ns() + END_WAIT_NS;
    while (b->under_way > 0 && mt_cond_wait(&b->idle, &b->lock, until)) continue;
    bool idle = b->under_way == 0;
    mt_unlock(&b->lock);
    if (idle) free_bridge(b); /* else it is left to what still waits for a runtime that says nothing */
}
