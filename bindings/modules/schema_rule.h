/* One place of an input's schema, as schema_rule.c reads it and schema.c checks by it; nobody else includes
 * this. Pure; any thread. */
#pragma once
#include "base/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    DEPTH_MAX = 16,
    FIELDS_MAX = 128,
    PROBLEMS_MAX = 5,
    STRING_MAX = 10000, /* bytes, unless the schema says otherwise */
    ITEMS_MAX = 1000,   /* of a list, unless the schema says otherwise */
    PATTERN_MAX = 500,
};

enum type {
    T_STRING,
    T_INTEGER,
    T_NUMBER,
    T_BOOLEAN,
    T_MONEY,
    T_EMAIL,
    T_URL,
    T_DATE,
    T_TIME,
    T_LOCAL,
    T_ZONE,
    T_DURATION,
    T_PERIOD,
    T_SECRET,
    T_OBJECT,
    T_ARRAY,
    T_ANY,
    T_WORDS, /* "url|iframe" or values = {...} */
    T_COUNT
};

/* What each type wants, in the words of an error. */
extern const char *const schema_wanted[];

/* One place of a schema, read. Pointers are into the schema. */
struct rule {
    enum type type;
    bool optional;
    const char *words; /* WORDS: "url|iframe", or NULL and `values` */
    size_t words_len;
    const json_t *values; /* array of strings, or NULL */
    const json_t *fields; /* OBJECT: name -> schema; NULL: any */
    const json_t *items;  /* ARRAY: the schema of each; NULL: any */
    const json_t *min, *max;
    const char *pattern, *currency, *doc;
};

/* Reads a schema; what it is made of may still be wrong (mt_schema_valid). -1: MT_INVALID_REQUEST. */
int schema_read(const json_t *schema, struct rule *r, const char *path, struct mt_error *e);
/* "items.price", and the words for the whole. */
void schema_join(char out[160], const char *path, const char *name);
const char *schema_shown(const char *path);
