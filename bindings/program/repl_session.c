/* A connection's life: hello, evaluating, completing, losing it and finding it again. What a runtime says is
 * shown here. Invariant: one evaluation is under way at most, and its last message ends it. One thread. */
#include "base/json.h"
#include "base/text.h"
#include "repl.h"
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { RETRY_MS = 400, COMPLETE_MS = 2000, SLOW_MS = 100 };

int64_t mt_repl_now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void mt_repl_tell(struct repl *r, const char *text) {
    struct mt_buf b;
    mt_buf_init(&b, 64 * 1024);
    mt_buf_addf(&b, "%s* %s%s", r->screen.colors->yellow, text, r->screen.colors->reset);
    if (r->line && mt_buf_ok(&b))
        mt_repl_line_above(r->line, b.data);
    else if (mt_buf_ok(&b))
        mt_repl_write_line(&(struct repl_screen){stderr, r->screen.colors, false}, text);
    mt_buf_clear(&b);
}

/* ---- connecting ---- */

/* Who is asked for by name: whoever became root is still himself. */
static const char *user_name(void) {
    const char *sudo = getenv("SUDO_USER");
    if (sudo && *sudo) return sudo;
    const struct passwd *entry = getpwuid(getuid());
    return entry ? entry->pw_name : "unknown";
}

static json_t *make_hello(const struct repl *r) {
    return json_pack("{s:s, s:i, s:s, s:I, s:b, s:b, s:I, s:s}", "op", "hello", "version", 1, "user",
                     user_name(), "width", (json_int_t)mt_terminal_width(r->screen.out), "color",
                     (int)r->screen.colored, "read_only", (int)r->read_only, "timeout_ms",
                     (json_int_t)mt_config_int(r->config, "timeout"), "confirm",
                     r->yes        ? "yes"
                     : r->attended ? "ask"
                                   : "no");
}

static int connect_once(struct repl *r, struct mt_error *e) {
    json_t *hello = make_hello(r), *answer = NULL;
    r->connection = mt_repl_connect(&r->target, hello, &answer, e);
    json_decref(hello);
    if (!r->connection) return -1;
    json_decref(r->hello);
    r->hello = answer;
    r->lost[0] = '\0';
    r->unsent = false;
    return 0;
}

int mt_repl_open(struct repl *r, struct mt_error *e) {
    return connect_once(r, e);
}

int mt_repl_reconnect(struct repl *r, struct mt_error *e) {
    mt_repl_disconnect(r->connection);
    r->connection = NULL;
    return connect_once(r, e);
}

void mt_repl_close(struct repl *r) {
    mt_repl_disconnect(r->connection);
    r->connection = NULL;
    json_decref(r->hello);
    r->hello = NULL;
    mt_buf_clear(&r->pending);
}

static void lose(struct repl *r, bool evaluating) {
    char text[800];
    const char *became = !evaluating ? ""
                         : r->unsent ? "Nothing was run. "
                                     : "What ran has ended, but runs that it started go on. ";
    mt_format(text, sizeof text, "The connection to %s is lost%s%s. %s%s", r->where, *r->lost ? ": " : "",
              r->lost, became, r->line ? "Trying to connect again; Ctrl-D leaves." : "");
    mt_repl_disconnect(r->connection);
    r->connection = NULL;
    r->retry_ms = mt_repl_now_ms() + RETRY_MS;
    mt_repl_tell(r, text);
}

static bool find_again(struct repl *r) {
    struct mt_error e;
    if (r->connection) return true;
    if (mt_repl_reconnect(r, &e) != 0) {
        r->retry_ms = mt_repl_now_ms() + RETRY_MS;
        return false;
    }
    mt_repl_tell(r, "Connected again. This is a new session: variables and _ of the old one are gone.");
    return true;
}

/* ---- what comes ---- */

static void show_values(const json_t *values) {
    size_t i;
    json_t *value;
    json_array_foreach(values, i, value) {
        json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY | JSON_PRESERVE_ORDER);
        putchar('\n');
    }
    fflush(stdout);
}

/* The time stands behind a result of one line, and below a longer one. */
static void show_time(const struct repl *r, const char *text, int64_t ms) {
    char took[48];
    const struct mt_colors *c = r->screen.colors;
    mt_format(took, sizeof took, "%lld ms", (long long)(ms > 0 ? ms : 0));
    bool lines =
        strchr(text, '\n') || mt_repl_columns(text) + strlen(took) + 2 > mt_terminal_width(r->screen.out);
    bool shown = r->timing && r->line && ((*text && !lines) || ms >= SLOW_MS);
    if (shown)
        fprintf(r->screen.out, "%s%s%s%s\n", !*text ? "" : lines ? "\n" : "  ", c->dim, took, c->reset);
    else if (*text)
        fputc('\n', r->screen.out);
}

static void show_result(struct repl *r, const json_t *message) {
    if (r->json) {
        show_values(json_object_get(message, "values"));
        return;
    }
    char *text = mt_strdup(mt_json_str(message, "text", ""));
    size_t n = strlen(text);
    if (mt_json_int(message, "n", 1) == 0) n = 0;
    while (n > 0 && text[n - 1] == '\n') n--;
    text[n] = '\0';
    mt_repl_write(&r->screen, text);
    show_time(r, text, mt_json_int(message, "ms", 0) - r->asked_ms);
    fflush(r->screen.out);
    free(text);
}

static void show_error(struct repl *r, const json_t *message, const char *name) {
    const char *text = mt_json_str(message, "text", "it failed, and the runtime does not say why");
    const char *kind = mt_json_str(message, "kind", "");
    struct repl_screen screen =
        r->line ? r->screen : (struct repl_screen){stderr, r->screen.colors, r->screen.colored};
    fflush(stdout);
    if (r->json && !r->line) {
        json_t *line = json_pack("{s:s, s:s, s:s}", "error", text, "kind", kind, "in", name ? name : "");
        json_dumpf(line, stderr, JSON_COMPACT | JSON_PRESERVE_ORDER);
        fputc('\n', stderr);
        json_decref(line);
        return;
    }
    if (name) fprintf(screen.out, "mintage repl: %s: ", name);
    bool plain = r->screen.colored && !strchr(text, '\033');
    if (plain) fputs(screen.colors->red, screen.out);
    mt_repl_write(&screen, text);
    if (plain) fputs(screen.colors->reset, screen.out);
    fputs("\n", screen.out);
    fflush(screen.out);
}

static void show_output(struct repl *r, const json_t *message) {
    struct repl_screen screen = r->screen;
    if (r->json) screen.out = stderr; /* standard output is for values alone */
    mt_repl_write(&screen, mt_json_str(message, "text", ""));
}

/* The end of a connection by HTTP says why, and whether what was asked had arrived. */
static void take_notice(struct repl *r, const json_t *message) {
    const char *text = mt_json_str(message, "text", "");
    if (mt_json_bool(message, "lost", false)) {
        mt_copy(r->lost, sizeof r->lost, text);
        r->unsent = mt_json_bool(message, "unsent", false);
    } else {
        mt_repl_tell(r, text);
    }
}

/* A question stays until it is answered, or until what asked has ended. */
static void answer(struct repl *r, const json_t *message) {
    int yes = 0;
    if (r->yes)
        yes = 1;
    else if (r->attended)
        yes = mt_repl_ask(r, mt_json_str(message, "text", ""), mt_json_bool(message, "production", true));
    if (yes >= 0)
        mt_repl_send(r->connection, json_pack("{s:s, s:I, s:b}", "op", "answer", "id",
                                              (json_int_t)mt_json_int(message, "id", 0), "yes", yes == 1));
}

/* ---- evaluating ---- */

/* A signal that came. Answers the signal, 0 when there was none. */
static int take_signal(struct repl *r) {
    struct signalfd_siginfo info;
    if (r->signals < 0 || read(r->signals, &info, sizeof info) != (ssize_t)sizeof info) return 0;
    if (info.ssi_signo == SIGTSTP) {
        mt_repl_line_lend(r->line);
        raise(SIGSTOP);
        mt_repl_line_take_back(r->line);
    }
    if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGHUP) r->leave = true;
    return (int)info.ssi_signo;
}

/* Waits until the connection has something, a signal came (true), or a moment has passed. */
static bool wait_for_news(struct repl *r, int timeout_ms) {
    struct pollfd p[2] = {{.fd = mt_repl_fd(r->connection), .events = POLLIN},
                          {.fd = r->signals, .events = POLLIN}};
    if (poll(p, 2, timeout_ms) <= 0) return false;
    return p[1].revents != 0 && take_signal(r) == SIGINT;
}

static void interrupt(struct repl *r, int times) {
    if (times > 1) {
        r->leave = true;
        return;
    }
    mt_repl_send(r->connection, json_pack("{s:s}", "op", "interrupt"));
    if (r->attended) fprintf(stderr, "%sstopping it; Ctrl-C once more leaves\n", r->line ? "^C: " : "");
}

static enum repl_got next_message(struct repl *r, json_t **message) {
    if (!r->held) return mt_repl_receive(r->connection, message);
    *message = r->held;
    r->held = NULL;
    return REPL_GOT;
}

/* Whether the message was the last of evaluation `id`; then *end is what became of it. */
static bool take_message(struct repl *r, const json_t *message, int64_t id, const char *name,
                         enum repl_end *end) {
    const char *type = mt_json_str(message, "type", "");
    bool ours = mt_json_int(message, "id", id) == id;
    if (strcmp(type, "notice") == 0) take_notice(r, message);
    if (!ours) return false;
    if (strcmp(type, "output") == 0) show_output(r, message);
    if (strcmp(type, "confirm") == 0) answer(r, message);
    if (strcmp(type, "result") == 0) {
        show_result(r, message);
        *end = REPL_DONE;
        return true;
    }
    if (strcmp(type, "error") == 0) {
        show_error(r, message, name);
        *end = REPL_FAILED;
        return true;
    }
    return false;
}

enum repl_end mt_repl_eval(struct repl *r, const char *code, const char *name) {
    if (!find_again(r)) {
        mt_repl_tell(r, "There is no connection, so nothing was run. Trying to connect again.");
        return REPL_GONE;
    }
    int64_t id = ++r->id;
    int interrupts = 0;
    r->asked_ms = 0;
    mt_repl_send(r->connection,
                 json_pack("{s:s, s:I, s:s, s:b, s:I}", "op", "eval", "id", (json_int_t)id, "code", code,
                           "json", (int)r->json, "width", (json_int_t)mt_terminal_width(r->screen.out)));
    while (!r->leave) {
        json_t *message;
        enum repl_end end;
        enum repl_got got = next_message(r, &message);
        if (got == REPL_LOST) {
            lose(r, true);
            return REPL_GONE;
        }
        if (got == REPL_NOTHING) {
            if (wait_for_news(r, -1)) interrupt(r, ++interrupts);
            continue;
        }
        bool last = take_message(r, message, id, name, &end);
        json_decref(message);
        if (last) return end;
    }
    return REPL_FAILED;
}

/* ---- for the editor ---- */

json_t *mt_repl_complete(void *repl, const char *text, size_t *start) {
    struct repl *r = repl;
    struct mt_buf all;
    json_t *message = NULL, *data = NULL;
    if (!r->connection) return NULL;
    int64_t id = ++r->id, until = mt_repl_now_ms() + COMPLETE_MS;
    mt_buf_init(&all, 2 * 1024 * 1024);
    mt_buf_adds(&all, r->pending.data);
    size_t before = all.len;
    mt_buf_adds(&all, text);
    if (mt_buf_ok(&all))
        mt_repl_send(r->connection,
                     json_pack("{s:s, s:I, s:s}", "op", "complete", "id", (json_int_t)id, "text", all.data));
    mt_buf_clear(&all);
    while (!data && mt_repl_now_ms() < until) {
        enum repl_got got = mt_repl_receive(r->connection, &message);
        if (got == REPL_LOST) break; /* told at the next news */
        if (got == REPL_NOTHING) {
            if (wait_for_news(r, (int)(until - mt_repl_now_ms()))) break;
            continue;
        }
        if (strcmp(mt_json_str(message, "type", ""), "notice") == 0) take_notice(r, message);
        if (strcmp(mt_json_str(message, "type", ""), "candidates") == 0 &&
            mt_json_int(message, "id", 0) == id) {
            int64_t from = mt_json_int(message, "start", 0) - (int64_t)before;
            *start = from > 0 ? (size_t)from : 0;
            data = json_incref(json_object_get(message, "data"));
        }
        json_decref(message);
    }
    return data;
}

bool mt_repl_news(void *repl) {
    struct repl *r = repl;
    json_t *message;
    if (!r->connection) return mt_repl_now_ms() >= r->retry_ms && find_again(r);
    for (;;) {
        enum repl_got got = mt_repl_receive(r->connection, &message);
        if (got == REPL_NOTHING) return false;
        if (got == REPL_LOST) {
            lose(r, false);
            return true;
        }
        const char *type = mt_json_str(message, "type", "");
        if (strcmp(type, "notice") == 0) take_notice(r, message);
        if (strcmp(type, "output") == 0) mt_repl_line_above(r->line, mt_json_str(message, "text", ""));
        json_decref(message);
    }
}

int mt_repl_wait(void *repl, int *timeout_ms) {
    struct repl *r = repl;
    int64_t left = r->retry_ms - mt_repl_now_ms();
    *timeout_ms = r->connection ? -1 : left > 0 ? (int)left : 0;
    return r->connection ? mt_repl_fd(r->connection) : -1;
}
