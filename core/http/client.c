/* The HTTP client on libcurl. Each thread keeps one easy handle (and one multi handle for perform_all), so
 * connections live on between requests; both are freed when the thread ends.
 *
 * Invariant: a request leaves at most once. libcurl on its own sends a request again, POST or not, whenever a
 * kept-alive connection dies before the first byte of the answer ("Connection died, retrying a fresh
 * connect"), though the server may well have processed it. CURLOPT_PREREQFUNCTION is called before every such
 * attempt: the second one is refused unless no byte had left in the first. */
#include "http/client.h"
#include "base/text.h"
#include "http/address.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum {
    TIMEOUT_MS = 30000,
    CONNECT_TIMEOUT_MS = 5000,
    MAX_RESPONSE = 4 * 1024 * 1024,
    MAX_HEADER_BYTES = 256 * 1024,
    MAX_HEADERS = 256,
    /* Servers close idle connections after 5 s (our own, Node's) or later: one that is younger than this is
     * safe to reuse, apart from a server that is stopping. */
    IDLE_S = 3,
    LIFETIME_S = 300,
    SPARE_HANDLES = 64,
    KEPT_CONNECTIONS = 5, /* by a thread's own handle */
};

/* One request under way. */
struct transfer {
    CURL *easy;
    const struct mt_http_request *req;
    struct mt_http_response *resp;
    struct curl_slist *headers;
    int attempts; /* how often libcurl was about to send */
    bool refused_resend;
    bool too_large; /* the answer */
    bool head_done; /* the final head is complete; what follows are trailers */
    bool secure;    /* https: what has left cannot be told from the count of bytes */
    size_t header_bytes, max_response;
    int64_t start_ns;
    char blocked[INET6_ADDRSTRLEN]; /* the address that public_only refused */
    char where[160];                /* "host:port", for messages; never the path, which may hold secrets */
    char detail[CURL_ERROR_SIZE];
};

/* What a thread keeps. */
struct handles {
    CURL *easy;
    CURLM *single; /* drives `easy` */
    CURLU *url;    /* what url_text says: a script mostly calls the same again */
    char url_text[512];
    CURLM *multi;
    CURL *spare[SPARE_HANDLES];
    size_t spare_count;
};

static pthread_key_t handles_key;

static void free_handles(void *p) {
    struct handles *h = p;
    if (h == NULL) return;
    curl_easy_cleanup(h->easy);
    for (size_t i = 0; i < h->spare_count; i++) curl_easy_cleanup(h->spare[i]);
    curl_multi_cleanup(h->single);
    curl_multi_cleanup(h->multi);
    curl_url_cleanup(h->url);
    free(h);
}

static void init_library(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    pthread_key_create(&handles_key, free_handles);
}

static struct handles *thread_handles(void) {
    struct handles *h = pthread_getspecific(handles_key);
    if (h != NULL) return h;
    h = mt_calloc(1, sizeof(*h));
    pthread_setspecific(handles_key, h);
    return h;
}

static int64_t mono_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- what libcurl calls ---- */

static bool nothing_left(const struct transfer *t) {
    long bytes = 0;
    if (t->attempts == 0) return true;
    if (t->secure) return false;
    return curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &bytes) == CURLE_OK && bytes == 0;
}

static int on_about_to_send(void *ctx, char *remote_ip, char *local_ip, int remote_port, int local_port) {
    struct transfer *t = ctx;
    (void)remote_ip, (void)local_ip, (void)remote_port, (void)local_port;
    if (!nothing_left(t)) {
        t->refused_resend = true;
        return CURL_PREREQFUNC_ABORT;
    }
    t->attempts++;
    return CURL_PREREQFUNC_OK;
}

/* The address checked is the one that will be connected to, in the moment it is: nothing can change in
 * between, as it could between a look-up of our own and libcurl's. */
static curl_socket_t on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a) {
    struct transfer *t = ctx;
    (void)purpose;
    if (t->req->public_only && !mt_address_is_public(&a->addr)) {
        const void *raw = a->family == AF_INET6
                              ? (const void *)&((struct sockaddr_in6 *)(void *)&a->addr)->sin6_addr
                              : (const void *)&((struct sockaddr_in *)(void *)&a->addr)->sin_addr;
        if ((a->family != AF_INET && a->family != AF_INET6) ||
            inet_ntop(a->family, raw, t->blocked, sizeof(t->blocked)) == NULL)
            mt_copy(t->blocked, sizeof(t->blocked), "?");
        return CURL_SOCKET_BAD;
    }
    if (t->blocked[0] != '\0') return CURL_SOCKET_BAD; /* one bad address condemns the name */
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_header(char *data, size_t size, size_t count, void *ctx) {
    struct transfer *t = ctx;
    size_t len = size * count;
    if (t->head_done) return len;
    t->header_bytes += len;
    if (t->header_bytes > MAX_HEADER_BYTES || t->resp->headers.count >= MAX_HEADERS) {
        t->too_large = true;
        return 0;
    }
    size_t end = len;
    while (end > 0 && isspace((unsigned char)data[end - 1])) end--;
    if (end >= 5 && memcmp(data, "HTTP/", 5) == 0) { /* an interim answer's headers are not the answer's */
        mt_headers_clear(&t->resp->headers);
        return len;
    }
    if (end == 0) {
        long status = 0;
        curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        t->head_done = status >= 200;
        return len;
    }
    const char *colon = memchr(data, ':', end);
    if (colon == NULL) return len;
    size_t name_len = (size_t)(colon - data), value = name_len + 1;
    while (value < end && isspace((unsigned char)data[value])) value++;
    char *name = mt_memdup(data, name_len), *text = mt_memdup(data + value, end - value);
    mt_headers_add(&t->resp->headers, name, text);
    free(name);
    free(text);
    return len;
}

static size_t on_body(char *data, size_t size, size_t count, void *ctx) {
    struct transfer *t = ctx;
    size_t len = size * count;
    if (t->req->on_data != NULL) {
        long status = 0;
        curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status >= 200 && status < 300)
            return t->req->on_data(t->req->on_data_ctx, data, len) == 0 ? len : 0;
    }
    if (len > t->max_response - t->resp->body.len) {
        t->too_large = true;
        return 0;
    }
    mt_buf_add(&t->resp->body, data, len);
    return mt_buf_ok(&t->resp->body) ? len : 0;
}

/* ---- handles ---- */

/* What is the same for all requests, set once. */
static CURL *new_easy(void) {
    CURL *c = curl_easy_init();
    if (c == NULL) return NULL;
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_MAXAGE_CONN, (long)IDLE_S);
    curl_easy_setopt(c, CURLOPT_MAXLIFETIME_CONN, (long)LIFETIME_S);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, on_about_to_send);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    return c;
}

static void set_method(CURL *c, const struct mt_http_request *req) {
    const char *method = req->method == NULL ? "GET" : req->method;
    bool get = strcmp(method, "GET") == 0, head = strcmp(method, "HEAD") == 0,
         post = strcmp(method, "POST") == 0;
    bool body = req->body != NULL || post;
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, NULL);
    if (body) {
        curl_easy_setopt(c, CURLOPT_POST, 1L);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, req->body == NULL ? "" : req->body);
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(req->body == NULL ? 0 : req->body_len));
        if (!post) curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    } else if (head) {
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(c, CURLOPT_HTTPGET, 1L);
        if (!get) curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
    }
}

/* ---- checks before anything leaves ---- */

static bool is_token(const char *s) {
    if (*s == '\0') return false;
    for (; *s != '\0'; s++)
        if (!isalnum((unsigned char)*s) && strchr("!#$%&'*+-.^_`|~", *s) == NULL) return false;
    return true;
}

static bool is_plain_value(const char *s) {
    for (; *s != '\0'; s++)
        if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f) return false;
    return true;
}

/* Fills t->where; refuses all but http://host... and https://host... */
static int check_url(struct transfer *t, struct mt_error *e) {
    const char *url = t->req->url;
    if (url == NULL) return mt_fail(e, MT_INVALID_REQUEST, "url: there is none");
    t->secure = strncasecmp(url, "https://", 8) == 0;
    if (!t->secure && strncasecmp(url, "http://", 7) != 0)
        return mt_fail(e, MT_INVALID_REQUEST, "url: must begin with http:// or https://");
    for (const char *p = url; *p != '\0'; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return mt_fail(e, MT_INVALID_REQUEST, "url: has a space or a control character");
    const char *host = url + (t->secure ? 8 : 7);
    size_t n = strcspn(host, "/?#");
    if (n == 0) return mt_fail(e, MT_INVALID_REQUEST, "url: names no host");
    if (memchr(host, '@', n) != NULL)
        return mt_fail(e, MT_INVALID_REQUEST, "url: may not hold a user or a password");
    mt_format(t->where, sizeof(t->where), "%.*s", (int)(n < 150 ? n : 150), host);
    return 0;
}

static int append(struct transfer *t, const char *line, struct mt_error *e) {
    struct curl_slist *list = curl_slist_append(t->headers, line);
    if (list == NULL) return mt_fail(e, MT_INTERNAL, "out of memory");
    t->headers = list;
    return 0;
}

static int add_header(struct transfer *t, const char *name, const char *value, struct mt_error *e) {
    char small[512], *line = small;
    size_t name_len = strlen(name), value_len = strlen(value), need = name_len + value_len + 3;
    if (need > sizeof(small)) line = mt_realloc(NULL, need);
    /* "Name:" alone takes a header away, "Name;" sends it empty. */
    memcpy(line, name, name_len);
    memcpy(line + name_len, value_len ? ": " : ";", 2);
    memcpy(line + name_len + (value_len ? 2 : 1), value, value_len + 1);
    int rc = append(t, line, e);
    if (line != small) free(line);
    return rc;
}

static int build_headers(struct transfer *t, struct mt_error *e) {
    const struct mt_headers *h = &t->req->headers;
    for (size_t i = 0; i < h->count; i++) {
        const char *name = h->items[i].name, *value = h->items[i].value;
        if (!is_token(name)) return mt_fail(e, MT_INVALID_REQUEST, "headers: a name is empty or malformed");
        if (!is_plain_value(value))
            return mt_fail(e, MT_INVALID_REQUEST, "headers: the value of %s has a control character", name);
        if (strcasecmp(name, "Content-Length") == 0 || strcasecmp(name, "Transfer-Encoding") == 0 ||
            strcasecmp(name, "Connection") == 0 || strcasecmp(name, "Expect") == 0)
            return mt_fail(e, MT_INVALID_REQUEST, "headers: %s is set by the client itself", name);
        if (add_header(t, name, value, e) != 0) return -1;
    }
    if (append(t, "Expect:", e) != 0) return -1;
    if (mt_headers_get(h, "User-Agent") == NULL && /* libcurl's option formats it twice */
        append(t, "User-Agent: mintage/" MT_VERSION, e) != 0)
        return -1;
    if (mt_headers_get(h, "Content-Type") != NULL) return 0;
    return append(t, "Content-Type:", e); /* or libcurl would call the body a form */
}

static int prepare(struct transfer *t, CURL *easy, const struct mt_http_request *req,
                   struct mt_http_response *resp, struct mt_error *e) {
    *t = (struct transfer){.easy = easy, .req = req, .resp = resp, .start_ns = mono_ns()};
    mt_http_response_init(resp);
    t->max_response = req->max_response == 0 ? MAX_RESPONSE : req->max_response;
    if (req->method != NULL && !is_token(req->method))
        return mt_fail(e, MT_INVALID_REQUEST, "method: is malformed");
    if (check_url(t, e) != 0 || build_headers(t, e) != 0) return -1;
    int timeout = req->timeout_ms > 0 ? req->timeout_ms : TIMEOUT_MS;
    int connect = req->connect_timeout_ms > 0 ? req->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    set_method(easy, req);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)connect);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, t);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->detail);
    /* A connection that was opened for others has not been checked; one for a stranger's URL is not worth
     * keeping. */
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, req->public_only ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, req->public_only ? 1L : 0L);
    return 0;
}

/* ---- what became of it ---- */

static enum mt_kind kind_of(CURLcode code, bool unsent) {
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return MT_TIMEOUT;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: /* after sending: the answer is no HTTP/1 */
        return unsent ? MT_INVALID_REQUEST : MT_PROTOCOL;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_PARTIAL_FILE:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_HTTP3:
        return MT_PROTOCOL;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
        return MT_INTERNAL;
    default:
        return MT_UNAVAILABLE; /* unresolved, refused, reset, TLS trouble, closed without an answer */
    }
}

static void explain(struct transfer *t, CURLcode code, struct mt_error *e) {
    bool unsent = nothing_left(t) && !t->refused_resend;
    const char *why = t->detail[0] != '\0' ? t->detail : curl_easy_strerror(code);
    if (t->blocked[0] != '\0' && unsent)
        mt_fail(e, MT_PERMISSION,
                "%s: its address %s is not on the public internet, and only such are allowed here", t->where,
                t->blocked);
    else if (t->too_large)
        mt_fail(e, MT_LIMIT, "%s: the answer is larger than %zu bytes", t->where, t->max_response);
    else if (t->refused_resend)
        mt_fail(e, MT_UNAVAILABLE,
                "%s: the connection was closed after the request had been sent and before an answer came",
                t->where);
    else
        mt_fail(e, kind_of(code, unsent), "%s: %s", t->where, why);
    e->outcome = unsent ? MT_NOT_SENT : MT_UNKNOWN;
    e->retryable = unsent ? e->kind == MT_UNAVAILABLE || e->kind == MT_TIMEOUT
                          : e->kind != MT_LIMIT && e->kind != MT_INVALID_REQUEST;
}

/* Ends a transfer. On failure the response is empty again. */
static int conclude(struct transfer *t, CURLcode code, struct mt_error *e) {
    int rc = 0;
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    t->resp->status = (int)status;
    t->resp->duration_us = (mono_ns() - t->start_ns) / 1000;
    if (code != CURLE_OK) {
        explain(t, code, e);
        rc = -1;
    } else if (status < 200 || status > 599) {
        mt_fail(e, MT_PROTOCOL, "%s: the answer's status is %ld", t->where, status);
        e->outcome = MT_UNKNOWN;
        rc = -1;
    }
    if (rc != 0) mt_http_response_clear(t->resp);
    /* Nothing of ours may be left behind in a handle that lives on. */
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    return rc;
}

static int refuse(struct transfer *t, struct mt_error *e) {
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    mt_http_response_clear(t->resp);
    e->outcome = MT_NOT_SENT;
    return -1;
}

/* ---- the transport ---- */

/* What curl_easy_perform() does, which asks the kernel for news before it has begun, each time. */
static CURLcode drive(struct handles *h) {
    CURLcode code = CURLE_FAILED_INIT;
    int running = 1, queued;
    if (curl_multi_add_handle(h->single, h->easy) != CURLM_OK) return code;
    CURLMcode rc = curl_multi_perform(h->single, &running);
    while (rc == CURLM_OK && running > 0) {
        rc = curl_multi_poll(h->single, NULL, 0, 1000, NULL);
        if (rc == CURLM_OK) rc = curl_multi_perform(h->single, &running);
    }
    for (CURLMsg *m; (m = curl_multi_info_read(h->single, &queued)) != NULL;)
        if (m->msg == CURLMSG_DONE) code = m->data.result;
    curl_multi_remove_handle(h->single, h->easy);
    return code;
}

/* libcurl reads a URL anew each time, unless it is given one that has been read. One that it cannot read, or
 * that is long, it is given as text. */
static void set_url(struct handles *h, const char *url) {
    if (h->url_text[0] != '\0' && strcmp(h->url_text, url) == 0) return;
    if (h->url == NULL) h->url = curl_url();
    bool read = h->url != NULL && mt_copy(h->url_text, sizeof(h->url_text), url) &&
                curl_url_set(h->url, CURLUPART_URL, url, CURLU_PATH_AS_IS) == CURLUE_OK;
    if (!read) h->url_text[0] = '\0';
    curl_easy_setopt(h->easy, CURLOPT_URL, url); /* also where the other is used: for messages */
    curl_easy_setopt(h->easy, CURLOPT_CURLU, read ? h->url : NULL);
}

static bool have_easy(struct handles *h) {
    if (h->single == NULL) {
        h->single = curl_multi_init();
        if (h->single != NULL) curl_multi_setopt(h->single, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
    }
    if (h->easy == NULL) h->easy = new_easy();
    return h->easy != NULL && h->single != NULL;
}

static int perform(struct mt_transport *self, const struct mt_http_request *req,
                   struct mt_http_response *resp, struct mt_error *e) {
    (void)self;
    struct handles *h = thread_handles();
    struct transfer t = {.resp = resp};
    if (!have_easy(h)) {
        mt_fail(e, MT_INTERNAL, "the HTTP client cannot start");
        e->outcome = MT_NOT_SENT;
        *resp = (struct mt_http_response){0};
        return -1;
    }
    if (prepare(&t, h->easy, req, resp, e) != 0) return refuse(&t, e);
    set_url(h, req->url);
    return conclude(&t, drive(h), e);
}

static CURL *take_spare(struct handles *h) {
    return h->spare_count > 0 ? h->spare[--h->spare_count] : new_easy();
}

static void give_spare(struct handles *h, CURL *easy) {
    if (h->spare_count < SPARE_HANDLES)
        h->spare[h->spare_count++] = easy;
    else
        curl_easy_cleanup(easy);
}

/* Hands over all that have ended. Returns how many. */
static size_t collect(struct handles *h, struct transfer *all, struct mt_error *errors,
                      void (*done)(void *ctx, size_t i, bool failed), void *ctx) {
    size_t ended = 0;
    int queued;
    for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &queued)) != NULL;) {
        if (m->msg != CURLMSG_DONE) continue;
        char *private = NULL;
        CURL *easy = m->easy_handle;
        CURLcode code = m->data.result;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
        struct transfer *t = (struct transfer *)(void *)private;
        size_t i = (size_t)(t - all);
        curl_multi_remove_handle(h->multi, easy);
        bool failed = conclude(t, code, &errors[i]) != 0;
        give_spare(h, easy);
        t->easy = NULL;
        ended++;
        done(ctx, i, failed);
    }
    return ended;
}

/* Ends those whose handle could not be driven (out of memory): what has left of them nobody knows. */
static void abandon(struct handles *h, size_t n, struct transfer *all, struct mt_error *errors,
                    void (*done)(void *ctx, size_t i, bool failed), void *ctx) {
    for (size_t i = 0; i < n; i++) {
        CURL *easy = all[i].easy;
        if (easy == NULL) continue;
        curl_multi_remove_handle(h->multi, easy);
        conclude(&all[i], CURLE_FAILED_INIT, &errors[i]);
        curl_easy_cleanup(easy);
        all[i].easy = NULL;
        done(ctx, i, true);
    }
}

static bool start_one(struct handles *h, struct transfer *t, const struct mt_http_request *req,
                      struct mt_http_response *resp, struct mt_error *e) {
    CURL *easy = take_spare(h);
    t->resp = resp;
    if (easy == NULL) {
        *resp = (struct mt_http_response){0};
        mt_fail(e, MT_INTERNAL, "the HTTP client cannot start");
    } else if (prepare(t, easy, req, resp, e) == 0) {
        curl_easy_setopt(easy, CURLOPT_URL, req->url);
        curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *)t);
        if (curl_multi_add_handle(h->multi, easy) == CURLM_OK) return true;
        mt_fail(e, MT_INTERNAL, "the HTTP client cannot start");
    }
    refuse(t, e);
    if (easy != NULL) give_spare(h, easy);
    t->easy = NULL;
    return false;
}

static void perform_all(struct mt_transport *self, size_t n, const struct mt_http_request *reqs,
                        struct mt_http_response *resps, struct mt_error *errors,
                        void (*done)(void *ctx, size_t i, bool failed), void *ctx) {
    (void)self;
    struct handles *h = thread_handles();
    struct transfer *all = mt_calloc(n + 1, sizeof(*all));
    /* A callback that makes requests of its own on this thread finds no multi handle and makes another. */
    CURLM *multi = h->multi != NULL ? h->multi : curl_multi_init();
    struct handles own = {.multi = multi};
    h->multi = NULL;
    memcpy(own.spare, h->spare, sizeof(own.spare));
    own.spare_count = h->spare_count;
    h->spare_count = 0;

    size_t left = 0;
    bool *failed_at_once = mt_calloc(n + 1, sizeof(bool));
    for (size_t i = 0; i < n; i++) {
        failed_at_once[i] = !start_one(&own, &all[i], &reqs[i], &resps[i], &errors[i]);
        if (!failed_at_once[i]) left++;
    }
    for (size_t i = 0; i < n; i++)
        if (failed_at_once[i]) done(ctx, i, true);
    while (left > 0) {
        int running = 0;
        CURLMcode rc = curl_multi_perform(multi, &running);
        left -= collect(&own, all, errors, done, ctx);
        if (left == 0) break;
        if (rc == CURLM_OK) rc = curl_multi_poll(multi, NULL, 0, 1000, NULL);
        if (rc != CURLM_OK) {
            abandon(&own, n, all, errors, done, ctx);
            left = 0;
        }
    }

    for (size_t i = 0; i < own.spare_count; i++) give_spare(h, own.spare[i]);
    if (h->multi == NULL)
        h->multi = multi;
    else
        curl_multi_cleanup(multi);
    free(failed_at_once);
    free(all);
}

/* The handles belong to threads, not to the transport: there is nothing else to free. */
static void free_transport(struct mt_transport *self) {
    struct handles *h = pthread_getspecific(handles_key);
    pthread_setspecific(handles_key, NULL);
    free_handles(h);
    free(self);
}

struct mt_transport *mt_transport_curl(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_library);
    struct mt_transport *t = mt_calloc(1, sizeof(*t));
    *t = (struct mt_transport){.perform = perform, .perform_all = perform_all, .free = free_transport};
    return t;
}
