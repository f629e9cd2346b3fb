/* Colours for people at a terminal, and nothing for everybody else; columns, widths and relative times. No
 * state; any thread. */
#pragma once
#include <stdint.h>
#include <stdio.h>

struct mt_colors {
    const char *bold, *dim, *red, *green, *yellow, *blue, *cyan, *reset; /* "" when there are none */
};

/* choice: "auto" (a terminal without NO_COLOR or TERM=dumb), "always", "never". */
const struct mt_colors *mt_colors_for(FILE *out, const char *choice);
/* "just now", "3 minutes ago", "in 30 days". */
void mt_relative_time(int64_t at_ms, int64_t now_ms, char *out, size_t size);
/* The columns that UTF-8 text takes, wide (East Asian) characters counted twice. */
size_t mt_columns(const char *s);
/* Prints s, then spaces up to `width` columns. */
void mt_print_padded(FILE *out, const char *s, size_t width);
/* The columns of a line: the terminal's (or COLUMNS), 60 to 160; 100 when there is none. */
size_t mt_terminal_width(FILE *out);
/* Prints text that begins in column `column`, its further lines indented by as much, broken between words
 * before `width`; ends the line. */
void mt_print_wrapped(FILE *out, const char *text, size_t column, size_t width);
