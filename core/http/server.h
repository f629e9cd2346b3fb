/* The HTTP/1.1 server on CivetWeb, as one handler behind a router. A CivetWeb worker thread (one per
 * connection) parses and checks a request, calls the route's handler itself and writes the whole response
 * with one write. Limits on header, body, time and concurrency; request smuggling refused (Transfer-Encoding
 * with Content-Length, repeated Content-Length, bare CR, ...); drained on stop: new requests get 503 with
 * Connection: close, those under way finish. */
#pragma once
#include "base/clock.h"
#include "base/id.h"
#include "http/message.h"

struct mt_request {
    const char *method;   /* "GET", ... HEAD is routed as GET, its body dropped by the server */
    const char *path;     /* percent-decoded, normalised, begins with "/"; no NUL */
    const char *raw_path; /* as sent, without the query */
    const char *query;    /* raw, without "?"; "" when absent */
    struct mt_headers headers;
    const char *body; /* raw bytes, untouched (signatures are verified on these); NUL-terminated */
    size_t body_len;
    char remote[64];             /* the peer's address */
    char client[64];             /* whom it comes from: the peer, or what trusted proxies say; "": the peer */
    char host[280];              /* the Host header, checked; "" for HTTP/1.0 without one */
    char request_id[MT_ID_SIZE]; /* echoed as X-Request-Id */
    /* Path parameters of the matched route, in order: "{flow}" gives name "flow". Borrowed. */
    const char *param_names[8];
    const char *param_values[8];
    size_t param_count;
    char param_space[1024]; /* where the router keeps values that it must cut out of the path */
};
const char *mt_request_param(const struct mt_request *r,
                             const char *name); /* NULL when there is none; borrowed */

/* What the server does to the connection instead of answering plainly; the sandbox's faults. */
enum mt_response_fault {
    MT_FAULT_NONE,
    MT_FAULT_DROP,     /* close without answering a byte */
    MT_FAULT_RESET,    /* a TCP reset */
    MT_FAULT_TRUNCATE, /* the head and half the body, then close */
};

struct mt_stream; /* a response under way; see below */

struct mt_response {
    int status; /* 200 unless set */
    struct mt_headers
        headers; /* Content-Length, Date, X-Request-Id, security headers are added by the server */
    struct mt_buf body;
    const char *static_body; /* when set: these bytes instead of body, borrowed for the life of the server */
    size_t static_len;
    int delay_ms; /* wait this long before answering (sandbox faults) */
    enum mt_response_fault fault;
    /* When set: after the head (chunked), called on the worker's thread until it returns; it counts as a held
     * thread. */
    void (*stream)(void *ctx, struct mt_stream *s);
    void *stream_ctx;
};

/* Writes a chunk; -1 when the peer has gone or the server is draining. */
int mt_stream_write(struct mt_stream *s, const void *data, size_t len);
/* Whether the stream should end: the peer has gone, the server is draining, or nothing is wanted (HEAD, a
 * fault). A stream function is called exactly once whatever happens, so that it can give back what it holds.
 */
bool mt_stream_closing(struct mt_stream *s);

/* ---- for those who call handlers without a server (tests, the simulated world) ---- */

/* The path that handlers see of one as it was sent (without the query): percent-decoded, "//", "." and ".."
 * resolved. It is `raw` itself or in `space`, which has strlen(raw) + 1 bytes. NULL: it is refused, and *why
 * goes on after "the path". */
const char *mt_request_path(const char *raw, char *space, const char **why);
void mt_response_init(struct mt_response *resp);
void mt_response_clear(struct mt_response *resp);

typedef void mt_handler(void *ctx, const struct mt_request *req, struct mt_response *resp);

/* application/problem+json (RFC 9457) with `type` "about:blank", title, status, detail and `code` (the kind's
 * name). */
void mt_respond_problem(struct mt_response *resp, int status, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void mt_respond_error(struct mt_response *resp, int status, const struct mt_error *e);
void mt_respond_json(struct mt_response *resp, int status, const char *json, size_t len); /* copies */
/* The HTTP status that fits an error's kind (invalid_request 422, not_found 404, conflict 409, full 503,
 * ...). */
int mt_status_for(const struct mt_error *e);

struct mt_server_options {
    const char *host;       /* "127.0.0.1" */
    int port;               /* 0: any; see mt_server_port */
    int threads;            /* 0: 512 */
    size_t max_body;        /* 0: 1 MiB */
    size_t max_header;      /* 0: 16 KiB */
    int request_timeout_ms; /* to receive head and body; 0: 10,000 */
    int keep_alive_ms;      /* 0: 5,000 */
    int drain_ms;           /* 0: 30,000 */
    bool loopback_only;     /* refuse hosts that are not loopback (the sandbox) */
    const char
        *trusted_proxies; /* whose X-Forwarded-For and Forwarded are believed; see forwarded.h; NULL: none */
    struct mt_clock *clock; /* borrowed */
    /* Called when no route matches; NULL: a 404 (or 405 with Allow) problem. */
    mt_handler *fallback;
    void *fallback_ctx;
};

struct mt_server;
struct mt_router;

/* Routes: method "GET", "POST", ... or "*"; pattern "/v1/runs/{id}", or a prefix and "*" for the rest (which
 * is param "*"). The most specific pattern wins (literal over {param} over *). A wrong method on a known path
 * gives 405 with Allow. */
struct mt_router *mt_router_new(void);
int mt_router_add(struct mt_router *r, const char *method, const char *pattern, mt_handler *handler,
                  void *ctx, struct mt_error *e);
/* Finds the route for a request, filling its params. NULL when none; *allowed then holds the methods that
 * exist. */
mt_handler *mt_router_find(const struct mt_router *r, struct mt_request *req, void **ctx, char allowed[128]);
/* Lets the route's handler answer; the fallback (NULL: none) when there is none, else 404, or 405 with Allow.
 */
void mt_router_serve(const struct mt_router *r, mt_handler *fallback, void *fallback_ctx,
                     struct mt_request *req, struct mt_response *resp);
void mt_router_free(struct mt_router *r);

/* Starts listening. Takes ownership of the router (immutable from now on). */
struct mt_server *mt_server_start(const struct mt_server_options *options, struct mt_router *router,
                                  struct mt_error *e);
int mt_server_port(const struct mt_server *s);
/* Stops taking requests, waits for those under way (at most drain_ms), frees everything. */
void mt_server_stop(struct mt_server *s);
/* A handler that is about to wait for long (?wait=, streams) asks first: at most a quarter of the threads may
 * be held. False: answer at once. Every true is paired with a release. Where there is no server (NULL) all
 * may be held. */
bool mt_server_hold(struct mt_server *s);
void mt_server_release(struct mt_server *s);

struct mt_server_stats {
    uint64_t requests;    /* answered */
    uint64_t by_class[6]; /* by first digit of the status */
    uint64_t refused;     /* malformed, too large, too many */
    uint64_t in_flight;
};
/* Of no server (NULL): zeros. */
void mt_server_stats(const struct mt_server *s, struct mt_server_stats *out);
