/* The server's life: starting CivetWeb, handing each request to its route, watching over slow connections,
 * draining. Invariant: a request counts as in flight from before the draining flag is read until its last
 * byte was written, so that a drained server owes no answer. A CivetWeb worker thread runs each request from
 * end to end. */
#include "http/server.h"
#include "base/log.h"
#include "base/text.h"
#include "http/address.h"
#include "http/internal.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int64_t mt_http_mono_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void mt_http_room(char **p, size_t *cap, size_t need) {
    if (need <= *cap) return;
    size_t room = need < 4096 ? 4096 : need;
    free(*p);
    *p = mt_realloc(NULL, room);
    *cap = room;
}

/* ---- descriptors: CivetWeb shows none, so they are looked up by their addresses, on rare paths only ---- */

/* Calls match(fd) for each descriptor of the process; the first it accepts, or -1. */
static int search_fds(bool (*match)(int fd, const void *what), const void *what) {
    DIR *dir = opendir("/proc/self/fd");
    int found = -1;
    if (dir == NULL) return -1;
    for (struct dirent *entry; found < 0 && (entry = readdir(dir)) != NULL;) {
        int64_t fd;
        if (!mt_parse_int(entry->d_name, 0, INT32_MAX, &fd) || fd == dirfd(dir)) continue;
        if (match((int)fd, what)) found = (int)fd;
    }
    closedir(dir);
    return found;
}

static bool local_port_is(int fd, int port) {
    struct sockaddr_in a = {0};
    socklen_t len = sizeof(a);
    return getsockname(fd, (struct sockaddr *)&a, &len) == 0 && a.sin_family == AF_INET &&
           ntohs(a.sin_port) == port;
}

static bool peer_is(const struct sockaddr_in *peer, const struct mt_worker *w) {
    char text[48];
    return ntohs(peer->sin_port) == w->remote_port &&
           inet_ntop(AF_INET, &peer->sin_addr, text, sizeof(text)) != NULL && strcmp(text, w->remote) == 0;
}

/* Whether fd is an accepted connection of this server; its peer. */
static bool is_ours(int fd, const struct mt_server *s, struct sockaddr_in *peer) {
    socklen_t len = sizeof(*peer);
    return getpeername(fd, (struct sockaddr *)peer, &len) == 0 && peer->sin_family == AF_INET &&
           local_port_is(fd, s->port);
}

static bool is_worker_fd(int fd, const void *what) {
    const struct mt_worker *w = what;
    struct sockaddr_in peer;
    return is_ours(fd, w->server, &peer) && peer_is(&peer, w);
}

int mt_worker_fd(struct mt_worker *w) {
    return search_fds(is_worker_fd, w);
}

static bool is_listener(int fd, const void *what) {
    int listening = 0;
    socklen_t len = sizeof(listening);
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening != 0 &&
           local_port_is(fd, ((const struct mt_server *)what)->port);
}

/* ---- the watchdog ---- */

void mt_worker_arm(struct mt_worker *w, int64_t timeout_ms, bool writing) {
    atomic_store(&w->writing, writing);
    atomic_store(&w->deadline, mt_http_mono_ns() + timeout_ms * 1000000);
}

void mt_worker_disarm(struct mt_worker *w) {
    atomic_store(&w->deadline, 0);
}

static void shut(struct mt_worker *w, int how) {
    int fd = mt_worker_fd(w);
    if (fd >= 0) shutdown(fd, how);
}

static bool shut_unless_busy(int fd, const void *what) {
    const struct mt_server *s = what;
    struct sockaddr_in peer;
    if (!is_ours(fd, s, &peer)) return false;
    for (struct mt_worker *w = s->workers; w != NULL; w = w->next)
        if (w->open && w->known && atomic_load(&w->busy) && peer_is(&peer, w)) return false;
    shutdown(fd, SHUT_RD);
    return false;
}

/* Wakes the workers of idle connections, which CivetWeb would only look at every two seconds. The server's
 * lock is held. */
static void shut_idle(struct mt_server *s) {
    pthread_mutex_lock(&s->fd_lock);
    search_fds(shut_unless_busy, s);
    pthread_mutex_unlock(&s->fd_lock);
}

/* A client that drips bytes never lets CivetWeb's own timeout pass, as that counts from the last byte. A slow
 * sender's connection is shut for reading only, so that the worker can still answer 408. */
static void shut_overdue(struct mt_server *s) {
    int64_t now = mt_http_mono_ns();
    for (struct mt_worker *w = s->workers; w != NULL; w = w->next) {
        int64_t deadline = atomic_load(&w->deadline);
        if (deadline == 0 || now < deadline) continue;
        pthread_mutex_lock(&s->fd_lock);
        deadline = atomic_load(&w->deadline);
        if (w->open && w->known && deadline != 0 && now >= deadline)
            shut(w, atomic_load(&w->writing) ? SHUT_RDWR : SHUT_RD);
        pthread_mutex_unlock(&s->fd_lock);
    }
}

static struct timespec in_ms(int64_t ms) {
    int64_t at = mt_http_mono_ns() + ms * 1000000;
    return (struct timespec){.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
}

static void *watch(void *arg) {
    struct mt_server *s = arg;
    int64_t tick = s->options.request_timeout_ms / 8;
    if (tick > 500) tick = 500;
    if (tick < 10) tick = 10;
    pthread_mutex_lock(&s->lock);
    while (!s->stopped) {
        if (s->stopping) shut_idle(s);
        shut_overdue(s);
        struct timespec until = in_ms(s->stopping ? 10 : tick);
        pthread_cond_timedwait(&s->changed, &s->lock, &until);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- one request ---- */

/* The total last: who reads it first finds the parts counted already. */
static void count(struct mt_server *s, int status, bool refused) {
    atomic_fetch_add_explicit(&s->by_class[status >= 100 && status < 600 ? status / 100 : 0], 1,
                              memory_order_relaxed);
    if (refused) atomic_fetch_add_explicit(&s->refused, 1, memory_order_relaxed);
    atomic_fetch_add(&s->requests, 1);
}

/* Takes in, for a moment, what the client of a refused request is still sending: closing on unread bytes
 * makes the kernel send a reset, which can overtake the answer. */
static void linger(struct mt_worker *w, struct mg_connection *conn) {
    char scrap[16 * 1024];
    mt_worker_arm(w, 1000, false);
    for (int i = 0; i < 256 && mg_read(conn, scrap, sizeof(scrap)) > 0; i++) {
    }
    mt_worker_disarm(w);
}

static void learn_peer(struct mt_worker *w, const struct mg_connection *conn) {
    const struct mg_request_info *info = mg_get_request_info(conn);
    if (w->known) return; /* only this thread writes it */
    pthread_mutex_lock(&w->server->fd_lock);
    w->known = true;
    w->remote_port = info->remote_port;
    mt_copy(w->remote, sizeof(w->remote), info->remote_addr);
    pthread_mutex_unlock(&w->server->fd_lock);
}

/* Called by CivetWeb once the head has been parsed, before its own list of handlers (which is walked under a
 * lock). */
static int on_request(struct mg_connection *conn) {
    struct mt_worker *w = mg_get_thread_pointer(conn);
    struct mt_server *s = w->server;
    struct mt_request req;
    struct mt_response resp;
    bool keep = false, refused = true;

    atomic_store(&w->busy, true);
    atomic_fetch_add(&s->in_flight, 1);
    learn_peer(w, conn);
    mt_response_init(&resp);
    if (mt_request_read(w, conn, &req, &resp, &keep) != 0) {
        keep = false;
    } else if (atomic_load(&s->draining)) {
        keep = false;
        mt_respond_problem(&resp, 503, "unavailable", "the server is stopping");
        mt_headers_set(&resp.headers, "Retry-After", "1");
    } else {
        refused = false;
        mt_router_serve(s->router, s->options.fallback, s->options.fallback_ctx, &req, &resp);
    }
    int status = mt_response_send(w, conn, &req, &resp, keep);
    mt_response_clear(&resp);
    count(s, status, refused);
    if (refused) linger(w, conn);
    atomic_store(&w->busy, false);
    if (atomic_fetch_sub(&s->in_flight, 1) == 1 && atomic_load(&s->draining)) {
        pthread_mutex_lock(&s->lock);
        pthread_cond_broadcast(&s->changed);
        pthread_mutex_unlock(&s->lock);
    }
    return status;
}

/* The same where CivetWeb has parsed no head: mg_read() would count from one that is not there. */
static void linger_raw(struct mt_worker *w) {
    char scrap[16 * 1024];
    int fd = mt_worker_fd(w);
    int64_t until = mt_http_mono_ns() + 1000000000;
    if (fd < 0) return;
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 256 && mt_http_mono_ns() < until; i++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 1000) <= 0 || recv(fd, scrap, sizeof(scrap), MSG_DONTWAIT) <= 0) return;
    }
}

/* What CivetWeb itself refuses. It says "Malformed message" also of a head that is too large or came too
 * slowly. */
static int on_parse_error(struct mg_connection *conn, int status, const char *message) {
    struct mt_worker *w = mg_get_thread_pointer(conn);
    struct mt_request req = {.method = "GET", .path = "/", .query = ""};
    struct mt_response resp;
    (void)message;
    learn_peer(w, conn);
    mt_response_init(&resp);
    if (status == 505)
        mt_respond_problem(&resp, 505, "invalid_request", "this server speaks HTTP/1.1");
    else
        mt_respond_problem(&resp, 400, "invalid_request",
                           "the request's head is malformed, larger than %zu bytes, or came too slowly",
                           w->server->options.max_header);
    status = mt_response_send(w, conn, &req, &resp, false);
    mt_response_clear(&resp);
    count(w->server, status, true);
    linger_raw(w);
    return 0;
}

/* ---- threads and connections, as CivetWeb makes them ---- */

static void *on_thread(const struct mg_context *context, int type) {
    if (type != 1) return NULL;
    struct mt_server *s = mg_get_user_data(context);
    struct mt_worker *w = mt_calloc(1, sizeof(*w));
    w->server = s;
    struct mt_random *random = mt_random_system();
    random->bytes(random, w->id_tail, sizeof(w->id_tail));
    pthread_mutex_lock(&s->lock);
    w->next = s->workers;
    s->workers = w;
    pthread_mutex_unlock(&s->lock);
    return w;
}

static void on_thread_end(const struct mg_context *context, int type, void *pointer) {
    (void)context;
    struct mt_worker *w = pointer;
    if (type != 1 || w == NULL) return;
    struct mt_server *s = w->server;
    pthread_mutex_lock(&s->lock);
    for (struct mt_worker **p = &s->workers; *p != NULL; p = &(*p)->next) {
        if (*p != w) continue;
        *p = w->next;
        break;
    }
    pthread_mutex_unlock(&s->lock);
    free(w->path);
    free(w->body);
    free(w->out);
    free(w);
}

static int on_open(const struct mg_connection *conn, void **data) {
    (void)data;
    struct mt_worker *w = mg_get_thread_pointer(conn);
    pthread_mutex_lock(&w->server->fd_lock);
    w->open = true;
    w->known = false;
    pthread_mutex_unlock(&w->server->fd_lock);
    return 0;
}

/* The descriptor is closed right after this. */
static void on_close(const struct mg_connection *conn) {
    struct mt_worker *w = mg_get_thread_pointer(conn);
    if (w == NULL) return;
    pthread_mutex_lock(&w->server->fd_lock);
    w->open = w->known = false;
    pthread_mutex_unlock(&w->server->fd_lock);
    mt_worker_disarm(w);
}

static int on_message(const struct mg_connection *conn, const char *message) {
    (void)conn;
    mt_debug("http server", "message", message);
    return 1;
}

/* ---- starting and stopping ---- */

static void init_civetweb(void) {
    mg_init_library(0);
}

/* CivetWeb as it is packaged gives its threads 100 KB of stack and offers no setting. Handlers run on them,
 * and Lua nests 200 calls of C before it refuses: up to 2 KB each. So this function, which the library calls,
 * stands in front of the C library's own, for the whole process. */
int pthread_attr_setstacksize(pthread_attr_t *attr, size_t size) {
    enum { LEAST = 1024 * 1024 };
    int (*real)(pthread_attr_t *, size_t) = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_attr_setstacksize");
    return real != NULL ? real(attr, size < LEAST ? LEAST : size) : ENOSYS;
}

static int check_host(struct mt_server *s, const struct mt_server_options *o, struct mt_error *e) {
    const char *host = o->host == NULL || strcmp(o->host, "localhost") == 0 ? "127.0.0.1" : o->host;
    struct sockaddr_in a = {.sin_family = AF_INET};
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1)
        return mt_fail(e, MT_USAGE, "host: \"%s\" is not an IPv4 address or \"localhost\"", host);
    if (o->loopback_only && !mt_address_is_loopback((struct sockaddr *)&a))
        return mt_fail(e, MT_USAGE, "host: \"%s\" is not a loopback address, and this server takes no other",
                       host);
    if (o->port < 0 || o->port > 65535)
        return mt_fail(e, MT_USAGE, "port: %d is not between 0 and 65535", o->port);
    mt_copy(s->host, sizeof(s->host), host);
    return 0;
}

static void set_defaults(struct mt_server *s, const struct mt_server_options *given) {
    struct mt_server_options *o = &s->options;
    *o = *given;
    o->host = s->host;
    if (o->threads <= 0) o->threads = 512;
    if (o->max_body == 0) o->max_body = 1024 * 1024;
    if (o->max_header < 1024) o->max_header = o->max_header == 0 ? 16 * 1024 : 1024;
    if (o->request_timeout_ms <= 0) o->request_timeout_ms = 10000;
    if (o->keep_alive_ms <= 0) o->keep_alive_ms = 5000;
    if (o->drain_ms <= 0) o->drain_ms = 30000;
    if (o->clock == NULL) o->clock = s->own_clock = mt_clock_system();
}

static int start_civetweb(struct mt_server *s, struct mt_error *e) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct mt_server_options *o = &s->options;
    char port[48], threads[16], head[24], request[16], idle[16], why[256] = "";
    unsigned code = 0;
    const struct mg_callbacks callbacks = {
        .begin_request = on_request,
        .http_error = on_parse_error,
        .init_thread = on_thread,
        .exit_thread = on_thread_end,
        .init_connection = on_open,
        .connection_close = on_close,
        .log_message = on_message,
    };
    mt_format(port, sizeof(port), "%s:%d", s->host, o->port);
    mt_format(threads, sizeof(threads), "%d", o->threads);
    mt_format(head, sizeof(head), "%zu", o->max_header);
    mt_format(request, sizeof(request), "%d", o->request_timeout_ms);
    mt_format(idle, sizeof(idle), "%d", o->keep_alive_ms);
    const char *options[] = {"listening_ports",
                             port,
                             "num_threads",
                             threads,
                             "max_request_size",
                             head,
                             "request_timeout_ms",
                             request,
                             "keep_alive_timeout_ms",
                             idle,
                             "enable_keep_alive",
                             "yes",
                             "tcp_nodelay",
                             "1",
                             "connection_queue",
                             "256",
                             "listen_backlog",
                             "1024",
                             "decode_url",
                             "no",
                             "enable_auth_domain_check",
                             "no",
                             "enable_directory_listing",
                             "no",
                             "access_control_allow_origin",
                             "",
                             "access_control_allow_methods",
                             "",
                             "access_control_allow_headers",
                             "",
                             NULL};
    struct mg_init_data init = {.callbacks = &callbacks, .user_data = s, .configuration_options = options};
    struct mg_error_data failure = {.code = &code, .text = why, .text_buffer_size = sizeof(why)};

    pthread_once(&once, init_civetweb);
    errno = 0;
    s->context = mg_start2(&init, &failure);
    if (s->context == NULL)
        return mt_fail(e, MT_UNAVAILABLE, "the server cannot listen on %s (%s)", port,
                       errno == EADDRINUSE || errno == EACCES ? strerror(errno)
                       : why[0] != '\0'                       ? why
                                                              : "the port may be in use");
    struct mg_server_port ports[1] = {{0}};
    if (mg_get_server_ports(s->context, 1, ports) != 1)
        return mt_fail(e, MT_INTERNAL, "the server does not know its port");
    s->port = ports[0].port;
    s->listener = search_fds(is_listener, s);
    return 0;
}

static void free_server(struct mt_server *s) {
    if (s->own_clock != NULL) s->own_clock->free(s->own_clock);
    mt_router_free(s->router);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->fd_lock);
    free(s);
}

struct mt_server *mt_server_start(const struct mt_server_options *options, struct mt_router *router,
                                  struct mt_error *e) {
    struct mt_server *s = mt_calloc(1, sizeof(*s));
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->fd_lock, NULL);
    s->router = router;
    s->listener = -1;

    if (check_host(s, options, e) != 0 || mt_networks_parse(options->trusted_proxies, &s->trusted, e) != 0)
        goto fail;
    set_defaults(s, options);
    if (start_civetweb(s, e) != 0) goto fail;
    if (pthread_create(&s->watchdog, NULL, watch, s) != 0) {
        mt_fail(e, MT_INTERNAL, "the server cannot start a thread");
        goto fail;
    }
    return s;
fail:
    if (s->context != NULL) mg_stop(s->context);
    free_server(s);
    return NULL;
}

int mt_server_port(const struct mt_server *s) {
    return s->port;
}

void mt_server_stop(struct mt_server *s) {
    if (s == NULL) return;
    pthread_mutex_lock(&s->lock);
    atomic_store(&s->draining, true);
    pthread_cond_broadcast(&s->changed); /* delayed answers go out now */
    shut_idle(s);
    struct timespec until = in_ms(s->options.drain_ms);
    while (atomic_load(&s->in_flight) > 0)
        if (pthread_cond_timedwait(&s->changed, &s->lock, &until) == ETIMEDOUT) break;
    if (atomic_load(&s->in_flight) > 0) mt_warn("http server stops with requests unanswered");
    /* mg_stop() only looks around every two seconds; a listener that is shut wakes its thread, idle workers
     * are woken by the watchdog. New connections are refused from here on, so their clients know that nothing
     * was sent. */
    s->stopping = true;
    if (s->listener >= 0) shutdown(s->listener, SHUT_RD);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);

    mg_stop(s->context);

    pthread_mutex_lock(&s->lock);
    s->stopped = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->watchdog, NULL);
    free_server(s);
}

bool mt_server_hold(struct mt_server *s) {
    if (s == NULL) return true;
    int most = s->options.threads / 4;
    int held = atomic_load(&s->held);
    while (held < most && !atomic_load(&s->draining))
        if (atomic_compare_exchange_weak(&s->held, &held, held + 1)) return true;
    return false;
}

void mt_server_release(struct mt_server *s) {
    if (s != NULL) atomic_fetch_sub(&s->held, 1);
}

void mt_server_stats(const struct mt_server *s, struct mt_server_stats *out) {
    memset(out, 0, sizeof(*out));
    if (s == NULL) return;
    out->requests = atomic_load(&s->requests);
    out->refused = atomic_load(&s->refused);
    out->in_flight = atomic_load(&s->in_flight);
    for (int i = 0; i < 6; i++) out->by_class[i] = atomic_load(&s->by_class[i]);
}
