/* Checks a request whose head CivetWeb has parsed, and reads its body. CivetWeb is lenient where two servers
 * in a row could disagree about where a request ends (request smuggling), and it overwrites the separators of
 * the head with NULs: so the layout it left behind is verified byte by byte, and all that is not plain is
 * refused. Worker threads, each its own. */
#include "base/text.h"
#include "http/internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define REFUSE(status, ...) (mt_respond_problem(resp, status, "invalid_request", __VA_ARGS__), -1)

const char *mt_request_param(const struct mt_request *r, const char *name) {
    for (size_t i = 0; i < r->param_count; i++)
        if (strcmp(r->param_names[i], name) == 0) return r->param_values[i];
    return NULL;
}

/* ---- the head ---- */

/* Blank lines before a request make CivetWeb 1.15 take the wrong length for its head, so the body would be
 * read from amid the head. The request line must begin where the buffer does, and that is where malloc has
 * put it. */
static bool at_start(struct mt_worker *w, const char *method) {
    if ((uintptr_t)method % 16 != 0) return false;
    if (w->buffer == NULL || method < w->buffer) w->buffer = method;
    return method == w->buffer;
}

/* "GET\0/path\0HTTP/1.1\0\0": single separators, and the line ended with CRLF. Returns what lies behind it,
 * or NULL. */
static const char *check_request_line(const struct mg_request_info *info) {
    size_t uri = strlen(info->request_uri),
           query = info->query_string == NULL ? 0 : strlen(info->query_string);
    const char *uri_end = info->query_string == NULL ? info->request_uri + uri : info->query_string + query;
    const char *version = info->http_version;
    if (info->request_method + strlen(info->request_method) + 1 != info->request_uri) return NULL;
    if (uri_end + 1 + 5 != version) return NULL; /* "HTTP/" was cut off */
    return version[3] == '\0' && version[4] == '\0' ? version + 5 : NULL;
}

static bool is_token(const char *s) {
    if (*s == '\0') return false;
    for (; *s != '\0'; s++)
        if (!isalnum((unsigned char)*s) && strchr("!#$%&'*+-.^_`|~", *s) == NULL) return false;
    return true;
}

/* Every header is "Name\0 value\0\0", one right behind the other, and "\r\0" ends the head. A bare CR or LF,
 * a folded line, white space before the colon or a header too many leaves another trace, and hidden headers
 * behind it. */
static int check_headers(struct mt_worker *w, const struct mg_request_info *info, const char *at,
                         struct mt_request *req, struct mt_response *resp) {
    size_t n = (size_t)info->num_headers;
    for (size_t i = 0; i < n; i++) {
        const char *name = info->http_headers[i].name;
        char *value = (char *)(uintptr_t)info->http_headers[i].value;
        size_t length = strlen(value);
        if (name != at) return REFUSE(400, "a line of the request's head is malformed");
        if (!is_token(name)) return REFUSE(400, "a header's name is malformed");
        for (const char *p = name + strlen(name) + 1; p < value; p++)
            if (*p != ' ') return REFUSE(400, "there is white space between a header's name and its colon");
        if (value[length + 1] != '\0')
            return REFUSE(400, "a line of the request's head does not end with CRLF");
        at = value + length + 2;
        while (length > 0 && value[length - 1] == ' ') value[--length] = '\0';
        w->headers[i] = (struct mt_header){.name = (char *)(uintptr_t)name, .value = value};
    }
    req->headers = (struct mt_headers){.items = w->headers, .count = n};
    if (n == MT_HEADERS_MAX && at[0] != '\r')
        return REFUSE(431, "the request has more than %d headers", MT_HEADERS_MAX);
    if (n > 0 && (at[0] != '\r' || at[1] != '\0'))
        return REFUSE(400, "a line of the request's head is malformed");
    if (n > 0) return 0;
    if (strcmp(info->http_version, "1.0") != 0) return REFUSE(400, "the request has no Host header");
    if ((size_t)(at - info->request_method) >= w->server->options.max_header || at[0] != '\0')
        return REFUSE(400, "a line of the request's head is malformed");
    return 0;
}

/* How many headers have this name; *value is the first one's. */
static int count_headers(const struct mt_headers *h, const char *name, const char **value) {
    int n = 0;
    for (size_t i = 0; i < h->count; i++)
        if (strcasecmp(h->items[i].name, name) == 0 && n++ == 0) *value = h->items[i].value;
    return n;
}

/* How the body is framed. *length: -1 when chunked. */
static int check_framing(const struct mt_server *s, const struct mt_request *req, bool http11,
                         struct mt_response *resp, long long *length) {
    const char *coding = NULL, *digits = NULL;
    int codings = count_headers(&req->headers, "Transfer-Encoding", &coding);
    int lengths = count_headers(&req->headers, "Content-Length", &digits);
    *length = 0;
    if (codings > 0 && lengths > 0)
        return REFUSE(400, "Transfer-Encoding and Content-Length exclude each other");
    if (codings > 1) return REFUSE(400, "Transfer-Encoding is there twice");
    if (lengths > 1) return REFUSE(400, "Content-Length is there twice");
    if (codings == 1) {
        if (!http11) return REFUSE(400, "HTTP/1.0 has no Transfer-Encoding");
        if (strcasecmp(coding, "chunked") != 0)
            return REFUSE(501, "Transfer-Encoding: only \"chunked\" is understood");
        *length = -1;
        return 0;
    }
    if (lengths == 0) return 0;
    size_t n = strlen(digits);
    if (n == 0 || strspn(digits, "0123456789") != n) return REFUSE(400, "Content-Length is not a number");
    if (n > 18) n = 19;
    long long value = n == 19 ? INT64_MAX : strtoll(digits, NULL, 10);
    if ((unsigned long long)value > s->options.max_body) {
        mt_respond_problem(resp, 413, "limit", "the body is larger than %zu bytes", s->options.max_body);
        return -1;
    }
    *length = value;
    return 0;
}

/* ---- Host ---- */

static bool loopback_name(const char *host) {
    size_t n = strcspn(host, ":");
    if (host[0] == '[') return strncmp(host, "[::1]", 5) == 0 && (host[5] == '\0' || host[5] == ':');
    if (n == 9 && strncasecmp(host, "localhost", 9) == 0) return true;
    if (n > 10 && strncasecmp(host + n - 10, ".localhost", 10) == 0) return true;
    return strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == n;
}

/* A page elsewhere whose name was made to resolve to 127.0.0.1 still sends its own name here (DNS rebinding).
 */
static int check_host_header(struct mt_server *s, const struct mg_request_info *info, struct mt_request *req,
                             bool http11, struct mt_response *resp) {
    const char *host = NULL;
    int n = count_headers(&req->headers, "Host", &host);
    req->host[0] = '\0';
    if (n > 1) return REFUSE(400, "Host is there twice");
    if (n == 0) return http11 ? REFUSE(400, "the request has no Host header") : 0;
    size_t length = strlen(host);
    bool plain = length > 0 && length < sizeof(req->host);
    for (size_t i = 0; plain && i < length; i++)
        plain = isalnum((unsigned char)host[i]) || strchr(".-_:[]", host[i]) != NULL;
    if (!plain) return REFUSE(400, "the Host header is malformed");
    mt_copy(req->host, sizeof(req->host), host);
    if (info->request_uri[0] != '/') { /* the absolute form names the host once more */
        const char *authority = strstr(info->request_uri, "://");
        if (authority == NULL || strncasecmp(authority + 3, host, length) != 0 ||
            authority[3 + length] != '/')
            return REFUSE(400, "the request's target and its Host header differ");
    }
    if (s->options.loopback_only && !loopback_name(host)) {
        mt_respond_problem(resp, 421, "permission", "this server answers to localhost only");
        return -1;
    }
    return 0;
}

/* ---- the path ---- */

/* Removes "//" and "/./", resolves "/../", all in place. False when it leads above the root. */
static bool normalise(char *path) {
    char *out = path;
    for (const char *p = path; *p == '/';) {
        while (p[1] == '/') p++;
        size_t n = strcspn(p + 1, "/");
        bool last = p[1 + n] == '\0';
        if (n == 1 && p[1] == '.') {
            if (last) *out++ = '/';
        } else if (n == 2 && p[1] == '.' && p[2] == '.') {
            if (out == path) return false;
            do out--;
            while (*out != '/');
            if (last) *out++ = '/';
        } else {
            memmove(out, p, n + 1);
            out += n + 1;
        }
        p += n + 1;
    }
    if (out == path) *out++ = '/';
    *out = '\0';
    return true;
}

const char *mt_request_path(const char *raw, char *space, const char **why) {
    size_t n = strlen(raw);
    bool plain = true; /* nothing to decode or to resolve */
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)raw[i];
        *why = "has a \"#\" or a backslash";
        if (c == '#' || c == '\\') return NULL;
        if (c == '%' || c == '.' || c >= 0x80 || (c == '/' && raw[i + 1] == '/')) plain = false;
    }
    *why = "does not begin with \"/\"";
    if (raw[0] != '/') return NULL;
    if (plain) return raw;
    long len = mt_url_decode(raw, n, space, false);
    *why = "has a malformed percent sign";
    if (len < 0) return NULL;
    space[len] = '\0';
    *why = "has a control character";
    for (long i = 0; i < len; i++)
        if ((unsigned char)space[i] < 0x20 || space[i] == 0x7f) return NULL;
    *why = "is not UTF-8";
    if (!mt_utf8_valid(space, (size_t)len)) return NULL;
    *why = "leads above the root";
    return normalise(space) ? space : NULL;
}

static int read_path(struct mt_worker *w, const struct mg_request_info *info, struct mt_request *req,
                     struct mt_response *resp) {
    const char *raw = info->local_uri_raw, *why;
    req->raw_path = raw;
    req->query = info->query_string == NULL ? "" : info->query_string;
    mt_http_room(&w->path, &w->path_cap, strlen(raw) + 1);
    req->path = mt_request_path(raw, w->path, &why);
    if (req->path != NULL) return 0;
    req->path = raw;
    return REFUSE(400, "the request's path %s", why);
}

/* ---- the body ---- */

static int body_failed(bool late, struct mt_response *resp) {
    if (late) return REFUSE(408, "the request's body did not come in time");
    return REFUSE(400, "the request's body is malformed or was cut off");
}

/* One byte more than allowed is asked for, so that too much is noticed. */
static int read_chunks(struct mt_worker *w, struct mg_connection *conn, struct mt_request *req,
                       struct mt_response *resp) {
    size_t max = w->server->options.max_body, used = 0;
    mt_http_room(&w->body, &w->body_cap, 16 * 1024);
    for (;;) {
        if (used == w->body_cap - 1) {
            w->body_cap *= 2;
            w->body = mt_realloc(w->body, w->body_cap);
        }
        size_t want = w->body_cap - 1 - used;
        if (want > max + 1 - used) want = max + 1 - used;
        int n = mg_read(conn, w->body + used, want);
        if (n < 0) return 1;
        if (n == 0) break;
        used += (size_t)n;
        if (used > max) {
            mt_respond_problem(resp, 413, "limit", "the body is larger than %zu bytes", max);
            return -1;
        }
    }
    req->body_len = used;
    return 0;
}

static int read_sized(struct mt_worker *w, struct mg_connection *conn, size_t length,
                      struct mt_request *req) {
    mt_http_room(&w->body, &w->body_cap, length + 1);
    for (size_t used = 0; used < length;) {
        int n = mg_read(conn, w->body + used, length - used);
        if (n <= 0) return 1;
        used += (size_t)n;
    }
    req->body_len = length;
    return 0;
}

static int read_body(struct mt_worker *w, struct mg_connection *conn, long long length,
                     struct mt_request *req, struct mt_response *resp) {
    const char *expect = NULL;
    int timeout = w->server->options.request_timeout_ms;
    int expects = count_headers(&req->headers, "Expect", &expect);
    req->body = "";
    req->body_len = 0;
    if (expects > 0 && (expects > 1 || strcasecmp(expect, "100-continue") != 0))
        return REFUSE(417, "Expect: only \"100-continue\" is understood");
    if (length == 0) return 0;
    if (expects == 1) mg_write(conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);

    if (w->body_cap > MT_RETAINED) { /* what one large body needed is not kept for ever */
        free(w->body);
        w->body = NULL;
        w->body_cap = 0;
    }
    int64_t start = mt_http_mono_ns();
    mt_worker_arm(w, timeout, false);
    int rc = length < 0 ? read_chunks(w, conn, req, resp) : read_sized(w, conn, (size_t)length, req);
    mt_worker_disarm(w);
    if (rc > 0) return body_failed(mt_http_mono_ns() - start >= (int64_t)timeout * 1000000, resp);
    if (rc < 0) return -1;
    w->body[req->body_len] = '\0';
    req->body = w->body;
    return 0;
}

/* ---- all of it ---- */

/* CivetWeb decides by the first Connection header and the version; what it will do must be what the answer
 * says, so only the plain cases stay open. A chunked request ends its connection: two readers of chunks that
 * disagree then share nothing. */
static bool may_keep(const struct mt_request *req, bool http11, long long length) {
    const char *connection = NULL, *upgrade = NULL;
    int n = count_headers(&req->headers, "Connection", &connection);
    if (length < 0 || n > 1 || count_headers(&req->headers, "Upgrade", &upgrade) > 0) return false;
    return n == 1 ? strcasecmp(connection, "keep-alive") == 0 : http11;
}

static void make_id(struct mt_worker *w, struct mt_request *req) {
    const char *given = mt_headers_get(&req->headers, "X-Request-Id");
    size_t n = given == NULL ? 0 : strlen(given);
    bool fits = n > 0 && n < MT_ID_SIZE;
    for (size_t i = 0; fits && i < n; i++)
        fits = isalnum((unsigned char)given[i]) || given[i] == '_' || given[i] == '-';
    if (fits) {
        mt_copy(req->request_id, sizeof(req->request_id), given);
        return;
    }
    /* The tail is random once for each thread and then counts: unique, and no system call. */
    for (int i = 9; i >= 0 && ++w->id_tail[i] == 0; i--) {
    }
    struct mt_clock *clock = w->server->options.clock;
    mt_id_format("req_", clock->wall_ms(clock), w->id_tail, req->request_id);
}

int mt_request_read(struct mt_worker *w, struct mg_connection *conn, struct mt_request *req,
                    struct mt_response *resp, bool *keep) {
    const struct mg_request_info *info = mg_get_request_info(conn);
    bool http11 = strcmp(info->http_version, "1.1") == 0;
    long long length = 0;

    /* All but param_space, which is large and only read where it was written. */
    memset(req, 0, offsetof(struct mt_request, param_space));
    req->method = info->request_method;
    req->path = req->raw_path = "/";
    req->query = req->body = "";
    mt_copy(req->remote, sizeof(req->remote), info->remote_addr);
    *keep = false;

    if (!at_start(w, info->request_method)) return REFUSE(400, "there are blank lines before the request");
    const char *at = check_request_line(info);
    if (at == NULL) return REFUSE(400, "the request line is malformed");
    if (check_headers(w, info, at, req, resp) != 0) return -1;
    mt_client_address(&w->server->trusted, req->remote, &req->headers, req->client);
    make_id(w, req);
    if (check_host_header(w->server, info, req, http11, resp) != 0) return -1;
    if (check_framing(w->server, req, http11, resp, &length) != 0) return -1;
    if (read_path(w, info, req, resp) != 0) return -1;
    if (read_body(w, conn, length, req, resp) != 0) return -1;
    *keep = may_keep(req, http11, length);
    return 0;
}
