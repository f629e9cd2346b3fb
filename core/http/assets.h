/* Static assets served from memory: the files of web/, embedded in the program at build time (build step
 * writes an array). ETag by content, 304, gzip variants when smaller, Content-Type, Cache-Control, a strict
 * Content-Security-Policy and the other security headers. Read only; any thread. */
#pragma once
#include "http/server.h"

struct mt_asset {
    const char *path; /* "checkout/checkout.css" */
    const unsigned char *data;
    size_t len;
    const unsigned char *gzip; /* NULL when not smaller */
    size_t gzip_len;
    const char *etag; /* quoted, strong: first 32 hex digits of SHA-256 */
};
/* Defined by the generated file; ends with a NULL path. */
extern const struct mt_asset mt_assets[];

const struct mt_asset *mt_asset_find(const char *path);
/* Answers a GET of the asset (304 when If-None-Match has its ETag); 404 when there is none. */
void mt_asset_respond(const struct mt_request *req, struct mt_response *resp, const char *path);
/* Sets the security headers every page gets: CSP default-src 'none' with 'self' for script, style, img,
 * connect, form; frame-ancestors as given ("'none'" or origins); nosniff; Referrer-Policy; Cache-Control:
 * no-store. `extra_csp` may add directives ("frame-src https://..."), NULL for none. */
void mt_page_headers(struct mt_response *resp, const char *frame_ancestors, const char *extra_csp);
