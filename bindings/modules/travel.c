/* Replaying a run's script to look at it. See travel.h. Invariant: edited code is a generation of its own,
 * that neither the list of generations nor the store hears of, and that goes with the travel. Any thread. */
#include "bindings/modules/travel.h"
#include "base/json.h"
#include "base/text.h"
#include "bindings/modules/internal.h"
#include "bindings/vm/inspect.h"
#include "bindings/vm/value.h"
#include "engine/travel.h"
#include <stdlib.h>
#include <string.h>

struct travelling {
    struct mt_scripts *s;
    const struct mt_scripts_travel *t;
    json_t *frames, *look;
    json_t *files; /* names of the edited ones */
};

/* ---- edited code ---- */

static bool is_script(const char *name) {
    size_t len = strlen(name);
    return len > 4 && strcmp(name + len - 4, ".lua") == 0;
}

/* The file in which the run's flow is defined. */
static const char *file_of(const struct loaded *l, const char *flow) {
    const char *file = mt_json_str(json_object_get(l->flows, flow), "file", NULL);
    return file ? file : "flow.lua";
}

static bool is_new(const struct mt_source *file, const struct mt_source *old, size_t had) {
    for (size_t i = 0; i < had; i++) {
        if (strcmp(old[i].name, file->name) == 0)
            return old[i].len != file->len || memcmp(old[i].text, file->text, file->len) != 0;
    }
    return true;
}

/* The files of `own`, as they are after the edit, whose names go to g->files. The texts are borrowed. */
static struct mt_source *edited_files(struct travelling *g, const struct loaded *own, const char *flow,
                                      size_t *count) {
    const struct mt_scripts_travel *t = g->t;
    size_t had, n = 0;
    const struct mt_source *old = mt_generation_files(own->g, &had);
    struct mt_source *files = mt_calloc(had + t->count + 1, sizeof *files);
    for (size_t i = 0; i < t->count; i++) {
        files[n] = t->files[i];
        if (!files[n].name[0]) files[n].name = file_of(own, flow);
        if (is_new(&files[n], old, had)) json_array_append_new(g->files, json_string(files[n].name));
        n++;
    }
    for (size_t i = 0; i < had; i++) {
        bool replaced = t->whole && is_script(old[i].name);
        for (size_t k = 0; k < t->count && !replaced; k++) replaced = strcmp(files[k].name, old[i].name) == 0;
        if (!replaced) files[n++] = old[i];
    }
    *count = n;
    return files;
}

static struct mt_generation *load_edited(struct travelling *g, const char *id, const char *flow,
                                         struct mt_error *e) {
    size_t count;
    struct loaded *own = scripts_acquire(g->s, id, e);
    if (own == NULL) return NULL;
    struct mt_source *files = edited_files(g, own, flow, &count);
    struct mt_generation *edited =
        mt_generation_load(g->s->o.vm, files, count, mt_generation_settings(own->g), e);
    free(files);
    scripts_release(g->s, own);
    return edited;
}

/* The definitions of providers among what a generation registered. */
static json_t *defined_providers(const struct mt_generation *generation) {
    struct mt_error e;
    const char *registry = mt_generation_registry(generation);
    json_t *rows = mt_json_parse(registry, strlen(registry), &e), *list = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        if (strcmp(mt_json_str(row, "kind", ""), "provider") == 0)
            json_array_append(list, json_object_get(row, "definition"));
    }
    json_decref(rows);
    return list;
}

/* ---- executing ---- */

static void look(lua_State *L, void *arg) {
    struct travelling *g = *(struct travelling **)arg; /* the first member of what scripts_run_flow passes */
    struct mt_error e;
    g->frames = mt_vm_frames(L);
    if (g->t->look == NULL) return;
    g->look = mt_vm_peek(L, g->t->level, g->t->look, &e);
    if (g->look == NULL) g->look = json_pack("{s:s}", "problem", e.message);
    json_object_set_new(g->look, "path", json_string(g->t->look));
}

static int execute(void *ctx, struct mt_exec *x, const char *generation, const char *flow, const char *input,
                   struct mt_script_result *out, json_t **frames, struct mt_error *e) {
    struct travelling *g = ctx;
    struct loaded *own = NULL;
    struct mt_generation *code = NULL;
    int rc = 0;
    if (g->t->count > 0) {
        code = load_edited(g, generation, flow, e);
        if (code == NULL) return -1;
        json_t *providers = defined_providers(code);
        rc = mt_travel_providers(x, providers, e);
        json_decref(providers);
    } else {
        own = scripts_acquire(g->s, generation, e);
        if (own == NULL) return -1;
        code = mt_generation_retain(own->g);
    }
    if (rc == 0) scripts_run_flow(g->s, code, x, flow, input, look, g, out);
    mt_generation_release(code);
    scripts_release(g->s, own);
    *frames = g->frames;
    g->frames = NULL;
    if (g->look) *frames = json_pack("{s:o?, s:o}", "frames", *frames, "look", g->look);
    g->look = NULL;
    return rc;
}

int mt_scripts_travel(struct mt_scripts *s, const struct mt_scripts_travel *t, json_t **out,
                      struct mt_error *e) {
    char current[80];
    struct travelling g = {.s = s, .t = t, .files = t->count > 0 ? json_array() : json_null()};
    struct mt_travel travel = {.run = t->run,
                               .segment = t->segment,
                               .at = t->at,
                               .generation = t->generation,
                               .strange = t->count > 0,
                               .execute = execute,
                               .ctx = &g};
    if (t->generation && strcmp(t->generation, "current") == 0) {
        s->vtable.current(&s->vtable, current);
        travel.generation = current;
    }
    int rc = s->engine == NULL ? mt_fail(e, MT_UNAVAILABLE, "the engine has not been started")
                               : mt_engine_travel(s->engine, &travel, out, e);
    if (rc == 0) { /* what was looked at came masked with the frames */
        json_t *both = json_object_get(*out, "frames");
        if (json_is_object(both)) {
            json_object_set(*out, "look", json_object_get(both, "look"));
            json_t *frames = json_incref(json_object_get(both, "frames"));
            json_object_set_new(*out, "frames", frames ? frames : json_array());
        }
        json_object_set(*out, "files", g.files);
    }
    json_decref(g.files);
    return rc;
}
