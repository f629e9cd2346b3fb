/* The console at a terminal: a prompt that says where one is, statements of several lines, and the few
 * commands that are the client's own. One thread. */
#include "base/json.h"
#include "base/text.h"
#include "program.h"
#include "repl.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { PRODUCTION_NAMES = 3 };

/* ---- the prompt ---- */

static bool in_production(const struct repl *r) {
    return strcmp(mt_json_str(r->hello, "mode", "production"), "sandbox") != 0;
}

/* "mintage sandbox> ", "mintage PRODUCTION mintro read-only> ". */
static void prompt_words(const struct repl *r, char *out, size_t size) {
    struct mt_buf b;
    const json_t *names = json_object_get(r->hello, "production");
    mt_buf_init(&b, size - 1);
    mt_buf_adds(&b, r->offline ? "offline " : "");
    mt_buf_adds(&b, in_production(r) ? "PRODUCTION" : "sandbox");
    for (size_t i = 0; i < json_array_size(names) && i < PRODUCTION_NAMES; i++)
        mt_buf_addf(&b, " %.24s", json_string_value(json_array_get(names, i)));
    if (json_array_size(names) > PRODUCTION_NAMES)
        mt_buf_addf(&b, " +%zu", json_array_size(names) - PRODUCTION_NAMES);
    if (mt_json_bool(r->hello, "read_only", false)) mt_buf_adds(&b, " read-only");
    if (!r->connection) mt_buf_adds(&b, " (not connected)");
    mt_copy(out, size, b.data);
    mt_buf_clear(&b);
}

static void first_prompt(void *ctx, char *out, size_t size) {
    const struct repl *r = ctx;
    const struct mt_colors *c = r->screen.colors;
    const char *color = !r->connection ? c->dim : in_production(r) ? c->red : c->green;
    char words[160];
    prompt_words(r, words, sizeof words);
    mt_format(out, size, "%smintage%s %s%s%s%s> ", c->bold, c->reset, in_production(r) ? c->bold : "", color,
              words, c->reset);
}

/* As wide as the first. */
static void next_prompt(void *ctx, char *out, size_t size) {
    const struct repl *r = ctx;
    char first[256];
    first_prompt(ctx, first, sizeof first);
    mt_format(out, size, "%s%*s%s ", r->screen.colors->dim, (int)mt_repl_columns(first) - 1, ">>",
              r->screen.colors->reset);
}

static void greet(const struct repl *r) {
    const struct mt_colors *c = r->screen.colors;
    const json_t *names = json_object_get(r->hello, "production");
    FILE *out = r->screen.out;
    size_t flows = json_array_size(json_object_get(r->hello, "flows"));
    fprintf(out, "%sMintage %s%s  %s, %zu flow%s, generation %.15s\n", c->bold, MT_VERSION, c->reset,
            r->where, flows, flows == 1 ? "" : "s", mt_json_str(r->hello, "generation", "none"));
    if (in_production(r)) {
        fprintf(out, "%s%sPRODUCTION%s", c->bold, c->red, c->reset);
        for (size_t i = 0; i < json_array_size(names); i++)
            fprintf(out, "%s%.24s", i == 0 ? ": " : ", ", json_string_value(json_array_get(names, i)));
        fprintf(out, ". What moves money says so, and asks. All you do is audited.\n");
    } else {
        fprintf(out,
                "A sandbox: no real money. What moves money asks all the same. All you do is audited.\n");
    }
    fprintf(out, "%shelp()%s explains, TAB completes, Ctrl-C stops what runs, Ctrl-D leaves.\n", c->cyan,
            c->reset);
    fflush(out);
}

/* ---- the client's own commands ---- */

static void command_help(struct repl *r) {
    fputs("  help(), help(x)       what there is; the documentation of anything\n"
          "  :read-only [off]      begin a new session that can change nothing (or can again)\n"
          "  :timing [off]         show how long a command took (or don't)\n"
          "  :quit                 leave; so does Ctrl-D\n"
          "A line that begins with a space is not kept in the history; nor is one that seems to hold a "
          "secret.\n",
          r->screen.out);
}

static void set_read_only(struct repl *r, bool on) {
    struct mt_error e;
    bool before = r->read_only;
    r->read_only = on;
    if (mt_repl_reconnect(r, &e) != 0) {
        r->read_only = before;
        r->retry_ms = 0;
        mt_repl_tell(r, e.message);
        return;
    }
    mt_repl_tell(r, on ? "A new session, read-only: nothing in it can change anything."
                       : "A new session, no longer read-only.");
}

/* ":word rest". */
static void command(struct repl *r, const char *line) {
    char word[32] = "", rest[32] = "";
    sscanf(line, ":%31s %31s", word, rest);
    bool off = strcmp(rest, "off") == 0, known = !*rest || off || strcmp(rest, "on") == 0;
    if (known && (strcmp(word, "quit") == 0 || strcmp(word, "q") == 0)) {
        r->leave = true;
    } else if (known && strcmp(word, "timing") == 0) {
        r->timing = !off;
    } else if (known && strcmp(word, "read-only") == 0) {
        set_read_only(r, !off);
    } else {
        if (strcmp(word, "help") != 0) fprintf(r->screen.out, "There is no command :%s %s\n", word, rest);
        command_help(r);
    }
}

/* ---- statements ---- */

static void run(struct repl *r) {
    char *code = mt_repl_session_variables(r->pending.data);
    mt_repl_line_remember(r->line, r->pending.data);
    mt_buf_reset(&r->pending);
    mt_repl_eval(r, code, NULL);
    free(code);
}

/* A line was entered: a command, a whole statement, or a part of one. */
static void take_line(struct repl *r, const char *text) {
    const char *word = text + strspn(text, " \t\r\n");
    if (r->pending.len == 0) {
        if (!*word) return;
        if (*word == ':' && word[1] != ':') {
            command(r, word);
            return;
        }
        if (strcmp(word, "exit\n") == 0 || strcmp(word, "quit\n") == 0) {
            r->leave = true;
            return;
        }
    }
    mt_buf_adds(&r->pending, text);
    if (!mt_buf_ok(&r->pending)) {
        mt_buf_reset(&r->pending);
        mt_repl_tell(r, "That is too long: a statement has at most 512 KB.");
        return;
    }
    if (mt_repl_whole(r->lua, r->pending.data) == REPL_PART) return;
    if (r->pending.data[r->pending.len - 1] == '\n') r->pending.data[--r->pending.len] = '\0';
    run(r);
}

int mt_repl_interactive(struct repl *r, const char *first) {
    struct repl_line_hooks hooks = {mt_repl_complete, mt_repl_news, mt_repl_wait, r};
    r->line = mt_repl_line_new(&r->screen, &hooks, r->signals);
    greet(r);
    if (first && mt_repl_eval(r, first, NULL) == REPL_DONE)
        mt_repl_tell(
            r, "travel:step() and travel:back() go from effect to effect, travel:locals() shows variables, "
               "travel:what_if(code) tries other code; help(travel) tells more.");
    while (!r->leave) {
        const char *text;
        enum repl_read got =
            mt_repl_line_read(r->line, r->pending.len > 0 ? next_prompt : first_prompt, &text);
        if (got == REPL_END) break;
        if (got == REPL_CLEARED)
            mt_buf_reset(&r->pending);
        else
            take_line(r, text);
    }
    if (!r->leave) fputc('\n', r->screen.out);
    mt_repl_line_free(r->line);
    r->line = NULL;
    return MT_EXIT_DONE;
}
