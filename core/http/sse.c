/* The broadcaster. An event is formatted once and shared by reference; each stream is a ring of references
 * that its own worker thread empties. Invariant: `lock` is never held while a socket is written. */
#include "http/sse.h"
#include "base/text.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EVENT_MAX = 4 * 1024 * 1024, LOOK_AROUND_MS = 200 };

struct event {
    atomic_int refs;
    size_t len;
    char *text;
};

struct client {
    struct mt_sse *sse;
    struct mt_server *server;
    struct client *next;
    pthread_cond_t filled;
    struct event **ring;
    size_t first, count;
    bool dropped; /* the queue was full */
};

struct mt_sse {
    pthread_mutex_t lock;
    pthread_cond_t gone; /* a client has left */
    struct client *clients;
    size_t client_count;
    size_t queue_max;
    int heartbeat_ms;
    uint64_t last_id;
    bool closing;
};

static void event_release(struct event *e) {
    if (atomic_fetch_sub(&e->refs, 1) != 1) return;
    free(e->text);
    free(e);
}

struct mt_sse *mt_sse_new(size_t queue_max, int heartbeat_ms) {
    struct mt_sse *sse = mt_calloc(1, sizeof(*sse));
    pthread_mutex_init(&sse->lock, NULL);
    pthread_cond_init(&sse->gone, NULL);
    sse->queue_max = queue_max == 0 ? 256 : queue_max;
    sse->heartbeat_ms = heartbeat_ms <= 0 ? 15000 : heartbeat_ms;
    return sse;
}

void mt_sse_free(struct mt_sse *sse) {
    if (sse == NULL) return;
    pthread_mutex_lock(&sse->lock);
    sse->closing = true;
    for (struct client *c = sse->clients; c != NULL; c = c->next) pthread_cond_signal(&c->filled);
    while (sse->client_count > 0) pthread_cond_wait(&sse->gone, &sse->lock);
    pthread_mutex_unlock(&sse->lock);
    pthread_cond_destroy(&sse->gone);
    pthread_mutex_destroy(&sse->lock);
    free(sse);
}

size_t mt_sse_count(struct mt_sse *sse) {
    pthread_mutex_lock(&sse->lock);
    size_t n = sse->client_count;
    pthread_mutex_unlock(&sse->lock);
    return n;
}

/* "id: 7\nevent: run\ndata: {...}\n\n", with one data line for each line of the data. */
static struct event *format_event(uint64_t id, const char *name, const char *data, size_t len) {
    struct event *e = mt_calloc(1, sizeof(*e));
    struct mt_buf b;
    mt_buf_init(&b, EVENT_MAX);
    mt_buf_addf(&b, "id: %llu\nevent: %.*s\n", (unsigned long long)id, (int)strcspn(name, "\r\n"), name);
    for (const char *p = data, *end = data + len; p <= end;) {
        size_t n = 0;
        while (p + n < end && p[n] != '\n' && p[n] != '\r') n++;
        mt_buf_adds(&b, "data: ");
        mt_buf_add(&b, p, n);
        mt_buf_addc(&b, '\n');
        p += n;
        if (p < end && *p == '\r' && p + 1 < end && p[1] == '\n') p++;
        p++;
    }
    mt_buf_addc(&b, '\n');
    atomic_init(&e->refs, 1);
    e->text = mt_buf_take(&b, &e->len);
    mt_buf_clear(&b);
    if (e->text == NULL) {
        free(e);
        return NULL;
    }
    return e;
}

void mt_sse_publish(struct mt_sse *sse, const char *event, const char *data, size_t len) {
    pthread_mutex_lock(&sse->lock);
    uint64_t id = ++sse->last_id;
    struct event *e = sse->clients == NULL ? NULL : format_event(id, event, data, len);
    for (struct client *c = sse->clients; c != NULL && e != NULL; c = c->next) {
        if (c->dropped) continue;
        if (c->count == sse->queue_max) {
            c->dropped = true;
        } else {
            atomic_fetch_add(&e->refs, 1);
            c->ring[(c->first + c->count++) % sse->queue_max] = e;
        }
        pthread_cond_signal(&c->filled);
    }
    pthread_mutex_unlock(&sse->lock);
    if (e != NULL) event_release(e);
}

/* ---- one client, on its worker's thread ---- */

static int write_text(struct mt_stream *s, const char *text) {
    return mt_stream_write(s, text, strlen(text));
}

/* Waits for an event for `ms` at most; NULL when there is none. *dropped: there will be no more. */
static struct event *next_event(struct client *c, int ms, bool *dropped, bool *closing) {
    struct mt_sse *sse = c->sse;
    struct event *e = NULL;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)ms * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;

    pthread_mutex_lock(&sse->lock);
    while (c->count == 0 && !c->dropped && !sse->closing)
        if (pthread_cond_timedwait(&c->filled, &sse->lock, &until) == ETIMEDOUT) break;
    if (c->count > 0) {
        e = c->ring[c->first];
        c->first = (c->first + 1) % sse->queue_max;
        c->count--;
    }
    *dropped = c->dropped && e == NULL;
    *closing = sse->closing;
    pthread_mutex_unlock(&sse->lock);
    return e;
}

static void serve(struct client *c, struct mt_stream *s) {
    int idle_ms = 0;
    if (mt_stream_closing(s) || write_text(s, ": ready\n\n") != 0) return;
    for (;;) {
        bool dropped, closing;
        struct event *e = next_event(c, LOOK_AROUND_MS, &dropped, &closing);
        if (e != NULL) {
            int rc = mt_stream_write(s, e->text, e->len);
            event_release(e);
            if (rc != 0) return;
            idle_ms = 0;
        } else if (dropped) {
            write_text(s,
                       "event: dropped\ndata: {\"reason\":\"this client was too slow; connect again\"}\n\n");
            return;
        } else if ((idle_ms += LOOK_AROUND_MS) >= c->sse->heartbeat_ms) {
            if (write_text(s, ": heartbeat\n\n") != 0) return;
            idle_ms = 0;
        }
        if (closing || mt_stream_closing(s)) return;
    }
}

static void run(void *ctx, struct mt_stream *s) {
    struct client *c = ctx;
    struct mt_sse *sse = c->sse;
    serve(c, s);
    mt_server_release(c->server);
    pthread_mutex_lock(&sse->lock);
    for (struct client **p = &sse->clients; *p != NULL; p = &(*p)->next) {
        if (*p != c) continue;
        *p = c->next;
        break;
    }
    for (; c->count > 0; c->count--) {
        event_release(c->ring[c->first]);
        c->first = (c->first + 1) % sse->queue_max;
    }
    sse->client_count--;
    pthread_cond_broadcast(&sse->gone);
    pthread_mutex_unlock(&sse->lock);
    pthread_cond_destroy(&c->filled);
    free(c->ring);
    free(c);
}

void mt_sse_respond(struct mt_sse *sse, struct mt_server *server, struct mt_response *resp) {
    if (!mt_server_hold(server)) {
        mt_respond_problem(resp, 503, "unavailable", "too many streams are open");
        mt_headers_set(&resp->headers, "Retry-After", "5");
        return;
    }
    struct client *c = mt_calloc(1, sizeof(*c));
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->filled, &attr);
    pthread_condattr_destroy(&attr);
    c->sse = sse;
    c->server = server;
    c->ring = mt_calloc(sse->queue_max, sizeof(*c->ring));
    pthread_mutex_lock(&sse->lock);
    c->next = sse->clients;
    sse->clients = c;
    sse->client_count++;
    pthread_mutex_unlock(&sse->lock);

    mt_headers_set(&resp->headers, "Content-Type", "text/event-stream");
    mt_headers_set(&resp->headers, "Cache-Control", "no-store");
    mt_headers_set(&resp->headers, "X-Accel-Buffering", "no"); /* reverse proxies: do not hold it back */
    resp->stream = run;
    resp->stream_ctx = c;
}
