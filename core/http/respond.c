/* Answers: what handlers fill in, and how it goes out, head and body in one write. Also the faults that the
 * sandbox plays and the streams. Invariant: what the head says of length and connection is what then happens,
 * unless a fault was asked for. Worker threads, each its own. */
#include "base/log.h"
#include "base/text.h"
#include "http/internal.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

enum { BODY_MAX = 64 * 1024 * 1024 };

const char *mt_status_text(int status) {
    static const struct {
        int status;
        const char *text;
    } table[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {423, "Locked"},
        {425, "Too Early"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].status == status) return table[i].text;
    return "Status";
}

int mt_status_for(const struct mt_error *e) {
    switch (e->kind) {
    case MT_AUTHENTICATION:
        return 401;
    case MT_PERMISSION:
        return 403;
    case MT_INVALID_REQUEST:
        return 422;
    case MT_NOT_FOUND:
        return 404;
    case MT_CONFLICT:
    case MT_CANCELLED:
    case MT_MISMATCH:
        return 409;
    case MT_INSUFFICIENT_FUNDS:
    case MT_DECLINED:
        return 402;
    case MT_EXPIRED:
        return 410;
    case MT_RATE_LIMITED:
        return 429;
    case MT_UNAVAILABLE:
    case MT_STORE:
    case MT_FULL:
        return 503;
    case MT_TIMEOUT:
        return 504;
    case MT_PROTOCOL:
        return 502;
    case MT_UNSUPPORTED:
        return 501;
    case MT_LIMIT:
        return 413;
    case MT_USAGE:
        return 400;
    case MT_KIND_NONE:
    case MT_SCRIPT:
    case MT_INTERNAL:
    case MT_KIND_COUNT:
        return 500;
    }
    return 500;
}

/* ---- filling in ---- */

void mt_response_init(struct mt_response *resp) {
    *resp = (struct mt_response){.status = 200};
    mt_buf_init(&resp->body, BODY_MAX);
}

void mt_response_clear(struct mt_response *resp) {
    mt_headers_clear(&resp->headers);
    mt_buf_clear(&resp->body);
}

static void problem(struct mt_response *resp, int status, const char *code, const char *detail) {
    const char *title = mt_status_text(status);
    struct mt_buf *b = &resp->body;
    resp->status = status;
    resp->static_body = NULL;
    mt_buf_reset(b);
    mt_buf_addf(b, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"code\":", title, status);
    mt_buf_add_json_string(b, code, strlen(code));
    mt_buf_adds(b, ",\"detail\":");
    mt_buf_add_json_string(b, detail, strlen(detail));
    mt_buf_addc(b, '}');
    mt_headers_set(&resp->headers, "Content-Type", "application/problem+json");
}

void mt_respond_problem(struct mt_response *resp, int status, const char *code, const char *format, ...) {
    char detail[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof(detail), format, args);
    va_end(args);
    problem(resp, status, code, detail);
}

void mt_respond_error(struct mt_response *resp, int status, const struct mt_error *e) {
    problem(resp, status, mt_kind_name(e->kind), e->message);
    if (e->retry_after_s > 0) {
        char seconds[16];
        mt_format(seconds, sizeof(seconds), "%d", e->retry_after_s);
        mt_headers_set(&resp->headers, "Retry-After", seconds);
    }
}

void mt_respond_json(struct mt_response *resp, int status, const char *json, size_t len) {
    resp->status = status;
    resp->static_body = NULL;
    mt_buf_reset(&resp->body);
    mt_buf_add(&resp->body, json, len);
    mt_headers_set(&resp->headers, "Content-Type", "application/json");
}

/* ---- the head ---- */

/* Ours alone to say. */
static bool is_framing(const char *name) {
    return strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0 ||
           strcasecmp(name, "Connection") == 0 || strcasecmp(name, "Date") == 0 ||
           strcasecmp(name, "X-Request-Id") == 0;
}

/* A CR or LF in a header would let whoever chose the value write headers of their own. */
static bool is_clean(const struct mt_header *h) {
    if (h->name[0] == '\0') return false;
    for (const char *p = h->name; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == ':' || (unsigned char)*p >= 0x7f) return false;
    for (const char *p = h->value; *p != '\0'; p++)
        if (((unsigned char)*p < ' ' && *p != '\t') || *p == 0x7f) return false;
    return true;
}

static void check_headers(struct mt_response *resp) {
    for (size_t i = 0; i < resp->headers.count; i++) {
        if (is_clean(&resp->headers.items[i])) continue;
        mt_headers_clear(&resp->headers);
        mt_respond_problem(resp, 500, "internal", "a header of the answer was malformed");
        return;
    }
}

static const char *date(struct mt_worker *w) {
    struct mt_clock *clock = w->server->options.clock;
    int64_t now = clock->wall_ms(clock) / 1000;
    if (now != w->date_s) {
        struct tm tm;
        time_t t = (time_t)now;
        gmtime_r(&t, &tm);
        strftime(w->date, sizeof(w->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        w->date_s = now;
    }
    return w->date;
}

static char *put(char *at, const char *s, size_t len) {
    memcpy(at, s, len);
    return at + len;
}

static char *puts_(char *at, const char *s) {
    return put(at, s, strlen(s));
}

static char *put_header(char *at, const char *name, const char *value) {
    at = puts_(at, name);
    at = put(at, ": ", 2);
    at = puts_(at, value);
    return put(at, "\r\n", 2);
}

static char *put_number(char *at, size_t n) {
    char digits[24];
    int i = sizeof(digits);
    do digits[--i] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    return put(at, digits + i, sizeof(digits) - (size_t)i);
}

enum framing { LENGTH, CHUNKED, UNTIL_CLOSE, NO_BODY };

/* What every answer says unless its handler has said otherwise. */
static const struct mt_header defaults[] = {
    {(char *)(uintptr_t) "X-Content-Type-Options", (char *)(uintptr_t) "nosniff"},
    {(char *)(uintptr_t) "Cache-Control", (char *)(uintptr_t) "no-store"},
    {(char *)(uintptr_t) "Referrer-Policy", (char *)(uintptr_t) "no-referrer"},
    {(char *)(uintptr_t) "Content-Security-Policy",
     (char *)(uintptr_t) "default-src 'none'; frame-ancestors 'none'"},
};
enum { DEFAULTS = sizeof(defaults) / sizeof(defaults[0]), FIXED = 768 };

/* An upper bound, so that the rest need not look at every byte. */
static size_t head_size(const struct mt_response *resp) {
    size_t size = FIXED;
    for (size_t i = 0; i < resp->headers.count; i++)
        size += strlen(resp->headers.items[i].name) + strlen(resp->headers.items[i].value) + 4;
    return size;
}

static char *put_head(char *at, struct mt_worker *w, const struct mt_request *req,
                      const struct mt_response *resp, enum framing framing, size_t length, bool keep) {
    at = put(at, "HTTP/1.1 ", 9);
    at = put_number(at, (size_t)resp->status);
    at = put(at, " ", 1);
    at = puts_(at, mt_status_text(resp->status));
    at = put(at, "\r\n", 2);
    for (size_t i = 0; i < resp->headers.count; i++) {
        const struct mt_header *h = &resp->headers.items[i];
        if (!is_framing(h->name)) at = put_header(at, h->name, h->value);
    }
    for (size_t i = 0; i < DEFAULTS; i++) {
        if (mt_headers_get(&resp->headers, defaults[i].name) == NULL)
            at = put_header(at, defaults[i].name, defaults[i].value);
    }
    at = put_header(at, "Date", date(w));
    if (req->request_id[0] != '\0') at = put_header(at, "X-Request-Id", req->request_id);
    at = put_header(at, "Connection", keep ? "keep-alive" : "close");
    if (framing == CHUNKED) at = put_header(at, "Transfer-Encoding", "chunked");
    if (framing == LENGTH) {
        at = put(at, "Content-Length: ", 16);
        at = put_number(at, length);
        at = put(at, "\r\n", 2);
    }
    return put(at, "\r\n", 2);
}

/* ---- faults ---- */

static void delay(struct mt_server *s, int ms) {
    int64_t until = mt_http_mono_ns() + (int64_t)ms * 1000000;
    struct timespec t = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
    pthread_mutex_lock(&s->lock);
    while (!atomic_load(&s->draining))
        if (pthread_cond_timedwait(&s->changed, &s->lock, &t) == ETIMEDOUT) break;
    pthread_mutex_unlock(&s->lock);
}

/* Disconnecting a connected socket aborts it: the peer gets a RST whatever was read or not. (With SO_LINGER,
 * CivetWeb's own shutdown() before close() would still send a FIN.) */
static void reset(struct mt_worker *w) {
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    int fd = mt_worker_fd(w);
    if (fd < 0 || connect(fd, &none, sizeof(none)) != 0) mt_warn("http server could not reset a connection");
}

/* ---- streams ---- */

static bool write_all(struct mg_connection *conn, const char *data, size_t len) {
    return mg_write(conn, data, len) == (int)len;
}

static bool peer_gone(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return fd >= 0 && poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

bool mt_stream_closing(struct mt_stream *s) {
    return s->failed || atomic_load(&s->worker->server->draining) || peer_gone(s->fd);
}

int mt_stream_write(struct mt_stream *s, const void *data, size_t len) {
    struct mt_worker *w = s->worker;
    if (s->failed || atomic_load(&w->server->draining)) return -1;
    if (len == 0) return 0; /* a chunk of no bytes would end the stream */
    mt_http_room(&w->out, &w->out_cap, len + 32);
    char *at = w->out;
    if (s->chunked) at += snprintf(at, 24, "%zx\r\n", len);
    at = put(at, data, len);
    if (s->chunked) at = put(at, "\r\n", 2);
    mt_worker_arm(w, w->server->options.request_timeout_ms, true);
    s->failed = !write_all(s->conn, w->out, (size_t)(at - w->out));
    mt_worker_disarm(w);
    return s->failed ? -1 : 0;
}

/* The head first; then the stream's function, which is called in any case (see mt_stream_closing). */
static void send_stream(struct mt_worker *w, struct mg_connection *conn, const struct mt_request *req,
                        struct mt_response *resp, bool http11, bool wanted) {
    struct mt_stream s = {.worker = w, .conn = conn, .fd = -1, .chunked = http11, .failed = true};
    mg_disable_connection_keep_alive(conn);
    if (resp->fault == MT_FAULT_NONE || resp->fault == MT_FAULT_TRUNCATE) {
        mt_http_room(&w->out, &w->out_cap, head_size(resp));
        char *end = put_head(w->out, w, req, resp, http11 ? CHUNKED : UNTIL_CLOSE, 0, false);
        bool sent = write_all(conn, w->out, (size_t)(end - w->out));
        s.failed = !sent || !wanted || resp->fault == MT_FAULT_TRUNCATE;
        s.fd = mt_worker_fd(w);
    } else if (resp->fault == MT_FAULT_RESET) {
        reset(w);
    }
    resp->stream(resp->stream_ctx, &s);
    if (!s.failed && s.chunked) write_all(conn, "0\r\n\r\n", 5);
}

/* ---- sending ---- */

/* How long a client may take to fetch an answer: a slow line is no crime, one byte a minute is. */
static int64_t patience_ms(const struct mt_worker *w, size_t size) {
    return (int64_t)w->server->options.request_timeout_ms + (int64_t)(size / 16);
}

static void send_plain(struct mt_worker *w, struct mg_connection *conn, const struct mt_request *req,
                       struct mt_response *resp, bool keep) {
    const char *body = resp->static_body != NULL ? resp->static_body : resp->body.data;
    size_t length = resp->static_body != NULL ? resp->static_len : resp->body.len;
    bool bare = resp->status == 204 || resp->status == 304 || (resp->status >= 100 && resp->status < 200);
    bool head_only = bare || strcmp(req->method, "HEAD") == 0;
    size_t send = head_only ? 0 : length;
    size_t head_room = head_size(resp);
    bool together = send <= MT_RETAINED;

    mt_http_room(&w->out, &w->out_cap, head_room + (together ? send : 0));
    char *end = put_head(w->out, w, req, resp, bare ? NO_BODY : LENGTH, length, keep);
    if (resp->fault == MT_FAULT_TRUNCATE) send /= 2;
    if (together) end = put(end, body, send);
    size_t first = (size_t)(end - w->out);

    bool slow = first + send > 16 * 1024;
    if (slow) mt_worker_arm(w, patience_ms(w, first + send), true);
    bool sent = write_all(conn, w->out, first);
    if (sent && !together) sent = write_all(conn, body, send);
    if (slow) mt_worker_disarm(w);
    if (!sent || !keep) mg_disable_connection_keep_alive(conn);
    if (w->out_cap > 2 * MT_RETAINED) {
        free(w->out);
        w->out = NULL;
        w->out_cap = 0;
    }
}

int mt_response_send(struct mt_worker *w, struct mg_connection *conn, const struct mt_request *req,
                     struct mt_response *resp, bool keep) {
    if (resp->delay_ms > 0) delay(w->server, resp->delay_ms);
    if (atomic_load(&w->server->draining) || resp->fault != MT_FAULT_NONE) keep = false;
    check_headers(resp);
    if (!mt_buf_ok(&resp->body))
        mt_respond_problem(resp, 500, "limit", "the answer is larger than %d bytes", BODY_MAX);
    if (resp->status < 200 || resp->status > 599)
        mt_respond_problem(resp, 500, "internal", "the answer had no status");

    if (resp->stream != NULL) {
        bool http11 = strcmp(mg_get_request_info(conn)->http_version, "1.1") == 0;
        send_stream(w, conn, req, resp, http11, strcmp(req->method, "HEAD") != 0);
        return resp->status;
    }
    switch (resp->fault) {
    case MT_FAULT_NONE:
    case MT_FAULT_TRUNCATE:
        send_plain(w, conn, req, resp, keep);
        break;
    case MT_FAULT_RESET:
        reset(w); /* fallthrough */
    case MT_FAULT_DROP:
        mg_disable_connection_keep_alive(conn);
        break;
    }
    return resp->status;
}
