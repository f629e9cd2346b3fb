/* Generations as the engine knows them: kept in the store with the providers that their scripts define, so
 * that calls are carried out, sent again and taken back by the definition they began with, with no script
 * loaded. Invariant: a generation's providers never change; what was remembered is what the store has. Any
 * thread. */
#include "engine/internal.h"
#include <stdlib.h>
#include <string.h>

enum { REMEMBERED = 32 };

struct generations {
    pthread_mutex_t lock;
    uint64_t clock;
    struct known {
        char id[80]; /* "": free */
        struct mt_provider_set *set;
        uint64_t used;
    } known[REMEMBERED];
};

struct generations *generations_new(void) {
    struct generations *s = mt_calloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void generations_free(struct generations *s) {
    if (!s) return;
    for (int i = 0; i < REMEMBERED; i++) mt_provider_set_release(s->known[i].set);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* With the lock held. */
static struct known *find(struct generations *s, const char *id) {
    for (int i = 0; i < REMEMBERED; i++)
        if (strcmp(s->known[i].id, id) == 0) return &s->known[i];
    return NULL;
}

/* In the place of the one that has not been used for longest. */
static void remember(struct generations *s, const char *id, struct mt_provider_set *set) {
    struct mt_provider_set *gone = NULL;
    pthread_mutex_lock(&s->lock);
    if (!find(s, id)) {
        struct known *place = &s->known[0];
        for (int i = 1; i < REMEMBERED; i++)
            if (s->known[i].used < place->used) place = &s->known[i];
        gone = place->set;
        mt_copy(place->id, sizeof place->id, id);
        place->set = mt_provider_set_retain(set);
        place->used = ++s->clock;
    }
    pthread_mutex_unlock(&s->lock);
    mt_provider_set_release(gone);
}

static bool recall(struct generations *s, const char *id, struct mt_provider_set **set) {
    pthread_mutex_lock(&s->lock);
    struct known *known = find(s, id);
    if (known) {
        known->used = ++s->clock;
        *set = mt_provider_set_retain(known->set);
    }
    pthread_mutex_unlock(&s->lock);
    return known;
}

int mt_engine_keep_generation(struct mt_engine *g, const char *id, const char *settings,
                              const char *const *names, const char *const *texts, const size_t *lens,
                              size_t count, const json_t *providers, struct mt_error *e) {
    struct mt_provider_set *defined = NULL;
    if (json_array_size(providers) && g->o.providers &&
        !(defined = mt_provider_set_new(g->o.providers, providers, e)))
        return -1;
    struct mt_error ignored;
    char(*shas)[65] = mt_calloc(count ? count : 1, sizeof *shas);
    const char **sha_list = mt_calloc(count ? count : 1, sizeof *sha_list);
    json_t *files = json_object(),
           *set = mt_json_parse(settings ? settings : "{}", strlen(settings ? settings : "{}"), &ignored);
    for (size_t i = 0; i < count; i++) {
        mt_sha256_hex(texts[i], lens[i], shas[i]);
        sha_list[i] = shas[i];
        json_object_set_new(files, names[i], json_string(shas[i]));
    }
    json_t *manifest = json_pack("{s:o, s:o}", "files", files, "settings", set ? set : json_object());
    if (json_array_size(providers)) json_object_set(manifest, "providers", (json_t *)(uintptr_t)providers);
    char *text = mt_json_dump(manifest, NULL);
    json_decref(manifest);
    struct mt_op op = {.type = MT_OP_GENERATION,
                       .generation = {.id = id,
                                      .manifest = text,
                                      .shas = sha_list,
                                      .texts = texts,
                                      .lens = lens,
                                      .count = count,
                                      .at = g->o.clock->wall_ms(g->o.clock)}};
    struct mt_batch batch = {.ops = &op, .count = 1};
    int rc = mt_writer_submit(g->writer, &batch);
    if (rc != 0)
        *e = batch.error;
    else
        remember(g->generations, id, defined);
    mt_provider_set_release(defined);
    free(text);
    free(sha_list);
    free(shas);
    return rc;
}

/* The set of a generation that is not remembered, from its manifest. */
static int fetch(struct mt_engine *g, const char *id, struct mt_provider_set **set, struct mt_error *e) {
    char *text = NULL;
    int rc = 0;
    if (g->o.store->get_generation(g->o.store, id, &text, e) != 0) return e->kind == MT_NOT_FOUND ? 0 : -1;
    json_t *manifest = mt_json_parse(text, strlen(text), e);
    const json_t *list = json_object_get(manifest, "providers");
    if (!manifest || (json_array_size(list) && !(*set = mt_provider_set_new(g->o.providers, list, e))))
        rc = mt_error_wrap(e, "the providers of generation %.20s...", id);
    json_decref(manifest);
    free(text);
    return rc;
}

int engine_providers(struct mt_engine *g, const char *generation, struct mt_provider_set **set,
                     struct mt_error *e) {
    *set = NULL;
    if (!g->o.providers) return 0;
    if (!generation[0]) {
        *set = mt_providers_current(g->o.providers);
        return 0;
    }
    if (recall(g->generations, generation, set)) return 0;
    if (fetch(g, generation, set, e) != 0) return -1;
    remember(g->generations, generation, *set);
    return 0;
}

int mt_engine_publish_generation(struct mt_engine *g, const char *id, struct mt_error *e) {
    struct mt_provider_set *set;
    if (engine_providers(g, id, &set, e) != 0) return -1;
    if (g->o.providers) mt_providers_publish(g->o.providers, set);
    mt_provider_set_release(set);
    atomic_store(&g->schedules_due, 0); /* it may have others */
    g->o.clock->wake(g->o.clock);
    return 0;
}

const struct mt_operation *exec_operation(struct mt_exec *x, const char *name,
                                          const struct mt_account **account, struct mt_error *e) {
    char provider[64];
    *account = NULL;
    /* A shipped provider's operation is found without looking at the generation. */
    if (!x->providers && mt_format(provider, sizeof provider, "%.*s", (int)strcspn(name, "."), name) &&
        !mt_provider_named(NULL, provider) &&
        engine_providers(x->g, x->run.generation, &x->providers, e) != 0)
        return NULL;
    return mt_operation_find_in(x->g->o.providers, x->providers, name, account, e);
}
