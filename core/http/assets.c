/* Serving embedded files: lookup, ETags, gzip by agreement, headers. The array is made at build time (see
 * embed.cmake) and never changes; any thread. */
#include "http/assets.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct mt_asset *mt_asset_find(const char *path) {
    for (const struct mt_asset *a = mt_assets; a->path != NULL; a++)
        if (strcmp(a->path, path) == 0) return a;
    return NULL;
}

static const char *content_type(const char *path) {
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".json", "application/json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".ico", "image/x-icon"},
        {".webp", "image/webp"},
        {".woff2", "font/woff2"},
        {".txt", "text/plain; charset=utf-8"},
        {".md", "text/markdown; charset=utf-8"},
    };
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot != NULL && i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(types[i][0], dot) == 0) return types[i][1];
    return "application/octet-stream";
}

/* Calls for each element of a comma-separated list until one is found. */
static bool any_element(const char *list, bool (*match)(const char *s, size_t len, const void *what),
                        const void *what) {
    for (const char *p = list; *p != '\0';) {
        p += strspn(p, " \t,");
        size_t n = strcspn(p, ",");
        size_t len = n;
        while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t')) len--;
        if (len > 0 && match(p, len, what)) return true;
        p += n;
    }
    return false;
}

/* "gzip", also with parameters, unless its weight is 0. */
static bool is_gzip(const char *s, size_t len, const void *what) {
    (void)what;
    size_t name = strcspn(s, "; \t,");
    if (name > len || name != 4 || strncasecmp(s, "gzip", 4) != 0) return false;
    const char *q = memmem(s, len, "q=", 2);
    return q == NULL || strtod(q + 2, NULL) > 0;
}

static bool is_tag(const char *s, size_t len, const void *what) {
    const char *tag = what;
    if (len == 1 && s[0] == '*') return true;
    if (len > 2 && s[0] == 'W' && s[1] == '/') { /* If-None-Match compares weakly */
        s += 2;
        len -= 2;
    }
    return strlen(tag) == len && memcmp(s, tag, len) == 0;
}

static void set_if_missing(struct mt_response *resp, const char *name, const char *value) {
    if (mt_headers_get(&resp->headers, name) == NULL) mt_headers_add(&resp->headers, name, value);
}

static void set_csp(struct mt_response *resp, const char *frame_ancestors, const char *extra_csp) {
    struct mt_buf b;
    mt_buf_init(&b, 4096);
    mt_buf_adds(&b,
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
                "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors ");
    mt_buf_adds(&b, frame_ancestors);
    if (extra_csp != NULL) mt_buf_addf(&b, "; %s", extra_csp);
    /* A policy cut short would be another policy. */
    mt_headers_set(&resp->headers, "Content-Security-Policy",
                   mt_buf_ok(&b) ? b.data : "default-src 'none'; frame-ancestors 'none'");
    mt_buf_clear(&b);
}

void mt_page_headers(struct mt_response *resp, const char *frame_ancestors, const char *extra_csp) {
    set_csp(resp, frame_ancestors, extra_csp);
    mt_headers_set(&resp->headers, "X-Content-Type-Options", "nosniff");
    mt_headers_set(&resp->headers, "Referrer-Policy", "no-referrer");
    mt_headers_set(&resp->headers, "Cache-Control", "no-store");
    mt_headers_set(&resp->headers, "Cross-Origin-Opener-Policy", "same-origin");
    if (strcmp(frame_ancestors, "'none'") == 0) mt_headers_set(&resp->headers, "X-Frame-Options", "DENY");
}

void mt_asset_respond(const struct mt_request *req, struct mt_response *resp, const char *path) {
    const struct mt_asset *asset = mt_asset_find(path);
    if (asset == NULL) {
        mt_respond_problem(resp, 404, "not_found", "there is nothing at this path");
        return;
    }
    const char *accepts = mt_headers_get(&req->headers, "Accept-Encoding");
    const char *known = mt_headers_get(&req->headers, "If-None-Match");
    bool gzip = asset->gzip != NULL && accepts != NULL && any_element(accepts, is_gzip, NULL);
    char tag[80];
    /* A strong ETag names bytes, and the compressed ones are others. */
    mt_format(tag, sizeof(tag), "%.*s%s\"", (int)strlen(asset->etag) - 1, asset->etag, gzip ? "-gzip" : "");

    mt_headers_set(&resp->headers, "ETag", tag);
    set_if_missing(resp, "Cache-Control", "no-cache");
    if (asset->gzip != NULL) mt_headers_set(&resp->headers, "Vary", "Accept-Encoding");
    if (mt_headers_get(&resp->headers, "Content-Security-Policy") == NULL) set_csp(resp, "'none'", NULL);
    if (known != NULL && any_element(known, is_tag, tag)) {
        resp->status = 304;
        return;
    }
    mt_headers_set(&resp->headers, "Content-Type", content_type(path));
    if (gzip) mt_headers_set(&resp->headers, "Content-Encoding", "gzip");
    resp->static_body = (const char *)(gzip ? asset->gzip : asset->data);
    resp->static_len = gzip ? asset->gzip_len : asset->len;
}
