/* What a serving process is made of, opened in order and closed in reverse: data folder, key, clock, store,
 * scripts, HTTP server, engine. `serve` and `sandbox` are the same runtime with other options. Filled by one
 * thread before `ready` is set; read by any after. */
#pragma once
#include "base/clock.h"
#include "base/config.h"
#include "bindings/modules/script.h"
#include "crypto/crypto.h"
#include "engine/engine.h"
#include "generations.h"
#include "http/server.h"
#include "http/sse.h"
#include "reload.h"
#include <pthread.h>
#include <stdatomic.h>

struct mt_runtime;
struct mt_console;

enum mt_access {
    MT_PUBLIC, /* anybody */
    MT_ADMIN,  /* who has the admin token */
    MT_ALWAYS, /* anybody, even while starting (liveness) */
};

/* A row of a table of routes; a NULL pattern ends it. */
struct mt_route {
    const char *method, *pattern;
    enum mt_access access;
    void (*handle)(struct mt_runtime *rt, const struct mt_request *req, struct mt_response *resp);
};

/* What a simulated world brings in place of the machine's. Borrowed; the store it opens is the runtime's. */
struct mt_runtime_parts {
    struct mt_clock *clock;
    struct mt_random *random;
    struct mt_transport *transport;
    struct mt_store *(*open_store)(void *ctx, struct mt_error *e);
    void *ctx;
    const struct mt_seal_key *key;
    const char *token, *webhook_secret;
};

struct mt_runtime_options {
    const char *command; /* "serve", "sandbox" */
    const struct mt_config *config;
    const char *data;       /* this process's own folder, made when missing */
    const char *clock_path; /* NULL: the system's time */
    int port;
    bool offline;      /* a console alone: no server, and nothing runs or starts by itself */
    bool sandbox;      /* loopback only, no providers, no flow workers, every route of scripts open */
    const char *flows; /* folder of flows; NULL: the embedded ones only */
    const struct mt_asset *embedded;      /* embedded flows; NULL: none */
    const struct mt_route *const *routes; /* tables, ended by NULL */
    const struct mt_vm_module *modules;   /* beyond those of bindings/modules; NULL: none */
    /* NULL: the machine's. With parts there is no server (mt_runtime_serve answers), no folder that is
     * watched, and nothing on the file system but flows. */
    const struct mt_runtime_parts *parts;
};

/* A start that is being accepted; a second one with its key is told to come again. On the starter's stack. */
struct mt_starting {
    const char *flow, *key;
    struct mt_starting *next;
};

struct mt_runtime {
    struct mt_runtime_options o;
    struct mt_clock *clock;
    struct mt_seal_key key;
    struct mt_store *store;
    struct mt_transport *transport;
    struct mt_providers *providers; /* NULL in the sandbox */
    struct mt_vm_module *modules;
    struct mt_vm *vm;
    struct mt_generations *generations;
    struct mt_scripts *scripts;
    struct mt_sse *sse;
    struct mt_engine *engine;
    struct mt_router *router;           /* the server's; the runtime's own when there is none */
    _Atomic(struct mt_server *) server; /* NULL: none */
    struct mt_reload *reload;
    _Atomic(struct mt_console *) console; /* NULL: none (the sandbox, a simulated world) */
    struct mt_bound_route *bound;         /* rows with this runtime, for the router */
    int port;
    char public_url[512];
    char token[256];          /* admin; "" in the sandbox */
    char token_path[4200];    /* "" when the configuration names the token */
    char webhook_secret[256]; /* what ?s= of a webhook URL must be */
    int64_t started_ms;
    _Atomic bool ready;    /* everything above is there */
    _Atomic bool stopping; /* who waits for long answers now */
    pthread_mutex_t starting_lock;
    struct mt_starting *starting;
    pthread_mutex_t advance_lock; /* the sandbox: one mover of the clock */
};

/* Everything but the first load of flows and readiness. On failure nothing is left open. */
int mt_runtime_open(struct mt_runtime *rt, const struct mt_runtime_options *o, struct mt_error *e);
/* Loads flows (or, when they are broken, the last ones that worked), starts the engine, watches the folder,
 * lets requests in. */
int mt_runtime_start(struct mt_runtime *rt, struct mt_error *e);
/* One request, without a server: routes, then scripts. Any thread. */
void mt_runtime_serve(struct mt_runtime *rt, struct mt_request *req, struct mt_response *resp);
/* Answers the requests under way, stops everything, frees everything. */
void mt_runtime_close(struct mt_runtime *rt);

/* Blocks SIGTERM, SIGINT and SIGHUP in this thread and those it will start; before any thread is. */
void mt_runtime_block_signals(void);
/* Waits for SIGTERM or SIGINT and answers which it was. SIGHUP loads the flows again. */
int mt_runtime_wait_signal(struct mt_runtime *rt);
/* Writes "ready PORT" to the descriptor of --ready-fd, if any. */
void mt_runtime_tell_ready(const struct mt_runtime *rt);
void mt_log_setup_from(const struct mt_config *c);

/* Whether the request carries the admin token. */
bool mt_runtime_authorised(void *rt, const struct mt_request *req);
/* How many flows, and how many routes, the current generation has. */
void mt_runtime_count_entries(struct mt_runtime *rt, size_t *flows, size_t *routes);
/* Whether the current generation registers this entry ("route", "GET /shop"). */
bool mt_runtime_has_entry(struct mt_runtime *rt, const char *kind, const char *name);
