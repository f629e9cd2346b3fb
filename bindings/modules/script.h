/* The scripting side of the engine: which generation is current, which older ones runs are pinned to, and how
 * a flow, a task or a route of one of them is executed. Any thread; generations are counted and swapped under
 * a lock that is never held while a script runs or loads. */
#pragma once
#include "bindings/vm/vm.h"
#include "engine/engine.h"
#include "engine/script.h"
#include "http/server.h"
#include <jansson.h>

struct mt_scripts;

struct mt_scripts_options {
    struct mt_vm *vm; /* borrowed; outlives the scripts */
    /* Fetches the files of a generation that is not in memory (from the store). Fills malloc'ed arrays and
     * texts, which the scripts free with mt_sources_free, and settings (malloc'ed, may be NULL). -1:
     * MT_NOT_FOUND. NULL: older ones are never found. */
    int (*load)(void *ctx, const char *id, struct mt_source **files, size_t *count, char **settings,
                struct mt_error *e);
    /* Whether a request may use a route that is not public. NULL: every route is open (the sandbox). */
    bool (*authorised)(void *ctx, const struct mt_request *req);
    void *ctx;
    size_t keep; /* generations kept in memory besides the current one; 0: 16 */
};

struct mt_scripts *mt_scripts_new(const struct mt_scripts_options *o);
void mt_scripts_free(struct mt_scripts *s);
/* The engine whose handlers and tasks these are; before the first task or request. */
void mt_scripts_bind(struct mt_scripts *s, struct mt_engine *engine);
/* What mt_engine_options.script wants. */
struct mt_script *mt_scripts_vtable(struct mt_scripts *s);

/* Makes g the current generation (keeps a reference of its own). Fails, changing nothing, when its routes
 * contradict each other. */
int mt_scripts_publish(struct mt_scripts *s, struct mt_generation *g, struct mt_error *e);
/* The current generation with a reference for the caller (mt_generation_release); NULL when none was
 * published. */
struct mt_generation *mt_scripts_current(struct mt_scripts *s);
void mt_sources_free(struct mt_source *files, size_t count);

/* Serves a request through the routes of the current generation: an mt_handler, fit for
 * mt_server_options.fallback with the mt_scripts as ctx. 404 and 405 are answered too. */
void mt_scripts_serve(void *ctx, const struct mt_request *req, struct mt_response *resp);
/* The same, but answers false, leaving resp alone, when no route has this path. */
bool mt_scripts_try(struct mt_scripts *s, const struct mt_request *req, struct mt_response *resp);
