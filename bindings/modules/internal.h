/* What script.c and handler.c share: a generation that is ready to be executed, with its registry parsed and
 * its routes in a router. Immutable once built; counted under the lock of its mt_scripts. */
#pragma once
#include "bindings/modules/script.h"
#include <pthread.h>

/* Each attempt that fails is one in which another succeeded: more than there are HTTP threads, so that a rush
 * for one document ends with everybody answered. */
enum { HANDLER_ATTEMPTS = 1024 };

struct route {
    char entry[288]; /* "route:GET /shop" */
    bool public;
};

struct loaded {
    char id[80];
    struct mt_generation *g; /* NULL while it is being loaded */
    json_t *registry;        /* array, as mt_generation_registry */
    json_t *flows;           /* name -> its row of the registry (borrowed rows) */
    struct mt_router *router;
    struct route *routes;
    size_t refs; /* users; the list itself is not one */
    uint64_t used;
    struct loaded *next;
};

struct mt_scripts {
    struct mt_script vtable; /* first: the engine's view */
    struct mt_scripts_options o;
    struct mt_engine *engine;
    pthread_mutex_t lock; /* current, first, refs, used, clock */
    pthread_cond_t ready;
    struct loaded *current;
    struct loaded *first;
    uint64_t clock;
};

/* The current generation, or NULL; give it back. */
struct loaded *scripts_current(struct mt_scripts *s);
/* The generation of this id ("" or NULL: the current one), from memory or the store; give it back. NULL: e
 * says why. */
struct loaded *scripts_acquire(struct mt_scripts *s, const char *id, struct mt_error *e);
void scripts_release(struct mt_scripts *s, struct loaded *l);

/* Executes an entry in handler transactions until one commits. 0; -1 with e. `before` is called before each
 * attempt, to forget what an earlier one left in call->arg. task: the dated work it carries out, 0 for none.
 */
int scripts_transact(struct mt_scripts *s, struct loaded *l, const char *name, int64_t task,
                     struct mt_vm_call *call, void (*before)(void *arg), struct mt_error *e);

/* Runs a flow of g from the top. `look` (NULL: nobody) is what mt_vm_call has, with a pointer to `ctx` as its
 * argument. */
void scripts_run_flow(struct mt_scripts *s, struct mt_generation *g, struct mt_exec *x, const char *flow,
                      const char *input, void (*look)(lua_State *L, void *arg), void *ctx,
                      struct mt_script_result *out);
