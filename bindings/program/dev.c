/* mintage dev: the parent of a sandbox and a runtime. It starts the one and then the other, starts again what
 * dies, joins their output into one stream, and takes both with it when it ends (by PR_SET_PDEATHSIG even
 * when it is killed). It holds no state: everything that matters is in the data folder. One thread. */
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "data.h"
#include "http/client.h"
#include "program.h"
#include "terminal.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ARGS_MAX = 64,
    LINE_MAX_BYTES = 16 * 1024,
    BACKOFF_FIRST_MS = 50,
    BACKOFF_MAX_MS = 5000,
    STABLE_MS = 5000, /* who lived so long did not die of its start */
    KILL_AFTER_MS = 35000,
};

struct child {
    const char *name; /* "sandbox", "serve" */
    const char *color;
    char *args[ARGS_MAX];
    int arg_count, port_arg; /* args[port_arg] is "--port=N" */
    pid_t pid;               /* 0: not running */
    int out, ready;          /* pipes; -1 when closed */
    int port;                /* 0 until it has told */
    bool was_ready, told_to_stop;
    int backoff_ms;
    int64_t started_at, start_at; /* monotonic ms; start_at 0: not due */
    char line[LINE_MAX_BYTES];
    size_t line_len;
};

struct dev {
    struct mt_config *config;
    struct mt_clock *clock;
    const struct mt_colors *colors;
    struct child sandbox, serve;
    char data[4096], clock_file[4200], token[256];
    const char *host;
    int signals; /* signalfd */
    bool stopping, greeted;
    int stop_count;
    int64_t stop_at;
    int code;
};

static int64_t now_ms(struct dev *d) {
    return d->clock->mono_ns(d->clock) / 1000000;
}

static void say(struct dev *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct dev *d, const char *format, ...) {
    va_list args;
    va_start(args, format);
    printf("%sdev     %s ", d->colors->bold, d->colors->reset);
    vprintf(format, args);
    putchar('\n');
    fflush(stdout);
    va_end(args);
}

/* ---- arguments of the children ---- */

static void add_arg(struct child *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_arg(struct child *c, const char *format, ...) {
    char text[4400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (c->arg_count < ARGS_MAX - 2) c->args[c->arg_count++] = mt_strdup(text);
}

/* What was said on our command line and the child takes too. Files and environment it reads itself. */
static void pass_on(struct child *c, unsigned bit, const struct mt_config *config) {
    static const char *const ours[] = {"port", "data", "host", "log-format", NULL};
    for (size_t i = 0; i < mt_program_settings.setting_count; i++) {
        const struct mt_setting *row = &mt_program_settings.settings[i];
        bool mine = false;
        for (size_t k = 0; ours[k]; k++) mine = mine || strcmp(ours[k], row->name) == 0;
        if (!mine && (row->commands & bit) && (row->commands & MT_CMD_DEV) &&
            mt_config_source(config, row->name)[0] == '-')
            add_arg(c, "--%s=%s", row->name, mt_config_str(config, row->name));
    }
}

static void common_args(struct dev *d, struct child *c, unsigned bit, int port) {
    static const char *const format[] = {"text", "json"};
    bool json = strcmp(mt_config_str(d->config, "log-format"), "json") == 0;
    add_arg(c, "mintage");
    add_arg(c, "%s", c->name);
    c->port_arg = c->arg_count;
    add_arg(c, "--port=%d", port);
    add_arg(c, "--data=%s", d->data);
    add_arg(c, "--clock=%s", d->clock_file);
    add_arg(c, "--log-format=%s", format[json]);
    pass_on(c, bit, d->config);
}

static void prepare_children(struct dev *d) {
    d->sandbox = (struct child){.name = "sandbox", .color = d->colors->cyan, .out = -1, .ready = -1};
    d->serve = (struct child){.name = "serve", .color = d->colors->blue, .out = -1, .ready = -1};
    common_args(d, &d->sandbox, MT_CMD_SANDBOX, (int)mt_config_int(d->config, "sandbox-port"));
    add_arg(&d->sandbox, "--host=127.0.0.1");
    common_args(d, &d->serve, MT_CMD_SERVE, mt_setting_port(d->config, MT_PORT_RUNTIME));
    add_arg(&d->serve, "--host=%s", d->host);
}

/* ---- starting and ending them ---- */

static void become(struct child *c, pid_t parent, int out, int ready) {
    sigset_t none;
    char fd[32];
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setpgid(0, 0); /* Ctrl-C is for the parent, which ends them in order */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(MT_EXIT_FAILED); /* it died in between */
    if (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0) _exit(MT_EXIT_FAILED);
    fcntl(ready, F_SETFD, 0);
    mt_format(fd, sizeof fd, "--ready-fd=%d", ready);
    c->args[c->arg_count] = fd;
    c->args[c->arg_count + 1] = NULL;
    execv("/proc/self/exe", c->args);
    dprintf(STDERR_FILENO, "cannot start: %s\n", strerror(errno));
    _exit(MT_EXIT_FAILED);
}

static int start_child(struct dev *d, struct child *c, struct mt_error *e) {
    int out[2], ready[2];
    if (pipe2(out, O_CLOEXEC) != 0) return mt_fail(e, MT_INTERNAL, "cannot make a pipe: %s", strerror(errno));
    if (pipe2(ready, O_CLOEXEC) != 0) {
        close(out[0]);
        close(out[1]);
        return mt_fail(e, MT_INTERNAL, "cannot make a pipe: %s", strerror(errno));
    }
    fflush(stdout);
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) become(c, parent, out[1], ready[1]);
    close(out[1]);
    close(ready[1]);
    if (pid < 0) {
        close(out[0]);
        close(ready[0]);
        return mt_fail(e, MT_INTERNAL, "cannot start %s: %s", c->name, strerror(errno));
    }
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(ready[0], F_SETFL, O_NONBLOCK);
    if (c->out >= 0) close(c->out);
    if (c->ready >= 0) close(c->ready);
    c->pid = pid;
    c->out = out[0];
    c->ready = ready[0];
    c->line_len = 0;
    c->started_at = now_ms(d);
    c->start_at = 0;
    return 0;
}

static void flush_line(struct dev *d, struct child *c) {
    printf("%s%-8s%s %.*s\n", c->color, c->name, d->colors->reset, (int)c->line_len, c->line);
    c->line_len = 0;
}

static void read_output(struct dev *d, struct child *c) {
    char buffer[4096];
    ssize_t n;
    while ((n = read(c->out, buffer, sizeof buffer)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i] != '\n') c->line[c->line_len++] = buffer[i];
            if (buffer[i] == '\n' || c->line_len == sizeof c->line) flush_line(d, c);
        }
    }
    fflush(stdout);
    if (n == 0) {
        if (c->line_len) flush_line(d, c);
        close(c->out);
        c->out = -1;
    }
}

/* Says how a child ended, and plans its next start. One that never got ready is not tried again: it has said
 * why. */
static void ended(struct dev *d, struct child *c, int status) {
    int64_t now = now_ms(d);
    if (c->out >= 0) read_output(d, c);
    c->pid = 0;
    if (d->stopping) return;
    if (!c->was_ready) {
        say(d, "%s could not start; see what it says above", c->name);
        d->code = MT_EXIT_FAILED;
        d->stopping = true;
        return;
    }
    bool stable = now - c->started_at >= STABLE_MS;
    int next = c->backoff_ms * 2 < BACKOFF_MAX_MS ? c->backoff_ms * 2 : BACKOFF_MAX_MS;
    c->backoff_ms = stable || c->backoff_ms == 0 ? BACKOFF_FIRST_MS : next;
    c->start_at = now + c->backoff_ms;
    if (WIFSIGNALED(status))
        say(d, "%s was ended by signal %d (%s); starting it again, runs carry on", c->name, WTERMSIG(status),
            strsignal(WTERMSIG(status)));
    else
        say(d, "%s ended with exit code %d; starting it again, runs carry on", c->name, WEXITSTATUS(status));
}

static void reap(struct dev *d) {
    struct child *all[] = {&d->serve, &d->sandbox};
    for (size_t i = 0; i < 2; i++) {
        int status;
        if (all[i]->pid > 0 && waitpid(all[i]->pid, &status, WNOHANG) == all[i]->pid)
            ended(d, all[i], status);
    }
}

/* The runtime first, so that what it is asking the sandbox still gets an answer. */
static void stop_children(struct dev *d) {
    if (d->stop_count > 1 || now_ms(d) >= d->stop_at) {
        if (d->serve.pid > 0) kill(d->serve.pid, SIGKILL);
        if (d->sandbox.pid > 0) kill(d->sandbox.pid, SIGKILL);
        return;
    }
    struct child *first = d->serve.pid > 0 ? &d->serve : &d->sandbox;
    if (first->pid > 0 && !first->told_to_stop) kill(first->pid, SIGTERM);
    first->told_to_stop = true;
}

/* ---- when both are there ---- */

static bool has_shop(const char *url) {
    struct mt_transport *transport = mt_transport_curl();
    struct mt_http_request req = {.method = mt_strdup("GET"), .url = mt_calloc(1, 600), .timeout_ms = 2000};
    struct mt_http_response resp = {0};
    struct mt_error e;
    mt_format(req.url, 600, "%s/shop", url);
    bool there = transport->perform(transport, &req, &resp, &e) == 0 && resp.status < 400;
    mt_http_response_clear(&resp);
    mt_http_request_clear(&req);
    transport->free(transport);
    return there;
}

static void greet(struct dev *d) {
    const struct mt_colors *c = d->colors;
    char url[512], host[300];
    const char *flows = mt_config_str(d->config, "flows");
    bool any = strcmp(d->host, "0.0.0.0") == 0;
    mt_copy(host, sizeof host, any ? "127.0.0.1" : d->host);
    mt_format(url, sizeof url, "http://%s:%d", host, d->serve.port);
    printf("\n%sMintage is running.%s Everything here is a test: no real money moves.\n\n", c->bold,
           c->reset);
    if (has_shop(url))
        printf("  %sShop%s      %s%s/shop%s   pay with card 4242 4242 4242 4242\n", c->bold, c->reset,
               c->cyan, url, c->reset);
    printf("  %sSandbox%s   %shttp://127.0.0.1:%d/%s   the four providers, emulated\n", c->bold, c->reset,
           c->cyan, d->sandbox.port, c->reset);
    printf("  %sAPI%s       %s%s/v1/runs%s\n", c->bold, c->reset, c->cyan, url, c->reset);
    printf("  %sToken%s     %s   (Authorization: Bearer ...; kept in %s/admin-token)\n", c->bold, c->reset,
           d->token, d->data);
    bool own = access(flows, F_OK) == 0;
    printf("  %sFlows%s     %s%s\n", c->bold, c->reset, own ? flows : "shipped with Mintage; yours go to ",
           own ? ", loaded again as you save" : flows);
    printf("\n  Try: mintage runs list%s%s   Stop: Ctrl-C\n\n",
           d->serve.port == MT_PORT_RUNTIME ? "" : " --url ", d->serve.port == MT_PORT_RUNTIME ? "" : url);
    fflush(stdout);
}

static void became_ready(struct dev *d, struct child *c, int port) {
    struct mt_error e;
    c->port = port;
    c->was_ready = true;
    free(c->args[c->port_arg]); /* the next one of it takes the same port */
    c->args[c->port_arg] = mt_calloc(1, 32);
    mt_format(c->args[c->port_arg], 32, "--port=%d", port);
    if (c == &d->sandbox && d->serve.arg_count > 0 && d->serve.pid == 0 && !d->serve.was_ready) {
        add_arg(&d->serve, "--sandbox=http://127.0.0.1:%d", port);
        if (start_child(d, &d->serve, &e) != 0) {
            d->code = mt_report(&e);
            d->stopping = true;
        }
    }
    if (c == &d->serve && !d->greeted) {
        d->greeted = true;
        greet(d);
    }
}

static void read_ready(struct dev *d, struct child *c) {
    char text[64];
    ssize_t n = read(c->ready, text, sizeof text - 1);
    if (n < 0 && errno == EAGAIN) return;
    close(c->ready);
    c->ready = -1;
    if (n <= 0) return; /* it ended; SIGCHLD tells */
    text[n] = '\0';
    int port = 0;
    if (sscanf(text, "ready %d", &port) == 1) became_ready(d, c, port);
}

/* ---- the loop ---- */

static void on_signal(struct dev *d) {
    struct signalfd_siginfo info;
    while (read(d->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD) continue; /* reap() looks at both anyway */
        if (info.ssi_signo == SIGHUP) {
            if (d->serve.pid > 0) kill(d->serve.pid, SIGHUP);
            continue;
        }
        d->stopping = true;
        d->stop_count++;
    }
}

static int64_t next_deadline(struct dev *d) {
    int64_t at = INT64_MAX;
    if (d->serve.start_at && d->serve.start_at < at) at = d->serve.start_at;
    if (d->sandbox.start_at && d->sandbox.start_at < at) at = d->sandbox.start_at;
    if (d->stop_at && d->stop_at < at) at = d->stop_at;
    return at;
}

static void wait_for_something(struct dev *d) {
    struct child *all[] = {&d->serve, &d->sandbox};
    struct pollfd fds[5] = {{.fd = d->signals, .events = POLLIN}};
    int64_t at = next_deadline(d), left = at == INT64_MAX ? -1 : at - now_ms(d);
    for (size_t i = 0; i < 2; i++) { /* poll ignores negative descriptors */
        fds[1 + 2 * i] = (struct pollfd){.fd = all[i]->out, .events = POLLIN};
        fds[2 + 2 * i] = (struct pollfd){.fd = all[i]->ready, .events = POLLIN};
    }
    if (poll(fds, 5, at == INT64_MAX ? -1 : left < 0 ? 0 : (int)left) <= 0) return;
    if (fds[0].revents) on_signal(d);
    for (size_t i = 0; i < 2; i++) {
        if (fds[1 + 2 * i].revents && all[i]->out >= 0) read_output(d, all[i]);
        if (fds[2 + 2 * i].revents && all[i]->ready >= 0) read_ready(d, all[i]);
    }
}

static void start_due(struct dev *d) {
    struct child *all[] = {&d->sandbox, &d->serve};
    struct mt_error e;
    for (size_t i = 0; i < 2; i++) {
        if (!all[i]->start_at || all[i]->start_at > now_ms(d)) continue;
        if (start_child(d, all[i], &e) != 0) {
            say(d, "%s", e.message);
            all[i]->start_at = now_ms(d) + BACKOFF_MAX_MS;
        }
    }
}

static void supervise(struct dev *d) {
    while (!d->stopping || d->serve.pid > 0 || d->sandbox.pid > 0) {
        wait_for_something(d);
        reap(d);
        if (!d->stopping) {
            start_due(d);
            continue;
        }
        if (!d->stop_at) {
            d->serve.start_at = d->sandbox.start_at = 0;
            d->stop_at = now_ms(d) + KILL_AFTER_MS;
        }
        stop_children(d);
    }
}

static int open_signals(struct mt_error *e) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) mt_fail(e, MT_INTERNAL, "cannot wait for signals: %s", strerror(errno));
    return fd;
}

static int prepare(struct dev *d, struct mt_error *e) {
    const char *token = mt_config_str(d->config, "admin-token");
    if (!mt_copy(d->data, sizeof d->data, mt_config_str(d->config, "data")))
        return mt_fail(e, MT_USAGE, "the path of the data folder is too long");
    if (mt_data_make(d->data, e) != 0 ||
        mt_data_path(d->data, "clock", d->clock_file, sizeof d->clock_file, e) != 0)
        return -1;
    if (token) mt_copy(d->token, sizeof d->token, "as configured");
    if (!token && mt_data_token(d->data, d->token, sizeof d->token, e) != 0) return -1;
    d->host = mt_config_str(d->config, "host");
    prepare_children(d);
    return (d->signals = open_signals(e)) < 0 ? -1 : 0;
}

int mt_dev_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv) {
    (void)self, (void)argc, (void)argv;
    struct mt_error e;
    struct dev *d = mt_calloc(1, sizeof *d);
    d->config = config;
    d->clock = mt_clock_system();
    d->colors = mt_colors_for(stdout, mt_config_str(config, "color"));
    d->signals = -1;
    int code;
    if (prepare(d, &e) != 0 || start_child(d, &d->sandbox, &e) != 0) {
        code = mt_report(&e);
    } else {
        supervise(d);
        code = d->code;
    }
    if (d->signals >= 0) close(d->signals);
    for (int i = 0; i < d->serve.arg_count; i++) free(d->serve.args[i]);
    for (int i = 0; i < d->sandbox.arg_count; i++) free(d->sandbox.args[i]);
    d->clock->free(d->clock);
    free(d);
    return code;
}
