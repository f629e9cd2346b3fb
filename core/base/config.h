/* Settings, from one table of rows: what may be set, from where, within which bounds, and the text of --help.
 * Values come from defaults, a JSON file, MINTAGE_* variables and the command line, each over the one before.
 * Invariant: a name that no row knows is refused, with the nearest that one does; a secret's value is never
 * shown. Filled by one thread at the start, read by any after. */
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum mt_setting_type {
    MT_SET_STRING,
    MT_SET_INT,      /* min..max */
    MT_SET_BOOL,     /* true, false; on the command line also as a bare --name and --no-name */
    MT_SET_DURATION, /* "30d", "1h30m", seconds; min..max in ms. choices: a word ("forever") for INT64_MAX */
    MT_SET_SIZE,     /* bytes: 1048576, "512K", "64M", "2G"; min..max */
    MT_SET_ENUM,     /* one of `choices`, "a|b|c" */
    MT_SET_PATH,     /* a file or folder name; no check that it exists */
    MT_SET_URL,      /* http:// or https:// with a host; min 1 also allows any other scheme:// */
    MT_SET_SECRET,   /* a string that is never shown */
    MT_SET_STRINGS,  /* a string that may stand on the command line several times: see mt_config_all */
};

struct mt_setting {
    const char
        *name; /* "sandbox-port": option --sandbox-port, variable MINTAGE_SANDBOX_PORT, JSON "sandbox-port" */
    enum mt_setting_type type;
    const char *fallback; /* the default as text; NULL: not set */
    int64_t min, max;     /* both 0: no bounds */
    const char *choices;  /* MT_SET_ENUM */
    unsigned commands;    /* bits of the program's own: which commands take it; 0: all */
    const char *help;     /* one line */
    char letter;          /* 'p' for -p; 0: none */
};

/* Keys that may stand in a provider's section of the file ("providers": {"mintro": {...}}) and, as
 * MINTAGE_MINTRO_CLIENT_SECRET, in the environment. */
struct mt_provider_key {
    const char *provider; /* "mintro" */
    const char *key;      /* "client_secret" */
    enum mt_setting_type type;
};

struct mt_config_spec {
    const struct mt_setting *settings;
    size_t setting_count;
    const struct mt_provider_key *provider_keys;
    size_t provider_key_count;
    /* Whether a section may be of a provider that is only known later, with keys that are checked then: in
     * the file as any other, in the environment as MINTAGE_PROVIDER_ACME__API_KEY. NULL: none may. */
    bool (*later_provider)(const char *name);
};

struct mt_config;

/* All rows at their defaults. `spec` is borrowed and must outlive the config. Aborts when a row's own default
 * is wrong. */
struct mt_config *mt_config_new(const struct mt_config_spec *spec);
void mt_config_free(struct mt_config *c);

/* Each layer, in any order of calls: a value never replaces one from a higher layer. All errors are MT_USAGE.
 */
int mt_config_load_file(struct mt_config *c, const char *path, struct mt_error *e);
/* `source` names where the text came from in errors ("configuration file x.json"). */
int mt_config_load_json(struct mt_config *c, const char *text, size_t len, const char *source,
                        struct mt_error *e);
/* environ-like: "NAME=value" strings ended by NULL. Only MINTAGE_* is looked at. */
int mt_config_load_env(struct mt_config *c, const char *const *environment, struct mt_error *e);
/* argv[0..argc) without the program's and command's names. Options may stand anywhere before "--"; what is
 * not an option is put in rest[] (room for argc entries; borrowed from argv) and counted. Options of rows
 * that `command` (one bit, 0: any) does not take are refused. */
int mt_config_load_args(struct mt_config *c, int argc, char *const *argv, unsigned command, const char **rest,
                        int *rest_count, struct mt_error *e);
/* The whole rule in one call: the command line first (it may name --config), then environment, then the file
 * that setting "config" names, if any. */
int mt_config_load(struct mt_config *c, int argc, char *const *argv, const char *const *environment,
                   unsigned command, const char **rest, int *rest_count, struct mt_error *e);
/* Sets one value as if from the command line ("dev" sets what it decides itself). */
int mt_config_set(struct mt_config *c, const char *name, const char *value, struct mt_error *e);

/* Reads; the name must be a row of the right type (aborts: a bug). String-like types give NULL when not set
 * and no default; strings are borrowed from the config. Numbers that are not set are 0. */
const char *mt_config_str(const struct mt_config *c, const char *name);
int64_t mt_config_int(const struct mt_config *c,
                      const char *name); /* MT_SET_INT, _DURATION (ms), _SIZE (bytes) */
bool mt_config_bool(const struct mt_config *c, const char *name);
/* Each value of an MT_SET_STRINGS, in the order of the command line (one when another layer set it): an
 * array of strings, empty when it is not set. Borrowed. */
const json_t *mt_config_all(const struct mt_config *c, const char *name);
/* Whether a layer above the defaults set it. */
bool mt_config_is_set(const struct mt_config *c, const char *name);
/* "default", "configuration file x.json", "MINTAGE_PORT", "--port". */
const char *mt_config_source(const struct mt_config *c, const char *name);
/* The section of a provider, file and environment merged: an object, never NULL. Borrowed. Secrets are in it:
 * don't log. */
const json_t *mt_config_provider(const struct mt_config *c, const char *provider);
/* All of them by name, those that are known later included. Borrowed; secrets are in it. */
const json_t *mt_config_providers(const struct mt_config *c);
/* Refuses what may not stand in the section "settings", which scripts can see: secrets by their names, null,
 * depth and size beyond limits. MT_USAGE. */
int mt_config_check_settings(const char *source, const json_t *settings, struct mt_error *e);
/* A whole section of the file by name ("providers", "settings"). NULL when absent. Borrowed. */
const json_t *mt_config_section(const struct mt_config *c, const char *name);

/* The table of options for --help of `command` (0: all rows): names, values, defaults, variables. */
void mt_config_help(const struct mt_config_spec *spec, unsigned command, struct mt_buf *out);
/* The settings as they are, one `name = value  (source)` a line, secrets as [redacted]. */
void mt_config_print(const struct mt_config *c, struct mt_buf *out);
