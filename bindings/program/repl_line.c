/* Editing a line with libedit. Its reading of keys is ours, so that the connection is heard while somebody
 * types: what comes is written above the line, which is drawn again. Signals come through a descriptor; at
 * the prompt Ctrl-C is a key that throws the line away. One editor a process; one thread. */
#include "base/text.h"
#include "repl.h"
#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <wchar.h>

enum { HISTORY_MAX = 2000, PROMPT_MAX = 512, CANDIDATES_MAX = 400, INTERRUPT_KEY = 3 };

struct repl_line {
    EditLine *el;
    History *history;
    struct repl_screen screen;
    struct repl_line_hooks hooks;
    int signals;
    bool editing, cleared, ended;
    void (*ask_prompt)(void *ctx, char *out, size_t size);
    char prompt[PROMPT_MAX]; /* colours stand between \1, as libedit wants */
    size_t prompt_columns;
    char history_path[4200]; /* "": nothing is kept */
    char last[4200];         /* the newest entry */
};

static struct repl_line *of(EditLine *el) {
    void *l = NULL;
    el_get(el, EL_CLIENTDATA, &l);
    return l;
}

/* ---- the prompt ---- */

static char *give_prompt(EditLine *el) {
    return of(el)->prompt;
}

/* Marks what takes no column: "\033[1m\033[31mA" becomes "\1\033[1m\033[31m\1A". A mark belongs to the
 * character behind it, so colours that stand together have one. */
static void read_prompt(struct repl_line *l) {
    char text[PROMPT_MAX / 2], *out = l->prompt;
    l->ask_prompt(l->hooks.ctx, text, sizeof text);
    l->prompt_columns = mt_repl_columns(text);
    for (const char *s = text; *s && out < l->prompt + PROMPT_MAX - 2;) {
        bool colors = *s == '\033';
        if (colors) *out++ = '\1';
        for (; *s == '\033'; s += strcspn(s, "m") + 1) {
            size_t n = strcspn(s, "m") + 1;
            memcpy(out, s, n);
            out += n;
        }
        if (colors) *out++ = '\1';
        if (*s) *out++ = *s++;
    }
    *out = '\0';
}

/* ---- the screen while a line is edited ---- */

static size_t screen_width(const struct repl_line *l) {
    struct winsize size = {0};
    if (ioctl(fileno(l->screen.out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

/* Goes to the beginning of the prompt and takes away what is drawn from there on. */
static void erase(struct repl_line *l) {
    const LineInfo *line = el_line(l->el);
    char *before = mt_memdup(line->buffer, (size_t)(line->cursor - line->buffer));
    size_t rows = (l->prompt_columns + mt_columns(before)) / screen_width(l);
    free(before);
    if (rows > 0) fprintf(l->screen.out, "\033[%zuA", rows);
    fputs("\r\033[J", l->screen.out);
}

static void draw(struct repl_line *l) {
    fflush(l->screen.out);
    el_set(l->el, EL_REFRESH);
}

void mt_repl_line_above(struct repl_line *l, const char *text) {
    if (l->editing) erase(l);
    mt_repl_write_line(&l->screen, text);
    if (l->editing) draw(l);
}

/* ---- keys and signals ---- */

/* A key stands for the signal; 0: none does. */
static wchar_t take_signal(struct repl_line *l) {
    struct signalfd_siginfo info;
    if (read(l->signals, &info, sizeof info) != (ssize_t)sizeof info) return 0;
    switch (info.ssi_signo) {
    case SIGINT:
        return INTERRUPT_KEY;
    case SIGWINCH:
        erase(l);
        el_resize(l->el);
        draw(l);
        return 0;
    case SIGTSTP: /* the terminal as it was, stop, and all of it back */
        mt_repl_line_lend(l);
        raise(SIGSTOP);
        mt_repl_line_take_back(l);
        draw(l);
        return 0;
    case SIGTERM:
    case SIGHUP:
        l->ended = true;
        return 0;
    default:
        return 0;
    }
}

/* One byte of a key, while everything else is heard as well. 1 a byte, 2 *key is what a signal stands for, 0
 * the end. */
static int wait_for_byte(struct repl_line *l, unsigned char *byte, wchar_t *key) {
    for (;;) {
        int timeout_ms = -1, fd = l->hooks.wait(l->hooks.ctx, &timeout_ms);
        struct pollfd p[3] = {{.fd = STDIN_FILENO, .events = POLLIN},
                              {.fd = l->signals, .events = POLLIN},
                              {.fd = fd, .events = POLLIN}};
        int n = poll(p, 3, timeout_ms);
        if (n < 0 && errno != EINTR) return 0;
        if (n > 0 && p[1].revents && (*key = take_signal(l)) != 0) return 2;
        if (l->ended) return 0;
        if (n > 0 && p[0].revents) {
            ssize_t got = read(STDIN_FILENO, byte, 1);
            if (got == 1) return 1;
            if (got == 0 || (errno != EINTR && errno != EAGAIN)) return 0;
        }
        if ((n == 0 || (n > 0 && p[2].revents)) && l->hooks.news(l->hooks.ctx)) {
            erase(l);
            read_prompt(l);
            draw(l);
        }
    }
}

static int read_key(EditLine *el, wchar_t *key) {
    struct repl_line *l = of(el);
    mbstate_t state = {0};
    for (int bytes = 0; bytes < 8; bytes++) {
        unsigned char byte = 0;
        int got = wait_for_byte(l, &byte, key);
        if (got != 1) return got == 2;
        char c = (char)byte;
        size_t n = mbrtowc(key, &c, 1, &state);
        if (n == 0 || n == 1) return 1;
        if (n == (size_t)-1) { /* no UTF-8: passed over */
            state = (mbstate_t){0};
            bytes = 0;
        }
    }
    return 0;
}

static unsigned char on_interrupt(EditLine *el, int key) {
    struct repl_line *l = of(el);
    const LineInfo *line = el_line(el);
    (void)key;
    fputs("^C", l->screen.out);
    fflush(l->screen.out);
    el_cursor(el, (int)(line->lastchar - line->cursor));
    line = el_line(el);
    el_deletestr(el, (int)(line->lastchar - line->buffer));
    l->cleared = true;
    return CC_NEWLINE;
}

/* ---- completion ---- */

/* What all candidates begin with, in bytes that are whole characters. */
static size_t common(const json_t *names) {
    const char *first = json_string_value(json_array_get(names, 0));
    size_t n = first ? strlen(first) : 0, i;
    json_t *name;
    json_array_foreach(names, i, name) {
        const char *s = json_string_value(name);
        size_t k = 0;
        while (s && k < n && s[k] == first[k]) k++;
        n = k;
    }
    while (n > 0 && first[n] && ((unsigned char)first[n] & 0xc0) == 0x80) n--;
    return n;
}

static void list(struct repl_line *l, const json_t *names) {
    size_t widest = 1, i, count = json_array_size(names),
           shown = count < CANDIDATES_MAX ? count : CANDIDATES_MAX;
    for (i = 0; i < shown; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        size_t columns = name ? mt_columns(name) : 0;
        if (columns > widest) widest = columns;
    }
    size_t columns = screen_width(l) / (widest + 2);
    if (columns == 0) columns = 1;
    size_t rows = (shown + columns - 1) / columns;
    fputc('\n', l->screen.out);
    for (size_t row = 0; row < rows; row++) {
        for (size_t column = 0; column * rows + row < shown; column++) {
            const char *name = json_string_value(json_array_get(names, column * rows + row));
            mt_print_padded(l->screen.out, name ? name : "",
                            (column + 1) * rows + row < shown ? widest + 2 : 0);
        }
        fputc('\n', l->screen.out);
    }
    if (count > shown) fprintf(l->screen.out, "and %zu more\n", count - shown);
    fflush(l->screen.out);
}

/* Without those that would steer the terminal. Takes the reference. */
static json_t *names_that_are_text(json_t *names) {
    for (size_t i = json_array_size(names); i-- > 0;) {
        const unsigned char *s = (const unsigned char *)json_string_value(json_array_get(names, i));
        while (s && *s >= ' ' && *s != 0x7f) s++;
        if (!s || *s) json_array_remove(names, i);
    }
    return names;
}

static unsigned char complete(struct repl_line *l, const char *before, size_t len) {
    size_t start = len;
    json_t *names = names_that_are_text(l->hooks.complete(l->hooks.ctx, before, &start));
    size_t count = json_array_size(names), shared = common(names);
    unsigned char result = CC_REFRESH_BEEP;
    if (start > len) start = len;
    const char *first = json_string_value(json_array_get(names, 0));
    if (count > 0 && first && shared >= len - start && strncmp(first, before + start, len - start) == 0 &&
        shared > len - start) {
        char *rest = mt_memdup(first + len - start, shared - (len - start));
        result = el_insertstr(l->el, rest) == 0 ? CC_REFRESH : CC_REFRESH_BEEP;
        free(rest);
    } else if (count > 1) {
        list(l, names);
        result = CC_REDISPLAY;
    } else if (count == 1 && first && shared == len - start) {
        result = CC_REFRESH; /* it stands there already */
    }
    json_decref(names);
    return result;
}

static unsigned char on_tab(EditLine *el, int key) {
    struct repl_line *l = of(el);
    const LineInfo *line = el_line(el);
    size_t len = (size_t)(line->cursor - line->buffer);
    char *before = mt_memdup(line->buffer, len);
    unsigned char result;
    (void)key;
    if (before[strspn(before, " \t")] == '\0' && len > 0) /* the beginning of a further line */
        result = el_insertstr(el, "  ") == 0 ? CC_REFRESH : CC_ERROR;
    else
        result = complete(l, before, len);
    free(before);
    return result;
}

/* ---- history ---- */

static void enter(void *ctx, const char *text) {
    struct repl_line *l = ctx;
    HistEvent ignored;
    history(l->history, &ignored, H_ENTER, text);
    mt_copy(l->last, sizeof l->last, text);
}

void mt_repl_line_remember(struct repl_line *l, const char *text) {
    char *entry = mt_repl_history_line(text);
    if (entry && strcmp(entry, l->last) != 0) {
        enter(l, entry);
        if (*l->history_path) mt_repl_history_add(l->history_path, entry);
    }
    free(entry);
}

/* ---- beginning, reading, end ---- */

static void bind_keys(EditLine *el) {
    static const char *const keys[][2] = {
        {"^I", "mintage-complete"},   {"^C", "mintage-interrupt"},  {"^R", "em-inc-search-prev"},
        {"\\e[1;5C", "em-next-word"}, {"\\e[1;5D", "ed-prev-word"}, {"\\e[3~", "ed-delete-next-char"},
        {"\\e[1~", "ed-move-to-beg"}, {"\\e[4~", "ed-move-to-end"}, {"\\e[H", "ed-move-to-beg"},
        {"\\e[F", "ed-move-to-end"},  {"\\eOH", "ed-move-to-beg"},  {"\\eOF", "ed-move-to-end"},
        {"\\e[A", "ed-prev-history"}, {"\\e[B", "ed-next-history"}, {"^W", "ed-delete-prev-word"},
    };
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        el_set(el, EL_BIND, keys[i][0], keys[i][1], NULL);
}

struct repl_line *mt_repl_line_new(const struct repl_screen *screen, const struct repl_line_hooks *hooks,
                                   int signals) {
    struct repl_line *l = mt_calloc(1, sizeof *l);
    HistEvent ignored;
    l->screen = *screen;
    l->hooks = *hooks;
    l->signals = signals;
    if (!(l->el = el_init("mintage", stdin, screen->out, stderr)) || !(l->history = history_init())) abort();
    history(l->history, &ignored, H_SETSIZE, HISTORY_MAX);
    el_set(l->el, EL_CLIENTDATA, l);
    el_set(l->el, EL_EDITOR, "emacs");
    el_set(l->el, EL_SIGNAL, 0);
    el_set(l->el, EL_GETCFN, read_key);
    el_set(l->el, EL_HIST, history, l->history);
    el_set(l->el, EL_PROMPT_ESC, give_prompt, '\1');
    el_set(l->el, EL_ADDFN, "mintage-complete", "Completes the word before the cursor", on_tab);
    el_set(l->el, EL_ADDFN, "mintage-interrupt", "Throws the line away", on_interrupt);
    el_source(l->el, NULL); /* the user's .editrc */
    bind_keys(l->el);
    if (mt_repl_history_path(l->history_path, sizeof l->history_path))
        mt_repl_history_load(l->history_path, enter, l);
    else
        l->history_path[0] = '\0';
    return l;
}

void mt_repl_line_free(struct repl_line *l) {
    if (!l) return;
    el_end(l->el);
    history_end(l->history);
    free(l);
}

void mt_repl_line_lend(struct repl_line *l) {
    if (l) el_set(l->el, EL_PREP_TERM, 0);
}

void mt_repl_line_take_back(struct repl_line *l) {
    if (l) el_set(l->el, EL_PREP_TERM, 1);
}

enum repl_read mt_repl_line_read(struct repl_line *l, void (*prompt)(void *ctx, char *out, size_t size),
                                 const char **text) {
    int count = 0;
    l->ask_prompt = prompt;
    l->cleared = false;
    read_prompt(l);
    l->editing = true;
    mt_repl_line_take_back(l); /* before the prompt is there: a key that answers it is read as one */
    *text = el_gets(l->el, &count);
    l->editing = false;
    if (*text || l->cleared) mt_repl_line_take_back(l);
    if (l->cleared) {
        fputc('\n', l->screen.out);
        return REPL_CLEARED;
    }
    return *text && count > 0 ? REPL_LINE : REPL_END;
}
