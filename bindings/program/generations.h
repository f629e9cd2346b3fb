/* Where generations come from: the folder of flows (or the flows inside the program) and, for runs that are
 * pinned to an earlier one, the store. Invariant: a broken file never replaces a working generation. Which
 * one is current, and the counting of references, is bindings/modules/script.h's. Any thread, but loading has
 * one caller at a time. */
#pragma once
#include "base/clock.h"
#include "bindings/modules/script.h"
#include "engine/engine.h"
#include "http/assets.h"
#include "store/store.h"

struct mt_generations;

struct mt_generations_options {
    struct mt_vm *vm; /* borrowed, as all here; they outlive the generations */
    struct mt_store *store;
    struct mt_clock *clock;
    const char *dir;                 /* the folder of flows; NULL: the embedded ones only */
    const struct mt_asset *embedded; /* used when there is no such folder; NULL: it must be there */
    /* The settings that scripts can see, as they are now, part of each generation: 0 and malloc'ed JSON or
     * NULL (none), or -1. NULL: there are never any. */
    int (*settings)(void *ctx, char **json, struct mt_error *e);
    /* After each swap, each failed load and each repair; on the thread that loads. NULL: nobody listens. */
    void (*changed)(void *ctx);
    void *ctx;
};

/* What is wrong with the files on disk, and since when. */
struct mt_flow_problem {
    char file[256]; /* "checkout.lua"; "" when it is no one file's fault */
    int line;       /* 0: unknown */
    char message[640];
    int64_t at;
};
/* Reads file and line off the beginning of a message ("checkout.lua:12: '}' expected"). */
void mt_flow_problem_fill(struct mt_flow_problem *p, const char *message, int64_t at);

/* The definitions of providers that its scripts gave: a list. New reference. */
json_t *mt_generation_providers(const struct mt_generation *gen);

struct mt_generations *mt_generations_new(const struct mt_generations_options *o);
void mt_generations_free(struct mt_generations *g);
/* Replaces the embedded flows that the next load reads (the simulated world's files). Borrowed. */
void mt_generations_set_embedded(struct mt_generations *g, const struct mt_asset *embedded);
/* Who publishes them and who keeps them durably; before the first load. */
void mt_generations_attach(struct mt_generations *g, struct mt_scripts *scripts, struct mt_engine *engine);
/* mt_scripts_options.load, with the generations as ctx: the files of a generation that the store keeps. */
int mt_generations_fetch(void *ctx, const char *id, struct mt_source **files, size_t *count, char **settings,
                         struct mt_error *e);

enum mt_load { MT_LOAD_BROKEN = -1, MT_LOAD_SAME, MT_LOAD_SWAPPED };
/* Loads what is on disk now, keeps it in the store and publishes it. BROKEN: *e says why, it is remembered as
 * the problem, and what was current stays. */
enum mt_load mt_generations_load(struct mt_generations *g, struct mt_error *e);
/* Publishes the last generation that worked, as the store knows it (when the files are broken at start). */
int mt_generations_restore(struct mt_generations *g, struct mt_error *e);
/* Where flows are read from: the folder, or "(shipped with Mintage)". */
const char *mt_generations_origin(const struct mt_generations *g);
/* Whether the files on disk are broken now. */
bool mt_generations_problem(struct mt_generations *g, struct mt_flow_problem *out);
