/* Colours, relative times and columns. See terminal.h. */
#include "terminal.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const struct mt_colors plain = {"", "", "", "", "", "", "", ""};
static const struct mt_colors colored = {"\033[1m",  "\033[2m",  "\033[31m", "\033[32m",
                                         "\033[33m", "\033[34m", "\033[36m", "\033[0m"};

const struct mt_colors *mt_colors_for(FILE *out, const char *choice) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    if (strcmp(choice, "always") == 0) return &colored;
    if (strcmp(choice, "never") == 0 || (no_color && *no_color) || (term && strcmp(term, "dumb") == 0) ||
        !isatty(fileno(out)))
        return &plain;
    return &colored;
}

void mt_relative_time(int64_t at_ms, int64_t now_ms, char *out, size_t size) {
    static const struct {
        int64_t ms;
        const char *word;
    } units[] = {{365LL * 24 * 3600 * 1000, "year"},
                 {24LL * 3600 * 1000, "day"},
                 {3600LL * 1000, "hour"},
                 {60LL * 1000, "minute"},
                 {1000, "second"}};
    int64_t distance = at_ms > now_ms ? at_ms - now_ms : now_ms - at_ms;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        int64_t n = distance / units[i].ms;
        if (n == 0) continue;
        mt_format(out, size, "%s%lld %s%s%s", at_ms > now_ms ? "in " : "", (long long)n, units[i].word,
                  n == 1 ? "" : "s", at_ms > now_ms ? "" : " ago");
        return;
    }
    mt_copy(out, size, "just now");
}

/* Hangul, CJK and full-width forms: what a Korean customer's order is made of. */
static bool is_wide(unsigned c) {
    return (c >= 0x1100 && c <= 0x115f) || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) || (c >= 0xff00 && c <= 0xff60) ||
           (c >= 0x1f300 && c <= 0x1faff);
}

size_t mt_columns(const char *s) {
    size_t columns = 0, left = strlen(s);
    while (left > 0) {
        size_t n = mt_utf8_next(s, left);
        unsigned c = (unsigned char)s[0];
        if (n == 2) c = (c & 0x1fu) << 6 | ((unsigned char)s[1] & 0x3fu);
        if (n == 3)
            c = (c & 0x0fu) << 12 | ((unsigned char)s[1] & 0x3fu) << 6 | ((unsigned char)s[2] & 0x3fu);
        if (n == 4)
            c = (c & 0x07u) << 18 | ((unsigned char)s[1] & 0x3fu) << 12 | ((unsigned char)s[2] & 0x3fu) << 6 |
                ((unsigned char)s[3] & 0x3fu);
        if (n == 0) n = 1;
        columns += is_wide(c) ? 2 : 1;
        s += n;
        left -= n;
    }
    return columns;
}

void mt_print_padded(FILE *out, const char *s, size_t width) {
    size_t columns = mt_columns(s);
    fputs(s, out);
    for (; columns < width; columns++) fputc(' ', out);
}

size_t mt_terminal_width(FILE *out) {
    enum { LEAST = 60, MOST = 160, ELSE = 100 };
    const char *columns = getenv("COLUMNS");
    struct winsize size = {0};
    int64_t width = ELSE;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) width = size.ws_col;
    if (columns) mt_parse_int(columns, 1, INT32_MAX, &width);
    return width < LEAST ? LEAST : width > MOST ? MOST : (size_t)width;
}

void mt_print_wrapped(FILE *out, const char *text, size_t column, size_t width) {
    char word[512];
    size_t at = column;
    while (*text) {
        size_t len = strcspn(text, " ");
        mt_format(word, sizeof word, "%.*s", (int)len, text);
        size_t columns = mt_columns(word);
        if (at > column && at + 1 + columns > width) {
            fprintf(out, "\n%*s", (int)column, "");
            at = column;
        } else if (at > column) {
            fputc(' ', out);
            at++;
        }
        fwrite(text, 1, len, out);
        at += columns;
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}
