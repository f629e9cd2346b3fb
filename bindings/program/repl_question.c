/* Questions before money moves. What was typed ahead is no answer; an empty line, Ctrl-C and the end of input
 * mean no; where production is concerned only the whole word yes means yes. One thread. */
#include "base/json.h"
#include "repl.h"
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

enum { ANSWER_MAX = 256 };

/* Whether what came ends the question: it is left for who evaluates. A notice is shown and does not. */
static bool ends_question(struct repl *r, const struct repl_screen *screen) {
    json_t *message;
    enum repl_got got = mt_repl_receive(r->connection, &message);
    if (got == REPL_NOTHING) return false;
    if (got == REPL_LOST) return true; /* and stays lost */
    if (strcmp(mt_json_str(message, "type", ""), "notice") != 0) {
        r->held = message;
        return true;
    }
    fprintf(screen->out, "\n%s* ", screen->colors->yellow);
    mt_repl_write(screen, mt_json_str(message, "text", ""));
    fprintf(screen->out, "%s\n? ", screen->colors->reset);
    fflush(screen->out);
    json_decref(message);
    return false;
}

/* Reads a line from the terminal, which edits it. 1 a line, 0 no answer, -1 the question has ended. */
static int read_answer(struct repl *r, const struct repl_screen *screen, char out[ANSWER_MAX]) {
    for (;;) {
        struct pollfd p[3] = {{.fd = STDIN_FILENO, .events = POLLIN},
                              {.fd = r->signals, .events = POLLIN},
                              {.fd = mt_repl_fd(r->connection), .events = POLLIN}};
        if (poll(p, 3, -1) < 0 && errno != EINTR) return 0;
        if (p[1].revents) {
            struct signalfd_siginfo info;
            if (read(r->signals, &info, sizeof info) != (ssize_t)sizeof info) continue;
            if (info.ssi_signo == SIGTSTP) raise(SIGSTOP);
            r->leave = info.ssi_signo == SIGTERM || info.ssi_signo == SIGHUP;
            if (r->leave || info.ssi_signo == SIGINT) return 0;
        }
        if (p[0].revents) {
            ssize_t n = read(STDIN_FILENO, out, ANSWER_MAX - 1);
            if (n <= 0) return 0;
            out[n] = '\0';
            return 1;
        }
        if (p[2].revents && ends_question(r, screen)) return -1;
    }
}

static bool means_yes(char *text, bool production) {
    while (isspace((unsigned char)*text)) text++;
    for (size_t n = strlen(text); n > 0 && isspace((unsigned char)text[n - 1]); n--) text[n - 1] = '\0';
    if (production) return strcmp(text, "yes") == 0;
    return strcasecmp(text, "y") == 0 || strcasecmp(text, "yes") == 0;
}

/* Long lines are broken between words; the last one is not ended. */
static void write_lines(const struct repl_screen *screen, const char *text) {
    const struct repl_screen plain = {screen->out, screen->colors, false}; /* nothing in it can be hidden */
    char *clean = mt_repl_clean(&plain, text);
    size_t width = mt_terminal_width(screen->out);
    for (char *line = clean, *end; line; line = end) {
        end = strchr(line, '\n');
        if (end) *end++ = '\0';
        size_t indent = strspn(line, " ");
        if (end && mt_columns(line) > width) {
            fprintf(screen->out, "%*s", (int)indent, "");
            mt_print_wrapped(screen->out, line + indent, indent, width);
        } else {
            fprintf(screen->out, end ? "%s\n" : "%s", line);
        }
    }
    free(clean);
}

/* The question stands on the last line of the text, and what answers it behind. */
static void pose(const struct repl_screen *screen, const char *text, bool production) {
    const struct mt_colors *c = screen->colors;
    FILE *out = screen->out;
    size_t n = strlen(text);
    if (production) fprintf(out, "%s%sPRODUCTION%s ", c->bold, c->red, c->reset);
    write_lines(screen, text);
    if (n == 0 || text[n - 1] != '?') fprintf(out, "%sGo on?", n > 0 && text[n - 1] == '\n' ? "" : "\n");
    if (production)
        fprintf(out, " %s%sThis is no sandbox. Type yes to go on:%s ", c->bold, c->red, c->reset);
    else
        fprintf(out, " %s[y/N]%s ", c->bold, c->reset);
    fflush(out);
}

int mt_repl_ask(struct repl *r, const char *text, bool production) {
    char line[ANSWER_MAX];
    /* Standard output of -e may be another program's input. */
    const struct repl_screen here = {r->line ? r->screen.out : stderr, r->screen.colors, r->screen.colored};
    const struct repl_screen *screen = &here;
    mt_repl_line_lend(r->line);
    tcflush(STDIN_FILENO, TCIFLUSH);
    pose(screen, text, production);
    int64_t began = mt_repl_now_ms();
    int got = read_answer(r, screen, line);
    mt_repl_line_take_back(r->line);
    r->asked_ms += mt_repl_now_ms() - began;
    if (got <= 0) fputc('\n', screen->out);
    fflush(screen->out);
    return got < 0 ? -1 : got == 1 && means_yes(line, production);
}
