/* mintage run: starts a run, follows it to its end, prints it. The run is durable: interrupting this command
 * leaves it running. */
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "client.h"
#include "program.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { INPUT_MAX = 1024 * 1024, SLICE_MS = 30 * 1000, PATIENCE_MS = 60 * 1000, PAUSE_MS = 200 };

/* Reads a descriptor to its end; caller frees. */
static char *read_all(int fd, const char *name, struct mt_error *e) {
    char *text = mt_calloc(1, INPUT_MAX + 2);
    size_t len = 0;
    ssize_t n;
    while ((n = read(fd, text + len, INPUT_MAX + 1 - len)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            mt_fail(e, MT_USAGE, "cannot read %s: %s", name, strerror(errno));
            break;
        }
        len += (size_t)n;
        if (len > INPUT_MAX) {
            mt_fail(e, MT_USAGE, "%s is too long: an input has at most %d bytes", name, INPUT_MAX);
            n = -1;
            break;
        }
    }
    if (n == 0) return text;
    free(text);
    return NULL;
}

/* The input as JSON text; caller frees. */
static char *read_input(const char *arg, struct mt_error *e) {
    char *text;
    if (strcmp(arg, "-") == 0) {
        text = read_all(STDIN_FILENO, "standard input", e);
    } else if (arg[0] == '@') {
        int fd = open(arg + 1, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            mt_fail(e, MT_USAGE, "cannot open %s: %s", arg + 1, strerror(errno));
            return NULL;
        }
        text = read_all(fd, arg + 1, e);
        close(fd);
    } else {
        text = mt_strdup(arg);
    }
    if (!text) return NULL;
    json_t *value = mt_json_parse(text, strlen(text), e);
    if (!value) {
        mt_error_wrap(e, "the input is not valid JSON (a file is named with @)");
        e->kind = MT_USAGE;
    }
    if (value && json_is_object(value)) {
        json_decref(value);
        return text;
    }
    if (value) mt_fail(e, MT_USAGE, "the input must be a JSON object such as '{\"amount\":\"80.00 USD\"}'");
    json_decref(value);
    free(text);
    return NULL;
}

static bool at_rest(const json_t *run) {
    static const char *const rest[] = {"completed", "failed", "cancelled", "needs_attention"};
    const char *state = mt_json_str(run, "state", "");
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++) {
        if (strcmp(state, rest[i]) == 0) return true;
    }
    return false;
}

/* Tells a person at a terminal what goes on, each thing once. */
static void tell(const json_t *run, char told[512]) {
    const json_t *progress = json_object_get(run, "progress");
    const char *url = mt_json_str(progress, "payment_url", NULL);
    char now[512];
    mt_format(now, sizeof now, "%s %s%s%s", mt_json_str(run, "id", ""), mt_json_str(run, "state", ""),
              url ? ", pay at " : "", url ? url : "");
    if (!isatty(STDERR_FILENO) || strcmp(now, told) == 0) return;
    fprintf(stderr, "%s\n", now);
    mt_copy(told, 512, now);
}

/* Answers as soon as the run is durable: from then on nothing that happens to the runtime loses it. */
static json_t *start(struct mt_client *c, const char *flow, const char *input, const char *key,
                     struct mt_error *e) {
    struct mt_buf path;
    mt_buf_init(&path, 4096);
    mt_buf_adds(&path, "/v1/flows/");
    mt_url_encode(&path, flow, strlen(flow));
    mt_buf_adds(&path, "/runs");
    json_t *run = mt_client_call(c, "POST", path.data, input, key, e);
    mt_buf_clear(&path);
    return run;
}

/* Looks at the run. A runtime that does not answer is waited for: it may have been killed and started again,
 * and the run goes on then. */
static json_t *look(struct mt_client *c, const char *path, struct mt_error *e) {
    json_t *run;
    for (int waited = 0; !(run = mt_client_call(c, "GET", path, NULL, NULL, e)); waited += PAUSE_MS) {
        if (e->http_status != 0 || waited >= PATIENCE_MS) return NULL;
        if (waited == 0)
            fprintf(stderr, "The runtime does not answer; the run is safe. Waiting for it to come back.\n");
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    }
    return run;
}

/* Waits in slices, so that what changes meanwhile can be told. Takes run; NULL and *e when it cannot be had
 * any more. */
static json_t *follow(struct mt_client *c, json_t *run, int64_t until_ms, struct mt_clock *clock,
                      struct mt_error *e) {
    char told[512] = "", path[128];
    int64_t slice = 1000;
    for (;;) {
        tell(run, told);
        int64_t left = until_ms - clock->mono_ns(clock) / 1000000;
        if (at_rest(run) || left <= 0) return run;
        if (slice > left) slice = left;
        mt_format(path, sizeof path, "/v1/runs/%s?wait=%lldms", mt_json_str(run, "id", ""), (long long)slice);
        json_decref(run);
        if (!(run = look(c, path, e))) return NULL;
        slice = slice * 2 < SLICE_MS ? slice * 2 : SLICE_MS;
    }
}

int mt_run_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv) {
    (void)self;
    struct mt_client client = {0};
    struct mt_error e;
    struct mt_clock *clock = mt_clock_system();
    char *input = NULL;
    json_t *run = NULL;
    int code = MT_EXIT_FAILED;
    int64_t wait = mt_config_is_set(config, "wait") ? mt_config_int(config, "wait") : INT64_MAX / 4;

    if (!(input = read_input(argc > 1 ? argv[1] : "{}", &e)) || mt_client_open(&client, config, &e) != 0)
        goto fail;
    int64_t until = clock->mono_ns(clock) / 1000000 + wait;
    run = start(&client, argv[0], input, mt_config_str(config, "key"), &e);
    if (run) run = follow(&client, run, until, clock, &e);
    if (!run) goto fail;
    json_dumpf(run, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
    const char *state = mt_json_str(run, "state", "");
    if (strcmp(state, "completed") == 0) code = MT_EXIT_DONE;
    if (code != MT_EXIT_DONE)
        fprintf(stderr, "The run is %s. Its story: mintage runs show %s\n", state,
                mt_json_str(run, "id", ""));
    goto out;
fail:
    code = mt_report(&e);
out:
    json_decref(run);
    free(input);
    mt_client_close(&client);
    clock->free(clock);
    return code;
}
