/* What the sources of settings share (config.c, config_file.c); nobody else includes this. */
#pragma once
#include "base/config.h"

enum layer { DEFAULTS, FROM_FILE, FROM_ENVIRONMENT, FROM_ARGUMENTS };

struct value {
    enum layer layer;
    char *text;     /* NULL: not set */
    int64_t number; /* of types that are numbers; 0 or 1 of a boolean */
    char *source;
    json_t *all; /* of MT_SET_STRINGS; NULL: not set */
};

struct mt_config {
    const struct mt_config_spec *spec;
    struct value *values; /* one for each row */
    json_t *file;         /* "providers" and its like, as in the file */
    json_t *environment;  /* provider -> key -> value */
    json_t *providers;    /* both merged */
    json_t *none;         /* an empty array, to be borrowed */
};

/* Keeps a value that has passed its row's check, unless a higher layer has one. */
void config_put(struct mt_config *c, size_t i, enum layer layer, const char *source, const char *text,
                int64_t number);
/* The row of that name; SIZE_MAX: there is none. */
size_t config_find(const struct mt_config_spec *spec, const char *name, size_t len);
/* MT_USAGE, with the nearest of the names. Returns -1. */
int config_unknown(const char *where, const char *kind, const char *name, const char *const *names, size_t n,
                   struct mt_error *e);
struct mt_setting config_row_of_key(const struct mt_provider_key *key);
/* Makes the providers' sections of file and environment one. */
void config_merge_providers(struct mt_config *c);
