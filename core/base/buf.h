/* A growing byte buffer with a hard cap. Failure is sticky: after an append has failed (cap passed or no
 * memory), every later append is a no-op and mt_buf_ok() is false, so a builder checks once, at the end. The
 * data is always NUL-terminated (the NUL is not counted). Owned by one thread. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mt_buf {
    char *data; /* never NULL after mt_buf_init until mt_buf_clear; owned by the buffer */
    size_t len;
    size_t cap;
    size_t max; /* `len` never passes this */
    bool failed;
};

void mt_buf_init(struct mt_buf *b, size_t max);
void mt_buf_clear(struct mt_buf *b); /* frees; b may be init'ed again */
void mt_buf_reset(struct mt_buf *b); /* len 0, failure forgotten, memory kept */
void mt_buf_add_slowly(struct mt_buf *b, const void *data, size_t len); /* mt_buf_add's other half */
static inline void mt_buf_add(struct mt_buf *b, const void *data, size_t len) {
    if (len < b->cap - b->len && len > 0 && !b->failed) { /* cap never passes max by more than the NUL */
        memcpy(b->data + b->len, data, len);
        b->len += len;
        b->data[b->len] = '\0';
    } else {
        mt_buf_add_slowly(b, data, len);
    }
}
static inline void mt_buf_adds(struct mt_buf *b, const char *s) {
    mt_buf_add(b, s, strlen(s)); /* here, so that a literal's length is known */
}
static inline void mt_buf_addc(struct mt_buf *b, char c) {
    mt_buf_add(b, &c, 1);
}
void mt_buf_addi(struct mt_buf *b, int64_t n); /* in decimal */
void mt_buf_addf(struct mt_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void mt_buf_addv(struct mt_buf *b, const char *format, va_list args);
/* Appends len bytes for the caller to fill at once, and gives their address; NULL when the buffer has failed.
 */
char *mt_buf_grow(struct mt_buf *b, size_t len);
/* Appends s as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void mt_buf_add_json_string(struct mt_buf *b, const char *s, size_t len);
bool mt_buf_ok(const struct mt_buf *b);
/* Takes the data out (caller frees with free()), leaving b empty and usable. NULL when the buffer has failed.
 */
char *mt_buf_take(struct mt_buf *b, size_t *len);
