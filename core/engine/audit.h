/* The record of what people did through the console and the API. It is appended to only: a row before the
 * deed, another when it has ended. */
#pragma once
#include "base/buf.h"
#include "base/error.h"
#include "store/store.h"
#include <jansson.h>

struct mt_engine;

struct mt_deed {
    const char *who, *via;
    const char *session; /* NULL: no console's */
    const char *what;    /* "command", "operation", "cancel", ... */
    const char *object;  /* a run's id, an operation's name, a flow's; NULL */
    const char *detail;  /* the command, the parameters; masked here; NULL */
};
/* Durable on return. -1: it is not, and nothing may be done. */
int mt_engine_audit_begin(struct mt_engine *g, const struct mt_deed *d, int64_t now, int64_t *n,
                          struct mt_error *e);
/* outcome: "done", "failed", "refused", "interrupted". When it cannot be written the log says so. */
void mt_engine_audit_end(struct mt_engine *g, const struct mt_deed *d, int64_t n, const char *outcome,
                         const char *result, int64_t ms, int64_t now);
/* A row of a list, for /v1/audit. New reference. */
json_t *mt_audit_json(const struct mt_audit *a);
/* Appends text with what looks like a secret replaced: digits of cards and codes, and what is given to a name
 * that names a secret, in Lua and in JSON. */
void mt_audit_mask(const char *text, size_t len, struct mt_buf *out);
