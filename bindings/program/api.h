/* The HTTP surface of the runtime: tables of routes, and what their handlers share (parameters, bodies,
 * refusals). Handlers run on the server's threads, many at once. Every refusal is application/problem+json
 * and names the field. */
#pragma once
#include "base/buf.h"
#include "runtime.h"
#include <jansson.h>

/* Adds the runtime's tables of routes to the router. */
int mt_api_bind(struct mt_runtime *rt, struct mt_router *router, struct mt_error *e);
/* An mt_handler, ctx the runtime: the routes that scripts registered; 503 while starting. */
void mt_api_scripts(void *rt, const struct mt_request *req, struct mt_response *resp);

/* What each of the two kinds of serving process serves: lists of the tables below, ended by NULL. */
extern const struct mt_route *const mt_serve_routes[];   /* serve.c */
extern const struct mt_route *const mt_sandbox_routes[]; /* sandbox.c */

extern const struct mt_route mt_api_run_routes[];     /* api_runs.c: start, look at and steer runs */
extern const struct mt_route mt_api_migrate_routes[]; /* api_migrate.c: moving runs to newer code */
extern const struct mt_route mt_api_travel_routes[];  /* api_travel.c: replaying runs to look at them */
extern const struct mt_route mt_api_purge_routes[];   /* api_purge.c: forgetting runs */
extern const struct mt_route mt_api_event_routes[];   /* api_events.c: the log of events */
extern const struct mt_route
    mt_api_list_routes[]; /* api_lists.c: flows, generations, providers, the stream */
extern const struct mt_route mt_api_public_routes[];  /* api_public.c: webhooks, checkout pages */
extern const struct mt_route mt_api_asset_routes[];   /* api_public.c: the files of web/ */
extern const struct mt_route mt_api_health_routes[];  /* api_health.c: liveness, readiness, metrics */
extern const struct mt_route mt_api_sandbox_routes[]; /* sandbox_api.c: clock, state, webhooks */

extern const struct mt_route mt_api_console_routes[]; /* api_console.c: the console over HTTP */
extern const struct mt_route mt_api_audit_routes[];   /* api_audit.c: what people did */

/* ---- deeds of operators ---- */

struct mt_api_deed {
    const struct deed_row *row; /* NULL: not recorded */
    char who[72], via[96];
    int64_t n, began_ms;
};
/* What a POST to this path would do ("retry"), *money: whether it may move money. NULL: it changes nothing
 * that is known of. */
const char *mt_api_deed_of(const char *method, const char *path, const char *body, size_t len, bool *money);
/* Around a route's handler: the deed is in the record before it is done. False: it cannot be, 503 is
 * answered. */
bool mt_api_deed_begin(struct mt_runtime *rt, const struct mt_request *req, const char *pattern,
                       struct mt_api_deed *d, struct mt_response *resp);
void mt_api_deed_end(struct mt_runtime *rt, struct mt_api_deed *d, const struct mt_response *resp);

/* ---- query parameters ---- */

/* An integer parameter within [min, max]; `fallback` when absent. False: 422 is answered, naming it. */
bool mt_api_int(const struct mt_request *req, struct mt_response *resp, const char *name, int64_t fallback,
                int64_t min, int64_t max, int64_t *out);
/* A duration in ms, at most max_ms. */
bool mt_api_duration(const struct mt_request *req, struct mt_response *resp, const char *name,
                     int64_t fallback, int64_t max_ms, int64_t *out);
/* A text; caller frees; NULL when absent. False: too long for max bytes with its NUL. */
bool mt_api_text(const struct mt_request *req, struct mt_response *resp, const char *name, size_t max,
                 char **out);
bool mt_api_flag(const struct mt_request *req, struct mt_response *resp, const char *name, bool *out);

/* ---- bodies and answers ---- */

/* The body as a JSON object (an empty body is {}); new reference. NULL: 400 (malformed) or 422 (no object) is
 * answered. */
json_t *mt_api_body(const struct mt_request *req, struct mt_response *resp);
/* Refuses members of obj that are not among names (NULL-terminated). False: 422 is answered. */
bool mt_api_known(const json_t *obj, const char *const *names, struct mt_response *resp);
/* Answers an error with the status that fits its kind. */
void mt_api_fail(struct mt_response *resp, const struct mt_error *e);
/* Answers what was built, or 500 when it grew too large. Clears b. */
void mt_api_answer(struct mt_response *resp, int status, struct mt_buf *b);
/* 200 with a value, at most 64 MiB of it; takes the reference. */
void mt_api_answer_value(struct mt_response *resp, json_t *value);

/* ---- what GET /v1/runs is when it searches (api_search.c) ---- */

/* Whether the request looks for runs by what is in them (find, reference, email, amount, last4): then it has
 * been answered. */
bool mt_api_search(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp);

/* ---- pieces of JSON that several show ---- */

/* {"current":"sha256:..."|null,"problem":{"file","line","message","at"}|null} */
void mt_api_generation_json(struct mt_runtime *rt, struct mt_buf *out);
