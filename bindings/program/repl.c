/* mintage repl: the console of a runtime, for a person at a terminal, for -e and for scripts on standard
 * input. This file reads the options and decides how to reach the runtime and where code comes from. One
 * thread. */
#include "repl.h"
#include "base/json.h"
#include "base/text.h"
#include "client.h"
#include "crypto/crypto.h"
#include "program.h"
#include <ctype.h>
#include <errno.h>
#include <langinfo.h>
#include <lauxlib.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SCRIPT_MAX = 1024 * 1024, STATEMENT_MAX = 480 * 1024 };

/* ---- options ---- */

static int check_options(const struct mt_config *config, struct mt_error *e) {
    bool offline = mt_config_bool(config, "offline");
    if (mt_config_bool(config, "yes") && strncmp(mt_config_source(config, "yes"), "--", 2) != 0)
        return mt_fail(e, MT_USAGE, "--yes is taken from the command line alone, not from %s",
                       mt_config_source(config, "yes"));
    if (offline && (mt_config_is_set(config, "url") || mt_config_is_set(config, "token")))
        return mt_fail(e, MT_USAGE, "--offline is for a data folder of this machine: leave %s away",
                       mt_config_source(config, mt_config_is_set(config, "url") ? "url" : "token"));
    if (!offline)
        for (size_t i = 0; i < 3; i++) {
            const char *name = (const char *const[]){"flows", "sandbox", "clock"}[i];
            if (strncmp(mt_config_source(config, name), "--", 2) == 0)
                return mt_fail(e, MT_USAGE, "--%s is of --offline: a running runtime has its own", name);
        }
    if (mt_config_is_set(config, "at") && !mt_config_is_set(config, "run"))
        return mt_fail(e, MT_USAGE, "--at says where in a run: name the run with --run ID");
    return 0;
}

/* --url or --token: by HTTP. Neither: the socket of the data folder, if it is there; else by HTTP as well. */
static int choose(struct repl *r, struct mt_client *client, struct mt_error *e) {
    const struct mt_config *config = r->config;
    char path[4200];
    struct stat st;
    const char *data = mt_config_str(config, "data");
    bool named = mt_config_is_set(config, "url") || mt_config_is_set(config, "token");
    if (r->offline || (!named && mt_repl_socket_path(data, path, sizeof path) && stat(path, &st) == 0)) {
        r->target = (struct repl_target){.data = data};
        mt_format(r->where, sizeof r->where, r->offline ? "%s" : "the runtime of %s", data);
        return 0;
    }
    if (mt_client_open(client, config, e) != 0) {
        if (!named && strstr(e->message, "no admin token"))
            mt_fail(e, MT_USAGE,
                    "no runtime serves %s (there is no console.sock in it). Start one with mintage dev or "
                    "mintage "
                    "serve, or name another with --data, or --url and --token",
                    data);
        return -1;
    }
    r->target = (struct repl_target){.url = client->url, .token = client->token};
    mt_format(r->where, sizeof r->where, "the runtime at %s", client->url);
    return 0;
}

/* `travel = runs"ID":at(N)`; NULL: no run is named. Caller frees. */
static char *travel_code(const struct mt_config *config, bool shown, struct mt_error *e) {
    const char *run = mt_config_str(config, "run");
    struct mt_buf b;
    if (!run) return mt_strdup("");
    for (const char *s = run; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_' && *s != '-') {
            mt_fail(e, MT_USAGE, "--run: '%.60s' is not the id of a run; mintage runs list shows ids", run);
            return NULL;
        }
    mt_buf_init(&b, 4096);
    mt_buf_addf(&b, "travel = runs\"%.200s\":at(", run);
    if (mt_config_is_set(config, "at")) mt_buf_addi(&b, mt_config_int(config, "at"));
    mt_buf_adds(&b, shown ? ") return travel" : ")");
    return mt_buf_take(&b, NULL);
}

/* ---- scripts ---- */

static char *read_script(struct mt_error *e) {
    char *text = mt_calloc(1, SCRIPT_MAX + 2);
    size_t len = 0;
    for (;;) {
        ssize_t n = read(STDIN_FILENO, text + len, SCRIPT_MAX + 1 - len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) mt_fail(e, MT_USAGE, "cannot read standard input: %s", strerror(errno));
        len += n > 0 ? (size_t)n : 0;
        if (len > SCRIPT_MAX) mt_fail(e, MT_USAGE, "standard input is too long: a script has at most 1 MB");
        if (n < 0 || len > SCRIPT_MAX) break;
        if (n == 0 && strlen(text) == len && mt_utf8_valid(text, len)) {
            if (text[0] == '#') memcpy(text, "--", len < 2 ? len : 2);
            return text;
        }
        if (n == 0) {
            mt_fail(e, MT_USAGE, "standard input is no text (UTF-8)");
            break;
        }
    }
    free(text);
    return NULL;
}

/* The end of the line that begins at s. */
static char *line_end(char *s) {
    char *end = strchr(s, '\n');
    return end ? end + 1 : s + strlen(s);
}

static bool blank(const char *s, const char *end) {
    while (s < end && isspace((unsigned char)*s)) s++;
    return s == end || strncmp(s, "--", 2) == 0;
}

/* The end of the statement at `start`: the first line with which it is whole, and those that go on with it.
 */
static char *statement_end(struct repl *r, char *start, bool *whole) {
    char *end = start;
    *whole = false;
    while (*end) {
        end = line_end(end);
        char kept = *end;
        *end = '\0';
        enum repl_whole found = mt_repl_whole(r->lua, start);
        *end = kept;
        if (found == REPL_PART) continue;
        char *next = end;
        while (*next && blank(next, line_end(next))) next = line_end(next);
        *whole = true;
        if (!*next || !mt_repl_goes_on(next)) return end;
    }
    return end;
}

/* A statement at a time, as if it were typed, until one fails. Empty lines before the code keep the numbers
 * of lines that the runtime says. */
static int run_script(struct repl *r, char *text) {
    size_t line = 1;
    int code = MT_EXIT_DONE;
    for (char *start = text, *end; *start && code == MT_EXIT_DONE && !r->leave; start = end) {
        bool whole;
        char name[64];
        end = line_end(start);
        if (blank(start, end) && strncmp(start + strspn(start, " \t"), "--[", 3) != 0) {
            line++;
            continue;
        }
        end = statement_end(r, start, &whole);
        mt_format(name, sizeof name, "standard input, line %zu", line);
        struct mt_buf b;
        mt_buf_init(&b, STATEMENT_MAX);
        for (size_t i = 1; i < line; i++) mt_buf_addc(&b, '\n');
        char *statement = mt_memdup(start, (size_t)(end - start)),
             *made = mt_repl_session_variables(statement);
        mt_buf_adds(&b, made);
        if (!mt_buf_ok(&b)) {
            fprintf(stderr, "mintage repl: %s: the statement is too long: at most %d bytes\n", name,
                    STATEMENT_MAX);
            code = MT_EXIT_FAILED;
        } else if (mt_repl_eval(r, b.data, name) != REPL_DONE) {
            code = MT_EXIT_FAILED;
        }
        for (const char *s = statement; (s = strchr(s, '\n')); s++) line++;
        mt_buf_clear(&b);
        free(statement);
        free(made);
    }
    return code;
}

static int run_given(struct repl *r, const json_t *chunks) {
    int code = MT_EXIT_DONE;
    size_t i;
    json_t *chunk;
    json_array_foreach(chunks, i, chunk) {
        char name[32];
        mt_format(name, sizeof name, json_array_size(chunks) > 1 ? "-e number %zu" : "-e", i + 1);
        char *made = mt_repl_session_variables(json_string_value(chunk));
        if (code == MT_EXIT_DONE && !r->leave && mt_repl_eval(r, made, name) != REPL_DONE)
            code = MT_EXIT_FAILED;
        free(made);
    }
    return code;
}

/* ---- all of it ---- */

/* Characters of more than one byte, whatever the locale is; numbers stay as they are. */
static void use_utf8(void) {
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

/* Signals come through a descriptor, also to a runtime's threads in this process: they inherit the mask. */
static int catch_signals(bool interactive) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    if (interactive) {
        sigaddset(&set, SIGWINCH);
        sigaddset(&set, SIGTSTP);
        sigaddset(&set, SIGTERM); /* the terminal is given back as it was */
        sigaddset(&set, SIGHUP);
    }
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int work(struct repl *r, const char *travel, bool interactive, struct mt_error *e) {
    const json_t *given = mt_config_all(r->config, "execute");
    if (mt_repl_open(r, e) != 0) return -1;
    if (interactive) return mt_repl_interactive(r, *travel ? travel : NULL);
    if (*travel && mt_repl_eval(r, travel, "--run") != REPL_DONE) return MT_EXIT_FAILED;
    if (json_array_size(given) > 0) return run_given(r, given);
    char *script = read_script(e);
    if (!script) return -1;
    int code = run_script(r, script);
    free(script);
    return code;
}

int mt_repl_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv) {
    (void)self, (void)argc, (void)argv;
    bool terminal = isatty(STDIN_FILENO), given = json_array_size(mt_config_all(config, "execute")) > 0;
    bool interactive = terminal && !given;
    FILE *out = interactive && !isatty(STDOUT_FILENO) ? stderr : stdout;
    const char *color = mt_config_bool(config, "no-color") ? "never" : mt_config_str(config, "color");
    struct mt_client client = {0};
    struct mt_error e;
    struct repl r = {.config = config,
                     .screen = {.out = out, .colors = mt_colors_for(out, color)},
                     .lua = luaL_newstate(),
                     .signals = -1,
                     .json = mt_config_bool(config, "json"),
                     .yes = mt_config_bool(config, "yes"),
                     .read_only = mt_config_bool(config, "read-only"),
                     .timing = true,
                     .attended = terminal && isatty(STDERR_FILENO)};
    int code = -1;
    r.screen.colored = *r.screen.colors->reset != '\0';
    mt_buf_init(&r.pending, STATEMENT_MAX);
    use_utf8();
    r.signals = catch_signals(interactive);
    char *travel = NULL;
    if (r.lua && check_options(config, &e) == 0 && (travel = travel_code(config, interactive, &e)) &&
        (!mt_config_bool(config, "offline") || (r.offline = mt_repl_offline_start(config, &e))) &&
        choose(&r, &client, &e) == 0)
        code = work(&r, travel, interactive, &e);
    mt_repl_close(&r);
    mt_repl_offline_stop(r.offline);
    if (r.lua) lua_close(r.lua);
    if (r.signals >= 0) close(r.signals);
    mt_client_close(&client);
    free(travel);
    if (code >= 0 && (fflush(stdout) != 0 || ferror(stdout)) && code == MT_EXIT_DONE) code = MT_EXIT_FAILED;
    return code >= 0 ? code : mt_report(&e);
}
