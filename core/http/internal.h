/* What the files of the server share; nobody else includes this. One mt_worker belongs to each of CivetWeb's
 * worker threads and so to the one connection that thread serves at a time. */
#pragma once
#include "http/forwarded.h"
#include "http/server.h"
#include <civetweb.h>
#include <pthread.h>
#include <stdatomic.h>

enum { MT_HEADERS_MAX = MG_MAX_HEADERS, MT_RETAINED = 256 * 1024 };

struct mt_worker {
    struct mt_server *server;
    struct mt_worker *next; /* guarded by the server's lock */

    /* Guarded by the server's fd_lock. CivetWeb tells the peer's address only with the first request. */
    bool open;
    bool known; /* `remote` is this connection's */
    char remote[48];
    int remote_port;

    atomic_bool busy;         /* a request is being handled */
    _Atomic int64_t deadline; /* monotonic ns; past it the watchdog shuts the connection down; 0: none */
    atomic_bool writing;      /* what the deadline is about */

    /* The rest is the worker thread's own. */
    const char *buffer; /* where CivetWeb's request buffer begins, as far as seen */
    struct mt_header headers[MT_HEADERS_MAX];
    char *path;
    size_t path_cap;
    char *body;
    size_t body_cap;
    char *out;
    size_t out_cap;
    uint8_t id_tail[10];
    int64_t date_s;
    char date[32];
};

struct mt_server {
    struct mg_context *context;
    struct mt_router *router;
    struct mt_server_options options; /* every 0 replaced by its default */
    struct mt_networks trusted;
    char host[32];
    int port;
    int listener; /* the listening descriptor, owned by CivetWeb */
    struct mt_clock *own_clock;

    /* While it is held no connection's descriptor is closed, so none of their numbers can come to mean
     * something else: that makes it safe to shut connections down from another thread. Taken once for a
     * connection's opening and closing. */
    pthread_mutex_t fd_lock;
    pthread_mutex_t lock;   /* may be held when fd_lock is taken, not the other way round */
    pthread_cond_t changed; /* on CLOCK_MONOTONIC */
    struct mt_worker *workers;
    bool stopping; /* drained; idle connections are being shut down */
    bool stopped;
    pthread_t watchdog;
    atomic_bool draining;
    _Atomic uint64_t in_flight, requests, refused, by_class[6];
    atomic_int held;
};

struct mt_stream {
    struct mt_worker *worker;
    struct mg_connection *conn;
    int fd; /* -1: unknown */
    bool chunked;
    bool failed; /* a write has failed, or nothing is wanted */
};

int64_t mt_http_mono_ns(void);
/* The descriptor of the worker's connection, found by its addresses; -1 when there is none. Hold fd_lock, or
 * be the worker. */
int mt_worker_fd(struct mt_worker *w);
void mt_worker_arm(struct mt_worker *w, int64_t timeout_ms, bool writing);
void mt_worker_disarm(struct mt_worker *w);
/* Makes *p hold at least `need` bytes; what was there is lost. */
void mt_http_room(char **p, size_t *cap, size_t need);

/* request.c: fills `req` (pointing into the connection's buffer and the worker's memory). -1: `resp` is the
 * refusal. *keep: whether the connection may live on. */
int mt_request_read(struct mt_worker *w, struct mg_connection *conn, struct mt_request *req,
                    struct mt_response *resp, bool *keep);

/* respond.c: sends all of it. Returns the status. */
int mt_response_send(struct mt_worker *w, struct mg_connection *conn, const struct mt_request *req,
                     struct mt_response *resp, bool keep);
const char *mt_status_text(int status);
