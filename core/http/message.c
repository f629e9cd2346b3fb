/* HTTP messages as plain data: lists of headers, requests, responses, fields of forms. Invariant: a list owns
 * every name and value in it. No state; the owner of a value may use it on any one thread. */
#include "http/message.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void mt_headers_add(struct mt_headers *h, const char *name, const char *value) {
    /* Room is made at each power of two, from 8 on, so the list needs no field for its capacity. */
    if (h->count == 0 || (h->count >= 8 && (h->count & (h->count - 1)) == 0)) {
        size_t room = h->count == 0 ? 8 : h->count * 2;
        h->items = mt_realloc(h->items, room * sizeof(*h->items));
    }
    h->items[h->count++] = (struct mt_header){.name = mt_strdup(name), .value = mt_strdup(value)};
}

static struct mt_header *find(const struct mt_headers *h, const char *name) {
    for (size_t i = 0; i < h->count; i++)
        if (strcasecmp(h->items[i].name, name) == 0) return &h->items[i];
    return NULL;
}

void mt_headers_set(struct mt_headers *h, const char *name, const char *value) {
    struct mt_header *found = find(h, name);
    if (found == NULL) {
        mt_headers_add(h, name, value);
        return;
    }
    char *copy = mt_strdup(value);
    free(found->value);
    found->value = copy;
}

void mt_headers_remove(struct mt_headers *h, const char *name) {
    struct mt_headers kept = {0};
    for (size_t i = 0; i < h->count; i++) {
        if (strcasecmp(h->items[i].name, name) != 0)
            mt_headers_add(&kept, h->items[i].name, h->items[i].value);
    }
    mt_headers_clear(h);
    *h = kept;
}

const char *mt_headers_get(const struct mt_headers *h, const char *name) {
    const struct mt_header *found = find(h, name);
    return found == NULL ? NULL : found->value;
}

void mt_headers_clear(struct mt_headers *h) {
    for (size_t i = 0; i < h->count; i++) {
        free(h->items[i].name);
        free(h->items[i].value);
    }
    free(h->items);
    *h = (struct mt_headers){0};
}

void mt_http_request_clear(struct mt_http_request *r) {
    free(r->method);
    free(r->url);
    free(r->body);
    mt_headers_clear(&r->headers);
    *r = (struct mt_http_request){0};
}

void mt_http_response_init(struct mt_http_response *r) {
    *r = (struct mt_http_response){0};
    mt_buf_init(&r->body, SIZE_MAX);
}

void mt_http_response_clear(struct mt_http_response *r) {
    mt_headers_clear(&r->headers);
    mt_buf_clear(&r->body);
    *r = (struct mt_http_response){0};
}

/* Percent-decodes into a new string; NULL when malformed or when a NUL hides in it. */
static char *decode(const char *s, size_t len) {
    char *out = mt_calloc(1, len + 1);
    long n = mt_url_decode(s, len, out, true);
    if (n < 0 || memchr(out, '\0', (size_t)n) != NULL) {
        free(out);
        return NULL;
    }
    out[n] = '\0';
    return out;
}

char *mt_form_get(const char *form, size_t len, const char *name) {
    const char *end = form + len;
    for (const char *p = form; p < end;) {
        const char *amp = memchr(p, '&', (size_t)(end - p));
        if (amp == NULL) amp = end;
        const char *eq = memchr(p, '=', (size_t)(amp - p));
        const char *key_end = eq != NULL ? eq : amp;
        char *key = decode(p, (size_t)(key_end - p));
        bool found = key != NULL && strcmp(key, name) == 0;
        free(key);
        if (found) return eq == NULL ? mt_strdup("") : decode(eq + 1, (size_t)(amp - eq - 1));
        p = amp + 1;
    }
    return NULL;
}
