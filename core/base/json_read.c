/* The reader that most JSON goes through: one pass over the text, building jansson's values without its
 * lexer, which costs three times as much. Invariant: what it accepts, jansson accepts with the same value;
 * whatever else it meets (an error, a number or an escape out of the ordinary) it leaves to jansson. No
 * state; any thread. */
#include "base/json_read.h"
#include "base/text.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64, DIGITS_MAX = 18, REAL_MAX = 63, SHORT_STRING = 512 };

struct reader {
    const char *at, *end;
};

static json_t *read_value(struct reader *r, int depth);

static void skip_space(struct reader *r) {
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t')) r->at++;
}

static bool take(struct reader *r, char c) {
    if (r->at == r->end || *r->at != c) return false;
    r->at++;
    return true;
}

/* ---- strings ---- */

/* Moves past the plain bytes at r->at: anything but a quote, a backslash or a control character; false when
 * not UTF-8. */
static bool skip_plain(struct reader *r) {
    while (r->at < r->end) {
        unsigned char c = (unsigned char)*r->at;
        if (c >= 0x80) {
            size_t n = mt_utf8_next(r->at, (size_t)(r->end - r->at));
            if (n == 0) return false;
            r->at += n;
        } else if (c < 0x20 || c == '"' || c == '\\') {
            return true;
        } else {
            r->at++;
        }
    }
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* \uXXXX as UTF-8; 0 for what is left to jansson: malformed, NUL, surrogates. */
static size_t decode_unicode(struct reader *r, char *out) {
    unsigned code = 0;
    if (r->end - r->at < 4) return 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(*r->at++);
        if (digit < 0) return 0;
        code = code << 4 | (unsigned)digit;
    }
    if (code == 0 || (code >= 0xD800 && code < 0xE000)) return 0;
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    out[0] = (char)(0xE0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3F));
    out[2] = (char)(0x80 | (code & 0x3F));
    return 3;
}

/* One escape at r->at (past the backslash). The bytes written; 0: left to jansson. */
static size_t decode_escape(struct reader *r, char *out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (r->at == r->end || *r->at == '\0') return 0;
    char c = *r->at++;
    if (c == 'u') return decode_unicode(r, out);
    const char *known = strchr(from, c);
    if (known == NULL) return 0;
    *out = to[known - from];
    return 1;
}

struct text {
    const char *s; /* in the input, in `few` or in `many` */
    size_t len;
    char *many;
    char few[SHORT_STRING];
};

/* A string with escapes, from `start` on: never longer than it was written. */
static bool read_escaped(struct reader *r, const char *start, struct text *t) {
    const char *close = r->at;
    while (close < r->end && *close != '"') close += *close == '\\' ? 2 : 1;
    if (close >= r->end) return false;
    size_t most = (size_t)(close - start), n = (size_t)(r->at - start);
    char *out = most < sizeof(t->few) ? t->few : (t->many = mt_calloc(1, most + 1));
    memcpy(out, start, n);
    while (!take(r, '"')) {
        const char *plain = r->at;
        if (!skip_plain(r)) return false;
        memcpy(out + n, plain, (size_t)(r->at - plain));
        n += (size_t)(r->at - plain);
        if (r->at < r->end && *r->at == '"') continue;
        size_t written = take(r, '\\') ? decode_escape(r, out + n) : 0;
        if (written == 0) return false;
        n += written;
    }
    t->s = out;
    t->len = n;
    return true;
}

/* A string past its opening quote. False: left to jansson. t->many is to be freed either way. */
static bool read_text(struct reader *r, struct text *t) {
    const char *start = r->at;
    t->many = NULL;
    if (!skip_plain(r)) return false;
    if (r->at < r->end && *r->at == '\\') return read_escaped(r, start, t);
    t->s = start;
    t->len = (size_t)(r->at - start);
    return take(r, '"');
}

static json_t *read_string(struct reader *r) {
    struct text t;
    json_t *value = read_text(r, &t) ? json_stringn_nocheck(t.s, t.len) : NULL;
    free(t.many);
    return value;
}

/* ---- numbers ---- */

static bool is_digit(const struct reader *r) {
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static json_t *read_real(struct reader *r, const char *start) {
    char token[REAL_MAX + 1];
    if (take(r, '.')) {
        if (!is_digit(r)) return NULL;
        while (is_digit(r)) r->at++;
    }
    if (take(r, 'e') || take(r, 'E')) {
        if (!take(r, '-')) take(r, '+');
        if (!is_digit(r)) return NULL;
        while (is_digit(r)) r->at++;
    }
    size_t len = (size_t)(r->at - start);
    if (len > REAL_MAX) return NULL;
    memcpy(token, start, len);
    token[len] = '\0';
    return json_real(strtod(token, NULL)); /* NULL when it overflows */
}

static json_t *read_number(struct reader *r) {
    const char *start = r->at;
    bool negative = take(r, '-');
    int64_t n = 0;
    if (take(r, '0')) {
        if (is_digit(r)) return NULL;
    } else {
        const char *digits = r->at;
        for (; is_digit(r) && r->at - digits < DIGITS_MAX; r->at++) n = n * 10 + (*r->at - '0');
        if (r->at == digits || is_digit(r)) return NULL;
    }
    if (r->at < r->end && (*r->at == '.' || *r->at == 'e' || *r->at == 'E')) return read_real(r, start);
    return json_integer(negative ? -n : n);
}

/* ---- the rest ---- */

static json_t *read_word(struct reader *r, const char *word, size_t len, json_t *value) {
    if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0) return NULL;
    r->at += len;
    return value;
}

static json_t *read_array(struct reader *r, int depth) {
    json_t *array = json_array();
    skip_space(r);
    if (take(r, ']')) return array;
    do {
        json_t *item = read_value(r, depth);
        if (item == NULL || json_array_append_new(array, item) != 0) goto other;
        skip_space(r);
    } while (take(r, ','));
    if (take(r, ']')) return array;
other:
    json_decref(array);
    return NULL;
}

/* A member; false: left to jansson, as a name that is there already is. */
static bool read_member(struct reader *r, json_t *object, int depth) {
    struct text name;
    bool ok = false;
    skip_space(r);
    if (!take(r, '"')) return false;
    if (read_text(r, &name)) {
        skip_space(r);
        json_t *value = take(r, ':') ? read_value(r, depth) : NULL;
        size_t before = json_object_size(object);
        ok = value != NULL && json_object_setn_new_nocheck(object, name.s, name.len, value) == 0 &&
             json_object_size(object) == before + 1;
    }
    free(name.many);
    return ok;
}

static json_t *read_object(struct reader *r, int depth) {
    json_t *object = json_object();
    skip_space(r);
    if (take(r, '}')) return object;
    do {
        if (!read_member(r, object, depth)) goto other;
        skip_space(r);
    } while (take(r, ','));
    if (take(r, '}')) return object;
other:
    json_decref(object);
    return NULL;
}

static json_t *read_value(struct reader *r, int depth) {
    skip_space(r);
    if (r->at == r->end || ((*r->at == '{' || *r->at == '[') && depth == DEPTH_MAX)) return NULL;
    switch (*r->at) {
    case '"':
        r->at++;
        return read_string(r);
    case '{':
        r->at++;
        return read_object(r, depth + 1);
    case '[':
        r->at++;
        return read_array(r, depth + 1);
    case 't':
        return read_word(r, "true", 4, json_true());
    case 'f':
        return read_word(r, "false", 5, json_false());
    case 'n':
        return read_word(r, "null", 4, json_null());
    default:
        return read_number(r);
    }
}

json_t *json_read(const char *text, size_t len) {
    struct reader r = {text, text + len};
    json_t *value = read_value(&r, 0);
    skip_space(&r);
    if (value == NULL || r.at == r.end) return value;
    json_decref(value);
    return NULL;
}
