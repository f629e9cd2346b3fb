/* mintage: finds the command, reads its settings (defaults, configuration file, environment, command line),
 * and calls it. Exit codes: 0 done, 1 failed, 2 wrong usage. */
#include "base/text.h"
#include "program.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static bool is_help(const char *arg) {
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

static bool asks_for_help(int argc, char **argv) {
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (is_help(argv[i])) return true;
    }
    return false;
}

static int unknown_command(const char *name) {
    const char *near = mt_command_nearest(name);
    fprintf(stderr, "mintage: there is no command '%s'%s%s%s\n", name, near ? "; did you mean '" : "",
            near ? near : "", near ? "'?" : "");
    fprintf(stderr, "Try: mintage help\n");
    return MT_EXIT_USAGE;
}

static int help_command(int argc, char **argv) {
    if (argc == 0 || is_help(argv[0])) {
        mt_program_help(stdout);
        return MT_EXIT_DONE;
    }
    const struct mt_command *c = mt_command_find(argv[0]);
    if (!c) return unknown_command(argv[0]);
    mt_command_help(c, stdout);
    return MT_EXIT_DONE;
}

static int run_command(const struct mt_command *c, int argc, char **argv) {
    struct mt_error e;
    struct mt_config *config = mt_config_new(&mt_program_settings);
    const char **rest = mt_calloc((size_t)argc + 1, sizeof *rest);
    int rest_count = 0, code = MT_EXIT_USAGE;

    if (mt_config_load(config, argc, argv, (const char *const *)environ, c->bit, rest, &rest_count, &e) !=
        0) {
        fprintf(stderr, "mintage %s: %s\nTry: mintage %s --help\n", c->name, e.message, c->name);
        goto out;
    }
    if (rest_count < c->min_args) {
        code = mt_usage(c, "something is missing: mintage %s %s", c->name, c->arguments);
        goto out;
    }
    if (c->max_args >= 0 && rest_count > c->max_args) {
        code = mt_usage(c, "'%s' is one argument too many", rest[c->max_args]);
        goto out;
    }
    code = c->run(c, config, rest_count, rest);
out:
    free(rest);
    mt_config_free(config);
    return code;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    mt_settings_init();
    if (argc < 2) {
        mt_program_help(stderr);
        return MT_EXIT_USAGE;
    }
    const char *name = argv[1];
    if (is_help(name) || strcmp(name, "help") == 0) return help_command(argc - 2, argv + 2);
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("mintage %s\n", MT_VERSION);
        return MT_EXIT_DONE;
    }
    const struct mt_command *c = mt_command_find(name);
    if (!c) return unknown_command(name);
    if (asks_for_help(argc - 2, argv + 2)) {
        mt_command_help(c, stdout);
        return MT_EXIT_DONE;
    }
    return run_command(c, argc - 2, argv + 2);
}
