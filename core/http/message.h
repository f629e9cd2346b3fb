/* HTTP messages as both the client and the server see them: headers, requests, responses. Plain data; the
 * owner of each pointer is said at the field. Header names compare without case. */
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <stdint.h>

struct mt_header {
    char *name;  /* owned by the list */
    char *value; /* owned by the list */
};

struct mt_headers {
    struct mt_header *items;
    size_t count;
};

void mt_headers_add(struct mt_headers *h, const char *name, const char *value); /* copies both */
void mt_headers_set(struct mt_headers *h, const char *name,
                    const char *value); /* replaces one of that name, or adds */
void mt_headers_remove(struct mt_headers *h, const char *name);
/* The first value of that name, borrowed; NULL when there is none. */
const char *mt_headers_get(const struct mt_headers *h, const char *name);
void mt_headers_clear(struct mt_headers *h);

/* ---- outgoing ---- */

struct mt_http_request {
    char *method;              /* owned */
    char *url;                 /* owned; absolute, http or https */
    struct mt_headers headers; /* owned */
    char *body;                /* owned; NULL when there is none */
    size_t body_len;
    int timeout_ms;         /* whole exchange; 0: the client's default (30,000) */
    int connect_timeout_ms; /* 0: the client's default (5,000) */
    size_t max_response;    /* bytes of body; 0: the client's default (4 MiB) */
    /* NULL: the body is kept. Else that of a 2xx is handed over as it comes, on the thread that performs, and
     * neither kept nor limited; an answer other than 0 ends the exchange. */
    int (*on_data)(void *ctx, const char *data, size_t len);
    void *on_data_ctx;
    bool public_only; /* refuse addresses inside private networks (the resolved one is checked and pinned) */
};

struct mt_http_response {
    int status;
    struct mt_headers headers;
    struct mt_buf body;
    int64_t duration_us;
};

void mt_http_request_clear(struct mt_http_request *r);
void mt_http_response_init(struct mt_http_response *r);
void mt_http_response_clear(struct mt_http_response *r);

/* Reads and percent-decodes one field of a query string or an application/x-www-form-urlencoded body. Returns
 * a malloc'ed string (caller frees) or NULL when absent or malformed. */
char *mt_form_get(const char *form, size_t len, const char *name);
