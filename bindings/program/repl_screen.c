/* Writing what a runtime says. Names of customers and messages of providers are in it, so nothing but colours
 * may steer the terminal. No state; one thread. */
#include "base/buf.h"
#include "base/text.h"
#include "repl.h"
#include <stdlib.h>
#include <string.h>

/* The bytes of a colour, "\033[1;31m"; 0: none stands here. */
static size_t color_at(const char *s) {
    if (s[0] != '\033' || s[1] != '[') return 0;
    size_t n = strspn(s + 2, "0123456789;");
    return n <= 16 && s[2 + n] == 'm' ? n + 3 : 0;
}

/* C1 controls, which some terminals obey, and marks that turn the direction of writing. */
static size_t hostile_at(const char *s) {
    const unsigned char *u = (const unsigned char *)s;
    if (u[0] == 0xc2 && u[1] >= 0x80 && u[1] < 0xa0) return 2;
    if (u[0] == 0xe2 && u[1] == 0x80 && (u[2] >= 0xaa && u[2] <= 0xae)) return 3;
    if (u[0] == 0xe2 && u[1] == 0x81 && (u[2] >= 0xa6 && u[2] <= 0xa9)) return 3;
    return 0;
}

char *mt_repl_clean(const struct repl_screen *s, const char *text) {
    struct mt_buf b;
    mt_buf_init(&b, 64 * 1024 * 1024);
    while (*text) {
        size_t color = color_at(text), hostile = hostile_at(text);
        unsigned char c = (unsigned char)*text;
        if (color > 0) {
            if (s->colored) mt_buf_add(&b, text, color);
            text += color;
        } else if (hostile > 0) {
            mt_buf_addc(&b, '?');
            text += hostile;
        } else {
            mt_buf_addc(&b, c == '\n' || c == '\t' || (c >= ' ' && c != 0x7f) ? (char)c : '?');
            text++;
        }
    }
    char *clean = mt_buf_take(&b, NULL);
    return clean ? clean : mt_strdup("");
}

void mt_repl_write(const struct repl_screen *s, const char *text) {
    char *clean = mt_repl_clean(s, text);
    fputs(clean, s->out);
    fflush(s->out);
    free(clean);
}

void mt_repl_write_line(const struct repl_screen *s, const char *text) {
    size_t n = strlen(text);
    mt_repl_write(s, text);
    if (n > 0 && text[n - 1] != '\n') fputc('\n', s->out);
    fflush(s->out);
}

size_t mt_repl_columns(const char *text) {
    struct mt_buf b;
    mt_buf_init(&b, 1024 * 1024);
    while (*text) {
        size_t color = color_at(text);
        if (color == 0) mt_buf_addc(&b, *text);
        text += color > 0 ? color : 1;
    }
    size_t columns = mt_columns(b.data);
    mt_buf_clear(&b);
    return columns;
}
