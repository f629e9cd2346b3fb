/* The program as a client of a running runtime: one call at a time, errors as a person wants to read them.
 * One thread. */
#pragma once
#include "base/config.h"
#include "http/client.h"
#include <jansson.h>

struct mt_client {
    struct mt_transport *transport;
    char url[512];
    char token[256];
    int64_t ahead_ms; /* of our clock, the runtime's, by its last answer */
};

/* Takes --url and --token, or the token of the data folder. */
int mt_client_open(struct mt_client *c, const struct mt_config *config, struct mt_error *e);
void mt_client_close(struct mt_client *c);
/* Calls METHOD URL/path (path begins with "/"). body: JSON text or NULL; key: Idempotency-Key or NULL.
 * Answers the parsed body (new reference) of a 2xx; NULL and *e otherwise, saying what the runtime said and
 * what to do. */
json_t *mt_client_call(struct mt_client *c, const char *method, const char *path, const char *body,
                       const char *key, struct mt_error *e);
/* The time there: with `dev` its clock may have been moved by months. */
int64_t mt_client_now(const struct mt_client *c);
