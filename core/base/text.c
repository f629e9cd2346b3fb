/* Strings: copying without surprises, "did you mean", numbers, durations, percent-encoding.
 * Invariant: nothing here reads past a NUL or a given length. No state; any thread. */
#include "base/text.h"
#include "base/buf.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool mt_format(char *out, size_t size, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(out, size, format, args);
    va_end(args);
    return n >= 0 && (size_t)n < size;
}

bool mt_copy(char *out, size_t size, const char *s) {
    size_t len = strnlen(s, size);
    bool fits = len < size;
    if (!fits) {
        len = size - 1;
        /* Back to the first byte of the character that the cut would split. */
        while (len > 0 && ((unsigned char)s[len] & 0xC0) == 0x80) len--;
    }
    memcpy(out, s, len);
    out[len] = '\0';
    return fits;
}

static void *or_abort(void *p) {
    if (p == NULL) {
        fputs("mintage: out of memory\n", stderr);
        abort();
    }
    return p;
}

char *mt_strdup(const char *s) {
    return s == NULL ? NULL : or_abort(strdup(s));
}

char *mt_memdup(const void *s, size_t len) {
    if (s == NULL) return NULL;
    char *copy = or_abort(malloc(len + 1));
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

void *mt_calloc(size_t n, size_t size) {
    return or_abort(n == 0 || size == 0 ? calloc(1, 1) : calloc(n, size));
}

void *mt_realloc(void *p, size_t size) {
    return or_abort(realloc(p, size > 0 ? size : 1));
}

size_t mt_utf8_next(const char *s, size_t len) {
    const unsigned char *u = (const unsigned char *)s;
    if (len == 0) return 0;
    if (u[0] < 0x80) return 1;
    size_t n = u[0] >= 0xF0 ? 4 : u[0] >= 0xE0 ? 3 : 2;
    if (u[0] < 0xC2 || u[0] > 0xF4 || len < n) return 0;
    for (size_t i = 1; i < n; i++)
        if ((u[i] & 0xC0) != 0x80) return 0;
    /* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
    if ((u[0] == 0xE0 && u[1] < 0xA0) || (u[0] == 0xED && u[1] > 0x9F) || (u[0] == 0xF0 && u[1] < 0x90) ||
        (u[0] == 0xF4 && u[1] > 0x8F))
        return 0;
    return n;
}

bool mt_utf8_valid(const char *s, size_t len) {
    for (size_t i = 0; i < len;) {
        size_t n = mt_utf8_next(s + i, len - i);
        if (n == 0) return false;
        i += n;
    }
    return true;
}

enum { NAME_MAX_COMPARED = 64 };

static unsigned char lower(char c) {
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c == '_' ? '-' : c);
}

/* Edit distance that counts swapped neighbours as one slip; case, and - for _, cost nothing. */
static size_t distance(const char *a, size_t n, const char *b, size_t m) {
    size_t rows[3][NAME_MAX_COMPARED + 1];
    for (size_t j = 0; j <= m; j++) rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = above[j - 1] + (lower(a[i - 1]) != lower(b[j - 1]));
            if (above[j] + 1 < best) best = above[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]) &&
                two_above[j - 2] + 1 < best)
                best = two_above[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *mt_nearest(const char *name, const char *const *names, size_t n) {
    size_t len = strnlen(name, NAME_MAX_COMPARED + 1);
    if (len == 0 || len > NAME_MAX_COMPARED) return NULL;
    size_t limit = len <= 4 ? 1 : len <= 8 ? 2 : 3;
    size_t best = limit + 1;
    const char *nearest = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t m = strnlen(names[i], NAME_MAX_COMPARED + 1);
        if (m == 0 || m > NAME_MAX_COMPARED || m > len + limit || len > m + limit) continue;
        size_t d = distance(name, len, names[i], m);
        if (d < best && d < m) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}

bool mt_parse_int(const char *s, int64_t min, int64_t max, int64_t *out) {
    bool negative = *s == '-';
    if (negative) s++;
    if (*s == '\0') return false;
    int64_t value = 0; /* kept negative while reading: INT64_MIN has no positive twin */
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '9') return false;
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, *s - '0', &value))
            return false;
    }
    if (!negative && __builtin_sub_overflow(0, value, &value)) return false;
    if (value < min || value > max) return false;
    *out = value;
    return true;
}

static const struct unit {
    const char *suffix;
    int64_t ms;
    const char *name;
} units[] = {
    {"w", 604800000, NULL}, {"d", 86400000, "day"}, {"h", 3600000, "hour"},
    {"m", 60000, "minute"}, {"s", 1000, "second"},  {"ms", 1, "ms"},
};
enum { UNIT_COUNT = sizeof(units) / sizeof(units[0]) };
static const int64_t hundred_years_ms = INT64_C(36525) * 86400000;

bool mt_parse_duration(const char *s, int64_t *ms) {
    int64_t total = 0;
    size_t next_unit = 0; /* units come largest first, each at most once */
    if (*s == '\0') return false;
    for (bool first = true; *s != '\0'; first = false) {
        int64_t value = 0;
        if (*s < '0' || *s > '9') return false;
        for (; *s >= '0' && *s <= '9'; s++) {
            value = value * 10 + (*s - '0');
            if (value > hundred_years_ms) return false;
        }
        char suffix[3] = "";
        size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz");
        if (n > 2) return false;
        memcpy(suffix, s, n);
        s += n;
        if (n == 0) { /* plain seconds stand alone */
            if (!first || *s != '\0') return false;
            memcpy(suffix, "s", 2);
        }
        while (next_unit < UNIT_COUNT && strcmp(units[next_unit].suffix, suffix) != 0) next_unit++;
        if (next_unit == UNIT_COUNT) return false;
        if (__builtin_mul_overflow(value, units[next_unit].ms, &value) || value > hundred_years_ms - total)
            return false;
        total += value;
        next_unit++;
    }
    *ms = total;
    return true;
}

void mt_format_duration(int64_t ms, char *out, size_t size) {
    struct mt_buf b;
    mt_buf_init(&b, 128);
    uint64_t left = ms < 0 ? -(uint64_t)ms : (uint64_t)ms;
    if (ms < 0) mt_buf_addc(&b, '-');
    int parts = 0; /* two are enough for people: "1 hour 30 minutes" */
    for (size_t i = 1; i < UNIT_COUNT && parts < 2; i++) {
        uint64_t n = left / (uint64_t)units[i].ms;
        if (n == 0 && !(i == UNIT_COUNT - 1 && parts == 0)) {
            if (parts > 0) break; /* "2 hours", not "2 hours 5 seconds" */
            continue;
        }
        bool plural = n != 1 && units[i].ms != 1;
        mt_buf_addf(&b, "%s%llu %s%s", parts > 0 ? " " : "", (unsigned long long)n, units[i].name,
                    plural ? "s" : "");
        left %= (uint64_t)units[i].ms;
        parts++;
    }
    mt_copy(out, size, b.data);
    mt_buf_clear(&b);
}

void mt_url_encode(struct mt_buf *b, const char *s, size_t len) {
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '.' || c == '_' || c == '~';
        if (plain)
            mt_buf_addc(b, (char)c);
        else
            mt_buf_add(b, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
    }
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

long mt_url_decode(const char *s, size_t len, char *out, bool form) {
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '%') {
            if (len - i < 3) return -1;
            int high = hex_digit(s[i + 1]), low = hex_digit(s[i + 2]);
            if (high < 0 || low < 0) return -1;
            out[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            out[n++] = form && s[i] == '+' ? ' ' : s[i];
        }
    }
    return (long)n;
}
