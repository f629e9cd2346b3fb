/* The growing byte buffer. Invariant: data[len] is NUL and len <= max, also after a failure (which keeps what
 * was there). Owned by one thread. */
#include "base/buf.h"
#include "base/text.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_SIZE = 128 };

static char nothing[1]; /* what a buffer with cap 0 points to; never written */

void mt_buf_init(struct mt_buf *b, size_t max) {
    if (max > SIZE_MAX / 4) max = SIZE_MAX / 4;
    *b = (struct mt_buf){.max = max, .cap = max < FIRST_SIZE ? max + 1 : FIRST_SIZE};
    b->data = mt_realloc(NULL, b->cap);
    b->data[0] = '\0';
}

void mt_buf_clear(struct mt_buf *b) {
    if (b->cap > 0) free(b->data);
    *b = (struct mt_buf){0};
}

void mt_buf_reset(struct mt_buf *b) {
    b->len = 0;
    b->failed = false;
    if (b->cap > 0) b->data[0] = '\0';
}

/* Makes room for `more` bytes and the NUL. */
static bool reserve(struct mt_buf *b, size_t more) {
    if (b->failed) return false;
    if (more > b->max - b->len) {
        b->failed = true;
        return false;
    }
    size_t need = b->len + more + 1;
    if (need <= b->cap) return true;
    size_t cap = b->cap * 2 > need ? b->cap * 2 : need;
    if (cap > b->max + 1) cap = b->max + 1;
    char *data = realloc(b->cap > 0 ? b->data : NULL, cap);
    if (data == NULL) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

void mt_buf_add_slowly(struct mt_buf *b, const void *data, size_t len) {
    if (!reserve(b, len)) return;
    if (len > 0) memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
}

char *mt_buf_grow(struct mt_buf *b, size_t len) {
    if (!reserve(b, len)) return NULL;
    char *at = b->data + b->len;
    b->len += len;
    b->data[b->len] = '\0';
    return at;
}

void mt_buf_addi(struct mt_buf *b, int64_t n) {
    char text[20];
    size_t at = sizeof(text);
    uint64_t rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do text[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (n < 0) text[--at] = '-';
    mt_buf_add(b, text + at, sizeof(text) - at);
}

void mt_buf_addf(struct mt_buf *b, const char *format, ...) {
    va_list args;
    va_start(args, format);
    mt_buf_addv(b, format, args);
    va_end(args);
}

void mt_buf_addv(struct mt_buf *b, const char *format, va_list args) {
    if (b->failed) return;
    va_list again;
    va_copy(again, args);
    size_t room = b->cap - b->len;
    int n = vsnprintf(b->data + b->len, room, format, args);
    if (n < 0) {
        b->failed = true;
    } else if ((size_t)n < room) {
        b->len += (size_t)n;
    } else if (reserve(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    b->data[b->len] = '\0';
    va_end(again);
}

/* How a byte is written in a JSON string: 0 as it is, 1 as \u00XX, else the letter after the backslash. */
static char escape_of(unsigned char c) {
    switch (c) {
    case '"':
        return '"';
    case '\\':
        return '\\';
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return c < 0x20 ? 1 : 0;
    }
}

/* What stands in a JSON string as it is. */
static const bool plain[256] = {[0x20 ... 0x21] = true, [0x23 ... 0x5b] = true, [0x5d ... 0x7f] = true};

void mt_buf_add_json_string(struct mt_buf *b, const char *s, size_t len) {
    mt_buf_addc(b, '"');
    size_t start = 0, i = 0; /* s[start..i) can be copied as it is */
    while (i < len) {
        unsigned char c = (unsigned char)s[i];
        if (plain[c]) {
            i++;
            continue;
        }
        if (c >= 0x80) {
            size_t n = mt_utf8_next(s + i, len - i);
            if (n > 0) {
                i += n;
                continue;
            }
        }
        mt_buf_add(b, s + start, i - start);
        char escape = escape_of(c);
        if (c >= 0x80)
            mt_buf_adds(b, "\xEF\xBF\xBD");
        else if (escape == 1)
            mt_buf_addf(b, "\\u%04X", c);
        else
            mt_buf_add(b, (char[]){'\\', escape}, 2);
        start = ++i;
    }
    mt_buf_add(b, s + start, i - start);
    mt_buf_addc(b, '"');
}

bool mt_buf_ok(const struct mt_buf *b) {
    return !b->failed;
}

char *mt_buf_take(struct mt_buf *b, size_t *len) {
    if (b->failed) return NULL;
    char *data = b->data;
    if (len != NULL) *len = b->len;
    *b = (struct mt_buf){.data = nothing, .max = b->max}; /* owns nothing, so it need not be cleared */
    return data;
}
