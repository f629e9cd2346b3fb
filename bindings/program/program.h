/* What the files of the program share: the table of commands, the table of settings, exit codes, and how it
 * talks to a person. A command is a row; main.c finds it, reads its settings and calls it. Main thread only,
 * unless said otherwise. */
#pragma once
#include "base/config.h"
#include "base/error.h"
#include <stdbool.h>
#include <stdio.h>

enum mt_exit_code {
    MT_EXIT_DONE = 0,
    MT_EXIT_FAILED = 1, /* what was asked for did not come about */
    MT_EXIT_USAGE = 2,  /* the command line or the configuration is wrong */
};

/* Which commands take a setting. */
enum {
    MT_CMD_DEV = 1 << 0,
    MT_CMD_SERVE = 1 << 1,
    MT_CMD_SANDBOX = 1 << 2,
    MT_CMD_RUN = 1 << 3,
    MT_CMD_RUNS = 1 << 4,
    MT_CMD_CHECK = 1 << 5,
    MT_CMD_TEST = 1 << 6,
    MT_CMD_PROVIDERS = 1 << 7,
    MT_CMD_EVENTS = 1 << 8,
    MT_CMD_NEW = 1 << 9,
    MT_CMD_SCHEDULES = 1 << 12,
    MT_CMD_REPL = 1 << 13,
    MT_CMD_AUDIT = 1 << 14,
    MT_CMD_RUNTIME = MT_CMD_DEV | MT_CMD_SERVE | MT_CMD_SANDBOX,
    MT_CMD_CLIENT = MT_CMD_RUN | MT_CMD_RUNS | MT_CMD_PROVIDERS | MT_CMD_EVENTS | MT_CMD_SCHEDULES |
                    MT_CMD_REPL | MT_CMD_AUDIT,
};

struct mt_command {
    const char *name;
    unsigned bit;
    const char *arguments;  /* "FLOW [JSON|@FILE|-]"; "" for none */
    const char *summary;    /* one line */
    const char *details;    /* paragraphs of --help, each ended by a newline */
    int min_args, max_args; /* max -1: any number */
    /* Answers the exit code, having said on standard error what went wrong and what to do next. */
    int (*run)(const struct mt_command *self, struct mt_config *config, int argc, const char **argv);
};

/* Ends with a NULL name. */
extern const struct mt_command mt_commands[];
const struct mt_command *mt_command_find(const char *name);
/* The nearest command to a name that is none; NULL when nothing is near. */
const char *mt_command_nearest(const char *name);
void mt_command_help(const struct mt_command *c, FILE *out);
void mt_program_help(FILE *out);

extern struct mt_config_spec mt_program_settings;
/* Takes in the keys that providers know; first of all. */
void mt_settings_init(void);
/* The setting "port" differs by command, so it has no default of its own. */
int mt_setting_port(const struct mt_config *c, int fallback);
/* The providers' sections that have something in them, file and environment merged. New reference; holds
 * secrets. */
json_t *mt_setting_providers(const struct mt_config *c);
/* The section that scripts can see, read anew from the configuration file: malloc'ed JSON, or NULL. -1: the
 * file cannot be read, or is wrong now. */
int mt_setting_scripts(const struct mt_config *c, char **json, struct mt_error *e);
enum { MT_PORT_RUNTIME = 8080, MT_PORT_SANDBOX = 8090 };

/* Gives the system back what the allocator keeps. Any thread. */
void mt_memory_trim(void);

int mt_dev_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv);
int mt_serve_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv);
int mt_sandbox_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv);
int mt_run_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv);
int mt_runs_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv);
int mt_events_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv);
int mt_schedules_command(const struct mt_command *self, struct mt_config *config, int argc,
                         const char **argv);
int mt_providers_command(const struct mt_command *self, struct mt_config *config, int argc,
                         const char **argv);
int mt_audit_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv);
int mt_repl_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv);
int mt_check_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv);
int mt_test_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv);
int mt_new_command(const struct mt_command *self, struct mt_config *config, int argc, const char **argv);

/* Where the specs of the project in the working folder are: specs, tests/spec or spec, the first that is
 * there; specs when none is. */
const char *mt_specs_folder(void);

/* Prints "mintage: message" (and what to do next) on standard error and answers the exit code that fits the
 * error's kind. */
int mt_report(const struct mt_error *e);
/* The same for a message of one's own: a usage error. */
int mt_usage(const struct mt_command *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
