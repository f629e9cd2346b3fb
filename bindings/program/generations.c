/* Loading, keeping and fetching generations. See generations.h. */
#include "generations.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "bindings/modules/schedule.h"
#include "sources.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define META_CURRENT "program.generation" /* the store's own table: the last generation that worked */

struct mt_generations {
    struct mt_generations_options o;
    char *dir;
    struct mt_scripts *scripts;
    struct mt_engine *engine;
    pthread_mutex_t lock; /* guards what follows */
    bool has_problem;
    struct mt_flow_problem problem;
};

struct mt_generations *mt_generations_new(const struct mt_generations_options *o) {
    struct mt_generations *g = mt_calloc(1, sizeof *g);
    g->o = *o;
    g->dir = mt_strdup(o->dir);
    pthread_mutex_init(&g->lock, NULL);
    return g;
}

void mt_generations_free(struct mt_generations *g) {
    if (!g) return;
    pthread_mutex_destroy(&g->lock);
    free(g->dir);
    free(g);
}

void mt_generations_set_embedded(struct mt_generations *g, const struct mt_asset *embedded) {
    g->o.embedded = embedded;
}

void mt_generations_attach(struct mt_generations *g, struct mt_scripts *scripts, struct mt_engine *engine) {
    g->scripts = scripts;
    g->engine = engine;
}

static bool folder_exists(const struct mt_generations *g) {
    struct stat st;
    return g->dir && stat(g->dir, &st) == 0 && S_ISDIR(st.st_mode);
}

const char *mt_generations_origin(const struct mt_generations *g) {
    return folder_exists(g) || !g->o.embedded ? g->dir : "(shipped with Mintage)";
}

/* ---- what is wrong ---- */

void mt_flow_problem_fill(struct mt_flow_problem *p, const char *message, int64_t at) {
    *p = (struct mt_flow_problem){.at = at};
    mt_copy(p->message, sizeof p->message, message);
    const char *dot = strstr(p->message, ".lua:");
    if (!dot) return;
    const char *start = dot;
    while (start > p->message && !strchr(" '\"([", start[-1])) start--;
    if (mt_format(p->file, sizeof p->file, "%.*s", (int)(dot + 4 - start), start)) p->line = atoi(dot + 5);
}

static void note_problem(struct mt_generations *g, const struct mt_error *e) {
    pthread_mutex_lock(&g->lock);
    mt_flow_problem_fill(&g->problem, e->message, g->o.clock->wall_ms(g->o.clock));
    g->has_problem = true;
    pthread_mutex_unlock(&g->lock);
}

/* Whether there was one. */
static bool forget_problem(struct mt_generations *g) {
    pthread_mutex_lock(&g->lock);
    bool had = g->has_problem;
    g->has_problem = false;
    pthread_mutex_unlock(&g->lock);
    return had;
}

bool mt_generations_problem(struct mt_generations *g, struct mt_flow_problem *out) {
    pthread_mutex_lock(&g->lock);
    bool has = g->has_problem;
    if (has) *out = g->problem;
    pthread_mutex_unlock(&g->lock);
    return has;
}

static void tell(struct mt_generations *g) {
    if (g->o.changed) g->o.changed(g->o.ctx);
}

/* ---- from the folder ---- */

static struct mt_generation *load_files(struct mt_generations *g, struct mt_error *e) {
    struct mt_source_set set = {0};
    struct mt_generation *gen = NULL;
    char *settings = NULL;
    if (g->o.settings && g->o.settings(g->o.ctx, &settings, e) != 0) return NULL;
    if (g->o.embedded && !folder_exists(g))
        mt_source_set_embedded(g->o.embedded, &set);
    else if (mt_source_set_read(g->dir, &set, e) != 0)
        goto out;
    gen = mt_generation_load(g->o.vm, set.files, set.count, settings, e);
    mt_source_set_clear(&set);
out:
    free(settings);
    return gen;
}

json_t *mt_generation_providers(const struct mt_generation *gen) {
    struct mt_error ignored;
    const char *registry = mt_generation_registry(gen);
    json_t *entries = mt_json_parse(registry, strlen(registry), &ignored), *entry, *list = json_array();
    size_t i;
    json_array_foreach(entries, i, entry) {
        if (strcmp(mt_json_str(entry, "kind", ""), "provider") == 0)
            json_array_append(list, json_object_get(entry, "definition"));
    }
    json_decref(entries);
    return list;
}

/* What can be said of schedules only when all flows are there. */
static int check_schedules(const struct mt_generation *gen, struct mt_error *e) {
    const char *registry = mt_generation_registry(gen);
    json_t *entries = mt_json_parse(registry, strlen(registry), e);
    int result = entries ? mt_schedules_check(entries, e) : -1;
    json_decref(entries);
    return result;
}

static int keep(struct mt_generations *g, struct mt_generation *gen, struct mt_error *e) {
    size_t count;
    const struct mt_source *files = mt_generation_files(gen, &count);
    const char **names = mt_calloc(count + 1, sizeof *names);
    const char **texts = mt_calloc(count + 1, sizeof *texts);
    size_t *lens = mt_calloc(count + 1, sizeof *lens);
    for (size_t i = 0; i < count; i++) {
        names[i] = files[i].name;
        texts[i] = files[i].text;
        lens[i] = files[i].len;
    }
    json_t *providers = mt_generation_providers(gen);
    int result = mt_engine_keep_generation(g->engine, mt_generation_id(gen), mt_generation_settings(gen),
                                           names, texts, lens, count, providers, e);
    json_decref(providers);
    free(names);
    free(texts);
    free(lens);
    return result;
}

static int publish(struct mt_generations *g, struct mt_generation *gen, struct mt_error *e) {
    if (mt_scripts_publish(g->scripts, gen, e) != 0) return -1;
    return mt_engine_publish_generation(g->engine, mt_generation_id(gen), e);
}

/* So that a restart on broken files still has something that works. */
static void remember(struct mt_generations *g, const char *id) {
    struct mt_op op = {.type = MT_OP_META, .meta = {META_CURRENT, id}};
    struct mt_batch batch = {.ops = &op, .count = 1};
    if (mt_writer_submit(mt_engine_writer(g->engine), &batch) != 0)
        mt_warn("cannot note which generation is current", "error", batch.error.message);
}

static bool is_current(struct mt_generations *g, const char *id) {
    struct mt_generation *current = mt_scripts_current(g->scripts);
    bool same = current && strcmp(mt_generation_id(current), id) == 0;
    if (current) mt_generation_release(current);
    return same;
}

enum mt_load mt_generations_load(struct mt_generations *g, struct mt_error *e) {
    struct mt_generation *gen = load_files(g, e);
    if (gen && is_current(g, mt_generation_id(gen))) { /* touched, or changed back */
        mt_generation_release(gen);
        if (forget_problem(g)) tell(g);
        return MT_LOAD_SAME;
    }
    /* Kept before it is published: a run that begins on it must find it again after a crash. */
    if (!gen || check_schedules(gen, e) != 0 || keep(g, gen, e) != 0 || publish(g, gen, e) != 0) {
        if (gen) mt_generation_release(gen);
        note_problem(g, e);
        tell(g);
        return MT_LOAD_BROKEN;
    }
    remember(g, mt_generation_id(gen));
    mt_generation_release(gen);
    forget_problem(g);
    tell(g);
    return MT_LOAD_SWAPPED;
}

/* ---- from the store ---- */

static int fetch_files(struct mt_store *store, const json_t *manifest, struct mt_source_set *out,
                       struct mt_error *e) {
    const char *name;
    json_t *sha;
    json_object_foreach(json_object_get(manifest, "files"), name, sha) {
        char *text = NULL;
        size_t len = 0;
        if (!json_is_string(sha) || store->get_blob(store, json_string_value(sha), &text, &len, e) != 0)
            return mt_error_wrap(e, "file %s", name);
        mt_source_set_add(out, name, text, len);
        free(text);
    }
    mt_source_set_sort(out);
    return 0;
}

int mt_generations_fetch(void *ctx, const char *id, struct mt_source **files, size_t *count, char **settings,
                         struct mt_error *e) {
    struct mt_generations *g = ctx;
    struct mt_store *store = g->o.store;
    struct mt_source_set set = {0};
    json_t *manifest = NULL;
    char *text = NULL;
    int result = -1;

    if (store->get_generation(store, id, &text, e) != 0 ||
        !(manifest = mt_json_parse(text, strlen(text), e)) || fetch_files(store, manifest, &set, e) != 0) {
        mt_error_wrap(e, "cannot fetch generation %.20s...", id);
        mt_source_set_clear(&set);
        goto out;
    }
    const json_t *s = json_object_get(manifest, "settings");
    *settings = json_is_object(s) ? mt_json_dump(s, NULL) : NULL;
    *files = set.files;
    *count = set.count;
    result = 0;
out:
    json_decref(manifest);
    free(text);
    return result;
}

int mt_generations_restore(struct mt_generations *g, struct mt_error *e) {
    char *id = NULL, *settings = NULL;
    struct mt_source *files = NULL;
    struct mt_generation *gen = NULL;
    size_t count = 0;
    int result = -1;

    if (g->o.store->get_meta(g->o.store, META_CURRENT, &id, e) != 0) return -1;
    if (mt_generations_fetch(g, id, &files, &count, &settings, e) != 0) goto out;
    gen = mt_generation_load(g->o.vm, files, count, settings, e);
    if (gen) result = publish(g, gen, e);
out:
    if (gen) mt_generation_release(gen);
    mt_sources_free(files, count);
    free(settings);
    free(id);
    return result;
}
